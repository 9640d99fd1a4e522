//! What is deleted, and what is not.

use klog::sys::Disk;
use klog::{Engine, ErrorCode, OffsetSpec, Start};

use crate::steps::{
    bases, consumer_of, create, describe, drain, names, offsets, producer, refused, send, send_at, send_batch,
};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    segments_older_than_the_retention_go,
    the_last_segment_may_go_too,
    at_least_as_many_bytes_as_the_retention_stay,
    segments_below_the_log_start_go_whatever_the_retention,
    retention_runs_by_itself,
    what_is_not_visible_yet_is_not_deleted,
    a_directory_of_klog_keeps_everything_that_nobody_told_it_to_delete,
    files_go_after_the_delay,
    files_go_at_the_next_opening_too,
    records_are_deleted_up_to_an_offset,
    records_are_deleted_up_to_the_middle_of_a_batch,
    deleting_records_beyond_what_is_visible_is_refused,
    what_was_deleted_stays_deleted,
    what_was_deleted_in_the_middle_of_a_segment_stays_deleted,
    a_topic_that_became_empty_goes_on_where_it_was,
    cleaning_up_is_up_to_the_topic,
);

const HOUR: i64 = 3_600_000;

/// Three segments of one record each, 0, 1 and 2 hours after `NOW - 3 h`, and these settings.
fn three_segments(world: &World, configs: &[(&str, &str)]) -> Engine {
    let engine = world.open();
    create(&engine, "t", &[&[("segment.ms", "1000"), ("file.delete.delay.ms", "0")], configs].concat());
    for hours in 0..3 {
        send_at(&engine, "t", NOW - (3 - hours) * HOUR, b"value").unwrap();
    }
    assert_eq!(bases(world, "t-0"), [0, 1, 2]);
    engine
}

fn segments_older_than_the_retention_go(world: &World) {
    let engine = three_segments(world, &[("retention.ms", "10800000")]);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0, "as old as that, not older");
    world.advance(1);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 1);
    assert_eq!((offsets(&engine, "t"), bases(world, "t-0")), (vec![1, 2], vec![1, 2]));
    assert_eq!(describe(&engine, "t").log_start_offset, 1);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0);
}

fn the_last_segment_may_go_too(world: &World) {
    let engine = three_segments(world, &[("retention.ms", "1000")]);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 3);
    assert_eq!((offsets(&engine, "t"), bases(world, "t-0")), (vec![], vec![3]));
    assert_eq!(send(&engine, "t", "goes on"), 3);
}

fn at_least_as_many_bytes_as_the_retention_stay(world: &World) {
    let size = {
        let engine = three_segments(world, &[]);
        describe(&engine, "t").bytes / 3
    };
    for (retention, left) in [(3 * size, 3), (3 * size - 1, 3), (2 * size + 1, 3), (2 * size, 2), (size + 1, 2), (1, 1)]
    {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        let engine = three_segments(&world, &[("retention.bytes", &retention.to_string())]);
        assert_eq!(engine.admin().delete_old_segments().unwrap(), 3 - left, "{retention} of {} bytes", 3 * size);
        assert_eq!(bases(&world, "t-0").len(), left);
    }
}

fn segments_below_the_log_start_go_whatever_the_retention(world: &World) {
    let engine = three_segments(world, &[("retention.ms", "-1")]);
    engine.admin().delete_records("t", 0, Some(2)).unwrap();
    assert_eq!(bases(world, "t-0"), [0, 1, 2], "whole segments go with the next round");
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 2);
    assert_eq!((offsets(&engine, "t"), bases(world, "t-0")), (vec![2], vec![2]));
}

/// First 30 s after the first write, as Kafka's log.initial.task.delay.ms has it, then every log.retention.check.interval.ms.
/// Without threads the next call does it.
fn retention_runs_by_itself(world: &World) {
    let engine = three_segments(world, &[("retention.ms", "1000")]);
    let any_call = || drop(engine.consumer().unwrap().poll(std::time::Duration::ZERO).unwrap());
    for (ms, first) in [(29_999, 0), (1, 3)] {
        world.advance(ms);
        any_call();
        assert_eq!(bases(world, "t-0").first(), Some(&first), "after {ms} ms more");
    }
    send(&engine, "t", "old soon");
    for (ms, first) in [(299_999, 3), (1, 4)] {
        world.advance(ms);
        any_call();
        assert_eq!(bases(world, "t-0").first(), Some(&first), "after {ms} ms more");
    }
    assert!(offsets(&engine, "t").is_empty());
}

fn what_is_not_visible_yet_is_not_deleted(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1000"), ("retention.bytes", "0"), ("file.delete.delay.ms", "0")]);
    send_at(&engine, "t", NOW - 9 * HOUR, b"durable").unwrap();
    let lazy = producer(&engine, &[("acks", "1")]);
    for hours in [5, 3, 1] {
        let record = klog::ProducerRecord {
            topic: "t",
            timestamp: Some(NOW - hours * HOUR),
            value: Some(b"written"),
            ..klog::ProducerRecord::default()
        };
        lazy.send_record(&record).unwrap().result().unwrap();
    }
    engine.admin().delete_old_segments().unwrap();
    let partition = describe(&engine, "t");
    assert!(partition.log_start_offset <= 1 && partition.high_watermark == 1, "{partition:?}");
    engine.flush().unwrap();
    engine.admin().delete_old_segments().unwrap();
    assert_eq!(describe(&engine, "t").log_start_offset, 4);
}

fn a_directory_of_klog_keeps_everything_that_nobody_told_it_to_delete(world: &World) {
    let engine = three_segments(world, &[]);
    world.advance(365 * 24 * HOUR as u64);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0);
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0);
    world.advance(300_000);
    assert_eq!(offsets(&engine, "t"), [0, 1, 2]);
    create(&engine, "told", &[("retention.ms", "1000"), ("segment.ms", "1000")]);
    send(&engine, "told", "old");
    world.advance(5000);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 1, "a topic that was told to forgets");
}

fn files_go_after_the_delay(world: &World) {
    let engine = three_segments(world, &[("retention.ms", "10800000"), ("file.delete.delay.ms", "60000")]);
    world.advance(1);
    engine.admin().delete_old_segments().unwrap();
    let deleted = || world.ls("t-0").into_iter().filter(|name| name.ends_with(".deleted")).collect::<Vec<_>>();
    let expected = [
        "00000000000000000000.index.deleted",
        "00000000000000000000.log.deleted",
        "00000000000000000000.timeindex.deleted",
    ];
    assert_eq!(deleted(), expected);
    world.advance(59_999);
    engine.consumer().unwrap().poll(std::time::Duration::ZERO).unwrap();
    assert_eq!(deleted(), expected);
    world.advance(1);
    engine.consumer().unwrap().poll(std::time::Duration::ZERO).unwrap();
    assert_eq!(deleted(), [""; 0]);
}

fn files_go_at_the_next_opening_too(world: &World) {
    let engine = three_segments(world, &[("file.delete.delay.ms", "60000")]);
    engine.admin().delete_records("t", 0, Some(2)).unwrap();
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 2);
    engine.close().unwrap();
    let engine = world.open();
    send(&engine, "t", "written again");
    world.advance(60_000);
    send(&engine, "t", "and again");
    let left: Vec<_> = world.ls("t-0").into_iter().filter(|name| name.ends_with(".deleted")).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(offsets(&engine, "t"), [2, 3, 4]);
}

fn records_are_deleted_up_to_an_offset(world: &World) {
    let engine = three_segments(world, &[]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    assert_eq!(engine.admin().delete_records("t", 0, Some(1)).unwrap(), 1);
    assert_eq!(engine.admin().delete_records("t", 0, Some(0)).unwrap(), 1, "it never goes back");
    assert_eq!(offsets(&engine, "t"), [1, 2]);
    assert_eq!(drain(&mut consumer).len(), 2, "also for those who stood before it");
    assert_eq!(engine.admin().list_offset("t", 0, OffsetSpec::Earliest).unwrap().offset, 1);
    assert_eq!(engine.admin().delete_records("t", 0, None).unwrap(), 3);
    assert!(offsets(&engine, "t").is_empty());
}

fn records_are_deleted_up_to_the_middle_of_a_batch(world: &World) {
    let engine = world.open();
    send_batch(&engine, "t", &["a", "b", "c"], &[("compression.type", "gzip")]);
    assert_eq!(engine.admin().delete_records("t", 0, Some(1)).unwrap(), 1);
    assert_eq!(offsets(&engine, "t"), [1, 2]);
    assert_eq!(world.text("log-start-offset-checkpoint"), "0\n1\nt 0 1\n");
}

fn deleting_records_beyond_what_is_visible_is_refused(world: &World) {
    let engine = three_segments(world, &[]);
    let lazy = producer(&engine, &[("acks", "1")]);
    lazy.send("t", None, Some(b"not visible")).unwrap().result().unwrap();
    for offset in [4, 5, -1, -2, i64::MAX] {
        let message = refused(engine.admin().delete_records("t", 0, Some(offset)), ErrorCode::OffsetOutOfRange);
        names(&message, &["t-0", &offset.to_string(), "3"]);
    }
    assert_eq!(describe(&engine, "t").log_start_offset, 0);
    assert_eq!(engine.admin().delete_records("t", 0, None).unwrap(), 3, "all that is visible");
}

fn what_was_deleted_stays_deleted(world: &World) {
    let engine = three_segments(world, &[]);
    engine.admin().delete_records("t", 0, Some(2)).unwrap();
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(offsets(&engine, "t"), [2]);
    engine.admin().delete_records("t", 0, None).unwrap();
    engine.admin().delete_old_segments().unwrap();
    engine.close().unwrap();
    let engine = world.open();
    assert!(offsets(&engine, "t").is_empty());
    let partition = describe(&engine, "t");
    assert_eq!((partition.log_start_offset, partition.log_end_offset), (3, 3));
}

/// No segment can go, so the checkpoint alone says where the log starts.
fn what_was_deleted_in_the_middle_of_a_segment_stays_deleted(world: &World) {
    let engine = world.open();
    for pair in [["a", "b"], ["c", "d"], ["e", "f"]] {
        send_batch(&engine, "t", &pair, &[]);
    }
    let bytes = world.bytes("t-0/00000000000000000000.log");
    assert_eq!(engine.admin().delete_records("t", 0, Some(3)).unwrap(), 3);
    let check = |engine: &Engine, when: &str| {
        assert_eq!(offsets(engine, "t"), [3, 4, 5], "{when}");
        assert_eq!(engine.admin().list_offset("t", 0, OffsetSpec::Earliest).unwrap().offset, 3, "{when}");
        assert_eq!(engine.admin().delete_old_segments().unwrap(), 0, "{when}");
        assert_eq!((bases(world, "t-0"), world.bytes("t-0/00000000000000000000.log")), (vec![0], bytes.clone()));
        let message = refused(engine.admin().list_batches("t", 0, 2, 1), ErrorCode::OffsetOutOfRange);
        names(&message, &["t-0", "2", "3"]);
    };
    check(&engine, "at once");
    engine.close().unwrap();
    for orderly in [true, false, false] {
        if !orderly {
            let _ = world.sys.disk.remove_file(&world.dir.join(".kafka_cleanshutdown"));
        }
        let engine = world.open();
        check(&engine, if orderly { "after an orderly end" } else { "after the death of the process" });
        assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
        engine.close().unwrap();
    }
    let engine = world.open();
    assert_eq!(send(&engine, "t", "g"), 6);
    assert_eq!(engine.admin().delete_records("t", 0, Some(2)).unwrap(), 3, "it never goes back");
}

fn a_topic_that_became_empty_goes_on_where_it_was(world: &World) {
    let engine = three_segments(world, &[("retention.ms", "1000")]);
    engine.admin().delete_old_segments().unwrap();
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(send(&engine, "t", "goes on"), 3, "an offset is never used twice");
    assert_eq!(offsets(&engine, "t"), [3]);
}

/// Kafka takes the greatest timestamp of a segment, so one young record keeps the old ones around it.
fn cleaning_up_is_up_to_the_topic(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("retention.ms", "3600000"), ("segment.ms", "1000000000")]);
    for hours in [3, 2, 0] {
        send_at(&engine, "t", NOW - hours * HOUR, b"value").unwrap();
    }
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0);
    world.advance(HOUR as u64 + 1);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 1);
}
