//! Readers that stay while writers come and go.

use std::time::Duration;

use klog::sys::Disk;
use klog::{Consumer, Engine, NewTopic, Sharing, Start};

use crate::steps::send;
use crate::world::{World, on_both_disks};

on_both_disks!(
    a_reader_sees_what_a_writer_left_that_is_gone,
    a_reader_sees_what_came_in_an_opening_that_it_never_looked_at,
    a_reader_takes_no_partition_for_another_in_the_next_opening,
    a_reader_that_came_before_any_writer_follows_the_first,
    a_reader_learns_of_topics_and_partitions_that_others_make,
    whoever_is_attached_is_found_by_readers_and_writers,
);

fn create(world: &World, topics: &[&str]) {
    let engine = world.open();
    for topic in topics {
        engine.admin().create_topic(&NewTopic::named(*topic)).unwrap();
    }
    engine.close().unwrap();
}

/// Opens the directory, sends, closes it.
fn visit(world: &World, records: &[(&str, &str)]) {
    let engine = world.open();
    for (topic, value) in records {
        send(&engine, topic, value);
    }
    engine.close().unwrap();
}

fn consumer(reader: &Engine, topics: &[&str]) -> Consumer {
    let mut consumer = reader.consumer().unwrap();
    consumer.assign_topics(topics, Start::Earliest).unwrap();
    consumer
}

/// Everything that there is to read now, as `topic value`.
fn rest(consumer: &mut Consumer) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        if batch.is_empty() {
            return found;
        }
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
        found.extend(batch.iter().map(|record| format!("{} {}", batch.topic(), text(record.value()))));
    }
}

fn a_reader_sees_what_a_writer_left_that_is_gone(world: &World) {
    create(world, &["t"]);
    let reader = world.open_for_reading();
    let mut consumer = consumer(&reader, &["t"]);
    assert_eq!(rest(&mut consumer), [""; 0]);
    visit(world, &[("t", "one")]);
    assert_eq!(rest(&mut consumer), ["t one"]);
    visit(world, &[("t", "two"), ("t", "three")]);
    assert_eq!(rest(&mut consumer), ["t two", "t three"]);
}

fn a_reader_sees_what_came_in_an_opening_that_it_never_looked_at(world: &World) {
    create(world, &["a", "b"]);
    let reader = world.open_for_reading();
    let mut consumer = consumer(&reader, &["a", "b"]);
    visit(world, &[("a", "one")]);
    assert_eq!(rest(&mut consumer), ["a one"]);
    visit(world, &[("a", "two")]);
    visit(world, &[("b", "three")]); // and the memory speaks of `b` alone
    let mut found = rest(&mut consumer);
    found.sort();
    assert_eq!(found, ["a two", "b three"]);
}

fn a_reader_takes_no_partition_for_another_in_the_next_opening(world: &World) {
    create(world, &["a", "b"]);
    let reader = world.open_for_reading();
    let mut consumer = consumer(&reader, &["a", "b"]);
    visit(world, &[("a", "one"), ("b", "one"), ("b", "two")]);
    assert_eq!(rest(&mut consumer).len(), 3);
    // The same in the other order: each block is where the other was.
    visit(world, &[("b", "three"), ("a", "two")]);
    let mut found = rest(&mut consumer);
    found.sort();
    assert_eq!(found, ["a two", "b three"]);
    let end = |topic: &str| reader.admin().describe_topic(topic).unwrap().partitions[0].high_watermark;
    assert_eq!([end("a"), end("b")], [2, 3]);
}

fn a_reader_that_came_before_any_writer_follows_the_first(world: &World) {
    create(world, &["t"]);
    // As a broker leaves it, or a copy.
    for name in [".klog.shm", ".klog.lck", ".lock"] {
        let _ = world.sys.disk.remove_file(&world.dir.join(name)); // where there are no files, nobody left is remembered
    }
    let reader = world.open_for_reading();
    let mut consumer = consumer(&reader, &["t"]);
    assert_eq!(rest(&mut consumer), [""; 0]);
    let writer = world.open();
    send(&writer, "t", "one");
    assert_eq!(rest(&mut consumer), ["t one"]);
    writer.close().unwrap();
}

fn a_reader_learns_of_topics_and_partitions_that_others_make(world: &World) {
    create(world, &["t"]);
    let reader = world.open_for_reading();
    let names = || reader.admin().list_topics().unwrap().into_iter().map(|topic| topic.name).collect::<Vec<_>>();
    let mut consumer = consumer(&reader, &["t"]);
    let writer = world.open();
    writer.admin().create_topic(&NewTopic::named("u")).unwrap();
    assert_eq!(names(), ["t", "u"]);
    writer.admin().add_partitions("t", 2).unwrap();
    let to_second =
        klog::ProducerRecord { topic: "t", partition: Some(1), value: Some(b"one"), ..klog::ProducerRecord::default() };
    writer.producer().unwrap().send_record(&to_second).unwrap().result().unwrap();
    assert_eq!(rest(&mut consumer), ["t one"]);
    writer.admin().delete_topic("u").unwrap();
    writer.close().unwrap();
    assert_eq!(names(), ["t"]);
}

fn whoever_is_attached_is_found_by_readers_and_writers(world: &World) {
    create(world, &["t"]);
    let reader = world.open_for_reading();
    assert_eq!(reader.admin().metrics().unwrap(), klog::Metrics { since_ms: -1, ..klog::Metrics::default() });
    let (first, second) = (world.open(), world.options().program("second").open(&world.dir).unwrap());
    send(&first, "t", "one");
    for engine in [&reader, &first, &second] {
        let attached = engine.admin().attached().unwrap();
        assert_eq!(attached.sharing, Sharing::Shared);
        assert_eq!(
            attached.handles.iter().map(|handle| (handle.slot, handle.is_dead)).collect::<Vec<_>>(),
            [(0, false), (1, false)]
        );
        assert_eq!(attached.handles[1].program, "second");
        let metrics = engine.admin().metrics().unwrap();
        assert_eq!((metrics.attached, metrics.attachments, metrics.deaths), (2, 2, 0));
        let found = metrics.partitions.iter().find(|found| found.partition.topic == "t").unwrap();
        assert_eq!(found.counts.appends, 1);
        let row = metrics
            .rows()
            .into_iter()
            .find(|row| row.name == "appends" && row.partition.as_ref() == Some(&found.partition));
        assert_eq!(row.unwrap().value, 1);
    }
    first.close().unwrap();
    assert_eq!(reader.admin().attached().unwrap().handles.len(), 1);
    second.close().unwrap();
    assert_eq!(reader.admin().attached().unwrap().sharing, Sharing::Nobody);
}
