//! Keypairs, flavours and server groups.

use super::{Found, or_gone, tenant_scope};
use crate::error::Service::Compute;
use crate::inventory::compute::{FLAVORS, Keypair, SERVER_GROUPS, ServerGroup, keypairs, server_groups};
use crate::mark::{self, name_has, not_ours};
use crate::session::Session;
use ns_core::provider::{CreatedKind, Spec, Token};
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A keypair keeps nothing but its name, so its token is a part of that.
pub(super) async fn keypair(session: &Session, name: &str, public_key: &str, token: &Token) -> Result<String> {
    let name = mark::name(name, token);
    let path = ["os-keypairs", &name];
    if session.get(Compute, &path).found::<Keypair>().await?.is_none() {
        let body = json!({"keypair": {"name": name, "public_key": public_key}});
        session.post(Compute, &["os-keypairs"], body).done().await?;
    }
    let made: Keypair = session.get(Compute, &path).json().await?;
    if made.public_key.trim() != public_key.trim() {
        return Err(
            Error::new(ErrorKind::Conflict, "compute.keypair", "the keypair has another key").with("name", name),
        );
    }
    Ok(name)
}

pub(super) async fn find_keypair(session: &Session, token: &Token) -> Result<Option<String>> {
    let all: Vec<Keypair> = keypairs().all(session).await?;
    Ok(all
        .into_iter()
        .map(|keypair| keypair.name)
        .find(|name| name_has(name, token)))
}

pub(super) async fn remove_keypair(session: &Session, name: &str, token: &Token) -> Result<()> {
    let path = ["os-keypairs", name];
    if session.get(Compute, &path).found::<Keypair>().await?.is_none() {
        return Ok(());
    }
    if !name_has(name, token) {
        return Err(not_ours(CreatedKind::Keypair, name));
    }
    or_gone(session.delete(Compute, &path).done().await)?;
    session.get(Compute, &path).gone().await
}

#[derive(Deserialize)]
struct Flavor {
    #[serde(default)]
    extra_specs: BTreeMap<String, String>,
}

async fn one_flavor(session: &Session, id: &str) -> Result<Option<Flavor>> {
    #[derive(Deserialize)]
    struct One {
        flavor: Flavor,
    }
    let found: Option<One> = session.get(Compute, &["flavors", id]).version(FLAVORS).found().await?;
    Ok(found.map(|found| found.flavor))
}

/// A flavour's id can be chosen: it is the token, so that it cannot be made twice.
pub(super) async fn flavor(session: &Session, spec: &Spec, token: &Token) -> Result<String> {
    let Spec::Flavor {
        tenant,
        name,
        vcpus,
        memory_mib,
        disk_gib,
        ephemeral_gib,
        swap_mib,
        extra_specs,
    } = spec
    else {
        return Err(super::unsupported(spec.kind()));
    };
    let id = token.as_str();
    if one_flavor(session, id).await?.is_none() {
        let body = json!({"flavor": {
            "id": id, "name": name, "vcpus": vcpus, "ram": memory_mib, "disk": disk_gib, "swap": swap_mib,
            "OS-FLV-EXT-DATA:ephemeral": ephemeral_gib, "os-flavor-access:is_public": false}});
        session
            .post(Compute, &["flavors"], body)
            .version(FLAVORS)
            .done()
            .await?;
    }
    if !extra_specs.is_empty() {
        let body = json!({"extra_specs": extra_specs});
        session
            .post(Compute, &["flavors", id, "os-extra_specs"], body)
            .version(FLAVORS)
            .done()
            .await?;
    }
    let body = json!({"addTenantAccess": {"tenant": tenant.id()?}});
    match session
        .post(Compute, &["flavors", id, "action"], body)
        .version(FLAVORS)
        .done()
        .await
    {
        Err(e) if e.kind() == ErrorKind::Conflict => {} // has it already
        answer => answer?,
    }
    let made = one_flavor(session, id).await?;
    if made.is_none_or(|made| {
        !extra_specs
            .iter()
            .all(|(key, value)| made.extra_specs.get(key) == Some(value))
    }) {
        let message = "the flavour did not keep its extra specs";
        return Err(Error::new(ErrorKind::Conflict, "compute.flavor", message).with("name", name));
    }
    Ok(id.to_owned())
}

pub(super) async fn find_flavor(session: &Session, token: &Token) -> Result<Option<String>> {
    let found = one_flavor(session, token.as_str()).await?;
    Ok(found.map(|_| token.as_str().to_owned()))
}

pub(super) async fn remove_flavor(session: &Session, id: &str, token: &Token) -> Result<()> {
    if one_flavor(session, id).await?.is_none() {
        return Ok(());
    }
    if id != token.as_str() {
        return Err(not_ours(CreatedKind::Flavor, id));
    }
    or_gone(session.delete(Compute, &["flavors", id]).done().await)?;
    session.get(Compute, &["flavors", id]).gone().await
}

pub(super) async fn server_group(
    session: &Session,
    tenant: &str,
    name: &str,
    policy: &str,
    token: &Token,
) -> Result<String> {
    if let Some((id, _)) = find_server_group(session, token).await? {
        return Ok(id);
    }
    #[derive(Deserialize)]
    struct One {
        server_group: ServerGroup,
    }
    let body = json!({"server_group": {"name": mark::name(name, token), "policy": policy}});
    let call = session
        .post(Compute, &["os-server-groups"], body)
        .version(SERVER_GROUPS);
    let made: One = call.scope(&tenant_scope(tenant)).json().await?;
    Ok(made.server_group.id)
}

pub(super) async fn find_server_group(session: &Session, token: &Token) -> Result<Option<Found>> {
    let all: Vec<ServerGroup> = server_groups().all(session).await?;
    let found = all.into_iter().find(|group| name_has(&group.name, token));
    Ok(found.map(|group| (group.id, group.project_id)))
}

pub(super) async fn remove_server_group(session: &Session, id: &str, token: &Token) -> Result<()> {
    let path = ["os-server-groups", id];
    let group = session
        .get(Compute, &path)
        .version(SERVER_GROUPS)
        .found::<Value>()
        .await?;
    let Some(group) = group else { return Ok(()) };
    let name = group
        .pointer("/server_group/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !name_has(name, token) {
        return Err(not_ours(CreatedKind::ServerGroup, id));
    }
    or_gone(session.delete(Compute, &path).done().await)?;
    session.get(Compute, &path).gone().await
}
