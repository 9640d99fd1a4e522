//! Every call to the system fails, one after the other; every byte of every file goes bad.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod kept;
mod promises;
mod workload;

mod bad_bytes;
mod deaths;
mod disk_full;
mod errors;
mod two;
