//! What Python passes: each type checks and converts one kind of argument.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use klog::ErrorCode;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString, PyTuple};

use crate::buffer;
use crate::errors::refuse;

const MS_PER_DAY: i64 = 86_400_000;

/// What a whole number is kept as.
pub(crate) trait Whole: TryFrom<i64> + Display {
    const LEAST: Self;
    const MOST: Self;
}

impl Whole for i32 {
    const LEAST: i32 = i32::MIN;
    const MOST: i32 = i32::MAX;
}

impl Whole for i64 {
    const LEAST: i64 = i64::MIN;
    const MOST: i64 = i64::MAX;
}

/// A whole number, or why it is too large or too small. Only the function knows what its argument is called, and so says it.
pub(crate) struct Int<T>(Result<T, String>);

impl<T: Whole> Int<T> {
    /// One that is known.
    pub(crate) fn of(number: T) -> Self {
        Int(Ok(number))
    }

    /// The number.
    ///
    /// # Errors
    /// `InvalidRequestError`, which has the name of the argument.
    pub(crate) fn named(self, py: Python<'_>, name: &str) -> PyResult<T> {
        self.0.map_err(|what| refuse(py, ErrorCode::InvalidRequest, format!("{name} is {what}")))
    }
}

/// The same for an argument that may be missing.
pub(crate) fn optional<T: Whole>(py: Python<'_>, name: &str, number: Option<Int<T>>) -> PyResult<Option<T>> {
    number.map(|number| number.named(py, name)).transpose()
}

impl<T: Whole> FromPyObject<'_, '_> for Int<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let (is_negative, shown) = match object.extract::<i64>() {
            Ok(number) => match T::try_from(number) {
                Ok(number) => return Ok(Int(Ok(number))),
                Err(_) => (number < 0, number.to_string()),
            },
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                // Python does not write numbers of thousands of digits.
                let shown = object.str().and_then(|text| text.extract());
                (object.lt(0)?, shown.unwrap_or_else(|_| "a number of thousands of digits".to_owned()))
            }
            Err(error) => return Err(error),
        };
        let (which, bound) = if is_negative { ("smallest", T::LEAST) } else { ("largest", T::MOST) };
        Ok(Int(Err(format!("{shown}; the {which} is {bound}"))))
    }
}

/// Bytes of a key, a value or a header: any C-contiguous buffer, or text, which is encoded as UTF-8.
pub(crate) enum Bytes<'a> {
    /// Of an object that cannot change.
    Borrowed(&'a [u8]),
    /// Of one that can.
    Copied(Vec<u8>),
}

impl Bytes<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Copied(bytes) => bytes,
        }
    }
}

impl<'a> FromPyObject<'a, '_> for Bytes<'a> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, '_, PyAny>) -> PyResult<Self> {
        if object.is_exact_instance_of::<PyBytes>() {
            return Ok(Bytes::Borrowed(object.extract()?));
        }
        if object.is_instance_of::<PyString>() {
            let text: &str = object.extract()?;
            return Ok(Bytes::Borrowed(text.as_bytes()));
        }
        buffer::copy_of(&object).map(Bytes::Copied)
    }
}

/// The pairs of a mapping, which is whatever has `items`; `None` for anything else. No code of Python's runs to find that out,
/// so no signal gets lost in it.
pub(crate) fn items<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    object.getattr_opt("items")?.map(|items| items.call0()).transpose()
}

/// The pairs of a mapping of options.
fn options<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let kind = object.get_type();
    items(object)?
        .ok_or_else(|| PyTypeError::new_err(format!("options are a mapping of names to values, and not {kind}")))
}

/// Names and values of a record, in order.
#[derive(Default)]
pub(crate) struct Headers(Vec<(String, Option<Vec<u8>>)>);

impl Headers {
    /// As the engine takes them.
    pub(crate) fn as_slices(&self) -> Vec<(&str, Option<&[u8]>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
    }
}

impl FromPyObject<'_, '_> for Headers {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let pairs = items(&object)?.unwrap_or_else(|| object.to_owned());
        let mut headers = Vec::new();
        for pair in pairs.try_iter()? {
            let pair = pair?;
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
            let value: Option<Bytes<'_>> = value.extract()?;
            headers.push((name.extract()?, value.map(|value| value.as_slice().to_vec())));
        }
        Ok(Headers(headers))
    }
}

/// A moment: milliseconds since 1970-01-01 UTC, or an aware datetime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub(crate) i64);

impl FromPyObject<'_, '_> for Time {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        if object.is_instance_of::<PyInt>() && !object.is_instance_of::<PyBool>() {
            return Ok(Time(object.extract::<Int<i64>>()?.named(py, "the time in ms")?));
        }
        if !object.is_instance(&of_datetime(py, "datetime")?)? {
            let kind = object.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a time is an aware datetime, or an int in ms, and not {kind}")));
        }
        // One whose time zone does not know the offset is naive too.
        if object.call_method0("utcoffset")?.is_none() {
            return Err(PyValueError::new_err(format!(
                "the datetime {} is naive: give it a time zone, as in datetime.now(timezone.utc)",
                object.call_method0("isoformat")?
            )));
        }
        let since = object.sub(epoch(py)?)?;
        let part = |name: &str| since.getattr(name)?.extract::<i64>();
        Ok(Time(part("days")? * MS_PER_DAY + part("seconds")? * 1000 + part("microseconds")? / 1000))
    }
}

/// A class of `datetime`, which is imported when it is needed. PyO3's own types for these are not used, nor is the class kept in a
/// `PyOnceLock`: the first panic when a signal interrupts the import, and a child that is forked during it would wait for ever.
fn of_datetime<'py>(py: Python<'py>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("datetime")?.getattr(class)
}

fn epoch(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let utc = of_datetime(py, "timezone")?.getattr("utc")?;
    of_datetime(py, "datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))
}

/// The aware datetime of milliseconds since 1970-01-01 UTC.
pub(crate) fn datetime(py: Python<'_>, timestamp_ms: i64) -> PyResult<Bound<'_, PyAny>> {
    let (days, ms) = (timestamp_ms.div_euclid(MS_PER_DAY), timestamp_ms.rem_euclid(MS_PER_DAY));
    let since = of_datetime(py, "timedelta")?.call1((days, ms / 1000, ms % 1000 * 1000));
    since.and_then(|since| epoch(py)?.add(since)).map_err(|error| {
        if !error.is_instance_of::<PyOverflowError>(py) {
            return error;
        }
        PyValueError::new_err(format!("timestamp {timestamp_ms} is outside what datetime can say"))
    })
}

/// How long to wait: seconds, or a timedelta.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeout(pub(crate) Duration);

impl FromPyObject<'_, '_> for Timeout {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let is_number = object.is_instance_of::<PyFloat>() || object.is_instance_of::<PyInt>();
        let seconds: f64 = match !is_number && object.is_instance(&of_datetime(py, "timedelta")?)? {
            true => object.call_method0("total_seconds")?.extract()?,
            false => match object.extract::<f64>() {
                Err(error) if error.is_instance_of::<PyOverflowError>(py) => {
                    if object.lt(0)? {
                        f64::NEG_INFINITY
                    } else {
                        f64::INFINITY
                    }
                }
                seconds => seconds?,
            },
        };
        if seconds.is_nan() || seconds < 0.0 {
            return Err(PyValueError::new_err(format!("a timeout is 0 or more seconds, and not {seconds}")));
        }
        Ok(Timeout(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
    }
}

/// `None` is for ever.
pub(crate) fn duration(timeout: Option<Timeout>) -> Option<Duration> {
    timeout.map(|Timeout(duration)| duration)
}

/// Milliseconds as the engine's options have them. What is more than nothing stays more than nothing.
pub(crate) fn whole_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// The value of an option: text, or what becomes text as Kafka writes it.
pub(crate) struct OptionText(pub(crate) String);

impl FromPyObject<'_, '_> for OptionText {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(flag) = object.cast::<PyBool>() {
            return Ok(OptionText(if flag.is_true() { "true".into() } else { "false".into() }));
        }
        if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>() {
            return Ok(OptionText(object.str()?.extract()?));
        }
        object.extract().map(OptionText)
    }
}

/// Options by Kafka's names.
#[derive(Default)]
pub(crate) struct Config(pub(crate) Vec<(String, String)>);

impl FromPyObject<'_, '_> for Config {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let mut config = Vec::new();
        for item in options(&object)?.try_iter()? {
            let (name, OptionText(value)): (String, OptionText) = item?.extract()?;
            config.push((name, value));
        }
        Ok(Config(config))
    }
}

/// Changes of options by Kafka's names; `None` is back to the default.
#[derive(Default)]
pub(crate) struct Changes(pub(crate) BTreeMap<String, Option<String>>);

impl FromPyObject<'_, '_> for Changes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let mut changes = BTreeMap::new();
        for item in options(&object)?.try_iter()? {
            let (name, value): (String, Option<OptionText>) = item?.extract()?;
            changes.insert(name, value.map(|OptionText(text)| text));
        }
        Ok(Changes(changes))
    }
}

/// A partition by name: a `TopicPartition`, or any tuple of two that reads like one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) String, pub(crate) i32);

impl FromPyObject<'_, '_> for Place {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let (topic, partition): (_, Int<i32>) = object.extract()?;
        Ok(Place(topic, partition.named(object.py(), "partition")?))
    }
}

/// A partition, and perhaps an offset in it: a `TopicPartition` or an `Offset`.
pub(crate) struct MaybeOffset {
    pub(crate) place: Place,
    pub(crate) offset: Option<i64>,
}

impl FromPyObject<'_, '_> for MaybeOffset {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let (py, tuple) = (object.py(), object.cast::<PyTuple>()?);
        let partition: Int<i32> = tuple.get_item(1)?.extract()?;
        let place = Place(tuple.get_item(0)?.extract()?, partition.named(py, "partition")?);
        let offset = if tuple.len() > 2 { Some(tuple.get_item(2)?.extract()?) } else { None };
        Ok(MaybeOffset { place, offset: optional(py, "offset", offset)? })
    }
}

/// Where reading begins.
pub(crate) enum Where {
    /// The same everywhere.
    Everywhere(klog::Start),
    /// Offsets by partition; the others begin at the first record.
    Offsets(Vec<(Place, i64)>),
}

impl Default for Where {
    fn default() -> Self {
        Where::Everywhere(klog::Start::Earliest)
    }
}

impl Where {
    /// As it can be passed again.
    pub(crate) fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Where::Everywhere(klog::Start::Earliest) => PyString::new(py, "earliest").into_any(),
            Where::Everywhere(klog::Start::Latest) => PyString::new(py, "latest").into_any(),
            Where::Everywhere(klog::Start::Timestamp(number) | klog::Start::Offset(number)) => {
                number.into_pyobject(py)?.into_any()
            }
            Where::Offsets(offsets) => {
                let by_partition = PyDict::new(py);
                for (place, offset) in offsets {
                    by_partition.set_item((&place.0, place.1), offset)?;
                }
                by_partition.into_any()
            }
        })
    }

    /// Where to begin in one partition.
    pub(crate) fn in_partition(&self, place: &Place) -> klog::Start {
        match self {
            Where::Everywhere(start) => *start,
            Where::Offsets(offsets) => offsets
                .iter()
                .find(|(known, _)| known == place)
                .map_or(klog::Start::Earliest, |(_, offset)| klog::Start::Offset(*offset)),
        }
    }
}

impl FromPyObject<'_, '_> for Where {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if let Ok(word) = object.cast::<PyString>() {
            return match word.to_str()? {
                "earliest" => Ok(Where::Everywhere(klog::Start::Earliest)),
                "latest" => Ok(Where::Everywhere(klog::Start::Latest)),
                other => Err(refuse(
                    object.py(),
                    ErrorCode::InvalidRequest,
                    format!(
                        "reading cannot start at '{other}': say earliest or latest, a time, or offsets by partition"
                    ),
                )),
            };
        }
        let Some(pairs) = items(&object)? else {
            let Time(timestamp) = object.extract()?;
            return Ok(Where::Everywhere(klog::Start::Timestamp(timestamp)));
        };
        let mut offsets = Vec::new();
        for pair in pairs.try_iter()? {
            let (place, offset): (Place, Int<i64>) = pair?.extract()?;
            offsets.push((place, offset.named(object.py(), "offset")?));
        }
        Ok(Where::Offsets(offsets))
    }
}
