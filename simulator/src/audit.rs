//! The auditor: sees every commit and every call that changes something, keeps his own fold of every journal, and writes
//! down whatever breaks an invariant (I1 … I12). He knows the world as it is, not as it is reported, and trusts nobody.

use ns_core::journal::{Chain, DecisionKind, Entry, Event, JobView, TaskResult, TaskStatus};
use ns_core::model::{CloudId, ClusterId, JobId, JobOperation, JobState, JobType, RecoveryPoint, StorageRef};
use ns_core::planning::{Action, Side, Task, VAULT_BASE};
use ns_core::provider::{CreatedKind, Decision, Token};
use ns_core::sim::{Beat, Part, Peek, SimWorld};
use ns_core::store::JournalLine;
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
    /// The last write that a guest knows to be on the disk, by site and global id.
    acknowledged: BTreeMap<(&'static str, String), Beat>,
    /// Volumes whose owner deleted them: nobody is asked to keep what its owner throws away.
    given_up: BTreeSet<String>,
    /// Volumes whose replication is ended from a side that is primary: its image alone is the copy.
    alone: BTreeSet<String>,
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

/// Whether an action makes such a call.
fn makes(task: &Task, job: &JobId, here: Side, r: &Request<'_>) -> bool {
    let token = |own: bool, given: Option<&Token>| match (own, given) {
        (true, _) => r.token == Some(&task.token(job)),
        (false, Some(given)) => r.token == Some(given),
        (false, None) => true,
    };
    match (r.part, r.verb, &task.action) {
        (Part::Cloud, "create", Action::Create { side, .. }) | (Part::Cloud, "adopt", Action::Adopt { side, .. }) => {
            *side == here && token(true, None)
        }
        (Part::Cloud, "remove", Action::Remove { side, token: t, .. }) => *side == here && token(false, Some(t)),
        (Part::Cloud, "release", Action::Release { side, .. })
        | (Part::Cloud, "stop", Action::StopServer { side, .. })
        | (Part::Cloud, "start", Action::StartServer { side, .. })
        | (Part::Storage, "flatten", Action::Flatten { side, .. })
        | (Part::Storage, "snapshot", Action::Snapshot { side, .. })
        | (Part::Storage, "remove_snapshot", Action::RemoveSnapshot { side, .. })
        | (Part::Storage, "ship", Action::Ship { side, .. })
        // A promotion without a mark lets the image prove its own demotion by demoting it again.
        | (Part::Storage, "demote", Action::Demote { side, .. } | Action::Promote { side, .. })
        | (Part::Storage, "promote", Action::Promote { side, .. })
        | (Part::Storage, "force_promote", Action::ForcePromote { side, .. })
        // The epoch is kept beside the image.
        | (Part::Storage, "set_metadata", Action::ForcePromote { side, .. } | Action::Promote { side, .. })
        | (Part::Storage, "demote" | "resync", Action::Rejoin { side, .. })
        | (Part::Storage, "resync", Action::Resync { side, .. })
        | (Part::Storage, "rename", Action::Rename { side, .. }) => *side == here,
        (Part::Storage, "ship", Action::Rejoin { side, .. }) => side.other() == here,
        (Part::Storage, "clone_snapshot", Action::Clone { side, .. }) => *side == here && token(true, None),
        (Part::Storage, "remove", Action::RemoveImage { side, token: t }) => *side == here && token(false, Some(t)),
        (Part::Storage, "enable_replication", Action::EnableReplication { .. })
        | (Part::Storage, "disable_replication", Action::DisableReplication { .. }) => here == Side::Source,
        _ => false,
    }
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
            acknowledged: BTreeMap::new(),
            given_up: BTreeSet::new(),
            alone: BTreeSet::new(),
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
            Event::Planned { phase, graph } => format!("planned {phase:?}, {} tasks", graph.tasks.len()),
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

    // ---- journals -------------------------------------------------------------------------------------------------

    /// Lines of a journal are durable: chain (I12), order (I5), progress (I6), and what graphs may hold (I7, I8).
    pub fn appended(&mut self, job: &JobId, lines: &[JournalLine]) {
        let mut found = Vec::new();
        for line in lines {
            let journal = self.journals.remove(job);
            let mut chain = journal
                .as_ref()
                .map_or_else(|| Chain::new(job.clone()), |j| j.chain.clone());
            let entry = match chain.open(line) {
                Ok(entry) => entry,
                Err(e) => {
                    found.push(("I12", format!("line {} of {job} does not verify: {e}", line.position)));
                    continue;
                }
            };
            let view = match journal {
                None => match JobView::begin(&entry) {
                    Ok(view) => view,
                    Err(e) => {
                        found.push(("I12", format!("{job} begins badly: {e}")));
                        continue;
                    }
                },
                Some(Journal { mut view, .. }) => {
                    self.judge(&view, &entry, &mut found);
                    if self.trace {
                        self.tell(&entry);
                    }
                    view.apply(&entry);
                    view
                }
            };
            self.journals.insert(job.clone(), Journal { chain, view });
            if let Event::Transition {
                to: JobState::Finished, ..
            } = &entry.event
            {
                self.finished(job, &mut found);
            }
        }
        for (invariant, what) in found {
            self.violation(invariant, what);
        }
    }

    fn judge(&self, view: &JobView, entry: &Entry, found: &mut Vec<(&'static str, String)>) {
        let job = &view.id;
        let mut wrong = |invariant, what: String| found.push((invariant, format!("{job}: {what}")));
        if entry.at < view.changed_at {
            wrong("I6", format!("entry {} is older than the one before", entry.position));
        }
        if view.state == JobState::Finished && !matches!(entry.event, Event::Noted { .. }) {
            wrong("I6", format!("{:?} after the end", entry.event));
        }
        match &entry.event {
            Event::Transition { from, .. } if *from != view.state => {
                wrong("I6", format!("goes on from {from}, but is {}", view.state));
            }
            Event::Intent { task, attempt } => {
                let before = view.tasks.get(task);
                if *attempt != before.map_or(0, |t| t.attempts) + 1 && !self.continued(view, task, *attempt) {
                    wrong(
                        "I6",
                        format!("attempt {attempt} of {task} follows {:?}", before.map(|t| t.attempts)),
                    );
                }
                if before.is_some_and(|t| t.status.has_ended()) {
                    wrong("I6", format!("{task} is begun although it has ended"));
                }
                let planned = view.phase().and_then(|p| p.graph.tasks.get(task));
                match planned {
                    None => wrong("I5", format!("{task} is in no graph")),
                    Some(t) => {
                        if let Some(k) = t.after.iter().find(|k| view.status(k) != TaskStatus::Done) {
                            wrong("I5", format!("{task} is begun before {k} is done"));
                        }
                    }
                }
            }
            Event::Outcome { task, attempt, result } => {
                let before = view.tasks.get(task);
                if before.is_none_or(|t| t.status != TaskStatus::Running || t.attempts != *attempt) {
                    wrong("I5", format!("an outcome of {task}/{attempt} without its intent"));
                }
                if let TaskResult::Failed { error } | TaskResult::Retry { error, .. } = result
                    && error.kind == ns_core::ErrorKind::Internal
                    && error.code != "sim.injected"
                {
                    wrong("engine", format!("{task}: {} {}", error.code, error.message));
                }
            }
            Event::Planned { graph, .. } => {
                if let Some(k) = graph.tasks.keys().find(|k| view.status(k) == TaskStatus::Done) {
                    wrong("I6", format!("{k} is done and planned again"));
                }
                self.judge_graph(view, graph.tasks.values(), &mut wrong);
            }
            Event::Decided { operator, .. } if operator.is_empty() => wrong("I3", "a decision of nobody".to_owned()),
            _ => {}
        }
    }

    /// An attempt after a crash counts on from the one whose outcome is not known.
    fn continued(&self, view: &JobView, task: &ns_core::model::TaskKey, attempt: u32) -> bool {
        view.tasks.get(task).is_some_and(|t| attempt > t.attempts)
    }

    fn judge_graph<'t>(
        &self,
        view: &JobView,
        tasks: impl Iterator<Item = &'t Task>,
        wrong: &mut impl FnMut(&'static str, String),
    ) {
        let Some(definition) = view.work.recovery() else { return };
        let drill = definition.job_type == JobType::Drill;
        let unreachable = view.decisions.iter().any(|d| {
            d.kind == DecisionKind::ForcePromote && d.facts.iter().any(|f| f.contains("cloud answers: false"))
        });
        let begins = view.phase().is_none();
        for task in tasks {
            let source = matches!(
                &task.action,
                Action::Create { side: Side::Source, .. }
                    | Action::Adopt { side: Side::Source, .. }
                    | Action::Remove { side: Side::Source, .. }
                    | Action::Release { side: Side::Source, .. }
                    | Action::StopServer { side: Side::Source, .. }
                    | Action::StartServer { side: Side::Source, .. }
                    | Action::Flatten { side: Side::Source, .. }
                    | Action::Snapshot { side: Side::Source, .. }
                    | Action::Ship { side: Side::Source, .. }
                    | Action::Demote { side: Side::Source, .. }
                    | Action::Promote { side: Side::Source, .. }
                    | Action::Clone { side: Side::Source, .. }
                    | Action::EnableReplication { .. }
                    | Action::DisableReplication { .. }
            );
            let mirroring = matches!(
                &task.action,
                Action::Demote { .. }
                    | Action::Promote { .. }
                    | Action::ForcePromote { .. }
                    | Action::Resync { .. }
                    | Action::DisableReplication { .. }
                    | Action::EnableReplication { .. }
            );
            if drill && (mirroring || source) {
                wrong("I7", format!("a drill would {task}"));
            }
            if begins && unreachable && source {
                wrong("I8", format!("a failover from a lost Source would {task}"));
            }
        }
    }

    /// A record is durable.
    pub fn put(&mut self, kind: &str, id: &str, body: &str) {
        match kind {
            "point" => self.point(body),
            "report" => drop(self.reports.insert(id.to_owned(), body.to_owned())),
            "plan" => self.plan(body),
            _ => {}
        }
    }

    fn plan(&mut self, body: &str) {
        let Ok(plan) = serde_json::from_str::<ns_core::model::RecoveryPlan>(body) else {
            return;
        };
        for v in plan.volumes.values() {
            if let Some(disk) = self.sim.disk("a", &v.source, None) {
                self.markers.entry(v.replication_id.to_string()).or_insert(disk.marker);
            }
        }
    }

    /// A point exists: everything of it is on the Target, of one moment, and is what the Source held then (I10).
    fn point(&mut self, body: &str) {
        let point: RecoveryPoint = match serde_json::from_str(body) {
            Ok(point) => point,
            Err(e) => return self.violation("I10", format!("a point that cannot be read: {e}")),
        };
        if !point.volumes.keys().eq(point.plan.volumes.keys()) {
            self.violation("I10", format!("point {} lacks volumes", point.id));
        }
        for id in &point
            .inventory
            .instances
            .values()
            .flat_map(|i| i.volume_ids.clone())
            .collect::<Vec<_>>()
        {
            if !point.volumes.contains_key(id) {
                self.violation("I10", format!("point {} lacks volume {id} of its instances", point.id));
            }
        }
        for part in point.volumes.values() {
            let there = self.sim.digest("b", &part.vault, Some(VAULT_BASE));
            let Some(there) = there else {
                self.violation(
                    "I10",
                    format!("point {}: {} is not on the Target", point.id, part.vault),
                );
                continue;
            };
            let source = self
                .sim
                .replicas("a")
                .into_iter()
                .find(|p| p.global_id == part.replication_id.as_str());
            let here = source.and_then(|p| self.sim.digest("a", &p.storage, Some(&part.snapshot)));
            if here.is_some_and(|here| here != there) {
                self.violation(
                    "I10",
                    format!(
                        "point {}: {} holds other bytes than the Source's snapshot",
                        point.id, part.vault
                    ),
                );
            }
        }
    }

    /// A job has ended: nothing of it is left where it was rolled back (I7), and its report is the one in the journal (I12).
    fn finished(&self, job: &JobId, found: &mut Vec<(&'static str, String)>) {
        let Some(view) = self.job(job) else { return };
        if view.work.recovery().is_none() {
            return;
        }
        match (self.reports.get(job.as_str()), &view.report_digest) {
            (Some(_), Some(_)) => {}
            _ => found.push(("I12", format!("{job} has ended without its report"))),
        }
        let rolled_back = matches!(
            view.operation,
            JobOperation::Rollback | JobOperation::RetryRollback | JobOperation::CancelConfirm
        );
        let ignored = view.decisions.iter().any(|d| d.kind == DecisionKind::IgnoreLeftovers);
        if !rolled_back || ignored {
            return;
        }
        let left = self.left_of(view);
        if !left.is_empty() {
            found.push(("I7", format!("{job} was rolled back and left {}", left.join(", "))));
        }
    }

    /// What carries a token of a job.
    #[must_use]
    pub fn left_of(&self, view: &JobView) -> Vec<String> {
        let tokens: BTreeSet<String> = view
            .tasks
            .keys()
            .map(|key| Token::of(&view.id, key).as_str().to_owned())
            .collect();
        let mut left = Vec::new();
        for site in ["a", "b"] {
            for (kind, id, token) in self.sim.tokens(site) {
                if tokens.contains(token.as_str()) {
                    left.push(format!("{kind:?} {id} at {site}"));
                }
            }
            for (image, token) in self.sim.image_tokens(site) {
                if tokens.contains(&token) {
                    left.push(format!("{image} at {site}"));
                }
            }
        }
        left
    }

    // ---- calls ----------------------------------------------------------------------------------------------------

    fn replica(&self, site: &str, image: &StorageRef) -> Option<Peek> {
        self.sim.replicas(site).into_iter().find(|p| &p.storage == image)
    }

    fn peer(&self, site: &str, global_id: &str) -> Option<Peek> {
        self.sim
            .replicas(other(site))
            .into_iter()
            .find(|p| p.global_id == global_id)
    }

    /// Somebody is about to change something: there is an intent for it (I5), and a right (I3, I4).
    pub fn asks(&mut self, r: &Request<'_>) {
        let begun = |view: &JobView| {
            let tasks = view.phase().map(|p| p.graph.tasks.values()).into_iter().flatten();
            tasks
                .filter(|t| view.status(&t.key) == TaskStatus::Running)
                .any(|t| makes(t, &view.id, self.side(view, r.site), r))
        };
        let intended = self.jobs().any(begun);
        let drill = |v: &JobView| v.work.recovery().is_some_and(|d| d.job_type == JobType::Drill);
        let by_drill = r.verb == "adopt" && self.jobs().any(|v| drill(v) && begun(v));
        if !intended {
            let what = format!("{} {:?} at {} without an intent", r.verb, r.image, r.site);
            self.violation("I5", what);
        }
        match (r.verb, r.decision) {
            ("force_promote", Some(d)) => {
                // A rollback gives the Source back to its owner, by the operator's word too.
                let right = |kind| matches!(kind, DecisionKind::ForcePromote | DecisionKind::Rollback);
                let named = |v: &JobView| {
                    v.decisions
                        .iter()
                        .any(|x| x.id == d.id && right(x.kind) && !x.operator.is_empty())
                };
                if !self.jobs().any(named) {
                    self.violation("I3", format!("forced promotion by {d:?}, which is in no journal"));
                }
            }
            ("resync", Some(d)) if !self.jobs().any(|v| v.decisions.iter().any(|x| x.id == d.id)) => {
                self.violation("I4", format!("resync by {d:?}, which is in no journal"));
            }
            ("force_promote" | "resync", None) => self.violation("I3", format!("{} without a decision", r.verb)),
            ("disable_replication", _) => {
                let here = r.image.and_then(|i| self.replica(r.site, i));
                self.alone.extend(here.filter(|p| p.primary).map(|p| p.global_id));
            }
            ("adopt", _) if by_drill && r.image.is_some_and(|i| self.replica(r.site, i).is_some()) => {
                self.violation("I7", format!("a drill adopts the replica {:?}", r.image));
            }
            _ => {}
        }
    }

    /// It was done, or not: roles and copies are looked at (I1, I2, I4).
    pub fn asked(&mut self, r: &Request<'_>, done: bool) {
        self.note(|| format!("{} at {}: {:?} {:?}, done: {done}", r.verb, r.site, r.image, r.token));
        let before = r
            .image
            .and_then(|i| self.replica(r.site, i))
            .and_then(|p| self.writer.get(&p.global_id).copied());
        if r.part == Part::Storage {
            self.look();
        }
        let Some(here) = r.image.and_then(|i| self.replica(r.site, i)).filter(|_| done) else {
            return;
        };
        let id = here.global_id.clone();
        match r.verb {
            "resync" => {
                let peer = self.peer(r.site, &id);
                if here.resync && peer.is_none_or(|p| !p.primary) {
                    self.violation(
                        "I4",
                        format!("{id} is thrown away at {} and there is no primary to copy", r.site),
                    );
                }
                // What was written here since is given up by the decision; the other side's is what counts.
                self.acknowledged.remove(&(r.site, id));
            }
            // A side that only takes back its own demotion owes the other nothing.
            "promote" if here.primary && before == Some(other(r.site)) => {
                if let Some(peer) = self.peer(r.site, &id)
                    && !peer.primary
                {
                    let (new, old) = (
                        self.sim.digest(r.site, &here.storage, None),
                        self.sim.digest(other(r.site), &peer.storage, None),
                    );
                    // Nobody has the image open yet: what it holds is what was handed over.
                    if here.watchers == 0 && new != old {
                        self.violation("data", format!("{id} was handed over to {} with other bytes", r.site));
                    }
                }
                if let Some(last) = self.acknowledged.remove(&(other(r.site), id.clone())) {
                    self.acknowledged.insert((r.site, id), last);
                }
            }
            _ => {}
        }
    }

    /// Roles and copies of all protected volumes (I1, I2).
    pub fn look(&mut self) {
        let (a, b) = (self.sim.replicas("a"), self.sim.replicas("b"));
        for (site, all) in [("a", &a), ("b", &b)] {
            for p in all.iter().filter(|p| p.primary) {
                self.writer.insert(p.global_id.clone(), site);
            }
        }
        let allowed = |id: &str, jobs: &BTreeMap<JobId, Journal>| {
            jobs.values().any(|j| {
                j.view.decisions.iter().any(|d| d.kind == DecisionKind::ForcePromote)
                    && j.view
                        .frozen
                        .as_ref()
                        .is_some_and(|f| f.plan.volumes.values().any(|v| v.replication_id.as_str() == id))
            })
        };
        for here in a.iter().filter(|p| p.primary) {
            let both = b.iter().any(|p| p.global_id == here.global_id && p.primary);
            if both && !allowed(&here.global_id, &self.journals) {
                let what = format!("{} is primary on both sides and nobody said so", here.global_id);
                self.violation("I2", what);
            }
        }
        for id in self.markers.keys().cloned().collect::<Vec<_>>() {
            if self.given_up.contains(&id) || self.alone.contains(&id) {
                continue;
            }
            let good = |all: &[Peek]| all.iter().any(|p| p.global_id == id && p.complete && !p.resync);
            if !good(&a) && !good(&b) {
                self.violation("I1", format!("there is no complete copy of {id} that is to stay"));
            }
        }
    }

    /// At the end, when everything works again: no write that a guest was told of is lost (data).
    pub fn data(&mut self) {
        for ((site, id), beat) in self.acknowledged.clone() {
            let image = self.sim.replicas(site).into_iter().find(|p| p.global_id == id);
            let Some(image) = image.filter(|p| p.primary) else {
                continue;
            };
            let disk = self.sim.disk(site, &image.storage, None).unwrap_or_default();
            if disk.beat.is_none_or(|b| b.at < beat.at) && !self.given_up.contains(&id) {
                self.violation(
                    "data",
                    format!("{id} at {site}: {beat:?} was acknowledged, {:?} is there", disk.beat),
                );
            }
            if self.markers.get(&id).is_some_and(|m| *m != disk.marker) {
                self.violation("data", format!("{id} at {site} holds the data of {:?}", disk.marker));
            }
        }
    }

    /// The instance of a source server in a job, where it was recovered.
    #[must_use]
    pub fn recovered(view: &JobView, server: &CloudId) -> Option<CloudId> {
        let output = view.output(&format!("server/{server}").into())?;
        output.handle.as_ref().map(|h| h.id.clone())
    }
}
