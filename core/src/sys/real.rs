//! The real system: Linux.

#![allow(unsafe_code, reason = "system calls that std does not offer, or offers with more around them")]
#![allow(clippy::disallowed_methods, reason = "this is the one place that may call them")]

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::{
    Clock, Disk, Entry, File, FileIdentity, Limit, LockKind, LockRange, Locks, Mapping, Open, Random, Space, Stat,
    Wait, Woken,
};
use crate::types::TimestampMs;

/// The file systems of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// A file of this machine.
#[derive(Debug)]
pub struct RealFile {
    file: ManuallyDrop<fs::File>,
    /// Of one that stays open for long.
    identity: Option<FileIdentity>,
}

impl From<fs::File> for RealFile {
    fn from(file: fs::File) -> Self {
        RealFile { file: ManuallyDrop::new(file), identity: None }
    }
}

impl Drop for RealFile {
    fn drop(&mut self) {
        // A program may have closed what it did not open, and opened something of its own under the number.
        if self.identity.is_none() || identity_of(self.descriptor()) == self.identity {
            // SAFETY: it is dropped here and nowhere else, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

/// What a descriptor means. Allocates nothing and locks nothing.
pub(super) fn identity_of(descriptor: RawFd) -> Option<FileIdentity> {
    // SAFETY: an all-zero stat is a valid object to be filled.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `found` is a live object that the call fills; a descriptor that is not open is an error.
    let result = unsafe { libc::fstat(descriptor, &raw mut found) };
    (result == 0).then_some(FileIdentity { device: found.st_dev, inode: found.st_ino })
}

impl RealFile {
    /// The descriptor, for the fork handler's table.
    pub fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// The same open file under a high number, where programs that close or replace the low ones do not come by, and which is
    /// closed only while it means this file. Where there are no such numbers it stays where it is.
    #[must_use]
    pub fn lifted(self) -> Self {
        const HIGH: libc::c_int = 512;
        // SAFETY: the descriptor is open; the call makes another one and touches no memory.
        let mut lifted = match unsafe { libc::fcntl(self.descriptor(), libc::F_DUPFD_CLOEXEC, HIGH) } {
            -1 => self,
            // SAFETY: the descriptor was made just now, and nobody else has it.
            high => RealFile::from(unsafe { fs::File::from_raw_fd(high) }),
        };
        lifted.identity = identity_of(lifted.descriptor());
        lifted
    }

    /// Refuses a descriptor that a program closed although it had not opened it: it may mean a file of the program's by now,
    /// and that is not written to. A system call of a fraction of a microsecond.
    fn check_is_ours(&self) -> io::Result<()> {
        if self.identity.is_none() || identity_of(self.descriptor()) == self.identity {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(libc::EBADF))
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn open(&self, path: &Path, how: Open) -> io::Result<RealFile> {
        let mut options = fs::OpenOptions::new();
        options.read(true).mode(0o600);
        match how {
            Open::Read => {
                // O_NOATIME is for the owner only; a plain open serves everybody else.
                match options.custom_flags(libc::O_NOATIME).open(path) {
                    Err(e) if e.raw_os_error() == Some(libc::EPERM) => options.custom_flags(0),
                    result => return result.map(RealFile::from),
                }
            }
            Open::ReadWrite => options.write(true),
            Open::Create => options.write(true).create(true).truncate(false),
            Open::CreateNew => options.write(true).create_new(true),
        };
        options.open(path).map(RealFile::from)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: an all-zero statvfs is a valid object to be filled.
        let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: `path` ends with a NUL and `found` is a live object; both outlive the call.
        if unsafe { libc::statvfs(path.as_ptr(), &raw mut found) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Space { total: found.f_blocks * found.f_frsize, usable: found.f_bavail * found.f_frsize })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let kind = entry.file_type()?;
            // A link counts as what it points to: people put partitions on other disks that way.
            let is_dir = kind.is_dir() || (kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()));
            entries.push(Entry { name, is_dir });
        }
        entries.sort();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        fs::metadata(path).map(|metadata| stat_of(&metadata))
    }

    fn file_system(&self, path: &Path) -> io::Result<i64> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: an all-zero statfs is a valid object to be filled.
        let mut found: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: `path` ends with a NUL and `found` is a live object; both outlive the call.
        if unsafe { libc::statfs(path.as_ptr(), &raw mut found) } != 0 {
            return Err(io::Error::last_os_error());
        }
        #[allow(clippy::unnecessary_cast, reason = "its width differs between architectures")]
        Ok(found.f_type as i64)
    }

    fn share(&self, path: &Path, how: Open, len: usize) -> io::Result<Arc<Mapping>> {
        let is_writable = how != Open::Read;
        let file = self.open(path, how)?.lifted();
        if is_writable && file.file.metadata()?.len() == 0 {
            not_copied_on_write(&file.file);
        }
        Mapping::of_file(file, len, is_writable).map(Arc::new)
    }
}

/// Where a file system copies what is written, a page that had its place on the disk needs another one, and there may be
/// none. Btrfs can be told not to; others do not know the flag.
fn not_copied_on_write(file: &fs::File) {
    const FS_NOCOW_FL: libc::c_int = 0x0080_0000;
    let mut flags: libc::c_int = 0;
    // SAFETY: the descriptor is open, and `flags` is a live int that the call fills.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) } != 0 {
        return;
    }
    flags |= FS_NOCOW_FL;
    // SAFETY: as above; the call only reads `flags`.
    unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) };
}

fn stat_of(metadata: &fs::Metadata) -> Stat {
    Stat {
        len: metadata.len(),
        modified: TimestampMs(metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000),
        identity: FileIdentity { device: metadata.dev(), inode: metadata.ino() },
        is_dir: metadata.is_dir(),
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    // Not asked whose the descriptor is: that takes a third as long as the write. Whoever holds one for long asks now and then.
    // The kernel's call and not the C library's: that spends another 20 ns on threads that are cancelled inside, and each
    // frame between a record and the kernel costs 8 on the way back.
    #[inline]
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(&*self.file, bytes, position)?)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_is_ours()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check_is_ours()?;
        self.file.sync_data()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.metadata().map(|metadata| stat_of(&metadata))
    }

    fn drop_cache(&self, position: u64, len: u64) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as `self`; the call touches no memory of ours.
        let code =
            unsafe { libc::posix_fadvise(self.descriptor(), position as i64, len as i64, libc::POSIX_FADV_DONTNEED) };
        if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
    }
}

impl RealFile {
    fn lock_call(&self, command: libc::c_int, kind: libc::c_int, range: LockRange) -> io::Result<libc::flock> {
        let mut lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: range.start as libc::off_t,
            l_len: range.len as libc::off_t,
            l_pid: 0, // OFD locks require it
        };
        // SAFETY: the descriptor is open for as long as `self`, and `lock` is a whole `struct flock` that outlives the call.
        let result = unsafe { libc::fcntl(self.descriptor(), command, &raw mut lock) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(lock) }
    }
}

fn lock_type(kind: LockKind) -> libc::c_int {
    match kind {
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
    }
}

impl Locks for RealFile {
    fn try_lock(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        match self.lock_call(libc::F_OFD_SETLK, lock_type(kind), range) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn unlock(&self, range: LockRange) -> io::Result<()> {
        self.lock_call(libc::F_OFD_SETLK, libc::F_UNLCK, range).map(|_| ())
    }

    fn is_locked(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        let lock = self.lock_call(libc::F_OFD_GETLK, lock_type(kind), range)?;
        Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
    }
}

/// A limit of this process; `None` where there is none.
pub(super) fn limit(which: Limit) -> Option<u64> {
    let which = match which {
        Limit::Files => libc::RLIMIT_NOFILE,
        Limit::LockedMemory => libc::RLIMIT_MEMLOCK,
        Limit::Addresses => libc::RLIMIT_AS,
    };
    let mut found = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `found` is a live rlimit that the call fills; it fails for limits only that there are not.
    unsafe { libc::getrlimit(which, &raw mut found) };
    (found.rlim_cur != libc::RLIM_INFINITY).then_some(found.rlim_cur)
}

/// The clocks of this machine. All its processes see the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealClock;

fn read_clock(which: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that the call fills. The clocks are ones that every Linux has, so it cannot fail.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    time
}

impl Clock for RealClock {
    fn now(&self) -> TimestampMs {
        let time = read_clock(libc::CLOCK_REALTIME);
        // A clock that is set before 1970 counts as 1970.
        TimestampMs((time.tv_sec * 1000 + time.tv_nsec / 1_000_000).max(0))
    }

    fn monotonic(&self) -> Duration {
        let time = read_clock(libc::CLOCK_MONOTONIC);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

/// Futexes. They are not process-private, since the words will lie in shared memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealWait;

impl Wait for RealWait {
    fn wait(&self, word: &AtomicU32, expected: u32, timeout: Duration) -> Woken {
        let time = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        // SAFETY: `word` is a live, aligned 32-bit word and `time` a live timespec for the whole call; the kernel only reads them.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                ptr::from_ref(word),
                libc::FUTEX_WAIT,
                expected,
                &raw const time,
                ptr::null::<u32>(),
                0,
            )
        };
        if result == 0 {
            return Woken::Woken;
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::ETIMEDOUT) => Woken::TimedOut,
            Some(libc::EINTR) => Woken::Interrupted,
            _ => Woken::Woken, // EAGAIN: the word had changed
        }
    }

    fn wake_all(&self, word: &AtomicU32) {
        wake(word, i32::MAX);
    }

    fn wake_one(&self, word: &AtomicU32) {
        wake(word, 1);
    }
}

fn wake(word: &AtomicU32, most: i32) {
    // SAFETY: `word` is live and aligned; waking reads no memory.
    unsafe {
        libc::syscall(libc::SYS_futex, ptr::from_ref(word), libc::FUTEX_WAKE, most);
    }
}

/// The kernel's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealRandom;

impl Random for RealRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = &mut bytes[filled..];
            // SAFETY: `rest` is writable for its whole length.
            let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
            // Only a signal can stop it: the pool is ready long before any program of a user runs.
            filled += usize::try_from(got).unwrap_or(0);
        }
    }
}
