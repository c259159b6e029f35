//! The 37 events of §5.3, each as what is known before it and after it: what the plan's state says follows from how things are,
//! and what belongs to the plan follows its group and its Source.

use crate::world::{World, floating_ip, id, instance, network, tenant, volume};
use ns_core::model::{CloudId, FloatingIp, Instance, PlanChangePart, Port, Resource, Router, Subnet, Tenant};
use ns_core::rules::{assess, follow, vanished};

/// The reasons of the plan's state, each with a remedy.
fn reasons(world: &World) -> Vec<String> {
    let assessment = assess(&world.plan_facts());
    assert!(
        assessment
            .reasons
            .iter()
            .all(|r| !r.remedy.is_empty() && !r.message.is_empty())
    );
    let mut codes: Vec<String> = assessment.reasons.into_iter().map(|r| r.code).collect();
    codes.dedup();
    codes
}

/// One event: its id, what makes the world before it, what happens, and the reasons before and after.
type Event = (
    &'static str,
    fn(&mut World),
    fn(&mut World),
    &'static [&'static str],
    &'static [&'static str],
);

const NOTHING: fn(&mut World) = |_| {};

fn collide(w: &mut World) {
    w.target_inventory.insert(Resource::Tenant(tenant("shop-recovered")));
}

fn take_address(w: &mut World) {
    let taken = floating_ip("198.51.100.5", "uplink", None);
    w.target_inventory.insert(Resource::FloatingIp(taken));
}

fn fill(w: &mut World) {
    for node in ["node-1", "node-2"] {
        let node = w.target_inventory.hypervisors.get_mut(&id(node)).unwrap();
        node.vcpus_used = node.vcpus;
    }
}

fn node(w: &mut World, name: &str, change: impl Fn(&mut ns_core::model::Hypervisor)) {
    change(w.target_inventory.hypervisors.get_mut(&id(name)).unwrap());
}

/// A second router out, to a network that is not mapped.
fn other_router(subnets: &[&str]) -> Resource {
    Resource::Router(Router {
        id: id("router-2"),
        name: "router-2".into(),
        tenant_id: id("shop"),
        external_network_id: Some(id("partner")),
        subnet_ids: subnets.iter().map(|s| id(s)).collect(),
    })
}

fn second_way_out(w: &mut World) {
    w.source_inventory.insert(other_router(&["subnet"]));
}

/// A network behind that router which no member has a card in.
fn beside(w: &mut World) {
    w.source_inventory.insert(Resource::Network(network("dmz", false)));
    let inside: Subnet = w.source_inventory.subnets[&id("subnet")].clone();
    w.source_inventory.insert(Resource::Subnet(Subnet {
        id: id("subnet-dmz"),
        network_id: id("dmz"),
        ..inside
    }));
    w.source_inventory.insert(other_router(&["subnet-dmz"]));
}

fn second_card(w: &mut World) {
    let card: Port = w.source_inventory.ports[&id("port-web")].clone();
    w.source_inventory.insert(Resource::Port(Port {
        id: id("port-web-2"),
        network_id: id("dmz"),
        fixed_ips: vec![(id("subnet-dmz"), "10.1.0.5".into())],
        ..card
    }));
    w.source_instance("web").port_ids.push(id("port-web-2"));
}

fn partner_address(w: &mut World) {
    let address = floating_ip("192.0.2.7", "partner", Some("port-db"));
    w.source_inventory.insert(Resource::FloatingIp(address));
}

fn grow(w: &mut World) {
    w.source_instance("db").flavor.memory_mib = 64 * 1024;
}

fn pin(w: &mut World) {
    w.mapping("web").host = Some("node-1".into());
}

const EVENTS: &[Event] = &[
    ("PLAN-61 project added", NOTHING, collide, &[], &["plan.tenant_name"]),
    (
        "PLAN-62 project renamed",
        collide,
        |w| {
            let renamed = Tenant {
                name: "else".into(),
                ..tenant("shop-recovered")
            };
            w.target_inventory.insert(Resource::Tenant(renamed));
        },
        &["plan.tenant_name"],
        &[],
    ),
    (
        "PLAN-63 project removed",
        collide,
        |w| drop(w.target_inventory.tenants.remove(&id("shop-recovered"))),
        &["plan.tenant_name"],
        &[],
    ),
    (
        "PLAN-64 zone removed",
        NOTHING,
        |w| drop(w.target_inventory.availability_zones.remove(&id("az-b"))),
        &[],
        &["plan.availability_zone"],
    ),
    (
        "PLAN-65 compute node added to a zone",
        fill,
        |w| {
            let zone = w.target_inventory.availability_zones.get_mut(&id("az-b")).unwrap();
            zone.hosts.push("node-3".into());
        },
        &["plan.capacity"],
        &[],
    ),
    (
        "PLAN-66 node resources increased",
        fill,
        |w| node(w, "node-1", |n| n.vcpus = 64),
        &["plan.capacity"],
        &[],
    ),
    (
        "PLAN-67 node resources decreased",
        NOTHING,
        |w| {
            node(w, "node-1", |n| n.memory_mib = 2048);
            node(w, "node-2", |n| n.memory_mib = 2048);
        },
        &[],
        &["plan.capacity"],
    ),
    (
        "PLAN-68 compute node removed from a zone",
        pin,
        |w| {
            let zone = w.target_inventory.availability_zones.get_mut(&id("az-b")).unwrap();
            zone.hosts.retain(|h| h != "node-1");
        },
        &[],
        &["plan.node"],
    ),
    (
        "PLAN-69 external flag taken off",
        NOTHING,
        |w| w.target_inventory.networks.get_mut(&id("uplink")).unwrap().external = false,
        &[],
        &["plan.external_network"],
    ),
    (
        "PLAN-70 external network deleted",
        NOTHING,
        |w| drop(w.target_inventory.networks.remove(&id("uplink"))),
        &[],
        &["plan.external_network"],
    ),
    (
        "PLAN-71 subnet of an external network removed",
        |w| {
            let inside: Subnet = w.source_inventory.subnets[&id("subnet")].clone();
            for (subnet, network) in [("there", "uplink"), ("private-there", "private")] {
                let (id, network_id) = (id(subnet), id(network));
                w.target_inventory.insert(Resource::Subnet(Subnet {
                    id,
                    network_id,
                    ..inside.clone()
                }));
            }
        },
        |w| drop(w.target_inventory.subnets.remove(&id("there"))),
        &[],
        &["plan.external_network"],
    ),
    (
        "PLAN-72 subnet removed",
        second_way_out,
        |w| drop(w.source_inventory.subnets.remove(&id("subnet"))),
        &["plan.external_network"],
        &[],
    ),
    (
        "PLAN-73 floating IP added",
        NOTHING,
        take_address,
        &[],
        &["plan.floating_ip"],
    ),
    (
        "PLAN-74 floating IP changed",
        take_address,
        |w| {
            let changed = FloatingIp {
                address: "198.51.100.77".into(),
                ..floating_ip("198.51.100.5", "uplink", None)
            };
            w.target_inventory.insert(Resource::FloatingIp(changed));
        },
        &["plan.floating_ip"],
        &[],
    ),
    (
        "PLAN-75 floating IP deleted",
        take_address,
        |w| drop(w.target_inventory.floating_ips.remove(&id("198.51.100.5"))),
        &["plan.floating_ip"],
        &[],
    ),
    (
        "PLAN-76 router added",
        NOTHING,
        second_way_out,
        &[],
        &["plan.external_network"],
    ),
    (
        "PLAN-77 routing interface added",
        |w| w.source_inventory.insert(other_router(&[])),
        second_way_out,
        &[],
        &["plan.external_network"],
    ),
    (
        "PLAN-78 routing interface removed",
        second_way_out,
        |w| w.source_inventory.insert(other_router(&[])),
        &["plan.external_network"],
        &[],
    ),
    (
        "PLAN-79 router deleted",
        second_way_out,
        |w| drop(w.source_inventory.routers.remove(&id("router-2"))),
        &["plan.external_network"],
        &[],
    ),
    (
        "PLAN-80 instance placed on a compute node",
        NOTHING,
        fill,
        &[],
        &["plan.capacity"],
    ),
    (
        "PLAN-81 resources of an instance on a node increased",
        NOTHING,
        |w| {
            node(w, "node-1", |n| n.memory_mib_used = n.memory_mib);
            node(w, "node-2", |n| n.memory_mib_used = n.memory_mib);
        },
        &[],
        &["plan.capacity"],
    ),
    (
        "PLAN-82 instance removed from a compute node",
        fill,
        |w| node(w, "node-2", |n| n.vcpus_used = 0),
        &["plan.capacity"],
        &[],
    ),
    (
        "PLAN-84 resources of an instance on a node decreased",
        fill,
        |w| node(w, "node-1", |n| n.vcpus_used = 2),
        &["plan.capacity"],
        &[],
    ),
    (
        "PLAN-85 resources of a protected instance increased",
        NOTHING,
        grow,
        &[],
        &["plan.capacity"],
    ),
    (
        "PLAN-86 resources of a protected instance decreased",
        grow,
        |w| w.source_instance("db").flavor.memory_mib = 1024,
        &["plan.capacity"],
        &[],
    ),
    (
        "PLAN-87 network added to an instance",
        beside,
        second_card,
        &[],
        &["plan.external_network"],
    ),
    (
        "PLAN-88 floating IP added, per instance",
        NOTHING,
        take_address,
        &[],
        &["plan.floating_ip"],
    ),
    (
        "PLAN-89 floating IP removed, per instance",
        take_address,
        |w| drop(w.target_inventory.floating_ips.remove(&id("198.51.100.5"))),
        &["plan.floating_ip"],
        &[],
    ),
    (
        "PLAN-90 floating IP added to an instance",
        NOTHING,
        partner_address,
        &[],
        &["plan.external_network"],
    ),
    (
        "PLAN-91 floating IP of an instance changed",
        NOTHING,
        |w| {
            w.source_inventory.floating_ips.remove(&id("203.0.113.5"));
            let changed = floating_ip("203.0.113.6", "internet", Some("port-web"));
            w.source_inventory.insert(Resource::FloatingIp(changed));
        },
        &[],
        &["plan.floating_ip"],
    ),
    (
        "PLAN-92 volume added to an instance",
        NOTHING,
        |w| {
            w.source_inventory
                .insert(Resource::Volume(volume("web-data", &["web"])));
            w.source_instance("web").volume_ids.push(id("web-data"));
        },
        &[],
        &["plan.resource_added"],
    ),
    (
        "PLAN-94 instance migrated to another hypervisor",
        NOTHING,
        |w| w.source_instance("web").host = Some("another".into()),
        &[],
        &[],
    ),
    (
        "PLAN-95 network removed from an instance",
        |w| {
            beside(w);
            second_card(w);
        },
        |w| w.source_instance("web").port_ids.retain(|p| p != &id("port-web-2")),
        &["plan.external_network"],
        &[],
    ),
    (
        "PLAN-96 volume type changed",
        NOTHING,
        |w| w.target_inventory.volume_types.get_mut(&id("type-1")).unwrap().name = "nfs".into(),
        &[],
        &["plan.storage"],
    ),
    (
        "PLAN-97 volume type removed",
        NOTHING,
        |w| w.target_inventory.volume_types.clear(),
        &[],
        &["plan.storage"],
    ),
];

#[test]
fn plan_60_to_97_every_event_is_seen_in_the_plans_state_with_reason_and_remedy() {
    // PLAN-83 and PLAN-93 change what belongs to the plan: see below.
    assert_eq!(EVENTS.len(), 37 - 2);
    for (name, before, event, reasons_before, reasons_after) in EVENTS {
        let mut world = World::new();
        before(&mut world);
        assert_eq!(reasons(&world), *reasons_before, "before {name}");
        event(&mut world);
        assert_eq!(reasons(&world), *reasons_after, "after {name}");
        // What was mapped stays mapped: what comes back is good again.
        let mapping = world.plan.mapping.clone();
        let parts = follow(&mut world.plan, &world.group, &world.source_inventory, false);
        assert_eq!(
            (parts, world.plan.mapping),
            (vec![], mapping),
            "{name} changes nothing of the plan"
        );
    }
}

fn gone(world: &World) -> Vec<CloudId> {
    vanished(&world.group, &world.source_inventory).into_iter().collect()
}

#[test]
fn plan_83_pg_17_an_instance_that_is_gone_leaves_and_nothing_waits_for_it() {
    let mut world = World::new();
    world.mapping("web").boot_after.insert(id("db"));
    assert!(gone(&world).is_empty());
    world.source_inventory.instances.remove(&id("db"));
    assert_eq!(gone(&world), [id("db")]);
    world.group.instances.retain(|i| i != &id("db"));
    let parts = follow(&mut world.plan, &world.group, &world.source_inventory, false);
    let left = |volume: &str| PlanChangePart::VolumeLeft { volume: id(volume) };
    let instance = PlanChangePart::InstanceLeft { instance: id("db") };
    assert_eq!(parts, [instance, left("db-data"), left("db-root")]);
    assert!(world.mapping("web").boot_after.is_empty());
    assert!(world.plan.leaving.values().all(|l| l.vanished && !l.releasing));
    assert_eq!(world.plan.volumes.len(), 1);
    assert_eq!(reasons(&world), [] as [&str; 0]);
    // Followed once, there is nothing more to follow.
    assert!(follow(&mut world.plan, &world.group, &world.source_inventory, false).is_empty());
}

/// That a whole group was deleted is no wish to end its protection (PLAN-32 is for operators).
#[test]
fn plan_83_a_group_of_which_everything_is_gone_stays_as_it_is() {
    let mut world = World::new();
    world.source_inventory.instances.clear();
    assert!(gone(&world).is_empty());
    assert!(follow(&mut world.plan, &world.group, &world.source_inventory, false).is_empty());
    assert!(reasons(&world).contains(&"plan.resource_removed".to_owned()));
}

#[test]
fn plan_93_a_detached_volume_leaves_and_returns_unless_its_replica_goes() {
    let mut world = World::new();
    let attach = |world: &mut World| world.source_instance("db").volume_ids.push(id("db-data"));
    let known = world.plan.volumes.clone();
    world.source_instance("db").volume_ids.retain(|v| v != &id("db-data"));
    let parts = follow(&mut world.plan, &world.group, &world.source_inventory, false);
    assert_eq!(parts, [PlanChangePart::VolumeLeft { volume: id("db-data") }]);
    assert_eq!(reasons(&world), [] as [&str; 0]);

    attach(&mut world);
    let parts = follow(&mut world.plan, &world.group, &world.source_inventory, false);
    assert_eq!(parts, [PlanChangePart::VolumeReturned { volume: id("db-data") }]);
    assert_eq!((&world.plan.volumes, world.plan.leaving.len()), (&known, 0));

    world.source_instance("db").volume_ids.retain(|v| v != &id("db-data"));
    follow(&mut world.plan, &world.group, &world.source_inventory, true);
    let leaving = world.plan.leaving.get_mut(&id("db-data")).unwrap();
    assert!(!leaving.vanished, "taken out by hand");
    leaving.releasing = true;
    attach(&mut world);
    assert!(follow(&mut world.plan, &world.group, &world.source_inventory, false).is_empty());
    assert_eq!(reasons(&world), ["plan.resource_added"]);
}

/// PG-16: what is added to the group has to be mapped by hand.
#[test]
fn pg_16_plan_42_an_added_instance_is_a_warning_until_it_is_mapped() {
    let mut world = World::new();
    world.group.instances.push(id("batch"));
    assert!(follow(&mut world.plan, &world.group, &world.source_inventory, true).is_empty());
    assert_eq!(reasons(&world), ["plan.resource_added"]);
    let added: Instance = instance("batch", &["batch-root"]);
    world.plan.mapping.instances.insert(added.id, Default::default());
    assert_eq!(
        reasons(&world),
        ["plan.resource_added"],
        "its volume is not replicated yet"
    );
}
