//! What was promised by the steps of a workload that may fail.

use std::collections::{BTreeMap, BTreeSet};

use klog::{ConfigResource, Engine, Error, ErrorCode, NewTopic, ProducerConfig, ProducerRecord, Result};

use crate::workload::{NOW, Step};

/// What is known of a topic: what must be there, what may be.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// Acknowledged records by offset.
    pub(crate) acknowledged: BTreeMap<i64, Vec<u8>>,
    /// Everything that was sent, in order.
    pub(crate) sent: Vec<Vec<u8>>,
    /// Records below may be gone.
    pub(crate) deleted_below: i64,
    pub(crate) exists: Exists,
    /// What `max.message.bytes` may be.
    pub(crate) limits: BTreeSet<Option<String>>,
    /// Whether a record is acknowledged when it is written, durable or not.
    is_os: bool,
    /// Of such a topic, acknowledged records below this were flushed since.
    durable_below: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exists {
    No,
    Yes,
    Maybe,
}

impl Default for Topic {
    fn default() -> Self {
        Topic {
            acknowledged: BTreeMap::new(),
            sent: Vec::new(),
            deleted_below: 0,
            exists: Exists::No,
            limits: BTreeSet::from([None]),
            is_os: false,
            durable_below: 0,
        }
    }
}

/// What was promised so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    pub(crate) topics: BTreeMap<&'static str, Topic>,
    time: i64,
    /// Steps that failed, and how.
    pub(crate) failures: Vec<(&'static str, Error)>,
    /// Steps in which the thread died.
    pub(crate) deaths: u64,
}

impl Promises {
    pub(crate) fn topic(&mut self, name: &'static str) -> &mut Topic {
        self.topics.entry(name).or_default()
    }

    pub(crate) fn append(&mut self, engine: &Engine, topic: &'static str, later_by: i64, bytes: usize) -> Result<()> {
        self.time += later_by;
        let timestamp = NOW - 1_000_000 + self.time;
        let value = format!("{topic} at {timestamp} {}", "x".repeat(bytes)).into_bytes();
        self.topic(topic).sent.push(value.clone());
        let producer = engine.producer_with(ProducerConfig { linger_ms: 0, ..ProducerConfig::default() })?;
        let record =
            ProducerRecord { topic, timestamp: Some(timestamp), value: Some(&value), ..ProducerRecord::default() };
        let sent = producer.send_record(&record)?.result()?;
        let topic = self.topic(topic);
        // Whoever acknowledges a record says that its topic is there.
        topic.exists = Exists::Yes;
        let before = topic.acknowledged.insert(sent.offset, value);
        assert_eq!(before, None, "offset {} was given away twice", sent.offset);
        Ok(())
    }

    /// Appends to a topic unless it is known to be gone.
    pub(crate) fn append_if_there(&mut self, engine: &Engine, topic: &'static str) -> Result<()> {
        if self.topic(topic).exists == Exists::No { Ok(()) } else { self.append(engine, topic, 1, 10) }
    }

    pub(crate) fn create(&mut self, engine: &Engine, name: &'static str, durability: &str) -> Result<()> {
        let topic = self.topic(name);
        // Where one may be there, it may be that one afterwards, or a new one, until the outcome tells.
        let before = topic.acknowledged.clone();
        if topic.exists != Exists::Yes {
            topic.exists = Exists::Maybe;
            topic.acknowledged.clear();
        }
        topic.is_os = durability == "os";
        let new = NewTopic::named(name)
            .config("segment.ms", "1000")
            .config("retention.bytes", "250")
            .config("file.delete.delay.ms", "0")
            .config("klog.durability", durability);
        let result = engine.admin().create_topic(&new).map(drop);
        let topic = self.topic(name);
        match result {
            Ok(()) => *topic = Topic { is_os: topic.is_os, exists: Exists::Yes, ..Topic::default() },
            // An earlier attempt, which failed, had made it; or one to delete it, which failed, may not have.
            Err(error) if error.code() == ErrorCode::TopicAlreadyExists => topic.acknowledged = before,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, engine: &Engine, name: &'static str) -> Result<()> {
        self.topic(name).exists = Exists::Maybe;
        match engine.admin().delete_topic(name) {
            Err(error) if error.code() == ErrorCode::UnknownTopicOrPartition => {}
            result => result?,
        }
        *self.topic(name) = Topic::default();
        Ok(())
    }

    pub(crate) fn alter(&mut self, engine: &Engine, name: &'static str, limit: &str) -> Result<()> {
        let limit = Some(limit.to_owned());
        self.topic(name).limits.insert(limit.clone());
        engine.admin().alter_configs(
            &ConfigResource::Topic(name.to_owned()),
            &BTreeMap::from([("max.message.bytes".to_owned(), limit.clone())]),
        )?;
        self.topic(name).limits = BTreeSet::from([limit]);
        Ok(())
    }

    pub(crate) fn delete_records(&mut self, engine: &Engine, name: &'static str, before: i64) -> Result<()> {
        let topic = self.topic(name);
        topic.deleted_below = topic.deleted_below.max(before);
        engine.admin().delete_records(name, 0, Some(before)).map(drop)
    }

    pub(crate) fn retention(&mut self, engine: &Engine) -> Result<()> {
        for topic in self.topics.values_mut() {
            // It may go as far as this for some of them, whatever comes then.
            let end = topic.acknowledged.keys().next_back().copied().unwrap_or(0);
            topic.deleted_below = topic.deleted_below.max(end);
        }
        engine.admin().delete_old_segments()?;
        for (name, topic) in self.topics.iter_mut().filter(|(_, topic)| topic.exists == Exists::Yes) {
            topic.deleted_below = engine.admin().describe_topic(name)?.partitions[0].log_start_offset;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self, engine: &Engine) -> Result<()> {
        engine.flush()?;
        self.all_is_durable();
        Ok(())
    }

    pub(crate) fn close(&mut self, engine: &Engine) -> Result<()> {
        engine.close()?;
        self.all_is_durable();
        Ok(())
    }

    fn all_is_durable(&mut self) {
        for topic in self.topics.values_mut() {
            topic.durable_below = topic.acknowledged.keys().next_back().map_or(0, |last| last + 1);
        }
    }

    /// What a power cut leaves of the promises: records that were acknowledged when they were written, and not flushed
    /// since, may be gone.
    pub(crate) fn after_power_cut(&self) -> Promises {
        let mut left = self.clone();
        for topic in left.topics.values_mut().filter(|topic| topic.is_os) {
            topic.acknowledged.split_off(&topic.durable_below);
        }
        left
    }

    /// Runs a step; a failure is kept.
    pub(crate) fn attempt(&mut self, engine: &Engine, step: &Step) -> Result<()> {
        let result = (step.run)(self, engine);
        if let Err(error) = &result {
            self.fail(step.name, error.clone());
        }
        result
    }

    /// Keeps the failure of a step. It must be an error of the disk, or follow from an earlier one.
    pub(crate) fn fail(&mut self, step: &'static str, error: Error) {
        let disk = [ErrorCode::KafkaStorageError, ErrorCode::DiskFull];
        // An earlier step did not make the topic, or deleted it all the same, or did not append to it.
        let follows = [ErrorCode::UnknownTopicOrPartition, ErrorCode::OffsetOutOfRange];
        let is_first = self.failures.is_empty() && self.deaths == 0;
        let is_allowed = disk.contains(&error.code()) || !is_first && follows.contains(&error.code());
        assert!(is_allowed, "{step}: {:?}: {error}", error.code());
        self.failures.push((step, error));
    }
}
