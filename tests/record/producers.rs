//! What a log knows of its producers: sequence numbers, repeated batches, transactions, and the snapshot of all that.

use klog::log::{AppendedBatch, ProducerEntry, ProducerState, SequenceError, format_snapshot, parse_snapshot};
use klog::record::{BatchHeader, ControlRecord};
use klog::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use proptest::prelude::*;
use serde_json::Value;

use crate::vectors::{T, decode, golden, hex_of, int, list};

/// The bytes of a file of the golden partition directory.
fn file(name: &str) -> Vec<u8> {
    let files = golden()["partition_dir"]["files"].as_array().unwrap();
    let path = format!("fx-0/{name}");
    hex_of(&files.iter().find(|file| file["path"] == path.as_str()).unwrap()["hex"])
}

fn decoded(name: &str) -> &'static [Value] {
    golden()["partition_dir"]["decoded"][name].as_array().unwrap()
}

const SNAPSHOT: &str = "00000000000000000017.snapshot";

/// `count` records of producer 7 from `base_sequence` on, at `base_offset`.
fn sent(producer_epoch: i16, base_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
    BatchHeader {
        base_offset: Offset(base_offset),
        size: 61,
        leader_epoch: LeaderEpoch(0),
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: TimestampMs(T),
        max_timestamp: TimestampMs(T),
        producer_id: ProducerId(7),
        producer_epoch,
        base_sequence,
        records_count: count,
    }
}

/// Two records from `base_sequence` on, in epoch 3; the offset is twice the sequence, to tell them apart.
fn pair(base_sequence: i32) -> BatchHeader {
    sent(3, base_sequence, 2, i64::from(base_sequence) * 2)
}

fn with_pairs(count: i32) -> ProducerState {
    let mut state = ProducerState::default();
    for index in 0..count {
        state.apply(&pair(index * 2), None);
    }
    state
}

fn out_of_order(sent: i32, last: i32) -> Result<(), SequenceError> {
    Err(SequenceError::OutOfOrder { sent, last })
}

#[test]
fn sequence_numbers_go_from_the_greatest_to_0() {
    let mut checked = 0;
    for vector in list("sequence_arithmetic") {
        let (sequence, by, result) =
            (int(&vector["sequence"]) as i32, int(&vector["by"]) as i32, int(&vector["result"]) as i32);
        if vector["op"] == "increment" {
            assert_eq!(sent(0, sequence, by + 1, 0).last_sequence(), result, "{vector}");
        } else {
            // From the last sequence number down to the first, which is how a repeated batch is recognised.
            let mut state = ProducerState::default();
            state.apply(&sent(0, result, by + 1, 40), None);
            let (_, entry) = state.iter().next().unwrap();
            assert_eq!(entry.batches[0].last_sequence, sequence, "{vector}");
            let found = state.duplicate_of(&sent(0, result, by + 1, 90)).map(AppendedBatch::first_offset);
            assert_eq!(found, Some(Offset(40)), "{vector}");
            assert_eq!(state.duplicate_of(&sent(0, result - 1, by + 2, 90)), None, "{vector}");
        }
        checked += 1;
    }
    assert_eq!(checked, 4);
    assert_eq!(sent(0, -1, 3, 0).last_sequence(), -1, "none stays none");
    assert_eq!(sent(0, 0, 1, 0).last_sequence(), 0);
}

#[test]
fn the_golden_log_leads_to_the_golden_snapshot() {
    let mut state = ProducerState::default();
    let mut aborted = Vec::new();
    for segment in ["00000000000000000000.log", "00000000000000000008.log"] {
        let log = file(segment);
        let mut at = 0;
        while at < log.len() {
            let (header, records) = decode(&log[at..]).unwrap();
            let control = header
                .is_control()
                .then(|| ControlRecord::parse(records[0].key.as_deref(), records[0].value.as_deref()).unwrap());
            aborted.extend(state.apply(&header, control.as_ref()));
            at += header.size;
        }
        if segment.starts_with("00000000000000000000") {
            assert_eq!(format_snapshot(&state), file("00000000000000000008.snapshot"), "nobody numbered yet");
        }
    }
    assert_eq!(format_snapshot(&state), file(SNAPSHOT), "Kafka happens to have the ids in order");
    assert_eq!(state.open_transactions().collect::<Vec<_>>(), [(Offset(14), ProducerId(9))]);
    let expected: Vec<[i64; 4]> = decoded("00000000000000000008.txnindex")
        .iter()
        .map(|entry| ["producerId", "firstOffset", "lastOffset", "lastStableOffset"].map(|field| int(&entry[field])))
        .collect();
    let aborted: Vec<[i64; 4]> = aborted
        .iter()
        .map(|one| [one.producer_id.0, one.first_offset.0, one.last_offset.0, one.last_stable_offset.0])
        .collect();
    assert_eq!(aborted, expected);
    // A transaction is decided once its marker is below the high watermark.
    assert_eq!(
        [12, 13, 14].map(|high_watermark| state.first_unstable(Offset(high_watermark))),
        [Some(Offset(8)), Some(Offset(10)), Some(Offset(14))]
    );
}

#[test]
fn the_golden_snapshot_is_read() {
    let state = parse_snapshot(&file(SNAPSHOT)).unwrap();
    assert_eq!(state.iter().count(), 3);
    for expected in decoded(SNAPSHOT) {
        let (_, entry) = state.iter().find(|(id, _)| id.0 == int(&expected["producerId"])).unwrap();
        let batch = AppendedBatch {
            last_sequence: int(&expected["lastSequence"]) as i32,
            last_offset: Offset(int(&expected["lastOffset"])),
            offset_delta: int(&expected["offsetDelta"]) as i32,
            timestamp: TimestampMs(int(&expected["timestamp"])),
        };
        let start = int(&expected["currentTxnFirstOffset"]);
        let expected = ProducerEntry {
            epoch: int(&expected["epoch"]) as i16,
            batches: [batch].into(),
            coordinator_epoch: int(&expected["coordinatorEpoch"]) as i32,
            last_timestamp: batch.timestamp,
            transaction_start: (start >= 0).then_some(Offset(start)),
        };
        assert_eq!(*entry, expected);
    }
    assert_eq!(state.open_transactions().collect::<Vec<_>>(), [(Offset(14), ProducerId(9))]);
    assert_eq!(format_snapshot(&state), file(SNAPSHOT));
    let empty = parse_snapshot(&file("00000000000000000008.snapshot")).unwrap();
    assert!(empty.is_empty());
    assert_eq!(format_snapshot(&empty), file("00000000000000000008.snapshot"));
}

#[test]
fn damaged_snapshots_are_refused() {
    let whole = file(SNAPSHOT);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let error = parse_snapshot(&bytes).map(|_| ()).unwrap_err();
            let sentence = if at < 2 { "its version is" } else { "is computed" };
            assert!(error.contains(sentence), "bit {bit} of byte {at}: {error}");
        }
    }
    for length in 0..whole.len() {
        parse_snapshot(&whole[..length]).unwrap_err();
    }
    parse_snapshot(&[whole, vec![0]].concat()).unwrap_err();
}

/// A snapshot whose checksum holds and whose count does not fit was taken for one without producers, or without the rest.
#[test]
fn a_count_that_does_not_fit_a_snapshot_is_refused() {
    for count in [0, 1, 2, 4, i32::MAX, -1, i32::MIN] {
        let mut bytes = file(SNAPSHOT);
        bytes[6..10].copy_from_slice(&count.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        assert!(parse_snapshot(&bytes).is_err(), "{count}");
    }
}

#[test]
fn a_producer_of_markers_alone_survives_a_snapshot() {
    let mut state = ProducerState::default();
    let marker = BatchHeader { attributes: 0x30, base_sequence: -1, ..sent(3, -1, 1, 50) };
    assert_eq!(state.apply(&marker, Some(&ControlRecord::Abort { coordinator_epoch: 4 })), None, "nothing to abort");
    let bytes = format_snapshot(&state);
    let expected = crate::vectors::hex(
        "00000001 0000000000000007 0003 ffffffff ffffffffffffffff 00000000 0000018bcfe56800 00000004 ffffffffffffffff",
    );
    assert_eq!(bytes[6..], expected);
    let again = parse_snapshot(&bytes).unwrap();
    let (_, entry) = again.iter().next().unwrap();
    assert!(entry.batches.is_empty());
    assert_eq!(again.check(&sent(3, 0, 1, 60)), Ok(()), "its first batch begins at 0");
    assert_eq!(again.check(&sent(3, 1, 1, 60)), out_of_order(1, -1));
}

#[test]
fn five_batches_are_recognised_when_they_come_again_and_one_after_a_snapshot() {
    let state = with_pairs(6);
    let first_offset = |state: &ProducerState, header| state.duplicate_of(&header).map(AppendedBatch::first_offset);
    assert_eq!(first_offset(&state, pair(0)), None, "the sixth last is forgotten");
    for sequence in [2, 4, 6, 8, 10] {
        assert_eq!(first_offset(&state, pair(sequence)), Some(Offset(i64::from(sequence) * 2)));
    }
    assert_eq!(first_offset(&state, pair(12)), None);
    assert_eq!(first_offset(&state, sent(3, 10, 1, 0)), None, "only the whole batch");
    assert_eq!(first_offset(&state, sent(4, 10, 2, 0)), None, "only of the same epoch");
    let after = parse_snapshot(&format_snapshot(&state)).unwrap();
    let remembered: Vec<i32> = (0..6).map(|i| i * 2).filter(|i| after.duplicate_of(&pair(*i)).is_some()).collect();
    assert_eq!(remembered, [10]);
    assert_eq!(after.check(&pair(12)), Ok(()));
}

#[test]
fn sequence_numbers_must_follow() {
    let state = with_pairs(2);
    assert_eq!(state.check(&pair(4)), Ok(()));
    for wrong in [0, 2, 3, 5, 6, i32::MAX] {
        assert_eq!(state.check(&sent(3, wrong, 1, 8)), out_of_order(wrong, 3));
    }
    let mut at_the_end = ProducerState::default();
    assert_eq!(at_the_end.check(&sent(3, 17, 1, 0)), Ok(()), "an unknown producer may begin anywhere");
    at_the_end.apply(&sent(3, i32::MAX - 1, 2, 0), None);
    assert_eq!(at_the_end.check(&sent(3, 0, 1, 2)), Ok(()));
    assert_eq!(at_the_end.check(&sent(3, 1, 1, 2)), out_of_order(1, i32::MAX));
}

#[test]
fn epochs_of_a_producer_do_not_go_back_and_a_new_one_begins_at_0() {
    let mut state = with_pairs(2);
    assert_eq!(state.check(&sent(2, 4, 1, 8)), Err(SequenceError::StaleEpoch { sent: 2, known: 3 }));
    assert_eq!(state.check(&sent(4, 4, 1, 8)), out_of_order(4, 3));
    let bumped = sent(4, 0, 1, 8);
    assert_eq!(state.check(&bumped), Ok(()));
    state.apply(&bumped, None);
    let (_, entry) = state.iter().next().unwrap();
    assert_eq!((entry.epoch, entry.batches.len()), (4, 1), "batches of the old epoch are forgotten");
}

#[test]
fn a_marker_keeps_the_batches_of_its_epoch_only() {
    for (marker_epoch, kept) in [(3, 2), (4, 0)] {
        let mut state = with_pairs(2);
        let marker = BatchHeader { attributes: 0x30, base_sequence: -1, ..sent(marker_epoch, -1, 1, 8) };
        state.apply(&marker, Some(&ControlRecord::Commit { coordinator_epoch: 9 }));
        let (_, entry) = state.iter().next().unwrap();
        assert_eq!((entry.epoch, entry.batches.len(), entry.coordinator_epoch), (marker_epoch, kept, 9));
    }
}

#[test]
fn what_concerns_no_producer_changes_nothing() {
    let mut state = with_pairs(1);
    let before = format_snapshot(&state);
    // Of nobody, whatever its sequence says; and a marker that lost its record to a cleaner.
    state.apply(&BatchHeader { producer_id: ProducerId::NONE, ..sent(0, 0, 1, 9) }, None);
    state.apply(&BatchHeader { attributes: 0x30, records_count: 0, ..sent(9, -1, 1, 9) }, None);
    state.apply(&BatchHeader { attributes: 0x30, ..sent(9, -1, 1, 9) }, Some(&ControlRecord::SnapshotFooter));
    assert_eq!(format_snapshot(&state), before);
}

#[test]
fn a_transaction_keeps_other_batches_of_its_producer_away() {
    let mut state = ProducerState::default();
    state.apply(&BatchHeader { attributes: 0x10, ..sent(3, 0, 2, 100) }, None);
    assert!(matches!(state.check(&sent(3, 2, 1, 102)), Err(SequenceError::Transaction(_))));
    assert_eq!(state.first_unstable(Offset(200)), Some(Offset(100)));
    let marker = BatchHeader { attributes: 0x30, base_sequence: -1, ..sent(3, -1, 1, 102) };
    assert_eq!(state.apply(&marker, Some(&ControlRecord::Commit { coordinator_epoch: 0 })), None);
    assert_eq!(state.check(&sent(3, 2, 1, 103)), Ok(()));
    assert_eq!(state.first_unstable(Offset(102)), Some(Offset(100)), "the marker is not visible yet");
    assert_eq!(state.first_unstable(Offset(103)), None);
}

#[test]
fn producers_expire_unless_a_transaction_is_open() {
    let mut state = with_pairs(1);
    state.apply(&BatchHeader { attributes: 0x10, producer_id: ProducerId(8), ..sent(0, 0, 1, 9) }, None);
    let ids = |state: &ProducerState| {
        let mut ids: Vec<i64> = state.iter().map(|(id, _)| id.0).collect();
        ids.sort_unstable();
        ids
    };
    state.expire(TimestampMs(T + 999), 1000);
    assert_eq!(ids(&state), [7, 8]);
    state.expire(TimestampMs(T + 1000), 1000);
    assert_eq!(ids(&state), [8]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn snapshots_go_both_ways_and_garbage_never_panics(
        numbers in proptest::collection::vec((0i64..9, 0i16..3, 0..i32::MAX, 1..90i32, any::<bool>()), 0..20),
        garbage in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut state = ProducerState::default();
        for ((id, epoch, sequence, count, transactional), index) in numbers.into_iter().zip(0..) {
            let attributes = if transactional { 0x10 } else { 0 };
            let header = BatchHeader { producer_id: ProducerId(id), attributes, ..sent(epoch, sequence, count, index * 100) };
            state.apply(&header, None);
        }
        let bytes = format_snapshot(&state);
        let again = parse_snapshot(&bytes).unwrap();
        prop_assert_eq!(format_snapshot(&again), bytes);
        let open = |state: &ProducerState| state.open_transactions().collect::<Vec<_>>();
        prop_assert_eq!(open(&again), open(&state));
        let mut sealed = [&[0, 1, 0, 0, 0, 0][..], &garbage].concat();
        let crc = crc32c::crc32c(&sealed[6..]);
        sealed[2..6].copy_from_slice(&crc.to_be_bytes());
        let _ = (parse_snapshot(&garbage).is_ok(), parse_snapshot(&sealed).is_ok());
    }
}
