//! How a reader that may write nothing follows those who do.
//!
//! It has a control block of its own, and takes over what the shared one says. The shared memory may be cleared under it by
//! the next one who opens the directory, so what was taken counts only if the instance is the same before and after.

use std::sync::{Mutex, PoisonError};

use crate::shm::{Block, Control, ControlBlock, State};
use crate::types::Uuid;

/// What a reader knows of the block that the writers share.
pub(super) struct Mirrored {
    topic_id: Uuid,
    /// The instance of the memory, and the block there; and how many instances there were.
    source: Mutex<(u64, Option<Block>, u32)>,
}

impl Mirrored {
    pub(super) fn new(topic_id: Uuid) -> Mirrored {
        Mirrored { topic_id, source: Mutex::default() }
    }

    /// Brings `block` to where the writers are; says whether the memory is another one than before.
    pub(super) fn take(&self, shared: &Control, block: &ControlBlock, partition: i32) -> bool {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, found, instances) = &mut *source;
        let instance = shared.instance();
        if !shared.is_ready() {
            return false;
        }
        if *known != instance {
            *found = None;
        }
        if found.is_none() {
            *found = shared.find(self.topic_id, partition);
        }
        let Some(theirs) = found else { return false };
        if theirs.state() == State::Unopened {
            return false;
        }
        let taken = ControlBlock::default();
        taken.mirror(theirs, *instances);
        // Last: the memory may have been cleared meanwhile.
        if !shared.is_ready() || shared.instance() != instance {
            *found = None;
            return false;
        }
        let is_other = *known != instance;
        if is_other {
            *known = instance;
            *instances += 1;
        }
        block.mirror(&taken, *instances);
        is_other
    }
}
