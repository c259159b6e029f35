//! Networks, addresses, rules and the way outside.

use super::bench::CloudBench;
use super::stage::{Stage, known, plain, rule, subnet};
use crate::conformance::Outcome;
use crate::conformance::case::{ensure, expect_error};
use crate::model::{Resource, ResourceKind, SecurityGroupRule};
use crate::provider::{CreatedKind, Handle, RuleSpec, Spec};
use crate::{ErrorKind, Result};

/// What others need is not removed: `Conflict`, and it is still there.
pub(super) async fn in_use_is_a_conflict(b: &CloudBench<'_>) -> Result<Outcome> {
    let stage = Stage::new(b).await?;
    let router = stage.router(b).await?;
    let group = Spec::SecurityGroup {
        tenant: known(&stage.tenant),
        name: b.name("group"),
        description: String::new(),
    };
    let group = b.create("group", &group).await?;
    let mut port = stage.port_spec(b, "port", 20);
    if let Spec::Port { security_groups, .. } = &mut port {
        security_groups.push(known(&group.id));
    }
    b.create("port", &port).await?;
    let handle = |kind, id: &crate::model::CloudId| Handle {
        kind,
        id: id.clone(),
        tenant: Some(stage.tenant.clone()),
        storage: None,
    };
    let used = [
        (
            "network",
            handle(CreatedKind::Network, &stage.network),
            ResourceKind::Network,
        ),
        (
            "subnet",
            handle(CreatedKind::Subnet, &stage.subnet),
            ResourceKind::Subnet,
        ),
        ("router", handle(CreatedKind::Router, &router), ResourceKind::Router),
        ("group", group, ResourceKind::SecurityGroup),
    ];
    for (what, handle, kind) in used {
        let result = b.cloud().remove(&handle, &b.token(what)).await;
        expect_error(result, &[ErrorKind::Conflict], &format!("removing the {what} in use"))?;
        b.get(kind, &handle.id).await?;
    }
    Ok(Outcome::Passed)
}

/// A port has the addresses that were asked for; addresses that are taken are a conflict.
pub(super) async fn a_port_keeps_its_addresses(b: &CloudBench<'_>) -> Result<Outcome> {
    let stage = Stage::new(b).await?;
    let choose_mac = b.cloud().capabilities().choose_mac;
    let mut spec = stage.port_spec(b, "port", 42);
    if let Spec::Port { mac, .. } = &mut spec {
        *mac = choose_mac.then(|| "fa:16:3e:77:00:42".to_owned());
    }
    let id = b.create("port", &spec).await?.id;
    let Resource::Port(port) = b.get(ResourceKind::Port, &id).await? else {
        return Ok(Outcome::Skipped("the provider shows no ports".to_owned()));
    };
    ensure!(
        port.fixed_ips == [(stage.subnet.clone(), "10.77.0.42".to_owned())],
        "its addresses are {:?}",
        port.fixed_ips
    );
    ensure!(
        !choose_mac || port.mac.eq_ignore_ascii_case("fa:16:3e:77:00:42"),
        "its hardware address is {}",
        port.mac
    );
    ensure!(
        port.security_group_ids.is_empty(),
        "asked for no security group, got {:?}",
        port.security_group_ids
    );
    let same = b.create("same address", &stage.port_spec(b, "same", 42)).await;
    expect_error(same, &[ErrorKind::Conflict], "a port with a taken address")?;
    if choose_mac {
        let mut same = stage.port_spec(b, "mac", 43);
        if let Spec::Port { mac, .. } = &mut same {
            *mac = Some("fa:16:3e:77:00:42".to_owned());
        }
        expect_error(
            b.create("same mac", &same).await,
            &[ErrorKind::Conflict],
            "a port with a taken hardware address",
        )?;
    }
    // Without an address it gets a free one.
    let mut any = stage.port_spec(b, "any", 0);
    if let Spec::Port { fixed_ips, .. } = &mut any {
        fixed_ips.clear();
    }
    let any = b.create("any", &any).await?.id;
    let Resource::Port(any) = b.get(ResourceKind::Port, &any).await? else {
        return Ok(Outcome::Passed);
    };
    ensure!(
        any.fixed_ips
            .iter()
            .any(|(s, a)| *s == stage.subnet && a != "10.77.0.42"),
        "it got {:?}",
        any.fixed_ips
    );
    Ok(Outcome::Passed)
}

/// A security group has the rules that were asked for and none besides (INV-07).
pub(super) async fn a_security_group_has_exactly_its_rules(b: &CloudBench<'_>) -> Result<Outcome> {
    let stage = Stage::new(b).await?;
    let mut groups = vec![];
    for what in ["front", "back"] {
        let spec = Spec::SecurityGroup {
            tenant: known(&stage.tenant),
            name: b.name(what),
            description: String::new(),
        };
        groups.push(b.create(what, &spec).await?.id);
    }
    let rules_of = async |id: &crate::model::CloudId| match b.get(ResourceKind::SecurityGroup, id).await? {
        Resource::SecurityGroup(group) => {
            let mut rules = group.rules;
            rules.sort();
            Ok(rules)
        }
        other => Err(crate::conformance::fixture::broken(format!(
            "asked for a security group, got {other:?}"
        ))),
    };
    let fresh = rules_of(&groups[0]).await?;
    ensure!(fresh.is_empty(), "a new security group has the rules {fresh:?}");

    let icmp = SecurityGroupRule {
        port_min: Some(8),
        port_max: Some(0),
        remote_cidr: Some("198.51.100.0/24".to_owned()),
        ..rule(true, Some("icmp"), None)
    };
    let range = SecurityGroupRule {
        port_max: Some(8099),
        ..rule(true, Some("udp"), Some(8000))
    };
    let six = SecurityGroupRule {
        ip_version: 6,
        ..rule(false, None, None)
    };
    let mut wanted = vec![icmp, range, six, rule(true, Some("tcp"), Some(443))];
    let mut specs: Vec<_> = wanted.iter().cloned().map(plain).collect();
    specs.push(RuleSpec {
        rule: rule(true, Some("tcp"), Some(5432)),
        remote_group: Some(known(&groups[1])),
    });
    wanted.push(SecurityGroupRule {
        remote_group_id: Some(groups[1].clone()),
        ..rule(true, Some("tcp"), Some(5432))
    });
    wanted.sort();
    let spec = Spec::SecurityGroupRules {
        tenant: known(&stage.tenant),
        group: known(&groups[0]),
        rules: specs,
    };
    for _ in 0..2 {
        b.create("rules", &spec).await?;
        let seen = rules_of(&groups[0]).await?;
        ensure!(seen == wanted, "asked for {wanted:?}, got {seen:?}");
    }
    Ok(Outcome::Passed)
}

/// A floating IP leads to its port, at the address asked for where that can be chosen; a taken one is a conflict.
pub(super) async fn a_floating_ip_leads_to_its_port(b: &CloudBench<'_>) -> Result<Outcome> {
    let stage = Stage::new(b).await?;
    stage.router(b).await?;
    let (first, second) = (stage.port(b, "first", 20).await?, stage.port(b, "second", 21).await?);
    let spec = |port, address: Option<&str>| Spec::FloatingIp {
        tenant: known(&stage.tenant),
        external_network: known(&b.fixture().external_network()),
        address: address.map(str::to_owned),
        port: known(port),
    };
    let handle = b.create("address", &spec(&first, None)).await?;
    let Resource::FloatingIp(made) = b.get(ResourceKind::FloatingIp, &handle.id).await? else {
        return Ok(Outcome::Skipped("the provider shows no floating IPs".to_owned()));
    };
    ensure!(made.port_id.as_ref() == Some(&first), "it leads to {:?}", made.port_id);
    if !b.cloud().capabilities().choose_floating_ip {
        return Ok(Outcome::Passed);
    }
    let taken = b.create("taken", &spec(&second, Some(&made.address))).await;
    expect_error(taken, &[ErrorKind::Conflict], "a floating IP with a taken address")?;
    b.cloud().remove(&handle, &b.token("address")).await?;
    let chosen = b.create("chosen", &spec(&second, Some(&made.address))).await?;
    let Resource::FloatingIp(chosen) = b.get(ResourceKind::FloatingIp, &chosen.id).await? else {
        return Ok(Outcome::Passed);
    };
    ensure!(
        chosen.address == made.address,
        "asked for {}, got {}",
        made.address,
        chosen.address
    );
    ensure!(
        chosen.port_id.as_ref() == Some(&second),
        "it leads to {:?}",
        chosen.port_id
    );
    Ok(Outcome::Passed)
}

/// A form that the cloud cannot take is declined for good, and an unknown network is not found.
pub(super) async fn nonsense_is_declined(b: &CloudBench<'_>) -> Result<Outcome> {
    let stage = Stage::new(b).await?;
    let overlapping = b
        .create("overlap", &subnet(b, &stage.tenant, &stage.network, "10.77.0"))
        .await;
    let kinds = &[ErrorKind::Rejected, ErrorKind::Conflict];
    expect_error(overlapping, kinds, "a subnet that overlaps with another of its network")?;
    let nowhere = "00000000-0000-4000-8000-000000000000".into();
    let unknown = b
        .create("nowhere", &subnet(b, &stage.tenant, &nowhere, "10.78.0"))
        .await;
    expect_error(
        unknown,
        &[ErrorKind::NotFound, ErrorKind::Rejected],
        "a subnet of an unknown network",
    )?;
    for what in ["overlap", "nowhere"] {
        let found = b
            .cloud()
            .find(CreatedKind::Subnet, Some(&stage.tenant), &b.token(what))
            .await?;
        ensure!(found.is_none(), "a declined subnet is found: {found:?}");
    }
    Ok(Outcome::Passed)
}
