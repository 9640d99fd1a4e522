//! The hand-over of memory to and from Python's buffer protocol.

#![allow(unsafe_code, reason = "the buffer protocol is pointers, in both directions")]

use std::ffi::c_int;
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::Arc;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use crate::record::{Record, Source};

/// A copy of the bytes of a C-contiguous buffer.
pub(crate) fn copy_of(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let buffer = PyUntypedBuffer::get(object).map_err(|error| {
        if !error.is_instance_of::<PyTypeError>(object.py()) {
            return error;
        }
        let kind = object.get_type();
        PyTypeError::new_err(format!("expected str, bytes, another C-contiguous buffer or None, and not {kind}"))
    })?;
    if !buffer.is_c_contiguous() {
        return Err(PyBufferError::new_err("the buffer is not C-contiguous; copy it first"));
    }
    if buffer.len_bytes() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: a contiguous buffer is `len_bytes` readable bytes at `buf_ptr`, and it stays as it is while `buffer` is held.
    // This thread is attached and runs no Python code until the copy is made.
    let bytes = unsafe { slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), buffer.len_bytes()) };
    Ok(bytes.to_vec())
}

/// Part of a batch's memory, as something to look at.
#[pyclass(frozen, module = "klog._klog")]
pub(crate) struct Part {
    source: Arc<Source>,
    range: Range<usize>,
}

impl Part {
    /// A memoryview of part of a batch, which it keeps alive.
    pub(crate) fn view<'py>(
        py: Python<'py>,
        source: &Arc<Source>,
        range: Range<usize>,
    ) -> PyResult<Bound<'py, PyMemoryView>> {
        let part = Bound::new(py, Part { source: source.clone(), range })?;
        PyMemoryView::from(&part)
    }
}

#[pymethods]
impl Part {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let part = slf.get();
        let bytes = &part.source.bytes()[part.range.clone()];
        // SAFETY: `view` comes from the interpreter. The bytes belong to `slf`, which is frozen and keeps them in place.
        unsafe { fill(view, flags, bytes, slf.as_any()) }
    }
}

/// Fills a buffer with a record's value; refuses a record without one.
///
/// # Safety
/// `view` is a `Py_buffer` that may be written.
pub(crate) unsafe fn fill_with_value(
    record: &Bound<'_, Record>,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    let inner = record.get();
    let Some(range) = inner.value_range() else {
        // SAFETY: the caller gives a `view` that may be written. The protocol wants a null owner beside an error.
        unsafe { (*view).obj = ptr::null_mut() };
        return Err(PyBufferError::new_err("the record is a tombstone: it has no value"));
    };
    let bytes = &inner.source().bytes()[range];
    // SAFETY: the caller gives a `view` that may be written. The bytes belong to the record, which is frozen and keeps them in place.
    unsafe { fill(view, flags, bytes, record.as_any()) }
}

/// Fills a read-only buffer of `bytes`.
///
/// # Safety
/// * `view` is a `Py_buffer` that may be written.
/// * `bytes` stay where they are for as long as `owner` lives.
unsafe fn fill(view: *mut ffi::Py_buffer, flags: c_int, bytes: &[u8], owner: &Bound<'_, PyAny>) -> PyResult<()> {
    let start = bytes.as_ptr().cast_mut().cast();
    // SAFETY: as this function asks. The view takes a reference to `owner`, and read-only means that nobody writes there.
    let result = unsafe { ffi::PyBuffer_FillInfo(view, owner.as_ptr(), start, bytes.len() as isize, 1, flags) };
    if result == 0 { Ok(()) } else { Err(PyErr::fetch(owner.py())) }
}
