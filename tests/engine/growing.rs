//! Partitions become more, never fewer, and nobody who is at work loses anything by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use klog::controller::MetadataRecord;
use klog::sys::Disk;
use klog::{Engine, ErrorCode, NewTopic, OpenOptions, Producer, ProducerRecord, Start};

use crate::metadata_log;
use crate::steps::{consumer, create, names, producer, refused};
use crate::world::{World, on_both_disks};

on_both_disks!(
    more_partitions_are_more_directories_and_the_old_ones_stay,
    partitions_never_become_fewer,
    a_producer_uses_new_partitions_at_its_next_send,
    what_was_queued_before_is_written_where_it_was_to_go,
    a_directory_in_the_way_keeps_partitions_from_being_added,
    a_directory_that_a_removed_topic_left_is_no_hindrance,
    partitions_whose_directories_are_missing_are_made_when_they_are_used,
    nothing_is_lost_or_reordered_while_partitions_are_added,
    of_many_who_add_partitions_at_once_each_is_right_or_refused,
    of_many_who_make_a_topic_at_once_one_makes_it,
    many_who_send_to_a_new_topic_at_once_are_all_served,
    a_consumer_of_a_whole_topic_reads_partitions_that_are_added_later,
);

fn partitions(engine: &Engine, topic: &str, count: i32) {
    engine.admin().create_topic(&NewTopic::named(topic).partitions(count)).unwrap();
}

fn send_to(producer: &Producer, topic: &str, partition: i32, value: &str) -> klog::Delivery {
    let partition = Some(partition);
    let record = ProducerRecord { topic, partition, value: Some(value.as_bytes()), ..ProducerRecord::default() };
    producer.send_record(&record).unwrap()
}

/// The values of every partition, in order; offsets have no holes.
fn values_of(engine: &Engine, topic: &str) -> Vec<Vec<String>> {
    let count = engine.admin().describe_topic(topic).unwrap().partitions.len() as i32;
    let read = |partition| {
        let mut consumer = consumer(engine, &[]);
        consumer.assign(topic, partition, Start::Earliest).unwrap();
        let found = crate::steps::drain(&mut consumer);
        assert!(found.iter().map(|(offset, _)| *offset).eq(0..found.len() as i64), "{topic}-{partition}: a hole");
        found.into_iter().map(|(_, value)| value).collect()
    };
    (0..count).map(read).collect()
}

fn more_partitions_are_more_directories_and_the_old_ones_stay(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 2);
    let old = producer(&engine, &[]);
    for (partition, value) in [(0, "a"), (1, "b"), (0, "c")] {
        send_to(&old, "t", partition, value).result().unwrap();
    }
    engine.flush().unwrap();
    let of_topic = |world: &World| -> BTreeMap<_, _> {
        world.contents().into_iter().filter(|(name, _)| name.starts_with("t-")).collect()
    };
    let before = (engine.admin().describe_topic("t").unwrap(), of_topic(world));
    let described = engine.admin().add_partitions("t", 4).unwrap();
    assert_eq!(described, engine.admin().describe_topic("t").unwrap());
    assert_eq!((described.id, described.partitions.len()), (before.0.id, 4));
    assert_eq!(described.partitions[..2], before.0.partitions[..], "the old ones are as they were");
    for (number, partition) in described.partitions.iter().enumerate().skip(2) {
        assert_eq!(partition.partition, number as i32);
        assert_eq!((partition.leader, &*partition.replicas, &*partition.isr), (1, &[1][..], &[1][..]));
        assert_eq!((partition.leader_epoch, partition.log_start_offset, partition.log_end_offset), (0, 0, 0));
        let files = [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ];
        assert_eq!(world.list(&format!("t-{number}")), files);
        let metadata = format!("version: 0\ntopic_id: {}", described.id);
        assert_eq!(world.text(&format!("t-{number}/partition.metadata")), metadata);
    }
    let mut after = of_topic(world);
    after.retain(|name, _| before.1.contains_key(name));
    assert!(after == before.1, "a file of an old partition changed");
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(engine.admin().describe_topic("t").unwrap(), described, "after opening again");
    assert_eq!(engine.admin().list_topics().unwrap()[0].partitions, 4);
    assert_eq!(values_of(&engine, "t"), [&["a", "c"][..], &["b"], &[], &[]]);
    assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
}

fn partitions_never_become_fewer(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 2);
    engine.admin().add_partitions("t", 4).unwrap();
    let before = (world.contents(), engine.admin().describe_topic("t").unwrap());
    for total in [4, 3, 2, 1, 0, -1, i32::MIN] {
        let error = engine.admin().add_partitions("t", total).unwrap_err();
        assert_eq!((error.code(), error.code().kafka_code()), (ErrorCode::InvalidPartitions, 37), "{total}");
        names(error.message(), &["'t'", "4", &total.to_string()]);
    }
    assert_eq!((world.contents(), engine.admin().describe_topic("t").unwrap()), before);
}

fn a_producer_uses_new_partitions_at_its_next_send(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 2);
    let producer = producer(&engine, &[]);
    let far = ProducerRecord { topic: "t", partition: Some(3), ..ProducerRecord::default() };
    refused(producer.send_record(&far).map(drop), ErrorCode::UnknownTopicOrPartition);
    engine.admin().add_partitions("t", 4).unwrap();
    let sent = producer.send_record(&far).unwrap().result().unwrap();
    assert_eq!((sent.partition, sent.offset), (3, 0));
    // Keys go where Kafka's producer puts them among four.
    let mut used = BTreeSet::new();
    for key in 0..40 {
        let key = format!("key {key}");
        let sent = producer.send("t", Some(key.as_bytes()), None).unwrap().result().unwrap();
        let hash = klog::record::murmur2(key.as_bytes()) & 0x7fff_ffff;
        assert_eq!(sent.partition, (hash % 4) as i32, "{key}");
        used.insert(sent.partition);
    }
    assert_eq!(used.len(), 4);
    // Records without a key reach them as well, in time.
    let plain = |_| producer.send("t", None, Some(&vec![0; 60_000])).unwrap().result().unwrap().partition;
    let used: BTreeSet<i32> = (0..200).map(plain).collect();
    assert_eq!(used.len(), 4);
}

fn what_was_queued_before_is_written_where_it_was_to_go(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 2);
    let lingering = producer(&engine, &[("linger.ms", "100000")]);
    let queued: Vec<_> = (0..10).map(|n| send_to(&lingering, "t", n % 2, &n.to_string())).collect();
    assert_eq!(lingering.pending().unwrap(), 10);
    engine.admin().add_partitions("t", 3).unwrap();
    let later: Vec<_> = (10..16).map(|n| send_to(&lingering, "t", n % 3, &n.to_string())).collect();
    assert_eq!(lingering.pending().unwrap(), 16);
    lingering.flush().unwrap();
    assert_eq!(lingering.pending().unwrap(), 0);
    queued.iter().chain(&later).for_each(|delivery| drop(delivery.result().unwrap()));
    let expected = [&["0", "2", "4", "6", "8", "12", "15"][..], &["1", "3", "5", "7", "9", "10", "13"], &["11", "14"]];
    assert_eq!(values_of(&engine, "t"), expected);
}

/// Somebody else's records are not taken in, and not thrown away.
fn a_directory_in_the_way_keeps_partitions_from_being_added(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 2);
    world.sys.disk.create_dir(&world.dir.join("t-3")).unwrap();
    world.put("t-3/00000000000000000000.log", b"somebody's");
    let before = (world.contents(), engine.admin().describe_topic("t").unwrap());
    for total in [4, 5] {
        let message = refused(engine.admin().add_partitions("t", total), ErrorCode::InconsistentTopicId);
        names(&message, &["t-3", "move it away"]);
    }
    assert_eq!((world.contents(), engine.admin().describe_topic("t").unwrap()), before);
    engine.admin().add_partitions("t", 3).unwrap();
    assert_eq!(world.bytes("t-3/00000000000000000000.log"), b"somebody's");
}

fn a_directory_that_a_removed_topic_left_is_no_hindrance(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 3);
    send_to(&producer(&engine, &[]), "t", 2, "old").result().unwrap();
    let left: Vec<_> = world.contents().into_iter().filter(|(name, _)| name.starts_with("t-2/")).collect();
    engine.admin().delete_topic("t").unwrap();
    partitions(&engine, "t", 2);
    // As if the removal had not got so far.
    for (name, bytes) in &left {
        match name.strip_suffix('/') {
            Some(dir) => world.sys.disk.create_dir(&world.dir.join(dir)).unwrap(),
            None => world.put(name, bytes),
        }
    }
    engine.admin().add_partitions("t", 3).unwrap();
    assert_eq!(values_of(&engine, "t"), [[""; 0]; 3], "old records do not come back");
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(values_of(&engine, "t"), [[""; 0]; 3]);
    assert_eq!(send_to(&producer(&engine, &[]), "t", 2, "new").result().unwrap().offset, 0);
}

/// The record is what counts: an interruption between it and the directories is made up for.
fn partitions_whose_directories_are_missing_are_made_when_they_are_used(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 2);
    engine.admin().add_partitions("t", 4).unwrap();
    engine.close().unwrap();
    for name in world.list("t-3") {
        world.sys.disk.remove_file(&world.dir.join("t-3").join(name)).unwrap();
    }
    world.sys.disk.remove_dir(&world.dir.join("t-3")).unwrap();
    let engine = world.open();
    assert_eq!(send_to(&producer(&engine, &[]), "t", 3, "one").result().unwrap().offset, 0);
    assert_eq!(values_of(&engine, "t")[3], ["one"]);
    assert!(world.exists(&world.dir.join("t-3/partition.metadata")));
}

/// An engine with threads, in real time.
fn open(world: &World) -> Engine {
    OpenOptions::new().set("klog.spare", "false").unwrap().system(world.real_time()).open(&world.dir).unwrap()
}

const SENDERS: usize = 4;

/// Threads send without a pause, two of them through one producer, each to all partitions that it knows of, while the topic
/// grows from 1 partition to 12.
fn nothing_is_lost_or_reordered_while_partitions_are_added(world: &World) {
    let engine = open(world);
    engine.admin().create_topic(&NewTopic::named("t").partitions(1).config("klog.durability", "os")).unwrap();
    let (count, is_over) = (AtomicI32::new(1), AtomicBool::new(false));
    let sent = Mutex::new(BTreeMap::new());
    let shared = producer(&engine, &[("linger.ms", "1"), ("batch.size", "400")]);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let producer = match sender {
                0 | 1 => shared.clone(),
                _ => producer(&engine, &[("batch.size", if sender == 2 { "0" } else { "300" }), ("linger.ms", "2")]),
            };
            let (count, is_over, sent) = (&count, &is_over, &sent);
            scope.spawn(move || {
                let mut deliveries = Vec::new();
                let mut number = 0;
                while !is_over.load(Ordering::Acquire) || number % 100 != 0 {
                    let partitions = count.load(Ordering::Acquire);
                    let value = format!("{sender} {number}");
                    deliveries.push(match number % 3 {
                        0 => producer.send("t", Some(value.as_bytes()), Some(value.as_bytes())).unwrap(),
                        1 => producer.send("t", None, Some(value.as_bytes())).unwrap(),
                        _ => send_to(&producer, "t", number % partitions, &value),
                    });
                    number += 1;
                    if number % 64 == 0 {
                        deliveries.last().unwrap().result().unwrap();
                    }
                }
                for (number, delivery) in deliveries.iter().enumerate() {
                    let found = delivery.result().unwrap();
                    sent.lock().unwrap().insert((sender, number), (found.partition, found.offset));
                }
            });
        }
        let admin = engine.admin();
        for total in 2..=12 {
            assert_eq!(admin.add_partitions("t", total).unwrap().partitions.len() as i32, total);
            count.store(total, Ordering::Release);
            // Go on when the new one is in use.
            while admin.describe_topic("t").unwrap().partitions[total as usize - 1].log_end_offset == 0 {
                thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Release);
    });
    let sent = sent.into_inner().unwrap();
    println!("{} records", sent.len());
    let check = |engine: &Engine| {
        let mut found = BTreeMap::new();
        for (partition, values) in values_of(engine, "t").into_iter().enumerate() {
            let mut last = [None; SENDERS];
            for (offset, value) in values.iter().enumerate() {
                let (sender, number) = value.split_once(' ').unwrap();
                let (sender, number): (usize, usize) = (sender.parse().unwrap(), number.parse().unwrap());
                assert!(last[sender] < Some(number), "t-{partition}: {value} comes behind a later one");
                last[sender] = Some(number);
                let before = found.insert((sender, number), (partition as i32, offset as i64));
                assert_eq!(before, None, "{value} is there twice");
            }
            assert!(!values.is_empty(), "t-{partition} was not used");
        }
        assert!(found == sent, "what is there is not what was acknowledged");
        assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
    };
    shared.flush().unwrap();
    check(&engine);
    engine.close().unwrap();
    check(&open(world));
}

/// Each partition is made once: a second record of it would take its leader and epoch back to what they were at first.
fn of_many_who_add_partitions_at_once_each_is_right_or_refused(world: &World) {
    let engine = open(world);
    for round in 0..12 {
        let topic = format!("t{round}");
        partitions(&engine, &topic, 1);
        let begin = Barrier::new(4);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, topic, begin) = (&engine, &topic, &begin);
                scope.spawn(move || {
                    begin.wait();
                    for step in 0..3 {
                        let total = 2 + thread + step;
                        match engine.admin().add_partitions(topic, total) {
                            Ok(described) => assert!(described.partitions.len() as i32 >= total),
                            Err(error) => assert_eq!(error.code(), ErrorCode::InvalidPartitions, "{error}"),
                        }
                    }
                });
            }
        });
        assert_eq!(engine.admin().describe_topic(&topic).unwrap().partitions.len(), 7);
    }
    let topics = engine.admin().list_topics().unwrap();
    engine.close().unwrap();
    let mut made = BTreeSet::new();
    for record in metadata_log::records(&world.bytes(&metadata_log::log())) {
        if let MetadataRecord::Partition(partition) = record {
            assert!(made.insert((partition.topic_id, partition.partition)), "a partition was made twice");
        }
    }
    assert_eq!(made.len(), 12 * 7);
    assert_eq!(open(world).admin().list_topics().unwrap(), topics);
}

fn of_many_who_make_a_topic_at_once_one_makes_it(world: &World) {
    let engine = open(world);
    create(&engine, "other", &[]);
    for round in 0..25 {
        let topic = format!("t{round}");
        let (begin, made) = (Barrier::new(4), AtomicI32::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begin.wait();
                    match engine.admin().create_topic(&NewTopic::named(&topic).partitions(3)) {
                        Ok(_) => drop(made.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert_eq!(error.code(), ErrorCode::TopicAlreadyExists, "{error}"),
                    }
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(engine.admin().describe_topic(&topic).unwrap().partitions.len(), 3);
    }
    assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
}

/// Sending makes a topic; that somebody else makes it at the same moment is nobody's mistake.
fn many_who_send_to_a_new_topic_at_once_are_all_served(world: &World) {
    let engine = open(world);
    for round in 0..25 {
        let topic = format!("t{round}");
        let begin = Barrier::new(4);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (engine, topic, begin) = (&engine, &topic, &begin);
                scope.spawn(move || {
                    let producer = producer(engine, &[]);
                    begin.wait();
                    let sent = producer.send(topic, None, Some(thread.to_string().as_bytes()));
                    sent.and_then(|sent| sent.result()).unwrap_or_else(|error| panic!("{topic}: {error:?}"));
                });
            }
        });
        let mut found = values_of(&engine, &topic).concat();
        found.sort_unstable();
        assert_eq!(found, ["0", "1", "2", "3"]);
    }
    assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
    let mut consumer = consumer(&engine, &[]);
    consumer.assign_topics(&["t0"], Start::Latest).unwrap();
    assert!(consumer.poll(Duration::ZERO).unwrap().is_empty());
}

/// Whoever reads a whole topic reads what comes to belong to it, and nothing of that is passed over; who reads up to now, or
/// named partitions, does not.
fn a_consumer_of_a_whole_topic_reads_partitions_that_are_added_later(world: &World) {
    let engine = world.open();
    partitions(&engine, "t", 2);
    let sender = producer(&engine, &[]);
    send_to(&sender, "t", 0, "before").result().unwrap();
    let mut all = consumer(&engine, &[]);
    all.assign_topics(&["t"], Start::Earliest).unwrap();
    let mut latest = consumer(&engine, &[]);
    latest.assign_topics(&["t"], Start::Latest).unwrap();
    let mut bounded = consumer(&engine, &[]);
    bounded.assign_topics(&["t"], Start::Earliest).unwrap();
    bounded.read_until_now();
    let mut named = consumer(&engine, &[]);
    (0..2).for_each(|partition| named.assign("t", partition, Start::Earliest).unwrap());
    engine.admin().add_partitions("t", 4).unwrap();
    send_to(&sender, "t", 3, "after").result().unwrap();
    let read = |consumer: &mut klog::Consumer| -> BTreeSet<String> {
        crate::steps::drain(consumer).into_iter().map(|(_, value)| value).collect()
    };
    let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(read(&mut bounded), set(&["before"]));
    assert_eq!(read(&mut named), set(&["before"]));
    assert_eq!(read(&mut all), set(&["before", "after"]));
    assert_eq!(read(&mut latest), set(&["after"]), "what came before the first look was not there when reading began");
    assert_eq!((all.assignment().len(), latest.assignment().len(), named.assignment().len()), (4, 4, 2));
    engine.admin().add_partitions("t", 5).unwrap();
    send_to(&sender, "t", 4, "later").result().unwrap();
    send_to(&sender, "t", 3, "goes on").result().unwrap();
    assert_eq!(read(&mut all), set(&["goes on", "later"]));
    assert_eq!(read(&mut latest), set(&["goes on", "later"]));
}
