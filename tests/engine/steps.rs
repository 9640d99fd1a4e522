//! What tests do again and again.

use std::fmt::Debug;
use std::time::Duration;

use klog::record::BatchHeader;
use klog::{
    Consumer, ConsumerConfig, Engine, ErrorCode, NewTopic, PartitionDescription, Producer, ProducerConfig,
    ProducerRecord, Result, Start,
};

use crate::world::World;

/// A producer that writes each record at once, but for these settings.
pub(crate) fn producer(engine: &Engine, settings: &[(&str, &str)]) -> Producer {
    let mut config = ProducerConfig { linger_ms: 0, ..ProducerConfig::default() };
    settings.iter().for_each(|(name, value)| config.set(name, value).unwrap());
    engine.producer_with(config).unwrap()
}

pub(crate) fn consumer(engine: &Engine, settings: &[(&str, &str)]) -> Consumer {
    let mut config = ConsumerConfig::default();
    settings.iter().for_each(|(name, value)| config.set(name, value).unwrap());
    engine.consumer_with(config).unwrap()
}

/// A consumer of partition 0 of `topic`.
pub(crate) fn consumer_of(engine: &Engine, topic: &str, start: Start) -> Consumer {
    let mut consumer = consumer(engine, &[]);
    consumer.assign(topic, 0, start).unwrap();
    consumer
}

pub(crate) fn create(engine: &Engine, topic: &str, configs: &[(&str, &str)]) {
    let mut new = NewTopic::named(topic);
    for (name, value) in configs {
        new = new.config(*name, *value);
    }
    engine.admin().create_topic(&new).unwrap();
}

/// Sends to partition 0 and waits until it is acknowledged; the offset.
pub(crate) fn send(engine: &Engine, topic: &str, value: &str) -> i64 {
    producer(engine, &[]).send(topic, None, Some(value.as_bytes())).unwrap().result().unwrap().offset
}

/// As [`send`], with a timestamp.
pub(crate) fn send_at(engine: &Engine, topic: &str, timestamp: i64, value: &[u8]) -> Result<i64> {
    let record = ProducerRecord { topic, timestamp: Some(timestamp), value: Some(value), ..ProducerRecord::default() };
    Ok(producer(engine, &[]).send_record(&record)?.result()?.offset)
}

/// Sends these values as one batch, which the next call but one would write; they are acknowledged on return.
pub(crate) fn send_batch(engine: &Engine, topic: &str, values: &[&str], settings: &[(&str, &str)]) {
    let producer = producer(engine, &[&[("linger.ms", "100000")], settings].concat());
    let deliveries: Vec<_> =
        values.iter().map(|value| producer.send(topic, None, Some(value.as_bytes())).unwrap()).collect();
    deliveries.iter().for_each(|delivery| drop(delivery.result().unwrap()));
}

/// Everything that a consumer gets before it finds nothing more: offsets and values.
pub(crate) fn drain(consumer: &mut Consumer) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    loop {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        if batch.is_empty() {
            return found;
        }
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"(null)")).into_owned();
        found.extend(batch.iter().map(|record| (record.offset(), text(record.value()))));
    }
}

/// The values of what was read.
pub(crate) fn values(found: &[(i64, String)]) -> Vec<&str> {
    found.iter().map(|(_, value)| value.as_str()).collect()
}

/// Everything that is visible in partition 0.
pub(crate) fn read(engine: &Engine, topic: &str) -> Vec<(i64, String)> {
    drain(&mut consumer_of(engine, topic, Start::Earliest))
}

/// As [`read`], the offsets only.
pub(crate) fn offsets(engine: &Engine, topic: &str) -> Vec<i64> {
    read(engine, topic).into_iter().map(|(offset, _)| offset).collect()
}

/// What `describe_topic` says of partition 0.
pub(crate) fn describe(engine: &Engine, topic: &str) -> PartitionDescription {
    engine.admin().describe_topic(topic).unwrap().partitions.swap_remove(0)
}

/// Base offsets of a partition's segments, by the names of its `.log` files.
pub(crate) fn bases(world: &World, partition: &str) -> Vec<i64> {
    let names = world.ls(partition);
    names.iter().filter_map(|name| name.strip_suffix(".log")).map(|base| base.parse().unwrap()).collect()
}

/// The batches of a `.log` file, by their headers.
pub(crate) fn batches(log: &[u8]) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    let mut rest = log;
    while !rest.is_empty() {
        let header = BatchHeader::check(rest).unwrap();
        rest = &rest[header.size..];
        headers.push(header);
    }
    headers
}

/// Expects an error of this kind, and says its sentence, which keeps to the rules for sentences.
pub(crate) fn refused<T: Debug>(result: Result<T>, code: ErrorCode) -> String {
    let error = result.expect_err("it must be refused");
    assert_eq!(error.code(), code, "{error}");
    let message = error.message();
    assert!(!message.is_empty() && !message.ends_with('.'), "'{message}' is no sentence of klog's");
    message.to_owned()
}

/// Expects all of these words in a message.
pub(crate) fn names(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "'{message}' does not name '{word}'");
    }
}
