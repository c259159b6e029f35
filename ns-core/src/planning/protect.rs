//! Protection as task graphs: initial mirroring, recovery points, and the end of both.

use super::graph::{Action, ImageRef, MarkRef, Side, TaskGraph, VAULT_BASE};
use super::home::{Homeward, rejoin};
use crate::model::{
    CloudId, Inventory, JobId, ParentPolicy, PlanId, PointId, PointVolume, RecoveryPlan, RecoveryPoint,
    ReplicatedVolume, ReplicationId, StorageRef, TaskKey,
};
use crate::planted::{self, Bug};
use crate::provider::Token;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The volumes of a group's instances, each once.
fn members<'a>(inventory: &'a Inventory, instances: &'a [CloudId]) -> Result<BTreeMap<&'a CloudId, &'a StorageRef>> {
    let mut volumes = BTreeMap::new();
    for id in instances {
        let instance = inventory.instances.get(id).ok_or_else(|| absent("instance", id))?;
        for id in &instance.volume_ids {
            let volume = inventory.volumes.get(id).ok_or_else(|| absent("volume", id))?;
            let storage = volume.storage.as_ref().ok_or_else(|| {
                Error::new(
                    ErrorKind::Refused,
                    "volume.storage",
                    format!("where volume {id} is stored is not known"),
                )
                .with_remedy("only volumes on the cluster's registered storage can be protected")
            })?;
            volumes.insert(id, storage);
        }
    }
    Ok(volumes)
}

fn absent(what: &str, id: &CloudId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "inventory.absent",
        format!("{what} {id} is not in the inventory"),
    )
    .with_remedy("synchronise the Source cluster")
}

/// The name of a point's snapshots.
#[must_use]
pub fn point_snapshot_name(point: &PointId) -> String {
    format!("neverstop-{point}")
}

/// Plans the initial mirroring of a group's volumes (PLAN-14). `cloned` are the images that have a parent. After a failover
/// the old copies rejoin first; `decision` lets those that diverged be thrown away.
///
/// # Errors
/// `NotFound` for a member that is not in the inventory; `Refused` for a volume on foreign storage, or a cloned one under
/// [`ParentPolicy::Refuse`].
pub fn plan_protect(
    plan: &RecoveryPlan,
    instances: &[CloudId],
    inventory: &Inventory,
    cloned: &BTreeSet<StorageRef>,
    home: Option<Homeward<'_>>,
    decision: Option<&str>,
) -> Result<TaskGraph> {
    let mut graph = TaskGraph::default();
    let members = members(inventory, instances)?;
    let mut rejoined = match home {
        Some(home) => rejoin(&mut graph, home, &members.keys().copied().collect(), decision),
        None => BTreeMap::new(),
    };
    for (id, storage) in members {
        let image = ImageRef::Known(storage.clone());
        let mut after: Vec<TaskKey> = rejoined.remove(id).into_iter().collect();
        if cloned.contains(storage) {
            if plan.parent_policy == ParentPolicy::Refuse {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "volume.parent",
                    format!("volume {id} is a clone of another image, which is not replicated"),
                )
                .with_field("parent_policy")
                .with_remedy("allow the plan to flatten cloned volumes on the Source"));
            }
            let flatten = Action::Flatten {
                side: Side::Source,
                image: image.clone(),
            };
            after.push(graph.add(format!("flatten/{id}"), flatten, []));
        }
        let enable = graph.add(
            format!("replicate/{id}"),
            Action::EnableReplication {
                image,
                mode: plan.replication_mode,
            },
            &after,
        );
        let replica = graph.add(
            format!("replica/{id}"),
            Action::AwaitReplica { source: enable.clone() },
            [&enable],
        );
        for task in after.iter().chain([&enable, &replica]) {
            graph.about_volume(task, id);
        }
    }
    graph.in_order()?;
    Ok(graph)
}

/// What the tasks of [`plan_protect`] found, as the plan keeps it. `outputs` gives for a task the replication id and the
/// image it found.
#[must_use]
pub fn replicated_volumes(
    inventory: &Inventory,
    instances: &[CloudId],
    outputs: impl Fn(&TaskKey) -> (Option<ReplicationId>, Option<StorageRef>),
) -> BTreeMap<CloudId, ReplicatedVolume> {
    let Ok(members) = members(inventory, instances) else {
        return BTreeMap::new();
    };
    members
        .into_iter()
        .filter_map(|(id, source)| {
            let (replication_id, _) = outputs(&TaskKey::new(format!("replicate/{id}")));
            let (_, target) = outputs(&TaskKey::new(format!("replica/{id}")));
            let volume = ReplicatedVolume {
                volume_id: id.clone(),
                source: source.clone(),
                replication_id: replication_id?,
                target: target?,
            };
            Some((id.clone(), volume))
        })
        .collect()
}

/// Plans a recovery point: all snapshots first and close together, then shipment, proof of arrival, and a vault clone of
/// each on the Target that no deletion on the Source can reach.
///
/// # Errors
/// `Refused` when the plan replicates nothing.
pub fn plan_point(plan: &RecoveryPlan, point: &PointId) -> Result<TaskGraph> {
    if plan.volumes.is_empty() {
        return Err(Error::new(
            ErrorKind::Refused,
            "plan.volume_not_replicated",
            "the plan replicates no volume yet",
        )
        .with_remedy("wait for the plan's initial mirroring"));
    }
    let mut graph = TaskGraph::default();
    let name = point_snapshot_name(point);
    let snapshots: Vec<TaskKey> = plan
        .volumes
        .values()
        .map(|v| {
            let image = ImageRef::Replica(v.replication_id.clone());
            let snapshot = Action::Snapshot {
                side: Side::Source,
                image,
                name: name.clone(),
            };
            graph.add(format!("snapshot/{}", v.volume_id), snapshot, [])
        })
        .collect();
    for v in plan.volumes.values() {
        let (id, image) = (&v.volume_id, ImageRef::Replica(v.replication_id.clone()));
        let ship = Action::Ship {
            side: Side::Source,
            image: image.clone(),
            snapshot: Some(name.clone()),
        };
        let ship = graph.add(format!("ship/{id}"), ship, &snapshots);
        let mark = MarkRef::OutputOf(ship.clone());
        let arrive = Action::AwaitArrival {
            side: Side::Target,
            image: image.clone(),
            mark,
        };
        let arrive = graph.add(format!("arrive/{id}"), arrive, [&ship]);
        let vault = Action::Clone {
            side: Side::Target,
            image,
            snapshot: name.clone(),
        };
        let vault = graph.add(format!("vault/{id}"), vault, [&arrive]);
        let base = Action::Snapshot {
            side: Side::Target,
            image: ImageRef::OutputOf(vault.clone()),
            name: VAULT_BASE.to_owned(),
        };
        let base = graph.add(format!("base/{id}"), base, [&vault]);
        for task in [&ship, &arrive, &vault, &base] {
            graph.about_volume(task, id);
        }
    }
    graph.in_order()?;
    Ok(graph)
}

/// The volumes of a point that [`plan_point`] made; none while a vault is missing.
#[must_use]
pub fn point_volumes(
    plan: &RecoveryPlan,
    point: &PointId,
    vault: impl Fn(&TaskKey) -> Option<StorageRef>,
) -> Option<BTreeMap<CloudId, PointVolume>> {
    plan.volumes
        .values()
        .filter(|v| !planted::is(Bug::PointHalf) || vault(&TaskKey::new(format!("vault/{}", v.volume_id))).is_some())
        .map(|v| {
            let part = PointVolume {
                volume_id: v.volume_id.clone(),
                replication_id: v.replication_id.clone(),
                snapshot: point_snapshot_name(point),
                vault: vault(&TaskKey::new(format!("vault/{}", v.volume_id)))?,
            };
            Some((v.volume_id.clone(), part))
        })
        .collect()
}

/// What a recovery point left on both sides, or may have left when its job failed: enough to remove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointRemains {
    /// The point.
    pub id: PointId,
    /// Made under which plan.
    pub plan_id: PlanId,
    /// The job that made it, or tried to.
    pub job_id: JobId,
    /// Its volumes, with the identity that both sides share.
    pub volumes: BTreeMap<CloudId, ReplicationId>,
}

impl From<&RecoveryPoint> for PointRemains {
    fn from(point: &RecoveryPoint) -> Self {
        let volumes = point.volumes.iter();
        Self {
            id: point.id.clone(),
            plan_id: point.plan_id.clone(),
            job_id: point.job_id.clone(),
            volumes: volumes
                .map(|(id, part)| (id.clone(), part.replication_id.clone()))
                .collect(),
        }
    }
}

/// Adds the removal of points: their vault clones on the Target, then their snapshots on the side that writes. Gives the
/// last tasks by volume.
pub(super) fn forget_points<'a>(
    graph: &mut TaskGraph,
    points: &'a [PointRemains],
    writer: Side,
) -> BTreeMap<&'a CloudId, Vec<TaskKey>> {
    let mut cleared: BTreeMap<&CloudId, Vec<TaskKey>> = BTreeMap::new();
    for point in points {
        for (id, replication_id) in &point.volumes {
            let token = Token::of(&point.job_id, &TaskKey::new(format!("vault/{id}")));
            let vault = Action::RemoveImage {
                side: Side::Target,
                token,
            };
            let vault = graph.add(format!("vault/{}/{id}", point.id), vault, []);
            let snapshot = Action::RemoveSnapshot {
                side: writer,
                image: ImageRef::Replica(replication_id.clone()),
                name: point_snapshot_name(&point.id),
            };
            let snapshot = graph.add(format!("snapshot/{}/{id}", point.id), snapshot, [&vault]);
            cleared.entry(id).or_default().push(snapshot);
        }
    }
    cleared
}

/// Whether a job that removes recovery points has removed this one. `done` tells which of its tasks have succeeded.
#[must_use]
pub fn forgotten(point: &PointRemains, done: impl Fn(&TaskKey) -> bool) -> bool {
    let mut parts = point.volumes.keys();
    parts.all(|id| done(&TaskKey::new(format!("snapshot/{}/{id}", point.id))))
}

/// The task that ends the replication of a volume.
#[must_use]
pub fn disable_key(volume: &CloudId) -> TaskKey {
    TaskKey::new(format!("disable/{volume}"))
}

/// Adds the end of the replication of volumes (REP-05), after what holds each has been cleared.
pub(super) fn disable<'a>(
    graph: &mut TaskGraph,
    volumes: impl Iterator<Item = &'a ReplicatedVolume>,
    mut cleared: BTreeMap<&CloudId, Vec<TaskKey>>,
) {
    for v in volumes {
        let after = cleared.remove(&v.volume_id).unwrap_or_default();
        let disable = Action::DisableReplication {
            replication_id: v.replication_id.clone(),
            image: Some(v.source.clone()),
        };
        let key = graph.add(disable_key(&v.volume_id).to_string(), disable, &after);
        graph.about_volume(&key, &v.volume_id);
    }
}

/// Plans the removal of recovery points over the retention count (PLAN-17), and of the replicas that no point needs of volumes
/// that left the plan (PLAN-93).
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_prune(points: &[PointRemains], plan: &RecoveryPlan) -> Result<TaskGraph> {
    let mut graph = TaskGraph::default();
    let cleared = forget_points(&mut graph, points, Side::Source);
    let released = plan.leaving.values().filter(|l| l.releasing).map(|l| &l.volume);
    disable(&mut graph, released, cleared);
    graph.in_order()?;
    Ok(graph)
}

/// Plans the end of a plan (PLAN-29): vault clones, snapshots and mirroring go; the Source's volumes stay as they are.
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_unprotect(plan: &RecoveryPlan, points: &[PointRemains]) -> Result<TaskGraph> {
    let mut graph = TaskGraph::default();
    let cleared = forget_points(&mut graph, points, Side::Source);
    let leaving = plan.leaving.values().map(|l| &l.volume);
    disable(&mut graph, plan.volumes.values().chain(leaving), cleared);
    graph.in_order()?;
    Ok(graph)
}
