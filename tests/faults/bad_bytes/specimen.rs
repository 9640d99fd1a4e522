//! A small directory that has one of every file, and what its files hold.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klog::log::{Batch, CheckpointFile, Fresh, Log, LogDir, Opening, Watermark, parse_offsets};
use klog::record::{
    BatchBuilder, BatchHeader, BatchOptions, Codec, Compression, ControlRecord, Records, end_transaction_marker,
    restamp,
};
use klog::sys::{SimDisk, Sys, read_whole};
use klog::types::{LeaderEpoch, METADATA_TOPIC, ProducerId, Uuid};
use klog::{Engine, NewTopic, Report, TimestampMs, TopicConfig, TopicPartition};

use crate::workload::{DIR, NOW, clock, open};

/// A batch of the topic.
#[derive(Debug)]
pub(crate) struct SpecimenBatch {
    pub(crate) file: PathBuf,
    pub(crate) range: Range<usize>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: BatchHeader,
    /// Offsets and values of its records, if they are for readers.
    pub(crate) records: Vec<(i64, Vec<u8>)>,
    /// Whether it was known to be durable when the directory was left.
    pub(crate) is_vouched_for: bool,
}

/// A directory, and what is in it.
pub(crate) struct Specimen {
    pub(crate) disk: SimDisk,
    pub(crate) is_clean: bool,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) batches: Vec<SpecimenBatch>,
    /// Batches of the metadata log.
    pub(crate) metadata: Vec<SpecimenBatch>,
}

pub(crate) const TOPIC: &str = "t";
/// Where the log ends.
pub(crate) const LOG_END: i64 = 20;
/// The high watermark that the checkpoint has when the directory was not closed in order.
pub(crate) const OLD_HIGH_WATERMARK: i64 = 11;
/// Records below were deleted.
pub(crate) const LOG_START: i64 = 1;

fn builder(time: i64, values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::with_capacity(512);
    for value in values {
        builder.push(TimestampMs(NOW - 1_000_000 + time), Some(b"key"), Some(value.as_bytes()), &[("h", Some(b"1"))]);
    }
    builder
}

fn append(engine: &Engine, time: i64, values: &[&str], options: &BatchOptions) {
    let batch = builder(time, values).finish(options).unwrap();
    engine.producer().unwrap().append_batch(TOPIC, 0, &batch).unwrap();
}

fn plain(engine: &Engine, time: i64, values: &[&str]) {
    append(engine, time, values, &BatchOptions::default());
}

fn numbered(producer: i64, sequence: i32, is_transactional: bool) -> BatchOptions {
    let producer_id = ProducerId(producer);
    BatchOptions {
        producer_id,
        producer_epoch: 0,
        base_sequence: sequence,
        is_transactional,
        ..BatchOptions::default()
    }
}

/// Appends the records of a transaction of producer 9, and gives it up, as its coordinator would.
fn abort_transaction(disk: &SimDisk) {
    let sys = Sys::simulated(disk.clone(), clock(), 3);
    let mut report = Report::default();
    let dir = Arc::new(LogDir::open(&sys, Path::new(DIR), false, Fresh::No, &mut report).unwrap());
    let opening = Opening { leader_epoch: LeaderEpoch(0), watermark: Watermark::LogEnd, topic_id: Uuid::ZERO };
    let config = Arc::new(TopicConfig::default());
    let log = Log::open(&dir, TopicPartition::new(TOPIC, 0), config, opening, &mut report).unwrap();
    let options =
        BatchOptions { base_offset: log.block().log_end(), leader_epoch: LeaderEpoch(0), ..numbered(9, 0, true) };
    let batch = builder(10_001, &["given up", "given up as well"]).finish(&options).unwrap();
    log.append(Batch::Placed(&batch)).unwrap();
    let abort = ControlRecord::Abort { coordinator_epoch: 0 };
    let mut marker = end_transaction_marker(&abort, TimestampMs(NOW - 1_000_000 + 12_000), ProducerId(9), 0);
    restamp(&mut marker, log.block().log_end(), LeaderEpoch(0));
    log.append(Batch::Placed(&marker)).unwrap();
    log.close().unwrap();
    dir.finish(-1).unwrap();
    assert!(report.is_empty(), "{report}");
}

/// Makes the directory. Segments at 0 (three batches over three sectors), 6 (one compressed), 10 (producer ids, an aborted
/// transaction) and 16, the active one. With `is_clean` it was closed in order; otherwise everything is on the disk, and the
/// checkpoints vouch for what was there when the directory was opened last.
pub(crate) fn build(is_clean: bool) -> Specimen {
    let disk = SimDisk::new(clock());
    let engine = open(&disk).unwrap();
    let topic = NewTopic::named(TOPIC).config("segment.ms", "1000").config("index.interval.bytes", "1");
    engine.admin().create_topic(&topic).unwrap();
    let long = |text: &str| text.repeat(90);
    for (time, letter) in [(0, "a"), (1, "b"), (2, "c")] {
        plain(&engine, time, &[&long(letter), &long(&letter.to_uppercase())]);
    }
    let compression = Compression::default_of(Codec::Gzip);
    let compressed = BatchOptions { compression, ..BatchOptions::default() };
    append(&engine, 5_000, &[&long("d"), &long("D"), "short"], &compressed);
    plain(&engine, 5_001, &["e"]);
    append(&engine, 10_000, &["numbered"], &numbered(7, 0, false));
    engine.admin().delete_records(TOPIC, 0, Some(LOG_START)).unwrap();
    engine.close().unwrap();
    drop(engine);
    abort_transaction(&disk);
    let engine = open(&disk).unwrap();
    append(&engine, 12_001, &["numbered again"], &numbered(7, 1, false));
    plain(&engine, 12_002, &["f"]);
    plain(&engine, 20_000, &["g", "G"]);
    plain(&engine, 20_001, &["h"]);
    plain(&engine, 20_002, &["i"]);
    engine.flush().unwrap();
    if is_clean {
        engine.close().unwrap();
    }
    let disk = disk.duplicate();
    drop(engine);
    describe(disk, is_clean)
}

fn describe(disk: SimDisk, is_clean: bool) -> Specimen {
    let files: Vec<PathBuf> = disk.paths().into_iter().filter(|path| !read(&disk, path).is_empty()).collect();
    let batches = batches_of(&disk, &files, TOPIC, is_clean);
    let metadata = batches_of(&disk, &files, METADATA_TOPIC, is_clean);
    Specimen { disk, is_clean, files, batches, metadata }
}

fn batches_of(disk: &SimDisk, files: &[PathBuf], topic: &str, is_clean: bool) -> Vec<SpecimenBatch> {
    let partition = TopicPartition::new(topic, 0);
    let dir = Path::new(DIR).join(partition.to_string());
    let checkpoint = read(disk, &Path::new(DIR).join(CheckpointFile::RecoveryPoint.name()));
    let recovery_point = parse_offsets(&checkpoint).unwrap()[&partition];
    let mut batches = Vec::new();
    let is_log = |path: &&PathBuf| path.starts_with(&dir) && path.extension().is_some_and(|kind| kind == "log");
    for file in files.iter().filter(is_log) {
        let content = read(disk, file);
        let mut at = 0;
        while at < content.len() {
            let header = BatchHeader::check(&content[at..]).unwrap();
            let range = at..at + header.size;
            let bytes = content[range.clone()].to_vec();
            let records = records_of(&bytes, &header);
            let is_vouched_for = is_clean || header.base_offset < recovery_point;
            at = range.end;
            batches.push(SpecimenBatch { file: file.clone(), range, bytes, header, records, is_vouched_for });
        }
    }
    batches
}

fn read(disk: &SimDisk, path: &Path) -> Vec<u8> {
    read_whole(disk, path).unwrap()
}

/// What readers may see of a batch.
fn records_of(bytes: &[u8], header: &BatchHeader) -> Vec<(i64, Vec<u8>)> {
    if header.is_control() {
        return Vec::new();
    }
    let mut plain = Vec::new();
    let codec = header.codec().unwrap();
    klog::record::decompress(codec, &bytes[klog::record::HEADER_BYTES..], 1 << 20, &mut plain).unwrap();
    let records = Records::new(header, &plain).map(|record| {
        let record = record.unwrap();
        (record.offset.0, record.value.unwrap().to_vec())
    });
    records.collect()
}

impl Specimen {
    pub(crate) fn content(&self, file: &Path) -> Vec<u8> {
        read(&self.disk, file)
    }

    /// Every record that readers may see, by offset.
    pub(crate) fn records(&self) -> BTreeMap<i64, &[u8]> {
        let records = self.batches.iter().flat_map(|batch| &batch.records);
        records.map(|(offset, value)| (*offset, &value[..])).collect()
    }
}
