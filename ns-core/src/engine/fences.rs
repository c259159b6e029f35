//! Who needs a site cut off: several jobs may, and it is let back only when none does any more.
//!
//! The record of a fence is changed by compare-and-swap. While it is being opened nobody can come to rely on it: whoever wants it
//! waits until it is open and closes it again.

use super::Inner;
use super::records::{kinds, put, remove};
use crate::model::{ClusterId, JobDefinition};
use crate::provider::{Fencing, Token};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::PoisonError;

/// A site that is cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldFence {
    cluster: ClusterId,
    /// The tasks that need it.
    holders: BTreeSet<Token>,
    /// Its last holder is letting the site back.
    opening: bool,
}

impl Inner {
    /// The fence of a cluster; none when the host of the library has none.
    pub(crate) fn fence_port(&self, cluster: &ClusterId) -> Option<Fencing> {
        let fences = self.fences.lock().unwrap_or_else(PoisonError::into_inner);
        fences.get(cluster).cloned()
    }

    fn fence_of(&self, cluster: &ClusterId) -> Result<Fencing> {
        self.fence_port(cluster).ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "engine.no_fence",
                format!("cluster {cluster} has no fence now"),
            )
            .with_field("cluster_id")
            .with_remedy("give it with Engine::attach_fence")
        })
    }

    /// The record of a cluster's fence and its version; none while nobody needs it.
    async fn held(&self, cluster: &ClusterId) -> Result<Option<(HeldFence, u64)>> {
        self.records().find(kinds::FENCE, cluster.as_str()).await
    }

    /// Whether a task holds the fence of a cluster.
    pub(super) async fn holds_fence(&self, cluster: &ClusterId, token: &Token) -> Result<bool> {
        Ok(self
            .held(cluster)
            .await?
            .is_some_and(|(held, _)| held.holders.contains(token)))
    }

    /// Whether anybody needs a cluster cut off.
    pub(super) async fn is_fenced(&self, cluster: &ClusterId) -> Result<bool> {
        Ok(self.held(cluster).await?.is_some())
    }

    /// Cuts a cluster off for a task. Gives what shows it.
    pub(super) async fn close_fence(&self, cluster: &ClusterId, token: &Token) -> Result<String> {
        let port = self.fence_of(cluster)?;
        let change = |held: Option<HeldFence>| {
            let mut held = held.unwrap_or_else(|| HeldFence {
                cluster: cluster.clone(),
                holders: BTreeSet::new(),
                opening: false,
            });
            if held.opening {
                let message = format!("the fence of {cluster} is being opened");
                return Err(Error::new(ErrorKind::Unavailable, "fence.opening", message)
                    .with_remedy("it is closed again by itself as soon as it is open"));
            }
            Ok(held.holders.insert(token.clone()).then_some(held))
        };
        self.change(cluster, change).await?;
        Ok(format!("{}: {}", port.kind(), port.fence().await?))
    }

    /// Lets go of a cluster's fence, which opens when nobody else holds it.
    pub(super) async fn open_fence(&self, cluster: &ClusterId, token: &Token) -> Result<()> {
        let mut opens = false;
        let change = |held: Option<HeldFence>| {
            let Some(mut held) = held.filter(|held| held.holders.contains(token)) else {
                return Ok(None);
            };
            opens = held.holders.len() == 1;
            let begun = held.opening;
            if opens {
                held.opening = true;
            } else {
                held.holders.remove(token);
            }
            Ok((!begun).then_some(held))
        };
        self.change(cluster, change).await?;
        if opens {
            self.fence_of(cluster)?.unfence().await?;
            self.records()
                .commit(vec![remove(kinds::FENCE, cluster.as_str())])
                .await?;
        }
        Ok(())
    }

    /// Changes the record unless somebody else does at the same time; then it is looked at anew. `None` leaves it as it is.
    async fn change(
        &self,
        cluster: &ClusterId,
        mut change: impl FnMut(Option<HeldFence>) -> Result<Option<HeldFence>>,
    ) -> Result<()> {
        let id = cluster.as_str();
        loop {
            let (held, version) = match self.held(cluster).await? {
                Some((held, version)) => (Some(held), version),
                None => (None, 0),
            };
            let Some(new) = change(held)? else { return Ok(()) };
            match self
                .records()
                .commit(vec![put(kinds::FENCE, id, Some(version), &new)?])
                .await
            {
                Err(e) if e.code() == "store.version" => {}
                result => return result,
            }
        }
    }
}

/// The cluster to cut off before anything is promoted by force, and the kind of its fence: when it has one that the operator did
/// not do without.
pub(super) fn to_be_fenced<'a>(
    inner: &Inner,
    job: &JobDefinition,
    source: &'a ClusterId,
) -> Option<(&'a ClusterId, &'static str)> {
    let without = job.force.as_ref().is_some_and(|f| f.without_fence);
    let port = inner.fence_port(source).filter(|_| !without)?;
    Some((source, port.kind()))
}
