//! Identifiers. Ids of our own records are one newtype each, so that they cannot be mixed up; ids that a cloud gave
//! are [`CloudId`]s.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an id that came from a store, a service or an id source.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }
        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }
    )*};
}

id! {
    /// A registered cluster.
    ClusterId,
    /// A protection group.
    GroupId,
    /// A recovery plan.
    PlanId,
    /// A recovery point (protection-group snapshot).
    PointId,
    /// A job.
    JobId,
    /// A schedule that makes jobs.
    ScheduleId,
    /// What somebody is told of outside the product.
    SubscriptionId,
    /// A user group that owns clusters and protection groups.
    OwnerGroupId,
    /// An account: what its user logs in with. Always in small letters.
    UserId,
    /// A login, as it is named in the audit trail; it opens nothing.
    LoginId,
    /// An entry of the audit trail.
    AuditId,
    /// A request for a second person's word.
    ApprovalId,
    /// An object of a cloud, as the cloud names it: a server, a volume, a network.
    CloudId,
    /// The identity of a replicated volume that is the same on both sides (RBD: the mirroring global id). Names are not:
    /// adoption renames images and the rename travels to the replica.
    ReplicationId,
    /// A key that secrets are sealed with, as the host's key store names it (SEC-02).
    KeyId,
    /// The key of a task inside one task graph, e.g. `server/web-1`.
    TaskKey,
}

/// Where a volume's bytes live, in the storage provider's own notation, e.g. `rbd:volumes/volume-4f…` or
/// `rbd:pool/namespace/image`. Opaque to the engine, but for the pool: it only hands it from storage to cloud and back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorageRef(String);

impl StorageRef {
    /// Wraps a reference in the provider's notation.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The pool, as connection checks name it: what is between the storage's kind and the last `/`. None in a notation
    /// without pools.
    ///
    /// ```
    /// use ns_core::model::StorageRef;
    /// assert_eq!(StorageRef::new("rbd:volumes/volume-4f").pool(), Some("volumes"));
    /// assert_eq!(StorageRef::new("rbd:pool/namespace/image").pool(), Some("pool/namespace"));
    /// assert_eq!(StorageRef::new("lun:17").pool(), None);
    /// ```
    #[must_use]
    pub fn pool(&self) -> Option<&str> {
        let (_, path) = self.0.split_once(':')?;
        Some(path.rsplit_once('/')?.0)
    }
}

impl fmt::Display for StorageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
