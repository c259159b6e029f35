//! A graph as a person or a program reads it before anything is done: which task does what, where, to what, and after what.

use super::forecast::{History, Span};
use super::graph::{Action, Side, TaskGraph};
use crate::Result;
use crate::model::{CloudId, TaskKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What a step does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEffect {
    /// Something exists that did not.
    Creates,
    /// Something is in another state, and nothing of it is lost.
    Changes,
    /// Something does not exist any more, or its content is thrown away.
    Deletes,
    /// Nothing; time passes until something is seen.
    Waits,
}

impl Action {
    /// What it does to the world.
    #[must_use]
    pub const fn effect(&self) -> StepEffect {
        match self {
            Self::Create { .. }
            | Self::Adopt { .. }
            | Self::EnableReplication { .. }
            | Self::Snapshot { .. }
            | Self::Clone { .. } => StepEffect::Creates,
            Self::Release { .. }
            | Self::StopServer { .. }
            | Self::StartServer { .. }
            | Self::Flatten { .. }
            | Self::Ship { .. }
            | Self::Demote { .. }
            | Self::Promote { .. }
            | Self::ForcePromote { .. }
            | Self::Rejoin { decision: None, .. }
            | Self::Fence { .. }
            | Self::Unfence { .. }
            | Self::Rename { .. } => StepEffect::Changes,
            Self::Remove { .. }
            | Self::DisableReplication { .. }
            | Self::RemoveSnapshot { .. }
            | Self::RemoveImage { .. }
            | Self::Resync { .. }
            | Self::Rejoin { decision: Some(_), .. } => StepEffect::Deletes,
            Self::AwaitReplica { .. } | Self::AwaitArrival { .. } | Self::AwaitReady { .. } | Self::Delay { .. } => {
                StepEffect::Waits
            }
        }
    }
}

/// A task that would be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its key, under which the job's journal tells of it later.
    pub key: TaskKey,
    /// What it does to the world.
    pub effect: StepEffect,
    /// Where; none where no side is concerned.
    pub side: Option<Side>,
    /// The same for people.
    pub sentence: String,
    /// The Source volume it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<CloudId>,
    /// The instances that need it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub instances: BTreeSet<CloudId>,
    /// The steps that come first.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<TaskKey>,
    /// How long it takes; none when its kind was never seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Span>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// The steps of a graph, each after those it waits for.
///
/// # Errors
/// As [`TaskGraph::in_order`].
///
/// ```
/// use ns_core::planning::{Action, History, StepEffect, TaskGraph, steps};
/// let mut graph = TaskGraph::default();
/// let key = graph.add("delay/web", Action::Delay { seconds: 30 }, []);
/// let steps = steps(&graph, &History::default())?;
/// assert_eq!((&steps[0].key, steps[0].effect), (&key, StepEffect::Waits));
/// assert_eq!(steps[0].to_string(), "wait 30 s (delay/web)");
/// # Ok::<(), ns_core::Error>(())
/// ```
pub fn steps(graph: &TaskGraph, history: &History) -> Result<Vec<Step>> {
    let tasks = graph.in_order()?.into_iter();
    let step = |task: &super::Task| Step {
        key: task.key.clone(),
        effect: task.action.effect(),
        side: task.action.words().1,
        sentence: task.to_string(),
        volume: task.volume.clone(),
        instances: task.instances.clone(),
        after: task.after.union(&task.order).cloned().collect(),
        expected: history.expects(&task.action),
    };
    Ok(tasks.map(step).collect())
}
