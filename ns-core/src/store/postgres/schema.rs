//! The schema's numbered steps and how a database is brought up to date. A step that was released is never edited: databases
//! made by it exist. The table `neverstop_schema` counts the steps that a database has seen.

use super::{LOST, PostgresStore, again, failed};
use crate::{Error, ErrorKind, Result};
use tokio_postgres::{IsolationLevel, error::SqlState};

/// `{bytes}` stands for what makes the database compare texts by their bytes.
const STEPS: &[&str] = &[include_str!("0001_records_journals_leases.sql")];

const COUNTER: &str = "CREATE TABLE IF NOT EXISTS neverstop_schema (one INT8 PRIMARY KEY CHECK (one = 1), version INT8 NOT NULL); \
                       INSERT INTO neverstop_schema (one, version) VALUES (1, 0) ON CONFLICT (one) DO NOTHING";

pub(super) async fn migrate(store: &PostgresStore) -> Result<()> {
    // Of several engines that find a new database at once, one makes the table, and the others find it made.
    again(|| {
        Box::pin(async move {
            let made = store.connection().await?.batch_execute(COUNTER).await;
            made.map_err(|e| {
                // `IF NOT EXISTS` looks before it makes: who is overtaken in between hears that it is there after all, of the
                // table or of the type of the table's rows.
                let overtaken = [SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
                let met = e.code().is_some_and(|state| overtaken.contains(state));
                let told = failed("change its schema", e);
                if met {
                    Error::new(told.kind(), LOST, told.to_string())
                } else {
                    told
                }
            })
        })
    })
    .await?;
    again(|| Box::pin(step(store))).await
}

async fn step(store: &PostgresStore) -> Result<()> {
    let wrong = |e| failed("change its schema", e);
    let newest = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let mut connection = store.connection().await?;
    let start = connection
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted);
    let t = start.start().await.map_err(wrong)?;
    let row = t.query_one(
        "SELECT version, version() FROM neverstop_schema WHERE one = 1 FOR UPDATE",
        &[],
    );
    let row = row.await.map_err(wrong)?;
    let version: i64 = row.try_get(0).map_err(wrong)?;
    let product: String = row.try_get(1).map_err(wrong)?;
    if version > newest {
        return Err(Error::new(
            ErrorKind::Refused,
            "store.newer",
            "a newer version of NeverStop has written the database",
        )
        .with("schema", version)
        .with("known", newest)
        .with_remedy("use that version, or restore a backup from before it"));
    }
    if version == newest {
        return Ok(());
    }
    // CockroachDB compares by bytes anyway, and does not know the name for it.
    let bytes = if product.contains("CockroachDB") {
        ""
    } else {
        "COLLATE \"C\""
    };
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        t.batch_execute(&step.replace("{bytes}", bytes)).await.map_err(wrong)?;
    }
    t.execute("UPDATE neverstop_schema SET version = $1 WHERE one = 1", &[&newest])
        .await
        .map_err(wrong)?;
    t.commit().await.map_err(wrong)
}
