//! The journal proves itself: what it folds to is what was true, whatever is done to it is found, and an operation that
//! the state machine refuses changes nothing.

mod life_kit;

use life_kit::{Tampering, World};
use ns_core::ErrorKind;
use ns_core::journal::{Event, JobView};
use ns_core::model::{
    ForceRight, InstanceRecoveryState, JobId, JobOperation, JobState, JobSummary, ReplicationMode, ResultCode,
};
use ns_core::session::JobRequest;
use ns_core::sim::{Effect, Fault, Part};
use std::collections::{BTreeMap, BTreeSet};

/// A drill that is paused, goes on, cannot be rolled back and is left; then a failover one of whose instances fails, is
/// retried and confirmed; then one of what is left, by force. Every kind of entry that a job can have.
async fn a_full_life() -> World {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let jobs = session.jobs();
    let faults = world.sim.faults();
    let fails = |verb: &str| Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb(verb);

    let drill = jobs
        .create(JobRequest::drill(group.clone(), plan.clone()))
        .await
        .unwrap();
    until(&world, &drill, JobState::Running).await;
    jobs.operate(&drill, JobOperation::Pause, Default::default())
        .await
        .unwrap();
    jobs.operate(&drill, JobOperation::Run, Default::default())
        .await
        .unwrap();
    jobs.wait(&drill).await.unwrap();
    jobs.extend(&drill, 5).await.unwrap();
    faults.inject(fails("remove"));
    assert_eq!(end(&world, &drill, JobOperation::Rollback).await, JobState::ClearFailed);
    faults.clear();
    faults.inject(
        Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Unavailable))
            .verb("remove")
            .times(2),
    );
    assert_eq!(
        end(&world, &drill, JobOperation::RetryRollback).await,
        JobState::Finished
    );

    let mut request = JobRequest::failover(group, plan);
    request.force = Some(ForceRight {
        operator: "anna".into(),
        reason: "flood".into(),
        accepts_data_loss: true,
        without_fence: false,
    });
    world.sim.kill("a");
    faults.inject(fails("adopt").after(1).times(1));
    let failover = jobs.create(request).await.unwrap();
    let summary = jobs.wait(&failover).await.unwrap();
    assert_ne!(summary.result, Some(ResultCode::Success));
    let retried = end(&world, &failover, JobOperation::Retry).await;
    assert_eq!(retried, JobState::Completed);
    world.succeeded(&failover).await;
    assert_eq!(end(&world, &failover, JobOperation::Confirm).await, JobState::Finished);
    world
}

async fn until(world: &World, job: &JobId, state: JobState) {
    while world.session().jobs().get(job).await.unwrap().state != state {
        tokio::task::yield_now().await;
    }
}

async fn end(world: &World, job: &JobId, operation: JobOperation) -> JobState {
    let session = world.session();
    session
        .jobs()
        .operate(job, operation, Default::default())
        .await
        .unwrap();
    session.jobs().wait(job).await.unwrap().state
}

const fn name(event: &Event) -> &'static str {
    match event {
        Event::Created { .. } => "created",
        Event::Frozen { .. } => "frozen",
        Event::Transition { .. } => "transition",
        Event::DeadlineMoved { .. } => "deadline moved",
        Event::Planned { .. } => "planned",
        Event::Decided { .. } => "decided",
        Event::Intent { .. } => "intent",
        Event::Progress { .. } => "progress",
        Event::Outcome { .. } => "outcome",
        Event::Skipped { .. } => "skipped",
        Event::Noted { .. } => "noted",
        Event::Reported { .. } => "reported",
        _ => "unknown",
    }
}

/// Each commit of the engine wrote a job's summary beside the entries. Replaying the journal up to there, from nothing but
/// its lines, gives that very summary.
#[tokio::test]
async fn every_prefix_folds_to_the_state_the_job_had() {
    let world = a_full_life().await;
    let mut entries = BTreeMap::new();
    let mut kinds = BTreeSet::new();
    let (mut compared, mut states) = (0, BTreeSet::new());
    for was in world.store.summaries() {
        if !entries.contains_key(&was.id) {
            let journal = world.session().jobs().journal(&was.id).await.unwrap();
            kinds.extend(journal.iter().map(|e| name(&e.event)));
            entries.insert(was.id.clone(), journal);
        }
        let prefix = &entries[&was.id][..usize::try_from(was.position).unwrap()];
        let replayed = JobView::fold(&was.id, prefix).unwrap();
        assert_eq!(replayed.summary(), was, "{} at {}", was.id, was.position);
        assert_eq!(replayed.position, was.position);
        states.insert(was.state.as_str());
        compared += 1;
    }
    println!("{compared} prefixes of {} journals, entries: {kinds:?}", entries.len());
    assert!(compared > 150, "{compared}");
    for kind in [
        "created",
        "frozen",
        "transition",
        "planned",
        "decided",
        "deadline moved",
        "intent",
        "outcome",
        "skipped",
        "reported",
    ] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    assert!(states.len() >= 8, "{states:?}");
    // The last one is what is told now.
    for (id, journal) in &entries {
        let view = world.session().jobs().view(id).await.unwrap();
        assert_eq!(view, JobView::fold(id, journal).unwrap());
        let recovered = view
            .instances()
            .values()
            .filter(|s| **s == InstanceRecoveryState::Success)
            .count();
        if view.work.recovery().is_some() {
            assert_eq!(recovered, 3);
        }
    }
}

/// A journal that was changed, holed or cut is told as such, and no engine goes on with its job.
#[tokio::test]
async fn a_journal_that_was_tampered_with_is_found_and_not_continued() {
    for how in [Tampering::Word, Tampering::Gap, Tampering::End] {
        let (mut world, group, plan) = World::new(ReplicationMode::Snapshot).await;
        let job = world
            .session()
            .jobs()
            .create(JobRequest::drill(group, plan))
            .await
            .unwrap();
        until(&world, &job, JobState::Running).await;
        world.engine.shutdown().await;
        let entries = world.session().jobs().journal(&job).await.unwrap();
        assert!(entries.len() >= 4, "{}", entries.len());
        world.store.tamper(Some(how));
        let expected = (ErrorKind::Corrupt, "journal.chain");
        for error in [
            world.session().jobs().journal(&job).await.unwrap_err(),
            world.session().jobs().view(&job).await.unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.code()), expected, "{how:?} {error}");
            assert!(error.remedy().is_some());
        }
        world.replace().await;
        let (dumps, commits) = (world.dumps(), world.store.commits());
        let error = world.engine.start().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), expected, "{how:?} {error}");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        world.same(&dumps, "a broken job");
        assert_eq!(world.store.commits(), commits, "{how:?}");
        // As it was, it goes on.
        world.store.tamper(None);
        world.restart().await;
        world.succeeded(&job).await;
    }
}

/// SM-64: in every state that a job can rest in, each operation is either taken or refused with nothing changed: no entry,
/// no commit, no call to a cloud.
#[tokio::test]
async fn a_refused_operation_changes_nothing() {
    let mut met = BTreeMap::new();
    for drill in [true, false] {
        let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
        let session = world.session();
        let jobs = session.jobs();
        let mut request = match drill {
            true => JobRequest::drill(group.clone(), plan.clone()),
            false => JobRequest::failover(group.clone(), plan.clone()),
        };
        if drill {
            let at = ns_core::ports::Clock::now(&world.clock) + jiff::SignedDuration::from_hours(1);
            let mut later = request.clone();
            later.execution = ns_core::model::ExecutionType::AtDateTime { at };
            let waiting = jobs.create(later).await.unwrap();
            refuses(&world, &waiting, JobState::Waiting, &mut met).await;
            jobs.delete(&waiting, false).await.unwrap();
        } else {
            request.exclude.insert(world.sample.servers[2].id.clone());
        }
        let job = jobs.create(request).await.unwrap();
        until(&world, &job, JobState::Running).await;
        jobs.operate(&job, JobOperation::Pause, Default::default())
            .await
            .unwrap();
        refuses(&world, &job, JobState::Paused, &mut met).await;
        jobs.operate(&job, JobOperation::Run, Default::default()).await.unwrap();
        jobs.wait(&job).await.unwrap();
        refuses(&world, &job, JobState::Completed, &mut met).await;
        let fault = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("remove");
        world.sim.faults().inject(fault);
        assert_eq!(end(&world, &job, JobOperation::Rollback).await, JobState::ClearFailed);
        refuses(&world, &job, JobState::ClearFailed, &mut met).await;
        world.sim.faults().clear();
        assert_eq!(end(&world, &job, JobOperation::RetryRollback).await, JobState::Finished);
        refuses(&world, &job, JobState::Finished, &mut met).await;
    }
    println!("{met:?}");
    assert_eq!(met.len(), 5, "{met:?}");
    assert!(met.values().sum::<usize>() >= 60, "{met:?}");
}

/// Tries every operation that is not allowed; all are refused.
async fn refuses(world: &World, job: &JobId, state: JobState, met: &mut BTreeMap<&'static str, usize>) {
    let session = world.session();
    let jobs = session.jobs();
    let allowed = jobs.allowed(job).await.unwrap();
    let before: JobSummary = jobs.get(job).await.unwrap();
    assert_eq!(before.state, state);
    let (journal, commits, dumps) = (jobs.journal(job).await.unwrap(), world.commits().await, world.dumps());
    let calls = world.sim.calls().len();
    for operation in JobOperation::ALL.iter().copied().filter(|o| !allowed.contains(o)) {
        let error = jobs.operate(job, operation, Default::default()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Refused, "job.operation"),
            "{operation} in {state}"
        );
        assert!(error.to_string().contains(state.as_str()), "{error}");
        assert!(error.remedy().is_some_and(|r| !r.is_empty()), "{error}");
        *met.entry(state.as_str()).or_default() += 1;
    }
    assert_eq!(jobs.get(job).await.unwrap(), before);
    assert_eq!(jobs.journal(job).await.unwrap(), journal);
    assert_eq!(world.commits().await, commits, "{state}");
    assert_eq!(world.sim.calls().len(), calls, "{state}");
    world.same(&dumps, "a refusal");
}
