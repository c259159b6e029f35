//! The store port: where records and journals live.
//!
//! A store keeps two shapes and nothing else: *records*, small JSON documents by kind and id with a version for
//! compare-and-set, and *journals*, append-only lists of entries by job. One call of [`Store::commit`] is one
//! transaction: it is durable as a whole or not at all when it returns. What the documents mean is not known here.

mod measured;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use measured::MeasuredStore;
pub use memory::{BreakWhen, MemoryStore};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresOptions, PostgresStore};
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
    /// Changes nothing, and lets the whole transaction fail unless the lease has this token now: who lost it writes nothing,
    /// whatever its clock says (OPEN-24).
    Held {
        /// The lease's name.
        lease: String,
        /// What [`Store::lease`] gave.
        token: u64,
    },
}

/// Who has a lease, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who took it.
    pub owner: String,
    /// Its fencing token.
    pub token: u64,
    /// When it ends, or has ended.
    pub until: Timestamp,
}

/// Records and journals.
///
/// **Guarantees**: `commit` is atomic, durable when it returns `Ok`, and seen by every later read.
/// **Errors**: `Conflict` (code `store.version`, `store.position` or `store.lease`) when an expectation does not hold, and then
/// nothing is written; `Unavailable` when the store cannot work now; `Corrupt` when what is stored cannot be read.
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
    /// Takes or renews the lease on a name for `owner` until a time, and gives its fencing token; none when somebody else's has
    /// not ended at `now`. The token counts up, from 1, whenever the lease changes hands or is given back, for ever; it stays
    /// when its owner renews it, however late, as long as nobody had it in between.
    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>>;
    /// Who has the lease on a name, ended or not; none when it was never taken or was given back.
    async fn holder(&self, name: &str) -> Result<Option<Lease>>;
    /// Gives a lease back; nothing happens when `owner` does not hold it.
    async fn release_lease(&self, name: &str, owner: &str) -> Result<()>;
}

pub(crate) fn version_conflict(kind: &str, id: &str, expected: Option<u64>, found: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.version",
        format!("{kind} {id} was changed meanwhile"),
    )
    .with("expected", expected.unwrap_or_default())
    .with("found", found)
    .with_remedy("read it again and decide anew")
}

fn lease_conflict(lease: &str, token: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.lease",
        format!("the lease {lease} has passed to somebody else"),
    )
    .with("token", token)
    .with_remedy("leave what it stands for to its new owner")
}

/// Nanoseconds since 1970, as stores keep times; what does not fit (before 1678, after 2262) counts as the end of that range.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn nanoseconds(time: Timestamp) -> i64 {
    let n = time.as_nanosecond();
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

/// See [`nanoseconds`].
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::MAX)
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
