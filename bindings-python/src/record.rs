//! A record that was read, and the memory that it shares with others.

use std::ffi::c_int;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use klog::TimestampType;
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyMemoryView, PyString, PyTuple};

use crate::arguments::{self, Headers};
use crate::buffer::{self, Part};
use crate::values;

/// What records come from.
pub(crate) enum Source {
    /// What a poll returned.
    Read {
        batch: klog::Batch,
        /// The topic's name, once for all records.
        topic: Py<PyString>,
    },
    /// A record that was unpickled.
    Made(Made),
}

/// A record by itself.
pub(crate) struct Made {
    topic: Py<PyString>,
    partition: i32,
    offset: i64,
    timestamp: i64,
    is_append_time: bool,
    /// Key and value, behind each other.
    bytes: Vec<u8>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Headers,
}

impl Source {
    /// Takes a batch in.
    pub(crate) fn of(py: Python<'_>, batch: klog::Batch) -> Arc<Source> {
        let topic = PyString::new(py, batch.topic()).unbind();
        Arc::new(Source::Read { batch, topic })
    }

    /// What a cut of no records is of.
    pub(crate) fn nothing(py: Python<'_>) -> Arc<Source> {
        Arc::new(Source::Made(Made {
            topic: PyString::new(py, "").unbind(),
            partition: -1,
            offset: -1,
            timestamp: -1,
            is_append_time: false,
            bytes: Vec::new(),
            key: None,
            value: None,
            headers: Headers::default(),
        }))
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Source::Read { batch, .. } => batch.len(),
            Source::Made(_) => 1,
        }
    }

    /// The memory that keys and values are in.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Source::Read { batch, .. } => batch.data(),
            Source::Made(made) => &made.bytes,
        }
    }

    fn topic(&self) -> &Py<PyString> {
        match self {
            Source::Read { topic, .. } => topic,
            Source::Made(made) => &made.topic,
        }
    }

    pub(crate) fn partition(&self) -> i32 {
        match self {
            Source::Read { batch, .. } => batch.partition(),
            Source::Made(made) => made.partition,
        }
    }

    /// The offset of record `index`, which is one of them.
    pub(crate) fn offset(&self, index: usize) -> i64 {
        match self {
            Source::Read { batch, .. } => batch.spans()[index].offset,
            Source::Made(made) => made.offset,
        }
    }

    fn key(&self, index: usize) -> Option<Range<usize>> {
        match self {
            Source::Read { batch, .. } => {
                let span = &batch.spans()[index];
                range(span.key_at, span.key_len)
            }
            Source::Made(made) => made.key.clone(),
        }
    }

    fn value(&self, index: usize) -> Option<Range<usize>> {
        match self {
            Source::Read { batch, .. } => {
                let span = &batch.spans()[index];
                range(span.value_at, span.value_len)
            }
            Source::Made(made) => made.value.clone(),
        }
    }

    fn headers(&self, index: usize) -> Vec<(&str, Option<&[u8]>)> {
        match self {
            Source::Read { batch, .. } => batch.get(index).map(|record| record.headers().collect()).unwrap_or_default(),
            Source::Made(made) => made.headers.as_slices(),
        }
    }
}

fn range(at: u32, len: i32) -> Option<Range<usize>> {
    let len = usize::try_from(len).ok()?;
    Some(at as usize..at as usize + len)
}

/// A record that was read. It does not change, can be hashed and pickled, and compares by all that it holds.
///
/// Key and value become bytes when they are asked for first. `raw_key` and `raw_value` show them without a copy, and the
/// record itself is a buffer of its value.
#[pyclass(frozen, module = "klog")]
pub(crate) struct Record {
    source: Arc<Source>,
    index: u32,
    key: PyOnceLock<Py<PyBytes>>,
    value: PyOnceLock<Py<PyBytes>>,
}

impl Record {
    /// Record `index` of a source.
    pub(crate) fn new(source: Arc<Source>, index: usize) -> Self {
        Record { source, index: index as u32, key: PyOnceLock::new(), value: PyOnceLock::new() }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    fn index(&self) -> usize {
        self.index as usize
    }

    fn key_range(&self) -> Option<Range<usize>> {
        self.source.key(self.index())
    }

    pub(crate) fn value_range(&self) -> Option<Range<usize>> {
        self.source.value(self.index())
    }

    fn slice(&self, range: Option<Range<usize>>) -> Option<&[u8]> {
        range.map(|range| &self.source.bytes()[range])
    }

    fn is_append_time(&self) -> bool {
        match &*self.source {
            Source::Read { batch, .. } => batch.spans()[self.index()].timestamp_type == TimestampType::LogAppendTime,
            Source::Made(made) => made.is_append_time,
        }
    }

    fn equals(&self, py: Python<'_>, other: &Record) -> PyResult<bool> {
        let (mine, theirs) = (self.source.topic().bind(py), other.source.topic().bind(py));
        Ok(self.offset() == other.offset()
            && self.partition() == other.partition()
            && self.timestamp() == other.timestamp()
            && self.is_append_time() == other.is_append_time()
            && self.slice(self.key_range()) == other.slice(other.key_range())
            && self.slice(self.value_range()) == other.slice(other.value_range())
            && self.source.headers(self.index()) == other.source.headers(other.index())
            && mine.to_str()? == theirs.to_str()?)
    }
}

#[pymethods]
impl Record {
    /// The topic that it was read from.
    #[getter]
    pub(crate) fn topic(&self, py: Python<'_>) -> Py<PyString> {
        self.source.topic().clone_ref(py)
    }

    /// Its partition.
    #[getter]
    fn partition(&self) -> i32 {
        self.source.partition()
    }

    /// Its place in the partition.
    #[getter]
    pub(crate) fn offset(&self) -> i64 {
        self.source.offset(self.index())
    }

    /// Milliseconds since 1970-01-01 UTC; -1 for none.
    #[getter]
    fn timestamp(&self) -> i64 {
        match &*self.source {
            Source::Read { batch, .. } => batch.spans()[self.index()].timestamp,
            Source::Made(made) => made.timestamp,
        }
    }

    /// The timestamp as an aware datetime, in UTC.
    #[getter]
    fn datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let timestamp = self.timestamp();
        if timestamp < 0 {
            return Err(PyValueError::new_err("the record has no timestamp"));
        }
        arguments::datetime(py, timestamp)
    }

    /// Whose clock the timestamp is of: "create" for the producer's, "append" for the log's.
    #[getter]
    fn timestamp_type(&self) -> &'static str {
        if self.is_append_time() { "append" } else { "create" }
    }

    /// The key; None is null.
    #[getter]
    fn key(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        let range = self.key_range()?;
        Some(self.key.get_or_init(py, || PyBytes::new(py, &self.source.bytes()[range]).unbind()).clone_ref(py))
    }

    /// The value; None is null.
    #[getter]
    fn value(&self, py: Python<'_>) -> Option<Py<PyBytes>> {
        let range = self.value_range()?;
        Some(self.value.get_or_init(py, || PyBytes::new(py, &self.source.bytes()[range]).unbind()).clone_ref(py))
    }

    /// Whether the value is null.
    #[getter]
    fn is_tombstone(&self) -> bool {
        self.value_range().is_none()
    }

    /// The key without a copy. It keeps its batch in memory.
    #[getter]
    fn raw_key<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        self.key_range().map(|range| Part::view(py, &self.source, range)).transpose()
    }

    /// The value without a copy. It keeps its batch in memory.
    #[getter]
    fn raw_value<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        self.value_range().map(|range| Part::view(py, &self.source, range)).transpose()
    }

    /// Names and values, in order; a name may come again, and a value may be None.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let headers = self.source.headers(self.index());
        PyTuple::new(py, headers.iter().map(|(name, value)| (*name, value.map(|value| PyBytes::new(py, value)))))
    }

    /// The value of a header, the last one of that name, or else the default.
    #[pyo3(signature = (name, default=None))]
    fn header<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        match self.source.headers(self.index()).iter().rfind(|(known, _)| *known == name) {
            Some((_, value)) => value.map(|value| PyBytes::new(py, value).into_any()),
            None => default,
        }
    }

    /// Where reading goes on behind this record.
    #[getter]
    fn position<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let topic = self.source.topic().bind(py);
        values::offset(py, topic.to_str()?, self.partition(), self.offset() + 1)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match other.cast::<Record>() {
            Ok(other) => Ok(self.equals(py, other.get())?.into_pyobject(py)?.to_owned().into_any().unbind()),
            Err(_) => Ok(py.NotImplemented()),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        let mut hasher = DefaultHasher::new();
        self.source.topic().bind(py).to_str()?.hash(&mut hasher);
        (self.partition(), self.offset()).hash(&mut hasher);
        Ok(hasher.finish())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let show = |part: Option<&[u8]>| match part {
            None => "None".to_owned(),
            Some(bytes) if bytes.len() > 64 => format!("b'{}'... ({} bytes)", bytes[..64].escape_ascii(), bytes.len()),
            Some(bytes) => format!("b'{}'", bytes.escape_ascii()),
        };
        Ok(format!(
            "Record(topic={}, partition={}, offset={}, timestamp={}, key={}, value={})",
            self.source.topic().bind(py).repr()?,
            self.partition(),
            self.offset(),
            self.timestamp(),
            show(self.slice(self.key_range())),
            show(self.slice(self.value_range()))
        ))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let restore = py.import("klog._klog")?.getattr("_restore_record")?;
        let place = (self.topic(py), self.partition(), self.offset());
        let time = (self.timestamp(), self.is_append_time());
        let content = (self.key(py), self.value(py), self.headers(py)?);
        Ok((restore, (place, time, content).into_pyobject(py)?))
    }

    #[allow(unsafe_code, reason = "the slot of the buffer protocol; what it does is in buffer.rs")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: the interpreter gives a `view` that may be written.
        unsafe { buffer::fill_with_value(&slf, view, flags) }
    }
}

/// Makes a record again that was pickled.
#[pyfunction]
pub(crate) fn _restore_record(
    place: (Bound<'_, PyString>, i32, i64),
    time: (i64, bool),
    content: (Option<Vec<u8>>, Option<Vec<u8>>, Headers),
) -> Record {
    let (key, value, headers) = content;
    let mut bytes = key.clone().unwrap_or_default();
    let key = key.map(|key| 0..key.len());
    let value_at = bytes.len();
    bytes.extend_from_slice(value.as_deref().unwrap_or_default());
    let value = value.map(|value| value_at..value_at + value.len());
    let (topic, partition, offset) = place;
    let (timestamp, is_append_time) = time;
    let topic = topic.unbind();
    let made = Made { topic, partition, offset, timestamp, is_append_time, bytes, key, value, headers };
    Record::new(Arc::new(Source::Made(made)), 0)
}
