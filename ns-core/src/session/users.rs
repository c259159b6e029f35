//! Accounts of others (USR-04 … USR-18, USR-30). One's own is in `account`.

use super::Session;
use super::audit::{Act, Notes};
use crate::engine::{attempts_of, kinds, logins_of, not_found, put, random_password, remove};
use crate::model::{Area, Listing, OwnerGroupId, Query, Subscription, User, UserGroup, UserId, UserRole, Verb};
use crate::store::Write;
use crate::{Result, rules};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// An account to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// What its user logs in with: 1 to 64 characters as in other names (OPEN-06), kept in small letters. It cannot be changed
    /// (USR-08).
    pub id: String,
    /// Whose it is, for people: 1 to 255 characters.
    pub name: String,
    /// Mail address.
    pub mail: String,
    /// What it may do; not an Admin's (USR-09).
    pub role: UserRole,
    /// The groups it belongs to (USR-18); at least one of a Manager's own when a Manager makes it, and no others (USR-07).
    #[serde(default)]
    pub groups: BTreeSet<OwnerGroupId>,
}

/// What is to be changed of an account; none leaves it. The id cannot be changed (USR-08).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Another mail address.
    pub mail: Option<String>,
    /// Another role.
    pub role: Option<UserRole>,
    /// All its groups from now on.
    pub groups: Option<BTreeSet<OwnerGroupId>>,
}

/// See [`Session::users`].
#[derive(Debug, Clone, Copy)]
pub struct Users<'a> {
    pub(super) session: &'a Session,
}

impl Users<'_> {
    /// Makes an account. Its first password is random and given here, and nowhere again (USR-06): it lasts
    /// [three days](rules::GIVEN_PASSWORD_LASTS) and has to be changed at the first login (SEC-05).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, group: ns_core::model::OwnerGroupId) -> ns_core::Result<()> {
    /// use ns_core::model::UserRole;
    /// use ns_core::session::UserRequest;
    /// use secrecy::ExposeSecret;
    ///
    /// let request = UserRequest {
    ///     id: "anna".to_owned(),
    ///     name: "Anna Kim".to_owned(),
    ///     mail: "anna@example.org".to_owned(),
    ///     role: UserRole::Operator,
    ///     groups: [group].into(),
    /// };
    /// let (user, password) = session.users().create(request).await?;
    /// println!("{} logs in with {}", user.id, password.expose_secret());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`rules::check_new_user`]; `Denied` for a role that makes no accounts.
    pub async fn create(&self, request: UserRequest) -> Result<(User, SecretString)> {
        let inner = &self.session.inner;
        let act = Act::new(Area::Users, Verb::Create, "users.create", &request.id);
        self.session
            .change(act, async {
                let now = inner.clock.now();
                let user = User {
                    id: UserId::new(rules::normal_user_id(&request.id)),
                    name: request.name,
                    mail: request.mail.trim().to_owned(),
                    role: request.role,
                    groups: request.groups,
                    must_change_password: true,
                    created_by: self.session.actor.name.clone(),
                    created_at: now,
                    modified_at: now,
                };
                let (others, groups) = (self.everybody().await?, self.groups().await?);
                let facts = rules::UserFacts {
                    others: &others,
                    groups: &groups,
                };
                rules::check_new_user(&self.session.actor, &user, &facts)?;
                let password = random_password(inner.randomness.as_ref())?;
                let writes = vec![
                    put(kinds::USER, user.id.as_str(), Some(0), &user)?,
                    inner.given_password(&user.id, &password).await?,
                ];
                inner.records().commit(writes).await?;
                Ok((user, password))
            })
            .await
    }

    /// One account.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// println!("{}", session.users().get(&"anna".into()).await?.mail);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`, also for an account that shares no group with a Manager; `Denied` for a role that sees no accounts.
    pub async fn get(&self, id: &UserId) -> Result<User> {
        self.session.may(Area::Users, Verb::Read)?;
        Ok(self.seen(id).await?.0)
    }

    /// A part of the accounts: an Admin sees all, a Manager those of the own groups (USR-04).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, group: ns_core::model::OwnerGroupId) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// let members = Query::default().equal("groups", group.as_str()).sort("name");
    /// for user in session.users().list(&members).await?.items {
    ///     println!("{}: {}", user.id, user.name);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied` for a role that sees no accounts; `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<User>> {
        self.session.may(Area::Users, Verb::Read)?;
        let mine = |u: &User| rules::sees_user(&self.session.actor, u);
        self.session.listed(kinds::USER, query, mine).await
    }

    /// Changes an account (USR-08 … USR-10). Another role or other groups end its logins.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::UserRole;
    /// use ns_core::session::UserUpdate;
    ///
    /// let update = UserUpdate { role: Some(UserRole::Viewer), ..Default::default() };
    /// session.users().update(&"anna".into(), update).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`rules::check_user_update`]; `NotFound`; `Denied` for a role that changes no accounts. Nothing is changed then.
    pub async fn update(&self, id: &UserId, update: UserUpdate) -> Result<User> {
        let inner = &self.session.inner;
        let notes = Notes::default();
        let act = Act::new(Area::Users, Verb::Update, "users.update", id);
        self.session
            .change_noted(act, &notes, async {
                let (was, version) = self.seen(id).await?;
                let mut user = was.clone();
                user.name = update.name.unwrap_or(user.name);
                user.mail = update.mail.map_or(user.mail, |mail| mail.trim().to_owned());
                user.role = update.role.unwrap_or(user.role);
                user.groups = update.groups.unwrap_or(user.groups);
                user.modified_at = inner.clock.now();
                let (others, groups) = (self.everybody().await?, self.groups().await?);
                let facts = rules::UserFacts {
                    others: &others,
                    groups: &groups,
                };
                rules::check_user_update(&self.session.actor, &was, &user, &facts)?;
                let mut writes = vec![put(kinds::USER, id.as_str(), Some(version), &user)?];
                if (was.role, &was.groups) != (user.role, &user.groups) {
                    writes.extend(self.other_rights(&user).await?);
                }
                notes.fields(&was, &user)?;
                inner.records().commit(writes).await?;
                Ok(user)
            })
            .await
    }

    /// Deletes an account, with its password and its logins (USR-16).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// session.users().delete(&"anna".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`rules::check_user_delete`] (USR-15); `NotFound`; `Denied` for a role that deletes no accounts.
    pub async fn delete(&self, id: &UserId) -> Result<()> {
        let act = Act::new(Area::Users, Verb::Delete, "users.delete", id);
        self.session
            .change(act, async {
                let records = self.session.inner.records();
                let (user, _) = self.seen(id).await?;
                rules::check_user_delete(&self.session.actor, &user)?;
                let mut writes = vec![remove(kinds::USER, id.as_str()), remove(kinds::CREDENTIAL, id.as_str())];
                writes.extend(logins_of(&records, id, None).await?);
                writes.extend(attempts_of(&records, id).await?);
                let told = self.subscriptions(id).await?;
                writes.extend(told.iter().map(|s| remove(kinds::SUBSCRIPTION, s.id.as_str())));
                records.commit(writes).await
            })
            .await
    }

    /// Gives an account a random password, as [`Users::create`] does (USR-14, SEC-05), and ends its logins.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// let password = session.users().reset_password(&"anna".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied`, `user.admin`, for the account of an Admin and another role (USR-09); `NotFound`; `Denied` for a role that changes
    /// no accounts.
    pub async fn reset_password(&self, id: &UserId) -> Result<SecretString> {
        let inner = &self.session.inner;
        let act = Act::new(Area::Users, Verb::Update, "users.reset_password", id);
        self.session
            .change(act, async {
                let (mut user, version) = self.handled(id).await?;
                user.must_change_password = true;
                let password = random_password(inner.randomness.as_ref())?;
                let mut writes = vec![
                    put(kinds::USER, id.as_str(), Some(version), &user)?,
                    inner.given_password(id, &password).await?,
                ];
                writes.extend(logins_of(&inner.records(), id, None).await?);
                inner.records().commit(writes).await?;
                Ok(password)
            })
            .await
    }

    /// Forgets the failed logins of an account, wherever they came from: it can log in again at once (SEC-06).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// session.users().unlock(&"anna".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Users::reset_password`].
    pub async fn unlock(&self, id: &UserId) -> Result<()> {
        let act = Act::new(Area::Users, Verb::Update, "users.unlock", id);
        self.session
            .change(act, async {
                self.handled(id).await?;
                let records = self.session.inner.records();
                records.commit(attempts_of(&records, id).await?).await
            })
            .await
    }

    /// Ends every login of an account (USR-30).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// session.users().force_logout(&"anna".into()).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Users::reset_password`].
    pub async fn force_logout(&self, id: &UserId) -> Result<()> {
        let act = Act::new(Area::Users, Verb::Update, "users.force_logout", id);
        self.session
            .change(act, async {
                self.handled(id).await?;
                let records = self.session.inner.records();
                records.commit(logins_of(&records, id, None).await?).await
            })
            .await
    }

    /// An account that is this actor's to see, with its version.
    pub(super) async fn seen(&self, id: &UserId) -> Result<(User, u64)> {
        let found = self
            .session
            .inner
            .records()
            .find::<User>(kinds::USER, id.as_str())
            .await?;
        found
            .filter(|(user, _)| rules::sees_user(&self.session.actor, user))
            .ok_or_else(|| not_found(kinds::USER, id.as_str()))
    }

    /// An account that is this actor's to do something with.
    async fn handled(&self, id: &UserId) -> Result<(User, u64)> {
        let found = self.seen(id).await?;
        rules::check_handles(&self.session.actor, &found.0)?;
        Ok(found)
    }

    /// The writes that let other rights of an account be felt: its logins end, but for the one that does it, whose rights are
    /// read anew with every request; what it is told of outside the product goes by the new ones.
    pub(super) async fn other_rights(&self, user: &User) -> Result<Vec<Write>> {
        let records = self.session.inner.records();
        let own = self.session.login.as_ref().map(|l| l.digest.as_str());
        let mut writes = logins_of(&records, &user.id, own).await?;
        for mut subscription in self.subscriptions(&user.id).await? {
            (subscription.role, subscription.groups) = (user.role, user.groups.clone());
            writes.push(put(kinds::SUBSCRIPTION, subscription.id.as_str(), None, &subscription)?);
        }
        Ok(writes)
    }

    async fn subscriptions(&self, of: &UserId) -> Result<Vec<Subscription>> {
        let theirs = |s: &Subscription| s.actor == of.as_str();
        self.session.inner.records().all(kinds::SUBSCRIPTION, theirs).await
    }

    pub(super) async fn everybody(&self) -> Result<Vec<User>> {
        self.session.inner.records().all(kinds::USER, |_| true).await
    }

    async fn groups(&self) -> Result<BTreeSet<OwnerGroupId>> {
        let groups = self
            .session
            .inner
            .records()
            .all::<UserGroup>(kinds::USER_GROUP, |_| true)
            .await?;
        Ok(groups.into_iter().map(|g| g.id).collect())
    }
}
