//! Appends that wait for the disk.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use klog::Durability;

use super::append::{BATCH_BYTES, rate};
use super::{TOPIC, Threads, ValueSize, Values, engine};
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::floor::{FloorBatch, FloorLog};
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
        let rate = run(plan, threads, || {
            let (log, values) = (&log, &values);
            let mut batch = FloorBatch::with_capacity(BATCH_BYTES);
            move |index| {
                batch.begin(wall_clock_ms());
                batch.push(values.get(index));
                batch.seal();
                let end = log.append(&mut batch).map_err(|e| e.to_string())?;
                log.make_durable(end).map_err(|e| e.to_string())
            }
        })?;
        fs::remove_file(path)?;
        Ok(vec![rate])
    };
    let klog = || {
        let engine = engine(&plan.empty("klog")?, Durability::Fsync)?;
        let producer = engine.producer()?;
        let rate = run(plan, threads, || {
            let (producer, values) = (&producer, &values);
            move |index| {
                let sent = producer.send(TOPIC, None, Some(values.get(index))).and_then(|sent| sent.result());
                sent.map(drop).map_err(|e| e.to_string())
            }
        })?;
        engine.close()?;
        Ok(vec![rate])
    };
    figure::compare(plan, plan.durable_pairs, vec![figure], Some(Box::new(floor)), Box::new(klog))
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
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < plan.durable_run {
            append(count)?;
            count += 1;
        }
        Ok(rate(count, began.elapsed()))
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
