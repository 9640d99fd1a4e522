//! The exceptions of klog, and the one place where an error of the engine becomes one.

use std::collections::HashMap;

use klog::{Error, ErrorCode};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use crate::interrupt;
use crate::values;

/// A class of exceptions.
struct Class {
    name: &'static str,
    /// The class of klog's that it derives from; empty for the topmost.
    base: &'static str,
    /// The class of Python's own that it derives from too, so that a general handler catches it.
    builtin: &'static str,
    doc: &'static str,
}

const fn class(name: &'static str, base: &'static str, builtin: &'static str, doc: &'static str) -> Class {
    Class { name, base, builtin, doc }
}

/// Every class, a base before those that derive from it.
const CLASSES: &[Class] = &[
    class("KlogError", "", "Exception", "Whatever klog refuses or fails at."),
    class("UnknownTopicError", "KlogError", "LookupError", "There is no such topic, or no such partition of it."),
    class("TopicExistsError", "KlogError", "", "The topic exists."),
    class("OffsetOutOfRangeError", "KlogError", "LookupError", "An offset outside the log."),
    class("NotAssignedError", "KlogError", "LookupError", "The partition is not in the consumer's assignment."),
    class("ConfigError", "KlogError", "ValueError", "An unknown option, or a value that it does not allow."),
    class("InvalidRequestError", "KlogError", "ValueError", "An argument that klog does not allow."),
    class("RecordTooLargeError", "KlogError", "ValueError", "A record or a batch above the limit."),
    class("UnsupportedError", "KlogError", "NotImplementedError", "klog cannot do this, or not yet."),
    class("ClosedError", "KlogError", "RuntimeError", "The handle, or its engine, was closed."),
    class("ForkedError", "ClosedError", "", "The handle belongs to the parent process."),
    class("BusyError", "KlogError", "RuntimeError", "The handle is in use by the very thread that asks for it."),
    class(
        "LockedError",
        "KlogError",
        "BlockingIOError",
        "Somebody has the directory whom nobody can share it with; or this handle lost its place there.",
    ),
    class("ReadOnlyError", "KlogError", "PermissionError", "The engine was opened for reading only."),
    class("StorageError", "KlogError", "OSError", "The disk refused; the log may be closed for writing."),
    class("DiskFullError", "StorageError", "", "No space is left; nothing was appended."),
    class("CorruptionError", "KlogError", "", "Bytes on the disk that do not check out; see `damage`."),
    class("InconsistentIdError", "KlogError", "", "The directory belongs to another topic or another cluster."),
    class("NotLeaderError", "KlogError", "", "This broker does not lead the partition."),
    class("NotEnoughReplicasError", "KlogError", "", "Too few replicas are in sync."),
    class("FencedError", "KlogError", "", "Somebody newer has taken over."),
    class("TimeoutError", "KlogError", "TimeoutError", "Not done in time; nothing was undone."),
    class("WakeupError", "KlogError", "", "`Consumer.wakeup` ended the wait."),
];

/// The class that a code is raised as, or `None` for a code that this table does not know.
fn class_of(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::OffsetOutOfRange => "OffsetOutOfRangeError",
        ErrorCode::CorruptMessage => "CorruptionError",
        ErrorCode::UnknownTopicOrPartition => "UnknownTopicError",
        ErrorCode::NotLeaderOrFollower => "NotLeaderError",
        ErrorCode::RequestTimedOut => "TimeoutError",
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => "RecordTooLargeError",
        ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => "NotEnoughReplicasError",
        ErrorCode::Unsupported => "UnsupportedError",
        ErrorCode::TopicAlreadyExists => "TopicExistsError",
        ErrorCode::InvalidConfig | ErrorCode::InvalidRequiredAcks | ErrorCode::UnsupportedCompressionType => {
            "ConfigError"
        }
        ErrorCode::InvalidTopic
        | ErrorCode::InvalidTimestamp
        | ErrorCode::InvalidPartitions
        | ErrorCode::InvalidReplicationFactor
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidRecord
        | ErrorCode::PolicyViolation => "InvalidRequestError",
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced | ErrorCode::FencedLeaderEpoch => {
            "FencedError"
        }
        ErrorCode::KafkaStorageError => "StorageError",
        ErrorCode::DiskFull => "DiskFullError",
        ErrorCode::InconsistentTopicId | ErrorCode::InconsistentClusterId => "InconsistentIdError",
        ErrorCode::Locked => "LockedError",
        ErrorCode::ReadOnly => "ReadOnlyError",
        ErrorCode::Closed => "ClosedError",
        ErrorCode::Forked => "ForkedError",
        ErrorCode::Interrupted => "WakeupError",
        ErrorCode::NotAssigned => "NotAssignedError",
        ErrorCode::Busy => "BusyError",
        // Nothing that Python can call yet answers these; they get classes with transactions.
        ErrorCode::OutOfOrderSequenceNumber | ErrorCode::InvalidTxnState => "KlogError",
        _ => return None,
    })
}

/// The number of a code in `ErrorCode`: Kafka's, or for errors that Kafka does not have the one of `klog.h`.
fn number_of(code: ErrorCode) -> i16 {
    match code {
        ErrorCode::Interrupted => -5,
        ErrorCode::Busy => -6,
        ErrorCode::Closed => -7,
        ErrorCode::Forked => -8,
        ErrorCode::Locked => -9,
        ErrorCode::ReadOnly => -13,
        ErrorCode::NotAssigned => -29,
        other => other.kafka_code(),
    }
}

/// What was made when the module was imported.
struct Exceptions {
    classes: HashMap<&'static str, Py<PyType>>,
    codes: Py<PyAny>,
}

static EXCEPTIONS: PyOnceLock<Exceptions> = PyOnceLock::new();

/// Makes the classes and `ErrorCode`, and puts them into the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let made = EXCEPTIONS.get_or_try_init(py, || make(py))?;
    module.add("ErrorCode", made.codes.bind(py))?;
    for class in CLASSES {
        module.add(class.name, made.classes[class.name].bind(py))?;
    }
    module.add("_error_table", table(py)?)
}

fn make(py: Python<'_>) -> PyResult<Exceptions> {
    let codes = make_codes(py)?;
    let builtins = py.import("builtins")?;
    let mut classes: HashMap<&'static str, Py<PyType>> = HashMap::new();
    for class in CLASSES {
        let mut bases = Vec::new();
        if let Some(base) = classes.get(class.base) {
            bases.push(base.bind(py).clone().into_any());
        }
        if !class.builtin.is_empty() {
            bases.push(builtins.getattr(class.builtin)?);
        }
        let members = PyDict::new(py);
        members.set_item("__module__", "klog")?;
        members.set_item("__doc__", class.doc)?;
        // What an instance says that a test made by hand.
        let code = ErrorCode::ALL.iter().copied().find(|code| class_of(*code) == Some(class.name));
        members.set_item("code", codes.bind(py).call1((code.map_or(-1, number_of),))?)?;
        members.set_item("name", code.map_or("UNKNOWN_SERVER_ERROR", ErrorCode::name))?;
        members.set_item("retriable", code.is_some_and(ErrorCode::is_retriable))?;
        members.set_item("fatal", matches!(code, Some(ErrorCode::Closed | ErrorCode::Forked)))?;
        members.set_item("aborts_transaction", false)?;
        if class.name == "CorruptionError" {
            members.set_item("damage", py.None())?;
        }
        let made = py.get_type::<PyType>().call1((class.name, PyTuple::new(py, bases)?, members))?;
        classes.insert(class.name, made.cast_into::<PyType>()?.unbind());
    }
    Ok(Exceptions { classes, codes })
}

fn make_codes(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let members = PyList::new(py, [("UNKNOWN_SERVER_ERROR", -1i16)])?;
    for code in ErrorCode::ALL {
        members.append((code.name(), number_of(*code)))?;
    }
    let keywords = PyDict::new(py);
    keywords.set_item("module", "klog")?;
    let codes = py.import("enum")?.getattr("IntEnum")?.call(("ErrorCode", members), Some(&keywords))?;
    codes.setattr("__doc__", "The kinds of errors: Kafka's names and numbers; klog's own are below -1.")?;
    Ok(codes.unbind())
}

/// Every code with its number and the name of its class, or `None`: for the test that nothing was forgotten.
fn table(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, ErrorCode::ALL.iter().map(|code| (code.name(), number_of(*code), class_of(*code))))
}

/// The exception of an error.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    if error.code() == ErrorCode::Interrupted
        && let Some(signal) = interrupt::take().or_else(|| py.check_signals().err())
    {
        return signal;
    }
    exception(py, error).map_or_else(|failure| failure, PyErr::from_value)
}

/// The exception of an error, as an object.
fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let made = EXCEPTIONS.get_or_try_init(py, || make(py))?;
    let class = &made.classes[class_of(error.code()).unwrap_or("KlogError")];
    let exception = class.bind(py).call1((error.message(),))?;
    exception.setattr("code", made.codes.bind(py).call1((number_of(error.code()),))?)?;
    exception.setattr("name", error.code().name())?;
    exception.setattr("retriable", error.is_retriable())?;
    exception.setattr("fatal", error.is_fatal())?;
    exception.setattr("aborts_transaction", error.requires_abort())?;
    if let Some(damage) = error.damage() {
        exception.setattr("damage", values::damage(py, damage)?)?;
    }
    if let Some(os_code) = error.os_code()
        && exception.is_instance_of::<pyo3::exceptions::PyOSError>()
    {
        exception.setattr("errno", os_code)?;
    }
    Ok(exception)
}

/// An error that the binding itself finds.
pub(crate) fn refuse(py: Python<'_>, code: ErrorCode, message: impl Into<String>) -> PyErr {
    raise(py, &Error::new(code, message))
}

/// `?` for what the engine returns.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception of the error.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for klog::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}
