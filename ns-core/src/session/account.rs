//! One's own account (USR-11, USR-13, USR-29): open to every role, apart from the matrix of rights (CON-31).

use super::audit::{Act, Notes};
use super::{LoggedIn, Session};
use crate::engine::{kinds, logins_of, put, remove};
use crate::model::{Area, User, Verb};
use crate::{Error, ErrorKind, Result, rules};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// What is to be changed of one's own account; none leaves it. Role and groups are for others to change (USR-11).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountUpdate {
    /// Another name.
    pub name: Option<String>,
    /// Another mail address.
    pub mail: Option<String>,
}

/// See [`Session::account`].
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    pub(super) session: &'a Session,
}

impl Account<'_> {
    /// The account as it is.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// println!("{:?}", session.account().get().await?.role);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused`, `account.none`, for an actor that the host vouches for: it has no account here.
    pub async fn get(&self) -> Result<User> {
        self.session
            .inner
            .records()
            .get(kinds::USER, self.login()?.user.as_str())
            .await
    }

    /// Changes name or mail address.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::session::AccountUpdate;
    ///
    /// let update = AccountUpdate { mail: Some("anna@example.org".to_owned()), ..Default::default() };
    /// session.account().update(update).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`rules::check_own_update`]; `Refused`, `account.none`. Nothing is changed then.
    pub async fn update(&self, update: AccountUpdate) -> Result<User> {
        let (login, notes) = (self.login()?, Notes::default());
        let act = Act::new(Area::Users, Verb::Update, "account.update", &login.user);
        self.session
            .own_change(act, &notes, async {
                let records = self.session.inner.records();
                let (was, version) = records.existing::<User>(kinds::USER, login.user.as_str()).await?;
                let mut user = was.clone();
                user.name = update.name.unwrap_or(user.name);
                user.mail = update.mail.map_or(user.mail, |mail| mail.trim().to_owned());
                user.modified_at = self.session.inner.clock.now();
                rules::check_own_update(&user, &self.session.users().everybody().await?)?;
                notes.fields(&was, &user)?;
                let write = put(kinds::USER, user.id.as_str(), Some(version), &user)?;
                records.commit(vec![write]).await?;
                Ok(user)
            })
            .await
    }

    /// Changes the password (USR-13), and ends the account's other logins. From the next [`authenticate`](crate::Engine::authenticate)
    /// on everything is open that was shut because somebody else had given the password (SEC-05).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, old: secrecy::SecretString, new: secrecy::SecretString) -> ns_core::Result<()> {
    /// session.account().change_password(&old, &new).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unauthenticated`, `password.current`, for a wrong present password, which counts as a failed login, and `login.locked` after
    /// too many; those of [`rules::check_password`] (SEC-04, USR-12); `Invalid`, `password.same`; `Refused`, `account.none`.
    /// Nothing is changed then.
    pub async fn change_password(&self, current: &SecretString, new: &SecretString) -> Result<()> {
        let (login, inner) = (self.login()?, &self.session.inner);
        let act = Act::new(Area::Users, Verb::Update, "account.change_password", &login.user);
        self.session
            .own_change(act, &Notes::default(), async {
                let records = inner.records();
                let (mut user, version) = records.existing::<User>(kinds::USER, login.user.as_str()).await?;
                rules::check_password(new.expose_secret(), &user, inner.settings().classic_passwords)?;
                let right = inner.check_own_password(&user.id, current, &login.origin).await?;
                let normal = |p: &SecretString| rules::normal_password(p.expose_secret());
                if normal(current) == normal(new) {
                    let message = "the new password is the present one";
                    return Err(Error::new(ErrorKind::Invalid, "password.same", message)
                        .with_field("password")
                        .with_remedy("choose another one"));
                }
                user.must_change_password = false;
                let mut writes = vec![
                    right,
                    put(kinds::USER, user.id.as_str(), Some(version), &user)?,
                    inner.password(&user.id, new, None).await?,
                ];
                writes.extend(logins_of(&records, &user.id, Some(&login.digest)).await?);
                records.commit(writes).await
            })
            .await
    }

    /// Ends the login that this session was made of (USR-29).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// session.account().log_out().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused`, `account.none`.
    pub async fn log_out(&self) -> Result<()> {
        let login = self.login()?;
        let act = Act::new(Area::Users, Verb::Update, "account.log_out", &login.user);
        let gone = async {
            self.session
                .inner
                .records()
                .commit(vec![remove(kinds::LOGIN, &login.digest)])
                .await
        };
        self.session.own_change(act, &Notes::default(), gone).await
    }

    fn login(&self) -> Result<&LoggedIn> {
        self.session.login.as_ref().ok_or_else(|| {
            let message = format!("{} did not log in here", self.session.actor.name);
            Error::new(ErrorKind::Refused, "account.none", message)
                .with_field("actor")
                .with_remedy("use a session of `Engine::authenticate`; hosts with identities of their own keep accounts themselves")
        })
    }
}
