//! The file of a segment, and the batches in it.
//!
//! A cell stands for a run of bytes that is written at once. Every batch has its id in every cell, so that a torn one is
//! told from a whole one, as its CRC would tell.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::mortal;
use super::raw::WatchedU32;

/// Cells of a file.
pub const CELLS: usize = 32;

/// A batch of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Who sent it; no two batches share one.
    pub id: u8,
    /// In cells.
    pub len: u8,
}

impl Batch {
    /// Cell number `index` of the batch, at `offset` of the log.
    fn cell(self, offset: u64, index: u8) -> u32 {
        u32::from_be_bytes([offset as u8, self.id, index, self.len])
    }
}

/// What the disk has of a file, and what it does not.
#[derive(Debug, Default)]
struct Platter {
    cached: [u32; CELLS],
    is_dirty: [bool; CELLS],
    written: [u32; CELLS],
    fails_next: bool,
}

/// The bytes of a segment.
#[derive(Debug)]
pub struct SegmentFile {
    cells: Vec<WatchedU32>,
    size: WatchedU32,
    /// The base offset that its name tells, + 1; 0 where there is no file.
    name: WatchedU32,
    /// Makes the checker see that writes and flushes depend on each other. It orders nothing: `Relaxed`.
    touched: WatchedU32,
    /// No word of the protocol: what the device does is in the order in which things happen.
    platter: Mutex<Platter>,
    has_disk: bool,
}

impl SegmentFile {
    /// An empty file, of so many cells at most. `has_disk`: what is durable counts.
    pub fn new(cells: usize, has_disk: bool) -> Self {
        SegmentFile {
            cells: (0..cells).map(|_| WatchedU32::default()).collect(),
            size: WatchedU32::default(),
            name: WatchedU32::default(),
            touched: WatchedU32::default(),
            platter: Mutex::new(Platter::default()),
            has_disk,
        }
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, at: u64, cell: u32) {
        mortal::effect();
        if self.has_disk {
            self.touched.fetch_add(1, Relaxed);
            let mut platter = self.platter();
            platter.cached[at as usize] = cell;
            platter.is_dirty[at as usize] = true;
        }
        // Relaxed: a system call orders nothing by itself.
        self.cells[at as usize].store(cell, Relaxed);
    }

    /// Makes the file, empty, for offsets from `base` on.
    pub fn create(&self, base: u64) {
        mortal::effect();
        self.name.store(base as u32 + 1, Relaxed);
    }

    /// The first offset that it is for; `None` where there is no file.
    pub fn base(&self) -> Option<u64> {
        u64::from(self.name.load(Relaxed)).checked_sub(1)
    }

    /// Writes a batch, cell by cell.
    pub fn write(&self, at: u64, offset: u64, batch: Batch) {
        for index in 0..batch.len {
            let place = at + u64::from(index);
            self.put(place, batch.cell(offset, index));
            self.set_size(self.size().max(place + 1));
        }
    }

    /// How many cells there are.
    pub fn size(&self) -> u64 {
        u64::from(self.size.load(Relaxed))
    }

    fn set_size(&self, to: u64) {
        self.size.store(to as u32, Relaxed);
    }

    /// Cuts the file. What is cut reads as nothing.
    pub fn cut(&self, to: u64) {
        for at in to..self.size() {
            self.put(at, 0);
        }
        self.set_size(to);
    }

    /// Reads the batch at `at`, which must have `offset`; `None` if it is torn, or none.
    pub fn read(&self, at: u64, offset: u64) -> Option<Batch> {
        let cell = |index: u8| Some(self.cells.get(at as usize + usize::from(index))?.load(Relaxed));
        let [_, id, _, len] = cell(0)?.to_be_bytes();
        let batch = Batch { id, len };
        (len > 0 && (0..len).all(|index| cell(index) == Some(batch.cell(offset, index)))).then_some(batch)
    }

    /// The batches with these offsets, from the beginning of the file, and where they end.
    ///
    /// # Errors
    /// The first offset that cannot be read.
    pub fn read_range(&self, offsets: Range<u64>) -> Result<(Vec<Batch>, u64), u64> {
        let mut at = 0;
        let mut batches = Vec::new();
        for offset in offsets {
            let batch = self.read(at, offset).ok_or(offset)?;
            at += u64::from(batch.len);
            batches.push(batch);
        }
        Ok((batches, at))
    }

    /// The next flush fails, and what was to be flushed is lost.
    pub fn let_flush_fail(&self) {
        self.platter().fails_next = true;
    }

    /// Makes the device have what was written.
    ///
    /// # Errors
    /// The device refused, once. The kernel calls the pages clean, though the device does not have them.
    pub fn sync(&self) -> Result<(), i32> {
        mortal::effect();
        self.touched.fetch_add(1, Relaxed);
        let mut platter = self.platter();
        let fails = std::mem::take(&mut platter.fails_next);
        for at in 0..CELLS {
            if std::mem::take(&mut platter.is_dirty[at]) && !fails {
                platter.written[at] = platter.cached[at];
            }
        }
        if fails { Err(5) } else { Ok(()) }
    }

    /// Writes cells again as they are, so that the next flush takes them.
    pub fn rewrite(&self, cells: Range<u64>) {
        for at in cells {
            self.put(at, self.cells[at as usize].load(Relaxed));
        }
    }

    /// Whether the device has everything below `to` as it is read.
    pub fn is_durable(&self, to: u64) -> bool {
        let platter = self.platter();
        platter.cached[..to as usize] == platter.written[..to as usize]
    }
}
