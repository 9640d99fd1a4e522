//! The control block: 256 bytes that say where a partition replica stands.
//!
//! ```text
//!   0  lock u32 · dirty u32 · dirty_arg u64 · fail u32 · last_slot u32 · last_gen u32 · state u32 · isr u64
//!      · appends u64 · bytes u64 · (8)
//!  64  seg_base u64 · commit u64 · leo u64 · hw u64 · log_start u64 · unstable u64 · flushed u64 · first_base u64
//! 128  data_seq u32 · data_wait u32 · flush_lock u32 · flush_seq u32 · flush_wait u32 · flush_state u32 · flushes u64
//!      · flush_ns u64 · lock_waits u32 · wakes u32 · flush_since u64 · (8)
//! 192  leader_epoch u32 · trunc_gen u32 · seg_gen u32 · partition u32 · topic_id u64 u64 · recoveries u32 · steals u32
//!      · cuts u32 · epoch_due u32 · lock_wait_ns u64 · (8)
//! ```
//! Each line is a cache line of its own, because they are written by different people. Numbers are in native order:
//! the block never reaches a file that outlives the processes.

use std::fmt;

use super::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use super::bell::ring;
use crate::types::{LeaderEpoch, Offset, Position, Uuid};

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
    last_slot: AtomicU32,
    last_gen: AtomicU32,
    state: AtomicU32,
    isr: AtomicU64,
    appends: AtomicU64,
    bytes: AtomicU64,
    _line_0: AtomicU64,

    seg_base: AtomicU64,
    commit: AtomicU64,
    leo: AtomicU64,
    hw: AtomicU64,
    log_start: AtomicU64,
    unstable: AtomicU64,
    flushed: AtomicU64,
    first_base: AtomicU64,

    data_seq: AtomicU32,
    data_wait: AtomicU32,
    pub(super) flush_lock: AtomicU32,
    flush_seq: AtomicU32,
    flush_wait: AtomicU32,
    flush_state: AtomicU32,
    flushes: AtomicU64,
    flush_ns: AtomicU64,
    lock_waits: AtomicU32,
    wakes: AtomicU32,
    flush_since: AtomicU64,
    _line_2: AtomicU64,

    leader_epoch: AtomicU32,
    trunc_gen: AtomicU32,
    seg_gen: AtomicU32,
    partition: AtomicU32,
    topic_id: [AtomicU64; 2],
    recoveries: AtomicU32,
    pub(super) steals: AtomicU32,
    cuts: AtomicU32,
    epoch_due: AtomicU32,
    lock_wait_ns: AtomicU64,
    _line_3: AtomicU64,
}

#[cfg(not(loom))]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<ControlBlock>() == 256);
    assert!(offset_of!(ControlBlock, seg_base) == 64);
    assert!(offset_of!(ControlBlock, data_seq) == 128);
    assert!(offset_of!(ControlBlock, leader_epoch) == 192);
    assert!(offset_of!(ControlBlock, lock_wait_ns) == 240);
};

/// Whether a block stands for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Nobody has opened the log since the directory was opened.
    Unopened = 0,
    /// The words are true.
    Open = 1,
    /// The topic was deleted.
    Removed = 2,
}

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
    /// Base offset of the first segment.
    pub first_base: Offset,
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
            first_base,
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
        self.first_base.store(first_base.0 as u64, Ordering::Release);
        self.flush_state.store(0, Ordering::Release);
        self.fail.store(0, Ordering::Release);
        self.dirty.store(Dirty::Clean as u32, Ordering::Release);
        // Last: whoever sees it sees the rest.
        self.state.store(State::Open as u32, Ordering::Release);
    }

    /// Says whose block it is, for good.
    pub fn name(&self, topic_id: Uuid, partition: i32) {
        let (high, low) = halves(topic_id);
        self.topic_id[0].store(high, Ordering::Release);
        self.topic_id[1].store(low, Ordering::Release);
        self.partition.store(partition as u32, Ordering::Release);
    }

    /// Whose block it is.
    pub fn named(&self) -> (Uuid, i32) {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.topic_id[0].load(Ordering::Acquire).to_be_bytes());
        id[8..].copy_from_slice(&self.topic_id[1].load(Ordering::Acquire).to_be_bytes());
        (Uuid(id), self.partition.load(Ordering::Acquire) as i32)
    }

    /// Whether it stands for a log.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Unopened,
            1 => State::Open,
            _ => State::Removed,
        }
    }

    /// The topic was deleted. Under the lock, so that no append comes after it.
    pub fn mark_removed(&self) {
        self.state.store(State::Removed as u32, Ordering::Release);
    }

    /// Whether the leader epoch must rise before the next append: readers may have seen records that recovery did not find.
    pub fn is_epoch_due(&self) -> bool {
        self.epoch_due.load(Ordering::Acquire) != 0
    }

    /// Says whether it must.
    pub fn set_epoch_due(&self, due: bool) {
        self.epoch_due.store(u32::from(due), Ordering::Release);
    }

    /// Who has the lock, as its word; 0 for nobody.
    pub fn holder(&self) -> u32 {
        self.lock.load(Ordering::Acquire)
    }

    /// Slot and generation of whoever held the lock last.
    pub(super) fn last_holder(&self) -> (u32, u32) {
        (self.last_slot.load(Ordering::Relaxed), self.last_gen.load(Ordering::Relaxed))
    }

    /// Notes who holds the lock. Under the lock.
    pub(super) fn note_holder(&self, slot: u32, generation: u32) {
        self.last_slot.store(slot, Ordering::Relaxed);
        self.last_gen.store(generation, Ordering::Relaxed);
    }

    /// Counts a wait for the lock.
    pub(super) fn count_wait(&self, waited_ns: u64) {
        self.lock_waits.fetch_add(1, Ordering::Relaxed);
        self.lock_wait_ns.fetch_add(waited_ns, Ordering::Relaxed);
    }

    /// Counts an append. Under the lock, so it needs no exchange.
    pub fn count_append(&self, bytes: u64) {
        self.appends.store(self.appends.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.bytes.store(self.bytes.load(Ordering::Relaxed).wrapping_add(bytes), Ordering::Relaxed);
    }

    /// Counts a flush. Under the flush lock.
    pub fn count_flush(&self, took_ns: u64) {
        self.flushes.store(self.flushes.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.flush_ns.store(self.flush_ns.load(Ordering::Relaxed).wrapping_add(took_ns), Ordering::Relaxed);
    }

    /// Counts what recovery cut off.
    pub fn count_cut(&self) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a wake-up of readers.
    pub fn count_wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        let words = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let short = |word: &AtomicU32| u64::from(word.load(Ordering::Relaxed));
        Counts {
            appends: words(&self.appends),
            bytes: words(&self.bytes),
            lock_waits: short(&self.lock_waits),
            lock_wait_ns: words(&self.lock_wait_ns),
            flushes: words(&self.flushes),
            flush_ns: words(&self.flush_ns),
            wakes: short(&self.wakes),
            steals: short(&self.steals),
            recoveries: short(&self.recoveries),
            cuts: short(&self.cuts),
        }
    }

    /// Base offset of the first segment.
    pub fn first_base(&self) -> Offset {
        Offset(self.first_base.load(Ordering::Acquire) as i64)
    }

    /// Notes the base offset of the first segment. Under the lock.
    pub fn set_first_base(&self, base: Offset) {
        self.first_base.store(base.0 as u64, Ordering::Release);
    }

    /// Takes over what another block says to a reader: for those who may not write the shared words. The other one may
    /// change meanwhile; the watermark is taken first, so that everything below it is in the rest, and how often the list of
    /// segments has changed before the active segment, so that no change is counted as seen that is not in the rest.
    /// `epoch` tells one history of the log from another.
    pub fn mirror(&self, other: &ControlBlock, epoch: u32) {
        let hw = other.hw.load(Ordering::Acquire);
        let log_start = other.log_start.load(Ordering::Acquire);
        let segments = other.seg_gen.load(Ordering::Acquire);
        for (ours, theirs) in [
            (&self.unstable, &other.unstable),
            (&self.seg_base, &other.seg_base),
            (&self.commit, &other.commit),
            (&self.flushed, &other.flushed),
            (&self.first_base, &other.first_base),
        ] {
            ours.store(theirs.load(Ordering::Acquire), Ordering::Release);
        }
        self.leo.store(other.leo.load(Ordering::Acquire).max(hw), Ordering::Release);
        for (ours, theirs) in
            [(&self.leader_epoch, &other.leader_epoch), (&self.fail, &other.fail), (&self.state, &other.state)]
        {
            ours.store(theirs.load(Ordering::Acquire), Ordering::Release);
        }
        self.seg_gen.store(segments, Ordering::Release);
        let truncations = other.trunc_gen.load(Ordering::Acquire) & 0xffff;
        self.trunc_gen.store(epoch << 16 | truncations, Ordering::Release);
        self.log_start.store(log_start, Ordering::Release);
        self.hw.store(hw.max(log_start), Ordering::Release);
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
        self.publish_log_end(log_end);
    }

    /// As [`publish_commit`](Self::publish_commit), with `between` done between its two stores: whoever dies there has
    /// appended.
    pub fn publish_commit_around(&self, position: Position, log_end: Offset, between: impl FnOnce()) {
        self.commit.store(commit_word(self.segment_base(), position, log_end), Ordering::Release);
        between();
        self.publish_log_end(log_end);
    }

    fn publish_log_end(&self, log_end: Offset) {
        self.leo.store(log_end.0 as u64, Ordering::Release);
    }

    /// Makes a new segment the active one. Under the lock, with `dirty` set. Returns how often the list has changed.
    /// `between` is done between the two words that say so: whoever dies there leaves them torn.
    pub fn publish_roll(&self, base: Offset, between: impl FnOnce()) -> u32 {
        self.seg_base.store(base.0 as u64, Ordering::Release);
        between();
        self.commit.store(commit_word(base, Position::ZERO, base), Ordering::Release);
        // Before anything in the segment is seen: whoever sees a record of it sees that the list has changed.
        let generation = self.bump_segment_generation();
        self.leo.store(base.0 as u64, Ordering::Release);
        generation
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

    /// Says that the segment list changed; returns the count.
    pub fn bump_segment_generation(&self) -> u32 {
        self.seg_gen.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// Counts truncations. Whoever reads above the watermark takes it, then the log end, then the bytes, and takes it again:
    /// where it has changed, the bytes are of no use.
    pub fn truncation_generation(&self) -> u32 {
        // Acquire: what was read before this is of before it, if it is the number it was.
        fence(Ordering::Acquire);
        self.trunc_gen.load(Ordering::Acquire)
    }

    /// Counts a truncation. O8: when the log end has moved back, and before the file is cut. A reader that finds the new
    /// number first finds the new log end too, and one that found the old log end finds that the number changes.
    pub fn bump_truncation_generation(&self) {
        self.trunc_gen.fetch_add(1, Ordering::Release);
        // Release: whoever reads what is changed in the file from here on finds the new number.
        fence(Ordering::Release);
    }

    /// Moves every word back to `end`. Under both locks, with `dirty` set, before `trunc_gen` is bumped.
    pub fn publish_truncation(&self, segment_base: Offset, position: Position, end: Offset) {
        self.seg_base.store(segment_base.0 as u64, Ordering::Release);
        self.commit.store(commit_word(segment_base, position, end), Ordering::Release);
        self.leo.store(end.0 as u64, Ordering::Release);
        for word in [&self.hw, &self.flushed, &self.log_start] {
            word.fetch_min(end.0 as u64, Ordering::AcqRel);
        }
    }

    /// Whether `0 ≤ log_start ≤ hw ≤ leo` and `flushed ≤ leo`, as nothing of klog's can undo: each is read before what may
    /// only be above it. A stray write to the memory can, and must not be carried into the files.
    pub fn is_in_order(&self) -> bool {
        let (log_start, flushed) = (self.log_start(), self.flushed());
        let visible = self.high_watermark();
        let end = self.log_end();
        log_start >= Offset::ZERO && flushed >= Offset::ZERO && log_start <= visible && visible <= end && flushed <= end
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
        ring(&self.data_seq, &self.data_wait)
    }

    /// Who has the flush lock, as its word; 0 for nobody.
    pub fn flusher(&self) -> u32 {
        self.flush_lock.load(Ordering::Acquire)
    }

    /// Takes the flush lock from `from`, which is 0 or the word of somebody who died; `false` where that is not so any more.
    /// `now` is for messages, in ns of the monotonic clock.
    pub fn take_flush_lock(&self, from: u32, token: u32, now: u64) -> bool {
        // Release: as in `lock::take`, for whoever asks whether the flusher lives.
        let taken = self.flush_lock.compare_exchange(from, token, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if taken {
            self.flush_since.store(now, Ordering::Relaxed);
        }
        taken
    }

    /// Since when the flush lock has been held, in ns of the monotonic clock.
    pub fn flushing_since(&self) -> u64 {
        self.flush_since.load(Ordering::Relaxed)
    }

    /// Gives the flush lock back and moves the word that waiters sleep on; says whether somebody may.
    pub fn unlock_flush(&self, token: u32) -> bool {
        // It fails for one who has left the table meanwhile, and whose lock is somebody else's.
        let is_own = self.flush_lock.compare_exchange(token, 0, Ordering::Release, Ordering::Relaxed).is_ok();
        is_own && ring(&self.flush_seq, &self.flush_wait)
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

    /// How often the lock was taken from a holder that had died.
    pub fn steals(&self) -> u32 {
        self.steals.load(Ordering::Relaxed)
    }
}

/// What a block counts, since the directory was opened by the first of those who have it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches that were appended.
    pub appends: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often somebody waited for the lock.
    pub lock_waits: u64,
    /// For how long in all, in ns.
    pub lock_wait_ns: u64,
    /// Flushes.
    pub flushes: u64,
    /// How long they took in all, in ns.
    pub flush_ns: u64,
    /// How often readers were woken.
    pub wakes: u64,
    /// Locks that were taken from a holder that had died.
    pub steals: u64,
    /// Recoveries behind one.
    pub recoveries: u64,
    /// How often a recovery cut bytes off that were not committed.
    pub cuts: u64,
}

impl Counts {
    /// The sum of both.
    #[must_use]
    pub fn plus(&self, other: &Counts) -> Counts {
        Counts {
            appends: self.appends + other.appends,
            bytes: self.bytes + other.bytes,
            lock_waits: self.lock_waits + other.lock_waits,
            lock_wait_ns: self.lock_wait_ns + other.lock_wait_ns,
            flushes: self.flushes + other.flushes,
            flush_ns: self.flush_ns + other.flush_ns,
            wakes: self.wakes + other.wakes,
            steals: self.steals + other.steals,
            recoveries: self.recoveries + other.recoveries,
            cuts: self.cuts + other.cuts,
        }
    }
}

fn halves(id: Uuid) -> (u64, u64) {
    let half = |range: std::ops::Range<usize>| id.0[range].iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    (half(0..8), half(8..16))
}

fn commit_word(base: Offset, position: Position, end: Offset) -> u64 {
    let relative = end.0 - base.0;
    assert!(u32::try_from(relative).is_ok(), "log end {end} does not fit the segment at {base}");
    assert!(u32::try_from(position.0).is_ok(), "position {position} does not fit a segment");
    position.0 << 32 | relative as u64
}
