//! The OpenStack half of the lab: two clouds of real services on the two Ceph clusters, sharing a database server and
//! a message broker; each has a second broker for its notifications. Two compute hosts of each cloud are pretended (no guest runs there, everything else is real), one
//! runs real guests by emulation.
//!
//! Lives here: the verbs, and what waits for what when a cloud starts. What a process is called and reads is in
//! [`services`] and [`config`]; what the tests find in a cloud is in [`identity`] and [`seed`].
mod api;
mod broker;
mod cloud;
mod config;
mod hypervisor;
mod identity;
mod network;
mod overrides;
mod packages;
mod progress;
mod schema;
mod seed;
mod services;
mod shared;
mod summary;

use self::{
    api::{Client, probe},
    cloud::{Api, Cloud},
    hypervisor::Orphans,
    progress::{Part, Progress},
};
use super::{
    Site,
    process::{Group, Spec, Supervisor},
    state::State,
};
use anyhow::{Result, bail};
use std::{
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Brings both clouds up; what runs already is left alone.
pub(crate) fn up(state: &State) -> Result<()> {
    super::packages::install("openstack", packages::PACKAGES)?;
    start_clouds(state, &Cloud::both(state))
}

/// Brings one killed cloud back.
pub(crate) fn start(state: &State, site: Site) -> Result<()> {
    start_clouds(state, &[Cloud { state, site }])
}

/// Stops both clouds, keeps their data.
pub(crate) fn down(state: &State) -> Result<()> {
    let supervisor = Supervisor::new(state);
    supervisor.stop_group(Group::Openstack, None, Duration::from_secs(30))?;
    for cloud in Cloud::both(state) {
        // after nova: it would take the end of a guest for the user's wish, and not start it again
        hypervisor::end_orphans(cloud, Orphans::All, libc::SIGTERM, Duration::from_secs(10))?;
    }
    supervisor.stop_group(Group::Infra, None, Duration::from_secs(30))
}

/// Removes what lies outside the state folder (network namespaces, bridges); everything is stopped already. A lab without
/// clouds leaves the network of another one alone.
pub(crate) fn purge(state: &State) -> Result<()> {
    if state.openstack_dir().exists() {
        network::purge()?;
    }
    Ok(())
}

/// Kills what the supervisor's kill of the site does not reach: its guests' emulators.
pub(crate) fn kill(state: &State, site: Site) -> Result<()> {
    hypervisor::end_orphans(
        Cloud { state, site },
        Orphans::All,
        libc::SIGKILL,
        Duration::from_secs(1),
    )
}

/// Prints how the clouds are: a line per process, and how long each API takes to answer.
pub(crate) fn status(state: &State) -> Result<()> {
    for (record, alive) in Supervisor::new(state).records()? {
        if record.group != Group::Ceph {
            println!(
                "{:28} {:>7}  {}",
                record.name,
                record.pid,
                if alive { "runs" } else { "ENDED" }
            );
        }
    }
    for cloud in Cloud::both(state) {
        for api in Api::ALL {
            let answer = match probe(cloud, api) {
                Ok(took) => format!("answers in {} ms", took.as_millis()),
                Err(error) => format!("DOES NOT ANSWER: {error:#}"),
            };
            println!("{:28} {:>7}  {answer}", cloud.named(api.service()), cloud.root_url(api));
        }
    }
    Ok(())
}

/// Stops the message broker of a site's notifications; every broker, also the one of the services, when no site is named.
pub(crate) fn stop_brokers(state: &State, site: Option<Site>) -> Result<()> {
    broker::stop(state, site)
}

/// Starts them again; they answer when this returns.
pub(crate) fn start_brokers(state: &State, site: Option<Site>) -> Result<()> {
    broker::start(state, site)
}

/// What one start of a cloud shares between its parts.
struct Start<'a> {
    cloud: Cloud<'a>,
    progress: &'a Progress<'a>,
    identity: AtomicBool,
    started_any: AtomicBool,
    running: Mutex<Vec<String>>,
    begun: u64,
}

fn start_clouds(state: &State, clouds: &[Cloud<'_>]) -> Result<()> {
    for cloud in clouds {
        for file in [
            state.ceph_conf(cloud.site),
            state.ceph_keyring(cloud.site, "cinder"),
            state.ceph_keyring(cloud.site, "glance"),
            state.guest_image(),
        ] {
            if !file.exists() {
                bail!("{} is missing: bring up Ceph and the guest first", file.display());
            }
        }
        network::up(*cloud)?;
        config::write_cloud(*cloud)?;
        fs::create_dir_all(services::temporary(*cloud))?;
    }
    config::write_shared(state)?;
    overrides::write(state)?;
    schema::end_leftovers(state)?;
    let progress = Progress::new(state);
    broker::up(state, clouds, &progress)?;
    shared::up(state, &progress)?;
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let starts: Vec<Start<'_>> = clouds
        .iter()
        .map(|cloud| Start {
            cloud: *cloud,
            progress: &progress,
            identity: AtomicBool::new(false),
            started_any: AtomicBool::new(false),
            running: Mutex::default(),
            begun,
        })
        .collect();
    progress.together(starts.iter().flat_map(Start::parts).collect())?;
    summary::publish(state)
}

impl<'a> Start<'a> {
    /// What comes up at once. Each part waits for what it needs of the others.
    fn parts(&'a self) -> Vec<Part<'a>> {
        vec![
            Box::new(|| self.base()),
            Box::new(|| self.identity()),
            Box::new(|| self.simple(Api::Image)),
            Box::new(|| self.simple(Api::Placement)),
            Box::new(|| self.volume()),
            Box::new(|| self.compute()),
            Box::new(|| self.network()),
            Box::new(|| self.content()),
        ]
    }

    fn base(&self) -> Result<()> {
        self.run(&[services::memcached(self.cloud)])?;
        hypervisor::up(self.cloud, self.progress)
    }

    fn identity(&self) -> Result<()> {
        self.simple(Api::Identity)?;
        identity::seed(self.cloud)?;
        self.identity.store(true, Ordering::Release);
        self.say("users and catalogue are there");
        Ok(())
    }

    /// A service of one process.
    fn simple(&self, api: Api) -> Result<()> {
        schema::ensure(self.cloud, api)?;
        if api == Api::Image {
            // the others speak to the broker late or never
            broker::wait(self.progress, self.cloud)?;
        }
        let process = services::api(self.cloud, api);
        self.run(std::slice::from_ref(&process))?;
        self.wait_api(api, &[&process.name])
    }

    fn volume(&self) -> Result<()> {
        schema::ensure(self.cloud, Api::Volume)?;
        broker::wait(self.progress, self.cloud)?;
        self.run(&services::volume_services(self.cloud))?;
        self.run(&[services::api(self.cloud, Api::Volume)])
    }

    fn compute(&self) -> Result<()> {
        schema::ensure(self.cloud, Api::Compute)?;
        broker::wait(self.progress, self.cloud)?;
        // nova's processes end when they cannot log in
        self.wait_identity()?;
        self.run(&services::compute_services(self.cloud))?;
        self.run(&[services::api(self.cloud, Api::Compute)])?;
        // a compute host that finds no conductor waits; one that finds no placement comes back only a minute later
        self.wait_api(Api::Placement, &[])?;
        let conductor = self.cloud.named("nova-conductor");
        broker::wait_consumed(self.progress, self.cloud, "conductor", &[&conductor])?;
        self.run(&services::compute_hosts(self.cloud))
    }

    fn network(&self) -> Result<()> {
        schema::ensure(self.cloud, Api::Network)?;
        broker::wait(self.progress, self.cloud)?;
        let server = services::api(self.cloud, Api::Network);
        self.run(std::slice::from_ref(&server))?;
        // agents that ask too early ask again only a minute later
        for queue in ["q-plugin", "q-reports-plugin", "q-l3-plugin"] {
            broker::wait_consumed(self.progress, self.cloud, queue, &[&server.name])?;
        }
        self.wait_api(Api::Network, &[&server.name])?;
        if !self
            .progress
            .supervisor()
            .alive(&self.cloud.named("neutron-dhcp-agent"))?
        {
            // they hold the last agent's namespaces, and those the devices the new agent will make again
            let grace = Duration::from_secs(5);
            hypervisor::end_orphans(self.cloud, Orphans::AddressServers, libc::SIGTERM, grace)?;
        }
        self.run(&services::network_agents(self.cloud))
    }

    /// What the tests find, and the proof that every service is there.
    fn content(&self) -> Result<()> {
        self.wait_identity()?;
        for api in Api::ALL {
            self.wait_api(api, &[])?;
        }
        self.say("all APIs answer");
        let client = Client::login(self.cloud, identity::ADMIN, identity::ADMIN_PROJECT)?;
        seed::resources(self.cloud, &client)?;
        self.say("image, flavors, volume types and networks are there");
        let what = format!("{}: all services to report", self.cloud.name());
        self.progress.wait(&what, &[], || {
            let since = if self.started_any.load(Ordering::Acquire) {
                self.begun
            } else {
                0
            };
            if let Err(ended) = self.none_ended() {
                return Ok(Some(Err(ended)));
            }
            seed::all_reported(self.cloud, &client, since).map(|()| Some(Ok(())))
        })??;
        self.say("all services have reported");
        let what = format!("{}: the libvirt host kept apart", self.cloud.name());
        self.progress
            .wait(&what, &[], || seed::isolate_libvirt(self.cloud, &client).map(Some))
    }

    fn run(&self, specs: &[Spec]) -> Result<()> {
        for spec in specs {
            if self.progress.supervisor().start(spec)? {
                self.started_any.store(true, Ordering::Release);
            }
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.push(spec.name.clone());
        }
        Ok(())
    }

    /// Fails when a process that was started, or found running, has ended.
    fn none_ended(&self) -> Result<()> {
        let names = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        names
            .iter()
            .try_for_each(|name| self.progress.supervisor().must_live(name))
    }

    fn wait_api(&self, api: Api, needs: &[&str]) -> Result<()> {
        let what = format!("{}: {}", self.cloud.name(), api.service());
        self.progress
            .wait(&what, needs, || probe(self.cloud, api).map(Some))
            .map(drop)
    }

    fn wait_identity(&self) -> Result<()> {
        let what = format!("{}: users and catalogue", self.cloud.name());
        self.progress
            .wait(&what, &[], || Ok(self.identity.load(Ordering::Acquire).then_some(())))
    }

    fn say(&self, what: &str) {
        self.progress.say(&format!("{}: {what}", self.cloud.name()));
    }
}

/// Where a site's services listen.
pub(crate) fn address(state: &State, site: Site) -> &'static str {
    Cloud { state, site }.address()
}
