//! Making, listing, describing, changing and removing topics.

use std::collections::BTreeMap;

use klog::sys::Disk;
use klog::{ErrorCode, NewTopic, Start};

use crate::steps::{create, names, producer, read, refused, send};
use crate::world::{World, on_both_disks};

on_both_disks!(
    a_new_topic_has_nothing_of_an_old_one_of_its_name,
    a_reader_sees_no_topic_that_was_removed,
    nothing_is_deleted_while_metadata_cannot_be_read,
    a_topic_is_described_as_it_was_made,
    counts_that_nobody_gave_come_from_the_engine,
    topics_are_listed_by_name,
    illegal_names_are_refused,
    names_that_differ_in_dots_and_underscores_collide,
    illegal_counts_are_refused,
    a_topic_that_exists_is_not_made_again,
    a_removed_topic_is_gone_and_its_name_is_free,
    a_producer_finds_each_topic_of_a_name_that_is_used_again,
    files_of_a_removed_topic_go_after_the_delay,
    files_of_a_removed_topic_go_at_the_next_opening_too,
    removing_what_is_not_there_names_the_nearest,
    kafkas_own_topics_are_not_removed,
    sending_makes_the_topic_unless_that_is_off,
    reading_never_makes_a_topic,
);

fn a_topic_is_described_as_it_was_made(world: &World) {
    let engine = world.open();
    let new = NewTopic::named("orders.v1_a-b").partitions(3).config("retention.ms", "60000");
    let made = engine.admin().create_topic(&new).unwrap();
    let described = engine.admin().describe_topic("orders.v1_a-b").unwrap();
    assert_eq!(made, described);
    assert_eq!(described.name, "orders.v1_a-b");
    assert!(!described.is_internal);
    assert_eq!(described.configs, BTreeMap::from([("retention.ms".to_owned(), "60000".to_owned())]));
    assert_eq!(described.partitions.len(), 3);
    for (number, partition) in described.partitions.iter().enumerate() {
        assert_eq!(partition.partition, number as i32);
        assert_eq!((partition.leader, &*partition.replicas, &*partition.isr), (1, &[1][..], &[1][..]));
        assert_eq!((partition.log_start_offset, partition.high_watermark, partition.log_end_offset), (0, 0, 0));
        assert_eq!(partition.bytes, 0);
    }
    assert_ne!(described.id.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    assert!(!described.id.to_string().starts_with('-'), "Kafka never gives such an id away");
    engine.close().unwrap();
    assert_eq!(world.open().admin().describe_topic("orders.v1_a-b").unwrap(), described, "after opening again");
}

fn counts_that_nobody_gave_come_from_the_engine(world: &World) {
    let engine = world.options().set("num.partitions", "4").unwrap().open(&world.dir).unwrap();
    let made = engine.admin().create_topic(&NewTopic::named("t")).unwrap();
    assert_eq!(made.partitions.len(), 4);
    producer(&engine, &[]).send("u", None, None).unwrap().result().unwrap();
    assert_eq!(engine.admin().describe_topic("u").unwrap().partitions.len(), 4);
}

fn topics_are_listed_by_name(world: &World) {
    let engine = world.open();
    assert!(engine.admin().list_topics().unwrap().is_empty(), "Kafka's metadata log is no topic");
    for name in ["b", "c", "a", "B"] {
        engine.admin().create_topic(&NewTopic::named(name).partitions(2)).unwrap();
    }
    let listed = engine.admin().list_topics().unwrap();
    let found: Vec<_> = listed.iter().map(|topic| (&*topic.name, topic.partitions, topic.is_internal)).collect();
    assert_eq!(found, [("B", 2, false), ("a", 2, false), ("b", 2, false), ("c", 2, false)]);
    assert!(listed.iter().all(|topic| topic.replication_factor == 1));
}

fn illegal_names_are_refused(world: &World) {
    let engine = world.open();
    create(&engine, "there", &[]);
    let before = world.contents();
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "../b", "ä", "a\0b", "a:b", &long] {
        refused(engine.admin().create_topic(&NewTopic::named(name)), ErrorCode::InvalidTopic);
        refused(producer(&engine, &[]).send(name, None, None).map(drop), ErrorCode::InvalidTopic);
    }
    assert_eq!(world.contents(), before, "a refused call leaves the directory as it is");
    for name in ["...", "-", "_", "7", &long[..249]] {
        create(&engine, name, &[]);
        assert_eq!(send(&engine, name, "one"), 0, "{name}");
    }
}

fn names_that_differ_in_dots_and_underscores_collide(world: &World) {
    let engine = world.open();
    create(&engine, "a.b_c", &[]);
    let message = refused(engine.admin().create_topic(&NewTopic::named("a_b.c")), ErrorCode::InvalidTopic);
    names(&message, &["a_b.c", "a.b_c"]);
    engine.admin().delete_topic("a.b_c").unwrap();
    create(&engine, "a_b.c", &[]);
}

fn illegal_counts_are_refused(world: &World) {
    let engine = world.open();
    for partitions in [0, -2, i32::MIN] {
        let new = NewTopic::named("t").partitions(partitions);
        names(
            &refused(engine.admin().create_topic(&new), ErrorCode::InvalidPartitions),
            &["t", &partitions.to_string()],
        );
    }
    for factor in [0, 2, 32767] {
        let new = NewTopic { replication_factor: Some(factor), ..NewTopic::named("t") };
        refused(engine.admin().create_topic(&new), ErrorCode::InvalidReplicationFactor);
    }
    assert!(engine.admin().list_topics().unwrap().is_empty());
}

fn a_topic_that_exists_is_not_made_again(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    send(&engine, "t", "one");
    let before = engine.admin().describe_topic("t").unwrap();
    let again = NewTopic::named("t").partitions(9).config("retention.ms", "1");
    names(&refused(engine.admin().create_topic(&again), ErrorCode::TopicAlreadyExists), &["'t'"]);
    assert_eq!(engine.admin().describe_topic("t").unwrap(), before);
}

fn a_removed_topic_is_gone_and_its_name_is_free(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("retention.ms", "60000")]);
    let first = engine.admin().describe_topic("t").unwrap().id;
    send(&engine, "t", "old");
    let held = producer(&engine, &[]);
    held.send("t", None, Some(b"old too")).unwrap().result().unwrap();
    engine.admin().delete_topic("t").unwrap();
    refused(engine.admin().describe_topic("t"), ErrorCode::UnknownTopicOrPartition);
    refused(engine.consumer().unwrap().assign("t", 0, Start::Earliest), ErrorCode::UnknownTopicOrPartition);
    create(&engine, "t", &[]);
    let second = engine.admin().describe_topic("t").unwrap();
    assert_ne!(second.id, first);
    assert_eq!(second.configs, BTreeMap::new(), "settings go with their topic");
    assert_eq!(held.send("t", None, Some(b"new")).unwrap().result().unwrap().offset, 0);
    engine.close().unwrap();
    assert_eq!(read(&world.open(), "t"), [(0, "new".to_owned())]);
}

/// A producer keeps what it knows of its first topics where it finds it fast, and there is no room for all of these.
fn a_producer_finds_each_topic_of_a_name_that_is_used_again(world: &World) {
    let engine = world.open();
    let producer = producer(&engine, &[]);
    let offset = |topic: &str| producer.send(topic, None, Some(b"v")).unwrap().result().unwrap().offset;
    create(&engine, "stays", &[]);
    for round in 0..20 {
        create(&engine, "t", &[]);
        create(&engine, &format!("t{round}"), &[]);
        assert_eq!((offset("t"), offset("t")), (0, 1), "round {round}");
        assert_eq!((offset("stays"), offset(&format!("t{round}"))), (round, 0));
        engine.admin().delete_topic("t").unwrap();
    }
    producer.flush().unwrap();
}

fn doomed(world: &World) -> Vec<String> {
    world.ls("").into_iter().filter(|name| name.ends_with("-delete/")).collect()
}

fn files_of_a_removed_topic_go_after_the_delay(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("file.delete.delay.ms", "5000")]);
    send(&engine, "t", "one");
    engine.admin().delete_topic("t").unwrap();
    let left = doomed(world);
    assert_eq!(left.len(), 1, "{left:?}");
    let id = left[0].strip_prefix("t-0.").unwrap().strip_suffix("-delete/").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit()), "{left:?}");
    world.advance(4999);
    engine.admin().list_topics().unwrap();
    create(&engine, "u", &[]);
    send(&engine, "u", "one");
    assert_eq!(doomed(world), left);
    world.advance(1);
    send(&engine, "u", "two");
    assert_eq!(doomed(world), [""; 0]);
}

fn files_of_a_removed_topic_go_at_the_next_opening_too(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    engine.admin().delete_topic("t").unwrap();
    engine.close().unwrap();
    let engine = world.open();
    send(&engine, "u", "one");
    world.advance(60_000);
    send(&engine, "u", "two");
    assert_eq!(doomed(world), [""; 0], "file.delete.delay.ms is 60,000");
}

fn removing_what_is_not_there_names_the_nearest(world: &World) {
    let engine = world.open();
    create(&engine, "orders", &[]);
    let message = refused(engine.admin().delete_topic("order"), ErrorCode::UnknownTopicOrPartition);
    names(&message, &["'order'", "'orders'"]);
    names(&refused(engine.admin().describe_topic("odrers"), ErrorCode::UnknownTopicOrPartition), &["'orders'"]);
    let partition = engine.admin().delete_records("orders", 1, None);
    names(&refused(partition, ErrorCode::UnknownTopicOrPartition), &["orders", "1"]);
}

fn kafkas_own_topics_are_not_removed(world: &World) {
    let engine = world.open();
    for name in ["__cluster_metadata", "__consumer_offsets", "__transaction_state"] {
        refused(engine.admin().delete_topic(name), ErrorCode::InvalidTopic);
        refused(producer(&engine, &[]).send(name, None, None).map(drop), ErrorCode::InvalidTopic);
    }
}

fn sending_makes_the_topic_unless_that_is_off(world: &World) {
    let engine = world.open();
    assert_eq!(send(&engine, "orders", "one"), 0);
    engine.close().unwrap();
    let engine = world.options().set("auto.create.topics.enable", "false").unwrap().open(&world.dir).unwrap();
    assert_eq!(send(&engine, "orders", "two"), 1);
    let before = world.contents();
    let sent = producer(&engine, &[]).send("oders", None, None).map(drop);
    names(&refused(sent, ErrorCode::UnknownTopicOrPartition), &["'oders'", "'orders'"]);
    assert_eq!(world.contents(), before);
    assert_eq!(engine.admin().list_topics().unwrap().len(), 1);
}

fn reading_never_makes_a_topic(world: &World) {
    let engine = world.open();
    create(&engine, "orders", &[]);
    let before = world.contents();
    let mut consumer = engine.consumer().unwrap();
    for result in [consumer.assign("oders", 0, Start::Earliest), consumer.assign_topics(&["oders"], Start::Latest)] {
        names(&refused(result, ErrorCode::UnknownTopicOrPartition), &["'oders'", "'orders'"]);
    }
    refused(consumer.assign("orders", 1, Start::Earliest), ErrorCode::UnknownTopicOrPartition);
    refused(engine.admin().list_offset("oders", 0, klog::OffsetSpec::Latest), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(world.contents(), before);
    assert!(consumer.assignment().is_empty());
}

/// Whoever deleted the old one died before the checkpoints were written.
fn a_new_topic_has_nothing_of_an_old_one_of_its_name(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    engine.admin().delete_topic("t").unwrap();
    engine.close().unwrap();
    let checkpoints =
        ["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"];
    for name in checkpoints {
        world.sys.disk.remove_file(&world.dir.join(name)).unwrap();
        world.put(name, b"0\n1\nt 0 10143\n");
    }
    world.sys.disk.remove_file(&world.dir.join(".kafka_cleanshutdown")).unwrap();
    let engine = world.open();
    create(&engine, "t", &[]);
    for name in checkpoints {
        assert!(!world.text(name).contains("10143"), "{name} is right before anybody can use the topic");
    }
    assert_eq!(send(&engine, "t", "first"), 0);
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(read(&engine, "t"), [(0, "first".to_owned())]);
    assert!(engine.report().unwrap().damage.is_empty(), "{}", engine.report().unwrap());
}

/// Whoever deleted it died before its directories were renamed.
fn a_reader_sees_no_topic_that_was_removed(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    create(&engine, "other", &[]);
    send(&engine, "t", "gone");
    let files: Vec<_> = world.list("t-0").into_iter().map(|name| (world.bytes(&format!("t-0/{name}")), name)).collect();
    engine.admin().delete_topic("t").unwrap();
    engine.close().unwrap();
    world.sys.disk.create_dir(&world.dir.join("t-0")).unwrap();
    files.iter().for_each(|(bytes, name)| world.put(&format!("t-0/{name}"), bytes));
    let reader = world.open_for_reading();
    let names: Vec<_> = reader.admin().list_topics().unwrap().into_iter().map(|topic| topic.name).collect();
    assert_eq!(names, ["other"]);
    assert!(reader.admin().verify(None).unwrap().is_empty(), "{}", reader.admin().verify(None).unwrap());
}

/// What cannot be read may be what says that nothing is to be deleted.
fn nothing_is_deleted_while_metadata_cannot_be_read(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("retention.bytes", "0"), ("segment.ms", "1000")]);
    let keep = [("retention.bytes".to_owned(), Some("-1".to_owned()))].into();
    engine.admin().alter_configs(&klog::ConfigResource::Topic("t".into()), &keep).unwrap();
    for second in 0..5 {
        crate::steps::send_at(&engine, "t", crate::world::NOW + second * 2000, b"kept").unwrap();
    }
    engine.close().unwrap();
    let log = "__cluster_metadata-0/00000000000000000000.log";
    let mut bytes = world.bytes(log);
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    world.put(log, &bytes);
    let engine = world.open();
    send(&engine, "t", "and one more");
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0);
    assert_eq!(crate::steps::offsets(&engine, "t"), (0..6).collect::<Vec<i64>>());
}
