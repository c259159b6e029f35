//! Images of one storage cluster as they are at rest: no time passes here, nothing is sent anywhere.

use super::log::{Entry, Log, What};
use crate::model::{ReplicationMode, StorageRef};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What the service answers when it refuses: the error number and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errno {
    /// As `errno.h` counts: 2 no such image, 16 busy, 17 exists, 22 invalid, 30 read only, 39 not empty, 110 timed out.
    pub code: i32,
    /// The service's words.
    pub text: String,
}

impl Errno {
    pub(crate) fn new(code: i32, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    pub(crate) fn missing(image: &StorageRef) -> Self {
        Self::new(2, format!("error opening image {image}: (2) No such file or directory"))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.code, self.text)
    }
}

impl std::error::Error for Errno {}

/// The number of an image within its cluster. Names change, and a resync makes a new image; numbers are never used again.
pub(crate) type Key = u64;

/// Where an image is: `rbd:pool/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) pool: String,
    pub(crate) name: String,
}

impl Place {
    pub(crate) fn of(storage: &StorageRef) -> Result<Self, Errno> {
        let place = storage.as_str().strip_prefix("rbd:").and_then(|s| s.split_once('/'));
        let (pool, name) =
            place.ok_or_else(|| Errno::new(22, format!("{storage} is not of the form rbd:pool/image")))?;
        Ok(Self {
            pool: pool.to_owned(),
            name: name.to_owned(),
        })
    }

    pub(crate) fn storage(&self) -> StorageRef {
        StorageRef::new(format!("rbd:{}/{}", self.pool, self.name))
    }
}

/// An image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) place: Place,
    pub(crate) log: Log,
    /// The image and the snapshot it is a clone of; its bytes are in the log's base.
    pub(crate) parent: Option<(Key, String)>,
    pub(crate) mirror: Option<Mirror>,
    /// Running servers that have it open.
    pub(crate) watchers: u32,
    /// Deleted while clones live: it has no name any more.
    pub(crate) trashed: bool,
}

impl Image {
    /// Refuses when the image may not be changed on this side.
    pub(crate) fn check_writable(&self) -> Result<(), Errno> {
        match &self.mirror {
            Some(m) if !m.primary && m.mode == ReplicationMode::Journal && self.log.demoted() == Some(true) => {
                Err(Errno::new(1, "local image not promoted"))
            }
            Some(m) if !m.primary => Err(Errno::new(30, "Read-only file system")),
            _ => Ok(()),
        }
    }
}

/// The replicated side of an image.
#[derive(Debug, Clone)]
pub(crate) struct Mirror {
    pub(crate) global_id: String,
    pub(crate) mode: ReplicationMode,
    pub(crate) primary: bool,
    pub(crate) enabled_at: Timestamp,
    /// Mirror snapshots made on this side that the peer may still need.
    pub(crate) snapshots: Vec<MirrorSnap>,
    /// A copy that is under way to this side.
    pub(crate) copy: Option<Copy>,
    /// When the last copy to this side was complete, and of which time its data is.
    pub(crate) copied: Option<(Timestamp, Timestamp)>,
    pub(crate) resync: Option<Timestamp>,
    pub(crate) posted: Option<Posted>,
}

impl Mirror {
    pub(crate) const fn new(global_id: String, mode: ReplicationMode, primary: bool, at: Timestamp) -> Self {
        Self {
            global_id,
            mode,
            primary,
            enabled_at: at,
            snapshots: Vec::new(),
            copy: None,
            copied: None,
            resync: None,
            posted: None,
        }
    }
}

/// A mirror snapshot: everything up to `position` is to be copied.
#[derive(Debug, Clone)]
pub(crate) struct MirrorSnap {
    pub(crate) at: Timestamp,
    pub(crate) position: usize,
}

/// A copy that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) to: usize,
    /// The time of the data that is copied.
    pub(crate) data_at: Timestamp,
    pub(crate) begun: Timestamp,
    pub(crate) ends: Timestamp,
}

impl Copy {
    pub(crate) fn percent(&self, now: Timestamp) -> u8 {
        let (done, all) = (now.duration_since(self.begun), self.ends.duration_since(self.begun));
        let percent = 100.0 * done.as_secs_f64() / all.as_secs_f64().max(0.001);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let percent = percent.clamp(0.0, 99.0) as u8;
        percent
    }
}

/// What the mirror daemon posted last. Up to a heartbeat old, and older when the daemon hangs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The service's state word without `up+` or `down+`.
    pub state: String,
    /// The service's description.
    pub description: String,
    /// When it was posted.
    pub at: Timestamp,
    /// Whether the first copy to this side is not complete.
    pub initial: bool,
    /// How far a copy to this side was.
    pub percent: Option<u8>,
    /// Entries that the replica is behind, in journal mode.
    pub entries_behind: Option<u64>,
    /// Bytes that the replica is behind; none where this side does not follow the other.
    pub bytes_behind: Option<u64>,
}

/// The images of one storage cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct Images {
    pub(crate) by_key: BTreeMap<Key, Image>,
    names: BTreeMap<Place, Key>,
    /// Mirrored images by global id.
    pub(crate) mirrored: BTreeMap<String, Key>,
    /// Global ids of primaries that were removed or are no longer mirrored, and when.
    pub(crate) gone: BTreeMap<String, Timestamp>,
    /// Global ids whose replica is to be made again after a resync, and when.
    pub(crate) remake: BTreeMap<String, Timestamp>,
}

impl Images {
    pub(crate) fn key(&self, storage: &StorageRef) -> Result<Key, Errno> {
        let key = self.names.get(&Place::of(storage)?).copied();
        key.ok_or_else(|| Errno::missing(storage))
    }

    pub(crate) fn get(&self, storage: &StorageRef) -> Result<&Image, Errno> {
        let key = self.key(storage)?;
        self.by_key.get(&key).ok_or_else(|| Errno::missing(storage))
    }

    pub(crate) fn taken(&self, place: &Place) -> bool {
        self.names.contains_key(place)
    }

    /// The image with this global id.
    pub(crate) fn by_id(&self, global_id: &str) -> Option<&Image> {
        self.by_key.get(self.mirrored.get(global_id)?)
    }

    pub(crate) fn insert(&mut self, key: Key, mut image: Image) {
        let mirror = image.mirror.take();
        self.names.insert(image.place.clone(), key);
        self.by_key.insert(key, image);
        self.set_mirror(key, mirror);
    }

    /// Begins or ends the mirroring of an image.
    pub(crate) fn set_mirror(&mut self, key: Key, mirror: Option<Mirror>) {
        let Some(image) = self.by_key.get_mut(&key) else {
            return;
        };
        if let Some(old) = image.mirror.take() {
            self.mirrored.remove(&old.global_id);
        }
        if let Some(new) = &mirror {
            self.mirrored.insert(new.global_id.clone(), key);
        }
        image.mirror = mirror;
    }

    pub(crate) fn rename(&mut self, key: Key, name: &str) {
        let Some(image) = self.by_key.get_mut(&key) else {
            return;
        };
        self.names.remove(&image.place);
        name.clone_into(&mut image.place.name);
        self.names.insert(image.place.clone(), key);
    }

    /// Clones of an image.
    pub(crate) fn children(&self, key: Key) -> impl Iterator<Item = &Image> {
        let child = move |i: &&Image| i.parent.as_ref().is_some_and(|(parent, _)| *parent == key);
        self.by_key.values().filter(child)
    }

    /// Takes an image away; into the trash while it has clones.
    pub(crate) fn remove(&mut self, key: Key) {
        let has_children = self.children(key).next().is_some();
        self.set_mirror(key, None);
        let Some(image) = self.by_key.get_mut(&key) else {
            return;
        };
        // A name in the trash may long be another image's.
        if self.names.get(&image.place) == Some(&key) {
            self.names.remove(&image.place);
        }
        if has_children {
            image.trashed = true;
        } else {
            let parent = image.parent.take();
            self.by_key.remove(&key);
            self.collect(parent.as_ref());
        }
    }

    /// Empties the trash of a parent that has lost its last clone.
    pub(crate) fn collect(&mut self, parent: Option<&(Key, String)>) {
        if let Some(&(key, _)) = parent
            && self.by_key.get(&key).is_some_and(|i| i.trashed)
            && self.children(key).next().is_none()
        {
            self.remove(key);
        }
    }

    /// What an image is a clone of, as the service names it.
    pub(crate) fn parent(&self, image: &Image) -> Option<StorageRef> {
        let (key, _) = image.parent.as_ref()?;
        let parent = self.by_key.get(key)?;
        Some(if parent.trashed {
            StorageRef::new(format!("rbd:{}/(trash {key})", parent.place.pool))
        } else {
            parent.place.storage()
        })
    }
}

/// Counts entries of all logs of a world.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(u64);

impl Counter {
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    pub(crate) fn entry(&mut self, at: Timestamp, what: What) -> Entry {
        Entry {
            id: self.next(),
            at,
            what,
        }
    }

    /// A new image with nothing in it.
    pub(crate) fn image(&mut self, place: Place, size: u64, base: Option<Arc<Log>>, at: Timestamp) -> Image {
        let created = self.entry(at, What::Created { size });
        Image {
            place,
            log: Log {
                base,
                entries: vec![created],
            },
            parent: None,
            mirror: None,
            watchers: 0,
            trashed: false,
        }
    }
}
