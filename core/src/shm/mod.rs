//! What several processes share: the control block of each partition, the lock around it, and the table of who is attached.
//!
//! Every access goes through atomics, in the order in which other processes must see it, and whoever takes a lock first asks
//! whether the holder before died inside. Where a process has a directory to itself the same words lie in its own memory.
//!
//! `block`, `bell` and `lock` know of nothing but atomics and what [`Around`] gives them, so that models can try every order.

mod atomic;
mod bell;
mod block;
mod control;
mod lock;
mod member;
mod slices;

pub use bell::Bell;
pub use block::{Commit, ControlBlock, Counts, Dirty, Failure, Operation, Standing, State};
pub use control::{Block, Control, LAYOUT, MAPPED_BYTES, PRIVATE_BYTES, SLOTS, Seat, Visitor};
pub use lock::{AppendLock, Around, Held, Patience, Refused, SlotToken, in_ns};
pub use member::{LockHeld, Member, Role, RoleHeld, slot_byte};
pub use slices::{Slices, is_slice_over};
