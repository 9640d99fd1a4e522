//! A futex.

use std::ptr;
use std::sync::PoisonError;

use super::atomic::{AtomicU32, Ordering};
use super::checker::{Condvar, Mutex, MutexGuard};
use crate::mistake::{Mistake, is_made};

#[derive(Debug)]
struct Beds {
    /// Address of the word, and who sleeps on it, the longest first.
    asleep: Vec<(usize, usize)>,
    /// How many sleeps of each on each word end by themselves.
    naps: u32,
    /// Who has slept so, on which word.
    taken: Vec<(usize, usize)>,
}

/// Who sleeps on which word.
///
/// Time does not pass for them, so that a wake-up that is lost is a deadlock. It does pass when somebody dies: then every
/// sleep ends by itself, and the next one of each on each word. Beyond that, the first ones may.
#[derive(Debug)]
pub struct Sleepers {
    beds: Mutex<Beds>,
    doors: Vec<Condvar>,
}

impl Sleepers {
    /// Room for so many, whose first `naps` sleeps end by themselves.
    pub fn new(count: usize, naps: u32) -> Self {
        let beds = Beds { asleep: Vec::new(), naps, taken: Vec::new() };
        Sleepers { beds: Mutex::new(beds), doors: (0..count).map(|_| Condvar::new()).collect() }
    }

    fn beds(&self) -> MutexGuard<'_, Beds> {
        self.beds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps while `word` is `expected`.
    pub fn sleep(&self, who: usize, word: &AtomicU32, expected: u32) {
        let mut beds = self.beds();
        if word.load(Ordering::SeqCst) != expected && !is_made(Mistake::SleepsWithoutLooking) {
            return;
        }
        let bed = (ptr::from_ref(word) as usize, who);
        if beds.taken.iter().filter(|nap| **nap == bed).count() < beds.naps as usize {
            beds.taken.push(bed);
            return;
        }
        beds.asleep.push(bed);
        while beds.asleep.contains(&bed) {
            beds = self.doors[who].wait(beds).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes those who sleep on `word`, `count` of them at most.
    pub fn wake(&self, word: &AtomicU32, count: usize) {
        let address = ptr::from_ref(word) as usize;
        let mut beds = self.beds();
        for _ in 0..count {
            let Some(bed) = beds.asleep.iter().position(|(of, _)| *of == address) else { break };
            let (_, who) = beds.asleep.remove(bed);
            self.doors[who].notify_one();
        }
    }

    /// Time passes: every sleep ends by itself, and the next one of each on each word.
    pub fn pass_time(&self) {
        let mut beds = self.beds();
        beds.naps += 1;
        beds.asleep.clear();
        self.doors.iter().for_each(Condvar::notify_one);
    }
}
