//! Simulated time and chance.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::sys::{Clock, Random, Wait, Woken};
use crate::types::TimestampMs;

/// A clock that moves only when it is told to. Clones show the same time.
#[derive(Clone, Debug)]
pub struct SimClock(Arc<Times>);

#[derive(Debug)]
struct Times {
    wall_ms: AtomicI64,
    monotonic_ns: AtomicU64,
}

impl SimClock {
    /// A clock that shows `wall`.
    pub fn new(wall: TimestampMs) -> Self {
        SimClock(Arc::new(Times { wall_ms: AtomicI64::new(wall.0), monotonic_ns: AtomicU64::new(0) }))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.wall_ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        self.0.monotonic_ns.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Moves the wall clock alone, as an operator or a time server does.
    pub fn set_wall(&self, wall: TimestampMs) {
        self.0.wall_ms.store(wall.0, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.0.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.monotonic_ns.load(Ordering::SeqCst))
    }
}

/// Waiting in a world with one thread: nobody else can change the word, so the time is simply over.
#[derive(Clone, Debug)]
pub struct SimWait(SimClock);

impl SimWait {
    /// Waits by moving `clock`.
    pub fn new(clock: SimClock) -> Self {
        SimWait(clock)
    }
}

impl Wait for SimWait {
    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> Woken {
        if word.load(Ordering::SeqCst) != expected {
            return Woken::Woken;
        }
        self.0.advance(timeout);
        Woken::TimedOut
    }

    fn wake_all(&self, _word: &AtomicU32) {}

    fn wake_one(&self, _word: &AtomicU32) {}
}

/// Random numbers that repeat with their seed (SplitMix64).
#[derive(Debug)]
pub struct SimRandom(AtomicU64);

impl SimRandom {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        SimRandom(AtomicU64::new(seed))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
    }
}
