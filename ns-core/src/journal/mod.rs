//! The journal: a job *is* its journal, an append-only, hash-chained list of entries.
//!
//! [`Event`] says what can happen, [`Entry`] is an event with its place and time, `chain` seals entries into lines of
//! the store and verifies them, and [`JobView`] is the fold: everything anybody can know about a job, and (`next`) what it
//! comes to next. State is never kept
//! anywhere else; replaying any prefix gives the state the job had then.

mod chain;
mod event;
mod fold;
mod next;
mod resolve;

pub(crate) use chain::digest;
pub use chain::{Chain, verify, verify_to};
pub use event::{DecisionKind, Entry, Event, Frozen, OtherPoint, PhaseKind, TaskOutput, TaskResult};
pub use fold::{Decided, JobView, Phase, TaskState, TaskStatus};
pub use next::{Due, beside};
