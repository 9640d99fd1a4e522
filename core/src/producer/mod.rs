//! Sending records.
//!
//! A record goes to a partition, into that partition's open batch, encoded in place. The batch is written when it is full, when
//! it has lingered, or when somebody waits for one of its records: by the thread that finds that out, without a hand-over. A
//! [`Delivery`] says what became of a record.
//!
//! Source: `org.apache.kafka.clients.producer.KafkaProducer`.

mod delivery;
mod lane;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

pub use delivery::{Delivery, RecordMetadata};

use crate::config::{Acks, Durability, ProducerConfig};
use crate::engine::{Cluster, Drain, Engine, Topic};
use crate::error::{Error, ErrorCode, Result};
use crate::record::{BatchBuilder, Compression, Partitioner, partition_for_key};
use crate::replica::{Need, Replica};
use crate::sys::PerProcess;
use crate::types::INTERNAL_TOPICS;
use lane::{Cell, Lane};

/// A record that is to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProducerRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; `None` is by key, and without a key wherever the producer likes.
    pub partition: Option<i32>,
    /// Milliseconds since 1970-01-01 UTC; `None` is now.
    pub timestamp: Option<i64>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Names and values, in order; a name may come again.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Sends records to topics. May be used by any number of threads at once; clones are the same producer.
///
/// In a child process a producer begins anew, without the records that its parent had queued. For a lock that another process
/// holds it waits as long as the engine's `request.timeout.ms` says.
///
/// ```
/// # fn main() -> Result<(), klog::Error> {
/// let engine = klog::Engine::memory()?;
/// let producer = engine.producer()?;
/// let delivery = producer.send("orders", Some(b"key"), Some(b"value"))?;
/// assert_eq!(delivery.result()?.offset, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    settings: Settings,
    state: PerProcess<Arc<State>>,
}

/// What a lane needs to know of the producer's configuration.
#[derive(Clone, Copy, Debug)]
struct Settings {
    acks: Acks,
    durability: Option<Durability>,
    batch_size: usize,
    buffer_memory: i64,
    /// Bytes that a batch counts for in advance, so that not every record is counted.
    counted_at_once: i64,
    max_request_size: usize,
    linger: Duration,
    compression: Compression,
    partitioner: Partitioner,
    ignores_keys: bool,
}

impl Settings {
    /// What a delivery waits for, on a topic of that durability; `None` when being written is enough.
    fn need(&self, topic: Durability) -> &'static [Need] {
        match (self.acks, self.durability) {
            (Acks::None, _) | (Acks::Leader, None | Some(Durability::Os)) => &[],
            (Acks::Leader, Some(Durability::Fsync)) => &[Need::Durable],
            (Acks::All | Acks::MinusOne, None) => &[Need::Visible],
            // The topic's watermark may wait for the disk; this producer does not.
            (Acks::All | Acks::MinusOne, Some(Durability::Os)) => match topic {
                Durability::Os => &[Need::Visible],
                Durability::Fsync => &[],
            },
            (Acks::All | Acks::MinusOne, Some(Durability::Fsync)) => &[Need::Durable, Need::Visible],
        }
    }
}

/// How many topics a producer finds without a lock: more than most send to, and soon looked through.
const FIRST_TOPICS: usize = 8;

/// What a process has queued.
struct State {
    cluster: Arc<Cluster>,
    settings: Settings,
    topics: RwLock<BTreeMap<String, Arc<TopicLanes>>>,
    /// Some of them once more, in the order in which they were first sent to: whoever finds a topic here takes no lock. One
    /// that was removed, or has more partitions by now, keeps its place, so there are few.
    first_topics: [OnceLock<Arc<TopicLanes>>; FIRST_TOPICS],
    /// Bytes that the batches in all lanes count for: what is queued, and a little in advance.
    queued: Arc<AtomicI64>,
    /// Batches that could not be written and that nobody has been told of.
    failed: Arc<Mutex<Vec<Arc<Cell>>>>,
}

struct TopicLanes {
    topic: Arc<Topic>,
    /// One for each partition, made when a record goes there.
    lanes: Vec<Arc<OnceLock<Arc<Lane>>>>,
    /// Where records without a key go for now, and how many bytes went there.
    sticky: AtomicI32,
    sticky_bytes: AtomicI64,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl Engine {
    /// A producer with the default settings.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`.
    pub fn producer(&self) -> Result<Producer> {
        self.producer_with(ProducerConfig::default())
    }

    /// A producer.
    ///
    /// # Errors
    /// `ReadOnly`, `Closed`, `Unsupported` for settings that klog does not have yet.
    pub fn producer_with(&self, config: ProducerConfig) -> Result<Producer> {
        Producer::new(self.clone(), config)
    }
}

impl Producer {
    fn new(engine: Engine, config: ProducerConfig) -> Result<Producer> {
        let unsupported = |what: &str| Err(Error::new(ErrorCode::Unsupported, format!("{what} is not supported yet")));
        if config.enable_idempotence {
            return unsupported("enable.idempotence=true");
        }
        if !config.transactional_id.is_empty() {
            return unsupported("transactional.id");
        }
        engine.cluster()?.check_writable()?;
        let settings = Settings {
            acks: config.acks,
            durability: config.klog_durability,
            batch_size: config.batch_size as usize,
            buffer_memory: config.buffer_memory,
            // So little that even many open batches do not take much of what records could.
            counted_at_once: (config.buffer_memory / 64).min(8192).min(i64::from(config.batch_size)),
            max_request_size: config.max_request_size as usize,
            linger: Duration::from_millis(config.linger_ms as u64),
            compression: config.compression(),
            partitioner: config.partitioner,
            ignores_keys: config.partitioner_ignore_keys,
        };
        Ok(Producer { shared: Arc::new(Shared { engine, settings, state: PerProcess::default() }) })
    }

    fn state(&self) -> Result<&Arc<State>> {
        let shared = &*self.shared;
        let make = || -> Result<Arc<State>> {
            let state = Arc::new(State {
                cluster: shared.engine.cluster()?.clone(),
                settings: shared.settings,
                topics: RwLock::default(),
                first_topics: Default::default(),
                queued: Arc::default(),
                failed: Arc::default(),
            });
            let weak: Weak<State> = Arc::downgrade(&state);
            state.cluster.register(weak);
            Ok(state)
        };
        let state = shared.state.get_or_try(make)?;
        let state = state.ok_or_else(|| Error::new(ErrorCode::Forked, "the producer belongs to another process"))?;
        state.cluster.check_writable()?;
        state.cluster.catch_up();
        Ok(state)
    }

    /// Queues a record. Returns at once, or, when its batch is full, when that is written.
    ///
    /// # Errors
    /// See [`send_record`](Self::send_record).
    pub fn send(&self, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Delivery> {
        self.send_record(&ProducerRecord { topic, key, value, ..ProducerRecord::default() })
    }

    /// Queues a record with everything that a record can have.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`; `MessageTooLarge` above `max.request.size`; `InvalidTimestamp` outside what the topic
    /// allows; `InvalidTopic` for Kafka's own topics; `RequestTimedOut` where another process keeps the lock that it takes to
    /// make the topic or to open the partition; `Locked` once this handle lost its place in the directory; `Closed`. The
    /// record is then not queued. Whatever happens to it later, the [`Delivery`] says. `Interrupted`: it is queued, where it was
    /// an append that waited, and is written by whatever writes next.
    pub fn send_record(&self, record: &ProducerRecord<'_>) -> Result<Delivery> {
        let state = self.state()?;
        let lanes = state.topic(record.topic)?;
        let number = lanes.choose(state, record)?;
        let lane = lanes.lane(state, number)?;
        lane.send(record)
    }

    /// Appends a batch that somebody else encoded, as a broker does with a client's: one v2 batch of `partition`, checked
    /// and placed. Waits as `acks` says.
    ///
    /// # Errors
    /// See [`Log::append`](crate::log::Log::append).
    pub fn append_batch(&self, topic: &str, partition: i32, batch: &[u8]) -> Result<RecordMetadata> {
        let state = self.state()?;
        let lanes = state.topic(topic)?;
        let lane = lanes.lane(state, partition)?;
        lane.write(Lane::write_all, || false)?; // what was sent before stays before
        let mut bytes = batch.to_vec();
        let appended = lane.append_client(&mut bytes)?;
        for need in state.settings.need(lane.partition.log().durability()) {
            state.cluster.wait_for(&lane.partition, appended.next_offset, *need, None)?;
        }
        Ok(RecordMetadata {
            topic: topic.to_owned(),
            partition,
            offset: appended.base_offset.0,
            timestamp: appended.log_append_time.map_or(-1, |timestamp| timestamp.0),
        })
    }

    /// Writes everything that is queued and waits until it is as `acks` says.
    ///
    /// # Errors
    /// The first failure of any record whose [`Delivery`] nobody has asked, and those of waiting.
    pub fn flush(&self) -> Result<()> {
        let state = self.state()?;
        state.lanes().iter().try_for_each(|lane| lane.write(Lane::write_all, || false))?;
        let mut result = state.take_failure();
        for lane in state.lanes() {
            for need in state.settings.need(lane.partition.log().durability()) {
                result = result.and(state.cluster.wait_for(&lane.partition, lane.written_to(), *need, None));
            }
        }
        result
    }

    /// Records that are queued and not written yet.
    ///
    /// # Errors
    /// `Closed`.
    pub fn pending(&self) -> Result<usize> {
        Ok(self.state()?.lanes().iter().map(|lane| lane.pending()).sum())
    }
}

impl State {
    fn topic(&self, name: &str) -> Result<Cow<'_, Arc<TopicLanes>>> {
        let mut first = self.first_topics.iter().map_while(OnceLock::get);
        match first.find(|lanes| lanes.topic.name == name && lanes.is_current()) {
            Some(lanes) => Ok(Cow::Borrowed(lanes)),
            None => self.look_up(name).map(Cow::Owned),
        }
    }

    fn look_up(&self, name: &str) -> Result<Arc<TopicLanes>> {
        if let Some(lanes) = self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name)
            && lanes.is_current()
        {
            return Ok(lanes.clone());
        }
        if INTERNAL_TOPICS.contains(&name) || name == crate::types::METADATA_TOPIC {
            return Err(Error::new(
                ErrorCode::InvalidTopic,
                format!("'{name}' is one of Kafka's own topics; records cannot be sent to it"),
            ));
        }
        let topic = self.cluster.topic_or_create(name)?;
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let before = topics.get(name).filter(|lanes| Arc::ptr_eq(&lanes.topic, &topic));
        let lanes = match before {
            Some(lanes) if lanes.is_current() => return Ok(lanes.clone()),
            before => Arc::new(TopicLanes::new(topic, before.map_or(&[], |before| &before.lanes))),
        };
        topics.insert(name.to_owned(), lanes.clone());
        if let Some(free) = self.first_topics.iter().find(|place| place.get().is_none()) {
            let _ = free.set(lanes.clone()); // under the lock, so that it is still free
        }
        Ok(lanes)
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().flat_map(|topic| topic.lanes.iter().filter_map(|lane| lane.get().cloned())).collect()
    }

    /// The first failure that nobody was told of.
    fn take_failure(&self) -> Result<()> {
        let failed = std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        failed.iter().find_map(|cell| cell.take_unobserved()).map_or(Ok(()), Err)
    }
}

impl Drain for State {
    fn drain(&self) {
        for lane in self.lanes() {
            lane.write_in_any_case();
        }
    }
}

impl TopicLanes {
    /// Lanes for all partitions of `topic`; the first ones are there already when it has grown.
    fn new(topic: Arc<Topic>, first: &[Arc<OnceLock<Arc<Lane>>>]) -> TopicLanes {
        let mut lanes = first.to_vec();
        lanes.resize_with(topic.partition_count() as usize, Arc::default);
        TopicLanes { topic, lanes, sticky: AtomicI32::new(-1), sticky_bytes: AtomicI64::new(0) }
    }

    /// Whether the topic is still there, with as many partitions.
    fn is_current(&self) -> bool {
        !self.topic.is_removed() && self.topic.partition_count() as usize == self.lanes.len()
    }

    /// The partition that a record goes to.
    fn choose(&self, state: &State, record: &ProducerRecord<'_>) -> Result<i32> {
        let count = self.lanes.len() as i32;
        if let Some(partition) = record.partition {
            if (0..count).contains(&partition) {
                return Ok(partition);
            }
            return Err(Error::new(
                ErrorCode::UnknownTopicOrPartition,
                format!("topic '{}' has partitions 0 to {}, and not {partition}", self.topic.name, count - 1),
            ));
        }
        let key = record.key.filter(|_| !state.settings.ignores_keys);
        match partition_for_key(state.settings.partitioner, key, count) {
            Some(partition) => Ok(partition),
            None => Ok(self.stick(state, count, record)),
        }
    }

    /// One partition until about a batch has gone there, then another.
    fn stick(&self, state: &State, count: i32, record: &ProducerRecord<'_>) -> i32 {
        if count == 1 {
            return 0;
        }
        let bytes = BatchBuilder::record_bound(record.key, record.value, record.headers) as i64;
        let before = self.sticky_bytes.fetch_add(bytes, Ordering::Relaxed);
        let current = self.sticky.load(Ordering::Relaxed);
        if current >= 0 && before < state.settings.batch_size as i64 {
            return current;
        }
        let other = state.cluster.sys.random_below(count as u64) as i32;
        let next = if other == current { (other + 1) % count } else { other };
        self.sticky.store(next, Ordering::Relaxed);
        self.sticky_bytes.store(bytes, Ordering::Relaxed);
        next
    }

    fn lane(&self, state: &State, number: i32) -> Result<&Arc<Lane>> {
        let cell = usize::try_from(number).ok().and_then(|index| self.lanes.get(index));
        let Some(cell) = cell else {
            self.topic.partition(&state.cluster, number)?; // says why not
            return Err(Error::new(ErrorCode::UnknownTopicOrPartition, format!("there is no partition {number}")));
        };
        if let Some(lane) = cell.get() {
            return Ok(lane);
        }
        let partition: Arc<Replica> = self.topic.partition(&state.cluster, number)?;
        let lane = Lane::new(&state.cluster, partition, state.settings, &state.queued, &state.failed);
        Ok(cell.get_or_init(|| lane))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Records that nobody waits for are written all the same.
        if let Some(state) = self.state.get() {
            state.drain();
            // A failed batch holds its lane, which holds this list.
            state.failed.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}
