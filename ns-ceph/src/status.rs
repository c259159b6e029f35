//! What goes on, from facts first and from the daemon's report second.
//!
//! A dead primary looks `up+replaying` for minutes, two primaries look healthy: state words decide nothing here except an
//! error that the daemon itself ran into. The report's age goes with every status, for the caller to judge.

use crate::facts::{Info, MirrorStatus, Point, Snap, complete_of, mirror_points, newest_copy};
use crate::provider::Ceph;
use crate::spec::ImageSpec;
use futures::future::try_join;
use jiff::Timestamp;
use ns_core::Result;
use ns_core::model::ReplicationMode;
use ns_core::provider::{ReplicationPhase, ReplicationStatus, Role};

impl Ceph {
    pub(crate) async fn replication_status(&self, image: &ImageSpec) -> Result<ReplicationStatus> {
        let (info, report) = try_join(self.rbd.info(image), self.rbd.mirror_status(image)).await?;
        let info = info.ok_or_else(|| crate::rbd::not_found(image))?;
        let role = info.role();
        let (phase, synced_to) = match role {
            Role::Unreplicated => (ReplicationPhase::Unknown, None),
            Role::Primary => (ReplicationPhase::Primary, Some(self.clock.now())),
            Role::Secondary => self.replica_phase(image, &info, report.as_ref()).await?,
        };
        let replica = report.as_ref().filter(|_| role == Role::Secondary);
        Ok(ReplicationStatus {
            role,
            bytes_behind: replica.and_then(|r| r.replaying().bytes_behind()),
            phase,
            synced_to,
            reported_at: report.as_ref().and_then(MirrorStatus::reported_at),
            description: match report {
                Some(r) if r.description.is_empty() => r.state,
                Some(r) => format!("{}: {}", r.state, r.description),
                None => "not replicated".to_owned(),
            },
        })
    }

    async fn replica_phase(
        &self,
        image: &ImageSpec,
        info: &Info,
        report: Option<&MirrorStatus>,
    ) -> Result<(ReplicationPhase, Option<Timestamp>)> {
        let snaps = self.must_snaps(image).await?;
        let facts = match info.mode() {
            Some(ReplicationMode::Journal) if info.journal.is_none() => Facts::Copying(None),
            Some(ReplicationMode::Journal) => {
                let journal = self.rbd.journal(image, info).await?;
                if journal.is_demoted() {
                    Facts::Demoted
                } else if self.has_first_copy(image, &journal).await? {
                    Facts::Complete
                } else {
                    Facts::Copying(None)
                }
            }
            _ => snapshot_facts(&snaps, info),
        };
        let phase = match (&facts, report) {
            (_, Some(r)) if r.is_split_brain() => ReplicationPhase::SplitBrain,
            (_, Some(r)) if r.is_error() => ReplicationPhase::Error,
            (Facts::Copying(percent), r) => ReplicationPhase::InitialCopy {
                percent: percent.or_else(|| r?.copy_percent()),
            },
            (Facts::Complete, _) => ReplicationPhase::Replicating,
            (Facts::Demoted, _) => ReplicationPhase::Demoted,
        };
        let synced_to = match facts {
            Facts::Copying(_) => None,
            Facts::Complete | Facts::Demoted => self.synced_to(image, info, &snaps, report).await?,
        };
        Ok((phase, synced_to))
    }

    /// The later of two lower bounds: what the daemon reported of the primary's snapshots, and the stamp of the newest
    /// shipment that is here whole. In journal mode only the latter is a time.
    async fn synced_to(
        &self,
        image: &ImageSpec,
        info: &Info,
        snaps: &[Snap],
        report: Option<&MirrorStatus>,
    ) -> Result<Option<Timestamp>> {
        let reported = report.and_then(|r| Timestamp::from_second(r.replaying().local_snapshot_timestamp?).ok());
        let stamp = self.read_stamp(image).await?;
        let stamped = stamp.and_then(|stamp| match info.mode() {
            Some(ReplicationMode::Journal) => stamp.proves(stamp.sequence, &stamp.origin, snaps).then_some(stamp.at),
            // Written here, as primary, and handed over since: the peer began with all of it.
            _ if stamp.origin == info.id => Some(stamp.at),
            _ => stamp.covered_by(complete_of(&mirror_points(snaps))?),
        });
        Ok(reported.max(stamped))
    }
}

enum Facts {
    Copying(Option<u8>),
    Complete,
    Demoted,
}

fn snapshot_facts(snaps: &[Snap], info: &Info) -> Facts {
    let points = mirror_points(snaps);
    match points.last() {
        Some((
            _,
            Point::Own { .. }
            | Point::Copy {
                demoted: true,
                complete: true,
                ..
            },
        )) => Facts::Demoted,
        _ if newest_copy(&points).is_some() => Facts::Complete,
        // Was primary once and has a complete content, whatever is being copied over it now.
        _ if points.iter().any(|(_, p)| matches!(p, Point::Own { .. })) => Facts::Complete,
        Some((_, Point::Copy { copied_objects, .. })) => {
            let percent = copied_objects.saturating_mul(100) / info.objects.max(1);
            Facts::Copying(Some(percent.min(100) as u8))
        }
        _ => Facts::Copying(None),
    }
}
