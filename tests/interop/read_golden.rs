//! Every record of every golden directory, read back exactly, without changing a byte or a time of any file.

use std::collections::BTreeMap;
use std::time::Duration;

use klog::{Admin, ConsumerConfig, Engine, IsolationLevel, Mode, OpenOptions, Start};
use klog_tests::golden::{Golden, fingerprints, same_bytes, unpack};
use serde_json::Value;

type Ranges = Vec<(i64, i64)>;

fn ranges(value: &Value) -> Ranges {
    let pair = |pair: &Value| (pair[0].as_i64().unwrap(), pair[1].as_i64().unwrap());
    value.as_array().unwrap().iter().map(pair).collect()
}

/// Records by offset, as the JSON has them, of all batches that readers get.
fn expected_records<'a>(golden: &'a Golden, partition: &'a Value, case: &str) -> BTreeMap<i64, (&'a Value, &'a Value)> {
    let _ = (golden, case);
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

fn read_all(
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

fn to_ranges(offsets: &[i64]) -> Ranges {
    let mut ranges: Ranges = Vec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *offset => *last = *offset,
            _ => ranges.push((*offset, *offset)),
        }
    }
    ranges
}

fn check_partition(engine: &Engine, admin: &Admin, golden: &Golden, expected: &Value, case: &str) -> usize {
    let topic = expected["topic"].as_str().unwrap();
    let partition = expected["partition"].as_i64().unwrap() as i32;
    let what = format!("{case}: {topic}-{partition}");
    let described = admin.describe_topic(topic).unwrap();
    let found = described.partitions.iter().find(|p| p.partition == partition).unwrap();
    assert_eq!(Some(found.log_start_offset), expected["log_start_offset"].as_i64(), "{what}: log start offset");
    assert_eq!(Some(found.log_end_offset), expected["log_end_offset"].as_i64(), "{what}: log end offset");
    assert_eq!(Some(found.last_stable_offset), expected["last_stable_offset"].as_i64(), "{what}: last stable offset");
    if let Some(high_watermark) = expected["high_watermark"].as_i64() {
        assert_eq!(found.high_watermark, high_watermark, "{what}: high watermark");
    }
    if let Some(id) = expected["topic_id"].as_str() {
        assert_eq!(described.id.to_string(), id, "{what}: topic id");
    }
    let mut offsets = Vec::new();
    let records = expected_records(golden, expected, case);
    read_all(engine, topic, partition, IsolationLevel::ReadUncommitted, |record| {
        let offset = record.offset();
        let (batch, expected) =
            records.get(&offset).unwrap_or_else(|| panic!("{what}: offset {offset} is not expected"));
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
        offsets.push(offset);
    });
    assert_eq!(to_ranges(&offsets), ranges(&expected["read_uncommitted_offsets"]), "{what}: read_uncommitted");
    let mut committed = Vec::new();
    read_all(engine, topic, partition, IsolationLevel::ReadCommitted, |record| {
        committed.push(record.offset());
    });
    assert_eq!(to_ranges(&committed), ranges(&expected["read_committed_offsets"]), "{what}: read_committed");
    offsets.len()
}

fn read_back(case: &str) {
    let golden = unpack(case);
    let before = fingerprints(&golden.path, true);
    let engine = OpenOptions::new().mode(Mode::ReadOnly).open(&golden.path).unwrap();
    let admin = engine.admin();
    let mut records = 0;
    let mut partitions = 0;
    for expected in golden.expected["partitions"].as_array().unwrap() {
        if expected["topic"] != "__cluster_metadata" {
            records += check_partition(&engine, &admin, &golden, expected, case);
            partitions += 1;
        }
    }
    engine.close().unwrap();
    let after = fingerprints(&golden.path, true);
    for (path, before) in &before {
        assert_eq!(Some(before), after.get(path), "{case}: {} changed", path.display());
    }
    assert_eq!(before.len(), after.len(), "{case}: files appeared");
    println!("{case}: {records} records of {partitions} partitions");
    assert!(partitions > 0);
}

macro_rules! cases {
    ($($test:ident $case:literal;)*) => { $(
        #[test]
        fn $test() {
            read_back($case);
        }
    )* };
}

cases! {
    basic_is_read_back_exactly "basic";
    codecs_are_read_back_exactly "codecs";
    segments_are_read_back_exactly "segments";
    compaction_is_read_back_exactly "compaction";
    transactions_are_read_back_exactly "transactions";
    groups_are_read_back_exactly "groups";
    epochs_of_node_1_are_read_back_exactly "epochs/1";
    epochs_of_node_2_are_read_back_exactly "epochs/2";
    epochs_of_node_3_are_read_back_exactly "epochs/3";
    the_zookeeper_era_is_read_back_exactly "seed-era";
}
