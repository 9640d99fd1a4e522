//! The seam to the operating system: files, locks, clocks, waits and chance.
//!
//! Everything klog does to its surroundings goes through five small traits, [`Disk`], [`File`], [`Locks`], [`Clock`] and
//! [`Wait`] (and [`Random`]), so that every step can be made to fail and every moment can be made the last one before a
//! power cut. Each has a real implementation and a simulated one. The two are chosen by an enum, [`Sys`], and not by a
//! type parameter: a branch costs a nanosecond beside a system call, and nothing above has to be generic.
//!
//! This module does not know what the bytes mean.

mod any;
pub mod bugs;
mod fork;
mod mapping;
pub mod points;
mod real;
mod sim;
mod whole;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::types::TimestampMs;

pub use any::{AnyClock, AnyDisk, AnyFile, AnyRandom, AnyWait, Sys};
pub use fork::{LockFile, PerProcess, generation};
pub use mapping::{Mapping, Words};
pub use real::{RealClock, RealDisk, RealFile, RealRandom, RealWait};
pub use sim::{
    Crash, CrashModel, CrashStates, Event, Fault, FaultKind, SECTOR_BYTES, SimClock, SimDisk, SimFile, SimRandom,
    SimWait,
};
pub use whole::{read_exact_at, read_whole, write_all_at, write_atomically};

/// How a file is opened. Files are made with mode 0600, and never follow the process into another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Read an existing file, without moving its access time where the system allows that.
    Read,
    /// Read and write an existing file.
    ReadWrite,
    /// Read and write; made when it is not there.
    Create,
    /// Read and write; an error when it is there.
    CreateNew,
}

/// What the system says of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes.
    pub len: u64,
    /// When the content last changed.
    pub modified: TimestampMs,
    /// Which file it is.
    pub identity: FileIdentity,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileIdentity {
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// The room of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size in bytes.
    pub total: u64,
    /// Bytes that are left for this user.
    pub usable: u64,
}

/// A directory entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Directories and names.
pub trait Disk {
    /// An open file of this disk.
    type File: File + Locks;

    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<Self::File>;
    /// Gives a file or directory another name, replacing a file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory, mode 0700.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// What is in a directory, by name; entries whose names are not UTF-8 are left out.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// What the system says of a name.
    fn stat(&self, path: &Path) -> io::Result<Stat>;
    /// How much room the file system has that a name is on.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The kind of file system that a name is on, by its magic number (`statfs`).
    fn file_system(&self, path: &Path) -> io::Result<i64>;
    /// Memory of `len` bytes that is shared through the file of that name: see [`Mapping`]. [`Open::Create`] makes the file
    /// when it is not there; with [`Open::Read`] the memory is not to be written.
    fn share(&self, path: &Path, how: Open, len: usize) -> io::Result<Arc<Mapping>>;
}

/// An open file. Offsets are explicit, so one file serves many threads.
pub trait File: Send + Sync {
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes some of `bytes`, and says how many.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize>;
    /// Cuts the file, or extends it by zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the content durable, and the size. After an error nothing may be assumed of what was written before.
    fn sync_data(&self) -> io::Result<()>;
    /// What the system says of the file.
    fn stat(&self) -> io::Result<Stat>;
    /// Drops clean pages of the range from the cache, so that the next read comes from the disk.
    fn drop_cache(&self, position: u64, len: u64) -> io::Result<()>;
}

/// Byte range locks that belong to the open file, and end with it (Linux: OFD locks).
pub trait Locks {
    /// Takes a lock, or says that another open file has it.
    fn try_lock(&self, range: LockRange, kind: LockKind) -> io::Result<bool>;
    /// Gives a lock back.
    fn unlock(&self, range: LockRange) -> io::Result<()>;
    /// Whether such a lock would be refused. For messages: the answer is old when it comes.
    fn is_locked(&self, range: LockRange, kind: LockKind) -> io::Result<bool>;
}

/// A range of bytes of a lock file; the bytes need not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRange {
    /// The first byte.
    pub start: u64,
    /// How many; 0 for all to the end of the file, however long it grows.
    pub len: u64,
}

impl LockRange {
    /// The whole file, as Kafka locks its `.lock`.
    pub const WHOLE: LockRange = LockRange { start: 0, len: 0 };

    /// One byte.
    pub const fn byte(at: u64) -> LockRange {
        LockRange { start: at, len: 1 }
    }
}

/// Whether others may hold the same lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Any number of holders.
    Shared,
    /// One holder.
    Exclusive,
}

/// What time it is.
pub trait Clock {
    /// Wall clock: for record timestamps and retention, and for nothing else.
    fn now(&self) -> TimestampMs;
    /// Time since some moment, never going back.
    fn monotonic(&self) -> Duration;
}

/// Sleeping until a word changes.
pub trait Wait {
    /// Sleeps while `word` is `expected`, at most for `timeout`. May wake for nothing.
    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> Woken;
    /// Wakes everybody who sleeps on `word`.
    fn wake_all(&self, word: &AtomicU32);
    /// Wakes one of those who sleep on `word`.
    fn wake_one(&self, word: &AtomicU32);
}

/// A limit that the system sets to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Open files.
    Files,
    /// Bytes that may be kept from being swapped out.
    LockedMemory,
    /// Bytes of addresses.
    Addresses,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Somebody woke it, or the word had changed, or nothing at all.
    Woken,
    /// The time was over.
    TimedOut,
    /// A signal came.
    Interrupted,
}

/// Chance.
pub trait Random {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// `dir/name`, spelled out once.
pub fn join(dir: &Path, name: &str) -> PathBuf {
    dir.join(name)
}
