//! The power is cut at every write of adopting a directory that klog did not make.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use klog::controller::{MetadataRecord, ResourceType};
use klog::record::{BatchBuilder, BatchHeader, BatchOptions};
use klog::sys::{CrashModel, Disk, SimClock, SimDisk, SimRandom, Sys, read_whole};
use klog::types::LeaderEpoch;
use klog::{
    ConfigResource, Engine, ErrorCode, Mode, NewTopic, OpenOptions, ProducerRecord, Retention, Start, TimestampMs,
};
use klog_tests::power::{DIR, NOW};
use klog_tests::seed;

const LOG: &str = "/data/__cluster_metadata-0/00000000000000000000.log";
const TOLD: Retention = Retention { ms: 9_000_000, bytes: -1 };

/// Every one has other chances: of what two made, ids must not be the same.
fn sys(disk: &SimDisk) -> Sys {
    thread_local!(static MADE: Cell<u64> = const { Cell::new(3) });
    MADE.set(MADE.get() + 1);
    Sys::simulated(disk.clone(), SimClock::new(TimestampMs(NOW)), MADE.get())
}

fn options(disk: &SimDisk) -> OpenOptions {
    let options = OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap();
    options.system(sys(disk))
}

/// Two topics of three segments each, hours old, and a topic with two partitions of which one is empty.
fn filled() -> SimDisk {
    let disk = SimDisk::new(SimClock::new(TimestampMs(NOW)));
    let engine = options(&disk).open(DIR).unwrap();
    let new = |name, partitions| {
        let new = NewTopic::named(name).partitions(partitions).config("segment.ms", "1000");
        engine.admin().create_topic(&new.config("file.delete.delay.ms", "0")).unwrap();
    };
    new("one", 1);
    new("two", 2);
    for topic in ["one", "two"] {
        for hours in [3, 2, 1] {
            let timestamp = Some(NOW - hours * 3_600_000);
            let record =
                ProducerRecord { topic, partition: Some(0), timestamp, value: Some(b"value"), ..Default::default() };
            engine.producer().unwrap().send_record(&record).unwrap().result().unwrap();
        }
    }
    engine.close().unwrap();
    disk
}

/// As a broker of a KRaft cluster of one leaves it: nothing in it grants klog to delete.
fn kraft() -> SimDisk {
    let disk = filled();
    let log = read_whole(&disk, Path::new(LOG)).unwrap();
    let (mut rest, mut last) = (&log[..], None);
    while !rest.is_empty() {
        let header = BatchHeader::check(rest).unwrap();
        rest = &rest[header.size..];
        last = Some(header);
    }
    let mut builder = BatchBuilder::with_capacity(0);
    for key in ["klog.retention.enable", "log.retention.ms"] {
        let record = MetadataRecord::Config {
            resource: ResourceType::BROKER,
            name: String::new(),
            key: key.to_owned(),
            value: None,
        };
        builder.push(TimestampMs(NOW), None, Some(&record.encode()), &[]);
    }
    let last = last.unwrap();
    let options = BatchOptions {
        base_offset: last.next_offset(),
        leader_epoch: LeaderEpoch(last.leader_epoch.0),
        ..BatchOptions::default()
    };
    disk.put(Path::new(LOG), [log, builder.finish(&options).unwrap()].concat());
    disk.duplicate()
}

/// As a broker with ZooKeeper leaves it: no metadata, no ids.
fn zookeeper() -> SimDisk {
    let disk = filled();
    let metadata = Path::new(DIR).join("__cluster_metadata-0");
    for entry in disk.list(&metadata).unwrap() {
        disk.remove_file(&metadata.join(entry.name)).unwrap();
    }
    disk.remove_dir(&metadata).unwrap();
    for partition in ["one-0", "two-0", "two-1"] {
        disk.remove_file(&Path::new(DIR).join(partition).join("partition.metadata")).unwrap();
    }
    disk.remove_file(&Path::new(DIR).join(".lock")).unwrap();
    disk.remove_file(&Path::new(DIR).join(".klog.lck")).unwrap();
    disk.put(&Path::new(DIR).join("meta.properties"), b"version=0\nbroker.id=7\ncluster.id=zoo\n".to_vec());
    disk.duplicate()
}

type Records = BTreeMap<(String, i32), Vec<(i64, Vec<u8>)>>;

fn records(engine: &Engine) -> Records {
    let mut found = Records::new();
    for topic in engine.admin().list_topics().unwrap() {
        for partition in 0..topic.partitions {
            let mut consumer = engine.consumer().unwrap();
            consumer.assign(&topic.name, partition, Start::Earliest).unwrap();
            consumer.read_until_now();
            let of_partition = found.entry((topic.name.clone(), partition)).or_default();
            while !consumer.is_finished() {
                let batch = consumer.poll(Duration::ZERO).unwrap();
                of_partition.extend(batch.iter().map(|record| (record.offset(), record.value().unwrap().to_vec())));
            }
        }
    }
    found
}

fn retention(engine: &Engine) -> Option<String> {
    let entries = engine.admin().describe_configs(&ConfigResource::Topic("one".into())).unwrap();
    entries.into_iter().find(|entry| entry.name == "retention.ms").unwrap().value
}

/// At every cut, in every state of the disk, it is as before or adopted; what is not, is adopted by the next attempt.
fn cut_everywhere(what: &str, base: &SimDisk, seen_before: &Records) {
    let disk = base.duplicate();
    disk.record();
    options(&disk).adopt(DIR, TOLD).unwrap();
    disk.note(1);
    let mut model = CrashModel::of(base);
    let random = SimRandom::new(seed());
    let (mut seen, mut cuts, mut states_seen) = (HashSet::new(), 0, 0);
    let (mut as_before, mut adopted, mut is_acknowledged) = (0, 0, false);
    for event in disk.take_record() {
        model.apply(&event);
        is_acknowledged |= matches!(event, klog::sys::Event::Note(1));
        let states = model.states(&random);
        assert!(states.is_complete());
        cuts += 1;
        for index in 0..states.count().min(1 << 12) {
            let found = states.disk(&states.nth(index));
            if !seen.insert((found.fingerprint(), is_acknowledged)) {
                continue;
            }
            states_seen += 1;
            let what = format!("{what}, cut {cuts}, state {index}");
            let reader = options(&found).mode(Mode::ReadOnly).open(DIR).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(&records(&reader), seen_before, "{what}: a reader");
            // Whoever does not adopt it again finds it as it was, or adopted.
            let other = found.duplicate();
            match options(&other).open(DIR) {
                Ok(engine) => {
                    assert_eq!(&records(&engine), seen_before, "{what}");
                    match retention(&engine).as_deref() {
                        Some("9000000") => adopted += 1,
                        Some("-1") if !is_acknowledged => {
                            as_before += 1;
                            assert_eq!(engine.admin().delete_old_segments().unwrap(), 0, "{what}");
                        }
                        other => panic!("{what}: retention.ms is {other:?}, acknowledged: {is_acknowledged}"),
                    }
                    engine.close().unwrap();
                }
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::Unsupported, "{what}: {error}");
                    assert!(error.message().contains("adopted") && !is_acknowledged, "{what}: {error}");
                    as_before += 1;
                }
            }
            // Adopting again works, and then all is there, and goes on.
            options(&found).adopt(DIR, TOLD).unwrap_or_else(|error| panic!("{what}: adopting again: {error}"));
            let engine = options(&found).open(DIR).unwrap();
            assert_eq!(&records(&engine), seen_before, "{what}: adopted again");
            assert_eq!(retention(&engine).as_deref(), Some("9000000"), "{what}");
            let report = engine.report().unwrap();
            assert!(report.damage.is_empty(), "{what}: {report}");
            let sent = engine.producer().unwrap().send("one", None, Some(b"more")).unwrap().result().unwrap();
            assert_eq!(sent.offset, 3, "{what}");
            engine.admin().create_topic(&NewTopic::named("new")).unwrap();
            engine.close().unwrap();
            assert_eq!(options(&found).open(DIR).unwrap().admin().list_topics().unwrap().len(), 3, "{what}");
        }
    }
    println!("{what}: seed {}, {cuts} cuts, {states_seen} states, {as_before} as before, {adopted} adopted", seed());
    assert!(as_before > 0 && adopted > 0);
}

#[test]
fn adopting_a_kraft_directory_survives_every_power_cut() {
    let base = kraft();
    let seen = records(&options(&base.duplicate()).mode(Mode::ReadOnly).open(DIR).unwrap());
    cut_everywhere("KRaft", &base, &seen);
}

#[test]
fn adopting_a_directory_of_the_zookeeper_era_survives_every_power_cut() {
    let base = zookeeper();
    let seen = records(&options(&base.duplicate()).mode(Mode::ReadOnly).open(DIR).unwrap());
    assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 6);
    cut_everywhere("ZooKeeper", &base, &seen);
}
