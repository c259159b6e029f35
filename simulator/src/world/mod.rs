//! One seeded world from its first moment to its last: two sites, a store, one or two engine processes, operators who do
//! what the story says, and whatever goes wrong. Everything is a function of the scenario.

mod strike;

use crate::audit::{Audit, Violation};
use crate::dice::Dice;
use crate::faults::{CallPlace, Fault, FaultKind};
use crate::node::{Condition, Life, NodeClock};
use crate::ports::providers;
use crate::shared::Shared;
use crate::store::NodeStore;
use crate::story::Scenario;
use jiff::Timestamp;
use ns_core::engine::FailbackOffer;
use ns_core::journal::JobView;
use ns_core::model::{GroupId, JobId, JobState, OwnerGroupId, PlanId, RecoveryPlan, RecoveryPoint, ReplicationMode};
use ns_core::ports::{Clock, SequentialIds, with_deadline};
use ns_core::session::{ClusterRequest, GroupRequest};
use ns_core::sim::{Sample, SimClock, SimWorld, SiteDump};
use ns_core::store::Store;
use ns_core::{Actor, Engine, Error, ErrorKind, Result, Session, Settings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

/// How a run ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// What struck.
    pub struck: BTreeMap<FaultKind, u64>,
    /// Virtual seconds.
    pub seconds: u64,
    /// How jobs ended, for the account.
    pub ends: BTreeMap<String, u64>,
    /// Commits since both sites were registered.
    pub commits: u64,
    /// Calls of providers since then.
    pub calls: Vec<CallPlace>,
    /// Tasks by work and key: whether one was begun more than once, and whether it failed at least once.
    pub tasks: BTreeMap<(String, String), (bool, bool)>,
}

/// An engine process and the machine it runs on.
struct Node {
    name: String,
    life: Life,
    ahead: Arc<AtomicI64>,
    engine: Option<Engine>,
    /// When somebody, or a supervisor, starts it again.
    back_at: Option<Timestamp>,
}

/// What ends by itself.
#[derive(Debug, Clone)]
enum Repair {
    Revive(&'static str),
    Unsilence(&'static str),
    Mirror,
    Lag,
    Credentials(&'static str),
    Quota,
    Capacity,
    Thaw(usize),
    Clock(usize),
}

/// See the module.
pub struct World {
    /// Everything outside the engines.
    pub shared: Arc<Shared>,
    /// The run's dice.
    pub dice: Dice,
    /// What is protected.
    pub sample: Sample,
    /// Both sites before anything was protected.
    pub before: (SiteDump, SiteDump),
    ids: Arc<SequentialIds>,
    nodes: Vec<Node>,
    waiting: Vec<(Timestamp, Fault)>,
    repairs: Vec<(Timestamp, Repair)>,
    started_at: Timestamp,
    double_click: bool,
    /// What somebody else made on the Target meanwhile.
    foreign: Vec<String>,
    /// Images that their owner deleted.
    destroyed: Vec<String>,
    /// Whether somebody deleted a server that had gone to the other side: it belongs to the protection no more.
    deleted_away: bool,
}

impl World {
    /// The world of a scenario, with nothing protected yet.
    pub async fn new(scenario: &Scenario) -> Self {
        let clock = SimClock::new();
        let sim = SimWorld::new(Arc::new(clock.clone()), scenario.seed);
        let sample = sim.sample_group(scenario.servers).unwrap();
        let before = (sim.dump("a"), sim.dump("b"));
        let started_at = clock.now();
        let mut world = Self {
            shared: Arc::new(Shared::new(sim, clock, scenario.trace)),
            dice: Dice::new(scenario.seed ^ 0x5eed),
            sample,
            before,
            ids: Arc::default(),
            nodes: vec![],
            waiting: vec![],
            repairs: vec![],
            started_at,
            double_click: false,
            foreign: vec![],
            destroyed: vec![],
            deleted_away: false,
        };
        world.add_node();
        world.boot(0).await;
        world
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Writes a violation down.
    pub fn violation(&self, invariant: &'static str, what: impl Into<String>) {
        self.shared.audit().violation(invariant, what);
    }

    fn add_node(&mut self) {
        self.nodes.push(Node {
            name: format!("node-{}", self.nodes.len()),
            life: Life::default(),
            ahead: Arc::default(),
            engine: None,
            back_at: None,
        });
    }

    /// Starts an engine process on a node, in the place of one that died.
    async fn boot(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.life = Life::default();
        node.back_at = None;
        let store = NodeStore {
            shared: self.shared.clone(),
            life: node.life.clone(),
            node: node.name.clone(),
        };
        let clock = NodeClock::new(self.shared.clock.clone(), node.life.clone(), node.ahead.clone());
        let mut settings = Settings::default();
        settings.poll = Duration::from_secs(5);
        // Copies of kilobytes: an hour is as good as the day that real ones may take.
        settings.copy_limit = Duration::from_secs(3600);
        let engine = Engine::builder(Arc::new(store))
            .clock(Arc::new(clock))
            .ids(self.ids.clone())
            .settings(settings)
            .node(node.name.clone())
            .build()
            .unwrap();
        let life = node.life.clone();
        node.engine = Some(engine.clone());
        let session = engine.session(Actor::admin("anna"));
        for site in ["a", "b"] {
            // A host program asks until the store answers: an engine without its clouds could do nothing.
            for _ in 0..30 {
                let found = self
                    .limited(60, session.clusters().by_name(&format!("site-{site}")))
                    .await;
                if let Ok(found) = found {
                    if let Some(cluster) = found {
                        engine.attach(&cluster.id, providers(&self.shared, &life, site));
                    }
                    break;
                }
                self.shared.clock.sleep(Duration::from_secs(5)).await;
            }
        }
        self.resume(index).await;
    }

    /// Lets an engine continue what nobody continues. A journal that is damaged must not be believed.
    async fn resume(&mut self, index: usize) {
        let Some(engine) = self.nodes[index].engine.clone() else {
            return;
        };
        let damages = self.shared.damages();
        let unfinished = |d: &crate::store::Damage| {
            self.shared
                .audit()
                .job(&d.job)
                .is_some_and(|v| v.state != JobState::Finished)
        };
        let bad = damages.iter().any(unfinished);
        let started = self.limited(120, engine.start()).await;
        if !damages.is_empty() {
            // A job that another engine still owns was not even looked at.
            let believed = |jobs: &Vec<JobId>| damages.iter().any(|d| jobs.contains(&d.job));
            if bad && started.as_ref().is_ok_and(believed) {
                self.violation("I12", format!("a damaged journal was believed: {:?}", damages[0].job));
            }
            if !bad || started.is_err_and(|e| e.kind() == ErrorKind::Corrupt) {
                // The operator does as the remedy says.
                self.shared.mend();
                drop(self.limited(120, engine.start()).await);
            }
        }
    }

    /// Waits for an answer no longer than so many seconds.
    pub async fn limited<T>(&self, seconds: u64, work: impl Future<Output = Result<T>>) -> Result<T> {
        with_deadline(&self.shared.clock, Duration::from_secs(seconds), "the engine", work).await
    }

    /// A session with an engine that runs.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        let alive = self.nodes.iter().filter(|n| n.life.condition() == Condition::Alive);
        let engine = alive.filter_map(|n| n.engine.as_ref()).next();
        engine.map(|e| e.session(Actor::admin("anna")))
    }

    /// Sessions with every engine that runs.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        let alive = self.nodes.iter().filter(|n| n.life.condition() == Condition::Alive);
        alive
            .filter_map(|n| n.engine.as_ref())
            .map(|e| e.session(Actor::admin("anna")))
            .collect()
    }

    /// Registers both clusters and makes the group.
    pub async fn register(&mut self) -> Result<(GroupId, ns_core::model::ClusterId)> {
        let (session, life) = (self.session().unwrap(), self.nodes[0].life.clone());
        let mut ids = Vec::new();
        for site in ["a", "b"] {
            let request = ClusterRequest {
                name: format!("site-{site}"),
                owner_group_id: OwnerGroupId::new("ops"),
                note: String::new(),
            };
            let id = session
                .clusters()
                .register(request, providers(&self.shared, &life, site))
                .await?
                .id;
            self.shared.audit().registered(id.clone(), site);
            ids.push(id);
        }
        let group = GroupRequest {
            name: "shop".into(),
            description: String::new(),
            owner_group_id: OwnerGroupId::new("ops"),
            source_cluster: ids[0].clone(),
            instances: self.sample.server_ids(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        };
        let group = session.protection_groups().create(group).await?;
        Ok((group.id, ids[1].clone()))
    }

    /// Makes the plan.
    pub async fn plan(&mut self, group: &GroupId, target: &ns_core::model::ClusterId, journal: bool) -> Result<PlanId> {
        let Some(session) = self.session() else {
            return Err(Error::new(ErrorKind::Unavailable, "sim.no_engine", "no engine runs"));
        };
        let plan = async {
            let mut plan = session.plans().suggest(group, target).await?;
            if journal {
                plan.replication_mode = ReplicationMode::Journal;
            }
            Ok(session.plans().create(plan).await?.0.id)
        };
        self.limited(600, plan).await
    }

    /// What is stored of a kind, as it is on disk.
    pub async fn records<T: serde::de::DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let all = self.shared.store.list(kind, None, 1000).await.unwrap();
        all.iter().filter_map(|r| serde_json::from_str(&r.body).ok()).collect()
    }

    /// What may be protected in the other direction.
    pub async fn offers(&self) -> Vec<FailbackOffer> {
        self.records("failback").await
    }

    /// Whether replicated instances run on the side that they do not belong to: confirmed there, or left there by a failback that
    /// succeeded in part.
    pub async fn is_away(&self) -> bool {
        let left = |p: &RecoveryPlan| p.home.is_some() && !p.volumes.is_empty();
        self.offers().await.iter().any(|o| !o.home.plan.volumes.is_empty())
            || self.records("plan").await.iter().any(left)
    }

    /// See the field.
    #[must_use]
    pub const fn deleted_away(&self) -> bool {
        self.deleted_away
    }

    /// The recovery points.
    pub async fn points(&self) -> Vec<RecoveryPoint> {
        self.records("point").await
    }

    /// Whether something did not hold already: what follows tells nothing new.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.shared.audit().violations.is_empty()
    }

    /// Whether things are gone that only their owner could bring back.
    #[must_use]
    pub fn somebody_destroyed(&self) -> bool {
        let board = self.shared.board();
        !self.destroyed.is_empty() || board.struck.contains_key(&FaultKind::DeletedByHand)
    }

    /// Whether nothing is wrong now.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let up = |site| self.shared.sim.condition(site) == ns_core::sim::Condition::Up;
        self.repairs.is_empty()
            && self.waiting.is_empty()
            && up("a")
            && up("b")
            && self.nodes.iter().all(|n| n.life.condition() == Condition::Alive)
    }

    /// Guests write.
    pub fn beat(&self) {
        for site in ["a", "b"] {
            let beats = self.shared.sim.beats(site);
            self.shared.audit().wrote(site, &beats);
        }
    }

    /// Some seconds pass: guests write, what is due happens, engines that died are started again.
    pub async fn pass(&mut self, seconds: u64) {
        self.shared.clock.sleep(Duration::from_secs(seconds)).await;
        self.beat();
        let now = self.now();
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.waiting = rest;
        for (_, fault) in due {
            self.strike(&fault).await;
        }
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.repairs)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.repairs = rest;
        for (_, repair) in due {
            self.repair(&repair);
        }
        for index in 0..self.nodes.len() {
            let back = self.nodes[index].back_at;
            match (self.nodes[index].life.condition(), back) {
                (Condition::Dead, None) => {
                    let after = Duration::from_secs(1 + self.dice.below(40));
                    self.nodes[index].back_at = Some(now + after);
                }
                (Condition::Dead, Some(at)) if at <= now => self.boot(index).await,
                _ => {}
            }
        }
    }

    /// Every engine looks for jobs that nobody runs.
    pub async fn resume_all(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].life.condition() == Condition::Alive {
                self.resume(index).await;
            }
        }
    }

    /// Everything works again.
    pub async fn heal(&mut self) {
        self.shared.board().disarm();
        self.shared.sim.faults().clear();
        self.waiting.clear();
        for (_, repair) in std::mem::take(&mut self.repairs) {
            self.repair(&repair);
        }
        for site in ["a", "b"] {
            self.shared.sim.revive(site);
        }
        self.shared.bring_store_back();
        // The journal's own time may be ahead after a jump; nothing waits for it but timers.
        for _ in 0..60 {
            self.pass(5).await;
            if self.nodes.iter().all(|n| n.life.condition() == Condition::Alive) {
                break;
            }
        }
        self.resume_all().await;
    }

    /// What the journal says of a job, as it is on disk.
    #[must_use]
    pub fn view(&self, job: &JobId) -> Option<JobView> {
        self.shared.audit().job(job).cloned()
    }

    /// State of a job.
    #[must_use]
    pub fn state(&self, job: &JobId) -> Option<JobState> {
        self.shared.audit().job(job).map(|v| v.state)
    }

    /// Jobs that have not finished.
    #[must_use]
    pub fn unfinished(&self) -> Vec<JobId> {
        let audit = self.shared.audit();
        audit
            .jobs()
            .filter(|v| v.state != JobState::Finished)
            .map(|v| v.id.clone())
            .collect()
    }

    /// The operator removes what reports list as left behind by jobs that the engine itself set aside, for a failover that
    /// could not wait.
    pub fn remove_listed(&self) {
        let listed = self.shared.audit().listed();
        let sim = &self.shared.sim;
        let is_listed = |id: &str, token: &str| listed.contains(id) || listed.contains(token);
        // What is in use goes with the round after its user.
        for _ in 0..8 {
            for site in ["a", "b"] {
                for (kind, id, token) in sim.tokens(site) {
                    if is_listed(id.as_str(), token.as_str()) {
                        let _ = sim.destroy(site, kind, &id);
                    }
                }
                for (image, token) in sim.image_tokens(site) {
                    if is_listed(image.as_str(), &token) {
                        sim.destroy_image(site, &image);
                    }
                }
            }
        }
    }

    /// What is there now that was not there before, and what is gone.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        let (a, b) = (self.shared.sim.dump("a"), self.shared.sim.dump("b"));
        let mut all: Vec<String> = a
            .changes_since(&self.before.0)
            .into_iter()
            .map(|c| format!("a: {c}"))
            .collect();
        all.extend(b.changes_since(&self.before.1).into_iter().map(|c| format!("b: {c}")));
        // What its owner deleted is gone, and what is about it too.
        all.retain(|c| !self.destroyed.iter().any(|image| c.contains(image)));
        all.retain(|c| c[3..].starts_with(['+', '-']) && !self.foreign.iter().any(|id| c.contains(id)));
        all
    }

    /// What somebody else made and is gone.
    #[must_use]
    pub fn foreign_gone(&self) -> Vec<String> {
        let there = self.shared.sim.inventory("b");
        let gone = |id: &&String| !there.resources().any(|r| r.id().as_str() == id.trim());
        self.foreign.iter().filter(gone).cloned().collect()
    }

    /// The account of the run.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let audit = self.shared.audit();
        let mut ends = BTreeMap::new();
        for view in audit.jobs() {
            let kind = view.work.kind();
            let result = view
                .result
                .map_or("none", |r| r.as_str())
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_owned();
            *ends.entry(format!("{kind} {result} {}", view.operation)).or_default() += 1;
        }
        let mut tasks = BTreeMap::new();
        for view in audit.jobs() {
            let work = format!("{} {}", view.work.kind(), view.id);
            for (key, task) in view.tasks.iter().filter(|(_, t)| t.attempts > 0) {
                let failed = audit.failed.contains(&(view.id.clone(), key.clone()));
                let state = (task.attempts > 1, failed);
                tasks.insert((work.clone(), key.to_string()), state);
            }
        }
        let board = self.shared.board();
        Outcome {
            commits: board.commits,
            calls: board.calls.clone(),
            tasks,
            violations: audit.violations.clone(),
            struck: board.struck.clone(),
            seconds: u64::try_from(self.now().duration_since(self.started_at).as_secs()).unwrap_or_default(),
            ends,
        }
    }

    /// Looks at the audit.
    pub fn audit<T>(&self, look: impl FnOnce(&mut Audit) -> T) -> T {
        look(&mut self.shared.audit())
    }
}
