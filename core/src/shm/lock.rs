//! The lock around a control block.

use std::sync::atomic::Ordering;

use super::block::{ControlBlock, Dirty};

/// Who holds a lock: slot and generation of an attached handle, never a process id, which means nothing in another
/// namespace. `31 waiters · 30..12 generation · 11..0 slot + 1`; 0 is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotToken {
    slot: u32,
    generation: u32,
}

impl SlotToken {
    /// The only handle there is while a process has the directory to itself.
    pub const ALONE: SlotToken = SlotToken { slot: 0, generation: 1 };

    /// The lock word.
    pub fn word(self) -> u32 {
        (self.generation & 0x7_ffff) << 12 | (self.slot + 1)
    }
}

/// The ways in which processes take turns at a control block.
///
/// There is one so far: the process has the directory to itself, and threads take turns at the mutex in front of this
/// lock. It still writes the word, so that a holder that panicked is noticed as a dead process would be.
#[derive(Clone, Copy, Debug)]
pub enum AppendLock {
    /// Nobody else is attached.
    Exclusive(SlotToken),
}

/// What the new holder must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The holder before died inside; what it left must be recovered before anything else (I6).
    pub must_recover: bool,
    /// Somebody else held it since; derived state must catch up (I11).
    pub changed_hands: bool,
}

impl AppendLock {
    /// Who this handle is.
    pub fn token(&self) -> SlotToken {
        let AppendLock::Exclusive(token) = self;
        *token
    }

    /// Takes the lock.
    pub fn acquire(&self, block: &ControlBlock) -> Held {
        let AppendLock::Exclusive(token) = self;
        // Acquire: O1. The mutex in front means that a word found set belongs to a thread that unwound without release.
        let before = block.lock.swap(token.word(), Ordering::Acquire);
        if before != 0 {
            block.steals.fetch_add(1, Ordering::Relaxed);
        }
        let last = (block.last_slot.load(Ordering::Relaxed), block.last_gen.load(Ordering::Relaxed));
        Held {
            must_recover: before != 0 || block.dirty() != Dirty::Clean,
            changed_hands: last != (token.slot + 1, token.generation),
        }
    }

    /// Gives it back.
    pub fn release(&self, block: &ControlBlock) {
        let AppendLock::Exclusive(token) = self;
        block.last_slot.store(token.slot + 1, Ordering::Relaxed);
        block.last_gen.store(token.generation, Ordering::Relaxed);
        block.lock.store(0, Ordering::Release);
    }
}
