//! Removing things other than volumes, as far as nothing else needs them.

use super::state::{CloudState, conflict};
use crate::model::{CloudId, Router};
use crate::provider::CreatedKind;
use crate::{Error, ErrorKind, Result};

impl CloudState {
    /// Removes a thing that may be removed, or says what needs it. Servers are closed by the caller first.
    pub(crate) fn unmake(&mut self, kind: CreatedKind, id: &CloudId) -> Result<()> {
        let all = &mut self.inventory;
        let in_use = |by: &str| Err(conflict(format!("{kind:?} {id} is in use by {by}")));
        match kind {
            CreatedKind::Tenant => {
                let inside = all.resources().find(|r| tenant_of(r) == Some(id));
                if let Some(inside) = inside {
                    return in_use(&format!("{} {}", inside.kind().as_str(), inside.id()));
                }
                all.tenants.remove(id);
                self.access.remove(id);
            }
            CreatedKind::TenantAccess => {
                self.access.remove(id);
            }
            CreatedKind::Network => {
                if let Some(port) = all.ports.values().find(|p| p.network_id == *id) {
                    return in_use(&format!("port {}", port.id));
                }
                // Its subnets go with it.
                all.subnets.retain(|_, s| s.network_id != *id);
                all.networks.remove(id);
            }
            CreatedKind::Subnet => {
                if let Some(port) = all.ports.values().find(|p| p.fixed_ips.iter().any(|(s, _)| s == id)) {
                    return in_use(&format!("port {}", port.id));
                }
                all.subnets.remove(id);
            }
            CreatedKind::Router => {
                if all.routers.get(id).is_some_and(|r| !r.subnet_ids.is_empty()) {
                    return in_use("its interfaces");
                }
                all.routers.remove(id);
            }
            CreatedKind::RouterInterface => return self.disconnect(id),
            CreatedKind::SecurityGroup => {
                if let Some(port) = all.ports.values().find(|p| p.security_group_ids.contains(id)) {
                    return in_use(&format!("port {}", port.id));
                }
                all.security_groups.remove(id);
            }
            CreatedKind::SecurityGroupRules => {
                if let Some(group) = all.security_groups.get_mut(id) {
                    group.rules.clear();
                }
            }
            CreatedKind::Keypair => {
                all.keypairs.remove(id);
            }
            CreatedKind::Flavor => {
                all.flavors.remove(id);
            }
            CreatedKind::Port => {
                if let Some(port) = all.ports.get(id).filter(|p| !p.device_id.is_empty()) {
                    return in_use(&port.device_id);
                }
                for address in all.floating_ips.values_mut().filter(|f| f.port_id.as_ref() == Some(id)) {
                    address.port_id = None;
                }
                all.ports.remove(id);
            }
            CreatedKind::FloatingIp => {
                all.floating_ips.remove(id);
            }
            CreatedKind::ServerGroup => {
                all.server_groups.remove(id);
            }
            CreatedKind::Volume => {
                let message = "volumes are released, not removed";
                return Err(Error::new(ErrorKind::Refused, "sim.volume", message));
            }
            CreatedKind::Server => {
                for volume in all.volumes.values_mut() {
                    volume.attachments.retain(|(server, _)| server != id);
                    if volume.attachments.is_empty() && volume.status == "in-use" {
                        "available".clone_into(&mut volume.status);
                    }
                }
                for port in all.ports.values_mut().filter(|p| p.device_id == id.as_str()) {
                    port.device_id.clear();
                    port.device_owner.clear();
                }
                for group in all.server_groups.values_mut() {
                    group.members.retain(|m| m != id);
                }
                all.instances.remove(id);
                self.guests.remove(id);
                self.pending.remove(id);
                self.count_use();
            }
        }
        self.tokens.remove(&(kind, id.clone()));
        self.tokens.retain(|(k, i), _| {
            !(kind == CreatedKind::SecurityGroup && *k == CreatedKind::SecurityGroupRules && i == id)
        });
        Ok(())
    }

    fn disconnect(&mut self, id: &CloudId) -> Result<()> {
        let Some((router, subnet)) = id.as_str().split_once('/') else {
            return Ok(());
        };
        let (router, subnet) = (CloudId::from(router), CloudId::from(subnet));
        let all = &mut self.inventory;
        let outside = all.routers.get(&router).and_then(|r| r.external_network_id.clone());
        let needs = |f: &&crate::model::FloatingIp| {
            let port = f.port_id.as_ref().and_then(|p| all.ports.get(p));
            Some(&f.network_id) == outside.as_ref()
                && port.is_some_and(|p| p.fixed_ips.iter().any(|(s, _)| *s == subnet))
        };
        if let Some(address) = all.floating_ips.values().find(needs) {
            return Err(conflict(format!(
                "RouterInterfaceInUseByFloatingIP: {}",
                address.address
            )));
        }
        let serves = |router: &Router| router.id.to_string();
        if let Some(device) = all.routers.get_mut(&router) {
            device.subnet_ids.retain(|s| *s != subnet);
            let name = serves(device);
            all.ports
                .retain(|_, p| p.device_id != name || !p.fixed_ips.iter().any(|(s, _)| *s == subnet));
        }
        self.tokens.remove(&(CreatedKind::RouterInterface, id.clone()));
        Ok(())
    }

    /// Whether a thing exists.
    pub(crate) fn exists(&self, kind: CreatedKind, id: &CloudId) -> bool {
        let all = &self.inventory;
        match kind {
            CreatedKind::Tenant => all.tenants.contains_key(id),
            CreatedKind::TenantAccess => self.access.contains(id),
            CreatedKind::Network => all.networks.contains_key(id),
            CreatedKind::Subnet => all.subnets.contains_key(id),
            CreatedKind::Router => all.routers.contains_key(id),
            CreatedKind::RouterInterface => {
                let parts = id.as_str().split_once('/');
                let router = parts.and_then(|(router, subnet)| Some((all.routers.get(&router.into())?, subnet)));
                router.is_some_and(|(router, subnet)| router.subnet_ids.contains(&subnet.into()))
            }
            CreatedKind::SecurityGroup => all.security_groups.contains_key(id),
            // Rules are things of ours from the moment we gave them to a group.
            CreatedKind::SecurityGroupRules => self.tokens.contains_key(&(kind, id.clone())),
            CreatedKind::Keypair => all.keypairs.contains_key(id),
            CreatedKind::Flavor => all.flavors.contains_key(id),
            CreatedKind::Port => all.ports.contains_key(id),
            CreatedKind::FloatingIp => all.floating_ips.contains_key(id),
            CreatedKind::ServerGroup => all.server_groups.contains_key(id),
            CreatedKind::Volume => all.volumes.contains_key(id),
            CreatedKind::Server => all.instances.contains_key(id),
        }
    }
}

fn tenant_of(resource: &crate::model::Resource) -> Option<&CloudId> {
    use crate::model::Resource as R;
    match resource {
        R::Network(r) => Some(&r.tenant_id),
        R::Subnet(r) => Some(&r.tenant_id),
        R::Router(r) => Some(&r.tenant_id),
        R::FloatingIp(r) => Some(&r.tenant_id),
        R::Port(r) => Some(&r.tenant_id),
        R::SecurityGroup(r) => Some(&r.tenant_id),
        R::Volume(r) => Some(&r.tenant_id),
        R::Instance(r) => Some(&r.tenant_id),
        _ => None,
    }
}
