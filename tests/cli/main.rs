//! The `klog` command, run as a person or a script runs it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod adopting;
mod attached;
mod command;

mod explaining;
mod looking;
mod mistakes;
mod records;
mod seed;
mod topics;
