//! A slot has one holder after another. The new one is never taken for the dead one, and the dead one not for the new one.

use klog_models::loomed::check;
use klog_models::loomed::checker::thread;
use klog_models::loomed::world::{Plan, World};
use klog_models::mistake::{Mistake, SYMPTOMS, finds};

use crate::deaths::{CLEAN, LEFT, WRITTEN};
use crate::{LONG, OTHER, SHORT, append};

/// One has died and `left` something. Another gets its slot, and both that one and a third want the lock.
fn a_slot_is_used_again(left: u32) {
    let world = World::new(Plan::of(3));
    let (mut victim, heir) = (world.attach(0), world.attach(1));
    victim.until_death(left, |victim| append(victim, LONG));
    let again = world.clone();
    let newcomer = thread::spawn(move || append(&again.attach(0), OTHER));
    let second = append(&heir, SHORT);
    let acknowledged = [newcomer.join().unwrap(), second];
    world.check(&world.attach(2), &acknowledged);
}

/// A slot is free, and who gets it wants the lock at once. Another one waits for the lock, and no longer than a moment.
fn a_slot_is_taken() {
    let world = World::new(Plan { naps: 1, ..Plan::of(3) });
    let before = world.attach(0);
    before.leave();
    let (again, other) = (world.clone(), world.attach(1));
    let newcomer = thread::spawn(move || append(&again.attach(0), OTHER));
    let acknowledged = [append(&other, SHORT), newcomer.join().unwrap()];
    world.check(&world.attach(2), &acknowledged);
}

fn used_again_after(preemptions: usize, left: &[u32]) {
    for left in left.iter().copied() {
        check(Some(preemptions), move || a_slot_is_used_again(left));
    }
}

#[test]
fn a_new_holder_of_a_slot_is_not_the_one_that_died() {
    used_again_after(2, &LEFT);
    used_again_after(3, &[CLEAN]);
}

#[test]
fn whoever_has_just_taken_a_slot_is_not_dead() {
    check(Some(3), a_slot_is_taken);
}

#[test]
fn forgetting_generations_is_found() {
    finds(Mistake::ForgetsGenerations, &["deadlock"], || used_again_after(3, &[WRITTEN]));
}

#[test]
fn a_generation_that_is_not_counted_up_is_found() {
    finds(Mistake::KeepsTheGeneration, SYMPTOMS, || used_again_after(3, &[CLEAN]));
}

#[test]
fn a_token_that_is_seen_before_its_generation_is_found() {
    finds(Mistake::HidesItsGeneration, SYMPTOMS, || check(Some(3), a_slot_is_taken));
}
