//! The libvirt of a cloud, and its guests. Each cloud has a libvirt of its own, in a mount and host-name namespace of
//! its own: the folders it insists on (`/etc/libvirt`, `/run/libvirt`, ...) are folders of the cloud there, and it calls
//! itself like its compute host.
use super::{cloud::Cloud, progress::Progress, services};
use crate::lab::{
    command::{run, wait_until},
    process::{Group, Spec},
    procfs,
};
use anyhow::{Context, Result};
use std::{fs, process::Command, time::Duration};

const DEADLINE: Duration = Duration::from_secs(30);

/// The cloud's folder and host name are the arguments: `$1`, `$2`.
const ENTER: &str = r#"set -e
hostname "$2"
mount -t tmpfs tmpfs /run
mkdir /run/libvirt
mount --bind "$1/run" /run/libvirt
mount --bind "$1/etc" /etc/libvirt
for part in lib log cache; do mount --bind "$1/$part" "/var/$part/libvirt"; done
exec /usr/sbin/libvirtd --config /etc/libvirt/libvirtd.conf --pid-file "$1/libvirtd.pid"
"#;

/// Record and log name.
pub(crate) fn name(cloud: Cloud<'_>) -> String {
    cloud.named("libvirtd")
}

/// Starts libvirt and gives it cinder's Ceph key; ready when this returns.
pub(crate) fn up(cloud: Cloud<'_>, progress: &Progress<'_>) -> Result<()> {
    let dir = cloud.libvirt_dir();
    for part in ["etc", "run", "lib", "log", "cache", "sock"] {
        fs::create_dir_all(dir.join(part))?;
    }
    for file in ["libvirtd.conf", "qemu.conf"] {
        fs::copy(cloud.config(file), dir.join("etc").join(file))?;
    }
    let args = [
        "--mount",
        "--uts",
        "--propagation",
        "slave",
        "--",
        "/bin/sh",
        "-c",
        ENTER,
        "libvirtd",
    ];
    let mut spec = Spec::new(
        Group::Openstack,
        Some(cloud.site),
        name(cloud),
        "/usr/bin/unshare",
        args,
    )
    .env("HOME", cloud.dir())
    .env("TMPDIR", services::temporary(cloud));
    spec.args.extend([dir.into(), cloud.libvirt_host().into()]);
    progress.supervisor().start(&spec)?;
    let what = format!("{}: libvirt", cloud.name());
    progress.wait(&what, &[&name(cloud)], || virsh(cloud, &["version"]).map(Some))?;
    set_secret(cloud)
}

fn set_secret(cloud: Cloud<'_>) -> Result<()> {
    let keyring = cloud.state.ceph_keyring(cloud.site, "cinder");
    let text = fs::read_to_string(&keyring).with_context(|| format!("read {}", keyring.display()))?;
    let key = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("key")?.trim_start().strip_prefix('='))
        .with_context(|| format!("no key in {}", keyring.display()))?;
    let (id, dir) = (cloud.secret_id(), cloud.libvirt_dir());
    let (definition, value) = (dir.join("secret.xml"), dir.join("secret.key"));
    fs::write(
        &definition,
        format!(
            "<secret ephemeral='no' private='no'><uuid>{id}</uuid><usage type='ceph'><name>client.cinder of {}</name>\
             </usage></secret>\n",
            cloud.site.name()
        ),
    )?;
    crate::lab::state::write_file(&value, key.trim().as_bytes(), 0o600)?;
    virsh(cloud, &["secret-define", &definition.display().to_string()])?;
    virsh(
        cloud,
        &[
            "secret-set-value",
            "--secret",
            id,
            "--file",
            &value.display().to_string(),
        ],
    )?;
    Ok(fs::remove_file(value)?)
}

fn virsh(cloud: Cloud<'_>, args: &[&str]) -> Result<String> {
    let mut command = Command::new("virsh");
    command.args(["-c", &cloud.libvirt_uri()]).args(args);
    run(&mut command, DEADLINE).map(|output| output.stdout)
}

/// What outlives a cloud's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// Guests' emulators and address servers.
    All,
    /// Address servers.
    AddressServers,
}

/// Ends orphans of a cloud: `signal`, and after `grace` SIGKILL. Its services must not run any more.
pub(crate) fn end_orphans(cloud: Cloud<'_>, which: Orphans, signal: libc::c_int, grace: Duration) -> Result<()> {
    let found = orphans(cloud, which)?;
    found.iter().for_each(|pid| procfs::signal(*pid, signal));
    let none = || Ok(orphans(cloud, which)?.is_empty().then_some(()));
    if wait_until("orphans", grace, none).is_err() {
        orphans(cloud, which)?
            .into_iter()
            .for_each(|pid| procfs::signal(pid, libc::SIGKILL));
        wait_until(&format!("{}: killed guests to end", cloud.name()), DEADLINE, none)?;
    }
    Ok(())
}

/// Daemons without a parent of ours whose arguments name the cloud's folder.
fn orphans(cloud: Cloud<'_>, which: Orphans) -> Result<Vec<u32>> {
    let folder = format!("{}/", cloud.dir().display());
    let wanted =
        |arguments: &str| arguments.contains(&folder) && (which == Orphans::All || arguments.starts_with("dnsmasq "));
    Ok(procfs::all()?
        .into_values()
        .filter(|stat| stat.parent == 1 && !stat.zombie && wanted(&procfs::arguments(stat.pid)))
        .map(|stat| stat.pid)
        .collect())
}
