//! Ways out of the product: mail, webhooks, short messages (NTF-09, NTF-10, OPEN-43).

use crate::Result;
use crate::model::{About, EventArea, EventCode, EventId, Language, Severity, SubscriptionId};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// An event on its way to somebody. In JSON it is what a program receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The event. A message may come twice: whoever has seen this id for this subscription drops it.
    pub event_id: EventId,
    /// The subscription it is sent for.
    pub subscription_id: SubscriptionId,
    /// Where to, as the sink understands it.
    #[serde(skip)]
    pub address: String,
    /// When it happened.
    pub at: Timestamp,
    /// What it tells.
    pub code: EventCode,
    /// How much it matters.
    pub severity: Severity,
    /// The part of the product it is about.
    pub area: EventArea,
    /// The things it is about.
    pub about: About,
    /// What stands in the places of the text.
    pub parameters: BTreeMap<String, String>,
    /// The language of the text.
    pub language: Language,
    /// The event in words.
    pub text: String,
}

/// A way to deliver messages, e.g. through one mail server. The engine keeps what is to be delivered, tries again and gives up;
/// a sink only delivers once. A gateway for short messages (NTF-09) is a sink whose addresses are numbers.
///
/// **Errors** of [`deliver`](Sink::deliver): kinds that are [transient](crate::ErrorKind::is_transient), and any that another
/// configuration of the sink would cure, are tried again for a day; `Invalid`, `Rejected` and `Unsupported` mean that this message
/// cannot be delivered to this address, and it is given up at once. An error holds no secret: it is kept with the message.
/// **Cancellation**: a dropped `deliver` may or may not have delivered.
#[async_trait]
pub trait Sink: Debug + Send + Sync {
    /// What kind of sink it is, e.g. `smtp` or `webhook`.
    fn kind(&self) -> &'static str;

    /// Checks that it could deliver to an address, going by its form; nothing is sent.
    ///
    /// # Errors
    /// `Invalid` or `Denied`, with the field `address` and the rule.
    fn check_address(&self, address: &str) -> Result<()>;

    /// Delivers a message. `Ok` when the next station has taken it over for good.
    ///
    /// # Errors
    /// See the trait.
    async fn deliver(&self, message: &Message) -> Result<()>;
}
