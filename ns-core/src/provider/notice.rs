//! What a cloud tells of itself. A [`Notice`] hints that something changed (EVT-01 … EVT-11); what is there now the inventory
//! decides: the engine reads the thing it names, so a notice that is late, doubled or out of order does no harm, and one
//! that was lost is made good by the next synchronisation.

pub use crate::model::Happened;
use crate::model::{CloudId, ResourceKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The cloud's own id of the message: the same when it is delivered twice.
    pub id: String,
    /// When the cloud sent it, by its clock.
    pub at: Timestamp,
    /// What happened.
    pub happened: Happened,
    /// To which kind of thing.
    pub kind: ResourceKind,
    /// To which one; none when the message does not say, and the whole kind is to be read anew.
    pub resource: Option<CloudId>,
}
