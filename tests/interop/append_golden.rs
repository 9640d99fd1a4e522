//! Directories of real brokers, opened for writing: appended to, and nothing else happens to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klog::sys::{AnyClock, AnyWait, SimClock, SimWait, Sys};
use klog::types::TimestampMs;
use klog::{Engine, IsolationLevel, Mode, OpenOptions, ProducerRecord};
use klog_tests::golden::unpack;

use crate::reading::{assert_record, expected_records, ranges, read_all, to_ranges};

const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// This machine with another clock, for one thread.
pub(crate) fn a_year_ahead() -> Sys {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + YEAR;
    let clock = SimClock::new(TimestampMs(now.as_millis() as i64));
    Sys { clock: AnyClock::Simulated(clock.clone()), wait: AnyWait::Simulated(SimWait::new(clock)), ..Sys::real() }
}

/// The content of all segments.
pub(crate) fn segments(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_partition = path.is_dir() && !path.to_str().unwrap().contains("__cluster_metadata");
        for file in is_partition.then(|| fs::read_dir(&path).unwrap()).into_iter().flatten() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "log") {
                found.insert(file.clone(), fs::read(&file).unwrap());
            }
        }
    }
    found
}

fn open(path: &Path, others: &[i32]) -> Engine {
    let options = OpenOptions::new().mode(Mode::ReadWrite).assume_lost(others.iter().copied());
    options.set("threads", "off").unwrap().system(a_year_ahead()).open(path).unwrap()
}

fn appends(case: &str, others: &[i32]) {
    let golden = unpack(case);
    let before = segments(&golden.path);
    let engine = open(&golden.path, others);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0, "{case}: segments were deleted");

    let producer = engine.producer().unwrap();
    let mut appended = Vec::new();
    for topic in engine.admin().list_topics().unwrap().into_iter().filter(|topic| !topic.is_internal) {
        for partition in 0..topic.partitions {
            let value = format!("klog was here: {}-{partition}", topic.name);
            let record = ProducerRecord {
                topic: &topic.name,
                partition: Some(partition),
                key: Some(b"klog"),
                value: Some(value.as_bytes()),
                headers: &[("from", Some(b"klog")), ("none", None)],
                ..ProducerRecord::default()
            };
            let sent = producer.send_record(&record).unwrap().result();
            let sent = sent.unwrap_or_else(|error| panic!("{case}: {}-{partition}: {error}", topic.name));
            appended.push((topic.name.clone(), partition, sent.offset, value));
        }
    }
    assert!(!appended.is_empty());
    engine.close().unwrap();

    // Every byte that was there is there.
    let after = segments(&golden.path);
    for (path, before) in &before {
        assert!(after[path].starts_with(before), "{case}: {} changed", path.display());
    }

    let engine = open(&golden.path, others);
    for (topic, partition, offset, value) in appended {
        let what = format!("{case}: {topic}-{partition}");
        let is_same = |p: &&serde_json::Value| p["topic"] == *topic && p["partition"] == partition;
        let expected = golden.expected["partitions"].as_array().unwrap().iter().find(is_same).unwrap();
        assert_eq!(Some(offset), expected["log_end_offset"].as_i64(), "{what}");
        let records = expected_records(expected);
        let mut seen = Vec::new();
        read_all(&engine, &topic, partition, IsolationLevel::ReadUncommitted, |record| {
            if record.offset() == offset {
                assert_eq!(record.value(), Some(value.as_bytes()), "{what}");
                assert_eq!(record.headers().count(), 2, "{what}");
            } else {
                assert_record(&what, &record, &records);
                seen.push(record.offset());
            }
        });
        assert_eq!(to_ranges(&seen), ranges(&expected["read_uncommitted_offsets"]), "{what}");
    }
    let report = engine.admin().verify(None).unwrap();
    assert!(report.is_empty(), "{case}: {report:?}");
    engine.close().unwrap();
}

macro_rules! cases {
    ($($test:ident $case:literal $others:expr;)*) => { $(
        #[test]
        fn $test() {
            appends($case, &$others);
        }
    )* };
}

cases! {
    basic_is_appended_to "basic" [];
    codecs_is_appended_to "codecs" [];
    segments_is_appended_to "segments" [];
    compaction_is_appended_to "compaction" [];
    transactions_is_appended_to "transactions" [];
    groups_is_appended_to "groups" [];
    epochs_of_node_1_is_appended_to "epochs/1" [2, 3];
    epochs_of_node_2_is_appended_to "epochs/2" [1, 3];
    epochs_of_node_3_is_appended_to "epochs/3" [1, 2];
}

#[test]
fn a_directory_of_the_zookeeper_era_is_for_reading_only() {
    let golden = unpack("seed-era");
    let before = segments(&golden.path);
    let error = OpenOptions::new().mode(Mode::ReadWrite).open(&golden.path).unwrap_err();
    assert!(error.message().contains("reading"), "{error}");
    assert!(before == segments(&golden.path));
}

#[test]
fn a_node_of_several_is_not_written_while_the_others_may_live() {
    let golden = unpack("epochs/1");
    let before = segments(&golden.path);
    let error = OpenOptions::new().mode(Mode::ReadWrite).open(&golden.path).unwrap_err();
    assert!(error.message().contains("brokers 2") && error.message().contains("reading"), "{error}");
    assert!(before == segments(&golden.path));
}
