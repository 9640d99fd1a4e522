//! Directories of real brokers, adopted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use klog::controller::MetadataRecord;
use klog::record::{BatchBuilder, BatchHeader, BatchOptions};
use klog::types::LeaderEpoch;
use klog::{ConfigResource, ConfigSource, Engine, ErrorCode, IsolationLevel, Mode, OpenOptions, Retention};
use klog_tests::golden::{fingerprints, unpack};

use crate::append_golden::{a_year_ahead, segments};
use crate::reading::read_all;

fn options() -> OpenOptions {
    OpenOptions::new().set("threads", "off").unwrap().set("klog.spare", "false").unwrap().system(a_year_ahead())
}

type Records = BTreeMap<(String, i32), Vec<(i64, Option<Vec<u8>>)>>;

/// Every record of every partition, by a reader.
fn records(path: &Path) -> Records {
    let reader = options().mode(Mode::ReadOnly).open(path).unwrap();
    let mut found = Records::new();
    for topic in reader.admin().list_topics().unwrap() {
        for partition in 0..topic.partitions {
            let of_partition = found.entry((topic.name.clone(), partition)).or_default();
            read_all(&reader, &topic.name, partition, IsolationLevel::ReadUncommitted, |record| {
                of_partition.push((record.offset(), record.value().map(<[u8]>::to_vec)));
            });
        }
    }
    found
}

fn retention(engine: &Engine, topic: &str) -> (Option<String>, ConfigSource) {
    let entries = engine.admin().describe_configs(&ConfigResource::Topic(topic.into())).unwrap();
    let entry = entries.into_iter().find(|entry| entry.name == "retention.ms").unwrap();
    (entry.value, entry.source)
}

/// Takes the features back to those of Kafka 4.0: klog changes no metadata of later ones.
fn as_of_4_0(path: &Path) {
    let file = path.join("__cluster_metadata-0/00000000000000000000.log");
    let mut log = fs::read(&file).unwrap();
    let (mut at, mut last) = (0, None);
    while at < log.len() {
        let header = BatchHeader::check(&log[at..]).unwrap();
        at += header.size;
        last = Some(header);
    }
    let last = last.unwrap();
    let record = MetadataRecord::FeatureLevel { name: "metadata.version".to_owned(), level: 25 };
    let mut builder = BatchBuilder::with_capacity(0);
    builder.push(last.max_timestamp, None, Some(&record.encode()), &[]);
    let (base_offset, leader_epoch) = (last.next_offset(), LeaderEpoch(last.leader_epoch.0));
    log.extend(builder.finish(&BatchOptions { base_offset, leader_epoch, ..BatchOptions::default() }).unwrap());
    fs::write(&file, log).unwrap();
    let _ = fs::remove_file(path.join(".kafka_cleanshutdown"));
}

/// Adopts with `told` and gives what is in the segments then, which is what was in them before.
fn adopt(path: &Path, told: Retention, made_metadata: bool) -> BTreeMap<PathBuf, Vec<u8>> {
    let (before, seen) = (segments(path), records(path));
    let adoption = options().adopt(path, told).unwrap();
    assert_eq!(adoption.made_metadata, made_metadata);
    assert!(segments(path) == before, "adopting deletes and changes nothing");
    assert!(records(path) == seen, "a reader sees what it saw");
    assert_eq!(adoption.partitions, seen.len());
    let again = options().adopt(path, told).unwrap();
    assert_eq!((again.made_metadata, again.topics, again.partitions), (false, adoption.topics, adoption.partitions));
    assert_eq!((again.cluster_id, again.node_id), (adoption.cluster_id, adoption.node_id));
    assert!(segments(path) == before && records(path) == seen, "and a second time neither");
    before
}

#[test]
fn a_directory_of_the_zookeeper_era_is_adopted() {
    let golden = unpack("seed-era");
    let seen = records(&golden.path);
    adopt(&golden.path, Retention::FOREVER, true);
    let meta = fs::read_to_string(golden.path.join("meta.properties")).unwrap();
    assert!(meta.contains("version=1") && meta.contains("directory.id="), "{meta}");
    let engine = options().mode(Mode::ReadWrite).open(&golden.path).unwrap();
    let report = engine.report().unwrap();
    assert!(report.damage.is_empty() && report.cuts.is_empty(), "{report}");
    for topic in engine.admin().list_topics().unwrap() {
        let described = engine.admin().describe_topic(&topic.name).unwrap();
        for partition in described.partitions {
            let name = format!("{}-{}", topic.name, partition.partition);
            let text = fs::read_to_string(golden.path.join(&name).join("partition.metadata")).unwrap();
            assert_eq!(text, format!("version: 0\ntopic_id: {}", described.id), "{name}");
            // The epochs of the records go on.
            let epochs = fs::read_to_string(golden.path.join(&name).join("leader-epoch-checkpoint")).unwrap();
            let latest =
                epochs.lines().skip(2).last().map_or(0, |line| line.split_once(' ').unwrap().0.parse().unwrap());
            assert!(partition.leader_epoch >= latest, "{name}: epoch {} after {latest}", partition.leader_epoch);
        }
    }
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0, "told to keep everything, a year later");
    let last = seen[&("peter-overview01".to_owned(), 0)].last().map_or(0, |(offset, _)| offset + 1);
    let sent =
        engine.producer().unwrap().send("peter-overview01", None, Some(b"klog was here")).unwrap().result().unwrap();
    assert_eq!(sent.offset, last);
    engine.close().unwrap();
    let mut after = records(&golden.path);
    after.get_mut(&("peter-overview01".to_owned(), 0)).unwrap().pop();
    assert!(after == seen);
}

#[test]
fn retention_of_a_kraft_directory_is_off_before_and_as_told_after() {
    let golden = unpack("segments");
    as_of_4_0(&golden.path);
    let before = segments(&golden.path);
    let engine = options().mode(Mode::ReadWrite).open(&golden.path).unwrap();
    let topics: Vec<_> = engine.admin().list_topics().unwrap().into_iter().filter(|topic| !topic.is_internal).collect();
    for topic in &topics {
        assert_eq!(retention(&engine, &topic.name), (Some("-1".into()), ConfigSource::NotAdopted), "{}", topic.name);
    }
    assert_eq!(engine.admin().delete_old_segments().unwrap(), 0, "a year later");
    engine.close().unwrap();
    assert!(segments(&golden.path) == before);
    let before = adopt(&golden.path, Retention { ms: 3_600_000, bytes: -1 }, false);
    let engine = options().mode(Mode::ReadWrite).open(&golden.path).unwrap();
    let mut own = 0;
    for topic in &topics {
        let configs = &golden.expected["topic_configs"][&topic.name];
        let (expected, source) = match configs["retention.ms"].as_str() {
            Some(value) => (value, ConfigSource::Topic),
            None => ("3600000", ConfigSource::DefaultBroker),
        };
        own += i32::from(source == ConfigSource::Topic);
        assert_eq!(retention(&engine, &topic.name), (Some(expected.to_owned()), source), "{}", topic.name);
    }
    assert!(own > 0 && own < topics.len() as i32);
    assert!(engine.admin().delete_old_segments().unwrap() > 0);
    engine.close().unwrap();
    // Topics that keep everything by their own settings kept it; of the others nothing is left that is a year old.
    for (path, bytes) in &before {
        let topic =
            path.parent().unwrap().file_name().unwrap().to_str().unwrap().rsplit_once('-').unwrap().0.to_owned();
        let configs = &golden.expected["topic_configs"][&topic];
        let keeps = topic.starts_with("__") || configs["retention.ms"] == "-1";
        if keeps {
            assert!(fs::read(path).is_ok_and(|found| found == *bytes), "{} is gone", path.display());
        }
    }
    let left = records(&golden.path);
    for topic in &topics {
        if retention_of(&golden.expected, &topic.name) >= 0 {
            for partition in 0..topic.partitions {
                assert!(left[&(topic.name.clone(), partition)].is_empty(), "{}-{partition}", topic.name);
            }
        }
    }
}

fn retention_of(expected: &serde_json::Value, topic: &str) -> i64 {
    expected["topic_configs"][topic]["retention.ms"].as_str().map_or(3_600_000, |value| value.parse().unwrap())
}

/// Everything that real brokers left can be adopted, and goes on as it was.
#[test]
fn every_directory_of_one_broker_is_adopted() {
    for case in ["basic", "codecs", "compaction", "transactions", "groups", "crash"] {
        let golden = unpack(case);
        let doomed = |path: &Path| -> Vec<String> {
            let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.ends_with("-delete")).collect()
        };
        as_of_4_0(&golden.path);
        let before = doomed(&golden.path);
        adopt(&golden.path, Retention::FOREVER, false);
        assert_eq!(doomed(&golden.path), before, "{case}: what Kafka was about to remove stays");
        let adoption = options().adopt(&golden.path, Retention::FOREVER).unwrap();
        assert_eq!(adoption.left_alone, before, "{case}: and is listed");
        assert_eq!(case == "groups", !before.is_empty());
    }
}

/// Kafka's files but for the locks, which hold nothing.
fn contents(path: &Path) -> Vec<(PathBuf, klog_tests::golden::Fingerprint)> {
    fingerprints(path, false).into_iter().collect()
}

/// klog reads and appends to what Kafka 4.1 and later left, and changes no metadata of theirs.
#[test]
fn a_directory_of_a_later_kafka_is_not_adopted() {
    for case in ["basic", "segments", "groups"] {
        let golden = unpack(case);
        let before = contents(&golden.path);
        let error = options().adopt(&golden.path, Retention::FOREVER).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unsupported, "{case}: {error}");
        assert!(
            error.message().contains("metadata.version of this directory is 30 ") && error.message().contains("25"),
            "{error}"
        );
        assert_eq!(contents(&golden.path), before, "{case}: what is refused is untouched");
    }
}

#[test]
fn one_of_several_brokers_is_not_adopted() {
    for node in ["epochs/1", "epochs/2", "epochs/3"] {
        let golden = unpack(node);
        let before = contents(&golden.path);
        let error = options().adopt(&golden.path, Retention::FOREVER).unwrap_err();
        assert!([ErrorCode::Unsupported, ErrorCode::KafkaStorageError].contains(&error.code()), "{node}: {error}");
        assert_eq!(contents(&golden.path), before, "{node}: what is refused is untouched");
    }
}
