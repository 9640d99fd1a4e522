//! Which partition a record goes to.

use std::collections::BTreeSet;

use klog::{Engine, ErrorCode, NewTopic, ProducerRecord};

use crate::steps::{batches, names, producer, refused};
use crate::world::{World, on_both_disks};

on_both_disks!(
    a_key_goes_where_kafkas_own_producer_sends_it,
    keys_go_where_librdkafka_sends_them_when_asked_to,
    a_partition_that_was_named_is_taken,
    a_partition_that_does_not_exist_is_refused,
    a_record_without_a_key_sticks_to_a_partition_for_a_batch,
    keys_can_be_ignored,
);

fn open(world: &World, partitions: i32) -> Engine {
    let engine = world.open();
    engine.admin().create_topic(&NewTopic::named("t").partitions(partitions)).unwrap();
    engine
}

fn place(engine: &Engine, settings: &[(&str, &str)], key: Option<&[u8]>) -> i32 {
    producer(engine, settings).send("t", key, None).unwrap().result().unwrap().partition
}

/// Keys, with what `abs(murmur2) mod 12` gives: a table of Kafka's own answers.
const MURMUR2: [(&[u8], i32); 14] = [
    (b"", 9),
    (b"a", 4),
    (b"ab", 2),
    (b"abc", 3),
    (b"abcd", 8),
    (b"21", 0),
    (b"foobar", 6),
    (b"a-little-bit-long-string", 8),
    (b"a-little-bit-longer-string", 11),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 5),
    (b"kafka", 4),
    ("héllo".as_bytes(), 6),
    (&[0xff, 0, 0x80, 1], 3),
    (b"key-1", 0),
];

fn a_key_goes_where_kafkas_own_producer_sends_it(world: &World) {
    let engine = open(world, 12);
    for (key, partition) in MURMUR2 {
        let text = String::from_utf8_lossy(key);
        assert_eq!(place(&engine, &[], Some(key)), partition, "key '{text}', an empty one being a key too");
        assert_eq!(place(&engine, &[("partitioner", "murmur2")], Some(key)), partition, "key '{text}'");
    }
}

fn keys_go_where_librdkafka_sends_them_when_asked_to(world: &World) {
    let engine = open(world, 12);
    let crc32: [(&[u8], i32); 6] =
        [(b"a", 3), (b"abc", 6), (b"foobar", 5), (b"kafka", 11), (b"key-0", 0), (b"key-1", 2)];
    for (key, partition) in crc32 {
        for partitioner in ["consistent", "consistent_random"] {
            assert_eq!(place(&engine, &[("partitioner", partitioner)], Some(key)), partition);
        }
    }
    assert_eq!(place(&engine, &[("partitioner", "consistent")], None), 0, "crc32 of nothing");
    assert_eq!(place(&engine, &[("partitioner", "murmur2")], None), 9, "murmur2 of nothing");
}

fn a_partition_that_was_named_is_taken(world: &World) {
    let engine = open(world, 3);
    for partition in [2, 0, 1, 2] {
        // The key would go elsewhere with two of these.
        let record =
            ProducerRecord { topic: "t", partition: Some(partition), key: Some(b"a"), ..ProducerRecord::default() };
        let sent = producer(&engine, &[]).send_record(&record).unwrap().result().unwrap();
        assert_eq!(sent.partition, partition);
    }
    let ends: Vec<_> =
        engine.admin().describe_topic("t").unwrap().partitions.iter().map(|found| found.log_end_offset).collect();
    assert_eq!(ends, [1, 1, 2]);
}

fn a_partition_that_does_not_exist_is_refused(world: &World) {
    let engine = open(world, 3);
    for partition in [3, -1, i32::MAX, i32::MIN] {
        let record = ProducerRecord { topic: "t", partition: Some(partition), ..ProducerRecord::default() };
        let sent = producer(&engine, &[]).send_record(&record).map(drop);
        names(&refused(sent, ErrorCode::UnknownTopicOrPartition), &["'t'", &partition.to_string()]);
    }
}

fn a_record_without_a_key_sticks_to_a_partition_for_a_batch(world: &World) {
    let engine = open(world, 4);
    let producer = producer(&engine, &[("linger.ms", "100000"), ("batch.size", "2000")]);
    let sent: Vec<_> = (0..400).map(|_| producer.send("t", None, Some(&[b'x'; 100])).unwrap()).collect();
    let places: Vec<i32> = sent.iter().map(|delivery| delivery.result().unwrap().partition).collect();
    let moves = places.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // 400 records of some 110 bytes are some 22 batches of 2000 bytes.
    assert!((15..=30).contains(&moves), "it moved on {moves} times");
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 4, "every partition had its turn");
    let counts: usize =
        (0..4).map(|partition| batches(&world.bytes(&format!("t-{partition}/00000000000000000000.log"))).len()).sum();
    assert!(counts <= 35, "{counts} batches are many for 400 records");
}

fn keys_can_be_ignored(world: &World) {
    let engine = open(world, 4);
    let settings = [("partitioner.ignore.keys", "true"), ("batch.size", "1")];
    let ignoring = producer(&engine, &settings);
    let places: BTreeSet<_> =
        (0..50).map(|_| ignoring.send("t", Some(b"same"), None).unwrap().result().unwrap().partition).collect();
    assert!(places.len() > 1, "one key came to one partition only");
}
