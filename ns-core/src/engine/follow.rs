//! Plans follow their groups and Sources by themselves (PLAN-60): what the Source has no more leaves group and plan, and a
//! volume that is attached elsewhere leaves with it. The rules decide; here is read and kept what they look at. Every change
//! is a version of the plan, with who made it.

use super::Inner;
use super::records::{Records, kinds, put, remove};
use crate::model::{
    Cluster, ClusterId, ConnectionState, GroupId, JobId, JobState, JobSummary, PlanChange, PlanChangePart, PlanId,
    ProtectionGroup, RecoveryPlan, Work,
};
use crate::store::Write;
use crate::{ErrorKind, Result, rules};

/// Makes every plan follow what is known of its Source; of one Source only, when that is named.
pub(crate) async fn follow_sources(inner: &Inner, of: Option<&ClusterId>) -> Result<()> {
    for plan in inner.records().all::<RecoveryPlan>(kinds::PLAN, |_| true).await? {
        match follow_source(inner, &plan, of).await {
            Ok(()) => {}
            // Somebody changed it meanwhile: it is looked at again.
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            Err(error) => tracing::warn!(plan = %plan.id, %error, "the plan does not follow its Source"),
        }
    }
    Ok(())
}

async fn follow_source(inner: &Inner, plan: &RecoveryPlan, of: Option<&ClusterId>) -> Result<()> {
    let (records, id) = (inner.records(), &plan.group_id);
    let Some((mut group, group_version)) = records.find::<ProtectionGroup>(kinds::GROUP, id.as_str()).await? else {
        return Ok(());
    };
    if of.is_some_and(|of| of != &group.source_cluster) {
        return Ok(());
    }
    let source = records
        .find::<Cluster>(kinds::CLUSTER, group.source_cluster.as_str())
        .await?;
    let known = |c: &Cluster| c.connection == ConnectionState::Active && c.sync.complete_at().is_some();
    if !source.is_some_and(|(c, _)| known(&c)) {
        return Ok(());
    }
    let Some((mut plan, plan_version)) = records.find::<RecoveryPlan>(kinds::PLAN, plan.id.as_str()).await? else {
        return Ok(());
    };
    let inventory = inner.inventory(&group.source_cluster).await?;
    let gone = rules::vanished(&group, &inventory);
    group.instances.retain(|id| !gone.contains(id));
    let parts = rules::follow(&mut plan, &group, &inventory, false);
    if gone.is_empty() && parts.is_empty() {
        return Ok(());
    }
    // What waits for its time is frozen when it begins.
    let waits = |j: &JobSummary| j.state == JobState::Waiting && j.work.recovery().is_some();
    if !blocking(&records, id, waits).await?.is_empty() {
        return Ok(());
    }
    let mut writes = change(inner, &mut plan, Some(plan_version), "engine", parts)?;
    if !gone.is_empty() {
        group.modified_at = inner.clock.now();
        writes.push(put(kinds::GROUP, id.as_str(), Some(group_version), &group)?);
    }
    records.commit(writes).await?;
    tracing::info!(group = %id, plan = %plan.id, version = plan.version, "the plan followed its Source");
    Ok(())
}

/// The plan of a group.
pub(crate) async fn plan_of(records: &Records, group: &GroupId) -> Result<Option<(RecoveryPlan, u64)>> {
    let found = records
        .all::<RecoveryPlan>(kinds::PLAN, |p| &p.group_id == group)
        .await?;
    match found.first() {
        Some(plan) => records.find(kinds::PLAN, plan.id.as_str()).await,
        None => Ok(None),
    }
}

/// Jobs of a group under which its plan must not change (PG-18, PLAN-28): all but recovery points, which keep what they were
/// made with, and those that `free` lets pass.
pub(crate) async fn blocking(
    records: &Records,
    group: &GroupId,
    free: impl Fn(&JobSummary) -> bool,
) -> Result<Vec<JobId>> {
    let blocks = |j: &JobSummary| {
        let point = matches!(j.work, Work::Point { .. });
        j.work.group_id() == group && j.state != JobState::Finished && !point && !free(j)
    };
    let jobs = records.all::<JobSummary>(kinds::JOB, blocks).await?;
    Ok(jobs.into_iter().map(|j| j.id).collect())
}

/// The writes of the next version of a plan.
pub(crate) fn change(
    inner: &Inner,
    plan: &mut RecoveryPlan,
    expected: Option<u64>,
    actor: &str,
    parts: Vec<PlanChangePart>,
) -> Result<Vec<Write>> {
    let now = inner.clock.now();
    plan.version += 1;
    plan.modified_at = now;
    let change = PlanChange {
        id: format!("{}/{:010}", plan.id, plan.version),
        plan_id: plan.id.clone(),
        version: plan.version,
        at: now,
        actor: actor.to_owned(),
        parts,
    };
    Ok(vec![
        put(kinds::PLAN, plan.id.as_str(), expected, plan)?,
        put(kinds::PLAN_CHANGE, &change.id, None, &change)?,
    ])
}

/// The writes that forget what became of a plan that ends.
pub(crate) async fn forget(records: &Records, plan: &PlanId) -> Result<Vec<Write>> {
    let changes = records
        .all::<PlanChange>(kinds::PLAN_CHANGE, |c| &c.plan_id == plan)
        .await?;
    Ok(changes.iter().map(|c| remove(kinds::PLAN_CHANGE, &c.id)).collect())
}
