//! What several processes will share: the control block of each partition, and the lock around it.
//!
//! For now a process has a directory to itself, and the blocks lie in its own memory. Nothing above this module can tell:
//! every access goes through atomics, in the order in which other processes must see it, and whoever takes the lock
//! first asks whether the holder before died inside.

mod bell;
mod block;
mod lock;

pub use bell::Bell;
pub use block::{Block, Commit, ControlBlock, Dirty, Failure, Operation, Standing};
pub use lock::{AppendLock, Held, SlotToken};
