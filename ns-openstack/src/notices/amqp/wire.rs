//! AMQP 0-9-1 on the wire, as far as one who only listens needs it: frames to and from bytes. Pure. Every length that the
//! other side gives is held against what was agreed before anything is set aside for it, and nested tables, which a
//! publisher can make as deep as it likes, are skipped by their length instead of read.

use std::fmt;

/// What a connection begins with.
pub(super) const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
/// Largest frame before the two sides have agreed on one (the protocol's `frame-min-size`).
pub(super) const FRAME_MIN: usize = 4096;
/// Type, channel and length before a frame's payload, and one byte behind it.
const OVERHEAD: usize = 8;
const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const CONTENT_BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xCE;

/// What the other side sent is not AMQP 0-9-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbage(pub(super) &'static str);

impl fmt::Display for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One thing that the broker says, with the channel it says it on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The ways to log in, separated by blanks.
    Start {
        mechanisms: String,
    },
    Tune {
        frame_max: u32,
        heartbeat: u16,
    },
    ConnectionOpened,
    /// The broker ends the connection, or the channel, and says why.
    ConnectionClosed(Reason),
    ChannelClosed(Reason),
    ConnectionCloseOk,
    ChannelOpened,
    /// A queue is there, a binding is made, a bound is set: in order of asking.
    Done,
    Consuming,
    /// The queue went away.
    Canceled,
    Deliver {
        tag: u64,
        exchange: String,
        routing_key: String,
    },
    /// How long the body of the message is.
    Header {
        size: u64,
    },
    Body(Vec<u8>),
    Heartbeat,
    /// Nothing that we have to act on.
    Other,
}

/// Why the broker ended something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) code: u16,
    pub(super) text: String,
}

/// Takes the first frame off the bytes received: the channel, what was said, and how many bytes that took. None while it
/// is not whole.
pub(super) fn take(bytes: &[u8], frame_max: usize) -> Result<Option<(u16, Heard, usize)>, Garbage> {
    // The answer to a version that the broker does not speak, and the beginning of other protocols' answers.
    match bytes.first() {
        None => return Ok(None),
        Some(&(METHOD | CONTENT_HEADER | CONTENT_BODY | HEARTBEAT)) => {}
        Some(b'A') => return Err(Garbage("the broker speaks another version of AMQP")),
        Some(_) => return Err(Garbage("the answer is not AMQP")),
    }
    let mut input = Input(bytes);
    let (Some(kind), Some(channel), Some(length)) = (input.u8(), input.u16(), input.u32()) else {
        return Ok(None);
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length.saturating_add(OVERHEAD) > frame_max {
        return Err(Garbage("a frame is longer than agreed"));
    }
    let (Some(payload), Some(end)) = (input.bytes(length), input.u8()) else {
        return Ok(None);
    };
    if end != END {
        return Err(Garbage("a frame does not end where it should"));
    }
    let heard = match kind {
        METHOD => method(Input(payload)).ok_or(Garbage("a method has not the form of the protocol"))?,
        CONTENT_HEADER => {
            let mut input = Input(payload);
            input.bytes(4);
            let size = input.u64().ok_or(Garbage("a content header is too short"))?;
            Heard::Header { size }
        }
        CONTENT_BODY => Heard::Body(payload.to_vec()),
        _ => Heard::Heartbeat,
    };
    Ok(Some((channel, heard, length + OVERHEAD)))
}

fn method(mut input: Input<'_>) -> Option<Heard> {
    let (class, id) = (input.u16()?, input.u16()?);
    Some(match (class, id) {
        (10, 10) => {
            // version, properties
            input.bytes(2)?;
            input.long()?;
            let mechanisms = lossy(input.long()?);
            Heard::Start { mechanisms }
        }
        (10, 30) => {
            input.u16()?;
            Heard::Tune {
                frame_max: input.u32()?,
                heartbeat: input.u16()?,
            }
        }
        (10, 41) => Heard::ConnectionOpened,
        (10, 50) => Heard::ConnectionClosed(input.reason()?),
        (10, 51) => Heard::ConnectionCloseOk,
        (20, 11) => Heard::ChannelOpened,
        (20, 40) => Heard::ChannelClosed(input.reason()?),
        // exchange.declare-ok, queue.declare-ok, queue.bind-ok, basic.qos-ok
        (40 | 50, 11) | (50, 21) | (60, 11) => Heard::Done,
        (60, 21) => Heard::Consuming,
        (60, 30) => Heard::Canceled,
        (60, 60) => {
            input.short()?;
            let tag = input.u64()?;
            input.u8()?;
            Heard::Deliver {
                tag,
                exchange: lossy(input.short()?),
                routing_key: lossy(input.short()?),
            }
        }
        _ => Heard::Other,
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is left of some bytes.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }
    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
    fn short(&mut self) -> Option<&'a [u8]> {
        let n = self.u8()?;
        self.bytes(n.into())
    }
    /// A long text, or a table with all that is in it.
    fn long(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()?;
        self.bytes(usize::try_from(n).ok()?)
    }
    fn reason(&mut self) -> Option<Reason> {
        Some(Reason {
            code: self.u16()?,
            text: lossy(self.short()?),
        })
    }
}

/// A value in a table of arguments.
pub(super) enum Value<'a> {
    Flag(bool),
    Number(i64),
    Text(&'a str),
    Table(&'a [(&'a str, Self)]),
}

/// A method being put together.
pub(super) struct Method(Vec<u8>);

impl Method {
    pub(super) fn new(class: u16, id: u16) -> Self {
        let mut bytes = class.to_be_bytes().to_vec();
        bytes.extend(id.to_be_bytes());
        Self(bytes)
    }
    pub(super) fn u8(mut self, n: u8) -> Self {
        self.0.push(n);
        self
    }
    pub(super) fn u16(mut self, n: u16) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    pub(super) fn u32(mut self, n: u32) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    pub(super) fn u64(mut self, n: u64) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    /// A text of at most 255 bytes; the configuration lets no longer one through.
    pub(super) fn short(mut self, text: &str) -> Self {
        short(&mut self.0, text);
        self
    }
    pub(super) fn long(mut self, text: &[u8]) -> Self {
        long(&mut self.0, text);
        self
    }
    pub(super) fn table(mut self, entries: &[(&str, Value<'_>)]) -> Self {
        table(&mut self.0, entries);
        self
    }
    /// The whole frame.
    pub(super) fn on(self, channel: u16) -> Vec<u8> {
        frame(METHOD, channel, &self.0)
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    long(&mut frame, payload);
    frame.push(END);
    frame
}

/// The frame that only says that we live.
pub(super) fn heartbeat() -> Vec<u8> {
    frame(HEARTBEAT, 0, &[])
}

fn short(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend(text.bytes().take(length.into()));
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn table(out: &mut Vec<u8>, entries: &[(&str, Value<'_>)]) {
    let mut inner = Vec::new();
    for (key, value) in entries {
        short(&mut inner, key);
        match value {
            Value::Flag(flag) => inner.extend([b't', u8::from(*flag)]),
            Value::Number(n) => {
                inner.push(b'l');
                inner.extend(n.to_be_bytes());
            }
            Value::Text(text) => {
                inner.push(b'S');
                long(&mut inner, text.as_bytes());
            }
            Value::Table(entries) => {
                inner.push(b'F');
                table(&mut inner, entries);
            }
        }
    }
    long(out, &inner);
}

/// Reads bytes as the broker's, and as what frames of every kind hold. What is read must not depend on how the bytes were cut.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_frames(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((_, _, length))) = take(rest, FRAME_MIN) {
        assert!(length >= OVERHEAD, "every frame takes something off");
        assert_eq!(
            take(&rest[..length - 1], FRAME_MIN),
            Ok(None),
            "a frame is read once it is whole"
        );
        rest = &rest[length..];
    }
    for kind in [METHOD, CONTENT_HEADER, CONTENT_BODY, HEARTBEAT] {
        let frame = frame(kind, 1, bytes);
        if let Ok(Some((_, _, length))) = take(&frame, frame.len()) {
            assert_eq!(length, frame.len(), "a frame is read to its end");
        }
    }
}

/// A message being published, in the frames it takes: for tests, which play the services.
#[cfg(test)]
pub(super) fn content(channel: u16, body: &[u8], frame_max: usize) -> Vec<u8> {
    let mut header = vec![0, 60, 0, 0];
    header.extend((body.len() as u64).to_be_bytes());
    // content type and delivery mode, as oslo sets them
    header.extend(0x9000_u16.to_be_bytes());
    short(&mut header, "application/json");
    header.push(2);
    let mut out = frame(CONTENT_HEADER, channel, &header);
    for part in body.chunks(frame_max - OVERHEAD) {
        out.extend(frame(CONTENT_BODY, channel, part));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Result<Heard, Garbage> {
        let (_, heard, taken) = take(bytes, FRAME_MIN)?.expect("a whole frame");
        assert_eq!(taken, bytes.len());
        Ok(heard)
    }

    #[test]
    fn frames_come_in_pieces() {
        let bytes = Method::new(10, 30).u16(2047).u32(131_072).u16(60).on(0);
        for cut in 0..bytes.len() {
            assert_eq!(take(&bytes[..cut], FRAME_MIN), Ok(None), "{cut}");
        }
        let tune = Heard::Tune {
            frame_max: 131_072,
            heartbeat: 60,
        };
        assert_eq!(take(&[&bytes[..], &[1]].concat(), FRAME_MIN), Ok(Some((0, tune, 20))));
    }

    #[test]
    fn tables_are_skipped_however_deep() {
        // What a parser that goes down into tables would die of.
        let mut deep = Vec::new();
        for _ in 0..600 {
            let mut outer = vec![0, b'F'];
            long(&mut outer, &deep);
            deep = outer;
        }
        let start = Method::new(10, 10)
            .u8(0)
            .u8(9)
            .long(&deep)
            .long(b"AMQPLAIN PLAIN")
            .long(b"en_US");
        let start = whole(&start.on(0)).unwrap();
        assert_eq!(
            start,
            Heard::Start {
                mechanisms: "AMQPLAIN PLAIN".to_owned()
            }
        );
        let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0x20, 0];
        long(&mut header, &deep);
        assert_eq!(whole(&frame(CONTENT_HEADER, 1, &header)), Ok(Heard::Header { size: 5 }));
    }

    #[test]
    fn what_is_no_amqp_is_told() {
        for (bytes, why) in [
            (&b"HTTP/1.1 400 Bad Request"[..], "the answer is not AMQP"),
            (b"AMQP\x00\x01\x00\x00", "the broker speaks another version of AMQP"),
            (&[1, 0, 0, 0, 1, 0, 0], "a frame is longer than agreed"),
            (&[1, 0, 0, 255, 255, 255, 255], "a frame is longer than agreed"),
            (&[8, 0, 0, 0, 0, 0, 0, 7], "a frame does not end where it should"),
            (
                &[1, 0, 0, 0, 0, 0, 1, 10, END],
                "a method has not the form of the protocol",
            ),
            (&[2, 0, 1, 0, 0, 0, 1, 10, END], "a content header is too short"),
        ] {
            assert_eq!(take(bytes, FRAME_MIN), Err(Garbage(why)), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_and_its_end() {
        let deliver = Method::new(60, 60)
            .short("c")
            .u64(7)
            .u8(1)
            .short("nova")
            .short("notifications.info");
        let (exchange, routing_key) = ("nova".to_owned(), "notifications.info".to_owned());
        assert_eq!(
            whole(&deliver.on(1)),
            Ok(Heard::Deliver {
                tag: 7,
                exchange,
                routing_key
            })
        );
        let closed = Method::new(20, 40).u16(404).short("NOT_FOUND - x").u16(50).u16(20);
        let reason = Reason {
            code: 404,
            text: "NOT_FOUND - x".to_owned(),
        };
        assert_eq!(whole(&closed.on(2)), Ok(Heard::ChannelClosed(reason)));
        assert_eq!(whole(&heartbeat()), Ok(Heard::Heartbeat));
        let blocked = Method::new(10, 60).short("low on memory");
        assert_eq!(whole(&blocked.on(0)), Ok(Heard::Other));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), kind in 0_u8..9, class in 0_u16..70) {
            let _ = take(&bytes, FRAME_MIN);
            bytes.splice(0..0, class.to_be_bytes());
            let _ = take(&frame(kind, 1, &bytes), FRAME_MIN);
        }
    }
}
