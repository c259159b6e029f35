//! Events of the product (NTF-01): written with what they tell of, in one transaction, so that none is lost and none tells what did
//! not happen.
//!
//! Transactions become durable in another order than they were begun in, and of several engines each has its own clock. So an
//! event is written without a place first. [`settle`] gives those that have none their places, without gap: whoever reads on
//! from the last place misses nothing. In the same transaction it puts what is to be delivered into the outbox (OPEN-43).

use super::Inner;
use super::records::{Records, kinds, put, remove};
use crate::model::{About, Delivery, EventId, OwnerGroupId, ProductEvent, Subscription, Told};
use crate::store::Write;
use crate::{ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many events get their places in one transaction, and how many are forgotten in one.
const AT_ONCE: usize = 100;

/// How many transactions of old events one look of the watch makes: what is over is forgotten by the next.
const BATCHES: usize = 20;

/// How often a place is looked for again because another engine took it.
const TRIES: usize = 20;

/// The last place that was given.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventHead {
    place: u64,
}

/// Something that lasts, and is told when it begins and when it ends, not as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    /// What of: `plan/ID`, `rpo/GROUP`, `point/GROUP`, `sync/CLUSTER`.
    pub(super) id: String,
    /// What it is now, where there is more than one.
    pub(super) state: String,
    /// Since when it was seen.
    pub(super) since: Timestamp,
}

impl Inner {
    /// The write that tells of something, for the transaction that does it.
    pub(crate) fn tell(&self, told: Told, owner: Option<&OwnerGroupId>, about: About) -> Result<Write> {
        let code = told.code();
        let event = ProductEvent {
            id: EventId::new(self.ids.next()),
            at: self.clock.now(),
            code,
            severity: code.severity(),
            area: code.area(),
            owner_group_id: owner.cloned(),
            about,
            parameters: told.into_parameters(),
        };
        put(kinds::EVENT_NEW, event.id.as_str(), Some(0), &event)
    }

    /// The write that keeps that a condition is in a state; it fails with `store.version` when it is not any more as it was
    /// read.
    pub(super) fn begin(&self, id: &str, state: &str, before: Option<&(Condition, u64)>) -> Result<Write> {
        let now = Condition {
            id: id.to_owned(),
            state: state.to_owned(),
            since: self.clock.now(),
        };
        put(
            kinds::CONDITION,
            id,
            Some(before.map_or(0, |(_, version)| *version)),
            &now,
        )
    }
}

/// A condition that lasts, with its version.
pub(super) async fn lasting(records: &Records, id: &str) -> Result<Option<(Condition, u64)>> {
    records.find(kinds::CONDITION, id).await
}

/// The writes that end a condition. They fail with `store.version` when somebody else ended it: it is told once.
pub(super) fn end((condition, version): &(Condition, u64)) -> Result<[Write; 2]> {
    let id = condition.id.as_str();
    Ok([
        put(kinds::CONDITION, id, Some(*version), condition)?,
        remove(kinds::CONDITION, id),
    ])
}

/// Gives every event a place that has none.
pub(crate) async fn settle(inner: &Inner) -> Result<()> {
    let mut tries = 0;
    loop {
        match settle_some(inner).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // Another engine does it.
            Err(e) if e.kind() == ErrorKind::Conflict && tries < TRIES => tries += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Gives some their places; whether there may be more.
async fn settle_some(inner: &Inner) -> Result<bool> {
    let records = inner.records();
    // Before the events: those that get their places meanwhile make the commit fail.
    let found = records.find::<EventHead>(kinds::EVENT_HEAD, "head").await?;
    let (mut head, version) = found.unwrap_or_default();
    let new: Vec<ProductEvent> = records.page(kinds::EVENT_NEW, None, AT_ONCE).await?;
    if new.is_empty() {
        return Ok(false);
    }
    let subscriptions = records.all::<Subscription>(kinds::SUBSCRIPTION, |_| true).await?;
    let (more, now) = (new.len() == AT_ONCE, inner.clock.now());
    let mut writes = Vec::new();
    for mut event in new {
        writes.push(remove(kinds::EVENT_NEW, event.id.as_str()));
        head.place += 1;
        event.id = EventId::at(head.place);
        for to in subscriptions.iter().filter(|s| s.wants(&event)) {
            let delivery = Delivery {
                event: event.id.clone(),
                subscription: to.id.clone(),
                sink: to.sink.clone(),
                since: now,
                attempts: 0,
                not_before: now,
                error: None,
            };
            writes.push(put(
                kinds::DELIVERY,
                &super::deliveries::id(&delivery),
                Some(0),
                &delivery,
            )?);
        }
        writes.push(put(kinds::EVENT, event.id.as_str(), Some(0), &event)?);
    }
    writes.push(put(kinds::EVENT_HEAD, "head", Some(version), &head)?);
    records.commit(writes).await?;
    Ok(more)
}

/// Forgets events that are older than they are kept (NTF-07), oldest first.
pub(super) async fn forget_old(inner: &Inner) -> Result<()> {
    let records = inner.records();
    let kept = inner.settings().event_retention;
    let Ok(oldest) = inner.clock.now().checked_sub(kept) else {
        return Ok(());
    };
    for _ in 0..BATCHES {
        let page: Vec<ProductEvent> = records.page(kinds::EVENT, None, AT_ONCE).await?;
        // Their times are nearly in the order of their places: one that is a little older than the one before it goes with it.
        let old = page.iter().take_while(|e| e.at < oldest);
        let gone: Vec<Write> = old.map(|e| remove(kinds::EVENT, e.id.as_str())).collect();
        let all = gone.len() == AT_ONCE;
        if !gone.is_empty() {
            records.commit(gone).await?;
        }
        if !all {
            break;
        }
    }
    Ok(())
}
