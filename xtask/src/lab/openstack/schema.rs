//! The services' schemas: made once per cloud and service. A mark says that one is complete; without it, what is there
//! was left by an interrupted run and is dropped first.
use super::{
    cloud::{Api, Cloud, PASSWORD, REGION},
    config::shared_dir,
    services::python_path,
    shared::recreate_schema,
};
use crate::lab::command::run;
use anyhow::{Context, Result};
use std::{fs, process::Command, time::Duration};

/// The longest is neutron's, a hundred migrations.
const DEADLINE: Duration = Duration::from_secs(300);

/// Makes the schemas of one service.
pub(crate) fn ensure(cloud: Cloud<'_>, api: Api) -> Result<()> {
    let mark = cloud.dir().join("schema").join(api.service());
    if mark.exists() {
        return Ok(());
    }
    for schema in schemas(api) {
        recreate_schema(cloud, schema)?;
    }
    let (module, commands) = commands(cloud, api);
    let mut command = Command::new("/usr/bin/python3");
    command.arg(shared_dir(cloud.state).join("manage.py")).arg(module);
    for (at, words) in commands.iter().enumerate() {
        if at > 0 {
            command.arg(";;");
        }
        command.args(words);
    }
    command
        .env("OS_BOOTSTRAP_PASSWORD", PASSWORD)
        .env("PYTHONPATH", python_path(cloud.state))
        .current_dir(cloud.dir());
    run(&mut command, DEADLINE).with_context(|| format!("{}: schema of {}", cloud.name(), api.service()))?;
    mark.parent().map_or(Ok(()), fs::create_dir_all)?;
    Ok(fs::write(mark, "")?)
}

fn schemas(api: Api) -> &'static [&'static str] {
    match api {
        Api::Identity => &["keystone"],
        Api::Image => &["glance"],
        Api::Placement => &["placement"],
        Api::Compute => &["nova_api", "nova", "nova_cell0"],
        Api::Network => &["neutron"],
        Api::Volume => &["cinder"],
    }
}

/// The management program of a service, and what to run with it in order.
fn commands(cloud: Cloud<'_>, api: Api) -> (&'static str, Vec<Vec<String>>) {
    let with = |files: &[&str], words: &str| -> Vec<String> {
        let files = files
            .iter()
            .map(|file| format!("--config-file={}", cloud.config(file).display()));
        files.chain(words.split_whitespace().map(str::to_owned)).collect()
    };
    match api {
        Api::Identity => {
            let url = cloud.endpoint(Api::Identity);
            let bootstrap = format!(
                "bootstrap --bootstrap-region-id {REGION} --bootstrap-admin-url {url} --bootstrap-public-url {url} \
                 --bootstrap-internal-url {url}"
            );
            let keys = "--keystone-user root --keystone-group root";
            let run = |words: &str| with(&["keystone.conf"], words);
            (
                "keystone.cmd.manage",
                vec![
                    run(&format!("fernet_setup {keys}")),
                    run(&format!("credential_setup {keys}")),
                    run("db_sync"),
                    run(&bootstrap),
                ],
            )
        }
        Api::Image => ("glance.cmd.manage", vec![with(&["glance-api.conf"], "db_sync")]),
        Api::Placement => (
            "placement.cmd.manage",
            vec![with(&["placement/placement.conf"], "db sync")],
        ),
        Api::Compute => {
            let run = |words: &str| with(&["nova.conf"], words);
            // map_cell0 finds the schema nova_cell0 only by this name
            let cell0 =
                "cell_v2 map_cell0 --database_connection {scheme}://{username}:{password}@{hostname}/nova_cell0_";
            (
                "nova.cmd.manage",
                vec![
                    run("api_db sync"),
                    run(&format!("{cell0}{}", cloud.site.letter())),
                    run("db sync"),
                    run("cell_v2 create_cell --name cell1"),
                ],
            )
        }
        Api::Network => (
            "neutron.db.migration.cli",
            vec![with(&["neutron.conf", "ml2_conf.ini"], "upgrade heads")],
        ),
        Api::Volume => ("cinder.cmd.manage", vec![with(&["cinder.conf"], "db sync")]),
    }
}
