//! Mistakes on purpose, to see whether the tests would notice: "does the net catch fish?"
//!
//! Without the feature `seeded-bugs`, which only klog's own tests switch on, every question is answered with no at compile
//! time.

/// A mistake that can be made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Directories are not synced: a file is durable, but its name is not.
    NoDirectorySync,
    /// Records are acknowledged before they are flushed.
    AcknowledgeBeforeFlush,
    /// A flush after a roll syncs the new segment only.
    FlushSkipsOldSegment,
    /// What a failed write left behind is not synced away.
    UndoWithoutSync,
    /// Recovery cuts the log and goes on without syncing the cut.
    CutWithoutSync,
    /// The mark of a clean shutdown is left in place while the directory is written.
    CleanMarkStays,
}

#[cfg(feature = "seeded-bugs")]
mod seeded {
    use super::Bug;
    use std::cell::Cell;

    std::thread_local! {
        static MADE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether `bug` is being made on this thread.
    pub fn is_made(bug: Bug) -> bool {
        MADE.get() == Some(bug)
    }

    /// Makes `bug`, or none, on this thread from now on.
    pub fn make(bug: Option<Bug>) {
        MADE.set(bug);
    }
}

#[cfg(feature = "seeded-bugs")]
pub use seeded::{is_made, make};

/// Whether `bug` is being made: never.
#[cfg(not(feature = "seeded-bugs"))]
#[inline]
pub const fn is_made(_bug: Bug) -> bool {
    false
}
