//! Power cuts, kills and faults on simulated disks.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod adopting;
mod epochs;
mod power_cut;
mod two_processes;
