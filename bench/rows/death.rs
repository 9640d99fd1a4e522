//! From the death of a process inside an append until another one has appended.

use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use klog::{Consumer, Durability, Engine, OpenOptions, Start};

use super::{Lock, TOPIC, discard, locked_engine};
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::other::{Other, Task, wait_to_begin};
use crate::plan::{Pairs, Plan};
use crate::statistics::percentile;
use crate::system::send_signal;

/// Bytes that a process writes at once so that it is inside an append most of the time.
const VALUE_BYTES: usize = 256 << 10;
/// An append that is not done by then waits for one who is stopped in his.
const STUCK_AFTER: Duration = Duration::from_millis(3);
/// A process that appends all the time, and has not for so long, has failed.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// A process is stopped at random instants until it is inside an append, where another one waits for it; then it is killed.
/// Half of the deaths cost the other one so many ms at most, and 99 of 100.
pub(super) fn compare(plan: &Plan, name: &str) -> Result<Vec<Outcome>> {
    let figure = |name: String, target| Figure { name, unit: Unit::Milliseconds, target, known: None };
    let of_lock = |lock: Lock| {
        let name = format!("{name}, {}", lock.name());
        [figure(format!("{name}, p50"), Target::None), figure(format!("{name}, p99"), Target::AtMost(100.0))]
    };
    let figures = [Lock::Futex, Lock::Ofd].into_iter().flat_map(of_lock).collect();
    let klog = || {
        let mut all = Vec::new();
        for lock in [Lock::Futex, Lock::Ofd] {
            let mut times = Vec::with_capacity(plan.deaths);
            let dir = plan.empty("klog")?;
            let engine = locked_engine(&dir, Durability::Os, lock)?;
            for _ in 0..plan.deaths {
                let mut other = Other::start("append-large", &[&dir.display(), &lock.name()])?;
                other.begin()?;
                times.push(kill_inside(&engine, &mut other)?.as_micros() as u32);
            }
            discard(&engine)?;
            times.sort_unstable();
            all.extend([0.5, 0.99].map(|share| percentile(&times, share) / 1000.0));
        }
        Ok(all)
    };
    figure::compare(plan, Pairs(1), figures, None, Box::new(klog))
}

/// Kills it when it is inside an append; returns after how long the append of this process was done.
fn kill_inside(engine: &Engine, other: &mut Other) -> Result<Duration> {
    let producer = engine.producer()?;
    let mut consumer = engine.consumer()?;
    consumer.assign(TOPIC, 0, Start::Latest)?;
    loop {
        wait_for_append(&mut consumer)?;
        send_signal(other.id(), libc::SIGSTOP)?;
        let waited = thread::scope(|scope| {
            let (tell, done) = mpsc::channel();
            let producer = &producer;
            let append = move || -> klog::Result<Instant> {
                producer.send(TOPIC, None, Some(b"next"))?.result()?;
                let done_at = Instant::now();
                let _ = tell.send(()); // whoever gave up waiting hears of it at the end
                Ok(done_at)
            };
            let appending = scope.spawn(append);
            let is_stuck = done.recv_timeout(STUCK_AFTER) == Err(mpsc::RecvTimeoutError::Timeout);
            let killed_at = is_stuck.then(Instant::now);
            if is_stuck {
                other.kill()?;
            }
            let done_at = appending.join().map_err(|_| "a thread of the benchmark panicked")??;
            Ok::<_, Box<dyn Error>>(killed_at.map(|killed_at| done_at.saturating_duration_since(killed_at)))
        })?;
        match waited {
            Some(waited) => return Ok(waited),
            None => send_signal(other.id(), libc::SIGCONT)?,
        }
    }
}

/// Returns when the other process has appended once more. How far it has come in the next append by then is chance.
fn wait_for_append(consumer: &mut Consumer) -> Result<()> {
    consumer.seek(TOPIC, 0, Start::Latest)?;
    loop {
        let batch = consumer.poll(SILENT_AFTER)?;
        if batch.is_empty() {
            return Err(format!("the other process has appended nothing for {SILENT_AFTER:?}").into());
        }
        if batch.iter().any(|record| record.value().is_some_and(|value| value.len() == VALUE_BYTES)) {
            return Ok(());
        }
    }
}

/// What the process does that is killed.
pub(super) fn perform(task: &Task) -> Result<()> {
    let engine = OpenOptions::new().set("klog.lock", &task.argument::<String>(1)?)?.open(task.path()?)?;
    let producer = engine.producer()?;
    let value = vec![b'v'; VALUE_BYTES];
    wait_to_begin()?;
    loop {
        producer.send(TOPIC, None, Some(&value))?.result()?;
    }
}
