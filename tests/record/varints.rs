//! Numbers of variable length.

use klog::record::{
    read_uvarint, read_varint, read_varlong, varint_len, varlong_len, write_uvarint, write_varint, write_varlong,
};
use proptest::prelude::*;

use crate::vectors::{golden, hex, hex_of, int, list};

fn varint(value: i32) -> Vec<u8> {
    let mut out = vec![0xee];
    write_varint(&mut out, value);
    assert_eq!(out.len() - 1, varint_len(value), "{value}");
    out.split_off(1)
}

fn varlong(value: i64) -> Vec<u8> {
    let mut out = vec![0xee];
    write_varlong(&mut out, value);
    assert_eq!(out.len() - 1, varlong_len(value), "{value}");
    out.split_off(1)
}

/// What a reader makes of bytes that lie between others, and where it then stands.
fn read_at_3<T>(read: impl Fn(&[u8], &mut usize) -> Option<T>, bytes: &[u8]) -> Option<(T, usize)> {
    let mut at = 3;
    let placed = [&[0xff; 3], bytes, &[0xff; 3]].concat();
    read(&placed, &mut at).map(|value| (value, at - 3))
}

#[test]
fn the_vectors_are_written_and_read() {
    for vector in list("varint_zigzag_int32") {
        let (value, bytes) = (int(&vector["value"]) as i32, hex_of(&vector["hex"]));
        assert_eq!(varint(value), bytes, "{value}");
        assert_eq!(read_at_3(read_varint, &bytes), Some((value, bytes.len())));
        assert_eq!(varlong(value.into()), bytes, "small numbers look the same in both");
        assert_eq!(read_at_3(read_varlong, &bytes), Some((value.into(), bytes.len())));
    }
    for vector in list("varlong_zigzag_int64") {
        let (value, bytes) = (int(&vector["value"]), hex_of(&vector["hex"]));
        assert_eq!(varlong(value), bytes, "{value}");
        assert_eq!(read_at_3(read_varlong, &bytes), Some((value, bytes.len())));
    }
    assert_eq!(golden()["varint_zigzag_int32"].as_array().unwrap().len(), 16);
    assert_eq!(golden()["varlong_zigzag_int64"].as_array().unwrap().len(), 6);
}

#[test]
fn unsigned_numbers_have_no_zigzag() {
    // Values of the Protocol Buffers documentation, and the ends of each length.
    let cases: [(u32, &str); 8] = [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (150, "9601"),
        (300, "ac02"),
        (16_384, "808001"),
        (u32::MAX, "ffffffff0f"),
    ];
    for (value, digits) in cases {
        let mut out = Vec::new();
        write_uvarint(&mut out, value);
        assert_eq!(out, hex(digits), "{value}");
        assert_eq!(read_at_3(read_uvarint, &out), Some((value, out.len())));
    }
}

#[test]
fn numbers_that_are_cut_off_are_refused() {
    for bytes in [varint(i32::MIN), varint(64), varlong(i64::MAX), varlong(-86_500_000_000)] {
        for length in 0..bytes.len() {
            let mut at = 0;
            assert_eq!(read_varint(&bytes[..length], &mut at), None);
            assert_eq!(read_varlong(&bytes[..length], &mut at), None);
            assert_eq!(read_uvarint(&bytes[..length], &mut at), None);
            assert_eq!(at, 0, "a refused number is not passed over");
        }
    }
    assert_eq!(read_varint(&[2], &mut 1), None);
    assert_eq!(read_varint(&[2], &mut 9), None);
}

#[test]
fn five_bytes_and_ten_are_the_limit() {
    // −1 in its longest form: the groups above the first are zero.
    let long = |bytes: usize| [vec![0x81], vec![0x80; bytes - 2], vec![0]].concat();
    for bytes in 2..=5 {
        assert_eq!(read_at_3(read_varint, &long(bytes)), Some((-1, bytes)));
    }
    for bytes in 2..=10 {
        assert_eq!(read_at_3(read_varlong, &long(bytes)), Some((-1, bytes)));
    }
    assert_eq!(read_at_3(read_varint, &long(6)), None);
    assert_eq!(read_at_3(read_uvarint, &long(6)), None);
    assert_eq!(read_at_3(read_varlong, &long(11)), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read(value in any::<i64>(), shift in 0u32..64) {
        let value = value >> shift; // all magnitudes
        let bytes = varlong(value);
        prop_assert!(bytes.len() <= 10);
        prop_assert_eq!(read_at_3(read_varlong, &bytes), Some((value, bytes.len())));
        let value = value as i32;
        let bytes = varint(value);
        prop_assert!(bytes.len() <= 5);
        prop_assert_eq!(read_at_3(read_varint, &bytes), Some((value, bytes.len())));
        let (mut out, value) = (Vec::new(), value as u32);
        write_uvarint(&mut out, value);
        prop_assert_eq!(read_at_3(read_uvarint, &out), Some((value, out.len())));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..12), at in 0usize..14) {
        for end in [read_varint(&bytes, &mut at.clone()).is_some(), read_varlong(&bytes, &mut at.clone()).is_some()] {
            prop_assert!(!end || at < bytes.len());
        }
    }
}
