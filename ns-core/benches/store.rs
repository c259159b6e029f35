//! What a durable commit costs, beside the least it can cost on this disk: appending as many bytes to a file and
//! flushing them. Absolute figures say more about the disk; the ratio printed last, measured in the same run, is ours.
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use futures::future::join_all;
use ns_core::model::JobId;
use ns_core::store::{JournalLine, MemoryStore, SqliteStore, Store, Write};
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const BODY: usize = 400;
const PRODUCERS: u64 = 64;

fn line(position: u64) -> Vec<JournalLine> {
    vec![JournalLine {
        position,
        body: "x".repeat(BODY),
        hash: "h".repeat(64),
    }]
}

/// A job's transition as the engine writes it: its record and one journal line.
async fn transition(store: &dyn Store, job: u64, position: u64) {
    let id = format!("job{job}");
    let append = Write::Append {
        job: JobId::new(id.clone()),
        lines: line(position),
    };
    let put = Write::Put {
        kind: "job".into(),
        id,
        expected: Some(position - 1),
        body: "x".repeat(BODY),
    };
    store.commit(vec![put, append]).await.unwrap();
}

fn raw(file: &mut File) {
    file.write_all(&[b'x'; BODY * 2 + 64]).unwrap();
    file.sync_data().unwrap();
}

/// `rounds` transitions of each of [`PRODUCERS`] jobs, all at once.
async fn producers(store: &Arc<SqliteStore>, first: u64, rounds: u64) {
    let tasks = (0..PRODUCERS).map(|job| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for position in first..first + rounds {
                transition(&*store, job, position).await;
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(|done| done.unwrap());
}

fn store(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Elements(1));

    let mut file = File::create(folder.path().join("raw")).unwrap();
    group.bench_function("raw append and fdatasync", |b| b.iter(|| raw(&mut file)));

    let one = SqliteStore::open(folder.path().join("one")).unwrap();
    let position = AtomicU64::new(1);
    group.bench_function("sqlite, one producer", |b| {
        b.iter(|| runtime.block_on(transition(&one, 0, position.fetch_add(1, Ordering::Relaxed))));
    });
    group.bench_function("sqlite, read a record", |b| {
        b.iter(|| runtime.block_on(one.get("job", "job0")).unwrap())
    });

    let many = Arc::new(SqliteStore::open(folder.path().join("many")).unwrap());
    let first = AtomicU64::new(1);
    group.throughput(Throughput::Elements(PRODUCERS));
    group.bench_function("sqlite, 64 producers", |b| {
        b.iter(|| runtime.block_on(producers(&many, first.fetch_add(1, Ordering::Relaxed), 1)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("memory, one producer", |b| {
        b.iter_batched(
            MemoryStore::new,
            |s| runtime.block_on(transition(&s, 0, 1)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
    ratio(&runtime);
}

/// Raw and grouped in turn, so that a disk whose mood changes treats both alike.
fn ratio(runtime: &Runtime) {
    const ROUNDS: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let mut file = File::create(folder.path().join("raw")).unwrap();
    let one = SqliteStore::open(folder.path().join("one")).unwrap();
    let many = Arc::new(SqliteStore::open(folder.path().join("many")).unwrap());
    let (mut plain, mut single, mut grouped) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let start = Instant::now();
        (0..PRODUCERS).for_each(|_| raw(&mut file));
        plain += start.elapsed();
        let start = Instant::now();
        for n in 1..=PRODUCERS {
            runtime.block_on(transition(&one, 0, round * PRODUCERS + n));
        }
        single += start.elapsed();
        let start = Instant::now();
        runtime.block_on(producers(&many, round * 4 + 1, 4));
        grouped += start.elapsed() / 4;
    }
    let per = |time: Duration| time.as_secs_f64() * 1e6 / (ROUNDS * PRODUCERS) as f64;
    println!(
        "ratio: raw {:.0} us, one producer {:.0} us = {:.2} x raw, 64 producers {:.0} us = {:.2} x raw per commit",
        per(plain),
        per(single),
        per(single) / per(plain),
        per(grouped),
        per(grouped) / per(plain),
    );
}

criterion_group!(benches, store);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
