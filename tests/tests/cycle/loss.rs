//! The way out without site A: it is killed, frozen or cut off, B takes over by force, and A returns while B runs. A then
//! holds writes that B never had: it must not take another one, nor give B any of them.

use super::{Cycle, GUEST_PORT, LONG};
use anyhow::{Result, ensure};
use ns_core::model::{PowerState, Resource, ResourceKind};
use ns_tests::{Guest, SiteName};
use std::time::{Duration, Instant};

/// How site A is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Every process ends at once.
    Killed,
    /// Every process hangs, and answers late.
    Frozen,
    /// Everything goes on there, the guest writes, and nobody can reach it.
    CutOff,
}

impl Loss {
    /// Of the n-th cycle: none in the first, then one after the other.
    pub(super) fn of(n: usize) -> Option<Self> {
        [None, Some(Self::Killed), Some(Self::Frozen), Some(Self::CutOff)][(n - 1) % 4]
    }

    /// The verbs of the lab that bring it about and end it.
    fn verbs(self) -> (&'static str, &'static str) {
        match self {
            Self::Killed => ("kill", "start"),
            Self::Frozen => ("freeze", "thaw"),
            Self::CutOff => ("cut", "mend"),
        }
    }
}

impl Cycle {
    /// The way out without A. Afterwards the failover is confirmed, A is back, and nothing of it can write.
    pub(super) async fn lose(&mut self, loss: Loss, marker: &str) -> Result<()> {
        let (begin, end) = loss.verbs();
        self.point(SiteName::A, SiteName::B, marker).await?;
        // Written on A and in no shipment: lost by the decision to go on without A.
        let address_of_a = self.address(SiteName::A).await?;
        Guest::mark(&address_of_a, GUEST_PORT, &format!("{marker}-UNSHIPPED")).await?;
        self.lab.xtask(begin, SiteName::A)?;
        self.say(&format!("site A: {loss:?}"));
        let why = format!("site A is {loss:?}");
        self.run(&["failover", "--force", &why]).await?;
        self.shows(SiteName::B, marker).await?;
        self.run(&["confirm"]).await?;
        let on_b = format!("{marker}-ON-B");
        let address_of_b = self.address(SiteName::B).await?;
        Guest::mark(&address_of_b, GUEST_PORT, &on_b).await?;
        if loss == Loss::CutOff {
            // Nobody can stop it before A can be reached again.
            Guest::mark(&address_of_a, GUEST_PORT, &format!("{marker}-ORPHAN")).await?;
        }
        self.lab.xtask(end, SiteName::A)?;
        self.say("site A is back");
        if loss == Loss::Killed {
            // The fake hypervisor forgets its servers, and could not stop them..
            for name in ["e2e-fake-1", "e2e-fake-2"] {
                let id = self.server(SiteName::A, name).await?.to_string();
                self.lab.openstack(SiteName::A, &["server", "reboot", "--hard", &id])?;
            }
        }
        self.read_only(SiteName::A).await?;
        // What B wrote is what B has, whatever A had to say.
        let mut markers = Vec::new();
        for image in self.replicated(SiteName::B)?.into_values() {
            markers.extend(self.lab.marker(SiteName::B, &image)?);
        }
        if markers.len() != 2 || markers.iter().any(|marker| marker != &on_b) {
            self.data_error(format!("after A's return B holds {markers:?}, not twice {on_b}"));
        }
        Ok(())
    }

    /// Runs the engine's watch until a side that returned holds no writable copy and runs none of the servers.
    async fn read_only(&mut self, site: SiteName) -> Result<()> {
        let begin = Instant::now();
        loop {
            self.program.run(&["watch", "--seconds", "15"], LONG).await?;
            let writable = self.writable(site).await?;
            if writable.is_empty() {
                break;
            }
            ensure!(
                begin.elapsed() < Duration::from_secs(600),
                "still writable on {site:?}: {writable:?}"
            );
        }
        self.say(&format!(
            "site {} is read only after {:.0} s",
            site.letter(),
            begin.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    /// Primary images and servers that are not stopped.
    async fn writable(&self, site: SiteName) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for image in self.replicated(site)?.into_values() {
            let info: serde_json::Value =
                serde_json::from_str(&self.lab.rbd(site, &["info", &image, "--format", "json"])?)?;
            if info["mirroring"]["primary"] == true {
                found.push(image);
            }
        }
        for resource in self.inventory(site, &[ResourceKind::Instance]).await? {
            if let Resource::Instance(server) = resource
                && server.power != PowerState::Stopped
            {
                found.push(format!("{} is {:?}", server.name, server.power));
            }
        }
        Ok(found)
    }
}
