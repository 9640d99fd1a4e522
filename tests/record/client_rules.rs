//! What a leader refuses to append, rule by rule; a refused batch is left as it was sent.

use klog::TimestampType;
use klog::record::{
    Assigned, BatchBuilder, BatchError, BatchHeader, BatchOptions, Codec, CodecError, Compression, LeaderRules,
    assign_offsets, check_client_batch, control_batch,
};
use klog::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};

use crate::vectors::{T, batch, hex_of, list, resize_and_seal, with_body};

const NOW: i64 = T + 1000;

fn rules() -> LeaderRules {
    LeaderRules {
        max_message_bytes: 1_048_588,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compression: None,
        requires_keys: false,
        max_decompressed_bytes: 1 << 20,
    }
}

/// Checks and places `sent` as a leader does.
fn append(sent: &[u8], rules: &LeaderRules) -> Result<Assigned, BatchError> {
    let header = check_client_batch(sent, rules)?;
    let mut bytes = sent.to_vec();
    let place = (Offset(42), LeaderEpoch(7), TimestampMs(NOW));
    let result = assign_offsets(&mut bytes, &header, rules, place.0, place.1, place.2);
    let is_left_alone = result.as_ref().map_or(true, |assigned| assigned.rebuilt.is_some());
    assert_eq!(bytes == sent, is_left_alone, "what is refused or rebuilt is not touched, anything else is");
    result
}

fn refused(sent: &[u8], rules: &LeaderRules) -> BatchError {
    append(sent, rules).map(|assigned| assigned.header).unwrap_err()
}

/// The sentence of the rule that `sent` breaks.
fn broken_rule(sent: &[u8], rules: &LeaderRules) -> String {
    match refused(sent, rules) {
        BatchError::Rule(sentence) => sentence,
        other => panic!("{other:?}"),
    }
}

fn bad_timestamp(sent: &[u8], rules: &LeaderRules) -> String {
    match refused(sent, rules) {
        BatchError::Timestamp(sentence) => sentence,
        other => panic!("{other:?}"),
    }
}

/// A batch of four records, with `bytes` at `at` and a checksum that holds.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut sent = batch("multi-record");
    sent[at..at + bytes.len()].copy_from_slice(bytes);
    resize_and_seal(&mut sent);
    sent
}

fn with_options(options: &BatchOptions, times: &[i64]) -> Vec<u8> {
    let mut builder = BatchBuilder::with_capacity(0);
    for time in times {
        builder.push(TimestampMs(*time), Some(b"k"), Some(b"v"), &[]);
    }
    builder.finish(options).unwrap()
}

fn at_times(times: &[i64]) -> Vec<u8> {
    with_options(&BatchOptions::default(), times)
}

#[test]
fn a_batch_that_keeps_the_rules_is_taken() {
    let assigned = append(&batch("multi-record"), &rules()).unwrap();
    assert!(assigned.rebuilt.is_none());
    assert_eq!(assigned.header.base_offset, Offset(42));
}

#[test]
fn a_base_offset_that_is_not_0_is_refused() {
    assert_eq!(
        broken_rule(&batch("multi-record-at-offset-100"), &rules()),
        "a producer's batch begins at offset 0, not 100"
    );
    broken_rule(&changed(0, &1i64.to_be_bytes()), &rules());
    broken_rule(&changed(0, &(-1i64).to_be_bytes()), &rules());
}

#[test]
fn a_count_that_does_not_fit_the_offsets_is_refused() {
    for delta in [0i32, 2, 4, i32::MAX] {
        let sentence = broken_rule(&changed(23, &delta.to_be_bytes()), &rules());
        assert_eq!(sentence, format!("last offset delta {delta} does not fit 4 records"));
    }
    for delta in [-1i32, i32::MIN] {
        broken_rule(&changed(23, &delta.to_be_bytes()), &rules());
    }
    for count in [3i32, 5, i32::MAX] {
        let sentence = broken_rule(&changed(57, &count.to_be_bytes()), &rules());
        assert_eq!(sentence, format!("last offset delta 3 does not fit {count} records"));
    }
}

#[test]
fn a_count_that_does_not_fit_the_records_is_refused() {
    // Offsets and count agree with each other, and not with what follows them.
    let claim = |count: i32| {
        let mut sent = changed(57, &count.to_be_bytes());
        sent[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        resize_and_seal(&mut sent);
        refused(&sent, &rules())
    };
    assert!(matches!(claim(5), BatchError::Record { index: 4, .. }));
    assert!(matches!(claim(3), BatchError::Trailing(_)));
}

#[test]
fn a_batch_without_records_is_refused() {
    for count in [0i32, -1, i32::MIN] {
        let sentence = broken_rule(&changed(57, &count.to_be_bytes()), &rules());
        assert_eq!(sentence, format!("a producer's batch cannot have {count} records"));
    }
    let mut header_only = hex_of(&list("transformations")[4]["output_hex"]);
    header_only[..8].fill(0);
    assert_eq!(broken_rule(&header_only, &rules()), "a producer's batch cannot have 0 records");
}

#[test]
fn control_batches_of_clients_are_refused() {
    let mut marker = batch("control-commit");
    marker[..8].fill(0);
    let change = hex_of(&list("batches").iter().find(|v| v["id"] == "control-leader-change").unwrap()["hex"]);
    let footer =
        control_batch(&[klog::record::ControlRecord::SnapshotFooter], TimestampMs(T), Offset(0), LeaderEpoch(-1));
    for sent in [marker, change, footer] {
        assert_eq!(broken_rule(&sent, &rules()), "clients cannot write control batches");
    }
}

#[test]
fn a_producer_id_needs_a_sequence_number() {
    for base_sequence in [-1, i32::MIN] {
        let options = BatchOptions { producer_id: ProducerId(0), base_sequence, ..BatchOptions::default() };
        let sentence = broken_rule(&with_options(&options, &[T]), &rules());
        assert_eq!(sentence, format!("producer id 0 needs a sequence number, not {base_sequence}"));
    }
    let options = BatchOptions { producer_id: ProducerId(0), base_sequence: 0, ..BatchOptions::default() };
    append(&with_options(&options, &[T]), &rules()).unwrap();
    let options = BatchOptions { base_sequence: 5, ..BatchOptions::default() };
    append(&with_options(&options, &[T]), &rules()).unwrap(); // without an id it means nothing
}

#[test]
fn two_batches_in_one_append_are_refused() {
    let sent = [batch("multi-record"), batch("key-value-headers")].concat();
    assert_eq!(broken_rule(&sent, &rules()), "106 bytes follow the batch; one append takes one batch");
    let sent = [batch("multi-record"), vec![0]].concat();
    assert_eq!(broken_rule(&sent, &rules()), "1 bytes follow the batch; one append takes one batch");
}

#[test]
fn a_batch_above_max_message_bytes_is_refused() {
    let sent = batch("multi-record");
    let limited = |limit| LeaderRules { max_message_bytes: limit, ..rules() };
    append(&sent, &limited(sent.len())).unwrap();
    let too_large = BatchError::TooLarge { size: sent.len(), limit: sent.len() - 1 };
    assert_eq!(refused(&sent, &limited(sent.len() - 1)), too_large);
}

#[test]
fn a_batch_that_grows_above_max_message_bytes_by_another_codec_is_refused() {
    let sent = batch("codec-zstd");
    let grows = LeaderRules { max_message_bytes: 1220, compression: Some(Compression::NONE), ..rules() };
    assert_eq!(refused(&sent, &grows), BatchError::TooLarge { size: 1221, limit: 1220 });
    append(&sent, &LeaderRules { max_message_bytes: 1221, ..grows }).unwrap();
}

#[test]
fn a_batch_that_is_not_whole_or_does_not_hold_is_refused() {
    let mut sent = batch("multi-record");
    sent[70] ^= 1;
    assert!(matches!(refused(&sent, &rules()), BatchError::Crc { .. }));
    assert!(matches!(refused(&sent[..103], &rules()), BatchError::Short { needed: 104, available: 103 }));
    assert!(matches!(refused(&sent[..3], &rules()), BatchError::Short { .. }));
    for (at, version) in [(0, 0), (1, 1)] {
        let old = hex_of(&list("legacy")[at]["hex"]);
        assert_eq!(refused(&old, &rules()), BatchError::Magic(version), "old versions are read, not written");
    }
}

#[test]
fn what_cannot_be_decoded_is_refused() {
    let codec_5 = changed(21, &5i16.to_be_bytes());
    assert_eq!(refused(&codec_5, &rules()), BatchError::Codec(CodecError::Unknown(5)));
    for codec in [1i16, 2, 3, 4] {
        let sent = with_body(&batch("multi-record"), codec, &[0xff; 40]);
        assert!(matches!(refused(&sent, &rules()), BatchError::Codec(CodecError::Malformed { .. })), "{codec}");
    }
    let bomb = LeaderRules { max_decompressed_bytes: 1159, ..rules() };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let id = &format!("codec-{codec}");
        let too_large = BatchError::Codec(CodecError::TooLarge { codec, limit: 1159 });
        assert_eq!(refused(&batch(id), &bomb), too_large);
        append(&batch(id), &LeaderRules { max_decompressed_bytes: 1160, ..rules() }).unwrap();
    }
}

#[test]
fn timestamps_outside_the_window_are_refused() {
    let window = LeaderRules { timestamp_before_max_ms: 500, timestamp_after_max_ms: 300, ..rules() };
    append(&at_times(&[NOW, NOW - 500, NOW + 300]), &window).unwrap();
    assert_eq!(
        bad_timestamp(&at_times(&[NOW, NOW - 501]), &window),
        format!("timestamp {} of record 1 is 501 ms old and message.timestamp.before.max.ms is 500", NOW - 501)
    );
    assert_eq!(
        bad_timestamp(&at_times(&[NOW, NOW, NOW + 301]), &window),
        format!("timestamp {} of record 2 is 301 ms ahead and message.timestamp.after.max.ms is 300", NOW + 301)
    );
    append(&at_times(&[-1, NOW]), &window).unwrap(); // no timestamp is no wrong one
    bad_timestamp(&at_times(&[-2]), &window);
    bad_timestamp(&at_times(&[i64::MIN]), &window);
    bad_timestamp(&at_times(&[i64::MAX]), &window);
    for codec in Codec::ALL {
        let options = BatchOptions { compression: Compression::default_of(codec), ..BatchOptions::default() };
        bad_timestamp(&with_options(&options, &[NOW, NOW + 301]), &window);
    }
}

#[test]
fn the_window_does_not_concern_a_topic_of_log_append_time() {
    let narrow = LeaderRules {
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: 0,
        timestamp_after_max_ms: 0,
        ..rules()
    };
    let assigned = append(&at_times(&[0, i64::MAX]), &narrow).unwrap();
    assert_eq!(assigned.header.max_timestamp, TimestampMs(NOW));
}

#[test]
fn a_producer_cannot_claim_log_append_time() {
    let claim = |time: i64| {
        let options = BatchOptions { timestamp_type: TimestampType::LogAppendTime, ..BatchOptions::default() };
        with_options(&options, &[time])
    };
    let expected = "a producer's batch cannot claim LogAppendTime";
    assert_eq!(bad_timestamp(&claim(-1), &rules()), expected, "on a topic of CreateTime, without a timestamp");
    let log_time = LeaderRules { timestamp_type: TimestampType::LogAppendTime, ..rules() };
    assert_eq!(bad_timestamp(&claim(NOW), &log_time), expected, "on a topic of LogAppendTime, with one");
    assert_eq!(bad_timestamp(&claim(-1), &log_time), expected, "and without");
    // With a timestamp in the window a topic of CreateTime takes it, and clears the claim.
    let assigned = append(&claim(NOW), &rules()).unwrap();
    assert_eq!(assigned.header.timestamp_type(), TimestampType::CreateTime);
}

#[test]
fn a_compacted_topic_needs_keys() {
    let compacted = LeaderRules { requires_keys: true, ..rules() };
    let sentence = broken_rule(&batch("multi-record"), &compacted);
    assert_eq!(sentence, "record 1 has no key, and the topic is compacted");
    append(&batch("key-value-headers-kafka"), &compacted).unwrap();
    let mut builder = BatchBuilder::with_capacity(0);
    builder.push(TimestampMs(T), Some(b""), None, &[]);
    append(&builder.finish(&BatchOptions::default()).unwrap(), &compacted).unwrap(); // an empty key is a key
}

#[test]
fn a_refused_batch_is_not_touched() {
    // `append` compares the bytes for every refusal above; here the last rule of the last record, at its latest.
    let window = LeaderRules {
        timestamp_after_max_ms: 0,
        timestamp_type: TimestampType::CreateTime,
        compression: Some(Compression::default_of(Codec::Lz4)),
        ..rules()
    };
    let sent = at_times(&[NOW - 3, NOW - 2, NOW + 1]);
    let mut bytes = sent.clone();
    let header = BatchHeader::check(&sent).unwrap();
    let result = assign_offsets(&mut bytes, &header, &window, Offset(42), LeaderEpoch(7), TimestampMs(NOW));
    assert!(matches!(result, Err(BatchError::Timestamp(_))));
    assert_eq!(bytes, sent);
}
