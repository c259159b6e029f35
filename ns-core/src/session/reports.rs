//! Reports of finished jobs.

use super::Session;
use crate::Result;
use crate::engine::kinds;
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
    /// ```no_run
    /// # async fn example(session: ns_core::Session, job: ns_core::model::JobId) -> ns_core::Result<()> {
    /// let report = session.reports().get(&job).await?;
    /// println!("{}", report.json()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` while the job has none.
    pub async fn get(&self, job: &JobId) -> Result<RecoveryReport> {
        let report: RecoveryReport = self.session.inner.records().get(kinds::REPORT, job.as_str()).await?;
        let owner = report.facts.job.owner_group_id.clone();
        self.session.seen(owner.as_ref(), kinds::REPORT, job.as_str(), report)
    }

    /// A part of the reports that the actor sees (RES-02).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// println!("{} reports", session.reports().list(&Query::default()).await?.total);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<RecoveryReport>> {
        // A report outlives its group: it keeps who owned it.
        let mine = |r: &RecoveryReport| self.session.sees(r.facts.job.owner_group_id.as_ref());
        self.session.listed(kinds::REPORT, query, mine).await
    }
}
