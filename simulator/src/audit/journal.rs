//! What a journal may say: chain, order, progress (I5, I6, I12), and which graphs may be planned (I3, I7, I8).

use super::{Audit, Journal};
use ns_core::journal::{Chain, DecisionKind, Entry, Event, JobView, TaskResult, TaskStatus};
use ns_core::machine::holds_group;
use ns_core::model::{JobId, JobState, JobType, ResultCode};
use ns_core::planning::{Action, Side, Task};
use ns_core::provider::Spec;
use ns_core::store::JournalLine;

impl Audit {
    /// Lines of a journal are durable: chain (I12), order (I5), progress (I6), and what graphs may hold (I7, I8).
    pub fn appended(&mut self, job: &JobId, lines: &[JournalLine]) {
        let mut found = Vec::new();
        for line in lines {
            let journal = self.journals.remove(job);
            let mut chain = journal
                .as_ref()
                .map_or_else(|| Chain::new(job.clone()), |j| j.chain.clone());
            let entry = match chain.open(line) {
                Ok(entry) => entry,
                Err(e) => {
                    found.push(("I12", format!("line {} of {job} does not verify: {e}", line.position)));
                    continue;
                }
            };
            let view = match journal {
                None => match JobView::begin(&entry) {
                    Ok(view) => view,
                    Err(e) => {
                        found.push(("I12", format!("{job} begins badly: {e}")));
                        continue;
                    }
                },
                Some(Journal { mut view, .. }) => {
                    self.judge(&view, &entry, &mut found);
                    if self.trace {
                        self.tell(&entry);
                    }
                    if let Event::Outcome {
                        task,
                        result: TaskResult::Retry { .. } | TaskResult::Failed { .. },
                        ..
                    } = &entry.event
                    {
                        self.failed.insert((job.clone(), task.clone()));
                    }
                    view.apply(&entry);
                    view
                }
            };
            self.journals.insert(job.clone(), Journal { chain, view });
            if let Event::Transition {
                to: JobState::Finished, ..
            } = &entry.event
            {
                self.finished(job, &mut found);
            }
        }
        for (invariant, what) in found {
            self.violation(invariant, what);
        }
    }

    fn judge(&self, view: &JobView, entry: &Entry, found: &mut Vec<(&'static str, String)>) {
        let job = &view.id;
        let mut wrong = |invariant, what: String| found.push((invariant, format!("{job}: {what}")));
        if entry.at < view.changed_at {
            wrong("I6", format!("entry {} is older than the one before", entry.position));
        }
        if view.state == JobState::Finished && !matches!(entry.event, Event::Noted { .. }) {
            wrong("I6", format!("{:?} after the end", entry.event));
        }
        match &entry.event {
            Event::Transition { from, .. } if *from != view.state => {
                wrong("I6", format!("goes on from {from}, but is {}", view.state));
            }
            Event::Intent { task, attempt } => {
                let before = view.tasks.get(task);
                if *attempt != before.map_or(0, |t| t.attempts) + 1 && !self.continued(view, task, *attempt) {
                    wrong(
                        "I6",
                        format!("attempt {attempt} of {task} follows {:?}", before.map(|t| t.attempts)),
                    );
                }
                if before.is_some_and(|t| t.status.has_ended()) {
                    wrong("I6", format!("{task} is begun although it has ended"));
                }
                let planned = view.phase().and_then(|p| p.graph.tasks.get(task));
                match planned {
                    None => wrong("I5", format!("{task} is in no graph")),
                    Some(t) => {
                        if let Some(k) = t.after.iter().find(|k| view.status(k) != TaskStatus::Done) {
                            wrong("I5", format!("{task} is begun before {k} is done"));
                        }
                    }
                }
            }
            Event::Outcome { task, attempt, result } => {
                let before = view.tasks.get(task);
                if before.is_none_or(|t| t.status != TaskStatus::Running || t.attempts != *attempt) {
                    wrong("I5", format!("an outcome of {task}/{attempt} without its intent"));
                }
                if let TaskResult::Failed { error } | TaskResult::Retry { error, .. } = result
                    && error.kind == ns_core::ErrorKind::Internal
                    && error.code != "sim.injected"
                {
                    wrong("engine", format!("{task}: {} {}", error.code, error.message));
                }
            }
            Event::Planned { graph, .. } => {
                if let Some(k) = graph.tasks.keys().find(|k| view.status(k) == TaskStatus::Done) {
                    wrong("I6", format!("{k} is done and planned again"));
                }
                self.judge_graph(view, graph.tasks.values(), &mut wrong);
            }
            Event::Decided { operator, .. } if operator.is_empty() => wrong("I3", "a decision of nobody".to_owned()),
            Event::Decided {
                kind: DecisionKind::ForcePromote,
                operator,
                ..
            } => {
                let right = view.work.recovery().and_then(|d| d.force.as_ref());
                if right.is_none_or(|r| r.operator != *operator || !r.accepts_data_loss) {
                    wrong(
                        "I3",
                        format!("force is decided by {operator}, who was given no right to it"),
                    );
                }
            }
            _ => {}
        }
        if let Event::Transition { from, to, result, .. } = &entry.event {
            self.judge_transition(view, (*from, *to), *result, &mut wrong);
        }
    }

    /// One recovery job of a group at a time (I11); success means that everything was done, with the right data.
    fn judge_transition(
        &self,
        view: &JobView,
        (from, to): (JobState, JobState),
        result: Option<ResultCode>,
        wrong: &mut impl FnMut(&'static str, String),
    ) {
        let recovery = view.work.recovery().is_some();
        if recovery && holds_group(to) && !holds_group(from) {
            let other = self.jobs().find(|v| {
                v.id != view.id
                    && v.work.recovery().is_some()
                    && v.work.group_id() == view.work.group_id()
                    && holds_group(v.state)
            });
            if let Some(other) = other {
                wrong("I11", format!("takes the group that {} holds", other.id));
            }
        }
        if to != JobState::Completed || result.is_none() {
            return;
        }
        if let Some(phase) = view.phase()
            && let Some(k) = phase.graph.tasks.keys().find(|k| !view.status(k).has_ended())
        {
            wrong("I6", format!("is completed while {k} is {:?}", view.status(k)));
        }
        if result == Some(ResultCode::Success)
            && let Some(phase) = view.phase()
            && let Some(k) = phase
                .graph
                .tasks
                .keys()
                .find(|k| view.status(k) != TaskStatus::Done && !may_fail(phase.graph.tasks.get(*k), view))
        {
            wrong("result", format!("succeeded although {k} is {:?}", view.status(k)));
        }
        if recovery {
            for what in self.wrong_data(view) {
                wrong("data", what);
            }
        }
    }

    /// An attempt after a crash counts on from the one whose outcome is not known.
    fn continued(&self, view: &JobView, task: &ns_core::model::TaskKey, attempt: u32) -> bool {
        view.tasks.get(task).is_some_and(|t| attempt > t.attempts)
    }

    fn judge_graph<'t>(
        &self,
        view: &JobView,
        tasks: impl Iterator<Item = &'t Task>,
        wrong: &mut impl FnMut(&'static str, String),
    ) {
        let Some(definition) = view.work.recovery() else { return };
        let drill = definition.job_type == JobType::Drill;
        let unreachable = view.decisions.iter().any(|d| {
            d.kind == DecisionKind::ForcePromote && d.facts.iter().any(|f| f.contains("cloud answers: false"))
        });
        let begins = view.phase().is_none();
        for task in tasks {
            let source = matches!(
                &task.action,
                Action::Create { side: Side::Source, .. }
                    | Action::Adopt { side: Side::Source, .. }
                    | Action::Remove { side: Side::Source, .. }
                    | Action::Release { side: Side::Source, .. }
                    | Action::StopServer { side: Side::Source, .. }
                    | Action::StartServer { side: Side::Source, .. }
                    | Action::Flatten { side: Side::Source, .. }
                    | Action::Snapshot { side: Side::Source, .. }
                    | Action::Ship { side: Side::Source, .. }
                    | Action::Demote { side: Side::Source, .. }
                    | Action::Promote { side: Side::Source, .. }
                    | Action::Clone { side: Side::Source, .. }
                    | Action::EnableReplication { .. }
                    | Action::DisableReplication { .. }
            );
            let mirroring = matches!(
                &task.action,
                Action::Demote { .. }
                    | Action::Promote { .. }
                    | Action::ForcePromote { .. }
                    | Action::Resync { .. }
                    | Action::DisableReplication { .. }
                    | Action::EnableReplication { .. }
            );
            let way_out = matches!(
                &task.action,
                Action::Create {
                    spec: Spec::FloatingIp { .. }
                        | Spec::Router {
                            external_network: Some(_),
                            ..
                        },
                    ..
                }
            );
            if drill && (mirroring || source || way_out) {
                wrong("I7", format!("a drill would {task}"));
            }
            if begins && unreachable && source {
                wrong("I8", format!("a failover from a lost Source would {task}"));
            }
        }
    }
}

/// Whoever forces a failover does not wait for what runs on the Source: its servers are stopped as far as that goes, and the
/// evidence of the promotion says so.
fn may_fail(task: Option<&Task>, view: &JobView) -> bool {
    let stops = task.is_some_and(|t| matches!(t.action, Action::StopServer { .. }));
    stops && view.work.recovery().is_some_and(|d| d.force.is_some())
}
