//! Opening a whole directory whose log is any bytes.
//!
//! The last byte of the input says how the directory was left; everything before it is the `.log` of `t-0`. Whatever it is,
//! opening and reading end, nothing panics, and reading changes nothing. Where every batch that checks out is one that somebody
//! can have written, what was served once is served after recovery and after an append, and so is what was appended.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use klog::Mode;
use klog::log::{CLEAN_SHUTDOWN, CheckpointFile};
use klog::record::BatchHeader;
use klog::segment::{FileKind, Suffix, file_name};
use klog::sys::{Disk, SimDisk};
use klog::types::Offset;
use klog_fuzz::{DIR, Serving, decode, mutate_batches, one_topic, open, serve};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let Some(log) = size.checked_sub(1).filter(|_| !seed.is_multiple_of(16)) else {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    };
    let how = data[log];
    let log = mutate_batches(data, log, max_size - 1, seed / 16);
    data[log] = how;
    log + 1
});

fuzz_target!(|bytes: &[u8]| {
    let Some((how, log)) = bytes.split_last() else { return };
    let disk = left(*how, log);
    let before = disk.fingerprint();
    let reader = open(&disk, Mode::ReadOnly).expect("a directory with its metadata opens, whatever is in a log");
    let read_only = serve(&reader, log.len());
    drop(reader);
    assert_eq!(disk.fingerprint(), before, "reading changes nothing");

    let writer = open(&disk, Mode::ReadWrite).expect("a directory with its metadata opens, whatever is in a log");
    let read_write = serve(&writer, log.len());
    let sent = writer.producer().and_then(|producer| producer.send("t", None, Some(b"one more"))?.result());
    let closed = writer.close();
    let (Ok(read_only), Ok(read_write)) = (&read_only, &read_write) else {
        panic!("a log can be read past its damage: {read_only:?} {read_write:?}");
    };
    let reader = open(&disk, Mode::ReadOnly).expect("what was opened can be opened again");
    let again = serve(&reader, log.len() + 100).expect("a log can be read past its damage");
    if closed.is_err() || !can_have_been_written(log) {
        return;
    }
    nothing_is_lost(read_only, read_write);
    nothing_is_lost(read_write, &again);
    if let Ok(sent) = sent {
        let last = again.records.last().expect("what was acknowledged is there");
        assert_eq!((last.offset, last.value.as_deref()), (sent.offset, Some(&b"one more"[..])));
    }
});

fn in_partition(kind: FileKind) -> PathBuf {
    Path::new(DIR).join("t-0").join(file_name(Offset::ZERO, kind, Suffix::None))
}

/// A directory with that log in it, left as `how` says: its low two bits are the way it ended, the next two the indexes.
fn left(how: u8, log: &[u8]) -> SimDisk {
    static WHOLE: OnceLock<SimDisk> = OnceLock::new();
    let disk = WHOLE.get_or_init(one_topic).duplicate();
    disk.put(&in_partition(FileKind::Log), log.to_vec());
    let recovery_point = match how & 3 {
        0 => None, // closed in order
        1 => Some(0),
        2 => Some(3),
        _ => Some(i64::MAX),
    };
    if let Some(recovery_point) = recovery_point {
        disk.remove_file(&Path::new(DIR).join(CLEAN_SHUTDOWN)).expect("it was closed in order");
        let text = format!("0\n1\nt 0 {recovery_point}\n");
        disk.put(&Path::new(DIR).join(CheckpointFile::RecoveryPoint.name()), text.into_bytes());
    }
    for kind in [FileKind::Index, FileKind::TimeIndex] {
        match how >> 2 & 3 {
            0 => disk.put(&in_partition(kind), Vec::new()),
            1 => disk.remove_file(&in_partition(kind)).expect("it was there"),
            2 => disk.put(&in_partition(kind), log[..log.len().min(48)].to_vec()),
            _ => disk.put(&in_partition(kind), vec![0; 96]),
        }
    }
    disk
}

/// Whether every batch with a right checksum, wherever it begins, has the records that its header promises. A checksum holds
/// over anything that was forged; damage leaves it only where a batch is as it was written, apart from its offset.
fn can_have_been_written(log: &[u8]) -> bool {
    (0..log.len()).all(|at| {
        let Ok(header) = BatchHeader::check(&log[at..]) else { return true };
        let batch = &log[at..at + header.size];
        let records = decode(batch, &header, Offset(i64::MIN));
        records.is_ok_and(|records| header.magic < 2 || records.len() as i64 == i64::from(header.last_offset_delta) + 1)
    })
}

/// Every record that was served before is served now, in the same order.
fn nothing_is_lost(before: &Serving, now: &Serving) {
    let mut rest = now.records.iter();
    for record in &before.records {
        assert!(rest.any(|other| other == record), "offset {} is not served any more", record.offset);
    }
}
