//! Who may do what with accounts and groups of users (USR-04 … USR-25, OPEN-40, OPEN-41), and for how long a login is shut or
//! lasts (USR-28, SEC-06, SEC-07).

use super::{check_name, first, invalid, refused};
use crate::model::{Actor, OwnerGroupId, User, UserGroup, UserRole};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How many characters an account's id has.
pub const USER_ID_LENGTH: RangeInclusive<usize> = 1..=64;
/// How many characters a mail address has.
pub const MAIL_LENGTH: RangeInclusive<usize> = 3..=254;
/// How many characters a person's name has.
pub const PERSON_NAME_LENGTH: RangeInclusive<usize> = 1..=255;
/// A lockout grows up to this.
pub const LONGEST_LOCKOUT: Duration = Duration::from_secs(24 * 3600);
/// How long a password lasts that somebody else has to change (SEC-05).
pub const GIVEN_PASSWORD_LASTS: Duration = Duration::from_secs(72 * 3600);

/// What an account is checked against.
#[derive(Debug, Clone, Copy)]
pub struct UserFacts<'a> {
    /// Every other account.
    pub others: &'a [User],
    /// The groups that exist.
    pub groups: &'a BTreeSet<OwnerGroupId>,
}

/// The form in which the ids of accounts are stored and compared: NFC, small letters.
#[must_use]
pub fn normal_user_id(id: &str) -> String {
    super::normal_name(id).to_lowercase()
}

/// Whether an account is this actor's to see: an Admin's are all, others' those that share a group with them (USR-04).
#[must_use]
pub fn sees_user(actor: &Actor, user: &User) -> bool {
    actor.role == UserRole::Admin || !actor.groups.is_disjoint(&user.groups)
}

/// Everything that is wrong with a new account, as a form shows it (USR-05, USR-07, USR-09).
#[must_use]
pub fn new_user_violations(actor: &Actor, user: &User, facts: &UserFacts<'_>) -> Vec<Error> {
    let mut found = Vec::new();
    // Before anything that would tell of the accounts of others.
    if actor.role != UserRole::Admin {
        found.extend(foreign_groups(actor, &user.groups));
        if user.groups.is_empty() {
            let message = "the account would be in none of your groups";
            found.push(
                Error::new(ErrorKind::Denied, "user.groups", message)
                    .with_field("groups")
                    .with_remedy("put it into one of your own groups"),
            );
        }
    }
    found.extend(no_new_admin(user.role));
    found.extend(form_violations(user, facts));
    found.extend(id_taken(user, facts.others));
    found
}

/// Refuses a new account.
///
/// # Errors
/// `Invalid`: `name.length`, `name.characters` (of the id), `user.name`, `user.mail`, `user.group`; `Conflict`: `user.id_taken`,
/// `user.mail_taken` (USR-05); `Refused`, `user.admin_role` (USR-09); `Denied`, `user.groups` (USR-07).
pub fn check_new_user(actor: &Actor, user: &User, facts: &UserFacts<'_>) -> Result<()> {
    first(new_user_violations(actor, user, facts))
}

/// Refuses the account that the installation makes, which is an Admin's.
///
/// # Errors
/// Those of [`check_new_user`], but for the role.
pub fn check_first_admin(user: &User, others: &[User]) -> Result<()> {
    let facts = UserFacts {
        others,
        groups: &user.groups,
    };
    first(
        form_violations(user, &facts)
            .into_iter()
            .chain(id_taken(user, others))
            .collect(),
    )
}

/// Refuses a change of an account. The id cannot differ: there is no way to give another (USR-08).
///
/// # Errors
/// Those of [`check_new_user`]; `Denied`, `user.admin`, for an Admin's account and another role than Admin; `Refused`,
/// `user.admin_role`, for taking the role of an Admin away, too (USR-09); `Denied`, `user.groups`, for a Manager who adds or takes
/// away a group that is not their own (USR-10).
pub fn check_user_update(actor: &Actor, was: &User, user: &User, facts: &UserFacts<'_>) -> Result<()> {
    check_handles(actor, was)?;
    let mut found = Vec::new();
    if actor.role != UserRole::Admin {
        let changed = was.groups.symmetric_difference(&user.groups).cloned().collect();
        found.extend(foreign_groups(actor, &changed));
    }
    if was.role != user.role {
        found.extend(no_new_admin(user.role));
        if was.role == UserRole::Admin {
            let message = "the account of an Admin keeps its role";
            let kept = refused("user.admin_role", "role", message);
            found.push(kept.with_remedy("make another account for the other role"));
        }
    }
    found.extend(form_violations(user, facts));
    first(found)
}

/// Refuses a change of what is one's own: name and mail address (USR-11).
///
/// # Errors
/// `Invalid`: `user.name`, `user.mail`; `Conflict`, `user.mail_taken`.
pub fn check_own_update(user: &User, others: &[User]) -> Result<()> {
    let facts = UserFacts {
        others,
        groups: &user.groups,
    };
    first(form_violations(user, &facts))
}

/// Refuses to touch an Admin's account with any other role (USR-09): also its password, its lockout and its logins.
///
/// # Errors
/// `Denied`, `user.admin`.
pub fn check_handles(actor: &Actor, user: &User) -> Result<()> {
    if user.role != UserRole::Admin || actor.role == UserRole::Admin {
        return Ok(());
    }
    let message = format!("{} is the account of an Admin", user.id);
    Err(Error::new(ErrorKind::Denied, "user.admin", message)
        .with_field("user_id")
        .with_remedy("ask an Admin"))
}

/// Refuses to delete the account of an Admin (USR-15, CON-32).
///
/// # Errors
/// `Refused`, `user.admin_delete`; `Denied`, `user.admin`.
pub fn check_user_delete(actor: &Actor, user: &User) -> Result<()> {
    check_handles(actor, user)?;
    if user.role == UserRole::Admin {
        let message = "the account of an Admin cannot be deleted";
        return Err(
            refused("user.admin_delete", "user_id", message).with_remedy("reset its password if it is not to be used")
        );
    }
    Ok(())
}

/// Refuses a group of users: its name (USR-20).
///
/// # Errors
/// Those of [`check_new_name`](super::check_new_name).
pub fn check_user_group(group: &UserGroup, others: &[UserGroup]) -> Result<()> {
    let taken = others.iter().filter(|g| g.id != group.id).map(|g| g.name.as_str());
    super::check_new_name("name", &group.name, taken).map(drop)
}

/// Refuses to delete a group that owns something (OPEN-41): the names of its clusters and protection groups are given.
///
/// # Errors
/// `Refused`, `user_group.owns`.
pub fn check_user_group_delete(clusters: &[String], groups: &[String]) -> Result<()> {
    if clusters.is_empty() && groups.is_empty() {
        return Ok(());
    }
    Err(refused(
        "user_group.owns",
        "user_group_id",
        "clusters or protection groups belong to the group",
    )
    .with("clusters", super::list(clusters))
    .with("protection_groups", super::list(groups))
    .with_remedy("give the clusters to another group, or delete them, and delete the protection groups"))
}

/// Until when nobody may log in after so many failures in a row (USR-28, SEC-06); none before `allowed` of them. Each one more
/// doubles the time, up to [`LONGEST_LOCKOUT`].
#[must_use]
pub fn locked_until(failures: u32, allowed: u32, lockout: Duration, now: Timestamp) -> Option<Timestamp> {
    let more = failures.checked_sub(allowed)?;
    let time = lockout
        .saturating_mul(2_u32.saturating_pow(more))
        .min(LONGEST_LOCKOUT.max(lockout));
    Some(now.saturating_add(time).unwrap_or(Timestamp::MAX))
}

/// Whether a login has ended (SEC-07): it was not used for `idle`, or has reached its end.
#[must_use]
pub fn login_ended(used: Timestamp, ends: Timestamp, idle: Duration, now: Timestamp) -> bool {
    now >= ends || used.saturating_add(idle).is_ok_and(|limit| now >= limit)
}

fn form_violations(user: &User, facts: &UserFacts<'_>) -> Vec<Error> {
    let mut found = Vec::new();
    found.extend(check_name("id", user.id.as_str()).err());
    if !USER_ID_LENGTH.contains(&user.id.as_str().chars().count()) && found.is_empty() {
        found.push(invalid("name.length", "id", "the id is too long").with_remedy("give it 1 to 64 characters"));
    }
    if !PERSON_NAME_LENGTH.contains(&user.name.trim().chars().count()) || user.name.chars().any(char::is_control) {
        found.push(
            invalid(
                "user.name",
                "name",
                "the name is empty, too long, or holds a control character",
            )
            .with_remedy("give 1 to 255 characters"),
        );
    }
    if !is_mail(&user.mail) {
        found.push(
            invalid("user.mail", "mail", "this is no mail address").with_remedy("give one such as anna@example.org"),
        );
    }
    let mail = user.mail.to_lowercase();
    if (facts.others.iter()).any(|other| other.id != user.id && other.mail.to_lowercase() == mail) {
        let message = "another account has this mail address";
        found.push(
            Error::new(ErrorKind::Conflict, "user.mail_taken", message)
                .with_field("mail")
                .with_remedy("give another address"),
        );
    }
    for group in user.groups.difference(facts.groups) {
        found.push(
            invalid(
                "user.group",
                format!("groups[{group}]"),
                format!("there is no group {group}"),
            )
            .with_remedy("list the groups and choose one of them"),
        );
    }
    found
}

fn id_taken(user: &User, others: &[User]) -> Option<Error> {
    (others.iter()).any(|other| other.id == user.id).then(|| {
        Error::new(
            ErrorKind::Conflict,
            "user.id_taken",
            format!("the id {} is used already", user.id),
        )
        .with_field("id")
        .with_remedy("choose another id")
    })
}

fn is_mail(mail: &str) -> bool {
    let good = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    MAIL_LENGTH.contains(&mail.chars().count())
        && !mail
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'))
        && mail
            .split_once('@')
            .is_some_and(|(who, host)| good(who) && good(host) && !host.contains('@'))
}

fn no_new_admin(role: UserRole) -> Option<Error> {
    (role == UserRole::Admin).then(|| {
        refused(
            "user.admin_role",
            "role",
            "the role of an Admin is given by the installation only",
        )
        .with_remedy("choose manager, operator or viewer")
    })
}

fn foreign_groups(actor: &Actor, groups: &BTreeSet<OwnerGroupId>) -> Option<Error> {
    let foreign: Vec<_> = groups.difference(&actor.groups).collect();
    (!foreign.is_empty()).then(|| {
        let message = format!("{} does not belong to all of these groups", actor.name);
        Error::new(ErrorKind::Denied, "user.groups", message)
            .with_field("groups")
            .with("groups", super::list(foreign))
            .with_remedy("choose among your own groups")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user(id: &str, role: UserRole, groups: &[&str]) -> User {
        User {
            id: id.into(),
            name: id.to_owned(),
            mail: format!("{id}@example.org"),
            role,
            groups: groups.iter().map(|g| OwnerGroupId::from(*g)).collect(),
            must_change_password: false,
            created_by: "root".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            modified_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn groups() -> BTreeSet<OwnerGroupId> {
        ["shop", "bank"].map(OwnerGroupId::from).into()
    }

    fn manager() -> Actor {
        Actor::member("mina", UserRole::Manager, ["shop".into()])
    }

    type Spoil = fn(&mut User);
    type Expected<'a> = Option<(ErrorKind, &'a str, &'a str)>;

    fn is(found: Result<()>, expected: Expected<'_>, row: &str) {
        let seen = found
            .as_ref()
            .err()
            .map(|e| (e.kind(), e.code(), e.field().unwrap_or_default()));
        assert_eq!(seen, expected, "{row}");
        assert!(found.err().is_none_or(|e| e.remedy().is_some()), "{row}");
    }

    #[test]
    fn usr_05_usr_07_usr_09_new_accounts() {
        use ErrorKind::{Conflict, Denied, Invalid, Refused};
        let root = Actor::admin("root");
        let others = [user("otto", UserRole::Viewer, &["bank"])];
        let (all, good) = (groups(), user("anna", UserRole::Operator, &["shop"]));
        let rows: [(&str, bool, Spoil, Expected<'_>); 17] = [
            ("good", false, |_| {}, None),
            ("by a manager", true, |_| {}, None),
            ("no group", false, |u| u.groups.clear(), None),
            (
                "no group by a manager",
                true,
                |u| u.groups.clear(),
                Some((Denied, "user.groups", "groups")),
            ),
            (
                "another's group",
                true,
                |u| u.groups = ["bank".into()].into(),
                Some((Denied, "user.groups", "groups")),
            ),
            (
                "another's too",
                true,
                |u| {
                    u.groups.insert("bank".into());
                },
                Some((Denied, "user.groups", "groups")),
            ),
            (
                "unknown group",
                false,
                |u| u.groups = ["x".into()].into(),
                Some((Invalid, "user.group", "groups[x]")),
            ),
            (
                "id taken",
                false,
                |u| u.id = "otto".into(),
                Some((Conflict, "user.id_taken", "id")),
            ),
            (
                "mail taken",
                false,
                |u| u.mail = "OTTO@example.org".into(),
                Some((Conflict, "user.mail_taken", "mail")),
            ),
            (
                "admin",
                false,
                |u| u.role = UserRole::Admin,
                Some((Refused, "user.admin_role", "role")),
            ),
            (
                "blank id",
                false,
                |u| u.id = "an na".into(),
                Some((Invalid, "name.characters", "id")),
            ),
            (
                "no id",
                false,
                |u| u.id = "".into(),
                Some((Invalid, "name.length", "id")),
            ),
            (
                "long id",
                false,
                |u| u.id = "a".repeat(65).into(),
                Some((Invalid, "name.length", "id")),
            ),
            (
                "no name",
                false,
                |u| u.name = " ".into(),
                Some((Invalid, "user.name", "name")),
            ),
            (
                "control",
                false,
                |u| u.name = "a\nb".into(),
                Some((Invalid, "user.name", "name")),
            ),
            (
                "no mail",
                false,
                |u| u.mail = "anna".into(),
                Some((Invalid, "user.mail", "mail")),
            ),
            (
                "two mails",
                false,
                |u| u.mail = "a@b,c@d".into(),
                Some((Invalid, "user.mail", "mail")),
            ),
        ];
        for (row, by_manager, spoil, expected) in rows {
            let mut user = good.clone();
            spoil(&mut user);
            let actor = if by_manager { manager() } else { root.clone() };
            is(
                check_new_user(
                    &actor,
                    &user,
                    &UserFacts {
                        others: &others,
                        groups: &all,
                    },
                ),
                expected,
                row,
            );
        }
    }

    #[test]
    fn usr_09_usr_10_usr_15_usr_22_changes_of_accounts() {
        use ErrorKind::{Denied, Refused};
        let (root, mina, all) = (Actor::admin("root"), manager(), groups());
        let facts = UserFacts {
            others: &[],
            groups: &all,
        };
        let anna = user("anna", UserRole::Operator, &["shop", "bank"]);
        let admin = user("root", UserRole::Admin, &["shop"]);
        let change = |user: &User, change: fn(&mut User)| {
            let mut changed = user.clone();
            change(&mut changed);
            changed
        };
        type Row<'a> = (&'a str, &'a Actor, &'a User, Spoil, Expected<'a>);
        let rows: [Row<'_>; 9] = [
            ("name", &mina, &anna, |u| u.name = "Anna".into(), None),
            (
                "out of the own",
                &mina,
                &anna,
                |u| {
                    u.groups.remove(&"shop".into());
                },
                None,
            ),
            (
                "out of another",
                &mina,
                &anna,
                |u| {
                    u.groups.remove(&"bank".into());
                },
                Some((Denied, "user.groups", "groups")),
            ),
            ("out of all", &root, &anna, |u| u.groups.clear(), None),
            ("role", &mina, &anna, |u| u.role = UserRole::Manager, None),
            (
                "to admin",
                &root,
                &anna,
                |u| u.role = UserRole::Admin,
                Some((Refused, "user.admin_role", "role")),
            ),
            (
                "from admin",
                &root,
                &admin,
                |u| u.role = UserRole::Viewer,
                Some((Refused, "user.admin_role", "role")),
            ),
            ("admin by admin", &root, &admin, |u| u.name = "R".into(), None),
            (
                "admin by manager",
                &mina,
                &admin,
                |u| u.name = "R".into(),
                Some((Denied, "user.admin", "user_id")),
            ),
        ];
        for (row, actor, was, by, expected) in rows {
            is(check_user_update(actor, was, &change(was, by), &facts), expected, row);
        }
        is(check_user_delete(&root, &anna), None, "delete");
        is(
            check_user_delete(&root, &admin),
            Some((Refused, "user.admin_delete", "user_id")),
            "delete an admin",
        );
        is(
            check_user_delete(&mina, &admin),
            Some((Denied, "user.admin", "user_id")),
            "delete an admin as manager",
        );
        is(check_handles(&mina, &anna), None, "reset");
        is(
            check_handles(&mina, &admin),
            Some((Denied, "user.admin", "user_id")),
            "reset an admin",
        );
    }

    #[test]
    fn usr_04_open_40_who_sees_whom() {
        let (root, mina) = (Actor::admin("root"), manager());
        for (groups, seen) in [
            (&["shop"][..], true),
            (&["bank"], false),
            (&[], false),
            (&["bank", "shop"], true),
        ] {
            let anna = user("anna", UserRole::Viewer, groups);
            assert_eq!(sees_user(&mina, &anna), seen, "{groups:?}");
            assert!(sees_user(&root, &anna));
        }
        let nobody = Actor::member("nora", UserRole::Manager, []);
        assert!(!sees_user(&nobody, &user("anna", UserRole::Viewer, &[])));
    }

    #[test]
    fn usr_20_open_41_groups_of_users() {
        let group = |id: &str, name: &str| UserGroup {
            id: id.into(),
            name: name.to_owned(),
            description: String::new(),
            created_by: "root".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            modified_at: Timestamp::UNIX_EPOCH,
        };
        let others = [group("g1", "shop")];
        is(check_user_group(&group("g2", "bank"), &others), None, "new");
        is(check_user_group(&group("g1", "shop"), &others), None, "itself");
        is(
            check_user_group(&group("g2", "shop"), &others),
            Some((ErrorKind::Conflict, "name.taken", "name")),
            "taken",
        );
        is(
            check_user_group(&group("g2", "a b"), &others),
            Some((ErrorKind::Invalid, "name.characters", "name")),
            "blank",
        );
        let some = ["site-a".to_owned()];
        let owns = Some((ErrorKind::Refused, "user_group.owns", "user_group_id"));
        is(check_user_group_delete(&[], &[]), None, "owns nothing");
        is(check_user_group_delete(&some, &[]), owns, "owns a cluster");
        is(check_user_group_delete(&[], &some), owns, "owns a protection group");
    }

    #[test]
    fn usr_28_sec_06_a_lockout_grows() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |failures| locked_until(failures, 5, Duration::from_secs(300), now).map(Timestamp::as_second);
        let rows = [
            (0, None),
            (4, None),
            (5, Some(300)),
            (6, Some(600)),
            (7, Some(1200)),
            (60, Some(86_400)),
            (u32::MAX, Some(86_400)),
        ];
        for (failures, expected) in rows {
            assert_eq!(after(failures), expected, "{failures}");
        }
        // A setting longer than the bound stays what it is.
        let long = locked_until(9, 5, LONGEST_LOCKOUT * 2, now).map(Timestamp::as_second);
        assert_eq!(long, Some(2 * 86_400));
    }

    #[test]
    fn sec_07_a_login_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let rows = [(0, 99, false), (0, 100, true), (950, 999, false), (950, 1000, true)];
        for (used, now, ended) in rows {
            assert_eq!(
                login_ended(at(used), at(1000), Duration::from_secs(100), at(now)),
                ended,
                "{used} {now}"
            );
        }
    }

    proptest! {
        /// One more failure never opens sooner.
        #[test]
        fn sec_06_a_lockout_never_shrinks(failures in 0..200_u32, allowed in 1..20_u32, seconds in 1..100_000_u64) {
            let until = |n| locked_until(n, allowed, Duration::from_secs(seconds), Timestamp::UNIX_EPOCH);
            prop_assert!(until(failures) <= until(failures + 1));
            prop_assert_eq!(until(failures).is_some(), failures >= allowed);
        }

        /// A Manager never makes an account that reaches beyond the own groups.
        #[test]
        fn usr_07_a_manager_stays_within(own in proptest::collection::btree_set("[a-e]", 0..4), wanted in proptest::collection::btree_set("[a-e]", 0..4)) {
            let ids = |set: &BTreeSet<String>| set.iter().map(|g| OwnerGroupId::from(g.as_str())).collect::<BTreeSet<_>>();
            let all: BTreeSet<OwnerGroupId> = ["a", "b", "c", "d", "e"].map(OwnerGroupId::from).into();
            let actor = Actor::member("mina", UserRole::Manager, ids(&own));
            let new = User { groups: ids(&wanted), ..user("anna", UserRole::Viewer, &[]) };
            let found = check_new_user(&actor, &new, &UserFacts { others: &[], groups: &all });
            prop_assert_eq!(found.is_ok(), !wanted.is_empty() && wanted.is_subset(&own));
        }
    }
}
