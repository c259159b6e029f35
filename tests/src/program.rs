//! The `recover` example as a process: run to its end, or killed at a random moment and continued.

use super::Lab;
use super::lab::SiteName;
use anyhow::{Context, Result, ensure};
use ns_core::journal::JobView;
use ns_core::model::{JobSummary, Query};
use ns_core::store::SqliteStore;
use ns_core::{Actor, Engine};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How the program is called.
#[derive(Debug)]
pub struct Program {
    binary: PathBuf,
    lab: Lab,
    folder: PathBuf,
    runs: u32,
}

/// A kill that happened.
#[derive(Debug, Clone)]
pub struct Killed {
    /// The command that was killed.
    pub command: String,
    /// After how long.
    pub after: Duration,
}

impl Program {
    /// The program with its store and logs in `folder`. Builds it first.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build(lab: &Lab, folder: PathBuf) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--package",
                "ns-examples",
                "--example",
                "recover",
                "--message-format=json",
            ])
            .stderr(Stdio::inherit())
            .output()
            .context("building the program")?;
        ensure!(output.status.success(), "the program does not build");
        let text = String::from_utf8(output.stdout)?;
        let binary = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|m| m.pointer("/target/name").and_then(|n| n.as_str()) == Some("recover"))
            .find_map(|m| m.get("executable")?.as_str().map(PathBuf::from))
            .context("cargo named no executable")?;
        Ok(Self {
            binary,
            lab: lab.clone(),
            folder,
            runs: 0,
        })
    }

    /// The store's file.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("dr.db")
    }

    fn spawn(&mut self, args: &[&str]) -> Result<Child> {
        self.runs += 1;
        let log = self.folder.join(format!("{:03}-{}.log", self.runs, args[0]));
        let out = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let lab = &self.lab;
        let mut command = Command::new(&self.binary);
        command
            .arg("--store")
            .arg(self.store())
            .arg("--clouds")
            .arg(lab.clouds_yaml());
        command
            .arg("--source")
            .arg(lab.cloud_name(SiteName::A))
            .arg("--target")
            .arg(lab.cloud_name(SiteName::B));
        command.arg("--source-ceph").arg(lab.ceph_conf(SiteName::A));
        command
            .arg("--source-keyring")
            .arg(lab.keyring(SiteName::A, "neverstop"));
        command.arg("--target-ceph").arg(lab.ceph_conf(SiteName::B));
        command
            .arg("--target-keyring")
            .arg(lab.keyring(SiteName::B, "neverstop"));
        // The moments at which it is killed count from what it does, not from what it says before.
        command
            .arg("--at-once")
            .args(args)
            .env("RUST_LOG", "debug,hyper=info,reqwest=info");
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        command.spawn().context("starting the program")
    }

    /// What the last run printed.
    ///
    /// # Errors
    /// When there was none.
    pub fn last_words(&self) -> Result<String> {
        let prefix = format!("{:03}-", self.runs);
        let entries = std::fs::read_dir(&self.folder)?.flatten();
        let path = entries
            .map(|e| e.path())
            .find(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)));
        Ok(std::fs::read_to_string(path.context("nothing has run")?)?)
    }

    fn last_log(&self) -> String {
        let text = self.last_words().unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|l| !l.contains("DEBUG")).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it fails or takes longer than `limit`; the end of its output is kept.
    pub async fn run(&mut self, args: &[&str], limit: Duration) -> Result<Duration> {
        let begin = Instant::now();
        let mut child = self.spawn(args)?;
        while begin.elapsed() < limit {
            if let Some(status) = child.try_wait()? {
                ensure!(
                    status.success(),
                    "{} ended with {status}:\n{}",
                    args.join(" "),
                    self.last_log()
                );
                return Ok(begin.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        child.kill()?;
        child.wait()?;
        anyhow::bail!("{} did not end within {limit:?}:\n{}", args.join(" "), self.last_log())
    }

    /// Runs a command, kills it (SIGKILL) `times` times, each time after what `moment` says, and continues with `resume`; the
    /// last run goes to its end. What dies before its job is in the store is asked for again, as an operator would, and like a
    /// run that ends before its moment it does not count as killed. `moment` is told whether it is about a `resume`, and how
    /// often the job was not in the store yet.
    ///
    /// # Errors
    /// When a run fails.
    pub async fn run_killed(
        &mut self,
        args: &[&str],
        times: usize,
        mut moment: impl FnMut(bool, u64) -> Duration,
        limit: Duration,
    ) -> Result<Vec<Killed>> {
        let before = self.recoveries().await?;
        let (mut kills, mut early) = (Vec::new(), 0);
        let mut next = args.to_vec();
        while kills.len() < times {
            let resumed = !kills.is_empty();
            let Some(after) = self.run_until(&next, moment(resumed, early)).await? else {
                return Ok(kills);
            };
            let taken = |job: &JobSummary| !before.iter().any(|b| b.id == job.id && b.state == job.state);
            if !resumed && !self.recoveries().await?.iter().any(taken) {
                early += 1;
                continue;
            }
            kills.push(Killed {
                command: if resumed {
                    format!("{} (resume)", args[0])
                } else {
                    args[0].to_owned()
                },
                after,
            });
            next = vec!["resume"];
        }
        self.run(&next, limit).await?;
        Ok(kills)
    }

    /// Runs a command and kills it after `moment`: after how long that was; none when it came to its end before.
    async fn run_until(&mut self, args: &[&str], moment: Duration) -> Result<Option<Duration>> {
        let begin = Instant::now();
        let mut child = self.spawn(args)?;
        loop {
            if let Some(status) = child.try_wait()? {
                ensure!(
                    status.success(),
                    "{} ended with {status}:\n{}",
                    args.join(" "),
                    self.last_log()
                );
                return Ok(None);
            }
            if begin.elapsed() >= moment {
                child.kill()?;
                child.wait()?;
                return Ok(Some(begin.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// An engine that looks into the store while the program does not run.
    fn engine(&self) -> Result<Engine> {
        let store = Arc::new(SqliteStore::open(self.store())?);
        Ok(Engine::builder(store).build()?)
    }

    /// The drills and failovers of the store and their states.
    async fn recoveries(&self) -> Result<Vec<JobSummary>> {
        let engine = self.engine()?;
        let jobs = engine
            .session(Actor::admin("test"))
            .jobs()
            .list(&Query::default())
            .await?;
        engine.shutdown().await;
        Ok(jobs.into_iter().filter(|j| j.work.recovery().is_some()).collect())
    }

    /// How the newest drill or failover stands.
    ///
    /// # Errors
    /// When there is none or the store cannot be read.
    pub async fn newest(&self) -> Result<JobSummary> {
        let newest = self.recoveries().await?.pop();
        newest.context("there is no drill or failover")
    }

    /// Everything that the newest drill or failover wrote down.
    ///
    /// # Errors
    /// As [`Program::newest`].
    pub async fn newest_view(&self) -> Result<JobView> {
        let newest = self.newest().await?.id;
        let engine = self.engine()?;
        let view = engine.session(Actor::admin("test")).jobs().view(&newest).await?;
        engine.shutdown().await;
        Ok(view)
    }

    /// The folder of store, logs and reports.
    #[must_use]
    pub const fn folder(&self) -> &PathBuf {
        &self.folder
    }
}
