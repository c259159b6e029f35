//! Cases for cloud providers.

mod basics;
mod bench;

pub use bench::CloudBench;

use super::case::{Case, cases};

/// Every cloud case, with where its rule comes from.
#[must_use]
pub fn cloud_cases<'f>() -> Vec<Case<CloudBench<'f>>> {
    cases![CloudBench<'f>:
        basics::check, "CL-02";
    ]
}
