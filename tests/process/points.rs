//! A process dies at every point that has a name; the others go on, and everything is right.

use std::path::Path;

use klog::sys::points::Point;
use klog::{Engine, ErrorCode};

use crate::other::Other;

const LOCKS: [&str; 2] = ["klog.lock=futex", "klog.lock=ofd"];

/// A topic of each durability, of small segments, with ten records in each.
fn make(dir: &Path, lock: &str) {
    let mut maker = Other::opened(dir, &[lock]);
    let small = "index.interval.bytes=0 segment.index.bytes=64 retention.bytes=1 file.delete.delay.ms=0";
    maker.does(&format!("create durable 2 klog.durability=fsync {small}"));
    maker.does(&format!("create written 2 klog.durability=os {small}"));
    maker.does("append durable 0 0 10");
    maker.does("append written 0 0 10");
    maker.does("close");
    maker.end();
}

/// What somebody does until it dies, and who does it.
enum Victim {
    /// One who has the directory open, beside another.
    Beside(&'static [&'static str]),
    /// One who has it open alone.
    Alone(&'static [&'static str]),
    /// One who opens it, alone.
    Opener,
    /// One who comes behind somebody who died at another point.
    Behind(Point, &'static [&'static str]),
    /// Two at once, one of whom is to die.
    InTurn(&'static str),
}

fn victim(point: Point) -> Victim {
    use Victim::{Alone, Behind, Beside, InTurn, Opener};
    match point {
        Point::Locked
        | Point::Dirty
        | Point::HalfWritten
        | Point::Written
        | Point::Committed
        | Point::Published
        | Point::Clean
        | Point::Appended
        | Point::FlushBegun
        | Point::Flushed
        | Point::FlushPublished => Beside(&["append durable 0 10 1"]),
        Point::RollCreated | Point::RollTorn => Beside(&["append durable 0 10 30"]),
        Point::Unlocked => InTurn("append written 0 10 100000"),
        Point::RecoveryCut => Behind(Point::HalfWritten, &["append durable 0 10 1"]),
        Point::Recovered => Behind(Point::Written, &["append durable 0 10 1"]),
        Point::Truncating | Point::TruncationCounted | Point::Truncated => Beside(&["truncate durable 0 10"]),
        Point::AttachBegun | Point::AttachReady => Opener,
        Point::BlockNamed => Beside(&["append durable 1 0 1"]),
        Point::LogStartRaised | Point::Checkpoint => Beside(&["trim durable 0 5"]),
        Point::DeleteRenamed => Beside(&["clean"]),
        Point::MetadataBegun | Point::MetadataAppended | Point::TopicCreated => {
            Beside(&["create new 1", "append new 0 0 1"])
        }
        Point::TopicRemoved => Beside(&["delete written"]),
        Point::LogsClosed | Point::CleanMarked => Alone(&["append durable 0 10 1", "close"]),
    }
}

/// Has one die at `point`, beside `other` or behind everybody.
fn die(dir: &Path, point: Point, lock: &str, other: &mut Option<Other>) {
    let arm = |victim: &mut Other| drop(victim.does(&format!("arm {} 1", point.name())));
    let until_dead = |mut victim: Other, commands: &[&str]| {
        let (last, first) = commands.split_last().unwrap();
        first.iter().for_each(|command| drop(victim.does(command)));
        victim.tell(last);
        victim.dies_at(point.name());
    };
    match victim(point) {
        Victim::Beside(commands) => {
            *other = Some(Other::opened(dir, &[lock]));
            let mut victim = Other::opened(dir, &[lock]);
            arm(&mut victim);
            // Whichever of the commands comes by.
            commands.iter().for_each(|command| victim.tell(command));
            victim.dies_at(point.name());
        }
        Victim::Alone(commands) => {
            let mut victim = Other::opened(dir, &[lock]);
            arm(&mut victim);
            until_dead(victim, commands);
        }
        Victim::Opener => {
            let mut victim = Other::servant(dir, &[lock]);
            arm(&mut victim);
            until_dead(victim, &["open"]);
        }
        Victim::Behind(first, commands) => {
            // Before anybody dies, so that nobody recovers on the way in; and with nobody else who would do it.
            let mut victim = Other::opened(dir, &[lock, "threads=off"]);
            let mut before = Other::opened(dir, &[lock, "threads=off"]);
            victim.does("append durable 0 10 1");
            before.does(&format!("arm {} 1", first.name()));
            before.tell("append durable 0 11 1");
            before.dies_at(first.name());
            *other = Some(Other::opened(dir, &[lock, "threads=off"]));
            arm(&mut victim);
            until_dead(victim, commands);
        }
        Victim::InTurn(command) => {
            let mut rival = Other::opened(dir, &[lock]);
            let mut victim = Other::opened(dir, &[lock]);
            arm(&mut victim);
            rival.tell(command);
            until_dead(victim, &[command]);
            rival.kill();
            *other = Some(Other::opened(dir, &[lock]));
        }
    }
}

/// Numbers of a partition, without those that were deleted, and where they begin.
fn numbers(other: &mut Other, topic: &str) -> (i64, Vec<i64>) {
    let said = other.does(&format!("read {topic} 0"));
    let Some((first, numbers)) = said.split_once(':') else { return (0, Vec::new()) };
    (first.parse().unwrap(), numbers.split(' ').map(|number| number.parse().unwrap()).collect())
}

/// The first ten are there, or what is left of them, and nothing but what the dead one wrote and we wrote after it.
fn check(point: Point, other: &mut Other) {
    let (start, found) = numbers(other, "durable");
    let ours = found.iter().filter(|number| **number >= 1_000_000).count();
    assert_eq!(ours, 20, "{point:?}: {found:?}");
    let before: Vec<i64> = found[..found.len() - ours].to_vec();
    let mut next = start;
    for number in before {
        // Where two died, each may have written what the other one did.
        assert!(number == next || (number == next - 1 && number > 9), "{point:?}: {number} at {next}");
        next = number.max(next) + i64::from(number == next);
    }
    assert!(next >= 10, "{point:?}: it ends at {next}");
    assert!(start <= 10, "{point:?}: it begins at {start}");
}

fn every_point(lock: &str) {
    for point in Point::ALL {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        make(&dir, lock);
        let mut other = None;
        die(&dir, *point, lock, &mut other);
        let mut other = other.unwrap_or_else(|| Other::opened(&dir, &[lock]));
        // The others go on: in every partition, and with the metadata.
        other.does("append durable 0 1000000 20");
        other.does("append durable 1 0 5");
        other.does("create later 2");
        other.does("append later 1 0 5");
        // What the dead one had begun is there, or can be begun.
        if let Victim::Beside(["create new 1", ..]) = victim(*point) {
            let made = other.ask("create new 1");
            assert!(made == "ok" || made.starts_with("TOPIC_ALREADY_EXISTS"), "{point:?}: {made}");
            other.does("append new 0 0 1");
        }
        check(*point, &mut other);
        let mut another = Other::opened(&dir, &[lock]);
        check(*point, &mut another);
        another.does("clean");
        other.does("close");
        another.does("close");
        let engine = Engine::open(&dir).unwrap();
        let report = engine.admin().verify(None).unwrap();
        assert!(report.damage.is_empty(), "{point:?}: {report:?}");
        engine.close().unwrap();
        let mut last = Other::opened(&dir, &["reading=1"]);
        check_left(*point, &mut last);
    }
}

/// As [`check`], after old segments went.
fn check_left(point: Point, other: &mut Other) {
    let (_, found) = numbers(other, "durable");
    let expected = 1_000_020 - found.len() as i64;
    let ours: Vec<i64> = found.iter().copied().filter(|number| *number >= 1_000_000).collect();
    assert!(ours.iter().copied().eq(expected.max(1_000_020 - ours.len() as i64)..1_000_020), "{point:?}: {found:?}");
}

#[test]
fn a_death_at_every_point_is_survived_with_futexes() {
    every_point(LOCKS[0]);
}

#[test]
fn a_death_at_every_point_is_survived_with_locks_of_the_kernel() {
    every_point(LOCKS[1]);
}

/// Once, whoever made a topic's removal durable renamed its directories whatever they were by then.
#[test]
fn a_topic_that_is_made_again_keeps_its_directories_when_its_remover_comes_late() {
    let root = tempfile::tempdir().unwrap();
    make(root.path(), LOCKS[0]);
    let mut remover = Other::opened(root.path(), &[]);
    let mut maker = Other::opened(root.path(), &[]);
    remover.does("stop topic-removed 1");
    remover.tell("delete written");
    remover.stops_at("topic-removed");
    maker.does("create written 2");
    assert_eq!(maker.does("append written 0 50 3"), "2");
    remover.goes_on();
    assert_eq!(remover.line().unwrap(), "ok");
    assert_eq!(maker.does("read written 0"), "0:50 51 52");
    assert_eq!(remover.does("read written 0"), "0:50 51 52");
    remover.does("close");
    maker.does("close");
    let engine = Engine::open(root.path()).unwrap();
    assert_eq!(engine.admin().describe_topic("written").unwrap().partitions[0].high_watermark, 3);
    assert_eq!(engine.admin().describe_topic("other").unwrap_err().code(), ErrorCode::UnknownTopicOrPartition);
}

/// Once, retention took an append that came to nothing for content of the last segment, and with it the segment that
/// everybody was writing to.
#[test]
fn retention_beside_an_append_that_comes_to_nothing_leaves_the_active_segment() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Other::opened(root.path(), &["threads=off"]);
    first.does("create t 1 klog.durability=os retention.bytes=0 file.delete.delay.ms=0");
    let mut cleaner = Other::opened(root.path(), &["threads=off"]);
    cleaner.does("append t 0 0 3");
    assert_eq!(cleaner.does("clean"), "1");
    // The last segment is empty. Somebody writes half of a batch, and stops there; then he dies.
    first.does("read t 0");
    let mut victim = Other::opened(root.path(), &["threads=off"]);
    victim.does("read t 0");
    victim.does("stop half-written 1");
    victim.tell("append t 0 3 1");
    victim.stops_at("half-written");
    cleaner.tell("clean");
    assert!(cleaner.line_within(std::time::Duration::from_millis(200)).is_err(), "it waits for the lock");
    victim.kill();
    assert_eq!(cleaner.line().as_deref(), Some("ok 0"));
    assert_eq!(first.does("append t 0 4 2"), "4");
    assert_eq!(Other::opened(root.path(), &[]).does("read t 0"), "3:4 5");
}

/// Once, who had read everything of an old segment went on writing to it, although another had begun the next one and
/// appended nothing.
#[test]
fn a_segment_that_another_process_began_is_written_to_although_it_is_empty() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Other::opened(root.path(), &["threads=off"]);
    first.does("create t 1 klog.durability=os retention.bytes=0");
    first.does("append t 0 0 3");
    let mut cleaner = Other::opened(root.path(), &["threads=off"]);
    assert_eq!(cleaner.does("clean"), "1");
    assert_eq!(first.does("append t 0 3 2"), "4");
    assert_eq!(cleaner.does("append t 0 5 1"), "5");
    for other in [&mut first, &mut cleaner, &mut Other::opened(root.path(), &[])] {
        assert_eq!(other.does("read t 0"), "3:3 4 5");
    }
}
