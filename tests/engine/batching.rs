//! Batches: what goes into one, and when it is written.

use std::time::Duration;

use klog::sys::Clock;
use klog::{ErrorCode, NewTopic, ProducerRecord, Start};

use crate::steps::{batches, consumer, create, describe, drain, producer, read, refused, send, send_batch};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_batch_lingers_until_its_time_is_over,
    a_batch_that_someone_waits_for_does_not_linger,
    a_batch_is_written_when_it_is_full,
    a_record_larger_than_a_batch_goes_alone,
    records_that_wait_do_not_exceed_the_buffer,
    the_buffer_is_shared_by_partitions_and_given_back,
    flushing_writes_what_lingers,
    dropping_the_producer_writes_what_lingers,
    closing_the_engine_writes_what_lingers,
    flushing_tells_the_first_failure_that_nobody_was_told,
    a_failure_stays_with_its_batch,
);

fn a_batch_lingers_until_its_time_is_over(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let producer = producer(&engine, &[("linger.ms", "1000")]);
    let deliveries: Vec<_> = (0..3).map(|_| producer.send("t", None, Some(b"v")).unwrap()).collect();
    world.advance(999);
    assert_eq!(producer.pending().unwrap(), 3);
    assert!(deliveries.iter().all(|delivery| !delivery.is_done()));
    assert_eq!(describe(&engine, "t").log_end_offset, 0);
    world.advance(1);
    assert_eq!(producer.pending().unwrap(), 0);
    assert_eq!(describe(&engine, "t").log_end_offset, 3);
    assert_eq!(batches(&world.bytes("t-0/00000000000000000000.log")).len(), 1, "they went together");
}

fn a_batch_that_someone_waits_for_does_not_linger(world: &World) {
    let engine = world.open();
    let producer = producer(&engine, &[("linger.ms", "100000")]);
    let first = producer.send("t", None, Some(b"one")).unwrap();
    let second = producer.send("t", None, Some(b"two")).unwrap();
    assert!(!first.is_done() && !second.is_done());
    assert_eq!(second.result().unwrap().offset, 1);
    assert!(first.is_done(), "it was in the same batch");
    assert_eq!(world.clock.now().0, NOW, "no time went by");
    let third = producer.send("t", None, Some(b"three")).unwrap();
    assert_eq!(third.result_within(Duration::ZERO).map_err(|e| e.code()).map(|sent| sent.offset), Ok(2));
}

fn a_batch_is_written_when_it_is_full(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let producer = producer(&engine, &[("linger.ms", "100000"), ("batch.size", "1000")]);
    let mut last = None;
    for number in 0..100 {
        last = Some(producer.send("t", None, Some(format!("{number:0100}").as_bytes())).unwrap());
    }
    let written = describe(&engine, "t").log_end_offset;
    assert!((80..100).contains(&written), "all but the open batch are written: {written}");
    assert_eq!(producer.pending().unwrap() as i64, 100 - written);
    last.unwrap().result().unwrap();
    let stored = batches(&world.bytes("t-0/00000000000000000000.log"));
    assert!(stored.iter().all(|batch| batch.size <= 1000), "{stored:?}");
    assert!((12..=20).contains(&stored.len()), "{} batches", stored.len());
    let values: Vec<_> = read(&engine, "t").into_iter().map(|(_, value)| value.parse::<u32>().unwrap()).collect();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
}

fn a_record_larger_than_a_batch_goes_alone(world: &World) {
    let engine = world.open();
    let producer = producer(&engine, &[("linger.ms", "100000"), ("batch.size", "100")]);
    for size in [10, 500, 10, 500] {
        producer.send("t", None, Some(&vec![b'x'; size])).unwrap();
    }
    producer.flush().unwrap();
    let counts: Vec<_> =
        batches(&world.bytes("t-0/00000000000000000000.log")).iter().map(|batch| batch.records_count).collect();
    assert_eq!(counts, [1, 1, 1, 1]);
    assert_eq!(read(&engine, "t").iter().map(|(_, value)| value.len()).collect::<Vec<_>>(), [10, 500, 10, 500]);
}

fn records_that_wait_do_not_exceed_the_buffer(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[]);
    let producer = producer(&engine, &[("linger.ms", "100000"), ("buffer.memory", "2000")]);
    for _ in 0..200 {
        producer.send("t", None, Some(&[b'x'; 100])).unwrap();
        assert!(producer.pending().unwrap() <= 20, "{} records wait", producer.pending().unwrap());
    }
    producer.flush().unwrap();
    assert_eq!(describe(&engine, "t").log_end_offset, 200);
}

/// Batches count for more than they have yet: that must neither add up to more than there is, nor be lost.
fn the_buffer_is_shared_by_partitions_and_given_back(world: &World) {
    let engine = world.open();
    engine.admin().create_topic(&NewTopic::named("t").partitions(10)).unwrap();
    let producer = producer(&engine, &[("linger.ms", "100000"), ("buffer.memory", "100000")]);
    let value = [b'x'; 1000];
    let send = |index: i32| {
        let partition = Some(index % 10);
        let record = ProducerRecord { topic: "t", partition, value: Some(&value), ..ProducerRecord::default() };
        producer.send_record(&record).unwrap();
        producer.pending().unwrap()
    };
    for round in 0..20 {
        let most = (0..300).map(send).max().unwrap();
        assert!((80..=100).contains(&most), "{most} records waited in round {round}");
        producer.flush().unwrap();
        assert_eq!(producer.pending().unwrap(), 0);
    }
}

fn flushing_writes_what_lingers(world: &World) {
    let engine = world.open();
    let producer = producer(&engine, &[("linger.ms", "100000")]);
    let delivery = producer.send("t", None, Some(b"one")).unwrap();
    producer.flush().unwrap();
    assert!(delivery.is_done());
    assert_eq!(read(&engine, "t").len(), 1);
    producer.send("t", None, Some(b"two")).unwrap();
    engine.flush().unwrap();
    assert_eq!(read(&engine, "t").len(), 2);
    assert_eq!(producer.pending().unwrap(), 0);
}

fn dropping_the_producer_writes_what_lingers(world: &World) {
    let engine = world.open();
    let producer = producer(&engine, &[("linger.ms", "100000"), ("acks", "0")]);
    let clone = producer.clone();
    clone.send("t", None, Some(b"one")).unwrap();
    drop(clone);
    assert_eq!(describe(&engine, "t").log_end_offset, 0, "the producer is still there");
    drop(producer);
    assert_eq!(describe(&engine, "t").log_end_offset, 1);
}

fn closing_the_engine_writes_what_lingers(world: &World) {
    let engine = world.open();
    let producer = producer(&engine, &[("linger.ms", "100000")]);
    let delivery = producer.send("t", None, Some(b"one")).unwrap();
    engine.close().unwrap();
    assert_eq!(delivery.result().unwrap().offset, 0);
    assert_eq!(read(&world.open(), "t"), [(0, "one".to_owned())]);
}

fn flushing_tells_the_first_failure_that_nobody_was_told(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("max.message.bytes", "200")]);
    let producer = producer(&engine, &[("linger.ms", "100000")]);
    producer.send("t", None, Some(&[b'x'; 500])).unwrap();
    refused(producer.flush(), ErrorCode::MessageTooLarge);
    producer.flush().unwrap();
    let delivery = producer.send("t", None, Some(&[b'x'; 500])).unwrap();
    refused(delivery.result(), ErrorCode::MessageTooLarge);
    producer.flush().unwrap();
    assert_eq!(send(&engine, "t", "small"), 0);
}

fn a_failure_stays_with_its_batch(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("max.message.bytes", "200")]);
    let producer = producer(&engine, &[]);
    let deliveries = [10, 500, 20].map(|size| producer.send("t", None, Some(&vec![b'x'; size])).unwrap());
    let found = deliveries.map(|delivery| delivery.result().map(|sent| sent.offset).map_err(|e| e.code()));
    assert_eq!(found, [Ok(0), Err(ErrorCode::MessageTooLarge), Ok(1)]);
}

#[test]
fn everything_that_was_sent_through_one_batch_can_be_read_in_slices() {
    let world = World::simulated();
    let engine = world.open();
    let values: Vec<String> = (0..1200).map(|number| number.to_string()).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    send_batch(&engine, "t", &values, &[]);
    let mut slicing = consumer(&engine, &[("max.poll.records", "7")]);
    slicing.assign("t", 0, Start::Earliest).unwrap();
    let found = drain(&mut slicing);
    assert_eq!(found.len(), 1200);
    assert!(
        found
            .iter()
            .zip(&values)
            .enumerate()
            .all(|(at, ((offset, value), sent))| at as i64 == *offset && value == sent)
    );
}
