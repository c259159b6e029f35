//! What both clouds share: the database server and the message broker, one process each, one schema or vhost per
//! cloud and service in them. A killed site does not take them along.
use super::{
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
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

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
/// Record and log names.
pub(crate) const DATABASE: &str = "mariadb";
/// Record and log name.
pub(crate) const BROKER: &str = "rabbitmq";
const PORT_MAPPER: &str = "epmd";
const MAPPER_PORT: u16 = 4370;
const DEADLINE: Duration = Duration::from_secs(60);

/// Starts both; the database answers when this returns, the broker may not yet.
pub(crate) fn up(state: &State, progress: &Progress<'_>) -> Result<()> {
    let dir = shared_dir(state);
    let broker = dir.join("rabbitmq");
    write_file(&dir.join("init.sql"), initial_sql()?.as_bytes(), 0o600)?;
    write_file(
        &broker.join("definitions.json"),
        &serde_json::to_vec_pretty(&definitions())?,
        0o600,
    )?;
    write_file(&broker.join("enabled_plugins"), b"[rabbitmq_management].\n", 0o600)?;
    write_file(
        &broker.join("advanced.config"),
        format!(
            "[{{kernel, [{{inet_dist_use_interface, {{{}}}}}]}}].\n",
            SHARED_ADDRESS.replace('.', ",")
        )
        .as_bytes(),
        0o600,
    )?;
    let [mapper, server] = broker_specs(state);
    progress.supervisor().start(&mapper)?;
    progress.wait("epmd", &[], || connects(MAPPER_PORT))?;
    progress.supervisor().start(&server)?;
    install_database(state)?;
    let defaults = format!("--defaults-file={}", dir.join("my.cnf").display());
    let spec = Spec::new(Group::Infra, None, DATABASE, "/usr/sbin/mariadbd", [defaults]);
    progress.supervisor().start(&spec)?;
    progress.wait("MariaDB", &[DATABASE], || connects(3306))?;
    progress.say("MariaDB answers");
    Ok(())
}

/// Waits for the broker.
pub(crate) fn wait_broker(progress: &Progress<'_>) -> Result<()> {
    let ready = || {
        let vhosts = management("vhosts")?;
        let named = |name: &str| {
            vhosts
                .as_array()
                .is_some_and(|all| all.iter().any(|vhost| vhost["name"] == name))
        };
        Ok((named("cloud-a") && named("cloud-b") && connects(5672)?.is_some()).then_some(()))
    };
    progress.wait("RabbitMQ", &[BROKER], ready)
}

/// Waits until somebody listens to a queue of a cloud: then the service behind it is really there.
pub(crate) fn wait_consumed(progress: &Progress<'_>, cloud: Cloud<'_>, queue: &str, needs: &[&str]) -> Result<()> {
    let path = format!("queues/{}/{queue}", cloud.name());
    let what = format!("{}: somebody listening to {queue}", cloud.name());
    progress.wait(&what, needs, || {
        let consumers = management(&path)?["consumers"].as_u64().unwrap_or(0);
        Ok((consumers > 0).then_some(()))
    })
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

fn connects(port: u16) -> Result<Option<()>> {
    let address: SocketAddr = format!("{SHARED_ADDRESS}:{port}").parse()?;
    TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    Ok(Some(()))
}

/// One question to the broker's management API.
fn management(path: &str) -> Result<Value> {
    let url = format!("http://admin:{PASSWORD}@{SHARED_ADDRESS}:15672/api/{path}");
    let timeout = Some(Duration::from_secs(5));
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(timeout).build().into();
    // the URL of an error would show the password
    let mut answer = agent
        .get(url)
        .call()
        .map_err(|error| anyhow::anyhow!("RabbitMQ's {path}: {error}"))?;
    Ok(answer.body_mut().read_json()?)
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

/// Vhosts and users, and a bound for the queues that collect notifications nobody reads.
fn definitions() -> Value {
    let all =
        |user: &str, vhost: &str| json!({"user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"});
    let mut users = vec![json!({"name": "admin", "password": PASSWORD, "tags": "administrator"})];
    let (mut vhosts, mut permissions, mut policies) = (Vec::new(), Vec::new(), Vec::new());
    for letter in Site::BOTH.map(Site::letter) {
        let (user, vhost) = (format!("os_{letter}"), format!("cloud-{letter}"));
        users.push(json!({"name": user, "password": PASSWORD, "tags": ""}));
        permissions.extend([all(&user, &vhost), all("admin", &vhost)]);
        policies.push(json!({
            "vhost": vhost, "name": "bound-notifications", "pattern": "^(versioned_)?notifications\\.",
            "apply-to": "queues", "definition": {"max-length": 20000}, "priority": 0,
        }));
        vhosts.push(json!({"name": vhost}));
    }
    json!({"users": users, "vhosts": vhosts, "permissions": permissions, "policies": policies})
}

/// The port mapper is started first and by us: the broker would start one that nobody owns.
fn broker_specs(state: &State) -> [Spec; 2] {
    let dir = shared_dir(state).join("rabbitmq");
    let common = |spec: Spec| {
        spec.env("HOME", &dir)
            .env("LC_ALL", "C.UTF-8")
            .env("ERL_EPMD_ADDRESS", SHARED_ADDRESS)
            .env("ERL_EPMD_PORT", MAPPER_PORT.to_string())
    };
    let mapper = Spec::new(
        Group::Infra,
        None,
        PORT_MAPPER,
        "/usr/bin/epmd",
        ["-address", SHARED_ADDRESS],
    );
    let broker = Spec::new(
        Group::Infra,
        None,
        BROKER,
        "/usr/lib/rabbitmq/bin/rabbitmq-server",
        [""; 0],
    )
    .env("RABBITMQ_NODENAME", "neverstop@localhost")
    .env("RABBITMQ_DIST_PORT", "25673")
    // the script then becomes the broker, instead of waiting beside it
    .env("RUNNING_UNDER_SYSTEMD", "1")
    .env("RABBITMQ_CONF_ENV_FILE", dir.join("none"))
    .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
    .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("advanced.config"))
    .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("enabled_plugins"))
    .env("RABBITMQ_FEATURE_FLAGS_FILE", dir.join("feature_flags"))
    .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
    .env("RABBITMQ_LOG_BASE", dir.join("log"))
    .env("RABBITMQ_PID_FILE", dir.join("pid"))
    // an idle Erlang spins otherwise
    .env(
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
        "+sbwt none +sbwtdcpu none +sbwtdio none",
    );
    [common(mapper), common(broker)]
}
