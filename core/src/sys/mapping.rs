//! Memory that processes share: a mapped file, or, where there is one process only, plain memory.

#![allow(unsafe_code, reason = "handing out words of mapped memory, and telling the kernel about the pages")]

use std::fmt;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::fork::{forget_mapping, replace_in_child};
use super::real::RealFile;
use super::{File, FileIdentity, read_exact_at, write_all_at};

/// Memory of a fixed length, zero where nobody wrote. What lies behind the end of its file must not be touched before
/// [`reserve`](Mapping::reserve) was called for it, by any process.
pub struct Mapping {
    map: MmapRaw,
    file: Option<RealFile>,
    is_writable: bool,
    /// Bytes that are known to exist.
    reserved: AtomicU64,
    growing: Mutex<()>,
    /// For private memory: it was cleared before.
    is_used: AtomicBool,
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("len", &self.map.len())
            .field("is_writable", &self.is_writable)
            .finish_non_exhaustive()
    }
}

/// Memory that is written in steps of this many bytes.
const STEP: u64 = 64 << 10;

impl Mapping {
    /// Memory of this process alone.
    pub fn private(len: usize) -> io::Result<Mapping> {
        let map = MmapOptions::new().len(len).map_anon()?.into();
        let reserved = AtomicU64::new(len as u64);
        let (growing, is_used) = (Mutex::new(()), AtomicBool::new(false));
        Ok(Mapping { map, file: None, is_writable: true, reserved, growing, is_used })
    }

    /// Maps the first `len` bytes of `file`, which may be shorter.
    pub(super) fn of_file(file: RealFile, len: usize, is_writable: bool) -> io::Result<Mapping> {
        let reserved = AtomicU64::new(file.stat()?.len.min(len as u64));
        let mut options = MmapOptions::new();
        let options = options.len(len);
        let map = if is_writable {
            options.map_raw(file.descriptor())?
        } else {
            options.map_raw_read_only(file.descriptor())?
        };
        // A child gets private zeros in its place, so that a handle it has no business with does no harm.
        replace_in_child(map.as_ptr() as usize, map.len());
        let (growing, is_used) = (Mutex::new(()), AtomicBool::new(true));
        Ok(Mapping { map, file: Some(file), is_writable, reserved, growing, is_used })
    }

    /// How long it is.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it may be written.
    pub fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Whether no other process sees it.
    pub fn is_private(&self) -> bool {
        self.file.is_none()
    }

    /// How many bytes of it have a file behind them, as far as this process knows.
    pub fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Acquire)
    }

    /// Looks how long the file is by now: another process may have made it longer.
    pub fn look(&self) -> io::Result<u64> {
        if let Some(file) = &self.file {
            self.reserved.fetch_max(file.stat()?.len.min(self.map.len() as u64), Ordering::AcqRel);
        }
        Ok(self.reserved())
    }

    /// Makes sure that the first `len` bytes exist on the disk, every one of them written: a hole that the disk has no room
    /// for would kill the process at its first use. What was there stays.
    ///
    /// # Errors
    /// Those of writing.
    pub fn reserve(&self, len: u64) -> io::Result<()> {
        if self.reserved() >= len {
            return Ok(());
        }
        let _one_grows = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &self.file else { return Ok(()) };
        let mut at = self.look()?;
        let zeros = vec![0; STEP as usize];
        while at < len {
            let step = (STEP - at % STEP).min(self.map.len() as u64 - at);
            if step == 0 {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            write_all_at(file, &zeros[..step as usize], at)?;
            at += step;
        }
        self.look().map(|_| ())
    }

    /// Overwrites the first `len` bytes with zeros, in the file: every one of them has its place on the disk then.
    ///
    /// # Errors
    /// Those of writing.
    pub fn clear(&self, len: u64) -> io::Result<()> {
        let Some(file) = &self.file else {
            if !self.is_used.swap(true, Ordering::AcqRel) {
                return Ok(()); // fresh memory is zero
            }
            for at in (0..len.min(self.map.len() as u64)).step_by(8) {
                self.word(at as usize).store(0, Ordering::Relaxed);
            }
            return Ok(());
        };
        let zeros = vec![0; len as usize];
        write_all_at(file, &zeros, 0)?;
        self.look()?;
        self.hold();
        Ok(())
    }

    /// Asks the kernel to keep what there is in memory, so that a disk that fails does not take it away. Where that is
    /// refused, nothing else changes.
    fn hold(&self) {
        let len = self.reserved() as usize;
        // SAFETY: the range is part of the mapping, which lives as long as `self`.
        unsafe { libc::mlock(self.map.as_ptr().cast(), len) };
    }

    /// Which file it is, if it is one.
    pub fn identity(&self) -> io::Result<Option<FileIdentity>> {
        self.file.as_ref().map(|file| file.stat().map(|found| found.identity)).transpose()
    }

    /// What the file says at `position`, read past the mapping.
    pub fn read_word(&self, position: u64) -> io::Result<u64> {
        let Some(file) = &self.file else {
            return Ok(self.word(position as usize).load(Ordering::SeqCst));
        };
        let mut bytes = [0; 8];
        read_exact_at(file, &mut bytes, position)?;
        #[allow(clippy::host_endian_bytes, reason = "compared with a word of memory, on this machine")]
        Ok(u64::from_ne_bytes(bytes))
    }

    /// A word of it.
    ///
    /// # Panics
    /// Where it is not inside, or not aligned.
    pub fn word(&self, at: usize) -> &AtomicU64 {
        self.at::<AtomicU64>(at)
    }

    /// What lies at byte `at`, as a `T`, which consists of atomics alone: other processes change it meanwhile.
    ///
    /// # Panics
    /// Where it is not inside, or not aligned.
    pub fn at<T: Words>(&self, at: usize) -> &T {
        assert!(at + size_of::<T>() <= self.map.len(), "byte {at} is outside the shared memory");
        assert!(at.is_multiple_of(align_of::<T>()), "byte {at} is not aligned");
        // SAFETY: `at` is inside the mapping.
        let place = unsafe { self.map.as_ptr().add(at) };
        // SAFETY: the range is inside the mapping, which lives as long as `self`, and aligned. `T` promises to be made of
        // atomics, for which every bit pattern is valid and concurrent change is defined.
        unsafe { &*place.cast::<T>() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.file.is_some() {
            forget_mapping(self.map.as_ptr() as usize);
        }
    }
}

/// Something that may lie in shared memory.
///
/// # Safety
/// It has a fixed layout (`repr(C)`) and consists of atomic integers alone.
pub unsafe trait Words {}

// SAFETY: it is one.
unsafe impl Words for AtomicU64 {}
