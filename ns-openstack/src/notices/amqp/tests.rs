//! Against a broker played in this process, which answers as RabbitMQ does; against a real one in `rabbitmq`.

mod rabbitmq;

use super::wire::Method;
use super::*;
use futures::StreamExt;
use ns_core::ErrorKind;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;

fn config() -> NotificationConfig {
    let mut config = NotificationConfig::new("127.0.0.1", "u", "s3cr3t-word".to_owned().into());
    config.exchanges = vec!["nova".into(), "keystone".into()];
    config.topics = vec!["notifications".into()];
    config.tls = false;
    config.allow_plain = true;
    config
}

/// One method that the listener said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    channel: u16,
    method: (u16, u16),
    rest: Vec<u8>,
}

/// What the test has the broker do.
enum Do {
    Say(Vec<u8>),
    /// The exchange appears.
    Make(&'static str),
    /// Answers nothing any more, as one that was cut off.
    FallSilent,
    HangUp,
}

/// The test's side of the played broker.
struct Fake {
    said: mpsc::UnboundedReceiver<Said>,
    orders: mpsc::UnboundedSender<Do>,
}

impl Fake {
    fn start(pipe: DuplexStream, missing: &[&'static str], refuse: Option<((u16, u16), Vec<u8>)>) -> Self {
        let (tell, said) = mpsc::unbounded_channel();
        let (orders, todo) = mpsc::unbounded_channel();
        tokio::spawn(play(pipe, missing.to_vec(), refuse, tell, todo));
        Self { said, orders }
    }

    fn order(&self, what: Do) {
        assert!(self.orders.send(what).is_ok(), "the broker is there");
    }

    /// Waits until the listener says this.
    async fn hears(&mut self, method: (u16, u16)) -> Said {
        loop {
            let said = timeout(Duration::from_secs(60), self.said.recv()).await;
            let said = said.expect("something").expect("the broker is there");
            if said.method == method {
                return said;
            }
        }
    }

    fn deliver(&self, tag: u64, body: &[u8]) {
        let deliver = Method::new(60, 60)
            .short("c")
            .u64(tag)
            .u8(0)
            .short("nova")
            .short("notifications.info");
        let mut bytes = deliver.on(1);
        bytes.extend(wire::content(1, body, 4096));
        self.order(Do::Say(bytes));
    }
}

async fn play(
    mut pipe: DuplexStream,
    mut missing: Vec<&'static str>,
    refuse: Option<((u16, u16), Vec<u8>)>,
    tell: mpsc::UnboundedSender<Said>,
    mut todo: mpsc::UnboundedReceiver<Do>,
) {
    let mut header = [0; 8];
    pipe.read_exact(&mut header).await.unwrap();
    assert_eq!(&header, wire::HEADER);
    let start = Method::new(10, 10)
        .u8(0)
        .u8(9)
        .long(b"")
        .long(b"PLAIN AMQPLAIN")
        .long(b"en_US");
    pipe.write_all(&start.on(0)).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        tokio::select! {
            order = todo.recv() => match order {
                Some(Do::Say(bytes)) => pipe.write_all(&bytes).await.unwrap(),
                Some(Do::Make(exchange)) => missing.retain(|name| *name != exchange),
                Some(Do::FallSilent) => std::future::pending().await,
                Some(Do::HangUp) | None => return,
            },
            n = pipe.read_buf(&mut bytes) => if n.unwrap_or(0) == 0 { return },
        }
        while let Some(said) = frame(&mut bytes) {
            if let Some(answer) = answer(&said, &missing, refuse.as_ref()) {
                pipe.write_all(&answer).await.unwrap();
            }
            let _ = tell.send(said);
        }
    }
}

fn frame(bytes: &mut Vec<u8>) -> Option<Said> {
    let length = usize::try_from(u32::from_be_bytes(bytes.get(3..7)?.try_into().unwrap())).unwrap();
    let frame: Vec<u8> = (bytes.len() >= length + 8).then(|| bytes.drain(..length + 8).collect())?;
    let number = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    assert_eq!(frame.last(), Some(&0xCE));
    let heartbeat = frame[0] == 8;
    Some(Said {
        channel: number(1),
        method: if heartbeat { (0, 0) } else { (number(7), number(9)) },
        rest: if heartbeat {
            Vec::new()
        } else {
            frame[11..frame.len() - 1].to_vec()
        },
    })
}

fn answer(said: &Said, missing: &[&str], refuse: Option<&((u16, u16), Vec<u8>)>) -> Option<Vec<u8>> {
    if let Some((at, refusal)) = refuse
        && *at == said.method
    {
        return Some(refusal.clone());
    }
    let names = |name: &&str| said.rest.windows(name.len()).any(|part| part == name.as_bytes());
    let answer = match said.method {
        (10, 11) => Method::new(10, 30).u16(2047).u32(131_072).u16(60),
        (10, 40) => Method::new(10, 41).short(""),
        (20, 10) => Method::new(20, 11).long(b""),
        (40, 10) | (50, 20) if missing.iter().any(names) => {
            let text = "NOT_FOUND - no exchange 'x' in vhost '/'";
            Method::new(20, 40).u16(404).short(text).u16(50).u16(20)
        }
        (40, 10) => Method::new(40, 11),
        (50, 10) => Method::new(50, 11).short("q").u32(0).u32(0),
        (50, 20) => Method::new(50, 21),
        (60, 10) => Method::new(60, 11),
        (60, 20) => Method::new(60, 21).short("c"),
        (10, 50) => Method::new(10, 51),
        _ => return None,
    };
    Some(answer.on(said.channel))
}

fn refusal(channel: u16, code: u16, text: &str) -> Vec<u8> {
    let class = if channel == 0 { (10, 50) } else { (20, 40) };
    Method::new(class.0, class.1)
        .u16(code)
        .short(text)
        .u16(0)
        .u16(0)
        .on(channel)
}

async fn listening(missing: &[&'static str]) -> (Fake, BoxStream<'static, Result<Notice>>) {
    let (ours, theirs) = duplex(1 << 20);
    let fake = Fake::start(theirs, missing, None);
    let config = config();
    let mut connection = Connection::open(Box::new(ours), &config).await.unwrap();
    let gone = connection.listen(&config).await.unwrap();
    assert_eq!(gone, missing);
    (fake, listen::start(connection, &config, gone, "mq:5672".into()))
}

async fn refused(at: (u16, u16), refusal: Vec<u8>) -> Error {
    let (ours, theirs) = duplex(1 << 20);
    let _fake = Fake::start(theirs, &[], Some((at, refusal)));
    let config = config();
    match Connection::open(Box::new(ours), &config).await {
        Ok(mut connection) => connection.listen(&config).await.expect_err("a refusal"),
        Err(e) => e,
    }
}

fn notification(id: &str, event: &str, payload: &Value) -> Vec<u8> {
    let message = json!({
        "message_id": id, "event_type": event, "timestamp": "2026-11-21 19:39:07.5", "priority": "INFO", "payload": payload,
    });
    json!({"oslo.version": "2.0", "oslo.message": message.to_string()})
        .to_string()
        .into_bytes()
}

fn network(id: &str) -> Vec<u8> {
    notification(id, "network.update.end", &json!({"network": {"id": "n"}}))
}

fn tag(said: &Said) -> u64 {
    u64::from_be_bytes(said.rest[..8].try_into().unwrap())
}

#[tokio::test]
async fn evt_13_a_message_is_acknowledged_when_the_next_is_asked_for() {
    let (mut fake, mut notices) = listening(&[]).await;
    let attach = json!({"volume_id": "v", "volume_attachment": [{"instance_uuid": "i"}]});
    fake.deliver(1, &notification("m-1", "volume.attach.end", &attach));
    fake.deliver(2, b"hush {");
    fake.deliver(3, &notification("m-3", "image.update", &json!({"id": "x"})));
    fake.deliver(4, &network("m-4"));
    let first = notices.next().await.unwrap().unwrap();
    assert_eq!((first.id.as_str(), first.kind.as_str()), ("m-1", "volume"));
    // What cannot be understood and what nobody needs go at once; the first waits for its second notice.
    assert_eq!(tag(&fake.hears((60, 80)).await), 2);
    assert_eq!(tag(&fake.hears((60, 80)).await), 3);
    let second = notices.next().await.unwrap().unwrap();
    assert_eq!((second.id.as_str(), second.kind.as_str()), ("m-1.1", "instance"));
    assert!(fake.said.try_recv().is_err(), "not acknowledged yet");
    let third = notices.next().await.unwrap().unwrap();
    assert_eq!(third.id, "m-4");
    assert_eq!(tag(&fake.hears((60, 80)).await), 1);
}

#[tokio::test]
async fn evt_13_our_own_queue_and_nothing_of_the_services() {
    let (mut fake, _notices) = listening(&["keystone"]).await;
    let start = fake.hears((10, 11)).await;
    let says = |said: &Said, text: &str| said.rest.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(
        says(&start, "authentication_failure_close"),
        "else a wrong password is a hang-up"
    );
    let queue = fake.hears((50, 10)).await;
    for text in [
        "neverstop.notices",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "drop-head",
    ] {
        assert!(says(&queue, text), "{text}");
    }
    let flags = queue.rest[2 + 1 + "neverstop.notices".len()];
    assert_eq!(flags, 0b10, "durable, nothing else");
    for key in ["notifications.info", "notifications.error"] {
        let bind = fake.hears((50, 20)).await;
        assert!(says(&bind, "nova") && says(&bind, key), "{bind:?}");
    }
    let consume = fake.hears((60, 20)).await;
    assert_eq!(consume.channel, connection::LISTENING);
    while let Ok(said) = fake.said.try_recv() {
        assert_ne!(said.method, (40, 10), "no exchange is declared");
    }
}

#[tokio::test]
async fn evt_13_refusals() {
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.";
    let error = refused((10, 11), refusal(0, 403, text)).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t-word"));
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'u'";
    let error = refused((10, 40), refusal(0, 530, text)).await;
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Denied, Some("notifications.vhost"))
    );
    let text = "ACCESS_REFUSED - configure access to queue 'q' in vhost '/' refused for user 'u'";
    let error = refused((50, 10), refusal(2, 403, text)).await;
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Denied, "notifications.denied")
    );
    let text = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
    let error = refused((60, 20), refusal(1, 403, text)).await;
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "notifications.in_use")
    );
    let other = Method::new(10, 10).u8(0).u8(9).long(b"").long(b"").long(b"").on(0);
    assert_eq!(refused((10, 11), other).await.code(), "notifications.not_amqp");
}

#[tokio::test]
async fn evt_13_the_stream_ends_with_why() {
    let (fake, mut notices) = listening(&[]).await;
    fake.deliver(1, &network("m-1"));
    fake.order(Do::Say(refusal(0, 320, "CONNECTION_FORCED - shutdown")));
    assert!(notices.next().await.unwrap().is_ok(), "what came before is not lost");
    let error = notices.next().await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "notifications.closed")
    );
    assert!(notices.next().await.is_none());

    let (fake, mut notices) = listening(&[]).await;
    fake.order(Do::HangUp);
    let error = notices.next().await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "notifications.broken")
    );
    assert!(notices.next().await.is_none());

    let (fake, mut notices) = listening(&[]).await;
    fake.order(Do::Say(Method::new(60, 30).short("c").u8(1).on(1)));
    let error = notices.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), "notifications.canceled");

    let (fake, mut notices) = listening(&[]).await;
    fake.order(Do::Say(b"HTTP/1.1 400".to_vec()));
    let error = notices.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), "notifications.not_amqp");
}

#[tokio::test(start_paused = true)]
async fn evt_13_both_sides_show_that_they_live() {
    let (mut fake, mut notices) = listening(&[]).await;
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        fake.hears((0, 0)).await;
        fake.order(Do::Say(wire::heartbeat()));
    }
    // Ours of 15 s counts, not the broker's of 60 s; it is said twice as often.
    assert_eq!(began.elapsed().as_secs(), 67);
    let began = tokio::time::Instant::now();
    fake.order(Do::FallSilent);
    let error = notices.next().await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "notifications.silent")
    );
    assert!((30..=45).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn evt_13_an_exchange_that_appears_is_bound_and_its_kinds_read_anew() {
    let (mut fake, mut notices) = listening(&["keystone"]).await;
    fake.hears((60, 20)).await;
    // Looked for in vain, more than once, without a word to the engine.
    for _ in 0..2 {
        fake.hears((50, 20)).await;
        fake.hears((20, 10)).await;
        fake.order(Do::Say(wire::heartbeat()));
    }
    fake.order(Do::Make("keystone"));
    let beats = fake.orders.clone();
    tokio::spawn(async move {
        while beats.send(Do::Say(wire::heartbeat())).is_ok() {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    });
    let notice = notices.next().await.unwrap().unwrap();
    assert_eq!((notice.kind.as_str(), notice.resource), ("tenant", None));
    for key in ["notifications.info", "notifications.error"] {
        let bind = fake.hears((50, 20)).await;
        assert!(
            bind.rest.windows(key.len()).any(|part| part == key.as_bytes()),
            "{bind:?}"
        );
    }
    fake.deliver(1, &network("m-1"));
    assert_eq!(notices.next().await.unwrap().unwrap().id, "m-1");
}

#[tokio::test]
async fn evt_13_dropping_the_stream_takes_leave() {
    let (mut fake, notices) = listening(&[]).await;
    drop(notices);
    fake.hears((10, 50)).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_is_let_go() {
    let (mut fake, mut notices) = listening(&[]).await;
    fake.deliver(1, &vec![b' '; (4 << 20) + 1]);
    fake.deliver(2, b"");
    fake.deliver(3, &network("m-3"));
    assert_eq!(notices.next().await.unwrap().unwrap().id, "m-3");
    assert_eq!(tag(&fake.hears((60, 80)).await), 1);
    assert_eq!(tag(&fake.hears((60, 80)).await), 2);
}

#[tokio::test]
async fn the_check_looks_and_changes_nothing() {
    let (ours, theirs) = duplex(1 << 20);
    let mut fake = Fake::start(theirs, &["keystone"], None);
    let config = config();
    let mut connection = Connection::open(Box::new(ours), &config).await.unwrap();
    assert_eq!(connection.missing(&config).await.unwrap(), ["keystone"]);
    connection.close().await;
    while let Ok(said) = fake.said.try_recv() {
        let passive = said.method == (40, 10) && said.rest.contains(&1);
        assert!(passive || !matches!(said.method.0, 40 | 50 | 60), "{said:?}");
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unavailable_and_named() {
    let mut cloud = crate::testing::config(&wiremock::MockServer::start().await);
    let mut config = config();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    config.port = Some(free.port());
    config.hosts = vec!["127.0.0.1".into(), "no-such-host.invalid".into()];
    cloud.notifications = Some(config);
    let broker = Broker::new(&cloud).unwrap().unwrap();
    let Err(error) = broker.notices().await else {
        panic!("nobody is there")
    };
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "notifications.unreachable")
    );
    assert!(error.to_string().contains(&format!(":{}", free.port())), "{error}");
    assert!(!format!("{error:?} {broker:?}").contains("s3cr3t-word"));
}
