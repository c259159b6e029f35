//! Who may do what (USR-02, CL-25, PG-27, PLAN-34, RES-08, LIC-11).

use crate::model::{Actor, UserRole};
pub use crate::model::{Area, Verb};
use crate::{Error, ErrorKind, Result};

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

const fn in_words(area: Area) -> &'static str {
    match area {
        Area::Clusters => "clusters",
        Area::ProtectionGroups => "protection groups",
        Area::Plans => "recovery plans",
        Area::Jobs => "recovery jobs",
        Area::Results => "recovery results",
        Area::License => "the licence",
        Area::Users => "users and their groups",
        Area::Settings => "settings",
    }
}

const fn letter(verb: Verb) -> char {
    match verb {
        Verb::Create => 'C',
        Verb::Update => 'U',
        Verb::Delete => 'D',
        Verb::Read => 'R',
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
    (RIGHTS.iter()).any(|(of, rights)| *of == area && rights[column].contains(letter(verb)))
}

/// Whether an actor's role has a right in an area.
///
/// # Errors
/// `Denied`, `access.role`.
pub fn check(actor: &Actor, area: Area, verb: Verb) -> Result<()> {
    if may(actor.role, area, verb) {
        return Ok(());
    }
    let message = format!("{} may not {} {}", actor.name, verb.as_str(), in_words(area));
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
