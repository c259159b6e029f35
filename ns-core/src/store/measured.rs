//! A layer around a store that tells how long its commits take and how they end (`docs/observability.md`).

use super::{JournalLine, Lease, Record, Store, Write};
use crate::Result;
use crate::model::JobId;
use crate::ports::Clock;
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(crate) struct MeasuredStore {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl MeasuredStore {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl Store for MeasuredStore {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        let begun = self.clock.now();
        let result = self.store.commit(writes).await;
        let took = self.clock.now().duration_since(begun).as_secs_f64();
        let ended = result.as_ref().map_or_else(|e| e.kind().as_str(), |()| "ok");
        metrics::histogram!("neverstop_store_commit_seconds", "result" => ended).record(took);
        result
    }
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        self.store.get(kind, id).await
    }
    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.store.list(kind, after, limit).await
    }
    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        self.store.journal(job, from, limit).await
    }
    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        self.store.lease(name, owner, now, until).await
    }
    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        self.store.holder(name).await
    }
    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        self.store.release_lease(name, owner).await
    }
}
