//! The rows of the table. Each makes both sides do the same.

mod append;
mod command;
mod consume;
mod contended;
mod death;
mod durable;
mod idle;
mod open;
mod values;
mod wake;

use std::path::Path;

use klog::{Durability, Engine, NewTopic, OpenOptions};

use crate::Result;
use crate::figure::Outcome;
use crate::other::Task;
use crate::plan::Plan;
use contended::Manner;
use values::Values;

/// The topic of every row.
const TOPIC: &str = "speed";

/// Bytes of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueSize(usize);

/// The sizes that every row of records is measured at.
const SIZES: [ValueSize; 2] = [ValueSize(100), ValueSize(1024)];

impl ValueSize {
    fn name(self) -> String {
        if self.0.is_multiple_of(1024) { format!("{} KiB", self.0 / 1024) } else { format!("{} B", self.0) }
    }

    /// A figure for values of 100 bytes, which are the ones that figures are known for.
    fn known(self, figure: f64) -> Option<f64> {
        (self.0 == 100).then_some(figure)
    }
}

/// A row that can be run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row {
    Single(ValueSize),
    Batched(ValueSize),
    Durable(ValueSize, Threads),
    Consume(ValueSize),
    /// Several processes, from here on.
    Contended(ValueSize, Processes, Manner),
    DurableProcesses(ValueSize, Processes),
    Wake,
    Idle,
    Death,
    Open,
    Command,
}

/// How many append at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads(usize);

/// How many processes do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processes(usize);

/// How processes take turns: `klog.lock`.
#[derive(Clone, Copy, Debug)]
enum Lock {
    Futex,
    Ofd,
}

impl Lock {
    fn name(self) -> &'static str {
        match self {
            Lock::Futex => "futex",
            Lock::Ofd => "ofd",
        }
    }
}

/// Every row, in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    let of_records: [fn(ValueSize) -> Row; 5] = [
        Row::Single,
        Row::Batched,
        |size| Row::Durable(size, Threads(1)),
        |size| Row::Durable(size, Threads(4)),
        Row::Consume,
    ];
    let rows = of_records.iter().flat_map(|row| SIZES.map(row));
    let of_processes = [
        Row::Contended(ValueSize(100), Processes(4), Manner::Batched),
        Row::Contended(ValueSize(1024), Processes(2), Manner::Single),
        Row::Contended(ValueSize(1024), Processes(4), Manner::Single),
        Row::DurableProcesses(ValueSize(100), Processes(4)),
        Row::DurableProcesses(ValueSize(1024), Processes(4)),
        Row::Wake,
        Row::Idle,
        Row::Death,
    ];
    rows.chain(of_processes).chain([Row::Open, Row::Command]).collect()
}

impl Row {
    pub(crate) fn name(self) -> String {
        match self {
            Row::Single(size) => format!("single append, {}", size.name()),
            Row::Batched(size) => format!("batched append, {}", size.name()),
            Row::Durable(size, Threads(1)) => format!("durable append, 1 thread, {}", size.name()),
            Row::Durable(size, Threads(count)) => format!("durable append, {count} threads, {}", size.name()),
            Row::Consume(size) => format!("consume, {}", size.name()),
            Row::Contended(size, Processes(count), Manner::Batched) => {
                format!("{count} processes, batched, {}", size.name())
            }
            Row::Contended(size, Processes(count), Manner::Single) => {
                format!("{count} processes, single, {}", size.name())
            }
            Row::DurableProcesses(size, Processes(count)) => {
                format!("durable append, {count} processes, {}", size.name())
            }
            Row::Wake => "wake another process".into(),
            Row::Idle => "idle for 10 s".into(),
            Row::Death => "death in an append".into(),
            Row::Open => "open 100 partitions".into(),
            Row::Command => "klog command".into(),
        }
    }

    /// Runs it; `None` where it cannot be.
    pub(crate) fn compare(self, plan: &Plan) -> Result<Option<Vec<Outcome>>> {
        let name = self.name();
        match self {
            Row::Single(size) => append::single(plan, &name, size).map(Some),
            Row::Batched(size) => append::batched(plan, &name, size).map(Some),
            Row::Durable(size, threads) => durable::compare(plan, &name, size, threads).map(Some),
            Row::Consume(size) => consume::compare(plan, &name, size).map(Some),
            Row::Contended(size, processes, manner) => {
                contended::compare(plan, &name, size, processes, manner).map(Some)
            }
            Row::DurableProcesses(size, processes) => {
                durable::compare_processes(plan, &name, size, processes).map(Some)
            }
            Row::Wake => wake::compare(plan, &name).map(Some),
            Row::Idle => idle::compare(plan, &name).map(Some),
            Row::Death => death::compare(plan, &name).map(Some),
            Row::Open => open::compare(plan, &name).map(Some),
            Row::Command => command::compare(plan),
        }
    }
}

/// Does what a row's other process does.
pub(crate) fn perform(task: &Task) -> Result<()> {
    match task.name.as_str() {
        "append-single" => contended::perform(task, Manner::Single),
        "append-batched" => contended::perform(task, Manner::Batched),
        "append-durable" => durable::perform(task),
        "append-large" => death::perform(task),
        "wake" => wake::perform(task),
        "idle" => idle::perform(task),
        other => Err(format!("there is no task '{other}'").into()),
    }
}

/// An engine on an empty directory with the topic, of one partition.
fn engine(dir: &Path, durability: Durability) -> Result<Engine> {
    create_topic(OpenOptions::new().durability(durability).open(dir)?)
}

/// As [`engine`], with a choice of how processes take turns.
fn locked_engine(dir: &Path, durability: Durability, lock: Lock) -> Result<Engine> {
    create_topic(OpenOptions::new().durability(durability).set("klog.lock", lock.name())?.open(dir)?)
}

fn create_topic(engine: Engine) -> Result<Engine> {
    engine.admin().create_topic(&NewTopic::named(TOPIC))?;
    Ok(engine)
}

/// Closes an engine without the flush that a close takes: a topic that is gone needs none.
fn discard(engine: &Engine) -> Result<()> {
    engine.admin().delete_topic(TOPIC)?;
    Ok(engine.close()?)
}
