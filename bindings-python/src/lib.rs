//! The Python binding of klog: the extension module `klog._klog`, which the package `klog` re-exports.
//!
//! Each class wraps a handle of the engine. The interpreter is let go of around everything that may wait or touch the disk,
//! and no lock is kept while it is asked for again.

mod admin;
mod adopt;
mod arguments;
mod batch;
mod buffer;
mod command;
mod consumer;
mod delivery;
mod engine;
mod errors;
mod interrupt;
mod lifetime;
mod producer;
mod reader;
mod record;
mod scan;
mod topic;
mod topics;
mod turn;
mod values;

use pyo3::prelude::*;

/// The native part of klog.
#[pymodule(gil_used = false)]
mod _klog {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::admin::Admin;
    #[pymodule_export]
    use crate::adopt::adopt;
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::command::command;
    #[pymodule_export]
    use crate::consumer::{_restore_consumer, Consumer};
    #[pymodule_export]
    use crate::delivery::Delivery;
    #[pymodule_export]
    use crate::engine::{_restore_engine, Engine, open};
    #[pymodule_export]
    use crate::producer::{_restore_producer, Producer};
    #[pymodule_export]
    use crate::record::{_restore_record, Record};
    #[pymodule_export]
    use crate::scan::Scan;
    #[pymodule_export]
    use crate::topic::{Partition, Topic};
    #[pymodule_export]
    use crate::topics::Topics;

    /// Makes what has no Rust type, and tells Python which of the classes are collections.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("__version__", klog::VERSION)?;
        crate::errors::add_to(module)?;
        crate::values::add_to(module)?;
        let collections = py.import("collections.abc")?;
        collections.getattr("Mapping")?.call_method1("register", (py.get_type::<Topics>(),))?;
        collections.getattr("Sequence")?.call_method1("register", (py.get_type::<Batch>(),))?;
        // Made now and not at first use, so that no child is forked while another thread makes them.
        py.get_type::<crate::batch::BatchIterator>();
        py.get_type::<crate::buffer::Part>();
        py.get_type::<crate::consumer::ConsumerBatches>();
        py.get_type::<crate::delivery::Awaited>();
        py.get_type::<crate::scan::ScanBatches>();
        py.get_type::<crate::scan::ScanIterator>();
        crate::lifetime::install(module)
    }
}
