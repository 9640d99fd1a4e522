//! Taking over a directory that klog did not make.

use std::path::PathBuf;

use klog::{EngineConfig, Retention};
use pyo3::prelude::*;

use crate::arguments::{Int, Timeout};
use crate::engine::{DEFAULT_LOCK_TIMEOUT, LOCK_SLICE_MS, lost_brokers, options, until_free};
use crate::values;

/// Adopts a directory that klog did not make: what retention lets go of is said here, and metadata is written where there is
/// none. Durable on return.
#[pyfunction]
#[pyo3(
    signature = (
        path, *, retention_ms, retention_bytes=Int::of(-1), lock_timeout=Some(Timeout(DEFAULT_LOCK_TIMEOUT)),
        assume_lost=vec![]
    ),
    text_signature = "(path, *, retention_ms, retention_bytes=-1, lock_timeout=5.0, assume_lost=())"
)]
pub(crate) fn adopt(
    py: Python<'_>,
    path: PathBuf,
    retention_ms: Int<i64>,
    retention_bytes: Int<i64>,
    lock_timeout: Option<Timeout>,
    assume_lost: Vec<Int<i32>>,
) -> PyResult<Bound<'_, PyAny>> {
    let ms = retention_ms.named(py, "retention_ms")?;
    let retention = Retention { ms, bytes: retention_bytes.named(py, "retention_bytes")? };
    let settings = EngineConfig { lock_timeout_ms: LOCK_SLICE_MS, ..EngineConfig::default() };
    let options = options(py, settings, &lost_brokers(py, assume_lost)?)?;
    let adoption = until_free(py, lock_timeout, || options.clone().adopt(&path, retention))?;
    values::adoption(py, &adoption)
}
