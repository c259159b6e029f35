//! What earlier versions wrote is read by this one: `ns-core/tests/corpus` keeps journals and documents that the engine wrote
//! when it played the reference jobs, one folder for each time the stored form changed. Every journal must verify line by line,
//! lose nothing when it is read, and fold to the state that is kept beside it; every document must be read without loss. An event
//! or a document of a kind that no file has fails the test.
//!
//! When something new is stored (an event, a document, a field that matters), add a folder:
//! `NEVERSTOP_CORPUS=v2 cargo test -p ns-tests --test corpus -- --ignored`, look at what it wrote, and commit what is new in it.
//! An old folder is never made again nor edited: it stands for the stores that are out there. When this test fails on one, the
//! new version cannot read what customers have: give the new field a default, or read the old form.

mod life_kit;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use life_kit::{Recorder, World};
use ns_core::engine::{DOCUMENTS, LogLevel, SettingsUpdate, reread};
use ns_core::journal::{Event, JobView, verify};
use ns_core::license::{LicensePolicy, LicensePublicKey, PRODUCT, payload, sealed};
use ns_core::model::{
    ClusterId, ConnectionSettings, DayOfMonth, EventArea, EventCode, ExecutionType, ForceRight, GroupId, Half, JobId,
    JobOperation, JobState, JobSummary, KeyReference, Language, LicenseClaims, ProductUuid, Query, Recurrence,
    ReplicationMode, ResultCode, Severity, SnapshotInterval, Timetable, UserRole, WeekOfMonth, Weekday,
};
use ns_core::ports::{Clock, Message, SequentialIds, Sink};
use ns_core::report::RecoveryReport;
use ns_core::sealing::{FixedKeys, HostKey, Secrets};
use ns_core::session::{
    ClusterRequest, Connection, GroupUpdate, HalfConnection, JobRequest, OperationRequest, ReprotectRequest,
    ScheduleRequest, SubscriptionRequest, UserGroupRequest, UserRequest, UserUpdate, VolumeMetadataRequest,
};
use ns_core::sim::{Effect, Fault, Part, SimClock, SimWorld};
use ns_core::store::{JournalLine, Store};
use ns_core::{Actor, Engine, Error, ErrorKind, Settings};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ns-core/tests/corpus")
}

/// What a journal says, as far as it is kept beside it.
fn state(view: &JobView, hash: &str) -> Value {
    let phases: Vec<Value> = view
        .phases
        .iter()
        .map(|p| json!({"kind": p.kind, "tasks": p.graph.tasks.len()}))
        .collect();
    json!({
        "last_hash": hash,
        "summary": view.summary(),
        "actor": view.actor,
        "frozen": view.frozen.is_some(),
        "phases": phases,
        "tasks": view.tasks,
        "instances": view.instances(),
        "verdict": view.evaluate(),
        "decisions": view.decisions,
        "report_digest": view.report_digest,
        "started_at": view.started_at,
        "completed_at": view.completed_at,
        "changed_at": view.changed_at,
    })
}

/// How what was kept of a field reads now.
type Reads = fn(&Value) -> Value;

/// Fields that have another name now: the old one, the new one, and how it reads.
const RENAMED: &[(&str, &str, Reads)] = &[(
    "snapshot_interval_minutes",
    "snapshot_interval",
    |minutes| match minutes {
        Value::Null => Value::Null,
        minutes => json!({"every": minutes, "unit": "minutes"}),
    },
)];

/// Everything that was kept is there now, and the same; there may be more.
fn keeps(kept: &Value, now: &Value, at: &str) -> Result<(), String> {
    match (kept, now) {
        (Value::Object(kept), Value::Object(now)) => kept.iter().try_for_each(|(key, value)| {
            let at = format!("{at}.{key}");
            match (now.get(key), RENAMED.iter().find(|(was, ..)| was == key)) {
                (Some(found), _) => keeps(value, found, &at),
                (None, Some((_, is, reads))) => keeps(&reads(value), now.get(*is).unwrap_or(&Value::Null), &at),
                (None, None) if value.is_null() => Ok(()),
                (None, None) => Err(format!("{at} is gone")),
            }
        }),
        (Value::Array(kept), Value::Array(now)) if kept.len() == now.len() => kept
            .iter()
            .zip(now)
            .enumerate()
            .try_for_each(|(n, (kept, now))| keeps(kept, now, &format!("{at}[{n}]"))),
        _ if kept == now => Ok(()),
        _ => Err(format!("{at} was {kept} and is {now}")),
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(corpus()).unwrap().map(|f| f.unwrap().path()).collect();
    folders.sort();
    folders
}

fn files(folder: &Path, ending: &str) -> Vec<(String, PathBuf)> {
    // A version that brought nothing new of a form has no folder for it.
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|f| {
            let path = f.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned();
            Some((name, path))
        })
        .collect();
    found.sort();
    found
}

/// Issue "Right under every fault", journal corpus: every journal that an earlier version wrote verifies, loses nothing when it is
/// read, and folds to the state it stood for.
#[test]
fn journals_of_earlier_versions_are_read() {
    let (mut journals, mut entries, mut kinds) = (0, 0, BTreeSet::new());
    for folder in folders() {
        for (name, path) in files(&folder.join("journals"), ".jsonl") {
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<JournalLine> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
            let kept = parse(&fs::read_to_string(path.with_extension("state.json")).unwrap());
            let job = JobId::new(kept["summary"]["id"].as_str().unwrap());
            let (opened, hash) = verify(&job, &lines).unwrap_or_else(|e| panic!("{name}: {e}"));
            for (line, entry) in lines.iter().zip(&opened) {
                let again = serde_json::to_value(entry).unwrap();
                keeps(&parse(&line.body), &again, &format!("{name}:{}", line.position)).unwrap();
                assert_eq!(again["event"]["event"], entry.event.kind());
                kinds.insert(entry.event.kind());
            }
            let view = JobView::fold(&job, &opened).unwrap();
            keeps(&kept, &state(&view, &hash), &name).unwrap();
            journals += 1;
            entries += opened.len();
        }
    }
    println!("{journals} journals with {entries} entries");
    let missing: Vec<_> = Event::KINDS.iter().filter(|k| !kinds.contains(*k)).collect();
    assert!(missing.is_empty(), "no file has an entry of these kinds: {missing:?}");
    assert!(
        journals >= 15 && entries >= 500,
        "{journals} journals, {entries} entries"
    );
}

/// The same for documents.
#[test]
fn documents_of_earlier_versions_are_read() {
    let mut count = BTreeMap::new();
    for folder in folders() {
        for (kind, path) in files(&folder.join("documents"), ".jsonl") {
            for line in fs::read_to_string(path).unwrap().lines() {
                let document = parse(line);
                let (id, body) = (document["id"].as_str().unwrap(), &document["body"]);
                let again = reread(&kind, id, &body.to_string()).unwrap_or_else(|e| panic!("{kind} {id}: {e:?}"));
                keeps(body, &parse(&again), &format!("{kind} {id}")).unwrap();
                *count.entry(kind.clone()).or_insert(0) += 1;
            }
        }
    }
    println!("{count:?}");
    let missing: Vec<_> = DOCUMENTS.iter().filter(|k| !count.contains_key(**k)).collect();
    assert!(missing.is_empty(), "no file has a document of these kinds: {missing:?}");
}

/// RES-03: what a report of an earlier version says, written by this one, is still what its job's journal speaks of.
#[test]
fn reports_of_earlier_versions_verify() {
    let (mut reports, mut known) = (BTreeSet::new(), BTreeSet::new());
    for folder in folders() {
        for (_, path) in files(&folder.join("journals"), ".state.json") {
            let state = parse(&fs::read_to_string(path).unwrap());
            known.extend(state["report_digest"].as_str().map(str::to_owned));
        }
        let path = folder.join("documents/report.jsonl");
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let report = RecoveryReport::from_json(&parse(line)["body"].to_string()).unwrap();
            let digest = digest(&SHA256, report.json().unwrap().as_bytes());
            reports.insert(digest.as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>());
        }
    }
    // Not of every report is the journal kept, nor of every journal the report: of so many both are.
    let verified = reports.intersection(&known).count();
    assert!(
        verified >= 9,
        "{verified} of {} reports, {} journals",
        reports.len(),
        known.len()
    );
}

/// The comparison above can fail.
#[test]
fn what_is_lost_is_noticed() {
    let kept = json!({"a": {"b": [1, {"c": "x"}]}, "none": null});
    assert_eq!(
        keeps(&kept, &json!({"a": {"b": [1, {"c": "x", "new": 2}]}, "more": 1}), ""),
        Ok(())
    );
    for bad in [
        json!({"a": {"b": [1, {}]}}),
        json!({"a": {"b": [1, {"c": "y"}]}}),
        json!({"a": {"b": [1]}}),
        json!({}),
        json!({"a": {"b": [1, {"c": "x"}]}, "none": 3}),
    ] {
        assert!(keeps(&kept, &bad, "").is_err(), "{bad}");
    }
    let (number, none) = (
        json!({"snapshot_interval_minutes": 30}),
        json!({"snapshot_interval_minutes": null}),
    );
    let of = |every, unit| json!({"snapshot_interval": {"every": every, "unit": unit}});
    assert_eq!(keeps(&number, &of(30, "minutes"), ""), Ok(()));
    assert_eq!(keeps(&none, &json!({"snapshot_interval": null}), ""), Ok(()));
    for (kept, bad) in [
        (&number, of(31, "minutes")),
        (&number, of(30, "months")),
        (&number, json!({"snapshot_interval": null})),
        (&number, json!({})),
        (&none, of(30, "minutes")),
    ] {
        assert!(keeps(kept, &bad, "").is_err(), "{kept} {bad}");
    }
}

/// Makes a folder, see the module.
#[tokio::test]
#[ignore = "writes a new folder of the corpus"]
async fn write() {
    let name = std::env::var("NEVERSTOP_CORPUS").expect("NEVERSTOP_CORPUS names the new folder");
    let folder = corpus().join(name);
    fs::create_dir_all(corpus()).unwrap();
    fs::create_dir(&folder).expect("the folder is new");
    fs::create_dir(folder.join("journals")).unwrap();
    fs::create_dir(folder.join("documents")).unwrap();
    let mut documents = BTreeMap::new();
    for (name, world) in [
        ("drill", drills().await),
        ("rollback", planned_failover_rolled_back().await),
        ("circle", planned_failover_and_failback().await),
        ("disaster", disaster_and_failback().await),
        ("partial", partial_failover().await),
        ("returned", a_source_that_returns().await),
        ("connected", connections_that_are_kept().await),
        ("licensed", licensed_and_tuned().await),
        ("told", messages_on_their_way().await),
        ("people", people().await),
    ] {
        keep(&folder, name, &world, &mut documents).await;
        world.engine.shutdown().await;
    }
    documents.remove(JOURNALS);
    for (kind, (_, lines)) in documents {
        fs::write(folder.join("documents").join(format!("{kind}.jsonl")), lines).unwrap();
    }
}

/// Which fields a document has, down to the last; places in lists and identifiers as keys count as one.
fn shape(value: &Value, at: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = if key.chars().any(|c| c.is_ascii_digit()) {
                    "*"
                } else {
                    key
                };
                shape(value, &format!("{at}.{key}"), paths);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| shape(item, &format!("{at}[]"), paths)),
        // Names of states and kinds are worth one example each.
        Value::String(text) if text.len() < 40 && text.chars().all(|c| c.is_ascii_lowercase() || "._-".contains(c)) => {
            paths.insert(format!("{at}={text}"));
        }
        Value::Null => {
            paths.insert(format!("{at}=null"));
        }
        _ => {
            paths.insert(at.to_owned());
        }
    }
}

/// Not a kind of document: where the shapes of journals are counted.
const JOURNALS: &str = " journals";

type Documents = BTreeMap<String, (BTreeSet<String>, String)>;

/// Writes those journals and documents of a world that have something no earlier one had.
async fn keep(folder: &Path, name: &str, world: &World, documents: &mut Documents) {
    let mut jobs = BTreeSet::new();
    for (kind, id, body) in world.store.puts() {
        if kind == "job" {
            jobs.insert(id.clone());
        }
        let (seen, lines) = documents.entry(kind).or_default();
        let mut paths = BTreeSet::new();
        let body = parse(&body);
        shape(&body, "", &mut paths);
        if !paths.is_subset(seen) {
            seen.extend(paths);
            lines.push_str(&json!({"id": id, "body": body}).to_string());
            lines.push('\n');
        }
    }
    for job in jobs {
        let job = JobId::new(job);
        let lines = world.store.journal(&job, 1, usize::MAX >> 1).await.unwrap();
        let (entries, hash) = verify(&job, &lines).unwrap();
        let mut paths = BTreeSet::new();
        for line in &lines {
            shape(&parse(&line.body), "", &mut paths);
        }
        let (seen, _) = documents.entry(JOURNALS.to_owned()).or_default();
        if paths.is_subset(seen) {
            continue;
        }
        seen.extend(paths);
        let view = JobView::fold(&job, &entries).unwrap();
        let text: String = lines.iter().map(|l| serde_json::to_string(l).unwrap() + "\n").collect();
        let file = folder.join("journals").join(format!("{name}-{job}.jsonl"));
        fs::write(&file, text).unwrap();
        let state = serde_json::to_string_pretty(&state(&view, &hash)).unwrap();
        fs::write(file.with_extension("state.json"), state + "\n").unwrap();
    }
}

fn right(reason: &str) -> ForceRight {
    ForceRight {
        operator: "anna".into(),
        reason: reason.into(),
        accepts_data_loss: true,
        without_fence: false,
    }
}

async fn end(world: &World, job: &JobId, operation: JobOperation) -> JobSummary {
    let session = world.session();
    let request = OperationRequest {
        reason: "decided on the phone".into(),
        ..Default::default()
    };
    session.jobs().operate(job, operation, request).await.unwrap();
    session.jobs().wait(job).await.unwrap()
}

async fn until(world: &World, job: &JobId, state: JobState) {
    while world.session().jobs().get(job).await.unwrap().state != state {
        tokio::task::yield_now().await;
    }
}

/// The group gets another interval of recovery points. Nobody makes them: no engine is started.
async fn every(world: &World, group: &GroupId, interval: Option<SnapshotInterval>) {
    let update = GroupUpdate {
        snapshot_interval: Some(interval),
        ..Default::default()
    };
    world.session().protection_groups().update(group, update).await.unwrap();
}

/// Protect, a point, drills: paused, extended, not cleaned up and tried again, left; one for later that is moved and deleted; one
/// that is cancelled; orders of another node; the end of protection.
async fn drills() -> World {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    let (session, faults) = (world.session(), world.sim.faults());
    let jobs = session.jobs();
    for interval in [
        Some(SnapshotInterval::minutes(10)),
        Some(SnapshotInterval::hours(6)),
        Some(SnapshotInterval::days(1)),
        Some(SnapshotInterval::weeks(2)),
        Some(SnapshotInterval::months(1)),
        None,
    ] {
        every(&world, &group, interval).await;
    }
    session.points().create(&group).await.unwrap();
    world.finish_all().await;
    for recurrence in [
        Recurrence::Daily { days: 2 },
        Recurrence::Weekly {
            weeks: 1,
            weekday: Weekday::Sunday,
        },
        Recurrence::MonthlyByDay {
            from_month: 1,
            months: 3,
            day: DayOfMonth::Last,
        },
        Recurrence::MonthlyByWeekday {
            from_month: 2,
            months: 1,
            week: WeekOfMonth::Second,
            weekday: Weekday::Friday,
        },
    ] {
        let request = ScheduleRequest {
            name: "nightly".into(),
            group_id: group.clone(),
            plan_id: plan.clone(),
            timetable: Timetable {
                recurrence,
                hour: 2,
                minute: 30,
                zone: "Asia/Seoul".into(),
                begins: jiff::civil::date(2030, 1, 1),
                ends: Some(jiff::civil::date(2031, 1, 1)),
            },
            exclude: world.sample.server_ids().into_iter().take(1).collect(),
        };
        session.schedules().create(request).await.unwrap();
    }
    let request = || JobRequest::drill(group.clone(), plan.clone());
    for last in [JobOperation::RetryRollback, JobOperation::IgnoreRollback] {
        let drill = jobs.create(request()).await.unwrap();
        until(&world, &drill, JobState::Running).await;
        jobs.operate(&drill, JobOperation::Pause, OperationRequest::default())
            .await
            .unwrap();
        end(&world, &drill, JobOperation::Run).await;
        jobs.extend(&drill, 5).await.unwrap();
        faults.inject(Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("remove"));
        assert_eq!(
            end(&world, &drill, JobOperation::Rollback).await.state,
            JobState::ClearFailed
        );
        faults.clear();
        let busy = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Unavailable));
        faults.inject(busy.verb("remove").times(2));
        assert_eq!(end(&world, &drill, last).await.state, JobState::Finished);
        faults.clear();
    }
    let cancelled = jobs.create(request()).await.unwrap();
    until(&world, &cancelled, JobState::Running).await;
    assert_eq!(
        end(&world, &cancelled, JobOperation::Cancel).await.result,
        Some(ResultCode::Canceled)
    );
    let at = world.clock.now() + Duration::from_secs(7200);
    let later = jobs
        .create(JobRequest {
            execution: ExecutionType::AtDateTime { at },
            ..request()
        })
        .await
        .unwrap();
    jobs.reschedule(&later, at + Duration::from_secs(600)).await.unwrap();
    // Given at another node: an order.
    world.engine.start().await.unwrap();
    let other = Engine::builder(world.store.clone())
        .clock(std::sync::Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .node("other")
        .build()
        .unwrap();
    let refused = other.session(Actor::admin("bert"));
    let refused = refused.jobs().extend(&later, 5).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let moved = other.session(Actor::admin("bert"));
    moved
        .jobs()
        .reschedule(&later, at + Duration::from_secs(900))
        .await
        .unwrap();
    jobs.delete(&later, false).await.unwrap();
    for job in jobs.list(&Default::default()).await.unwrap() {
        if job.state == JobState::Completed {
            end(&world, &job.id, JobOperation::Rollback).await;
        }
    }
    // What was left of a drill holds on to a point: that cannot be removed.
    let stuck = session.plans().delete(&plan).await.unwrap();
    assert_eq!(jobs.wait(&stuck).await.unwrap().result, Some(ResultCode::Failed));
    world
}

/// More points than are kept, and the end of protection.
async fn planned_failover_rolled_back() -> World {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    for _ in 0..3 {
        world.clock.sleep(Duration::from_secs(5)).await;
        let (_, job) = world.session().points().create(&group).await.unwrap();
        world.succeeded(&job).await;
        world.finish_all().await;
    }
    let request = JobRequest::failover(group, plan.clone());
    let job = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    assert_eq!(
        end(&world, &job, JobOperation::Rollback).await.state,
        JobState::Finished
    );
    let gone = world.session().plans().delete(&plan).await.unwrap();
    world.succeeded(&gone).await;
    world
}

async fn come_home(world: &World, failover: &JobId, give_up: Option<ForceRight>) {
    let session = world.session();
    let request = ReprotectRequest { give_up };
    let (group, plan, job) = session.failback().reprotect(failover, request).await.unwrap();
    world.succeeded(&job).await;
    world.finish_all().await;
    world.clock.sleep(Duration::from_secs(60)).await;
    let back = JobRequest::failover(group.id, plan.id);
    let back = session.jobs().create(back).await.unwrap();
    world.succeeded(&back).await;
    assert_eq!(end(world, &back, JobOperation::Confirm).await.state, JobState::Finished);
}

async fn planned_failover_and_failback() -> World {
    let (world, group, plan) = World::of(ReplicationMode::Journal, 2).await;
    every(&world, &group, Some(SnapshotInterval::minutes(30))).await;
    let job = world.session().jobs().create(JobRequest::failover(group, plan)).await;
    let job = job.unwrap();
    world.succeeded(&job).await;
    end(&world, &job, JobOperation::Confirm).await;
    come_home(&world, &job, None).await;
    world
}

async fn disaster_and_failback() -> World {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    let source = world.session().clusters().by_name("site-a").await.unwrap().unwrap();
    world.engine.attach_fence(&source.id, world.sim.fence("a"));
    world.sim.isolate("a");
    let mut request = JobRequest {
        force: Some(right("cut off")),
        ..JobRequest::failover(group.clone(), plan.clone())
    };
    let fenced = world.session().jobs().create(request.clone()).await.unwrap();
    world.succeeded(&fenced).await;
    world.sim.revive("a");
    end(&world, &fenced, JobOperation::Rollback).await;
    world.clock.sleep(Duration::from_secs(120)).await;
    world.sim.isolate("a");
    request.force = request.force.map(|right| ForceRight {
        without_fence: true,
        ..right
    });
    let job = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    end(&world, &job, JobOperation::Confirm).await;
    for server in &world.sample.servers {
        world.sim.heartbeat("a", &server.id).unwrap();
    }
    world.sim.revive("a");
    let (session, request) = (world.session(), ReprotectRequest::default());
    let (_, _, refused) = session.failback().reprotect(&job, request).await.unwrap();
    assert_eq!(
        session.jobs().wait(&refused).await.unwrap().result,
        Some(ResultCode::Failed)
    );
    come_home(&world, &job, Some(right("B wins"))).await;
    world
}

/// One instance is not recovered, then is when it is tried again; and a volume that both sides may write.
async fn partial_failover() -> World {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let (session, faults) = (world.session(), world.sim.faults());
    let jobs = session.jobs();
    world.engine.start().await.unwrap();
    let volumes = session.plans().get(&plan).await.unwrap().volumes;
    let image = volumes.values().next().unwrap().target.clone();
    world.sim.rbd("b", |rbd| rbd.promote(&image, true)).unwrap();
    world.clock.sleep(Duration::from_secs(61)).await;
    world.sim.rbd("b", |rbd| rbd.demote(&image)).unwrap();
    world.sim.rbd("b", |rbd| rbd.resync(&image)).unwrap();
    world.clock.sleep(Duration::from_secs(600)).await;
    let adopt = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("adopt");
    faults.inject(adopt.after(1).times(1));
    let job = jobs.create(JobRequest::failover(group, plan)).await.unwrap();
    let partial = jobs.wait(&job).await.unwrap();
    assert_ne!(partial.result, Some(ResultCode::Success));
    let retried = end(&world, &job, JobOperation::Retry).await;
    assert_eq!(retried.result, Some(ResultCode::Success));
    end(&world, &job, JobOperation::Confirm).await;
    world
}

/// Clusters whose connections the engine keeps, rotated, with metadata of their volumes; one that cannot be opened any more.
async fn connections_that_are_kept() -> World {
    let clock = SimClock::new();
    let sim = SimWorld::new(Arc::new(clock.clone()), 7);
    let sample = sim.sample_group(2).unwrap();
    let (store, ids) = (Arc::<Recorder>::default(), Arc::new(SequentialIds::default()));
    let engine = |key: u8| {
        let connector = Arc::new(sim.connector());
        let keys = FixedKeys::new(HostKey::new(format!("key-{key}"), &[key; 32]));
        Engine::builder(store.clone())
            .clock(Arc::new(clock.clone()))
            .ids(ids.clone())
            .cloud_connector(connector.clone())
            .storage_connector(connector)
            .key_source(Arc::new(keys))
            .build()
            .unwrap()
    };
    let first = engine(1);
    let session = first.session(Actor::admin("anna"));
    let clusters = session.clusters();
    let mut pair: Vec<ClusterId> = Vec::new();
    let secret = |text: &str| Secrets::new().with("password", text);
    for site in ["a", "b"] {
        let half = |kind: &str| HalfConnection {
            kind: kind.into(),
            settings: ConnectionSettings::new().with("site", site),
            secrets: secret("horse-17").with("spare", "cow-4"),
        };
        let connection = Connection {
            cloud: half("simulated"),
            storage: half("sim-rbd"),
        };
        let request = ClusterRequest {
            name: format!("site-{site}"),
            owner_group_id: "ops".into(),
            note: String::new(),
        };
        let id = clusters.add(request, connection).await.unwrap().id;
        // The Target has no volumes that would tell its pool.
        let source = pair.first().unwrap_or(&id);
        for entry in clusters.propose_volume_metadata(source).await.unwrap() {
            let entry = VolumeMetadataRequest {
                storage_id: format!("sim-storage-{site}"),
                ..entry
            };
            let host = VolumeMetadataRequest {
                mon_hosts: None,
                client: None,
                keyring: Some(KeyReference::Host {
                    name: "vault:ceph".into(),
                }),
                ..entry.clone()
            };
            let paired = VolumeMetadataRequest {
                peer: pair.first().cloned(),
                ..entry.clone()
            };
            let bare = VolumeMetadataRequest {
                keyring: None,
                mode: ReplicationMode::Journal,
                ..entry
            };
            for entry in [host, bare, paired] {
                clusters.enter_volume_metadata(&id, entry).await.unwrap();
            }
        }
        pair.push(id);
    }
    clusters
        .rotate_credential(&pair[0], Half::Storage, &secret("horse-17"), &secret("horse-18"))
        .await
        .unwrap();
    first.shutdown().await;
    let engine = engine(2);
    engine.reconnect().await.unwrap();
    World {
        sim,
        clock,
        store,
        ids,
        engine,
        sample,
    }
}

/// A sink that delivers nothing.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    fn kind(&self) -> &'static str {
        "nowhere"
    }
    fn check_address(&self, _: &str) -> ns_core::Result<()> {
        Ok(())
    }
    async fn deliver(&self, message: &Message) -> ns_core::Result<()> {
        let away = Error::new(ErrorKind::Unavailable, "sink.away", "nobody takes it");
        Err(away.with("address", &message.address).with_remedy("wait"))
    }
}

/// What lasts and is told, and subscriptions whose messages are not taken.
async fn messages_on_their_way() -> World {
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let engine = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .sink("mail", Arc::new(Nowhere))
        .build()
        .unwrap();
    world.replace_by(engine).await;
    for (areas, codes) in [
        (BTreeSet::new(), BTreeSet::new()),
        ([EventArea::Jobs].into(), [EventCode::JobStarted].into()),
    ] {
        let request = SubscriptionRequest {
            minimum: Severity::Info,
            areas,
            codes,
            language: Language::Korean,
            sink: "mail".into(),
            address: "mina@example.org".into(),
        };
        let mina = Actor::member("mina", UserRole::Viewer, ["ops".into()]);
        world
            .engine
            .session(mina)
            .subscriptions()
            .create(request)
            .await
            .unwrap();
    }
    world.engine.start().await.unwrap();
    let drill = world
        .session()
        .jobs()
        .create(JobRequest::drill(group, plan))
        .await
        .unwrap();
    world.succeeded(&drill).await;
    world.sim.isolate("a");
    world.clock.sleep(Duration::from_secs(3600)).await;
    world.sim.revive("a");
    world.clock.sleep(Duration::from_secs(600)).await;
    world
}

/// Accounts, logins that work and logins that fail, and what two people did together.
async fn people() -> World {
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let providers = |world: &World, name: &str| world.providers(name.strip_prefix("site-").unwrap());
    let clusters = world.session().clusters().list(&Query::default()).await.unwrap();
    world.engine.shutdown().await;
    let mut settings = Settings::default();
    (settings.four_eyes, settings.password_memory_kib) = (true, 1024);
    world.engine = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .settings(settings)
        .build()
        .unwrap();
    for cluster in clusters {
        world.engine.attach(&cluster.id, providers(&world, &cluster.name));
    }
    let engine = &world.engine;
    let good = SecretString::from("correct horse battery");
    let first = engine.install_admin("root", "root@example.org").await.unwrap();
    let login = engine.log_in("root", &first, "203.0.113.7").await.unwrap();
    let shut = engine.authenticate(&login.token).await.unwrap();
    shut.account().change_password(&first, &good).await.unwrap();
    let root = engine.authenticate(&login.token).await.unwrap();
    let request = UserGroupRequest {
        name: "pier".into(),
        description: "by the sea".into(),
    };
    let pier = root.user_groups().create(request).await.unwrap();
    let request = UserRequest {
        id: "anna".into(),
        name: "Anna Kim".into(),
        mail: "anna@example.org".into(),
        role: UserRole::Operator,
        groups: [pier.id].into(),
    };
    root.users().create(request).await.unwrap();
    let update = UserUpdate {
        role: Some(UserRole::Manager),
        ..UserUpdate::default()
    };
    root.users().update(&"anna".into(), update).await.unwrap();
    let wrong = SecretString::from("wrong");
    for _ in 0..5 {
        engine.log_in("anna", &wrong, "203.0.113.8").await.unwrap_err();
    }
    // Said yes, said no, used; refused, and failed.
    let (otto, mina) = (Actor::admin("otto"), Actor::admin("mina"));
    let (otto, mina) = (engine.session(otto), engine.session(mina));
    let asked = |e: ns_core::Error| e.context().iter().find(|(k, _)| k == "approval").unwrap().1.clone();
    let failover = JobRequest::failover(group, plan.clone());
    let id = asked(otto.jobs().create(failover).await.unwrap_err());
    mina.approvals().reject(&id.into()).await.unwrap();
    let id = asked(otto.plans().delete(&plan).await.unwrap_err());
    mina.approvals().approve(&id.into()).await.unwrap();
    let gone = otto.plans().delete(&plan).await.unwrap();
    world.succeeded(&gone).await;
    world.sim.isolate("a");
    let source = otto.clusters().by_name("site-a").await.unwrap().unwrap();
    otto.clusters().sync(&source.id).await.unwrap_err();
    world
}

async fn a_source_that_returns() -> World {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    world.engine.start().await.unwrap();
    world.sim.isolate("a");
    let request = JobRequest {
        force: Some(right("cut off")),
        ..JobRequest::failover(group, plan)
    };
    let job = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    for server in &world.sample.servers {
        world.sim.heartbeat("a", &server.id).unwrap();
    }
    world.sim.revive("a");
    world.clock.sleep(Duration::from_secs(120)).await;
    world.finish_all().await;
    let back = end(&world, &job, JobOperation::Rollback).await;
    let view = world.session().jobs().view(&job).await.unwrap();
    assert_eq!(back.state, JobState::Finished, "{:#?}", life_kit::failures(&view));
    world
}

/// A licence that is registered, and settings of each form that were changed.
async fn licensed_and_tuned() -> World {
    let clock = SimClock::new();
    let sim = SimWorld::new(Arc::new(clock.clone()), 7);
    let sample = sim.sample_group(1).unwrap();
    let (store, ids) = (Arc::<Recorder>::default(), Arc::new(SequentialIds::default()));
    let vendor = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let product_uuid: ProductUuid = "0f8fad5bd9cb469fa16570867728950e".parse().unwrap();
    let policy = LicensePolicy::Required {
        public_keys: vec![LicensePublicKey::from_bytes(vendor.public_key().as_ref()).unwrap()],
        product_uuid: product_uuid.clone(),
    };
    let engine = Engine::builder(store.clone())
        .clock(Arc::new(clock.clone()))
        .ids(ids.clone())
        .license_policy(policy)
        .build()
        .unwrap();
    let claims = LicenseClaims {
        version: 1,
        license_id: "2026-0017".into(),
        product_uuid,
        customer: "Example Bank".into(),
        products: [PRODUCT.to_owned()].into(),
        platforms: ["openstack".to_owned()].into(),
        instances: 200,
        issued_at: clock.now(),
        expires_at: clock.now() + Duration::from_secs(365 * 24 * 3600),
    };
    let claims = payload(&claims).unwrap();
    let key = sealed(&claims, vendor.sign(claims.as_bytes()).as_ref());
    let session = engine.session(Actor::admin("anna"));
    session.licence().register(&key).await.unwrap();
    let update = SettingsUpdate::new()
        .with("log_level", LogLevel::Debug)
        .with("lease", 60);
    session
        .settings()
        .update(&update.with("four_eyes", true))
        .await
        .unwrap();
    session.settings().reset(&["lease"]).await.unwrap();
    World {
        sim,
        clock,
        store,
        ids,
        engine,
        sample,
    }
}
