//! The notification centre: what the product tells of by itself (NTF-01 … NTF-08). Events are made by the engine only (NTF-06), with
//! what they tell of, and forgotten by it when they are older than they are kept (NTF-07).

use super::Session;
use crate::engine::{kinds, settle};
use crate::model::{EventCode, EventId, Language, Listing, ProductEvent, Query};
use crate::{Error, ErrorKind, Result};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

/// How many events are read from the store at once.
const PAGE: usize = 500;

/// Events that follow one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPart {
    /// Those that the actor may see, oldest first.
    pub events: Vec<ProductEvent>,
    /// Where to go on: give it to the next [`Events::after`], also when there were none. Events of others that lie between are
    /// passed over.
    pub position: EventId,
}

/// See [`Session::events`].
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    pub(super) session: &'a Session,
}

impl Events<'_> {
    /// A part of the events that the actor sees (NTF-02, NTF-03), newest first unless another order is asked for. What can be asked:
    /// `code`, `severity`, `area`, `at`, `owner_group_id`, and what it is about: `cluster_id`, `group_id`, `plan_id`, `job_id`,
    /// `point_id`, `schedule_id`, `user`.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::{Is, Language, Query};
    ///
    /// let grave = Is::OneOf(vec!["error".into(), "critical".into()]);
    /// for event in session.events().list(&Query::default().with("severity", grave).limit(20)).await?.items {
    ///     println!("{} {}", event.at, event.text(Language::Korean));
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<ProductEvent>> {
        settle(&self.session.inner).await?;
        let mine = |e: &ProductEvent| self.session.sees(e.owner_group_id.as_ref());
        match query.sort.is_empty() {
            true => {
                let newest_first = query.clone().sort_descending("id");
                self.session.listed(kinds::EVENT, &newest_first, mine).await
            }
            false => self.session.listed(kinds::EVENT, query, mine).await,
        }
    }

    /// One event (NTF-04, NTF-05).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::EventId) -> ns_core::Result<()> {
    /// use ns_core::model::Language;
    ///
    /// println!("{}", session.events().get(&id).await?.text(Language::English));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`, also for one that is not kept any more or not the actor's to see.
    pub async fn get(&self, id: &EventId) -> Result<ProductEvent> {
        let event: ProductEvent = self.session.inner.records().get(kinds::EVENT, id.as_str()).await?;
        let owner = event.owner_group_id.clone();
        self.session.seen(owner.as_ref(), kinds::EVENT, id.as_str(), event)
    }

    /// The events after a place (`EventId::at(0)`: from the oldest that is kept), oldest first, at most `limit` (1 to 1000), without
    /// waiting. Whoever goes on where the part before ended misses none and is told none twice.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, seen: ns_core::model::EventId) -> ns_core::Result<()> {
    /// let part = session.events().after(&seen, 100).await?;
    /// println!("{} new events; go on after {}", part.events.len(), part.position);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid`: `event.place` for a place that is no event's id; `page.limit`.
    pub async fn after(&self, place: &EventId, limit: usize) -> Result<EventPart> {
        check_place(place)?;
        if !(1..=1000).contains(&limit) {
            return Err(
                Error::new(ErrorKind::Invalid, "page.limit", "a page holds 1 to 1000 entries")
                    .with_field("limit")
                    .with("value", limit)
                    .with_remedy("ask for fewer at a time and go on after the last place"),
            );
        }
        settle(&self.session.inner).await?;
        let (mut events, mut position) = (Vec::new(), place.clone());
        loop {
            let page: Vec<ProductEvent> = (self.session.inner.records())
                .page(kinds::EVENT, Some(position.as_str()), PAGE)
                .await?;
            let more = page.len() == PAGE;
            for event in page {
                position = event.id.clone();
                if self.session.sees(event.owner_group_id.as_ref()) {
                    events.push(event);
                }
                if events.len() == limit {
                    return Ok(EventPart { events, position });
                }
            }
            if !more {
                return Ok(EventPart { events, position });
            }
        }
    }

    /// Events after a place as they happen, for as long as it is listened to. Works from every engine on the store.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use futures::StreamExt;
    /// use ns_core::model::{EventId, Language};
    ///
    /// let mut events = session.events().watch(&EventId::at(0));
    /// while let Some(event) = events.next().await {
    ///     println!("{}", event?.text(Language::English));
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn watch(&self, place: &EventId) -> BoxStream<'static, Result<ProductEvent>> {
        let start = (self.session.clone(), place.clone());
        stream::try_unfold(start, |(session, place)| async move {
            loop {
                let part = session.events().after(&place, PAGE).await?;
                if !part.events.is_empty() {
                    let next = (session, part.position);
                    return Ok::<_, Error>(Some((stream::iter(part.events).map(Ok), next)));
                }
                let inner = &session.inner;
                inner.clock.sleep(inner.settings().poll).await;
            }
        })
        .try_flatten()
        .boxed()
    }

    /// The catalogue of events with their texts in a language (NTF-08, OPEN-30): a place like `{group}` for each parameter.
    ///
    /// ```no_run
    /// # fn example(session: ns_core::Session) {
    /// use ns_core::model::Language;
    ///
    /// for (code, text) in session.events().texts(Language::Korean) {
    ///     println!("{code} ({}): {text}", code.severity());
    /// }
    /// # }
    /// ```
    pub fn texts(&self, language: Language) -> impl Iterator<Item = (EventCode, &'static str)> + use<> {
        EventCode::ALL.iter().map(move |code| (*code, code.template(language)))
    }
}

fn check_place(place: &EventId) -> Result<()> {
    let digits = place.as_str();
    match digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Invalid, "event.place", "this is no event's id")
            .with_field("after")
            .with_remedy("give the position of the part before, or EventId::at(0) to begin")),
    }
}
