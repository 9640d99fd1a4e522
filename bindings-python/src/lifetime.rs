//! How engines end: by name, with their last handle, when the interpreter exits. And what a fork means for them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use klog::sys::generation;
use klog::{Engine, ErrorCode, Producer, Threads};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::delivery;
use crate::engine::{Origin, until_free};
use crate::errors::{OrRaise, raise, refuse};

/// The engines that may still be open. The lock is only taken by an attached thread and never kept across a wait, so nobody
/// has it when a process forks.
static ENGINES: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// This is a child that has not arranged for its exit yet.
static IS_NEW_CHILD: AtomicBool = AtomicBool::new(false);

/// What the handles of one engine share.
pub(crate) struct Shared {
    engine: Engine,
    /// How it was opened; none in memory.
    origin: Option<Origin>,
    /// What `Engine.send` sends with.
    producer: OnceLock<Producer>,
    /// Closed by name. A child must not open again what its parent had closed.
    is_closed: AtomicBool,
    /// The process that used it last; none yet where it was sent from another one.
    used_in: AtomicU32,
}

impl Shared {
    /// Takes an engine in, to be closed at exit at the latest.
    pub(crate) fn new(engine: Engine, origin: Option<Origin>, is_open: bool) -> Arc<Self> {
        let shared = Arc::new(Shared {
            engine,
            origin,
            producer: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            used_in: AtomicU32::new(if is_open { generation() } else { 0 }),
        });
        let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| engine.strong_count() > 0);
        engines.push(Arc::downgrade(&shared));
        shared
    }

    /// The engine. The first call in a process opens the directory: in a child, and where the handle was sent to.
    ///
    /// # Errors
    /// `ClosedError`, and those of opening.
    pub(crate) fn live(&self, py: Python<'_>) -> PyResult<&Engine> {
        if IS_NEW_CHILD.load(Ordering::Relaxed) && IS_NEW_CHILD.swap(false, Ordering::Relaxed) {
            close_at_exit_of_child(py)?;
        }
        if self.is_closed() {
            let what = format!("the engine on {} is closed", self.engine.path().display());
            return Err(refuse(py, ErrorCode::Closed, what));
        }
        if !self.is_used_here() {
            let timeout = self.origin.as_ref().and_then(Origin::lock_timeout);
            until_free(py, timeout, || self.engine.cluster_id())?;
            self.used_in.store(generation(), Ordering::Relaxed);
        }
        Ok(&self.engine)
    }

    /// How it was opened, for whoever is to open it elsewhere.
    ///
    /// # Errors
    /// `ClosedError`; a `TypeError` for an engine in memory.
    pub(crate) fn origin(&self, py: Python<'_>) -> PyResult<&Origin> {
        if self.is_closed() {
            let what = format!("the engine on {} is closed", self.engine.path().display());
            return Err(refuse(py, ErrorCode::Closed, what));
        }
        self.origin.as_ref().ok_or_else(|| {
            PyTypeError::new_err("cannot pickle handles of an engine in memory: no other process can have it")
        })
    }

    /// Whether it may start threads.
    pub(crate) fn threads(&self) -> Threads {
        self.engine.threads()
    }

    /// Whether this process has used it: a child that has not must not open the directory just to close it.
    pub(crate) fn is_used_here(&self) -> bool {
        self.used_in.load(Ordering::Relaxed) == generation()
    }

    /// The producer behind `Engine.send`.
    pub(crate) fn producer(&self, py: Python<'_>) -> PyResult<&Producer> {
        let engine = self.live(py)?;
        if let Some(producer) = self.producer.get() {
            return Ok(producer);
        }
        let producer = py.detach(|| engine.producer()).or_raise(py)?;
        Ok(self.producer.get_or_init(|| producer))
    }

    /// The producer behind `Engine.send`, if anything was sent with it.
    pub(crate) fn made_producer(&self) -> Option<&Producer> {
        self.producer.get()
    }

    /// Whether it was closed by name.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Writes what is queued, makes it durable, and gives the directory back. A second time does nothing.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // Records that could not be written and whose delivery nobody asked for are reported here at the latest.
        let producer = self.producer.get().filter(|_| self.is_used_here());
        let written = py.detach(|| producer.map_or(Ok(()), Producer::flush)).or_else(unless_never_opened);
        let closed = py.detach(|| self.engine.close());
        delivery::serve_callbacks(py);
        written.and(closed).or_raise(py)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if *self.is_closed.get_mut() {
            return;
        }
        // Nobody is left to be told of an error but the interpreter's hook for such.
        let closed = Python::try_attach(|py| {
            if let Err(error) = py.detach(|| self.engine.close()) {
                raise(py, &error).write_unraisable(py, None);
            }
        });
        if closed.is_none() {
            let _ = self.engine.close();
        }
    }
}

/// What a flush answers in a child that could not have the directory, because its parent has it to itself: nothing is
/// queued there.
pub(crate) fn unless_never_opened(error: klog::Error) -> klog::Result<()> {
    if error.code() == ErrorCode::Locked { Ok(()) } else { Err(error) }
}

/// Has the interpreter call [`close_all`] when it exits and [`after_fork`] in every child.
pub(crate) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let close_all = wrap_pyfunction!(close_all, module)?;
    py.import("atexit")?.call_method1("register", (&close_all,))?;
    module.add("_close_all", close_all)?;
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(after_fork, module)?)?;
    py.import("os")?.getattr("register_at_fork")?.call((), Some(&hooks))?;
    Ok(())
}

/// Closes every engine that is open, so that a program that forgets to loses nothing.
#[pyfunction]
#[pyo3(name = "_close_all")]
fn close_all(py: Python<'_>) {
    let engines = std::mem::take(&mut *ENGINES.lock().unwrap_or_else(PoisonError::into_inner));
    for engine in engines.iter().filter_map(Weak::upgrade) {
        if let Err(error) = engine.close(py) {
            error.write_unraisable(py, None);
        }
    }
}

/// Runs in a child, before anything else there.
#[pyfunction]
#[pyo3(name = "_after_fork")]
fn after_fork(py: Python<'_>) {
    IS_NEW_CHILD.store(true, Ordering::Relaxed);
    delivery::forget_callbacks(py);
}

/// A child that `multiprocessing` forked ends without Python's own exit hooks; it has hooks of its own.
fn close_at_exit_of_child(py: Python<'_>) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    let Ok(util) = modules.get_item("multiprocessing.util") else {
        return Ok(());
    };
    let close_all = py.import("klog._klog")?.getattr("_close_all")?;
    let keywords = PyDict::new(py);
    keywords.set_item("exitpriority", 0)?;
    util.getattr("Finalize")?.call((py.None(), close_all), Some(&keywords))?;
    Ok(())
}
