//! The storage service of a simulated site: RBD images that mirror to a peer, with the service's own verbs, refusals and
//! surprises. It knows no port; the provider is in `storage`, as the real provider is in front of the real service.

mod image;
mod lives;
mod log;
mod mirror;
mod service;
mod verbs;

pub(crate) use image::{Counter, Images};
pub use image::{Errno, Posted};
pub(crate) use log::{Log, What};
pub(crate) use mirror::Link;
pub use service::{Image, Mirroring, Rbd, SnapshotInfo};
