//! The storage provider of a simulated site: the port on top of the storage service, with the guards of its own that the
//! service lacks.

use super::answers::{OrError, error, existing, find, mark, position, refused, snapshot_info, state, status};
use super::faults::{Part, Stale};
use super::gate::Gate;
use super::rbd::Rbd;
use super::world::{SimWorld, World};
use crate::model::{ReplicationId, ReplicationMode, StorageRef};
use crate::provider::{
    Content, Decision, ImageState, Mark, PairingOffer, ReplicationStatus, SnapshotInfo, Storage, StorageCapabilities,
    StorageProvider, StorageReport, TOKEN_KEY, Token,
};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use std::time::Duration;

/// The storage of one simulated site.
#[derive(Debug)]
struct SimStorage {
    gate: Gate,
}

impl SimWorld {
    /// The storage provider of a site.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn storage(&self, site: &str) -> Storage {
        self.storage_with(site, None)
    }

    /// The same, let in with this password only.
    pub(crate) fn storage_with(&self, site: &str, password: Option<SecretString>) -> Storage {
        Arc::new(SimStorage {
            gate: Gate {
                world: self.clone(),
                site: self.site(site),
                part: Part::Storage,
                password,
            },
        })
    }
}

impl SimStorage {
    async fn call<T: Send>(
        &self,
        verb: &'static str,
        target: &(impl std::fmt::Display + Sync),
        takes: Duration,
        work: impl FnOnce(&mut Rbd<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        let site = self.gate.site;
        self.gate
            .call(verb, target, takes, |world, now| work(&mut Rbd { world, site, now }))
            .await
    }

    fn takes(&self) -> super::Tuning {
        self.gate.world.with(|world, _| world.tuning.clone())
    }

    /// A verb that in snapshot mode waits for a round of the monitors.
    fn round(&self, image: &StorageRef) -> Duration {
        let site = self.gate.site;
        self.gate.world.with(|world, now| {
            let (round, write) = (world.tuning.storage_round, world.tuning.storage_write);
            let info = Rbd { world, site, now }.info(image);
            let mode = info.ok().and_then(|i| i.mirroring).map(|m| m.mode);
            if mode == Some(ReplicationMode::Journal) {
                write
            } else {
                round
            }
        })
    }
}

const OFFER: &str = "sim-pairing:";

#[async_trait]
impl StorageProvider for SimStorage {
    fn kind(&self) -> &'static str {
        "sim-rbd"
    }

    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities::new(vec![ReplicationMode::Snapshot, ReplicationMode::Journal], true)
    }

    async fn check(&self) -> Result<StorageReport> {
        let site = self.gate.site;
        let report = |world: &mut World, _: Timestamp| {
            let here = &world.sites[site];
            let pools = world
                .pools
                .iter()
                .filter(|pool| !here.access.unmirrored.contains(*pool));
            Ok(StorageReport {
                storage_id: format!("sim-storage-{}", here.name),
                site_name: here.name.clone(),
                pools: pools.cloned().collect(),
                free_bytes: here.access.free_bytes.clone(),
                peers: here.peer.iter().map(|peer| world.sites[*peer].name.clone()).collect(),
                replication_healthy: here.daemon,
                missing_rights: here.access.missing(Part::Storage),
                warnings: vec!["removals at the source are followed at once".to_owned()],
            })
        };
        self.gate.call("check", "", self.takes().storage_read, report).await
    }

    async fn offer_pairing(&self) -> Result<PairingOffer> {
        let site = self.gate.site;
        let offer = |world: &mut World, _: Timestamp| {
            let site_name = world.sites[site].name.clone();
            let secret = format!("{OFFER}{site_name}").into();
            Ok(PairingOffer { site_name, secret })
        };
        self.gate
            .call("offer_pairing", "", self.takes().storage_read, offer)
            .await
    }

    async fn accept_pairing(&self, offer: &PairingOffer) -> Result<()> {
        let site = self.gate.site;
        let rejected = |message: &str| Error::new(ErrorKind::Rejected, "sim.pairing", message);
        let accept = |world: &mut World, now: Timestamp| {
            let name = offer.secret.expose_secret().strip_prefix(OFFER);
            let peer = name.and_then(|name| world.sites.iter().position(|s| s.name == name));
            let peer = peer.ok_or_else(|| rejected("the offer cannot be read"))?;
            if peer == site {
                return Err(rejected("the offer is of this very side"));
            }
            if world.sites[site].peer == Some(peer) && world.sites[peer].peer == Some(site) {
                return Ok(());
            }
            if world.sites[site].peer.or(world.sites[peer].peer).is_some() {
                return Err(Error::new(ErrorKind::Conflict, "sim.pairing", "another peer is there"));
            }
            for (here, there) in [(site, peer), (peer, site)] {
                world.sites[here].peer = Some(there);
                world.sites[here].since = now;
                world.relinked();
            }
            Ok(())
        };
        self.gate
            .call("accept_pairing", &offer.site_name, self.takes().storage_write, accept)
            .await
    }

    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>> {
        let read = self.takes().storage_read;
        self.call("image", image, read, |rbd| Ok(existing(rbd.info(image))?.map(state)))
            .await
    }

    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>> {
        let find = |rbd: &mut Rbd<'_>| {
            let image = rbd.images().or_error()?.by_id(id.as_str());
            Ok(image.map(|i| i.place.storage()))
        };
        self.call("find_replica", id, self.takes().storage_read, find).await
    }

    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId> {
        let takes = self.takes();
        let takes = match mode {
            ReplicationMode::Snapshot => takes.storage_round,
            ReplicationMode::Journal => takes.storage_write,
        };
        let enable = |rbd: &mut Rbd<'_>| {
            let info = rbd.info(image).or_error()?;
            if let Some(mirroring) = &info.mirroring
                && mirroring.mode != mode
            {
                let message = format!("{image} replicates in the other mode");
                return Err(Error::new(ErrorKind::Conflict, "sim.mode", message));
            }
            let id = rbd.mirror_enable(image, mode).map_err(|errno| match info.parent {
                Some(_) => refused("parent", errno.text).with_remedy("flatten the image first"),
                None => error(&errno),
            })?;
            Ok(ReplicationId::new(id))
        };
        self.call("enable_replication", image, takes, enable).await
    }

    async fn disable_replication(&self, image: &StorageRef) -> Result<()> {
        let disable = |rbd: &mut Rbd<'_>| match existing(rbd.info(image))?.and_then(|i| i.mirroring) {
            None => Ok(()),
            Some(m) if !m.primary => Err(refused("secondary", format!("{image} is not primary"))),
            Some(_) => rbd.mirror_disable(image, false).or_error(),
        };
        self.call("disable_replication", image, self.takes().storage_write, disable)
            .await
    }

    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus> {
        let (site, read) = (self.gate.site, self.takes().storage_read);
        let look = |world: &mut World, now: Timestamp, stale: Option<&Stale>| match stale
            .and_then(|stale| stale.status.get(image))
        {
            Some(status) => Ok(status.clone()),
            None => status(&Rbd { world, site, now }, image),
        };
        self.gate.look("status", image, read, look).await
    }

    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo> {
        let take = |rbd: &mut Rbd<'_>| {
            match rbd.snap_create(image, name) {
                Err(errno) if errno.code != 17 => return Err(error(&errno)),
                _ => {}
            }
            let all = rbd.snapshots(image).or_error()?.into_iter();
            let made = all.map(snapshot_info).find(|s| s.name == name);
            made.ok_or_else(|| Error::new(ErrorKind::Internal, "sim.snapshot", "the snapshot is not there"))
        };
        self.call("snapshot", image, self.takes().storage_write, take).await
    }

    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>> {
        let list = |rbd: &mut Rbd<'_>| {
            let all = rbd.snapshots(image).or_error()?;
            Ok(all.into_iter().map(snapshot_info).collect())
        };
        self.call("snapshots", image, self.takes().storage_read, list).await
    }

    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content> {
        let takes = self.takes().storage_read;
        self.call("content", image, takes, |rbd| rbd.content(image, snapshot).or_error())
            .await
    }

    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()> {
        let remove = |rbd: &mut Rbd<'_>| existing(rbd.snap_remove(image, name)).map(|_| ());
        self.call("remove_snapshot", image, self.takes().storage_write, remove)
            .await
    }

    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark> {
        let ship = |rbd: &mut Rbd<'_>| {
            let info = rbd.info(image).or_error()?;
            if let Some(name) = snapshot {
                rbd.snap(image, name).or_error()?;
            }
            match info.mirroring {
                Some(m) if m.primary && m.mode == ReplicationMode::Snapshot => {
                    rbd.mirror_snapshot(image).or_error()?;
                }
                Some(m) if m.primary => {}
                _ => return Err(refused("ship", format!("{image} is not a replicated primary"))),
            }
            mark(rbd, image, None)
        };
        self.call("ship", image, self.round(image), ship).await
    }

    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool> {
        let look = |rbd: &mut Rbd<'_>| Ok(position(rbd, replica, mark)?.is_some());
        self.call("arrived", replica, self.takes().storage_read, look).await
    }

    async fn demote(&self, image: &StorageRef) -> Result<Mark> {
        let demote = |rbd: &mut Rbd<'_>| {
            let info = rbd.info(image).or_error()?;
            match info.mirroring {
                Some(m) if m.primary => rbd.demote(image).or_error()?,
                Some(_) if rbd.images().or_error()?.get(image).or_error()?.log.demoted() == Some(true) => {}
                _ => return Err(refused("demote", format!("{image} is not primary"))),
            }
            let log = &rbd.images().or_error()?.get(image).or_error()?.log;
            let demotion = log.last_role();
            mark(rbd, image, demotion)
        };
        self.call("demote", image, self.round(image), demote).await
    }

    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()> {
        let promote = |rbd: &mut Rbd<'_>| {
            match rbd.info(image).or_error()?.mirroring {
                Some(m) if m.primary => return Ok(()),
                Some(_) => {}
                None => return Err(refused("promote", format!("{image} does not replicate"))),
            }
            // The service would promote whenever the last act on this side was a demotion: not enough (facts 0.4).
            let arrived = position(rbd, image, demotion)?;
            let log = &rbd.images().or_error()?.get(image).or_error()?.log;
            if arrived.is_none() || arrived != log.last_role() || log.demoted() != Some(true) {
                return Err(
                    refused("demotion", format!("the peer's demotion has not arrived at {image}"))
                        .with_remedy("wait until it has, then promote again"),
                );
            }
            match rbd.promote(image, false) {
                Err(errno) if errno.code == 16 => Err(refused("demotion", errno.text)),
                answer => answer.or_error().map(|_| ()),
            }
        };
        self.call("promote", image, self.round(image), promote).await
    }

    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        if decision.operator.is_empty() || decision.reason.is_empty() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "sim.decision",
                "a decision names who and why",
            ));
        }
        let takes = self.takes();
        let promote = |rbd: &mut Rbd<'_>| match rbd.info(image).or_error()?.mirroring {
            Some(m) if m.primary => Ok(Ok(false)),
            Some(_) => Ok(rbd.promote(image, true)),
            None => Err(refused("promote", format!("{image} does not replicate"))),
        };
        match self.call("force_promote", image, self.round(image), promote).await? {
            Ok(rolled_back) => {
                let rest = if rolled_back { takes.rollback } else { Duration::ZERO };
                self.gate.world.clock.sleep(rest).await;
                Ok(())
            }
            Err(errno) if errno.code == 110 => {
                self.gate.world.clock.sleep(takes.request_limit).await;
                Err(error(&errno).with_remedy("stop the mirror daemon of this side, then try again"))
            }
            Err(errno) if errno.code == 22 => Err(refused("promote", errno.text)),
            Err(errno) => Err(error(&errno)),
        }
    }

    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        if decision.operator.is_empty() || decision.reason.is_empty() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "sim.decision",
                "a decision names who and why",
            ));
        }
        let resync = |rbd: &mut Rbd<'_>| match rbd.info(image).or_error()?.mirroring {
            Some(m) if !m.primary => rbd.resync(image).or_error(),
            _ => Err(refused("resync", format!("{image} is no secondary"))),
        };
        self.call("resync", image, self.takes().storage_write, resync).await
    }

    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef> {
        let clone = |rbd: &mut Rbd<'_>| {
            if let Some(made) = find(rbd, token)? {
                return Ok(made);
            }
            let text = image.as_str();
            let pool = text.rsplit_once('/').map_or(text, |(pool, _)| pool);
            let child = StorageRef::new(format!("{pool}/{token}"));
            rbd.clone_snapshot(image, snapshot, &child).or_error()?;
            rbd.set_metadata(&child, TOKEN_KEY, Some(token.as_str())).or_error()?;
            Ok(child)
        };
        self.call("clone_snapshot", image, self.takes().storage_write, clone)
            .await
    }

    async fn find(&self, token: &Token) -> Result<Option<StorageRef>> {
        self.call("find", token, self.takes().storage_read, |rbd| find(rbd, token))
            .await
    }

    async fn flatten(&self, image: &StorageRef) -> Result<()> {
        self.call("flatten", image, self.takes().storage_round, |rbd| {
            rbd.flatten(image).or_error()
        })
        .await
    }

    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()> {
        let remove = |rbd: &mut Rbd<'_>| {
            let Some(info) = existing(rbd.info(image))? else {
                return Ok(());
            };
            if info.metadata.get(TOKEN_KEY).map(String::as_str) != Some(token.as_str()) {
                return Err(refused("foreign", format!("{image} was not made with {token}")));
            }
            if info.mirroring.is_some() {
                return Err(refused("replicating", format!("{image} replicates")));
            }
            if info.watchers > 0 || rbd.has_children(image).or_error()? {
                let message = format!("{image} is in use or has clones");
                return Err(Error::new(ErrorKind::Conflict, "sim.in_use", message));
            }
            for snap in rbd.snapshots(image).or_error()? {
                rbd.snap_remove(image, &snap.name).or_error()?;
            }
            rbd.remove(image).or_error()
        };
        self.call("remove", image, self.takes().storage_write, remove).await
    }

    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()> {
        let rename = |rbd: &mut Rbd<'_>| match existing(rbd.info(image))? {
            Some(_) if image != name => rbd.rename(image, name).or_error(),
            Some(_) => Ok(()),
            // Done already by a call whose answer was lost.
            None => rbd.info(name).or_error().map(|_| ()),
        };
        self.call("rename", image, self.takes().storage_write, rename).await
    }

    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()> {
        let set = |rbd: &mut Rbd<'_>| rbd.set_metadata(image, key, value).or_error();
        self.call("set_metadata", image, self.takes().storage_write, set).await
    }
}
