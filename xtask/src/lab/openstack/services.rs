//! The processes of a cloud: what each is called, runs and reads. Knows how to write them down, not when to start them.
use super::{
    cloud::{Api, Cloud},
    overrides::{program_path, python_path},
};
use crate::lab::process::{Group, Spec};
use std::{ffi::OsString, path::PathBuf};

/// The API process of a service.
pub(crate) fn api(cloud: Cloud<'_>, api: Api) -> Spec {
    match api {
        Api::Identity => uwsgi(cloud, Api::Identity, "/usr/bin/keystone-wsgi-public")
            .env("OS_KEYSTONE_CONFIG_FILES", cloud.config("keystone.conf")),
        Api::Placement => uwsgi(cloud, Api::Placement, "/usr/bin/placement-api")
            .env("OS_PLACEMENT_CONFIG_DIR", cloud.config("placement")),
        Api::Image => python(cloud, "glance-api", "glance-api", &["glance-api.conf"]),
        Api::Compute => python(cloud, "nova-api", "nova-api", &["nova.conf"]),
        Api::Network => python(
            cloud,
            "neutron-server",
            "neutron-server",
            &["neutron.conf", "ml2_conf.ini"],
        ),
        Api::Volume => python(cloud, "cinder-api", "cinder-api", &["cinder.conf"]),
    }
}

/// Cinder's other processes.
pub(crate) fn volume_services(cloud: Cloud<'_>) -> [Spec; 2] {
    ["cinder-scheduler", "cinder-volume"].map(|name| python(cloud, name, name, &["cinder.conf"]))
}

/// Nova's processes that compute hosts wait for.
pub(crate) fn compute_services(cloud: Cloud<'_>) -> [Spec; 2] {
    ["nova-conductor", "nova-scheduler"].map(|name| python(cloud, name, name, &["nova.conf"]))
}

/// Nova's process of every compute host.
pub(crate) fn compute_hosts(cloud: Cloud<'_>) -> [Spec; 3] {
    cloud.hosts().map(|host| {
        let own = format!("nova-compute-{host}.conf");
        python(
            cloud,
            &format!("nova-compute-{}", suffix(&host)),
            "nova-compute",
            &["nova.conf", &own],
        )
    })
}

/// Neutron's agents: one bridge agent per compute host, one for routers, one for addresses.
pub(crate) fn network_agents(cloud: Cloud<'_>) -> Vec<Spec> {
    let bridge = cloud.hosts().map(|host| {
        let own = format!("linuxbridge-{host}.ini");
        let name = format!("neutron-linuxbridge-{}", suffix(&host));
        let spec = python(cloud, &name, "neutron-linuxbridge-agent", &["neutron.conf", &own]);
        spec.env("PATH", program_path(cloud.state))
    });
    let others = [("l3", "l3_agent.ini"), ("dhcp", "dhcp_agent.ini")].map(|(kind, own)| {
        let name = format!("neutron-{kind}-agent");
        own_run(python(cloud, &name, &name, &["neutron.conf", own]))
    });
    bridge.into_iter().chain(others).collect()
}

/// Puts a process into a mount namespace with a `/run` of its own. A starting router agent deletes every router
/// namespace it does not know, so the two clouds' agents must not see each other's; and this way the networks of a site
/// end with its agents.
fn own_run(mut spec: Spec) -> Spec {
    const ENTER: &str = r#"mount -t tmpfs tmpfs /run && mkdir /run/netns && exec "$@""#;
    let program = std::mem::replace(&mut spec.command, "/usr/bin/unshare".into());
    let enter = ["--mount", "--propagation", "slave", "--", "/bin/sh", "-c", ENTER, "sh"].map(OsString::from);
    let agent = std::iter::once(program.into()).chain(std::mem::take(&mut spec.args));
    spec.args = enter.into_iter().chain(agent).collect();
    spec
}

/// The cache of token checks.
pub(crate) fn memcached(cloud: Cloud<'_>) -> Spec {
    let args = [
        "-u",
        "root",
        "-l",
        cloud.address(),
        "-p",
        "11211",
        "-U",
        "0",
        "-m",
        "32",
        "-t",
        "1",
    ];
    spec(cloud, "memcached", "/usr/bin/memcached", args)
}

/// `comp-1` of `a-comp-1`.
fn suffix(host: &str) -> &str {
    host.split_once('-').map_or(host, |(_, rest)| rest)
}

fn spec(cloud: Cloud<'_>, name: &str, program: &str, args: impl IntoIterator<Item = impl Into<OsString>>) -> Spec {
    Spec::new(Group::Openstack, Some(cloud.site), cloud.named(name), program, args)
        .env("HOME", cloud.dir())
        .env("TMPDIR", temporary(cloud))
}

/// Privilege helpers make their sockets here.
pub(crate) fn temporary(cloud: Cloud<'_>) -> PathBuf {
    cloud.dir().join("tmp")
}

fn python(cloud: Cloud<'_>, name: &str, program: &str, configs: &[&str]) -> Spec {
    let files = configs
        .iter()
        .flat_map(|file| [OsString::from("--config-file"), cloud.config(file).into()]);
    spec(cloud, name, &format!("/usr/bin/{program}"), files).env("PYTHONPATH", python_path(cloud.state))
}

fn uwsgi(cloud: Cloud<'_>, api: Api, application: &str) -> Spec {
    let url = cloud.root_url(api);
    let socket = url.trim_start_matches("http://");
    let args = [
        "--plugins",
        "python3",
        "--http-socket",
        socket,
        "--wsgi-file",
        application,
        "--processes",
        "1",
        "--threads",
        "8",
        "--enable-threads",
        "--lazy-apps",
        "--need-app",
        "--die-on-term",
        "--buffer-size",
        "65535",
        "--listen",
        "100",
        "--disable-logging",
        // it resets kept-alive connections after a PUT without a body
        "--add-header",
        "Connection: close",
    ];
    spec(cloud, api.service(), "/usr/bin/uwsgi-core", args)
}
