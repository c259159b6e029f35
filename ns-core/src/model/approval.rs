//! What waits for the word of a second person (SEC-25).

use super::query::queryable;
use super::{ApprovalId, Area, OwnerGroupId, Verb};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ApprovalState {
    /// Nobody has said anything yet.
    Waiting,
    /// Somebody said yes: whoever asked may do it, once.
    Approved {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Somebody said no.
    Rejected {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// It was approved, and done.
    Used {
        /// Who approved it.
        by: String,
        /// When it was done.
        at: Timestamp,
    },
}

impl ApprovalState {
    /// The stable name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Used { .. } => "used",
        }
    }
}

/// A request for a second person's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Our id.
    pub id: ApprovalId,
    /// What is to be done, e.g. `jobs.failover`.
    pub action: String,
    /// With what: the id of a plan or a job.
    pub object: String,
    /// All that was asked, as its JSON form.
    pub request: Value,
    /// SHA-256 of action, object and request, hexadecimal: it is given for this very call.
    pub digest: String,
    /// In which part of the product.
    pub area: Area,
    /// By which right, which the second person has to have as well.
    pub verb: Verb,
    /// Whose it is: the owner of the group that it is about.
    pub owner_group_id: OwnerGroupId,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// When it is worth nothing any more, approved or not.
    pub expires_at: Timestamp,
    /// How far it is.
    #[serde(flatten)]
    pub state: ApprovalState,
}

queryable! { Approval, id;
    "id" Text = |a| a.id.as_str(),
    "name" Text = |a| &a.action,
    "action" Text = |a| &a.action,
    "object" Text = |a| &a.object,
    "owner_group_id" Text = |a| a.owner_group_id.as_str(),
    "requested_by" Text = |a| &a.requested_by,
    "requested_at" Time = |a| a.requested_at,
    "expires_at" Time = |a| a.expires_at,
    "state" Text = |a| a.state.as_str(),
}
