//! Making, describing and removing topics.
//!
//! A topic exists from the moment its metadata records are durable. Its directories are made after that, and made up for by
//! whoever opens a partition first, if an interruption came between. A removed topic's directories are renamed to
//! `…-delete` at once and removed later.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{Cluster, unknown_topic};
use super::configs::check_configs;
use super::topic::Topic;
use crate::config::Durability;
use crate::controller::{Image, MetadataRecord, PartitionRecord, ResourceType};
use crate::error::{Error, ErrorCode, Result};
use crate::shm::State;
use crate::sys::points::{Point, reached};
use crate::sys::{Disk, Sys};
use crate::types::{INTERNAL_TOPICS, LeaderEpoch, METADATA_TOPIC, TopicPartition, Uuid, check_topic_name};

/// A topic that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None` takes `num.partitions`.
    pub partitions: Option<i32>,
    /// How many replicas; `None` takes `default.replication.factor`.
    pub replication_factor: Option<i32>,
    /// Settings by Kafka's names.
    pub configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the engine's defaults.
    pub fn named(name: impl Into<String>) -> Self {
        NewTopic { name: name.into(), ..NewTopic::default() }
    }

    /// With so many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// With a setting.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }
}

/// What there is to know about a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id; all zero where none is known.
    pub id: Uuid,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// Settings that differ from the defaults.
    pub configs: BTreeMap<String, String>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionDescription>,
}

/// What there is to know about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The broker that leads it, −1 for none.
    pub leader: i32,
    /// Its epoch.
    pub leader_epoch: i32,
    /// Brokers that have a copy.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// The first offset there is.
    pub log_start_offset: i64,
    /// Everything below is decided.
    pub last_stable_offset: i64,
    /// Everything below is visible.
    pub high_watermark: i64,
    /// The next offset to be assigned.
    pub log_end_offset: i64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// How many segments it has.
    pub segments: usize,
}

/// Partitions that one call makes at most.
///
/// Source: `org.apache.kafka.controller.QuorumController#MAX_RECORDS_PER_USER_OP`.
const MOST_PARTITIONS: i32 = 10_000;

impl Cluster {
    /// Makes a topic; durable on return.
    ///
    /// # Errors
    /// `PolicyViolation` for more partitions than one call may make, `InvalidTopic`, `TopicAlreadyExists`,
    /// `InvalidPartitions`, `InvalidReplicationFactor`, `InvalidConfig`, `Unsupported`;
    /// nothing is changed.
    pub(crate) fn create_topic(self: &Arc<Self>, new: &NewTopic) -> Result<TopicDescription> {
        let _inside = self.enter_writing()?;
        self.dir().check_place()?;
        check_topic_name(&new.name)?;
        if new.name == METADATA_TOPIC {
            check_not_internal(&new.name, "made")?;
        }
        let partitions = new.partitions.unwrap_or(self.config.num_partitions);
        check_counts(new, partitions, self.config.default_replication_factor)?;
        let mut configs = new.configs.clone();
        if self.config.klog_durability != Durability::Fsync {
            let default = self.config.klog_durability.name().to_owned();
            configs.entry("klog.durability".into()).or_insert(default);
        }
        check_configs(configs.iter().map(|(name, value)| (&**name, &**value)))?;
        let id = self.sys.new_uuid();
        let controller = self.controller()?;
        self.spare().allow(|| {
            controller.change(|image| {
                // Nobody else makes one of that name meanwhile, so what is in the way is left over.
                check_free(&new.name, image)?;
                self.clear_way(&new.name, 0..partitions)?;
                let mut records = vec![MetadataRecord::Topic { name: new.name.clone(), id }];
                records.extend((0..partitions).map(|partition| self.new_partition(id, partition)));
                let config = |(key, value): (&String, &String)| {
                    MetadataRecord::config(ResourceType::TOPIC, &new.name, key, Some(value))
                };
                records.extend(configs.iter().map(config));
                Ok(records)
            })
        })?;
        reached(Point::TopicCreated);
        self.make_directories(&new.name, 0..partitions)?;
        self.take_snapshot(false);
        self.describe_topic(&new.name)
    }

    /// The topic of that name; made if it is not there and the engine may.
    pub(crate) fn topic_or_create(self: &Arc<Self>, name: &str) -> Result<Arc<Topic>> {
        match self.topic(name) {
            Err(error) if error.code() == ErrorCode::UnknownTopicOrPartition => {
                if !self.config.auto_create_topics_enable || INTERNAL_TOPICS.contains(&name) {
                    return Err(error);
                }
                match self.create_topic(&NewTopic::named(name)) {
                    Ok(_) => self.topic(name),
                    Err(race) if race.code() == ErrorCode::TopicAlreadyExists => self.topic(name),
                    Err(error) => Err(error),
                }
            }
            result => result,
        }
    }

    /// Gives a topic more partitions, `total` in all; durable on return.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; `InvalidPartitions` for a total that is not larger; `PolicyViolation`; `Unsupported`;
    /// nothing is changed.
    pub(crate) fn add_partitions(self: &Arc<Self>, name: &str, total: i32) -> Result<TopicDescription> {
        let _inside = self.enter_writing()?;
        self.dir().check_place()?;
        check_not_internal(name, "given partitions")?;
        let controller = self.controller()?;
        let before = Cell::new(0);
        self.spare().allow(|| {
            controller.change(|image| {
                let topic = image.topic(name).ok_or_else(|| unknown_topic(name, image))?;
                // Somebody else may have added some just before.
                before.set(topic.partition_count());
                check_growth(name, before.get(), total)?;
                self.clear_way(name, before.get()..total)?;
                Ok((before.get()..total).map(|partition| self.new_partition(topic.id, partition)).collect())
            })
        })?;
        let id = self.topic(name)?.id;
        if let Some(member) = self.dir().member() {
            // Who reads the whole topic, and sleeps on the one partition that it had.
            for block in member.control().blocks().iter().filter(|block| block.named().0 == id) {
                member.announce(block);
            }
        }
        self.make_directories(name, before.get()..total)?;
        self.take_snapshot(false);
        self.describe_topic(name)
    }

    /// Makes the directories of partitions that exist since the metadata says so.
    fn make_directories(&self, name: &str, numbers: Range<i32>) -> Result<()> {
        let topic = self.topic(name)?;
        topic.grow(numbers.end);
        topic.make_directories(numbers, |number| {
            let partition = TopicPartition::new(name, number);
            self.make_directory(&partition, topic.id, LeaderEpoch(0))
        })
    }

    /// A partition that this broker leads, and nobody else has.
    fn new_partition(&self, topic_id: Uuid, partition: i32) -> MetadataRecord {
        let (me, directory) =
            self.identity().map_or((-1, Uuid::ZERO), |identity| (identity.node_id, identity.directory_id));
        MetadataRecord::Partition(PartitionRecord::sole(topic_id, partition, me, directory, 0))
    }

    /// Removes a topic with all its records; durable on return.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; `InvalidTopic` for one of Kafka's own.
    pub(crate) fn delete_topic(self: &Arc<Self>, name: &str) -> Result<()> {
        let _inside = self.enter_writing()?;
        self.dir().check_place()?;
        check_not_internal(name, "deleted")?;
        let controller = self.controller()?;
        let id = Cell::new(Uuid::ZERO);
        self.spare().allow(|| {
            controller.change(|image| {
                let topic = image.topic(name).ok_or_else(|| unknown_topic(name, image))?;
                id.set(topic.id);
                Ok(vec![MetadataRecord::RemoveTopic { id: topic.id }])
            })
        })?;
        reached(Point::TopicRemoved);
        let topic = self.forget_topic(name);
        self.mark_blocks_removed(id.get(), topic.as_deref());
        let delay = topic.map_or(60_000, |topic| topic.config().file_delete_delay_ms as u64);
        let paths = self.rename_dirs(name, id.get())?;
        self.remove_later(paths, Duration::from_millis(delay));
        self.take_snapshot(false);
        Ok(())
    }

    /// Says to every process that the partitions of a topic are gone: no append is acknowledged there any more.
    fn mark_blocks_removed(&self, id: Uuid, topic: Option<&Topic>) {
        let Some(member) = self.dir().member() else { return };
        // Under the lock, so that no append comes after it. One who keeps the lock keeps the records of a dead topic.
        topic.into_iter().flat_map(Topic::open_partitions).for_each(|partition| partition.log().mark_removed());
        for block in member.control().blocks().iter().filter(|block| block.named().0 == id) {
            if block.state() != State::Removed {
                let held = member.acquire(block, &"deleting a topic");
                block.mark_removed();
                if let Ok(held) = held {
                    held.release();
                }
            }
            member.announce(block); // who waits for a record is told
        }
    }

    /// Makes sure that new partitions find no old records: directories of their names that are left of a removed topic go.
    fn clear_way(&self, name: &str, mut numbers: Range<i32>) -> Result<()> {
        numbers.try_for_each(|number| {
            let partition = TopicPartition::new(name, number);
            self.clear_way_of(&partition)?;
            self.dir().forget(&partition);
            Ok(())
        })?;
        // What a checkpoint says of an old partition of that name must not be said of the new one.
        self.dir().write_checkpoints()
    }

    fn clear_way_of(&self, partition: &TopicPartition) -> Result<()> {
        let path = self.path().join(partition.to_string());
        match self.sys.disk.stat(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(|e| Error::io(format_args!("looking for {}", path.display()), e))?,
        };
        let id = super::open::read_topic_id(&self.sys, self.path(), partition);
        if let Ok(Some(id)) = id
            && Self::may_delete(&self.image())
            && self.controller()?.was_removed(id)?
        {
            self.dir().begin_writing()?;
            self.mark_blocks_removed(id, None); // whoever removed it may have died before
            let doomed =
                self.rename_doomed(partition).map_err(|e| Error::io(format_args!("removing {}", path.display()), e))?;
            self.remove_later(vec![doomed], Duration::ZERO);
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::InconsistentTopicId,
            format!("{} exists and belongs to no topic of this cluster; move it away first", path.display()),
        ))
    }

    fn rename_doomed(&self, partition: &TopicPartition) -> io::Result<PathBuf> {
        let doomed = self.path().join(doomed_name(partition, self.sys.new_uuid()));
        self.sys.disk.rename(&self.path().join(partition.to_string()), &doomed)?;
        self.sys.disk.sync_dir(self.path())?;
        self.dir().forget(partition);
        Ok(doomed)
    }

    /// Takes the directories of a removed topic out of the way. With the right to change the metadata: another process may
    /// have made a topic of that name since, and its directories have these names.
    fn rename_dirs(&self, name: &str, id: Uuid) -> Result<Vec<PathBuf>> {
        let error = |e| Error::io(format_args!("removing topic '{name}' from {}", self.path().display()), e);
        self.dir().check_place()?;
        let mut paths = Vec::new();
        self.controller()?.change(|image| {
            let is_made_again = image.topic(name).is_some();
            for entry in self.sys.disk.list(self.path()).map_err(error)? {
                let Some(partition) =
                    TopicPartition::parse_dir(&entry.name).filter(|p| entry.is_dir && p.topic == name)
                else {
                    continue;
                };
                let is_its_own = || super::open::read_topic_id(&self.sys, self.path(), &partition) == Ok(Some(id));
                if !is_made_again || is_its_own() {
                    paths.push(self.rename_doomed(&partition).map_err(error)?);
                }
            }
            Ok(Vec::new())
        })?;
        Ok(paths)
    }

    /// What there is to know about a topic.
    pub(crate) fn describe_topic(self: &Arc<Self>, name: &str) -> Result<TopicDescription> {
        let topic = self.topic(name)?;
        // The image comes second, so it has what the topic has; of what it has besides, the topic learns here.
        let image = self.image();
        let found = image.topic(name).filter(|found| found.id == topic.id);
        let found = found.ok_or_else(|| unknown_topic(name, &image))?.clone();
        topic.grow(found.partition_count());
        let mut partitions = Vec::new();
        for (number, record) in &found.partitions {
            partitions.push(self.describe_partition(&topic, *number, record)?);
        }
        let configs =
            image.configs(ResourceType::TOPIC, name).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Ok(TopicDescription {
            name: name.to_owned(),
            id: found.id,
            is_internal: INTERNAL_TOPICS.contains(&name),
            configs,
            partitions,
        })
    }

    fn describe_partition(&self, topic: &Topic, number: i32, record: &PartitionRecord) -> Result<PartitionDescription> {
        let replica = topic.partition(self, number)?;
        replica.log().mirror();
        let block = replica.log().block();
        Ok(PartitionDescription {
            partition: number,
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            log_start_offset: block.log_start().0,
            last_stable_offset: block.last_stable().0,
            high_watermark: block.high_watermark().0,
            log_end_offset: block.log_end().0,
            bytes: replica.log().size()?,
            segments: replica.log().segment_bases()?.len(),
        })
    }

    /// Whether `id`, in a directory called as `partition` is, belonged to a topic that was removed.
    fn is_known_as_removed(&self, partition: &TopicPartition, id: Uuid) -> bool {
        let image = self.image();
        let is_current = image.topic(&partition.topic).is_some_and(|topic| topic.id == id);
        !is_current && self.controller().and_then(|controller| controller.was_removed(id)).unwrap_or(false)
    }

    /// Whether a directory that waits for its removal is one that this metadata log removed, or has nothing in it any more.
    /// What a broker left before klog knew the directory stays.
    fn is_leftover(&self, path: &Path) -> io::Result<bool> {
        if let Ok(Some(id)) = super::open::topic_id_in(&self.sys, path) {
            return Ok(self.controller().and_then(|controller| controller.was_removed(id)).unwrap_or(false));
        }
        Ok(self.sys.disk.list(path)?.is_empty())
    }

    /// Finishes removing what an earlier process was told to remove, in a directory that is klog's own.
    pub(super) fn finish_removals(&self) -> io::Result<()> {
        let mut doomed = Vec::new();
        for entry in self.sys.disk.list(self.path())?.iter().filter(|entry| entry.is_dir) {
            if is_doomed_name(&entry.name) {
                let path = self.path().join(&entry.name);
                if self.is_leftover(&path)? {
                    doomed.push(path);
                }
                continue;
            }
            let Some(partition) = TopicPartition::parse_dir(&entry.name) else {
                continue;
            };
            if let Ok(Some(id)) = super::open::read_topic_id(&self.sys, self.path(), &partition)
                && self.is_known_as_removed(&partition, id)
            {
                doomed.push(self.rename_doomed(&partition)?);
            }
        }
        doomed.iter().try_for_each(|path| remove_tree(&self.sys, path))
    }
}

fn check_not_internal(name: &str, what: &str) -> Result<()> {
    if name != METADATA_TOPIC && !INTERNAL_TOPICS.contains(&name) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidTopic, format!("'{name}' is one of Kafka's own topics and cannot be {what}")))
}

fn check_growth(name: &str, now: i32, total: i32) -> Result<()> {
    if total <= now {
        let what = if total == now { "already has" } else { "has" };
        return Err(Error::new(
            ErrorCode::InvalidPartitions,
            format!(
                "topic '{name}' {what} {now} partition{} and cannot have {total}; partitions only become more",
                if now == 1 { "" } else { "s" }
            ),
        ));
    }
    check_most(name, total - now)
}

fn check_most(name: &str, new: i32) -> Result<()> {
    if new <= MOST_PARTITIONS {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::PolicyViolation,
        format!("topic '{name}' cannot get {new} partitions; {MOST_PARTITIONS} is the most at once"),
    ))
}

fn check_counts(new: &NewTopic, partitions: i32, default_factor: i32) -> Result<()> {
    if partitions < 1 {
        return Err(Error::new(
            ErrorCode::InvalidPartitions,
            format!("topic '{}' cannot have {partitions} partitions; 1 is the least", new.name),
        ));
    }
    check_most(&new.name, partitions)?;
    let factor = new.replication_factor.unwrap_or(default_factor);
    if factor != 1 {
        return Err(Error::new(
            ErrorCode::InvalidReplicationFactor,
            format!("topic '{}' cannot have {factor} replicas; there is 1 broker", new.name),
        ));
    }
    Ok(())
}

fn check_free(name: &str, image: &Image) -> Result<()> {
    if image.topic(name).is_some() {
        return Err(Error::new(ErrorCode::TopicAlreadyExists, format!("topic '{name}' exists")));
    }
    // Metric names have '_' for '.', so two such topics would share theirs in Kafka.
    let same = |other: &&String| other.replace('.', "_") == name.replace('.', "_");
    if let Some(other) = image.topics().keys().find(same) {
        return Err(Error::new(
            ErrorCode::InvalidTopic,
            format!("topic '{name}' would differ from '{other}' in '.' and '_' only, which Kafka does not allow"),
        ));
    }
    Ok(())
}

/// `<topic>-<partition>.<32 hex>-delete`, the topic cut where the name would have more than 255 characters.
///
/// Source: `org.apache.kafka.storage.internals.log.LogFileUtils#logDeleteDirName`.
fn doomed_name(partition: &TopicPartition, id: Uuid) -> String {
    let hex: String = id.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let suffix = format!("-{}.{hex}-delete", partition.partition);
    let topic: String = partition.topic.chars().take(255 - suffix.len()).collect();
    format!("{topic}{suffix}")
}

/// Whether a directory is called as one that waits for its removal.
fn is_doomed_name(name: &str) -> bool {
    let parts = name.strip_suffix("-delete").and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(partition, hex)| {
        hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()) && TopicPartition::parse_dir(partition).is_some()
    })
}

/// Removes a file, or a directory of files.
pub(super) fn remove_tree(sys: &Sys, path: &Path) -> io::Result<()> {
    match sys.disk.stat(path) {
        Ok(stat) if stat.is_dir => {
            for entry in sys.disk.list(path)? {
                let path = path.join(&entry.name);
                if entry.is_dir {
                    remove_tree(sys, &path)?;
                } else {
                    sys.disk.remove_file(&path)?;
                }
            }
            sys.disk.remove_dir(path)
        }
        Ok(_) => sys.disk.remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
