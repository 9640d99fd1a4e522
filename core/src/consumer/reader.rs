//! One partition as a consumer reads it.

use std::fmt;
use std::sync::Arc;

use super::batch::{Batch, Decoded};
use crate::config::{ConsumerConfig, IsolationLevel};
use crate::error::{ErrorCode, Result};
use crate::log::{Chunk, Cursor, Fetch};
use crate::record::{BatchError, BatchHeader, Codec, Span, SpanLimits, decode_spans};
use crate::replica::{Need, Replica};
use crate::segment::AbortedTransaction;
use crate::types::{Offset, TopicPartition};

/// Compressed batches are decompressed behind each other until they have so many bytes.
const ENOUGH_BYTES: usize = 32 << 20;

/// A partition that is assigned, and where its reader stands.
pub(super) struct Reader {
    topic: Arc<str>,
    partition: i32,
    replica: Arc<Replica>,
    isolation: IsolationLevel,
    position: Offset,
    cursor: Option<Cursor>,
    /// Reading ends here, if anywhere.
    until: Option<Offset>,
    pub(super) paused: bool,
    leftover: Option<Leftover>,
    aborted: Aborted,
}

/// Records that were decoded and not handed out yet.
struct Leftover {
    decoded: Arc<Decoded>,
    at: usize,
    /// Where reading goes on behind them.
    next: Offset,
}

/// Transactions that were given up, as far as they are known.
#[derive(Default)]
struct Aborted {
    entries: Vec<AbortedTransaction>,
    known_to: Offset,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} at {}", self.topic, self.partition, self.position)
    }
}

impl Reader {
    pub(super) fn new(
        topic: &str,
        partition: i32,
        replica: Arc<Replica>,
        isolation: IsolationLevel,
        position: Offset,
    ) -> Self {
        Reader {
            topic: Arc::from(topic),
            partition,
            replica,
            isolation,
            position,
            cursor: None,
            until: None,
            paused: false,
            leftover: None,
            aborted: Aborted::default(),
        }
    }

    pub(super) fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && &*self.topic == topic
    }

    pub(super) fn partition(&self) -> TopicPartition {
        TopicPartition::new(&*self.topic, self.partition)
    }

    pub(super) fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(super) fn position(&self) -> Offset {
        self.position
    }

    pub(super) fn seek(&mut self, to: Offset) {
        self.position = to;
        self.cursor = None;
        self.leftover = None;
    }

    pub(super) fn has_leftover(&self) -> bool {
        self.leftover.is_some()
    }

    /// Nothing at or behind this is read.
    pub(super) fn bound(&self) -> Offset {
        let block = self.replica.log().block();
        let bound = match self.isolation {
            IsolationLevel::ReadUncommitted => block.high_watermark(),
            IsolationLevel::ReadCommitted => block.last_stable(),
        };
        bound.min(block.log_end()) // as it always is, unless something wrote over the memory
    }

    pub(super) fn stop_at_bound(&mut self) {
        self.until = Some(self.bound());
    }

    pub(super) fn has_bound(&self) -> bool {
        self.until.is_some()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.until.is_some_and(|until| self.position >= until)
    }

    /// The next records, if there are any.
    pub(super) fn next(
        &mut self,
        config: &ConsumerConfig,
        max_records: usize,
        spare: &mut Option<Arc<Decoded>>,
    ) -> Result<Option<Batch>> {
        self.replica.check_exists()?;
        if self.leftover.is_none() {
            self.fill(config, spare)?;
        }
        Ok(self.hand_out(max_records))
    }

    /// Reads and decodes until there is a record, or nothing more to read.
    fn fill(&mut self, config: &ConsumerConfig, spare: &mut Option<Arc<Decoded>>) -> Result<()> {
        loop {
            self.replica.log().mirror();
            self.replica.log().check_position(self.position)?;
            let bound = self.visible_bound()?;
            if self.position >= bound || self.is_finished() {
                return Ok(());
            }
            let mut decoded = take_spare(spare);
            decoded.spans.clear();
            let fetch = Fetch {
                from: self.position,
                bound,
                max_bytes: config.max_partition_fetch_bytes as usize,
                check_crcs: config.check_crcs,
                cursor: self.cursor,
            };
            let chunk = self.replica.log().read(&fetch, &mut decoded.data)?;
            if chunk.batches.is_empty() {
                *spare = Some(Arc::new(decoded));
                if chunk.next <= self.position {
                    return Ok(());
                }
                (self.position, self.cursor) = (chunk.next, chunk.cursor);
                continue;
            }
            let (next, cursor) = self.decode(&chunk, &mut decoded, config)?;
            let decoded = Arc::new(decoded);
            *spare = Some(decoded.clone());
            self.cursor = cursor;
            if decoded.spans.is_empty() {
                self.position = next; // only what is not for readers
                continue;
            }
            self.leftover = Some(Leftover { decoded, at: 0, next });
            return Ok(());
        }
    }

    /// What may be read. A watermark that lags behind the log is brought up first: whoever waits works.
    fn visible_bound(&self) -> Result<Offset> {
        let bound = self.bound();
        let log_end = self.replica.log().block().log_end();
        let can_raise = self.position >= bound && bound < log_end && !self.replica.log().dir().is_read_only();
        // A log whose flush failed raises nothing more; what was visible before can be read.
        let can_raise = can_raise && self.replica.log().check_failure().is_ok();
        if can_raise && self.replica.log().block().high_watermark() < log_end {
            match self.replica.wait(log_end, Need::Visible, None) {
                // It was cut meanwhile, which says nothing of where this one stands.
                Err(error) if error.code() == ErrorCode::OffsetOutOfRange => {}
                waited => waited?,
            }
            return Ok(self.bound());
        }
        Ok(bound)
    }

    /// Decodes the batches of a chunk, as far as they can share one piece of memory: uncompressed ones lie in the buffer that
    /// was read, compressed ones are decompressed behind each other. Returns where reading goes on.
    fn decode(
        &mut self,
        chunk: &Chunk,
        decoded: &mut Decoded,
        config: &ConsumerConfig,
    ) -> Result<(Offset, Option<Cursor>)> {
        let most = config.klog_max_decompressed_bytes as usize;
        let mut arena = Vec::new();
        let mut is_compressed = None;
        let mut next = self.position;
        let mut cursor = None;
        for (range, header) in &chunk.batches {
            if self.is_for_readers(header)? {
                let compressed = header.magic < 2 || header.codec().is_ok_and(|codec| codec != Codec::None);
                if *is_compressed.get_or_insert(compressed) != compressed {
                    break;
                }
                let batch = &decoded.data[range.clone()];
                let limits = SpanLimits { arena_base: range.start, most };
                let before = decoded.spans.len();
                let result = decode_spans(batch, header, self.position, limits, &mut arena, &mut decoded.spans)
                    .and_then(|()| check_offsets(&decoded.spans[before..], header));
                if let Err(error) = result {
                    decoded.spans.truncate(before);
                    if before == 0 {
                        return Err(self.replica.log().unreadable(chunk, range, self.position, &error));
                    }
                    break;
                }
            }
            next = header.next_offset();
            cursor = chunk.cursor_behind(range, header);
            if arena.len() > ENOUGH_BYTES {
                break;
            }
        }
        if is_compressed == Some(true) {
            decoded.len = arena.len();
            decoded.data = arena;
        } else {
            decoded.len = chunk.len;
        }
        Ok((next, cursor))
    }

    /// Leaves out control batches, and with `read_committed` those of transactions that were given up.
    fn is_for_readers(&mut self, header: &BatchHeader) -> Result<bool> {
        if header.is_control() {
            return Ok(false);
        }
        if self.isolation == IsolationLevel::ReadUncommitted || !header.is_transactional() {
            return Ok(true);
        }
        if header.next_offset() > self.aborted.known_to {
            let known_to = self.bound();
            self.aborted = Aborted { entries: self.replica.log().aborted_transactions()?, known_to };
        }
        let is_aborted = self.aborted.entries.iter().any(|entry| {
            entry.producer_id == header.producer_id
                && entry.first_offset <= header.base_offset
                && header.base_offset <= entry.last_offset
        });
        Ok(!is_aborted)
    }

    /// Takes up to `max_records` of what is decoded.
    fn hand_out(&mut self, max_records: usize) -> Option<Batch> {
        let leftover = self.leftover.as_mut()?;
        let spans = &leftover.decoded.spans;
        let mut end = spans.len().min(leftover.at.saturating_add(max_records.max(1)));
        if let Some(until) = self.until {
            end = leftover.at + spans[leftover.at..end].iter().take_while(|span| span.offset < until.0).count();
        }
        let range = leftover.at..end;
        let next = if end == spans.len() { leftover.next } else { Offset(spans[end].offset) };
        let visible = self.replica.log().block().high_watermark();
        let is_empty = range.is_empty();
        let batch = Batch::new(leftover.decoded.clone(), range, (&self.topic, self.partition), next.0, visible.0);
        self.position = next;
        leftover.at = end;
        if end == spans.len() || self.until.is_some_and(|until| next >= until) {
            self.leftover = None;
        }
        (!is_empty).then_some(batch)
    }
}

/// Refuses records whose offsets are not in their places in the batch: a reader that believed them would go on behind records
/// that it has not seen.
fn check_offsets(spans: &[Span], header: &BatchHeader) -> Result<(), BatchError> {
    let mut least = i64::MIN;
    for (index, span) in spans.iter().enumerate() {
        if span.offset < least || span.offset > header.last_offset().0 {
            return Err(BatchError::Record {
                index: index as u32,
                what: "its offset is not in its place in the batch",
            });
        }
        least = span.offset.saturating_add(1);
    }
    Ok(())
}

/// Memory that nobody else uses, or new memory.
fn take_spare(spare: &mut Option<Arc<Decoded>>) -> Decoded {
    spare.take().and_then(|spare| Arc::try_unwrap(spare).ok()).unwrap_or_default()
}
