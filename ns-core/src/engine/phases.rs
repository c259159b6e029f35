//! Which graph a job runs next, and what is written when it has ended: the facts are read here, the decisions are those
//! of `planning`.

use super::fences::to_be_fenced;
use super::given_up;
use super::homecoming;
use super::other_point::{Choice, Chosen};
use super::planner::Planner;
use super::records::{VolumeEpoch, kinds, put};
use super::reporting::{self, Names};
use super::runner::{Runner, noted};
use super::sync::{each, relearn};
use super::{SourceReach, cloned_images, group_inventory, reach_source, read_cluster, retention, role_of};
use crate::journal::{DecisionKind, Event, Frozen, PhaseKind};
use crate::machine::{self, Removal, Trigger};
use crate::model::{
    CloudId, Cluster, DataPoint, ForceRight, Home, Inventory, JobDefinition, JobOperation, JobType, RecoveryPlan,
    RecoveryPoint, ResourceKind, TaskKey, Work,
};
use crate::planning::{
    self, Action, FENCE, ImageRef, RecoveryData, RecoveryInputs, TaskGraph, plan_fence, plan_open, plan_point,
    plan_protect, plan_prune, plan_recovery, plan_undo, plan_unfence, plan_unprotect,
};
use crate::planted::{self, Bug};
use crate::ports::with_deadline;
use crate::provider::{Role, Token};
use crate::report::RecoveryReport;
use crate::store::Write;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeSet;

/// A side is not what a hand-over needs it to be.
const ROLES: &str = "failover.roles";

impl Planner<'_> {
    /// Plans the graph of a phase. Facts that were read for it are added to `events` first.
    pub(super) async fn plan(
        &self,
        kind: PhaseKind,
        operation: JobOperation,
        asked: Option<JobOperation>,
        events: &mut Vec<Event>,
        (choice, chosen): (&Choice, Option<&Chosen>),
    ) -> Result<TaskGraph> {
        let view = self.view;
        if kind == PhaseKind::Rollback && view.frozen.is_none() {
            // Without its inputs it has done nothing that could be undone.
            return Ok(TaskGraph::default());
        }
        let frozen = self.frozen()?;
        tracing::info!(job = %view.id, ?kind, %operation, "planning");
        match (kind, asked) {
            (PhaseKind::Run, _) => match &view.work {
                Work::Recovery(definition) => self.plan_run(definition, frozen, events).await,
                Work::Protect { give_up, .. } => self.plan_protect(give_up.as_ref(), frozen, events).await,
                Work::Point { point_id, .. } => {
                    self.reread(frozen, events).await?;
                    plan_point(&frozen.plan, point_id)
                }
                Work::Fence { .. } => {
                    let (mut plan, source) = (frozen.plan.clone(), &frozen.group.source_cluster);
                    for (id, v) in &frozen.plan.volumes {
                        if !super::watch::still_fenced(&self.inner, &v.replication_id, source).await? {
                            plan.volumes.remove(id);
                        }
                    }
                    let mut graph = plan_fence(&plan, &frozen.inventory)?;
                    if self.inner.is_fenced(source).await? {
                        // Nothing runs there that could be stopped.
                        graph
                            .tasks
                            .retain(|_, t| !matches!(t.action, Action::StopServer { .. }));
                    }
                    Ok(graph)
                }
                Work::Prune { plan_id, .. } => {
                    let records = self.inner.records();
                    // What is released was marked when this work was made; what is marked never returns.
                    let plan = records.find::<RecoveryPlan>(kinds::PLAN, plan_id.as_str()).await?;
                    let plan = plan.map_or_else(|| frozen.plan.clone(), |(plan, _)| plan);
                    plan_prune(&retention::expired(&records, plan_id).await?, &plan)
                }
                Work::Unprotect { plan_id, .. } => {
                    let mut plan = frozen.plan.clone();
                    if plan.volumes.is_empty() && !planted::is(Bug::ProtectForgets) {
                        plan.volumes = super::remains::half_protected(&self.inner, frozen).await?;
                    }
                    plan_unprotect(&plan, &retention::remains(&self.inner.records(), plan_id).await?)
                }
            },
            (PhaseKind::Retry, _) => match chosen {
                Some(chosen) => self.plan_other_point(chosen, events).await,
                None => view.remaining(&[PhaseKind::Run, PhaseKind::Retry], Some(&choice.instances)),
            },
            (PhaseKind::Rollback, Some(JobOperation::RetryRollback)) => view.remaining(&[PhaseKind::Rollback], None),
            (PhaseKind::Confirm, Some(JobOperation::RetryConfirm)) => {
                let mut graph = view.remaining(&[PhaseKind::Confirm], None)?;
                self.leave_what_is_gone(frozen, &mut graph, events).await;
                Ok(graph)
            }
            (PhaseKind::Rollback, _) => {
                let decision = self.decision_of(events, DecisionKind::Rollback);
                let prefix = view.prefix("undo");
                let mut graph = plan_undo(&view.id, &frozen.plan, &view.done(), &prefix, &decision)?;
                let before = given_up::ran_before(&self.inner, view, frozen).await?;
                let (_, fences) = self.inner.fencing(&view.id).await?;
                if fences > 0 || before.is_some() {
                    plan_unfence(&mut graph, before.as_ref().unwrap_or(&frozen.inventory), &prefix)?;
                }
                Ok(graph)
            }
            (PhaseKind::Confirm, _) => self.plan_confirm(frozen, events).await,
        }
    }

    fn decision_of(&self, events: &[Event], wanted: DecisionKind) -> String {
        let new = events.iter().find_map(|e| match e {
            Event::Decided { decision, kind, .. } if *kind == wanted => Some(decision.clone()),
            _ => None,
        });
        let old = || {
            self.view
                .decisions
                .iter()
                .rev()
                .find(|d| d.kind == wanted)
                .map(|d| d.id.clone())
        };
        new.or_else(old).unwrap_or_default()
    }

    async fn plan_confirm(&self, frozen: &Frozen, events: &[Event]) -> Result<TaskGraph> {
        let view = self.view;
        let decision = self.decision_of(events, DecisionKind::Confirm);
        let recovered = view.recovered();
        let mut graph = view.plan_confirm(frozen, &recovered, &decision)?;
        if let (_, 1..) = self.inner.fencing(&view.id).await? {
            plan_unfence(&mut graph, &homecoming::staying(view, frozen), &view.prefix("undo"))?;
        }
        if let Some(home) = self.came_home(frozen) {
            let prefix = view.prefix("home");
            let homecoming = homecoming::plan(&self.inner, home, frozen, &recovered, &prefix).await?;
            graph.tasks.extend(homecoming.tasks);
        }
        Ok(graph)
    }

    /// A volume that was deleted on both sides since the confirm began cannot be protected again, and must not keep the confirm from
    /// ending: its plan tells that it is missing. While a side does not answer nothing is taken for gone.
    async fn leave_what_is_gone(&self, frozen: &Frozen, graph: &mut TaskGraph, events: &mut Vec<Event>) {
        let (source, target) = (&frozen.group.source_cluster, &frozen.plan.target_cluster);
        let (Ok(source), Ok(target)) = (self.inner.providers(source), self.inner.providers(target)) else {
            return;
        };
        let mut gone = BTreeSet::new();
        for task in graph.tasks.values() {
            let (Action::Ship { image, .. } | Action::AwaitArrival { image, .. }) = &task.action else {
                continue;
            };
            let ImageRef::Replica(id) = image else { continue };
            let absent = |found: Result<Option<_>>| matches!(found, Ok(None));
            if absent(source.storage.find_replica(id).await) && absent(target.storage.find_replica(id).await) {
                gone.insert(task.key.clone());
                if let (Action::AwaitArrival { .. }, Some(volume)) = (&task.action, &task.volume) {
                    events.push(Event::Noted {
                        code: "confirm.volume_gone".to_owned(),
                        message: format!("volume {volume} exists on neither side any more: it is not protected again"),
                    });
                }
            }
        }
        graph.tasks.retain(|key, _| !gone.contains(key));
        for task in graph.tasks.values_mut() {
            task.after.retain(|key| !gone.contains(key));
            task.order.retain(|key| !gone.contains(key));
        }
    }

    /// The writes that go with the begin of a confirm: what it is about to remove can be chosen no more.
    pub(super) async fn given_up(&self) -> Result<Vec<Write>> {
        let home = self
            .view
            .frozen
            .as_deref()
            .filter(|frozen| self.came_home(frozen).is_some());
        match home {
            Some(frozen) => homecoming::given_up(&self.inner, frozen, &self.view.recovered()).await,
            None => Ok(Vec::new()),
        }
    }

    /// What this failback led back to, if it did: nothing after a recovery from a point, and not for good after a forced one,
    /// for what the other side holds cannot be cleared away then.
    fn came_home<'a>(&self, frozen: &'a Frozen) -> Option<&'a Home> {
        let home = frozen.plan.home.as_ref()?;
        let done = self.view.done();
        let handed_over = done.iter().any(|d| matches!(d.task.action, Action::Promote { .. }));
        handed_over.then_some(home)
    }

    async fn plan_run(&self, d: &JobDefinition, frozen: &Frozen, events: &mut Vec<Event>) -> Result<TaskGraph> {
        let instances: BTreeSet<CloudId> = frozen
            .group
            .instances
            .iter()
            .filter(|id| !d.exclude.contains(*id))
            .cloned()
            .collect();
        if d.job_type == JobType::Failover {
            self.check_still_planned(frozen).await?;
        }
        let reach = match d.job_type {
            // A drill asks nothing of the Source and must not wait for it.
            JobType::Drill => SourceReach {
                cloud: false,
                storage: false,
            },
            JobType::Failover => reach_source(&self.inner, &frozen.group).await,
        };
        let mut frozen = frozen.clone();
        let source = frozen.group.source_cluster.clone();
        let decision = format!("{}-{}", self.view.id, self.view.position + 1);
        let (mut epoch, mut fence) = (0, None);
        let data = match (d.job_type, &d.data_point) {
            (JobType::Drill, _) => RecoveryData::Point {
                point: point(&frozen)?,
                stop_source: false,
            },
            (JobType::Failover, DataPoint::LatestData) if self.hands_over(d, &frozen.plan, reach).await? => {
                if reach.cloud {
                    self.refresh(&mut frozen, events).await?;
                } else {
                    self.cut_off(d, events)?;
                }
                RecoveryData::HandOver {
                    stop_source: reach.cloud,
                }
            }
            (JobType::Failover, DataPoint::LatestData) => {
                epoch = self.force(d, &frozen, reach, events).await?;
                fence = to_be_fenced(&self.inner, d, &source);
                RecoveryData::Forced {
                    decision: &decision,
                    epoch,
                    stop_source: reach.cloud,
                }
            }
            (JobType::Failover, _) => {
                if !reach.cloud {
                    self.force(d, &frozen, reach, events).await?;
                    fence = to_be_fenced(&self.inner, d, &source);
                }
                RecoveryData::Point {
                    point: point(&frozen)?,
                    stop_source: reach.cloud,
                }
            }
        };
        tracing::info!(job = %self.view.id, ?reach, epoch, "recovery data chosen");
        let originals = match &frozen.plan.home {
            Some(home) => Some(homecoming::originals(&self.inner, home, &frozen.plan, self.dry_run).await?),
            None => None,
        };
        let suffix: String = self.view.id.as_str().chars().rev().take(8).collect();
        plan_recovery(&RecoveryInputs {
            job_id: &self.view.id,
            plan: &frozen.plan,
            instances: &instances,
            inventory: &frozen.inventory,
            target_flavors: &frozen.target_flavors,
            data,
            fence: fence.map(|(cluster, _)| (cluster, decision.as_str())),
            home: homecoming::homeward(&frozen.plan, originals.as_ref()),
            isolated: d.job_type == JobType::Drill,
            suffix: &suffix,
            prefix: "",
        })
    }

    /// Reads the Source once more: a planned failover takes instances as they are now.
    async fn refresh(&self, frozen: &mut Frozen, events: &mut Vec<Event>) -> Result<()> {
        let inventory = read_cluster(&self.inner, &frozen.group.source_cluster, self.dry_run).await?;
        self.freeze_again(frozen, &inventory, events);
        Ok(())
    }

    fn freeze_again(&self, frozen: &mut Frozen, inventory: &Inventory, events: &mut Vec<Event>) {
        frozen.inventory = group_inventory(inventory, &frozen.group.instances);
        frozen.read_at = Some(self.inner.clock.now());
        events.push(Event::Frozen {
            inputs: Box::new(frozen.clone()),
        });
    }

    /// Reads the members of the group once more: a point keeps their definitions as they are now. It is made all the same when
    /// the Source's cloud does not answer, with what was known.
    async fn reread(&self, frozen: &Frozen, events: &mut Vec<Event>) -> Result<()> {
        let source = &frozen.group.source_cluster;
        let volumes: Vec<CloudId> = frozen.inventory.volumes.keys().cloned().collect();
        let mut hints = each(ResourceKind::Instance, &frozen.group.instances);
        hints.extend(each(ResourceKind::Volume, &volumes));
        let limit = self.inner.settings().reach_limit;
        let read = relearn(&self.inner, source, &hints);
        match with_deadline(&*self.inner.clock, limit, "the Source cloud", read).await {
            Ok(_) => {
                let inventory = self.inner.inventory(source).await?;
                // Of an instance that vanished the point keeps what was known, beside its volumes.
                let vanished = |id: &CloudId| !inventory.instances.contains_key(id);
                if !frozen.group.instances.iter().any(vanished) {
                    self.freeze_again(&mut frozen.clone(), &inventory, events);
                }
            }
            Err(error) => events.push(noted("point.definitions_as_known", &error)),
        }
        Ok(())
    }

    /// A failover waits while another of its group goes on. Once that is confirmed there is nothing left for this one: what it
    /// would promote, and its rollback take back, is the other's.
    async fn check_still_planned(&self, frozen: &Frozen) -> Result<()> {
        let records = self.inner.records();
        let plan = records
            .find::<RecoveryPlan>(kinds::PLAN, frozen.plan.id.as_str())
            .await?;
        let mut volumes = frozen.plan.volumes.keys();
        if plan.is_some_and(|(plan, _)| volumes.all(|id| plan.volumes.contains_key(id))) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            "job.plan_ended",
            "the plan has ended, or has lost volumes, since this job was made: another failover of its group was confirmed",
        )
        .with_field("plan_id")
        .with("plan", &frozen.plan.id)
        .with_remedy("look at what runs where now, and make a new job if it is needed still"))
    }

    /// Whether the Source's storage answers and can give its volumes away. One that is not primary, as after a rollback that was
    /// given up half way, cannot: its operator may decide that the Target's data is taken all the same.
    async fn hands_over(&self, d: &JobDefinition, plan: &RecoveryPlan, reach: SourceReach) -> Result<bool> {
        if !reach.storage {
            return Ok(false);
        }
        match self.check_roles(plan).await {
            Err(e) if e.code() == ROLES && Self::right(d).is_ok() => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Before a hand-over: the Source is primary, the Target is not. Both primary is seen here and nowhere else (Ceph facts
    /// §0.5).
    async fn check_roles(&self, plan: &RecoveryPlan) -> Result<()> {
        let group = self.view.frozen.as_deref().map(|f| &f.group.source_cluster);
        let source = self.inner.providers(group.unwrap_or(&plan.target_cluster))?.storage;
        let target = self.inner.providers(&plan.target_cluster)?.storage;
        for v in plan.volumes.values() {
            for (storage, wanted, side) in [(&source, Role::Primary, "Source"), (&target, Role::Secondary, "Target")] {
                let role = role_of(storage, &v.replication_id).await?;
                if role != Some(wanted) {
                    let message = format!("volume {} is {role:?} on the {side}, not {wanted:?}", v.volume_id);
                    return Err(Error::new(ErrorKind::Refused, ROLES, message)
                        .with_field("force")
                        .with_remedy(
                            "decide that the Target's data is taken, with a force right that accepts the loss of the \
                             Source's unreplicated writes; a rollback of that failover takes the Source's again",
                        ));
                }
            }
        }
        Ok(())
    }

    /// What lets a job go on although the Source, or a part of it, does not answer.
    fn right(d: &JobDefinition) -> Result<&ForceRight> {
        d.force.as_ref().filter(|f| f.accepts_data_loss).ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                "failover.source_unreachable",
                "the Source does not answer, so it cannot be shown that it has stopped writing",
            )
            .with_field("force")
            .with_remedy("bring the Source back, or give a force right that accepts the loss of unreplicated writes")
        })
    }

    /// The Source's cloud does not answer and its storage does: its volumes are handed over all the same, without loss. The
    /// instances may run on there, and write no more.
    fn cut_off(&self, d: &JobDefinition, events: &mut Vec<Event>) -> Result<()> {
        let right = Self::right(d)?;
        let facts = vec![
            "Source cloud answers: false; Source storage answers: true".to_owned(),
            "the volumes are demoted under their instances: every write made until then arrives, and none is made after"
                .to_owned(),
        ];
        events.insert(0, self.decided(DecisionKind::CutOff, right, facts));
        Ok(())
    }

    fn decided(&self, kind: DecisionKind, right: &ForceRight, facts: Vec<String>) -> Event {
        Event::Decided {
            decision: format!("{}-{}", self.view.id, self.view.position + 1),
            kind,
            operator: right.operator.clone(),
            reason: right.reason.clone(),
            facts,
        }
    }

    /// The Source cannot be shown to have stopped: only an operator's right lets the job go on. The decision is journalled
    /// with what is known of the loss. Gives the epoch of the forced promotion.
    pub(super) async fn force(
        &self,
        d: &JobDefinition,
        frozen: &Frozen,
        reach: SourceReach,
        events: &mut Vec<Event>,
    ) -> Result<u64> {
        let unasked = ForceRight {
            operator: "engine".to_owned(),
            reason: String::new(),
            accepts_data_loss: true,
            without_fence: false,
        };
        let right = match Self::right(d) {
            Err(_) if planted::is(Bug::ForceUnasked) => &unasked,
            right => right?,
        };
        let storage = self.inner.providers(&frozen.plan.target_cluster)?.storage;
        let now = self.inner.clock.now();
        let mut facts = vec![format!(
            "Source cloud answers: {}; Source storage answers: {}",
            reach.cloud, reach.storage
        )];
        facts.push(match to_be_fenced(&self.inner, d, &frozen.group.source_cluster) {
            Some((_, kind)) => format!("the Source is cut off first, by its fence ({kind})"),
            None => "no fence cuts the Source off: what runs there may go on".to_owned(),
        });
        let mut epoch = 1;
        for v in frozen.plan.volumes.values() {
            let status = match storage.find_replica(&v.replication_id).await? {
                Some(image) => Some(storage.status(&image).await?),
                None => None,
            };
            facts.push(match status.and_then(|s| s.synced_to) {
                Some(at) => {
                    let age = now.duration_since(at).as_secs();
                    format!(
                        "volume {}: holds all writes up to {at}; writes of the last {age} s may be lost",
                        v.volume_id
                    )
                }
                None => format!("volume {}: up to when it holds all writes is not known", v.volume_id),
            });
            let fence = self
                .inner
                .records()
                .find::<VolumeEpoch>(kinds::EPOCH, v.replication_id.as_str())
                .await?;
            epoch = epoch.max(fence.map_or(0, |(f, _)| f.epoch) + 1);
        }
        if planted::is(Bug::ForceUnrecorded) {
            return Ok(epoch);
        }
        events.insert(0, self.decided(DecisionKind::ForcePromote, right, facts));
        Ok(epoch)
    }

    async fn plan_protect(
        &self,
        give_up: Option<&ForceRight>,
        frozen: &Frozen,
        events: &mut Vec<Event>,
    ) -> Result<TaskGraph> {
        let mut frozen = frozen.clone();
        self.refresh(&mut frozen, events).await?;
        let storage = self.inner.providers(&frozen.group.source_cluster)?.storage;
        let cloned = cloned_images(&self.inner, &storage, &frozen.inventory, frozen.plan.replication_mode).await?;
        let originals = match &frozen.plan.home {
            Some(home) => Some(homecoming::originals(&self.inner, home, &frozen.plan, self.dry_run).await?),
            None => None,
        };
        let home = homecoming::homeward(&frozen.plan, originals.as_ref());
        let decision = give_up.map(|right| {
            let decision = format!("{}-{}", self.view.id, self.view.position + 1);
            let facts = vec!["copies that diverged are thrown away and copied again from the Source".to_owned()];
            let event = Event::Decided {
                decision: decision.clone(),
                kind: DecisionKind::GiveUpCopies,
                operator: right.operator.clone(),
                reason: right.reason.clone(),
                facts,
            };
            events.insert(0, event);
            decision
        });
        let mut graph = plan_protect(
            &frozen.plan,
            &frozen.group.instances,
            &frozen.inventory,
            &cloned,
            home,
            decision.as_deref(),
        )?;
        if let Some(home) = &frozen.plan.home {
            let (old, token) = (
                &frozen.plan.target_cluster,
                Token::of(&home.failover_job, &TaskKey::new(FENCE)),
            );
            if self.inner.holds_fence(old, &token).await? {
                plan_open(&mut graph, old, &home.failover_job, home.replications())?;
            }
        }
        Ok(graph)
    }

    /// What the engine knows when an operator decides.
    pub(super) fn decision_facts(&self, kind: DecisionKind) -> Vec<String> {
        let view = self.view;
        match kind {
            DecisionKind::IgnoreLeftovers => {
                let left = super::leftovers::leftovers(view);
                left.iter().map(ToString::to_string).collect()
            }
            DecisionKind::Rollback => {
                let since = view.completed_at.map_or_else(|| "now".to_owned(), |t| t.to_string());
                let fate = |d: &planning::Done<'_>| match &d.task.action {
                    Action::Promote { .. } => Some("come back to the Source with the volume"),
                    Action::ForcePromote { .. } | Action::Clone { .. } => Some("are given up"),
                    _ => None,
                };
                let volume = |d: &planning::Done<'_>| d.task.volume.as_ref().map_or("?", CloudId::as_str).to_owned();
                let tell = |d| {
                    Some(format!(
                        "volume {}: writes made on the Target since {since} {}",
                        volume(&d),
                        fate(&d)?
                    ))
                };
                view.done().into_iter().filter_map(tell).collect()
            }
            DecisionKind::Confirm => view
                .instances()
                .iter()
                .map(|(id, s)| format!("instance {id}: {s:?}"))
                .collect(),
            DecisionKind::ForcePromote
            | DecisionKind::CutOff
            | DecisionKind::GiveUpCopies
            | DecisionKind::OtherPoint => Vec::new(),
        }
    }
}

impl Runner {
    /// Reporting to finished: the report is stored, and with it everything that a confirmed failover changes.
    pub(super) async fn report(&mut self) -> Result<()> {
        let view = &self.journal.view;
        let facts = view.facts();
        let t = machine::step(view.state, view.operation, &Trigger::ReportMade, &facts)?;
        let report = self.make_report().await?;
        let view = &self.journal.view;
        let digest = crate::journal::digest(report.json()?.as_bytes());
        let mut writes = vec![put(kinds::REPORT, view.id.as_str(), None, &report)?];
        if planted::is(Bug::ReportForgotten) {
            writes.clear();
        }
        if machine::removal(facts.job_type, view.operation, view.result) == Removal::JobPlanAndGroup {
            let home = view
                .frozen
                .as_deref()
                .and_then(|frozen| self.planner().came_home(frozen));
            writes.extend(homecoming::confirmed(&self.inner, view, home).await?);
        }
        let event = self.planner().transition(&t, "engine");
        self.journal
            .append(vec![Event::Reported { digest }, event], writes)
            .await?;
        self.inner.group_freed.notify_waiters();
        Ok(())
    }

    async fn make_report(&self) -> Result<RecoveryReport> {
        let view = &self.journal.view;
        let records = self.inner.records();
        let mut names = Names {
            source_cluster: String::new(),
            target_cluster: String::new(),
            actor: view.actor.clone(),
            source: None,
            target: None,
        };
        if let Some(frozen) = &view.frozen {
            for (name, cloud, id) in [
                (
                    &mut names.source_cluster,
                    &mut names.source,
                    &frozen.group.source_cluster,
                ),
                (
                    &mut names.target_cluster,
                    &mut names.target,
                    &frozen.plan.target_cluster,
                ),
            ] {
                *cloud = self.inner.providers(id).ok().map(|p| p.cloud);
                // A cluster may have been deleted since: its id still tells which it was.
                let found = records.find::<Cluster>(kinds::CLUSTER, id.as_str()).await?;
                *name = found.map_or_else(|| id.to_string(), |(c, _)| c.name);
            }
        }
        reporting::report(view, names, self.journal.hash(), self.inner.clock.now())
    }
}

fn point(frozen: &Frozen) -> Result<&RecoveryPoint> {
    frozen.point.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Refused, "job.no_point", "the job has no recovery point")
            .with_field("data_point")
            .with_remedy("make one with points().create and wait for it")
    })
}

pub(super) fn lost() -> Error {
    Error::new(
        ErrorKind::Internal,
        "job.records",
        "a finished work lacks what it was to record",
    )
}
