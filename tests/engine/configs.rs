//! Where settings come from, and that they are in force.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use klog::controller::ResourceType;
use klog::{
    ConfigEntry, ConfigResource, ConfigSource, Engine, EngineConfig, ErrorCode, NewTopic, OpenOptions, ProducerRecord,
    Start, TopicConfig,
};

use crate::metadata_log::{append, log, records, setting};
use crate::steps::{consumer_of, create, names, producer, refused, send};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    the_topics_setting_comes_before_the_brokers_and_that_before_all_brokers,
    every_setting_is_described_with_its_default,
    every_setting_of_the_brokers_is_that_of_topics_that_say_nothing,
    a_setting_is_in_force_on_return_for_partitions_that_are_open,
    settings_of_the_brokers_reach_every_topic,
    settings_stay_and_are_taken_back_for_good,
    the_engines_own_options_are_told_of_and_not_altered,
    what_another_program_recorded_is_kept,
    several_settings_are_one_change,
    settings_that_two_threads_change_at_once_are_both_in_force,
);

fn topic(name: &str) -> ConfigResource {
    ConfigResource::Topic(name.to_owned())
}

fn changes(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
}

fn alter(engine: &Engine, resource: &ConfigResource, pairs: &[(&str, Option<&str>)]) {
    engine.admin().alter_configs(resource, &changes(pairs)).unwrap();
}

fn entry(engine: &Engine, resource: &ConfigResource, name: &str) -> ConfigEntry {
    let entries = engine.admin().describe_configs(resource).unwrap();
    entries.into_iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("{name} is not described"))
}

/// Value and source of a topic's setting, by Kafka's word for the source.
fn found(engine: &Engine, name: &str, of: &str) -> (String, &'static str) {
    let entry = entry(engine, &topic(of), name);
    (entry.value.unwrap_or_default(), entry.source.name())
}

/// Sends a record of so many bytes to `topic`, through a producer that is there for long.
fn fits(producer: &klog::Producer, topic: &str, bytes: usize) -> bool {
    match producer.send(topic, None, Some(&vec![0; bytes])).unwrap().result() {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), ErrorCode::MessageTooLarge, "{error}");
            false
        }
    }
}

/// Kafka's order: dynamic topic, dynamic broker, dynamic default broker, default.
///
/// Source: `org.apache.kafka.server.config.ConfigUtils`; KIP-226.
fn the_topics_setting_comes_before_the_brokers_and_that_before_all_brokers(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    assert_eq!(found(&engine, "max.message.bytes", "t"), ("1048588".into(), "DEFAULT_CONFIG"));
    alter(&engine, &ConfigResource::Brokers, &[("message.max.bytes", Some("4000"))]);
    assert_eq!(found(&engine, "max.message.bytes", "t"), ("4000".into(), "DYNAMIC_DEFAULT_BROKER_CONFIG"));
    engine.close().unwrap();
    // klog has one broker and records what is for all; another program may have told this one, number 1, and number 2.
    append(
        world,
        &[
            setting(ResourceType::BROKER, "1", "message.max.bytes", Some("3000")),
            setting(ResourceType::BROKER, "2", "message.max.bytes", Some("2000")),
        ],
    );
    let engine = world.open();
    let held = producer(&engine, &[]);
    assert_eq!(found(&engine, "max.message.bytes", "t"), ("3000".into(), "DYNAMIC_BROKER_CONFIG"));
    assert!(fits(&held, "t", 2500) && !fits(&held, "t", 3500));
    alter(&engine, &ConfigResource::Brokers, &[("message.max.bytes", Some("9000"))]);
    assert!(!fits(&held, "t", 3500), "this broker's own setting counts");
    alter(&engine, &topic("t"), &[("max.message.bytes", Some("5000"))]);
    assert_eq!(found(&engine, "max.message.bytes", "t"), ("5000".into(), "DYNAMIC_TOPIC_CONFIG"));
    assert!(fits(&held, "t", 4500) && !fits(&held, "t", 5500));
    alter(&engine, &topic("t"), &[("max.message.bytes", None)]);
    assert_eq!(found(&engine, "max.message.bytes", "t"), ("3000".into(), "DYNAMIC_BROKER_CONFIG"));
    assert!(fits(&held, "t", 2500) && !fits(&held, "t", 3500));
    engine.close().unwrap();
    append(world, &[setting(ResourceType::BROKER, "1", "message.max.bytes", None)]);
    let engine = world.open();
    assert_eq!(found(&engine, "max.message.bytes", "t"), ("9000".into(), "DYNAMIC_DEFAULT_BROKER_CONFIG"));
    alter(&engine, &ConfigResource::Brokers, &[("message.max.bytes", None)]);
    assert_eq!(found(&engine, "max.message.bytes", "t"), ("1048588".into(), "DEFAULT_CONFIG"));
}

fn every_setting_is_described_with_its_default(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let entries = engine.admin().describe_configs(&topic("t")).unwrap();
    assert!(entries.is_sorted_by_key(|entry| entry.name.clone()));
    let mut rows = TopicConfig::rows();
    rows.sort_by_key(|row| row.name);
    assert_eq!(entries.len(), rows.len());
    for (entry, row) in entries.iter().zip(&rows) {
        assert_eq!((&*entry.name, entry.kind, &entry.bounds, entry.doc), (row.name, row.kind, &row.bounds, row.doc));
        assert!(!entry.is_read_only, "{}", row.name);
        if row.name == "retention.ms" {
            // A cluster that klog makes keeps everything, and says so to every broker.
            assert_eq!((entry.value.as_deref(), entry.source), (Some("-1"), ConfigSource::DefaultBroker));
        } else {
            assert_eq!((&entry.value, entry.source), (&row.default, ConfigSource::Default), "{}", row.name);
        }
    }
}

/// A value that is allowed and is not the default.
fn another_value(row: &klog::Row) -> String {
    match (row.kind, row.bounds.as_deref().and_then(|bounds| bounds.split_once(" to "))) {
        ("boolean", _) => if row.default.as_deref() == Some("true") { "false" } else { "true" }.to_owned(),
        ("double", _) => "0.25".to_owned(),
        // What is allowed least, or the next.
        (_, Some((least, _))) if row.default.as_deref() != Some(least) => least.to_owned(),
        (_, Some((least, _))) => (least.parse::<i64>().unwrap() + 1).to_string(),
        ("long", None) => "1000000".to_owned(),
        (kind, None) if kind.starts_with("int") => "9".to_owned(),
        (kind, None) => {
            let words: Vec<_> = kind.trim_start_matches("list of ").split(", ").collect();
            let other = words.iter().find(|word| row.default.as_deref() != Some(**word) && **word != "compact");
            (*other.unwrap_or(&"delete")).to_owned()
        }
    }
}

/// For each, the broker's option has Kafka's other name, and the topic's value follows it there and back.
fn every_setting_of_the_brokers_is_that_of_topics_that_say_nothing(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let mut seen = 0;
    for row in TopicConfig::rows() {
        let Some(name) = row.broker_name else { continue };
        let value = another_value(&row);
        let before = (entry(&engine, &ConfigResource::Brokers, name), entry(&engine, &topic("t"), row.name));
        alter(&engine, &ConfigResource::Brokers, &[(name, Some(&value))]);
        let of_brokers = entry(&engine, &ConfigResource::Brokers, name);
        assert_eq!((of_brokers.value.as_deref(), of_brokers.source), (Some(&*value), ConfigSource::DefaultBroker));
        let of_topic = entry(&engine, &topic("t"), row.name);
        assert_eq!((of_topic.value.as_deref(), of_topic.source), (Some(&*value), ConfigSource::DefaultBroker));
        alter(&engine, &ConfigResource::Brokers, &[(name, None)]);
        if row.name != "retention.ms" {
            let after = (entry(&engine, &ConfigResource::Brokers, name), entry(&engine, &topic("t"), row.name));
            assert_eq!(after, before, "{name} was taken back");
        }
        seen += 1;
    }
    println!("{seen} settings");
    assert!(seen >= 25, "{seen} settings of Kafka's brokers reach topics");
}

fn a_setting_is_in_force_on_return_for_partitions_that_are_open(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let held = producer(&engine, &[]);
    assert!(fits(&held, "t", 5000));
    for (value, is_larger) in [(Some("1000"), false), (Some("10000"), true), (Some("100"), false), (None, true)] {
        alter(&engine, &topic("t"), &[("max.message.bytes", value)]);
        assert_eq!(fits(&held, "t", 5000), is_larger, "{value:?}");
    }
    let timestamp_of = |timestamp| {
        let record = ProducerRecord { topic: "t", timestamp: Some(timestamp), ..ProducerRecord::default() };
        let offset = held.send_record(&record).unwrap().result().unwrap().offset;
        let batch = consumer_of(&engine, "t", Start::Offset(offset)).poll(Duration::ZERO).unwrap();
        batch.get(0).unwrap().timestamp()
    };
    assert_eq!(timestamp_of(NOW - 5), NOW - 5);
    alter(&engine, &topic("t"), &[("message.timestamp.type", Some("LogAppendTime"))]);
    assert_eq!(timestamp_of(NOW - 5), NOW, "the log's own time");
    alter(&engine, &topic("t"), &[("message.timestamp.type", None)]);
    assert_eq!(timestamp_of(NOW - 5), NOW - 5);
    alter(&engine, &topic("t"), &[("message.timestamp.before.max.ms", Some("4"))]);
    let old = ProducerRecord { topic: "t", timestamp: Some(NOW - 5), ..ProducerRecord::default() };
    let sent = held.send_record(&old).and_then(|sent| sent.result()).map(drop);
    names(&refused(sent, ErrorCode::InvalidTimestamp), &["4"]);
    // A smaller segment begins with the next record.
    alter(&engine, &topic("t"), &[("segment.ms", Some("1")), ("message.timestamp.before.max.ms", None)]);
    let before = engine.admin().list_segments("t", 0).unwrap().len();
    world.advance(10);
    send(&engine, "t", "one");
    assert_eq!(engine.admin().list_segments("t", 0).unwrap().len(), before + 1);
}

/// Those with open partitions, those that were only looked at, those that nobody looked at, and those made later.
fn settings_of_the_brokers_reach_every_topic(world: &World) {
    let engine = world.open();
    for name in ["open", "described", "asleep"] {
        create(&engine, name, &[]);
    }
    create(&engine, "own", &[("max.message.bytes", "6000")]);
    engine.close().unwrap();
    let engine = world.open();
    let held = producer(&engine, &[]);
    assert!(fits(&held, "open", 5000) && fits(&held, "own", 5000));
    engine.admin().describe_topic("described").unwrap();
    alter(&engine, &ConfigResource::Brokers, &[("message.max.bytes", Some("1000"))]);
    create(&engine, "later", &[]);
    let check = |engine: &Engine, is_larger| {
        for name in ["open", "described", "asleep", "later"] {
            assert_eq!(fits(&producer(engine, &[]), name, 5000), is_larger, "{name}");
        }
        assert!(fits(&producer(engine, &[]), "own", 5000), "a topic's own setting is not touched");
    };
    assert!(!fits(&held, "open", 5000));
    check(&engine, false);
    engine.close().unwrap();
    let engine = world.open();
    check(&engine, false);
    alter(&engine, &ConfigResource::Brokers, &[("message.max.bytes", None)]);
    check(&engine, true);
    engine.close().unwrap();
    check(&world.open(), true);
}

fn settings_stay_and_are_taken_back_for_good(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "7000")]);
    alter(&engine, &topic("t"), &[("retention.bytes", Some("123456")), ("segment.ms", Some("8000"))]);
    alter(&engine, &topic("t"), &[("retention.bytes", Some("123456"))]);
    alter(&engine, &topic("t"), &[("flush.messages", None)]); // it was not set
    let described = || engine.admin().describe_topic("t").unwrap().configs;
    let expected = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(described(), expected(&[("retention.bytes", "123456"), ("segment.ms", "8000")]));
    engine.close().unwrap();
    let engine = world.open();
    let described = || engine.admin().describe_topic("t").unwrap().configs;
    assert_eq!(described(), expected(&[("retention.bytes", "123456"), ("segment.ms", "8000")]));
    alter(&engine, &topic("t"), &[("segment.ms", None)]);
    engine.close().unwrap();
    let engine = world.open();
    assert_eq!(
        engine.admin().describe_topic("t").unwrap().configs,
        expected(&[("retention.bytes", "123456")]),
        "what was taken back does not come back"
    );
    // Settings go with their topic.
    engine.admin().delete_topic("t").unwrap();
    create(&engine, "t", &[]);
    assert_eq!(found(&engine, "retention.bytes", "t").1, "DEFAULT_CONFIG");
}

fn the_engines_own_options_are_told_of_and_not_altered(world: &World) {
    let engine = world.options().set("num.partitions", "3").unwrap().open(&world.dir).unwrap();
    for row in EngineConfig::rows() {
        let entry = entry(&engine, &ConfigResource::Brokers, row.name);
        assert!(entry.is_read_only, "{}", row.name);
        let (value, source) = match row.name {
            "num.partitions" => (Some("3"), "STATIC_BROKER_CONFIG"),
            "threads" => (Some("off"), "STATIC_BROKER_CONFIG"),
            "klog.spare" => (Some("false"), "STATIC_BROKER_CONFIG"),
            _ => (row.default.as_deref(), "DEFAULT_CONFIG"),
        };
        assert_eq!((entry.value.as_deref(), entry.source.name()), (value, source), "{}", row.name);
    }
    let granted = entry(&engine, &ConfigResource::Brokers, "klog.retention.enable");
    assert_eq!((granted.value.as_deref(), granted.is_read_only), (Some("true"), true));
}

fn what_another_program_recorded_is_kept(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("retention.ms", "5000")]);
    engine.close().unwrap();
    let foreign = [
        setting(ResourceType::TOPIC, "t", "max.message.bytes", Some("many")),
        setting(ResourceType::TOPIC, "t", "segment.bytes", Some("14")),
        setting(ResourceType::TOPIC, "t", "remote.log.copy.disable", Some("true")),
        setting(ResourceType::TOPIC, "t", "cleanup.policy", Some("compact")),
        setting(ResourceType::BROKER, "", "log.cleaner.threads", Some("2")),
        setting(ResourceType(16), "metrics", "interval.ms", Some("9")),
    ];
    append(world, &foreign);
    let engine = world.open();
    let held = producer(&engine, &[]);
    let keyed = held.send("t", Some(b"k"), Some(&[0; 5000])).unwrap().result();
    assert!(keyed.is_ok(), "a value that nobody can read counts as none: {keyed:?}");
    let report = engine.report().unwrap().to_string();
    names(&report, &["max.message.bytes", "'many'", "segment.bytes", "14", "remote.log.copy.disable"]);
    assert_eq!(found(&engine, "remote.log.copy.disable", "t"), ("true".into(), "DYNAMIC_TOPIC_CONFIG"));
    let threads = entry(&engine, &ConfigResource::Brokers, "log.cleaner.threads");
    assert_eq!((threads.value.as_deref(), threads.source.name()), (Some("2"), "DYNAMIC_DEFAULT_BROKER_CONFIG"));
    // A change of something else is not refused for what is beside it, and leaves it.
    alter(&engine, &topic("t"), &[("retention.ms", Some("6000"))]);
    alter(&engine, &ConfigResource::Brokers, &[("log.roll.ms", Some("100000"))]);
    engine.close().unwrap();
    let engine = world.open();
    let configs = engine.admin().describe_topic("t").unwrap().configs;
    for (name, value) in [
        ("max.message.bytes", "many"),
        ("segment.bytes", "14"),
        ("remote.log.copy.disable", "true"),
        ("cleanup.policy", "compact"),
        ("retention.ms", "6000"),
    ] {
        assert_eq!(configs.get(name).map(String::as_str), Some(value), "{name}");
    }
    alter(&engine, &topic("t"), &[("max.message.bytes", None), ("remote.log.copy.disable", None)]);
    let configs = engine.admin().describe_topic("t").unwrap().configs;
    assert!(!configs.contains_key("max.message.bytes") && !configs.contains_key("remote.log.copy.disable"));
}

/// One batch in the metadata log: another process, or an opener after a power cut, sees all or none.
fn several_settings_are_one_change(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let count = || {
        let bytes = world.bytes(&log());
        (crate::steps::batches(&bytes).len(), records(&bytes).len())
    };
    let before = count();
    alter(&engine, &topic("t"), &[("segment.ms", Some("1")), ("retention.ms", Some("2")), ("flush.ms", None)]);
    let (batches, settings) = count();
    assert_eq!(batches, before.0 + 1);
    assert!((2..=3).contains(&(settings - before.1)), "{} records", settings - before.1);
    let before = count();
    alter(&engine, &topic("t"), &[]);
    alter(&engine, &ConfigResource::Brokers, &[]);
    assert_eq!(count(), before, "no change is no record");
}

/// What is in force is what the metadata says in the end, whoever came last.
fn settings_that_two_threads_change_at_once_are_both_in_force(world: &World) {
    let options = OpenOptions::new().set("klog.spare", "false").unwrap();
    let engine = options.system(world.real_time()).open(&world.dir).unwrap();
    engine.admin().create_topic(&NewTopic::named("t").config("klog.durability", "os")).unwrap();
    let held = producer(&engine, &[]);
    for round in 0..60 {
        let (small, by_log) = (round % 2 == 0, round % 4 < 2);
        let begin = Barrier::new(3);
        let all = |resource: ConfigResource, name: &'static str, value: &'static str| {
            let (engine, begin) = (&engine, &begin);
            move || {
                begin.wait();
                alter(engine, &resource, &[(name, Some(value))]);
            }
        };
        thread::scope(|scope| {
            scope.spawn(all(topic("t"), "max.message.bytes", if small { "1000" } else { "100000" }));
            let kind = if by_log { "LogAppendTime" } else { "CreateTime" };
            scope.spawn(all(topic("t"), "message.timestamp.type", kind));
            scope.spawn(all(ConfigResource::Brokers, "log.message.timestamp.after.max.ms", "3600000"));
        });
        assert_eq!(fits(&held, "t", 5000), !small, "round {round}");
        let record = ProducerRecord { topic: "t", timestamp: Some(1000), ..ProducerRecord::default() };
        let sent = held.send_record(&record).unwrap().result().unwrap();
        let batch = consumer_of(&engine, "t", Start::Offset(sent.offset)).poll(Duration::ZERO).unwrap();
        assert_eq!(batch.get(0).unwrap().timestamp() != 1000, by_log, "round {round}");
    }
}
