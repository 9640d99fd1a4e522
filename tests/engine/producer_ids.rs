//! Batches that carry a producer id: sent twice, with a gap, by an older epoch.

use klog::record::{BatchBuilder, BatchOptions};
use klog::types::ProducerId;
use klog::{Engine, ErrorCode, Result, TimestampMs};

use crate::steps::{batches, create, offsets, producer, refused};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_batch_that_is_sent_twice_is_stored_once,
    the_last_five_batches_are_known,
    a_gap_in_the_sequence_is_refused,
    an_older_epoch_is_fenced,
    a_newer_epoch_begins_at_zero,
    the_sequence_goes_on_at_zero_behind_the_greatest,
    a_producer_nobody_knows_may_begin_anywhere,
    producers_do_not_disturb_each_other,
    after_an_orderly_end_the_last_batch_is_known,
    the_fields_of_the_producer_stay_in_the_batch,
);

/// Appends a batch of `count` records of producer `id`, and says its first offset.
fn append(engine: &Engine, (id, epoch): (i64, i16), base_sequence: i32, count: i32) -> Result<i64> {
    let mut builder = BatchBuilder::with_capacity(1000);
    for number in 0..count {
        builder.push(TimestampMs(NOW), None, Some(format!("{id} {epoch} {base_sequence} {number}").as_bytes()), &[]);
    }
    let options =
        BatchOptions { producer_id: ProducerId(id), producer_epoch: epoch, base_sequence, ..BatchOptions::default() };
    let batch = builder.finish(&options).unwrap();
    producer(engine, &[]).append_batch("t", 0, &batch).map(|sent| sent.offset)
}

fn open(world: &World) -> Engine {
    let engine = world.open();
    create(&engine, "t", &[]);
    engine
}

const ME: (i64, i16) = (7, 3);

fn a_batch_that_is_sent_twice_is_stored_once(world: &World) {
    let engine = open(world);
    assert_eq!(append(&engine, ME, 0, 3).unwrap(), 0);
    assert_eq!(append(&engine, ME, 3, 2).unwrap(), 3);
    let before = world.contents();
    assert_eq!(append(&engine, ME, 0, 3).unwrap(), 0, "the answer is that of the first time");
    assert_eq!(append(&engine, ME, 3, 2).unwrap(), 3);
    assert_eq!(world.contents(), before);
    assert_eq!(offsets(&engine, "t"), [0, 1, 2, 3, 4]);
}

fn the_last_five_batches_are_known(world: &World) {
    let engine = open(world);
    for sequence in 0..6 {
        append(&engine, ME, sequence, 1).unwrap();
    }
    for sequence in 1..6 {
        assert_eq!(append(&engine, ME, sequence, 1).unwrap(), i64::from(sequence));
    }
    refused(append(&engine, ME, 0, 1), ErrorCode::OutOfOrderSequenceNumber);
    refused(append(&engine, ME, 5, 2), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(offsets(&engine, "t").len(), 6);
}

fn a_gap_in_the_sequence_is_refused(world: &World) {
    let engine = open(world);
    append(&engine, ME, 0, 3).unwrap();
    for sequence in [4, 100, 2, 1] {
        refused(append(&engine, ME, sequence, 1), ErrorCode::OutOfOrderSequenceNumber);
    }
    assert_eq!(append(&engine, ME, 3, 1).unwrap(), 3);
    assert_eq!(offsets(&engine, "t"), [0, 1, 2, 3]);
}

fn an_older_epoch_is_fenced(world: &World) {
    let engine = open(world);
    append(&engine, ME, 0, 1).unwrap();
    append(&engine, (7, 4), 0, 1).unwrap();
    for sequence in [0, 1, 2] {
        refused(append(&engine, ME, sequence, 1), ErrorCode::InvalidProducerEpoch);
    }
    assert_eq!(append(&engine, (7, 4), 1, 1).unwrap(), 2);
}

fn a_newer_epoch_begins_at_zero(world: &World) {
    let engine = open(world);
    append(&engine, ME, 0, 5).unwrap();
    for sequence in [5, 1] {
        refused(append(&engine, (7, 4), sequence, 1), ErrorCode::OutOfOrderSequenceNumber);
    }
    assert_eq!(append(&engine, ME, 5, 1).unwrap(), 5, "what was refused changed no epoch");
    assert_eq!(append(&engine, (7, 9), 0, 1).unwrap(), 6);
}

fn the_sequence_goes_on_at_zero_behind_the_greatest(world: &World) {
    let engine = open(world);
    append(&engine, ME, i32::MAX - 1, 2).unwrap();
    assert_eq!(append(&engine, ME, 0, 1).unwrap(), 2);
    assert_eq!(append(&engine, ME, 0, 1).unwrap(), 2, "sent twice");
    // And within a batch.
    append(&engine, (8, 0), i32::MAX, 3).unwrap();
    assert_eq!(append(&engine, (8, 0), 2, 1).unwrap(), 6);
}

fn a_producer_nobody_knows_may_begin_anywhere(world: &World) {
    let engine = open(world);
    assert_eq!(append(&engine, ME, 4711, 1).unwrap(), 0);
    assert_eq!(append(&engine, ME, 4712, 1).unwrap(), 1);
}

fn producers_do_not_disturb_each_other(world: &World) {
    let engine = open(world);
    for sequence in 0..3 {
        for id in 0..10 {
            append(&engine, (id, 0), sequence, 1).unwrap();
        }
        crate::steps::send(&engine, "t", "of nobody");
    }
    assert_eq!(append(&engine, (0, 0), 2, 1).unwrap(), 22);
    assert_eq!(offsets(&engine, "t").len(), 33);
}

fn after_an_orderly_end_the_last_batch_is_known(world: &World) {
    let engine = open(world);
    for sequence in 0..3 {
        append(&engine, ME, sequence, 1).unwrap();
    }
    engine.close().unwrap();
    assert!(world.ls("t-0").contains(&"00000000000000000003.snapshot".to_owned()), "{:?}", world.ls("t-0"));
    let engine = world.open();
    assert_eq!(append(&engine, ME, 2, 1).unwrap(), 2, "sent twice");
    refused(append(&engine, ME, 4, 1), ErrorCode::OutOfOrderSequenceNumber);
    refused(append(&engine, (7, 2), 0, 1), ErrorCode::InvalidProducerEpoch);
    assert_eq!(append(&engine, ME, 3, 1).unwrap(), 3);
}

#[test]
fn after_a_death_the_producers_are_known_from_the_log() {
    let world = World::simulated();
    let engine = open(&world);
    for sequence in 0..7 {
        append(&engine, ME, sequence, 1).unwrap();
    }
    let left = world.simulated_disk().unwrap().duplicate();
    let sys = klog::sys::Sys::simulated(left, world.clock.clone(), 2);
    let engine = world.options().system(sys).open(&world.dir).unwrap();
    for sequence in 2..7 {
        assert_eq!(append(&engine, ME, sequence, 1).unwrap(), i64::from(sequence), "sent twice");
    }
    refused(append(&engine, ME, 8, 1), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(append(&engine, ME, 7, 1).unwrap(), 7);
}

fn the_fields_of_the_producer_stay_in_the_batch(world: &World) {
    let engine = open(world);
    append(&engine, (i64::MAX, 32766), 12, 2).unwrap();
    let stored = batches(&world.bytes("t-0/00000000000000000000.log"));
    let batch = &stored[0];
    assert_eq!((batch.producer_id.0, batch.producer_epoch, batch.base_sequence), (i64::MAX, 32766, 12));
}

#[test]
fn what_no_client_may_send_is_refused() {
    let world = World::simulated();
    let engine = open(&world);
    let good = |options: &BatchOptions| {
        let mut builder = BatchBuilder::with_capacity(100);
        builder.push(TimestampMs(NOW), None, Some(b"v"), &[]);
        builder.finish(options).unwrap()
    };
    let before = world.contents();
    let producer = producer(&engine, &[]);
    let control = good(&BatchOptions { is_control: true, ..BatchOptions::default() });
    refused(producer.append_batch("t", 0, &control), ErrorCode::InvalidRecord);
    let elsewhere = good(&BatchOptions { base_offset: klog::types::Offset(1), ..BatchOptions::default() });
    refused(producer.append_batch("t", 0, &elsewhere), ErrorCode::InvalidRecord);
    let unnumbered = good(&BatchOptions { producer_id: ProducerId(7), producer_epoch: 0, ..BatchOptions::default() });
    refused(producer.append_batch("t", 0, &unnumbered), ErrorCode::InvalidRecord);
    let mut flipped = good(&BatchOptions::default());
    *flipped.last_mut().unwrap() ^= 1;
    refused(producer.append_batch("t", 0, &flipped), ErrorCode::CorruptMessage);
    let two = [good(&BatchOptions::default()), good(&BatchOptions::default())].concat();
    refused(producer.append_batch("t", 0, &two), ErrorCode::InvalidRecord);
    refused(producer.append_batch("t", 1, &good(&BatchOptions::default())), ErrorCode::UnknownTopicOrPartition);
    assert!(producer.append_batch("t", 0, &[]).is_err(), "no batch at all");
    let mut transactional =
        BatchOptions { is_transactional: true, producer_id: ProducerId(7), ..BatchOptions::default() };
    transactional.producer_epoch = 0;
    transactional.base_sequence = 0;
    refused(producer.append_batch("t", 0, &good(&transactional)), ErrorCode::InvalidTxnState);
    assert_eq!(world.contents(), before);
}
