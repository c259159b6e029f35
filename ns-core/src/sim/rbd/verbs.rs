//! The mirroring verbs of the storage service, with the refusals and the missing refusals of the real one.

use super::image::{Errno, Key, Mirror, MirrorSnap};
use super::log::What;
use super::service::{Answer, Rbd};
use crate::model::{ReplicationMode, StorageRef};
use jiff::Timestamp;

fn invalid<T>(text: &str) -> Answer<T> {
    Err(Errno::new(22, text))
}

impl Rbd<'_> {
    fn mirror(&self, storage: &StorageRef) -> Answer<(Key, &Mirror)> {
        let images = self.images()?;
        let mirror = images.get(storage)?.mirror.as_ref();
        let mirror = mirror.ok_or_else(|| Errno::new(22, "mirroring not enabled on the image"))?;
        Ok((images.key(storage)?, mirror))
    }

    fn mirror_mut(&mut self, key: Key) -> Answer<&mut Mirror> {
        let image = self.images_mut()?.by_key.get_mut(&key);
        let mirror = image.and_then(|i| i.mirror.as_mut());
        mirror.ok_or_else(|| Errno::new(2, "the image is gone"))
    }

    /// A mirror snapshot of everything so far, in snapshot mode.
    fn keep(&mut self, key: Key) -> Answer<u64> {
        let (id, at) = (self.world.counter.next(), self.now);
        let position = self.images()?.by_key.get(&key).map_or(0, |i| i.log.len());
        let mirror = self.mirror_mut(key)?;
        if mirror.mode == ReplicationMode::Snapshot {
            mirror.snapshots.push(MirrorSnap { at, position });
        }
        Ok(id)
    }

    /// Begins to mirror an image and gives its global id.
    ///
    /// # Errors
    /// 22 for the other mode, without a peer, and for a clone whose parent is not mirrored.
    pub fn mirror_enable(&mut self, storage: &StorageRef, mode: ReplicationMode) -> Answer<String> {
        let images = self.images()?;
        let (key, image) = (images.key(storage)?, images.get(storage)?);
        if let Some(mirror) = &image.mirror {
            if mirror.mode != mode {
                return invalid("invalid current image mirror mode");
            }
            return Ok(mirror.global_id.clone());
        }
        let here = &self.world.sites[self.site];
        if here.peer.is_none() || here.access.unmirrored.contains(&image.place.pool) {
            return invalid("cannot enable mirroring: mirroring is not enabled on a pool");
        }
        if let Some((parent, _)) = &image.parent
            && images.by_key.get(parent).is_none_or(|p| p.mirror.is_none())
        {
            return invalid("mirroring is not enabled for the parent");
        }
        let id = self.world.uuid();
        let mirror = Mirror::new(id.clone(), mode, true, self.now);
        self.images_mut()?.set_mirror(key, Some(mirror));
        self.append(key, What::Promoted)?;
        self.keep(key)?;
        Ok(id)
    }

    /// Ends mirroring. The replica goes away if it follows this side.
    ///
    /// # Errors
    /// 22 on a replica without force.
    pub fn mirror_disable(&mut self, storage: &StorageRef, force: bool) -> Answer<()> {
        let now = self.now;
        let (key, mirror) = self.mirror(storage)?;
        let (primary, id) = (mirror.primary, mirror.global_id.clone());
        if !primary && !force {
            return invalid("mirrored image is not primary, add force option to disable mirroring");
        }
        let images = self.images_mut()?;
        if primary {
            images.gone.insert(id, now);
        }
        images.set_mirror(key, None);
        Ok(())
    }

    /// Takes a mirror snapshot and gives its id.
    ///
    /// # Errors
    /// 22 in journal mode and on a replica.
    pub fn mirror_snapshot(&mut self, storage: &StorageRef) -> Answer<u64> {
        match self.mirror(storage)? {
            (_, m) if m.mode != ReplicationMode::Snapshot => invalid("snapshot based mirroring is not enabled"),
            (_, m) if !m.primary => invalid("image is not primary"),
            (key, _) => self.keep(key),
        }
    }

    /// Makes a primary read only, whoever has it open (facts 2).
    ///
    /// # Errors
    /// 22 when it is not primary.
    pub fn demote(&mut self, storage: &StorageRef) -> Answer<()> {
        let (key, mirror) = self.mirror(storage)?;
        if !mirror.primary {
            return invalid("image is not primary");
        }
        self.append(key, What::Demoted)?;
        self.keep(key)?;
        self.mirror_mut(key)?.primary = false;
        Ok(())
    }

    /// Makes a side primary; `true` when that rolled back an unfinished copy.
    ///
    /// Unforced it refuses only while the last word on this side is a promotion: after a demotion here it succeeds,
    /// whatever the peer has done since (facts 0.4).
    ///
    /// # Errors
    /// 16 while the peer is primary as far as this side knows, 22 when it is primary already, 110 when a forced
    /// promotion hangs: an unfinished copy, a peer that is gone, and a mirror daemon that waits for it (facts 0.3).
    pub fn promote(&mut self, storage: &StorageRef, force: bool) -> Answer<bool> {
        let now = self.now;
        let daemon = self.world.sites[self.site].daemon;
        let linked = self.world.linked(self.site);
        let (key, mirror) = self.mirror(storage)?;
        let (primary, unfinished, mode) = (mirror.primary, mirror.copy.is_some(), mirror.mode);
        let demoted = self.images()?.get(storage)?.log.demoted();
        if primary {
            return invalid("image is already primary");
        }
        if !force && demoted != Some(true) {
            let text = "image is primary within a remote cluster or demotion is not propagated yet";
            return Err(Errno::new(16, text));
        }
        if demoted.is_none() {
            return invalid("image is not fully synchronized");
        }
        if unfinished && mode == ReplicationMode::Snapshot && daemon && !linked {
            return Err(Errno::new(
                110,
                "promotion hangs: the mirror daemon holds the image's lock",
            ));
        }
        let mirror = self.mirror_mut(key)?;
        mirror.primary = true;
        mirror.copy = None;
        mirror.resync = None;
        mirror.snapshots.clear();
        mirror.enabled_at = now;
        self.append(key, What::Promoted)?;
        self.keep(key)?;
        Ok(unfinished)
    }

    /// Wants this side's copy thrown away and made again.
    ///
    /// # Errors
    /// 22 on a primary.
    pub fn resync(&mut self, storage: &StorageRef) -> Answer<()> {
        let now = self.now;
        let (key, mirror) = self.mirror(storage)?;
        if mirror.primary {
            return invalid("image is primary, cannot resync to itself");
        }
        let mirror = self.mirror_mut(key)?;
        mirror.resync.get_or_insert(now);
        Ok(())
    }

    /// The health of mirroring, from what was posted: `OK` also when both sides are primary (facts 0.5) and for two
    /// minutes after the peer's death (facts 0.2).
    ///
    /// # Errors
    /// 110 when the site is not up.
    pub fn health(&self) -> Answer<&'static str> {
        let old = |at: Timestamp| self.now.duration_since(at).as_secs() > 120;
        let mirrors = self.images()?.by_key.values().filter_map(|i| i.mirror.as_ref());
        let mut worst = "OK";
        for mirror in mirrors {
            match &mirror.posted {
                Some(p) if p.state == "error" => return Ok("ERROR"),
                Some(p) if matches!(p.state.as_str(), "replaying" | "stopped") && !old(p.at) => {}
                _ => worst = "WARNING",
            }
        }
        Ok(worst)
    }
}
