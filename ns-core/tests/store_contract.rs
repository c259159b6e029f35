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
    let lease = async |name, owner, now, until| store.lease(name, owner, now, until).await.unwrap();
    assert_eq!(store.holder("l").await.unwrap(), None);
    assert_eq!(lease("l", "a", at(0), at(10)).await, Some(1));
    assert_eq!(lease("l", "b", at(9), at(30)).await, None, "held");
    assert_eq!(lease("other", "b", at(9), at(30)).await, Some(1));
    assert_eq!(lease("l", "a", at(9), at(20)).await, Some(1), "renewed");
    let holder = store.holder("l").await.unwrap().unwrap();
    assert_eq!((holder.owner.as_str(), holder.token, holder.until), ("a", 1, at(20)));
    assert_eq!(lease("l", "b", at(20) - 1.nanosecond(), at(30)).await, None);
    assert_eq!(lease("l", "b", at(20), at(30)).await, Some(2), "it ended");
    assert_eq!(
        lease("l", "a", at(21), at(40)).await,
        None,
        "and the old owner learns it"
    );
    store.release_lease("l", "a").await.unwrap();
    assert_eq!(
        lease("l", "a", at(21), at(40)).await,
        None,
        "who does not hold it cannot give it back"
    );
    assert_eq!(
        lease("l", "b", at(50), at(60)).await,
        Some(2),
        "late, but nobody had it in between"
    );
    store.release_lease("l", "b").await.unwrap();
    store.release_lease("l", "b").await.unwrap();
    assert_eq!(store.holder("l").await.unwrap(), None);
    let again = lease("l", "b", at(21), Timestamp::MAX).await.unwrap();
    assert!(again > 2, "given back and taken anew");
    assert_eq!(lease("l", "a", at(1_000_000), at(1_000_001)).await, None);
    let far = Timestamp::MIN;
    assert_eq!(lease("past", "a", far, far).await, Some(1));
    assert_eq!(lease("past", "b", far, at(0)).await, Some(2));
}

/// OPEN-24: a transaction under a lease fails as a whole once the lease has passed on or was given back, whatever time it is.
async fn fencing(store: &dyn Store) {
    let at = |s: i64| Timestamp::from_second(1_700_000_000 + s).unwrap();
    let held = |token| Write::Held {
        lease: "f".into(),
        token,
    };
    conflict(
        store,
        "store.lease",
        vec![held(1), put("f", "f", None, "nobody has it")],
    )
    .await;
    let first = store.lease("f", "a", at(0), at(10)).await.unwrap().unwrap();
    store
        .commit(vec![held(first), put("f", "f", None, "a"), append("f", [1])])
        .await
        .unwrap();
    conflict(store, "store.lease", vec![held(first + 1), append("f", [2])]).await;
    let second = store.lease("f", "b", at(10), at(20)).await.unwrap().unwrap();
    for stale in [
        vec![held(first), put("f", "f", None, "stale")],
        vec![put("f", "f", None, "stale"), append("f", [2]), held(first)],
        vec![held(first)],
    ] {
        conflict(store, "store.lease", stale).await;
    }
    assert_eq!(store.get("f", "f").await.unwrap().unwrap().body, "a");
    assert_eq!(positions(store, "f", 1, 9).await, [1]);
    store.commit(vec![append("f", [2]), held(second)]).await.unwrap();
    // An ended lease that nobody took still lets its owner write: only a new owner could be disturbed.
    store.commit(vec![held(second), append("f", [3])]).await.unwrap();
    store.release_lease("f", "b").await.unwrap();
    conflict(store, "store.lease", vec![held(second), append("f", [4])]).await;
    let third = store.lease("f", "a", at(0), at(9)).await.unwrap().unwrap();
    assert!(third > second, "a token never comes again");
    conflict(store, "store.lease", vec![held(first), held(third)]).await;
    store.commit(vec![held(third), append("f", [4])]).await.unwrap();
}

/// While a lease goes from hand to hand, everybody writes under the token it had: what is written is in the order of the
/// tokens, so nobody wrote after the next had begun.
async fn fenced_race(store: &Arc<dyn Store>) {
    let now = Timestamp::UNIX_EPOCH;
    let takers = (0..8_u64).map(|n| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let (mut written, mut refused) = (0, 0);
            for _ in 0..10 {
                // Each lease has ended when it is taken, so anybody may take it at any time.
                let Some(token) = store.lease("hot", &n.to_string(), now, now).await.unwrap() else {
                    continue;
                };
                for _ in 0..3 {
                    let next = store.journal(&"hot".into(), 1, usize::MAX).await.unwrap().len() as u64 + 1;
                    let line = JournalLine {
                        position: next,
                        body: token.to_string(),
                        hash: String::new(),
                    };
                    let append = Write::Append {
                        job: "hot".into(),
                        lines: vec![line],
                    };
                    let held = Write::Held {
                        lease: "hot".into(),
                        token,
                    };
                    match store.commit(vec![held, append]).await {
                        Ok(()) => written += 1,
                        Err(e) if e.kind() == ErrorKind::Conflict => refused += 1,
                        Err(e) => panic!("{e}"),
                    }
                }
            }
            (written, refused)
        })
    });
    let ends: Vec<_> = join_all(takers).await.into_iter().map(Result::unwrap).collect();
    let lines = store.journal(&"hot".into(), 1, usize::MAX).await.unwrap();
    let tokens: Vec<u64> = lines.iter().map(|l| l.body.parse().unwrap()).collect();
    assert!(tokens.is_sorted(), "{tokens:?}");
    assert_eq!(tokens.len(), ends.iter().map(|e| e.0).sum::<usize>());
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
            .filter(|r| r.as_ref().unwrap().is_some())
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
    fencing(&*new().await).await;
    races(&new().await).await;
    fenced_race(&new().await).await;
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

/// On a database that is there for nothing else: every call of `new` begins with one that is empty.
#[cfg(feature = "postgres")]
mod postgres {
    use super::*;
    use ns_core::store::{PostgresOptions, PostgresStore};
    use secrecy::SecretString;

    /// Where the database is; without it these tests have nothing to run on and say so. `cargo xtask takeover` sets it.
    const URL: &str = "NEVERSTOP_TEST_POSTGRES";

    fn url() -> Option<String> {
        let url = std::env::var(URL).ok();
        if url.is_none() {
            println!("{URL} is not set: the PostgreSQL store is not tested here");
        }
        url
    }

    async fn connect(url: &str) -> PostgresStore {
        PostgresStore::connect(&SecretString::from(url), &PostgresOptions::default())
            .await
            .unwrap()
    }

    async fn sql(url: &str, statements: &str) -> std::result::Result<(), tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let done = client.batch_execute(statements).await;
        drop(client);
        connection.await.unwrap()?;
        done
    }

    const EMPTY: &str = "DROP TABLE IF EXISTS neverstop_record, neverstop_journal, neverstop_lease, neverstop_schema";

    /// One test, because they share the database.
    #[tokio::test(flavor = "multi_thread")]
    async fn postgres_store() {
        let Some(url) = url() else { return };
        suite(async || {
            sql(&url, EMPTY).await.unwrap();
            Arc::new(connect(&url).await) as Arc<dyn Store>
        })
        .await;
        many_open_a_new_database(&url).await;
        keeps_what_it_answered(&url).await;
        a_stalled_transaction_lets_go(&url).await;
        says_why_it_cannot_open(&url).await;
    }

    async fn many_open_a_new_database(url: &str) {
        // The ways in which they can overtake each other are many, and some are rare.
        for _ in 0..20 {
            sql(url, EMPTY).await.unwrap();
            let opened = join_all((0..8).map(|_| connect(url))).await;
            for (n, store) in opened.iter().enumerate() {
                store.commit(vec![put("o", &n.to_string(), Some(0), "")]).await.unwrap();
            }
            assert_eq!(opened[0].list("o", None, 99).await.unwrap().len(), 8);
        }
    }

    async fn keeps_what_it_answered(url: &str) {
        let (one, other) = (connect(url).await, connect(url).await);
        one.commit(vec![put("k", "k", None, "bytes ' \\ 한글"), append("k", 1..=3)])
            .await
            .unwrap();
        other.commit(vec![append("k", [4])]).await.unwrap();
        conflict(&one, "store.position", vec![append("k", [4])]).await;
        drop((one, other));
        let store = connect(url).await;
        assert_eq!(store.get("k", "k").await.unwrap().unwrap().body, "bytes ' \\ 한글");
        assert_eq!(positions(&store, "k", 1, 9).await, [1, 2, 3, 4]);
    }

    /// Whoever is stopped in the middle of a commit keeps nobody from taking its lease.
    async fn a_stalled_transaction_lets_go(url: &str) {
        let options = PostgresOptions {
            stall_limit: std::time::Duration::from_millis(300),
            ..Default::default()
        };
        let store = PostgresStore::connect(&SecretString::from(url), &options)
            .await
            .unwrap();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(store.lease("stall", "a", now, now).await.unwrap(), Some(1));
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        // As the store does it, and then nothing more.
        let begin = "SET idle_in_transaction_session_timeout = 300; BEGIN; \
                     SELECT token FROM neverstop_lease WHERE name = 'stall' FOR UPDATE";
        client.batch_execute(begin).await.unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(store.lease("stall", "b", now, now).await.unwrap(), Some(2));
        assert!(begun.elapsed().as_secs() < 5);
        assert!(client.batch_execute("COMMIT").await.is_err(), "its transaction is gone");
    }

    async fn says_why_it_cannot_open(url: &str) {
        sql(url, "UPDATE neverstop_schema SET version = 99").await.unwrap();
        let open = async |url: &str, options: &PostgresOptions| {
            let error = PostgresStore::connect(&SecretString::from(url), options)
                .await
                .unwrap_err();
            let all = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
            assert!(!all.contains("s3cret"), "the password is in {all}");
            (error.kind(), error.code().to_owned())
        };
        let usual = PostgresOptions::default();
        assert_eq!(open(url, &usual).await, (ErrorKind::Refused, "store.newer".into()));
        sql(url, EMPTY).await.unwrap();
        let nobody = "host=127.0.0.1 port=1 user=u password=s3cret";
        assert_eq!(open(nobody, &usual).await.0, ErrorKind::Unavailable);
        for wrong in ["postgres://u:s3cret@h:port/db", "host=h password=x s3cret=y", "s3cret"] {
            assert_eq!(
                open(wrong, &usual).await,
                (ErrorKind::Invalid, "store.options".into()),
                "{wrong}"
            );
        }
        let no_such = format!("{url} password=s3cret dbname=nothing");
        assert_eq!(
            open(&no_such, &usual).await,
            (ErrorKind::Unavailable, "store.open".into())
        );
        let bad_ca = PostgresOptions {
            ca: Some("s3cret".into()),
            ..Default::default()
        };
        assert_eq!(open(nobody, &bad_ca).await.0, ErrorKind::Invalid);
        let store = connect(&format!("{url} password=s3cret")).await;
        assert!(!format!("{store:?}").contains("s3cret"));
    }
}

/// A file of the first schema, with leases without tokens, is taken over: who held one goes on with it.
#[tokio::test]
async fn sqlite_files_of_the_first_schema_are_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../src/store/migrations/0001_records_and_journals.sql"))
        .unwrap();
    old.execute_batch(
        "INSERT INTO lease VALUES ('l', 'a', 9000000000); PRAGMA user_version = 1; PRAGMA application_id = 1316377460",
    )
    .unwrap();
    drop(old);
    let store = SqliteStore::open(&path).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(store.lease("l", "b", now, now + 1.second()).await.unwrap(), None);
    assert_eq!(store.lease("l", "a", now, now + 1.second()).await.unwrap(), Some(1));
    assert_eq!(
        store
            .lease("l", "b", now + 1.second(), now + 2.seconds())
            .await
            .unwrap(),
        Some(2)
    );
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
