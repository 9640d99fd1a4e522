//! Appends that wait for the disk.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use klog::{Durability, Engine, Producer};

use super::append::{BATCH_BYTES, rate};
use super::{Processes, TOPIC, Threads, ValueSize, Values, engine};
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::floor::{FloorBatch, FloorLog};
use crate::other::{Other, Task, end_with, wait_to_begin};
use crate::plan::Plan;
use crate::system::wall_clock_ms;

/// Each thread appends a record, waits until it is durable, and appends the next.
pub(super) fn compare(plan: &Plan, name: &str, size: ValueSize, threads: Threads) -> Result<Vec<Outcome>> {
    let values = Values::new(size);
    let (target, known) = match threads {
        Threads(1) => (1.0 / 1.2, None), // 1.2 times the floor's time
        _ => (0.8, size.known(9500.0)),
    };
    let figure = Figure { name: name.into(), unit: Unit::PerSecond, target: Target::Speed(target), known };
    let floor = || {
        let path = plan.empty("floor.log")?;
        let log = FloorLog::create(&path)?;
        let rate = run(plan, threads, || on_floor(&log, &values))?;
        fs::remove_file(path)?;
        Ok(vec![rate])
    };
    let klog = || {
        let engine = engine(&plan.empty("klog")?, Durability::Fsync)?;
        let producer = engine.producer()?;
        let rate = run(plan, threads, || on_klog(&producer, &values))?;
        engine.close()?;
        Ok(vec![rate])
    };
    figure::compare(plan, plan.durable_pairs, vec![figure], Some(Box::new(floor)), Box::new(klog))
}

/// As [`compare`], with a process in the place of each thread.
pub(super) fn compare_processes(
    plan: &Plan,
    name: &str,
    size: ValueSize,
    Processes(processes): Processes,
) -> Result<Vec<Outcome>> {
    let figure = Figure { name: name.into(), unit: Unit::PerSecond, target: Target::Speed(0.8), known: None };
    let run_ms = plan.durable_run.as_millis();
    let run = |side: &str, path: &Path| {
        let start = |_| Other::start("append-durable", &[&path.display(), &side, &size.0, &run_ms]);
        let mut others = (0..processes).map(start).collect::<Result<Vec<Other>>>()?;
        others.iter_mut().try_for_each(Other::begin)?;
        let rates = others.iter_mut().map(|other| Ok(other.numbers()?[0])).collect::<Result<Vec<f64>>>()?;
        Ok(vec![rates.iter().sum()])
    };
    let floor = || {
        let path = plan.empty("floor.log")?;
        let _ = plan.empty("floor.words")?;
        FloorLog::share(&path)?;
        run("floor", &path)
    };
    let klog = || {
        let dir = plan.empty("klog")?;
        let engine = engine(&dir, Durability::Fsync)?;
        let rates = run("klog", &dir)?;
        engine.close()?;
        Ok(rates)
    };
    figure::compare(plan, plan.durable_pairs, vec![figure], Some(Box::new(floor)), Box::new(klog))
}

/// What each process does.
pub(super) fn perform(task: &Task) -> Result<()> {
    let (path, side) = (task.path()?, task.argument::<String>(1)?);
    let (values, time) = (Values::new(ValueSize(task.argument(2)?)), Duration::from_millis(task.argument(3)?));
    let rate = if side == "floor" {
        let log = FloorLog::share(&path)?;
        append_when_told(on_floor(&log, &values), time)?
    } else {
        let engine = Engine::open(&path)?;
        let producer = engine.producer()?;
        append_when_told(on_klog(&producer, &values), time)?
    };
    end_with(&[rate])
}

fn append_when_told(mut append: impl FnMut(usize) -> Result<(), String>, time: Duration) -> Result<f64> {
    append(0)?; // what only the first one does is not measured
    wait_to_begin()?;
    Ok(append_for(&mut append, time)?)
}

fn on_floor(log: &FloorLog, values: &Values) -> impl FnMut(usize) -> Result<(), String> + Send {
    let mut batch = FloorBatch::with_capacity(BATCH_BYTES);
    move |index| {
        batch.begin(wall_clock_ms());
        batch.push(values.get(index));
        batch.seal();
        let end = log.append(&mut batch).map_err(|e| e.to_string())?;
        log.make_durable(end).map_err(|e| e.to_string())
    }
}

fn on_klog(producer: &Producer, values: &Values) -> impl FnMut(usize) -> Result<(), String> + Send {
    move |index| {
        let sent = producer.send(TOPIC, None, Some(values.get(index))).and_then(|sent| sent.result());
        sent.map(drop).map_err(|e| e.to_string())
    }
}

/// Appends a second.
fn append_for(append: &mut impl FnMut(usize) -> Result<(), String>, time: Duration) -> Result<f64, String> {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < time {
        append(count)?;
        count += 1;
    }
    Ok(rate(count, began.elapsed()))
}

/// Appends a second, of all threads.
fn run<A>(plan: &Plan, Threads(threads): Threads, appender: impl Fn() -> A) -> Result<f64>
where
    A: FnMut(usize) -> Result<(), String> + Send,
{
    appender()(0)?; // what only the first one does is not measured
    let start = Barrier::new(threads);
    let work = |mut append: A| {
        start.wait();
        append_for(&mut append, plan.durable_run)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| appender()).map(|append| scope.spawn(|| work(append))).collect();
        let mut all = 0.0;
        for thread in running {
            let rate: Result<f64, String> = thread.join().map_err(|_| "a thread of the benchmark panicked")?;
            all += rate?;
        }
        Ok(all)
    })
}
