//! Projects, and the engine's own right to work in them.

use super::{Found, or_gone, tenant_scope};
use crate::error::Service::{self, Compute, Identity, Network, Volume};
use crate::mark::not_ours;
use crate::session::Session;
use ns_core::provider::{CreatedKind, Token};
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// The role that adoption and a chosen host need.
const ROLE: &str = "admin";

#[derive(Deserialize)]
struct Project {
    id: String,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct One {
    project: Project,
}

async fn project(session: &Session, id: &str) -> Result<Option<Project>> {
    Ok(session
        .get(Identity, &["projects", id])
        .found::<One>()
        .await?
        .map(|one| one.project))
}

async fn tagged(session: &Session, tag: &str) -> Result<Option<Project>> {
    #[derive(Deserialize)]
    struct Many {
        projects: Vec<Project>,
    }
    let answer: Many = session.get(Identity, &["projects"]).query("tags", tag).json().await?;
    Ok(answer.projects.into_iter().find(|p| p.tags.iter().any(|t| t == tag)))
}

pub(super) async fn tenant(session: &Session, name: &str, description: &str, token: &Token) -> Result<String> {
    if let Some(id) = find_tenant(session, token).await? {
        return Ok(id);
    }
    let domain = session.grant(&crate::auth::Scope::Home).await?.domain_id.clone();
    let body = json!({"project": {
        "name": name, "description": description, "domain_id": domain, "enabled": true, "tags": [token.as_str()]}});
    let made: One = session.post(Identity, &["projects"], body).json().await?;
    if !made.project.tags.iter().any(|tag| tag == token.as_str()) {
        // A cloud that drops tags at creation gets it in a second call.
        session
            .put(Identity, &["projects", &made.project.id, "tags", token.as_str()])
            .done()
            .await?;
    }
    Ok(made.project.id)
}

pub(super) async fn find_tenant(session: &Session, token: &Token) -> Result<Option<String>> {
    Ok(tagged(session, token.as_str()).await?.map(|project| project.id))
}

pub(super) async fn remove_tenant(session: &Session, id: &str, token: &Token) -> Result<()> {
    let Some(project) = project(session, id).await? else {
        return Ok(());
    };
    if !project.tags.iter().any(|tag| tag == token.as_str()) {
        return Err(not_ours(CreatedKind::Tenant, id));
    }
    let held = contents(session, id).await?;
    if !held.is_empty() {
        let held = held.join(" ");
        return Err(Error::new(
            ErrorKind::Conflict,
            "identity.tenant_in_use",
            "the project still holds things",
        )
        .with("tenant", id)
        .with("holds", held)
        .with_remedy("remove them first: without their project nobody can reach them"));
    }
    // Neutron made this one by itself when the project was first used; it would stay behind without an owner.
    for group in security_groups(session, id).await? {
        or_gone(session.delete(Network, &["security-groups", &group]).done().await)?;
    }
    or_gone(session.delete(Identity, &["projects", id]).done().await)?;
    session.forget(&tenant_scope(id)).await;
    session.get(Identity, &["projects", id]).gone().await
}

/// What would be orphaned by removing the project.
async fn contents(session: &Session, id: &str) -> Result<Vec<String>> {
    const KINDS: [(Service, &str, &str); 7] = [
        (Compute, "servers", "servers"),
        (Volume, "volumes", "volumes"),
        (Volume, "snapshots", "snapshots"),
        (Network, "networks", "networks"),
        (Network, "routers", "routers"),
        (Network, "ports", "ports"),
        (Network, "floatingips", "floatingips"),
    ];
    let mut held = Vec::new();
    for (service, path, many) in KINDS {
        let mut call = session
            .get(service, &[path])
            .query("project_id", id)
            .query("limit", "1");
        if service != Network {
            call = call.query("all_tenants", "True");
        }
        let answer: Value = call.json().await?;
        if answer
            .get(many)
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
        {
            held.push(path.to_owned());
        }
    }
    let groups: Value = session
        .get(Network, &["security-groups"])
        .query("project_id", id)
        .query("fields", "name")
        .json()
        .await?;
    let groups = groups.get("security_groups").and_then(Value::as_array);
    if groups.is_some_and(|list| {
        list.iter()
            .any(|g| g.get("name").and_then(Value::as_str) != Some("default"))
    }) {
        held.push("security-groups".to_owned());
    }
    Ok(held)
}

async fn security_groups(session: &Session, tenant: &str) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Group {
        id: String,
    }
    #[derive(Deserialize)]
    struct Groups {
        security_groups: Vec<Group>,
    }
    let call = session
        .get(Network, &["security-groups"])
        .query("project_id", tenant)
        .query("name", "default");
    let groups: Groups = call.json().await?;
    Ok(groups.security_groups.into_iter().map(|g| g.id).collect())
}

/// The tag that says: this right was given by us. A right that was there before gets none and is never taken away.
fn access_tag(token: &Token) -> String {
    format!("{ACCESS}{token}")
}

const ACCESS: &str = "access-";

/// Gives the engine's own user its role in a project and proves it by logging in there.
pub(super) async fn access(session: &Session, tenant: &str, token: &Token) -> Result<String> {
    let home = session.grant(&crate::auth::Scope::Home).await?;
    let role = home
        .roles
        .iter()
        .find(|role| role.name.eq_ignore_ascii_case(ROLE))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                "identity.not_admin",
                "the user is no administrator and cannot become one",
            )
            .with("user", &home.user.name)
            .with_remedy("give the user the role admin in its own project")
        })?;
    let project = project(session, tenant).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "identity.tenant", "there is no such project").with("tenant", tenant)
    })?;
    let tag = access_tag(token);
    let ours = project.tags.contains(&tag);
    let path = ["projects", tenant, "users", &home.user.id, "roles"];
    let roles: Value = session.get(Identity, &path).json().await?;
    let roles = roles.get("roles").and_then(Value::as_array);
    let there = roles.is_some_and(|roles| {
        roles
            .iter()
            .any(|r| r.get("id").and_then(Value::as_str) == Some(&role.id))
    });
    if !there {
        if !ours {
            session
                .put(Identity, &["projects", tenant, "tags", &tag])
                .done()
                .await?;
        }
        let path = ["projects", tenant, "users", &home.user.id, "roles", &role.id];
        session.put(Identity, &path).done().await?;
    }
    let scope = tenant_scope(tenant);
    session.forget(&scope).await;
    let here = session.grant(&scope).await?;
    if !here.has_role(ROLE) {
        return Err(Error::new(
            ErrorKind::Denied,
            "identity.no_role",
            "the user did not get its role in the project",
        )
        .with("tenant", tenant));
    }
    Ok(format!("{tenant}/{}/{}", home.user.id, role.id))
}

pub(super) async fn find_access(session: &Session, token: &Token) -> Result<Option<Found>> {
    let Some(project) = tagged(session, &access_tag(token)).await? else {
        return Ok(None);
    };
    let home = session.grant(&crate::auth::Scope::Home).await?;
    let role = home.roles.iter().find(|role| role.name.eq_ignore_ascii_case(ROLE));
    let Some(role) = role else { return Ok(None) };
    Ok(Some((
        format!("{}/{}/{}", project.id, home.user.id, role.id),
        Some(project.id),
    )))
}

/// Takes back a right that was given by us; leaves one that was there before.
pub(super) async fn remove_access(session: &Session, id: &str, token: &Token) -> Result<()> {
    let [tenant, user, role] = id.split('/').collect::<Vec<_>>()[..] else {
        return Err(Error::new(ErrorKind::Invalid, "handle.id", "not the id of a right").with("id", id));
    };
    let Some(project) = project(session, tenant).await? else {
        return Ok(());
    };
    let tag = access_tag(token);
    if !project.tags.contains(&tag) {
        let others = project.tags.iter().any(|tag| tag.starts_with(ACCESS));
        return if others {
            Err(not_ours(CreatedKind::TenantAccess, id))
        } else {
            Ok(())
        };
    }
    or_gone(
        session
            .delete(Identity, &["projects", tenant, "users", user, "roles", role])
            .done()
            .await,
    )?;
    session.forget(&tenant_scope(tenant)).await;
    or_gone(
        session
            .delete(Identity, &["projects", tenant, "tags", &tag])
            .done()
            .await,
    )
}
