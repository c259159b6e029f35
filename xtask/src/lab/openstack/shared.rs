//! What both clouds share besides the broker: the database server, one process, one schema per cloud and service in it. A
//! killed site does not take it along.
use super::{
    broker,
    cloud::{Cloud, PASSWORD, SHARED_ADDRESS},
    config::shared_dir,
    progress::Progress,
};
use crate::lab::{
    Site,
    command::{run, run_with_input},
    process::{Group, Spec},
    state::{State, write_file},
};
use anyhow::{Context, Result};
use std::{fmt::Write as _, fs, path::Path, process::Command, time::Duration};

/// Schemas of each cloud, named after their service.
pub(crate) const SCHEMAS: [&str; 8] = [
    "keystone",
    "glance",
    "placement",
    "nova_api",
    "nova",
    "nova_cell0",
    "neutron",
    "cinder",
];
/// Record and log name.
pub(crate) const DATABASE: &str = "mariadb";
const DEADLINE: Duration = Duration::from_secs(60);

/// Starts the database; it answers when this returns.
pub(crate) fn up(state: &State, progress: &Progress<'_>) -> Result<()> {
    let dir = shared_dir(state);
    write_file(&dir.join("init.sql"), initial_sql()?.as_bytes(), 0o600)?;
    install_database(state)?;
    let defaults = format!("--defaults-file={}", dir.join("my.cnf").display());
    let spec = Spec::new(Group::Infra, None, DATABASE, "/usr/sbin/mariadbd", [defaults]);
    progress.supervisor().start(&spec)?;
    progress.wait("MariaDB", &[DATABASE], || {
        broker::connects(SHARED_ADDRESS, 3306).map(Some)
    })?;
    progress.say("MariaDB answers");
    Ok(())
}

/// Drops and makes a schema: what an interrupted run left in it cannot be migrated.
pub(crate) fn recreate_schema(cloud: Cloud<'_>, schema: &str) -> Result<()> {
    let name = cloud.schema(schema);
    let sql = format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb3;");
    run_with_input(&mut client(cloud.state, "mariadb"), sql.as_bytes(), DEADLINE).map(drop)
}

/// Writes a schema with all its rows to a file.
pub(crate) fn dump_schema(cloud: Cloud<'_>, schema: &str, file: &Path) -> Result<()> {
    let dump = run(client(cloud.state, "mariadb-dump").arg(cloud.schema(schema)), DEADLINE)?.stdout;
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    write_file(file, dump.as_bytes(), 0o600)
}

/// Fills an empty schema from a file.
pub(crate) fn load_schema(cloud: Cloud<'_>, schema: &str, file: &Path) -> Result<()> {
    let dump = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    run_with_input(
        client(cloud.state, "mariadb").arg(cloud.schema(schema)),
        &dump,
        DEADLINE,
    )
    .map(drop)
}

/// The database's own programs, as its administrator: the socket knows us.
fn client(state: &State, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg("--no-defaults")
        .arg("--socket")
        .arg(shared_dir(state).join("mariadb.sock"));
    command
}

fn install_database(state: &State) -> Result<()> {
    let dir = shared_dir(state);
    let (data, done) = (dir.join("mariadb"), dir.join("mariadb.installed"));
    if done.exists() {
        return Ok(());
    }
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let mut install = Command::new("mariadb-install-db");
    install
        .arg(format!("--defaults-file={}", dir.join("my.cnf").display()))
        .args(["--skip-test-db", "--auth-root-authentication-method=socket"]);
    run(&mut install, DEADLINE).context("install the database")?;
    Ok(fs::write(done, "")?)
}

/// Runs at every start of the server: schemas and users that are missing.
fn initial_sql() -> Result<String> {
    let mut sql = String::new();
    for site in Site::BOTH {
        let letter = site.letter();
        writeln!(
            sql,
            "CREATE USER IF NOT EXISTS 'os_{letter}'@'%' IDENTIFIED BY '{PASSWORD}';"
        )?;
        for schema in SCHEMAS {
            writeln!(
                sql,
                "CREATE DATABASE IF NOT EXISTS {schema}_{letter} CHARACTER SET utf8mb3;"
            )?;
            writeln!(sql, "GRANT ALL PRIVILEGES ON {schema}_{letter}.* TO 'os_{letter}'@'%';")?;
        }
    }
    Ok(sql)
}
