//! The parts of the product and what is done with them, as rights are given and as the audit trail names them.

use serde::{Deserialize, Serialize};

/// A part of the product, as rights are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Clusters and their inventories.
    Clusters,
    /// Protection groups and their recovery points.
    ProtectionGroups,
    /// Recovery plans.
    Plans,
    /// Recovery jobs and their schedules.
    Jobs,
    /// Results.
    Results,
    /// The licence.
    License,
    /// Users and user groups; what is one's own apart (CON-31).
    Users,
    /// Settings of the product (SET-01).
    Settings,
}

/// What is done with a thing, as rights are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// It is made.
    Create,
    /// It is changed, or something is done with it.
    Update,
    /// It is removed.
    Delete,
    /// It is looked at.
    Read,
}

impl Area {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::ProtectionGroups => "protection_groups",
            Self::Plans => "plans",
            Self::Jobs => "jobs",
            Self::Results => "results",
            Self::License => "license",
            Self::Users => "users",
            Self::Settings => "settings",
        }
    }
}

impl Verb {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Read => "read",
        }
    }
}
