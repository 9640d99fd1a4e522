//! The atomics that the included sources use: those of the checker, with a death before each store, and with mistakes.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

pub use std::sync::atomic::Ordering;

use super::checker::{self, thread};
use super::mortal;
use super::raw::{WatchedU32, WatchedU64};
use crate::mistake::{Mistake, is_made};

/// As in `std`.
pub fn fence(order: Ordering) {
    if !is_made(Mistake::TruncatesWithoutFences) {
        checker::fence(order);
    }
}

/// Waits for others to go on.
pub fn spin_loop() {
    thread::yield_now();
}

const WAITERS: u32 = 1 << 31;

/// The order of an access, weakened by the mistake that is being made.
fn weakened(asked: Ordering, weak: Ordering) -> Ordering {
    if asked == SeqCst && is_made(Mistake::HasNoTotalOrder) { weak } else { asked }
}

macro_rules! atomic {
    ($name:ident, $raw:ident, $number:ty, $is_wide:literal) => {
        /// An atomic word.
        #[derive(Debug)]
        pub struct $name($raw);

        impl Default for $name {
            fn default() -> Self {
                let word = $raw::default();
                // As a SeqCst exchange: a checker that knows no total order of SeqCst accesses takes it from those.
                word.swap(0, SeqCst);
                $name(word)
            }
        }

        impl $name {
            /// As in `std`.
            pub fn load(&self, order: Ordering) -> $number {
                self.0.load(weakened(order, Acquire))
            }

            /// As in `std`.
            pub fn store(&self, value: $number, order: Ordering) {
                mortal::effect();
                match weakened(order, Release) {
                    SeqCst => drop(self.0.swap(value, SeqCst)),
                    Release if $is_wide && is_made(Mistake::PublishesRelaxed) => self.0.store(value, Relaxed),
                    order => self.0.store(value, order),
                }
            }

            /// As in `std`.
            pub fn swap(&self, value: $number, order: Ordering) -> $number {
                mortal::effect();
                let is_relaxed = order == Release && is_made(Mistake::ReleasesTheLockRelaxed);
                self.0.swap(value, if is_relaxed { Relaxed } else { weakened(order, AcqRel) })
            }

            /// As in `std`.
            pub fn compare_exchange(
                &self,
                current: $number,
                new: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                mortal::effect();
                let success = match success {
                    AcqRel if is_made(Mistake::TakesTheLockRelaxed) => Relaxed,
                    Release if is_made(Mistake::ReleasesTheLockRelaxed) => Relaxed,
                    AcqRel if is_made(Mistake::HidesItsGeneration) => Acquire,
                    success => weakened(success, AcqRel),
                };
                // As a swap.
                let current = match success {
                    Release if is_made(Mistake::ReleasesWhoeverHasIt) => self.0.load(Relaxed),
                    _ => current,
                };
                let is_unmarked = !$is_wide && current == 0 && is_made(Mistake::DropsTheWaitersMark);
                let new = if is_unmarked { new & !<$number>::from(WAITERS) } else { new };
                self.0.compare_exchange(current, new, success, failure)
            }

            /// As in `std`.
            pub fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                mortal::effect();
                self.0.fetch_add(value, weakened(order, AcqRel))
            }

            /// As in `std`.
            pub fn fetch_max(&self, value: $number, order: Ordering) -> $number {
                mortal::effect();
                if is_made(Mistake::StoresTheWatermark) {
                    return self.0.swap(value, weakened(order, AcqRel));
                }
                let is_relaxed = is_made(Mistake::RaisesRelaxed);
                self.0.fetch_max(value, if is_relaxed { Relaxed } else { weakened(order, AcqRel) })
            }

            /// As in `std`.
            pub fn fetch_min(&self, value: $number, order: Ordering) -> $number {
                mortal::effect();
                self.0.fetch_min(value, weakened(order, AcqRel))
            }
        }
    };
}

atomic!(AtomicU32, WatchedU32, u32, false);
atomic!(AtomicU64, WatchedU64, u64, true);
