//! Reports: of every job, found again, held against the journal, kept or deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::model::{JobId, JobOperation, JobState, OwnerGroupId, Query, ReplicationMode, ResultCode, UserRole};
use ns_core::report::{RecoveryReport, ReportTable};
use ns_core::session::JobRequest;
use ns_core::{Actor, ErrorKind};

/// A drill that succeeded and a failover that was rolled back.
async fn history() -> (World, ns_core::model::GroupId, JobId, JobId) {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    let session = world.session();
    let mut jobs = Vec::new();
    for request in [
        JobRequest::drill(group.clone(), plan.clone()),
        JobRequest::failover(group.clone(), plan.clone()),
    ] {
        let job = session.jobs().create(request).await.unwrap();
        world.succeeded(&job).await;
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        jobs.push(job);
    }
    let [drill, failover] = jobs.try_into().unwrap();
    (world, group, drill, failover)
}

/// RES-01, RES-02, RES-04, RES-06, RES-08: every job that has ended has one; they are found by group, kind and result, by those
/// who may see the group.
#[tokio::test]
async fn res_01_res_02_res_06_reports_are_found() {
    let (world, group, drill, failover) = history().await;
    let session = world.session();
    let find = async |query: Query| {
        let found = session.reports().list(&query).await.unwrap();
        found.items.into_iter().map(|r| r.facts.job.id).collect::<Vec<_>>()
    };
    let of_group = Query::default().equal("group_id", group.as_str());
    assert_eq!(find(of_group.clone()).await, [drill.clone(), failover.clone()]);
    assert_eq!(find(of_group.equal("kind", "failover")).await, [failover]);
    let success = Query::default().equal("result", ResultCode::Success.as_str());
    assert_eq!(find(success.equal("kind", "drill")).await, std::slice::from_ref(&drill));
    assert!(
        find(Query::default().equal("result", ResultCode::Failed.as_str()))
            .await
            .is_empty()
    );

    let viewer = |owner: &str| Actor::member("vera", UserRole::Viewer, [OwnerGroupId::new(owner)]);
    let own = world.engine.session(viewer("ops"));
    assert_eq!(own.reports().get(&drill).await.unwrap().facts.job.id, drill);
    let other = world.engine.session(viewer("bank"));
    assert_eq!(other.reports().list(&Query::default()).await.unwrap().total, 0);
    assert_eq!(
        other.reports().get(&drill).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

/// RES-03, UI-26: what happened, when, to what, and what took the time.
#[tokio::test]
async fn res_03_ui_26_a_report_tells_the_whole_job() {
    let (world, _, drill, _) = history().await;
    let report = world.session().reports().get(&drill).await.unwrap();
    let (facts, measured) = (&report.facts, &report.measured);
    let names: Vec<_> = facts.instances.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["web-1", "web-2"]);
    assert!(facts.tasks.iter().any(|t| t.phase == "run") && facts.tasks.iter().any(|t| t.phase == "rollback"));
    // The steps and the waits between them are the whole recovery time, to the rounding.
    let sum: u64 = measured.critical_path.iter().map(|s| s.waited_ms + s.took_ms).sum();
    let whole = (facts.job.completed_at.unwrap()).duration_since(facts.job.started_at.unwrap());
    let rest = u64::try_from(whole.as_millis()).unwrap() - sum;
    assert!(
        rest <= 1000,
        "{rest} ms after the last task: {:?}",
        measured.critical_path
    );
    let last = measured.critical_path.last().unwrap();
    assert!(last.key.starts_with("server/"), "{last:?}");
    for table in ReportTable::ALL {
        assert!(report.csv(*table).unwrap().ends_with("\r\n"));
    }
    assert!(report.html().unwrap().contains("class=\"lane\""));
}

/// OPEN-27: data and page are what the engine made, or are refused. A report that is a report, but not this one, too.
#[tokio::test]
async fn open_27_a_changed_report_is_found() {
    let (world, _, drill, failover) = history().await;
    let session = world.session();
    let reports = session.reports();
    let report = reports.get(&drill).await.unwrap();
    for document in [report.json().unwrap(), report.html().unwrap()] {
        let verified = reports.verify(&document).await.unwrap();
        assert_eq!(verified.report, report);
        assert!(verified.made_at >= report.facts.job.ended_at);
        let better = document.replace("\"web-1\"", "\"web-9\"");
        assert_ne!(better, document);
        assert_eq!(reports.verify(&better).await.unwrap_err().code(), "report.changed");
    }
    // Every number made to fit: only the journal knows.
    let mut forged = report.clone();
    forged.facts.job.actor = "bob".into();
    for document in [forged.json().unwrap(), forged.html().unwrap()] {
        assert_eq!(RecoveryReport::from_document(&document).unwrap(), forged);
        let error = reports.verify(&document).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "report.changed"));
        assert!(error.remedy().is_some());
    }
    let mut other = reports.get(&failover).await.unwrap();
    other.facts.job.id = drill;
    assert_eq!(
        reports.verify(&other.json().unwrap()).await.unwrap_err().code(),
        "report.changed"
    );
    assert_eq!(reports.verify("{}").await.unwrap_err().code(), "report.decode");
}

/// RES-05: drills only; a deleted one can still be verified.
#[tokio::test]
async fn res_05_reports_of_drills_can_be_deleted() {
    let (world, _, drill, failover) = history().await;
    let session = world.session();
    let kept = session.reports().get(&failover).await.unwrap();
    let error = session.reports().delete(&failover).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.field()),
        (ErrorKind::Refused, "report.kept", Some("job"))
    );
    assert_eq!(session.reports().get(&failover).await.unwrap(), kept);
    let vera = world
        .engine
        .session(Actor::member("vera", UserRole::Viewer, ["ops".into()]));
    assert_eq!(vera.reports().delete(&drill).await.unwrap_err().code(), "access.role");

    let page = session.reports().get(&drill).await.unwrap().html().unwrap();
    let olga = world
        .engine
        .session(Actor::member("olga", UserRole::Operator, ["ops".into()]));
    olga.reports().delete(&drill).await.unwrap();
    assert_eq!(
        session.reports().get(&drill).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        session.reports().delete(&drill).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    session.reports().verify(&page).await.unwrap();
}
