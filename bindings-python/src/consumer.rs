//! Reading topics as they grow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use klog::{ConsumerConfig, ErrorCode, OffsetSpec};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyString, PyTuple};

use crate::arguments::{Config, Int, MaybeOffset, Place, Timeout, Where, duration};
use crate::batch::{Batch, Cut};
use crate::engine::{Recipe, restored};
use crate::errors::{OrRaise, refuse};
use crate::lifetime::Shared;
use crate::reader::Reader;
use crate::record::{Record, Source};
use crate::scan;
use crate::values;

/// Reads records of the partitions that are assigned to it, as they come.
///
/// It may be used by several threads: calls wait for each other, and each record is handed out once.
#[pyclass(frozen, weakref, module = "klog")]
pub(crate) struct Consumer {
    engine: Arc<Shared>,
    /// Made at the first call where it was sent from another process.
    reader: OnceLock<Reader>,
    /// Where it stood there.
    place: Standing,
    /// What was asked for, by Kafka's names, and all that follows.
    settings: Vec<(String, String)>,
    config: ConsumerConfig,
    /// Where a partition begins that is assigned without an offset.
    start: Where,
    /// Topics that are assigned as a whole.
    topics: Mutex<Vec<String>>,
    idle_timeout: Option<Duration>,
    is_closed: AtomicBool,
}

/// Partitions with the offsets that are read next, and those among them that are left out.
type Standing = (Vec<(String, i32, i64)>, Vec<(String, i32)>);

/// What [`_restore_consumer`] needs beside the engine and where it stood: options, start, whole topics, seconds of quiet after
/// which iteration ends.
type RestoredOptions = (Vec<(String, String)>, Where, Vec<String>, Option<Timeout>);

/// The same for Python.
type Options<'py> = (Vec<(String, String)>, Bound<'py, PyAny>, Vec<String>, Option<f64>);

/// What `Engine.consumer` takes.
pub(crate) struct ConsumerOptions {
    pub(crate) group: Option<String>,
    pub(crate) start: Where,
    pub(crate) isolation: String,
    pub(crate) idle_timeout: Option<Timeout>,
    pub(crate) config: Config,
}

impl Consumer {
    pub(crate) fn open(
        py: Python<'_>,
        engine: Arc<Shared>,
        topics: Vec<String>,
        options: ConsumerOptions,
    ) -> PyResult<Self> {
        let mut settings =
            vec![("isolation.level".to_owned(), scan::isolation_level(py, &options.isolation)?.name().to_owned())];
        settings.extend(options.group.map(|group| ("group.id".to_owned(), group)));
        settings.extend(options.config.0);
        let consumer =
            Consumer::later(py, engine, (settings, options.start, topics, options.idle_timeout), Standing::default())?;
        consumer.reader(py)?;
        Ok(consumer)
    }

    /// One that is opened by its first call.
    fn later(py: Python<'_>, engine: Arc<Shared>, recipe: RestoredOptions, place: Standing) -> PyResult<Self> {
        let (settings, start, topics, idle_timeout) = recipe;
        let mut config = ConsumerConfig::default();
        settings.iter().try_for_each(|(name, value)| config.set(name, value)).or_raise(py)?;
        Ok(Consumer {
            engine,
            reader: OnceLock::new(),
            place,
            settings,
            config,
            start,
            topics: Mutex::new(topics),
            idle_timeout: duration(idle_timeout),
            is_closed: AtomicBool::new(false),
        })
    }

    fn topics(&self) -> MutexGuard<'_, Vec<String>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self, py: Python<'_>) -> PyResult<&Reader> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        if self.closed() {
            return Err(refuse(py, ErrorCode::Closed, "the consumer is closed"));
        }
        let live = self.engine.live(py)?;
        let (config, topics) = (self.config.clone(), self.topics().clone());
        let (positions, paused) = &self.place;
        let consumer = py.detach(|| {
            let mut consumer = live.consumer_with(config)?;
            for topic in &topics {
                scan::assign_topic(live, &mut consumer, topic, &self.start)?;
            }
            for (topic, partition, offset) in positions {
                consumer.assign(topic, *partition, klog::Start::Offset(*offset))?;
            }
            paused.iter().try_for_each(|(topic, partition)| consumer.pause(topic, *partition))?;
            Ok(consumer)
        });
        let reader = Reader::new(py, consumer.or_raise(py)?)?;
        Ok(self.reader.get_or_init(|| reader))
    }

    fn most(&self, py: Python<'_>, max_records: Option<Int<i64>>) -> PyResult<usize> {
        match max_records {
            Some(most) => at_least_one(py, "max_records", most),
            None => Ok(self.config.max_poll_records as usize),
        }
    }

    /// Whether iteration ends when nothing came: it was quiet for long enough, or nothing can come.
    fn none_left<T>(&self, found: PyResult<Option<T>>) -> PyResult<Option<T>> {
        match found {
            Err(_) if self.closed() => Ok(None), // close ends the iteration
            other => other,
        }
    }
}

/// As many as somebody wants at once.
pub(crate) fn at_least_one(py: Python<'_>, name: &str, most: Int<i64>) -> PyResult<usize> {
    let most = most.named(py, name)?;
    if most < 1 {
        return Err(refuse(py, ErrorCode::InvalidRequest, format!("{name} is {most}; allowed are 1 and more")));
    }
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

/// What `assign` takes.
enum Assigned {
    Topic(String),
    Partition(MaybeOffset),
}

impl FromPyObject<'_, '_> for Assigned {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.is_instance_of::<PyString>() {
            true => object.extract().map(Assigned::Topic),
            false => object.extract().map(Assigned::Partition),
        }
    }
}

/// Whether a partition is there, and an offset is one.
fn check(engine: &klog::Engine, place: &Place, offset: Option<i64>) -> klog::Result<()> {
    engine.admin().list_offset(&place.0, place.1, OffsetSpec::Earliest)?;
    match offset {
        Some(negative @ ..0) => {
            let what = format!("offset {negative} is out of range: {}-{} begins at 0 or above", place.0, place.1);
            Err(klog::Error::new(ErrorCode::OffsetOutOfRange, what))
        }
        _ => Ok(()),
    }
}

/// Where `seek` goes.
enum Target {
    One(MaybeOffset),
    Places(Where),
}

impl FromPyObject<'_, '_> for Target {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match object.is_instance_of::<PyTuple>() {
            true => object.extract().map(Target::One),
            false => object.extract().map(Target::Places),
        }
    }
}

#[pymethods]
impl Consumer {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Record>> {
        self.none_left(self.reader(py)?.record(py, self.idle_timeout))
    }

    /// The next records of one partition, at most `max_records`, as soon as there is one. Waits up to `timeout` seconds,
    /// without a limit if that is None; then the batch is empty.
    #[pyo3(signature = (timeout=None, *, max_records=None))]
    fn poll(&self, py: Python<'_>, timeout: Option<Timeout>, max_records: Option<Int<i64>>) -> PyResult<Batch> {
        let cut = self.reader(py)?.batch(py, duration(timeout), self.most(py, max_records)?)?;
        let none = || Cut::new(Source::nothing(py), 0, 0);
        Ok(Batch::new(cut.unwrap_or_else(none)))
    }

    /// The records in batches of at most `max_records`, for ever or until `idle_timeout`.
    #[pyo3(signature = (max_records=None))]
    fn batches(slf: &Bound<'_, Self>, max_records: Option<Int<i64>>) -> PyResult<ConsumerBatches> {
        let max_records = slf.get().most(slf.py(), max_records)?;
        Ok(ConsumerBatches { consumer: slf.clone().unbind(), max_records })
    }

    /// Goes on elsewhere: at an `Offset`, at offsets by partition, or in every assigned partition at "earliest", "latest" or
    /// a time.
    fn seek(&self, py: Python<'_>, r#where: Target) -> PyResult<()> {
        let target = r#where;
        let mut held = self.reader(py)?.held(py)?;
        let assigned = held.assignment();
        let moves: Vec<(Place, klog::Start)> = match target {
            Target::One(MaybeOffset { place, offset: Some(offset) }) => vec![(place, klog::Start::Offset(offset))],
            Target::One(MaybeOffset { place, offset: None }) => {
                let what = format!("{}-{} is a partition; say at which offset of it to go on", place.0, place.1);
                return Err(refuse(py, ErrorCode::InvalidRequest, what));
            }
            Target::Places(Where::Offsets(offsets)) => {
                offsets.into_iter().map(|(place, offset)| (place, klog::Start::Offset(offset))).collect()
            }
            Target::Places(Where::Everywhere(start)) => {
                assigned.iter().map(|tp| (Place(tp.topic.clone(), tp.partition), start)).collect()
            }
        };
        // All or nothing.
        for (place, _) in &moves {
            held.position(&place.0, place.1).or_raise(py)?;
        }
        py.detach(|| moves.iter().try_for_each(|(place, start)| held.seek(&place.0, place.1, *start))).or_raise(py)
    }

    /// Leaves partitions out until `resume`.
    #[pyo3(signature = (*partitions))]
    fn pause(&self, py: Python<'_>, partitions: Vec<Place>) -> PyResult<()> {
        let mut held = self.reader(py)?.held(py)?;
        partitions.iter().try_for_each(|place| held.pause(&place.0, place.1)).or_raise(py)
    }

    /// Reads paused partitions again.
    #[pyo3(signature = (*partitions))]
    fn resume(&self, py: Python<'_>, partitions: Vec<Place>) -> PyResult<()> {
        let mut held = self.reader(py)?.held(py)?;
        partitions.iter().try_for_each(|place| held.resume(&place.0, place.1)).or_raise(py)
    }

    /// Replaces the assignment. A topic's name stands for all its partitions, also those that it is given later, which are read
    /// from their first record; the others and each `TopicPartition` are read from where the consumer starts, an `Offset` from
    /// there. With nothing, nothing is assigned.
    #[pyo3(signature = (*partitions))]
    fn assign(&self, py: Python<'_>, partitions: Vec<Assigned>) -> PyResult<()> {
        let engine = self.engine.live(py)?;
        let mut held = self.reader(py)?.held(py)?;
        py.detach(|| {
            // First whether all of them are there, so that a call that is refused changes nothing.
            for assigned in &partitions {
                match assigned {
                    Assigned::Topic(topic) => {
                        scan::partitions_of(engine, topic)?.try_for_each(|place| check(engine, &place, None))?;
                    }
                    Assigned::Partition(MaybeOffset { place, offset }) => check(engine, place, *offset)?,
                }
            }
            held.unassign();
            for assigned in &partitions {
                match assigned {
                    Assigned::Topic(topic) => scan::assign_topic(engine, &mut held, topic, &self.start)?,
                    Assigned::Partition(MaybeOffset { place, offset: None }) => {
                        scan::assign(&mut held, place, &self.start)?;
                    }
                    Assigned::Partition(MaybeOffset { place, offset: Some(offset) }) => {
                        held.assign(&place.0, place.1, klog::Start::Offset(*offset))?;
                    }
                }
            }
            Ok(())
        })
        .or_raise(py)?;
        let whole = |assigned: &Assigned| match assigned {
            Assigned::Topic(topic) => Some(topic.clone()),
            Assigned::Partition(_) => None,
        };
        *self.topics() = partitions.iter().filter_map(whole).collect();
        Ok(())
    }

    /// The partitions that are assigned.
    #[getter]
    fn assignment<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        let assigned = self.reader(py)?.held(py)?.assignment();
        let places: PyResult<Vec<_>> =
            assigned.iter().map(|tp| values::topic_partition(py, &tp.topic, tp.partition)).collect();
        PyFrozenSet::new(py, places?)
    }

    /// The offset that is read next, by partition.
    #[getter]
    fn positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let positions = PyDict::new(py);
        let mut held = self.reader(py)?.held(py)?;
        for tp in held.assignment() {
            let position = held.position(&tp.topic, tp.partition).or_raise(py)?;
            positions.set_item(values::topic_partition(py, &tp.topic, tp.partition)?, position)?;
        }
        Ok(positions)
    }

    /// Ends the wait of another thread, or else the next wait, with `WakeupError`. May be called from a signal handler.
    fn wakeup(&self, py: Python<'_>) -> PyResult<()> {
        self.reader(py)?.wake(py)
    }

    /// Gives the consumer back. Ends a wait of another thread, and its iteration. A second time does nothing.
    fn close(&self, py: Python<'_>) {
        match self.reader.get() {
            Some(reader) => reader.close(py),
            None => self.is_closed.store(true, Ordering::Release),
        }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.reader.get().map_or_else(|| self.is_closed.load(Ordering::Acquire), Reader::is_closed)
    }

    /// By path, options, assignment and positions: whoever unpickles it reads on where this one stands.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Recipe, Options<'py>, Standing))> {
        let recipe = self.engine.origin(py)?.recipe();
        let mut held = self.reader(py)?.held(py)?;
        let mut positions = Vec::new();
        for tp in held.assignment() {
            let offset = held.position(&tp.topic, tp.partition).or_raise(py)?;
            positions.push((tp.topic, tp.partition, offset));
        }
        let paused = held.paused().into_iter().map(|tp| (tp.topic, tp.partition)).collect();
        let seconds = self.idle_timeout.map(|timeout| timeout.as_secs_f64());
        let options = (self.settings.clone(), self.start.to_python(py)?, self.topics().clone(), seconds);
        let restore = py.import("klog._klog")?.getattr("_restore_consumer")?;
        Ok((restore, (recipe, options, (positions, paused))))
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
    ) {
        self.close(py);
    }
}

/// Iterates over what a consumer reads, in batches.
#[pyclass(frozen, module = "klog._klog")]
pub(crate) struct ConsumerBatches {
    consumer: Py<Consumer>,
    max_records: usize,
}

#[pymethods]
impl ConsumerBatches {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        let consumer = self.consumer.get();
        let cut = consumer.reader(py)?.batch(py, consumer.idle_timeout, self.max_records);
        Ok(consumer.none_left(cut)?.map(Batch::new))
    }
}

/// Makes a consumer again that was pickled. It is opened by its first call.
#[pyfunction]
pub(crate) fn _restore_consumer(
    py: Python<'_>,
    engine: Recipe,
    options: RestoredOptions,
    place: Standing,
) -> PyResult<Consumer> {
    Consumer::later(py, restored(py, engine)?, options, place)
}
