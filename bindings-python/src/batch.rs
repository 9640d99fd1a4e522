//! Records that were read at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PySlice};

use crate::record::{Record, Source};
use crate::values;

/// Some of the records of a source.
#[derive(Clone)]
pub(crate) struct Cut {
    source: Arc<Source>,
    start: usize,
    step: isize,
    len: usize,
}

impl Cut {
    /// `len` records from `start` on.
    pub(crate) fn new(source: Arc<Source>, start: usize, len: usize) -> Self {
        Cut { source, start, step: 1, len }
    }

    fn get(&self, index: usize) -> Option<Record> {
        let at = self.start as isize + index as isize * self.step;
        (index < self.len).then(|| Record::new(self.source.clone(), at as usize))
    }
}

/// Records of one partition that were read at once, as a sequence. They share their memory, and so do slices.
#[pyclass(frozen, sequence, module = "klog")]
pub(crate) struct Batch {
    cut: Cut,
}

impl Batch {
    /// Some of the records of a source.
    pub(crate) fn new(cut: Cut) -> Self {
        Batch { cut }
    }

    fn position_of(&self, py: Python<'_>, value: &Bound<'_, PyAny>, from: usize, to: usize) -> PyResult<Option<usize>> {
        for index in from..to.min(self.cut.len) {
            let Some(record) = self.cut.get(index) else { break };
            if Bound::new(py, record)?.eq(value)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

#[pymethods]
impl Batch {
    fn __len__(&self) -> usize {
        self.cut.len
    }

    fn __getitem__<'py>(&self, py: Python<'py>, which: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(slice) = which.cast::<PySlice>() {
            let indices = slice.indices(self.cut.len as isize)?;
            let cut = Cut {
                source: self.cut.source.clone(),
                start: (self.cut.start as isize + indices.start * self.cut.step) as usize,
                step: self.cut.step * indices.step,
                len: indices.slicelength,
            };
            return Ok(Bound::new(py, Batch { cut })?.into_any());
        }
        let index: isize = which.extract()?;
        let from_start = if index < 0 { index + self.cut.len as isize } else { index };
        let record = usize::try_from(from_start).ok().and_then(|index| self.cut.get(index));
        let record = record.ok_or_else(|| {
            PyIndexError::new_err(format!("there is no record {index} in a batch of {}", self.cut.len))
        })?;
        Ok(Bound::new(py, record)?.into_any())
    }

    fn __iter__(&self) -> BatchIterator {
        BatchIterator { cut: self.cut.clone(), next: AtomicUsize::new(0) }
    }

    fn __reversed__(&self) -> BatchIterator {
        let mut cut = self.cut.clone();
        if let Some(last) = cut.len.checked_sub(1) {
            cut.start = (cut.start as isize + last as isize * cut.step) as usize;
            cut.step = -cut.step;
        }
        BatchIterator { cut, next: AtomicUsize::new(0) }
    }

    fn __contains__(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.position_of(py, value, 0, self.cut.len)?.is_some())
    }

    /// The place of a record that equals this one.
    #[pyo3(signature = (value, start=0, stop=None))]
    fn index(
        &self,
        py: Python<'_>,
        value: &Bound<'_, PyAny>,
        start: isize,
        stop: Option<Bound<'_, PyInt>>,
    ) -> PyResult<usize> {
        let stop = stop.map_or(Ok(self.cut.len as isize), |stop| stop.extract())?;
        let from_start = |index: isize| if index < 0 { index + self.cut.len as isize } else { index }.max(0) as usize;
        self.position_of(py, value, from_start(start), from_start(stop))?
            .ok_or_else(|| PyValueError::new_err("the record is not in the batch"))
    }

    /// How many records equal this one.
    fn count(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        let mut count = 0;
        let mut from = 0;
        while let Some(found) = self.position_of(py, value, from, self.cut.len)? {
            count += 1;
            from = found + 1;
        }
        Ok(count)
    }

    /// The same records by partition.
    fn by_partition<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let batches = PyDict::new(py);
        if let Some(first) = self.cut.get(0) {
            // A batch is of one partition, since a poll reads one.
            let topic = first.topic(py);
            let key = values::topic_partition(py, topic.bind(py).extract()?, self.cut.source.partition())?;
            batches.set_item(key, Batch::new(self.cut.clone()).into_pyobject(py)?)?;
        }
        Ok(batches)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Some(first) = self.cut.get(0) else {
            return Ok("<klog.Batch of no records>".to_owned());
        };
        let topic = first.topic(py);
        let topic: &str = topic.bind(py).extract()?;
        let offset = first.offset();
        Ok(format!(
            "<klog.Batch of {} records of {topic}-{} from offset {offset}>",
            self.cut.len,
            self.cut.source.partition()
        ))
    }
}

/// Iterates over a batch.
#[pyclass(frozen, module = "klog._klog")]
pub(crate) struct BatchIterator {
    cut: Cut,
    next: AtomicUsize,
}

#[pymethods]
impl BatchIterator {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self) -> Option<Record> {
        self.cut.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn __length_hint__(&self) -> usize {
        self.cut.len.saturating_sub(self.next.load(Ordering::Relaxed))
    }
}
