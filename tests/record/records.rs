//! The layout of a record, rule by rule: what is read although nobody writes it, and what is refused.

use klog::TimestampType;
use klog::record::{BatchBuilder, BatchError, BatchHeader, BatchOptions, HEADER_BYTES, write_varint, write_varlong};
use klog::types::TimestampMs;

use crate::vectors::{Decoded, T, batch, decode, resize_and_seal, with_body};

/// A batch of `count` records whose encoded bytes are `body`.
fn records(count: i32, body: &[u8]) -> Result<Vec<Decoded>, BatchError> {
    let mut bytes = with_body(&batch("multi-record"), 0, body);
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    resize_and_seal(&mut bytes);
    decode(&bytes).map(|(_, records)| records)
}

/// The rule that the only record of a batch breaks.
fn broken(body: &[u8]) -> &'static str {
    match records(1, body) {
        Err(BatchError::Record { index: 0, what }) => what,
        other => panic!("{other:?}"),
    }
}

/// A record with nothing in it: attributes, three zeros of deltas and key, a null value, no headers.
const PLAIN: [u8; 7] = [12, 0, 0, 0, 1, 1, 0];

#[test]
fn a_record_of_nothing_is_a_record() {
    assert_eq!(records(1, &PLAIN), Ok(vec![Decoded::new(0, T, None, None)]));
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    for length in [-1, -7, i32::MIN] {
        let mut body = Vec::new();
        write_varint(&mut body, length);
        body.extend_from_slice(&PLAIN[1..]);
        assert_eq!(broken(&body), "it is longer than the batch", "{length}");
    }
    assert_eq!(broken(&[14, 0, 0, 0, 1, 1, 0]), "it is longer than the batch", "a byte too many is claimed");
    assert_eq!(broken(&[10, 0, 0, 0, 1, 1, 0]), "its header count is cut off or too long", "a byte too few");
    assert_eq!(broken(&[14, 0, 0, 0, 1, 1, 0, 9]), "its length does not match its content");
    assert_eq!(broken(&[0]), "its attributes are missing");
    assert_eq!(broken(&[0x80]), "its length is cut off or too long");
    assert_eq!(broken(&[0xff; 6]), "its length is cut off or too long");
}

#[test]
fn fields_end_where_the_record_ends() {
    // Each would fit the batch, since another record follows, but not its record.
    let next = [0x55; 40];
    let cases: [(&[u8], &str); 6] = [
        (&[4, 0, 0x80], "its timestamp is cut off or too long"),
        (&[6, 0, 0, 0x80], "its offset is cut off or too long"),
        (&[12, 0, 0, 0, 6, b'k', b'k'], "its key is cut off"),
        (&[12, 0, 0, 0, 1, 4, b'v'], "its value is cut off"),
        (&[16, 0, 0, 0, 1, 1, 2, 4, b'n'], "a header's name is null or cut off"),
        (&[18, 0, 0, 0, 1, 1, 2, 2, b'n', 2], "a header's value is cut off"),
    ];
    for (record, expected) in cases {
        let body: Vec<u8> = [record, &next].concat();
        assert_eq!(broken(&body), expected, "{record:x?}");
    }
}

#[test]
fn header_counts_that_cannot_be_are_refused() {
    for count in [-1, -2, i32::MIN, 3, i32::MAX] {
        let mut record = vec![0, 0, 0, 1, 1];
        write_varint(&mut record, count);
        record.extend_from_slice(&[0, 1]); // an empty name and a null value: two bytes
        let mut body = Vec::new();
        write_varint(&mut body, record.len() as i32);
        body.extend_from_slice(&record);
        assert_eq!(broken(&body), "its header count is impossible", "{count}");
    }
}

#[test]
fn a_header_needs_a_name_and_not_a_value() {
    let mut expected = Decoded::new(0, T, None, None);
    expected.headers = vec![(String::new(), None)];
    assert_eq!(records(1, &[16, 0, 0, 0, 1, 1, 2, 0, 1]), Ok(vec![expected]));
    assert_eq!(broken(&[16, 0, 0, 0, 1, 1, 2, 1, 1]), "a header's name is null or cut off");
}

#[test]
fn any_negative_length_is_null() {
    let mut expected = Decoded::new(0, T, None, None);
    expected.headers = vec![("n".to_owned(), None)];
    for null in [1, 3, 0x7f] {
        assert_eq!(records(1, &[18, 0, 0, 0, null, null, 2, 2, b'n', null]), Ok(vec![expected.clone()]));
    }
}

#[test]
fn attributes_of_a_record_are_ignored() {
    assert_eq!(records(1, &[12, 0xff, 0, 0, 1, 1, 0]), Ok(vec![Decoded::new(0, T, None, None)]));
}

#[test]
fn over_long_numbers_are_read_up_to_their_limit() {
    let long = |value: u8, bytes: usize| {
        let mut form = vec![0x80; bytes];
        form[0] |= value;
        form[bytes - 1] = 0;
        form
    };
    let record = |timestamp: usize, offset: usize| {
        let content = [&[0][..], &long(2, timestamp), &long(4, offset), &[1, 1, 0]].concat();
        [&[content.len() as u8 * 2][..], &content].concat()
    };
    assert_eq!(records(1, &record(10, 5)), Ok(vec![Decoded::new(2, T + 1, None, None)]));
    assert_eq!(broken(&record(11, 5)), "its timestamp is cut off or too long");
    assert_eq!(broken(&record(10, 6)), "its offset is cut off or too long");
}

#[test]
fn the_count_and_the_bytes_must_agree() {
    let two = [PLAIN, PLAIN].concat();
    assert_eq!(records(2, &two).unwrap().len(), 2);
    assert_eq!(records(1, &two), Err(BatchError::Trailing(7)));
    assert_eq!(records(0, &two), Err(BatchError::Trailing(14)));
    assert!(matches!(records(3, &two), Err(BatchError::Record { index: 2, .. })));
    assert!(matches!(records(i32::MAX, &two), Err(BatchError::Record { index: 2, .. })));
    for count in [-1, i32::MIN] {
        assert!(matches!(records(count, &two), Err(BatchError::Rule(_))), "{count}");
    }
}

#[test]
fn offsets_and_times_count_from_the_header() {
    let mut record = vec![0];
    write_varlong(&mut record, -86_500_000_000);
    write_varint(&mut record, i32::MAX);
    record.extend_from_slice(&[1, 1, 0]);
    let body = [&[record.len() as u8 * 2][..], &record].concat();
    assert_eq!(records(1, &body), Ok(vec![Decoded::new(i32::MAX.into(), T - 86_500_000_000, None, None)]));
}

#[test]
fn log_append_time_hides_the_deltas() {
    let record = [20, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1, 1, 0];
    let mut bytes = with_body(&batch("log-append-time"), 8, &record);
    bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
    resize_and_seal(&mut bytes);
    let (header, found) = decode(&bytes).unwrap();
    assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(found, [Decoded::new(50, T + 999, None, None)]);
}

#[test]
fn equal_header_names_keep_their_order() {
    let mut builder = BatchBuilder::with_capacity(0);
    let headers = [("n", Some(&b"2"[..])), ("m", None), ("n", Some(b"1")), ("", Some(b""))];
    builder.push(TimestampMs(T), None, None, &headers);
    let bytes = builder.finish(&BatchOptions::default()).unwrap();
    let (_, found) = decode(&bytes).unwrap();
    assert_eq!(found[0].header_refs(), headers);
}

#[test]
fn a_batch_of_no_records_is_a_header() {
    let bytes = BatchBuilder::with_capacity(0).finish(&BatchOptions::default()).unwrap();
    let (header, found) = decode(&bytes).unwrap();
    assert_eq!((bytes.len(), header.records_count, found.len()), (HEADER_BYTES, 0, 0));
    assert_eq!((header.base_timestamp, header.max_timestamp), (TimestampMs::NONE, TimestampMs::NONE));
    assert_eq!(BatchHeader::parse(&bytes), Ok(header));
}
