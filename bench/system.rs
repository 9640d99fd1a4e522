//! What the floor and the clock need of the system and std does not offer.

#![allow(unsafe_code, reason = "a shared mapping, futexes, and clocks that count processor time")]

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Processor time of all threads of this process.
#[derive(Clone, Copy)]
pub(crate) struct CpuTime(Duration);

impl CpuTime {
    pub(crate) fn now() -> Self {
        CpuTime(clock(libc::CLOCK_PROCESS_CPUTIME_ID))
    }

    /// What was used since.
    pub(crate) fn elapsed(self) -> Duration {
        CpuTime::now().0.saturating_sub(self.0)
    }
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn wall_clock_ms() -> i64 {
    clock(libc::CLOCK_REALTIME).as_millis() as i64
}

/// Nanoseconds that all processes count alike.
pub(crate) fn monotonic_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC).as_nanos() as u64
}

/// Sends a signal to a child.
pub(crate) fn send_signal(child: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: the call touches no memory.
    match unsafe { libc::kill(child as libc::pid_t, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that the call fills.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Types whose all-zero bytes are a value, and that several processes may change at once.
///
/// # Safety
/// Every field is an atomic integer.
pub(crate) unsafe trait SharedWords: Sync {}

/// Zeroed words in memory that child processes share.
pub(crate) struct Shared<T: SharedWords>(*mut T);

// SAFETY: the mapping belongs to nobody but this value; others that share the memory use it as a `T` as well, which is `Sync`.
unsafe impl<T: SharedWords> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: SharedWords> Sync for Shared<T> {}

impl<T: SharedWords> Shared<T> {
    pub(crate) fn new() -> io::Result<Self> {
        Self::map(libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    /// Words that lie in a file, for processes that have nothing else in common. It is made if it is not there.
    pub(crate) fn in_file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if file.metadata()?.len() == 0 {
            file.write_all_at(&vec![0; size_of::<T>()], 0)?; // a hole would be filled at the first store
        }
        Self::map(libc::MAP_SHARED, file.as_raw_fd())
    }

    fn map(flags: libc::c_int, file: RawFd) -> io::Result<Self> {
        assert!(align_of::<T>() <= 4096, "a mapping begins at a page");
        // SAFETY: a mapping at an address of the kernel's choice concerns no other memory. The file, if there is one, is open
        // and has that many bytes.
        let at =
            unsafe { libc::mmap(ptr::null_mut(), size_of::<T>(), libc::PROT_READ | libc::PROT_WRITE, flags, file, 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Shared(at.cast())) }
    }
}

impl<T: SharedWords> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the mapping is live, aligned to a page, and large enough; it was zero once, which is a `T`, and changes only
        // by stores to a `T`.
        unsafe { &*self.0 }
    }
}

impl<T: SharedWords> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping that `new` made; no reference outlives `self`.
        unsafe { libc::munmap(self.0.cast(), size_of::<T>()) };
    }
}

/// The bytes of a file, mapped for reading.
pub(crate) struct MappedFile {
    at: *const u8,
    len: usize,
}

impl MappedFile {
    /// Maps a file that nobody changes.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        let len = file.metadata()?.len() as usize;
        // SAFETY: a mapping at an address of the kernel's choice concerns no other memory.
        let at = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(MappedFile { at: at.cast(), len }) }
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is live, has that many bytes, and the floor is done writing the file.
        unsafe { slice::from_raw_parts(self.at, self.len) }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // SAFETY: the range is the mapping that `new` made; no reference outlives `self`.
        unsafe { libc::munmap(self.at.cast_mut().cast(), self.len) };
    }
}

/// Sleeps while `word` is `expected`. May wake for nothing.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32) {
    // SAFETY: `word` is live and aligned; the kernel only reads it. The null timeout is none.
    unsafe {
        libc::syscall(libc::SYS_futex, ptr::from_ref(word), libc::FUTEX_WAIT, expected, ptr::null::<libc::timespec>())
    };
}

/// Wakes up to `most` of those who sleep on `word`.
pub(crate) fn futex_wake(word: &AtomicU32, most: i32) {
    // SAFETY: `word` is live and aligned; waking reads no memory.
    unsafe { libc::syscall(libc::SYS_futex, ptr::from_ref(word), libc::FUTEX_WAKE, most) };
}
