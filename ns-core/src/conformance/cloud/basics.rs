//! Who the provider says it is.

use super::bench::CloudBench;
use crate::Result;
use crate::conformance::Outcome;
use crate::conformance::case::ensure;

/// The provider says who it is, that it lacks no right, and that clocks agree.
pub(super) async fn check(b: &CloudBench<'_>) -> Result<Outcome> {
    let report = b.cloud().check().await?;
    ensure!(!b.cloud().platform().is_empty(), "a provider names its platform");
    ensure!(!report.cloud_id.is_empty(), "a cloud has an identity");
    ensure!(!report.user.is_empty(), "the report names the user");
    ensure!(
        report.missing_rights.is_empty(),
        "rights are missing: {:?}",
        report.missing_rights
    );
    ensure!(
        report.clock_skew_seconds.abs() < 60,
        "the clocks differ by {} s",
        report.clock_skew_seconds
    );
    Ok(Outcome::Passed)
}
