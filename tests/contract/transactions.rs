//! Clause 4: offsets and transactions. klog writes neither yet; what another program decided stays decided.

use std::path::Path;
use std::time::Duration;

use klog::sys::{SimClock, SimDisk};
use klog::{ConsumerConfig, Engine, ErrorCode, IsolationLevel, ProducerConfig, ProducerRecord, Start, TimestampMs};
use klog_tests::golden::unpack;
use serde_json::Value;

use crate::lab::{DIR, Lab, NOW, die, open, producer};

fn copy(from: &Path, disk: &SimDisk, to: &Path) {
    disk.put_dir(to);
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), disk, &to);
        } else {
            disk.put(&to, std::fs::read(entry.path()).unwrap());
        }
    }
}

fn committed(engine: &Engine, topic: &str, partition: i32) -> Vec<i64> {
    let config = ConsumerConfig { isolation_level: IsolationLevel::ReadCommitted, ..ConsumerConfig::default() };
    let mut consumer = engine.consumer_with(config).unwrap();
    consumer.assign(topic, partition, Start::Earliest).unwrap();
    let mut offsets = Vec::new();
    loop {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        if batch.is_empty() {
            return offsets;
        }
        offsets.extend(batch.iter().map(|record| record.offset()));
    }
}

/// A Kafka broker's transactions: committed, aborted, open. klog appends behind them, dies, and is cut off from its power.
#[test]
fn contract_04_transactions_stay_decided_as_they_were() {
    let golden = unpack("transactions");
    let clock = SimClock::new(TimestampMs(NOW));
    let disk = SimDisk::new(clock.clone());
    copy(&golden.path, &disk, Path::new(DIR));
    let partitions: Vec<&Value> = golden.expected["partitions"].as_array().unwrap().iter().collect();
    let users: Vec<(&str, i32, Vec<i64>, i64)> = partitions
        .into_iter()
        .filter(|partition| !partition["topic"].as_str().unwrap().starts_with("__"))
        .map(|partition| {
            let run = |pair: &Value| pair[0].as_i64().unwrap()..=pair[1].as_i64().unwrap();
            let offsets = partition["read_committed_offsets"].as_array().unwrap().iter().flat_map(run).collect();
            let number = partition["partition"].as_i64().unwrap() as i32;
            (partition["topic"].as_str().unwrap(), number, offsets, partition["log_end_offset"].as_i64().unwrap())
        })
        .collect();
    let check = |engine: &Engine| {
        for (topic, partition, expected, end) in &users {
            let found: Vec<_> =
                committed(engine, topic, *partition).into_iter().filter(|offset| offset < end).collect();
            assert_eq!(&found, expected, "{topic}-{partition}");
        }
    };
    let lab = Lab::of(disk, clock);
    let engine = lab.open();
    check(&engine);
    for (topic, partition, _, end) in &users {
        let record =
            ProducerRecord { topic, partition: Some(*partition), value: Some(b"mine"), ..ProducerRecord::default() };
        let sent = producer(&engine, &[]).send_record(&record).unwrap().result().unwrap();
        assert_eq!(sent.offset, *end);
    }
    check(&engine);
    check(&open(&lab.after_kill()));
    die(engine);
    // Each state is a directory of more than a hundred partitions: a few of them.
    let mut number = 0;
    lab.cut_everywhere("transactions", |disk, _| {
        number += 1;
        if number % 40 == 1 {
            check(&open(disk));
        }
    });
}

/// When they come, offsets and transactions are written with the settings of `acks=all`, and a transaction is decided by its
/// marker. Until then they are refused, and not done by halves.
#[test]
fn contract_04_what_is_not_there_yet_says_so() {
    let engine = Engine::memory().unwrap();
    let producer = ProducerConfig { transactional_id: "me".into(), ..ProducerConfig::default() };
    assert_eq!(engine.producer_with(producer).unwrap_err().code(), ErrorCode::Unsupported);
    let consumer = ConsumerConfig { group_id: "us".into(), ..ConsumerConfig::default() };
    assert_eq!(engine.consumer_with(consumer).unwrap_err().code(), ErrorCode::Unsupported);
}
