//! How things stand: the watch looks at every plan, and tells when its status changes (PLAN-40 … PLAN-45) and when more would be lost
//! than its group's objective allows (OPEN-07). What lasts is told once when it begins and once when it ends.

use super::Inner;
use super::records::{kinds, remove};
use super::telling::{Condition, end, lasting};
use crate::model::{
    About, Actor, Cluster, GroupId, JobState, JobSummary, JobType, PlanAssessment, PlanStatus, ProtectionGroup,
    RecoveryPlan, RecoveryPoint, RpoBreach, Told, Work,
};
use crate::ports::with_deadline;
use crate::session::Session;
use crate::{ErrorKind, Result};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Looks at every plan.
pub(super) async fn look(inner: &Arc<Inner>) -> Result<()> {
    let records = inner.records();
    let plans = records.all::<RecoveryPlan>(kinds::PLAN, |_| true).await?;
    let groups = records.all::<ProtectionGroup>(kinds::GROUP, |_| true).await?;
    let open = |j: &JobSummary| j.state != JobState::Finished;
    let jobs = records.all::<JobSummary>(kinds::JOB, open).await?;
    forget_ended(inner, &plans, &groups).await?;
    for plan in &plans {
        let Some(group) = groups.iter().find(|g| g.id == plan.group_id) else {
            continue;
        };
        let jobs: Vec<_> = jobs.iter().filter(|j| j.work.plan_id() == &plan.id).cloned().collect();
        if plan.volumes.is_empty() || jobs.iter().any(changes_replication) {
            continue;
        }
        match look_at(inner, plan, group, &jobs).await {
            Ok(()) => {}
            // Another engine told of it, or somebody changed the plan.
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            Err(error) => tracing::debug!(plan = %plan.id, %error, "how the plan stands is not known"),
        }
    }
    Ok(())
}

/// Whether replication of the job's plan is not as ever because of the job: that is told by the job.
fn changes_replication(job: &JobSummary) -> bool {
    match &job.work {
        Work::Point { .. } => false,
        Work::Recovery(d) => {
            d.job_type == JobType::Failover && !matches!(job.state, JobState::Waiting | JobState::Pending)
        }
        Work::Protect { .. } | Work::Fence { .. } | Work::Prune { .. } | Work::Unprotect { .. } => true,
    }
}

async fn look_at(inner: &Arc<Inner>, plan: &RecoveryPlan, group: &ProtectionGroup, jobs: &[JobSummary]) -> Result<()> {
    let session = Session::new(inner.clone(), Actor::admin("engine"));
    let plans = session.plans();
    let known = plans.known(plan, group, jobs);
    let limit = inner.settings().call_limit;
    let (assessment, synced_to) = with_deadline(&*inner.clock, limit, "the Target", known).await?;
    status(inner, plan, group, &assessment).await?;
    // What is on a Target that does not answer cannot be seen; the plan's status says so.
    match assessment.status {
        PlanStatus::Critical => Ok(()),
        _ => objective(inner, plan, group, synced_to).await,
    }
}

const fn name(status: PlanStatus) -> &'static str {
    match status {
        PlanStatus::Normal => "normal",
        PlanStatus::Prepare => "prepare",
        PlanStatus::Warning => "warning",
        PlanStatus::Critical => "critical",
        PlanStatus::Emergency => "emergency",
    }
}

async fn status(inner: &Inner, plan: &RecoveryPlan, group: &ProtectionGroup, now: &PlanAssessment) -> Result<()> {
    let (records, id) = (inner.records(), format!("plan/{}", plan.id));
    let before = lasting(&records, &id).await?;
    let was = before.as_ref().map_or("normal", |(c, _)| c.state.as_str());
    if was == name(now.status) {
        return Ok(());
    }
    let shown = now.reasons.iter().filter(|r| r.status == now.status);
    let codes: BTreeSet<_> = shown.map(|r| r.code.as_str()).collect();
    let reasons = Vec::from_iter(codes).join(", ");
    let (about, plan, owner) = (About::of_plan(plan), plan.name.clone(), &group.owner_group_id);
    let group = group.name.clone();
    let told = match now.status {
        PlanStatus::Normal => Told::PlanNormal { plan, group },
        PlanStatus::Prepare => Told::PlanPrepare { plan, group, reasons },
        PlanStatus::Warning => Told::PlanWarning { plan, group, reasons },
        PlanStatus::Critical => Told::PlanCritical { plan, group, reasons },
        PlanStatus::Emergency => Told::PlanEmergency { plan, group, reasons },
    };
    let mut writes = vec![inner.tell(told, Some(owner), about)?];
    match (&before, now.status) {
        (Some(before), PlanStatus::Normal) => writes.extend(end(before)?),
        (_, status) => writes.push(inner.begin(&id, name(status), before.as_ref())?),
    }
    records.commit(writes).await
}

/// The condition of a group whose objective is missed.
fn missed(group: &GroupId) -> String {
    format!("rpo/{group}")
}

/// Since when a group misses its objective, if it does.
pub(crate) async fn rpo_breach(inner: &Inner, group: &GroupId) -> Result<Option<RpoBreach>> {
    let found = lasting(&inner.records(), &missed(group)).await?;
    Ok(found.and_then(|(c, _)| {
        Some(RpoBreach {
            kept_to: c.state.parse().ok()?,
            seen_at: c.since,
        })
    }))
}

/// Up to when all writes are on the Target counts from what is replicated and from the newest recovery point, whichever is newer.
async fn objective(
    inner: &Inner,
    plan: &RecoveryPlan,
    group: &ProtectionGroup,
    synced_to: Option<Timestamp>,
) -> Result<()> {
    let (records, id) = (inner.records(), missed(&group.id));
    let before = lasting(&records, &id).await?;
    let now = inner.clock.now();
    let minutes = i64::from(group.rpo_minutes);
    let met = |kept: Timestamp| now.duration_since(kept).as_secs() <= minutes * 60;
    let mut kept = synced_to;
    if !kept.is_some_and(met) {
        let points = records
            .all::<RecoveryPoint>(kinds::POINT, |p| p.plan_id == plan.id)
            .await?;
        kept = kept.max(points.iter().map(|p| p.taken_at).max());
    }
    // Nothing was ever complete: that is told by the job that makes it so.
    let Some(kept) = kept else { return Ok(()) };
    let (minutes, name) = (minutes.to_string(), group.name.clone());
    let (told, change) = match (&before, met(kept)) {
        (None, false) => {
            let since = kept.to_string();
            let begun = inner.begin(&id, &since, None)?;
            let told = Told::RpoBreached {
                group: name,
                minutes,
                since,
            };
            (told, vec![begun])
        }
        (Some(before), true) => (Told::RpoMet { group: name, minutes }, end(before)?.into()),
        _ => return Ok(()),
    };
    let mut writes = vec![inner.tell(told, Some(&group.owner_group_id), About::of_plan(plan))?];
    writes.extend(change);
    records.commit(writes).await
}

/// Forgets conditions of what there is no more; nobody waits for their end.
async fn forget_ended(inner: &Inner, plans: &[RecoveryPlan], groups: &[ProtectionGroup]) -> Result<()> {
    let records = inner.records();
    let conditions = records.all::<Condition>(kinds::CONDITION, |_| true).await?;
    if conditions.is_empty() {
        return Ok(());
    }
    let clusters = records.all::<Cluster>(kinds::CLUSTER, |_| true).await?;
    let exists = |of: &str, id: &str| match of {
        "plan" => plans.iter().any(|p| p.id.as_str() == id),
        "sync" => clusters.iter().any(|c| c.id.as_str() == id),
        _ => groups.iter().any(|g| g.id.as_str() == id) && plans.iter().any(|p| p.group_id.as_str() == id),
    };
    let ended = conditions
        .iter()
        .filter(|c| !c.id.split_once('/').is_some_and(|(of, id)| exists(of, id)));
    let writes: Vec<_> = ended.map(|c| remove(kinds::CONDITION, &c.id)).collect();
    match writes.is_empty() {
        true => Ok(()),
        false => records.commit(writes).await,
    }
}
