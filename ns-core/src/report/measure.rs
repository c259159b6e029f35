//! What is measured: times, losses, counts. What is not known is none, never zero.

use super::{InstancePart, ReportInput, VolumePart};
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
        }
    }
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
