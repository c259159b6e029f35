//! Cutting a site off from everybody else while it goes on working: its processes live in a control group of their own
//! from their first moment, and the packet filter drops what others send to the site's addresses and what the site sends
//! to the other's. Knows neither Ceph nor OpenStack.
//!
//! Nothing is answered and nothing refused, as with a cut cable: connections hang until their time-outs.
use super::{
    Site,
    command::{output, run},
    state::State,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// The control group of a site's processes, as the packet filter names it.
fn group(state: &State, site: Site) -> String {
    let lab: Vec<_> = state
        .root()
        .iter()
        .filter_map(|part| part.to_str())
        .filter(|p| *p != "/")
        .collect();
    format!("neverstop-lab/{}/{}", lab.join("-"), site.name())
}

/// Where control groups of the second version are mounted, if they are.
fn mount() -> Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    let found = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
    });
    Ok(found)
}

/// The file that puts a process into the site's control group when it writes `0` there; none on a machine without control
/// groups, where a site cannot be cut off.
pub(super) fn membership(state: &State, site: Site) -> Result<Option<fs::File>> {
    let Some(folder) = mount()?.map(|mount| mount.join(group(state, site))) else {
        return Ok(None);
    };
    // A container may see the hierarchy and not be allowed to change it.
    if fs::create_dir_all(&folder).is_err() {
        return Ok(None);
    }
    Ok(fs::OpenOptions::new()
        .write(true)
        .open(folder.join("cgroup.procs"))
        .ok())
}

/// Cuts a site off. `own` are its addresses, `others` those of the other site.
pub(super) fn cut(state: &State, site: Site, own: &[String], others: &[String]) -> Result<()> {
    let group = group(state, site);
    let members = mount()?.map(|m| m.join(&group).join("cgroup.procs"));
    let members = members
        .and_then(|file| fs::read_to_string(file).ok())
        .unwrap_or_default();
    if members.is_empty() {
        bail!(
            "no process of {} is in a control group of its own: bring it up on a machine with control groups (v2) first",
            site.name()
        );
    }
    mend(state, site, own, others)?;
    for rule in rules(&group, own, others) {
        filter("-I", &rule).with_context(|| format!("cut {} off", site.name()))?;
    }
    Ok(())
}

/// Lets a site that was cut off be reached again.
pub(super) fn mend(state: &State, site: Site, own: &[String], others: &[String]) -> Result<()> {
    for rule in rules(&group(state, site), own, others) {
        while output(&mut command("-C", &rule), &[], DEADLINE)?.status.success() {
            filter("-D", &rule)?;
        }
    }
    Ok(())
}

/// Removes the control groups of a lab whose processes have ended.
pub(super) fn forget(state: &State) -> Result<()> {
    let Some(mount) = mount()? else { return Ok(()) };
    for site in Site::BOTH {
        let mut folder = mount.join(group(state, site));
        // From the site's up to the one that all labs share, which stays while another lab uses it.
        while folder != mount && fs::remove_dir(&folder).is_ok() {
            folder = folder.parent().map_or_else(|| mount.clone(), Path::to_path_buf);
        }
    }
    Ok(())
}

fn rules(group: &str, own: &[String], others: &[String]) -> Vec<Vec<String>> {
    let rule = |to: &String, inverse: &[&str]| {
        let mut words = vec!["-d", to.as_str(), "-m", "cgroup"];
        words.extend(inverse);
        words.extend(["--path", group, "-j", "DROP"]);
        words.into_iter().map(str::to_owned).collect()
    };
    let inbound = own.iter().map(|to| rule(to, &["!"]));
    inbound.chain(others.iter().map(|to| rule(to, &[]))).collect()
}

fn command(verb: &str, rule: &[String]) -> Command {
    let mut command = Command::new("iptables");
    command.args(["-w", "10", verb, "OUTPUT"]).args(rule);
    command
}

fn filter(verb: &str, rule: &[String]) -> Result<()> {
    run(&mut command(verb, rule), DEADLINE).map(drop)
}
