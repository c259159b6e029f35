//! A run: the story of a scenario is told in its world, then everything works again, and it is seen whether all comes to
//! its end: every job in bounded time (I9), nothing left behind (I7), no write lost (data).

use crate::story::{Disaster, End, Meddle, Order, Scenario, Step};
use crate::world::{Outcome, World};
use ns_core::Error;
use ns_core::model::{
    ClearOperation, ClusterId, ForceRight, GroupId, JobId, JobOperation, JobState, PlanId, ResultCode,
};
use ns_core::session::{JobRequest, OperationRequest};
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

/// Runs a scenario to its end.
#[must_use]
pub fn run(scenario: &Scenario) -> Outcome {
    let told = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(tell(scenario))
    }));
    told.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        let mut outcome = Outcome::default();
        outcome.violations.push(crate::audit::Violation {
            invariant: "panic",
            what: text,
        });
        outcome
    })
}

async fn tell(scenario: &Scenario) -> Outcome {
    let mut teller = Teller::begin(scenario).await;
    for (index, step) in scenario.steps.iter().enumerate() {
        teller.world.arm(scenario, index);
        teller.step(*step).await;
        if !teller.world.shared.audit().violations.is_empty() {
            return teller.world.outcome();
        }
    }
    teller.finish().await;
    teller.world.outcome()
}

struct Teller {
    world: World,
    group: GroupId,
    target: ClusterId,
    plan: Option<PlanId>,
    journal_mode: bool,
    /// A failover was confirmed: what is on the Target is meant to be there.
    confirmed: bool,
    /// Leftovers were ignored by decision.
    ignored: bool,
    resumed: u32,
}

/// How long an operator waits for a job before letting things be, in seconds.
const PATIENCE: u64 = 3 * 3600;

impl Teller {
    async fn begin(scenario: &Scenario) -> Self {
        let mut world = World::new(scenario).await;
        let (group, target) = world.register().await.unwrap();
        let mut teller = Self {
            world,
            group,
            target,
            plan: None,
            journal_mode: scenario.journal_mode,
            confirmed: false,
            ignored: false,
            resumed: 0,
        };
        teller.protect().await;
        teller
    }

    /// Protects the group, and waits for its first point.
    async fn protect(&mut self) {
        let (group, target) = (self.group.clone(), self.target.clone());
        let plan = self.world.plan(&group, &target, self.journal_mode).await.unwrap();
        self.plan = Some(plan);
        self.settle(PATIENCE).await;
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
    async fn settle(&mut self, limit: u64) {
        let until = self.world.now() + std::time::Duration::from_secs(limit);
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

    async fn step(&mut self, step: Step) {
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
                    data_point: ns_core::model::DataPoint::LatestSnapshot,
                    ..JobRequest::failover(group, plan)
                };
                self.job(order, false, request).await;
            }
            Step::Forced(disaster, returns, order) => {
                let sim = self.world.shared.sim.clone();
                match disaster {
                    Disaster::Dead => sim.kill("a"),
                    Disaster::Frozen => sim.freeze("a"),
                    Disaster::Isolated => sim.isolate("a"),
                }
                let request = |group, plan| JobRequest {
                    force: Some(ForceRight {
                        operator: "anna".to_owned(),
                        reason: "the site is lost".to_owned(),
                        accepts_data_loss: true,
                    }),
                    ..JobRequest::failover(group, plan)
                };
                self.job(order, returns, request).await;
                sim.revive("a");
                for _ in 0..8 {
                    self.pass(10).await;
                }
            }
        }
    }

    /// Every refusal tells what to do.
    fn refusal(&self, what: &str, error: Option<&Error>) {
        if let Some(e) = error
            && e.kind() == ns_core::ErrorKind::Refused
            && e.remedy().is_none()
        {
            self.world.violation("refusal", format!("{what}: {e} tells no remedy"));
        }
    }

    /// An operator makes a job and brings it to its end. `returns`: the Source comes back when the job has ended, before it
    /// is decided what becomes of it.
    async fn job(&mut self, order: Order, returns: bool, request: impl Fn(GroupId, PlanId) -> JobRequest) {
        let Some(plan) = self.plan.clone() else { return };
        let clicks = if self.world.clicks_twice() { 2 } else { 1 };
        for _ in 0..clicks {
            let Some(session) = self.world.session() else { continue };
            let request = request(self.group.clone(), plan.clone());
            let made = self.world.limited(900, session.jobs().create(request)).await;
            self.refusal("job", made.err().as_ref());
        }
        let begun = self.world.now();
        let mut meddle = order.meddle;
        let mut revived = !returns;
        let mut tries = 0;
        loop {
            self.pass(4).await;
            let waited = u64::try_from(self.world.now().duration_since(begun).as_secs()).unwrap_or_default();
            let jobs: Vec<_> = self.recoveries();
            let Some((job, state)) = jobs.first().cloned() else {
                return;
            };
            if waited > PATIENCE {
                return;
            }
            match state {
                JobState::Completed | JobState::ClearFailed => {
                    if !revived {
                        self.world.shared.sim.revive("a");
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
                        return;
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
                _ => {}
            }
        }
    }

    /// Recovery jobs that have not finished.
    fn recoveries(&self) -> Vec<(JobId, JobState)> {
        let audit = self.world.shared.audit();
        let open = audit
            .jobs()
            .filter(|v| v.work.recovery().is_some() && v.state != JobState::Finished);
        open.map(|v| (v.id.clone(), v.state)).collect()
    }

    /// What an operator does with a job that waits for a decision.
    async fn end(&mut self, job: &JobId, wish: End, tries: u32) {
        let Some(view) = self.world.view(job) else { return };
        let failover = view
            .work
            .recovery()
            .is_some_and(|d| d.job_type == ns_core::model::JobType::Failover);
        let confirmable = failover && matches!(view.result, Some(ResultCode::Success | ResultCode::PartialSuccess));
        let operation = match (view.state, view.clear) {
            (JobState::Completed, _) if wish == End::Confirm && confirmable => JobOperation::Confirm,
            (JobState::Completed, _) => JobOperation::Rollback,
            (_, Some(ClearOperation::Confirm)) if tries < 6 => JobOperation::RetryConfirm,
            (_, Some(ClearOperation::Confirm)) => JobOperation::CancelConfirm,
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
    async fn operate(&mut self, job: &JobId, operation: JobOperation) {
        let request = OperationRequest {
            reason: "the story wants it".to_owned(),
            instances: BTreeSet::new(),
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

    /// Everything works again, and everything comes to its end.
    async fn finish(&mut self) {
        self.world.heal().await;
        for round in 0..30 {
            self.settle(24 * 3600).await;
            let open = self.recoveries();
            if open.is_empty() {
                break;
            }
            for (job, state) in open {
                if state == JobState::Paused {
                    self.operate(&job, JobOperation::Run).await;
                } else {
                    self.end(&job, End::Rollback, round).await;
                }
            }
            self.pass(60).await;
        }
        self.settle(24 * 3600).await;
        let mut stuck = Vec::new();
        for job in self.world.unfinished() {
            let Some(view) = self.world.view(&job) else { continue };
            let failed = view
                .tasks
                .iter()
                .filter_map(|(k, t)| Some(format!("{k}: {}", t.error.as_ref()?.message)));
            stuck.push(format!(
                "{job} in {} {:?}",
                view.state,
                failed.take(3).collect::<Vec<_>>()
            ));
        }
        for what in stuck {
            self.world.violation("I9", what);
        }
        self.confirmed = self.world.shared.audit().jobs().any(|v| {
            v.work.recovery().is_some() && matches!(v.operation, JobOperation::Confirm | JobOperation::RetryConfirm)
        });
        self.world.pass(60).await;
        self.world.audit(crate::audit::Audit::look);
        self.world.audit(crate::audit::Audit::data);
        if !self.confirmed {
            self.unprotect().await;
        }
    }

    /// Ends the protection: both sites are as they were before it.
    async fn unprotect(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        for _ in 0..3 {
            let Some(session) = self.world.session() else { return };
            let made = self.world.limited(300, session.plans().delete(&plan)).await;
            self.refusal("unprotect", made.as_ref().err());
            self.settle(3600).await;
            if made.is_ok() {
                break;
            }
        }
        self.world.pass(60).await;
        let changes = self.world.changes();
        if !changes.is_empty() && !self.ignored {
            self.world.violation("leak", changes.join("; "));
        }
        let running = self.world.shared.sim.running("a");
        for server in &self.world.sample.servers {
            if !running.contains(&server.id) {
                self.world
                    .violation("I9", format!("server {} does not run again on the Source", server.id));
            }
        }
    }
}
