//! Helpers of the tests that need the two real clouds of `cargo xtask lab up`.
//!
//! The tests themselves are in this package's `tests/` folder, behind the feature `lab`; those that need no lab sit beside
//! the code they test.

#[cfg(feature = "lab")]
mod guest;
#[cfg(feature = "lab")]
mod lab;
#[cfg(feature = "lab")]
mod program;
#[cfg(feature = "lab")]
mod secrets;
#[cfg(feature = "lab")]
mod site;
#[cfg(feature = "lab")]
mod snapshot;

#[cfg(feature = "lab")]
pub use guest::{Guest, wait_for};
#[cfg(feature = "lab")]
pub use lab::{Lab, SiteName, ceph_time};
#[cfg(feature = "lab")]
pub use program::{Killed, Program};
#[cfg(feature = "lab")]
pub use secrets::Secrets;
#[cfg(feature = "lab")]
pub use site::{Site, SourceGroup};
#[cfg(feature = "lab")]
pub use snapshot::{Everything, difference};
