//! Several processes: one that is killed, one that comes too early, one that forks.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod other;

mod forks;
mod kills;
mod openers;
