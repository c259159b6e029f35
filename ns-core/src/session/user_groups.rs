//! Groups of users, which own clusters and protection groups (USR-19 … USR-25).

use super::Session;
use super::audit::{Act, Notes};
use crate::engine::{kinds, not_found, put, remove};
use crate::model::{
    Area, Cluster, Listing, OwnerGroupId, ProtectionGroup, Query, User, UserGroup, UserId, UserRole, Verb,
};
use crate::{Result, rules};
use serde::{Deserialize, Serialize};

/// A group to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserGroupRequest {
    /// Name, unique (USR-20, OPEN-06).
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
}

/// What is to be changed of a group; none leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserGroupUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Another text.
    pub description: Option<String>,
}

/// See [`Session::user_groups`].
#[derive(Debug, Clone, Copy)]
pub struct UserGroups<'a> {
    pub(super) session: &'a Session,
}

impl UserGroups<'_> {
    /// Makes a group. One that a Manager makes has that Manager as its first member (USR-21, CON-33).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::session::UserGroupRequest;
    ///
    /// let request = UserGroupRequest { name: "shop".to_owned(), description: String::new() };
    /// let group = session.user_groups().create(request).await?;
    /// session.user_groups().add_member(&group.id, &"anna".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`rules::check_user_group`]; `Denied` for a role that makes no groups.
    pub async fn create(&self, request: UserGroupRequest) -> Result<UserGroup> {
        let inner = &self.session.inner;
        let act = Act::new(Area::Users, Verb::Create, "user_groups.create", &request.name);
        self.session
            .change(act, async {
                let (records, now) = (inner.records(), inner.clock.now());
                let group = UserGroup {
                    id: OwnerGroupId::new(inner.ids.next()),
                    name: rules::normal_name(&request.name),
                    description: request.description,
                    created_by: self.session.actor.name.clone(),
                    created_at: now,
                    modified_at: now,
                };
                rules::check_user_group(&group, &self.all().await?)?;
                let mut writes = vec![put(kinds::USER_GROUP, group.id.as_str(), Some(0), &group)?];
                // An Admin needs no membership; a Manager whom the host vouches for has no account to put into the group.
                if let Some(login) = &self.session.login
                    && self.session.actor.role != UserRole::Admin
                {
                    let (mut user, version) = records.existing::<User>(kinds::USER, login.user.as_str()).await?;
                    user.groups.insert(group.id.clone());
                    user.modified_at = now;
                    writes.push(put(kinds::USER, user.id.as_str(), Some(version), &user)?);
                }
                records.commit(writes).await?;
                Ok(group)
            })
            .await
    }

    /// One group.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::OwnerGroupId) -> ns_core::Result<()> {
    /// println!("{}", session.user_groups().get(&id).await?.name);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`, also for a group that a Manager does not belong to; `Denied` for a role that sees no groups.
    pub async fn get(&self, id: &OwnerGroupId) -> Result<UserGroup> {
        self.session.may(Area::Users, Verb::Read)?;
        Ok(self.seen(id).await?.0)
    }

    /// A part of the groups: an Admin sees all, a Manager the own ones (USR-19). Who belongs to one is asked of
    /// [`Session::users`].
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for group in session.user_groups().list(&Query::default().sort("name")).await?.items {
    ///     println!("{}", group.name);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied` for a role that sees no groups; `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<UserGroup>> {
        self.session.may(Area::Users, Verb::Read)?;
        let mine = |g: &UserGroup| self.session.actor.sees(&g.id);
        self.session.listed(kinds::USER_GROUP, query, mine).await
    }

    /// Changes a group (USR-23).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::OwnerGroupId) -> ns_core::Result<()> {
    /// use ns_core::session::UserGroupUpdate;
    ///
    /// let update = UserGroupUpdate { name: Some("shops".to_owned()), ..Default::default() };
    /// session.user_groups().update(&id, update).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`UserGroups::create`]; `NotFound`. Nothing is changed then.
    pub async fn update(&self, id: &OwnerGroupId, update: UserGroupUpdate) -> Result<UserGroup> {
        let (inner, notes) = (&self.session.inner, Notes::default());
        let act = Act::new(Area::Users, Verb::Update, "user_groups.update", id);
        self.session
            .change_noted(act, &notes, async {
                let (was, version) = self.seen(id).await?;
                let mut group = was.clone();
                group.name = update.name.map_or(group.name, |name| rules::normal_name(&name));
                group.description = update.description.unwrap_or(group.description);
                group.modified_at = inner.clock.now();
                rules::check_user_group(&group, &self.all().await?)?;
                notes.fields(&was, &group)?;
                let write = put(kinds::USER_GROUP, id.as_str(), Some(version), &group)?;
                inner.records().commit(vec![write]).await?;
                Ok(group)
            })
            .await
    }

    /// Puts an account into a group (USR-22), and ends its logins. A Manager can put in whom they see; others are put in by an Admin.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::OwnerGroupId) -> ns_core::Result<()> {
    /// session.user_groups().add_member(&id, &"anna".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for a group or an account that is not the actor's to see; `Denied`, `user.admin`, for an Admin's account and another
    /// role (USR-09); `Denied` for a role that changes no groups.
    pub async fn add_member(&self, id: &OwnerGroupId, user: &UserId) -> Result<User> {
        let act = Act::new(Area::Users, Verb::Update, "user_groups.add_member", id);
        self.membership(act, id, user, true).await
    }

    /// Takes an account out of a group (USR-22), and ends its logins.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::OwnerGroupId) -> ns_core::Result<()> {
    /// session.user_groups().remove_member(&id, &"anna".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`UserGroups::add_member`].
    pub async fn remove_member(&self, id: &OwnerGroupId, user: &UserId) -> Result<User> {
        let act = Act::new(Area::Users, Verb::Update, "user_groups.remove_member", id);
        self.membership(act, id, user, false).await
    }

    async fn membership(&self, act: Act, id: &OwnerGroupId, user: &UserId, member: bool) -> Result<User> {
        let (inner, notes) = (&self.session.inner, Notes::default());
        self.session
            .change_noted(act, &notes, async {
                self.seen(id).await?;
                let (was, version) = self.session.users().seen(user).await?;
                rules::check_handles(&self.session.actor, &was)?;
                let mut user = was.clone();
                let changed = match member {
                    true => user.groups.insert(id.clone()),
                    false => user.groups.remove(id),
                };
                if changed {
                    user.modified_at = inner.clock.now();
                    let mut writes = vec![put(kinds::USER, user.id.as_str(), Some(version), &user)?];
                    writes.extend(self.session.users().other_rights(&user).await?);
                    notes.fields(&was, &user)?;
                    inner.records().commit(writes).await?;
                }
                Ok(user)
            })
            .await
    }

    /// Deletes a group that owns nothing (OPEN-41). Its members are in it no more, and maybe in none (USR-24, OPEN-40); their logins
    /// end.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::OwnerGroupId) -> ns_core::Result<()> {
    /// session.user_groups().delete(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused`, `user_group.owns`, naming the clusters and protection groups that belong to it; `NotFound`; `Denied` for a role
    /// that deletes no groups.
    pub async fn delete(&self, id: &OwnerGroupId) -> Result<()> {
        let inner = &self.session.inner;
        let act = Act::new(Area::Users, Verb::Delete, "user_groups.delete", id);
        self.session
            .change(act, async {
                let records = inner.records();
                self.seen(id).await?;
                let clusters = records
                    .all::<Cluster>(kinds::CLUSTER, |c| &c.owner_group_id == id)
                    .await?;
                let groups = records
                    .all::<ProtectionGroup>(kinds::GROUP, |g| &g.owner_group_id == id)
                    .await?;
                let clusters: Vec<_> = clusters.into_iter().map(|c| c.name).collect();
                let groups: Vec<_> = groups.into_iter().map(|g| g.name).collect();
                rules::check_user_group_delete(&clusters, &groups)?;
                let mut writes = vec![remove(kinds::USER_GROUP, id.as_str())];
                for member in records.all::<User>(kinds::USER, |u| u.groups.contains(id)).await? {
                    let (mut user, version) = records.existing::<User>(kinds::USER, member.id.as_str()).await?;
                    user.groups.remove(id);
                    user.modified_at = inner.clock.now();
                    writes.push(put(kinds::USER, user.id.as_str(), Some(version), &user)?);
                    writes.extend(self.session.users().other_rights(&user).await?);
                }
                records.commit(writes).await
            })
            .await
    }

    /// A group that is this actor's to see, with its version.
    async fn seen(&self, id: &OwnerGroupId) -> Result<(UserGroup, u64)> {
        let found = self
            .session
            .inner
            .records()
            .find::<UserGroup>(kinds::USER_GROUP, id.as_str())
            .await?;
        found
            .filter(|_| self.session.actor.sees(id))
            .ok_or_else(|| not_found(kinds::USER_GROUP, id.as_str()))
    }

    async fn all(&self) -> Result<Vec<UserGroup>> {
        self.session.inner.records().all(kinds::USER_GROUP, |_| true).await
    }
}
