//! What handles do in a child.

use klog::{Engine, Start};
use std::time::Duration;

use crate::other::Other;

fn said(task: &str) -> (tempfile::TempDir, Vec<String>) {
    let root = tempfile::tempdir().unwrap();
    let lines = Other::start(task, root.path()).rest();
    (root, lines)
}

#[test]
fn in_a_child_handles_say_clearly_whose_they_are_and_the_parent_goes_on() {
    let (root, lines) = said("fork");
    assert_eq!(
        lines,
        [
            // The engine and the producer open the directory anew, beside the parent.
            "engine ok",
            "producer ok",
            "consumer FORKED",
            "delivery FORKED",
            "parent ok",
            "parent ok",
            "reopened ok",
        ]
    );
    let engine = Engine::open(root.path()).unwrap();
    let mut consumer = engine.consumer().unwrap();
    consumer.assign_topics(&["t"], Start::Earliest).unwrap();
    consumer.read_until_now();
    let mut values = Vec::new();
    while !consumer.is_finished() {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        values.extend(batch.iter().map(|record| String::from_utf8(record.value().unwrap().to_vec()).unwrap()));
    }
    let times = |text: &str| values.iter().filter(|value| *value == text).count();
    assert_eq!(times("from the parent"), 2, "nothing that the parent had queued is written by the child: {values:?}");
    // The child did not wait for it.
    assert!(times("from the child") <= 1, "{values:?}");
}

#[test]
fn an_engine_in_memory_stays_with_the_parent() {
    let (_, lines) = said("fork-memory");
    assert_eq!(lines, ["engine FORKED", "producer FORKED", "parent ok"]);
}

#[test]
fn the_death_of_a_parent_is_noticed_while_its_child_lives() {
    let root = tempfile::tempdir().unwrap();
    let mut other = Other::start("outlive", root.path());
    let mut lines = [other.line().unwrap(), other.line().unwrap()];
    lines.sort();
    assert_eq!(lines, ["child", "open"]);
    other.kill();
    let engine = Engine::open(root.path()).expect("the child holds nothing");
    assert_eq!(engine.admin().describe_topic("t").unwrap().partitions[0].high_watermark, 1);
    engine.close().unwrap();
}
