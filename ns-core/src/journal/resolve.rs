//! Making an action concrete: references to what other tasks made are replaced by what they made.
//! Pure: the fold says what was made.

use super::fold::JobView;
use crate::model::{CloudId, StorageRef, TaskKey};
use crate::planning::{Action, ImageRef, MarkRef};
use crate::provider::{Mark, Ref};
use crate::{Error, ErrorKind, Result};

/// A mark a task is to wait for; none when there is nothing to wait for.
fn mark(view: &JobView, mark: &MarkRef) -> Result<Option<Mark>> {
    match mark {
        MarkRef::Known(mark) => Ok(Some(mark.clone())),
        MarkRef::OutputOf(task) => Ok(view.output(task).ok_or_else(|| nothing(task))?.mark.clone()),
    }
}

impl JobView {
    /// Replaces every reference of an action.
    ///
    /// # Errors
    /// `Internal` when a task it refers to made nothing: the graph is wrong.
    pub fn resolve(&self, action: &Action) -> Result<Action> {
        let mut action = action.clone();
        resolve(self, &mut action)?;
        Ok(action)
    }
}

fn resolve(view: &JobView, action: &mut Action) -> Result<()> {
    match action {
        Action::Create { spec, .. } => {
            for r in spec.refs_mut() {
                id(view, r)?;
            }
        }
        Action::Adopt { image: i, spec, .. } => {
            id(view, &mut spec.tenant)?;
            image(view, i)?;
        }
        // What is removed may be in a tenant whose making never ended: it is looked for without.
        Action::Remove { tenant, .. } => {
            if let Some(r) = tenant
                && id(view, r).is_err()
            {
                *tenant = None;
            }
        }
        Action::StopServer { server, .. } | Action::StartServer { server, .. } | Action::AwaitReady { server, .. } => {
            id(view, server)?;
        }
        Action::AwaitArrival { image: i, mark: m, .. } => {
            image(view, i)?;
            if let Some(known) = mark(view, m)? {
                *m = MarkRef::Known(known);
            }
        }
        Action::Promote { image: i, demotion, .. } => {
            image(view, i)?;
            if let Some(m) = demotion {
                *demotion = mark(view, m)?.map(MarkRef::Known);
            }
        }
        Action::Flatten { image: i, .. }
        | Action::EnableReplication { image: i, .. }
        | Action::Snapshot { image: i, .. }
        | Action::RemoveSnapshot { image: i, .. }
        | Action::Ship { image: i, .. }
        | Action::Clone { image: i, .. }
        | Action::Demote { image: i, .. }
        | Action::ForcePromote { image: i, .. }
        | Action::Resync { image: i, .. }
        | Action::Rename { image: i, .. } => image(view, i)?,
        Action::AwaitReplica { .. }
        | Action::Release { .. }
        | Action::DisableReplication { .. }
        | Action::Rejoin { .. }
        | Action::Fence { .. }
        | Action::Unfence { .. }
        | Action::RemoveImage { .. }
        | Action::Delay { .. } => {}
    }
    Ok(())
}

fn nothing(task: &TaskKey) -> Error {
    Error::new(
        ErrorKind::Internal,
        "graph.output",
        format!("task {task} has no output to refer to"),
    )
}

fn id(view: &JobView, r: &mut Ref) -> Result<()> {
    if let Ref::OutputOf(task) = r {
        let made: Option<CloudId> = view.output(task).and_then(|o| o.handle.as_ref()).map(|h| h.id.clone());
        *r = Ref::Known(made.ok_or_else(|| nothing(task))?);
    }
    Ok(())
}

fn image(view: &JobView, i: &mut ImageRef) -> Result<()> {
    if let ImageRef::OutputOf(task) = i {
        let made: Option<StorageRef> = view.output(task).and_then(|o| o.image.clone());
        *i = ImageRef::Known(made.ok_or_else(|| nothing(task))?);
    }
    Ok(())
}
