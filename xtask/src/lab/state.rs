//! The state folder: the one place the lab writes to, and the names of what lies in it. Knows no service.
use super::Site;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::{
    env, fs,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Where the lab lives unless [`DIR_VARIABLE`] says otherwise.
const DEFAULT_DIR: &str = "/var/lib/neverstop-lab";
/// The environment variable that moves the lab.
const DIR_VARIABLE: &str = "NEVERSTOP_LAB_DIR";
/// A folder is only ever removed when it holds this file.
const MARKER: &str = "neverstop-lab";

/// The state folder.
#[derive(Clone, Debug)]
pub(crate) struct State {
    root: PathBuf,
}

/// Held while a verb runs; released when dropped, or when the process dies.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "open is what locks")] fs::File);

impl State {
    /// The folder named by `NEVERSTOP_LAB_DIR`, or the default one; made when missing.
    ///
    /// # Errors
    /// The folder cannot be made, is not absolute, or holds somebody else's files.
    pub(crate) fn from_env() -> Result<Self> {
        let root = env::var_os(DIR_VARIABLE).map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from);
        Self::open(&root)
    }

    fn open(root: &Path) -> Result<Self> {
        if !root.is_absolute() {
            bail!("{DIR_VARIABLE} must be an absolute path, not {}", root.display());
        }
        fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
        // links resolved, so that the path is the one seen in the processes' command lines
        let state = Self {
            root: root.canonicalize()?,
        };
        state.make()?;
        Ok(state)
    }

    fn make(&self) -> Result<()> {
        fs::create_dir_all(&self.root)?;
        let marker = self.root.join(MARKER);
        if !marker.exists() {
            if fs::read_dir(&self.root)?.next().is_some() {
                bail!("{} is neither empty nor a lab: refusing to use it", self.root.display());
            }
            fs::write(
                &marker,
                "State folder of the NeverStop lab; `cargo xtask lab purge` removes it.\n",
            )?;
        }
        fs::create_dir_all(self.run_dir())?;
        Ok(fs::create_dir_all(self.log_dir())?)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Process records.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    /// What the processes print, one file each.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Everything of one site's Ceph cluster.
    pub(crate) fn ceph_dir(&self, site: Site) -> PathBuf {
        self.root.join("ceph").join(site.name())
    }

    /// One site's `ceph.conf`.
    pub(crate) fn ceph_conf(&self, site: Site) -> PathBuf {
        self.ceph_dir(site).join("ceph.conf")
    }

    /// The keyring of `client.USER` of one site: `admin`, `neverstop`, `cinder` or `glance`.
    pub(crate) fn ceph_keyring(&self, site: Site, user: &str) -> PathBuf {
        self.ceph_dir(site).join(format!("ceph.client.{user}.keyring"))
    }

    /// Everything of the OpenStack half.
    pub(crate) fn openstack_dir(&self) -> PathBuf {
        self.root.join("openstack")
    }

    /// Logins for both clouds (`cloud-a`, `cloud-b`), as OpenStack's clients read it.
    pub(crate) fn clouds_yaml(&self) -> PathBuf {
        self.root.join("clouds.yaml")
    }

    /// Folder of the bootable test guest.
    pub(crate) fn guest_dir(&self) -> PathBuf {
        self.root.join("guest")
    }

    /// The bootable test guest, raw.
    pub(crate) fn guest_image(&self) -> PathBuf {
        self.guest_dir().join("guest.raw")
    }

    /// The summary that tests read.
    pub(crate) fn summary(&self) -> PathBuf {
        self.root.join("lab.json")
    }

    /// Puts `value` under `section` of the summary; the other sections stay.
    ///
    /// # Errors
    /// The file cannot be read or written, or is not a JSON object.
    pub(crate) fn publish(&self, section: &str, value: Value) -> Result<()> {
        let path = self.summary();
        let mut all: Map<String, Value> = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
        };
        all.insert(section.to_owned(), value);
        write_file(&path, &serde_json::to_vec_pretty(&all)?, 0o644)
    }

    /// Waits until no other verb that starts or stops something runs on this folder, then holds it.
    pub(crate) fn lock(&self) -> Result<Lock> {
        loop {
            self.make()?;
            let path = self.run_dir().join("lock");
            let file = fs::File::create(&path)?;
            if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
                println!("another lab command runs; waiting for it");
                file.lock().context("lock the state folder")?;
            }
            // a purge may have removed the folder while we waited
            if fs::metadata(&path).is_ok_and(|now| file.metadata().is_ok_and(|held| held.ino() == now.ino())) {
                return Ok(Lock(file));
            }
        }
    }

    /// Removes the folder and everything in it.
    pub(crate) fn remove(&self) -> Result<()> {
        if !self.root.join(MARKER).exists() {
            bail!("{} is not a lab: not removed", self.root.display());
        }
        fs::remove_dir_all(&self.root).with_context(|| format!("remove {}", self.root.display()))
    }
}

/// Writes a whole file or nothing: to a temporary name with the given mode, then renamed.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}
