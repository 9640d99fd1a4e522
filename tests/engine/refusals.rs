//! Settings of producers and consumers that are refused.

use klog::{ConsumerConfig, Engine, ErrorCode, ProducerConfig};

use crate::steps::{names, producer, refused};

#[test]
fn an_unknown_producer_option_is_refused_with_the_nearest_name() {
    let mut config = ProducerConfig::default();
    let before = config.clone();
    for (name, nearest) in [("linger.msec", "linger.ms"), ("batch.sise", "batch.size"), ("acs", "acks")] {
        let message = refused(config.set(name, "1"), ErrorCode::InvalidConfig);
        names(&message, &["producer", &format!("'{name}'"), &format!("'{nearest}'")]);
    }
    assert_eq!(config, before);
}

#[test]
fn an_unknown_consumer_option_is_refused_with_the_nearest_name() {
    let mut config = ConsumerConfig::default();
    let before = config.clone();
    for (name, nearest) in [("auto.offset.rest", "auto.offset.reset"), ("isolation_level", "isolation.level")] {
        let message = refused(config.set(name, "1"), ErrorCode::InvalidConfig);
        names(&message, &["consumer", &format!("'{name}'"), &format!("'{nearest}'")]);
    }
    assert_eq!(config, before);
}

#[test]
fn values_out_of_bounds_are_refused_with_the_bound() {
    let mut config = ProducerConfig::default();
    for (name, value, bound) in [
        ("acks", "2", "all, -1, 0, 1"),
        ("linger.ms", "-1", "0 to"),
        ("batch.size", "2147483648", "32 bits"),
        ("compression.type", "brotli", "none, gzip, snappy, lz4, zstd"),
        ("compression.gzip.level", "10", "9"),
        ("compression.zstd.level", "23", "22"),
        ("partitioner", "murmur3", "murmur2"),
    ] {
        names(&refused(config.set(name, value), ErrorCode::InvalidConfig), &[name, value, bound]);
    }
    assert_eq!(config, ProducerConfig::default());
    let mut config = ConsumerConfig::default();
    for (name, value, bound) in [
        ("max.poll.records", "0", "1 to"),
        ("auto.offset.reset", "middle", "earliest, latest, none"),
        ("isolation.level", "serializable", "read_committed"),
        ("check.crcs", "perhaps", "true or false"),
    ] {
        names(&refused(config.set(name, value), ErrorCode::InvalidConfig), &[name, value, bound]);
    }
    assert_eq!(config, ConsumerConfig::default());
}

/// Gzip has no level 0 in Kafka: −1, and 1 to 9.
#[test]
fn gzip_level_0_is_refused() {
    refused(ProducerConfig::default().set("compression.gzip.level", "0"), ErrorCode::InvalidConfig);
    refused(klog::TopicConfig::default().set("compression.gzip.level", "0"), ErrorCode::InvalidConfig);
}

#[test]
fn what_klog_has_not_yet_is_unsupported_and_not_ignored() {
    let engine = Engine::memory().unwrap();
    for (name, value) in [("enable.idempotence", "true"), ("transactional.id", "me")] {
        let mut config = ProducerConfig::default();
        config.set(name, value).unwrap();
        names(&refused(engine.producer_with(config), ErrorCode::Unsupported), &[name]);
    }
    let mut config = ConsumerConfig::default();
    config.set("group.id", "us").unwrap();
    names(&refused(engine.consumer_with(config), ErrorCode::Unsupported), &["group.id"]);
}

#[test]
fn a_record_above_the_largest_request_is_refused_at_once() {
    let engine = Engine::memory().unwrap();
    let producer = producer(&engine, &[("max.request.size", "1000")]);
    let sent = producer.send("t", None, Some(&[0; 1000])).map(drop);
    names(&refused(sent, ErrorCode::MessageTooLarge), &["max.request.size", "1000"]);
    producer.send("t", None, Some(&[0; 900])).unwrap().result().unwrap();
}

/// Kafka's defaults, and klog's where it says why they are others.
#[test]
fn defaults_are_those_of_the_table() {
    let producer = ProducerConfig::default();
    for (name, value) in [
        ("acks", "all"),
        ("linger.ms", "5"),
        ("batch.size", "65536"),
        ("buffer.memory", "33554432"),
        ("max.block.ms", "60000"),
        ("max.request.size", "1048576"),
        ("delivery.timeout.ms", "120000"),
        ("compression.type", "none"),
        ("compression.gzip.level", "-1"),
        ("compression.lz4.level", "9"),
        ("compression.zstd.level", "3"),
        ("partitioner", "murmur2_random"),
        ("enable.idempotence", "false"),
    ] {
        assert_eq!(producer.get(name).as_deref(), Some(value), "{name}");
    }
    let consumer = ConsumerConfig::default();
    for (name, value) in [
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_uncommitted"),
        ("max.poll.records", "500"),
        ("max.partition.fetch.bytes", "1048576"),
        ("check.crcs", "true"),
        ("exclude.internal.topics", "true"),
    ] {
        assert_eq!(consumer.get(name).as_deref(), Some(value), "{name}");
    }
    let topic = klog::TopicConfig::default();
    for (name, value) in [
        ("segment.bytes", Some("1073741824")),
        ("segment.ms", Some("604800000")),
        ("segment.jitter.ms", Some("0")),
        ("segment.index.bytes", Some("10485760")),
        ("index.interval.bytes", Some("4096")),
        ("retention.ms", Some("604800000")),
        ("retention.bytes", Some("-1")),
        ("file.delete.delay.ms", Some("60000")),
        ("flush.messages", Some("9223372036854775807")),
        ("max.message.bytes", Some("1048588")),
        ("message.timestamp.type", Some("CreateTime")),
        ("message.timestamp.after.max.ms", Some("3600000")),
        ("message.timestamp.before.max.ms", Some("9223372036854775807")),
        ("min.insync.replicas", Some("1")),
        ("cleanup.policy", Some("delete")),
        ("klog.durability", Some("fsync")),
        ("preallocate", Some("false")),
    ] {
        assert_eq!(topic.get(name).as_deref(), value, "{name}");
    }
}
