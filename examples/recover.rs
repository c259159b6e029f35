//! Disaster recovery between two real OpenStack clouds on Ceph, from the command line.
//!
//! ```text
//! recover --store dr.db --clouds clouds.yaml --source cloud-a --target cloud-b \
//!         --source-ceph a/ceph.conf --source-keyring a.keyring --target-ceph b/ceph.conf --target-keyring b.keyring \
//!         protect --group web --tenant web-recovered --instance web-1 --instance db-1
//! recover … drill            # boots the newest point in networks of its own
//! recover … rollback         # removes everything the drill made
//! recover … failover         # hands the volumes over and boots on the target
//! recover … confirm          # or rollback
//! recover … reprotect        # protects what runs on the target now; then `failover` and `confirm` lead back
//! recover … report --out report.json
//! ```
//!
//! Drill, failover, rollback, confirm, reprotect and unprotect first print what they would do, how long it would take and what
//! would be lost; `--at-once` leaves that out.
//!
//! Every command continues what an earlier one left unfinished, also one that was killed: the store knows.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use ns_ceph::{Ceph, CephConfig, DaemonControl, Limits, PoolRef, Programs};
use ns_core::model::{
    ClusterId, DataPoint, ForceRight, JobId, JobOperation, JobState, JobSummary, OwnerGroupId, Probe, ProtectionGroup,
    Query, ReadinessCheck, RecoveryPlan, ReplicationMode,
};
use ns_core::session::{ClusterRequest, Explanation, GroupRequest, JobRequest, OperationRequest, ReprotectRequest};
use ns_core::store::SqliteStore;
use ns_core::{Actor, Engine, Providers, Session, Settings};
use ns_examples::{follow, must_succeed, show};
use ns_openstack::{OpenStack, OpenStackConfig};
use ns_probe::NetworkProbe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Parser)]
#[command(about = "Recovers virtual machines on another OpenStack cloud")]
struct Cli {
    /// The engine's store, an SQLite file.
    #[arg(long)]
    store: PathBuf,
    #[command(flatten)]
    clouds: CloudArgs,
    /// Who acts: kept in journals and reports.
    #[arg(long, default_value = "operator")]
    actor: String,
    /// Does not first print what a command would do and lose: in a disaster that costs the time of looking twice.
    #[arg(long)]
    at_once: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct CloudArgs {
    /// The clouds.yaml that names both clouds.
    #[arg(long)]
    clouds: PathBuf,
    /// Name of the protected cloud in it.
    #[arg(long)]
    source: String,
    /// Name of the cloud to recover to.
    #[arg(long)]
    target: String,
    /// ceph.conf of the protected cloud's storage.
    #[arg(long)]
    source_ceph: PathBuf,
    /// Keyring file of the Ceph user there.
    #[arg(long)]
    source_keyring: PathBuf,
    /// ceph.conf of the other cloud's storage.
    #[arg(long)]
    target_ceph: PathBuf,
    /// Keyring file of the Ceph user there.
    #[arg(long)]
    target_keyring: PathBuf,
    /// The name the protected storage has for its mirroring peer.
    #[arg(long, default_value = "site-a")]
    source_site: String,
    /// The name the other storage has for its mirroring peer.
    #[arg(long, default_value = "site-b")]
    target_site: String,
    /// A program that stops and starts the protected storage's mirror daemon when called with `stop` or `start`: a forced
    /// promotion can hang behind a daemon that waits for a dead peer.
    #[arg(long)]
    source_mirror_control: Option<String>,
    /// The same for the other storage.
    #[arg(long)]
    target_mirror_control: Option<String>,
    /// The Ceph user on both sides.
    #[arg(long, default_value = "neverstop")]
    ceph_user: String,
    /// The pool of the volumes on both sides.
    #[arg(long, default_value = "volumes")]
    pool: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks and registers both clouds and reads their inventories.
    Register,
    /// Groups instances, plans their recovery and mirrors their volumes.
    Protect {
        /// Name of the group.
        #[arg(long)]
        group: String,
        /// Name of the tenant to be made on the target.
        #[arg(long)]
        tenant: String,
        /// An instance by name; may be given several times.
        #[arg(long = "instance", required = true)]
        instances: Vec<String>,
        /// An instance that is ready once a TCP port of its floating IP answers, as NAME:PORT; may be given several times.
        #[arg(long, value_parser = ready)]
        ready: Vec<(String, u16)>,
        /// Replicate write by write instead of snapshot by snapshot.
        #[arg(long)]
        journal: bool,
    },
    /// Makes a recovery point.
    Point,
    /// Shows what a failover would do and lose now; nothing is touched.
    Explain,
    /// Rehearses the newest recovery point; `rollback` cleans up.
    Drill,
    /// Prints the recovery points, oldest first.
    Points,
    /// Recovers on the target: the latest data, or a recovery point.
    Failover {
        /// The recovery point; none takes the latest data.
        #[arg(long)]
        point: Option<String>,
        /// Allows a forced promotion when the source does not answer: why.
        #[arg(long)]
        force: Option<String>,
    },
    /// Rolls the drill or failover back that waits for a decision.
    Rollback,
    /// Confirms the failover that waits for a decision.
    Confirm,
    /// Continues whatever is unfinished until it needs somebody.
    Resume,
    /// Prints the jobs.
    Status,
    /// Writes the newest report to a file.
    Report {
        /// Where to; `.html` gives a page, anything else JSON.
        #[arg(long)]
        out: PathBuf,
    },
    /// After a confirmed failover: protects in the other direction. A failover is then the failback.
    Reprotect {
        /// After a forced failover: lets copies that diverged on the old side be thrown away. Why.
        #[arg(long)]
        give_up: Option<String>,
    },
    /// Stays and watches for so long: a source that comes back after a forced failover is made read only.
    Watch {
        /// How long, in seconds.
        #[arg(long)]
        seconds: u64,
    },
    /// Ends the plan and the mirroring.
    Unprotect,
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let store = Arc::new(SqliteStore::open(&cli.store)?);
    let mut settings = Settings::default();
    // Each command is a short-lived engine: it reads what it needs when it needs it.
    settings.monitor = false;
    let engine = Engine::builder(store)
        .settings(settings)
        .readiness_probe(Arc::new(NetworkProbe::new()?))
        .build()?;
    let session = engine.session(Actor::admin(&cli.actor));
    let c = &cli.clouds;
    let (source, target) = (c.source_providers()?, c.target_providers()?);
    for (name, providers) in [(&cli.clouds.source, &source), (&cli.clouds.target, &target)] {
        if let Some(cluster) = session.clusters().by_name(name).await? {
            engine.attach(&cluster.id, providers.clone());
        }
    }
    for job in engine.start().await? {
        println!("continuing job {job}");
    }
    let result = run(&cli, &session, source, target).await;
    engine.shutdown().await;
    result
}

impl CloudArgs {
    fn source_providers(&self) -> Result<Providers> {
        let control = self.source_mirror_control.as_deref();
        let ceph = self.ceph(&self.source_site, &self.source_ceph, &self.source_keyring, control);
        providers(&self.clouds, &self.source, ceph)
    }

    fn target_providers(&self) -> Result<Providers> {
        let control = self.target_mirror_control.as_deref();
        let ceph = self.ceph(&self.target_site, &self.target_ceph, &self.target_keyring, control);
        providers(&self.clouds, &self.target, ceph)
    }

    fn ceph(&self, site: &str, conf: &Path, keyring: &Path, control: Option<&str>) -> CephConfig {
        CephConfig {
            conf: conf.to_owned(),
            user: self.ceph_user.clone(),
            keyring: keyring.to_owned(),
            admin: None,
            pools: vec![PoolRef::new(&self.pool)],
            site_name: site.to_owned(),
            limits: Limits::default(),
            programs: Programs::default(),
            mirror_daemon: control.map(mirror_control),
        }
    }
}

fn mirror_control(program: &str) -> DaemonControl {
    let call = |verb: &str| vec![program.to_owned(), verb.to_owned()];
    DaemonControl {
        stop: call("stop"),
        start: call("start"),
    }
}

fn providers(clouds: &Path, cloud: &str, ceph: CephConfig) -> Result<Providers> {
    let mut config = OpenStackConfig::from_clouds_yaml(Some(clouds), cloud)?;
    // The address in clouds.yaml is the operator's word for how to reach the cloud; `check` warns of plain http.
    config.allow_http = true;
    Ok(Providers {
        cloud: Arc::new(OpenStack::new(config)?),
        storage: Arc::new(Ceph::new(ceph)?),
    })
}

async fn run(cli: &Cli, session: &Session, source: Providers, target: Providers) -> Result<()> {
    match &cli.command {
        Command::Register => {
            for (name, providers) in [(&cli.clouds.source, source), (&cli.clouds.target, target)] {
                let id = register(session, name, providers).await?;
                let inventory = session.inventory().whole(&id).await?;
                println!(
                    "{name}: {} instances, {} volumes",
                    inventory.instances.len(),
                    inventory.volumes.len()
                );
            }
            Ok(())
        }
        Command::Protect {
            group,
            tenant,
            instances,
            ready,
            journal,
        } => {
            register(session, &cli.clouds.source, source).await?;
            register(session, &cli.clouds.target, target).await?;
            protect(cli, session, group, tenant, instances, ready, *journal).await
        }
        Command::Point => {
            let (group, _) = protected(session).await?;
            let (point, job) = session.points().create(&group.id).await?;
            must_succeed(session, &job).await?;
            println!("recovery point {point}");
            Ok(())
        }
        Command::Explain => {
            let (group, plan) = protected(session).await?;
            let answer = session.jobs().explain(&JobRequest::failover(group.id, plan.id)).await?;
            println!("{}", serde_json::to_string_pretty(&answer)?);
            Ok(())
        }
        Command::Drill => {
            let (group, plan) = protected(session).await?;
            let request = JobRequest::drill(group.id, plan.id);
            foretell(cli, session.jobs().explain(&request)).await?;
            let job = session.jobs().create(request).await?;
            must_succeed(session, &job).await.map(|_| ())
        }
        Command::Points => {
            let (group, _) = protected(session).await?;
            for point in session.points().list(&group.id, &Query::default()).await? {
                println!("{} {} {:?}", point.id, point.taken_at, point.consistency);
            }
            Ok(())
        }
        Command::Failover { point, force: reason } => {
            let (group, plan) = protected(session).await?;
            let mut request = JobRequest::failover(group.id, plan.id);
            request.data_point = match point {
                Some(point) => DataPoint::SpecificSnapshot {
                    point_id: point.as_str().into(),
                },
                None => DataPoint::LatestData,
            };
            request.force = reason.as_deref().map(|reason| force(cli, reason));
            foretell(cli, session.jobs().explain(&request)).await?;
            let job = session.jobs().create(request).await?;
            must_succeed(session, &job).await.map(|_| ())
        }
        Command::Rollback => {
            let job = waiting(session).await?;
            let operation = match job.state {
                JobState::ClearFailed => JobOperation::RetryRollback,
                _ => JobOperation::Rollback,
            };
            operate(cli, session, &job.id, operation).await
        }
        Command::Confirm => operate(cli, session, &waiting(session).await?.id, JobOperation::Confirm).await,
        Command::Resume => {
            for job in all_jobs(session)
                .await?
                .iter()
                .filter(|j| j.state != JobState::Finished)
            {
                let ended = follow(session, &job.id).await?;
                if ended.state == JobState::ClearFailed {
                    bail!(
                        "the clean-up of job {} failed: see the report of its tasks, and retry it",
                        job.id
                    );
                }
            }
            Ok(())
        }
        Command::Status => {
            for job in all_jobs(session).await? {
                println!("{}", serde_json::to_string(&job)?);
            }
            Ok(())
        }
        Command::Report { out } => {
            let jobs = all_jobs(session).await?;
            let job = jobs
                .iter()
                .rev()
                .find(|j| j.work.recovery().is_some() && j.state == JobState::Finished);
            let job = job.context("no drill or failover has finished yet")?;
            let report = session.reports().get(&job.id).await?;
            let page = out.extension().is_some_and(|e| e == "html");
            let text = if page { report.html()? } else { report.json()? };
            std::fs::write(out, text).with_context(|| format!("writing {}", out.display()))
        }
        Command::Reprotect { give_up } => {
            let offers = session.failback().offers(&Query::default()).await?.items;
            let offer = offers.last().context("no confirmed failover offers a way back")?;
            let give_up = give_up.as_deref().map(|reason| force(cli, reason));
            let request = ReprotectRequest { give_up };
            foretell(cli, session.failback().explain_reprotect(&offer.job_id, &request)).await?;
            let (_, plan, job) = session.failback().reprotect(&offer.job_id, request).await?;
            println!("plan {}: the old copies follow", plan.id);
            must_succeed(session, &job).await?;
            finish_all(session).await
        }
        Command::Watch { seconds } => {
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
            finish_all(session).await
        }
        Command::Unprotect => {
            let (group, plan) = protected(session).await?;
            foretell(cli, session.plans().explain_delete(&plan.id)).await?;
            let job = session.plans().delete(&plan.id).await?;
            must_succeed(session, &job).await?;
            Ok(session.protection_groups().delete(&group.id).await?)
        }
    }
}

/// Registers a cluster, or reads its inventory anew when it is registered already.
async fn register(session: &Session, name: &str, providers: Providers) -> Result<ClusterId> {
    let clusters = session.clusters();
    if let Some(cluster) = clusters.by_name(name).await? {
        clusters.sync(&cluster.id).await?;
        return Ok(cluster.id);
    }
    let request = ClusterRequest {
        name: name.to_owned(),
        owner_group_id: OwnerGroupId::new("operators"),
        note: String::new(),
    };
    Ok(clusters.register(request, providers).await?.id)
}

/// Reads `NAME:PORT`.
fn ready(text: &str) -> Result<(String, u16), String> {
    let (name, port) = text.rsplit_once(':').ok_or("give NAME:PORT")?;
    let port = port.parse().map_err(|e| format!("{port} is no port: {e}"))?;
    Ok((name.to_owned(), port))
}

async fn protect(
    cli: &Cli,
    session: &Session,
    group: &str,
    tenant: &str,
    names: &[String],
    ready: &[(String, u16)],
    journal: bool,
) -> Result<()> {
    let clusters = session.clusters();
    let source = clusters
        .by_name(&cli.clouds.source)
        .await?
        .context("the source is not registered")?;
    let target = clusters
        .by_name(&cli.clouds.target)
        .await?
        .context("the target is not registered")?;
    let inventory = session.inventory().whole(&source.id).await?;
    let mut instances = Vec::new();
    for name in names {
        let found: Vec<_> = inventory.instances.values().filter(|i| &i.name == name).collect();
        match found[..] {
            [instance] => instances.push(instance.id.clone()),
            [] => bail!("there is no instance named {name}"),
            _ => bail!("several instances are named {name}"),
        }
    }
    let group = session
        .protection_groups()
        .create(GroupRequest {
            name: group.to_owned(),
            description: String::new(),
            owner_group_id: OwnerGroupId::new("operators"),
            source_cluster: source.id,
            instances,
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        })
        .await?;
    let mut plan = session.plans().suggest(&group.id, &target.id).await?;
    plan.mapping.tenant_name = tenant.to_owned();
    for (name, port) in ready {
        let found = inventory.instances.values().find(|i| &i.name == name);
        let mapping = found.and_then(|i| plan.mapping.instances.get_mut(&i.id));
        let mapping = mapping.with_context(|| format!("{name} is not in the group"))?;
        mapping.ready = Some(ReadinessCheck::new(Probe::Port { port: *port }));
    }
    plan.replication_mode = if journal {
        ReplicationMode::Journal
    } else {
        ReplicationMode::Snapshot
    };
    let (plan, job) = session.plans().create(plan).await?;
    println!("plan {}: initial mirroring", plan.id);
    must_succeed(session, &job).await?;
    finish_all(session).await
}

/// Waits for what follows by itself: the first recovery point.
async fn finish_all(session: &Session) -> Result<()> {
    for job in all_jobs(session)
        .await?
        .iter()
        .filter(|j| j.state != JobState::Finished)
    {
        must_succeed(session, &job.id).await?;
    }
    Ok(())
}

/// The operator's word that what was not replicated may be lost.
fn force(cli: &Cli, reason: &str) -> ForceRight {
    ForceRight {
        operator: cli.actor.clone(),
        reason: reason.to_owned(),
        accepts_data_loss: true,
        without_fence: false,
    }
}

/// The group and the plan this program works on: the only ones of its store.
async fn protected(session: &Session) -> Result<(ProtectionGroup, RecoveryPlan)> {
    let plans = session.plans().list(&Query::default()).await?.items;
    let [plan] = &plans[..] else {
        bail!("there are {} plans; this program works on one", plans.len())
    };
    Ok((session.protection_groups().get(&plan.group_id).await?, plan.clone()))
}

async fn all_jobs(session: &Session) -> Result<Vec<JobSummary>> {
    let (mut all, mut query) = (Vec::new(), Query::default());
    loop {
        let jobs = session.jobs().list(&query).await?;
        all.extend(jobs.items);
        let Some(next) = jobs.next else { return Ok(all) };
        query.page.after = Some(next);
    }
}

/// The job that waits for an operator.
async fn waiting(session: &Session) -> Result<JobSummary> {
    let jobs = all_jobs(session).await?;
    let job = jobs
        .into_iter()
        .rev()
        .find(|j| j.work.recovery().is_some() && j.state != JobState::Finished);
    let job = job.context("no job waits for a decision")?;
    // One that was interrupted first gets to where it can be decided about.
    Ok(session.jobs().wait(&job.id).await?)
}

/// Prints what would be done, unless it is to be done at once.
async fn foretell(cli: &Cli, told: impl Future<Output = ns_core::Result<Explanation>>) -> Result<()> {
    if !cli.at_once {
        show(&told.await?);
    }
    Ok(())
}

async fn operate(cli: &Cli, session: &Session, job: &JobId, operation: JobOperation) -> Result<()> {
    let request = OperationRequest {
        reason: "asked on the command line".to_owned(),
        ..OperationRequest::default()
    };
    foretell(cli, session.jobs().explain_operation(job, operation, &request)).await?;
    session.jobs().operate(job, operation, request).await?;
    let summary = follow(session, job).await?;
    if summary.state != JobState::Finished {
        bail!("job {job} is in {} after {operation}", summary.state);
    }
    Ok(())
}
