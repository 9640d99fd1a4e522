//! One growing file, a lock word that processes could share, and a word that publishes what was written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::FloorBatch;
use crate::system::{Shared, SharedWords, futex_wait, futex_wake};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may sleep on the word.
const CONTENDED: u32 = 2;

#[repr(C, align(64))]
struct Words {
    lock: AtomicU32,
    /// End of the file in the high half, records in the low one: one store is the append.
    commit: AtomicU64,
    flushing: AtomicU32,
    /// Moves when a flush ends.
    flush_sequence: AtomicU32,
    flush_waiters: AtomicU32,
    /// The bytes that are durable.
    flushed: AtomicU64,
    /// Moves when there is something to read.
    data_sequence: AtomicU32,
    data_waiters: AtomicU32,
}

// SAFETY: every field is an atomic integer.
#[allow(unsafe_code, reason = "the promise that SharedWords asks for")]
unsafe impl SharedWords for Words {}

/// One partition's log, as little of it as can be.
pub(crate) struct FloorLog {
    file: File,
    words: Shared<Words>,
}

impl FloorLog {
    /// An empty log.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(FloorLog { file, words: Shared::new()? })
    }

    /// A log that other processes have as well: whoever comes first makes it.
    pub(crate) fn share(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(FloorLog { file, words: Shared::in_file(&path.with_extension("words"))? })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Appends a sealed batch; returns where it ends in the file.
    pub(crate) fn append(&self, batch: &mut FloorBatch) -> io::Result<u64> {
        self.lock();
        let commit = self.words.commit.load(Ordering::Relaxed);
        let (position, next) = (commit >> 32, commit & u64::from(u32::MAX));
        batch.place(next, 0);
        let written = self.file.write_all_at(batch.bytes(), position);
        let end = position + batch.len() as u64;
        if written.is_ok() {
            // Release: whoever sees the word finds the bytes.
            self.words.commit.store(end << 32 | (next + batch.count() as u64), Ordering::Release);
        }
        self.unlock();
        written.map(|()| end)
    }

    /// Makes the file durable up to `end`. One flushes for all who wait; who comes too late for it flushes next.
    pub(crate) fn make_durable(&self, end: u64) -> io::Result<()> {
        let words = &*self.words;
        while words.flushed.load(Ordering::Acquire) < end {
            let sequence = words.flush_sequence.load(Ordering::SeqCst);
            if words.flushing.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
                words.flush_waiters.store(1, Ordering::SeqCst);
                if words.flushed.load(Ordering::SeqCst) < end {
                    futex_wait(&words.flush_sequence, sequence);
                }
                continue;
            }
            let target = words.commit.load(Ordering::Acquire) >> 32;
            let synced = self.file.sync_data();
            if synced.is_ok() {
                words.flushed.fetch_max(target, Ordering::SeqCst);
            }
            words.flushing.store(FREE, Ordering::Release);
            words.flush_sequence.fetch_add(1, Ordering::SeqCst);
            if words.flush_waiters.swap(0, Ordering::SeqCst) != 0 {
                futex_wake(&words.flush_sequence, i32::MAX);
            }
            synced?;
        }
        Ok(())
    }

    /// The bytes that were appended.
    pub(crate) fn end(&self) -> u64 {
        self.words.commit.load(Ordering::Acquire) >> 32
    }

    /// Wakes whoever waits for more than there was.
    pub(crate) fn announce(&self) {
        self.words.data_sequence.fetch_add(1, Ordering::SeqCst);
        if self.words.data_waiters.swap(0, Ordering::SeqCst) != 0 {
            futex_wake(&self.words.data_sequence, i32::MAX);
        }
    }

    /// Sleeps until there is more than `end`; returns where it ends then.
    pub(crate) fn wait_for_more(&self, end: u64) -> u64 {
        loop {
            let sequence = self.words.data_sequence.load(Ordering::SeqCst);
            self.words.data_waiters.store(1, Ordering::SeqCst);
            let now = self.end();
            if now > end {
                return now;
            }
            futex_wait(&self.words.data_sequence, sequence);
        }
    }

    fn lock(&self) {
        let lock = &self.words.lock;
        if lock.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        while lock.swap(CONTENDED, Ordering::Acquire) != FREE {
            futex_wait(lock, CONTENDED);
        }
    }

    fn unlock(&self) {
        if self.words.lock.swap(FREE, Ordering::Release) == CONTENDED {
            futex_wake(&self.words.lock, 1);
        }
    }
}
