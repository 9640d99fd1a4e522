//! Transactions that somebody else wrote: what each isolation level shows of them.

use std::collections::BTreeMap;

use klog::{Engine, Mode, OffsetSpec, OpenOptions, Start};
use klog_tests::golden::{Golden, same_bytes, unpack};
use serde_json::Value;

use crate::steps::{consumer, producer};

/// First and last offsets of runs, spelled out.
fn offsets_of(ranges: &Value) -> Vec<i64> {
    let run = |pair: &Value| pair[0].as_i64().unwrap()..=pair[1].as_i64().unwrap();
    ranges.as_array().unwrap().iter().flat_map(run).collect()
}

/// Offsets that a consumer of this isolation level gets, and the positions where it ends.
fn read(engine: &Engine, topic: &str, partition: i32, isolation: &str) -> (Vec<i64>, i64) {
    let mut consumer = consumer(engine, &[("isolation.level", isolation)]);
    consumer.assign(topic, partition, Start::Earliest).unwrap();
    let found = crate::steps::drain(&mut consumer).into_iter().map(|(offset, _)| offset).collect();
    (found, consumer.position(topic, partition).unwrap())
}

/// Does `check` for every partition of users' topics.
fn each_partition(golden: &Golden, mut check: impl FnMut(&str, i32, &Value)) -> usize {
    let partitions = golden.expected["partitions"].as_array().unwrap();
    let users = partitions.iter().filter(|partition| !partition["topic"].as_str().unwrap().starts_with("__"));
    let mut count = 0;
    for partition in users {
        check(partition["topic"].as_str().unwrap(), partition["partition"].as_i64().unwrap() as i32, partition);
        count += 1;
    }
    count
}

#[test]
fn each_level_shows_what_kafkas_consumer_showed() {
    let golden = unpack("transactions");
    let engine = OpenOptions::new().mode(Mode::ReadOnly).open(&golden.path).unwrap();
    let mut hidden = 0;
    let checked = each_partition(&golden, |topic, partition, expected| {
        let all = read(&engine, topic, partition, "read_uncommitted");
        let committed = read(&engine, topic, partition, "read_committed");
        assert_eq!(all.0, offsets_of(&expected["read_uncommitted_offsets"]), "{topic}-{partition}");
        assert_eq!(committed.0, offsets_of(&expected["read_committed_offsets"]), "{topic}-{partition}");
        assert_eq!(Some(all.1), expected["high_watermark"].as_i64(), "{topic}-{partition}: it steps over markers");
        assert_eq!(Some(committed.1), expected["last_stable_offset"].as_i64(), "{topic}-{partition}");
        hidden += all.0.len() - committed.0.len();
    });
    println!("{checked} partitions, {hidden} records of aborted and open transactions");
    assert!(checked > 0 && hidden > 0);
}

#[test]
fn the_latest_committed_offset_is_the_last_stable_one() {
    let golden = unpack("transactions");
    let engine = OpenOptions::new().mode(Mode::ReadOnly).open(&golden.path).unwrap();
    let mut behind = 0;
    each_partition(&golden, |topic, partition, expected| {
        for (isolation, offset) in [("read_uncommitted", "high_watermark"), ("read_committed", "last_stable_offset")] {
            let mut consumer = consumer(&engine, &[("isolation.level", isolation)]);
            consumer.assign(topic, partition, Start::Latest).unwrap();
            assert_eq!(Some(consumer.position(topic, partition).unwrap()), expected[offset].as_i64());
        }
        let latest = engine.admin().list_offset(topic, partition, OffsetSpec::Latest).unwrap();
        assert_eq!(Some(latest.offset), expected["high_watermark"].as_i64());
        behind += usize::from(expected["high_watermark"] != expected["last_stable_offset"]);
    });
    assert!(behind > 0, "a transaction is open in the golden directory");
}

#[test]
fn reading_may_begin_within_an_aborted_transaction() {
    let golden = unpack("transactions");
    let engine = OpenOptions::new().mode(Mode::ReadOnly).open(&golden.path).unwrap();
    each_partition(&golden, |topic, partition, expected| {
        let committed = offsets_of(&expected["read_committed_offsets"]);
        for from in 0..=expected["last_stable_offset"].as_i64().unwrap() {
            let mut consumer = consumer(&engine, &[("isolation.level", "read_committed")]);
            consumer.assign(topic, partition, Start::Offset(from)).unwrap();
            let found: Vec<_> = crate::steps::drain(&mut consumer).into_iter().map(|(offset, _)| offset).collect();
            let expected: Vec<_> = committed.iter().copied().filter(|offset| *offset >= from).collect();
            assert_eq!(found, expected, "{topic}-{partition} from {from}");
        }
    });
}

#[test]
fn what_is_appended_behind_an_open_transaction_waits_for_it() {
    let golden = unpack("transactions");
    let engine = OpenOptions::new().set("threads", "off").unwrap().open(&golden.path).unwrap();
    let mut waiting = 0;
    each_partition(&golden, |topic, partition, expected| {
        let before = read(&engine, topic, partition, "read_committed");
        let record = klog::ProducerRecord {
            topic,
            partition: Some(partition),
            value: Some(b"mine"),
            ..klog::ProducerRecord::default()
        };
        let sent = producer(&engine, &[]).send_record(&record).unwrap().result().unwrap();
        assert_eq!(Some(sent.offset), expected["log_end_offset"].as_i64());
        assert_eq!(read(&engine, topic, partition, "read_uncommitted").0.last(), Some(&sent.offset));
        let after = read(&engine, topic, partition, "read_committed");
        if expected["open_transactions"].as_array().is_some_and(|open| !open.is_empty()) {
            assert_eq!(after, before, "{topic}-{partition}: it stands behind an open transaction");
            waiting += 1;
        } else {
            assert_eq!(after.0.last(), Some(&sent.offset), "{topic}-{partition}");
        }
    });
    assert!(waiting > 0, "a transaction is open in the golden directory");
}

#[test]
fn committed_records_have_the_values_that_were_sent() {
    let golden = unpack("transactions");
    let engine = OpenOptions::new().mode(Mode::ReadOnly).open(&golden.path).unwrap();
    let mut compared = 0;
    each_partition(&golden, |topic, partition, expected| {
        let batches = expected["batches"].as_array().unwrap().iter();
        let records = batches.flat_map(|batch| batch["records"].as_array().unwrap());
        let by_offset: BTreeMap<i64, &Value> =
            records.map(|record| (record["offset"].as_i64().unwrap(), record)).collect();
        let mut consumer = consumer(&engine, &[("isolation.level", "read_committed")]);
        consumer.assign(topic, partition, Start::Earliest).unwrap();
        loop {
            let batch = consumer.poll(std::time::Duration::ZERO).unwrap();
            if batch.is_empty() {
                break;
            }
            for record in &batch {
                let expected = by_offset[&record.offset()];
                assert!(same_bytes(&expected["key"], record.key()) && same_bytes(&expected["value"], record.value()));
                assert_eq!(Some(record.timestamp()), expected["timestamp"].as_i64());
                compared += 1;
            }
        }
    });
    assert!(compared > 0);
}

/// Where nobody uses transactions, both levels show the same.
#[test]
fn without_transactions_there_is_no_difference() {
    let engine = Engine::memory().unwrap();
    for value in ["a", "b", "c"] {
        crate::steps::send(&engine, "t", value);
    }
    assert_eq!(read(&engine, "t", 0, "read_committed"), read(&engine, "t", 0, "read_uncommitted"));
}
