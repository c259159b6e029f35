//! Installing the distribution's packages: nothing when all are there, and nothing starts by itself.
use super::command::run;
use anyhow::{Context, Result, bail};
use std::{
    collections::HashSet,
    fs,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What the two clusters and the tests of the storage provider need.
pub(crate) const CEPH: &[&str] = &["ceph-mon", "ceph-mgr", "ceph-osd", "ceph-common", "rbd-mirror"];

/// What the guest image is built with and tried in.
pub(crate) const GUEST: &[&str] = &[
    "busybox-static",
    "dosfstools",
    "mtools",
    "qemu-system-x86",
    "qemu-utils",
    "syslinux",
    "syslinux-common",
];

/// What several engines share a store in: see `cargo xtask takeover`.
pub(crate) const POSTGRES: &[&str] = &["postgresql"];

/// invoke-rc.d asks this program whether a package may start its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs those of `packages` that are missing.
///
/// # Errors
/// Not root, no package source, or apt fails; the text is apt's own.
pub(crate) fn install(what: &str, packages: &[&str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let begun = Instant::now();
    println!("{what}: installing {}", missing.join(" "));
    let guard = NoStart::set()?;
    // the lists may be old, or absent on a new machine: only then is the network asked twice
    let installed = apt(&missing).or_else(|_| {
        update()?;
        apt(&missing)
    });
    drop(guard);
    installed.with_context(|| format!("install packages for {what}"))?;
    println!(
        "{what}: {} packages installed in {:.0} s",
        missing.len(),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Fetches the package lists anew.
pub(crate) fn update() -> Result<()> {
    run(Command::new("apt-get").args(["-q", "update"]), Duration::from_secs(300)).map(drop)
}

fn apt(packages: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args([
            "-q",
            "-y",
            "--no-install-recommends",
            "-o",
            "DPkg::Lock::Timeout=600",
            "install",
        ])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    run(&mut command, Duration::from_secs(1800)).map(drop)
}

fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let query = ["-W", "-f", "${binary:Package} ${db:Status-Status}\n"];
    let list = run(Command::new("dpkg-query").args(query), Duration::from_secs(30))?.stdout;
    let installed: HashSet<&str> = list
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, status)| *status == "installed")
        .map(|(name, _)| name.split(':').next().unwrap_or(name))
        .collect();
    Ok(packages
        .iter()
        .copied()
        .filter(|name| !installed.contains(name))
        .collect())
}

/// Forbids service starts while it lives; leaves a policy that was there before alone.
struct NoStart {
    ours: bool,
}

impl NoStart {
    fn set() -> Result<Self> {
        let made = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY);
        match made {
            Ok(mut file) => {
                std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")?;
                Ok(Self { ours: true })
            }
            Err(_) if Path::new(POLICY).exists() => Ok(Self { ours: false }),
            Err(error) => bail!("write {POLICY}: {error}"),
        }
    }
}

impl Drop for NoStart {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("remove {POLICY}: {error}");
        }
    }
}
