//! The message brokers, each a RabbitMQ: one by which the services of both clouds talk among themselves, and one of each
//! cloud, at which its services tell of changes and NeverStop listens with TLS. Larger clouds are built like this: a broker
//! of notifications that is away costs the telling, not the work of the services.
//!
//! Knows a broker's files, users and process, and whether it answers; nothing of what is said there.
use super::{
    cloud::{Cloud, PASSWORD, SHARED_ADDRESS},
    config::shared_dir,
    progress::Progress,
};
use crate::lab::{
    Site,
    command::run,
    process::{Group, Spec, Supervisor},
    state::{State, write_file},
};
use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Where every broker listens without TLS: the services do not use it.
const PLAIN_PORT: u16 = 5672;
/// Where a broker of notifications listens with TLS.
pub(crate) const TLS_PORT: u16 = 5671;
/// Who NeverStop is to a broker of notifications.
pub(crate) const LISTENER: &str = "neverstop";
const PORT_MAPPER: &str = "epmd";
const MAPPER_PORT: u16 = 4370;
/// How long a broker may take to write down what it has and end.
const GRACE: Duration = Duration::from_secs(30);

/// One of the three.
#[derive(Clone, Copy, Debug)]
enum Broker<'a> {
    /// The services' own.
    Services(&'a State),
    /// A cloud's, for its notifications.
    Notifications(Cloud<'a>),
}

impl<'a> Broker<'a> {
    /// Those of a site; all of them when none is named.
    fn of(state: &'a State, site: Option<Site>) -> Vec<Self> {
        let cloud = |site| Self::Notifications(Cloud { state, site });
        match site {
            Some(site) => vec![cloud(site)],
            None => std::iter::once(Self::Services(state))
                .chain(Site::BOTH.map(cloud))
                .collect(),
        }
    }

    fn name(self) -> String {
        match self {
            Self::Services(_) => "rabbitmq".to_owned(),
            Self::Notifications(cloud) => cloud.named("rabbitmq"),
        }
    }

    fn address(self) -> &'static str {
        match self {
            Self::Services(_) => SHARED_ADDRESS,
            Self::Notifications(cloud) => cloud.address(),
        }
    }

    /// Where Erlang's own protocol listens. A port of its own each: a starting node tries it on every address.
    fn distribution_port(self) -> u16 {
        match self {
            Self::Services(_) => 25_673,
            Self::Notifications(cloud) => match cloud.site {
                Site::A => 25_674,
                Site::B => 25_675,
            },
        }
    }

    fn dir(self) -> PathBuf {
        match self {
            Self::Services(state) => shared_dir(state),
            Self::Notifications(cloud) => cloud.dir(),
        }
        .join("rabbitmq")
    }

    fn config(self) -> PathBuf {
        match self {
            Self::Services(_) => self.dir().join("rabbitmq.conf"),
            Self::Notifications(cloud) => cloud.config("rabbitmq.conf"),
        }
    }

    fn vhosts(self) -> Vec<(String, String)> {
        let of = |letter: &str| (format!("os_{letter}"), format!("cloud-{letter}"));
        match self {
            Self::Services(_) => Site::BOTH.map(Site::letter).map(of).to_vec(),
            Self::Notifications(cloud) => vec![(cloud.user(), cloud.name())],
        }
    }

    /// Vhosts and users, and a bound for the queues that collect notifications nobody reads.
    fn definitions(self) -> Value {
        let all = [".*"; 3];
        let user = |name: &str, tags: &str| json!({"name": name, "password": PASSWORD, "tags": tags});
        let may = |user: &str, vhost: &str, [configure, write, read]: [&str; 3]| json!({"user": user, "vhost": vhost, "configure": configure, "write": write, "read": read});
        let mut users = Vec::new();
        let (mut vhosts, mut permissions, mut policies) = (Vec::new(), Vec::new(), Vec::new());
        for (name, vhost) in self.vhosts() {
            users.push(user(&name, ""));
            permissions.push(may(&name, &vhost, all));
            match self {
                Self::Services(_) => permissions.push(may("admin", &vhost, all)),
                Self::Notifications(_) => {
                    // The least that listening needs: what an operator would be told to give.
                    let own = "^neverstop\\.";
                    let read = "^(neverstop\\..*|nova|neutron|openstack|keystone)$";
                    users.push(user(LISTENER, ""));
                    permissions.push(may(LISTENER, &vhost, [own, own, read]));
                    policies.push(json!({
                        "vhost": vhost, "name": "bound-notifications", "pattern": "^(versioned_)?notifications\\.",
                        "apply-to": "queues", "definition": {"max-length": 20000}, "priority": 0,
                    }));
                }
            }
            vhosts.push(json!({"name": vhost}));
        }
        if matches!(self, Self::Services(_)) {
            users.push(user("admin", "administrator"));
        }
        json!({"users": users, "vhosts": vhosts, "permissions": permissions, "policies": policies})
    }

    /// What it reads besides its configuration file.
    fn write_files(self) -> Result<()> {
        let dir = self.dir();
        fs::create_dir_all(&dir)?;
        let definitions = serde_json::to_vec_pretty(&self.definitions())?;
        write_file(&dir.join("definitions.json"), &definitions, 0o600)?;
        // The waits of `up` ask how many listen to a queue.
        let plugins: &[u8] = match self {
            Self::Services(_) => b"[rabbitmq_management].\n",
            Self::Notifications(_) => b"[].\n",
        };
        write_file(&dir.join("enabled_plugins"), plugins, 0o600)?;
        let interface = self.address().replace('.', ",");
        let advanced = format!("[{{kernel, [{{inet_dist_use_interface, {{{interface}}}}}]}}].\n");
        write_file(&dir.join("advanced.config"), advanced.as_bytes(), 0o600)?;
        match self {
            Self::Services(_) => Ok(()),
            Self::Notifications(cloud) => certify(cloud),
        }
    }

    fn spec(self) -> Spec {
        let (dir, name) = (self.dir(), self.name());
        let site = match self {
            Self::Services(_) => None,
            Self::Notifications(cloud) => Some(cloud.site),
        };
        let node = match site {
            Some(site) => format!("notifications_{}@localhost", site.letter()),
            None => "neverstop@localhost".to_owned(),
        };
        let program = "/usr/lib/rabbitmq/bin/rabbitmq-server";
        erlang(Spec::new(Group::Infra, site, name, program, [""; 0]), &dir)
            .env("RABBITMQ_NODENAME", node)
            .env("RABBITMQ_DIST_PORT", self.distribution_port().to_string())
            // the script then becomes the broker, instead of waiting beside it
            .env("RUNNING_UNDER_SYSTEMD", "1")
            .env("RABBITMQ_CONF_ENV_FILE", dir.join("none"))
            .env("RABBITMQ_CONFIG_FILE", self.config())
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
            )
    }

    /// Waits until it takes connections, and has read its definitions: it reads them before it listens.
    fn wait(self, progress: &Progress<'_>) -> Result<()> {
        let name = self.name();
        let ports: &[u16] = match self {
            Self::Services(_) => &[PLAIN_PORT],
            Self::Notifications(_) => &[PLAIN_PORT, TLS_PORT],
        };
        progress.wait(&name, &[&name], || {
            ports.iter().try_for_each(|port| connects(self.address(), *port))?;
            // It answers after the broker itself; the waits for consumers ask it.
            if matches!(self, Self::Services(_)) {
                management("vhosts")?;
            }
            Ok(Some(()))
        })
    }
}

/// Starts the services' broker and those of these clouds; they may not answer yet when this returns.
pub(crate) fn up(state: &State, clouds: &[Cloud<'_>], progress: &Progress<'_>) -> Result<()> {
    let clouds = clouds.iter().map(|cloud| Broker::Notifications(*cloud));
    let brokers: Vec<_> = std::iter::once(Broker::Services(state)).chain(clouds).collect();
    run_brokers(state, &brokers, progress)
}

/// Starts the brokers of a site, or all, and waits until they answer. They have to have been up before.
pub(crate) fn start(state: &State, site: Option<Site>) -> Result<()> {
    let (brokers, progress) = (Broker::of(state, site), Progress::new(state));
    run_brokers(state, &brokers, &progress)?;
    brokers.iter().try_for_each(|broker| broker.wait(&progress))
}

/// Stops the brokers of a site, or all, as an operator would: each writes down what it has to keep, and ends.
pub(crate) fn stop(state: &State, site: Option<Site>) -> Result<()> {
    let names: Vec<_> = Broker::of(state, site).into_iter().map(Broker::name).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    Supervisor::new(state).stop(&names, GRACE)
}

fn run_brokers(state: &State, brokers: &[Broker<'_>], progress: &Progress<'_>) -> Result<()> {
    let supervisor = progress.supervisor();
    // The port mapper is started first and by us: a broker would start one that nobody owns.
    let mapper = Spec::new(
        Group::Infra,
        None,
        PORT_MAPPER,
        "/usr/bin/epmd",
        ["-address", SHARED_ADDRESS],
    );
    for broker in brokers {
        broker.write_files()?;
    }
    supervisor.start(&erlang(mapper, &Broker::Services(state).dir()))?;
    progress.wait(PORT_MAPPER, &[], || connects(SHARED_ADDRESS, MAPPER_PORT).map(Some))?;
    for broker in brokers {
        supervisor.start(&broker.spec())?;
    }
    Ok(())
}

/// Waits for the services' broker and for a cloud's.
pub(crate) fn wait(progress: &Progress<'_>, cloud: Cloud<'_>) -> Result<()> {
    Broker::Services(cloud.state).wait(progress)?;
    Broker::Notifications(cloud).wait(progress)
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

/// Where the services of a cloud talk among themselves.
pub(crate) fn transport(cloud: Cloud<'_>) -> String {
    url(cloud, SHARED_ADDRESS)
}

/// Where the services of a cloud tell of changes.
pub(crate) fn notifications(cloud: Cloud<'_>) -> String {
    url(cloud, cloud.address())
}

fn url(cloud: Cloud<'_>, address: &str) -> String {
    format!(
        "rabbit://{}:{PASSWORD}@{address}:{PLAIN_PORT}/{}",
        cloud.user(),
        cloud.name()
    )
}

/// Folder of the lab's own authority and the certificates it gave.
fn authority_dir(state: &State) -> PathBuf {
    shared_dir(state).join("authority")
}

/// Certificate of the lab's own authority.
pub(crate) fn authority(state: &State) -> PathBuf {
    authority_dir(state).join("ca.pem")
}

/// Gives a cloud's broker a certificate from the lab's authority, and makes that before the first.
fn certify(cloud: Cloud<'_>) -> Result<()> {
    let dir = authority_dir(cloud.state);
    fs::create_dir_all(&dir)?;
    // A file that was begun and not finished is made anew: it gets its name last.
    let make = |file: &str, arguments: &[&str]| -> Result<()> {
        let new = format!("{file}.new");
        let mut command = Command::new("openssl");
        command.args(arguments).args(["-out", &new]).current_dir(&dir);
        run(&mut command, Duration::from_secs(30))?;
        Ok(fs::rename(dir.join(new), dir.join(file))?)
    };
    let key = ["-newkey", "rsa:2048", "-nodes", "-keyout"];
    let days = ["-days", "3650"];
    if !authority(cloud.state).exists() {
        let subject = ["ca.key", "-subj", "/CN=neverstop-lab"];
        make("ca.pem", &[&["req", "-x509"], &days[..], &key, &subject].concat())?;
    }
    let of = |ending: &str| cloud.named(&format!("broker.{ending}"));
    let (certificate, names, request) = (of("pem"), of("names"), of("csr"));
    if dir.join(&certificate).exists() {
        return Ok(());
    }
    let address = format!("subjectAltName=IP:{}\n", cloud.address());
    write_file(&dir.join(&names), address.as_bytes(), 0o600)?;
    let subject = [&of("key"), "-subj", "/CN=broker"];
    make(&request, &[&["req"], &key[..], &subject].concat())?;
    let sign = ["x509", "-req", "-in", &request, "-extfile", &names];
    let authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    make(&certificate, &[&sign[..], &authority, &days].concat())
}

fn erlang(spec: Spec, home: &Path) -> Spec {
    spec.env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env("ERL_EPMD_ADDRESS", SHARED_ADDRESS)
        .env("ERL_EPMD_PORT", MAPPER_PORT.to_string())
}

/// Whether somebody listens there.
pub(crate) fn connects(address: &str, port: u16) -> Result<()> {
    let address: SocketAddr = format!("{address}:{port}").parse()?;
    Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1)).map(drop)?)
}

/// One question to the management API of the services' broker.
fn management(path: &str) -> Result<Value> {
    let url = format!("http://admin:{PASSWORD}@{SHARED_ADDRESS}:15672/api/{path}");
    let timeout = Some(Duration::from_secs(5));
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(timeout).build().into();
    // the URL of an error would show the password
    let mut answer = agent
        .get(url)
        .call()
        .map_err(|error| anyhow!("RabbitMQ's {path}: {error}"))?;
    Ok(answer.body_mut().read_json()?)
}
