//! Whether what was promised is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use klog::sys::{SimDisk, read_whole};
use klog::{Engine, Error, ErrorCode, Mode, Start};

use crate::promises::{Exists, Promises, Topic};
use crate::workload::{DIR, open, options};

impl Promises {
    /// Whether an engine shows what was promised.
    pub(crate) fn assert_kept(&self, engine: &Engine, when: &str) {
        let listed: BTreeSet<String> =
            engine.admin().list_topics().unwrap().into_iter().map(|topic| topic.name).collect();
        for (name, topic) in &self.topics {
            match (topic.exists, listed.contains(*name)) {
                (Exists::Yes, false) => panic!("{when}: topic {name} is gone"),
                (Exists::No, true) => panic!("{when}: topic {name} is there"),
                (_, false) => {}
                (_, true) => topic.assert_kept(engine, name, when),
            }
        }
        assert!(listed.iter().all(|name| self.topics.contains_key(&**name)), "{when}: {listed:?}");
    }

    /// Whether an engine that went through a failure shows what was promised, and takes appends or says that it must be
    /// reopened. `false` in that case.
    pub(crate) fn assert_goes_on(&mut self, engine: &Engine, when: &str) -> bool {
        let when = format!("{when}, in the same engine");
        self.assert_kept(engine, &when);
        let mut goes_on = true;
        for name in ["durable", "written"] {
            if self.topic(name).exists != Exists::Yes {
                continue;
            }
            if let Err(error) = self.append(engine, name, 1, 10) {
                assert_eq!(error.code(), ErrorCode::KafkaStorageError, "{when}: {name}: {error}");
                assert!(must_reopen(&error), "{when}: {name}: {error}");
                goes_on = false;
            }
        }
        self.assert_kept(engine, &when);
        goes_on
    }
}

/// Whether an error says that the engine must be opened anew to go on.
pub(crate) fn must_reopen(error: &Error) -> bool {
    error.code() == ErrorCode::KafkaStorageError && error.message().contains("reopen it")
}

impl Topic {
    fn assert_kept(&self, engine: &Engine, name: &str, when: &str) {
        let described = engine.admin().describe_topic(name).unwrap_or_else(|error| panic!("{when}: {name}: {error}"));
        let limit = described.configs.get("max.message.bytes").cloned();
        assert!(self.limits.contains(&limit), "{when}: {name}: max.message.bytes is {limit:?}");
        let found = read(engine, name, when);
        let first = found.keys().next().copied();
        for (offset, value) in self.acknowledged.range(self.deleted_below..) {
            let value = String::from_utf8_lossy(value);
            let there = found.get(offset).map(|found| String::from_utf8_lossy(found));
            assert_eq!(there.as_ref(), Some(&value), "{when}: {name}: offset {offset} was acknowledged");
        }
        assert!(first.is_none_or(|first| first <= self.deleted_below), "{when}: {name} begins at {first:?}");
        // Each of them was sent, and they are in the order in which they were.
        let places: Vec<usize> = found.values().map(|value| self.place_of(value, name, when)).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{when}: {name}: out of order, or twice");
    }

    fn place_of(&self, value: &[u8], name: &str, when: &str) -> usize {
        let place = self.sent.iter().position(|sent| sent == value);
        place.unwrap_or_else(|| panic!("{when}: {name}: {} was not sent", String::from_utf8_lossy(value)))
    }
}

/// All records of a topic, by offset. There must be no hole among them.
fn read(engine: &Engine, name: &str, when: &str) -> BTreeMap<i64, Vec<u8>> {
    let fail = |error| panic!("{when}: {name}: {error}");
    let mut consumer = engine.consumer().unwrap();
    consumer.assign(name, 0, Start::Earliest).unwrap_or_else(fail);
    consumer.read_until_now();
    let mut found = BTreeMap::new();
    let mut next = None;
    while !consumer.is_finished() {
        let batch = consumer.poll(Duration::ZERO).unwrap_or_else(|error| panic!("{when}: {name}: {error}"));
        for record in &batch {
            assert!(next.is_none_or(|next| next == record.offset()), "{when}: {name}: a hole at {next:?}");
            next = Some(record.offset() + 1);
            found.insert(record.offset(), record.value().unwrap().to_vec());
        }
    }
    found
}

/// Opens what is there for reading, if there is anything, and for writing, and compares; appends, closes, and compares
/// again.
pub(crate) fn assert_opens(disk: &SimDisk, promises: &Promises, when: &str) {
    let mut promises = promises.clone();
    if klog::sys::Disk::stat(disk, &Path::new(DIR).join("meta.properties")).is_ok() {
        let reader = options(disk).mode(Mode::ReadOnly).open(DIR);
        let reader = reader.unwrap_or_else(|error| panic!("{when}: reading: {error}"));
        promises.assert_kept(&reader, &format!("{when}, reading"));
    }
    let engine = open(disk).unwrap_or_else(|error| panic!("{when}: it does not open again: {error}"));
    promises.assert_kept(&engine, &format!("{when}, opened again"));
    for name in ["durable", "written"] {
        if promises.topic(name).exists == Exists::Yes {
            promises.append(&engine, name, 1, 10).unwrap_or_else(|error| panic!("{when}: {name}: {error}"));
        }
    }
    promises.close(&engine).unwrap_or_else(|error| panic!("{when}: it does not close: {error}"));
    let engine = open(disk).unwrap_or_else(|error| panic!("{when}: it does not open a third time: {error}"));
    promises.assert_kept(&engine, &format!("{when}, opened a third time"));
    assert_is_tidy(disk, &engine, when);
}

/// Every topic has its directory, with what a broker needs to find in it.
fn assert_is_tidy(disk: &SimDisk, engine: &Engine, when: &str) {
    for topic in engine.admin().list_topics().unwrap() {
        let dir = Path::new(DIR).join(format!("{}-0", topic.name));
        let id = format!("version: 0\ntopic_id: {}", topic.id);
        let content = read_whole(disk, &dir.join("partition.metadata")).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&content), id, "{when}: {}", topic.name);
        // A broker makes this one when it is missing, and refuses the directory when it cannot be read.
        let epochs = read_whole(disk, &dir.join("leader-epoch-checkpoint")).unwrap_or_default();
        assert!(klog::log::parse_epochs(&epochs).is_ok(), "{when}: {}: {epochs:?}", topic.name);
    }
}
