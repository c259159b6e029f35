//! The cloud provider for OpenStack: Keystone, Nova, Placement, Neutron and Cinder behind
//! [`ns_core::provider::CloudProvider`].
//!
//! A thin client of its own on HTTP: `config` says where, `connector` makes that of what the engine keeps, `auth`, `session` and `call` log in and call, `error` tells what a
//! refusal means, `paging` lists; `inventory` reads, `create` makes and removes, `volume` turns storage images into volumes
//! and back, `notices` listens to what the cloud tells of itself, `mark` says where tokens are kept. It knows no job and no
//! plan.

mod auth;
mod call;
mod check;
mod clouds_yaml;
mod config;
mod connector;
mod create;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod inventory;
mod mark;
mod notices;
mod paging;
mod poll;
mod provider;
mod session;
#[cfg(test)]
mod testing;
mod volume;

pub use clouds_yaml::storage_below;
pub use config::{Auth, Domain, Interface, OpenStackConfig, Project, Timing};
pub use connector::OpenStackConnector;
pub use notices::NotificationConfig;
pub use provider::OpenStack;
