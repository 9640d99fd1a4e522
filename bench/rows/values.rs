//! Values to send.

use super::ValueSize;

/// Bytes that do not repeat, small enough to stay in the processor's cache.
pub(super) struct Values {
    bytes: Vec<u8>,
    size: usize,
}

const PLACES: usize = 4096;

impl Values {
    pub(super) fn new(size: ValueSize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        Values { bytes: (0..PLACES + size.0).map(|_| next()).collect(), size: size.0 }
    }

    /// The value of record `index`.
    #[inline]
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let at = index * 61 % PLACES;
        &self.bytes[at..at + self.size]
    }
}
