//! What happened to an image, in order. An image *is* its log: bytes, user snapshots, name and metadata are folds over
//! it, and a replica is a prefix of its primary's log. Entries carry ids that are unique in the world, so two logs that
//! agree in their last common entry agree in everything before it; where they do not, the sides have diverged.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) at: Timestamp,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Created { size: u64 },
    Resized { size: u64 },
    Wrote { offset: u64, data: Arc<[u8]> },
    Snapshot { name: String },
    SnapshotGone { name: String },
    Metadata { key: String, value: Option<String> },
    Renamed { name: String },
    Promoted,
    Demoted,
}

/// A user snapshot: a position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snap {
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    pub(crate) position: usize,
    pub(crate) size: u64,
}

/// A log, on top of the bytes it was cloned from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) base: Option<Arc<Self>>,
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Everything up to a position, to be cloned from.
    pub(crate) fn prefix(&self, position: usize) -> Self {
        Self {
            base: self.base.clone(),
            entries: self.entries[..position].to_vec(),
        }
    }

    /// Whether this log is `other` with nothing, or something, behind it.
    pub(crate) fn extends(&self, other: &Self) -> bool {
        match other.entries.last() {
            None => true,
            Some(last) => self.entries.get(other.len() - 1).is_some_and(|e| e.id == last.id),
        }
    }

    /// Whether the last word on who is primary is a demotion; none when it never was replicated.
    pub(crate) fn demoted(&self) -> Option<bool> {
        self.last_role()
            .map(|index| matches!(self.entries[index].what, What::Demoted))
    }

    /// The position of the last promotion or demotion.
    pub(crate) fn last_role(&self) -> Option<usize> {
        let role = |e: &Entry| matches!(e.what, What::Promoted | What::Demoted);
        self.entries.iter().rposition(role)
    }

    pub(crate) fn size(&self, position: usize) -> u64 {
        let sizes = self.entries[..position].iter().rev();
        sizes.into_iter().find_map(|e| e.what.size()).unwrap_or_default()
    }

    /// Bytes that were written after `from`, up to `to`: what a copy has to carry.
    pub(crate) fn weight(&self, from: usize, to: usize) -> u64 {
        let base = match (&self.base, from) {
            (Some(base), 0) => base.weight(0, base.len()),
            _ => 0,
        };
        let written = self.entries[from..to].iter().map(|e| match &e.what {
            What::Wrote { data, .. } => data.len() as u64,
            _ => 0,
        });
        base + written.sum::<u64>()
    }

    pub(crate) fn snapshots(&self) -> Vec<Snap> {
        let (mut snaps, mut size): (Vec<Snap>, _) = (vec![], 0);
        for (index, entry) in self.entries.iter().enumerate() {
            size = entry.what.size().unwrap_or(size);
            match &entry.what {
                What::Snapshot { name } => snaps.push(Snap {
                    name: name.clone(),
                    at: entry.at,
                    position: index + 1,
                    size,
                }),
                What::SnapshotGone { name } => snaps.retain(|s| s.name != *name),
                _ => {}
            }
        }
        snaps
    }

    /// One key-value pair.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.entries.iter().rev().find_map(|e| match &e.what {
            What::Metadata { key, value } if key == name => Some(value.as_deref()),
            _ => None,
        })?
    }

    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::new();
        for entry in &self.entries {
            if let What::Metadata { key, value } = &entry.what {
                match value {
                    Some(value) => metadata.insert(key.clone(), value.clone()),
                    None => metadata.remove(key),
                };
            }
        }
        metadata
    }

    /// The bytes at a position in time.
    pub(crate) fn read(&self, position: usize, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = match &self.base {
            Some(base) => base.read(base.len(), offset, len),
            None => vec![0; len],
        };
        for entry in &self.entries[..position] {
            overlay(&mut bytes, offset, entry);
        }
        bytes
    }

    /// The bytes in the middle of a copy of everything up to `target.0` of a longer log: the lower part of the image
    /// is new already, the rest is not. Not a moment that ever was.
    pub(crate) fn read_torn(&self, target: (&Self, usize), percent: u8, offset: u64, len: usize) -> Vec<u8> {
        let (longer, to) = target;
        let border = longer.size(to) / 100 * u64::from(percent);
        let mut bytes = self.read(self.len(), offset, len);
        let new = longer.read(to, offset, len);
        let copied = usize::try_from(border.saturating_sub(offset)).map_or(len, |n| n.min(len));
        bytes[..copied].copy_from_slice(&new[..copied]);
        bytes
    }

    /// A digest of all bytes at a position; zeros and holes are the same.
    pub(crate) fn digest(&self, position: usize) -> String {
        const BLOCK: u64 = 512;
        let mut blocks = std::collections::BTreeSet::new();
        let layers = std::iter::successors(Some((self, position)), |(log, _)| {
            log.base.as_deref().map(|b| (b, b.len()))
        });
        for (log, end) in layers {
            for entry in &log.entries[..end] {
                if let What::Wrote { offset, data } = &entry.what {
                    blocks.extend(offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK));
                }
            }
        }
        let mut hash = Sha256::new();
        for block in blocks {
            let bytes = self.read(position, block * BLOCK, 512);
            if bytes.iter().any(|b| *b != 0) {
                hash.update(block.to_le_bytes());
                hash.update(bytes);
            }
        }
        hash.finalize().iter().take(12).map(|b| format!("{b:02x}")).collect()
    }
}

impl What {
    const fn size(&self) -> Option<u64> {
        match self {
            Self::Created { size } | Self::Resized { size } => Some(*size),
            _ => None,
        }
    }
}

fn overlay(bytes: &mut [u8], offset: u64, entry: &Entry) {
    let What::Wrote { offset: at, data } = &entry.what else {
        return;
    };
    let end = offset + bytes.len() as u64;
    let (from, to) = ((*at).max(offset), (at + data.len() as u64).min(end));
    if from < to {
        // Both differences lie within the lengths of slices in memory.
        let within = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        bytes[within(from - offset)..within(to - offset)].copy_from_slice(&data[within(from - at)..within(to - at)]);
    }
}
