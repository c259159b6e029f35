//! What happens while we listen: messages come, are understood and acknowledged, both sides show that they live, and
//! exchanges that were not there appear. A task of its own does this, so that the broker hears from us however long the
//! engine takes over a notice; the stream is what the engine sees of it.

use super::connection::{BINDING, Connection, LISTENING, PREFETCH, is_missing_exchange};
use super::error::{During, closed, garbage, passing, silent};
use super::wire::{self, Garbage, Heard};
use crate::notices::{NotificationConfig, oslo};
use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use ns_core::Result;
use ns_core::provider::{Happened, Notice};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// Longest message that is read, in bytes; notifications have some ten thousand.
const MESSAGE_MAX: u64 = 4 << 20;
/// How often to look for exchanges that are not there.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The notices of one message.
struct Batch {
    /// What the message is acknowledged with; none when there was no message.
    tag: Option<u64>,
    notices: Vec<Notice>,
}

/// Starts to listen. Ends when the stream is dropped.
pub(super) fn start(
    connection: Connection,
    config: &NotificationConfig,
    missing: Vec<String>,
    place: String,
) -> BoxStream<'static, Result<Notice>> {
    // The broker sends no more than that at a time, so there is always room.
    let (batches, received) = mpsc::channel(usize::from(PREFETCH) + config.exchanges.len() + 1);
    let (acknowledge, acknowledged) = mpsc::channel(PREFETCH.into());
    let listener = Listener {
        connection,
        place,
        batches,
        queue: config.queue(),
        keys: config.routing_keys(),
        missing: missing.into(),
        step: Step::Idle,
        round: 0,
        message: None,
        malformed: 0,
    };
    tokio::spawn(listener.run(acknowledged));
    notices(received, acknowledge)
}

/// The engine's side. Asking for the next notice is what acknowledges the message of the last.
fn notices(
    received: mpsc::Receiver<Result<Batch>>,
    acknowledge: mpsc::Sender<u64>,
) -> BoxStream<'static, Result<Notice>> {
    struct Side {
        received: mpsc::Receiver<Result<Batch>>,
        acknowledge: mpsc::Sender<u64>,
        rest: std::vec::IntoIter<Notice>,
        tag: Option<u64>,
        ended: bool,
    }
    let side = Side {
        received,
        acknowledge,
        rest: Vec::new().into_iter(),
        tag: None,
        ended: false,
    };
    stream::unfold(side, |mut side| async move {
        while !side.ended {
            if let Some(notice) = side.rest.next() {
                return Some((Ok(notice), side));
            }
            if let Some(tag) = side.tag.take() {
                // If nobody takes it any more, why is said next.
                let _ = side.acknowledge.send(tag).await;
            }
            let gone = || passing("notifications.ended", "nobody listens any more");
            match side.received.recv().await.unwrap_or_else(|| Err(gone())) {
                Ok(batch) => {
                    side.rest = batch.notices.into_iter();
                    side.tag = batch.tag;
                }
                Err(e) => {
                    side.ended = true;
                    return Some((Err(e), side));
                }
            }
        }
        None
    })
    .boxed()
}

/// A message that is being received.
struct Message {
    tag: u64,
    exchange: String,
    routing_key: String,
    size: Option<u64>,
    got: u64,
    body: Vec<u8>,
}

/// How far the binding of an exchange that was missing has come.
enum Step {
    Idle,
    /// The channel is being opened again.
    Opening,
    /// The first missing exchange is being bound with this routing key.
    Binding(usize),
}

struct Listener {
    connection: Connection,
    /// The broker, for errors.
    place: String,
    batches: mpsc::Sender<Result<Batch>>,
    queue: String,
    keys: Vec<String>,
    missing: VecDeque<String>,
    step: Step,
    /// Missing exchanges still to be tried this time.
    round: usize,
    message: Option<Message>,
    malformed: u64,
}

impl Listener {
    async fn run(mut self, acknowledged: mpsc::Receiver<u64>) {
        match self.listen(acknowledged).await {
            Ok(()) => self.connection.close().await,
            Err(e) => {
                tracing::debug!(error = %e, "no longer listening to notifications");
                // The broker gives what was not acknowledged to the next one as soon as this is closed.
                drop(self.connection);
                let _ = self.batches.send(Err(e.with("broker", self.place))).await;
            }
        }
    }

    /// Until nobody wants to hear any more.
    async fn listen(&mut self, mut acknowledged: mpsc::Receiver<u64>) -> Result<()> {
        let wanted = self.batches.clone();
        let mut beat = interval((self.connection.heartbeat / 2).max(Duration::from_millis(500)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = interval_at(Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            tokio::select! {
                heard = self.connection.hear() => {
                    heard_at = Instant::now();
                    let (channel, heard) = heard?;
                    self.act(channel, heard).await?;
                }
                Some(tag) = acknowledged.recv() => self.connection.acknowledge(tag).await?,
                () = wanted.closed() => return Ok(()),
                _ = beat.tick() => {
                    if heard_at.elapsed() > self.connection.heartbeat * 2 {
                        return Err(silent());
                    }
                    self.connection.say(&wire::heartbeat()).await?;
                }
                _ = look.tick() => {
                    self.round = self.missing.len();
                    self.look().await?;
                }
            }
        }
    }

    async fn act(&mut self, channel: u16, heard: Heard) -> Result<()> {
        match (channel, heard) {
            (
                LISTENING,
                Heard::Deliver {
                    tag,
                    exchange,
                    routing_key,
                },
            ) => {
                self.message = Some(Message {
                    tag,
                    exchange,
                    routing_key,
                    size: None,
                    got: 0,
                    body: Vec::new(),
                });
                Ok(())
            }
            (LISTENING, Heard::Header { size }) => {
                if let Some(message) = &mut self.message {
                    message.size = Some(size);
                }
                self.received().await
            }
            (LISTENING, Heard::Body(part)) => {
                if let Some(message) = &mut self.message {
                    message.got += u64::try_from(part.len()).unwrap_or(u64::MAX);
                    if message.got <= MESSAGE_MAX {
                        message.body.extend(part);
                    }
                }
                self.received().await
            }
            (LISTENING, Heard::Canceled) => Err(passing(
                "notifications.canceled",
                "our queue is no longer there, or moves to another node",
            )),
            (_, Heard::ConnectionClosed(reason)) => {
                self.connection.agree_to_close().await;
                Err(closed(&reason, During::Listening))
            }
            (BINDING, Heard::ChannelClosed(reason)) if is_missing_exchange(&reason) => {
                self.step = Step::Opening;
                self.missing.rotate_left(usize::from(!self.missing.is_empty()));
                self.connection.reopen().await
            }
            (_, Heard::ChannelClosed(reason)) => Err(closed(&reason, During::Listening)),
            (BINDING, Heard::ChannelOpened) => {
                self.step = Step::Idle;
                self.look().await
            }
            (BINDING, Heard::Done) => self.bound().await,
            _ => Ok(()),
        }
    }

    /// A part of a message came: if it is whole now, passes on what it says.
    async fn received(&mut self) -> Result<()> {
        let Some(message) = self.message.take_if(|m| m.size.is_some_and(|size| m.got >= size)) else {
            return Ok(());
        };
        if message.size != Some(message.got) {
            return Err(garbage(Garbage("a message is longer than announced")));
        }
        let said = if message.got > MESSAGE_MAX {
            Err("it is too long".to_owned())
        } else {
            oslo::read(&message.body).map_err(|why| why.to_string())
        };
        match said {
            Ok(notices) if notices.is_empty() => self.connection.acknowledge(message.tag).await,
            Ok(notices) => self.pass_on(Batch {
                tag: Some(message.tag),
                notices,
            }),
            Err(why) => {
                self.malformed += 1;
                // The first, and then ever more seldom: a service that sends nothing else would fill the log.
                if self.malformed.is_power_of_two() {
                    tracing::warn!(
                        exchange = message.exchange,
                        routing_key = message.routing_key,
                        bytes = message.got,
                        why,
                        so_far = self.malformed,
                        "a notification cannot be understood"
                    );
                }
                self.connection.acknowledge(message.tag).await
            }
        }
    }

    fn pass_on(&self, batch: Batch) -> Result<()> {
        match self.batches.try_send(Ok(batch)) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(garbage(Garbage("more messages came than we asked for"))),
            // Dropped meanwhile: the next round ends.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Tries to bind the first missing exchange, unless enough were tried.
    async fn look(&mut self) -> Result<()> {
        let (Step::Idle, Some(exchange), Some(key)) = (&self.step, self.missing.front(), self.keys.first()) else {
            return Ok(());
        };
        if self.round == 0 {
            return Ok(());
        }
        self.round -= 1;
        self.step = Step::Binding(0);
        self.connection.bind(&self.queue, exchange, key).await
    }

    /// A binding was made: the next one, or the exchange is done. Nobody heard what it carried before that.
    async fn bound(&mut self) -> Result<()> {
        let Step::Binding(nth) = self.step else {
            return Ok(());
        };
        if let (Some(exchange), Some(key)) = (self.missing.front(), self.keys.get(nth + 1)) {
            self.step = Step::Binding(nth + 1);
            return self.connection.bind(&self.queue, exchange, key).await;
        }
        self.step = Step::Idle;
        if let Some(exchange) = self.missing.pop_front() {
            tracing::info!(exchange, "the exchange is there now");
            let at = Timestamp::now();
            let notice = |&kind: &ns_core::model::ResourceKind| Notice {
                id: format!("{exchange} {} {at}", kind.as_str()),
                at,
                happened: Happened::Changed,
                kind,
                resource: None,
            };
            let notices = oslo::kinds(&exchange).iter().map(notice).collect();
            self.pass_on(Batch { tag: None, notices })?;
        }
        self.look().await
    }
}
