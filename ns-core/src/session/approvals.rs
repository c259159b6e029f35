//! The word of a second person (SEC-25): for a failover, its confirm, the giving up of copies and the end of a protection, where
//! [`four_eyes`](crate::Settings::four_eyes) asks for it.

use super::Session;
use super::audit::{Act, Notes};
use crate::engine::{kinds, not_found, put};
use crate::model::{Approval, ApprovalId, ApprovalState, Area, Listing, OwnerGroupId, Query, Verb};
use crate::store::Write;
use crate::{Error, ErrorKind, Result, rules};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What needs a second person.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) area: Area,
    pub(super) verb: Verb,
    pub(super) action: &'static str,
    pub(super) object: &'a str,
    pub(super) owner: &'a OwnerGroupId,
}

/// That a second person said yes.
#[derive(Debug)]
pub(super) struct Approved {
    pub(super) by: String,
    /// Uses it up: it fails when somebody else has done so.
    pub(super) used: Write,
}

impl Session {
    /// Asks for a second person where one is needed, and says who approved this very call; what it gives is to be written with what is
    /// done. None where nobody is needed.
    pub(super) async fn second_person(
        &self,
        notes: &Notes,
        asked: Asked<'_>,
        request: &(impl Serialize + Sync),
    ) -> Result<Option<Approved>> {
        let inner = &self.inner;
        if !inner.settings().four_eyes {
            return Ok(None);
        }
        let (records, now) = (inner.records(), inner.clock.now());
        let request = serde_json::to_value(request)
            .map_err(|e| Error::new(ErrorKind::Internal, "record.encode", e.to_string()))?;
        let whole = serde_json::json!([asked.action, asked.object, request]).to_string();
        let digest: String = Sha256::digest(whole).iter().map(|b| format!("{b:02x}")).collect();
        let this = |a: &Approval| {
            let open = now < a.expires_at && !matches!(a.state, ApprovalState::Used { .. });
            open && a.digest == digest && a.requested_by == self.actor.name
        };
        let Some(found) = records.all::<Approval>(kinds::APPROVAL, this).await?.into_iter().next() else {
            let approval = Approval {
                id: ApprovalId::new(inner.ids.next()),
                action: asked.action.to_owned(),
                object: asked.object.to_owned(),
                request,
                digest,
                area: asked.area,
                verb: asked.verb,
                owner_group_id: asked.owner.clone(),
                requested_by: self.actor.name.clone(),
                requested_at: now,
                expires_at: now.saturating_add(rules::APPROVAL_LASTS).unwrap_or(Timestamp::MAX),
                state: ApprovalState::Waiting,
            };
            let write = put(kinds::APPROVAL, approval.id.as_str(), Some(0), &approval)?;
            records.commit(vec![write]).await?;
            return rules::check_approved(&approval).map(|_| None);
        };
        let (mut approval, version) = records.existing::<Approval>(kinds::APPROVAL, found.id.as_str()).await?;
        let by = rules::check_approved(&approval)?.to_owned();
        approval.state = ApprovalState::Used {
            by: by.clone(),
            at: now,
        };
        notes.approved(&by);
        let used = put(kinds::APPROVAL, approval.id.as_str(), Some(version), &approval)?;
        Ok(Some(Approved { by, used }))
    }
}

/// See [`Session::approvals`].
#[derive(Debug, Clone, Copy)]
pub struct Approvals<'a> {
    pub(super) session: &'a Session,
}

impl Approvals<'_> {
    /// One request.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ApprovalId) -> ns_core::Result<()> {
    /// let asked = session.approvals().get(&id).await?;
    /// println!("{} asks for {} of {}: {}", asked.requested_by, asked.action, asked.object, asked.request);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &ApprovalId) -> Result<Approval> {
        Ok(self.seen(id).await?.0)
    }

    /// A part of the requests about what the actor's groups own. They are forgotten a day after they have expired; the audit trail and
    /// the journals of jobs keep who approved what.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for asked in session.approvals().list(&Query::default().equal("state", "waiting")).await?.items {
    ///     println!("{}: {} of {}", asked.id, asked.action, asked.object);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<Approval>> {
        let mine = |a: &Approval| self.session.sees(Some(&a.owner_group_id));
        self.session.listed(kinds::APPROVAL, query, mine).await
    }

    /// Says yes: whoever asked may now make the same call, once, until the request expires.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ApprovalId) -> ns_core::Result<()> {
    /// session.approvals().approve(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`rules::check_decision`]: `Denied`, `approval.own`, to who asked; `NotFound`.
    pub async fn approve(&self, id: &ApprovalId) -> Result<Approval> {
        let yes = |by, at| ApprovalState::Approved { by, at };
        self.decide(id, "approvals.approve", yes).await
    }

    /// Says no: the same call is refused until the request expires.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::ApprovalId) -> ns_core::Result<()> {
    /// session.approvals().reject(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Approvals::approve`].
    pub async fn reject(&self, id: &ApprovalId) -> Result<Approval> {
        let no = |by, at| ApprovalState::Rejected { by, at };
        self.decide(id, "approvals.reject", no).await
    }

    async fn decide(
        &self,
        id: &ApprovalId,
        action: &str,
        state: impl FnOnce(String, Timestamp) -> ApprovalState,
    ) -> Result<Approval> {
        let inner = &self.session.inner;
        let (mut approval, version) = self.seen(id).await?;
        let act = Act::new(approval.area, approval.verb, action, id);
        self.session
            .change(act, async {
                let now = inner.clock.now();
                rules::check_decision(&self.session.actor, &approval, now)?;
                approval.state = state(self.session.actor.name.clone(), now);
                let write = put(kinds::APPROVAL, id.as_str(), Some(version), &approval)?;
                inner.records().commit(vec![write]).await?;
                Ok(approval)
            })
            .await
    }

    async fn seen(&self, id: &ApprovalId) -> Result<(Approval, u64)> {
        let found = self
            .session
            .inner
            .records()
            .find::<Approval>(kinds::APPROVAL, id.as_str())
            .await?;
        found
            .filter(|(approval, _)| self.session.sees(Some(&approval.owner_group_id)))
            .ok_or_else(|| not_found(kinds::APPROVAL, id.as_str()))
    }
}
