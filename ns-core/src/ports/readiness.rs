//! A way to look into recovered servers (OPEN-16).

use crate::Result;
use crate::model::{CloudId, ClusterId, Probe};
use async_trait::async_trait;
use std::fmt::Debug;
use std::net::IpAddr;

/// The server that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedServer {
    /// The cluster it runs in.
    pub cluster: ClusterId,
    /// Its id there.
    pub id: CloudId,
    /// Its name.
    pub name: String,
    /// The floating addresses that lead to it.
    pub floating_ips: Vec<IpAddr>,
    /// The addresses of its ports. In another network than the server's they may be somebody else's.
    pub fixed_ips: Vec<IpAddr>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is ready.
    Ready,
    /// Not yet, and why, in words for journal and report.
    NotYet(String),
}

/// Looks whether what runs in a server is ready. The engine looks again and again until it is or the check's limit is over; a probe
/// only looks once.
///
/// `ns-probe` looks through the network. Whoever reaches guests another way, by an agent in them for instance, brings his own, and
/// hands what he does not do himself to that one:
///
/// ```
/// use async_trait::async_trait;
/// use ns_core::Result;
/// use ns_core::model::Probe;
/// use ns_core::ports::{ProbedServer, Readiness, ReadinessProbe};
/// use std::sync::Arc;
///
/// #[derive(Debug)]
/// struct ByAgent {
///     network: Arc<dyn ReadinessProbe>,
/// }
///
/// #[async_trait]
/// impl ReadinessProbe for ByAgent {
///     async fn look(&self, server: &ProbedServer, probe: &Probe) -> Result<Readiness> {
///         match probe {
///             Probe::GuestCommand { command } => {
///                 // ... ask the agent of `server` to run `command` ...
///                 Ok(Readiness::NotYet(format!("{} exits with 1", command.join(" "))))
///             }
///             other => self.network.look(server, other).await,
///         }
///     }
/// }
/// ```
///
/// **Errors**: kinds that are [transient](crate::ErrorKind::is_transient) count as "not yet"; all others end the check.
/// **Cancellation**: `look` may be dropped at any await. A look takes seconds at most: a dead server is one that is not ready yet.
#[async_trait]
pub trait ReadinessProbe: Debug + Send + Sync {
    /// Looks once.
    ///
    /// # Errors
    /// `Unsupported` for a kind of probe that this one cannot do; others as the trait says.
    async fn look(&self, server: &ProbedServer, probe: &Probe) -> Result<Readiness>;
}
