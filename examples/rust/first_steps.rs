//! The first five minutes with klog: make a topic, send records, read them back.
//!
//! `cargo run -p klog --example first_steps -- data`, with the name of a directory, which it makes.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use klog::{Engine, ErrorCode, NewTopic, ProducerRecord, Start};

fn main() -> klog::Result<()> {
    let engine = Engine::open(std::env::args().nth(1).unwrap_or_else(|| "data".to_owned()))?;

    // A topic is a set of partitions; each is a log of records, numbered by their offset.
    let orders = NewTopic::named("orders").partitions(3).config("retention.ms", "604800000");
    match engine.admin().create_topic(&orders) {
        Err(error) if error.code() == ErrorCode::TopicAlreadyExists => {}
        made => drop(made?),
    }

    // Records of one key go to one partition, so they stay in order. `result` waits until the record is on the disk.
    let producer = engine.producer()?;
    let delivery = producer.send("orders", Some(b"customer-7"), Some(b"2 pounds of tea"))?;
    let sent = delivery.result()?;
    println!("on the disk: partition {}, offset {}", sent.partition, sent.offset);

    // Nobody waits for each of these, so they share batches; `flush` waits for all of them.
    for number in 0..100 {
        let (key, value) = (format!("customer-{}", number % 10), format!("order {number}"));
        producer.send_record(&ProducerRecord {
            topic: "orders",
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[("source", Some(b"shop"))],
            ..ProducerRecord::default()
        })?;
    }
    producer.flush()?;

    // Everything that is there now, from the first record of each partition to its last.
    let mut consumer = engine.consumer()?;
    consumer.assign_topics(&["orders"], Start::Earliest)?;
    consumer.read_until_now();
    let mut records = 0;
    while !consumer.is_finished() {
        let batch = consumer.poll(Duration::from_secs(1))?;
        records += batch.len();
    }
    println!("{records} records");

    // What went wrong has a code, and a sentence that says what to do.
    if let Err(error) = engine.admin().describe_topic("order") {
        println!("refused: {}", error.message());
    }
    engine.close()
}
