//! Appending, recovering, reading: the steps of `klog::log`, with the words of the included sources.

use super::block::{Commit, Dirty};
use super::file::Batch;
use super::world::Process;
use crate::mistake::{Mistake, is_made};
use crate::types::{Offset, Position};

impl Process {
    /// Appends a batch, and returns its offset.
    pub fn append(&self, batch: Batch) -> u64 {
        self.enter();
        let offset = self.append_held(batch);
        self.release();
        offset
    }

    /// A6 to A9. Under the lock.
    pub fn append_held(&self, batch: Batch) -> u64 {
        let (block, file) = (&self.world.block, self.world.active());
        let commit = block.commit();
        let end = block.log_end();
        assert_eq!(end.0, block.segment_base().0 + i64::from(commit.relative), "log end and commit word differ");
        assert_eq!(self.caught_up.get(), end.0, "what is derived stands at another offset than the log");
        let offset = end.0 as u64;
        let behind = Position(commit.position.0 + u64::from(batch.len));
        if !is_made(Mistake::SetsDirtyLate) {
            block.set_dirty(Dirty::Append, end);
        }
        if is_made(Mistake::PublishesBeforeWriting) {
            block.publish_commit(behind, Offset(end.0 + 1));
        }
        file.write(commit.position.0, offset, batch);
        if is_made(Mistake::SetsDirtyLate) {
            block.set_dirty(Dirty::Append, end);
        }
        if is_made(Mistake::ClearsDirtyEarly) {
            block.clear_dirty();
        }
        block.publish_commit(behind, Offset(end.0 + 1));
        block.clear_dirty();
        self.caught_up.set(end.0 + 1);
        offset
    }

    /// Cleans up behind a holder that died. Under the lock.
    pub fn recover(&self) {
        let block = &self.world.block;
        let found = block.dirty();
        if is_made(Mistake::RecoversCleanFirst) {
            block.clear_dirty();
        }
        match found {
            Dirty::Append => {
                let commit = block.commit();
                self.check_boundary(commit);
                if !is_made(Mistake::CutsNothing) {
                    self.world.active().cut(commit.position.0);
                }
                let mut end = Offset(block.segment_base().0 + i64::from(commit.relative));
                if is_made(Mistake::TrustsTheLogEnd) {
                    end = block.log_end();
                }
                block.publish_commit(commit.position, end);
            }
            Dirty::Truncate => {
                self.truncate_held(block.dirty_argument());
            }
            Dirty::Roll => self.finish_roll(block.dirty_argument()),
            Dirty::Clean | Dirty::Swap | Dirty::Recover => {}
        }
        block.clear_dirty();
    }

    /// A word in memory alone cuts nothing: it must be the end of a batch.
    pub(super) fn check_boundary(&self, commit: Commit) {
        let base = self.world.block.segment_base().0 as u64;
        let batches = self.world.active().read_range(base..base + u64::from(commit.relative));
        let (_, position) = batches.unwrap_or_else(|at| panic!("offset {at} is torn"));
        assert_eq!(position, commit.position.0, "the commit is no batch boundary");
    }

    /// Raises the watermark to the log end, as where what is written is visible, and wakes those who wait for that.
    pub fn make_visible(&self) {
        let block = &self.world.block;
        let reached = block.log_end();
        if is_made(Mistake::AnnouncesBeforeRaising) {
            self.announce();
            block.raise_high_watermark(reached);
        } else if block.raise_high_watermark(reached) {
            self.announce();
        }
    }

    /// Wakes everybody who waits for the partition to change.
    pub fn announce(&self) {
        if self.world.block.announce_data() {
            self.wake_all(self.world.block.data_sequence());
        }
    }

    /// Appends the first batch of a transaction. Nobody may see it as decided.
    pub fn append_undecided(&self, batch: Batch) {
        let block = &self.world.block;
        self.enter();
        let first = Some(block.log_end());
        if is_made(Mistake::NotesTransactionsLate) {
            self.append_held(batch);
            block.set_first_unstable(first);
        } else {
            block.set_first_unstable(first);
            self.append_held(batch);
        }
        self.release();
    }

    /// Appends the marker that decides the transaction, and lets everybody see it.
    pub fn decide(&self, marker: Batch) {
        self.append(marker);
        self.make_visible();
        self.enter();
        self.world.block.set_first_unstable(None);
        self.release();
    }

    /// Reads everything that is visible, without the lock.
    pub fn read_visible(&self) -> Vec<Batch> {
        let end = self.world.block.high_watermark();
        self.read_below(end.0 as u64)
    }

    /// Reads everything that is there, without the lock, as a follower does.
    pub fn read_all(&self) -> Vec<Batch> {
        let end = self.world.block.log_end();
        self.read_below(end.0 as u64)
    }

    fn read_below(&self, end: u64) -> Vec<Batch> {
        self.world.read_to(end).unwrap_or_else(|at| panic!("offset {at} is torn for a reader"))
    }
}
