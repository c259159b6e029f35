//! Writing a job's journal: entries become durable before they are believed, and everybody who watches is told.

use super::Inner;
use super::job_events;
use super::records::{kinds, put};
use crate::journal::{Chain, Entry, Event, JobView, verify_to};
use crate::model::{JobId, JobSummary};
use crate::planted::{self, Bug};
use crate::store::{JournalLine, Write};
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Lines read from the store at once.
const PAGE: usize = 500;

/// The one writer of one journal, with the fold of everything in it.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    inner: Arc<Inner>,
    chain: Chain,
    pub(crate) view: JobView,
    feed: watch::Sender<u64>,
    /// Goes into every commit: see [`Write::Held`].
    fence: Write,
    /// Goes into the next commit.
    along: Option<Write>,
}

/// The first write of a job: its journal with one entry and what else is known from the beginning, as the time of a planned job;
/// and its summary.
pub(crate) fn first_writes(inner: &Inner, job: &JobId, event: Event, further: Vec<Event>) -> Result<Vec<Write>> {
    let mut entry = Entry {
        job: job.clone(),
        position: 1,
        at: inner.clock.now(),
        event,
    };
    let mut chain = Chain::new(job.clone());
    let mut lines = vec![chain.seal(&entry)?];
    let mut view = JobView::begin(&entry)?;
    for event in further {
        entry = Entry {
            position: entry.position + 1,
            event,
            ..entry
        };
        lines.push(chain.seal(&entry)?);
        view.apply(&entry);
    }
    Ok(vec![
        Write::Append {
            job: job.clone(),
            lines,
        },
        put(kinds::JOB, job.as_str(), Some(0), &view.summary())?,
    ])
}

impl Inner {
    /// The fold of a job's whole journal, verified.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` when it does not verify, or ends before the line that the job's record was written with.
    pub(crate) async fn view(&self, job: &JobId) -> Result<JobView> {
        JobView::fold(job, &self.entries(job).await?)
    }

    /// A job's whole journal, verified as for [`Inner::view`].
    pub(crate) async fn entries(&self, job: &JobId) -> Result<Vec<Entry>> {
        // Before the journal: what is appended meanwhile only makes it longer.
        let record = self.records().find::<JobSummary>(kinds::JOB, job.as_str()).await?;
        let lines = self.store.journal(job, 1, usize::MAX >> 1).await?;
        Ok(verify_to(job, &lines, record.map_or(0, |(job, _)| job.position))?.0)
    }
}

impl JournalWriter {
    /// Reads, verifies and folds a journal.
    ///
    /// # Errors
    /// `Corrupt` when it does not verify, or ends before the line that the job's record was written with.
    pub(crate) async fn load(inner: Arc<Inner>, job: JobId, feed: watch::Sender<u64>, fence: Write) -> Result<Self> {
        // Before the journal: what is appended meanwhile only makes it longer.
        let record = inner.records().find::<JobSummary>(kinds::JOB, job.as_str()).await?;
        let mut chain = Chain::new(job.clone());
        let mut view: Option<JobView> = None;
        loop {
            let lines = inner.store.journal(&job, chain.position() + 1, PAGE).await?;
            for line in &lines {
                let entry = chain.open(line)?;
                match &mut view {
                    Some(view) => view.apply(&entry),
                    None => view = Some(JobView::begin(&entry)?),
                }
            }
            if lines.len() < PAGE {
                break;
            }
        }
        let view =
            view.ok_or_else(|| Error::new(ErrorKind::NotFound, "job.not_found", format!("there is no job {job}")))?;
        chain.reaches(record.map_or(0, |(summary, _)| summary.position))?;
        feed.send_replace(view.position);
        Ok(Self {
            inner,
            chain,
            view,
            feed,
            fence,
            along: None,
        })
    }

    /// Lets a write go along with the next commit, as a part of it.
    pub(crate) fn send_along(&mut self, write: Option<Write>) {
        self.along = write;
    }

    /// Takes back what was to go along and has not gone.
    pub(crate) const fn take_along(&mut self) -> Option<Write> {
        self.along.take()
    }

    /// The hash of the last line.
    pub(crate) fn hash(&self) -> &str {
        self.chain.hash()
    }

    /// Appends events, together with other writes, as one transaction. A store that is away for a moment is waited for:
    /// nothing may happen outside that is not in the journal.
    ///
    /// # Errors
    /// `Conflict` when another engine has the job (`store.lease`) or somebody else wrote to this journal: this engine must not go
    /// on with the job. Other errors of the store when it stays away.
    pub(crate) async fn append(&mut self, events: Vec<Event>, mut writes: Vec<Write>) -> Result<()> {
        if events.is_empty() && writes.is_empty() {
            return Ok(());
        }
        writes.insert(0, self.fence.clone());
        writes.extend(self.along.clone());
        let mut chain = self.chain.clone();
        let now = self.inner.clock.now();
        // Time never runs backwards in a journal, whatever the machine's clock does.
        let at = match planted::is(Bug::TimeRunsBack) {
            true => now,
            false => now.max(self.view.changed_at),
        };
        let mut entries = Vec::with_capacity(events.len());
        let mut lines = Vec::with_capacity(events.len());
        for event in events {
            let entry = Entry {
                job: self.view.id.clone(),
                position: chain.position() + 1,
                at,
                event,
            };
            lines.push(chain.seal(&entry)?);
            entries.push(entry);
        }
        let last = lines.last().cloned();
        let mut view = self.view.clone();
        for entry in &entries {
            let ran = view.started_at.is_some();
            view.apply(entry);
            for told in job_events::told(entry, &view, ran) {
                let owner = view.owner_group_id.as_ref();
                writes.push(self.inner.tell(told, owner, job_events::about(&view))?);
            }
        }
        if !lines.is_empty() {
            writes.push(Write::Append {
                job: view.id.clone(),
                lines,
            });
            writes.push(put(kinds::JOB, view.id.as_str(), None, &view.summary())?);
        }
        match self.commit(writes, last).await {
            Err(_) if planted::is(Bug::WriteErrorsIgnored) => {}
            result => result?,
        }
        self.along = None;
        self.chain = chain;
        self.view = view;
        self.feed.send_replace(self.view.position);
        Ok(())
    }

    async fn commit(&self, writes: Vec<Write>, last: Option<JournalLine>) -> Result<()> {
        let mut tries = 0;
        loop {
            match self.inner.store.commit(writes.clone()).await {
                Err(e) if e.kind() == ErrorKind::Unavailable && tries < 10 => {
                    tries += 1;
                    tracing::warn!(job = %self.view.id, error = %e, tries, "the store is away; waiting");
                    self.inner.clock.sleep(Duration::from_millis(200 * tries)).await;
                }
                // The commit before this one may have been done although it was answered with an error: its last line is there.
                Err(e) if e.kind() == ErrorKind::Conflict && tries > 0 => {
                    let Some(line) = &last else { return Err(e) };
                    let found = self.inner.store.journal(&self.view.id, line.position, 1).await?;
                    return if found.first() == Some(line) { Ok(()) } else { Err(e) };
                }
                result => return result,
            }
        }
    }
}
