//! The `klog` command, as the wheel installs it.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the `klog` command with `sys.argv` and returns its exit code.
///
/// Ctrl-C ends the process, as it ends a program that is not Python's. SIGPIPE stays ignored, as it is in the command itself:
/// what it writes to a pipe that nobody reads any more ends it quietly.
#[pyfunction]
pub(crate) fn command(py: Python<'_>) -> PyResult<u8> {
    let signal = py.import("signal")?;
    signal.call_method1("signal", (signal.getattr("SIGINT")?, signal.getattr("SIG_DFL")?))?;
    let arguments: Vec<OsString> = py.import("sys")?.getattr("argv")?.extract()?;
    Ok(py.detach(|| klog_cli::run(arguments)))
}
