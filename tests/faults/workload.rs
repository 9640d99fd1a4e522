//! A workload of everything that changes files, whose steps may fail.

use klog::sys::{Fault, SimClock, SimDisk, Sys};
use klog::{Engine, OpenOptions, Result, TimestampMs};

use crate::promises::Promises;

pub(crate) const DIR: &str = "/data";
pub(crate) const NOW: i64 = 1_700_000_000_000;

pub(crate) fn clock() -> SimClock {
    SimClock::new(TimestampMs(NOW))
}

/// An empty disk that writes down what is done to it.
pub(crate) fn recording() -> SimDisk {
    let disk = SimDisk::new(clock());
    disk.record();
    disk
}

pub(crate) fn options(disk: &SimDisk) -> OpenOptions {
    options_with(disk, "false")
}

pub(crate) fn options_with(disk: &SimDisk, spare: &str) -> OpenOptions {
    let settings = [("threads", "off"), ("klog.spare", spare), ("auto.create.topics.enable", "false")];
    let options = settings.iter().fold(OpenOptions::new(), |options, (name, value)| options.set(name, value).unwrap());
    options.system(Sys::simulated(disk.clone(), clock(), 7))
}

pub(crate) fn open(disk: &SimDisk) -> Result<Engine> {
    options(disk).open(DIR)
}

/// One step of a workload.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// Whether it must change a file to succeed.
    pub(crate) writes: bool,
    pub(crate) run: fn(&mut Promises, &Engine) -> Result<()>,
}

const fn step(name: &'static str, run: fn(&mut Promises, &Engine) -> Result<()>) -> Step {
    Step { name, writes: true, run }
}

const fn idle_step(name: &'static str, run: fn(&mut Promises, &Engine) -> Result<()>) -> Step {
    Step { name, writes: false, run }
}

/// The steps of the workload, each of which may fail without the others.
pub(crate) const STEPS: [Step; 20] = [
    step("create durable", |promises, engine| promises.create(engine, "durable", "fsync")),
    step("append", |promises, engine| promises.append(engine, "durable", 1, 10)),
    step("append again", |promises, engine| promises.append(engine, "durable", 1, 10)),
    step("create written", |promises, engine| promises.create(engine, "written", "os")),
    step("append to written", |promises, engine| promises.append(engine, "written", 1, 10)),
    step("roll", |promises, engine| promises.append(engine, "durable", 5000, 10)),
    step("roll written", |promises, engine| promises.append(engine, "written", 5000, 10)),
    step("append behind the roll", |promises, engine| promises.append(engine, "durable", 1, 10)),
    idle_step("flush", Promises::flush),
    step("roll again", |promises, engine| promises.append(engine, "durable", 5000, 10)),
    idle_step("delete records", |promises, engine| promises.delete_records(engine, "durable", 1)),
    idle_step("retention", Promises::retention),
    step("append behind retention", |promises, engine| promises.append(engine, "durable", 1, 10)),
    step("append to written again", |promises, engine| promises.append(engine, "written", 1, 10)),
    step("alter", |promises, engine| promises.alter(engine, "durable", "900000")),
    idle_step("delete written", |promises, engine| promises.delete(engine, "written")),
    idle_step("append to what is left", |promises, engine| promises.append_if_there(engine, "written")),
    idle_step("create written anew", |promises, engine| promises.create(engine, "written", "os")),
    step("append to the new one", |promises, engine| promises.append(engine, "written", 1, 10)),
    step("append at last", |promises, engine| promises.append(engine, "durable", 1, 10)),
];

/// Runs all steps from opening to closing, whatever fails. `watch` looks on after each.
///
/// Once a single fault has come, the engine that went through it must still show what was promised, and go on or say that it
/// must be reopened. On a disk that goes on failing, whatever must be written fails.
pub(crate) fn run(disk: &SimDisk, fault: Option<Fault>, mut watch: impl FnMut(&'static str, &Promises)) -> Promises {
    if let Some(fault) = fault {
        disk.fail(fault);
    }
    let is_persistent = fault.is_some_and(|fault| fault.persistent);
    let has_struck = || fault.is_some_and(|fault| disk.calls() >= fault.call);
    let mut promises = Promises::default();
    match open(disk) {
        Ok(engine) => {
            for step in &STEPS {
                let is_broken = is_persistent && has_struck();
                let result = promises.attempt(&engine, step);
                assert!(!(is_broken && step.writes && result.is_ok()), "{fault:?}: {} cannot succeed", step.name);
                watch(step.name, &promises);
            }
            if has_struck() && !is_persistent {
                promises.assert_goes_on(&engine, &format!("{fault:?}"));
            }
            let is_broken = is_persistent && has_struck();
            match promises.close(&engine) {
                Ok(()) => assert!(!is_broken, "{fault:?}: nothing can be closed in order on a broken disk"),
                Err(error) => promises.fail("close", error),
            }
        }
        Err(error) => promises.fail("open", error),
    }
    watch("close", &promises);
    promises
}

/// How many calls the workload makes when nothing fails.
pub(crate) fn calls_without_faults() -> u64 {
    let disk = recording();
    let promises = run(&disk, None, |_, _| {});
    assert!(promises.failures.is_empty(), "{:?}", promises.failures);
    let calls = disk.calls();
    promises.assert_kept(&open(&disk).unwrap(), "without faults");
    calls
}
