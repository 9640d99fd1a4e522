//! klog is an embeddable log engine that keeps Apache Kafka's own on-disk format: the SQLite of Kafka.

#[cfg(not(target_os = "linux"))]
compile_error!("klog runs on Linux only: it needs open file description locks and futexes");

mod error;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod controller;
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
pub use error::{Damage, Error, ErrorCode, Result};
