//! Opening a directory that was closed in order.

use std::path::Path;
use std::time::Instant;

use klog::{Engine, NewTopic, OffsetSpec};

use super::TOPIC;
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::plan::Plan;

const PARTITIONS: i32 = 100;

/// Opens it, and then opens every partition, which klog puts off until somebody asks.
pub(super) fn compare(plan: &Plan, name: &str) -> Result<Vec<Outcome>> {
    let dir = plan.empty("klog")?;
    fill(&dir)?;
    let before = epochs(&dir)?;
    let figure = |name: String, target| Figure { name, unit: Unit::Milliseconds, target, known: None };
    let figures = vec![
        figure(name.into(), Target::AtMost(5.0)),
        figure(format!("{name}, then look at each"), Target::None),
        figure("close it again".into(), Target::None),
    ];
    let klog = || {
        let began = Instant::now();
        let engine = Engine::open(&dir)?;
        let opened = Instant::now();
        let admin = engine.admin();
        for partition in 0..PARTITIONS {
            let end = admin.list_offset(TOPIC, partition, OffsetSpec::Latest)?.offset;
            if end != 1 {
                return Err(format!("{TOPIC}-{partition} ends at {end} and not at 1").into());
            }
        }
        let looked = Instant::now();
        engine.close()?;
        let ends = [opened - began, looked - began, looked.elapsed()];
        Ok(ends.iter().map(|time| time.as_secs_f64() * 1000.0).collect())
    };
    let outcomes = figure::compare(plan, plan.pairs, figures, None, Box::new(klog))?;
    if epochs(&dir)? != before {
        return Err("opening changed a leader epoch".into());
    }
    Ok(outcomes)
}

/// A record in each partition.
fn fill(dir: &Path) -> Result<()> {
    let engine = Engine::open(dir)?;
    engine.admin().create_topic(&NewTopic::named(TOPIC).partitions(PARTITIONS))?;
    let producer = engine.producer()?;
    for partition in 0..PARTITIONS {
        let record = klog::ProducerRecord {
            topic: TOPIC,
            partition: Some(partition),
            value: Some(b"value"),
            ..klog::ProducerRecord::default()
        };
        producer.send_record(&record)?;
    }
    Ok(engine.close()?)
}

/// The leader epoch of every partition.
fn epochs(dir: &Path) -> Result<Vec<i32>> {
    let engine = Engine::open(dir)?;
    let epochs = engine.admin().describe_topic(TOPIC)?.partitions.iter().map(|found| found.leader_epoch).collect();
    engine.close()?;
    Ok(epochs)
}
