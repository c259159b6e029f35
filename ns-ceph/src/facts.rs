//! What the commands print, as values, and what follows from it. Pure: no process, no clock.
//!
//! Two kinds of truth: `info` and `snap ls` tell what is so now; mirror status tells what a daemon wrote up to 30 s ago, or
//! before it died. Only the first kind decides anything.

use crate::config::PoolRef;
use crate::spec::ImageSpec;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ns_core::model::ReplicationMode;
use ns_core::provider::Role;
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Reads a command's JSON. No output at all means `default`, where a command prints nothing for "none".
pub(crate) fn parse<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|e| {
        Error::new(
            ErrorKind::Internal,
            "ceph.unreadable",
            format!("{what}: the answer cannot be read"),
        )
        .with_source(e)
    })
}

/// `rbd info`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Info {
    /// Differs per site and changes with a resync.
    pub(crate) id: String,
    pub(crate) size: u64,
    pub(crate) objects: u64,
    pub(crate) features: Vec<String>,
    pub(crate) journal: Option<String>,
    pub(crate) mirroring: Option<Mirroring>,
    pub(crate) parent: Option<Parent>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Mirroring {
    pub(crate) mode: Option<String>,
    #[serde(default)]
    pub(crate) state: String,
    /// The same on both sites.
    #[serde(default)]
    pub(crate) global_id: String,
    #[serde(default)]
    pub(crate) primary: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Parent {
    pool: String,
    #[serde(default)]
    pool_namespace: String,
    image: String,
    #[serde(default)]
    pub(crate) trash: bool,
}

impl Parent {
    pub(crate) fn spec(&self) -> Result<ImageSpec> {
        let namespace = (!self.pool_namespace.is_empty()).then(|| self.pool_namespace.clone());
        ImageSpec::new(
            PoolRef {
                pool: self.pool.clone(),
                namespace,
            },
            &self.image,
        )
    }
}

impl Info {
    /// Snapshot mode: called primary already, and still read only.
    pub(crate) fn is_promoting(&self) -> bool {
        self.role() == Role::Primary && self.features.iter().any(|f| f == "non-primary")
    }

    /// Mirroring that is on; an image whose mirroring is being ended is still that of a mirrored image.
    pub(crate) fn mirrored(&self) -> Option<&Mirroring> {
        self.mirroring
            .as_ref()
            .filter(|m| m.state != "disabled" && !m.global_id.is_empty())
    }

    pub(crate) fn role(&self) -> Role {
        match self.mirrored() {
            None => Role::Unreplicated,
            Some(m) if m.primary => Role::Primary,
            Some(_) => Role::Secondary,
        }
    }

    pub(crate) fn mode(&self) -> Option<ReplicationMode> {
        match self.mirrored()?.mode.as_deref() {
            Some("journal") => Some(ReplicationMode::Journal),
            Some("snapshot") => Some(ReplicationMode::Snapshot),
            _ => None,
        }
    }

    pub(crate) fn global_id(&self) -> Option<&str> {
        self.mirrored().map(|m| m.global_id.as_str())
    }
}

/// The name of a mode in commands.
pub(crate) const fn mode_word(mode: ReplicationMode) -> &'static str {
    match mode {
        ReplicationMode::Journal => "journal",
        ReplicationMode::Snapshot => "snapshot",
    }
}

/// One line of `rbd snap ls --all`. Ids rise with time within a cluster.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Snap {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) timestamp: String,
    /// Spelled `"true"` or `"false"`.
    #[serde(default)]
    protected: String,
    pub(crate) namespace: Namespace,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum Namespace {
    User,
    Mirror(MirrorSnap),
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MirrorSnap {
    /// `primary`, `demoted`, `non-primary`.
    state: String,
    #[serde(default)]
    complete: bool,
    /// The snapshot of the primary that this one copies; absent on the primary's own.
    primary_snap_id: Option<u64>,
    #[serde(default)]
    primary_mirror_uuid: String,
    #[serde(default)]
    last_copied_object_number: u64,
    /// Peers that have not taken it over yet.
    #[serde(default)]
    mirror_peer_uuids: Vec<String>,
}

/// What a mirror snapshot is to this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// Made here while this side was primary.
    Own { demoted: bool },
    /// The copy of the peer's snapshot `of`.
    Copy {
        of: u64,
        demoted: bool,
        complete: bool,
        copied_objects: u64,
        /// Offered to the peer, which has not taken it over yet.
        unread: bool,
    },
    /// Left by a forced promote that is not finished.
    Orphan,
}

/// The mirror snapshots of an image as `(id here, what)`, oldest first.
pub(crate) fn mirror_points(snaps: &[Snap]) -> Vec<(u64, Point)> {
    let mut points: Vec<_> = snaps.iter().filter_map(|s| Some((s.id, point(s)?))).collect();
    points.sort_by_key(|(id, _)| *id);
    points
}

fn point(snap: &Snap) -> Option<Point> {
    let Namespace::Mirror(m) = &snap.namespace else {
        return None;
    };
    let demoted = m.state == "demoted";
    Some(match m.primary_snap_id {
        None => Point::Own { demoted },
        Some(_) if m.primary_mirror_uuid.is_empty() => Point::Orphan,
        Some(of) => Point::Copy {
            of,
            demoted,
            complete: m.complete,
            copied_objects: m.last_copied_object_number,
            unread: !m.mirror_peer_uuids.is_empty(),
        },
    })
}

/// The local id of the newest complete copy that covers the peer's snapshot `wanted`.
pub(crate) fn covering_copy(points: &[(u64, Point)], wanted: u64) -> Option<u64> {
    points.iter().rev().find_map(|(id, p)| match p {
        Point::Copy { of, complete: true, .. } if *of >= wanted => Some(*id),
        _ => None,
    })
}

/// The newest complete copy, if there is one: without it the image is no copy of anything yet.
pub(crate) fn newest_copy(points: &[(u64, Point)]) -> Option<u64> {
    covering_copy(points, 0)
}

/// Whether this side ever held a complete copy, or was primary itself.
///
/// A forced promotion first leaves its own snapshot, and the mirror daemon then takes away the copies before it, though only
/// once they are complete (measured: 1 s later, and for 6 s there is nothing else, until the image is primary). So that snapshot
/// alone tells of a complete copy, and beside a copy that is not complete it tells nothing.
pub(crate) fn has_a_copy(points: &[(u64, Point)]) -> bool {
    let whole = |p: &Point| matches!(p, Point::Own { .. } | Point::Copy { complete: true, .. });
    let mut points = points.iter().map(|(_, p)| p);
    points.clone().any(whole) || points.len() > 0 && points.all(|p| *p == Point::Orphan)
}

/// The newest of the peer's snapshots that is complete here, by its id there.
pub(crate) fn complete_of(points: &[(u64, Point)]) -> Option<u64> {
    let complete = points.iter().filter_map(|(_, p)| match p {
        Point::Copy { of, complete: true, .. } => Some(*of),
        _ => None,
    });
    complete.max()
}

/// The demotion that this side's data ends with: `(primary's snapshot id, made here)`. Looks past what this side wrote
/// as primary since, so that a promoted image still tells what it was promoted from.
pub(crate) fn last_demotion(points: &[(u64, Point)], role: Role) -> Option<(u64, bool)> {
    let newest = points
        .iter()
        .rev()
        .find(|(_, p)| !(role == Role::Primary && *p == Point::Own { demoted: false }))?;
    match newest {
        (
            _,
            Point::Copy {
                of,
                demoted: true,
                complete: true,
                ..
            },
        ) => Some((*of, false)),
        (id, Point::Own { demoted: true }) => Some((*id, true)),
        _ => None,
    }
}

/// What a forced promotion would begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A complete copy, or what this side wrote itself.
    Whole,
    /// A copy that is not complete: the promotion rolls back to the one before.
    MidCopy,
    /// The same, and an earlier forced promotion was ended after it had left its own snapshot and before it had rolled
    /// back. Measured: Ceph takes that snapshot for a complete one and promotes the half copied image as it is.
    Torn,
}

pub(crate) fn ending(points: &[(u64, Point)]) -> Ending {
    let mut newest = points.iter().rev().map(|(_, p)| p).peekable();
    let interrupted = newest.next_if(|p| matches!(p, Point::Orphan)).is_some();
    match newest.find(|p| !matches!(p, Point::Orphan)) {
        Some(Point::Copy { complete: false, .. }) if interrupted => Ending::Torn,
        Some(Point::Copy { complete: false, .. }) => Ending::MidCopy,
        _ => Ending::Whole,
    }
}

/// Whether this side was promoted after a hand-over and its peer has not begun to follow it. Measured, in both modes:
/// demoted now, both sides would say "remote image is not primary" for ever and nothing would travel any more, because the
/// peer's daemon follows a demoted image only if it followed it before; and with replication ended now, the peer would keep
/// its copy. In snapshot mode the peer's first copy takes over what came before it, the
/// replicated demotion at the hand-over among it.
pub(crate) fn is_unfollowed(points: &[(u64, Point)]) -> bool {
    let hand_over = points.iter().rposition(|(_, p)| matches!(p, Point::Copy { .. }));
    hand_over.is_some_and(|at| {
        matches!(
            points[at].1,
            Point::Copy {
                demoted: true,
                unread: true,
                ..
            }
        ) && points[at + 1..]
            .iter()
            .any(|(_, p)| *p == Point::Own { demoted: false })
    })
}

impl Snap {
    /// Whether this is a user's snapshot (or one of this provider's markers).
    pub(crate) fn is_user(&self) -> bool {
        matches!(self.namespace, Namespace::User)
    }

    pub(crate) fn is_protected(&self) -> bool {
        self.protected == "true"
    }

    /// Whether users see it: mirror, group and trash snapshots, sync points of the mirror daemon and markers are
    /// nobody's recovery points.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_user() && !self.name.starts_with('.')
    }

    /// When it was made on this side, to the second.
    pub(crate) fn time(&self) -> Result<Timestamp> {
        let at = DateTime::strptime("%a %b %d %H:%M:%S %Y", &self.timestamp);
        at.and_then(|t| t.to_zoned(TimeZone::UTC))
            .map(|z| z.timestamp())
            .map_err(|e| {
                Error::new(
                    ErrorKind::Internal,
                    "ceph.unreadable",
                    "a snapshot's time cannot be read",
                )
                .with("time", &self.timestamp)
                .with_source(e)
            })
    }
}

/// `rbd mirror image status`, and an image of `rbd mirror pool status --verbose`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MirrorStatus {
    pub(crate) name: String,
    pub(crate) global_id: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    last_update: String,
    #[serde(default)]
    peer_sites: Vec<PeerReport>,
}

#[derive(Debug, Clone, Deserialize)]
struct PeerReport {
    #[serde(default)]
    state: String,
    #[serde(default)]
    last_update: String,
}

/// The part of a replaying description that is JSON.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Replaying {
    /// Time of the primary's newest snapshot that is complete here (snapshot mode).
    pub(crate) local_snapshot_timestamp: Option<i64>,
    pub(crate) syncing_percent: Option<f64>,
    /// Journal mode: entries of the primary's journal that are not replayed here, as of the daemon's last look.
    entries_behind_primary: Option<u64>,
    /// Journal mode: what the daemon replays lately.
    bytes_per_second: f64,
    entries_per_second: f64,
}

impl Replaying {
    /// Bytes that are not replayed here, in journal mode: the entries that are behind, each taken for as long as those that
    /// were replayed lately. None where nothing was: how long they are is not known then. In snapshot mode nobody counts what
    /// was written since the last mirror snapshot.
    pub(crate) fn bytes_behind(&self) -> Option<u64> {
        let entries = self.entries_behind_primary?;
        if entries == 0 {
            return Some(0);
        }
        let mean = self.bytes_per_second / self.entries_per_second;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate, positive and finite"
        )]
        let bytes = (mean.is_finite() && mean > 0.0).then_some((mean * entries as f64) as u64);
        bytes
    }
}

impl MirrorStatus {
    /// When the daemon wrote this; none if never.
    pub(crate) fn reported_at(&self) -> Option<Timestamp> {
        report_time(&self.last_update)
    }

    /// Whether the peer's daemon has said since this time that it does not replicate.
    pub(crate) fn peer_stopped_since(&self, since: Timestamp) -> bool {
        let recent = |p: &PeerReport| report_time(&p.last_update).is_some_and(|at| at >= since);
        self.peer_sites.iter().any(|p| p.state == "up+stopped" && recent(p))
    }

    pub(crate) fn is_error(&self) -> bool {
        self.state == "up+error"
    }

    /// `split-brain` is a word of the daemon's own code in both modes, not a sentence.
    pub(crate) fn is_split_brain(&self) -> bool {
        self.is_error() && self.description.starts_with("split-brain")
    }

    pub(crate) fn replaying(&self) -> Replaying {
        let json = self.description.find('{').map_or("", |at| &self.description[at..]);
        serde_json::from_str(json).unwrap_or_default()
    }

    /// The percentage at the end of a journal-mode initial copy's description.
    pub(crate) fn copy_percent(&self) -> Option<u8> {
        let percent = self.replaying().syncing_percent.map(|p| p.clamp(0.0, 100.0) as u8);
        percent.or_else(|| {
            self.description
                .strip_suffix('%')?
                .rsplit([' ', '/'])
                .next()?
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)
        })
    }
}

fn report_time(text: &str) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// `ceph df detail`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Usage {
    #[serde(default)]
    pools: Vec<PoolUsage>,
}

#[derive(Debug, Clone, Deserialize)]
struct PoolUsage {
    name: String,
    stats: PoolRoom,
}

#[derive(Debug, Clone, Deserialize)]
struct PoolRoom {
    /// What the fullest of its devices leaves, copies counted.
    max_avail: u64,
    #[serde(default)]
    stored: u64,
    /// 0 for none.
    #[serde(default)]
    quota_bytes: u64,
}

impl Usage {
    /// How many more bytes a pool takes; none for one that is not there.
    pub(crate) fn free(&self, pool: &str) -> Option<u64> {
        let room = &self.pools.iter().find(|found| found.name == pool)?.stats;
        Some(match room.quota_bytes {
            0 => room.max_avail,
            quota => room.max_avail.min(quota.saturating_sub(room.stored)),
        })
    }
}

/// `rbd mirror pool info`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PoolInfo {
    pub(crate) mode: String,
    #[serde(default)]
    pub(crate) site_name: String,
    #[serde(default)]
    pub(crate) peers: Vec<Peer>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Peer {
    #[serde(default)]
    pub(crate) site_name: String,
    /// Empty until the daemons have met.
    #[serde(default)]
    pub(crate) mirror_uuid: String,
}

/// `rbd mirror pool status --verbose`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PoolStatus {
    pub(crate) summary: PoolSummary,
    #[serde(default)]
    pub(crate) daemons: Vec<Daemon>,
    #[serde(default)]
    pub(crate) images: Vec<MirrorStatus>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PoolSummary {
    #[serde(default)]
    pub(crate) daemon_health: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Daemon {
    #[serde(default)]
    pub(crate) client_id: String,
}

/// One line of `rbd children --all`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Child {
    pub(crate) image: String,
}

/// `rbd status`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ImageUse {
    #[serde(default)]
    pub(crate) watchers: Vec<serde::de::IgnoredAny>,
}

#[cfg(test)]
mod tests;
