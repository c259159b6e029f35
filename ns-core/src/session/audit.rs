//! The audit trail (SEC-20), and the one way in which a session changes anything: with an entry before and its outcome after.

use super::Session;
use crate::engine::{kinds, put};
use crate::model::{Area, AuditEntry, AuditOutcome, FieldChange, Listing, Query, UserRole, Verb};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// What somebody is about to do.
#[derive(Debug)]
pub(super) struct Act {
    area: Area,
    verb: Verb,
    action: String,
    object: String,
}

impl Act {
    pub(super) fn new(area: Area, verb: Verb, action: impl Into<String>, object: impl Display) -> Self {
        let object = object.to_string();
        Self {
            area,
            verb,
            action: action.into(),
            // What somebody gave may be of any length; no id or name that is good is longer.
            object: object.chars().take(255).collect(),
        }
    }
}

/// What is learned of a change while it is made.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    changes: BTreeMap<String, FieldChange>,
    approved_by: Option<String>,
}

impl Notes {
    /// Notes the fields that differ. Neither may hold a secret.
    pub(super) fn fields<T: Serialize>(&self, was: &T, is: &T) -> Result<()> {
        let (was, is) = (fields(was)?, fields(is)?);
        let names = was.keys().chain(is.keys().filter(|k| !was.contains_key(*k)));
        let of = |fields: &serde_json::Map<String, Value>, name: &str| fields.get(name).cloned().unwrap_or_default();
        let changes = names.filter_map(|name| {
            let change = FieldChange {
                before: of(&was, name),
                after: of(&is, name),
            };
            (change.before != change.after && name != "modified_at").then(|| (name.clone(), change))
        });
        self.noted().changes.extend(changes);
        Ok(())
    }

    /// Notes who approved it.
    pub(super) fn approved(&self, by: &str) {
        self.noted().approved_by = Some(by.to_owned());
    }

    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fields<T: Serialize>(value: &T) -> Result<serde_json::Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => Ok(fields),
        other => Err(Error::new(
            ErrorKind::Internal,
            "record.encode",
            format!("no object: {:?}", other.err()),
        )),
    }
}

impl Session {
    /// Does something that changes the product, if the actor's role has the right: the entry of the audit trail is there before
    /// anything is done, and nothing is done when it cannot be written. A refusal by role is an entry of its own.
    pub(super) async fn change<T>(&self, act: Act, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.change_noted(act, &Notes::default(), work).await
    }

    /// The same with notes that the work makes.
    pub(super) async fn change_noted<T>(
        &self,
        act: Act,
        notes: &Notes,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let right = self
            .check_password_changed()
            .and_then(|()| self.may(act.area, act.verb));
        self.recorded(act, notes, right, work).await
    }

    /// What everybody may do with what is their own: only recorded.
    pub(super) async fn own_change<T>(
        &self,
        act: Act,
        notes: &Notes,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.recorded(act, notes, Ok(()), work).await
    }

    async fn recorded<T>(
        &self,
        act: Act,
        notes: &Notes,
        right: Result<()>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut entry = self.begin(act, right.as_ref().err()).await?;
        right?;
        // On the heap: what verbs do is large, and they call each other.
        let result = Box::pin(work).await;
        entry.ended_at = Some(self.inner.clock.now());
        entry.outcome = outcome(result.as_ref().err());
        {
            let mut noted = notes.noted();
            entry.approved_by = noted.approved_by.take();
            if result.is_ok() {
                entry.changes = std::mem::take(&mut noted.changes);
            }
        }
        // What was done is done: the entry says that it was begun.
        let write = put(kinds::AUDIT, entry.id.as_str(), Some(1), &entry)?;
        if let Err(error) = self.inner.records().commit(vec![write]).await {
            tracing::error!(entry = %entry.id, %error, "how it ended could not be written to the audit trail");
        }
        result
    }

    async fn begin(&self, act: Act, refusal: Option<&Error>) -> Result<AuditEntry> {
        let now = self.inner.clock.now();
        // While the password has to be changed the actor is less than the account.
        let role = self
            .login
            .as_ref()
            .is_none_or(|l| !l.must_change_password)
            .then_some(self.actor.role);
        let entry = AuditEntry {
            id: self.inner.audit_id(),
            at: now,
            ended_at: refusal.map(|_| now),
            actor: self.actor.name.clone(),
            role,
            area: act.area,
            verb: act.verb,
            action: act.action,
            object: act.object,
            changes: BTreeMap::new(),
            approved_by: None,
            outcome: refusal.map_or(AuditOutcome::Begun, |e| outcome(Some(e))),
        };
        let write = put(kinds::AUDIT, entry.id.as_str(), Some(0), &entry)?;
        self.inner.records().commit(vec![write]).await?;
        Ok(entry)
    }

    fn check_password_changed(&self) -> Result<()> {
        match &self.login {
            Some(login) if login.must_change_password => {
                let message = "the password was given by somebody else and has to be changed first";
                Err(Error::new(ErrorKind::Denied, "password.must_change", message)
                    .with_field("actor")
                    .with_remedy("change it with `account().change_password`, and log in again"))
            }
            _ => Ok(()),
        }
    }
}

fn outcome(error: Option<&Error>) -> AuditOutcome {
    use ErrorKind::{Conflict, Denied, Invalid, NotFound, Refused, Unauthenticated, Unsupported};
    let Some(error) = error else {
        return AuditOutcome::Done;
    };
    let code = error.code().to_owned();
    match error.kind() {
        Conflict | Denied | Invalid | NotFound | Refused | Unauthenticated | Unsupported => {
            AuditOutcome::Refused { code }
        }
        _ => AuditOutcome::Failed { code },
    }
}

/// See [`Session::audit`].
#[derive(Debug, Clone, Copy)]
pub struct AuditTrail<'a> {
    session: &'a Session,
}

impl<'a> AuditTrail<'a> {
    pub(super) const fn of(session: &'a Session) -> Self {
        Self { session }
    }

    /// A part of the audit trail, oldest first unless the query says otherwise; for Admins.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// let refused = Query::default().equal("outcome", "refused").sort_descending("at");
    /// for entry in session.audit().list(&refused).await?.items {
    ///     println!("{} {} {} {}", entry.at, entry.actor, entry.action, entry.object);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied` for others; `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<AuditEntry>> {
        self.admin()?;
        self.session.listed(kinds::AUDIT, query, |_: &AuditEntry| true).await
    }

    fn admin(&self) -> Result<()> {
        if self.session.actor.role == UserRole::Admin {
            return Ok(());
        }
        let message = format!("{} may not see the audit trail", self.session.actor.name);
        Err(Error::new(ErrorKind::Denied, "access.role", message)
            .with_field("actor")
            .with_remedy("ask an Admin"))
    }
}
