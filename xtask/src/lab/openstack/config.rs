//! Configuration files: the templates with a cloud's names filled in. Written anew at every start, so that a changed
//! template reaches an existing lab.
//!
//! A template holds `@NAME@` for a value, and lines that stand for a block every service repeats: `%login USER`,
//! `%authtoken USER`, `%messaging`, `%helper FILE CONTEXT..`.
use super::{
    broker,
    cloud::{Cloud, PASSWORD, REGION, SHARED_ADDRESS},
    network,
};
use crate::lab::{Site, state::State, state::write_file};
use anyhow::{Result, bail};
use std::{fmt::Write as _, fs, path::PathBuf};

const TEMPLATES: &[(&str, &str)] = &[
    ("keystone.conf", include_str!("templates/keystone.conf")),
    ("glance-api.conf", include_str!("templates/glance-api.conf")),
    // the only name placement looks for, in a folder it is told
    ("placement/placement.conf", include_str!("templates/placement.conf")),
    ("cinder.conf", include_str!("templates/cinder.conf")),
    ("nova.conf", include_str!("templates/nova.conf")),
    ("neutron.conf", include_str!("templates/neutron.conf")),
    ("ml2_conf.ini", include_str!("templates/ml2_conf.ini")),
    ("l3_agent.ini", include_str!("templates/l3_agent.ini")),
    ("dhcp_agent.ini", include_str!("templates/dhcp_agent.ini")),
    ("libvirtd.conf", include_str!("templates/libvirtd.conf")),
    ("qemu.conf", include_str!("templates/qemu.conf")),
    ("rabbitmq.conf", include_str!("templates/rabbitmq-notifications.conf")),
];
const FAKE: &str = include_str!("templates/nova-compute-fake.conf");
const LIBVIRT: &str = include_str!("templates/nova-compute-libvirt.conf");
const LINUXBRIDGE: &str = include_str!("templates/linuxbridge.ini");
const SHARED: &[(&str, &str)] = &[
    ("my.cnf", include_str!("templates/my.cnf")),
    ("rabbitmq/rabbitmq.conf", include_str!("templates/rabbitmq.conf")),
    ("manage.py", include_str!("templates/manage.py")),
];

/// Folder of what both clouds share.
pub(crate) fn shared_dir(state: &State) -> PathBuf {
    state.openstack_dir().join("shared")
}

/// Writes every file of a cloud and makes the folders they name.
pub(crate) fn write_cloud(cloud: Cloud<'_>) -> Result<()> {
    let mut values = values(cloud);
    let write = |name: &str, template: &str, values: &[(&str, String)]| {
        let path = cloud.config(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        write_file(&path, render(name, template, values)?.as_bytes(), 0o600)
    };
    for (name, template) in TEMPLATES {
        write(name, template, &values)?;
    }
    values.push(("HOST", String::new()));
    for host in cloud.hosts() {
        if let Some((_, value)) = values.last_mut() {
            value.clone_from(&host);
        }
        let compute = if host == cloud.libvirt_host() { LIBVIRT } else { FAKE };
        write(&format!("nova-compute-{host}.conf"), compute, &values)?;
        write(&format!("linuxbridge-{host}.ini"), LINUXBRIDGE, &values)?;
        fs::create_dir_all(cloud.dir().join(&host).join("instances"))?;
    }
    for dir in [
        "lock",
        "cinder/coordination",
        "glance/staging",
        "glance/staging-store",
        "glance/tasks-store",
        "keystone",
        "neutron",
        "nova",
    ] {
        fs::create_dir_all(cloud.dir().join(dir))?;
    }
    Ok(())
}

/// Writes the files of what both clouds share.
pub(crate) fn write_shared(state: &State) -> Result<()> {
    let dir = shared_dir(state);
    fs::create_dir_all(dir.join("rabbitmq"))?;
    let values = [
        ("SHARED", dir.display().to_string()),
        ("SHARED_ADDRESS", SHARED_ADDRESS.to_owned()),
    ];
    for (name, template) in SHARED {
        write_file(&dir.join(name), render(name, template, &values)?.as_bytes(), 0o600)?;
    }
    Ok(())
}

fn values(cloud: Cloud<'_>) -> Vec<(&'static str, String)> {
    let plan = network::plan(cloud.site);
    let user = cloud.user();
    let format = match cloud.site {
        // the two forms a deployment may have chosen; the engine has to understand both
        Site::A => "cadf",
        Site::B => "basic",
    };
    vec![
        ("LETTER", cloud.site.letter().to_owned()),
        ("ADDRESS", cloud.address().to_owned()),
        ("DIR", cloud.dir().display().to_string()),
        ("CONF", cloud.dir().join("conf").display().to_string()),
        ("CEPH_CONF", cloud.state.ceph_conf(cloud.site).display().to_string()),
        ("LIBVIRT", cloud.libvirt_dir().display().to_string()),
        ("LIBVIRT_URI", cloud.libvirt_uri()),
        ("SECRET_ID", cloud.secret_id().to_owned()),
        ("KEYSTONE_FORMAT", format.to_owned()),
        ("EXTERNAL_BRIDGE", plan.external_bridge.to_owned()),
        ("TUNNEL_ADDRESS", plan.tunnel.to_string()),
        ("VNI_RANGE", plan.vni_range.to_owned()),
        (
            "DATABASE",
            format!("mysql+pymysql://{user}:{PASSWORD}@{SHARED_ADDRESS}"),
        ),
        ("TRANSPORT", broker::transport(cloud)),
        ("NOTIFICATIONS", broker::notifications(cloud)),
        ("SHARED", shared_dir(cloud.state).display().to_string()),
    ]
}

fn render(name: &str, template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut text = String::new();
    for line in template.lines() {
        match line.strip_prefix('%') {
            Some(block) => text.push_str(&expand(block)?),
            None => writeln!(text, "{line}")?,
        }
    }
    for (key, value) in values {
        text = text.replace(&format!("@{key}@"), value);
    }
    if let Some(left) = text.lines().find(|line| line.matches('@').count() > 1) {
        bail!("{name}: no value for a name in `{left}`");
    }
    Ok(text)
}

fn expand(block: &str) -> Result<String> {
    let words: Vec<&str> = block.split_whitespace().collect();
    Ok(match words.as_slice() {
        ["login", user] => login(user),
        ["authtoken", user] => format!(
            "[keystone_authtoken]\nwww_authenticate_uri = http://@ADDRESS@:5000\nmemcached_servers = @ADDRESS@:11211\n\
             {}service_token_roles = service\nservice_token_roles_required = true\n",
            login(user)
        ),
        // What cannot be told is lost: a service that tells again and again does not do its work meanwhile.
        ["messaging"] => "[oslo_messaging_notifications]\ndriver = messagingv2\ntopics = notifications\n\
             transport_url = @NOTIFICATIONS@\nretry = 0\n\
             [oslo_messaging_rabbit]\nheartbeat_in_pthread = false\n[oslo_concurrency]\nlock_path = @DIR@/lock\n"
            .to_owned(),
        ["helper", file, contexts @ ..] => contexts
            .iter()
            .map(|context| {
                format!("[{context}]\nhelper_command = /usr/bin/privsep-helper --config-file @CONF@/{file}\n")
            })
            .collect(),
        _ => bail!("unknown block `{block}`"),
    })
}

fn login(user: &str) -> String {
    format!(
        "auth_url = http://@ADDRESS@:5000\nauth_type = password\nproject_domain_name = Default\n\
         user_domain_name = Default\nproject_name = service\nusername = {user}\npassword = {PASSWORD}\n\
         region_name = {REGION}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_value_is_refused() {
        let values = [("HERE", "x".to_owned())];
        assert_eq!(render("t", "a = @HERE@\n", &values).unwrap(), "a = x\n");
        assert!(render("t", "a = @THERE@\n", &values).is_err());
        assert!(render("t", "%nothing\n", &values).is_err());
    }
}
