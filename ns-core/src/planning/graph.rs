//! The task graph: values that planning writes and the executor reads.

use crate::model::{CloudId, ClusterId, JobId, ReadinessCheck, ReplicationId, ReplicationMode, StorageRef, TaskKey};
use crate::provider::{AdoptSpec, CreatedKind, Handle, Mark, Ref, Spec, Token};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The snapshot every vault clone carries: what recovery clones from.
pub const VAULT_BASE: &str = "neverstop-base";

/// Which cluster of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The cluster that is protected.
    Source,
    /// The cluster that is recovered to.
    Target,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Source => Self::Target,
            Self::Target => Self::Source,
        }
    }
}

/// How a task names an image. Replicated images are named by their replication id, because their names change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageRef {
    /// By its place.
    Known(StorageRef),
    /// The one that this task made or found.
    OutputOf(TaskKey),
    /// The one with this replication identity on the task's side.
    Replica(ReplicationId),
}

/// Where a task takes the proof of a hand-over from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkRef {
    /// A mark made before.
    Known(Mark),
    /// The mark this task made.
    OutputOf(TaskKey),
}

/// What one task does. This is the executor's whole vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
#[allow(missing_docs, reason = "the fields are named after what they hold")]
pub enum Action {
    /// Makes a thing in a cloud.
    Create { side: Side, spec: Spec },
    /// Makes a volume of an image. The spec's `storage` is replaced by `image`.
    Adopt {
        side: Side,
        image: ImageRef,
        spec: AdoptSpec,
    },
    /// Removes what a task made. Without a handle it is looked for by token.
    Remove {
        side: Side,
        kind: CreatedKind,
        tenant: Option<Ref>,
        handle: Option<Handle>,
        token: Token,
    },
    /// Lets go of a volume that a task adopted.
    Release {
        side: Side,
        handle: Option<Handle>,
        token: Token,
    },
    /// Stops a server. `was_running` is what the inventory said when the graph was planned: rollback restores it.
    StopServer { side: Side, server: Ref, was_running: bool },
    /// Starts a server.
    StartServer { side: Side, server: Ref },
    /// Makes an image independent of its parent.
    Flatten { side: Side, image: ImageRef },
    /// Begins replication from Source to Target.
    EnableReplication { image: ImageRef, mode: ReplicationMode },
    /// Waits until the Target holds a complete first copy; gives the replica's place.
    AwaitReplica { source: TaskKey },
    /// Ends replication from the Source and waits until the replica is gone. When the Source's `image` is itself gone, a replica
    /// that stays may be the last copy: it is left.
    DisableReplication {
        replication_id: ReplicationId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<StorageRef>,
    },
    /// Takes a user snapshot.
    Snapshot { side: Side, image: ImageRef, name: String },
    /// Removes a user snapshot.
    RemoveSnapshot { side: Side, image: ImageRef, name: String },
    /// Sends everything written on `side` so far towards its peer; gives a mark.
    Ship {
        side: Side,
        image: ImageRef,
        snapshot: Option<String>,
    },
    /// Waits until `side` holds what the mark covers.
    AwaitArrival { side: Side, image: ImageRef, mark: MarkRef },
    /// Clones a snapshot on the Target.
    Clone {
        side: Side,
        image: ImageRef,
        snapshot: String,
    },
    /// Removes an image that a task made.
    RemoveImage { side: Side, token: Token },
    /// Makes an image read only; gives the mark of its demotion, also when it was demoted before. With `only_if_primary` set
    /// nothing is done, and no mark given, to an image that was never primary here or does not replicate.
    Demote {
        side: Side,
        image: ImageRef,
        only_if_primary: bool,
    },
    /// Makes an image writable after its peer's demotion has arrived. Without a mark (the peer was never promoted) the image
    /// proves its own demotion. The peer is looked at first and must not be primary.
    Promote {
        side: Side,
        image: ImageRef,
        demotion: Option<MarkRef>,
    },
    /// Makes an image writable although its peer may be primary, by the recorded decision; the peer is fenced from then on.
    ForcePromote {
        side: Side,
        image: ImageRef,
        decision: String,
        epoch: u64,
    },
    /// Throws a copy away and copies the peer again, by the recorded decision.
    Resync {
        side: Side,
        image: ImageRef,
        decision: String,
    },
    /// Makes the copy on `side`, which wrote in an older epoch, follow the peer, which writes now: demotes it, and where the
    /// two have diverged throws it away by the recorded decision. Without a decision a diverged copy stays as it is.
    Rejoin {
        side: Side,
        replication_id: ReplicationId,
        decision: Option<String>,
    },
    /// Cuts a cluster off for certain, by the recorded decision; gives what shows it.
    Fence {
        side: Side,
        cluster: ClusterId,
        decision: String,
    },
    /// Lets go of the fence that a task holds with this token.
    Unfence {
        side: Side,
        cluster: ClusterId,
        token: Token,
    },
    /// Gives an image its name back.
    Rename {
        side: Side,
        image: ImageRef,
        name: StorageRef,
    },
    /// Waits until what runs in the server of an instance is ready.
    AwaitReady {
        side: Side,
        instance: CloudId,
        cluster: ClusterId,
        server: Ref,
        check: ReadinessCheck,
    },
    /// Waits.
    Delay { seconds: u32 },
}

/// A step of a graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its key, unique in the job.
    pub key: TaskKey,
    /// What it does.
    pub action: Action,
    /// Tasks that must have succeeded.
    pub after: BTreeSet<TaskKey>,
    /// Tasks that must have ended, however.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub order: BTreeSet<TaskKey>,
    /// Instances that need it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub instances: BTreeSet<CloudId>,
    /// The Source volume it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<CloudId>,
}

impl Task {
    /// The token of what this task makes.
    #[must_use]
    pub fn token(&self, job: &JobId) -> Token {
        Token::of(job, &self.key)
    }
}

/// Tasks and what must come first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskGraph {
    /// The tasks by key.
    pub tasks: BTreeMap<TaskKey, Task>,
}

impl TaskGraph {
    /// Adds a task and gives its key. A task with this key that is there already stays as it is: several parts of a plan may
    /// ask for the same network.
    pub fn add<'a>(
        &mut self,
        key: impl Into<TaskKey>,
        action: Action,
        after: impl IntoIterator<Item = &'a TaskKey>,
    ) -> TaskKey {
        let key = key.into();
        self.tasks.entry(key.clone()).or_insert_with(|| Task {
            key: key.clone(),
            action,
            after: after.into_iter().cloned().collect(),
            order: BTreeSet::new(),
            instances: BTreeSet::new(),
            volume: None,
        });
        key
    }

    /// Says which Source volume a task is about.
    pub fn about_volume(&mut self, key: &TaskKey, volume: &CloudId) {
        if let Some(task) = self.tasks.get_mut(key) {
            task.volume = Some(volume.clone());
        }
    }

    /// Marks a task and everything it needs as needed by an instance.
    pub fn needed_by(&mut self, key: &TaskKey, instance: &CloudId) {
        let mut todo = vec![key.clone()];
        while let Some(key) = todo.pop() {
            if let Some(task) = self.tasks.get_mut(&key)
                && task.instances.insert(instance.clone())
            {
                todo.extend(task.after.iter().cloned());
            }
        }
    }

    /// The tasks in an order in which each comes after what it waits for.
    ///
    /// # Errors
    /// `Internal` for a cycle or a dependency that does not exist: a graph that could never end.
    pub fn in_order(&self) -> Result<Vec<&Task>> {
        let mut waits: BTreeMap<&TaskKey, usize> = BTreeMap::new();
        let mut followers: BTreeMap<&TaskKey, Vec<&TaskKey>> = BTreeMap::new();
        // By the key it is kept under: what a store holds may name another task as itself.
        for (key, task) in &self.tasks {
            let before: BTreeSet<_> = task.after.iter().chain(&task.order).collect();
            for dependency in &before {
                if !self.tasks.contains_key(*dependency) {
                    return Err(Error::new(
                        ErrorKind::Internal,
                        "graph.dependency",
                        format!("task {key} waits for {dependency}, which does not exist"),
                    ));
                }
                followers.entry(dependency).or_default().push(key);
            }
            waits.insert(key, before.len());
        }
        let mut ready: Vec<&TaskKey> = waits.iter().filter(|(_, n)| **n == 0).map(|(k, _)| *k).collect();
        ready.reverse();
        let mut ordered = Vec::with_capacity(self.tasks.len());
        while let Some(key) = ready.pop() {
            ordered.extend(self.tasks.get(key));
            for follower in followers.get(key).into_iter().flatten() {
                if let Some(n) = waits.get_mut(follower) {
                    *n -= 1;
                    if *n == 0 {
                        ready.push(follower);
                    }
                }
            }
        }
        if ordered.len() == self.tasks.len() {
            Ok(ordered)
        } else {
            Err(Error::new(
                ErrorKind::Internal,
                "graph.cycle",
                "the task graph has a cycle",
            ))
        }
    }
}

impl std::fmt::Display for Task {
    /// One sentence for people: what, and on which side.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (verb, side) = self.action.words();
        let side = match side {
            Some(Side::Source) => " on the Source",
            Some(Side::Target) => " on the Target",
            None => "",
        };
        write!(f, "{verb}{side} ({})", self.key)
    }
}

impl Action {
    /// Whether it only waits: it may be dropped when the job is cancelled.
    #[must_use]
    pub const fn only_waits(&self) -> bool {
        matches!(
            self,
            Self::AwaitReplica { .. } | Self::AwaitArrival { .. } | Self::AwaitReady { .. } | Self::Delay { .. }
        )
    }

    /// Whether a side becomes the one that writes a volume.
    #[must_use]
    pub const fn promotes(&self) -> bool {
        matches!(self, Self::Promote { .. } | Self::ForcePromote { .. })
    }

    /// The side whose load it counts for; waits count for none.
    #[must_use]
    pub const fn load(&self) -> Option<Side> {
        match self {
            Self::Create { side, .. }
            | Self::Adopt { side, .. }
            | Self::Remove { side, .. }
            | Self::Release { side, .. }
            | Self::StopServer { side, .. }
            | Self::StartServer { side, .. }
            | Self::Flatten { side, .. }
            | Self::Snapshot { side, .. }
            | Self::RemoveSnapshot { side, .. }
            | Self::Ship { side, .. }
            | Self::Demote { side, .. }
            | Self::Promote { side, .. }
            | Self::ForcePromote { side, .. }
            | Self::Resync { side, .. }
            | Self::Rename { side, .. }
            | Self::Fence { side, .. }
            | Self::Unfence { side, .. }
            | Self::RemoveImage { side, .. }
            | Self::Clone { side, .. } => Some(*side),
            Self::EnableReplication { .. } | Self::DisableReplication { .. } => Some(Side::Source),
            Self::AwaitReplica { .. }
            | Self::AwaitArrival { .. }
            | Self::AwaitReady { .. }
            | Self::Rejoin { .. }
            | Self::Delay { .. } => None,
        }
    }

    /// What it does, in words, and where.
    #[must_use]
    pub fn words(&self) -> (String, Option<Side>) {
        let fixed = |text: &str, side: Side| (text.to_owned(), Some(side));
        match self {
            Self::Create { side, spec } => (format!("create a {:?}", spec.kind()), Some(*side)),
            Self::Adopt { side, .. } => fixed("adopt an image as a volume", *side),
            Self::Remove { side, kind, .. } => (format!("remove a {kind:?}"), Some(*side)),
            Self::Release { side, .. } => fixed("release a volume", *side),
            Self::StopServer { side, .. } => fixed("stop a server", *side),
            Self::StartServer { side, .. } => fixed("start a server", *side),
            Self::Flatten { side, .. } => fixed("make an image independent of its parent", *side),
            Self::EnableReplication { .. } => fixed("begin replication", Side::Source),
            Self::AwaitReplica { .. } => fixed("wait for the first full copy", Side::Target),
            Self::DisableReplication { .. } => fixed("end replication", Side::Source),
            Self::Snapshot { side, .. } => fixed("take a snapshot", *side),
            Self::RemoveSnapshot { side, .. } => fixed("remove a snapshot", *side),
            Self::Ship { side, .. } => fixed("ship writes to the other side", *side),
            Self::AwaitArrival { side, .. } => fixed("wait until the writes have arrived", *side),
            Self::Clone { side, .. } => fixed("clone a snapshot", *side),
            Self::RemoveImage { side, .. } => fixed("remove an image", *side),
            Self::Demote { side, .. } => fixed("demote an image", *side),
            Self::Promote { side, .. } => fixed("promote an image", *side),
            Self::ForcePromote { side, .. } => fixed("promote an image by force", *side),
            Self::Resync { side, .. } => fixed("throw a copy away and copy it again", *side),
            Self::Rejoin { side, .. } => fixed("make an old copy follow the other side", *side),
            Self::Fence { side, .. } => fixed("cut everything off", *side),
            Self::Unfence { side, .. } => fixed("end the cutting off", *side),
            Self::Rename { side, .. } => fixed("give an image its name back", *side),
            Self::AwaitReady { side, check, .. } => (format!("wait until {}", check.probe), Some(*side)),
            Self::Delay { seconds } => (format!("wait {seconds} s"), None),
        }
    }
}
