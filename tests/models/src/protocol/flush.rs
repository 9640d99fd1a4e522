//! The flush group.

use std::sync::atomic::Ordering::SeqCst;

use super::block::{Dirty, Failure, Operation};
use super::lock::{Around, SlotToken};
use super::world::Process;
use crate::mistake::{Mistake, is_made};
use crate::types::Offset;

impl Process {
    /// Makes everything below `offset` durable, by flushing or by waiting for somebody else's flush.
    ///
    /// # Errors
    /// A flush has failed, and the log is closed.
    pub fn flush(&self, offset: i64) -> Result<(), Failure> {
        let block = &self.world.block;
        loop {
            // What was cut meanwhile is flushed by nobody.
            if block.flushed().0 >= offset || block.log_end().0 < offset {
                return Ok(());
            }
            if let Some(failure) = block.failure().filter(|_| !is_made(Mistake::FlushesAgain)) {
                return Err(failure);
            }
            // Before the attempt: whoever unlocks after this moves it.
            let seen = block.flush_sequence().load(SeqCst);
            if self.try_flush_lock() {
                self.flush_held();
                self.flush_unlock();
                continue;
            }
            block.announce_flush_waiter();
            if block.flushed().0 < offset && block.failure().is_none() {
                self.sleep(block.flush_sequence(), seen);
            }
        }
    }

    /// Takes the flush lock, waiting for whoever has it.
    pub fn flush_lock(&self) {
        let block = &self.world.block;
        loop {
            let seen = block.flush_sequence().load(SeqCst);
            if self.try_flush_lock() {
                return;
            }
            block.announce_flush_waiter();
            self.sleep(block.flush_sequence(), seen);
        }
    }

    fn try_flush_lock(&self) -> bool {
        let block = &self.world.block;
        let holder = block.flusher();
        let is_free = SlotToken::of_word(holder).is_none_or(|holder| self.is_dead(holder));
        is_free && block.take_flush_lock(holder, self.token.word(), 0)
    }

    /// Gives the flush lock back.
    pub fn flush_unlock(&self) {
        if self.world.block.unlock_flush(self.token.word()) {
            self.wake_all(self.world.block.flush_sequence());
        }
    }

    /// The flusher before died in it, and what the kernel calls clean may be lost (C22), also what somebody has written and not
    /// yet committed. So this takes the append lock, behind which there is no such thing. With the flush lock.
    fn rewrite_unflushed(&self) {
        let block = &self.world.block;
        let takes_both = !is_made(Mistake::RewritesWithoutTheLock);
        if takes_both {
            self.enter();
        }
        let unflushed = self.position_of(block.flushed())..self.position_of(block.log_end());
        self.world.active().rewrite(unflushed);
        if takes_both {
            self.release();
        }
    }

    /// With the flush lock.
    fn flush_held(&self) {
        let (block, file) = (&self.world.block, self.world.active());
        // Asked under the lock: whoever had it before may have failed.
        let asks = !is_made(Mistake::AsksBeforeTheFlushLock) && !is_made(Mistake::FlushesAgain);
        if asks && block.failure().is_some() {
            return;
        }
        // Whoever cuts the log has the flush lock, so he is dead.
        if block.dirty() == Dirty::Truncate && !is_made(Mistake::FlushesWhatIsBeingCut) {
            self.enter();
            self.release();
        }
        if block.is_flushing() && !is_made(Mistake::TrustsTheNextFlush) {
            self.rewrite_unflushed();
        }
        let from = block.flushed();
        let mut target = block.log_end();
        if target <= from {
            block.set_flushing(false);
            return;
        }
        if !is_made(Mistake::MarksTheFlushLate) {
            block.set_flushing(true);
        }
        let result = file.sync();
        if is_made(Mistake::MarksTheFlushLate) {
            block.set_flushing(true);
        }
        if is_made(Mistake::ForgetsTheFlushEarly) {
            block.set_flushing(false);
        }
        if is_made(Mistake::MeasuresAfterTheFlush) {
            target = block.log_end();
        }
        if is_made(Mistake::PublishesWithoutTheFlushLock) {
            self.flush_unlock();
        }
        match result {
            Ok(()) => block.raise_flushed(target),
            Err(os_code) => block.fail(Failure { operation: Operation::Flush, os_code }),
        }
        block.set_flushing(false);
    }

    fn position_of(&self, offset: Offset) -> u64 {
        let read = self.world.segments[0].read_range(0..offset.0 as u64);
        read.unwrap_or_else(|at| panic!("offset {at} is torn for a flusher")).1
    }

    /// What counts as flushed is durable.
    pub fn check_flushed(&self) {
        let flushed = self.world.block.flushed();
        assert!(flushed <= self.world.block.log_end(), "more is flushed than there is");
        assert!(self.world.segments[0].is_durable(self.position_of(flushed)), "flushed is {flushed}, and that is lost");
    }
}
