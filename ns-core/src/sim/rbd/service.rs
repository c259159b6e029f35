//! Looking at the storage service and using images as their users do: what `rbd info`, `rbd snap ls`, a guest's write
//! and an operator's `rbd rm` see and do. Mirroring verbs are in `verbs`.

use super::image::{Errno, Images, Key, Place, Posted};
use super::log::{Snap, What};
use crate::model::{ReplicationMode, StorageRef};
use crate::provider::Content;
use crate::sim::world::World;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The storage service of one site at one moment. Every call is what the service itself does, at once, without latency
/// and without faults; a call to a site that is not up fails with 110.
#[derive(Debug)]
pub struct Rbd<'w> {
    pub(crate) world: &'w mut World,
    pub(crate) site: usize,
    pub(crate) now: Timestamp,
}

/// What `rbd info` tells, and what is true now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pool and name.
    pub storage: StorageRef,
    /// The local number; another one after a resync.
    pub id: u64,
    /// Bytes.
    pub size: u64,
    /// The image it is a clone of.
    pub parent: Option<StorageRef>,
    /// Replication.
    pub mirroring: Option<Mirroring>,
    /// Key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Running servers that have it open.
    pub watchers: u32,
}

/// The `mirroring` part of `rbd info`, and what `rbd snap ls --all` tells of the last copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirroring {
    /// The same on both sides.
    pub global_id: String,
    /// The mode.
    pub mode: ReplicationMode,
    /// Whether this side may be written.
    pub primary: bool,
    /// The time of the data that was copied here last; none before the first copy is complete.
    pub synced_to: Option<Timestamp>,
}

/// A user snapshot, as `rbd snap ls` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Name.
    pub name: String,
    /// When it was made.
    pub at: Timestamp,
    /// Size of the image then.
    pub size: u64,
}

pub(crate) type Answer<T> = Result<T, Errno>;

impl Rbd<'_> {
    pub(crate) fn images(&self) -> Answer<&Images> {
        self.world.storage_up(self.site)?;
        Ok(&self.world.sites[self.site].images)
    }

    pub(crate) fn images_mut(&mut self) -> Answer<&mut Images> {
        self.world.storage_up(self.site)?;
        Ok(&mut self.world.sites[self.site].images)
    }

    /// Puts an entry behind an image's log.
    pub(crate) fn append(&mut self, key: Key, what: What) -> Answer<usize> {
        let entry = self.world.counter.entry(self.now, what);
        let image = self.images_mut()?.by_key.get_mut(&key);
        let log = &mut image.ok_or_else(|| Errno::new(2, "the image is gone"))?.log;
        log.entries.push(entry);
        Ok(log.len())
    }

    /// The image, if it may be changed on this side.
    pub(crate) fn writable(&self, storage: &StorageRef) -> Answer<Key> {
        let images = self.images()?;
        images.get(storage)?.check_writable()?;
        images.key(storage)
    }

    pub(crate) fn place(&self, storage: &StorageRef) -> Answer<Place> {
        let place = Place::of(storage)?;
        if !self.world.pools.contains(&place.pool) {
            return Err(Errno::new(
                2,
                format!("error opening pool '{}': (2) No such file or directory", place.pool),
            ));
        }
        if self.images()?.taken(&place) {
            return Err(Errno::new(17, format!("image {storage} already exists")));
        }
        Ok(place)
    }

    /// Makes an empty image.
    ///
    /// # Errors
    /// 17 when it exists.
    pub fn create(&mut self, storage: &StorageRef, size: u64) -> Answer<()> {
        let place = self.place(storage)?;
        let key = self.world.counter.next();
        let image = self.world.counter.image(place, size, None, self.now);
        self.images_mut()?.insert(key, image);
        Ok(())
    }

    /// What is true of an image now.
    ///
    /// # Errors
    /// 2 when it does not exist.
    pub fn info(&self, storage: &StorageRef) -> Answer<Image> {
        let images = self.images()?;
        let key = images.key(storage)?;
        let image = images.get(storage)?;
        let mirroring = image.mirror.as_ref().map(|m| Mirroring {
            global_id: m.global_id.clone(),
            mode: m.mode,
            primary: m.primary,
            synced_to: m
                .copied
                .filter(|_| m.copy.is_none() || image.log.len() > 0)
                .map(|(_, data_at)| data_at),
        });
        Ok(Image {
            storage: image.place.storage(),
            id: key,
            size: match &image.mirror {
                // A replica has its size from its first moment, before any entry has come over.
                Some(m) if image.log.len() == 0 => self.peer_size(&m.global_id),
                _ => image.log.size(image.log.len()),
            },
            parent: images.parent(image),
            mirroring,
            metadata: image.log.metadata(),
            watchers: image.watchers,
        })
    }

    fn peer_size(&self, global_id: &str) -> u64 {
        let peer = self.world.sites[self.site].peer;
        let images = peer.map(|peer| &self.world.sites[peer].images);
        let image = images.and_then(|i| i.by_id(global_id));
        image.map_or(0, |i| i.log.size(i.log.len()))
    }

    /// All images, by name.
    ///
    /// # Errors
    /// 110 when the site is not up.
    pub fn list(&self) -> Answer<Vec<Image>> {
        let images = self.images()?;
        let mut all: Vec<_> = images
            .by_key
            .values()
            .filter(|i| !i.trashed)
            .map(|i| i.place.storage())
            .collect();
        all.sort();
        all.iter().map(|storage| self.info(storage)).collect()
    }

    /// Names of deleted images that live on because of their clones.
    ///
    /// # Errors
    /// 110 when the site is not up.
    pub fn trash(&self) -> Answer<Vec<StorageRef>> {
        let images = self.images()?.by_key.values();
        Ok(images.filter(|i| i.trashed).map(|i| i.place.storage()).collect())
    }

    /// Writes, as a guest does.
    ///
    /// # Errors
    /// 30, or 1 for a demoted image in journal mode, on the side that is not primary.
    pub fn write(&mut self, storage: &StorageRef, offset: u64, data: &[u8]) -> Answer<()> {
        let key = self.writable(storage)?;
        let size = self.info(storage)?.size;
        if offset.saturating_add(data.len() as u64) > size {
            return Err(Errno::new(22, "write beyond the end of the image"));
        }
        let data = Arc::from(data);
        self.append(key, What::Wrote { offset, data })?;
        Ok(())
    }

    /// All that an image held at a user snapshot.
    pub(crate) fn content(&self, storage: &StorageRef, snapshot: &str) -> Answer<Content> {
        let position = self.snap(storage, snapshot)?.position;
        let log = &self.images()?.get(storage)?.log;
        Ok(Content {
            bytes: log.size(position),
            sha256: log.digest(position),
        })
    }

    /// Reads the image or a user snapshot of it. The head of a replica in the middle of a copy is torn.
    ///
    /// # Errors
    /// 2 when the image or the snapshot does not exist.
    pub fn read(&self, storage: &StorageRef, snapshot: Option<&str>, offset: u64, len: usize) -> Answer<Vec<u8>> {
        let image = self.images()?.get(storage)?;
        if let Some(name) = snapshot {
            let snap = self.snap(storage, name)?;
            return Ok(image.log.read(snap.position, offset, len));
        }
        let copy = image.mirror.as_ref().and_then(|m| Some((m, m.copy.as_ref()?)));
        let source = copy.and_then(|(mirror, copy)| {
            let peer = &self.world.sites[self.world.sites[self.site].peer?].images;
            let source = peer.by_id(&mirror.global_id)?;
            (source.log.len() >= copy.to).then_some((&source.log, copy))
        });
        Ok(match source {
            Some((log, copy)) => image.log.read_torn((log, copy.to), copy.percent(self.now), offset, len),
            None => image.log.read(image.log.len(), offset, len),
        })
    }

    pub(crate) fn snap(&self, storage: &StorageRef, name: &str) -> Answer<Snap> {
        let snaps = self.images()?.get(storage)?.log.snapshots();
        let found = snaps.into_iter().find(|s| s.name == name);
        found.ok_or_else(|| {
            Errno::new(
                2,
                format!("no snapshot {name} of {storage}: (2) No such file or directory"),
            )
        })
    }

    /// User snapshots, oldest first.
    ///
    /// # Errors
    /// 2 when the image does not exist.
    pub fn snapshots(&self, storage: &StorageRef) -> Answer<Vec<SnapshotInfo>> {
        let snaps = self.images()?.get(storage)?.log.snapshots().into_iter();
        let info = |s: Snap| SnapshotInfo {
            name: s.name,
            at: s.at,
            size: s.size,
        };
        Ok(snaps.map(info).collect())
    }

    /// Takes a user snapshot.
    ///
    /// # Errors
    /// 17 when the name is taken, 30 on a replica.
    pub fn snap_create(&mut self, storage: &StorageRef, name: &str) -> Answer<()> {
        let key = self.writable(storage)?;
        if self.snap(storage, name).is_ok() {
            return Err(Errno::new(17, format!("snapshot {name} already exists")));
        }
        self.append(key, What::Snapshot { name: name.to_owned() })?;
        Ok(())
    }

    /// Removes a user snapshot; its clones live on.
    ///
    /// # Errors
    /// 2 when there is none, 30 on a replica.
    pub fn snap_remove(&mut self, storage: &StorageRef, name: &str) -> Answer<()> {
        let key = self.writable(storage)?;
        self.snap(storage, name)?;
        self.append(key, What::SnapshotGone { name: name.to_owned() })?;
        Ok(())
    }

    /// What the mirror daemon posted last about an image.
    ///
    /// # Errors
    /// 2 when it does not exist, 22 when it is not mirrored.
    pub fn posted(&self, storage: &StorageRef) -> Answer<Option<Posted>> {
        let mirror = self.images()?.get(storage)?.mirror.as_ref();
        let mirror = mirror.ok_or_else(|| Errno::new(22, "mirroring not enabled on the image"))?;
        Ok(mirror.posted.clone())
    }
}
