//! Takeovers with real processes on a real PostgreSQL: nodes run drills on sites that another process simulates, and whoever
//! owns the job is killed or stopped at a random moment, again and again. Counted: takeovers, steps done twice, jobs or
//! things lost, and writes of stale nodes that the store refused (OPEN-24, OPS-03).
//!
//! `takeover --count N [--seed S]`; the database is given in `NEVERSTOP_TEST_POSTGRES`. `cargo xtask takeover` starts one.
#![allow(clippy::expect_used)]

mod node;
mod outside;

use anyhow::{Context, Result, bail};
use node::REFUSED;
use ns_core::journal::{Event, TaskResult};
use ns_core::model::{
    GroupId, JobId, JobOperation, JobState, OwnerGroupId, PlanId, Query, ReplicationMode, ResultCode,
};
use ns_core::ports::SystemClock;
use ns_core::session::{ClusterRequest, GroupRequest, JobRequest, OperationRequest};
use ns_core::sim::{SimWorld, SiteDump};
use ns_core::store::{PostgresStore, Store};
use ns_core::{Actor, Engine, Providers, Session};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The simulated sites: a is the source.
pub(crate) const SITES: [&str; 2] = ["a", "b"];
/// Nodes that work at once.
const NODES: usize = 3;
/// How long a free job may wait for a new owner: its lease, the time between two looks, and what a loaded machine adds.
const TAKEN_WITHIN: Duration = Duration::from_secs(20);
/// How long one job may take, all its owners together.
const JOB_LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let url = std::env::var("NEVERSTOP_TEST_POSTGRES").context("NEVERSTOP_TEST_POSTGRES says where the database is")?;
    let number = |name: &str| -> Result<Option<u64>> {
        let at = arguments.iter().position(|a| a == name);
        at.and_then(|at| arguments.get(at + 1))
            .map(|n| n.parse().context("a number"))
            .transpose()
    };
    if let [first, name, socket] = arguments.as_slice()
        && first == "node"
    {
        return node::run(name, &url, Path::new(socket)).await;
    }
    let count = number("--count")?.unwrap_or(200);
    let seed = number("--seed")?.unwrap_or(1);
    let begun = Instant::now();
    let mut field = Field::new(&url, seed).await?;
    let tally = field.play(count).await;
    field.end().await;
    let tally = tally?;
    for line in &tally.complaints {
        println!("{line}");
    }
    println!(
        "{} jobs, {} things made outside, {} kills, {} stops, slowest takeover {:.1} s, {:.0} s in all, seed {seed}",
        tally.jobs,
        field.made.count(),
        tally.kills,
        tally.stops,
        tally.slowest.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    println!(
        "takeover: {} takeovers, {} steps done twice, {} lost, {} stale writes refused",
        tally.takeovers,
        tally.twice,
        tally.lost,
        field.refused.load(Ordering::Relaxed)
    );
    if tally.twice + tally.lost > 0 {
        bail!("a promise was broken");
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Tally {
    takeovers: u64,
    twice: u64,
    lost: u64,
    jobs: u64,
    kills: u64,
    stops: u64,
    slowest: Duration,
    complaints: Vec<String>,
}

/// A process of ours.
struct Node {
    name: String,
    child: Child,
    /// When a stopped one is to go on.
    wakes: Option<Instant>,
}

struct Field {
    url: String,
    folder: PathBuf,
    world: SimWorld,
    made: Arc<outside::Made>,
    store: Arc<PostgresStore>,
    /// Looks and commands; runs no job.
    observer: Engine,
    group: GroupId,
    plan: PlanId,
    nodes: Vec<Node>,
    named: u32,
    random: u64,
    refused: Arc<AtomicUsize>,
}

impl Field {
    async fn new(url: &str, seed: u64) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("neverstop-takeover-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        let world = SimWorld::new(Arc::new(SystemClock), seed);
        world.tune(|t| {
            for time in [
                &mut t.server_create,
                &mut t.server_stop,
                &mut t.mirror_poll,
                &mut t.discover,
            ] {
                *time /= 10;
            }
            for time in [
                &mut t.storage_round,
                &mut t.delete_lag,
                &mut t.heartbeat,
                &mut t.cloud_write,
            ] {
                *time /= 5;
            }
        });
        let sample = world.sample_group(4)?;
        let made = Arc::<outside::Made>::default();
        outside::serve(world.clone(), made.clone(), &folder.join("outside"))?;
        let store = node::store(url).await?;
        let (group, plan) = protect(&world, store.clone(), sample.server_ids()).await?;
        let observer = node::engine(store.clone(), "observer")?;
        Ok(Self {
            url: url.to_owned(),
            folder,
            world,
            made,
            store,
            observer,
            group,
            plan,
            nodes: Vec::new(),
            named: 0,
            random: seed,
            refused: Arc::default(),
        })
    }

    /// Splitmix64: the choices depend on the seed, the moments also on the machine.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn session(&self) -> Session {
        self.observer.session(Actor::admin("anna"))
    }

    async fn owner(&self, job: &JobId) -> Result<Option<String>> {
        let lease = self.store.holder(&format!("job/{job}")).await?;
        Ok(lease.filter(|l| l.until > jiff::Timestamp::now()).map(|l| l.owner))
    }

    /// Starts what is missing and lets those go on whose time has come.
    async fn tend(&mut self) -> Result<()> {
        for node in self
            .nodes
            .iter_mut()
            .filter(|n| n.wakes.is_some_and(|w| w <= Instant::now()))
        {
            signal(&node.child, "CONT").await?;
            node.wakes = None;
        }
        while self.nodes.iter().filter(|n| n.wakes.is_none()).count() < NODES {
            self.named += 1;
            let name = format!("node-{}", self.named);
            let mut child = Command::new(std::env::current_exe()?)
                .args(["node", &name])
                .arg(self.folder.join("outside"))
                .env("NEVERSTOP_TEST_POSTGRES", &self.url)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
            let started = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await??;
            if started.as_deref() != Some("started") {
                bail!("{name} did not start: {started:?}");
            }
            let refused = self.refused.clone();
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    if line == REFUSED {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
            self.nodes.push(Node {
                name,
                child,
                wakes: None,
            });
        }
        Ok(())
    }

    async fn play(&mut self, count: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        while tally.takeovers < count {
            let before = (self.world.dump("a"), self.world.dump("b"));
            let job = self.create().await?;
            tally.jobs += 1;
            if let Err(error) = self.drive(&job, count, &mut tally).await {
                tally.lost += 1;
                tally.complaints.push(format!("{job}: {error:#}"));
                // What it left would be told again of every later one.
                return Ok(tally);
            }
            self.judge(&job, &before, &mut tally).await?;
            println!("{job}: {} takeovers so far", tally.takeovers);
        }
        for step in self.made.twice() {
            tally.twice += 1;
            tally.complaints.push(format!("made twice: {step}"));
        }
        Ok(tally)
    }

    /// Makes a job on an engine that then goes away, as a portal's would.
    async fn create(&mut self) -> Result<JobId> {
        self.tend().await?;
        self.named += 1;
        let engine = node::engine(self.store.clone(), &format!("maker-{}", self.named))?;
        attach(&engine, &self.world).await?;
        let request = JobRequest::drill(self.group.clone(), self.plan.clone());
        let job = engine.session(Actor::admin("anna")).jobs().create(request).await?;
        engine.shutdown().await;
        Ok(job)
    }

    /// Until the job has finished, its owner dies or stops every now and then.
    async fn drive(&mut self, job: &JobId, count: u64, tally: &mut Tally) -> Result<()> {
        let deadline = Instant::now() + JOB_LIMIT;
        let mut asked = false;
        let mut strike = Instant::now() + Duration::from_millis(self.random(1500));
        loop {
            self.tend().await?;
            let state = self.session().jobs().get(job).await?.state;
            if state == JobState::Finished {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("still {state} after {JOB_LIMIT:?}");
            }
            // Most drills are struck some times when they are complete, too.
            if state == JobState::Completed && !asked && self.random(8) == 0 || state == JobState::ClearFailed {
                let operation = match state {
                    JobState::ClearFailed => JobOperation::RetryRollback,
                    _ => JobOperation::Rollback,
                };
                match self
                    .session()
                    .jobs()
                    .operate(job, operation, OperationRequest::default())
                    .await
                {
                    Ok(_) => asked = true,
                    // Nobody has it at this moment, or its owner stopped: asked again.
                    Err(e) if matches!(e.code(), "job.not_running" | "job.owner_silent") => {}
                    // Obeyed by an owner whose answer came too late to be read.
                    Err(e) if e.code() == "job.operation" => asked = true,
                    Err(e) => return Err(e.into()),
                }
            }
            if Instant::now() >= strike && tally.takeovers < count {
                self.strike(job, tally).await?;
                strike = Instant::now() + Duration::from_millis(self.random(1500));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills or stops the owner, and waits for the next.
    async fn strike(&mut self, job: &JobId, tally: &mut Tally) -> Result<()> {
        let Some(owner) = self.owner(job).await? else {
            return Ok(());
        };
        let Some(at) = self.nodes.iter().position(|n| n.name == owner && n.wakes.is_none()) else {
            return Ok(());
        };
        let struck = Instant::now();
        if self.random(2) == 0 {
            tally.kills += 1;
            let mut node = self.nodes.swap_remove(at);
            node.child.kill().await?;
        } else {
            tally.stops += 1;
            let sleep = Duration::from_millis(500 + self.random(4000));
            signal(&self.nodes[at].child, "STOP").await?;
            self.nodes[at].wakes = Some(struck + sleep);
        }
        loop {
            self.tend().await?;
            match self.owner(job).await? {
                Some(next) if next != owner => {
                    tally.takeovers += 1;
                    tally.slowest = tally.slowest.max(struck.elapsed());
                    return Ok(());
                }
                // It woke up before anybody else had the job, and goes on with it.
                Some(_) if self.nodes.iter().any(|n| n.name == owner && n.wakes.is_none()) => return Ok(()),
                _ => {}
            }
            // It may have done the last thing just before.
            if self.session().jobs().get(job).await?.state == JobState::Finished {
                return Ok(());
            }
            if struck.elapsed() > TAKEN_WITHIN {
                bail!("nobody took it over from {owner} within {TAKEN_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Looks at what the job did: its journal, and what is left outside.
    async fn judge(&mut self, job: &JobId, before: &(SiteDump, SiteDump), tally: &mut Tally) -> Result<()> {
        let jobs = self.session();
        let summary = jobs.jobs().get(job).await?;
        if summary.result != Some(ResultCode::Success) {
            tally.lost += 1;
            tally
                .complaints
                .push(format!("{job}: its result is {:?}", summary.result));
        }
        // Reading verifies the chain: a write of somebody who did not see all before it would break it.
        let mut done = BTreeSet::new();
        let mut phase = 0;
        for entry in jobs.jobs().journal(job).await? {
            match entry.event {
                Event::Planned { .. } => phase += 1,
                Event::Outcome {
                    task,
                    result: TaskResult::Done { .. },
                    ..
                } if !done.insert((phase, task.clone())) => {
                    tally.twice += 1;
                    tally.complaints.push(format!("{job}: {task} has two successes"));
                }
                _ => {}
            }
        }
        if jobs.reports().get(job).await.is_err() {
            tally.lost += 1;
            tally.complaints.push(format!("{job}: it has no report"));
        }
        // Everybody wakes up first: what a stale node still does outside must be seen.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.tend().await?;
            let mut left = self.world.dump("a").changes_since(&before.0);
            left.extend(self.world.dump("b").changes_since(&before.1));
            let asleep = self.nodes.iter().any(|n| n.wakes.is_some());
            if left.is_empty() && !asleep {
                return Ok(());
            }
            if Instant::now() > deadline {
                tally.lost += 1;
                tally
                    .complaints
                    .push(format!("{job}: left outside: {}", left.join("; ")));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends every process.
    async fn end(&mut self) {
        for mut node in self.nodes.drain(..) {
            if let Err(error) = node.child.kill().await {
                eprintln!("{}: {error}", node.name);
            }
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("remove {}: {error}", self.folder.display());
        }
    }
}

async fn signal(child: &Child, signal: &str) -> Result<()> {
    let Some(id) = child.id() else {
        bail!("a node has ended by itself")
    };
    let status = Command::new("kill")
        .args([format!("-{signal}"), id.to_string()])
        .status()
        .await?;
    if !status.success() {
        bail!("kill -{signal} {id}: {status}");
    }
    Ok(())
}

async fn attach(engine: &Engine, world: &SimWorld) -> Result<()> {
    for site in SITES {
        let session = engine.session(Actor::admin("anna"));
        let cluster = session.clusters().by_name(&format!("site-{site}")).await?;
        engine.attach(
            &cluster.context("the site is not registered")?.id,
            providers(world, site),
        );
    }
    Ok(())
}

fn providers(world: &SimWorld, site: &str) -> Providers {
    Providers {
        cloud: world.cloud(site),
        storage: world.storage(site),
    }
}

/// Registers the sites and protects the servers of the first, on an engine that then goes away.
async fn protect(
    world: &SimWorld,
    store: Arc<dyn Store>,
    servers: Vec<ns_core::model::CloudId>,
) -> Result<(GroupId, PlanId)> {
    let engine = node::engine(store, "setup")?;
    let session = engine.session(Actor::admin("anna"));
    let mut clusters = Vec::new();
    for site in SITES {
        let request = ClusterRequest {
            name: format!("site-{site}"),
            owner_group_id: OwnerGroupId::new("ops"),
            note: String::new(),
        };
        clusters.push(session.clusters().register(request, providers(world, site)).await?.id);
    }
    let request = GroupRequest {
        name: "shop".to_owned(),
        description: String::new(),
        owner_group_id: OwnerGroupId::new("ops"),
        source_cluster: clusters[0].clone(),
        instances: servers,
        rpo_minutes: 15,
        rto_minutes: 30,
        snapshot_interval: None,
    };
    let group = session.protection_groups().create(request).await?;
    let mut plan = session.plans().suggest(&group.id, &clusters[1]).await?;
    plan.replication_mode = ReplicationMode::Snapshot;
    let (plan, job) = session.plans().create(plan).await?;
    session.jobs().wait(&job).await?;
    // The first point is made by itself.
    let deadline = Instant::now() + Duration::from_secs(120);
    while session
        .points()
        .list(&group.id, &Query::default())
        .await?
        .items
        .is_empty()
    {
        if Instant::now() > deadline {
            bail!("the first recovery point is not made");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for job in session.jobs().list(&Query::default()).await? {
        session.jobs().wait(&job.id).await?;
    }
    engine.shutdown().await;
    Ok((group.id, plan.id))
}
