//! A store in memory, for tests. It keeps the port's promises as the durable ones do, and can break at a chosen commit,
//! which they cannot: that is how crashes are tested at every point. Nothing survives the value itself.

use super::{JournalLine, Lease, Record, Store, Write, lease_conflict, position_conflict, version_conflict};
use crate::model::JobId;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// On which side of the effect a commit breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakWhen {
    /// Nothing is written.
    Before,
    /// Everything is written, the caller just does not learn it.
    After,
}

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<String, BTreeMap<String, Record>>,
    journals: HashMap<JobId, Vec<JournalLine>>,
    /// One that was given back has no owner; its token is kept, so that it never comes again.
    leases: HashMap<String, Lease>,
    commits: u64,
    fault: Option<Fault>,
    dead: bool,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    commit: u64,
    when: BreakWhen,
    lasting: bool,
}

/// How to take back one write.
enum Undo {
    Record {
        kind: String,
        id: String,
        before: Option<Record>,
    },
    Journal {
        job: JobId,
        length: usize,
    },
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the `nth` commit from now fail (1 is the next), once.
    pub fn fail_commit(&self, nth: u64, when: BreakWhen) {
        self.set_fault(nth, when, false);
    }

    /// Lets the `nth` commit from now fail and everything after it, reads too, until [`MemoryStore::revive`]: what a
    /// process that dies there leaves behind.
    pub fn die_at_commit(&self, nth: u64, when: BreakWhen) {
        self.set_fault(nth, when, true);
    }

    /// Ends every fault.
    pub fn revive(&self) {
        let mut state = self.lock();
        state.fault = None;
        state.dead = false;
    }

    /// How many commits were asked for so far, failed ones included.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Whether a fault has struck that lasts.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// Changes a journal behind everybody's back: a bit that flips, a write that was torn, a copy that is restored.
    pub fn edit_journal(&self, job: &JobId, edit: impl FnOnce(&mut Vec<JournalLine>)) {
        if let Some(lines) = self.lock().journals.get_mut(job) {
            edit(lines);
        }
    }

    fn set_fault(&self, nth: u64, when: BreakWhen, lasting: bool) {
        let mut state = self.lock();
        state.fault = Some(Fault {
            commit: state.commits + nth,
            when,
            lasting,
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and a test that did has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.dead { Err(broken()) } else { Ok(state) }
    }
}

fn broken() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "store.injected",
        "the store was told to fail here",
    )
}

impl State {
    fn apply(&mut self, writes: Vec<Write>) -> Result<()> {
        let mut undo = Vec::with_capacity(writes.len());
        for write in writes {
            if let Err(error) = self.write(write, &mut undo) {
                self.take_back(undo);
                return Err(error);
            }
        }
        Ok(())
    }

    fn write(&mut self, write: Write, undo: &mut Vec<Undo>) -> Result<()> {
        match write {
            Write::Put {
                kind,
                id,
                expected,
                body,
            } => {
                let of_kind = self.records.entry(kind.clone()).or_default();
                let found = of_kind.get(&id).map_or(0, |record| record.version);
                if expected.is_some_and(|expected| expected != found) {
                    return Err(version_conflict(&kind, &id, expected, found));
                }
                let record = Record {
                    kind: kind.clone(),
                    id: id.clone(),
                    version: found + 1,
                    body,
                };
                let before = of_kind.insert(id.clone(), record);
                undo.push(Undo::Record { kind, id, before });
            }
            Write::Remove { kind, id } => {
                let before = self.records.get_mut(&kind).and_then(|of_kind| of_kind.remove(&id));
                undo.push(Undo::Record { kind, id, before });
            }
            Write::Append { job, lines } => {
                let journal = self.journals.entry(job.clone()).or_default();
                undo.push(Undo::Journal {
                    job: job.clone(),
                    length: journal.len(),
                });
                for line in lines {
                    let next = journal.len() as u64 + 1;
                    if line.position != next {
                        return Err(position_conflict(&job, next, line.position));
                    }
                    journal.push(line);
                }
            }
            Write::Held { lease, token } => {
                if self.leases.get(&lease).is_none_or(|l| l.token != token) {
                    return Err(lease_conflict(&lease, token));
                }
            }
        }
        Ok(())
    }

    fn take_back(&mut self, undo: Vec<Undo>) {
        for undo in undo.into_iter().rev() {
            match undo {
                Undo::Record {
                    kind,
                    id,
                    before: Some(record),
                } => {
                    self.records.entry(kind).or_default().insert(id, record);
                }
                Undo::Record { kind, id, before: None } => {
                    self.records.entry(kind).or_default().remove(&id);
                }
                Undo::Journal { job, length } => self.journals.entry(job).or_default().truncate(length),
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, writes: Vec<Write>) -> Result<()> {
        let mut state = self.alive()?;
        state.commits += 1;
        let Some(fault) = state.fault.filter(|fault| fault.commit == state.commits) else {
            return state.apply(writes);
        };
        state.fault = None;
        state.dead = fault.lasting;
        if fault.when == BreakWhen::After {
            state.apply(writes)?;
        }
        Err(broken())
    }

    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        Ok(self
            .alive()?
            .records
            .get(kind)
            .and_then(|of_kind| of_kind.get(id))
            .cloned())
    }

    async fn list(&self, kind: &str, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        let state = self.alive()?;
        let Some(of_kind) = state.records.get(kind) else {
            return Ok(Vec::new());
        };
        let past = |id: &str| after.is_none_or(|after| id > after);
        Ok(of_kind
            .iter()
            .filter(|(id, _)| past(id))
            .take(limit)
            .map(|(_, record)| record.clone())
            .collect())
    }

    async fn journal(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<JournalLine>> {
        let state = self.alive()?;
        let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(state
            .journals
            .get(job)
            .map(|lines| lines.iter().skip(skip).take(limit).cloned().collect())
            .unwrap_or_default())
    }

    async fn lease(&self, name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Result<Option<u64>> {
        let mut state = self.alive()?;
        let before = state.leases.get(name);
        if before.is_some_and(|l| l.owner != owner && l.until > now) {
            return Ok(None);
        }
        let token = before.map_or(1, |l| l.token + u64::from(l.owner != owner));
        let owner = owner.to_owned();
        state.leases.insert(name.to_owned(), Lease { owner, token, until });
        Ok(Some(token))
    }

    async fn holder(&self, name: &str) -> Result<Option<Lease>> {
        let state = self.alive()?;
        Ok(state.leases.get(name).filter(|l| !l.owner.is_empty()).cloned())
    }

    async fn release_lease(&self, name: &str, owner: &str) -> Result<()> {
        let mut state = self.alive()?;
        if let Some(lease) = state.leases.get_mut(name).filter(|l| l.owner == owner) {
            lease.owner.clear();
            lease.token += 1;
            lease.until = Timestamp::MIN;
        }
        Ok(())
    }
}
