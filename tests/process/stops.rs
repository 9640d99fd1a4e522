//! A process that holds a lock is stopped: nobody takes it away, everybody says who it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use klog::{ConfigResource, Delivery, Engine, ErrorCode, Mode, OpenOptions, ProducerConfig, Start};

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

/// An engine that waits for a stopped process longer than any of these tests takes.
fn patient() -> OpenOptions {
    OpenOptions::new().set("request.timeout.ms", "100000").unwrap()
}

/// One that stays stopped inside the lock of `written`.
fn one_that_stops(dir: &Path, lock: &str) -> Other {
    let mut holder = Other::opened(dir, &[lock]);
    holder.does("stop locked 1");
    holder.tell("append written 0 7 1");
    holder.stops_at("locked");
    holder
}

fn values(engine: &Engine, topic: &str, beginning: &str) -> Vec<String> {
    let mut consumer = engine.consumer().unwrap();
    consumer.assign(topic, 0, Start::Earliest).unwrap();
    let mut all = Vec::new();
    loop {
        let batch = consumer.poll(Duration::ZERO).unwrap();
        if batch.is_empty() {
            return all;
        }
        let values = batch.iter().map(|record| String::from_utf8_lossy(record.value().unwrap()).into_owned());
        all.extend(values.filter(|value| value.starts_with(beginning)));
    }
}

/// Once the thread that writes what lingers waited there, and what lingered for all others with it.
#[test]
fn what_lingers_for_one_partition_does_not_wait_for_the_stopped_holder_of_another() {
    for lock in ["klog.lock=futex", "klog.lock=ofd"] {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), lock);
        let engine = patient().open(root.path()).unwrap();
        let producer = engine.producer_with(ProducerConfig { linger_ms: 1, ..ProducerConfig::default() }).unwrap();
        for topic in ["written", "durable"] {
            producer.send(topic, None, Some(b"before")).unwrap().result().unwrap();
        }
        let mut holder = one_that_stops(root.path(), lock);
        let kept: Vec<_> = (0..3)
            .map(|number| producer.send("written", None, Some(format!("kept {number}").as_bytes())).unwrap())
            .collect();
        let mut consumer = engine.consumer().unwrap();
        consumer.assign("durable", 0, Start::Latest).unwrap();
        for number in 0..20 {
            let value = format!("free {number}");
            let delivery = producer.send("durable", None, Some(value.as_bytes())).unwrap();
            // Nobody asks for it: only the thread writes it, and the consumer flushes.
            let got = consumer.poll_records(STUCK, 1).unwrap();
            assert_eq!(got.get(0).unwrap().value(), Some(value.as_bytes()), "{lock}");
            assert!(delivery.is_done(), "{lock}");
        }
        assert!(kept.iter().all(|delivery| !delivery.is_done()), "{lock}: nothing was taken from one that lives");
        holder.goes_on();
        assert!(holder.line().unwrap().starts_with("ok"));
        for delivery in &kept {
            delivery.result().unwrap();
        }
        assert_eq!(
            values(&engine, "written", "kept"),
            ["kept 0", "kept 1", "kept 2"],
            "{lock}: each once, and in order"
        );
    }
}

#[test]
fn whoever_waits_beside_a_stopped_holder_keeps_to_the_time_that_it_was_given() {
    let root = tempfile::tempdir().unwrap();
    make(root.path(), "klog.lock=futex");
    let engine = patient().open(root.path()).unwrap();
    let producer = engine.producer().unwrap();
    producer.send("written", None, Some(b"before")).unwrap().result().unwrap();
    let mut holder = one_that_stops(root.path(), "klog.lock=futex");
    let delivery = producer.send("written", None, Some(b"kept")).unwrap();
    for _ in 0..3 {
        let error = delivery.result_within(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::RequestTimedOut);
        assert!(!error.has_holder() && error.message().contains("not written yet"), "{error}");
    }
    holder.goes_on();
    assert!(holder.line().unwrap().starts_with("ok"));
    delivery.result().unwrap();
    assert_eq!(values(&engine, "written", "kept"), ["kept"]);
}

/// Once a signal that came just before the wait, or that another thread's wait had swallowed, was served when that ended.
#[test]
fn whoever_waits_beside_a_stopped_holder_is_asked_between_the_slices_whether_it_wants_to_stop() {
    let root = tempfile::tempdir().unwrap();
    make(root.path(), "klog.lock=futex");
    let wants_to_stop = Arc::new(AtomicBool::new(false));
    let asked = wants_to_stop.clone();
    let engine = patient().on_interrupt(move || asked.load(Ordering::SeqCst)).open(root.path()).unwrap();
    let producer = engine.producer().unwrap();
    producer.send("written", None, Some(b"before")).unwrap().result().unwrap();
    let mut holder = one_that_stops(root.path(), "klog.lock=futex");
    let deliveries: Vec<Delivery> = (0..3).map(|_| producer.send("written", None, Some(b"kept")).unwrap()).collect();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = deliveries.iter().map(|delivery| scope.spawn(|| delivery.result())).collect();
        // No signal comes, and all of them have to take turns.
        wants_to_stop.store(true, Ordering::SeqCst);
        for thread in waiting {
            assert_eq!(thread.join().unwrap().unwrap_err().code(), ErrorCode::Interrupted);
        }
    });
    wants_to_stop.store(false, Ordering::SeqCst);
    holder.goes_on();
    assert!(holder.line().unwrap().starts_with("ok"));
    producer.flush().unwrap();
    assert_eq!(values(&engine, "written", "kept"), ["kept", "kept", "kept"]);
}

/// `flush.messages` has an append wait for the flush lock when the batch is in the log.
#[test]
fn a_record_that_waits_for_a_stopped_flusher_is_appended_once() {
    let root = tempfile::tempdir().unwrap();
    make(root.path(), "klog.lock=futex");
    let engine = OpenOptions::new().set("request.timeout.ms", "300").unwrap().open(root.path()).unwrap();
    let change = BTreeMap::from([("flush.messages".to_owned(), Some("1".to_owned()))]);
    engine.admin().alter_configs(&ConfigResource::Topic("durable".into()), &change).unwrap();
    let producer = engine.producer().unwrap();
    producer.send("durable", None, Some(b"before")).unwrap().result().unwrap();
    let mut holder = Other::opened(root.path(), &[]);
    holder.does("stop flush-begun 1");
    holder.tell("append durable 0 7 1");
    holder.stops_at("flush-begun");
    let began = Instant::now();
    let error = producer.send("durable", None, Some(b"once")).unwrap().result().unwrap_err();
    assert!(error.has_holder() && began.elapsed() >= Duration::from_millis(100), "{error}");
    holder.goes_on();
    assert!(holder.line().unwrap().starts_with("ok"));
    producer.send("durable", None, Some(b"after")).unwrap().result().unwrap();
    assert_eq!(values(&engine, "durable", "once"), ["once"]);
}

#[test]
fn one_who_stops_while_it_changes_the_metadata_is_named() {
    stopped("klog.lock=futex", "metadata-begun", "create one 1", "create two 1");
    stopped("klog.lock=futex", "metadata-appended", "create one 1", "create two 1");
}

/// Nobody writes, waits or asks any more: only the one who keeps house is there. Once its thread never took the flush lock from
/// one who had died with it.
#[test]
fn what_a_dead_flusher_left_is_shown_to_readers_by_whoever_keeps_house() {
    for point in ["committed", "published", "clean", "appended", "flush-begun", "flushed", "flush-published"] {
        let root = tempfile::tempdir().unwrap();
        make(root.path(), "klog.lock=futex");
        let keeper = patient().open(root.path()).unwrap();
        let reader = OpenOptions::new().mode(Mode::ReadOnly).open(root.path()).unwrap();
        let mut consumer = reader.consumer().unwrap();
        consumer.assign("durable", 0, Start::Offset(3)).unwrap();
        let mut other = Other::opened(root.path(), &[]);
        other.does("read durable 0");
        other.does(&format!("arm {point} 1"));
        other.tell("append durable 0 7 1");
        other.dies_at(point);
        let batch = consumer.poll(STUCK).unwrap();
        assert_eq!(batch.get(0).and_then(|record| record.value().map(<[u8]>::to_vec)), Some(b"7".to_vec()), "{point}");
        drop(keeper);
    }
}
