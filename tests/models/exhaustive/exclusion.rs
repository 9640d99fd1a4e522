//! One holder at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use klog_models::loomed::check;
use klog_models::loomed::checker::thread;
use klog_models::loomed::lock::AppendLock;
use klog_models::loomed::raw::WatchedU32;
use klog_models::loomed::world::{Plan, Process, World};
use klog_models::mistake::{Mistake, finds};

const TWO_AT_ONCE: &str = "two held the lock at once";

/// Each of the processes takes the lock `rounds` times and counts as nobody may who is not alone.
fn take_turns(plan: Plan, rounds: u32) {
    let world = World::new(plan);
    let counter = Arc::new(WatchedU32::default());
    let processes: Vec<Process> = (0..plan.slots).map(|slot| world.attach(slot)).collect();
    let count_up = move |process: &Process, counter: &WatchedU32| {
        for _ in 0..rounds {
            process.acquire();
            let count = counter.load(Relaxed);
            counter.store(count + 1, Relaxed);
            process.release();
        }
    };
    let start = |process: Process| {
        let counter = counter.clone();
        thread::spawn(move || count_up(&process, &counter))
    };
    let threads: Vec<_> = processes.into_iter().map(start).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(counter.load(Relaxed), plan.slots as u32 * rounds, "{TWO_AT_ONCE}");
}

/// With these locks, so many processes and so many rounds.
fn turns(lock: AppendLock, naps: u32, slots: usize, rounds: u32) -> impl Fn() + Send + Sync + 'static {
    move || take_turns(Plan { lock, naps, ..Plan::of(slots) }, rounds)
}

#[test]
fn two_processes_never_hold_the_lock_at_once() {
    check(None, turns(AppendLock::Futex, 0, 2, 1));
    check(Some(3), turns(AppendLock::Futex, 0, 2, 2));
}

#[test]
fn two_processes_never_hold_the_lock_at_once_though_their_sleeps_end_early() {
    check(Some(3), turns(AppendLock::Futex, 1, 2, 2));
}

#[test]
fn two_processes_never_hold_the_kernel_lock_at_once() {
    check(None, turns(AppendLock::Ofd, 0, 2, 1));
    check(Some(3), turns(AppendLock::Ofd, 0, 2, 2));
}

#[test]
fn three_processes_take_turns_and_none_sleeps_for_ever() {
    check(Some(3), turns(AppendLock::Futex, 0, 3, 1));
    check(Some(2), turns(AppendLock::Futex, 0, 3, 2));
}

/// One leaves the table with the lock in his hands, as one does whose descriptors were closed, and gives it back all the same,
/// while two others take turns.
fn leave_inside(lock: AppendLock) {
    let world = World::new(Plan { lock, naps: 2, ..Plan::of(3) });
    let counter = Arc::new(WatchedU32::default());
    let leaver = world.attach(0);
    leaver.acquire();
    // The kernel frees what he had.
    leaver.leave_kernel_lock();
    leaver.leave();
    let start = |slot| {
        let (process, counter) = (world.attach(slot), counter.clone());
        thread::spawn(move || {
            process.acquire();
            let count = counter.load(Relaxed);
            counter.store(count + 1, Relaxed);
            process.release();
        })
    };
    let threads = [start(1), start(2)];
    leaver.release();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(counter.load(Relaxed), 2, "{TWO_AT_ONCE}");
}

#[test]
fn one_who_has_left_gives_nothing_back() {
    check(Some(3), || leave_inside(AppendLock::Futex));
    check(Some(2), || leave_inside(AppendLock::Ofd));
}

#[test]
fn giving_back_what_another_has_is_found() {
    finds(Mistake::ReleasesWhoeverHasIt, &[TWO_AT_ONCE, "deadlock"], || {
        check(Some(3), || leave_inside(AppendLock::Futex));
    });
}

#[test]
fn taking_the_lock_relaxed_is_found() {
    finds(Mistake::TakesTheLockRelaxed, &[TWO_AT_ONCE], || {
        check(Some(3), turns(AppendLock::Futex, 0, 2, 2));
    });
}

#[test]
fn releasing_the_lock_relaxed_is_found() {
    finds(Mistake::ReleasesTheLockRelaxed, &[TWO_AT_ONCE], || {
        check(Some(3), turns(AppendLock::Futex, 0, 2, 2));
    });
}

#[test]
fn stealing_by_time_is_found() {
    finds(Mistake::StealsByTime, &[TWO_AT_ONCE], || check(Some(3), turns(AppendLock::Futex, 1, 2, 2)));
}

#[test]
fn asking_for_process_ids_is_found() {
    finds(Mistake::AsksForProcessIds, &[TWO_AT_ONCE], || check(Some(3), turns(AppendLock::Futex, 1, 2, 2)));
}

#[test]
fn a_release_without_a_wake_up_is_found() {
    finds(Mistake::ReleasesWithoutWaking, &["deadlock"], || {
        check(Some(3), turns(AppendLock::Futex, 0, 2, 1));
    });
}

#[test]
fn a_waiters_mark_that_is_dropped_is_found() {
    finds(Mistake::DropsTheWaitersMark, &["deadlock"], || {
        check(Some(3), turns(AppendLock::Futex, 0, 3, 1));
    });
}
