//! What clusters hold, as it was read last, and what happened to it (INV-01 … INV-12, EVT-01 … EVT-14).

use super::Session;
use crate::engine::Inner;
use crate::model::{CloudId, ClusterEvent, ClusterId, Inventory, InventoryKind, Listing, Query, answer_by_id};
use crate::{Error, ErrorKind, Result};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// How many events are read at once.
const EVENTS_AT_ONCE: usize = 500;

/// See [`Session::inventory`].
#[derive(Debug, Clone, Copy)]
pub struct Inventories<'a> {
    pub(super) session: &'a Session,
}

impl Inventories<'_> {
    /// A part of the things of one kind that a cluster holds, as they were read last; nothing is asked of the cloud.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// use ns_core::model::{Instance, Is, Query};
    ///
    /// let query = Query::default().equal("power", "running").with("memory_mib", Is::AtLeast("4096".into())).sort("name");
    /// let part = session.inventory().list::<Instance>(&cluster, &query).await?;
    /// println!("{} of {}", part.items.len(), part.total);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster, or one that was never synchronised; `Invalid` for a query that cannot be answered, naming
    /// its field.
    pub async fn list<T: InventoryKind>(&self, cluster: &ClusterId, query: &Query) -> Result<Listing<T>> {
        self.list_with(cluster, query, |part: Listing<&T>| part.cloned()).await
    }

    /// The same without a copy: `look` is given the things as they are kept.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// use ns_core::model::{Query, Volume};
    ///
    /// let query = Query::default().limit(1000);
    /// let size = |part: ns_core::model::Listing<&Volume>| part.items.iter().map(|v| v.size_gib).sum::<u64>();
    /// println!("{} GiB", session.inventory().list_with(&cluster, &query, size).await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`list`](Self::list).
    pub async fn list_with<T: InventoryKind, R>(
        &self,
        cluster: &ClusterId,
        query: &Query,
        look: impl FnOnce(Listing<&T>) -> R,
    ) -> Result<R> {
        let inventory = self.whole(cluster).await?;
        answer_by_id(T::all_in(&inventory), query).map(look)
    }

    /// One thing that a cluster holds.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId, id: ns_core::model::CloudId) -> ns_core::Result<()> {
    /// use ns_core::model::Volume;
    ///
    /// let volume = session.inventory().get::<Volume>(&cluster, &id).await?;
    /// println!("{} GiB", volume.size_gib);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get<T: InventoryKind>(&self, cluster: &ClusterId, id: &CloudId) -> Result<T> {
        let inventory = self.whole(cluster).await?;
        T::all_in(&inventory).get(id).cloned().ok_or_else(|| {
            let kind = T::KIND.as_str();
            Error::new(
                ErrorKind::NotFound,
                format!("{kind}.not_found"),
                format!("the cluster has no {kind} {id}"),
            )
            .with_field(format!("{kind}_id"))
            .with_remedy("synchronise the cluster, or list what there is and choose one of it")
        })
    }

    /// Everything that a cluster holds. It is shared, not copied, and stays as it was while it is looked at.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// let inventory = session.inventory().whole(&cluster).await?;
    /// println!("{} volumes", inventory.volumes.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster, or one that was never synchronised.
    pub async fn whole(&self, cluster: &ClusterId) -> Result<Arc<Inventory>> {
        self.session.cluster(cluster).await?;
        self.session.inner.inventory(cluster).await
    }

    /// What happened on a cluster after a position (0: from the oldest that is kept), oldest first, without waiting. The newest
    /// ten thousand events are kept.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// for event in session.inventory().events(&cluster, 0, 100).await? {
    ///     println!("{}: {:?}", event.position, event.change);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown cluster; `NotFound`, `events.gone`, when events after this position are not kept any more: read
    /// the inventory anew and go on after the newest; `Invalid` for a limit that is not 1 to 1000.
    pub async fn events(&self, cluster: &ClusterId, after: u64, limit: usize) -> Result<Vec<ClusterEvent>> {
        if !(1..=1000).contains(&limit) {
            return Err(
                Error::new(ErrorKind::Invalid, "page.limit", "a page holds 1 to 1000 entries")
                    .with_field("limit")
                    .with("value", limit)
                    .with_remedy("ask for fewer at a time and go on after the last position"),
            );
        }
        self.session.cluster(cluster).await?;
        events(&self.session.inner, cluster, after, limit).await
    }

    /// What happens on a cluster, after a position, for as long as it is listened to. Works from every engine on the store.
    /// Resume with the position of the last event seen.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, cluster: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// use futures::StreamExt;
    ///
    /// let mut events = session.inventory().watch(&cluster, 0);
    /// while let Some(event) = events.next().await {
    ///     println!("{:?}", event?.change);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn watch(&self, cluster: &ClusterId, after: u64) -> BoxStream<'static, Result<ClusterEvent>> {
        let (session, cluster) = (self.session.clone(), cluster.clone());
        let check = async move {
            session.cluster(&cluster).await?;
            Ok::<_, Error>((session.inner.clone(), cluster))
        };
        stream::once(check)
            .map_ok(move |(inner, cluster)| {
                stream::try_unfold((inner, cluster, after), |(inner, cluster, after)| async move {
                    let found = next(&inner, &cluster, after).await?;
                    let last = found.last().map_or(after, |event| event.position);
                    Ok::<_, Error>(Some((stream::iter(found).map(Ok), (inner, cluster, last))))
                })
                .try_flatten()
            })
            .try_flatten()
            .boxed()
    }
}

/// The next events, waited for. An engine is told of its own; of another's it asks the store again and again.
async fn next(inner: &Inner, cluster: &ClusterId, after: u64) -> Result<Vec<ClusterEvent>> {
    loop {
        let told = inner.cluster_changed.notified();
        let found = events(inner, cluster, after, EVENTS_AT_ONCE).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        tokio::select! {
            biased;
            () = told => {}
            () = inner.clock.sleep(inner.settings().poll) => {}
        }
    }
}

async fn events(inner: &Inner, cluster: &ClusterId, after: u64, limit: usize) -> Result<Vec<ClusterEvent>> {
    let found = inner.events_after(cluster, after, limit).await?;
    match found.first() {
        Some(first) if after > 0 && first.position > after + 1 => Err(Error::new(
            ErrorKind::NotFound,
            "events.gone",
            format!(
                "the events from {} to {} are not kept any more",
                after + 1,
                first.position - 1
            ),
        )
        .with_field("after")
        .with("oldest", first.position)
        .with_remedy("read the inventory anew, and go on after the newest event")),
        _ => Ok(found),
    }
}
