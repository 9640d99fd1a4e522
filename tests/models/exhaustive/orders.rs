//! The checker itself: it tries what the models need tried, and nothing that cannot be.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::{Arc, Mutex};

use klog_models::loomed::atomic::AtomicU32;
use klog_models::loomed::check;
use klog_models::loomed::checker::thread;

/// Every result of `here` and `there`, which run at once on two words.
fn results(there: fn(&[AtomicU32; 2]) -> u32, here: fn(&[AtomicU32; 2]) -> u32) -> BTreeSet<(u32, u32)> {
    let results = Arc::new(Mutex::new(BTreeSet::new()));
    let found = results.clone();
    check(None, move || {
        let words = Arc::new([AtomicU32::default(), AtomicU32::default()]);
        let theirs = words.clone();
        let other = thread::spawn(move || there(&theirs));
        let ours = here(&words);
        let pair = (other.join().unwrap(), ours);
        found.lock().unwrap().insert(pair);
    });
    let found = results.lock().unwrap();
    found.clone()
}

#[test]
fn seqcst_accesses_have_one_order() {
    let there = |[first, second]: &[AtomicU32; 2]| {
        first.store(1, SeqCst);
        second.load(SeqCst)
    };
    let here = |[first, second]: &[AtomicU32; 2]| {
        second.store(1, SeqCst);
        first.load(SeqCst)
    };
    assert_eq!(results(there, here), BTreeSet::from([(0, 1), (1, 0), (1, 1)]));
}

#[test]
fn relaxed_stores_are_seen_in_any_order() {
    let there = |[first, second]: &[AtomicU32; 2]| {
        first.store(1, Relaxed);
        second.store(1, Relaxed);
        0
    };
    let here = |[first, second]: &[AtomicU32; 2]| second.load(Acquire) << 1 | first.load(Relaxed);
    assert_eq!(results(there, here), BTreeSet::from([(0, 0), (0, 1), (0, 2), (0, 3)]));
}

/// loom by itself forgets that somebody has looked at a word when another looks at it too, and tries one order only.
#[test]
fn a_look_hides_no_order() {
    let there = |[word, _]: &[AtomicU32; 2]| {
        word.load(Relaxed);
        word.store(1, Relaxed);
        0
    };
    let here = |[word, _]: &[AtomicU32; 2]| word.load(Relaxed);
    assert_eq!(results(there, here), BTreeSet::from([(0, 0), (0, 1)]));
}
