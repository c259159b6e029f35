//! What one person alone may not do (SEC-25).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::journal::{DecisionKind, Event};
use ns_core::model::{ApprovalId, ForceRight, JobOperation, JobState, Query, ReplicationMode, ResultCode, UserRole};
use ns_core::ports::Clock;
use ns_core::session::{GroupUpdate, JobRequest, OperationRequest};
use ns_core::{Actor, Engine, Error, ErrorKind, Session, Settings};
use std::sync::Arc;
use std::time::Duration;

/// The same world under an engine that asks for a second person.
async fn strict(mut world: World) -> World {
    world.engine.shutdown().await;
    let mut settings = Settings::default();
    settings.four_eyes = true;
    world.engine = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .settings(settings)
        .build()
        .unwrap();
    let clusters = world.session().clusters().list(&Query::default()).await.unwrap();
    for cluster in clusters {
        let site = cluster.name.strip_prefix("site-").unwrap();
        world.engine.attach(&cluster.id, world.providers(site));
    }
    world
}

fn member(world: &World, name: &str, role: UserRole) -> Session {
    world.engine.session(Actor::member(name, role, ["ops".into()]))
}

fn asked<T: std::fmt::Debug>(result: Result<T, Error>) -> ApprovalId {
    let error = result.unwrap_err();
    let seen = (error.kind(), error.code(), error.field());
    assert_eq!(seen, (ErrorKind::Refused, "approval.required", Some("approval_id")));
    let id = error.context().iter().find(|(key, _)| key == "approval").unwrap();
    ApprovalId::new(&*id.1)
}

/// A failover and its confirm: asked for by one, approved by another, done once; the journal, the decision and the audit trail tell.
#[tokio::test]
async fn sec_25_a_failover_needs_two() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let world = strict(world).await;
    let (otto, mina) = (
        member(&world, "otto", UserRole::Operator),
        member(&world, "mina", UserRole::Manager),
    );
    let request = JobRequest::failover(group.clone(), plan.clone());
    let id = asked(otto.jobs().create(request.clone()).await);
    assert_eq!(
        asked(otto.jobs().create(request.clone()).await),
        id,
        "one request for one call"
    );
    assert_eq!(
        world.session().approvals().list(&Query::default()).await.unwrap().total,
        1
    );

    // Not oneself, not without the right, not of another group.
    let vera = member(&world, "vera", UserRole::Viewer);
    for (session, code) in [(&otto, "approval.own"), (&vera, "access.role")] {
        let error = session.approvals().approve(&id).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, code));
    }
    let stranger = world
        .engine
        .session(Actor::member("nils", UserRole::Manager, ["other".into()]));
    assert_eq!(
        stranger.approvals().approve(&id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(stranger.approvals().list(&Query::default()).await.unwrap().total, 0);
    assert_eq!(mina.approvals().get(&id).await.unwrap().state.as_str(), "waiting");

    mina.approvals().approve(&id).await.unwrap();
    let again = mina.approvals().reject(&id).await.unwrap_err();
    assert_eq!((again.kind(), again.code()), (ErrorKind::Refused, "approval.decided"));
    // Given for this call, to this person.
    let other = JobRequest {
        exclude: world.sample.server_ids().into_iter().collect(),
        ..request.clone()
    };
    assert_eq!(otto.jobs().create(other).await.unwrap_err().code(), "job.nothing_left");
    let forced = JobRequest {
        force: Some(ForceRight {
            operator: "otto".into(),
            reason: "the site burns".into(),
            accepts_data_loss: true,
            without_fence: false,
        }),
        ..request.clone()
    };
    assert_ne!(asked(otto.jobs().create(forced).await), id);
    assert_ne!(asked(mina.jobs().create(request.clone()).await), id);
    let job = otto.jobs().create(request.clone()).await.unwrap();
    assert_eq!(mina.approvals().get(&id).await.unwrap().state.as_str(), "used");
    let done = otto.jobs().wait(&job).await.unwrap();
    assert_eq!(
        (done.state, done.result),
        (JobState::Completed, Some(ResultCode::Success))
    );
    let journal = otto.jobs().journal(&job).await.unwrap();
    let told = |e: &Event| matches!(e, Event::Decided { kind: DecisionKind::Approve, operator, facts, .. } if operator == "mina" && *facts == ["asked for by otto"]);
    assert_eq!(journal.iter().filter(|e| told(&e.event)).count(), 1);

    // The confirm needs its own; nobody has to approve what the state machine refuses.
    let reason = || OperationRequest {
        reason: "all is well".into(),
        ..Default::default()
    };
    let id = asked(otto.jobs().operate(&job, JobOperation::Confirm, reason()).await);
    assert_eq!(otto.jobs().get(&job).await.unwrap().state, JobState::Completed);
    mina.approvals().approve(&id).await.unwrap();
    otto.jobs()
        .operate(&job, JobOperation::Confirm, reason())
        .await
        .unwrap();
    let done = otto.jobs().wait(&job).await.unwrap();
    assert_eq!(done.state, JobState::Finished);
    let view = otto.jobs().view(&job).await.unwrap();
    assert!(
        view.decisions
            .iter()
            .any(|d| format!("{d:?}").contains("all is well (approved by mina)")),
        "{:?}",
        view.decisions
    );
    let report = otto.reports().get(&job).await.unwrap();
    let decided: Vec<_> = (report.facts.decisions.iter())
        .map(|d| (d.kind.as_str(), d.operator.as_str(), d.reason.as_str()))
        .collect();
    assert_eq!(
        decided,
        [
            ("approve", "mina", ""),
            ("confirm", "otto", "all is well (approved by mina)")
        ],
        "RES-03: the report tells who approved what"
    );
    let refused = otto
        .jobs()
        .operate(&job, JobOperation::Confirm, reason())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "job.operation");

    let root = world.session();
    let approved = (root.audit())
        .list(&Query::default().equal("approved_by", "mina"))
        .await
        .unwrap()
        .items;
    let told: Vec<_> = approved
        .iter()
        .map(|e| (e.actor.as_str(), e.action.as_str(), e.outcome.as_str()))
        .collect();
    assert_eq!(
        told,
        [("otto", "jobs.create", "done"), ("otto", "jobs.confirm", "done")]
    );
}

/// A drill and a rollback need nobody; a no is a no until the request expires, and a yes is worth nothing after that.
#[tokio::test]
async fn sec_25_no_late_and_not_needed() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let world = strict(world).await;
    let (otto, mina) = (
        member(&world, "otto", UserRole::Manager),
        member(&world, "mina", UserRole::Manager),
    );
    let drill = otto
        .jobs()
        .create(JobRequest::drill(group.clone(), plan.clone()))
        .await
        .unwrap();
    otto.jobs().wait(&drill).await.unwrap();
    otto.jobs()
        .operate(&drill, JobOperation::Rollback, OperationRequest::default())
        .await
        .unwrap();
    otto.jobs().wait(&drill).await.unwrap();

    let id = asked(otto.plans().delete(&plan).await);
    mina.approvals().reject(&id).await.unwrap();
    let no = otto.plans().delete(&plan).await.unwrap_err();
    assert_eq!(
        (no.kind(), no.code(), no.field()),
        (ErrorKind::Refused, "approval.rejected", Some("approval_id"))
    );
    // Taking out the last member ends the protection just as well.
    let empty = GroupUpdate {
        instances: Some(vec![]),
        end_protection: true,
        ..Default::default()
    };
    assert_eq!(
        otto.protection_groups().update(&group, empty).await.unwrap_err().code(),
        "approval.rejected"
    );

    world.clock.sleep(Duration::from_secs(3600)).await;
    let id = asked(otto.plans().delete(&plan).await);
    mina.approvals().approve(&id).await.unwrap();
    world.clock.sleep(Duration::from_secs(3600)).await;
    let id = asked(otto.plans().delete(&plan).await);
    world.clock.sleep(Duration::from_secs(3600)).await;
    let late = mina.approvals().approve(&id).await.unwrap_err();
    assert_eq!((late.kind(), late.code()), (ErrorKind::Refused, "approval.expired"));
    assert!(world.session().plans().get(&plan).await.is_ok());

    let id = asked(otto.plans().delete(&plan).await);
    mina.approvals().approve(&id).await.unwrap();
    let job = otto.plans().delete(&plan).await.unwrap();
    world.succeeded(&job).await;
}

/// Without the setting nobody is asked.
#[tokio::test]
async fn sec_25_is_a_choice() {
    let (world, _, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let job = world.session().plans().delete(&plan).await.unwrap();
    world.succeeded(&job).await;
    assert_eq!(
        world.session().approvals().list(&Query::default()).await.unwrap().total,
        0
    );
}
