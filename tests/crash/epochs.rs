//! Leader epochs after a power cut: what was shown and lost is never taken for what comes in its place.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use klog::record::BatchHeader;
use klog::sys::{CrashModel, Disk, SimDisk, SimRandom, read_whole};
use klog::{Engine, Start};
use klog_tests::power::{DIR, base, open};
use klog_tests::seed;

fn send(engine: &Engine, value: &str) -> i64 {
    let producer = engine.producer().unwrap();
    producer.send("u", None, Some(value.as_bytes())).unwrap().result().unwrap().offset
}

/// Epochs of the batches of `u`, by base offset.
fn epochs(disk: &SimDisk) -> Vec<(i64, i32)> {
    let dir = Path::new(DIR).join("u-0");
    let mut names: Vec<_> = disk.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.strip_suffix(".log").is_some());
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let bytes = read_whole(disk, &dir.join(name)).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::check(&bytes[at..]).unwrap();
            found.push((header.base_offset.0, header.leader_epoch.0));
            at += header.size;
        }
    }
    found
}

/// `u` shows records before they are durable. After the cut the directory is opened and closed in order, once or twice,
/// without an append: the next opener, who finds nothing to recover, must begin a new epoch all the same.
#[test]
fn an_orderly_end_between_does_not_hide_that_records_may_have_been_lost() {
    let base = base();
    let disk = base.duplicate();
    disk.record();
    let engine = open(&disk, 2).unwrap();
    for value in ["shown", "and lost"] {
        send(&engine, value);
    }
    let (before, end) = (epochs(&disk), 4);
    let shown = before.last().unwrap().1;
    let mut model = CrashModel::of(&base);
    for event in disk.take_record() {
        model.apply(&event);
    }
    let (random, mut seen) = (SimRandom::new(seed()), HashSet::new());
    let states = model.states(&random);
    assert!(states.is_complete());
    let mut lost = 0;
    for index in 0..states.count().min(1 << 12) {
        let found = states.disk(&states.nth(index));
        if !seen.insert(found.fingerprint()) {
            continue;
        }
        for orderly_ends in 0..3 {
            let disk = found.duplicate();
            for number in 0..orderly_ends {
                let engine = open(&disk, 3 + number).unwrap();
                let mut consumer = engine.consumer().unwrap();
                consumer.assign("u", 0, Start::Earliest).unwrap();
                assert!(!consumer.poll(Duration::ZERO).unwrap().is_empty());
                engine.close().unwrap();
            }
            let engine = open(&disk, 9).unwrap();
            let kept = engine.admin().describe_topic("u").unwrap().partitions[0].log_end_offset;
            let offset = send(&engine, "in its place");
            assert_eq!(offset, kept);
            engine.flush().unwrap();
            let after = epochs(&disk);
            let (last, epoch) = *after.last().unwrap();
            assert_eq!(last, offset);
            assert!(epoch > shown, "state {index}, {orderly_ends} ends: offset {offset} has epoch {epoch} again");
            assert!(after.is_sorted_by_key(|(_, epoch)| *epoch));
            let text = read_whole(&disk, &Path::new(DIR).join("u-0/leader-epoch-checkpoint")).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.lines().any(|line| line == format!("{epoch} {offset}")), "{text}");
            lost += i32::from(kept < end);
        }
    }
    println!("seed {}, {} states, {lost} times something was lost", seed(), seen.len());
    assert!(lost > 0);
}
