//! Appends that nobody flushes.

use std::fs;
use std::time::{Duration, Instant};

use klog::{Durability, ProducerConfig};

use super::{TOPIC, ValueSize, Values, discard, engine};
use crate::Result;
use crate::figure::{Figure, Outcome, Target, Unit, compare};
use crate::floor::{FloorBatch, FloorLog};
use crate::plan::Plan;
use crate::statistics::percentile;
use crate::system::{CpuTime, wall_clock_ms};

/// The size that page caches take fastest, and klog's default.
pub(super) const BATCH_BYTES: usize = 65_536;

/// One record, waited for, and the next.
pub(super) fn single(plan: &Plan, name: &str, size: ValueSize) -> Result<Vec<Outcome>> {
    let values = Values::new(size);
    let figure =
        |what: &str, target, known| Figure { name: format!("{name}, {what}"), unit: Unit::Microseconds, target, known };
    // 1.5 times the floor's time.
    let figures = vec![figure("p50", Target::Speed(1.0 / 1.5), size.known(0.78)), figure("p99", Target::None, None)];
    let floor = || {
        let path = plan.empty("floor.log")?;
        let log = FloorLog::create(&path)?;
        let mut batch = FloorBatch::with_capacity(BATCH_BYTES);
        let times = time_each(plan, |index| {
            batch.begin(wall_clock_ms());
            batch.push(values.get(index));
            batch.seal();
            log.append(&mut batch)?;
            Ok(())
        });
        fs::remove_file(path)?;
        times
    };
    let klog = || {
        let engine = engine(&plan.empty("klog")?, Durability::Os)?;
        let producer = engine.producer()?;
        let times = time_each(plan, |index| {
            producer.send(TOPIC, None, Some(values.get(index)))?.result()?;
            Ok(())
        });
        discard(&engine)?;
        times
    };
    compare(plan, plan.pairs, figures, Some(Box::new(floor)), Box::new(klog))
}

/// Half of the calls took so many µs at most, and 99 of 100.
fn time_each(plan: &Plan, mut append: impl FnMut(usize) -> Result<()>) -> Result<Vec<f64>> {
    append(0)?; // what only the first one does is not measured
    let mut times: Vec<u32> = Vec::with_capacity(plan.single_appends);
    let mut before = Instant::now();
    for index in 0..plan.single_appends {
        append(index)?;
        let now = Instant::now();
        times.push((now - before).as_nanos() as u32);
        before = now;
    }
    times.sort_unstable();
    Ok([0.5, 0.99].iter().map(|share| percentile(&times, *share) / 1000.0).collect())
}

/// Records that nobody waits for, in batches.
pub(super) fn batched(plan: &Plan, name: &str, size: ValueSize) -> Result<Vec<Outcome>> {
    let values = Values::new(size);
    let count = plan.bulk_bytes / size.0;
    let figure =
        Figure { name: name.into(), unit: Unit::PerCpuSecond, target: Target::Speed(0.65), known: size.known(18e6) };
    let floor = || {
        let path = plan.empty("floor.log")?;
        let log = FloorLog::create(&path)?;
        let before = CpuTime::now();
        append_floor(&log, &values, count)?;
        let used = before.elapsed();
        fs::remove_file(path)?;
        Ok(vec![rate(count, used)])
    };
    let klog = || {
        let engine = engine(&plan.empty("klog")?, Durability::Os)?;
        engine.producer()?.send(TOPIC, None, Some(values.get(0)))?.result()?;
        let producer = engine.producer_with(bulk_config())?;
        let before = CpuTime::now();
        for index in 0..count {
            producer.send(TOPIC, None, Some(values.get(index)))?;
        }
        producer.flush()?;
        let used = before.elapsed();
        discard(&engine)?;
        Ok(vec![rate(count, used)])
    };
    compare(plan, plan.pairs, vec![figure], Some(Box::new(floor)), Box::new(klog))
}

/// Appends records in batches as large as klog's.
pub(super) fn append_floor(log: &FloorLog, values: &Values, count: usize) -> Result<()> {
    let mut batch = FloorBatch::with_capacity(BATCH_BYTES);
    batch.begin(wall_clock_ms());
    for index in 0..count {
        let value = values.get(index);
        if batch.len() + FloorBatch::bound(value.len()) > BATCH_BYTES {
            batch.seal();
            log.append(&mut batch)?;
            batch.begin(wall_clock_ms());
        }
        batch.push(value);
    }
    batch.seal();
    log.append(&mut batch)?;
    Ok(())
}

/// A producer that fills its batches.
pub(super) fn bulk_config() -> ProducerConfig {
    ProducerConfig { linger_ms: 5, batch_size: BATCH_BYTES as i32, ..ProducerConfig::default() }
}

/// So many in that time, a second.
pub(super) fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
