//! Checkpoints: small texts of numbers, read with care.

use klog::TopicPartition;
use klog::log::{CheckpointFile, Offsets, format_epochs, format_offsets, parse_epochs, parse_offsets};
use klog::types::{LeaderEpoch, Offset};
use proptest::prelude::*;

use crate::vectors::golden;

/// A text file of the golden partition directory.
fn text(path: &str) -> &'static str {
    let files = golden()["partition_dir"]["files"].as_array().unwrap();
    files.iter().find(|file| file["path"] == path).unwrap()["text"].as_str().unwrap()
}

fn offsets(entries: &[(&str, i32, i64)]) -> Offsets {
    entries
        .iter()
        .map(|(topic, partition, offset)| (TopicPartition::new(*topic, *partition), Offset(*offset)))
        .collect()
}

fn epochs(entries: &[(i32, i64)]) -> Vec<(LeaderEpoch, Offset)> {
    entries.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start))).collect()
}

#[test]
fn the_golden_files_go_both_ways() {
    let cases =
        [(CheckpointFile::RecoveryPoint, offsets(&[("fx", 0, 17)])), (CheckpointFile::LogStart, Offsets::new())];
    for (file, expected) in cases {
        let text = text(file.name()).as_bytes();
        assert_eq!(parse_offsets(text), Ok(expected.clone()), "{}", file.name());
        assert_eq!(format_offsets(&expected), text, "{}", file.name());
    }
    let text = text("fx-0/leader-epoch-checkpoint").as_bytes();
    let expected = epochs(&[(1, 0), (2, 5)]);
    assert_eq!(parse_epochs(text), Ok(expected.clone()));
    assert_eq!(format_epochs(&expected), text);
}

#[test]
fn the_four_files_have_kafkas_names() {
    let names = [
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "replication-offset-checkpoint",
        "cleaner-offset-checkpoint",
    ];
    assert_eq!(CheckpointFile::ALL.map(CheckpointFile::name), names);
}

#[test]
fn an_empty_file_has_no_entries() {
    assert_eq!(parse_offsets(b""), Ok(Offsets::new()));
    assert_eq!(parse_epochs(b""), Ok(Vec::new()));
    assert_eq!((format_offsets(&Offsets::new()), format_epochs(&[])), (b"0\n0\n".to_vec(), b"0\n0\n".to_vec()));
}

#[test]
fn fields_may_be_apart_and_the_last_line_may_lack_its_end() {
    let expected = Ok(offsets(&[("a.b-c_d", 12, i64::MAX), ("t", 0, 0)]));
    for text in [
        "0\n2\na.b-c_d 12 9223372036854775807\nt 0 0\n",
        "0\n2\nt 0 0\na.b-c_d 12 9223372036854775807",
        "0\r\n2\r\nt 0 0\r\na.b-c_d 12 9223372036854775807\r\n",
        "0\n2\nt\t0  0\n a.b-c_d 12 9223372036854775807 \n",
    ] {
        assert_eq!(parse_offsets(text.as_bytes()), expected, "{text:?}");
    }
    let ends = Ok(epochs(&[(0, 5), (7, 5), (i32::MAX, i64::MAX)]));
    assert_eq!(parse_epochs(b"0\n3\n0 5\n7 5\n2147483647 9223372036854775807"), ends, "starts may be equal");
}

/// What is wrong with a text of either kind.
fn refused_by(parse: impl Fn(&[u8]) -> Option<String>, cases: &[(&str, &str)]) {
    for (text, sentence) in cases {
        let error = parse(text.as_bytes()).unwrap_or_else(|| panic!("{text:?} was read"));
        assert_eq!(error, *sentence, "{text:?}");
    }
}

#[test]
fn malformed_offset_checkpoints_are_refused_with_a_sentence() {
    let cases = [
        ("1\n0\n", "its version is '1', and 0 is known"),
        ("-1\n0\n", "its version is '-1', and 0 is known"),
        ("x\n0\n", "its version is 'x', and 0 is known"),
        ("\n", "its version is '', and 0 is known"),
        ("t 0 5\n", "its version is 't 0 5', and 0 is known"),
        ("0", "it ends after the version"),
        ("0\n", "it ends after the version"),
        ("0\nx\n", "its count is 'x'"),
        ("0\n-1\n", "its count is '-1'"),
        ("0\n\n", "its count is ''"),
        ("0\n99999999999999999999\n", "its count is '99999999999999999999'"),
        ("0\n2\nt 0 5\n", "it has 1 entries and says 2"),
        ("0\n1\nt 0 5\nt 1 5\n", "it has 2 entries and says 1"),
        ("0\n0\nt 0 5\n", "it has 1 entries and says 0"),
        ("0\n1\nt 0\n", "line 't 0' does not have 3 fields"),
        ("0\n1\nt 0 5 6\n", "line 't 0 5 6' does not have 3 fields"),
        ("0\n1\n\nt 0 5\n", "line '' does not have 3 fields"),
        ("0\n1\nt x 5\n", "'x' is not a number"),
        ("0\n1\nt 0 x\n", "'x' is not a number"),
        ("0\n1\nt 0 5.0\n", "'5.0' is not a number"),
        ("0\n1\nt 2147483648 5\n", "'2147483648' is not a number"),
        ("0\n1\nt 0 9223372036854775808\n", "'9223372036854775808' is not a number"),
        ("0\n1\nt 0 -1\n", "offset -1 of t-0 is negative"),
    ];
    refused_by(|bytes| parse_offsets(bytes).err(), &cases);
}

#[test]
fn malformed_epoch_checkpoints_are_refused_with_a_sentence() {
    let cases = [
        ("1\n0\n", "its version is '1', and 0 is known"),
        ("0\n", "it ends after the version"),
        ("0\n2\n1 0\n", "it has 1 entries and says 2"),
        ("0\n1\n1 0 0\n", "line '1 0 0' does not have 2 fields"),
        ("0\n1\nx 0\n", "'x' is not a number"),
        ("0\n1\n2147483648 0\n", "'2147483648' is not a number"),
        ("0\n1\n-1 0\n", "epoch -1 at offset 0 is out of order"),
        ("0\n1\n1 -5\n", "epoch 1 at offset -5 is out of order"),
        ("0\n2\n2 0\n1 5\n", "epoch 1 at offset 5 is out of order"),
        ("0\n2\n1 0\n1 5\n", "epoch 1 at offset 5 is out of order"),
        ("0\n2\n1 6\n2 5\n", "epoch 2 at offset 5 is out of order"),
    ];
    refused_by(|bytes| parse_epochs(bytes).err(), &cases);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for bytes in [&b"0\n1\n\xff 0 5\n"[..], b"\xff", b"0\n0\n\xc3"] {
        assert_eq!(parse_offsets(bytes), Err("it is not text".to_owned()));
        assert_eq!(parse_epochs(bytes), Err("it is not text".to_owned()));
    }
    // What a crash leaves of a file whose length was written before its content.
    parse_offsets(&[0; 40]).unwrap_err();
    parse_epochs(&[0; 40]).unwrap_err();
}

#[test]
fn every_text_that_is_cut_off_is_refused_or_plainly_shorter() {
    let whole = format_offsets(&offsets(&[("a", 0, 17), ("b", 3, 4)]));
    for length in 1..whole.len() {
        match parse_offsets(&whole[..length]) {
            // Digits may be missing at the very end, which nothing in the format can show.
            Ok(found) => assert_eq!((length, found), (whole.len() - 1, offsets(&[("a", 0, 17), ("b", 3, 4)]))),
            Err(sentence) => assert!(!sentence.is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn offsets_go_both_ways(
        entries in proptest::collection::btree_map(("[a-zA-Z0-9._-]{1,20}", 0..i32::MAX), 0..i64::MAX, 0..20),
    ) {
        let offsets: Offsets = entries
            .into_iter()
            .map(|((topic, partition), offset)| (TopicPartition::new(topic, partition), Offset(offset)))
            .collect();
        prop_assert_eq!(parse_offsets(&format_offsets(&offsets)), Ok(offsets));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[0-9a -]{0,3}\n[0-9]{0,2}\n([a0-9 -]{0,9}\n){0,3}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            let _ = parse_offsets(bytes);
            if let Ok(epochs) = parse_epochs(bytes) {
                prop_assert_eq!(parse_epochs(&format_epochs(&epochs)), Ok(epochs));
            }
        }
    }
}
