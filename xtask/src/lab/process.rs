//! The supervisor: starts processes that outlive it, and finds, stops, kills and freezes them later by what it wrote
//! down and by what it left in their environment, never by a program's name. Knows no service.
use super::{
    Site,
    command::{Hopeless, wait_until},
    ownership::{self, MARK, Ours},
    partition, procfs,
    state::{State, write_file},
};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// After a SIGKILL a process is gone at once, unless the kernel has it in a disk wait.
const KILL_DEADLINE: Duration = Duration::from_secs(20);

/// Which half a process belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Group {
    /// Ceph daemons.
    Ceph,
    /// Services of a cloud.
    Openstack,
    /// What both clouds share: database, message broker, libvirt.
    Infra,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Ceph => "ceph",
            Self::Openstack => "openstack",
            Self::Infra => "infra",
        }
    }
}

/// A process to start.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// Unique in the lab; names the record and the log.
    pub(crate) name: String,
    /// The site that loses it when it is killed; `None` for what the sites share.
    pub(crate) site: Option<Site>,
    /// The half it belongs to.
    pub(crate) group: Group,
    /// Program.
    pub(crate) command: PathBuf,
    /// Arguments; no secrets.
    pub(crate) args: Vec<OsString>,
    /// Additional environment.
    pub(crate) env: Vec<(String, OsString)>,
    /// Working directory; the state folder when `None`.
    pub(crate) cwd: Option<PathBuf>,
    /// User to run as, by name; ours when `None`.
    pub(crate) user: Option<String>,
}

impl Spec {
    /// A process with arguments and nothing else.
    pub(crate) fn new(
        group: Group,
        site: Option<Site>,
        name: impl Into<String>,
        command: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            name: name.into(),
            site,
            group,
            command: command.into(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: None,
            user: None,
        }
    }

    /// With one more environment variable.
    pub(crate) fn env(mut self, key: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }
}

/// What is written down about a started process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// As in [`Spec`].
    pub(crate) name: String,
    /// As in [`Spec`].
    pub(crate) site: Option<Site>,
    /// As in [`Spec`].
    pub(crate) group: Group,
    /// Process id, also of its session and process group.
    pub(crate) pid: u32,
    /// Start time in clock ticks since boot.
    pub(crate) start: u64,
    /// The boot it belongs to.
    pub(crate) boot: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
}

/// Starts and ends the processes of one state folder.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor<'a> {
    state: &'a State,
}

impl<'a> Supervisor<'a> {
    /// For one state folder.
    pub(crate) fn new(state: &'a State) -> Self {
        Self { state }
    }

    /// Starts a process in a session of its own, output appended to `log/NAME.log`. Does nothing when the process of
    /// this name is alive. Returns whether it started one.
    ///
    /// # Errors
    /// The program cannot be started, the user does not exist, or the record cannot be written.
    pub(crate) fn start(&self, spec: &Spec) -> Result<bool> {
        if self.alive(&spec.name)? {
            return Ok(false);
        }
        let log = self.state.log_dir().join(format!("{}.log", spec.name));
        let log = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let site = spec.site.map_or("-", Site::letter);
        let root = self.state.root();
        let mut command = Command::new(&spec.command);
        command
            .args(&spec.args)
            .env(
                MARK,
                format!("{}:{site}:{}:{}", spec.group.name(), spec.name, root.display()),
            )
            .envs(spec.env.iter().map(|(key, value)| (key, value)))
            .current_dir(spec.cwd.as_deref().unwrap_or(root))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(user) = &spec.user {
            let (uid, gid) = ids_of(user)?;
            command.uid(uid).gid(gid);
        }
        let group = match spec.site {
            Some(site) => partition::membership(self.state, site)?,
            None => None,
        };
        procfs::detach(&mut command, group);
        let child = command
            .spawn()
            .with_context(|| format!("start {} ({})", spec.name, spec.command.display()))?;
        let pid = child.id();
        // not waited for: until we exit it may be a zombie, which counts as dead everywhere here
        drop(child);
        let argv = std::iter::once(spec.command.as_os_str()).chain(spec.args.iter().map(OsString::as_os_str));
        let record = Record {
            name: spec.name.clone(),
            site: spec.site,
            group: spec.group,
            pid,
            start: procfs::stat(pid).map_or(0, |stat| stat.start),
            boot: procfs::boot_id()?,
            argv: argv.map(|word| word.to_string_lossy().into_owned()).collect(),
        };
        write_file(
            &self.record_path(&spec.name),
            &serde_json::to_vec_pretty(&record)?,
            0o644,
        )?;
        Ok(true)
    }

    /// Whether the recorded process of this name runs (frozen counts as running).
    pub(crate) fn alive(&self, name: &str) -> Result<bool> {
        let path = self.record_path(name);
        Ok(path.exists() && is_alive(&read_record(&path)?, &procfs::boot_id()?))
    }

    /// Fails for good when the process has ended, with the end of its log: for conditions of [`wait_until`].
    pub(crate) fn must_live(&self, name: &str) -> Result<()> {
        if !self.alive(name)? {
            let log = self.state.log_dir().join(format!("{name}.log"));
            let text = fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(15)..].join("\n");
            bail!(Hopeless(format!("{name} ended; {}:\n{end}", log.display())));
        }
        Ok(())
    }

    /// Every record, alive or not, with whether it is alive.
    pub(crate) fn records(&self) -> Result<Vec<(Record, bool)>> {
        let boot = procfs::boot_id()?;
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(self.state.run_dir())? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "json") {
                let record = read_record(&path)?;
                let alive = is_alive(&record, &boot);
                found.insert(record.name.clone(), (record, alive));
            }
        }
        Ok(found.into_values().collect())
    }

    /// Stops the named processes together: SIGTERM to each one's group, and after `grace` SIGKILL to those left.
    pub(crate) fn stop(&self, names: &[&str], grace: Duration) -> Result<()> {
        let mut left = Vec::new();
        for (record, alive) in self.records()? {
            if names.contains(&record.name.as_str()) {
                if alive {
                    procfs::signal_group(record.pid, libc::SIGTERM);
                    // a frozen process sees the signal only once it runs again
                    procfs::signal_group(record.pid, libc::SIGCONT);
                }
                left.push(record);
            }
        }
        let boot = procfs::boot_id()?;
        let gone = |records: &[Record]| Ok(records.iter().all(|record| !is_alive(record, &boot)).then_some(()));
        if wait_until("processes to end", grace, || gone(&left)).is_err() {
            for record in left.iter().filter(|record| is_alive(record, &boot)) {
                procfs::signal_group(record.pid, libc::SIGKILL);
            }
            wait_until("killed processes to end", KILL_DEADLINE, || gone(&left))?;
        }
        for record in &left {
            drop(fs::remove_file(self.record_path(&record.name)));
        }
        Ok(())
    }

    /// Stops every recorded process of a group (of one site, or of all) together.
    pub(crate) fn stop_group(&self, group: Group, site: Option<Site>, grace: Duration) -> Result<()> {
        let records = self.records()?;
        let of_group = |record: &&Record| record.group == group && (site.is_none() || record.site == site);
        let names: Vec<&str> = records
            .iter()
            .map(|(r, _)| r)
            .filter(of_group)
            .map(|r| r.name.as_str())
            .collect();
        self.stop(&names, grace)
    }

    /// SIGKILL to everything of a site at once, or only to the named process's session. Returns how many
    /// there were.
    pub(crate) fn kill_site(&self, site: Site, only: Option<&str>) -> Result<usize> {
        let session = self.session(site, only)?;
        self.kill_all("killed processes to end", |ours| ours.is_of(site, session))
    }

    /// SIGSTOP to everything of a site, or to one process.
    pub(crate) fn freeze(&self, site: Site, only: Option<&str>) -> Result<usize> {
        self.signal_site(site, only, libc::SIGSTOP)
    }

    /// SIGCONT to everything of a site, or to one process.
    pub(crate) fn thaw(&self, site: Site, only: Option<&str>) -> Result<usize> {
        self.signal_site(site, only, libc::SIGCONT)
    }

    /// SIGKILL to what an interrupted run left at work on `folder` without a record: one-off commands.
    pub(crate) fn kill_strays(&self, folder: &Path) -> Result<usize> {
        let folder = folder.to_string_lossy();
        self.kill_all("killed strays to end", |ours| {
            ours.stray && ownership::mentions(&procfs::arguments(ours.pid), &folder)
        })
    }

    /// Ends everything of this state folder that still runs, recorded or not, and forgets all records.
    pub(crate) fn reap(&self, grace: Duration) -> Result<usize> {
        let left = self.ours()?;
        for ours in &left {
            procfs::signal(ours.pid, libc::SIGTERM);
            procfs::signal(ours.pid, libc::SIGCONT);
        }
        if !left.is_empty() && wait_until("leftovers", grace, || Ok(self.ours()?.is_empty().then_some(()))).is_err() {
            self.kill_all("killed leftovers to end", |_| true)?;
        }
        for (record, _) in self.records()? {
            drop(fs::remove_file(self.record_path(&record.name)));
        }
        Ok(left.len())
    }

    fn signal_site(&self, site: Site, only: Option<&str>, signal: libc::c_int) -> Result<usize> {
        let (session, ours) = (self.session(site, only)?, self.ours()?);
        let wanted: Vec<&Ours> = ours.iter().filter(|ours| ours.is_of(site, session)).collect();
        wanted.iter().for_each(|ours| procfs::signal(ours.pid, signal));
        Ok(wanted.len())
    }

    /// The session of a site's named process.
    fn session(&self, site: Site, name: Option<&str>) -> Result<Option<u32>> {
        let Some(name) = name else { return Ok(None) };
        let found = self
            .records()?
            .into_iter()
            .find(|(r, alive)| *alive && r.name == name && r.site == Some(site));
        let (record, _) = found.with_context(|| format!("no process {name} runs at {}", site.name()))?;
        Ok(Some(record.pid))
    }

    /// Kills again and again until none is left: a process may fork while its parent is being killed.
    fn kill_all(&self, what: &str, which: impl Fn(&Ours) -> bool) -> Result<usize> {
        let mut killed = HashSet::new();
        wait_until(what, KILL_DEADLINE, || {
            let left: Vec<Ours> = self.ours()?.into_iter().filter(|ours| which(ours)).collect();
            for ours in &left {
                procfs::signal(ours.pid, libc::SIGKILL);
                killed.insert((ours.pid, ours.start));
            }
            Ok(left.is_empty().then_some(()))
        })?;
        Ok(killed.len())
    }

    /// Every running process of the lab.
    fn ours(&self) -> Result<Vec<Ours>> {
        let boot = procfs::boot_id()?;
        let records: Vec<Record> = self
            .records()?
            .into_iter()
            .map(|(r, _)| r)
            .filter(|r| r.boot == boot)
            .collect();
        ownership::find(self.state.root(), &records)
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.state.run_dir().join(format!("{name}.json"))
    }
}

fn read_record(path: &Path) -> Result<Record> {
    serde_json::from_slice(&fs::read(path)?).with_context(|| format!("read {}", path.display()))
}

fn is_alive(record: &Record, boot: &str) -> bool {
    record.boot == boot && procfs::stat(record.pid).is_some_and(|stat| stat.start == record.start && !stat.zombie)
}

/// User and group id of a local user.
fn ids_of(user: &str) -> Result<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user));
    let fields: Vec<&str> = line.with_context(|| format!("no user {user}"))?.split(':').collect();
    match (fields.get(2), fields.get(3)) {
        (Some(uid), Some(gid)) => Ok((uid.parse()?, gid.parse()?)),
        _ => bail!("no ids for user {user}"),
    }
}
