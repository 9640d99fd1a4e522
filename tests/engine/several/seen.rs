//! What one changes is seen by the other at its next call.

use std::time::Duration;

use klog::{ConfigResource, Consumer, Engine, ErrorCode, OffsetSpec, Start, TimestampMs};

use super::{alter, create_with, pairs, send_to, two};
use crate::steps::{consumer, consumer_of, create, describe, drain, producer, read, refused, send, send_at, values};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_topic_that_one_makes_is_there_for_the_other,
    a_topic_that_one_deletes_is_gone_for_the_other,
    a_setting_that_one_changes_holds_for_the_appends_of_the_other,
    a_setting_of_the_brokers_that_one_changes_holds_for_the_other,
    partitions_that_one_adds_are_used_by_producers_and_consumers_of_the_other,
    both_may_make_the_same_topic_and_one_is_told_that_it_is_there,
    records_are_found_by_offset_and_time_whoever_appended_them,
    what_is_described_is_what_both_have_done,
    where_the_log_begins_is_the_same_for_both,
    a_topic_that_one_makes_anew_is_another_one_for_the_other,
    a_consumer_of_a_topic_that_was_made_anew_is_told,
    what_must_be_durable_since_the_other_said_so_is_not_shown_before,
    what_was_shown_is_durable_once_it_must_be,
);

fn a_topic_that_one_makes_is_there_for_the_other(world: &World) {
    let (a, b) = two(world);
    for (number, (one, other)) in pairs(&a, &b).into_iter().enumerate() {
        let name = format!("t{number}");
        refused(other.admin().describe_topic(&name), ErrorCode::UnknownTopicOrPartition);
        create(one, &name, &[("max.message.bytes", "5000")]);
        let described = other.admin().describe_topic(&name).unwrap();
        assert_eq!(described, one.admin().describe_topic(&name).unwrap());
        assert_eq!(described.configs["max.message.bytes"], "5000");
        assert!(other.admin().list_topics().unwrap().iter().any(|topic| topic.name == name));
        assert_eq!(send(other, &name, "first"), 0);
        assert_eq!(read(one, &name), [(0, "first".to_owned())]);
    }
}

fn a_topic_that_one_deletes_is_gone_for_the_other(world: &World) {
    let (a, b) = two(world);
    for (number, (one, other)) in pairs(&a, &b).into_iter().enumerate() {
        let name = format!("t{number}");
        create_with(one, &name, 2);
        send_to(one, &name, 0, "one").unwrap();
        let mut reading = consumer_of(other, &name, Start::Earliest);
        assert_eq!(drain(&mut reading).len(), 1);
        let keeping = producer(other, &[]);
        keeping.send(&name, None, Some(b"two")).unwrap().result().unwrap();
        one.admin().delete_topic(&name).unwrap();
        refused(other.admin().describe_topic(&name), ErrorCode::UnknownTopicOrPartition);
        refused(other.admin().delete_topic(&name), ErrorCode::UnknownTopicOrPartition);
        refused(other.admin().delete_records(&name, 0, None), ErrorCode::UnknownTopicOrPartition);
        refused(other.admin().list_segments(&name, 1), ErrorCode::UnknownTopicOrPartition);
        refused(reading.poll(Duration::ZERO), ErrorCode::UnknownTopicOrPartition);
        refused(other.consumer().unwrap().assign(&name, 1, Start::Earliest), ErrorCode::UnknownTopicOrPartition);
        assert!(other.admin().list_topics().unwrap().iter().all(|topic| topic.name != name));
        assert_eq!(world.ls("").iter().filter(|entry| **entry == format!("{name}-0/")).count(), 0);
        drop(keeping);
    }
}

fn a_setting_that_one_changes_holds_for_the_appends_of_the_other(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    send(&a, "t", "a");
    send(&b, "t", "b");
    for (one, other) in pairs(&a, &b) {
        alter(one, "t", "max.message.bytes", "100");
        let keeping = producer(other, &[]);
        let sent = keeping.send("t", None, Some(&[b'x'; 200])).and_then(|delivery| delivery.result());
        refused(sent, ErrorCode::MessageTooLarge);
        let found = other.admin().describe_configs(&ConfigResource::Topic("t".into())).unwrap();
        let found = found.iter().find(|entry| entry.name == "max.message.bytes").unwrap();
        assert_eq!(found.value.as_deref(), Some("100"));
        alter(one, "t", "max.message.bytes", "10000");
        keeping.send("t", None, Some(&[b'x'; 200])).unwrap().result().unwrap();
    }
    // A segment of the new size is begun by whoever appends.
    alter(&a, "t", "segment.bytes", "1048576");
    let before = b.admin().list_segments("t", 0).unwrap().len();
    for _ in 0..120 {
        let keeping = producer(&b, &[]);
        keeping.send("t", None, Some(&[b'x'; 9000])).unwrap().result().unwrap();
    }
    assert_eq!(b.admin().list_segments("t", 0).unwrap().len(), before + 1);
}

fn a_setting_of_the_brokers_that_one_changes_holds_for_the_other(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    send(&b, "t", "b");
    let changes = [("message.max.bytes".to_owned(), Some("100".to_owned()))].into();
    a.admin().alter_configs(&ConfigResource::Brokers, &changes).unwrap();
    let sent = producer(&b, &[]).send("t", None, Some(&[b'x'; 200])).and_then(|delivery| delivery.result());
    refused(sent, ErrorCode::MessageTooLarge);
}

fn partitions_that_one_adds_are_used_by_producers_and_consumers_of_the_other(world: &World) {
    let (a, b) = two(world);
    create_with(&a, "t", 1);
    let keeping = producer(&b, &[]);
    keeping.send("t", None, Some(b"zero")).unwrap().result().unwrap();
    let mut all = consumer(&b, &[]);
    all.assign_topics(&["t"], Start::Earliest).unwrap();
    assert_eq!(values(&drain(&mut all)), ["zero"]);
    assert_eq!(a.admin().add_partitions("t", 3).unwrap().partitions.len(), 3);
    refused(b.admin().add_partitions("t", 3), ErrorCode::InvalidPartitions);
    let record = |partition| klog::ProducerRecord {
        topic: "t",
        partition: Some(partition),
        value: Some(b"there"),
        ..klog::ProducerRecord::default()
    };
    assert_eq!(keeping.send_record(&record(2)).unwrap().result().unwrap().offset, 0);
    assert_eq!(send_to(&a, "t", 1, "here").unwrap(), 0);
    let mut found = drain(&mut all);
    found.sort();
    assert_eq!(values(&found), ["here", "there"]);
    assert_eq!(b.admin().add_partitions("t", 4).unwrap().partitions.len(), 4);
    assert_eq!(a.admin().describe_topic("t").unwrap().partitions.len(), 4);
}

fn both_may_make_the_same_topic_and_one_is_told_that_it_is_there(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    refused(b.admin().create_topic(&klog::NewTopic::named("t")), ErrorCode::TopicAlreadyExists);
    // Made by the first record, by either.
    assert_eq!(send(&b, "u", "b"), 0);
    assert_eq!(send(&a, "u", "a"), 1);
    assert_eq!(a.admin().describe_topic("u").unwrap().id, b.admin().describe_topic("u").unwrap().id);
}

fn records_are_found_by_offset_and_time_whoever_appended_them(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("index.interval.bytes", "0"), ("segment.ms", "1000000")]);
    let time = |number: i64| NOW - 10_000_000 + number * 300_000;
    for number in 0..12 {
        let engine = if number % 3 == 0 { &a } else { &b };
        assert_eq!(send_at(engine, "t", time(number), format!("{number}").as_bytes()).unwrap(), number);
        for engine in [&a, &b] {
            let found = engine.admin().list_offset("t", 0, OffsetSpec::At(TimestampMs(time(number) - 1))).unwrap();
            assert_eq!((found.offset, found.timestamp), (number, time(number)));
            let newest = engine.admin().list_offset("t", 0, OffsetSpec::MaxTimestamp).unwrap();
            assert_eq!((newest.offset, newest.timestamp), (number, time(number)));
            let latest = engine.admin().list_offset("t", 0, OffsetSpec::Latest).unwrap();
            assert_eq!(latest.offset, number + 1);
        }
    }
    for engine in [&a, &b] {
        for number in 0..12 {
            let mut from = consumer_of(engine, "t", Start::Offset(number));
            assert_eq!(drain(&mut from)[0], (number, number.to_string()));
            let mut from = consumer_of(engine, "t", Start::Timestamp(time(number)));
            assert_eq!(drain(&mut from)[0], (number, number.to_string()));
        }
    }
}

fn what_is_described_is_what_both_have_done(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("segment.ms", "1000")]);
    for number in 0..6 {
        let engine = if number % 2 == 0 { &a } else { &b };
        send_at(engine, "t", NOW - 10_000_000 + number * 5000, b"value").unwrap();
        assert_eq!(described(&a), described(&b), "after record {number}");
        assert_eq!(described(&a).0.segments as i64, number + 1);
        assert_eq!(described(&a).2.len() as i64, number + 1);
    }
    assert!(a.admin().verify(None).unwrap().is_empty());
    assert!(b.admin().verify(None).unwrap().is_empty());
}

type Described = (klog::PartitionDescription, Vec<klog::SegmentDescription>, Vec<klog::BatchDescription>);

fn described(engine: &Engine) -> Described {
    let admin = engine.admin();
    let batches = admin.list_batches("t", 0, 0, 100).unwrap();
    (describe(engine, "t"), admin.list_segments("t", 0).unwrap(), batches)
}

fn where_the_log_begins_is_the_same_for_both(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    for _ in 0..6 {
        send(&a, "t", "value");
    }
    let mut reading = consumer_of(&b, "t", Start::Earliest);
    let batch = reading.poll_records(Duration::ZERO, 1).unwrap();
    assert_eq!(batch.next_offset(), 1);
    assert_eq!(a.admin().delete_records("t", 0, Some(3)).unwrap(), 3);
    assert_eq!(describe(&b, "t").log_start_offset, 3);
    refused(b.admin().delete_records("t", 0, Some(7)), ErrorCode::OffsetOutOfRange);
    assert_eq!(b.admin().delete_records("t", 0, Some(2)).unwrap(), 3, "it never goes back");
    assert_eq!(b.admin().delete_records("t", 0, Some(5)).unwrap(), 5);
    assert_eq!(describe(&a, "t").log_start_offset, 5);
    assert_eq!(world.text("log-start-offset-checkpoint"), "0\n1\nt 0 5\n");
    assert_eq!(read(&a, "t").len(), 1);
    assert_eq!(read(&b, "t").len(), 1);
    drop(a);
    drop(b);
    assert_eq!(describe(&world.open(), "t").log_start_offset, 5);
}

fn a_topic_that_one_makes_anew_is_another_one_for_the_other(world: &World) {
    let (a, b) = two(world);
    for (one, other) in pairs(&a, &b) {
        create(one, "t", &[("max.message.bytes", "5000")]);
        for _ in 0..3 {
            send(other, "t", "old");
        }
        other.admin().delete_records("t", 0, Some(2)).unwrap();
        one.admin().delete_topic("t").unwrap();
        create(one, "t", &[]);
        // Without a call in between: the other one finds out at this append.
        assert_eq!(send(other, "t", "new"), 0);
        assert_eq!(send(one, "t", "newer"), 1);
        assert_eq!(values(&read(other, "t")), ["new", "newer"]);
        assert_eq!(describe(other, "t").log_start_offset, 0);
        assert_eq!(other.admin().describe_topic("t").unwrap().configs.len(), 0);
        one.admin().delete_topic("t").unwrap();
    }
}

fn a_consumer_of_a_topic_that_was_made_anew_is_told(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    send(&a, "t", "old");
    send(&a, "t", "old too");
    let mut reading: Consumer = consumer_of(&b, "t", Start::Earliest);
    assert_eq!(reading.poll_records(Duration::ZERO, 1).unwrap().next_offset(), 1);
    let keeping = producer(&b, &[]);
    keeping.send("t", None, Some(b"old")).unwrap().result().unwrap();
    a.admin().delete_topic("t").unwrap();
    create(&a, "t", &[]);
    send(&a, "t", "new");
    send(&a, "t", "new too");
    // Records of another topic are not handed out as if they followed.
    refused(reading.poll(Duration::ZERO), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(values(&read(&b, "t")), ["new", "new too"]);
    // A producer goes by the name.
    assert_eq!(keeping.send("t", None, Some(b"third")).unwrap().result().unwrap().offset, 2);
}

fn what_must_be_durable_since_the_other_said_so_is_not_shown_before(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("klog.durability", "os")]);
    let (of_a, of_b) = (producer(&a, &[]), producer(&b, &[("acks", "1")]));
    let sent = of_a.send("t", None, Some(b"a's")).unwrap();
    of_a.flush().unwrap();
    alter(&b, "t", "klog.durability", "fsync");
    of_b.send("t", None, Some(b"b's")).unwrap().result().unwrap();
    sent.result().unwrap();
    assert_eq!(describe(&b, "t").high_watermark, 1);
    a.flush().unwrap();
    assert_eq!(describe(&b, "t").high_watermark, 2);
}

/// Else a power cut takes what was shown, and the epoch stays: it does so where only what is durable is shown.
fn what_was_shown_is_durable_once_it_must_be(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("klog.durability", "os")]);
    send(&b, "t", "value");
    let flushes = || {
        let counted = a.admin().metrics().unwrap().partitions;
        counted.iter().find(|counted| counted.partition.topic == "t").unwrap().counts.flushes
    };
    assert_eq!(flushes(), 0);
    alter(&a, "t", "klog.durability", "fsync");
    assert_eq!(flushes(), 1);
}
