//! Storage images as volumes.

use super::state::{conflict, missing, rejected};
use crate::model::{CloudId, Resource, StorageRef, Volume, VolumeSnapshot};
use crate::provider::{AdoptSpec, CreatedKind, TOKEN_KEY, Token};
use crate::sim::rbd::{Errno, Rbd};
use crate::sim::world::World;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;

impl World {
    /// Makes a volume of an image, which is renamed after the volume. Without a token it is a user who does it.
    pub(crate) fn adopt(
        &mut self,
        site: usize,
        spec: &AdoptSpec,
        token: Option<&Token>,
        now: Timestamp,
    ) -> Result<CloudId> {
        let cloud = &self.sites[site].cloud;
        let tenant = CloudId::from(spec.tenant.id()?);
        if !cloud.inventory.tenants.contains_key(&tenant) {
            return Err(missing("tenant", tenant.as_str()));
        }
        if token.is_some() && !cloud.access.contains(&tenant) {
            let message = format!("the user has no role in tenant {tenant}");
            return Err(Error::new(ErrorKind::Denied, "sim.denied", message));
        }
        let volume_type = cloud
            .inventory
            .volume_types
            .values()
            .find(|t| t.name == spec.volume_type);
        let multiattach = volume_type
            .ok_or_else(|| rejected(format!("no volume type {}", spec.volume_type)))?
            .multiattach;
        if cloud
            .inventory
            .volumes
            .values()
            .any(|v| v.storage.as_ref() == Some(&spec.storage))
        {
            return Err(conflict("The volume is already managed"));
        }
        cloud.check_limit(CreatedKind::Volume, &tenant)?;
        let id = self.sites[site].cloud.id("volume");

        let mut rbd = Rbd { world: self, site, now };
        let pool = spec
            .storage
            .as_str()
            .rsplit_once('/')
            .map_or("rbd:volumes", |(pool, _)| pool);
        let storage = StorageRef::new(format!("{pool}/volume-{id}"));
        let info = rbd
            .info(&spec.storage)
            .map_err(|errno| refusal(&errno, &spec.storage))?;
        rbd.rename(&spec.storage, &storage)
            .map_err(|errno| refusal(&errno, &spec.storage))?;

        let mut metadata = spec.metadata.clone();
        if let Some(token) = token {
            metadata.insert(TOKEN_KEY.to_owned(), token.to_string());
        }
        let cloud = &mut self.sites[site].cloud;
        cloud.put(Resource::Volume(Volume {
            id: id.clone(),
            name: spec.name.clone(),
            tenant_id: tenant,
            size_gib: info.size.div_ceil(1 << 30),
            status: "available".to_owned(),
            volume_type: spec.volume_type.clone(),
            bootable: spec.bootable,
            multiattach,
            attachments: vec![],
            volume_group_id: None,
            source_snapshot_id: None,
            metadata,
            image_metadata: spec.image_metadata.clone(),
            storage: Some(storage),
        }));
        if let Some(token) = token {
            cloud.tokens.insert((CreatedKind::Volume, id.clone()), token.clone());
        }
        Ok(id)
    }

    /// Forgets a volume; its image keeps its bytes and its name, and nothing remembers the image metadata.
    pub(crate) fn release(&mut self, site: usize, id: &CloudId) -> Result<()> {
        let cloud = &mut self.sites[site].cloud;
        let Some(volume) = cloud.inventory.volumes.get(id) else {
            return Ok(());
        };
        let snapshot = cloud.inventory.volume_snapshots.values().any(|s| s.volume_id == *id);
        if !volume.attachments.is_empty() || snapshot || volume.volume_group_id.is_some() {
            return Err(conflict(format!(
                "Invalid volume: volume {id} must not be attached, belong to a group, have snapshots"
            )));
        }
        cloud.inventory.volumes.remove(id);
        cloud.tokens.remove(&(CreatedKind::Volume, id.clone()));
        Ok(())
    }

    /// Deletes a volume with its image, as a user of the cloud does. The cloud knows nothing of mirroring: on a primary the
    /// replica goes too, on a replica the volume ends in `error_deleting` (OpenStack facts 2).
    pub(crate) fn delete_volume(&mut self, site: usize, id: &CloudId, now: Timestamp) -> Result<()> {
        let cloud = &self.sites[site].cloud;
        let volume = cloud
            .inventory
            .volumes
            .get(id)
            .ok_or_else(|| missing("volume", id.as_str()))?;
        if !volume.attachments.is_empty() || cloud.inventory.volume_snapshots.values().any(|s| s.volume_id == *id) {
            return Err(conflict(format!(
                "Invalid volume: volume {id} must not be attached, have snapshots"
            )));
        }
        let storage = volume.storage.clone();
        let mut rbd = Rbd { world: self, site, now };
        let gone = storage.is_none_or(|storage| match rbd.info(&storage) {
            Ok(info) if info.mirroring.as_ref().is_some_and(|m| !m.primary) => false,
            _ => rbd.purge(&storage).is_ok(),
        });
        let cloud = &mut self.sites[site].cloud;
        if gone {
            cloud.inventory.volumes.remove(id);
            cloud.tokens.remove(&(CreatedKind::Volume, id.clone()));
        } else if let Some(volume) = cloud.inventory.volumes.get_mut(id) {
            "error_deleting".clone_into(&mut volume.status);
        }
        Ok(())
    }

    /// Takes a snapshot of a volume within the cloud.
    pub(crate) fn snapshot_volume(&mut self, site: usize, id: &CloudId, now: Timestamp) -> Result<CloudId> {
        let cloud = &mut self.sites[site].cloud;
        let volume = cloud
            .inventory
            .volumes
            .get(id)
            .ok_or_else(|| missing("volume", id.as_str()))?;
        let storage = volume.storage.clone();
        let snapshot = cloud.id("snapshot");
        cloud.put(Resource::VolumeSnapshot(VolumeSnapshot {
            id: snapshot.clone(),
            name: format!("snapshot of {id}"),
            volume_id: id.clone(),
            status: "available".to_owned(),
            created_at: Some(now),
        }));
        if let Some(storage) = storage {
            let mut rbd = Rbd { world: self, site, now };
            rbd.snap_create(&storage, &format!("snapshot-{snapshot}"))
                .map_err(|e| refusal(&e, &storage))?;
        }
        Ok(snapshot)
    }

    /// Removes such a snapshot.
    pub(crate) fn unsnapshot_volume(&mut self, site: usize, id: &CloudId, now: Timestamp) -> Result<()> {
        let all = &mut self.sites[site].cloud.inventory;
        let Some(snapshot) = all.volume_snapshots.remove(id) else {
            return Ok(());
        };
        let storage = all.volumes.get(&snapshot.volume_id).and_then(|v| v.storage.clone());
        if let Some(storage) = storage {
            let mut rbd = Rbd { world: self, site, now };
            rbd.snap_remove(&storage, &format!("snapshot-{id}"))
                .map_err(|e| refusal(&e, &storage))?;
        }
        Ok(())
    }
}

fn refusal(errno: &Errno, image: &StorageRef) -> Error {
    let kind = match errno.code {
        2 => ErrorKind::NotFound,
        110 => ErrorKind::Unavailable,
        _ => ErrorKind::Rejected,
    };
    Error::new(kind, format!("sim.rbd.{}", errno.code), errno.text.clone()).with("image", image)
}
