//! The OpenStack half of the lab: two clouds on the two Ceph clusters.
use super::{Site, state::State};
use anyhow::Result;

/// Brings both clouds up.
pub(crate) fn up(_state: &State) -> Result<()> {
    Ok(())
}

/// Stops both clouds, keeps their data.
pub(crate) fn down(_state: &State) -> Result<()> {
    Ok(())
}

/// Removes what lies outside the state folder (network namespaces, bridges); everything is stopped already.
pub(crate) fn purge(_state: &State) -> Result<()> {
    Ok(())
}

/// Kills what the supervisor's kill of the site does not reach: its guests' emulators.
pub(crate) fn kill(_state: &State, _site: Site) -> Result<()> {
    Ok(())
}

/// Brings one killed cloud back.
pub(crate) fn start(_state: &State, _site: Site) -> Result<()> {
    Ok(())
}

/// Prints how the clouds are.
pub(crate) fn status(_state: &State) -> Result<()> {
    Ok(())
}
