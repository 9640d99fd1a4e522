//! `klog offsets`, `klog segments`, `klog configs` and `klog verify`.

use crate::command::Place;

/// Two partitions: three records in the first one, in two batches, none in the second.
fn place_with_records() -> Place {
    let place = Place::new();
    place.done(&["topics", "create", "t", "--partitions", "2"]);
    place.done_with(&["produce", "t", "-p", "0", "--timestamp", "1000"], b"one\ntwo\n");
    place.done_with(&["produce", "t", "-p", "0", "--timestamp", "3000", "-z", "lz4"], b"three\n");
    place
}

fn fields(said: &str) -> Vec<Vec<&str>> {
    said.lines().map(|line| line.split('\t').collect()).collect()
}

#[test]
fn offsets_are_shown_for_both_ends_and_for_a_time() {
    let place = place_with_records();
    let said = place.done(&["offsets"]);
    let expected: [&[&str]; 3] = [
        &["Topic", "Partition", "EarliestOffset", "LatestOffset", "Records"],
        &["t", "0", "0", "3", "3"],
        &["t", "1", "0", "0", "0"],
    ];
    assert_eq!(fields(&said), expected);
    for (when, offset, timestamp) in [
        ("earliest", "0", "-1"),
        ("latest", "3", "-1"),
        ("max-timestamp", "2", "3000"),
        ("1001", "2", "3000"),
        ("1970-01-01T00:00:01Z", "0", "1000"),
        ("3001", "-1", "-1"),
    ] {
        let said = place.done(&["offsets", "t", "-p", "0", "--at", when]);
        assert_eq!(fields(&said)[1], ["t", "0", offset, timestamp], "{when}");
    }
    assert!(place.fails(&["offsets", "tt"]).contains("did you mean 't'"));
    assert!(place.fails(&["offsets", "t", "-p", "2"]).contains("partitions 0 to 1, and not 2"));
}

#[test]
fn segments_and_batches_are_listed_as_they_lie_in_the_files() {
    let place = place_with_records();
    let bytes = std::fs::metadata(place.file("t-0/00000000000000000000.log")).unwrap().len().to_string();
    let said = place.done(&["segments", "t"]);
    let lines = fields(&said);
    assert_eq!(
        lines[0],
        ["Partition", "BaseOffset", "NextOffset", "Batches", "Records", "Bytes", "MaxTimestamp", "State"]
    );
    assert_eq!(lines[1], ["0", "0", "3", "2", "3", &bytes, "3000", "active"]);
    assert_eq!(lines[2], ["1", "0", "0", "0", "0", "0", "-1", "active"]);

    let said = place.done(&["segments", "t", "--batches"]);
    let lines = fields(&said);
    let cell = |line: usize, name: &str| lines[line][lines[0].iter().position(|heading| *heading == name).unwrap()];
    assert_eq!(lines.len(), 3, "the heading and two batches: {said}");
    assert_eq!((cell(1, "BaseOffset"), cell(1, "LastOffset"), cell(1, "Codec")), ("0", "1", "none"));
    assert_eq!((cell(2, "BaseOffset"), cell(2, "LastOffset"), cell(2, "Codec")), ("2", "2", "lz4"));
    assert_eq!(cell(2, "Position"), cell(1, "Bytes"), "one behind the other");
    assert_eq!(place.done(&["segments", "t", "-b", "-p", "0", "--offset", "1", "-n", "1"]).lines().count(), 2);
    assert!(place.fails(&["segments", "t", "-b", "-p", "0", "--offset", "4"]).contains("offset 4"));
}

#[test]
fn settings_are_shown_with_their_sources_and_changed() {
    let place = place_with_records();
    // What klog records for all brokers when it makes a directory.
    let kept = ["retention.ms", "-1", "DYNAMIC_DEFAULT_BROKER_CONFIG"];
    assert_eq!(fields(&place.done(&["configs", "t"])), [["Name", "Value", "Source"], kept]);
    assert_eq!(place.done(&["configs", "t", "--add-config", "max.message.bytes=2000"]), "");
    assert_eq!(place.done(&["configs", "--add-config", "log.retention.bytes=5000"]), "");
    let said = place.done(&["configs", "t"]);
    let expected = [
        ["Name", "Value", "Source"],
        ["max.message.bytes", "2000", "DYNAMIC_TOPIC_CONFIG"],
        ["retention.bytes", "5000", "DYNAMIC_DEFAULT_BROKER_CONFIG"],
        kept,
    ];
    assert_eq!(fields(&said), expected);
    assert!(place.done(&["configs", "t", "--all"]).contains("segment.bytes\t1073741824\tDEFAULT_CONFIG\n"));
    place.done(&["configs", "t", "--delete-config", "max.message.bytes"]);
    assert!(!place.done(&["configs", "t"]).contains("max.message.bytes"));
    for (args, expected) in [
        (&["configs", "t", "--add-config", "retention.sm=1"][..], "did you mean 'retention.ms'?"),
        (&["configs", "t", "--add-config", "segment.bytes=1"], "allowed are 1048576 to 2147483647"),
        (&["configs", "--add-config", "log.segment.bytes=1"], "log.segment.bytes is 1; allowed are 1048576"),
        (&["configs", "--add-config", "num.partitions=3"], "give it when opening"),
        (&["configs", "tt"], "did you mean 't'?"),
    ] {
        let said = place.fails(args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    let said = place.run(&["configs", "t", "--add-config", "flush.ms=1", "--delete-config", "flush.ms"]);
    assert!(said.assert_failed(2).contains("flush.ms is given twice"));
}

#[test]
fn everything_is_verified_and_damage_has_an_exit_code() {
    let place = place_with_records();
    assert_eq!(place.done(&["verify"]), "File\tProblem\n");
    assert_eq!(place.done(&["--json", "verify", "t"]), "");
    let log = place.file("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let said = place.run(&["verify"]);
    assert_eq!(said.code, 1);
    assert_eq!(said.stderr, "klog: 1 problem was found; 'klog explain FILE' shows every byte of a file\n");
    assert!(said.text().contains("t-0/00000000000000000000.log\tt-0: offsets 0 to 1 cannot be read: CRC "), "{said:?}");
    assert!(place.fails(&["verify", "tt"]).contains("did you mean 't'"));
}
