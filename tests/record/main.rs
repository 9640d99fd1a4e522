//! klog's bytes and Kafka's: batches, codecs, old message sets, metadata records and the small state files.
//!
//! The vectors come from `data/golden-batches.json` and, where a file says so, from captured output of Kafka's own classes.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets the unexpected fails")]

mod batches;
mod bombs;
mod client_rules;
mod compression;
mod damage;
mod epochs;
mod foreign_frames;
mod hashes;
mod legacy;
mod metadata;
mod metadata_files;
mod producers;
mod records;
mod state_files;
mod transformations;
mod uuids;
mod varints;
mod vectors;
