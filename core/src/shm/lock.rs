//! The lock around a control block.
//!
//! Its word says who holds it: slot and generation of an attached handle, never a process id, which means nothing in another
//! namespace. A holder is dead when the kernel has released the byte of its slot, or somebody else has the slot by now.
//! Nobody takes the lock from a holder that lives, however long that takes.

use std::time::Duration;

use super::atomic::{AtomicU32, Ordering, spin_loop};
use super::block::{ControlBlock, Dirty};

/// Who holds a lock: `31 waiters · 30..12 generation · 11..0 slot + 1`; a word of 0 is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotToken {
    /// The place in the slot table.
    pub slot: u32,
    /// Which of those who had the place one after the other.
    pub generation: u32,
}

/// Somebody sleeps on the word.
const WAITERS: u32 = 1 << 31;
const GENERATIONS: u32 = 0x7_ffff;

impl SlotToken {
    /// The lock word.
    pub fn word(self) -> u32 {
        (self.generation & GENERATIONS) << 12 | (self.slot + 1)
    }

    /// Whose word it is; `None` for a free lock. What no klog wrote names a slot that there is not.
    pub fn of_word(word: u32) -> Option<SlotToken> {
        let slot = (word & 0xfff).checked_sub(1)?;
        Some(SlotToken { slot, generation: word >> 12 & GENERATIONS })
    }

    /// Whether `generation` of the slot's table entry is this one.
    pub fn is_of(self, generation: u32) -> bool {
        self.generation & GENERATIONS == generation & GENERATIONS
    }
}

/// How long somebody waits for what another one holds.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// In all.
    pub total: Duration,
    /// How long the wait has lasted that this one goes on with, in ns.
    pub waited_ns: u64,
    /// After so long it is interrupted, to be gone on with later.
    pub slice: Option<Duration>,
}

/// What a lock needs of its surroundings.
pub trait Around {
    /// How long the caller waits.
    fn patience(&self) -> Patience;
    /// Monotonic time in ns, the same for all processes.
    fn now(&self) -> u64;
    /// Sleeps while `word` is `expected`, at most for `timeout`; `false` when a signal came that may end the call.
    fn park(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> bool;
    /// Wakes one of those who sleep on `word`.
    fn unpark(&self, word: &AtomicU32);
    /// Whether the holder has died. Never for one that lives; where that cannot be told, it lives.
    fn is_dead(&self, holder: SlotToken) -> bool;
    /// Takes the kernel's lock number `index`, unless somebody has it.
    fn try_kernel_lock(&self, index: u32) -> bool;
    /// Gives it back.
    fn kernel_unlock(&self, index: u32);
}

/// Why a lock could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The time is over. Who holds it, and for how long, in ns, at least as far as was seen.
    TimedOut {
        /// The holder.
        holder: Option<SlotToken>,
        /// How long this one has waited for it, in ns.
        waited_ns: u64,
    },
    /// The caller is to do something else first.
    Interrupted {
        /// How long this one has waited for it, in ns.
        waited_ns: u64,
    },
}

/// How processes take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendLock {
    /// A word in shared memory, and sleep in the kernel.
    Futex,
    /// A lock of the kernel's for each partition: the reference that the other one is tested against.
    Ofd,
}

/// What the new holder must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The holder before died inside; what it left must be recovered before anything else (I6).
    pub must_recover: bool,
    /// Somebody else held it since; derived state must catch up (I11).
    pub changed_hands: bool,
}

/// A time in ns; one that does not fit is beyond every machine's life.
pub fn in_ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A wait for something that somebody else holds.
pub(super) struct Waiting {
    /// In ns, as the others.
    began: u64,
    deadline: u64,
    slice_ends: u64,
    is_interrupted: bool,
}

impl Waiting {
    /// A signal ends a wait that has lasted for so long: nobody is bothered with it while locks change hands as usual.
    const INTERRUPTIBLE_AFTER_NS: u64 = 50_000_000;

    pub(super) fn begin(around: &impl Around) -> Waiting {
        let (now, patience) = (around.now(), around.patience());
        let left = in_ns(patience.total).saturating_sub(patience.waited_ns);
        Waiting {
            began: now.saturating_sub(patience.waited_ns),
            deadline: now.saturating_add(left),
            slice_ends: patience.slice.map_or(u64::MAX, |slice| now.saturating_add(in_ns(slice))),
            is_interrupted: false,
        }
    }

    /// Sleeps while `word` is `expected`, at most for `timeout`.
    pub(super) fn sleep(&mut self, word: &AtomicU32, expected: u32, timeout: Duration, around: &impl Around) {
        self.is_interrupted |= !around.park(word, expected, timeout);
    }

    /// For how long it has lasted, in ns.
    fn lasted(&self, around: &impl Around) -> u64 {
        around.now().saturating_sub(self.began)
    }

    /// Why it is over without success, if it is; `holder` was the last one that was seen.
    pub(super) fn refused(&self, holder: Option<SlotToken>, around: &impl Around) -> Option<Refused> {
        let now = around.now();
        let waited_ns = now.saturating_sub(self.began);
        if self.is_interrupted && waited_ns >= Self::INTERRUPTIBLE_AFTER_NS {
            return Some(Refused::Interrupted { waited_ns });
        }
        if now >= self.deadline {
            return Some(Refused::TimedOut { holder, waited_ns });
        }
        (now >= self.slice_ends).then_some(Refused::Interrupted { waited_ns })
    }
}

/// The first sleep, and the longest: no wait by protocol is longer.
const FIRST_SLEEP: Duration = Duration::from_millis(2);
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
/// How often a waiter looks before it sleeps: a critical section takes about as long. A look is no event to a model, so
/// there a waiter sleeps at once.
const SPINS: u32 = if cfg!(loom) { 0 } else { 100 };

impl AppendLock {
    /// Takes the lock of `block`, which is number `index` of its table. Threads that share a token take turns elsewhere.
    ///
    /// # Errors
    /// `TimedOut` when the caller's patience is over, `Interrupted` when a slice of it is, or a signal came; the lock may be free
    /// by then, but was not got.
    #[inline]
    pub fn acquire(
        self,
        block: &ControlBlock,
        index: u32,
        token: SlotToken,
        around: &impl Around,
    ) -> Result<Held, Refused> {
        let before = match self {
            AppendLock::Futex => take(&block.lock, token, around, |ns| block.count_wait(ns))?,
            AppendLock::Ofd => take_kernel_lock(block, index, token, around)?,
        };
        if before != 0 {
            block.steals.fetch_add(1, Ordering::Relaxed);
        }
        let held = Held {
            must_recover: before != 0 || block.dirty() != Dirty::Clean,
            changed_hands: block.last_holder() != (token.slot + 1, token.generation),
        };
        if held.changed_hands {
            block.note_holder(token.slot + 1, token.generation);
        }
        Ok(held)
    }

    /// Gives it back. One who has left the table while he was inside has nothing to give: it is somebody else's, perhaps.
    #[inline]
    pub fn release(self, block: &ControlBlock, index: u32, token: SlotToken, around: &impl Around) {
        self.leave(block, index, token, 0, around);
    }

    /// Leaves it as one who has died inside: whoever wants it takes it from a holder that there is not, and recovers.
    #[cold]
    pub fn abandon(self, block: &ControlBlock, index: u32, token: SlotToken, around: &impl Around) {
        // Whoever had the slot before has left it.
        let nobody = SlotToken { generation: token.generation.wrapping_sub(1), ..token };
        self.leave(block, index, token, nobody.word(), around);
    }

    #[inline]
    fn leave(self, block: &ControlBlock, index: u32, token: SlotToken, word: u32, around: &impl Around) {
        let own = token.word();
        let mut seen = own;
        // Release: O1.
        while let Err(now) = block.lock.compare_exchange(seen, word, Ordering::Release, Ordering::Relaxed) {
            if now & !WAITERS != own {
                return;
            }
            seen = now;
        }
        if self == AppendLock::Ofd {
            around.kernel_unlock(index);
        }
        if seen & WAITERS != 0 {
            around.unpark(&block.lock);
        }
    }
}

/// Takes the lock word; returns the word of the dead holder that it was taken from, or 0.
///
/// # Errors
/// See [`AppendLock::acquire`].
#[inline]
fn take(
    word: &AtomicU32,
    token: SlotToken,
    around: &impl Around,
    count_wait: impl FnOnce(u64),
) -> Result<u32, Refused> {
    // Acquire: O1. Release: whoever sees the token sees the generation that it names, and does not take it for an older one's.
    match word.compare_exchange(0, token.word(), Ordering::AcqRel, Ordering::Relaxed) {
        Ok(_) => Ok(0),
        Err(_) => take_slowly(word, token, around, count_wait),
    }
}

#[cold]
fn take_slowly(
    word: &AtomicU32,
    token: SlotToken,
    around: &impl Around,
    count_wait: impl FnOnce(u64),
) -> Result<u32, Refused> {
    let own = token.word();
    let mut waiting = Waiting::begin(around);
    let mut spins = SPINS;
    let (mut sleep, mut last) = (FIRST_SLEEP, 0);
    // Whoever has slept takes the lock as one with waiters: another may sleep still.
    let mut mark = 0;
    let taken = loop {
        let seen = word.load(Ordering::Relaxed);
        if seen == 0 {
            match word.compare_exchange(0, own | mark, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break 0,
                Err(_) => continue,
            }
        }
        if spins > 0 {
            spins -= 1;
            spin_loop();
            continue;
        }
        if seen & WAITERS == 0
            && word.compare_exchange(seen, seen | WAITERS, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            continue;
        }
        mark = WAITERS;
        let seen = seen | WAITERS;
        waiting.sleep(word, seen, sleep, around);
        let holder = SlotToken::of_word(seen);
        // Acquire: pairs with the exchange that took the lock.
        if word.load(Ordering::Acquire) == seen {
            // The time was over, or the wake-up was for nothing. O2: the look at the holder comes before the exchange.
            let is_dead = holder.is_none_or(|holder| around.is_dead(holder));
            if is_dead && word.compare_exchange(seen, own | WAITERS, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                break seen;
            }
        }
        sleep = if last == seen { (sleep * 2).min(LONGEST_SLEEP) } else { FIRST_SLEEP };
        last = seen;
        if let Some(refused) = waiting.refused(holder, around) {
            around.unpark(word); // in case this one was woken: another sleeps still, perhaps
            return Err(refused);
        }
    };
    count_wait(waiting.lasted(around));
    Ok(taken)
}

/// As [`take`], by a lock of the kernel's, which is free when its holder has died: the word then still names it.
fn take_kernel_lock(block: &ControlBlock, index: u32, token: SlotToken, around: &impl Around) -> Result<u32, Refused> {
    let mut waiting = Waiting::begin(around);
    let (mut sleep, mut has_waited) = (FIRST_SLEEP, false);
    loop {
        if around.try_kernel_lock(index) {
            let mark = if has_waited { WAITERS } else { 0 };
            let own = token.word() | mark;
            let before = block.lock.swap(own, Ordering::Acquire);
            if before & WAITERS != 0 {
                // Some sleep on the word of the dead. The exchange fails where somebody has marked the word since.
                let _ = block.lock.compare_exchange(own, own | WAITERS, Ordering::Relaxed, Ordering::Relaxed);
            }
            if has_waited {
                block.count_wait(waiting.lasted(around));
            }
            return Ok(before);
        }
        has_waited = true;
        let seen = block.lock.load(Ordering::Relaxed);
        let marked = seen | WAITERS;
        if seen == 0 {
            // Between the kernel's lock and the word, for an instant, unless the holder was stopped there.
            waiting.sleep(&block.lock, 0, FIRST_SLEEP, around);
        } else if seen == marked
            || block.lock.compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            waiting.sleep(&block.lock, marked, sleep, around);
            sleep = (sleep * 2).min(LONGEST_SLEEP);
        }
        if let Some(refused) = waiting.refused(SlotToken::of_word(seen), around) {
            around.unpark(&block.lock); // as in `take_slowly`
            return Err(refused);
        }
    }
}
