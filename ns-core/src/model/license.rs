//! What the host's licence allows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A licence as the host has verified it (LIC-03). Whatever is protected already stays usable when it has expired (LIC-06,
/// OPEN-11): it bounds new protection only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    /// Platforms that may be registered (LIC-08), as providers name them, e.g. `openstack`.
    pub platforms: BTreeSet<String>,
    /// How many instances may be protected at once (LIC-09).
    pub instances: usize,
    /// When it ends (LIC-03).
    pub expires_at: Timestamp,
}
