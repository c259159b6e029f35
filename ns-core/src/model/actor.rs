//! Who acts, and what they are in the product.

use super::OwnerGroupId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What somebody may do (USR-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    /// Everything, everywhere.
    Admin,
    /// Everything within the own groups.
    Manager,
    /// Carries out the recovery jobs of the own groups.
    Operator,
    /// Reads within the own groups.
    Viewer,
}

impl UserRole {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

/// Who acts. The host vouches for it: it has authenticated whoever asks. The name is kept with everything the actor causes.
///
/// ```
/// use ns_core::{Actor, model::UserRole};
///
/// let root = Actor::admin("root");
/// let mina = Actor::member("mina", UserRole::Operator, ["shop".into()]);
/// assert_eq!((root.role, mina.groups.len()), (UserRole::Admin, 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Name for journals and reports.
    pub name: String,
    /// What they may do.
    pub role: UserRole,
    /// The groups they belong to: nothing of others is theirs to see, but an Admin's (USR-03).
    #[serde(default)]
    pub groups: BTreeSet<OwnerGroupId>,
}

impl Actor {
    /// Somebody who may do everything.
    pub fn admin(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: UserRole::Admin,
            groups: BTreeSet::new(),
        }
    }

    /// Somebody who may do what their role allows with what their groups own.
    pub fn member(name: impl Into<String>, role: UserRole, groups: impl IntoIterator<Item = OwnerGroupId>) -> Self {
        Self {
            name: name.into(),
            role,
            groups: groups.into_iter().collect(),
        }
    }

    /// Whether what this group owns is theirs to see.
    #[must_use]
    pub fn sees(&self, owner: &OwnerGroupId) -> bool {
        self.role == UserRole::Admin || self.groups.contains(owner)
    }
}
