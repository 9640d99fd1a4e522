//! A process dies anywhere, and whoever comes next cleans up behind it.

use klog_models::loomed::block::Dirty;
use klog_models::loomed::checker::thread;
use klog_models::loomed::lock::AppendLock;
use klog_models::loomed::world::{Plan, World};
use klog_models::loomed::{check, check_deaths};
use klog_models::mistake::{Mistake, finds};

use crate::{LONG, OTHER, SHORT, append};

/// What a process leaves that dies in an append of two cells: how many effects it had till then.
pub(crate) const LEFT: [u32; 7] = [LOCKED, DIRTY, HALF_WRITTEN, WRITTEN, COMMITTED, ENDED, CLEAN];
const LOCKED: u32 = 1;
const DIRTY: u32 = 5;
const HALF_WRITTEN: u32 = 6;
pub(crate) const WRITTEN: u32 = 7;
const COMMITTED: u32 = 8;
const ENDED: u32 = 9;
pub(crate) const CLEAN: u32 = 10;

/// One appends and dies, another appends, and a reader looks on. Whether the first has died.
fn one_dies(lock: AppendLock, doom: u32) -> bool {
    let world = World::new(Plan { lock, ..Plan::of(3) });
    let (mut victim, heir, reader) = (world.attach(0), world.attach(1), world.attach(2));
    let first = thread::spawn(move || victim.until_death(doom, |victim| append(victim, LONG)));
    let second = thread::spawn(move || append(&heir, SHORT));
    let visible = reader.read_visible();
    let there = reader.read_all();
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    let acknowledged: Vec<_> = first.into_iter().chain([second]).collect();
    let log = world.check(&reader, &acknowledged);
    assert!(there.starts_with(&visible), "{visible:?} was visible and {there:?} is there");
    assert!(log.starts_with(&there), "{there:?} could be read and {log:?} is there");
    first.is_none()
}

/// One has died and `left` something. Two come after it at once, and one of them dies as well, in its recovery or behind it.
fn two_die(left: u32, doom: u32) -> bool {
    let world = World::new(Plan::of(3));
    let (mut first, mut second, third) = (world.attach(0), world.attach(1), world.attach(2));
    let acknowledged = first.until_death(left, |first| append(first, LONG));
    let dying = thread::spawn(move || second.until_death(doom, |second| append(second, SHORT)));
    let visible = append(&third, OTHER);
    let there = third.read_all();
    let died = dying.join().unwrap();
    let acknowledged: Vec<_> = acknowledged.into_iter().chain(died).chain([visible]).collect();
    let log = world.check(&third, &acknowledged);
    assert!(log.starts_with(&there), "{there:?} could be read and {log:?} is there");
    died.is_none()
}

fn one_dies_anywhere() {
    check_deaths(Some(3), |doom| one_dies(AppendLock::Futex, doom));
}

fn two_die_anywhere(left: &[u32]) {
    for left in left.iter().copied() {
        check_deaths(Some(2), move |doom| two_die(left, doom));
    }
}

/// What the words and the file say when a process has died in an append: dirty, cells, committed cells, log end.
fn left_behind(left: u32) -> (Dirty, u64, u64, i64) {
    let world = World::new(Plan::of(2));
    let (mut victim, heir) = (world.attach(0), world.attach(1));
    victim.until_death(left, |victim| append(victim, LONG));
    assert!(heir.acquire().must_recover, "the lock was not held");
    let block = &world.block;
    (block.dirty(), world.segments[0].size(), block.commit().position.0, block.log_end().0)
}

#[test]
fn the_dead_leave_what_the_names_say() {
    for (left, behind) in [
        (LOCKED, (Dirty::Clean, 0, 0, 0)),
        (DIRTY, (Dirty::Append, 0, 0, 0)),
        (HALF_WRITTEN, (Dirty::Append, 1, 0, 0)),
        (WRITTEN, (Dirty::Append, 2, 0, 0)),
        (COMMITTED, (Dirty::Append, 2, 2, 0)),
        (ENDED, (Dirty::Append, 2, 2, 1)),
        (CLEAN, (Dirty::Clean, 2, 2, 1)),
    ] {
        check(None, move || assert_eq!(left_behind(left), behind));
    }
}

#[test]
fn whoever_dies_in_an_append_leaves_a_log_that_others_go_on_with() {
    one_dies_anywhere();
}

#[test]
fn whoever_dies_with_the_kernel_lock_leaves_a_log_that_others_go_on_with() {
    check_deaths(Some(2), |doom| one_dies(AppendLock::Ofd, doom));
}

#[test]
fn a_recovery_that_dies_is_done_again() {
    two_die_anywhere(&LEFT);
}

#[test]
fn publishing_relaxed_is_found() {
    finds(Mistake::PublishesRelaxed, &["torn for a reader"], one_dies_anywhere);
}

#[test]
fn raising_the_watermark_relaxed_is_found() {
    finds(Mistake::RaisesRelaxed, &["torn for a reader"], one_dies_anywhere);
}

#[test]
fn publishing_before_writing_is_found() {
    finds(Mistake::PublishesBeforeWriting, &["torn"], one_dies_anywhere);
}

#[test]
fn setting_dirty_late_is_found() {
    finds(Mistake::SetsDirtyLate, &["bytes behind the commit"], one_dies_anywhere);
}

#[test]
fn clearing_dirty_early_is_found() {
    finds(Mistake::ClearsDirtyEarly, &["bytes behind the commit"], one_dies_anywhere);
}

#[test]
fn a_recovery_that_trusts_the_log_end_is_found() {
    finds(Mistake::TrustsTheLogEnd, &["boundary"], one_dies_anywhere);
}

#[test]
fn a_recovery_that_cuts_nothing_is_found() {
    finds(Mistake::CutsNothing, &["bytes behind the commit"], one_dies_anywhere);
}

#[test]
fn a_recovery_that_begins_by_clearing_dirty_is_found() {
    finds(Mistake::RecoversCleanFirst, &["bytes behind the commit"], || two_die_anywhere(&[WRITTEN]));
}
