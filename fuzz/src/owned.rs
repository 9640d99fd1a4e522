//! Records that were read, to be compared with others.

use klog::Record;
use klog::record::{BatchError, BatchHeader, Span, SpanLimits, decode_spans};
use klog::types::Offset;

use crate::MOST_BYTES;

/// A record with its own memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnedRecord {
    /// Its place in the partition.
    pub offset: i64,
    /// Its time.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A copy of `record`.
pub fn owned(record: &Record<'_>) -> OwnedRecord {
    OwnedRecord {
        offset: record.offset(),
        timestamp: record.timestamp(),
        key: record.key().map(<[u8]>::to_vec),
        value: record.value().map(<[u8]>::to_vec),
        headers: record.headers().map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect(),
    }
}

/// The records of a whole batch at or above `from`, within [`MOST_BYTES`].
///
/// # Errors
/// Those of [`decode_spans`]; then nothing was decoded, which is checked here, as is that the limit was kept.
pub fn decode(batch: &[u8], header: &BatchHeader, from: Offset) -> Result<Vec<OwnedRecord>, BatchError> {
    let mut arena = batch.to_vec();
    let mut spans: Vec<Span> = Vec::new();
    let limits = SpanLimits { arena_base: 0, most: MOST_BYTES };
    let result = decode_spans(batch, header, from, limits, &mut arena, &mut spans);
    let most = batch.len() + MOST_BYTES + 1; // a byte more is how a stream that is too long shows itself
    assert!(arena.len() <= most, "{} bytes were decoded and {most} are allowed", arena.len());
    assert!(arena.capacity() <= 2 * most, "there is room for {} bytes and {most} are allowed", arena.capacity());
    assert!(result.is_ok() || spans.is_empty(), "an error leaves no records behind");
    result.map(|()| spans.iter().map(|span| owned(&Record::new(&arena, span))).collect())
}
