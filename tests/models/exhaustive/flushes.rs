//! What counts as flushed is on the device.

use klog_models::loomed::checker::thread;
use klog_models::loomed::world::{Plan, World};
use klog_models::loomed::{check, check_deaths};
use klog_models::mistake::{Mistake, finds};

use crate::{LONG, OTHER, SHORT};

const LOST: &str = "and that is lost";

/// Two want the same batch flushed, and one of them dies. The device may refuse once.
fn one_flusher_dies(device_fails: bool, doom: u32) -> bool {
    let world = World::new(Plan { has_disk: true, ..Plan::of(3) });
    let (mut victim, heir, other) = (world.attach(0), world.attach(1), world.attach(2));
    other.append(LONG);
    if device_fails {
        world.segments[0].let_flush_fail();
    }
    let first = thread::spawn(move || victim.until_death(doom, |victim| victim.flush(1)));
    let second = heir.flush(1);
    let first = first.join().unwrap();
    other.check_flushed();
    let is_flushed = world.block.flushed().0 == 1;
    assert!(is_flushed || second.is_err(), "it is neither flushed nor refused");
    assert!(device_fails || is_flushed, "nobody failed and it was refused");
    first.is_none()
}

fn one_flusher_dies_anywhere() {
    check_deaths(Some(2), |doom| one_flusher_dies(false, doom));
    check_deaths(Some(2), |doom| one_flusher_dies(true, doom));
}

/// A flusher dies, whom the device has refused, perhaps. One more appends meanwhile, and flushes that with a later flush.
fn a_flusher_dies_beside_an_append(doom: u32) -> bool {
    let world = World::new(Plan { has_disk: true, ..Plan::of(3) });
    let (mut victim, writer, heir) = (world.attach(0), world.attach(1), world.attach(2));
    heir.append(LONG);
    world.segments[0].let_flush_fail();
    let dying = thread::spawn(move || victim.until_death(doom, |victim| victim.flush(1)).is_none());
    let writing = thread::spawn(move || writer.append(SHORT));
    let first = heir.flush(1);
    let died = dying.join().unwrap();
    writing.join().unwrap();
    let second = heir.flush(2);
    heir.check_flushed();
    assert!(first.is_err() || world.block.flushed().0 > 0, "it is neither flushed nor refused");
    assert!(second.is_err() || world.block.flushed().0 == 2, "it is neither flushed nor refused");
    died
}

/// Two append and flush what they appended.
fn two_flush() {
    let world = World::new(Plan { has_disk: true, ..Plan::of(3) });
    let start = |slot, batch| {
        let process = world.attach(slot);
        thread::spawn(move || {
            let offset = process.append(batch);
            process.flush(offset as i64 + 1).unwrap();
            process.check_flushed();
        })
    };
    let threads = [start(0, SHORT), start(1, OTHER)];
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(world.block.flushed(), world.block.log_end(), "both were flushed");
    world.attach(2).check_flushed();
}

/// Three want the same batch flushed.
fn three_wait_for_a_flush() {
    let world = World::new(Plan { has_disk: true, ..Plan::of(4) });
    world.attach(3).append(SHORT);
    let start = |slot| {
        let process = world.attach(slot);
        thread::spawn(move || process.flush(1).unwrap())
    };
    let threads = [start(0), start(1)];
    world.attach(2).flush(1).unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn nothing_lost_counts_as_flushed_whoever_dies() {
    one_flusher_dies_anywhere();
}

#[test]
fn nothing_lost_counts_as_flushed_that_was_being_written() {
    check_deaths(Some(2), a_flusher_dies_beside_an_append);
}

#[test]
fn nothing_counts_as_flushed_that_came_after_the_flush() {
    check(Some(2), two_flush);
}

#[test]
fn nobody_sleeps_through_the_end_of_a_flush() {
    check(Some(2), three_wait_for_a_flush);
}

#[test]
fn marking_the_flush_late_is_found() {
    finds(Mistake::MarksTheFlushLate, &[LOST], one_flusher_dies_anywhere);
}

#[test]
fn forgetting_the_flush_early_is_found() {
    finds(Mistake::ForgetsTheFlushEarly, &[LOST], one_flusher_dies_anywhere);
}

#[test]
fn trusting_the_next_flush_is_found() {
    finds(Mistake::TrustsTheNextFlush, &[LOST], one_flusher_dies_anywhere);
}

#[test]
fn flushing_again_is_found() {
    finds(Mistake::FlushesAgain, &[LOST], one_flusher_dies_anywhere);
}

#[test]
fn measuring_after_the_flush_is_found() {
    finds(Mistake::MeasuresAfterTheFlush, &[LOST], || check(Some(2), two_flush));
}

#[test]
fn asking_for_failures_before_the_flush_lock_is_found() {
    finds(Mistake::AsksBeforeTheFlushLock, &[LOST], one_flusher_dies_anywhere);
}

#[test]
fn rewriting_while_others_append_is_found() {
    finds(Mistake::RewritesWithoutTheLock, &[LOST], || check_deaths(Some(2), a_flusher_dies_beside_an_append));
}
