//! What it costs to do nothing.

use std::time::{Duration, Instant};

use klog::{Durability, Mode, OpenOptions, Start};

use super::{TOPIC, engine};
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::other::{Other, Task, end_with, wait, wait_to_begin};
use crate::plan::Plan;
use crate::system::CpuTime;

/// What the figures are for.
const SPAN: Duration = Duration::from_secs(10);
const KINDS: [&str; 3] = [ENGINE, "consumer", "reader"];
const ENGINE: &str = "engine";

/// Processor time of processes that have the same directory open while nothing comes: of an engine, which came first and does
/// the housekeeping; of a consumer that waits for a record; of one that reads only.
pub(super) fn compare(plan: &Plan, name: &str) -> Result<Vec<Outcome>> {
    let figure = |kind: &&str| Figure {
        name: format!("{name}, {kind}"),
        unit: Unit::Milliseconds,
        target: Target::AtMost(10.0),
        known: None,
    };
    let klog = || {
        let dir = plan.empty("klog")?;
        let engine = engine(&dir, Durability::Os)?;
        engine.producer()?.send(TOPIC, None, Some(b"first"))?.result()?;
        engine.close()?;
        let run_ms = plan.idle_run.as_millis();
        let start = |kind: &&str| Other::start("idle", &[&dir.display(), kind, &run_ms]);
        let mut others = KINDS.iter().map(start).collect::<Result<Vec<Other>>>()?;
        others.iter_mut().try_for_each(Other::begin)?;
        let scale = SPAN.as_secs_f64() / plan.idle_run.as_secs_f64();
        let mut times = Vec::new();
        // Backwards: the engine has nothing to wait for, and goes on until it is told that the others are done.
        for (kind, other) in KINDS.iter().zip(&mut others).rev() {
            if *kind == ENGINE {
                other.begin()?;
            }
            times.insert(0, other.numbers()?[0] * scale);
        }
        Ok(times)
    };
    figure::compare(plan, plan.idle_pairs, KINDS.iter().map(figure).collect(), None, Box::new(klog))
}

/// What each process does.
pub(super) fn perform(task: &Task) -> Result<()> {
    let (path, kind, run) = (task.path()?, task.argument::<String>(1)?, Duration::from_millis(task.argument(2)?));
    let mode = if kind == "reader" { Mode::ReadOnly } else { Mode::default() };
    let engine = OpenOptions::new().mode(mode).open(&path)?;
    let mut consumer = engine.consumer()?;
    consumer.assign(TOPIC, 0, Start::Latest)?;
    wait_to_begin()?;
    let (began, before) = (Instant::now(), CpuTime::now());
    if kind == ENGINE {
        wait()?;
    }
    while let Some(left) = run.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        if !consumer.poll(left)?.is_empty() {
            return Err("a record came, and nobody sent one".into());
        }
    }
    end_with(&[before.elapsed().as_secs_f64() * 1000.0])
}
