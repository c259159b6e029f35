//! The whole disaster-recovery life on two real clouds: protect, mark, point, a drill by schedule, drill, planned failover, rollback, disaster,
//! forced failover, confirm, report; with the engine's process killed at random moments on the way.
//!
//! Needs a fresh lab (`cargo xtask lab purge && cargo xtask lab up`): the last part kills site A for good.
#![cfg(feature = "lab")]

mod by_python;
mod by_schedule;

use anyhow::{Context, Result, ensure};
use ns_core::journal::TaskStatus;
use ns_core::model::{CloudId, ResourceKind, ResultCode};
use ns_core::provider::{ReplicationPhase, Role};
use ns_tests::{Everything, Guest, Killed, Lab, Program, Secrets, Site, SiteName, difference, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The port on which the lab's guest takes its orders.
const GUEST_PORT: u16 = 7;

/// Random moments that can be had again: the seed is printed.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = || std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_secs());
        let seed = std::env::var("NEVERSTOP_SEED")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or_else(now);
        println!("seed {seed} (NEVERSTOP_SEED)");
        Self(seed)
    }

    fn next(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(from_ms + (self.0 >> 33) % (to_ms - from_ms))
    }
}

struct Run {
    lab: Lab,
    a: Site,
    b: Site,
    program: Program,
    moments: Moments,
    kills: Vec<Killed>,
    begin: Instant,
}

impl Run {
    fn say(&self, what: &str) {
        println!("[{:6.1} s] {what}", self.begin.elapsed().as_secs_f64());
    }

    /// Runs a command to its end through `times` kills at random moments of its first seconds.
    async fn killed(&mut self, args: &[&str], times: usize) -> Result<()> {
        let moments = &mut self.moments;
        // The first run looks at both sites before it has a job, for as long as they take to answer.
        let moment = |resumed, early| match resumed {
            true => moments.next(300, 6_000),
            false => moments.next(300 + early * 1_500, 9_000 + early * 3_000),
        };
        let kills = self
            .program
            .run_killed(args, times, moment, Duration::from_secs(900))
            .await?;
        for kill in &kills {
            self.say(&format!(
                "killed {} after {:.2} s",
                kill.command,
                kill.after.as_secs_f64()
            ));
        }
        self.kills.extend(kills);
        self.succeeded(args[0]).await
    }

    /// The newest job did all it was to do.
    async fn succeeded(&self, what: &str) -> Result<()> {
        let job = self.program.newest().await?;
        ensure!(
            job.result == Some(ResultCode::Success),
            "{what} ended {:?} in {:?}",
            job.result,
            job.state
        );
        Ok(())
    }

    /// The newest server of this name in cloud B.
    async fn recovered(&self, name: &str) -> Result<Guest> {
        let mut stream = self.b.cloud.inventory(&[ResourceKind::Instance]);
        while let Some(resource) = futures::StreamExt::next(&mut stream).await {
            let resource = resource?;
            if resource.name() == name {
                return Ok(Guest {
                    cloud: self.b.cloud.clone(),
                    server: resource.id().clone(),
                });
            }
        }
        anyhow::bail!("cloud B has no server {name}")
    }

    /// OPEN-16: the newest job waited until the guest's port answered.
    async fn was_ready(&self) -> Result<()> {
        let view = self.program.newest_view().await?;
        let mut checks = view.tasks.iter().filter(|(key, _)| key.as_str().starts_with("ready/"));
        let (key, check) = checks.next().context("nothing was checked")?;
        ensure!(
            check.status == TaskStatus::Done,
            "the guest's port does not answer: {check:?}"
        );
        ensure!(checks.next().is_none(), "more was checked than asked for");
        self.say(&format!("its port answers on the Target ({key})"));
        Ok(())
    }

    async fn everything(&self) -> Result<Everything> {
        Everything::read(&self.lab, &[&self.a, &self.b]).await
    }

    /// Nothing is left behind: both sites become as they were.
    async fn as_before(&self, before: &Everything, what: &str) -> Result<()> {
        self.as_before_but(before, what, Everything::clone).await
    }

    /// The same but for what `seen` leaves out.
    async fn as_before_but(&self, before: &Everything, what: &str, seen: fn(&Everything) -> Everything) -> Result<()> {
        let before = seen(before);
        let mut last = Vec::new();
        let settled = wait_for(what, Duration::from_secs(120), || async {
            let difference = difference(&before, &seen(&self.everything().await?));
            Ok(difference.is_empty().then_some(()))
        })
        .await;
        if settled.is_err() {
            last = difference(&before, &seen(&self.everything().await?));
        }
        ensure!(settled.is_ok(), "{what} left a difference:\n{}", last.join("\n"));
        self.say(&format!("{what}: no difference"));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_life_on_two_real_clouds() -> Result<()> {
    let lab = Lab::open()?;
    let folder = tempfile::Builder::new()
        .prefix("neverstop-e2e-")
        .disable_cleanup(true)
        .tempdir()?
        .keep();
    println!("store and logs in {}", folder.display());
    let program = Program::build(&lab, folder.clone())?;
    let (a, b) = (Site::connect(&lab, SiteName::A)?, Site::connect(&lab, SiteName::B)?);
    let mut run = Run {
        lab,
        a,
        b,
        program,
        moments: Moments::new(),
        kills: vec![],
        begin: Instant::now(),
    };

    // Whatever the program is called with, its arguments are looked at while it runs.
    let secrets = Arc::new(Secrets::of(&run.lab)?);
    let (over, seen) = (Arc::new(AtomicBool::new(false)), secrets.clone());
    let watched = over.clone();
    let arguments = tokio::task::spawn_blocking(move || -> Result<Vec<String>> {
        let mut found = std::collections::BTreeSet::new();
        while !watched.load(Ordering::Relaxed) {
            found.extend(seen.search_arguments()?);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(found.into_iter().collect())
    });

    let result = life(&mut run).await;
    over.store(true, Ordering::Relaxed);
    let arguments = arguments.await??;
    result?;

    let leaks = secrets.search(&folder)?;
    ensure!(leaks.is_empty(), "secrets were written:\n{}", leaks.join("\n"));
    ensure!(
        arguments.is_empty(),
        "secrets in process arguments:\n{}",
        arguments.join("\n")
    );
    run.say(&format!(
        "{} secrets: none in store, logs, reports or process arguments",
        secrets.count()
    ));
    ensure!(
        run.kills.len() >= 10,
        "only {} kills hit a running process",
        run.kills.len()
    );
    run.say(&format!("{} kills survived", run.kills.len()));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn life(run: &mut Run) -> Result<()> {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let group = run.a.make_group(&run.lab).await?;
    let guest_a = Guest {
        cloud: run.a.cloud.clone(),
        server: group.guest.clone(),
    };
    let first = guest_a.booted().await?;
    run.say(&format!("source runs at {}: {first}", group.address));

    by_python::drill(run, &group.names).await?;

    let mut protect = vec!["protect", "--group", "e2e-group", "--tenant", "e2e-recovered"];
    group.names.iter().for_each(|n| protect.extend(["--instance", n]));
    // Seen through the other cloud's router: the guest answers there.
    let ready = format!("e2e-guest:{GUEST_PORT}");
    protect.extend(["--ready", &ready]);
    run.program.run(&protect, minutes(10)).await?;
    run.say("protected: initial mirroring and first recovery point done");

    Guest::mark(&group.address, GUEST_PORT, "E2E-ONE").await?;
    run.program.run(&["point"], minutes(5)).await?;
    run.say("marker E2E-ONE written, recovery point made");

    by_schedule::drill(run).await?;
    drill(run).await?;
    planned(run, &group.address, &guest_a).await?;
    disaster(run, &group.address).await
}

async fn drill(run: &mut Run) -> Result<()> {
    let before = run.everything().await?;
    run.killed(&["drill"], 4).await?;
    let guest = run.recovered("e2e-guest").await?;
    let line = guest.booted().await?;
    ensure!(
        Guest::marker(&line) == Some("E2E-ONE"),
        "the drill's guest shows {line}"
    );
    run.say(&format!("drill: {line}"));
    replicas_replicate(run).await?;
    run.killed(&["rollback"], 2).await?;
    run.as_before(&before, "drill and clean-up").await
}

/// Replication goes on while a drill runs: every replica is secondary and follows.
async fn replicas_replicate(run: &Run) -> Result<()> {
    let images: Vec<String> = serde_json::from_str(&run.lab.rbd(SiteName::B, &["ls", "volumes", "--format", "json"])?)?;
    let mut replicas = 0;
    // Cinder's names: whatever else lies in the pool is not of the group.
    for image in images.iter().filter(|name| name.starts_with("volume-")) {
        let image = ns_core::model::StorageRef::new(format!("rbd:volumes/{image}"));
        let Some(state) = run.b.storage.image(&image).await? else {
            continue;
        };
        if state.replication.is_some() {
            let status = run.b.storage.status(&image).await?;
            ensure!(
                state.role == Role::Secondary,
                "{image} is {:?} during a drill",
                state.role
            );
            ensure!(
                status.phase == ReplicationPhase::Replicating,
                "{image}: {:?}",
                status.phase
            );
            replicas += 1;
        }
    }
    ensure!(replicas == 5, "{replicas} replicas");
    run.say("replication goes on during the drill");
    Ok(())
}

async fn planned(run: &mut Run, address: &str, guest_a: &Guest) -> Result<()> {
    // Not in any recovery point: a planned failover must bring it all the same.
    Guest::mark(address, GUEST_PORT, "E2E-TWO").await?;
    let before = run.everything().await?;
    let begin = Instant::now();
    run.killed(&["failover"], 4).await?;
    run.say(&format!(
        "planned failover took {:.1} s with its kills",
        begin.elapsed().as_secs_f64()
    ));
    let guest = run.recovered("e2e-guest").await?;
    let line = guest.booted().await?;
    ensure!(
        Guest::marker(&line) == Some("E2E-TWO"),
        "after the planned failover the guest shows {line}"
    );
    let disks = guest.disks(2).await?;
    ensure!(
        disks.iter().filter(|d| Guest::marker(d) == Some("E2E-TWO")).count() == 2,
        "both disks: {disks:?}"
    );
    run.say(&format!("planned failover: {line}"));
    run.was_ready().await?;
    run.killed(&["rollback"], 2).await?;
    run.as_before(&before, "planned failover and rollback").await?;
    let line = guest_a.booted().await?;
    ensure!(
        Guest::marker(&line) == Some("E2E-TWO"),
        "after the rollback the source shows {line}"
    );
    run.say(&format!("rolled back: {line}"));
    Ok(())
}

async fn disaster(run: &mut Run, address: &str) -> Result<()> {
    Guest::mark(address, GUEST_PORT, "E2E-THREE").await?;
    run.program.run(&["point"], Duration::from_secs(300)).await?;
    run.lab.xtask("kill", SiteName::A)?;
    run.say("site A killed");
    let refused = run.program.run(&["failover"], Duration::from_secs(180)).await;
    let words = format!(
        "{:#}",
        refused
            .err()
            .context("a failover without force right was let through")?
    );
    ensure!(
        words.contains("failover.source_unreachable"),
        "the refusal says: {words}"
    );
    let begin = Instant::now();
    run.killed(&["failover", "--force", "site A is lost"], 2).await?;
    run.say(&format!(
        "forced failover took {:.1} s with its kills",
        begin.elapsed().as_secs_f64()
    ));
    let guest = run.recovered("e2e-guest").await?;
    let line = guest.booted().await?;
    ensure!(
        Guest::marker(&line) == Some("E2E-THREE"),
        "after the disaster the guest shows {line}"
    );
    run.say(&format!("disaster failover: {line}"));
    run.was_ready().await?;
    run.program.run(&["confirm"], Duration::from_secs(300)).await?;
    let folder = run.program.folder().clone();
    for name in ["report.json", "report.html"] {
        let out = folder.join(name);
        run.program
            .run(&["report", "--out", &out.to_string_lossy()], Duration::from_secs(60))
            .await?;
    }
    let report = std::fs::read_to_string(folder.join("report.json"))?;
    ensure!(
        report.contains("site A is lost"),
        "the report does not name the decision"
    );
    let servers: Vec<CloudId> = vec![guest.server];
    for server in servers {
        ensure!(
            run.b.cloud.get(ResourceKind::Instance, &server).await?.is_some(),
            "PLAN-31: confirm keeps what was recovered"
        );
    }
    run.say("confirmed and reported");
    Ok(())
}
