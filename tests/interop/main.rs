//! klog and the files of real Kafka brokers.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod adopt_golden;
mod append_golden;
mod damage_golden;
mod read_golden;
mod reading;
mod recover_golden;
mod same_files;
