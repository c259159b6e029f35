//! How long tasks took so far: read from the journals of finished jobs, where it is written anyway.

use super::Inner;
use super::records::kinds;
use crate::journal::{JobView, TaskStatus};
use crate::model::{JobState, JobSummary};
use crate::planning::{ActionKind, History};
use crate::{ErrorKind, Result};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many journals are read of each kind of work, newest first. Not of all together: recovery points are made so often that
/// nothing else would be left.
const JOBS: usize = 10;

/// What the newest finished jobs tell.
///
/// # Errors
/// Those of the store. A journal that does not verify is left out: a job of long ago must not hide what is asked now.
pub(crate) async fn history(inner: &Inner) -> Result<History> {
    let records = inner.records();
    let mut jobs = records
        .all::<JobSummary>(kinds::JOB, |j| j.state == JobState::Finished)
        .await?;
    jobs.sort_by_key(|j| Reverse(j.created_at));
    let (mut read, mut samples) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for job in &jobs {
        let n = read.entry(job.work.kind()).or_default();
        if *n == JOBS {
            continue;
        }
        *n += 1;
        match inner.view(&job.id).await {
            Ok(view) => samples.extend(durations(&view)),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                tracing::warn!(job = %job.id, %error, "nothing is learned from this job");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(History::of(samples))
}

/// How long the tasks of a job took that succeeded, attempts that failed before and the waits between them included. What found
/// nothing to do tells nothing, and what an engine died over tells how long the engine was away.
fn durations(view: &JobView) -> Vec<(ActionKind, u64)> {
    let tasks = view.phases.iter().flat_map(|p| p.graph.tasks.values());
    let took = tasks.filter_map(|task| {
        let state = view.tasks.get(&task.key)?;
        let (from, to) = (state.started_at?, state.ended_at?);
        let done = state.status == TaskStatus::Done && !state.output.absent && state.attempts == state.failures + 1;
        let ms = u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
        done.then(|| (task.action.kind(), ms))
    });
    took.collect()
}
