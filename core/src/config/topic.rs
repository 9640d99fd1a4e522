//! What a topic can be told.
//!
//! Source: Kafka documentation, "Topic-Level Configs"; `org.apache.kafka.common.config.TopicConfig`.

use super::value::{GzipLevel, words};
use super::{OptionValue, options};
use crate::record::{Codec, Compression};

words! {
    /// When a record counts as stored.
    pub enum Durability ("os, fsync") {
        /// When the operating system has it: it survives the death of the process, not a power cut.
        Os = "os",
        /// When the disk has it.
        Fsync = "fsync",
    }
}

words! {
    /// Whose clock timestamps come from.
    pub enum MessageTimestampType ("CreateTime, LogAppendTime") {
        /// The producer's.
        CreateTime = "CreateTime",
        /// The log's.
        LogAppendTime = "LogAppendTime",
    }
}

/// What becomes of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Whole segments go when they are too old or too many.
    pub delete: bool,
    /// Of each key, only the last record stays.
    pub compact: bool,
}

impl OptionValue for CleanupPolicy {
    const KIND: &'static str = "list of delete, compact";
    fn parse(text: &str) -> Result<Self, String> {
        let mut policy = CleanupPolicy { delete: false, compact: false };
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "delete" => policy.delete = true,
                "compact" => policy.compact = true,
                _ => return Err("a list of delete and compact".into()),
            }
        }
        Ok(policy)
    }
    fn show(&self) -> Option<String> {
        let words = [(self.compact, "compact"), (self.delete, "delete")];
        Some(words.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect::<Vec<_>>().join(","))
    }
}

/// What a topic's segments are compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// Whatever the producer chose.
    Producer,
    /// This, whatever the producer chose.
    Codec(Codec),
}

impl OptionValue for CompressionType {
    const KIND: &'static str = "producer, uncompressed, gzip, snappy, lz4, zstd";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "producer" => Ok(CompressionType::Producer),
            "uncompressed" => Ok(CompressionType::Codec(Codec::None)),
            "none" => Err(format!("one of {}", Self::KIND)),
            name => Codec::by_name(name).map(CompressionType::Codec).ok_or(format!("one of {}", Self::KIND)),
        }
    }
    fn show(&self) -> Option<String> {
        Some(match self {
            CompressionType::Producer => "producer".into(),
            CompressionType::Codec(Codec::None) => "uncompressed".into(),
            CompressionType::Codec(codec) => codec.name().into(),
        })
    }
}

options! {
    /// Settings of a topic, by Kafka's names.
    pub struct TopicConfig ("topic") {
        /// What becomes of old records. `compact` is refused on users' topics until klog has a cleaner.
        cleanup_policy: CleanupPolicy = CleanupPolicy { delete: true, compact: false }, "cleanup.policy", broker "log.cleanup.policy";
        /// What records are stored with.
        compression_type: CompressionType = CompressionType::Producer, "compression.type", broker "compression.type";
        /// Level when the topic compresses with gzip; −1 is zlib's own.
        compression_gzip_level: GzipLevel = GzipLevel::DEFAULT, "compression.gzip.level", broker "compression.gzip.level";
        /// Level when the topic compresses with lz4. klog has one level; the value is kept for Kafka.
        compression_lz4_level: i32 = 9, "compression.lz4.level", in 1..=17, broker "compression.lz4.level";
        /// Level when the topic compresses with zstd.
        compression_zstd_level: i32 = 3, "compression.zstd.level", in -131_072..=22, broker "compression.zstd.level";
        /// How long tombstones stay in a compacted topic, in ms.
        delete_retention_ms: i64 = 86_400_000, "delete.retention.ms", in 0..=i64::MAX, broker "log.cleaner.delete.retention.ms";
        /// How long a file that was removed stays on the disk, in ms, so that readers can finish.
        file_delete_delay_ms: i64 = 60_000, "file.delete.delay.ms", in 0..=i64::MAX, broker "log.segment.delete.delay.ms";
        /// Flush after so many records, whatever else the durability asks for.
        flush_messages: i64 = i64::MAX, "flush.messages", in 1..=i64::MAX, broker "log.flush.interval.messages";
        /// Flush within so many ms. Unset, klog flushes within 10 ms where `klog.durability` is fsync and within 1,000
        /// where it is os; Kafka leaves it to the operating system.
        flush_ms: Option<i64> = None, "flush.ms", in 0..=i64::MAX, broker "log.flush.interval.ms";
        /// Bytes of the log between two index entries.
        index_interval_bytes: i32 = 4096, "index.interval.bytes", in 0..=i32::MAX, broker "log.index.interval.bytes";
        /// When a record counts as stored, and so when consumers see it: `os` or `fsync`. klog's own; Kafka has replicas
        /// on other machines instead.
        klog_durability: Durability = Durability::Fsync, "klog.durability";
        /// The largest batch, in bytes as stored.
        max_message_bytes: i32 = 1_048_588, "max.message.bytes", in 0..=i32::MAX, broker "message.max.bytes";
        /// After so many ms a compacted topic rolls and cleans, however clean it is.
        max_compaction_lag_ms: i64 = i64::MAX, "max.compaction.lag.ms", in 1..=i64::MAX, broker "log.cleaner.max.compaction.lag.ms";
        /// How far ahead of the clock a producer's timestamp may be, in ms.
        message_timestamp_after_max_ms: i64 = 3_600_000, "message.timestamp.after.max.ms", in 0..=i64::MAX, broker "log.message.timestamp.after.max.ms";
        /// How far behind the clock a producer's timestamp may be, in ms.
        message_timestamp_before_max_ms: i64 = i64::MAX, "message.timestamp.before.max.ms", in 0..=i64::MAX, broker "log.message.timestamp.before.max.ms";
        /// Whose clock timestamps come from.
        message_timestamp_type: MessageTimestampType = MessageTimestampType::CreateTime, "message.timestamp.type", broker "log.message.timestamp.type";
        /// The share of uncleaned bytes from which a compacted topic is cleaned.
        min_cleanable_dirty_ratio: f64 = 0.5, "min.cleanable.dirty.ratio", in 0.0..=1.0, broker "log.cleaner.min.cleanable.ratio";
        /// Records younger than so many ms are not compacted.
        min_compaction_lag_ms: i64 = 0, "min.compaction.lag.ms", in 0..=i64::MAX, broker "log.cleaner.min.compaction.lag.ms";
        /// Replicas that must be in sync for acks=all. Counts no more than the partition has.
        min_insync_replicas: i32 = 1, "min.insync.replicas", in 1..=i32::MAX, broker "min.insync.replicas";
        /// Give a new segment its full size at once.
        preallocate: bool = false, "preallocate", broker "log.preallocate";
        /// Delete the oldest segments while the partition has more bytes than this; −1 never does.
        retention_bytes: i64 = -1, "retention.bytes", broker "log.retention.bytes";
        /// Delete segments older than so many ms; −1 never does.
        retention_ms: i64 = 604_800_000, "retention.ms", in -1..=i64::MAX, broker "log.retention.ms";
        /// The size at which a segment is finished and another begun.
        segment_bytes: i32 = 1_073_741_824, "segment.bytes", in 1_048_576..=i32::MAX, broker "log.segment.bytes";
        /// The largest an index may grow; a full index finishes its segment.
        segment_index_bytes: i32 = 10_485_760, "segment.index.bytes", in 4..=i32::MAX, broker "log.index.size.max.bytes";
        /// A random part of `segment.ms` up to so many ms is taken off, so that segments do not all roll at once.
        segment_jitter_ms: i64 = 0, "segment.jitter.ms", in 0..=i64::MAX, broker "log.roll.jitter.ms";
        /// A segment is finished when its first record is older than so many ms.
        segment_ms: i64 = 604_800_000, "segment.ms", in 1..=i64::MAX, broker "log.roll.ms";
        /// Let a replica lead that may lack records when no other is left.
        unclean_leader_election_enable: bool = false, "unclean.leader.election.enable", broker "unclean.leader.election.enable";
        /// Kafka's throttle on the leader's side; kept for Kafka, without effect in klog.
        leader_replication_throttled_replicas: String = String::new(), "leader.replication.throttled.replicas";
        /// Kafka's throttle on the follower's side; kept for Kafka, without effect in klog.
        follower_replication_throttled_replicas: String = String::new(), "follower.replication.throttled.replicas";
        /// Tiered storage; klog has none.
        remote_storage_enable: bool = false, "remote.storage.enable";
    }
}

impl TopicConfig {
    /// Reads overrides as a metadata log holds them. Names and values that klog does not know are returned, not refused:
    /// another program wrote them.
    pub fn from_overrides<'a>(overrides: impl IntoIterator<Item = (&'a str, &'a str)>) -> (TopicConfig, Vec<String>) {
        let mut config = TopicConfig::default();
        let mut left = Vec::new();
        for (name, value) in overrides {
            if let Err(error) = config.set(name, value) {
                left.push(error.message().to_owned());
            }
        }
        (config, left)
    }

    /// The topic option whose default the broker option `name` gives.
    pub fn of_broker_name(name: &str) -> Option<&'static str> {
        let index = Self::BROKER_NAMES.iter().position(|broker_name| *broker_name == Some(name))?;
        Some(Self::NAMES[index])
    }

    /// What the topic stores records with; `None` is the producer's choice.
    pub fn compression(&self) -> Option<Compression> {
        let CompressionType::Codec(codec) = self.compression_type else {
            return None;
        };
        let level = match codec {
            Codec::Gzip => self.compression_gzip_level.number(),
            Codec::Zstd => self.compression_zstd_level,
            Codec::None | Codec::Snappy | Codec::Lz4 => 0,
        };
        Some(Compression { codec, level })
    }

    /// How long written bytes may stay unflushed, in ms.
    pub fn flush_within_ms(&self) -> i64 {
        self.flush_ms.unwrap_or(match self.klog_durability {
            Durability::Fsync => 10,
            Durability::Os => 1000,
        })
    }
}
