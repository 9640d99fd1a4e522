//! Where a consumer stands: where it begins, where it is moved to, and what it has of each partition.

use std::time::Duration;

use klog::{Engine, ErrorCode, ProducerRecord, Start, TopicPartition};

use crate::steps::{consumer, consumer_of, drain, names, producer, refused, send, send_at, send_batch, values};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    reading_begins_where_it_was_told_to,
    reading_by_time_begins_at_the_first_record_that_is_not_older,
    reading_begins_in_the_middle_of_a_batch,
    partitions_come_and_go,
    partitions_that_are_added_to_a_whole_topic_are_read_from_their_start,
    a_partition_that_was_assigned_by_name_is_not_moved_when_its_topic_is_followed,
    seeking_moves_a_partition,
    a_paused_partition_is_left_out,
    the_position_is_the_next_offset,
    a_partition_that_is_not_assigned_is_refused,
);

fn reading_begins_where_it_was_told_to(world: &World) {
    let engine = world.open();
    for value in ["a", "b", "c", "d"] {
        send(&engine, "t", value);
    }
    for (start, position, expected) in [
        (Start::Earliest, 0, &["a", "b", "c", "d"][..]),
        (Start::Latest, 4, &[]),
        (Start::Offset(2), 2, &["c", "d"]),
        (Start::Offset(4), 4, &[]),
    ] {
        let mut consumer = consumer_of(&engine, "t", start);
        assert_eq!(consumer.position("t", 0).unwrap(), position, "{start:?}");
        assert_eq!(values(&drain(&mut consumer)), expected, "{start:?}");
    }
    let mut latest = consumer_of(&engine, "t", Start::Latest);
    send(&engine, "t", "e");
    assert_eq!(values(&drain(&mut latest)), ["e"]);
}

fn reading_by_time_begins_at_the_first_record_that_is_not_older(world: &World) {
    let engine = world.open();
    for (timestamp, value) in [(100, "a"), (300, "b"), (200, "c"), (300, "d"), (400, "e")] {
        send_at(&engine, "t", NOW + timestamp, value.as_bytes()).unwrap();
    }
    for (timestamp, offset) in [(0, 0), (100, 0), (101, 1), (201, 1), (300, 1), (301, 4), (400, 4), (401, 5)] {
        let mut consumer = consumer_of(&engine, "t", Start::Timestamp(NOW + timestamp));
        assert_eq!(consumer.position("t", 0).unwrap(), offset, "at {timestamp}");
    }
}

fn reading_begins_in_the_middle_of_a_batch(world: &World) {
    let engine = world.open();
    for codec in ["none", "lz4"] {
        send_batch(&engine, codec, &["0", "1", "2", "3", "4"], &[("compression.type", codec)]);
        send_batch(&engine, codec, &["5", "6"], &[("compression.type", codec)]);
        for offset in 0..7 {
            let found = drain(&mut consumer_of(&engine, codec, Start::Offset(offset)));
            let expected: Vec<_> = (offset..7).map(|offset| (offset, offset.to_string())).collect();
            assert_eq!(found, expected, "{codec}");
        }
    }
}

fn partitions_come_and_go(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    send(&engine, "u", "two");
    let mut consumer = consumer_of(&engine, "u", Start::Earliest);
    consumer.assign("t", 0, Start::Earliest).unwrap();
    assert_eq!(consumer.assignment(), [TopicPartition::new("u", 0), TopicPartition::new("t", 0)]);
    assert_eq!(drain(&mut consumer).len(), 2);
    consumer.assign("t", 0, Start::Earliest).unwrap();
    assert_eq!(consumer.assignment().len(), 2, "one that is there is moved");
    assert_eq!(values(&drain(&mut consumer)), ["one"]);
    consumer.unassign();
    assert!(consumer.assignment().is_empty());
    assert!(consumer.poll(Duration::ZERO).unwrap().is_empty());
    refused(consumer.position("t", 0), ErrorCode::NotAssigned);
    consumer.assign("u", 0, Start::Earliest).unwrap();
    assert_eq!(values(&drain(&mut consumer)), ["two"]);
}

fn send_to(engine: &Engine, partition: i32, value: &str) {
    let value = Some(value.as_bytes());
    let record = ProducerRecord { topic: "t", partition: Some(partition), value, ..ProducerRecord::default() };
    producer(engine, &[]).send_record(&record).unwrap().result().unwrap();
}

fn partitions_that_are_added_to_a_whole_topic_are_read_from_their_start(world: &World) {
    let engine = world.open();
    send(&engine, "t", "before");
    let mut follower = consumer(&engine, &[]);
    follower.assign_topics(&["t"], Start::Latest).unwrap();
    let mut named = consumer_of(&engine, "t", Start::Latest);
    assert_eq!(drain(&mut follower), []);
    engine.admin().add_partitions("t", 3).unwrap();
    send_to(&engine, 1, "one");
    send_to(&engine, 2, "two");
    let mut found = drain(&mut follower);
    found.sort();
    assert_eq!(found, [(0, "one".to_owned()), (0, "two".to_owned())]);
    assert_eq!(follower.assignment().len(), 3);
    assert_eq!(drain(&mut named), []);
    assert_eq!(named.assignment(), [TopicPartition::new("t", 0)]);
    follower.unassign();
    engine.admin().add_partitions("t", 4).unwrap();
    send_to(&engine, 3, "three");
    assert_eq!(drain(&mut follower), []);
}

/// It was put back to its start, and what was before the offset was read.
fn a_partition_that_was_assigned_by_name_is_not_moved_when_its_topic_is_followed(world: &World) {
    let engine = world.open();
    send(&engine, "t", "before");
    let mut consumer = consumer(&engine, &[]);
    consumer.assign_topics(&["t"], Start::Latest).unwrap();
    engine.admin().add_partitions("t", 2).unwrap();
    send_to(&engine, 1, "old");
    send_to(&engine, 1, "new");
    consumer.assign("t", 1, Start::Offset(1)).unwrap();
    assert_eq!(values(&drain(&mut consumer)), ["new"]);
}

fn seeking_moves_a_partition(world: &World) {
    let engine = world.open();
    for (number, value) in ["a", "b", "c"].into_iter().enumerate() {
        send_at(&engine, "t", NOW + number as i64, value.as_bytes()).unwrap();
    }
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    drain(&mut consumer);
    for (start, expected) in [
        (Start::Offset(1), &["b", "c"][..]),
        (Start::Earliest, &["a", "b", "c"]),
        (Start::Latest, &[]),
        (Start::Timestamp(NOW + 2), &["c"]),
    ] {
        consumer.seek("t", 0, start).unwrap();
        assert_eq!(values(&drain(&mut consumer)), expected, "{start:?}");
    }
    // In the middle of what a poll had decoded already.
    consumer.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(consumer.poll_records(Duration::ZERO, 1).unwrap().len(), 1);
    consumer.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(values(&drain(&mut consumer)), ["a", "b", "c"]);
    refused(consumer.seek("t", 0, Start::Offset(-1)), ErrorCode::OffsetOutOfRange);
}

fn a_paused_partition_is_left_out(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    send(&engine, "u", "two");
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    consumer.assign("u", 0, Start::Earliest).unwrap();
    consumer.pause("t", 0).unwrap();
    consumer.pause("t", 0).unwrap();
    assert_eq!(values(&drain(&mut consumer)), ["two"]);
    assert_eq!(consumer.position("t", 0).unwrap(), 0);
    consumer.resume("t", 0).unwrap();
    assert_eq!(values(&drain(&mut consumer)), ["one"]);
    consumer.resume("t", 0).unwrap();
}

fn the_position_is_the_next_offset(world: &World) {
    let engine = world.open();
    send_batch(&engine, "t", &["a", "b", "c", "d", "e"], &[]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    for expected in [2, 4, 5] {
        let batch = consumer.poll_records(Duration::ZERO, 2).unwrap();
        assert_eq!(consumer.position("t", 0).unwrap(), expected);
        assert_eq!((batch.next_offset(), batch.high_watermark()), (expected, 5));
    }
    assert!(consumer.poll(Duration::ZERO).unwrap().is_empty());
    assert_eq!(consumer.position("t", 0).unwrap(), 5);
}

fn a_partition_that_is_not_assigned_is_refused(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    let mut consumer = consumer(&engine, &[]);
    names(&refused(consumer.seek("t", 0, Start::Earliest), ErrorCode::NotAssigned), &["t-0"]);
    refused(consumer.pause("t", 0), ErrorCode::NotAssigned);
    refused(consumer.resume("t", 0), ErrorCode::NotAssigned);
    refused(consumer.position("t", 0), ErrorCode::NotAssigned);
}
