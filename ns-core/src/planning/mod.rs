//! Planning: from a plan, an inventory and a data point to a graph of tasks; from a journal to the graph that undoes it.
//!
//! Everything here is a pure function of values. A graph says *what* must be done and what must come first; how an
//! [`Action`] is carried out, retried and recorded is the executor's business (`engine`).
//!
//! The shapes: [`TaskGraph`] in `graph`; `recovery` makes drills and failovers, `protect` makes initial mirroring,
//! recovery points and their end, `undo` makes rollbacks, `confirm` makes confirms, `beside` makes recoveries from another point, `home` adds what failback needs to all of
//! them; `step` shows a graph before it is run, `forecast` says how long it will take.

mod beside;
mod confirm;
mod fence;
mod forecast;
mod graph;
mod home;
mod lookup;
mod networks;
mod protect;
mod recovery;
mod step;
#[cfg(test)]
mod tests;
mod undo;

pub use beside::{plan_beside, without_network};
pub use confirm::plan_confirm;
pub use fence::{plan_fence, plan_open, plan_unfence};
pub use forecast::{ActionKind, Forecast, History, Span, forecast};
pub use graph::{Action, ImageRef, MarkRef, Side, Task, TaskGraph, VAULT_BASE};
pub use home::{Homecoming, Homeward, plan_homecoming};
pub use protect::{
    PointRemains, disable_key, forgotten, plan_point, plan_protect, plan_prune, plan_unprotect, point_snapshot_name,
    point_volumes, replicated_volumes,
};
pub use recovery::{FENCE, RecoveryData, RecoveryInputs, plan_recovery};
pub use step::{Step, StepEffect, steps};
pub use undo::{Done, plan_undo, users};
