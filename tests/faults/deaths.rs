//! The thread dies at a call: what it was in the middle of is repaired by whoever comes next.

use std::sync::atomic::{AtomicU64, Ordering};

use klog::sys::{Fault, FaultKind, SimDisk, SimRandom};
use klog::{Engine, ErrorCode};
use klog_tests::{in_parallel, survive};

use crate::kept::{assert_opens, must_reopen};
use crate::promises::Promises;
use crate::workload::{STEPS, calls_without_faults, open, recording};

/// Opens the engine, however often the thread dies at it.
fn open_at_last(disk: &SimDisk, when: &str) -> Engine {
    loop {
        if let Some(opened) = survive(|| open(disk)) {
            return opened.unwrap_or_else(|error| panic!("{when}: opening: {error}"));
        }
    }
}

/// What became of a workload.
struct Outcome {
    promises: Promises,
    /// How often the engine had to be opened anew.
    reopened: u64,
}

/// Runs the workload, in one engine as long as that goes on. After each death it must show what was promised and take
/// appends, or say that it must be reopened; then it is.
fn run_with_deaths(disk: &SimDisk, when: &str) -> Outcome {
    let mut promises = Promises::default();
    let mut reopened = 0;
    let mut engine = open_at_last(disk, when);
    for step in &STEPS {
        let goes_on = match survive(|| promises.attempt(&engine, step)) {
            Some(Ok(())) => true,
            Some(Err(error)) => !must_reopen(&error),
            None => {
                promises.deaths += 1;
                let when = format!("{when}, dead in {}", step.name);
                loop {
                    if let Some(goes_on) = survive(|| promises.assert_goes_on(&engine, &when)) {
                        break goes_on;
                    }
                    promises.deaths += 1;
                }
            }
        };
        if !goes_on {
            reopened += 1;
            let _ = survive(|| engine.close());
            let _ = survive(|| drop(engine));
            engine = open_at_last(disk, when);
            promises.assert_kept(&engine, &format!("{when}, reopened after {}", step.name));
        }
    }
    match survive(|| promises.close(&engine)) {
        Some(Ok(())) => {}
        Some(Err(error)) => promises.fail("close", error),
        None => promises.deaths += 1,
    }
    let _ = survive(|| drop(engine));
    Outcome { promises, reopened }
}

#[test]
fn whoever_comes_after_a_death_at_any_call_repairs_what_was_left() {
    let calls = calls_without_faults();
    let reopened = AtomicU64::new(0);
    in_parallel(1..=calls, |call| {
        let disk = recording();
        disk.fail(Fault { call, kind: FaultKind::Death, persistent: false });
        let when = format!("death at call {call}");
        let outcome = run_with_deaths(&disk, &when);
        disk.heal();
        for (step, error) in &outcome.promises.failures {
            // Or it follows from the death: there is no such topic, or no such record in it.
            let is_disk = error.code() == ErrorCode::KafkaStorageError;
            assert!(!is_disk || must_reopen(error), "{when}: {step}: {error}");
        }
        assert_opens(&disk, &outcome.promises, &when);
        reopened.fetch_add(outcome.reopened, Ordering::Relaxed);
    });
    let reopened = reopened.into_inner();
    println!("{calls} deaths, the engine was reopened after {reopened} of them");
    // Only what cannot be known ends an engine: whether a flush had failed when the thread in it died.
    assert!(reopened * 2 < calls, "{reopened} of {calls} deaths ended the engine");
}

#[test]
fn whoever_comes_after_two_deaths_repairs_what_was_left() {
    two_deaths(3000, FaultKind::Death, calls_without_faults(), 40, |disk, when| run_with_deaths(disk, when).promises);
}

/// Two deaths at random calls, the second at most `within` calls after the first, and so most often in the repair. Whatever
/// `run` was promised is there afterwards.
pub(crate) fn two_deaths(
    cases: u64,
    kind: FaultKind,
    calls: u64,
    within: u64,
    run: impl Fn(&SimDisk, &str) -> Promises + Sync,
) {
    let seed = klog_tests::seed();
    println!("KLOG_TEST_SEED={seed}");
    in_parallel(1..=cases, |case| {
        let random = SimRandom::new(seed.wrapping_mul(1 << 32).wrapping_add(case));
        let first = 1 + random.next() % calls;
        let second = first + 1 + random.next() % within;
        let disk = recording();
        for call in [first, second] {
            disk.fail(Fault { call, kind, persistent: false });
        }
        let when = format!("deaths at calls {first} and {second}");
        let promises = run(&disk, &when);
        disk.heal();
        assert_opens(&disk, &promises, &when);
    });
    println!("{cases} pairs of deaths");
}
