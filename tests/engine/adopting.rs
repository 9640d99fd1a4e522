//! Adopting directories that klog did not make: what is deleted before and after, and what is refused untouched.

use std::collections::BTreeMap;

use klog::controller::ResourceType;
use klog::sys::{Disk, LockKind, LockRange, Locks, Open};
use klog::{
    ConfigResource, ConfigSource, Engine, ErrorCode, NewTopic, OpenOptions, Retention, Start, TopicDescription, Uuid,
};

use crate::metadata_log::{append, setting};
use crate::steps::{bases, create, drain, names, offsets, read, refused, send, send_at};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    nothing_is_deleted_before_a_directory_is_adopted,
    exactly_the_told_retention_holds_after_adopting,
    a_directory_of_the_zookeeper_era_gets_its_metadata,
    without_an_identity_it_gets_one,
    adopting_again_changes_the_retention_and_nothing_else,
    topic_ids_that_disagree_are_refused,
    a_missing_partition_is_refused,
    partition_metadata_that_cannot_be_read_is_refused,
    directories_on_their_way_out_are_listed_and_left,
    the_metadata_of_another_cluster_is_not_touched,
    metadata_that_was_changed_since_is_not_written_anew,
    what_an_interrupted_attempt_left_is_no_hindrance,
    a_directory_that_somebody_has_is_not_adopted,
    a_reader_sees_the_same_before_and_after,
    kafkas_own_topics_keep_their_settings,
    what_somebody_else_was_about_to_remove_stays_after_adopting,
    leader_epochs_go_on_behind_those_of_the_batches,
    a_directory_whose_metadata_is_elsewhere_is_refused,
);

const HOUR: i64 = 3_600_000;

/// Two topics of three segments each, hours old; one of them has a retention of its own. `plain` has two partitions.
fn fill(world: &World) -> Engine {
    let engine = world.open();
    let configs = |new: NewTopic| new.config("segment.ms", "1000").config("file.delete.delay.ms", "0");
    engine.admin().create_topic(&configs(NewTopic::named("plain").partitions(2))).unwrap();
    engine.admin().create_topic(&configs(NewTopic::named("own").config("retention.ms", "5400000"))).unwrap();
    for hours in [3, 2, 1] {
        send_to(&engine, "plain", 0, NOW - hours * HOUR);
        send_at(&engine, "own", NOW - hours * HOUR, b"value").unwrap();
    }
    send_to(&engine, "plain", 1, NOW - HOUR);
    engine
}

fn send_to(engine: &Engine, topic: &str, partition: i32, timestamp: i64) {
    let record = klog::ProducerRecord {
        topic,
        partition: Some(partition),
        timestamp: Some(timestamp),
        value: Some(b"value"),
        ..klog::ProducerRecord::default()
    };
    crate::steps::producer(engine, &[]).send_record(&record).unwrap().result().unwrap();
}

/// A KRaft directory that klog did not make: nothing in it grants klog to delete, and Kafka's defaults hold.
fn foreign(world: &World) {
    fill(world).close().unwrap();
    let take_back = |key: &str| setting(ResourceType::BROKER, "", key, None);
    append(world, &[take_back("klog.retention.enable"), take_back("log.retention.ms")]);
}

/// A directory of a broker with ZooKeeper: no metadata log, no ids.
fn zookeeper(world: &World) {
    fill(world).close().unwrap();
    for name in world.list("__cluster_metadata-0") {
        remove(world, &format!("__cluster_metadata-0/{name}"));
    }
    world.sys.disk.remove_dir(&world.dir.join("__cluster_metadata-0")).unwrap();
    for partition in ["plain-0", "plain-1", "own-0"] {
        remove(world, &format!("{partition}/partition.metadata"));
    }
    identity(world, "#\n#Tue Nov 14 22:13:20 UTC 2023\ncluster.id=zoo\\=keeper\nversion=0\nbroker.id=7\n");
}

fn identity(world: &World, text: &str) {
    let _ = world.sys.disk.remove_file(&world.dir.join("meta.properties"));
    world.put("meta.properties", text.as_bytes());
}

fn remove(world: &World, name: &str) {
    world.sys.disk.remove_file(&world.dir.join(name)).unwrap();
}

fn adopt(world: &World, ms: i64, bytes: i64) -> klog::Result<klog::Adoption> {
    world.options().adopt(&world.dir, Retention { ms, bytes })
}

/// Every record of every partition, by a reader.
fn records(world: &World) -> BTreeMap<(String, i32), Vec<(i64, String)>> {
    let reader = world.open_for_reading();
    let mut found = BTreeMap::new();
    for topic in reader.admin().list_topics().unwrap() {
        for partition in 0..topic.partitions {
            let mut consumer = reader.consumer().unwrap();
            consumer.assign(&topic.name, partition, Start::Earliest).unwrap();
            found.insert((topic.name.clone(), partition), drain(&mut consumer));
        }
    }
    found
}

fn logs(world: &World) -> BTreeMap<String, Vec<u8>> {
    let is_log = |name: &String| name.strip_suffix(".log").is_some() && !name.starts_with("__cluster_metadata");
    world.contents().into_iter().filter(|(name, _)| is_log(name)).collect()
}

fn source(engine: &Engine, topic: &str, name: &str) -> (Option<String>, ConfigSource) {
    let entries = engine.admin().describe_configs(&ConfigResource::Topic(topic.into())).unwrap();
    let entry = entries.into_iter().find(|entry| entry.name == name).unwrap();
    (entry.value, entry.source)
}

fn nothing_is_deleted_before_a_directory_is_adopted(world: &World) {
    foreign(world);
    let before = logs(world);
    world.advance(2 * 365 * 24 * HOUR as u64);
    let engine = world.open();
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0);
    assert_eq!(logs(world), before);
    for topic in ["plain", "own"] {
        let unset = (Some("-1".to_owned()), ConfigSource::NotAdopted);
        assert_eq!(
            (source(&engine, topic, "retention.ms"), source(&engine, topic, "retention.bytes")),
            (unset.clone(), unset)
        );
    }
    // Settings that are made meanwhile are recorded, and do not count yet either.
    let change = BTreeMap::from([("retention.ms".to_owned(), Some("1".to_owned()))]);
    engine.admin().alter_configs(&ConfigResource::Topic("plain".into()), &change).unwrap();
    let change = BTreeMap::from([("log.retention.bytes".to_owned(), Some("1".to_owned()))]);
    engine.admin().alter_configs(&ConfigResource::Brokers, &change).unwrap();
    create(&engine, "new", &[("retention.ms", "1")]);
    send_at(&engine, "new", NOW, b"old").unwrap();
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0);
    send(&engine, "own", "goes on");
    world.advance(300_000);
    engine.consumer().unwrap().poll(std::time::Duration::ZERO).unwrap();
    engine.close().unwrap();
    let after = logs(world);
    assert!(before.iter().all(|(name, bytes)| after[name].starts_with(bytes)), "something was deleted");
}

fn exactly_the_told_retention_holds_after_adopting(world: &World) {
    for (ms, bytes, plain, own) in [
        (-1, -1, vec![0, 1, 2], vec![2]),
        (9_000_000, -1, vec![1, 2], vec![2]),
        (0, -1, vec![3], vec![2]),
        (-1, 1, vec![2], vec![2]),
        (-1, 0, vec![3], vec![3]),
        (i64::MAX, i64::MAX, vec![0, 1, 2], vec![2]),
    ] {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        foreign(&world);
        let (before, seen) = (logs(&world), records(&world));
        let adoption = adopt(&world, ms, bytes).unwrap();
        assert_eq!((adoption.made_metadata, adoption.topics, adoption.partitions), (false, 2, 3));
        assert_eq!((adoption.node_id, adoption.left_alone.len()), (1, 0));
        assert_eq!(logs(&world), before, "adopting itself deletes nothing");
        assert_eq!(records(&world), seen);
        world.advance(1);
        let engine = world.open();
        assert_eq!(source(&engine, "plain", "retention.ms"), (Some(ms.to_string()), ConfigSource::DefaultBroker));
        assert_eq!(source(&engine, "own", "retention.ms"), (Some("5400000".into()), ConfigSource::Topic));
        assert_eq!(source(&engine, "plain", "retention.bytes").0, Some(bytes.to_string()));
        engine.admin().delete_old_segments().unwrap();
        assert_eq!(bases(&world, "plain-0"), plain, "{ms} ms, {bytes} bytes");
        assert_eq!(bases(&world, "own-0"), own, "{ms} ms, {bytes} bytes");
        engine.close().unwrap();
    }
}

fn a_directory_of_the_zookeeper_era_gets_its_metadata(world: &World) {
    zookeeper(world);
    names(&refused(world.options().open(&world.dir), ErrorCode::Unsupported), &["ZooKeeper", "adopted"]);
    let (before, seen) = (logs(world), records(world));
    let adoption = adopt(world, 9_000_000, -1).unwrap();
    assert!(adoption.made_metadata);
    assert_eq!((&*adoption.cluster_id, adoption.node_id), ("zoo=keeper", 7));
    assert_eq!((adoption.topics, adoption.partitions), (2, 3));
    assert_eq!(logs(world), before);
    assert_eq!(records(world), seen);
    // meta.properties is Kafka's, version 1, with what was known and a new id of the directory.
    let text = world.text("meta.properties").replace('\\', "");
    names(&text, &["version=1", "node.id=7", "cluster.id=zoo=keeper", "directory.id="]);
    assert!(!text.contains("broker.id"));
    let engine = world.open();
    let described: Vec<TopicDescription> =
        ["plain", "own"].map(|name| engine.admin().describe_topic(name).unwrap()).into();
    for topic in &described {
        assert!(topic.id != Uuid::ZERO && topic.id != Uuid::METADATA);
        assert!(topic.configs.is_empty(), "ZooKeeper had the settings: {:?}", topic.configs);
        for partition in &topic.partitions {
            let file = format!("{}-{}/partition.metadata", topic.name, partition.partition);
            assert_eq!(world.text(&file), format!("version: 0\ntopic_id: {}", topic.id));
            assert_eq!((partition.leader, &*partition.replicas, &*partition.isr), (7, &[7][..], &[7][..]));
        }
    }
    assert_eq!(described[0].partitions.len(), 2);
    // It is a directory like any other now.
    world.advance(1);
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 2);
    assert_eq!((offsets(&engine, "own"), offsets(&engine, "plain")), (vec![1, 2], vec![1, 2]));
    create(&engine, "new", &[]);
    assert_eq!(send(&engine, "own", "goes on"), 3);
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(offsets(&engine, "own"), [1, 2, 3]);
    assert!(engine.admin().verify(None).unwrap().is_empty());
    assert_eq!(engine.admin().describe_topic("plain").unwrap().id, described[0].id);
}

/// Old brokers wrote neither a cluster nor a version, and before they first started not even a number.
fn without_an_identity_it_gets_one(world: &World) {
    for (text, node_id, cluster_id) in [
        ("version=0\n", 1, None),
        ("broker.id=5\n", 5, None),
        ("version=0\r\nbroker.id=0\r\ncluster.id=abc\r\n", 0, Some("abc")),
        ("#nothing\n", 1, None),
        ("version=0\nbroker.id=-1\ncluster.id=abc\n", 1, Some("abc")),
    ] {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        zookeeper(&world);
        identity(&world, text);
        let seen = records(&world);
        let adoption = adopt(&world, -1, -1).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(adoption.node_id, node_id, "{text:?}");
        match cluster_id {
            Some(id) => assert_eq!(adoption.cluster_id, id),
            None => assert_eq!(adoption.cluster_id.len(), 22, "{text:?}"),
        }
        assert_eq!(records(&world), seen);
        let engine = world.open();
        assert_eq!(engine.cluster_id().unwrap(), Some(adoption.cluster_id));
        assert_eq!(engine.admin().describe_topic("own").unwrap().partitions[0].leader, node_id);
        assert_eq!(send(&engine, "own", "goes on"), 3);
    }
    // What cannot be read is not guessed.
    zookeeper(world);
    for text in ["version=0\nbroker.id=seven\n", "version=x\n", "version=0\ndirectory.id=short\n"] {
        identity(world, text);
        let before = (world.contents(), world.list(""));
        refused(adopt(world, -1, -1), ErrorCode::KafkaStorageError);
        assert_eq!((world.contents(), world.list("")), before, "{text:?}");
    }
}

fn adopting_again_changes_the_retention_and_nothing_else(world: &World) {
    zookeeper(world);
    let first = adopt(world, -1, -1).unwrap();
    let (before, seen) = (logs(world), records(world));
    let ids = |world: &World| ["plain", "own"].map(|name| world.open().admin().describe_topic(name).unwrap().id);
    let known = ids(world);
    for (ms, bytes) in [(5000, 70_000), (5000, 70_000), (6000, -1), (-1, -1)] {
        let again = adopt(world, ms, bytes).unwrap();
        assert!(!again.made_metadata);
        assert_eq!((&again.cluster_id, again.node_id), (&first.cluster_id, first.node_id));
        assert_eq!((again.topics, again.partitions), (2, 3));
        assert_eq!((logs(world), records(world)), (before.clone(), seen.clone()));
        let engine = world.open();
        let brokers = engine.admin().describe_configs(&ConfigResource::Brokers).unwrap();
        let value = |name: &str| brokers.iter().find(|entry| entry.name == name).unwrap().value.clone().unwrap();
        assert_eq!((value("log.retention.ms"), value("log.retention.bytes")), (ms.to_string(), bytes.to_string()));
        engine.close().unwrap();
        assert_eq!(ids(world), known);
    }
    // Saying the same again records nothing.
    let log = world.bytes(&crate::metadata_log::log());
    adopt(world, -1, -1).unwrap();
    assert!(world.bytes(&crate::metadata_log::log()) == log);
}

/// What is refused is as it was, lock files included.
fn refuses(world: &World, code: ErrorCode, words: &[&str]) {
    let before = (world.contents(), world.list(""));
    names(&refused(adopt(world, -1, -1), code), words);
    assert_eq!((world.contents(), world.list("")), before);
}

fn remove_locks(world: &World) {
    [".lock", ".klog.lck"].iter().for_each(|name| remove(world, name));
}

fn topic_ids_that_disagree_are_refused(world: &World) {
    zookeeper(world);
    remove_locks(world);
    let (one, other) = (Uuid([1; 16]), Uuid([2; 16]));
    world.put("plain-0/partition.metadata", format!("version: 0\ntopic_id: {one}").as_bytes());
    world.put("plain-1/partition.metadata", format!("version: 0\ntopic_id: {other}").as_bytes());
    refuses(world, ErrorCode::InconsistentTopicId, &["plain-1", &one.to_string(), &other.to_string()]);
    // One that is known is the topic's.
    remove(world, "plain-1/partition.metadata");
    adopt(world, -1, -1).unwrap();
    assert_eq!(world.open().admin().describe_topic("plain").unwrap().id, one);
    assert_eq!(world.text("plain-1/partition.metadata"), format!("version: 0\ntopic_id: {one}"));
}

fn a_missing_partition_is_refused(world: &World) {
    for missing in ["plain-0", "own-0"] {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        zookeeper(&world);
        remove_locks(&world);
        if missing == "own-0" {
            world.sys.disk.rename(&world.dir.join("own-0"), &world.dir.join("own-3")).unwrap();
        } else {
            world.sys.disk.rename(&world.dir.join(missing), &world.dir.join("elsewhere-0")).unwrap();
        }
        let topic = missing.strip_suffix("-0").unwrap();
        refuses(&world, ErrorCode::Unsupported, &[&format!("'{topic}'"), "no partition 0", "reading only"]);
    }
}

fn partition_metadata_that_cannot_be_read_is_refused(world: &World) {
    zookeeper(world);
    remove_locks(world);
    for text in ["", "version: 0\n", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "topic_id: x", "\u{fffd}"] {
        world.put("own-0/partition.metadata", text.as_bytes());
        refuses(world, ErrorCode::KafkaStorageError, &["own-0/partition.metadata"]);
        remove(world, "own-0/partition.metadata");
    }
    adopt(world, -1, -1).unwrap();
}

const GONE: [&str; 3] = [
    "gone-0.0123456789abcdef0123456789abcdef-delete",
    "moving-1.0123456789abcdef0123456789abcdef-future",
    "stray-2.0123456789abcdef0123456789abcdef-stray",
];

fn directories_on_their_way_out_are_listed_and_left(world: &World) {
    for prepare in [foreign, zookeeper] {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        prepare(&world);
        for name in GONE {
            world.sys.disk.create_dir(&world.dir.join(name)).unwrap();
            world.put(&format!("{name}/00000000000000000000.log"), b"somebody's");
        }
        let seen = records(&world);
        let mut adoption = adopt(&world, 1, 1).unwrap();
        adoption.left_alone.sort();
        assert_eq!(adoption.left_alone, GONE);
        assert_eq!((adoption.topics, adoption.partitions), (2, 3));
        assert_eq!(records(&world), seen);
        for name in GONE {
            assert_eq!(world.bytes(&format!("{name}/00000000000000000000.log")), b"somebody's");
        }
    }
}

/// A broker that was moving to KRaft has the log of the cluster that it was about to join.
fn the_metadata_of_another_cluster_is_not_touched(world: &World) {
    foreign(world);
    remove_locks(world);
    for text in ["version=0\nbroker.id=7\ncluster.id=other\n", "broker.id=7\n"] {
        identity(world, text);
        refuses(world, ErrorCode::Unsupported, &["__cluster_metadata-0", "another cluster", "move it away"]);
    }
    remove(world, "meta.properties");
    refuses(world, ErrorCode::Unsupported, &["__cluster_metadata-0", "another cluster", "move it away"]);
    // Moved away, it is in nobody's way.
    world.sys.disk.rename(&world.dir.join("__cluster_metadata-0"), &world.dir.join("moved-0.00-stray")).unwrap();
    world.put("meta.properties", b"version=0\nbroker.id=7\ncluster.id=other\n");
    let seen = records(world);
    assert!(adopt(world, -1, -1).unwrap().made_metadata);
    assert_eq!(records(world), seen);
    // The checkpoints still spoke of the old one, which was longer.
    let engine = world.open();
    assert!(engine.report().unwrap().damage.is_empty(), "{}", engine.report().unwrap());
    create(&engine, "new", &[]);
    assert_eq!(send(&engine, "own", "goes on"), 3);
}

/// klog's own directory, whose `meta.properties` was lost: its settings are in no other place.
fn metadata_that_was_changed_since_is_not_written_anew(world: &World) {
    fill(world).close().unwrap();
    remove_locks(world);
    let meta = world.bytes("meta.properties");
    remove(world, "meta.properties");
    refuses(world, ErrorCode::Unsupported, &["__cluster_metadata-0", "meta.properties"]);
    identity(world, "version=0\nbroker.id=1\n");
    refuses(world, ErrorCode::Unsupported, &["__cluster_metadata-0", "meta.properties"]);
    remove(world, "meta.properties");
    world.put("meta.properties", &meta);
    adopt(world, -1, -1).unwrap();
    assert_eq!(source(&world.open(), "own", "retention.ms").0.as_deref(), Some("5400000"));
}

fn what_an_interrupted_attempt_left_is_no_hindrance(world: &World) {
    zookeeper(world);
    let seen = records(world);
    let old = world.text("meta.properties");
    adopt(world, 9_000_000, -1).unwrap();
    // The last step is the one that counts: before it, everything else is there already.
    identity(world, &old);
    assert_eq!(records(world), seen);
    names(&refused(world.options().open(&world.dir), ErrorCode::Unsupported), &["ZooKeeper", "adopted"]);
    let again = adopt(world, -1, 1).unwrap();
    assert!(again.made_metadata);
    assert_eq!((again.node_id, &*again.cluster_id), (7, "zoo=keeper"));
    assert_eq!(records(world), seen);
    let engine = world.open();
    assert_eq!(source(&engine, "plain", "retention.ms").0.as_deref(), Some("-1"), "what was told last holds");
    assert_eq!(engine.admin().list_topics().unwrap().len(), 2);
}

fn a_directory_that_somebody_has_is_not_adopted(world: &World) {
    for prepare in [foreign, zookeeper] {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        prepare(&world);
        let meta = world.text("meta.properties");
        // Another engine, of this process or of another; here on the same disk.
        if meta.contains("version=1") {
            let engine = world.options().set("klog.exclusive", "true").unwrap().open(&world.dir).unwrap();
            let before = (world.contents(), world.list(""));
            names(&refused(adopt(&world, -1, -1), ErrorCode::Locked), &["in use", "this process"]);
            assert_eq!((world.contents(), world.list("")), before);
            engine.close().unwrap();
        }
        // A broker locks .lock.
        let lock = world.sys.disk.open(&world.dir.join(".lock"), Open::Create).unwrap();
        assert!(lock.try_lock(LockRange::WHOLE, LockKind::Exclusive).unwrap());
        let before = (world.contents(), world.list(""));
        names(&refused(adopt(&world, -1, -1), ErrorCode::Locked), &["in use", "broker"]);
        assert_eq!((world.contents(), world.list("")), before);
        drop(lock);
        adopt(&world, -1, -1).unwrap();
    }
}

/// A reader that stays, and one that comes later.
fn a_reader_sees_the_same_before_and_after(world: &World) {
    for prepare in [foreign, zookeeper] {
        let world = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
        prepare(&world);
        let seen = records(&world);
        assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 7);
        let reader = world.open_for_reading();
        adopt(&world, -1, -1).unwrap();
        assert_eq!(read(&reader, "own"), seen[&("own".to_owned(), 0)]);
        assert_eq!(records(&world), seen);
    }
}

/// Without them, offsets and transactions would go by age.
///
/// Source: `GroupCoordinatorService#groupMetadataTopicConfigs`.
fn kafkas_own_topics_keep_their_settings(world: &World) {
    zookeeper(world);
    for topic in ["__consumer_offsets", "__transaction_state"] {
        world.sys.disk.rename(&world.dir.join("own-0"), &world.dir.join(format!("{topic}-0"))).unwrap();
        let world = &world;
        world.sys.disk.create_dir(&world.dir.join("own-0")).unwrap();
        world.put("own-0/00000000000000000000.log", b"");
    }
    adopt(world, 1, 1).unwrap();
    let engine: Engine =
        OpenOptions::new().set("threads", "off").unwrap().system(world.sys.clone()).open(&world.dir).unwrap();
    for topic in ["__consumer_offsets", "__transaction_state"] {
        let described = engine.admin().describe_topic(topic).unwrap();
        assert!(described.is_internal);
        assert_eq!(described.configs.get("cleanup.policy").map(String::as_str), Some("compact"), "{topic}");
        assert_eq!(described.configs.get("segment.bytes").map(String::as_str), Some("104857600"), "{topic}");
    }
    world.advance(1_000_000);
    engine.admin().delete_old_segments().unwrap();
    assert_eq!(offsets(&engine, "__consumer_offsets"), [0, 1, 2], "a compacted topic loses nothing by age");
}

/// The first unclean opening finishes what klog was told to remove, and nothing else.
fn what_somebody_else_was_about_to_remove_stays_after_adopting(world: &World) {
    zookeeper(world);
    let gone = "old-0.0123456789abcdef0123456789abcdef-delete";
    for name in [gone, "photos-do-not-delete"] {
        world.sys.disk.create_dir(&world.dir.join(name)).unwrap();
        world.put(&format!("{name}/00000000000000000000.log"), b"somebody's");
    }
    adopt(world, 1, 1).unwrap();
    let engine = world.open();
    create(&engine, "doomed", &[]);
    send(&engine, "doomed", "one");
    engine.admin().delete_topic("doomed").unwrap();
    engine.close().unwrap();
    let _ = world.sys.disk.remove_file(&world.dir.join(".kafka_cleanshutdown"));
    world.open().close().unwrap();
    for name in [gone, "photos-do-not-delete"] {
        assert_eq!(world.bytes(&format!("{name}/00000000000000000000.log")), b"somebody's");
    }
    assert!(!world.list("").iter().any(|name| name.starts_with("doomed")));
}

fn leader_epochs_go_on_behind_those_of_the_batches(world: &World) {
    zookeeper(world);
    // The epoch is outside the checksum; the checkpoint is what an old broker, or a crash, left.
    let is_own = |name: &String| name.starts_with("own-0/") && name.strip_suffix(".log").is_some();
    for log in world.contents().into_keys().filter(is_own) {
        let mut bytes = world.bytes(&log);
        let mut at = 0;
        for header in crate::steps::batches(&bytes.clone()) {
            bytes[at + 12..at + 16].copy_from_slice(&9i32.to_be_bytes());
            at += header.size;
        }
        world.put(&log, &bytes);
    }
    remove(world, "own-0/leader-epoch-checkpoint");
    adopt(world, -1, -1).unwrap();
    let engine = world.open();
    assert_eq!(crate::steps::describe(&engine, "own").leader_epoch, 9);
    send(&engine, "own", "behind");
    let last = world.contents().into_keys().filter(is_own).max().unwrap();
    let last = crate::steps::batches(&world.bytes(&last)).pop().unwrap();
    assert!(last.leader_epoch.0 >= 9, "{last:?}");
}

fn a_directory_whose_metadata_is_elsewhere_is_refused(world: &World) {
    let own = {
        fill(world).close().unwrap();
        world.text("meta.properties")
    };
    for name in world.list("__cluster_metadata-0") {
        remove(world, &format!("__cluster_metadata-0/{name}"));
    }
    world.sys.disk.remove_dir(&world.dir.join("__cluster_metadata-0")).unwrap();
    assert!(own.contains("version=1"), "{own}");
    refuses(world, ErrorCode::Unsupported, &["__cluster_metadata-0", "metadata.log.dir"]);
}
