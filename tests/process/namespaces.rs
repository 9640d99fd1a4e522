//! Processes of two namespaces of process numbers, each the first of its own, share a directory.

use std::path::Path;
use std::process::Command;

use klog::sys::SimRandom;
use klog::{Engine, NewTopic};

use crate::oracle::{Oracle, TOPICS};
use crate::other::{Other, command};

/// The child, as process 1 of a namespace of its own. It dies with `unshare`, whose death is all that a parent can bring about.
fn first_of_its_own(dir: &Path, options: &[&str]) -> Command {
    let inner = command("work", dir, options);
    let mut outer = Command::new("unshare");
    outer.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(inner.get_program()).args(inner.get_args());
    outer
}

#[test]
fn processes_that_are_all_number_1_take_nothing_from_each_other() {
    if !Command::new("unshare").args(["--pid", "--fork", "true"]).output().is_ok_and(|run| run.status.success()) {
        println!("SKIPPED: two namespaces of process numbers: unshare takes root");
        return;
    }
    let seed = klog_tests::seed();
    println!("KLOG_TEST_SEED={seed}");
    let random = SimRandom::new(seed);
    for lock in ["klog.lock=futex", "klog.lock=ofd"] {
        let root = tempfile::tempdir().unwrap();
        let engine = Engine::open(root.path()).unwrap();
        for name in TOPICS {
            let topic = NewTopic::named(name).partitions(2).config("index.interval.bytes", "0");
            engine.admin().create_topic(&topic.config("segment.index.bytes", "200")).unwrap();
        }
        engine.close().unwrap();
        let mut oracle = Oracle::default();
        let mut count = 0;
        let mut begin = || {
            count += 1;
            let (id, seed) = (format!("id={count}"), format!("seed={}", random.next()));
            (count, Other::begin(first_of_its_own(root.path(), &[&id, &seed, lock, "klog.spare=false"])))
        };
        let mut both = [begin(), begin()];
        for _ in 0..30 {
            let victim = (random.next() % 2) as usize;
            for _ in 0..random.next() % 40 {
                let (id, other) = &mut both[victim];
                let line = other.line().expect("it goes on until it is killed");
                hear(&mut oracle, *id, &line);
            }
            let (id, mut killed) = std::mem::replace(&mut both[victim], begin());
            killed.kill();
            while let Some(line) = killed.line() {
                hear(&mut oracle, id, &line);
            }
        }
        for (id, mut last) in both {
            last.kill();
            while let Some(line) = last.line() {
                hear(&mut oracle, id, &line);
            }
        }
        let engine = Engine::open(root.path()).unwrap();
        oracle.check(&engine);
        assert!(oracle.records > 0);
        println!("{lock}: 32 kills, {} acknowledged records, all there", oracle.records);
    }
}

fn hear(oracle: &mut Oracle, id: u64, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    if !matches!(words[0], "open" | "closed" | "cleaned" | "shared" | "try") {
        oracle.take(id, &words);
    }
}
