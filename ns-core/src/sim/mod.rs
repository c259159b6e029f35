//! Simulated clouds and mirrored storage, for tests that must be fast, deterministic and cruel.
//!
//! A [`SimWorld`] holds sites; each has a storage whose images really carry bytes, written in order, and a cloud on top of
//! it. Both are reached through the same ports as the real ones ([`SimWorld::storage`], [`SimWorld::cloud`]), and they
//! behave as the real ones were measured to, surprises included. Beside the ports there is what tests need: the storage
//! service itself ([`SimWorld::rbd`]), disasters ([`SimWorld::kill`], …), injected faults ([`SimWorld::faults`]), servers that
//! write, and a comparable dump of everything ([`SimWorld::dump`]).
//!
//! The world has no task of its own. It stands still until somebody looks, and then catches up with the clock.

mod access;
mod answers;
mod clock;
mod cloud;
mod connector;
mod dump;
mod faults;
mod fence;
#[cfg(feature = "conformance")]
mod fixture;
mod gate;
mod guest;
mod peek;
mod rbd;
mod sample;
mod storage;
mod store;
mod tracked;
mod tuning;
mod user;
mod world;

pub use clock::{Hold, SimClock};
pub use connector::SimConnector;
pub use dump::{ImageDump, SiteDump};
pub use faults::{Call, Effect, Fault, Faults, Part};
#[cfg(feature = "conformance")]
pub use fixture::{SimCloudFixture, SimStorageFixture};
pub use guest::{Beat, GuestDisk};
pub use peek::Peek;
pub use rbd::{Errno, Image, Mirroring, Posted, Rbd, SnapshotInfo};
pub use sample::{Sample, SampleServer};
pub use store::SimStore;
pub use tuning::Tuning;
pub use user::NewVolume;
pub use world::{Condition, SimWorld};
