//! One small cluster: its configuration, keys, daemons and pools. Knows nothing of mirroring or of the other cluster.
use super::{MIRRORED_POOL, POOLS};
use crate::lab::{
    Site,
    command::{run, run_with_input, wait_until},
    process::{Group, Spec, Supervisor},
    state::{State, write_file},
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{env, ffi::OsString, fmt::Write as _, fs, path::PathBuf, process::Command, time::Duration};
use uuid::Uuid;

const CONF: &str = include_str!("ceph.conf.in");
/// Where a cluster's addresses are when it is made: `.11` and `.12` of this network. With another state folder and
/// another network (`127.0.7`), a second pair of clusters runs beside the first (`lab up --only ceph`).
const NET_VARIABLE: &str = "NEVERSTOP_LAB_NET";
const DEFAULT_NET: &str = "127.0.0";
/// One CLI call on a loaded two-core machine.
const CALL: Duration = Duration::from_secs(60);
/// A cluster serves within this, from nothing or after a kill.
const SERVING: Duration = Duration::from_secs(120);

/// Users and their capabilities (monitor, OSD, manager), beside the daemons' own. `neverstop` has the least that runs
/// every call of a DR engine, with true site names and daemon health; only `mirror pool peer bootstrap create`, which
/// makes a user, needs `admin`.
const USERS: [(&str, [&str; 3]); 5] = [
    ("client.admin", ["allow *", "allow *", "allow *"]),
    (
        "client.neverstop",
        ["profile rbd-mirror, allow r", "profile rbd", "profile rbd"],
    ),
    (
        "client.cinder",
        [
            "profile rbd",
            "profile rbd pool=volumes, profile rbd pool=images",
            "profile rbd",
        ],
    ),
    (
        "client.glance",
        ["profile rbd", "profile rbd pool=images", "profile rbd pool=images"],
    ),
    ("mgr.x", ["allow profile mgr", "allow *", "allow *"]),
];

/// One cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster<'a> {
    state: &'a State,
    site: Site,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(state: &'a State, site: Site) -> Self {
        Self { state, site }
    }

    pub(super) fn site(&self) -> Site {
        self.site
    }

    pub(super) fn supervisor(&self) -> Supervisor<'a> {
        Supervisor::new(self.state)
    }

    /// Makes the cluster from nothing and leaves it serving.
    pub(super) fn create(&self) -> Result<()> {
        let dir = self.dir();
        for sub in ["log", "run", "mon", "mgr", "osd"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let fsid = Uuid::new_v4().to_string();
        let net = env::var(NET_VARIABLE).unwrap_or_else(|_| DEFAULT_NET.to_owned());
        let address = match self.site {
            Site::A => format!("{net}.11"),
            Site::B => format!("{net}.12"),
        };
        self.write_conf(&fsid, &address)?;
        self.make_monitor(&fsid, &address)?;
        self.start_daemon("mon", &["ceph-mon"], "a")?;
        self.wait_monitor()?;
        self.start_daemon("mgr", &["ceph-mgr"], "x")?;
        self.make_osd()?;
        self.start_daemon("osd", &["ceph-osd"], "0")?;
        // nothing to predict about a file's health, and its own pool would only cost time
        self.ceph(&[
            "config",
            "set",
            "mgr",
            "mgr/devicehealth/enable_monitoring",
            "false",
            "--force",
        ])?;
        for pool in POOLS {
            self.ceph(&["osd", "pool", "create", pool, "8"])?;
            // returns only once the OSD has written it
            self.rbd(&["pool", "init", pool])?;
        }
        self.wait_serving()
    }

    /// Starts what does not run, and waits until the cluster serves.
    pub(super) fn run(&self) -> Result<()> {
        // its addresses are in its monitor map; the rest may have changed with this program
        self.write_conf(&self.setting("fsid")?, &self.setting("public_addr")?)?;
        let mut started = false;
        for (kind, program, id) in [
            ("mon", "ceph-mon", "a"),
            ("mgr", "ceph-mgr", "x"),
            ("osd", "ceph-osd", "0"),
        ] {
            started |= self.start_daemon(kind, &[program], id)?;
        }
        if started {
            self.wait_monitor()?;
        }
        self.wait_serving()
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Result<String> {
        self.setting("public_addr")
    }

    /// Lets the OSD report anew, and waits until the cluster serves.
    pub(super) fn wake(&self) -> Result<()> {
        self.wait_monitor()?;
        self.ceph(&["osd", "down", "0"])?;
        self.wait_serving()
    }

    /// Kinds of the daemons that run: `mon`, `mgr`, `osd`, `rbd-mirror`.
    pub(super) fn alive(&self) -> Result<Vec<String>> {
        let prefix = self.name("");
        let records = self.supervisor().records()?.into_iter();
        Ok(records
            .filter(|(_, alive)| *alive)
            .filter_map(|(r, _)| Some(r.name.strip_prefix(&prefix)?.to_owned()))
            .collect())
    }

    /// `HEALTH_OK`, or what is wrong.
    pub(super) fn health(&self) -> Result<String> {
        Ok(self.ceph(&["health"])?.trim().to_owned())
    }

    /// Addresses, pools and users for those who use the cluster.
    pub(super) fn summary(&self) -> Result<Value> {
        let users = ["admin", "neverstop", "cinder", "glance"];
        let keyrings: serde_json::Map<String, Value> = users
            .iter()
            .map(|user| ((*user).to_owned(), json!(self.state.ceph_keyring(self.site, user))))
            .collect();
        Ok(json!({
            "site_name": self.site.name(),
            "fsid": self.setting("fsid")?,
            "conf": self.conf(),
            "mon_host": format!("{}:6789", self.setting("public_addr")?),
            "keyrings": keyrings,
            "log_dir": self.dir().join("log"),
        }))
    }

    /// Runs `ceph` as admin.
    pub(super) fn ceph(&self, args: &[&str]) -> Result<String> {
        self.ceph_with_input(args, &[])
    }

    /// Runs `rbd` as admin.
    pub(super) fn rbd(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new("rbd");
        command
            .arg("--conf")
            .arg(self.conf())
            .args(["--client_mount_timeout", "10"])
            .args(args);
        Ok(run(command.env_remove("CEPH_ARGS"), CALL)?.stdout)
    }

    /// Starts a daemon of this cluster, a program with its first arguments, unless it runs; returns whether it did.
    pub(super) fn start_daemon(&self, kind: &str, program: &[&str], id: &str) -> Result<bool> {
        let (program, first) = program.split_first().context("a daemon is a program")?;
        let conf = self.conf();
        let last = ["-f", "--id", id, "--conf"].into_iter().map(OsString::from);
        let args = first.iter().map(OsString::from).chain(last).chain([conf.into()]);
        // rbd-mirror opens its pools by CEPH_CONF, whatever its arguments say
        let spec = Spec::new(Group::Ceph, Some(self.site), self.name(kind), program, args)
            .env("CEPH_CONF", self.conf())
            .env("CEPH_ARGS", "");
        self.supervisor().start(&spec)
    }

    /// The supervisor's name of a daemon.
    pub(super) fn name(&self, kind: &str) -> String {
        daemon_name(self.site, kind)
    }

    /// Where a secret or another small file of this cluster goes.
    pub(super) fn dir(&self) -> PathBuf {
        self.state.ceph_dir(self.site)
    }

    fn conf(&self) -> PathBuf {
        self.state.ceph_conf(self.site)
    }

    fn write_conf(&self, fsid: &str, address: &str) -> Result<()> {
        let conf = CONF
            .replace("@FSID@", fsid)
            .replace("@ADDR@", address)
            .replace("@SITE@", self.site.name())
            .replace("@DIR@", &self.dir().to_string_lossy());
        write_file(&self.conf(), conf.as_bytes(), 0o644)
    }

    /// What `ceph.conf` says of `key` in its first section.
    fn setting(&self, key: &str) -> Result<String> {
        let conf = fs::read_to_string(self.conf())?;
        let value = conf
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        Ok(value
            .with_context(|| format!("no {key} in {}", self.conf().display()))?
            .to_owned())
    }

    /// The monitor's store, with every user in it from the beginning.
    fn make_monitor(&self, fsid: &str, address: &str) -> Result<()> {
        let dir = self.dir();
        let mirror = (
            format!("client.{}", super::mirror::user(self.site)),
            super::mirror::CAPS,
        );
        let users = USERS.map(|(name, caps)| (name.to_owned(), caps));
        let mut all = format!("[mon.]\n\tkey = {}\n\tcaps mon = \"allow *\"\n", new_key()?);
        for (name, [mon, osd, mgr]) in users.into_iter().chain([mirror]) {
            let key = new_key()?;
            self.write_keyring(&name, &key)?;
            writeln!(
                all,
                "[{name}]\n\tkey = {key}\n\tcaps mon = \"{mon}\"\n\tcaps osd = \"{osd}\"\n\tcaps mgr = \"{mgr}\""
            )?;
        }
        let (keyring, map) = (dir.join("initial.keyring"), dir.join("initial.monmap"));
        write_file(&keyring, all.as_bytes(), 0o600)?;
        let address = format!("[v2:{address}:3300,v1:{address}:6789]");
        let mut monmap = Command::new("monmaptool");
        run(
            monmap
                .args(["--create", "--clobber", "--fsid", fsid, "--addv", "a", &address])
                .arg(&map),
            CALL,
        )?;
        let mut mkfs = Command::new("ceph-mon");
        mkfs.args(["--mkfs", "--id", "a", "--conf"]).arg(self.conf());
        mkfs.arg("--monmap").arg(&map).arg("--keyring").arg(&keyring);
        run(&mut mkfs, CALL)?;
        fs::remove_file(&keyring)?;
        Ok(fs::remove_file(&map)?)
    }

    fn make_osd(&self) -> Result<()> {
        let (id, key) = (Uuid::new_v4().to_string(), new_key()?);
        self.write_keyring("osd.0", &key)?;
        let secret = json!({ "cephx_secret": key }).to_string();
        let number = self.ceph_with_input(&["osd", "new", &id, "-i", "-"], secret.as_bytes())?;
        if number.trim() != "0" {
            bail!("the first OSD has number {}", number.trim());
        }
        let mut mkfs = Command::new("ceph-osd");
        mkfs.args(["--mkfs", "--id", "0", "--osd-uuid", &id, "--conf"])
            .arg(self.conf());
        run(&mut mkfs, SERVING).map(drop)
    }

    fn write_keyring(&self, name: &str, key: &str) -> Result<()> {
        let path = self.dir().join(format!("ceph.{name}.keyring"));
        write_file(&path, format!("[{name}]\n\tkey = {key}\n").as_bytes(), 0o600)
    }

    fn ceph_with_input(&self, args: &[&str], input: &[u8]) -> Result<String> {
        let mut command = Command::new("ceph");
        command
            .arg("--conf")
            .arg(self.conf())
            .args(["--connect-timeout", "10"])
            .args(args);
        Ok(run_with_input(command.env_remove("CEPH_ARGS"), input, CALL)?.stdout)
    }

    fn wait_monitor(&self) -> Result<()> {
        wait_until("the monitor to answer", SERVING, || {
            self.supervisor().must_live(&self.name("mon"))?;
            self.ceph(&["mon", "stat"]).map(Some)
        })
        .map(drop)
    }

    /// Waits for a manager's own count of clean placement groups, a read that the OSD answers, and a clean bill of
    /// health: what a monitor remembers from before a kill would pass for the third alone.
    fn wait_serving(&self) -> Result<()> {
        let what = format!("ceph of {} to serve", self.site.name());
        wait_until(&what, SERVING, || {
            for kind in ["mon", "mgr", "osd"] {
                self.supervisor().must_live(&self.name(kind))?;
            }
            let groups: Value = serde_json::from_str(&self.ceph(&["pg", "stat", "--format", "json"])?)?;
            let groups = groups.get("pg_summary").unwrap_or(&groups);
            let clean = groups["num_pg_by_state"].as_array().is_some_and(|states| {
                states.len() == 1 && states[0]["name"] == "active+clean" && states[0]["num"] == groups["num_pgs"]
            });
            if !clean {
                bail!("placement groups: {}", groups["num_pg_by_state"]);
            }
            self.rbd(&["--rados_osd_op_timeout", "10", "ls", MIRRORED_POOL])?;
            let health = self.health()?;
            if health != "HEALTH_OK" {
                bail!("{health}");
            }
            Ok(Some(()))
        })
    }
}

/// The supervisor's name of a site's daemon.
pub(super) fn daemon_name(site: Site, kind: &str) -> String {
    format!("ceph-{}-{kind}", site.letter())
}

fn new_key() -> Result<String> {
    Ok(run(Command::new("ceph-authtool").arg("--gen-print-key"), CALL)?
        .stdout
        .trim()
        .to_owned())
}
