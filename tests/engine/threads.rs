//! Several threads at once, in real time: order, group flush, waking and being woken.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use klog::sys::Event;
use klog::{Engine, ErrorCode, NewTopic, OpenOptions, Start};

use crate::steps::{consumer, consumer_of, create, drain, offsets, producer, refused, send};
use crate::world::{World, on_both_disks};

on_both_disks!(
    each_threads_records_keep_their_order,
    each_threads_records_keep_their_order_in_one_producer,
    an_append_wakes_who_waits_for_it,
    an_append_to_any_partition_wakes_who_waits_for_all,
    a_wakeup_ends_a_poll_once,
    a_lingering_batch_is_written_by_nobodys_call,
    what_is_not_flushed_becomes_visible_by_nobodys_call,
    closing_ends_a_poll_that_waits,
    an_append_beside_a_close_is_acknowledged_or_answers_closed,
);

/// So long that a test that has to wait for its end has failed.
const FOR_EVER: Duration = Duration::from_secs(3600);

fn open(world: &World) -> Engine {
    OpenOptions::new().set("klog.spare", "false").unwrap().system(world.real_time()).open(&world.dir).unwrap()
}

const THREADS: usize = 4;
const EACH: usize = 250;

/// What each thread sent, in the order in which it is stored: every record once, each thread's in its own order.
fn assert_ordered(engine: &Engine, topic: &str) {
    let mut next: BTreeMap<_, _> = (0..THREADS).map(|thread| (thread, 0)).collect();
    let found = crate::steps::read(engine, topic);
    assert_eq!(found.len(), THREADS * EACH);
    for (expected, (offset, value)) in found.into_iter().enumerate() {
        assert_eq!(offset, expected as i64, "a hole");
        let (thread, number) = value.split_once(' ').unwrap();
        let next = next.get_mut(&thread.parse::<usize>().unwrap()).unwrap();
        assert_eq!(number.parse::<usize>().unwrap(), *next, "thread {thread} sent it elsewhere");
        *next += 1;
    }
}

fn each_threads_records_keep_their_order(world: &World) {
    let engine = open(world);
    create(&engine, "t", &[]);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let producer = producer(&engine, &[]);
            scope.spawn(move || {
                for number in 0..EACH {
                    let value = format!("{thread} {number}");
                    producer.send("t", None, Some(value.as_bytes())).unwrap().result().unwrap();
                }
            });
        }
    });
    assert_ordered(&engine, "t");
    engine.close().unwrap();
    assert_ordered(&open(world), "t");
}

fn each_threads_records_keep_their_order_in_one_producer(world: &World) {
    let engine = open(world);
    let producer = producer(&engine, &[("linger.ms", "1"), ("batch.size", "300")]);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let producer = producer.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let delivery = producer.send("t", None, Some(format!("{thread} {number}").as_bytes())).unwrap();
                    if number % 10 == 0 {
                        delivery.result().unwrap();
                    }
                }
            });
        }
    });
    producer.flush().unwrap();
    assert_ordered(&engine, "t");
}

/// Two threads answer each other, so that each of them waits for the other again and again.
fn an_append_wakes_who_waits_for_it(world: &World) {
    let engine = open(world);
    let topics = ["ping", "pong"];
    topics.iter().for_each(|topic| create(&engine, topic, &[("klog.durability", "os")]));
    thread::scope(|scope| {
        for (own, other) in [(0, 1), (1, 0)] {
            let engine = &engine;
            scope.spawn(move || {
                let mut consumer = consumer_of(engine, topics[other], Start::Earliest);
                for round in 0..200 {
                    if own == 0 {
                        send(engine, topics[own], "ball");
                    }
                    let batch = consumer.poll(FOR_EVER).unwrap();
                    assert_eq!((batch.len(), batch.get(0).unwrap().offset()), (1, round));
                    if own == 1 {
                        send(engine, topics[own], "ball");
                    }
                }
            });
        }
    });
}

fn an_append_to_any_partition_wakes_who_waits_for_all(world: &World) {
    let engine = open(world);
    engine.admin().create_topic(&NewTopic::named("t").partitions(3)).unwrap();
    let mut consumer = consumer(&engine, &[]);
    consumer.assign_topics(&["t"], Start::Earliest).unwrap();
    for partition in [2, 0, 1, 1, 0, 2] {
        thread::scope(|scope| {
            scope.spawn(|| {
                let record = klog::ProducerRecord { topic: "t", partition: Some(partition), ..Default::default() };
                producer(&engine, &[]).send_record(&record).unwrap().result().unwrap();
            });
            assert_eq!(consumer.poll(FOR_EVER).unwrap().partition(), partition);
        });
    }
}

fn a_wakeup_ends_a_poll_once(world: &World) {
    let engine = open(world);
    send(&engine, "t", "one");
    let mut consumer = consumer_of(&engine, "t", Start::Latest);
    let waker = consumer.waker().unwrap();
    for _ in 0..50 {
        thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            refused(consumer.poll(FOR_EVER), ErrorCode::Interrupted);
        });
        assert!(consumer.poll(Duration::ZERO).unwrap().is_empty(), "one wakeup ends one poll");
    }
    waker.wake();
    waker.wake();
    let error = consumer.poll(FOR_EVER).unwrap_err();
    assert!(error.code() == ErrorCode::Interrupted && error.is_retriable());
    consumer.seek("t", 0, Start::Earliest).unwrap();
    assert_eq!(drain(&mut consumer), [(0, "one".to_owned())], "the consumer is as good as before");
}

fn a_lingering_batch_is_written_by_nobodys_call(world: &World) {
    let engine = open(world);
    create(&engine, "t", &[]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    let producer = producer(&engine, &[("linger.ms", "1")]);
    producer.send("t", None, Some(b"one")).unwrap();
    assert_eq!(consumer.poll(FOR_EVER).unwrap().len(), 1);
    drop(producer);
}

/// With `acks=1` nobody waits for the disk; `flush.ms` makes it durable, and so visible.
fn what_is_not_flushed_becomes_visible_by_nobodys_call(world: &World) {
    let engine = open(world);
    create(&engine, "t", &[]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    for round in 0..5 {
        let sent = producer(&engine, &[("acks", "1")]).send("t", None, Some(b"one")).unwrap().result().unwrap();
        assert_eq!(sent.offset, round);
        assert_eq!(consumer.poll(FOR_EVER).unwrap().get(0).unwrap().offset(), round);
    }
}

fn closing_ends_a_poll_that_waits(world: &World) {
    let engine = open(world);
    create(&engine, "t", &[]);
    let mut consumer = consumer_of(&engine, "t", Start::Earliest);
    let waker = consumer.waker().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| engine.close().unwrap());
        refused(consumer.poll(FOR_EVER), ErrorCode::Closed);
    });
    waker.wake();
}

/// Threads send without a pause while the engine is closed, each time a little later. What was acknowledged is there, what is
/// there was sent, and behind the mark of an orderly end nothing is written.
fn an_append_beside_a_close_is_acknowledged_or_answers_closed(world: &World) {
    let (mut acknowledged, mut closed, mut unsure) = (0, 0, 0);
    for round in 0..30 {
        let engine = open(world);
        let begin = describe_end(&engine);
        let ends = Mutex::new(BTreeMap::new());
        let sent = AtomicUsize::new(0);
        let after = thread::scope(|scope| {
            let settings: [&[(&str, &str)]; 4] =
                [&[], &[("acks", "1")], &[("linger.ms", "1"), ("batch.size", "200")], &[("klog.durability", "os")]];
            for (thread, settings) in settings.into_iter().enumerate() {
                let producer = producer(&engine, settings);
                let (ends, sent) = (&ends, &sent);
                scope.spawn(move || {
                    for number in 0.. {
                        let value = format!("{round} {thread} {number}");
                        let result = producer.send("t", None, Some(value.as_bytes())).and_then(|sent| sent.result());
                        let over = result.is_err();
                        ends.lock().unwrap().insert(value, result.map(|sent| sent.offset));
                        sent.fetch_add(1, Ordering::SeqCst);
                        if over {
                            return;
                        }
                    }
                });
            }
            while sent.load(Ordering::SeqCst) < 5 + round * 3 {
                thread::yield_now();
            }
            engine.close().unwrap();
            assert!(world.exists(&world.dir.join(".kafka_cleanshutdown")));
            world.contents()
        });
        assert!(world.contents() == after, "round {round}: something was written behind the end");
        let engine = open(world);
        assert!(engine.report().unwrap().is_empty(), "round {round}: {}", engine.report().unwrap());
        let found: BTreeMap<String, i64> =
            crate::steps::read(&engine, "t").into_iter().skip(begin).map(|(offset, value)| (value, offset)).collect();
        assert_eq!(describe_end(&engine), begin + found.len(), "round {round}: a record is there twice");
        let ends = ends.into_inner().unwrap();
        assert!(found.keys().all(|value| ends.contains_key(value)), "round {round}: nobody sent that");
        for (value, end) in &ends {
            match end {
                Ok(offset) => {
                    assert_eq!(found.get(value), Some(offset), "round {round}: '{value}' was acknowledged");
                    acknowledged += 1;
                }
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::Closed, "round {round}: {error}");
                    closed += 1;
                    unsure += usize::from(found.contains_key(value));
                }
            }
        }
        engine.close().unwrap();
    }
    println!("{acknowledged} acknowledged, {closed} answered closed, {unsure} of them are there");
    assert_eq!(closed, 30 * 4);
}

/// How many records `t` has; it is made if it is not there.
fn describe_end(engine: &Engine) -> usize {
    if engine.admin().describe_topic("t").is_err() {
        create(engine, "t", &[]);
    }
    crate::steps::describe(engine, "t").log_end_offset as usize
}

/// One flush serves everybody who waits: with many threads there are fewer syncs than records, never more.
#[test]
fn one_flush_serves_all_who_wait() {
    let world = World::simulated();
    let disk = world.simulated_disk().unwrap();
    let engine = open(&world);
    create(&engine, "t", &[]);
    send(&engine, "t", "first");
    disk.record();
    let begin = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let producer = producer(&engine, &[]);
            let begin = &begin;
            scope.spawn(move || {
                begin.wait();
                for _ in 0..EACH {
                    producer.send("t", None, Some(b"value")).unwrap().result().unwrap();
                }
            });
        }
    });
    let events = disk.take_record();
    // Segments are the only files that 1000 records of a few bytes are written to; checkpoints are written whole.
    let writes = |file| events.iter().filter(|e| matches!(e, Event::Write { file: f, .. } if *f == file)).count();
    let syncs = |file| events.iter().filter(|e| matches!(e, Event::Sync { file: f, .. } if *f == file)).count();
    let files = events.iter().filter_map(|event| match event {
        Event::Write { file, .. } => Some(*file),
        _ => None,
    });
    let log = files.max_by_key(|file| writes(*file)).unwrap();
    println!("{} appends, {} syncs", writes(log), syncs(log));
    assert_eq!(writes(log), THREADS * EACH);
    assert!((1..=THREADS * EACH).contains(&syncs(log)), "{} syncs", syncs(log));
    assert_eq!(offsets(&engine, "t").len(), THREADS * EACH + 1);
}

/// Records that are queued together and waited for together are flushed together, on one thread too.
#[test]
fn one_flush_serves_all_that_was_written_before_it() {
    let world = World::simulated();
    let engine = world.open();
    create(&engine, "t", &[]);
    let lazy = producer(&engine, &[("acks", "1")]);
    send(&engine, "t", "first");
    let disk = world.simulated_disk().unwrap();
    disk.record();
    for _ in 0..20 {
        lazy.send("t", None, Some(b"value")).unwrap().result().unwrap();
    }
    send(&engine, "t", "waited for");
    let events = disk.take_record();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Sync { .. })).count(), 1);
    assert_eq!(offsets(&engine, "t").len(), 22);
}
