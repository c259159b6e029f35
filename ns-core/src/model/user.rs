//! People: accounts, the groups they belong to, and what a login gives. Passwords are not here: an account's document can be
//! shown and logged.

use super::query::queryable;
use super::{FieldValue, LoginId, OwnerGroupId, UserId, UserRole};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What its user logs in with: chosen when it was made, unique, never changed (USR-05, USR-08).
    pub id: UserId,
    /// Whose it is, for people.
    pub name: String,
    /// Mail address, unique whatever the case of its letters (USR-05).
    pub mail: String,
    /// What it may do (USR-01).
    pub role: UserRole,
    /// The groups it belongs to (USR-18). With none it sees nothing but itself, unless it is an Admin's (OPEN-40).
    pub groups: BTreeSet<OwnerGroupId>,
    /// Whether its password was given by somebody else, and opens nothing but the account itself until it is changed (SEC-05).
    pub must_change_password: bool,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

queryable! { User, id;
    "id" Text = |u| u.id.as_str(),
    "name" Text = |u| &u.name,
    "mail" Text = |u| &u.mail,
    "role" Text = |u| u.role.as_str(),
    "groups" Text = |u| u.groups.iter().map(OwnerGroupId::as_str).collect::<FieldValue<'_>>(),
    "must_change_password" Flag = |u| u.must_change_password,
    "created_at" Time = |u| u.created_at,
    "modified_at" Time = |u| u.modified_at,
}

/// A group of users; clusters and protection groups belong to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserGroup {
    /// Our id: what owners are named by.
    pub id: OwnerGroupId,
    /// Name, unique (USR-20).
    pub name: String,
    /// Free text.
    pub description: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

queryable! { UserGroup, id;
    "id" Text = |g| g.id.as_str(),
    "name" Text = |g| &g.name,
    "created_at" Time = |g| g.created_at,
    "modified_at" Time = |g| g.modified_at,
}

/// What a login gives (USR-26).
#[derive(Debug, Clone)]
pub struct Login {
    /// Names the login in the audit trail; opens nothing.
    pub id: LoginId,
    /// Whose it is.
    pub user: UserId,
    /// What [`Engine::authenticate`](crate::Engine::authenticate) takes, for as long as the login lasts. The engine keeps only a
    /// digest of it.
    pub token: SecretString,
    /// When it ends at the latest; sooner when it is not used for [`login_idle_limit`](crate::Settings::login_idle_limit).
    pub expires_at: Timestamp,
    /// Whether nothing but the account itself is open to it until the password is changed (SEC-05).
    pub must_change_password: bool,
}
