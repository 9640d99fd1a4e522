//! Noticing `fork`.
//!
//! A child has its parent's memory but not its threads, and shares its open files, locks included. So a handle
//! remembers the [`generation`] of the process that made it, and lock files are closed in the child at once: a child
//! that lives on must not keep the locks of a parent that has died.

#![allow(unsafe_code, reason = "one page of memory that the kernel wipes in a child, and the fork handlers")]

use std::cell::Cell;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::any::AnyFile;
use super::real::{RealWait, identity_of};
use super::{File, FileIdentity, Wait};

/// A descriptor that the child closes, if it is still that file's: a program may have closed it and opened another one under
/// its number.
struct ToClose {
    /// −1 for a free place, −2 for one that is being filled.
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

/// Descriptors that the child closes. Plain atomics: the handler may allocate nothing and lock nothing.
static IN_CHILD_CLOSE: [ToClose; 1024] =
    [const { ToClose { descriptor: AtomicI32::new(-1), device: AtomicU64::new(0), inode: AtomicU64::new(0) } }; 1024];

/// Shared memory that a child gets private zeros in the place of: where it is, and how long.
static IN_CHILD_REPLACE: [(AtomicUsize, AtomicUsize); 256] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 256];

/// How many processes this memory has been copied through.
static FORKS: AtomicU32 = AtomicU32::new(1);

/// A page that the kernel fills with zeros in every child, even one made by a raw `clone`.
static PAGE: OnceLock<&'static AtomicU32> = OnceLock::new();

/// What stands in the page while the first thread of a child that asks leaves the parent what is the parent's.
const LEAVING: u32 = u32::MAX;

/// A number that differs between a process and its children. Costs one load.
pub fn generation() -> u32 {
    let page = PAGE.get_or_init(make_page);
    loop {
        // Acquire: pairs with the stores of `begin_generation`, so that a number seen here was counted.
        match page.load(Ordering::Acquire) {
            0 | LEAVING => begin_generation(page),
            number => return number,
        }
    }
}

/// Gives this process a number of its own. After a raw `clone` no handler has run, so this does first what it would have done.
#[cold]
fn begin_generation(page: &AtomicU32) {
    if page.compare_exchange(0, LEAVING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        leave_to_parent();
        page.store(FORKS.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Release);
        RealWait.wake_all(page);
    } else {
        RealWait.wait(page, LEAVING, LONGEST_WAIT);
    }
}

fn make_page() -> &'static AtomicU32 {
    // SAFETY: the handlers only load and store atomics, wait on a futex, and call close(2), fstat(2) and mmap(2), as fork
    // handlers may.
    unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) };
    // SAFETY: an anonymous private mapping at an address of the kernel's choice concerns no other memory.
    let page = unsafe {
        libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        // Without the page the fork handler still counts; only a raw clone goes unnoticed.
        static WITHOUT_PAGE: AtomicU32 = AtomicU32::new(1);
        return &WITHOUT_PAGE;
    }
    // SAFETY: the range is the mapping just made. If the kernel is too old, the handler below does the work.
    unsafe { libc::madvise(page, 4096, libc::MADV_WIPEONFORK) };
    // SAFETY: the mapping is page-aligned, zeroed, writable and never unmapped.
    let word: &'static AtomicU32 = unsafe { &*page.cast::<AtomicU32>() };
    word.store(1, Ordering::Release);
    word
}

/// How many threads are opening or closing lock files; no process forks meanwhile, or its child would have a lock file that
/// is not on the list.
static GATE: AtomicU32 = AtomicU32::new(0);
/// What stands there while a process forks.
const FORKING: u32 = u32::MAX;
/// No wait is longer without another look.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

thread_local! {
    /// This thread has closed the gate.
    static HAS_CLOSED_GATE: Cell<bool> = const { Cell::new(false) };
}

extern "C" fn before_fork() {
    // Not for ever: whoever is inside may be this very thread, in a signal handler, or wait for a disk that is stuck.
    for _ in 0..20 {
        match GATE.compare_exchange(0, FORKING, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return HAS_CLOSED_GATE.set(true),
            Err(others) => drop(RealWait.wait(&GATE, others, LONGEST_WAIT)),
        }
    }
}

extern "C" fn after_fork_in_parent() {
    if HAS_CLOSED_GATE.replace(false) {
        GATE.store(0, Ordering::Release);
        RealWait.wake_all(&GATE);
    }
}

extern "C" fn after_fork_in_child() {
    HAS_CLOSED_GATE.set(false);
    GATE.store(0, Ordering::Release);
    if let Some(page) = PAGE.get() {
        page.store(0, Ordering::Release);
    }
    leave_to_parent();
}

/// Somebody who is inside the gate.
struct Inside;

impl Inside {
    fn enter() -> Inside {
        generation(); // the handlers are there
        loop {
            let others = GATE.load(Ordering::Relaxed);
            if others == FORKING {
                RealWait.wait(&GATE, FORKING, LONGEST_WAIT);
            } else if GATE.compare_exchange(others, others + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Inside;
            }
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // In a child that was forked by a signal handler inside of the gate there is nobody to leave it.
        let leave = |inside: u32| (inside != FORKING).then(|| inside.saturating_sub(1));
        let _ = GATE.fetch_update(Ordering::AcqRel, Ordering::Acquire, leave);
        RealWait.wake_all(&GATE);
    }
}

/// Closes the lock files of the parent, and puts zeros in the place of the memory that it shares.
fn leave_to_parent() {
    for place in &IN_CHILD_CLOSE {
        let descriptor = place.descriptor.swap(-1, Ordering::Acquire);
        let (device, inode) = (place.device.load(Ordering::Relaxed), place.inode.load(Ordering::Relaxed));
        if descriptor >= 0 && identity_of(descriptor) == Some(FileIdentity { device, inode }) {
            // SAFETY: the parent still holds its copy; in the child nobody uses this one, since every handle asks
            // for the generation first.
            unsafe { libc::close(descriptor) };
        }
    }
    for (address, len) in &IN_CHILD_REPLACE {
        let (address, len) = (address.swap(0, Ordering::Relaxed), len.swap(0, Ordering::Relaxed));
        if address != 0 {
            // SAFETY: the range is a mapping of klog's, which this replaces in one step; every reference into it belongs to
            // handles of the parent, and consists of atomics, for which zeros are valid.
            unsafe {
                libc::mmap(
                    ptr::without_provenance_mut(address),
                    len,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
                    -1,
                    0,
                );
            }
        }
    }
}

/// Has shared memory replaced by zeros in every child; where there is no room to note it, the child keeps it, and uses it as
/// little. Call [`forget_mapping`] before it is unmapped.
pub(super) fn replace_in_child(address: usize, len: usize) {
    generation(); // the handlers are there
    for (place, length) in &IN_CHILD_REPLACE {
        // Reserved first, so that the length is there when the address is.
        if length.compare_exchange(0, len, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return place.store(address, Ordering::Release);
        }
    }
}

/// Takes shared memory off the list again.
pub(super) fn forget_mapping(address: usize) {
    for (place, length) in &IN_CHILD_REPLACE {
        if place.compare_exchange(address, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            length.store(0, Ordering::Release);
            return;
        }
    }
}

/// A file that locks are held on: closed in every child, and by nobody but the process that opened it.
#[derive(Debug)]
pub struct LockFile {
    file: ManuallyDrop<AnyFile>,
    /// The process that opened it.
    generation: u32,
}

impl LockFile {
    /// Opens one. No process forks meanwhile.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn open(open: impl FnOnce() -> io::Result<AnyFile>) -> io::Result<LockFile> {
        let _no_fork = Inside::enter();
        let file = open()?;
        if let Some(descriptor) = file.descriptor() {
            close_in_child(descriptor, &file)?;
        }
        Ok(LockFile { file: ManuallyDrop::new(file), generation: generation() })
    }
}

impl Deref for LockFile {
    type Target = AnyFile;

    fn deref(&self) -> &AnyFile {
        &self.file
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.generation != generation() {
            return; // a child: it was closed there, and its number may mean another file by now
        }
        let _no_fork = Inside::enter();
        if let Some(descriptor) = self.file.descriptor() {
            keep_open_in_child(descriptor);
        }
        // SAFETY: it is dropped here and nowhere else, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}

fn close_in_child(descriptor: RawFd, file: &AnyFile) -> io::Result<()> {
    let FileIdentity { device, inode } = file.stat()?.identity;
    for place in &IN_CHILD_CLOSE {
        if place.descriptor.compare_exchange(-1, -2, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            place.device.store(device, Ordering::Relaxed);
            place.inode.store(inode, Ordering::Relaxed);
            // Release: the handler of a child finds the identity with it.
            place.descriptor.store(descriptor, Ordering::Release);
            return Ok(());
        }
    }
    Err(io::Error::other("this process has more than a thousand lock files open"))
}

fn keep_open_in_child(descriptor: RawFd) {
    for place in &IN_CHILD_CLOSE {
        if place.descriptor.compare_exchange(descriptor, -1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// How deep processes may fork and still use a handle.
const GENERATIONS: usize = 8;

/// A value that every process makes for itself: the one that made the handle, and each of its children at their first use.
/// A child never touches the parent's value, whose locks may be held by threads that the child does not have; it is leaked.
pub struct PerProcess<T> {
    born: u32,
    places: [Place<T>; GENERATIONS],
}

struct Place<T> {
    value: OnceLock<T>,
    making: Mutex<()>,
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        let places = [(); GENERATIONS].map(|()| Place { value: OnceLock::new(), making: Mutex::new(()) });
        PerProcess { born: generation(), places }
    }
}

impl<T> fmt::Debug for PerProcess<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerProcess").field("depth", &self.depth()).finish_non_exhaustive()
    }
}

impl<T> PerProcess<T> {
    /// How many forks lie between the process that made the handle and this one.
    pub fn depth(&self) -> usize {
        generation().wrapping_sub(self.born) as usize
    }

    /// This process's value, if it made one.
    pub fn get(&self) -> Option<&T> {
        self.places.get(self.depth())?.value.get()
    }

    /// This process's value, made by `make` if it was not. `None` for a process that forked too deep.
    ///
    /// # Errors
    /// Those of `make`; the next call tries again.
    pub fn get_or_try<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Option<&T>, E> {
        let Some(place) = self.places.get(self.depth()) else {
            return Ok(None);
        };
        if let Some(value) = place.value.get() {
            return Ok(Some(value));
        }
        let _one_makes = place.making.lock().unwrap_or_else(PoisonError::into_inner);
        if place.value.get().is_none() {
            let _ = place.value.set(make()?);
        }
        Ok(place.value.get())
    }

    /// Takes this process's value out.
    pub fn take(&mut self) -> Option<T> {
        let depth = self.depth();
        self.places.get_mut(depth)?.value.take()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let depth = self.depth();
        for (index, place) in self.places.iter_mut().enumerate() {
            if index != depth {
                std::mem::forget(place.value.take());
            }
        }
    }
}
