//! Reports of finished jobs.

use super::Session;
use super::audit::Act;
use crate::engine::{kinds, remove};
use crate::journal::{Event, digest};
use crate::model::{JobId, JobType, Listing, Query};
use crate::report::RecoveryReport;
use crate::rules::{Area, Verb};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a document was held against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedReport {
    /// The report, as it was made.
    pub report: RecoveryReport,
    /// When the job's journal says that it was made.
    pub made_at: Timestamp,
}

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

    /// A part of the reports that the actor sees (RES-02), searched by `kind` and `result` (RES-06) among others. The history of a
    /// protection group (RES-01) is what is found by its `group_id`, also when the group is gone.
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

    /// Whether a document that [`RecoveryReport::json`] or [`RecoveryReport::html`] gave is, byte for byte, what the engine
    /// made: its data is held against the digest in the job's journal, the journal against its own chain of hashes and the hash in
    /// the report. The report itself may have been deleted since.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// let page = std::fs::read_to_string("failover.html").unwrap_or_default();
    /// let verified = session.reports().verify(&page).await?;
    /// println!("made {} and not changed since", verified.made_at);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Corrupt`: `report.decode` when it is no report, `report.changed` when it is not as it was made; those of the journal when
    /// that was changed. `NotFound` when no such job is known here.
    pub async fn verify(&self, document: &str) -> Result<VerifiedReport> {
        let report = RecoveryReport::from_document(document)?;
        let job = &report.facts.job.id;
        self.session.job(job).await?;
        let entries = self.session.inner.entries(job).await?;
        let changed = |message: &str| {
            Error::new(ErrorKind::Corrupt, "report.changed", message)
                .with("job", job)
                .with_remedy("get the report anew from the engine")
        };
        let said = digest(report.json()?.as_bytes());
        let made = entries.iter().find_map(|entry| match &entry.event {
            Event::Reported { digest } => Some((entry.at, *digest == said)),
            _ => None,
        });
        match made {
            Some((made_at, true)) => Ok(VerifiedReport { report, made_at }),
            Some((_, false)) => Err(changed("the report is not the one that the job's journal speaks of")),
            None => Err(changed("the job's journal speaks of no report")),
        }
    }

    /// Deletes the report of a drill (RES-05). That of a failover is kept.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, job: ns_core::model::JobId) -> ns_core::Result<()> {
    /// session.reports().delete(&job).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`; `Denied` without the right; `Refused`, `report.kept`, for anything but a drill.
    pub async fn delete(&self, job: &JobId) -> Result<()> {
        let act = Act::new(Area::Results, Verb::Delete, "reports.delete", job);
        self.session
            .change(act, async {
                let report = self.get(job).await?;
                if report.facts.job.kind != JobType::Drill.as_str() {
                    let message = format!("the report of a {} is kept", report.facts.job.kind);
                    return Err(Error::new(ErrorKind::Refused, "report.kept", message)
                        .with_field("job")
                        .with_remedy("only reports of drills can be deleted; export this one, and leave it"));
                }
                let removed = remove(kinds::REPORT, job.as_str());
                self.session.inner.records().commit(vec![removed]).await
            })
            .await
    }
}
