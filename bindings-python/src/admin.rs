//! The verbs about topics and partitions, one for each of the engine's.

use std::sync::Arc;

use klog::{ConfigResource, NewTopic, OffsetSpec, TimestampMs};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::arguments::{Changes, Config, Int, Time, optional};
use crate::consumer::at_least_one;
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

/// What settings belong to: a topic or, without one, all brokers.
fn resource(topic: Option<String>) -> ConfigResource {
    topic.map_or(ConfigResource::Brokers, ConfigResource::Topic)
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

    /// Gives a topic more partitions, `total` in all, and describes it. They are there, durably, on return. Raises
    /// `InvalidRequestError` for a total that is not larger, `UnknownTopicError`, `ReadOnlyError`; nothing is changed then.
    fn add_partitions<'py>(&self, py: Python<'py>, name: &str, total: Int<i32>) -> PyResult<Bound<'py, PyAny>> {
        let total = total.named(py, "total")?;
        values::topic_description(py, self.ask(py, |admin| admin.add_partitions(name, total))?)
    }

    /// Every setting of a topic, or without one of the brokers, by its name: the value that holds, and where that comes from.
    /// Raises `UnknownTopicError`.
    #[pyo3(signature = (topic=None))]
    fn describe_configs<'py>(&self, py: Python<'py>, topic: Option<String>) -> PyResult<Bound<'py, PyDict>> {
        let configs = PyDict::new(py);
        for entry in self.ask(py, |admin| admin.describe_configs(&resource(topic)))? {
            configs.set_item(&entry.name, values::config_entry(py, &entry)?)?;
        }
        Ok(configs)
    }

    /// Changes settings of a topic, or with None those of all brokers, by Kafka's names; None takes one back to what holds
    /// without it. All of them are in force, durably, on return, or none is. Raises `UnknownTopicError`, `ConfigError`,
    /// `ReadOnlyError`.
    #[pyo3(signature = (topic, changes))]
    fn alter_configs(&self, py: Python<'_>, topic: Option<String>, changes: Changes) -> PyResult<()> {
        self.ask(py, |admin| admin.alter_configs(&resource(topic), &changes.0))
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

    /// What the log directories hold, by their files: partitions and their sizes, and how much room is left.
    fn log_dirs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let dirs = self.ask(py, klog::Admin::describe_log_dirs)?;
        let dirs: PyResult<Vec<_>> = dirs.iter().map(|dir| values::log_dir_description(py, dir)).collect();
        PyList::new(py, dirs?)
    }

    /// The handles that have the directory open for writing, by slot.
    fn attached<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let attached = self.ask(py, klog::Admin::attached)?;
        let handles: PyResult<Vec<_>> = attached.handles.iter().map(|one| values::attached_handle(py, one)).collect();
        PyList::new(py, handles?)
    }

    /// What is counted in the directory since the first of those who have it open opened it.
    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let metrics = self.ask(py, klog::Admin::metrics)?;
        let metrics: PyResult<Vec<_>> = metrics.rows().iter().map(|one| values::metric(py, one)).collect();
        PyList::new(py, metrics?)
    }

    /// The segments of a partition, in order. Reads the header of every batch. Raises `UnknownTopicError`.
    #[pyo3(signature = (topic, partition=Int::of(0)), text_signature = "($self, topic, partition=0)")]
    fn segments<'py>(&self, py: Python<'py>, topic: &str, partition: Int<i32>) -> PyResult<Bound<'py, PyList>> {
        let partition = partition.named(py, "partition")?;
        let segments = self.ask(py, |admin| admin.list_segments(topic, partition))?;
        let segments: PyResult<Vec<_>> = segments.iter().map(|one| values::segment_description(py, one)).collect();
        PyList::new(py, segments?)
    }

    /// The batches of a partition, by their headers, from the one that contains `from_offset` on, or from the first there is.
    /// Checks their checksums. Raises `UnknownTopicError`, `OffsetOutOfRangeError`.
    #[pyo3(
        signature = (topic, partition=Int::of(0), *, from_offset=None, max_batches=None),
        text_signature = "($self, topic, partition=0, *, from_offset=None, max_batches=None)"
    )]
    fn batches<'py>(
        &self,
        py: Python<'py>,
        topic: &str,
        partition: Int<i32>,
        from_offset: Option<Int<i64>>,
        max_batches: Option<Int<i64>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (partition, from_offset) = (partition.named(py, "partition")?, optional(py, "from_offset", from_offset)?);
        let most = max_batches.map_or(Ok(usize::MAX), |most| at_least_one(py, "max_batches", most))?;
        let batches = self.ask(py, |admin| {
            let from = match from_offset {
                Some(offset) => offset,
                None => admin.list_offset(topic, partition, OffsetSpec::Earliest)?.offset,
            };
            admin.list_batches(topic, partition, from, most)
        })?;
        let batches: PyResult<Vec<_>> = batches.iter().map(|one| values::batch_description(py, one)).collect();
        PyList::new(py, batches?)
    }

    /// Reads everything and checks everything, in one topic or in all: batches, checksums, indexes.
    #[pyo3(signature = (topic=None))]
    fn verify<'py>(&self, py: Python<'py>, topic: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
        values::report(py, &self.ask(py, |admin| admin.verify(topic))?)
    }
}
