//! Networks, subnets, routers, ports and floating IPs. All carry their token as description, which Neutron writes with
//! the thing itself and filters by. An administrator makes them for a tenant from home, by `project_id`.

use super::{Found, or_gone};
use crate::error::Service::Network;
use crate::mark::{description_has, not_ours};
use crate::poll::Poll;
use crate::session::Session;
use ns_core::provider::{CreatedKind, Spec, Token};
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How Neutron calls a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) created: CreatedKind,
    pub(super) many: &'static str,
    pub(super) one: &'static str,
}

impl Kind {
    pub(super) fn of(kind: CreatedKind) -> Result<Self> {
        let (many, one) = match kind {
            CreatedKind::Network => ("networks", "network"),
            CreatedKind::Subnet => ("subnets", "subnet"),
            CreatedKind::Router => ("routers", "router"),
            CreatedKind::Port | CreatedKind::RouterInterface => ("ports", "port"),
            CreatedKind::FloatingIp => ("floatingips", "floatingip"),
            other => return Err(super::unsupported(other)),
        };
        Ok(Self {
            created: kind,
            many,
            one,
        })
    }
}

/// The members that all kinds share.
#[derive(Debug, Deserialize)]
struct Object {
    id: String,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

pub(super) async fn create(session: &Session, spec: &Spec, token: &Token) -> Result<String> {
    let kind = Kind::of(spec.kind())?;
    let tenant = spec.tenant().map(ns_core::provider::Ref::id).transpose()?;
    let id = match find(session, kind, tenant, token).await?.into_iter().next() {
        Some((id, _)) => id,
        None => make(session, kind, tenant, body(spec)?, token).await?,
    };
    if let Spec::FloatingIp { port, .. } = spec {
        bound(session, &id, port.id()?).await?;
    }
    Ok(id)
}

/// Makes a thing with the token as its description.
pub(super) async fn make(
    session: &Session,
    kind: Kind,
    tenant: Option<&str>,
    mut body: Map<String, Value>,
    token: &Token,
) -> Result<String> {
    body.insert("description".to_owned(), json!(token.as_str()));
    if let Some(tenant) = tenant {
        body.insert("project_id".to_owned(), json!(tenant));
    }
    let answer: Map<String, Value> = session
        .post(Network, &[kind.many], json!({kind.one: body}))
        .json()
        .await?;
    let id = answer
        .get(kind.one)
        .and_then(|made| made.get("id"))
        .and_then(Value::as_str);
    id.map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorKind::Rejected,
            "network.malformed",
            "the service does not tell the id of what it made",
        )
        .with("kind", kind.one)
    })
}

fn body(spec: &Spec) -> Result<Map<String, Value>> {
    let value = match spec {
        Spec::Network { name, mtu, .. } => {
            let mut body = json!({"name": name, "admin_state_up": true});
            if let Some(mtu) = mtu {
                body["mtu"] = json!(mtu);
            }
            body
        }
        Spec::Subnet {
            network,
            name,
            cidr,
            ip_version,
            gateway_ip,
            dhcp,
            allocation_pools,
            dns_nameservers,
            host_routes,
            ..
        } => {
            let mut body = json!({
                "network_id": network.id()?, "name": name, "cidr": cidr, "ip_version": ip_version,
                "gateway_ip": gateway_ip, // null: none; left out, Neutron would choose one
                "enable_dhcp": dhcp, "dns_nameservers": dns_nameservers,
                "host_routes": host_routes.iter().map(|(to, via)| json!({"destination": to, "nexthop": via})).collect::<Vec<_>>(),
            });
            if !allocation_pools.is_empty() {
                let pools: Vec<_> = allocation_pools
                    .iter()
                    .map(|(a, z)| json!({"start": a, "end": z}))
                    .collect();
                body["allocation_pools"] = json!(pools);
            }
            body
        }
        Spec::Router {
            name, external_network, ..
        } => {
            let mut body = json!({"name": name, "admin_state_up": true});
            if let Some(external) = external_network {
                body["external_gateway_info"] = json!({"network_id": external.id()?});
            }
            body
        }
        Spec::Port {
            network,
            name,
            fixed_ips,
            mac,
            security_groups,
            ..
        } => {
            let mut addresses = Vec::new();
            for (subnet, address) in fixed_ips {
                addresses.push(json!({"subnet_id": subnet.id()?, "ip_address": address}));
            }
            let groups = security_groups
                .iter()
                .map(ns_core::provider::Ref::id)
                .collect::<Result<Vec<_>>>()?;
            let mut body = json!({
                "network_id": network.id()?, "name": name, "admin_state_up": true, "security_groups": groups});
            if !addresses.is_empty() {
                body["fixed_ips"] = json!(addresses); // left out, Neutron gives a free one
            }
            if let Some(mac) = mac {
                body["mac_address"] = json!(mac);
            }
            body
        }
        Spec::FloatingIp {
            external_network,
            address,
            port,
            ..
        } => {
            let mut body = json!({"floating_network_id": external_network.id()?, "port_id": port.id()?});
            if let Some(address) = address {
                body["floating_ip_address"] = json!(address);
            }
            body
        }
        other => return Err(super::unsupported(other.kind())),
    };
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(super::unsupported(spec.kind())),
    }
}

/// Everything of this kind with this token; one, unless an answer was lost and the thing was made again.
pub(super) async fn find(session: &Session, kind: Kind, tenant: Option<&str>, token: &Token) -> Result<Vec<Found>> {
    let mut call = session.get(Network, &[kind.many]).query("description", token.as_str());
    for field in ["id", "project_id", "description"] {
        call = call.query("fields", field);
    }
    if let Some(tenant) = tenant {
        call = call.query("project_id", tenant);
    }
    let mut answer: std::collections::HashMap<String, Vec<Object>> = call.json().await?;
    let mut found = answer.remove(kind.many).unwrap_or_default();
    found.retain(|object| object.description.as_deref() == Some(token.as_str()));
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found.into_iter().map(|object| (object.id, object.project_id)).collect())
}

pub(super) async fn remove(session: &Session, kind: Kind, id: &str, token: &Token) -> Result<()> {
    if let Some(object) = one(session, kind, id).await?
        && !description_has(object.description.as_deref().unwrap_or_default(), token)
    {
        return Err(not_ours(kind.created, id));
    }
    // With its twins, should an answer have been lost once.
    let mut all: Vec<_> = find(session, kind, None, token)
        .await?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    if !all.iter().any(|other| other == id) {
        all.push(id.to_owned());
    }
    for id in &all {
        or_gone(session.delete(Network, &[kind.many, id]).done().await)?;
        session.get(Network, &[kind.many, id]).gone().await?;
    }
    Ok(())
}

async fn one(session: &Session, kind: Kind, id: &str) -> Result<Option<Object>> {
    let answer: Option<std::collections::HashMap<String, Object>> =
        session.get(Network, &[kind.many, id]).found().await?;
    Ok(answer.and_then(|mut answer| answer.remove(kind.one)))
}

/// Waits until a floating IP leads to its port: the router does the work after the answer.
async fn bound(session: &Session, id: &str, port: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct One {
        floatingip: State,
    }
    #[derive(Deserialize)]
    struct State {
        port_id: Option<String>,
        status: String,
    }
    let mut poll = Poll::new(&session.config.timing);
    let mut moved = false;
    loop {
        let One { floatingip: state } = session.get(Network, &["floatingips", id]).json().await?;
        if state.port_id.as_deref() != Some(port) {
            if moved {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "network.floating_ip",
                    "somebody else uses the floating IP",
                )
                .with("id", id)
                .with("port", state.port_id.as_deref().unwrap_or("-")));
            }
            moved = true;
            let body = json!({"floatingip": {"port_id": port}});
            session.put(Network, &["floatingips", id]).body(body).done().await?;
        } else if state.status == "ACTIVE" {
            return Ok(());
        } else if state.status == "ERROR" {
            let message = "the floating IP ended in error";
            return Err(Error::new(ErrorKind::Rejected, "network.floating_ip_error", message).with("id", id));
        }
        poll.pause().await;
    }
}
