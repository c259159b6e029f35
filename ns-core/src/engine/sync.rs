//! Synchronisation: a cluster's things are read, all of them or those that the cloud told of, and what is different from what
//! was known is learned (CL-09, CL-18, INV-13). Memory is bounded by what is known, what is different and one page.

use super::Inner;
use super::inventory::Difference;
use super::records::{kinds, put};
use super::telling::{end, lasting};
use crate::model::{
    About, CloudId, Cluster, ClusterId, Happened, Inventory, Learned, PowerState, Resource, ResourceKind, SyncState,
    Told,
};
use crate::ports::with_deadline;
use crate::provider::Cloud;
use crate::{Error, ErrorKind, Result};
use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often a synchronisation begins again because somebody else changed what is known meanwhile.
const ATTEMPTS: usize = 5;

/// Reads everything of a cloud, for somebody who keeps nothing of it.
async fn read_inventory(cloud: &Cloud) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    let mut stream = cloud.inventory(ResourceKind::ALL);
    while let Some(resource) = stream.next().await {
        inventory.insert(resource?);
    }
    Ok(inventory)
}

/// What is different from what is known, of some kinds. A cloud that stands still in the middle of it is not waited for.
async fn differences(
    inner: &Inner,
    cloud: &Cloud,
    known: &Inventory,
    kinds: &[ResourceKind],
) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<ResourceKind, BTreeSet<CloudId>> = BTreeMap::new();
    let mut stream = cloud.inventory(kinds);
    let (clock, limit) = (&*inner.clock, inner.settings().call_limit);
    loop {
        let next = async { stream.next().await.transpose() };
        let Some(resource) = with_deadline(clock, limit, "the cloud", next).await? else {
            break;
        };
        let (kind, id) = (resource.kind(), resource.id().clone());
        found.extend(Difference::between(known, kind, &id, Some(resource)));
        seen.entry(kind).or_default().insert(id);
    }
    let none = BTreeSet::new();
    for kind in kinds {
        let seen = seen.get(kind).unwrap_or(&none);
        let gone = known.ids(*kind).filter(|id| !seen.contains(*id));
        found.extend(gone.filter_map(|id| Difference::between(known, *kind, id, None)));
    }
    Ok(found)
}

/// Synchronises a cluster's inventory (CL-09, CL-18). The last good one is kept when it fails, and why is kept with the
/// cluster (OPEN-12).
pub(crate) async fn sync_cluster(inner: &Inner, id: &ClusterId) -> Result<Arc<Inventory>> {
    let held = inner.held_inventory(id);
    let _turn = held.writing.lock().await;
    let cloud = inner.providers(id)?.cloud;
    set_sync(inner, id, |complete_at| SyncState::Running { complete_at }).await?;
    for _ in 0..ATTEMPTS {
        let (head, version) = inner.head(id).await?;
        let known = match head.complete_at {
            Some(_) => inner.known(id, &head).await?,
            None => Arc::default(),
        };
        let found = match differences(inner, &cloud, &known, ResourceKind::ALL).await {
            Ok(found) => found,
            Err(error) => return failed(inner, id, error).await,
        };
        drop(known);
        let now = inner.clock.now();
        let (mut cluster, cluster_version) = inner.records().existing::<Cluster>(kinds::CLUSTER, id.as_str()).await?;
        cluster.sync = SyncState::Done { at: now };
        let mut also = vec![put(kinds::CLUSTER, id.as_str(), Some(cluster_version), &cluster)?];
        if let Some(failed) = lasting(&inner.records(), &failing(id)).await? {
            also.extend(end(&failed)?);
            let told = Told::Synchronised { cluster: cluster.name };
            also.push(inner.tell(told, Some(&cluster.owner_group_id), About::of_cluster(id))?);
        }
        match inner.learn(id, (&head, version), found, Some(now), also).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            result => {
                result?;
                return inner.inventory(id).await;
            }
        }
    }
    failed(inner, id, busy(id)).await
}

/// Keeps with the cluster why it could not be synchronised.
async fn failed<T>(inner: &Inner, id: &ClusterId, error: Error) -> Result<T> {
    mark_failed(inner, id, &error).await?;
    Err(error)
}

/// Keeps with the cluster why something of it could not be read: it is synchronised again soon.
pub(super) async fn mark_failed(inner: &Inner, id: &ClusterId, error: &Error) -> Result<()> {
    let records = inner.records();
    loop {
        let (mut cluster, version) = records.existing::<Cluster>(kinds::CLUSTER, id.as_str()).await?;
        cluster.sync = SyncState::Failed {
            reason: error.to_string(),
            complete_at: cluster.sync.complete_at(),
        };
        let mut writes = vec![put(kinds::CLUSTER, id.as_str(), Some(version), &cluster)?];
        // It is tried again and again, and told once.
        if lasting(&records, &failing(id)).await?.is_none() {
            writes.push(inner.begin(&failing(id), error.code(), None)?);
            let told = Told::SyncFailed {
                cluster: cluster.name,
                because: error.code().to_owned(),
            };
            writes.push(inner.tell(told, Some(&cluster.owner_group_id), About::of_cluster(id))?);
        }
        match records.commit(writes).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            result => return result,
        }
    }
}

/// The condition of a cluster that cannot be read.
fn failing(id: &ClusterId) -> String {
    format!("sync/{id}")
}

/// Synchronises a cluster again of which something could not be read, or whose synchronisation broke off; whether that was
/// needed.
pub(super) async fn mend(inner: &Inner, id: &ClusterId) -> Result<bool> {
    let cluster: Cluster = inner.records().get(kinds::CLUSTER, id.as_str()).await?;
    let idle = || inner.held_inventory(id).writing.try_lock().is_ok();
    let broken = match cluster.sync {
        SyncState::Failed { .. } => true,
        SyncState::Running { .. } => idle(),
        SyncState::Init | SyncState::Done { .. } => false,
    };
    if broken {
        sync_cluster(inner, id).await?;
    }
    Ok(broken)
}

/// Learns of servers whether they run, from somebody who saw it.
pub(super) async fn learn_power(inner: &Inner, id: &ClusterId, seen: &BTreeMap<CloudId, PowerState>) -> Result<()> {
    let held = inner.held_inventory(id);
    let _turn = held.writing.lock().await;
    for _ in 0..ATTEMPTS {
        let (head, version) = inner.head(id).await?;
        if head.complete_at.is_none() {
            return Ok(());
        }
        let known = inner.known(id, &head).await?;
        let found: Vec<Difference> = (seen.iter())
            .filter_map(|(server, power)| {
                let mut now = known.instances.get(server)?.clone();
                now.power = *power;
                let now = Some(Resource::Instance(now));
                let mut found = Difference::between(&known, ResourceKind::Instance, server, now)?;
                found.learned = Learned::Told;
                Some(found)
            })
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        match inner.learn(id, (&head, version), found, None, vec![]).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            result => return result,
        }
    }
    Err(busy(id))
}

/// A thing that the cloud told of, or a whole kind; and what happened to it.
pub(crate) type Hint = (ResourceKind, Option<CloudId>, Happened);

/// More things of a kind than this are read by reading all of it.
const ONE_BY_ONE: usize = 200;

/// Hints of things that may have changed.
pub(super) fn each<'a>(kind: ResourceKind, ids: impl IntoIterator<Item = &'a CloudId>) -> Vec<Hint> {
    let mut ids: Vec<Option<CloudId>> = ids.into_iter().cloned().map(Some).collect();
    if ids.len() > ONE_BY_ONE {
        ids = vec![None];
    }
    ids.into_iter().map(|id| (kind, id, Happened::Changed)).collect()
}

/// Reads things that the cloud told of, and learns what is different. What a hint of a kind without an id was about is found by
/// reading the whole kind. Of a thing that was told of twice the last word counts: `Managed` explains an `Added`. Gives whether
/// anything was different.
pub(crate) async fn relearn(inner: &Inner, id: &ClusterId, hints: &[Hint]) -> Result<bool> {
    let held = inner.held_inventory(id);
    let _turn = held.writing.lock().await;
    let cloud = inner.providers(id)?.cloud;
    let whole: BTreeSet<_> = hints.iter().filter(|(_, one, _)| one.is_none()).map(|h| h.0).collect();
    let whole: Vec<_> = whole.into_iter().collect();
    let single: BTreeMap<_, _> = hints
        .iter()
        .filter_map(|(kind, one, happened)| Some(((*kind, one.clone()?), *happened)))
        .filter(|((kind, _), _)| !whole.contains(kind))
        .collect();
    for _ in 0..ATTEMPTS {
        let (head, version) = inner.head(id).await?;
        if head.complete_at.is_none() {
            return Ok(false);
        }
        let known = inner.known(id, &head).await?;
        let mut found = match whole.is_empty() {
            true => Vec::new(),
            false => differences(inner, &cloud, &known, &whole).await?,
        };
        for ((kind, one), happened) in &single {
            let get = cloud.get(*kind, one);
            let now: Option<Resource> =
                with_deadline(&*inner.clock, inner.settings().call_limit, "the cloud", get).await?;
            found.extend(Difference::between(&known, *kind, one, now).map(|d| explained(d, *happened)));
        }
        drop(known);
        for difference in &mut found {
            difference.learned = Learned::Told;
        }
        if found.is_empty() {
            return Ok(false);
        }
        match inner.learn(id, (&head, version), found, None, vec![]).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            result => return result.map(|()| true),
        }
    }
    Err(busy(id))
}

/// A difference with what the cloud says of it, where that fits what was seen and says more.
fn explained(mut difference: Difference, told: Happened) -> Difference {
    difference.happened = match (difference.happened, told) {
        (Happened::Added, Happened::Managed)
        | (Happened::Removed, Happened::Unmanaged)
        | (Happened::Changed, Happened::StatusReset) => told,
        (seen, _) => seen,
    };
    difference
}

fn busy(id: &ClusterId) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "cluster.sync_busy",
        format!("what is known of the cluster {id} is being changed by somebody else"),
    )
    .with_remedy("try again in a moment")
}

async fn set_sync(inner: &Inner, id: &ClusterId, state: impl Fn(Option<jiff::Timestamp>) -> SyncState) -> Result<()> {
    let set = |cluster: &mut Cluster| {
        cluster.sync = state(cluster.sync.complete_at());
        Ok(())
    };
    inner.records().update(kinds::CLUSTER, id.as_str(), set).await.map(drop)
}

/// Reads a registered cluster as it is now. A dry run keeps nothing of it.
pub(crate) async fn read_cluster(inner: &Inner, id: &ClusterId, dry_run: bool) -> Result<Arc<Inventory>> {
    if dry_run {
        return Ok(Arc::new(read_inventory(&inner.providers(id)?.cloud).await?));
    }
    sync_cluster(inner, id).await
}
