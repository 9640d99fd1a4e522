//! Offset, time and transaction indexes, alone and beside a log that they lie about.

#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use klog::TimestampMs;
use klog::record::{BatchBuilder, BatchHeader, BatchOptions};
use klog::segment::{
    AbortedTransaction, Entries, FileKind, IndexEntry, OffsetIndex, Segment, Suffix, TimeEntry, TimeIndex,
    TransactionIndex, file_name,
};
use klog::sys::{Open, SimClock, SimDisk, Sys, read_exact_at};
use klog::types::{LeaderEpoch, Offset, Position, ProducerId};
use libfuzzer_sys::fuzz_target;

const DIR: &str = "/t-0";
/// The least name, an ordinary one, and one whose entries lead out of all offsets.
const BASES: [Offset; 3] = [Offset::ZERO, Offset(1000), Offset(i64::MAX - 1)];

fuzz_target!(|bytes: &[u8]| {
    for base in BASES {
        offset_index(bytes, base);
        time_index(bytes, base);
    }
    transaction_index(bytes);
    an_index_that_lies_hides_nothing(bytes);
});

fn system() -> (SimDisk, Sys) {
    let clock = SimClock::new(TimestampMs(0));
    let disk = SimDisk::new(clock.clone());
    (disk.clone(), Sys::simulated(disk, clock, 1))
}

fn entries(bytes: &[u8], width: usize) -> Entries {
    let (disk, sys) = system();
    disk.put(Path::new("/file"), bytes.to_vec());
    let entries = Entries::create(&sys, "/file".into(), width).expect("the file is there");
    assert_eq!(entries.len() as usize, bytes.len() / width, "a torn entry does not count");
    entries
}

fn offset_index(bytes: &[u8], base: Offset) {
    let index = OffsetIndex::new(base, entries(bytes, OffsetIndex::ENTRY_BYTES));
    let all: Vec<IndexEntry> = (0..index.len()).map(|i| index.entry(i).expect("it is there")).collect();
    assert_eq!(index.last().expect("it can be read"), all.last().copied());
    assert!(index.used().expect("it can be read") <= index.len());
    let is_sound = index.complaint(u64::MAX).expect("it can be read").is_none();
    let targets = all.iter().take(8).map(|entry| entry.offset).chain([Offset::ZERO, base, Offset(i64::MAX)]);
    for target in targets {
        let found = index.lookup(target).expect("it can be read");
        assert!(found.is_none_or(|entry| entry.offset <= target), "an index answers with what is at or below");
        if is_sound {
            assert_eq!(found, all.iter().rev().find(|entry| entry.offset <= target).copied());
        }
    }
    let Some(middle) = all.get(all.len() / 2) else { return };
    index.truncate_to(middle.offset).expect("it can be written");
    if is_sound {
        assert_eq!(index.len() as usize, all.len() / 2, "entries at and above are gone, and no others");
    }
    let entry = IndexEntry { offset: Offset(base.0.saturating_add(1)), position: Position(7) };
    index.push(entry).expect("it can be written");
    assert_eq!(index.last().expect("it can be read"), Some(entry));
}

fn time_index(bytes: &[u8], base: Offset) {
    let index = TimeIndex::new(base, entries(bytes, TimeIndex::ENTRY_BYTES));
    let all: Vec<TimeEntry> = (0..index.len()).map(|i| index.entry(i).expect("it is there")).collect();
    assert_eq!(index.last().expect("it can be read"), all.last().copied());
    assert!(index.used().expect("it can be read") <= index.len());
    let is_sound = all.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp && pair[0].offset <= pair[1].offset);
    for target in all.iter().take(8).map(|entry| entry.timestamp).chain([TimestampMs(0), TimestampMs(i64::MAX)]) {
        let found = index.lookup(target).expect("it can be read");
        assert!(found.is_none_or(|entry| entry.timestamp <= target), "an index answers with what is at or before");
        if is_sound {
            assert_eq!(found, all.iter().rev().find(|entry| entry.timestamp <= target).copied());
        }
    }
    let Some(middle) = all.get(all.len() / 2) else { return };
    index.truncate_to(middle.offset).expect("it can be written");
    let before = index.last().expect("it can be read");
    assert!(!is_sound || before.is_none_or(|last| last.offset < middle.offset));
    let later = TimeEntry { timestamp: TimestampMs(1), offset: Offset(base.0.saturating_add(1)) };
    let was_added = index.push_if_later(later).expect("it can be written");
    assert_eq!(was_added, before.is_none_or(|last| last.timestamp.0 < 1));
}

fn transaction_index(bytes: &[u8]) {
    let (disk, sys) = system();
    disk.put(Path::new("/file"), bytes.to_vec());
    let index = TransactionIndex::new(&sys, "/file".into());
    for base in BASES {
        index.complaint(base).expect("it can be read");
    }
    let all = index.entries();
    let whole = bytes.len() / 34;
    assert!(all.as_ref().is_ok_and(|all| all.len() == whole) || all.is_err(), "every whole entry is read");
    let middle = all.ok().and_then(|all| Some(all.get(all.len() / 2)?.last_offset)).unwrap_or(Offset::ZERO);
    index.truncate_to(middle).expect("it can be written");
    let kept = index.entries().unwrap_or_default();
    assert!(kept.iter().all(|entry| entry.last_offset < middle));
    let entry = AbortedTransaction {
        producer_id: ProducerId(1),
        first_offset: middle,
        last_offset: middle,
        last_stable_offset: middle,
    };
    index.push(&entry).expect("it can be written");
    assert_eq!(index.entries().expect("what was kept could be read").last(), Some(&entry));
}

/// A log of 20 batches, five offsets each.
fn log() -> &'static [u8] {
    static LOG: OnceLock<Vec<u8>> = OnceLock::new();
    LOG.get_or_init(|| {
        let batch = |number: i64| {
            let mut builder = BatchBuilder::with_capacity(0);
            for record in 0..5 {
                builder.push(TimestampMs(number * 10 + record), None, Some(b"value"), &[]);
            }
            let options = BatchOptions {
                base_offset: Offset(number * 5),
                leader_epoch: LeaderEpoch(0),
                ..BatchOptions::default()
            };
            builder.finish(&options).expect("nothing is compressed")
        };
        (0..20).flat_map(batch).collect()
    })
}

/// Wherever an index says that an offset is, reading begins at a batch that is at or before it.
fn an_index_that_lies_hides_nothing(bytes: &[u8]) {
    let (disk, sys) = system();
    let path = |kind| Path::new(DIR).join(file_name(Offset::ZERO, kind, Suffix::None));
    disk.put(&path(FileKind::Log), log().to_vec());
    disk.put(&path(FileKind::Index), bytes.to_vec());
    disk.put(&path(FileKind::TimeIndex), bytes.to_vec());
    let segment = Segment::open(&sys, Path::new(DIR), Offset::ZERO, Suffix::None, Open::Read).expect("it is there");
    for target in (0..100).step_by(9).map(Offset) {
        let (position, _) = segment.position_before(target).expect("it can be read");
        let mut batch = vec![0; log().len()];
        let read = read_exact_at(segment.log(), &mut batch, position.0).expect("it can be read");
        let header = BatchHeader::check(&batch[..read]).expect("a batch begins there");
        assert!(header.base_offset <= target, "{} is behind {target}", header.base_offset);
    }
    segment.largest_timestamp(Position(log().len() as u64)).expect("it can be read");
}
