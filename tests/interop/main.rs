//! klog and the files of real Kafka brokers.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod read_golden;
