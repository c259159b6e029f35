//! The store for several engines: tables in a PostgreSQL database, or in one that speaks its protocol and SQL (CockroachDB).
//!
//! A commit is one transaction. What it relies on it locks by row: the lease it is made under first, so that nobody takes
//! the lease over while it is under way; then records and journal in the order of the writes. No advisory locks, no
//! notifications, no session state beyond time limits. What the database gives up on for others' sake (a serialisation
//! failure, a deadlock, two that made the same row) is done again. A process that is stopped in mid-transaction would keep
//! its locks: the server ends such a session after [`PostgresOptions::stall_limit`].

mod connection;
mod schema;

use super::{JournalLine, Lease, Record, Store, Write};
use super::{lease_conflict, nanoseconds, position_conflict, timestamp, version_conflict};
use crate::model::JobId;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use deadpool_postgres::{Object, Pool, PoolError, Transaction};
use futures::future::BoxFuture;
use jiff::Timestamp;
use secrecy::SecretString;
use std::fmt;
use std::future::Future;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::{IsolationLevel, Row};

/// How often a transaction that lost against another is done again.
const TRIES: u32 = 20;
/// How long one try of a call may take, over a network that loses everything: it is twice what the server is given.
const LIMIT: Duration = Duration::from_secs(20);

/// How to use a database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Connections at most, 1 to 100. Default 8.
    pub connections: usize,
    /// After how long the server ends a transaction whose engine has stopped in the middle of it, and with it its locks: 100 ms
    /// to 1 minute. A takeover may be late by this much. Default 5 seconds.
    pub stall_limit: Duration,
    /// Certificates (PEM) that the server's must be signed by; none for those that this machine trusts.
    pub ca: Option<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            connections: 8,
            stall_limit: Duration::from_secs(5),
            ca: None,
        }
    }
}

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    pool: Pool,
    /// User, hosts and database, for people.
    place: String,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects, and makes the tables or brings them up to date. `url` is what `libpq` takes: `postgres://user:password@host/db`
    /// or `host=… user=… password=…`. Over a network TLS is demanded and the server's certificate checked, unless the URL says
    /// `sslmode=disable`; the password is kept in no error and no `Debug`.
    ///
    /// # Errors
    /// `Invalid` for a URL or option that cannot be used; `Unavailable`, `Denied` when the database cannot be; `Refused`
    /// (`store.newer`) when a newer NeverStop has written it.
    pub async fn connect(url: &SecretString, options: &PostgresOptions) -> Result<Self> {
        let (pool, place) = connection::pool(url, options)?;
        let store = Self { pool, place };
        schema::migrate(&store).await?;
        Ok(store)
    }

    async fn connection(&self) -> Result<Object> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => failed("connect", error).with("place", &self.place),
            // None of the others carries anything of the connection.
            other => Error::new(
                ErrorKind::Unavailable,
                "store.connect",
                format!("there is no connection to the database: {other}"),
            )
            .with("place", &self.place)
            .with_remedy("see whether the database runs, can be reached and takes more connections"),
        })
    }

    async fn read<T: Send>(
        &self,
        sql: &str,
        parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
        value: impl Fn(&Row) -> std::result::Result<T, tokio_postgres::Error> + Send + Sync,
    ) -> Result<Vec<T>> {
        let reading = async {
            let connection = self.connection().await?;
            let rows = async {
                let statement = connection.prepare_cached(sql).await?;
                connection.query(&statement, parameters).await
            };
            let rows = rows.await.map_err(|e| failed("read", e))?;
            rows.iter()
                .map(value)
                .collect::<std::result::Result<_, _>>()
                .map_err(|e| failed("read", e))
        };
        in_time(reading).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, mut writes: Vec<Write>) -> Result<()> {
        // Leases first, so that nobody waits for a lease while holding what its holder waits for.
        writes.sort_by_key(|write| !matches!(write, Write::Held { .. }));
        let writes = &writes;
        again(|| {
            Box::pin(async move {
                let mut connection = self.connection().await?;
                let start = connection
                    .build_transaction()
                    .isolation_level(IsolationLevel::ReadCommitted)
                    .start();
                let transaction = start.await.map_err(|e| failed("begin", e))?;
                for write in writes {
                    // Dropped, a transaction rolls back.
                    apply(&transaction, write).await?;
                }
                transaction.commit().await.map_err(|e| failed("commit", e))
            })
        })
        .await
    }

    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        let sql = "SELECT kind, id, version, body FROM neverstop_record WHERE kind = $1 AND id = $2";
        Ok(self.read(sql, &[&kind, &id], record).await?.pop())
    }

    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        let sql = "SELECT kind, id, version, body FROM neverstop_record WHERE kind = $1 AND ($2::TEXT IS NULL OR id > $2) \
                   ORDER BY id LIMIT $3";
        self.read(sql, &[&kind, &after, &number(limit as u64)], record).await
    }

    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        let sql = "SELECT position, body, hash FROM neverstop_journal WHERE job = $1 AND position >= $2 \
                   ORDER BY position LIMIT $3";
        self.read(sql, &[&job.as_str(), &number(from), &number(limit as u64)], |row| {
            Ok(JournalLine {
                position: row.try_get::<_, i64>(0)?.unsigned_abs(),
                body: row.try_get(1)?,
                hash: row.try_get(2)?,
            })
        })
        .await
    }

    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        let (now, until) = (nanoseconds(now), nanoseconds(until));
        let sql = "INSERT INTO neverstop_lease AS l (name, owner, until, token) VALUES ($1, $2, $4, 1) \
                   ON CONFLICT (name) DO UPDATE \
                   SET token = l.token + CASE WHEN l.owner = $2 THEN 0 ELSE 1 END, owner = $2, until = $4 \
                   WHERE l.owner = $2 OR l.until <= $3 RETURNING token";
        let token = again(|| {
            Box::pin(async move {
                let connection = self.connection().await?;
                let taken = async {
                    let statement = connection.prepare_cached(sql).await?;
                    let row = connection.query_opt(&statement, &[&name, &owner, &now, &until]).await?;
                    row.map(|row| row.try_get::<_, i64>(0)).transpose()
                };
                taken.await.map_err(|e| failed("lease", e))
            })
        });
        Ok(token.await?.map(i64::unsigned_abs))
    }

    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        let sql = "SELECT owner, token, until FROM neverstop_lease WHERE name = $1 AND owner <> ''";
        let lease = |row: &Row| {
            Ok(Lease {
                owner: row.try_get(0)?,
                token: row.try_get::<_, i64>(1)?.unsigned_abs(),
                until: timestamp(row.try_get(2)?),
            })
        };
        Ok(self.read(sql, &[&name], lease).await?.pop())
    }

    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        // The row stays for its token, which must never come again.
        let sql = "UPDATE neverstop_lease SET owner = '', token = token + 1, until = $3 WHERE name = $1 AND owner = $2";
        again(|| {
            Box::pin(async move {
                let connection = self.connection().await?;
                let given = async {
                    let statement = connection.prepare_cached(sql).await?;
                    connection.execute(&statement, &[&name, &owner, &i64::MIN]).await
                };
                given.await.map_err(|e| failed("lease", e)).map(drop)
            })
        })
        .await
    }
}

/// Does a transaction again when the database gave it up for another's sake.
async fn again<'a, T>(work: impl Fn() -> BoxFuture<'a, Result<T>> + Send + Sync) -> Result<T> {
    let mut lost = 0;
    loop {
        match in_time(work()).await {
            Err(e) if e.code() == LOST && lost < TRIES => {
                lost += 1;
                // Those that met do not meet again: each waits another while.
                let spread = uuid::Uuid::new_v4().as_bytes()[0] % 16;
                tokio::time::sleep(Duration::from_millis(u64::from(lost * 4) + u64::from(spread))).await;
            }
            result => return result,
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Unavailable,
            "store.io",
            format!("the database did not answer within {LIMIT:?}"),
        )
        .with_remedy("see whether the database runs and can be reached"))
    })
}

async fn apply(t: &Transaction<'_>, write: &Write) -> Result<()> {
    match write {
        Write::Held { lease, token } => {
            // Locked until the commit: a takeover waits for it, or it sees the takeover.
            let sql = "SELECT token FROM neverstop_lease WHERE name = $1 FOR UPDATE";
            let found = one(t, sql, &[lease]).await?;
            if found != i64::try_from(*token).ok() {
                return Err(lease_conflict(lease, *token));
            }
        }
        Write::Put {
            kind,
            id,
            expected,
            body,
        } => {
            let version = match expected {
                None => {
                    let sql = "INSERT INTO neverstop_record AS r (kind, id, version, body) VALUES ($1, $2, 1, $3) \
                               ON CONFLICT (kind, id) DO UPDATE SET version = r.version + 1, body = $3 RETURNING version";
                    one(t, sql, &[kind, id, body]).await?
                }
                Some(0) => {
                    let sql = "INSERT INTO neverstop_record (kind, id, version, body) VALUES ($1, $2, 1, $3) \
                               ON CONFLICT (kind, id) DO NOTHING RETURNING version";
                    one(t, sql, &[kind, id, body]).await?
                }
                Some(expected) => {
                    let sql = "UPDATE neverstop_record SET version = version + 1, body = $3 \
                               WHERE kind = $1 AND id = $2 AND version = $4 RETURNING version";
                    one(t, sql, &[kind, id, body, &number(*expected)]).await?
                }
            };
            if version.is_none() {
                let sql = "SELECT version FROM neverstop_record WHERE kind = $1 AND id = $2";
                let found = one(t, sql, &[kind, id]).await?;
                return Err(version_conflict(kind, id, *expected, found.unwrap_or(0).unsigned_abs()));
            }
        }
        Write::Remove { kind, id } => {
            let sql = "DELETE FROM neverstop_record WHERE kind = $1 AND id = $2 RETURNING version";
            one(t, sql, &[kind, id]).await?;
        }
        Write::Append { job, lines } => append(t, job, lines).await?,
    }
    Ok(())
}

async fn append(t: &Transaction<'_>, job: &JobId, lines: &[JournalLine]) -> Result<()> {
    let sql = "SELECT COALESCE(max(position), 0) FROM neverstop_journal WHERE job = $1";
    let last = one(t, sql, &[&job.as_str()]).await?.unwrap_or(0).unsigned_abs();
    for (line, next) in lines.iter().zip(last + 1..) {
        if line.position != next {
            return Err(position_conflict(job, next, line.position));
        }
    }
    let positions: Vec<i64> = lines.iter().map(|l| number(l.position)).collect();
    let bodies: Vec<&str> = lines.iter().map(|l| l.body.as_str()).collect();
    let hashes: Vec<&str> = lines.iter().map(|l| l.hash.as_str()).collect();
    // Somebody who appended since the reading makes this fail on the key, and then it is read again.
    let sql = "INSERT INTO neverstop_journal (job, position, body, hash) \
               SELECT $1, * FROM unnest($2::INT8[], $3::TEXT[], $4::TEXT[]) RETURNING position";
    let wrong = |e| failed("append", e);
    let statement = t.prepare_cached(sql).await.map_err(wrong)?;
    let job = job.as_str();
    t.execute(&statement, &[&job, &positions, &bodies, &hashes])
        .await
        .map_err(wrong)?;
    Ok(())
}

/// The first number of the first row, if there is one.
async fn one(
    t: &Transaction<'_>,
    sql: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Option<i64>> {
    let work = async {
        let statement = t.prepare_cached(sql).await?;
        let row = t.query_opt(&statement, parameters).await?;
        row.map(|row| row.try_get(0)).transpose()
    };
    work.await.map_err(|e| failed("write", e))
}

fn record(row: &Row) -> std::result::Result<Record, tokio_postgres::Error> {
    Ok(Record {
        kind: row.try_get(0)?,
        id: row.try_get(1)?,
        version: row.try_get::<_, i64>(2)?.unsigned_abs(),
        body: row.try_get(3)?,
    })
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The code of a transaction that lost against another and is done again.
const LOST: &str = "store.contention";

/// What went wrong. Of a server's error its code and first line are kept, which name tables and constraints; its detail may
/// hold contents and is not.
fn failed(what: &str, error: tokio_postgres::Error) -> Error {
    let state = error.code().cloned();
    let text = match (error.as_db_error(), state.as_ref()) {
        (Some(e), Some(state)) => format!("{} ({})", e.message(), state.code()),
        _ => error.to_string(),
    };
    let lost = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNIQUE_VIOLATION,
    ];
    let class = state.as_ref().map_or("", |s| s.code().get(..2).unwrap_or_default());
    let (kind, code, remedy) = match state.as_ref() {
        Some(s) if lost.contains(s) => (ErrorKind::Unavailable, LOST, "many write the same at once: try again"),
        Some(s) if *s == SqlState::INSUFFICIENT_PRIVILEGE => (
            ErrorKind::Denied,
            "store.permission",
            "give this user the right to make, read and write tables in the database",
        ),
        Some(_) if class == "28" => (
            ErrorKind::Denied,
            "store.permission",
            "check user, password and the server's rules for clients (pg_hba.conf)",
        ),
        Some(_) if class == "3D" => (ErrorKind::Unavailable, "store.open", "make the database first"),
        Some(_) if class == "53" => (
            ErrorKind::Unavailable,
            "store.io",
            "give the server more room or connections",
        ),
        Some(_) if class == "XX" => (
            ErrorKind::Corrupt,
            "store.corrupt",
            "restore the database from a backup",
        ),
        _ => (
            ErrorKind::Unavailable,
            "store.io",
            "see whether the database runs and can be reached",
        ),
    };
    let told = Error::new(kind, code, format!("the store could not {what}: {text}")).with_remedy(remedy);
    match state {
        // Its source would bring the detail along.
        Some(_) => told,
        None => told.with_source(error),
    }
}
