//! What the engine does about registered clusters by itself, all the time (EVT-12): it probes whether they answer (CL-11),
//! listens to what they tell of themselves (EVT-13), and synchronises them: once it listens, after every interruption, and
//! every so often, so that what was never told is found as well (INV-13, EVT-14).
//!
//! Of engines that share a store one looks after a cluster at a time, by a lease as for jobs; another takes its place when
//! it dies.

use super::Inner;
use super::follow::follow_sources;
use super::records::kinds;
use super::sync::{self, Hint, relearn, sync_cluster};
use crate::model::{Cluster, ClusterId};
use crate::ports::with_deadline;
use crate::provider::Notice;
use crate::{Error, ErrorKind, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How many notices are waited for before what they name is read: one reading serves a burst of them.
const NOTICES_AT_ONCE: usize = 200;

/// How long a notice waits for others.
const GATHER: Duration = Duration::from_millis(300);

/// How many messages are remembered, to know one that is delivered twice.
const REMEMBERED: usize = 10_000;

/// Looks after all clusters that have providers here, until the engine shuts down.
pub(super) async fn monitor(inner: Arc<Inner>) {
    let mut stop = inner.stop.subscribe();
    let mut looked_after = JoinSet::new();
    let mut known: BTreeSet<ClusterId> = BTreeSet::new();
    loop {
        for id in inner.attached() {
            if known.insert(id.clone()) {
                let engine = inner.clone();
                let work = async move {
                    look_after(&engine, &id).await;
                    id
                };
                looked_after.spawn_on(work, &inner.runtime);
            }
        }
        tokio::select! {
            biased;
            // Dropping the set ends all of them at once: nothing of theirs is half done that a next synchronisation would not mend.
            _ = stop.wait_for(|stop| *stop) => return,
            Some(ended) = looked_after.join_next() => {
                // Unregistered, or no providers any more.
                match ended {
                    Ok(id) => drop(known.remove(&id)),
                    Err(error) => tracing::error!(%error, "looking after a cluster broke off"),
                }
            }
            () = inner.clock.sleep(inner.settings().watch_interval) => {}
        }
    }
}

/// Looks after one cluster, as long as it is registered and has providers here.
async fn look_after(inner: &Arc<Inner>, id: &ClusterId) {
    let lease = format!("cluster/{id}");
    loop {
        match ours(inner, id, &lease).await {
            Ok(None) => return,
            Ok(Some(true)) => {
                tokio::select! {
                    biased;
                    () = keep(inner, &lease) => {}
                    () = gone(inner, id) => return,
                    () = probe(inner, id) => {}
                    () = listen(inner, id) => {}
                    () = mend(inner, id) => {}
                }
            }
            Ok(Some(false)) => {}
            Err(error) => {
                tracing::debug!(cluster = %id, %error, "the store cannot be asked who looks after the cluster")
            }
        }
        inner.clock.sleep(inner.settings().lease / 3).await;
    }
}

/// Whether this engine is to look after a cluster; none when nobody is to.
async fn ours(inner: &Inner, id: &ClusterId, lease: &str) -> Result<Option<bool>> {
    if inner.providers(id).is_err() || !registered(inner, id).await? {
        return Ok(None);
    }
    Ok(Some(take(inner, lease).await?))
}

async fn registered(inner: &Inner, id: &ClusterId) -> Result<bool> {
    Ok(inner
        .records()
        .find::<Cluster>(kinds::CLUSTER, id.as_str())
        .await?
        .is_some())
}

pub(super) async fn take(inner: &Inner, lease: &str) -> Result<bool> {
    let now = inner.clock.now();
    let until = now.saturating_add(inner.settings().lease).unwrap_or(now);
    Ok(inner.store.lease(lease, &inner.node, now, until).await?.is_some())
}

/// Keeps the lease; returns when it is lost.
pub(super) async fn keep(inner: &Inner, lease: &str) {
    let mut until = inner.clock.now();
    loop {
        match take(inner, lease).await {
            Ok(true) => {
                until = inner
                    .clock
                    .now()
                    .saturating_add(inner.settings().lease)
                    .unwrap_or(until)
            }
            Ok(false) => return,
            Err(_) if inner.clock.now() >= until => return,
            Err(_) => {}
        }
        inner.clock.sleep(inner.settings().lease / 3).await;
    }
}

/// Returns when the cluster has been unregistered.
async fn gone(inner: &Inner, id: &ClusterId) {
    loop {
        inner.clock.sleep(inner.settings().watch_interval).await;
        if matches!(registered(inner, id).await, Ok(false)) {
            return;
        }
    }
}

/// Probes a cluster for ever: after so many probes in a row that say otherwise its state changes (OPEN-12).
async fn probe(inner: &Inner, id: &ClusterId) {
    let (mut failed, mut good) = (0_u32, 0_u32);
    loop {
        inner.clock.sleep(inner.settings().probe_interval).await;
        let answer = answers(inner, id).await;
        match &answer {
            Ok(()) => (failed, good) = (0, good.saturating_add(1)),
            Err(error) => {
                tracing::debug!(cluster = %id, %error, "a probe failed");
                (failed, good) = (failed.saturating_add(1), 0);
            }
        }
        if failed < inner.settings().probes_to_inactive && good < inner.settings().probes_to_active {
            continue;
        }
        match inner.set_connection(id, &answer).await {
            Ok(true) => {
                tracing::warn!(cluster = %id, answers = answer.is_ok(), "the connection changed");
                // What happened while it was away was told to nobody (OPEN-03).
                if answer.is_ok()
                    && let Err(error) = synchronise(inner, id).await
                {
                    tracing::warn!(cluster = %id, %error, "it is back, and not synchronised yet");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(cluster = %id, %error, "the state of the connection cannot be kept"),
        }
    }
}

/// Makes good what could not be read when it was to be, for ever.
async fn mend(inner: &Inner, id: &ClusterId) {
    loop {
        inner.clock.sleep(inner.settings().watch_interval).await;
        if let Err(error) = sync::mend(inner, id).await {
            tracing::debug!(cluster = %id, %error, "the cluster is not synchronised yet");
        }
    }
}

/// What a half of a cluster says against it, with field and remedy also where the provider names none.
pub(crate) fn named(error: Error, half: &str) -> Error {
    let (field, remedy) = match error.kind() {
        ErrorKind::Unauthenticated => ("credentials", "check the user, the password or key, and the project"),
        ErrorKind::Denied => ("credentials", "give the user the rights it lacks, or use another user"),
        ErrorKind::Unavailable | ErrorKind::Timeout => (
            half,
            "check the address, and that the service runs and can be reached from here",
        ),
        _ => (half, "check the settings of its provider"),
    };
    let error = match error.field() {
        Some(_) => error,
        None => error.with_field(field),
    };
    let error = match error.remedy() {
        Some(_) => error,
        None => error.with_remedy(remedy),
    };
    error.with("of", half)
}

/// Whether cloud and storage of a cluster answer now (CL-11).
pub(crate) async fn answers(inner: &Inner, id: &ClusterId) -> Result<()> {
    let providers = inner.providers(id)?;
    let limit = inner.settings().reach_limit;
    let (cloud, storage) = futures::future::join(
        with_deadline(&*inner.clock, limit, "the cloud", providers.cloud.probe()),
        with_deadline(&*inner.clock, limit, "the storage", providers.storage.check()),
    )
    .await;
    cloud.map_err(|e| named(e, "cloud"))?;
    storage.map_err(|e| named(e, "storage"))?;
    Ok(())
}

/// Listens to a cluster and synchronises it, for ever.
async fn listen(inner: &Inner, id: &ClusterId) {
    let mut heard = Heard::default();
    loop {
        let begun = inner.clock.now();
        let pause = match follow(inner, id, &mut heard).await {
            Ok(Followed::Untold) => inner.settings().sync_interval,
            Ok(Followed::Replaced) => continue,
            Err(error) => {
                tracing::warn!(cluster = %id, %error, "the cluster is not listened to; it is synchronised instead");
                let took = Duration::try_from(inner.clock.now().duration_since(begun)).unwrap_or_default();
                rest(inner.settings().watch_interval, took)
            }
        };
        inner.clock.sleep(pause).await;
    }
}

/// How long to rest after a reading that took so long. What is not told is to be found within the interval, also what changes as
/// soon as it was read: the next reading has to be over by then. A cloud that takes long to read has a rest all the same.
fn rest(interval: Duration, took: Duration) -> Duration {
    interval.saturating_sub(took.saturating_mul(2)).max(interval / 10)
}

/// Why a cluster is not followed any more.
enum Followed {
    /// Its cloud does not tell of itself; it was synchronised.
    Untold,
    /// It has other providers now: a broker that took the old password goes on telling whoever came with that.
    Replaced,
}

/// Listens until the connection breaks, or the cluster is to be reached in another way.
async fn follow(inner: &Inner, id: &ClusterId, heard: &mut Heard) -> Result<Followed> {
    let own = inner.as_attached(id).map(|providers| providers.cloud);
    let cloud = inner.providers(id)?.cloud;
    let connect = with_deadline(
        &*inner.clock,
        inner.settings().call_limit,
        "the message broker",
        cloud.notices(),
    );
    let notices = connect.await;
    // From now on nothing is missed: what is synchronised after this is complete.
    let synced = synchronise(inner, id).await;
    let mut notices = match notices {
        Ok(notices) => notices,
        Err(e) if e.kind() == ErrorKind::Unsupported => return synced.map(|()| Followed::Untold),
        Err(e) => return Err(e),
    };
    synced?;
    let replaced = async {
        while own.as_ref().is_some_and(|own| inner.still_has(id, own)) {
            inner.clock.sleep(inner.settings().watch_interval).await;
        }
    };
    tokio::pin!(replaced);
    loop {
        tokio::select! {
            biased;
            () = &mut replaced => return Ok(Followed::Replaced),
            hints = gather(inner, &mut notices, heard) => {
                if relearn(inner, id, &hints?).await? {
                    follow_sources(inner, Some(id)).await?;
                }
            }
            () = inner.clock.sleep(inner.settings().sync_interval) => synchronise(inner, id).await?,
        }
    }
}

/// Reads a cluster anew. The plans follow at once, not with the next look of the watch.
async fn synchronise(inner: &Inner, id: &ClusterId) -> Result<()> {
    sync_cluster(inner, id).await?;
    follow_sources(inner, Some(id)).await
}

/// The next notices, and those that come right after them.
async fn gather(
    inner: &Inner,
    notices: &mut BoxStream<'static, Result<Notice>>,
    heard: &mut Heard,
) -> Result<Vec<Hint>> {
    let mut hints = Vec::new();
    loop {
        let next = async {
            notices.next().await.unwrap_or_else(|| {
                Err(Error::new(
                    ErrorKind::Unavailable,
                    "cloud.notices_ended",
                    "the cloud stopped telling of changes",
                ))
            })
        };
        let next = if hints.is_empty() {
            Some(next.await?)
        } else {
            tokio::select! {
                biased;
                next = next => Some(next?),
                () = inner.clock.sleep(GATHER) => None,
            }
        };
        match next {
            Some(notice) if heard.before(&notice.id) => {}
            Some(notice) => hints.push((notice.kind, notice.resource, notice.happened)),
            None => return Ok(hints),
        }
        if hints.len() >= NOTICES_AT_ONCE {
            return Ok(hints);
        }
    }
}

/// Which messages were heard, to know one that is delivered twice.
#[derive(Debug, Default)]
struct Heard {
    ids: BTreeSet<String>,
    in_order: VecDeque<String>,
}

impl Heard {
    /// Whether this was heard before; from now on it was.
    fn before(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return true;
        }
        self.in_order.push_back(id.to_owned());
        if self.in_order.len() > REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EVT-14: whatever changes during a reading or after it is known an interval after the reading began, at the latest.
    #[test]
    fn evt_14_what_is_not_told_is_found_within_an_interval() {
        let interval = Duration::from_secs(60);
        for seconds in [0, 1, 10, 27] {
            let took = Duration::from_secs(seconds);
            assert_eq!(took + rest(interval, took) + took, interval);
        }
        for seconds in [28, 60, u64::MAX] {
            assert_eq!(rest(interval, Duration::from_secs(seconds)), Duration::from_secs(6));
        }
    }
}
