//! The plain values: named tuples, made when the module is imported.

use klog::{
    Adoption, AttachedHandle, BatchDescription, ConfigEntry, Damage, ListedOffset, LogDirDescription, Metric,
    PartitionDescription, RecordMetadata, ReplicaDescription, Report, SegmentDescription, TopicDescription,
    TopicListing,
};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// A class, by its place in [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    TopicPartition,
    Offset,
    RecordMetadata,
    ListedOffset,
    TopicListing,
    PartitionDescription,
    TopicDescription,
    ConfigEntry,
    SegmentDescription,
    BatchDescription,
    ReplicaDescription,
    LogDirDescription,
    Holding,
    AttachedHandle,
    Metric,
    Damage,
    Report,
    Adoption,
}

/// Each class with what it is, and its fields.
const TABLE: &[(Class, &str, &[&str])] = &[
    (Class::TopicPartition, "A partition of a topic.", &["topic", "partition"]),
    (
        Class::Offset,
        "A position in a partition: the offset that is read next.",
        &["topic", "partition", "offset", "metadata", "leader_epoch"],
    ),
    (
        Class::RecordMetadata,
        "Where a record is: what a `Delivery` resolves to.",
        &["topic", "partition", "offset", "timestamp"],
    ),
    (Class::ListedOffset, "An offset that was asked for.", &["offset", "timestamp"]),
    (Class::TopicListing, "A topic in a list.", &["name", "id", "partitions", "replication_factor", "is_internal"]),
    (
        Class::PartitionDescription,
        "What there is to know about a partition.",
        &[
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
        ],
    ),
    (
        Class::TopicDescription,
        "What there is to know about a topic.",
        &["name", "id", "is_internal", "configs", "partitions"],
    ),
    (
        Class::ConfigEntry,
        "A setting: the value that holds, and where it comes from.",
        &["name", "value", "source", "is_read_only", "type", "bounds", "doc"],
    ),
    (
        Class::SegmentDescription,
        "A segment of a partition.",
        &[
            "file",
            "base_offset",
            "next_offset",
            "bytes",
            "damaged_bytes",
            "batches",
            "records",
            "first_timestamp",
            "max_timestamp",
            "is_active",
        ],
    ),
    (
        Class::BatchDescription,
        "A batch of records, by its header.",
        &[
            "file",
            "position",
            "bytes",
            "base_offset",
            "last_offset",
            "records",
            "codec",
            "is_crc_ok",
            "producer_id",
            "producer_epoch",
            "base_sequence",
            "is_transactional",
            "is_control",
            "leader_epoch",
            "max_timestamp",
            "problem",
        ],
    ),
    (
        Class::ReplicaDescription,
        "A partition in a log directory.",
        &["directory", "partition", "log_bytes", "bytes", "segments"],
    ),
    (Class::LogDirDescription, "A log directory.", &["path", "total_bytes", "usable_bytes", "replicas"]),
    (Class::Holding, "Something that a handle holds.", &["what", "held_ms"]),
    (
        Class::AttachedHandle,
        "Somebody who has the directory open for writing.",
        &["slot", "generation", "pid", "pid_namespace", "program", "since", "is_dead", "holds"],
    ),
    (Class::Metric, "A number that is counted.", &["name", "partition", "kind", "value", "help"]),
    (
        Class::Damage,
        "Bytes of a log that do not check out.",
        &["topic", "partition", "first_offset", "next_offset", "file", "position", "bytes", "reason"],
    ),
    (Class::Report, "What opening, recovering or verifying found.", &["ok", "problems"]),
    (
        Class::Adoption,
        "What adopting a directory did.",
        &["cluster_id", "node_id", "made_metadata", "topics", "partitions", "left_alone", "report"],
    ),
];

/// The classes, and what makes an instance of one without running Python code.
struct Classes {
    made: Vec<Py<PyType>>,
    new: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Makes the classes and puts them into the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (class, made) in TABLE.iter().zip(&classes(module.py())?.made) {
        module.add(format!("{:?}", class.0), made.bind(module.py()))?;
    }
    Ok(())
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let mut made = Vec::new();
        for (class, doc, fields) in TABLE {
            assert_eq!(*class as usize, made.len(), "the table is in the order of the classes");
            made.push(make(py, *class, doc, fields)?);
        }
        Ok(Classes { made, new: py.get_type::<PyTuple>().getattr("__new__")?.unbind() })
    })
}

fn make(py: Python<'_>, class: Class, doc: &str, fields: &[&str]) -> PyResult<Py<PyType>> {
    let keywords = PyDict::new(py);
    keywords.set_item("module", "klog")?;
    if class == Class::Offset {
        keywords.set_item("defaults", ("", py.None()))?;
    }
    let name = format!("{class:?}");
    let class = py.import("collections")?.getattr("namedtuple")?.call((name, fields), Some(&keywords))?;
    class.setattr("__doc__", doc)?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

/// An instance of one of the classes.
fn instance<'py>(
    py: Python<'py>,
    class: Class,
    fields: impl IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error: Into<PyErr>>,
) -> PyResult<Bound<'py, PyAny>> {
    let classes = classes(py)?;
    classes.new.bind(py).call1((classes.made[class as usize].bind(py), fields.into_pyobject(py).map_err(Into::into)?))
}

/// A `TopicPartition`.
pub(crate) fn topic_partition<'py>(py: Python<'py>, topic: &str, partition: i32) -> PyResult<Bound<'py, PyAny>> {
    instance(py, Class::TopicPartition, (topic, partition))
}

/// An `Offset`.
pub(crate) fn offset<'py>(py: Python<'py>, topic: &str, partition: i32, offset: i64) -> PyResult<Bound<'py, PyAny>> {
    instance(py, Class::Offset, (topic, partition, offset, "", py.None()))
}

/// A `RecordMetadata`.
pub(crate) fn record_metadata<'py>(py: Python<'py>, metadata: &RecordMetadata) -> PyResult<Bound<'py, PyAny>> {
    let RecordMetadata { topic, partition, offset, timestamp } = metadata;
    instance(py, Class::RecordMetadata, (topic, *partition, *offset, *timestamp))
}

/// A `Report`.
pub(crate) fn report<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyAny>> {
    let text = report.to_string();
    let problems = PyTuple::new(py, text.lines().collect::<Vec<_>>())?;
    instance(py, Class::Report, (report.is_empty(), problems))
}

/// A `Damage`.
pub(crate) fn damage<'py>(py: Python<'py>, damage: &Damage) -> PyResult<Bound<'py, PyAny>> {
    let Damage { topic, partition, first_offset, next_offset, file, position, bytes, reason } = damage;
    let fields = (topic, *partition, *first_offset, *next_offset, file, *position, *bytes, reason);
    instance(py, Class::Damage, fields)
}

/// A `TopicListing`.
pub(crate) fn topic_listing<'py>(py: Python<'py>, topic: &TopicListing) -> PyResult<Bound<'py, PyAny>> {
    let TopicListing { name, id, partitions, replication_factor, is_internal } = topic;
    let fields = (name, id.to_string(), *partitions, *replication_factor, *is_internal);
    instance(py, Class::TopicListing, fields)
}

/// A `TopicDescription`.
pub(crate) fn topic_description(py: Python<'_>, topic: TopicDescription) -> PyResult<Bound<'_, PyAny>> {
    let TopicDescription { name, id, is_internal, configs, partitions } = topic;
    let partitions: PyResult<Vec<_>> = partitions.iter().map(|one| partition_description(py, one)).collect();
    let fields = (name, id.to_string(), is_internal, configs, PyTuple::new(py, partitions?)?);
    instance(py, Class::TopicDescription, fields)
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
    instance(py, Class::PartitionDescription, fields)
}

/// A `ListedOffset`.
pub(crate) fn listed_offset(py: Python<'_>, listed: ListedOffset) -> PyResult<Bound<'_, PyAny>> {
    instance(py, Class::ListedOffset, (listed.offset, listed.timestamp))
}

/// A `ConfigEntry`.
pub(crate) fn config_entry<'py>(py: Python<'py>, entry: &ConfigEntry) -> PyResult<Bound<'py, PyAny>> {
    let ConfigEntry { name, value, source, is_read_only, kind, bounds, doc } = entry;
    let fields = (name, value, source.name(), *is_read_only, *kind, bounds, *doc);
    instance(py, Class::ConfigEntry, fields)
}

/// A `SegmentDescription`.
pub(crate) fn segment_description<'py>(py: Python<'py>, one: &SegmentDescription) -> PyResult<Bound<'py, PyAny>> {
    let fields = (
        &one.file,
        one.base_offset,
        one.next_offset,
        one.bytes,
        one.damaged_bytes,
        one.batches,
        one.records,
        one.first_timestamp,
        one.max_timestamp,
        one.is_active,
    );
    instance(py, Class::SegmentDescription, fields)
}

/// A `BatchDescription`.
pub(crate) fn batch_description<'py>(py: Python<'py>, one: &BatchDescription) -> PyResult<Bound<'py, PyAny>> {
    // PyO3 makes tuples of at most twelve.
    let fields = [
        one.file.as_str().into_bound_py_any(py)?,
        one.position.into_bound_py_any(py)?,
        one.bytes.into_bound_py_any(py)?,
        one.header.base_offset.0.into_bound_py_any(py)?,
        one.header.last_offset().0.into_bound_py_any(py)?,
        one.header.records_count.into_bound_py_any(py)?,
        one.codec().into_bound_py_any(py)?,
        one.is_crc_ok().into_bound_py_any(py)?,
        one.producer_id().0.into_bound_py_any(py)?,
        one.header.producer_epoch.into_bound_py_any(py)?,
        one.header.base_sequence.into_bound_py_any(py)?,
        one.header.is_transactional().into_bound_py_any(py)?,
        one.header.is_control().into_bound_py_any(py)?,
        one.header.leader_epoch.0.into_bound_py_any(py)?,
        one.header.max_timestamp.0.into_bound_py_any(py)?,
        one.problem.as_ref().map(ToString::to_string).into_bound_py_any(py)?,
    ];
    instance(py, Class::BatchDescription, PyTuple::new(py, fields)?)
}

/// A `LogDirDescription`.
pub(crate) fn log_dir_description<'py>(py: Python<'py>, dir: &LogDirDescription) -> PyResult<Bound<'py, PyAny>> {
    let replicas: PyResult<Vec<_>> = dir.replicas.iter().map(|one| replica_description(py, one)).collect();
    let path = dir.path.to_string_lossy();
    let fields = (&*path, dir.total_bytes, dir.usable_bytes, PyTuple::new(py, replicas?)?);
    instance(py, Class::LogDirDescription, fields)
}

/// A `ReplicaDescription`.
fn replica_description<'py>(py: Python<'py>, one: &ReplicaDescription) -> PyResult<Bound<'py, PyAny>> {
    let ReplicaDescription { directory, partition, log_bytes, bytes, segments } = one;
    let partition = partition.as_ref().map(|of| topic_partition(py, &of.topic, of.partition)).transpose()?;
    instance(py, Class::ReplicaDescription, (directory, partition, *log_bytes, *bytes, *segments))
}

/// An `AttachedHandle`.
pub(crate) fn attached_handle<'py>(py: Python<'py>, one: &AttachedHandle) -> PyResult<Bound<'py, PyAny>> {
    let holding = |held: &klog::Holding| instance(py, Class::Holding, (held.what.to_string(), held.held_ms));
    let holds: PyResult<Vec<_>> = one.holds.iter().map(holding).collect();
    let AttachedHandle { slot, generation, pid, pid_namespace, program, since_ms, is_dead, holds: _ } = one;
    let holds = PyTuple::new(py, holds?)?;
    let fields = (*slot, *generation, *pid, *pid_namespace, program, *since_ms, *is_dead, holds);
    instance(py, Class::AttachedHandle, fields)
}

/// A `Metric`.
pub(crate) fn metric<'py>(py: Python<'py>, one: &Metric) -> PyResult<Bound<'py, PyAny>> {
    let Metric { name, help, kind, partition, value } = one;
    let partition = partition.as_ref().map(|of| topic_partition(py, &of.topic, of.partition)).transpose()?;
    instance(py, Class::Metric, (*name, partition, kind.name(), *value, *help))
}

/// What `Engine.stats` says: the numbers of the directory by name, and those of each partition.
pub(crate) fn stats<'py>(py: Python<'py>, metrics: &[Metric]) -> PyResult<Bound<'py, PyDict>> {
    let (stats, partitions) = (PyDict::new(py), PyDict::new(py));
    for Metric { name, partition, value, .. } in metrics {
        let Some(of) = partition else {
            stats.set_item(name, value)?;
            continue;
        };
        let key = topic_partition(py, &of.topic, of.partition)?;
        let counts = match partitions.get_item(&key)? {
            Some(counts) => counts.cast_into::<PyDict>()?,
            None => PyDict::new(py),
        };
        counts.set_item(name, value)?;
        partitions.set_item(key, counts)?;
    }
    stats.set_item("partitions", partitions)?;
    Ok(stats)
}

/// An `Adoption`.
pub(crate) fn adoption<'py>(py: Python<'py>, adoption: &Adoption) -> PyResult<Bound<'py, PyAny>> {
    let Adoption { cluster_id, node_id, made_metadata, topics, partitions, left_alone, report: found } = adoption;
    let left_alone = PyTuple::new(py, left_alone)?;
    let fields = (cluster_id, *node_id, *made_metadata, *topics, *partitions, left_alone, report(py, found)?);
    instance(py, Class::Adoption, fields)
}
