//! Sending records.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use klog::{ErrorCode, ProducerConfig, ProducerRecord};
use pyo3::prelude::*;

use crate::arguments::{Bytes, Config, Headers, Int, OptionText, Time, Timeout, duration, optional, whole_ms};
use crate::delivery::{self, Delivery};
use crate::engine::{Recipe, restored};
use crate::errors::{OrRaise, refuse};
use crate::interrupt::{self, Deadline};
use crate::lifetime::{Shared, unless_never_opened};

/// How many records `send_many` takes from its iterable at once.
const CHUNK: usize = 256;

/// Sends records to topics. May be used by any number of threads.
#[pyclass(frozen, weakref, module = "klog")]
pub(crate) struct Producer {
    engine: Arc<Shared>,
    settings: Settings,
    /// Made at the first call where it was sent from another process.
    inner: OnceLock<klog::Producer>,
    is_closed: AtomicBool,
}

/// What was asked for, by Kafka's names.
type Settings = Vec<(String, String)>;

/// What `Engine.producer` takes.
pub(crate) struct ProducerOptions {
    pub(crate) acks: Option<OptionText>,
    pub(crate) durability: Option<String>,
    pub(crate) compression: Option<String>,
    pub(crate) linger: Option<Timeout>,
    pub(crate) batch_bytes: Option<i32>,
    pub(crate) buffer_bytes: Option<i64>,
    pub(crate) max_block: Option<Timeout>,
    pub(crate) partitioner: Option<String>,
    pub(crate) idempotent: bool,
    pub(crate) transactional_id: Option<String>,
    pub(crate) config: Config,
}

impl ProducerOptions {
    fn into_settings(self) -> Settings {
        let named = [
            ("acks", self.acks.map(|OptionText(acks)| acks)),
            ("klog.durability", self.durability),
            ("compression.type", self.compression),
            ("linger.ms", self.linger.map(|Timeout(linger)| whole_ms(linger).to_string())),
            ("batch.size", self.batch_bytes.map(|bytes| bytes.to_string())),
            ("buffer.memory", self.buffer_bytes.map(|bytes| bytes.to_string())),
            ("max.block.ms", self.max_block.map(|Timeout(longest)| whole_ms(longest).to_string())),
            ("partitioner", self.partitioner),
            ("enable.idempotence", self.idempotent.then(|| "true".to_owned())),
            ("transactional.id", self.transactional_id),
        ];
        let given = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.chain(self.config.0).collect()
    }
}

impl Producer {
    pub(crate) fn open(py: Python<'_>, engine: Arc<Shared>, options: ProducerOptions) -> PyResult<Self> {
        let producer = Producer::later(engine, options.into_settings());
        producer.live(py)?;
        Ok(producer)
    }

    fn later(engine: Arc<Shared>, settings: Settings) -> Self {
        Producer { engine, settings, inner: OnceLock::new(), is_closed: AtomicBool::new(false) }
    }

    fn live(&self, py: Python<'_>) -> PyResult<&klog::Producer> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(refuse(py, ErrorCode::Closed, "the producer is closed"));
        }
        let engine = self.engine.live(py)?;
        if let Some(producer) = self.inner.get() {
            return Ok(producer);
        }
        let mut config = ProducerConfig::default();
        self.settings.iter().try_for_each(|(name, value)| config.set(name, value)).or_raise(py)?;
        let producer = py.detach(|| engine.producer_with(config)).or_raise(py)?;
        Ok(self.inner.get_or_init(|| producer))
    }

    fn wait_for(
        &self,
        py: Python<'_>,
        timeout: Option<Timeout>,
        flush: impl FnOnce() -> klog::Result<()> + Send + 'static,
    ) -> PyResult<()> {
        let deadline = Deadline::after(duration(timeout));
        let flushed = interrupt::wait_for(py, self.engine.threads(), deadline, flush);
        delivery::serve_callbacks(py);
        flushed
    }
}

/// What `send` takes.
pub(crate) struct Message<'a> {
    pub(crate) topic: &'a str,
    pub(crate) value: Option<Bytes<'a>>,
    pub(crate) key: Option<Bytes<'a>>,
    pub(crate) headers: Option<Headers>,
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<Time>,
}

/// Queues a record.
pub(crate) fn send(py: Python<'_>, producer: &klog::Producer, message: &Message<'_>) -> PyResult<Delivery> {
    let headers = message.headers.as_ref().map(Headers::as_slices).unwrap_or_default();
    let record = ProducerRecord {
        topic: message.topic,
        partition: message.partition,
        timestamp: message.timestamp.map(|Time(ms)| ms),
        key: message.key.as_ref().map(Bytes::as_slice),
        value: message.value.as_ref().map(Bytes::as_slice),
        headers: &headers,
    };
    let delivery = py.detach(|| producer.send_record(&record)).or_raise(py)?;
    Ok(Delivery::new(delivery))
}

/// The bytes of a key or a value.
fn bytes<'a>(part: Option<&'a Bound<'_, PyAny>>) -> PyResult<Option<Bytes<'a>>> {
    part.map_or(Ok(None), PyAnyMethods::extract)
}

/// Key and value.
type Pair<'py> = (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

/// Sends some records at once. What comes before one that cannot be sent is sent.
fn send_chunk<'py>(
    py: Python<'py>,
    producer: &klog::Producer,
    chunk: &[Bound<'py, PyAny>],
    (topic, keyed, partition): (&str, bool, Option<i32>),
) -> PyResult<Option<klog::Delivery>> {
    let pair = |item: &Bound<'py, PyAny>| if keyed { item.extract() } else { Ok((None, Some(item.clone()))) };
    let pairs = chunk.iter().map(pair).collect::<PyResult<Vec<Pair<'py>>>>()?;
    let mut wrong = None;
    let mut records = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        match bytes(key.as_ref()).and_then(|key| Ok((key, bytes(value.as_ref())?))) {
            Ok(record) => records.push(record),
            Err(error) => {
                wrong = Some(error);
                break;
            }
        }
    }
    let sent = py.detach(|| {
        let mut last = None;
        for (key, value) in &records {
            let (key, value) = (key.as_ref().map(Bytes::as_slice), value.as_ref().map(Bytes::as_slice));
            last =
                Some(producer.send_record(&ProducerRecord { topic, partition, key, value, ..Default::default() })?);
        }
        Ok(last)
    });
    match wrong {
        None => sent.or_raise(py),
        Some(error) => sent.or_raise(py).and(Err(error)),
    }
}

#[pymethods]
impl Producer {
    /// Queues a record and returns its delivery. Does not wait, but for room when the buffer is full.
    #[pyo3(signature = (topic, value=None, *, key=None, headers=None, partition=None, timestamp=None))]
    #[expect(clippy::too_many_arguments, reason = "they are the parts of a record, by name")]
    fn send(
        &self,
        py: Python<'_>,
        topic: &str,
        value: Option<Bytes<'_>>,
        key: Option<Bytes<'_>>,
        headers: Option<Headers>,
        partition: Option<Int<i32>>,
        timestamp: Option<Time>,
    ) -> PyResult<Delivery> {
        let partition = optional(py, "partition", partition)?;
        send(py, self.live(py)?, &Message { topic, value, key, headers, partition, timestamp })
    }

    /// Queues records: values, or with `keyed` pairs of key and value. Returns the delivery of the last one, or None when there
    /// was none.
    #[pyo3(signature = (topic, values, *, keyed=false, partition=None))]
    fn send_many(
        &self,
        py: Python<'_>,
        topic: &str,
        values: &Bound<'_, PyAny>,
        keyed: bool,
        partition: Option<Int<i32>>,
    ) -> PyResult<Option<Delivery>> {
        let partition = optional(py, "partition", partition)?;
        let producer = self.live(py)?;
        let mut items = values.try_iter()?;
        let mut last = None;
        loop {
            let chunk: Vec<Bound<'_, PyAny>> = items.by_ref().take(CHUNK).collect::<PyResult<_>>()?;
            if chunk.is_empty() {
                return Ok(last.map(Delivery::new));
            }
            if let Some(sent) = send_chunk(py, producer, &chunk, (topic, keyed, partition))? {
                last = Some(sent);
            }
        }
    }

    /// Writes everything that is queued and waits until it is acknowledged. Raises the first failure that nobody was told of.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<Timeout>) -> PyResult<()> {
        let producer = self.live(py)?.clone();
        self.wait_for(py, timeout, move || producer.flush())
    }

    /// Records that are queued and not written yet.
    #[getter]
    fn pending(&self, py: Python<'_>) -> PyResult<usize> {
        let producer = self.live(py)?;
        py.detach(|| producer.pending()).or_raise(py)
    }

    /// Flushes, and gives the producer back. A second time does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        // After the engine was closed, or in a child that has not used it, there is nothing left to write.
        if self.is_closed.swap(true, Ordering::AcqRel) || self.engine.is_closed() || !self.engine.is_used_here() {
            return Ok(());
        }
        match self.inner.get().cloned() {
            Some(producer) => self.wait_for(py, None, move || producer.flush().or_else(unless_never_opened)),
            None => Ok(()),
        }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// By path and options, without what is queued: whoever unpickles it has a producer of its own.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Recipe, Settings))> {
        if self.closed() {
            return Err(refuse(py, ErrorCode::Closed, "the producer is closed"));
        }
        let recipe = self.engine.origin(py)?.recipe();
        Ok((py.import("klog._klog")?.getattr("_restore_producer")?, (recipe, self.settings.clone())))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (_type, _value, _traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _type: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py)
    }
}

/// Makes a producer again that was pickled. It is opened by its first call.
#[pyfunction]
pub(crate) fn _restore_producer(py: Python<'_>, engine: Recipe, settings: Settings) -> PyResult<Producer> {
    Ok(Producer::later(restored(py, engine)?, settings))
}
