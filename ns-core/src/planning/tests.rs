//! The laws of planning, on a small group: three instances, one of them with a second volume, two sharing one.

use super::*;
use crate::model::*;
use crate::provider::{CreatedKind, Handle, Mark, Ref, Spec};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn id(text: &str) -> CloudId {
    CloudId::new(text)
}

fn flavor() -> Flavor {
    Flavor {
        id: id("f1"),
        name: "m1.lab".into(),
        vcpus: 1,
        memory_mib: 128,
        disk_gib: 0,
        ephemeral_gib: 0,
        swap_mib: 0,
        public: true,
        extra_specs: BTreeMap::new(),
    }
}

/// web (boot volume, data volume, floating IP), db1 and db2 (boot volumes, one shared volume).
fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let mut add = |r: Resource| inventory.insert(r);
    add(Resource::Network(Network {
        id: id("net"),
        name: "net".into(),
        tenant_id: id("t"),
        external: false,
        shared: false,
        mtu: None,
    }));
    add(Resource::Subnet(Subnet {
        id: id("sub"),
        name: "sub".into(),
        network_id: id("net"),
        tenant_id: id("t"),
        cidr: "10.0.0.0/24".into(),
        ip_version: 4,
        gateway_ip: Some("10.0.0.1".into()),
        dhcp: true,
        allocation_pools: vec![],
        dns_nameservers: vec![],
        host_routes: vec![],
    }));
    add(Resource::Router(Router {
        id: id("r"),
        name: "r".into(),
        tenant_id: id("t"),
        external_network_id: Some(id("ext")),
        subnet_ids: vec![id("sub")],
    }));
    let rule = SecurityGroupRule {
        ingress: true,
        ip_version: 4,
        protocol: None,
        port_min: None,
        port_max: None,
        remote_cidr: None,
        remote_group_id: Some(id("sg")),
    };
    add(Resource::SecurityGroup(SecurityGroup {
        id: id("sg"),
        name: "default".into(),
        description: String::new(),
        tenant_id: id("t"),
        rules: vec![rule],
    }));
    add(Resource::FloatingIp(FloatingIp {
        id: id("fip"),
        name: "198.51.100.7".into(),
        address: "198.51.100.7".into(),
        tenant_id: id("t"),
        network_id: id("ext"),
        port_id: Some(id("p-web")),
    }));
    for (name, volumes) in [
        ("web", vec!["v-web", "v-data"]),
        ("db1", vec!["v-db1", "v-shared"]),
        ("db2", vec!["v-db2", "v-shared"]),
    ] {
        for v in &volumes {
            add(Resource::Volume(Volume {
                id: id(v),
                name: (*v).into(),
                tenant_id: id("t"),
                size_gib: 1,
                status: "in-use".into(),
                volume_type: "ceph".into(),
                bootable: true,
                multiattach: *v == "v-shared",
                attachments: vec![],
                volume_group_id: None,
                source_snapshot_id: None,
                metadata: BTreeMap::new(),
                image_metadata: BTreeMap::new(),
                storage: Some(StorageRef::new(format!("rbd:volumes/{v}"))),
            }));
        }
        add(Resource::Port(Port {
            id: id(&format!("p-{name}")),
            name: String::new(),
            tenant_id: id("t"),
            network_id: id("net"),
            device_id: name.into(),
            device_owner: "compute:nova".into(),
            mac: "fa:16:3e:00:00:01".into(),
            fixed_ips: vec![(id("sub"), "10.0.0.9".into())],
            security_group_ids: vec![id("sg")],
        }));
        add(Resource::Instance(Instance {
            id: id(name),
            name: name.into(),
            tenant_id: id("t"),
            power: PowerState::Running,
            status: "ACTIVE".into(),
            flavor: flavor(),
            availability_zone: "nova".into(),
            host: None,
            keypair: None,
            volume_ids: volumes.iter().map(|v| id(v)).collect(),
            boots_from_volume: true,
            port_ids: vec![id(&format!("p-{name}"))],
            metadata: BTreeMap::new(),
            user_data: None,
            fault: None,
        }));
    }
    inventory
}

fn plan() -> RecoveryPlan {
    let after_db = InstanceMapping {
        boot_after: BTreeSet::from([id("db1"), id("db2")]),
        ..Default::default()
    };
    let volumes = ["v-web", "v-data", "v-db1", "v-db2", "v-shared"].map(|v| {
        let volume = ReplicatedVolume {
            volume_id: id(v),
            source: StorageRef::new(format!("rbd:volumes/{v}")),
            replication_id: ReplicationId::new(format!("g-{v}")),
            target: StorageRef::new(format!("rbd:volumes/{v}")),
        };
        (id(v), volume)
    });
    RecoveryPlan {
        id: PlanId::new("plan"),
        name: "plan".into(),
        group_id: GroupId::new("group"),
        target_cluster: ClusterId::new("b"),
        snapshot_retention: 3,
        replication_mode: ReplicationMode::Snapshot,
        parent_policy: ParentPolicy::Flatten,
        mapping: ResourceMapping {
            tenant_name: "recovered".into(),
            availability_zones: BTreeMap::from([("nova".into(), "nova".into())]),
            volume_types: BTreeMap::from([("ceph".into(), "ceph".into())]),
            external_networks: BTreeMap::from([(id("ext"), id("ext-b"))]),
            floating_ips: BTreeMap::new(),
            instances: BTreeMap::from([(id("web"), after_db)]),
        },
        volumes: BTreeMap::from(volumes),
        leaving: BTreeMap::new(),
        home: None,
        version: 1,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        modified_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn point() -> RecoveryPoint {
    let plan = plan();
    let volumes = plan.volumes.values().map(|v| {
        let part = PointVolume {
            volume_id: v.volume_id.clone(),
            replication_id: v.replication_id.clone(),
            snapshot: "neverstop-p".into(),
            vault: StorageRef::new(format!("rbd:volumes/vault-{}", v.volume_id)),
        };
        (v.volume_id.clone(), part)
    });
    RecoveryPoint {
        id: PointId::new("p"),
        group_id: GroupId::new("group"),
        plan_id: PlanId::new("plan"),
        job_id: JobId::new("j0"),
        taken_at: jiff::Timestamp::UNIX_EPOCH,
        complete_at: jiff::Timestamp::UNIX_EPOCH,
        consistency: Consistency::Crash,
        volumes: volumes.collect(),
        plan: plan.clone(),
        inventory: inventory(),
        manifest: Manifest::default(),
        contents: BTreeMap::new(),
    }
}

fn recovery(data: RecoveryData<'_>, isolated: bool, only: &[&str]) -> TaskGraph {
    recovery_of(&plan(), data, isolated, only)
}

fn recovery_of(plan: &RecoveryPlan, data: RecoveryData<'_>, isolated: bool, only: &[&str]) -> TaskGraph {
    let inventory = inventory();
    let instances = only.iter().map(|i| id(i)).collect();
    let target_flavors = BTreeMap::from([(
        id("f-b"),
        Flavor {
            id: id("f-b"),
            ..flavor()
        },
    )]);
    plan_recovery(&RecoveryInputs {
        job_id: &JobId::new("j1"),
        plan,
        instances: &instances,
        inventory: &inventory,
        target_flavors: &target_flavors,
        data,
        isolated,
        fence: None,
        home: None,
        suffix: "x",
        prefix: "",
    })
    .unwrap()
}

const ALL: &[&str] = &["web", "db1", "db2"];

/// Whether `later` can only run after `earlier` succeeded.
fn comes_after(graph: &TaskGraph, later: &str, earlier: &str) -> bool {
    let mut todo = vec![TaskKey::new(later)];
    while let Some(key) = todo.pop() {
        if key.as_str() == earlier {
            return true;
        }
        todo.extend(graph.tasks[&key].after.iter().cloned());
    }
    false
}

/// Data safety 1: before a replica is promoted every instance that may write to it is stopped, the Source is demoted, and the
/// demotion has arrived. Also for instances that are left out of the recovery.
#[test]
fn hand_over_promotes_only_what_nobody_can_write_to() {
    for only in [ALL, &["db1"]] {
        let graph = recovery(RecoveryData::HandOver { stop_source: true }, false, only);
        for (volume, writers) in [("v-db1", vec!["db1"]), ("v-shared", vec!["db1", "db2"])] {
            let promote = format!("promote/{volume}");
            assert!(comes_after(&graph, &promote, &format!("demoted/{volume}")));
            assert!(comes_after(&graph, &promote, &format!("demote/{volume}")));
            for writer in writers {
                assert!(
                    comes_after(&graph, &promote, &format!("stop/{writer}")),
                    "{writer} may still write to {volume}"
                );
            }
            assert!(
                comes_after(&graph, &format!("volume/{volume}"), &promote),
                "only a promoted image is adopted"
            );
        }
    }
}

/// Data safety 2 and OPEN-17: a drill works on vault clones, does nothing on the Source and has no way out.
#[test]
fn drill_touches_neither_source_nor_replicas_nor_outside_networks() {
    let point = point();
    let graph = recovery(
        RecoveryData::Point {
            point: &point,
            stop_source: false,
        },
        true,
        ALL,
    );
    for task in graph.tasks.values() {
        assert_eq!(task.action.words().1, Some(Side::Target), "{task}");
        match &task.action {
            Action::Create { spec, .. } => assert!(
                !matches!(
                    spec.kind(),
                    CreatedKind::Router | CreatedKind::RouterInterface | CreatedKind::FloatingIp
                ),
                "{task}"
            ),
            Action::Clone { image, snapshot, .. } => {
                assert!(matches!(image, ImageRef::Known(i) if i.as_str().contains("vault-")));
                assert_eq!(snapshot, VAULT_BASE);
            }
            Action::Adopt { image, .. } => assert!(matches!(image, ImageRef::OutputOf(_))),
            other => panic!("a drill does not {other:?}"),
        }
    }
}

/// A failover to a point stops the Source's instances first but leaves replication alone.
#[test]
fn failover_to_a_point_stops_the_source_and_boots_clones() {
    let point = point();
    let graph = recovery(
        RecoveryData::Point {
            point: &point,
            stop_source: true,
        },
        false,
        ALL,
    );
    assert!(comes_after(&graph, "server/web", "stop/web"));
    assert!(
        graph
            .tasks
            .values()
            .all(|t| !matches!(t.action, Action::Promote { .. } | Action::Demote { .. }))
    );
}

/// A forced failover asks a half-dead Source to stop but does not wait for its success, and carries its decision.
#[test]
fn forced_failover_does_not_depend_on_the_source() {
    let data = RecoveryData::Forced {
        decision: "j1-5",
        epoch: 2,
        stop_source: true,
    };
    let graph = recovery(data, false, ALL);
    let promote = &graph.tasks[&TaskKey::new("promote/v-web")];
    assert!(matches!(&promote.action, Action::ForcePromote { decision, epoch: 2, .. } if decision == "j1-5"));
    assert!(promote.after.is_empty());
    assert_eq!(promote.order, BTreeSet::from([TaskKey::new("stop/web")]));
}

/// OPEN-16: what boots after an instance waits until that is ready, and no instance fails for it. An isolated drill has no way in.
#[test]
fn open_16_readiness_holds_up_what_boots_after() {
    let ready = |probe| ReadinessCheck::new(probe);
    let with = |probe: Probe, isolated: bool, boot: bool| {
        let mut plan = plan();
        let db1 = InstanceMapping {
            ready: Some(ready(probe)),
            boot,
            ..InstanceMapping::default()
        };
        plan.mapping.instances.insert(id("db1"), db1);
        recovery_of(&plan, RecoveryData::HandOver { stop_source: true }, isolated, ALL)
    };
    let graph = with(Probe::Port { port: 5432 }, false, true);
    let (key, db1, db2) = (
        TaskKey::new("ready/db1"),
        TaskKey::new("server/db1"),
        TaskKey::new("server/db2"),
    );
    let wait = &graph.tasks[&key];
    assert_eq!(
        wait.to_string(),
        "wait until port 5432 answers on the Target (ready/db1)"
    );
    assert_eq!((&wait.after, wait.instances.len()), (&BTreeSet::from([db1.clone()]), 0));
    let web = TaskKey::new("server/web");
    assert_eq!(graph.tasks[&web].order, BTreeSet::from([key.clone(), db2.clone()]));
    let port = || Probe::Port { port: 5432 };
    for (graph, up) in [
        (with(port(), true, true), db1),
        (with(port(), false, false), TaskKey::new("stay-off/db1")),
    ] {
        assert!(!graph.tasks.contains_key(&key));
        assert_eq!(graph.tasks[&web].order, BTreeSet::from([up, db2.clone()]));
    }
    let inside = Probe::GuestCommand {
        command: vec!["pg_isready".into(), "--quiet".into()],
    };
    let drill = with(inside, true, true);
    assert_eq!(
        drill.tasks[&key].action.words().0,
        "wait until the guest's command pg_isready succeeds"
    );
}

/// PLAN-07: an instance is made only when those before it have ended, and a failed one does not hold it up.
#[test]
fn boot_order_orders_without_making_dependent() {
    let graph = recovery(RecoveryData::HandOver { stop_source: true }, false, ALL);
    let web = &graph.tasks[&TaskKey::new("server/web")];
    assert_eq!(
        web.order,
        BTreeSet::from([TaskKey::new("server/db1"), TaskKey::new("server/db2")])
    );
    assert!(!comes_after(&graph, "server/web", "server/db1"));
    let alone = recovery(RecoveryData::HandOver { stop_source: true }, false, &["web"]);
    assert!(
        alone.tasks[&TaskKey::new("server/web")].order.is_empty(),
        "who is left out is not waited for"
    );
}

/// A cloud reserves a shared volume for one server at a time. One that fails does not hold the next one up, and a boot order
/// the other way round is followed.
#[test]
fn servers_that_share_a_volume_are_made_one_by_one() {
    let order = |graph: &TaskGraph, server: &str| graph.tasks[&TaskKey::new(format!("server/{server}"))].order.clone();
    let after = |server: &str| BTreeSet::from([TaskKey::new(format!("server/{server}"))]);
    let graph = recovery(RecoveryData::HandOver { stop_source: true }, false, ALL);
    let orders = (order(&graph, "db1"), order(&graph, "db2"));
    assert!(
        orders == (after("db2"), BTreeSet::new()) || orders == (BTreeSet::new(), after("db1")),
        "{orders:?}"
    );
    assert!(!comes_after(&graph, "server/db2", "server/db1") && !comes_after(&graph, "server/db1", "server/db2"));
    for (first, then) in [("db1", "db2"), ("db2", "db1")] {
        let mut plan = plan();
        plan.mapping.instances.entry(id(then)).or_default().boot_after = BTreeSet::from([id(first)]);
        let graph = recovery_of(&plan, RecoveryData::HandOver { stop_source: true }, false, ALL);
        assert_eq!(
            (order(&graph, first), order(&graph, then)),
            (BTreeSet::new(), after(first))
        );
    }
}

/// OPEN-15: a flavour of the same size is used; the group named `default` cannot be made and gets another name.
#[test]
fn flavours_match_by_size_and_security_groups_keep_their_rules() {
    let graph = recovery(RecoveryData::HandOver { stop_source: true }, false, ALL);
    let Action::Create {
        spec: Spec::Server { flavor, .. },
        ..
    } = &graph.tasks[&TaskKey::new("server/web")].action
    else {
        panic!("a server is created")
    };
    assert_eq!(flavor, &Ref::Known(id("f-b")));
    let Action::Create {
        spec: Spec::SecurityGroup { name, .. },
        ..
    } = &graph.tasks[&TaskKey::new("security-group/sg")].action
    else {
        panic!("a security group is created")
    };
    assert_eq!(name, "default-recovered");
    assert!(comes_after(&graph, "port/p-web", "security-group-rules/sg"));
}

#[test]
fn a_hole_in_the_mapping_names_its_field() {
    let mut plan = plan();
    plan.mapping.volume_types.clear();
    let (inventory, flavors) = (inventory(), BTreeMap::new());
    let error = plan_recovery(&RecoveryInputs {
        job_id: &JobId::new("j1"),
        plan: &plan,
        instances: &BTreeSet::from([id("web")]),
        inventory: &inventory,
        target_flavors: &flavors,
        data: RecoveryData::HandOver { stop_source: true },
        isolated: false,
        fence: None,
        home: None,
        suffix: "x",
        prefix: "",
    })
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (crate::ErrorKind::Invalid, Some("mapping.volume_types[ceph]"))
    );
}

/// Undo of everything that can have run: what a thing needed goes after the thing, and nothing that was made is forgotten.
fn check_undo(graph: &TaskGraph, ran: &BTreeSet<TaskKey>) {
    let job = JobId::new("j1");
    let handle = Handle {
        kind: CreatedKind::Network,
        id: id("made"),
        tenant: None,
        storage: None,
    };
    let done: Vec<Done<'_>> = graph
        .tasks
        .values()
        .filter(|t| ran.contains(&t.key))
        .map(|task| Done {
            task,
            handle: Some(&handle),
            absent: false,
        })
        .collect();
    let undo = plan_undo(&job, &plan(), &done, "undo", "d").unwrap();
    let undo_keys = |key: &TaskKey| -> Vec<TaskKey> {
        let suffix = format!("/{key}");
        undo.tasks
            .keys()
            .filter(|k| {
                k.as_str()
                    .strip_prefix("undo/")
                    .is_some_and(|k| k.split_once('/').is_some_and(|(_, rest)| format!("/{rest}") == suffix))
            })
            .cloned()
            .collect()
    };
    for d in &done {
        let keys = undo_keys(&d.task.key);
        let must = match &d.task.action {
            Action::Create { spec, .. } => {
                !matches!(spec.kind(), CreatedKind::SecurityGroupRules | CreatedKind::TenantAccess)
            }
            Action::Adopt { .. } | Action::Clone { .. } | Action::Promote { .. } | Action::Demote { .. } => true,
            Action::ForcePromote { .. } => true,
            Action::StopServer { was_running, .. } => *was_running,
            _ => false,
        };
        assert_eq!(!keys.is_empty(), must, "{}", d.task.key);
        for needed in d.task.after.iter().filter(|k| ran.contains(*k)) {
            for first in &keys {
                if first.as_str().contains("/verify/") || first.as_str().contains("/ship/") {
                    continue; // proof that replication runs again; nothing waits for it
                }
                for then in undo_keys(needed) {
                    assert!(
                        comes_after(&undo, then.as_str(), first.as_str()),
                        "{then} must follow {first}"
                    );
                }
            }
        }
    }
}

/// SM-57: rollback of a planned failover hands the volume back: name, demotion, arrival, promotion, then the guests start.
#[test]
fn undo_of_a_hand_over_is_a_hand_over_the_other_way() {
    let graph = recovery(RecoveryData::HandOver { stop_source: true }, false, ALL);
    let ran = graph.tasks.keys().cloned().collect();
    check_undo(&graph, &ran);
    let done: Vec<Done<'_>> = graph
        .tasks
        .values()
        .map(|task| Done {
            task,
            handle: None,
            absent: false,
        })
        .collect();
    let undo = plan_undo(&JobId::new("j1"), &plan(), &done, "undo", "d").unwrap();
    for (later, earlier) in [
        ("undo/start/stop/web", "undo/promote/demote/v-web"),
        ("undo/promote/demote/v-web", "undo/arrive/demote/v-web"),
        ("undo/arrive/demote/v-web", "undo/demote/promote/v-web"),
        ("undo/demote/promote/v-web", "undo/rename/promote/v-web"),
        ("undo/rename/promote/v-web", "undo/release/volume/v-web"),
        ("undo/release/volume/v-web", "undo/remove/server/web"),
    ] {
        assert!(comes_after(&undo, later, earlier), "{later} must follow {earlier}");
    }
}

/// An instance that did not run before is not started by a rollback.
#[test]
fn undo_starts_only_what_ran() {
    let task = |was_running| Task {
        key: TaskKey::new("stop/x"),
        action: Action::StopServer {
            side: Side::Source,
            server: Ref::Known(id("x")),
            was_running,
        },
        after: BTreeSet::new(),
        order: BTreeSet::new(),
        instances: BTreeSet::new(),
        volume: None,
    };
    for was_running in [true, false] {
        let task = task(was_running);
        let undo = plan_undo(
            &JobId::new("j"),
            &plan(),
            &[Done {
                task: &task,
                handle: None,
                absent: false,
            }],
            "undo",
            "d",
        )
        .unwrap();
        assert_eq!(undo.tasks.len(), usize::from(was_running));
    }
}

/// OPEN-21: only clones are flattened at confirm; promoted replicas are independent already.
#[test]
fn confirm_flattens_clones_only() {
    let point = point();
    let recovered = BTreeSet::from([id("db1")]);
    for (data, expected) in [
        (
            RecoveryData::Point {
                point: &point,
                stop_source: false,
            },
            2,
        ),
        (RecoveryData::HandOver { stop_source: true }, 0),
    ] {
        let graph = recovery(data, false, ALL);
        let handle = Handle {
            kind: CreatedKind::Volume,
            id: id("v"),
            tenant: None,
            storage: Some(StorageRef::new("rbd:p/v")),
        };
        let done: Vec<Done<'_>> = graph
            .tasks
            .values()
            .map(|task| Done {
                task,
                handle: Some(&handle),
                absent: false,
            })
            .collect();
        let confirm = plan_confirm(&JobId::new("j1"), &done, &recovered, "confirm").unwrap();
        assert_eq!(confirm.tasks.len(), expected);
    }
}

/// Snapshots of a point come close together: no shipment before the last of them; the vault only after arrival.
#[test]
fn point_takes_all_snapshots_before_it_ships_any() {
    let graph = plan_point(&plan(), &PointId::new("p")).unwrap();
    for v in plan().volumes.keys() {
        for other in plan().volumes.keys() {
            assert!(comes_after(&graph, &format!("ship/{v}"), &format!("snapshot/{other}")));
        }
        assert!(comes_after(&graph, &format!("vault/{v}"), &format!("arrive/{v}")));
        assert!(comes_after(&graph, &format!("base/{v}"), &format!("vault/{v}")));
    }
}

/// LIM-04, facts §2 of the OpenStack lab: a clone of an image cannot be mirrored before it is flattened, and nothing else is done
/// with it meanwhile.
#[test]
fn protect_flattens_clones_first_or_refuses_them() {
    let instances: Vec<CloudId> = ALL.iter().map(|i| id(i)).collect();
    let cloned = BTreeSet::from([StorageRef::new("rbd:volumes/v-web")]);
    let graph = plan_protect(&plan(), &instances, &inventory(), &cloned, None, None).unwrap();
    assert!(comes_after(&graph, "replicate/v-web", "flatten/v-web"));
    assert!(!graph.tasks.contains_key(&TaskKey::new("flatten/v-data")));
    let refusing = RecoveryPlan {
        parent_policy: ParentPolicy::Refuse,
        ..plan()
    };
    let error = plan_protect(&refusing, &instances, &inventory(), &cloned, None, None).unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (crate::ErrorKind::Refused, Some("parent_policy"))
    );
}

#[test]
fn a_cycle_is_found() {
    let mut graph = TaskGraph::default();
    let (a, b) = (TaskKey::new("a"), TaskKey::new("b"));
    graph.add(a.clone(), Action::Delay { seconds: 1 }, [&b]);
    graph.add(b, Action::Delay { seconds: 1 }, [&a]);
    assert_eq!(graph.in_order().unwrap_err().code(), "graph.cycle");
    let mut graph = TaskGraph::default();
    graph.add(
        a,
        Action::AwaitReplica {
            source: TaskKey::new("c"),
        },
        [&TaskKey::new("c")],
    );
    assert_eq!(graph.in_order().unwrap_err().code(), "graph.dependency");
}

/// What a store holds may say so. Each was counted for both, and the count went below nothing.
#[test]
fn tasks_that_claim_one_name_are_told_apart() {
    let mut graph = TaskGraph::default();
    let [a, b, c] = ["a", "b", "c"].map(TaskKey::new);
    graph.add(b.clone(), Action::Delay { seconds: 1 }, []);
    for key in [&a, &c] {
        graph.add(key.clone(), Action::Delay { seconds: 1 }, [&b]);
    }
    graph.tasks.get_mut(&c).unwrap().key = a.clone();
    let order: Vec<_> = graph.in_order().unwrap().iter().map(|task| task.key.clone()).collect();
    assert_eq!(order, [b, a.clone(), a]);
}

proptest! {
    /// Whatever had run when the engine was asked to roll back, in whatever order the tasks were begun: the undo is complete and
    /// in the right order.
    #[test]
    fn undo_is_complete_and_ordered_for_every_progress(kind in 0..3, stop_at in 0usize..80, pick in any::<u64>()) {
        let point = point();
        let data = match kind {
            0 => RecoveryData::Point { point: &point, stop_source: false },
            1 => RecoveryData::HandOver { stop_source: true },
            _ => RecoveryData::Forced { decision: "d", epoch: 1, stop_source: false },
        };
        let graph = recovery(data, kind == 0, ALL);
        // A random run: of the tasks that are ready, one is begun, until it is stopped.
        let mut ran: BTreeSet<TaskKey> = BTreeSet::new();
        let mut seed = pick;
        for _ in 0..stop_at {
            let ready: Vec<&Task> = graph.tasks.values().filter(|t| {
                !ran.contains(&t.key) && t.after.iter().chain(&t.order).all(|k| ran.contains(k))
            }).collect();
            if ready.is_empty() { break; }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let index = usize::try_from(seed >> 33).unwrap() % ready.len();
            ran.insert(ready[index].key.clone());
        }
        check_undo(&graph, &ran);
    }
}

/// Tokens and marks are plain text in graphs: a graph survives being written and read.
#[test]
fn graphs_survive_the_journal() {
    let graph = recovery(RecoveryData::HandOver { stop_source: true }, false, ALL);
    let text = serde_json::to_string(&graph).unwrap();
    assert_eq!(serde_json::from_str::<TaskGraph>(&text).unwrap(), graph);
    let mark = MarkRef::Known(Mark::new("m"));
    assert_eq!(serde_json::to_string(&mark).unwrap(), r#"{"known":"m"}"#);
}
