//! Noticing `fork`, for what this crate itself keeps behind locks: a child must not wait for a thread that it does not have.
//! The engine notices by its own means.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};

static FORKS: AtomicU32 = AtomicU32::new(0);

extern "C" fn after_fork_in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// A number that differs between a process and its children.
pub(crate) fn generation() -> u32 {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: the handler only counts, in an atomic. The library is never unloaded; see `build.rs`.
        unsafe { libc::pthread_atfork(None, None, Some(after_fork_in_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}

/// How deep processes may fork and still use a handle; as deep as the engine's own.
const GENERATIONS: usize = 8;

/// A value of which every process has its own. A child never touches its parent's, which is leaked.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    born: u32,
    places: [OnceLock<T>; GENERATIONS],
}

impl<T: Default> PerProcess<T> {
    pub(crate) fn new() -> PerProcess<T> {
        let places = [(); GENERATIONS].map(|()| OnceLock::new());
        PerProcess { born: generation(), places }
    }

    fn depth(&self) -> usize {
        generation().wrapping_sub(self.born) as usize
    }

    /// This process's value; `None` for one that forked too deep.
    pub(crate) fn get(&self) -> Option<&T> {
        Some(self.places.get(self.depth())?.get_or_init(T::default))
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let depth = generation().wrapping_sub(self.born) as usize;
        for (index, place) in self.places.iter_mut().enumerate() {
            if index != depth {
                std::mem::forget(place.take());
            }
        }
    }
}
