//! What people do in a simulated cloud beside us: they make things, run servers that write, set quotas, delete volumes.
//! Nothing here has latency or suffers faults.

use super::guest::{self, Beat, GuestDisk};
use super::rbd::{Errno, Rbd};
use super::world::SimWorld;
use crate::model::{CloudId, Inventory, StorageRef};
use crate::provider::{AdoptSpec, CreatedKind, Ref, Spec};
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

/// A volume that a user makes.
#[derive(Debug, Clone)]
pub struct NewVolume<'a> {
    /// Owner.
    pub tenant: &'a CloudId,
    /// Name.
    pub name: &'a str,
    /// Size in GiB.
    pub size_gib: u64,
    /// `ceph` or `ceph-multi`.
    pub volume_type: &'a str,
    /// Whether there is a system on it.
    pub bootable: bool,
    /// The text by which its data is recognised.
    pub marker: &'a str,
    /// Made of an image of the cloud, so that the volume's image is a clone of it, as clouds do.
    pub from_image: bool,
}

fn error(errno: &Errno) -> Error {
    Error::new(
        ErrorKind::Rejected,
        format!("sim.rbd.{}", errno.code),
        errno.text.clone(),
    )
}

impl SimWorld {
    /// Makes something as a user does. A server runs at once.
    ///
    /// # Errors
    /// As the cloud says.
    ///
    /// # Panics
    /// When there is no such site; so do all methods here.
    pub fn make(&self, site: &str, spec: &Spec) -> Result<CloudId> {
        let site = self.site(site);
        self.with(|world, now| {
            if spec.kind() != CreatedKind::Server {
                return world.sites[site].cloud.make(spec, None);
            }
            let id = world.order_server(site, spec, None, now)?;
            world.sites[site].cloud.pending.remove(&id);
            world.boot(site, &id, now);
            Ok(id)
        })
    }

    /// Makes a volume with recognisable data as a user does.
    ///
    /// # Errors
    /// As the cloud says.
    pub fn make_volume(&self, site: &str, new: &NewVolume<'_>) -> Result<CloudId> {
        let site = self.site(site);
        self.with(|world, now| {
            let number = world.counter.next();
            let image = StorageRef::new(format!("rbd:volumes/new-{number}"));
            let mut rbd = Rbd { world, site, now };
            let contents = GuestDisk::format(new.bootable, new.marker);
            let size = new.size_gib << 30;
            let made = if new.from_image {
                let system = StorageRef::new(format!("rbd:images/{number}"));
                rbd.create(&system, size)
                    .and_then(|()| rbd.write(&system, 0, &contents))
                    .and_then(|()| rbd.snap_create(&system, "snap"))
                    .and_then(|()| rbd.clone_snapshot(&system, "snap", &image))
            } else {
                rbd.create(&image, size).and_then(|()| rbd.write(&image, 0, &contents))
            };
            made.map_err(|errno| error(&errno))?;
            let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            let image_metadata = match new.bootable {
                true => BTreeMap::from([text("image_name", "sim-guest"), text("hw_disk_bus", "virtio")]),
                false => BTreeMap::new(),
            };
            let spec = AdoptSpec {
                tenant: Ref::Known(new.tenant.clone()),
                storage: image,
                name: new.name.to_owned(),
                volume_type: new.volume_type.to_owned(),
                bootable: new.bootable,
                availability_zone: None,
                metadata: BTreeMap::new(),
                image_metadata,
            };
            world.adopt(site, &spec, None, now)
        })
    }

    /// Attaches a volume to a server as a user does, as its last disk. A running guest has it open at once.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is attached already and cannot be shared.
    pub fn attach_volume(&self, site: &str, server: &CloudId, volume: &CloudId) -> Result<()> {
        let site = self.site(site);
        self.with(|world, _| world.attach_volume(site, server, volume))
    }

    /// Deletes a volume with its bytes, as a user, or an extortioner, does. A replica follows within seconds.
    ///
    /// # Errors
    /// `Conflict` while it is attached or has snapshots.
    pub fn delete_volume(&self, site: &str, volume: &CloudId) -> Result<()> {
        let site = self.site(site);
        self.with(|world, now| world.delete_volume(site, volume, now))
    }

    /// Deletes a server as a user, or an extortioner, does; its volumes are detached.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_server(&self, site: &str, server: &CloudId) -> Result<()> {
        self.destroy(site, CreatedKind::Server, server)
    }

    /// Deletes a thing of a cloud by hand, whoever made it. Volumes are deleted with [`SimWorld::delete_volume`].
    ///
    /// # Errors
    /// `Conflict` while it is in use.
    pub fn destroy(&self, site: &str, kind: CreatedKind, id: &CloudId) -> Result<()> {
        let site = self.site(site);
        self.with(|world, _| {
            if kind == CreatedKind::Server {
                world.halt(site, id);
            }
            match kind {
                CreatedKind::Volume => world.release(site, id),
                _ => world.sites[site].cloud.unmake(kind, id),
            }
        })
    }

    /// Removes an image with its snapshots although servers have it open, as an extortioner with the storage's own keys
    /// does; whether it is gone. It stays while it has clones.
    pub fn destroy_image(&self, site: &str, image: &StorageRef) -> bool {
        let site = self.site(site);
        self.with(|world, now| {
            let images = &mut world.sites[site].images;
            if let Ok(key) = images.key(image)
                && let Some(image) = images.by_key.get_mut(&key)
            {
                image.watchers = 0;
            }
            Rbd { world, site, now }.purge(image).is_ok()
        })
    }

    /// Takes a snapshot of a volume within the cloud.
    ///
    /// # Errors
    /// As the cloud says.
    pub fn snapshot_volume(&self, site: &str, volume: &CloudId) -> Result<CloudId> {
        let site = self.site(site);
        self.with(|world, now| world.snapshot_volume(site, volume, now))
    }

    /// Removes such a snapshot.
    ///
    /// # Errors
    /// As the cloud says.
    pub fn remove_volume_snapshot(&self, site: &str, snapshot: &CloudId) -> Result<()> {
        let site = self.site(site);
        self.with(|world, now| world.unsnapshot_volume(site, snapshot, now))
    }

    /// Limits how many things of a kind a tenant may have.
    pub fn limit(&self, site: &str, tenant: &CloudId, kind: CreatedKind, max: u32) {
        let site = self.site(site);
        self.with(|world, _| world.sites[site].cloud.limits.insert((tenant.clone(), kind), max));
    }

    /// Changes compute nodes, zones, flavours or anything else by hand.
    pub fn edit<T>(&self, site: &str, change: impl FnOnce(&mut Inventory) -> T) -> T {
        let site = self.site(site);
        self.with(|world, _| change(&mut world.sites[site].cloud.inventory))
    }

    /// What the cloud holds.
    #[must_use]
    pub fn inventory(&self, site: &str) -> Inventory {
        let site = self.site(site);
        self.with(|world, _| world.sites[site].cloud.inventory.clone())
    }

    /// Starts a server as a user does; it runs at once.
    pub fn user_start(&self, site: &str, server: &CloudId) {
        let site = self.site(site);
        self.with(|world, now| world.boot(site, server, now));
    }

    /// Switches a server off as a user does.
    pub fn user_stop(&self, site: &str, server: &CloudId) {
        let site = self.site(site);
        self.with(|world, _| world.halt(site, server));
    }

    /// Lets a running server write to one of its disks.
    ///
    /// # Errors
    /// 5 when it does not run or the disk is gone, 30 or 1 when the image is not primary any more.
    pub fn server_write(
        &self,
        site: &str,
        server: &CloudId,
        disk: usize,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        let site = self.site(site);
        self.with(|world, now| {
            let guest = world.sites[site].cloud.guests.get(server).filter(|g| g.up);
            let key = guest.and_then(|g| g.disks.get(disk)).copied();
            let key = key.ok_or_else(|| Errno {
                code: 5,
                text: "the guest does not run or has no such disk".to_owned(),
            })?;
            world.guest_write(site, key, offset, data, now)
        })
    }

    /// Lets the guest of a running server write its heartbeat to all its disks, one after the other, and gives what it wrote.
    ///
    /// # Errors
    /// As for [`SimWorld::server_write`]; disks before the failing one have been written.
    pub fn heartbeat(&self, site: &str, server: &CloudId) -> Result<Beat, Errno> {
        let site = self.site(site);
        self.with(|world, now| world.heartbeat(site, server, now))
    }

    /// Lets every running guest of a site write its heartbeat; how many could.
    pub fn heartbeats(&self, site: &str) -> usize {
        let site = self.site(site);
        self.with(|world, now| {
            let servers: Vec<_> = world.sites[site].cloud.guests.keys().cloned().collect();
            servers
                .iter()
                .filter(|id| world.heartbeat(site, id, now).is_ok())
                .count()
        })
    }

    /// What a guest's data on an image, or on a snapshot of it, is.
    ///
    /// # Errors
    /// 2 when there is no such image or snapshot.
    pub fn guest_disk(&self, site: &str, image: &StorageRef, snapshot: Option<&str>) -> Result<GuestDisk, Errno> {
        let bytes = self.rbd(site, |rbd| rbd.read(image, snapshot, 0, guest::AREA))?;
        Ok(GuestDisk::parse(&bytes))
    }

    /// What a guest's data on a volume is.
    ///
    /// # Errors
    /// 2 when there is no such volume, or the cloud has lost track of its image.
    pub fn volume_disk(&self, site: &str, volume: &CloudId) -> Result<GuestDisk, Errno> {
        let storage = self.inventory(site).volumes.get(volume).and_then(|v| v.storage.clone());
        let none = || Errno {
            code: 2,
            text: format!("there is no volume {volume}"),
        };
        self.guest_disk(site, &storage.ok_or_else(none)?, None)
    }
}
