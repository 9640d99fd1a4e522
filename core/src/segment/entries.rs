//! A file of fixed-width entries, read by place and appended to at the end.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::sys::{AnyFile, Disk, File, Open, Sys, read_exact_at, write_all_at};

/// The entries of an index, on disk or in memory. One appender, any number of readers.
pub struct Entries {
    width: usize,
    place: Place,
    count: AtomicU32,
}

enum Place {
    Disk { file: AnyFile, path: PathBuf },
    Memory(Mutex<Vec<u8>>),
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("width", &self.width).field("count", &self.len()).finish_non_exhaustive()
    }
}

impl Entries {
    /// Opens an index file for reading; one that is not there has no entries. A torn last entry does not count.
    pub fn open(sys: &Sys, path: PathBuf, width: usize) -> io::Result<Entries> {
        let file = match sys.disk.open(&path, Open::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Entries::in_memory(width)),
            result => result?,
        };
        let count = file.stat()?.len / width as u64;
        Ok(Entries { width, place: Place::Disk { file, path }, count: AtomicU32::new(count as u32) })
    }

    /// Opens an index file for writing; makes it when it is not there.
    pub fn create(sys: &Sys, path: PathBuf, width: usize) -> io::Result<Entries> {
        let file = sys.disk.open(&path, Open::Create)?.lifted();
        let count = file.stat()?.len / width as u64;
        Ok(Entries { width, place: Place::Disk { file, path }, count: AtomicU32::new(count as u32) })
    }

    /// An empty index that lives as long as the process.
    pub fn in_memory(width: usize) -> Entries {
        Entries { width, place: Place::Memory(Mutex::default()), count: AtomicU32::new(0) }
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether they are in a file.
    pub fn has_file(&self) -> bool {
        matches!(self.place, Place::Disk { .. })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks whether another process has added entries.
    pub fn look_again(&self) -> io::Result<()> {
        if let Place::Disk { file, .. } = &self.place {
            let count = file.stat()?.len / self.width as u64;
            // Only up: the one appender, who may be adding at this moment, counts for itself.
            self.count.fetch_max(count as u32, Ordering::AcqRel);
        }
        Ok(())
    }

    /// How many entries there are in front of those that are all zero, which were set aside for later. A first entry of
    /// zeros is one when it is alone.
    pub fn used(&self) -> io::Result<u32> {
        let count = self.len();
        if count == 1 {
            return Ok(1);
        }
        let mut entry = [0; 16];
        let entry = &mut entry[..self.width];
        for index in (0..count).rev() {
            self.read(index, entry)?;
            if entry.iter().any(|byte| *byte != 0) {
                return Ok(index + 1);
            }
        }
        Ok(0)
    }

    /// Copies entry `index` into `out`, which is as wide as an entry.
    pub fn read(&self, index: u32, out: &mut [u8]) -> io::Result<()> {
        debug_assert_eq!(out.len(), self.width);
        let at = index as usize * self.width;
        match &self.place {
            Place::Disk { file, path } => {
                let read = read_exact_at(file, out, at as u64)?;
                if read < out.len() {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("{} became shorter", path.display()),
                    ));
                }
            }
            Place::Memory(bytes) => {
                let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                let entry = bytes.get(at..at + self.width).ok_or(io::ErrorKind::UnexpectedEof)?;
                out.copy_from_slice(entry);
            }
        }
        Ok(())
    }

    /// Appends an entry. For the one appender.
    pub fn push(&self, entry: &[u8]) -> io::Result<()> {
        debug_assert_eq!(entry.len(), self.width);
        let count = self.len();
        match &self.place {
            Place::Disk { file, .. } => write_all_at(file, entry, u64::from(count) * self.width as u64)?,
            Place::Memory(bytes) => bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(entry),
        }
        // Release: readers that see the count see the bytes.
        self.count.store(count + 1, Ordering::Release);
        Ok(())
    }

    /// Keeps the first `count` entries and cuts the file behind them.
    pub fn truncate(&self, count: u32) -> io::Result<()> {
        let len = count as usize * self.width;
        match &self.place {
            Place::Disk { file, .. } => {
                if file.stat()?.len != len as u64 {
                    file.set_len(len as u64)?;
                }
            }
            Place::Memory(bytes) => bytes.lock().unwrap_or_else(PoisonError::into_inner).truncate(len),
        }
        self.count.store(count, Ordering::Release);
        Ok(())
    }

    /// Makes the entries durable.
    pub fn sync(&self) -> io::Result<()> {
        match &self.place {
            Place::Disk { file, .. } => file.sync_data(),
            Place::Memory(_) => Ok(()),
        }
    }

    /// The number of leading entries for which `is_before` holds; it must hold for a prefix. Binary search.
    pub fn partition_point(&self, mut is_before: impl FnMut(&[u8]) -> bool) -> io::Result<u32> {
        let mut entry = [0; 16];
        let entry = &mut entry[..self.width];
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            self.read(middle, entry)?;
            if is_before(entry) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}
