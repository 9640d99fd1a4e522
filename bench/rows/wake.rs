//! From an append until a consumer that sleeps in another process has the record.

use std::fs;
use std::hint::{black_box, spin_loop};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use klog::{Durability, Mode, OpenOptions, Start};

use super::append::BATCH_BYTES;
use super::{TOPIC, discard, engine};
use crate::Result;
use crate::figure::{self, Figure, Outcome, Target, Unit};
use crate::floor::{FloorBatch, FloorLog, walk};
use crate::other::{Other, Task, end_with, wait_to_begin};
use crate::plan::Plan;
use crate::statistics::percentile;
use crate::system::{Shared, SharedWords, futex_wait, futex_wake, monotonic_ns, wall_clock_ms};

/// Bytes of a record's value. It begins with the time at which it was sent.
const VALUE_BYTES: usize = 100;
/// How often it is looked whether somebody sleeps, before a look is taken between others' turns.
const LOOKS: usize = 100_000;

/// What both sides have in common beside the log.
#[repr(C, align(64))]
struct Words {
    /// The bare wake-up: when, and the word to sleep on.
    sent_at: AtomicU64,
    sequence: AtomicU32,
    /// How many wake-ups the sleeper has counted.
    received: AtomicU32,
}

// SAFETY: every field is an atomic integer.
#[allow(unsafe_code, reason = "the promise that SharedWords asks for")]
unsafe impl SharedWords for Words {}

/// Half of the wake-ups took so many µs at most, and 99 of 100: of a handle like any other, and of a reader that may write
/// nothing, not even that it sleeps. Beside them, a bare futex.
pub(super) fn compare(plan: &Plan, name: &str) -> Result<Vec<Outcome>> {
    let figure = |name: String, target, known| Figure { name, unit: Unit::Microseconds, target, known };
    // 1.5 times the floor's time.
    let target = Target::Speed(1.0 / 1.5);
    let figures = vec![
        figure(format!("{name}, p50"), target, Some(8.4)),
        figure(format!("{name}, p99"), Target::None, None),
        figure(format!("{name}, floor a bare futex, p50"), Target::None, None),
        figure(format!("{name}, floor a bare futex, p99"), Target::None, None),
        figure(format!("{name}, a reader, p50"), Target::None, None),
        figure(format!("{name}, a reader, p99"), Target::None, None),
    ];
    let floor = || {
        let log = floor_log(plan)?;
        let bare = bare(plan)?;
        Ok([&log[..], &bare, &log].concat())
    };
    let klog = || {
        let member = klog(plan, "klog", plan.wakes)?;
        // It is woken only along with others, and looks again every 20 ms.
        let reader = klog(plan, "reader", plan.wakes / 20)?;
        Ok([&member[..], &member, &reader].concat())
    };
    figure::compare(plan, plan.pairs, figures, Some(Box::new(floor)), Box::new(klog))
}

fn start(plan: &Plan, side: &str, path: &Path, count: usize) -> Result<(Sleeper, Shared<Words>)> {
    let words = plan.empty("wake.words")?;
    let shared = Shared::in_file(&words)?;
    let other = Other::start("wake", &[&path.display(), &side, &words.display(), &count])?;
    Ok((Sleeper { stat: format!("/proc/{}/stat", other.id()), other, received: 0 }, shared))
}

/// The other process.
struct Sleeper {
    other: Other,
    stat: String,
    received: u32,
}

impl Sleeper {
    /// Wakes it `count` times, each time when it sleeps.
    fn wake(mut self, words: &Words, count: usize, mut send: impl FnMut(u64) -> Result<()>) -> Result<Vec<f64>> {
        self.other.begin()?;
        for _ in 0..count {
            self.wait_until_it_sleeps(words)?;
            send(monotonic_ns())?;
            self.received += 1;
        }
        self.other.numbers()
    }

    fn wait_until_it_sleeps(&self, words: &Words) -> Result<()> {
        let mut looks = 0;
        // Acquire: behind it, the sleeper has counted.
        while words.received.load(Ordering::Acquire) != self.received {
            looks += 1;
            if looks > LOOKS {
                std::thread::yield_now();
            }
            spin_loop();
        }
        loop {
            let stat = fs::read_to_string(&self.stat)?;
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            match state {
                Some('S') => return Ok(()),
                Some('R' | 'D') => std::thread::yield_now(),
                _ => return Err("the sleeper is gone".into()),
            }
        }
    }
}

fn bare(plan: &Plan) -> Result<Vec<f64>> {
    let (sleeper, words) = start(plan, "bare", plan.dir(), plan.wakes)?;
    sleeper.wake(&words, plan.wakes, |now| {
        words.sent_at.store(now, Ordering::Relaxed);
        words.sequence.fetch_add(1, Ordering::SeqCst);
        futex_wake(&words.sequence, 1);
        Ok(())
    })
}

fn floor_log(plan: &Plan) -> Result<Vec<f64>> {
    let path = plan.empty("floor.log")?;
    let _ = plan.empty("floor.words")?;
    let log = FloorLog::share(&path)?;
    let (sleeper, words) = start(plan, "floor", &path, plan.wakes)?;
    let mut batch = FloorBatch::with_capacity(BATCH_BYTES);
    let mut value = [0; VALUE_BYTES];
    sleeper.wake(&words, plan.wakes, |now| {
        value[..8].copy_from_slice(&now.to_be_bytes());
        batch.begin(wall_clock_ms());
        batch.push(&value);
        batch.seal();
        log.append(&mut batch)?;
        log.announce();
        Ok(())
    })
}

fn klog(plan: &Plan, side: &str, count: usize) -> Result<Vec<f64>> {
    let dir = plan.empty("klog")?;
    let engine = engine(&dir, Durability::Os)?;
    let producer = engine.producer()?;
    let mut value = [0; VALUE_BYTES];
    producer.send(TOPIC, None, Some(&value))?.result()?;
    let (sleeper, words) = start(plan, side, &dir, count)?;
    let times = sleeper.wake(&words, count, |now| {
        value[..8].copy_from_slice(&now.to_be_bytes());
        producer.send(TOPIC, None, Some(&value))?.result()?;
        Ok(())
    })?;
    discard(&engine)?;
    Ok(times)
}

/// What the sleeper does.
pub(super) fn perform(task: &Task) -> Result<()> {
    let (path, side, count) = (task.path()?, task.argument::<String>(1)?, task.argument(3)?);
    let words = Shared::<Words>::in_file(&task.argument::<std::path::PathBuf>(2)?)?;
    let mut times: Vec<u32> = Vec::with_capacity(count);
    let mut note = |sent_at: u64| {
        times.push((monotonic_ns() - sent_at) as u32);
        words.received.fetch_add(1, Ordering::Release);
        times.len() < count
    };
    match side.as_str() {
        "bare" => {
            wait_to_begin()?;
            let mut seen = 0;
            loop {
                futex_wait(&words.sequence, seen);
                let now = words.sequence.load(Ordering::Acquire);
                if now != seen {
                    seen = now;
                    if !note(words.sent_at.load(Ordering::Relaxed)) {
                        break;
                    }
                }
            }
        }
        "floor" => sleep_on_floor(&path, &mut note)?,
        _ => sleep_on_klog(&path, if side == "reader" { Mode::ReadOnly } else { Mode::default() }, &mut note)?,
    }
    times.sort_unstable();
    end_with(&[0.5, 0.99].map(|share| percentile(&times, share) / 1000.0))
}

fn sleep_on_floor(path: &Path, note: &mut impl FnMut(u64) -> bool) -> Result<()> {
    let log = FloorLog::share(path)?;
    let mut bytes = vec![0; BATCH_BYTES];
    let mut position = 0;
    wait_to_begin()?;
    loop {
        let end = log.wait_for_more(position);
        let batch = &mut bytes[..(end - position) as usize];
        log.file().read_exact_at(batch, position)?;
        black_box(walk(batch)?);
        position = end;
        let value = &batch[batch.len() - 1 - VALUE_BYTES..]; // behind it is the number of headers
        if !note(time_in(value)?) {
            return Ok(());
        }
    }
}

fn sleep_on_klog(path: &Path, mode: Mode, note: &mut impl FnMut(u64) -> bool) -> Result<()> {
    let engine = OpenOptions::new().mode(mode).open(path)?;
    let mut consumer = engine.consumer()?;
    consumer.assign(TOPIC, 0, Start::Latest)?;
    wait_to_begin()?;
    loop {
        for record in &consumer.poll(Duration::from_secs(10))? {
            if !note(time_in(record.value().unwrap_or_default())?) {
                return Ok(());
            }
        }
    }
}

fn time_in(value: &[u8]) -> Result<u64> {
    let first = value.first_chunk::<8>().ok_or("a record lacks the time at which it was sent")?;
    Ok(u64::from_be_bytes(*first))
}
