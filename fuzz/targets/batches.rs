//! The batch decoder: headers, checksums, records, codecs, the old versions, and what a leader does with a batch.

#![no_main]

use klog::record::{
    BatchBuilder, BatchError, BatchHeader, BatchOptions, Codec, CodecError, Compression, HEADER_BYTES, LeaderRules,
    LegacyMessages, Records, assign_offsets, check_client_batch, compress, decompress, restamp,
};
use klog::types::{LeaderEpoch, Offset};
use klog::{TimestampMs, TimestampType};
use klog_fuzz::{MOST_BYTES, OwnedRecord, crc32c, decode, mutate_batches};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

const EVERYTHING: Offset = Offset(i64::MIN);
const ATTRIBUTES_AT: usize = 21;
const NOW: TimestampMs = TimestampMs(1_700_000_000_000);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate_batches(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    codec_gives_back_what_it_took(bytes);
    let mut rest = bytes;
    while let Ok(header) = BatchHeader::parse(rest) {
        let checked = BatchHeader::check(rest);
        if rest.len() < header.size {
            assert!(matches!(checked, Err(BatchError::Short { .. })), "a batch that is cut off is not accepted");
            return;
        }
        let (batch, behind) = rest.split_at(header.size);
        rest = behind;
        match checked {
            Ok(checked) => {
                assert_eq!(checked, header, "checking reads the same header");
                checksum_holds(batch, &header);
            }
            Err(BatchError::Crc { stored, computed }) => assert_ne!(stored, computed),
            Err(_) => {}
        }
        // With `check.crcs=false` records are decoded whatever the checksum says.
        if let Ok(records) = decode(batch, &header, EVERYTHING) {
            from_the_middle(batch, &header, &records);
            if header.magic == 2 {
                records_agree(batch, &header, &records);
                encoding_again_gives_the_same(&header, &records);
            }
        }
        if header.magic < 2 {
            let _ = LegacyMessages::read(batch, MOST_BYTES);
        }
        a_leader_takes_it_whole_or_not_at_all(batch);
    }
});

/// No batch is accepted whose checksum is not that of its bytes, and none with a flipped bit.
fn checksum_holds(batch: &[u8], header: &BatchHeader) {
    if header.magic < 2 {
        return;
    }
    assert_eq!(crc32c(&batch[ATTRIBUTES_AT..]), header.crc, "the checksum of an accepted batch is right");
    let mut flipped = batch.to_vec();
    let bits = (batch.len() - ATTRIBUTES_AT) * 8;
    let bit = header.crc as usize % bits;
    flipped[ATTRIBUTES_AT + bit / 8] ^= 1 << (bit % 8);
    assert!(BatchHeader::check(&flipped).is_err(), "bit {bit} behind the checksum was flipped");
    let mut placed = batch.to_vec();
    restamp(&mut placed, Offset(7), LeaderEpoch(3));
    let placed = BatchHeader::check(&placed).expect("offset and epoch are outside the checksum");
    assert_eq!((placed.base_offset, placed.leader_epoch), (Offset(7), LeaderEpoch(3)));
}

/// Decoding from an offset on leaves out what is before it, and nothing else.
fn from_the_middle(batch: &[u8], header: &BatchHeader, records: &[OwnedRecord]) {
    let Some(middle) = records.get(records.len() / 2) else { return };
    let later = decode(batch, header, Offset(middle.offset)).expect("it could be decoded from the beginning");
    assert!(later.iter().eq(records.iter().filter(|record| record.offset >= middle.offset)));
}

/// Both ways to read the records of a batch say the same.
fn records_agree(batch: &[u8], header: &BatchHeader, records: &[OwnedRecord]) {
    assert_eq!(records.len(), header.records_count as usize, "a batch has the records that its header counts");
    let codec = header.codec().expect("it was decoded");
    let mut raw = Vec::new();
    if records.is_empty() || decompress(codec, &batch[HEADER_BYTES..], MOST_BYTES.max(batch.len()), &mut raw).is_err() {
        return;
    }
    let mut count = 0;
    for (view, record) in Records::new(header, &raw).zip(records) {
        let view = view.expect("it could be decoded");
        assert_eq!(view.headers().count(), view.header_count as usize);
        assert_eq!((view.offset.0, view.timestamp.0), (record.offset, record.timestamp));
        assert_eq!((view.key, view.value), (record.key.as_deref(), record.value.as_deref()));
        count += 1;
    }
    assert_eq!(count, records.len());
}

fn build(records: &[OwnedRecord], compression: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    for record in records {
        let headers: Vec<_> = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        builder.push(TimestampMs(record.timestamp), record.key.as_deref(), record.value.as_deref(), &headers);
    }
    let options = BatchOptions { compression, ..BatchOptions::default() };
    builder.finish(&options).expect("memory takes what a codec writes")
}

fn same_content(left: &[OwnedRecord], right: &[OwnedRecord], times_too: bool) {
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        assert_eq!((&left.key, &left.value, &left.headers), (&right.key, &right.value, &right.headers));
        assert!(!times_too || left.timestamp == right.timestamp, "{} is {}", left.timestamp, right.timestamp);
    }
}

/// What was decoded, encoded and decoded once more, is the same; offsets are those of a new batch.
fn encoding_again_gives_the_same(header: &BatchHeader, records: &[OwnedRecord]) {
    let codec = header.codec().expect("it was decoded");
    let batch = build(records, Compression::default_of(codec));
    let header = BatchHeader::check(&batch).expect("what klog builds is a batch");
    match decode(&batch, &header, EVERYTHING) {
        Ok(again) => {
            same_content(records, &again, true);
            assert!(again.iter().zip(0..).all(|(record, offset)| record.offset == offset));
        }
        // Shortest forms are never longer, but the limit may lie between.
        Err(BatchError::Codec(CodecError::TooLarge { .. })) => {}
        Err(error) => panic!("what klog builds can be read: {error}"),
    }
}

/// A batch that a leader accepts keeps its records; one that it refuses stays as it was.
fn a_leader_takes_it_whole_or_not_at_all(batch: &[u8]) {
    let timestamp_types = [TimestampType::CreateTime, TimestampType::LogAppendTime];
    let codecs = [None, Some(Compression::default_of(Codec::Lz4))];
    for (timestamp_type, compression) in timestamp_types.into_iter().zip(codecs) {
        let rules = LeaderRules {
            max_message_bytes: MOST_BYTES,
            timestamp_type,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: i64::MAX,
            compression,
            requires_keys: false,
            max_decompressed_bytes: MOST_BYTES,
        };
        let Ok(header) = check_client_batch(batch, &rules) else { continue };
        let mut placed = batch.to_vec();
        match assign_offsets(&mut placed, &header, &rules, Offset(1000), LeaderEpoch(5), NOW) {
            Err(_) => assert_eq!(placed, batch, "a batch that is refused stays as it was"),
            Ok(assigned) => {
                let stored = assigned.rebuilt.as_deref().unwrap_or(&placed);
                let stored_header = BatchHeader::check(stored).expect("what a leader stores is a batch");
                assert_eq!(stored_header, assigned.header);
                assert_eq!(stored_header.timestamp_type(), timestamp_type);
                let sent = decode(batch, &header, EVERYTHING).expect("it was accepted");
                let kept = decode(stored, &stored_header, EVERYTHING).expect("it was stored");
                let times_too =
                    header.timestamp_type() == timestamp_type && timestamp_type == TimestampType::CreateTime;
                same_content(&sent, &kept, times_too);
                assert!(kept.iter().zip(1000..).all(|(record, offset)| record.offset == offset));
            }
        }
    }
}

/// Every codec gives back what it took, within a limit of exactly that size, and not within a smaller one.
fn codec_gives_back_what_it_took(bytes: &[u8]) {
    let codec = Codec::ALL[bytes.len() % Codec::ALL.len()];
    let mut compressed = Vec::new();
    compress(Compression::default_of(codec), bytes, &mut compressed).expect("memory takes what a codec writes");
    let mut raw = Vec::new();
    assert_eq!(decompress(codec, &compressed, bytes.len(), &mut raw), Ok(()));
    assert_eq!(raw, bytes);
    if let Some(less) = bytes.len().checked_sub(1) {
        let result = decompress(codec, &compressed, less, &mut Vec::new());
        assert_eq!(result, Err(CodecError::TooLarge { codec, limit: less }));
    }
    let _ = decompress(codec, bytes, MOST_BYTES, &mut Vec::new());
}
