//! The store port: where records and journals live.
//!
//! A store keeps two shapes and nothing else: *records*, small JSON documents by kind and id with a version for
//! compare-and-set, and *journals*, append-only lists of entries by job. One call of [`Store::commit`] is one
//! transaction: it is durable as a whole or not at all when it returns. What the documents mean is not known here.

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::{BreakWhen, MemoryStore};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

use crate::model::JobId;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is, e.g. `plan`.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// Counts up with every write, from 1.
    pub version: u64,
    /// The document, JSON.
    pub body: String,
}

/// A line of a journal as it is stored; `journal` gives it meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalLine {
    /// Position in the job's journal, from 1, without gaps.
    pub position: u64,
    /// The entry's exact bytes: what the hash covers.
    pub body: String,
    /// Hash of this line and all before it, hexadecimal.
    pub hash: String,
}

/// One change inside a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts a document. `expected` is the version it must have now: 0 means that it must not exist, none that any will do.
    Put {
        /// What it is.
        kind: String,
        /// Which one.
        id: String,
        /// The version it must have now.
        expected: Option<u64>,
        /// The document, JSON.
        body: String,
    },
    /// Removes a document; nothing happens when it does not exist.
    Remove {
        /// What it is.
        kind: String,
        /// Which one.
        id: String,
    },
    /// Appends lines to a job's journal. The first must follow the last that is there.
    Append {
        /// Whose journal.
        job: JobId,
        /// The lines, in order.
        lines: Vec<JournalLine>,
    },
}

/// Records and journals.
///
/// **Guarantees**: `commit` is atomic, durable when it returns `Ok`, and seen by every later read.
/// **Errors**: `Conflict` (code `store.version` or `store.position`) when an expectation does not hold, and then nothing is
/// written; `Unavailable` when the store cannot work now; `Corrupt` when what is stored cannot be read.
/// **Cancellation**: a dropped `commit` may or may not have taken place.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Does all writes, or none.
    async fn commit(&self, writes: Vec<Write>) -> Result<()>;
    /// Reads a document.
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>>;
    /// Reads documents of a kind in the order of their ids: at most `limit`, those after `after`.
    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>>;
    /// Reads a job's journal from a position (the first is 1): at most `limit` lines.
    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>>;
    /// Takes or renews the lease on a name for `owner` until a time; `false` when somebody else's has not ended at `now`.
    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<bool>;
    /// Gives a lease back; nothing happens when `owner` does not hold it.
    async fn release_lease(&self, name: &str, owner: &str) -> Result<()>;
}

fn version_conflict(kind: &str, id: &str, expected: Option<u64>, found: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.version",
        format!("{kind} {id} was changed meanwhile"),
    )
    .with("expected", expected.unwrap_or_default())
    .with("found", found)
    .with_remedy("read it again and decide anew")
}

fn position_conflict(job: &JobId, expected: u64, given: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.position",
        format!("the journal of job {job} goes on elsewhere"),
    )
    .with("expected", expected)
    .with("given", given)
    .with_remedy("read the journal again: somebody else wrote to it")
}
