//! What engines ask of clouds and storage: by which intent and which right (I3, I4, I5), and what became of roles and copies
//! (I1, I2).

use super::{Audit, Journal, Request, other};
use ns_core::journal::{DecisionKind, JobView, TaskStatus};
use ns_core::model::{JobId, JobState, JobType, StorageRef};
use ns_core::planning::{Action, Side, Task};
use ns_core::provider::Token;
use ns_core::sim::{Part, Peek};
use std::collections::BTreeMap;

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
        // On whichever side the volume is written by then.
        (Part::Storage, "remove_snapshot", Action::RemoveSnapshot { .. }) => true,
        (Part::Storage, "clone_snapshot", Action::Clone { side, .. }) => *side == here && token(true, None),
        (Part::Storage, "remove", Action::RemoveImage { side, token: t }) => *side == here && token(false, Some(t)),
        (Part::Storage, "enable_replication", Action::EnableReplication { .. })
        | (Part::Storage, "disable_replication", Action::DisableReplication { .. }) => here == Side::Source,
        _ => false,
    }
}

impl Audit {
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
                // A rollback gives the Source back to its owner, by the operator's word too; so does the confirm of a part for
                // those that it leaves.
                let right = |kind| {
                    matches!(
                        kind,
                        DecisionKind::ForcePromote | DecisionKind::Rollback | DecisionKind::Confirm
                    )
                };
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
        } else if done && matches!(r.verb, "create" | "start") {
            self.twins();
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

    /// No server runs on both sides unless somebody said that the other side is lost (I2). Drills have networks of their own.
    fn twins(&mut self) {
        let (a, b) = (self.sim.running("a"), self.sim.running("b"));
        let mut found = Vec::new();
        for view in self.jobs().filter(|v| v.state != JobState::Finished) {
            let failover = view.work.recovery().is_some_and(|d| d.job_type == JobType::Failover);
            let said = view.decisions.iter().any(|d| d.kind == DecisionKind::ForcePromote);
            let Some(frozen) = view.frozen.as_ref().filter(|_| failover && !said) else {
                continue;
            };
            for id in &frozen.group.instances {
                let output = view.output(&view.newest(&format!("server/{id}")));
                let Some(twin) = output.and_then(|o| o.handle.as_ref()) else {
                    continue;
                };
                if (a.contains(id) && b.contains(&twin.id)) || (b.contains(id) && a.contains(&twin.id)) {
                    found.push(format!(
                        "{id} runs on one side and its successor {} on the other",
                        twin.id
                    ));
                }
            }
        }
        for what in found {
            self.violation("I2", what);
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
}
