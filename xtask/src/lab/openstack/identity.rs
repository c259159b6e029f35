//! Who may log in to a cloud, and its catalogue: the services' users, and the lab's project and users.
use super::{
    api::{Client, id},
    cloud::{Api, Cloud, PASSWORD, REGION},
};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Project of the tests.
pub(crate) const PROJECT: &str = "demo";
/// The cloud's administrator, in project [`ADMIN_PROJECT`] and in [`PROJECT`].
pub(crate) const ADMIN: &str = "admin";
/// Project of the administrator.
pub(crate) const ADMIN_PROJECT: &str = "admin";
/// Administrator of [`PROJECT`]: what a DR engine logs in as.
pub(crate) const ENGINE: &str = "dradmin";
/// A user without any right of an administrator.
pub(crate) const MEMBER: &str = "member1";

/// Makes what is missing. Needs keystone only.
pub(crate) fn seed(cloud: Cloud<'_>) -> Result<()> {
    let client = Client::login(cloud, ADMIN, ADMIN_PROJECT)?;
    let role = |name: &str| -> Result<String> {
        id(&client.ensure(Api::Identity, "/v3/roles", "role", &json!({"name": name}))?)
    };
    let (admin, member, service) = (role("admin")?, role("member")?, role("service")?);
    let project = |name: &str| -> Result<String> {
        let body = json!({"name": name, "domain_id": "default"});
        id(&client.ensure(Api::Identity, "/v3/projects", "project", &body)?)
    };
    let (services, demo, admins) = (project("service")?, project(PROJECT)?, project(ADMIN_PROJECT)?);
    let user = |name: &str| -> Result<String> {
        let body = json!({"name": name, "domain_id": "default", "password": PASSWORD});
        id(&client.ensure(Api::Identity, "/v3/users", "user", &body)?)
    };
    let grant = |user: &str, project: &str, role: &str| {
        let path = format!("/v3/projects/{project}/users/{user}/roles/{role}");
        client.ask("PUT", Api::Identity, &path, None).map(drop)
    };
    for api in Api::ALL {
        if api != Api::Identity {
            let user = user(api.service())?;
            grant(&user, &services, &admin)?;
            grant(&user, &services, &service)?;
            catalogue(&client, cloud, api)?;
        }
    }
    let engine = user(ENGINE)?;
    for project in [&demo, &admins] {
        grant(&engine, project, &admin)?;
    }
    grant(&user(ADMIN)?, &demo, &admin)?;
    grant(&user(MEMBER)?, &demo, &member)
}

fn catalogue(client: &Client<'_>, cloud: Cloud<'_>, api: Api) -> Result<()> {
    for kind in api.types() {
        let same_kind = |item: &Value| item["type"] == *kind;
        let service = match client.find(Api::Identity, "/v3/services", "services", same_kind)? {
            Some(service) => service,
            None => client.create(
                Api::Identity,
                "/v3/services",
                "service",
                &json!({"type": kind, "name": api.service()}),
            )?,
        };
        let service = id(&service)?;
        let path = format!("/v3/endpoints?service_id={service}");
        for interface in ["public", "internal", "admin"] {
            let same = |item: &Value| item["interface"] == interface;
            if client.find(Api::Identity, &path, "endpoints", same)?.is_none() {
                let body = json!({
                    "service_id": service, "interface": interface, "region_id": REGION, "url": cloud.endpoint(api),
                });
                client.create(Api::Identity, "/v3/endpoints", "endpoint", &body)?;
            }
        }
    }
    Ok(())
}

/// The id of [`PROJECT`].
pub(crate) fn project_id(client: &Client<'_>) -> Result<String> {
    let path = format!("/v3/projects?name={PROJECT}");
    let found = client.find(Api::Identity, &path, "projects", |_| true)?;
    id(&found.with_context(|| format!("no project {PROJECT}"))?)
}
