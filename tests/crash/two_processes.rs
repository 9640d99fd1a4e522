//! The power is cut at every write of two processes that are at work in one directory; every state that a disk may be left in
//! is opened.

use std::sync::Mutex;

use klog::sys::SimRandom;
use klog_tests::power::{Counted, Effort, Op, base, check};
use klog_tests::power_of_two::{Turn, Who, random_turns, run_two};
use klog_tests::{in_parallel, seed, states_per_cut};

/// What each of them does in the short scripts whose every interleaving is tried.
const STEPS: [Op; 9] = [
    Op::Append,
    Op::AppendWritten,
    Op::Roll,
    Op::RollWritten,
    Op::Flush,
    Op::Retention,
    Op::DeleteRecords,
    Op::Create,
    Op::Delete,
];

/// What changes more than records, with an append before it or behind it.
const RARE: [Op; 3] = [Op::Alter, Op::AddPartitions, Op::AlterBrokers];

fn survive(what: &str, scripts: &[Vec<Turn>]) -> Counted {
    let base = base();
    let effort = Effort { states_per_cut: states_per_cut(32), deeper_every: 512, seed: 1 };
    let total = Mutex::new(Counted::default());
    in_parallel(1..=scripts.len() as u64, |number| {
        let turns = &scripts[number as usize - 1];
        let counted = check(&run_two(&base, turns), &effort).unwrap_or_else(|what| panic!("{turns:?}: {what}"));
        total.lock().unwrap().add(counted);
    });
    let counted = total.into_inner().unwrap();
    println!("{what}: {} scripts: {counted:?}", scripts.len());
    counted
}

/// One step of each, in both orders; and two of one around, before and behind one of the other.
fn interleavings() -> Vec<Vec<Turn>> {
    let (a, b) = (|op| Turn::Does(Who::A, op), |op| Turn::Does(Who::B, op));
    let mut scripts = Vec::new();
    for first in STEPS.into_iter().chain(RARE) {
        for second in STEPS.into_iter().chain(RARE) {
            scripts.push(vec![a(first), b(second)]);
            scripts.push(vec![b(first), a(second)]);
        }
    }
    for first in STEPS {
        for second in STEPS {
            for third in [Op::Append, Op::AppendWritten, Op::RollWritten] {
                scripts.push(vec![a(first), b(second), a(third)]);
                scripts.push(vec![a(first), a(second), b(third)]);
                scripts.push(vec![a(third), b(first), b(second)]);
            }
        }
    }
    scripts
}

#[test]
fn every_interleaving_of_short_scripts_of_two_survives_every_power_cut() {
    let counted = survive("two processes", &interleavings());
    assert!(counted.states >= 200_000, "{} states are too few", counted.states);
}

/// One comes, goes or dies at any point of the other's work, or in the middle of his own.
#[test]
fn coming_going_and_dying_of_one_survives_every_power_cut() {
    let mut scripts = Vec::new();
    for op in [Op::Append, Op::AppendWritten, Op::Roll, Op::RollWritten, Op::Retention, Op::Alter] {
        for (one, other) in [(Who::A, Who::B), (Who::B, Who::A)] {
            for end in [Turn::Dies(one), Turn::Closes(one)] {
                scripts.push(vec![Turn::Does(one, op), end, Turn::Does(other, Op::Append)]);
                scripts.push(vec![Turn::Does(other, op), end, Turn::Does(other, Op::AppendWritten)]);
                // The last one goes, or dies as well, and the first one comes back.
                scripts.push(vec![Turn::Does(one, op), end, Turn::Closes(other), Turn::Does(one, Op::Append)]);
                scripts.push(vec![Turn::Does(one, op), end, Turn::Dies(other), Turn::Does(one, Op::AppendWritten)]);
            }
        }
    }
    for op in [Op::Append, Op::AppendWritten, Op::AppendLarge, Op::Roll, Op::RollWritten] {
        for calls in 1..24 {
            let dies = Turn::DiesIn(Who::A, op, calls);
            scripts.push(vec![Turn::Does(Who::B, op), dies, Turn::Does(Who::B, Op::Append)]);
            scripts.push(vec![dies, Turn::Does(Who::B, Op::AppendWritten), Turn::Does(Who::A, op)]);
        }
    }
    survive("coming, going and dying", &scripts);
}

#[test]
fn longer_scripts_of_two_survive_sampled_power_cuts() {
    let base = base();
    let first = seed();
    let total = Mutex::new(Counted::default());
    in_parallel(first..=first + 199, |seed| {
        let turns = random_turns(&SimRandom::new(seed), 4 + seed as usize % 9);
        let effort = Effort { states_per_cut: 8, deeper_every: 512, seed };
        let counted = check(&run_two(&base, &turns), &effort);
        total.lock().unwrap().add(counted.unwrap_or_else(|what| panic!("KLOG_TEST_SEED={seed}: {turns:?}: {what}")));
    });
    println!("longer scripts of two: {:?}", total.into_inner().unwrap());
}
