//! Who writes: demote, promote, forced promote, resync.
//!
//! Ceph's own checks are no interlock: an unforced promote succeeds on a side that demoted last itself, although its peer
//! was promoted, wrote and was demoted since; those writes are then lost. So a promote here proves first that this side
//! ends with exactly the demotion it is shown.

use crate::config::DaemonControl;
use crate::facts::{Ending, Info, ending, has_a_copy, is_unfollowed, last_demotion, mirror_points};
use crate::mark::{Proof, What};
use crate::outcome::{Done, INVALID};
use crate::provider::{Ceph, RETRY, refuse_unreplicated};
use crate::rbd::{Rbd, args};
use crate::spec::ImageSpec;
use futures::future::try_join;
use jiff::Timestamp;
use ns_core::model::ReplicationMode;
use ns_core::provider::{Decision, Mark, Role};
use ns_core::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long a forced promotion is watched before it is believed (journal mode), and how often it is made.
const LASTS: Duration = Duration::from_secs(3);
const TRIES: usize = 5;

/// By when one who promotes an image has done so, or has lost its lock: that lasts 30 s.
const PROMOTER_DIES: Duration = Duration::from_secs(40);

impl Ceph {
    pub(crate) async fn demote_image(&self, image: &ImageSpec) -> Result<Mark> {
        let info = self.rbd.must_info(image).await?;
        refuse_unreplicated(image, info.role())?;
        if info.role() == Role::Primary {
            self.finish_promotion(image, &info).await?;
            self.wait_copied(image, &info).await?;
            self.wait_followed(image, &info).await?;
            match info.mode() {
                Some(ReplicationMode::Journal) => self.remove_markers(image, u64::MAX).await?,
                _ => drop(self.stamp(image, &info).await?),
            }
            let done = self.rbd.change(args!["mirror", "image", "demote", image.arg()]).await?;
            // 22: not primary any more; what it is instead is read next.
            done.ok_or_none(&[INVALID])?;
        }
        let info = self.rbd.must_info(image).await?;
        if info.role() != Role::Secondary {
            return Err(
                Error::new(ErrorKind::Conflict, "ceph.not_demoted", "the image is still primary").with("image", image),
            );
        }
        let what = self.own_demotion(image, &info).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                "ceph.replica",
                "the image is a replica and was not demoted here",
            )
            .with("image", image)
        })?;
        self.proof(&info, what)?.to_mark()
    }

    /// Journal mode: waits until a first copy that has begun is complete. A daemon that stops before it has noted so makes
    /// the copy again, and for that it writes to the primary (seen in the lab: demoted before, the image is copied by
    /// nobody and primary nowhere, for ever).
    async fn wait_copied(&self, image: &ImageSpec, info: &Info) -> Result<()> {
        if info.mode() != Some(ReplicationMode::Journal) {
            return Ok(());
        }
        let copied = || async { Ok(!self.rbd.journal(image, info).await?.is_copied()) };
        if self.holds_or_peer_stopped(image, copied).await? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "ceph.first_copy",
            "the peer has not completed its first copy: demoted now, the image could never be handed over",
        )
        .with("image", image)
        .with_remedy("wait until the first copy is complete; see that the peer's rbd-mirror runs"))
    }

    /// Waits until the peer follows this primary: before that, neither a demotion nor the end of replication would ever
    /// reach it.
    pub(crate) async fn wait_followed(&self, image: &ImageSpec, info: &Info) -> Result<()> {
        let followed = || async { Ok(!self.is_unfollowed(image, info).await?) };
        if self.holds_or_peer_stopped(image, followed).await? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "ceph.peer_not_following",
            "the peer has not begun to follow this side since it was promoted: nothing done now would ever reach it",
        )
        .with("image", image)
        .with_remedy("see that the peer's rbd-mirror runs, then try again"))
    }

    /// Waits for what the peer has to do before it can take over. A peer that was promoted by force will never do it; at the
    /// end of the wait its daemon has said that it does nothing, which one that has work to do would have ended.
    async fn holds_or_peer_stopped<F: Future<Output = Result<bool>> + Send>(
        &self,
        image: &ImageSpec,
        holds: impl Fn() -> F + Send,
    ) -> Result<bool> {
        let began = self.clock.now();
        let limit = self.config().limits.follow_wait();
        Ok(self.wait_until(limit, RETRY, holds).await?
            || self
                .rbd
                .mirror_status(image)
                .await?
                .is_some_and(|s| s.peer_stopped_since(began)))
    }

    async fn is_unfollowed(&self, image: &ImageSpec, info: &Info) -> Result<bool> {
        Ok(match info.mode() {
            Some(ReplicationMode::Journal) => self.rbd.journal(image, info).await?.is_unfollowed(),
            _ => is_unfollowed(&mirror_points(&self.must_snaps(image).await?)),
        })
    }

    /// The demotion with which this side's data ends, if it was made here.
    async fn own_demotion(&self, image: &ImageSpec, info: &Info) -> Result<Option<What>> {
        if info.mode() == Some(ReplicationMode::Journal) {
            let (peer, journal) = try_join(self.rbd.peer_uuid(&image.pool), self.rbd.journal(image, info)).await?;
            return Ok(journal
                .last_demotion(&peer)
                .filter(|d| d.own)
                .map(|d| What::JournalDemotion { at: d.at }));
        }
        let points = mirror_points(&self.must_snaps(image).await?);
        Ok(last_demotion(&points, info.role())
            .filter(|(_, own)| *own)
            .map(|(id, _)| What::SnapshotDemotion { id }))
    }

    pub(crate) async fn promote_image(&self, image: &ImageSpec, demotion: &Mark) -> Result<()> {
        let began = self.clock.now();
        loop {
            let info = self.rbd.must_info(image).await?;
            refuse_unreplicated(image, info.role())?;
            if info.role() == Role::Primary {
                return self.finish_promotion(image, &info).await;
            }
            let proof = Proof::of(demotion, info.global_id().unwrap_or_default())?;
            if !matches!(proof.what, What::SnapshotDemotion { .. } | What::JournalDemotion { .. }) {
                return Err(Error::new(
                    ErrorKind::Refused,
                    "ceph.mark_no_demotion",
                    "the mark is not of a demotion",
                )
                .with_field("demotion"));
            }
            if !self.holds(image, &info, &proof).await? {
                // Promoted since it was looked at, by the command of an engine that died.
                if self.rbd.must_info(image).await?.role() == Role::Primary {
                    continue;
                }
                return Err(Error::new(
                    ErrorKind::Refused,
                    "ceph.demotion_not_arrived",
                    "the demotion of the peer is not the last thing on this side: a promote would lose writes",
                )
                .with("image", image)
                .with_remedy("wait until it has arrived, or decide to force the promotion"));
            }
            let done = self
                .rbd
                .change(args!["mirror", "image", "promote", image.arg()])
                .await?;
            if let Some(0 | INVALID) = done.code {
                return self.expect_primary(image, &done).await;
            }
            let error = done.error();
            match may_pass(&error) {
                true => self.not_yet(image, began, error).await?,
                false => return Err(error.with("image", image)),
            }
        }
    }

    /// Waits a moment, or gives up after the limit.
    async fn not_yet(&self, image: &ImageSpec, began: Timestamp, said: Error) -> Result<()> {
        let waited = self.clock.now().duration_since(began).unsigned_abs();
        if waited < self.config().limits.promote_wait() {
            self.clock.sleep(RETRY).await;
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "ceph.promote_not_yet",
            "the storage does not accept the promotion yet",
        )
        .with("image", image)
        .with_remedy("see what this side's rbd-mirror does with the image, then try again")
        .with_source(said))
    }

    /// Ceph calls an image primary a second or two before it takes its writes. When whoever promoted it died in between it is never
    /// finished, and Ceph refuses to promote it again: it is demoted first. Nobody can have written meanwhile.
    pub(crate) async fn finish_promotion(&self, image: &ImageSpec, info: &Info) -> Result<()> {
        let finished = async || Ok(!self.rbd.must_info(image).await?.is_promoting());
        if !info.is_promoting() || self.wait_until(PROMOTER_DIES, RETRY, finished).await? {
            return Ok(());
        }
        tracing::warn!(%image, "a promotion was ended half way: it is made again");
        self.rbd
            .change(args!["mirror", "image", "demote", image.arg()])
            .await?
            .ok()?;
        let call = args!["mirror", "image", "promote", "--force", image.arg()];
        self.rbd.change(call).await?.ok()?;
        match self.rbd.must_info(image).await?.is_promoting() {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Unavailable,
                "ceph.promotion_unfinished",
                "the image is primary and cannot be written: its promotion was not finished",
            )
            .with("image", image)),
        }
    }

    async fn expect_primary(&self, image: &ImageSpec, done: &Done) -> Result<()> {
        let info = self.rbd.must_info(image).await?;
        if info.role() == Role::Primary {
            return self.finish_promotion(image, &info).await;
        }
        if done.code != Some(0) {
            return Err(done.error().with("image", image));
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "ceph.not_promoted",
            "the image was promoted but is not primary",
        )
        .with("image", image))
    }

    pub(crate) async fn promote_by_force(&self, image: &ImageSpec, decision: &Decision) -> Result<()> {
        let began = self.clock.now();
        loop {
            match self.try_promote_by_force(image, decision).await {
                // What that try left is looked at anew.
                Err(error) if may_pass(&error) => self.not_yet(image, began, error).await?,
                result => return result,
            }
        }
    }

    async fn try_promote_by_force(&self, image: &ImageSpec, decision: &Decision) -> Result<()> {
        let info = self.rbd.must_info(image).await?;
        refuse_unreplicated(image, info.role())?;
        if info.role() == Role::Primary {
            return self.finish_promotion(image, &info).await;
        }
        if !self.has_a_copy(image, &info).await? {
            return Err(Error::new(
                ErrorKind::Refused,
                "ceph.no_complete_copy",
                "the first copy of this image never became complete: there is nothing to recover from",
            )
            .with("image", image));
        }
        tracing::warn!(%image, decision = decision.id, operator = decision.operator, "forced promotion");
        match self.ending_to_force(image, &info).await? {
            Ending::Whole => match self
                .force(image, &info, self.config().limits.force_promote_seconds)
                .await
            {
                Err(error) if error.code() == "ceph.deadline" => {}
                result => return result,
            },
            // Never begun while it may hang: ended half way, it leaves an image that can only be promoted torn.
            _ if self.config().mirror_daemon.is_some() => {}
            _ => {
                if self.wait_let_go(image, &info).await? {
                    return self
                        .force(image, &info, self.config().limits.force_promote_stopped_seconds)
                        .await;
                }
            }
        }
        // The local mirror daemon holds the image's lock and waits for the dead peer. Nothing but its end frees it.
        let Some(daemon) = &self.config().mirror_daemon else {
            return Err(Error::new(
                ErrorKind::Timeout,
                "ceph.promote_hangs",
                "the forced promotion hangs, most likely behind this side's rbd-mirror",
            )
            .with("image", image)
            .with_remedy(
                "stop this side's rbd-mirror (it may need SIGKILL) and promote again, then start it; or name \
                          the commands for it in the configuration (mirror_daemon)",
            ));
        };
        let stopped = self.stop_daemon(daemon).await.map_err(|e| e.with("image", image))?;
        let result = match self.ending_to_force(image, &info).await {
            Ok(_) => {
                self.force(image, &info, self.config().limits.force_promote_stopped_seconds)
                    .await
            }
            Err(error) => Err(error),
        };
        result.and(stopped.end().await)
    }

    /// With what a forced promotion would begin; refused when that would be a torn image.
    async fn ending_to_force(&self, image: &ImageSpec, info: &Info) -> Result<Ending> {
        if info.mode() == Some(ReplicationMode::Journal) {
            return Ok(Ending::Whole);
        }
        match ending(&mirror_points(&self.must_snaps(image).await?)) {
            Ending::Torn => Err(Error::new(
                ErrorKind::Refused,
                "ceph.promote_interrupted",
                "an earlier forced promotion was interrupted in the middle of a copy: promoted now, the image would be half \
                 new and half old",
            )
            .with("image", image)
            .with_remedy("recover from a clone of a recovery point of this image")),
            other => Ok(other),
        }
    }

    /// Waits until the copy is complete or nobody, the mirror daemon included, has the image open; whether that came true.
    async fn wait_let_go(&self, image: &ImageSpec, info: &Info) -> Result<bool> {
        let let_go =
            async || Ok(!self.rbd.in_use(image).await? || self.ending_to_force(image, info).await? != Ending::MidCopy);
        let limit = self.config().limits.release_wait();
        self.wait_until(limit, Duration::from_secs(1), let_go).await
    }

    /// Several promotions at once share one stop: the daemon starts again after the last of them.
    async fn stop_daemon(&self, daemon: &DaemonControl) -> Result<Stopped> {
        let mut holders = self.daemon_holders.clone().lock_owned().await;
        // From here on it is started again even when the stop fails or this is dropped.
        *holders += 1;
        let stopped = Stopped {
            rbd: self.rbd.clone(),
            holders: self.daemon_holders.clone(),
            start: Some(daemon.start.clone()),
        };
        if *holders == 1 {
            self.rbd.hook("stop rbd-mirror", &daemon.stop).await?;
        }
        Ok(stopped)
    }

    /// A forced promotion that lasts. In journal mode a daemon that is about to end its first copy takes one back a moment after
    /// the storage called it done (seen in the lab): it is looked at for a while, and made again.
    async fn force(&self, image: &ImageSpec, info: &Info, seconds: u64) -> Result<()> {
        let taken_back = async || Ok(self.rbd.must_info(image).await?.role() != Role::Primary);
        for _ in 0..TRIES {
            match self.try_force(image, seconds).await {
                Err(error) if error.code() == "ceph.not_promoted" => continue,
                result => result?,
            }
            if info.mode() != Some(ReplicationMode::Journal) || !self.wait_until(LASTS, RETRY, taken_back).await? {
                return Ok(());
            }
            tracing::warn!(%image, "the forced promotion was taken back");
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "ceph.promotion_taken_back",
            "this side's rbd-mirror takes the forced promotion back",
        )
        .with("image", image)
        .with_remedy("stop this side's rbd-mirror, promote again, then start it"))
    }

    async fn try_force(&self, image: &ImageSpec, seconds: u64) -> Result<()> {
        let call = args!["mirror", "image", "promote", "--force", image.arg()];
        let done = self.rbd.change_within(call, Duration::from_secs(seconds)).await?;
        match done.code {
            Some(0 | INVALID) => self.expect_primary(image, &done).await,
            _ => Err(done.error().with("image", image)),
        }
    }

    /// Whether this side ever held a complete copy, or was primary itself.
    async fn has_a_copy(&self, image: &ImageSpec, info: &Info) -> Result<bool> {
        if info.mode() == Some(ReplicationMode::Journal) {
            return self.has_first_copy(image, &self.rbd.journal(image, info).await?).await;
        }
        Ok(has_a_copy(&mirror_points(&self.must_snaps(image).await?)))
    }

    pub(crate) async fn resync_image(&self, image: &ImageSpec, decision: &Decision) -> Result<()> {
        let info = self.rbd.must_info(image).await?;
        refuse_unreplicated(image, info.role())?;
        if info.role() == Role::Primary {
            return Err(Error::new(
                ErrorKind::Refused,
                "ceph.primary",
                "a primary is not copied over: demote it first",
            )
            .with("image", image));
        }
        tracing::warn!(%image, decision = decision.id, operator = decision.operator, "resync: this copy is thrown away");
        self.rbd
            .change(args!["mirror", "image", "resync", image.arg()])
            .await?
            .ok()
            .map(drop)
    }
}

/// What a promotion is declined with that the next one may be taken after. "Busy" says that the demotion is not propagated yet, "read
/// only" that the mirror daemon holds the image (seen in the lab, forced or not, right after a hand-over). The others come of the same
/// command of an engine that died: two that promote at once get in each other's way, and may even crash (seen in the lab).
fn may_pass(error: &Error) -> bool {
    let codes = [
        "ceph.busy",
        "ceph.read_only",
        "ceph.exists",
        "ceph.failed",
        "ceph.crashed",
    ];
    codes.contains(&error.code())
}

/// The mirror daemon is stopped while any of these lives. It is started again when a promotion is dropped half way as well:
/// all other images depend on it.
struct Stopped {
    rbd: Arc<Rbd>,
    holders: Arc<Mutex<u32>>,
    start: Option<Vec<String>>,
}

impl Stopped {
    async fn end(mut self) -> Result<()> {
        match self.start.clone() {
            Some(command) => {
                let result = let_go(&self.rbd, &self.holders, &command).await;
                self.start = None;
                result
            }
            None => Ok(()),
        }
    }
}

async fn let_go(rbd: &Rbd, holders: &Mutex<u32>, command: &[String]) -> Result<()> {
    let mut holders = holders.lock().await;
    let result = if *holders > 1 {
        Ok(())
    } else {
        rbd.hook("start rbd-mirror", command).await
    };
    *holders = holders.saturating_sub(1);
    result
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let Some(command) = self.start.take() else { return };
        let (rbd, holders) = (self.rbd.clone(), self.holders.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::error!(?command, "rbd-mirror is stopped and cannot be started from here");
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = let_go(&rbd, &holders, &command).await {
                tracing::error!(%error, "rbd-mirror is stopped and did not start again");
            }
        });
    }
}
