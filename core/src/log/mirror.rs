//! How a reader that may write nothing follows those who do.
//!
//! It has a control block of its own, and takes over what the shared one says. The shared memory may be cleared under it by
//! the next one who opens the directory, so what was taken counts only if the instance is the same before and after. The
//! last one to go leaves the words as they are, so that a reader who looks seldom sees them all the same.

use std::sync::{Mutex, PoisonError};

use crate::shm::{Block, Control, ControlBlock, State};
use crate::types::Uuid;

/// What a reader knows of the block that the writers share.
pub(super) struct Mirrored {
    topic_id: Uuid,
    source: Mutex<Source>,
}

#[derive(Default)]
struct Source {
    /// The instance that was looked at last.
    seen: u64,
    /// The block there, and the instance that it is of.
    block: Option<Block>,
    taken_of: u64,
    /// How many instances something was taken of.
    instances: u32,
}

/// What a look at the shared block brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Where the writers are, or nothing at all.
    Same,
    /// Where they are in another instance than before, which has other counts.
    OtherInstance,
    /// Another instance in which nobody has opened the log. What came in those before, and was not seen, is in the files.
    Unopened,
}

impl Mirrored {
    /// To be made before the files are looked at: what they say then is what came before anything that is taken later.
    pub(super) fn new(topic_id: Uuid, shared: Option<&Control>) -> Mirrored {
        let seen = shared.filter(|shared| shared.is_telling()).map_or(0, Control::instance);
        Mirrored { topic_id, source: Mutex::new(Source { seen, ..Source::default() }) }
    }

    /// Whose log it is.
    pub(super) fn topic_id(&self) -> Uuid {
        self.topic_id
    }

    /// Brings `block` to where the writers are.
    pub(super) fn take(&self, shared: &Control, block: &ControlBlock, partition: i32) -> Seen {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let instance = shared.instance();
        if !shared.is_telling() {
            return Seen::Same;
        }
        if source.taken_of != instance {
            source.block = None;
        }
        if source.block.is_none() {
            source.block = shared.find(self.topic_id, partition);
        }
        let taken = ControlBlock::default();
        let is_open = source.block.as_ref().is_some_and(|theirs| {
            taken.mirror(theirs, source.instances);
            taken.state() != State::Unopened
        });
        // Last: the memory may have been cleared meanwhile.
        if !shared.is_telling() || shared.instance() != instance {
            source.block = None;
            return Seen::Same;
        }
        let was_seen = std::mem::replace(&mut source.seen, instance) == instance;
        if !is_open {
            source.block = None;
            return if was_seen { Seen::Same } else { Seen::Unopened };
        }
        let is_other = std::mem::replace(&mut source.taken_of, instance) != instance;
        source.instances += u32::from(is_other);
        block.mirror(&taken, source.instances);
        if is_other { Seen::OtherInstance } else { Seen::Same }
    }
}
