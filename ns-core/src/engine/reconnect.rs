//! Which clusters have providers here, and whose: those the embedding program gave stay; for every other cluster whose connection
//! is stored they are made of it, when the engine starts and every probe interval from then on. So an engine learns of what
//! another one on the store registered, rotated (CL-15) or deleted, and tries again what did not work.

use super::connections::{Revisions, StoredConnection};
use super::records::{kinds, read};
use super::{Inner, Providers};
use crate::model::ClusterId;
use crate::provider::{Cloud, measured_cloud, measured_storage};
use crate::store::Record;
use crate::{Error, ErrorKind, ErrorRecord, Result};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

/// The providers of a cluster, and where they come from.
#[derive(Debug)]
pub(super) enum Attachment {
    /// From the embedding program.
    Given(Providers),
    /// From the stored connection.
    Made(Providers, Revisions),
    /// The stored connection gives none now.
    Failed(ErrorRecord),
}

/// Connects what is stored, again and again, until the engine shuts down.
pub(super) async fn keep_connected(inner: Arc<Inner>) {
    let mut stop = inner.stop.subscribe();
    let again = async {
        loop {
            inner.clock.sleep(inner.settings().probe_interval).await;
            if let Err(error) = inner.reconnect().await {
                tracing::warn!(%error, "the store cannot be asked for connections");
            }
        }
    };
    tokio::select! {
        biased;
        // What is half connected then was not attached yet.
        _ = stop.wait_for(|stop| *stop) => {}
        () = again => {}
    }
}

impl Inner {
    fn attachments(&self) -> MutexGuard<'_, BTreeMap<ClusterId, Attachment>> {
        self.attachments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the providers that the embedding program gives.
    pub(crate) fn attach(&self, cluster: &ClusterId, providers: Providers) {
        self.attachments().insert(cluster.clone(), Attachment::Given(providers));
    }

    /// Takes what came of a stored connection, unless the embedding program gave providers.
    pub(crate) fn attach_made(&self, cluster: &ClusterId, stored: &StoredConnection, providers: Providers) {
        self.attach_unless_given(cluster, Attachment::Made(providers, stored.revisions()));
    }

    fn attach_unless_given(&self, cluster: &ClusterId, attachment: Attachment) {
        let mut all = self.attachments();
        if !matches!(all.get(cluster), Some(Attachment::Given(_))) {
            all.insert(cluster.clone(), attachment);
        }
    }

    pub(crate) fn detach(&self, cluster: &ClusterId) {
        self.attachments().remove(cluster);
    }

    /// The clusters that have providers here.
    pub(crate) fn attached(&self) -> Vec<ClusterId> {
        let has_providers = |(_, a): &(&ClusterId, &Attachment)| !matches!(a, Attachment::Failed(_));
        self.attachments()
            .iter()
            .filter(has_providers)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The providers of a cluster, whose calls are measured.
    ///
    /// # Errors
    /// `Unavailable` when nobody has given them and its stored connection, if it has one, gave none either.
    pub(crate) fn providers(&self, cluster: &ClusterId) -> Result<Providers> {
        match self.attachments().get(cluster) {
            Some(Attachment::Given(providers) | Attachment::Made(providers, _)) => Ok(Providers {
                cloud: measured_cloud(providers.cloud.clone(), cluster, &self.clock),
                storage: measured_storage(providers.storage.clone(), cluster, &self.clock),
            }),
            Some(Attachment::Failed(why)) => Err(unconnected(cluster, why)),
            None => Err(Error::new(
                ErrorKind::Unavailable,
                "engine.not_attached",
                format!("cluster {cluster} has no providers"),
            )
            .with_field("cluster_id")
            .with_remedy("give them with Engine::attach, or register the cluster again")),
        }
    }

    /// The providers of a cluster as they were attached. Their calls are not measured.
    pub(crate) fn as_attached(&self, cluster: &ClusterId) -> Option<Providers> {
        match self.attachments().get(cluster)? {
            Attachment::Given(providers) | Attachment::Made(providers, _) => Some(providers.clone()),
            Attachment::Failed(_) => None,
        }
    }

    /// Whether a cluster is still reached through this cloud: another takes its place when its secrets change.
    pub(super) fn still_has(&self, cluster: &ClusterId, cloud: &Cloud) -> bool {
        let now = self.as_attached(cluster);
        now.is_some_and(|now| Arc::ptr_eq(&now.cloud, cloud))
    }

    /// Connects every cluster whose stored connection is not in use here as it is now. What does not work is told with the
    /// cluster, and tried again with the next call.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn reconnect(&self) -> Result<()> {
        if self.connectors.is_empty() {
            return Ok(());
        }
        let mut stored: Vec<Record> = Vec::new();
        loop {
            let after = stored.last().map(|record| record.id.clone());
            let page = self.store.list(kinds::CONNECTION, after.as_deref(), 200).await?;
            if page.is_empty() {
                break;
            }
            stored.extend(page);
        }
        let ids: BTreeSet<_> = stored.iter().map(|record| record.id.as_str()).collect();
        self.attachments()
            .retain(|id, attachment| matches!(attachment, Attachment::Given(_)) || ids.contains(id.as_str()));
        join_all(stored.iter().map(|record| self.reconnect_one(record))).await;
        Ok(())
    }

    async fn reconnect_one(&self, record: &Record) {
        let id = ClusterId::new(&record.id);
        let before = match self.attachments().get(&id) {
            Some(Attachment::Given(_)) => return,
            Some(Attachment::Made(providers, revisions)) => Some((providers.clone(), *revisions)),
            Some(Attachment::Failed(_)) | None => None,
        };
        let made = async {
            let stored: StoredConnection = read(record)?;
            if before
                .as_ref()
                .is_some_and(|(_, revisions)| *revisions == stored.revisions())
            {
                return Ok::<_, Error>(None);
            }
            let providers = self.connect_stored(&id, &stored, before.as_ref()).await?;
            Ok(Some((stored, providers)))
        };
        match made.await {
            Ok(None) => {}
            Ok(Some((stored, providers))) => {
                tracing::info!(cluster = %id, "connected as it is stored");
                self.attach_made(&id, &stored, providers);
            }
            // What works may go on working; when it does not, probes tell.
            Err(error) if before.is_some() => {
                tracing::warn!(cluster = %id, %error, "the changed connection cannot be used; the earlier one is kept");
            }
            Err(error) => {
                tracing::warn!(cluster = %id, %error, "the stored connection cannot be used");
                let why = error.to_record();
                let told = unconnected(&id, &why);
                self.attach_unless_given(&id, Attachment::Failed(why));
                self.tell_unconnected(&id, told).await;
            }
        }
    }

    /// Keeps with the cluster why it is not connected, unless another engine looks after it, which may be well.
    async fn tell_unconnected(&self, id: &ClusterId, why: Error) {
        let told = async {
            let holder = self.store.holder(&format!("cluster/{id}")).await?;
            if holder.is_some_and(|lease| super::is_elsewhere(self, &lease)) {
                return Ok(false);
            }
            self.set_connection(id, &Err(why)).await
        };
        if let Err(error) = told.await {
            tracing::warn!(cluster = %id, %error, "the state of the connection cannot be kept");
        }
    }
}

/// The error of a cluster whose stored connection gives no providers: the cause, as it is, with what it means.
fn unconnected(cluster: &ClusterId, why: &ErrorRecord) -> Error {
    let message = format!(
        "the stored connection of cluster {cluster} cannot be used: {}",
        why.message
    );
    let error =
        Error::new(ErrorKind::Unavailable, why.code.clone(), message)
            .with_field(why.field.clone().unwrap_or_else(|| "cluster_id".to_owned()))
            .with_remedy(why.remedy.clone().unwrap_or_else(|| {
                "correct what the message names; it is tried again every probe interval".to_owned()
            }));
    why.context
        .iter()
        .fold(error, |error, (key, value)| error.with(key, value))
}
