//! The embedded store: one SQLite file, nothing to install or run.
//!
//! One thread writes; what is queued while it is busy goes into its next transaction, so that many jobs share one
//! flush to disk (group commit), each with its own savepoint and its own answer. Reads use a few read-only connections
//! beside it. WAL with `synchronous=FULL`: what was answered survives the loss of power.

mod schema;
mod writer;

use super::{JournalLine, Lease, Record, Store, Write};
use super::{lease_conflict, nanoseconds, position_conflict, timestamp, version_conflict};
use crate::model::JobId;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use writer::Writer;

/// How long another process may keep the file locked before a call gives up.
const BUSY: Duration = Duration::from_secs(5);
/// Read-only connections.
const READERS: usize = 4;

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    readers: Arc<Readers>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, makes it if there is none (readable by its owner only), and brings its schema up to date. Blocks
    /// for some milliseconds. Several processes may open one file; dropping the last one closes it.
    ///
    /// # Errors
    /// Each names the path and what to do. `Unavailable` (`store.open`, `store.locked`) when the file cannot be opened,
    /// made or locked; `Denied` (`store.permission`); `Refused` (`store.newer`) when a newer NeverStop has written it;
    /// `Corrupt` (`store.not_ours`, `store.corrupt`) when it is something else or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        own_file(path).map_err(|e| open_error(path, &e))?;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| sql_open_error(path, e))?;
        schema::migrate(&mut connection, path)?;
        let readers: Result<Vec<_>, _> = (0..READERS)
            .map(|_| connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .collect();
        let readers = readers.map_err(|e| sql_open_error(path, e))?;
        Ok(Self {
            path: path.to_owned(),
            writer: Writer::start(connection).map_err(|e| open_error(path, &e))?,
            readers: Arc::new(Readers {
                free: Semaphore::new(READERS),
                idle: Mutex::new(readers),
            }),
        })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let readers = Arc::clone(&self.readers);
        // Acquired before the thread is taken, so that waiting readers occupy none.
        let _permit = readers.free.acquire().await.map_err(|_| closed())?;
        let pool = Arc::clone(&self.readers);
        let done = tokio::task::spawn_blocking(move || {
            let connection = pool.lock().pop().ok_or_else(closed)?;
            let result = work(&connection).map_err(|e| failed("read", e));
            pool.lock().push(connection);
            result
        });
        done.await
            .map_err(|e| Error::new(ErrorKind::Internal, "store.read", "a read panicked").with_source(e))?
    }
}

struct Readers {
    free: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        self.writer
            .run(move |c| writes.iter().try_for_each(|write| apply(c, write)).map(|()| 0))
            .await?;
        Ok(())
    }

    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        let key = (kind.to_owned(), id.to_owned());
        self.read(move |c| {
            c.prepare_cached("SELECT kind, id, version, body FROM record WHERE kind = ?1 AND id = ?2")?
                .query_row(params![key.0, key.1], record)
                .optional()
        })
        .await
    }

    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        // Every id is a text, and no text sorts before the empty one; but the empty id itself is one.
        let key = (kind.to_owned(), after.map(str::to_owned), clamp(limit as u64));
        self.read(move |c| {
            c.prepare_cached(
                "SELECT kind, id, version, body FROM record WHERE kind = ?1 AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3",
            )?
            .query_map(params![key.0, key.1, key.2], record)?
            .collect()
        })
        .await
    }

    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        let key = (job.to_string(), clamp(from), clamp(limit as u64));
        self.read(move |c| {
            c.prepare_cached(
                "SELECT position, body, hash FROM journal WHERE job = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
            )?
            .query_map(params![key.0, key.1, key.2], |row| {
                Ok(JournalLine {
                    position: row.get(0)?,
                    body: row.get(1)?,
                    hash: row.get(2)?,
                })
            })?
            .collect()
        })
        .await
    }

    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        let token = self
            .writer
            .run(move |c| {
                let times = (nanoseconds(now), nanoseconds(until));
                c.prepare_cached(
                    "INSERT INTO lease (name, owner, until, token) VALUES (?1, ?2, ?4, 1) ON CONFLICT (name) DO UPDATE \
                     SET token = token + (owner <> ?2), owner = ?2, until = ?4 WHERE owner = ?2 OR until <= ?3 \
                     RETURNING token",
                )
                .and_then(|mut s| {
                    s.query_row(params![name, owner, times.0, times.1], |row| row.get::<_, u64>(0))
                        .optional()
                })
                .map(Option::unwrap_or_default)
                .map_err(|e| failed("lease", e))
            })
            .await?;
        Ok((token > 0).then_some(token))
    }

    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        let name = name.to_owned();
        self.read(move |c| {
            c.prepare_cached("SELECT owner, token, until FROM lease WHERE name = ?1 AND owner <> ''")?
                .query_row(params![name], |row| {
                    Ok(Lease {
                        owner: row.get(0)?,
                        token: row.get(1)?,
                        until: timestamp(row.get(2)?),
                    })
                })
                .optional()
        })
        .await
    }

    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.writer
            .run(move |c| {
                // The row stays for its token, which must never come again.
                c.prepare_cached(
                    "UPDATE lease SET owner = '', token = token + 1, until = ?3 WHERE name = ?1 AND owner = ?2",
                )
                .and_then(|mut s| s.execute(params![name, owner, i64::MIN]))
                .map_err(|e| failed("lease", e))?;
                Ok(0)
            })
            .await?;
        Ok(())
    }
}

fn apply(c: &Connection, write: &Write) -> Result<()> {
    match write {
        Write::Put {
            kind,
            id,
            expected,
            body,
        } => {
            let found = c
                .prepare_cached("SELECT version FROM record WHERE kind = ?1 AND id = ?2")
                .and_then(|mut s| s.query_row(params![kind, id], |row| row.get::<_, u64>(0)).optional())
                .map_err(|e| failed("put", e))?
                .unwrap_or(0);
            if expected.is_some_and(|expected| expected != found) {
                return Err(version_conflict(kind, id, *expected, found));
            }
            c.prepare_cached(
                "INSERT INTO record (kind, id, version, body) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, body = excluded.body",
            )
            .and_then(|mut s| s.execute(params![kind, id, found + 1, body]))
            .map_err(|e| failed("put", e))?;
        }
        Write::Remove { kind, id } => {
            c.prepare_cached("DELETE FROM record WHERE kind = ?1 AND id = ?2")
                .and_then(|mut s| s.execute(params![kind, id]))
                .map_err(|e| failed("remove", e))?;
        }
        Write::Append { job, lines } => append(c, job, lines)?,
        Write::Held { lease, token } => {
            let found: Option<u64> = c
                .prepare_cached("SELECT token FROM lease WHERE name = ?1")
                .and_then(|mut s| s.query_row(params![lease], |row| row.get(0)).optional())
                .map_err(|e| failed("check a lease", e))?;
            if found != Some(*token) {
                return Err(lease_conflict(lease, *token));
            }
        }
    }
    Ok(())
}

fn append(c: &Connection, job: &JobId, lines: &[JournalLine]) -> Result<()> {
    let wrong = |e| failed("append", e);
    let last: Option<u64> = c
        .prepare_cached("SELECT max(position) FROM journal WHERE job = ?1")
        .and_then(|mut s| s.query_row(params![job.as_str()], |row| row.get(0)))
        .map_err(wrong)?;
    let mut insert = c
        .prepare_cached("INSERT INTO journal (job, position, body, hash) VALUES (?1, ?2, ?3, ?4)")
        .map_err(wrong)?;
    for (line, next) in lines.iter().zip(last.unwrap_or(0) + 1..) {
        if line.position != next {
            return Err(position_conflict(job, next, line.position));
        }
        insert
            .execute(params![job.as_str(), line.position, line.body, line.hash])
            .map_err(wrong)?;
    }
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        kind: row.get(0)?,
        id: row.get(1)?,
        version: row.get(2)?,
        body: row.get(3)?,
    })
}

fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(connection)
}

/// Makes the file if there is none, and takes it away from group and others: plans name addresses, users and reasons.
/// SQLite gives its side files the same mode.
fn own_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}

fn open_error(path: &Path, error: &io::Error) -> Error {
    let (kind, code, remedy) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::Unavailable, "store.open", "make the folder first"),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Denied,
            "store.permission",
            "give this user the right to read and write the file and its folder",
        ),
        io::ErrorKind::IsADirectory => (ErrorKind::Invalid, "store.open", "name a file, not a folder"),
        _ => (
            ErrorKind::Unavailable,
            "store.open",
            "check the path, the free space and the file system",
        ),
    };
    Error::new(kind, code, format!("the store file cannot be opened: {error}"))
        .with("path", path.display())
        .with_remedy(remedy)
}

fn sql_open_error(path: &Path, error: rusqlite::Error) -> Error {
    let (kind, code, remedy) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::Corrupt,
            "store.not_ours",
            "name another file: this is no SQLite file",
        ),
        Some(ErrorCode::DatabaseCorrupt) => (ErrorKind::Corrupt, "store.corrupt", "restore the file from a backup"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unavailable,
            "store.locked",
            "end the other program that keeps the file locked",
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (
            ErrorKind::Denied,
            "store.permission",
            "give this user the right to read and write the file and its folder",
        ),
        _ => (
            ErrorKind::Unavailable,
            "store.open",
            "check the path, the free space and the file system",
        ),
    };
    Error::new(kind, code, format!("the store file cannot be opened: {error}"))
        .with("path", path.display())
        .with_remedy(remedy)
        .with_source(error)
}

/// What went wrong in a statement. SQLite's text names tables and columns, never contents.
fn failed(what: &str, error: rusqlite::Error) -> Error {
    use rusqlite::Error as Sql;
    let (kind, remedy) = match (&error, error.sqlite_error_code()) {
        (Sql::FromSqlConversionFailure(..) | Sql::InvalidColumnType(..) | Sql::IntegralValueOutOfRange(..), _)
        | (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
            (ErrorKind::Corrupt, "restore the file from a backup")
        }
        (_, Some(ErrorCode::DiskFull)) => (ErrorKind::Unavailable, "free some disk space"),
        (_, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) => (
            ErrorKind::Unavailable,
            "end the other program that keeps the file locked",
        ),
        _ => (ErrorKind::Unavailable, "check the disk and the file system"),
    };
    let code = if kind == ErrorKind::Corrupt {
        "store.corrupt"
    } else {
        "store.io"
    };
    Error::new(kind, code, format!("the store could not {what}: {error}"))
        .with_remedy(remedy)
        .with_source(error)
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "store.closed", "the store has been closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_flushes_every_commit_and_readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let mut writer = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE).unwrap();
        schema::migrate(&mut writer, &path).unwrap();
        schema::migrate(&mut writer, &path).unwrap();
        let number = |pragma| {
            writer
                .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(
            (number("synchronous"), number("foreign_keys"), number("user_version")),
            (2, 1, 2)
        );
        assert_eq!(
            writer
                .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
                .unwrap(),
            "wal"
        );
        let reader = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        assert!(reader.execute("DELETE FROM record", []).is_err());
    }
}
