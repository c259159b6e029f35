//! The report of a job, from its journal.

use crate::journal::JobView;
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Makes the report and its digest.
pub(super) fn make(view: &JobView, journal_hash: &str, at: Timestamp) -> Result<(serde_json::Value, String)> {
    let encode = |e: serde_json::Error| Error::new(ErrorKind::Internal, "report.encode", e.to_string());
    let report = serde_json::json!({
        "journal_hash": journal_hash,
        "made_at": at,
        "job": serde_json::to_value(view).map_err(encode)?,
    });
    let text = serde_json::to_string(&report).map_err(encode)?;
    let digest = Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Ok((report, digest))
}
