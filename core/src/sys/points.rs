//! Places at which a process may be made to die, to see whether the others go on.
//!
//! Without the feature `crash-points`, which only klog's own tests switch on, nothing happens at any of them. The numbers C1
//! to C22 are those of docs/processes.md.

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// A place in the middle of something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Point {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Point {
            /// All of them.
            pub const ALL: &[Point] = &[$(Point::$name),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Point::$name => $text),+
                }
            }

            /// The point of that name.
            pub fn parse(name: &str) -> Option<Point> {
                Point::ALL.iter().copied().find(|point| point.name() == name)
            }
        }
    };
}

points! {
    /// C1: the lock is taken, and nothing begun.
    Locked = "locked",
    /// C2: it is said that an append is begun.
    Dirty = "dirty",
    /// C3: half of the batch is written.
    HalfWritten = "half-written",
    /// C4: all of it is, and not committed.
    Written = "written",
    /// C5: it is committed, and the log end not published.
    Committed = "committed",
    /// C6: the log end is published, and the index not written.
    Published = "published",
    /// C7: all is done, and the lock held.
    Clean = "clean",
    /// C8: the lock is given back, and nobody woken.
    Unlocked = "unlocked",
    /// C9 and C17: the batch is appended, and neither shown nor acknowledged.
    Appended = "appended",
    /// C10: recovery has cut what was not committed.
    RecoveryCut = "recovery-cut",
    /// C10: recovery is done, and not said to be.
    Recovered = "recovered",
    /// C11: the files of a new segment are made.
    RollCreated = "roll-created",
    /// C12: one of the two words that say which segment is active is changed.
    RollTorn = "roll-torn",
    /// C14: a truncation is begun, and nothing changed.
    Truncating = "truncating",
    /// C14: the words are changed, and the files not cut.
    TruncationCounted = "truncation-counted",
    /// C14: the files are cut, and what is derived of them is not.
    Truncated = "truncated",
    /// C22: it is said that a flush is under way.
    FlushBegun = "flush-begun",
    /// C15: the disk has answered, and nobody was told.
    Flushed = "flushed",
    /// The flush is done, and its lock held.
    FlushPublished = "flush-published",
    /// C18: the shared memory is cleared, and not ready.
    AttachBegun = "attach-begun",
    /// Everything is in its place, and nobody let in.
    AttachReady = "attach-ready",
    /// The name of a new block is written, and the block not counted.
    BlockNamed = "block-named",
    /// The log start is raised in its checkpoint, and nowhere else.
    LogStartRaised = "log-start-raised",
    /// C19: one file of an old segment has its new name.
    DeleteRenamed = "delete-renamed",
    /// The right to change the metadata is taken.
    MetadataBegun = "metadata-begun",
    /// A change of the metadata is appended, and not flushed.
    MetadataAppended = "metadata-appended",
    /// A topic exists, and has no directories.
    TopicCreated = "topic-created",
    /// A topic is removed from the metadata, and its directories are there.
    TopicRemoved = "topic-removed",
    /// A checkpoint is about to be written.
    Checkpoint = "checkpoint",
    /// The last one to leave has closed the logs.
    LogsClosed = "logs-closed",
    /// C20: the mark of a clean shutdown is written, and the directory not given back.
    CleanMarked = "clean-marked",
}

#[cfg(feature = "crash-points")]
#[allow(unsafe_code, reason = "a death that nothing can catch")]
mod armed {
    use super::Point;
    use crate::sys::{Clock, RealClock};
    use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

    static ARMED: AtomicU32 = AtomicU32::new(u32::MAX);
    static PASSES: AtomicU32 = AtomicU32::new(0);
    static SIGNAL: AtomicI32 = AtomicI32::new(libc::SIGKILL);
    static TOLD: AtomicI32 = AtomicI32::new(-1);

    /// Has this process die when it comes by `point` for the `passes`-th time from now on.
    pub fn arm(point: Option<Point>, passes: u32) {
        arm_with(libc::SIGKILL, point, passes);
    }

    /// As [`arm`], and it stops there until somebody has it go on.
    pub fn arm_stop(point: Option<Point>, passes: u32) {
        arm_with(libc::SIGSTOP, point, passes);
    }

    fn arm_with(signal: i32, point: Option<Point>, passes: u32) {
        ARMED.store(u32::MAX, Ordering::SeqCst);
        SIGNAL.store(signal, Ordering::SeqCst);
        PASSES.store(passes.max(1), Ordering::SeqCst);
        ARMED.store(point.map_or(u32::MAX, |point| point as u32), Ordering::SeqCst);
    }

    /// Has a line written to a descriptor when the point is reached: `at`, its name, and the monotonic time in ns.
    pub fn tell_to(descriptor: i32) {
        TOLD.store(descriptor, Ordering::SeqCst);
    }

    /// Whether the process is to die here when it comes by the next time.
    pub fn is_next(point: Point) -> bool {
        ARMED.load(Ordering::SeqCst) == point as u32 && PASSES.load(Ordering::SeqCst) == 1
    }

    /// Comes by a point.
    pub fn reached(point: Point) {
        if ARMED.load(Ordering::SeqCst) == point as u32 && PASSES.fetch_sub(1, Ordering::SeqCst) == 1 {
            ARMED.store(u32::MAX, Ordering::SeqCst);
            let line = format!("at {} {}\n", point.name(), RealClock.monotonic().as_nanos());
            // SAFETY: the bytes live as long as the call; a descriptor of -1 is refused.
            unsafe { libc::write(TOLD.load(Ordering::SeqCst), line.as_ptr().cast(), line.len()) };
            // SAFETY: of the two signals one ends the process, which runs nothing afterwards, and one only stops it.
            unsafe { libc::raise(SIGNAL.load(Ordering::SeqCst)) };
        }
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{arm, arm_stop, is_next, reached, tell_to};

/// Whether the process is to die here: never.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub const fn is_next(_point: Point) -> bool {
    false
}

/// Comes by a point.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub const fn reached(_point: Point) {}
