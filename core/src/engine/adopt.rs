//! Adopting a directory that klog did not make.
//!
//! Until then nothing is deleted from it (retention is off), and one without a metadata log, of a broker with ZooKeeper for
//! example, can only be read. Adopting says what retention holds from now on, and writes the metadata where there is none: the
//! topics and partitions that the directories tell of, led by this broker, which has the only copy.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::attach::Attachment;
use super::cluster::Cluster;
use super::identity::{META_PROPERTIES, MetaProperties, bad_identity, write_identity};
use super::open::{check_dir, check_voters, look_at_metadata, metadata_is_elsewhere, partition_dirs, read_topic_id};
use super::{Mode, OpenOptions};
use crate::config::EngineConfig;
use crate::controller::{
    Controller, Identity, Image, MetadataRecord, PartitionRecord, RETENTION_GRANTED, ResourceType, metadata_partition,
};
use crate::error::{Error, ErrorCode, Result};
use crate::log::{Fresh, Log, LogDir, Opening, PARTITION_METADATA, Report, Watermark, format_partition_metadata};
use crate::sys::{Disk, Sys, write_atomically};
use crate::types::{LeaderEpoch, METADATA_TOPIC, TopicPartition, Uuid};

/// What an adopted directory lets go of, where a topic says nothing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `log.retention.ms`: segments older than so many ms go; −1 keeps them for ever.
    pub ms: i64,
    /// `log.retention.bytes`: the oldest segments of a partition go while it has more bytes than this; −1 keeps them.
    pub bytes: i64,
}

impl Retention {
    /// Nothing goes, but what a topic's own settings let go of.
    pub const FOREVER: Retention = Retention { ms: -1, bytes: -1 };
}

/// What adopting did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The cluster's id.
    pub cluster_id: String,
    /// The broker's number.
    pub node_id: i32,
    /// Whether the metadata had to be written: there was none.
    pub made_metadata: bool,
    /// How many topics there are.
    pub topics: usize,
    /// How many partitions they have.
    pub partitions: usize,
    /// Directories that are no partitions, and stay: what Kafka was about to remove (`-delete`), to move (`-future`), or did
    /// not know (`-stray`).
    pub left_alone: Vec<String>,
    /// What did not agree, and what was found on the way.
    pub report: Report,
}

impl OpenOptions {
    /// Adopts a directory that klog did not make: retention works from now on, as `retention` and the topics' own settings
    /// say; one without metadata gets them. Durable on return; nothing is deleted before the directory is opened for
    /// writing. Adopting twice changes the retention.
    ///
    /// # Errors
    /// `Locked` while somebody has the directory whom nobody can share it with, or has one without metadata open;
    /// `InvalidConfig` for a retention below −1; `Unsupported` for one of several brokers, where partitions of a topic are
    /// missing or the metadata is elsewhere, and for metadata that klog does not change (`metadata.version` above 25);
    /// `KafkaStorageError` for a directory that holds no logs. Nothing is changed then. When the disk refuses (`DiskFull`,
    /// `KafkaStorageError`), or another process keeps a lock (`RequestTimedOut`), a part may have been done, and adopting
    /// again does the rest.
    pub fn adopt(self, path: impl AsRef<Path>, retention: Retention) -> Result<Adoption> {
        let path = path.as_ref();
        let sys = self.sys.clone().unwrap_or_else(Sys::real);
        for (name, value) in [("log.retention.ms", retention.ms), ("log.retention.bytes", retention.bytes)] {
            if value < -1 {
                return Err(Error::new(
                    ErrorCode::InvalidConfig,
                    format!("{name} is {value}; allowed are -1, which keeps everything, and above"),
                ));
            }
        }
        check_dir(path, &sys)?;
        check_changeable(path, &sys, &self)?;
        let made = match (is_of_kraft(&sys, path)?, Controller::exists(&sys, path)?) {
            (true, true) => None,
            (true, false) => return Err(metadata_is_elsewhere(path)),
            (false, _) => Some(make_metadata(path, &sys, &self, retention)?),
        };
        let (made_metadata, mut report) = (made.is_some(), made.unwrap_or_default());
        let engine =
            OpenOptions { mode: Mode::ReadWrite, adopting: true, sys: Some(sys.clone()), ..self }.open(path)?;
        let cluster = engine.cluster()?;
        cluster.grant_retention(retention)?;
        let image = cluster.image();
        let identity = cluster.identity().cloned();
        report.append(cluster.report());
        engine.close()?;
        Ok(Adoption {
            cluster_id: identity.as_ref().map(|identity| identity.cluster_id.clone()).unwrap_or_default(),
            node_id: identity.map_or(-1, |identity| identity.node_id),
            made_metadata,
            topics: image.topics().len(),
            partitions: image.topics().values().map(|topic| topic.partitions.len()).sum(),
            left_alone: left_alone(path, &sys)?,
            report,
        })
    }
}

fn is_of_kraft(sys: &Sys, path: &Path) -> Result<bool> {
    Ok(matches!(MetaProperties::read(sys, path)?, Some(Ok(meta)) if meta.version == 1))
}

/// Before anything is touched, and any log recovered: metadata that klog does not change are not adopted.
fn check_changeable(path: &Path, sys: &Sys, options: &OpenOptions) -> Result<()> {
    let Some(Ok(meta)) = MetaProperties::read(sys, path)? else { return Ok(()) };
    let (Ok(identity), true) = (meta.identity(), Controller::exists(sys, path)?) else { return Ok(()) };
    let controller = look_at_metadata(path, sys, identity)?;
    check_voters(&controller, options)?;
    controller.check_changeable(&controller.image())
}

/// Settings of all brokers that say what may go.
pub(super) fn retention_records(retention: Retention) -> Vec<MetadataRecord> {
    let setting = |key, value: Option<&str>| MetadataRecord::config(ResourceType::BROKER, "", key, value);
    // −1 is what holds without it.
    let bytes = (retention.bytes >= 0).then(|| retention.bytes.to_string());
    vec![
        setting("log.retention.ms", Some(&retention.ms.to_string())),
        setting("log.retention.bytes", bytes.as_deref()),
        setting(RETENTION_GRANTED, Some("true")),
    ]
}

impl Cluster {
    /// Lets retention work, as it says; durable, and in force, on return.
    fn grant_retention(&self, retention: Retention) -> Result<()> {
        let _inside = self.enter_writing()?;
        let controller = self.controller()?;
        let holds = |image: &Image, record: &MetadataRecord| match record {
            MetadataRecord::Config { resource, name, key, value } => {
                image.configs(*resource, name).find(|(other, _)| other == key).map(|(_, value)| value)
                    == value.as_deref()
            }
            _ => false,
        };
        self.spare().allow(|| {
            controller.change(|image| {
                Ok(retention_records(retention).into_iter().filter(|record| !holds(image, record)).collect())
            })
        })?;
        self.refresh_configs();
        Ok(())
    }
}

/// Producer ids are given out from here on. ZooKeeper knew which ones were taken; a cluster that gave out a thousand every
/// second was not there yet after thirty years.
const FIRST_PRODUCER_ID: i64 = 1 << 40;

/// A topic as its directories tell of it.
#[derive(Default)]
struct FoundTopic {
    /// What `partition.metadata` says, where it is there.
    id: Option<Uuid>,
    /// By number: the latest leader epoch of each, once it was looked for.
    partitions: BTreeMap<i32, i32>,
}

/// Writes metadata for the partitions that are there. Before the last step, `meta.properties`, the directory is what it was,
/// but for files that any broker would have written.
fn make_metadata(path: &Path, sys: &Sys, options: &OpenOptions, retention: Retention) -> Result<Report> {
    let meta = match MetaProperties::read(sys, path)? {
        Some(meta) => meta.map_err(|what| bad_identity(path, &what))?,
        None => MetaProperties::default(),
    };
    // Before anything is touched: what is refused stays as it is, without even a lock file.
    find_topics(path, sys)?;
    check_no_other_metadata(path, sys)?;
    // Alone: until the last step there is nothing that others could open.
    let alone = OpenOptions { config: EngineConfig { exclusive: true, ..options.config.clone() }, ..options.clone() };
    let _attaching = Attachment::begin(sys, path, &alone)?;
    let mut report = Report::default();
    let mut topics = find_topics(path, sys)?;
    check_no_other_metadata(path, sys)?;
    let identity = Identity {
        cluster_id: meta.cluster_id.unwrap_or_else(|| sys.new_uuid().to_string()),
        node_id: meta.node_id.filter(|id| *id >= 0).unwrap_or(1),
        directory_id: meta.directory_id.unwrap_or_else(|| sys.new_uuid()),
    };
    find_epochs(path, sys, &mut topics)?;
    for (name, topic) in &mut topics {
        let id = *topic.id.get_or_insert_with(|| sys.new_uuid());
        name_partitions(path, sys, name, id, topic.partitions.keys())?;
    }
    let dir = LogDir::open(sys, path, false, Fresh::No, &mut report)?;
    let mut records = retention_records(retention);
    records.push(MetadataRecord::ProducerIds {
        broker_id: identity.node_id,
        broker_epoch: -1,
        next_producer_id: FIRST_PRODUCER_ID,
    });
    for (name, topic) in &topics {
        records.extend(records_of(name, topic, &identity));
    }
    Controller::format(&dir, &identity, records)?;
    // What the checkpoints say of a metadata log is said of one that was moved away.
    dir.forget(&metadata_partition());
    dir.write_checkpoints()?;
    write_identity(sys, path, &identity)?;
    Ok(report)
}

/// A metadata log without the `meta.properties` that goes with it is what an interrupted attempt left, or that of a cluster
/// that the broker was moving to, or the directory's own after its `meta.properties` was lost. Only the first has nothing in
/// it that is not made again; no change has begun a second epoch there.
fn check_no_other_metadata(path: &Path, sys: &Sys) -> Result<()> {
    if !Controller::exists(sys, path)? {
        return Ok(());
    }
    let nobody = Identity { cluster_id: String::new(), node_id: -1, directory_id: Uuid::ZERO };
    let controller = look_at_metadata(path, sys, nobody)?;
    let image = controller.image();
    // Its directory was made, and no more. Whatever checkpoints say, no byte of it can be lost.
    let is_empty = controller.log().size()? == 0 && image.epoch == 0 && image.voters.is_empty();
    if is_empty || (Cluster::is_granted(&image) && image.epoch <= 1) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::Unsupported,
        format!(
            "{} does not go with {META_PROPERTIES}: it is that of another cluster, which this broker was about to join, or of this directory before; put that {META_PROPERTIES} back, or move it away first",
            path.join(metadata_partition().to_string()).display()
        ),
    ))
}

/// The topics that the directories tell of.
fn find_topics(path: &Path, sys: &Sys) -> Result<BTreeMap<String, FoundTopic>> {
    let mut topics: BTreeMap<String, FoundTopic> = BTreeMap::new();
    for dir in partition_dirs(path, sys)?.into_iter().filter(|dir| dir.topic != METADATA_TOPIC) {
        let file = format!("{dir}/{PARTITION_METADATA}");
        let id = read_topic_id(sys, path, &dir)
            .map_err(|what| Error::new(ErrorCode::KafkaStorageError, format!("{file}: {what}; move it away first")))?;
        let topic = topics.entry(dir.topic.clone()).or_default();
        match (topic.id, id) {
            (Some(known), Some(other)) if known != other => {
                let what = format!("{file} names topic id {other}, and another partition of the topic names {known}");
                return Err(Error::new(ErrorCode::InconsistentTopicId, what));
            }
            (known, other) => topic.id = known.or(other),
        }
        topic.partitions.insert(dir.partition, 0);
    }
    if topics.is_empty() {
        let what = format!("{} has no partitions; there is nothing to adopt", path.display());
        return Err(Error::new(ErrorCode::KafkaStorageError, what));
    }
    let mut names = BTreeMap::new();
    for (name, topic) in &topics {
        if let Some(id) = topic.id
            && let Some(other) = names.insert(id, name)
        {
            let what = format!("topics '{other}' and '{name}' have the same id, {id}, in their {PARTITION_METADATA}");
            return Err(Error::new(ErrorCode::InconsistentTopicId, what));
        }
        let count = topic.partitions.len() as i32;
        if let Some(missing) = (0..count).find(|number| !topic.partitions.contains_key(number)) {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!(
                    "topic '{name}' has no partition {missing} here, so another broker had it; klog adopts whole topics, and this directory can be opened for reading only"
                ),
            ));
        }
    }
    Ok(topics)
}

/// Looks for the latest leader epoch of each partition: that of the checkpoint, or of the last batch, which may be later. No
/// epoch that follows may be lower than one that is there.
fn find_epochs(path: &Path, sys: &Sys, topics: &mut BTreeMap<String, FoundTopic>) -> Result<()> {
    let dir = Arc::new(LogDir::open(sys, path, true, Fresh::No, &mut Report::default())?);
    for (name, topic) in topics {
        for (number, epoch) in &mut topic.partitions {
            let opening = Opening { leader_epoch: LeaderEpoch(0), watermark: Watermark::LogEnd, topic_id: Uuid::ZERO };
            let partition = TopicPartition::new(name, *number);
            let log = Log::open(&dir, partition, Arc::default(), opening, &mut Report::default())?;
            let noted = log.epochs().latest().map_or(0, |epoch| epoch.0);
            *epoch = log.last_batch()?.map_or(noted, |header| header.leader_epoch.0.max(noted)).max(0);
        }
    }
    Ok(())
}

/// Writes `partition.metadata` where it is missing: without it a broker takes the directory for a stray.
fn name_partitions<'a>(
    path: &Path,
    sys: &Sys,
    topic: &str,
    id: Uuid,
    numbers: impl Iterator<Item = &'a i32>,
) -> Result<()> {
    for number in numbers {
        let partition = TopicPartition::new(topic, *number);
        if matches!(read_topic_id(sys, path, &partition), Ok(Some(_))) {
            continue;
        }
        let file = path.join(partition.to_string()).join(PARTITION_METADATA);
        write_atomically(&sys.disk, &file, format_partition_metadata(id).as_bytes())
            .map_err(|e| Error::io(format_args!("writing {}", file.display()), e))?;
    }
    Ok(())
}

fn records_of(name: &str, topic: &FoundTopic, identity: &Identity) -> Vec<MetadataRecord> {
    let id = topic.id.unwrap_or_default();
    let mut records = vec![MetadataRecord::Topic { name: name.to_owned(), id }];
    records.extend(topic.partitions.iter().map(|(number, epoch)| {
        let (me, directory) = (identity.node_id, identity.directory_id);
        MetadataRecord::Partition(PartitionRecord::sole(id, *number, me, directory, *epoch))
    }));
    let config = |(key, value): &(&str, &str)| MetadataRecord::config(ResourceType::TOPIC, name, key, Some(value));
    records.extend(internal_configs(name).iter().map(config));
    records
}

/// Settings that Kafka gives its own topics: without them their records would be deleted by age.
///
/// Source: `GroupCoordinatorService#groupMetadataTopicConfigs`, `TransactionStateManager#transactionTopicConfigs`.
fn internal_configs(topic: &str) -> &'static [(&'static str, &'static str)] {
    match topic {
        "__consumer_offsets" => {
            &[("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")]
        }
        "__transaction_state" => &[
            ("cleanup.policy", "compact"),
            ("compression.type", "uncompressed"),
            ("segment.bytes", "104857600"),
            ("unclean.leader.election.enable", "false"),
        ],
        "__share_group_state" => &[
            ("cleanup.policy", "delete"),
            ("compression.type", "producer"),
            ("retention.ms", "-1"),
            ("segment.bytes", "104857600"),
        ],
        _ => &[],
    }
}

fn left_alone(path: &Path, sys: &Sys) -> Result<Vec<String>> {
    let entries =
        sys.disk.list(path).map_err(|e: io::Error| Error::io(format_args!("listing {}", path.display()), e))?;
    let metadata = metadata_partition().to_string();
    let is_other = |name: &str| name != metadata && TopicPartition::parse_dir(name).is_none();
    Ok(entries.into_iter().filter(|entry| entry.is_dir && is_other(&entry.name)).map(|entry| entry.name).collect())
}
