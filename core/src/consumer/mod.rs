//! Reading records.
//!
//! A consumer reads the partitions that it was assigned, in turns, below what is visible. A poll returns what one partition has,
//! as records that share the memory they were read into, or waits for an append.
//!
//! Source: `org.apache.kafka.clients.consumer.KafkaConsumer`; KIP-98 for `isolation.level`.

mod batch;
mod reader;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

pub use batch::Batch;

use crate::config::{ConsumerConfig, IsolationLevel, OffsetReset};
use crate::engine::{Cluster, Engine, Topic};
use crate::error::{Error, ErrorCode, Result};
use crate::shm::Block;
use crate::sys::{Clock, generation};
use crate::types::{Offset, TimestampMs, TopicPartition};
use batch::Decoded;
use reader::Reader;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record there is.
    Earliest,
    /// Behind the last visible one.
    Latest,
    /// At this offset.
    Offset(i64),
    /// At the first record whose timestamp is not before this, in ms; behind the last one when there is none.
    Timestamp(i64),
}

/// Reads records of partitions that were assigned to it.
///
/// ```
/// # fn main() -> Result<(), klog::Error> {
/// use std::time::Duration;
/// let engine = klog::Engine::memory()?;
/// engine.producer()?.send("orders", None, Some(b"one"))?.result()?;
///
/// let mut consumer = engine.consumer()?;
/// consumer.assign_topics(&["orders"], klog::Start::Earliest)?;
/// for record in &consumer.poll(Duration::from_secs(1))? {
///     assert_eq!(record.value(), Some(&b"one"[..]));
/// }
/// # Ok(()) }
/// ```
pub struct Consumer {
    engine: Engine,
    config: ConsumerConfig,
    readers: Vec<Reader>,
    /// Whole topics that are assigned, each with how many of its partitions are.
    topics: Vec<(Arc<Topic>, i32)>,
    /// Whose turn it is.
    turn: usize,
    waker: Arc<Wakeup>,
    /// Memory to use again once nobody has a batch of it.
    spare: Option<Arc<Decoded>>,
    born: u32,
}

#[derive(Debug)]
struct Wakeup {
    wanted: AtomicBool,
    /// The block of the partition that the consumer sleeps on, or [`BELL`](Self::BELL).
    bed: AtomicU32,
}

impl Wakeup {
    const BELL: u32 = u32::MAX;
}

impl Default for Wakeup {
    fn default() -> Self {
        Wakeup { wanted: AtomicBool::new(false), bed: AtomicU32::new(Self::BELL) }
    }
}

/// Ends a poll from another thread, or from a signal handler: it takes no lock and asks for no memory.
#[derive(Clone, Debug)]
pub struct Waker {
    cluster: Arc<Cluster>,
    wakeup: Arc<Wakeup>,
    born: u32,
}

impl Waker {
    /// Ends the poll that runs, or else the next one, with `Interrupted`.
    pub fn wake(&self) {
        // SeqCst: the consumer notes where it sleeps, and then asks whether it is wanted.
        self.wakeup.wanted.store(true, Ordering::SeqCst);
        if self.born == generation() {
            match self.wakeup.bed.load(Ordering::SeqCst) {
                Wakeup::BELL => self.cluster.ring(),
                partition => self.cluster.announce(partition),
            }
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("assignment", &self.assignment()).finish_non_exhaustive()
    }
}

impl Engine {
    /// A consumer with the default settings.
    ///
    /// # Errors
    /// `Closed`.
    pub fn consumer(&self) -> Result<Consumer> {
        self.consumer_with(ConsumerConfig::default())
    }

    /// A consumer.
    ///
    /// # Errors
    /// `Closed`, `Unsupported` for settings that klog does not have yet.
    pub fn consumer_with(&self, config: ConsumerConfig) -> Result<Consumer> {
        Consumer::new(self.clone(), config)
    }
}

impl Consumer {
    fn new(engine: Engine, config: ConsumerConfig) -> Result<Consumer> {
        if !config.group_id.is_empty() {
            return Err(Error::new(
                ErrorCode::Unsupported,
                "group.id is not supported yet: assign partitions or topics instead of joining a group",
            ));
        }
        engine.cluster()?;
        let waker = Arc::default();
        let (readers, topics) = (Vec::new(), Vec::new());
        Ok(Consumer { engine, config, readers, topics, turn: 0, waker, spare: None, born: generation() })
    }

    fn cluster(&self) -> Result<Arc<Cluster>> {
        if self.born != generation() {
            return Err(Error::new(
                ErrorCode::Forked,
                "the consumer belongs to the parent process; open one in this process",
            ));
        }
        Ok(self.engine.cluster()?.clone())
    }

    /// Takes a partition in, to be read from `start`. One that is there already is moved to it.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; `OffsetOutOfRange` for an offset outside the log, which with `auto.offset.reset` set to
    /// anything but `none` becomes that instead, at the first poll. `RequestTimedOut` when another process keeps the
    /// partition's lock, which an engine that may write takes to open it.
    pub fn assign(&mut self, topic: &str, partition: i32, start: Start) -> Result<()> {
        let cluster = self.cluster()?;
        let found = cluster.topic(topic)?;
        let replica = found.partition(&cluster, partition)?;
        let isolation = self.config.isolation_level;
        let position = self.resolve(&cluster, topic, partition, start)?;
        match self.readers.iter_mut().find(|reader| reader.is(topic, partition)) {
            Some(reader) => reader.seek(position),
            None => self.readers.push(Reader::new(topic, partition, replica, isolation, position)),
        }
        Ok(())
    }

    /// Takes all partitions of topics in, and those that are added later, which are read from their start unless they are
    /// assigned by name before a poll finds them.
    ///
    /// # Errors
    /// Those of [`assign`](Self::assign).
    pub fn assign_topics(&mut self, topics: &[&str], start: Start) -> Result<()> {
        let cluster = self.cluster()?;
        for name in topics {
            let topic = cluster.topic(name)?;
            let count = topic.partition_count();
            for partition in 0..count {
                self.assign(name, partition, start)?;
            }
            self.topics.retain(|(other, _)| other.name != *name);
            self.topics.push((topic, count));
        }
        Ok(())
    }

    /// Takes in what was added to whole topics since they were assigned, but for what was assigned by name since.
    fn follow_topics(&mut self) -> Result<()> {
        for index in 0..self.topics.len() {
            let added = |(topic, known): &(Arc<Topic>, i32)| {
                (*known < topic.partition_count()).then(|| (topic.name.clone(), *known))
            };
            while let Some((name, partition)) = added(&self.topics[index]) {
                if !self.readers.iter().any(|reader| reader.is(&name, partition)) {
                    self.assign(&name, partition, Start::Earliest)?;
                }
                self.topics[index].1 += 1;
            }
        }
        Ok(())
    }

    /// Gives all partitions back.
    pub fn unassign(&mut self) {
        self.readers.clear();
        self.topics.clear();
        self.turn = 0;
    }

    /// The partitions that are assigned, in the order in which they were.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.readers.iter().map(Reader::partition).collect()
    }

    fn resolve(&self, cluster: &Arc<Cluster>, topic: &str, partition: i32, start: Start) -> Result<Offset> {
        let found = cluster.topic(topic)?;
        let replica = found.partition(cluster, partition)?;
        replica.log().mirror();
        let visible = match self.config.isolation_level {
            IsolationLevel::ReadUncommitted => replica.log().block().high_watermark(),
            IsolationLevel::ReadCommitted => replica.log().block().last_stable(),
        };
        Ok(match start {
            Start::Earliest => replica.log().block().log_start(),
            Start::Latest => visible,
            Start::Offset(offset) if offset < 0 => {
                return Err(Error::new(
                    ErrorCode::OffsetOutOfRange,
                    format!("offset {offset} is out of range: {topic}-{partition} begins at 0 or above"),
                ));
            }
            Start::Offset(offset) => Offset(offset),
            Start::Timestamp(timestamp) => {
                let found = replica.log().offset_at(TimestampMs(timestamp), visible)?;
                found.map_or(visible, |found| found.offset)
            }
        })
    }

    fn reader(&mut self, topic: &str, partition: i32) -> Result<&mut Reader> {
        self.readers.iter_mut().find(|reader| reader.is(topic, partition)).ok_or_else(|| {
            Error::new(ErrorCode::NotAssigned, format!("{topic}-{partition} is not assigned to this consumer"))
        })
    }

    /// Goes on elsewhere in a partition that is assigned.
    ///
    /// # Errors
    /// `NotAssigned`, and those of [`assign`](Self::assign).
    pub fn seek(&mut self, topic: &str, partition: i32, start: Start) -> Result<()> {
        let cluster = self.cluster()?;
        self.reader(topic, partition)?;
        let position = self.resolve(&cluster, topic, partition, start)?;
        self.reader(topic, partition)?.seek(position);
        Ok(())
    }

    /// Goes on behind the damage that a poll reported. Says whether the error was one of damage in an assigned partition.
    pub fn seek_past(&mut self, error: &Error) -> bool {
        let Some(damage) = error.damage() else { return false };
        match self.readers.iter_mut().find(|reader| reader.is(&damage.topic, damage.partition)) {
            Some(reader) => {
                reader.seek(Offset(damage.next_offset));
                true
            }
            None => false,
        }
    }

    /// The offset that is read next in a partition that is assigned.
    ///
    /// # Errors
    /// `NotAssigned`.
    pub fn position(&mut self, topic: &str, partition: i32) -> Result<i64> {
        Ok(self.reader(topic, partition)?.position().0)
    }

    /// Leaves a partition out until [`resume`](Self::resume).
    ///
    /// # Errors
    /// `NotAssigned`.
    pub fn pause(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.reader(topic, partition)?.paused = true;
        Ok(())
    }

    /// The partitions that are left out.
    pub fn paused(&self) -> Vec<TopicPartition> {
        self.readers.iter().filter(|reader| reader.paused).map(Reader::partition).collect()
    }

    /// Reads a paused partition again.
    ///
    /// # Errors
    /// `NotAssigned`.
    pub fn resume(&mut self, topic: &str, partition: i32) -> Result<()> {
        self.reader(topic, partition)?.paused = false;
        Ok(())
    }

    /// Reads every assigned partition only up to what is visible now: polls return nothing more behind that, at once, and
    /// [`is_finished`](Self::is_finished) says so.
    pub fn read_until_now(&mut self) {
        self.readers.iter_mut().for_each(Reader::stop_at_bound);
    }

    /// Whether every assigned partition was read up to where [`read_until_now`](Self::read_until_now) ends it.
    pub fn is_finished(&self) -> bool {
        self.readers.iter().all(Reader::is_finished)
    }

    /// Whether records may still come: not, as far as is known, to one who only reads a directory that no process ever shared.
    ///
    /// # Errors
    /// `Closed`, `Forked`.
    pub fn can_wait(&self) -> Result<bool> {
        Ok(self.cluster()?.bell().is_some())
    }

    /// What ends a poll from another thread.
    ///
    /// # Errors
    /// `Closed`, `Forked`.
    pub fn waker(&self) -> Result<Waker> {
        Ok(Waker { cluster: self.cluster()?, wakeup: self.waker.clone(), born: self.born })
    }

    /// The next records of one partition: at most `max.poll.records`. Waits for them up to `timeout`; an empty batch means
    /// that none came.
    ///
    /// # Errors
    /// `CorruptMessage` for damage in a partition's log: the position stays in front of it, and
    /// [`seek_past`](Self::seek_past) moves it behind. `OffsetOutOfRange` when a position was deleted and
    /// `auto.offset.reset` is `none`. `RequestTimedOut`, whatever `timeout` is, when another process has been flushing for
    /// longer than `request.timeout.ms` what has to be durable before it is shown, or keeps the lock of a partition that is
    /// opened. `Interrupted` after [`Waker::wake`]. `Closed`, `Forked`.
    pub fn poll(&mut self, timeout: Duration) -> Result<Batch> {
        self.poll_records(timeout, self.config.max_poll_records as usize)
    }

    /// As [`poll`](Self::poll), for at most `max_records` records.
    ///
    /// # Errors
    /// Those of [`poll`](Self::poll).
    pub fn poll_records(&mut self, timeout: Duration, max_records: usize) -> Result<Batch> {
        let cluster = self.cluster()?;
        let deadline = cluster.sys.clock.monotonic().checked_add(timeout);
        // A reader, who can say nothing, looks whether it can follow by now.
        let may_say = cluster.may_announce();
        let mut has_looked = !may_say;
        loop {
            // Before looking for data: whoever publishes some after this moves the word. Not before the first look: who says
            // that it sleeps, and does not, costs every append a call of the system.
            let only = if let [only] = &self.readers[..] { Some(only.replica().log().block()) } else { None };
            let sleep = has_looked.then(|| cluster.before_sleep(only));
            let bed = only.filter(|_| has_looked).map_or(Wakeup::BELL, Block::index);
            self.waker.bed.store(bed, Ordering::SeqCst);
            cluster.check_open()?;
            cluster.catch_up();
            if self.waker.wanted.swap(false, Ordering::SeqCst) {
                return Err(Error::new(ErrorCode::Interrupted, "the poll was woken"));
            }
            // What is shown first may have to be made durable: the directory is not given back meanwhile.
            let inside = cluster.enter_quietly()?;
            cluster.sync()?;
            if !self.has_bounds() {
                self.follow_topics()?;
            }
            let found = self.poll_once(max_records)?;
            drop(inside);
            if let Some(batch) = found {
                return Ok(batch);
            }
            let now = cluster.sys.clock.monotonic();
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_sub(now));
            if left.is_zero() || (self.has_bounds() && self.is_finished()) {
                return Ok(Batch::empty());
            }
            // Not on the one partition where there are more by now.
            let sleep = sleep.filter(|sleep| self.readers.len() == 1 || !sleep.is_on_partition());
            if let Some(sleep) = &sleep {
                cluster.sleep(sleep, left, || self.waker.wanted.load(Ordering::SeqCst))?;
            }
            has_looked = !may_say || sleep.is_none();
        }
    }

    fn has_bounds(&self) -> bool {
        self.readers.iter().any(Reader::has_bound)
    }

    /// Looks at every partition once, beginning with the one whose turn it is.
    fn poll_once(&mut self, max_records: usize) -> Result<Option<Batch>> {
        let count = self.readers.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some(reader) = self.readers.get_mut(index) else {
                break;
            };
            if reader.paused {
                continue;
            }
            let result = match reader.next(&self.config, max_records, &mut self.spare) {
                Err(error) if error.code() == ErrorCode::OffsetOutOfRange => {
                    reader.reset(&error, self.config.auto_offset_reset)?;
                    reader.next(&self.config, max_records, &mut self.spare)
                }
                result => result,
            };
            match result {
                Ok(None) => {}
                Ok(Some(batch)) => {
                    // A partition that has more keeps its turn until what was decoded is handed out.
                    self.turn = if reader.has_leftover() { index } else { index + 1 };
                    return Ok(Some(batch));
                }
                Err(error) if error.code() == ErrorCode::OffsetOutOfRange => {
                    reader.reset(&error, self.config.auto_offset_reset)?;
                }
                Err(error) => {
                    self.turn = index + 1; // the others are none the worse
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}

impl Reader {
    /// Goes on where `auto.offset.reset` says after a position turned out to be outside the log.
    fn reset(&mut self, error: &Error, reset: OffsetReset) -> Result<()> {
        let position = match reset {
            OffsetReset::Earliest => self.replica().log().block().log_start(),
            OffsetReset::Latest => self.bound(),
            OffsetReset::None => return Err(error.clone()),
        };
        self.seek(position);
        Ok(())
    }
}
