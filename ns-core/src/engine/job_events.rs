//! Which entries of a job's journal are events of the product, too (NTF-01): they are written with the entry.

use crate::journal::{Entry, Event, JobView, TaskResult};
use crate::model::{About, JobState, JobType, ResultCode, TaskKey, Told, Work};
use crate::planning::Action;

/// What an entry tells: `after` is the job with it; whether the job had begun to run before it.
pub(super) fn told(entry: &Entry, after: &JobView, ran: bool) -> Vec<Told> {
    match &entry.event {
        Event::Transition { to, row, .. } if after.work.recovery().is_some() => recovery(*to, row, after, ran),
        Event::Transition {
            to: JobState::Finished, ..
        } => preparation(after).into_iter().collect(),
        Event::Outcome {
            task,
            result: TaskResult::Failed { .. },
            ..
        } => not_ready(task, after).into_iter().collect(),
        Event::Noted { code, .. } if code == "job.preempts" => vec![Told::DrillPreempted {
            job: after.id.to_string(),
            group: group(after),
        }],
        _ => Vec::new(),
    }
}

/// The things that all of it is about.
pub(super) fn about(view: &JobView) -> About {
    About {
        group: Some(view.work.group_id().clone()),
        plan: Some(view.work.plan_id().clone()),
        job: Some(view.id.clone()),
        point: match &view.work {
            Work::Point { point_id, .. } => Some(point_id.clone()),
            _ => None,
        },
        ..About::default()
    }
}

/// The group's name; its id for a job that could not look at it.
fn group(view: &JobView) -> String {
    let frozen = view.frozen.as_deref();
    frozen.map_or_else(|| view.work.group_id().to_string(), |f| f.group.name.clone())
}

fn recovery(to: JobState, row: &str, after: &JobView, ran: bool) -> Vec<Told> {
    let (work, job, group) = (after.work.kind().to_owned(), after.id.to_string(), group(after));
    let mut told = Vec::new();
    match to {
        JobState::Running if !ran => told.push(Told::JobStarted { work, job, group }),
        JobState::Completed => {
            let (w, j, g) = (work.clone(), job.clone(), group.clone());
            told.push(match after.result {
                Some(ResultCode::Success) => Told::JobSucceeded {
                    work: w,
                    job: j,
                    group: g,
                },
                Some(ResultCode::PartialSuccess) => Told::JobPartial {
                    work: w,
                    job: j,
                    group: g,
                },
                Some(ResultCode::Canceled) => Told::JobCanceled {
                    work: w,
                    job: j,
                    group: g,
                },
                Some(ResultCode::Failed) | None => Told::JobFailed {
                    work: w,
                    job: j,
                    group: g,
                },
            });
            // A drill is rolled back by itself.
            if after.work.recovery().is_some_and(|d| d.job_type == JobType::Failover) {
                told.push(Told::DecisionAwaited { work, job, group });
            }
        }
        JobState::ClearFailed => told.push(Told::CleanUpFailed { work, job, group }),
        JobState::Reporting if row == "SM-34" => told.push(Told::WindowMissed { job, group }),
        JobState::Finished => told.push(Told::JobFinished { work, job, group }),
        _ => {}
    }
    told
}

/// An instance that was recovered and waited for in vain.
fn not_ready(task: &TaskKey, after: &JobView) -> Option<Told> {
    let Action::AwaitReady { instance, .. } = &after.phase()?.graph.tasks.get(task)?.action else {
        return None;
    };
    let known = after
        .frozen
        .as_deref()
        .and_then(|f| f.inventory.instances.get(instance));
    Some(Told::InstanceNotReady {
        work: after.work.kind().to_owned(),
        job: after.id.to_string(),
        group: group(after),
        instance: known.map_or_else(|| instance.to_string(), |i| i.name.clone()),
    })
}

/// The end of work that prepares recovery.
fn preparation(view: &JobView) -> Option<Told> {
    let (job, group) = (view.id.to_string(), group(view));
    let done = view.result == Some(ResultCode::Success);
    Some(match (&view.work, done) {
        (Work::Protect { .. }, true) => Told::Protected { job, group },
        (Work::Protect { .. }, false) => Told::ProtectionFailed { job, group },
        (Work::Point { point_id, .. }, true) => Told::PointMade {
            point: point_id.to_string(),
            group,
        },
        (Work::Point { point_id, .. }, false) => Told::PointFailed {
            point: point_id.to_string(),
            group,
        },
        (Work::Fence { failover, .. }, true) => Told::SourceFenced {
            failover: failover.to_string(),
            group,
        },
        (Work::Fence { failover, .. }, false) => Told::FenceFailed {
            failover: failover.to_string(),
            group,
        },
        (Work::Prune { .. }, true) | (Work::Recovery(_), _) => return None,
        (Work::Prune { .. }, false) => Told::RemovalFailed { job, group },
        (Work::Unprotect { .. }, true) => Told::ProtectionEnded { job, group },
        (Work::Unprotect { .. }, false) => Told::EndFailed { job, group },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Outcome, Starts, TABLE};
    use crate::model::{DataPoint, EventCode, ExecutionType, JobDefinition, JobOperation};
    use jiff::Timestamp;

    fn view(work: Work) -> JobView {
        let entry = Entry {
            job: "j".into(),
            position: 1,
            at: Timestamp::UNIX_EPOCH,
            event: Event::Created {
                work,
                actor: "anna".into(),
                owner_group_id: None,
            },
        };
        JobView::begin(&entry).unwrap()
    }

    fn recovery_of(job_type: JobType) -> Work {
        Work::Recovery(JobDefinition {
            job_type,
            execution: ExecutionType::Immediate,
            data_point: DataPoint::LatestSnapshot,
            group_id: "g".into(),
            plan_id: "p".into(),
            force: None,
            exclude: std::collections::BTreeSet::new(),
        })
    }

    /// What is told when a job takes a transition.
    fn codes(view: &JobView, to: JobState, row: &str, result: Option<ResultCode>) -> Vec<EventCode> {
        let entry = Entry {
            job: "j".into(),
            position: 2,
            at: Timestamp::UNIX_EPOCH,
            event: Event::Transition {
                from: view.state,
                to,
                operation: JobOperation::Run,
                row: row.to_owned(),
                result,
                clear: None,
                deadline: None,
                actor: "engine".into(),
            },
        };
        let mut after = view.clone();
        after.apply(&entry);
        told(&entry, &after, view.started_at.is_some())
            .iter()
            .map(Told::code)
            .collect()
    }

    /// Every row of the state machine: what a drill and a failover tell when they take it.
    #[test]
    fn ntf_01_every_transition_of_a_recovery_tells_what_users_wait_for() {
        use EventCode as C;
        for (job_type, waits) in [(JobType::Drill, false), (JobType::Failover, true)] {
            let mut view = view(recovery_of(job_type));
            for row in TABLE {
                let result = match row.outcome {
                    Outcome::Set(code) => Some(code),
                    _ => None,
                };
                let mut expected = match (row.next, row.id) {
                    (JobState::Running, _) => vec![C::JobStarted],
                    (JobState::Completed, "SM-40") => vec![C::JobSucceeded],
                    (JobState::Completed, "SM-41") => vec![C::JobPartial],
                    (JobState::Completed, "SM-42") => vec![C::JobFailed],
                    (JobState::Completed, "SM-43") => vec![C::JobCanceled],
                    (JobState::ClearFailed, _) => vec![C::CleanUpFailed],
                    (JobState::Reporting, "SM-34") => vec![C::WindowMissed],
                    (JobState::Finished, _) => vec![C::JobFinished],
                    _ => vec![],
                };
                if row.next == JobState::Completed && waits {
                    expected.push(C::DecisionAwaited);
                }
                view.started_at = None;
                assert_eq!(
                    codes(&view, row.next, row.id, result),
                    expected,
                    "{job_type} {}",
                    row.id
                );
                assert!(matches!(
                    row.starts,
                    Starts::Nothing | Starts::Timer(_) | Starts::DrillTimer(_)
                ));
            }
            view.started_at = Some(Timestamp::UNIX_EPOCH);
            assert!(codes(&view, JobState::Running, "SM-36", None).is_empty(), "it goes on");
        }
    }

    #[test]
    fn ntf_01_open_08_the_end_of_preparing_work() {
        use EventCode as C;
        let (group_id, plan_id) = (|| "g".into(), || "p".into());
        let (success, failed) = (Some(ResultCode::Success), Some(ResultCode::Failed));
        let protect = || Work::Protect {
            group_id: group_id(),
            plan_id: plan_id(),
            give_up: None,
        };
        let point = || Work::Point {
            group_id: group_id(),
            plan_id: plan_id(),
            point_id: "x".into(),
        };
        let fence = || Work::Fence {
            group_id: group_id(),
            plan_id: plan_id(),
            failover: "f".into(),
        };
        let prune = || Work::Prune {
            group_id: group_id(),
            plan_id: plan_id(),
        };
        let unprotect = || Work::Unprotect {
            group_id: group_id(),
            plan_id: plan_id(),
        };
        for (work, result, expected) in [
            (protect(), success, Some(C::Protected)),
            (protect(), failed, Some(C::ProtectionFailed)),
            (point(), success, Some(C::PointMade)),
            (point(), failed, Some(C::PointFailed)),
            (fence(), success, Some(C::SourceFenced)),
            (fence(), failed, Some(C::FenceFailed)),
            (prune(), success, None),
            (prune(), failed, Some(C::RemovalFailed)),
            (unprotect(), success, Some(C::ProtectionEnded)),
            (unprotect(), failed, Some(C::EndFailed)),
        ] {
            let mut view = view(work);
            view.result = result;
            assert!(codes(&view, JobState::Completed, "SM-40", result).is_empty());
            let found = codes(&view, JobState::Finished, "engine.no-clean-up", None);
            assert_eq!(found, Vec::from_iter(expected), "{} {result:?}", view.work.kind());
        }
    }
}
