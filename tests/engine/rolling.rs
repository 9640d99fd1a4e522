//! When a segment ends and another begins.

use std::collections::BTreeSet;

use klog::sys::{AnyDisk, SimDisk, Sys};
use klog::{Engine, OpenOptions};

use crate::steps::{bases, batches, create, offsets, send, send_at};
use crate::world::{NOW, World, on_both_disks};

on_both_disks!(
    a_segment_ends_at_its_size,
    a_segment_ends_at_its_age_by_the_records_own_time,
    the_clock_alone_ends_no_segment,
    records_of_the_past_end_no_segment,
    after_opening_again_the_age_counts_from_the_first_batch,
    a_full_offset_index_ends_its_segment,
    a_full_time_index_ends_its_segment,
    a_segment_that_ended_is_complete,
    an_empty_segment_has_no_successor,
    a_preallocated_segment_is_cut_to_its_content,
);

/// A base in the past, so that record times may run on without being refused.
const PAST: i64 = NOW - 1_000_000_000;

fn a_segment_ends_at_its_size(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.bytes", "1048576")]);
    // Batches of exactly 262,144 bytes: four of them fill a segment to the last byte.
    let value = "x".repeat(262_144 - 61 - 11);
    for _ in 0..9 {
        send(&engine, "t", &value);
    }
    assert_eq!(bases(world, "t-0"), [0, 4, 8]);
    assert_eq!(world.bytes("t-0/00000000000000000000.log").len(), 1_048_576);
    assert_eq!(offsets(&engine, "t"), (0..9).collect::<Vec<_>>());
}

fn a_segment_ends_at_its_age_by_the_records_own_time(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1000")]);
    // Against the first record of the segment; not at the limit, above it.
    for (timestamp, segments) in [(0, 1), (999, 1), (1000, 1), (1001, 2), (2001, 2), (2002, 3), (100_000, 4)] {
        send_at(&engine, "t", PAST + timestamp, b"v").unwrap();
        assert_eq!(bases(world, "t-0").len(), segments, "at {timestamp}");
    }
    assert_eq!(bases(world, "t-0"), [0, 3, 5, 6]);
}

fn the_clock_alone_ends_no_segment(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1000"), ("retention.ms", "-1")]);
    send_at(&engine, "t", PAST, b"v").unwrap();
    world.advance(1_000_000);
    engine.admin().delete_old_segments().unwrap();
    engine.admin().list_topics().unwrap();
    send_at(&engine, "t", PAST + 1, b"v").unwrap();
    assert_eq!(bases(world, "t-0"), [0], "rolling goes by the records' time, and happens at appends");
}

fn records_of_the_past_end_no_segment(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1000")]);
    for timestamp in [PAST, PAST - 10_000, PAST - 100_000, PAST + 500] {
        send_at(&engine, "t", timestamp, b"v").unwrap();
    }
    assert_eq!(bases(world, "t-0"), [0]);
}

fn after_opening_again_the_age_counts_from_the_first_batch(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1000")]);
    send_at(&engine, "t", PAST, b"v").unwrap();
    send_at(&engine, "t", PAST + 900, b"v").unwrap();
    engine.close().unwrap();
    let engine = world.open();
    send_at(&engine, "t", PAST + 1000, b"v").unwrap();
    assert_eq!(bases(world, "t-0"), [0]);
    engine.close().unwrap();
    let engine = world.open();
    send_at(&engine, "t", PAST + 1001, b"v").unwrap();
    assert_eq!(bases(world, "t-0"), [0, 3]);
}

/// 48 bytes are 6 entries of the offset index and 4 of the time index, one of which is kept for the end. Every append but
/// the first of a segment gets an entry. With equal timestamps the time index stays at one.
fn a_full_offset_index_ends_its_segment(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.index.bytes", "48"), ("index.interval.bytes", "0")]);
    for _ in 0..16 {
        send_at(&engine, "t", PAST, b"v").unwrap();
    }
    assert_eq!(bases(world, "t-0"), [0, 7, 14]);
    assert_eq!(world.bytes("t-0/00000000000000000000.index").len(), 48);
    assert_eq!(offsets(&engine, "t"), (0..16).collect::<Vec<_>>());
}

fn a_full_time_index_ends_its_segment(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.index.bytes", "48"), ("index.interval.bytes", "0")]);
    for number in 0..10 {
        send_at(&engine, "t", PAST + number, b"v").unwrap();
    }
    assert_eq!(bases(world, "t-0"), [0, 4, 8]);
    assert_eq!(offsets(&engine, "t"), (0..10).collect::<Vec<_>>());
}

fn a_segment_that_ended_is_complete(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1000")]);
    for timestamp in [PAST, PAST + 500, PAST + 300, PAST + 5000] {
        send_at(&engine, "t", timestamp, b"v").unwrap();
    }
    let first = batches(&world.bytes("t-0/00000000000000000000.log"));
    assert_eq!(first.iter().map(|batch| batch.base_offset.0).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(batches(&world.bytes("t-0/00000000000000000003.log"))[0].base_offset.0, 3);
    assert_eq!(world.bytes("t-0/00000000000000000000.index"), b"", "three small appends have no entry");
    let greatest = [(PAST + 500).to_be_bytes().as_slice(), &1i32.to_be_bytes()].concat();
    assert_eq!(world.bytes("t-0/00000000000000000000.timeindex"), greatest, "the greatest time, and where it is");
    let empty = [0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0];
    assert_eq!(world.bytes("t-0/00000000000000000003.snapshot"), empty, "no producer is known at the new base");
}

fn an_empty_segment_has_no_successor(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("segment.ms", "1")]);
    send_at(&engine, "t", PAST, b"v").unwrap();
    send_at(&engine, "t", PAST + 10, b"v").unwrap();
    engine.admin().delete_records("t", 0, None).unwrap();
    engine.admin().delete_old_segments().unwrap();
    assert_eq!(bases(world, "t-0"), [1], "the last segment stays");
    send_at(&engine, "t", PAST + 100, b"v").unwrap();
    assert_eq!(bases(world, "t-0"), [1, 2]);
}

fn a_preallocated_segment_is_cut_to_its_content(world: &World) {
    let engine = world.open();
    create(&engine, "t", &[("preallocate", "true"), ("segment.bytes", "1048576"), ("segment.ms", "1000")]);
    send_at(&engine, "t", PAST, b"one").unwrap();
    send_at(&engine, "t", PAST + 5000, b"two").unwrap();
    send_at(&engine, "t", PAST + 5001, b"three").unwrap();
    assert_eq!(offsets(&engine, "t"), [0, 1, 2]);
    assert_eq!(batches(&world.bytes("t-0/00000000000000000000.log")).len(), 1, "cut when it ended");
    send_at(&engine, "t", PAST + 9000, b"four").unwrap();
    assert_eq!(batches(&world.bytes("t-0/00000000000000000001.log")).len(), 2, "cut when it ended");
    engine.close().unwrap();
    assert_eq!(batches(&world.bytes("t-0/00000000000000000003.log")).len(), 1, "cut when it was closed");
    assert_eq!(offsets(&world.open(), "t"), [0, 1, 2, 3]);
}

#[test]
fn a_log_of_preallocated_segments_survives_an_unclean_end_whole() {
    let world = World::simulated();
    let disk = world.simulated_disk().unwrap().for_another_process();
    let sys = Sys { disk: AnyDisk::Simulated(disk.clone()), ..world.sys.clone() };
    let engine = world.options().system(sys).open(&world.dir).unwrap();
    create(&engine, "t", &[("preallocate", "true"), ("segment.bytes", "1048576"), ("segment.ms", "1000")]);
    for age in [0, 5000, 10_000, 15_000] {
        send_at(&engine, "t", PAST + age, b"v").unwrap();
    }
    disk.kill();
    drop(engine);
    disk.bury();
    assert_eq!(offsets(&world.open(), "t"), [0, 1, 2, 3]);
}

/// The age at which the first segment of a topic with `segment.ms=1000` ends, in steps of 10 ms.
fn age_at_the_end(jitter_ms: &str, seed: u64) -> i64 {
    let clock = klog::sys::SimClock::new(klog::TimestampMs(NOW));
    let disk = SimDisk::new(clock.clone());
    let options = OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap();
    let engine: Engine = options.system(Sys::simulated(disk, clock, seed)).open("/data").unwrap();
    create(&engine, "t", &[("segment.ms", "1000"), ("segment.jitter.ms", jitter_ms), ("klog.durability", "os")]);
    let ages = (0..=101).map(|step| step * 10);
    let mut ending = ages.skip_while(|age| {
        send_at(&engine, "t", PAST + age, b"v").unwrap();
        crate::steps::describe(&engine, "t").segments == 1
    });
    ending.next().expect("it ends when segment.ms is over")
}

#[test]
fn a_jitter_ends_segments_earlier_and_not_all_at_once() {
    for (jitter_ms, earliest) in [("0", 1010), ("300", 710), ("1000", 10), ("999999999", 10)] {
        let ages: BTreeSet<i64> = (1..=20).map(|seed| age_at_the_end(jitter_ms, seed)).collect();
        println!("seeds 1 to 20, segment.jitter.ms={jitter_ms}: segments end at {ages:?}");
        assert!(ages.first().unwrap() >= &earliest, "{ages:?}");
        assert!(ages.last().unwrap() <= &1010, "{ages:?}");
        assert_eq!(ages.len() > 5, jitter_ms != "0", "{ages:?}");
    }
}
