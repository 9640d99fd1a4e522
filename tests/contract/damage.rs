//! Clause 6: bytes that went bad.

use std::ops::Range;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::Duration;

use klog::sys::{SimDisk, read_whole};
use klog::{Engine, ErrorCode, Producer, Start};

use crate::lab::{DIR, Lab, count, die, kept, open, producer, send, value};

fn log() -> PathBuf {
    PathBuf::from(DIR).join("t-0/00000000000000000000.log")
}

fn send_all(producer: &Producer, mut numbers: Range<usize>) {
    assert!(numbers.all(|number| send(producer, number).unwrap() == number as i64));
}

/// Where each of the batches begins, and the end.
fn places(disk: &SimDisk) -> Vec<usize> {
    let bytes = read_whole(disk, &log()).unwrap();
    let mut places = vec![0];
    while let Some(size) = bytes.get(places.last().unwrap() + 8..places.last().unwrap() + 12) {
        let size = u32::from_be_bytes(size.try_into().unwrap()) as usize + 12;
        places.push(places.last().unwrap() + size);
    }
    places
}

/// What can be read of `t`: offsets, and the offsets that were reported as damaged on the way.
fn read_over_damage(engine: &Engine) -> (Vec<i64>, Vec<(i64, i64)>) {
    let mut consumer = engine.consumer().unwrap();
    consumer.assign("t", 0, Start::Earliest).unwrap();
    let (mut offsets, mut damage) = (Vec::new(), Vec::new());
    loop {
        match consumer.poll(Duration::ZERO) {
            Ok(batch) if batch.is_empty() => return (offsets, damage),
            Ok(batch) => {
                for record in &batch {
                    assert_eq!(record.value().unwrap(), value(record.offset() as usize).as_bytes());
                    offsets.push(record.offset());
                }
            }
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::CorruptMessage, "{error}");
                let found = error.damage().unwrap();
                assert_eq!((&*found.topic, found.partition, &*found.file), ("t", 0, "t-0/00000000000000000000.log"));
                damage.push((found.first_offset, found.next_offset));
                assert!(damage.len() < 9, "reading does not get on: {damage:?}");
                assert!(consumer.seek_past(&error));
            }
        }
    }
}

/// A directory that was closed in order, with five records in batches of their own; a byte of the third is changed.
fn with_damage_at(within: usize) -> Lab {
    let lab = Lab::new(|engine| {
        let producer = producer(engine, &[]);
        send_all(&producer, 0..5);
    });
    let at = places(&lab.disk)[2] + within;
    let disk = lab.disk.duplicate();
    disk.tamper(&log(), |bytes| bytes[at] ^= 0x10);
    Lab::of(disk, lab.clock)
}

/// What is wrong with reading when the byte at `within` of the third batch is changed: before and after the death of the
/// process and, for some of the bytes, after a power cut.
fn check_damage_at(within: usize) {
    let expected = (vec![0, 1, 3, 4], vec![(2, 3)]);
    let lab = with_damage_at(within);
    let bytes = read_whole(&lab.disk, &log()).unwrap();
    let engine = lab.open();
    assert_eq!(read_over_damage(&engine), expected);
    let report = engine.admin().verify(Some("t")).unwrap();
    assert_eq!((report.damage.len(), report.cuts.len()), (1, 0), "{report}");
    // It can be written on, and what recovery makes of it after an end without order is the same.
    let writer = producer(&engine, &[]);
    assert_eq!(send(&writer, 5).unwrap(), 5);
    lab.promise(6);
    assert_eq!(read_whole(&lab.disk, &log()).unwrap()[..bytes.len()], bytes, "nothing is repaired");
    assert_eq!(read_over_damage(&open(&lab.after_kill())), (vec![0, 1, 3, 4, 5], vec![(2, 3)]));
    die((engine, writer));
    if !within.is_multiple_of(8) {
        return;
    }
    lab.cut_everywhere(&format!("byte {within}"), |disk, promised| {
        let engine = open(disk);
        let (offsets, damage) = read_over_damage(&engine);
        assert_eq!(damage, [(2, 3)]);
        assert!(offsets == expected.0 || offsets == [0, 1, 3, 4, 5], "{offsets:?}");
        assert!(promised < 6 || offsets.len() == 5, "{offsets:?}");
        assert!(engine.report().unwrap().cuts.iter().all(|cut| cut.offset.0 >= 5));
    });
}

#[test]
fn contract_06_damage_is_reported_and_what_is_behind_it_is_served() {
    // The CRC and everything that it covers.
    let failed: Vec<usize> = (17..76).filter(|within| catch_unwind(|| check_damage_at(*within)).is_err()).collect();
    assert_eq!(failed, [0; 0], "of the bytes 17 to 75 of a batch");
}

/// Above the recovery point everything from the first bad batch on is cut, as Kafka does it; the bytes are kept beside the
/// log, and the report counts the whole batches among them.
#[test]
fn contract_06_recovery_cuts_only_what_was_never_durable() {
    let lab = Lab::new(|engine| {
        crate::lab::create(engine, "t", &[("klog.durability", "os")]);
        let producer = producer(engine, &[]);
        send_all(&producer, 0..3);
    });
    let engine = lab.open();
    let writer = producer(&engine, &[]);
    send_all(&writer, 3..6);
    let disk = lab.after_kill();
    die((engine, writer));
    let places = places(&disk);
    let whole = read_whole(&disk, &log()).unwrap();
    // Record 3 of those that were never flushed, and record 1 of those that were.
    for place in [places[3], places[1]] {
        disk.tamper(&log(), |bytes| bytes[place + 70] ^= 1);
    }
    let lab = Lab::of(disk, lab.clock);
    let engine = lab.open();
    assert_eq!(read_over_damage(&engine), (vec![0, 2], vec![(1, 2)]), "record 1 stays where it is");
    let report = engine.report().unwrap();
    assert_eq!(report.cuts.len(), 1, "{report}");
    let cut = &report.cuts[0];
    assert_eq!((cut.offset.0, cut.position, cut.bytes), (3, places[3] as u64, (places[6] - places[3]) as u64));
    assert_eq!((cut.batches, cut.offsets.map(|(first, last)| (first.0, last.0))), (2, Some((4, 5))));
    let kept_in = cut.kept_in.clone().unwrap();
    assert_eq!(kept_in, "t-0/00000000000000000003.cut");
    let bytes = read_whole(&lab.disk, &PathBuf::from(DIR).join(&kept_in)).unwrap();
    assert_eq!(bytes.len(), whole.len() - places[3]);
    assert_eq!(bytes[places[4] - places[3]..], whole[places[4]..], "what was intact is intact there");
    assert_eq!(send(&producer(&engine, &[]), 3).unwrap(), 3);
    die(engine);
    lab.cut_everywhere("while it is cut", |disk, _| {
        let (offsets, damage) = read_over_damage(&open(disk));
        assert_eq!(damage, [(1, 2)]);
        assert!(offsets == [0, 2] || offsets == [0, 2, 3], "{offsets:?}");
        let is_kept = disk.paths().iter().any(|path| path.ends_with("00000000000000000003.cut"));
        assert!(is_kept, "the bytes that were cut are gone");
    });
}

/// A log without damage is not touched by recovery.
#[test]
fn contract_06_recovery_of_a_sound_log_cuts_nothing() {
    let lab = Lab::with_topic(&[("klog.durability", "os"), ("segment.ms", "1000")]);
    let engine = lab.open();
    let writer = producer(&engine, &[]);
    send_all(&writer, 0..6);
    let disk = lab.after_kill();
    die((engine, writer));
    let engine = open(&disk);
    assert_eq!(count(&engine), 6);
    assert!(engine.report().unwrap().is_empty(), "{}", engine.report().unwrap());
    engine.close().unwrap();
    assert_eq!(kept(&disk), 6);
}
