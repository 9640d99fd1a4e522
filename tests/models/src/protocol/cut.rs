//! Truncation and roll.

use super::block::Dirty;
use super::file::Batch;
use super::world::Process;
use crate::mistake::{Mistake, is_made};
use crate::types::{Offset, Position};

impl Process {
    /// Cuts the log to `to`.
    pub fn truncate(&self, to: u64) {
        let block = &self.world.block;
        // A flusher must not publish what it has flushed of other bytes.
        let takes_both = !is_made(Mistake::TruncatesWithoutTheFlushLock);
        if takes_both {
            self.flush_lock();
        }
        self.enter();
        let to = Offset(to as i64);
        if block.log_end() > to {
            block.set_dirty(Dirty::Truncate, to);
            self.truncate_held(to);
            block.clear_dirty();
            self.caught_up.set(to.0);
        }
        self.release();
        if takes_both {
            self.flush_unlock();
        }
    }

    /// Under the lock. Where it is done again behind a dead holder, the flush lock is his until a flusher has asked for
    /// `dirty`.
    pub(super) fn truncate_held(&self, to: Offset) {
        let (block, file) = (&self.world.block, self.world.active());
        let read = file.read_range(0..to.0 as u64);
        let (_, position) = read.unwrap_or_else(|at| panic!("offset {at} is torn"));
        let move_words = || block.publish_truncation(block.segment_base(), Position(position), to);
        if is_made(Mistake::CutsBeforeTheLogEnd) {
            block.bump_truncation_generation();
            file.cut(position);
            move_words();
        } else if is_made(Mistake::CountsTruncationsLate) {
            move_words();
            file.cut(position);
            block.bump_truncation_generation();
        } else {
            move_words();
            block.bump_truncation_generation();
            file.cut(position);
        }
    }

    /// Reads everything that is there, without the lock; `None` where a truncation came in between.
    pub fn read_all_unless_cut(&self) -> Option<Vec<Batch>> {
        let block = &self.world.block;
        let before = block.truncation_generation();
        let end = block.log_end();
        let read = self.world.read_to(end.0 as u64);
        if block.truncation_generation() != before {
            return None;
        }
        Some(read.unwrap_or_else(|at| panic!("offset {at} is torn for a reader above the watermark")))
    }

    /// Begins a segment at the log end.
    pub fn roll(&self) {
        let block = &self.world.block;
        self.enter();
        let base = block.log_end();
        block.set_dirty(Dirty::Roll, base);
        self.world.segments[1].create(base.0 as u64);
        block.publish_roll(base, || {});
        block.clear_dirty();
        self.release();
    }

    /// Finishes a roll if its file is there, and forgets it otherwise.
    pub(super) fn finish_roll(&self, base: Offset) {
        let block = &self.world.block;
        let is_done = block.segment_base() == base && is_made(Mistake::TrustsHalfARoll);
        if self.world.segments[1].base() == Some(base.0 as u64) && !is_done {
            block.publish_roll(base, || {});
        }
    }
}
