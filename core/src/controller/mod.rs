//! The metadata log: topics, settings, brokers, voters.
//!
//! `__cluster_metadata-0` is an ordinary log whose records say what exists. Opening replays it; a change is one batch,
//! appended and flushed before anybody is told, so it is there whole or not at all. The epoch rises with the first change
//! after an opening, and opening itself writes nothing.
//!
//! Source: KIP-500, KIP-595, KIP-630, KIP-631, KIP-853.

mod image;
mod records;
mod snapshot;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

pub use image::{Image, TopicImage};
pub use records::{MetadataRecord, PartitionChange, PartitionRecord, RegisterBroker, ResourceType};

use crate::config::TopicConfig;
use crate::error::{Error, ErrorCode, Result};
use crate::log::{Batch, Fetch, Log, LogDir, Opening, Report, Watermark, create_partition};
use crate::record::{
    BatchBuilder, BatchHeader, BatchOptions, ControlRecord, HEADER_BYTES, LeaderChange, Records, Voter, VoterEndpoint,
    control_batch,
};
use crate::replica::{Need, Replica};
use crate::shm::{Member, Role, Slices};
use crate::sys::points::{Point, reached};
use crate::sys::{Clock, Disk, Sys, read_whole};
use crate::types::{LeaderEpoch, METADATA_TOPIC, Offset, TimestampMs, TopicPartition, Uuid};

/// The level of `metadata.version` that klog writes, and the highest that it changes: 4.0-IV3.
pub const METADATA_VERSION: i16 = 25;
/// Batches of the metadata log are not larger.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// What is written in several batches is divided after about so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// How often a change is tried anew because somebody who was not let in wrote to the log.
const FOREIGN_WRITES: usize = 8;
/// A snapshot is written when so many records have come since the last one.
const SNAPSHOT_AFTER: i64 = 512;
/// As above, when the directory is closed.
const SNAPSHOT_AT_CLOSE_AFTER: i64 = 64;

/// Who a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id, an opaque text.
    pub cluster_id: String,
    /// The broker's number.
    pub node_id: i32,
    /// The directory's id.
    pub directory_id: Uuid,
}

/// Reads the metadata log and appends to it.
pub struct Controller {
    sys: Sys,
    replica: Replica,
    identity: Identity,
    image: RwLock<Arc<Image>>,
    /// The image's offset, without a lock.
    followed: AtomicI64,
    /// One replays at a time.
    following: Mutex<()>,
    /// What the log alone gives, from its beginning on; replayed when somebody asks for what a snapshot does not have.
    past: OnceLock<Image>,
    /// One change at a time.
    changing: Mutex<Changing>,
}

struct Changing {
    /// This handle has changed something.
    has_changed: bool,
    /// What the newest snapshot covers.
    snapshot_offset: Offset,
}

/// Where a change is written.
struct Head {
    epoch: i32,
    /// Behind the log, and behind what a snapshot covers, which may be more.
    next: Offset,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The partition that holds the metadata.
pub fn metadata_partition() -> TopicPartition {
    TopicPartition::new(METADATA_TOPIC, 0)
}

fn metadata_config() -> TopicConfig {
    TopicConfig { max_message_bytes: MAX_BATCH_BYTES as i32, retention_ms: -1, ..TopicConfig::default() }
}

fn encoded(records: &[MetadataRecord]) -> Vec<Vec<u8>> {
    records.iter().map(MetadataRecord::encode).collect()
}

fn data_batch(values: &[Vec<u8>], timestamp: TimestampMs, base_offset: Offset, leader_epoch: LeaderEpoch) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(512);
    for value in values {
        builder.push(timestamp, None, Some(value), &[]);
    }
    let options = BatchOptions { base_offset, leader_epoch, ..BatchOptions::default() };
    builder.finish(&options).expect("metadata batches are not compressed, so no codec can fail")
}

/// As [`data_batch`], in as many batches as it takes to keep each of them below about [`BATCH_BYTES`].
fn data_batches(
    records: &[MetadataRecord],
    timestamp: TimestampMs,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
) -> Vec<u8> {
    let mut bytes = 0;
    let values = encoded(records);
    let batches = values.chunk_by(move |value, _| {
        bytes += value.len();
        let goes_on = bytes < BATCH_BYTES;
        if !goes_on {
            bytes = 0;
        }
        goes_on
    });
    let mut content = Vec::new();
    let mut next = base_offset;
    for batch in batches {
        content.extend(data_batch(batch, timestamp, next, leader_epoch));
        next = next.plus(batch.len() as i64);
    }
    content
}

impl Controller {
    /// Writes the metadata log of a new cluster of one broker: its voter, its broker, and the settings that klog makes. What
    /// an interrupted attempt left is overwritten. `records` say more.
    pub fn format(dir: &LogDir, identity: &Identity, records: Vec<MetadataRecord>) -> Result<()> {
        let sys = dir.sys();
        let partition = metadata_partition();
        let epoch = LeaderEpoch(1);
        create_partition(dir, &partition, Uuid::METADATA, epoch)?;
        let now = sys.clock.now();
        let me = identity.node_id;
        let control = control_batch(
            &[
                ControlRecord::LeaderChange(LeaderChange {
                    leader_id: me,
                    voters: vec![me],
                    granting_voters: vec![me],
                }),
                ControlRecord::KRaftVersion(1),
                ControlRecord::KRaftVoters(vec![Voter {
                    id: me,
                    directory_id: identity.directory_id,
                    endpoints: vec![VoterEndpoint { name: "CONTROLLER".into(), host: "localhost".into(), port: 9093 }],
                    min_kraft_version: 0,
                    max_kraft_version: 1,
                }]),
            ],
            now,
            Offset::ZERO,
            epoch,
        );
        let mut all = first_records(sys, identity);
        all.extend(records);
        all.retain(|record| !matches!(record, MetadataRecord::Config { value: None, .. })); // there is nothing to take back
        let data = data_batches(&all, now, Offset(3), epoch);
        let path = dir.path().join(partition.to_string());
        let segment = path.join(crate::segment::file_name(
            Offset::ZERO,
            crate::segment::FileKind::Log,
            crate::segment::Suffix::None,
        ));
        crate::sys::write_atomically(&sys.disk, &segment, &[control, data].concat())
            .map_err(|e| Error::io(format_args!("writing {}", segment.display()), e))
    }

    /// Opens the metadata log of `dir` and replays it, from the newest snapshot on.
    ///
    /// # Errors
    /// Those of the disk. Records that cannot be read are reported, and listed in the image.
    pub fn open(dir: &Arc<LogDir>, identity: Identity, report: &mut Report) -> Result<Controller> {
        let sys = dir.sys().clone();
        let opening = Opening { leader_epoch: LeaderEpoch(0), watermark: Watermark::LogEnd, topic_id: Uuid::METADATA };
        let log = Log::open(dir, metadata_partition(), Arc::new(metadata_config()), opening, report)?;
        let replica = Replica::new(log, sys.clone());
        let mut image = Image::default();
        snapshot::load(&sys, replica.log().path(), &mut image, report)?;
        let snapshot_offset = image.offset;
        let log_start = replica.log().block().log_start();
        if image.offset < log_start {
            let what = format!("the log begins at offset {log_start}, and no usable snapshot covers what was before");
            report.finding(metadata_partition().to_string(), &what);
            image.unreadable.push(what);
        }
        replay_log(replica.log(), &mut image, report)?;
        if image.metadata_version() == 0 {
            snapshot::load_bootstrap(&sys, dir.path(), &mut image, report)?;
        }
        if image.voter_ids().is_empty() {
            image.static_voters = noted_voters(&sys, replica.log().path());
        }
        image.abort_pending();
        Ok(Controller {
            sys,
            replica,
            identity,
            followed: AtomicI64::new(image.offset.0),
            following: Mutex::new(()),
            image: RwLock::new(Arc::new(image)),
            past: OnceLock::new(),
            changing: Mutex::new(Changing { snapshot_offset, has_changed: false }),
        })
    }

    /// Whether `dir` has a metadata log.
    pub fn exists(sys: &Sys, dir: &Path) -> Result<bool> {
        let path = dir.join(metadata_partition().to_string());
        match sys.disk.stat(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            found => found.map(|_| true).map_err(|e| Error::io(format_args!("looking for {}", path.display()), e)),
        }
    }

    /// The metadata as it is now.
    pub fn image(&self) -> Arc<Image> {
        self.image.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who this broker is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The metadata log itself.
    pub fn log(&self) -> &Log {
        self.replica.log()
    }

    /// Changes the metadata: `decide` looks at what there is and says which records to append, or why not. They are
    /// appended as one batch, durable on return, and taken into the image that is returned. One process changes at a time,
    /// and what it decides upon is what all others have changed before. `decide` is asked again if a broker that was not let
    /// in has written to the log meanwhile.
    ///
    /// # Errors
    /// Those of `decide`; `Unsupported` for metadata that klog does not change; `RequestTimedOut` when another process does
    /// not finish its change; those of appending and flushing, after which nothing was changed.
    pub fn change(&self, mut decide: impl FnMut(&Image) -> Result<Vec<MetadataRecord>>) -> Result<Arc<Image>> {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let member = self.member()?;
        let _one_process = member.role(Role::Metadata, "changing the metadata")?;
        member.control().set_changing(member.token().word(), member.now());
        reached(Point::MetadataBegun);
        let mut result = self.change_once(&mut changing, member, &mut decide);
        for _ in 0..FOREIGN_WRITES {
            if !matches!(result, Ok(None)) {
                break;
            }
            result = self.change_once(&mut changing, member, &mut decide);
        }
        member.control().set_changing(0, 0);
        result?.ok_or_else(|| {
            let what = "somebody else writes to the metadata log again and again; nothing was changed";
            Error::new(ErrorCode::Locked, what)
        })
    }

    fn member(&self) -> Result<&Arc<Member>> {
        let dir = self.log().dir();
        dir.member().ok_or_else(|| {
            Error::new(ErrorCode::ReadOnly, format!("{} was opened for reading only", dir.path().display()))
        })
    }

    /// As [`change`](Self::change); nothing when somebody else wrote to the log meanwhile.
    fn change_once(
        &self,
        changing: &mut Changing,
        member: &Member,
        decide: &mut impl FnMut(&Image) -> Result<Vec<MetadataRecord>>,
    ) -> Result<Option<Arc<Image>>> {
        // What a process appended and did not live to flush counts, like what a broker left.
        self.log().look_at_end()?;
        self.replica.wait(self.log().block().log_end(), Need::Durable, None)?;
        self.follow()?;
        let before = self.image();
        let records = decide(&before)?;
        if records.is_empty() {
            return Ok(Some(before));
        }
        self.check_changeable(&before)?;
        let mut head = Head { epoch: before.epoch, next: before.offset.max(self.log().block().log_end()) };
        let is_unended = before.is_unended();
        drop(before); // so that the image is changed in place, where nobody else holds it
        let appended = self.begin_epoch(member, &mut head, is_unended).and_then(|()| {
            let now = self.sys.clock.now();
            let batch = data_batch(&encoded(&records), now, head.next, LeaderEpoch(head.epoch));
            if batch.len() > MAX_BATCH_BYTES {
                return Err(Error::new(
                    ErrorCode::InvalidRequest,
                    format!(
                        "the change has {} bytes and {MAX_BATCH_BYTES} is the limit; make it in parts",
                        batch.len()
                    ),
                ));
            }
            self.replica.append(Batch::Placed(&batch))
        });
        let appended = match appended {
            Err(_) if self.log().block().log_end() > head.next => return Ok(None),
            appended => appended?,
        };
        reached(Point::MetadataAppended);
        changing.has_changed = true;
        // Who comes back from here does not know that the change is made, and makes it once more.
        while let Err(error) = Slices::without(|| self.replica.wait(appended.next_offset, Need::Durable, None)) {
            if error.code() != ErrorCode::Interrupted {
                return Err(error);
            }
        }
        self.follow()?;
        Ok(Some(self.image()))
    }

    /// Up to where the metadata are durable, by whomever they were changed.
    #[inline]
    pub fn visible_to(&self) -> i64 {
        self.log().mirror();
        self.log().block().high_watermark().0
    }

    /// Takes in what was made durable since, by whomever; says whether there was anything. Costs two loads when there was not.
    ///
    /// # Errors
    /// Those of reading. What is damaged is listed in the image.
    pub fn follow(&self) -> Result<bool> {
        if self.visible_to() <= self.followed.load(Ordering::Acquire) {
            return Ok(false);
        }
        let log = self.log();
        let _one_follows = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let mut image = self.image.write().unwrap_or_else(PoisonError::into_inner);
        if log.block().high_watermark() <= image.offset {
            return Ok(true); // somebody else was faster
        }
        let changed = Arc::make_mut(&mut image);
        let replayed = replay_log(log, changed, &mut Report::default());
        self.followed.store(changed.offset.0, Ordering::Release);
        replayed.map(|()| true)
    }

    /// See [`Replica::look_after`].
    ///
    /// # Errors
    /// Those of recovering and flushing.
    pub fn look_after(&self) -> Result<()> {
        self.replica.look_after()
    }

    /// Up to where the image follows the log.
    pub fn followed(&self) -> i64 {
        self.followed.load(Ordering::Acquire)
    }

    /// Refuses metadata that klog does not change.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn check_changeable(&self, image: &Image) -> Result<()> {
        let refuse = |what: String| Err(Error::new(ErrorCode::Unsupported, what));
        let version = image.metadata_version();
        if version > METADATA_VERSION {
            return refuse(format!(
                "the metadata.version of this directory is {version} and klog changes metadata up to {METADATA_VERSION} (Kafka 4.0); records can be appended and read"
            ));
        }
        if let Some(what) = image.unreadable.first() {
            return refuse(format!("the metadata cannot be changed because a part of it cannot be read: {what}"));
        }
        let ids = image.voter_ids();
        let others: Vec<String> = ids.iter().filter(|id| **id != self.identity.node_id).map(i32::to_string).collect();
        if !others.is_empty() {
            return refuse(format!(
                "the metadata of a cluster of several brokers cannot be changed yet (the others are {})",
                others.join(", ")
            ));
        }
        Ok(())
    }

    /// The first change after the directory was opened, by any process, begins an epoch: nothing that somebody else may have
    /// written at these offsets can be taken for it.
    fn begin_epoch(&self, member: &Member, head: &mut Head, is_unended: bool) -> Result<()> {
        match member.control().metadata_epoch() {
            0 => self.change_leader(member, head)?,
            epoch => head.epoch = head.epoch.max(epoch), // the change that began it may have failed behind that
        }
        if is_unended {
            let abort = [MetadataRecord::AbortTransaction];
            let batch = data_batch(&encoded(&abort), self.sys.clock.now(), head.next, LeaderEpoch(head.epoch));
            head.next = self.replica.append(Batch::Placed(&batch))?.next_offset;
        }
        Ok(())
    }

    fn change_leader(&self, member: &Member, head: &mut Head) -> Result<()> {
        let me = self.identity.node_id;
        let epoch = head.epoch.max(self.log().epochs().latest().map_or(0, |epoch| epoch.0)) + 1;
        let change =
            ControlRecord::LeaderChange(LeaderChange { leader_id: me, voters: vec![me], granting_voters: vec![me] });
        let batch = control_batch(&[change], self.sys.clock.now(), head.next, LeaderEpoch(epoch));
        head.next = self.replica.append(Batch::Placed(&batch))?.next_offset;
        head.epoch = epoch;
        member.control().set_metadata_epoch(epoch);
        Ok(())
    }

    /// Writes a snapshot when many records have come since the last one, so that the next opening is fast. Nothing else
    /// depends on it. Where `may_remove`, old ones go.
    ///
    /// # Errors
    /// Those of the disk; the log has everything all the same.
    pub fn take_snapshot(&self, is_closing: bool, may_remove: bool) -> Result<()> {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let image = self.image();
        let after = if is_closing { SNAPSHOT_AT_CLOSE_AFTER } else { SNAPSHOT_AFTER };
        // Who changed nothing writes nothing.
        if !changing.has_changed || image.offset.0 - changing.snapshot_offset.0 < after {
            return Ok(());
        }
        let _one_process = self.member()?.role(Role::Metadata, "a snapshot of the metadata")?;
        let newest = snapshot::newest(&self.sys, self.log().path())
            .map_err(|e| Error::io(format_args!("listing {}", self.log().path().display()), e))?;
        if let Some(newest) = newest.filter(|newest| image.offset.0 - newest.0 < after) {
            changing.snapshot_offset = newest; // another process has written one
            return Ok(());
        }
        snapshot::write(&self.sys, self.log().path(), &image, may_remove)
            .map_err(|e| Error::io(format_args!("writing a snapshot to {}", self.log().path().display()), e))?;
        changing.snapshot_offset = image.offset;
        Ok(())
    }

    /// Whether a topic of that id was removed, be it before the snapshot that this process began with.
    ///
    /// # Errors
    /// Those of reading.
    pub fn was_removed(&self, id: Uuid) -> Result<bool> {
        if self.image().was_removed(id) {
            return Ok(true);
        }
        if let Some(past) = self.past.get() {
            return Ok(past.was_removed(id));
        }
        let mut past = Image::default();
        replay_log(self.log(), &mut past, &mut Report::default())?;
        Ok(self.past.get_or_init(|| past).was_removed(id))
    }

    /// Closes the log in order.
    pub fn close(&self) -> Result<()> {
        self.log().close()
    }
}

/// The option that says that klog may delete what the topics' retention lets go of: the directory is klog's own, or was
/// adopted.
pub const RETENTION_GRANTED: &str = "klog.retention.enable";

/// What a new cluster says of itself.
fn first_records(sys: &Sys, identity: &Identity) -> Vec<MetadataRecord> {
    let feature = |name: &str, level: i16| MetadataRecord::FeatureLevel { name: name.into(), level };
    vec![
        feature("metadata.version", METADATA_VERSION),
        feature("group.version", 1),
        MetadataRecord::RegisterBroker(RegisterBroker {
            broker_id: identity.node_id,
            incarnation_id: sys.new_uuid(),
            broker_epoch: 5, // the offset of this record: three control records and two features come before it
            endpoints: vec![("PLAINTEXT".into(), "localhost".into(), 9092, 0)],
            features: vec![("metadata.version".into(), 7, METADATA_VERSION), ("group.version".into(), 0, 1)],
            is_migrating_zk_broker: false,
            rack: None,
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: vec![identity.directory_id],
        }),
    ]
}

/// The voters that a broker with `kraft.version` 0 noted in `quorum-state`, a line of JSON: the log tells of them only when
/// leaders change.
fn noted_voters(sys: &Sys, path: &Path) -> Vec<i32> {
    let content = read_whole(&sys.disk, &path.join("quorum-state")).unwrap_or_default();
    voters_of(&String::from_utf8_lossy(&content))
}

fn voters_of(quorum_state: &str) -> Vec<i32> {
    let number = |rest: &str| {
        let rest = rest.trim_start();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    };
    quorum_state.split("\"voterId\":").skip(1).filter_map(number).collect()
}

fn replay_log(log: &Log, image: &mut Image, report: &mut Report) -> Result<()> {
    let bound = log.block().high_watermark();
    let mut from = image.offset.max(log.block().log_start());
    let (mut buffer, mut cursor) = (Vec::new(), None);
    while from < bound {
        let fetch = Fetch { from, bound, max_bytes: 1 << 20, check_crcs: true, cursor };
        match log.read(&fetch, &mut buffer) {
            Ok(chunk) => {
                for (range, header) in &chunk.batches {
                    replay_batch(&buffer[range.clone()], header, image);
                    image.offset = image.offset.max(header.next_offset());
                }
                if chunk.next == from {
                    break;
                }
                (from, cursor) = (chunk.next, chunk.cursor);
            }
            Err(error) => {
                let Some(damage) = error.damage() else {
                    return Err(error);
                };
                image.unreadable.push(error.message().to_owned());
                report.damage.push(damage.clone());
                (from, cursor) = (Offset(damage.next_offset), None);
            }
        }
    }
    image.offset = image.offset.max(bound);
    Ok(())
}

/// Takes the records of one batch of the metadata log, or of a snapshot, in.
fn replay_batch(batch: &[u8], header: &BatchHeader, image: &mut Image) {
    image.epoch = image.epoch.max(header.leader_epoch.0);
    image.appended_at = header.max_timestamp;
    for record in Records::new(header, &batch[HEADER_BYTES..]) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                image.unreadable.push(format!("the batch at offset {}: {error}", header.base_offset));
                return;
            }
        };
        if header.is_control() {
            match ControlRecord::parse(record.key, record.value) {
                Ok(ControlRecord::KRaftVersion(version)) => image.kraft_version = version,
                Ok(ControlRecord::KRaftVoters(voters)) => image.voters = voters,
                Ok(ControlRecord::LeaderChange(change)) => image.static_voters = change.voters,
                _ => {}
            }
            continue;
        }
        match MetadataRecord::parse(record.value.unwrap_or_default()) {
            Ok(record) => image.apply(record),
            Err(what) => image.unreadable.push(format!("the record at offset {}: {what}", record.offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::voters_of;

    #[test]
    fn voters_are_read_from_a_quorum_state_of_either_version() {
        let noted = r#"{"clusterId":"","leaderId":1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId": 12}],"data_version":0}"#;
        assert_eq!(voters_of(noted), [1, 12]);
        let logged = r#"{"leaderId":1,"leaderEpoch":2,"votedId":1,"votedDirectoryId":"_ty6mHZUMhABI0VniavN7w","data_version":1}"#;
        assert_eq!(voters_of(logged), [0; 0]);
        assert_eq!(voters_of(""), [0; 0]);
    }
}
