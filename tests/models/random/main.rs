//! Models with more processes than can be tried in every order: four to six, with several appends each, and deaths.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sharing;
mod turns;

use std::sync::Arc;

use klog_models::shuttled::world::{Process, World};
use shuttle::rand::{Rng, thread_rng};

/// Does `work`, which has about so many effects, as a process of its own. Every second one is doomed; if it dies, one that is
/// not follows in its slot.
fn live<T>(world: &Arc<World>, slot: usize, effects: u32, mut work: impl FnMut(&mut Process) -> T) -> T {
    let mut doom = if thread_rng().gen_bool(0.5) { thread_rng().gen_range(0..effects) } else { u32::MAX };
    loop {
        let mut process = world.attach(slot);
        process.let_time_pass();
        if let Some(done) = process.until_death(doom, |process| work(process)) {
            process.leave();
            return done;
        }
        doom = u32::MAX;
    }
}
