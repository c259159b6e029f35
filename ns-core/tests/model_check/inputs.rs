//! The group that is recovered: guests with volumes, and the plan that maps them.

use ns_core::journal::Frozen;
use ns_core::model::*;
use std::collections::BTreeMap;

pub fn id(text: &str) -> CloudId {
    CloudId::new(text)
}

pub const VOLUMES: [&str; 2] = ["v0", "v1"];

/// Which volumes each guest has.
pub type Layout = &'static [(&'static str, &'static [&'static str])];

/// One guest with both volumes.
pub const TOGETHER: Layout = &[("g0", &VOLUMES)];
/// A guest for each.
pub const APART: Layout = &[("g0", &["v0"]), ("g1", &["v1"])];
/// What the one guest and its volumes were before they were failed over.
pub const AWAY: Layout = &[("o0", &["w0", "w1"])];

fn flavor() -> Flavor {
    Flavor {
        id: id("f"),
        name: "f".into(),
        vcpus: 1,
        memory_mib: 128,
        disk_gib: 0,
        ephemeral_gib: 0,
        swap_mib: 0,
        public: true,
        extra_specs: BTreeMap::new(),
    }
}

/// Both sides of a volume share it, whatever they call the volume.
fn replication(volume: &str) -> ReplicationId {
    ReplicationId::new(volume.replace('w', "v"))
}

/// The inputs of a failback to where the guest still is.
pub fn coming_home() -> Frozen {
    let (mut now, before) = (frozen(TOGETHER), frozen(AWAY));
    now.plan.home = Some(Home {
        failover_job: JobId::new("away"),
        group: before.group,
        plan: Box::new(before.plan),
        instances: BTreeMap::from([(id("g0"), id("o0"))]),
        volumes: VOLUMES.iter().zip(AWAY[0].1).map(|(v, w)| (id(v), id(w))).collect(),
    });
    now
}

/// The inputs of a job, with the recovery point that drills take.
pub fn frozen(layout: Layout) -> Frozen {
    let mut inventory = Inventory::default();
    let volumes = || layout.iter().flat_map(|(_, volumes)| volumes.iter().copied());
    for v in volumes() {
        inventory.insert(Resource::Volume(Volume {
            id: id(v),
            name: v.into(),
            tenant_id: id("t"),
            size_gib: 1,
            status: "in-use".into(),
            volume_type: "ceph".into(),
            bootable: true,
            multiattach: false,
            attachments: vec![],
            volume_group_id: None,
            source_snapshot_id: None,
            metadata: BTreeMap::new(),
            image_metadata: BTreeMap::new(),
            storage: Some(StorageRef::new(format!("rbd:volumes/{v}"))),
        }));
    }
    for (name, volumes) in layout {
        inventory.insert(Resource::Instance(Instance {
            id: id(name),
            name: (*name).into(),
            tenant_id: id("t"),
            power: PowerState::Running,
            status: "ACTIVE".into(),
            flavor: flavor(),
            availability_zone: "nova".into(),
            host: None,
            keypair: None,
            volume_ids: volumes.iter().map(|v| id(v)).collect(),
            boots_from_volume: true,
            port_ids: vec![],
            metadata: BTreeMap::new(),
            user_data: None,
            fault: None,
        }));
    }
    let replicated = |v: &str| ReplicatedVolume {
        volume_id: id(v),
        source: StorageRef::new(format!("rbd:volumes/{v}")),
        replication_id: replication(v),
        target: StorageRef::new(format!("rbd:volumes/{v}")),
    };
    let at = jiff::Timestamp::UNIX_EPOCH;
    let plan = RecoveryPlan {
        id: PlanId::new("plan"),
        name: "plan".into(),
        group_id: GroupId::new("group"),
        target_cluster: ClusterId::new("b"),
        snapshot_retention: 1,
        replication_mode: ReplicationMode::Snapshot,
        parent_policy: ParentPolicy::Flatten,
        mapping: ResourceMapping {
            tenant_name: "recovered".into(),
            availability_zones: BTreeMap::new(),
            volume_types: BTreeMap::from([("ceph".into(), "ceph".into())]),
            external_networks: BTreeMap::new(),
            floating_ips: BTreeMap::new(),
            instances: BTreeMap::new(),
        },
        volumes: volumes().map(|v| (id(v), replicated(v))).collect(),
        leaving: BTreeMap::new(),
        home: None,
        version: 1,
        created_at: at,
        modified_at: at,
    };
    let part = |v: &str| PointVolume {
        volume_id: id(v),
        replication_id: replication(v),
        snapshot: "s".into(),
        vault: StorageRef::new(format!("rbd:vault/{v}")),
    };
    let point = RecoveryPoint {
        id: PointId::new("point"),
        group_id: GroupId::new("group"),
        plan_id: PlanId::new("plan"),
        job_id: JobId::new("p"),
        taken_at: at,
        complete_at: at,
        consistency: Consistency::Crash,
        volumes: volumes().map(|v| (id(v), part(v))).collect(),
        plan: plan.clone(),
        inventory: inventory.clone(),
        manifest: Manifest::default(),
        contents: BTreeMap::new(),
    };
    Frozen {
        read_at: None,
        plan,
        group: ProtectionGroup {
            id: GroupId::new("group"),
            name: "group".into(),
            description: String::new(),
            owner_group_id: OwnerGroupId::new("ops"),
            source_cluster: ClusterId::new("a"),
            instances: layout.iter().map(|(name, _)| id(name)).collect(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
            registered_at: at,
            modified_at: at,
        },
        inventory,
        target_flavors: BTreeMap::from([(id("f"), flavor())]),
        point: Some(point),
    }
}
