//! A roll changes two words, and a process may die between them.

use klog_models::loomed::check_deaths;
use klog_models::loomed::checker::thread;
use klog_models::loomed::world::{Plan, World};
use klog_models::mistake::{Mistake, finds};

use crate::{LONG, OTHER, SHORT, append};

/// One begins a segment and appends to it, and dies on the way; another appends.
fn one_dies(doom: u32) -> bool {
    let world = World::new(Plan { cells: [2, 3], ..Plan::of(3) });
    let (mut victim, heir, reader) = (world.attach(0), world.attach(1), world.attach(2));
    let before = append(&reader, SHORT);
    let roll = move || {
        victim.until_death(doom, |victim| {
            victim.roll();
            append(victim, LONG)
        })
    };
    let first = thread::spawn(roll);
    let second = append(&heir, OTHER);
    let first = first.join().unwrap();
    let acknowledged: Vec<_> = first.into_iter().chain([before, second]).collect();
    world.check(&reader, &acknowledged);
    first.is_none()
}

#[test]
fn whoever_dies_in_a_roll_leaves_a_log_that_others_go_on_with() {
    check_deaths(Some(3), one_dies);
}

#[test]
fn trusting_half_a_roll_is_found() {
    finds(Mistake::TrustsHalfARoll, &["differ"], || check_deaths(Some(3), one_dies));
}
