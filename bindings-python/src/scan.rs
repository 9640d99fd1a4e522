//! Reading what is there, once from one end to the other.

use std::sync::Arc;

use klog::{Consumer, ConsumerConfig, ErrorCode, IsolationLevel, OffsetReset};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::arguments::{Int, Place, Where};
use crate::batch::Batch;
use crate::consumer::at_least_one;
use crate::errors::{OrRaise, refuse};
use crate::lifetime::Shared;
use crate::reader::Reader;
use crate::record::Record;

/// A topic, or one partition of it.
pub(crate) enum Wanted {
    Topic(String),
    Partition(Place),
}

impl FromPyObject<'_, '_> for Wanted {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if object.is_instance_of::<PyString>() {
            return object.extract().map(Wanted::Topic);
        }
        object.extract().map(Wanted::Partition)
    }
}

/// The records of topics or partitions, from where the scan starts to what is visible when it is iterated over. Each
/// iteration reads anew.
#[pyclass(frozen, module = "klog")]
pub(crate) struct Scan {
    engine: Arc<Shared>,
    wanted: Vec<Wanted>,
    start: Where,
    isolation: IsolationLevel,
}

impl Scan {
    /// All records of some topics or partitions.
    pub(crate) fn new(engine: Arc<Shared>, wanted: Vec<Wanted>, start: Where) -> Self {
        Scan { engine, wanted, start, isolation: IsolationLevel::ReadCommitted }
    }

    /// The records of one topic.
    pub(crate) fn of_topic(engine: Arc<Shared>, topic: &str, start: Where) -> Self {
        Scan::new(engine, vec![Wanted::Topic(topic.to_owned())], start)
    }

    /// Checks and takes over the options that have words.
    pub(crate) fn with(mut self, py: Python<'_>, end: &str, isolation: &str) -> PyResult<Self> {
        if self.wanted.is_empty() {
            return Err(refuse(py, ErrorCode::InvalidRequest, "name at least one topic to read"));
        }
        if end != "now" {
            let what =
                format!("end='{end}' is not supported yet: a scan ends at what is visible when it begins, \"now\"");
            return Err(refuse(py, ErrorCode::Unsupported, what));
        }
        self.isolation = isolation_level(py, isolation)?;
        Ok(self)
    }

    fn reader(&self, py: Python<'_>) -> PyResult<Reader> {
        let engine = self.engine.live(py)?;
        let mut config = ConsumerConfig { isolation_level: self.isolation, ..ConsumerConfig::default() };
        if matches!(self.start, Where::Offsets(_)) {
            config.auto_offset_reset = OffsetReset::None; // who names an offset wants that one
        }
        let consumer = py.detach(|| {
            let mut consumer = engine.consumer_with(config)?;
            for wanted in &self.wanted {
                match wanted {
                    Wanted::Topic(topic) => assign_topic(engine, &mut consumer, topic, &self.start)?,
                    Wanted::Partition(place) => assign(&mut consumer, place, &self.start)?,
                }
            }
            Ok(consumer)
        });
        Reader::new(py, consumer.or_raise(py)?)?.until_now(py)
    }

    /// Iterates over the records.
    pub(crate) fn records(&self, py: Python<'_>) -> PyResult<ScanIterator> {
        Ok(ScanIterator { reader: self.reader(py)? })
    }
}

/// Takes all partitions of a topic in, and those that it is given later.
pub(crate) fn assign_topic(
    engine: &klog::Engine,
    consumer: &mut Consumer,
    topic: &str,
    start: &Where,
) -> klog::Result<()> {
    match start {
        Where::Everywhere(start) => consumer.assign_topics(&[topic], *start),
        Where::Offsets(_) => {
            consumer.assign_topics(&[topic], klog::Start::Earliest)?;
            partitions_of(engine, topic)?.try_for_each(|place| assign(consumer, &place, start))
        }
    }
}

/// The partitions of a topic. One that does not exist has a partition 0, where it is refused with the name that was meant.
pub(crate) fn partitions_of(engine: &klog::Engine, topic: &str) -> klog::Result<impl Iterator<Item = Place>> {
    let topics = engine.admin().list_topics()?;
    let count = topics.iter().find(|known| known.name == topic).map_or(1, |known| known.partitions);
    Ok((0..count).map(move |partition| Place(topic.to_owned(), partition)))
}

/// Takes a partition in.
pub(crate) fn assign(consumer: &mut Consumer, place: &Place, start: &Where) -> klog::Result<()> {
    consumer.assign(&place.0, place.1, start.in_partition(place))
}

/// Which records of transactions are seen.
pub(crate) fn isolation_level(py: Python<'_>, word: &str) -> PyResult<IsolationLevel> {
    match word {
        "committed" => Ok(IsolationLevel::ReadCommitted),
        "uncommitted" => Ok(IsolationLevel::ReadUncommitted),
        other => {
            let what = format!("isolation is '{other}'; allowed are committed and uncommitted");
            Err(refuse(py, ErrorCode::InvalidConfig, what))
        }
    }
}

#[pymethods]
impl Scan {
    fn __iter__(&self, py: Python<'_>) -> PyResult<ScanIterator> {
        self.records(py)
    }

    /// The same records in batches, each of one partition and of at most `max_records`.
    #[pyo3(signature = (max_records=Int::of(10_000)), text_signature = "($self, max_records=10000)")]
    fn batches(&self, py: Python<'_>, max_records: Int<i64>) -> PyResult<ScanBatches> {
        let max_records = at_least_one(py, "max_records", max_records)?;
        Ok(ScanBatches { reader: self.reader(py)?, max_records })
    }

    fn __repr__(&self) -> String {
        let name = |wanted: &Wanted| match wanted {
            Wanted::Topic(topic) => topic.clone(),
            Wanted::Partition(Place(topic, partition)) => format!("{topic}-{partition}"),
        };
        format!("<klog.Scan of {}>", self.wanted.iter().map(name).collect::<Vec<_>>().join(", "))
    }
}

/// Iterates over the records of a scan.
#[pyclass(frozen, module = "klog._klog")]
pub(crate) struct ScanIterator {
    reader: Reader,
}

#[pymethods]
impl ScanIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Record>> {
        self.reader.record(py, None)
    }
}

/// Iterates over the batches of a scan.
#[pyclass(frozen, module = "klog._klog")]
pub(crate) struct ScanBatches {
    reader: Reader,
    max_records: usize,
}

#[pymethods]
impl ScanBatches {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        Ok(self.reader.batch(py, None, self.max_records)?.map(Batch::new))
    }
}
