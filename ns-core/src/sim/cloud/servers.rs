//! Servers: where they run, what their guests do to their disks, and what becomes of them with time.

use super::state::{Becomes, Guest, conflict, missing, rejected};
use crate::model::{CloudId, Instance, PowerState, Resource};
use crate::provider::{CreatedKind, Ref, Spec, TOKEN_KEY, Token};
use crate::sim::guest::{self, Beat, GuestDisk};
use crate::sim::rbd::{Errno, What};
use crate::sim::world::{Condition, World};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::sync::Arc;

/// What a server calls its disk of this number.
fn device(index: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(index % 26).unwrap_or_default());
    format!("/dev/vd{letter}")
}

impl World {
    /// Accepts the order to make a server. It runs some seconds later by itself.
    pub(crate) fn order_server(
        &mut self,
        site: usize,
        spec: &Spec,
        token: Option<&Token>,
        now: Timestamp,
    ) -> Result<CloudId> {
        let Spec::Server {
            tenant,
            name,
            flavor,
            keypair,
            ports,
            volumes,
            availability_zone,
            host,
            server_group,
            metadata,
            user_data,
        } = spec
        else {
            return Err(rejected("not a server"));
        };
        let known = |id: &Ref| id.id().map(CloudId::from);
        let delay = self.tuning.server_create;
        let cloud = &mut self.sites[site].cloud;
        let all = &cloud.inventory;
        let tenant = known(tenant)?;
        if !all.tenants.contains_key(&tenant) {
            return Err(missing("tenant", tenant.as_str()));
        }
        if token.is_some() && !cloud.access.contains(&tenant) {
            let message = format!("the user has no role in tenant {tenant}");
            return Err(Error::new(ErrorKind::Denied, "sim.denied", message));
        }
        cloud.check_limit(CreatedKind::Server, &tenant)?;
        let flavor = known(flavor)?;
        let flavor = all
            .flavors
            .get(&flavor)
            .ok_or_else(|| missing("flavour", flavor.as_str()))?
            .clone();
        let keypair = keypair.as_ref().map(known).transpose()?;
        if let Some(keypair) = keypair.as_ref().filter(|k| !all.keypairs.contains_key(*k)) {
            return Err(missing("keypair", keypair.as_str()));
        }
        let ports = ports.iter().map(known).collect::<Result<Vec<_>>>()?;
        for port in &ports {
            let port = all.ports.get(port).ok_or_else(|| missing("port", port.as_str()))?;
            if !port.device_id.is_empty() {
                return Err(conflict(format!("Port {} is still in use.", port.id)));
            }
        }
        let volumes = volumes.iter().map(known).collect::<Result<Vec<_>>>()?;
        for (index, id) in volumes.iter().enumerate() {
            let volume = all.volumes.get(id).ok_or_else(|| missing("volume", id.as_str()))?;
            let free = volume.status == "available" || (volume.status == "in-use" && volume.multiattach);
            if !free {
                return Err(conflict(format!(
                    "Invalid volume: Volume {id} status must be available to reserve"
                )));
            }
            if index == 0 && !volume.bootable {
                return Err(rejected(format!("Block Device {id} is not bootable.")));
            }
        }
        if volumes.is_empty() {
            return Err(rejected("a server boots from a volume"));
        }
        let zone = availability_zone
            .clone()
            .unwrap_or_else(|| super::state::ZONE.to_owned());
        let hosts = all
            .availability_zones
            .get(&zone.as_str().into())
            .map(|z| z.hosts.clone());
        let hosts = hosts.ok_or_else(|| rejected("The requested availability zone is not available"))?;
        if let Some(host) = host.as_ref().filter(|h| !hosts.contains(h)) {
            return Err(rejected(format!("Compute host {host} could not be found.")));
        }
        let server_group = server_group.as_ref().map(known).transpose()?;
        let apart = server_group
            .as_ref()
            .and_then(|g| all.server_groups.get(g))
            .filter(|g| g.policy == "anti-affinity");
        let avoided = |name: &str| {
            let members = apart.into_iter().flat_map(|g| &g.members);
            members
                .filter_map(|m| all.instances.get(m))
                .any(|i| i.host.as_deref() == Some(name))
        };
        let fits = |h: &&crate::model::Hypervisor| {
            h.available
                && hosts.contains(&h.name)
                && host.as_ref().is_none_or(|wanted| *wanted == h.name)
                && h.vcpus - h.vcpus_used >= u64::from(flavor.vcpus)
                && h.memory_mib - h.memory_mib_used >= flavor.memory_mib
                && !avoided(&h.name)
        };
        let chosen = all
            .hypervisors
            .values()
            .filter(fits)
            .min_by_key(|h| (h.vcpus_used, h.name.clone()));
        let chosen = chosen.map(|h| h.name.clone());

        let id = cloud.id("server");
        let mut metadata = metadata.clone();
        if let Some(token) = token {
            metadata.insert(TOKEN_KEY.to_owned(), token.to_string());
            cloud.tokens.insert((CreatedKind::Server, id.clone()), token.clone());
        }
        let no_host = chosen.is_none();
        let flaps = self.tuning.error_before_active;
        cloud.put(Resource::Instance(Instance {
            id: id.clone(),
            name: name.clone(),
            tenant_id: tenant,
            power: if no_host || flaps {
                PowerState::Error
            } else {
                PowerState::Changing
            },
            status: if no_host || flaps { "ERROR" } else { "BUILD" }.to_owned(),
            flavor,
            availability_zone: zone,
            host: chosen,
            keypair: keypair.map(|k| k.to_string()),
            volume_ids: volumes.clone(),
            boots_from_volume: true,
            port_ids: ports.clone(),
            metadata,
            user_data: user_data.clone(),
            fault: no_host.then(|| "No valid host was found. There are not enough hosts available.".to_owned()),
        }));
        if no_host {
            return Err(Error::new(ErrorKind::Quota, "sim.no_host", "No valid host was found.").with("server", &id));
        }
        for (index, volume) in volumes.iter().enumerate() {
            if let Some(volume) = cloud.inventory.volumes.get_mut(volume) {
                volume.attachments.push((id.clone(), device(index)));
                "in-use".clone_into(&mut volume.status);
            }
        }
        for port in &ports {
            if let Some(port) = cloud.inventory.ports.get_mut(port) {
                port.device_id = id.to_string();
                "compute:nova".clone_into(&mut port.device_owner);
            }
        }
        if let Some(group) = server_group.and_then(|g| cloud.inventory.server_groups.get_mut(&g)) {
            group.members.push(id.clone());
        }
        cloud.guests.insert(id.clone(), Guest::default());
        cloud.pending.insert(id.clone(), (now + delay, Becomes::Running));
        cloud.count_use();
        Ok(id)
    }

    /// Gives a server one more disk.
    pub(crate) fn attach_volume(&mut self, site: usize, server: &CloudId, volume: &CloudId) -> Result<()> {
        let here = &mut self.sites[site];
        let cloud = &mut here.cloud;
        let found = cloud.inventory.volumes.get_mut(volume);
        let found = found.ok_or_else(|| missing("volume", volume.as_str()))?;
        let owner = cloud.inventory.instances.get_mut(server);
        let owner = owner.ok_or_else(|| missing("server", server.as_str()))?;
        if owner.volume_ids.contains(volume) || (!found.attachments.is_empty() && !found.multiattach) {
            return Err(conflict(format!("Invalid volume: volume {volume} is attached already")));
        }
        found.attachments.push((server.clone(), device(owner.volume_ids.len())));
        "in-use".clone_into(&mut found.status);
        owner.volume_ids.push(volume.clone());
        if let Some(guest) = cloud.guests.get_mut(server).filter(|g| g.up)
            && let Some(key) = found.storage.as_ref().and_then(|s| here.images.key(s).ok())
        {
            guest.disks.push(key);
            if let Some(image) = here.images.by_key.get_mut(&key) {
                image.watchers += 1;
            }
        }
        Ok(())
    }

    /// Does to servers what is due.
    pub(crate) fn progress(&mut self, now: Timestamp) {
        for site in 0..self.sites.len() {
            if !matches!(self.sites[site].condition, Condition::Up | Condition::Isolated) {
                continue;
            }
            let due = self.sites[site].cloud.pending.iter().filter(|(_, (at, _))| *at <= now);
            let mut due: Vec<_> = due.map(|(id, (at, becomes))| (*at, id.clone(), *becomes)).collect();
            due.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            for (at, id, becomes) in due {
                self.sites[site].cloud.pending.remove(&id);
                match becomes {
                    Becomes::Running => self.boot(site, &id, at),
                    Becomes::Stopped => self.halt(site, &id),
                }
            }
        }
    }

    /// Starts a server's guest: opens its disks and boots from the first.
    pub(crate) fn boot(&mut self, site: usize, id: &CloudId, at: Timestamp) {
        self.halt(site, id);
        let here = &mut self.sites[site];
        if here.fenced {
            if let Some(guest) = here.cloud.guests.get_mut(id) {
                guest.resumes = true;
            }
            return;
        }
        let Some(server) = here.cloud.inventory.instances.get(id) else {
            return;
        };
        let storage = |v: &CloudId| here.cloud.inventory.volumes.get(v).and_then(|v| v.storage.clone());
        let keys: Option<Vec<_>> = server
            .volume_ids
            .iter()
            .map(|v| here.images.key(&storage(v)?).ok())
            .collect();
        let Some(keys) = keys else {
            if let Some(server) = here.cloud.inventory.instances.get_mut(id) {
                (server.power, server.status) = (PowerState::Error, "ERROR".to_owned());
                server.fault = Some("error opening image: No such file or directory".to_owned());
            }
            return;
        };
        for key in &keys {
            if let Some(image) = here.images.by_key.get_mut(key) {
                image.watchers += 1;
            }
        }
        let read = |key: &u64| {
            let log = here
                .images
                .by_key
                .get(key)
                .map(|i| i.log.read(i.log.len(), 0, guest::AREA));
            GuestDisk::parse(&log.unwrap_or_default())
        };
        let disks: Vec<_> = keys.iter().map(read).collect();
        let boots = disks[0].boots + 1;
        let up = disks[0].system
            && self
                .guest_write(site, keys[0], guest::BOOTS_AT, &GuestDisk::boots_sector(boots), at)
                .is_ok();
        let mut console = vec![match (disks[0].system, up) {
            (false, _) => "No bootable device.".to_owned(),
            (true, false) => "LAB-BOOT panic: the boot disk is read only".to_owned(),
            (true, true) => format!(
                "LAB-BOOT kernel=sim uptime=1.00 marker=[{}] boots={boots}",
                disks[0].marker
            ),
        }];
        if up {
            console.extend(disks.iter().enumerate().map(|(index, disk)| {
                let last = disk
                    .beat
                    .map(|b| format!("boot={} seq={} t={}", b.boot, b.seq, b.at))
                    .unwrap_or_default();
                format!(
                    "LAB-DISK vd{} marker=[{}] last=[{last}]",
                    char::from(b'a' + (index % 26) as u8),
                    disk.marker
                )
            }));
        }
        let cloud = &mut self.sites[site].cloud;
        if let Some(server) = cloud.inventory.instances.get_mut(id) {
            (server.power, server.status) = (PowerState::Running, "ACTIVE".to_owned());
            server.fault = None;
        }
        let guest = cloud.guests.entry(id.clone()).or_default();
        *guest = Guest {
            console,
            disks: keys,
            up,
            boots,
            beats: 0,
            resumes: false,
        };
    }

    /// Switches a server off: its disks are closed.
    pub(crate) fn halt(&mut self, site: usize, id: &CloudId) {
        let here = &mut self.sites[site];
        let Some(guest) = here.cloud.guests.get_mut(id) else {
            return;
        };
        guest.up = false;
        for key in guest.disks.drain(..) {
            if let Some(image) = here.images.by_key.get_mut(&key) {
                image.watchers = image.watchers.saturating_sub(1);
            }
        }
        if let Some(server) = here.cloud.inventory.instances.get_mut(id)
            && server.power == PowerState::Running
        {
            (server.power, server.status) = (PowerState::Stopped, "SHUTOFF".to_owned());
        }
    }

    /// Every server of a site that died falls with it, and will run again.
    pub(crate) fn crash_servers(&mut self, site: usize) {
        let guests = self.sites[site].cloud.guests.iter();
        let open: Vec<_> = guests
            .filter(|(_, g)| !g.disks.is_empty())
            .map(|(id, _)| id.clone())
            .collect();
        for id in open {
            self.halt(site, &id);
            if let Some(guest) = self.sites[site].cloud.guests.get_mut(&id) {
                guest.resumes = true;
            }
        }
    }

    /// Servers that ran when their site died run again.
    pub(crate) fn resume_servers(&mut self, site: usize, now: Timestamp) {
        let guests = self.sites[site].cloud.guests.iter();
        let down: Vec<_> = guests.filter(|(_, g)| g.resumes).map(|(id, _)| id.clone()).collect();
        for id in down {
            self.boot(site, &id, now);
        }
    }

    /// A write of a guest. It goes on when its site is cut off, and fails when its image is not primary any more.
    pub(crate) fn guest_write(
        &mut self,
        site: usize,
        key: u64,
        offset: u64,
        data: &[u8],
        at: Timestamp,
    ) -> Result<(), Errno> {
        let lost = || Errno::new(5, "Input/output error");
        if !matches!(self.sites[site].condition, Condition::Up | Condition::Isolated) {
            return Err(Errno::new(5, "the guest does not run"));
        }
        let entry = self.counter.entry(
            at,
            What::Wrote {
                offset,
                data: Arc::from(data),
            },
        );
        let image = self.sites[site]
            .images
            .by_key
            .get_mut(&key)
            .filter(|i| !i.trashed)
            .ok_or_else(lost)?;
        image.check_writable()?;
        if offset.saturating_add(data.len() as u64) > image.log.size(image.log.len()) {
            return Err(Errno::new(22, "write beyond the end of the image"));
        }
        image.log.entries.push(entry);
        Ok(())
    }

    /// Lets a guest write its heartbeat to all its disks, one after the other.
    pub(crate) fn heartbeat(&mut self, site: usize, id: &CloudId, now: Timestamp) -> Result<Beat, Errno> {
        let guest = self.sites[site].cloud.guests.get_mut(id).filter(|g| g.up);
        let guest = guest.ok_or_else(|| Errno::new(5, "the guest does not run"))?;
        guest.beats += 1;
        let beat = Beat::new(guest.boots, guest.beats, now);
        for key in guest.disks.clone() {
            self.guest_write(site, key, guest::BEAT_AT, &beat.sector(), now)?;
        }
        Ok(beat)
    }
}
