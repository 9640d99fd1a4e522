//! Directories of a broker that was killed: klog recovers to the log that Kafka recovered to.

use std::fs;
use std::path::Path;

use klog::log::{ProducerState, parse_snapshot};
use klog::{Engine, IsolationLevel, Mode, OpenOptions};
use klog_tests::golden::{Golden, fingerprints, unpack};
use serde_json::Value;

use crate::reading::{assert_record, expected_records, ranges, read_all, to_ranges};

/// Base offsets and sizes of the segments in a partition's directory.
fn segments(dir: &Path) -> Vec<(i64, u64)> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let base = entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok()?;
            Some((base, entry.metadata().unwrap().len()))
        })
        .collect();
    found.sort_unstable();
    found
}

fn snapshots(dir: &Path) -> Vec<(String, ProducerState)> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "snapshot"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, parse_snapshot(&fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn assert_same_producers(what: &str, state: &ProducerState, expected: &Value) {
    let expected = expected["producers"].as_array().unwrap();
    assert_eq!(state.iter().count(), expected.len(), "{what}: producers");
    for wanted in expected {
        let field = |name: &str| wanted[name].as_i64().unwrap();
        let (_, entry) = state.iter().find(|(id, _)| id.0 == field("producer_id")).unwrap();
        let last = entry.batches.back();
        let found = [
            i64::from(entry.epoch),
            last.map_or(-1, |batch| i64::from(batch.last_sequence)),
            last.map_or(-1, |batch| batch.last_offset.0),
            last.map_or(0, |batch| i64::from(batch.offset_delta)),
            entry.last_timestamp.0,
            i64::from(entry.coordinator_epoch),
            entry.transaction_start.map_or(-1, |offset| offset.0),
        ];
        let names = [
            "producer_epoch",
            "last_sequence",
            "last_offset",
            "offset_delta",
            "timestamp",
            "coordinator_epoch",
            "current_txn_first_offset",
        ];
        assert_eq!(found, names.map(field), "{what}: producer {}", field("producer_id"));
    }
}

/// Log end, last stable offset, what both kinds of readers get, and the records themselves.
fn assert_recovered(golden: &Golden, engine: &Engine, case: &str) {
    let admin = engine.admin();
    for (name, expected) in golden.expected["after_broker_recovery"]["partitions"].as_object().unwrap() {
        let what = format!("{case}: {name}");
        let (topic, partition) = name.rsplit_once('-').unwrap();
        let partition: i32 = partition.parse().unwrap();
        let described = admin.describe_topic(topic).unwrap();
        let found = &described.partitions[partition as usize];
        assert_eq!(Some(found.log_end_offset), expected["log_end_offset"].as_i64(), "{what}: log end offset");
        assert_eq!(Some(found.last_stable_offset), expected["last_stable_offset"].as_i64(), "{what}: last stable");
        let uncommitted = &expected["read_uncommitted"];
        assert_eq!(Some(found.log_start_offset), uncommitted["log_start_offset"].as_i64(), "{what}: log start");
        assert_eq!(Some(found.high_watermark), uncommitted["high_watermark"].as_i64(), "{what}: high watermark");

        // The variants list the batches only where they differ from the directory that they were made from.
        let original = unpack("crash");
        let is_same = |value: &&Value| value["topic"] == topic && value["partition"] == partition;
        let as_left = original.expected["partitions"].as_array().unwrap().iter().find(is_same).unwrap();
        let records = expected_records(as_left);
        for (isolation, expected) in [
            (IsolationLevel::ReadUncommitted, uncommitted),
            (IsolationLevel::ReadCommitted, &expected["read_committed"]),
        ] {
            let mut offsets = Vec::new();
            read_all(engine, topic, partition, isolation, |record| {
                assert_record(&what, &record, &records);
                offsets.push(record.offset());
            });
            assert_eq!(to_ranges(&offsets), ranges(&expected["offsets"]), "{what}: {isolation:?}");
            assert_eq!(Some(offsets.len() as u64), expected["records"].as_u64(), "{what}: {isolation:?}");
        }
    }
}

fn recovers(case: &str) {
    let golden = unpack(case);
    let untouched = unpack(case);

    // A reader sees the recovered log, without changing anything.
    let before = fingerprints(&golden.path, true);
    let reader = OpenOptions::new().mode(Mode::ReadOnly).open(&golden.path).unwrap();
    assert_recovered(&golden, &reader, case);
    reader.close().unwrap();
    assert!(before == fingerprints(&golden.path, true), "{case}: reading changed something");

    let engine = OpenOptions::new().mode(Mode::ReadWrite).open(&golden.path).unwrap();
    assert_recovered(&golden, &engine, case);
    for (name, expected) in golden.expected["after_broker_recovery"]["partitions"].as_object().unwrap() {
        let dir = golden.path.join(name);
        let wanted: Vec<(i64, u64)> = serde_json::from_value(expected["segments"].clone()).unwrap();
        assert_eq!(segments(&dir), wanted, "{case}: segments of {name}");
        let wanted = expected["producer_snapshots"].as_object().unwrap();
        let found = snapshots(&dir);
        let names: Vec<_> = found.iter().map(|(name, _)| name).collect();
        assert_eq!(names, wanted.keys().collect::<Vec<_>>(), "{case}: snapshots of {name}");
        for (file, state) in &found {
            assert_same_producers(&format!("{case}: {name}/{file}"), state, &wanted[file]);
        }
    }

    // What was cut is beside the log, byte for byte, and is told of.
    let report = engine.report().unwrap();
    let mut cuts = 0;
    for cut in &report.cuts {
        let kept = fs::read(golden.path.join(cut.kept_in.as_ref().unwrap())).unwrap();
        let original = fs::read(untouched.path.join(&cut.file)).unwrap();
        assert_eq!(kept, original[cut.position as usize..], "{case}: {cut}");
        assert_eq!(kept.len() as u64, cut.bytes, "{case}: {cut}");
        cuts += kept.len();
    }
    let change = &golden.expected["change_made"];
    let valid = golden.expected["after_broker_recovery"]["partitions"]["load-0"]["segments"][0][1].as_u64().unwrap();
    let len = fs::metadata(untouched.path.join("load-0/00000000000000000000.log")).unwrap().len();
    assert_eq!(cuts as u64, len - valid, "{case}: {change}");
    engine.close().unwrap();

    // A second opening finds nothing to do.
    let engine = OpenOptions::new().mode(Mode::ReadWrite).open(&golden.path).unwrap();
    assert!(engine.report().unwrap().cuts.is_empty(), "{case}: cut again");
    assert_recovered(&golden, &engine, case);
    engine.close().unwrap();
}

#[test]
fn a_killed_brokers_directory_recovers_as_kafka_recovered_it() {
    recovers("crash");
}

#[test]
fn a_torn_batch_is_cut_as_kafka_cut_it() {
    recovers("crash-torn");
}

#[test]
fn a_flipped_bit_in_the_unflushed_tail_is_cut_as_kafka_cut_it() {
    recovers("crash-bitflip");
}

#[test]
fn a_tail_of_zeros_is_cut_as_kafka_cut_it() {
    recovers("crash-zerotail");
}

#[test]
fn missing_indexes_are_rebuilt_as_kafka_rebuilt_them() {
    recovers("crash-noindex");
    // And say the same as those that the segments' neighbours kept.
    let golden = unpack("crash-noindex");
    let kept = unpack("crash");
    for path in [&golden.path, &kept.path] {
        OpenOptions::new().mode(Mode::ReadWrite).open(path).unwrap().close().unwrap();
    }
    for name in ["load-0", "load-seg-0"] {
        for entry in fs::read_dir(kept.path.join(name)).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "index" || extension == "timeindex") {
                let rebuilt = golden.path.join(name).join(file.file_name().unwrap());
                assert_eq!(fs::read(&rebuilt).unwrap(), fs::read(&file).unwrap(), "{}", file.display());
            }
        }
    }
}
