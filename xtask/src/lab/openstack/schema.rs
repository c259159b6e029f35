//! The services' schemas: migrated once, by whichever cloud comes first, and copied to the other one; a hundred
//! migrations cost far more than loading their result. A mark per cloud and service says that its schema is complete;
//! without it, what is there was left by an interrupted run and is dropped first.
use super::{
    cloud::{Api, Cloud, PASSWORD, REGION},
    config::shared_dir,
    overrides::python_path,
    shared::{dump_schema, load_schema, recreate_schema},
};
use crate::lab::{
    command::{run, wait_until},
    procfs,
    state::State,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The longest is neutron's, a hundred migrations.
const DEADLINE: Duration = Duration::from_secs(600);
/// One per service: the second cloud waits for the first one's migration.
static MIGRATION: [Mutex<()>; Api::ALL.len()] = [const { Mutex::new(()) }; Api::ALL.len()];

/// Makes the schemas of one service in one cloud.
pub(crate) fn ensure(cloud: Cloud<'_>, api: Api) -> Result<()> {
    let mark = cloud.dir().join("schema").join(api.service());
    if mark.exists() {
        return Ok(());
    }
    migrated(cloud, api)?;
    manage(cloud, api, &own_commands(cloud, api))?;
    mark.parent().map_or(Ok(()), fs::create_dir_all)?;
    Ok(fs::write(mark, "")?)
}

/// Ends migrations of a run that was killed: they would write into the schemas that this run makes anew.
pub(crate) fn end_leftovers(state: &State) -> Result<()> {
    let script = shared_dir(state).join("manage.py").display().to_string();
    let left = || -> Result<Vec<u32>> {
        let all = procfs::all()?.into_values().filter(|stat| !stat.zombie);
        Ok(all
            .map(|stat| stat.pid)
            .filter(|pid| procfs::arguments(*pid).contains(&script))
            .collect())
    };
    wait_until("leftover migrations to end", Duration::from_secs(20), || {
        let pids = left()?;
        pids.iter().for_each(|pid| procfs::signal(*pid, libc::SIGKILL));
        Ok(pids.is_empty().then_some(()))
    })
}

/// Schemas as the migrations leave them, still without anything of this cloud.
fn migrated(cloud: Cloud<'_>, api: Api) -> Result<()> {
    let _turn = MIGRATION[api as usize].lock().unwrap_or_else(PoisonError::into_inner);
    let dump = |schema: &str| shared_dir(cloud.state).join("schema").join(format!("{schema}.sql"));
    let copied = |schema: &str| -> Result<()> {
        recreate_schema(cloud, schema)?;
        load_schema(cloud, schema, &dump(schema))
    };
    let schemas = schemas(api);
    if schemas.iter().all(|schema| dump(schema).exists()) {
        schemas.iter().try_for_each(|schema| copied(schema))?;
    } else {
        schemas.iter().try_for_each(|schema| recreate_schema(cloud, schema))?;
        manage(cloud, api, &migrations(cloud, api))?;
        schemas
            .iter()
            .try_for_each(|schema| dump_schema(cloud, schema, &dump(schema)))?;
    }
    if api == Api::Compute {
        // the cell of servers that reach no host: the same tables as any other cell
        recreate_schema(cloud, "nova_cell0")?;
        load_schema(cloud, "nova_cell0", &dump("nova"))?;
    }
    Ok(())
}

fn schemas(api: Api) -> &'static [&'static str] {
    match api {
        Api::Identity => &["keystone"],
        Api::Image => &["glance"],
        Api::Placement => &["placement"],
        Api::Compute => &["nova_api", "nova"],
        Api::Network => &["neutron"],
        Api::Volume => &["cinder"],
    }
}

/// The management program of a service, as a Python module.
fn program(api: Api) -> &'static str {
    match api {
        Api::Identity => "keystone.cmd.manage",
        Api::Image => "glance.cmd.manage",
        Api::Placement => "placement.cmd.manage",
        Api::Compute => "nova.cmd.manage",
        Api::Network => "neutron.db.migration.cli",
        Api::Volume => "cinder.cmd.manage",
    }
}

type Words = Vec<String>;

fn words(cloud: Cloud<'_>, files: &[&str], words: &str) -> Words {
    let file = |file: &&str| format!("--config-file={}", cloud.config(file).display());
    files
        .iter()
        .map(file)
        .chain(words.split_whitespace().map(str::to_owned))
        .collect()
}

fn migrations(cloud: Cloud<'_>, api: Api) -> Vec<Words> {
    match api {
        Api::Identity => vec![words(cloud, &["keystone.conf"], "db_sync")],
        Api::Image => vec![words(cloud, &["glance-api.conf"], "db_sync")],
        Api::Placement => vec![words(cloud, &["placement/placement.conf"], "db sync")],
        Api::Compute => {
            vec![
                words(cloud, &["nova.conf"], "api_db sync"),
                words(cloud, &["nova.conf"], "db sync --local_cell"),
            ]
        }
        Api::Network => vec![words(cloud, &["neutron.conf", "ml2_conf.ini"], "upgrade heads")],
        Api::Volume => vec![words(cloud, &["cinder.conf"], "db sync")],
    }
}

/// What each cloud needs for itself.
fn own_commands(cloud: Cloud<'_>, api: Api) -> Vec<Words> {
    match api {
        Api::Identity => {
            let url = cloud.endpoint(Api::Identity);
            let keys = "--keystone-user root --keystone-group root";
            let bootstrap = format!(
                "bootstrap --bootstrap-region-id {REGION} --bootstrap-admin-url {url} --bootstrap-public-url {url} \
                 --bootstrap-internal-url {url}"
            );
            let run = |text: &str| words(cloud, &["keystone.conf"], text);
            vec![
                run(&format!("fernet_setup {keys}")),
                run(&format!("credential_setup {keys}")),
                run(&bootstrap),
            ]
        }
        Api::Compute => {
            // a template: nova fills in the database connection it is configured with
            let cell0 = format!(
                "cell_v2 map_cell0 --database_connection {{scheme}}://{{username}}:{{password}}@{{hostname}}/{}",
                cloud.schema("nova_cell0")
            );
            let run = |text: &str| words(cloud, &["nova.conf"], text);
            vec![run(&cell0), run("cell_v2 create_cell --name cell1")]
        }
        Api::Image | Api::Placement | Api::Network | Api::Volume => Vec::new(),
    }
}

fn manage(cloud: Cloud<'_>, api: Api, commands: &[Words]) -> Result<()> {
    if commands.is_empty() {
        return Ok(());
    }
    let script: PathBuf = shared_dir(cloud.state).join("manage.py");
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(script)
        .arg(program(api))
        .args(commands.join(&";;".to_owned()))
        .env("OS_BOOTSTRAP_PASSWORD", PASSWORD)
        .env("PYTHONPATH", python_path(cloud.state))
        .env("HOME", cloud.dir())
        .current_dir(cloud.dir());
    run(&mut command, DEADLINE).with_context(|| format!("{}: schema of {}", cloud.name(), api.service()))?;
    Ok(())
}
