//! What the engine says (`tracing`), kept until Python's `logging` takes it. The engine's threads only lay it down: none of them
//! ever waits for the interpreter. A thread of Python's fetches it ([`log_lines`]).

use crate::runtime::{self, Waiting};
use pyo3::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// How many lines are kept for somebody who does not fetch them; then the oldest are lost.
const KEPT: usize = 10_000;

/// One for each process that forked from another and connects by itself. What a fork may leave locked is thus nobody's.
static QUEUES: [OnceLock<Queue>; 32] = [const { OnceLock::new() }; 32];

#[derive(Debug)]
struct Queue {
    pid: u32,
    /// Python's number of the lowest level that is wanted.
    level: AtomicU8,
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<Line>,
    lost: u64,
    ended: bool,
}

type Fields = BTreeMap<&'static str, String>;

#[derive(Debug, Serialize)]
struct Line {
    target: &'static str,
    level: u8,
    message: String,
    fields: Fields,
    /// Seconds since 1970.
    at: f64,
    file: Option<&'static str>,
    line: Option<u32>,
}

impl Queue {
    fn new() -> Self {
        Self {
            pid: process::id(),
            level: AtomicU8::new(u8::MAX),
            lines: Mutex::default(),
            more: Condvar::new(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: Line) {
        let mut lines = self.lines();
        if lines.kept.len() == KEPT {
            lines.kept.pop_front();
            lines.lost += 1;
        }
        lines.kept.push_back(line);
        drop(lines);
        self.more.notify_one();
    }
}

/// The one of this process.
fn queue() -> Option<&'static Queue> {
    let pid = process::id();
    QUEUES
        .iter()
        .map_while(|slot| slot.get())
        .find(|queue| queue.pid == pid)
}

fn made() -> Option<&'static Queue> {
    queue().or_else(|| {
        let free = QUEUES.iter().find(|slot| slot.get().is_none())?;
        let made = free.get_or_init(Queue::new);
        // The subscriber is the library's own: whatever else the process has linked has another.
        let _set_before_a_fork = tracing::subscriber::set_global_default(Registry::default().with(Told));
        Some(made)
    })
}

/// Python's number of a level.
fn number(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

struct Told;

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Told {
    fn register_callsite(&self, of: &'static Metadata<'static>) -> Interest {
        match of.target().starts_with("ns_") {
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, of: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let wanted = queue().map_or(u8::MAX, |queue| queue.level.load(Ordering::Relaxed));
        // The job and the task that a warning is of are spans of a lower level.
        number(of.level()) >= wanted || of.is_span() && *of.level() <= Level::INFO
    }

    fn on_new_span(&self, with: &Attributes<'_>, id: &Id, all: Context<'_, S>) {
        if let Some(span) = all.span(id) {
            let mut said = Said::default();
            with.record(&mut said);
            span.extensions_mut().insert(said.fields);
        }
    }

    fn on_record(&self, id: &Id, more: &Record<'_>, all: Context<'_, S>) {
        if let Some(span) = all.span(id) {
            let mut said = Said::default();
            more.record(&mut said);
            if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
                fields.append(&mut said.fields);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, all: Context<'_, S>) {
        let Some(queue) = queue() else { return };
        let mut said = Said::default();
        event.record(&mut said);
        // What is said nearer counts.
        for span in all.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                for (name, value) in fields {
                    said.fields.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        let of = event.metadata();
        queue.push(Line {
            target: of.target(),
            level: number(of.level()),
            message: said.message,
            fields: said.fields,
            at: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |d| d.as_secs_f64()),
            file: of.file(),
            line: of.line(),
        });
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: Fields,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.say(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.say(field, value.to_owned());
    }
}

impl Said {
    fn say(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            name => drop(self.fields.insert(name, text)),
        }
    }
}

/// Waits until the engine says something, `timeout` seconds at most: all of it from `level` on, as JSON, and how much was lost before.
/// None when nothing more comes.
#[pyfunction]
pub(crate) fn log_lines(py: Python<'_>, level: u8, timeout: f64) -> Option<(String, u64)> {
    let queue = made()?;
    queue.level.store(level, Ordering::Relaxed);
    let _waiting = Waiting::begin();
    py.detach(|| {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        let nothing = |lines: &mut Lines| lines.kept.is_empty() && !lines.ended && !runtime::is_stopping();
        let (mut lines, _) = queue
            .more
            .wait_timeout_while(queue.lines(), timeout, nothing)
            .unwrap_or_else(PoisonError::into_inner);
        if lines.kept.is_empty() && (lines.ended || runtime::is_stopping()) {
            return None;
        }
        let (kept, lost) = (std::mem::take(&mut lines.kept), std::mem::take(&mut lines.lost));
        drop(lines);
        let text = serde_json::to_string(&kept).unwrap_or_else(|_| "[]".to_owned());
        Some((text, lost))
    })
}

/// Nothing more is wanted: whoever waits gets what is there, and then none.
#[pyfunction]
pub(crate) fn log_end() {
    if let Some(queue) = queue() {
        queue.lines().ended = true;
        queue.more.notify_all();
    }
}
