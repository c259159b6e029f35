use crate::world::{World, group, id, instance, volume};
use crate::{exactly, fact};
use ns_core::ErrorKind::{self, Conflict, Invalid, NotFound, Refused};
use ns_core::model::{ConnectionState, IntervalUnit, Resource, SnapshotInterval, SyncState};
use ns_core::rules::{check_group, check_group_delete, group_violations, group_warnings, unprotected};

#[track_caller]
fn refuses(kind: ErrorKind, code: &str, field: &str, spoil: impl FnOnce(&mut World)) -> ns_core::Error {
    let mut world = World::new();
    spoil(&mut world);
    exactly(
        &group_violations(&world.group, &world.group_facts()),
        &[(kind, code, field)],
    );
    check_group(&world.group, &world.group_facts()).unwrap_err()
}

#[test]
fn a_good_group_is_allowed() {
    let mut world = World::new();
    world.groups = vec![world.group.clone(), group("g2", &["batch"])];
    check_group(&world.group, &world.group_facts()).unwrap();
}

#[test]
fn pg_06_names() {
    refuses(Invalid, "name.characters", "name", |w| w.group.name = "my group".into());
    refuses(Conflict, "name.taken", "name", |w| {
        w.groups = vec![group("g2", &["batch"])];
        w.group.name = "g2".into();
    });
    // Unique within the owner group only.
    let mut world = World::new();
    let mut other = group("g2", &["batch"]);
    (other.name, other.owner_group_id) = ("g1".into(), "others".into());
    world.groups = vec![other];
    check_group(&world.group, &world.group_facts()).unwrap();
}

#[test]
fn open_07_open_08_ranges() {
    for (value, ok) in [(0, false), (1, true), (366 * 24 * 60, true), (366 * 24 * 60 + 1, false)] {
        if ok {
            let mut world = World::new();
            (world.group.rpo_minutes, world.group.rto_minutes) = (value, value);
            check_group(&world.group, &world.group_facts()).unwrap();
        } else {
            refuses(Invalid, "group.range", "rpo_minutes", |w| w.group.rpo_minutes = value);
            refuses(Invalid, "group.range", "rto_minutes", |w| w.group.rto_minutes = value);
        }
    }
}

#[test]
fn open_08_sch_06_sch_07_sch_08_sch_09_how_often_points_are_made() {
    let mut by_hand = World::new();
    by_hand.group.snapshot_interval = None;
    check_group(&by_hand.group, &by_hand.group_facts()).unwrap();
    for (unit, least, most) in [
        (IntervalUnit::Minutes, 10, 366 * 24 * 60),
        (IntervalUnit::Hours, 1, 366 * 24),
        (IntervalUnit::Days, 1, 366),
        (IntervalUnit::Weeks, 1, 52),
        (IntervalUnit::Months, 1, 12),
    ] {
        for every in [least, most] {
            let mut world = World::new();
            world.group.snapshot_interval = Some(SnapshotInterval { every, unit });
            check_group(&world.group, &world.group_facts()).unwrap();
        }
        for every in [0, least - 1, most + 1, u32::MAX] {
            let error = refuses(Invalid, "group.range", "snapshot_interval", |w| {
                w.group.snapshot_interval = Some(SnapshotInterval { every, unit });
            });
            assert_eq!(error.message(), format!("{every} {unit} are out of range"));
            assert_eq!(error.remedy(), Some(format!("give {least} to {most} {unit}").as_str()));
        }
    }
}

/// OPEN-07: the longest that an interval can be is what an objective is held against.
#[test]
fn open_07_an_objective_below_the_interval_is_told() {
    for (interval, enough, text) in [
        (SnapshotInterval::minutes(60), 60, "every 60 minutes"),
        (SnapshotInterval::hours(1), 60, "every hour"),
        (SnapshotInterval::days(2), 2 * 24 * 60, "every 2 days"),
        (SnapshotInterval::weeks(1), 7 * 24 * 60, "every week"),
        (SnapshotInterval::months(1), 31 * 24 * 60, "every month"),
    ] {
        let mut world = World::new();
        world.group.snapshot_interval = Some(interval);
        world.group.rpo_minutes = enough;
        assert_eq!(group_warnings(&world.group), []);
        world.group.rpo_minutes = enough - 1;
        let told = group_warnings(&world.group);
        assert_eq!((told.len(), told[0].code.as_str()), (1, "group.rpo_below_interval"));
        let message = format!("recovery points come {text}, the objective is {} minutes", enough - 1);
        assert_eq!(told[0].message, message);
    }
}

#[test]
fn pg_12_pg_25_the_source_is_ready() {
    for sync in [
        SyncState::Init,
        SyncState::Running { complete_at: None },
        SyncState::Failed {
            reason: "no answer".into(),
            complete_at: None,
        },
    ] {
        refuses(Refused, "group.sync", "source_cluster", |w| w.source.sync = sync);
    }
    refuses(Refused, "group.source_inactive", "source_cluster", |w| {
        w.source.connection = ConnectionState::Inactive
    });
    refuses(Invalid, "group.source", "source_cluster", |w| {
        w.group.source_cluster = "busan".into()
    });
}

#[test]
fn pg_18_no_change_while_jobs_exist() {
    let error = refuses(Refused, "group.jobs", "jobs", |w| {
        w.jobs = vec!["j1".into(), "j2".into()]
    });
    assert_eq!(fact(&error, "jobs"), Some("j1, j2"));
}

#[test]
fn members_exist_once() {
    refuses(Invalid, "group.empty", "instances", |w| w.group.instances.clear());
    refuses(Invalid, "group.duplicate", "instances[web]", |w| {
        w.group.instances.push(id("web"))
    });
    refuses(NotFound, "group.instance", "instances[ghost]", |w| {
        w.group.instances.push(id("ghost"))
    });
    refuses(Refused, "group.boot_from_volume", "instances[web]", |w| {
        w.source_instance("web").boots_from_volume = false
    });
    refuses(NotFound, "group.volume", "instances[web]", |w| {
        w.source_inventory.volumes.remove(&id("web-root"));
    });
}

#[test]
fn pg_08_already_protected() {
    let error = refuses(Refused, "group.already_protected", "instances[db]", |w| {
        w.groups = vec![group("g2", &["db", "batch"])]
    });
    assert_eq!(fact(&error, "group"), Some("g2"));
    // Another cluster's instance of the same id is another instance.
    let mut world = World::new();
    let mut other = group("g2", &["db"]);
    other.source_cluster = "daegu".into();
    world.groups = vec![other];
    check_group(&world.group, &world.group_facts()).unwrap();
}

#[test]
fn pg_09_one_project() {
    let error = refuses(Refused, "group.one_project", "instances", |w| {
        w.group.instances.push(id("alien"))
    });
    assert_eq!(fact(&error, "projects"), Some("shop, zoo"));
}

#[test]
fn pg_07_shared_volumes_stay_together() {
    // Both lists say it.
    let error = refuses(Refused, "group.shared_volume", "instances", |w| {
        w.source_inventory
            .insert(Resource::Volume(volume("db-data", &["db", "batch"])));
        w.source_instance("batch").volume_ids.push(id("db-data"));
    });
    assert_eq!(
        (fact(&error, "missing"), fact(&error, "volumes")),
        (Some("batch"), Some("db-data"))
    );
    // Only the volume says it, or only the instance.
    refuses(Refused, "group.shared_volume", "instances", |w| {
        w.source_inventory
            .insert(Resource::Volume(volume("db-data", &["db", "batch"])));
    });
    refuses(Refused, "group.shared_volume", "instances", |w| {
        w.source_inventory
            .insert(Resource::Instance(instance("batch", &["batch-root", "db-data"])));
    });
    // Together they are fine.
    let mut world = World::new();
    world
        .source_inventory
        .insert(Resource::Volume(volume("db-data", &["db", "batch"])));
    world.group.instances.push(id("batch"));
    check_group(&world.group, &world.group_facts()).unwrap();
}

#[test]
fn lim_01_lim_02_volumes_that_cannot_be_recovered() {
    let in_group = |w: &mut World| w.source_volume("db-data").volume_group_id = Some(id("vg"));
    let error = refuses(Refused, "group.volume_group", "instances[db]", in_group);
    assert_eq!(fact(&error, "volume"), Some("db-data"));
    let error = refuses(Refused, "group.volume_from_snapshot", "instances[db]", |w| {
        w.source_volume("db-data").source_snapshot_id = Some(id("s"));
    });
    assert_eq!(fact(&error, "volume"), Some("db-data"));
    // CON-37: volume groups of our own do not count.
    let mut world = World::new();
    in_group(&mut world);
    world.own_volume_groups.insert(id("vg"));
    check_group(&world.group, &world.group_facts()).unwrap();
}

#[test]
fn everything_wrong_is_listed_and_the_first_says_how_much_more() {
    let mut world = World::new();
    world.group.name = String::new();
    world.group.rto_minutes = 0;
    world.group.instances.push(id("ghost"));
    exactly(
        &group_violations(&world.group, &world.group_facts()),
        &[
            (Invalid, "name.length", "name"),
            (Invalid, "group.range", "rto_minutes"),
            (NotFound, "group.instance", "instances[ghost]"),
        ],
    );
    let error = check_group(&world.group, &world.group_facts()).unwrap_err();
    assert_eq!((error.code(), fact(&error, "further")), ("name.length", Some("2")));
}

#[test]
fn pg_22_no_deletion_with_a_plan() {
    check_group_delete(&[]).unwrap();
    let error = check_group_delete(&["p1".into()]).unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), fact(&error, "plans")),
        (Refused, "group.plan", Some("p1"))
    );
}

#[test]
fn pg_02_unprotected_instances() {
    let world = World::new();
    let mut elsewhere = group("g3", &["alien"]);
    elsewhere.source_cluster = "daegu".into();
    let left = unprotected(
        &world.source.id,
        &world.source_inventory,
        &[world.group.clone(), elsewhere],
    );
    assert_eq!(left.map(|i| i.name.as_str()).collect::<Vec<_>>(), ["alien", "batch"]);
}
