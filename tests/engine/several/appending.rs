//! Two who append to one partition.

use std::time::Duration;

use klog::record::{BatchBuilder, BatchOptions};
use klog::types::ProducerId;
use klog::{Engine, ErrorCode, Result, Start, TimestampMs};

use super::two;
use crate::steps::{
    bases, batches, consumer_of, create, describe, drain, offsets, producer, read, refused, send, send_at, send_batch,
};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    appends_of_two_lie_one_behind_the_other,
    what_one_stored_is_a_duplicate_for_the_other,
    a_gap_is_a_gap_for_both,
    a_duplicate_is_known_behind_segments_that_the_other_deleted,
    one_goes_on_in_the_segment_that_the_other_began,
    one_goes_on_in_the_empty_segment_that_retention_of_the_other_began,
    one_goes_on_where_the_other_deleted_everything_that_it_knew,
    a_reader_goes_on_over_rolls_and_deletions_of_the_other,
    a_reader_never_finds_a_hole_whatever_the_other_does,
    written_records_are_seen_by_both_at_once,
    a_flush_of_one_makes_what_the_other_wrote_durable,
    both_may_let_old_segments_go,
    both_append_where_room_is_made_in_advance,
);

const TIME: i64 = NOW - 10_000_000;
const SEGMENTS: [(&str, &str); 2] = [("segment.ms", "1000"), ("file.delete.delay.ms", "0")];

fn appends_of_two_lie_one_behind_the_other(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    let mut expected = Vec::new();
    for number in 0..40_i64 {
        let engine = if (number / 3) % 2 == 0 { &a } else { &b };
        let value = format!("{number}");
        let next = expected.len() as i64;
        if number % 7 == 3 {
            send_batch(engine, "t", &[&value, "more", "and more"], &[]);
            expected.extend([value.clone(), "more".into(), "and more".into()]);
        } else {
            assert_eq!(send(engine, "t", &value), next);
            expected.push(value);
        }
    }
    let expected: Vec<_> = expected.into_iter().enumerate().map(|(at, value)| (at as i64, value)).collect();
    assert_eq!(read(&a, "t"), expected);
    assert_eq!(read(&b, "t"), expected);
    let stored = batches(&world.bytes("t-0/00000000000000000000.log"));
    assert_eq!(stored.len(), 40);
}

/// Appends a batch of one record of producer `id`, and says its offset.
fn append(engine: &Engine, id: i64, sequence: i32) -> Result<i64> {
    append_at(engine, id, sequence, TIME)
}

fn append_at(engine: &Engine, id: i64, sequence: i32, time: i64) -> Result<i64> {
    let mut builder = BatchBuilder::with_capacity(1000);
    builder.push(TimestampMs(time), None, Some(format!("{id} {sequence}").as_bytes()), &[]);
    let options = BatchOptions {
        producer_id: ProducerId(id),
        base_sequence: sequence,
        producer_epoch: 0,
        ..BatchOptions::default()
    };
    let batch = builder.finish(&options).unwrap();
    producer(engine, &[]).append_batch("t", 0, &batch).map(|sent| sent.offset)
}

fn what_one_stored_is_a_duplicate_for_the_other(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    for sequence in 0..10_i32 {
        let (one, other) = if sequence % 2 == 0 { (&a, &b) } else { (&b, &a) };
        assert_eq!(append(one, 7, sequence).unwrap(), i64::from(sequence));
        assert_eq!(append(other, 7, sequence).unwrap(), i64::from(sequence), "the answer is that of the first time");
        if sequence > 0 {
            assert_eq!(append(other, 7, sequence - 1).unwrap(), i64::from(sequence - 1));
        }
    }
    assert_eq!(offsets(&a, "t").len(), 10);
}

fn a_gap_is_a_gap_for_both(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    append(&a, 7, 0).unwrap();
    refused(append(&b, 7, 2), ErrorCode::OutOfOrderSequenceNumber);
    append(&b, 7, 1).unwrap();
    refused(append(&a, 7, 3), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(append(&a, 7, 2).unwrap(), 2);
}

/// One who slept through two segments, and finds neither of them, must know of the producers in them all the same.
fn a_duplicate_is_known_behind_segments_that_the_other_deleted(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &SEGMENTS);
    assert_eq!(append_at(&a, 20, 0, TIME).unwrap(), 0);
    // Each by a producer of its own, in a segment of its own.
    for number in 1..5 {
        assert_eq!(append_at(&b, 20 + number, 0, TIME + 5000 * number).unwrap(), number);
    }
    b.admin().delete_records("t", 0, Some(3)).unwrap();
    assert_eq!(b.admin().delete_old_segments().unwrap(), 3);
    assert_eq!(bases(world, "t-0"), [3, 4]);
    for number in 0..5 {
        let known = append_at(&a, 20 + number, 0, TIME + 20_000);
        assert_eq!(known.unwrap(), number, "the batch of producer {number} is stored");
    }
    assert_eq!(append_at(&a, 21, 1, TIME + 20_000).unwrap(), 5);
    assert_eq!(append_at(&b, 21, 1, TIME + 20_000).unwrap(), 5);
    assert_eq!(offsets(&b, "t"), [3, 4, 5]);
}

fn one_goes_on_in_the_segment_that_the_other_began(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &SEGMENTS);
    for number in 0..8 {
        let engine = if number % 2 == 0 { &a } else { &b };
        // A roll at every other record, by each of them in turn.
        let time = TIME + (number + 1) / 2 * 5000 + number;
        assert_eq!(send_at(engine, "t", time, format!("{number}").as_bytes()).unwrap(), number);
    }
    assert_eq!(bases(world, "t-0"), [0, 1, 3, 5, 7]);
    for engine in [&a, &b] {
        assert_eq!(offsets(engine, "t"), (0..8).collect::<Vec<_>>());
        assert_eq!(engine.admin().verify(None).unwrap(), klog::Report::default());
    }
    // The time index of each segment has its last record, whoever ended it.
    for (base, last) in [(0, 0), (1, 2), (3, 4), (5, 6)] {
        let index = world.bytes(&format!("t-0/{base:020}.timeindex"));
        let entry = index.rchunks_exact(12).next().unwrap();
        assert_eq!(i32::from_be_bytes(entry[8..].try_into().unwrap()), last - base, "of segment {base}");
    }
}

/// Retention may delete the last segment as well, and begins an empty one behind it: there is nothing to catch up with, and
/// appends go elsewhere all the same.
fn one_goes_on_in_the_empty_segment_that_retention_of_the_other_began(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("retention.ms", "1000"), ("file.delete.delay.ms", "0")]);
    assert_eq!(send_at(&a, "t", TIME, b"old").unwrap(), 0);
    assert_eq!(send_at(&b, "t", TIME, b"old").unwrap(), 1);
    assert_eq!(b.admin().delete_old_segments().unwrap(), 1);
    assert_eq!(bases(world, "t-0"), [2]);
    assert_eq!(send(&a, "t", "new"), 2);
    assert_eq!(send(&b, "t", "newer"), 3);
    for engine in [&a, &b] {
        assert_eq!(read(engine, "t"), [(2, "new".to_owned()), (3, "newer".to_owned())]);
    }
    assert_eq!(batches(&world.bytes("t-0/00000000000000000002.log")).len(), 2);
    a.close().unwrap();
    b.close().unwrap();
    assert_eq!(offsets(&world.open(), "t"), [2, 3]);
}

fn one_goes_on_where_the_other_deleted_everything_that_it_knew(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &SEGMENTS);
    send_at(&a, "t", TIME, b"0").unwrap();
    for number in 1..5 {
        send_at(&b, "t", TIME + number * 5000, b"later").unwrap();
    }
    b.admin().delete_records("t", 0, Some(4)).unwrap();
    b.admin().delete_old_segments().unwrap();
    world.advance(1);
    b.admin().list_topics().unwrap();
    b.admin().delete_old_segments().unwrap();
    assert_eq!(send_at(&a, "t", TIME + 20_000, b"a").unwrap(), 5);
    assert_eq!(offsets(&a, "t"), [4, 5]);
    assert_eq!(offsets(&b, "t"), [4, 5]);
}

fn a_reader_goes_on_over_rolls_and_deletions_of_the_other(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &SEGMENTS);
    let mut reading = consumer_of(&b, "t", Start::Earliest);
    let mut time = TIME;
    let mut next = 0;
    for round in 0..6 {
        for _ in 0..3 {
            time += 5000;
            send_at(&a, "t", time, format!("{next}").as_bytes()).unwrap();
            next += 1;
        }
        // It reads one of three, and what was deleted before it came there is skipped.
        let batch = reading.poll_records(Duration::ZERO, 1).unwrap();
        let start = describe(&b, "t").log_start_offset;
        for record in &batch {
            assert!(record.offset() >= start, "round {round}");
            assert_eq!(record.value(), Some(record.offset().to_string().as_bytes()), "round {round}");
        }
        assert!(!batch.is_empty(), "round {round}");
        a.admin().delete_records("t", 0, Some(next - 2)).unwrap();
        a.admin().delete_old_segments().unwrap();
        assert_eq!(bases(world, "t-0"), [next - 2, next - 1]);
    }
    assert_eq!(drain(&mut reading), [(next - 2, (next - 2).to_string()), (next - 1, (next - 1).to_string())]);
    // One that is not to be moved is told.
    let mut strict = crate::steps::consumer(&b, &[("auto.offset.reset", "none")]);
    strict.assign("t", 0, Start::Offset(next - 2)).unwrap();
    send_at(&a, "t", time + 5000, b"last").unwrap();
    a.admin().delete_records("t", 0, Some(next)).unwrap();
    a.admin().delete_old_segments().unwrap();
    refused(strict.poll(Duration::ZERO), ErrorCode::OffsetOutOfRange);
}

/// Steps of both by chance, and a reader of each that must find every record once, in order, or the new log start.
fn a_reader_never_finds_a_hole_whatever_the_other_does(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("segment.ms", "1000"), ("file.delete.delay.ms", "0"), ("index.interval.bytes", "0")]);
    let seed = klog_tests::seed();
    println!("KLOG_TEST_SEED={seed}");
    let random = klog::sys::SimRandom::new(seed);
    let engines = [&a, &b];
    let mut readers = engines.map(|engine| (consumer_of(engine, "t", Start::Earliest), 0));
    let (mut time, mut next) = (TIME, 0);
    let steps = if world.simulated_disk().is_some() { 1500 } else { 300 };
    for step in 0..steps {
        let engine = engines[random.next() as usize % 2];
        match random.next() % 10 {
            0..=4 => {
                time += if random.next().is_multiple_of(4) { 5000 } else { 1 };
                assert_eq!(send_at(engine, "t", time, next.to_string().as_bytes()).unwrap(), next, "step {step}");
                next += 1;
            }
            5 => {
                let start = describe(engine, "t").log_start_offset;
                let before = start + random.next() as i64 % 3;
                let before = before.clamp(start, next);
                assert_eq!(engine.admin().delete_records("t", 0, Some(before)).unwrap(), before, "step {step}");
            }
            6 => drop(engine.admin().delete_old_segments().unwrap()),
            7 => {
                let description = describe(engine, "t");
                assert_eq!((description.log_end_offset, description.high_watermark), (next, next), "step {step}");
                world.advance(random.next() % 300);
            }
            _ => {
                let (reader, expected) = &mut readers[random.next() as usize % 2];
                let start = describe(engine, "t").log_start_offset;
                let batch = reader.poll_records(Duration::ZERO, 1 + random.next() as usize % 4).unwrap();
                for record in &batch {
                    let known = record.offset() == *expected || (*expected < start && record.offset() == start);
                    assert!(known, "step {step}: offset {} came after {expected}, {start}", record.offset());
                    assert_eq!(record.value(), Some(record.offset().to_string().as_bytes()), "step {step}");
                    *expected = record.offset() + 1;
                }
                assert!(!batch.is_empty() || *expected >= next || start >= next, "step {step}: {expected} of {next}");
            }
        }
    }
    let start = describe(&a, "t").log_start_offset;
    for engine in engines {
        assert_eq!(offsets(engine, "t"), (start..next).collect::<Vec<_>>());
        engine.close().unwrap();
    }
    assert_eq!(offsets(&world.open(), "t"), (start..next).collect::<Vec<_>>());
}

fn written_records_are_seen_by_both_at_once(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("klog.durability", "os")]);
    let mut readers = [consumer_of(&a, "t", Start::Earliest), consumer_of(&b, "t", Start::Earliest)];
    for number in 0..6 {
        send(if number % 2 == 0 { &a } else { &b }, "t", &number.to_string());
        for reader in &mut readers {
            assert_eq!(drain(reader), [(number, number.to_string())]);
        }
    }
}

fn a_flush_of_one_makes_what_the_other_wrote_durable(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[]);
    let lazy = producer(&a, &[("acks", "1")]);
    lazy.send("t", None, Some(b"lazy")).unwrap().result().unwrap();
    assert_eq!(describe(&b, "t").high_watermark, 0, "what is not durable is not visible");
    assert_eq!(send(&b, "t", "durable"), 1);
    assert_eq!(describe(&a, "t").high_watermark, 2);
    lazy.send("t", None, Some(b"lazy too")).unwrap().result().unwrap();
    b.flush().unwrap();
    assert_eq!(describe(&a, "t").high_watermark, 3);
    assert_eq!(offsets(&a, "t"), [0, 1, 2]);
}

fn both_may_let_old_segments_go(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[&SEGMENTS[..], &[("retention.bytes", "200")]].concat());
    let mut next = 0;
    for round in 0..8 {
        let (one, other) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        for engine in [one, other, one] {
            assert_eq!(send_at(engine, "t", TIME + next * 5000, b"0123456789").unwrap(), next);
            next += 1;
        }
        one.admin().delete_old_segments().unwrap();
        assert_eq!(other.admin().delete_old_segments().unwrap(), 0, "the other has let go of them");
        let start = describe(one, "t").log_start_offset;
        assert_eq!(bases(world, "t-0").first(), Some(&start));
        for engine in [one, other] {
            assert_eq!(offsets(engine, "t"), (start..next).collect::<Vec<_>>());
        }
    }
    assert!(!world.list("t-0").iter().any(|name| name.ends_with(".deleted")), "files go after the delay");
}

/// The room that one makes in advance is no end of the log for the other.
fn both_append_where_room_is_made_in_advance(world: &World) {
    let (a, b) = two(world);
    create(&a, "t", &[("preallocate", "true"), ("segment.bytes", "1048576"), ("segment.ms", "1000")]);
    let mut expected: Vec<(i64, String)> = Vec::new();
    let append = |engine: &Engine, expected: &mut Vec<(i64, String)>, round: i64| {
        let value = format!("{}", expected.len());
        // Each round begins a segment.
        let offset = send_at(engine, "t", TIME + round * 5000, value.as_bytes()).unwrap();
        expected.push((offset, value));
    };
    for round in 0..6 {
        append(&a, &mut expected, round);
        append(&b, &mut expected, round);
        // One who comes later, and goes on with it.
        let late = world.open();
        assert_eq!(read(&late, "t"), expected);
        append(&late, &mut expected, round);
        late.close().unwrap();
    }
    assert_eq!(describe(&a, "t").log_end_offset, 18);
    for engine in [&a, &b] {
        assert_eq!(read(engine, "t"), expected);
        assert!(engine.admin().verify(None).unwrap().damage.is_empty());
    }
    a.close().unwrap();
    b.close().unwrap();
    assert_eq!(read(&world.open(), "t"), expected);
}
