//! Carrying out one action. This is the only place of the engine that touches a cloud or a storage on behalf of a job.
//!
//! Every arm may run again after it succeeded, failed or was dropped half way (see `provider`): it looks first where
//! looking decides, and ends on something that was read back.

use super::records::{VolumeEpoch, kinds};
use super::{Inner, Providers, role_of};
use crate::journal::TaskOutput;
use crate::model::{CloudId, JobId, ReplicationId, StorageRef, TaskKey};
use crate::planning::{Action, ImageRef, MarkRef, Side};
use crate::planted::{self, Bug};
use crate::provider::{CreatedKind, Decision, Mark, ReplicationPhase, Role};
use crate::provider::{Handle, Storage, Token};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a task tells of itself while it runs: percent, where known, and a sentence.
pub(crate) type Progress = (TaskKey, Option<u8>, String);

/// Everything one attempt needs.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) inner: Arc<Inner>,
    pub(crate) job: JobId,
    pub(crate) task: TaskKey,
    pub(crate) action: Action,
    pub(crate) token: Token,
    pub(crate) source: Result<Providers>,
    pub(crate) target: Result<Providers>,
    /// For [`Action::AwaitReplica`]: the replication to wait for.
    pub(crate) replication_id: Option<ReplicationId>,
    /// The operator's decision that the action carries out.
    pub(crate) decision: Option<Decision>,
    pub(crate) progress: mpsc::UnboundedSender<Progress>,
}

/// How long an attempt may take.
pub(crate) fn limit(inner: &Inner, action: &Action) -> Duration {
    let s = &inner.settings();
    match action {
        Action::Create { spec, .. } if matches!(spec.kind(), CreatedKind::Server) => s.boot_limit,
        Action::StopServer { .. } | Action::StartServer { .. } => s.boot_limit,
        // Behind a stuck mirror daemon this takes its stop, the expiry of its lock and the promotion itself.
        Action::ForcePromote { .. } => s.call_limit * 3,
        Action::AwaitArrival { .. } => s.arrival_limit,
        Action::AwaitReplica { .. } | Action::Rejoin { .. } | Action::Flatten { .. } => s.copy_limit,
        // It ends itself, and says what it saw last.
        Action::AwaitReady { check, .. } => Duration::from_secs(u64::from(check.limit_seconds)) + s.call_limit,
        Action::Delay { seconds } => Duration::from_secs(u64::from(*seconds) + 60),
        _ => s.call_limit,
    }
}

/// Whether a failed attempt may be followed by another, after `failures` earlier ones.
pub(crate) const fn may_pass(action: &Action, kind: ErrorKind, failures: u32) -> bool {
    // A request that was under way when an engine died may take effect after its successor looked: the address is in use
    // then, by the thing itself, and the next look finds it.
    let making = matches!(
        action,
        Action::Create { .. } | Action::Adopt { .. } | Action::Clone { .. }
    );
    if making && matches!(kind, ErrorKind::Conflict) && failures < 3 {
        return true;
    }
    // What is taken down is often still in use for a moment: a port behind a server that is just gone, an image with a
    // watcher that has not timed out.
    let clearing = matches!(
        action,
        Action::Remove { .. } | Action::Release { .. } | Action::RemoveImage { .. } | Action::Rename { .. }
    );
    kind.is_transient() || (clearing && matches!(kind, ErrorKind::Conflict))
}

impl Attempt {
    /// Carries the action out.
    pub(crate) async fn run(&self) -> Result<TaskOutput> {
        match &self.action {
            Action::Create { side, spec } => {
                let handle = self.on(*side)?.cloud.create(spec, &self.token).await?;
                Ok(made(handle))
            }
            Action::Adopt { side, image, spec } => {
                let at = self.on(*side)?;
                let begun = at.cloud.find(CreatedKind::Volume, None, &self.token).await?;
                let mut spec = spec.clone();
                spec.storage = match begun.and_then(|handle| handle.storage) {
                    // Begun before: the image may have its new name already. The provider finishes what is missing.
                    Some(storage) => storage,
                    // Not begun, or the cloud does not say yet where the volume lies.
                    None => self.image(&at.storage, image).await?,
                };
                Ok(made(at.cloud.adopt(&spec, &self.token).await?))
            }
            Action::Remove {
                side,
                kind,
                tenant,
                handle,
                token,
            } => {
                let at = self.on(*side)?;
                let tenant = tenant.as_ref().and_then(|t| t.id().ok()).map(CloudId::from);
                let mut found = match handle {
                    Some(handle) => Some(handle.clone()),
                    None => at.cloud.find(*kind, tenant.as_ref(), token).await?,
                };
                // A request that was under way when an engine died may have made a second one after the first was looked for.
                while let Some(handle) = found {
                    at.cloud.remove(&handle, token).await?;
                    found = at.cloud.find(*kind, tenant.as_ref(), token).await?;
                }
                Ok(TaskOutput::default())
            }
            Action::Release { side, handle, token } => {
                let at = self.on(*side)?;
                let found = match handle {
                    Some(handle) => Some(handle.clone()),
                    None => at.cloud.find(CreatedKind::Volume, None, token).await?,
                };
                if let Some(handle) = found {
                    at.cloud.release(&handle.id).await?;
                }
                Ok(TaskOutput::default())
            }
            Action::StopServer { side, server, .. } => {
                match self.on(*side)?.cloud.stop(&server.id()?.into()).await {
                    // What does not exist does not run.
                    Err(e) if e.kind() == ErrorKind::NotFound => Ok(TaskOutput {
                        absent: true,
                        ..TaskOutput::default()
                    }),
                    stopped => stopped.map(|()| TaskOutput::default()),
                }
            }
            Action::StartServer { side, server } => {
                let id: CloudId = server.id()?.into();
                self.on(*side)?.cloud.start(&id).await?;
                Ok(made(Handle {
                    kind: CreatedKind::Server,
                    id,
                    tenant: None,
                    storage: None,
                }))
            }
            Action::RemoveImage { side, token } => {
                let storage = &self.on(*side)?.storage;
                if let Some(image) = storage.find(token).await? {
                    storage.remove(&image, token).await?;
                }
                Ok(TaskOutput::default())
            }
            Action::AwaitReplica { .. } => self.await_replica().await,
            Action::Rejoin {
                side, replication_id, ..
            } => self.rejoin(*side, replication_id).await,
            Action::DisableReplication { replication_id, image } => self.disable(replication_id, image.as_ref()).await,
            Action::Fence { cluster, .. } => {
                self.decision()?;
                Ok(TaskOutput {
                    proof: Some(self.inner.close_fence(cluster, &self.token).await?),
                    ..TaskOutput::default()
                })
            }
            Action::Unfence { cluster, token, .. } => {
                self.inner.open_fence(cluster, token).await?;
                Ok(TaskOutput::default())
            }
            Action::AwaitReady {
                side,
                cluster,
                server,
                check,
                ..
            } => self.await_ready(*side, cluster, &server.id()?.into(), check).await,
            Action::Delay { seconds } => {
                self.inner.clock.sleep(Duration::from_secs(u64::from(*seconds))).await;
                Ok(TaskOutput::default())
            }
            other => self.on_image(other).await,
        }
    }

    /// The verbs of one image.
    async fn on_image(&self, action: &Action) -> Result<TaskOutput> {
        let nothing = TaskOutput::default();
        match action {
            Action::EnableReplication { image, mode } => {
                let storage = &self.on(Side::Source)?.storage;
                let image = self.image(storage, image).await?;
                let id = storage.enable_replication(&image, *mode).await?;
                Ok(TaskOutput {
                    replication_id: Some(id),
                    image: Some(image),
                    ..nothing
                })
            }
            Action::Flatten { side, image } => {
                let storage = &self.on(*side)?.storage;
                storage.flatten(&self.image(storage, image).await?).await?;
                Ok(nothing)
            }
            Action::Snapshot { side, image, name } => {
                let storage = &self.on(*side)?.storage;
                let image = self.image(storage, image).await?;
                let taken = storage.snapshot(&image, name).await?;
                Ok(TaskOutput {
                    image: Some(image),
                    taken_at: Some(taken.taken_at),
                    ..nothing
                })
            }
            Action::RemoveSnapshot { side, image, name } => {
                self.remove_snapshot(*side, image, name).await?;
                Ok(nothing)
            }
            Action::Ship { side, image, snapshot } => {
                let storage = &self.on(*side)?.storage;
                let image = self.image(storage, image).await?;
                let mark = storage.ship(&image, snapshot.as_deref()).await?;
                Ok(TaskOutput {
                    mark: Some(mark),
                    ..nothing
                })
            }
            Action::AwaitArrival { side, image, mark } => match mark {
                // The task before made no mark: there was nothing to wait for.
                MarkRef::OutputOf(_) => Ok(nothing),
                MarkRef::Known(mark) => self.await_arrival(*side, image, mark).await,
            },
            Action::Clone { side, image, snapshot } => {
                let storage = &self.on(*side)?.storage;
                let clone = match storage.find(&self.token).await? {
                    Some(clone) => clone,
                    None => {
                        let parent = self.image(storage, image).await?;
                        storage.clone_snapshot(&parent, snapshot, &self.token).await?
                    }
                };
                Ok(TaskOutput {
                    image: Some(clone),
                    ..nothing
                })
            }
            Action::Demote {
                side,
                image,
                only_if_primary,
            } => {
                let storage = &self.on(*side)?.storage;
                let image = self.image(storage, image).await?;
                let role = self.role(storage, &image).await?;
                if *only_if_primary && !matches!(role, Role::Primary | Role::Secondary) {
                    return Ok(nothing);
                }
                let mark = match storage.demote(&image).await {
                    Ok(mark) => mark,
                    // It was never promoted. One that was demoted by an engine that died before it could say so gives its mark
                    // again: the other side must not be promoted before that has arrived.
                    Err(e) if *only_if_primary && role == Role::Secondary && e.kind() == ErrorKind::Refused => {
                        return Ok(nothing);
                    }
                    Err(e) => return Err(e),
                };
                Ok(TaskOutput {
                    mark: Some(mark),
                    image: Some(image),
                    ..nothing
                })
            }
            Action::Promote { side, image, demotion } => self.promote(*side, image, demotion.as_ref()).await,
            Action::ForcePromote { side, image, epoch, .. } => self.force_promote(*side, image, *epoch).await,
            Action::Resync { side, image, .. } => {
                let storage = &self.on(*side)?.storage;
                let peer = &self.on(side.other())?.storage;
                if let ImageRef::Replica(id) = image {
                    // Resync deletes this copy before it has another: the peer must be there and be the one that wins.
                    let there = self.replica(peer, id).await?;
                    if self.role(peer, &there).await? != Role::Primary {
                        return Err(Error::new(
                            ErrorKind::Refused,
                            "resync.no_primary",
                            "the other side is not primary, so there is nothing to copy from",
                        )
                        .with_remedy("bring the other side back as primary first"));
                    }
                }
                self.resync(storage, image).await?;
                Ok(nothing)
            }
            Action::Rename { side, image, name } => {
                let storage = &self.on(*side)?.storage;
                let image = self.image(storage, image).await?;
                // A side that cannot be written keeps its name; the one that is primary says what it is.
                if image != *name && self.role(storage, &image).await? != Role::Secondary {
                    storage.rename(&image, name).await?;
                }
                Ok(nothing)
            }
            other => Err(Error::new(
                ErrorKind::Internal,
                "effect.action",
                format!("{other:?} is no verb of an image"),
            )),
        }
    }

    pub(super) fn on(&self, side: Side) -> Result<&Providers> {
        let providers = match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        };
        providers.as_ref().map_err(|e| e.to_record().into())
    }

    async fn image(&self, storage: &Storage, image: &ImageRef) -> Result<StorageRef> {
        match image {
            ImageRef::Known(image) => Ok(image.clone()),
            ImageRef::Replica(id) => self.replica(storage, id).await,
            ImageRef::OutputOf(task) => Err(Error::new(
                ErrorKind::Internal,
                "graph.output",
                format!("the output of {task} is not resolved"),
            )),
        }
    }

    async fn replica(&self, storage: &Storage, id: &ReplicationId) -> Result<StorageRef> {
        storage.find_replica(id).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "replica.not_found",
                format!("no image with replication {id} on this side"),
            )
        })
    }

    async fn role(&self, storage: &Storage, image: &StorageRef) -> Result<Role> {
        let state = storage.image(image).await?;
        state.map(|s| s.role).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "image.not_found",
                format!("the image {image} does not exist"),
            )
        })
    }

    fn decision(&self) -> Result<&Decision> {
        self.decision.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "effect.decision",
                "the journal holds no decision for this action",
            )
        })
    }

    pub(super) fn tell(&self, percent: Option<u8>, message: impl Into<String>) {
        // Nobody listens any more when the job stops: then there is nobody to tell.
        let _ = self.progress.send((self.task.clone(), percent, message.into()));
    }

    /// Promotes after a hand-over. That the peer's demotion has arrived is proved by the provider; that the peer is not
    /// primary *now* is seen here, on the peer itself (Ceph facts §0.4: the storage's own refusal is no interlock).
    async fn promote(&self, side: Side, image: &ImageRef, demotion: Option<&MarkRef>) -> Result<TaskOutput> {
        let storage = &self.on(side)?.storage;
        let here = self.image(storage, image).await?;
        if self.role(storage, &here).await? != Role::Primary {
            if let ImageRef::Replica(id) = image {
                let peer = &self.on(side.other())?.storage;
                if let Some(there) = peer.find_replica(id).await?
                    && self.role(peer, &there).await? == Role::Primary
                {
                    return Err(Error::new(
                        ErrorKind::Refused,
                        "promote.peer_is_primary",
                        "the other side is primary",
                    )
                    .with("image", &here)
                    .with_remedy("demote the other side first; both sides must never write"));
                }
            }
            let mark = match demotion {
                Some(MarkRef::Known(mark)) => mark.clone(),
                _ => storage.demote(&here).await?,
            };
            storage.promote(&here, &mark).await?;
        }
        if let ImageRef::Replica(id) = image {
            let epoch = super::outcome::next_epoch(&self.inner, id).await?;
            self.keep_epoch(storage, &here, epoch).await?;
        }
        Ok(TaskOutput {
            image: Some(here),
            synced_to: Some(self.inner.clock.now()),
            ..TaskOutput::default()
        })
    }

    async fn force_promote(&self, side: Side, image: &ImageRef, epoch: u64) -> Result<TaskOutput> {
        let storage = &self.on(side)?.storage;
        let here = self.image(storage, image).await?;
        let decision = self.decision()?;
        let synced_to = storage.status(&here).await?.synced_to;
        if self.role(storage, &here).await? != Role::Primary {
            storage.force_promote(&here, decision).await?;
        }
        self.keep_epoch(storage, &here, epoch).await?;
        Ok(TaskOutput {
            image: Some(here),
            synced_to,
            ..TaskOutput::default()
        })
    }

    /// Beside the image, so that a storage that was away is recognised by an older one.
    async fn keep_epoch(&self, storage: &Storage, image: &StorageRef, epoch: u64) -> Result<()> {
        let pairs = [
            ("neverstop-epoch", epoch.to_string()),
            ("neverstop-epoch-job", self.job.to_string()),
        ];
        for (key, value) in pairs {
            storage.set_metadata(image, key, Some(&value)).await?;
        }
        Ok(())
    }

    async fn await_replica(&self) -> Result<TaskOutput> {
        let id = self.replication_id.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "graph.output",
                "the task before gave no replication to wait for",
            )
        })?;
        let storage = &self.on(Side::Target)?.storage;
        let mut told = None;
        loop {
            let look = async {
                let Some(image) = storage.find_replica(id).await? else {
                    return Ok(None);
                };
                let status = storage.status(&image).await?;
                Ok(Some((image, status)))
            };
            let now = match gone_is_none(look.await)? {
                None => "the replica is not there yet".to_owned(),
                Some((image, status)) => {
                    match status.phase {
                        ReplicationPhase::InitialCopy { .. } if planted::is(Bug::AnyStatusIsFine) => {
                            return Ok(TaskOutput {
                                image: Some(image),
                                ..TaskOutput::default()
                            });
                        }
                        ReplicationPhase::Replicating => {
                            return Ok(TaskOutput {
                                image: Some(image),
                                synced_to: status.synced_to,
                                ..TaskOutput::default()
                            });
                        }
                        ReplicationPhase::SplitBrain => {
                            return Err(Error::new(
                                ErrorKind::Rejected,
                                "replica.split_brain",
                                "both sides were written to",
                            )
                            .with("image", image)
                            .with_remedy("decide which side wins and resync the other"));
                        }
                        ReplicationPhase::InitialCopy { percent } if told != Some(percent) => {
                            self.tell(percent, "initial copy");
                            told = Some(percent);
                        }
                        _ => {}
                    }
                    status.description
                }
            };
            tracing::debug!(job = %self.job, task = %self.task, status = %now, "waiting for the replica");
            self.inner.clock.sleep(self.inner.settings().poll).await;
        }
    }

    /// The direction is proved twice before a copy is thrown away: by the epoch in our records, and by the peer's role.
    async fn rejoin(&self, side: Side, id: &ReplicationId) -> Result<TaskOutput> {
        let (here, there) = (&self.on(side)?.storage, &self.on(side.other())?.storage);
        let writer = self.replica(there, id).await?;
        if self.role(there, &writer).await? != Role::Primary {
            return Err(Error::new(
                ErrorKind::Refused,
                "rejoin.no_primary",
                "the other side is not primary, so there is nothing to follow",
            )
            .with("image", &writer)
            .with_remedy("see which side holds the newest writes, and promote it first"));
        }
        // Reports may be old: that this copy follows is proved by a shipment of now, that it diverged by a report of now.
        let began = self.inner.clock.now();
        let mark = there.ship(&writer, None).await?;
        let (mut resynced, mut told) = (false, None);
        loop {
            let look = async {
                let Some(image) = here.find_replica(id).await? else {
                    return Ok(None);
                };
                if self.role(here, &image).await? == Role::Primary {
                    here.demote(&image).await?;
                } else if here.arrived(&image, &mark).await? {
                    return Ok(Some((image, None)));
                }
                let status = here.status(&image).await?;
                Ok(Some((image, Some(status))))
            };
            let (image, status) = match gone_is_none(look.await)? {
                Some((image, Some(status))) => (image, status),
                Some((image, None)) => {
                    return Ok(TaskOutput {
                        image: Some(image),
                        mark: Some(mark),
                        ..TaskOutput::default()
                    });
                }
                // Deleted here: the whole volume is copied. After a resync it is made again.
                None if !resynced => return Ok(TaskOutput::default()),
                None => {
                    self.inner.clock.sleep(self.inner.settings().poll).await;
                    continue;
                }
            };
            let fresh = status.reported_at.is_some_and(|at| at >= began);
            match status.phase {
                ReplicationPhase::SplitBrain if fresh && !resynced => {
                    let unasked = Decision {
                        id: String::new(),
                        operator: "engine".to_owned(),
                        reason: String::new(),
                    };
                    let unasked = planted::is(Bug::ResyncUnasked).then_some(&unasked);
                    let decision = self.decision.as_ref().or(unasked).ok_or_else(|| {
                        Error::new(
                            ErrorKind::Refused,
                            "rejoin.diverged",
                            "both sides were written to: this copy can follow only after its own writes are thrown away",
                        )
                        .with("image", &image)
                        .with_remedy("decide which side wins, then protect again with that decision; the whole volume is copied")
                    })?;
                    self.tell(None, "diverged: the whole volume is copied again");
                    here.resync(&image, decision).await?;
                    resynced = true;
                }
                ReplicationPhase::InitialCopy { percent } if told != Some(percent) => {
                    self.tell(percent, "full copy");
                    told = Some(percent);
                }
                ReplicationPhase::InitialCopy { .. } => {}
                _ if !resynced
                    && self.inner.clock.now().duration_since(began).unsigned_abs()
                        > self.inner.settings().arrival_limit =>
                {
                    return Err(Error::new(
                        ErrorKind::Timeout,
                        "rejoin.not_following",
                        "the copy does not follow, and its replication service does not say why",
                    )
                    .with("image", &image)
                    .with("status", &status.description)
                    .with_remedy("see that the replication services of both sides run"));
                }
                _ => {}
            }
            self.inner.clock.sleep(self.inner.settings().poll).await;
        }
    }

    async fn resync(&self, storage: &Storage, image: &ImageRef) -> Result<()> {
        let decision = self.decision()?;
        let began = self.inner.clock.now();
        loop {
            let asked = async { storage.resync(&self.image(storage, image).await?, decision).await };
            let Err(error) = asked.await else { return Ok(()) };
            // Thrown away, by an engine that died before it could say so, and not made again yet. One that only seemed to be gone
            // would stay as it is, so it is asked for again: at worst it is copied once more.
            let away = error.kind() == ErrorKind::NotFound && matches!(image, ImageRef::Replica(_));
            let waited = self.inner.clock.now().duration_since(began).unsigned_abs();
            if !away || waited > self.inner.settings().arrival_limit {
                return Err(error);
            }
            self.inner.clock.sleep(self.inner.settings().poll).await;
        }
    }

    async fn await_arrival(&self, side: Side, image: &ImageRef, mark: &Mark) -> Result<TaskOutput> {
        let storage = &self.on(side)?.storage;
        loop {
            let here = self.image(storage, image).await?;
            if storage.arrived(&here, mark).await? {
                return Ok(TaskOutput {
                    image: Some(here),
                    mark: Some(mark.clone()),
                    ..TaskOutput::default()
                });
            }
            self.inner.clock.sleep(self.inner.settings().poll).await;
        }
    }

    /// A volume may have gone to the other side since: what is removed where it is written goes here with replication.
    async fn remove_snapshot(&self, side: Side, image: &ImageRef, name: &str) -> Result<()> {
        let storage = &self.on(side)?.storage;
        let removed = match self.image(storage, image).await {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            found => storage.remove_snapshot(&found?, name).await,
        };
        let (Err(refused), ImageRef::Replica(id)) = (&removed, image) else {
            return removed;
        };
        if refused.kind() != ErrorKind::Refused {
            return removed;
        }
        let peer = &self.on(side.other())?.storage;
        match role_of(peer, id).await? {
            Some(Role::Primary) => peer.remove_snapshot(&self.replica(peer, id).await?, name).await,
            _ => removed,
        }
    }

    async fn disable(&self, id: &ReplicationId, known: Option<&StorageRef>) -> Result<TaskOutput> {
        let source = &self.on(Side::Source)?.storage;
        let replicated = source.find_replica(id).await?;
        let destroyed = match (&replicated, known) {
            (None, Some(image)) => source.image(image).await?.is_none(),
            _ => false,
        };
        let target = &self.on(Side::Target)?.storage;
        let settings = &self.inner.settings();
        if let Some(image) = replicated {
            self.await_follower(target, id).await?;
            source.disable_replication(&image).await?;
        }
        // A replica follows the deletion of its primary within seconds, if it does.
        let now = self.inner.clock.now();
        let until = now.saturating_add(settings.call_limit / 2).unwrap_or(now);
        while let Some(replica) = target.find_replica(id).await? {
            if destroyed && self.inner.clock.now() >= until {
                self.tell(
                    None,
                    format!("{replica} stays on the Target: its Source image is gone, and it may be the last copy"),
                );
                return Ok(TaskOutput {
                    image: Some(replica),
                    absent: true,
                    ..TaskOutput::default()
                });
            }
            self.inner.clock.sleep(settings.poll).await;
        }
        Ok(TaskOutput::default())
    }

    /// A replica that was primary itself and does not follow its peer again yet, as right after a rollback, would never learn
    /// that replication has ended, and stay (Ceph facts 13.3).
    async fn await_follower(&self, target: &Storage, id: &ReplicationId) -> Result<()> {
        let settings = &self.inner.settings();
        let now = self.inner.clock.now();
        let until = now.saturating_add(settings.call_limit / 2).unwrap_or(now);
        let records = self.inner.records();
        let epoch = records.find::<VolumeEpoch>(kinds::EPOCH, id.as_str()).await?;
        let epoch = epoch.map(|(epoch, _)| epoch.since);
        loop {
            let status = match target.find_replica(id).await? {
                Some(replica) => gone_is_none(target.status(&replica).await.map(Some))?,
                None => None,
            };
            let Some(status) = status.filter(|s| s.role == Role::Secondary) else {
                return Ok(());
            };
            let follows = match status.phase {
                ReplicationPhase::Demoted | ReplicationPhase::SplitBrain | ReplicationPhase::Primary => Some(false),
                ReplicationPhase::Replicating | ReplicationPhase::InitialCopy { .. } => Some(true),
                ReplicationPhase::Error | ReplicationPhase::Unknown => None,
            };
            // A report of the time before the Source became the writer tells nothing of now. Clocks may differ: that is waited
            // for, and no more.
            let is_old = epoch.is_some_and(|since| status.reported_at.is_none_or(|at| at < since));
            if follows == Some(true) && !is_old {
                return Ok(());
            }
            if self.inner.clock.now() >= until {
                // What replication itself cannot tell does not keep a plan from ending.
                if follows != Some(false) {
                    return Ok(());
                }
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "replica.not_following",
                    "the Target's copy does not follow the Source: it would not learn that replication has ended, and stay",
                )
                .with_remedy(
                    "see that the Target's mirror daemon runs; a split brain is ended by a failover with a force right and \
                     its rollback",
                ));
            }
            self.inner.clock.sleep(settings.poll).await;
        }
    }
}

/// While a copy is made again its image comes and goes: gone between two looks is not there.
fn gone_is_none<T>(look: Result<Option<T>>) -> Result<Option<T>> {
    match look {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        other => other,
    }
}

fn made(handle: Handle) -> TaskOutput {
    TaskOutput {
        image: handle.storage.clone(),
        handle: Some(handle),
        ..TaskOutput::default()
    }
}
