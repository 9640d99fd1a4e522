//! A process that holds a lock is stopped: nobody takes it away, everybody says who it is.

use std::path::Path;
use std::time::Duration;

use klog::{Delivery, Engine, ErrorCode, OpenOptions};

use crate::other::{Other, STUCK};

const PATIENCE: &str = "request.timeout.ms=300";

fn make(dir: &Path, lock: &str) {
    let mut maker = Other::opened(dir, &[lock]);
    maker.does("create durable 1 klog.durability=fsync");
    maker.does("create written 1 klog.durability=os");
    maker.does("append durable 0 0 3");
    maker.does("append written 0 0 3");
    maker.does("close");
    maker.end();
}

/// One stops at `point` in the middle of `command`; what the other one is told when it does the same.
fn stopped(lock: &str, point: &str, command: &str, other_command: &str) {
    let root = tempfile::tempdir().unwrap();
    make(root.path(), lock);
    let mut holder = Other::opened(root.path(), &[lock]);
    let mut other = Other::opened(root.path(), &[lock, PATIENCE, "threads=off"]);
    // Whoever opens a log for writing takes its lock for a moment; whoever has it open needs none to read.
    for topic in ["durable", "written"] {
        other.does(&format!("read {topic} 0"));
    }
    holder.does(&format!("stop {point} 1"));
    holder.tell(command);
    holder.stops_at(point);
    for _ in 0..2 {
        let said = other.ask(other_command);
        assert!(said.starts_with("REQUEST_TIMED_OUT "), "{lock}, {point}: {said}");
        assert!(said.contains(&format!("process {} ", holder.id())), "{lock}, {point}: {said}");
        assert!(said.contains("nothing was taken from it"), "{lock}, {point}: {said}");
    }
    // Reads go on, of those who come now as well.
    for topic in ["durable", "written"] {
        assert_eq!(other.does(&format!("read {topic} 0")), "0:0 1 2");
        assert_eq!(Other::opened(root.path(), &["reading=1"]).does(&format!("read {topic} 0")), "0:0 1 2");
    }
    holder.goes_on();
    let answer = holder.line().unwrap();
    assert!(answer.starts_with("ok"), "{lock}, {point}: {answer}");
    assert!(other.ask(other_command).starts_with("ok"), "{lock}, {point}");
    if command.starts_with("append durable") {
        // The other one gave up before it had written anything, or when it was written and not durable.
        let read = other.does("read durable 0");
        let times = |number: &str| read.split([' ', ':']).skip(1).filter(|said| *said == number).count();
        assert_eq!(times("7"), 1, "{lock}, {point}: {read}");
        assert!(times("8") >= 1, "{lock}, {point}: {read}");
        assert_eq!(holder.does("read durable 0"), read);
    }
}

#[test]
fn a_stopped_holder_of_a_partition_is_named_and_nothing_is_taken_from_it() {
    for lock in ["klog.lock=futex", "klog.lock=ofd"] {
        for point in ["locked", "dirty", "written", "committed"] {
            stopped(lock, point, "append durable 0 7 1", "append durable 0 8 1");
        }
    }
}

#[test]
fn a_stopped_flusher_is_named_and_nothing_is_taken_from_it() {
    stopped("klog.lock=futex", "flush-begun", "append durable 0 7 1", "append durable 0 8 1");
}

/// Once a wait with an end of its own never named whom it waited for, and whoever asked again and again waited for ever.
#[test]
fn whoever_waits_for_a_time_of_its_own_is_told_of_a_stopped_flusher_too() {
    let root = tempfile::tempdir().unwrap();
    make(root.path(), "klog.lock=futex");
    let open = |patience| OpenOptions::new().set("request.timeout.ms", patience).unwrap().open(root.path()).unwrap();
    let send =
        |engine: &Engine| -> Delivery { engine.producer().unwrap().send("durable", None, Some(b"beside")).unwrap() };
    let (patient, hasty) = (open("3600000"), open("300"));
    for engine in [&patient, &hasty] {
        send(engine).result().unwrap();
    }
    let mut holder = Other::opened(root.path(), &[]);
    holder.does("stop flush-begun 1");
    holder.tell("append durable 0 7 1");
    holder.stops_at("flush-begun");
    let error = send(&patient).result_within(Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::RequestTimedOut);
    assert!(!error.has_holder(), "it has not waited for long: {error}");
    let delivery = send(&hasty);
    for timeout in [STUCK, Duration::from_millis(10)] {
        let error = delivery.result_within(timeout).unwrap_err();
        assert_eq!(error.code(), ErrorCode::RequestTimedOut);
        assert!(error.has_holder() && error.message().contains(&format!("process {} ", holder.id())), "{error}");
    }
    holder.goes_on();
    assert!(holder.line().unwrap().starts_with("ok"));
    delivery.result().unwrap();
}

#[test]
fn one_who_stops_while_it_changes_the_metadata_is_named() {
    stopped("klog.lock=futex", "metadata-begun", "create one 1", "create two 1");
    stopped("klog.lock=futex", "metadata-appended", "create one 1", "create two 1");
}
