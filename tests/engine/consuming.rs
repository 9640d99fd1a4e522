//! Reading: where it begins, what a poll returns, and how it waits.

use std::collections::BTreeSet;
use std::time::Duration;

use klog::sys::Clock;
use klog::{ErrorCode, NewTopic, ProducerRecord, Start};

use crate::steps::{
    consumer, consumer_of, create, describe, drain, producer, refused, send, send_at, send_batch, values,
};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    an_empty_poll_waits_as_long_as_it_was_told,
    a_poll_of_nothing_returns_at_its_timeout,
    whole_topics_are_read,
    a_partition_that_always_has_more_does_not_keep_others_waiting,
    reading_until_now_ends_there,
    a_poll_returns_no_more_records_than_it_may,
    a_batch_outlives_its_consumer_and_its_engine,
    slices_share_the_batch,
    a_record_is_visible_once_it_is_durable,
    a_poll_brings_up_what_is_not_visible_yet,
    a_consumer_reads_on_after_the_topic_grew_over_segments,
    a_wakeup_comes_before_records,
);

fn an_empty_poll_waits_as_long_as_it_was_told(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    for ms in [0, 1, 999, 2500] {
        let before = world.clock.monotonic();
        let batch = consumer.poll(Duration::from_millis(ms)).unwrap();
        assert!(batch.is_empty());
        assert_eq!((batch.topic(), batch.partition(), batch.len()), ("", -1, 0));
        assert_eq!(world.clock.monotonic(), before + Duration::from_millis(ms));
    }
    send(&engine, "t", "one");
    let before = world.clock.monotonic();
    assert_eq!(consumer.poll(Duration::from_secs(3600)).unwrap().len(), 1);
    assert_eq!(world.clock.monotonic(), before, "nobody waits for what is there");
}

fn a_poll_of_nothing_returns_at_its_timeout(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    let mut consumer = consumer(&engine, &[]);
    assert!(consumer.poll(Duration::from_millis(10)).unwrap().is_empty());
    consumer.assign("t", 0, Start::Earliest).unwrap();
    consumer.pause("t", 0).unwrap();
    assert!(consumer.poll(Duration::from_millis(10)).unwrap().is_empty());
    assert_eq!(world.clock.now().0, NOW + 20);
}

fn a_partition_that_always_has_more_does_not_keep_others_waiting(world: &World) {
    let engine = world.open();
    for topic in ["busy", "b", "c"] {
        (0..5).for_each(|number| assert_eq!(send(&engine, topic, "v"), number));
    }
    let mut reading = consumer(&engine, &[("max.poll.records", "1")]);
    reading.assign_topics(&["busy", "b", "c"], Start::Earliest).unwrap();
    let mut others = 0;
    for _ in 0..40 {
        send(&engine, "busy", "more");
        others += usize::from(reading.poll(Duration::ZERO).unwrap().topic() != "busy");
    }
    assert_eq!(others, 10);
}

fn whole_topics_are_read(world: &World) {
    let engine = world.open();
    engine.admin().create_topic(&NewTopic::named("t").partitions(3)).unwrap();
    create(&engine, "u", &[]);
    let mut sent = BTreeSet::new();
    for number in 0..60 {
        let (topic, partition) = if number % 4 == 3 { ("u", 0) } else { ("t", number % 4) };
        let value = format!("{topic}-{partition} {number:02}");
        let record = ProducerRecord {
            topic,
            partition: Some(partition),
            value: Some(value.as_bytes()),
            ..ProducerRecord::default()
        };
        producer(&engine, &[]).send_record(&record).unwrap().result().unwrap();
        sent.insert(value);
    }
    let mut reading = consumer(&engine, &[("max.poll.records", "4")]);
    reading.assign_topics(&["t", "u"], Start::Earliest).unwrap();
    assert_eq!(reading.assignment().len(), 4);
    let mut found = Vec::new();
    loop {
        let batch = reading.poll(Duration::ZERO).unwrap();
        if batch.is_empty() {
            break;
        }
        let place = format!("{}-{}", batch.topic(), batch.partition());
        for record in &batch {
            let value = String::from_utf8(record.value().unwrap().to_vec()).unwrap();
            assert!(value.starts_with(&place), "a batch is of one partition");
            found.push(value);
        }
    }
    for place in ["t-0", "t-1", "t-2", "u-0"] {
        assert!(found.iter().filter(|value| value.starts_with(place)).is_sorted(), "{place} in order");
    }
    assert_eq!(found.len(), sent.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), sent);
}

fn reading_until_now_ends_there(world: &World) {
    let engine = world.open();
    create(&engine, "u", &[]);
    send_batch(&engine, "t", &["a", "b"], &[]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    consumer.assign("u", 0, Start::Earliest).unwrap();
    consumer.read_until_now();
    assert!(!consumer.is_finished());
    send(&engine, "t", "too late");
    send(&engine, "u", "too late");
    let mut found = Vec::new();
    while !consumer.is_finished() {
        let batch = consumer.poll(Duration::from_secs(3600)).unwrap();
        found.extend(batch.iter().map(|record| String::from_utf8_lossy(record.value().unwrap()).into_owned()));
    }
    assert_eq!(found, ["a", "b"]);
    assert!(consumer.poll(Duration::from_secs(3600)).unwrap().is_empty(), "at once");
    assert_eq!(world.clock.now().0, NOW, "no time went by");
}

fn a_poll_returns_no_more_records_than_it_may(world: &World) {
    let engine = world.open();
    let many: Vec<&str> = vec!["v"; 1100];
    send_batch(&engine, "t", &many, &[]);
    let mut by_default = consumer_of(&engine, "t", Start::Earliest);
    let sizes = [(); 4].map(|()| by_default.poll(Duration::ZERO).unwrap().len());
    assert_eq!(sizes, [500, 500, 100, 0]);
    let mut small = consumer(&engine, &[("max.poll.records", "3")]);
    small.assign("t", 0, Start::Offset(1095)).unwrap();
    let sizes = [(); 3].map(|()| small.poll(Duration::ZERO).unwrap().len());
    assert_eq!(sizes, [3, 2, 0]);
}

fn a_batch_outlives_its_consumer_and_its_engine(world: &World) {
    let engine = world.open();
    send_batch(&engine, "t", &["a", "b"], &[("compression.type", "zstd")]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    let first = consumer.poll_records(Duration::ZERO, 1).unwrap();
    let second = consumer.poll(Duration::ZERO).unwrap();
    consumer.seek("t", 0, Start::Earliest).unwrap();
    let again = consumer.poll(Duration::ZERO).unwrap();
    drop(consumer);
    engine.close().unwrap();
    drop(engine);
    let text = |batch: &klog::Batch| batch.iter().map(|record| record.value().unwrap().to_vec()).collect::<Vec<_>>();
    assert_eq!(text(&first), [b"a"]);
    assert_eq!(text(&second), [b"b"]);
    assert_eq!(text(&again), [b"a", b"b"]);
}

fn slices_share_the_batch(world: &World) {
    let engine = world.open();
    send_batch(&engine, "t", &["a", "b", "c", "d"], &[]);
    let batch = consumer_of(&engine, "t", Start::Earliest).poll(Duration::ZERO).unwrap();
    let slice = batch.slice(1..3);
    assert_eq!((slice.len(), slice.get(0).unwrap().offset(), slice.get(1).unwrap().offset()), (2, 1, 2));
    assert!(slice.get(2).is_none());
    assert_eq!(slice.slice(1..2).get(0).unwrap().value(), Some(&b"c"[..]));
    assert!(slice.slice(0..0).is_empty());
    assert!(std::ptr::eq(slice.data().as_ptr(), batch.data().as_ptr()), "no byte is copied");
}

fn a_record_is_visible_once_it_is_durable(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    create(&engine, "u", &[("klog.durability", "os")]);
    let lazy = producer(&engine, &[("acks", "1")]);
    for topic in ["t", "u"] {
        lazy.send(topic, None, Some(b"written")).unwrap().result().unwrap();
    }
    let visible = |topic| (describe(&engine, topic).high_watermark, describe(&engine, topic).log_end_offset);
    assert_eq!((visible("t"), visible("u")), ((0, 1), (1, 1)), "where os is enough it is visible when it is written");
    engine.flush().unwrap();
    assert_eq!(visible("t"), (1, 1));
    lazy.send("t", None, Some(b"written")).unwrap().result().unwrap();
    assert_eq!(visible("t"), (1, 2));
    send(&engine, "t", "waited for");
    assert_eq!(visible("t"), (3, 3), "a flush for one is a flush for those before it");
}

/// Whoever waits for the watermark raises it: a poll flushes what it wants to return (design D6).
fn a_poll_brings_up_what_is_not_visible_yet(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    producer(&engine, &[("acks", "1")]).send("t", None, Some(b"one")).unwrap().result().unwrap();
    assert_eq!(describe(&engine, "t").high_watermark, 0);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    let batch = consumer.poll(Duration::ZERO).unwrap();
    assert_eq!((batch.len(), batch.high_watermark()), (1, 1));
    assert_eq!(describe(&engine, "t").high_watermark, 1, "nothing is returned that is not durable");
}

fn a_consumer_reads_on_after_the_topic_grew_over_segments(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1000")]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    for number in 0..10 {
        send_at(&engine, "t", NOW - 100_000 + number * 600, number.to_string().as_bytes()).unwrap();
        assert_eq!(values(&drain(&mut consumer)), [number.to_string()]);
    }
    assert!(describe(&engine, "t").segments > 3);
    consumer.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(drain(&mut consumer).len(), 10);
}

fn a_wakeup_comes_before_records(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    consumer.waker().unwrap().wake();
    refused(consumer.poll(Duration::from_secs(3600)), ErrorCode::Interrupted);
    assert_eq!(world.clock.now().0, NOW, "it did not wait");
    assert_eq!(values(&drain(&mut consumer)), ["one"], "nothing was lost by it");
}
