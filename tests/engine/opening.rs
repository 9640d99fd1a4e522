//! Opening and closing: modes, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use klog::sys::{Disk, LockKind, LockRange, Locks, Open, SimClock, SimDisk, Sys};
use klog::{Engine, ErrorCode, Mode, OpenOptions, Retention, Start, TimestampMs};

use crate::steps::{consumer_of, drain, names, offsets, read, refused, send};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_missing_directory_is_made_with_those_above_it,
    a_missing_directory_is_not_made_by_the_other_modes,
    an_empty_directory_is_no_log_directory_and_stays_empty,
    a_file_in_the_place_of_the_directory_is_refused,
    an_empty_path_is_refused_with_what_was_probably_meant,
    a_directory_with_foreign_files_is_refused_and_left_alone,
    dot_files_of_others_are_no_hindrance,
    a_second_opener_is_told_who_has_the_directory_to_himself,
    a_second_opener_waits_as_long_as_it_was_told,
    a_directory_that_is_shared_is_not_had_alone,
    the_directory_is_free_again_when_the_last_handle_is_gone,
    opening_and_closing_changes_nothing,
    a_broker_and_klog_keep_each_other_out,
    a_closed_engine_answers_closed,
    closing_twice_is_fine,
    a_directory_whose_identity_is_gone_is_not_taken_for_a_new_one,
    checkpoints_far_beyond_what_is_there_are_no_reason_to_fail,
);

const ALL_MODES: [Mode; 3] = [Mode::ReadOnly, Mode::ReadWrite, Mode::Create];

fn a_missing_directory_is_made_with_those_above_it(world: &World) {
    let dir = world.dir.join("above/below");
    let engine = world.options().open(&dir).unwrap();
    assert_eq!(send(&engine, "t", "one"), 0);
    engine.close().unwrap();
    let engine = world.options().mode(Mode::ReadWrite).open(&dir).unwrap();
    assert_eq!(read(&engine, "t"), [(0, "one".to_owned())]);
}

fn a_missing_directory_is_not_made_by_the_other_modes(world: &World) {
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let message = refused(world.options().mode(mode).open(&world.dir), ErrorCode::KafkaStorageError);
        names(&message, &[world.dir.to_str().unwrap()]);
        assert!(!world.exists(&world.dir), "{mode:?} made it");
    }
}

fn an_empty_directory_is_no_log_directory_and_stays_empty(world: &World) {
    world.sys.disk.create_dir(&world.dir).unwrap();
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        refused(world.options().mode(mode).open(&world.dir), ErrorCode::KafkaStorageError);
        assert_eq!(world.list(""), [""; 0], "{mode:?} was refused and left something");
    }
}

fn a_file_in_the_place_of_the_directory_is_refused(world: &World) {
    world.sys.disk.create_dir(&world.dir).unwrap();
    world.put("file", b"not a directory");
    for mode in ALL_MODES {
        let path = world.dir.join("file");
        let message = refused(world.options().mode(mode).open(&path), ErrorCode::KafkaStorageError);
        names(&message, &[path.to_str().unwrap()]);
    }
    assert_eq!(world.bytes("file"), b"not a directory");
}

/// The system's own word for it, "No such file", says nothing when there is no name to it.
fn an_empty_path_is_refused_with_what_was_probably_meant(world: &World) {
    for mode in ALL_MODES {
        names(&refused(world.options().mode(mode).open(""), ErrorCode::InvalidRequest), &["path", "empty", "'.'"]);
    }
    names(&refused(world.options().adopt("", Retention::FOREVER), ErrorCode::InvalidRequest), &["path", "empty"]);
}

fn a_directory_with_foreign_files_is_refused_and_left_alone(world: &World) {
    world.sys.disk.create_dir(&world.dir).unwrap();
    world.put("diary.txt", b"dear diary");
    for mode in ALL_MODES {
        let message = refused(world.options().mode(mode).open(&world.dir), ErrorCode::KafkaStorageError);
        if mode == Mode::Create {
            names(&message, &["diary.txt"]);
        }
        assert_eq!(world.list(""), ["diary.txt"], "{mode:?} was refused and left something");
        assert_eq!(world.bytes("diary.txt"), b"dear diary");
    }
}

fn dot_files_of_others_are_no_hindrance(world: &World) {
    world.sys.disk.create_dir(&world.dir).unwrap();
    world.put(".gitignore", b"*");
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    assert_eq!(world.bytes(".gitignore"), b"*");
}

/// Takes the directory for one handle alone.
fn alone(world: &World) -> Engine {
    world.options().set("klog.exclusive", "true").unwrap().open(&world.dir).unwrap()
}

fn a_second_opener_is_told_who_has_the_directory_to_himself(world: &World) {
    let first = alone(world);
    send(&first, "t", "one");
    for mode in [Mode::ReadWrite, Mode::Create] {
        let message = refused(world.options().mode(mode).open(&world.dir), ErrorCode::Locked);
        let program = std::env::current_exe().unwrap();
        let program = program.file_name().unwrap().to_str().unwrap();
        names(&message, &[world.dir.to_str().unwrap(), &std::process::id().to_string(), program, "2023-11-14"]);
    }
    assert_eq!(send(&first, "t", "two"), 1, "the first one goes on");
}

fn a_second_opener_waits_as_long_as_it_was_told(world: &World) {
    let _first = alone(world);
    let options = world.options().set("klog.lock.timeout.ms", "5000").unwrap();
    refused(options.open(&world.dir), ErrorCode::Locked);
    let waited = klog::sys::Clock::now(&world.clock).0 - NOW;
    assert_eq!(waited, 5000);
}

fn a_directory_that_is_shared_is_not_had_alone(world: &World) {
    let first = world.open();
    send(&first, "t", "one");
    let second = world.options().set("klog.exclusive", "true").unwrap().open(&world.dir);
    names(&refused(second, ErrorCode::Locked), &["in use", world.dir.to_str().unwrap()]);
    let second = world.open();
    assert_eq!(send(&second, "t", "two"), 1);
    assert_eq!(send(&first, "t", "three"), 2);
}

fn the_directory_is_free_again_when_the_last_handle_is_gone(world: &World) {
    let first = alone(world);
    let clone = first.clone();
    let admin = first.admin();
    drop(first);
    refused(world.options().open(&world.dir), ErrorCode::Locked);
    drop(clone);
    refused(world.options().open(&world.dir), ErrorCode::Locked);
    drop(admin);
    world.open().close().unwrap();
    world.open();
}

fn opening_and_closing_changes_nothing(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    let before = world.contents();
    world.advance(1000);
    let engine = world.options().mode(Mode::ReadWrite).open(&world.dir).unwrap();
    assert_eq!(world.contents(), before, "opening writes nothing");
    assert_eq!(offsets(&engine, "t"), [0]);
    assert_eq!(world.contents(), before, "reading writes nothing");
    engine.close().unwrap();
    assert_eq!(world.contents(), before, "closing what was only read writes nothing");
}

fn a_broker_and_klog_keep_each_other_out(world: &World) {
    let engine = world.open();
    let lock = |how| world.sys.disk.open(&world.dir.join(".lock"), how).unwrap();
    assert!(!lock(Open::ReadWrite).try_lock(LockRange::WHOLE, LockKind::Exclusive).unwrap(), "a broker's lock");
    engine.close().unwrap();
    let broker = lock(Open::Create);
    assert!(broker.try_lock(LockRange::WHOLE, LockKind::Exclusive).unwrap());
    let message = refused(world.options().open(&world.dir), ErrorCode::Locked);
    names(&message, &["Kafka"]);
    drop(broker);
    world.open();
}

fn a_closed_engine_answers_closed(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    let producer = engine.producer().unwrap();
    let clone = engine.clone();
    engine.close().unwrap();
    refused(clone.producer(), ErrorCode::Closed);
    refused(clone.consumer(), ErrorCode::Closed);
    refused(clone.admin().list_topics(), ErrorCode::Closed);
    refused(clone.flush(), ErrorCode::Closed);
    refused(producer.send("t", None, None), ErrorCode::Closed);
    refused(producer.flush(), ErrorCode::Closed);
    refused(consumer.poll(Duration::ZERO), ErrorCode::Closed);
    let error = clone.cluster_id().unwrap_err();
    assert!(error.is_fatal() && !error.is_retriable());
}

fn closing_twice_is_fine(world: &World) {
    let engine = world.open();
    engine.close().unwrap();
    engine.close().unwrap();
    drop(engine);
    world.open();
}

fn a_directory_whose_identity_is_gone_is_not_taken_for_a_new_one(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    world.sys.disk.remove_file(&world.dir.join("meta.properties")).unwrap();
    let before = world.contents();
    for mode in [Mode::ReadWrite, Mode::Create] {
        refused(world.options().mode(mode).open(&world.dir), ErrorCode::KafkaStorageError);
        assert_eq!(world.contents(), before, "{mode:?}");
    }
    assert_eq!(offsets(&world.open_for_reading(), "t"), [0], "it can still be read");
}

#[test]
fn files_are_the_owners_alone() {
    let world = World::real();
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    for name in world.contents().keys().map(String::as_str).chain(["", ".lock", ".klog.lck"]) {
        let metadata = std::fs::metadata(world.dir.join(name)).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, expected, "{name}");
    }
}

#[test]
fn engines_in_memory_share_nothing() {
    let (one, other) = (Engine::memory().unwrap(), Engine::memory().unwrap());
    send(&one, "t", "one");
    assert!(other.admin().list_topics().unwrap().is_empty());
    assert_ne!(one.cluster_id().unwrap(), other.cluster_id().unwrap());
    let mut consumer = consumer_of(&one, "t", Start::Earliest);
    assert_eq!(drain(&mut consumer), [(0, "one".to_owned())]);
    one.close().unwrap();
    other.close().unwrap();
}

#[test]
fn unknown_options_are_refused_with_the_nearest_name() {
    let message = refused(OpenOptions::new().set("num.partition", "3"), ErrorCode::InvalidConfig);
    names(&message, &["'num.partition'", "'num.partitions'"]);
    let message = refused(OpenOptions::new().set("auto.create.topic.enable", "false"), ErrorCode::InvalidConfig);
    names(&message, &["'auto.create.topics.enable'"]);
    let message = refused(OpenOptions::new().set("completely different", "1"), ErrorCode::InvalidConfig);
    assert!(!message.contains("did you mean"), "{message}");
}

#[test]
fn values_out_of_bounds_are_refused_with_the_bound() {
    for (name, value, word) in [
        ("num.partitions", "0", "1 to 2147483647"),
        ("num.partitions", "many", "many"),
        ("threads", "three", "on, off"),
        ("klog.durability", "maybe", "os, fsync"),
        ("klog.spare", "2", "true or false"),
    ] {
        names(&refused(OpenOptions::new().set(name, value), ErrorCode::InvalidConfig), &[name, word]);
    }
}

#[test]
fn several_brokers_are_not_there_yet() {
    let clock = SimClock::new(TimestampMs(NOW));
    let disk = SimDisk::new(clock.clone());
    let options = OpenOptions::new().set("brokers", "3").unwrap();
    let options = options.system(Sys::simulated(disk.clone(), clock, 1));
    refused(options.open("/data"), ErrorCode::Unsupported);
    assert!(disk.paths().is_empty(), "nothing was made");
}

/// They have no checksum; and what a log lost may have been more than one segment can number.
fn checkpoints_far_beyond_what_is_there_are_no_reason_to_fail(world: &World) {
    let engine = world.open();
    assert_eq!(send(&engine, "t", "first"), 0);
    engine.close().unwrap();
    for (offset, next) in [(5_000_000_000_i64, 5_000_000_000_i64), (i64::MAX, 5_000_000_001)] {
        for name in ["recovery-point-offset-checkpoint", "replication-offset-checkpoint"] {
            let known = world.text(name).lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
            let others =
                known.iter().filter(|line| !line.starts_with("t 0 ") && !line.starts_with("__cluster_metadata "));
            let mut lines: Vec<String> = others.cloned().collect();
            lines.push(format!("t 0 {offset}"));
            lines.push(format!("__cluster_metadata 0 {offset}"));
            world.sys.disk.remove_file(&world.dir.join(name)).unwrap();
            world.put(name, format!("0\n{}\n{}\n", lines.len(), lines.join("\n")).as_bytes());
        }
        for mode in ALL_MODES {
            let engine = world.options().mode(mode).open(&world.dir).unwrap();
            let mut reading = consumer_of(&engine, "t", Start::Earliest);
            let found = reading.poll(Duration::ZERO).unwrap();
            assert_eq!(found.iter().next().unwrap().value(), Some(&b"first"[..]), "{mode:?} {offset}");
            let findings = engine.report().unwrap().to_string();
            let is_told = ["t-0: ", "__cluster_metadata-0: "]
                .map(|log| findings.lines().any(|line| line.contains(log) && line.contains(&offset.to_string())));
            if mode == Mode::ReadOnly {
                assert_eq!(is_told, [true, true], "{offset}: {findings}"); // who writes may put it right
            }
            if mode == Mode::Create {
                assert_eq!(send(&engine, "t", "more"), next, "{offset}");
                engine.admin().create_topic(&klog::NewTopic::named(format!("u{offset}"))).unwrap();
            }
            engine.close().unwrap();
        }
    }
}
