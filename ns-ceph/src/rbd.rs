//! What is asked of the cluster, as typed calls. This is the seam: the verbs above know these calls and no command line,
//! so that librbd in a worker process can answer them one day.

use crate::command::{Call, Effect, Input, Output, Runner};
use crate::config::{CephConfig, PoolRef};
use crate::facts::{Child, ImageUse, Info, MirrorStatus, PoolInfo, PoolStatus, Snap, parse};
use crate::journal::Journal;
use crate::memory_file::MemoryFile;
use crate::outcome::{Done, INVALID, NOT_FOUND};
use crate::spec::ImageSpec;
use ns_core::provider::Content;
use ns_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

/// One cluster as one user.
#[derive(Debug)]
pub(crate) struct Rbd {
    pub(crate) config: CephConfig,
    runner: Runner,
    /// What the configuration names and is in memory only; a command may run as long as this is there.
    _files: Vec<MemoryFile>,
}

/// As whom a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    User,
    /// The administrator where there is one, else the user.
    Admin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Rbd,
    Rados,
    Ceph,
}

/// A list of arguments.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$(::std::string::String::from($arg)),*] };
}
pub(crate) use args;

impl Rbd {
    pub(crate) fn new(config: CephConfig, files: Vec<MemoryFile>) -> Self {
        let runner = Runner::new(config.limits.parallel);
        Self {
            config,
            runner,
            _files: files,
        }
    }

    // ---- images

    /// None when there is no such image (or pool).
    pub(crate) async fn info(&self, image: &ImageSpec) -> Result<Option<Info>> {
        let out = self
            .read(args!["info", image.arg(), "--format", "json"])
            .await?
            .ok_or_none(&[NOT_FOUND])?;
        out.map(|json| parse("info", &json)).transpose()
    }

    /// The image must exist.
    pub(crate) async fn must_info(&self, image: &ImageSpec) -> Result<Info> {
        self.info(image).await?.ok_or_else(|| not_found(image))
    }

    /// Snapshots of every kind, oldest first; none when there is no such image.
    pub(crate) async fn snaps(&self, image: &ImageSpec) -> Result<Option<Vec<Snap>>> {
        let call = args!["snap", "ls", "--all", image.arg(), "--format", "json"];
        let Some(json) = self.read(call).await?.ok_or_none(&[NOT_FOUND])? else {
            return Ok(None);
        };
        let mut snaps: Vec<Snap> = parse("snap ls", &json)?;
        snaps.sort_by_key(|s| s.id);
        Ok(Some(snaps))
    }

    /// Key-value pairs of an image; none when there is no such image.
    pub(crate) async fn metadata(&self, image: &ImageSpec) -> Result<Option<BTreeMap<String, String>>> {
        let call = args!["image-meta", "list", image.arg(), "--format", "json"];
        let Some(json) = self.read(call).await?.ok_or_none(&[NOT_FOUND])? else {
            return Ok(None);
        };
        // Nothing at all is printed for an image without any.
        if json.trim_ascii().is_empty() {
            Ok(Some(BTreeMap::new()))
        } else {
            parse("image-meta list", &json).map(Some)
        }
    }

    pub(crate) async fn set_metadata(&self, image: &ImageSpec, key: &str, value: &str) -> Result<()> {
        self.change(args!["image-meta", "set", image.arg(), "--", key, value])
            .await?
            .ok()
            .map(drop)
    }

    /// `Ok` when the key is not there.
    pub(crate) async fn remove_metadata(&self, image: &ImageSpec, key: &str) -> Result<()> {
        let call = args!["image-meta", "remove", image.arg(), "--", key];
        self.change(call).await?.ok_or_none(&[NOT_FOUND]).map(drop)
    }

    /// Clones of any snapshot, those in the trash too.
    pub(crate) async fn children(&self, image: &ImageSpec) -> Result<Vec<Child>> {
        parse(
            "children",
            &self
                .read(args!["children", "--all", image.arg(), "--format", "json"])
                .await?
                .ok()?,
        )
    }

    /// Whether somebody has the image open.
    pub(crate) async fn in_use(&self, image: &ImageSpec) -> Result<bool> {
        let json = self
            .read(args!["status", image.arg(), "--format", "json"])
            .await?
            .ok()?;
        Ok(!parse::<ImageUse>("status", &json)?.watchers.is_empty())
    }

    // ---- mirroring

    /// What the daemon wrote; none when the image is not mirrored or not there.
    pub(crate) async fn mirror_status(&self, image: &ImageSpec) -> Result<Option<MirrorStatus>> {
        let call = args!["mirror", "image", "status", image.arg(), "--format", "json"];
        let out = self.read(call).await?.ok_or_none(&[NOT_FOUND, INVALID])?;
        out.map(|json| parse("mirror image status", &json)).transpose()
    }

    pub(crate) async fn pool_info(&self, pool: &PoolRef) -> Result<PoolInfo> {
        let json = self
            .read(args!["mirror", "pool", "info", pool.to_string(), "--format", "json"])
            .await?
            .ok()?;
        parse("mirror pool info", &json)
    }

    /// Every mirrored image of a pool; none when the pool does not mirror.
    pub(crate) async fn pool_status(&self, pool: &PoolRef) -> Result<Option<PoolStatus>> {
        let call = args![
            "mirror",
            "pool",
            "status",
            pool.to_string(),
            "--verbose",
            "--format",
            "json"
        ];
        let out = self.read(call).await?.ok_or_none(&[INVALID])?;
        out.map(|json| parse("mirror pool status", &json)).transpose()
    }

    /// The mirror uuid of the peer of a pool; empty when there is no peer or the daemons have not met.
    pub(crate) async fn peer_uuid(&self, pool: &PoolRef) -> Result<String> {
        // Peers belong to the pool, not to its namespaces.
        let info = self.pool_info(&PoolRef::new(&pool.pool)).await?;
        Ok(info.peers.into_iter().next().map(|p| p.mirror_uuid).unwrap_or_default())
    }

    /// The ownership records of a journal-mode image.
    pub(crate) async fn journal(&self, image: &ImageSpec, info: &Info) -> Result<Journal> {
        let Some(id) = &info.journal else {
            return Err(Error::new(
                ErrorKind::Conflict,
                "ceph.no_journal",
                "the image has no journal at the moment",
            )
            .with("image", image));
        };
        Journal::parse(&self.omap(&image.pool, &format!("journal.{id}")).await?)
    }

    // ---- pools

    /// Ids and names of the images of a pool.
    pub(crate) async fn directory(&self, pool: &PoolRef) -> Result<BTreeMap<String, String>> {
        let names: Vec<String> = parse(
            "ls",
            &self
                .read(args!["ls", pool.to_string(), "--format", "json"])
                .await?
                .ok()?,
        )?;
        if names.is_empty() {
            // An empty pool need not have the object yet.
            return Ok(BTreeMap::new());
        }
        crate::journal::directory(&self.omap(pool, "rbd_directory").await?)
    }

    /// The keys of an object as `rados` prints them.
    async fn omap(&self, pool: &PoolRef, object: &str) -> Result<Vec<u8>> {
        let mut args = args!["--pool", &pool.pool];
        if let Some(namespace) = &pool.namespace {
            args.extend(args!["--namespace", namespace]);
        }
        args.extend(args!["listomapvals", object]);
        let call = self.call(Program::Rados, As::User, Effect::Read, args, None);
        self.runner.run(call).await?.ok()
    }

    /// `ceph` with a plain answer.
    pub(crate) async fn ceph(&self, args: Vec<String>) -> Result<String> {
        let out = self
            .runner
            .run(self.call(Program::Ceph, As::User, Effect::Read, args, None))
            .await?
            .ok()?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    // ---- running

    pub(crate) async fn read(&self, args: Vec<String>) -> Result<Done> {
        self.run(As::User, Effect::Read, args, None).await
    }

    pub(crate) async fn change(&self, args: Vec<String>) -> Result<Done> {
        self.run(As::User, Effect::Change, args, None).await
    }

    pub(crate) async fn copy(&self, args: Vec<String>) -> Result<Done> {
        self.run(As::User, Effect::Copy, args, None).await
    }

    /// Reads a snapshot from its first byte to its last; none when there is no such image or snapshot.
    pub(crate) async fn content(&self, image: &ImageSpec, snapshot: &str) -> Result<Option<Content>> {
        let args = args!["export", "--no-progress", image.snapshot_arg(snapshot), "-"];
        let mut call = self.call(Program::Rbd, As::User, Effect::Copy, args, None);
        call.output = Output::Digest;
        let Some(said) = self.runner.run(call).await?.ok_or_none(&[NOT_FOUND])? else {
            return Ok(None);
        };
        let said = String::from_utf8_lossy(&said);
        let content = said.split_once(' ').and_then(|(bytes, sha256)| {
            Some(Content {
                bytes: bytes.parse().ok()?,
                sha256: sha256.to_owned(),
            })
        });
        content
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Internal,
                    "ceph.digest",
                    "the content was read and not counted",
                )
            })
            .map(Some)
    }

    pub(crate) async fn run(&self, user: As, effect: Effect, args: Vec<String>, input: Option<Input>) -> Result<Done> {
        self.runner
            .run(self.call(Program::Rbd, user, effect, args, input))
            .await
    }

    /// A change with a deadline of its own.
    pub(crate) async fn change_within(&self, args: Vec<String>, deadline: Duration) -> Result<Done> {
        let mut call = self.call(Program::Rbd, As::User, Effect::Change, args, None);
        call.deadline = deadline;
        self.runner.run(call).await
    }

    /// A command of the host's configuration.
    pub(crate) async fn hook(&self, what: &str, command: &[String]) -> Result<()> {
        let (program, args) = command.split_first().map_or(("", command), |(p, a)| (p.as_str(), a));
        let call = Call {
            what: what.to_owned(),
            program: program.into(),
            args: args.iter().map(OsString::from).collect(),
            effect: Effect::Change,
            deadline: Duration::from_secs(self.config.limits.change_seconds),
            input: None,
            plain_exit: true,
            output: Output::Unheard,
        };
        self.runner.run(call).await?.ok().map(drop)
    }

    fn call(&self, program: Program, user: As, effect: Effect, args: Vec<String>, input: Option<Input>) -> Call {
        let (config, limits) = (&self.config, &self.config.limits);
        let (name, keyring) = match (&config.admin, user) {
            (Some(admin), As::Admin) => (&admin.user, &admin.keyring),
            _ => (&config.user, &config.keyring),
        };
        let deadline = match effect {
            Effect::Read => limits.read_seconds,
            Effect::Change => limits.change_seconds,
            Effect::Copy => limits.copy_seconds,
        };
        // The words of a command stand first; what follows are names.
        let what = args
            .iter()
            .take_while(|a| !a.contains('/') && !a.starts_with('-'))
            .cloned()
            .collect::<Vec<_>>();
        let mut all: Vec<OsString> = vec!["--conf".into(), config.conf.clone().into()];
        all.extend(["--id".into(), name.into(), "--keyring".into(), keyring.clone().into()]);
        let connect = limits.connect_seconds.to_string();
        if program == Program::Ceph {
            all.extend(["--connect-timeout".into(), connect.into()]);
        } else {
            // All three: a dead or frozen cluster, one without monitors, one without storage daemons each hang at another
            // place. A copy gets no short limit per operation: a slow one is not a dead one.
            all.extend(["--client_mount_timeout".into(), connect.into()]);
            let operation = match effect {
                Effect::Read => Some(limits.read_op_seconds),
                Effect::Change => Some(limits.change_seconds),
                Effect::Copy => None,
            };
            if let Some(seconds) = operation {
                all.extend(["--rados_osd_op_timeout".into(), seconds.to_string().into()]);
                all.extend(["--rados_mon_op_timeout".into(), seconds.to_string().into()]);
            }
        }
        all.extend(args.into_iter().map(OsString::from));
        let (program, plain_exit, prefix) = match program {
            Program::Rbd => (&config.programs.rbd, false, "rbd"),
            Program::Rados => (&config.programs.rados, true, "rados"),
            Program::Ceph => (&config.programs.ceph, true, "ceph"),
        };
        Call {
            what: format!("{prefix} {}", what.join(" ")),
            program: program.clone().into(),
            args: all,
            effect,
            deadline: Duration::from_secs(deadline),
            input,
            plain_exit,
            output: Output::Whole,
        }
    }
}

pub(crate) fn not_found(image: &ImageSpec) -> Error {
    Error::new(ErrorKind::NotFound, "ceph.no_image", "the image does not exist").with("image", image)
}
