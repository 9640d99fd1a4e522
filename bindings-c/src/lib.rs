//! The C interface of klog: what `include/klog.h` declares, and nothing else.
//!
//! There is one file for each noun of the header, in the header's order. A function converts what it was given, makes one
//! call, and converts what came of it. The rules that hold for all of them are at the top of the header; what keeps them
//! is in [`guard`], through which every call enters, and in [`handle`], through which every pointer does.

#![allow(unsafe_code, reason = "this crate is where pointers of C become references")]
#![allow(non_camel_case_types, reason = "types have the names that C knows them by")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the rules are those at the top of the header, the same for every function"
)]

mod guard;
mod handle;
mod reports;
mod timeout;

// The nouns. The header is made from these files in this order; see `tests/c/header.rs`.
pub mod admin;
pub mod adopt;
pub mod attached;
pub mod batch;
pub mod config;
pub mod consumer;
pub mod engine;
pub mod error;
pub mod inspect;
pub mod library;
pub mod message;
pub mod producer;
pub mod rows;
pub mod status;
#[cfg(feature = "test-panic")]
pub mod test_panic;
pub mod topic;
