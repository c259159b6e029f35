//! What is told of an engine: health, metrics, and the bundle for support.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use flate2::read::GzDecoder;
use life_kit::World;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use ns_core::engine::METRICS;
use ns_core::model::{
    Actor, ConnectionSettings, FindingSeverity, HealthReport, JobOperation, ReplicationMode, UserRole,
};
use ns_core::ports::{Clock, SequentialIds};
use ns_core::sealing::{FixedKeys, HostKey, Secrets};
use ns_core::session::{ClusterRequest, Connection, HalfConnection, JobRequest};
use ns_core::sim::{Effect, Fault, Part, SimClock, SimWorld};
use ns_core::store::MemoryStore;
use ns_core::{Engine, ErrorKind};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

fn codes(report: &HealthReport) -> Vec<&str> {
    report.findings.iter().map(|f| f.code.as_str()).collect()
}

/// OPS-30, OPS-31, OPS-32, OPS-35, OPS-36, OPS-39: one call tells what is wrong, where, and what to do; nothing when all is well.
#[tokio::test]
async fn ops_30_health_tells_what_is_wrong() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let session = world.session();
    // The watch goes on telling events.
    let puts = || {
        let puts = world.store.puts();
        puts.iter()
            .filter(|(kind, ..)| !kind.starts_with("event") && kind != "condition")
            .count()
    };
    let before = puts();
    let well = session.health().report().await.unwrap();
    assert_eq!((codes(&well), well.worst), (vec![], None));
    assert_eq!((well.clusters.len(), well.groups.len()), (2, 1));
    assert!(
        well.clusters
            .iter()
            .all(|c| c.cloud_answers && c.storage_answers && !c.peers.is_empty())
    );
    assert!(well.groups[0].point_age_seconds.is_some());

    world.sim.mirror_daemon("b", false);
    let found = session.health().report().await.unwrap();
    assert!(codes(&found).contains(&"cluster.replication_unhealthy"), "{found:?}");
    assert_eq!(found.worst, Some(FindingSeverity::Critical));
    world.sim.mirror_daemon("b", true);

    world.sim.isolate("a");
    let found = session.health().report().await.unwrap();
    assert_eq!(
        codes(&found),
        ["cluster.cloud_unreachable", "cluster.storage_unreachable"]
    );
    assert!(
        found
            .findings
            .iter()
            .all(|f| f.about == "cluster" && f.message.contains("site-a"))
    );
    world.sim.revive("a");
    assert_eq!(puts(), before, "looking changed something");

    let job = session.jobs().create(JobRequest::failover(group, plan)).await.unwrap();
    world.succeeded(&job).await;
    let found = session.health().report().await.unwrap();
    let waits = found
        .findings
        .iter()
        .find(|f| f.code == "job.awaits_decision")
        .expect("a failover waits");
    assert_eq!(
        (waits.id.as_str(), waits.severity),
        (job.as_str(), FindingSeverity::Info)
    );
    world.engine.shutdown().await;
    world.clock.sleep(Duration::from_secs(60)).await;
    let found = session.health().report().await.unwrap();
    assert!(codes(&found).contains(&"job.nobody_runs_it"), "{found:?}");

    // Of what is not theirs somebody else learns nothing.
    let stranger = world
        .engine
        .session(Actor::member("otto", UserRole::Manager, ["other".into()]));
    let theirs = stranger.health().report().await.unwrap();
    assert_eq!(
        (theirs.clusters.len(), theirs.groups.len(), codes(&theirs)),
        (0, 0, vec![])
    );
}

/// OPS-30: every metric that an engine has is of the table, with its labels, and counts what happened.
#[tokio::test]
async fn ops_30_metrics_count_what_happened() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let drill = JobRequest::drill(group, plan);
    let drill = world.session().jobs().create(drill).await.unwrap();
    world.succeeded(&drill).await;
    world.operate(&drill, JobOperation::Rollback).await;
    world.clock.sleep(Duration::from_secs(61)).await;

    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let key = key.key();
        let metric = METRICS
            .iter()
            .find(|m| m.name == key.name())
            .expect("a metric of the table");
        let labels: BTreeMap<_, _> = key.labels().map(|l| (l.key(), l.value())).collect();
        assert_eq!(
            labels.keys().copied().collect::<BTreeSet<_>>(),
            metric.labels.iter().copied().collect()
        );
        seen.insert(metric.name);
        if let DebugValue::Histogram(values) = value {
            assert!(values.iter().all(|v| v.0 >= 0.0));
            let what = labels
                .get("type")
                .or(labels.get("kind"))
                .or(labels.get("verb"))
                .copied();
            let of = (key.name().to_owned(), what.unwrap_or_default().to_owned());
            *counts.entry(of).or_default() += values.len();
        }
    }
    let count = |name: &str, what: &str| counts.get(&(name.to_owned(), what.to_owned())).copied().unwrap_or(0);
    assert_eq!(count("neverstop_job_seconds", "drill"), 1);
    assert_eq!(count("neverstop_job_seconds", "protect"), 1);
    assert!(count("neverstop_task_seconds", "server") >= 1, "{counts:?}");
    assert!(count("neverstop_provider_call_seconds", "create") >= 1);
    assert!(count("neverstop_store_commit_seconds", "") > 10);
    let unseen: Vec<_> = METRICS.iter().map(|m| m.name).filter(|n| !seen.contains(n)).collect();
    assert_eq!(unseen, ["neverstop_leases_lost_total"], "nobody took a job here");
}

/// The files of a bundle.
fn unpack(bytes: &[u8]) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    let read = |entry: std::io::Result<tar::Entry<'_, GzDecoder<&[u8]>>>| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), text)
    };
    archive.entries().unwrap().map(read).collect()
}

/// OPS-38, OPS-39: all that support needs, with a manifest whose digests are right; an Admin's alone.
#[tokio::test]
async fn ops_38_a_bundle_has_what_it_says() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let drill = JobRequest::drill(group, plan);
    let drill = world.session().jobs().create(drill).await.unwrap();
    world.succeeded(&drill).await;
    let bundle = world.session().support().bundle().await.unwrap();
    assert!(bundle.file_name.starts_with("neverstop_2026-") && bundle.file_name.ends_with(".tar.gz"));
    let files = unpack(&bundle.bytes);
    assert_eq!(files[0].0, "manifest.json");
    let manifest: serde_json::Value = serde_json::from_str(&files[0].1).unwrap();
    assert_eq!(manifest, serde_json::to_value(&bundle.manifest).unwrap());
    assert_eq!(bundle.manifest.files.len(), files.len() - 1);
    for (listed, (name, text)) in bundle.manifest.files.iter().zip(&files[1..]) {
        let digest: String = Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            (&listed.name, listed.bytes, &listed.sha256),
            (name, text.len() as u64, &digest)
        );
        assert!(
            text.lines()
                .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        );
    }
    let text = |name: &str| {
        &files
            .iter()
            .find(|(n, _)| n == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .1
    };
    assert!(text("jobs.jsonl").contains(drill.as_str()));
    assert!(text(&format!("journals/{drill}.jsonl")).lines().count() > 10);
    assert!(text("clusters.jsonl").contains("\"server\":1") || text("clusters.jsonl").contains("\"instance\":1"));
    assert!(text("health.json").contains("site-a") && text("settings.json").contains("\"lease\":30"));
    let removed: Vec<_> = files
        .iter()
        .flat_map(|(_, text)| text.lines())
        .filter(|l| l.contains("[removed]"))
        .collect();
    assert_eq!(
        bundle.manifest.secrets_removed, 0,
        "nothing was taken for a secret: {removed:?}"
    );

    let manager = world
        .engine
        .session(Actor::member("mina", UserRole::Manager, ["ops".into()]));
    let denied = manager.support().bundle().await.unwrap_err();
    assert_eq!((denied.kind(), denied.code()), (ErrorKind::Denied, "access.role"));
}

/// SEC-23: secrets that a world knows, also where a service repeats them in its own words or an operator types them, are in no
/// file of the bundle.
#[tokio::test]
async fn sec_23_no_secret_leaves_in_a_bundle() {
    let clock = SimClock::new();
    let sim = SimWorld::new(Arc::new(clock.clone()), 7);
    sim.sample_group(1).unwrap();
    let connector = Arc::new(sim.connector());
    let store = Arc::<MemoryStore>::default();
    let engine = Engine::builder(store)
        .clock(Arc::new(clock.clone()))
        .ids(Arc::new(SequentialIds::default()))
        .cloud_connector(connector.clone())
        .storage_connector(connector)
        .key_source(Arc::new(FixedKeys::new(HostKey::new("key-1", &[1; 32]))))
        .build()
        .unwrap();
    let session = engine.session(Actor::admin("anna"));
    let half = |kind: &str| HalfConnection {
        kind: kind.into(),
        settings: ConnectionSettings::new().with("site", "a"),
        secrets: Secrets::new().with("password", "horse-17"),
    };
    let connection = Connection {
        cloud: half("simulated"),
        storage: half("sim-rbd"),
    };
    // What is not a secret by its looks, and is by its value.
    let request = ClusterRequest {
        name: "seoul".into(),
        owner_group_id: "ops".into(),
        note: "the horse-17 of the stable".into(),
    };
    let cluster = session.clusters().add(request, connection).await.unwrap();
    // What an instance is given at first boot, where nobody sees a secret by its looks.
    sim.edit("a", |inventory| {
        let instance = inventory.instances.values_mut().next().unwrap();
        instance.user_data = Some("aG9yc2UtMTc=".into());
    });
    session.clusters().sync(&cluster.id).await.unwrap();
    let refuse = Fault::new("a", Part::Cloud, Effect::Error(ErrorKind::Denied)).verb("inventory");
    sim.faults().inject(refuse);
    let _ = session.clusters().sync(&cluster.id).await;
    let bundle = session.support().bundle().await.unwrap();
    let files = unpack(&bundle.bytes);
    assert!(bundle.manifest.secrets_removed > 0);
    for (name, text) in &files {
        for secret in ["horse-17", "aG9yc2UtMTc", "ciphertext", "sealed"] {
            assert!(!text.contains(secret), "{secret} is in {name}: {text}");
        }
    }
    for expected in ["the [removed] of the stable", "\"user_data\":\"[removed]\""] {
        assert!(
            files.iter().any(|(_, text)| text.contains(expected)),
            "{expected}: {files:?}"
        );
    }
}
