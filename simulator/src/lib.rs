//! A seeded world around the real engine.
//!
//! Engine, machine, planning, journal and executor are those of `ns-core`; only its ports are simulated: clouds and storage
//! (`ns_core::sim`), time, and the store. A seed draws a [`story::Scenario`]: what operators do and what goes wrong. A
//! run tells it in a [`world::World`], where an [`audit::Audit`] sees every commit and every call. The same seed always
//! gives the same run, to the last byte.

pub mod audit;
pub mod campaign;
pub mod crash;
pub mod dice;
pub mod faults;
pub mod mutants;
pub mod node;
pub mod ports;
pub mod run;
pub mod shared;
pub mod shrink;
pub mod store;
pub mod story;
pub mod teller;
pub mod world;
