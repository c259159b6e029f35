//! The audit trail: who did what, and who was refused (SEC-20).

use super::query::queryable;
use super::{Area, AuditId, UserRole, Verb};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One field of a thing, before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// What it was; null when it was not there.
    pub before: Value,
    /// What it is; null when it is not there.
    pub after: Value,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum AuditOutcome {
    /// It was begun, and how it ended is not known: it goes on, or whoever did it died or gave up waiting.
    Begun,
    /// It was done. What a job does from then on is in the job's journal.
    Done,
    /// It was refused, and changed nothing.
    Refused {
        /// The code of the error.
        code: String,
    },
    /// It failed.
    Failed {
        /// The code of the error.
        code: String,
    },
}

impl AuditOutcome {
    /// The stable name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
        }
    }
}

/// One entry of the audit trail. It is written before anything is done, gets its outcome after, and is never changed again nor
/// removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Our id; the order of ids is that of time.
    pub id: AuditId,
    /// When it was begun.
    pub at: Timestamp,
    /// When it ended; none while it is `Begun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Who: the id of an account, or the name that the host vouched for.
    pub actor: String,
    /// As what; none when nobody was logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<UserRole>,
    /// In which part of the product.
    pub area: Area,
    /// By which right.
    pub verb: Verb,
    /// What exactly, e.g. `jobs.confirm`.
    pub action: String,
    /// With what: an id; the name of what is yet to be made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The fields that were changed, by their names in the thing's JSON form. Secrets are never among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, FieldChange>,
    /// Who approved it, where a second person had to (SEC-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: AuditOutcome,
}

queryable! { AuditEntry, id;
    "id" Text = |e| e.id.as_str(),
    "name" Text = |e| &e.action,
    "at" Time = |e| e.at,
    "actor" Text = |e| &e.actor,
    "area" Text = |e| e.area.as_str(),
    "verb" Text = |e| e.verb.as_str(),
    "action" Text = |e| &e.action,
    "object" Text = |e| &e.object,
    "outcome" Text = |e| e.outcome.as_str(),
    "approved_by" Text = |e| e.approved_by.as_ref(),
}
