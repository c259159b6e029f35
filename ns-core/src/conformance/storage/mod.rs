//! Cases for storage providers.

mod basics;
mod bench;

pub use bench::StorageBench;

use super::case::{Case, cases};

/// Every storage case, with where its rule comes from.
#[must_use]
pub fn storage_cases<'f>() -> Vec<Case<StorageBench<'f>>> {
    cases![StorageBench<'f>:
        basics::identity, "REP-01 CL-02";
        basics::pairing_is_idempotent, "REP-01";
        basics::enable_is_idempotent, "REP-03";
        basics::initial_copy_is_equal, "REP-03 PLAN-14";
        basics::unknown_image, "provider: errors";
    ]
}
