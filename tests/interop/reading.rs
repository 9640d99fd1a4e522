//! Reading a golden directory and comparing what comes.

use std::collections::BTreeMap;
use std::time::Duration;

use klog::{ConsumerConfig, Engine, IsolationLevel, Start};
use klog_tests::golden::same_bytes;
use serde_json::Value;

/// First and last offsets of runs without a gap.
pub(crate) type Ranges = Vec<(i64, i64)>;

pub(crate) fn ranges(value: &Value) -> Ranges {
    let pair = |pair: &Value| (pair[0].as_i64().unwrap(), pair[1].as_i64().unwrap());
    value.as_array().unwrap().iter().map(pair).collect()
}

/// Records by offset, as the JSON has them, of all batches that readers get.
pub(crate) fn expected_records(partition: &Value) -> BTreeMap<i64, (&Value, &Value)> {
    let start = partition["log_start_offset"].as_i64().unwrap();
    let mut records = BTreeMap::new();
    for batch in partition["batches"].as_array().unwrap().iter().filter(|batch| batch["control"] != true) {
        for record in batch["records"].as_array().unwrap() {
            let offset = record["offset"].as_i64().unwrap();
            if offset >= start {
                records.insert(offset, (batch, record));
            }
        }
    }
    records
}

/// Hands every visible record to `each`.
pub(crate) fn read_all(
    engine: &Engine,
    topic: &str,
    partition: i32,
    isolation: IsolationLevel,
    mut each: impl FnMut(klog::Record<'_>),
) {
    let config = ConsumerConfig { isolation_level: isolation, ..ConsumerConfig::default() };
    let mut consumer = engine.consumer_with(config).unwrap();
    consumer.assign(topic, partition, Start::Earliest).unwrap();
    consumer.read_until_now();
    loop {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        if batch.is_empty() {
            assert!(
                consumer.is_finished(),
                "{topic}-{partition} stopped at {}",
                consumer.position(topic, partition).unwrap()
            );
            return;
        }
        batch.iter().for_each(&mut each);
    }
}

pub(crate) fn to_ranges(offsets: &[i64]) -> Ranges {
    let mut ranges: Ranges = Vec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *offset => *last = *offset,
            _ => ranges.push((*offset, *offset)),
        }
    }
    ranges
}

/// Compares a record with the one at its offset.
pub(crate) fn assert_record(what: &str, record: &klog::Record<'_>, records: &BTreeMap<i64, (&Value, &Value)>) {
    let offset = record.offset();
    let (batch, expected) = records.get(&offset).unwrap_or_else(|| panic!("{what}: offset {offset} is not expected"));
    assert_eq!(Some(record.timestamp()), expected["timestamp"].as_i64(), "{what}: timestamp at {offset}");
    assert!(same_bytes(&expected["key"], record.key()), "{what}: key at {offset}");
    assert!(same_bytes(&expected["value"], record.value()), "{what}: value at {offset}");
    let headers: Vec<_> = record.headers().collect();
    let wanted = expected["headers"].as_array().unwrap();
    assert_eq!(headers.len(), wanted.len(), "{what}: headers at {offset}");
    for ((name, value), wanted) in headers.iter().zip(wanted) {
        assert_eq!(Some(*name), wanted[0].as_str(), "{what}: header name at {offset}");
        assert!(same_bytes(&wanted[1], *value), "{what}: header {name} at {offset}");
    }
    assert_eq!(Some(i64::from(record.leader_epoch())), batch["leader_epoch"].as_i64(), "{what}: epoch at {offset}");
}
