//! A writing process is killed at random moments.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use klog::sys::SimRandom;
use klog::{Engine, Mode, NewTopic, OpenOptions, Start};

use crate::other::Other;

const KILLS: u64 = 300;
/// A log is given up for a new one after so many, so that reading all of it stays quick.
const KILLS_PER_LOG: u64 = 25;

/// What the killed processes were told.
#[derive(Default)]
struct Acknowledged {
    /// By topic: numbers by offset.
    records: BTreeMap<String, BTreeMap<i64, i64>>,
    topics: Vec<String>,
    /// A topic whose deletion had begun.
    maybe_gone: Vec<String>,
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["open"] => {}
            ["topic", name] => self.topics.push(name.to_owned()),
            ["deleting", name] => {
                self.topics.retain(|topic| topic != name);
                self.maybe_gone.push(name.to_owned());
            }
            [topic, number, offset] => {
                let numbers = self.records.entry(topic.to_owned()).or_default();
                let before = numbers.insert(offset.parse().unwrap(), number.parse().unwrap());
                assert_eq!(before, None, "offset {offset} of {topic} was acknowledged twice");
            }
            _ => panic!("'{line}' is not understood"),
        }
    }

    /// Everything that was acknowledged is there, once, in order, and nothing is between.
    fn check(&self, engine: &Engine) -> u64 {
        let mut count = 0;
        for topic in ["durable", "written"] {
            let numbers = all_numbers(engine, topic);
            assert!(numbers.iter().copied().eq(0..numbers.len() as i64), "{topic}: {numbers:?}");
            for (offset, number) in self.records.get(topic).into_iter().flatten() {
                assert_eq!(numbers.get(*offset as usize), Some(number), "{topic}: offset {offset} was acknowledged");
                count += 1;
            }
        }
        let listed: Vec<String> = engine.admin().list_topics().unwrap().into_iter().map(|topic| topic.name).collect();
        for topic in &self.topics {
            assert!(listed.contains(topic), "topic {topic} was acknowledged; there are {listed:?}");
        }
        for topic in listed.iter().filter(|topic| topic.starts_with("made-")) {
            engine.admin().describe_topic(topic).unwrap();
        }
        count
    }
}

fn all_numbers(engine: &Engine, topic: &str) -> Vec<i64> {
    let mut consumer = engine.consumer().unwrap();
    consumer.assign_topics(&[topic], Start::Earliest).unwrap();
    consumer.read_until_now();
    let mut numbers = Vec::new();
    while !consumer.is_finished() {
        for record in &consumer.poll(Duration::ZERO).unwrap() {
            assert_eq!(record.offset(), numbers.len() as i64, "{topic}: a hole");
            numbers.push(std::str::from_utf8(record.value().unwrap()).unwrap().parse().unwrap());
        }
    }
    numbers
}

fn make(dir: &Path) {
    let engine = Engine::open(dir).unwrap();
    for (name, durability) in [("durable", "fsync"), ("written", "os"), ("noise", "os")] {
        let topic = NewTopic::named(name).config("segment.ms", "3600000").config("klog.durability", durability);
        engine.admin().create_topic(&topic).unwrap();
    }
    engine.close().unwrap();
}

/// Uses a moment up, on the processor.
fn pass(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Kills one writer: while it opens, or after it has said so many lines and a moment more.
fn kill_one(dir: &Path, random: &SimRandom, acknowledged: &mut Acknowledged) {
    let mut writer = Other::start("write", dir);
    let in_opening = random.next().is_multiple_of(4);
    let lines = if in_opening { 0 } else { 1 + random.next() % 50 };
    for _ in 0..lines {
        acknowledged.take(&writer.line().expect("it goes on until it is killed"));
    }
    pass(Duration::from_micros(random.next() % if in_opening { 10_000 } else { 2_000 }));
    writer.kill();
    for line in writer.last_words() {
        acknowledged.take(&line);
    }
}

#[test]
fn everything_acknowledged_is_there_once_and_in_order_after_300_kills() {
    let seed = klog_tests::seed();
    println!("KLOG_TEST_SEED={seed}");
    let (mut records, mut cuts) = (0, 0);
    for log in 0..KILLS / KILLS_PER_LOG {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        make(&dir);
        let mut acknowledged = Acknowledged::default();
        let mut kept = 0;
        for kill in 0..KILLS_PER_LOG {
            let random = SimRandom::new(seed + log * KILLS_PER_LOG + kill);
            kill_one(&dir, &random, &mut acknowledged);
            let reader = OpenOptions::new().mode(Mode::ReadOnly).open(&dir).unwrap();
            kept = acknowledged.check(&reader);
        }
        let engine = Engine::open(&dir).unwrap();
        assert_eq!(acknowledged.check(&engine), kept, "recovered");
        cuts += engine.report().unwrap().cuts.len();
        engine.close().unwrap();
        assert!(acknowledged.check(&Engine::open(&dir).unwrap()) == kept, "closed and opened again");
        records += kept;
    }
    println!("{KILLS} kills, {records} acknowledged records, all there; {cuts} ends cut by the last recoveries");
    assert!(records > KILLS, "the writers were killed before they did anything");
}
