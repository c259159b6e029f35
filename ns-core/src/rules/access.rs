//! Who may do what (USR-02, CL-25, PG-27, PLAN-34, RES-08, LIC-11).

use crate::model::{Actor, UserRole};
use crate::{Error, ErrorKind, Result};

/// A part of the product, as rights are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// Tables 1 and 17 (USR-02): create, update, delete and read, for Admin, Manager, Operator and Viewer. All but an Admin's rights
/// end where the own groups end (USR-03).
#[rustfmt::skip] // read as the table it is
pub const RIGHTS: &[(Area, [&str; 4])] = &[
    (Area::Clusters,         ["CUDR", "CUDR", "R",    "R"]),
    (Area::ProtectionGroups, ["CUDR", "CUDR", "R",    "R"]),
    (Area::Plans,            ["CUDR", "CUDR", "R",    "R"]),
    (Area::Jobs,             ["CUDR", "CUDR", "CUDR", "R"]),
    (Area::Results,          ["DR",   "DR",   "DR",   "R"]),
    (Area::License,          ["CUR",  "R",    "",     ""]),
    (Area::Users,            ["CUDR", "CUDR", "",     ""]),
    (Area::Settings,         ["UR",   "",     "",     ""]),
];

impl Area {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::ProtectionGroups => "protection groups",
            Self::Plans => "recovery plans",
            Self::Jobs => "recovery jobs",
            Self::Results => "recovery results",
            Self::License => "the licence",
            Self::Users => "users and their groups",
            Self::Settings => "settings",
        }
    }
}

impl Verb {
    const fn letter(self) -> char {
        match self {
            Self::Create => 'C',
            Self::Update => 'U',
            Self::Delete => 'D',
            Self::Read => 'R',
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "make",
            Self::Update => "change",
            Self::Delete => "remove",
            Self::Read => "see",
        }
    }
}

/// Whether a role has a right in an area.
#[must_use]
pub fn may(role: UserRole, area: Area, verb: Verb) -> bool {
    let column = match role {
        UserRole::Admin => 0,
        UserRole::Manager => 1,
        UserRole::Operator => 2,
        UserRole::Viewer => 3,
    };
    (RIGHTS.iter()).any(|(of, rights)| *of == area && rights[column].contains(verb.letter()))
}

/// Whether an actor's role has a right in an area.
///
/// # Errors
/// `Denied`, `access.role`.
pub fn check(actor: &Actor, area: Area, verb: Verb) -> Result<()> {
    if may(actor.role, area, verb) {
        return Ok(());
    }
    let message = format!("{} may not {} {}", actor.name, verb.as_str(), area.as_str());
    Err(Error::new(ErrorKind::Denied, "access.role", message)
        .with_field("actor")
        .with_remedy("ask somebody who has this right, e.g. an Admin"))
}

/// Whether an actor may give a thing to an owner (CL-07, PG-14).
///
/// # Errors
/// `Denied`, `access.owner`.
pub fn check_owner(actor: &Actor, owner: &crate::model::OwnerGroupId) -> Result<()> {
    if actor.sees(owner) {
        return Ok(());
    }
    let message = format!("{} does not belong to the group {owner}", actor.name);
    Err(Error::new(ErrorKind::Denied, "access.owner", message)
        .with_field("owner_group_id")
        .with_remedy("choose one of your own groups"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down a second time, from the book: a slip of the hand in the table shows here.
    #[test]
    fn usr_02_usr_03_cl_25_pg_27_plan_34_lic_11_res_08_the_matrix() {
        use Area::{Clusters, Jobs, License, Plans, ProtectionGroups, Results, Settings, Users};
        use UserRole::{Admin, Manager, Operator, Viewer};
        use Verb::{Create, Delete, Read, Update};
        let areas = [
            Clusters,
            ProtectionGroups,
            Plans,
            Jobs,
            Results,
            License,
            Users,
            Settings,
        ];
        assert_eq!(RIGHTS.len(), areas.len());
        for (role, area, verb) in every_cell(&[Admin, Manager, Operator, Viewer], &areas) {
            let expected = match (area, verb) {
                (Clusters | ProtectionGroups | Plans, Read) | (Jobs | Results, Read) => true,
                (Clusters | ProtectionGroups | Plans, _) => matches!(role, Admin | Manager),
                (Jobs, _) | (Results, Delete) => role != Viewer,
                (Results, Create | Update) | (License, Delete) | (Settings, Create | Delete) => false,
                (License, Read) | (Users, _) => matches!(role, Admin | Manager),
                (License | Settings, _) => role == Admin,
            };
            let found = check(&Actor::member("mina", role, []), area, verb);
            assert_eq!(found.is_ok(), expected, "{role:?} {area:?} {verb:?}");
            if let Err(e) = found {
                assert_eq!((e.kind(), e.code()), (ErrorKind::Denied, "access.role"));
            }
        }
    }

    fn every_cell(roles: &[UserRole], areas: &[Area]) -> Vec<(UserRole, Area, Verb)> {
        let verbs = [Verb::Create, Verb::Update, Verb::Delete, Verb::Read];
        let of = |role: &UserRole| {
            areas
                .iter()
                .flat_map(|a| verbs.map(|v| (*a, v)))
                .map(|(a, v)| (*role, a, v))
                .collect::<Vec<_>>()
        };
        roles.iter().flat_map(of).collect()
    }

    #[test]
    fn cl_07_pg_14_an_owner_is_a_group_of_ones_own() {
        let mina = Actor::member("mina", UserRole::Manager, ["shop".into()]);
        assert!(check_owner(&mina, &"shop".into()).is_ok());
        assert_eq!(check_owner(&mina, &"bank".into()).unwrap_err().code(), "access.owner");
        assert!(check_owner(&Actor::admin("root"), &"bank".into()).is_ok());
    }
}
