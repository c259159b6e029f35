//! Who may do what (USR-02, CL-25, PG-27, PLAN-34).

use crate::model::{Actor, UserRole};
use crate::{Error, ErrorKind, Result};

/// A part of the product, as rights are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Clusters and their inventories.
    Clusters,
    /// Protection groups and their recovery points.
    ProtectionGroups,
    /// Recovery plans.
    Plans,
    /// Recovery jobs.
    Jobs,
    /// Results.
    Results,
}

impl Area {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::ProtectionGroups => "protection groups",
            Self::Plans => "recovery plans",
            Self::Jobs => "recovery jobs",
            Self::Results => "recovery results",
        }
    }
}

/// Whether a role may make, change and delete what is in an area. Reading is everybody's, within their groups.
#[must_use]
pub const fn may_change(role: UserRole, area: Area) -> bool {
    match (role, area) {
        (UserRole::Admin | UserRole::Manager, _) => true,
        (UserRole::Operator, Area::Jobs | Area::Results) => true,
        (UserRole::Operator | UserRole::Viewer, _) => false,
    }
}

/// Whether an actor may make, change and delete in an area.
///
/// # Errors
/// `Denied`, `access.role`.
pub fn check_change(actor: &Actor, area: Area) -> Result<()> {
    if may_change(actor.role, area) {
        return Ok(());
    }
    let message = format!("{} may read {}, not change them", actor.name, area.as_str());
    Err(Error::new(ErrorKind::Denied, "access.role", message)
        .with_field("actor")
        .with_remedy("ask somebody who manages this group"))
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

    #[test]
    fn usr_02_cl_25_pg_27_plan_34_the_matrix() {
        use Area::{Clusters, Jobs, Plans, ProtectionGroups, Results};
        use UserRole::{Admin, Manager, Operator, Viewer};
        let rows = [
            (Clusters, [true, true, false, false]),
            (ProtectionGroups, [true, true, false, false]),
            (Plans, [true, true, false, false]),
            (Jobs, [true, true, true, false]),
            (Results, [true, true, true, false]),
        ];
        for (area, expected) in rows {
            for (role, expected) in [Admin, Manager, Operator, Viewer].into_iter().zip(expected) {
                let actor = Actor::member("mina", role, []);
                let found = check_change(&actor, area);
                assert_eq!(found.is_ok(), expected, "{role:?} {area:?}");
                if let Err(e) = found {
                    assert_eq!((e.kind(), e.code()), (ErrorKind::Denied, "access.role"));
                }
            }
        }
    }

    #[test]
    fn cl_07_pg_14_an_owner_is_a_group_of_ones_own() {
        let mina = Actor::member("mina", UserRole::Manager, ["shop".into()]);
        assert!(check_owner(&mina, &"shop".into()).is_ok());
        assert_eq!(check_owner(&mina, &"bank".into()).unwrap_err().code(), "access.owner");
        assert!(check_owner(&Actor::admin("root"), &"bank".into()).is_ok());
    }
}
