//! What is allowed, and what state a thing is in: the guards of the rule book as pure functions of values.
//!
//! Each rule set comes twice: `…_violations` lists everything that is wrong, for a form that shows it all at once;
//! `check_…` gives the first of it as an error. Nothing is read, written or waited for here: callers bring the facts.
//! Errors of kind `Invalid` mean the input itself, `Refused` (and `NotFound`, `Conflict`, `Quota`, `Unsupported`) the
//! present state; each names the field it is about, in the notation `mapping.volume_types[ceph]`.

mod access;
mod approval;
mod connection;
mod group;
mod health;
mod job;
mod license;
mod name;
mod password;
mod plan;
mod timetable;
mod user;

pub use access::*;
pub use approval::*;
pub use connection::*;
pub use group::*;
pub use health::*;
pub use job::*;
pub use license::*;
pub use name::*;
pub use password::*;
pub use plan::*;
pub use timetable::*;
pub use user::*;

use crate::model::{JobId, JobState};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// Something to tell the operator that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code, e.g. `group.rpo_below_interval`.
    pub code: String,
    /// What it is about.
    pub field: String,
    /// For people.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Warning {
    fn new(code: &str, field: impl Into<String>, message: impl Into<String>, remedy: &str) -> Self {
        Self {
            code: code.to_owned(),
            field: field.into(),
            message: message.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// JOB-52: a job exists from its creation until it has ended for good, its report written. PG-18, PLAN-28 and PLAN-30 ask.
#[must_use]
pub const fn job_exists(state: JobState) -> bool {
    !matches!(state, JobState::Finished)
}

/// The first violation; how many more there are is said with it.
fn first(violations: Vec<Error>) -> Result<()> {
    let further = violations.len().saturating_sub(1);
    match violations.into_iter().next() {
        None => Ok(()),
        Some(error) if further == 0 => Err(error),
        Some(error) => Err(error.with("further", further)),
    }
}

fn invalid(code: &str, field: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, code, message).with_field(field)
}

fn refused(code: &str, field: impl Into<String>, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, code, message).with_field(field)
}

/// Refuses while jobs exist, and lists them.
fn no_jobs(code: &str, jobs: &[JobId]) -> Option<Error> {
    (!jobs.is_empty()).then(|| {
        Error::new(ErrorKind::Refused, code, "recovery jobs exist")
            .with_field("jobs")
            .with("jobs", list(jobs))
            .with_remedy("wait until they have ended, or delete them")
    })
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
