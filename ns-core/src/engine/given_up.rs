//! Rollbacks that were given up half way leave their instances stopped, and nobody who can write. A forced failover is the way
//! out, and its rollback starts what ran before the first of them.

use super::Inner;
use super::records::kinds;
use crate::Result;
use crate::journal::{DecisionKind, Frozen, JobView};
use crate::model::{Inventory, JobOperation, JobState, JobSummary, JobType, PowerState};

/// The instances of a job's group as they ran before failovers of its plan that were forced, and whose rollback was given up,
/// up to this one; none when there was no such.
pub(super) async fn ran_before(inner: &Inner, view: &JobView, frozen: &Frozen) -> Result<Option<Inventory>> {
    if !view.decisions.iter().any(|d| d.kind == DecisionKind::ForcePromote) {
        return Ok(None);
    }
    let earlier = |j: &JobSummary| {
        let failover = j.work.recovery().is_some_and(|d| d.job_type == JobType::Failover);
        let before = (j.created_at, &j.id) < (view.created_at, &view.id);
        failover && before && j.work.plan_id() == &frozen.plan.id && j.state == JobState::Finished
    };
    let mut failovers = inner.records().all::<JobSummary>(kinds::JOB, earlier).await?;
    failovers.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let mut ran = None;
    for failover in failovers {
        if failover.operation != JobOperation::IgnoreRollback {
            break;
        }
        let known = ran.get_or_insert_with(|| frozen.inventory.clone());
        let Some(then) = inner.view(&failover.id).await?.frozen else {
            continue;
        };
        for instance in known.instances.values_mut() {
            let power = then.inventory.instances.get(&instance.id).map(|i| i.power);
            if let Some(power) = power.filter(|power| *power != PowerState::Stopped) {
                instance.power = power;
            }
        }
    }
    Ok(ran)
}
