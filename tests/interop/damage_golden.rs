//! A bit that flips in the middle of data that a broker had flushed: nothing is cut, it is told of, and stepped over.

use std::fs;
use std::time::Duration;

use klog::{Engine, ErrorCode, Mode, OpenOptions, Start};
use klog_tests::golden::{fingerprints, unpack};

use crate::reading::{assert_record, expected_records};

/// Offsets that can be read, and those that are reported as damaged.
fn read_over_damage(engine: &Engine, topic: &str, mut each: impl FnMut(klog::Record<'_>)) -> Vec<(i64, i64)> {
    let mut consumer = engine.consumer().unwrap();
    consumer.assign(topic, 0, Start::Earliest).unwrap();
    consumer.read_until_now();
    let mut damaged = Vec::new();
    while !consumer.is_finished() {
        match consumer.poll(Duration::ZERO) {
            Ok(batch) => batch.iter().for_each(&mut each),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::CorruptMessage, "{error}");
                let damage = error.damage().unwrap();
                damaged.push((damage.first_offset, damage.next_offset));
                assert!(consumer.seek_past(&error));
            }
        }
    }
    damaged
}

fn a_flipped_bit_is_stepped_over(was_clean: bool) {
    let golden = unpack("segments");
    let topic = "seg-ms";
    let partition = golden.expected["partitions"].as_array().unwrap().iter().find(|p| p["topic"] == topic).unwrap();
    let records = expected_records(partition);
    let batches = partition["batches"].as_array().unwrap();
    let middle = &batches[batches.len() / 2];
    let at = |name: &str| middle[name].as_i64().unwrap();
    let (first, last) = (at("base_offset"), at("last_offset"));
    let segment = golden.path.join(format!("{topic}-0/{:020}.log", at("segment")));

    let mut bytes = fs::read(&segment).unwrap();
    bytes[(at("position") + at("size") - 2) as usize] ^= 0x04;
    fs::write(&segment, &bytes).unwrap();
    if !was_clean {
        // The recovery point says that all of it was flushed.
        fs::remove_file(golden.path.join(".kafka_cleanshutdown")).unwrap();
    }

    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        let before = fingerprints(&golden.path, false);
        let engine = OpenOptions::new().mode(mode).open(&golden.path).unwrap();
        let mut seen = Vec::new();
        let damaged = read_over_damage(&engine, topic, |record| {
            assert_record(topic, &record, &records);
            seen.push(record.offset());
        });
        assert_eq!(damaged, [(first, last + 1)], "{mode:?}");
        let undamaged: Vec<i64> = records.keys().copied().filter(|offset| !(first..=last).contains(offset)).collect();
        assert_eq!(seen, undamaged, "{mode:?}");

        let report = engine.admin().verify(Some(topic)).unwrap();
        assert_eq!(report.damage.len(), 1, "{mode:?}: {report:?}");
        assert_eq!(report.damage[0].position, at("position") as u64);
        assert!(report.damage[0].file.ends_with(&format!("{topic}-0/{:020}.log", at("segment"))), "{report:?}");
        assert!(engine.report().unwrap().cuts.is_empty(), "{mode:?}");
        engine.close().unwrap();
        if mode == Mode::ReadOnly {
            assert!(before == fingerprints(&golden.path, false), "reading changed something");
        }
        assert_eq!(fs::read(&segment).unwrap(), bytes, "{mode:?}: the segment was changed");
    }

    // Appending goes on behind it.
    let engine = OpenOptions::new().mode(Mode::ReadWrite).open(&golden.path).unwrap();
    let end = engine.admin().describe_topic(topic).unwrap().partitions[0].log_end_offset;
    let sent = engine.producer().unwrap().send(topic, None, Some(b"after the damage")).unwrap().result().unwrap();
    assert_eq!(sent.offset, end);
    engine.close().unwrap();
    assert_eq!(fs::read(&segment).unwrap(), bytes, "appending changed the segment");
}

#[test]
fn a_flipped_bit_in_a_cleanly_closed_log_is_stepped_over() {
    a_flipped_bit_is_stepped_over(true);
}

#[test]
fn a_flipped_bit_below_the_recovery_point_is_stepped_over() {
    a_flipped_bit_is_stepped_over(false);
}
