//! A log that several have open is cut by one of them, as a follower does whose leader has another history.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use klog::config::TopicConfig;
use klog::log::{Batch, Cursor, Fetch, Fresh, Log, LogDir, Opening, Report, Watermark};
use klog::record::{BatchBuilder, BatchOptions, Records};
use klog::shm::{Control, MAPPED_BYTES, Member, Role, Visitor};
use klog::sys::{Disk, LockFile, LockKind, Locks, Open, Sys};
use klog::{Engine, ErrorCode, LeaderEpoch, NewTopic, Offset, TimestampMs, TopicPartition, Uuid};

const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with an empty topic `t`, and whoever made it.
struct World {
    dir: tempfile::TempDir,
    engine: Engine,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let engine = klog::OpenOptions::new().set("threads", "off").unwrap().open(dir.path()).unwrap();
        engine.admin().create_topic(&NewTopic::named("t")).unwrap();
        World { dir, engine }
    }

    /// The log as another process has it that opens the directory.
    fn open(&self, segment_ms: &str) -> Log {
        let (sys, path): (Sys, &Path) = (Sys::real(), self.dir.path());
        let memory = sys.disk.share(&path.join(".klog.shm"), Open::ReadWrite, MAPPED_BYTES).unwrap();
        let file = LockFile::open(|| sys.disk.open(&path.join(".klog.lck"), Open::ReadWrite)).unwrap();
        assert!(file.try_lock(Role::Member.range(), LockKind::Shared).unwrap());
        let member = Member::enter(&sys, Control::new(memory), file, &Visitor::default(), PATIENCE, false).unwrap();
        let mut report = Report::default();
        let dir = LogDir::open_to_write(&sys, path, Arc::new(member), Fresh::No, &mut report).unwrap();
        let topic_id: Uuid = self.engine.admin().describe_topic("t").unwrap().id;
        let opening = Opening { leader_epoch: LeaderEpoch(0), watermark: Watermark::LogEnd, topic_id };
        let mut config = TopicConfig::default();
        config.set("segment.ms", segment_ms).unwrap();
        Log::open(&Arc::new(dir), TopicPartition::new("t", 0), Arc::new(config), opening, &mut report).unwrap()
    }
}

fn append(log: &Log, value: &str) -> i64 {
    let mut builder = BatchBuilder::with_capacity(100);
    builder.push(TimestampMs(log.block().log_end().0 * 1000), None, Some(value.as_bytes()), &[]);
    let mut bytes = builder.finish(&BatchOptions::default()).unwrap();
    log.append(Batch::Encoded(&mut bytes)).unwrap().base_offset.0
}

fn append_all(log: &Log, values: &[&str]) {
    for value in values {
        append(log, value);
    }
}

/// All values from an offset or a cursor on, as one reads who may read everything, and where that one stands behind them.
fn values_from(log: &Log, from: i64, mut cursor: Option<Cursor>) -> (Vec<String>, Option<Cursor>) {
    let (mut from, bound) = (Offset(from), log.block().log_end());
    let (mut values, mut buffer) = (Vec::new(), Vec::new());
    while from < bound {
        let fetch = Fetch { from, bound, max_bytes: 1 << 20, check_crcs: true, cursor };
        let chunk = log.read(&fetch, &mut buffer).unwrap();
        for (range, header) in &chunk.batches {
            let records = &buffer[range.clone()][klog::record::HEADER_BYTES..];
            for record in Records::new(header, records) {
                values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
            }
        }
        assert!(chunk.next > from, "nothing at {from}, and the log ends at {bound}");
        (from, cursor) = (chunk.next, chunk.cursor);
    }
    (values, cursor)
}

fn values(log: &Log) -> Vec<String> {
    values_from(log, 0, None).0
}

#[test]
fn whoever_has_the_log_open_goes_on_behind_a_truncation() {
    // In one segment, and in one for each batch.
    for segment_ms in ["604800000", "1"] {
        let world = World::new();
        let (cutter, other, reader) = (world.open(segment_ms), world.open(segment_ms), world.open(segment_ms));
        for (offset, value) in ["a", "b", "c", "d"].into_iter().enumerate() {
            assert_eq!(append(&cutter, value), offset as i64);
        }
        // Each has seen everything, and has the files open.
        assert_eq!(append(&other, "e"), 4);
        assert_eq!(values(&reader), ["a", "b", "c", "d", "e"]);
        cutter.truncate_to(Offset(2)).unwrap();
        assert_eq!(values(&reader), ["a", "b"]);
        assert_eq!(append(&other, "f"), 2);
        assert_eq!(append(&cutter, "g"), 3);
        assert_eq!(append(&reader, "h"), 4);
        for log in [&cutter, &other, &reader] {
            assert_eq!(values(log), ["a", "b", "f", "g", "h"]);
            log.flush(Offset(5), None).unwrap();
        }
        assert_eq!(cutter.block().flushed(), Offset(5));
        // What the files say is what everybody says.
        let mut report = Report::default();
        reader.verify(&mut report, &mut |_| {}).unwrap();
        assert!(report.is_empty(), "{report:?}");
        assert_eq!(values(&world.open(segment_ms)), ["a", "b", "f", "g", "h"]);
    }
}

#[test]
fn a_place_in_what_was_cut_is_none_in_what_came_after() {
    let world = World::new();
    let (cutter, reader) = (world.open("604800000"), world.open("604800000"));
    append_all(&cutter, &["a", "b", "c"]);
    let (_, behind) = values_from(&reader, 0, None);
    cutter.truncate_to(Offset(1)).unwrap();
    // Longer, so that the old end lies inside of a batch.
    append_all(&cutter, &["longer than before", "and this", "last"]);
    assert_eq!(values_from(&reader, 3, behind).0, ["last"]);
}

#[test]
fn a_flush_of_what_was_cut_is_refused() {
    let world = World::new();
    let (cutter, other) = (world.open("604800000"), world.open("604800000"));
    append_all(&other, &["a", "b", "c"]);
    cutter.truncate_to(Offset(1)).unwrap();
    assert_eq!(other.flush(Offset(3), None).unwrap_err().code(), ErrorCode::OffsetOutOfRange);
    other.flush(Offset(1), None).unwrap();
}

#[test]
fn what_was_visible_is_never_cut() {
    let world = World::new();
    let (cutter, other) = (world.open("604800000"), world.open("604800000"));
    append_all(&other, &["a", "b", "c"]);
    other.block().raise_high_watermark(Offset(2));
    assert_eq!(cutter.truncate_to(Offset(1)).unwrap_err().code(), ErrorCode::OffsetOutOfRange);
    assert_eq!(values(&other), ["a", "b", "c"]);
    cutter.truncate_to(Offset(2)).unwrap();
    assert_eq!(values(&other), ["a", "b"]);
}
