//! Builds with a mistake in them: the tests of the contract must notice.

use klog::sys::SimDisk;
use klog::sys::bugs::{self, Bug};
use klog_tests::try_quietly;

use crate::brokers::{is_marked, partition_files, written_and_closed};
use crate::lab::{Lab, die, kept, producer, send};

/// Whether `look` fails in a build that makes `bug`, and does not in one that makes none.
fn is_noticed(bug: Bug, look: impl Fn()) {
    look();
    bugs::make(Some(bug));
    let noticed = try_quietly(look).is_err();
    bugs::make(None);
    assert!(noticed, "{bug:?} is not noticed");
}

/// The promise of row 5.
fn nothing_acknowledged_is_lost() {
    let lab = Lab::with_topic(&[("segment.ms", "1000")]);
    let engine = lab.open();
    let writer = producer(&engine, &[]);
    for number in 0..5 {
        send(&writer, number).unwrap();
        lab.promise(number + 1);
    }
    die((engine, writer));
    lab.cut_everywhere("row 5", |disk: &SimDisk, promised| assert!(kept(disk) >= promised));
}

/// As above, where records are flushed some time after they were written, with a roll in between.
fn what_was_seen_is_not_lost() {
    let lab = Lab::with_topic(&[("segment.ms", "1000")]);
    let engine = lab.open();
    let lazy = producer(&engine, &[("acks", "1")]);
    for number in 0..6 {
        send(&lazy, number).unwrap();
    }
    engine.flush().unwrap();
    lab.promise(6);
    die((engine, lazy));
    lab.cut_everywhere("clause 3", |disk: &SimDisk, promised| assert!(kept(disk) >= promised));
}

#[test]
fn an_acknowledgement_before_the_flush_is_noticed() {
    is_noticed(Bug::AcknowledgeBeforeFlush, nothing_acknowledged_is_lost);
}

#[test]
fn a_directory_that_is_not_synced_is_noticed() {
    is_noticed(Bug::NoDirectorySync, nothing_acknowledged_is_lost);
}

#[test]
fn a_flush_that_skips_the_old_segment_is_noticed() {
    is_noticed(Bug::FlushSkipsOldSegment, what_was_seen_is_not_lost);
}

#[test]
fn a_mark_of_an_orderly_end_that_stays_is_noticed() {
    is_noticed(Bug::CleanMarkStays, || {
        let (lab, before, after) = written_and_closed();
        lab.cut_everywhere("clause 12", |disk, _| {
            let found = partition_files(disk);
            assert!(!is_marked(disk) || found == before || found == after);
        });
    });
}
