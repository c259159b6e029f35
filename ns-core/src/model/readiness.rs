//! When what runs in an instance is ready: more than that the instance runs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is looked at until an instance is ready (PLAN-07, OPEN-16). Whatever [boots after](super::InstanceMapping::boot_after) the
/// instance waits until it is, or until the limit is over: an instance that is not ready in time is recovered all the same, its
/// check fails, and an event tells so.
///
/// ```
/// use ns_core::model::{Probe, ReadinessCheck};
/// let check = ReadinessCheck::new(Probe::Port { port: 5432 });
/// assert_eq!((check.limit_seconds, check.probe.to_string()), (300, "port 5432 answers".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessCheck {
    /// What is looked at.
    pub probe: Probe,
    /// For how many seconds after the instance runs, 1 to 3600.
    pub limit_seconds: u32,
}

impl ReadinessCheck {
    /// A check that takes five minutes at most.
    #[must_use]
    pub const fn new(probe: Probe) -> Self {
        Self {
            probe,
            limit_seconds: 300,
        }
    }
}

/// One look at an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "probe")]
pub enum Probe {
    /// A connection by TCP is taken.
    Port {
        /// 1 to 65535.
        port: u16,
    },
    /// A request by HTTP is answered.
    Http {
        /// 1 to 65535.
        port: u16,
        /// What is asked for, e.g. `/healthz`.
        path: String,
        /// By HTTPS. Whose certificate it is is not looked at: the instance is called by its address.
        #[serde(default)]
        tls: bool,
        /// The answer that is wanted; none takes every one from 200 to 399.
        #[serde(default)]
        status: Option<u16>,
    },
    /// A command in the guest succeeds.
    GuestCommand {
        /// The program and its arguments. They are kept with the plan, for everybody who may read it: no place for a secret.
        command: Vec<String>,
    },
}

impl Probe {
    /// Whether it goes through the network. An isolated drill has no way in: there it is not looked at.
    #[must_use]
    pub const fn needs_network(&self) -> bool {
        matches!(self, Self::Port { .. } | Self::Http { .. })
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { port } => write!(f, "port {port} answers"),
            Self::Http { port, path, tls, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme} on port {port} answers {path}")
            }
            Self::GuestCommand { command } => {
                let program = command.first().map_or("", String::as_str);
                write!(f, "the guest's command {program} succeeds")
            }
        }
    }
}
