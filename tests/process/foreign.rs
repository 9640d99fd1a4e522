//! A Kafka broker on the directory that klog has open.

use std::path::Path;
use std::process::{Command, Stdio};

use klog::record::{
    BatchBuilder, BatchHeader, BatchOptions, ControlRecord, HEADER_BYTES, LeaderChange, Records, control_batch,
};
use klog::{Engine, ErrorCode, LeaderEpoch, Offset, TimestampMs};

use crate::other::{Other, command};

/// What a broker does with `.lock`, and what it says of it.
const BROKER: &str = r#"
import java.nio.channels.*;
import java.nio.file.*;

public class Broker {
    public static void main(String[] args) throws Exception {
        Path lock = Path.of(args[0], ".lock");
        try (FileChannel channel = FileChannel.open(lock, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            FileLock held = channel.tryLock();
            System.out.println(held == null ? "refused" : "locked");
            System.out.flush();
            System.in.read();
        }
    }
}
"#;

#[test]
fn a_broker_and_klog_refuse_each_other_whoever_comes_first() {
    let java = Command::new("java").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !java.is_ok_and(|status| status.success()) {
        println!("SKIPPED: a broker's lock against klog's: java is not installed");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("Broker.java");
    std::fs::write(&program, BROKER).unwrap();
    let dir = root.path().join("data");
    let broker = || {
        let mut java = Command::new("java");
        java.arg("-Xshare:auto").arg(&program).arg(&dir);
        Other::begin(java)
    };
    let engine = Engine::open(&dir).unwrap();
    let mut refused = broker();
    assert_eq!(refused.line().as_deref(), Some("refused"));
    refused.end();
    // What it closed did not take our lock along.
    let mut refused = broker();
    assert_eq!(refused.line().as_deref(), Some("refused"));
    refused.end();
    engine.close().unwrap();

    let mut first = broker();
    assert_eq!(first.line().as_deref(), Some("locked"));
    let error = Engine::open(&dir).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Locked);
    assert!(error.message().contains("Kafka broker"), "{error}");
    let mut other = Other::begin(command("obey", &dir, &[]));
    assert!(other.ask("open").starts_with("LOCKED"));
    first.kill();
    Engine::open(&dir).unwrap().close().unwrap();
}

/// Where the metadata log ends, its greatest epoch, and how many batches it has, by its file.
fn metadata(dir: &Path) -> (std::path::PathBuf, Offset, i32, usize) {
    let log = dir.join("__cluster_metadata-0/00000000000000000000.log");
    let bytes = std::fs::read(&log).unwrap();
    let (mut at, mut end, mut epoch, mut batches) = (0, Offset::ZERO, 0, 0);
    while at < bytes.len() {
        let header = BatchHeader::check(&bytes[at..]).unwrap();
        assert!(header.base_offset >= end, "{} comes behind {end}", header.base_offset);
        assert!(header.leader_epoch.0 >= epoch, "epoch {} comes behind {epoch}", header.leader_epoch.0);
        assert!(Records::new(&header, &bytes[at + HEADER_BYTES..at + header.size]).all(|record| record.is_ok()));
        (end, epoch, batches) = (header.next_offset(), header.leader_epoch.0, batches + 1);
        at += header.size;
    }
    (log, end, epoch, batches)
}

/// What a broker that is its own controller writes before it finds that it may not have the directory: it has won an election,
/// and the first thing that a leader writes is nothing. Before, it cuts off what is no batch.
fn start_of_a_broker(dir: &Path) -> i32 {
    use std::io::Write;
    let log = dir.join("__cluster_metadata-0/00000000000000000000.log");
    let (bytes, mut whole) = (std::fs::read(&log).unwrap(), 0);
    while let Ok(header) = BatchHeader::check(&bytes[whole..]) {
        whole += header.size;
    }
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(whole as u64).unwrap();
    let (log, end, epoch, _) = metadata(dir);
    let now = TimestampMs(1_700_000_000_000);
    let change = ControlRecord::LeaderChange(LeaderChange { leader_id: 1, voters: vec![1], granting_voters: vec![1] });
    let mut bytes = control_batch(&[change], now, end, LeaderEpoch(epoch + 7));
    let mut builder = BatchBuilder::with_capacity(100);
    builder.push(now, None, Some(&[1, 20, 0, 0]), &[]); // NoOpRecord: frame 1, key 20, version 0, no tags
    let options =
        BatchOptions { base_offset: end.plus(1), leader_epoch: LeaderEpoch(epoch + 7), ..BatchOptions::default() };
    bytes.extend(builder.finish(&options).unwrap());
    std::fs::OpenOptions::new().append(true).open(log).unwrap().write_all(&bytes).unwrap();
    epoch + 7
}

#[test]
fn what_a_broker_wrote_before_it_was_refused_is_taken_in_while_topics_are_made() {
    let root = tempfile::tempdir().unwrap();
    let mut others: Vec<Other> = (0..2).map(|_| Other::opened(root.path(), &[])).collect();
    let mut made = Vec::new();
    for round in 0..6 {
        // While both are at it; while one is in the middle of a change; while nobody is.
        let is_stopped = round % 3 == 1;
        if is_stopped {
            others[0].does("stop metadata-begun 1");
        }
        let names: Vec<String> = (0..2).map(|which| format!("topic-{round}-{which}")).collect();
        let mut epoch = None;
        if round % 3 == 2 {
            epoch = Some(start_of_a_broker(root.path()));
        }
        others[0].tell(&format!("create {} 1", names[0]));
        if is_stopped {
            others[0].stops_at("metadata-begun");
            epoch = Some(start_of_a_broker(root.path()));
            others[0].goes_on();
        }
        others[1].tell(&format!("create {} 1", names[1]));
        for (other, name) in others.iter_mut().zip(names) {
            assert_eq!(other.line().as_deref(), Some("ok"));
            other.does(&format!("append {name} 0 0 1"));
            made.push(name);
        }
        let (_, _, now, _) = metadata(root.path());
        assert!(epoch.is_none_or(|theirs| theirs < now), "round {round}: epoch {now} is not above {epoch:?}");
    }
    made.push(format!("last-{}", made.len()));
    others[1].does(&format!("create {} 1", made.last().unwrap()));
    for other in &mut others {
        let mut found: Vec<String> = other.does("topics").split(' ').map(str::to_owned).collect();
        found.sort();
        made.sort();
        assert_eq!(found, made);
    }
    others.iter_mut().for_each(|other| drop(other.does("close")));
    let engine = Engine::open(root.path()).unwrap();
    let mut found: Vec<String> = engine.admin().list_topics().unwrap().into_iter().map(|topic| topic.name).collect();
    found.sort();
    assert_eq!(found, made);
    assert!(engine.admin().verify(None).unwrap().is_empty());
}

#[test]
fn what_a_broker_wrote_behind_a_change_that_died_is_kept() {
    for (point, is_joined) in
        [("half-written", false), ("half-written", true), ("written", false), ("written", true), ("committed", true)]
    {
        let root = tempfile::tempdir().unwrap();
        // Without threads, so that nobody recovers before the broker comes.
        let mut dying = Other::opened(root.path(), &["threads=off"]);
        let mut next = Other::opened(root.path(), &["threads=off"]);
        dying.does("create first 1");
        dying.does(&format!("arm {point} 1"));
        dying.tell("create dying 1");
        dying.dies_at(point);
        let theirs = start_of_a_broker(root.path());
        let (_, end, _, batches) = metadata(root.path());
        if is_joined {
            let mut joined = Other::opened(root.path(), &["threads=off"]);
            joined.does("topics");
            let (_, unchanged, epoch, same) = metadata(root.path());
            assert_eq!((unchanged, epoch, same), (end, theirs, batches), "{point}");
            joined.does("create joined 1");
            joined.does("close");
        }
        next.does("create next 1");
        let (_, now, epoch, more) = metadata(root.path());
        assert!(now > end && epoch > theirs && more > batches, "{point}: {now}, epoch {epoch}");
        let mut found: Vec<String> = next.does("topics").split(' ').map(str::to_owned).collect();
        found.sort();
        let mut made = vec!["first", "next"];
        if is_joined {
            made.insert(1, "joined");
        }
        if point != "half-written" {
            made.insert(0, "dying");
        }
        assert_eq!(found, made, "{point}");
        next.does("close");
        let engine = Engine::open(root.path()).unwrap();
        assert_eq!(engine.admin().list_topics().unwrap().len(), made.len());
        assert!(engine.admin().verify(None).unwrap().is_empty(), "{point}");
    }
}

#[test]
fn half_of_what_a_broker_wrote_keeps_nobody_from_going_on() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Other::opened(root.path(), &["threads=off"]);
    first.does("create first 1");
    start_of_a_broker(root.path());
    // Its disk was full, or it died.
    let log = root.path().join("__cluster_metadata-0/00000000000000000000.log");
    let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len - 20).unwrap();
    let torn = std::fs::read(&log).unwrap();
    for name in ["second", "third"] {
        let mut next = Other::opened(root.path(), &["threads=off"]);
        next.does(&format!("create {name} 1"));
        next.does(&format!("append {name} 0 0 1"));
        first.does(&format!("append {name} 0 1 1"));
        assert_eq!(next.does(&format!("read {name} 0")), "0:0 1");
    }
    first.does("create fourth 1");
    // Not a byte of it was touched.
    assert_eq!(std::fs::read(&log).unwrap(), torn);
    assert_eq!(first.does("topics").split(' ').count(), 4);
}
