//! Reports of finished jobs.

use super::{Page, Session};
use crate::Result;
use crate::engine::kinds;
use crate::model::JobId;
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
        self.session.inner.records().get(kinds::REPORT, job.as_str()).await
    }

    /// Reports in the order of their jobs' ids (RES-02).
    ///
    /// # Errors
    /// `Invalid` for a page out of range.
    pub async fn list(&self, page: &Page) -> Result<Vec<RecoveryReport>> {
        page.check()?;
        self.session
            .inner
            .records()
            .page(kinds::REPORT, page.after.as_deref(), page.limit)
            .await
    }
}
