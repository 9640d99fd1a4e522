//! Waiting in slices: who has others to serve does not stay at a lock that somebody else keeps, and comes again.

use std::cell::Cell;
use std::time::Duration;

use super::lock::{Patience, in_ns};

/// How long one slice is: no wait by protocol is longer.
const SLICE: Duration = Duration::from_millis(50);

thread_local! {
    /// The wait that this thread is in, where it waits in slices.
    static CURRENT: Cell<Option<Slices>> = const { Cell::new(None) };
}

/// A wait for what others hold, of as many slices as it takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slices {
    /// How long it has lasted so far, in ns, without what was done between the slices.
    waited_ns: u64,
}

impl Slices {
    /// Does `work`, and waits in it for nobody longer than a slice: then it ends as by a signal, with `Interrupted`, and is to
    /// be done again. The patience of the handle counts all slices together.
    pub fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let outer = Restore(CURRENT.replace(Some(*self)));
        let done = work();
        *self = CURRENT.get().unwrap_or_default();
        drop(outer);
        done
    }

    /// Does `work`, and waits in it as long as the handle's patience lasts, whatever it is a part of.
    pub fn without<T>(work: impl FnOnce() -> T) -> T {
        let _outer = Restore(CURRENT.replace(None));
        work()
    }
}

/// What the thread was in before; it is in that again when this goes, by a panic too.
struct Restore(Option<Slices>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// How long this thread waits, of a handle that waits for `total`.
pub(super) fn patience(total: Duration) -> Patience {
    match CURRENT.get() {
        None => Patience { total, waited_ns: 0, slice: None },
        Some(Slices { waited_ns }) => Patience { total, waited_ns, slice: Some(SLICE) },
    }
}

/// Whether this thread waits in slices.
fn is_sliced() -> bool {
    CURRENT.get().is_some()
}

/// Whether a wait that has lasted for so long is to be interrupted: where the thread waits in slices.
pub fn is_slice_over(waited_ns: u64) -> bool {
    is_sliced() && waited_ns >= in_ns(SLICE)
}

/// A slice is over, and with it the wait has lasted for so long.
pub(super) fn note(waited_ns: u64) {
    if is_sliced() {
        CURRENT.set(Some(Slices { waited_ns }));
    }
}
