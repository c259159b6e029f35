//! The runtime that the engine runs on, which is our own: it is stopped before the interpreter goes (a thread that wants the
//! interpreter's lock then would take the process down), and a process that forked learns that it has none. A simulated world has a
//! runtime of its own with one thread: its clock moves when everybody on it sleeps, which several threads could only guess.

use crate::error;
use crate::time::WorldTime;
use pyo3::prelude::*;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// How long threads that wait get to notice that the interpreter goes, and work on the runtime to end.
const STOP_LIMIT: Duration = Duration::from_secs(2);

static RUNTIME: Mutex<Option<Owned<Runtime>>> = Mutex::new(None);
static STOPPING: AtomicBool = AtomicBool::new(false);
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What belongs to the process that made it. In a forked one its threads are not there, so that it cannot even be dropped.
#[derive(Debug)]
pub(crate) struct Owned<T> {
    thing: Option<T>,
    pid: u32,
}

impl<T> Owned<T> {
    pub(crate) fn new(thing: T) -> Self {
        Self {
            thing: Some(thing),
            pid: process::id(),
        }
    }

    /// It, in the process that made it.
    pub(crate) fn get(&self) -> PyResult<&T> {
        match &self.thing {
            Some(thing) if self.pid == process::id() => Ok(thing),
            _ => Err(error::forked()),
        }
    }

    fn take(mut self) -> Option<T> {
        let mine = self.pid == process::id();
        self.thing.take().and_then(|thing| {
            if mine {
                return Some(thing);
            }
            std::mem::forget(thing);
            None
        })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.pid != process::id() {
            std::mem::forget(self.thing.take());
        }
    }
}

/// The runtime of this process; made when it is first asked for.
pub(crate) fn handle() -> PyResult<Handle> {
    if STOPPING.load(Ordering::Acquire) {
        return Err(error::stopping());
    }
    let mut held = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = held.as_ref().and_then(|owned| owned.get().ok()) {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .thread_name("neverstop")
        .enable_all()
        .build()?;
    let handle = runtime.handle().clone();
    *held = Some(Owned::new(runtime));
    Ok(handle)
}

static ALONE: Mutex<Vec<Weak<Alone>>> = Mutex::new(Vec::new());

/// A runtime with one thread, which ends when nobody has it any more.
#[derive(Debug)]
pub(crate) struct Alone {
    handle: Handle,
    time: WorldTime,
    pid: u32,
    end: Mutex<Option<oneshot::Sender<()>>>,
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Alone {
    pub(crate) fn start(time: WorldTime) -> PyResult<Arc<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (end, told) = oneshot::channel::<()>();
        let (ending, ended) = mpsc::channel();
        let made = Arc::new(Self {
            handle: runtime.handle().clone(),
            time,
            pid: process::id(),
            end: Mutex::new(Some(end)),
            ended: Mutex::new(ended),
        });
        std::thread::Builder::new()
            .name("neverstop-world".to_owned())
            .spawn(move || {
                // Either way it is over.
                let _ = runtime.block_on(told);
                runtime.shutdown_timeout(STOP_LIMIT);
                let _ = ending.send(());
            })?;
        let mut all = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&made));
        Ok(made)
    }

    /// Where it runs.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The time of the world that lives there.
    pub(crate) const fn time(&self) -> &WorldTime {
        &self.time
    }

    fn stop(&self) {
        if self.pid != process::id() {
            return;
        }
        drop(self.end.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // What does not end in time is left.
        let _ = ended.recv_timeout(STOP_LIMIT);
    }
}

/// Whether the interpreter is about to go.
pub(crate) fn is_stopping() -> bool {
    STOPPING.load(Ordering::Acquire)
}

/// Counts a thread that waits on the runtime.
#[derive(Debug)]
pub(crate) struct Waiting;

impl Waiting {
    pub(crate) fn begin() -> Self {
        WAITING.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Stops the runtime for good, before the interpreter goes. Jobs stay as they are in the store; the next engine goes on with them.
#[pyfunction]
pub(crate) fn stop(py: Python<'_>) {
    STOPPING.store(true, Ordering::Release);
    let runtime = {
        let mut held = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        held.take().and_then(Owned::take)
    };
    py.detach(|| {
        let until = Instant::now() + STOP_LIMIT;
        while WAITING.load(Ordering::Acquire) > 0 && Instant::now() < until {
            std::thread::yield_now();
            std::thread::sleep(Duration::from_millis(1));
        }
        let alone = std::mem::take(&mut *ALONE.lock().unwrap_or_else(PoisonError::into_inner));
        for runtime in alone.iter().filter_map(Weak::upgrade) {
            runtime.stop();
        }
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(STOP_LIMIT);
        }
    });
}
