//! The other process of the tests: what it does is said by its first argument, where by its second.
//!
//! It tells its parent what was acknowledged in lines on standard output, each of which is one write.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::process::exit;
use std::time::Duration;

use klog::{Engine, NewTopic, OpenOptions, Producer, ProducerRecord, Result, Start};

fn main() {
    let print = std::panic::take_hook();
    // A mistake on one thread must not leave the others at work as if nothing were wrong.
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        std::process::abort();
    }));
    let args: Vec<String> = std::env::args().collect();
    let dir = Path::new(&args[2]);
    match args[1].as_str() {
        "write" => write(dir),
        "append" => append(dir),
        "hold" => hold(dir),
        "fork" => fork(dir),
        "fork-memory" => fork_memory(),
        "outlive" => outlive(dir),
        other => panic!("{other} is not known"),
    }
}

/// One line, in one write, so that a kill leaves all of it or nothing.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Waits until the parent closes our input.
fn wait_for_the_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Appends numbers to two topics from two threads, going on where the logs end, and makes a topic in between, until it
/// is killed.
fn write(dir: &Path) {
    let engine = Engine::open(dir).unwrap();
    tell("open");
    std::thread::scope(|scope| {
        for topic in ["durable", "written"] {
            let engine = &engine;
            scope.spawn(move || count_up(engine, topic));
        }
        let topics = engine.admin().list_topics().unwrap();
        let number = |name: &str| name.strip_prefix("made-")?.parse::<usize>().ok();
        let mut made: BTreeSet<usize> = topics.iter().filter_map(|topic| number(&topic.name)).collect();
        for number in made.last().map_or(0, |last| last + 1).. {
            let name = format!("made-{number}");
            engine.admin().create_topic(&NewTopic::named(&name)).unwrap();
            tell(&format!("topic {name}"));
            made.insert(number);
            // A few are kept. Numbers are not given twice.
            let old = |topic: &usize| topic + 4 <= number;
            for gone in made.iter().copied().filter(old).collect::<Vec<_>>() {
                tell(&format!("deleting made-{gone}"));
                engine.admin().delete_topic(&format!("made-{gone}")).unwrap();
                made.remove(&gone);
            }
            count_to(&engine, number);
        }
    });
}

/// Something to do between two topics.
fn count_to(engine: &Engine, number: usize) {
    let producer = engine.producer().unwrap();
    for n in 0..number % 7 {
        producer.send("noise", Some(n.to_string().as_bytes()), Some(b"noise")).unwrap();
    }
    producer.flush().unwrap();
}

fn count_up(engine: &Engine, topic: &str) {
    let producer = engine.producer().unwrap();
    let mut next = end_of(engine, topic).unwrap();
    loop {
        // Batches of one to five records, which a timestamp now and then puts into a new segment.
        let count = 1 + next % 5;
        let mut deliveries = Vec::new();
        for number in next..next + count {
            deliveries.push((number, send(&producer, topic, number).unwrap()));
        }
        for (number, delivery) in deliveries {
            let sent = delivery.result().unwrap();
            tell(&format!("{topic} {number} {}", sent.offset));
        }
        next += count;
    }
}

fn send(producer: &Producer, topic: &str, number: i64) -> Result<klog::Delivery> {
    let value = number.to_string();
    // A segment holds an hour, which is 36 of these.
    let timestamp = Some(number * 100_000);
    producer.send_record(&ProducerRecord { topic, timestamp, value: Some(value.as_bytes()), ..Default::default() })
}

/// One more than the last number of a topic.
fn end_of(engine: &Engine, topic: &str) -> Result<i64> {
    let mut consumer = engine.consumer()?;
    consumer.assign_topics(&[topic], Start::Earliest)?;
    consumer.read_until_now();
    let mut next = 0;
    while !consumer.is_finished() {
        for record in &consumer.poll(Duration::ZERO)? {
            next = std::str::from_utf8(record.value().unwrap()).unwrap().parse::<i64>().unwrap() + 1;
        }
    }
    Ok(next)
}

/// Waits for its turn ten times, and appends a record each time.
fn append(dir: &Path) {
    let options = OpenOptions::new().set("klog.lock.timeout.ms", "60000").unwrap();
    for _ in 0..10 {
        let engine = options.clone().open(dir).unwrap();
        let sent = engine.producer().unwrap().send("t", None, Some(b"one")).unwrap().result().unwrap();
        engine.close().unwrap();
        tell(&sent.offset.to_string());
    }
}

/// Has the directory open until the parent closes our input, and goes without closing it.
fn hold(dir: &Path) {
    let _engine = Engine::open(dir).unwrap();
    tell("open");
    wait_for_the_end();
    exit(0);
}

/// What came of a call, in a word.
fn outcome<T>(result: Result<T>) -> String {
    result.map_or_else(|error| error.code().name().to_owned(), |_| "ok".to_owned())
}

/// Runs `child` in a forked process, and what follows in this one.
#[allow(unsafe_code, reason = "fork is what is tested")]
fn in_child(child: impl FnOnce()) -> i32 {
    // SAFETY: the child runs code that is made for this: the handles of klog, and a write to standard output.
    match unsafe { libc::fork() } {
        0 => {
            child();
            exit(0)
        }
        pid => pid,
    }
}

#[allow(unsafe_code, reason = "waiting for a child")]
fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is ours, and lives as long as the call.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    status
}

/// Uses every handle in a child, while the parent has the directory and after it has given it back.
fn fork(dir: &Path) {
    let engine = Engine::open(dir).unwrap();
    let producer = engine.producer().unwrap();
    let pending = producer.send("t", None, Some(b"from the parent")).unwrap();
    let mut consumer = engine.consumer().unwrap();
    consumer.assign_topics(&["t"], Start::Earliest).unwrap();
    let child = in_child(|| {
        tell(&format!("engine {}", outcome(engine.admin().list_topics())));
        tell(&format!("producer {}", outcome(producer.send("t", None, Some(b"from the child")))));
        tell(&format!("consumer {}", outcome(consumer.poll(Duration::ZERO))));
        tell(&format!("delivery {}", outcome(pending.result())));
    });
    assert_eq!(wait_for(child), 0);
    tell(&format!("parent {}", outcome(pending.result())));
    tell(&format!("parent {}", outcome(producer.send("t", None, Some(b"from the parent")).unwrap().result())));
    engine.close().unwrap();
    let child = in_child(|| {
        let engine = Engine::open(dir).unwrap();
        tell(&format!("reopened {}", outcome(engine.admin().list_topics())));
        engine.close().unwrap();
    });
    assert_eq!(wait_for(child), 0);
}

/// An engine in memory stays with the parent.
fn fork_memory() {
    let engine = Engine::memory().unwrap();
    let producer = engine.producer().unwrap();
    producer.send("t", None, Some(b"one")).unwrap().result().unwrap();
    let child = in_child(|| {
        tell(&format!("engine {}", outcome(engine.admin().list_topics())));
        tell(&format!("producer {}", outcome(producer.send("t", None, Some(b"two")))));
    });
    assert_eq!(wait_for(child), 0);
    tell(&format!("parent {}", outcome(producer.send("t", None, Some(b"three")).unwrap().result())));
}

/// Leaves a child behind that lives on with everything it inherited.
fn outlive(dir: &Path) {
    let engine = Engine::open(dir).unwrap();
    engine.producer().unwrap().send("t", None, Some(b"one")).unwrap().result().unwrap();
    in_child(|| {
        tell("child");
        wait_for_the_end();
    });
    tell("open");
    wait_for_the_end();
    drop(engine);
}
