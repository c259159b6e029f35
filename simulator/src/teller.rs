//! Operators: they do what the story says, one step after the other, with what they see; they try again what may be tried
//! again, and follow what they are told.

use crate::faults::FaultKind;
use crate::story::{Disaster, End, Meddle, Order, Scenario, Step};
use crate::world::World;
use ns_core::Error;
use ns_core::journal::DecisionKind;
use ns_core::model::{
    ClearOperation, ClusterId, DataPoint, ForceRight, GroupId, JobId, JobOperation, JobState, JobType, PlanId,
    RecoveryPlan, ResultCode,
};
use ns_core::session::{JobRequest, OperationRequest, PlanUpdate, ReprotectRequest};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long an operator waits for a job before letting things be, in seconds.
const PATIENCE: u64 = 3 * 3600;

/// See the module.
pub struct Teller {
    /// Where it happens.
    pub world: World,
    /// Whether nothing goes wrong: then everything must succeed.
    pub quiet: bool,
    /// What is protected now, and by which plan.
    group: GroupId,
    plan: Option<PlanId>,
    target: ClusterId,
    /// The side that runs it.
    here: &'static str,
    journal_mode: bool,
    resumed: u32,
}

fn right(reason: &str) -> ForceRight {
    ForceRight {
        operator: "anna".to_owned(),
        reason: reason.to_owned(),
        accepts_data_loss: true,
        without_fence: false,
    }
}

impl Teller {
    /// A world with the group protected, if that succeeds.
    pub async fn begin(scenario: &Scenario) -> Self {
        let mut world = World::new(scenario).await;
        let (group, target) = world.register().await.unwrap();
        world.shared.board().begin(scenario.exact);
        world.arm(scenario, 0);
        world.pass(1).await;
        let mut teller = Self {
            world,
            quiet: scenario.is_quiet(),
            group,
            target,
            plan: None,
            here: "a",
            journal_mode: scenario.journal_mode,
            resumed: 0,
        };
        teller.protect().await;
        teller
    }

    /// Protects the group, and waits for its first point. A mirroring that fails is ended and begun anew.
    async fn protect(&mut self) {
        for _ in 0..8 {
            if self.world.records::<RecoveryPlan>("plan").await.is_empty() {
                let (group, target) = (self.group.clone(), self.target.clone());
                let made = self.world.plan(&group, &target, self.journal_mode).await;
                self.refusal("protect", made.err().as_ref());
            }
            self.pass(5).await;
            self.settle(PATIENCE).await;
            self.orient().await;
            let Some(plan) = self.world.records::<RecoveryPlan>("plan").await.into_iter().next() else {
                self.pass(60).await;
                continue;
            };
            if !plan.volumes.is_empty() {
                return;
            }
            let Some(session) = self.world.session() else { continue };
            let ended = self.world.limited(300, session.plans().delete(&plan.id)).await;
            self.refusal("unprotect", ended.err().as_ref());
            self.settle(PATIENCE).await;
            self.pass(60).await;
            if self.world.records::<RecoveryPlan>("plan").await.is_empty() {
                let left = self.world.changes();
                if !left.is_empty() {
                    let what = format!("a protection that failed and was ended left {}", left.join("; "));
                    self.world.violation("leak", what);
                    return;
                }
            }
        }
    }

    /// Some time passes.
    async fn pass(&mut self, seconds: u64) {
        self.world.pass(seconds).await;
        self.resumed += 1;
        if self.resumed.is_multiple_of(12) && !self.world.unfinished().is_empty() {
            self.world.resume_all().await;
        }
    }

    /// Waits until work that nobody ends by hand has ended.
    pub async fn settle(&mut self, limit: u64) {
        let until = self.world.now() + Duration::from_secs(limit);
        while self.world.now() < until {
            let busy = self.world.unfinished().iter().any(|j| {
                !matches!(
                    self.world
                        .view(j)
                        .filter(|v| v.work.recovery().is_some())
                        .map(|v| v.state),
                    Some(JobState::Completed | JobState::ClearFailed | JobState::Paused)
                )
            });
            if !busy {
                return;
            }
            self.pass(5).await;
        }
    }

    /// Sees by which plan which side is protected now.
    pub async fn orient(&mut self) {
        let mut plans = self.world.records::<RecoveryPlan>("plan").await;
        // The way home first: what stayed behind can wait.
        plans.sort_by_key(|p| (p.home.is_none(), p.id.clone()));
        self.plan = plans.first().map(|p| p.id.clone());
        let Some(plan) = plans.first() else { return };
        self.group = plan.group_id.clone();
        let target = self.world.audit(|a| a.site(&plan.target_cluster));
        self.here = if target == Some("a") { "b" } else { "a" };
    }

    /// Whether a volume went home with an instance that was confirmed, and left behind another one that uses it too.
    #[must_use]
    pub fn has_split(&self) -> bool {
        let audit = self.world.shared.audit();
        let mut partial = audit.jobs().filter(|v| v.result == Some(ResultCode::PartialSuccess));
        partial.any(|v| {
            let recovered = v.recovered();
            v.done()
                .iter()
                .filter(|d| d.task.action.promotes())
                .any(|d| !d.task.instances.is_disjoint(&recovered) && !d.task.instances.is_subset(&recovered))
        })
    }

    /// Whether instances were recovered from a point for good, or deleted where they had gone: what they left behind is their
    /// owners'.
    pub async fn for_good(&self) -> bool {
        self.world.deleted_away() || !self.world.offers().await.is_empty()
    }

    /// Does a step of the story.
    pub async fn step(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => {
                let mut left = seconds;
                while left > 0 {
                    let now = left.min(15);
                    self.pass(now).await;
                    left -= now;
                }
            }
            Step::Point => {
                if let Some(session) = self.world.session() {
                    let made = self.world.limited(120, session.points().create(&self.group)).await;
                    self.refusal("point", made.err().as_ref());
                }
                self.settle(PATIENCE).await;
            }
            Step::Drill(order) => self.job(order, false, JobRequest::drill).await,
            Step::Planned(order) => self.job(order, false, JobRequest::failover).await,
            Step::ToPoint(order) => {
                let request = |group, plan| JobRequest {
                    data_point: DataPoint::LatestSnapshot,
                    ..JobRequest::failover(group, plan)
                };
                self.job(order, false, request).await;
            }
            Step::Forced(disaster, returns, order) => {
                let (sim, lost) = (self.world.shared.sim.clone(), self.here);
                match disaster {
                    Disaster::Dead => sim.kill(lost),
                    Disaster::Frozen => sim.freeze(lost),
                    Disaster::Isolated => sim.isolate(lost),
                }
                let request = |group, plan| JobRequest {
                    force: Some(right("the site is lost")),
                    ..JobRequest::failover(group, plan)
                };
                self.job(order, returns, request).await;
                sim.revive(lost);
                for _ in 0..8 {
                    self.pass(10).await;
                }
            }
            Step::Reprotect => self.reprotect().await,
        }
    }

    /// The way out of a rollback that was given up half way: neither side can write. The operator decides that the Target wins,
    /// and takes that back.
    pub async fn reclaim(&mut self, plan: &RecoveryPlan) {
        (self.plan, self.group) = (Some(plan.id.clone()), plan.group_id.clone());
        let order = Order {
            end: End::Rollback,
            meddle: None,
        };
        if let Some(session) = self.world.session() {
            // Somebody may have taken the name of the project, which the refusal of a job would tell.
            let mut mapping = plan.mapping.clone();
            mapping.tenant_name.push_str("-2");
            let update = PlanUpdate {
                mapping: Some(mapping),
                source_may_be_down: true,
                ..PlanUpdate::default()
            };
            let made = self.world.limited(300, session.plans().update(&plan.id, update)).await;
            self.refusal("another name", made.err().as_ref());
        }
        self.job(order, false, |group, plan| JobRequest {
            force: Some(right("the Source shall write again")),
            ..JobRequest::failover(group, plan)
        })
        .await;
    }

    /// Every refusal tells what to do.
    pub fn refusal(&self, what: &str, error: Option<&Error>) {
        let Some(e) = error else { return };
        self.world.audit(|a| a.note(|| format!("{what}: {e}")));
        if e.kind() == ns_core::ErrorKind::Refused && e.remedy().is_none() {
            self.world.violation("refusal", format!("{what}: {e} tells no remedy"));
        }
    }

    /// Protects what was confirmed in the other direction. After a forced failover the operator gives the old copies up.
    pub async fn reprotect(&mut self) {
        for _ in 0..5 {
            let offers = self.world.offers().await;
            let Some(offer) = offers.iter().find(|o| !o.home.plan.volumes.is_empty()) else {
                return;
            };
            let forced = self
                .world
                .view(&offer.job_id)
                .is_some_and(|v| v.decisions.iter().any(|d| d.kind == DecisionKind::ForcePromote));
            let request = ReprotectRequest {
                give_up: forced.then(|| right("the other side wins")),
            };
            if let Some(session) = self.world.session() {
                let made = self
                    .world
                    .limited(300, session.failback().reprotect(&offer.job_id, request))
                    .await;
                self.refusal("reprotect", made.err().as_ref());
            }
            self.pass(5).await;
            self.settle(2 * PATIENCE).await;
            let plans = self.world.records::<RecoveryPlan>("plan").await;
            if plans.iter().any(|p| p.home.is_some() && !p.volumes.is_empty()) {
                self.orient().await;
                return;
            }
            self.pass(60).await;
        }
    }

    /// An operator makes a job and brings it to its end. `returns`: the lost side comes back when the job has ended, before it
    /// is decided what becomes of it.
    pub async fn job(&mut self, order: Order, returns: bool, request: impl Fn(GroupId, PlanId) -> JobRequest) {
        let Some(plan) = self.plan.clone() else { return };
        let before: BTreeSet<JobId> = self.world.audit(|a| a.jobs().map(|v| v.id.clone()).collect());
        let clicks = if self.world.clicks_twice() { 2 } else { 1 };
        for _ in 0..clicks {
            let Some(session) = self.world.session() else { continue };
            let request = request(self.group.clone(), plan.clone());
            let made = self.world.limited(900, session.jobs().create(request)).await;
            if let Err(e) = &made {
                self.world.audit(|a| a.note(|| format!("no job: {e:?}")));
                if self.quiet {
                    self.world
                        .violation("I9", format!("nothing went wrong, and there is no job: {e}"));
                }
            }
            self.refusal("job", made.err().as_ref());
        }
        let begun = self.world.now();
        let mut meddle = order.meddle;
        let mut revived = !returns;
        let mut tries = 0;
        'job: loop {
            self.pass(4).await;
            let waited = u64::try_from(self.world.now().duration_since(begun).as_secs()).unwrap_or_default();
            let mut jobs = self.recoveries();
            jobs.retain(|(id, _)| !before.contains(id));
            if jobs.is_empty() {
                break;
            }
            if waited > PATIENCE {
                if self.quiet {
                    let what = format!("{jobs:?} waits for something although nothing went wrong");
                    self.world.violation("I9", what);
                }
                break;
            }
            for (job, state) in jobs {
                match state {
                    JobState::Completed | JobState::ClearFailed => {
                        if order.end == End::Leave {
                            break 'job;
                        }
                        if !revived {
                            self.world.shared.sim.revive(self.here);
                            revived = true;
                            for _ in 0..5 {
                                self.pass(10).await;
                            }
                        }
                        if order.end == End::Timer && state == JobState::Completed {
                            self.pass(600).await;
                            continue;
                        }
                        self.end(&job, order.end, tries).await;
                        tries += 1;
                        if tries > 12 {
                            break 'job;
                        }
                    }
                    JobState::Paused => {
                        self.pass(20).await;
                        self.operate(&job, JobOperation::Run).await;
                    }
                    JobState::Running => {
                        if let Some((after, what)) = meddle
                            && waited >= after
                        {
                            meddle = None;
                            let operation = match what {
                                Meddle::Cancel => JobOperation::Cancel,
                                Meddle::Pause => JobOperation::Pause,
                            };
                            self.operate(&job, operation).await;
                        }
                    }
                    JobState::Pending if waited > 1800 => {
                        let drills = self.recoveries().iter().any(|(id, _)| before.contains(id));
                        let failover = self
                            .world
                            .view(&job)
                            .is_some_and(|v| v.work.recovery().is_some_and(|d| d.job_type == JobType::Failover));
                        if drills && failover && self.world.is_well() {
                            let what = format!("failover {job} waits behind a drill");
                            self.world.violation("I9", what);
                            break 'job;
                        }
                    }
                    _ => {}
                }
            }
        }
        self.orient().await;
    }

    /// Recovery jobs that have not finished.
    #[must_use]
    pub fn recoveries(&self) -> Vec<(JobId, JobState)> {
        let audit = self.world.shared.audit();
        let open = audit
            .jobs()
            .filter(|v| v.work.recovery().is_some() && v.state != JobState::Finished);
        open.map(|v| (v.id.clone(), v.state)).collect()
    }

    /// What an operator does with a job that waits for a decision.
    pub async fn end(&mut self, job: &JobId, wish: End, tries: u32) {
        let Some(view) = self.world.view(job) else { return };
        let failover = view.work.recovery().is_some_and(|d| d.job_type == JobType::Failover);
        let confirmable = failover && matches!(view.result, Some(ResultCode::Success | ResultCode::PartialSuccess));
        let operation = match (view.state, view.clear) {
            (JobState::Completed, _) if wish == End::Confirm && confirmable => JobOperation::Confirm,
            (JobState::Completed, _) => JobOperation::Rollback,
            // Refused when there is no way back any more.
            (_, Some(ClearOperation::Confirm)) if tries % 7 == 6 => JobOperation::CancelConfirm,
            (_, Some(ClearOperation::Confirm)) => JobOperation::RetryConfirm,
            // What its owner destroyed cannot be put back; the report lists what is left.
            _ if tries > 8 && self.world.somebody_destroyed() => JobOperation::IgnoreRollback,
            _ => JobOperation::RetryRollback,
        };
        if tries > 0 {
            self.pass(30).await;
        }
        let clicks = if self.world.clicks_twice() { 2 } else { 1 };
        for _ in 0..clicks {
            self.operate(job, operation).await;
        }
    }

    /// Asks for an operation at whichever engine runs the job.
    pub async fn operate(&mut self, job: &JobId, operation: JobOperation) {
        let request = OperationRequest {
            reason: "the story wants it".to_owned(),
            ..Default::default()
        };
        for session in self.world.sessions() {
            let asked = self
                .world
                .limited(120, session.jobs().operate(job, operation, request.clone()))
                .await;
            self.refusal(operation.as_str(), asked.as_ref().err());
            if asked.is_ok() {
                return;
            }
        }
    }

    /// Whether a fault of a kind struck.
    #[must_use]
    pub fn struck(&self, kind: FaultKind) -> bool {
        self.world.shared.board().struck.contains_key(&kind)
    }
}
