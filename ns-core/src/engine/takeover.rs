//! What a started engine looks after beside its own jobs: those that nobody runs any more, and orders from other engines.
//!
//! Every third of the lease it looks for jobs that have not finished and whose lease is free or has ended, and takes them: a
//! node that dies is replaced within the lease and a third of it.

use super::records::kinds;
use super::remote::Desk;
use super::{Inner, lease};
use crate::model::{JobId, JobState, JobSummary};
use crate::{ErrorKind, Result};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use tokio::sync::watch;

#[derive(Debug, Default)]
struct Watch {
    desk: Desk,
    /// Those whose journal does not verify: told once, never taken.
    broken: BTreeSet<JobId>,
}

/// Looks until the engine shuts down or is dropped.
pub(super) async fn look_after(weak: Weak<Inner>, mut stop: watch::Receiver<bool>) {
    let mut watch = Watch::default();
    let mut scanned = Timestamp::MIN;
    let mut silent = false;
    loop {
        let Some(inner) = weak.upgrade() else { return };
        if *stop.borrow() {
            return;
        }
        let result = watch.turn(&inner, &mut scanned).await;
        // A store that is away is told once, and once when it is back.
        match (&result, silent) {
            (Err(error), false) => tracing::warn!(%error, "the store cannot be asked which jobs wait for an engine"),
            (Ok(()), true) => tracing::info!("the store answers again"),
            _ => {}
        }
        silent = result.is_err();
        // Somebody may be waiting for an answer only when there is a job to command.
        let parts = if inner.jobs().is_empty() { 3 } else { 10 };
        let (clock, nap) = (inner.clock.clone(), inner.settings().lease / parts);
        drop(inner);
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            () = clock.sleep(nap) => {}
        }
    }
}

impl Watch {
    async fn turn(&mut self, inner: &Arc<Inner>, scanned: &mut Timestamp) -> Result<()> {
        self.desk.serve(inner).await?;
        let now = inner.clock.now();
        let due = scanned.saturating_add(inner.settings().lease / 3).unwrap_or(now);
        // Or when the clock was set back.
        if now >= due || now < *scanned {
            self.scan(inner).await?;
            *scanned = now;
        }
        Ok(())
    }

    async fn scan(&mut self, inner: &Arc<Inner>) -> Result<()> {
        let records = inner.records();
        let mut after: Option<String> = None;
        loop {
            let page: Vec<JobSummary> = records.page(kinds::JOB, after.as_deref(), 100).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.to_string());
            for job in page {
                if job.state != JobState::Finished && !self.broken.contains(&job.id) {
                    self.look_at(inner, job.id).await?;
                }
            }
        }
    }

    async fn look_at(&mut self, inner: &Arc<Inner>, job: JobId) -> Result<()> {
        if inner.feed(&job).is_some() {
            return Ok(());
        }
        let before = lease::holder(inner, &job).await?;
        if before.as_ref().is_some_and(|l| l.until > inner.clock.now()) {
            return Ok(());
        }
        match Inner::run(inner, job.clone()).await {
            Ok(true) => {
                let from = before.map_or_else(|| "nobody".to_owned(), |l| l.owner);
                tracing::info!(%job, from, "took over a job that nobody ran any more");
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%job, %error, "the job is left alone");
                self.broken.insert(job);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
