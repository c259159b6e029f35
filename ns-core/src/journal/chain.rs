//! Sealing entries into lines and proving that nothing was changed since.

use super::event::Entry;
use crate::model::JobId;
use crate::store::JournalLine;
use crate::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

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
        let hash = hex(&Sha256::digest(job.as_str().as_bytes()));
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
            .with_remedy("restore the store from a copy; do not continue this job")
        };
        if line.position != self.position + 1 {
            return Err(corrupt("is out of place"));
        }
        if line.hash != link(&self.hash, &line.body) {
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
    let mut chain = Chain::new(job.clone());
    let entries = lines.iter().map(|line| chain.open(line)).collect::<Result<_>>()?;
    Ok((entries, chain.hash))
}

fn link(previous: &str, body: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hasher.update(b"\n");
    hasher.update(body.as_bytes());
    hex(&hasher.finalize())
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
