//! The protocol over shuttle's atomics, for more threads than can be tried in every order. Every access is `SeqCst` there.

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

/// What the model takes from shuttle.
pub mod checker {
    pub use shuttle::sync::atomic::{AtomicU32 as RawU32, AtomicU64 as RawU64, fence};
    pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub use shuttle::{thread, thread_local};
    use std::sync::atomic::Ordering;

    /// The order that is checked: there is one only.
    pub fn order(_: Ordering) -> Ordering {
        Ordering::SeqCst
    }

    /// Every schedule has the same chance, whoever has looked.
    #[derive(Debug, Default)]
    pub struct Watch;

    impl Watch {
        /// Nothing.
        pub fn look(&self) {}

        /// Nothing.
        pub fn change(&self) {}
    }
}

#[path = "protocol/mod.rs"]
mod protocol;

pub use protocol::*;

/// Preemptions of a schedule that is made by priorities.
const DEPTH: usize = 3;

/// The seed of the schedules: `KLOG_TEST_SEED`, or 1.
fn seed() -> u64 {
    std::env::var("KLOG_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Checks `model` in so many schedules, half of them at random and half by random priorities.
pub fn check(schedules: usize, model: fn()) {
    let seed = seed();
    println!("KLOG_TEST_SEED={seed}");
    run(RandomScheduler::new_from_seed(seed, schedules / 2), model);
    run(PctScheduler::new_from_seed(seed, DEPTH, schedules / 2), model);
}

fn run(scheduler: impl Scheduler + 'static, model: fn()) {
    let mut config = Config::new();
    config.stack_size = 1 << 17;
    config.silence_warnings = true; // the orders of memory are loom's to check
    Runner::new(scheduler, config).run(model);
}
