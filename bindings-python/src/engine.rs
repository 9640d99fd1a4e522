//! Opening a directory, and the handle on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use klog::{EngineConfig, ErrorCode, Mode, NewTopic, OpenOptions, Threads};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt};

use crate::admin::Admin;
use crate::arguments::{Bytes, Config, Headers, Int, OptionText, Time, Timeout, Where, duration, optional};
use crate::consumer::{Consumer, ConsumerOptions};
use crate::delivery::{self, Delivery};
use crate::errors::{OrRaise, refuse};
use crate::interrupt::{self, Deadline};
use crate::lifetime::Shared;
use crate::producer::{self, Message, Producer, ProducerOptions};
use crate::scan::{Scan, Wanted};
use crate::topic::Topic;
use crate::topics::Topics;
use crate::values;

/// How long the engine itself waits for another process to leave a directory, in ms; then signals are looked at.
pub(crate) const LOCK_SLICE_MS: i64 = 100;

/// How long `open` and `adopt` wait for another process to leave a directory, unless they are told.
pub(crate) const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How many brokers, or their directories.
pub(crate) enum Brokers {
    Count(i64),
    Directories,
}

impl FromPyObject<'_, '_> for Brokers {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.cast::<PyInt>() {
            Ok(count) => Ok(Brokers::Count(count.extract::<Int<i64>>()?.named(object.py(), "brokers")?)),
            Err(_) => object.extract::<Vec<PathBuf>>().map(|_| Brokers::Directories),
        }
    }
}

/// Opens a directory, and makes it if it is not there. Without a path, the engine lives in memory.
#[pyfunction]
#[pyo3(
    signature = (
        path=None, *, mode="rwc", durability="fsync", brokers=Brokers::Count(1), auto_create=true,
        num_partitions=Int::of(1), lock_timeout=Some(Timeout(DEFAULT_LOCK_TIMEOUT)), assume_lost=vec![], threads=true, config=None
    ),
    text_signature = "(path=None, *, mode='rwc', durability='fsync', brokers=1, auto_create=True, num_partitions=1, \
        lock_timeout=5.0, assume_lost=(), threads=True, config=None)"
)]
#[expect(clippy::too_many_arguments, reason = "they are options, by name")]
pub(crate) fn open(
    py: Python<'_>,
    path: Option<PathBuf>,
    mode: &str,
    durability: &str,
    brokers: Brokers,
    auto_create: bool,
    num_partitions: Int<i32>,
    lock_timeout: Option<Timeout>,
    assume_lost: Vec<Int<i32>>,
    threads: bool,
    config: Option<Config>,
) -> PyResult<Engine> {
    let mode = mode_named(py, mode)?;
    if !matches!(brokers, Brokers::Count(1)) {
        return Err(refuse(
            py,
            ErrorCode::Unsupported,
            "clusters of several brokers are not supported yet: brokers is 1",
        ));
    }
    let mut settings = EngineConfig {
        auto_create_topics_enable: auto_create,
        lock_timeout_ms: LOCK_SLICE_MS,
        threads: if threads { Threads::On } else { Threads::Off },
        ..EngineConfig::default()
    };
    settings.set("klog.durability", durability).or_raise(py)?;
    let num_partitions = num_partitions.named(py, "num_partitions")?;
    settings.set("num.partitions", &num_partitions.to_string()).or_raise(py)?;
    for (name, value) in config.unwrap_or_default().0 {
        settings.set(&name, &value).or_raise(py)?;
    }
    let assume_lost = lost_brokers(py, assume_lost)?;
    let options = options(py, settings.clone(), &assume_lost)?.mode(mode);
    let path = path.filter(|path| path.as_os_str() != ":memory:");
    let (engine, origin) = match &path {
        None if mode == Mode::ReadOnly => {
            let what = "an engine in memory is new and empty, so mode 'r' makes no sense";
            return Err(refuse(py, ErrorCode::InvalidRequest, what));
        }
        None => (py.detach(|| options.memory()).or_raise(py)?, None),
        Some(path) => {
            let engine = until_free(py, lock_timeout, || options.clone().open(path))?;
            (engine, Some(Origin { path: absolute(path), mode, settings, lock_timeout, assume_lost }))
        }
    };
    Ok(Engine { shared: Shared::new(engine, origin, true), path })
}

fn mode_named(py: Python<'_>, mode: &str) -> PyResult<Mode> {
    match mode {
        "r" => Ok(Mode::ReadOnly),
        "rw" => Ok(Mode::ReadWrite),
        "rwc" => Ok(Mode::Create),
        other => {
            let what = format!("mode is '{other}'; allowed are r, rw and rwc");
            Err(refuse(py, ErrorCode::InvalidRequest, what))
        }
    }
}

fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::ReadOnly => "r",
        Mode::ReadWrite => "rw",
        Mode::Create => "rwc",
    }
}

/// The path from the root: another process may run in another directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

pub(crate) fn lost_brokers(py: Python<'_>, ids: Vec<Int<i32>>) -> PyResult<Vec<i32>> {
    ids.into_iter().map(|id| id.named(py, "assume_lost")).collect()
}

/// How to open a directory.
pub(crate) fn options(py: Python<'_>, settings: EngineConfig, assume_lost: &[i32]) -> PyResult<OpenOptions> {
    let options = OpenOptions::new().config(settings).assume_lost(assume_lost.iter().copied());
    Ok(options.program(program(py)?).on_interrupt(interrupt::handler_raises))
}

/// What the program is called, for those who look who is attached: its script, and that it is one of Python's.
fn program(py: Python<'_>) -> PyResult<String> {
    const MOST: usize = 23; // so that the rest is not cut off
    let script: String = py.import("sys")?.getattr("argv")?.get_item(0).and_then(|it| it.extract()).unwrap_or_default();
    let path = Path::new(&script);
    let is_package = path.file_name().is_some_and(|name| name == "__main__.py");
    let named = if is_package { path.parent().unwrap_or(path) } else { path };
    let mut name = named.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.is_empty() {
        return Ok("python".to_owned());
    }
    while name.len() > MOST {
        name.pop();
    }
    Ok(format!("{name} (python)"))
}

/// How an engine was opened.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    path: PathBuf,
    mode: Mode,
    settings: EngineConfig,
    lock_timeout: Option<Timeout>,
    assume_lost: Vec<i32>,
}

/// What [`_restore_engine`] makes an engine of again: path, mode, options, seconds to wait for a lock, brokers that are lost.
pub(crate) type Recipe = (PathBuf, String, Vec<(String, String)>, Option<f64>, Vec<i32>);

impl Origin {
    pub(crate) fn lock_timeout(&self) -> Option<Timeout> {
        self.lock_timeout
    }

    pub(crate) fn recipe(&self) -> Recipe {
        let value = |name: &&str| Some(((*name).to_owned(), self.settings.get(name)?));
        let settings = EngineConfig::NAMES.iter().filter_map(value).collect();
        let seconds = self.lock_timeout.map(|Timeout(timeout)| timeout.as_secs_f64());
        (self.path.clone(), name_of(self.mode).to_owned(), settings, seconds, self.assume_lost.clone())
    }
}

/// Makes an engine again that was pickled. The directory is opened by its first call.
pub(crate) fn restored(py: Python<'_>, recipe: Recipe) -> PyResult<Arc<Shared>> {
    let (path, mode, values, seconds, assume_lost) = recipe;
    let mode = mode_named(py, &mode)?;
    let mut settings = EngineConfig::default();
    for (name, value) in values {
        settings.set(&name, &value).or_raise(py)?;
    }
    let lock_timeout = seconds.map(|seconds| Timeout(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)));
    let engine = options(py, settings.clone(), &assume_lost)?.mode(mode).open_later(&path);
    Ok(Shared::new(engine, Some(Origin { path, mode, settings, lock_timeout, assume_lost }), false))
}

/// Makes an engine again that was pickled.
#[pyfunction]
pub(crate) fn _restore_engine(py: Python<'_>, recipe: Recipe) -> PyResult<Engine> {
    let path = Some(recipe.0.clone());
    Ok(Engine { shared: restored(py, recipe)?, path })
}

/// Tries until nobody else has the directory. The engine tries for a moment each time, so that a signal is noticed between.
pub(crate) fn until_free<T: Send>(
    py: Python<'_>,
    timeout: Option<Timeout>,
    attempt: impl Fn() -> klog::Result<T> + Sync,
) -> PyResult<T> {
    let deadline = Deadline::after(duration(timeout));
    loop {
        match py.detach(&attempt) {
            Err(error) if error.code() == ErrorCode::Locked && !deadline.is_over() => py.check_signals()?,
            result => return result.or_raise(py),
        }
    }
}

/// A handle on an open directory. May be used by any number of threads.
#[pyclass(frozen, weakref, module = "klog")]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    path: Option<PathBuf>,
}

#[pymethods]
impl Engine {
    /// Where the directory is; None in memory.
    #[getter]
    fn path(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.to_string_lossy().into_owned())
    }

    /// The id of the cluster, as in `meta.properties`; None where the directory does not say.
    #[getter]
    fn cluster_id(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let engine = self.shared.live(py)?;
        py.detach(|| engine.cluster_id()).or_raise(py)
    }

    /// The topics by name, always as they are now.
    #[getter]
    fn topics(&self) -> Topics {
        Topics::of(self.shared.clone())
    }

    /// The verbs about topics, partitions and settings.
    fn admin(&self) -> Admin {
        Admin::of(self.shared.clone())
    }

    /// A topic that exists.
    fn topic(&self, py: Python<'_>, name: &str) -> PyResult<Topic> {
        Topic::find(py, &self.shared, name)
    }

    /// Makes a topic; it exists, durably, on return. With `exist_ok` one that exists is returned as it is.
    #[pyo3(signature = (name, partitions=None, *, replication_factor=None, config=None, exist_ok=false))]
    fn create_topic(
        &self,
        py: Python<'_>,
        name: &str,
        partitions: Option<Int<i32>>,
        replication_factor: Option<Int<i32>>,
        config: Option<Config>,
        exist_ok: bool,
    ) -> PyResult<Topic> {
        let new = NewTopic {
            name: name.to_owned(),
            partitions: optional(py, "partitions", partitions)?,
            replication_factor: optional(py, "replication_factor", replication_factor)?,
            configs: config.unwrap_or_default().0.into_iter().collect(),
        };
        let engine = self.shared.live(py)?;
        match py.detach(|| engine.admin().create_topic(&new)) {
            Err(error) if exist_ok && error.code() == ErrorCode::TopicAlreadyExists => {}
            result => drop(result.or_raise(py)?),
        }
        Ok(Topic::known(self.shared.clone(), new.name))
    }

    /// Removes topics with all their records; they are gone, durably, on return.
    #[pyo3(signature = (*names, missing_ok=false))]
    fn delete_topic(&self, py: Python<'_>, names: Vec<String>, missing_ok: bool) -> PyResult<()> {
        let engine = self.shared.live(py)?;
        for name in names {
            match py.detach(|| engine.admin().delete_topic(&name)) {
                Err(error) if missing_ok && error.code() == ErrorCode::UnknownTopicOrPartition => {}
                result => result.or_raise(py)?,
            }
        }
        Ok(())
    }

    /// Queues a record with the engine's own producer, and returns its delivery.
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
        let producer = self.shared.producer(py)?;
        let partition = optional(py, "partition", partition)?;
        producer::send(py, producer, &Message { topic, value, key, headers, partition, timestamp })
    }

    /// The records that topics or partitions have, as a scan: it can be iterated over again, and each time it ends.
    #[pyo3(
        signature = (*topics, start=Where::default(), end="now", isolation="committed"),
        text_signature = "($self, *topics, start='earliest', end='now', isolation='committed')"
    )]
    fn read(&self, py: Python<'_>, topics: Vec<Wanted>, start: Where, end: &str, isolation: &str) -> PyResult<Scan> {
        self.shared.live(py)?;
        Scan::new(self.shared.clone(), topics, start).with(py, end, isolation)
    }

    /// A producer with settings of its own.
    #[pyo3(signature = (
        *, acks=None, durability=None, compression=None, linger=None, batch_bytes=None, buffer_bytes=None,
        max_block=None, partitioner=None, idempotent=false, transactional_id=None, config=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are options, by name")]
    fn producer(
        &self,
        py: Python<'_>,
        acks: Option<OptionText>,
        durability: Option<String>,
        compression: Option<String>,
        linger: Option<Timeout>,
        batch_bytes: Option<Int<i32>>,
        buffer_bytes: Option<Int<i64>>,
        max_block: Option<Timeout>,
        partitioner: Option<String>,
        idempotent: bool,
        transactional_id: Option<String>,
        config: Option<Config>,
    ) -> PyResult<Producer> {
        let options = ProducerOptions {
            acks,
            durability,
            compression,
            linger,
            batch_bytes: optional(py, "batch_bytes", batch_bytes)?,
            buffer_bytes: optional(py, "buffer_bytes", buffer_bytes)?,
            max_block,
            partitioner,
            idempotent,
            transactional_id,
            config: config.unwrap_or_default(),
        };
        Producer::open(py, self.shared.clone(), options)
    }

    /// A consumer of all partitions of topics.
    #[pyo3(
        signature = (
            *topics, group=None, start=Where::default(), isolation="committed", idle_timeout=None, config=None
        ),
        text_signature = "($self, *topics, group=None, start='earliest', isolation='committed', idle_timeout=None, \
            config=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "they are options, by name")]
    fn consumer(
        &self,
        py: Python<'_>,
        topics: Vec<String>,
        group: Option<String>,
        start: Where,
        isolation: &str,
        idle_timeout: Option<Timeout>,
        config: Option<Config>,
    ) -> PyResult<Consumer> {
        let options = ConsumerOptions {
            group,
            start,
            isolation: isolation.to_owned(),
            idle_timeout,
            config: config.unwrap_or_default(),
        };
        Consumer::open(py, self.shared.clone(), topics, options)
    }

    /// Writes what producers hold and makes durable what anybody has appended to the partitions that this engine has open.
    /// Raises the first failure that nobody was told of.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<Timeout>) -> PyResult<()> {
        let engine = self.shared.live(py)?.clone();
        let producer = self.shared.made_producer().cloned();
        let deadline = Deadline::after(duration(timeout));
        let flushed = interrupt::wait_for(py, self.shared.threads(), deadline, move || {
            let sent = producer.map_or(Ok(()), |producer| producer.flush());
            sent.and(engine.flush())
        });
        delivery::serve_callbacks(py);
        flushed
    }

    /// Reads everything and checks everything: batches, checksums, indexes.
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.shared.live(py)?;
        let report = py.detach(|| engine.admin().verify(None)).or_raise(py)?;
        values::report(py, &report)
    }

    /// What is counted in the directory since the first of those who have it open opened it, by name; under "partitions" that
    /// of each partition.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = self.shared.live(py)?;
        let metrics = py.detach(|| engine.admin().metrics()).or_raise(py)?;
        values::stats(py, &metrics.rows())
    }

    /// What opening, recovering and reading found so far.
    fn report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.shared.live(py)?;
        let report = py.detach(|| engine.report()).or_raise(py)?;
        values::report(py, &report)
    }

    /// Writes what is queued, makes it durable, and gives the directory back. A second time does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.shared.close(py)
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// By path and options: whoever unpickles it has a handle of its own on the directory.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Recipe,))> {
        let recipe = self.shared.origin(py)?.recipe();
        Ok((py.import("klog._klog")?.getattr("_restore_engine")?, (recipe,)))
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

    fn __repr__(&self) -> String {
        let place = self.path().map_or_else(|| "in memory".to_owned(), |path| format!("on '{path}'"));
        let state = if self.closed() { ", closed" } else { "" };
        format!("<klog.Engine {place}{state}>")
    }
}
