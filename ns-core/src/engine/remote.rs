//! Orders: commands given at an engine that does not run the job, for the one that does.
//!
//! An order is a record. The engine that was asked writes it and waits; the one that runs the job finds it, obeys, and
//! answers in the same commit as the entries that obeying makes, so that it takes effect once whoever dies when. Who asked
//! takes the record away; an order that nobody answers in time is withdrawn, and one whose asker died is swept away.

use super::records::{kinds, put, remove};
use super::runner::{Ask, Command};
use super::{Inner, lease};
use crate::model::{JobId, JobSummary};
use crate::store::Write;
use crate::{Error, ErrorKind, ErrorRecord, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// A command as it lies in the store, with where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    id: String,
    version: u64,
    note: Note,
}

/// What is stored of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    job: JobId,
    ask: Ask,
    actor: String,
    /// The node it was given at.
    from: String,
    /// Not obeyed after this.
    until: Timestamp,
    /// None while it waits.
    answer: Option<Answer>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    /// None when it was obeyed.
    refusal: Option<ErrorRecord>,
}

impl Order {
    /// The write that says that it was obeyed, or why not; it conflicts when the order was withdrawn.
    pub(super) fn answer(&self, refusal: Option<&Error>) -> Result<Write> {
        let note = Note {
            answer: Some(Answer {
                refusal: refusal.map(Error::to_record),
            }),
            ..self.note.clone()
        };
        put(kinds::ORDER, &self.id, Some(self.version), &note)
    }
}

fn new(inner: &Inner, job: JobId, ask: Ask, actor: &str) -> (String, Note) {
    // Long enough for an owner that has just died to be replaced.
    let until = inner.clock.now().saturating_add(inner.settings().lease * 2);
    let note = Note {
        job,
        ask,
        actor: actor.to_owned(),
        from: inner.node.clone(),
        until: until.unwrap_or(Timestamp::MAX),
        answer: None,
    };
    (inner.ids.next(), note)
}

/// The write that gives a command to the node that runs the job, for one who does not wait for the answer; and until when it
/// may be obeyed. Whoever looks after orders sweeps it away later.
pub(super) fn without_waiting(inner: &Inner, job: &JobId, ask: Ask, actor: &str) -> Result<(Timestamp, Write)> {
    let (id, note) = new(inner, job.clone(), ask, actor);
    Ok((note.until, put(kinds::ORDER, &id, Some(0), &note)?))
}

/// Gives a command to the node that runs the job, and waits for its answer.
///
/// # Errors
/// The owner's refusal; `Unavailable` naming the owner when it does not answer in time: then the command was not obeyed.
pub(crate) async fn order(inner: &Inner, job: JobSummary, owner: &str, ask: Ask, actor: &str) -> Result<JobSummary> {
    let records = inner.records();
    let (id, note) = new(inner, job.id.clone(), ask, actor);
    records.commit(vec![put(kinds::ORDER, &id, Some(0), &note)?]).await?;
    loop {
        inner.clock.sleep(inner.settings().poll).await;
        let found = records.find::<Note>(kinds::ORDER, &id).await?;
        let answer = found.as_ref().and_then(|(note, _)| note.answer.clone());
        if let Some(answer) = answer {
            records.commit(vec![remove(kinds::ORDER, &id)]).await?;
            if let Some(refusal) = answer.refusal {
                return Err(refusal.into());
            }
            // Gone when it was deleted: then it is told as it was.
            let now = records.find::<JobSummary>(kinds::JOB, job.id.as_str()).await?;
            return Ok(now.map_or(job, |(now, _)| now));
        }
        if found.is_some() && inner.clock.now() < note.until {
            continue;
        }
        let silent = Error::new(
            ErrorKind::Unavailable,
            "job.owner_silent",
            format!("the job is run by node {owner}, which did not answer"),
        )
        .with("job", &job.id)
        .with("node", owner)
        .with_remedy("see whether that node works; when it does not, another takes the job over: ask again then");
        // Withdrawn under its version: an answer that comes at this moment makes the withdrawal fail, and is read then.
        let Some((_, version)) = found else { return Err(silent) };
        let withdrawal = vec![put(kinds::ORDER, &id, Some(version), &note)?, remove(kinds::ORDER, &id)];
        match records.commit(withdrawal).await {
            Ok(()) => return Err(silent),
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            Err(e) => return Err(e),
        }
    }
}

/// The orders that this engine has handed to its runners.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Until the runner has answered, or is gone without.
    handed: BTreeMap<String, oneshot::Receiver<Result<JobSummary>>>,
}

impl Desk {
    /// Hands waiting orders to the runners of this engine, and sweeps those away that nobody waits for.
    pub(super) async fn serve(&mut self, inner: &Inner) -> Result<()> {
        let mut after: Option<String> = None;
        self.handed
            .retain(|_, reply| matches!(reply.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        loop {
            let page = inner.store.list(kinds::ORDER, after.as_deref(), 100).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for record in page {
                let note: Note = super::records::read(&record)?;
                let now = inner.clock.now();
                // Its asker withdraws it at `until` and takes an answer away at once, when it lives.
                if note
                    .until
                    .saturating_add(inner.settings().lease)
                    .is_ok_and(|end| end < now)
                {
                    inner.records().commit(vec![remove(kinds::ORDER, &record.id)]).await?;
                    continue;
                }
                if note.answer.is_some() || now >= note.until || self.handed.contains_key(&record.id) {
                    continue;
                }
                let Some(commands) = inner.commands(&note.job) else {
                    continue;
                };
                let (reply, answered) = oneshot::channel();
                let id = record.id.clone();
                let command = Command {
                    ask: note.ask.clone(),
                    actor: note.actor.clone(),
                    reply,
                    order: Some(Order {
                        id: record.id,
                        version: record.version,
                        note,
                    }),
                };
                // A runner whose inbox is full, or that has just ended, gets it on the next round.
                if commands.try_send(command).is_ok() {
                    self.handed.insert(id, answered);
                }
            }
        }
    }
}

/// Whether a job that this engine does not run may go on: another node has it, or this engine will take it over.
pub(crate) async fn goes_on(inner: &Inner, job: &JobId, since: Timestamp) -> Result<bool> {
    let elsewhere = lease::holder(inner, job)
        .await?
        .is_some_and(|l| lease::is_elsewhere(inner, &l));
    let patience = since
        .saturating_add(inner.settings().lease * 2)
        .unwrap_or(Timestamp::MAX);
    let looks = inner.is_started() && !*inner.stop.borrow();
    Ok(elsewhere || (looks && inner.clock.now() < patience))
}
