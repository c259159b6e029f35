//! The store as one engine process sees it: a `MemoryStore` that all processes share, behind faults of disk and network.
//! What was written damaged can be found out by nobody but the engine; what it was before is kept for the operator who
//! restores it.

use crate::faults::FaultKind;
use crate::mutants::{Wrap, wrapped};
use crate::node::Life;
use crate::shared::Shared;
use async_trait::async_trait;
use jiff::Timestamp;
use ns_core::model::JobId;
use ns_core::ports::Clock;
use ns_core::store::{JournalLine, Lease, Record, Store, Write};
use ns_core::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

/// See the module.
#[derive(Debug, Clone)]
pub struct NodeStore {
    /// Everything outside.
    pub shared: Arc<Shared>,
    /// Whose process.
    pub life: Life,
    /// Its name.
    pub node: String,
}

/// A journal that is damaged on disk, and how to mend it.
#[derive(Debug, Clone)]
pub struct Damage {
    /// Whose.
    pub job: JobId,
    /// The lines as they were.
    pub before: Vec<JournalLine>,
}

fn away(code: &str) -> Error {
    Error::new(ErrorKind::Unavailable, code, "the store does not work now").with_remedy("wait, or look at its disk")
}

impl NodeStore {
    fn reachable(&self) -> Result<()> {
        match self.shared.store_away() {
            true => Err(away("store.away")),
            false => Ok(()),
        }
    }

    async fn die(&self) -> Result<()> {
        self.life.die(false);
        std::future::pending().await
    }

    async fn apply(&self, writes: Vec<Write>) -> Result<()> {
        let done = self.shared.store.commit(writes.clone()).await;
        if done.is_ok() {
            self.shared.committed(&self.node, &writes);
        }
        done
    }

    /// Writes a transaction by halves: the lines, the last of them cut off, and nothing else.
    async fn tear(&self, writes: Vec<Write>, roll: u64) -> bool {
        let Some((job, lines)) = writes.iter().find_map(|w| match w {
            Write::Append { job, lines } if lines.first().is_some_and(|l| l.position > 1) => Some((job, lines)),
            _ => None,
        }) else {
            return false;
        };
        let before = self.shared.store.journal(job, 1, usize::MAX >> 1).await.unwrap();
        self.shared.store.edit_journal(job, |all| {
            let keep = usize::try_from(roll % lines.len() as u64).unwrap();
            all.extend_from_slice(&lines[..=keep]);
            let last = all.last_mut().unwrap();
            let half = last.body.len() / 2;
            last.body
                .truncate((0..=half).rev().find(|i| last.body.is_char_boundary(*i)).unwrap_or(0));
        });
        let damage = Damage {
            job: job.clone(),
            before,
        };
        self.shared.damaged(damage);
        true
    }

    /// Flips a bit of the journal that was just written to.
    async fn flip(&self, writes: &[Write], roll: u64) -> bool {
        let Some(job) = writes.iter().find_map(|w| match w {
            Write::Append { job, .. } => Some(job),
            _ => None,
        }) else {
            return false;
        };
        let before = self.shared.store.journal(job, 1, usize::MAX >> 1).await.unwrap();
        self.shared.store.edit_journal(job, |all| {
            let index = usize::try_from(roll % all.len() as u64).unwrap();
            let mut bytes = all[index].body.clone().into_bytes();
            let at = usize::try_from((roll >> 20) % bytes.len() as u64).unwrap();
            // Bits of ASCII that stay ASCII: what else is there shows as text that is none, which is easier to find.
            bytes[at] ^= 1 << ((roll >> 50) % 3);
            if let Ok(body) = String::from_utf8(bytes) {
                all[index].body = body;
            }
        });
        self.shared.damaged(Damage {
            job: job.clone(),
            before,
        });
        true
    }
}

#[async_trait]
impl Store for NodeStore {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        self.life.runs().await;
        self.reachable()?;
        let fault = self.shared.board().at_commit();
        if wrapped(Wrap::StoreLies) && self.shared.board().commits.is_multiple_of(23) {
            return Ok(());
        }
        let Some(fault) = fault else {
            return self.apply(writes).await;
        };
        let strikes = |shared: &Shared| shared.board().count(fault.kind);
        match fault.kind {
            FaultKind::DeathBeforeCommit => {
                strikes(&self.shared);
                self.die().await
            }
            FaultKind::DeathAfterCommit => {
                self.apply(writes).await?;
                strikes(&self.shared);
                self.die().await
            }
            FaultKind::TornCommit => {
                if !self.tear(writes.clone(), fault.roll).await {
                    return self.apply(writes).await;
                }
                strikes(&self.shared);
                self.die().await
            }
            FaultKind::BitFlip => {
                self.apply(writes.clone()).await?;
                if !self.flip(&writes, fault.roll).await {
                    return Ok(());
                }
                strikes(&self.shared);
                self.die().await
            }
            FaultKind::StoreAway => {
                strikes(&self.shared);
                self.shared.take_store_away(Duration::from_secs(1 + fault.roll % 40));
                Err(away("store.away"))
            }
            FaultKind::DiskFull => {
                strikes(&self.shared);
                Err(away("store.full"))
            }
            FaultKind::FsyncLost => {
                strikes(&self.shared);
                Err(away("store.fsync"))
            }
            FaultKind::FsyncWritten => {
                self.apply(writes).await?;
                strikes(&self.shared);
                Err(away("store.fsync"))
            }
            _ => {
                strikes(&self.shared);
                self.shared.clock.sleep(Duration::from_secs(fault.length)).await;
                self.life.runs().await;
                let done = self.apply(writes).await;
                self.life.runs().await;
                done
            }
        }
    }

    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        self.life.runs().await;
        self.reachable()?;
        self.shared.store.get(kind, id).await
    }

    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.life.runs().await;
        self.reachable()?;
        self.shared.store.list(kind, after, limit).await
    }

    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        self.life.runs().await;
        self.reachable()?;
        self.shared.store.journal(job, from, limit).await
    }

    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        self.life.runs().await;
        self.reachable()?;
        let held = self.shared.store.lease(name, owner, now, until).await?;
        self.shared.leased(name, owner, held.is_some(), until);
        if held.is_none() && wrapped(Wrap::LeaseForAll) {
            return Ok(self.shared.store.holder(name).await?.map(|lease| lease.token));
        }
        Ok(held)
    }

    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        self.life.runs().await;
        self.reachable()?;
        self.shared.store.holder(name).await
    }

    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        self.life.runs().await;
        self.reachable()?;
        self.shared.released(name, owner);
        self.shared.store.release_lease(name, owner).await
    }
}
