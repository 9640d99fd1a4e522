//! `klog dump` and `klog explain` over every kind of file.

use crate::command::{Place, names, run};

/// A directory with several of everything.
fn full() -> Place {
    let place = Place::new();
    let configs = ["--config", "segment.ms=1000", "--config", "index.interval.bytes=0"];
    let create = ["topics", "create", "t"];
    place.done(&create.into_iter().chain(configs).collect::<Vec<_>>());
    for (time, codec) in [("0", "none"), ("500", "gzip"), ("5000", "zstd"), ("5001", "lz4"), ("99999", "snappy")] {
        let args = ["produce", "t", "--timestamp", time, "-z", codec, "-H", "a=b", "-K", "="];
        place.done_with(&args, b"key=value\nkey=other value\n");
    }
    place
}

#[test]
fn every_file_of_a_directory_is_explained_to_its_last_byte() {
    let place = full();
    let mut explained = 0;
    for folder in ["", "t-0", "__cluster_metadata-0"] {
        let dir = place.dir.join(folder);
        for name in names(&dir).iter().filter(|name| !name.starts_with('.') && dir.join(name).is_file()) {
            let path = dir.join(name);
            let size = std::fs::metadata(&path).unwrap().len();
            let said = place.done(&["explain", path.to_str().unwrap()]);
            let end = said.lines().last().unwrap();
            assert!(end.contains(&format!(": {size} bytes, ")), "{name}: {end}");
            assert!(!said.contains("UNREADABLE") && !said.contains("DAMAGED"), "{name}: {said}");
            place.done(&["dump", path.to_str().unwrap()]);
            explained += 1;
        }
    }
    assert!(explained > 15, "{explained} files");
}

#[test]
fn dump_prints_lines_as_kafka_s_own_tool_does() {
    let place = full();
    let said = place.done(&["dump", &place.file("t-0/00000000000000000000.log")]);
    let mut lines = said.lines();
    assert!(lines.next().unwrap().starts_with("Dumping "), "{said}");
    let batch = lines.next().unwrap();
    assert!(batch.starts_with("baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 "), "{batch}");
    assert!(batch.ends_with("isvalid: true"), "{batch}");
    let record = lines.next().unwrap();
    assert_eq!(
        record,
        "| offset: 0 CreateTime: 0 keySize: 3 valueSize: 5 sequence: -1 headerKeys: [a] key: key payload: value"
    );
    let index = place.done(&["dump", &place.file("t-0/00000000000000000000.index")]);
    assert!(index.lines().nth(1).unwrap().starts_with("offset: "), "{index}");
    let times = place.done(&["dump", &place.file("t-0/00000000000000000000.timeindex")]);
    assert!(times.lines().nth(1).unwrap().starts_with("timestamp: "), "{times}");
}

#[test]
fn a_damaged_batch_is_shown_as_such_and_what_follows_is_still_explained() {
    let place = full();
    let log = place.file("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[70] ^= 0x10;
    std::fs::write(&log, &bytes).unwrap();
    let said = place.run(&["explain", &log]);
    assert!(said.text().contains("WRONG: a8b60e63 is computed"), "{}", said.text());
    assert!(said.text().contains(&format!("{} bytes", bytes.len())), "{}", said.text());
    let dumped = place.run(&["dump", &log]).text();
    assert!(dumped.contains("isvalid: false") && dumped.contains("isvalid: true"), "{dumped}");
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let place = full();
    let log = place.file("t-0/00000000000000000000.log");
    assert!(!place.done(&["explain", &log]).contains('\u{1b}'), "a pipe gets none");
    assert!(place.done(&["--color", "always", "explain", &log]).contains('\u{1b}'));
    let said = run(["--color", "never", "explain", &log], &[], b"").assert_done();
    assert!(!said.contains('\u{1b}'));
}

#[test]
fn help_names_every_verb_and_the_exit_codes() {
    let said = run(["--help"], &[], b"").assert_done();
    for verb in ["init", "topics", "produce", "consume", "dump", "explain", "Exit codes"] {
        assert!(said.contains(verb), "{verb}: {said}");
    }
    for verb in ["init", "topics", "produce", "consume", "dump", "explain"] {
        run([verb, "--help"], &[], b"").assert_done();
    }
    for verb in ["create", "list", "describe", "delete"] {
        run(["topics", verb, "--help"], &[], b"").assert_done();
    }
}
