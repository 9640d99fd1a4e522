//! Positions outside the log, and bytes that went bad.

use std::time::Duration;

use klog::sys::{Disk, Open, write_all_at};
use klog::{ErrorCode, Start};

use crate::steps::{consumer, create, drain, names, offsets, refused, send, send_batch};
use crate::world::{World, on_both_disks};

on_both_disks!(
    a_position_below_the_log_is_reset_as_told,
    a_position_above_the_log_is_reset_as_told,
    a_position_that_is_deleted_under_a_reader_is_reset_as_told,
    a_damaged_batch_is_reported_and_stepped_over,
    a_record_that_names_an_offset_outside_its_batch_is_damage,
    a_damaged_batch_is_served_unchecked_to_who_asks_for_that,
    where_reading_begins_by_default_is_the_start,
);

/// Ten records, of which the first four are deleted.
fn log_from_4_to_10(world: &World) -> klog::Engine {
    let engine = world.open();
    for number in 0..10 {
        send(&engine, "t", &number.to_string());
    }
    assert_eq!(engine.admin().delete_records("t", 0, Some(4)).unwrap(), 4);
    engine
}

fn reset_gives(engine: &klog::Engine, offset: i64) {
    for (reset, expected) in [("earliest", (4..10).collect::<Vec<i64>>()), ("latest", vec![])] {
        let mut consumer = consumer(engine, &[("auto.offset.reset", reset)]);
        consumer.assign("t", 0, Start::Offset(offset)).unwrap();
        let found: Vec<_> = drain(&mut consumer).into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(found, expected, "offset {offset}, reset to {reset}");
        assert_eq!(consumer.position("t", 0).unwrap(), 10);
    }
    let mut consumer = consumer(engine, &[("auto.offset.reset", "none")]);
    // Told at once, or by the first poll.
    if let Err(error) = consumer.assign("t", 0, Start::Offset(offset)) {
        refused(Err::<(), _>(error), ErrorCode::OffsetOutOfRange);
        return;
    }
    for _ in 0..2 {
        let message = refused(consumer.poll(Duration::ZERO), ErrorCode::OffsetOutOfRange);
        names(&message, &["t-0", &offset.to_string(), "4", "10"]);
        assert_eq!(consumer.position("t", 0).unwrap(), offset, "it stays where it was");
    }
    consumer.seek("t", 0, Start::Offset(9)).unwrap();
    assert_eq!(drain(&mut consumer), [(9, "9".to_owned())]);
}

fn a_position_below_the_log_is_reset_as_told(world: &World) {
    let engine = log_from_4_to_10(world);
    reset_gives(&engine, 0);
    reset_gives(&engine, 3);
    assert_eq!(offsets(&engine, "t").first(), Some(&4));
}

fn a_position_above_the_log_is_reset_as_told(world: &World) {
    let engine = log_from_4_to_10(world);
    reset_gives(&engine, 11);
    reset_gives(&engine, i64::MAX);
    let mut at_the_end = consumer(&engine, &[("auto.offset.reset", "none")]);
    at_the_end.assign("t", 0, Start::Offset(10)).unwrap();
    assert!(at_the_end.poll(Duration::ZERO).unwrap().is_empty(), "the end is no error");
}

fn a_position_that_is_deleted_under_a_reader_is_reset_as_told(world: &World) {
    let engine = log_from_4_to_10(world);
    for (reset, expected) in [("earliest", Some(vec![8, 9])), ("latest", Some(vec![])), ("none", None)] {
        let engine = &engine;
        let mut consumer = consumer(engine, &[("auto.offset.reset", reset)]);
        consumer.assign("t", 0, Start::Offset(5)).unwrap();
        engine.admin().delete_records("t", 0, Some(8)).unwrap();
        match expected {
            Some(expected) => {
                let found: Vec<_> = drain(&mut consumer).into_iter().map(|(offset, _)| offset).collect();
                assert_eq!(found, expected, "{reset}");
            }
            None => drop(refused(consumer.poll(Duration::ZERO), ErrorCode::OffsetOutOfRange)),
        }
    }
}

/// Three batches of two records; a bit of the second one's last byte of a value is flipped.
fn with_damage(world: &World) -> klog::Engine {
    let engine = world.open();
    create(&engine, "t", &[]);
    for pair in [["a", "b"], ["c", "d"], ["e", "f"]] {
        send_batch(&engine, "t", &pair, &[]);
    }
    engine.close().unwrap();
    let log = "t-0/00000000000000000000.log";
    let bytes = world.bytes(log);
    let at = bytes.iter().position(|byte| *byte == b'd').unwrap();
    let file = world.sys.disk.open(&world.dir.join(log), Open::ReadWrite).unwrap();
    write_all_at(&file, b"D", at as u64).unwrap();
    world.open()
}

fn a_damaged_batch_is_reported_and_stepped_over(world: &World) {
    let engine = with_damage(world);
    let mut consumer = consumer(&engine, &[]);
    consumer.assign("t", 0, Start::Earliest).unwrap();
    let first = consumer.poll(Duration::ZERO).unwrap();
    assert_eq!(first.iter().map(|record| record.offset()).collect::<Vec<_>>(), [0, 1]);
    for _ in 0..2 {
        let error = consumer.poll(Duration::ZERO).unwrap_err();
        assert_eq!(error.code(), ErrorCode::CorruptMessage);
        let damage = error.damage().unwrap();
        assert_eq!((&*damage.topic, damage.partition), ("t", 0));
        assert_eq!((damage.first_offset, damage.next_offset), (2, 4));
        assert_eq!(damage.file, "t-0/00000000000000000000.log");
        assert_eq!(consumer.position("t", 0).unwrap(), 2, "it stays in front");
    }
    let error = consumer.poll(Duration::ZERO).unwrap_err();
    assert!(consumer.seek_past(&error));
    assert_eq!(drain(&mut consumer), [(4, "e".to_owned()), (5, "f".to_owned())]);
    let report = engine.admin().verify(Some("t")).unwrap();
    assert_eq!(report.damage.len(), 1, "{report}");
    assert_eq!(send(&engine, "t", "g"), 6, "it can be written on");
}

/// A reader that believed the record went on behind it, and never saw what came in between.
fn a_record_that_names_an_offset_outside_its_batch_is_damage(world: &World) {
    let engine = world.open();
    for value in ["one", "two", "three"] {
        send(&engine, "t", value);
    }
    engine.close().unwrap();
    let name = "t-0/00000000000000000000.log";
    let mut log = world.bytes(name);
    let size = klog::record::BatchHeader::check(&log).unwrap().size;
    log[61 + 3] = 2 << 1; // the record's offset delta, behind its length, attributes and timestamp delta
    klog::record::seal(&mut log[..size]);
    world.put(name, &log);
    let engine = world.open();
    let mut consumer = consumer(&engine, &[]);
    consumer.assign("t", 0, Start::Earliest).unwrap();
    consumer.read_until_now();
    let error = consumer.poll(Duration::ZERO).unwrap_err();
    let damage = error.damage().expect("the error names the damage");
    assert_eq!((damage.first_offset, damage.next_offset), (0, 1), "{error}");
    assert!(consumer.seek_past(&error));
    assert_eq!(drain(&mut consumer), [(1, "two".to_owned()), (2, "three".to_owned())]);
}

fn a_damaged_batch_is_served_unchecked_to_who_asks_for_that(world: &World) {
    let engine = with_damage(world);
    let mut consumer = consumer(&engine, &[("check.crcs", "false")]);
    consumer.assign("t", 0, Start::Earliest).unwrap();
    let values: Vec<_> = drain(&mut consumer).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c", "D", "e", "f"]);
}

fn where_reading_begins_by_default_is_the_start(world: &World) {
    let engine = log_from_4_to_10(world);
    let mut consumer = consumer(&engine, &[]);
    consumer.assign("t", 0, Start::Offset(0)).unwrap();
    assert_eq!(drain(&mut consumer).first().unwrap().0, 4);
}
