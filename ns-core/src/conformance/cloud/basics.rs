//! What holds for things of every kind: they are made once, found, shown, and removed by whoever made them.

use super::bench::CloudBench;
use super::stage::{PUBLIC_KEY, Stage, known, one_of_each, rule};
use crate::conformance::Outcome;
use crate::conformance::case::{cancel_half_way, ensure, expect_error};
use crate::model::{CloudId, Inventory, Resource, ResourceKind};
use crate::provider::{CreatedKind, Handle, Spec};
use crate::{ErrorKind, Result};
use std::collections::BTreeMap;

/// The provider says who it is, that it lacks no right, and that clocks agree.
pub(super) async fn check(b: &CloudBench<'_>) -> Result<Outcome> {
    let report = b.cloud().check().await?;
    ensure!(!b.cloud().platform().is_empty(), "a provider names its platform");
    ensure!(!report.cloud_id.is_empty(), "a cloud has an identity");
    ensure!(!report.user.is_empty(), "the report names the user");
    ensure!(
        report.missing_rights.is_empty(),
        "rights are missing: {:?}",
        report.missing_rights
    );
    ensure!(
        report.clock_skew_seconds.abs() < 60,
        "the clocks differ by {} s",
        report.clock_skew_seconds
    );
    Ok(Outcome::Passed)
}

/// Making a thing again with its token gives the same thing, and the token finds it; another token finds nothing.
pub(super) async fn create_is_idempotent(b: &CloudBench<'_>) -> Result<Outcome> {
    for (what, spec, handle) in one_of_each(b).await? {
        let again = b.create(&what, &spec).await?;
        ensure!(
            again.id == handle.id,
            "making {what} again gave {again:?} after {handle:?}"
        );
        let found = b
            .cloud()
            .find(handle.kind, handle.tenant.as_ref(), &b.token(&what))
            .await?;
        ensure!(
            found.as_ref().map(|h| &h.id) == Some(&handle.id),
            "the token of {what} finds {found:?}"
        );
        let other = b
            .cloud()
            .find(handle.kind, handle.tenant.as_ref(), &b.token("never made"))
            .await?;
        ensure!(other.is_none(), "a token that was never used finds {other:?}");
    }
    Ok(Outcome::Passed)
}

/// The inventory and `get` show what was made, as it was asked for.
pub(super) async fn inventory_shows_what_was_made(b: &CloudBench<'_>) -> Result<Outcome> {
    let made = one_of_each(b).await?;
    let all = inventory(b, ResourceKind::ALL).await?;
    for (what, spec, handle) in &made {
        look(b, &all, spec, handle, &made).map_err(|e| e.with("thing", what))?;
        if let Some(kind) = shown_as(handle.kind) {
            let listed = all.resources().find(|r| r.kind() == kind && *r.id() == handle.id);
            let got = b.cloud().get(kind, &handle.id).await?;
            ensure!(listed.is_some(), "{what} is not in the inventory");
            ensure!(got == listed, "get and inventory differ: {got:?}, {listed:?}");
        }
    }
    ensure!(
        all.hypervisors.values().any(|h| h.available && h.vcpus > 0),
        "no compute node is available"
    );
    ensure!(
        all.availability_zones.values().any(|z| z.available),
        "no zone is available"
    );
    let outside = all.networks.get(&b.fixture().external_network());
    ensure!(
        outside.is_some_and(|n| n.external),
        "the external network is {outside:?}"
    );
    for shared in [false, true] {
        let name = b.fixture().volume_type(shared);
        let found = all.volume_types.values().find(|t| t.name == name);
        ensure!(
            found.is_some_and(|t| t.multiattach == shared),
            "volume type {name} is {found:?}"
        );
    }

    // Only the kinds asked for, and each thing once.
    let networks = b.list(ResourceKind::Network).await?;
    ensure!(
        networks.iter().all(|r| r.kind() == ResourceKind::Network),
        "asked for networks, got other kinds"
    );
    let ids: std::collections::BTreeSet<_> = networks.iter().map(Resource::id).collect();
    ensure!(ids.len() == networks.len(), "the inventory shows a network twice");
    Ok(Outcome::Passed)
}

/// Nothing is removed with another token; with its own it is removed, and again that is fine (INV-30).
pub(super) async fn remove_checks_the_token(b: &CloudBench<'_>) -> Result<Outcome> {
    let made = one_of_each(b).await?;
    let other = b.token("another");
    for (what, _, handle) in made.iter().rev() {
        let call = format!("removing {what} with another token");
        expect_error(b.cloud().remove(handle, &other).await, &[ErrorKind::Refused], &call)?;
        let token = b.token(what);
        let found = b.cloud().find(handle.kind, handle.tenant.as_ref(), &token).await?;
        ensure!(found.is_some(), "{what} is gone after a refused removal");
        for _ in 0..2 {
            b.cloud()
                .remove(handle, &token)
                .await
                .map_err(|e| e.with("removing", what))?;
        }
        // Rules go with their group.
        if handle.kind != CreatedKind::SecurityGroupRules {
            let found = b.cloud().find(handle.kind, handle.tenant.as_ref(), &token).await?;
            ensure!(found.is_none(), "the removed {what} is found: {found:?}");
        }
        if let Some(kind) = shown_as(handle.kind).filter(|_| handle.kind != CreatedKind::SecurityGroupRules) {
            let got = b.cloud().get(kind, &handle.id).await?;
            ensure!(got.is_none(), "the removed {what} is there: {got:?}");
        }
    }
    Ok(Outcome::Passed)
}

/// What does not exist is none, `NotFound` or gone already.
pub(super) async fn unknown_things(b: &CloudBench<'_>) -> Result<Outcome> {
    let none = CloudId::from("00000000-0000-4000-8000-000000000000");
    for kind in ResourceKind::ALL {
        let got = b.cloud().get(*kind, &none).await?;
        ensure!(got.is_none(), "an unknown {} is {got:?}", kind.as_str());
    }
    let missing = &[ErrorKind::NotFound];
    expect_error(b.cloud().start(&none).await, missing, "starting an unknown server")?;
    expect_error(b.cloud().stop(&none).await, missing, "stopping an unknown server")?;
    if b.cloud().capabilities().console {
        expect_error(
            b.cloud().console(&none, 10).await,
            missing,
            "the console of an unknown server",
        )?;
    }
    b.cloud().release(&none).await?;
    for kind in [
        CreatedKind::Network,
        CreatedKind::Port,
        CreatedKind::Server,
        CreatedKind::Tenant,
    ] {
        let handle = Handle {
            kind,
            id: none.clone(),
            tenant: None,
            storage: None,
        };
        b.cloud().remove(&handle, &b.token("any")).await?;
    }
    Ok(Outcome::Passed)
}

/// A call that is dropped half way can be made again and has made one thing, not two (provider: cancellation).
pub(super) async fn a_dropped_call_is_made_again(b: &CloudBench<'_>) -> Result<Outcome> {
    let stage = Stage::new(b).await?;
    for polls in 0..6 {
        let what = format!("dropped{polls}");
        let spec = Spec::SecurityGroup {
            tenant: known(&stage.tenant),
            name: b.name(&what),
            description: String::new(),
        };
        let token = b.token(&what);
        b.note_thing(spec.kind(), Some(&stage.tenant), &token);
        let cloud = b.cloud();
        cancel_half_way(cloud.create(&spec, &token), polls).await;
        let handle = b.create(&what, &spec).await?;
        let same = |r: &Resource| matches!(r, Resource::SecurityGroup(g) if g.name == b.name(&what));
        let count = b
            .list(ResourceKind::SecurityGroup)
            .await?
            .into_iter()
            .filter(same)
            .count();
        ensure!(count == 1, "after a dropped call there are {count} of {what}");
        cancel_half_way(cloud.remove(&handle, &token), polls).await;
        cloud.remove(&handle, &token).await?;
        let got = cloud.get(ResourceKind::SecurityGroup, &handle.id).await?;
        ensure!(
            got.is_none(),
            "after a dropped removal and another it is there: {got:?}"
        );
    }
    Ok(Outcome::Passed)
}

async fn inventory(b: &CloudBench<'_>, kinds: &[ResourceKind]) -> Result<Inventory> {
    use futures::TryStreamExt;
    let mut all = Inventory::default();
    let cloud = b.cloud();
    let mut stream = cloud.inventory(kinds);
    while let Some(resource) = stream.try_next().await? {
        all.insert(resource);
    }
    Ok(all)
}

/// How the inventory shows what was made, if it does.
const fn shown_as(kind: CreatedKind) -> Option<ResourceKind> {
    Some(match kind {
        CreatedKind::Tenant => ResourceKind::Tenant,
        CreatedKind::Network => ResourceKind::Network,
        CreatedKind::Subnet => ResourceKind::Subnet,
        CreatedKind::Router => ResourceKind::Router,
        CreatedKind::SecurityGroup | CreatedKind::SecurityGroupRules => ResourceKind::SecurityGroup,
        CreatedKind::Keypair => ResourceKind::Keypair,
        CreatedKind::Flavor => ResourceKind::Flavor,
        CreatedKind::Port => ResourceKind::Port,
        CreatedKind::FloatingIp => ResourceKind::FloatingIp,
        CreatedKind::ServerGroup => ResourceKind::ServerGroup,
        CreatedKind::Volume => ResourceKind::Volume,
        CreatedKind::Server => ResourceKind::Instance,
        CreatedKind::TenantAccess | CreatedKind::RouterInterface => return None,
    })
}

/// Fails unless the inventory shows a thing as it was asked for. Names may have the token behind them, where a cloud has
/// no other place for it.
fn look(
    b: &CloudBench<'_>,
    all: &Inventory,
    spec: &Spec,
    handle: &Handle,
    made: &[(String, Spec, Handle)],
) -> Result<()> {
    let id = &handle.id;
    let of = |what: &str| made.iter().find(|(name, ..)| name == what).map(|(.., h)| h.id.clone());
    let fine = match spec {
        Spec::Tenant { name, .. } => all
            .tenants
            .get(id)
            .is_some_and(|t| t.enabled && t.name.starts_with(name)),
        Spec::Network { tenant, name, mtu } => all.networks.get(id).is_some_and(|n| {
            n.name == *name && known(&n.tenant_id) == *tenant && !n.external && !n.shared && n.mtu == *mtu
        }),
        Spec::Subnet {
            tenant,
            network,
            name,
            cidr,
            ip_version,
            gateway_ip,
            dhcp,
            allocation_pools,
            dns_nameservers,
            host_routes,
        } => all.subnets.get(id).is_some_and(|s| {
            s.name == *name
                && known(&s.tenant_id) == *tenant
                && known(&s.network_id) == *network
                && (&s.cidr, s.ip_version, &s.gateway_ip, s.dhcp) == (cidr, *ip_version, gateway_ip, *dhcp)
                && s.allocation_pools == *allocation_pools
                && s.dns_nameservers == *dns_nameservers
                && s.host_routes == *host_routes
        }),
        Spec::Router { tenant, name, .. } => all.routers.get(id).is_some_and(|r| {
            r.name == *name
                && known(&r.tenant_id) == *tenant
                && r.external_network_id == Some(b.fixture().external_network())
                && of("subnet").is_some_and(|s| r.subnet_ids == [s])
        }),
        Spec::SecurityGroup {
            tenant,
            name,
            description,
        } => all.security_groups.get(id).is_some_and(|g| {
            g.name == *name && known(&g.tenant_id) == *tenant && g.description.starts_with(description)
        }),
        Spec::SecurityGroupRules { .. } => {
            let rules = all.security_groups.get(id).map(|g| g.rules.clone()).unwrap_or_default();
            rules.len() == 2 && rules.contains(&rule(true, Some("tcp"), Some(22)))
        }
        Spec::Keypair { .. } => all.keypairs.get(id).is_some_and(|k| k.public_key.trim() == PUBLIC_KEY),
        Spec::Flavor {
            name,
            vcpus,
            memory_mib,
            ..
        } => all.flavors.get(id).is_some_and(|f| {
            f.name.starts_with(name)
                && (f.vcpus, f.memory_mib, f.disk_gib, f.ephemeral_gib, f.swap_mib) == (*vcpus, *memory_mib, 0, 0, 0)
                && !f.public
        }),
        Spec::Port {
            tenant, network, name, ..
        } => all.ports.get(id).is_some_and(|p| {
            p.name == *name
                && known(&p.tenant_id) == *tenant
                && known(&p.network_id) == *network
                && p.device_id.is_empty()
                && of("subnet").is_some_and(|s| p.fixed_ips == [(s, "10.77.0.30".to_owned())])
                && of("group").is_some_and(|g| p.security_group_ids == [g])
        }),
        Spec::FloatingIp { tenant, port, .. } => all.floating_ips.get(id).is_some_and(|f| {
            known(&f.tenant_id) == *tenant
                && f.port_id.as_ref().map(known).as_ref() == Some(port)
                && f.network_id == b.fixture().external_network()
                && !f.address.is_empty()
        }),
        Spec::ServerGroup { name, policy, .. } => all
            .server_groups
            .get(id)
            .is_some_and(|g| g.name.starts_with(name) && g.policy == *policy && g.members.is_empty()),
        Spec::TenantAccess { .. } | Spec::RouterInterface { .. } | Spec::Server { .. } => true,
    };
    let shown = shown_as(handle.kind).and_then(|kind| all.resources().find(|r| r.kind() == kind && r.id() == id));
    ensure!(fine, "asked for {spec:?}, the inventory shows {shown:?}");
    let in_tenant = spec
        .tenant()
        .is_none_or(|t| handle.tenant.as_ref().map(known).as_ref() == Some(t));
    let tenantless = matches!(handle.kind, CreatedKind::Flavor | CreatedKind::ServerGroup);
    ensure!(
        in_tenant || tenantless,
        "the handle {handle:?} names another tenant than {spec:?}"
    );
    Ok(())
}

/// Nothing but what the spec says was put into a map, apart from what the product puts there itself.
pub(super) fn holds(map: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| map.get(key) == Some(value))
}
