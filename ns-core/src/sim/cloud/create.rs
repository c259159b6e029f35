//! Making things other than volumes and servers.

use super::state::{CloudState, conflict, missing, rejected};
use crate::model::{
    CloudId, Flavor, Keypair, Network, Resource, Router, SecurityGroup, SecurityGroupRule, ServerGroup, Tenant,
};
use crate::provider::{CreatedKind, Ref, RuleSpec, Spec, Token};
use crate::{Error, ErrorKind, Result};

pub(crate) fn known(id: &Ref) -> Result<CloudId> {
    id.id().map(CloudId::from)
}

impl CloudState {
    /// Makes a thing. Without a token it is a user who makes it, and who may do so everywhere.
    pub(crate) fn make(&mut self, spec: &Spec, token: Option<&Token>) -> Result<CloudId> {
        if let Some(tenant) = spec.tenant() {
            let tenant = known(tenant)?;
            if !self.inventory.tenants.contains_key(&tenant) {
                return Err(missing("tenant", tenant.as_str()));
            }
            if token.is_some() && spec.kind() != CreatedKind::TenantAccess && !self.access.contains(&tenant) {
                let message = format!("the user has no role in tenant {tenant}");
                return Err(Error::new(ErrorKind::Denied, "sim.denied", message));
            }
            self.check_limit(spec.kind(), &tenant)?;
        }
        let id = self.make_one(spec, token)?;
        if let Some(token) = token {
            self.tokens.insert((spec.kind(), id.clone()), token.clone());
        }
        Ok(id)
    }

    fn make_one(&mut self, spec: &Spec, token: Option<&Token>) -> Result<CloudId> {
        match spec {
            Spec::Tenant { name, .. } => {
                if self.inventory.tenants.values().any(|t| t.name == *name) {
                    return Err(conflict(format!("there is a tenant {name} already")));
                }
                let id = self.id("tenant");
                let tags = token.iter().map(ToString::to_string).collect();
                let (name, enabled) = (name.clone(), true);
                self.put(Resource::Tenant(Tenant {
                    id: id.clone(),
                    name,
                    enabled,
                    tags,
                }));
                Ok(id)
            }
            Spec::TenantAccess { tenant } => {
                let id = known(tenant)?;
                self.access.insert(id.clone());
                Ok(id)
            }
            Spec::Network { tenant, name, mtu } => {
                let id = self.id("network");
                self.put(Resource::Network(Network {
                    id: id.clone(),
                    name: name.clone(),
                    tenant_id: known(tenant)?,
                    external: false,
                    shared: false,
                    mtu: mtu.or(Some(1450)),
                }));
                Ok(id)
            }
            Spec::Subnet { .. } => self.make_subnet(spec),
            Spec::Router {
                tenant,
                name,
                external_network,
            } => {
                let external = external_network.as_ref().map(known).transpose()?;
                if let Some(id) = &external {
                    self.external(id)?;
                }
                let id = self.id("router");
                self.put(Resource::Router(Router {
                    id: id.clone(),
                    name: name.clone(),
                    tenant_id: known(tenant)?,
                    external_network_id: external,
                    subnet_ids: vec![],
                }));
                Ok(id)
            }
            Spec::RouterInterface { tenant, router, subnet } => {
                self.connect(&known(tenant)?, &known(router)?, &known(subnet)?)
            }
            Spec::SecurityGroup {
                tenant,
                name,
                description,
            } => {
                let id = self.id("group");
                self.put(Resource::SecurityGroup(SecurityGroup {
                    id: id.clone(),
                    name: name.clone(),
                    description: description.clone(),
                    tenant_id: known(tenant)?,
                    rules: vec![],
                }));
                Ok(id)
            }
            Spec::SecurityGroupRules { group, rules, .. } => self.set_rules(&known(group)?, rules),
            Spec::Keypair { name, public_key } => {
                // All keypairs are one user's: those of several recoveries are told apart by their tokens, as on OpenStack.
                let taken = self.inventory.keypairs.contains_key(&CloudId::from(name.as_str()));
                let name = match token {
                    Some(token) if taken => format!("{name}-{token}"),
                    None if taken => return Err(conflict(format!("there is a keypair {name} already"))),
                    _ => name.clone(),
                };
                let id = CloudId::from(name.as_str());
                self.put(Resource::Keypair(Keypair {
                    id: id.clone(),
                    name,
                    public_key: public_key.clone(),
                    fingerprint: format!("sim:{:08x}", public_key.bytes().map(u32::from).sum::<u32>()),
                }));
                Ok(id)
            }
            Spec::Flavor {
                name,
                vcpus,
                memory_mib,
                disk_gib,
                ephemeral_gib,
                swap_mib,
                extra_specs,
                ..
            } => {
                if self.inventory.flavors.values().any(|f| f.name == *name) {
                    return Err(conflict(format!("there is a flavour {name} already")));
                }
                let id = self.id("flavor");
                self.put(Resource::Flavor(Flavor {
                    id: id.clone(),
                    name: name.clone(),
                    vcpus: *vcpus,
                    memory_mib: *memory_mib,
                    disk_gib: *disk_gib,
                    ephemeral_gib: *ephemeral_gib,
                    swap_mib: *swap_mib,
                    public: false,
                    extra_specs: extra_specs.clone(),
                }));
                Ok(id)
            }
            Spec::Port { .. } => self.make_port(spec),
            Spec::FloatingIp { .. } => self.make_floating_ip(spec),
            Spec::ServerGroup { name, policy, .. } => {
                let id = self.id("servergroup");
                let (name, policy) = (name.clone(), policy.clone());
                self.put(Resource::ServerGroup(ServerGroup {
                    id: id.clone(),
                    name,
                    policy,
                    members: vec![],
                }));
                Ok(id)
            }
            Spec::Server { .. } => Err(rejected("servers are made elsewhere")),
        }
    }

    fn set_rules(&mut self, group: &CloudId, rules: &[RuleSpec]) -> Result<CloudId> {
        let resolve = |spec: &RuleSpec| {
            let remote_group_id = spec.remote_group.as_ref().map(known).transpose()?;
            Ok(SecurityGroupRule {
                remote_group_id,
                ..spec.rule.clone()
            })
        };
        let mut rules = rules.iter().map(resolve).collect::<Result<Vec<_>>>()?;
        rules.sort();
        rules.dedup();
        let found = self.inventory.security_groups.get_mut(group);
        found.ok_or_else(|| missing("security group", group.as_str()))?.rules = rules;
        Ok(group.clone())
    }
}
