//! A process that is killed in the middle of its commits leaves a store that holds a gapless prefix of them, and in it
//! everything that was answered.
#![allow(clippy::unwrap_used)]

use futures::future::join_all;
use ns_core::model::JobId;
use ns_core::store::{JournalLine, SqliteStore, Store, Write};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const STORE: &str = "NEVERSTOP_TEST_STORE";
const JOBS: u64 = 8;

fn line(job: u64, position: u64) -> JournalLine {
    JournalLine {
        position,
        body: format!("{job}:{position}").repeat(20),
        hash: format!("{job:032x}{position:032x}"),
    }
}

fn counter(job: u64, position: u64) -> Write {
    Write::Put {
        kind: "job".into(),
        id: job.to_string(),
        expected: None,
        body: position.to_string(),
    }
}

/// Not a test of its own: the process that gets killed. It goes on where the store stands, and says what was answered.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let store = Arc::new(SqliteStore::open(Path::new(&path)).unwrap());
    let jobs = (0..JOBS).map(|job| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let id = JobId::new(job.to_string());
            let mut next = store.journal(&id, 1, usize::MAX).await.unwrap().len() as u64 + 1;
            loop {
                let append = Write::Append {
                    job: id.clone(),
                    lines: vec![line(job, next), line(job, next + 1)],
                };
                store.commit(vec![append, counter(job, next + 1)]).await.unwrap();
                next += 2;
                let mut out = std::io::stdout().lock();
                writeln!(out, "answered {job} {}", next - 1)
                    .and_then(|()| out.flush())
                    .unwrap();
            }
        })
    });
    join_all(jobs).await;
}

#[tokio::test]
async fn killed_in_mid_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut answered = BTreeMap::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(STORE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for text in lines.map_while(Result::ok) {
            let words: Vec<_> = text.split(' ').collect();
            let ["answered", job, position] = words[..] else {
                continue;
            };
            answered.insert(job.parse::<u64>().unwrap(), position.parse::<u64>().unwrap());
            seen += 1;
            if seen == 100 + 37 * round {
                child.kill().unwrap(); // SIGKILL: no destructor runs; what the pipe still holds was answered too
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(seen >= 100, "the child worked");
        whole(&path, &answered).await;
    }
}

async fn whole(path: &Path, answered: &BTreeMap<u64, u64>) {
    let store = SqliteStore::open(path).unwrap();
    for job in 0..JOBS {
        let lines = store
            .journal(&JobId::new(job.to_string()), 1, usize::MAX)
            .await
            .unwrap();
        let length = lines.len() as u64;
        assert!(
            lines.into_iter().eq((1..=length).map(|n| line(job, n))),
            "gapless and exact"
        );
        assert_eq!(length % 2, 0, "no half transaction");
        assert!(
            length >= answered.get(&job).copied().unwrap_or(0),
            "nothing that was answered is lost"
        );
        let record = store.get("job", &job.to_string()).await.unwrap();
        assert_eq!(
            record.map_or(0, |r| r.body.parse().unwrap()),
            length,
            "record and journal agree"
        );
    }
}
