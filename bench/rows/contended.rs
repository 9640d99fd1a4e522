//! Appends of several processes to one partition.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use klog::{Durability, Engine, OpenOptions};

use super::append::{BATCH_BYTES, bulk_config, rate};
use super::{Lock, Processes, TOPIC, ValueSize, Values, discard, locked_engine};
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::floor::{FloorBatch, FloorLog};
use crate::other::{Other, Task, end_with, wait_to_begin};
use crate::plan::Plan;
use crate::system::wall_clock_ms;

/// How records are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// One, waited for, and the next.
    Single,
    /// In batches that nobody waits for.
    Batched,
}

/// How fast they are all together, and how much of the fastest one's work the slowest one gets done; with both ways of locking.
pub(super) fn compare(
    plan: &Plan,
    name: &str,
    size: ValueSize,
    processes: Processes,
    manner: Manner,
) -> Result<Vec<Outcome>> {
    let (target, known) = match manner {
        Manner::Batched => (Target::Speed(0.6), size.known(8e6)),
        Manner::Single => (Target::None, None),
    };
    let figure = |name: String, unit, target, known| Figure { name, unit, target, known };
    let figures = vec![
        figure(name.into(), Unit::PerSecond, target, known),
        figure(format!("{name}, least of most"), Unit::Share, Target::None, None),
        figure(format!("{name}, ofd"), Unit::PerSecond, Target::None, None),
        figure(format!("{name}, ofd, least of most"), Unit::Share, Target::None, None),
    ];
    let task = match manner {
        Manner::Single => "append-single",
        Manner::Batched => "append-batched",
    };
    let run_ms = plan.contended_run.as_millis();
    let start = |side: &str, path: &Path| {
        let start = |_| Other::start(task, &[&path.display(), &side, &size.0, &run_ms]);
        (0..processes.0).map(start).collect::<Result<Vec<Other>>>()
    };
    let floor = || {
        let path = plan.empty("floor.log")?;
        let words = plan.empty("floor.words")?;
        FloorLog::share(&path)?;
        let run = run(&mut start("floor", &path)?)?;
        fs::remove_file(path)?;
        fs::remove_file(words)?;
        Ok([run, run].concat())
    };
    let klog = || {
        let mut runs = Vec::new();
        for lock in [Lock::Futex, Lock::Ofd] {
            let dir = plan.empty("klog")?;
            let engine = locked_engine(&dir, Durability::Os, lock)?;
            engine.producer()?.send(TOPIC, None, Some(b"first"))?.result()?;
            let mut others = start(lock.name(), &dir)?;
            runs.extend(run(&mut others)?);
            discard(&engine)?; // before the others go, who leave nothing to be flushed then
        }
        Ok(runs)
    };
    figure::compare(plan, plan.pairs, figures, Some(Box::new(floor)), Box::new(klog))
}

/// Has all of them append at once: records a second of all, and the least of the most.
fn run(others: &mut [Other]) -> Result<[f64; 2]> {
    others.iter_mut().try_for_each(Other::begin)?;
    let rates = others.iter_mut().map(|other| Ok(other.numbers()?[0])).collect::<Result<Vec<f64>>>()?;
    let most = rates.iter().copied().fold(0.0, f64::max);
    let least = rates.iter().copied().fold(most, f64::min);
    Ok([rates.iter().sum(), least / most])
}

/// What each process does.
pub(super) fn perform(task: &Task, manner: Manner) -> Result<()> {
    let (path, side) = (task.path()?, task.argument::<String>(1)?);
    let (values, run) = (Values::new(ValueSize(task.argument(2)?)), Duration::from_millis(task.argument(3)?));
    if side == "floor" {
        let log = FloorLog::share(&path)?;
        wait_to_begin()?;
        return end_with(&[append_floor(&log, &values, run, manner)?]);
    }
    let engine = OpenOptions::new().set("klog.lock", &side)?.open(&path)?;
    let rate = match manner {
        Manner::Single => append_single(&engine, &values, run)?,
        Manner::Batched => append_batched(&engine, &values, run)?,
    };
    end_with(&[rate])
}

fn append_floor(log: &FloorLog, values: &Values, run: Duration, manner: Manner) -> Result<f64> {
    let most = if manner == Manner::Single { 1 } else { BATCH_BYTES };
    let mut batch = FloorBatch::with_capacity(2 * BATCH_BYTES);
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < run {
        batch.begin(wall_clock_ms());
        while batch.count() == 0 || batch.len() + FloorBatch::bound(values.get(count).len()) <= most {
            batch.push(values.get(count));
            count += 1;
        }
        batch.seal();
        log.append(&mut batch)?;
    }
    Ok(rate(count, began.elapsed()))
}

fn append_single(engine: &Engine, values: &Values, run: Duration) -> Result<f64> {
    let producer = engine.producer()?;
    producer.send(TOPIC, None, Some(values.get(0)))?.result()?;
    wait_to_begin()?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < run {
        producer.send(TOPIC, None, Some(values.get(count)))?.result()?;
        count += 1;
    }
    Ok(rate(count, began.elapsed()))
}

fn append_batched(engine: &Engine, values: &Values, run: Duration) -> Result<f64> {
    /// About a batch: so often it is asked what time it is, as the floor does.
    const AT_ONCE: usize = BATCH_BYTES / 100;
    let producer = engine.producer_with(bulk_config())?;
    producer.send(TOPIC, None, Some(values.get(0)))?.result()?;
    wait_to_begin()?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < run {
        for _ in 0..AT_ONCE {
            producer.send(TOPIC, None, Some(values.get(count)))?;
            count += 1;
        }
    }
    producer.flush()?;
    Ok(rate(count, began.elapsed()))
}
