//! Offsets that are asked for: the first, the next, and those of a time.

use klog::{Engine, OffsetSpec, TimestampMs};

use crate::steps::{create, producer, send, send_at};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    an_empty_partition_has_neither_first_nor_last,
    the_first_and_the_next_offset_are_those_of_the_log,
    a_time_is_answered_with_the_first_record_that_is_not_older,
    a_time_is_found_in_every_segment,
    the_greatest_time_is_that_of_a_record,
    a_time_finds_records_within_a_batch,
    what_is_deleted_is_not_found,
    what_is_not_visible_is_not_found,
    times_are_found_after_opening_again,
);

const PAST: i64 = NOW - 1_000_000_000;

fn ask(engine: &Engine, which: OffsetSpec) -> (i64, i64) {
    let found = engine.admin().list_offset("t", 0, which).unwrap();
    (found.offset, found.timestamp)
}

fn at(engine: &Engine, time: i64) -> (i64, i64) {
    ask(engine, OffsetSpec::At(TimestampMs(PAST + time)))
}

const NOTHING: (i64, i64) = (-1, -1);

fn with_times(world: &World, configs: &[(&str, &str)], times: &[i64]) -> Engine {
    let engine = world.open();
    create(&engine, "t", configs);
    for time in times {
        send_at(&engine, "t", PAST + time, b"v").unwrap();
    }
    engine
}

fn an_empty_partition_has_neither_first_nor_last(world: &World) {
    let engine = with_times(world, &[], &[]);
    assert_eq!(ask(&engine, OffsetSpec::Earliest), (0, -1));
    assert_eq!(ask(&engine, OffsetSpec::Latest), (0, -1));
    assert_eq!(ask(&engine, OffsetSpec::MaxTimestamp), NOTHING);
    assert_eq!(at(&engine, 0), NOTHING);
}

fn the_first_and_the_next_offset_are_those_of_the_log(world: &World) {
    let engine = with_times(world, &[], &[0, 1, 2]);
    assert_eq!((ask(&engine, OffsetSpec::Earliest), ask(&engine, OffsetSpec::Latest)), ((0, -1), (3, -1)));
    engine.admin().delete_records("t", 0, Some(2)).unwrap();
    assert_eq!((ask(&engine, OffsetSpec::Earliest), ask(&engine, OffsetSpec::Latest)), ((2, -1), (3, -1)));
}

fn a_time_is_answered_with_the_first_record_that_is_not_older(world: &World) {
    let engine = with_times(world, &[], &[100, 300, 200, 300, 400]);
    for (time, offset, found) in
        [(0, 0, 100), (100, 0, 100), (101, 1, 300), (200, 1, 300), (301, 4, 400), (400, 4, 400)]
    {
        assert_eq!(at(&engine, time), (offset, PAST + found), "time {time}: the first by offset");
    }
    assert_eq!(at(&engine, 401), NOTHING);
}

fn a_time_is_found_in_every_segment(world: &World) {
    let configs = [("segment.ms", "1000"), ("index.interval.bytes", "0")];
    let times: Vec<i64> = (0..60).map(|number| number * 250).collect();
    let engine = with_times(world, &configs, &times);
    assert!(crate::steps::bases(world, "t-0").len() >= 10);
    for (offset, time) in times.iter().enumerate() {
        assert_eq!(at(&engine, *time), (offset as i64, PAST + time));
        if offset > 0 {
            assert_eq!(at(&engine, *time - 1), (offset as i64, PAST + time));
        }
    }
}

fn the_greatest_time_is_that_of_a_record(world: &World) {
    let engine = with_times(world, &[("segment.ms", "1000")], &[5, 900, 900, 7, 2000, 1500]);
    assert_eq!(ask(&engine, OffsetSpec::MaxTimestamp), (4, PAST + 2000));
    send_at(&engine, "t", PAST + 2000, b"v").unwrap();
    assert_eq!(ask(&engine, OffsetSpec::MaxTimestamp), (4, PAST + 2000), "the first of equals");
}

fn a_time_finds_records_within_a_batch(world: &World) {
    for codec in ["none", "snappy"] {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        let engine = with_times(&world, &[], &[0]);
        let lingering = producer(&engine, &[("linger.ms", "100000"), ("compression.type", codec)]);
        for time in [10, 50, 30, 70] {
            let record =
                klog::ProducerRecord { topic: "t", timestamp: Some(PAST + time), ..klog::ProducerRecord::default() };
            lingering.send_record(&record).unwrap();
        }
        lingering.flush().unwrap();
        for (time, offset, found) in [(1, 1, 10), (11, 2, 50), (50, 2, 50), (51, 4, 70)] {
            assert_eq!(at(&engine, time), (offset, PAST + found), "{codec}, time {time}");
        }
        assert_eq!(ask(&engine, OffsetSpec::MaxTimestamp), (4, PAST + 70));
    }
}

fn what_is_deleted_is_not_found(world: &World) {
    let engine = with_times(world, &[], &[100, 200, 300]);
    engine.admin().delete_records("t", 0, Some(1)).unwrap();
    assert_eq!(at(&engine, 0), (1, PAST + 200));
    engine.admin().delete_records("t", 0, None).unwrap();
    assert_eq!(at(&engine, 0), NOTHING);
}

fn what_is_not_visible_is_not_found(world: &World) {
    let engine = with_times(world, &[], &[100]);
    let lazy = producer(&engine, &[("acks", "1")]);
    let record = klog::ProducerRecord { topic: "t", timestamp: Some(PAST + 200), ..klog::ProducerRecord::default() };
    lazy.send_record(&record).unwrap().result().unwrap();
    assert_eq!(at(&engine, 101), NOTHING);
    assert_eq!(ask(&engine, OffsetSpec::Latest), (1, -1));
    engine.flush().unwrap();
    assert_eq!(at(&engine, 101), (1, PAST + 200));
}

fn times_are_found_after_opening_again(world: &World) {
    let engine = with_times(world, &[("segment.ms", "1000")], &[100, 900, 5000, 5100]);
    let ask_all = |engine: &Engine| [0, 101, 901, 5001, 5101].map(|time| at(engine, time));
    let before = ask_all(&engine);
    assert_eq!(before.map(|(offset, _)| offset), [0, 1, 2, 3, -1]);
    engine.close().unwrap();
    assert_eq!(ask_all(&world.open()), before);
    assert_eq!(ask_all(&world.open_for_reading()), before);
    assert_eq!(send(&world.open(), "t", "v"), 4);
}
