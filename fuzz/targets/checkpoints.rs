//! The small files that say where everything stands: offset and epoch checkpoints, producer snapshots,
//! `partition.metadata`, `meta.properties`.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use klog::Mode;
use klog::log::{
    CheckpointFile, Epochs, ProducerEntry, ProducerState, format_epochs, format_offsets, format_snapshot, parse_epochs,
    parse_offsets, parse_snapshot,
};
use klog::sys::SimDisk;
use klog::types::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use klog_fuzz::{DIR, crc32c, one_topic, open, serve};
use libfuzzer_sys::fuzz_target;

/// Producer snapshots begin with a version, and the checksum of what follows it.
const CRC_AT: usize = 2;
const COUNT_AT: usize = 6;

fuzz_target!(|bytes: &[u8]| {
    offsets(bytes);
    epochs(bytes);
    snapshot(bytes);
    let mut sealed = bytes.to_vec();
    if sealed.len() >= COUNT_AT {
        let crc = crc32c(&sealed[COUNT_AT..]);
        sealed[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
        snapshot(&sealed);
    }
    in_place_of_each(bytes, &sealed);
});

fn offsets(bytes: &[u8]) {
    let Ok(offsets) = parse_offsets(bytes) else { return };
    assert!(offsets.values().all(|offset| offset.0 >= 0));
    assert_eq!(parse_offsets(&format_offsets(&offsets)), Ok(offsets), "what is written is what was read");
}

fn epochs(bytes: &[u8]) {
    let Ok(entries) = parse_epochs(bytes) else { return };
    assert_eq!(parse_epochs(&format_epochs(&entries)).as_ref(), Ok(&entries), "what is written is what was read");
    let in_order =
        |epochs: &Epochs| epochs.entries().windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
    let epochs = Epochs::new(entries);
    assert!(in_order(&epochs));
    let Some((epoch, start)) = epochs.entries().get(epochs.entries().len() / 2).copied() else { return };
    for change in [
        |epochs: &mut Epochs, epoch, start| epochs.assign(epoch, start),
        |epochs: &mut Epochs, _, start| epochs.truncate_from_end(start),
        |epochs: &mut Epochs, _, start| epochs.truncate_from_start(start),
    ] as [fn(&mut Epochs, LeaderEpoch, Offset) -> bool; 3]
    {
        let mut changed = epochs.clone();
        let says_so = change(&mut changed, epoch, start);
        assert!(in_order(&changed), "{epochs:?} became {changed:?}");
        assert_eq!(says_so, changed != epochs, "{epochs:?} became {changed:?}");
    }
    if let Some((found, _)) = epochs.end_offset_for(epoch, Offset(i64::MAX)) {
        assert!(found <= epoch);
    }
    assert!(epochs.epoch_for(start).is_some());
}

fn producers(state: &ProducerState) -> Vec<(ProducerId, ProducerEntry)> {
    let mut producers: Vec<_> = state.iter().map(|(id, entry)| (id, entry.clone())).collect();
    producers.sort_by_key(|(id, _)| *id);
    producers
}

fn snapshot(bytes: &[u8]) {
    let Ok(mut state) = parse_snapshot(bytes) else { return };
    assert_eq!(crc32c(&bytes[COUNT_AT..]).to_be_bytes(), bytes[CRC_AT..COUNT_AT], "only with the right checksum");
    let again = parse_snapshot(&format_snapshot(&state)).expect("what is written can be read");
    assert_eq!(producers(&again), producers(&state), "what is written is what was read");
    state.first_unstable(Offset(0));
    state.expire(TimestampMs(i64::MAX), 1);
    assert!(state.iter().all(|(_, entry)| entry.transaction_start.is_some() || entry.last_timestamp.0 == i64::MAX));
}

/// A directory in which each of the small files is these bytes in turn: it opens or says why not, reading changes nothing, and
/// a directory that opened for writing and was closed opens again.
fn in_place_of_each(bytes: &[u8], sealed: &[u8]) {
    static WHOLE: OnceLock<SimDisk> = OnceLock::new();
    let whole = WHOLE.get_or_init(one_topic);
    let checkpoints = CheckpointFile::ALL.map(CheckpointFile::name);
    let names = ["meta.properties", "t-0/partition.metadata", "t-0/leader-epoch-checkpoint"];
    // One file in each run; which one follows from the bytes, so that a find can be repeated.
    let kinds = checkpoints.len() + names.len() + 2;
    let choice = crc32c(bytes) as usize % kinds;
    let (name, content) = match choice {
        0..4 => (checkpoints[choice], bytes),
        4..7 => (names[choice - 4], bytes),
        7 => ("t-0/00000000000000000001.snapshot", bytes),
        _ => ("t-0/00000000000000000001.snapshot", sealed),
    };
    let disk = whole.duplicate();
    disk.put(&Path::new(DIR).join(name), content.to_vec());
    let before = disk.fingerprint();
    if let Ok(engine) = open(&disk, Mode::ReadOnly) {
        let served = serve(&engine, 100).expect("the log is sound");
        let log_start_moved = name == CheckpointFile::LogStart.name();
        assert!(served.records.len() == 1 || log_start_moved, "{name} hides a record");
    }
    assert_eq!(disk.fingerprint(), before, "reading changes nothing");
    let Ok(engine) = open(&disk, Mode::ReadWrite) else { return };
    let sent = engine.producer().and_then(|producer| producer.send("t", None, Some(b"2"))?.result());
    engine.close().expect("it can be closed");
    let engine = open(&disk, Mode::ReadOnly).expect("what was closed can be opened");
    if let Ok(sent) = sent {
        let served = serve(&engine, 200).expect("the log is sound");
        assert_eq!(
            served.records.last().map(|record| record.offset),
            Some(sent.offset),
            "what was acknowledged is there"
        );
    }
}
