//! Two engines on one directory, which see each other as processes do: files, locks and memory are all they share.

mod appending;
mod following;
mod foreign;
mod leaving;
mod memory;
mod seen;
mod waiting;

use klog::{ConfigResource, Engine, NewTopic, ProducerRecord, Result};

use crate::steps::producer;
use crate::world::World;

/// Two engines on a directory that is new.
fn two(world: &World) -> (Engine, Engine) {
    (world.open(), world.open())
}

/// Both ways round: what the one does is seen by the other.
fn pairs<'a>(a: &'a Engine, b: &'a Engine) -> [(&'a Engine, &'a Engine); 2] {
    [(a, b), (b, a)]
}

/// Sends to a partition and waits until it is acknowledged; the offset.
fn send_to(engine: &Engine, topic: &str, partition: i32, value: &str) -> Result<i64> {
    let record = ProducerRecord {
        topic,
        partition: Some(partition),
        value: Some(value.as_bytes()),
        ..ProducerRecord::default()
    };
    Ok(producer(engine, &[]).send_record(&record)?.result()?.offset)
}

fn create_with(engine: &Engine, topic: &str, partitions: i32) {
    engine.admin().create_topic(&NewTopic::named(topic).partitions(partitions)).unwrap();
}

fn alter(engine: &Engine, topic: &str, name: &str, value: &str) {
    let changes = [(name.to_owned(), Some(value.to_owned()))].into();
    engine.admin().alter_configs(&ConfigResource::Topic(topic.to_owned()), &changes).unwrap();
}
