//! Topics and partitions, as handles that look anew at every question.

use std::collections::BTreeMap;
use std::sync::Arc;

use klog::{ConfigResource, OffsetSpec, TimestampMs, TopicDescription};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arguments::{Int, OptionText, Time, Where, items};
use crate::errors::{OrRaise, refuse};
use crate::lifetime::Shared;
use crate::scan::{Scan, ScanIterator};

/// A topic of an open engine.
#[pyclass(frozen, module = "klog")]
pub(crate) struct Topic {
    engine: Arc<Shared>,
    name: String,
}

impl Topic {
    /// The topic of that name.
    ///
    /// # Errors
    /// `UnknownTopicError`.
    pub(crate) fn find(py: Python<'_>, engine: &Arc<Shared>, name: &str) -> PyResult<Self> {
        if !is_there(py, engine, name)? {
            // The engine's own words, with the name that was meant; unless it was made just now.
            let live = engine.live(py)?;
            py.detach(|| live.admin().list_offset(name, 0, OffsetSpec::Earliest)).or_raise(py)?;
        }
        Ok(Topic::known(engine.clone(), name.to_owned()))
    }

    /// A topic that is known to exist.
    pub(crate) fn known(engine: Arc<Shared>, name: String) -> Self {
        Topic { engine, name }
    }

    fn describe(&self, py: Python<'_>) -> PyResult<TopicDescription> {
        describe(py, &self.engine, &self.name)
    }
}

/// Whether there is a topic of that name.
pub(crate) fn is_there(py: Python<'_>, engine: &Shared, name: &str) -> PyResult<bool> {
    let engine = engine.live(py)?;
    let topics = py.detach(|| engine.admin().list_topics()).or_raise(py)?;
    Ok(topics.iter().any(|topic| topic.name == name))
}

fn describe(py: Python<'_>, engine: &Shared, topic: &str) -> PyResult<TopicDescription> {
    let engine = engine.live(py)?;
    py.detach(|| engine.admin().describe_topic(topic)).or_raise(py)
}

/// An offset of a partition; −1 when there is none.
fn list_offset(py: Python<'_>, engine: &Shared, topic: &str, partition: i32, which: OffsetSpec) -> PyResult<i64> {
    let engine = engine.live(py)?;
    Ok(py.detach(|| engine.admin().list_offset(topic, partition, which)).or_raise(py)?.offset)
}

/// Up to where records are to be deleted.
enum Before {
    Offsets(BTreeMap<i32, i64>),
    Time(Time),
    End,
}

impl FromPyObject<'_, '_> for Before {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Some(pairs) = items(&object)? {
            let mut offsets = BTreeMap::new();
            for pair in pairs.try_iter()? {
                let (partition, offset): (Int<i32>, Int<i64>) = pair?.extract()?;
                offsets.insert(partition.named(object.py(), "partition")?, offset.named(object.py(), "offset")?);
            }
            return Ok(Before::Offsets(offsets));
        }
        match object.extract::<&str>() {
            Ok("end") => Ok(Before::End),
            Ok(other) => Err(PyTypeError::new_err(format!("before is 'end', a time, or offsets, and not '{other}'"))),
            Err(_) => object.extract().map(Before::Time),
        }
    }
}

#[pymethods]
impl Topic {
    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Its id, as Kafka writes it: 22 characters. It is another one when a topic is deleted and made again.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.describe(py)?.id.to_string())
    }

    /// Its partitions, by number.
    #[getter]
    fn partitions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let engine = self.engine.live(py)?;
        let topics = py.detach(|| engine.admin().list_topics()).or_raise(py)?;
        let count = topics.iter().find(|topic| topic.name == self.name).map(|topic| topic.partitions);
        let Some(count) = count else {
            return Err(self.describe(py).err().unwrap_or_else(|| PyTypeError::new_err("the topic came and went")));
        };
        let partition = |id| Partition { engine: self.engine.clone(), topic: self.name.clone(), id };
        let partitions: PyResult<Vec<_>> = (0..count).map(|id| Bound::new(py, partition(id))).collect();
        PyTuple::new(py, partitions?)
    }

    /// How many offsets lie between the ends of its partitions.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let partitions = self.describe(py)?.partitions;
        let count: i64 = partitions.iter().map(|one| one.high_watermark - one.log_start_offset).sum();
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// A handle is true, whether the topic has records or not.
    #[expect(clippy::unused_self, reason = "Python passes it")]
    fn __bool__(&self) -> bool {
        true
    }

    /// The records that there are, from the first to the last visible now.
    fn __iter__(&self, py: Python<'_>) -> PyResult<ScanIterator> {
        self.scan(Where::default()).records(py)
    }

    /// The records that there are, as a scan.
    #[pyo3(
        signature = (*, start=Where::default(), end="now", isolation="committed"),
        text_signature = "($self, *, start='earliest', end='now', isolation='committed')"
    )]
    fn read(&self, py: Python<'_>, start: Where, end: &str, isolation: &str) -> PyResult<Scan> {
        self.scan(start).with(py, end, isolation)
    }

    /// The settings that it has of its own, by Kafka's names.
    #[getter]
    fn config(&self, py: Python<'_>) -> PyResult<BTreeMap<String, String>> {
        Ok(self.describe(py)?.configs)
    }

    /// Gives it more partitions, `total` in all. They are there, durably, on return. See `Admin.add_partitions`.
    fn add_partitions(&self, py: Python<'_>, total: Int<i32>) -> PyResult<()> {
        let total = total.named(py, "total")?;
        let engine = self.engine.live(py)?;
        py.detach(|| engine.admin().add_partitions(&self.name, total)).or_raise(py)?;
        Ok(())
    }

    /// Changes settings, durably: `configure(retention_ms=60_000)`. None takes one back to what holds without it.
    #[pyo3(signature = (**changes))]
    fn configure(&self, py: Python<'_>, changes: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let mut wanted = BTreeMap::new();
        for (name, value) in changes.into_iter().flatten() {
            let name: String = name.extract()?;
            let value: Option<OptionText> = value.extract()?;
            wanted.insert(name.replace('_', "."), value.map(|OptionText(text)| text));
        }
        let engine = self.engine.live(py)?;
        py.detach(|| engine.admin().alter_configs(&ConfigResource::Topic(self.name.clone()), &wanted)).or_raise(py)
    }

    /// Deletes old records, durably: below offsets by partition, older than a time, or all that are visible ("end").
    #[pyo3(signature = (*, before))]
    fn delete_records(&self, py: Python<'_>, before: Before) -> PyResult<()> {
        let engine = self.engine.live(py)?;
        let partitions = self.describe(py)?.partitions;
        if let Before::Offsets(offsets) = &before
            && let Some(unknown) = offsets.keys().find(|id| partitions.iter().all(|one| one.partition != **id))
        {
            let what = format!("topic '{}' has {} partitions, and none is {unknown}", self.name, partitions.len());
            return Err(refuse(py, klog::ErrorCode::UnknownTopicOrPartition, what));
        }
        py.detach(|| {
            let admin = engine.admin();
            for id in partitions.iter().map(|one| one.partition) {
                let upto = match &before {
                    Before::End => None,
                    Before::Offsets(offsets) => match offsets.get(&id) {
                        Some(offset) => Some(*offset),
                        None => continue,
                    },
                    Before::Time(Time(ms)) => {
                        let found = admin.list_offset(&self.name, id, OffsetSpec::At(TimestampMs(*ms)))?.offset;
                        (found >= 0).then_some(found) // all are older: all go
                    }
                };
                admin.delete_records(&self.name, id, upto)?;
            }
            Ok(())
        })
        .or_raise(py)
    }

    fn __repr__(&self) -> String {
        format!("<klog.Topic '{}'>", self.name)
    }
}

impl Topic {
    fn scan(&self, start: Where) -> Scan {
        Scan::of_topic(self.engine.clone(), &self.name, start)
    }
}

/// A partition of a topic.
#[pyclass(frozen, module = "klog")]
pub(crate) struct Partition {
    engine: Arc<Shared>,
    topic: String,
    id: i32,
}

#[pymethods]
impl Partition {
    /// The name of its topic.
    #[getter]
    fn topic(&self) -> &str {
        &self.topic
    }

    /// Its number, from 0.
    #[getter]
    fn id(&self) -> i32 {
        self.id
    }

    /// The first offset that there is.
    #[getter]
    fn start(&self, py: Python<'_>) -> PyResult<i64> {
        list_offset(py, &self.engine, &self.topic, self.id, OffsetSpec::Earliest)
    }

    /// The high watermark: every record below is visible.
    #[getter]
    fn end(&self, py: Python<'_>) -> PyResult<i64> {
        list_offset(py, &self.engine, &self.topic, self.id, OffsetSpec::Latest)
    }

    /// The last stable offset: every transaction below is decided.
    #[getter]
    fn stable_end(&self, py: Python<'_>) -> PyResult<i64> {
        Ok(self.describe(py)?.last_stable_offset)
    }

    /// Bytes of its segments.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.describe(py)?.bytes)
    }

    /// The offset of the first record that is not older than `when`; None when all are.
    fn offset_at(&self, py: Python<'_>, when: Time) -> PyResult<Option<i64>> {
        let which = OffsetSpec::At(TimestampMs(when.0));
        let offset = list_offset(py, &self.engine, &self.topic, self.id, which)?;
        Ok((offset >= 0).then_some(offset))
    }

    fn __repr__(&self) -> String {
        format!("<klog.Partition {}-{}>", self.topic, self.id)
    }
}

impl Partition {
    fn describe(&self, py: Python<'_>) -> PyResult<klog::PartitionDescription> {
        let partitions = describe(py, &self.engine, &self.topic)?.partitions;
        partitions.into_iter().find(|one| one.partition == self.id).ok_or_else(|| {
            refuse(py, klog::ErrorCode::UnknownTopicOrPartition, format!("there is no {}-{}", self.topic, self.id))
        })
    }
}
