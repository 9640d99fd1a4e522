//! What readers are shown.

use std::sync::Arc;

use klog_models::loomed::block::ControlBlock;
use klog_models::loomed::check;
use klog_models::loomed::checker::thread;
use klog_models::loomed::world::{Plan, World};
use klog_models::mistake::{Mistake, finds};
use klog_models::types::Offset;

use crate::{OTHER, SHORT, append};

/// A transaction begins and is decided by the marker behind it. Somebody else raises the watermark, and a reader of decided
/// records looks on.
fn a_transaction() {
    let world = World::new(Plan::of(3));
    let (writer, raiser, reader) = (world.attach(0), world.attach(1), world.attach(2));
    let writing = thread::spawn(move || {
        writer.append_undecided(SHORT);
        writer.make_visible();
        writer.decide(OTHER);
    });
    let raising = thread::spawn(move || raiser.make_visible());
    let stable = world.block.last_stable();
    if stable > Offset(0) {
        assert_eq!(reader.world().read_to(2), Ok(vec![SHORT, OTHER]), "what was shown is not decided");
    }
    writing.join().unwrap();
    raising.join().unwrap();
    assert_eq!(world.block.last_stable(), Offset(2), "what was decided is not shown");
}

/// Two append and raise the watermark.
fn two_raise() {
    let world = World::new(Plan::of(2));
    let other = world.attach(0);
    let appending = thread::spawn(move || append(&other, OTHER));
    append(&world.attach(1), SHORT);
    let seen = world.block.high_watermark();
    appending.join().unwrap();
    assert!(seen >= Offset(1), "the watermark is below what was appended");
    assert_eq!(world.block.high_watermark(), Offset(2), "the watermark went back");
}

/// A process that may not write the shared words takes them over again and again, for its own readers.
fn a_mirror() {
    let world = World::new(Plan::of(2));
    let ours = Arc::new(ControlBlock::default());
    let (writer, reader) = (world.attach(0), world.attach(1));
    let writing = thread::spawn(move || append(&writer, SHORT));
    let (from, to) = (world.clone(), ours.clone());
    let mirroring = thread::spawn(move || to.mirror(&from.block, 0));
    let visible = ours.high_watermark();
    let end = ours.log_end();
    assert!(visible <= end, "the mirror shows {visible} of {end}");
    assert!(reader.world().read_to(visible.0 as u64).is_ok(), "what the mirror shows is torn");
    writing.join().unwrap();
    mirroring.join().unwrap();
}

#[test]
fn nothing_undecided_is_shown_as_stable() {
    check(Some(3), a_transaction);
}

#[test]
fn the_watermark_never_goes_back() {
    check(Some(3), two_raise);
}

#[test]
fn a_mirror_shows_nothing_that_is_not_there() {
    check(Some(3), a_mirror);
}

#[test]
fn noting_transactions_late_is_found() {
    finds(Mistake::NotesTransactionsLate, &["not decided"], || check(Some(3), a_transaction));
}

#[test]
fn storing_the_watermark_is_found() {
    finds(Mistake::StoresTheWatermark, &["the watermark"], || check(Some(3), two_raise));
}

#[test]
fn a_mirror_that_publishes_relaxed_is_found() {
    finds(Mistake::PublishesRelaxed, &["the mirror"], || check(Some(3), a_mirror));
}
