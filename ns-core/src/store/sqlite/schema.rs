//! The schema's numbered steps and how a file is brought up to date. A step that was released is never edited: files
//! written by it exist. `user_version` counts the steps that a file has seen.

use super::{failed, sql_open_error};
use crate::{Error, ErrorKind, Result};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;

const STEPS: &[&str] = &[
    include_str!("../migrations/0001_records_and_journals.sql"),
    include_str!("../migrations/0002_fencing_tokens.sql"),
];

/// Marks the file as ours ("NvSt").
const APPLICATION_ID: i32 = 0x4e76_5374;

pub(super) fn migrate(c: &mut Connection, path: &Path) -> Result<()> {
    let wrong = |e| sql_open_error(path, e);
    c.pragma_update(None, "journal_mode", "WAL").map_err(wrong)?;
    c.pragma_update(None, "synchronous", "FULL").map_err(wrong)?;
    let newest = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    // Immediate: of two processes that open a new file at once, one migrates and the other finds it done.
    let transaction = c
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(wrong)?;
    let number = |pragma| {
        transaction
            .pragma_query_value(None, pragma, |row| row.get::<_, i32>(0))
            .map_err(wrong)
    };
    let (version, application) = (number("user_version")?, number("application_id")?);
    let tables: u32 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(wrong)?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0) {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "store.not_ours",
            "the file is the database of another program",
        )
        .with("path", path.display())
        .with_remedy("name another file"));
    }
    if version > newest {
        return Err(Error::new(
            ErrorKind::Refused,
            "store.newer",
            "a newer version of NeverStop has written the file",
        )
        .with("path", path.display())
        .with("schema", version)
        .with("known", newest)
        .with_remedy("use that version, or restore a backup from before it"));
    }
    if version < newest {
        let done = usize::try_from(version).unwrap_or(0);
        for step in STEPS.iter().skip(done) {
            transaction
                .execute_batch(step)
                .map_err(|e| failed("change its schema", e).with("path", path.display()))?;
        }
        transaction
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(wrong)?;
        transaction.pragma_update(None, "user_version", newest).map_err(wrong)?;
    }
    transaction.commit().map_err(wrong)
}
