//! The bootable guest image.
use super::{packages, state::State};
use anyhow::Result;

/// Builds the image when it is missing or its inputs changed.
pub(crate) fn up(_state: &State) -> Result<()> {
    packages::install("guest", packages::GUEST)
}
