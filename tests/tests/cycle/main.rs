//! Failover and failback of the real guest, again and again: nothing is left behind, and every byte is the same on the other
//! side. `cargo xtask cycle` says how often, and how often the engine's process is killed on the way. The way out is planned
//! at first; then site A is killed, frozen and cut off in turn, and returns while B runs (`loss`).
//!
//! Needs a fresh lab (`cargo xtask lab purge && cargo xtask lab up`).
#![cfg(feature = "lab")]

mod loss;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use loss::Loss;
use ns_core::model::{CloudId, Resource, ResourceKind};
use ns_tests::{Everything, Guest, Lab, Program, Site, SiteName, difference, wait_for};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const GUEST_PORT: u16 = 7;
const LONG: Duration = Duration::from_secs(900);

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

struct Cycle {
    lab: Lab,
    a: Site,
    b: Site,
    program: Program,
    begin: Instant,
    /// Still to be made, over how many more killable commands.
    kills: (usize, usize),
    killed: usize,
    leaks: Vec<String>,
    wrong: Vec<String>,
    random: u64,
}

impl Cycle {
    fn say(&self, what: &str) {
        println!("[{:6.1} s] {what}", self.begin.elapsed().as_secs_f64());
    }

    /// A byte that is not what it was written to be.
    fn data_error(&mut self, what: String) {
        println!("data error: {what}");
        self.wrong.push(what);
    }

    fn next(&mut self, below: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    /// Runs a command with its share of the kills.
    async fn run(&mut self, args: &[&str]) -> Result<()> {
        let (left, commands) = self.kills;
        let share = left.div_ceil(commands.max(1));
        let mut random = self.random;
        let moment = |resumed: bool, early: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let within = if resumed { 5_000 } else { 9_000 + early * 3_000 };
            Duration::from_millis(300 + early * 6_000 + (random >> 33) % within)
        };
        let kills = self.program.run_killed(args, share, moment, LONG).await?;
        self.random = random;
        self.kills = (left - kills.len(), commands.saturating_sub(1));
        self.killed += kills.len();
        let times: Vec<String> = kills.iter().map(|k| format!("{:.1}", k.after.as_secs_f64())).collect();
        self.say(&format!("{} (killed after s: {})", args.join(" "), times.join(", ")));
        Ok(())
    }

    fn site(&self, name: SiteName) -> &Site {
        match name {
            SiteName::A => &self.a,
            SiteName::B => &self.b,
        }
    }

    async fn inventory(&self, site: SiteName, kinds: &[ResourceKind]) -> Result<Vec<Resource>> {
        let mut stream = self.site(site).cloud.inventory(kinds);
        let mut all = Vec::new();
        while let Some(resource) = stream.next().await {
            all.push(resource?);
        }
        Ok(all)
    }

    async fn server(&self, site: SiteName, name: &str) -> Result<CloudId> {
        let all = self.inventory(site, &[ResourceKind::Instance]).await?;
        let found = all.iter().find(|r| r.name() == name);
        Ok(found.with_context(|| format!("no server {name}"))?.id().clone())
    }

    /// The address at which the guest of a site takes orders.
    async fn address(&self, site: SiteName) -> Result<String> {
        let server = self.server(site, "e2e-guest").await?;
        let all = self
            .inventory(site, &[ResourceKind::Port, ResourceKind::FloatingIp])
            .await?;
        let ours = |port: &CloudId| {
            all.iter()
                .any(|r| matches!(r, Resource::Port(p) if &p.id == port && p.device_id == server.as_str()))
        };
        let found = all.iter().find_map(|r| match r {
            Resource::FloatingIp(f) => f.port_id.as_ref().filter(|p| ours(p)).map(|_| f.address.clone()),
            _ => None,
        });
        found.context("the guest has no floating address")
    }

    /// The guest on this side has booted from a disk with this marker.
    async fn shows(&mut self, site: SiteName, marker: &str) -> Result<()> {
        let guest = Guest {
            cloud: self.site(site).cloud.clone(),
            server: self.server(site, "e2e-guest").await?,
        };
        let seen = wait_for("the marker on the console", Duration::from_secs(240), || async {
            let line = guest.booted().await?;
            Ok((Guest::marker(&line) == Some(marker)).then_some(()))
        })
        .await;
        if let Err(error) = seen {
            self.data_error(format!("site {}: {error:#}", site.letter()));
        }
        Ok(())
    }

    /// The replicated images of a site by the identity that both sides share.
    fn replicated(&self, site: SiteName) -> Result<BTreeMap<String, String>> {
        let names: Vec<String> = serde_json::from_str(&self.lab.rbd(site, &["ls", "volumes", "--format", "json"])?)?;
        let mut images = BTreeMap::new();
        for name in names {
            let spec = format!("volumes/{name}");
            let info: serde_json::Value =
                serde_json::from_str(&self.lab.rbd(site, &["info", &spec, "--format", "json"])?)?;
            if let Some(id) = info["mirroring"]["global_id"].as_str() {
                images.insert(id.to_owned(), spec);
            }
        }
        Ok(images)
    }

    /// The checksum of every volume of a site at a recovery point.
    fn checksums(&self, site: SiteName, snapshot: &str) -> Result<BTreeMap<String, String>> {
        let sum = |(id, image): (String, String)| Ok((id, self.lab.checksum(site, &format!("{image}@{snapshot}"))?));
        self.replicated(site)?.into_iter().map(sum).collect()
    }

    /// New bytes on every disk, and a point whose content is the same on both sides.
    async fn point(&mut self, from: SiteName, to: SiteName, marker: &str) -> Result<()> {
        let address = self.address(from).await?;
        Guest::mark(&address, GUEST_PORT, marker).await?;
        self.fill(from)?;
        self.program.run(&["point"], LONG).await?;
        let newest = self.newest_point(from)?;
        let (here, there) = (self.checksums(from, &newest)?, self.checksums(to, &newest)?);
        if here != there || here.len() != 5 {
            self.data_error(format!("{newest}: {here:?} on {from:?}, {there:?} on {to:?}"));
        }
        Ok(())
    }

    /// One way: a point, and the hand-over with what was written after it.
    async fn go(&mut self, from: SiteName, to: SiteName, marker: &str) -> Result<()> {
        self.point(from, to, marker).await?;
        // In no point: only the last shipment brings it.
        let last = format!("{marker}-LAST");
        Guest::mark(&self.address(from).await?, GUEST_PORT, &last).await?;
        self.run(&["failover"]).await?;
        self.shows(to, &last).await?;
        self.run(&["confirm"]).await
    }

    /// Random bytes into the volumes that no real guest has open.
    fn fill(&mut self, site: SiteName) -> Result<()> {
        for image in self.replicated(site)?.into_values() {
            let free = self.lab.rbd(site, &["lock", "ls", &image, "--format", "json"])?;
            if free.trim() != "[]" {
                continue;
            }
            let offset = (self.next(8) << 20).to_string();
            let bench = ["bench", &image, "--io-type", "write", "--io-pattern", "rand"];
            let size = ["--io-size", "65536", "--io-total", "1M", "--io-threads", "1"];
            self.lab
                .rbd(site, &[&bench[..], &size].concat())
                .with_context(|| format!("filling at {offset}"))?;
        }
        Ok(())
    }

    fn newest_point(&self, site: SiteName) -> Result<String> {
        let image = self
            .replicated(site)?
            .into_values()
            .next()
            .context("nothing replicates")?;
        let snaps: Vec<serde_json::Value> =
            serde_json::from_str(&self.lab.rbd(site, &["snap", "ls", &image, "--format", "json"])?)?;
        let mut ours = snaps
            .iter()
            .filter_map(|s| s["name"].as_str())
            .filter(|n| n.starts_with("neverstop-"));
        Ok(ours.next_back().context("no recovery point")?.to_owned())
    }

    async fn everything(&self) -> Result<Everything> {
        Everything::read(&self.lab, &[&self.a, &self.b]).await
    }

    /// Out and back once.
    async fn turn(&mut self, n: usize) -> Result<()> {
        let begin = Instant::now();
        // Of the first point that `go` makes on A, what is on A and B stays; so it is made before the comparison.
        self.program.run(&["point"], LONG).await?;
        let before = self.everything().await?;
        let marker = format!("CYCLE-{n}-OUT");
        match Loss::of(n) {
            None => {
                self.go(SiteName::A, SiteName::B, &marker).await?;
                self.program.run(&["reprotect"], LONG).await?;
            }
            Some(loss) => {
                self.lose(loss, &marker).await?;
                let why = "what site A wrote after its last shipment is given up";
                self.program.run(&["reprotect", "--give-up", why], LONG).await?;
            }
        }
        self.say("protected in the other direction");
        self.go(SiteName::B, SiteName::A, &format!("CYCLE-{n}-BACK")).await?;
        let settled = wait_for("the cycle's end", Duration::from_secs(120), || async {
            Ok(changes(&before, &self.everything().await?).is_empty().then_some(()))
        })
        .await;
        if settled.is_err() {
            let left = changes(&before, &self.everything().await?);
            left.iter().for_each(|line| println!("leak: {line}"));
            self.leaks.extend(left);
        }
        self.say(&format!("cycle {n} took {:.0} s", begin.elapsed().as_secs_f64()));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_and_failback_again_and_again() -> Result<()> {
    let (count, kills) = (number("NEVERSTOP_CYCLES", 1), number("NEVERSTOP_KILLS", 4));
    let seed = number("NEVERSTOP_SEED", 7);
    let lab = Lab::open()?;
    let folder = tempfile::Builder::new()
        .prefix("neverstop-cycle-")
        .disable_cleanup(true)
        .tempdir()?
        .keep();
    println!("seed {seed} (NEVERSTOP_SEED), store and logs in {}", folder.display());
    let program = Program::build(&lab, folder.clone())?;
    let (a, b) = (Site::connect(&lab, SiteName::A)?, Site::connect(&lab, SiteName::B)?);
    let mut cycle = Cycle {
        lab,
        a,
        b,
        program,
        begin: Instant::now(),
        // Each way is a failover and a confirm, and one of the two a reprotection before.
        kills: (kills, count * 4),
        killed: 0,
        leaks: vec![],
        wrong: vec![],
        random: seed as u64,
    };
    let group = cycle.a.make_group(&cycle.lab).await?;
    let guest = Guest {
        cloud: cycle.a.cloud.clone(),
        server: group.guest.clone(),
    };
    guest.booted().await?;
    let mut protect = vec!["protect", "--group", "cycle", "--tenant", "cycle-recovered"];
    group.names.iter().for_each(|n| protect.extend(["--instance", n]));
    cycle.program.run(&protect, LONG).await?;
    cycle.say("protected");
    let first = number("NEVERSTOP_FIRST", 1);
    let mut turns = 0;
    let mut ended = Ok(());
    while ended.is_ok() && turns < count {
        ended = cycle.turn(first + turns).await;
        turns += usize::from(ended.is_ok());
    }
    let (leaks, wrong) = (cycle.leaks.len(), cycle.wrong.len());
    println!(
        "cycle: {turns} cycles, {} kills, {leaks} leaks, {wrong} data errors",
        cycle.killed
    );
    ended?;
    ensure!(leaks == 0 && wrong == 0, "{leaks} leaks, {wrong} data errors");
    ensure!(
        cycle.killed >= kills,
        "only {} of {kills} kills hit a running process",
        cycle.killed
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// What a cycle changed beside the one recovery point that it made on the way out, and keeps.
fn changes(before: &Everything, after: &Everything) -> Vec<String> {
    difference(&before.without_points(), &after.without_points())
}
