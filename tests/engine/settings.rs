//! Settings of topics: those that are refused, and what a change does.

use std::collections::BTreeMap;

use klog::{ConfigResource, ErrorCode, NewTopic, ProducerRecord};

use crate::steps::{bases, create, names, producer, refused, send};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    illegal_settings_are_refused_with_the_nearest_name,
    a_time_to_flush_below_zero_is_refused,
    settings_that_klog_has_not_yet_are_unsupported,
    changed_settings_are_in_force_and_stay,
    every_change_is_in_force_when_the_call_returns,
    a_setting_goes_back_to_its_default,
    a_refused_change_changes_nothing,
    the_engines_durability_is_that_of_new_topics,
);

fn illegal_settings_are_refused_with_the_nearest_name(world: &World) {
    let engine = world.open();
    let refuse = |name: &str, value: &str| {
        refused(engine.admin().create_topic(&NewTopic::named("t").config(name, value)), ErrorCode::InvalidConfig)
    };
    names(&refuse("retention.msec", "1"), &["'retention.msec'", "'retention.ms'"]);
    names(&refuse("log.retention.ms", "1"), &["'log.retention.ms'", "'retention.ms'"]);
    names(&refuse("segment.bytes", "1048575"), &["segment.bytes", "1048576"]);
    names(&refuse("retention.ms", "-2"), &["retention.ms", "-1"]);
    names(&refuse("cleanup.policy", "delate"), &["cleanup.policy", "delate"]);
    names(&refuse("compression.type", "brotli"), &["compression.type", "zstd"]);
    names(&refuse("min.insync.replicas", "0"), &["min.insync.replicas", "1"]);
    names(&refuse("message.timestamp.type", "createtime"), &["CreateTime"]);
    names(&refuse("message.format.version", "3.0"), &["message.format.version"]);
    assert!(engine.admin().list_topics().unwrap().is_empty());
}

fn a_time_to_flush_below_zero_is_refused(world: &World) {
    let engine = world.open();
    let new = NewTopic::named("t").config("flush.ms", "-1");
    names(&refused(engine.admin().create_topic(&new), ErrorCode::InvalidConfig), &["flush.ms", "0"]);
}

fn settings_that_klog_has_not_yet_are_unsupported(world: &World) {
    let engine = world.open();
    create(&engine, "there", &[]);
    for policy in ["compact", "compact,delete", "delete,compact"] {
        let new = NewTopic::named("t").config("cleanup.policy", policy);
        names(&refused(engine.admin().create_topic(&new), ErrorCode::Unsupported), &["compact"]);
        let changes = BTreeMap::from([("cleanup.policy".to_owned(), Some(policy.to_owned()))]);
        refused(engine.admin().alter_configs(&ConfigResource::Topic("there".into()), &changes), ErrorCode::Unsupported);
    }
    let new = NewTopic::named("t").config("remote.storage.enable", "true");
    refused(engine.admin().create_topic(&new), ErrorCode::Unsupported);
    create(&engine, "t", &[("cleanup.policy", "delete")]);
}

fn changes(pairs: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
}

fn changed_settings_are_in_force_and_stay(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let big = "x".repeat(5000);
    send(&engine, "t", &big);
    engine
        .admin()
        .alter_configs(&ConfigResource::Topic("t".into()), &changes(&[("max.message.bytes", Some("1000"))]))
        .unwrap();
    let too_large = |engine: &klog::Engine| {
        let delivery = producer(engine, &[]).send("t", None, Some(big.as_bytes())).unwrap();
        refused(delivery.result(), ErrorCode::MessageTooLarge);
    };
    too_large(&engine);
    engine.close().unwrap();
    let engine = world.open();
    too_large(&engine);
    let described = engine.admin().describe_topic("t").unwrap();
    assert_eq!(described.configs, BTreeMap::from([("max.message.bytes".to_owned(), "1000".to_owned())]));
}

/// What appends and waits ask of the settings is worked out when they change: each of these has its own place there.
fn every_change_is_in_force_when_the_call_returns(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("klog.durability", "os")]);
    let topic = ConfigResource::Topic("t".into());
    let alter = |name: &str, value: &str| {
        engine.admin().alter_configs(&topic, &changes(&[(name, Some(value))])).unwrap();
    };
    // Its deliveries are done when the record is durable, and it waits for none.
    let watching = producer(&engine, &[("linger.ms", "0"), ("acks", "1"), ("klog.durability", "fsync")]);
    let is_flushed = || watching.send("t", None, Some(b"v")).unwrap().is_done();
    assert!(!is_flushed());
    alter("flush.messages", "2");
    assert!(is_flushed(), "two had not been");
    alter("flush.messages", "1000");
    let unflushed = watching.send("t", None, Some(b"v")).unwrap();
    assert!(!unflushed.is_done());
    send(&engine, "t", "waited for, but written is enough");
    assert!(!unflushed.is_done());
    alter("klog.durability", "fsync");
    send(&engine, "t", "waited for until it is durable");
    assert!(unflushed.is_done());
    alter("klog.durability", "os");
    send(&engine, "t", "written");
    assert!(!is_flushed());

    let timed = producer(&engine, &[]);
    let sent = |timestamp: i64| {
        let record = ProducerRecord { topic: "t", timestamp: Some(timestamp), ..ProducerRecord::default() };
        timed.send_record(&record).unwrap().result().unwrap().timestamp
    };
    alter("message.timestamp.type", "LogAppendTime");
    assert_eq!(sent(NOW - 7), NOW);
    alter("message.timestamp.type", "CreateTime");
    assert_eq!(sent(NOW - 7), NOW - 7);
    assert_eq!(bases(world, "t-0"), [0]);
    alter("segment.ms", "10");
    assert_eq!(sent(NOW + 11), NOW + 11);
    assert_eq!(bases(world, "t-0"), [0, 9]);
}

fn a_setting_goes_back_to_its_default(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("max.message.bytes", "100"), ("retention.ms", "-1")]);
    engine.admin().alter_configs(&ConfigResource::Topic("t".into()), &changes(&[("max.message.bytes", None)])).unwrap();
    send(&engine, "t", &"x".repeat(5000));
    let described = engine.admin().describe_topic("t").unwrap();
    assert_eq!(described.configs, BTreeMap::from([("retention.ms".to_owned(), "-1".to_owned())]));
}

fn a_refused_change_changes_nothing(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("retention.ms", "7")]);
    let before = (engine.admin().describe_topic("t").unwrap(), world.contents());
    for change in [("retention.ms", Some("-7")), ("retension.ms", Some("1")), ("cleanup.policy", Some("compact"))] {
        let both = changes(&[("max.message.bytes", Some("1000")), change]);
        assert!(engine.admin().alter_configs(&ConfigResource::Topic("t".into()), &both).is_err(), "{change:?}");
    }
    refused(
        engine.admin().alter_configs(&ConfigResource::Topic("u".into()), &changes(&[])),
        ErrorCode::UnknownTopicOrPartition,
    );
    assert_eq!((engine.admin().describe_topic("t").unwrap(), world.contents()), before);
}

fn the_engines_durability_is_that_of_new_topics(world: &World) {
    let engine = world.options().durability(klog::Durability::Os).open(&world.dir).unwrap();
    create(&engine, "t", &[]);
    create(&engine, "u", &[("klog.durability", "fsync")]);
    engine.close().unwrap();
    let engine = world.open();
    create(&engine, "v", &[]);
    let durability = |topic| engine.admin().describe_topic(topic).unwrap().configs.get("klog.durability").cloned();
    assert_eq!(durability("t").as_deref(), Some("os"), "it was the engine's when the topic was made");
    assert_eq!(durability("u").as_deref(), Some("fsync"));
    assert_eq!(durability("v"), None);
}
