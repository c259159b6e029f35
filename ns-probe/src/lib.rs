//! Looks through the network whether what runs in recovered servers is ready (OPEN-16): a port that answers, a page that is given.
//!
//! ```
//! use ns_core::Engine;
//! use ns_probe::NetworkProbe;
//! use std::sync::Arc;
//!
//! # fn example(store: Arc<dyn ns_core::store::Store>) -> ns_core::Result<Engine> {
//! Engine::builder(store).readiness_probe(Arc::new(NetworkProbe::new()?)).build()
//! # }
//! ```

use async_trait::async_trait;
use ns_core::model::Probe;
use ns_core::ports::{ProbedServer, Readiness, ReadinessProbe};
use ns_core::{Error, ErrorKind, Result};
use reqwest::Client;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an address may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Connects to servers by TCP and HTTP. A command in a guest it cannot run: a host that has a way to do so wraps it (see
/// [`ReadinessProbe`]).
#[derive(Debug)]
pub struct NetworkProbe {
    http: Client,
    fixed_ips: bool,
}

impl NetworkProbe {
    /// Looks at the floating addresses of servers.
    ///
    /// # Errors
    /// `Internal` when the HTTP client cannot be made.
    pub fn new() -> Result<Self> {
        let http = Client::builder()
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // A server is called by its address, which is in no certificate; nothing that it says is used, and nothing is told to it.
            .tls_danger_accept_invalid_certs(true)
            .user_agent(concat!("neverstop/", env!("CARGO_PKG_VERSION")));
        let http = http.build().map_err(|e| {
            Error::new(ErrorKind::Internal, "probe.http", "the HTTP client cannot be made").with_source(e)
        })?;
        Ok(Self { http, fixed_ips: false })
    }

    /// Looks at the addresses of servers' ports as well. Only for a host whose network leads to those of the tenants: elsewhere
    /// another machine may have the same address, and answer.
    ///
    /// ```
    /// # use ns_probe::NetworkProbe;
    /// let probe = NetworkProbe::new()?.fixed_ips();
    /// # Ok::<(), ns_core::Error>(())
    /// ```
    #[must_use]
    pub const fn fixed_ips(mut self) -> Self {
        self.fixed_ips = true;
        self
    }

    fn addresses(&self, server: &ProbedServer) -> Result<Vec<IpAddr>> {
        let fixed = server.fixed_ips.iter().filter(|_| self.fixed_ips);
        let found: Vec<IpAddr> = server
            .floating_ips
            .iter()
            .chain(fixed)
            .copied()
            .filter(is_a_servers)
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        Err(Error::new(
            ErrorKind::Rejected,
            "probe.no_address",
            "the server has no address that it can be reached by from here",
        )
        .with("server", &server.name)
        .with_remedy(
            "give the instance a floating IP, or look at its fixed addresses where they can be reached \
             (NetworkProbe::fixed_ips)",
        ))
    }

    /// Looks at one address; otherwise gives why it is not ready.
    async fn at(&self, address: IpAddr, probe: &Probe) -> std::result::Result<(), String> {
        match probe {
            Probe::Port { port } => connect(SocketAddr::new(address, *port)).await,
            Probe::Http {
                port,
                path,
                tls,
                status,
            } => {
                let scheme = if *tls { "https" } else { "http" };
                let at = SocketAddr::new(address, *port);
                self.get(format!("{scheme}://{at}{path}"), *status).await
            }
            Probe::GuestCommand { .. } => Err("commands are not run through the network".to_owned()),
        }
    }

    async fn get(&self, url: String, wanted: Option<u16>) -> std::result::Result<(), String> {
        // Without the address, which is said already.
        let answer = self.http.get(url).send().await.map_err(|e| causes(&e.without_url()))?;
        let status = answer.status().as_u16();
        match wanted {
            Some(wanted) if wanted == status => Ok(()),
            None if (200..400).contains(&status) => Ok(()),
            _ => Err(format!("answers {status}")),
        }
    }
}

/// What a tenant can give a server so that a connection goes to this machine, or to many, is no server's.
const fn is_a_servers(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast())
                && v6.to_ipv4_mapped().is_none()
        }
    }
}

/// An error with what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let rest = std::iter::successors(error.source(), |e| e.source());
    rest.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

async fn connect(address: SocketAddr) -> std::result::Result<(), String> {
    match timeout(ANSWER, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("does not answer within {} s", ANSWER.as_secs())),
    }
}

#[async_trait]
impl ReadinessProbe for NetworkProbe {
    async fn look(&self, server: &ProbedServer, probe: &Probe) -> Result<Readiness> {
        if !probe.needs_network() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "probe.guest_command",
                "commands in guests cannot be run through the network",
            )
            .with_remedy("give the engine a probe of your own that runs them (ReadinessProbe)"));
        }
        let mut seen = Vec::new();
        for address in self.addresses(server)? {
            match self.at(address, probe).await {
                Ok(()) => return Ok(Readiness::Ready),
                Err(why) => seen.push(format!("{address}: {why}")),
            }
        }
        Ok(Readiness::NotYet(seen.join("; ")))
    }
}

#[cfg(test)]
mod tests;
