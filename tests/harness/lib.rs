//! What the tests of klog have in common: golden data, directories, a model of a log, simulated disks, child processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests speak to whoever runs them")]
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

pub mod golden;
pub mod power;

use std::path::PathBuf;

/// The folder of the test data.
pub fn data_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data")
}
