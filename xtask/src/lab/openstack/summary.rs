//! What the clouds tell their users: `clouds.yaml` for OpenStack's own clients, and the section `openstack` of the
//! lab's summary for the tests. No password stands in the summary: it names the file that holds it.
use super::{
    api::Client,
    broker,
    cloud::{Api, Cloud, PASSWORD, REGION, SHARED_ADDRESS},
    config::shared_dir,
    identity::{ADMIN, ADMIN_PROJECT, ENGINE, MEMBER, PROJECT, project_id},
    network,
    seed::{EXTERNAL, FLAVORS, IMAGE, VOLUME_TYPES},
};
use crate::lab::state::{State, write_file};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Writes both files.
pub(crate) fn publish(state: &State) -> Result<()> {
    let password = shared_dir(state).join("password");
    write_file(&password, PASSWORD.as_bytes(), 0o600)?;
    write_file(&state.clouds_yaml(), clouds_yaml(state)?.as_bytes(), 0o600)?;
    let mut clouds = Map::new();
    for cloud in Cloud::both(state) {
        clouds.insert(cloud.name(), describe(cloud)?);
    }
    let about = json!({
        "clouds": clouds,
        "clouds_yaml": state.clouds_yaml(),
        "password_file": password,
        "rabbitmq_management": {"url": format!("http://{SHARED_ADDRESS}:15672"), "user": "admin"},
    });
    state.publish("openstack", about)
}

/// Logins by name: `cloud-a` (the administrator), `cloud-a-dradmin`, `cloud-a-member`, and the same for B. And
/// `cloud-a-listening`, the administrator again with what NeverStop needs to listen to the cloud's notifications: a second
/// engine that listens takes the first one's part, so not everybody is to.
fn clouds_yaml(state: &State) -> Result<String> {
    let mut text = String::from("clouds:\n");
    for cloud in Cloud::both(state) {
        let listens = format!("{}-listening", cloud.name());
        for (name, user, project) in [
            (cloud.name(), ADMIN, ADMIN_PROJECT),
            (format!("{}-dradmin", cloud.name()), ENGINE, PROJECT),
            (format!("{}-member", cloud.name()), MEMBER, PROJECT),
            (listens.clone(), ADMIN, ADMIN_PROJECT),
        ] {
            write!(
                text,
                "  {name}:\n    region_name: {REGION}\n    identity_api_version: 3\n    auth:\n      auth_url: {}\n      \
                 username: {user}\n      password: {PASSWORD}\n      project_name: {project}\n      \
                 user_domain_name: Default\n      project_domain_name: Default\n",
                cloud.endpoint(Api::Identity)
            )?;
            if name == cloud.name() {
                write!(
                    text,
                    "    neverstop:\n      allow_http: true\n      storage: {{conf: {}, site_name: {}}}\n",
                    state.ceph_conf(cloud.site).display(),
                    cloud.site.name()
                )?;
            }
            if name == listens {
                write!(
                    text,
                    "    neverstop:\n      notifications:\n        hosts: [{}]\n        vhost: {}\n        user: {}\n        \
                     password: {PASSWORD}\n        ca_file: {}\n",
                    cloud.address(),
                    cloud.name(),
                    broker::LISTENER,
                    broker::authority(state).display()
                )?;
            }
        }
    }
    Ok(text)
}

fn describe(cloud: Cloud<'_>) -> Result<Value> {
    let client = Client::login(cloud, ADMIN, ADMIN_PROJECT)?;
    let plan = network::plan(cloud.site);
    let ids = |api, path: &str, key: &str, names: &[&str]| -> Result<Value> {
        let list = client.get(api, path)?;
        let all = list[key].as_array().into_iter().flatten();
        let named = all.filter_map(|item| Some((item["name"].as_str()?, item["id"].clone())));
        Ok(named
            .filter(|(name, _)| names.contains(name))
            .map(|(name, id)| (name.to_owned(), id))
            .collect())
    };
    let endpoints: Map<String, Value> = Api::ALL
        .into_iter()
        .flat_map(|api| {
            api.types()
                .iter()
                .map(move |kind| ((*kind).to_owned(), json!(cloud.endpoint(api))))
        })
        .collect();
    let user = |name: &str, project: &str, role: &str| json!({"name": name, "project": project, "role": role});
    Ok(json!({
        "site": cloud.site,
        "region": REGION,
        "auth_url": cloud.endpoint(Api::Identity),
        "endpoints": endpoints,
        "users": [
            user(ADMIN, ADMIN_PROJECT, "admin"), user(ADMIN, PROJECT, "admin"),
            user(ENGINE, PROJECT, "admin"), user(ENGINE, ADMIN_PROJECT, "admin"), user(MEMBER, PROJECT, "member"),
        ],
        "projects": {PROJECT: project_id(&client)?, ADMIN_PROJECT: client.project},
        "images": ids(Api::Image, "/v2/images", "images", &[IMAGE])?,
        "flavors": ids(Api::Compute, "/v2.1/flavors", "flavors", &FLAVORS)?,
        "volume_types": ids(Api::Volume, &format!("/v3/{}/types", client.project), "volume_types", &VOLUME_TYPES)?,
        "volume_host": format!("{}@ceph#ceph", cloud.named("cinder-1")),
        "networks": ids(Api::Network, "/v2.0/networks", "networks", &[EXTERNAL])?,
        "external": {
            "network": EXTERNAL,
            "range": plan.external_range(),
            "first": plan.external_address(10),
            "last": plan.external_address(250),
            "bridge": plan.external_bridge,
            "host_address": plan.external_address(1),
            "reach": "a floating IP answers the machine directly: the bridge has host_address in the same range",
            "agents": "router and address namespaces are in the agents' own mount namespaces: nsenter -m -t PID ip netns",
        },
        "compute_hosts": {"fake": cloud.fake_hosts(), "libvirt": [cloud.libvirt_host()]},
        "libvirt_uri": cloud.libvirt_uri(),
        "notifications": {
            "host": cloud.address(),
            "port": broker::TLS_PORT,
            "ca_file": broker::authority(cloud.state),
            "vhost": cloud.name(),
            "user": broker::LISTENER,
            "exchanges": ["keystone", "nova", "neutron", "openstack", "glance"],
        },
        "log_prefix": format!("{}/{}-", cloud.state.log_dir().display(), cloud.site.letter()),
    }))
}
