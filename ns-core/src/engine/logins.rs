//! Logins: the one authenticated entry (USR-26 … USR-31, SEC-05 … SEC-07).
//!
//! A login is a random token that only its holder has; the store keeps its SHA-256. Failures are counted for each pair of id and
//! origin before the password is looked at, so that many tries at once gain nothing, and the same for ids that there are not.

use super::passwords;
use super::records::{Records, kinds, put, remove};
use super::{Engine, Inner};
use crate::model::{Actor, Approval, Area, AuditEntry, AuditOutcome, Login, LoginId, User, UserId, UserRole, Verb};
use crate::session::{LoggedIn, Session};
use crate::store::Write;
use crate::{Error, ErrorKind, Result, rules};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// The password of an account, hashed. Its id is the account's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    /// PHC string: algorithm, parameters, salt and hash.
    hash: String,
    /// After this it opens nothing: it was given by somebody else (SEC-05).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    set_at: Timestamp,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credential");
        shown
            .field("expires_at", &self.expires_at)
            .field("set_at", &self.set_at)
            .finish_non_exhaustive()
    }
}

/// A login as it is kept; its id is the digest of the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredLogin {
    id: LoginId,
    digest: String,
    user: UserId,
    origin: String,
    began_at: Timestamp,
    used_at: Timestamp,
    ends_at: Timestamp,
}

/// Failures in a row of one id from one origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoginAttempts {
    user: UserId,
    origin: String,
    failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locked_until: Option<Timestamp>,
    last_at: Timestamp,
}

/// That the first Admin was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installation {
    admin: UserId,
    at: Timestamp,
}

impl Engine {
    /// Makes the first account: an Admin's, for all groups (USR-09). Possible once for a store. Gives its password, which is shown to
    /// nobody again, lasts [three days](rules::GIVEN_PASSWORD_LASTS) and opens nothing but the account itself until it is changed
    /// (SEC-05, SEC-11).
    ///
    /// ```no_run
    /// # async fn example(engine: ns_core::Engine) -> ns_core::Result<()> {
    /// use secrecy::ExposeSecret;
    ///
    /// let password = engine.install_admin("root", "root@example.org").await?;
    /// println!("log in as root with {}", password.expose_secret());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for an id or a mail address that is none, naming the field; `Conflict` for one that is taken; `Refused`,
    /// `install.done`, when there is an Admin already.
    pub async fn install_admin(&self, id: &str, mail: &str) -> Result<SecretString> {
        let inner = &self.inner;
        let records = inner.records();
        let now = inner.clock.now();
        let user = User {
            id: UserId::new(rules::normal_user_id(id)),
            name: id.to_owned(),
            mail: mail.trim().to_owned(),
            role: UserRole::Admin,
            groups: Default::default(),
            must_change_password: true,
            created_by: "installation".to_owned(),
            created_at: now,
            modified_at: now,
        };
        // Once means once, whoever else installs at this moment: the first write must not exist.
        let done = || {
            Error::new(ErrorKind::Refused, "install.done", "the first Admin was made already")
                .with_field("id")
                .with_remedy("log in as that Admin")
        };
        if records
            .find::<Installation>(kinds::INSTALLATION, INSTALLED)
            .await?
            .is_some()
        {
            return Err(done());
        }
        let others = records.all::<User>(kinds::USER, |_| true).await?;
        rules::check_first_admin(&user, &others)?;
        let installed = Installation {
            admin: user.id.clone(),
            at: now,
        };
        let password = passwords::random_password(inner.randomness.as_ref())?;
        let writes = vec![
            put(kinds::INSTALLATION, INSTALLED, Some(0), &installed)?,
            put(kinds::USER, user.id.as_str(), Some(0), &user)?,
            inner.given_password(&user.id, &password).await?,
            inner.audit_line(
                "installation",
                None,
                Area::Users,
                Verb::Create,
                "users.install",
                user.id.as_str(),
                AuditOutcome::Done,
            )?,
        ];
        match records.commit(writes).await {
            Err(e) if e.kind() == ErrorKind::Conflict => Err(done()),
            result => result.map(|()| password),
        }
    }

    /// Logs somebody in (USR-26). `origin` is where the login comes from as the host knows it, e.g. the address: failures are counted
    /// for each id and origin, so that nobody can shut others out (USR-28, SEC-06). With
    /// [`one_login_per_account`](crate::Settings::one_login_per_account) the account's earlier logins end (USR-27), which the audit trail
    /// tells as `users.log_in_again` (SEC-07).
    ///
    /// ```no_run
    /// # async fn example(engine: ns_core::Engine, password: secrecy::SecretString) -> ns_core::Result<()> {
    /// let login = engine.log_in("anna", &password, "203.0.113.7").await?;
    /// let session = engine.authenticate(&login.token).await?;
    /// println!("{}", session.account().get().await?.name);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unauthenticated`, the same for an id that there is not, and after the same work: `login.failed` for a wrong id or password,
    /// `login.locked` with `until` after too many of them; to who has the password also `login.password_expired` for one that was
    /// given and not changed in time (SEC-05).
    pub async fn log_in(&self, id: &str, password: &SecretString, origin: &str) -> Result<Login> {
        let inner = &self.inner;
        let records = inner.records();
        let id = UserId::new(rules::normal_user_id(id).chars().take(LONGEST_KEPT).collect::<String>());
        let attempt = inner.attempt(&id, origin).await?;
        let kept = records.find::<Credential>(kinds::CREDENTIAL, id.as_str()).await?;
        let right = inner
            .is_password(password, kept.as_ref().map(|(c, _)| c.hash.as_str()))
            .await?;
        let Some((mut credential, mut version)) = kept.filter(|_| right) else {
            inner.failed(&attempt).await?;
            return Err(wrong());
        };
        let now = inner.clock.now();
        if credential.expires_at.is_some_and(|end| now >= end) {
            records.commit(vec![attempt.forget()]).await?;
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "login.password_expired",
                "the password that was given has expired",
            )
            .with_field("password")
            .with_remedy("ask for another one"));
        }
        let settings = inner.settings();
        let verified = credential.hash.clone();
        if passwords::is_outdated(&credential.hash, &settings)? {
            credential.hash = inner.hash_password(password).await?;
        }
        let mut random = [0; 32];
        inner.randomness.fill(&mut random)?;
        let token = SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(random));
        let digest = digest(&token);
        loop {
            let Some((user, _)) = records.find::<User>(kinds::USER, id.as_str()).await? else {
                return Err(wrong());
            };
            let ends_at = now.saturating_add(settings.login_limit).unwrap_or(Timestamp::MAX);
            let login = StoredLogin {
                id: LoginId::new(inner.ids.next()),
                digest: digest.clone(),
                user: id.clone(),
                origin: kept_text(origin),
                began_at: now,
                used_at: now,
                ends_at,
            };
            // The password is written again as it is: a login is not made of one that was reset meanwhile.
            let mut writes = vec![
                put(kinds::CREDENTIAL, id.as_str(), Some(version), &credential)?,
                put(kinds::LOGIN, &digest, Some(0), &login)?,
                attempt.forget(),
            ];
            let mut action = "users.log_in";
            if settings.one_login_per_account {
                let ended = logins_of(&records, &id, None).await?;
                if !ended.is_empty() {
                    action = "users.log_in_again";
                }
                writes.extend(ended);
            }
            let (role, done) = (Some(user.role), AuditOutcome::Done);
            writes.push(inner.audit_line(
                id.as_str(),
                role,
                Area::Users,
                Verb::Update,
                action,
                login.id.as_str(),
                done,
            )?);
            match records.commit(writes).await {
                Err(e) if e.kind() == ErrorKind::Conflict => {
                    let now = records.find::<Credential>(kinds::CREDENTIAL, id.as_str()).await?;
                    // Another login of the same password at the same moment.
                    match now.filter(|(c, _)| c.hash == verified || c.hash == credential.hash) {
                        Some((_, found)) if found != version => version = found,
                        _ => return Err(wrong()),
                    }
                }
                result => {
                    result?;
                    return Ok(Login {
                        id: login.id,
                        user: id,
                        token,
                        expires_at: ends_at,
                        must_change_password: user.must_change_password,
                    });
                }
            }
        }
    }

    /// What the account behind a login may see and do now (USR-31): its role and groups are read anew each time, so make a session
    /// for each request and keep none. While its password has to be changed, the account sees nothing but itself and changes nothing else
    /// (SEC-05).
    ///
    /// A login that is used lasts: when it was used last is kept to a tenth of
    /// [`login_idle_limit`](crate::Settings::login_idle_limit).
    ///
    /// ```no_run
    /// # async fn example(engine: ns_core::Engine, token: secrecy::SecretString) -> ns_core::Result<()> {
    /// let session = engine.authenticate(&token).await?;
    /// println!("{} clusters", session.clusters().list(&Default::default()).await?.total);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Unauthenticated`, `login.ended`, for a token that is none, or of a login that has ended.
    pub async fn authenticate(&self, token: &SecretString) -> Result<Session> {
        let (inner, digest) = (&self.inner, digest(token));
        let records = inner.records();
        let Some((mut login, version)) = records.find::<StoredLogin>(kinds::LOGIN, &digest).await? else {
            return Err(ended());
        };
        let (now, idle) = (inner.clock.now(), inner.settings().login_idle_limit);
        if rules::login_ended(login.used_at, login.ends_at, idle, now) {
            records.commit(vec![remove(kinds::LOGIN, &digest)]).await?;
            return Err(ended());
        }
        let Some((user, _)) = records.find::<User>(kinds::USER, login.user.as_str()).await? else {
            return Err(ended());
        };
        if rules::login_ended(login.used_at, Timestamp::MAX, idle / 10, now) {
            login.used_at = now;
            match records
                .commit(vec![put(kinds::LOGIN, &digest, Some(version), &login)?])
                .await
            {
                // Somebody used it at the same moment, or ended it: the next request will tell.
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                result => result?,
            }
        }
        let actor = match user.must_change_password {
            true => Actor::member(user.id.as_str(), UserRole::Viewer, []),
            false => Actor::member(user.id.as_str(), user.role, user.groups),
        };
        let login = LoggedIn {
            user: user.id,
            digest,
            origin: login.origin,
            must_change_password: user.must_change_password,
        };
        Ok(Session::of_login(inner.clone(), actor, login))
    }
}

/// The one document of its kind.
const INSTALLED: &str = "admin";
/// How much is kept of an id or an origin that somebody gave, in characters.
const LONGEST_KEPT: usize = 255;
/// How long failures are remembered after the last one, or after the lockout that they led to.
const FAILURES_KEPT: Duration = Duration::from_secs(24 * 3600);

fn kept_text(text: &str) -> String {
    text.chars().take(LONGEST_KEPT).collect()
}

fn wrong() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "login.failed",
        "the id or the password is wrong",
    )
    .with_remedy("check both, or ask for another password")
}

fn ended() -> Error {
    Error::new(ErrorKind::Unauthenticated, "login.ended", "the login has ended").with_remedy("log in again")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn digest(token: &SecretString) -> String {
    hex(&Sha256::digest(token.expose_secret().as_bytes()))
}

/// A try that was counted.
struct Attempt {
    id: String,
    attempts: LoginAttempts,
}

impl Attempt {
    /// It was right: the write that counts from the beginning again.
    fn forget(&self) -> Write {
        remove(kinds::LOGIN_ATTEMPTS, &self.id)
    }
}

/// Whose failures are counted together.
fn attempts_id(user: &UserId, origin: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(user.as_str());
    digest.update([0]);
    digest.update(origin);
    hex(&digest.finalize())
}

/// The writes that end the logins of an account, but for the one with this digest.
pub(crate) async fn logins_of(records: &Records, user: &UserId, but: Option<&str>) -> Result<Vec<Write>> {
    let theirs = |l: &StoredLogin| &l.user == user && Some(l.digest.as_str()) != but;
    let logins = records.all::<StoredLogin>(kinds::LOGIN, theirs).await?;
    Ok(logins.iter().map(|l| remove(kinds::LOGIN, &l.digest)).collect())
}

/// The writes that forget the failed logins of an account, wherever they came from.
pub(crate) async fn attempts_of(records: &Records, user: &UserId) -> Result<Vec<Write>> {
    let attempts = records
        .all::<LoginAttempts>(kinds::LOGIN_ATTEMPTS, |a| &a.user == user)
        .await?;
    Ok(attempts
        .iter()
        .map(|a| remove(kinds::LOGIN_ATTEMPTS, &attempts_id(&a.user, &a.origin)))
        .collect())
}

/// Takes away what is left of logins that have ended, of failures that are long past, and of requests for a second person.
pub(super) async fn forget_old_logins(inner: &Inner) -> Result<()> {
    let (records, now) = (inner.records(), inner.clock.now());
    let idle = inner.settings().login_idle_limit;
    let ended = |l: &StoredLogin| rules::login_ended(l.used_at, l.ends_at, idle, now);
    let past = |a: &LoginAttempts| {
        let last = a.locked_until.map_or(a.last_at, |until| until.max(a.last_at));
        rules::login_ended(last, Timestamp::MAX, FAILURES_KEPT, now)
    };
    let logins = records.all(kinds::LOGIN, ended).await?;
    let attempts = records.all(kinds::LOGIN_ATTEMPTS, past).await?;
    let mut gone: Vec<_> = logins.iter().map(|l| remove(kinds::LOGIN, &l.digest)).collect();
    let expired = |a: &Approval| rules::login_ended(a.expires_at, Timestamp::MAX, FAILURES_KEPT, now);
    let approvals = records.all(kinds::APPROVAL, expired).await?;
    gone.extend(approvals.iter().map(|a| remove(kinds::APPROVAL, a.id.as_str())));
    gone.extend(
        attempts
            .iter()
            .map(|a| remove(kinds::LOGIN_ATTEMPTS, &attempts_id(&a.user, &a.origin))),
    );
    match gone.is_empty() {
        true => Ok(()),
        false => records.commit(gone).await,
    }
}

impl Inner {
    /// Counts a try before the password is looked at.
    async fn attempt(&self, user: &UserId, origin: &str) -> Result<Attempt> {
        let (records, settings, now) = (self.records(), self.settings(), self.clock.now());
        let origin = kept_text(origin);
        let id = attempts_id(user, &origin);
        loop {
            let found = records.find::<LoginAttempts>(kinds::LOGIN_ATTEMPTS, &id).await?;
            let (was, version) = found.map_or((None, 0), |(a, version)| (Some(a), version));
            if let Some(until) = was.as_ref().and_then(|a| a.locked_until).filter(|until| now < *until) {
                return Err(Error::new(
                    ErrorKind::Unauthenticated,
                    "login.locked",
                    "too many logins have failed",
                )
                .with("until", until)
                .with_remedy("wait until then, or ask an Admin to unlock the account"));
            }
            let failures = was.map_or(0, |a| a.failures).saturating_add(1);
            let locked_until = rules::locked_until(failures, settings.login_attempts, settings.lockout, now);
            let attempts = LoginAttempts {
                user: user.clone(),
                origin: origin.clone(),
                failures,
                locked_until,
                last_at: now,
            };
            let attempt = Attempt {
                id: id.clone(),
                attempts,
            };
            let write = put(kinds::LOGIN_ATTEMPTS, &id, Some(version), &attempt.attempts)?;
            match records.commit(vec![write]).await {
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                result => return result.map(|()| attempt),
            }
        }
    }

    /// A counted try was wrong: tells of the lockout when this was one too many (SEC-06).
    async fn failed(&self, attempt: &Attempt) -> Result<()> {
        let LoginAttempts {
            user,
            origin,
            failures,
            locked_until,
            ..
        } = &attempt.attempts;
        if locked_until.is_none() {
            return Ok(());
        }
        tracing::warn!(%user, origin, failures, "too many logins failed");
        let refused = AuditOutcome::Refused {
            code: "login.locked".to_owned(),
        };
        let line = self.audit_line(
            user.as_str(),
            None,
            Area::Users,
            Verb::Update,
            "users.lock_out",
            origin,
            refused,
        )?;
        self.records().commit(vec![line]).await
    }

    /// The write of a password that its user has to change (SEC-05).
    pub(crate) async fn given_password(&self, user: &UserId, password: &SecretString) -> Result<Write> {
        let now = self.clock.now();
        let end = now
            .saturating_add(rules::GIVEN_PASSWORD_LASTS)
            .unwrap_or(Timestamp::MAX);
        self.password(user, password, Some(end)).await
    }

    /// The write of a password; nobody's login that began with another one survives it.
    pub(crate) async fn password(
        &self,
        user: &UserId,
        password: &SecretString,
        expires_at: Option<Timestamp>,
    ) -> Result<Write> {
        let credential = Credential {
            hash: self.hash_password(password).await?,
            expires_at,
            set_at: self.clock.now(),
        };
        put(kinds::CREDENTIAL, user.as_str(), None, &credential)
    }

    /// Refuses what is not the password of an account; failures count as those of a login. What is given forgets them.
    pub(crate) async fn check_own_password(
        &self,
        user: &UserId,
        password: &SecretString,
        origin: &str,
    ) -> Result<Write> {
        let attempt = self.attempt(user, origin).await?;
        let kept = self
            .records()
            .find::<Credential>(kinds::CREDENTIAL, user.as_str())
            .await?;
        if self
            .is_password(password, kept.as_ref().map(|(c, _)| c.hash.as_str()))
            .await?
        {
            return Ok(attempt.forget());
        }
        self.failed(&attempt).await?;
        Err(Error::new(
            ErrorKind::Unauthenticated,
            "password.current",
            "the present password is wrong",
        )
        .with_field("current")
        .with_remedy("give the password that you logged in with, or ask for a reset"))
    }

    /// A whole entry of the audit trail in one write, for what is not done through a session.
    #[allow(clippy::too_many_arguments, reason = "they are the entry")]
    fn audit_line(
        &self,
        actor: &str,
        role: Option<UserRole>,
        area: Area,
        verb: Verb,
        action: &str,
        object: &str,
        outcome: AuditOutcome,
    ) -> Result<Write> {
        let now = self.clock.now();
        let entry = AuditEntry {
            id: self.audit_id(),
            at: now,
            ended_at: Some(now),
            actor: actor.to_owned(),
            role,
            area,
            verb,
            action: action.to_owned(),
            object: object.to_owned(),
            changes: Default::default(),
            approved_by: None,
            outcome,
        };
        put(kinds::AUDIT, entry.id.as_str(), Some(0), &entry)
    }
}
