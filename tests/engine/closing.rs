//! What a directory looks like, and what an orderly end leaves.

use std::collections::BTreeSet;

use klog::sys::Disk;
use klog::{Uuid, VERSION};

use crate::steps::{create, describe, offsets, producer, read, send, send_at};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_directory_shows_what_kafkas_shows,
    the_mark_of_an_orderly_end_is_there_only_after_one,
    the_mark_is_gone_while_the_directory_is_written,
    the_identity_is_kafkas_text,
    the_topic_id_is_kafkas_text,
    checkpoints_are_kafkas_text,
    the_checkpoint_of_leader_epochs_begins_with_the_first_record,
    everything_goes_on_after_opening_again,
    an_engine_that_is_dropped_ends_in_order_too,
    an_end_without_order_loses_nothing,
    batches_carry_the_leader_epoch,
    private_files_are_dot_files,
);

/// The issue's own listing: one topic, one record.
fn a_directory_shows_what_kafkas_shows(world: &World) {
    let engine = world.open();
    create(&engine, "peter-overview01", &[]);
    send_at(&engine, "peter-overview01", 1_641_213_117_088, b" First message").unwrap();
    engine.close().unwrap();
    let expected = [
        "__cluster_metadata-0/",
        "cleaner-offset-checkpoint",
        "log-start-offset-checkpoint",
        "meta.properties",
        "peter-overview01-0/",
        "recovery-point-offset-checkpoint",
        "replication-offset-checkpoint",
    ];
    assert_eq!(world.ls(""), expected);
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ];
    assert_eq!(world.list("peter-overview01-0"), expected);
    assert_eq!(world.bytes("peter-overview01-0/00000000000000000000.index"), b"");
    let time_index = [0, 0, 1, 0x7e, 0x1f, 0xec, 0xc2, 0xa0, 0, 0, 0, 0];
    assert_eq!(world.bytes("peter-overview01-0/00000000000000000000.timeindex"), time_index);
    assert!(world.text("replication-offset-checkpoint").lines().any(|line| line == "peter-overview01 0 1"));
}

const MARK: &str = ".kafka_cleanshutdown";

fn the_mark_of_an_orderly_end_is_there_only_after_one(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    assert!(!world.exists(&world.dir.join(MARK)));
    engine.close().unwrap();
    let mark: serde_json::Value = serde_json::from_str(&world.text(MARK)).unwrap();
    assert_eq!(mark["version"], 0);
    assert!(mark["brokerEpoch"].is_i64());
    assert!(!world.text(MARK).ends_with('\n'), "Kafka writes no line end");
}

fn the_mark_is_gone_while_the_directory_is_written(world: &World) {
    let engine = world.open();
    send(&engine, "t", "one");
    engine.close().unwrap();
    for change in 0..4 {
        let engine = world.open();
        match change {
            0 => drop(send(&engine, "t", "two")),
            1 => create(&engine, "u", &[]),
            2 => drop(engine.admin().delete_records("t", 0, Some(1)).unwrap()),
            _ => engine.admin().delete_topic("u").unwrap(),
        }
        assert!(!world.exists(&world.dir.join(MARK)), "change {change}");
        engine.close().unwrap();
        assert!(world.exists(&world.dir.join(MARK)), "change {change}");
    }
}

/// The lines of a properties file that say something.
fn properties(text: &str) -> BTreeSet<(&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_once('=').unwrap()).collect()
}

fn the_identity_is_kafkas_text(world: &World) {
    let engine = world.open();
    let cluster_id = engine.cluster_id().unwrap().unwrap();
    engine.close().unwrap();
    let text = world.text("meta.properties");
    let found = properties(&text);
    let value = |key| found.iter().find(|(name, _)| *name == key).unwrap().1.replace('\\', "");
    assert_eq!(
        found.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["cluster.id", "directory.id", "node.id", "version"]
    );
    assert_eq!((&*value("version"), &*value("node.id")), ("1", "1"));
    assert_eq!(value("cluster.id"), cluster_id);
    assert_eq!(cluster_id.len(), 22);
    assert!(Uuid::parse(&value("directory.id")).is_some_and(|id| id != Uuid::ZERO && id != Uuid::METADATA));
    assert!(!VERSION.is_empty());
}

fn the_topic_id_is_kafkas_text(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let id = engine.admin().describe_topic("t").unwrap().id;
    assert_eq!(world.text("t-0/partition.metadata"), format!("version: 0\ntopic_id: {id}"));
    assert_eq!(world.bytes("t-0/partition.metadata").len(), 43);
}

/// Version, number of lines, and lines of topic, partition and offset.
fn checkpoint(world: &World, name: &str) -> BTreeSet<String> {
    let text = world.text(name);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("0"), "{name}");
    let count: usize = lines.next().unwrap().parse().unwrap();
    let found: BTreeSet<_> = lines.map(str::to_owned).collect();
    assert_eq!(found.len(), count, "{name}");
    assert!(text.ends_with('\n'), "{name}");
    found
}

fn checkpoints_are_kafkas_text(world: &World) {
    let engine = world.open();
    for number in 0..5 {
        send(&engine, "t", &number.to_string());
    }
    send(&engine, "u", "one");
    engine.admin().delete_records("t", 0, Some(2)).unwrap();
    engine.close().unwrap();
    let own = |name| -> BTreeSet<String> {
        checkpoint(world, name).into_iter().filter(|line| !line.starts_with("__cluster_metadata ")).collect()
    };
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(own("recovery-point-offset-checkpoint"), lines(&["t 0 5", "u 0 1"]));
    assert_eq!(own("replication-offset-checkpoint"), lines(&["t 0 5", "u 0 1"]));
    assert_eq!(own("log-start-offset-checkpoint"), lines(&["t 0 2"]), "only where it is not the first segment's base");
    assert_eq!(own("cleaner-offset-checkpoint"), lines(&[]));
}

fn the_checkpoint_of_leader_epochs_begins_with_the_first_record(world: &World) {
    let engine = world.open();
    for _ in 0..3 {
        send(&engine, "t", "value");
    }
    engine.close().unwrap();
    assert_eq!(world.text("t-0/leader-epoch-checkpoint"), "0\n1\n0 0\n");
    let engine = world.open();
    send(&engine, "t", "value");
    engine.close().unwrap();
    assert_eq!(world.text("t-0/leader-epoch-checkpoint"), "0\n1\n0 0\n", "an orderly end changes no leader");
}

fn everything_goes_on_after_opening_again(world: &World) {
    let mut identity = None;
    for round in 0..4 {
        let engine = world.open();
        let found = engine.cluster_id().unwrap();
        assert_eq!(identity.get_or_insert(found.clone()), &found);
        assert_eq!(send(&engine, "t", &format!("round {round}")), round);
        let values: Vec<_> = (0..=round).map(|round| (round, format!("round {round}"))).collect();
        assert_eq!(read(&engine, "t"), values);
        let partition = describe(&engine, "t");
        assert_eq!((partition.high_watermark, partition.log_end_offset), (round + 1, round + 1));
        assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
        engine.close().unwrap();
    }
}

fn an_engine_that_is_dropped_ends_in_order_too(world: &World) {
    let engine = world.open();
    let lingering = producer(&engine, &[("linger.ms", "100000"), ("acks", "0")]);
    lingering.send("t", None, Some(b"one")).unwrap();
    drop(lingering);
    drop(engine);
    assert!(world.exists(&world.dir.join(MARK)));
    assert_eq!(offsets(&world.open(), "t"), [0]);
}

fn an_end_without_order_loses_nothing(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("klog.durability", "os"), ("segment.ms", "1000")]);
    for hour in 0..3 {
        send_at(&engine, "t", NOW - 100_000_000 + hour * 3_600_000, b"v").unwrap();
    }
    let left = world.contents();
    // What a process leaves that dies now, somewhere else.
    let elsewhere = if world.simulated_disk().is_some() { World::simulated() } else { World::real() };
    elsewhere.sys.disk.create_dir(&elsewhere.dir).unwrap();
    for (name, bytes) in &left {
        match name.strip_suffix('/') {
            Some(dir) => elsewhere.sys.disk.create_dir(&elsewhere.dir.join(dir)).unwrap(),
            None => elsewhere.put(name, bytes),
        }
    }
    let engine = elsewhere.open();
    assert_eq!(offsets(&engine, "t"), [0, 1, 2]);
    assert_eq!(send(&engine, "t", "goes on"), 3);
    assert!(engine.report().unwrap().cuts.is_empty());
}

fn batches_carry_the_leader_epoch(world: &World) {
    let engine = world.open();
    send(&engine, "t", "value");
    let stored = crate::steps::batches(&world.bytes("t-0/00000000000000000000.log"));
    assert_eq!(stored[0].leader_epoch.0, describe(&engine, "t").leader_epoch);
    let batch = crate::steps::consumer_of(&engine, "t", klog::Start::Earliest).poll(std::time::Duration::ZERO).unwrap();
    assert_eq!(batch.get(0).unwrap().leader_epoch(), describe(&engine, "t").leader_epoch);
}

/// A sub-directory that is no partition keeps a broker from starting; files that are not Kafka's begin with a dot.
fn private_files_are_dot_files(world: &World) {
    let engine = world.options().set("klog.spare", "true").unwrap().open(&world.dir).unwrap();
    create(&engine, "t", &[]);
    send(&engine, "t", "value");
    let kafkas = |name: &str| name == "meta.properties" || name.ends_with("-checkpoint");
    let check = |when: &str| {
        for name in world.list("") {
            match name.strip_suffix('/') {
                Some(dir) => assert!(["t-0", "__cluster_metadata-0"].contains(&dir), "{when}: {name}"),
                None => assert!(name.starts_with('.') || kafkas(&name), "{when}: {name}"),
            }
        }
    };
    check("while it is open");
    engine.close().unwrap();
    check("when it is closed");
}
