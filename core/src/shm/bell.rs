//! One word for a whole directory: rung whenever anything in it becomes readable.

use super::atomic::{AtomicU32, Ordering};

/// What a consumer of many partitions sleeps on.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Bell {
    sequence: AtomicU32,
    waiting: AtomicU32,
}

impl Bell {
    /// The word; it moves with every ring.
    pub fn word(&self) -> &AtomicU32 {
        &self.sequence
    }

    /// Says that somebody may sleep on the word. Load it before and look for data after.
    pub fn announce_waiter(&self) {
        // SeqCst: one half of a Dekker pair with `ring`.
        self.waiting.store(1, Ordering::SeqCst);
    }

    /// Moves the word; says whether somebody must be woken. The flag clears itself.
    pub fn ring(&self) -> bool {
        ring(&self.sequence, &self.waiting)
    }
}

/// Moves `sequence`; says whether somebody must be woken. `waiting` clears itself, so that a waiter that was killed costs
/// one wake-up and not one a ring.
pub(super) fn ring(sequence: &AtomicU32, waiting: &AtomicU32) -> bool {
    // SeqCst: O6, one half of a Dekker pair. The waiter loads the word, looks, stores the flag, and loads the word again.
    sequence.fetch_add(1, Ordering::SeqCst);
    if waiting.load(Ordering::SeqCst) == 0 || waiting.swap(0, Ordering::SeqCst) == 0 {
        return false;
    }
    // Once more: who looked behind the first move and set the flag that is cleared now is not asleep yet, and would sleep
    // with no flag set.
    sequence.fetch_add(1, Ordering::SeqCst);
    true
}
