//! Who is told of which events outside the product, and how (NTF-09, NTF-10, OPEN-43). Everybody has their own; an Admin sees and
//! changes all.

use super::Session;
use super::audit::{Act, Notes};
use crate::engine::{kinds, not_found, put, remove, settle};
use crate::model::{
    Area, EventArea, EventCode, Language, Listing, Query, Severity, Subscription, SubscriptionId, Verb,
};
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How many subscriptions somebody has at most.
const AT_MOST: usize = 20;

/// What somebody wants to be told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionRequest {
    /// Events that matter less are not told.
    pub minimum: Severity,
    /// Only events of these parts; empty: of all.
    #[serde(default)]
    pub areas: BTreeSet<EventArea>,
    /// Only these events; empty: all.
    #[serde(default)]
    pub codes: BTreeSet<EventCode>,
    /// In which language.
    pub language: Language,
    /// Through which sink, by the name the engine was given it under ([`EngineBuilder::sink`](crate::EngineBuilder::sink)).
    pub sink: String,
    /// Where to, as the sink understands it: a mail address, a URL, a number. It is kept and shown as it is: no secret belongs
    /// into it.
    pub address: String,
}

/// What is to be changed of a subscription; none leaves it. Another sink is another subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscriptionUpdate {
    /// Another minimum.
    pub minimum: Option<Severity>,
    /// Other parts.
    pub areas: Option<BTreeSet<EventArea>>,
    /// Other events.
    pub codes: Option<BTreeSet<EventCode>>,
    /// Another language.
    pub language: Option<Language>,
    /// Another address.
    pub address: Option<String>,
}

/// See [`Session::subscriptions`].
#[derive(Debug, Clone, Copy)]
pub struct Subscriptions<'a> {
    pub(super) session: &'a Session,
}

impl Subscriptions<'_> {
    /// Subscribes the actor to events that happen from now on. They are told of what they may see with the role and the groups they
    /// have now (NTF-05): a host that changes these calls [`Subscriptions::update`] as that user, or deletes the subscription.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::{Language, Severity};
    /// use ns_core::session::SubscriptionRequest;
    ///
    /// let request = SubscriptionRequest {
    ///     minimum: Severity::Error,
    ///     areas: Default::default(),
    ///     codes: Default::default(),
    ///     language: Language::Korean,
    ///     sink: "mail".to_owned(),
    ///     address: "mina@example.org".to_owned(),
    /// };
    /// println!("{}", session.subscriptions().create(request).await?.id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid`, `subscription.sink`, for a sink that this engine has not got, and what the sink says against the address;
    /// `Refused`, `subscription.count`, for more than 20 of one actor.
    pub async fn create(&self, request: SubscriptionRequest) -> Result<Subscription> {
        let act = Act::new(Area::Users, Verb::Update, "subscriptions.create", &request.sink);
        self.session
            .own_change(act, &Notes::default(), self.make(request))
            .await
    }

    async fn make(&self, request: SubscriptionRequest) -> Result<Subscription> {
        let (inner, actor) = (&self.session.inner, &self.session.actor);
        self.check(&request.sink, &request.address)?;
        let mine = |s: &Subscription| s.actor == actor.name;
        let count = inner.records().all(kinds::SUBSCRIPTION, mine).await?.len();
        if count >= AT_MOST {
            let message = format!("{} has {count} subscriptions", actor.name);
            return Err(Error::new(ErrorKind::Refused, "subscription.count", message)
                .with_field("actor")
                .with_remedy("change one of them, or delete one first"));
        }
        // What has happened until now is not told.
        settle(inner).await?;
        let now = inner.clock.now();
        let subscription = Subscription {
            id: SubscriptionId::new(inner.ids.next()),
            actor: actor.name.clone(),
            role: actor.role,
            groups: actor.groups.clone(),
            minimum: request.minimum,
            areas: request.areas,
            codes: request.codes,
            language: request.language,
            sink: request.sink,
            address: request.address,
            created_at: now,
            modified_at: now,
        };
        let id = subscription.id.as_str();
        let write = put(kinds::SUBSCRIPTION, id, Some(0), &subscription)?;
        inner.records().commit(vec![write]).await?;
        Ok(subscription)
    }

    fn check(&self, sink: &str, address: &str) -> Result<()> {
        let sinks = &self.session.inner.sinks;
        let Some(sink) = sinks.get(sink) else {
            let known: Vec<_> = sinks.keys().map(String::as_str).collect();
            let message = format!("there is no sink {sink:?} here");
            return Err(Error::new(ErrorKind::Invalid, "subscription.sink", message)
                .with_field("sink")
                .with("sinks", known.join(", "))
                .with_remedy("choose one of those that the engine was given"));
        };
        sink.check_address(address)
    }

    /// One subscription of the actor's; of anybody's for an Admin.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::SubscriptionId) -> ns_core::Result<()> {
    /// println!("{}", session.subscriptions().get(&id).await?.address);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`, also for one of somebody else's.
    pub async fn get(&self, id: &SubscriptionId) -> Result<Subscription> {
        let records = self.session.inner.records();
        let subscription: Subscription = records.get(kinds::SUBSCRIPTION, id.as_str()).await?;
        match self.is_theirs(&subscription) {
            true => Ok(subscription),
            false => Err(not_found(kinds::SUBSCRIPTION, id.as_str())),
        }
    }

    fn is_theirs(&self, subscription: &Subscription) -> bool {
        self.session.sees_everything() || subscription.actor == self.session.actor.name
    }

    /// A part of the subscriptions: the actor's, or everybody's for an Admin.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for subscription in session.subscriptions().list(&Query::default().equal("sink", "mail")).await?.items {
    ///     println!("{}: {} and worse", subscription.address, subscription.minimum);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<Subscription>> {
        let theirs = |s: &Subscription| self.is_theirs(s);
        self.session.listed(kinds::SUBSCRIPTION, query, theirs).await
    }

    /// Changes a subscription. Changed by the one whose it is, even by nothing, it goes by the role and the groups they have now.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::SubscriptionId) -> ns_core::Result<()> {
    /// use ns_core::model::Severity;
    /// use ns_core::session::SubscriptionUpdate;
    ///
    /// let less = SubscriptionUpdate { minimum: Some(Severity::Critical), ..Default::default() };
    /// session.subscriptions().update(&id, less).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`; those of [`Subscriptions::create`] for an address that is changed. Nothing is changed then.
    pub async fn update(&self, id: &SubscriptionId, update: SubscriptionUpdate) -> Result<Subscription> {
        let act = Act::new(Area::Users, Verb::Update, "subscriptions.update", id);
        self.session
            .own_change(act, &Notes::default(), self.alter(id, update))
            .await
    }

    async fn alter(&self, id: &SubscriptionId, update: SubscriptionUpdate) -> Result<Subscription> {
        let (inner, actor) = (&self.session.inner, &self.session.actor);
        let was = self.get(id).await?;
        if let Some(address) = &update.address {
            self.check(&was.sink, address)?;
        }
        let now = inner.clock.now();
        let change = |s: &mut Subscription| {
            s.minimum = update.minimum.unwrap_or(s.minimum);
            s.language = update.language.unwrap_or(s.language);
            s.areas = update.areas.clone().unwrap_or_else(|| s.areas.clone());
            s.codes = update.codes.clone().unwrap_or_else(|| s.codes.clone());
            s.address = update.address.clone().unwrap_or_else(|| s.address.clone());
            if s.actor == actor.name {
                s.role = actor.role;
                s.groups.clone_from(&actor.groups);
            }
            s.modified_at = now;
            Ok(())
        };
        inner.records().update(kinds::SUBSCRIPTION, id.as_str(), change).await
    }

    /// Ends a subscription. What is still to be delivered for it is not.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::SubscriptionId) -> ns_core::Result<()> {
    /// session.subscriptions().delete(&id).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete(&self, id: &SubscriptionId) -> Result<()> {
        let act = Act::new(Area::Users, Verb::Update, "subscriptions.delete", id);
        let work = async {
            self.get(id).await?;
            let gone = remove(kinds::SUBSCRIPTION, id.as_str());
            self.session.inner.records().commit(vec![gone]).await
        };
        self.session.own_change(act, &Notes::default(), work).await
    }
}
