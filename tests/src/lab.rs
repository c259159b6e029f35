//! Where the lab is: what `cargo xtask lab up` wrote into its state folder.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One of the two sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteName {
    /// The protected one.
    A,
    /// The one recovered to.
    B,
}

impl SiteName {
    /// `a` or `b`.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// The lab.
#[derive(Debug, Clone)]
pub struct Lab {
    root: PathBuf,
    facts: Value,
}

impl Lab {
    /// Opens the lab that is up.
    ///
    /// # Errors
    /// When it is not up.
    pub fn open() -> Result<Self> {
        let root =
            std::env::var_os("NEVERSTOP_LAB").map_or_else(|| PathBuf::from("/var/lib/neverstop-lab"), PathBuf::from);
        let text = std::fs::read_to_string(root.join("lab.json"))
            .with_context(|| format!("no lab in {}; run `cargo xtask lab up`", root.display()))?;
        Ok(Self {
            root,
            facts: serde_json::from_str(&text)?,
        })
    }

    /// The state folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The clouds.yaml with both clouds.
    #[must_use]
    pub fn clouds_yaml(&self) -> PathBuf {
        self.root.join("clouds.yaml")
    }

    /// The name of a site's cloud in it.
    #[must_use]
    pub fn cloud_name(&self, site: SiteName) -> String {
        format!("cloud-{}", site.letter())
    }

    /// The name of a site's cloud there with what is needed to listen to its notifications.
    #[must_use]
    pub fn listening_cloud_name(&self, site: SiteName) -> String {
        format!("{}-listening", self.cloud_name(site))
    }

    /// A site's ceph.conf.
    #[must_use]
    pub fn ceph_conf(&self, site: SiteName) -> PathBuf {
        self.root.join(format!("ceph/site-{}/ceph.conf", site.letter()))
    }

    /// The keyring file of a Ceph user.
    #[must_use]
    pub fn keyring(&self, site: SiteName, user: &str) -> PathBuf {
        self.root
            .join(format!("ceph/site-{}/ceph.client.{user}.keyring", site.letter()))
    }

    /// What lab.json says of a site's cloud.
    ///
    /// # Errors
    /// When it says nothing there.
    pub fn fact(&self, site: SiteName, path: &str) -> Result<String> {
        let at = format!("/openstack/clouds/{}/{path}", self.cloud_name(site));
        let found = self.facts.pointer(&at).and_then(Value::as_str);
        Ok(found.with_context(|| format!("lab.json has no {at}"))?.to_owned())
    }

    /// Runs `rbd` as the site's administrator and gives what it prints.
    ///
    /// # Errors
    /// When it fails; its words are kept.
    pub fn rbd(&self, site: SiteName, args: &[&str]) -> Result<String> {
        let mut command = Command::new("rbd");
        command
            .arg("-c")
            .arg(self.ceph_conf(site))
            .args(["--id", "admin", "--keyring"]);
        let output = command
            .arg(self.keyring(site, "admin"))
            .args(args)
            .output()
            .context("running rbd")?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "rbd {}: {} {words}",
            args.join(" "),
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The snapshots of an image (`pool/name`) by name, each with the time that Ceph's own tool tells.
    ///
    /// # Errors
    /// When the image cannot be asked about.
    pub fn snapshots(&self, site: SiteName, image: &str) -> Result<BTreeMap<String, Timestamp>> {
        let text = self.rbd(site, &["snap", "ls", image, "--format", "json"])?;
        let all: Vec<Value> = serde_json::from_str(&text)?;
        let read = |snapshot: &Value| {
            let name = snapshot["name"].as_str().context("no name")?;
            let at = snapshot["timestamp"].as_str().context("no time")?;
            Ok((name.to_owned(), ceph_time(at)?))
        };
        all.iter().map(read).collect()
    }

    /// Runs the clouds' own client as an administrator of a site.
    ///
    /// # Errors
    /// When it fails.
    pub fn openstack(&self, site: SiteName, args: &[&str]) -> Result<String> {
        let output = Command::new("openstack")
            .args(["--os-cloud", &self.cloud_name(site)])
            .args(args)
            .env("OS_CLIENT_CONFIG_FILE", self.clouds_yaml())
            .output()
            .context("running openstack")?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "openstack {}: {} {words}",
            args.join(" "),
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The SHA-256 of an image or of a snapshot of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checksum(&self, site: SiteName, image: &str) -> Result<String> {
        let mut export = self.export(site, image)?;
        let bytes = export.stdout.take().context("the export has no output")?;
        let sum = Command::new("sha256sum")
            .stdin(bytes)
            .output()
            .context("running sha256sum")?;
        let status = export.wait()?;
        ensure!(status.success() && sum.status.success(), "rbd export {image}: {status}");
        let text = String::from_utf8(sum.stdout)?;
        Ok(text
            .split_whitespace()
            .next()
            .context("sha256sum is silent")?
            .to_owned())
    }

    fn export(&self, site: SiteName, image: &str) -> Result<Child> {
        Command::new("rbd")
            .arg("-c")
            .arg(self.ceph_conf(site))
            .args(["--id", "admin", "--keyring"])
            .arg(self.keyring(site, "admin"))
            .args(["export", "--no-progress", image, "-"])
            .stdout(Stdio::piped())
            .spawn()
            .context("running rbd")
    }

    /// The guest's marker on an image, read from the storage: none where no guest put one.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn marker(&self, site: SiteName, image: &str) -> Result<Option<String>> {
        let offset = self.facts.pointer("/guest/marker_offset").and_then(Value::as_u64);
        let offset = offset.context("lab.json has no /guest/marker_offset")?;
        let mut export = self.export(site, image)?;
        let mut bytes = export.stdout.take().context("the export has no output")?;
        std::io::copy(&mut (&mut bytes).take(offset), &mut std::io::sink())?;
        let mut sector = [0; 512];
        bytes.read_exact(&mut sector)?;
        // It still has the rest of the image to tell.
        export.kill()?;
        export.wait()?;
        let text = String::from_utf8_lossy(&sector);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// Runs `cargo xtask lab VERB SITE`.
    ///
    /// # Errors
    /// When it fails.
    pub fn xtask(&self, verb: &str, site: SiteName) -> Result<()> {
        self.run_xtask(&[verb, site.letter()])
    }

    /// Runs `cargo xtask lab broker ACTION [SITE]`.
    ///
    /// # Errors
    /// When it fails.
    pub fn broker(&self, action: &str, site: Option<SiteName>) -> Result<()> {
        let site = site.map(SiteName::letter);
        self.run_xtask(&["broker", action].into_iter().chain(site).collect::<Vec<_>>())
    }

    fn run_xtask(&self, args: &[&str]) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["run", "--quiet", "--package", "xtask", "--", "lab"])
            .args(args)
            .env("NEVERSTOP_LAB_DIR", &self.root)
            .status()?;
        ensure!(status.success(), "lab {} ended with {status}", args.join(" "));
        Ok(())
    }
}

/// A time as Ceph's tools write it, in the machine's zone.
///
/// # Errors
/// When it is none.
pub fn ceph_time(text: &str) -> Result<Timestamp> {
    let at = DateTime::strptime("%a %b %d %H:%M:%S %Y", text).with_context(|| format!("{text} is no time"))?;
    Ok(at.to_zoned(TimeZone::system())?.timestamp())
}
