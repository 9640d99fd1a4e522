//! The other process of the tests: what it does is said by its first argument, where by its second.
//!
//! It tells its parent what was acknowledged in lines on standard output, each of which is one write.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

mod follow;
mod obey;
mod values;
mod work;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::exit;
use std::time::Duration;

use klog::sys::points::{self, Point};
use klog::sys::{Clock, RealClock};
use klog::{Engine, Mode, OpenOptions, Result, Start};

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
        "work" => work::work(dir, &Options::parse(&args[3..])),
        "follow" => follow::follow(dir, &Options::parse(&args[3..])),
        "obey" => obey::obey(dir, &Options::parse(&args[3..])),
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

/// Nanoseconds of the clock that all processes share.
fn now_ns() -> u128 {
    RealClock.monotonic().as_nanos()
}

/// What else the arguments say, as `name=value`. Names with a dot are the engine's.
struct Options(BTreeMap<String, String>);

impl Options {
    fn parse(args: &[String]) -> Options {
        Options(args.iter().map(|arg| arg.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).map_or(0, |value| value.parse().unwrap())
    }

    fn open(&self, dir: &Path) -> Result<Engine> {
        let mut options = OpenOptions::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name.contains('.') || *name == "threads") {
            options = options.set(name, value).unwrap();
        }
        if self.number("reading") == 1 {
            options = options.mode(Mode::ReadOnly);
        }
        options.open(dir)
    }

    /// Has this process die where `arm` says.
    fn arm(&self) {
        points::tell_to(1);
        if let Some(point) = self.text("arm") {
            points::arm(Point::parse(point), self.number("passes") as u32);
        }
    }
}

/// Waits until the parent closes our input.
fn wait_for_the_end() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
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
        tell(&format!(
            "producer {}",
            outcome(producer.send("t", None, Some(b"from the child")).and_then(|sent| sent.result()))
        ));
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
