//! What a poll returns: records of one partition that share one piece of memory.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::record::{Record, Span};

/// Bytes of batches, and where the records are in them.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// As read from the segment, or decompressed.
    pub(super) data: Vec<u8>,
    /// How much of `data` means something.
    pub(super) len: usize,
    pub(super) spans: Vec<Span>,
}

/// Records of one partition, in offset order. Empty when nothing came.
///
/// The records borrow from the batch, which keeps their memory alive; it may outlive its consumer and its engine.
#[derive(Clone)]
pub struct Batch {
    decoded: Arc<Decoded>,
    range: Range<usize>,
    topic: Arc<str>,
    partition: i32,
    next_offset: i64,
    high_watermark: i64,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("records", &self.len())
            .field("next_offset", &self.next_offset)
            .finish_non_exhaustive()
    }
}

impl Batch {
    pub(super) fn new(
        decoded: Arc<Decoded>,
        range: Range<usize>,
        place: (&Arc<str>, i32),
        next: i64,
        visible: i64,
    ) -> Batch {
        Batch { decoded, range, topic: place.0.clone(), partition: place.1, next_offset: next, high_watermark: visible }
    }

    pub(super) fn empty() -> Batch {
        Batch {
            decoded: Arc::default(),
            range: 0..0,
            topic: Arc::from(""),
            partition: -1,
            next_offset: -1,
            high_watermark: -1,
        }
    }

    /// The topic of the records; empty in an empty batch.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Their partition; −1 in an empty batch.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Where the consumer goes on: behind the last record, and behind what is not for its readers.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// The high watermark when the batch was read.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Record `index`, from 0.
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        let span = self.spans().get(index)?;
        Some(Record::new(self.data(), span))
    }

    /// The records, in offset order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        let data = self.data();
        self.spans().iter().map(move |span| Record::new(data, span))
    }

    /// Some of the records, sharing the same memory.
    ///
    /// # Panics
    /// If the range is not within the batch.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Batch {
        assert!(range.start <= range.end, "the range {range:?} is backwards");
        assert!(range.end <= self.len(), "the range {range:?} is not within {} records", self.len());
        let range = self.range.start + range.start..self.range.start + range.end;
        Batch { range, ..self.clone() }
    }

    /// The memory that every key, value and header of the batch is in.
    pub fn data(&self) -> &[u8] {
        &self.decoded.data[..self.decoded.len]
    }

    /// Where in [`data`](Self::data) each record's parts are: for bindings that hand out pointers.
    #[doc(hidden)]
    pub fn spans(&self) -> &[Span] {
        &self.decoded.spans[self.range.clone()]
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Record<'a>;
    type IntoIter = Box<dyn ExactSizeIterator<Item = Record<'a>> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}
