//! Streams of the engine: what comes is asked for, one after the other.

use crate::runtime::Owned;
use crate::work::{self, Answer, Left, Pending, Place, Work};
use futures::StreamExt;
use futures::stream::BoxStream;
use pyo3::prelude::*;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What comes of a stream, as JSON.
pub(crate) type Items = BoxStream<'static, ns_core::Result<Answer>>;

/// A stream.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct Stream {
    items: Owned<Arc<Mutex<Items>>>,
    place: Owned<Place>,
}

impl Stream {
    pub(crate) fn new(items: Items, place: Place) -> Self {
        Self {
            place: Owned::new(place),
            items: Owned::new(Arc::new(Mutex::new(items))),
        }
    }

    fn next_one(&self) -> PyResult<Work> {
        let items = self.items.get()?.clone();
        let next: Work = Box::pin(async move {
            let next = items.lock().await.next().await;
            next.unwrap_or(Ok(Answer::End))
        });
        Ok(work::placed(next, Left::Ends, self.place.get()?))
    }
}

#[pymethods]
impl Stream {
    /// Waits for the next; none when nothing more comes.
    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        work::wait(py, self.next_one()?, Left::Ends, timeout)
    }

    /// The same from an event loop.
    fn next_soon(&self, event_loop: Py<PyAny>, deliver: Py<PyAny>) -> PyResult<Pending> {
        work::spawn(self.next_one()?, Left::Ends, event_loop, deliver)
    }
}
