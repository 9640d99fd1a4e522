//! Every golden batch: read field by field, and written again where klog writes such batches.

use klog::TimestampType;
use klog::record::{
    BatchBuilder, BatchHeader, BatchOptions, Codec, Compression, ControlRecord, LeaderRules, assign_offsets,
    control_batch, end_transaction_marker, restamp,
};
use klog::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use serde_json::Value;

use crate::vectors::{Decoded, MOST, T, decode, decode_from, expected_records, hex_of, int, list};

/// Vectors that only a cleaner makes, and klog has none that works on single batches yet: a header that outlived its
/// records, and a batch with a delete horizon for a base timestamp and with gaps between its records.
const WRITTEN_BY_A_CLEANER: [&str; 2] = ["empty-after-compaction", "delete-horizon"];

fn name(vector: &Value) -> &str {
    vector["id"].as_str().unwrap()
}

#[test]
fn every_header_field_is_read() {
    assert_eq!(list("batches").len(), 24);
    for vector in list("batches") {
        let (expect, bytes) = (&vector["expect"], hex_of(&vector["hex"]));
        let header = BatchHeader::check(&bytes).unwrap();
        assert_eq!(header, BatchHeader::parse(&bytes[..61]).unwrap(), "a header needs no records: {}", name(vector));
        let found = [
            ("baseOffset", header.base_offset.0),
            ("batchLength", header.size as i64 - 12),
            ("partitionLeaderEpoch", i64::from(header.leader_epoch.0)),
            ("magic", i64::from(header.magic)),
            ("attributes", i64::from(header.attributes)),
            ("lastOffsetDelta", i64::from(header.last_offset_delta)),
            ("baseTimestamp", header.base_timestamp.0),
            ("maxTimestamp", header.max_timestamp.0),
            ("producerId", header.producer_id.0),
            ("producerEpoch", i64::from(header.producer_epoch)),
            ("baseSequence", i64::from(header.base_sequence)),
            ("recordsCount", i64::from(header.records_count)),
            ("sizeInBytes", header.size as i64),
        ];
        for (field, value) in found {
            assert_eq!(value, int(&expect[field]), "{field} of {}", name(vector));
        }
        assert_eq!(format!("{:08x}", header.crc), expect["crc"].as_str().unwrap(), "crc of {}", name(vector));
        let fields = expect.as_object().unwrap().len();
        assert_eq!(fields, found.len() + 2, "a field of {} is not compared", name(vector)); // crc and records
    }
}

#[test]
fn every_record_is_decoded() {
    for vector in list("batches") {
        let bytes = hex_of(&vector["hex"]);
        let (header, records) = decode(&bytes).unwrap();
        let expected = expected_records(&vector["expect"]);
        assert_eq!(records, expected, "{}", name(vector));
        let last = int(&vector["expect"]["baseOffset"]) + int(&vector["expect"]["lastOffsetDelta"]);
        assert_eq!((header.last_offset().0, header.next_offset().0), (last, last + 1), "{}", name(vector));
        // From the middle: what lies below is left out, whatever the codec.
        if let Some(middle) = expected.get(expected.len() / 2) {
            let rest = decode_from(&bytes, &header, middle.offset).unwrap();
            assert_eq!(rest, expected[expected.len() / 2..], "{}", name(vector));
        }
    }
}

#[test]
fn what_the_attributes_say_is_understood() {
    for vector in list("batches") {
        let header = BatchHeader::check(&hex_of(&vector["hex"])).unwrap();
        let found = (header.timestamp_type(), header.is_transactional(), header.is_control());
        let expected = match name(vector) {
            "log-append-time" => (TimestampType::LogAppendTime, false, false),
            "transactional" => (TimestampType::CreateTime, true, false),
            "control-commit" | "control-abort" => (TimestampType::CreateTime, true, true),
            "control-leader-change" => (TimestampType::CreateTime, false, true),
            _ => (TimestampType::CreateTime, false, false),
        };
        assert_eq!(found, expected, "{}", name(vector));
        let horizon = (name(vector) == "delete-horizon").then_some(TimestampMs(1_700_086_500_000));
        assert_eq!(header.delete_horizon(), horizon, "{}", name(vector));
        let codec = ["gzip", "snappy", "lz4", "zstd"]
            .into_iter()
            .find(|codec| name(vector).starts_with(&format!("codec-{codec}")))
            .unwrap_or("none");
        assert_eq!(header.codec().unwrap().name(), codec, "{}", name(vector));
    }
}

/// The options with which a builder makes a batch that has the header `expect`.
fn options(expect: &Value, compression: Compression) -> BatchOptions {
    let attributes = int(&expect["attributes"]);
    BatchOptions {
        base_offset: Offset(int(&expect["baseOffset"])),
        leader_epoch: LeaderEpoch(int(&expect["partitionLeaderEpoch"]) as i32),
        compression,
        timestamp_type: TimestampType::CreateTime,
        producer_id: ProducerId(int(&expect["producerId"])),
        producer_epoch: int(&expect["producerEpoch"]) as i16,
        base_sequence: int(&expect["baseSequence"]) as i32,
        is_transactional: attributes & 0x10 != 0,
        is_control: attributes & 0x20 != 0,
    }
}

fn build(records: &[Decoded], options: &BatchOptions) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    for (index, record) in records.iter().enumerate() {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let place = builder.push(TimestampMs(record.timestamp), key, value, &record.header_refs());
        assert_eq!(place as usize, index);
    }
    assert_eq!((builder.count() as usize, builder.is_empty()), (records.len(), records.is_empty()));
    builder.finish(options).unwrap()
}

/// A leader's work on a producer's batch whose records have these times.
fn append_with_log_time(records: &[Decoded], times: [i64; 2], now: i64, place: (i64, i32)) -> Vec<u8> {
    let records: Vec<Decoded> =
        records.iter().zip(times).map(|(record, timestamp)| Decoded { timestamp, ..record.clone() }).collect();
    let mut bytes = build(&records, &BatchOptions::default());
    let rules = LeaderRules {
        max_message_bytes: MOST,
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compression: None,
        requires_keys: false,
        max_decompressed_bytes: MOST,
    };
    let header = BatchHeader::check(&bytes).unwrap();
    let (base_offset, leader_epoch) = (Offset(place.0), LeaderEpoch(place.1));
    let assigned = assign_offsets(&mut bytes, &header, &rules, base_offset, leader_epoch, TimestampMs(now)).unwrap();
    assert!(assigned.rebuilt.is_none());
    bytes
}

fn marker(record: &Decoded, expect: &Value) -> Vec<u8> {
    let control = ControlRecord::parse(record.key.as_deref(), record.value.as_deref()).unwrap();
    let id = ProducerId(int(&expect["producerId"]));
    let mut bytes =
        end_transaction_marker(&control, TimestampMs(record.timestamp), id, int(&expect["producerEpoch"]) as i16);
    restamp(&mut bytes, Offset(record.offset), LeaderEpoch(int(&expect["partitionLeaderEpoch"]) as i32));
    bytes
}

#[test]
fn batches_are_written_as_kafka_writes_them() {
    let mut written = 0;
    for vector in list("batches") {
        if vector["encode_must_be_byte_exact"] != true || WRITTEN_BY_A_CLEANER.contains(&name(vector)) {
            continue;
        }
        let expect = &vector["expect"];
        let records = expected_records(expect);
        let bytes = match name(vector) {
            "control-commit" | "control-abort" => marker(&records[0], expect),
            "control-leader-change" => {
                let record = &records[0];
                let control = ControlRecord::parse(record.key.as_deref(), record.value.as_deref()).unwrap();
                control_batch(&[control], TimestampMs(record.timestamp), Offset(0), LeaderEpoch(4))
            }
            // Its expected times are the log's; what the producer said is in the deltas, 0 and 5.
            "log-append-time" => append_with_log_time(&records, [T, T + 5], T + 999, (50, 4)),
            _ => build(&records, &options(expect, Compression::NONE)),
        };
        assert_eq!(bytes, hex_of(&vector["hex"]), "{}", name(vector));
        written += 1;
    }
    assert_eq!(written, 14);
}

#[test]
fn compressed_batches_say_the_same_after_klog_compressed_them() {
    let mut written = 0;
    for vector in list("batches").iter().filter(|vector| vector["encode_must_be_byte_exact"] == false) {
        let expect = &vector["expect"];
        let codec = Codec::from_bits(int(&expect["attributes"]) as u8).unwrap();
        let records = expected_records(expect);
        let bytes = build(&records, &options(expect, Compression::default_of(codec)));
        let (header, found) = decode(&bytes).unwrap();
        assert_eq!(found, records, "{}", name(vector));
        let original = BatchHeader::check(&hex_of(&vector["hex"])).unwrap();
        assert!(header.size < 1221, "{codec} made it smaller: {}", header.size);
        // Other compressors find other bytes; nothing else may differ.
        assert_eq!(BatchHeader { size: original.size, crc: original.crc, ..header }, original, "{}", name(vector));
        written += 1;
    }
    assert_eq!(written, 8);
}

#[test]
fn a_builder_in_used_memory_makes_the_same_batch() {
    let vector = list("batches").iter().find(|vector| name(vector) == "multi-record").unwrap();
    let records = expected_records(&vector["expect"]);
    let mut builder = BatchBuilder::reuse(vec![0xee; 300]);
    assert_eq!((builder.len(), builder.count()), (61, 0));
    for record in &records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let (before, headers) = (builder.len(), record.header_refs());
        builder.push(TimestampMs(record.timestamp), key, value, &headers);
        assert!(builder.len() - before <= BatchBuilder::record_bound(key, value, &headers));
    }
    let bytes = builder.finish(&options(&vector["expect"], Compression::NONE)).unwrap();
    assert_eq!(bytes, hex_of(&vector["hex"]));
}

#[test]
fn control_records_are_read_and_written() {
    let record = |id: &str| {
        let vector = list("batches").iter().find(|vector| name(vector) == id).unwrap();
        expected_records(&vector["expect"]).remove(0)
    };
    let change = klog::record::LeaderChange { leader_id: 1, voters: vec![1, 2], granting_voters: vec![1] };
    let expected = [
        ("control-abort", ControlRecord::Abort { coordinator_epoch: 7 }, "ABORT"),
        ("control-commit", ControlRecord::Commit { coordinator_epoch: 7 }, "COMMIT"),
        ("control-leader-change", ControlRecord::LeaderChange(change), "LEADER_CHANGE"),
    ];
    for (type_id, (id, control, kafkas_name)) in expected.into_iter().enumerate() {
        let record = record(id);
        assert_eq!(ControlRecord::parse(record.key.as_deref(), record.value.as_deref()), Ok(control.clone()), "{id}");
        assert_eq!((control.type_id(), control.name()), (type_id as i16, kafkas_name));
        assert_eq!(control.encode(), (record.key.unwrap(), record.value.unwrap()), "{id}");
    }
}

#[test]
fn control_records_of_later_kafkas_are_ignored_and_broken_ones_refused() {
    let parse = |key: &[u8], value: &[u8]| ControlRecord::parse(Some(key), Some(value));
    let commit = Ok(ControlRecord::Commit { coordinator_epoch: 7 });
    assert_eq!(parse(&[0, 9, 0, 1], &[0, 0, 0, 0, 0, 7]), commit, "a higher version is read as the known one");
    assert_eq!(
        parse(&[0, 0, 0, 1], &[0, 9, 0, 0, 0, 7, 1, 2]),
        commit,
        "and so is that of a value, which may be longer"
    );
    assert_eq!(parse(&[0, 0, 0, 1, 5], &[0, 0, 0, 0, 0, 7]), commit, "a key needs four bytes and may have more");
    assert_eq!(parse(&[0, 0, 0, 99], &[]), Ok(ControlRecord::Unknown(99)));
    assert_eq!(ControlRecord::parse(Some(&[0, 0, 0x7f, 0xff]), None), Ok(ControlRecord::Unknown(i16::MAX)));
    assert!(parse(&[0xff, 0xff, 0, 1], &[0, 0, 0, 0, 0, 7]).is_err(), "a negative version of the key");
    assert!(parse(&[0, 0, 0, 1], &[0xff, 0xff, 0, 0, 0, 7]).is_err(), "a negative version of the value");
    for length in 0..4 {
        assert!(parse(&[0, 0, 0, 1][..length], &[0, 0, 0, 0, 0, 7]).is_err(), "a key of {length} bytes");
    }
    for length in 0..6 {
        assert!(parse(&[0, 0, 0, 1], &[0, 0, 0, 0, 0, 7][..length]).is_err(), "a value of {length} bytes");
    }
    assert!(ControlRecord::parse(None, Some(&[0; 6])).is_err());
    assert!(ControlRecord::parse(Some(&[0, 0, 0, 0]), None).is_err());
}
