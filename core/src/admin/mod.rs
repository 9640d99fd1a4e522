//! The verbs about topics and partitions.
//!
//! Source: `org.apache.kafka.clients.admin.Admin`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::controller::Controller;
use crate::engine::{
    Attached, Cluster, ConfigEntry, ConfigResource, Engine, LogDirDescription, Metrics, NewTopic, TopicDescription,
};
use crate::error::Result;
use crate::log::{BatchDescription, Log, OffsetSpec, Report, SegmentDescription};
use crate::types::{INTERNAL_TOPICS, Offset, TimestampMs, TopicPartition, Uuid};

/// A topic in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id; all zero where none is known.
    pub id: Uuid,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has; 0 where that is not known.
    pub replication_factor: i32,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
}

/// An offset that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset; −1 when there is none.
    pub offset: i64,
    /// The timestamp of the record there, where it was found by time; −1 otherwise.
    pub timestamp: i64,
}

/// Looks at topics and changes them. Clones are the same.
///
/// A change is seen by other processes at their next call. Whatever changes something, or opens a partition for writing to
/// look at it, also answers `RequestTimedOut` when another process keeps a lock for longer than `request.timeout.ms`: what was
/// asked for may be done by then, or in part. Changes answer `Locked` once this handle lost its place in the directory.
#[derive(Clone)]
pub struct Admin {
    engine: Engine,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("engine", &self.engine).finish()
    }
}

impl Engine {
    /// The verbs about topics, partitions and settings.
    pub fn admin(&self) -> Admin {
        Admin { engine: self.clone() }
    }
}

impl Admin {
    /// The opened cluster, with what other processes have changed by now.
    fn cluster(&self) -> Result<&Arc<Cluster>> {
        let cluster = self.engine.cluster()?;
        cluster.sync()?;
        Ok(cluster)
    }

    /// Makes a topic. It exists, durably, on return.
    ///
    /// # Errors
    /// `InvalidTopic` for a name that Kafka does not allow; `TopicAlreadyExists`; `InvalidPartitions` below 1;
    /// `InvalidReplicationFactor` above the number of brokers; `InvalidConfig`; `Unsupported` for settings that klog does not
    /// have yet; `ReadOnly`. Nothing is changed.
    ///
    /// Source: Kafka protocol, CreateTopics.
    pub fn create_topic(&self, topic: &NewTopic) -> Result<TopicDescription> {
        self.cluster()?.create_topic(topic)
    }

    /// Gives a topic more partitions, `total` in all. They are there, durably, on return. Records with keys go to other
    /// partitions from then on than records with the same keys before.
    ///
    /// # Errors
    /// `InvalidPartitions` when `total` is not larger than what there is: partitions never become fewer;
    /// `UnknownTopicOrPartition`, with the nearest name; `PolicyViolation` for too many at once; `InvalidTopic` for Kafka's
    /// own topics; `ReadOnly`. Nothing is changed. When the disk refuses the directories (`DiskFull`, `KafkaStorageError`) the
    /// partitions are there all the same, and their directories are made when they are first used.
    ///
    /// Source: Kafka protocol, CreatePartitions; KIP-195.
    pub fn add_partitions(&self, name: &str, total: i32) -> Result<TopicDescription> {
        self.cluster()?.add_partitions(name, total)
    }

    /// Every setting of a topic, or of the brokers: its value, where that comes from, and what is allowed; by name.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, with the nearest name.
    ///
    /// Source: Kafka protocol, DescribeConfigs.
    pub fn describe_configs(&self, resource: &ConfigResource) -> Result<Vec<ConfigEntry>> {
        self.cluster()?.describe_configs(resource)
    }

    /// Changes settings; `None` takes one back to what holds without it. All of them or none are in force, durably, on
    /// return; other settings stay as they are.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; `InvalidConfig` for an unknown name, with the nearest one, and for a value out of bounds;
    /// `Unsupported`; `ReadOnly`. Nothing is changed.
    ///
    /// Source: Kafka protocol, IncrementalAlterConfigs; KIP-339.
    pub fn alter_configs(&self, resource: &ConfigResource, changes: &BTreeMap<String, Option<String>>) -> Result<()> {
        self.cluster()?.alter_configs(resource, changes)
    }

    /// Removes a topic with all its records. It is gone, durably, on return; its files go after `file.delete.delay.ms`.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, with the nearest name; `InvalidTopic` for Kafka's own topics; `ReadOnly`.
    ///
    /// Source: Kafka protocol, DeleteTopics.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.cluster()?.delete_topic(name)
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// `Closed`.
    pub fn list_topics(&self) -> Result<Vec<TopicListing>> {
        let cluster = self.cluster()?;
        let image = cluster.image();
        let listing = |topic: &crate::controller::TopicImage| TopicListing {
            name: topic.name.clone(),
            id: topic.id,
            partitions: topic.partitions.len() as i32,
            replication_factor: topic.partitions.values().next().map_or(0, |partition| partition.replicas.len() as i32),
            is_internal: INTERNAL_TOPICS.contains(&&*topic.name),
        };
        Ok(image.topics().values().map(listing).collect())
    }

    /// Everything about a topic: settings, partitions, leaders, offsets, sizes.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, with the nearest name.
    pub fn describe_topic(&self, name: &str) -> Result<TopicDescription> {
        self.cluster()?.describe_topic(name)
    }

    /// An offset of a partition: the first, the next, or one by time. "Latest" is the high watermark.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`.
    ///
    /// Source: Kafka protocol, ListOffsets.
    pub fn list_offset(&self, topic: &str, partition: i32, which: OffsetSpec) -> Result<ListedOffset> {
        let cluster = self.cluster()?;
        let found = cluster.topic(topic)?;
        let replica = found.partition(cluster, partition)?;
        let log = replica.log();
        let visible = log.block().high_watermark();
        let plain = |offset: Offset| ListedOffset { offset: offset.0, timestamp: -1 };
        let by_time = match which {
            OffsetSpec::Earliest => return Ok(plain(log.block().log_start())),
            OffsetSpec::Latest => return Ok(plain(visible)),
            OffsetSpec::MaxTimestamp => log.offset_of_max_timestamp(visible)?,
            OffsetSpec::At(timestamp) => log.offset_at(timestamp, visible)?,
        };
        let (offset, timestamp) =
            by_time.map_or((Offset(-1), TimestampMs::NONE), |found| (found.offset, found.timestamp));
        Ok(ListedOffset { offset: offset.0, timestamp: timestamp.0 })
    }

    /// Deletes the records of a partition below `before`; `None` deletes all that are visible. Returns the offset that the log
    /// starts at now. Durable on return; the space is free once whole segments are below it.
    ///
    /// # Errors
    /// `OffsetOutOfRange` above the high watermark; `PolicyViolation` on a compacted topic; `ReadOnly`.
    ///
    /// Source: KIP-107.
    pub fn delete_records(&self, topic: &str, partition: i32, before: Option<i64>) -> Result<i64> {
        let cluster = self.cluster()?;
        let _inside = cluster.enter_writing()?;
        let found = cluster.topic(topic)?;
        let replica = found.partition(cluster, partition)?;
        let log = replica.log();
        Ok(cluster.spare().allow(|| log.delete_records(before.map(Offset)))?.0)
    }

    /// Deletes now what the topics' retention lets go of, without waiting for the next round. Returns how many segments went.
    ///
    /// # Errors
    /// Those of the disk; `ReadOnly`.
    pub fn delete_old_segments(&self) -> Result<usize> {
        let cluster = self.cluster()?;
        let _inside = cluster.enter_writing()?;
        cluster.open_expiring();
        cluster.run_retention()
    }

    /// What is in the log directory, by its files: partitions and their sizes, and how much room is left.
    ///
    /// # Errors
    /// Those of the disk.
    ///
    /// Source: Kafka protocol, DescribeLogDirs.
    pub fn describe_log_dirs(&self) -> Result<Vec<LogDirDescription>> {
        Ok(vec![self.cluster()?.describe_log_dir()?])
    }

    /// Who has the directory open for writing, this engine too if it may write. A look: it takes no lock, and what it finds
    /// is old when it returns.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn attached(&self) -> Result<Attached> {
        self.engine.cluster()?.attached()
    }

    /// What is counted in the directory since the first of those who have it open opened it: appends, bytes, waits, flushes,
    /// what dead processes left. Nothing while nobody has it open.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn metrics(&self) -> Result<Metrics> {
        self.engine.cluster()?.metrics()
    }

    /// The segments of a partition, in order. Reads the header of every batch.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; those of the disk.
    pub fn list_segments(&self, topic: &str, partition: i32) -> Result<Vec<SegmentDescription>> {
        let cluster = self.cluster()?;
        cluster.topic(topic)?.partition(cluster, partition)?.log().describe_segments()
    }

    /// Up to `most` batches of a partition, from the one that contains `from` on, with their checksums checked.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; `OffsetOutOfRange` for an offset outside the log; those of the disk.
    pub fn list_batches(&self, topic: &str, partition: i32, from: i64, most: usize) -> Result<Vec<BatchDescription>> {
        let cluster = self.cluster()?;
        cluster.topic(topic)?.partition(cluster, partition)?.log().describe_batches(Offset(from), most)
    }

    /// Reads everything and checks everything: batches, indexes, in one topic or in all. An empty report is good news.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`. Damage, and what cannot be read at all, is in the report.
    pub fn verify(&self, topic: Option<&str>) -> Result<Report> {
        self.verify_with(topic, |_, _| {})
    }

    /// As [`verify`](Self::verify); `progress` is told from time to time how many bytes were looked at, and of how many.
    ///
    /// # Errors
    /// Those of [`verify`](Self::verify).
    pub fn verify_with(&self, topic: Option<&str>, mut progress: impl FnMut(u64, u64)) -> Result<Report> {
        let cluster = self.cluster()?;
        let mut report = Report::default();
        let names: Vec<String> = match topic {
            Some(name) => vec![name.to_owned()],
            None => cluster.image().topics().keys().cloned().collect(),
        };
        // One that cannot be read at all does not keep the others from being looked at.
        let mut partitions = Vec::new();
        for name in names {
            let found = cluster.topic(&name)?;
            for number in 0..found.partition_count() {
                match found.partition(cluster, number) {
                    Ok(partition) => partitions.push(partition),
                    Err(error) => report.finding(TopicPartition::new(&*name, number).to_string(), error.message()),
                }
            }
        }
        let controller = cluster.controller().ok().filter(|_| topic.is_none());
        let logs: Vec<&Log> =
            partitions.iter().map(|partition| partition.log()).chain(controller.map(Controller::log)).collect();
        let total = logs.iter().map(|log| log.size().unwrap_or(0)).sum();
        let mut done = 0;
        for log in logs {
            let verified = log.verify(&mut report, &mut |bytes| {
                done += bytes;
                progress(done, total);
            });
            if let Err(error) = verified {
                report.finding(log.partition().to_string(), error.message());
            }
        }
        Ok(report)
    }
}
