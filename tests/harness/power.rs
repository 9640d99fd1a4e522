//! Cutting the power at every write of a workload, and looking at what is found.
//!
//! A workload runs on a simulated disk that records every change. At every point of the record, every state that the disk
//! may be left in is opened again and compared with what was promised: an acknowledged record is there, nothing is there
//! that was not sent, nothing is missing in between, and a topic or a setting is there as it was before or after, never
//! half.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use klog::record::BatchHeader;
use klog::sys::{CrashModel, Event, SimClock, SimDisk, SimRandom, Sys, read_whole};
use klog::{
    ConfigResource, ConfigSource, Engine, ErrorCode, NewTopic, OpenOptions, ProducerConfig, ProducerRecord, Start,
    TimestampMs,
};

/// Where the engine of a workload lives on its disk.
pub const DIR: &str = "/data";
/// When the workloads run.
pub const NOW: i64 = 1_700_000_000_000;

/// A step of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Append a record to `t` and wait until it is durable.
    Append,
    /// Append a record to `u`, whose durability is `os`, and wait until it is written.
    AppendWritten,
    /// As `AppendWritten`, a record that takes several sectors, which reach the disk one without the other.
    AppendLarge,
    /// Append a record to `t` whose time begins a new segment.
    Roll,
    /// As `Roll`, to `u`.
    RollWritten,
    /// Make everything durable.
    Flush,
    /// Delete the segments that retention lets go of.
    Retention,
    /// Delete the records of `t` up to the middle.
    DeleteRecords,
    /// Make a topic.
    Create,
    /// Change a setting of `t`.
    Alter,
    /// Delete `u`.
    Delete,
    /// Give `t` two more partitions.
    AddPartitions,
    /// Change two settings of the brokers.
    AlterBrokers,
    /// Change two settings of `t`.
    AlterBoth,
}

impl Op {
    /// Those of a topic whose records are acknowledged when they are durable.
    pub const DURABLE: [Op; 8] =
        [Op::Append, Op::Roll, Op::Flush, Op::Retention, Op::DeleteRecords, Op::Create, Op::Alter, Op::Delete];

    /// Those of a topic whose records are acknowledged when they are written.
    pub const WRITTEN: [Op; 8] = [
        Op::AppendWritten,
        Op::RollWritten,
        Op::Flush,
        Op::Retention,
        Op::DeleteRecords,
        Op::Create,
        Op::Alter,
        Op::Delete,
    ];

    /// Those that change the metadata.
    pub const METADATA: [Op; 6] =
        [Op::Create, Op::Alter, Op::AlterBoth, Op::AlterBrokers, Op::AddPartitions, Op::Delete];
}

/// What was promised of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicModel {
    /// Every record that was sent, by offset.
    sent: Vec<Vec<u8>>,
    /// Records that processes were appending when they died: behind those above each is there, in this order, or is not.
    pending: Vec<Vec<u8>>,
    log_start: i64,
    /// Records below survive a power cut.
    durable_to: i64,
    max_message_bytes: Option<String>,
    /// A second setting that is changed together with the first, or not.
    segment_bytes: Option<String>,
    partitions: i32,
}

impl TopicModel {
    fn new() -> Self {
        TopicModel { partitions: 1, ..TopicModel::default() }
    }
}

/// What was promised: topics by name, and two settings of the brokers, which change together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    topics: BTreeMap<String, TopicModel>,
    of_brokers: [Option<String>; 2],
}

/// The settings of the brokers that workloads change.
const OF_BROKERS: [&str; 2] = ["log.roll.jitter.ms", "log.index.interval.bytes"];

/// A workload that was run, and what it promised at each point.
#[derive(Debug)]
pub struct Run {
    base: SimDisk,
    events: Vec<Event>,
    /// What is promised before and after each step. Notes in the record say where step n begins (2n) and is acknowledged
    /// (2n + 1); step 0 is opening.
    steps: Vec<Step>,
}

/// What is promised around a step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// At least this is there until it is acknowledged.
    before: Model,
    /// At least this is there from then on, and no more than this is ever there.
    after: Model,
}

impl Step {
    pub(crate) fn new(before: Model, after: Model) -> Step {
        Step { before, after }
    }

    /// What must be there, and what may be.
    fn promises(&self, is_acknowledged: bool) -> (&Model, &Model) {
        (if is_acknowledged { &self.after } else { &self.before }, &self.after)
    }
}

impl Run {
    pub(crate) fn new(base: &SimDisk, events: Vec<Event>, steps: Vec<Step>) -> Run {
        Run { base: base.duplicate(), events, steps }
    }

    /// How many snapshots of the metadata were taken before the last step ended, and how many in all.
    pub fn snapshots(&self) -> (usize, usize) {
        let is_snapshot = |event: &Event| match event {
            Event::Names { changes, .. } => {
                changes.iter().any(|(name, is)| name.strip_suffix(".checkpoint").is_some() && is.is_some())
            }
            _ => false,
        };
        let last = self.events.iter().rposition(|event| matches!(event, Event::Note(_))).unwrap_or(0);
        let count = |events: &[Event]| events.iter().filter(|event| is_snapshot(event)).count();
        (count(&self.events[..last]), count(&self.events))
    }
}

/// What looking at the states of a run counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Points at which the power was cut.
    pub cuts: u64,
    /// States that were looked at.
    pub states: u64,
    /// Of these, different ones that were opened.
    pub opened: u64,
    /// Points where there were more states than were looked at.
    pub sampled_cuts: u64,
}

impl Counted {
    /// Adds another count.
    pub fn add(&mut self, other: Counted) {
        self.cuts += other.cuts;
        self.states += other.states;
        self.opened += other.opened;
        self.sampled_cuts += other.sampled_cuts;
    }
}

fn clock() -> SimClock {
    SimClock::new(TimestampMs(NOW))
}

/// Opens the engine of a workload on `disk`.
pub fn open(disk: &SimDisk, seed: u64) -> Result<Engine, klog::Error> {
    OpenOptions::new()
        .set("threads", "off")?
        .set("klog.spare", "false")?
        .system(Sys::simulated(disk.clone(), clock(), seed))
        .open(DIR)
}

/// The disk that every workload begins on: two topics, two records in each, closed in order.
pub fn base() -> SimDisk {
    let disk = SimDisk::new(clock());
    let engine = open(&disk, 1).unwrap();
    let admin = engine.admin();
    let topic = |name: &str| {
        NewTopic::named(name)
            .config("segment.ms", "1000")
            .config("retention.bytes", "1")
            .config("file.delete.delay.ms", "0")
    };
    admin.create_topic(&topic("t")).unwrap();
    admin.create_topic(&topic("u").config("klog.durability", "os")).unwrap();
    let mut world = World::new(&engine, Model::default(), NOW - 1_000_000);
    world.model.topics.insert("t".into(), TopicModel::new());
    world.model.topics.insert("u".into(), TopicModel::new());
    for _ in 0..2 {
        world.append("t", 1);
        world.append("u", 1);
    }
    engine.close().unwrap();
    disk.duplicate()
}

/// As [`base`], with so many more records in its metadata, so that the next change or the next but a few takes a snapshot.
pub fn base_with_long_metadata(records: i64) -> SimDisk {
    let disk = base();
    let engine = open(&disk, 1).unwrap();
    let mut value = records;
    let log = Path::new(DIR).join("__cluster_metadata-0/00000000000000000000.log");
    let end = || -> i64 {
        let bytes = read_whole(&disk, &log).unwrap();
        let (mut at, mut end) = (0, 0);
        while at < bytes.len() {
            let header = BatchHeader::check(&bytes[at..]).unwrap();
            (at, end) = (at + header.size, header.next_offset().0);
        }
        end
    };
    while end() < records {
        value += 1;
        let changes = BTreeMap::from([("max.compaction.lag.ms".to_owned(), Some(value.to_string()))]);
        engine.admin().alter_configs(&ConfigResource::Topic("t".into()), &changes).unwrap();
    }
    // The process dies: a close would take the snapshot already.
    std::mem::forget(engine);
    disk.duplicate()
}

pub(crate) struct World<'a> {
    engine: &'a Engine,
    model: Model,
    time: i64,
    /// How many changes of settings there were.
    altered: i64,
    /// The last record that was sent, and its topic.
    sending: Option<(String, Vec<u8>)>,
}

impl<'a> World<'a> {
    pub(crate) fn new(engine: &'a Engine, model: Model, time: i64) -> World<'a> {
        World { engine, model, time, altered: 0, sending: None }
    }

    /// What is promised.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// The process died in a step that sends a record, if it got to that.
    pub(crate) fn leave_pending(&mut self) {
        if let Some((topic, value)) = self.sending.take() {
            self.model.topics.get_mut(&topic).unwrap().pending.push(value);
        }
    }

    /// Opens all partitions.
    pub(crate) fn open_all(&self, engine: &Engine) {
        for name in self.model.topics.keys() {
            engine.admin().describe_topic(name).unwrap();
        }
    }

    /// Has another engine do a step.
    pub(crate) fn run_in(&mut self, engine: &Engine, op: Op) {
        let (altered, time) = (self.altered, self.time);
        let model = std::mem::take(&mut self.model);
        let mut world = World { engine, model, time, altered, sending: None };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run(op)));
        let World { model, time, altered, sending, .. } = world;
        (self.model, self.time, self.altered, self.sending) = (model, time, altered, sending);
        if let Err(payload) = outcome {
            std::panic::resume_unwind(payload);
        }
    }
}

impl World<'_> {
    fn append(&mut self, topic: &str, later_by: i64) {
        self.append_padded(topic, later_by, 0);
    }

    fn append_padded(&mut self, topic: &str, later_by: i64, padding: usize) {
        self.time += later_by;
        let value = format!("{topic} record sent at {}{}", self.time, "!".repeat(padding)).into_bytes();
        let Some(model) = self.model.topics.get_mut(topic) else { return };
        self.sending = Some((topic.to_owned(), value.clone()));
        let producer = self.engine.producer_with(ProducerConfig { linger_ms: 0, ..ProducerConfig::default() }).unwrap();
        let record = ProducerRecord {
            topic,
            partition: Some(0),
            timestamp: Some(self.time),
            value: Some(&value),
            ..ProducerRecord::default()
        };
        let sent = producer.send_record(&record).unwrap().result().unwrap();
        // Which of the records that dead processes were at had made it.
        let pending = std::mem::take(&mut model.pending);
        let kept = values(self.engine, topic, model.sent.len() as i64, sent.offset);
        assert!(is_subsequence(&kept, &pending), "{topic}: records that nobody was appending");
        model.sent.extend(kept);
        assert_eq!(sent.offset, model.sent.len() as i64, "offsets are given out one by one");
        model.sent.push(value);
        if topic == "t" {
            model.durable_to = model.sent.len() as i64;
        }
    }

    /// A value that was not there before, for every setting that is changed.
    fn next_value(&mut self) -> String {
        self.altered += 1;
        format!("{}", 1_100_000 + self.altered)
    }

    fn alter(&self, resource: ConfigResource, names: &[&str], value: &str) {
        let changes = names.iter().map(|name| ((*name).to_owned(), Some(value.to_owned()))).collect();
        self.engine.admin().alter_configs(&resource, &changes).unwrap();
    }

    fn run(&mut self, op: Op) {
        let admin = self.engine.admin();
        match op {
            Op::Append => self.append("t", 1),
            Op::AppendWritten => self.append("u", 1),
            Op::AppendLarge => self.append_padded("u", 1, 700),
            Op::Roll => self.append("t", 5000),
            Op::RollWritten => self.append("u", 5000),
            Op::Flush => {
                self.engine.flush().unwrap();
                for topic in self.model.topics.values_mut() {
                    topic.durable_to = topic.sent.len() as i64;
                }
            }
            Op::Retention => {
                admin.delete_old_segments().unwrap();
                for (name, topic) in &mut self.model.topics {
                    topic.log_start = admin.describe_topic(name).unwrap().partitions[0].log_start_offset;
                }
            }
            Op::DeleteRecords => {
                if let Some(topic) = self.model.topics.get_mut("t") {
                    let middle = topic.log_start.midpoint(topic.sent.len() as i64);
                    topic.log_start = admin.delete_records("t", 0, Some(middle)).unwrap();
                }
            }
            Op::Create => {
                match admin.create_topic(&NewTopic::named("new").partitions(2).config("max.message.bytes", "2000")) {
                    Ok(_) => {
                        let max_message_bytes = Some("2000".into());
                        let model = TopicModel { max_message_bytes, partitions: 2, ..TopicModel::default() };
                        self.model.topics.insert("new".into(), model);
                    }
                    Err(error) => assert_eq!(error.code(), ErrorCode::TopicAlreadyExists),
                }
            }
            Op::Alter => {
                let value = self.next_value();
                self.alter(ConfigResource::Topic("t".into()), &["max.message.bytes"], &value);
                self.model.topics.get_mut("t").unwrap().max_message_bytes = Some(value);
            }
            Op::AlterBoth => {
                let value = self.next_value();
                let names = ["max.message.bytes", "segment.bytes"];
                self.alter(ConfigResource::Topic("t".into()), &names, &value);
                let topic = self.model.topics.get_mut("t").unwrap();
                (topic.max_message_bytes, topic.segment_bytes) = (Some(value.clone()), Some(value));
            }
            Op::AlterBrokers => {
                let value = self.next_value();
                self.alter(ConfigResource::Brokers, &OF_BROKERS, &value);
                self.model.of_brokers = [Some(value.clone()), Some(value)];
            }
            Op::AddPartitions => {
                let topic = self.model.topics.get_mut("t").unwrap();
                topic.partitions += 2;
                admin.add_partitions("t", topic.partitions).unwrap();
            }
            Op::Delete => match admin.delete_topic("u") {
                Ok(()) => drop(self.model.topics.remove("u")),
                Err(error) => assert_eq!(error.code(), ErrorCode::UnknownTopicOrPartition),
            },
        }
    }
}

/// Runs `ops` on a copy of `base`, from opening to closing.
pub fn run(base: &SimDisk, ops: &[Op]) -> Run {
    let disk = base.duplicate();
    disk.record();
    let engine = open(&disk, 2).unwrap();
    let mut world = World::new(&engine, found(&engine), NOW - 500_000);
    let mut steps = vec![Step::new(world.model.clone(), world.model.clone())];
    for op in ops {
        disk.note(steps.len() as u64 * 2);
        let before = world.model.clone();
        world.run(*op);
        disk.note(steps.len() as u64 * 2 + 1);
        steps.push(Step::new(before, world.model.clone()));
    }
    engine.close().unwrap();
    Run { base: base.duplicate(), events: disk.take_record(), steps }
}

/// Everything that an engine shows, as a model in which all of it is durable.
pub(crate) fn found(engine: &Engine) -> Model {
    let admin = engine.admin();
    let of_brokers = admin.describe_configs(&ConfigResource::Brokers).unwrap();
    let recorded = |name: &&str| {
        let entry = of_brokers.iter().find(|entry| entry.name == **name).unwrap();
        entry.value.clone().filter(|_| entry.source == ConfigSource::DefaultBroker)
    };
    let mut model = Model { of_brokers: OF_BROKERS.each_ref().map(recorded), ..Model::default() };
    for listed in admin.list_topics().unwrap() {
        let described = admin.describe_topic(&listed.name).unwrap();
        let partition = &described.partitions[0];
        let mut topic = TopicModel {
            log_start: partition.log_start_offset,
            durable_to: partition.high_watermark,
            max_message_bytes: described.configs.get("max.message.bytes").cloned(),
            segment_bytes: described.configs.get("segment.bytes").cloned(),
            partitions: described.partitions.len() as i32,
            ..TopicModel::default()
        };
        for other in &described.partitions[1..] {
            assert_eq!((other.log_start_offset, other.log_end_offset), (0, 0), "nobody sent anything there");
        }
        assert_eq!(
            partition.high_watermark, partition.log_end_offset,
            "one replica, all of it durable when it is opened"
        );
        topic.sent = vec![Vec::new(); partition.log_start_offset as usize];
        if listed.name == "new" {
            assert_eq!(described.partitions.len(), 2, "a topic has all its partitions or does not exist");
            assert_eq!(described.configs.len(), 1, "a topic has all its settings or does not exist");
        }
        let mut consumer = engine.consumer().unwrap();
        consumer.assign(&listed.name, 0, Start::Earliest).unwrap();
        consumer.read_until_now();
        loop {
            let batch = consumer.poll(Duration::ZERO).unwrap();
            for record in &batch {
                assert_eq!(record.offset(), topic.sent.len() as i64, "{}: a hole", listed.name);
                topic.sent.push(record.value().unwrap().to_vec());
            }
            if batch.is_empty() {
                break;
            }
        }
        assert_eq!(
            topic.sent.len() as i64,
            partition.high_watermark,
            "{}: records are missing at the end",
            listed.name
        );
        model.topics.insert(listed.name, topic);
    }
    model
}

/// The values of the records of a topic from an offset on and below another.
fn values(engine: &Engine, topic: &str, from: i64, to: i64) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    if from == to {
        return values;
    }
    let mut consumer = engine.consumer().unwrap();
    consumer.assign(topic, 0, Start::Offset(from)).unwrap();
    consumer.read_until_now();
    loop {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        values
            .extend(batch.iter().filter(|record| record.offset() < to).map(|record| record.value().unwrap().to_vec()));
        if batch.is_empty() {
            return values;
        }
    }
}

/// Whether all of `some` are among `all`, in the same order.
fn is_subsequence(some: &[Vec<u8>], all: &[Vec<u8>]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

/// As [`found`]; what it complains of is the error.
fn try_found(engine: &Engine) -> Result<Model, String> {
    crate::try_quietly(|| found(engine))
}

/// Whether what was found keeps what was promised before a step, and has nothing beyond what the step may have done.
fn compare(found: &Model, before: &Model, after: &Model) -> Result<(), String> {
    if ![&before.of_brokers, &after.of_brokers].contains(&&found.of_brokers) {
        return Err(format!("the settings of the brokers are {:?}", found.of_brokers));
    }
    let (before, after, found) = (&before.topics, &after.topics, &found.topics);
    for name in before.keys().chain(after.keys()).chain(found.keys()) {
        let what = |what: String| Err(format!("topic {name}: {what}"));
        match (before.get(name), after.get(name), found.get(name)) {
            (Some(_), Some(_), None) => return what("it is gone".into()),
            (None, None, _) => return what("nobody made it".into()),
            (None, Some(_), None) | (Some(_), None, None) => {}
            (before, after, Some(found)) => {
                let most = after.or(before).unwrap();
                let least = before.or(after).unwrap();
                let durable = if before.is_some() && after.is_some() { least.durable_to } else { 0 };
                if found.log_start < least.log_start.min(most.log_start) || found.log_start > most.log_start {
                    return what(format!(
                        "it starts at {}, not {} to {}",
                        found.log_start, least.log_start, most.log_start
                    ));
                }
                let end = found.sent.len() as i64;
                if end < durable {
                    return what(format!("it ends at {end}, and everything below {durable} was acknowledged"));
                }
                let beyond = found.sent.get(most.sent.len()..).unwrap_or_default();
                if !is_subsequence(beyond, &most.pending) {
                    return what(format!(
                        "it ends at {end}, and only {} and {} were sent",
                        most.sent.len(),
                        most.pending.len()
                    ));
                }
                for offset in found.log_start as usize..found.sent.len().min(most.sent.len()) {
                    if found.sent[offset] != most.sent[offset] && !most.sent[offset].is_empty() {
                        return what(format!(
                            "offset {offset} holds {:?}",
                            String::from_utf8_lossy(&found.sent[offset])
                        ));
                    }
                }
                let settings = |topic: &TopicModel| (topic.max_message_bytes.clone(), topic.segment_bytes.clone());
                if ![settings(least), settings(most)].contains(&settings(found)) {
                    return what(format!("its settings are {:?}", settings(found)));
                }
                if ![least.partitions, most.partitions].contains(&found.partitions) {
                    return what(format!("it has {} partitions", found.partitions));
                }
            }
        }
    }
    Ok(())
}

/// How thoroughly the states of a run are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// At each cut, at most so many states; more are sampled.
    pub states_per_cut: u64,
    /// Of the states that are opened, every so many has its recovery cut as well, and takes appends afterwards.
    pub deeper_every: u64,
    /// For what is left to chance.
    pub seed: u64,
}

/// Cuts the power at every point of `run`. The error names the cut, the state and what is wrong.
pub fn check(run: &Run, effort: &Effort) -> Result<Counted, String> {
    let mut model = CrashModel::of(&run.base);
    let random = SimRandom::new(effort.seed);
    let mut counted = Counted::default();
    let mut seen = HashSet::new();
    let mut step = 0;
    let mut acknowledged = false;
    for (number, event) in run.events.iter().enumerate() {
        model.apply(event);
        if let Event::Note(note) = event {
            step = (note / 2) as usize;
            acknowledged = note % 2 == 1;
        }
        let (before, after) = run.steps[step].promises(acknowledged);
        let states = model.states(&random);
        counted.cuts += 1;
        let count = states.count();
        let sampled = count > u128::from(effort.states_per_cut) || !states.is_complete();
        counted.sampled_cuts += u64::from(sampled);
        for index in 0..count.min(u128::from(effort.states_per_cut)) {
            let crash = if sampled { states.sample(&random) } else { states.nth(index) };
            let disk = states.disk(&crash);
            counted.states += 1;
            if !seen.insert((disk.fingerprint(), step, acknowledged)) {
                continue;
            }
            counted.opened += 1;
            let deeper = counted.opened % effort.deeper_every.max(1) == 0;
            look(&disk, before, after, deeper.then_some(&random)).map_err(|what| {
                format!(
                    "cut {number} of {} (step {step}, acknowledged: {acknowledged}), state {crash:?}: {what}",
                    run.events.len()
                )
            })?;
        }
    }
    Ok(counted)
}

/// Opens what was found after a power cut and compares. With `deeper`, its recovery is cut too, and appends follow.
fn look(disk: &SimDisk, before: &Model, after: &Model, deeper: Option<&SimRandom>) -> Result<(), String> {
    let untouched = deeper.map(|_| disk.duplicate());
    if deeper.is_some() {
        disk.record();
    }
    let engine = open(disk, 3).map_err(|error| format!("it does not open: {error}"))?;
    let shown = try_found(&engine)?;
    compare(&shown, before, after)?;
    // What a power cut tears was never durable, so it is cut, and nothing is left that cannot be read.
    let damage = engine.report().map_err(|error| error.to_string())?.damage;
    if let Some(damage) = damage.first() {
        return Err(format!("damage is reported: {damage}"));
    }
    let (Some(random), Some(untouched)) = (deeper, untouched) else { return Ok(()) };
    // The power goes again while what was found is recovered.
    let events = disk.take_record();
    let mut model = CrashModel::of(&untouched);
    for event in &events {
        model.apply(event);
        let states = model.states(random);
        let again = states.disk(&states.sample(random));
        let engine = open(&again, 4).map_err(|error| format!("after a second cut it does not open: {error}"))?;
        try_found(&engine)
            .and_then(|found| compare(&found, before, after))
            .map_err(|what| format!("after a second cut: {what}"))?;
    }
    // What was found can be written to, and read after an orderly end.
    let mut world = World::new(&engine, shown, NOW - 1000);
    world.append("t", 1);
    let expected = world.model.clone();
    engine.close().map_err(|error| format!("it does not close: {error}"))?;
    let engine = open(&disk.duplicate(), 5).map_err(|error| format!("it does not open again: {error}"))?;
    let again = try_found(&engine)?;
    if again.topics.get("t").map(|t| &t.sent) != expected.topics.get("t").map(|t| &t.sent) {
        return Err("after an append and an orderly end other records are there".into());
    }
    Ok(())
}

/// A workload of random steps, of both kinds.
pub fn random_ops(random: &SimRandom, steps: usize) -> Vec<Op> {
    let all = [&Op::DURABLE[..], &Op::WRITTEN[..2]].concat();
    // Appends and rolls come often, so that there is something to lose.
    let often = [Op::Append, Op::AppendWritten, Op::AppendLarge, Op::Roll, Op::RollWritten];
    let pick = |from: &[Op]| from[random.next() as usize % from.len()];
    (0..steps).map(|_| if random.next().is_multiple_of(2) { pick(&often) } else { pick(&all) }).collect()
}

/// Runs random workloads one after the other, each ended by a power cut at a random point, and each begun on what the one
/// before left. What an earlier cut took away must never come back.
pub fn chain(base: &SimDisk, seed: u64, lives: usize) -> Result<Counted, String> {
    let ops = |random: &SimRandom| random_ops(random, 1 + random.next() as usize % 6);
    chain_of(base, seed, lives, ops)
}

/// As [`chain`], with workloads of another choice.
pub fn chain_of(
    base: &SimDisk,
    seed: u64,
    lives: usize,
    choose: impl Fn(&SimRandom) -> Vec<Op>,
) -> Result<Counted, String> {
    let random = SimRandom::new(seed);
    let mut disk = base.duplicate();
    let mut counted = Counted::default();
    for life in 0..lives {
        let ops = choose(&random);
        let run = run(&disk, &ops);
        let cut = random.next() as usize % run.events.len();
        let mut model = CrashModel::of(&run.base);
        let (mut step, mut acknowledged) = (0, false);
        for event in &run.events[..=cut] {
            model.apply(event);
            if let Event::Note(note) = event {
                (step, acknowledged) = ((note / 2) as usize, note % 2 == 1);
            }
        }
        let (before, after) = run.steps[step].promises(acknowledged);
        let states = model.states(&random);
        disk = states.disk(&states.sample(&random));
        look(&disk.duplicate(), before, after, None)
            .map_err(|what| format!("life {life}, {ops:?}, cut {cut}: {what}"))?;
        counted.cuts += 1;
        counted.states += 1;
        counted.opened += 1;
    }
    Ok(counted)
}
