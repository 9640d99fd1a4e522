//! What a consumer can be told.
//!
//! Source: Kafka documentation, "Consumer Configs".

use super::options;
use super::value::words;

words! {
    /// Where reading begins when nothing else says so.
    pub enum OffsetReset ("earliest, latest, none") {
        /// At the first record there is.
        Earliest = "earliest",
        /// Behind the last one.
        Latest = "latest",
        /// Nowhere: it is an error.
        None = "none",
    }
}

words! {
    /// Which records of transactions are seen.
    pub enum IsolationLevel ("read_uncommitted, read_committed") {
        /// All of them, at once.
        ReadUncommitted = "read_uncommitted",
        /// Those of committed transactions, once they are; nothing behind an open one.
        ReadCommitted = "read_committed",
    }
}

options! {
    /// Settings of a consumer, by Kafka's names.
    pub struct ConsumerConfig ("consumer") {
        /// Where reading begins when nothing else says so, and after an offset out of range. Kafka's default is latest;
        /// somebody who reads a log on his own disk for the first time wants to see what is in it.
        auto_offset_reset: OffsetReset = OffsetReset::Earliest, "auto.offset.reset";
        /// Check the CRC of every batch.
        check_crcs: bool = true, "check.crcs";
        /// A name for messages.
        client_id: String = String::new(), "client.id";
        /// Leave Kafka's own topics out when whole topics are assigned by pattern.
        exclude_internal_topics: bool = true, "exclude.internal.topics";
        /// Joins a group. Not yet in klog.
        group_id: String = String::new(), "group.id";
        /// Which records of transactions are seen.
        isolation_level: IsolationLevel = IsolationLevel::ReadUncommitted, "isolation.level";
        /// Bytes that one compressed batch may hold. klog's own: a damaged or hostile batch of a kilobyte can stand for
        /// gigabytes.
        klog_max_decompressed_bytes: i32 = 268_435_456, "klog.max.decompressed.bytes", in 1..=i32::MAX;
        /// Bytes read at once from a partition; a larger batch is read whole all the same.
        max_partition_fetch_bytes: i32 = 1_048_576, "max.partition.fetch.bytes", in 0..=i32::MAX;
        /// Records that one poll returns at most.
        max_poll_records: i32 = 500, "max.poll.records", in 1..=i32::MAX;
        /// Accepted for Kafka's sake, without effect: a poll returns as soon as there is a record.
        fetch_min_bytes: i32 = 1, "fetch.min.bytes", in 0..=i32::MAX;
        /// Accepted for Kafka's sake, without effect: the timeout of the poll counts.
        fetch_max_wait_ms: i32 = 500, "fetch.max.wait.ms", in 0..=i32::MAX;
        /// Accepted for Kafka's sake, without effect: one poll reads one partition.
        fetch_max_bytes: i32 = 52_428_800, "fetch.max.bytes", in 0..=i32::MAX;
        /// Commits positions by themselves. Without a group there is nothing to commit.
        enable_auto_commit: bool = true, "enable.auto.commit";
        /// How often, in ms.
        auto_commit_interval_ms: i32 = 5000, "auto.commit.interval.ms", in 0..=i32::MAX;
    }
}
