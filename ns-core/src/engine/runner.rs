//! One job from where it is to its end: a loop around the pure rooms.
//!
//! Every turn does all that is due ([`Runner::advance`]: transitions, plans, new tasks) and then waits for the next thing
//! to happen: a task ends, a timer runs out, somebody commands, the group becomes free, the engine shuts down. Only this
//! loop writes to the job's journal.

use super::effect::{self, Attempt, Progress};
use super::journal_writer::JournalWriter;
use super::lease::{self, JobLease};
use super::other_point::Choice;
use super::planner::Planner;
use super::records::kinds;
use super::remote::Order;
use super::{Inner, measure, outcome, remote};
use crate::journal::{Due, Event, TaskOutput, TaskResult, TaskStatus};
use crate::machine::{self, Facts, Removal, TimerKind, Trigger};
use crate::model::{JobDefinition, JobId, JobOperation, JobState, JobSummary, JobType, TaskKey, Work};
use crate::planning::{Action, Side};
use crate::planted::{self, Bug};
use crate::ports::with_deadline;
use crate::provider::Decision;
use crate::store::Write;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tracing::Instrument;

/// What a caller may ask of a running job.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) ask: Ask,
    pub(crate) actor: String,
    pub(crate) reply: oneshot::Sender<Result<JobSummary>>,
    /// Set when it was given at another engine, which waits for an answer in the store.
    pub(crate) order: Option<Order>,
}

/// See [`Command`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// An operation of the state machine. `reason` is kept with decisions.
    Operate {
        operation: JobOperation,
        reason: String,
        #[serde(flatten)]
        choice: Choice,
    },
    /// Move the rollback timer by minutes.
    Extend { minutes: u32 },
    /// Move the planned time.
    Reschedule { at: Timestamp },
    /// Delete the job.
    Delete { leave_resources: bool },
    /// Make the source read only that came back; from the watch.
    Fence,
}

/// How often what goes with a transition may change under it.
const TRIES: usize = 10;

/// A wait that only an event ends.
const LONG: Duration = Duration::from_secs(3600);

/// A task that ended, or was aborted, or broke.
type Ended = std::result::Result<(tokio::task::Id, Result<TaskOutput>), JoinError>;

/// A task under way.
struct Running {
    attempt: u32,
    handle: AbortHandle,
    only_waits: bool,
    /// When it began here.
    begun: Timestamp,
}

pub(crate) struct Runner {
    pub(super) inner: Arc<Inner>,
    pub(super) journal: JournalWriter,
    commands: mpsc::Receiver<Command>,
    stop: watch::Receiver<bool>,
    tasks: JoinSet<Result<TaskOutput>>,
    running: BTreeMap<TaskKey, Running>,
    progress: (mpsc::UnboundedSender<Progress>, mpsc::UnboundedReceiver<Progress>),
    lease: JobLease,
    deleted: bool,
    /// Drills that were asked to make way, in which state; until when another engine may obey.
    preempted: BTreeMap<(JobId, JobState), Timestamp>,
}

impl Runner {
    pub(super) fn new(
        inner: Arc<Inner>,
        journal: JournalWriter,
        lease: JobLease,
        commands: mpsc::Receiver<Command>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            inner,
            journal,
            commands,
            stop,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            progress: mpsc::unbounded_channel(),
            lease,
            deleted: false,
            preempted: BTreeMap::new(),
        }
    }

    pub(super) fn planner(&self) -> Planner<'_> {
        Planner {
            inner: self.inner.clone(),
            view: &self.journal.view,
            dry_run: false,
        }
    }

    fn job_type(&self) -> JobType {
        self.planner().job_type()
    }

    /// Runs until the job has finished, the engine shuts down, or another engine has the job (`store.lease`).
    pub(super) async fn run(mut self) -> Result<()> {
        let result = self.drive().await;
        // Before anybody else may have the job: nothing of it goes on here.
        self.tasks.shutdown().await;
        match result {
            Err(e) if e.code() == "store.lease" => Err(e),
            result => {
                let given_back = self.lease.give_back().await;
                result.and(given_back)
            }
        }
    }

    async fn drive(&mut self) -> Result<()> {
        if self.is_held() {
            let job = &self.journal.view.id;
            tracing::warn!(%job, "no engine ran when the failover was due: it is held until somebody plans it anew or deletes it");
        }
        loop {
            if *self.stop.borrow() || self.deleted {
                return Ok(());
            }
            self.lease.check()?;
            while self.advance().await? {}
            if self.journal.view.state == JobState::Finished {
                return Ok(());
            }
            self.next_event().await?;
        }
    }

    async fn next_event(&mut self) -> Result<()> {
        let now = self.inner.clock.now();
        let pending = self.journal.view.state == JobState::Pending;
        // Another engine may free the group, which nobody tells here.
        let look = if pending { self.inner.settings().lease / 3 } else { LONG };
        let mut wake = now.saturating_add(look).unwrap_or(now);
        wake = wake.min(
            self.journal
                .view
                .deadline
                .filter(|_| self.timer().is_some())
                .unwrap_or(wake),
        );
        // A task that is due already and was not begun waits for something else (a place, a pause to end): for that, the
        // loop is woken anyway.
        for state in self.journal.view.tasks.values() {
            if let (TaskStatus::Pending, Some(at)) = (state.status, state.not_before)
                && at > now
            {
                wake = wake.min(at);
            }
        }
        let nap = Duration::try_from(wake.duration_since(now)).unwrap_or(Duration::ZERO);
        let clock = self.inner.clock.clone();
        let inner = self.inner.clone();
        tokio::select! {
            biased;
            _ = self.stop.changed() => Ok(()),
            () = self.lease.lost() => Ok(()),
            Some(ended) = self.tasks.join_next_with_id() => self.end(ended).await,
            Some(command) = self.commands.recv() => self.obey(command).await,
            Some(progress) = self.progress.1.recv() => {
                let (task, percent, message) = progress;
                self.journal.append(vec![Event::Progress { task, percent, message }], vec![]).await
            }
            () = inner.group_freed.notified(), if pending => Ok(()),
            () = clock.sleep(nap) => Ok(()),
        }
    }

    /// The timer that the deadline of this state stands for.
    fn timer(&self) -> Option<TimerKind> {
        match self.journal.view.state {
            JobState::Waiting if self.is_held() => None,
            JobState::Waiting => Some(TimerKind::PlannedTime),
            JobState::Pending if self.job_type() == JobType::Drill => Some(TimerKind::DrillTooLate),
            JobState::Paused => Some(TimerKind::PauseTimeout),
            JobState::Completed | JobState::ClearFailed
                if self.job_type() == JobType::Drill && !planted::is(Bug::DrillForever) =>
            {
                Some(TimerKind::RollbackWait)
            }
            _ => None,
        }
    }

    /// Whether this is a failover that should have begun while no engine ran, so long ago that somebody has to say whether it is
    /// still wanted (OPEN-10).
    fn is_held(&self) -> bool {
        let view = &self.journal.view;
        let latest = |planned: Timestamp| planned.saturating_add(self.inner.settings().failover_start_window).ok();
        view.state == JobState::Waiting
            && self.job_type() == JobType::Failover
            && (view.deadline.and_then(latest)).is_some_and(|latest| latest < self.inner.clock.now())
    }

    fn is_due(&self) -> bool {
        self.journal.view.deadline.is_none_or(|d| d <= self.inner.clock.now())
    }

    /// Does the next thing that is due; whether there was one.
    async fn advance(&mut self) -> Result<bool> {
        let view = &self.journal.view;
        if view.state == JobState::Completed && !matches!(view.work, Work::Recovery(_)) {
            return self.close().await.map(|()| true);
        }
        if let Some(timer) = self.timer()
            && view.deadline.is_some()
            && self.is_due()
        {
            if timer == TimerKind::PlannedTime {
                return self.queue().await.map(|()| true);
            }
            return self
                .take(Trigger::Timer(timer), "engine", String::new(), &Choice::default())
                .await
                .map(|()| true);
        }
        match view.state {
            JobState::Waiting if view.deadline.is_none() => self.queue().await.map(|()| true),
            JobState::Pending => {
                let facts = self.facts().await?;
                if facts.group_is_free && facts.first_in_group {
                    if !self.has_place().await? {
                        return Ok(false);
                    }
                    self.take(
                        Trigger::Operation(JobOperation::Run),
                        "engine",
                        String::new(),
                        &Choice::default(),
                    )
                    .await?;
                    return Ok(true);
                }
                if !facts.group_is_free && facts.job_type == JobType::Failover && !planted::is(Bug::NoPreempt) {
                    return self.preempt().await;
                }
                Ok(false)
            }
            JobState::Running | JobState::Canceling | JobState::Clearing => {
                if let Some(trigger) = view.phase_end(!self.running.is_empty()) {
                    super::touched::relearn_touched(&self.inner, view).await;
                    self.take(trigger, "engine", String::new(), &Choice::default()).await?;
                    return Ok(true);
                }
                self.start_tasks().await
            }
            JobState::Reporting => self.report().await.map(|()| true),
            _ => Ok(false),
        }
    }

    /// Waiting to pending: the inputs are frozen now (JOB-50, JOB-51).
    async fn queue(&mut self) -> Result<()> {
        loop {
            match self.try_queue().await {
                // The chosen point expired meanwhile.
                Err(e) if e.code() == "store.version" => {}
                result => return result,
            }
        }
    }

    async fn try_queue(&mut self) -> Result<()> {
        let (mut events, mut writes) = (Vec::new(), Vec::new());
        if self.journal.view.frozen.is_none() {
            match super::freeze(&self.inner, &self.journal.view.work).await {
                Ok((frozen, point)) => {
                    events.push(Event::Frozen {
                        inputs: Box::new(frozen),
                    });
                    writes.extend(point);
                }
                // The job still takes its way to a report, which says why nothing was done.
                Err(e) => events.push(noted("job.inputs", &e)),
            }
        }
        let view = &self.journal.view;
        let trigger = Trigger::Timer(TimerKind::PlannedTime);
        let transition = machine::step(view.state, view.operation, &trigger, &view.facts())?;
        events.push(self.planner().transition(&transition, "engine"));
        self.journal.append(events, writes).await
    }

    async fn facts(&self) -> Result<Facts> {
        let view = &self.journal.view;
        let (mut group_is_free, mut first_in_group) = (true, true);
        if view.state == JobState::Pending && matches!(view.work, Work::Recovery(_)) {
            let others = self.others().await?;
            group_is_free = !others
                .iter()
                .any(|j| machine::holds_group(j.state) || takes_plan_along(j));
            // SM-69; but a failover does not wait behind drills.
            let rank = |work: &Work| work.recovery().is_none_or(|d| d.job_type == JobType::Drill);
            let place = (rank(&view.work), view.created_at, &view.id);
            first_in_group = !others
                .iter()
                .any(|j| j.state == JobState::Pending && (rank(&j.work), j.created_at, &j.id) < place);
        }
        if planted::is(Bug::TwoJobsAtOnce) {
            (group_is_free, first_in_group) = (true, true);
        }
        Ok(Facts {
            group_is_free,
            first_in_group,
            ..view.facts()
        })
    }

    /// The other recovery jobs of the group.
    async fn others(&self) -> Result<Vec<JobSummary>> {
        let view = &self.journal.view;
        let other = |j: &JobSummary| {
            j.id != view.id && j.work.group_id() == view.work.group_id() && j.work.recovery().is_some()
        };
        self.inner.records().all::<JobSummary>(kinds::JOB, other).await
    }

    /// Whether fewer groups are worked on than may be at once (OPEN-20). One that waits for its operator does not count, and a
    /// failover does not wait for drills.
    async fn has_place(&self) -> Result<bool> {
        let drill = self.job_type() == JobType::Drill;
        let busy = |j: &JobSummary| {
            let works = matches!(j.state, JobState::Running | JobState::Canceling | JobState::Clearing);
            let counts = |d: &JobDefinition| drill || d.job_type == JobType::Failover;
            works && j.id != self.journal.view.id && j.work.recovery().is_some_and(counts)
        };
        let busy = self.inner.records().all::<JobSummary>(kinds::JOB, busy).await?;
        Ok(busy.len() < self.inner.settings().groups_at_once)
    }

    /// A failover does not wait for a drill of its group to be decided about: the drill is asked to clean up, and what it
    /// cannot clean is set aside, in its report. Whether anything was noted.
    async fn preempt(&mut self) -> Result<bool> {
        let (mut noted, mut orders) = (Vec::new(), Vec::new());
        let now = self.inner.clock.now();
        for drill in self
            .others()
            .await?
            .into_iter()
            .filter(|j| machine::holds_group(j.state))
        {
            let is_drill = drill.work.recovery().is_some_and(|d| d.job_type == JobType::Drill);
            let operation = match drill.state {
                JobState::Running | JobState::Paused => JobOperation::Cancel,
                JobState::Completed => JobOperation::Rollback,
                JobState::ClearFailed => JobOperation::IgnoreRollback,
                // It is on its way.
                _ => continue,
            };
            let asked = (drill.id.clone(), drill.state);
            if !is_drill || self.preempted.get(&asked).is_some_and(|until| now < *until) {
                continue;
            }
            let ask = Ask::Operate {
                operation,
                reason: format!("failover {} of the same group", self.journal.view.id),
                choice: Choice::default(),
            };
            let actor = "engine".to_owned();
            // Whether it was done shows in the drill's state, which is looked at again.
            let until = if let Some(commands) = self.inner.commands(&drill.id) {
                let command = Command {
                    ask,
                    actor,
                    reply: oneshot::channel().0,
                    order: None,
                };
                if commands.try_send(command).is_err() {
                    continue;
                }
                Timestamp::MAX
            } else {
                let (until, order) = remote::without_waiting(&self.inner, &drill.id, ask, &actor)?;
                orders.push(order);
                until
            };
            self.preempted.insert(asked, until);
            noted.push(Event::Noted {
                code: "job.preempts".to_owned(),
                message: format!("drill {} holds the group: {operation}", drill.id),
            });
        }
        let any = !noted.is_empty();
        self.journal.append(noted, orders).await?;
        Ok(any)
    }

    /// Takes the transition of a trigger, with the plan that belongs to the state it leads to.
    async fn take(&mut self, trigger: Trigger, actor: &str, reason: String, choice: &Choice) -> Result<()> {
        let mut tries = 0;
        let t = loop {
            let facts = self.facts().await?;
            let turn = self
                .planner()
                .turn(trigger, &facts, actor, reason.clone(), choice)
                .await?;
            let points = !turn.writes.is_empty();
            match self.journal.append(turn.events, turn.writes).await {
                // A point that goes changed meanwhile.
                Err(e) if e.code() == "store.version" && points && tries < TRIES => tries += 1,
                result => break result.map(|()| turn.transition)?,
            }
        };
        if t.next == JobState::Canceling {
            for running in self.running.values().filter(|r| r.only_waits) {
                running.handle.abort();
            }
        }
        if t.next == JobState::Completed {
            measure::job(&self.journal.view, self.inner.clock.now());
        }
        if !machine::holds_group(t.next) {
            self.inner.group_freed.notify_waiters();
        }
        Ok(())
    }

    /// Starts what is ready; whether anything happened. Intents become durable before anything is done.
    async fn start_tasks(&mut self) -> Result<bool> {
        let view = &self.journal.view;
        let running = self.running.keys().collect();
        let Due { ended, ready } = view.due(&running, self.inner.settings().parallel, self.inner.clock.now());
        if !ended.is_empty() {
            self.journal.append(ended, vec![]).await?;
            return Ok(true);
        }
        if ready.is_empty() {
            return Ok(false);
        }
        let attempts: Vec<(TaskKey, u32)> = ready
            .iter()
            .map(|t| (t.key.clone(), view.tasks.get(&t.key).map_or(0, |s| s.attempts) + 1))
            .map(|(k, n)| (k, if planted::is(Bug::AttemptsReset) { 1 } else { n }))
            .collect();
        let intents = attempts
            .iter()
            .map(|(task, attempt)| Event::Intent {
                task: task.clone(),
                attempt: *attempt,
            })
            .collect();
        if planted::is(Bug::EffectBeforeIntent) {
            for (key, attempt) in &attempts {
                self.spawn(key.clone(), *attempt);
            }
            self.inner.clock.sleep(Duration::from_secs(1)).await;
            return self.journal.append(intents, vec![]).await.map(|()| true);
        }
        self.journal.append(intents, vec![]).await?;
        for (key, attempt) in attempts {
            self.spawn(key, attempt);
        }
        Ok(true)
    }

    fn spawn(&mut self, key: TaskKey, number: u32) {
        let view = &self.journal.view;
        let Some(task) = view.phase().and_then(|p| p.graph.tasks.get(&key)) else {
            return;
        };
        let frozen = view.frozen.as_deref();
        let not_frozen = || Error::new(ErrorKind::Internal, "job.inputs", "the job has no frozen inputs");
        let providers = |side: Side| {
            let frozen = frozen.ok_or_else(not_frozen)?;
            self.inner.providers(match side {
                Side::Source => &frozen.group.source_cluster,
                Side::Target => &frozen.plan.target_cluster,
            })
        };
        let replication_id = match &task.action {
            Action::AwaitReplica { source } => view.output(source).and_then(|o| o.replication_id.clone()),
            _ => None,
        };
        let wanted = match &task.action {
            Action::ForcePromote { decision, .. }
            | Action::Resync { decision, .. }
            | Action::Fence { decision, .. } => Some(decision),
            Action::Rejoin { decision, .. } => decision.as_ref(),
            _ => None,
        };
        let decision = view.decisions.iter().find(|d| Some(&d.id) == wanted).map(|d| Decision {
            id: d.id.clone(),
            operator: d.operator.clone(),
            reason: d.reason.clone(),
        });
        let only_waits = task.action.only_waits();
        let resolved = view.resolve(&task.action);
        let attempt = resolved.map(|action| Attempt {
            inner: self.inner.clone(),
            job: view.id.clone(),
            task: key.clone(),
            token: task.token(&view.id),
            action,
            source: providers(Side::Source),
            target: providers(Side::Target),
            replication_id,
            decision,
            progress: self.progress.0.clone(),
        });
        let clock = self.inner.clock.clone();
        let lease = self.lease.until();
        let work = async move {
            let attempt = attempt?;
            let limit = effect::limit(&attempt.inner, &attempt.action);
            let work = with_deadline(&*clock, limit, attempt.task.as_str(), attempt.run());
            lease::held(lease, &*clock, work).await
        };
        let span = tracing::info_span!("task", job = %view.id, task = %key, attempt = number);
        let handle = self.tasks.spawn_on(work.instrument(span), &self.inner.runtime);
        self.running.insert(
            key,
            Running {
                attempt: number,
                handle,
                only_waits,
                begun: self.inner.clock.now(),
            },
        );
    }

    /// Writes what became of an attempt, and of all others that have ended by now.
    async fn end(&mut self, first: Ended) -> Result<()> {
        let mut ended = vec![first];
        while let Some(more) = self.tasks.try_join_next_with_id() {
            ended.push(more);
        }
        let mut events = Vec::new();
        let mut writes: Vec<Write> = Vec::new();
        while let Ok((task, percent, message)) = self.progress.1.try_recv() {
            events.push(Event::Progress { task, percent, message });
        }
        for ended in ended {
            let (id, result) = match ended {
                Ok(ended) => ended,
                Err(e) if e.is_cancelled() => {
                    let why = "the wait was given up because the job was cancelled";
                    (e.id(), Err(Error::new(ErrorKind::Canceled, "job.canceled", why)))
                }
                Err(e) => (
                    e.id(),
                    Err(Error::new(ErrorKind::Internal, "effect.panic", e.to_string())),
                ),
            };
            let found = self
                .running
                .iter()
                .find(|(_, r)| r.handle.id() == id)
                .map(|(key, _)| key.clone());
            let Some((task, Running { attempt, begun, .. })) = found.and_then(|key| self.running.remove_entry(&key))
            else {
                continue;
            };
            let took = self.inner.clock.now().duration_since(begun);
            measure::task(&task, result.as_ref().err(), took);
            let result = self.judge(&task, result);
            if let TaskResult::Done { output } = &result {
                writes.extend(outcome::writes(&self.inner, &self.journal.view, &task, output).await?);
            }
            events.push(Event::Outcome { task, attempt, result });
        }
        self.journal.append(events, writes).await
    }

    fn judge(&self, key: &TaskKey, result: Result<TaskOutput>) -> TaskResult {
        let error = match result {
            Ok(output) => return TaskResult::Done { output },
            Err(error) => error,
        };
        let view = &self.journal.view;
        let failures = view.tasks.get(key).map_or(0, |t| t.failures);
        let action = view.phase().and_then(|p| p.graph.tasks.get(key)).map(|t| &t.action);
        let delay = pause(failures);
        let spent: Duration = (0..failures).map(pause).sum();
        let again = action.is_some_and(|a| effect::may_pass(a, error.kind(), failures))
            && spent + delay <= self.inner.settings().retry_limit
            && view.state != JobState::Canceling;
        tracing::warn!(job = %view.id, task = %key, %error, again, "an attempt failed");
        let error = error.to_record();
        if again {
            TaskResult::Retry {
                error,
                delay_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            }
        } else {
            TaskResult::Failed { error }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        let Command {
            ask,
            actor,
            reply,
            order,
        } = command;
        // The answer to another engine is a part of what it answers: obeyed once, whoever dies when.
        self.journal
            .send_along(order.as_ref().map(|o| o.answer(None)).transpose()?);
        let mut result = self.try_obey(ask, &actor).await;
        if let (Some(_), Some(order)) = (self.journal.take_along(), order) {
            let answer = order.answer(result.as_ref().err())?;
            match self.journal.append(vec![], vec![answer]).await {
                // Withdrawn meanwhile: whoever asked waits no more, and nothing was done.
                Err(e) if e.code() == "store.version" => result = Ok(()),
                answered => answered?,
            }
        }
        let answer = match &result {
            Ok(()) => Ok(self.journal.view.summary()),
            Err(e) => Err(e.to_record().into()),
        };
        // The caller may have stopped waiting; the command took effect all the same.
        let _ = reply.send(answer);
        match result {
            // A refusal is an answer, not a fault of the job.
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Corrupt) => Err(e),
            _ => Ok(()),
        }
    }

    async fn try_obey(&mut self, ask: Ask, actor: &str) -> Result<()> {
        let refused = |what: &str, state: JobState| {
            Error::new(
                ErrorKind::Refused,
                "job.operation",
                format!("{what} is not allowed in {state}"),
            )
            .with_field("operation")
            .with("operation", what)
            .with("state", state)
            .with_remedy("see in which states it is allowed, and wait for one of them")
        };
        let state = self.journal.view.state;
        match ask {
            Ask::Operate {
                operation: JobOperation::Run,
                ..
            } if state == JobState::Pending => {
                Err(refused("run", state).with_remedy("a queued job runs by itself as soon as its group is free"))
            }
            Ask::Operate {
                operation,
                reason,
                choice,
            } => self.take(Trigger::Operation(operation), actor, reason, &choice).await,
            Ask::Extend { minutes } => {
                if !machine::EXTENSION_MINUTES.contains(&minutes) {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "job.extension",
                        "the extension is 1 minute to 7 days",
                    )
                    .with_field("minutes")
                    .with("value", minutes)
                    .with_remedy("give 1 to 10080"));
                }
                machine::may_extend(state, self.job_type()).ok_or_else(|| refused("extend", state))?;
                let from = self.journal.view.deadline.unwrap_or_else(|| self.inner.clock.now());
                let deadline = from
                    .saturating_add(Duration::from_secs(u64::from(minutes) * 60))
                    .unwrap_or(from);
                let event = Event::DeadlineMoved {
                    deadline,
                    actor: actor.to_owned(),
                };
                self.journal.append(vec![event], vec![]).await
            }
            Ask::Reschedule { at } => {
                let execution = self.journal.view.work.recovery().map(|d| d.execution.clone());
                execution
                    .and_then(|e| machine::may_update(state, &e))
                    .ok_or_else(|| refused("update", state))?;
                let event = Event::DeadlineMoved {
                    deadline: at,
                    actor: actor.to_owned(),
                };
                self.journal.append(vec![event], vec![]).await
            }
            // A source that is about to write again is left alone.
            Ask::Fence => match state {
                JobState::Running | JobState::Paused | JobState::Completed => {
                    self.inner.fence(&self.journal.view.summary()).await
                }
                _ => Ok(()),
            },
            Ask::Delete { leave_resources } => {
                machine::may_delete(state, leave_resources).ok_or_else(|| {
                    refused("delete", state).with_remedy("roll the job back first, or say that its resources stay")
                })?;
                let remove = super::records::remove(kinds::JOB, self.journal.view.id.as_str());
                let event = Event::Noted {
                    code: "job.deleted".to_owned(),
                    message: format!("deleted by {actor}"),
                };
                self.journal.append(vec![event], vec![]).await?;
                self.journal.append(vec![], vec![remove]).await?;
                self.deleted = true;
                Ok(())
            }
        }
    }
}

pub(super) fn noted(code: &str, error: &Error) -> Event {
    Event::Noted {
        code: code.to_owned(),
        message: error.to_string(),
    }
}

/// Whether a job is about to change the group and its plan: a confirm does, with its report.
fn takes_plan_along(job: &JobSummary) -> bool {
    let job_type = job.work.recovery().map(|d| d.job_type);
    job.state == JobState::Reporting
        && job_type.is_some_and(|of| machine::removal(of, job.operation, job.result) == Removal::JobPlanAndGroup)
}

/// Before the next try, after so many that failed before this one.
pub(super) fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(5)).min(Duration::from_secs(30))
}
