//! Rollback: the graph that undoes what a journal says was done. Not a second implementation of anything: each action has
//! its reverse, and what depended on a thing is undone before the thing.
//!
//! A task counts as done as soon as its intent is in the journal: whether its effect took place may be unknown, and
//! every reverse is a look first ("remove what carries this token, if it exists").

use super::graph::{Action, ImageRef, MarkRef, Side, Task, TaskGraph};
use crate::Result;
use crate::model::{CloudId, JobId, RecoveryPlan, TaskKey};
use crate::provider::{CreatedKind, Handle, Ref};
use std::collections::{BTreeMap, BTreeSet};

/// A task whose intent is in the journal.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    /// The task.
    pub task: &'a Task,
    /// What it made, when its outcome is known.
    pub handle: Option<&'a Handle>,
    /// It found nothing to act on.
    pub absent: bool,
}

/// The instances that something which was done serves; it stays and goes with them. Those that need it, as the graph says; a way
/// out serves whoever is on the subnets that it connects, and one that connects none yet whoever its project serves.
#[must_use]
pub fn users<'a>(task: &'a Task, done: &[Done<'a>]) -> BTreeSet<&'a CloudId> {
    let of = |kind: CreatedKind| move |t: &&'a Task| created(t) == Some(kind);
    let tasks = || done.iter().map(|d| d.task);
    let ways: Vec<&Task> = match created(task) {
        Some(CreatedKind::Router) => tasks()
            .filter(of(CreatedKind::RouterInterface))
            .filter(|way| way.after.contains(&task.key))
            .collect(),
        Some(CreatedKind::RouterInterface) => vec![task],
        _ => return task.instances.iter().collect(),
    };
    let subnets = tasks()
        .filter(of(CreatedKind::Subnet))
        .filter(|subnet| ways.iter().any(|way| way.after.contains(&subnet.key)));
    let users: BTreeSet<_> = subnets.flat_map(|subnet| &subnet.instances).collect();
    if !users.is_empty() {
        return users;
    }
    let project = tasks().filter(|t| task.after.contains(&t.key));
    task.instances
        .iter()
        .chain(project.flat_map(|t| &t.instances))
        .collect()
}

/// What a task makes.
fn created(task: &Task) -> Option<CreatedKind> {
    match &task.action {
        Action::Create { spec, .. } => Some(spec.kind()),
        _ => None,
    }
}

/// Plans the undoing of `done`. Keys get `prefix`, so that a job may undo more than once. `decision` is the journalled
/// word of the operator that writes made on the Target since the failover are given up (OPEN-26).
///
/// # Errors
/// `Internal` when `done` holds a cycle.
pub fn plan_undo(
    job: &JobId,
    plan: &RecoveryPlan,
    done: &[Done<'_>],
    prefix: &str,
    decision: &str,
) -> Result<TaskGraph> {
    let edges = Edges::of(done);
    let ran = TaskGraph {
        tasks: done.iter().map(|d| (d.task.key.clone(), edges.known(d.task))).collect(),
    };
    let handles: BTreeMap<&TaskKey, Option<&Handle>> = done.iter().map(|d| (&d.task.key, d.handle)).collect();
    let mut graph = TaskGraph::default();
    // For each task: the undo tasks that must end before whatever it needed may be undone.
    let mut tails: BTreeMap<TaskKey, BTreeSet<TaskKey>> = BTreeMap::new();
    let absent: BTreeSet<&TaskKey> = done.iter().filter(|d| d.absent).map(|d| &d.task.key).collect();
    for task in ran.in_order()?.into_iter().rev() {
        let first: BTreeSet<TaskKey> = tails.remove(&task.key).unwrap_or_default();
        let mut undo = Undo {
            graph: &mut graph,
            job,
            plan,
            prefix,
            decision,
            task,
            last: first,
        };
        if !absent.contains(&task.key) {
            undo.reverse(handles.get(&task.key).copied().flatten());
        }
        let last = undo.last;
        for needed in task.after.iter().chain(&task.order) {
            tails.entry(needed.clone()).or_default().extend(last.iter().cloned());
        }
    }
    graph.in_order()?;
    Ok(graph)
}

/// What edges may lead to.
struct Edges<'a> {
    ran: BTreeSet<&'a TaskKey>,
    /// The stops of Source instances.
    stops: BTreeMap<&'a str, Vec<&'a TaskKey>>,
}

impl<'a> Edges<'a> {
    fn of(done: &[Done<'a>]) -> Self {
        let tasks = || done.iter().map(|d| d.task);
        let stop = |task: &'a Task| match &task.action {
            Action::StopServer {
                side: Side::Source,
                server: Ref::Known(id),
                ..
            } => Some((id.as_str(), &task.key)),
            _ => None,
        };
        let mut stops: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, key) in tasks().filter_map(stop) {
            stops.entry(id).or_default().push(key);
        }
        Self {
            ran: tasks().map(|t| &t.key).collect(),
            stops,
        }
    }

    /// The task with only those edges that lead to tasks which ran as well, and with those that lead from a server to the stop of
    /// the instance that it stands for: also what was recovered from another point, and needs nothing of that, is gone before the
    /// instance starts again.
    fn known(&self, task: &Task) -> Task {
        let mut task = task.clone();
        task.after.retain(|k| self.ran.contains(k));
        task.order.retain(|k| self.ran.contains(k));
        if created(&task) == Some(CreatedKind::Server) {
            let stops = task.instances.iter().filter_map(|id| self.stops.get(id.as_str()));
            task.order.extend(stops.flatten().map(|key| (*key).clone()));
        }
        task
    }
}

struct Undo<'a> {
    graph: &'a mut TaskGraph,
    job: &'a JobId,
    plan: &'a RecoveryPlan,
    prefix: &'a str,
    decision: &'a str,
    task: &'a Task,
    /// What the next undo task must wait for; at the end, what others must wait for.
    last: BTreeSet<TaskKey>,
}

impl Undo<'_> {
    fn then(&mut self, name: &str, action: Action) -> TaskKey {
        let key = TaskKey::new(format!("{}/{name}/{}", self.prefix, self.task.key));
        self.graph.add(key.clone(), action, &self.last);
        if let Some(task) = self.graph.tasks.get_mut(&key) {
            task.instances.clone_from(&self.task.instances);
            task.volume.clone_from(&self.task.volume);
        }
        self.last = BTreeSet::from([key.clone()]);
        key
    }

    fn reverse(&mut self, handle: Option<&Handle>) {
        let token = self.task.token(self.job);
        match &self.task.action {
            // Rules go with their group, access goes with its tenant.
            Action::Create { spec, .. }
                if matches!(spec.kind(), CreatedKind::SecurityGroupRules | CreatedKind::TenantAccess) => {}
            Action::Create { side, spec } => {
                let remove = Action::Remove {
                    side: *side,
                    kind: spec.kind(),
                    tenant: spec.tenant().cloned(),
                    handle: handle.cloned(),
                    token,
                };
                self.then("remove", remove);
            }
            Action::Adopt { side, .. } => {
                self.then(
                    "release",
                    Action::Release {
                        side: *side,
                        handle: handle.cloned(),
                        token,
                    },
                );
            }
            Action::Clone { side, .. } => {
                self.then("remove", Action::RemoveImage { side: *side, token });
            }
            Action::StopServer {
                side,
                server,
                was_running: true,
            } => {
                self.then(
                    "start",
                    Action::StartServer {
                        side: *side,
                        server: server.clone(),
                    },
                );
            }
            Action::StartServer { side, server } => {
                self.then(
                    "stop",
                    Action::StopServer {
                        side: *side,
                        server: server.clone(),
                        was_running: false,
                    },
                );
            }
            Action::Promote { side, image, .. } => self.take_back(*side, image),
            Action::Demote { side, image, .. } => self.hand_back(*side, image),
            Action::ForcePromote { side, image, epoch, .. } => {
                self.take_back(*side, image);
                // A source that came back was made read only.
                let reclaim = Action::ForcePromote {
                    side: side.other(),
                    image: image.clone(),
                    decision: self.decision.to_owned(),
                    epoch: epoch + 1,
                };
                self.then("reclaim", reclaim);
                // Under its own name it was: unless its image was destroyed and is a copy of the other side's now.
                self.give_name_back("name", side.other(), image);
                let resync = Action::Resync {
                    side: *side,
                    image: image.clone(),
                    decision: self.decision.to_owned(),
                };
                self.then("resync", resync);
            }
            Action::Fence { side, cluster, .. } => {
                let unfence = Action::Unfence {
                    side: *side,
                    cluster: cluster.clone(),
                    token,
                };
                self.then("unfence", unfence);
            }
            // The rest leaves nothing behind: waits, shipments, and what is itself a clean-up.
            _ => {}
        }
    }

    /// Undoes a promotion: the image gets its name back while it can still be written, and is demoted.
    fn take_back(&mut self, side: Side, image: &ImageRef) {
        self.give_name_back("rename", side, image);
        self.then(
            "demote",
            Action::Demote {
                side,
                image: image.clone(),
                only_if_primary: true,
            },
        );
    }

    /// Undoes a demotion: once the peer's own demotion has arrived here, this side is primary again and replicates.
    fn hand_back(&mut self, side: Side, image: &ImageRef) {
        let demoted = self.task.volume.as_ref().and_then(|volume| {
            let key = TaskKey::new(format!("{}/demote/promote/{volume}", self.prefix));
            self.graph.tasks.contains_key(&key).then_some(key)
        });
        let demotion = demoted.map(|key| {
            let mark = MarkRef::OutputOf(key);
            self.then(
                "arrive",
                Action::AwaitArrival {
                    side,
                    image: image.clone(),
                    mark: mark.clone(),
                },
            );
            mark
        });
        self.then(
            "promote",
            Action::Promote {
                side,
                image: image.clone(),
                demotion,
            },
        );
        // The rename on the other side travels here with replication, or not, depending on the mode.
        self.give_name_back("rename", side, image);
        // Guests may start now; whether replication really runs again is proved beside that.
        let usable = self.last.clone();
        let ship = self.then(
            "ship",
            Action::Ship {
                side,
                image: image.clone(),
                snapshot: None,
            },
        );
        self.then(
            "verify",
            Action::AwaitArrival {
                side: side.other(),
                image: image.clone(),
                mark: MarkRef::OutputOf(ship),
            },
        );
        self.last = usable;
    }

    /// The cloud of that side knows the image by one name only.
    fn give_name_back(&mut self, step: &str, side: Side, image: &ImageRef) {
        let Some(volume) = self.task.volume.as_ref().and_then(|id| self.plan.volumes.get(id)) else {
            return;
        };
        let name = match side {
            Side::Source => volume.source.clone(),
            Side::Target => volume.target.clone(),
        };
        let image = image.clone();
        self.then(step, Action::Rename { side, image, name });
    }
}
