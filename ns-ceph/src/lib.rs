//! Ceph RBD mirroring as a storage provider of NeverStop.
//!
//! One [`Ceph`] stands for one cluster; [`CephConnector`] makes it of settings and secrets that the engine keeps. It implements [`ns_core::provider::StorageProvider`] with the `rbd`, `rados` and
//! `ceph` commands of the distribution: each call is a child process with a deadline, a bounded number run at a time, and
//! what happened is judged by exit code and by facts read back, never by English text. Secrets reach the commands through
//! files, on disk or in memory, and standard input only.
//!
//! From the outside in: `provider` (the port), one module per family of verbs (`replicate`, `points`, `roles`, `clones`,
//! `status`, `pairing`, `check`, [`schedule`](Ceph::schedules)), then `rbd` (what we ask the cluster, as typed calls: the
//! seam behind which librbd in a worker process would fit), then `command` (one child process). `facts`, `journal`,
//! `mark`, `spec`, `outcome` are values and pure functions.
//!
//! Measured behaviour that the code leans on is named where it matters, e.g. "unforced promote is no interlock".

mod check;
mod clones;
mod command;
mod config;
mod connector;
mod facts;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
mod mark;
mod memory_file;
mod outcome;
mod pairing;
mod points;
mod provider;
mod rbd;
mod replicate;
mod roles;
mod schedule;
mod spec;
mod status;

pub use config::{AdminUser, CephConfig, DaemonControl, Limits, PoolRef, Programs};
pub use connector::CephConnector;
pub use provider::Ceph;
pub use schedule::Schedule;
pub use spec::ImageSpec;
