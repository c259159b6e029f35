//! The shell: the only room that persists, calls providers and waits.
//!
//! [`Engine`] holds the ports and the providers and runs one `runner` per job. A runner is a loop around the pure
//! rooms: it asks `machine` which transition is due, `planning` for a graph, starts ready tasks through `effect`, and
//! writes what happened to the job's journal through `journal_writer`. Whatever it knows is in the journal, so an engine
//! that died is continued by [`Engine::start`] with nothing but its store.
//!
//! What users call is in [`crate::session`].

mod closing;
mod connections;
mod deliveries;
mod drills;
mod effect;
mod fences;
mod follow;
mod freeze;
mod given_up;
mod history;
mod homecoming;
mod inventory;
mod job_events;
mod journal_writer;
mod lease;
mod leftovers;
mod licensing;
mod logins;
mod manifest;
mod measure;
mod monitor;
mod other_point;
mod outcome;
mod passwords;
mod phases;
mod planner;
mod ready;
mod reconnect;
mod records;
mod remains;
mod remote;
mod reporting;
mod retention;
mod runner;
mod schedule;
mod scrub;
mod settings;
mod standing;
mod sync;
mod takeover;
mod telling;
mod touched;
mod tuning;
mod watch;

pub use measure::{METRICS, Metric, MetricForm};
pub use records::{DOCUMENTS, Evidence, FailbackOffer, VolumeEpoch, reread};
pub use settings::{LogLevel, SettingInfo, SettingUnit, SettingValue, Settings, SettingsUpdate};

pub(crate) use connections::{StoredConnection, StoredHalf};
pub(crate) use follow::{blocking, change, follow_sources, plan_of};
pub(crate) use freeze::{SourceReach, cloned_images, freeze, group_inventory, reach_source};
pub(crate) use history::history;
pub(crate) use journal_writer::first_writes;
pub(crate) use lease::{holder, is_elsewhere};
pub(crate) use licensing::{LICENSE_ID, StoredLicense};
pub(crate) use logins::{attempts_of, logins_of};
pub(crate) use manifest::check as check_manifest;
pub(crate) use measure::newest_points;
pub(crate) use monitor::{answers, named};
pub(crate) use other_point::Choice;
pub(crate) use passwords::random_password;
pub(crate) use planner::{Planner, hypothetical};
pub(crate) use records::{Records, kinds, not_found, put, remove};
pub(crate) use remote::{goes_on, order};
pub(crate) use runner::{Ask, Command};
pub(crate) use scrub::Scrubber;
pub(crate) use settings::check_names;
pub(crate) use standing::rpo_breach;
pub(crate) use sync::{read_cluster, sync_cluster};
pub(crate) use telling::settle;
pub(crate) use watch::{TwoWriters, role_of};

use crate::license::LicensePolicy;
use crate::model::Actor;
use crate::model::{AuditId, ClusterId, JobId, JobState, License};
use crate::ports::{Clock, IdSource, RandomIds, Randomness, ReadinessProbe, Sink, SystemClock, SystemRandomness};
use crate::provider::{Cloud, CloudConnector, Fencing, Storage, StorageConnector};
use crate::sealing::KeySource;
use crate::session::Session;
use crate::store::{MeasuredStore, Store};
use crate::{Error, ErrorKind, Result, rules};
use connections::Connectors;
use futures::future::BoxFuture;
use reconnect::Attachment;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, mpsc};
use tracing::Instrument;
use tuning::{LogHook, Tuning};

/// The providers of one cluster.
#[derive(Debug, Clone)]
pub struct Providers {
    /// Its cloud.
    pub cloud: Cloud,
    /// Its storage.
    pub storage: Storage,
}

/// A job that this engine runs.
#[derive(Debug)]
struct Running {
    commands: mpsc::Sender<Command>,
    /// The position of its last entry; closed when it has finished.
    feed: tokio::sync::watch::Receiver<u64>,
}

/// The runner's ends of a registered job.
#[derive(Debug)]
pub(crate) struct Registered {
    feed: tokio::sync::watch::Sender<u64>,
    inbox: mpsc::Receiver<Command>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    tuning: Tuning,
    pub(crate) license_policy: LicensePolicy,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) node: String,
    pub(crate) support_contact: Option<String>,
    runtime: Handle,
    pub(crate) connectors: Connectors,
    /// Ways out for messages, by name.
    pub(crate) sinks: BTreeMap<String, Arc<dyn Sink>>,
    pub(crate) readiness: Option<Arc<dyn ReadinessProbe>>,
    attachments: Mutex<BTreeMap<ClusterId, Attachment>>,
    fences: Mutex<BTreeMap<ClusterId, Fencing>>,
    inventories: Mutex<BTreeMap<ClusterId, Arc<inventory::Held>>>,
    jobs: Mutex<BTreeMap<JobId, Running>>,
    /// Told whenever something was learned of a cluster.
    pub(crate) cluster_changed: Notify,
    /// Told whenever a job may have let go of its group.
    pub(crate) group_freed: Notify,
    /// So many passwords are hashed at once.
    hashing: Semaphore,
    /// Counts up, so that no two entries of the audit trail that are made here have one id; and what sets them apart from those
    /// of other engines.
    audited: (AtomicU64, String),
    /// Set when the engine shuts down: runners stop at the next safe place.
    stop: tokio::sync::watch::Sender<bool>,
    /// Whether the watch runs, and it looks after jobs that nobody runs.
    started: AtomicBool,
}

/// The engine. Cheap to clone; all clones are one engine.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ns_core::Result<()> {
/// use ns_core::{Engine, store::MemoryStore};
/// use std::sync::Arc;
///
/// let engine = Engine::builder(Arc::new(MemoryStore::default())).build()?;
/// engine.start().await?; // continues the jobs of an engine that died
/// engine.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What an engine is made of; everything has a default but the store.
#[derive(Debug)]
pub struct EngineBuilder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    randomness: Arc<dyn Randomness>,
    settings: Settings,
    on_log_level: Option<LogHook>,
    license_policy: LicensePolicy,
    node: String,
    support_contact: Option<String>,
    runtime: Option<Handle>,
    connectors: Connectors,
    sinks: BTreeMap<String, Arc<dyn Sink>>,
    readiness: Option<Arc<dyn ReadinessProbe>>,
}

impl EngineBuilder {
    /// Another clock than the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Another source of identifiers than random ones.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.ids = ids;
        self
    }

    /// Another source of randomness than the system's, for tests: tokens and first passwords are made of it.
    #[must_use]
    pub fn randomness(mut self, randomness: Arc<dyn Randomness>) -> Self {
        self.randomness = randomness;
        self
    }

    /// Other settings than the defaults. What an Admin changed since ([`Session::settings`]) stands above them.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// What to do with the [log level](Settings::log_level) (SET-02): called when the engine starts and whenever the level changes,
    /// also by another engine on the store. It must not block.
    ///
    /// ```
    /// use ns_core::EngineBuilder;
    /// use tracing_subscriber::filter::LevelFilter;
    /// use tracing_subscriber::{prelude::*, reload};
    ///
    /// # fn example(builder: EngineBuilder) -> EngineBuilder {
    /// let (filter, level) = reload::Layer::new(LevelFilter::INFO);
    /// tracing_subscriber::registry().with(filter).with(tracing_subscriber::fmt::layer()).init();
    /// builder.on_log_level(move |wanted| {
    ///     let _ = level.reload(wanted.as_str().parse().unwrap_or(LevelFilter::INFO));
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn on_log_level(mut self, tell: impl Fn(LogLevel) + Send + Sync + 'static) -> Self {
        self.on_log_level = Some(LogHook(Arc::new(tell)));
        self
    }

    /// What may be registered and protected (CL-06, PG-10, PG-11), by a licence that the host has verified itself; default
    /// everything. The same as [`license_policy`](Self::license_policy) with [`LicensePolicy::Host`].
    #[must_use]
    pub fn license(self, license: License) -> Self {
        self.license_policy(LicensePolicy::Host(license))
    }

    /// Which licence this engine asks for (LIC-04, LIC-12); default none. All engines on a store are given the same.
    ///
    /// ```
    /// use ns_core::license::LicensePolicy;
    /// use ns_core::{EngineBuilder, Result};
    ///
    /// # fn example(builder: EngineBuilder, product_uuid: &str) -> Result<EngineBuilder> {
    /// Ok(builder.license_policy(LicensePolicy::Required {
    ///     public_keys: vec!["11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".parse()?],
    ///     product_uuid: product_uuid.parse()?,
    /// }))
    /// # }
    /// ```
    #[must_use]
    pub fn license_policy(mut self, policy: LicensePolicy) -> Self {
        self.license_policy = policy;
        self
    }

    /// The name under which this engine owns jobs; default `local`. Engines that share a store need different names: a name's
    /// holder continues its own jobs at once after a crash, those of others only when their lease has ended. Of two engines
    /// of one name the one that was started last has the jobs.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = name.into();
        self
    }

    /// Whom to ask for help (OPS-39), as health reports and support bundles tell it; default nobody.
    #[must_use]
    pub fn support_contact(mut self, contact: impl Into<String>) -> Self {
        self.support_contact = Some(contact.into());
        self
    }

    /// The runtime that jobs run on; default the one `build` is called in.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// A way to connect to the clouds of one platform by settings and secrets that the engine keeps (CL-08). One of the same
    /// platform takes its place.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use ns_core::provider::{CloudConnector, StorageConnector};
    /// use ns_core::sealing::KeyFile;
    /// use ns_core::{Engine, EngineBuilder, Result};
    ///
    /// # fn example(builder: EngineBuilder, cloud: Arc<dyn CloudConnector>, storage: Arc<dyn StorageConnector>) -> Result<Engine> {
    /// builder
    ///     .cloud_connector(cloud)
    ///     .storage_connector(storage)
    ///     .key_source(Arc::new(KeyFile::open("/etc/neverstop/keys")?))
    ///     .build()
    /// # }
    /// ```
    #[must_use]
    pub fn cloud_connector(mut self, connector: Arc<dyn CloudConnector>) -> Self {
        self.connectors.clouds.insert(connector.platform(), connector);
        self
    }

    /// The same for one kind of storage.
    #[must_use]
    pub fn storage_connector(mut self, connector: Arc<dyn StorageConnector>) -> Self {
        self.connectors.storages.insert(connector.kind(), connector);
        self
    }

    /// Where the keys come from that secrets are sealed with (SEC-02). Without one the engine keeps no connection.
    #[must_use]
    pub fn key_source(mut self, keys: Arc<dyn KeySource>) -> Self {
        self.connectors.keys = Some(keys);
        self
    }

    /// A way out for messages (NTF-09, NTF-10), under the name by which subscriptions call it. One of the same name takes its place.
    /// A started engine delivers through it; of several engines that have a sink of this name one does at a time.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # fn example(builder: ns_core::EngineBuilder, sink: Arc<dyn ns_core::ports::Sink>) -> ns_core::Result<ns_core::Engine> {
    /// builder.sink("mail", sink).build()
    /// # }
    /// ```
    #[must_use]
    pub fn sink(mut self, name: impl Into<String>, sink: Arc<dyn Sink>) -> Self {
        self.sinks.insert(name.into(), sink);
        self
    }

    /// How it is seen that what runs in recovered servers is [ready](crate::model::ReadinessCheck) (OPEN-16). Without one every such
    /// check fails at once, and plans with checks are warned of.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # fn example(builder: ns_core::EngineBuilder, probe: Arc<dyn ns_core::ports::ReadinessProbe>) -> ns_core::Result<ns_core::Engine> {
    /// builder.readiness_probe(probe).build()
    /// # }
    /// ```
    #[must_use]
    pub fn readiness_probe(mut self, probe: Arc<dyn ReadinessProbe>) -> Self {
        self.readiness = Some(probe);
        self
    }

    /// Makes the engine. It does nothing until [`Engine::start`].
    ///
    /// # Errors
    /// `Invalid` when no runtime was given and none is running, a setting is out of range, a licence is required that nothing
    /// could verify, or a sink has a bad name.
    pub fn build(self) -> Result<Engine> {
        self.settings.check()?;
        self.license_policy.check()?;
        for name in self.sinks.keys() {
            rules::check_name("sink", name)?;
        }
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(|e| {
                Error::new(ErrorKind::Invalid, "engine.runtime", "there is no tokio runtime here")
                    .with_field("runtime")
                    .with_remedy("call `build` inside a runtime, or give one with `runtime`")
                    .with_source(e)
            })?,
        };
        measure::describe();
        let mut mark = [0; 4];
        self.randomness.fill(&mut mark)?;
        let inner = Inner {
            store: Arc::new(MeasuredStore::new(self.store, self.clock.clone())),
            clock: self.clock,
            ids: self.ids,
            tuning: Tuning::new(self.settings, self.on_log_level),
            license_policy: self.license_policy,
            randomness: self.randomness,
            node: self.node,
            support_contact: self.support_contact,
            runtime,
            connectors: self.connectors,
            sinks: self.sinks,
            readiness: self.readiness,
            attachments: Mutex::default(),
            fences: Mutex::default(),
            inventories: Mutex::default(),
            jobs: Mutex::default(),
            cluster_changed: Notify::new(),
            group_freed: Notify::new(),
            hashing: Semaphore::new(4),
            audited: (AtomicU64::new(0), u32::from_le_bytes(mark).to_string()),
            stop: tokio::sync::watch::channel(false).0,
            started: AtomicBool::new(false),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }
}

impl Engine {
    /// An engine on this store.
    #[must_use]
    pub fn builder(store: Arc<dyn Store>) -> EngineBuilder {
        EngineBuilder {
            store,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            license_policy: LicensePolicy::default(),
            randomness: Arc::new(SystemRandomness),
            settings: Settings::default(),
            on_log_level: None,
            node: "local".to_owned(),
            support_contact: None,
            runtime: None,
            connectors: Connectors::default(),
            sinks: BTreeMap::new(),
            readiness: None,
        }
    }

    /// What `actor` may see and do.
    #[must_use]
    pub fn session(&self, actor: Actor) -> Session {
        Session::new(self.inner.clone(), actor)
    }

    /// Gives the providers of a registered cluster to an engine that was made anew, which does not keep them; they stand above
    /// those of a stored connection. Jobs that need a cluster without providers wait for them.
    pub fn attach(&self, cluster: &ClusterId, providers: Providers) {
        self.inner.attach(cluster, providers);
    }

    /// Makes providers of every stored connection whose cluster has none here (CL-08), as [`Engine::start`] does and, from then
    /// on, every [probe interval](Settings::probe_interval): for an engine that is not started. A connection that does not work
    /// leaves its cluster `Inactive`, with the reason.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn reconnect(&self) -> Result<()> {
        self.inner.reconnect().await
    }

    /// Gives the fence of a cluster, which is not stored either. From then on a failover whose source cannot be shown to have
    /// stopped cuts that cluster off first, and promotes nothing before it is seen cut off (unless the force right says
    /// [`without_fence`](crate::model::ForceRight::without_fence)). Rolled back, or once the old copies follow again, it is let
    /// back.
    pub fn attach_fence(&self, cluster: &ClusterId, fence: Fencing) {
        let mut fences = self.inner.fences.lock().unwrap_or_else(PoisonError::into_inner);
        fences.insert(cluster.clone(), fence);
    }

    /// Continues every job that has not finished and that no other node runs, e.g. after a crash; from then on takes over those
    /// of nodes that die (OPEN-24), watches over protected volumes, and looks after clusters (EVT-12). Call it after [`Engine::attach`]; clusters
    /// whose connection is stored need none. The answer names the
    /// jobs that run here now.
    ///
    /// # Errors
    /// Those of the store. A job whose journal does not verify is left alone and reported as `Corrupt` after all others
    /// were started.
    pub async fn start(&self) -> Result<Vec<JobId>> {
        self.inner.reload_settings().await?;
        self.inner.reconnect().await?;
        let mut started = Vec::new();
        let mut broken = None;
        let records = self.inner.records();
        let mut after: Option<String> = None;
        loop {
            let page = records
                .page::<crate::model::JobSummary>(kinds::JOB, after.as_deref(), 100)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.to_string());
            for job in page.into_iter().filter(|j| j.state != JobState::Finished) {
                match Inner::run(&self.inner, job.id.clone()).await {
                    Ok(true) => started.push(job.id),
                    Ok(false) => {}
                    Err(e) => broken = Some(e),
                }
            }
        }
        if !self.inner.started.swap(true, Ordering::Relaxed) {
            let looking = takeover::look_after(Arc::downgrade(&self.inner), self.inner.stop.subscribe());
            self.inner.runtime.spawn(looking);
            self.inner.runtime.spawn(watch::watch(self.inner.clone()));
            if !self.inner.connectors.is_empty() {
                self.inner.runtime.spawn(reconnect::keep_connected(self.inner.clone()));
            }
            for (name, sink) in self.inner.sinks.clone() {
                (self.inner.runtime).spawn(deliveries::deliver(self.inner.clone(), name, sink));
            }
            if self.inner.settings().monitor {
                self.inner.runtime.spawn(monitor::monitor(self.inner.clone()));
            }
        }
        broken.map_or(Ok(started), Err)
    }

    /// Stops at the next safe place: no effect is started any more, those under way are given up and will be looked at by the
    /// next [`Engine::start`]. Jobs stay as they are in the store.
    pub async fn shutdown(&self) {
        self.inner.stop.send_replace(true);
        let feeds: Vec<_> = self.inner.jobs().values().map(|j| j.feed.clone()).collect();
        for mut feed in feeds {
            while feed.changed().await.is_ok() {}
        }
    }
}

impl Inner {
    pub(crate) fn records(&self) -> Records {
        Records::new(self.store.clone())
    }

    /// A new id of the audit trail, in the order of time. Not from the source of ids: what a job is called would depend on how
    /// much is audited.
    pub(crate) fn audit_id(&self) -> AuditId {
        let (count, mark) = &self.audited;
        let count = count.fetch_add(1, Ordering::Relaxed);
        AuditId::new(format!("{:017}-{count:010}-{mark}", self.clock.now().as_microsecond()))
    }

    /// What is held in memory of a cluster's inventory.
    pub(crate) fn held_inventory(&self, cluster: &ClusterId) -> Arc<inventory::Held> {
        let mut all = self.inventories.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(cluster.clone()).or_default().clone()
    }

    fn jobs(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, Running>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to send commands to a job that this engine runs.
    pub(crate) fn commands(&self, job: &JobId) -> Option<mpsc::Sender<Command>> {
        self.jobs().get(job).map(|j| j.commands.clone())
    }

    /// The position of a running job's last entry, to wait for the next.
    pub(crate) fn feed(&self, job: &JobId) -> Option<tokio::sync::watch::Receiver<u64>> {
        self.jobs().get(job).map(|j| j.feed.clone())
    }

    /// Makes a job known before it runs, so that whoever learns of it can wait for it. None when it runs already.
    pub(crate) fn register(&self, job: &JobId) -> Option<Registered> {
        let mut jobs = self.jobs();
        if jobs.contains_key(job) {
            return None;
        }
        let (feed, watcher) = tokio::sync::watch::channel(0);
        let (commands, inbox) = mpsc::channel(16);
        jobs.insert(
            job.clone(),
            Running {
                commands,
                feed: watcher,
            },
        );
        Some(Registered { feed, inbox })
    }

    /// Whether this engine takes over what nobody runs.
    pub(crate) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Runs a job from where its journal ends, unless another node does; whether it runs here now.
    pub(crate) async fn run(this: &Arc<Self>, job: JobId) -> Result<bool> {
        match this.register(&job) {
            Some(registered) => Self::run_registered(this, job, registered).await,
            None => Ok(true),
        }
    }

    /// Runs a registered job, unless another node does. Boxed, because a job may launch the next one.
    pub(crate) fn run_registered(
        this: &Arc<Self>,
        job: JobId,
        registered: Registered,
    ) -> BoxFuture<'static, Result<bool>> {
        let inner = this.clone();
        Box::pin(async move {
            let Registered { feed, inbox } = registered;
            // Before the journal is read: nobody else writes to it then.
            let lease = match lease::JobLease::take(&inner, &job).await {
                Ok(Some(lease)) => lease,
                other => {
                    inner.jobs().remove(&job);
                    return other.map(|_| false);
                }
            };
            let fence = lease.fence();
            let journal = match journal_writer::JournalWriter::load(inner.clone(), job.clone(), feed, fence).await {
                Ok(journal) => journal,
                Err(error) => {
                    inner.jobs().remove(&job);
                    lease.give_back().await?;
                    return Err(error);
                }
            };
            let runner = runner::Runner::new(inner.clone(), journal, lease, inbox, inner.stop.subscribe());
            let runtime = inner.runtime.clone();
            let span = tracing::info_span!("job", job = %job);
            let work = async move {
                match runner.run().await {
                    Err(error) if error.code() == "store.lease" => {
                        metrics::counter!("neverstop_leases_lost_total").increment(1);
                        tracing::warn!(%job, %error, "the job was given up to another engine");
                    }
                    Err(error) => tracing::error!(%job, %error, "the job stopped; a started engine takes it up again"),
                    Ok(()) => {}
                }
                inner.jobs().remove(&job);
                inner.group_freed.notify_waiters();
            };
            runtime.spawn(work.instrument(span));
            Ok(true)
        })
    }

    /// Forgets a job that was registered and never came to be.
    pub(crate) fn unregister(&self, job: &JobId) {
        self.jobs().remove(job);
    }
}
