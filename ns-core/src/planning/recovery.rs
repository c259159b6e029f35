//! Drills and failovers as task graphs.
//!
//! One shape serves all: volumes come to be on the Target, become volumes of its cloud, and servers boot from them. What
//! differs is only where the volumes come from ([`RecoveryData`]): clones of a recovery point, the replicas after a
//! planned hand-over, or the replicas after a forced promotion.

use super::graph::{Action, ImageRef, MarkRef, Side, TaskGraph, VAULT_BASE};
use super::home::{self, Homeward};
use super::lookup::Lookup;
use super::networks;
use crate::model::{
    CloudId, ClusterId, Flavor, Instance, InstanceMapping, Inventory, JobId, PowerState, ReadinessCheck, RecoveryPlan,
    RecoveryPoint, TaskKey, Volume,
};
use crate::provider::{AdoptSpec, Ref, Spec};
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// The key of the task that cuts the source off.
pub const FENCE: &str = "fence";

/// Where the data of a recovery comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryData<'a> {
    /// Clones of a recovery point. `stop_source`: the Source is reachable and its instances are stopped first (failover);
    /// a drill leaves them alone.
    Point {
        /// Which point.
        point: &'a RecoveryPoint,
        /// Whether the Source's instances are stopped first.
        stop_source: bool,
    },
    /// The replicas, after the Source was stopped and demoted and every write has arrived.
    HandOver {
        /// Whether the instances are stopped first. They cannot be when their cloud does not answer: then the demotion ends their
        /// writes.
        stop_source: bool,
    },
    /// The replicas as they are, by an operator's decision.
    Forced {
        /// The journalled decision.
        decision: &'a str,
        /// The new epoch of the volumes.
        epoch: u64,
        /// The Source's cloud answers: its instances are stopped first, as far as that goes.
        stop_source: bool,
    },
}

/// Everything a recovery is planned from.
#[derive(Debug, Clone, Copy)]
pub struct RecoveryInputs<'a> {
    /// The job.
    pub job_id: &'a JobId,
    /// The frozen plan.
    pub plan: &'a RecoveryPlan,
    /// The members to be recovered.
    pub instances: &'a BTreeSet<CloudId>,
    /// The Source inventory of the group: the point's, or the newest.
    pub inventory: &'a Inventory,
    /// The Target's flavours.
    pub target_flavors: &'a BTreeMap<CloudId, Flavor>,
    /// Where the data comes from.
    pub data: RecoveryData<'a>,
    /// The source is cut off before anything is made writable: its cluster, and the journalled decision.
    pub fence: Option<(&'a ClusterId, &'a str)>,
    /// For a plan that leads back: where to. Not used for the data of a recovery point.
    pub home: Option<Homeward<'a>>,
    /// A drill: networks of its own, no way out.
    pub isolated: bool,
    /// Makes names of this drill differ from those of others; short.
    pub suffix: &'a str,
    /// What the keys of volumes and servers begin with: nothing, or what a [recovery beside another](super::plan_beside) says.
    pub prefix: &'a str,
}

/// Plans a drill or a failover.
///
/// # Errors
/// `Invalid` when the plan or the inventory has a hole: the field or object is named.
pub fn plan_recovery(inputs: &RecoveryInputs<'_>) -> Result<TaskGraph> {
    let inputs = &Lookup::of(inputs);
    let mut graph = TaskGraph::default();
    let mut servers: BTreeMap<&CloudId, (TaskKey, TaskKey)> = BTreeMap::new();
    for id in inputs.instances {
        let instance = inputs.inventory.instances.get(id).ok_or_else(|| hole("instance", id))?;
        let home = match inputs.data {
            RecoveryData::Point { .. } => None,
            _ => home::bring_home(&mut graph, inputs, instance)?,
        };
        let made = match home {
            Some(server) => (server.clone(), server),
            None => server(&mut graph, inputs, instance)?,
        };
        servers.insert(id, made);
    }
    let mut up: BTreeMap<&CloudId, TaskKey> = BTreeMap::new();
    for (id, (server, last)) in &servers {
        let ready = ready(&mut graph, inputs, id, server, last);
        up.insert(id, ready.unwrap_or_else(|| last.clone()));
    }
    for (id, (server, _)) in &servers {
        let mapping = mapping_of(inputs, id);
        let first: BTreeSet<TaskKey> = mapping
            .boot_after
            .iter()
            .filter_map(|other| up.get(other).cloned())
            .collect();
        if first.is_empty() {
            continue;
        }
        let mut order = first;
        if mapping.boot_delay_seconds > 0 {
            let delay = graph.add(
                format!("{}delay/{id}", inputs.prefix),
                Action::Delay {
                    seconds: mapping.boot_delay_seconds,
                },
                [],
            );
            if let Some(task) = graph.tasks.get_mut(&delay) {
                task.order = order;
            }
            order = BTreeSet::from([delay]);
        }
        if let Some(task) = graph.tasks.get_mut(server) {
            task.order = order;
        }
    }
    one_by_one(&mut graph, inputs, &servers)?;
    for (id, (_, last)) in &servers {
        graph.needed_by(last, id);
    }
    graph.in_order()?;
    Ok(graph)
}

/// Waits until a server is ready, where its plan says how that is seen. No instance needs it: one that is not ready in time is
/// recovered all the same.
fn ready(
    graph: &mut TaskGraph,
    inputs: &Lookup<'_>,
    id: &CloudId,
    server: &TaskKey,
    last: &TaskKey,
) -> Option<TaskKey> {
    let mapping = mapping_of(inputs, id);
    let reachable = |check: &ReadinessCheck| !(inputs.isolated && check.probe.needs_network());
    let check = mapping.ready.filter(|check| mapping.boot && reachable(check))?;
    let wait = Action::AwaitReady {
        side: Side::Target,
        instance: id.clone(),
        cluster: inputs.plan.target_cluster.clone(),
        server: Ref::OutputOf(server.clone()),
        check,
    };
    Some(graph.add(format!("{}ready/{id}", inputs.prefix), wait, [last]))
}

/// Servers that share a volume are made one after the other: a cloud reserves a volume for one server at a time, and a
/// request that is refused for it leaves what it had reserved before (seen in the lab).
fn one_by_one(
    graph: &mut TaskGraph,
    inputs: &Lookup<'_>,
    servers: &BTreeMap<&CloudId, (TaskKey, TaskKey)>,
) -> Result<()> {
    // Along the boot order, so that no two chains contradict each other.
    let place: BTreeMap<TaskKey, usize> = (graph.in_order()?.iter().enumerate())
        .map(|(place, task)| (task.key.clone(), place))
        .collect();
    let mut users: BTreeMap<&CloudId, BTreeMap<usize, &TaskKey>> = BTreeMap::new();
    for (id, (server, _)) in servers {
        let volumes = inputs
            .inventory
            .instances
            .get(*id)
            .into_iter()
            .flat_map(|i| &i.volume_ids);
        for volume in volumes {
            let at = place.get(server).copied().unwrap_or_default();
            users.entry(volume).or_default().insert(at, server);
        }
    }
    for chain in users.values() {
        for (first, then) in chain.values().zip(chain.values().skip(1)) {
            if let Some(task) = graph.tasks.get_mut(*then) {
                task.order.insert((*first).clone());
            }
        }
    }
    Ok(())
}

pub(super) fn hole(what: &str, id: &CloudId) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "inventory.incomplete",
        format!("{what} {id} is not in the inventory"),
    )
    .with_remedy("synchronise the Source cluster")
}

pub(super) fn mapping_of(inputs: &Lookup<'_>, id: &CloudId) -> InstanceMapping {
    inputs.plan.mapping.instances.get(id).cloned().unwrap_or_default()
}

/// Adds an instance with everything it needs; gives its server task and the last of its tasks.
fn server(graph: &mut TaskGraph, inputs: &Lookup<'_>, instance: &Instance) -> Result<(TaskKey, TaskKey)> {
    let tenant = &networks::tenant(graph, inputs);
    let mapping = mapping_of(inputs, &instance.id);
    let mut after = vec![tenant.1.clone()];
    let mut volumes = Vec::new();
    for id in &instance.volume_ids {
        let task = volume(graph, inputs, tenant, id)?;
        volumes.push(Ref::OutputOf(task.clone()));
        after.push(task);
    }
    if let RecoveryData::Point { stop_source: true, .. } = inputs.data {
        after.push(stop_source(graph, instance));
    }
    let (mut ports, mut extras) = (Vec::new(), Vec::new());
    for id in &instance.port_ids {
        let port = inputs.inventory.ports.get(id).ok_or_else(|| hole("port", id))?;
        let task = networks::port(graph, inputs, tenant, port)?;
        extras.extend(networks::floating_ips(graph, inputs, tenant, port, &task)?);
        ports.push(Ref::OutputOf(task.clone()));
        after.push(task);
    }
    let flavor = flavor(graph, inputs, tenant, &instance.flavor, mapping.flavor.as_deref())?;
    if let Ref::OutputOf(task) = &flavor {
        after.push(task.clone());
    }
    let keypair = instance.keypair.as_ref().and_then(|name| {
        let pair = inputs.inventory.keypairs.values().find(|k| &k.name == name)?;
        // A keypair is the user's, not the tenant's: what a drill left must not be in a failover's way.
        let own = match inputs.isolated {
            true => format!("{}-drill-{}", pair.name, inputs.suffix),
            false => pair.name.clone(),
        };
        let spec = Spec::Keypair {
            name: own,
            public_key: pair.public_key.clone(),
        };
        let task = networks::create(graph, format!("keypair/{name}"), spec, []);
        after.push(task.clone());
        Some(Ref::OutputOf(task))
    });
    let server_group = inputs.server_group(&instance.id).map(|g| {
        let spec = Spec::ServerGroup {
            tenant: tenant.0.clone(),
            name: g.name.clone(),
            policy: g.policy.clone(),
        };
        let task = networks::create(graph, format!("server-group/{}", g.id), spec, [tenant.1.clone()]);
        after.push(task.clone());
        Ref::OutputOf(task)
    });
    let availability_zone = mapping.availability_zone.clone().or_else(|| {
        inputs
            .plan
            .mapping
            .availability_zones
            .get(&instance.availability_zone)
            .cloned()
    });
    let spec = Spec::Server {
        tenant: tenant.0.clone(),
        name: instance.name.clone(),
        flavor,
        keypair,
        ports,
        volumes,
        availability_zone,
        host: mapping.host.clone(),
        server_group,
        metadata: instance.metadata.clone(),
        user_data: instance.user_data.clone(),
    };
    let server = networks::create(graph, format!("{}server/{}", inputs.prefix, instance.id), spec, after);
    let mut last = server.clone();
    if !mapping.boot {
        let stop = Action::StopServer {
            side: Side::Target,
            server: Ref::OutputOf(server.clone()),
            was_running: false,
        };
        last = graph.add(format!("{}stay-off/{}", inputs.prefix, instance.id), stop, [&server]);
    }
    for task in &extras {
        graph.needed_by(task, &instance.id);
    }
    Ok((server, last))
}

/// Stops an instance on the Source, remembering whether it ran.
fn stop_source(graph: &mut TaskGraph, instance: &Instance) -> TaskKey {
    let action = Action::StopServer {
        side: Side::Source,
        server: Ref::Known(instance.id.clone()),
        was_running: instance.power != PowerState::Stopped,
    };
    graph.add(format!("stop/{}", instance.id), action, [])
}

/// Adds the task that cuts the source off, if it is to be.
fn fence(graph: &mut TaskGraph, inputs: &Lookup<'_>) -> Option<TaskKey> {
    let (cluster, decision) = inputs.fence?;
    let action = Action::Fence {
        side: Side::Source,
        cluster: cluster.clone(),
        decision: decision.to_owned(),
    };
    Some(graph.add(FENCE, action, []))
}

/// Adds the tasks that bring a volume to the Target; gives its image there and the task after which it can be used.
pub(super) fn bring(graph: &mut TaskGraph, inputs: &Lookup<'_>, id: &CloudId) -> Result<(ImageRef, TaskKey)> {
    let volume = inputs.inventory.volumes.get(id).ok_or_else(|| hole("volume", id))?;
    let (image, ready) = match inputs.data {
        RecoveryData::Point { point, .. } => {
            let part = point.volumes.get(id).ok_or_else(|| {
                Error::new(
                    ErrorKind::Refused,
                    "point.volume",
                    format!("the recovery point holds no volume {id}"),
                )
                .with("point", &point.id)
                .with_remedy(
                    "choose a recovery point that was made after the volume was added, or exclude the instance",
                )
            })?;
            let clone = Action::Clone {
                side: Side::Target,
                image: ImageRef::Known(part.vault.clone()),
                snapshot: VAULT_BASE.to_owned(),
            };
            let fence = fence(graph, inputs);
            let task = graph.add(format!("{}clone/{id}", inputs.prefix), clone, &fence);
            (ImageRef::OutputOf(task.clone()), task)
        }
        RecoveryData::HandOver { stop_source } => hand_over(graph, inputs, volume, stop_source)?,
        RecoveryData::Forced {
            decision,
            epoch,
            stop_source: stop,
        } => {
            let image = ImageRef::Replica(replication_id(inputs, id)?);
            let promote = Action::ForcePromote {
                side: Side::Target,
                image: image.clone(),
                decision: decision.to_owned(),
                epoch,
            };
            let fence = fence(graph, inputs);
            let task = graph.add(format!("promote/{id}"), promote, &fence);
            if stop {
                // A Source that is half alive is asked to stop its writers, but a failed stop does not hold recovery up: the
                // operator decided that already.
                let stops: BTreeSet<TaskKey> = inputs.writers(id).iter().map(|i| stop_source(graph, i)).collect();
                for later in fence.iter().chain([&task]) {
                    if let Some(t) = graph.tasks.get_mut(later) {
                        t.order.extend(stops.iter().cloned());
                    }
                }
            }
            (image, task)
        }
    };
    graph.about_volume(&ready, id);
    Ok((image, ready))
}

/// Adds the tasks that bring a volume to the Target and into its cloud; gives the task that adopts it.
fn volume(graph: &mut TaskGraph, inputs: &Lookup<'_>, tenant: &(Ref, TaskKey), id: &CloudId) -> Result<TaskKey> {
    let key = TaskKey::new(format!("{}volume/{id}", inputs.prefix));
    if graph.tasks.contains_key(&key) {
        return Ok(key);
    }
    let volume = inputs.inventory.volumes.get(id).ok_or_else(|| hole("volume", id))?;
    let (image, ready) = bring(graph, inputs, id)?;
    let volume_type = inputs
        .plan
        .mapping
        .volume_types
        .get(&volume.volume_type)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "plan.mapping",
                format!("volume type {} has no counterpart", volume.volume_type),
            )
            .with_field(format!("mapping.volume_types[{}]", volume.volume_type))
            .with_remedy("map it to a volume type of the Target cluster")
        })?;
    let spec = AdoptSpec {
        tenant: tenant.0.clone(),
        storage: crate::model::StorageRef::new(""),
        name: volume.name.clone(),
        volume_type: volume_type.clone(),
        bootable: volume.bootable,
        availability_zone: None,
        metadata: volume.metadata.clone(),
        image_metadata: volume.image_metadata.clone(),
    };
    let key = graph.add(
        key,
        Action::Adopt {
            side: Side::Target,
            image,
            spec,
        },
        [&tenant.1, &ready],
    );
    graph.about_volume(&key, id);
    Ok(key)
}

/// The hand-over of one volume: a first shipment while the guests still run, then stop, demote, arrival, promote. With `stop`
/// unset the guests are cut off from the volume by its demotion.
fn hand_over(graph: &mut TaskGraph, inputs: &Lookup<'_>, volume: &Volume, stop: bool) -> Result<(ImageRef, TaskKey)> {
    let id = &volume.id;
    let image = ImageRef::Replica(replication_id(inputs, id)?);
    let ship = graph.add(
        format!("ship/{id}"),
        Action::Ship {
            side: Side::Source,
            image: image.clone(),
            snapshot: None,
        },
        [],
    );
    let shipped = graph.add(
        format!("shipped/{id}"),
        Action::AwaitArrival {
            side: Side::Target,
            image: image.clone(),
            mark: MarkRef::OutputOf(ship.clone()),
        },
        [&ship],
    );
    let mut stops = Vec::new();
    for instance in inputs.writers(id).iter().filter(|_| stop) {
        let stop = stop_source(graph, instance);
        // Guests stop only when the bulk of their data is over: the pause is as short as the last delta.
        if let Some(task) = graph.tasks.get_mut(&stop) {
            task.after.insert(shipped.clone());
        }
        stops.push(stop);
    }
    let demote = graph.add(
        format!("demote/{id}"),
        Action::Demote {
            side: Side::Source,
            image: image.clone(),
            only_if_primary: false,
        },
        stops.iter().chain([&shipped]),
    );
    let arrive = graph.add(
        format!("demoted/{id}"),
        Action::AwaitArrival {
            side: Side::Target,
            image: image.clone(),
            mark: MarkRef::OutputOf(demote.clone()),
        },
        [&demote],
    );
    let promote = graph.add(
        format!("promote/{id}"),
        Action::Promote {
            side: Side::Target,
            image: image.clone(),
            demotion: Some(MarkRef::OutputOf(demote.clone())),
        },
        [&arrive],
    );
    for task in [&ship, &shipped, &demote, &arrive] {
        graph.about_volume(task, id);
    }
    Ok((image, promote))
}

fn replication_id(inputs: &Lookup<'_>, id: &CloudId) -> Result<crate::model::ReplicationId> {
    inputs
        .plan
        .volumes
        .get(id)
        .map(|v| v.replication_id.clone())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                "plan.volume_not_replicated",
                format!("volume {id} is not replicated"),
            )
            .with_remedy("update the plan and wait for its initial mirroring")
        })
}

/// The flavour: the mapped one, one of the same size, or a new one (OPEN-15).
fn flavor(
    graph: &mut TaskGraph,
    inputs: &Lookup<'_>,
    tenant: &(Ref, TaskKey),
    source: &Flavor,
    mapped: Option<&str>,
) -> Result<Ref> {
    let mut targets = inputs.target_flavors.values();
    if let Some(name) = mapped {
        return targets
            .find(|f| f.name == name)
            .map(|f| Ref::Known(f.id.clone()))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    "plan.mapping",
                    format!("the Target has no flavour {name}"),
                )
                .with_field("mapping.instances[].flavor")
                .with_remedy("choose a flavour of the Target cluster, or none to match by size")
            });
    }
    let same_size = |f: &&Flavor| {
        f.public
            && (f.vcpus, f.memory_mib, f.disk_gib, f.ephemeral_gib, f.swap_mib)
                == (
                    source.vcpus,
                    source.memory_mib,
                    source.disk_gib,
                    source.ephemeral_gib,
                    source.swap_mib,
                )
            && f.extra_specs == source.extra_specs
    };
    if let Some(found) = targets.find(same_size) {
        return Ok(Ref::Known(found.id.clone()));
    }
    let spec = Spec::Flavor {
        tenant: tenant.0.clone(),
        name: format!("{}-{}", source.name, inputs.suffix),
        vcpus: source.vcpus,
        memory_mib: source.memory_mib,
        disk_gib: source.disk_gib,
        ephemeral_gib: source.ephemeral_gib,
        swap_mib: source.swap_mib,
        extra_specs: source.extra_specs.clone(),
    };
    Ok(Ref::OutputOf(networks::create(
        graph,
        format!("flavor/{}", source.name),
        spec,
        [tenant.1.clone()],
    )))
}
