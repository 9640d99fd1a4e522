//! Whole files of the metadata, made by klog's own means and compared with those that Kafka booted from.

use klog::Uuid;
use klog::controller::MetadataRecord;
use klog::record::{
    BatchBuilder, BatchHeader, BatchOptions, ControlRecord, LeaderChange, Voter, VoterEndpoint, control_batch,
};
use klog::types::{LeaderEpoch, Offset, TimestampMs};

use crate::vectors::{T, decode, hex};

/// `bootstrap.checkpoint` of a directory with metadata.version 25.
const BOOTSTRAP: &str = "
    0000000000000000000000470000000002695d78600020000000000000018bcfe568000000018bcfe56800ffffffffffffffffffff
    ffffffff000000012a00000008000000031600000000000000000000000000000000000000010000004f00000000027b4e01400000
    000000000000018bcfe568000000018bcfe56800ffffffffffffffffffffffffffff000000013a000000012e010c00116d65746164
    6174612e76657273696f6e0019000000000000000000020000003f00000000028f6608e60020000000000000018bcfe56800000001
    8bcfe56800ffffffffffffffffffffffffffff000000011a00000008000000040600000000";

/// `0-0.checkpoint` of the sole voter: id 1, directory d1 sixteen times, CONTROLLER at 127.0.0.1:9093.
const VOTERS: &str = "
    00000000000000000000009a000000000263b3f2c50020000000020000018bcfe568000000018bcfe56800ffffffffffffffffffff
    ffffffff000000032a0000000800000003160000000000000000000000001e00000208000000050a00000001000082010000040800
    0000066e00000200000001d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1020b434f4e54524f4c4c45520a3132372e302e302e3123850000
    0000010000000000000000000000030000003f00000000028f6608e60020000000000000018bcfe568000000018bcfe56800ffffff
    ffffffffffffffffffffff000000011a00000008000000040600000000";

/// The first two batches of a log in epoch 1.
const LOG: &str = "
    00000000000000000000004f00000001021154eaf90020000000000000018bcfe568000000018bcfe56800ffffffffffffffffffff
    ffffffff000000013a0000000800000002260000000000010200000001000200000001000000000000000000000100000053000000
    0102e2df66410000000000000000018bcfe568000000018bcfe56800ffffffffffffffffffffffffffff0000000142000000013601
    0200076f7264657273000102030405060708090a0b0c0d0e0f0000";

fn control(records: &[ControlRecord], offset: i64, epoch: i32) -> Vec<u8> {
    control_batch(records, TimestampMs(T), Offset(offset), LeaderEpoch(epoch))
}

/// A batch of metadata, as the metadata log has them: plain, of no producer.
fn metadata(records: &[MetadataRecord], offset: i64, epoch: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    for record in records {
        builder.push(TimestampMs(T), None, Some(&record.encode()), &[]);
    }
    let options =
        BatchOptions { base_offset: Offset(offset), leader_epoch: LeaderEpoch(epoch), ..BatchOptions::default() };
    builder.finish(&options).unwrap()
}

const HEADER: ControlRecord = ControlRecord::SnapshotHeader { last_contained_log_timestamp: TimestampMs(0) };

fn version_25() -> MetadataRecord {
    MetadataRecord::FeatureLevel { name: "metadata.version".to_owned(), level: 25 }
}

fn voters() -> ControlRecord {
    let endpoint = VoterEndpoint { name: "CONTROLLER".to_owned(), host: "127.0.0.1".to_owned(), port: 9093 };
    ControlRecord::KRaftVoters(vec![Voter {
        id: 1,
        directory_id: Uuid([0xd1; 16]),
        endpoints: vec![endpoint],
        min_kraft_version: 0,
        max_kraft_version: 1,
    }])
}

fn first_leader() -> ControlRecord {
    ControlRecord::LeaderChange(LeaderChange { leader_id: 1, voters: vec![1], granting_voters: vec![1] })
}

fn topic() -> MetadataRecord {
    let id = Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    MetadataRecord::Topic { name: "orders".to_owned(), id }
}

/// Records with their offsets.
type Placed<T> = Vec<(i64, T)>;

/// What a file says: offset and record, control records and others apart.
fn contents(file: &[u8]) -> (Placed<ControlRecord>, Placed<MetadataRecord>) {
    let (mut controls, mut changes, mut at) = (Vec::new(), Vec::new(), 0);
    while at < file.len() {
        let (header, records) = decode(&file[at..]).unwrap();
        for record in records {
            assert_eq!((record.timestamp, record.headers.len()), (T, 0));
            if header.is_control() {
                let control = ControlRecord::parse(record.key.as_deref(), record.value.as_deref()).unwrap();
                controls.push((record.offset, control));
            } else {
                assert_eq!(record.key, None);
                changes.push((record.offset, MetadataRecord::parse(&record.value.unwrap()).unwrap()));
            }
        }
        at += header.size;
    }
    (controls, changes)
}

#[test]
fn a_bootstrap_checkpoint_is_written_as_kafka_writes_it() {
    let footer = ControlRecord::SnapshotFooter;
    let file =
        [control(&[HEADER], 0, 0), metadata(&[version_25()], 1, 0), control(std::slice::from_ref(&footer), 2, 0)];
    assert_eq!(file.concat(), hex(BOOTSTRAP));
    let (controls, changes) = contents(&hex(BOOTSTRAP));
    assert_eq!(controls, [(0, HEADER), (2, footer)]);
    assert_eq!(changes, [(1, version_25())]);
}

#[test]
fn a_checkpoint_of_voters_is_written_as_kafka_writes_it() {
    let first = [HEADER, ControlRecord::KRaftVersion(1), voters()];
    let footer = ControlRecord::SnapshotFooter;
    let file = [control(&first, 0, 0), control(std::slice::from_ref(&footer), 3, 0)].concat();
    assert_eq!(file, hex(VOTERS));
    let (controls, changes) = contents(&file);
    let [header, version, voters] = first;
    assert_eq!(controls, [(0, header), (1, version), (2, voters), (3, footer)]);
    assert_eq!(changes, []);
}

#[test]
fn a_metadata_log_begins_as_kafkas_does() {
    let file = [control(&[first_leader()], 0, 1), metadata(&[topic()], 1, 1)].concat();
    assert_eq!(file, hex(LOG));
    assert_eq!(contents(&file), (vec![(0, first_leader())], vec![(1, topic())]));
    let header = BatchHeader::check(&file).unwrap();
    assert_eq!(header.leader_epoch, LeaderEpoch(1));
    assert_eq!((header.producer_id.0, header.producer_epoch, header.base_sequence), (-1, -1, -1));
}

#[test]
fn control_records_that_are_cut_off_are_refused() {
    let records = [HEADER, ControlRecord::SnapshotFooter, ControlRecord::KRaftVersion(1), voters(), first_leader()];
    for record in records {
        let (key, value) = record.encode();
        assert_eq!(ControlRecord::parse(Some(&key), Some(&value)), Ok(record.clone()));
        // The tags at the end may be missing: nothing of what klog knows is there.
        let end = value.len() - 1;
        for length in 0..end {
            let result = ControlRecord::parse(Some(&key), Some(&value[..length]));
            assert!(result.is_err(), "{} cut to {length}: {result:?}", record.name());
        }
    }
}

#[test]
fn a_leader_change_of_the_version_with_directories_is_read() {
    // Version 1: each voter has the id of its directory.
    let value = hex(
        "0001 00000001 02 00000001 d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 00 02 00000001 d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1 00 00",
    );
    assert_eq!(ControlRecord::parse(Some(&[0, 0, 0, 2]), Some(&value)), Ok(first_leader()));
    for length in 0..value.len() - 2 {
        assert!(ControlRecord::parse(Some(&[0, 0, 0, 2]), Some(&value[..length])).is_err(), "cut to {length}");
    }
}

#[test]
fn several_changes_of_one_operation_are_one_batch() {
    let batch = metadata(&[topic(), version_25(), MetadataRecord::NoOp], 7, 3);
    let (_, changes) = contents(&batch);
    assert_eq!(changes, [(7, topic()), (8, version_25()), (9, MetadataRecord::NoOp)]);
}
