//! Nobody sleeps through what it waits for. In these models a sleep does not end by itself, so a lost wake-up is a deadlock.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::time::Duration;

use klog_models::loomed::atomic::AtomicU32;
use klog_models::loomed::bell::Bell;
use klog_models::loomed::check;
use klog_models::loomed::checker::thread;
use klog_models::loomed::lock::{AppendLock, Refused};
use klog_models::loomed::world::{Plan, Process, World};
use klog_models::mistake::{Mistake, finds};
use klog_models::types::Offset;

use crate::{OTHER, SHORT, append};

const ASLEEP: &str = "deadlock";

/// One publisher moves the watermark twice, for so many who wait for the second time.
fn publish_twice(readers: usize) {
    let world = World::new(Plan::of(readers + 1));
    let wait = |slot| {
        let reader = world.attach(slot);
        thread::spawn(move || reader.wait_for_visible(2))
    };
    let threads: Vec<_> = (1..=readers).map(wait).collect();
    let publisher = world.attach(0);
    for end in [1, 2] {
        publisher.world().block.raise_high_watermark(Offset(end));
        publisher.announce();
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Two publishers raise the watermark to where they found the log end, each after an append.
fn two_publish() {
    let world = World::new(Plan::of(3));
    let publish = |slot, batch| {
        let publisher = world.attach(slot);
        thread::spawn(move || {
            append(&publisher, batch);
        })
    };
    let threads = [publish(0, SHORT), publish(1, OTHER)];
    world.attach(2).wait_for_visible(2);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(world.block.high_watermark(), Offset(2), "the watermark went back");
}

/// Two partitions of a directory, each with one append, and a consumer that waits for both on one bell.
fn ring_for_two_partitions() {
    let world = World::new(Plan::of(3));
    let ends = Arc::new([AtomicU32::default(), AtomicU32::default()]);
    let publish = |slot: usize| {
        let (publisher, ends) = (world.attach(slot), ends.clone());
        thread::spawn(move || {
            ends[slot].store(1, Release);
            publisher.ring();
        })
    };
    let threads = [publish(0), publish(1)];
    world.attach(2).wait_for_bell(|| ends.iter().all(|end| end.load(Acquire) == 1));
    for thread in threads {
        thread.join().unwrap();
    }
}

/// What a bell does.
trait Rings: Default + Send + Sync + 'static {
    fn word(&self) -> &AtomicU32;
    fn announce_waiter(&self);
    fn ring(&self) -> bool;
}

impl Rings for Bell {
    fn word(&self) -> &AtomicU32 {
        self.word()
    }

    fn announce_waiter(&self) {
        self.announce_waiter();
    }

    fn ring(&self) -> bool {
        self.ring()
    }
}

/// The bell as it was: the word moved once, and the flag was cleared behind that. Who had looked in between and had set the
/// flag went to sleep on a word that did not move, with no flag set, and slept through the next ring.
#[derive(Default)]
struct OldBell {
    sequence: AtomicU32,
    waiting: AtomicU32,
}

impl Rings for OldBell {
    fn word(&self) -> &AtomicU32 {
        &self.sequence
    }

    fn announce_waiter(&self) {
        self.waiting.store(1, SeqCst);
    }

    fn ring(&self) -> bool {
        self.sequence.fetch_add(1, SeqCst);
        self.waiting.load(SeqCst) != 0 && self.waiting.swap(0, SeqCst) != 0
    }
}

/// Two appends, a ring for each, and one who waits for the second.
fn ring_twice<B: Rings>() {
    let world = World::new(Plan::of(2));
    let shared = Arc::new((B::default(), AtomicU32::default()));
    let (publisher, waiter, ours) = (world.attach(0), world.attach(1), shared.clone());
    let publishing = thread::spawn(move || {
        let (bell, end) = &*ours;
        for to in [1, 2] {
            end.store(to, Release);
            if bell.ring() {
                publisher.wake_all(bell.word());
            }
        }
    });
    let (bell, end) = &*shared;
    loop {
        let seen = bell.word().load(SeqCst);
        bell.announce_waiter();
        if end.load(Acquire) == 2 {
            break;
        }
        waiter.sleep(bell.word(), seen);
    }
    publishing.join().unwrap();
}

/// Three want the lock; one of them waits for a moment only.
fn one_gives_up(lock: AppendLock) {
    let world = World::new(Plan { lock, ..Plan::of(3) });
    let take = |mut process: Process, patience| {
        process.patience = patience;
        thread::spawn(move || match process.try_acquire() {
            Ok(_) => process.release(),
            Err(Refused::TimedOut { .. }) => assert!(patience.is_zero()),
            Err(Refused::Interrupted { .. }) => panic!("nobody interrupts it"),
        })
    };
    let threads = [take(world.attach(0), Duration::ZERO), take(world.attach(1), Duration::MAX)];
    let holder = world.attach(2);
    holder.acquire();
    holder.release();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A thread unwinds with the lock, and its handle takes it again, while another one waits: one of them recovers.
fn one_unwinds(lock: AppendLock) {
    let world = World::new(Plan { lock, ..Plan::of(2) });
    let (process, other) = (world.attach(0), world.attach(1));
    let take = |process: &Process| {
        let held = process.acquire();
        process.release();
        held.must_recover
    };
    let waiting = thread::spawn(move || take(&other));
    process.acquire();
    process.unwind();
    let has_recovered = [take(&process), waiting.join().unwrap()];
    assert_eq!(has_recovered.iter().filter(|has| **has).count(), 1, "what its thread left is to be recovered");
}

#[test]
fn what_a_thread_left_that_unwound_is_recovered_by_whoever_comes() {
    check(Some(3), || one_unwinds(AppendLock::Futex));
    check(Some(3), || one_unwinds(AppendLock::Ofd));
}

#[test]
fn a_reader_sleeps_through_no_append() {
    check(Some(4), || publish_twice(1));
}

#[test]
fn two_readers_sleep_through_no_append() {
    check(Some(2), || publish_twice(2));
}

#[test]
fn a_reader_sleeps_through_no_append_of_two_processes() {
    check(Some(2), two_publish);
}

#[test]
fn a_consumer_sleeps_through_no_ring() {
    check(Some(4), ring_twice::<Bell>);
    check(Some(2), ring_for_two_partitions);
}

#[test]
fn a_waiter_that_gives_up_passes_its_wake_up_on() {
    check(Some(3), || one_gives_up(AppendLock::Futex));
    check(Some(2), || one_gives_up(AppendLock::Ofd));
}

#[test]
fn a_bell_that_moves_its_word_once_is_found() {
    finds(Mistake::RingsOnce, &[ASLEEP], || check(Some(4), ring_twice::<OldBell>));
}

#[test]
fn a_waiter_that_keeps_its_wake_up_is_found() {
    finds(Mistake::KeepsTheWakeUp, &[ASLEEP], || check(Some(3), || one_gives_up(AppendLock::Futex)));
}

#[test]
fn weaker_orders_of_the_wait_words_are_found() {
    finds(Mistake::HasNoTotalOrder, &[ASLEEP], || check(Some(4), || publish_twice(1)));
}

#[test]
fn announcing_before_raising_is_found() {
    finds(Mistake::AnnouncesBeforeRaising, &[ASLEEP], || check(Some(2), two_publish));
}

#[test]
fn waking_one_of_two_readers_is_found() {
    finds(Mistake::WakesOneReader, &[ASLEEP], || check(Some(2), || publish_twice(2)));
}

#[test]
fn sleeping_without_another_look_is_found() {
    finds(Mistake::SleepsWithoutLooking, &[ASLEEP], || check(Some(4), || publish_twice(1)));
}
