//! A truncation takes back what was written, and nobody takes the old bytes for the new ones.

use klog_models::loomed::checker::thread;
use klog_models::loomed::world::{Plan, World};
use klog_models::loomed::{check, check_deaths};
use klog_models::mistake::{Mistake, finds};

use crate::{LONG, OTHER, SHORT};

/// A log of two batches is cut to one and gets another, which nobody flushes, while somebody flushes what was there.
/// Whoever truncates dies.
fn truncate_while_flushing(doom: u32) -> bool {
    let world = World::new(Plan { has_disk: true, ..Plan::of(4) });
    let (mut victim, heir, flusher, last) = (world.attach(0), world.attach(1), world.attach(2), world.attach(3));
    last.append(SHORT);
    last.append(LONG);
    let truncating = thread::spawn(move || victim.until_death(doom, |victim| victim.truncate(1)).is_none());
    let flushing = thread::spawn(move || flusher.flush(2).unwrap());
    heir.append(OTHER);
    let died = truncating.join().unwrap();
    flushing.join().unwrap();
    world.check(&last, &[(0, SHORT)]);
    last.check_flushed();
    died
}

/// A follower reads above the watermark while the log is cut and goes on otherwise.
fn truncate_while_reading() {
    let world = World::new(Plan::of(2));
    let (process, reader) = (world.attach(0), world.attach(1));
    process.append(SHORT);
    process.append(LONG);
    let cutting = thread::spawn(move || {
        process.truncate(1);
        process.append(OTHER);
    });
    if let Some(read) = reader.read_all_unless_cut() {
        assert_eq!(read[0], SHORT);
    }
    cutting.join().unwrap();
}

fn truncate_while_flushing_and_die() {
    check_deaths(Some(2), truncate_while_flushing);
}

#[test]
fn what_was_cut_does_not_count_as_flushed() {
    truncate_while_flushing_and_die();
}

#[test]
fn a_reader_above_the_watermark_sees_that_the_log_was_cut() {
    check(Some(4), truncate_while_reading);
}

#[test]
fn truncating_without_the_flush_lock_is_found() {
    finds(Mistake::TruncatesWithoutTheFlushLock, &["and that is lost"], truncate_while_flushing_and_die);
}

#[test]
fn flushing_what_is_being_cut_is_found() {
    finds(Mistake::FlushesWhatIsBeingCut, &["and that is lost"], truncate_while_flushing_and_die);
}

#[test]
fn publishing_without_the_flush_lock_is_found() {
    finds(Mistake::PublishesWithoutTheFlushLock, &["and that is lost"], truncate_while_flushing_and_die);
}

#[test]
fn counting_truncations_late_is_found() {
    finds(Mistake::CountsTruncationsLate, &["above the watermark"], || check(Some(4), truncate_while_reading));
}

#[test]
fn cutting_before_the_log_end_moves_is_found() {
    finds(Mistake::CutsBeforeTheLogEnd, &["above the watermark"], || check(Some(4), truncate_while_reading));
}

#[test]
fn truncating_without_fences_is_found() {
    finds(Mistake::TruncatesWithoutFences, &["above the watermark"], || check(Some(4), truncate_while_reading));
}
