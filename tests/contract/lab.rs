//! A simulated disk on which something was promised, and everything that may become of it.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use klog::sys::{CrashModel, Event, SimClock, SimDisk, SimRandom, Sys};
use klog::{Engine, NewTopic, OpenOptions, Producer, ProducerConfig, ProducerRecord, Result, Start, TimestampMs};

pub(crate) const DIR: &str = "/data";
pub(crate) const NOW: i64 = 1_700_000_000_000;
/// Records begin here, so that their times may run on without being refused.
const PAST: i64 = NOW - 1_000_000_000;

/// At one cut, all states up to so many are looked at; of more, as many.
const STATES_PER_CUT: u128 = 64;

pub(crate) use klog_tests::seed;

/// A disk that writes down what is done to it, from a state in which all is synced.
pub(crate) struct Lab {
    pub(crate) disk: SimDisk,
    pub(crate) clock: SimClock,
    base: SimDisk,
    states_per_cut: u128,
}

pub(crate) fn options(disk: &SimDisk, clock: &SimClock) -> OpenOptions {
    let options = OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap();
    options.system(Sys::simulated(disk.clone(), clock.clone(), 7))
}

/// Opens what was found on a disk, under a clock of its own.
pub(crate) fn open(disk: &SimDisk) -> Engine {
    options(disk, &SimClock::new(TimestampMs(NOW)))
        .open(DIR)
        .unwrap_or_else(|error| panic!("it does not open: {error}"))
}

impl Lab {
    /// A directory that `prepare` was at, closed in order; what comes now is written down.
    pub(crate) fn new(prepare: impl FnOnce(&Engine)) -> Lab {
        let clock = SimClock::new(TimestampMs(NOW));
        let disk = SimDisk::new(clock.clone());
        let engine = options(&disk, &clock).open(DIR).unwrap();
        prepare(&engine);
        engine.close().unwrap();
        Lab::of(disk.duplicate(), clock)
    }

    /// A disk as it is, all of it synced.
    pub(crate) fn of(disk: SimDisk, clock: SimClock) -> Lab {
        let base = disk.duplicate();
        disk.record();
        Lab { disk, clock, base, states_per_cut: STATES_PER_CUT }
    }

    /// A directory with a topic of these settings.
    pub(crate) fn with_topic(configs: &[(&str, &str)]) -> Lab {
        Lab::new(|engine| create(engine, "t", configs))
    }

    /// The same with fewer states of each cut, for disks that take long to look at.
    pub(crate) fn looking_at(self, states_per_cut: u128) -> Lab {
        Lab { states_per_cut, ..self }
    }

    pub(crate) fn open(&self) -> Engine {
        options(&self.disk, &self.clock).open(DIR).unwrap()
    }

    /// Puts down that so many records are promised from now on.
    pub(crate) fn promise(&self, records: usize) {
        self.disk.note(records as u64);
    }

    /// What the death of the process leaves: everything that was written, and no lock.
    pub(crate) fn after_kill(&self) -> SimDisk {
        self.disk.duplicate()
    }

    /// Shows `check` every disk that a power cut at any moment may leave, with how many records were promised by then.
    pub(crate) fn cut_everywhere(&self, what: &str, mut check: impl FnMut(&SimDisk, usize)) {
        let seed = seed();
        let random = SimRandom::new(seed);
        let mut model = CrashModel::of(&self.base);
        let mut seen = HashSet::new();
        let (mut cuts, mut states_seen, mut promised) = (0, 0, 0);
        for event in self.disk.take_record() {
            model.apply(&event);
            if let Event::Note(note) = event {
                promised = note as usize;
            }
            let states = model.states(&random);
            let sampled = states.count() > self.states_per_cut || !states.is_complete();
            cuts += 1;
            for index in 0..states.count().min(self.states_per_cut) {
                let crash = if sampled { states.sample(&random) } else { states.nth(index) };
                let disk = states.disk(&crash);
                if seen.insert((disk.fingerprint(), promised)) {
                    states_seen += 1;
                    check(&disk, promised);
                }
            }
        }
        println!("{what}: seed {seed}, {cuts} moments, {states_seen} states");
        assert!(states_seen > 0, "nothing was looked at");
    }
}

pub(crate) fn create(engine: &Engine, topic: &str, configs: &[(&str, &str)]) {
    let mut new = NewTopic::named(topic);
    for (name, value) in configs {
        new = new.config(*name, *value);
    }
    engine.admin().create_topic(&new).unwrap();
}

/// A producer that writes each record at once, but for these settings.
pub(crate) fn producer(engine: &Engine, settings: &[(&str, &str)]) -> Producer {
    let mut config = ProducerConfig { linger_ms: 0, ..ProducerConfig::default() };
    settings.iter().for_each(|(name, value)| config.set(name, value).unwrap());
    engine.producer_with(config).unwrap()
}

/// The value of record `number`.
pub(crate) fn value(number: usize) -> String {
    format!("record {number}")
}

/// Sends record `number` of topic `t` and waits for it. Their times are 600 ms apart, so that with `segment.ms=1000` every
/// second one begins a segment.
pub(crate) fn send(producer: &Producer, number: usize) -> Result<i64> {
    let value = value(number);
    let timestamp = Some(PAST + number as i64 * 600);
    let record = ProducerRecord { topic: "t", timestamp, value: Some(value.as_bytes()), ..ProducerRecord::default() };
    Ok(producer.send_record(&record)?.result()?.offset)
}

/// Everything that is visible in `t`: offsets and values.
pub(crate) fn read(engine: &Engine) -> Vec<(i64, String)> {
    let mut consumer = engine.consumer().unwrap();
    consumer.assign("t", 0, Start::Earliest).unwrap();
    consumer.read_until_now();
    let mut found = Vec::new();
    while !consumer.is_finished() {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        found.extend(batch.iter().map(|record| (record.offset(), text(record.value().unwrap()))));
    }
    found
}

/// How many records of `t` there are: the first so many of those that were sent, and nothing else.
pub(crate) fn count(engine: &Engine) -> usize {
    let found = read(engine);
    for (number, (offset, text)) in found.iter().enumerate() {
        assert_eq!((*offset, &**text), (number as i64, &*value(number)), "a hole, or what was never sent");
    }
    found.len()
}

/// How many records are found on a disk that was left to itself.
pub(crate) fn kept(disk: &SimDisk) -> usize {
    let engine = open(disk);
    let kept = count(&engine);
    engine.close().unwrap();
    kept
}

/// The process dies: nothing is closed, no destructor runs.
pub(crate) fn die<T>(with: T) {
    mem::forget(with);
}
