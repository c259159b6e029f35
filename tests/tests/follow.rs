//! Groups and plans that are changed, and plans that follow what becomes of their Source by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::ErrorKind;
use ns_core::model::{
    CloudId, DataPoint, GroupId, InstanceMapping, JobId, JobOperation, JobState, PlanChange, PlanChangePart, PlanId,
    PlanStatus, ProtectionGroup, Query, RecoveryPlan, RecoveryPoint, ReplicationMode,
};
use ns_core::ports::Clock;
use ns_core::session::{GroupRequest, GroupUpdate, JobRequest, PlanUpdate};
use std::time::Duration;

async fn group_of(world: &World, id: &GroupId) -> ProtectionGroup {
    world.session().protection_groups().get(id).await.unwrap()
}

async fn plan_of(world: &World, id: &PlanId) -> RecoveryPlan {
    world.session().plans().get(id).await.unwrap()
}

async fn points(world: &World, group: &GroupId) -> Vec<RecoveryPoint> {
    let points = world.session();
    points.points().list(group, &Query::default()).await.unwrap().items
}

async fn another(world: &World, group: &GroupId) {
    world.clock.sleep(Duration::from_secs(5)).await;
    let (_, job) = world.session().points().create(group).await.unwrap();
    world.succeeded(&job).await;
    world.finish_all().await;
}

async fn sync(world: &World) {
    let cluster = world.session().clusters().by_name("site-a").await.unwrap().unwrap();
    world.session().clusters().sync(&cluster.id).await.unwrap();
}

async fn status(world: &World, plan: &PlanId) -> (PlanStatus, Vec<String>) {
    let assessment = world.session().plans().assess(plan).await.unwrap();
    let codes = assessment.reasons.into_iter().map(|r| r.code).collect();
    (assessment.status, codes)
}

async fn changes(world: &World, plan: &PlanId) -> Vec<PlanChange> {
    let changes = world.session();
    changes.plans().changes(plan, &Query::default()).await.unwrap().items
}

/// A member whose volumes are its own.
fn loner(world: &World) -> (CloudId, Vec<CloudId>) {
    let inventory = world.sim.inventory("a");
    let own = |id: &CloudId| inventory.volumes[id].attachments.len() == 1;
    let ids = world.sample.server_ids();
    let mut servers = ids.iter().map(|id| &inventory.instances[id]);
    let found = servers.find(|i| i.volume_ids.iter().all(own)).unwrap();
    (found.id.clone(), found.volume_ids.clone())
}

fn without(all: &[CloudId], one: &CloudId) -> Vec<CloudId> {
    all.iter().filter(|id| *id != one).cloned().collect()
}

/// PG-15, PG-17, REP-05, PLAN-93: what is taken out stays with the points that hold it, and its replica goes with the last of them.
#[tokio::test]
async fn pg_17_an_instance_that_is_taken_out_leaves_nothing_behind() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, group, plan) = World::new(mode).await;
        let (out, volumes) = loner(&world);
        let members = group_of(&world, &group).await.instances;
        let update = GroupUpdate {
            instances: Some(without(&members, &out)),
            rpo_minutes: Some(20),
            ..Default::default()
        };
        let session = world.session();
        let (changed, job) = session.protection_groups().update(&group, update).await.unwrap();
        assert_eq!(
            (changed.instances.len(), changed.rpo_minutes, job),
            (members.len() - 1, 20, None)
        );
        let now = plan_of(&world, &plan).await;
        assert!(!now.mapping.instances.contains_key(&out) && volumes.iter().all(|v| now.leaving.contains_key(v)));
        assert_eq!(status(&world, &plan).await, (PlanStatus::Normal, vec![]));
        let last = changes(&world, &plan).await.pop().unwrap();
        assert_eq!((last.version, last.actor.as_str()), (now.version, "anna"));
        assert!(
            last.parts
                .contains(&PlanChangePart::InstanceLeft { instance: out.clone() })
        );

        // The point that holds it is there, so it is still replicated.
        let replicated = |world: &World| world.sim.replicas("b").len();
        let before = replicated(&world);
        for n in 0..3 {
            assert_eq!(replicated(&world), before, "{mode:?}: after {n} points");
            another(&world, &group).await;
        }
        assert!(
            points(&world, &group)
                .await
                .iter()
                .all(|p| volumes.iter().all(|v| !p.volumes.contains_key(v)))
        );
        assert_eq!(plan_of(&world, &plan).await.leaving.len(), 0);
        world.clock.sleep(Duration::from_secs(120)).await;
        assert_eq!(replicated(&world), before - volumes.len(), "{mode:?}");
        let inventory = world.sim.inventory("a");
        assert!(
            volumes.iter().all(|v| inventory.volumes.contains_key(v)),
            "the Source keeps its volumes"
        );
    }
}

/// PG-16, PLAN-23, PLAN-24: one that is added is a warning until the plan is updated; then it is replicated and recovered.
#[tokio::test]
async fn pg_16_plan_23_plan_24_what_is_added_is_replicated_by_an_update_of_the_plan() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let (out, volumes) = loner(&world);
    let members = group_of(&world, &group).await.instances;
    let to = |instances: Vec<CloudId>| GroupUpdate {
        instances: Some(instances),
        ..Default::default()
    };
    session
        .protection_groups()
        .update(&group, to(without(&members, &out)))
        .await
        .unwrap();
    for _ in 0..3 {
        another(&world, &group).await;
    }
    world.clock.sleep(Duration::from_secs(120)).await;
    session.protection_groups().update(&group, to(members)).await.unwrap();
    let (now, codes) = status(&world, &plan).await;
    assert_eq!(now, PlanStatus::Warning);
    assert!(codes.iter().all(|c| c == "plan.resource_added"), "{codes:?}");
    let refused = session
        .jobs()
        .create(JobRequest::failover(group.clone(), plan.clone()))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "job.plan_status", "{refused}");

    // An update that maps nothing of it changes nothing (PLAN-26).
    let known = plan_of(&world, &plan).await;
    let refused = session.plans().update(&plan, PlanUpdate::default()).await.unwrap_err();
    assert!(refused.field().is_some_and(|f| f.contains(out.as_str())), "{refused}");
    assert_eq!(plan_of(&world, &plan).await, known);

    let mut mapping = known.mapping.clone();
    mapping.instances.insert(out.clone(), InstanceMapping::default());
    let update = PlanUpdate {
        mapping: Some(mapping),
        ..Default::default()
    };
    let (_, job) = session.plans().update(&plan, update).await.unwrap();
    world.succeeded(&job.expect("its volumes are mirrored")).await;
    world.finish_all().await;
    assert_eq!(status(&world, &plan).await, (PlanStatus::Normal, vec![]));
    let newest = points(&world, &group).await.pop().unwrap();
    assert!(volumes.iter().all(|v| newest.volumes.contains_key(v)));
    drill(&world, &group, &plan, None, 3).await;

    // Looked at and left as it is, nothing is replicated anew (PLAN-24).
    let (same, job) = session.plans().update(&plan, PlanUpdate::default()).await.unwrap();
    assert_eq!((same.mapping, job), (plan_of(&world, &plan).await.mapping, None));
}

/// Runs a drill to its end, and looks how many servers it made.
async fn drill(world: &World, group: &GroupId, plan: &PlanId, point: Option<&RecoveryPoint>, servers: usize) {
    let mut request = JobRequest::drill(group.clone(), plan.clone());
    if let Some(point) = point {
        let point_id = point.id.clone();
        request.data_point = DataPoint::SpecificSnapshot { point_id };
    }
    let job: JobId = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    let view = world.session().jobs().view(&job).await.unwrap();
    let made = view.instances();
    assert_eq!(made.len(), servers, "{made:?}");
    assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
}

/// PLAN-83, PLAN-93: what the Source has no more leaves group and plan by itself, and every point still recovers what it holds;
/// the newest that holds what vanished is kept until an operator has looked.
#[tokio::test]
async fn plan_83_a_deleted_instance_leaves_and_its_points_still_recover_it() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let (gone, volumes) = loner(&world);
    another(&world, &group).await;
    let whole = points(&world, &group).await;
    let version = plan_of(&world, &plan).await.version;
    world.sim.delete_server("a", &gone).unwrap();
    for volume in &volumes {
        world.sim.delete_volume("a", volume).unwrap();
    }
    world.clock.sleep(Duration::from_secs(60)).await;
    sync(&world).await;
    let members = group_of(&world, &group).await.instances;
    assert!(members.len() == 2 && !members.contains(&gone));
    assert_eq!(status(&world, &plan).await, (PlanStatus::Normal, vec![]));
    let last = changes(&world, &plan).await.pop().unwrap();
    assert_eq!((last.version, last.actor.as_str()), (version + 1, "engine"));

    // Points go on without it, and the last one with it stays.
    for _ in 0..5 {
        another(&world, &group).await;
    }
    let kept = points(&world, &group).await;
    assert_eq!((kept.len(), kept[0].id.clone()), (4, whole[1].id.clone()));
    drill(&world, &group, &plan, Some(&kept[0]), 3).await;
    drill(&world, &group, &plan, Some(&kept[3]), 2).await;

    // Looked at by hand, it is given up with the next point.
    world
        .session()
        .plans()
        .update(&plan, PlanUpdate::default())
        .await
        .unwrap();
    another(&world, &group).await;
    let kept = points(&world, &group).await;
    assert!(kept.len() == 3 && kept.iter().all(|p| !p.volumes.contains_key(&volumes[0])));
    assert_eq!(plan_of(&world, &plan).await.leaving.len(), 0);
}

/// PLAN-32, PLAN-83: a group of which everything was deleted keeps plan and points; an operator who takes the last member out has
/// to say that they go.
#[tokio::test]
async fn plan_32_protection_ends_only_when_an_operator_says_so() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let none = GroupUpdate {
        instances: Some(vec![]),
        ..Default::default()
    };
    let before = (group_of(&world, &group).await, plan_of(&world, &plan).await);
    let refused = session
        .protection_groups()
        .update(&group, none.clone())
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), refused.field()),
        ("group.end_protection", Some("end_protection"))
    );
    assert!(refused.remedy().is_some());
    assert_eq!((group_of(&world, &group).await, plan_of(&world, &plan).await), before);

    for server in world.sample.server_ids() {
        world.sim.delete_server("a", &server).unwrap();
    }
    sync(&world).await;
    assert_eq!((group_of(&world, &group).await, plan_of(&world, &plan).await), before);
    assert_eq!(points(&world, &group).await.len(), 1);

    let end = GroupUpdate {
        end_protection: true,
        ..none
    };
    let (ended, job) = session.protection_groups().update(&group, end).await.unwrap();
    assert!(ended.instances.is_empty());
    world.succeeded(&job.expect("the plan is deleted")).await;
    assert_eq!(
        session.plans().get(&plan).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(points(&world, &group).await.is_empty());
    session.protection_groups().delete(&group).await.unwrap();
}

/// PG-18, PLAN-28, PLAN-60: while a job of the group exists nothing is changed, by hand or by itself; afterwards it is.
#[tokio::test]
async fn pg_18_plan_28_nothing_changes_under_a_job() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let drill = session
        .jobs()
        .create(JobRequest::drill(group.clone(), plan.clone()))
        .await
        .unwrap();
    world.succeeded(&drill).await;
    let before = (group_of(&world, &group).await, plan_of(&world, &plan).await);
    let named = |error: &ns_core::Error| error.context().iter().any(|(_, v)| v.contains(drill.as_str()));
    let update = GroupUpdate {
        description: Some("new".into()),
        ..Default::default()
    };
    let refused = session
        .protection_groups()
        .update(&group, update.clone())
        .await
        .unwrap_err();
    assert!(refused.code() == "group.jobs" && named(&refused), "{refused}");
    let refused = session.plans().update(&plan, PlanUpdate::default()).await.unwrap_err();
    assert!(refused.code() == "plan.jobs" && named(&refused), "{refused}");
    let (gone, _) = loner(&world);
    world.sim.delete_server("a", &gone).unwrap();
    sync(&world).await;
    assert_eq!((group_of(&world, &group).await, plan_of(&world, &plan).await), before);

    assert_eq!(world.operate(&drill, JobOperation::Rollback).await, JobState::Finished);
    world.engine.start().await.unwrap();
    world.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(
        group_of(&world, &group).await.instances.len(),
        2,
        "the watch has looked"
    );
    let (changed, _) = session.protection_groups().update(&group, update).await.unwrap();
    assert_eq!(changed.description, "new");
    world.engine.shutdown().await;
}

/// PG-15, PG-19, PG-20, PLAN-22, PLAN-26, PLAN-27: the guards of an update name field and remedy, and change nothing.
#[tokio::test]
async fn pg_19_pg_20_plan_26_the_guards_of_an_update_change_nothing() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let (out, _) = loner(&world);
    let members = group_of(&world, &group).await.instances;
    let to = |instances: Vec<CloudId>| GroupUpdate {
        instances: Some(instances),
        ..Default::default()
    };
    let groups = session.protection_groups();
    groups.update(&group, to(without(&members, &out))).await.unwrap();
    let source = group_of(&world, &group).await.source_cluster;
    let other = GroupRequest {
        name: "other".into(),
        description: String::new(),
        owner_group_id: "ops".into(),
        source_cluster: source,
        instances: vec![out.clone()],
        rpo_minutes: 15,
        rto_minutes: 30,
        snapshot_interval: None,
    };
    let other = groups.create(other).await.unwrap();
    let before = (group_of(&world, &group).await, plan_of(&world, &plan).await);
    let refused = |error: ns_core::Error, code: &str, field: &str| {
        assert_eq!((error.code(), error.remedy().is_some()), (code, true), "{error}");
        assert!(error.field().is_some_and(|f| f.starts_with(field)), "{error}");
    };
    let taken = groups.update(&group, to(members.clone())).await.unwrap_err();
    refused(taken, "group.already_protected", "instances[");
    groups.delete(&other.id).await.unwrap();
    let foreign = |tenant: &str| {
        world
            .sim
            .edit("a", |i| i.instances.get_mut(&out).unwrap().tenant_id = tenant.into());
    };
    foreign("somebody-else");
    sync(&world).await;
    let projects = groups.update(&group, to(members.clone())).await.unwrap_err();
    refused(projects, "group.one_project", "instances");
    let name = GroupUpdate {
        name: Some("no blanks".into()),
        ..Default::default()
    };
    refused(
        groups.update(&group, name).await.unwrap_err(),
        "name.characters",
        "name",
    );

    let update = |change: fn(&mut PlanUpdate, &RecoveryPlan)| {
        let mut update = PlanUpdate::default();
        change(&mut update, &before.1);
        update
    };
    let count = update(|u, _| u.snapshot_retention = Some(49));
    refused(
        session.plans().update(&plan, count).await.unwrap_err(),
        "plan.retention",
        "snapshot_retention",
    );
    let types = update(|u, plan| {
        let mut mapping = plan.mapping.clone();
        mapping.volume_types.clear();
        u.mapping = Some(mapping);
    });
    refused(
        session.plans().update(&plan, types).await.unwrap_err(),
        "plan.mapping",
        "mapping.volume_types[",
    );
    assert_eq!((group_of(&world, &group).await, plan_of(&world, &plan).await), before);
}

/// PG-01, PG-05, PG-13, PG-21, PG-23, PLAN-01, PLAN-02, PLAN-03, PLAN-13, PLAN-15, PLAN-16, PLAN-22, REP-02, REP-06, REP-08 … REP-11:
/// a group with its plan and points, from its making to its end; a point shows the plan as it was.
#[tokio::test]
async fn a_group_and_its_plan_from_the_beginning_to_the_end() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let session = world.session();
    let found = group_of(&world, &group).await;
    assert_eq!(
        (found.name.as_str(), found.instances),
        ("shop", world.sample.server_ids())
    );
    assert_eq!(
        (found.rpo_minutes, found.rto_minutes, found.snapshot_interval),
        (15, 30, None)
    );
    let of_group = Query::default().equal("group_id", group.as_str());
    let plans = session.plans().list(&of_group).await.unwrap();
    assert_eq!((plans.total, &plans.items[0].id), (1, &plan));

    // On the Target there are two images of each volume: the replica, and the point's clone of it.
    let first = points(&world, &group).await;
    let replicas = world.sim.replicas("b").len();
    assert_eq!((first.len(), first[0].volumes.len()), (1, replicas));
    let vaults = world.sim.image_tokens("b").len();
    assert_eq!(vaults, replicas, "one vault clone for each replica");

    // A point by hand; then the plan is changed, and the point still shows it as it was.
    another(&world, &group).await;
    let update = PlanUpdate {
        name: Some("another-name".into()),
        snapshot_retention: Some(1),
        ..Default::default()
    };
    let (changed, job) = session.plans().update(&plan, update).await.unwrap();
    assert_eq!(
        (changed.name.as_str(), changed.snapshot_retention, job),
        ("another-name", 1, None)
    );
    let last = changes(&world, &plan).await.pop().unwrap();
    let fields = vec!["name".to_owned(), "snapshot_retention".to_owned()];
    assert_eq!(last.parts, [PlanChangePart::Updated { fields }]);
    let old = points(&world, &group).await;
    assert!(old.len() == 2 && old.iter().all(|p| p.plan.name != "another-name"));

    // The next one is the only one that is kept; with the others went what they knew of the plan.
    another(&world, &group).await;
    let kept = points(&world, &group).await;
    assert_eq!((kept.len(), kept[0].plan.name.as_str()), (1, "another-name"));
    assert_eq!(world.sim.image_tokens("b").len(), replicas);

    let job = session.plans().delete(&plan).await.unwrap();
    world.succeeded(&job).await;
    world.clock.sleep(Duration::from_secs(120)).await;
    assert_eq!(
        (world.sim.replicas("b").len(), world.sim.image_tokens("b").len()),
        (0, 0)
    );
    session.protection_groups().delete(&group).await.unwrap();
    assert_eq!(
        session.protection_groups().list(&Query::default()).await.unwrap().total,
        0
    );
}
