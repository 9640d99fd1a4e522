//! The control block: 256 bytes that say where a partition replica stands.
//!
//! ```text
//!   0  lock u32 · dirty u32 · dirty_arg u64 · fail u32 · last_slot u32 · last_gen u32 · flush_state u32 · isr u64
//!  64  seg_base u64 · commit u64 · leo u64 · hw u64 · log_start u64 · unstable u64 · flushed u64
//! 128  data_seq u32 · data_wait u32 · flush_lock u32 · flush_seq u32 · flush_wait u32
//! 192  leader_epoch u32 · trunc_gen u32 · seg_gen u32 · (4) · incarnation u64 · recoveries, steals, waits, cuts u32
//! ```
//! Each line is a cache line of its own, because they are written by different people. Numbers are in native order:
//! the block never reaches a file that outlives the processes.

use std::fmt;
use std::mem::offset_of;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::types::{LeaderEpoch, Offset, Position};

/// The shared words of one partition replica. See the module for their places.
///
/// Always, as seen by whoever holds the lock with `dirty` = 0: `log_start ≤ hw ≤ leo`, `flushed ≤ leo`, and
/// `leo` = `seg_base` + low half of `commit`. A reader without the lock may see the words in any mixture of old and new.
/// `unstable` is the first offset that is not decided, or [`STABLE`](Self::STABLE): the last stable offset is the lower of
/// it and the high watermark, so raising the watermark needs no lock where there are no transactions.
#[repr(C, align(64))]
#[derive(Default)]
pub struct ControlBlock {
    pub(super) lock: AtomicU32,
    dirty: AtomicU32,
    dirty_arg: AtomicU64,
    fail: AtomicU32,
    pub(super) last_slot: AtomicU32,
    pub(super) last_gen: AtomicU32,
    flush_state: AtomicU32,
    isr: AtomicU64,
    _line_0: [AtomicU64; 3],

    seg_base: AtomicU64,
    commit: AtomicU64,
    leo: AtomicU64,
    hw: AtomicU64,
    log_start: AtomicU64,
    unstable: AtomicU64,
    flushed: AtomicU64,
    _line_1: AtomicU64,

    data_seq: AtomicU32,
    data_wait: AtomicU32,
    flush_lock: AtomicU32,
    flush_seq: AtomicU32,
    flush_wait: AtomicU32,
    _line_2: [AtomicU32; 11],

    leader_epoch: AtomicU32,
    trunc_gen: AtomicU32,
    seg_gen: AtomicU32,
    _line_3: AtomicU32,
    incarnation: AtomicU64,
    recoveries: AtomicU32,
    pub(super) steals: AtomicU32,
    waits: AtomicU32,
    cuts: AtomicU32,
    _line_3_end: [AtomicU64; 3],
}

const _: () = assert!(size_of::<ControlBlock>() == 256);
const _: () = assert!(offset_of!(ControlBlock, seg_base) == 64);
const _: () = assert!(offset_of!(ControlBlock, data_seq) == 128);
const _: () = assert!(offset_of!(ControlBlock, leader_epoch) == 192);
const _: () = assert!(offset_of!(ControlBlock, incarnation) == 208);

/// What the holder of the lock is in the middle of. Set before its first file operation, cleared after its last
/// publication, so that whoever finds it set knows what a dead holder left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Dirty {
    /// Nothing.
    Clean = 0,
    /// Writing a batch behind the committed position.
    Append = 1,
    /// Beginning the segment whose base offset is the argument.
    Roll = 2,
    /// Cutting the log to the offset in the argument.
    Truncate = 3,
    /// Swapping segments.
    Swap = 4,
    /// Recovering.
    Recover = 5,
}

impl Dirty {
    fn from_word(word: u32) -> Dirty {
        match word & 0xffff {
            0 => Dirty::Clean,
            1 => Dirty::Append,
            2 => Dirty::Roll,
            3 => Dirty::Truncate,
            4 => Dirty::Swap,
            _ => Dirty::Recover, // also what no version of klog writes: derive everything from the files
        }
    }
}

/// The commit word: one store makes an append happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// End of the last batch in the active segment.
    pub position: Position,
    /// Log end offset minus the active segment's base offset.
    pub relative: u32,
}

/// What failed, so that nobody acknowledges anything on the log any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// During what.
    pub operation: Operation,
    /// The system's error number.
    pub os_code: i32,
}

/// Operations after whose failure a log is closed for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Operation {
    /// Undoing a write.
    Undo = 1,
    /// Flushing.
    Flush = 2,
    /// Recovering after a dead holder.
    Recovery = 3,
    /// Writing: the device failed.
    Write = 4,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Undo => "a write could not be undone",
            Operation::Flush => "a flush failed",
            Operation::Recovery => "recovery failed",
            Operation::Write => "a write failed",
        })
    }
}

impl fmt::Debug for ControlBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlBlock")
            .field("dirty", &self.dirty())
            .field("seg_base", &self.segment_base())
            .field("commit", &self.commit())
            .field("leo", &self.log_end())
            .field("hw", &self.high_watermark())
            .field("log_start", &self.log_start())
            .field("lso", &self.last_stable())
            .field("flushed", &self.flushed())
            .finish_non_exhaustive()
    }
}

/// What a first opener finds out from the files.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Base offset of the active segment.
    pub segment_base: Offset,
    /// End of its last batch.
    pub position: Position,
    /// The next offset to be assigned.
    pub log_end: Offset,
    /// Everything below is visible.
    pub high_watermark: Offset,
    /// The first offset there is.
    pub log_start: Offset,
    /// The first offset that is not decided: where the oldest open transaction begins.
    pub first_unstable: Option<Offset>,
    /// Everything below is durable.
    pub flushed: Offset,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
}

impl ControlBlock {
    /// `unstable` when everything is decided.
    pub const STABLE: u64 = u64::MAX;

    /// Takes over what the files say. For the first opener, before anybody else looks.
    pub fn reset(&self, standing: &Standing) {
        let Standing {
            segment_base,
            position,
            log_end,
            high_watermark,
            log_start,
            first_unstable,
            flushed,
            leader_epoch,
        } = *standing;
        assert!(log_start <= high_watermark, "log start {log_start} above high watermark {high_watermark}");
        assert!(high_watermark <= log_end, "high watermark {high_watermark} above log end {log_end}");
        assert!(flushed <= log_end, "flushed {flushed} above log end {log_end}");
        assert!(segment_base <= log_end, "active segment {segment_base} above log end {log_end}");
        self.seg_base.store(segment_base.0 as u64, Ordering::Release);
        self.commit.store(commit_word(segment_base, position, log_end), Ordering::Release);
        self.leo.store(log_end.0 as u64, Ordering::Release);
        self.hw.store(high_watermark.0 as u64, Ordering::Release);
        self.log_start.store(log_start.0 as u64, Ordering::Release);
        self.set_first_unstable(first_unstable);
        self.flushed.store(flushed.0 as u64, Ordering::Release);
        self.leader_epoch.store(leader_epoch.0 as u32, Ordering::Release);
        self.fail.store(0, Ordering::Release);
        self.dirty.store(Dirty::Clean as u32, Ordering::Release);
    }

    /// What a holder is, or was, in the middle of.
    pub fn dirty(&self) -> Dirty {
        Dirty::from_word(self.dirty.load(Ordering::Acquire))
    }

    /// The argument of `dirty`.
    pub fn dirty_argument(&self) -> Offset {
        Offset(self.dirty_arg.load(Ordering::Acquire) as i64)
    }

    /// Says what is begun. O7: before the first file operation, and after the last publication.
    pub fn set_dirty(&self, dirty: Dirty, argument: Offset) {
        self.dirty_arg.store(argument.0 as u64, Ordering::Release);
        self.dirty.store(dirty as u32, Ordering::Release);
    }

    /// Says that it is done.
    pub fn clear_dirty(&self) {
        self.dirty.store(Dirty::Clean as u32, Ordering::Release);
    }

    /// Why nothing may be acknowledged any more; `None` while all is well.
    pub fn failure(&self) -> Option<Failure> {
        let word = self.fail.load(Ordering::Acquire);
        let operation = match word >> 16 {
            0 => return None,
            1 => Operation::Undo,
            2 => Operation::Flush,
            4 => Operation::Write,
            _ => Operation::Recovery,
        };
        Some(Failure { operation, os_code: (word & 0xffff) as i32 })
    }

    /// Closes the log for writing. The first failure stays.
    pub fn fail(&self, failure: Failure) {
        let word = (failure.operation as u32) << 16 | (failure.os_code as u32 & 0xffff);
        // A second failure says nothing new, so losing the exchange is fine.
        let _ = self.fail.compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Base offset of the active segment. Under the lock.
    pub fn segment_base(&self) -> Offset {
        Offset(self.seg_base.load(Ordering::Acquire) as i64)
    }

    /// The commit word. Under the lock.
    pub fn commit(&self) -> Commit {
        let word = self.commit.load(Ordering::Acquire);
        Commit { position: Position(word >> 32), relative: word as u32 }
    }

    /// Makes an append happen: one store (O3). All its bytes are written.
    pub fn publish_commit(&self, position: Position, log_end: Offset) {
        let base = self.segment_base();
        self.commit.store(commit_word(base, position, log_end), Ordering::Release);
        self.leo.store(log_end.0 as u64, Ordering::Release);
    }

    /// Makes a new segment the active one. Under the lock, with `dirty` set.
    pub fn publish_roll(&self, base: Offset) {
        // Before the words change, so that a reader that keeps descriptors looks again.
        self.seg_gen.fetch_add(1, Ordering::Release);
        self.seg_base.store(base.0 as u64, Ordering::Release);
        self.commit.store(commit_word(base, Position::ZERO, base), Ordering::Release);
        self.leo.store(base.0 as u64, Ordering::Release);
    }

    /// The next offset to be assigned.
    pub fn log_end(&self) -> Offset {
        Offset(self.leo.load(Ordering::Acquire) as i64)
    }

    /// Everything below is visible to consumers. O4: a reader loads this and reads no byte above.
    pub fn high_watermark(&self) -> Offset {
        Offset(self.hw.load(Ordering::Acquire) as i64)
    }

    /// Raises the high watermark (O5); says whether that moved it.
    pub fn raise_high_watermark(&self, to: Offset) -> bool {
        // Most callers come when somebody else has raised it, and a look costs less than an exchange.
        self.high_watermark() < to && self.hw.fetch_max(to.0 as u64, Ordering::AcqRel) < to.0 as u64
    }

    /// The first offset there is.
    pub fn log_start(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire) as i64)
    }

    /// Raises the log start offset (O5); says whether that moved it.
    pub fn raise_log_start(&self, to: Offset) -> bool {
        self.log_start.fetch_max(to.0 as u64, Ordering::AcqRel) < to.0 as u64
    }

    /// Everything below is decided: no open transaction, and visible.
    pub fn last_stable(&self) -> Offset {
        // The watermark first: a marker is below it only after `unstable` moved.
        let visible = self.high_watermark();
        visible.min(self.first_unstable().unwrap_or(visible))
    }

    /// The first offset that is not decided.
    pub fn first_unstable(&self) -> Option<Offset> {
        let word = self.unstable.load(Ordering::Acquire);
        (word != Self::STABLE).then_some(Offset(word as i64))
    }

    /// Moves it. Under the lock.
    pub fn set_first_unstable(&self, to: Option<Offset>) {
        self.unstable.store(to.map_or(Self::STABLE, |offset| offset.0 as u64), Ordering::Release);
    }

    /// Everything below is durable.
    pub fn flushed(&self) -> Offset {
        Offset(self.flushed.load(Ordering::Acquire) as i64)
    }

    /// Raises it (O5); after a successful flush.
    pub fn raise_flushed(&self, to: Offset) {
        self.flushed.fetch_max(to.0 as u64, Ordering::AcqRel);
    }

    /// The leader's epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire) as i32)
    }

    /// Begins an epoch. Under the lock.
    pub fn set_leader_epoch(&self, epoch: LeaderEpoch) {
        self.leader_epoch.store(epoch.0 as u32, Ordering::Release);
    }

    /// Counts changes of the segment list.
    pub fn segment_generation(&self) -> u32 {
        self.seg_gen.load(Ordering::Acquire)
    }

    /// Says that the segment list changed.
    pub fn bump_segment_generation(&self) {
        self.seg_gen.fetch_add(1, Ordering::Release);
    }

    /// Counts truncations.
    pub fn truncation_generation(&self) -> u32 {
        self.trunc_gen.load(Ordering::Acquire)
    }

    /// Says that a truncation begins (O8: before the file is cut).
    pub fn bump_truncation_generation(&self) {
        self.trunc_gen.fetch_add(1, Ordering::Release);
    }

    /// Moves every word back to `end`, after a truncation there. Under both locks, with `trunc_gen` bumped.
    pub fn publish_truncation(&self, segment_base: Offset, position: Position, end: Offset) {
        self.seg_base.store(segment_base.0 as u64, Ordering::Release);
        self.commit.store(commit_word(segment_base, position, end), Ordering::Release);
        self.leo.store(end.0 as u64, Ordering::Release);
        for word in [&self.hw, &self.flushed, &self.log_start] {
            word.fetch_min(end.0 as u64, Ordering::AcqRel);
        }
    }

    /// The word that moves whenever something becomes readable; to sleep on.
    pub fn data_sequence(&self) -> &AtomicU32 {
        &self.data_seq
    }

    /// Says that somebody may sleep on [`data_sequence`](Self::data_sequence).
    pub fn announce_reader(&self) {
        // SeqCst: O6, the waiter's half of a Dekker pair. It stores, then loads data_seq again.
        self.data_wait.store(1, Ordering::SeqCst);
    }

    /// Moves the word; says whether somebody must be woken. The flag clears itself, so that a reader that was killed costs
    /// one wake-up and not one an append.
    pub fn announce_data(&self) -> bool {
        // SeqCst: O6, the publisher's half.
        self.data_seq.fetch_add(1, Ordering::SeqCst);
        self.data_wait.load(Ordering::SeqCst) != 0 && self.data_wait.swap(0, Ordering::SeqCst) != 0
    }

    /// Takes the flush lock, or says that somebody has it.
    pub fn try_lock_flush(&self, token: SlotWord) -> bool {
        self.flush_lock.compare_exchange(0, token, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives the flush lock back and moves the word that waiters sleep on; says whether somebody may.
    pub fn unlock_flush(&self) -> bool {
        self.flush_lock.store(0, Ordering::Release);
        self.flush_seq.fetch_add(1, Ordering::SeqCst);
        self.flush_wait.load(Ordering::SeqCst) != 0 && self.flush_wait.swap(0, Ordering::SeqCst) != 0
    }

    /// The word that moves when a flush ends; to sleep on.
    pub fn flush_sequence(&self) -> &AtomicU32 {
        &self.flush_seq
    }

    /// Says that somebody may sleep on [`flush_sequence`](Self::flush_sequence).
    pub fn announce_flush_waiter(&self) {
        self.flush_wait.store(1, Ordering::SeqCst);
    }

    /// Marks that a flush is under way, so that the death of the flusher does not hide its failure (C22).
    pub fn set_flushing(&self, flushing: bool) {
        self.flush_state.store(u32::from(flushing), Ordering::SeqCst);
    }

    /// Whether a flush was under way when its flusher was last seen.
    pub fn is_flushing(&self) -> bool {
        self.flush_state.load(Ordering::SeqCst) != 0
    }

    /// Counts a recovery after a dead holder.
    pub fn count_recovery(&self) {
        self.recoveries.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn recoveries(&self) -> u32 {
        self.recoveries.load(Ordering::Relaxed)
    }
}

/// A lock word: see [`super::SlotToken`].
pub(super) type SlotWord = u32;

fn commit_word(base: Offset, position: Position, end: Offset) -> u64 {
    let relative = end.0 - base.0;
    assert!(u32::try_from(relative).is_ok(), "log end {end} does not fit the segment at {base}");
    assert!(u32::try_from(position.0).is_ok(), "position {position} does not fit a segment");
    position.0 << 32 | relative as u64
}

/// A control block, wherever it lies.
#[derive(Clone, Debug, Default)]
pub struct Block(Arc<ControlBlock>);

impl Deref for Block {
    type Target = ControlBlock;

    fn deref(&self) -> &ControlBlock {
        &self.0
    }
}
