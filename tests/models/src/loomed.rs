//! The protocol over loom's atomics, which show every value that a word can have in every order of the threads.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// What the model takes from loom.
pub mod checker {
    pub use loom::sync::atomic::{AtomicU32 as RawU32, AtomicU64 as RawU64, fence};
    pub use loom::sync::{Condvar, Mutex, MutexGuard};
    pub use loom::{thread, thread_local};
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, PoisonError};

    /// The order that is checked: the one that was asked for.
    pub fn order(asked: Ordering) -> Ordering {
        asked
    }

    /// Which threads have looked at a word.
    ///
    /// loom remembers one access to a word, the last. It forgets that a thread has looked when another looks after it, and
    /// then never tries what happens when the other stores before the first one looks (tokio-rs/loom#166). Here each thread
    /// that looks has an object of its own, which a store touches as well. It is a condition variable that nobody waits for:
    /// what is done to it orders no memory.
    #[derive(Debug, Default)]
    pub struct Watch(std::sync::Mutex<Vec<(thread::ThreadId, Arc<Condvar>)>>);

    impl Watch {
        /// This thread is about to look at the word.
        pub fn look(&self) {
            self.touch(true);
        }

        /// This thread is about to change it.
        pub fn change(&self) {
            self.touch(false);
        }

        fn touch(&self, own: bool) {
            let id = thread::current().id();
            let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if own && looked.iter().all(|(who, _)| *who != id) {
                looked.push((id, Arc::default()));
            }
            let touched: Vec<_> =
                looked.iter().filter(|(who, _)| (*who == id) == own).map(|(_, at)| at.clone()).collect();
            drop(looked);
            touched.iter().for_each(|at| at.notify_all());
        }
    }
}

#[path = "protocol/mod.rs"]
mod protocol;

pub use protocol::*;

/// Checks `model` in every order with at most so many preemptions; `None` for any number.
pub fn check(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 20_000;
    let orders = Arc::new(AtomicU64::new(0));
    let counted = orders.clone();
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        model();
    });
    println!("{} orders", orders.load(Relaxed));
}

/// Checks `model` with a process that dies before its first effect, before its second, and so on, until it has none left.
/// The model says whether its process died.
pub fn check_deaths(preemptions: Option<usize>, model: impl Fn(u32) -> bool + Clone + Send + Sync + 'static) {
    for doom in 0.. {
        let (model, has_died) = (model.clone(), Arc::new(AtomicBool::new(false)));
        let died = has_died.clone();
        check(preemptions, move || {
            if model(doom) {
                died.store(true, Relaxed);
            }
        });
        if !has_died.load(Relaxed) {
            return;
        }
    }
}
