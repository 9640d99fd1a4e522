//! The tests of the C interface.
//!
//! The header is what the code says, the library exports what the header declares, and the C programs in this folder, which
//! are compiled here as a stranger would compile his own, find that both do what they say.

#![allow(clippy::disallowed_methods, reason = "these tests compile and run programs and look at what they leave")]

mod examples;
mod exports;
mod header;
mod library;
mod programs;
