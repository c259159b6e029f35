//! What the tests find in a cloud: flavors, the guest's image, volume types, the external network, quotas, and the
//! libvirt host kept for flavors that ask for it. Everything is looked for by name first, so a second run adds nothing.
use super::{
    api::{Client, id},
    cloud::{Api, Cloud},
    identity::project_id,
    network,
};
use crate::lab::command::run;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command, time::Duration};

/// The guest's image.
pub(crate) const IMAGE: &str = "lab-guest";
/// The external network, and its name as a provider network.
pub(crate) const EXTERNAL: &str = "public";
/// Volume types: the default one, and one whose volumes several servers may use.
pub(crate) const VOLUME_TYPES: [&str; 2] = ["ceph", "ceph-multi"];
/// Flavors: two for the fake hosts, one for the libvirt host.
pub(crate) const FLAVORS: [&str; 3] = ["m1.lab", "m2.lab", "libvirt.lab"];
const TRAIT: &str = "CUSTOM_LIBVIRT";
const AGGREGATE: &str = "libvirt-hosts";

/// What needs no compute host.
pub(crate) fn resources(cloud: Cloud<'_>, client: &Client<'_>) -> Result<()> {
    flavors(client)?;
    volume_types(client)?;
    external_network(cloud, client)?;
    services_security_group(client)?;
    quotas(client)?;
    image(cloud, client)
}

fn flavors(client: &Client<'_>) -> Result<()> {
    // name, memory in MiB, virtual processors, disk in GiB
    for (name, memory, cpus, disk) in [
        ("m1.lab", 512, 1, 1),
        ("m2.lab", 1024, 2, 2),
        ("libvirt.lab", 192, 1, 1),
    ] {
        let body = json!({"name": name, "ram": memory, "vcpus": cpus, "disk": disk});
        let flavor = client.ensure(Api::Compute, "/v2.1/flavors", "flavor", &body)?;
        if name == "libvirt.lab" {
            let path = format!("/v2.1/flavors/{}/os-extra_specs", id(&flavor)?);
            let specs = json!({"extra_specs": {format!("trait:{TRAIT}"): "required"}});
            client.ask("POST", Api::Compute, &path, Some(&specs))?;
        }
    }
    Ok(())
}

fn volume_types(client: &Client<'_>) -> Result<()> {
    let path = format!("/v3/{}/types", client.project);
    for name in VOLUME_TYPES {
        let mut specs = json!({"volume_backend_name": "ceph"});
        if name == "ceph-multi" {
            specs["multiattach"] = json!("<is> True");
        }
        let body = json!({"name": name, "extra_specs": specs});
        client.ensure(Api::Volume, &path, "volume_type", &body)?;
    }
    Ok(())
}

fn external_network(cloud: Cloud<'_>, client: &Client<'_>) -> Result<()> {
    let plan = network::plan(cloud.site);
    let body = json!({
        "name": EXTERNAL, "router:external": true, "provider:network_type": "flat",
        "provider:physical_network": "public",
    });
    let network = id(&client.ensure(Api::Network, "/v2.0/networks", "network", &body)?)?;
    let body = json!({
        "name": EXTERNAL, "network_id": network, "ip_version": 4, "cidr": plan.external_range(), "enable_dhcp": false,
        "gateway_ip": plan.external_address(1),
        "allocation_pools": [{"start": plan.external_address(10), "end": plan.external_address(250)}],
    });
    client.ensure(Api::Network, "/v2.0/subnets", "subnet", &body).map(drop)
}

/// Neutron makes a project's default security group when it is first asked for. Nova, as the project of the services, asks
/// with the first server: a test that looks for what it left behind would take the group for its own.
fn services_security_group(client: &Client<'_>) -> Result<()> {
    let found = client.find(Api::Identity, "/v3/projects?name=service", "projects", |_| true)?;
    let project = id(&found.context("there is no project of the services")?)?;
    let path = format!("/v2.0/security-groups?project_id={project}");
    client.get(Api::Network, &path).map(drop)
}

fn quotas(client: &Client<'_>) -> Result<()> {
    let project = project_id(client)?;
    let compute = json!({"instances": 500, "cores": 2000, "ram": 2_000_000, "server_groups": 100, "key_pairs": 500});
    let volume = json!({
        "volumes": 2000, "snapshots": 4000, "gigabytes": 20_000, "groups": 200, "per_volume_gigabytes": -1,
    });
    let network = json!({
        "network": 500, "subnet": 500, "port": 4000, "router": 200, "floatingip": 200, "security_group": 500,
        "security_group_rule": 5000,
    });
    let put = |api, path: String, key: &str, quota: Value| client.ask("PUT", api, &path, Some(&json!({ key: quota })));
    put(
        Api::Compute,
        format!("/v2.1/os-quota-sets/{project}"),
        "quota_set",
        compute,
    )?;
    put(
        Api::Volume,
        format!("/v3/{}/os-quota-sets/{project}", client.project),
        "quota_set",
        volume,
    )?;
    put(Api::Network, format!("/v2.0/quotas/{project}"), "quota", network).map(drop)
}

/// Uploads the guest's image. One that is not complete is removed; one with other content is renamed, because volumes
/// may be clones of it.
fn image(cloud: Cloud<'_>, client: &Client<'_>) -> Result<()> {
    let file = cloud.state.guest_image();
    let found = client.find(Api::Image, &format!("/v2/images?name={IMAGE}"), "images", |_| true)?;
    if let Some(image) = found {
        let id = id(&image)?;
        if image["status"] != "active" {
            client.ask("DELETE", Api::Image, &format!("/v2/images/{id}"), None)?;
        } else if image["os_hash_value"] == sha512(&file)? {
            return Ok(());
        } else {
            client.rename_image(&id, &format!("{IMAGE} (superseded)"))?;
        }
    }
    let body = json!({
        "name": IMAGE, "disk_format": "raw", "container_format": "bare", "visibility": "public", "min_disk": 1,
        "hw_disk_bus": "virtio", "hw_vif_model": "virtio", "os_distro": "debian",
    });
    let image = client.ask("POST", Api::Image, "/v2/images", Some(&body))?;
    client.upload(&id(&image)?, &file)
}

fn sha512(file: &Path) -> Result<String> {
    fs::metadata(file).with_context(|| format!("no guest image: {}", file.display()))?;
    let text = run(Command::new("sha512sum").arg(file), Duration::from_secs(60))?.stdout;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Keeps the libvirt host for flavors with the trait. Needs every compute host.
pub(crate) fn isolate_libvirt(cloud: Cloud<'_>, client: &Client<'_>) -> Result<()> {
    let host = cloud.libvirt_host();
    client.ask("PUT", Api::Placement, &format!("/traits/{TRAIT}"), None)?;
    let path = format!("/resource_providers?name={host}");
    let found = client.find(Api::Placement, &path, "resource_providers", |_| true)?;
    let provider = found.with_context(|| format!("{host} is not known to placement yet"))?;
    let path = format!(
        "/resource_providers/{}/traits",
        provider["uuid"].as_str().unwrap_or_default()
    );
    let mut traits = client.get(Api::Placement, &path)?;
    if let Some(names) = traits["traits"].as_array_mut()
        && !names.iter().any(|name| name == TRAIT)
    {
        names.push(json!(TRAIT));
        client.ask("PUT", Api::Placement, &path, Some(&traits))?;
    }
    let aggregate = client.ensure(
        Api::Compute,
        "/v2.1/os-aggregates",
        "aggregate",
        &json!({"name": AGGREGATE}),
    )?;
    let action = format!("/v2.1/os-aggregates/{}/action", id(&aggregate)?);
    let members = aggregate["hosts"].as_array();
    if !members.is_some_and(|hosts| hosts.iter().any(|member| *member == host)) {
        client.ask(
            "POST",
            Api::Compute,
            &action,
            Some(&json!({"add_host": {"host": host}})),
        )?;
    }
    let metadata = json!({"set_metadata": {"metadata": {format!("trait:{TRAIT}"): "required"}}});
    client.ask("POST", Api::Compute, &action, Some(&metadata)).map(drop)
}

/// Whether every service of the cloud has reported since `since` (seconds since 1970); says which has not.
pub(crate) fn all_reported(cloud: Cloud<'_>, client: &Client<'_>, since: u64) -> Result<()> {
    let fresh = |item: &Value, key: &str| item[key].as_str().and_then(epoch).is_some_and(|at| at >= since);
    let compute = client.get(Api::Compute, "/v2.1/os-services")?;
    for host in cloud.hosts() {
        let up = |item: &Value| item["host"] == host && item["state"] == "up" && fresh(item, "updated_at");
        if !compute["services"].as_array().is_some_and(|all| all.iter().any(up)) {
            bail!("nova-compute of {host} has not reported");
        }
    }
    let volume = client.get(Api::Volume, &format!("/v3/{}/os-services", client.project))?;
    for binary in ["cinder-scheduler", "cinder-volume"] {
        let up = |item: &Value| item["binary"] == binary && item["state"] == "up" && fresh(item, "updated_at");
        if !volume["services"].as_array().is_some_and(|all| all.iter().any(up)) {
            bail!("{binary} has not reported");
        }
    }
    // The scheduler learns of the pools by itself, after the service has reported.
    let pools = format!("/v3/{}/scheduler-stats/get_pools?detail=true", client.project);
    let pools = client.get(Api::Volume, &pools)?;
    let told = |pool: &Value| pool["capabilities"]["location_info"].is_string();
    if !pools["pools"].as_array().is_some_and(|all| all.iter().any(told)) {
        bail!("the pools of cinder-volume are not known to cinder-scheduler");
    }
    let network = client.get(Api::Network, "/v2.0/agents")?;
    let [first, ..] = cloud.hosts();
    let bridges = cloud.hosts().map(|host| ("Linux bridge agent", host));
    for (kind, host) in bridges
        .into_iter()
        .chain([("L3 agent", first.clone()), ("DHCP agent", first)])
    {
        let up = |item: &Value| {
            item["agent_type"] == kind
                && item["host"] == host
                && item["alive"] == true
                && fresh(item, "heartbeat_timestamp")
        };
        if !network["agents"].as_array().is_some_and(|all| all.iter().any(up)) {
            bail!("{kind} of {host} has not reported");
        }
    }
    Ok(())
}

/// Seconds since 1970 of `2026-11-21T22:05:00.000000` or `2026-11-21 22:05:00`, which are UTC here.
fn epoch(text: &str) -> Option<u64> {
    let numbers: Vec<u64> = text
        .get(..19)?
        .split(['-', 'T', ' ', ':'])
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    let [year, month, day, hour, minute, second] = numbers.try_into().ok()?;
    // days since 1970 of the proleptic Gregorian calendar, with years that begin in March
    let (year, month) = if month <= 2 {
        (year.checked_sub(1)?, month + 9)
    } else {
        (year, month.checked_sub(3)?)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day.checked_sub(1)?;
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_services_are_read() {
        assert_eq!(epoch("1970-01-01T00:00:00.000000"), Some(0));
        assert_eq!(epoch("2000-02-29 12:00:01"), Some(951_825_601));
        assert_eq!(epoch("2026-11-21T22:05:00.000000"), Some(1_795_298_700));
        assert_eq!(epoch("soon"), None);
    }
}
