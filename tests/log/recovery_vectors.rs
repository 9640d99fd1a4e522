//! The partition that Kafka's own classes wrote, spoiled in ten ways, and what Kafka made of each.
//!
//! Where klog keeps more than Kafka does (design: damage below the recovery point is never cut), the test says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klog::TopicConfig;
use klog::log::{Fresh, Log, LogDir, Opening, Report, Watermark};
use klog::sys::{Disk, Open, SimClock, SimDisk, Sys, read_whole, write_all_at};
use klog::types::{LeaderEpoch, Offset, TimestampMs, TopicPartition, Uuid};
use serde_json::Value;

const GOLDEN: &str = include_str!("../data/golden-batches.json");

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A disk with the partition on it.
struct Fixture {
    sys: Sys,
    /// As Kafka left them.
    files: BTreeMap<String, Vec<u8>>,
}

impl Fixture {
    /// The files as they were, with `recovery_point` in the checkpoint; closed in order or not.
    fn new(clean: bool, recovery_point: i64) -> Fixture {
        let golden: Value = serde_json::from_str(GOLDEN).unwrap();
        let clock = SimClock::new(TimestampMs(1_700_000_100_000));
        let fixture = Fixture {
            sys: Sys::simulated(SimDisk::default(), clock, 1),
            files: golden["partition_dir"]["files"]
                .as_array()
                .unwrap()
                .iter()
                .map(|file| {
                    let bytes = match (file["hex"].as_str(), file["text"].as_str()) {
                        (Some(digits), _) => hex(digits),
                        (None, text) => text.unwrap().as_bytes().to_vec(),
                    };
                    (file["path"].as_str().unwrap().to_owned(), bytes)
                })
                .collect(),
        };
        fixture.sys.disk.create_dir(Path::new("/data")).unwrap();
        fixture.sys.disk.create_dir(Path::new("/data/fx-0")).unwrap();
        for (name, bytes) in &fixture.files {
            fixture.put(name, bytes);
        }
        fixture.put("recovery-point-offset-checkpoint", format!("0\n1\nfx 0 {recovery_point}\n").as_bytes());
        if !clean {
            fixture.remove(".kafka_cleanshutdown");
        }
        fixture
    }

    fn path(name: &str) -> PathBuf {
        Path::new("/data").join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.sys.disk.open(&Self::path(name), Open::Create).unwrap();
        klog::sys::File::set_len(&file, 0).unwrap();
        write_all_at(&file, bytes, 0).unwrap();
    }

    fn remove(&self, name: &str) {
        self.sys.disk.remove_file(&Self::path(name)).unwrap();
    }

    fn remove_ending(&self, endings: &[&str]) {
        for name in self.files.keys().filter(|name| endings.iter().any(|ending| name.ends_with(ending))) {
            self.remove(name);
        }
    }

    fn content(&self, name: &str) -> Option<Vec<u8>> {
        read_whole(&self.sys.disk, &Self::path(name)).ok()
    }

    fn names(&self) -> Vec<String> {
        self.sys.disk.list(Path::new("/data/fx-0")).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    fn open(&self, read_only: bool) -> (Log, Report) {
        let mut report = Report::default();
        let dir = LogDir::open(&self.sys, Path::new("/data"), read_only, Fresh::No, &mut report).unwrap();
        let mut config = TopicConfig::default();
        config.set("index.interval.bytes", "150").unwrap();
        config.set("segment.index.bytes", "1000").unwrap();
        let opening = Opening { leader_epoch: LeaderEpoch(2), watermark: Watermark::LogEnd, topic_id: Uuid::ZERO };
        let log =
            Log::open(&Arc::new(dir), TopicPartition::new("fx", 0), Arc::new(config), opening, &mut report).unwrap();
        (log, report)
    }

    fn assert_unchanged(&self, endings: &[&str]) {
        for (name, bytes) in &self.files {
            if endings.iter().any(|ending| name.ends_with(ending)) {
                assert_eq!(self.content(name).as_ref(), Some(bytes), "{name}");
            }
        }
    }
}

fn end(log: &Log) -> Offset {
    log.block().log_end()
}

const INDEXES: [&str; 4] = [".index", ".timeindex", ".txnindex", ".snapshot"];

#[test]
fn clean_reload_rebuilds_nothing() {
    for read_only in [true, false] {
        let fixture = Fixture::new(true, 17);
        let before = fixture.names();
        let (log, report) = fixture.open(read_only);
        assert_eq!(end(&log), Offset(17));
        assert_eq!(log.standings().recovery_point, Offset(17));
        assert_eq!(log.block().last_stable(), Offset(14));
        assert!(report.is_empty(), "{report:?}");
        fixture.assert_unchanged(&[""]);
        assert_eq!(fixture.names(), before);
    }
}

#[test]
fn unclean_no_indexes_rebuilds_them_byte_for_byte() {
    let fixture = Fixture::new(false, 0);
    fixture.remove_ending(&INDEXES);
    let (log, _) = fixture.open(false);
    assert_eq!(end(&log), Offset(17));
    log.close().unwrap();
    fixture.assert_unchanged(&[".index", ".timeindex", ".txnindex", ".log", ".snapshot"]);
}

#[test]
fn zero_tail_is_cut() {
    let fixture = Fixture::new(false, 8);
    let last = "fx-0/00000000000000000008.log";
    let mut bytes = fixture.files[last].clone();
    bytes.extend([0; 30]);
    fixture.put(last, &bytes);
    let (log, report) = fixture.open(false);
    assert_eq!(fixture.content(last).unwrap().len(), 524);
    assert_eq!(end(&log), Offset(17));
    assert_eq!(report.cuts.len(), 1, "{report:?}");
    assert_eq!(fixture.content(report.cuts[0].kept_in.as_ref().unwrap()), Some(vec![0; 30]));
}

#[test]
fn bit_flip_behind_the_recovery_point_is_cut_with_everything_behind_it() {
    let fixture = Fixture::new(false, 8);
    let last = "fx-0/00000000000000000008.log";
    let mut bytes = fixture.files[last].clone();
    bytes[149 + 65] ^= 1;
    fixture.put(last, &bytes);
    let (log, report) = fixture.open(false);
    assert_eq!(end(&log), Offset(11));
    assert_eq!(log.block().last_stable(), Offset(8));
    let producers = log.producers();
    let open: Vec<_> = producers.open_transactions().map(|(offset, id)| (id.0, offset.0)).collect();
    assert_eq!(open, [(9, 8), (11, 10)]);
    log.close().unwrap();
    assert_eq!(fixture.content(last).unwrap(), bytes[..149]);
    assert_eq!(fixture.content(report.cuts[0].kept_in.as_ref().unwrap()).unwrap(), bytes[149..]);
    assert_eq!(fixture.content("fx-0/00000000000000000008.index").unwrap().len(), 0);
    assert_eq!(fixture.content("fx-0/00000000000000000008.timeindex").unwrap().len(), 12);
    assert_eq!(fixture.content("fx-0/00000000000000000008.txnindex").unwrap().len(), 0);
    assert_eq!(fixture.content("fx-0/00000000000000000017.snapshot"), None);
    assert_eq!(fixture.content("fx-0/00000000000000000011.snapshot").unwrap().len(), 102);
}

#[test]
fn torn_tail_is_cut_where_it_was_never_flushed() {
    let fixture = Fixture::new(false, 14);
    let last = "fx-0/00000000000000000008.log";
    fixture.put(last, &fixture.files[last][..500]);
    let (log, report) = fixture.open(false);
    assert_eq!(end(&log), Offset(15));
    assert_eq!(report.cuts.len(), 1);
    log.close().unwrap();
    assert_eq!(fixture.content(last).unwrap().len(), 445);
    assert!(fixture.content("fx-0/00000000000000000015.snapshot").is_some());
    let time_index = fixture.content("fx-0/00000000000000000008.timeindex").unwrap();
    assert_eq!(time_index[time_index.len() - 4..], 6i32.to_be_bytes(), "it ends with the entry for offset 14");
}

/// Kafka cuts to 445 bytes here as well. klog does not cut what was acknowledged as durable: the torn bytes stay, they are
/// reported, and the log goes on behind the recovery point in a segment of its own.
#[test]
fn torn_tail_below_the_recovery_point_is_kept() {
    let fixture = Fixture::new(false, 17);
    let last = "fx-0/00000000000000000008.log";
    fixture.put(last, &fixture.files[last][..500]);
    let (log, report) = fixture.open(false);
    assert_eq!(end(&log), Offset(17), "no offset is given away twice");
    assert!(report.cuts.is_empty(), "{report:?}");
    assert_eq!(report.damage.len(), 1, "{report:?}");
    assert_eq!(report.damage[0].position, 445);
    assert_eq!((report.damage[0].first_offset, report.damage[0].next_offset), (15, 17));
    log.close().unwrap();
    assert_eq!(fixture.content(last).unwrap().len(), 500);
}

#[test]
fn a_missing_offset_index_is_rebuilt_identically() {
    let fixture = Fixture::new(true, 17);
    fixture.remove("fx-0/00000000000000000000.index");
    let (log, _) = fixture.open(false);
    assert_eq!(end(&log), Offset(17));
    log.close().unwrap();
    fixture.assert_unchanged(&[".index", ".timeindex", ".txnindex", ".log"]);
}

/// Kafka leaves an empty one. klog rebuilds it: with an empty one every look-up by time reads the whole segment.
#[test]
fn a_missing_time_index_is_rebuilt() {
    let fixture = Fixture::new(true, 17);
    fixture.remove("fx-0/00000000000000000000.timeindex");
    let (log, _) = fixture.open(false);
    assert_eq!(end(&log), Offset(17));
    log.close().unwrap();
    fixture.assert_unchanged(&[".index", ".timeindex"]);
}

#[test]
fn without_snapshots_a_clean_log_has_no_producers() {
    let fixture = Fixture::new(true, 17);
    fixture.remove_ending(&[".snapshot"]);
    let (log, _) = fixture.open(false);
    assert_eq!(end(&log), Offset(17));
    assert!(log.producers().is_empty(), "{:?}", log.producers());
    assert_eq!(log.block().last_stable(), Offset(17));
}

#[test]
fn a_log_start_beyond_the_end_begins_the_log_anew_there() {
    let fixture = Fixture::new(true, 17);
    fixture.put("log-start-offset-checkpoint", b"0\n1\nfx 0 40\n");
    let (log, _) = fixture.open(false);
    assert_eq!((log.block().log_start(), end(&log)), (Offset(40), Offset(40)));
    log.close().unwrap();
    let names = fixture.names();
    assert!(names.contains(&"00000000000000000040.log".to_owned()), "{names:?}");
    assert!(!names.contains(&"00000000000000000008.log".to_owned()), "{names:?}");
    // Emptied, and then the leader's epoch begins, as in a broker that becomes the leader.
    assert_eq!(fixture.content("fx-0/leader-epoch-checkpoint").as_deref(), Some(&b"0\n1\n2 40\n"[..]));
}

#[test]
fn leftovers_of_an_interrupted_swap_are_settled() {
    let fixture = Fixture::new(false, 8);
    fixture.put("fx-0/00000000000000000008.log.cleaned", b"unfinished");
    fixture.put("fx-0/00000000000000000003.log.deleted", b"old");
    for extension in ["log", "index", "timeindex"] {
        let name = format!("fx-0/00000000000000000000.{extension}");
        fixture.put(&format!("{name}.swap"), &fixture.files[&name]);
    }
    let (log, _) = fixture.open(false);
    assert_eq!(end(&log), Offset(17));
    log.close().unwrap();
    fixture.assert_unchanged(&[".log", ".index", ".timeindex"]);
    let left: Vec<_> = fixture.names().into_iter().filter(|name| !name.starts_with('0') || name.len() > 31).collect();
    assert!(left.iter().all(|name| !name.contains(".cleaned") && !name.contains(".swap")), "{left:?}");
    assert!(!fixture.names().iter().any(|name| name.ends_with(".deleted")), "{left:?}");
}

#[test]
fn a_reader_gets_the_same_answers_and_changes_nothing() {
    let spoil: [fn(&Fixture); 4] = [
        |fixture| fixture.remove_ending(&INDEXES),
        |fixture| fixture.put("fx-0/00000000000000000008.log", &fixture.files["fx-0/00000000000000000008.log"][..500]),
        |fixture| {
            let mut bytes = fixture.files["fx-0/00000000000000000008.log"].clone();
            bytes[149 + 65] ^= 1;
            fixture.put("fx-0/00000000000000000008.log", &bytes);
        },
        |fixture| {
            let mut bytes = fixture.files["fx-0/00000000000000000008.log"].clone();
            bytes.extend([0; 30]);
            fixture.put("fx-0/00000000000000000008.log", &bytes);
        },
    ];
    for (index, spoil) in spoil.iter().enumerate() {
        let fixture = Fixture::new(false, 8);
        spoil(&fixture);
        let content = |fixture: &Fixture| -> BTreeMap<_, _> {
            fixture.names().into_iter().map(|name| (name.clone(), fixture.content(&format!("fx-0/{name}")))).collect()
        };
        let before = content(&fixture);
        let (reader, _) = fixture.open(true);
        assert!(before == content(&fixture), "way {index} changed something");
        let (writer, _) = fixture.open(false);
        assert_eq!(end(&reader), end(&writer), "way {index}");
        assert_eq!(reader.block().last_stable(), writer.block().last_stable(), "way {index}");
        assert_eq!(reader.aborted_transactions().unwrap(), writer.aborted_transactions().unwrap(), "way {index}");
    }
}
