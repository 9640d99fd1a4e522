//! The thread dies at a call: what it was in the middle of is repaired by whoever comes next.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use klog::sys::{Fault, FaultKind, SimDisk, SimRandom};
use klog::{Engine, ErrorCode};
use klog_tests::in_parallel;

use crate::kept::{assert_opens, must_reopen};
use crate::promises::Promises;
use crate::workload::{STEPS, calls_without_faults, clock, open};

const PLANNED: &str = "a planned death";

fn is_planned(payload: &(dyn std::any::Any + Send)) -> bool {
    payload.downcast_ref::<String>().is_some_and(|text| text.starts_with(PLANNED))
}

/// Keeps thousands of planned deaths out of the output.
fn die_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if !is_planned(info.payload()) {
                before(info);
            }
        }));
    });
}

/// Does something in which the thread may die as planned; `None` then.
fn survive<T>(work: impl FnOnce() -> T) -> Option<T> {
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(value) => Some(value),
        Err(payload) if is_planned(&*payload) => None,
        Err(payload) => panic::resume_unwind(payload),
    }
}

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

fn death(call: u64) -> Fault {
    Fault { call, kind: FaultKind::Death, persistent: false }
}

#[test]
fn whoever_comes_after_a_death_at_any_call_repairs_what_was_left() {
    die_quietly();
    let calls = calls_without_faults();
    let reopened = AtomicU64::new(0);
    in_parallel(1..=calls, |call| {
        let disk = SimDisk::new(clock());
        disk.record();
        disk.fail(death(call));
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
    const CASES: u64 = 3000;
    die_quietly();
    let calls = calls_without_faults();
    let seed = klog_tests::seed();
    println!("KLOG_TEST_SEED={seed}");
    in_parallel(1..=CASES, |case| {
        let random = SimRandom::new(seed.wrapping_mul(1 << 32).wrapping_add(case));
        let first = 1 + random.next() % calls;
        let second = first + 1 + random.next() % 40; // most often in the repair
        let disk = SimDisk::new(clock());
        disk.record();
        disk.fail(death(first));
        disk.fail(death(second));
        let when = format!("deaths at calls {first} and {second}");
        let outcome = run_with_deaths(&disk, &when);
        disk.heal();
        assert_opens(&disk, &outcome.promises, &when);
    });
    println!("{CASES} pairs of deaths");
}
