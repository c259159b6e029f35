//! Power switches of a simulated site's hosts, which work whatever befell the site.

use super::world::{Condition, SimWorld};
use crate::Result;
use crate::provider::{Fence, Fencing};
use async_trait::async_trait;
use std::sync::Arc;

#[derive(Debug)]
struct SimFence {
    world: SimWorld,
    site: usize,
}

impl SimWorld {
    /// The fence of a site: its hosts lose power, and servers that ran run again when they get it back. Storage and mirroring go
    /// on.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn fence(&self, site: &str) -> Fencing {
        Arc::new(SimFence {
            world: self.clone(),
            site: self.site(site),
        })
    }
}

#[async_trait]
impl Fence for SimFence {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    async fn fence(&self) -> Result<String> {
        self.world.with(|world, _| {
            if !world.sites[self.site].fenced {
                world.crash_servers(self.site);
                world.sites[self.site].fenced = true;
            }
        });
        Ok("all hosts read off".to_owned())
    }

    async fn unfence(&self) -> Result<()> {
        self.world.with(|world, now| {
            let here = &mut world.sites[self.site];
            here.fenced = false;
            if here.condition != Condition::Dead {
                world.resume_servers(self.site, now);
            }
        });
        Ok(())
    }
}
