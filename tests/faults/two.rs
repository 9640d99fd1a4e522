//! Calls fail, and processes die at a call, while another process works in the same directory.

use std::sync::atomic::{AtomicU64, Ordering};

use klog::sys::{AnyDisk, Fault, FaultKind, SimDisk, Sys};
use klog::{Engine, ErrorCode, Result};
use klog_tests::{in_parallel, try_quietly};

use crate::deaths::two_deaths;
use crate::kept::{assert_opens, must_reopen};
use crate::promises::Promises;
use crate::workload::{DIR, STEPS, clock, options, recording};

/// One of the two, which may come again after its end.
struct Process {
    disk: SimDisk,
    engine: Option<Engine>,
}

impl Process {
    fn of(disk: &SimDisk) -> Process {
        Process { disk: disk.for_another_process(), engine: None }
    }

    /// The engine, opened if it is not.
    fn engine(&mut self) -> Result<Engine> {
        if let Some(engine) = &self.engine {
            return Ok(engine.clone());
        }
        let disk = AnyDisk::Simulated(self.disk.clone());
        let sys = Sys { disk, ..Sys::simulated(self.disk.clone(), clock(), 7) };
        let engine = options(&self.disk).system(sys).open(DIR)?;
        self.engine = Some(engine.clone());
        Ok(engine)
    }

    /// Ends as a process does that is killed; another one takes its place.
    fn die(&mut self) {
        self.disk.kill();
        drop(self.engine.take());
        self.disk.bury();
        self.disk = self.disk.for_another_process();
    }
}

/// What became of a workload of two.
#[derive(Default)]
struct Outcome {
    promises: Promises,
    reopened: u64,
}

/// Runs the workload, one step by the one and the next by the other, whatever fails. After each failure both show what was
/// promised, and the other one goes on, or is told that all must reopen; then they do, one after the other.
fn run_two(disk: &SimDisk, when: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut processes = [Process::of(disk), Process::of(disk)];
    for (number, step) in STEPS.iter().enumerate() {
        // Turns of two, so that each step is once behind one's own and once behind the other's.
        let index = (number / 2 + number) % 2;
        let promises = &mut outcome.promises;
        let process = &mut processes[index];
        let attempted = try_quietly(|| match process.engine() {
            Ok(engine) => promises.attempt(&engine, step).err(),
            Err(error) => {
                promises.fail("open", error.clone());
                Some(error)
            }
        });
        let failed = if process.disk.is_dead() {
            // Also where a duty died, which the call does not notice.
            promises.deaths += 1;
            process.die();
            None
        } else {
            attempted.unwrap_or_else(|what| {
                assert!(is_planned(&what), "{when}: {}: {what}", step.name);
                promises.deaths += 1; // of a thread, and the process lives on
                None
            })
        };
        if failed.is_some() || promises.deaths > 0 {
            let mut goes_on = true;
            // The other one first: it must not have to wait for the one to which it happened.
            for who in [1 - index, index] {
                // One may not have got in; then it comes at its next turn.
                if let Some(engine) = processes[who].engine.clone() {
                    goes_on &= outcome.promises.assert_goes_on(&engine, &format!("{when}, after {}", step.name));
                }
            }
            if !goes_on || failed.is_some_and(|error| must_reopen(&error)) {
                outcome.reopened += 1;
                for process in &mut processes {
                    if let Some(engine) = process.engine.take() {
                        let _ = engine.close();
                    }
                }
            }
        }
    }
    for mut process in processes {
        let Some(engine) = process.engine.take() else { continue };
        let closed = try_quietly(|| engine.close());
        if process.disk.is_dead() {
            outcome.promises.deaths += 1;
            drop(engine);
            process.die();
        } else {
            match closed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => outcome.promises.fail("close", error),
                Err(what) => {
                    assert!(is_planned(&what), "{when}: close: {what}");
                    outcome.promises.deaths += 1;
                    let _ = try_quietly(|| drop(engine));
                    process.die(); // nothing of it is left that would close
                }
            }
        }
    }
    outcome
}

/// Whether what a thread died of was planned.
fn is_planned(what: &str) -> bool {
    what.starts_with("a planned death")
}

fn calls_without_faults() -> u64 {
    let disk = recording();
    let outcome = run_two(&disk, "without faults");
    assert!(outcome.promises.failures.is_empty(), "{:?}", outcome.promises.failures);
    let calls = disk.calls();
    assert_opens(&disk, &outcome.promises, "without faults");
    calls
}

/// Returns how often all had to reopen.
fn every_call(kind: FaultKind) -> u64 {
    let calls = calls_without_faults();
    let reopened = AtomicU64::new(0);
    in_parallel(1..=calls, |call| {
        let disk = recording();
        disk.fail(Fault { call, kind, persistent: false });
        let when = format!("{kind:?} at call {call} of {calls}");
        let outcome = run_two(&disk, &when);
        disk.heal();
        for (step, error) in &outcome.promises.failures {
            if error.os_code() == Some(libc::ESRCH) {
                continue; // what a call says that runs in a process whose duties have died
            }
            let is_disk = [ErrorCode::KafkaStorageError, ErrorCode::DiskFull].contains(&error.code());
            assert!(!is_disk || kind != FaultKind::Kill || must_reopen(error), "{when}: {step}: {error}");
        }
        assert_opens(&disk, &outcome.promises, &when);
        reopened.fetch_add(outcome.reopened, Ordering::Relaxed);
    });
    let reopened = reopened.into_inner();
    println!("{kind:?}: {calls} calls of two processes, all had to be reopened after {reopened}");
    reopened
}

#[test]
fn an_io_error_at_any_call_of_either_reaches_whoever_called_and_the_other_goes_on() {
    every_call(FaultKind::Errno(libc::EIO));
}

#[test]
fn a_full_disk_at_any_call_of_either_reaches_whoever_called_and_the_other_goes_on() {
    every_call(FaultKind::Errno(libc::ENOSPC));
}

/// An open or a listing is refused so to one who has too many files open; any call here, since none of it is the disk's fault.
#[test]
fn a_process_that_may_open_no_more_files_closes_no_log_for_the_other() {
    assert_eq!(every_call(FaultKind::Errno(libc::EMFILE)), 0);
}

/// A panic in the middle of a call, in a program that goes on after it, as one in Python does.
#[test]
fn a_thread_of_either_that_unwinds_at_any_call_keeps_nobody_waiting() {
    every_call(FaultKind::Death);
}

#[test]
fn the_death_of_either_at_any_call_is_repaired_by_the_other() {
    every_call(FaultKind::Kill);
}

#[test]
fn two_deaths_of_either_are_repaired_by_whoever_is_left() {
    two_deaths(1500, FaultKind::Kill, calls_without_faults(), 60, run_two_with_deaths_in_repair);
}

/// As [`run_two`]; a death may also come while it is looked whether the other goes on.
fn run_two_with_deaths_in_repair(disk: &SimDisk, when: &str) -> Promises {
    let mut promises = Promises::default();
    let mut processes = [Process::of(disk), Process::of(disk)];
    for (number, step) in STEPS.iter().enumerate() {
        let process = &mut processes[(number / 2 + number) % 2];
        let attempted = try_quietly(|| match process.engine() {
            Ok(engine) => promises.attempt(&engine, step),
            Err(error) => Err(error),
        });
        if process.disk.is_dead() {
            promises.deaths += 1;
            process.die();
        } else if let Err(what) = attempted {
            panic!("{when}: {}: {what}", step.name);
        }
    }
    for mut process in processes {
        if let Some(engine) = process.engine.take() {
            let closed = try_quietly(|| engine.close());
            drop(engine);
            if process.disk.is_dead() {
                process.die();
            } else {
                closed.unwrap_or_else(|what| panic!("{when}: close: {what}")).unwrap();
            }
        }
    }
    promises
}
