//! What a test may know of a world at any moment, whatever the condition of its sites is, without latency and cheaply
//! enough to be asked after every call: who may write, which copies are complete, what carries which token.

use super::guest::{self, BEAT_AT, Beat, GuestDisk};
use super::rbd::Images;
use super::world::{SimWorld, World};
use crate::model::{CloudId, StorageRef};
use crate::provider::{CreatedKind, TOKEN_KEY, Token};

/// A replicated image, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    /// The same on both sides.
    pub global_id: String,
    /// Where it is.
    pub storage: StorageRef,
    /// Whether this side may be written.
    pub primary: bool,
    /// Whether it holds a whole moment of the data: it is primary, or its first copy is over.
    pub complete: bool,
    /// Whether it is about to be thrown away and copied again.
    pub resync: bool,
    /// Running servers that have it open.
    pub watchers: u32,
}

impl SimWorld {
    fn peek<T>(&self, site: &str, look: impl FnOnce(&mut World, usize) -> T) -> T {
        let site = self.site(site);
        self.with(|world, _| look(world, site))
    }

    /// The replicated images of a site.
    ///
    /// # Panics
    /// When there is no such site; so do all methods here.
    #[must_use]
    pub fn replicas(&self, site: &str) -> Vec<Peek> {
        self.peek(site, |world, site| {
            let images = &world.sites[site].images;
            let of = |key| {
                let image = images.by_key.get(key)?;
                let mirror = image.mirror.as_ref()?;
                Some(Peek {
                    global_id: mirror.global_id.clone(),
                    storage: image.place.storage(),
                    primary: mirror.primary,
                    complete: mirror.primary || image.log.len() > 0,
                    resync: mirror.resync.is_some(),
                    watchers: image.watchers,
                })
            };
            images.mirrored.values().filter_map(of).collect()
        })
    }

    /// What stays of an image when it gets another name, and no other image ever has; none when there is no such image.
    #[must_use]
    pub fn image_key(&self, site: &str, image: &StorageRef) -> Option<u64> {
        self.peek(site, |world, site| world.sites[site].images.key(image).ok())
    }

    /// A digest of the bytes of an image, or of a snapshot of it; none when there is no such thing.
    #[must_use]
    pub fn digest(&self, site: &str, image: &StorageRef, snapshot: Option<&str>) -> Option<String> {
        self.peek(site, |world, site| {
            let (log, position) = place(&world.sites[site].images, image, snapshot)?;
            Some(log.digest(position))
        })
    }

    /// What a guest's data on an image, or on a snapshot of it, is; none when there is no such thing.
    #[must_use]
    pub fn disk(&self, site: &str, image: &StorageRef, snapshot: Option<&str>) -> Option<GuestDisk> {
        self.peek(site, |world, site| {
            let (log, position) = place(&world.sites[site].images, image, snapshot)?;
            Some(GuestDisk::parse(&log.read(position, 0, guest::AREA)))
        })
    }

    /// What in a cloud carries a token of ours.
    #[must_use]
    pub fn tokens(&self, site: &str) -> Vec<(CreatedKind, CloudId, Token)> {
        self.peek(site, |world, site| {
            let cloud = &world.sites[site].cloud;
            // What goes with a tenant keeps its token.
            let tokens = cloud.tokens.iter().filter(|((kind, id), _)| cloud.exists(*kind, id));
            tokens
                .map(|((kind, id), token)| (*kind, id.clone(), token.clone()))
                .collect()
        })
    }

    /// Which images carry a token of ours.
    #[must_use]
    pub fn image_tokens(&self, site: &str) -> Vec<(StorageRef, String)> {
        self.peek(site, |world, site| {
            let images = world.sites[site].images.by_key.values().filter(|i| !i.trashed);
            images
                .filter_map(|i| Some((i.place.storage(), i.log.value(TOKEN_KEY)?.to_owned())))
                .collect()
        })
    }

    /// Servers whose guest is up.
    #[must_use]
    pub fn running(&self, site: &str) -> Vec<CloudId> {
        self.peek(site, |world, site| {
            let guests = world.sites[site].cloud.guests.iter().filter(|(_, g)| g.up);
            guests.map(|(id, _)| id.clone()).collect()
        })
    }

    /// Lets every running guest of a site write its heartbeat to all its disks, and tells for each image that took it what
    /// the guest knows to be written.
    #[must_use]
    pub fn beats(&self, site: &str) -> Vec<(StorageRef, Beat)> {
        let site = self.site(site);
        self.with(|world, now| {
            let guests = world.sites[site].cloud.guests.iter().filter(|(_, g)| g.up);
            let up: Vec<CloudId> = guests.map(|(id, _)| id.clone()).collect();
            let mut written = Vec::new();
            for id in up {
                let Some(guest) = world.sites[site].cloud.guests.get_mut(&id) else {
                    continue;
                };
                guest.beats += 1;
                let beat = Beat::new(guest.boots, guest.beats, now);
                for key in guest.disks.clone() {
                    if world.guest_write(site, key, BEAT_AT, &beat.sector(), now).is_ok() {
                        let image = world.sites[site].images.by_key.get(&key);
                        written.extend(image.map(|i| (i.place.storage(), beat)));
                    }
                }
            }
            written
        })
    }
}

fn place<'i>(images: &'i Images, image: &StorageRef, snapshot: Option<&str>) -> Option<(&'i super::rbd::Log, usize)> {
    let log = &images.get(image).ok()?.log;
    let position = match snapshot {
        None => log.len(),
        Some(name) => log.snapshots().into_iter().find(|s| s.name == name)?.position,
    };
    Some((log, position))
}
