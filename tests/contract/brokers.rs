//! Clause 12: a Kafka broker on the same directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use klog::ErrorCode;
use klog::sys::{Disk, LockKind, LockRange, Locks, Open, SimDisk, read_whole};

use crate::lab::{DIR, Lab, count, options, producer, send};

/// Real processes and locks of the kernel are in the tests of processes.
#[test]
fn contract_12_a_broker_and_klog_refuse_each_other() {
    let lab = Lab::with_topic(&[]);
    let lock = || lab.disk.open(&Path::new(DIR).join(".lock"), Open::Create).unwrap();
    let broker = lock();
    assert!(broker.try_lock(LockRange::WHOLE, LockKind::Exclusive).unwrap());
    let error = options(&lab.disk, &lab.clock).open(DIR).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Locked);
    assert!(error.message().contains("Kafka"), "{error}");
    drop(broker);
    let engine = lab.open();
    assert!(!lock().try_lock(LockRange::WHOLE, LockKind::Exclusive).unwrap(), "a broker would start beside klog");
    assert_eq!(count(&engine), 0);
    engine.close().unwrap();
    assert!(lock().try_lock(LockRange::WHOLE, LockKind::Exclusive).unwrap(), "the lock outlives its engine");
}

/// Files of the partition, without those that say nothing of its records.
pub(crate) fn partition_files(disk: &SimDisk) -> Files {
    let files = disk.paths().into_iter().filter(|path| path.starts_with("/data/t-0"));
    files.map(|path| (path.clone(), read_whole(disk, &path).unwrap())).collect()
}

/// Whether Kafka knows what to do with a file in a partition's directory, or leaves it alone.
fn is_kafkas(name: &str) -> bool {
    let stem = name.trim_end_matches(".deleted").trim_end_matches(".tmp");
    let known = [".log", ".index", ".timeindex", ".snapshot", ".cut"];
    let of_segment = known.iter().filter_map(|suffix| stem.strip_suffix(suffix));
    let mut bases = of_segment.filter(|base| base.len() == 20 && base.bytes().all(|digit| digit.is_ascii_digit()));
    bases.next().is_some() || ["partition.metadata", "leader-epoch-checkpoint"].contains(&stem)
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A directory of one record; four more go into segments of their own, a topic comes and goes, and it is closed in order.
/// The files of the partition, before and after.
pub(crate) fn written_and_closed() -> (Lab, Files, Files) {
    let lab = Lab::new(|engine| {
        crate::lab::create(engine, "t", &[("segment.ms", "1000"), ("index.interval.bytes", "0")]);
        send(&producer(engine, &[]), 0).unwrap();
    });
    let before = partition_files(&lab.disk);
    let engine = lab.open();
    let writer = producer(&engine, &[]);
    for number in 1..5 {
        send(&writer, number).unwrap();
    }
    crate::lab::create(&engine, "u", &[]);
    engine.admin().delete_topic("u").unwrap();
    drop(writer);
    engine.close().unwrap();
    drop(engine);
    let after = partition_files(&lab.disk);
    assert_ne!(before, after);
    (lab, before, after)
}

pub(crate) fn is_marked(disk: &SimDisk) -> bool {
    disk.stat(&Path::new(DIR).join(".kafka_cleanshutdown")).is_ok()
}

#[test]
fn contract_12_a_broker_finds_nothing_but_its_own_after_a_cut() {
    let (lab, before, after) = written_and_closed();
    let mut marked = [0; 2];
    lab.cut_everywhere("a broker's view", |disk, _| {
        for entry in disk.list(Path::new(DIR)).unwrap() {
            let plain = ["t-0", "u-0", "__cluster_metadata-0"].contains(&&*entry.name);
            let doomed = entry.name.starts_with("u-0.") && entry.name.ends_with("-delete");
            assert!(!entry.is_dir || plain || doomed, "a broker does not start beside {}", entry.name);
        }
        for name in disk.list(&Path::new(DIR).join("t-0")).unwrap() {
            assert!(is_kafkas(&name.name), "{}", name.name);
        }
        let logs = |files: &Files| -> Files {
            let logs = files.iter().filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
            logs.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
        };
        let found = logs(&partition_files(disk));
        let whole = found == logs(&before) || found == logs(&after);
        assert!(whole || !is_marked(disk), "the mark of an orderly end beside half of an append");
        marked[usize::from(is_marked(disk))] += 1;
    });
    assert!(marked.iter().all(|states| *states > 0), "states without and with the mark: {marked:?}");
}

/// A broker believes the indexes and snapshots that it finds beside the mark of an orderly end, so they have to be durable
/// before it is.
#[test]
fn contract_12_the_mark_of_an_orderly_end_stands_beside_what_is_durable() {
    let (lab, before, after) = written_and_closed();
    let mut wrong = BTreeSet::new();
    lab.cut_everywhere("beside the mark", |disk, _| {
        let found = partition_files(disk);
        if is_marked(disk) && found != before && found != after {
            let names = found.keys().chain(after.keys()).filter(|path| found.get(*path) != after.get(*path));
            wrong.extend(names.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()));
        }
    });
    assert_eq!(wrong, BTreeSet::new(), "they differ from what the orderly end left, and the mark is there");
}
