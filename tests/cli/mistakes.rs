//! What the command says at 3 a.m.

use crate::command::{Place, run};

fn usage(args: &[&str]) -> String {
    run(args, &[], b"").assert_failed(2)
}

#[test]
fn without_a_directory_one_line_names_both_ways_to_give_one() {
    let said = usage(&["consume", "t"]);
    assert!(said.contains("-d DIR") && said.contains("KLOG_DIR"), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn an_empty_klog_dir_is_no_directory() {
    let said = run(["topics", "list"], &[("KLOG_DIR", "")], b"").assert_failed(2);
    assert!(said.contains("KLOG_DIR"), "{said}");
}

#[test]
fn the_directory_may_come_from_the_environment() {
    let place = Place::with_topic("t");
    let said = run(["--json", "topics", "list"], &[("KLOG_DIR", place.dir.to_str().unwrap())], b"").assert_done();
    assert!(said.contains("\"name\":\"t\""), "{said}");
}

#[test]
fn a_directory_that_does_not_exist_is_named_with_the_command_that_makes_it() {
    let place = Place::new();
    let said = place.fails(&["consume", "t"]);
    assert!(said.contains(place.dir.to_str().unwrap()) && said.contains("init"), "{said}");
    assert!(!place.dir.exists(), "reading creates nothing");
}

#[test]
fn a_typo_in_a_topic_is_answered_with_the_nearest_name_and_makes_nothing() {
    let place = Place::with_topic("greetings");
    let said = place.run_with(&["produce", "greeting"], b"hello\n").assert_failed(1);
    assert!(said.contains("did you mean 'greetings'") && said.contains("--create"), "{said}");
    let said = place.fails(&["consume", "greeting"]);
    assert!(said.contains("did you mean 'greetings'"), "{said}");
    assert_eq!(place.done(&["topics", "list"]).lines().count(), 2, "a heading and one topic");
}

#[test]
fn a_typo_in_a_setting_is_answered_with_the_nearest_name() {
    let place = Place::with_topic("t");
    let said = place.run_with(&["produce", "t", "-X", "linger.msec=5"], b"x\n").assert_failed(1);
    assert!(said.contains("linger.msec") && said.contains("linger.ms"), "{said}");
    let said = place.fails(&["topics", "create", "u", "--config", "retention.bites=1"]);
    assert!(said.contains("retention.bites") && said.contains("retention.bytes"), "{said}");
    assert_eq!(place.done(&["topics", "list"]).lines().count(), 2);
}

#[test]
fn a_value_out_of_range_is_named_with_its_limits() {
    let place = Place::with_topic("t");
    let said = place.fails(&["topics", "create", "u", "--config", "segment.bytes=5"]);
    assert!(said.contains("segment.bytes") && said.contains('5'), "{said}");
    let said = place.fails(&["topics", "create", "u", "--partitions", "0"]);
    assert!(said.contains("partitions") && said.contains('0'), "{said}");
    let said = place.fails(&["topics", "create", "u", "--partitions", "2147483647"]);
    assert!(said.contains("10000"), "{said}");
    let said = place.run_with(&["produce", "t", "-X", "max.request.size=100"], &[b'x'; 5000]).assert_failed(1);
    assert!(said.contains("max.request.size"), "{said}");
    let said = place.run_with(&["produce", "t", "--partition", "7"], b"x\n").assert_failed(1);
    assert!(said.contains('7'), "{said}");
    let said = place.fails(&["consume", "t", "--partition", "-3"]);
    assert!(said.contains("-3"), "{said}");
}

#[test]
fn an_illegal_topic_name_is_refused_and_named() {
    let place = Place::new();
    assert!(place.fails(&["topics", "create", ""]).contains("cannot be empty"));
    for name in ["a/b", "..", "grün"] {
        let said = place.fails(&["topics", "create", name]);
        assert!(said.contains(&format!("'{name}'")), "{said}");
    }
}

#[test]
fn what_cannot_be_parsed_is_a_mistake_of_the_command_line() {
    for args in [
        &["-d", "x", "consume", "t", "--offset", "lates"][..],
        &["-d", "x", "consume", "t", "--at", "yesterday"],
        &["-d", "x", "consume", "t", "--format", "%q"],
        &["-d", "x", "produce", "t", "--timestamp", "noon"],
        &["-d", "x", "topics", "create", "t", "--config", "retention.ms"],
        &["-d", "x", "consume"],
        &["frobnicate"],
        &["-d", "x", "topics", "lst"],
    ] {
        usage(args);
    }
}

#[test]
fn whoever_comes_to_a_directory_that_is_not_shared_is_told_who_has_it() {
    let place = Place::with_topic("t");
    let alone = klog::OpenOptions::new().set("klog.exclusive", "true").unwrap().open(&place.dir).unwrap();
    let said = place.run_with(&["produce", "t"], b"x\n").assert_failed(1);
    assert!(said.contains(&format!("process {} (", std::process::id())) && said.contains("klog ps"), "{said}");
    assert_eq!(place.done(&["consume", "t"]), "", "readers need no lock");
    alone.close().unwrap();
    place.done_with(&["produce", "t"], b"x\n");
}

#[test]
fn a_broker_is_told_of_and_its_records_are_read() {
    use klog::sys::{Disk, LockKind, LockRange, Locks, Open, RealDisk};
    let place = Place::with_topic("t");
    place.done_with(&["produce", "t"], b"one\n");
    let lock = RealDisk.open(&place.dir.join(".lock"), Open::ReadWrite).unwrap();
    assert!(lock.try_lock(LockRange::WHOLE, LockKind::Exclusive).unwrap());
    let said = place.run_with(&["produce", "t"], b"x\n").assert_failed(1);
    assert!(said.contains("in use by a Kafka broker"), "{said}");
    assert_eq!(place.done(&["consume", "t"]), "one\n");
    let said = place.run(&["ps"]);
    assert!(said.stderr.contains("a Kafka broker has "), "{said:?}");
}

#[test]
fn memory_of_another_version_is_refused_with_a_sentence() {
    use std::os::unix::fs::FileExt;
    let place = Place::with_topic("t");
    let engine = klog::Engine::open(&place.dir).unwrap();
    let memory = std::fs::File::options().write(true).open(place.dir.join(".klog.shm")).unwrap();
    memory.write_all_at(&[9], 8).unwrap(); // the layout
    let said = place.run_with(&["produce", "t"], b"x\n").assert_failed(1);
    assert!(said.contains("another version of klog") && said.contains("layout 9"), "{said}");
    assert_eq!(place.done(&["consume", "t"]), "", "what is flushed can be read");
    let said = place.run(&["ps"]);
    assert!(said.stderr.contains("another version of klog") && said.stderr.contains("layout 9"), "{said:?}");
    let said = place.run(&["doctor"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.text().contains("shared memory\tproblem\t"), "{said:?}");
    memory.write_all_at(&[1], 8).unwrap();
    engine.close().unwrap();
}

#[test]
fn a_file_that_is_no_log_is_not_guessed_at() {
    let place = Place::with_topic("t");
    let odd = place.file("odd.txt");
    std::fs::write(&odd, "hello").unwrap();
    for verb in ["dump", "explain"] {
        let said = place.fails(&[verb, &odd]);
        assert!(said.contains("odd.txt"), "{said}");
        let said = place.fails(&[verb, &place.file("absent.log")]);
        assert!(said.contains("absent.log"), "{said}");
    }
}

#[test]
fn whoever_stops_reading_ends_the_command_without_a_complaint() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let place = Place::with_topic("t");
    let lines: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    place.done_with(&["produce", "t"], &lines);
    let mut child = Command::new(env!("CARGO_BIN_EXE_klog"))
        .args(["-d", place.dir.to_str().unwrap(), "consume", "t"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "line 0\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{:?}", output.status);
}
