//! Bits that flip, bytes that are missing and bytes that never were a batch: refused, and never a reason to panic.

use klog::record::{BatchError, BatchHeader, ControlRecord, HEADER_BYTES, MINIMUM_READ, seal};
use proptest::prelude::*;

use crate::vectors::{batch, decode, decode_from, hex_of, list, resize_and_seal};

/// Fields in front of the checksum that it does not cover and that can hold anything a bit can make of them.
fn is_uncovered(at: usize, bit: u32) -> bool {
    match at {
        0 => bit != 7,         // base offset; its sign is checked
        1..8 | 12..16 => true, // the rest of it, and the leader epoch
        _ => false,
    }
}

#[test]
fn every_flipped_bit_that_the_checksum_covers_is_refused() {
    for vector in list("batches") {
        let original = hex_of(&vector["hex"]);
        for at in 0..original.len() {
            for bit in 0..8 {
                let mut bytes = original.clone();
                bytes[at] ^= 1 << bit;
                let result = BatchHeader::check(&bytes);
                if is_uncovered(at, bit) {
                    assert!(result.is_ok(), "bit {bit} of byte {at} of {}: {result:?}", vector["id"]);
                } else {
                    assert!(result.is_err(), "bit {bit} of byte {at} of {}", vector["id"]);
                }
                if at >= 17 {
                    assert!(matches!(result, Err(BatchError::Crc { .. })), "bit {bit} of byte {at}: {result:?}");
                }
            }
        }
    }
}

/// Everything that klog can do with a whole batch whose checksum holds.
fn use_it(bytes: &[u8]) {
    if let Ok((header, records)) = decode(bytes) {
        for record in &records {
            let _ = ControlRecord::parse(record.key.as_deref(), record.value.as_deref());
        }
        let _ = (header.next_offset(), header.last_sequence(), header.delete_horizon());
        assert_eq!(records.len(), header.records_count as usize, "a batch is decoded whole or not at all");
    }
    if let Ok(header) = BatchHeader::parse(bytes) {
        let _ = (header.next_offset(), header.last_sequence(), header.codec(), header.timestamp_type());
    }
}

#[test]
fn a_flipped_bit_under_a_checksum_that_holds_never_panics() {
    for vector in list("batches") {
        let original = hex_of(&vector["hex"]);
        for at in 0..original.len() {
            for bit in 0..8 {
                let mut bytes = original.clone();
                bytes[at] ^= 1 << bit;
                seal(&mut bytes);
                use_it(&bytes);
            }
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for vector in list("batches") {
        let original = hex_of(&vector["hex"]);
        for length in 0..original.len() {
            let cut = &original[..length];
            let needed = if length < MINIMUM_READ { MINIMUM_READ } else { original.len() } as u64;
            let short = Err(BatchError::Short { needed, available: length as u64 });
            assert_eq!(BatchHeader::check(cut), short, "{} cut to {length}", vector["id"]);
            match BatchHeader::parse(cut) {
                Ok(_) => assert!(length >= HEADER_BYTES),
                Err(error) => {
                    assert!(length < HEADER_BYTES, "{error}");
                    assert!(matches!(error, BatchError::Short { .. }), "{error}");
                }
            }
        }
    }
}

#[test]
fn every_truncation_under_a_length_and_checksum_that_hold_is_refused() {
    for vector in list("batches") {
        let original = hex_of(&vector["hex"]);
        for length in 21..original.len() {
            let mut cut = original[..length].to_vec();
            resize_and_seal(&mut cut);
            let result = decode(&cut);
            assert!(result.is_err(), "{} cut to {length}", vector["id"]);
            if length < HEADER_BYTES {
                assert_eq!(result, Err(BatchError::Length(length as i64 - 12)));
            }
        }
    }
}

#[test]
fn bytes_behind_a_batch_are_not_its_own() {
    for vector in list("batches") {
        let mut bytes = hex_of(&vector["hex"]);
        let header = BatchHeader::check(&bytes).unwrap();
        bytes.extend_from_slice(&[0xff; 40]);
        assert_eq!(BatchHeader::check(&bytes), Ok(header), "{}", vector["id"]);
    }
}

#[test]
fn impossible_lengths_and_versions_are_named() {
    let original = batch("multi-record");
    let peek = |length: i32, magic: u8| {
        let mut bytes = original.clone();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = magic;
        BatchHeader::peek(&bytes)
    };
    assert_eq!(peek(49, 2), Ok((61, 2)));
    for length in [i32::MIN, -1, 0, 13, 14, 48] {
        assert_eq!(peek(length, 2), Err(BatchError::Length(length.into())));
    }
    assert_eq!(peek(i32::MAX, 2), Ok((12 + i32::MAX as usize, 2)));
    for (magic, least) in [(0, 14), (1, 22)] {
        assert_eq!(peek(least, magic), Ok((12 + least as usize, magic as i8)));
        assert_eq!(peek(least - 1, magic), Err(BatchError::Length(i64::from(least) - 1)));
    }
    assert_eq!(peek(92, 3), Err(BatchError::Magic(3)));
    assert_eq!(peek(14, 3), Err(BatchError::Magic(3)));
    assert_eq!(peek(13, 3), Err(BatchError::Length(13)), "no version has so little");
    assert_eq!(peek(92, 0xff), Err(BatchError::Magic(-1)));
    assert_eq!(BatchHeader::peek(&[0; 64]), Err(BatchError::Length(0)), "zeros, as a crash leaves them");
}

#[test]
fn offsets_that_no_log_has_are_refused() {
    let at = |base_offset: i64, last_offset_delta: i32| {
        let mut bytes = batch("multi-record");
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[23..27].copy_from_slice(&last_offset_delta.to_be_bytes());
        seal(&mut bytes);
        BatchHeader::check(&bytes)
    };
    assert!(matches!(at(-1, 3), Err(BatchError::Rule(_))));
    assert!(matches!(at(i64::MIN, 3), Err(BatchError::Rule(_))));
    assert!(matches!(at(0, -1), Err(BatchError::Rule(_))));
    assert!(matches!(at(i64::MAX - 2, 3), Err(BatchError::Rule(_))));
    assert_eq!(at(i64::MAX - 3, 3).unwrap().last_offset().0, i64::MAX);
    assert_eq!(at(0, i32::MAX).unwrap().next_offset().0, 1 << 31);
}

/// The header's own offset delta was checked against the end of all offsets, those of the records were not: a batch near
/// the end whose records lie behind it overflowed.
#[test]
fn a_record_behind_the_end_of_all_offsets_is_refused() {
    let mut bytes = batch("multi-record");
    bytes[..8].copy_from_slice(&(i64::MAX - 2).to_be_bytes());
    bytes[23..27].copy_from_slice(&0i32.to_be_bytes());
    seal(&mut bytes);
    let header = BatchHeader::check(&bytes).unwrap();
    assert!(matches!(decode_from(&bytes, &header, 0), Err(BatchError::Record { index: 3, .. })));
}

/// The same without a check before: tools look at headers of batches that do not hold.
#[test]
fn a_header_that_was_not_checked_can_be_asked_everything() {
    for byte in [0x00, 0x7f, 0x80, 0xff] {
        let mut bytes = batch("multi-record");
        bytes[..8].fill(byte);
        bytes[21..61].fill(byte);
        use_it(&bytes);
        let header = BatchHeader::parse(&bytes).unwrap();
        let _ = decode_from(&bytes, &header, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), magic in 0u8..4) {
        let _ = BatchHeader::check(&bytes);
        use_it(&bytes);
        if bytes.len() > 61 {
            bytes[16] = magic;
            bytes[21] = 0;
            resize_and_seal(&mut bytes);
            use_it(&bytes);
        }
    }

    #[test]
    fn random_records_never_panic(
        body in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4], 0..60),
        count in 0i32..8,
        base_offset in prop_oneof![Just(0), Just(i64::MAX - 1), any::<i64>()],
        base_timestamp in any::<i64>(),
    ) {
        let mut bytes = batch("multi-record");
        bytes.truncate(HEADER_BYTES);
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&body);
        resize_and_seal(&mut bytes);
        let header = BatchHeader::parse(&bytes).unwrap();
        let _ = decode_from(&bytes, &header, 0);
        use_it(&bytes);
    }
}
