use crate::world::{World, cluster, flavor, floating_ip, id, network, plan, tenant, volume};
use crate::{exactly, fact};
use ns_core::ErrorKind::{self, Conflict, Internal, Invalid, NotFound, Quota, Refused, Unsupported};
use ns_core::model::{CloudId, ConnectionState, InstanceMapping, Probe, ReadinessCheck, ReplicationMode, Resource};
use ns_core::provider::TenantQuota;
use ns_core::rules::{check_plan, check_plan_delete, plan_violations, plan_warnings};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[track_caller]
fn refuses(kind: ErrorKind, code: &str, field: &str, spoil: impl FnOnce(&mut World)) -> ns_core::Error {
    let mut world = World::new();
    spoil(&mut world);
    exactly(
        &plan_violations(&world.plan, &world.plan_inputs()),
        &[(kind, code, field)],
    );
    let error = check_plan(&world.plan, &world.plan_inputs()).unwrap_err();
    assert!(error.remedy().is_some() || kind == Internal, "{error}");
    error
}

#[track_caller]
fn allows(change: impl FnOnce(&mut World)) {
    let mut world = World::new();
    change(&mut world);
    exactly(&plan_violations(&world.plan, &world.plan_inputs()), &[]);
}

fn warnings(world: &World) -> Vec<(String, String)> {
    plan_warnings(&world.plan, &world.plan_world())
        .into_iter()
        .map(|w| (w.code, w.field))
        .collect()
}

#[test]
fn a_good_plan_is_allowed() {
    allows(|w| w.plans = vec![w.plan.clone()]);
    allows(|w| w.plan.volumes.clear()); // a new plan
    assert!(warnings(&World::new()).is_empty());
}

#[test]
fn plan_04_plan_05_form() {
    refuses(Invalid, "name.characters", "name", |w| w.plan.name = "a:b".into());
    for wrong in [0, 49, u32::MAX] {
        refuses(Invalid, "plan.retention", "snapshot_retention", |w| {
            w.plan.snapshot_retention = wrong
        });
    }
    for right in [1, 48] {
        allows(|w| w.plan.snapshot_retention = right);
    }
}

#[test]
fn plan_21_one_plan_per_group_and_names_unique() {
    let other = |name: &str, group: &str| {
        let mut other = plan();
        (other.id, other.name, other.group_id) = ("p2".into(), name.into(), group.into());
        other
    };
    let error = refuses(Refused, "plan.one_per_group", "group_id", |w| {
        w.plans = vec![other("plan-2", "g1")]
    });
    assert_eq!(fact(&error, "plan"), Some("p2"));
    refuses(Conflict, "name.taken", "name", |w| {
        w.plans = vec![other("plan-1", "g2")]
    });
}

/// PLAN-33: the same holds for screens.
#[test]
fn plan_18_plan_25_both_clusters_answer() {
    let source_down = |w: &mut World| w.source.connection = ConnectionState::Inactive;
    let target_down = |w: &mut World| w.target.connection = ConnectionState::Inactive;
    let error = refuses(Refused, "plan.cluster_inactive", "source_cluster", source_down);
    assert!(error.message().contains("seoul"));
    refuses(Refused, "plan.cluster_inactive", "target_cluster", target_down);
    // CON-13: the override is for the Source only.
    allows(|w| {
        source_down(w);
        w.source_may_be_down = true;
    });
    refuses(Refused, "plan.cluster_inactive", "target_cluster", |w| {
        target_down(w);
        w.source_may_be_down = true;
    });
}

#[test]
fn plan_20_plan_27_rep_16_open_29_storage() {
    refuses(Refused, "plan.storage_kind", "target_cluster", |w| {
        w.target.storage_kind = "lvm".into()
    });
    refuses(Refused, "plan.same_storage", "target_cluster", |w| {
        w.target.storage_id = w.source.storage_id.clone()
    });
    refuses(Refused, "plan.same_cluster", "target_cluster", |w| {
        w.target = cluster("seoul");
        w.plan.target_cluster = "seoul".into();
    });
    refuses(Internal, "plan.facts", "", |w| w.target = cluster("daegu"));
}

#[test]
fn rep_01_volumes_can_be_replicated() {
    refuses(Refused, "plan.not_paired", "target_cluster", |w| w.paired = false);
    let mut world = World::new();
    world.pools = vec!["images".into(), "volumes/tenant".into()];
    let found = plan_violations(&world.plan, &world.plan_inputs());
    assert!(!found.is_empty());
    for error in &found {
        exactly(
            std::slice::from_ref(error),
            &[(Refused, "plan.not_mirrored", error.field().unwrap())],
        );
        assert!(error.message().contains("pool volumes"), "{error}");
    }
    let volumes: BTreeSet<_> = found.iter().map(|e| fact(e, "volume").unwrap()).collect();
    assert_eq!(volumes.len(), found.len(), "each volume once, shared ones too");
    // A notation without pools cannot be judged here.
    allows(|w| {
        w.pools = vec!["images".into()];
        for volume in w.source_inventory.volumes.values_mut() {
            volume.storage = Some(ns_core::model::StorageRef::new(format!("lun:{}", volume.id)));
        }
    });
}

#[test]
fn plan_28_plan_30_jobs() {
    let error = refuses(Refused, "plan.jobs", "jobs", |w| w.jobs = vec!["j1".into()]);
    assert_eq!(fact(&error, "jobs"), Some("j1"));
    check_plan_delete(&[]).unwrap();
    assert_eq!(check_plan_delete(&["j1".into()]).unwrap_err().code(), "plan.jobs");
}

#[test]
fn capabilities() {
    refuses(Unsupported, "plan.replication_mode", "replication_mode", |w| {
        w.capabilities.modes = vec![ReplicationMode::Journal];
    });
    refuses(Unsupported, "plan.adopt", "target_cluster", |w| {
        w.capabilities.adopt = false
    });
    refuses(
        Unsupported,
        "plan.floating_ip",
        "mapping.floating_ips[203.0.113.5]",
        |w| {
            w.capabilities.choose_floating_ip = false;
        },
    );
    refuses(Unsupported, "plan.node", "mapping.instances[web].host", |w| {
        w.capabilities.choose_host = false;
        w.mapping("web").host = Some("node-1".into());
    });
    let shared = |w: &mut World| {
        w.source_inventory
            .insert(Resource::Volume(volume("db-data", &["db", "web"])))
    };
    allows(shared);
    refuses(Unsupported, "plan.storage", "mapping.instances[db]", |w| {
        w.capabilities.multiattach = false;
        shared(w);
    });
    let mut world = World::new();
    world.capabilities.clone_replica = false;
    assert_eq!(warnings(&world)[0].0, "plan.no_drills");
}

#[test]
fn plan_08_plan_61_the_project_is_new() {
    for empty in ["", "  "] {
        refuses(Invalid, "plan.mapping", "mapping.tenant_name", |w| {
            w.plan.mapping.tenant_name = empty.into()
        });
    }
    let taken = |w: &mut World| w.target_inventory.insert(Resource::Tenant(tenant("shop-recovered")));
    refuses(Conflict, "plan.tenant_name", "mapping.tenant_name", taken);
    allows(|w| {
        taken(w);
        w.job_tenants.insert(id("shop-recovered"));
    });
}

#[test]
fn plan_06_plan_19_every_instance_is_mapped() {
    refuses(Invalid, "plan.mapping", "mapping.instances[batch]", |w| {
        w.group.instances.push(id("batch"))
    });
    refuses(Invalid, "plan.resource_removed", "mapping.instances[batch]", |w| {
        w.plan.mapping.instances.insert(id("batch"), InstanceMapping::default());
    });
    refuses(NotFound, "plan.resource_removed", "mapping.instances[web]", |w| {
        w.source_inventory.instances.remove(&id("web"));
        w.plan.mapping.floating_ips.clear();
    });
}

#[test]
fn plan_09_zones() {
    const FIELD: &str = "mapping.availability_zones[az-a]";
    refuses(Invalid, "plan.mapping", FIELD, |w| {
        w.plan.mapping.availability_zones.clear()
    });
    refuses(NotFound, "plan.availability_zone", FIELD, |w| {
        w.plan.mapping.availability_zones.insert("az-a".into(), "az-x".into());
    });
    refuses(Refused, "plan.availability_zone", FIELD, |w| {
        w.target_inventory
            .availability_zones
            .get_mut(&id("az-b"))
            .unwrap()
            .available = false;
    });
    refuses(
        NotFound,
        "plan.availability_zone",
        "mapping.instances[web].availability_zone",
        |w| {
            w.mapping("web").availability_zone = Some("az-x".into());
        },
    );
    // An instance's own zone needs no other.
    allows(|w| {
        w.plan.mapping.availability_zones.clear();
        w.mapping("web").availability_zone = Some("az-b".into());
        w.mapping("db").availability_zone = Some("az-c".into());
    });
}

#[test]
fn plan_12_compute_nodes() {
    const FIELD: &str = "mapping.instances[web].host";
    refuses(NotFound, "plan.node", FIELD, |w| {
        w.mapping("web").host = Some("node-9".into())
    });
    refuses(Refused, "plan.node", FIELD, |w| {
        w.mapping("web").host = Some("node-1".into());
        w.target_inventory.hypervisors.get_mut(&id("node-1")).unwrap().available = false;
    });
    refuses(Invalid, "plan.node", FIELD, |w| {
        w.mapping("web").host = Some("node-3".into())
    });
    allows(|w| w.mapping("web").host = Some("node-2".into()));
}

#[test]
fn open_15_flavours() {
    refuses(NotFound, "plan.flavor", "mapping.instances[web].flavor", |w| {
        w.mapping("web").flavor = Some("none".into())
    });
    let mut world = World::new();
    world.mapping("web").flavor = Some("tiny".into());
    let found = warnings(&world);
    assert_eq!(
        found,
        [(
            "plan.flavor_smaller".to_owned(),
            "mapping.instances[web].flavor".to_owned()
        )]
    );
    exactly(&plan_violations(&world.plan, &world.plan_inputs()), &[]);
}

#[test]
fn plan_10_volume_types() {
    const FIELD: &str = "mapping.volume_types[ceph]";
    refuses(Invalid, "plan.mapping", FIELD, |w| w.plan.mapping.volume_types.clear());
    refuses(NotFound, "plan.storage", FIELD, |w| {
        w.plan.mapping.volume_types.insert("ceph".into(), "gold".into());
    });
    refuses(Invalid, "plan.mapping", "mapping.volume_types[fast]", |w| {
        w.source_volume("db-data").volume_type = "fast".into()
    });
    refuses(NotFound, "plan.storage", "mapping.instances[db]", |w| {
        w.source_inventory.volumes.remove(&id("db-data"));
    });
    refuses(Refused, "plan.storage", "mapping.instances[web]", |w| {
        w.source_volume("web-root").storage = None;
        w.plan.volumes.clear();
    });
    // CON-10: another name is told, not refused.
    let mut world = World::new();
    world.source_volume("db-data").volume_type = "fast".into();
    world.plan.mapping.volume_types.insert("fast".into(), "ceph".into());
    exactly(&plan_violations(&world.plan, &world.plan_inputs()), &[]);
    let expected = (
        "plan.volume_type_differs".to_owned(),
        "mapping.volume_types[fast]".to_owned(),
    );
    assert_eq!(warnings(&world), [expected]);
}

#[test]
fn plan_11_external_networks() {
    const FIELD: &str = "mapping.external_networks[internet]";
    // Through the router alone, and through the floating IP alone.
    refuses(Invalid, "plan.mapping", FIELD, |w| {
        w.plan.mapping.external_networks.clear();
        w.plan.mapping.floating_ips.clear();
        w.source_inventory.floating_ips.clear();
    });
    refuses(Invalid, "plan.mapping", FIELD, |w| {
        w.plan.mapping.external_networks.clear();
        w.source_inventory.routers.clear();
    });
    for target in ["private", "nowhere"] {
        refuses(NotFound, "plan.external_network", FIELD, |w| {
            w.plan.mapping.external_networks.insert(id("internet"), id(target));
        });
    }
    // What no instance of the group uses needs no counterpart.
    allows(|w| {
        w.plan.mapping.external_networks.clear();
        w.plan.mapping.floating_ips.clear();
        w.source_inventory.floating_ips.clear();
        w.source_inventory
            .routers
            .get_mut(&id("router"))
            .unwrap()
            .external_network_id = None;
        w.source_inventory
            .insert(Resource::Network(network("internet-2", true)));
    });
}

#[test]
fn plan_73_floating_addresses() {
    const FIELD: &str = "mapping.floating_ips[203.0.113.5]";
    let map = |w: &mut World, source: &str, target: &str| {
        w.plan.mapping.floating_ips.insert(source.into(), target.into());
    };
    refuses(Conflict, "plan.floating_ip", FIELD, |w| {
        map(w, "203.0.113.5", "198.51.100.9")
    });
    refuses(Invalid, "plan.floating_ip", "mapping.floating_ips[203.0.113.99]", |w| {
        map(w, "203.0.113.99", "198.51.100.6")
    });
    refuses(Conflict, "plan.floating_ip", "mapping.floating_ips[203.0.113.6]", |w| {
        w.source_inventory.insert(Resource::FloatingIp(floating_ip(
            "203.0.113.6",
            "internet",
            Some("port-db"),
        )));
        map(w, "203.0.113.6", "198.51.100.5");
    });
    // One that our own job holds is no collision; none mapped takes any.
    allows(|w| {
        map(w, "203.0.113.5", "198.51.100.9");
        w.job_tenants.insert(id("shop"));
    });
    allows(|w| w.plan.mapping.floating_ips.clear());
}

#[test]
fn open_16_boot_order() {
    let after = |w: &mut World, who: &str, before: &[&str]| {
        w.mapping(who).boot_after = before.iter().map(|i| id(i)).collect();
    };
    allows(|w| after(w, "web", &["db"]));
    refuses(Invalid, "plan.boot_order", "mapping.instances[web].boot_after", |w| {
        after(w, "web", &["db", "batch"])
    });
    let itself = refuses(Invalid, "plan.boot_cycle", "mapping.instances[web].boot_after", |w| {
        after(w, "web", &["web"])
    });
    assert!(itself.message().ends_with("web -> web"), "{itself}");
    let circle = refuses(Invalid, "plan.boot_cycle", "mapping.instances[db].boot_after", |w| {
        after(w, "web", &["db"]);
        after(w, "db", &["web"]);
    });
    assert!(circle.message().ends_with("db -> web -> db"), "{circle}");
    let mut world = World::new();
    after(&mut world, "web", &["db"]);
    world.mapping("db").boot = false;
    assert_eq!(warnings(&world)[0].0, "plan.boot_after_stopped");
}

#[test]
fn open_16_readiness_checks() {
    let check = |w: &mut World, limit_seconds: u32, probe: Probe| {
        w.mapping("web").ready = Some(ReadinessCheck { probe, limit_seconds });
    };
    let http = |path: &str, status| Probe::Http {
        port: 80,
        path: path.into(),
        tls: false,
        status,
    };
    let command = |words: &[&str]| Probe::GuestCommand {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    for limit in [1, 3600] {
        allows(|w| check(w, limit, Probe::Port { port: 1 }));
    }
    for limit in [0, 3601, u32::MAX] {
        refuses(
            Invalid,
            "plan.readiness",
            "mapping.instances[web].ready.limit_seconds",
            |w| {
                check(w, limit, Probe::Port { port: 22 });
            },
        );
    }
    for path in ["/", "/healthz?deep=1"] {
        allows(|w| check(w, 300, http(path, Some(204))));
    }
    let long = format!("/{}", "x".repeat(4096));
    for (member, probe) in [
        ("port", Probe::Port { port: 0 }),
        ("path", http("", None)),
        ("path", http("healthz", None)),
        ("path", http("/a b", None)),
        ("path", http("/a\r\nhost: b", None)),
        ("path", http("/\u{d55c}", None)),
        ("path", http(&long, None)),
        ("status", http("/", Some(99))),
        ("status", http("/", Some(600))),
        ("command", command(&[])),
        ("command", command(&["", "x"])),
        ("command", command(&["sh", "a\0b"])),
        ("command", command(&["sh", &long])),
    ] {
        let field = format!("mapping.instances[web].ready.probe.{member}");
        refuses(Invalid, "plan.readiness", &field, |w| check(w, 300, probe));
    }
    allows(|w| check(w, 300, command(&["systemctl", "is-system-running"])));

    let mut world = World::new();
    check(&mut world, 300, Probe::Port { port: 22 });
    assert!(warnings(&world).is_empty());
    world.capabilities.probe_readiness = false;
    let field = "mapping.instances[web].ready".to_owned();
    assert_eq!(
        warnings(&world),
        [("plan.no_readiness_probe".to_owned(), field.clone())]
    );
    world.mapping("web").boot = false;
    assert_eq!(warnings(&world), [("plan.readiness_of_the_stopped".to_owned(), field)]);
}

proptest! {
    /// A circle is found exactly when there is one, and what is named is one.
    #[test]
    fn boot_circles(edges in prop::collection::vec((0_u8..8, 0_u8..8), 0..14)) {
        let name = |n: u8| CloudId::from(format!("i{n}"));
        let mut world = World::new();
        world.group.instances = (0..8).map(name).collect();
        world.plan.mapping.instances = (0..8).map(|n| (name(n), InstanceMapping::default())).collect();
        for (a, b) in &edges {
            world.plan.mapping.instances.get_mut(&name(*a)).unwrap().boot_after.insert(name(*b));
        }
        let mut reach: BTreeSet<(u8, u8)> = edges.iter().copied().collect();
        loop {
            let more: Vec<_> = reach.iter().flat_map(|(a, b)| {
                reach.iter().filter(move |(c, _)| c == b).map(move |(_, d)| (*a, *d))
            }).collect();
            let before = reach.len();
            reach.extend(more);
            if reach.len() == before { break; }
        }
        let circular = (0..8).any(|n| reach.contains(&(n, n)));
        let found = plan_violations(&world.plan, &world.plan_inputs());
        let named = found.iter().find(|e| e.code() == "plan.boot_cycle");
        prop_assert_eq!(named.is_some(), circular);
        if let Some(error) = named {
            let path: Vec<&str> = error.message().split(": ").nth(1).unwrap().split(" -> ").collect();
            prop_assert!(path.len() > 1 && path.first() == path.last());
            for step in path.windows(2) {
                prop_assert!(world.plan.mapping.instances[&id(step[0])].boot_after.contains(&id(step[1])));
            }
        }
    }
}

#[test]
fn capacity_of_compute_nodes_and_zones() {
    // Each node has 6 virtual processors and 12 GiB free: three small instances.
    let pin = |w: &mut World, who: &str, flavor: Option<&str>| {
        let mapping = w.mapping(who);
        mapping.host = Some("node-1".into());
        mapping.flavor = flavor.map(str::to_owned);
    };
    allows(|w| {
        pin(w, "web", None);
        pin(w, "db", None);
    });
    let error = refuses(Quota, "plan.capacity", "mapping.instances[web].host", |w| {
        w.target_inventory
            .insert(Resource::Flavor(flavor("broad", 3, 9 * 1024)));
        pin(w, "web", Some("small"));
        pin(w, "db", Some("broad"));
    });
    let facts =
        ["vcpus_needed", "vcpus_free", "memory_mib_needed", "memory_mib_free"].map(|k| fact(&error, k).unwrap());
    assert_eq!(facts, ["5", "6", "13312", "12288"]);
    // Together too much for the zone, though each fits somewhere.
    let error = refuses(Quota, "plan.capacity", "mapping.availability_zones[az-a]", |w| {
        for who in ["web", "db"] {
            w.source_instance(who).flavor = flavor("wide", 5, 1024);
        }
        w.target_inventory
            .hypervisors
            .get_mut(&id("node-2"))
            .unwrap()
            .vcpus_used = 6;
    });
    assert_eq!(
        (fact(&error, "vcpus_needed"), fact(&error, "vcpus_free")),
        (Some("10"), Some("8"))
    );
    // Too large for any node.
    refuses(
        Quota,
        "plan.capacity",
        "mapping.instances[web].availability_zone",
        |w| {
            w.mapping("web").flavor = Some("huge".into());
        },
    );
    allows(|w| {
        w.mapping("web").flavor = Some("huge".into());
        w.mapping("web").availability_zone = Some("az-c".into());
    });
    // What is pinned elsewhere in the zone takes its room.
    refuses(Quota, "plan.capacity", "mapping.instances[db].availability_zone", |w| {
        w.mapping("web").host = Some("node-1".into());
        w.target_inventory.hypervisors.get_mut(&id("node-2")).unwrap().available = false;
        w.target_inventory
            .hypervisors
            .get_mut(&id("node-1"))
            .unwrap()
            .vcpus_used = 5;
    });
    // A cloud that shows no nodes is not judged; neither is overcommitted use a wrap-around.
    allows(|w| {
        w.target_inventory.hypervisors.clear();
        w.mapping("web").flavor = Some("huge".into());
    });
    refuses(
        Quota,
        "plan.capacity",
        "mapping.instances[web].availability_zone",
        |w| {
            for node in ["node-1", "node-2"] {
                w.target_inventory.hypervisors.get_mut(&id(node)).unwrap().vcpus_used = u64::MAX;
            }
        },
    );
}

/// PLAN-12: each limit of a new tenant on the Target is enough for what is recovered into it; each that is not is named.
#[test]
fn plan_quota_of_a_new_tenant() {
    type Set = fn(&mut TenantQuota, u64);
    let limits: [(&str, Set); 9] = [
        ("instances", |q, n| q.instances = Some(n)),
        ("vcpus", |q, n| q.vcpus = Some(n)),
        ("memory_mib", |q, n| q.memory_mib = Some(n)),
        ("volumes", |q, n| q.volumes = Some(n)),
        ("volume_gib", |q, n| q.volume_gib = Some(n)),
        ("networks", |q, n| q.networks = Some(n)),
        ("ports", |q, n| q.ports = Some(n)),
        ("floating_ips", |q, n| q.floating_ips = Some(n)),
        ("security_groups", |q, n| q.security_groups = Some(n)),
    ];
    let needs = |set: Set| {
        let mut world = World::new();
        set(&mut world.target_quota, 0);
        let found = plan_violations(&world.plan, &world.plan_inputs());
        let found = found.first();
        found.map_or(0, |error| fact(error, "needed").and_then(|n| n.parse().ok()).unwrap())
    };
    for (name, set) in limits {
        let needed: u64 = needs(set);
        allows(|w| set(&mut w.target_quota, needed));
        if let Some(less) = needed.checked_sub(1) {
            let error = refuses(Quota, "plan.quota", "target_cluster", |w| {
                set(&mut w.target_quota, less)
            });
            assert_eq!(fact(&error, "quota"), Some(name));
            assert_eq!(fact(&error, "limit"), Some(less.to_string().as_str()));
        }
    }
    let of = |name: &str| needs(limits.iter().find(|(n, _)| *n == name).unwrap().1);
    assert_eq!((of("instances"), of("volume_gib")), (2, 30));
    assert!(of("vcpus") > 0 && of("memory_mib") > 0 && of("ports") > 0 && of("networks") > 0);
}

#[test]
fn lim_03_storage_room() {
    // 30 GiB of data, three points: (3 + 2) x 30 GiB.
    let needed = 150 << 30;
    let free = |w: &mut World, pool: &str, bytes: u64| {
        w.plan.volumes.clear();
        w.target_free_bytes.insert(pool.into(), bytes);
    };
    allows(|w| free(w, "volumes", needed));
    let short = |w: &mut World| free(w, "volumes", needed - 1);
    let error = refuses(Quota, "plan.storage_capacity", "snapshot_retention", short);
    assert_eq!(fact(&error, "bytes_needed"), Some(needed.to_string().as_str()));
    assert_eq!(fact(&error, "pool"), Some("volumes"));
    // Room elsewhere is of no use, and none is asked for there.
    allows(|w| free(w, "images", 0));

    // What is replicated has its room: saving the plan as it is needs none, a longer retention that of the points beside.
    let known = |w: &mut World, retention: u32, bytes: u64| {
        w.plans = vec![w.plan.clone()];
        w.plan.snapshot_retention = retention;
        w.target_free_bytes.insert("volumes".into(), bytes);
    };
    for (retention, bytes) in [(3, 0), (2, 0), (5, 60 << 30)] {
        allows(|w| known(w, retention, bytes));
    }
    let error = refuses(Quota, "plan.storage_capacity", "snapshot_retention", |w| {
        known(w, 5, (60 << 30) - 1);
    });
    assert_eq!(fact(&error, "bytes_needed"), Some((60_u64 << 30).to_string().as_str()));
}
