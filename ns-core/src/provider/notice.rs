//! What a cloud tells of itself. A [`Notice`] hints that something changed (EVT-01 … EVT-11); what is there now the inventory
//! decides: the engine reads the thing it names, so a notice that is late, doubled or out of order does no harm, and one
//! that was lost is made good by the next synchronisation.

use crate::model::{CloudId, ResourceKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened, as far as the cloud says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It was made.
    Added,
    /// It was changed.
    Changed,
    /// It was removed.
    Removed,
    /// An image of the storage became a volume (EVT-08).
    Managed,
    /// A volume was let go of; its image stays (EVT-08).
    Unmanaged,
    /// A volume got another size (EVT-09).
    Resized,
    /// The state of a snapshot was set by hand (EVT-11).
    StatusReset,
}

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
