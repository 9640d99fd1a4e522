//! Several processes: they write and read together, die, stop, come too early, and fork.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod oracle;
mod other;
#[path = "child/values.rs"]
mod values;

mod failing;
mod flusher;
mod foreign;
mod forks;
mod kills;
mod namespaces;
mod openers;
mod points;
mod stops;
