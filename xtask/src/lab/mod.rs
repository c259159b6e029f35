//! The lab: two sites, each a real Ceph cluster under a real OpenStack cloud, from the distribution's packages, on
//! this machine. Every byte it keeps lies under one state folder ([`State`]); `purge` removes that folder.
//!
//! Lives here: the verbs and their order over the halves ([`ceph`], [`guest`], [`openstack`]). The halves know the
//! supervisor ([`process`]) and the state folder, not each other; what one needs of another is a path in [`State`].
pub(crate) mod ceph;
pub(crate) mod command;
pub(crate) mod guest;
pub(crate) mod openstack;
mod ownership;
pub(crate) mod packages;
mod partition;
pub(crate) mod process;
mod procfs;
pub(crate) mod state;

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use process::Supervisor;
use state::State;
use std::time::{Duration, Instant};

/// One of the two sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Site {
    /// Site A
    A,
    /// Site B
    B,
}

impl Site {
    /// Both, in order.
    pub(crate) const BOTH: [Self; 2] = [Self::A, Self::B];

    /// `a` or `b`.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// `site-a` or `site-b`: the Ceph site name, and the folder's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "site-a",
            Self::B => "site-b",
        }
    }
}

/// One half of the lab, to bring up alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The two Ceph clusters
    Ceph,
    /// The guest image
    Guest,
    /// The two OpenStack clouds
    Openstack,
}

/// What is done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Stop it
    Stop,
    /// Start it again
    Start,
}

/// What can be done with the lab.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Bring everything up; quick when it is up already, continues on existing data
    Up {
        /// Bring up only this part
        #[arg(long, value_enum)]
        only: Option<Part>,
    },
    /// Say what runs and how it is
    Status,
    /// Stop everything, keep the data
    Down,
    /// Stop everything and remove the data
    Purge,
    /// SIGKILL every process of a site at once, its guests too: the site is lost
    Kill {
        /// Which site
        site: Site,
        /// Only this process, for example `ceph-b-rbd-mirror`; `lab status` lists them
        only: Option<String>,
    },
    /// Bring a killed site back
    Start {
        /// Which site
        site: Site,
    },
    /// SIGSTOP every process of a site: it hangs without closing a connection
    Freeze {
        /// Which site
        site: Site,
        /// Only this process, for example `ceph-b-rbd-mirror`; `lab status` lists them
        only: Option<String>,
    },
    /// Cut a site off: it goes on working, and nobody can reach it, nor it the other site
    Cut {
        /// Which site
        site: Site,
    },
    /// Let a site that was cut off be reached again
    Mend {
        /// Which site
        site: Site,
    },
    /// Stop or start message brokers as an operator would
    Broker {
        /// Which of both
        #[arg(value_enum)]
        action: Action,
        /// The site whose services tell of changes there; none: every broker, also that by which the services of both
        /// clouds talk among themselves
        site: Option<Site>,
    },
    /// SIGCONT every process of a site
    Thaw {
        /// Which site
        site: Site,
        /// Only this process, for example `ceph-b-rbd-mirror`; `lab status` lists them
        only: Option<String>,
    },
}

/// Runs one verb. What starts or stops services waits for others that do; what looks, kills or freezes does not.
pub(crate) fn run(verb: &Verb) -> Result<()> {
    let state = State::from_env()?;
    let supervisor = Supervisor::new(&state);
    match verb {
        Verb::Up { only } => {
            let _lock = state.lock()?;
            up(&state, *only)
        }
        Verb::Start { site } => {
            let _lock = state.lock()?;
            timed("ceph", || ceph::start(&state, *site))?;
            timed("openstack", || openstack::start(&state, *site))
        }
        Verb::Broker { action, site } => {
            let _lock = state.lock()?;
            timed("broker", || match action {
                Action::Stop => openstack::stop_brokers(&state, *site),
                Action::Start => openstack::start_brokers(&state, *site),
            })
        }
        Verb::Down => {
            let _lock = state.lock()?;
            down(&state)
        }
        Verb::Purge => {
            let _lock = state.lock()?;
            down(&state)?;
            openstack::purge(&state)?;
            ceph::purge(&state)?;
            state.remove()
        }
        Verb::Kill { site, only } => {
            let killed = supervisor.kill_site(*site, only.as_deref())?;
            if only.is_none() {
                openstack::kill(&state, *site)?;
            }
            println!("{}: {killed} processes killed", site.name());
            Ok(())
        }
        Verb::Freeze { site, only } => {
            let stopped = supervisor.freeze(*site, only.as_deref())?;
            println!("{}: {stopped} processes stopped", site.name());
            Ok(())
        }
        Verb::Thaw { site, only } => {
            let continued = supervisor.thaw(*site, only.as_deref())?;
            println!("{}: {continued} processes continued", site.name());
            match only {
                Some(_) => Ok(()),
                None => timed("ceph", || ceph::awake(&state, *site)),
            }
        }
        Verb::Cut { site } => {
            let [own, others] = addresses(&state, *site)?;
            partition::cut(&state, *site, &own, &others)?;
            println!("{}: cut off", site.name());
            Ok(())
        }
        Verb::Mend { site } => {
            let [own, others] = addresses(&state, *site)?;
            partition::mend(&state, *site, &own, &others)?;
            println!("{}: can be reached", site.name());
            Ok(())
        }
        Verb::Status => {
            ceph::status(&state)?;
            openstack::status(&state)
        }
    }
}

/// The addresses of a site, and those of the other one.
fn addresses(state: &State, site: Site) -> Result<[Vec<String>; 2]> {
    let of = |site| -> Result<_> {
        Ok(vec![
            ceph::address(state, site)?,
            openstack::address(state, site).to_owned(),
        ])
    };
    let other = if site == Site::A { Site::B } else { Site::A };
    Ok([of(site)?, of(other)?])
}

fn up(state: &State, only: Option<Part>) -> Result<()> {
    let wanted = |part| only.is_none_or(|one| one == part);
    if wanted(Part::Ceph) {
        timed("ceph", || ceph::up(state))?;
    }
    if wanted(Part::Guest) {
        timed("guest", || guest::up(state))?;
    }
    if wanted(Part::Openstack) {
        timed("openstack", || openstack::up(state))?;
    }
    println!("state folder: {}", state.root().display());
    Ok(())
}

/// Stops the services before the storage they use, then whatever an interrupted run left behind.
fn down(state: &State) -> Result<()> {
    let supervisor = Supervisor::new(state);
    timed("openstack down", || openstack::down(state))?;
    timed("ceph down", || ceph::down(state))?;
    if state.summary().exists() {
        for site in Site::BOTH {
            let [own, others] = addresses(state, site)?;
            partition::mend(state, site, &own, &others)?;
        }
    }
    let left = supervisor.reap(Duration::from_secs(10))?;
    partition::forget(state)?;
    if left > 0 {
        println!("{left} leftover processes ended");
    }
    Ok(())
}

fn timed(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    work().with_context(|| what.to_owned())?;
    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
