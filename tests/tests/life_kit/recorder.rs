//! A store that remembers what it was told of jobs, and can show a journal that somebody has tampered with.

use async_trait::async_trait;
use jiff::Timestamp;
use ns_core::Result;
use ns_core::model::{JobId, JobSummary};
use ns_core::store::{JournalLine, Lease, MemoryStore, Record, Store, Write};
use std::ops::Deref;
use std::sync::Mutex;

/// What somebody did to the journals behind the engine's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tampering {
    /// A word in the middle line was changed.
    Word,
    /// The middle line was taken out.
    Gap,
    /// The last line was cut off.
    End,
}

/// A document as it was once put: kind, id and body.
pub type Put = (String, String, String);

/// See the module.
#[derive(Debug, Default)]
pub struct Recorder {
    store: MemoryStore,
    summaries: Mutex<Vec<JobSummary>>,
    puts: Mutex<Vec<Put>>,
    transactions: Mutex<Vec<Vec<Write>>>,
    tampering: Mutex<Option<Tampering>>,
}

impl Recorder {
    /// Every summary of a job that was ever committed, in order.
    pub fn summaries(&self) -> Vec<JobSummary> {
        self.summaries.lock().unwrap().clone()
    }

    /// Every document that was ever committed, in order.
    pub fn puts(&self) -> Vec<Put> {
        self.puts.lock().unwrap().clone()
    }

    /// Every transaction that was ever committed, in order.
    pub fn transactions(&self) -> Vec<Vec<Write>> {
        self.transactions.lock().unwrap().clone()
    }

    pub fn tamper(&self, how: Option<Tampering>) {
        *self.tampering.lock().unwrap() = how;
    }
}

impl Deref for Recorder {
    type Target = MemoryStore;
    fn deref(&self) -> &MemoryStore {
        &self.store
    }
}

#[async_trait]
impl Store for Recorder {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        let summaries: Vec<JobSummary> = writes
            .iter()
            .filter_map(|write| match write {
                Write::Put { kind, body, .. } if kind == "job" => Some(serde_json::from_str(body).unwrap()),
                _ => None,
            })
            .collect();
        let puts: Vec<Put> = writes
            .iter()
            .filter_map(|write| match write {
                Write::Put { kind, id, body, .. } => Some((kind.clone(), id.clone(), body.clone())),
                _ => None,
            })
            .collect();
        self.store.commit(writes.clone()).await?;
        self.transactions.lock().unwrap().push(writes);
        self.puts.lock().unwrap().extend(puts);
        self.summaries.lock().unwrap().extend(summaries);
        Ok(())
    }
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        self.store.get(kind, id).await
    }
    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        self.store.list(kind, after, limit).await
    }
    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        let tampering = *self.tampering.lock().unwrap();
        let Some(how) = tampering else {
            return self.store.journal(job, from, limit).await;
        };
        let mut lines = self.store.journal(job, 1, usize::MAX >> 1).await?;
        let middle = lines.len() / 2;
        match how {
            Tampering::Word => {
                let changed = lines[middle].body.replacen("\"at\":\"2", "\"at\":\"3", 1);
                assert_ne!(changed, lines[middle].body);
                lines[middle].body = changed;
            }
            Tampering::Gap => drop(lines.remove(middle)),
            Tampering::End => drop(lines.pop()),
        }
        let wanted = lines.into_iter().filter(|l| l.position >= from);
        Ok(wanted.take(limit).collect())
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
