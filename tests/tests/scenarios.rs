//! Scenarios that are files (`tests/scenarios`), played through the face on simulated clouds. Other languages play the same files and
//! must get the same journals, byte for byte: `NAME.journals` has the digest of each. With `UPDATE_SCENARIOS` in the environment they
//! are written anew; with `SCENARIO_JOURNALS` the journals themselves go into that folder, to be compared line by line.

use anyhow::{Context, Result, ensure};
use ns_core::model::{
    ConnectionSettings, ForceRight, JobId, JobOperation, JobState, JobType, OwnerGroupId, Query, ReplicationMode,
    ResultCode,
};
use ns_core::ports::SequentialIds;
use ns_core::sealing::{FixedKeys, HostKey, Secrets};
use ns_core::session::{
    ClusterRequest, Connection, GroupRequest, HalfConnection, JobRequest, OperationRequest, ReprotectRequest,
};
use ns_core::sim::{Hold, SimClock, SimWorld};
use ns_core::store::MemoryStore;
use ns_core::{Actor, Engine, Session};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[allow(dead_code, reason = "for who reads the file")]
    about: String,
    seed: u64,
    servers: usize,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    /// Both clouds, a group of all servers, the plan that is suggested, and all that follows by itself.
    Protect,
    /// A recovery point.
    Point,
    Create {
        job: String,
        r#type: JobType,
        #[serde(default)]
        force: Option<ForceRight>,
    },
    Wait {
        job: String,
        state: JobState,
        #[serde(default)]
        result: Option<ResultCode>,
    },
    Operate {
        job: String,
        operation: JobOperation,
        reason: String,
    },
    /// In the other direction; what is made then is made of that group.
    Reprotect {
        of: String,
    },
    Kill {
        site: String,
    },
    Advance {
        seconds: u64,
    },
}

/// What a scenario is played on. Time stands still between its calls.
struct Player {
    session: Session,
    world: SimWorld,
    clock: SimClock,
    hold: Option<Hold>,
    made: BTreeMap<String, JobId>,
    group: String,
    plan: String,
}

impl Player {
    /// Does what the face is asked for, and all that follows from it at once.
    async fn ask<T: Send + 'static>(&mut self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let hold = self.hold.take();
        let clock = self.clock.clone();
        let (done, held) = tokio::spawn(async move {
            drop(hold);
            let done = work.await;
            let held = clock.hold();
            for _ in 0..256 {
                tokio::task::yield_now().await;
            }
            (done, held)
        })
        .await?;
        self.hold = Some(held);
        Ok(done)
    }

    async fn finish(&mut self, job: JobId) -> Result<()> {
        let session = self.session.clone();
        let summary = self.ask(async move { session.jobs().wait(&job).await }).await??;
        ensure!(summary.result == Some(ResultCode::Success), "{summary:?}");
        Ok(())
    }

    async fn finish_all(&mut self) -> Result<()> {
        let session = self.session.clone();
        let jobs = self
            .ask(async move { session.jobs().list(&Query::default()).await })
            .await??;
        for job in jobs.items {
            let session = self.session.clone();
            self.ask(async move { session.jobs().wait(&job.id).await }).await??;
        }
        Ok(())
    }

    async fn protect(&mut self) -> Result<()> {
        let mut clusters = Vec::new();
        for site in ["a", "b"] {
            let session = self.session.clone();
            let request = ClusterRequest {
                name: format!("site-{site}"),
                owner_group_id: OwnerGroupId::new("ops"),
                note: String::new(),
            };
            let half = |kind: &str| HalfConnection {
                kind: kind.to_owned(),
                settings: ConnectionSettings::new().with("site", site),
                secrets: Secrets::new().with("password", "any"),
            };
            let connection = Connection {
                cloud: half("simulated"),
                storage: half("sim-rbd"),
            };
            let add = async move { session.clusters().add(request, connection).await };
            clusters.push(self.ask(add).await??.id);
        }
        let (session, source) = (self.session.clone(), clusters[0].clone());
        let instances = self.world.inventory("a").instances.into_keys().collect();
        let request = GroupRequest {
            name: "shop".to_owned(),
            description: String::new(),
            owner_group_id: OwnerGroupId::new("ops"),
            source_cluster: source,
            instances,
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        };
        let group = self
            .ask(async move { session.protection_groups().create(request).await })
            .await??;
        let (session, id, target) = (self.session.clone(), group.id.clone(), clusters[1].clone());
        let plan = self
            .ask(async move { session.plans().suggest(&id, &target).await })
            .await??;
        ensure!(plan.replication_mode == ReplicationMode::Snapshot);
        let session = self.session.clone();
        let (plan, mirroring) = self.ask(async move { session.plans().create(plan).await }).await??;
        self.group = group.id.to_string();
        self.plan = plan.id.to_string();
        self.finish(mirroring).await?;
        self.finish_all().await
    }

    fn job(&self, name: &str) -> Result<JobId> {
        self.made.get(name).cloned().with_context(|| format!("no job {name}"))
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        let session = self.session.clone();
        match step {
            Step::Protect => self.protect().await?,
            Step::Point => {
                let group = self.group.as_str().into();
                let (_, job) = self.ask(async move { session.points().create(&group).await }).await??;
                self.finish(job).await?;
            }
            Step::Create { job, r#type, force } => {
                let (group, plan) = (self.group.as_str().into(), self.plan.as_str().into());
                let mut request = match r#type {
                    JobType::Drill => JobRequest::drill(group, plan),
                    JobType::Failover => JobRequest::failover(group, plan),
                };
                request.force = force;
                let made = self.ask(async move { session.jobs().create(request).await }).await??;
                self.made.insert(job, made);
            }
            Step::Wait { job, state, result } => {
                let id = self.job(&job)?;
                let summary = self.ask(async move { session.jobs().wait(&id).await }).await??;
                ensure!(summary.state == state, "{job}: {summary:?}");
                ensure!(result.is_none() || summary.result == result, "{job}: {summary:?}");
            }
            Step::Operate { job, operation, reason } => {
                let id = self.job(&job)?;
                let request = OperationRequest {
                    reason,
                    ..OperationRequest::default()
                };
                self.ask(async move { session.jobs().operate(&id, operation, request).await })
                    .await??;
            }
            Step::Reprotect { of } => {
                let id = self.job(&of)?;
                let reprotect = async move { session.failback().reprotect(&id, ReprotectRequest::default()).await };
                let (group, plan, job) = self.ask(reprotect).await??;
                self.group = group.id.to_string();
                self.plan = plan.id.to_string();
                self.finish(job).await?;
                self.finish_all().await?;
            }
            Step::Kill { site } => self.world.kill(&site),
            Step::Advance { seconds } => self.clock.advance(Duration::from_secs(seconds)),
        }
        Ok(())
    }
}

/// Plays a scenario; the journals of its jobs, by job.
async fn play(scenario: Scenario) -> Result<BTreeMap<String, (usize, Vec<u8>)>> {
    let clock = SimClock::new();
    let hold = clock.hold();
    let world = SimWorld::new(Arc::new(clock.clone()), scenario.seed);
    world.sample_group(scenario.servers)?;
    let engine = Engine::builder(Arc::new(MemoryStore::default()))
        .cloud_connector(Arc::new(world.connector()))
        .storage_connector(Arc::new(world.connector()))
        .key_source(Arc::new(FixedKeys::new(HostKey::random("memory")?)))
        .ids(Arc::new(SequentialIds::default()))
        .clock(Arc::new(clock.clone()))
        .node("scenario")
        .build()?;
    let mut player = Player {
        session: engine.session(Actor::admin("anna")),
        world,
        clock,
        hold: Some(hold),
        made: BTreeMap::new(),
        group: String::new(),
        plan: String::new(),
    };
    let starting = engine.clone();
    player.ask(async move { starting.start().await }).await??;
    for (nth, step) in scenario.steps.into_iter().enumerate() {
        player.step(step).await.with_context(|| format!("step {}", nth + 1))?;
    }
    let session = player.session.clone();
    let jobs = player
        .ask(async move { session.jobs().list(&Query::default()).await })
        .await??;
    let mut journals = BTreeMap::new();
    for job in jobs.items {
        let (session, id) = (player.session.clone(), job.id.clone());
        let journal = player.ask(async move { session.jobs().journal(&id).await }).await??;
        journals.insert(job.id.to_string(), (journal.len(), serde_json::to_vec(&journal)?));
    }
    Ok(journals)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// What the journals of a scenario say here is what they say in every language that plays it.
async fn plays(name: &str) -> Result<()> {
    let read = |end: &str| std::fs::read_to_string(folder().join(format!("{name}.{end}")));
    let journals = play(serde_json::from_str(&read("json")?)?).await?;
    let mut told = String::new();
    for (job, (entries, bytes)) in &journals {
        let digest = Sha256::digest(bytes)
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        writeln!(told, "{job} {entries} {digest}")?;
        if let Some(room) = std::env::var_os("SCENARIO_JOURNALS") {
            std::fs::write(Path::new(&room).join(format!("{name}-{job}.json")), bytes)?;
        }
    }
    if std::env::var_os("UPDATE_SCENARIOS").is_some() {
        std::fs::write(folder().join(format!("{name}.journals")), &told)?;
    }
    ensure!(told == read("journals")?, "{name}: the journals are\n{told}");
    Ok(())
}

#[tokio::test]
async fn a_drill_is_the_same_in_every_language() -> Result<()> {
    plays("drill").await
}

#[tokio::test]
async fn a_circle_is_the_same_in_every_language() -> Result<()> {
    plays("circle").await
}

#[tokio::test]
async fn a_disaster_is_the_same_in_every_language() -> Result<()> {
    plays("disaster").await
}

/// None is forgotten.
#[test]
fn every_scenario_is_played() -> Result<()> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder())? {
        let name = file?.file_name().into_string().unwrap_or_default();
        names.extend(name.strip_suffix(".json").map(str::to_owned));
    }
    names.sort();
    ensure!(names == ["circle", "disaster", "drill"], "{names:?}");
    Ok(())
}
