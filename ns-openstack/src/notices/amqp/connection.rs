//! A connection to the broker: logging in, channels, our queue and its bindings. Each question waits for its answer; what
//! comes unasked afterwards is `listen`'s.

use super::error::{During, broken, closed, garbage, passing, silent};
use super::transport::Pipe;
use super::wire::{self, FRAME_MIN, HEADER, Heard, Method, Reason, Value};
use crate::notices::NotificationConfig;
use ns_core::{Error, ErrorKind, Result};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The channel that messages come on.
pub(super) const LISTENING: u16 = 1;
/// The channel for queues and bindings: a refusal closes the channel it was given on.
pub(super) const BINDING: u16 = 2;
/// Largest frame that we ask for.
const FRAME_MAX: u32 = 128 << 10;
/// How often we want to hear of each other, in seconds; after twice that without a word the other one is gone.
const HEARTBEAT: u16 = 15;
/// Messages that may be on their way to us without an acknowledgement.
pub(super) const PREFETCH: u16 = 64;
/// How long our queue stays without a listener, in milliseconds: long enough for an engine's restart, or another engine
/// to take over. Whoever was away for longer synchronises anyhow.
const EXPIRES: i64 = 60 * 60 * 1000;
/// Messages, and bytes, that wait in our queue at most; the oldest go first.
const WAITING: i64 = 20_000;
const WAITING_BYTES: i64 = 64 << 20;

/// One that is logged in.
pub(super) struct Connection {
    pipe: Box<dyn Pipe>,
    input: Vec<u8>,
    /// Where in `input` the next frame begins.
    read: usize,
    frame_max: usize,
    pub(super) heartbeat: Duration,
}

impl Connection {
    /// Logs in and opens both channels.
    pub(super) async fn open(pipe: Box<dyn Pipe>, config: &NotificationConfig) -> Result<Self> {
        let mut connection = Self {
            pipe,
            input: Vec::new(),
            read: 0,
            frame_max: FRAME_MIN,
            heartbeat: Duration::from_secs(HEARTBEAT.into()),
        };
        connection.log_in(config).await?;
        for channel in [LISTENING, BINDING] {
            connection.open_channel(channel).await?;
            match connection.answer().await? {
                Heard::ChannelOpened => {}
                other => return Err(unexpected(&other, During::Vhost)),
            }
        }
        Ok(connection)
    }

    async fn log_in(&mut self, config: &NotificationConfig) -> Result<()> {
        self.say(HEADER).await?;
        let mechanisms = match self.answer().await? {
            Heard::Start { mechanisms } => mechanisms,
            other => return Err(unexpected(&other, During::LogIn)),
        };
        if !mechanisms.split(' ').any(|name| name == "PLAIN") {
            return Err(Error::new(
                ErrorKind::Rejected,
                "notifications.mechanism",
                "the message broker lets nobody in with user and password",
            )
            .with("offers", mechanisms)
            .with_remedy("allow the mechanism PLAIN"));
        }
        let password = config.password.expose_secret();
        let response = [&b"\0"[..], config.user.as_bytes(), b"\0", password.as_bytes()].concat();
        let capabilities = [
            // Without this RabbitMQ answers a wrong password by hanging up.
            ("authentication_failure_close", Value::Flag(true)),
            ("consumer_cancel_notify", Value::Flag(true)),
        ];
        let properties = [
            ("product", Value::Text("NeverStop")),
            ("version", Value::Text(env!("CARGO_PKG_VERSION"))),
            ("connection_name", Value::Text(&config.queue_prefix)),
            ("capabilities", Value::Table(&capabilities)),
        ];
        let start = Method::new(10, 11)
            .table(&properties)
            .short("PLAIN")
            .long(&response)
            .short("en_US");
        self.say(&start.on(0)).await?;
        let (frame_max, heartbeat) = match self.answer().await? {
            Heard::Tune { frame_max, heartbeat } => (frame_max, heartbeat),
            other => return Err(unexpected(&other, During::LogIn)),
        };
        // 0 stands for no bound.
        let agreed = |theirs: u32, ours: u32| if theirs == 0 { ours } else { ours.min(theirs) };
        let frame_max = agreed(frame_max, FRAME_MAX);
        let heartbeat = agreed(heartbeat.into(), HEARTBEAT.into());
        self.frame_max = usize::try_from(frame_max).unwrap_or(FRAME_MIN).max(FRAME_MIN);
        self.heartbeat = Duration::from_secs(heartbeat.into());
        let seconds = u16::try_from(heartbeat).unwrap_or(HEARTBEAT);
        let tune = Method::new(10, 31).u16(BINDING).u32(frame_max).u16(seconds);
        self.say(&tune.on(0)).await?;
        let open = Method::new(10, 40).short(&config.vhost).short("").u8(0);
        self.say(&open.on(0)).await?;
        match self.answer().await? {
            Heard::ConnectionOpened => Ok(()),
            other => Err(unexpected(&other, During::Vhost)),
        }
    }

    pub(super) async fn open_channel(&mut self, channel: u16) -> Result<()> {
        self.say(&Method::new(20, 10).short("").on(channel)).await
    }

    /// Makes our queue, binds it to what is there and begins to listen. The exchanges that are not there yet are returned:
    /// only the services know which properties theirs have, and one that is there with others would stop them.
    pub(super) async fn listen(&mut self, config: &NotificationConfig) -> Result<Vec<String>> {
        let arguments = [
            ("x-expires", Value::Number(EXPIRES)),
            ("x-max-length", Value::Number(WAITING)),
            ("x-max-length-bytes", Value::Number(WAITING_BYTES)),
            ("x-overflow", Value::Text("drop-head")),
        ];
        const DURABLE: u8 = 0b10;
        let queue = config.queue();
        let declare = Method::new(50, 10).u16(0).short(&queue).u8(DURABLE).table(&arguments);
        self.say(&declare.on(BINDING)).await?;
        self.done(During::Queue).await?;
        let mut missing = Vec::new();
        'exchanges: for exchange in &config.exchanges {
            for key in config.routing_keys() {
                self.bind(&queue, exchange, &key).await?;
                if !self.found().await? {
                    missing.push(exchange.clone());
                    continue 'exchanges;
                }
            }
        }
        let bound = Method::new(60, 10).u32(0).u16(PREFETCH).u8(0);
        self.say(&bound.on(LISTENING)).await?;
        self.done(During::Consuming).await?;
        // Two engines would each get half.
        const EXCLUSIVE: u8 = 0b100;
        let consume = Method::new(60, 20)
            .u16(0)
            .short(&queue)
            .short("")
            .u8(EXCLUSIVE)
            .table(&[]);
        self.say(&consume.on(LISTENING)).await?;
        match self.answer().await? {
            Heard::Consuming => Ok(missing),
            other => Err(unexpected(&other, During::Consuming)),
        }
    }

    /// Which of the exchanges are not there. Changes nothing.
    pub(super) async fn missing(&mut self, config: &NotificationConfig) -> Result<Vec<String>> {
        const PASSIVE: u8 = 0b1;
        let mut missing = Vec::new();
        for exchange in &config.exchanges {
            let declare = Method::new(40, 10)
                .u16(0)
                .short(exchange)
                .short("topic")
                .u8(PASSIVE)
                .table(&[]);
            self.say(&declare.on(BINDING)).await?;
            if !self.found().await? {
                missing.push(exchange.clone());
            }
        }
        Ok(missing)
    }

    pub(super) async fn bind(&mut self, queue: &str, exchange: &str, key: &str) -> Result<()> {
        let bind = Method::new(50, 20)
            .u16(0)
            .short(queue)
            .short(exchange)
            .short(key)
            .u8(0)
            .table(&[]);
        self.say(&bind.on(BINDING)).await
    }

    pub(super) async fn acknowledge(&mut self, tag: u64) -> Result<()> {
        self.say(&Method::new(60, 80).u64(tag).u8(0).on(LISTENING)).await
    }

    /// After a refusal that closed the channel for bindings: opens it again. The answer to that comes later.
    pub(super) async fn reopen(&mut self) -> Result<()> {
        self.say(&Method::new(20, 41).on(BINDING)).await?;
        self.open_channel(BINDING).await
    }

    pub(super) async fn done(&mut self, during: During) -> Result<()> {
        match self.answer().await? {
            Heard::Done => Ok(()),
            other => Err(unexpected(&other, during)),
        }
    }

    /// Whether the exchange just asked for is there.
    async fn found(&mut self) -> Result<bool> {
        match self.answer().await? {
            Heard::Done => Ok(true),
            Heard::ChannelClosed(reason) if is_missing_exchange(&reason) => {
                self.reopen().await?;
                match self.answer().await? {
                    Heard::ChannelOpened => Ok(false),
                    other => Err(unexpected(&other, During::Binding)),
                }
            }
            other => Err(unexpected(&other, During::Binding)),
        }
    }

    /// Takes leave, and waits a moment for the broker to do the same.
    pub(super) async fn close(mut self) {
        let farewell = async {
            self.say(&Method::new(10, 50).u16(200).short("").u16(0).u16(0).on(0))
                .await?;
            while !matches!(self.hear().await?.1, Heard::ConnectionCloseOk) {}
            Ok::<(), Error>(())
        };
        // Whether it was heard matters to nobody: the broker notices the end either way.
        let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
    }

    /// Agrees to the broker's taking leave.
    pub(super) async fn agree_to_close(&mut self) {
        let _ = self.say(&Method::new(10, 51).on(0)).await;
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<()> {
        let said = async {
            self.pipe.write_all(bytes).await?;
            self.pipe.flush().await
        };
        // A broker that takes nothing any more is as good as gone.
        let said = tokio::time::timeout(self.heartbeat * 2, said).await;
        said.map_err(|_| silent())?.map_err(broken)
    }

    /// The answer to the last question.
    async fn answer(&mut self) -> Result<Heard> {
        loop {
            match self.hear().await?.1 {
                Heard::Heartbeat | Heard::Other => {}
                heard => return Ok(heard),
            }
        }
    }

    /// What the broker says next, and on which channel. Can be given up at any time; nothing is lost then.
    pub(super) async fn hear(&mut self) -> Result<(u16, Heard)> {
        loop {
            let unread = self.input.get(self.read..).unwrap_or_default();
            if let Some((channel, heard, length)) = wire::take(unread, self.frame_max).map_err(garbage)? {
                self.read += length;
                return Ok((channel, heard));
            }
            self.input.drain(..self.read);
            self.read = 0;
            self.input.reserve(16 << 10);
            if self.pipe.read_buf(&mut self.input).await.map_err(broken)? == 0 {
                return Err(passing(
                    "notifications.broken",
                    "the message broker ended the connection without a word",
                ));
            }
        }
    }
}

pub(super) fn is_missing_exchange(reason: &Reason) -> bool {
    reason.code == 404 && reason.text.contains("exchange")
}

/// Another answer than the one asked for: mostly a refusal.
fn unexpected(heard: &Heard, during: During) -> Error {
    match heard {
        Heard::ConnectionClosed(reason) | Heard::ChannelClosed(reason) => closed(reason, during),
        _ => garbage(wire::Garbage("an answer was not to our question")),
    }
}
