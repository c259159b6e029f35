//! The ports that a cloud and a storage implement.
//!
//! Providers are small and know no job, plan or policy: they list, find, create, adopt and remove things
//! ([`CloudProvider`]); they pair, replicate, snapshot, promote, demote, resync and clone volumes
//! ([`StorageProvider`]). The engine drives them by intent, effect and outcome; what that asks of every provider is
//! said here once and proved by the `conformance` suite:
//!
//! * **Tokens.** Every creating call carries a [`Token`] that the engine derives from job and task. The provider stores
//!   it with the thing (tag, metadata, name), so that after a crash `find` tells whether the thing exists. Creating again
//!   with the same token gives the same thing. Removing checks the token first: what the product did not create it
//!   cannot delete (INV-30).
//! * **Post-conditions.** A call that returns `Ok` was seen to have taken effect: the provider read the result back. An
//!   accepted request is not a done one.
//! * **Idempotence.** Every verb may be called again after it succeeded, failed or was dropped half way; it then
//!   finishes the work or answers `Ok`. What a dropped call sent may take effect late: when the service refuses because
//!   something is in the way, the provider looks for the token once more.
//! * **Errors.** [`crate::Error`] with a kind the engine can act on. `Unavailable` is retried; `Timeout` means the
//!   outcome is unknown; all other kinds end the task. The service's own message is kept, secrets never are.
//! * **Cancellation.** Any future may be dropped at any await: no lock is left held, no child process left running.
//! * **Deadlines** are the engine's: it drops the future. A provider still bounds each request to its service, so that a
//!   dead service is reported as `Unavailable` in seconds.

mod cloud;
mod connector;
mod fence;
mod measured;
mod notice;
mod spec;
mod storage;
mod token;

pub use cloud::*;
pub use connector::*;
pub use fence::*;
pub(crate) use measured::{measured_cloud, measured_storage};
pub use notice::*;
pub use spec::*;
pub use storage::*;
pub use token::*;
