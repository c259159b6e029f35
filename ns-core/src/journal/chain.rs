//! Sealing entries into lines and proving that nothing was changed since.

use super::event::Entry;
use crate::model::JobId;
use crate::planted::{self, Bug};
use crate::store::JournalLine;
use crate::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const REMEDY: &str = "restore the store from a copy; do not continue this job";

/// The end of a journal: what the next line is chained to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    job: JobId,
    position: u64,
    hash: String,
}

impl Chain {
    /// The chain of a journal without lines. Its first hash covers the job's id, so that a journal cannot be passed off as
    /// another job's.
    #[must_use]
    pub fn new(job: JobId) -> Self {
        let hash = digest(job.as_str().as_bytes());
        Self { job, position: 0, hash }
    }

    /// Position of the last line; 0 when there is none.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Hash of the last line.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The journal goes at least this far: a chain alone does not show that its end was cut off.
    ///
    /// # Errors
    /// `Corrupt` when it does not.
    pub fn reaches(&self, position: u64) -> Result<()> {
        if self.position >= position {
            return Ok(());
        }
        let message = format!("the journal ends at line {}, before line {position}", self.position);
        Err(Error::new(ErrorKind::Corrupt, "journal.chain", message)
            .with("job", &self.job)
            .with_remedy(REMEDY))
    }

    /// Seals the next entry.
    ///
    /// # Errors
    /// `Internal` when the entry is not the next one of this job.
    pub fn seal(&mut self, entry: &Entry) -> Result<JournalLine> {
        if entry.position != self.position + 1 || entry.job != self.job {
            let message = format!("entry {} does not follow {}", entry.position, self.position);
            return Err(Error::new(ErrorKind::Internal, "journal.order", message).with("job", &self.job));
        }
        let body = serde_json::to_string(entry)
            .map_err(|e| Error::new(ErrorKind::Internal, "journal.encode", e.to_string()).with_source(e))?;
        self.hash = link(&self.hash, &body);
        self.position += 1;
        Ok(JournalLine {
            position: self.position,
            body,
            hash: self.hash.clone(),
        })
    }

    /// Opens the next line, if its position and hash are right.
    ///
    /// # Errors
    /// `Corrupt` when the line was changed, is missing a predecessor, or cannot be read.
    pub fn open(&mut self, line: &JournalLine) -> Result<Entry> {
        let corrupt = |what: &str| {
            Error::new(
                ErrorKind::Corrupt,
                "journal.chain",
                format!("line {} {what}", line.position),
            )
            .with("job", &self.job)
            .with_remedy(REMEDY)
        };
        if line.position != self.position + 1 {
            return Err(corrupt("is out of place"));
        }
        if line.hash != link(&self.hash, &line.body) && !planted::is(Bug::BelieveJournal) {
            return Err(corrupt("does not match its hash"));
        }
        let entry: Entry = serde_json::from_str(&line.body).map_err(|e| corrupt("cannot be read").with_source(e))?;
        if entry.position != line.position || entry.job != self.job {
            return Err(corrupt("belongs elsewhere"));
        }
        self.position = line.position;
        self.hash.clone_from(&line.hash);
        Ok(entry)
    }
}

/// Opens a whole journal and proves its chain; gives the entries and the last hash.
///
/// # Errors
/// `Corrupt`, see [`Chain::open`].
pub fn verify(job: &JobId, lines: &[JournalLine]) -> Result<(Vec<Entry>, String)> {
    verify_to(job, lines, 0)
}

/// As [`verify`], and the journal goes at least to a position that is known from elsewhere.
///
/// # Errors
/// `Corrupt`, see [`Chain::open`] and [`Chain::reaches`].
pub fn verify_to(job: &JobId, lines: &[JournalLine], position: u64) -> Result<(Vec<Entry>, String)> {
    let mut chain = Chain::new(job.clone());
    let entries = lines.iter().map(|line| chain.open(line)).collect::<Result<_>>()?;
    chain.reaches(position)?;
    Ok((entries, chain.hash))
}

fn link(previous: &str, body: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hasher.update(b"\n");
    hasher.update(body.as_bytes());
    hex(&hasher.finalize())
}

/// SHA-256 of a document that the journal vouches for, hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Event, JobView};
    use crate::model::{GroupId, PlanId, Work};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn journal(n: u64) -> (JobId, Vec<JournalLine>) {
        let job = JobId::new("j");
        let mut chain = Chain::new(job.clone());
        let lines = (1..=n)
            .map(|position| {
                let event = if position == 1 {
                    let work = Work::Protect {
                        group_id: GroupId::new("g"),
                        plan_id: PlanId::new("p"),
                        give_up: None,
                    };
                    Event::Created {
                        work,
                        actor: "a".to_owned(),
                        owner_group_id: None,
                    }
                } else {
                    Event::Noted {
                        code: "n".to_owned(),
                        message: format!("line {position}"),
                    }
                };
                let at = Timestamp::UNIX_EPOCH;
                chain
                    .seal(&Entry {
                        job: job.clone(),
                        position,
                        at,
                        event,
                    })
                    .unwrap()
            })
            .collect();
        (job, lines)
    }

    #[test]
    fn a_sealed_journal_verifies_and_folds() {
        let (job, lines) = journal(5);
        let (entries, hash) = verify(&job, &lines).unwrap();
        assert_eq!(hash, lines[4].hash);
        assert_eq!(JobView::fold(&job, &entries).unwrap().position, 5);
    }

    #[test]
    fn a_journal_is_not_another_jobs() {
        let (_, lines) = journal(2);
        assert_eq!(
            verify(&JobId::new("other"), &lines).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }

    proptest! {
        /// Whatever is done to a journal — a byte or a hash changed, a line left out, doubled, moved or renumbered, the end
        /// cut off — is found; and the journal as it was verifies.
        #[test]
        fn tampering_is_found(line in 0usize..6, byte in 0usize..200, how in 0..7) {
            let (job, mut lines) = journal(6);
            prop_assert!(verify_to(&job, &lines, 6).is_ok());
            match how {
                0 => {
                    let mut body = lines[line].body.clone().into_bytes();
                    let at = byte % body.len();
                    body[at] = if body[at] == b'x' { b'y' } else { b'x' };
                    lines[line].body = String::from_utf8(body).unwrap();
                }
                1 => { lines.remove(line); }
                3 => lines[line].hash = if line == 0 { digest(b"j") } else { lines[line - 1].hash.clone() },
                4 => lines[line].position += 1 + byte as u64,
                5 => lines.truncate(line),
                2 => { let copy = lines[line].clone(); lines.insert(line, copy); }
                _ => lines.swap(line, (line + 1) % 6),
            }
            prop_assert_eq!(verify_to(&job, &lines, 6).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
