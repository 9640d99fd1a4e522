//! The topics of an engine, as a mapping that is always up to date.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::OrRaise;
use crate::lifetime::Shared;
use crate::topic::{self, Topic};

/// The topics of an engine by name.
#[pyclass(frozen, mapping, module = "klog")]
pub(crate) struct Topics {
    engine: Arc<Shared>,
}

impl Topics {
    pub(crate) fn of(engine: Arc<Shared>) -> Self {
        Topics { engine }
    }

    fn names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let engine = self.engine.live(py)?;
        let topics = py.detach(|| engine.admin().list_topics()).or_raise(py)?;
        Ok(topics.into_iter().map(|topic| topic.name).collect())
    }
}

/// One of the views that `collections.abc` makes of any mapping.
fn view<'py>(slf: &Bound<'py, Topics>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    slf.py().import("collections.abc")?.getattr(class)?.call1((slf,))
}

#[pymethods]
impl Topics {
    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<Topic> {
        Topic::find(py, &self.engine, name)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.names(py)?.len())
    }

    fn __contains__(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        match name.extract::<&str>() {
            Ok(name) => topic::is_there(py, &self.engine, name),
            Err(_) => Ok(false),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.names(py)?)?.try_iter()?.into_any())
    }

    /// The names, as a set-like view.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "KeysView")
    }

    /// The topics, as a view.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ValuesView")
    }

    /// Names and topics, as a set-like view.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ItemsView")
    }

    /// The topic of that name, or else the default.
    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if topic::is_there(py, &self.engine, name)? {
            let topic = Topic::known(self.engine.clone(), name.to_owned());
            return Ok(Some(Bound::new(py, topic)?.into_any()));
        }
        Ok(default)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<klog.Topics {}>", PyList::new(py, self.names(py)?)?.repr()?))
    }
}
