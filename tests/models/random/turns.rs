//! The lock alone.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use klog_models::mistake::{Mistake, SYMPTOMS, finds};
use klog_models::shuttled::check;
use klog_models::shuttled::checker::thread;
use klog_models::shuttled::lock::AppendLock;
use klog_models::shuttled::raw::WatchedU32;
use klog_models::shuttled::world::{Plan, Process, World};
use shuttle::rand::{Rng, thread_rng};

use crate::live;

const PROCESSES: usize = 6;
const ROUNDS: usize = 3;
/// Effects of a turn, about.
const EFFECTS: u32 = 10;

/// Is inside, alone.
fn be_inside(process: &mut Process, inside: &WatchedU32) {
    process.patience = if thread_rng().gen_bool(0.2) { Duration::ZERO } else { Duration::MAX };
    let Ok(held) = process.try_acquire() else { return };
    let found = inside.swap(1, SeqCst);
    assert!(found == 0 || held.must_recover, "two held the lock at once");
    inside.store(0, SeqCst);
    process.release();
}

/// Six take turns. Some lose patience, and where they are mortal, some die.
fn take_turns(lock: AppendLock, naps: u32, are_mortal: bool) {
    let world = World::new(Plan { lock, naps, ..Plan::of(PROCESSES) });
    let inside = Arc::new(WatchedU32::default());
    let start = |slot| {
        let (world, inside) = (world.clone(), inside.clone());
        thread::spawn(move || {
            for _ in 0..ROUNDS {
                if are_mortal {
                    live(&world, slot, EFFECTS, |process| be_inside(process, &inside));
                } else {
                    let mut process = world.attach(slot);
                    be_inside(&mut process, &inside);
                    process.leave();
                }
            }
        })
    };
    let threads: Vec<_> = (0..PROCESSES).map(start).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn by_futex() {
    take_turns(AppendLock::Futex, 0, false);
}

fn by_futex_with_naps() {
    take_turns(AppendLock::Futex, 2, false);
}

fn by_futex_dying() {
    take_turns(AppendLock::Futex, 2, true);
}

fn by_kernel_lock() {
    take_turns(AppendLock::Ofd, 0, false);
}

fn by_kernel_lock_dying() {
    take_turns(AppendLock::Ofd, 2, true);
}

#[test]
fn six_processes_take_turns_and_none_sleeps_for_ever() {
    check(8_000, by_futex);
    check(8_000, by_futex_with_naps);
}

#[test]
fn six_processes_take_turns_by_the_kernel_lock_and_none_sleeps_for_ever() {
    check(8_000, by_kernel_lock);
}

#[test]
fn six_processes_take_turns_though_some_die() {
    check(8_000, by_futex_dying);
    check(8_000, by_kernel_lock_dying);
}

#[test]
fn mistakes_in_the_lock_are_found() {
    for (mistake, model) in [
        (Mistake::ReleasesWithoutWaking, by_futex as fn()),
        (Mistake::DropsTheWaitersMark, by_futex),
        (Mistake::KeepsTheWakeUp, by_futex),
        (Mistake::SleepsWithoutLooking, by_futex),
        (Mistake::StealsByTime, by_futex_with_naps),
        (Mistake::AsksForProcessIds, by_futex_with_naps),
        (Mistake::ForgetsGenerations, by_futex_dying),
    ] {
        finds(mistake, SYMPTOMS, || check(8_000, model));
    }
}
