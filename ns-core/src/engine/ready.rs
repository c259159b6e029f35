//! Waiting until what runs in a recovered server is ready (OPEN-16).

use super::Providers;
use super::effect::Attempt;
use crate::journal::TaskOutput;
use crate::model::{CloudId, ClusterId, ReadinessCheck, Resource, ResourceKind};
use crate::planning::Side;
use crate::ports::{ProbedServer, Readiness, with_deadline};
use crate::{Error, ErrorKind, Result};
use futures::TryStreamExt;
use std::net::IpAddr;
use std::time::Duration;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(30);

impl Attempt {
    /// Waits until the check holds. That it does not in time ends the task: whatever boots later goes on, and the server stays.
    pub(super) async fn await_ready(
        &self,
        side: Side,
        cluster: &ClusterId,
        id: &CloudId,
        check: &ReadinessCheck,
    ) -> Result<TaskOutput> {
        let probe = self.inner.readiness.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "engine.no_readiness_probe",
                "this engine has no way to look into servers",
            )
            .with_remedy("give it one with EngineBuilder::readiness_probe")
        })?;
        let (clock, began) = (&self.inner.clock, self.inner.clock.now());
        let limit = Duration::from_secs(u64::from(check.limit_seconds));
        let mut told = None;
        loop {
            let look = async {
                let server = server(self.on(side)?, cluster, id).await?;
                probe.look(&server, &check.probe).await
            };
            let why = match with_deadline(&**clock, LOOK, "the look at the server", look).await {
                Ok(Readiness::Ready) => return Ok(TaskOutput::default()),
                Ok(Readiness::NotYet(why)) => why,
                Err(error) if error.kind().is_transient() => error.to_string(),
                Err(error) => return Err(error.with("server", id)),
            };
            if clock.now().duration_since(began).unsigned_abs() >= limit {
                return Err(Error::new(
                    ErrorKind::Rejected,
                    "readiness.not_ready",
                    format!("not ready {} s after it ran: {why}", check.limit_seconds),
                )
                .with("server", id)
                .with_remedy("look at the server's console; what boots after it was not held up any longer"));
            }
            if told.as_ref() != Some(&why) {
                self.tell(None, format!("not ready yet: {why}"));
                told = Some(why);
            }
            clock.sleep(self.inner.settings().poll).await;
        }
    }
}

/// A server as it is now, with the addresses it has.
async fn server(at: &Providers, cluster: &ClusterId, id: &CloudId) -> Result<ProbedServer> {
    let Some(Resource::Instance(instance)) = at.cloud.get(ResourceKind::Instance, id).await? else {
        return Err(Error::new(
            ErrorKind::NotFound,
            "readiness.no_server",
            "the server is not there any more",
        ));
    };
    let mut fixed_ips = Vec::new();
    for port in &instance.port_ids {
        if let Some(Resource::Port(port)) = at.cloud.get(ResourceKind::Port, port).await? {
            fixed_ips.extend(
                port.fixed_ips
                    .iter()
                    .filter_map(|(_, address)| address.parse::<IpAddr>().ok()),
            );
        }
    }
    let all: Vec<Resource> = at.cloud.inventory(&[ResourceKind::FloatingIp]).try_collect().await?;
    let leads_here = |found: &Resource| match found {
        Resource::FloatingIp(ip) if ip.port_id.as_ref().is_some_and(|p| instance.port_ids.contains(p)) => {
            ip.address.parse().ok()
        }
        _ => None,
    };
    Ok(ProbedServer {
        cluster: cluster.clone(),
        id: id.clone(),
        name: instance.name.clone(),
        floating_ips: all.iter().filter_map(leads_here).collect(),
        fixed_ips,
    })
}
