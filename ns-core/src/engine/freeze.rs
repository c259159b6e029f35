//! The inputs of a job: read from records and clouds, cut down to the group, and frozen (JOB-51).

use super::records::{kinds, put};
use super::{Inner, Providers, manifest};
use crate::journal::Frozen;
use crate::model::{
    CloudId, DataPoint, Inventory, ProtectionGroup, RecoveryPlan, RecoveryPoint, ReplicationMode, StorageRef, Work,
};
use crate::provider::{ImageState, Role, Storage};
use crate::store::{Write, version_conflict};
use crate::{Error, ErrorKind, Result, rules};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeSet;

/// Which parts of the Source answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceReach {
    /// Its cloud: instances can be stopped.
    pub(crate) cloud: bool,
    /// Its storage: images can be demoted.
    pub(crate) storage: bool,
}

impl SourceReach {
    /// Everything that a planned hand-over needs.
    pub(crate) const fn all(self) -> bool {
        self.cloud && self.storage
    }
}

/// Looks whether the Source answers now.
pub(crate) async fn reach_source(inner: &Inner, group: &ProtectionGroup) -> SourceReach {
    let Ok(Providers { cloud, storage }) = inner.providers(&group.source_cluster) else {
        return SourceReach {
            cloud: false,
            storage: false,
        };
    };
    let limit = inner.settings().reach_limit;
    let (cloud, storage) = futures::future::join(
        crate::ports::with_deadline(&*inner.clock, limit, "the Source cloud", cloud.check()),
        crate::ports::with_deadline(&*inner.clock, limit, "the Source storage", storage.check()),
    )
    .await;
    for error in [cloud.as_ref().err(), storage.as_ref().err()].into_iter().flatten() {
        tracing::warn!(group = %group.id, %error, "the Source does not answer");
    }
    SourceReach {
        cloud: cloud.is_ok(),
        storage: storage.is_ok(),
    }
}

/// The part of an inventory that the given instances need: what planning will look at, and nothing else.
pub(crate) fn group_inventory(all: &Inventory, instances: &[CloudId]) -> Inventory {
    let mut part = Inventory::default();
    let wanted: BTreeSet<&CloudId> = instances.iter().collect();
    let mut volumes = BTreeSet::new();
    for instance in all.instances.values().filter(|i| wanted.contains(&i.id)) {
        volumes.extend(&instance.volume_ids);
        part.instances.insert(instance.id.clone(), instance.clone());
        let ports = instance.port_ids.iter().filter_map(|id| all.ports.get(id));
        part.ports.extend(ports.map(|p| (p.id.clone(), p.clone())));
        part.tenants
            .extend(all.tenants.get(&instance.tenant_id).map(|t| (t.id.clone(), t.clone())));
        let pairs = all
            .keypairs
            .values()
            .filter(|k| Some(&k.name) == instance.keypair.as_ref());
        part.keypairs.extend(pairs.map(|k| (k.id.clone(), k.clone())));
        let groups = all.server_groups.values().filter(|g| g.members.contains(&instance.id));
        part.server_groups.extend(groups.map(|g| (g.id.clone(), g.clone())));
    }
    // Whoever else writes to these volumes has to be stopped as well before they are handed over.
    for other in all
        .instances
        .values()
        .filter(|i| i.volume_ids.iter().any(|v| volumes.contains(v)))
    {
        part.instances.insert(other.id.clone(), other.clone());
    }
    part.volumes.extend(
        all.volumes
            .values()
            .filter(|v| volumes.contains(&v.id))
            .map(|v| (v.id.clone(), v.clone())),
    );
    let networks: BTreeSet<CloudId> = part.ports.values().map(|p| p.network_id.clone()).collect();
    for id in &networks {
        part.networks
            .extend(all.networks.get(id).map(|n| (n.id.clone(), n.clone())));
    }
    let subnets = all.subnets.values().filter(|s| networks.contains(&s.network_id));
    part.subnets.extend(subnets.map(|s| (s.id.clone(), s.clone())));
    let routers = all
        .routers
        .values()
        .filter(|r| r.subnet_ids.iter().any(|s| part.subnets.contains_key(s)));
    part.routers.extend(routers.map(|r| (r.id.clone(), r.clone())));
    let floating = all
        .floating_ips
        .values()
        .filter(|f| f.port_id.as_ref().is_some_and(|p| part.ports.contains_key(p)));
    part.floating_ips.extend(floating.map(|f| (f.id.clone(), f.clone())));
    let mut todo: Vec<CloudId> = part.ports.values().flat_map(|p| p.security_group_ids.clone()).collect();
    while let Some(id) = todo.pop() {
        if let Some(group) = all.security_groups.get(&id)
            && part.security_groups.insert(id, group.clone()).is_none()
        {
            todo.extend(group.rules.iter().filter_map(|r| r.remote_group_id.clone()));
        }
    }
    part
}

/// Freezes the inputs of a work. The write, which goes with them, fails with `store.version` when the chosen point has expired
/// meanwhile.
///
/// # Errors
/// `NotFound` for records that are gone; `Refused` without a recovery point where one is asked for (JOB-42, JOB-43);
/// `Corrupt` for a point that is not as it was made.
pub(crate) async fn freeze(inner: &Inner, work: &Work) -> Result<(Frozen, Option<Write>)> {
    if let Work::Fence { failover, .. } = work {
        // Group and plan may be gone since it was confirmed.
        let frozen = inner.view(failover).await?.frozen;
        return frozen.map(|f| ((*f).clone(), None)).ok_or_else(super::phases::lost);
    }
    let records = inner.records();
    let mut plan: RecoveryPlan = records.get(kinds::PLAN, work.plan_id().as_str()).await?;
    let mut group: ProtectionGroup = records.get(kinds::GROUP, work.group_id().as_str()).await?;
    let point = match work.recovery().map(|d| &d.data_point) {
        None | Some(DataPoint::LatestData) => None,
        Some(DataPoint::SpecificSnapshot { point_id }) => {
            let point: RecoveryPoint = records.get(kinds::POINT, point_id.as_str()).await?;
            if point.group_id != group.id {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "job.point",
                    "the recovery point is of another group",
                )
                .with_field("data_point")
                .with_remedy("choose a point of this group"));
            }
            Some(point)
        }
        Some(DataPoint::LatestSnapshot) => {
            let points = records
                .all::<RecoveryPoint>(kinds::POINT, |p| p.group_id == group.id)
                .await?;
            let newest = points.into_iter().max_by_key(|p| p.taken_at);
            Some(newest.ok_or_else(|| {
                Error::new(
                    ErrorKind::Refused,
                    "job.no_point",
                    "the group has no recovery point on the Target yet",
                )
                .with_field("data_point")
                .with_remedy("make one with points().create and wait for it")
            })?)
        }
    };
    let mut chosen = None;
    if let Some(point) = &point {
        let id = point.id.as_str();
        let Some((now, version)) = records.find::<RecoveryPoint>(kinds::POINT, id).await? else {
            return Err(version_conflict(kinds::POINT, id, None, 0));
        };
        manifest::check(&now)?;
        rules::as_of(&mut group, &mut plan, &now);
        chosen = Some(put(kinds::POINT, id, Some(version), &now)?);
    }
    let source = inner.inventory(&group.source_cluster).await?;
    let target = inner.inventory(&plan.target_cluster).await?;
    let inventory = match &point {
        Some(point) => point.inventory.clone(),
        None => group_inventory(&source, &group.instances),
    };
    let frozen = Frozen {
        plan,
        group,
        inventory,
        read_at: None,
        target_flavors: target.flavors.clone(),
        point,
    };
    Ok((frozen, chosen))
}

/// Looks at the images of volumes that are to be replicated: they exist, this side may write them, and none replicates in
/// another mode. Nothing is changed. Gives those that are clones of another image.
pub(crate) async fn cloned_images(
    inner: &Inner,
    storage: &Storage,
    inventory: &Inventory,
    mode: ReplicationMode,
) -> Result<BTreeSet<StorageRef>> {
    // Boxed one by one: borrowing closures in a stream are beyond what the compiler proves to be `Send`.
    let mut looks: Vec<BoxFuture<'_, Result<Option<ImageState>>>> = Vec::new();
    let mut images = Vec::new();
    for volume in inventory.volumes.values() {
        let Some(image) = volume.storage.as_ref() else { continue };
        let (work, limit) = (storage.image(image), inner.settings().call_limit);
        looks.push(Box::pin(async move {
            crate::ports::with_deadline(&*inner.clock, limit, "the Source storage", work).await
        }));
        images.push((volume, image));
    }
    let states: Vec<_> = futures::stream::iter(looks)
        .buffered(inner.settings().parallel)
        .try_collect()
        .await?;
    let mut cloned = BTreeSet::new();
    for ((volume, image), state) in images.into_iter().zip(states) {
        let refused = |code: &str, message: String, remedy: &str| {
            let user = inventory.instances.values().find(|i| i.volume_ids.contains(&volume.id));
            let field = user.map_or_else(|| "group_id".to_owned(), |i| format!("mapping.instances[{}]", i.id));
            let error = Error::new(ErrorKind::Refused, code, message).with_field(field);
            Err(error.with("volume", &volume.id).with_remedy(remedy))
        };
        let Some(state) = state else {
            let remedy = "protect volumes on the cluster's registered storage only";
            return refused("volume.storage", format!("the storage has no image {image}"), remedy);
        };
        if state.role == Role::Secondary {
            let remedy = "protect it on the side that writes it, or end that replication first";
            return refused("volume.replica", format!("{image} is itself a replica"), remedy);
        }
        if let Some((_, other)) = state.replication.filter(|(_, other)| *other != mode) {
            let remedy = "choose that mode, or end its replication first";
            return refused(
                "volume.mode",
                format!("{image} replicates in {other:?} mode already"),
                remedy,
            );
        }
        if state.parent.is_some() {
            cloned.insert(image.clone());
        }
    }
    Ok(cloned)
}
