//! A subnet's connection to a router. Neutron's usual call (by subnet) makes a port that cannot be told from anybody
//! else's; so the port is made first, with the token, and then given to the router.

use super::network::{Kind, make};
use super::{Found, or_gone};
use crate::error::Service::Network;
use crate::mark::not_ours;
use crate::poll::Poll;
use crate::session::Session;
use ns_core::provider::{CreatedKind, Token};
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Debug, Deserialize)]
struct Port {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default)]
    fixed_ips: Vec<FixedIp>,
}

#[derive(Debug, Deserialize)]
struct FixedIp {
    subnet_id: String,
}

impl Port {
    fn is_connected(&self) -> bool {
        self.device_id.as_deref().is_some_and(|id| !id.is_empty())
    }

    /// `<router>/<subnet>`. Until the router has the port, the port's name tells which router it is meant for.
    fn handle(&self) -> Option<String> {
        let router = if self.is_connected() {
            self.device_id.as_deref()
        } else {
            self.name.strip_prefix("router ")
        };
        Some(format!("{}/{}", router?, self.fixed_ips.first()?.subnet_id))
    }
}

pub(super) async fn connect(
    session: &Session,
    tenant: &str,
    router: &str,
    subnet: &str,
    token: &Token,
) -> Result<String> {
    let port = match ports(session, &[("description", token.as_str())], token)
        .await?
        .into_iter()
        .next()
    {
        Some(port) => port,
        None => {
            let body = port_body(session, router, subnet).await?;
            let kind = Kind::of(CreatedKind::RouterInterface)?;
            let id = make(session, kind, Some(tenant), body, token).await?;
            let made = ports(session, &[("id", &id)], token).await?.into_iter().next();
            made.ok_or_else(|| {
                Error::new(
                    ErrorKind::Conflict,
                    "network.port_vanished",
                    "the port was removed while it was made",
                )
                .with("port", id)
            })?
        }
    };
    let handle = format!("{router}/{subnet}");
    if port.handle().as_ref() != Some(&handle) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "network.router_port",
            "the port with this token serves another router",
        )
        .with("port", port.id));
    }
    if !port.is_connected() {
        let body = json!({"port_id": port.id});
        session
            .put(Network, &["routers", router, "add_router_interface"])
            .body(body)
            .done()
            .await?;
    }
    let mut poll = Poll::new(&session.config.timing);
    loop {
        let now = ports(session, &[("id", &port.id)], token).await?;
        if now.first().is_some_and(Port::is_connected) {
            return Ok(handle);
        }
        poll.pause().await;
    }
}

async fn port_body(session: &Session, router: &str, subnet: &str) -> Result<Map<String, Value>> {
    #[derive(Deserialize)]
    struct One {
        subnet: Subnet,
    }
    #[derive(Deserialize)]
    struct Subnet {
        network_id: String,
        gateway_ip: Option<String>,
    }
    let One { subnet: facts } = session.get(Network, &["subnets", subnet]).json().await?;
    let address = match facts.gateway_ip {
        Some(gateway) => json!({"subnet_id": subnet, "ip_address": gateway}),
        None => json!({"subnet_id": subnet}),
    };
    let mut body = Map::new();
    body.insert("network_id".to_owned(), json!(facts.network_id));
    body.insert("fixed_ips".to_owned(), json!([address]));
    body.insert("name".to_owned(), json!(format!("router {router}")));
    Ok(body)
}

/// The ports that answer this question and carry the token.
async fn ports(session: &Session, query: &[(&str, &str)], token: &Token) -> Result<Vec<Port>> {
    let mut found = all_ports(session, query).await?;
    found.retain(|port| port.description.as_deref() == Some(token.as_str()));
    Ok(found)
}

async fn all_ports(session: &Session, query: &[(&str, &str)]) -> Result<Vec<Port>> {
    #[derive(Deserialize)]
    struct Ports {
        ports: Vec<Port>,
    }
    let mut call = session.get(Network, &["ports"]);
    for (key, value) in query {
        call = call.query(key, *value);
    }
    let mut found = call.json::<Ports>().await?.ports;
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

pub(super) async fn find(session: &Session, tenant: Option<&str>, token: &Token) -> Result<Option<Found>> {
    let mut query = vec![("description", token.as_str())];
    query.extend(tenant.map(|tenant| ("project_id", tenant)));
    let found = ports(session, &query, token).await?;
    Ok(found
        .into_iter()
        .find_map(|port| Some((port.handle()?, port.project_id))))
}

pub(super) async fn disconnect(session: &Session, id: &str, token: &Token) -> Result<()> {
    let Some((router, subnet)) = id.split_once('/') else {
        return Err(Error::new(ErrorKind::Invalid, "handle.id", "not the id of a router interface").with("id", id));
    };
    let ours = ports(session, &[("description", token.as_str())], token).await?;
    if ours.is_empty() {
        let address = format!("subnet_id={subnet}");
        let others = all_ports(session, &[("device_id", router), ("fixed_ips", &address)]).await?;
        return if others.is_empty() {
            Ok(())
        } else {
            Err(not_ours(CreatedKind::RouterInterface, id))
        };
    }
    for port in ours {
        match port.device_id.as_deref().filter(|_| port.is_connected()) {
            // Takes the port away too.
            Some(router) => {
                let body = json!({"port_id": port.id});
                let call = session
                    .put(Network, &["routers", router, "remove_router_interface"])
                    .body(body);
                or_gone(call.done().await)?;
            }
            None => or_gone(session.delete(Network, &["ports", &port.id]).done().await)?,
        }
        session.get(Network, &["ports", &port.id]).gone().await?;
    }
    Ok(())
}
