//! What the processes were told, kept where nobody is killed, and whether it is so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klog::{ConfigResource, Engine, Start};

use crate::values::{fold, parse, value_of};

pub(crate) const TOPICS: [&str; 4] = ["durable", "written", "trimmed", "short"];

type Partition = (String, i32);

/// What a reader saw at once.
struct Run {
    reader: u64,
    from: i64,
    to: i64,
    sum: u64,
}

/// What was acknowledged, begun and seen.
#[derive(Default)]
pub(crate) struct Oracle {
    /// Writer and number, by offset.
    acknowledged: BTreeMap<Partition, BTreeMap<i64, (u64, u64)>>,
    seen: BTreeMap<Partition, Vec<Run>>,
    /// The highest log start that somebody asked for, and the highest that somebody was told of.
    trimming: BTreeMap<i32, i64>,
    trimmed: BTreeMap<i32, i64>,
    /// Topics that are there, and whether their settings must be, or may be, changed.
    made: BTreeMap<String, (bool, bool)>,
    /// Topics that may be gone, and topics that must be.
    deleting: BTreeSet<String>,
    deleted: BTreeSet<String>,
    pub(crate) records: u64,
    pub(crate) sightings: u64,
}

impl Oracle {
    /// Takes in what process `id` said.
    pub(crate) fn take(&mut self, id: u64, words: &[&str]) {
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        match words {
            ["ack", topic, partition, _, _, first, offsets @ ..] => {
                let partition = ((*topic).to_owned(), partition.parse().unwrap());
                let first: u64 = first.parse().unwrap();
                let known = self.acknowledged.entry(partition.clone()).or_default();
                for (offset, sequence) in offsets.iter().zip(first..) {
                    let before = known.insert(offset.parse().unwrap(), (id, sequence));
                    assert_eq!(before, None, "offset {offset} of {partition:?} was acknowledged twice");
                    self.records += 1;
                }
            }
            ["saw", topic, partition, ..] => {
                let partition = ((*topic).to_owned(), partition.parse().unwrap());
                let sum = words[5].parse().unwrap();
                let run = Run { reader: id, from: number(3), to: number(4), sum };
                self.sightings += (run.to - run.from) as u64;
                self.seen.entry(partition).or_default().push(run);
            }
            ["trimming", partition, to] => raise(&mut self.trimming, partition, to),
            ["trimmed", partition, to] => raise(&mut self.trimmed, partition, to),
            ["made", name] => drop(self.made.insert((*name).to_owned(), (false, false))),
            ["altering", name] => self.made.get_mut(*name).unwrap().1 = true,
            ["altered", name] => self.made.get_mut(*name).unwrap().0 = true,
            ["deleting", name] => {
                self.made.remove(*name);
                self.deleting.insert((*name).to_owned());
            }
            ["deleted", name] => drop(self.deleted.insert((*name).to_owned())),
            _ => panic!("{id} says '{}', which is not understood", words.join(" ")),
        }
    }

    /// Everything that was acknowledged is there, once, in order; nothing is between; and nobody saw anything else.
    pub(crate) fn check(&self, engine: &Engine) {
        for topic in TOPICS {
            for number in 0..2 {
                self.check_partition(engine, topic, number);
            }
        }
        self.check_topics(engine);
    }

    fn check_partition(&self, engine: &Engine, topic: &str, number: i32) {
        let partition = (topic.to_owned(), number);
        let (start, values) = values(engine, topic, number);
        let written: Vec<(u64, u64)> = values
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let offset = start + at as i64;
                parse(value).unwrap_or_else(|| {
                    panic!("{partition:?}: nobody wrote {:?} at {offset}", String::from_utf8_lossy(value))
                })
            })
            .collect();
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (at, (writer, sequence)) in written.iter().enumerate() {
            // Nothing twice, nothing before its turn, nothing left out: where the log was cut at its start, what is left.
            let expected = last.get(writer).map_or(if start == 0 { 0 } else { *sequence }, |last| last + 1);
            assert_eq!(*sequence, expected, "{partition:?}: {writer} {sequence} at {}", start + at as i64);
            last.insert(*writer, *sequence);
        }
        for (offset, told) in
            self.acknowledged.get(&partition).into_iter().flatten().filter(|(offset, _)| **offset >= start)
        {
            let found = written.get((offset - start) as usize);
            assert_eq!(
                found,
                Some(told),
                "{partition:?}: offset {offset} was acknowledged; it ends at {}",
                start + values.len() as i64
            );
        }
        match topic {
            "trimmed" => {
                let most = self.trimming.get(&number).copied().unwrap_or(0);
                let least = self.trimmed.get(&number).copied().unwrap_or(0);
                assert!((least..=most).contains(&start), "{partition:?} begins at {start}, not in {least}..={most}");
            }
            "short" => {}
            _ => assert_eq!(start, 0, "{partition:?}"),
        }
        for run in self.seen.get(&partition).into_iter().flatten() {
            assert!(run.to <= start + values.len() as i64, "{partition:?}: {} saw up to {}", run.reader, run.to);
            if run.from < start {
                continue;
            }
            let sum = (run.from..run.to).fold(0, |sum, at| fold(sum, &values[(at - start) as usize]));
            assert_eq!(sum, run.sum, "{partition:?}: {} saw something else in {}..{}", run.reader, run.from, run.to);
        }
    }

    fn check_topics(&self, engine: &Engine) {
        let admin = engine.admin();
        let listed: BTreeSet<String> = admin.list_topics().unwrap().into_iter().map(|topic| topic.name).collect();
        for (name, (must, may)) in &self.made {
            assert!(listed.contains(name), "topic {name} was acknowledged; there are {listed:?}");
            let entries = admin.describe_configs(&ConfigResource::Topic(name.clone())).unwrap();
            let value = entries.into_iter().find(|entry| entry.name == "retention.ms").and_then(|entry| entry.value);
            let is_changed = value.as_deref() == Some("77");
            assert!(if is_changed { *may } else { !must }, "{name}: {value:?}, and it is changed: {must}, {may}");
        }
        let gone: Vec<_> = self.deleted.intersection(&listed).collect();
        assert!(gone.is_empty(), "{gone:?} were deleted");
        for name in &listed {
            admin.describe_topic(name).unwrap();
        }
        if listed.contains("shared") {
            let (_, values) = values(engine, "shared", 0);
            assert!(values.iter().all(|value| value == b"shared"));
        }
    }
}

fn raise(marks: &mut BTreeMap<i32, i64>, partition: &str, to: &str) {
    let mark = marks.entry(partition.parse().unwrap()).or_default();
    *mark = (*mark).max(to.parse().unwrap());
}

/// The offset of the first record, and the values of all.
fn values(engine: &Engine, topic: &str, partition: i32) -> (i64, Vec<Vec<u8>>) {
    let mut consumer = engine.consumer().unwrap();
    consumer.assign(topic, partition, Start::Earliest).unwrap();
    let start = consumer.position(topic, partition).unwrap();
    consumer.read_until_now();
    let mut values = Vec::new();
    while !consumer.is_finished() {
        for record in &consumer.poll(Duration::ZERO).unwrap() {
            assert_eq!(record.offset(), start + values.len() as i64, "{topic}-{partition}: a hole");
            values.push(record.value().unwrap().to_vec());
        }
    }
    (start, values)
}

#[test]
fn an_oracle_finds_what_is_lost_doubled_or_out_of_order() {
    let lines = |values: &[(u64, u64)]| {
        let engine = Engine::memory().unwrap();
        for topic in TOPICS {
            engine.admin().create_topic(&klog::NewTopic::named(topic).partitions(2)).unwrap();
        }
        let producer = engine.producer().unwrap();
        for (writer, sequence) in values {
            let value = value_of(*writer, *sequence);
            let record = klog::ProducerRecord {
                topic: "durable",
                partition: Some(0),
                value: Some(value.as_bytes()),
                ..klog::ProducerRecord::default()
            };
            producer.send_record(&record).unwrap().result().unwrap();
        }
        engine
    };
    let mut oracle = Oracle::default();
    oracle.take(7, &["ack", "durable", "0", "0", "0", "0", "0", "1"]);
    oracle.check(&lines(&[(7, 0), (7, 1), (8, 0)]));
    for wrong in [
        &[(7, 0)][..],
        &[(7, 1), (7, 0)],
        &[(8, 0), (7, 0), (7, 1)],
        &[(7, 0), (7, 1), (7, 1)],
        &[(7, 0), (7, 1), (7, 3)],
    ] {
        let engine = lines(wrong);
        klog_tests::try_quietly(|| oracle.check(&engine)).expect_err(&format!("{wrong:?}"));
    }
}
