//! Opening a directory: whose it is, whether it may be had, and what it says of itself.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::adopt::{Retention, retention_records};
use super::attach::{Attaching, Attachment};
use super::identity::{META_PROPERTIES, MetaProperties, bad_identity, write_identity};
use super::spare::Spare;
use super::{Mode, OpenOptions};
use crate::controller::{Controller, Identity, Image, MetadataRecord, PartitionRecord, metadata_partition};
use crate::error::{Error, ErrorCode, Result};
use crate::log::{Fresh, LogDir, PARTITION_METADATA, Report};
use crate::sys::{Disk, Sys, read_whole};
use crate::types::{METADATA_TOPIC, TopicPartition, Uuid};

pub(super) struct Opened {
    pub(super) dir: Arc<LogDir>,
    pub(super) place: Place,
    pub(super) controller: Option<Controller>,
    pub(super) identity: Option<Identity>,
    /// Topics that only their directories speak of.
    pub(super) found: Image,
    pub(super) spare: Spare,
    pub(super) report: Report,
}

/// A place among those who have the directory open.
pub(super) enum Place {
    /// With everybody else kept out, until all is in order.
    Attaching(Attaching),
    /// A reader's.
    Reading(Attachment),
}

pub(super) fn open(path: &Path, sys: &Sys, options: &OpenOptions) -> Result<Opened> {
    if options.config.brokers != 1 {
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!("brokers is {}; klog has clusters of one broker so far", options.config.brokers),
        ));
    }
    match options.mode {
        Mode::ReadOnly => open_for_reading(path, sys),
        Mode::ReadWrite | Mode::Create => open_for_writing(path, sys, options),
    }
}

pub(super) fn check_dir(path: &Path, sys: &Sys) -> Result<()> {
    if path.as_os_str().is_empty() {
        let what = "the path of the directory is empty; '.' is the one that the program runs in";
        return Err(Error::new(ErrorCode::InvalidRequest, what));
    }
    match sys.disk.stat(path) {
        Ok(stat) if stat.is_dir => Ok(()),
        Ok(_) => {
            Err(Error::new(ErrorCode::KafkaStorageError, format!("{} is a file, not a directory", path.display())))
        }
        Err(e) => Err(Error::io(format_args!("opening {}", path.display()), e)),
    }
}

fn make_dir(path: &Path, sys: &Sys) -> Result<()> {
    for dir in path.ancestors().collect::<Vec<_>>().into_iter().rev().filter(|dir| !dir.as_os_str().is_empty()) {
        match sys.disk.stat(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                match sys.disk.create_dir(dir) {
                    // Another opener was faster.
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made.map_err(|e| Error::io(format_args!("creating {}", dir.display()), e))?,
                }
                let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                sys.disk.sync_dir(parent).map_err(|e| Error::io(format_args!("syncing {}", parent.display()), e))?;
            }
            Err(e) => return Err(Error::io(format_args!("looking for {}", dir.display()), e)),
            Ok(_) => {}
        }
    }
    check_dir(path, sys)
}

fn open_for_writing(path: &Path, sys: &Sys, options: &OpenOptions) -> Result<Opened> {
    if options.mode == Mode::Create {
        make_dir(path, sys)?;
    }
    check_dir(path, sys)?;
    // Before anything is touched: what is refused stays as it is, without even a lock file.
    known_identity(path, sys, options.mode)?;
    let attaching = Attachment::begin(sys, path, options)?;
    let mut report = Report::default();
    let (identity, fresh) = match known_identity(path, sys, options.mode)? {
        Some(identity) => (identity, Fresh::No),
        None if !attaching.is_first => return Err(bad_identity(path, "it went away while the directory is in use")),
        None => (format(path, sys, &mut report)?, Fresh::Yes),
    };
    check_same_directory(path, &attaching, identity.directory_id)?;
    let dir = Arc::new(LogDir::open_to_write(sys, path, attaching.member.clone(), fresh, &mut report)?);
    if !Controller::exists(sys, path)? {
        return Err(metadata_is_elsewhere(path));
    }
    // Recovering the metadata log may take a little room.
    let spare = Spare::new(sys, path, options.config.spare);
    let (controller, found) = spare.allow(|| {
        let mut report = Report::default();
        Ok((Controller::open(&dir, identity.clone(), &mut report)?, report))
    })?;
    report.append(found);
    check_voters(&controller, options)?;
    report_strays(path, sys, &controller.image(), &mut report)?;
    Ok(Opened {
        dir,
        place: Place::Attaching(attaching),
        controller: Some(controller),
        identity: Some(identity),
        found: Image::default(),
        spare,
        report,
    })
}

/// Memory that others use belongs to this directory, and not to one that it was copied from.
fn check_same_directory(path: &Path, attaching: &Attaching, directory_id: Uuid) -> Result<()> {
    let control = attaching.member.control();
    if attaching.is_first {
        control.set_directory_id(directory_id);
        return Ok(());
    }
    if control.directory_id() == directory_id {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Locked,
        format!(
            "{} is in use as another directory than its {META_PROPERTIES} says; close it everywhere",
            path.display()
        ),
    ))
}

/// Whose directory it is; `None` for one that may be made into a log directory.
fn known_identity(path: &Path, sys: &Sys, mode: Mode) -> Result<Option<Identity>> {
    match MetaProperties::read(sys, path)? {
        Some(meta) => {
            let meta = meta.map_err(|what| bad_identity(path, &what))?;
            if meta.version == 0 && meta.node_id.is_none() && Controller::exists(sys, path)? {
                return Err(bad_identity(path, "it has neither a version nor a broker.id, although there is metadata"));
            }
            if meta.version == 0 {
                return Err(Error::new(
                    ErrorCode::Unsupported,
                    format!(
                        "{} is of the ZooKeeper era, as its {META_PROPERTIES} says; it can be opened for reading only until it is adopted",
                        path.display()
                    ),
                ));
            }
            Ok(Some(meta.identity().map_err(|what| bad_identity(path, &what))?))
        }
        None if mode == Mode::Create => check_nothing_foreign(path, sys).map(|()| None),
        None => Err(bad_identity(path, "it is missing, so this is no log directory")),
    }
}

/// A directory without an identity is empty, or has what an interrupted attempt to make it left.
fn check_nothing_foreign(path: &Path, sys: &Sys) -> Result<()> {
    let entries = sys.disk.list(path).map_err(|e| Error::io(format_args!("listing {}", path.display()), e))?;
    let own = |name: &str| {
        name.starts_with('.') || name == metadata_partition().to_string() || name == format!("{META_PROPERTIES}.tmp")
    };
    if let Some(other) = entries.iter().find(|entry| !own(&entry.name)) {
        return Err(Error::new(
            ErrorCode::KafkaStorageError,
            format!(
                "{} is not empty (it has '{}') and has no {META_PROPERTIES}; klog makes its directory in an empty one",
                path.display(),
                other.name
            ),
        ));
    }
    Ok(())
}

/// Makes a log directory.
fn format(path: &Path, sys: &Sys, report: &mut Report) -> Result<Identity> {
    let identity = Identity { cluster_id: sys.new_uuid().to_string(), node_id: 1, directory_id: sys.new_uuid() };
    let dir = LogDir::open(sys, path, false, Fresh::Yes, report)?;
    if Controller::exists(sys, path)? {
        // A log that says more than what formatting writes is somebody's metadata, not a leftover.
        if !look_at_metadata(path, sys, identity.clone())?.image().topics().is_empty() {
            return Err(bad_identity(path, "it is missing, although there is metadata"));
        }
    }
    *report = Report::default();
    // So that nothing is deleted that nobody asked for, by klog or by a broker that takes the directory over.
    Controller::format(&dir, &identity, retention_records(Retention::FOREVER))?;
    write_identity(sys, path, &identity)?;
    Ok(identity)
}

/// The metadata of a directory, read without touching it.
pub(super) fn look_at_metadata(path: &Path, sys: &Sys, identity: Identity) -> Result<Controller> {
    let mut report = Report::default();
    let dir = Arc::new(LogDir::open(sys, path, true, Fresh::No, &mut report)?);
    Controller::open(&dir, identity, &mut report)
}

/// The error of a KRaft directory without a metadata log.
pub(super) fn metadata_is_elsewhere(path: &Path) -> Error {
    Error::new(
        ErrorCode::Unsupported,
        format!(
            "{} has no {}: it is one of several log.dirs, or metadata.log.dir was another; it can be opened for reading only",
            path.display(),
            metadata_partition()
        ),
    )
}

/// More than half of the voters must be there, unless all others are named as lost.
pub(super) fn check_voters(controller: &Controller, options: &OpenOptions) -> Result<()> {
    let image = controller.image();
    let me = controller.identity().node_id;
    let ids = image.voter_ids();
    let missing: Vec<_> = ids.iter().filter(|id| **id != me && !options.assume_lost.contains(id)).collect();
    let there = ids.iter().filter(|id| **id == me).count();
    if missing.is_empty() || there * 2 > ids.len() {
        return Ok(());
    }
    let directory = |id: i32| image.voters.iter().find(|voter| voter.id == id).map(|voter| voter.directory_id);
    let name = |id: &&i32| match directory(**id) {
        Some(directory) => format!("{id} (directory {directory})"),
        None => id.to_string(),
    };
    let names: Vec<String> = missing.iter().map(name).collect();
    Err(Error::new(
        ErrorCode::KafkaStorageError,
        format!(
            "broker {me}, as {META_PROPERTIES} says, is one of {}; the directories of brokers {} are missing. Name them as lost if they are, or open for reading only",
            ids.len(),
            names.join(", ")
        ),
    ))
}

fn report_strays(path: &Path, sys: &Sys, image: &Image, report: &mut Report) -> Result<()> {
    for partition in partition_dirs(path, sys)? {
        let known =
            image.topic(&partition.topic).is_some_and(|topic| topic.partitions.contains_key(&partition.partition));
        if !known && partition.topic != METADATA_TOPIC {
            report.finding(partition.to_string(), "the metadata does not know this partition; it is left alone");
        }
    }
    Ok(())
}

/// Directories that are partitions, by their names. Those on their way out (`-delete`, `-future`, `-stray`) are not.
pub(super) fn partition_dirs(path: &Path, sys: &Sys) -> Result<Vec<TopicPartition>> {
    let entries = sys.disk.list(path).map_err(|e| Error::io(format_args!("listing {}", path.display()), e))?;
    Ok(entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| TopicPartition::parse_dir(&entry.name)).collect())
}

fn open_for_reading(path: &Path, sys: &Sys) -> Result<Opened> {
    check_dir(path, sys)?;
    let (attachment, shared) = Attachment::shared(sys, path)?;
    let mut report = Report::default();
    let meta = match MetaProperties::read(sys, path)? {
        Some(Ok(meta)) => Some(meta),
        Some(Err(what)) => {
            report.finding(META_PROPERTIES, what);
            None
        }
        None => None,
    };
    let partitions = partition_dirs(path, sys)?;
    if meta.is_none() && partitions.is_empty() {
        return Err(Error::new(
            ErrorCode::KafkaStorageError,
            format!("{} is no log directory: it has neither {META_PROPERTIES} nor partitions", path.display()),
        ));
    }
    let dir = Arc::new(LogDir::open_to_read(sys, path, shared, &mut report)?);
    let identity = meta.as_ref().and_then(|meta| meta.identity().ok());
    let mut controller = None;
    if Controller::exists(sys, path)? {
        if identity.is_none() && report.findings.is_empty() {
            report.finding(META_PROPERTIES, "it does not say whose directory this is, so nobody can write it");
        }
        let who = identity.clone().unwrap_or(Identity {
            cluster_id: String::new(),
            node_id: meta.as_ref().and_then(|meta| meta.node_id).unwrap_or(-1),
            directory_id: Uuid::ZERO,
        });
        controller = Some(Controller::open(&dir, who, &mut report)?);
    }
    let image = controller.as_ref().map(Controller::image);
    let identity = identity.or_else(|| guess_identity(meta.as_ref(), image.as_deref()));
    let found = find_topics(path, sys, &partitions, controller.as_ref(), &mut report);
    let spare = Spare::new(sys, path, false);
    let place = Place::Reading(attachment);
    Ok(Opened { dir, place, controller, identity, found, spare, report })
}

/// Who a directory with a damaged `meta.properties` belongs to: the only broker that the metadata knows.
fn guess_identity(meta: Option<&MetaProperties>, image: Option<&Image>) -> Option<Identity> {
    let mut ids = image?.brokers.keys();
    let (only, None) = (ids.next()?, ids.next()) else {
        return None;
    };
    Some(Identity {
        cluster_id: meta.and_then(|meta| meta.cluster_id.clone()).unwrap_or_default(),
        node_id: *only,
        directory_id: Uuid::ZERO,
    })
}

/// Topics whose directories are there and that the metadata does not know: all of them in the ZooKeeper era.
fn find_topics(
    path: &Path,
    sys: &Sys,
    dirs: &[TopicPartition],
    controller: Option<&Controller>,
    report: &mut Report,
) -> Image {
    let image = controller.map(Controller::image);
    let image = image.as_deref();
    let was_removed = |id: Uuid| controller.is_some_and(|controller| controller.was_removed(id).unwrap_or(false));
    let mut found = Image::default();
    for dir in dirs.iter().filter(|dir| dir.topic != METADATA_TOPIC) {
        let known =
            image.and_then(|image| image.topic(&dir.topic)).is_some_and(|t| t.partitions.contains_key(&dir.partition));
        if known {
            continue;
        }
        let id = match read_topic_id(sys, path, dir) {
            // Its topic was removed, and whoever removed it did not get to its directories.
            Ok(Some(id)) if was_removed(id) => continue,
            Ok(id) => id.unwrap_or_else(|| stand_in_id(&dir.topic)),
            Err(what) => {
                report.finding(format!("{dir}/{PARTITION_METADATA}"), what);
                stand_in_id(&dir.topic)
            }
        };
        if image.is_some() {
            report.finding(dir.to_string(), "the metadata does not know this partition");
        }
        if found.topic(&dir.topic).is_none() {
            found.apply(MetadataRecord::Topic { name: dir.topic.clone(), id });
        }
        let id = found.topic(&dir.topic).map_or(id, |topic| topic.id);
        found.apply(MetadataRecord::Partition(unknown_partition(dir.partition, id)));
    }
    found
}

/// An id for a topic that has none: its name, cut or filled to 16 bytes. Never written anywhere.
fn stand_in_id(topic: &str) -> Uuid {
    let mut id = [0; 16];
    for (place, byte) in id.iter_mut().zip(topic.bytes()) {
        *place = byte;
    }
    let hash = crate::record::murmur2(topic.as_bytes()).to_be_bytes();
    id[12..].copy_from_slice(&hash);
    Uuid(id)
}

fn unknown_partition(partition: i32, topic_id: Uuid) -> PartitionRecord {
    PartitionRecord {
        partition,
        topic_id,
        replicas: Vec::new(),
        isr: Vec::new(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: -1,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: Vec::new(),
        leader_recovery_state: 0,
        eligible_leader_replicas: None,
        last_known_elr: None,
    }
}

/// The id in `partition.metadata`; `None` without such a file, a sentence when it cannot be read.
pub(super) fn read_topic_id(sys: &Sys, dir: &Path, partition: &TopicPartition) -> Result<Option<Uuid>, String> {
    topic_id_in(sys, &dir.join(partition.to_string()))
}

/// As [`read_topic_id`], of the directory of a partition, whatever it is called.
pub(super) fn topic_id_in(sys: &Sys, partition_dir: &Path) -> Result<Option<Uuid>, String> {
    let content = match read_whole(&sys.disk, &partition_dir.join(PARTITION_METADATA)) {
        Ok(content) => content,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("it cannot be read: {e}")),
    };
    let text = std::str::from_utf8(&content).map_err(|_| "it is not text".to_owned())?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| *name == key));
        line.map(|(_, value)| value.trim()).ok_or(format!("it has no {key}"))
    };
    let version = value("version")?;
    if version.parse::<i32>().is_ok_and(|version| version >= 0) {
        let id = value("topic_id")?;
        Uuid::parse(id).filter(|id| *id != Uuid::ZERO).map(Some).ok_or(format!("its topic_id is '{id}'"))
    } else {
        Err(format!("its version is '{version}'"))
    }
}
