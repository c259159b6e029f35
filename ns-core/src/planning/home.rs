//! The way home (OPEN-01): what makes an old copy follow before a reversed plan can protect, the failback to instances that
//! are still there, and what its confirm clears away on the other side.

use super::graph::{Action, ImageRef, MarkRef, Side, TaskGraph};
use super::lookup::Lookup;
use super::protect::{PointRemains, disable, forget_points};
use super::recovery::{bring, mapping_of};
use super::undo::{Done, plan_undo, users};
use crate::model::{CloudId, Home, Instance, Inventory, PowerState, ReplicatedVolume, TaskKey};
use crate::provider::Ref;
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Where a reversed plan leads, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Homeward<'a> {
    /// What it was before the failover.
    pub home: &'a Home,
    /// What of it is still there.
    pub originals: &'a Inventory,
}

impl<'a> Homeward<'a> {
    /// The original of an instance, with all its volumes; none when nothing of it is left.
    ///
    /// # Errors
    /// `Refused` when a part of it is left: neither can it be started, nor its volumes be made anew.
    fn original(self, instance: &Instance) -> Result<Option<&'a Instance>> {
        let original = self.home.instances.get(&instance.id);
        let original = original.and_then(|id| self.originals.instances.get(id));
        let there = |id: &&CloudId| {
            let volume = self.home.volumes.get(*id);
            volume.is_some_and(|id| self.originals.volumes.contains_key(id))
        };
        let left = instance.volume_ids.iter().filter(there).count();
        match original {
            Some(original) if left == instance.volume_ids.len() => Ok(Some(original)),
            None if left == 0 => Ok(None),
            _ => Err(Error::new(
                ErrorKind::Refused,
                "failback.partly_there",
                format!(
                    "of instance {} a part is left on the Target: its server or some of its volumes",
                    instance.name
                ),
            )
            .with_field(format!("mapping.instances[{}]", instance.id))
            .with_remedy("restore what is missing there, or delete the rest, then synchronise the Target cluster")),
        }
    }
}

/// Adds the failback of an instance whose original is still there: its volumes are brought home under their old names,
/// and it is started. Gives its last task; none when there is no original.
pub(super) fn bring_home(graph: &mut TaskGraph, inputs: &Lookup<'_>, instance: &Instance) -> Result<Option<TaskKey>> {
    let Some(homeward) = inputs.home else { return Ok(None) };
    let Some(original) = homeward.original(instance)? else {
        return Ok(None);
    };
    let mut after = Vec::new();
    for id in &instance.volume_ids {
        let (image, ready) = bring(graph, inputs, id)?;
        let name = homeward
            .home
            .volumes
            .get(id)
            .and_then(|id| homeward.home.plan.volumes.get(id));
        let Some(name) = name.map(|v| v.source.clone()) else {
            return Err(super::recovery::hole("volume", id));
        };
        let rename = Action::Rename {
            side: Side::Target,
            image,
            name,
        };
        let named = graph.add(format!("name/{id}"), rename, [&ready]);
        graph.about_volume(&named, id);
        after.push(named);
    }
    let server = Ref::Known(original.id.clone());
    let side = Side::Target;
    let action = if mapping_of(inputs, &instance.id).boot {
        Action::StartServer { side, server }
    } else {
        Action::StopServer {
            side,
            server,
            was_running: false,
        }
    };
    Ok(Some(graph.add(format!("server/{}", instance.id), action, &after)))
}

/// Adds what makes the old copies follow before they can protect again: whatever runs there is stopped, then each copy
/// rejoins. Gives the last task by volume. `decision` is the journalled word that writes made there since are given up.
pub(super) fn rejoin(
    graph: &mut TaskGraph,
    homeward: Homeward<'_>,
    volumes: &BTreeSet<&CloudId>,
    decision: Option<&str>,
) -> BTreeMap<CloudId, TaskKey> {
    let running = homeward
        .originals
        .instances
        .values()
        .filter(|i| i.power != PowerState::Stopped);
    let stops: BTreeMap<&CloudId, TaskKey> = running
        .map(|instance| {
            let stop = Action::StopServer {
                side: Side::Target,
                server: Ref::Known(instance.id.clone()),
                was_running: true,
            };
            (&instance.id, graph.add(format!("stop/{}", instance.id), stop, []))
        })
        .collect();
    let mut last = BTreeMap::new();
    for id in volumes {
        let Some(replication_id) = homeward.home.replication(id) else {
            continue;
        };
        let rejoin = Action::Rejoin {
            side: Side::Target,
            replication_id: replication_id.clone(),
            decision: decision.map(str::to_owned),
        };
        let key = graph.add(format!("rejoin/{id}"), rejoin, stops.values());
        graph.about_volume(&key, id);
        last.insert((*id).clone(), key);
    }
    last
}

/// What the confirm of a failback that came home finds.
#[derive(Debug, Clone, Copy)]
pub struct Homecoming<'a> {
    /// What it came back to.
    pub home: &'a Home,
    /// What the failover had done that led away from there.
    pub failover: &'a [Done<'a>],
    /// The original instances that came home.
    pub back: &'a BTreeSet<CloudId>,
    /// Others that were stopped because they share volumes with these, and run again.
    pub idle: &'a [CloudId],
    /// The volumes that came home, as the reversed plan replicated them.
    pub volumes: &'a [&'a ReplicatedVolume],
    /// Volumes that had left the reversed plan, and whose replicas nobody needs any more.
    pub released: &'a [&'a ReplicatedVolume],
    /// What the recovery points that were made on the way hold of all these.
    pub points: &'a [PointRemains],
}

/// Plans the end of a failback that came home: what the failover had made on the other side goes, and so do the recovery
/// points that were made there; then it is proved that the volumes are protected as before (R21).
///
/// # Errors
/// `Internal` for a cycle, which would be a fault of this function.
pub fn plan_homecoming(homecoming: Homecoming<'_>, prefix: &str) -> Result<TaskGraph> {
    let Homecoming {
        home,
        failover,
        back,
        idle,
        volumes,
        released,
        points,
    } = homecoming;
    let recovered: BTreeSet<&CloudId> = home.instances.values().collect();
    // Instances that were not recovered, and stopped only because they share a volume with one that was.
    let beside = |server: &Ref| matches!(server, Ref::Known(id) if !recovered.contains(id));
    // What instances share with one that stays away stays as well.
    let stays = |d: &Done<'_>| {
        let users = users(d.task, failover);
        let mut users = users.into_iter().filter(|id| recovered.contains(id)).peekable();
        users.peek().is_none() || users.any(|id| !back.contains(id))
    };
    let made: Vec<Done<'_>> = failover
        .iter()
        .filter(|d| match &d.task.action {
            Action::Create { .. } | Action::Adopt { .. } => true,
            Action::StopServer { server, .. } => beside(server),
            _ => false,
        })
        .filter(|d| !stays(d))
        .copied()
        .collect();
    let mut graph = plan_undo(&home.failover_job, &home.plan, &made, prefix, "")?;
    // The failover's Target is what this plan calls the Source.
    for task in graph.tasks.values_mut() {
        if let Action::Remove { side, .. } | Action::Release { side, .. } | Action::StartServer { side, .. } =
            &mut task.action
        {
            *side = side.other();
        }
        task.instances.clear();
    }
    for id in idle {
        let start = Action::StartServer {
            side: Side::Target,
            server: Ref::Known(id.clone()),
        };
        graph.add(format!("{prefix}/start/{id}"), start, []);
    }
    let mut forgotten = TaskGraph::default();
    let vaults = forget_points(&mut forgotten, points, Side::Target);
    disable(&mut forgotten, released.iter().copied(), vaults);
    for mut task in forgotten.tasks.into_values() {
        let names = |key: &TaskKey| TaskKey::new(format!("{prefix}/points/{key}"));
        task.after = task.after.iter().map(names).collect();
        task.key = names(&task.key);
        graph.tasks.insert(task.key.clone(), task);
    }
    let cleared: Vec<TaskKey> = graph.tasks.keys().cloned().collect();
    for volume in volumes {
        let image = ImageRef::Replica(volume.replication_id.clone());
        let ship = Action::Ship {
            side: Side::Target,
            image: image.clone(),
            snapshot: None,
        };
        let ship = graph.add(format!("{prefix}/ship/{}", volume.volume_id), ship, &cleared);
        let arrive = Action::AwaitArrival {
            side: Side::Source,
            image,
            mark: MarkRef::OutputOf(ship.clone()),
        };
        let arrive = graph.add(format!("{prefix}/protected/{}", volume.volume_id), arrive, [&ship]);
        for task in [&ship, &arrive] {
            graph.about_volume(task, &volume.volume_id);
        }
    }
    graph.in_order()?;
    Ok(graph)
}
