//! What is known of a cluster's things (INV-01): kept one by one in the store, held in memory for reading, changed only by
//! what was seen to be different, and every change is told (EVT-14).
//!
//! A change has a position, counted up per cluster in the *head*, the one document that every writer of an inventory
//! compares and sets. So engines that share a store do not overwrite each other, and each follows the others' changes from the
//! last position it saw instead of reading everything again. One who is told more than [`TOLD_AT_ONCE`] changes is told to read
//! anew instead.

use super::Inner;
use super::records::{kinds, put, read, remove};
use crate::model::{
    About, CloudId, Cluster, ClusterChange, ClusterEvent, ClusterId, ConnectionState, Happened, Inventory, Learned,
    Resource, ResourceKind, Told,
};
use crate::store::Write;
use crate::{Error, ErrorKind, ErrorRecord, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How many changes are told one by one, and committed at once.
const TOLD_AT_ONCE: usize = 1000;

/// How many events of a cluster are kept.
const KEPT_EVENTS: u64 = 10_000;

/// Where a cluster's inventory and its events stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InventoryHead {
    /// Position of the last event; 0 before the first.
    pub(crate) position: u64,
    /// Position of the oldest event that is kept.
    pub(crate) kept_from: u64,
    /// When everything was read last; none before the first time.
    pub(crate) complete_at: Option<Timestamp>,
}

/// What was seen to be different.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    pub(crate) happened: Happened,
    pub(crate) learned: Learned,
    pub(crate) before: Option<Resource>,
    pub(crate) after: Option<Resource>,
}

impl Difference {
    /// The difference between what was known of a thing and what it is; none when there is none.
    pub(crate) fn between(
        known: &Inventory,
        kind: ResourceKind,
        id: &CloudId,
        after: Option<Resource>,
    ) -> Option<Self> {
        if after.as_ref().is_some_and(|r| known.holds(r)) {
            return None;
        }
        let before = known.get(kind, id);
        let happened = match (&before, &after) {
            (None, None) => return None,
            (None, Some(_)) => Happened::Added,
            (Some(_), None) => Happened::Removed,
            (Some(Resource::Volume(b)), Some(Resource::Volume(a))) if a.size_gib != b.size_gib => Happened::Resized,
            (Some(_), Some(_)) => Happened::Changed,
        };
        Some(Self {
            happened,
            learned: Learned::Synchronised,
            before,
            after,
        })
    }

    /// The thing, as it is or as it was.
    fn resource(&self) -> Option<&Resource> {
        self.after.as_ref().or(self.before.as_ref())
    }

    fn told(self) -> Result<Option<ClusterChange>> {
        let fields = match (&self.before, &self.after) {
            (Some(before), Some(after)) => changed_fields(before, after)?,
            _ => Vec::new(),
        };
        let Some(thing) = self.resource() else { return Ok(None) };
        Ok(Some(ClusterChange::Resource {
            kind: thing.kind(),
            id: thing.id().clone(),
            name: thing.name().to_owned(),
            happened: self.happened,
            fields,
            learned: self.learned,
            resource: self.after.map(Box::new),
        }))
    }
}

fn changed_fields(before: &Resource, after: &Resource) -> Result<Vec<String>> {
    let json = |r: &Resource| {
        serde_json::to_value(r).map_err(|e| Error::new(ErrorKind::Internal, "record.encode", e.to_string()))
    };
    let (before, after) = (json(before)?, json(after)?);
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return Ok(Vec::new());
    };
    let names = after
        .keys()
        .chain(before.keys().filter(|name| !after.contains_key(*name)));
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    Ok(changed.cloned().collect())
}

/// A cluster's inventory in memory.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// One writer of this engine at a time; others on the store are met at the head.
    pub(crate) writing: Mutex<()>,
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    position: u64,
    inventory: Arc<Inventory>,
}

fn prefix(cluster: &ClusterId) -> String {
    format!("{cluster}/")
}

fn resource_id(cluster: &ClusterId, kind: ResourceKind, id: &CloudId) -> String {
    format!("{cluster}/{}/{id}", kind.as_str())
}

fn event_id(cluster: &ClusterId, position: u64) -> String {
    // All of one length, so that the order of texts is that of positions.
    format!("{cluster}/{position:020}")
}

impl Inner {
    /// The inventory of a cluster as it was read last, with all that was learned since.
    pub(crate) async fn inventory(&self, cluster: &ClusterId) -> Result<Arc<Inventory>> {
        let head = self.head(cluster).await?.0;
        if head.complete_at.is_none() {
            // As versions before this form kept it: good until the next synchronisation, and needed when there is none any more.
            if let Some((whole, _)) = self
                .records()
                .find::<Inventory>(kinds::INVENTORY, cluster.as_str())
                .await?
            {
                return Ok(Arc::new(whole));
            }
            return Err(Error::new(
                ErrorKind::NotFound,
                "inventory.not_found",
                format!("nothing was read of the cluster {cluster} yet"),
            )
            .with_field("cluster_id")
            .with_remedy("synchronise the cluster first"));
        }
        self.known(cluster, &head).await
    }

    /// The head of a cluster's inventory with its version in the store: 0 before there is one.
    pub(crate) async fn head(&self, cluster: &ClusterId) -> Result<(InventoryHead, u64)> {
        let found = self.records().find(kinds::INVENTORY_HEAD, cluster.as_str()).await?;
        Ok(found.unwrap_or_default())
    }

    /// What is known at a head, or later.
    pub(crate) async fn known(&self, cluster: &ClusterId, head: &InventoryHead) -> Result<Arc<Inventory>> {
        let held = self.held_inventory(cluster);
        let mut slot = held.known.lock().await;
        if let Some(known) = slot.as_mut()
            && (known.position >= head.position || self.follow(cluster, known).await?)
            && known.position >= head.position
        {
            return Ok(known.inventory.clone());
        }
        *slot = None;
        let mut position = head.position;
        loop {
            let mut known = Known {
                position,
                inventory: Arc::new(self.read_all(cluster).await?),
            };
            // What was committed while it was read is in it in part; told once more it is in it whole.
            if self.follow(cluster, &mut known).await? {
                let inventory = known.inventory.clone();
                *slot = Some(known);
                return Ok(inventory);
            }
            position = self.head(cluster).await?.0.position;
        }
    }

    async fn read_all(&self, cluster: &ClusterId) -> Result<Inventory> {
        let (mut inventory, prefix) = (Inventory::default(), prefix(cluster));
        let mut after = prefix.clone();
        loop {
            let records = self.store.list(kinds::RESOURCE, Some(&after), TOLD_AT_ONCE).await?;
            let ours = records.iter().take_while(|r| r.id.starts_with(&prefix));
            let mut count = 0;
            for record in ours {
                inventory.insert(read(record)?);
                count += 1;
            }
            match records.last() {
                Some(last) if count == TOLD_AT_ONCE => after = last.id.clone(),
                _ => return Ok(inventory),
            }
        }
    }

    /// Applies what was told since; false when that is not possible any more.
    async fn follow(&self, cluster: &ClusterId, known: &mut Known) -> Result<bool> {
        loop {
            let events = self.events_after(cluster, known.position, TOLD_AT_ONCE).await?;
            let all = events.len();
            for event in events {
                if event.position != known.position + 1 || event.change == ClusterChange::Reread {
                    return Ok(false);
                }
                known.position = event.position;
                if let ClusterChange::Resource { kind, id, resource, .. } = event.change {
                    let inventory = Arc::make_mut(&mut known.inventory);
                    match resource {
                        Some(resource) => inventory.insert(*resource),
                        None => drop(inventory.remove(kind, &id)),
                    }
                }
            }
            if all < TOLD_AT_ONCE {
                return Ok(true);
            }
        }
    }

    /// Events of a cluster after a position, oldest first.
    pub(crate) async fn events_after(
        &self,
        cluster: &ClusterId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<ClusterEvent>> {
        let after = event_id(cluster, position);
        let records = self.store.list(kinds::CLUSTER_EVENT, Some(&after), limit).await?;
        let prefix = prefix(cluster);
        records
            .iter()
            .take_while(|r| r.id.starts_with(&prefix))
            .map(read)
            .collect()
    }

    /// Commits differences from what was known at a head, tells of them, and does some more in the same transaction. Nothing is
    /// lost when it fails; a head that has moved on meanwhile is a `Conflict`.
    ///
    /// So many differences that they are not told one by one are committed in parts, the head last: who dies over it leaves a
    /// mixture of what was and what is, each thing as it was read, and the next synchronisation makes it whole.
    pub(crate) async fn learn(
        &self,
        id: &ClusterId,
        (head, version): (&InventoryHead, u64),
        differences: Vec<Difference>,
        complete_at: Option<Timestamp>,
        also: Vec<Write>,
    ) -> Result<()> {
        let mut now = InventoryHead {
            complete_at: complete_at.or(head.complete_at),
            ..head.clone()
        };
        let first = head.complete_at.is_none();
        let one_by_one = differences.len() <= TOLD_AT_ONCE && !first;
        let mut writes = Vec::new();
        if first {
            // What an attempt that died left behind, and the form in which earlier versions kept all of it.
            let stale = self.read_all(id).await?;
            let stale = stale.resources().map(|r| resource_id(id, r.kind(), r.id()));
            writes.extend(stale.map(|key| remove(kinds::RESOURCE, &key)));
            writes.push(remove(kinds::INVENTORY, id.as_str()));
        }
        let mut changes = Vec::new();
        for difference in differences {
            if !one_by_one && writes.len() >= TOLD_AT_ONCE {
                self.records().commit(std::mem::take(&mut writes)).await?;
            }
            let Some(thing) = difference.resource() else { continue };
            let key = resource_id(id, thing.kind(), thing.id());
            writes.push(match &difference.after {
                Some(resource) => put(kinds::RESOURCE, &key, None, resource)?,
                None => remove(kinds::RESOURCE, &key),
            });
            if one_by_one {
                changes.extend(difference.told()?);
            }
        }
        if !one_by_one {
            changes.push(ClusterChange::Reread);
        }
        writes.extend(self.told(id, &mut now, changes)?);
        writes.push(put(kinds::INVENTORY_HEAD, id.as_str(), Some(version), &now)?);
        writes.extend(also);
        self.records().commit(writes).await?;
        self.cluster_changed.notify_waiters();
        Ok(())
    }

    /// The writes that tell of changes, and forget the oldest when there are too many.
    pub(crate) fn told(
        &self,
        id: &ClusterId,
        head: &mut InventoryHead,
        changes: Vec<ClusterChange>,
    ) -> Result<Vec<Write>> {
        let at = self.clock.now();
        let mut writes = Vec::new();
        for change in changes {
            head.position += 1;
            let event = ClusterEvent {
                cluster_id: id.clone(),
                position: head.position,
                at,
                change,
            };
            writes.push(put(kinds::CLUSTER_EVENT, &event_id(id, head.position), None, &event)?);
        }
        head.kept_from = head.kept_from.max(1);
        while head.position - head.kept_from >= KEPT_EVENTS {
            writes.push(remove(kinds::CLUSTER_EVENT, &event_id(id, head.kept_from)));
            head.kept_from += 1;
        }
        Ok(writes)
    }

    /// Keeps whether a cluster answers, why not if it does not, and tells of it when that changed (CL-11, EVT-01); whether it
    /// did. Another reason for the same state is kept and not told.
    pub(crate) async fn set_connection(&self, id: &ClusterId, looked: &Result<()>) -> Result<bool> {
        let (state, why) = match looked {
            Ok(()) => (ConnectionState::Active, None),
            Err(error) => (ConnectionState::Inactive, Some(error.to_record())),
        };
        loop {
            let (mut cluster, cluster_version) =
                self.records().existing::<Cluster>(kinds::CLUSTER, id.as_str()).await?;
            let code = |why: &Option<ErrorRecord>| why.as_ref().map(|error| error.code.clone());
            let changed = cluster.connection != state;
            // What else an error says may be another with each look, and is not worth a write.
            if !changed && code(&cluster.inactive_because) == code(&why) {
                return Ok(false);
            }
            cluster.connection = state;
            cluster.inactive_because.clone_from(&why);
            if !changed {
                let write = put(kinds::CLUSTER, id.as_str(), Some(cluster_version), &cluster)?;
                match self.records().commit(vec![write]).await {
                    Err(e) if e.kind() == ErrorKind::Conflict => continue,
                    result => return result.map(|()| false),
                }
            }
            let (mut head, version) = self.head(id).await?;
            let change = match state {
                ConnectionState::Active => ClusterChange::Connected,
                ConnectionState::Inactive => ClusterChange::Disconnected,
            };
            let mut writes = self.told(id, &mut head, vec![change])?;
            writes.push(put(kinds::INVENTORY_HEAD, id.as_str(), Some(version), &head)?);
            writes.push(put(kinds::CLUSTER, id.as_str(), Some(cluster_version), &cluster)?);
            let name = cluster.name.clone();
            let told = match &why {
                Some(why) => Told::ClusterInactive {
                    cluster: name,
                    because: why.code.clone(),
                },
                None => Told::ClusterActive { cluster: name },
            };
            writes.push(self.tell(told, Some(&cluster.owner_group_id), About::of_cluster(id))?);
            match self.records().commit(writes).await {
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                result => {
                    self.cluster_changed.notify_waiters();
                    return result.map(|()| true);
                }
            }
        }
    }

    /// Forgets everything of a cluster.
    pub(crate) async fn forget_inventory(&self, id: &ClusterId) -> Result<()> {
        let held = self.held_inventory(id);
        let _turn = held.writing.lock().await;
        let prefix = prefix(id);
        for kind in [kinds::CLUSTER_EVENT, kinds::RESOURCE] {
            loop {
                let records = self.store.list(kind, Some(&prefix), TOLD_AT_ONCE).await?;
                let ours = records.iter().take_while(|r| r.id.starts_with(&prefix));
                let writes: Vec<_> = ours.map(|r| remove(kind, &r.id)).collect();
                if writes.is_empty() {
                    break;
                }
                self.records().commit(writes).await?;
            }
        }
        *held.known.lock().await = None;
        self.records()
            .commit(vec![remove(kinds::INVENTORY_HEAD, id.as_str())])
            .await
    }
}
