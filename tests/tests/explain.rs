//! The dry run (issue 3): it tells the graph that then runs, it says what is lost and how long it takes, and it touches nothing.

mod life_kit;

use life_kit::World;
use ns_core::journal::{Event, PhaseKind};
use ns_core::machine::{Facts, Trigger, step};
use ns_core::model::{
    ClearOperation, DataPoint, ForceRight, GroupId, JobId, JobOperation, JobState, JobType, PlanId, ReplicationMode,
    ResultCode,
};
use ns_core::planning::{History, Side, Step, StepEffect, steps};
use ns_core::ports::Clock;
use ns_core::session::{Explanation, JobRequest, OperationRequest, ReprotectRequest};
use ns_core::sim::{Effect, Fault, Part};
use ns_core::{ErrorKind, Result};
use std::time::Duration;

const MODES: [ReplicationMode; 2] = [ReplicationMode::Snapshot, ReplicationMode::Journal];

/// Asks, and makes sure that nothing was touched for the answer: neither site, nor the store.
async fn ask(world: &World, question: impl Future<Output = Result<Explanation>>) -> Explanation {
    let (before, commits) = (world.dumps(), world.store.commits());
    let told = question.await.unwrap();
    World::compare(&before, &world.dumps(), "the dry run");
    assert_eq!(world.store.commits(), commits, "the store is as it was");
    for refusal in &told.refusals {
        assert!(!refusal.code.is_empty() && refusal.remedy.is_some(), "{refusal:?}");
    }
    told
}

async fn explained(world: &World, request: &JobRequest) -> Explanation {
    let session = world.session();
    ask(world, session.jobs().explain(request)).await
}

async fn explained_operation(world: &World, job: &JobId, operation: JobOperation) -> Explanation {
    let (session, request) = (world.session(), OperationRequest::default());
    ask(world, session.jobs().explain_operation(job, operation, &request)).await
}

/// What was told is, step by step, the graph that the job planned last.
async fn came_true(world: &World, told: &Explanation, job: &JobId) {
    assert_eq!(told.refusals, []);
    let view = world.session().jobs().view(job).await.unwrap();
    let ran = steps(&view.phase().unwrap().graph, &History::default()).unwrap();
    let plain = |s: &Step| Step {
        expected: None,
        ..s.clone()
    };
    assert_eq!(
        told.steps.iter().map(plain).collect::<Vec<_>>(),
        ran.iter().map(plain).collect::<Vec<_>>()
    );
}

async fn done(world: &World, request: JobRequest) -> JobId {
    let job = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    job
}

fn forced(group: &GroupId, plan: &PlanId) -> JobRequest {
    JobRequest {
        force: Some(ForceRight {
            operator: "anna".into(),
            reason: "flood".into(),
            accepts_data_loss: true,
            without_fence: false,
        }),
        ..JobRequest::failover(group.clone(), plan.clone())
    }
}

/// From the first intent of the job's last graph to its last outcome, in milliseconds.
async fn took(world: &World, job: &JobId, wanted: PhaseKind) -> u64 {
    let mut times = Vec::new();
    let mut on = false;
    for entry in world.session().jobs().journal(job).await.unwrap() {
        match entry.event {
            Event::Planned { phase, .. } => on = phase == wanted,
            Event::Intent { .. } | Event::Outcome { .. } if on => times.push(entry.at),
            _ => {}
        }
    }
    let whole = times.last().unwrap().duration_since(times[0]);
    u64::try_from(whole.as_millis()).unwrap()
}

/// A drill, a planned failover, what ends them and the way back: each is told beforehand as it then is done.
#[tokio::test]
async fn what_is_told_is_what_is_done() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let request = JobRequest::drill(group.clone(), plan.clone());
        let told = explained(&world, &request).await;
        assert_eq!(told.kind, "drill");
        assert!(
            told.steps.iter().all(|s| s.side != Some(Side::Source)),
            "a drill leaves the Source alone"
        );
        assert!(told.steps.iter().all(|s| s.effect != StepEffect::Deletes));
        let drill = done(&world, request).await;
        came_true(&world, &told, &drill).await;

        let told = explained_operation(&world, &drill, JobOperation::Rollback).await;
        assert!(
            told.loss.is_empty(),
            "what a drill wrote is nobody's loss: {:?}",
            told.loss
        );
        assert!(told.steps.iter().any(|s| s.effect == StepEffect::Deletes));
        world.operate(&drill, JobOperation::Rollback).await;
        came_true(&world, &told, &drill).await;

        let request = JobRequest::failover(group, plan.clone());
        let told = explained(&world, &request).await;
        assert_eq!(told.kind, "planned failover");
        assert_eq!(
            told.loss.len(),
            world.session().plans().get(&plan).await.unwrap().volumes.len()
        );
        assert!(
            told.loss
                .iter()
                .all(|l| (l.lost_seconds, l.lost_bytes) == (Some(0), Some(0))),
            "{:?}",
            told.loss
        );
        let failover = done(&world, request.clone()).await;
        came_true(&world, &told, &failover).await;

        let told = explained_operation(&world, &failover, JobOperation::Rollback).await;
        let back = |line: &&String| line.contains("come back to the Source");
        assert_eq!(
            told.evidence.iter().filter(back).count(),
            told.loss.len(),
            "{:?}",
            told.evidence
        );
        assert!(told.loss.iter().all(|l| l.lost_seconds == Some(0)), "{:?}", told.loss);
        world.operate(&failover, JobOperation::Rollback).await;
        came_true(&world, &told, &failover).await;

        let failover = done(&world, request).await;
        let told = explained_operation(&world, &failover, JobOperation::Confirm).await;
        assert_eq!(told.evidence.len(), 3, "each instance is told: {:?}", told.evidence);
        world.operate(&failover, JobOperation::Confirm).await;
        came_true(&world, &told, &failover).await;

        let (session, request) = (world.session(), ReprotectRequest::default());
        let told = ask(&world, session.failback().explain_reprotect(&failover, &request)).await;
        let (_, reversed, job) = session.failback().reprotect(&failover, request).await.unwrap();
        world.succeeded(&job).await;
        came_true(&world, &told, &job).await;
        world.finish_all().await;

        let told = ask(&world, session.plans().explain_delete(&reversed.id)).await;
        let gone = |what: &str| told.steps.iter().filter(|s| s.sentence.starts_with(what)).count();
        assert_eq!(
            gone("end replication"),
            told.steps.iter().filter(|s| s.volume.is_some()).count()
        );
        assert!(
            gone("remove an image") > 0 && gone("remove a snapshot") > 0,
            "the recovery points go"
        );
        let job = session.plans().delete(&reversed.id).await.unwrap();
        world.succeeded(&job).await;
        came_true(&world, &told, &job).await;
    }
}

/// A forced failover is told with what it loses, in seconds and where known in bytes; also to who may not force yet. Its
/// rollback gives up what was written since.
#[tokio::test]
async fn a_forced_failover_is_told_with_its_loss() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        // Long enough for what was written before to be reported, and in journal mode to arrive.
        let server = world.sample.servers[0].clone();
        world.sim.heartbeat("a", &server.id).unwrap();
        world.clock.sleep(Duration::from_secs(120)).await;
        world.sim.kill("a");
        let refused = explained(&world, &JobRequest::failover(group.clone(), plan.clone())).await;
        let request = forced(&group, &plan);
        let told = explained(&world, &request).await;
        assert_eq!(told.kind, "forced failover");
        assert_eq!(refused.steps, told.steps, "what a right would allow is told without it");
        let codes: Vec<_> = refused
            .refusals
            .iter()
            .map(|r| (r.code.as_str(), r.field.as_deref()))
            .collect();
        assert_eq!(codes, [("failover.source_unreachable", Some("force"))]);
        let loss = told.loss.iter().find(|l| l.volume_id == server.boot_volume).unwrap();
        let journal = mode == ReplicationMode::Journal;
        assert!(loss.lost_seconds.unwrap() >= if journal { 0 } else { 120 }, "{loss:?}");
        assert_eq!(loss.lost_bytes.map(|b| b > 0), Some(!journal), "{loss:?}");
        assert!(
            told.evidence.iter().any(|e| e.contains("Source cloud answers: false")),
            "{:?}",
            told.evidence
        );
        assert_eq!(told.duration.total, None, "nothing is known of forced promotions");
        assert!(
            told.duration.unknown.contains(&"force_promote".to_owned()),
            "{:?}",
            told.duration
        );

        let job = done(&world, request).await;
        came_true(&world, &told, &job).await;
        world.clock.sleep(Duration::from_secs(60)).await;
        let told = explained_operation(&world, &job, JobOperation::Rollback).await;
        assert!(
            told.evidence.iter().all(|e| e.contains("are given up")),
            "{:?}",
            told.evidence
        );
        assert!(told.loss.iter().all(|l| l.lost_seconds >= Some(60)), "{:?}", told.loss);
        assert!(
            told.steps
                .iter()
                .any(|s| s.effect == StepEffect::Deletes && s.sentence.contains("throw a copy away"))
        );
    }
}

/// What was done before tells how long it takes again, with its critical path; what was never done is named instead.
#[tokio::test]
async fn the_forecast_holds_what_then_is_measured() {
    for mode in MODES {
        let (world, group, plan) = World::new(mode).await;
        let (drill, failover) = (
            JobRequest::drill(group.clone(), plan.clone()),
            JobRequest::failover(group.clone(), plan.clone()),
        );
        let blind = explained(&world, &failover).await.duration;
        assert_eq!((blind.total, blind.critical_path.as_slice()), (None, &[][..]));
        assert!(
            blind.unknown.iter().any(|k| k == "create server"),
            "{:?}",
            blind.unknown
        );
        assert!(
            !blind.unknown.iter().any(|k| k == "ship"),
            "the first point has shipped: {:?}",
            blind.unknown
        );
        for request in [&drill, &failover] {
            let job = done(&world, request.clone()).await;
            world.operate(&job, JobOperation::Rollback).await;
        }
        for request in [drill, failover] {
            let told = explained(&world, &request).await;
            let job = done(&world, request).await;
            holds(&world, &told, &job, PhaseKind::Run).await;
            let told = explained_operation(&world, &job, JobOperation::Rollback).await;
            world.operate(&job, JobOperation::Rollback).await;
            holds(&world, &told, &job, PhaseKind::Rollback).await;
        }
    }
}

async fn holds(world: &World, told: &Explanation, job: &JobId, phase: PhaseKind) {
    let total = told.duration.total.unwrap_or_else(|| panic!("{:?}", told.duration));
    let real = took(world, job, phase).await;
    assert!(
        (total.low_ms..=total.high_ms).contains(&real),
        "{phase:?}: {real} ms, told {total:?}"
    );
    // The expected way is that of the steps on the critical path, one after the other.
    let step = |key| told.steps.iter().find(|s| &s.key == key).unwrap();
    let path: Vec<&Step> = told.duration.critical_path.iter().map(step).collect();
    let sum: u64 = path.iter().map(|s| s.expected.unwrap().expected_ms).sum();
    assert_eq!(sum, total.expected_ms);
    assert!(!path.is_empty());
}

/// Whatever would be refused is told with code and remedy, and what is asked is refused by the same code.
#[tokio::test]
async fn refusals_are_told_with_their_remedy() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let codes = |told: &Explanation| told.refusals.iter().map(|r| r.code.clone()).collect::<Vec<_>>();
    let mut odd = JobRequest::drill(group.clone(), plan.clone());
    odd.data_point = DataPoint::LatestData;
    let drill = JobRequest::drill(group.clone(), plan.clone());
    let failover = JobRequest::failover(group.clone(), plan.clone());

    // A drill of what no drill takes; and a failover to a cloud that refuses everything, so that the plan is not ready.
    for request in [&odd, &failover] {
        if request.job_type == JobType::Failover {
            let at_target = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Denied));
            world.sim.faults().inject(at_target);
        }
        let told = explained(&world, request).await;
        let error = session.jobs().create(request.clone()).await.unwrap_err();
        assert_eq!(
            codes(&told).first().map(String::as_str),
            Some(error.code()),
            "{:?}",
            told.refusals
        );
    }
    world.sim.faults().clear();

    let job = done(&world, drill).await;
    let told = explained_operation(&world, &job, JobOperation::Retry).await;
    assert!(
        !told.refusals.is_empty() && told.steps.is_empty(),
        "nothing failed: {told:?}"
    );
    let told = ask(&world, session.plans().explain_delete(&plan)).await;
    let error = session.plans().delete(&plan).await.unwrap_err();
    assert_eq!(codes(&told), [error.code()]);
    assert!(!told.steps.is_empty(), "what it would do is told all the same");
    world.operate(&job, JobOperation::Rollback).await;
    let told = explained_operation(&world, &job, JobOperation::Rollback).await;
    assert_eq!(codes(&told), ["job.operation"], "it has finished");
    let unknown = session
        .jobs()
        .explain_operation(&JobId::new("?"), JobOperation::Confirm, &Default::default())
        .await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}

/// SM-64: no operation is refused in any state without code, field and remedy.
#[test]
fn every_refused_operation_names_a_remedy() {
    let mut refused = 0;
    let clears = [None, Some(ClearOperation::Rollback), Some(ClearOperation::Confirm)];
    for state in JobState::ALL {
        for operation in JobOperation::ALL {
            for (job_type, failed_clear) in [JobType::Drill, JobType::Failover]
                .into_iter()
                .flat_map(|t| clears.map(|c| (t, c)))
            {
                let facts = Facts {
                    job_type,
                    result: Some(ResultCode::PartialSuccess),
                    failed_clear,
                    group_is_free: true,
                    first_in_group: true,
                    source_cleared: false,
                };
                let Err(e) = step(*state, JobOperation::Run, &Trigger::Operation(*operation), &facts) else {
                    continue;
                };
                refused += 1;
                assert_eq!((e.code(), e.field()), ("job.operation", Some("operation")));
                assert!(e.remedy().is_some_and(|r| !r.is_empty()), "{state} {operation}");
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
