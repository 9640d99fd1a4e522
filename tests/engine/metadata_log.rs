//! The metadata log as another program sees it: its bytes, and records that another program appends.

use std::collections::BTreeMap;

use klog::controller::MetadataRecord;
use klog::record::{BatchBuilder, BatchHeader, BatchOptions, HEADER_BYTES, Records};
use klog::sys::Disk;
use klog::types::{LeaderEpoch, Offset};
use klog::{ConfigResource, Engine, TimestampMs};

use crate::steps::batches;
use crate::world::{NOW, World};

/// Its directory.
pub(crate) const DIR: &str = "__cluster_metadata-0";

/// The first segment: all there is of it in a test.
pub(crate) fn log() -> String {
    format!("{DIR}/00000000000000000000.log")
}

/// Key and value of every record of some batches, with the header of its batch.
pub(crate) fn keys_and_values(bytes: &[u8]) -> Vec<(BatchHeader, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 0;
    for header in batches(bytes) {
        for record in Records::new(&header, &bytes[at + HEADER_BYTES..at + header.size]) {
            let record = record.unwrap();
            let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
            found.push((header, bytes(record.key), bytes(record.value)));
        }
        at += header.size;
    }
    found
}

/// The records that are no control records.
pub(crate) fn records(bytes: &[u8]) -> Vec<MetadataRecord> {
    let data = keys_and_values(bytes).into_iter().filter(|(header, _, _)| !header.is_control());
    data.map(|(_, _, value)| MetadataRecord::parse(&value).unwrap()).collect()
}

/// Appends records as a broker would that had the directory meanwhile and was killed: one batch, in the latest epoch.
pub(crate) fn append(world: &World, values: &[Vec<u8>]) {
    let mut bytes = world.bytes(&log());
    let last = batches(&bytes).pop().unwrap();
    let mut builder = BatchBuilder::with_capacity(0);
    for value in values {
        builder.push(TimestampMs(NOW), None, Some(value), &[]);
    }
    let options = BatchOptions {
        base_offset: last.next_offset(),
        leader_epoch: LeaderEpoch(last.leader_epoch.0),
        ..BatchOptions::default()
    };
    bytes.extend(builder.finish(&options).unwrap());
    world.put(&log(), &bytes);
    let _ = world.sys.disk.remove_file(&world.dir.join(".kafka_cleanshutdown"));
}

/// A setting, as a record.
pub(crate) fn setting(resource: klog::controller::ResourceType, name: &str, key: &str, value: Option<&str>) -> Vec<u8> {
    let (name, key, value) = (name.to_owned(), key.to_owned(), value.map(str::to_owned));
    MetadataRecord::Config { resource, name, key, value }.encode()
}

/// Makes at least so many records, by changing settings of `topic` that change nothing that a test looks at.
pub(crate) fn fill(engine: &Engine, topic: &str, records: usize) {
    const NAMES: [&str; 8] = [
        "flush.messages",
        "max.compaction.lag.ms",
        "message.timestamp.before.max.ms",
        "segment.bytes",
        "segment.ms",
        "delete.retention.ms",
        "index.interval.bytes",
        "segment.index.bytes",
    ];
    for round in 0..records.div_ceil(NAMES.len()) {
        let value = Some((1_500_000_000 + round).to_string());
        let changes: BTreeMap<_, _> = NAMES.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
        engine.admin().alter_configs(&ConfigResource::Topic(topic.to_owned()), &changes).unwrap();
    }
}

/// The snapshots, oldest first: offset and epoch of the name.
pub(crate) fn snapshots(world: &World) -> Vec<(String, Offset, i32)> {
    let mut found = Vec::new();
    for name in world.list(DIR) {
        let Some(stem) = name.strip_suffix(".checkpoint") else { continue };
        let (offset, epoch) = stem.split_once('-').unwrap();
        assert_eq!((offset.len(), epoch.len()), (20, 10), "{name}");
        found.push((format!("{DIR}/{name}"), Offset(offset.parse().unwrap()), epoch.parse().unwrap()));
    }
    found
}
