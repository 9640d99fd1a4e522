//! Work that is due later: flushes, lingering batches, checkpoints, retention, removals.
//!
//! A thread does it, started on first need; with `threads=off`, whoever calls next. The thread sleeps on one word until the
//! earliest duty is due. It blocks all signals, so that they reach the program's own threads.

#![allow(unsafe_code, reason = "blocking signals in the thread that klog starts")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::Threads;
use crate::error::{ErrorCode, Result};
use crate::shm::Slices;
use crate::sys::{Clock, Sys, Wait};

/// After how long what could not be done is tried again, where that may help: soon where somebody was only in the way.
const AGAIN: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(50);

/// After how long what ended so is done again, if at all.
pub(super) fn again(result: &Result<()>) -> Option<Duration> {
    match result {
        Err(error) if error.code() == ErrorCode::Interrupted => Some(SOON),
        Err(error) if error.may_pass() => Some(AGAIN),
        _ => None,
    }
}

/// Something that is to be done at a time.
pub(crate) trait Duty: Send + Sync {
    /// Does it; returns after how long it is to be done again, if at all. What waits for others in it is `Interrupted` soon: the
    /// next duty is not theirs.
    fn perform(&self) -> Option<Duration>;
}

struct Planned {
    at: Duration,
    number: u64,
    duty: Arc<dyn Duty>,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Planned {}
impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The duties of an engine.
pub(crate) struct Duties {
    sys: Sys,
    threads: Threads,
    /// Of the thread.
    name: &'static str,
    plan: Mutex<Plan>,
    /// Moves when something earlier was planned, or all is to end; the thread sleeps on it.
    word: AtomicU32,
    /// When the earliest is due, in ns of the monotonic clock: what a caller compares before it takes a lock.
    next_at: AtomicU64,
    /// One at a time.
    working: Mutex<()>,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Plan {
    heap: BinaryHeap<Reverse<Planned>>,
    count: u64,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Duties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duties").field("threads", &self.threads).finish_non_exhaustive()
    }
}

const NEVER: u64 = u64::MAX;

/// A time of the monotonic clock in ns; one that does not fit is beyond every machine's life.
fn in_ns(at: Duration) -> u64 {
    u64::try_from(at.as_nanos()).unwrap_or(NEVER - 1)
}

impl Duties {
    pub(crate) fn new(sys: &Sys, threads: Threads, name: &'static str) -> Arc<Duties> {
        Arc::new(Duties {
            sys: sys.clone(),
            threads,
            name,
            plan: Mutex::default(),
            word: AtomicU32::new(0),
            next_at: AtomicU64::new(NEVER),
            working: Mutex::new(()),
            stopping: AtomicBool::new(false),
        })
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `duty` performed after `delay`.
    pub(crate) fn after(self: &Arc<Self>, delay: Duration, duty: Arc<dyn Duty>) {
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        let at = self.sys.clock.monotonic().saturating_add(delay);
        let mut plan = self.plan();
        plan.count += 1;
        let number = plan.count;
        plan.heap.push(Reverse(Planned { at, number, duty }));
        let is_earliest = plan.heap.peek().is_some_and(|Reverse(first)| first.number == number);
        if is_earliest {
            self.next_at.store(in_ns(at), Ordering::Release);
        }
        if self.threads == Threads::On && plan.thread.is_none() {
            plan.thread = start(self.name, Arc::downgrade(self));
        }
        drop(plan);
        if is_earliest {
            self.wake();
        }
    }

    fn wake(&self) {
        self.word.fetch_add(1, Ordering::SeqCst);
        self.sys.wait.wake_all(&self.word);
    }

    /// With `threads=off`: does what is due. Costs a clock call when nothing is.
    pub(crate) fn catch_up(&self) {
        if self.threads == Threads::Off && self.next_at.load(Ordering::Acquire) != NEVER {
            self.perform_due();
        }
    }

    fn perform_due(&self) {
        let _one_at_a_time = match self.working.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // Not what comes again meanwhile: a caller that does the work is not kept for ever.
        let now = self.sys.clock.monotonic();
        while let Some(duty) = self.take_due(now) {
            // One that panics is not done again; the others are none the worse. The logs survive a death at any instruction.
            let again = catch_unwind(AssertUnwindSafe(|| Slices::default().within(|| duty.perform()))).unwrap_or(None);
            if let Some(again) = again
                && !self.stopping.load(Ordering::Acquire)
            {
                let at = self.sys.clock.monotonic().saturating_add(again);
                let mut plan = self.plan();
                plan.count += 1;
                let number = plan.count;
                plan.heap.push(Reverse(Planned { at, number, duty }));
                self.note_next(&plan);
            }
        }
    }

    fn take_due(&self, now: Duration) -> Option<Arc<dyn Duty>> {
        let mut plan = self.plan();
        let is_due = plan.heap.peek().is_some_and(|Reverse(first)| first.at <= now);
        let taken = is_due.then(|| plan.heap.pop()).flatten();
        self.note_next(&plan);
        taken.map(|Reverse(planned)| planned.duty)
    }

    fn note_next(&self, plan: &Plan) {
        let next = plan.heap.peek().map_or(NEVER, |Reverse(first)| in_ns(first.at));
        self.next_at.store(next, Ordering::Release);
    }

    /// Ends the thread, and forgets what was planned.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
        let thread = {
            let mut plan = self.plan();
            plan.heap.clear();
            self.note_next(&plan);
            plan.thread.take()
        };
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
        // With `threads=off` another caller may be at work.
        drop(self.working.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn start(name: &str, duties: Weak<Duties>) -> Option<JoinHandle<()>> {
    let run = move || {
        block_signals();
        loop {
            let Some(duties) = duties.upgrade() else { return };
            if duties.stopping.load(Ordering::Acquire) {
                return;
            }
            let word = duties.word.load(Ordering::SeqCst);
            duties.perform_due();
            let next = duties.next_at.load(Ordering::Acquire);
            let now = in_ns(duties.sys.clock.monotonic());
            let sleep = Duration::from_nanos(next.saturating_sub(now)).min(Duration::from_secs(1));
            if !sleep.is_zero() {
                duties.sys.wait.wait(&duties.word, word, sleep);
            }
        }
    };
    // Where no thread can be had, calls, flush and close do the work.
    std::thread::Builder::new().name(name.into()).spawn(run).ok()
}

fn block_signals() {
    // SAFETY: an all-zero sigset_t is a valid object to be filled by sigfillset.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `all` is a live sigset_t.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: `all` was filled above; a null third argument asks for nothing back.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut()) };
}
