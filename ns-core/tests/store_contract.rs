//! The promises of the store port, kept by every store: one suite, run on each.
#![allow(clippy::unwrap_used)]

use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use ns_core::ErrorKind;
use ns_core::model::JobId;
use ns_core::store::{BreakWhen, JournalLine, MemoryStore, SqliteStore, Store, Write};
use std::path::Path;
use std::sync::Arc;

fn put(kind: &str, id: &str, expected: Option<u64>, body: &str) -> Write {
    Write::Put {
        kind: kind.into(),
        id: id.into(),
        expected,
        body: body.into(),
    }
}

fn remove(kind: &str, id: &str) -> Write {
    Write::Remove {
        kind: kind.into(),
        id: id.into(),
    }
}

fn line(position: u64) -> JournalLine {
    JournalLine {
        position,
        body: format!("{{\"n\":{position}}}"),
        hash: format!("{position:064x}"),
    }
}

fn append(job: &str, positions: impl IntoIterator<Item = u64>) -> Write {
    Write::Append {
        job: job.into(),
        lines: positions.into_iter().map(line).collect(),
    }
}

async fn positions(store: &dyn Store, job: &str, from: u64, limit: usize) -> Vec<u64> {
    let lines = store.journal(&JobId::from(job), from, limit).await.unwrap();
    lines.iter().for_each(|l| assert_eq!(*l, line(l.position)));
    lines.iter().map(|l| l.position).collect()
}

async fn conflict(store: &dyn Store, code: &str, writes: Vec<Write>) {
    let error = store.commit(writes).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, code), "{error}");
}

async fn records(store: &dyn Store) {
    assert_eq!(store.get("plan", "a").await.unwrap(), None);
    store.commit(vec![put("plan", "a", Some(0), "1")]).await.unwrap();
    store.commit(vec![put("plan", "a", Some(1), "2")]).await.unwrap();
    store
        .commit(vec![put("plan", "a", None, "3"), put("plan", "new", None, "n")])
        .await
        .unwrap();
    let record = store.get("plan", "a").await.unwrap().unwrap();
    assert_eq!(
        (
            record.kind.as_str(),
            record.id.as_str(),
            record.version,
            record.body.as_str()
        ),
        ("plan", "a", 3, "3")
    );
    assert_eq!(store.get("plan", "new").await.unwrap().unwrap().version, 1);
    assert_eq!(store.get("group", "a").await.unwrap(), None, "kinds do not mix");

    conflict(store, "store.version", vec![put("plan", "a", Some(0), "exists")]).await;
    conflict(store, "store.version", vec![put("plan", "a", Some(2), "stale")]).await;
    conflict(store, "store.version", vec![put("plan", "b", Some(1), "missing")]).await;
    assert_eq!(store.get("plan", "a").await.unwrap().unwrap().body, "3");

    store
        .commit(vec![remove("plan", "a"), remove("plan", "never was")])
        .await
        .unwrap();
    assert_eq!(store.get("plan", "a").await.unwrap(), None);
    store.commit(vec![put("plan", "a", Some(0), "again")]).await.unwrap();
    assert_eq!(store.get("plan", "a").await.unwrap().unwrap().version, 1);
    // Later writes of a transaction see earlier ones.
    store
        .commit(vec![
            put("x", "x", Some(0), "1"),
            put("x", "x", Some(1), "2"),
            remove("x", "x"),
        ])
        .await
        .unwrap();
    assert_eq!(store.get("x", "x").await.unwrap(), None);
    store.commit(vec![]).await.unwrap();
}

async fn lists(store: &dyn Store) {
    let ids = ["", "a", "a#1", "b", "나", "z"];
    store
        .commit(ids.iter().rev().map(|id| put("l", id, Some(0), id)).collect())
        .await
        .unwrap();
    store.commit(vec![put("other", "a", Some(0), "")]).await.unwrap();
    let list = async |after: Option<&str>, limit| {
        let found = store.list("l", after, limit).await.unwrap();
        found
            .into_iter()
            .map(|r| {
                assert_eq!(r.id, r.body);
                r.id
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(None, 99).await,
        ["", "a", "a#1", "b", "z", "나"],
        "in the order of their bytes"
    );
    assert_eq!(list(Some(""), 2).await, ["a", "a#1"]);
    assert_eq!(list(Some("a#1"), usize::MAX).await, ["b", "z", "나"]);
    assert_eq!(list(Some("aa"), 1).await, ["b"], "the id to go on after need not exist");
    assert!(list(Some("나"), 9).await.is_empty());
    assert!(list(None, 0).await.is_empty());
    assert!(store.list("nothing", None, 9).await.unwrap().is_empty());
}

async fn journals(store: &dyn Store) {
    assert!(positions(store, "j", 1, 9).await.is_empty());
    store
        .commit(vec![append("j", [1]), append("j", [2, 3]), append("k", [1])])
        .await
        .unwrap();
    store.commit(vec![append("j", [])]).await.unwrap();
    store.commit(vec![append("j", 4..=10)]).await.unwrap();
    assert_eq!(positions(store, "j", 1, usize::MAX).await, (1..=10).collect::<Vec<_>>());
    assert_eq!(positions(store, "j", 0, 2).await, [1, 2]);
    assert_eq!(positions(store, "j", 9, 9).await, [9, 10]);
    assert_eq!(positions(store, "j", 4, 3).await, [4, 5, 6]);
    assert!(positions(store, "j", 11, 9).await.is_empty());
    assert!(positions(store, "j", u64::MAX, 9).await.is_empty());
    assert_eq!(positions(store, "k", 1, 9).await, [1]);
    for wrong in [vec![10], vec![12], vec![0], vec![11, 13], vec![11, 11], vec![u64::MAX]] {
        conflict(store, "store.position", vec![append("j", wrong)]).await;
    }
    conflict(store, "store.position", vec![append("fresh", [2])]).await;
    assert_eq!(
        positions(store, "j", 10, 9).await,
        [10],
        "a refused line leaves nothing"
    );
    assert!(positions(store, "fresh", 1, 9).await.is_empty());
}

async fn transactions(store: &dyn Store) {
    store
        .commit(vec![put("t", "kept", None, "before"), append("t", [1])])
        .await
        .unwrap();
    let all_but_the_last_are_fine = |last: Write| {
        vec![
            put("t", "kept", Some(1), "after"),
            put("t", "new", None, ""),
            remove("t", "kept"),
            append("t", [2, 3]),
            last,
        ]
    };
    conflict(
        store,
        "store.version",
        all_but_the_last_are_fine(put("t", "absent", Some(7), "")),
    )
    .await;
    conflict(store, "store.position", all_but_the_last_are_fine(append("t", [3]))).await;
    conflict(store, "store.position", all_but_the_last_are_fine(append("t", [4, 6]))).await;
    let kept = store.get("t", "kept").await.unwrap().unwrap();
    assert_eq!((kept.version, kept.body.as_str()), (1, "before"));
    assert_eq!(store.get("t", "new").await.unwrap(), None);
    assert_eq!(positions(store, "t", 1, 9).await, [1]);
    store.commit(all_but_the_last_are_fine(append("t", [4]))).await.unwrap();
    assert_eq!(positions(store, "t", 1, 9).await, [1, 2, 3, 4]);
}

async fn leases(store: &dyn Store) {
    let at = |s: i64| Timestamp::from_second(1_700_000_000 + s).unwrap();
    assert!(store.lease("l", "a", at(0), at(10)).await.unwrap());
    assert!(!store.lease("l", "b", at(9), at(30)).await.unwrap(), "held");
    assert!(store.lease("other", "b", at(9), at(30)).await.unwrap());
    assert!(store.lease("l", "a", at(9), at(20)).await.unwrap(), "renewed");
    assert!(!store.lease("l", "b", at(20) - 1.nanosecond(), at(30)).await.unwrap());
    assert!(store.lease("l", "b", at(20), at(30)).await.unwrap(), "it ended");
    assert!(
        !store.lease("l", "a", at(21), at(40)).await.unwrap(),
        "and the old owner learns it"
    );
    store.release_lease("l", "a").await.unwrap();
    assert!(
        !store.lease("l", "a", at(21), at(40)).await.unwrap(),
        "who does not hold it cannot give it back"
    );
    store.release_lease("l", "b").await.unwrap();
    store.release_lease("l", "b").await.unwrap();
    assert!(store.lease("l", "a", at(21), Timestamp::MAX).await.unwrap());
    assert!(!store.lease("l", "b", at(1_000_000), at(1_000_001)).await.unwrap());
    let far = Timestamp::MIN;
    assert!(store.lease("past", "a", far, far).await.unwrap() && store.lease("past", "b", far, at(0)).await.unwrap());
}

/// Of many who write the same expectation one wins, whatever the store does to run them together.
async fn races(store: &Arc<dyn Store>) {
    store.commit(vec![put("race", "r", Some(0), "")]).await.unwrap();
    for round in 1..=20_u64 {
        let tries = (0..16).map(|n| {
            let store = Arc::clone(store);
            let writes = vec![put("race", "r", Some(round), &n.to_string()), append("race", [round])];
            tokio::spawn(async move { store.commit(writes).await })
        });
        let results: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
        assert!(
            results
                .iter()
                .filter_map(|r| r.as_ref().err())
                .all(|e| e.kind() == ErrorKind::Conflict)
        );
    }
    assert_eq!(positions(&**store, "race", 1, 99).await.len(), 20);
    let now = Timestamp::UNIX_EPOCH;
    let takers = (0..16).map(|n| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            store
                .lease("race", &n.to_string(), now, now + 1.second())
                .await
                .unwrap()
        })
    });
    assert_eq!(
        join_all(takers)
            .await
            .into_iter()
            .filter(|r| *r.as_ref().unwrap())
            .count(),
        1
    );
}

async fn suite(new: impl AsyncFn() -> Arc<dyn Store>) {
    records(&*new().await).await;
    lists(&*new().await).await;
    journals(&*new().await).await;
    transactions(&*new().await).await;
    leases(&*new().await).await;
    races(&new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_store() {
    suite(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_store() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    suite(async || {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(SqliteStore::open(folder.path().join(n.to_string())).unwrap()) as Arc<dyn Store>
    })
    .await;
}

/// The promises of single-threaded runtimes with a paused clock: neither store waits for it.
#[tokio::test(start_paused = true)]
async fn sqlite_under_a_paused_clock() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("s")).unwrap();
    let before = tokio::time::Instant::now();
    journals(&store).await;
    assert_eq!(before, tokio::time::Instant::now());
}

#[tokio::test]
async fn memory_breaks_where_it_is_told() {
    let write = || vec![put("a", "a", None, "")];
    let version = async |store: &MemoryStore| store.get("a", "a").await.unwrap().map_or(0, |r| r.version);

    let store = MemoryStore::new();
    store.fail_commit(2, BreakWhen::Before);
    store.commit(write()).await.unwrap();
    assert_eq!(store.commit(write()).await.unwrap_err().code(), "store.injected");
    assert_eq!(version(&store).await, 1);
    store.commit(write()).await.unwrap();
    store.fail_commit(1, BreakWhen::After);
    assert_eq!(store.commit(write()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((version(&store).await, store.commits()), (3, 4));

    store.die_at_commit(2, BreakWhen::After);
    store.commit(write()).await.unwrap();
    assert!(store.commit(write()).await.is_err() && store.is_dead());
    assert!(store.commit(write()).await.is_err() && store.get("a", "a").await.is_err());
    let now = Timestamp::UNIX_EPOCH;
    assert!(store.lease("l", "o", now, now).await.is_err() && store.release_lease("l", "o").await.is_err());
    assert!(store.list("a", None, 1).await.is_err() && store.journal(&"j".into(), 1, 1).await.is_err());
    store.revive();
    assert_eq!(version(&store).await, 5, "what was written before the death is there");
    store.commit(write()).await.unwrap();
}

#[tokio::test]
async fn sqlite_keeps_what_it_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = SqliteStore::open(&path).unwrap();
    store
        .commit(vec![put("a", "a", None, "bytes \u{0} 한글"), append("j", 1..=3)])
        .await
        .unwrap();
    // Two stores on one file see each other's writes: several processes may share it.
    let second = SqliteStore::open(&path).unwrap();
    second.commit(vec![append("j", [4])]).await.unwrap();
    assert_eq!(positions(&store, "j", 1, 9).await, [1, 2, 3, 4]);
    conflict(&store, "store.position", vec![append("j", [4])]).await;
    drop((store, second));
    assert!(
        !folder.path().join("s-wal").exists(),
        "closed when the last one is dropped"
    );
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.get("a", "a").await.unwrap().unwrap().body, "bytes \u{0} 한글");
    assert_eq!(positions(&store, "j", 1, 9).await, [1, 2, 3, 4]);
    assert!(format!("{store:?}").contains("SqliteStore"));
}

#[cfg(unix)]
#[tokio::test]
async fn sqlite_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    store.commit(vec![put("a", "a", None, "")]).await.unwrap();
    for name in ["s", "s-wal", "s-shm"] {
        let mode = std::fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn refused(path: &Path) -> ns_core::Error {
    let error = SqliteStore::open(path).unwrap_err();
    let named = error
        .context()
        .iter()
        .any(|(key, value)| key == "path" && value == path.to_str().unwrap());
    assert!(named && error.remedy().is_some(), "names path and remedy: {error}");
    error
}

#[test]
fn sqlite_says_why_it_cannot_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let code = |name: &str| {
        let e = refused(&path(name));
        (e.kind(), e.code().to_owned())
    };

    assert_eq!(code("no/such/folder"), (ErrorKind::Unavailable, "store.open".into()));
    assert_eq!(refused(folder.path()).code(), "store.open");

    std::fs::write(path("text"), "this is a letter, and no database at all. ".repeat(100)).unwrap();
    assert_eq!(code("text"), (ErrorKind::Corrupt, "store.not_ours".into()));

    let other = rusqlite::Connection::open(path("other")).unwrap();
    other.execute_batch("CREATE TABLE customers (name TEXT)").unwrap();
    assert_eq!(code("other"), (ErrorKind::Corrupt, "store.not_ours".into()));
    let tables: u32 = other
        .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
        .unwrap();
    assert_eq!(tables, 1, "left alone");

    drop(SqliteStore::open(path("newer")).unwrap());
    let newer = rusqlite::Connection::open(path("newer")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    assert_eq!(code("newer"), (ErrorKind::Refused, "store.newer".into()));
    assert!(refused(&path("newer")).to_string().contains("99"));
}

/// Reads do not wait for writes: more of them than there are connections, while the writer is busy.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_reads_beside_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(folder.path().join("s")).unwrap());
    store.commit(vec![put("a", "a", None, "")]).await.unwrap();
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for n in 1..=50 {
                store
                    .commit(vec![append("j", [n]), put("a", "a", Some(n), "")])
                    .await
                    .unwrap();
            }
        }
    });
    let readers = (0..32).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut last = 0;
            for _ in 0..20 {
                let version = store.get("a", "a").await.unwrap().unwrap().version;
                assert!(version >= last, "never back in time");
                last = version;
            }
        })
    });
    join_all(readers).await.into_iter().for_each(|r| r.unwrap());
    writer.await.unwrap();
    assert_eq!(store.get("a", "a").await.unwrap().unwrap().version, 51);
}

/// A locked file is an error with a remedy, not a wait without end, and the store works again after it.
#[tokio::test]
async fn sqlite_locked_by_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = SqliteStore::open(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.commit(vec![put("a", "a", None, "")]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "store.io"));
    assert!(error.remedy().unwrap().contains("locked"));
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(vec![put("a", "a", Some(0), "")]).await.unwrap();
}
