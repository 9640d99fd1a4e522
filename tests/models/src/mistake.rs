//! Mistakes on purpose: each must be found by the model that is there to find it.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// A mistake that a model can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The lock is taken with `Relaxed`.
    TakesTheLockRelaxed,
    /// The lock is taken with `Acquire`, so that who sees the token may not see the generation.
    HidesItsGeneration,
    /// The lock is given back with `Relaxed`.
    ReleasesTheLockRelaxed,
    /// 64-bit words are published with `Relaxed`: commit word and log end.
    PublishesRelaxed,
    /// The high watermark is raised with `Relaxed`.
    RaisesRelaxed,
    /// What should be `SeqCst` is `Acquire` and `Release`.
    HasNoTotalOrder,
    /// The high watermark is stored, not raised.
    StoresTheWatermark,
    /// Whoever has slept takes the lock without the mark that others sleep.
    DropsTheWaitersMark,
    /// The lock is given back by whoever thinks that he has it.
    ReleasesWhoeverHasIt,
    /// A release wakes nobody.
    ReleasesWithoutWaking,
    /// Sleep begins without another look at the word.
    SleepsWithoutLooking,
    /// A waiter that gives up keeps the wake-up it may have got.
    KeepsTheWakeUp,
    /// A ring of the bell clears the flag and does not move the word again.
    RingsOnce,
    /// Of all who sleep on a word one is woken.
    WakesOneReader,
    /// Readers are told before the high watermark is raised.
    AnnouncesBeforeRaising,
    /// Who lives is told by process ids, which another namespace does not know.
    AsksForProcessIds,
    /// Whoever has the lock for too long counts as dead.
    StealsByTime,
    /// Who lives is told by the byte of the slot alone.
    ForgetsGenerations,
    /// A new holder of a slot does not count it up.
    KeepsTheGeneration,
    /// The batch is published, then written.
    PublishesBeforeWriting,
    /// `dirty` is set when the bytes are written.
    SetsDirtyLate,
    /// `dirty` is cleared before the commit.
    ClearsDirtyEarly,
    /// Recovery begins by clearing `dirty`.
    RecoversCleanFirst,
    /// Recovery takes the log end from its own word and not from the commit word.
    TrustsTheLogEnd,
    /// Recovery looks at `dirty` alone, and cuts nothing.
    CutsNothing,
    /// The flush is marked as begun when it is over.
    MarksTheFlushLate,
    /// The flush is marked as over before its failure is noted.
    ForgetsTheFlushEarly,
    /// Who takes the flush lock from a dead flusher flushes and no more.
    TrustsTheNextFlush,
    /// What a dead flusher may have lost is written again while others append.
    RewritesWithoutTheLock,
    /// The flush lock is given back before the result is published.
    PublishesWithoutTheFlushLock,
    /// What is to be flushed is measured when it has been.
    MeasuresAfterTheFlush,
    /// A failed flush is tried again.
    FlushesAgain,
    /// Whether a flush has failed is asked before the flush lock is taken, and not after.
    AsksBeforeTheFlushLock,
    /// Truncation takes the append lock alone.
    TruncatesWithoutTheFlushLock,
    /// A flusher that takes the lock from one who died cutting the log flushes what is being cut.
    FlushesWhatIsBeingCut,
    /// Truncation counts itself when the file is cut already.
    CountsTruncationsLate,
    /// Truncation moves the log end when the file is cut already.
    CutsBeforeTheLogEnd,
    /// Truncation and the reader have no fences.
    TruncatesWithoutFences,
    /// A roll that has changed the first of its words counts as finished.
    TrustsHalfARoll,
    /// What is undecided is noted after it can be seen.
    NotesTransactionsLate,
}

thread_local! { static MADE: Cell<Option<Mistake>> = const { Cell::new(None) } }

/// Whether `mistake` is being made.
pub fn is_made(mistake: Mistake) -> bool {
    MADE.get() == Some(mistake)
}

/// Makes `mistake` while `work` runs. A checker runs all threads of a model on the thread that called it, so that they all
/// make it.
fn making<T>(mistake: Mistake, work: impl FnOnce() -> T) -> T {
    struct Undo;
    impl Drop for Undo {
        fn drop(&mut self) {
            MADE.set(None);
        }
    }
    print_what_nobody_made();
    MADE.set(Some(mistake));
    let _undo = Undo;
    work()
}

/// Keeps out of the output what a mistake leads to.
fn print_what_nobody_made() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if MADE.get().is_none() {
                before(info);
            }
        }));
    });
}

/// What the models say when something is wrong with the protocol, and not with themselves.
pub const SYMPTOMS: &[&str] = &[
    "acknowledged and is lost",
    "another offset",
    "and that is lost",
    "boundary",
    "bytes behind the commit",
    "deadlock",
    "differ",
    "is there twice",
    "more is flushed than there is",
    "torn",
    "two held the lock at once",
    "was visible",
];

/// Checks that `mistake` is found by `checks`, and that what is found names one of `symptoms`.
pub fn finds(mistake: Mistake, symptoms: &[&str], checks: impl FnOnce()) {
    let checked = catch_unwind(AssertUnwindSafe(|| making(mistake, checks)));
    let Err(payload) = checked else { panic!("{mistake:?} was not found") };
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("no text");
    assert!(symptoms.iter().any(|symptom| text.contains(symptom)), "{mistake:?} was found by something else: {text}");
}
