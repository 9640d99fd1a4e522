//! What the fuzz targets of klog have in common.
//!
//! A target is given bytes that nobody wrote in good faith, and panics when a promise does not hold. `fuzz/run` builds and
//! runs them; `docs/testing/fuzz.md` says what came of it.

mod checksum;
mod directory;
mod mutate;
mod owned;

pub use checksum::crc32c;
pub use directory::{DIR, Serving, one_topic, open, serve};
pub use mutate::mutate_batches;
pub use owned::{OwnedRecord, decode, owned};

/// What a batch may decompress to in a fuzz target: small, so that a limit that is not kept shows.
pub const MOST_BYTES: usize = 1 << 20;
