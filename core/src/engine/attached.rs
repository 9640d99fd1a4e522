//! Who has a directory open, and what is counted while somebody has: for people, by whoever may read the directory.
//!
//! Looking takes no slot and no lock, and changes nothing. What is found is old when it is shown.

use std::fmt;
use std::path::Path;

use super::attach::{self, Writers};
use super::cluster::Cluster;
use crate::error::Result;
use crate::shm::{Block, Control, Counts, SlotToken, State, Visitor, in_ns};
use crate::sys::{Clock, Sys};
use crate::types::{METADATA_TOPIC, TopicPartition, Uuid};

/// Who has a directory open for writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// How it is had.
    pub sharing: Sharing,
    /// The handles, by slot. A process has one for each engine that it opened. Where the directory is not shared, only this
    /// engine's own is known, if it is the one.
    pub handles: Vec<AttachedHandle>,
}

/// How a directory is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody has it open for writing.
    Nobody,
    /// Any number of handles share it.
    Shared,
    /// One handle has it to itself, or is opening or closing it: who that is, as far as it is known.
    Alone(String),
    /// A Kafka broker has it.
    Broker,
    /// Processes of another version of klog share it, and say who they are in another way: in which.
    OtherVersion(String),
}

/// A handle that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedHandle {
    /// Its place in the table of those who are attached.
    pub slot: u32,
    /// Which of those who had that place one after the other.
    pub generation: u32,
    /// The process's number, in its own namespace.
    pub pid: u32,
    /// Inode of that namespace; 0 where it is not known.
    pub pid_namespace: u64,
    /// The program, cut to 32 bytes.
    pub program: String,
    /// When it attached, in ms since 1970.
    pub since_ms: i64,
    /// It died without leaving, and nobody has noticed yet.
    pub is_dead: bool,
    /// What it holds.
    pub holds: Vec<Holding>,
}

/// Something that a handle holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// What it is.
    pub what: HeldLock,
    /// For how long, in ms, where that is known.
    pub held_ms: Option<i64>,
    /// A number that is another one the next time, so that two looks can tell whether it is still the same time.
    pub turn: u64,
}

/// What one handle holds at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldLock {
    /// It looks after what dead processes left, checkpoints and retention.
    Housekeeping,
    /// It changes the metadata.
    Metadata,
    /// It appends to a partition, or changes its segments.
    Partition(TopicPartition),
    /// It flushes a partition.
    Flush(TopicPartition),
}

impl fmt::Display for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeldLock::Housekeeping => f.write_str("housekeeping"),
            HeldLock::Metadata => f.write_str("metadata"),
            HeldLock::Partition(partition) => write!(f, "lock {partition}"),
            HeldLock::Flush(partition) => write!(f, "flush {partition}"),
        }
    }
}

/// What is counted in a directory since the first of those who have it open opened it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// How many handles are attached. With none, nothing is counted.
    pub attached: u64,
    /// How many have attached so far.
    pub attachments: u64,
    /// How many of them died without leaving.
    pub deaths: u64,
    /// When the first one came, in ms since 1970; −1 with nobody attached.
    pub since_ms: i64,
    /// How long ago that is, in ms.
    pub age_ms: i64,
    /// Each partition that somebody opened, by name.
    pub partitions: Vec<PartitionMetrics>,
}

/// What is counted of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetrics {
    /// The partition.
    pub partition: TopicPartition,
    /// The counts.
    pub counts: Counts,
}

/// Whether a number only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, and begins at 0 when the first handle attaches.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl MetricKind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        }
    }
}

/// A number with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// What is counted; a time ends with its unit.
    pub name: &'static str,
    /// What that is, in a sentence.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: MetricKind,
    /// Of which partition; `None` for the directory.
    pub partition: Option<TopicPartition>,
    /// The number.
    pub value: i64,
}

/// What is counted of a directory as a whole.
type OfDirectory = (&'static str, &'static str, MetricKind, fn(&Metrics) -> i64);
const OF_DIRECTORY: [OfDirectory; 4] = [
    ("attached", "Handles that have the directory open for writing.", MetricKind::Gauge, |m| m.attached as i64),
    ("attachments", "Handles that have opened the directory for writing.", MetricKind::Counter, |m| {
        m.attachments as i64
    }),
    ("deaths", "Handles whose process died without closing them.", MetricKind::Counter, |m| m.deaths as i64),
    ("age_ms", "Time since the first of those who have the directory open opened it.", MetricKind::Gauge, |m| m.age_ms),
];

/// What is counted of a partition: name, meaning, number.
type OfPartition = (&'static str, &'static str, fn(&Counts) -> u64);
const OF_PARTITION: [OfPartition; 10] = [
    ("appends", "Batches that were appended.", |counts| counts.appends),
    ("append_bytes", "Bytes of the batches that were appended.", |counts| counts.bytes),
    ("lock_waits", "Waits for the lock of the partition.", |counts| counts.lock_waits),
    ("lock_wait_ns", "Time spent waiting for the lock of the partition.", |counts| counts.lock_wait_ns),
    ("flushes", "Flushes to the disk.", |counts| counts.flushes),
    ("flush_ns", "Time that flushes to the disk took.", |counts| counts.flush_ns),
    ("wakes", "Times that readers were woken.", |counts| counts.wakes),
    ("steals", "Locks taken over from a holder that had died.", |counts| counts.steals),
    ("recoveries", "Recoveries of what a holder that had died left.", |counts| counts.recoveries),
    ("cuts", "Recoveries that cut off bytes that were never committed.", |counts| counts.cuts),
];

impl Metrics {
    /// The sum over all partitions.
    pub fn total(&self) -> Counts {
        self.partitions.iter().fold(Counts::default(), |sum, partition| sum.plus(&partition.counts))
    }

    /// Every number by itself, those of one name together.
    pub fn rows(&self) -> Vec<Metric> {
        let mut rows = Vec::new();
        for (name, help, kind, value) in OF_DIRECTORY {
            rows.push(Metric { name, help, kind, partition: None, value: value(self) });
        }
        for (name, help, value) in OF_PARTITION {
            rows.extend(self.partitions.iter().map(|found| Metric {
                name,
                help,
                kind: MetricKind::Counter,
                partition: Some(found.partition.clone()),
                value: value(&found.counts) as i64,
            }));
        }
        rows
    }
}

/// The partition that a control block stands for, if it stands for one.
type NameOf<'a> = &'a dyn Fn(Uuid, i32) -> TopicPartition;

/// The memory of those who are attached, and how the directory is had.
struct Look {
    control: Option<Control>,
    sharing: Sharing,
}

/// Who has a directory that is not open here.
pub(crate) fn look(sys: &Sys, dir: &Path, name_of: NameOf<'_>) -> Result<Attached> {
    let Look { control, sharing } = look_at(sys, dir)?;
    let handles = match control {
        Some(control) => handles(sys, dir, &control, name_of)?,
        None => Vec::new(),
    };
    Ok(Attached { sharing, handles })
}

fn look_at(sys: &Sys, dir: &Path) -> Result<Look> {
    let nothing = |sharing| Ok(Look { control: None, sharing });
    if attach::has_broker(sys, dir)? {
        return nothing(Sharing::Broker);
    }
    let (control, writers) = attach::follow(sys, dir)?;
    match writers {
        Writers::None => nothing(Sharing::Nobody),
        Writers::Alone => nothing(Sharing::Alone(attach::holder(sys, dir))),
        Writers::Sharing => match control {
            Some(control) => Ok(Look { control: Some(control), sharing: Sharing::Shared }),
            None => nothing(Sharing::OtherVersion(attach::what_memory(sys, dir))),
        },
    }
}

/// Everybody who is in the table, with what each holds.
fn handles(sys: &Sys, dir: &Path, control: &Control, name_of: NameOf<'_>) -> Result<Vec<AttachedHandle>> {
    let mut handles = Vec::new();
    for token in control.taken() {
        handles.push(handle(token, control.visitor(token.slot)));
    }
    let held = attach::held_slots(sys, dir, handles.iter().map(|handle| handle.slot))?;
    handles.iter_mut().for_each(|handle| handle.is_dead = !held.contains(&handle.slot));
    note_holdings(control, &mut handles, in_ns(sys.clock.monotonic()), name_of);
    Ok(handles)
}

fn handle(token: SlotToken, visitor: Visitor) -> AttachedHandle {
    AttachedHandle {
        slot: token.slot,
        generation: token.generation,
        pid: visitor.pid,
        pid_namespace: visitor.namespace,
        program: visitor.program,
        since_ms: visitor.since_ms,
        is_dead: false,
        holds: Vec::new(),
    }
}

fn note_holdings(control: &Control, handles: &mut [AttachedHandle], now: u64, name_of: NameOf<'_>) {
    let mut note = |word: u32, since: Option<u64>, turn: u64, what: HeldLock| {
        let Some(token) = SlotToken::of_word(word) else { return };
        let held_ms = since.filter(|since| *since > 0).map(|since| (now.saturating_sub(since) / 1_000_000) as i64);
        let holder = handles.iter_mut().find(|handle| handle.slot == token.slot && token.is_of(handle.generation));
        if let Some(holder) = holder {
            holder.holds.push(Holding { what, held_ms, turn });
        }
    };
    note(control.housekeeper(), None, 0, HeldLock::Housekeeping);
    let (changing, since) = control.changing();
    note(changing, Some(since), since, HeldLock::Metadata);
    for block in control.blocks() {
        let partition = || {
            let (id, number) = block.named();
            name_of(id, number)
        };
        if block.holder() != 0 {
            note(block.holder(), None, block.counts().appends, HeldLock::Partition(partition()));
        }
        if block.flusher() != 0 {
            note(block.flusher(), Some(block.flushing_since()), block.flushing_since(), HeldLock::Flush(partition()));
        }
    }
}

impl Cluster {
    /// Who has the directory open for writing.
    pub(crate) fn attached(&self) -> Result<Attached> {
        self.check_open()?;
        self.sync()?;
        let name_of = |id, number| self.partition_named(id, number);
        match self.dir().member().filter(|_| self.is_exclusive()) {
            // Nobody else can be attached.
            Some(member) => {
                let mut handles: Vec<_> =
                    member.visitors().into_iter().map(|(t, visitor)| handle(t, visitor)).collect();
                note_holdings(member.control(), &mut handles, member.now(), &name_of);
                let own = member.describe(member.token());
                Ok(Attached { sharing: Sharing::Alone(own.trim_end_matches(',').to_owned()), handles })
            }
            None => look(&self.sys, self.path(), &name_of),
        }
    }

    /// What is counted in the directory.
    pub(crate) fn metrics(&self) -> Result<Metrics> {
        self.check_open()?;
        self.sync()?;
        if let Some(member) = self.dir().member() {
            return Ok(self.count(member.control(), member.visitors().len()));
        }
        let Look { control: Some(control), .. } = look_at(&self.sys, self.path())? else {
            return Ok(Metrics { since_ms: -1, ..Metrics::default() });
        };
        let alive = attach::held_slots(&self.sys, self.path(), control.taken().into_iter().map(|who| who.slot))?.len();
        Ok(self.count(&control, alive))
    }

    fn count(&self, control: &Control, alive: usize) -> Metrics {
        let counted = |block: &Block| {
            let (id, number) = block.named();
            PartitionMetrics { partition: self.partition_named(id, number), counts: block.counts() }
        };
        let open = |block: &Block| block.state() == State::Open;
        let mut partitions: Vec<_> = control.blocks().iter().filter(|block| open(block)).map(counted).collect();
        partitions.sort_by(|one, other| one.partition.cmp(&other.partition));
        let (attachments, deaths) = control.visits();
        let since_ms = control.began_ms();
        let age_ms = (self.sys.clock.now().0 - since_ms).max(0);
        Metrics { attached: alive as u64, attachments, deaths, since_ms, age_ms, partitions }
    }

    /// A partition by the topic's id; the id itself stands for a topic that was deleted.
    fn partition_named(&self, id: Uuid, number: i32) -> TopicPartition {
        let image = self.image();
        let name = if id == Uuid::METADATA { Some(METADATA_TOPIC) } else { image.name_of(id) };
        TopicPartition::new(name.map_or_else(|| id.to_string(), str::to_owned), number)
    }
}
