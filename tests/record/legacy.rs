//! Format versions 0 and 1, as old brokers left them in the first segments of a log.

use std::io::Write;

use flate2::{Compression as Level, Crc, write::GzEncoder};
use klog::TimestampType;
use klog::record::{BatchError, BatchHeader, Codec, CodecError, LegacyMessages};
use klog::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use proptest::prelude::*;

use crate::vectors::{Decoded, MOST, T, decode, decode_from, hex, hex_of, list};

const GZIP: u8 = 1;
const SNAPPY: u8 = 2;
const LZ4: u8 = 3;
const LOG_APPEND_TIME: u8 = 8;

fn field(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.extend_from_slice(&bytes.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// An entry of version 0, or with a `timestamp` of version 1.
fn entry(offset: i64, attributes: u8, timestamp: Option<i64>, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let mut covered = vec![u8::from(timestamp.is_some()), attributes];
    covered.extend(timestamp.iter().flat_map(|at| at.to_be_bytes()));
    field(&mut covered, key);
    field(&mut covered, value);
    let mut crc = Crc::new();
    crc.update(&covered);
    let size = covered.len() as i32 + 4;
    [&offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.sum().to_be_bytes(), &covered].concat()
}

fn plain(offset: i64, timestamp: Option<i64>, value: &str) -> Vec<u8> {
    entry(offset, 0, timestamp, Some(b"k"), Some(value.as_bytes()))
}

/// One frame whose blocks are stored as they are. Version 0 computed the header's checksum with the magic: 1a, not 82.
fn lz4(bytes: &[u8], header_checksum: u8) -> Vec<u8> {
    let mut frame = hex("04224d18 60 40");
    frame.push(header_checksum);
    for block in bytes.chunks(65_536) {
        frame.extend_from_slice(&(block.len() as u32 | 0x8000_0000).to_le_bytes());
        frame.extend_from_slice(block);
    }
    frame.extend_from_slice(&[0; 4]);
    frame
}

/// A xerial stream of blocks of literals.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut stream = hex("82534e4150505900 00000001 00000001");
    for chunk in bytes.chunks(50) {
        let length = chunk.len() as u8;
        stream.extend_from_slice(&(i32::from(length) + 2).to_be_bytes());
        stream.extend_from_slice(&[length, (length - 1) << 2]);
        stream.extend_from_slice(chunk);
    }
    stream
}

fn compressed(codec: u8, magic: u8, bytes: &[u8]) -> Vec<u8> {
    match codec {
        GZIP => {
            let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        SNAPPY => snappy(bytes),
        _ => lz4(bytes, if magic == 0 { 0x1a } else { 0x82 }),
    }
}

/// A wrapper at `offset`, of the version of `timestamp`.
fn wrapper(offset: i64, attributes: u8, timestamp: Option<i64>, inner: &[Vec<u8>]) -> Vec<u8> {
    let magic = u8::from(timestamp.is_some());
    let value = compressed(attributes & 7, magic, &inner.concat());
    entry(offset, attributes, timestamp, None, Some(&value))
}

fn found(bytes: &[u8]) -> Result<Vec<Decoded>, BatchError> {
    decode(bytes).map(|(_, records)| records)
}

fn expected(records: &[(i64, i64, &str)]) -> Vec<Decoded> {
    records.iter().map(|(offset, time, value)| Decoded::new(*offset, *time, Some("k"), Some(value))).collect()
}

#[test]
fn the_vectors_are_read() {
    for (magic, timestamp, crc) in [(0, -1, 0x1fec_d70a), (1, T, 0x3926_8c33)] {
        let bytes = hex_of(&list("legacy")[magic]["hex"]);
        let (header, records) = decode(&bytes).unwrap();
        let expected_header = BatchHeader {
            base_offset: Offset(7),
            size: bytes.len(),
            leader_epoch: LeaderEpoch::UNKNOWN,
            magic: magic as i8,
            crc,
            attributes: 0,
            last_offset_delta: 0,
            base_timestamp: TimestampMs(timestamp),
            max_timestamp: TimestampMs(timestamp),
            producer_id: ProducerId::NONE,
            producer_epoch: -1,
            base_sequence: -1,
            records_count: 1,
        };
        assert_eq!(header, expected_header);
        assert_eq!(header.next_offset(), Offset(8));
        assert_eq!(records, expected(&[(7, timestamp, "v")]));
        // The builder of these tests makes the same bytes, so what it builds below is what Kafka would have written.
        assert_eq!(plain(7, (magic == 1).then_some(T), "v"), bytes);
    }
}

#[test]
fn damage_is_refused() {
    for vector in list("legacy") {
        let bytes = hex_of(&vector["hex"]);
        for length in 0..bytes.len() {
            assert!(matches!(BatchHeader::check(&bytes[..length]), Err(BatchError::Short { .. })), "cut to {length}");
            let parsed = BatchHeader::parse(&bytes[..length]);
            assert!(parsed.is_ok() || length < 34, "34 bytes are enough for a header, not {length}");
            assert!(parsed.is_err() || length >= 18, "and 17 are not");
        }
        for at in 8..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let result = BatchHeader::check(&bytes);
                assert!(result.is_err(), "bit {bit} of byte {at}");
                assert!(at < 17 || matches!(result, Err(BatchError::Crc { .. })), "bit {bit} of byte {at}: {result:?}");
            }
        }
    }
}

#[test]
fn keys_and_values_may_be_null_or_empty() {
    for timestamp in [None, Some(T)] {
        let time = timestamp.unwrap_or(-1);
        let null = entry(3, 0, timestamp, None, None);
        assert_eq!(found(&null), Ok(vec![Decoded::new(3, time, None, None)]));
        let empty = entry(3, 0, timestamp, Some(b""), Some(b""));
        assert_eq!(found(&empty), Ok(vec![Decoded::new(3, time, Some(""), Some(""))]));
    }
}

#[test]
fn log_append_time_of_a_single_message_is_its_own() {
    let (header, records) = decode(&entry(3, LOG_APPEND_TIME, Some(T), Some(b"k"), Some(b"v"))).unwrap();
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(records, expected(&[(3, T, "v")]));
}

#[test]
fn wrapped_messages_of_version_0_have_absolute_offsets() {
    let inner = [plain(5, None, "a"), plain(6, None, "b"), plain(9, None, "c")];
    for codec in [GZIP, SNAPPY, LZ4] {
        let bytes = wrapper(9, codec, None, &inner);
        let (header, records) = decode(&bytes).unwrap();
        assert_eq!(records, expected(&[(5, -1, "a"), (6, -1, "b"), (9, -1, "c")]), "codec {codec}");
        assert_eq!((header.last_offset(), header.next_offset()), (Offset(9), Offset(10)), "codec {codec}");
        assert_eq!(decode_from(&bytes, &header, 6), Ok(records[1..].to_vec()));
        assert_eq!(decode_from(&bytes, &header, 10), Ok(Vec::new()));
    }
}

#[test]
fn wrapped_messages_of_version_1_count_from_the_wrapper() {
    let inner = [plain(0, Some(T), "a"), plain(1, Some(T + 5), "b"), plain(2, Some(T + 3), "c")];
    for codec in [GZIP, SNAPPY, LZ4] {
        let bytes = wrapper(42, codec, Some(T + 5), &inner);
        let (header, records) = decode(&bytes).unwrap();
        assert_eq!(records, expected(&[(40, T, "a"), (41, T + 5, "b"), (42, T + 3, "c")]), "codec {codec}");
        assert_eq!((header.max_timestamp, header.next_offset()), (TimestampMs(T + 5), Offset(43)));
        assert_eq!(decode_from(&bytes, &header, 41), Ok(records[1..].to_vec()));
    }
    // What a cleaner leaves has gaps.
    let inner = [plain(1, Some(T), "a"), plain(5, Some(T), "b")];
    assert_eq!(found(&wrapper(42, GZIP, Some(T), &inner)), Ok(expected(&[(38, T, "a"), (42, T, "b")])));
}

#[test]
fn a_wrapper_of_log_append_time_gives_its_time_to_all() {
    let inner = [plain(0, Some(T), "a"), plain(1, Some(T + 5), "b")];
    for codec in [GZIP, SNAPPY, LZ4] {
        let (header, records) = decode(&wrapper(1, codec | LOG_APPEND_TIME, Some(T + 99), &inner)).unwrap();
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(records, expected(&[(0, T + 99, "a"), (1, T + 99, "b")]), "codec {codec}");
    }
}

#[test]
fn the_header_checksum_of_lz4_counts_in_version_1_only() {
    let read = |timestamp: Option<i64>, checksum| {
        let value = lz4(&plain(0, timestamp, "a"), checksum);
        found(&entry(0, LZ4, timestamp, None, Some(&value)))
    };
    for checksum in [0x1a, 0x82, 0x00] {
        assert_eq!(read(None, checksum), Ok(expected(&[(0, -1, "a")])), "{checksum:x}");
    }
    assert_eq!(read(Some(T), 0x82), Ok(expected(&[(0, T, "a")])));
    assert!(matches!(read(Some(T), 0x1a), Err(BatchError::Codec(CodecError::Malformed { .. }))));
}

#[test]
fn wrappers_that_break_the_rules_are_refused() {
    for timestamp in [None, Some(T)] {
        let one = plain(0, timestamp, "a");
        let zstd = entry(0, 4, timestamp, None, Some(&one));
        assert!(matches!(found(&zstd), Err(BatchError::Rule(_))), "zstd came with version 2");
        let unknown = entry(0, 5, timestamp, None, Some(&one));
        assert_eq!(found(&unknown), Err(BatchError::Codec(CodecError::Unknown(5))));
        assert!(matches!(found(&entry(0, GZIP, timestamp, None, None)), Err(BatchError::Record { .. })), "no value");
        let nested = wrapper(0, GZIP, timestamp, &[wrapper(0, GZIP, timestamp, std::slice::from_ref(&one))]);
        assert!(matches!(found(&nested), Err(BatchError::Record { index: 0, .. })));
        let other = plain(1, if timestamp.is_none() { Some(T) } else { None }, "b");
        let mixed = wrapper(1, GZIP, timestamp, &[one.clone(), other]);
        assert!(matches!(found(&mixed), Err(BatchError::Record { index: 1, .. })), "versions are not mixed");
        for length in 1..one.len() {
            let cut = wrapper(1, SNAPPY, timestamp, &[one.clone(), one[..length].to_vec()]);
            assert!(found(&cut).is_err(), "an inner message of {length} bytes");
        }
        let malformed = entry(0, GZIP, timestamp, None, Some(b"no member"));
        assert!(matches!(found(&malformed), Err(BatchError::Codec(CodecError::Malformed { .. }))));
    }
}

/// Inner offsets are under no checksum of their own; extreme ones overflowed. Source of the rules:
/// `AbstractLegacyRecordBatch.DeepRecordsIterator`, which also takes a wrapper at 0 for one whose producer set nothing.
#[test]
fn offsets_that_a_wrapper_of_version_1_cannot_have_are_refused() {
    let read = |at: i64, inner: &[i64]| {
        let inner: Vec<Vec<u8>> = inner.iter().map(|offset| plain(*offset, Some(T), "a")).collect();
        let records = found(&wrapper(at, GZIP, Some(T), &inner))?;
        Ok::<_, BatchError>(records.iter().map(|record| record.offset).collect::<Vec<_>>())
    };
    assert_eq!(read(2, &[0, 1, 2]), Ok(vec![0, 1, 2]));
    assert_eq!(read(0, &[0, 1, 2]), Ok(vec![0, 1, 2]));
    for (at, inner) in [(1, &[0, 1, 2][..]), (5, &[0, i64::MAX]), (5, &[i64::MIN]), (i64::MAX, &[0, 9, 1])] {
        assert!(matches!(read(at, inner), Err(BatchError::Record { .. })), "{inner:?} in a wrapper at {at}");
    }
}

#[test]
fn a_wrapper_around_nothing_holds_nothing() {
    for codec in [GZIP, SNAPPY, LZ4] {
        for timestamp in [None, Some(T)] {
            assert_eq!(found(&wrapper(7, codec, timestamp, &[])), Ok(Vec::new()));
        }
    }
}

#[test]
fn what_a_wrapper_may_hold_has_a_limit() {
    let inner: Vec<Vec<u8>> = (0..100).map(|offset| plain(offset, Some(T), "a")).collect();
    let holds = inner.concat().len();
    for (bits, codec) in [(GZIP, Codec::Gzip), (SNAPPY, Codec::Snappy), (LZ4, Codec::Lz4)] {
        let bytes = wrapper(99, bits, Some(T), &inner);
        assert!(LegacyMessages::read(&bytes, holds).is_ok());
        let too_large = BatchError::Codec(CodecError::TooLarge { codec, limit: holds - 1 });
        assert_eq!(LegacyMessages::read(&bytes, holds - 1).unwrap_err(), too_large);
    }
}

#[test]
fn lengths_of_fields_must_fit_the_message() {
    let reseal = |mut bytes: Vec<u8>| {
        let mut crc = Crc::new();
        crc.update(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.sum().to_be_bytes());
        bytes
    };
    for (timestamp, key_at) in [(None, 18), (Some(T), 26)] {
        for length in [0i32, 2, 9, 1000, i32::MAX] {
            let mut bytes = plain(0, timestamp, "v");
            bytes[key_at..key_at + 4].copy_from_slice(&length.to_be_bytes());
            assert!(found(&reseal(bytes)).is_err(), "a key of {length}");
            let mut bytes = plain(0, timestamp, "v");
            let value_at = key_at + 5;
            bytes[value_at..value_at + 4].copy_from_slice(&length.to_be_bytes());
            assert!(found(&reseal(bytes)).is_err(), "a value of {length}");
        }
        // The smallest message has neither key nor value; one byte less is no message.
        let mut bytes = entry(0, 0, timestamp, None, None);
        assert!(found(&bytes).is_ok());
        let size = bytes.len() as i32 - 12;
        bytes[8..12].copy_from_slice(&(size - 1).to_be_bytes());
        assert_eq!(BatchHeader::check(&bytes), Err(BatchError::Length(i64::from(size) - 1)));
    }
}

#[test]
fn all_versions_lie_behind_each_other() {
    let parts = [plain(0, None, "a"), plain(1, Some(T), "b"), crate::vectors::batch("multi-record-at-offset-100")];
    let log = parts.concat();
    let (mut at, mut versions, mut offsets) = (0, Vec::new(), Vec::new());
    while at < log.len() {
        let (header, records) = decode(&log[at..]).unwrap();
        versions.push(header.magic);
        offsets.extend(records.iter().map(|record| record.offset));
        at += header.size;
    }
    assert_eq!((versions, offsets), (vec![0, 1, 2], vec![0, 1, 100, 101, 102, 103]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_wrapped_bytes_never_panic(
        codec in 0u8..6,
        version_1 in any::<bool>(),
        at in any::<i64>(),
        start in 0usize..60,
        garbage in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let timestamp = version_1.then_some(T);
        let inner = [plain(0, timestamp, "a"), plain(1, timestamp, "b")].concat();
        let inner = [&inner[..start.min(inner.len())], &garbage].concat();
        let bytes = wrapper(at, codec, timestamp, &[inner]);
        let _ = LegacyMessages::read(&bytes, MOST);
        let _ = decode(&bytes);
        let _ = decode(&garbage);
    }
}
