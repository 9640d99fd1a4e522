//! Every record of every golden directory, read back exactly, without changing a byte or a time of any file.

use klog::{Admin, Engine, IsolationLevel, Mode, OpenOptions};
use klog_tests::golden::{fingerprints, unpack};
use serde_json::Value;

use crate::reading::{assert_record, expected_records, ranges, read_all, to_ranges};

fn check_partition(engine: &Engine, admin: &Admin, expected: &Value, case: &str) -> usize {
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
    let records = expected_records(expected);
    let mut offsets = Vec::new();
    read_all(engine, topic, partition, IsolationLevel::ReadUncommitted, |record| {
        let offset = record.offset();
        assert_record(&what, &record, &records);
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
            records += check_partition(&engine, &admin, expected, case);
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
