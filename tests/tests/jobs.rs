//! Recovery jobs through the face: every operation in every state, what is asked of a job, and what it shows while it runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use futures::{StreamExt, TryStreamExt};
use life_kit::World;
use ns_core::journal::Entry;
use ns_core::model::{
    DataPoint, ExecutionType, GroupId, InstanceRecoveryState, JobId, JobOperation, JobState, JobSummary, JobType,
    OwnerGroupId, PlanId, Query, ReplicationMode, ResultCode, UserRole,
};
use ns_core::ports::Clock;
use ns_core::session::{JobRequest, JobUpdate, OperationRequest};
use ns_core::sim::{Effect, Fault, Part};
use ns_core::{Actor, Error, ErrorKind, Session};
use std::collections::BTreeMap;
use std::time::Duration;

const MODE: ReplicationMode = ReplicationMode::Snapshot;

/// Where a job stands, as §8.6 tells states apart: of `clear-failed` there are two (CON-27). `reporting` is one step of the engine:
/// what is asked meanwhile is answered when it has been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Waiting,
    Pending,
    Running,
    Paused,
    Canceling,
    Completed,
    Clearing,
    RollbackFailed,
    ConfirmFailed,
    Finished,
}

impl Stand {
    const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Pending,
        Self::Running,
        Self::Paused,
        Self::Canceling,
        Self::Completed,
        Self::Clearing,
        Self::RollbackFailed,
        Self::ConfirmFailed,
        Self::Finished,
    ];

    const fn state(self) -> JobState {
        match self {
            Self::Waiting => JobState::Waiting,
            Self::Pending => JobState::Pending,
            Self::Running => JobState::Running,
            Self::Paused => JobState::Paused,
            Self::Canceling => JobState::Canceling,
            Self::Completed => JobState::Completed,
            Self::Clearing => JobState::Clearing,
            Self::RollbackFailed | Self::ConfirmFailed => JobState::ClearFailed,
            Self::Finished => JobState::Finished,
        }
    }
}

/// What is asked of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Operation(JobOperation),
    Extend,
    Update,
    Delete,
    DeleteAndLeave,
}

impl Asked {
    fn all() -> impl Iterator<Item = Self> {
        let operations = JobOperation::ALL.iter().copied().map(Self::Operation);
        operations.chain([Self::Extend, Self::Update, Self::Delete, Self::DeleteAndLeave])
    }

    /// Asks, and gives the state that was answered; none for one that is gone.
    async fn of(self, session: &Session, job: &JobId, at: jiff::Timestamp) -> Result<Option<JobState>, Error> {
        let request = OperationRequest {
            reason: "the table says so".into(),
            ..Default::default()
        };
        let jobs = session.jobs();
        match self {
            Self::Operation(operation) => jobs.operate(job, operation, request).await.map(|j| Some(j.state)),
            Self::Extend => jobs.extend(job, 30).await.map(|j| Some(j.state)),
            Self::Update => jobs.reschedule(job, at).await.map(|j| Some(j.state)),
            Self::Delete => jobs.delete(job, false).await.map(|()| None),
            Self::DeleteAndLeave => jobs.delete(job, true).await.map(|()| None),
        }
    }
}

/// §8.6 by hand: what is allowed, and the state that it leads to.
fn allowed(stand: Stand, job_type: JobType) -> Vec<(Asked, Option<JobState>)> {
    use JobOperation as O;
    let drill = job_type == JobType::Drill;
    let to = |operation, state| (Asked::Operation(operation), Some(state));
    let gone = |asked| (asked, None);
    match stand {
        Stand::Waiting => vec![
            (Asked::Update, Some(JobState::Waiting)),
            gone(Asked::Delete),
            gone(Asked::DeleteAndLeave),
        ],
        Stand::Pending => vec![gone(Asked::Delete), gone(Asked::DeleteAndLeave)],
        Stand::Running => vec![to(O::Pause, JobState::Paused), to(O::Cancel, JobState::Canceling)],
        Stand::Paused => vec![to(O::Run, JobState::Running), to(O::Cancel, JobState::Canceling)],
        Stand::Completed if drill => vec![
            to(O::Rollback, JobState::Clearing),
            (Asked::Extend, Some(JobState::Completed)),
            gone(Asked::DeleteAndLeave),
        ],
        Stand::Completed => vec![
            to(O::Rollback, JobState::Clearing),
            to(O::Confirm, JobState::Clearing),
            to(O::Retry, JobState::Running),
            gone(Asked::DeleteAndLeave),
        ],
        Stand::RollbackFailed => vec![
            to(O::RetryRollback, JobState::Clearing),
            to(O::IgnoreRollback, JobState::Reporting),
            (Asked::Extend, Some(JobState::ClearFailed)),
            gone(Asked::DeleteAndLeave),
        ],
        Stand::ConfirmFailed => vec![
            to(O::RetryConfirm, JobState::Clearing),
            to(O::CancelConfirm, JobState::Clearing),
            (Asked::Extend, Some(JobState::ClearFailed)),
            gone(Asked::DeleteAndLeave),
        ],
        Stand::Canceling | Stand::Clearing | Stand::Finished => vec![],
    }
}

fn request(job_type: JobType, group: &GroupId, plan: &PlanId) -> JobRequest {
    match job_type {
        JobType::Drill => JobRequest::drill(group.clone(), plan.clone()),
        JobType::Failover => JobRequest::failover(group.clone(), plan.clone()),
    }
}

/// One that begins in a minute.
fn later(world: &World, job_type: JobType, group: &GroupId, plan: &PlanId) -> JobRequest {
    JobRequest {
        execution: ExecutionType::AtDateTime {
            at: world.clock.now() + Duration::from_secs(60),
        },
        data_point: DataPoint::LatestSnapshot,
        ..request(job_type, group, plan)
    }
}

/// Waits for a state that does not last.
async fn until(session: &Session, job: &JobId, state: JobState) {
    for _ in 0..100_000 {
        if session.jobs().get(job).await.unwrap().state == state {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{job} never was {state}");
}

fn hang(world: &World, verb: &str) {
    world
        .sim
        .faults()
        .inject(Fault::new("b", Part::Cloud, Effect::Hang).verb(verb));
}

fn reject(world: &World, verb: &str) {
    let rejected = Effect::Error(ErrorKind::Rejected);
    world
        .sim
        .faults()
        .inject(Fault::new("b", Part::Cloud, rejected).verb(verb));
}

/// A failover of two instances, of which one fails: the adoption of one of its volumes is rejected.
async fn in_part(world: &World, group: &GroupId, plan: &PlanId) -> JobId {
    let adopt = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("adopt");
    world.sim.faults().inject(adopt.after(4).times(1));
    let session = world.session();
    let job = session
        .jobs()
        .create(request(JobType::Failover, group, plan))
        .await
        .unwrap();
    let ended = session.jobs().wait(&job).await.unwrap();
    assert_eq!(ended.result, Some(ResultCode::PartialSuccess));
    job
}

/// A world with a job that stands there; none when jobs of this type never do.
async fn stands(stand: Stand, job_type: JobType) -> Option<(World, JobId)> {
    if stand == Stand::ConfirmFailed && job_type == JobType::Drill {
        return None;
    }
    let (world, group, plan) = World::of(MODE, 2).await;
    let session = world.session();
    let jobs = session.jobs();
    let operate = async |job: &JobId, operation| {
        let asked = Asked::Operation(operation).of(&session, job, world.clock.now());
        asked.await.unwrap();
    };
    let job = match stand {
        Stand::Waiting => jobs.create(later(&world, job_type, &group, &plan)).await.unwrap(),
        Stand::Pending => {
            let job = jobs.create(later(&world, job_type, &group, &plan)).await.unwrap();
            let first = jobs.create(JobRequest::failover(group, plan)).await.unwrap();
            world.succeeded(&first).await;
            world.clock.sleep(Duration::from_secs(120)).await;
            job
        }
        Stand::Running | Stand::Paused | Stand::Canceling => {
            hang(&world, "create");
            let job = jobs.create(request(job_type, &group, &plan)).await.unwrap();
            until(&session, &job, JobState::Running).await;
            match stand {
                Stand::Paused => operate(&job, JobOperation::Pause).await,
                Stand::Canceling => {
                    // Something has to be under way, or there is nothing to wait for.
                    while !world.sim.calls().iter().any(|c| c.site == "b" && c.verb == "create") {
                        tokio::task::yield_now().await;
                    }
                    operate(&job, JobOperation::Cancel).await;
                }
                _ => {}
            }
            job
        }
        Stand::ConfirmFailed => {
            let job = in_part(&world, &group, &plan).await;
            reject(&world, "remove");
            reject(&world, "release");
            operate(&job, JobOperation::Confirm).await;
            job
        }
        Stand::Completed | Stand::Clearing | Stand::RollbackFailed | Stand::Finished => {
            let job = jobs.create(request(job_type, &group, &plan)).await.unwrap();
            world.succeeded(&job).await;
            match stand {
                Stand::Clearing => hang(&world, "remove"),
                Stand::RollbackFailed => reject(&world, "remove"),
                _ => {}
            }
            if stand != Stand::Completed {
                operate(&job, JobOperation::Rollback).await;
            }
            job
        }
    };
    if matches!(
        stand,
        Stand::Paused | Stand::Completed | Stand::RollbackFailed | Stand::ConfirmFailed | Stand::Finished
    ) {
        jobs.wait(&job).await.unwrap();
    }
    assert_eq!(
        jobs.get(&job).await.unwrap().state,
        stand.state(),
        "{stand:?} {job_type}"
    );
    Some((world, job))
}

/// The job's record and journal, to see that nothing was written.
async fn all_of(world: &World, job: &JobId) -> (JobSummary, usize) {
    let session = world.session();
    let journal = session.jobs().journal(job).await.unwrap();
    (session.jobs().get(job).await.unwrap(), journal.len())
}

/// Every cell of §8.6: what it allows leads where its row says, everything else is refused by name and changes nothing.
async fn every_cell(stands_there: Stand) -> usize {
    let mut cells = 0;
    for job_type in [JobType::Drill, JobType::Failover] {
        let Some((world, job)) = stands(stands_there, job_type).await else {
            continue;
        };
        let session = world.session();
        let at = world.clock.now() + Duration::from_secs(3600);
        let legal = allowed(stands_there, job_type);
        let offered: Vec<_> = session.jobs().allowed(&job).await.unwrap();
        let expected = |o: &&JobOperation| legal.iter().any(|(asked, _)| *asked == Asked::Operation(**o));
        let expected: Vec<_> = JobOperation::ALL.iter().filter(expected).copied().collect();
        assert_eq!(offered, expected, "{stands_there:?} {job_type}: what is offered");
        let before = all_of(&world, &job).await;
        for asked in Asked::all().filter(|asked| !legal.iter().any(|(l, _)| l == asked)) {
            let error = asked
                .of(&session, &job, at)
                .await
                .expect_err(&format!("{asked:?} in {stands_there:?}"));
            let found = (error.kind(), error.code(), error.field());
            assert_eq!(
                found,
                (ErrorKind::Refused, "job.operation", Some("operation")),
                "{asked:?} of a {job_type} in {stands_there:?}: {error}"
            );
            assert!(error.to_string().contains(stands_there.state().as_str()), "{error}");
            assert!(error.remedy().is_some(), "{error}");
            assert_eq!(
                all_of(&world, &job).await,
                before,
                "{asked:?} was refused and changed something"
            );
            cells += 1;
        }
        for (asked, next) in legal {
            let (world, job) = match asked {
                // There has to be something that failed.
                Asked::Operation(JobOperation::Retry) => {
                    let (world, group, plan) = World::of(MODE, 2).await;
                    let job = in_part(&world, &group, &plan).await;
                    (world, job)
                }
                _ => stands(stands_there, job_type).await.unwrap(),
            };
            let session = world.session();
            let found = asked.of(&session, &job, at).await;
            let found = found.unwrap_or_else(|e| panic!("{asked:?} of a {job_type} in {stands_there:?}: {e}"));
            assert_eq!(found, next, "{asked:?} of a {job_type} in {stands_there:?}");
            if next.is_none() {
                assert_eq!(session.jobs().get(&job).await.unwrap_err().kind(), ErrorKind::NotFound);
            }
            cells += 1;
        }
    }
    cells
}

/// SM-11 … SM-20, SM-60 … SM-64, SM-70, JOB-45, JOB-47, JOB-48, JOB-49, OPEN-19 and every row of §8.4 that an operation takes.
#[tokio::test]
async fn sm_64_every_operation_in_every_state() {
    let mut cells = 0;
    for stand in Stand::ALL {
        cells += every_cell(stand).await;
    }
    // Two types, ten stands but one that drills do not have, fourteen things to ask.
    assert_eq!(cells, (2 * 10 - 1) * 14);
}

/// JOB-01, JOB-02, JOB-12, JOB-60: jobs of the own groups, with what they do, in which state, since when and whose.
#[tokio::test]
async fn job_01_job_02_job_12_jobs_are_found_and_read() {
    let (world, group, plan) = World::of(MODE, 1).await;
    let session = world.session();
    let drill = session
        .jobs()
        .create(request(JobType::Drill, &group, &plan))
        .await
        .unwrap();
    world.succeeded(&drill).await;
    let found = session
        .jobs()
        .list(&Query::default().equal("kind", "drill"))
        .await
        .unwrap();
    assert_eq!((found.total, &found.items[0].id), (1, &drill));
    let job = session.jobs().get(&drill).await.unwrap();
    let definition = job.work.recovery().unwrap();
    assert_eq!((&definition.group_id, &definition.plan_id), (&group, &plan));
    assert_eq!(definition.execution, ExecutionType::Immediate);
    assert_eq!(definition.data_point, DataPoint::LatestSnapshot);
    assert_eq!(job.owner_group_id, Some(OwnerGroupId::new("ops")));
    // Names of clusters, group and plan, types and directions are read where they are kept.
    let plan = session.plans().get(&plan).await.unwrap();
    let target = session.clusters().get(&plan.target_cluster).await.unwrap();
    assert_eq!(
        (target.name.as_str(), target.platform.as_str()),
        ("site-b", "simulated")
    );

    let vera = world
        .engine
        .session(Actor::member("vera", UserRole::Viewer, ["ops".into()]));
    assert_eq!(vera.jobs().get(&drill).await.unwrap().id, drill);
    let rollback = async |session: &Session| {
        let request = OperationRequest::default();
        session.jobs().operate(&drill, JobOperation::Rollback, request).await
    };
    assert_eq!(rollback(&vera).await.unwrap_err().code(), "access.role");
    let bill = world
        .engine
        .session(Actor::member("bill", UserRole::Operator, ["bank".into()]));
    assert_eq!(bill.jobs().list(&Query::default()).await.unwrap().total, 0);
    assert_eq!(rollback(&bill).await.unwrap_err().kind(), ErrorKind::NotFound);
    let olga = world
        .engine
        .session(Actor::member("olga", UserRole::Operator, ["ops".into()]));
    assert_eq!(rollback(&olga).await.unwrap().state, JobState::Clearing);
}

/// JOB-03, JOB-05, JOB-06, JOB-07, JOB-09, JOB-10, JOB-11, SCH-10, SM-01 … SM-10, SM-21: whatever the matrix allows runs, at once
/// or at its time, from the data that was asked for; every state is gone through, in the order of the book.
#[tokio::test]
async fn job_03_whatever_the_matrix_allows_runs() {
    let now = ExecutionType::Immediate;
    for (job_type, at_once, which) in [
        (JobType::Drill, true, "latest"),
        (JobType::Drill, true, "specific"),
        (JobType::Drill, false, "latest"),
        (JobType::Failover, true, "data"),
        (JobType::Failover, true, "latest"),
        (JobType::Failover, true, "specific"),
        (JobType::Failover, false, "latest"),
        (JobType::Failover, false, "specific"),
    ] {
        let (world, group, plan) = World::of(MODE, 1).await;
        let session = world.session();
        let first = session.points().list(&group, &Query::default()).await.unwrap().items[0]
            .id
            .clone();
        let at = world.clock.now() + Duration::from_secs(300);
        let request = JobRequest {
            execution: if at_once {
                now.clone()
            } else {
                ExecutionType::AtDateTime { at }
            },
            data_point: match which {
                "data" => DataPoint::LatestData,
                "latest" => DataPoint::LatestSnapshot,
                _ => DataPoint::SpecificSnapshot {
                    point_id: first.clone(),
                },
            },
            ..request(job_type, &group, &plan)
        };
        let job = session.jobs().create(request).await.unwrap();
        // Made after the job, before its time: the newest when it is queued (JOB-10).
        let (newest, made) = session.points().create(&group).await.unwrap();
        world.succeeded(&made).await;
        world.succeeded(&job).await;
        let view = session.jobs().view(&job).await.unwrap();
        let started = view.started_at.unwrap();
        assert!(
            at_once || (0..=5).contains(&started.duration_since(at).as_secs()),
            "{started} for {at}"
        );
        let point = view
            .frozen
            .as_deref()
            .and_then(|f| f.point.as_ref())
            .map(|p| p.id.clone());
        let expected = match which {
            "data" => None,
            "latest" if !at_once => Some(newest),
            _ => Some(first),
        };
        assert_eq!(point, expected, "{job_type} {at_once} {which}");
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        let states: Vec<_> = (world.store.summaries().iter())
            .filter(|s| s.id == job)
            .map(|s| s.state)
            .collect();
        let mut order = states.clone();
        order.dedup();
        let expected = [
            JobState::Waiting,
            JobState::Pending,
            JobState::Running,
            JobState::Completed,
            JobState::Clearing,
            JobState::Reporting,
            JobState::Finished,
        ];
        assert_eq!(order, expected);
        assert!(session.reports().get(&job).await.unwrap().facts.job.result == Some(ResultCode::Success));
    }
}

/// JOB-13, JOB-55, JOB-56, JOB-57, JOB-58, JOB-59: while it runs, a job shows its state, its task log, and its instances and volumes:
/// first all of them, then what changed; a stream that breaks is resumed without a gap.
#[tokio::test]
async fn job_55_job_56_job_57_job_58_a_job_is_watched() {
    let (world, group, plan) = World::of(MODE, 2).await;
    let session = world.session();
    let excluded = world.sample.servers[1].id.clone();
    let request = JobRequest {
        exclude: [excluded.clone()].into(),
        ..request(JobType::Drill, &group, &plan)
    };
    let job = session.jobs().create(request).await.unwrap();
    let watcher = session.clone();
    let watched = job.clone();
    let live = tokio::spawn(async move { watcher.jobs().monitor(&watched, None).try_collect::<Vec<_>>().await });
    world.succeeded(&job).await;
    assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);

    // The task log, in pieces, each with a stream of its own.
    let log = session.jobs().journal(&job).await.unwrap();
    let mut seen: Vec<Entry> = Vec::new();
    while seen.len() < log.len() {
        let some = session
            .jobs()
            .watch(&job, seen.len() as u64)
            .take(7)
            .try_collect::<Vec<_>>();
        seen.extend(some.await.unwrap());
    }
    assert_eq!(seen, log);

    // All first, then changes; laid over each other they are what the job is.
    let updates = live.await.unwrap().unwrap();
    let (servers, recovered) = (&world.sample.servers, world.sample.servers[0].id.clone());
    let view = session.jobs().view(&job).await.unwrap();
    let all = |update: &JobUpdate| (update.instances.len(), update.volumes.len());
    let first = updates.iter().find(|u| !u.instances.is_empty()).unwrap();
    assert_eq!(all(first), (servers.len(), view.volumes().len()));
    let mut laid = (BTreeMap::new(), BTreeMap::new());
    let mut states = Vec::new();
    for update in &updates {
        laid.0.extend(update.instances.clone());
        laid.1.extend(update.volumes.clone());
        states.extend(update.instances.get(&recovered).copied());
    }
    assert_eq!(laid, (view.instances(), view.volumes()));
    assert_eq!(laid.0[&excluded], InstanceRecoveryState::Excluded);
    assert_eq!(laid.1[&servers[1].data_volume], InstanceRecoveryState::Excluded);
    assert_eq!(laid.1[&servers[0].data_volume], InstanceRecoveryState::Success);
    assert!(states.is_sorted_by(|a, b| a < b), "each is told once: {states:?}");
    assert_eq!(states.last(), Some(&InstanceRecoveryState::Success));
    assert!(
        updates.iter().any(|u| u.tasks_ended > 0 && u.tasks_ended < u.tasks),
        "{updates:#?}"
    );
    let last = updates.last().unwrap();
    assert_eq!(
        (last.state, last.position, last.tasks_ended),
        (JobState::Finished, view.position, last.tasks)
    );

    // From the middle on: only what changed since, to the same end.
    let middle = updates.iter().find(|u| !u.instances.is_empty()).unwrap().position;
    let rest: Vec<_> = session.jobs().monitor(&job, Some(middle)).try_collect().await.unwrap();
    let told = |update: &JobUpdate| update.instances.contains_key(&excluded);
    assert!(!rest.is_empty() && !rest.iter().any(told), "{rest:#?}");
    assert_eq!(rest.last().unwrap().position, view.position);
    let none: Vec<_> = session
        .jobs()
        .monitor(&job, Some(view.position))
        .try_collect()
        .await
        .unwrap();
    assert!(none.is_empty(), "{none:#?}");
}

/// SM-21 … SM-24, OPEN-22: how a job ended follows from what became of its instances.
#[tokio::test]
async fn sm_21_sm_22_sm_23_sm_24_results() {
    let rejected = |after: u32, times: u32| {
        let adopt = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("adopt");
        adopt.after(after).times(times)
    };
    for (fault, wire) in [
        (None, "dr.recovery.result.success"),
        (Some(rejected(4, 1)), "dr.recovery.result.partial_success"),
        (Some(rejected(0, 100)), "dr.recovery.result.failed"),
    ] {
        let (world, group, plan) = World::of(MODE, 2).await;
        let session = world.session();
        fault.into_iter().for_each(|fault| world.sim.faults().inject(fault));
        let job = session
            .jobs()
            .create(request(JobType::Failover, &group, &plan))
            .await
            .unwrap();
        let ended = session.jobs().wait(&job).await.unwrap();
        assert_eq!(ended.result.map(ResultCode::as_str), Some(wire));
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        let report = session.reports().get(&job).await.unwrap();
        assert_eq!(report.facts.job.result, ended.result);
    }
    let (world, job) = stands(Stand::Canceling, JobType::Drill).await.unwrap();
    let ended = world.session().jobs().wait(&job).await.unwrap();
    assert_eq!(
        ended.result.map(ResultCode::as_str),
        Some("dr.recovery.result.canceled")
    );
}

/// JOB-50, JOB-51, SM-33, SM-69: jobs of a group run one after the other, as they were queued, each with the data that was the newest
/// when it was queued.
#[tokio::test]
async fn job_50_job_51_sm_69_first_queued_first_run() {
    let (world, group, plan) = World::of(MODE, 1).await;
    let session = world.session();
    let newest = async || {
        session
            .points()
            .list(&group, &Query::default())
            .await
            .unwrap()
            .items
            .pop()
            .unwrap()
            .id
    };
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let job = session
            .jobs()
            .create(request(JobType::Drill, &group, &plan))
            .await
            .unwrap();
        if jobs.is_empty() {
            world.succeeded(&job).await;
        } else {
            until(&session, &job, JobState::Pending).await;
        }
        jobs.push((job, newest().await));
        let (_, made) = session.points().create(&group).await.unwrap();
        world.succeeded(&made).await;
    }
    let mut ended = None;
    for (job, queued_with) in jobs {
        world.succeeded(&job).await;
        let view = session.jobs().view(&job).await.unwrap();
        let point = view
            .frozen
            .as_deref()
            .and_then(|f| f.point.as_ref())
            .map(|p| p.id.clone());
        assert_eq!(point, Some(queued_with));
        assert!(view.started_at >= ended, "{job} began before the one before had ended");
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        ended = Some(session.reports().get(&job).await.unwrap().facts.job.ended_at);
    }
}
