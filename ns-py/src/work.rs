//! Waiting for the engine: in the calling thread without the interpreter's lock, or from an event loop.

use crate::engine::Session;
use crate::error;
use crate::runtime::{self, Alone, Owned, Waiting};
use futures::future::BoxFuture;
use ns_core::Error;
use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::AbortHandle;

/// How long a wait may keep a signal from being seen.
const SLICE: Duration = Duration::from_millis(50);

/// What a verb answers.
pub(crate) enum Answer {
    /// JSON.
    Json(Vec<u8>),
    /// Nothing more comes of a stream.
    End,
    /// A session, of whoever logged in.
    Session(ns_core::Session, Place),
}

impl Answer {
    /// The JSON form of a value.
    pub(crate) fn json(value: &impl Serialize) -> ns_core::Result<Self> {
        serde_json::to_vec(value).map(Self::Json).map_err(|e| {
            Error::new(
                ns_core::ErrorKind::Internal,
                "python.encode",
                "the answer has no JSON form",
            )
            .with_source(e)
        })
    }

    fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Json(json) => PyBytes::new(py, &json).into_any().unbind(),
            Self::End => py.None(),
            Self::Session(session, place) => Py::new(py, Session::new(session, place))?.into_any(),
        })
    }
}

/// Something that is being done.
pub(crate) type Work = BoxFuture<'static, ns_core::Result<Answer>>;

/// What becomes of work that nobody waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is done to its end: it may have changed something already.
    GoesOn,
    /// It only waits: it is dropped.
    Ends,
}

/// Where work is done: on the runtime of a world, or on the one of all others.
pub(crate) type Place = Option<Arc<Alone>>;

/// The work, done in its place.
pub(crate) fn placed(work: Work, left: Left, place: &Place) -> Work {
    let Some(alone) = place else { return work };
    let time = alone.time().clone();
    let task = alone.handle().spawn(async move { time.asked(work).await });
    let ends = (left == Left::Ends).then(|| AbortOnDrop(task.abort_handle()));
    // Kept, so that the runtime outlives what is done on it.
    let alone = alone.clone();
    Box::pin(async move {
        let done = task.await;
        drop((ends, alone));
        done.unwrap_or_else(|e| {
            let kind = ns_core::ErrorKind::Canceled;
            Err(Error::new(kind, "python.given_up", "the work was given up").with_source(e))
        })
    })
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Does it and waits for it, with the lock let go of. A signal ends the wait at once.
pub(crate) fn wait(py: Python<'_>, mut work: Work, left: Left, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
    // Until the lock is held for good again: the interpreter waits for it when it goes.
    let _waiting = Waiting::begin();
    let runtime = runtime::handle()?;
    let until = match timeout {
        Some(seconds) => Some(Instant::now() + seconds_of(seconds)?),
        None => None,
    };
    loop {
        let now = Instant::now();
        let slice = until.map_or(SLICE, |until| until.saturating_duration_since(now).min(SLICE));
        let done = py.detach(|| {
            if runtime::is_stopping() {
                return None;
            }
            Some(runtime.block_on(async { tokio::time::timeout(slice, &mut work).await }))
        });
        match done {
            Some(Ok(Ok(answer))) => return answer.into_python(py),
            Some(Ok(Err(e))) => return Err(error::exception(py, &e)),
            Some(Err(_)) => {}
            None => return Err(error::stopping()),
        }
        let over = until.is_some_and(|until| Instant::now() >= until);
        let signal = py.check_signals().err();
        if over || signal.is_some() {
            if left == Left::GoesOn {
                runtime.spawn(work);
            }
            return Err(signal.unwrap_or_else(|| PyTimeoutError::new_err("the time to wait is over")));
        }
    }
}

fn seconds_of(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|e| pyo3::exceptions::PyValueError::new_err(format!("timeout: {e}")))
        // More than a machine runs; an instant that far away there may not be.
        .map(|wait| wait.min(Duration::from_secs(100 * 365 * 24 * 3600)))
}

/// Work that an event loop waits for.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct Pending {
    abort: Owned<AbortHandle>,
    left: Left,
}

#[pymethods]
impl Pending {
    /// Nobody waits for it any more.
    fn abandon(&self) -> PyResult<()> {
        let abort = self.abort.get()?;
        if self.left == Left::Ends {
            abort.abort();
        }
        Ok(())
    }
}

/// Does it; `deliver` is called on the loop's thread with the answer or the exception.
pub(crate) fn spawn(work: Work, left: Left, event_loop: Py<PyAny>, deliver: Py<PyAny>) -> PyResult<Pending> {
    let runtime = runtime::handle()?;
    let task = runtime.spawn(async move {
        let done = work.await;
        if runtime::is_stopping() {
            // These belong to an interpreter that is going.
            std::mem::forget((event_loop, deliver));
            return;
        }
        let _waiting = Waiting::begin();
        let mut kept = Some((event_loop, deliver));
        let told = Python::try_attach(|py| {
            let Some((event_loop, deliver)) = kept.take() else {
                return;
            };
            let (answer, exception) = match done.map(|answer| answer.into_python(py)) {
                Ok(Ok(answer)) => (answer, py.None()),
                Ok(Err(e)) => (py.None(), e.into_value(py).into_any()),
                Err(e) => (py.None(), error::exception(py, &e).into_value(py).into_any()),
            };
            // A loop that is closed wants no answer.
            let _ = event_loop.call_method1(py, "call_soon_threadsafe", (deliver, answer, exception));
        });
        if told.is_none() {
            std::mem::forget(kept);
        }
    });
    Ok(Pending {
        abort: Owned::new(task.abort_handle()),
        left,
    })
}
