//! Death of a process at any store.
//!
//! A doomed thread counts its effects on what others can see: stores to shared memory, bytes written to files, kernel locks
//! given back. Before the chosen one it unwinds, as a killed process stops: nothing of it runs on, and whatever it has done
//! stays.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::checker;

checker::thread_local! { static EFFECTS_LEFT: Cell<u32> = Cell::new(IMMORTAL) }

const IMMORTAL: u32 = u32::MAX;

struct Death;

/// Something that others can see is about to happen.
pub fn effect() {
    EFFECTS_LEFT.with(|left| match left.get() {
        IMMORTAL => {}
        0 => {
            left.set(IMMORTAL);
            resume_unwind(Box::new(Death));
        }
        count => left.set(count - 1),
    });
}

/// Does `work`, and dies before effect number `doom` of it, counted from 0; `None` if it died.
pub fn until_death<T>(doom: u32, work: impl FnOnce() -> T) -> Option<T> {
    EFFECTS_LEFT.with(|left| left.set(doom));
    let result = catch_unwind(AssertUnwindSafe(work));
    EFFECTS_LEFT.with(|left| left.set(IMMORTAL));
    match result {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Death>() => None,
        Err(payload) => resume_unwind(payload),
    }
}
