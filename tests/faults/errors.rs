//! The system refuses a call: once, or from then on.

use std::sync::atomic::{AtomicU64, Ordering};

use klog::sys::{CrashModel, Fault, FaultKind, SimDisk, SimRandom};
use klog_tests::in_parallel;

use crate::kept::assert_opens;
use crate::promises::Promises;
use crate::workload::{calls_without_faults, clock, recording, run};

/// Runs the workload once for each call, which fails as `kind` says, and counts the runs in which a step failed.
fn every_call(kind: FaultKind, persistent: bool, check: impl Fn(&SimDisk, &Promises, &str) + Sync) -> (u64, u64) {
    let calls = calls_without_faults();
    let noticed = AtomicU64::new(0);
    in_parallel(1..=calls, |call| {
        let fault = Fault { call, kind, persistent };
        let disk = recording();
        let promises = run(&disk, Some(fault), |_, _| {});
        disk.heal();
        noticed.fetch_add(u64::from(!promises.failures.is_empty()), Ordering::Relaxed);
        check(&disk, &promises, &format!("{fault:?}"));
    });
    (calls, noticed.into_inner())
}

/// The last calls of all give locks back, which the kernel does whatever the disk says.
const GIVEN_BACK: u64 = 4;

fn fails_and_opens_again(errno: i32, persistent: bool) {
    let (calls, noticed) = every_call(FaultKind::Errno(errno), persistent, |disk, promises, when| {
        if let Some((step, error)) = promises.failures.first() {
            assert_eq!(error.os_code(), Some(errno), "{when}: {step}: {error}");
        }
        assert_opens(disk, promises, when);
    });
    println!("errno {errno}, persistent: {persistent}: {calls} calls, {noticed} faults reached the caller");
    // The rest concerned what is advice, or is done later: indexes, files that are removed, checkpoints between the steps.
    let least = if persistent { calls - GIVEN_BACK } else { calls * 3 / 4 };
    assert!(noticed >= least, "{noticed} of {calls} faults reached the caller");
}

#[test]
fn an_io_error_at_any_call_reaches_the_caller_and_the_directory_opens_again() {
    fails_and_opens_again(libc::EIO, false);
}

#[test]
fn a_disk_that_fails_from_any_call_on_leaves_a_directory_that_opens_again() {
    fails_and_opens_again(libc::EIO, true);
}

#[test]
fn a_full_disk_at_any_call_reaches_the_caller_and_the_directory_opens_again() {
    fails_and_opens_again(libc::ENOSPC, false);
}

#[test]
fn a_disk_that_is_full_from_any_call_on_leaves_a_directory_that_opens_again() {
    fails_and_opens_again(libc::ENOSPC, true);
}

fn passes_unnoticed(kind: FaultKind) {
    let (calls, _) = every_call(kind, false, |disk, promises, when| {
        assert!(promises.failures.is_empty(), "{when}: {:?}", promises.failures);
        assert_opens(disk, promises, when);
    });
    println!("{kind:?}: {calls} calls");
}

#[test]
fn an_interrupted_call_is_repeated() {
    passes_unnoticed(FaultKind::Errno(libc::EINTR));
}

#[test]
fn a_call_that_does_half_of_its_work_is_continued() {
    passes_unnoticed(FaultKind::Short);
}

/// After a sync that failed the system may have thrown away what was to be written, and say nothing at the next one.
#[test]
fn what_was_acknowledged_around_an_io_error_survives_a_power_cut() {
    const STATES_AT_EACH_STEP: u64 = 16;
    let calls = calls_without_faults();
    let states = AtomicU64::new(0);
    in_parallel(1..=calls, |call| {
        let fault = Fault { call, kind: FaultKind::Errno(libc::EIO), persistent: false };
        let disk = recording();
        let mut model = CrashModel::of(&SimDisk::new(clock()));
        let random = SimRandom::new(call);
        let mut has_struck = false;
        run(&disk, Some(fault), |step, promises| {
            disk.take_record().iter().for_each(|event| model.apply(event));
            let strikes_now = !has_struck && disk.calls() >= call;
            has_struck |= strikes_now;
            if !strikes_now && step != "close" {
                return;
            }
            let promises = promises.after_power_cut();
            let found = model.states(&random);
            for _ in 0..STATES_AT_EACH_STEP {
                let crash = found.sample(&random);
                let when = format!("{fault:?}, the power cut after {step}, {crash:?}");
                assert_opens(&found.disk(&crash), &promises, &when);
                states.fetch_add(1, Ordering::Relaxed);
            }
        });
    });
    println!("{calls} calls, {} states", states.into_inner());
}
