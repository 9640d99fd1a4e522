//! The verbs about topics and partitions, one for each of the engine's.

use std::sync::Arc;

use klog::{ConfigResource, NewTopic, OffsetSpec, TimestampMs};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::arguments::{Changes, Config, Int, Time, optional};
use crate::errors::{OrRaise, refuse};
use crate::lifetime::Shared;
use crate::values;

/// Looks at topics and changes them. May be used by any number of threads.
#[pyclass(frozen, module = "klog")]
pub(crate) struct Admin {
    engine: Arc<Shared>,
}

impl Admin {
    /// The verbs of an engine.
    pub(crate) fn of(engine: Arc<Shared>) -> Self {
        Admin { engine }
    }

    fn ask<T: Send>(&self, py: Python<'_>, verb: impl FnOnce(&klog::Admin) -> klog::Result<T> + Send) -> PyResult<T> {
        let engine = self.engine.live(py)?;
        py.detach(|| verb(&engine.admin())).or_raise(py)
    }
}

/// Which offset of a partition is asked for.
struct Which(OffsetSpec);

impl FromPyObject<'_, '_> for Which {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let Ok(word) = object.cast::<PyString>() else {
            let Time(timestamp) = object.extract()?;
            return Ok(Which(OffsetSpec::At(TimestampMs(timestamp))));
        };
        match word.to_str()? {
            "earliest" => Ok(Which(OffsetSpec::Earliest)),
            "latest" => Ok(Which(OffsetSpec::Latest)),
            "max_timestamp" => Ok(Which(OffsetSpec::MaxTimestamp)),
            other => {
                let what = format!("there is no offset '{other}': say earliest, latest or max_timestamp, or a time");
                Err(refuse(object.py(), klog::ErrorCode::InvalidRequest, what))
            }
        }
    }
}

#[pymethods]
impl Admin {
    /// Makes a topic and describes it. It exists, durably, on return. Raises `TopicExistsError`, `InvalidRequestError` for its
    /// name or a count, `ConfigError`, `ReadOnlyError`; nothing is changed then.
    #[pyo3(signature = (name, partitions=None, *, replication_factor=None, config=None))]
    fn create_topic<'py>(
        &self,
        py: Python<'py>,
        name: String,
        partitions: Option<Int<i32>>,
        replication_factor: Option<Int<i32>>,
        config: Option<Config>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let new = NewTopic {
            name,
            partitions: optional(py, "partitions", partitions)?,
            replication_factor: optional(py, "replication_factor", replication_factor)?,
            configs: config.unwrap_or_default().0.into_iter().collect(),
        };
        values::topic_description(py, self.ask(py, |admin| admin.create_topic(&new))?)
    }

    /// Changes settings of a topic, by Kafka's names; None takes one back to its default. They are in force, durably, on
    /// return. Raises `UnknownTopicError`, `ConfigError`, `ReadOnlyError`; nothing is changed then.
    fn alter_topic(&self, py: Python<'_>, name: &str, changes: Changes) -> PyResult<()> {
        self.ask(py, |admin| admin.alter_configs(&ConfigResource::Topic(name.to_owned()), &changes.0))
    }

    /// Removes a topic with all its records. It is gone, durably, on return. Raises `UnknownTopicError`, `ReadOnlyError`.
    fn delete_topic(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.ask(py, |admin| admin.delete_topic(name))
    }

    /// All topics, by name.
    fn list_topics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let topics = self.ask(py, klog::Admin::list_topics)?;
        let topics: PyResult<Vec<_>> = topics.iter().map(|topic| values::topic_listing(py, topic)).collect();
        PyList::new(py, topics?)
    }

    /// Settings, partitions, leaders, offsets and sizes of a topic. Raises `UnknownTopicError`.
    fn describe_topic<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        values::topic_description(py, self.ask(py, |admin| admin.describe_topic(name))?)
    }

    /// An offset of a partition: "earliest", "latest" (the high watermark), "max_timestamp", or that of the first record which
    /// is not older than a time. Raises `UnknownTopicError`.
    fn list_offset<'py>(
        &self,
        py: Python<'py>,
        topic: &str,
        partition: Int<i32>,
        which: Which,
    ) -> PyResult<Bound<'py, PyAny>> {
        let partition = partition.named(py, "partition")?;
        values::listed_offset(py, self.ask(py, |admin| admin.list_offset(topic, partition, which.0))?)
    }

    /// Deletes the records of a partition below an offset, or all that are visible (None), durably. Returns where the log
    /// starts now. Raises `OffsetOutOfRangeError` above the high watermark, `ReadOnlyError`.
    #[pyo3(signature = (topic, partition, before))]
    fn delete_records(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: Int<i32>,
        before: Option<Int<i64>>,
    ) -> PyResult<i64> {
        let (partition, before) = (partition.named(py, "partition")?, optional(py, "before", before)?);
        self.ask(py, |admin| admin.delete_records(topic, partition, before))
    }

    /// Deletes now what the topics' retention lets go of. Returns how many segments went.
    fn delete_old_segments(&self, py: Python<'_>) -> PyResult<usize> {
        self.ask(py, klog::Admin::delete_old_segments)
    }

    /// Reads everything and checks everything, in one topic or in all: batches, checksums, indexes.
    #[pyo3(signature = (topic=None))]
    fn verify<'py>(&self, py: Python<'py>, topic: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
        values::report(py, &self.ask(py, |admin| admin.verify(topic))?)
    }
}
