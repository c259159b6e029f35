//! How images begin as clones, become independent, are renamed and end.

use super::image::{Errno, Place};
use super::log::What;
use super::service::{Answer, Rbd};
use crate::model::StorageRef;
use std::sync::Arc;

impl Rbd<'_> {
    /// Clones (format 2) a user snapshot; the parent may be a replica and notices nothing.
    ///
    /// # Errors
    /// 2 when there is no such snapshot, 17 when the child's name is taken.
    pub fn clone_snapshot(&mut self, storage: &StorageRef, snapshot: &str, child: &StorageRef) -> Answer<()> {
        let parent = self.images()?.key(storage)?;
        let snap = self.snap(storage, snapshot)?;
        let place = self.place(child)?;
        let base = Arc::new(self.images()?.get(storage)?.log.prefix(snap.position));
        let key = self.world.counter.next();
        let mut image = self.world.counter.image(place, snap.size, Some(base), self.now);
        image.parent = Some((parent, snapshot.to_owned()));
        // Clones inherit the parent's key-value pairs.
        for (name, value) in self.images()?.get(storage)?.log.metadata() {
            let what = What::Metadata {
                key: name,
                value: Some(value),
            };
            image.log.entries.push(self.world.counter.entry(self.now, what));
        }
        self.images_mut()?.insert(key, image);
        Ok(())
    }

    /// Makes a clone independent; nothing happens to other images.
    ///
    /// # Errors
    /// 30 on a replica.
    pub fn flatten(&mut self, storage: &StorageRef) -> Answer<()> {
        let key = self.writable(storage)?;
        let images = self.images_mut()?;
        let parent = images.by_key.get_mut(&key).and_then(|i| i.parent.take());
        images.collect(parent.as_ref());
        Ok(())
    }

    /// Gives an image another name in its pool. On a mirrored primary the rename travels to the replica (facts 13.1).
    ///
    /// # Errors
    /// 17 when the name is taken, 30 on a replica.
    pub fn rename(&mut self, storage: &StorageRef, to: &StorageRef) -> Answer<()> {
        let key = self.writable(storage)?;
        let place = self.place(to)?;
        if place.pool != Place::of(storage)?.pool {
            return Err(Errno::new(22, "images cannot be moved between pools"));
        }
        let name = place.name;
        self.append(key, What::Renamed { name: name.clone() })?;
        self.images_mut()?.rename(key, &name);
        Ok(())
    }

    /// Makes an image larger or smaller.
    ///
    /// # Errors
    /// 30 on a replica.
    pub fn resize(&mut self, storage: &StorageRef, size: u64) -> Answer<()> {
        let key = self.writable(storage)?;
        self.append(key, What::Resized { size })?;
        Ok(())
    }

    /// Sets or removes a key-value pair.
    ///
    /// # Errors
    /// 30 on a replica.
    pub fn set_metadata(&mut self, storage: &StorageRef, key: &str, value: Option<&str>) -> Answer<()> {
        let image = self.writable(storage)?;
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.append(image, What::Metadata { key, value })?;
        Ok(())
    }

    /// Removes an image. A mirrored primary goes at once, and its replica within seconds (facts 0.9).
    ///
    /// # Errors
    /// 16 while a server has it open or for a replica, 39 while it has snapshots or clones.
    pub fn remove(&mut self, storage: &StorageRef) -> Answer<()> {
        let now = self.now;
        let images = self.images_mut()?;
        let key = images.key(storage)?;
        let image = images.get(storage)?;
        let replica = image.mirror.as_ref().is_some_and(|m| !m.primary);
        if image.watchers > 0 || replica {
            return Err(Errno::new(16, "image still has watchers"));
        }
        if !image.log.snapshots().is_empty() {
            return Err(Errno::new(
                39,
                "image has snapshots - these must be deleted with 'rbd snap purge'",
            ));
        }
        if images.children(key).next().is_some() {
            return Err(Errno::new(39, "image has snapshots with linked clones"));
        }
        if let Some(mirror) = &image.mirror {
            let id = mirror.global_id.clone();
            images.gone.insert(id, now);
        }
        images.remove(key);
        Ok(())
    }

    /// Removes an image whatever its state is, as an operator does who knows what to type: mirroring is disabled by force
    /// on a replica, snapshots are purged. `Ok` when it does not exist.
    ///
    /// # Errors
    /// 16 while a server has it open, 39 while it has clones.
    pub fn purge(&mut self, storage: &StorageRef) -> Answer<()> {
        let info = match self.info(storage) {
            Err(errno) if errno.code == 2 => return Ok(()),
            info => info?,
        };
        if info.mirroring.is_some_and(|m| !m.primary) {
            self.mirror_disable(storage, true)?;
        }
        for snap in self.snapshots(storage)? {
            self.snap_remove(storage, &snap.name)?;
        }
        self.remove(storage)
    }

    /// Whether an image has clones.
    pub(crate) fn has_children(&self, storage: &StorageRef) -> Answer<bool> {
        let images = self.images()?;
        Ok(images.children(images.key(storage)?).next().is_some())
    }
}
