//! What happens to a batch on its way into a log, byte for byte; and what a cleaner left, as readers see it.

use klog::TimestampType;
use klog::record::{
    BatchBuilder, BatchHeader, BatchOptions, Codec, Compression, LeaderRules, assign_offsets, check_client_batch,
    compress,
};
use klog::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{Decoded, MOST, T, batch, decode, hex_of, int, list, resize_and_seal, with_body};

fn rules(timestamp_type: TimestampType) -> LeaderRules {
    LeaderRules {
        max_message_bytes: MOST,
        timestamp_type,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compression: None,
        requires_keys: false,
        max_decompressed_bytes: MOST,
    }
}

/// A leader whose log ends at 42, in epoch 7, at one second past `T`. Returns what it would store.
fn append(bytes: &[u8], rules: &LeaderRules) -> (Vec<u8>, bool) {
    let mut bytes = bytes.to_vec();
    let header = check_client_batch(&bytes, rules).unwrap();
    let now = TimestampMs(T + 1000);
    let assigned = assign_offsets(&mut bytes, &header, rules, Offset(42), LeaderEpoch(7), now).unwrap();
    let was_rebuilt = assigned.rebuilt.is_some();
    let stored = assigned.rebuilt.unwrap_or(bytes);
    assert_eq!(BatchHeader::check(&stored), Ok(assigned.header), "the header is that of the stored bytes");
    assert_eq!((assigned.header.base_offset, assigned.header.leader_epoch), (Offset(42), LeaderEpoch(7)));
    (stored, was_rebuilt)
}

fn vector(id: &str) -> &'static Value {
    list("transformations").iter().find(|vector| vector["id"] == id).unwrap()
}

#[test]
fn a_leader_places_batches_as_kafkas_does() {
    for (id, timestamp_type) in [
        ("leader-append-create-time", TimestampType::CreateTime),
        ("leader-append-log-append-time", TimestampType::LogAppendTime),
    ] {
        let vector = vector(id);
        let (stored, was_rebuilt) = append(&hex_of(&vector["input_hex"]), &rules(timestamp_type));
        assert_eq!(stored, hex_of(&vector["output_hex"]), "{id}");
        assert!(!was_rebuilt);
        let header = BatchHeader::check(&stored).unwrap();
        assert_eq!(header.max_timestamp.0, int(&vector["result"]["maxTimestamp"]), "{id}");
        assert_eq!(header.last_offset().0, int(&vector["result"]["offsetOfMaxTimestampForTimeIndex"]), "{id}");
    }
}

#[test]
fn what_a_cleaner_left_is_read() {
    assert_eq!(list("transformations").len(), 5);
    let cases: [(&str, &[i64], Option<i64>); 3] = [
        ("compaction-sets-delete-horizon", &[20, 22], Some(T + 100_000 + 86_400_000)),
        ("compaction-second-pass", &[22], Some(T + 100_000 + 86_400_000)),
        ("compaction-empty-retained", &[], None),
    ];
    for (id, kept, horizon) in cases {
        let (before, records) = decode(&hex_of(&vector(id)["input_hex"])).unwrap();
        let (after, left) = decode(&hex_of(&vector(id)["output_hex"])).unwrap();
        let expected: Vec<Decoded> = records.into_iter().filter(|record| kept.contains(&record.offset)).collect();
        assert_eq!(left, expected, "{id}: what is left has its offsets and times");
        assert_eq!(after.delete_horizon().map(|at| at.0), horizon, "{id}");
        assert_eq!(after.next_offset(), Offset(24), "{id}: reading goes on behind the original batch");
        assert_eq!(after.last_sequence(), 33, "{id}: so do sequence numbers");
        assert_eq!((after.producer_id, after.producer_epoch), (before.producer_id, before.producer_epoch));
    }
}

#[test]
fn a_maximum_that_a_producer_got_wrong_is_put_right() {
    let mut sent = batch("multi-record");
    let right = append(&sent, &rules(TimestampType::CreateTime)).0;
    sent[35..43].copy_from_slice(&(T + 5).to_be_bytes());
    resize_and_seal(&mut sent);
    let (stored, was_rebuilt) = append(&sent, &rules(TimestampType::CreateTime));
    assert!(!was_rebuilt);
    assert_eq!(stored, right);
}

#[test]
fn a_batch_that_claims_the_logs_time_loses_the_claim_on_a_topic_of_create_time() {
    let mut sent = batch("multi-record");
    sent[22] |= 0x08;
    resize_and_seal(&mut sent);
    let (stored, was_rebuilt) = append(&sent, &rules(TimestampType::CreateTime));
    assert!(!was_rebuilt);
    assert_eq!(stored, append(&batch("multi-record"), &rules(TimestampType::CreateTime)).0);
}

#[test]
fn attribute_bits_without_a_meaning_stay_until_the_attributes_are_written() {
    let mut sent = batch("multi-record");
    sent[21..23].copy_from_slice(&0x0180i16.to_be_bytes());
    resize_and_seal(&mut sent);
    let (stored, _) = append(&sent, &rules(TimestampType::CreateTime));
    assert_eq!(stored[21..23], [0x01, 0x80], "nothing under the checksum is touched");
    // Source: `DefaultRecordBatch#setMaxTimestamp`, which computes them from what it knows.
    let (stored, _) = append(&sent, &rules(TimestampType::LogAppendTime));
    assert_eq!(stored[21..23], [0x00, 0x08]);
}

#[test]
fn a_batch_without_timestamps_is_stored_without() {
    let mut builder = BatchBuilder::with_capacity(0);
    builder.push(TimestampMs::NONE, None, Some(b"v"), &[]);
    let sent = builder.finish(&BatchOptions::default()).unwrap();
    let strict = LeaderRules { timestamp_before_max_ms: 0, ..rules(TimestampType::CreateTime) };
    let (stored, _) = append(&sent, &strict);
    assert_eq!(decode(&stored).unwrap().1, [Decoded::new(42, -1, None, Some("v"))]);
    assert_eq!(stored[21..], sent[21..]);
}

/// Three records of an idempotent producer in a transaction, with everything that has to survive.
fn sent(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    builder.push(TimestampMs(T + 7), Some(b"k"), Some(&b"v".repeat(300)), &[("h", Some(b"1")), ("h", None)]);
    builder.push(TimestampMs(T), None, None, &[]);
    builder.push(TimestampMs(T + 9), Some(b""), Some(b""), &[]);
    let options = BatchOptions {
        compression: Compression::default_of(codec),
        producer_id: ProducerId(4001),
        producer_epoch: 3,
        base_sequence: i32::MAX,
        is_transactional: true,
        ..BatchOptions::default()
    };
    builder.finish(&options).unwrap()
}

#[test]
fn another_codec_rebuilds_the_batch_and_the_same_one_does_not() {
    let plain = decode(&sent(Codec::None)).unwrap().1;
    for source in Codec::ALL {
        for target in Codec::ALL {
            for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
                let compression = Some(Compression::default_of(target));
                let (stored, was_rebuilt) =
                    append(&sent(source), &LeaderRules { compression, ..rules(timestamp_type) });
                assert_eq!(was_rebuilt, source != target, "{source} to {target}");
                let (header, records) = decode(&stored).unwrap();
                assert_eq!(header.codec(), Ok(target));
                assert_eq!(header.timestamp_type(), timestamp_type);
                assert_eq!((header.producer_id, header.producer_epoch), (ProducerId(4001), 3));
                assert_eq!((header.base_sequence, header.last_sequence()), (i32::MAX, 1));
                assert_eq!((header.is_transactional(), header.is_control()), (true, false));
                assert_eq!((header.records_count, header.last_offset_delta), (3, 2));
                assert_eq!(header.base_timestamp.0, T + 7, "deltas count from the first record");
                let time = |timestamp| if timestamp_type == TimestampType::CreateTime { timestamp } else { T + 1000 };
                assert_eq!(header.max_timestamp.0, time(T + 9));
                let expected = plain.iter().cloned().map(|record| Decoded {
                    offset: record.offset + 42,
                    timestamp: time(record.timestamp),
                    ..record
                });
                assert_eq!(records, expected.collect::<Vec<_>>(), "{source} to {target}");
            }
        }
    }
}

#[test]
fn without_a_codec_of_the_topic_the_producers_stays() {
    for codec in Codec::ALL {
        let original = sent(codec);
        let (stored, was_rebuilt) = append(&original, &rules(TimestampType::CreateTime));
        assert!(!was_rebuilt);
        assert_eq!(stored[21..], original[21..], "{codec}: nothing under the checksum is touched");
    }
}

#[test]
fn offsets_with_gaps_are_closed_by_rebuilding() {
    // Records at 0 and 5, and a header that speaks of two: some old clients do that.
    let records = [&[14, 0, 0, 0, 2, b'a', 1, 0][..], &[14, 0, 0, 10, 2, b'b', 1, 0]].concat();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut compressed = Vec::new();
        compress(Compression::default_of(codec), &records, &mut compressed).unwrap();
        let bytes = with_body(&batch("idempotent"), codec as i16, &compressed);
        let offsets = |bytes: &[u8]| decode(bytes).unwrap().1.iter().map(|record| record.offset).collect::<Vec<_>>();
        assert_eq!(offsets(&bytes), [0, 5]);
        let (stored, was_rebuilt) = append(&bytes, &rules(TimestampType::CreateTime));
        assert!(was_rebuilt, "{codec}");
        assert_eq!(offsets(&stored), [42, 43], "{codec}");
        let header = BatchHeader::check(&stored).unwrap();
        assert_eq!((header.codec(), header.base_sequence), (Ok(codec), 17), "{codec}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a builder makes, a leader takes; and what it stores says the same.
    #[test]
    fn a_built_batch_is_taken(
        fields in proptest::collection::vec((0i64..5000, proptest::option::of(".{0,9}"), proptest::option::of(".{0,99}")), 1..30),
        source in 0u8..5,
        target in proptest::option::of(0u8..5),
    ) {
        let mut builder = BatchBuilder::with_capacity(0);
        for (time, key, value) in &fields {
            let (key, value) = (key.as_ref().map(String::as_bytes), value.as_ref().map(String::as_bytes));
            builder.push(TimestampMs(T + time), key, value, &[]);
        }
        let codec = |bits| Compression::default_of(Codec::from_bits(bits).unwrap());
        let options = BatchOptions { compression: codec(source), ..BatchOptions::default() };
        let rules = LeaderRules { compression: target.map(codec), ..rules(TimestampType::CreateTime) };
        let (stored, _) = append(&builder.finish(&options).unwrap(), &rules);
        let (header, records) = decode(&stored).unwrap();
        let expected: Vec<Decoded> = fields.iter().zip(42..)
            .map(|((time, key, value), offset)| Decoded::new(offset, T + time, key.as_deref(), value.as_deref()))
            .collect();
        prop_assert_eq!(records, expected);
        prop_assert_eq!(header.codec().unwrap() as u8, target.unwrap_or(source));
        prop_assert_eq!(header.max_timestamp.0, T + fields.iter().map(|(time, ..)| *time).max().unwrap());
    }
}
