//! Who comes second.

use klog::{Engine, ErrorCode, Mode, OpenOptions};

use crate::other::Other;

/// What asks for a directory without company.
fn alone() -> OpenOptions {
    OpenOptions::new().set("klog.exclusive", "true").unwrap()
}

#[test]
fn who_wants_a_directory_alone_is_told_who_is_first_since_when() {
    let root = tempfile::tempdir().unwrap();
    let mut other = Other::start("hold", root.path());
    assert_eq!(other.line().as_deref(), Some("open"));
    let error = alone().open(root.path()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Locked);
    let said = error.message();
    assert!(said.contains(&format!("process {} (klog-test-child)", other.id())), "{said}");
    assert!(said.contains("which opened it at 20"), "{said}");
    assert!(said.contains(root.path().to_str().unwrap()), "{said}");
    other.end();
    Engine::open(root.path()).unwrap().close().unwrap();
}

#[test]
fn who_has_a_directory_alone_keeps_others_out() {
    let root = tempfile::tempdir().unwrap();
    let first = alone().open(root.path()).unwrap();
    for options in [OpenOptions::new(), alone()] {
        let error = options.open(root.path()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Locked);
        assert!(error.message().contains("this process"), "{error}");
    }
    first.close().unwrap();
    Engine::open(root.path()).unwrap().close().unwrap();
}

#[test]
fn two_engines_of_one_process_are_as_two_processes() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (Engine::open(root.path()).unwrap(), Engine::open(root.path()).unwrap());
    for (engine, offset) in [(&first, 0), (&second, 1), (&first, 2)] {
        let sent = engine.producer().unwrap().send("t", None, Some(b"one")).unwrap().result().unwrap();
        assert_eq!(sent.offset, offset);
    }
    first.close().unwrap();
    assert_eq!(second.admin().describe_topic("t").unwrap().partitions[0].high_watermark, 3);
    second.close().unwrap();
}

#[test]
fn a_killed_process_leaves_the_directory_to_the_next_one_at_once() {
    let root = tempfile::tempdir().unwrap();
    let mut other = Other::start("hold", root.path());
    assert_eq!(other.line().as_deref(), Some("open"));
    other.kill();
    Engine::open(root.path()).unwrap().close().unwrap();
}

#[test]
fn readers_come_and_go_beside_a_writer() {
    let root = tempfile::tempdir().unwrap();
    let mut other = Other::start("hold", root.path());
    assert_eq!(other.line().as_deref(), Some("open"));
    for _ in 0..3 {
        let reader = OpenOptions::new().mode(Mode::ReadOnly).open(root.path()).unwrap();
        assert!(reader.admin().list_topics().unwrap().is_empty());
        reader.close().unwrap();
    }
    other.end();
}

#[test]
fn a_reader_that_came_first_keeps_no_writer_out_and_follows_it() {
    let root = tempfile::tempdir().unwrap();
    let engine = Engine::open(root.path()).unwrap();
    engine.producer().unwrap().send("t", None, Some(b"one")).unwrap().result().unwrap();
    engine.close().unwrap();
    let reader = OpenOptions::new().mode(Mode::ReadOnly).open(root.path()).unwrap();
    let visible = || reader.admin().describe_topic("t").unwrap().partitions[0].high_watermark;
    assert_eq!(visible(), 1);
    let engine = Engine::open(root.path()).unwrap();
    engine.producer().unwrap().send("t", None, Some(b"two")).unwrap().result().unwrap();
    assert_eq!(visible(), 2);
    engine.close().unwrap();
    reader.close().unwrap();
}

#[test]
fn ten_processes_that_open_and_append_at_once_take_turns() {
    let root = tempfile::tempdir().unwrap();
    Engine::open(root.path()).unwrap().close().unwrap();
    let others: Vec<Other> = (0..10).map(|_| Other::start("append", root.path())).collect();
    let mut offsets: Vec<i64> = others.into_iter().flat_map(Other::rest).map(|line| line.parse().unwrap()).collect();
    offsets.sort_unstable();
    assert!(offsets.iter().copied().eq(0..100), "{offsets:?}");
}

/// Once, an engine whose directory had been moved rolled its segments into the one that was made in its place.
#[test]
fn a_directory_that_took_the_place_of_an_open_one_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let (here, there) = (root.path().join("d"), root.path().join("d2"));
    let moved = Engine::open(&here).unwrap();
    let topic = klog::NewTopic::named("t").config("segment.ms", "1000");
    moved.admin().create_topic(&topic).unwrap();
    let send = |engine: &Engine, timestamp: i64| {
        let record = klog::ProducerRecord {
            topic: "t",
            timestamp: Some(timestamp),
            value: Some(b"one"),
            ..klog::ProducerRecord::default()
        };
        engine.producer().unwrap().send_record(&record)?.result()
    };
    send(&moved, 0).unwrap();
    std::fs::rename(&here, &there).unwrap();
    let other = Engine::open(&here).unwrap();
    other.admin().create_topic(&topic).unwrap();
    send(&other, 0).unwrap();

    let error = send(&moved, 1_000_000).unwrap_err(); // it would roll
    // Either it looks where it is, or somebody has noticed that the lock files are not there any more.
    assert!([ErrorCode::KafkaStorageError, ErrorCode::Locked].contains(&error.code()), "{error}");
    assert!(error.message().contains("it was moved") || error.message().contains("removed or replaced"), "{error}");
    assert!(moved.admin().delete_topic("t").is_err());
    assert!(moved.close().is_err(), "no mark of an orderly end is put into the other's directory");
    assert_eq!(other.admin().describe_topic("t").unwrap().partitions[0].segments, 1);
    send(&other, 0).unwrap();
    other.close().unwrap();
    let engine = Engine::open(&there).unwrap();
    assert_eq!(engine.admin().describe_topic("t").unwrap().partitions[0].high_watermark, 1);
}
