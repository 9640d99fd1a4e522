//! Which segments are open: those that were used last.
//!
//! A log may have thousands of segments, of up to three files each, and a process has a thousand files by default. A segment
//! that was closed is opened again when somebody needs it. One stays open that is appended to, or holds what was appended
//! and is not durable yet: its descriptor is what the system tells of a failed write.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};

use crate::segment::{AbortedTransaction, Files, OffsetIndex, Segment, Suffix, TimeIndex};
use crate::sys::{AnyDisk, Limit, Open, Sys};
use crate::types::Offset;

/// The open segments of one handle, in the order in which they were opened, with a second chance for those that were used
/// since.
pub(super) struct OpenSegments {
    sys: Sys,
    most: usize,
    list: Mutex<VecDeque<Weak<Slot>>>,
    kept: Arc<AtomicUsize>,
}

/// A segment that stays open until what was appended to it is durable.
#[derive(Debug)]
pub(super) struct Kept {
    _segment: Arc<Segment>,
    /// The offset behind it.
    pub(super) end: Offset,
    count: Arc<AtomicUsize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// So many are looked at when one more is opened: where all are in use, that costs little.
const LOOKS: usize = 16;
/// A sixteenth of the files that the process may have open, within these.
const FEWEST: u64 = 16;
const MOST: u64 = 1024;
/// On a simulated disk, so that what comes of it is tried all the time.
const MOST_SIMULATED: u64 = 4;

impl OpenSegments {
    pub(super) fn new(sys: &Sys) -> OpenSegments {
        let most = match &sys.disk {
            AnyDisk::Simulated(_) => MOST_SIMULATED,
            AnyDisk::Real(_) => sys.limit(Limit::Files).map_or(MOST, |files| (files / 16).clamp(FEWEST, MOST)),
        };
        OpenSegments { sys: sys.clone(), most: most as usize, list: Mutex::default(), kept: Arc::default() }
    }

    /// Has a segment stay open that ends at `end`.
    pub(super) fn keep(&self, segment: Arc<Segment>, end: Offset) -> Kept {
        self.kept.fetch_add(1, Ordering::Relaxed);
        Kept { _segment: segment, end, count: self.kept.clone() }
    }

    /// Whether flushes do not keep up with rolls, so that too many segments stay open.
    pub(super) fn has_too_many(&self) -> bool {
        self.kept.load(Ordering::Relaxed) >= self.most
    }

    /// A segment in the list of a log that is open already.
    pub(super) fn slot_of(&self, segment: Arc<Segment>, how: Open) -> Arc<Slot> {
        let slot = Slot::new(segment.base(), Suffix::None, how);
        *slot.place() = Place::Open(segment);
        self.add(&slot);
        slot
    }

    fn add(&self, slot: &Arc<Slot>) {
        let mut closing = Vec::new();
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push_back(Arc::downgrade(slot));
        for _ in 0..LOOKS {
            if list.len() <= self.most {
                break;
            }
            let Some(first) = list.pop_front().and_then(|first| first.upgrade()) else { continue };
            match first.close() {
                Closed::Now(files) => closing.push(files),
                Closed::Already => {}
                Closed::Not => list.push_back(Arc::downgrade(&first)),
            }
        }
        drop(list); // what is closed then takes calls
    }

    /// Closes what nobody uses at the moment; returns how many.
    fn close_all(&self) -> usize {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let before = list.len();
        list.retain(|slot| {
            slot.upgrade().is_some_and(|slot| {
                slot.was_used.store(false, Ordering::Relaxed);
                matches!(slot.close(), Closed::Not)
            })
        });
        before - list.len()
    }
}

/// What became of the wish to close a segment.
enum Closed {
    Now(Box<Files>),
    Already,
    /// Somebody uses it, or has since the last time.
    Not,
}

/// Whether a segment is open.
enum Place {
    Open(Arc<Segment>),
    /// It is not; with the indexes that are in memory only, of a reader who may not write any.
    Closed(Option<(OffsetIndex, TimeIndex)>),
}

/// A segment in the list of a log; opened when somebody needs it.
pub(crate) struct Slot {
    pub(super) base: Offset,
    pub(super) suffix: Suffix,
    how: Open,
    place: Mutex<Place>,
    /// Since it was looked at last whether it can be closed.
    was_used: AtomicBool,
    /// It stands for files that are not there.
    pub(super) is_absent: bool,
    /// Aborted transactions that were found by reading the log, for a reader who may not write an index.
    pub(super) aborted: OnceLock<Vec<AbortedTransaction>>,
}

impl Slot {
    pub(super) fn new(base: Offset, suffix: Suffix, how: Open) -> Arc<Slot> {
        Arc::new(Slot {
            base,
            suffix,
            how,
            place: Mutex::new(Place::Closed(None)),
            was_used: AtomicBool::new(false),
            is_absent: false,
            aborted: OnceLock::new(),
        })
    }

    /// What a reader finds where a partition was not made yet.
    pub(super) fn absent(segment: Segment) -> Arc<Slot> {
        Arc::new(Slot {
            base: segment.base(),
            suffix: Suffix::None,
            how: Open::Read,
            place: Mutex::new(Place::Open(Arc::new(segment))),
            was_used: AtomicBool::new(false),
            is_absent: true,
            aborted: OnceLock::new(),
        })
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segment, whose files are in `path`. Others may be closed for it.
    pub(super) fn open(self: &Arc<Self>, among: &OpenSegments, path: &Path) -> io::Result<Arc<Segment>> {
        let mut place = self.place();
        let indexes = match &mut *place {
            Place::Open(segment) => {
                self.was_used.store(true, Ordering::Relaxed);
                return Ok(segment.clone());
            }
            Place::Closed(indexes) => indexes,
        };
        let open = || Segment::open(&among.sys, path, self.base, self.suffix, self.how);
        let segment = match open() {
            // The rest of the program may need as many.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) && among.close_all() > 0 => open()?,
            opened => opened?,
        };
        if let Some((offsets, times)) = indexes.take() {
            segment.use_indexes(offsets, times);
        }
        let segment = Arc::new(segment);
        *place = Place::Open(segment.clone());
        drop(place);
        among.add(self);
        Ok(segment)
    }

    fn close(&self) -> Closed {
        let mut place = match self.place.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Closed::Not,
        };
        if self.was_used.swap(false, Ordering::Relaxed) || self.is_absent {
            return Closed::Not;
        }
        let segment = match std::mem::replace(&mut *place, Place::Closed(None)) {
            Place::Open(segment) => segment,
            closed @ Place::Closed(_) => {
                *place = closed;
                return Closed::Already;
            }
        };
        match Arc::try_unwrap(segment) {
            Ok(segment) => {
                let (indexes, files) = segment.close();
                *place = Place::Closed(indexes);
                Closed::Now(Box::new(files))
            }
            // Somebody works with it.
            Err(segment) => {
                *place = Place::Open(segment);
                Closed::Not
            }
        }
    }

    pub(super) fn aborted(self: &Arc<Self>, among: &OpenSegments, path: &Path) -> io::Result<Vec<AbortedTransaction>> {
        match self.aborted.get() {
            Some(found) => Ok(found.clone()),
            None => self.open(among, path)?.transaction_index().entries(),
        }
    }
}
