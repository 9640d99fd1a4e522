//! The disk is full at some byte.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use klog::sys::{CrashModel, SimDisk, SimRandom};
use klog::{Engine, Error, ErrorCode, Mode};
use klog_tests::in_parallel;

use crate::kept::assert_opens;
use crate::promises::{Exists, Promises};
use crate::workload::{DIR, STEPS, clock, open, options, options_with};

/// The least multiple of 64 bytes that the workload can do with.
fn enough_bytes() -> u64 {
    let is_enough = |capacity: &u64| fill(&SimDisk::new(clock()), *capacity).1.failures.is_empty();
    (0..).step_by(64).find(is_enough).unwrap()
}

/// Runs the workload on a disk of so many bytes. What cannot be written is not there, and everything else is.
fn fill(disk: &SimDisk, capacity: u64) -> (Option<Engine>, Promises) {
    let mut promises = Promises::default();
    disk.set_capacity(Some(capacity));
    let opened = open(disk);
    match &opened {
        Ok(engine) => {
            for step in &STEPS {
                if promises.attempt(engine, step).is_err() {
                    promises.assert_kept(engine, &format!("a disk of {capacity} bytes, full in {}", step.name));
                }
            }
        }
        Err(error) => promises.fail("open", error.clone()),
    }
    if let Some((step, error)) = promises.failures.first() {
        assert_eq!(error.code(), ErrorCode::DiskFull, "a disk of {capacity} bytes: {step}: {error}");
    }
    (opened.ok(), promises)
}

/// There is room again: the engine that found the disk full goes on at once.
fn go_on(disk: &SimDisk, engine: &Engine, promises: &mut Promises, when: &str) {
    disk.set_capacity(None);
    for name in ["durable", "written"] {
        if promises.topic(name).exists == Exists::Yes {
            let result = promises.append(engine, name, 1, 10);
            result.unwrap_or_else(|error| panic!("{when}: there is room again: {error}"));
        }
    }
    promises.assert_kept(engine, &format!("{when}, with room again"));
    promises.close(engine).unwrap_or_else(|error| panic!("{when}: closing: {error}"));
}

/// The engine is closed on the full disk. It is readable all the same, and opens for writing or says that it is full.
fn end_full(disk: &SimDisk, engine: Engine, promises: &mut Promises, when: &str) {
    let is_full = |error: Error| assert_eq!(error.code(), ErrorCode::DiskFull, "{when}: {error}");
    promises.close(&engine).unwrap_or_else(is_full);
    drop(engine);
    let reader =
        options(disk).mode(Mode::ReadOnly).open(DIR).unwrap_or_else(|error| panic!("{when}: reading: {error}"));
    promises.assert_kept(&reader, &format!("{when}, read on the full disk"));
    drop(reader);
    match open(disk) {
        Ok(engine) => engine.close().unwrap_or_else(is_full),
        Err(error) => is_full(error),
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_loses_nothing_and_is_used_again_when_there_is_room() {
    let enough = enough_bytes();
    let full = AtomicU64::new(0);
    in_parallel(0..=enough, |capacity| {
        let disk = SimDisk::new(clock());
        let when = format!("a disk of {capacity} bytes");
        let (engine, mut promises) = fill(&disk, capacity);
        full.fetch_add(u64::from(!promises.failures.is_empty()), Ordering::Relaxed);
        match engine {
            Some(engine) if capacity % 2 == 0 => go_on(&disk, &engine, &mut promises, &when),
            Some(engine) => end_full(&disk, engine, &mut promises, &when),
            None => {}
        }
        disk.set_capacity(None);
        assert_opens(&disk, &promises, &when);
    });
    let full = full.into_inner();
    println!("{enough} sizes, {full} of them too small");
    assert!(full > enough - 64, "{full} of {enough} sizes were too small for the workload");
}

/// A write that did not fit was begun. What was begun must not come back behind what was written in its place.
#[test]
fn what_was_acknowledged_on_a_disk_that_was_full_survives_a_power_cut() {
    const STATES: u64 = 4;
    let enough = enough_bytes();
    let states = AtomicU64::new(0);
    in_parallel(0..=enough / 3, |third| {
        let capacity = third * 3;
        let disk = SimDisk::new(clock());
        disk.record();
        let (engine, mut promises) = fill(&disk, capacity);
        disk.set_capacity(None);
        let when = format!("a disk of {capacity} bytes, cut");
        if let Some(engine) = &engine {
            promises.assert_goes_on(engine, &when);
        }
        let mut model = CrashModel::of(&SimDisk::new(clock()));
        disk.take_record().iter().for_each(|event| model.apply(event));
        let random = SimRandom::new(capacity);
        let found = model.states(&random);
        let promises = promises.after_power_cut();
        for _ in 0..STATES {
            let crash = found.sample(&random);
            assert_opens(&found.disk(&crash), &promises, &format!("{when}, {crash:?}"));
            states.fetch_add(1, Ordering::Relaxed);
        }
    });
    println!("{} states", states.into_inner());
}

/// Appends until the disk is full, and says how many records went in.
fn append_until_full(promises: &mut Promises, engine: &Engine) -> u64 {
    for count in 0.. {
        if let Err(error) = promises.append(engine, "durable", 5000, 100) {
            assert_eq!(error.code(), ErrorCode::DiskFull, "{error}");
            return count;
        }
    }
    unreachable!("the disk has an end")
}

/// The room that is left is varied in steps of so many bytes, over more than one batch and the metadata of the steps.
const ROOM_STEP: u64 = 17;
const ROOMS: u64 = 120;
const SPARE: &str = "/data/.klog.spare";
const SPARE_BYTES: u64 = 1 << 20;

fn has_spare(disk: &SimDisk) -> bool {
    klog::sys::Disk::stat(disk, Path::new(SPARE)).is_ok_and(|stat| stat.len == SPARE_BYTES)
}

/// Runs `free`, which is to make room, on a disk that has `room` bytes when the reserve is kept, and is then filled up.
fn frees_space(room: u64, free: impl Fn(&mut Promises, &Engine)) {
    let when = format!("with room for {room} bytes");
    let disk = SimDisk::new(clock());
    let mut promises = Promises::default();
    let engine = options_with(&disk, "true").open(DIR).unwrap();
    promises.create(&engine, "durable", "fsync").unwrap();
    promises.append(&engine, "durable", 1, 10).unwrap();
    assert!(has_spare(&disk), "{when}: the first append sets the reserve aside");
    disk.set_capacity(Some(disk.used() + room));
    let appended = append_until_full(&mut promises, &engine);
    assert!(has_spare(&disk), "{when}: appends do not touch the reserve");
    promises.assert_kept(&engine, &when);
    free(&mut promises, &engine);
    promises.assert_kept(&engine, &format!("{when}, freed"));
    if appended > 4 {
        // There was something to delete, so there is room now.
        promises.append(&engine, "durable", 5000, 100).unwrap_or_else(|error| panic!("{when}: {error}"));
    }
    promises.assert_kept(&engine, &format!("{when}, appended"));
    promises.close(&engine).unwrap_or_else(|error| panic!("{when}: closing: {error}"));
    drop(engine);
    disk.set_capacity(None);
    assert_opens(&disk, &promises, &when);
}

/// An engine of another process, with a reserve or without one of its own.
fn open_another(disk: &SimDisk, spare: &str) -> Engine {
    options_with(&disk.for_another_process(), spare).open(DIR).unwrap()
}

/// Once the second engine took the reserve that was there for one that could not be filled, and removed it; and the first one
/// believed in it for ever.
#[test]
fn a_reserve_is_that_of_all_processes_whoever_fills_it_and_gives_it_up() {
    let disk = SimDisk::new(clock());
    let mut promises = Promises::default();
    let (a, b) = (open_another(&disk, "true"), open_another(&disk, "true"));
    promises.create(&a, "durable", "fsync").unwrap();
    promises.append(&a, "durable", 1, 10).unwrap();
    assert!(has_spare(&disk), "the first append sets the reserve aside");
    promises.append(&b, "durable", 1, 10).unwrap();
    assert!(has_spare(&disk), "and that of another process leaves it there");
    for (one, other) in [(&a, &b), (&b, &a), (&a, &b)] {
        disk.set_capacity(Some(disk.used()));
        append_until_full(&mut promises, one);
        promises.alter(one, "durable", "900000").unwrap();
        assert!(!has_spare(&disk), "given up");
        let error = promises.append(one, "durable", 1, 10).unwrap_err();
        assert!(error.message().contains(".klog.spare"), "{error}");
        disk.set_capacity(None);
        promises.retention(other).unwrap();
        assert!(has_spare(&disk), "filled again by one who had not given it up");
        for engine in [one, other] {
            promises.append(engine, "durable", 1, 10).unwrap();
            assert!(has_spare(&disk), "and both find it");
        }
    }
    for engine in [&a, &b] {
        promises.assert_kept(engine, "with room again");
        promises.close(engine).unwrap();
    }
    assert_opens(&disk, &promises, "closed by both");
}

/// Once its appends were refused for ever, since it fills none.
#[test]
fn one_that_keeps_no_reserve_may_give_up_what_it_finds_and_appends_go_on() {
    let disk = SimDisk::new(clock());
    let mut promises = Promises::default();
    let keeps = open_another(&disk, "true");
    promises.create(&keeps, "durable", "fsync").unwrap();
    promises.append(&keeps, "durable", 1, 10).unwrap();
    assert!(has_spare(&disk));
    let keeps_none = open_another(&disk, "false");
    disk.set_capacity(Some(disk.used()));
    append_until_full(&mut promises, &keeps_none);
    promises.alter(&keeps_none, "durable", "900000").unwrap();
    assert!(!has_spare(&disk), "given up");
    promises.append(&keeps_none, "durable", 1, 10).unwrap();
    disk.set_capacity(None);
    promises.append(&keeps_none, "durable", 1, 10).unwrap();
    promises.assert_kept(&keeps, "seen by the other");
}

#[test]
fn records_are_deleted_from_a_full_disk_and_their_space_is_used_again() {
    in_parallel(0..=ROOMS, |step| {
        frees_space(step * ROOM_STEP, |promises, engine| {
            let end = engine.admin().describe_topic("durable").unwrap().partitions[0].high_watermark;
            promises.delete_records(engine, "durable", end).unwrap();
            promises.retention(engine).unwrap();
        });
    });
}

#[test]
fn retention_works_on_a_full_disk_and_frees_space() {
    in_parallel(0..=ROOMS, |step| {
        frees_space(step * ROOM_STEP, |promises, engine| promises.retention(engine).unwrap());
    });
}

#[test]
fn metadata_changes_and_closing_work_on_a_full_disk_with_a_reserve() {
    in_parallel(0..=ROOMS, |step| {
        frees_space(step * ROOM_STEP, |promises, engine| {
            promises.alter(engine, "durable", "900000").unwrap();
            promises.create(engine, "written", "os").unwrap();
            promises.delete(engine, "durable").unwrap();
            promises.create(engine, "durable", "fsync").unwrap();
        });
    });
}
