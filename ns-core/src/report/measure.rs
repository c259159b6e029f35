//! What is measured: times, losses, counts. What is not known is none, never zero.

use super::{InstancePart, ReportInput, TaskPart, VolumePart};
use crate::model::InstanceRecoveryState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a report measures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Seconds from the job's start until its recovery tasks had ended.
    pub rto_seconds: Option<u64>,
    /// Whether that was within the objective.
    pub rto_met: Option<bool>,
    /// Seconds of writes lost on the volume that lost most, among those where it is known.
    pub rpo_seconds: Option<u64>,
    /// Whether every volume was within the objective; none when no breach is known but not every loss is.
    pub rpo_met: Option<bool>,
    /// Recovered volumes whose loss is not known.
    pub rpo_unknown: usize,
    /// Seconds lost by volume id, where known.
    pub lost_seconds: BTreeMap<String, u64>,
    /// Instances by state.
    pub instances: BTreeMap<InstanceRecoveryState, usize>,
    /// All volumes.
    pub volumes: usize,
    /// Their size in GiB.
    pub volumes_gib: u64,
    /// All tasks.
    pub tasks: usize,
    /// Tasks that failed.
    pub tasks_failed: usize,
    /// Attempts beyond the first, over all tasks.
    pub retries: u64,
    /// The chain of tasks that the recovery time is made of, in the order in which they ran: each began when the one before had
    /// ended, the last ended last. Whatever shall be faster has to make one of these faster. Empty in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical_path: Vec<CriticalStep>,
}

/// A task that the recovery time depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticalStep {
    /// Its key, e.g. `server/web-1`.
    pub key: String,
    /// Milliseconds from the end of the step before, or the start of the job, until it began.
    pub waited_ms: u64,
    /// Milliseconds from its first attempt until it ended.
    pub took_ms: u64,
}

impl Measured {
    pub(super) fn of(facts: &ReportInput) -> Self {
        let job = &facts.job;
        let rto_seconds = job
            .started_at
            .zip(job.completed_at)
            .and_then(|(from, to)| seconds(from, to));
        let recovered = || facts.volumes.iter().filter(|volume| volume.recovered);
        let lost_seconds: BTreeMap<_, _> = recovered()
            .filter_map(|volume| Some((volume.id.to_string(), lost(volume)?)))
            .collect();
        let rpo_unknown = recovered().count() - lost_seconds.len();
        let rpo_seconds = lost_seconds.values().copied().max();
        let rpo_met = match rpo_seconds.map(|worst| worst <= u64::from(job.rpo_minutes) * 60) {
            Some(true) if rpo_unknown > 0 => None,
            known => known,
        };
        Self {
            rto_seconds,
            rto_met: rto_seconds.map(|taken| taken <= u64::from(job.rto_minutes) * 60),
            rpo_seconds,
            rpo_met,
            rpo_unknown,
            lost_seconds,
            instances: instance_counts(&facts.instances),
            volumes: facts.volumes.len(),
            volumes_gib: facts
                .volumes
                .iter()
                .fold(0, |sum, volume| sum.saturating_add(volume.size_gib)),
            tasks: facts.tasks.len(),
            tasks_failed: facts.tasks.iter().filter(|task| task.status == "failed").count(),
            retries: facts
                .tasks
                .iter()
                .map(|task| u64::from(task.attempts.saturating_sub(1)))
                .sum(),
            critical_path: critical_path(facts),
        }
    }
}

/// Back from the recovery task that ended last, each time to the one that it waited for longest.
fn critical_path(facts: &ReportInput) -> Vec<CriticalStep> {
    let recovers = |task: &&TaskPart| matches!(task.phase.as_str(), "run" | "retry");
    let ran: BTreeMap<&str, (&TaskPart, Timestamp, Timestamp)> = (facts.tasks.iter().filter(recovers))
        .filter_map(|task| Some((task.key.as_str(), (task, task.started_at?, task.ended_at?))))
        .collect();
    let mut steps = Vec::new();
    let mut at = ran.values().max_by_key(|(_, _, ended)| *ended).copied();
    while let Some((task, started, ended)) = at {
        // What ended after this one began cannot have held it up: it is an order that nobody waited for.
        let before = (task.after.iter().filter_map(|key| ran.get(key.as_str())))
            .filter(|(_, _, ended)| *ended <= started)
            .max_by_key(|(_, _, ended)| *ended)
            .copied();
        let since = before
            .map(|(_, _, ended)| ended)
            .or(facts.job.started_at)
            .unwrap_or(started);
        steps.push(CriticalStep {
            key: task.key.clone(),
            waited_ms: milliseconds(since, started),
            took_ms: milliseconds(started, ended),
        });
        // Of tasks that took no time each could be before the other.
        at = before.filter(|_| steps.len() < ran.len());
    }
    steps.reverse();
    steps
}

fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

/// How many instances are in which state.
#[must_use]
pub fn instance_counts(instances: &[InstancePart]) -> BTreeMap<InstanceRecoveryState, usize> {
    let mut counts = BTreeMap::new();
    for instance in instances {
        *counts.entry(instance.state).or_default() += 1;
    }
    counts
}

/// Seconds of writes that a recovered volume lacks. Data newer than the last possible write lacks none.
fn lost(volume: &VolumePart) -> Option<u64> {
    let (has, could_have) = volume.data_point.zip(volume.source_wrote_until)?;
    Some(seconds(has, could_have).unwrap_or(0))
}

/// Whole seconds, rounded up: a promise is not kept by rounding. None when `to` lies before `from`.
fn seconds(from: Timestamp, to: Timestamp) -> Option<u64> {
    let nanoseconds = u128::try_from(to.as_nanosecond() - from.as_nanosecond()).ok()?;
    u64::try_from(nanoseconds.div_ceil(1_000_000_000)).ok()
}
