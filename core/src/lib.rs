//! klog is an embeddable log engine that keeps Apache Kafka's own on-disk format: the `SQLite` of Kafka.
//!
//! An [`Engine`] is a handle on a directory, which is a Kafka `log.dir`, byte for byte. [`Producer`]s append to it,
//! [`Consumer`]s read it, [`Admin`] makes and describes topics. There is no broker, no JVM and no network.
//!
//! ```
//! # fn main() -> Result<(), klog::Error> {
//! use std::time::Duration;
//! use klog::{Engine, Start};
//!
//! # let dir = tempfile::tempdir().expect("a place to write");
//! let engine = Engine::open(dir.path().join("data"))?;
//! engine.producer()?.send("greetings", Some(b"en"), Some(b"hello, world"))?.result()?;
//!
//! let mut consumer = engine.consumer()?;
//! consumer.assign_topics(&["greetings"], Start::Earliest)?;
//! for record in &consumer.poll(Duration::from_secs(1))? {
//!     println!("{} {:?}", record.offset(), record.value());
//! }
//! engine.close()?;
//! # Ok(()) }
//! ```
//!
//! What an acknowledgement means, after the death of the process and after a power cut, is said in `docs/durability.md`; what
//! holds where several processes have a directory open, in `docs/processes.md`.

#[cfg(not(target_os = "linux"))]
compile_error!("klog runs on Linux only: it needs open file description locks and futexes");

mod admin;
mod consumer;
mod engine;
mod error;
mod producer;

// The house itself. Reachable for klog's own tests and its tools; no part of what is promised.
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod controller;
#[doc(hidden)]
pub mod date;
#[doc(hidden)]
pub mod inspect;
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod record;
#[doc(hidden)]
pub mod replica;
#[doc(hidden)]
pub mod segment;
#[doc(hidden)]
pub mod shm;
#[doc(hidden)]
pub mod sys;
#[doc(hidden)]
pub mod types;

pub use admin::{Admin, ListedOffset, TopicListing};
pub use config::{
    Acks, ConsumerConfig, Durability, EngineConfig, IsolationLevel, OffsetReset, ProducerConfig, Row, Threads,
    TopicConfig,
};
pub use consumer::{Batch, Consumer, Start, Waker};
pub use engine::{
    Adoption, Attached, AttachedHandle, ConfigEntry, ConfigResource, ConfigSource, Engine, HeldLock, Holding,
    LogDirDescription, Metric, MetricKind, Metrics, Mode, NewTopic, OpenOptions, PartitionDescription,
    PartitionMetrics, ReplicaDescription, Retention, Sharing, TopicDescription,
};
pub use error::{Damage, Error, ErrorCode, Result};
pub use log::{BatchDescription, Cut, Finding, OffsetSpec, Report, SegmentDescription};
pub use producer::{Delivery, Producer, ProducerRecord, RecordMetadata};
pub use record::{BatchError, BatchHeader, Codec, Partitioner, Record, TimestampType};
pub use shm::Counts;
pub use types::{LeaderEpoch, Offset, ProducerId, TimestampMs, TopicPartition, Uuid};

/// The version of klog.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
