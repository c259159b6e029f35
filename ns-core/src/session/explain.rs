//! The dry run: what a job, or an operation on one, would do and in which order, how long it would take and what would be
//! lost, before anybody says yes. It is planned by what plans the job itself and changes nothing: no cloud, no storage, no
//! record.

use super::{Failback, JobRequest, Jobs, OperationRequest, Plans, ReprotectRequest};
use crate::engine::{Choice, Inner, Planner, freeze, history, hypothetical};
use crate::journal::{DecisionKind, Event, Frozen, JobView};
use crate::machine::Trigger;
use crate::model::{CloudId, ForceRight, Inventory, JobId, JobOperation, JobType, PlanId, ReplicatedVolume, Work};
use crate::planning::{Action, Forecast, Side, Step, TaskGraph, forecast, steps};
use crate::{Error, ErrorKind, ErrorRecord, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a volume would lose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeLoss {
    /// The Source volume.
    pub volume_id: CloudId,
    /// All writes up to this time are kept; none: not known.
    pub synced_to: Option<Timestamp>,
    /// Seconds of writes that would be lost at most, from `synced_to` to now; 0 where nothing is lost.
    pub lost_seconds: Option<i64>,
    /// Bytes of writes that would be lost: 0 where nothing is lost; for a forced promotion what the Target's storage said last
    /// ([`bytes_behind`](crate::provider::ReplicationStatus::bytes_behind)), to which comes what was written since. None
    /// where nobody counts them.
    #[serde(default)]
    pub lost_bytes: Option<u64>,
}

/// What a job or an operation would do. Nothing was changed to find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// How: `drill`, `planned failover`, `failover without the Source's cloud`, `forced failover`, `failover to a recovery
    /// point`, `unprotect`, `protect`, or the operation, e.g. `rollback`. Only `failover` when it cannot be planned now.
    pub kind: String,
    /// The steps in an order in which they would be done. None when it cannot be planned now, and then the refusals say why.
    pub steps: Vec<Step>,
    /// The loss per volume that a recovery or a rollback is about.
    pub loss: Vec<VolumeLoss>,
    /// What it would rest on and what becomes of writes: what the journal would keep with the operator's decision.
    pub evidence: Vec<String>,
    /// How long it would take, going by finished jobs. Without total when it cannot be planned now.
    pub duration: Forecast,
    /// Why it would be refused now, each with code and remedy. Empty when it would be taken.
    pub refusals: Vec<ErrorRecord>,
}

impl Jobs<'_> {
    /// Checks a request and tells what the job would do, step by step, how long it would take and what would be lost (dry run).
    ///
    /// # Errors
    /// `NotFound` for unknown records; `Corrupt` for a recovery point that is not as it was made; those of the store.
    /// Everything that would refuse the job is in the answer instead.
    ///
    /// ```no_run
    /// # async fn f(session: ns_core::Session, request: ns_core::session::JobRequest) -> ns_core::Result<()> {
    /// let told = session.jobs().explain(&request).await?;
    /// for step in &told.steps {
    ///     println!("{:?}: {step}", step.effect);
    /// }
    /// for loss in &told.loss {
    ///     println!("volume {}: {:?} s, {:?} bytes", loss.volume_id, loss.lost_seconds, loss.lost_bytes);
    /// }
    /// if let Some(total) = &told.duration.total {
    ///     println!("it takes {total}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn explain(&self, request: &JobRequest) -> Result<Explanation> {
        let inner = &self.session.inner;
        let mut definition = super::jobs::definition(request.clone());
        let mut refusals = Vec::new();
        if let Err(e) = self.check(&definition, true).await {
            refusals.push(refusal(e)?);
        }
        let job_type = definition.job_type;
        // Also who has not got the right to force yet is told what would be done with it: by that it is given, or not.
        let without_fence = definition.force.as_ref().is_some_and(|f| f.without_fence);
        definition.force = Some(ForceRight {
            operator: self.session.actor.name.clone(),
            reason: "dry run".to_owned(),
            accepts_data_loss: true,
            without_fence,
        });
        let work = Work::Recovery(definition);
        let mut told = Told::default();
        let mut loss = Vec::new();
        match freeze(inner, &work).await {
            Ok((frozen, _)) => {
                told = self.imagine_work(work, frozen.clone()).await?;
                loss = lost_by_recovery(inner, &frozen, told.graph.as_ref()).await?;
            }
            Err(e) if e.kind() == ErrorKind::Refused => told.refusals.push(refusal(e)?),
            Err(e) => return Err(e),
        }
        let kind = match (&told.graph, job_type) {
            (Some(graph), JobType::Failover) => failover_kind(graph, told.decided),
            _ => job_type.as_str(),
        };
        let basis: &[&str] = match kind {
            "drill" => &["clones of a recovery point; replication is not touched"],
            "planned failover" | "failover without the Source's cloud" => {
                &["the Source's demotion is seen on the Target before the promotion"]
            }
            "forced failover" => &["an operator's decision; a Source that comes back is made read only"],
            "failover to a recovery point" => &["clones of a recovery point; what was written after it is not in them"],
            _ => &[],
        };
        told.evidence.splice(0..0, basis.iter().map(|s| (*s).to_owned()));
        told.refusals.retain(|new| !refusals.iter().any(|r| r.code == new.code));
        told.refusals.splice(0..0, refusals);
        told.explanation(inner, kind, loss).await
    }

    /// Tells what an operation on a job would do, as [`Jobs::explain`] does for a new one; it is asked as
    /// [`Jobs::operate`] is. Of a rollback it also says which writes made on the Target come back to the Source
    /// and which are given up.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` when the journal does not verify; those of the store. Everything that would refuse the operation
    /// is in the answer instead.
    ///
    /// ```no_run
    /// # async fn f(session: ns_core::Session, job: ns_core::model::JobId) -> ns_core::Result<()> {
    /// use ns_core::model::JobOperation;
    /// use ns_core::planning::StepEffect;
    /// let told = session.jobs().explain_operation(&job, JobOperation::Rollback, &Default::default()).await?;
    /// let deleted = told.steps.iter().filter(|s| s.effect == StepEffect::Deletes).count();
    /// println!("{deleted} things are deleted; {}", told.evidence.join("; "));
    /// # Ok(()) }
    /// ```
    pub async fn explain_operation(
        &self,
        id: &JobId,
        operation: JobOperation,
        request: &OperationRequest,
    ) -> Result<Explanation> {
        let inner = &self.session.inner;
        let view = self.view(id).await?;
        let told = self.imagine(&view, operation, request).await?;
        let gives_up = told.decided == Some(DecisionKind::Rollback) && told.graph.is_some();
        let loss = match gives_up {
            true => lost_by_rollback(&view, inner.clock.now()),
            false => Vec::new(),
        };
        told.explanation(inner, operation.as_str(), loss).await
    }

    /// What a new job of this work would do as soon as it runs.
    async fn imagine_work(&self, work: Work, frozen: Frozen) -> Result<Told> {
        let view = hypothetical(&self.session.inner, work, frozen)?;
        self.imagine(&view, JobOperation::Run, &OperationRequest::default())
            .await
    }

    async fn imagine(&self, view: &JobView, operation: JobOperation, request: &OperationRequest) -> Result<Told> {
        let planner = Planner {
            inner: self.session.inner.clone(),
            view,
            dry_run: true,
        };
        let actor = &self.session.actor.name;
        let choice = Choice {
            instances: request.instances.clone(),
            point: request.point.clone(),
        };
        let trigger = Trigger::Operation(operation);
        let mut told = Told::default();
        match planner
            .turn(trigger, &view.facts(), actor, request.reason.clone(), &choice)
            .await
        {
            Ok(turn) => turn.events.into_iter().for_each(|event| match event {
                Event::Planned { graph, .. } => told.graph = Some(graph),
                Event::Decided { kind, facts, .. } => {
                    told.decided = Some(kind);
                    told.evidence.extend(facts);
                }
                _ => {}
            }),
            Err(e) => told.refusals.push(refusal(e)?),
        }
        Ok(told)
    }
}

impl Plans<'_> {
    /// Tells what [`Plans::delete`] would do: which snapshots, vault clones and replicas would go.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, plan: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// for refusal in session.plans().explain_delete(&plan).await?.refusals {
    ///     println!("{}: {}", refusal.code, refusal.message);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`; those of the store. Everything that would refuse it is in the answer instead.
    pub async fn explain_delete(&self, id: &PlanId) -> Result<Explanation> {
        let inner = &self.session.inner;
        let plan = self.get(id).await?;
        let refused = self.check_delete(&plan).await.err();
        let work = Work::Unprotect {
            group_id: plan.group_id,
            plan_id: plan.id,
        };
        let (frozen, _) = freeze(inner, &work).await?;
        let mut told = self.session.jobs().imagine_work(work, frozen).await?;
        if let Some(e) = refused {
            told.refusals.insert(0, refusal(e)?);
        }
        told.evidence
            .push("the Source's volumes stay as they are, and nothing protects them any more".to_owned());
        told.explanation(inner, "unprotect", Vec::new()).await
    }
}

impl Failback<'_> {
    /// Tells what [`Failback::reprotect`] would do: which instances on the old side would be stopped, which copies would follow
    /// by what changed, and which may be thrown away.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, failover: ns_core::model::JobId) -> ns_core::Result<()> {
    /// let told = session.failback().explain_reprotect(&failover, &Default::default()).await?;
    /// println!("{} steps", told.steps.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` without an offer; those of the store. Everything that would refuse it is in the answer instead.
    pub async fn explain_reprotect(&self, failover: &JobId, request: &ReprotectRequest) -> Result<Explanation> {
        let inner = &self.session.inner;
        let mut told = Told::default();
        let checked = super::failback::check(request.give_up.as_ref());
        match self.way_back(failover, true).await {
            Ok((group, plan, _)) => {
                let work = Work::Protect {
                    group_id: group.id.clone(),
                    plan_id: plan.id.clone(),
                    give_up: request.give_up.clone(),
                };
                let frozen = Frozen {
                    plan,
                    group,
                    // Planning reads it anew.
                    inventory: Inventory::default(),
                    read_at: None,
                    target_flavors: Default::default(),
                    point: None,
                };
                told = self.session.jobs().imagine_work(work, frozen).await?;
            }
            Err(e) => told.refusals.push(refusal(e)?),
        }
        if let Err(e) = checked {
            told.refusals.insert(0, refusal(e)?);
        }
        told.explanation(inner, "protect", Vec::new()).await
    }
}

/// What planning told.
#[derive(Debug, Default)]
struct Told {
    graph: Option<TaskGraph>,
    decided: Option<DecisionKind>,
    evidence: Vec<String>,
    refusals: Vec<ErrorRecord>,
}

impl Told {
    async fn explanation(self, inner: &Arc<Inner>, kind: &str, loss: Vec<VolumeLoss>) -> Result<Explanation> {
        let mut told = Explanation {
            kind: kind.to_owned(),
            steps: Vec::new(),
            loss,
            evidence: self.evidence,
            duration: Forecast::default(),
            refusals: self.refusals,
        };
        if let Some(graph) = &self.graph {
            let history = history(inner).await?;
            told.steps = steps(graph, &history)?;
            told.duration = forecast(graph, &history, inner.settings().parallel, Action::load);
        }
        Ok(told)
    }
}

/// A reason why something would not be done now. What is no reason but a fault stays an error.
fn refusal(e: Error) -> Result<ErrorRecord> {
    let remedy = match e.kind() {
        ErrorKind::NotFound | ErrorKind::Corrupt | ErrorKind::Internal | ErrorKind::Canceled => return Err(e),
        ErrorKind::Unavailable | ErrorKind::Timeout => "wait until the service answers again, then ask anew",
        ErrorKind::Unauthenticated | ErrorKind::Denied => "give the provider's user the right that it lacks",
        ErrorKind::Quota => "raise the quota, or free some of it",
        ErrorKind::Invalid | ErrorKind::Refused | ErrorKind::Conflict => "change what the message names, then ask anew",
        ErrorKind::Rejected | ErrorKind::Unsupported => "see what the service says; asking again does not help",
    };
    let mut record = e.to_record();
    record.remedy.get_or_insert_with(|| remedy.to_owned());
    Ok(record)
}

/// How a failover comes by its data, as its graph shows.
fn failover_kind(graph: &TaskGraph, decided: Option<DecisionKind>) -> &'static str {
    let has = |wanted: fn(&Action) -> bool| graph.tasks.values().any(|t| wanted(&t.action));
    if has(|a| matches!(a, Action::ForcePromote { .. })) {
        "forced failover"
    } else if !has(|a| matches!(a, Action::Promote { .. })) {
        "failover to a recovery point"
    } else if decided == Some(DecisionKind::CutOff) {
        "failover without the Source's cloud"
    } else {
        "planned failover"
    }
}

/// What a recovery loses of the volumes that it is about; of all of the plan when it cannot be planned now.
async fn lost_by_recovery(inner: &Inner, frozen: &Frozen, graph: Option<&TaskGraph>) -> Result<Vec<VolumeLoss>> {
    let now = inner.clock.now();
    let mut loss = Vec::new();
    for v in frozen.plan.volumes.values() {
        // Collected: a closure that is kept over an await lets no host spawn the call.
        let tasks: Vec<_> = (graph.into_iter().flat_map(|g| g.tasks.values()))
            .filter(|t| t.volume.as_ref() == Some(&v.volume_id))
            .collect();
        if graph.is_some() && tasks.is_empty() {
            continue;
        }
        let handed_over = tasks.iter().any(|t| matches!(t.action, Action::Promote { .. }));
        let (synced_to, lost_bytes) = match &frozen.point {
            Some(point) => (Some(point.taken_at), None),
            None if handed_over => (Some(now), Some(0)),
            None => on_target(inner, frozen, v).await?,
        };
        loss.push(VolumeLoss {
            volume_id: v.volume_id.clone(),
            synced_to,
            lost_seconds: synced_to.map(|at| now.duration_since(at).as_secs()),
            lost_bytes,
        });
    }
    Ok(loss)
}

/// Up to when the Target's copy of a volume holds all writes, and how many bytes it lacked when its storage was told last.
async fn on_target(inner: &Inner, frozen: &Frozen, v: &ReplicatedVolume) -> Result<(Option<Timestamp>, Option<u64>)> {
    let storage = inner.providers(&frozen.plan.target_cluster)?.storage;
    let Some(image) = storage.find_replica(&v.replication_id).await? else {
        return Ok((None, None));
    };
    let status = storage.status(&image).await?;
    Ok((status.synced_to, status.bytes_behind))
}

/// What the rollback of a failover gives up: what was written on the Target since. A volume that was handed over comes back
/// with it.
fn lost_by_rollback(view: &JobView, now: Timestamp) -> Vec<VolumeLoss> {
    let done = view.done().into_iter();
    let lost = done.filter_map(|d| {
        let kept_to = match &d.task.action {
            Action::Promote { side: Side::Target, .. } => Some(now),
            Action::ForcePromote { side: Side::Target, .. } | Action::Clone { .. } => {
                view.tasks.get(&d.task.key).and_then(|t| t.ended_at)
            }
            _ => return None,
        };
        Some(VolumeLoss {
            volume_id: d.task.volume.clone()?,
            synced_to: kept_to,
            lost_seconds: kept_to.map(|at| now.duration_since(at).as_secs()),
            lost_bytes: kept_to.filter(|at| *at == now).map(|_| 0),
        })
    });
    lost.collect()
}
