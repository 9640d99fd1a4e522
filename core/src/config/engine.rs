//! What an engine can be told.
//!
//! Source: Kafka documentation, "Broker Configs", for the names that Kafka has.

use super::options;
use super::topic::Durability;
use super::value::words;

words! {
    /// How processes take turns at a partition.
    pub enum LockKind ("futex, ofd") {
        /// A word in shared memory, and sleep in the kernel.
        Futex = "futex",
        /// A lock of the kernel's for each partition: slower, and the reference that the other one is tested against.
        Ofd = "ofd",
    }
}

words! {
    /// Whether an engine may start threads.
    pub enum Threads ("on, off") {
        /// On first need.
        On = "on",
        /// Never: calls, flush and close do the same work; a lingering batch is written by the next call, and `flush.ms`
        /// is no promise.
        Off = "off",
    }
}

options! {
    /// Settings of an engine.
    pub struct EngineConfig ("engine") {
        /// Whether sending to a topic that does not exist creates it.
        auto_create_topics_enable: bool = true, "auto.create.topics.enable";
        /// How many brokers the cluster has, each with a directory of its own. More than one is not yet in klog.
        brokers: i32 = 1, "brokers", in 1..=32;
        /// Replicas of a new topic that asks for none in particular.
        default_replication_factor: i32 = 1, "default.replication.factor", in 1..=32;
        /// `klog.durability` of new topics that ask for none in particular.
        klog_durability: Durability = Durability::Fsync, "klog.durability";
        /// Take the directory for this handle alone, as is done anyway where the file system is not one on which klog shares.
        exclusive: bool = false, "klog.exclusive";
        /// How processes take turns at a partition; whoever opens the directory first decides.
        lock: LockKind = LockKind::Futex, "klog.lock";
        /// How long to wait, in ms, for a broker, or for a process that has the directory to itself, to leave it.
        lock_timeout_ms: i64 = 0, "klog.lock.timeout.ms", in 0..=i64::MAX;
        /// How often old segments are looked for, in ms.
        log_retention_check_interval_ms: i64 = 300_000, "log.retention.check.interval.ms", in 1..=i64::MAX;
        /// Partitions of a new topic that asks for none in particular.
        num_partitions: i32 = 1, "num.partitions", in 1..=i32::MAX;
        /// How long a call waits, in ms, for a lock that another process holds, before it fails with the name of the holder.
        /// Nothing is ever taken from a holder that lives.
        request_timeout_ms: i32 = 30_000, "request.timeout.ms", in 1..=i32::MAX;
        /// Keep a file of 1 MiB whose release lets a full disk be cleaned up.
        spare: bool = true, "klog.spare";
        /// Whether the engine may start threads.
        threads: Threads = Threads::On, "threads";
    }
}
