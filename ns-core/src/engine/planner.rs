//! What a trigger does to a job: its transition, the decision that goes with it and the graph that follows, as events that
//! nobody has written yet. The runner writes them and carries them out; a dry run shows them, so that what it tells is what
//! would be done. Facts are read here and in `phases`; nothing outside is changed.

use super::Inner;
use super::other_point::{self, Choice, Chosen};
use super::runner::{noted, pause};
use crate::journal::{DecisionKind, Entry, Event, Frozen, JobView, PhaseKind};
use crate::machine::{self, Facts, TimerKind, Transition, Trigger};
use crate::model::{JobId, JobOperation, JobState, JobType, Work};
use crate::planning::TaskGraph;
#[cfg(feature = "planted")]
use crate::planted;
use crate::ports::with_deadline;
use crate::store::Write;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

/// After how long planning is not tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plans for a job as its journal stands.
#[derive(Debug, Clone)]
pub(crate) struct Planner<'a> {
    pub(crate) inner: Arc<Inner>,
    pub(crate) view: &'a JobView,
    /// Nothing is kept, not even an inventory that was read anew.
    pub(crate) dry_run: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) transition: Transition,
    pub(crate) events: Vec<Event>,
    /// What goes with them, in the same transaction.
    pub(crate) writes: Vec<Write>,
}

impl Planner<'_> {
    pub(super) fn job_type(&self) -> JobType {
        self.view.work.recovery().map_or(JobType::Failover, |d| d.job_type)
    }

    /// What a trigger does. `reason` is kept with decisions.
    pub(crate) async fn turn(
        &self,
        trigger: Trigger,
        facts: &Facts,
        actor: &str,
        reason: String,
        choice: &Choice,
    ) -> Result<Turn> {
        let view = self.view;
        let t = machine::step(view.state, view.operation, &trigger, facts)?;
        let (mut events, mut writes) = (Vec::new(), Vec::new());
        let asked = match trigger {
            Trigger::Operation(operation) => Some(operation),
            _ => None,
        };
        let chosen = self.chosen(asked, choice).await?;
        if t.next == JobState::Clearing
            && t.operation != JobOperation::Confirm
            && let (Some(job), _) = self.inner.fencing(&view.id).await?
        {
            return Err(Error::new(
                ErrorKind::Refused,
                "job.fencing",
                "the source that came back is being made read only",
            )
            .with("job", job)
            .with_remedy("wait until that job has finished, then ask again"));
        }
        let plan = PhaseKind::of(view.state, &t);
        let decision = match (asked, plan) {
            (Some(JobOperation::Confirm | JobOperation::RetryConfirm), _) => Some(DecisionKind::Confirm),
            (Some(JobOperation::IgnoreRollback), _) => Some(DecisionKind::IgnoreLeftovers),
            (_, Some(PhaseKind::Rollback)) if self.job_type() == JobType::Failover => Some(DecisionKind::Rollback),
            _ => None,
        };
        if let Some(kind) = decision {
            let facts = self.decision_facts(kind);
            events.push(self.said(kind, actor, &reason, facts));
        }
        if let Some(chosen) = &chosen {
            events.push(self.said(DecisionKind::OtherPoint, actor, &reason, other_point::facts(chosen)));
            writes.push(chosen.kept.clone());
        }
        events.push(self.transition(&t, actor));
        if let Some(kind) = plan {
            let other = chosen.as_ref().map(|c| c.other.clone());
            let planned = |graph| Event::Planned {
                phase: kind,
                graph,
                other,
            };
            // Planning reads clouds, and one that takes the question and never answers must not hold the job for ever.
            let limit = self.inner.settings().boot_limit;
            let planning = self.plan_patiently(kind, t.operation, asked, &mut events, (choice, chosen.as_ref()));
            match with_deadline(&*self.inner.clock, limit, "planning", planning).await {
                #[cfg(feature = "planted")]
                Ok(mut graph) => {
                    planted::rewrite(view, kind, &mut graph);
                    events.push(planned(graph));
                }
                #[cfg(not(feature = "planted"))]
                Ok(graph) => events.push(planned(graph)),
                // The job still takes its way to a report, which says why nothing was done.
                Err(e) if kind == PhaseKind::Run && !self.dry_run => events.push(noted("job.plan", &e)),
                // A clean-up that cannot be planned is not begun.
                Err(e) => return Err(e),
            }
            if kind == PhaseKind::Confirm {
                writes.extend(self.given_up().await?);
            }
        }
        Ok(Turn {
            transition: t,
            events,
            writes,
        })
    }

    /// What a cloud cannot answer this moment is asked again for a while: a failover is not lost to one overloaded service. A dry
    /// run tells it at once.
    async fn plan_patiently(
        &self,
        kind: PhaseKind,
        operation: JobOperation,
        asked: Option<JobOperation>,
        events: &mut Vec<Event>,
        choice: (&Choice, Option<&Chosen>),
    ) -> Result<TaskGraph> {
        let (known, began) = (events.clone(), self.inner.clock.now());
        let mut failures = 0;
        loop {
            match self.plan(kind, operation, asked, events, choice).await {
                Err(e) if e.kind().is_transient() && !self.dry_run => {
                    let spent = self.inner.clock.now().duration_since(began).unsigned_abs();
                    if spent >= PATIENCE {
                        return Err(e);
                    }
                    tracing::warn!(job = %self.view.id, error = %e, "planning is tried again");
                    events.clone_from(&known);
                    self.inner.clock.sleep(pause(failures)).await;
                    failures += 1;
                }
                result => return result,
            }
        }
    }

    /// What an operator says with an operation.
    fn said(&self, kind: DecisionKind, operator: &str, reason: &str, facts: Vec<String>) -> Event {
        Event::Decided {
            decision: format!("{}-{}", self.view.id, self.view.position + 1),
            kind,
            operator: operator.to_owned(),
            reason: reason.to_owned(),
            facts,
        }
    }

    /// The inputs that the job is done with.
    pub(super) fn frozen(&self) -> Result<&Frozen> {
        self.view.frozen.as_deref().ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                "job.inputs",
                "the job's inputs could not be frozen when it was queued",
            )
            .with_remedy("see the notes of the job, and make a new one")
        })
    }

    pub(super) fn transition(&self, t: &Transition, actor: &str) -> Event {
        let now = self.inner.clock.now();
        let after = |d: Duration| now.saturating_add(d).ok();
        let settings = &self.inner.settings();
        let deadline = match t.timer {
            None => None,
            Some(TimerKind::PlannedTime) => self.view.deadline,
            Some(TimerKind::DrillTooLate) => {
                let planned = self.view.deadline.unwrap_or(now);
                planned.saturating_add(settings.drill_start_window).ok()
            }
            Some(TimerKind::PauseTimeout) => after(settings.pause_limit),
            Some(TimerKind::RollbackWait) => after(settings.rollback_wait),
        };
        Event::Transition {
            from: self.view.state,
            to: t.next,
            operation: t.operation,
            row: t.row.to_owned(),
            result: t.result,
            clear: t.clear,
            deadline,
            actor: actor.to_owned(),
        }
    }
}

/// A job that does not exist: what a new one of this work would look like when its turn to run has come.
///
/// # Errors
/// Those of [`JobView::begin`].
pub(crate) fn hypothetical(inner: &Inner, work: Work, frozen: Frozen) -> Result<JobView> {
    let created = Entry {
        job: JobId::new("dry-run"),
        position: 1,
        at: inner.clock.now(),
        event: Event::Created {
            work,
            actor: String::new(),
            owner_group_id: None,
        },
    };
    let mut view = JobView::begin(&created)?;
    view.state = JobState::Pending;
    view.frozen = Some(Arc::new(frozen));
    Ok(view)
}
