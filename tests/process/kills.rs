//! Writers and readers are killed at random moments, and at every point that has a name.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use klog::sys::points::Point;
use klog::sys::{Clock, RealClock, SimRandom};
use klog::{Engine, Mode, NewTopic, OpenOptions};

use crate::oracle::{Oracle, TOPICS};
use crate::other::{Other, STUCK, Said, command, join, stacks_of};

/// How often a process is killed before a directory is looked through and given up for a new one.
const KILLS_PER_ROUND: u64 = 50;

fn kills() -> u64 {
    std::env::var("KLOG_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(2_000)
}

fn now_ns() -> u64 {
    RealClock.monotonic().as_nanos() as u64
}

/// What all rounds together showed.
#[derive(Default)]
struct Tally {
    kills: AtomicU64,
    records: AtomicU64,
    sightings: AtomicU64,
    /// How long the next append of another process took on the partition that the dead one was at, counted from the death
    /// where it had begun before, in ns.
    recoveries: Mutex<Vec<u64>>,
    at_points: Mutex<BTreeMap<String, u64>>,
}

/// One of those who are at work.
struct Worker {
    other: Other,
    options: String,
    heard: u64,
    is_open: bool,
    is_writer: bool,
    /// The partition that it is at.
    trying: Option<(String, i32)>,
    /// Killed from outside, and when.
    killed: Option<u64>,
    /// The point that it said it dies at, and when.
    dies_at: Option<(String, u64)>,
    is_ending: bool,
}

struct Round<'a> {
    dir: PathBuf,
    random: SimRandom,
    lock: &'static str,
    workers: BTreeMap<u64, Worker>,
    oracle: Oracle,
    next_id: u64,
    crowd: (Sender<Said>, Receiver<Said>),
    tally: &'a Tally,
    /// When who died at a partition that nobody else has appended to since.
    waiting: BTreeMap<(String, i32), u64>,
}

fn make(dir: &Path) {
    let engine = Engine::open(dir).unwrap();
    for name in TOPICS {
        let durability = if name == "durable" { "fsync" } else { "os" };
        // An index that is soon full makes for small segments.
        let mut topic = NewTopic::named(name)
            .partitions(2)
            .config("klog.durability", durability)
            .config("index.interval.bytes", "0")
            .config("segment.index.bytes", "200");
        if name == "short" {
            topic = topic.config("retention.bytes", "5000").config("file.delete.delay.ms", "50");
        }
        engine.admin().create_topic(&topic).unwrap();
    }
    engine.close().unwrap();
}

impl Round<'_> {
    fn below(&self, bound: u64) -> u64 {
        self.random.next() % bound
    }

    fn start(&mut self, is_writer: bool) {
        let id = self.next_id;
        self.next_id += 1;
        let mut options = vec![
            format!("id={id}"),
            format!("seed={}", self.random.next()),
            format!("klog.lock={}", self.lock),
            "klog.spare=false".into(),
            "log.retention.check.interval.ms=500".into(),
            format!("threads={}", if self.below(4) == 0 { "off" } else { "on" }),
        ];
        // Half of them die by themselves: those who recover, too.
        if is_writer && self.below(2) == 0 {
            let point = Point::ALL[self.below(Point::ALL.len() as u64) as usize];
            let often = [Point::RecoveryCut, Point::Recovered, Point::HalfWritten, Point::Written];
            let point = if self.below(4) == 0 { often[self.below(4) as usize] } else { point };
            options.push(format!("arm={}", point.name()));
            options.push(format!("passes={}", 1 + self.below(6)));
        }
        if !is_writer {
            options.push(format!("reading={}", self.below(2)));
            options.push(format!("latest={}", self.below(2)));
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let task = if is_writer { "work" } else { "follow" };
        let other = join(&self.crowd.0, id, command(task, &self.dir, &options));
        let worker = Worker {
            other,
            options: options.join(" "),
            heard: now_ns(),
            is_open: false,
            is_writer,
            trying: None,
            killed: None,
            dies_at: None,
            is_ending: false,
        };
        self.workers.insert(id, worker);
    }

    /// Hears one line, or that somebody has died; says whether somebody has.
    fn hear(&mut self) -> bool {
        let (id, line) = match self.crowd.1.recv_timeout(Duration::from_secs(1)) {
            Ok(said) => said,
            Err(RecvTimeoutError::Timeout) => {
                self.look_for_stuck();
                return false;
            }
            Err(RecvTimeoutError::Disconnected) => unreachable!("we have a sender ourselves"),
        };
        let Some(line) = line else {
            self.bury(id);
            return true;
        };
        let worker = self.workers.get_mut(&id).unwrap();
        worker.heard = now_ns();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["open"] => worker.is_open = true,
            ["closed"] => worker.is_open = false,
            ["idle" | "cleaned" | "shared"] => {}
            ["try", topic, partition] => worker.trying = Some((topic.to_owned(), partition.parse().unwrap())),
            ["at", point, at] => worker.dies_at = Some((point.to_owned(), at.parse().unwrap())),
            _ => {
                if let ["ack", topic, partition, tried, at, ..] = words[..] {
                    worker.trying = None;
                    let partition = (topic.to_owned(), partition.parse().unwrap());
                    let (tried, at): (u64, u64) = (tried.parse().unwrap(), at.parse().unwrap());
                    if let Some(died) = self.waiting.get(&partition).copied().filter(|died| *died < at) {
                        self.waiting.remove(&partition);
                        self.tally.recoveries.lock().unwrap().push(at - died.max(tried));
                    }
                }
                self.oracle.take(id, &words);
            }
        }
        false
    }

    fn bury(&mut self, id: u64) {
        let mut worker = self.workers.remove(&id).unwrap();
        let status = worker.other.wait();
        if worker.is_ending && status.success() {
            return;
        }
        assert_eq!(status.signal(), Some(libc::SIGKILL), "process {id} ({}) ended by itself: {status}", worker.options);
        self.tally.kills.fetch_add(1, Ordering::Relaxed);
        let at = match &worker.dies_at {
            Some((point, at)) => {
                *self.tally.at_points.lock().unwrap().entry(point.clone()).or_default() += 1;
                *at
            }
            None => worker.killed.expect("nobody else kills"),
        };
        // Only where somebody is left who does not have to open the directory first.
        let is_anybody_left =
            self.workers.values().any(|other| other.is_writer && other.is_open && other.killed.is_none());
        if let Some(partition) = worker.trying.filter(|_| is_anybody_left) {
            self.waiting.insert(partition, at);
        }
    }

    fn look_for_stuck(&self) {
        let now = now_ns();
        for (id, worker) in &self.workers {
            let silent = Duration::from_nanos(now.saturating_sub(worker.heard));
            let pid = worker.other.id();
            assert!(silent < STUCK, "process {id} ({pid}) in {} is stuck:\n{}", self.dir.display(), stacks_of(pid));
        }
    }

    fn kill(&mut self, id: u64) {
        let now = now_ns();
        let worker = self.workers.get_mut(&id).unwrap();
        worker.killed = Some(now);
        worker.other.kill_at_once();
    }

    /// Kills so many in turn, with others taking their places.
    fn run(&mut self, writers: u64, readers: u64, kills: u64) {
        (0..writers).for_each(|_| self.start(true));
        (0..readers).for_each(|_| self.start(false));
        let mut dead = 0;
        while dead < kills {
            let moments = self.below(16);
            let mut deaths = 0;
            for _ in 0..moments {
                deaths += u64::from(self.hear());
            }
            // Now and then all of them at once.
            let all = self.below(20) == 0;
            let alive: Vec<u64> =
                self.workers.iter().filter(|(_, worker)| worker.killed.is_none()).map(|(id, _)| *id).collect();
            if !alive.is_empty() {
                let victim = alive[self.below(alive.len() as u64) as usize];
                alive.into_iter().filter(|id| all || *id == victim).for_each(|id| self.kill(id));
            }
            while self.workers.values().any(|worker| worker.killed.is_some()) {
                deaths += u64::from(self.hear());
            }
            dead += deaths;
            while self.workers.values().filter(|worker| worker.is_writer).count() < writers as usize {
                self.start(true);
            }
            while self.workers.values().filter(|worker| !worker.is_writer).count() < readers as usize {
                self.start(false);
            }
        }
    }

    /// Some end in order, the rest is killed; then everything is looked at.
    fn end(&mut self) {
        let ids: Vec<u64> = self.workers.keys().copied().collect();
        let is_orderly = self.below(2) == 0;
        for id in ids {
            let worker = self.workers.get_mut(&id).unwrap();
            if is_orderly && worker.is_writer {
                worker.is_ending = true;
                worker.other.ask_to_end();
            } else {
                self.kill(id);
            }
        }
        while !self.workers.is_empty() {
            self.hear();
        }
        self.oracle.check(&OpenOptions::new().mode(Mode::ReadOnly).open(&self.dir).unwrap());
        let engine = Engine::open(&self.dir).unwrap();
        self.oracle.check(&engine);
        let report = engine.report().unwrap();
        assert!(report.damage.is_empty(), "{report:?}");
        engine.close().unwrap();
        let engine = Engine::open(&self.dir).unwrap();
        self.oracle.check(&engine);
        let report = engine.admin().verify(None).unwrap();
        assert!(report.damage.is_empty(), "{report:?}");
        self.tally.records.fetch_add(self.oracle.records, Ordering::Relaxed);
        self.tally.sightings.fetch_add(self.oracle.sightings, Ordering::Relaxed);
    }
}

/// A place for a round's directory: on a disk, or in memory where there is such a file system.
fn place(in_memory: bool) -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if in_memory && shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn round(seed: u64, number: u64, tally: &Tally) {
    let random = SimRandom::new(seed.wrapping_add(number));
    let root = place(number.is_multiple_of(2));
    let dir = root.path().join("data");
    make(&dir);
    let lock = if (number / 2).is_multiple_of(2) { "futex" } else { "ofd" };
    let processes = 1 + random.next() % 8;
    let readers = random.next() % processes.min(4);
    let mut round = Round {
        dir,
        random,
        lock,
        workers: BTreeMap::new(),
        oracle: Oracle::default(),
        next_id: 0,
        crowd: channel(),
        tally,
        waiting: BTreeMap::new(),
    };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        round.run(processes - readers, readers, KILLS_PER_ROUND);
        round.end();
    }));
    if let Err(panic) = result {
        round.workers.clear();
        println!(
            "round {number} of seed {seed}: lock={lock}, {processes} processes, {readers} of them readers; kept at {}",
            root.keep().display()
        );
        std::panic::resume_unwind(panic);
    }
}

fn percentile(sorted: &[u64], percent: usize) -> Duration {
    Duration::from_nanos(
        sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0),
    )
}

#[test]
fn everything_acknowledged_is_there_once_and_in_order_however_many_processes_are_killed() {
    let seed = klog_tests::seed();
    println!("KLOG_TEST_SEED={seed}");
    let tally = Tally::default();
    let rounds = kills().div_ceil(KILLS_PER_ROUND).max(1);
    klog_tests::in_parallel(0..=rounds - 1, |number| round(seed, number, &tally));
    let mut recoveries = tally.recoveries.into_inner().unwrap();
    recoveries.sort_unstable();
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    println!(
        "{} kills in {rounds} rounds; {} acknowledged records, all there; {} seen by readers, as they are",
        count(&tally.kills),
        count(&tally.records),
        count(&tally.sightings),
    );
    println!("deaths at points: {:?}", tally.at_points.lock().unwrap());
    println!(
        "the next append of another process on the partition of a dead one took, from the death on: p50 {:.1?}, p99 {:.1?}, max {:.1?} of {}",
        percentile(&recoveries, 50),
        percentile(&recoveries, 99),
        percentile(&recoveries, 100),
        recoveries.len()
    );
    assert!(count(&tally.records) > count(&tally.kills), "the writers were killed before they did anything");
}
