//! When one person's word is not enough (SEC-25).

use super::refused;
use crate::model::{Actor, Approval, ApprovalState};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use std::time::Duration;

/// How long a request waits, and an approval lasts.
pub const APPROVAL_LASTS: Duration = Duration::from_secs(3600);

/// Refuses a word on a request: of who asked, of who has not the right, and too late.
///
/// # Errors
/// `Denied`: `access.role`, `approval.own`; `Refused`: `approval.expired`, `approval.decided`.
pub fn check_decision(actor: &Actor, approval: &Approval, now: Timestamp) -> Result<()> {
    super::check(actor, approval.area, approval.verb)?;
    if actor.name == approval.requested_by {
        let message = "whoever asks does not approve it";
        return Err(Error::new(ErrorKind::Denied, "approval.own", message)
            .with_field("approval_id")
            .with_remedy("ask somebody else who has the right"));
    }
    if now >= approval.expires_at {
        return Err(refused("approval.expired", "approval_id", "the request has expired")
            .with("expired", approval.expires_at)
            .with_remedy("let it be asked for again"));
    }
    if approval.state != ApprovalState::Waiting {
        return Err(
            refused("approval.decided", "approval_id", "somebody has decided already")
                .with("state", approval.state.as_str())
                .with_remedy("let it be asked for again if that was wrong"),
        );
    }
    Ok(())
}

/// Refuses what needs a second person, unless it was approved: gives who did.
///
/// # Errors
/// `Refused`: `approval.required` while nobody has decided, `approval.rejected`.
pub fn check_approved(approval: &Approval) -> Result<&str> {
    let (code, message, remedy) = match &approval.state {
        ApprovalState::Approved { by, .. } => return Ok(by),
        ApprovalState::Rejected { .. } => (
            "approval.rejected",
            "a second person said no",
            "agree on it; it can be asked for again when the request has expired",
        ),
        ApprovalState::Waiting | ApprovalState::Used { .. } => (
            "approval.required",
            "this needs a second person, who has been asked",
            "let somebody else who has the right approve it, and call again with the same request",
        ),
    };
    Err(refused(code, "approval_id", message)
        .with("approval", &approval.id)
        .with("expires", approval.expires_at)
        .with_remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Area, UserRole, Verb};

    fn approval(state: ApprovalState) -> Approval {
        Approval {
            id: "q1".into(),
            action: "jobs.failover".to_owned(),
            object: "p1".to_owned(),
            request: serde_json::json!({}),
            digest: String::new(),
            area: Area::Jobs,
            verb: Verb::Create,
            owner_group_id: "shop".into(),
            requested_by: "anna".to_owned(),
            requested_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH + APPROVAL_LASTS,
            state,
        }
    }

    #[test]
    fn sec_25_who_may_decide_and_when() {
        use UserRole::{Manager, Operator, Viewer};
        let (by, at) = ("mina".to_owned(), Timestamp::UNIX_EPOCH);
        let waiting = || ApprovalState::Waiting;
        let approved = || ApprovalState::Approved { by: by.clone(), at };
        let rejected = || ApprovalState::Rejected { by: by.clone(), at };
        let used = || ApprovalState::Used { by: by.clone(), at };
        let rows = [
            ("mina", Manager, waiting(), 0, None),
            ("otto", Operator, waiting(), 3599, None),
            ("vera", Viewer, waiting(), 0, Some("access.role")),
            ("anna", Manager, waiting(), 0, Some("approval.own")),
            ("mina", Manager, waiting(), 3600, Some("approval.expired")),
            ("mina", Manager, approved(), 0, Some("approval.decided")),
            ("mina", Manager, rejected(), 0, Some("approval.decided")),
            ("mina", Manager, used(), 0, Some("approval.decided")),
        ];
        for (name, role, state, second, code) in rows {
            let actor = Actor::member(name, role, ["shop".into()]);
            let found = check_decision(&actor, &approval(state), Timestamp::from_second(second).unwrap());
            assert_eq!(found.as_ref().err().map(Error::code), code, "{name} {second}");
            assert!(found.err().is_none_or(|e| e.remedy().is_some()));
        }
        let rows = [
            (waiting(), Err("approval.required")),
            (rejected(), Err("approval.rejected")),
            (used(), Err("approval.required")),
            (approved(), Ok("mina")),
        ];
        for (state, expected) in rows {
            let approval = approval(state);
            let found = check_approved(&approval);
            assert_eq!(found.as_ref().copied().map_err(Error::code), expected);
            assert!(
                found
                    .err()
                    .is_none_or(|e| e.kind() == ErrorKind::Refused && e.field() == Some("approval_id"))
            );
        }
    }
}
