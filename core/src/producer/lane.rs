//! A producer's way into one partition: the open batch, and those that are full and wait to be written.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::time::Duration;

use super::{Delivery, ProducerRecord, Settings};
use crate::config::{MessageTimestampType, TopicConfig};
use crate::engine::{Cluster, Duty};
use crate::error::{Error, ErrorCode, Result};
use crate::log::{Appended, Batch};
use crate::record::{BatchBuilder, BatchOptions, Codec};
use crate::replica::Replica;
use crate::shm::Slices;
use crate::sys::{Wait, generation};
use crate::types::{Offset, TimestampMs};

/// The batches of one producer on their way into one partition.
pub(super) struct Lane {
    pub(super) cluster: Arc<Cluster>,
    pub(super) partition: Arc<Replica>,
    pub(super) settings: Settings,
    queue: Mutex<Queue>,
    /// Held while batches are written, so that they are in order; for no longer than a slice of a wait, unless
    /// `flush.messages` has an append wait for a flush.
    writing: Mutex<()>,
    /// A duty is planned that writes what lingers, and one that comes again because something is stalled.
    lingers: AtomicBool,
    comes_again: AtomicBool,
    /// The offset behind everything that was written.
    written_to: AtomicI64,
    queued: Arc<AtomicI64>,
    failed: Arc<Mutex<Vec<Arc<Cell>>>>,
    /// The process that it belongs to.
    pub(super) generation: u32,
}

#[derive(Default)]
struct Queue {
    open: Option<OpenBatch>,
    full: VecDeque<OpenBatch>,
    /// One that was about to be written when the wait for the partition's lock was interrupted. It comes first.
    stalled: Option<EncodedBatch>,
    /// The last batch's buffer, to use again.
    spare: Option<BatchBuilder>,
}

struct OpenBatch {
    builder: BatchBuilder,
    cell: Arc<Cell>,
    began: TimestampMs,
    /// What it counts for in `queued`: never less than it has.
    counted: i64,
}

struct EncodedBatch {
    bytes: Vec<u8>,
    records: usize,
    cell: Arc<Cell>,
    counted: i64,
    /// How long it has waited for the partition's lock.
    wait: Slices,
}

/// After how long a thread tries again that could not have the lock in a slice: others of the process have their turn.
const PAUSE: Duration = Duration::from_millis(1);
/// The same for what lingers, whose thread has others to serve; and where another thread is writing.
const LINGER_AGAIN: Duration = Duration::from_millis(50);
const LINGER_SOON: Duration = Duration::from_millis(2);

const QUEUED: u32 = 0;
const WRITTEN: u32 = 1;
const FAILED: u32 = 2;

/// What became of a batch. Its records share it.
pub(super) struct Cell {
    pub(super) lane: Arc<Lane>,
    state: AtomicU32,
    base_offset: AtomicI64,
    next_offset: AtomicI64,
    append_time: AtomicI64,
    error: OnceLock<Error>,
    observed: AtomicBool,
    /// Somebody has seen that it is acknowledged. A child of the process has nothing else to go by.
    pub(super) acknowledged: AtomicBool,
}

/// The state of a batch.
pub(super) enum Fate {
    Queued,
    Written { base: Offset, next: Offset, append_time: Option<i64> },
    Failed(Error),
}

impl Cell {
    fn new(lane: Arc<Lane>) -> Arc<Cell> {
        Arc::new(Cell {
            lane,
            state: AtomicU32::new(QUEUED),
            base_offset: AtomicI64::new(-1),
            next_offset: AtomicI64::new(-1),
            append_time: AtomicI64::new(-1),
            error: OnceLock::new(),
            observed: AtomicBool::new(false),
            acknowledged: AtomicBool::new(false),
        })
    }

    pub(super) fn fate(&self) -> Fate {
        // Acquire: the fields below were stored before.
        match self.state.load(Ordering::Acquire) {
            QUEUED => Fate::Queued,
            WRITTEN => {
                let append_time = self.append_time.load(Ordering::Relaxed);
                Fate::Written {
                    base: Offset(self.base_offset.load(Ordering::Relaxed)),
                    next: Offset(self.next_offset.load(Ordering::Relaxed)),
                    append_time: (append_time >= 0).then_some(append_time),
                }
            }
            _ => {
                self.observed.store(true, Ordering::Relaxed);
                Fate::Failed(
                    self.error.get().cloned().unwrap_or_else(|| Error::new(ErrorCode::Closed, "the batch was dropped")),
                )
            }
        }
    }

    /// The error, if nobody has been told of it.
    pub(super) fn take_unobserved(&self) -> Option<Error> {
        if self.observed.swap(true, Ordering::Relaxed) { None } else { self.error.get().cloned() }
    }

    fn resolve(&self, result: Result<Appended>) {
        let state = match result {
            Ok(appended) => {
                self.base_offset.store(appended.base_offset.0, Ordering::Relaxed);
                self.next_offset.store(appended.next_offset.0, Ordering::Relaxed);
                self.append_time.store(appended.log_append_time.map_or(-1, |time| time.0), Ordering::Relaxed);
                WRITTEN
            }
            Err(error) => {
                let _ = self.error.set(error);
                FAILED
            }
        };
        // Release: whoever sees the state sees the fields.
        self.state.store(state, Ordering::Release);
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Lane {
    pub(super) fn new(
        cluster: &Arc<Cluster>,
        partition: Arc<Replica>,
        settings: Settings,
        queued: &Arc<AtomicI64>,
        failed: &Arc<Mutex<Vec<Arc<Cell>>>>,
    ) -> Arc<Lane> {
        Arc::new(Lane {
            cluster: cluster.clone(),
            partition,
            settings,
            queue: Mutex::default(),
            writing: Mutex::new(()),
            lingers: AtomicBool::new(false),
            comes_again: AtomicBool::new(false),
            written_to: AtomicI64::new(0),
            queued: queued.clone(),
            failed: failed.clone(),
            generation: generation(),
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a record, and writes what is full by then.
    pub(super) fn send(self: &Arc<Self>, record: &ProducerRecord<'_>) -> Result<Delivery> {
        let bound = BatchBuilder::record_bound(record.key, record.value, record.headers);
        if bound > self.settings.max_request_size {
            return Err(Error::new(
                ErrorCode::MessageTooLarge,
                format!(
                    "the record has about {bound} bytes and max.request.size is {}",
                    self.settings.max_request_size
                ),
            ));
        }
        let batch_size = self.most_together(bound)?;
        self.partition.check_exists()?;
        let mut queue = self.queue();
        let is_full =
            queue.open.as_ref().is_some_and(|open| open.builder.len() + bound > batch_size && !open.builder.is_empty());
        if is_full {
            let full = queue.open.take();
            queue.full.extend(full);
        }
        let is_first = queue.open.is_none();
        if is_first {
            let spare = queue.spare.take();
            queue.open = Some(self.begin_batch(spare));
        }
        let Some(open) = &mut queue.open else {
            return Err(Error::new(ErrorCode::Closed, "the batch is gone"));
        };
        let timestamp = match record.timestamp {
            None => open.began,
            Some(timestamp) => {
                if let Err(error) = self.check_timestamp(timestamp, open.began) {
                    if open.builder.is_empty() {
                        queue.open = None; // it would never be written, and keeps its lane alive
                    }
                    return Err(error);
                }
                TimestampMs(timestamp)
            }
        };
        self.count(open, bound);
        let index = open.builder.push(timestamp, record.key, record.value, record.headers);
        let delivery = Delivery::new(open.cell.clone(), index, timestamp.0);
        drop(queue);
        if self.settings.linger.is_zero() || self.queued.load(Ordering::Relaxed) > self.settings.buffer_memory {
            self.write(Lane::write_all, || false)?;
        } else if is_full {
            self.write(Lane::write_full, || false)?;
        }
        if is_first && !self.settings.linger.is_zero() {
            self.linger();
        }
        Ok(delivery)
    }

    /// Sees to it that the batch counts for at least what it has with another `bound` bytes.
    fn count(&self, open: &mut OpenBatch, bound: usize) {
        let missing = (open.builder.len() + bound) as i64 - open.counted;
        if missing > 0 {
            let more = missing.max(self.settings.counted_at_once);
            open.counted += more;
            // Relaxed: a count, which nothing is handed over with.
            self.queued.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// How many bytes may be in one batch. What is compressed must not become more than a reader decompresses.
    fn most_together(&self, bound: usize) -> Result<usize> {
        const MOST: usize = 128 << 20;
        if bound.max(self.settings.batch_size) <= MOST {
            return Ok(self.settings.batch_size); // as nearly always, without asking for the topic's settings
        }
        let is_compressed = self.settings.compression.codec != Codec::None
            || self.partition.log().config().compression().is_some_and(|compression| compression.codec != Codec::None);
        if !is_compressed {
            return Ok(self.settings.batch_size);
        }
        if bound > MOST {
            return Err(Error::new(
                ErrorCode::MessageTooLarge,
                format!("the record has about {bound} bytes and {MOST} is the most that is compressed"),
            ));
        }
        Ok(self.settings.batch_size.min(MOST))
    }

    fn begin_batch(self: &Arc<Self>, spare: Option<BatchBuilder>) -> OpenBatch {
        let room = self.settings.batch_size.min(1 << 20) + 256;
        OpenBatch {
            builder: spare.unwrap_or_else(|| BatchBuilder::with_capacity(room)),
            cell: Cell::new(self.clone()),
            began: self.partition.time_of_day(),
            counted: 0,
        }
    }

    fn check_timestamp(&self, timestamp: i64, now: TimestampMs) -> Result<()> {
        let refuse = |what: String| Err(Error::new(ErrorCode::InvalidTimestamp, what));
        if timestamp < 0 {
            return refuse(format!("timestamp {timestamp} is before 1970"));
        }
        let config: Arc<TopicConfig> = self.partition.log().config();
        if config.message_timestamp_type == MessageTimestampType::LogAppendTime {
            return Ok(());
        }
        let age = now.0.saturating_sub(timestamp);
        if age > config.message_timestamp_before_max_ms {
            let limit = config.message_timestamp_before_max_ms;
            return refuse(format!(
                "timestamp {timestamp} is {age} ms old and message.timestamp.before.max.ms is {limit}"
            ));
        }
        let ahead = timestamp.saturating_sub(now.0);
        if ahead > config.message_timestamp_after_max_ms {
            let limit = config.message_timestamp_after_max_ms;
            return refuse(format!(
                "timestamp {timestamp} is {ahead} ms ahead and message.timestamp.after.max.ms is {limit}"
            ));
        }
        Ok(())
    }

    /// Has the open batch written when it has lingered.
    fn linger(self: &Arc<Self>) {
        // A look first, since one is planned most of the time. Relaxed: the duty clears the word before it takes the lock
        // of the queue. If it took that after this record came, it finds the record; if before, the word is seen cleared.
        if !self.lingers.load(Ordering::Relaxed) && !self.lingers.swap(true, Ordering::Relaxed) {
            self.cluster.clock.after(
                self.settings.linger,
                Arc::new(LingerDuty { lane: Arc::downgrade(self), comes_again: AtomicBool::new(false) }),
            );
        }
    }

    /// Writes by one of the functions below, or until enough is done. Between the slices of a wait for the partition's lock, with
    /// no lock held, the program is asked whether it wants to stop; what is queued stays queued then.
    ///
    /// # Errors
    /// `Interrupted`.
    #[inline]
    pub(super) fn write(&self, write: impl Fn(&Lane) -> Result<()>, is_enough: impl Fn() -> bool) -> Result<()> {
        while let Err(interrupted) = write(self) {
            debug_assert_eq!(interrupted.code(), ErrorCode::Interrupted);
            self.cluster.ask_after_signal()?;
            if is_enough() {
                break;
            }
            self.pause();
        }
        Ok(())
    }

    /// Writes everything that is queued, whatever signals come.
    pub(super) fn write_in_any_case(&self) {
        while self.write_all().is_err() {
            self.pause();
        }
    }

    /// Appends a batch that somebody else encoded.
    ///
    /// # Errors
    /// Those of appending.
    pub(super) fn append_client(&self, bytes: &mut [u8]) -> Result<Appended> {
        let mut wait = Slices::default();
        loop {
            match wait.within(|| self.cluster.append(&self.partition, Batch::Client(bytes))) {
                Err(error) if error.code() == ErrorCode::Interrupted => self.cluster.ask_after_signal()?,
                appended => return appended,
            }
            self.pause();
        }
    }

    #[cold]
    fn pause(&self) {
        self.cluster.sys.wait.wait(&AtomicU32::new(0), 0, PAUSE);
    }

    /// Writes everything that is queued, for a thread that has other lanes to serve: after how long it is to come again, if
    /// something is left.
    fn write_lingering(&self) -> Option<Duration> {
        let _in_order = match self.writing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Some(LINGER_SOON),
        };
        self.write_open().is_err().then_some(LINGER_AGAIN)
    }

    /// Writes everything that is queued, the open batch included.
    ///
    /// # Errors
    /// `Interrupted`: a part of it may be queued still.
    #[inline]
    pub(super) fn write_all(&self) -> Result<()> {
        let _in_order = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_open()
    }

    /// As [`write_all`](Self::write_all), by whoever has the turn.
    #[inline]
    fn write_open(&self) -> Result<()> {
        let mut queue = self.queue();
        if let Some(open) = queue.open.take_if(|open| !open.builder.is_empty()) {
            queue.full.push_back(open);
        }
        self.write_from(queue)
    }

    /// Writes the batches that are full.
    fn write_full(&self) -> Result<()> {
        let _in_order = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_from(self.queue())
    }

    /// Writes the batches of the queue that are full, one after the other. Records may be queued meanwhile.
    #[inline]
    fn write_from<'a>(&'a self, mut queue: MutexGuard<'a, Queue>) -> Result<()> {
        if let Some(stalled) = queue.stalled.take() {
            drop(queue);
            let buffer = self.append(stalled)?;
            queue = self.queue();
            queue.spare = Some(buffer);
        }
        while let Some(full) = queue.full.pop_front() {
            drop(queue);
            let OpenBatch { builder, cell, counted, .. } = full;
            let options = BatchOptions { compression: self.settings.compression, ..BatchOptions::default() };
            let records = builder.count() as usize;
            let buffer = match builder.finish(&options) {
                Ok(bytes) => {
                    Some(self.append(EncodedBatch { bytes, records, cell, counted, wait: Slices::default() })?)
                }
                Err(error) => {
                    let refused = Error::new(ErrorCode::InvalidRecord, error.to_string()).caused_by(error);
                    self.settle(&cell, counted, Err(refused));
                    None
                }
            };
            queue = self.queue();
            queue.spare = buffer;
        }
        Ok(())
    }

    /// Appends a batch, and settles what became of it whether that succeeds or not. Gives its buffer back. One that did not
    /// get as far as the lock stays.
    #[inline]
    fn append(&self, mut batch: EncodedBatch) -> Result<BatchBuilder> {
        let EncodedBatch { bytes, wait, .. } = &mut batch;
        match wait.within(|| self.cluster.append(&self.partition, Batch::Encoded(bytes))) {
            Err(error) if error.code() == ErrorCode::Interrupted => {
                self.queue().stalled = Some(batch);
                Err(error)
            }
            result => {
                self.settle(&batch.cell, batch.counted, result);
                Ok(BatchBuilder::reuse(batch.bytes))
            }
        }
    }

    fn settle(&self, cell: &Arc<Cell>, counted: i64, result: Result<Appended>) {
        self.queued.fetch_sub(counted, Ordering::Relaxed);
        match &result {
            // One writes at a time, and in order.
            Ok(appended) => self.written_to.store(appended.next_offset.0, Ordering::Release),
            Err(_) => self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(cell.clone()),
        }
        cell.resolve(result);
    }

    /// The offset behind everything that this lane wrote.
    pub(super) fn written_to(&self) -> Offset {
        Offset(self.written_to.load(Ordering::Acquire))
    }

    /// Records that are queued.
    pub(super) fn pending(&self) -> usize {
        let queue = self.queue();
        let stalled = queue.stalled.as_ref().map_or(0, |batch| batch.records);
        stalled + queue.full.iter().chain(&queue.open).map(|batch| batch.builder.count() as usize).sum::<usize>()
    }
}

struct LingerDuty {
    lane: Weak<Lane>,
    /// It is the one that comes again.
    comes_again: AtomicBool,
}

impl Duty for LingerDuty {
    fn perform(&self) -> Option<Duration> {
        let lane = self.lane.upgrade()?;
        if self.comes_again.load(Ordering::Relaxed) {
            lane.comes_again.store(false, Ordering::Relaxed);
        } else {
            lane.lingers.store(false, Ordering::Relaxed); // see `Lane::linger`
            if lane.comes_again.load(Ordering::Relaxed) {
                return None; // the other one writes this as well
            }
        }
        let again = lane.write_lingering()?;
        self.comes_again.store(true, Ordering::Relaxed);
        (!lane.comes_again.swap(true, Ordering::Relaxed)).then_some(again)
    }
}
