//! Reports of finished jobs.

use super::Session;
use crate::Result;
use crate::engine::{kinds, not_found};
use crate::model::{JobId, Listing, Query};
use crate::report::RecoveryReport;

/// See [`Session::reports`].
#[derive(Debug, Clone, Copy)]
pub struct Reports<'a> {
    pub(super) session: &'a Session,
}

impl Reports<'_> {
    /// The report of a job (RES-03), as a value that gives JSON and a page.
    ///
    /// # Errors
    /// `NotFound` while the job has none.
    pub async fn get(&self, job: &JobId) -> Result<RecoveryReport> {
        let report: RecoveryReport = self.session.inner.records().get(kinds::REPORT, job.as_str()).await?;
        if self.sees(&report) {
            return Ok(report);
        }
        Err(not_found(kinds::REPORT, job.as_str()))
    }

    /// A part of the reports that the actor sees (RES-02).
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<RecoveryReport>> {
        self.session.listed(kinds::REPORT, query, |r| self.sees(r)).await
    }

    /// A report outlives its group: it keeps who owned it.
    fn sees(&self, report: &RecoveryReport) -> bool {
        let owner = report.facts.job.owner_group_id.as_ref();
        owner.map_or_else(
            || self.session.sees_everything(),
            |owner| self.session.actor.sees(owner),
        )
    }
}
