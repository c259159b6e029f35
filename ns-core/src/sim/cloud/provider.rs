//! The cloud provider of a simulated site.

use super::page;
use super::state::{Becomes, missing};
use crate::model::{CloudId, PowerState, Resource, ResourceKind};
use crate::provider::{
    AdoptSpec, Cloud, CloudCapabilities, CloudProvider, CloudReport, CreatedKind, Handle, Spec, Token,
};
use crate::sim::faults::{Part, Stale};
use crate::sim::gate::Gate;
use crate::sim::world::{SimWorld, World};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use secrecy::SecretString;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// The cloud of one simulated site.
#[derive(Debug)]
struct SimCloud {
    gate: Gate,
}

impl SimWorld {
    /// The cloud provider of a site.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn cloud(&self, site: &str) -> Cloud {
        self.cloud_with(site, None)
    }

    /// The same, let in with this password only.
    pub(crate) fn cloud_with(&self, site: &str, password: Option<SecretString>) -> Cloud {
        Arc::new(SimCloud {
            gate: Gate {
                world: self.clone(),
                site: self.site(site),
                part: Part::Cloud,
                password,
            },
        })
    }
}

impl SimCloud {
    fn takes(&self) -> crate::sim::Tuning {
        self.gate.world.with(|world, _| world.tuning.clone())
    }

    /// Waits for what a server was ordered to become.
    async fn settled(&self, id: &CloudId, wanted: &[PowerState]) -> Result<()> {
        loop {
            let site = self.gate.site;
            let (due, state) = self.gate.peek(|world, now| {
                let cloud = &world.sites[site].cloud;
                let due = cloud.pending.get(id).map(|(at, _)| at.duration_since(now));
                Ok((due, cloud.server(id).map(|s| (s.power, s.fault.clone()))))
            })?;
            let Some(due) = due else {
                return match state? {
                    (power, _) if wanted.contains(&power) => Ok(()),
                    (power, fault) => {
                        let fault = fault.unwrap_or_else(|| format!("server {id} is {power:?}"));
                        Err(Error::new(ErrorKind::Rejected, "sim.server", fault))
                    }
                };
            };
            let due = Duration::try_from(due).unwrap_or_default();
            self.gate.world.clock.sleep(due.max(Duration::from_millis(1))).await;
        }
    }

    /// Orders a server to become something else.
    async fn order(&self, verb: &'static str, id: &CloudId, becomes: Becomes, takes: Duration) -> Result<()> {
        let site = self.gate.site;
        let wanted = match becomes {
            Becomes::Running => PowerState::Running,
            Becomes::Stopped => PowerState::Stopped,
        };
        let order = |world: &mut World, now: Timestamp| {
            if world.sites[site].fenced {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "sim.host_down",
                    "the server's host is down",
                ));
            }
            let cloud = &mut world.sites[site].cloud;
            if cloud.server(id)?.power != wanted || cloud.pending.contains_key(id) {
                cloud.pending.insert(id.clone(), (now + takes, becomes));
            }
            Ok(())
        };
        self.gate.call(verb, id, self.takes().cloud_write, order).await?;
        self.settled(id, &[wanted]).await
    }
}

#[async_trait]
impl CloudProvider for SimCloud {
    fn platform(&self) -> &'static str {
        "simulated"
    }

    fn capabilities(&self) -> CloudCapabilities {
        CloudCapabilities::all()
    }

    async fn check(&self) -> Result<CloudReport> {
        let site = self.gate.site;
        let check = |world: &mut World, _: Timestamp| {
            let here = &world.sites[site];
            Ok(CloudReport {
                cloud_id: format!("sim-cloud-{}", here.name),
                user: "sim-admin".to_owned(),
                missing_rights: here.access.missing(Part::Cloud),
                excess_rights: vec![],
                clock_skew_seconds: here.access.clock_skew_seconds,
                services: vec![("sim".to_owned(), "1".to_owned())],
                new_tenant: here.access.new_tenant,
                warnings: vec![],
            })
        };
        self.gate.call("check", "", self.takes().cloud_read, check).await
    }

    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        let pages =
            futures::stream::try_unfold((0, None), move |(index, after): (usize, Option<CloudId>)| async move {
                let Some(kind) = kinds.get(index).copied() else {
                    return Ok::<_, Error>(None);
                };
                let (site, takes) = (self.gate.site, self.takes());
                let look = |world: &mut World, _: Timestamp, stale: Option<&Stale>| {
                    let now = &world.sites[site].cloud.inventory;
                    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                    Ok(page(stale.map_or(now, |s| &s.inventory), kind, from, takes.page))
                };
                let page = self
                    .gate
                    .look("inventory", kind.as_str(), takes.cloud_read, look)
                    .await?;
                let next = match page.last() {
                    Some(last) if page.len() == takes.page => (index, Some(last.id().clone())),
                    _ => (index + 1, None),
                };
                Ok(Some((futures::stream::iter(page.into_iter().map(Ok)), next)))
            });
        futures::TryStreamExt::try_flatten(pages).boxed()
    }

    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        let site = self.gate.site;
        let look = |world: &mut World, _: Timestamp, stale: Option<&Stale>| {
            let now = &world.sites[site].cloud.inventory;
            let all = stale.map_or(now, |s| &s.inventory);
            Ok(page(all, kind, Bound::Included(id), 1)
                .into_iter()
                .find(|r| r.id() == id))
        };
        self.gate.look("get", id, self.takes().cloud_read, look).await
    }

    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        let (site, kind) = (self.gate.site, spec.kind());
        let make = |world: &mut World, now: Timestamp| {
            let made = world.sites[site].cloud.by_token(kind, token);
            if kind != CreatedKind::Server {
                return match made {
                    Some(handle) => Ok(handle),
                    None => {
                        let cloud = &mut world.sites[site].cloud;
                        let id = cloud.make(spec, Some(token))?;
                        Ok(cloud.handle(kind, id))
                    }
                };
            }
            if let Some(handle) = made {
                let cloud = &mut world.sites[site].cloud;
                let failed = cloud.server(&handle.id).is_ok_and(|s| s.power == PowerState::Error);
                if !failed || cloud.pending.contains_key(&handle.id) {
                    return Ok(handle);
                }
                // An attempt that failed for good: made way for the next.
                cloud.unmake(kind, &handle.id)?;
            }
            let id = world.order_server(site, spec, Some(token), now)?;
            Ok(world.sites[site].cloud.handle(kind, id))
        };
        let handle = self.gate.call("create", token, self.takes().cloud_write, make).await?;
        if kind == CreatedKind::Server {
            // Off is fine too: made long ago, and stopped since.
            self.settled(&handle.id, &[PowerState::Running, PowerState::Stopped])
                .await?;
        }
        Ok(handle)
    }

    async fn find(&self, kind: CreatedKind, _tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        let site = self.gate.site;
        let find = |world: &mut World, _: Timestamp| Ok(world.sites[site].cloud.by_token(kind, token));
        self.gate.call("find", token, self.takes().cloud_read, find).await
    }

    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        let site = self.gate.site;
        let remove = |world: &mut World, _: Timestamp| {
            let cloud = &world.sites[site].cloud;
            if !cloud.exists(handle.kind, &handle.id) {
                return Ok(());
            }
            if cloud.tokens.get(&(handle.kind, handle.id.clone())) != Some(token) {
                let message = format!("{:?} {} was not made with {token}", handle.kind, handle.id);
                return Err(Error::new(ErrorKind::Refused, "sim.foreign", message));
            }
            if handle.kind == CreatedKind::Server {
                world.halt(site, &handle.id);
            }
            world.sites[site].cloud.unmake(handle.kind, &handle.id)
        };
        self.gate
            .call("remove", &handle.id, self.takes().cloud_write, remove)
            .await
    }

    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        let site = self.gate.site;
        let adopt = |world: &mut World, now: Timestamp| {
            if !spec.storage.as_str().starts_with("rbd:") {
                let message = format!("not a reference to an image: \"{}\"", spec.storage);
                return Err(Error::new(ErrorKind::Invalid, "sim.storage", message));
            }
            let id = match world.sites[site].cloud.by_token(CreatedKind::Volume, token) {
                Some(begun) => begun.id,
                None => world.adopt(site, spec, Some(token), now)?,
            };
            let cloud = &mut world.sites[site].cloud;
            cloud.adopting.insert(id.clone());
            Ok(cloud.handle(CreatedKind::Volume, id))
        };
        let takes = self.takes().cloud_write;
        let adopted = self.gate.call("adopt", &spec.storage, takes, adopt).await?;
        let settle = |world: &mut World, _: Timestamp| world.sites[site].cloud.adopting.remove(&adopted.id);
        self.gate.world.with(settle);
        Ok(adopted)
    }

    async fn release(&self, volume: &CloudId) -> Result<()> {
        let site = self.gate.site;
        let release = |world: &mut World, _: Timestamp| world.release(site, volume);
        self.gate
            .call("release", volume, self.takes().cloud_write, release)
            .await
    }

    async fn start(&self, server: &CloudId) -> Result<()> {
        self.order("start", server, Becomes::Running, self.takes().server_create / 2)
            .await
    }

    async fn stop(&self, server: &CloudId) -> Result<()> {
        self.order("stop", server, Becomes::Stopped, self.takes().server_stop)
            .await
    }

    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        let site = self.gate.site;
        let read = |world: &mut World, _: Timestamp| {
            let guest = world.sites[site].cloud.guests.get(server);
            let console = &guest.ok_or_else(|| missing("server", server.as_str()))?.console;
            let skip = console.len().saturating_sub(lines as usize);
            Ok(console[skip..].join("\n"))
        };
        self.gate.call("console", server, self.takes().cloud_read, read).await
    }
}
