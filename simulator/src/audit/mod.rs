//! The auditor: sees every commit and every call that changes something, keeps his own fold of every journal, and writes
//! down whatever breaks an invariant (I1 … I12). He knows the world as it is, not as it is reported, and trusts nobody.

mod calls;
mod journal;
mod records;

use ns_core::journal::{Chain, Entry, Event, JobView, TaskResult};
use ns_core::model::{CloudId, ClusterId, JobId, StorageRef, TaskKey};
use ns_core::planning::Side;
use ns_core::provider::{CreatedKind, Decision, Token};
use ns_core::sim::{Beat, Part, SimWorld};
use std::collections::{BTreeMap, BTreeSet};

/// A call that changes something.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where.
    pub site: &'static str,
    /// Which half.
    pub part: Part,
    /// Which method.
    pub verb: &'static str,
    /// Whether it changes anything.
    pub changes: bool,
    /// About which image.
    pub image: Option<&'a StorageRef>,
    /// With which token.
    pub token: Option<&'a Token>,
    /// By which decision.
    pub decision: Option<&'a Decision>,
    /// What is made.
    pub kind: Option<CreatedKind>,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

#[derive(Debug)]
struct Journal {
    chain: Chain,
    view: JobView,
}

/// One volume's part of a recovery point, on the side that keeps it.
#[derive(Debug, Clone)]
struct Vault {
    site: &'static str,
    image: StorageRef,
    digest: String,
}

/// See the module.
#[derive(Debug)]
pub struct Audit {
    sim: SimWorld,
    clusters: BTreeMap<ClusterId, &'static str>,
    /// What was found; the first of each kind is what matters.
    pub violations: Vec<Violation>,
    journals: BTreeMap<JobId, Journal>,
    /// Protected volumes by global id: what their data is recognised by.
    markers: BTreeMap<String, String>,
    /// What volumes are recognised by, by their ids in the cloud that was protected first.
    originals: BTreeMap<CloudId, String>,
    /// Recovery points that may be chosen: of which plan, and their parts with digests of their bytes.
    points: BTreeMap<String, (String, Vec<Vault>)>,
    /// The last write that a guest knows to be on the disk, by site and global id.
    acknowledged: BTreeMap<(&'static str, String), Beat>,
    /// Volumes whose owner deleted them: nobody is asked to keep what its owner throws away.
    given_up: BTreeSet<String>,
    /// Volumes whose replication is ended from a side that is primary: its image alone is the copy.
    alone: BTreeSet<String>,
    /// Tasks of which an attempt failed.
    pub failed: BTreeSet<(JobId, TaskKey)>,
    /// Which side was primary last, by global id.
    writer: BTreeMap<String, &'static str>,
    /// Reports as they are stored.
    reports: BTreeMap<String, String>,
    /// Whether all that is seen is printed.
    trace: bool,
}

const fn other(site: &str) -> &'static str {
    if matches!(site.as_bytes(), b"a") { "b" } else { "a" }
}
impl Audit {
    /// An auditor of a world.
    #[must_use]
    pub fn new(sim: SimWorld, trace: bool) -> Self {
        Self {
            sim,
            clusters: BTreeMap::new(),
            trace,
            violations: Vec::new(),
            journals: BTreeMap::new(),
            markers: BTreeMap::new(),
            originals: BTreeMap::new(),
            points: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            given_up: BTreeSet::new(),
            alone: BTreeSet::new(),
            failed: BTreeSet::new(),
            writer: BTreeMap::new(),
            reports: BTreeMap::new(),
        }
    }

    /// Which side of a job's plan a site is.
    fn side(&self, view: &JobView, site: &str) -> Side {
        let source = view.frozen.as_ref().map(|f| &f.group.source_cluster);
        match source.and_then(|id| self.clusters.get(id)) {
            Some(source) if *source != site => Side::Target,
            _ => Side::Source,
        }
    }

    /// Which site a cluster is.
    #[must_use]
    pub fn site(&self, cluster: &ClusterId) -> Option<&'static str> {
        self.clusters.get(cluster).copied()
    }

    /// A site was registered as a cluster.
    pub fn registered(&mut self, cluster: ClusterId, site: &'static str) {
        self.clusters.insert(cluster, site);
    }

    /// Writes a violation down.
    pub fn violation(&mut self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION of {invariant}: {what}"));
        if self.violations.len() < 50 {
            self.violations.push(Violation { invariant, what });
        }
    }

    /// What he knows of a job.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&JobView> {
        self.journals.get(id).map(|j| &j.view)
    }

    /// All jobs.
    pub fn jobs(&self) -> impl Iterator<Item = &JobView> {
        self.journals.values().map(|j| &j.view)
    }

    /// A volume is thrown away by its owner.
    pub fn give_up(&mut self, global_id: &str) {
        self.given_up.insert(global_id.to_owned());
    }

    /// Guests wrote.
    pub fn wrote(&mut self, site: &'static str, beats: &[(StorageRef, Beat)]) {
        let ids: BTreeMap<StorageRef, String> = self
            .sim
            .replicas(site)
            .into_iter()
            .map(|p| (p.storage, p.global_id))
            .collect();
        for (image, beat) in beats {
            if let Some(id) = ids.get(image) {
                self.acknowledged.insert((site, id.clone()), *beat);
            }
        }
    }

    fn tell(&self, entry: &Entry) {
        let text = match &entry.event {
            Event::Frozen { .. } => "frozen".to_owned(),
            Event::Planned { phase, graph, .. } => format!("planned {phase:?}, {} tasks", graph.tasks.len()),
            Event::Outcome {
                task,
                attempt,
                result: TaskResult::Done { .. },
            } => format!("done {task}/{attempt}"),
            Event::Intent { task, attempt } => format!("intent {task}/{attempt}"),
            event => format!("{event:?}"),
        };
        println!("{} {} {:4} {text}", entry.at, entry.job, entry.position);
    }

    /// Prints a line of the account, if one is wanted.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("                         {}", text());
        }
    }
}
