//! A node: a process with an engine on the shared store, until its standard input ends.

use crate::{SITES, outside};
use anyhow::Context;
use async_trait::async_trait;
use jiff::Timestamp;
use ns_core::model::JobId;
use ns_core::store::{JournalLine, Lease, PostgresOptions, PostgresStore, Record, Store, Write};
use ns_core::{Actor, Engine, Result, Settings};
use secrecy::SecretString;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The shortest lease there is, so that much happens in little time.
const LEASE: Duration = Duration::from_secs(1);
/// What a node prints when a commit of it was refused because its lease had passed on.
pub(crate) const REFUSED: &str = "stale write refused";

pub(crate) async fn store(url: &str) -> Result<Arc<PostgresStore>> {
    let options = PostgresOptions {
        stall_limit: Duration::from_millis(500),
        ..Default::default()
    };
    Ok(Arc::new(
        PostgresStore::connect(&SecretString::from(url), &options).await?,
    ))
}

pub(crate) fn engine(store: Arc<dyn Store>, name: &str) -> Result<Engine> {
    let mut settings = Settings::default();
    settings.lease = LEASE;
    settings.poll = Duration::from_millis(50);
    Engine::builder(store).node(name).settings(settings).build()
}

pub(crate) async fn run(name: &str, url: &str, socket: &Path) -> anyhow::Result<()> {
    let engine = engine(Arc::new(Watched(store(url).await?)), name)?;
    for site in SITES {
        let session = engine.session(Actor::admin(name));
        let cluster = session.clusters().by_name(&format!("site-{site}")).await?;
        engine.attach(
            &cluster.context("the site is not registered")?.id,
            outside::remote(socket, site),
        );
    }
    engine.start().await?;
    println!("started");
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    engine.shutdown().await;
    Ok(())
}

/// Tells of refused commits.
#[derive(Debug)]
struct Watched(Arc<PostgresStore>);

#[async_trait]
impl Store for Watched {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        let result = self.0.commit(writes).await;
        if result.as_ref().is_err_and(|e| e.code() == "store.lease") {
            let mut out = std::io::stdout().lock();
            // Whoever counts may have ended.
            let _ = writeln!(out, "{REFUSED}").and_then(|()| out.flush());
        }
        result
    }
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        self.0.get(kind, id).await
    }
    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.0.list(kind, after, limit).await
    }
    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        self.0.journal(job, from, limit).await
    }
    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        self.0.lease(name, owner, now, until).await
    }
    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        self.0.holder(name).await
    }
    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        self.0.release_lease(name, owner).await
    }
}
