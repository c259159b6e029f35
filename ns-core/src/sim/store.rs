//! A real store in simulated time.

use super::SimClock;
use crate::Result;
use crate::model::JobId;
use crate::store::{JournalLine, Lease, Record, Store, Write};
use async_trait::async_trait;
use jiff::Timestamp;

/// A store whose work takes no simulated time: the [`SimClock`] is held meanwhile. Without it a disk that takes a few real
/// milliseconds is overtaken by hours, in which leases and deadlines end.
///
/// ```
/// use ns_core::sim::{SimClock, SimStore};
/// use ns_core::store::SqliteStore;
/// use std::sync::Arc;
///
/// # fn main() -> ns_core::Result<()> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let path = folder.path().join("neverstop.db");
/// let clock = SimClock::new();
/// let store = SimStore::new(SqliteStore::open(path)?, clock.clone());
/// let engine = ns_core::Engine::builder(Arc::new(store)).clock(Arc::new(clock));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SimStore<S> {
    inner: S,
    clock: SimClock,
}

impl<S: Store> SimStore<S> {
    /// Puts a store into the time of a clock.
    #[must_use]
    pub const fn new(inner: S, clock: SimClock) -> Self {
        Self { inner, clock }
    }
}

#[async_trait]
impl<S: Store> Store for SimStore<S> {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        let _hold = self.clock.hold();
        self.inner.commit(writes).await
    }
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        let _hold = self.clock.hold();
        self.inner.get(kind, id).await
    }
    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        let _hold = self.clock.hold();
        self.inner.list(kind, after, limit).await
    }
    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        let _hold = self.clock.hold();
        self.inner.journal(job, from, limit).await
    }
    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        let _hold = self.clock.hold();
        self.inner.lease(name, owner, now, until).await
    }
    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        let _hold = self.clock.hold();
        self.inner.holder(name).await
    }
    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        let _hold = self.clock.hold();
        self.inner.release_lease(name, owner).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Clock;
    use crate::store::SqliteStore;
    use std::time::Duration;

    #[tokio::test]
    async fn a_real_disk_takes_no_simulated_time() {
        let clock = SimClock::new();
        let beside = tokio::spawn({
            let clock = clock.clone();
            async move {
                loop {
                    clock.sleep(Duration::from_secs(1)).await;
                }
            }
        });
        tokio::task::yield_now().await;
        let start = clock.now();
        let folder = tempfile::tempdir().unwrap();
        let store = SimStore::new(SqliteStore::open(folder.path().join("s")).unwrap(), clock.clone());
        store.get("a kind", "an id").await.unwrap();
        store.lease("a lease", "a node", start, start).await.unwrap();
        store.holder("a lease").await.unwrap();
        store.release_lease("a lease", "a node").await.unwrap();
        store.commit(vec![]).await.unwrap();
        store.list("a kind", None, 1).await.unwrap();
        store.journal(&JobId::new("a job"), 1, 1).await.unwrap();
        // Between two accesses the clock may move; within each it would, many times.
        assert!(clock.now().duration_since(start).as_secs() <= 7, "{}", clock.now());
        beside.abort();
    }
}
