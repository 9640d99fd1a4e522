//! Sending: what is stored, when it is written, and what an acknowledgement waits for.

use std::time::Duration;

use klog::record::Codec;
use klog::sys::Event;
use klog::{ErrorCode, ProducerRecord, Start, TimestampType};
use klog_tests::golden::sha256;

use crate::steps::{
    batches, consumer_of, create, describe, names, offsets, producer, read, refused, send, send_at, send_batch,
};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    the_seed_is_stored_in_the_known_82_bytes,
    a_record_comes_back_with_everything_it_had,
    every_codec_is_stored_as_such_and_read_back,
    a_topic_may_store_with_another_codec_than_it_was_sent_with,
    a_record_without_acknowledgement_has_no_offset,
    a_batch_above_the_topics_limit_is_refused_whole,
    the_limit_counts_what_is_stored,
    a_batch_larger_than_a_segment_is_refused,
    a_producers_timestamp_is_kept,
    a_timestamp_outside_the_window_is_refused,
    the_logs_own_time_takes_the_place_of_the_producers,
);

fn the_seed_is_stored_in_the_known_82_bytes(world: &World) {
    let engine = world.open();
    assert_eq!(send_at(&engine, "peter-overview01", 1_641_213_117_088, b" First message").unwrap(), 0);
    let stored = world.bytes("peter-overview01-0/00000000000000000000.log");
    assert_eq!(stored.len(), 82);
    assert_eq!(sha256(&stored), "4ee08df96fb5a1c1783b3d0e85dc4456133cb650b6933231c748863b11979d10");
}

fn a_record_comes_back_with_everything_it_had(world: &World) {
    let engine = world.open();
    let bytes: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"text"), Some(&[0, 255, 128])];
    let headers: [(&str, Option<&[u8]>); 5] =
        [("b", Some(b"1")), ("a", None), ("b", Some(b"")), ("", Some(b"no name")), ("ä€", Some(&[0; 300]))];
    let mut sent = Vec::new();
    for key in bytes {
        for value in bytes {
            for count in [0, 1, 5] {
                sent.push((key, value, &headers[..count], NOW + sent.len() as i64 * 7 % 5 - 2));
            }
        }
    }
    let producer = producer(&engine, &[("linger.ms", "1000")]);
    let deliveries: Vec<_> = sent
        .iter()
        .map(|(key, value, headers, timestamp)| {
            let timestamp = Some(*timestamp);
            let record = ProducerRecord { topic: "t", partition: None, timestamp, key: *key, value: *value, headers };
            producer.send_record(&record).unwrap()
        })
        .collect();
    for (delivery, (offset, sent)) in deliveries.iter().zip(sent.iter().enumerate()) {
        let metadata = delivery.result().unwrap();
        assert_eq!((&*metadata.topic, metadata.partition), ("t", 0));
        assert_eq!((metadata.offset, metadata.timestamp), (offset as i64, sent.3));
    }
    let batch = consumer_of(&engine, "t", Start::Earliest).poll(Duration::ZERO).unwrap();
    assert_eq!((batch.topic(), batch.partition(), batch.len()), ("t", 0, sent.len()));
    for (offset, (record, (key, value, headers, timestamp))) in batch.iter().zip(&sent).enumerate() {
        assert_eq!((record.offset(), record.timestamp()), (offset as i64, *timestamp));
        assert_eq!(record.timestamp_type(), TimestampType::CreateTime);
        assert_eq!((record.key(), record.value()), (*key, *value), "null is not empty");
        assert_eq!(record.headers().collect::<Vec<_>>(), *headers, "in order, each as often as it was given");
    }
}

fn every_codec_is_stored_as_such_and_read_back(world: &World) {
    let engine = world.open();
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(100);
    let values: Vec<String> = (0..40).map(|number| format!("{number} {text}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let codecs = [
        ("none", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ];
    for (name, codec) in codecs {
        send_batch(&engine, name, &values, &[("compression.type", name), ("batch.size", "1000000")]);
        let log = world.bytes(&format!("{name}-0/00000000000000000000.log"));
        let stored = batches(&log);
        assert_eq!(stored.len(), 1, "{name}");
        assert_eq!(stored[0].codec().unwrap(), codec);
        assert_eq!(stored[0].attributes & 7, codec as i16, "{name}");
        assert_eq!(stored[0].records_count, 40);
        assert_eq!(codec == Codec::None, log.len() > 180_000, "{name}: {} bytes", log.len());
        let found: Vec<_> = read(&engine, name).into_iter().map(|(_, value)| value).collect();
        assert_eq!(found, values, "{name}");
    }
}

fn a_topic_may_store_with_another_codec_than_it_was_sent_with(world: &World) {
    let engine = world.open();
    for (topic, codec) in [("uncompressed", Codec::None), ("gzip", Codec::Gzip), ("zstd", Codec::Zstd)] {
        create(&engine, topic, &[("compression.type", topic)]);
        send_batch(&engine, topic, &["one", "two", "three"], &[("compression.type", "lz4")]);
        let stored = batches(&world.bytes(&format!("{topic}-0/00000000000000000000.log")));
        assert_eq!(stored[0].codec().unwrap(), codec, "{topic}");
        assert_eq!(read(&engine, topic).len(), 3);
    }
}

fn a_record_without_acknowledgement_has_no_offset(world: &World) {
    let engine = world.open();
    let producer = producer(&engine, &[("acks", "0")]);
    let delivery = producer.send("t", None, Some(b"one")).unwrap();
    assert!(delivery.is_done());
    let metadata = delivery.result().unwrap();
    assert_eq!((&*metadata.topic, metadata.partition, metadata.offset), ("t", 0, -1));
    engine.flush().unwrap();
    assert_eq!(offsets(&engine, "t"), [0]);
}

fn a_batch_above_the_topics_limit_is_refused_whole(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("max.message.bytes", "1000")]);
    let lingering = producer(&engine, &[("linger.ms", "100000")]);
    let deliveries: Vec<_> = (0..20).map(|_| lingering.send("t", None, Some(&[b'x'; 100])).unwrap()).collect();
    for delivery in &deliveries {
        names(&refused(delivery.result(), ErrorCode::MessageTooLarge), &["max.message.bytes", "1000"]);
    }
    assert_eq!(describe(&engine, "t").log_end_offset, 0);
    // 61 bytes of header, and 9 around a value of this size.
    let exactly = "x".repeat(1000 - 61 - 9);
    assert_eq!(send(&engine, "t", &exactly), 0);
    assert_eq!(world.bytes("t-0/00000000000000000000.log").len(), 1000);
    let delivery = producer(&engine, &[]).send("t", None, Some(format!("{exactly}x").as_bytes())).unwrap();
    refused(delivery.result(), ErrorCode::MessageTooLarge);
    assert_eq!(offsets(&engine, "t"), [0]);
}

fn the_limit_counts_what_is_stored(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("max.message.bytes", "1000")]);
    send_batch(&engine, "t", &[&"x".repeat(50_000)], &[("compression.type", "zstd")]);
    create(&engine, "u", &[("max.message.bytes", "1000"), ("compression.type", "uncompressed")]);
    let compressing = producer(&engine, &[("compression.type", "zstd")]);
    let delivery = compressing.send("u", None, Some(&vec![b'x'; 50_000])).unwrap();
    refused(delivery.result(), ErrorCode::MessageTooLarge);
    assert_eq!((offsets(&engine, "t"), offsets(&engine, "u")), (vec![0], vec![]));
}

fn a_batch_larger_than_a_segment_is_refused(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.bytes", "1048576"), ("max.message.bytes", "4000000")]);
    let large = producer(&engine, &[("max.request.size", "4000000")]);
    let delivery = large.send("t", None, Some(&vec![b'x'; 1_048_576])).unwrap();
    names(&refused(delivery.result(), ErrorCode::RecordListTooLarge), &["segment.bytes", "1048576"]);
    assert_eq!(describe(&engine, "t").log_end_offset, 0);
    send(&engine, "t", &"x".repeat(1_000_000));
}

fn a_producers_timestamp_is_kept(world: &World) {
    let engine = world.open();
    for (offset, timestamp) in [0, 1, NOW + 3_600_000, NOW - 1, NOW].into_iter().enumerate() {
        assert_eq!(send_at(&engine, "t", timestamp, b"v").unwrap(), offset as i64);
    }
    world.advance(12_345);
    let now = producer(&engine, &[]).send("t", None, None).unwrap().result().unwrap();
    assert_eq!(now.timestamp, NOW + 12_345, "without a timestamp it is now");
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    consumer.read_until_now();
    let mut found = Vec::new();
    while !consumer.is_finished() {
        found.extend(consumer.poll(Duration::ZERO).unwrap().iter().map(|record| record.timestamp()));
    }
    assert_eq!(found, [0, 1, NOW + 3_600_000, NOW - 1, NOW, NOW + 12_345]);
}

fn a_timestamp_outside_the_window_is_refused(world: &World) {
    let engine = world.open();
    let window = [("message.timestamp.before.max.ms", "1000"), ("message.timestamp.after.max.ms", "10")];
    create(&engine, "t", &window);
    for (timestamp, option) in [(NOW - 1001, window[0].0), (NOW + 11, window[1].0)] {
        let message = refused(send_at(&engine, "t", timestamp, b"v"), ErrorCode::InvalidTimestamp);
        names(&message, &[option, &timestamp.to_string()]);
    }
    refused(send_at(&engine, "t", -5, b"v"), ErrorCode::InvalidTimestamp);
    assert_eq!(send_at(&engine, "t", NOW - 1000, b"v").unwrap(), 0);
    assert_eq!(send_at(&engine, "t", NOW + 10, b"v").unwrap(), 1);
    refused(send_at(&engine, "u", NOW + 3_600_001, b"v"), ErrorCode::InvalidTimestamp);
}

fn the_logs_own_time_takes_the_place_of_the_producers(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("message.timestamp.type", "LogAppendTime")]);
    let lingering = producer(&engine, &[("linger.ms", "100000")]);
    let record = |timestamp| ProducerRecord { topic: "t", timestamp: Some(timestamp), ..ProducerRecord::default() };
    let deliveries: Vec<_> =
        [5, NOW + 1_000_000_000].map(|timestamp| lingering.send_record(&record(timestamp)).unwrap()).into();
    world.advance(77);
    for delivery in deliveries {
        assert_eq!(delivery.result().unwrap().timestamp, NOW + 77);
    }
    let batch = consumer_of(&engine, "t", Start::Earliest).poll(Duration::ZERO).unwrap();
    for record in &batch {
        assert_eq!((record.timestamp(), record.timestamp_type()), (NOW + 77, TimestampType::LogAppendTime));
    }
    let stored = batches(&world.bytes("t-0/00000000000000000000.log"));
    assert_eq!((stored[0].attributes, stored[0].max_timestamp.0), (8, NOW + 77));
}

type Settings<'a> = &'a [(&'a str, &'a str)];

/// Syncs of `.log` files, and of anything else, that sending one record with these settings makes before it is acknowledged.
fn syncs_of_one_send(topic: Settings<'_>, settings: Settings<'_>) -> usize {
    let world = World::simulated();
    let engine = world.open();
    create(&engine, "t", topic);
    let producer = producer(&engine, settings);
    producer.send("t", None, Some(b"first")).unwrap().result().unwrap();
    engine.flush().unwrap();
    let disk = world.simulated_disk().unwrap();
    disk.record();
    producer.send("t", None, Some(b"second")).unwrap().result().unwrap();
    disk.take_record().iter().filter(|event| matches!(event, Event::Sync { ok: true, .. })).count()
}

#[test]
fn an_acknowledgement_waits_for_the_disk_where_it_was_promised_and_only_there() {
    let (fsync, os) = ([("klog.durability", "fsync")], [("klog.durability", "os")]);
    let cases: [(Settings<'_>, Settings<'_>, bool); 9] = [
        (&fsync, &[], true),
        (&fsync, &[("acks", "all")], true),
        (&fsync, &[("acks", "-1")], true),
        (&fsync, &[("acks", "1")], false),
        (&fsync, &[("acks", "0")], false),
        (&fsync, &[("klog.durability", "os")], false),
        (&os, &[("acks", "all")], false),
        (&os, &[("acks", "1"), ("klog.durability", "fsync")], true),
        (&os, &[("klog.durability", "fsync")], true),
    ];
    for (topic, settings, waits) in cases {
        assert_eq!(syncs_of_one_send(topic, settings) > 0, waits, "topic {topic:?}, producer {settings:?}");
    }
}

#[test]
fn a_batch_that_waits_for_the_disk_costs_one_sync() {
    assert_eq!(syncs_of_one_send(&[], &[]), 1);
}
