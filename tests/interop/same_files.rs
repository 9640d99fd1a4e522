//! The workload of a golden directory, done again by klog: the same segments, indexes and time indexes come out.

use std::fs;
use std::path::Path;

use klog::inspect::{Content, Dumped, dump};
use klog::sys::Sys;
use klog::{Engine, NewTopic};
use klog_tests::golden::{Golden, unpack};
use serde_json::Value;

/// What an index of either kind contains.
fn entries(file: &Path) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    dump(&Sys::real(), file, Content::of(file).unwrap(), &mut |dumped| {
        found.push(match dumped {
            Dumped::Index(entry) => (entry.offset.0, entry.position.0 as i64),
            Dumped::Time(entry) => (entry.timestamp.0, entry.offset.0),
            other => panic!("{other:?}"),
        });
        Ok(())
    })
    .unwrap();
    found
}

/// Whether klog's public verbs can repeat what the brokers and their clients did to this partition.
fn can_be_repeated(golden: &Golden, partition: &Value) -> bool {
    let configs = &golden.expected["topic_configs"][partition["topic"].as_str().unwrap()];
    let is_plain = |batch: &Value| {
        batch["transactional"] == false && batch["control"] == false && batch["timestamp_type"] == "CreateTime"
    };
    let is_internal = partition["topic"].as_str().unwrap().starts_with("__");
    let is_whole = partition["segments"][0]["base_offset"] == 0 && partition["log_end_offset"] != 0;
    let is_compacted = configs["cleanup.policy"].as_str().is_some_and(|policy| policy.contains("compact"));
    !is_internal && is_whole && !is_compacted && partition["batches"].as_array().unwrap().iter().all(is_plain)
}

fn repeat(golden: &Golden, engine: &Engine, partition: &Value) {
    let topic = partition["topic"].as_str().unwrap();
    let number = partition["partition"].as_i64().unwrap() as i32;
    let mut new = NewTopic::named(topic).partitions(number + 1);
    for (name, value) in golden.expected["topic_configs"][topic].as_object().into_iter().flatten() {
        new = new.config(name, value.as_str().unwrap());
    }
    let _ = engine.admin().create_topic(&new); // another of its partitions was repeated before
    let producer = engine.producer().unwrap();
    let name = format!("{topic}-{number}");
    for batch in partition["batches"].as_array().unwrap() {
        let at = |field: &str| batch[field].as_i64().unwrap();
        let segment = fs::read(golden.path.join(format!("{name}/{:020}.log", at("segment")))).unwrap();
        let position = at("position") as usize;
        let mut bytes = segment[position..position + at("size") as usize].to_vec();
        bytes[..8].fill(0); // as the producer sent it: the base offset is the broker's
        let appended = producer.append_batch(topic, number, &bytes);
        let appended = appended.unwrap_or_else(|error| panic!("{name} at {}: {error}", at("base_offset")));
        assert_eq!(appended.offset, at("base_offset"), "{name}");
    }
}

fn the_same_files_come_out(case: &str) -> usize {
    let golden = unpack(case);
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path().join("data")).unwrap();
    let mut partitions: Vec<_> = golden.expected["partitions"].as_array().unwrap().iter().collect();
    partitions.retain(|partition| can_be_repeated(&golden, partition));
    // The highest partition first: it makes the topic with enough of them.
    partitions.sort_by_key(|partition| -partition["partition"].as_i64().unwrap());
    for partition in &partitions {
        repeat(&golden, &engine, partition);
    }
    engine.close().unwrap();

    for partition in &partitions {
        let name = format!("{}-{}", partition["topic"].as_str().unwrap(), partition["partition"]);
        let found = dir.path().join("data").join(&name);
        let mut segments: Vec<String> = fs::read_dir(&found)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| Path::new(file).extension().is_some_and(|extension| extension == "log"))
            .collect();
        segments.sort();
        let expected = partition["segments"].as_array().unwrap();
        let names: Vec<_> =
            expected.iter().map(|segment| format!("{:020}.log", segment["base_offset"].as_i64().unwrap())).collect();
        assert_eq!(segments, names, "{case}: segments of {name}");
        for segment in expected {
            let base = format!("{:020}", segment["base_offset"].as_i64().unwrap());
            for (extension, field) in [("index", "index"), ("timeindex", "timeindex")] {
                let wanted: Vec<(i64, i64)> = serde_json::from_value(segment[field].clone()).unwrap();
                let entries = entries(&found.join(format!("{base}.{extension}")));
                assert_eq!(entries, wanted, "{case}: {name}/{base}.{extension}");
            }
            let len = fs::metadata(found.join(format!("{base}.log"))).unwrap().len();
            assert_eq!(Some(len), segment["log_size"].as_u64(), "{case}: {name}/{base}.log");
        }
    }
    println!("{case}: {} partitions", partitions.len());
    partitions.len()
}

#[test]
fn the_workload_of_segments_leaves_the_same_segments_and_indexes() {
    assert!(the_same_files_come_out("segments") >= 3);
}

#[test]
fn the_workload_of_basic_leaves_the_same_segments_and_indexes() {
    assert!(the_same_files_come_out("basic") >= 6);
}

#[test]
fn the_workload_of_codecs_leaves_the_same_segments_and_indexes() {
    assert!(the_same_files_come_out("codecs") >= 20);
}
