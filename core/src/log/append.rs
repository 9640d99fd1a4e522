//! Appending a batch: the steps A1 to A9.
//!
//! A batch comes encoded and checksummed (A1). Derived state is caught up without the lock (A2); under it (A3) the handle
//! and the log are checked and the rest is caught up (A4), offsets assigned, the segment rolled if need be (A5), `dirty` set
//! (A6), the bytes written (A7) or undone (A8), and one store makes the append happen (A9). No disk is waited for here.

use std::io;
use std::sync::MutexGuard;

use super::producers::SequenceError;
use super::rules::AppendRules;
use super::snapshot::format_snapshot;
use super::tail::{Due, Tail, control_record};
use super::{LEADER_EPOCHS, Log};
use crate::error::{Error, ErrorCode, Result};
use crate::record::{BatchError, BatchHeader, LeaderRules, TimestampType, assign_offsets, check_client_batch, restamp};
use crate::segment::{Cadence, FileKind, Suffix, file_name};
use crate::shm::{Dirty, Failure, Held, LockHeld, Member, Operation, Slices, State};
use crate::sys::bugs::{Bug, is_made};
use crate::sys::points::{Point, is_next, reached};
use crate::sys::{Clock, File, write_all_at, write_atomically};
use crate::types::{LeaderEpoch, METADATA_TOPIC, Offset, Position, TimestampMs};

/// A batch on its way into a log. Each is appended whole or not at all.
#[derive(Debug)]
pub enum Batch<'a> {
    /// Encoded by klog's own producer, which knows the rules: dense offsets from 0, CreateTime, the right maximum.
    Encoded(&'a mut [u8]),
    /// From anybody: checked as a broker checks a client's batch. A copy is made where the topic changes it.
    Client(&'a mut [u8]),
    /// From a log that gave it offsets and epoch already: KRaft's metadata, or a leader. Bytes are kept as they are.
    Placed(&'a [u8]),
}

/// Where a batch is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// The offset after its last record.
    pub next_offset: Offset,
    /// The time of the append, where the topic stores that.
    pub log_append_time: Option<TimestampMs>,
    /// It had been appended before, by a producer that numbers its batches; nothing was written now.
    pub is_duplicate: bool,
}

impl Log {
    /// Appends one record batch and assigns its offsets.
    ///
    /// `batch` is a whole v2 batch: 61-byte header and records, big-endian, at most `max.message.bytes` bytes. Readable once
    /// the high watermark passes it; durable after a flush.
    ///
    /// # Errors
    /// `CorruptMessage` if length, magic or CRC-32C do not hold; `InvalidRecord`, `InvalidTimestamp`, `MessageTooLarge`,
    /// `RecordListTooLarge` by the topic's rules; `OutOfOrderSequenceNumber`, `InvalidProducerEpoch`, `InvalidTxnState` by
    /// the producer's state; `DiskFull`, after which appends work again when there is space; `KafkaStorageError` if the
    /// disk refused. Nothing is written in any of these cases.
    ///
    /// Source: Kafka message format, "Record Batch"; `org.apache.kafka.storage.internals.log.UnifiedLog#append`.
    pub fn append(&self, batch: Batch<'_>) -> Result<Appended> {
        // What reads the whole batch is done before anybody is kept waiting.
        let checked = match &batch {
            Batch::Client(bytes) => check_client_batch(bytes, &AppendRules::of(&self.config()).leader),
            Batch::Encoded(bytes) => BatchHeader::parse(bytes),
            Batch::Placed(bytes) => BatchHeader::check(bytes),
        };
        let header = checked.map_err(|e| self.refused(e))?;
        let mut tail = self.tail();
        if self.dir.open_segments().has_too_many() && !tail.sealed.is_empty() {
            drop(tail); // the flush lock comes first
            self.flush(self.block.log_end(), None)?;
            tail = self.tail();
            tail.let_go(self.block.flushed());
        }
        self.check_size(&batch, &header, &tail.rules)?;
        self.dir.begin_writing()?;
        let holding = self.acquire(&mut tail)?;
        reached(Point::Locked);
        let result = self.append_held(&mut tail, batch, &header);
        reached(Point::Clean);
        holding.release();
        result
    }

    fn check_size(&self, batch: &Batch<'_>, header: &BatchHeader, rules: &AppendRules) -> Result<()> {
        let (size, limit) = (header.size, rules.leader.max_message_bytes);
        if matches!(batch, Batch::Encoded(_)) && size > limit {
            return Err(self.refused(BatchError::TooLarge { size, limit }));
        }
        if size as u64 > rules.segment_bytes {
            return Err(Error::new(
                ErrorCode::RecordListTooLarge,
                format!("{}: the batch has {size} bytes and segment.bytes is {}", self.partition, rules.segment_bytes),
            ));
        }
        Ok(())
    }

    /// A2 to A4: derived state is brought up to date and the lock taken. Whoever finds that the holder before died inside
    /// recovers first.
    pub(super) fn acquire<'a>(&'a self, tail: &mut MutexGuard<'_, Tail>) -> Result<LockHeld<'a>> {
        let member = self.member()?;
        // Without the lock, so that nobody waits meanwhile. What cannot be read now is looked for again under the lock.
        let _ = self.catch_up(tail, self.block.log_end());
        let held = member.acquire(&self.block, &self.partition)?;
        match self.make_ready(tail, member, held.found) {
            Ok(()) => Ok(held),
            Err(error) => {
                held.release_unsettled();
                Err(error)
            }
        }
    }

    /// Refuses a partition whose topic was deleted.
    pub(super) fn check_there(&self) -> Result<()> {
        if self.block.state() == State::Open {
            return Ok(());
        }
        Err(Error::topic_deleted(&self.partition.topic))
    }

    fn make_ready(&self, tail: &mut Tail, member: &Member, held: Held) -> Result<()> {
        member.check()?;
        self.check_there()?;
        self.check_failure()?;
        if held.must_recover {
            self.recover(tail)?;
        }
        if held.changed_hands || self.is_to_be_derived() || tail.caught_up != self.block.log_end() {
            self.take_over(tail)?;
        }
        if !self.agrees_with(tail) {
            let _ = self.derive_again(tail);
            if !self.agrees_with(tail) {
                return Err(self.refuse_words());
            }
        }
        if self.partition.topic == METADATA_TOPIC {
            self.take_in_foreign(tail)?;
        }
        Ok(())
    }

    /// Whether what this process derived from the files and what the shared words say is the same place. A stray write to
    /// the memory must not lead to one to a file.
    fn agrees_with(&self, tail: &Tail) -> bool {
        let (base, commit, end) = (self.block.segment_base(), self.block.commit(), self.block.log_end());
        tail.segment.base() == base
            && tail.position == commit.position
            && tail.caught_up == end
            && base.0.checked_add(i64::from(commit.relative)) == Some(end.0)
            && self.block.is_in_order()
            && self.block.named() == (self.mirrored.topic_id(), self.partition.partition)
    }

    /// Closes a log for writing whose shared words cannot be true.
    #[cold]
    pub(super) fn refuse_words(&self) -> Error {
        self.block.fail(Failure { operation: Operation::Recovery, os_code: libc::EIO });
        self.dir.mark_failed();
        Error::new(
            ErrorCode::KafkaStorageError,
            format!(
                "{}: what the shared memory says of it cannot be true; nothing was written. Close the directory everywhere, and reopen it after a check",
                self.partition
            ),
        )
    }

    /// Refuses words that cannot be true before they are written to a file, or anything is deleted by them.
    pub(super) fn check_words(&self) -> Result<()> {
        if self.block.is_in_order() { Ok(()) } else { Err(self.refuse_words()) }
    }

    fn append_held(&self, tail: &mut Tail, batch: Batch<'_>, header: &BatchHeader) -> Result<Appended> {
        let end = self.block.log_end();
        assert_eq!(tail.caught_up, end, "{}: derived state stands at another offset than the log", self.partition);
        let epoch = self.block.leader_epoch();
        if !matches!(batch, Batch::Placed(_)) && header.producer_id.is_some() {
            if let Some(earlier) = tail.producers.duplicate_of(header) {
                return Ok(Appended {
                    base_offset: earlier.first_offset(),
                    next_offset: earlier.last_offset.plus(1),
                    log_append_time: None,
                    is_duplicate: true,
                });
            }
            tail.producers.check(header).map_err(|e| self.out_of_sequence(header, &e))?;
        }
        let rules = &tail.rules.leader;
        let rebuilt;
        let (bytes, header): (&[u8], BatchHeader) = match batch {
            Batch::Placed(bytes) => {
                self.check_place(header, end)?;
                (bytes, *header)
            }
            Batch::Encoded(bytes) if stores_as_sent(header, rules) => {
                restamp(bytes, end, epoch);
                (bytes, BatchHeader { base_offset: end, leader_epoch: epoch, ..*header })
            }
            Batch::Encoded(bytes) | Batch::Client(bytes) => {
                let now = self.sys().clock.now();
                let assigned = assign_offsets(bytes, header, rules, end, epoch, now).map_err(|e| self.refused(e))?;
                rebuilt = assigned.rebuilt;
                (rebuilt.as_deref().unwrap_or(bytes), assigned.header)
            }
        };
        self.roll_if_due(tail, &header)?;
        self.write(tail, bytes, &header)?;
        Ok(Appended {
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            log_append_time: (header.timestamp_type() == TimestampType::LogAppendTime).then_some(header.max_timestamp),
            is_duplicate: false,
        })
    }

    /// A6 to A9.
    fn write(&self, tail: &mut Tail, bytes: &[u8], header: &BatchHeader) -> Result<()> {
        let position = tail.position;
        tail.has_written = true;
        if header.leader_epoch.0 >= 0 && tail.epochs.latest() != Some(header.leader_epoch) {
            self.assign_epoch(tail, header.leader_epoch, header.base_offset)?;
        }
        self.block.set_dirty(Dirty::Append, header.base_offset);
        reached(Point::Dirty);
        if is_next(Point::HalfWritten) {
            let _ = write_all_at(tail.segment.log(), &bytes[..bytes.len() / 2], position.0);
            reached(Point::HalfWritten);
        }
        if let Err(cause) = write_all_at(tail.segment.log(), bytes, position.0) {
            self.undo_write(tail, position, &cause)?;
            return Err(self.io_error("writing", tail.segment.base(), FileKind::Log, cause));
        }
        reached(Point::Written);
        let control = if header.is_control() { control_record(bytes, header) } else { None };
        let due = tail.apply(header, control.as_ref());
        // Before anybody can see the batch: one of an open transaction is not to be taken for decided.
        self.update_stability(tail);
        // The append happens here.
        self.block.publish_commit_around(tail.position, tail.caught_up, || reached(Point::Committed));
        reached(Point::Published);
        self.block.count_append(header.size as u64);
        self.write_due(tail, due);
        self.block.clear_dirty();
        Ok(())
    }

    /// A8: takes back what a failed write may have left. If that fails as well, the log is closed for writing.
    fn undo_write(&self, tail: &Tail, position: Position, cause: &io::Error) -> Result<()> {
        // Synced, so that no part of it can come back behind what is written there next.
        let undone = tail.segment.log().set_len(position.0).and_then(|()| match is_made(Bug::UndoWithoutSync) {
            true => Ok(()),
            false => tail.segment.log().sync_data(),
        });
        let Err(why) = undone else {
            self.block.clear_dirty();
            if !is_device_fault(cause) {
                return Ok(());
            }
            let os_code = cause.raw_os_error().unwrap_or(libc::EIO);
            self.block.fail(Failure { operation: Operation::Write, os_code });
            self.dir.mark_failed();
            return self.check_failure();
        };
        if is_lost_descriptor(&why) {
            return Err(self.member()?.give_up()); // the log is none the worse: whoever takes the lock next recovers it
        }
        let os_code = why.raw_os_error().or(cause.raw_os_error()).unwrap_or(libc::EIO);
        self.block.fail(Failure { operation: Operation::Undo, os_code });
        self.dir.mark_failed();
        self.check_failure()
    }

    /// Index entries are advice: the record stands, whether they could be written or not. One that is missing is found to
    /// be missing, and the index is rebuilt when it matters.
    pub(super) fn write_due(&self, tail: &Tail, due: Due) {
        let indexes = || -> io::Result<()> {
            if due.index.is_some() {
                Cadence::write(due.index, tail.segment.offset_index()?, tail.segment.time_index()?)?;
            }
            due.aborted.iter().try_for_each(|entry| tail.segment.transaction_index().push(entry))
        };
        if indexes().is_err() {
            self.dir.mark_failed(); // the next opener looks at the segment again
        }
    }

    /// Moves the first unstable offset. Under the lock.
    pub(super) fn update_stability(&self, tail: &mut Tail) {
        let unstable = tail.producers.first_unstable(self.block.high_watermark());
        if unstable != self.block.first_unstable() {
            self.block.set_first_unstable(unstable.map(|offset| offset.max(self.block.log_start())));
        }
    }

    /// Moves the first unstable offset after the high watermark has passed markers.
    pub fn settle_transactions(&self) {
        // Nobody does it again for who comes in vain, until the watermark moves.
        Slices::without(|| {
            let mut tail = self.tail();
            if let Ok(holding) = self.acquire(&mut tail) {
                self.update_stability(&mut tail);
                holding.release();
            }
        });
    }

    /// Notes where an epoch begins, durably, before a batch carries it.
    pub(super) fn assign_epoch(&self, tail: &mut Tail, epoch: LeaderEpoch, start: Offset) -> Result<()> {
        let mut epochs = tail.epochs.clone();
        if epochs.assign(epoch, start) {
            let path = self.path.join(LEADER_EPOCHS);
            write_atomically(&self.sys().disk, &path, &super::format_epochs(epochs.entries()))
                .map_err(|e| Error::io(format_args!("writing {}", path.display()), e))?;
            tail.epochs = epochs;
        }
        Ok(())
    }

    /// Writes what is known of producers as of the end, where somebody may need it.
    pub(super) fn write_snapshot(&self, tail: &mut Tail) -> Result<()> {
        let path = self.path.join(file_name(tail.caught_up, FileKind::Snapshot, Suffix::None));
        write_atomically(&self.sys().disk, &path, &format_snapshot(&tail.producers))
            .map_err(|e| Error::io(format_args!("writing {}", path.display()), e))?;
        tail.has_snapshots = true;
        Ok(())
    }

    fn check_place(&self, header: &BatchHeader, end: Offset) -> Result<()> {
        if header.base_offset >= end {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::InvalidRecord,
            format!("{}: a batch at offset {} cannot follow the log end {end}", self.partition, header.base_offset),
        ))
    }

    /// The one place where a refusal of the record layer becomes an error for callers.
    fn refused(&self, error: BatchError) -> Error {
        let code = match &error {
            BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            BatchError::Timestamp(_) => ErrorCode::InvalidTimestamp,
            BatchError::Rule(_) | BatchError::Record { .. } | BatchError::Trailing(_) => ErrorCode::InvalidRecord,
            BatchError::Codec(crate::record::CodecError::Unknown(_)) => ErrorCode::UnsupportedCompressionType,
            BatchError::Codec(_)
            | BatchError::Short { .. }
            | BatchError::Length(_)
            | BatchError::Magic(_)
            | BatchError::Crc { .. } => ErrorCode::CorruptMessage,
        };
        Error::new(code, format!("{}: the batch was refused: {error}", self.partition)).caused_by(error)
    }

    fn out_of_sequence(&self, header: &BatchHeader, error: &SequenceError) -> Error {
        let producer = header.producer_id;
        let (code, what) = match error {
            SequenceError::StaleEpoch { sent, known } => {
                (ErrorCode::InvalidProducerEpoch, format!("its epoch {sent} is older than {known}"))
            }
            SequenceError::OutOfOrder { sent, last } => {
                (ErrorCode::OutOfOrderSequenceNumber, format!("its sequence number {sent} does not follow {last}"))
            }
            SequenceError::Transaction(what) => (ErrorCode::InvalidTxnState, (*what).to_owned()),
        };
        Error::new(code, format!("{}: the batch of producer {producer} was refused: {what}", self.partition))
    }
}

/// Whether the device refused, and not the call: then nothing is written to it any more.
fn is_device_fault(cause: &io::Error) -> bool {
    matches!(cause.raw_os_error(), Some(libc::EIO | libc::ENODEV | libc::ENXIO | libc::EROFS | libc::ESTALE))
}

/// Whether this process's descriptor is gone, which says nothing of the file.
pub(super) fn is_lost_descriptor(cause: &io::Error) -> bool {
    cause.raw_os_error() == Some(libc::EBADF)
}

/// Whether a batch of klog's own producer can be stored without another look at its records.
fn stores_as_sent(header: &BatchHeader, rules: &LeaderRules) -> bool {
    rules.timestamp_type == TimestampType::CreateTime
        && !rules.requires_keys
        && rules.compression.is_none_or(|target| header.codec().is_ok_and(|codec| codec == target.codec))
}
