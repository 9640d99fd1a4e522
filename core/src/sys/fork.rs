//! Noticing `fork`.
//!
//! A child has its parent's memory but not its threads, and shares its open files, locks included. So a handle
//! remembers the [`generation`] of the process that made it, and lock files are closed in the child at once: a child
//! that lives on must not keep the locks of a parent that has died.

#![allow(unsafe_code, reason = "one page of memory that the kernel wipes in a child, and the fork handler")]

use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::any::AnyFile;

/// Descriptors that the child closes. Plain atomics: the handler may allocate nothing and lock nothing.
static IN_CHILD_CLOSE: [AtomicI32; 1024] = [const { AtomicI32::new(-1) }; 1024];

/// Shared memory that a child gets private zeros in the place of: where it is, and how long.
static IN_CHILD_REPLACE: [(AtomicUsize, AtomicUsize); 256] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 256];

/// How many processes this memory has been copied through.
static FORKS: AtomicU32 = AtomicU32::new(1);

/// A page that the kernel fills with zeros in every child, even one made by a raw `clone`.
static PAGE: OnceLock<&'static AtomicU32> = OnceLock::new();

/// A number that differs between a process and its children. Costs one load.
pub fn generation() -> u32 {
    let page = PAGE.get_or_init(make_page);
    // Acquire: pairs with the exchange below, so that a number seen here was counted.
    match page.load(Ordering::Acquire) {
        0 => {
            let next = FORKS.fetch_add(1, Ordering::Relaxed) + 1;
            page.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire).map_or_else(|other| other, |_| next)
        }
        number => number,
    }
}

fn make_page() -> &'static AtomicU32 {
    // SAFETY: the handler only loads and stores atomics and calls close(2), as a fork handler may.
    unsafe { libc::pthread_atfork(None, None, Some(after_fork_in_child)) };
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

extern "C" fn after_fork_in_child() {
    if let Some(page) = PAGE.get() {
        page.store(0, Ordering::Release);
    }
    for slot in &IN_CHILD_CLOSE {
        let descriptor = slot.swap(-1, Ordering::Relaxed);
        if descriptor >= 0 {
            // SAFETY: the parent still holds its copy; in the child nobody uses this one, since every handle asks
            // for the generation first.
            unsafe { libc::close(descriptor) };
        }
    }
    for (address, len) in &IN_CHILD_REPLACE {
        let (address, len) = (address.swap(0, Ordering::Relaxed), len.swap(0, Ordering::Relaxed));
        if address != 0 {
            // SAFETY: the range was left out of the child (MADV_DONTFORK), so nothing else is there; every reference into it
            // belongs to handles of the parent, and consists of atomics, for which zeros are valid.
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

/// Has shared memory replaced by zeros in every child; `false` where there is no room to note it, and the child is to keep
/// it. Call [`forget_mapping`] before it is unmapped.
pub(super) fn replace_in_child(address: usize, len: usize) -> bool {
    generation(); // the handler is there
    IN_CHILD_REPLACE.iter().any(|(place, length)| {
        // Reserved first, so that the length is there when the address is.
        let is_ours = length.compare_exchange(0, len, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_ours {
            place.store(address, Ordering::Release);
        }
        is_ours
    })
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

/// Has a lock file closed in every child. Call [`keep_open_in_child`] before the file is closed here.
pub fn close_in_child(file: &AnyFile) {
    let Some(descriptor) = file.descriptor() else { return };
    for slot in &IN_CHILD_CLOSE {
        if slot.compare_exchange(-1, descriptor, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Takes a file off the list again.
pub fn keep_open_in_child(file: &AnyFile) {
    let Some(descriptor) = file.descriptor() else { return };
    for slot in &IN_CHILD_CLOSE {
        if slot.compare_exchange(descriptor, -1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
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
