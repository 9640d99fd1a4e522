//! One partition: what recovery makes of it, and what a full or failing disk does to it.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod recovery_vectors;
mod truncating;
