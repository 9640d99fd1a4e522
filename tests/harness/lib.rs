//! What the tests of klog have in common: golden data, directories, a model of a log, simulated disks, child processes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests speak to whoever runs them")]
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

pub mod golden;
pub mod power;
pub mod power_of_two;

use std::any::Any;
use std::cell::Cell;
use std::ops::RangeInclusive;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The folder of the test data.
pub fn data_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// The seed of a test's random numbers: `KLOG_TEST_SEED`, or 1.
pub fn seed() -> u64 {
    std::env::var("KLOG_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// How many states of each cut of the power are opened where `usual` are: `KLOG_STATES_PER_CUT`, which the campaign sets.
pub fn states_per_cut(usual: u64) -> u64 {
    std::env::var("KLOG_STATES_PER_CUT").ok().and_then(|states| states.parse().ok()).unwrap_or(usual)
}

/// Does `work` for every number of a range, on all cores. A panic of one is a panic of the whole.
pub fn in_parallel(range: RangeInclusive<u64>, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(*range.start());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !range.contains(&number) {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

thread_local! {
    /// No panic of this thread is printed.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether a thread panicked because a [`FaultKind::Death`](klog::sys::FaultKind::Death) was planned.
fn is_planned(payload: &(dyn Any + Send)) -> bool {
    payload.downcast_ref::<String>().is_some_and(|text| text.starts_with("a planned death"))
}

/// Keeps what is planned out of the output.
fn print_the_unplanned() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() && !is_planned(info.payload()) {
                before(info);
            }
        }));
    });
}

/// Does something in which the thread may die as planned; `None` then.
pub fn survive<T>(work: impl FnOnce() -> T) -> Option<T> {
    print_the_unplanned();
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Some(value),
        Err(payload) if is_planned(&*payload) => None,
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// Does `work`, which may panic; `Err` holds what it panicked with, and nothing of it is printed.
pub fn try_quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    print_the_unplanned();
    let was_quiet = IS_QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_QUIET.set(was_quiet);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}
