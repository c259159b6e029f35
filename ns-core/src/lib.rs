//! NeverStop recovers virtual machines on another cloud when theirs is lost.
//!
//! This crate is the engine; it knows no cloud and no storage by name. Providers implement the ports of [`provider`]; a
//! host links this crate and the providers it needs.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod engine;
pub mod journal;
pub mod license;
pub mod machine;
pub mod model;
pub mod planning;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
#[allow(unreachable_pub, reason = "it is public with the feature")]
pub(crate) mod planted;
pub mod ports;
pub mod provider;
pub mod report;
pub mod rules;
pub mod sealing;
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;

mod error;

pub use engine::{Engine, EngineBuilder, Providers, Settings};
pub use error::{Error, ErrorKind, ErrorRecord, Result};
pub use model::Actor;
pub use session::Session;

/// The pages for users: what they show is run.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../docs/jobs.md")]
    mod jobs {}
    #[doc = include_str!("../../docs/licence.md")]
    mod licence {}
    #[doc = include_str!("../../docs/observability.md")]
    mod observability {}
    #[doc = include_str!("../../docs/people.md")]
    mod people {}
    #[doc = include_str!("../../docs/reports.md")]
    mod reports {}
    #[doc = include_str!("../../docs/schedules.md")]
    mod schedules {}
    #[doc = include_str!("../../docs/settings.md")]
    mod settings {}
}
