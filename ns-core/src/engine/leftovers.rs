//! What a rollback could not put back (LIM-07, SM-68): what the operator is told when he decides to ignore it, and what
//! the report lists. Pure: read from the journal's fold.

use crate::ErrorRecord;
use crate::journal::{JobView, PhaseKind, TaskStatus};
use crate::planning::{Action, Side, Task};
use crate::provider::{Handle, Token};
use std::fmt;

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    /// What kind of thing is still there, or what was not done to it.
    pub(super) what: String,
    /// Its id; where none is known, the token it is found by, or the task.
    pub(super) id: String,
    /// The token it carries.
    token: Option<Token>,
    /// The thing, where it is known.
    pub(super) handle: Option<Handle>,
    /// Where.
    pub(super) side: Option<Side>,
    /// Why.
    pub(super) error: Option<ErrorRecord>,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(side) = self.side {
            write!(f, "{side:?}: ")?;
        }
        write!(f, "{} {}", self.what, self.id)?;
        match &self.token {
            Some(token) if token.as_str() != self.id => write!(f, " (token {token})"),
            _ => Ok(()),
        }
    }
}

/// Everything that the last rollback left: a second try takes over what the first one did not do.
pub(super) fn leftovers(view: &JobView) -> Vec<Leftover> {
    let rollback = view.phases.iter().rev().find(|p| p.kind == PhaseKind::Rollback);
    let tasks = rollback.into_iter().flat_map(|p| p.graph.tasks.values());
    let undone = tasks.filter(|t| matches!(view.status(&t.key), TaskStatus::Failed | TaskStatus::Skipped));
    undone.filter_map(|task| leftover(view, task)).collect()
}

fn leftover(view: &JobView, task: &Task) -> Option<Leftover> {
    let made = |what: &str, handle: Option<&Handle>, token: &Token| {
        let id = handle.map_or_else(|| token.to_string(), |h| h.id.to_string());
        (what.to_owned(), id, Some(token.clone()))
    };
    let (words, side) = task.action.words();
    let handle = match &task.action {
        Action::Remove { handle, .. } | Action::Release { handle, .. } => handle.clone(),
        _ => None,
    };
    let (what, id, token) = match &task.action {
        Action::Delay { .. } | Action::AwaitReady { .. } => return None,
        Action::Remove {
            kind, handle, token, ..
        } => made(kind.as_str(), handle.as_ref(), token),
        Action::Release { handle, token, .. } => made("volume", handle.as_ref(), token),
        Action::RemoveImage { token, .. } => made("image", None, token),
        _ => {
            let about = task.volume.as_ref().or_else(|| task.instances.first());
            let id = about.map_or_else(|| task.key.to_string(), ToString::to_string);
            (format!("not done: {words}"), id, None)
        }
    };
    Some(Leftover {
        what,
        id,
        token,
        handle,
        side,
        error: view.tasks.get(&task.key).and_then(|s| s.error.clone()),
    })
}
