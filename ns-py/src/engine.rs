//! Engines and sessions as Python holds them.

use crate::error;
use crate::face::{self, Args};
use crate::provider::{Connector, Given};
use crate::runtime::{self, Owned};
use crate::sim::SimWorld;
use crate::stream::Stream;
use crate::time::WorldTime;
use crate::work::{self, Answer, Left, Pending, Place, Work};
use ns_ceph::CephConnector;
use ns_core::model::{ClusterId, ConnectionSettings, JobId};
use ns_core::ports::SequentialIds;
use ns_core::provider::{CloudConnector, StorageConnector};
use ns_core::sealing::{FixedKeys, HostKey, KeyFile, Secrets};
use ns_core::session::Connection;
use ns_core::sim::SimStore;
use ns_core::store::{MemoryStore, PostgresOptions, PostgresStore, SqliteStore, Store};
use ns_core::{EngineBuilder, Error, ErrorKind, Providers as CoreProviders, Result};
use ns_openstack::OpenStackConnector;
use ns_probe::NetworkProbe;
use pyo3::prelude::*;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What an engine is made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// `memory:`, `sqlite:///path` or `postgresql://…`.
    store: String,
    node: Option<String>,
    support_contact: Option<String>,
    reach_fixed_ips: bool,
    settings: Option<ns_core::Settings>,
    /// The file with the keys that secrets are sealed with; made when there is none.
    keys: Option<PathBuf>,
}

fn bad_config(field: &str, message: impl Into<String>, remedy: &str) -> Error {
    Error::new(ErrorKind::Invalid, "python.connect", message)
        .with_field(field)
        .with_remedy(remedy)
}

/// A store in the time of the world, if there is one.
fn in_time_of<S: Store + 'static>(store: S, world: Option<&World>) -> Arc<dyn Store> {
    match world {
        Some((_, clock)) => Arc::new(SimStore::new(store, clock.clone())),
        None => Arc::new(store),
    }
}

type World = (ns_core::sim::SimWorld, ns_core::sim::SimClock);

async fn store(url: &str, world: Option<&World>) -> Result<Arc<dyn Store>> {
    if url == "memory:" {
        return Ok(in_time_of(MemoryStore::default(), world));
    }
    if let Some(path) = url.strip_prefix("sqlite:///") {
        let path = PathBuf::from(path);
        let opened = tokio::task::spawn_blocking(|| SqliteStore::open(path)).await;
        let opened = opened.map_err(|e| {
            Error::new(ErrorKind::Internal, "python.open", "opening the store was given up").with_source(e)
        })??;
        return Ok(in_time_of(opened, world));
    }
    if url.starts_with("postgresql://") || url.starts_with("postgres://") {
        let opened = PostgresStore::connect(&url.into(), &PostgresOptions::default()).await?;
        return Ok(in_time_of(opened, world));
    }
    // The URL is not quoted: it may hold a password.
    let remedy =
        "give memory:, sqlite:///folder/file.db (four slashes for an absolute path) or postgresql://user@host/database";
    Err(bad_config("store", "this is no URL of a store", remedy))
}

fn key_file(path: &Path) -> Result<KeyFile> {
    if path.exists() {
        KeyFile::open(path)
    } else {
        KeyFile::create(path)
    }
}

#[derive(Debug, Clone)]
struct Made {
    engine: ns_core::Engine,
    connectors: Connectors,
    place: Place,
}

/// The connectors of an engine, for connections that it does not keep.
#[derive(Debug, Clone)]
struct Connectors {
    clouds: Vec<Arc<dyn CloudConnector>>,
    storages: Vec<Arc<dyn StorageConnector>>,
}

impl Connectors {
    fn new(world: Option<&World>) -> Self {
        let mut known = Self {
            clouds: vec![Arc::new(OpenStackConnector)],
            storages: vec![Arc::new(CephConnector::new())],
        };
        if let Some((world, _)) = world {
            known.clouds.push(Arc::new(world.connector()));
            known.storages.push(Arc::new(world.connector()));
        }
        known
    }

    /// Adds those that Python brings.
    fn with(mut self, brought: Brought, time: Option<&WorldTime>) -> Result<Self> {
        let taken = |argument: &str, kind: &str| {
            let message = format!("there is a connector {kind} already");
            bad_config(argument, message, "give the provider another name")
        };
        for given in brought.clouds {
            let connector = Connector::new(given, time.cloned())?;
            let kind = CloudConnector::platform(&connector);
            if self.clouds.iter().any(|known| known.platform() == kind) {
                return Err(taken("clouds", kind));
            }
            self.clouds.push(Arc::new(connector));
        }
        for given in brought.storages {
            let connector = Connector::new(given, time.cloned())?;
            let kind = StorageConnector::kind(&connector);
            if self.storages.iter().any(|known| known.kind() == kind) {
                return Err(taken("storages", kind));
            }
            self.storages.push(Arc::new(connector));
        }
        Ok(self)
    }

    fn add_to(&self, mut builder: EngineBuilder) -> EngineBuilder {
        for cloud in &self.clouds {
            builder = builder.cloud_connector(cloud.clone());
        }
        for storage in &self.storages {
            builder = builder.storage_connector(storage.clone());
        }
        builder
    }

    async fn providers(&self, connection: &Connection) -> Result<CoreProviders> {
        let unknown = |half: &str, kind: &str| {
            bad_config(
                &format!("{half}.kind"),
                format!("there is no connector {kind}"),
                "see clusters.connectors()",
            )
        };
        let (cloud, storage) = (&connection.cloud, &connection.storage);
        let clouds = self.clouds.iter().find(|c| c.platform() == cloud.kind);
        let storages = self.storages.iter().find(|c| c.kind() == storage.kind);
        let clouds = clouds.ok_or_else(|| unknown("cloud", &cloud.kind))?;
        let storages = storages.ok_or_else(|| unknown("storage", &storage.kind))?;
        Ok(CoreProviders {
            cloud: clouds.connect(&cloud.settings, &cloud.secrets).await?,
            storage: storages.connect(&storage.settings, &storage.secrets).await?,
        })
    }
}

/// Connectors that Python brings.
struct Brought {
    clouds: Vec<Given>,
    storages: Vec<Given>,
}

async fn make(config: Config, connectors: Connectors, world: Option<World>, place: Place, still: bool) -> Result<Made> {
    let mut builder = ns_core::Engine::builder(store(&config.store, world.as_ref()).await?);
    builder = connectors.add_to(builder);
    builder = match &config.keys {
        Some(path) => builder.key_source(Arc::new(key_file(path)?)),
        // Nothing of it outlives the process.
        None if config.store == "memory:" => builder.key_source(Arc::new(FixedKeys::new(HostKey::random("memory")?))),
        None => builder,
    };
    builder = match world {
        Some((_, clock)) => builder.clock(Arc::new(clock)),
        // Where a simulated server says that it is, there may be a real one.
        None => builder.readiness_probe(Arc::new(match config.reach_fixed_ips {
            true => NetworkProbe::new()?.fixed_ips(),
            false => NetworkProbe::new()?,
        })),
    };
    if still {
        builder = builder.ids(Arc::new(SequentialIds::default()));
    }
    if let Some(node) = config.node {
        builder = builder.node(node);
    }
    if let Some(contact) = config.support_contact {
        builder = builder.support_contact(contact);
    }
    if let Some(settings) = config.settings {
        builder = builder.settings(settings);
    }
    Ok(Made {
        engine: builder.build()?,
        connectors,
        place,
    })
}

/// Makes an engine; it does nothing until it is started.
#[pyfunction]
#[pyo3(signature = (config, world=None, clouds=None, storages=None))]
pub(crate) fn open(
    py: Python<'_>,
    config: &[u8],
    world: Option<&SimWorld>,
    clouds: Option<Vec<Given>>,
    storages: Option<Vec<Given>>,
) -> PyResult<Engine> {
    let config: Config = serde_json::from_slice(config)
        .map_err(|e| error::exception(py, &bad_config("config", e.to_string(), "see help(neverstop.connect)")))?;
    let time = world.map(SimWorld::time);
    let still = world.is_some_and(SimWorld::is_still);
    let place = world.map(SimWorld::place).transpose()?;
    let world = world.map(SimWorld::parts).transpose()?;
    let runtime = runtime::handle()?;
    let connectors = Connectors::new(world.as_ref()).with(
        Brought {
            clouds: clouds.unwrap_or_default(),
            storages: storages.unwrap_or_default(),
        },
        time.as_ref(),
    );
    let connectors = connectors.map_err(|e| error::exception(py, &e))?;
    let making = make(config, connectors, world, place.clone(), still);
    let made = py.detach(|| match place {
        None => runtime.block_on(making),
        Some(alone) => runtime.block_on(alone.handle().spawn(making)).unwrap_or_else(|e| {
            let message = "making the engine was given up";
            Err(Error::new(ErrorKind::Internal, "python.open", message).with_source(e))
        }),
    });
    let made = made.map_err(|e| error::exception(py, &e))?;
    Ok(Engine { made: Owned::new(made) })
}

/// An engine.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct Engine {
    made: Owned<Made>,
}

impl Engine {
    fn begin(&self, py: Python<'_>, verb: &str, args: &[u8]) -> PyResult<(Work, Left)> {
        let Made { engine, place, .. } = self.made.get()?.clone();
        let begun = Args::read(args, None).and_then(|args| face::begin_engine(engine, verb, args, &place));
        let (work, left) = begun.map_err(|e| error::exception(py, &e))?;
        Ok((work::placed(work, left, &place), left))
    }
}

#[pymethods]
impl Engine {
    /// Does a verb and waits for its answer.
    #[pyo3(signature = (verb, args, timeout=None))]
    fn call(&self, py: Python<'_>, verb: &str, args: &[u8], timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let (work, left) = self.begin(py, verb, args)?;
        work::wait(py, work, left, timeout)
    }

    /// The same from an event loop.
    fn call_soon(
        &self,
        py: Python<'_>,
        verb: &str,
        args: &[u8],
        event_loop: Py<PyAny>,
        deliver: Py<PyAny>,
    ) -> PyResult<Pending> {
        let (work, left) = self.begin(py, verb, args)?;
        work::spawn(work, left, event_loop, deliver)
    }

    /// The engine as somebody sees it whom the program vouches for.
    fn session(&self, py: Python<'_>, actor: &[u8]) -> PyResult<Session> {
        let made = self.made.get()?;
        let actor = face::actor(actor).map_err(|e| error::exception(py, &e))?;
        Ok(Session::new(made.engine.session(actor), made.place.clone()))
    }

    /// Makes providers by a connection that the engine does not keep.
    fn providers(&self, py: Python<'_>, cloud: Half, storage: Half) -> PyResult<Providers> {
        let made = self.made.get()?;
        let connection = Connection {
            cloud: cloud.into_core(),
            storage: storage.into_core(),
        };
        let runtime = runtime::handle()?;
        let connectors = made.connectors.clone();
        let connecting = async move { connectors.providers(&connection).await };
        let providers = py.detach(|| match &made.place {
            None => runtime.block_on(connecting),
            Some(alone) => runtime.block_on(alone.handle().spawn(connecting)).unwrap_or_else(|e| {
                Err(Error::new(ErrorKind::Internal, "python.connect", "connecting was given up").with_source(e))
            }),
        });
        let providers = providers.map_err(|e| error::exception(py, &e))?;
        Ok(Providers {
            inner: Owned::new(providers),
        })
    }

    /// Gives an engine that was made anew the providers of a cluster.
    fn attach(&self, cluster: &str, providers: &Providers) -> PyResult<()> {
        let providers = providers.inner.get()?.clone();
        self.made.get()?.engine.attach(&ClusterId::from(cluster), providers);
        Ok(())
    }
}

/// One half of a connection: connector, settings and secrets.
#[derive(FromPyObject)]
struct Half(String, Vec<(String, String)>, Vec<(String, String)>);

impl Half {
    fn into_core(self) -> ns_core::session::HalfConnection {
        let secrets = self.2.into_iter().map(|(name, secret)| (name, secret.into()));
        ns_core::session::HalfConnection {
            kind: self.0,
            settings: self.1.into_iter().collect::<ConnectionSettings>(),
            secrets: secrets.collect::<Secrets>(),
        }
    }
}

/// The providers of one cluster.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct Providers {
    inner: Owned<CoreProviders>,
}

/// The engine as one actor sees it.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct Session {
    inner: Owned<(ns_core::Session, Place)>,
}

impl Session {
    pub(crate) fn new(session: ns_core::Session, place: Place) -> Self {
        Self {
            inner: Owned::new((session, place)),
        }
    }

    fn begin(&self, py: Python<'_>, verb: &str, args: &[u8], providers: Option<&Providers>) -> PyResult<(Work, Left)> {
        let (session, place) = self.inner.get()?.clone();
        let providers = providers.map(|p| p.inner.get().cloned()).transpose()?;
        let begun = Args::read(args, providers).and_then(|args| face::begin(session, verb, args));
        let (work, left) = begun.map_err(|e| error::exception(py, &e))?;
        Ok((work::placed(work, left, &place), left))
    }
}

#[pymethods]
impl Session {
    /// Does a verb and waits for its answer.
    #[pyo3(signature = (verb, args, providers=None, timeout=None))]
    fn call(
        &self,
        py: Python<'_>,
        verb: &str,
        args: &[u8],
        providers: Option<&Providers>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let (work, left) = self.begin(py, verb, args, providers)?;
        work::wait(py, work, left, timeout)
    }

    /// The same from an event loop.
    #[pyo3(signature = (verb, args, event_loop, deliver, providers=None))]
    fn call_soon(
        &self,
        py: Python<'_>,
        verb: &str,
        args: &[u8],
        event_loop: Py<PyAny>,
        deliver: Py<PyAny>,
        providers: Option<&Providers>,
    ) -> PyResult<Pending> {
        let (work, left) = self.begin(py, verb, args, providers)?;
        work::spawn(work, left, event_loop, deliver)
    }

    /// Begins a stream.
    fn stream(&self, py: Python<'_>, verb: &str, args: &[u8]) -> PyResult<Stream> {
        let (session, place) = self.inner.get()?.clone();
        let begun = Args::read(args, None).and_then(|args| face::flow(session, verb, args));
        let items = begun.map_err(|e| error::exception(py, &e))?;
        Ok(Stream::new(items, place))
    }

    /// Seconds that the engine by itself takes to read a job's status so many times: what Python's calls are compared with.
    fn job_reads(&self, py: Python<'_>, job: &str, times: u32) -> PyResult<Py<PyAny>> {
        let (session, place) = self.inner.get()?.clone();
        let job = JobId::from(job);
        let reading = async move {
            let begun = Instant::now();
            for _ in 0..times {
                session.jobs().get(&job).await?;
            }
            Answer::json(&begun.elapsed().as_secs_f64())
        };
        work::wait(
            py,
            work::placed(Box::pin(reading), Left::Ends, &place),
            Left::Ends,
            None,
        )
    }

    /// Who acts: name, role and groups.
    fn actor(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        match Answer::json(self.inner.get()?.0.actor()) {
            Ok(Answer::Json(json)) => Ok(json),
            Ok(_) => Ok(Vec::new()),
            Err(e) => Err(error::exception(py, &e)),
        }
    }
}
