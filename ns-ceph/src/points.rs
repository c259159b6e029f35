//! Snapshots, shipping them, and the proof of arrival.
//!
//! A user snapshot becomes a recovery point only when the replica is proved to hold it. In snapshot mode it is on the
//! replica before its data is: it counts once a *complete* copy of a later mirror snapshot is there. In journal mode it
//! comes with the stream of writes.

use crate::facts::{Info, Point, Snap, covering_copy, last_demotion, mirror_points};
use crate::journal::Journal;
use crate::mark::{Proof, STAMP_KEY, Stamp, What, marker_sequence};
use crate::outcome::{EXISTS, NOT_FOUND};
use crate::provider::{Ceph, refuse_secondary, refuse_unreplicated};
use crate::rbd::{args, not_found};
use crate::spec::{ImageSpec, check_snapshot_name};
use futures::future::try_join;
use ns_core::model::ReplicationMode;
use ns_core::provider::{Content, Mark, Role, SnapshotInfo};
use ns_core::{Error, ErrorKind, Result};

impl Ceph {
    pub(crate) async fn take_snapshot(&self, image: &ImageSpec, name: &str) -> Result<SnapshotInfo> {
        check_snapshot_name(name)?;
        refuse_secondary(image, self.rbd.must_info(image).await?.role())?;
        self.create_snapshot(image, name).await?;
        let snaps = self.must_snaps(image).await?;
        match snaps.iter().find(|s| s.is_user() && s.name == name) {
            Some(snap) => shown(snap),
            None => Err(no_snapshot(image, name)),
        }
    }

    async fn create_snapshot(&self, image: &ImageSpec, name: &str) -> Result<()> {
        let call = args!["snap", "create", "--no-progress", image.snapshot_arg(name)];
        self.rbd.change(call).await?.ok_or_none(&[EXISTS]).map(drop)
    }

    pub(crate) async fn read_content(&self, image: &ImageSpec, snapshot: &str) -> Result<Content> {
        check_snapshot_name(snapshot)?;
        let content = self.rbd.content(image, snapshot).await?;
        content.ok_or_else(|| no_snapshot(image, snapshot))
    }

    pub(crate) async fn list_snapshots(&self, image: &ImageSpec) -> Result<Vec<SnapshotInfo>> {
        self.must_snaps(image)
            .await?
            .iter()
            .filter(|s| s.is_shown())
            .map(shown)
            .collect()
    }

    pub(crate) async fn must_snaps(&self, image: &ImageSpec) -> Result<Vec<Snap>> {
        self.rbd.snaps(image).await?.ok_or_else(|| not_found(image))
    }

    pub(crate) async fn drop_snapshot(&self, image: &ImageSpec, name: &str) -> Result<()> {
        check_snapshot_name(name)?;
        let (Some(info), Some(snaps)) = try_join(self.rbd.info(image), self.rbd.snaps(image)).await? else {
            return Ok(());
        };
        if !snaps.iter().any(|s| s.is_user() && s.name == name) {
            return Ok(());
        }
        refuse_secondary(image, info.role())?;
        self.delete_snapshot(image, name).await
    }

    /// A snapshot with clones (format 2) goes to the trash and vanishes with the last of them.
    async fn delete_snapshot(&self, image: &ImageSpec, name: &str) -> Result<()> {
        let call = args!["snap", "rm", "--no-progress", image.snapshot_arg(name)];
        self.rbd.change(call).await?.ok_or_none(&[NOT_FOUND]).map(drop)
    }

    pub(crate) async fn ship_image(&self, image: &ImageSpec, snapshot: Option<&str>) -> Result<Mark> {
        let info = self.rbd.must_info(image).await?;
        refuse_unreplicated(image, info.role())?;
        refuse_secondary(image, info.role())?;
        if let Some(name) = snapshot {
            check_snapshot_name(name)?;
            let snaps = self.must_snaps(image).await?;
            if !snaps.iter().any(|s| s.is_user() && s.name == name) {
                return Err(no_snapshot(image, name));
            }
        }
        let snapshot = snapshot.map(str::to_owned);
        let what = match info.mode() {
            Some(ReplicationMode::Journal) => What::Journal {
                sequence: self.ship_journal(image, &info).await?,
                snapshot,
            },
            _ => What::Snapshot {
                id: self.ship_snapshot(image, &info).await?,
                snapshot,
            },
        };
        self.proof(&info, what)?.to_mark()
    }

    pub(crate) fn proof(&self, info: &Info, what: What) -> Result<Proof> {
        let image = info.global_id().unwrap_or_default().to_owned();
        Ok(Proof {
            image,
            origin: info.id.clone(),
            what,
        })
    }

    /// Takes a mirror snapshot and gives its id, read back and not from the command's words.
    async fn ship_snapshot(&self, image: &ImageSpec, info: &Info) -> Result<u64> {
        let newest = |snaps: &[Snap]| {
            let points = mirror_points(snaps);
            points
                .iter()
                .rev()
                .find(|(_, p)| *p == Point::Own { demoted: false })
                .map(|(id, _)| *id)
        };
        let before = newest(&self.stamp(image, info).await?);
        self.rbd
            .change(args!["mirror", "image", "snapshot", image.arg()])
            .await?
            .ok()?;
        // A later one that somebody else took meanwhile covers as much.
        newest(&self.must_snaps(image).await?)
            .filter(|id| Some(*id) > before)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Unavailable,
                    "ceph.no_mirror_snapshot",
                    "the mirror snapshot is not there",
                )
                .with("image", image)
            })
    }

    /// Writes a barrier and a stamp into the journal and gives the stamp's sequence.
    async fn ship_journal(&self, image: &ImageSpec, info: &Info) -> Result<u64> {
        // Asked before the stamp is written: a first copy that is complete now was complete then.
        let first_copy = !self.rbd.journal(image, info).await?.peers_complete();
        let stamp = Stamp {
            first_copy,
            ..self.next_stamp(image, info).await?
        };
        self.create_snapshot(image, &stamp.marker()).await?;
        self.write_stamp(image, &stamp).await?;
        // Markers would keep users from deleting their volume; only a first copy needs one to stay, and only the newest.
        self.remove_markers(image, if first_copy { stamp.sequence } else { stamp.sequence + 1 })
            .await?;
        Ok(stamp.sequence)
    }

    /// Snapshot mode: keeps the time on the image, to travel with the next mirror snapshot, and gives the snapshots before.
    pub(crate) async fn stamp(&self, image: &ImageSpec, info: &Info) -> Result<Vec<Snap>> {
        let stamp = self.next_stamp(image, info).await?;
        // Asked after the time was taken: later snapshots hold all that was written before it.
        let snaps = self.must_snaps(image).await?;
        let after = Some(snaps.last().map_or(0, |s| s.id));
        self.write_stamp(image, &Stamp { after, ..stamp }).await?;
        Ok(snaps)
    }

    async fn next_stamp(&self, image: &ImageSpec, info: &Info) -> Result<Stamp> {
        let last = self.read_stamp(image).await?;
        Ok(Stamp::next(last.as_ref(), &info.id, self.clock.now()))
    }

    /// The stamp on this side of an image.
    pub(crate) async fn read_stamp(&self, image: &ImageSpec) -> Result<Option<Stamp>> {
        let metadata = self.rbd.metadata(image).await?;
        Ok(metadata.and_then(|m| Stamp::parse(m.get(STAMP_KEY)?)))
    }

    /// Another process may write its stamp at the same time; an older one must not stand over this.
    async fn write_stamp(&self, image: &ImageSpec, stamp: &Stamp) -> Result<()> {
        let text = stamp.to_text()?;
        for _ in 0..5 {
            self.rbd.set_metadata(image, STAMP_KEY, &text).await?;
            if self
                .read_stamp(image)
                .await?
                .is_some_and(|s| s.sequence >= stamp.sequence && s.origin == stamp.origin)
            {
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "ceph.stamp",
            "the image is being shipped by others again and again",
        )
        .with("image", image))
    }

    /// Removes marker snapshots older than a sequence.
    pub(crate) async fn remove_markers(&self, image: &ImageSpec, before: u64) -> Result<()> {
        let snaps = self.must_snaps(image).await?;
        for snap in snaps
            .iter()
            .filter(|s| marker_sequence(s).is_some_and(|sequence| sequence < before))
        {
            self.delete_snapshot(image, &snap.name).await?;
        }
        Ok(())
    }

    pub(crate) async fn has_arrived(&self, replica: &ImageSpec, mark: &Mark) -> Result<bool> {
        // It may not be there yet, or be in the middle of a resync.
        let Some(info) = self.rbd.info(replica).await? else {
            return Ok(false);
        };
        let Some(global_id) = info.global_id() else {
            return Ok(false);
        };
        self.holds(replica, &info, &Proof::of(mark, global_id)?).await
    }

    /// Whether this side of an image holds what a mark covers.
    pub(crate) async fn holds(&self, image: &ImageSpec, info: &Info, proof: &Proof) -> Result<bool> {
        let own = proof.origin == info.id;
        match &proof.what {
            What::SnapshotDemotion { id } => {
                let Some(snaps) = self.rbd.snaps(image).await? else {
                    return Ok(false);
                };
                Ok(last_demotion(&mirror_points(&snaps), info.role()) == Some((*id, own)))
            }
            What::JournalDemotion { at } => {
                let (peer, journal) = try_join(self.rbd.peer_uuid(&image.pool), self.rbd.journal(image, info)).await?;
                Ok(journal
                    .last_demotion(&peer)
                    .is_some_and(|d| d.at == *at && d.own == own))
            }
            What::Snapshot { snapshot, .. } | What::Journal { snapshot, .. } if own => {
                let Some(snaps) = self.rbd.snaps(image).await? else {
                    return Ok(false);
                };
                Ok(user_snapshot(&snaps, snapshot.as_deref()).is_some())
            }
            What::Snapshot { id, snapshot } => {
                let Some(snaps) = self.rbd.snaps(image).await? else {
                    return Ok(false);
                };
                let Some(copy) = covering_copy(&mirror_points(&snaps), *id) else {
                    return Ok(false);
                };
                Ok(user_snapshot(&snaps, snapshot.as_deref()).is_some_and(|s| s < copy))
            }
            What::Journal { sequence, snapshot } => {
                // The stamp first: what it proves may still be added to, never taken back.
                let Some(stamp) = self.read_stamp(image).await? else {
                    return Ok(false);
                };
                let Some(snaps) = self.rbd.snaps(image).await? else {
                    return Ok(false);
                };
                Ok(stamp.proves(*sequence, &proof.origin, &snaps)
                    && user_snapshot(&snaps, snapshot.as_deref()).is_some())
            }
        }
    }

    /// Journal mode: whether the first copy to this side is complete. Replay begins after it; metadata is taken over at its
    /// very end, so that a stamp tells as well.
    pub(crate) async fn has_first_copy(&self, image: &ImageSpec, journal: &Journal) -> Result<bool> {
        Ok(journal.has_replayed() || self.read_stamp(image).await?.is_some())
    }

    /// Whether a user snapshot on this side has all its data: always on a side that writes; on a replica once a complete
    /// copy came after it.
    pub(crate) async fn is_exact(
        &self,
        image: &ImageSpec,
        info: &Info,
        snaps: &[Snap],
        snapshot: &Snap,
    ) -> Result<bool> {
        if info.role() != Role::Secondary {
            return Ok(true);
        }
        if info.mode() == Some(ReplicationMode::Journal) {
            return self.has_first_copy(image, &self.rbd.journal(image, info).await?).await;
        }
        Ok(mirror_points(snaps).iter().any(|(id, point)| {
            *id > snapshot.id && matches!(point, Point::Own { .. } | Point::Copy { complete: true, .. })
        }))
    }
}

/// The id of a user snapshot, 0 when none is asked for; none when it is not there.
fn user_snapshot(snaps: &[Snap], name: Option<&str>) -> Option<u64> {
    let Some(name) = name else { return Some(0) };
    snaps.iter().find(|s| s.is_user() && s.name == name).map(|s| s.id)
}

fn shown(snap: &Snap) -> Result<SnapshotInfo> {
    Ok(SnapshotInfo {
        name: snap.name.clone(),
        taken_at: snap.time()?,
        size_bytes: snap.size,
    })
}

pub(crate) fn no_snapshot(image: &ImageSpec, name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "ceph.no_snapshot",
        "the image has no such snapshot",
    )
    .with("image", image)
    .with("snapshot", name)
}
