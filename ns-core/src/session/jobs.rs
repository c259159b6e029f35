//! Jobs: create, watch, operate.

use super::Session;
use super::approvals::{Approved, Asked};
use super::audit::{Act, Notes};
use crate::engine::{Ask, Choice, Command, Inner, VolumeEpoch, first_writes, kinds, reach_source};
use crate::engine::{goes_on, holder, is_elsewhere, order, role_of};
use crate::journal::{DecisionKind, Entry, Event, JobView};
use crate::model::{
    CloudId, DataPoint, ExecutionType, ForceRight, GroupId, InstanceRecoveryState, JobDefinition, JobId, JobOperation,
    JobState, JobSummary, JobType, Listing, OwnerGroupId, PlanId, PointId, Query, RecoveryPoint, ResultCode, Work,
};
use crate::provider::Role;
use crate::rules::{Area, Verb};
use crate::store::Write;
use crate::{Error, ErrorKind, Result, machine, rules};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a recovery job is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Drill or failover.
    pub job_type: JobType,
    /// When.
    pub execution: ExecutionType,
    /// Which data.
    pub data_point: DataPoint,
    /// Of which group.
    pub group_id: GroupId,
    /// By which plan.
    pub plan_id: PlanId,
    /// For a failover whose Source may be lost.
    #[serde(default)]
    pub force: Option<ForceRight>,
    /// Instances left out.
    #[serde(default)]
    pub exclude: BTreeSet<CloudId>,
}

impl JobRequest {
    /// A drill from the newest recovery point, at once.
    #[must_use]
    pub const fn drill(group_id: GroupId, plan_id: PlanId) -> Self {
        Self {
            job_type: JobType::Drill,
            execution: ExecutionType::Immediate,
            data_point: DataPoint::LatestSnapshot,
            group_id,
            plan_id,
            force: None,
            exclude: BTreeSet::new(),
        }
    }

    /// A failover of the latest data, at once.
    #[must_use]
    pub const fn failover(group_id: GroupId, plan_id: PlanId) -> Self {
        Self {
            job_type: JobType::Failover,
            execution: ExecutionType::Immediate,
            data_point: DataPoint::LatestData,
            group_id,
            plan_id,
            force: None,
            exclude: BTreeSet::new(),
        }
    }
}

/// An operation on a job, with what goes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationRequest {
    /// Why; kept with the decisions that rollback of a failover, confirm and ignore are.
    pub reason: String,
    /// For `retry`: which instances; empty means all that failed.
    pub instances: BTreeSet<CloudId>,
    /// For `retry`: recover these instances again, whatever came of them, from this recovery point instead of the data that the
    /// job took (SM-67). They are not connected to a network; what was recovered of them before is stopped and stays.
    pub point: Option<PointId>,
}

/// How a job stands, or what changed of it: see [`Jobs::monitor`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobUpdate {
    /// The journal position that this tells of.
    pub position: u64,
    /// Where the job is.
    pub state: JobState,
    /// What it is handling.
    pub operation: JobOperation,
    /// How it ended, once known.
    pub result: Option<ResultCode>,
    /// When a timer acts next.
    pub deadline: Option<Timestamp>,
    /// Tasks of the graph that runs or ran last.
    pub tasks: usize,
    /// How many of them have ended, however.
    pub tasks_ended: usize,
    /// All instances the first time, later those whose state changed.
    pub instances: BTreeMap<CloudId, InstanceRecoveryState>,
    /// All volumes the first time, later those whose state changed.
    pub volumes: BTreeMap<CloudId, InstanceRecoveryState>,
}

/// What a monitor has told of.
#[derive(Debug)]
struct Seen {
    view: Option<JobView>,
    told: Option<JobUpdate>,
    /// What was before this was told to somebody already.
    since: Option<u64>,
}

impl Seen {
    /// What these entries change; none when there is nothing to tell yet.
    fn update(&mut self, entries: Vec<Result<Entry>>) -> Result<Option<JobUpdate>> {
        for entry in entries {
            let entry = entry?;
            match &mut self.view {
                Some(view) => view.apply(&entry),
                None => self.view = Some(JobView::begin(&entry)?),
            }
            if self.since == Some(entry.position) {
                self.told = self.view.as_ref().map(standing);
            }
        }
        let Some(view) = &self.view else { return Ok(None) };
        if self.since.is_some_and(|since| view.position <= since) {
            return Ok(None);
        }
        let now = standing(view);
        let mut update = now.clone();
        if let Some(told) = self.told.replace(now) {
            update
                .instances
                .retain(|id, state| told.instances.get(id) != Some(state));
            update.volumes.retain(|id, state| told.volumes.get(id) != Some(state));
        }
        Ok(Some(update))
    }
}

fn standing(view: &JobView) -> JobUpdate {
    let graph = view.phase().map(|p| &p.graph.tasks);
    let ended = |key| {
        use crate::journal::TaskStatus::{Done, Failed, Skipped};
        matches!(view.status(key), Done | Failed | Skipped)
    };
    JobUpdate {
        position: view.position,
        state: view.state,
        operation: view.operation,
        result: view.result,
        deadline: view.deadline,
        tasks: graph.map_or(0, BTreeMap::len),
        tasks_ended: graph.map_or(0, |tasks| tasks.keys().filter(|key| ended(key)).count()),
        instances: view.instances(),
        volumes: view.volumes(),
    }
}

/// See [`Session::jobs`].
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'a> {
    pub(super) session: &'a Session,
}

impl Jobs<'_> {
    fn inner(&self) -> &Arc<Inner> {
        &self.session.inner
    }

    /// Everything that refuses a job, in the order a person would want to know it.
    pub(super) async fn check(&self, d: &JobDefinition, dry_run: bool) -> Result<()> {
        let inner = self.inner();
        let records = inner.records();
        let plan = self.session.plans().get(&d.plan_id).await?;
        let group = self.session.protection_groups().get(&d.group_id).await?;
        let others = records
            .all::<JobSummary>(kinds::JOB, |j| {
                j.work.group_id() == &d.group_id && j.state != JobState::Finished
            })
            .await?;
        let points = records
            .all::<RecoveryPoint>(kinds::POINT, |p| p.group_id == d.group_id)
            .await?;
        let assessment = self.session.plans().assessed(&d.plan_id, dry_run).await?;
        rules::check_job(
            d,
            &rules::JobFacts {
                group: &group,
                plan: &plan,
                assessment: &assessment,
                points: &points,
                jobs: &others,
                warnings_acknowledged: false,
                now: inner.clock.now(),
            },
        )?;
        if d.job_type == JobType::Failover && d.data_point == DataPoint::LatestData {
            self.check_replicas(d, &plan, &group).await?;
        }
        Ok(())
    }

    /// The replicas that a failover of the latest data would promote.
    async fn check_replicas(
        &self,
        d: &JobDefinition,
        plan: &crate::model::RecoveryPlan,
        group: &crate::model::ProtectionGroup,
    ) -> Result<()> {
        let storage = self.inner().providers(&plan.target_cluster)?.storage;
        let may_force = d.force.as_ref().is_some_and(|f| f.accepts_data_loss);
        for v in plan.volumes.values() {
            let fence = self
                .inner()
                .records()
                .find::<VolumeEpoch>(kinds::EPOCH, v.replication_id.as_str())
                .await?;
            if let Some((fence, _)) = fence
                && fence.fenced.as_ref() == Some(&plan.target_cluster)
            {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "job.fenced",
                    "the Target's copy is fenced: the other side has newer writes",
                )
                .with_field("plan_id")
                .with("volume", &v.volume_id)
                .with("epoch", fence.epoch)
                .with_remedy("decide which side wins and resync the other first"));
            }
            let role = role_of(&storage, &v.replication_id).await?;
            // One that a rollback which was given up half way left primary may win.
            let may_win = may_force && role == Some(Role::Primary);
            if role != Some(Role::Secondary) && !may_win {
                let message = format!("volume {} is {role:?} on the Target, not a replica", v.volume_id);
                return Err(Error::new(ErrorKind::Refused, "job.roles", message)
                    .with_field("plan_id")
                    .with("volume", &v.volume_id)
                    .with_remedy(match role {
                        Some(Role::Primary) => {
                            "decide that the Target wins, with a force right that accepts the loss of the Source's \
                             unreplicated writes"
                        }
                        _ => "recover from a recovery point; replicate the volume again by ending the plan and making a new one",
                    }));
            }
        }
        // With a right it makes no difference here, and a site that stands still takes its time not to answer.
        if !may_force && !reach_source(self.inner(), group).await.all() {
            return Err(Error::new(
                ErrorKind::Refused,
                "failover.source_unreachable",
                "the Source does not answer, so it cannot be shown that it has stopped writing",
            )
            .with_field("force")
            .with_remedy("bring the Source back, or give a force right that accepts the loss of unreplicated writes"));
        }
        Ok(())
    }

    /// Makes a recovery job. An immediate one begins at once.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, group: ns_core::model::GroupId, plan: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// use ns_core::session::JobRequest;
    ///
    /// let job = session.jobs().create(JobRequest::drill(group, plan)).await?;
    /// println!("{:?}", session.jobs().wait(&job).await?.result);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` or `Refused` with field, rule and remedy: the matrix of JOB-20 … JOB-37, the plan's status (JOB-40), a
    /// failover in progress (JOB-41), no recovery point (JOB-42, JOB-43), an unreachable Source without a force right; for a
    /// failover `approval.required` or `approval.rejected` where a second person has to approve it (SEC-25).
    pub async fn create(&self, request: JobRequest) -> Result<JobId> {
        let notes = Notes::default();
        let act = Act::new(Area::Jobs, Verb::Create, "jobs.create", &request.plan_id);
        self.session
            .change_noted(act, &notes, async {
                let definition = definition(request);
                let group = self.session.group(&definition.group_id).await?;
                self.check(&definition, false).await?;
                let owner = &group.owner_group_id;
                let mut approved = None;
                if definition.job_type == JobType::Failover {
                    let asked = Asked {
                        area: Area::Jobs,
                        verb: Verb::Create,
                        action: "jobs.failover",
                        object: definition.plan_id.as_str(),
                        owner,
                    };
                    approved = self.session.second_person(&notes, asked, &definition).await?;
                }
                self.launch_approved(Work::Recovery(definition), owner, vec![], approved)
                    .await
            })
            .await
    }

    /// Makes a job of any work, together with another record, in one transaction, and runs it.
    pub(super) async fn launch(&self, work: Work, owner: &OwnerGroupId, also: Vec<Write>) -> Result<JobId> {
        self.launch_approved(work, owner, also, None).await
    }

    /// The same with the word of a second person, which is used up with it and told in the journal (SEC-25).
    pub(super) async fn launch_approved(
        &self,
        work: Work,
        owner: &OwnerGroupId,
        mut also: Vec<Write>,
        approved: Option<Approved>,
    ) -> Result<JobId> {
        let inner = self.inner();
        let id = JobId::new(inner.ids.next());
        let planned = match work.recovery().map(|d| &d.execution) {
            Some(ExecutionType::AtDateTime { at }) => Some(*at),
            _ => None,
        };
        let event = Event::Created {
            work,
            actor: self.session.actor.name.clone(),
            owner_group_id: Some(owner.clone()),
        };
        let planned = planned.map(|deadline| Event::DeadlineMoved {
            deadline,
            actor: self.session.actor.name.clone(),
        });
        let mut further = Vec::from_iter(planned);
        if let Some(approved) = approved {
            further.push(Event::Decided {
                decision: inner.ids.next(),
                kind: DecisionKind::Approve,
                operator: approved.by,
                reason: String::new(),
                facts: vec![format!("asked for by {}", self.session.actor.name)],
            });
            also.push(approved.used);
        }
        let mut writes = first_writes(inner, &id, event, further)?;
        writes.extend(also);
        inner.records().commit(writes).await?;
        // Another engine may have found it first; then it runs there.
        Inner::run(inner, id.clone()).await?;
        Ok(id)
    }

    /// One job, as lists show it.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// println!("{}", session.jobs().get(&id).await?.state);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &JobId) -> Result<JobSummary> {
        self.session.job(id).await
    }

    /// A part of the jobs that the actor sees; the order of ids is that of their creation (JOB-01).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// let running = session.jobs().list(&Query::default().equal("state", "running")).await?;
    /// println!("{} jobs run", running.total);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<JobSummary>> {
        let groups = self.session.own_groups().await?;
        let mine = |j: &JobSummary| match &j.owner_group_id {
            Some(owner) => self.session.actor.sees(owner),
            None => groups.contains(j.work.group_id()) || self.session.sees_everything(),
        };
        self.session.listed(kinds::JOB, query, mine).await
    }

    /// Everything that is known of a job: its verified journal, folded (JOB-55 … JOB-58).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// let view = session.jobs().view(&id).await?;
    /// println!("{} tasks", view.tasks.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` when the journal does not verify.
    pub async fn view(&self, id: &JobId) -> Result<JobView> {
        self.get(id).await?;
        self.inner().view(id).await
    }

    /// The whole journal, verified.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// for entry in session.jobs().journal(&id).await? {
    ///     println!("{} {}", entry.position, entry.at);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Corrupt` when it does not verify, or ends before the line that the job's record was written with.
    pub async fn journal(&self, id: &JobId) -> Result<Vec<Entry>> {
        self.get(id).await?;
        self.inner().entries(id).await
    }

    /// What happens to a job, from a journal position on (0: from the beginning), until it has finished or no engine runs it
    /// any more. Works from every engine on the store: one that does not run the job asks the store every
    /// [`poll`](crate::Settings::poll). Resume with the position of the last entry seen. Dropping the stream stops the watching only.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// use futures::StreamExt;
    ///
    /// let mut entries = session.jobs().watch(&id, 0);
    /// while let Some(entry) = entries.next().await {
    ///     println!("{:?}", entry?.event);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// The first item is an error, `NotFound`, when there is no such job and was none.
    #[must_use]
    pub fn watch(&self, id: &JobId, from: u64) -> BoxStream<'static, Result<Entry>> {
        let (session, id) = (self.session.clone(), id.clone());
        let seen = async move {
            match session.job(&id).await {
                Ok(_) => {}
                // One that was deleted is told to its last entry, to those who see everything.
                Err(e) if e.kind() == ErrorKind::NotFound && session.sees_everything() => {
                    if session.inner.store.journal(&id, 1, 1).await?.is_empty() {
                        return Err(e);
                    }
                }
                Err(e) => return Err(e),
            }
            Ok((session.inner, id))
        };
        let told = move |(inner, id)| told(inner, id, from);
        stream::once(seen).map_ok(told).try_flatten().boxed()
    }

    /// How a job goes on, for a screen (JOB-55 … JOB-58): first where it stands, with all its instances and volumes, then what
    /// changed. To go on after a break give the position of the last update: then the first tells only what changed since. Ends
    /// as [`watch`](Self::watch) does.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// use futures::TryStreamExt;
    ///
    /// let mut updates = session.jobs().monitor(&id, None);
    /// while let Some(update) = updates.try_next().await? {
    ///     println!("{}: {} of {} tasks", update.state, update.tasks_ended, update.tasks);
    ///     for (instance, state) in &update.instances {
    ///         println!("  {instance} {state:?}");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn monitor(&self, id: &JobId, since: Option<u64>) -> BoxStream<'static, Result<JobUpdate>> {
        // What came together is told together.
        let entries = self.watch(id, 0).ready_chunks(500);
        let mut seen = Seen {
            view: None,
            told: None,
            since,
        };
        entries
            .map(move |some| seen.update(some))
            .try_filter_map(|update| async move { Ok(update) })
            .boxed()
    }

    /// Waits until a job needs somebody or has finished: `completed`, `clear-failed`, `paused` or `finished`. Dropping the
    /// future stops the waiting only.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// println!("{:?}", session.jobs().wait(&id).await?.result);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when no engine runs the job.
    pub async fn wait(&self, id: &JobId) -> Result<JobSummary> {
        let mut since = self.inner().clock.now();
        let mut seen = 0;
        loop {
            let feed = self.inner().feed(id);
            let job = self.get(id).await?;
            if job.position > seen {
                seen = job.position;
                since = self.inner().clock.now();
            }
            let internal = job.work.recovery().is_none();
            let settled = match job.state {
                JobState::Finished => true,
                JobState::Completed | JobState::ClearFailed | JobState::Paused => !internal,
                _ => false,
            };
            if settled {
                return Ok(job);
            }
            let Some(mut feed) = feed else {
                if !goes_on(self.inner(), id, since).await? {
                    return Err(not_running(id));
                }
                self.inner().clock.sleep(self.inner().settings().poll).await;
                continue;
            };
            if *feed.borrow_and_update() <= job.position {
                // An error means that the runner is gone: the next turn sees the job's last state.
                let _ = feed.changed().await;
            }
        }
    }

    /// Which operations the state machine allows now.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// for operation in session.jobs().allowed(&id).await? {
    ///     println!("{operation}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn allowed(&self, id: &JobId) -> Result<Vec<JobOperation>> {
        let job = self.get(id).await?;
        if job.work.recovery().is_none() {
            return Ok(Vec::new());
        }
        let view = self.inner().view(id).await?;
        let mut allowed = machine::allowed(view.state, &view.facts());
        // One that is queued runs by itself.
        allowed.retain(|operation| (view.state, *operation) != (JobState::Pending, JobOperation::Run));
        Ok(allowed)
    }

    /// Asks for an operation (SM-11 … SM-20); returns when it is journalled, not when its tasks have ended.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// use ns_core::model::JobOperation;
    /// use ns_core::session::OperationRequest;
    ///
    /// let request = OperationRequest {
    ///     reason: "everything was looked at".to_owned(),
    ///     ..Default::default()
    /// };
    /// session.jobs().operate(&id, JobOperation::Confirm, request).await?;
    /// session.jobs().wait(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused` naming operation and state when the state machine has no such transition (SM-64); for a confirm
    /// `approval.required` or `approval.rejected` where a second person has to approve it (SEC-25). `Invalid` for the rollback of a
    /// forced failover without a reason.
    pub async fn operate(&self, id: &JobId, operation: JobOperation, request: OperationRequest) -> Result<JobSummary> {
        let notes = Notes::default();
        let act = Act::new(Area::Jobs, Verb::Update, format!("jobs.{operation}"), id);
        self.session
            .change_noted(act, &notes, async {
                let reason = match operation {
                    JobOperation::Confirm => self.confirm_reason(&notes, id, &request).await?,
                    JobOperation::Rollback | JobOperation::CancelConfirm => {
                        self.rollback_reason(id, request.reason).await?
                    }
                    _ => request.reason,
                };
                let choice = Choice {
                    instances: request.instances,
                    point: request.point,
                };
                self.send(
                    id,
                    Ask::Operate {
                        operation,
                        reason,
                        choice,
                    },
                )
                .await
            })
            .await
    }

    /// The reason of a confirm, with who approved it where a second person has to (SEC-25). Their word is used up before the runner
    /// is asked: a confirm that it refuses needs another.
    async fn confirm_reason(&self, notes: &Notes, id: &JobId, request: &OperationRequest) -> Result<String> {
        let reason = &request.reason;
        // What the state machine refuses needs nobody's word; the runner says why.
        if !self.inner().settings().four_eyes || !self.allowed(id).await?.contains(&JobOperation::Confirm) {
            return Ok(reason.clone());
        }
        let job = self.get(id).await?;
        let owner = match job.owner_group_id {
            Some(owner) => owner,
            // Made before jobs kept their owner.
            None => self.session.group(job.work.group_id()).await?.owner_group_id,
        };
        let asked = Asked {
            area: Area::Jobs,
            verb: Verb::Update,
            action: "jobs.confirm",
            object: id.as_str(),
            owner: &owner,
        };
        match self.session.second_person(notes, asked, reason).await? {
            Some(approved) => {
                self.inner().records().commit(vec![approved.used]).await?;
                Ok(format!("{reason} (approved by {})", approved.by))
            }
            None => Ok(reason.clone()),
        }
    }

    /// Rolled back, a forced failover gives up what was written on the Target since: somebody has to say why, as for the promotion
    /// itself (OPEN-35).
    async fn rollback_reason(&self, id: &JobId, reason: String) -> Result<String> {
        let job = self.get(id).await?;
        let forced = job.work.recovery().is_some_and(|recovery| recovery.force.is_some());
        if forced && reason.trim().is_empty() {
            let message = "the rollback of a forced failover gives up what was written on the Target";
            return Err(Error::new(ErrorKind::Invalid, "job.rollback_reason", message)
                .with_field("reason")
                .with_remedy("say why the writes are given up"));
        }
        Ok(reason)
    }

    /// Extends the wait for an operator's decision by minutes (SM-61 … SM-63).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// session.jobs().extend(&id, 60).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a length out of range, `Refused` in another state.
    pub async fn extend(&self, id: &JobId, minutes: u32) -> Result<JobSummary> {
        let act = Act::new(Area::Jobs, Verb::Update, "jobs.extend", id);
        self.session
            .change(act, async { self.send(id, Ask::Extend { minutes }).await })
            .await
    }

    /// Moves the planned time of a job that waits (JOB-45).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId, at: jiff::Timestamp) -> ns_core::Result<()> {
    /// session.jobs().reschedule(&id, at).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a time in the past; `Refused` in another state (JOB-47).
    pub async fn reschedule(&self, id: &JobId, at: Timestamp) -> Result<JobSummary> {
        let act = Act::new(Area::Jobs, Verb::Update, "jobs.reschedule", id);
        self.session
            .change(act, async {
                if at < self.inner().clock.now() {
                    return Err(
                        Error::new(ErrorKind::Invalid, "job.time", format!("{at} is in the past"))
                            .with_field("at")
                            .with_remedy("choose a later time"),
                    );
                }
                self.send(id, Ask::Reschedule { at }).await
            })
            .await
    }

    /// Deletes a job (JOB-48). With `leave_resources` also one whose result was not cleaned up: what it made stays.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::JobId) -> ns_core::Result<()> {
    /// session.jobs().delete(&id, false).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused` while it runs (JOB-49).
    pub async fn delete(&self, id: &JobId, leave_resources: bool) -> Result<()> {
        let act = Act::new(Area::Jobs, Verb::Delete, "jobs.delete", id);
        self.session
            .change(act, async {
                self.send(id, Ask::Delete { leave_resources }).await.map(|_| ())
            })
            .await
    }

    /// Gives a command to whoever runs the job: here, or on another node through the store.
    async fn send(&self, id: &JobId, ask: Ask) -> Result<JobSummary> {
        let inner = self.inner();
        let job = self.get(id).await?;
        let Some(commands) = inner.commands(id) else {
            if job.state == JobState::Finished {
                return Err(Error::new(ErrorKind::Refused, "job.operation", "the job has finished")
                    .with_field("operation")
                    .with("state", job.state)
                    .with("job", id)
                    .with_remedy("make a new job"));
            }
            return match holder(inner, id).await? {
                Some(lease) if is_elsewhere(inner, &lease) => {
                    order(inner, job, &lease.owner, ask, &self.session.actor.name).await
                }
                _ => Err(not_running(id)),
            };
        };
        let (reply, answer) = oneshot::channel();
        let gone = || Error::new(ErrorKind::Unavailable, "job.not_running", "the job stopped running").with("job", id);
        let command = Command {
            ask,
            actor: self.session.actor.name.clone(),
            reply,
            order: None,
        };
        commands.send(command).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn not_running(id: &JobId) -> Error {
    Error::new(ErrorKind::Unavailable, "job.not_running", "no engine runs the job now")
        .with("job", id)
        .with_remedy("call Engine::start; a started engine takes it over when the lease of the last one has ended")
}

/// See [`Jobs::watch`].
fn told(inner: Arc<Inner>, id: JobId, from: u64) -> BoxStream<'static, Result<Entry>> {
    let start = (inner, id, from, Vec::<Entry>::new().into_iter());
    Box::pin(stream::try_unfold(
        start,
        |(inner, id, mut position, mut buffer)| async move {
            let since = inner.clock.now();
            loop {
                if let Some(entry) = buffer.next() {
                    position = entry.position;
                    return Ok(Some((entry, (inner, id, position, buffer))));
                }
                let feed = inner.feed(&id);
                let lines = inner.store.journal(&id, position + 1, 500).await?;
                if lines.is_empty() {
                    // Told of every later entry, and of the end when the runner is gone.
                    if let Some(mut feed) = feed
                        && (*feed.borrow_and_update() > position || feed.changed().await.is_ok())
                    {
                        continue;
                    }
                    // Nobody runs it here, or not any more.
                    match inner.records().find::<JobSummary>(kinds::JOB, id.as_str()).await? {
                        // What came between the two readings is still to be told.
                        Some((job, _)) if job.position > position => {
                            if inner.store.journal(&id, position + 1, 1).await?.is_empty() {
                                let cut = "the journal ends before its job's record says";
                                return Err(Error::new(ErrorKind::Corrupt, "journal.chain", cut).with("job", &id));
                            }
                            continue;
                        }
                        Some((job, _)) if job.state != JobState::Finished => {}
                        // A deleted one is told to its last entry.
                        None if !inner.store.journal(&id, position + 1, 1).await?.is_empty() => continue,
                        _ => return Ok(None),
                    }
                    if !goes_on(&inner, &id, since).await? {
                        return Ok(None);
                    }
                    inner.clock.sleep(inner.settings().poll).await;
                    continue;
                }
                let entries = lines.iter().map(|l| {
                    serde_json::from_str(&l.body).map_err(|e| {
                        Error::new(
                            ErrorKind::Corrupt,
                            "journal.chain",
                            format!("line {} cannot be read", l.position),
                        )
                        .with_source(e)
                    })
                });
                buffer = entries.collect::<Result<Vec<Entry>>>()?.into_iter();
            }
        },
    ))
}

pub(super) fn definition(r: JobRequest) -> JobDefinition {
    JobDefinition {
        job_type: r.job_type,
        execution: r.execution,
        data_point: r.data_point,
        group_id: r.group_id,
        plan_id: r.plan_id,
        force: r.force,
        exclude: r.exclude,
    }
}
