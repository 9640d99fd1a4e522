//! A process that does what its parent says, line by line, and answers each line with one.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use klog::config::TopicConfig;
use klog::log::{Batch, Fresh, Log, LogDir, Opening, Report, Watermark};
use klog::record::{BatchBuilder, BatchOptions};
use klog::shm::{Control, MAPPED_BYTES, Member, Role, Visitor};
use klog::sys::points::{self, Point};
use klog::sys::{Disk, LockFile, LockKind, Locks, Open, Sys};
use klog::{
    ConfigResource, Engine, Error, LeaderEpoch, NewTopic, Offset, ProducerConfig, ProducerRecord, Result, Start,
    TimestampMs, TopicPartition, Uuid,
};

use crate::{Options, tell};

struct Servant<'a> {
    dir: &'a Path,
    options: &'a Options,
    engine: Option<Engine>,
}

pub(crate) fn obey(dir: &Path, options: &Options) {
    options.arm();
    let mut servant = Servant { dir, options, engine: None };
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match servant.perform(&words) {
            Ok(answer) => tell(&format!("ok {answer}")),
            Err(error) => tell(&format!("{} {}", error.code().name(), error.message().replace('\n', " "))),
        }
    }
}

impl Servant<'_> {
    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it was opened")
    }

    fn perform(&mut self, words: &[&str]) -> Result<String> {
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        match words[0] {
            "open" => self.engine = Some(self.options.open(self.dir)?),
            "close" => self.engine.take().expect("it was opened").close()?,
            "arm" => points::arm(Point::parse(words[1]), number(2) as u32),
            "stop" => points::arm_stop(Point::parse(words[1]), number(2) as u32),
            "create" => {
                let mut topic = NewTopic::named(words[1]).partitions(number(2) as i32);
                for setting in &words[3..] {
                    let (name, value) = setting.split_once('=').unwrap();
                    topic = topic.config(name, value);
                }
                self.engine().admin().create_topic(&topic)?;
            }
            "delete" => self.engine().admin().delete_topic(words[1])?,
            "alter" => {
                let change = BTreeMap::from([(words[2].to_owned(), Some(words[3].to_owned()))]);
                self.engine().admin().alter_configs(&ConfigResource::Topic(words[1].to_owned()), &change)?;
            }
            "topics" => {
                let topics = self.engine().admin().list_topics()?;
                return Ok(topics.into_iter().map(|topic| topic.name).collect::<Vec<_>>().join(" "));
            }
            // topic, partition, first number, how many: each a batch of its own
            "append" => return self.append(words[1], number(2) as i32, number(3)..number(3) + number(4), "all"),
            "append-unflushed" => {
                return self.append(words[1], number(2) as i32, number(3)..number(3) + number(4), "1");
            }
            "trim" => {
                let start = self.engine().admin().delete_records(words[1], number(2) as i32, Some(number(3)))?;
                return Ok(start.to_string());
            }
            "clean" => return Ok(self.engine().admin().delete_old_segments()?.to_string()),
            "flush" => self.engine().flush()?,
            "read" => return self.read(words[1], number(2) as i32),
            "await" => return self.wait_for(words[1], number(2) as i32, number(3)),
            "truncate" => return self.truncate(words[1], number(2) as i32, number(3)),
            other => panic!("{other} is not known"),
        }
        Ok(String::new())
    }

    fn append(&self, topic: &str, partition: i32, numbers: std::ops::Range<i64>, acks: &str) -> Result<String> {
        let mut config = ProducerConfig::default();
        config.set("acks", acks)?;
        let producer = self.engine().producer_with(config)?;
        let mut last = -1;
        for number in numbers {
            let value = number.to_string();
            let record = ProducerRecord {
                topic,
                partition: Some(partition),
                value: Some(value.as_bytes()),
                ..Default::default()
            };
            last = producer.send_record(&record)?.result()?.offset;
        }
        Ok(last.to_string())
    }

    /// All values, with the offset of the first one.
    fn read(&self, topic: &str, partition: i32) -> Result<String> {
        let mut consumer = self.engine().consumer()?;
        consumer.assign(topic, partition, Start::Earliest)?;
        consumer.read_until_now();
        let mut said = String::new();
        while !consumer.is_finished() {
            for record in &consumer.poll(Duration::ZERO)? {
                let before = if said.is_empty() { format!("{}:", record.offset()) } else { " ".to_owned() };
                said.push_str(&before);
                said += std::str::from_utf8(record.value().unwrap()).unwrap();
            }
        }
        Ok(said)
    }

    /// Waits until a consumer has got the record at `offset`.
    fn wait_for(&self, topic: &str, partition: i32, offset: i64) -> Result<String> {
        let mut consumer = self.engine().consumer()?;
        consumer.assign(topic, partition, Start::Offset(offset))?;
        let batch = consumer.poll(Duration::from_secs(20))?;
        let first = batch.get(0).map(|record| std::str::from_utf8(record.value().unwrap()).unwrap().to_owned());
        Ok(first.unwrap_or_else(|| "nothing".into()))
    }

    /// Does what a follower does whose leader has another history: there is no public verb for it yet. Appends three batches
    /// that nobody sees, and cuts the log to where it ended.
    fn truncate(&self, topic: &str, partition: i32, to: i64) -> Result<String> {
        let sys = Sys::real();
        let error = |e| Error::io("attaching", e);
        let memory = sys.disk.share(&self.dir.join(".klog.shm"), Open::ReadWrite, MAPPED_BYTES).map_err(error)?;
        let file = LockFile::open(|| sys.disk.open(&self.dir.join(".klog.lck"), Open::ReadWrite)).map_err(error)?;
        assert!(file.try_lock(Role::Member.range(), LockKind::Shared).unwrap());
        let patience = Duration::from_secs(10);
        let member = Member::enter(&sys, Control::new(memory), file, &Visitor::default(), patience, false)?;
        let mut report = Report::default();
        let dir = Arc::new(LogDir::open_to_write(&sys, self.dir, Arc::new(member), Fresh::No, &mut report)?);
        let id: Uuid = self.engine().admin().describe_topic(topic)?.id;
        let opening = Opening { leader_epoch: LeaderEpoch(0), watermark: Watermark::LogEnd, topic_id: id };
        let config = Arc::new(TopicConfig { klog_durability: klog::Durability::Fsync, ..TopicConfig::default() });
        let log = Log::open(&dir, TopicPartition::new(topic, partition), config, opening, &mut report)?;
        assert_eq!(log.block().log_end(), Offset(to));
        for _ in 0..3 {
            let mut builder = BatchBuilder::with_capacity(100);
            builder.push(TimestampMs(0), None, Some(b"another history"), &[]);
            let mut bytes = builder.finish(&BatchOptions::default()).unwrap();
            log.append(Batch::Encoded(&mut bytes))?;
        }
        log.truncate_to(Offset(to))?;
        Ok(log.block().log_end().to_string())
    }
}
