//! Reading what was appended, checksums checked, from the page cache.

use std::hint::black_box;
use std::time::Duration;

use klog::{Durability, Engine, Start};

use super::append::{append_floor, bulk_config, rate};
use super::{TOPIC, ValueSize, Values, discard, engine};
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::floor::{FloorLog, walk_copied, walk_mapped};
use crate::plan::Plan;
use crate::system::CpuTime;

/// Every record of a log, from the first to the last. The floor reads it in two ways: through a mapping, which the target is
/// for, and by copying.
pub(super) fn compare(plan: &Plan, name: &str, size: ValueSize) -> Result<Vec<Outcome>> {
    let values = Values::new(size);
    let count = plan.bulk_bytes / size.0;
    let figure = |name: String, target, known| Figure { name, unit: Unit::PerCpuSecond, target, known };
    let figures = vec![
        figure(name.into(), Target::Speed(0.6), size.known(41e6)),
        figure(format!("{name}, floor by pread"), Target::None, None),
    ];
    let log = FloorLog::create(&plan.empty("floor.log")?)?;
    append_floor(&log, &values, count)?;
    let engine = engine(&plan.empty("klog")?, Durability::Os)?;
    let producer = engine.producer_with(bulk_config())?;
    for index in 0..count {
        producer.send(TOPIC, None, Some(values.get(index)))?;
    }
    producer.flush()?;

    let floor = || Ok(vec![rate_of(count, || walk_mapped(log.file()))?, rate_of(count, || walk_copied(log.file()))?]);
    let klog = || {
        let rate = rate_of(count, || consume(&engine))?;
        Ok(vec![rate, rate])
    };
    let outcomes = figure::compare(plan, plan.pairs, figures, Some(Box::new(floor)), Box::new(klog))?;
    drop(producer);
    discard(&engine)?;
    Ok(outcomes)
}

fn consume(engine: &Engine) -> Result<usize> {
    let mut consumer = engine.consumer()?;
    consumer.assign(TOPIC, 0, Start::Earliest)?;
    consumer.read_until_now();
    let mut records = 0;
    while !consumer.is_finished() {
        for record in &consumer.poll(Duration::ZERO)? {
            black_box(record.value());
            records += 1;
        }
    }
    Ok(records)
}

/// Records per second of processor time, of a reader who must find all that were sent.
fn rate_of(sent: usize, read: impl FnOnce() -> Result<usize>) -> Result<f64> {
    let before = CpuTime::now();
    let found = read()?;
    let used = before.elapsed();
    if found != sent {
        return Err(format!("{found} records were read and {sent} sent").into());
    }
    Ok(rate(sent, used))
}
