//! The cloud of a simulated site: tenants, networks, volumes and servers, on top of the site's storage.

mod addresses;
mod create;
mod provider;
mod remove;
mod servers;
mod state;
mod volumes;

pub(crate) use state::{CloudState, page};
