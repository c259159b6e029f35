//! How the storage provider of a simulated site says in the words of the port what the service answers.

use super::faults::Stale;
use super::rbd::{Errno, Image, Posted, Rbd};
use super::world::World;
use crate::model::{ReplicationId, ReplicationMode, StorageRef};
use crate::provider::{ImageState, Mark, ReplicationPhase, ReplicationStatus, Role, SnapshotInfo, TOKEN_KEY, Token};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;

pub(crate) fn error(errno: &Errno) -> Error {
    let kind = match errno.code {
        2 => ErrorKind::NotFound,
        16 | 17 | 39 => ErrorKind::Conflict,
        1 | 30 => ErrorKind::Refused,
        110 => ErrorKind::Unavailable,
        _ => ErrorKind::Rejected,
    };
    Error::new(kind, format!("sim.rbd.{}", errno.code), errno.text.clone())
}

pub(crate) fn refused(code: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, format!("sim.{code}"), message)
}

pub(crate) trait OrError<T> {
    fn or_error(self) -> Result<T>;
}

impl<T> OrError<T> for Result<T, Errno> {
    fn or_error(self) -> Result<T> {
        self.map_err(|errno| error(&errno))
    }
}

/// `Ok(None)` for what does not exist.
pub(crate) fn existing<T>(answer: Result<T, Errno>) -> Result<Option<T>> {
    match answer {
        Err(errno) if errno.code == 2 => Ok(None),
        answer => answer.or_error().map(Some),
    }
}

pub(crate) fn state(info: Image) -> ImageState {
    ImageState {
        storage: info.storage,
        size_bytes: info.size,
        role: match &info.mirroring {
            None => Role::Unreplicated,
            Some(m) if m.primary => Role::Primary,
            Some(_) => Role::Secondary,
        },
        replication: info.mirroring.map(|m| (ReplicationId::new(m.global_id), m.mode)),
        parent: info.parent,
        metadata: info.metadata,
    }
}

fn phase(posted: Option<&Posted>) -> ReplicationPhase {
    let Some(posted) = posted else {
        return ReplicationPhase::Unknown;
    };
    let text = posted.description.as_str();
    match posted.state.as_str() {
        "syncing" => ReplicationPhase::InitialCopy {
            percent: posted.percent,
        },
        "replaying" if posted.initial => ReplicationPhase::InitialCopy {
            percent: posted.percent,
        },
        "replaying" => ReplicationPhase::Replicating,
        "stopped" if text == "local image is primary" => ReplicationPhase::Primary,
        "stopped" => ReplicationPhase::Demoted,
        "unknown" if text == "remote image is not primary" => ReplicationPhase::Demoted,
        "error" if text.starts_with("split-brain") => ReplicationPhase::SplitBrain,
        "error" => ReplicationPhase::Error,
        _ => ReplicationPhase::Unknown,
    }
}

pub(crate) fn status(rbd: &Rbd<'_>, image: &StorageRef) -> Result<ReplicationStatus> {
    let info = rbd.info(image).or_error()?;
    let posted = match &info.mirroring {
        Some(_) => rbd.posted(image).or_error()?,
        None => None,
    };
    let caught_up = posted.as_ref().filter(|p| p.entries_behind == Some(0)).map(|p| p.at);
    let synced_to = info.mirroring.as_ref().and_then(|m| match (m.primary, m.mode) {
        (true, _) => Some(rbd.now),
        (false, ReplicationMode::Snapshot) => m.synced_to,
        (false, ReplicationMode::Journal) => caught_up,
    });
    Ok(ReplicationStatus {
        role: state(info).role,
        phase: phase(posted.as_ref()),
        synced_to,
        reported_at: posted.as_ref().map(|p| p.at),
        bytes_behind: posted.as_ref().and_then(|p| p.bytes_behind),
        description: posted.map(|p| p.description).unwrap_or_default(),
    })
}

impl World {
    /// What stale answers of a site are taken from.
    pub(crate) fn stale(&mut self, site: usize, now: Timestamp) -> Stale {
        let inventory = self.sites[site].cloud.inventory.clone();
        let rbd = Rbd { world: self, site, now };
        let images = rbd.list().unwrap_or_default().into_iter();
        let status = images
            .filter_map(|i| Some((i.storage.clone(), status(&rbd, &i.storage).ok()?)))
            .collect();
        Stale { inventory, status }
    }
}

pub(crate) fn snapshot_info(snap: super::rbd::SnapshotInfo) -> SnapshotInfo {
    SnapshotInfo {
        name: snap.name,
        taken_at: snap.at,
        size_bytes: snap.size,
    }
}

pub(crate) fn find(rbd: &Rbd<'_>, token: &Token) -> Result<Option<StorageRef>> {
    let mut images = rbd.images().or_error()?.by_key.values();
    let made = images.find(|i| !i.trashed && i.log.value(TOKEN_KEY) == Some(token.as_str()));
    Ok(made.map(|i| i.place.storage()))
}

const MARK: &str = "sim1";

/// The mark of everything up to a position of an image's log; of all of it without one.
pub(crate) fn mark(rbd: &Rbd<'_>, image: &StorageRef, position: Option<usize>) -> Result<Mark> {
    let image = rbd.images().or_error()?.get(image).or_error()?;
    let index = position.unwrap_or(image.log.len().saturating_sub(1));
    match (&image.mirror, image.log.entries.get(index)) {
        (Some(m), Some(entry)) => Ok(Mark::new(format!("{MARK} {} {index} {}", m.global_id, entry.id))),
        _ => Err(refused("mark", "the image does not replicate")),
    }
}

/// The position of a mark in the log of a replica; none while it has not arrived.
pub(crate) fn position(rbd: &Rbd<'_>, replica: &StorageRef, mark: &Mark) -> Result<Option<usize>> {
    let image = rbd.images().or_error()?.get(replica).or_error()?;
    let invalid = |message: &str| Error::new(ErrorKind::Invalid, "sim.mark", message).with("mark", mark.as_str());
    let parts: Vec<_> = mark.as_str().split(' ').collect();
    let &[MARK, global_id, index, id] = parts.as_slice() else {
        return Err(invalid("the mark cannot be read"));
    };
    if image.mirror.as_ref().is_none_or(|m| m.global_id != global_id) {
        return Err(invalid("the mark is of another image"));
    }
    let (Ok(index), Ok(id)) = (index.parse::<usize>(), id.parse::<u64>()) else {
        return Err(invalid("the mark cannot be read"));
    };
    Ok(image.log.entries.get(index).filter(|e| e.id == id).map(|_| index))
}
