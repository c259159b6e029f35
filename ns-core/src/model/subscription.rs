//! Who is told of which events, and how (OPEN-43).

use super::query::queryable;
use super::{EventArea, EventCode, EventId, Language, OwnerGroupId, ProductEvent, Severity, SubscriptionId, UserRole};
use crate::ErrorRecord;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What somebody wants to be told of outside the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Our id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub actor: String,
    /// What they were when they made or changed it.
    pub role: UserRole,
    /// The groups they belonged to when they made or changed it: nothing of others is told, but to an Admin (NTF-05).
    pub groups: BTreeSet<OwnerGroupId>,
    /// Events that matter less are not told.
    pub minimum: Severity,
    /// Only events of these parts; empty: of all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub areas: BTreeSet<EventArea>,
    /// Only these events; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub codes: BTreeSet<EventCode>,
    /// In which language.
    pub language: Language,
    /// The name of the sink that delivers it.
    pub sink: String,
    /// Where to, as the sink understands it: a mail address, a URL, a number.
    pub address: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

impl Subscription {
    /// Whether an event is to be told to its owner.
    #[must_use]
    pub fn wants(&self, event: &ProductEvent) -> bool {
        let theirs = (event.owner_group_id.as_ref()).is_some_and(|owner| self.groups.contains(owner));
        // What tells that a sink fails is not sent through it: it would be told of for ever.
        let of_itself = event.code == EventCode::DeliveryGivenUp && event.parameters.get("sink") == Some(&self.sink);
        (self.role == UserRole::Admin || theirs)
            && !of_itself
            && event.severity >= self.minimum
            && (self.areas.is_empty() || self.areas.contains(&event.area))
            && (self.codes.is_empty() || self.codes.contains(&event.code))
    }
}

queryable! { Subscription, id;
    "id" Text = |s| s.id.as_str(),
    "name" Text = |s| &s.address,
    "actor" Text = |s| &s.actor,
    "sink" Text = |s| &s.sink,
    "address" Text = |s| &s.address,
    "minimum" Text = |s| s.minimum.as_str(),
    "created_at" Time = |s| s.created_at,
    "modified_at" Time = |s| s.modified_at,
}

/// A message that is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The event that is told.
    pub event: EventId,
    /// For whom.
    pub subscription: SubscriptionId,
    /// Through which sink.
    pub sink: String,
    /// Since when it is to be told.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub not_before: Timestamp,
    /// Why it was not delivered when it was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn event(code: EventCode, owner: Option<&str>) -> ProductEvent {
        ProductEvent {
            id: EventId::at(1),
            at: Timestamp::UNIX_EPOCH,
            code,
            severity: code.severity(),
            area: code.area(),
            owner_group_id: owner.map(OwnerGroupId::from),
            about: super::super::About::default(),
            parameters: BTreeMap::from([("sink".to_owned(), "mail".to_owned())]),
        }
    }

    fn subscription(role: UserRole, groups: &[&str]) -> Subscription {
        Subscription {
            id: "s".into(),
            actor: "mina".into(),
            role,
            groups: groups.iter().map(|g| OwnerGroupId::from(*g)).collect(),
            minimum: Severity::Info,
            areas: BTreeSet::new(),
            codes: BTreeSet::new(),
            language: Language::English,
            sink: "mail".into(),
            address: "mina@example.org".into(),
            created_at: Timestamp::UNIX_EPOCH,
            modified_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// NTF-03, NTF-05: nobody is told of what they may not see.
    #[test]
    fn ntf_05_open_43_only_what_ones_groups_own_is_told() {
        let cases = [
            (UserRole::Admin, &[][..], None, true),
            (UserRole::Admin, &[], Some("shop"), true),
            (UserRole::Manager, &["shop"], Some("shop"), true),
            (UserRole::Manager, &["bank"], Some("shop"), false),
            (UserRole::Viewer, &["shop"], None, false),
            (UserRole::Viewer, &[], Some("shop"), false),
        ];
        for (role, groups, owner, told) in cases {
            let found = subscription(role, groups).wants(&event(EventCode::JobFailed, owner));
            assert_eq!(found, told, "{role:?} {groups:?} {owner:?}");
        }
    }

    #[test]
    fn open_43_by_severity_area_and_code() {
        type Set = fn(&mut Subscription);
        let cases: [(Set, &[EventCode]); 5] = [
            (
                |_| {},
                &[EventCode::JobStarted, EventCode::JobFailed, EventCode::ClusterInactive],
            ),
            (
                |s| s.minimum = Severity::Error,
                &[EventCode::JobFailed, EventCode::ClusterInactive],
            ),
            (|s| s.minimum = Severity::Critical, &[EventCode::ClusterInactive]),
            (
                |s| s.areas = [EventArea::Jobs].into(),
                &[EventCode::JobStarted, EventCode::JobFailed],
            ),
            (|s| s.codes = [EventCode::JobStarted].into(), &[EventCode::JobStarted]),
        ];
        let all = [EventCode::JobStarted, EventCode::JobFailed, EventCode::ClusterInactive];
        for (n, (set, told)) in cases.into_iter().enumerate() {
            let mut subscription = subscription(UserRole::Admin, &[]);
            set(&mut subscription);
            let found: Vec<_> = (all.into_iter())
                .filter(|c| subscription.wants(&event(*c, None)))
                .collect();
            assert_eq!(found, told, "case {n}");
        }
    }

    #[test]
    fn open_43_a_sink_is_not_told_that_it_fails() {
        let mut subscription = subscription(UserRole::Admin, &[]);
        assert!(!subscription.wants(&event(EventCode::DeliveryGivenUp, None)));
        subscription.sink = "webhook".into();
        assert!(subscription.wants(&event(EventCode::DeliveryGivenUp, None)));
    }
}
