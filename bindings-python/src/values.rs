//! The plain values: named tuples, made when the module is imported.

use klog::{Damage, ListedOffset, PartitionDescription, RecordMetadata, Report, TopicDescription, TopicListing};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The classes, and what makes an instance of one without running Python code.
struct Classes {
    topic_partition: Py<PyType>,
    offset: Py<PyType>,
    record_metadata: Py<PyType>,
    report: Py<PyType>,
    damage: Py<PyType>,
    topic_listing: Py<PyType>,
    topic_description: Py<PyType>,
    partition_description: Py<PyType>,
    listed_offset: Py<PyType>,
    new: Py<PyAny>,
}

const PARTITION_FIELDS: [&str; 11] = [
    "partition",
    "leader",
    "leader_epoch",
    "replicas",
    "isr",
    "log_start_offset",
    "last_stable_offset",
    "high_watermark",
    "log_end_offset",
    "bytes",
    "segments",
];

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Makes the classes and puts them into the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let made = classes(py)?;
    module.add("TopicPartition", made.topic_partition.bind(py))?;
    module.add("Offset", made.offset.bind(py))?;
    module.add("RecordMetadata", made.record_metadata.bind(py))?;
    module.add("Report", made.report.bind(py))?;
    module.add("Damage", made.damage.bind(py))?;
    module.add("TopicListing", made.topic_listing.bind(py))?;
    module.add("TopicDescription", made.topic_description.bind(py))?;
    module.add("PartitionDescription", made.partition_description.bind(py))?;
    module.add("ListedOffset", made.listed_offset.bind(py))
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let damage = ["topic", "partition", "first_offset", "next_offset", "file", "position", "bytes", "reason"];
        Ok(Classes {
            topic_partition: make(py, "TopicPartition", "A partition of a topic.", &["topic", "partition"])?,
            offset: make_offset(py)?,
            record_metadata: make(
                py,
                "RecordMetadata",
                "Where a record is: what a `Delivery` resolves to.",
                &["topic", "partition", "offset", "timestamp"],
            )?,
            report: make(py, "Report", "What opening, recovering or verifying found.", &["ok", "problems"])?,
            damage: make(py, "Damage", "Bytes of a log that do not check out.", &damage)?,
            topic_listing: make(
                py,
                "TopicListing",
                "A topic in a list.",
                &["name", "id", "partitions", "replication_factor", "is_internal"],
            )?,
            topic_description: make(
                py,
                "TopicDescription",
                "What there is to know about a topic.",
                &["name", "id", "is_internal", "configs", "partitions"],
            )?,
            partition_description: make(
                py,
                "PartitionDescription",
                "What there is to know about a partition.",
                &PARTITION_FIELDS,
            )?,
            listed_offset: make(py, "ListedOffset", "An offset that was asked for.", &["offset", "timestamp"])?,
            new: py.get_type::<PyTuple>().getattr("__new__")?.unbind(),
        })
    })
}

fn make(py: Python<'_>, name: &str, doc: &str, fields: &[&str]) -> PyResult<Py<PyType>> {
    named_tuple(py, name, doc, fields, &PyTuple::empty(py))
}

fn make_offset(py: Python<'_>) -> PyResult<Py<PyType>> {
    let doc = "A position in a partition: the offset that is read next.";
    let defaults = ("", py.None()).into_pyobject(py)?;
    named_tuple(py, "Offset", doc, &["topic", "partition", "offset", "metadata", "leader_epoch"], &defaults)
}

fn named_tuple(
    py: Python<'_>,
    name: &str,
    doc: &str,
    fields: &[&str],
    defaults: &Bound<'_, PyTuple>,
) -> PyResult<Py<PyType>> {
    let keywords = PyDict::new(py);
    keywords.set_item("module", "klog")?;
    keywords.set_item("defaults", defaults)?;
    let class = py.import("collections")?.getattr("namedtuple")?.call((name, fields), Some(&keywords))?;
    class.setattr("__doc__", doc)?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

/// An instance of one of the classes.
fn instance<'py>(
    py: Python<'py>,
    which: impl FnOnce(&Classes) -> &Py<PyType>,
    fields: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
) -> PyResult<Bound<'py, PyAny>> {
    let classes = classes(py)?;
    classes.new.bind(py).call1((which(classes).bind(py), fields.into_pyobject(py)?))
}

/// A `TopicPartition`.
pub(crate) fn topic_partition<'py>(py: Python<'py>, topic: &str, partition: i32) -> PyResult<Bound<'py, PyAny>> {
    instance(py, |classes| &classes.topic_partition, (topic, partition))
}

/// An `Offset`.
pub(crate) fn offset<'py>(py: Python<'py>, topic: &str, partition: i32, offset: i64) -> PyResult<Bound<'py, PyAny>> {
    instance(py, |classes| &classes.offset, (topic, partition, offset, "", py.None()))
}

/// A `RecordMetadata`.
pub(crate) fn record_metadata<'py>(py: Python<'py>, metadata: &RecordMetadata) -> PyResult<Bound<'py, PyAny>> {
    let RecordMetadata { topic, partition, offset, timestamp } = metadata;
    instance(py, |classes| &classes.record_metadata, (topic, *partition, *offset, *timestamp))
}

/// A `Report`.
pub(crate) fn report<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyAny>> {
    let text = report.to_string();
    let problems = PyTuple::new(py, text.lines().collect::<Vec<_>>())?;
    instance(py, |classes| &classes.report, (report.is_empty(), problems))
}

/// A `Damage`.
pub(crate) fn damage<'py>(py: Python<'py>, damage: &Damage) -> PyResult<Bound<'py, PyAny>> {
    let Damage { topic, partition, first_offset, next_offset, file, position, bytes, reason } = damage;
    let fields = (topic, *partition, *first_offset, *next_offset, file, *position, *bytes, reason);
    instance(py, |classes| &classes.damage, fields)
}

/// A `TopicListing`.
pub(crate) fn topic_listing<'py>(py: Python<'py>, topic: &TopicListing) -> PyResult<Bound<'py, PyAny>> {
    let TopicListing { name, id, partitions, replication_factor, is_internal } = topic;
    let fields = (name, id.to_string(), *partitions, *replication_factor, *is_internal);
    instance(py, |classes| &classes.topic_listing, fields)
}

/// A `TopicDescription`.
pub(crate) fn topic_description(py: Python<'_>, topic: TopicDescription) -> PyResult<Bound<'_, PyAny>> {
    let TopicDescription { name, id, is_internal, configs, partitions } = topic;
    let partitions: PyResult<Vec<_>> = partitions.iter().map(|one| partition_description(py, one)).collect();
    let fields = (name, id.to_string(), is_internal, configs, PyTuple::new(py, partitions?)?);
    instance(py, |classes| &classes.topic_description, fields)
}

/// A `PartitionDescription`.
fn partition_description<'py>(py: Python<'py>, one: &PartitionDescription) -> PyResult<Bound<'py, PyAny>> {
    let fields = (
        one.partition,
        one.leader,
        one.leader_epoch,
        PyTuple::new(py, &one.replicas)?,
        PyTuple::new(py, &one.isr)?,
        one.log_start_offset,
        one.last_stable_offset,
        one.high_watermark,
        one.log_end_offset,
        one.bytes,
        one.segments,
    );
    instance(py, |classes| &classes.partition_description, fields)
}

/// A `ListedOffset`.
pub(crate) fn listed_offset(py: Python<'_>, listed: ListedOffset) -> PyResult<Bound<'_, PyAny>> {
    instance(py, |classes| &classes.listed_offset, (listed.offset, listed.timestamp))
}
