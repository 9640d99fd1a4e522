//! A process that does a bit of everything, at random, until it is killed or its input is closed.
//!
//! It says what it tries before it does, and what was acknowledged after.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use klog::sys::SimRandom;
use klog::{ConfigResource, Engine, ErrorCode, NewTopic, Producer, ProducerRecord, Result};

use crate::values::value_of;
use crate::{Options, now_ns, tell};

/// Each has two partitions.
const TOPICS: [&str; 4] = ["durable", "written", "trimmed", "short"];

struct Worker {
    random: SimRandom,
    id: u64,
    engine: Engine,
    producer: Producer,
    /// How many records were sent to each partition.
    sent: BTreeMap<(&'static str, i32), u64>,
    /// Topics of our own that are there, and how many there were.
    made: Vec<String>,
    made_ever: u64,
}

pub(crate) fn work(dir: &Path, options: &Options) {
    options.arm();
    let ending = Arc::new(AtomicBool::new(false));
    let asked = ending.clone();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        asked.store(true, Ordering::SeqCst);
    });
    let engine = options.open(dir).unwrap();
    tell("open");
    let producer = engine.producer().unwrap();
    let random = SimRandom::new(options.number("seed"));
    let id = options.number("id");
    let mut worker = Worker { random, id, engine, producer, sent: BTreeMap::new(), made: Vec::new(), made_ever: 0 };
    while !ending.load(Ordering::SeqCst) {
        worker.step();
        if worker.chance(400) {
            drop(worker.producer);
            worker.engine.close().unwrap();
            tell("closed");
            worker.engine = options.open(dir).unwrap();
            worker.producer = worker.engine.producer().unwrap();
            tell("open");
        }
    }
    worker.engine.close().unwrap();
    tell("closed");
}

impl Worker {
    fn below(&self, bound: u64) -> u64 {
        self.random.next() % bound
    }

    /// One time in so many.
    fn chance(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn step(&mut self) {
        match self.below(150) {
            0 => self.make_topic(),
            1 => self.remove_topic(),
            2 => self.trim(),
            3 => {
                self.engine.admin().delete_old_segments().unwrap();
                tell("cleaned");
            }
            4 => self.share_topic(),
            _ => self.append(),
        }
    }

    fn append(&mut self) {
        let topic = TOPICS[self.below(TOPICS.len() as u64) as usize];
        let partition = self.below(2) as i32;
        let count = 1 + self.below(5);
        let first = *self.sent.entry((topic, partition)).or_default();
        tell(&format!("try {topic} {partition}"));
        let tried = now_ns();
        let send = |sequence: u64| -> Result<klog::Delivery> {
            let value = value_of(self.id, sequence);
            let record = ProducerRecord {
                topic,
                partition: Some(partition),
                value: Some(value.as_bytes()),
                ..Default::default()
            };
            self.producer.send_record(&record)
        };
        let sent: Vec<_> = (first..first + count).map(|sequence| send(sequence).unwrap()).collect();
        let offsets: Vec<_> = sent.iter().map(|delivery| delivery.result().unwrap().offset).collect();
        self.sent.insert((topic, partition), first + count);
        let offsets: Vec<String> = offsets.iter().map(i64::to_string).collect();
        tell(&format!("ack {topic} {partition} {tried} {} {first} {}", now_ns(), offsets.join(" ")));
    }

    /// Deletes what is old in one topic.
    fn trim(&self) {
        let partition = self.below(2) as i32;
        let end = self.engine.admin().describe_topic("trimmed").unwrap().partitions[partition as usize].high_watermark;
        let before = end - (end / 4).min(self.below(20) as i64);
        tell(&format!("trimming {partition} {before}"));
        let start = self.engine.admin().delete_records("trimmed", partition, Some(before)).unwrap();
        assert!(start >= before, "{start} is below {before}");
        tell(&format!("trimmed {partition} {start}"));
    }

    /// A topic that nobody else touches.
    fn make_topic(&mut self) {
        let name = format!("made-{}-{}", self.id, self.made_ever);
        self.made_ever += 1;
        let admin = self.engine.admin();
        admin.create_topic(&NewTopic::named(&name).config("klog.durability", "os")).unwrap();
        tell(&format!("made {name}"));
        tell(&format!("altering {name}"));
        let change = BTreeMap::from([("retention.ms".to_owned(), Some("77".to_owned()))]);
        admin.alter_configs(&ConfigResource::Topic(name.clone()), &change).unwrap();
        tell(&format!("altered {name}"));
        self.made.push(name);
    }

    fn remove_topic(&mut self) {
        let Some(name) = self.made.pop() else { return };
        tell(&format!("deleting {name}"));
        self.engine.admin().delete_topic(&name).unwrap();
        tell(&format!("deleted {name}"));
    }

    /// A topic that everybody makes, writes and deletes.
    fn share_topic(&self) {
        let admin = self.engine.admin();
        let expected = |result: Result<()>| match result {
            Ok(()) => {}
            Err(error) => {
                let known = [ErrorCode::TopicAlreadyExists, ErrorCode::UnknownTopicOrPartition];
                assert!(known.contains(&error.code()), "{error}");
            }
        };
        match self.below(3) {
            0 => expected(admin.create_topic(&NewTopic::named("shared").config("klog.durability", "os")).map(drop)),
            1 => expected(admin.delete_topic("shared")),
            _ => expected(self.producer.send("shared", None, Some(b"shared")).and_then(|sent| sent.result()).map(drop)),
        }
        tell("shared");
    }
}
