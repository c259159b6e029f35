//! The outbox (OPEN-43): messages are delivered at least once, tried again with growing pauses, and given up after a day, which is an
//! event itself. One engine at a time delivers through a sink, by a lease as for clusters.

use super::Inner;
use super::monitor::{keep, take};
use super::records::{kinds, put, read, remove};
use super::telling::settle;
use crate::model::{Delivery, ProductEvent, Subscription, Told};
use crate::ports::{Message, Sink, with_deadline};
use crate::store::Write;
use crate::{ErrorKind, Result};
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// How long a message is tried.
const TRIED_FOR: Duration = Duration::from_secs(24 * 3600);

/// After how long a message is dropped that no engine tries, because none has its sink any more.
const UNSERVED: Duration = Duration::from_secs(48 * 3600);

/// How often the outbox is looked into.
const LOOK: Duration = Duration::from_secs(5);

/// How many messages are read at once.
const PAGE: usize = 200;

/// A delivery's id: those of a sink lie together, in the order of events.
pub(super) fn id(delivery: &Delivery) -> String {
    format!("{}/{}/{}", delivery.sink, delivery.event, delivery.subscription)
}

/// Before the next try, after so many.
fn pause(attempts: u32) -> Duration {
    Duration::from_secs(10 << attempts.min(9)).min(Duration::from_secs(3600))
}

/// Whether trying again is useless.
const fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Invalid | ErrorKind::Rejected | ErrorKind::Unsupported)
}

/// Delivers through a sink until the engine shuts down.
pub(super) async fn deliver(inner: Arc<Inner>, name: String, sink: Arc<dyn Sink>) {
    let mut stop = inner.stop.subscribe();
    let lease = format!("sink/{name}");
    let work = async {
        loop {
            match take(&inner, &lease).await {
                Ok(true) => {
                    tokio::select! {
                        biased;
                        () = keep(&inner, &lease) => {}
                        () = look(&inner, &name, &sink) => {}
                    }
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(sink = name, %error, "the store cannot be asked who delivers"),
            }
            inner.clock.sleep(inner.settings().lease / 3).await;
        }
    };
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => {}
        () = work => {}
    }
}

/// Gives up messages of sinks that no engine has.
pub(super) async fn give_up_unserved(inner: &Inner) -> Result<()> {
    let (records, now) = (inner.records(), inner.clock.now());
    let unserved = |d: &Delivery| now.duration_since(d.since).unsigned_abs() >= UNSERVED;
    for delivery in records.all::<Delivery>(kinds::DELIVERY, unserved).await? {
        let key = id(&delivery);
        let Some((delivery, version)) = records.find::<Delivery>(kinds::DELIVERY, &key).await? else {
            continue;
        };
        let mut writes = vec![
            put(kinds::DELIVERY, &key, Some(version), &delivery)?,
            remove(kinds::DELIVERY, &key),
        ];
        if let Some((event, _)) = (records.find::<ProductEvent>(kinds::EVENT, delivery.event.as_str())).await? {
            writes.push(given_up(inner, &event, &delivery, "sink.missing")?);
        }
        match records.commit(writes).await {
            // Another engine did it.
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            result => result?,
        }
    }
    Ok(())
}

/// Delivers what is due, for ever.
async fn look(inner: &Inner, name: &str, sink: &Arc<dyn Sink>) {
    loop {
        let done = async {
            settle(inner).await?;
            deliver_due(inner, name, sink).await
        };
        if let Err(error) = done.await {
            tracing::warn!(sink = name, %error, "messages could not be delivered");
        }
        inner.clock.sleep(LOOK).await;
    }
}

async fn deliver_due(inner: &Inner, name: &str, sink: &Arc<dyn Sink>) -> Result<()> {
    let prefix = format!("{name}/");
    let mut after = prefix.clone();
    loop {
        let page = inner.store.list(kinds::DELIVERY, Some(&after), PAGE).await?;
        let ours: Vec<_> = page.into_iter().take_while(|r| r.id.starts_with(&prefix)).collect();
        let Some(last) = ours.last() else { return Ok(()) };
        after.clone_from(&last.id);
        let now = inner.clock.now();
        let mut due = Vec::new();
        for record in &ours {
            let delivery: Delivery = read(record)?;
            if delivery.not_before <= now {
                due.push((delivery, record.version));
            }
        }
        let each = futures::stream::iter(due).map(|(delivery, version)| deliver_one(inner, sink, delivery, version));
        let mut done = each.buffer_unordered(inner.settings().parallel);
        while let Some(result) = done.next().await {
            match result {
                // An engine that has the sink now did it.
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                result => result?,
            }
        }
    }
}

async fn deliver_one(inner: &Inner, sink: &Arc<dyn Sink>, mut delivery: Delivery, version: u64) -> Result<()> {
    let (records, key) = (inner.records(), id(&delivery));
    let gone = remove(kinds::DELIVERY, &key);
    let event = records
        .find::<ProductEvent>(kinds::EVENT, delivery.event.as_str())
        .await?;
    let to = (records.find::<Subscription>(kinds::SUBSCRIPTION, delivery.subscription.as_str())).await?;
    let (Some((event, _)), Some((to, _))) = (event, to) else {
        // Nobody wants it any more, or it is too old to be kept.
        return records.commit(vec![gone]).await;
    };
    let message = message(&event, &to);
    let sent = with_deadline(
        &*inner.clock,
        inner.settings().call_limit,
        "the sink",
        sink.deliver(&message),
    )
    .await;
    let Err(error) = sent else {
        return records.commit(vec![gone]).await;
    };
    let now = inner.clock.now();
    let over = now.duration_since(delivery.since).unsigned_abs() >= TRIED_FOR;
    tracing::warn!(delivery = key, %error, "a message was not delivered");
    delivery.attempts += 1;
    delivery.not_before = now.saturating_add(pause(delivery.attempts)).unwrap_or(now);
    delivery.error = Some(error.to_record());
    let mut writes = vec![put(kinds::DELIVERY, &key, Some(version), &delivery)?];
    if over || is_final(error.kind()) {
        writes.push(gone);
        writes.push(given_up(inner, &event, &delivery, error.code())?);
    }
    records.commit(writes).await
}

fn given_up(inner: &Inner, event: &ProductEvent, delivery: &Delivery, because: &str) -> Result<Write> {
    let told = Told::DeliveryGivenUp {
        sink: delivery.sink.clone(),
        event: event.id.to_string(),
        because: because.to_owned(),
    };
    inner.tell(told, event.owner_group_id.as_ref(), event.about.clone())
}

fn message(event: &ProductEvent, to: &Subscription) -> Message {
    Message {
        event_id: event.id.clone(),
        subscription_id: to.id.clone(),
        address: to.address.clone(),
        at: event.at,
        code: event.code,
        severity: event.severity,
        area: event.area,
        about: event.about.clone(),
        parameters: event.parameters.clone(),
        language: to.language,
        text: event.text(to.language),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_43_pauses_grow_to_an_hour() {
        let pauses: Vec<_> = (1..=10).map(|n| pause(n).as_secs()).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(pause(u32::MAX).as_secs(), 3600);
    }
}
