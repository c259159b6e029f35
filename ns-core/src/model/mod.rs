//! The nouns of the product as plain values: clusters, inventory, groups, plans, recovery points, jobs, reports.
//!
//! Values here serialise, compare and print; they know no clock, no store, no provider and decide nothing (that is
//! `rules`, `machine` and `planning`). Times are [`jiff::Timestamp`]; sizes are bytes unless the name says otherwise.

mod actor;
mod approval;
mod audit;
mod cluster;
mod connection;
mod drill_schedule;
mod event;
mod group;
mod health;
mod home;
mod ids;
mod interval;
mod inventory;
mod inventory_fields;
mod job;
mod license;
mod plan;
mod plan_change;
mod point;
mod product_event;
mod query;
mod readiness;
mod record_fields;
mod right;
mod subscription;
mod timetable;
mod user;
mod volume_metadata;

pub use actor::*;
pub use approval::*;
pub use audit::*;
pub use cluster::*;
pub use connection::*;
pub use drill_schedule::*;
pub use event::*;
pub use group::*;
pub use health::*;
pub use home::*;
pub use ids::*;
pub use interval::*;
pub use inventory::*;
pub use job::*;
pub use license::*;
pub use plan::*;
pub use plan_change::*;
pub use point::*;
pub use product_event::*;
pub use query::*;
pub(crate) use query::{Answer, queryable};
pub use readiness::*;
pub use right::*;
pub use subscription::*;
pub use timetable::*;
pub use user::*;
pub use volume_metadata::*;
