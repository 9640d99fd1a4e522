//! What programs see of klog: opening, topics, producers, consumers, and what a log does with what it is given.
//!
//! Each test runs on the real disk and on a simulated one, under a clock that the test moves. Expectations come from Kafka's
//! documented behaviour and from klog's design, not from its code.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "tests look from outside")]
#![allow(missing_docs, reason = "the name of a test says what it tests")]

mod metadata_log;
mod steps;
mod world;

mod adopting;
mod bad_arguments;
mod batching;
mod closing;
mod configs;
mod consuming;
mod flushing;
mod following;
mod growing;
mod isolation;
mod offsets;
mod opening;
mod partitioning;
mod positions;
mod producer_ids;
mod producing;
mod reading_ends;
mod reading_only;
mod refusals;
mod retention;
mod rolling;
mod settings;
mod several;
mod snapshots;
mod threads;
mod topics;
