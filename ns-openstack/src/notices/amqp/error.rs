//! What it means when the broker cannot be reached, refuses, or goes away. The broker's own words are kept: they name
//! users, vhosts and queues, never a password.

use super::wire::{Garbage, Reason};
use ns_core::{Error, ErrorKind};

/// What was being done when the broker said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum During {
    LogIn,
    Vhost,
    Queue,
    Binding,
    Consuming,
    Listening,
}

/// The broker ended the connection or the channel.
pub(super) fn closed(reason: &Reason, during: During) -> Error {
    let text = reason.text.as_str();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let error = match (reason.code, during) {
        // A limit of connections, a vhost that is starting: RabbitMQ answers both like a missing right.
        (530, _) if says(&["limit", "is down"]) => {
            passing("notifications.closed", "the broker takes no connection now")
        }
        (403, During::LogIn) => Error::new(
            ErrorKind::Unauthenticated,
            "notifications.credentials",
            "the message broker refuses the user or the password",
        )
        .with_field("notifications.password")
        .with_remedy("check notifications.user and notifications.password"),
        (402 | 530, During::LogIn | During::Vhost) => Error::new(
            ErrorKind::Denied,
            "notifications.vhost",
            "the user may not use the vhost, or there is none of this name",
        )
        .with_field("notifications.vhost")
        .with_remedy("check the name, and give the user rights on it"),
        (403, During::Consuming) if says(&["exclusive"]) => {
            passing("notifications.in_use", "another engine listens with the same queue")
                .with_field("notifications.queue_prefix")
                .with_remedy("wait until it has ended, or give every installation a queue_prefix of its own")
        }
        (403, _) => Error::new(
            ErrorKind::Denied,
            "notifications.denied",
            "the user lacks a right at the message broker",
        )
        .with_field("notifications.user")
        .with_remedy("let it configure and write the queues with its prefix, and read them and the exchanges"),
        (406, During::Queue) => Error::new(
            ErrorKind::Rejected,
            "notifications.queue",
            "there is a queue of our name with other properties",
        )
        .with_field("notifications.queue_prefix")
        .with_remedy("remove that queue, or choose another queue_prefix"),
        (501..=505 | 540, _) => Error::new(
            ErrorKind::Rejected,
            "notifications.protocol",
            "the message broker does not understand us",
        )
        .with_remedy("check that it is RabbitMQ"),
        _ => passing("notifications.closed", "the message broker ended the connection"),
    };
    error.with("code", reason.code).with("said", text)
}

/// What came is not AMQP.
pub(super) fn garbage(why: Garbage) -> Error {
    Error::new(
        ErrorKind::Rejected,
        "notifications.not_amqp",
        format!("the other side is no message broker that we can speak to: {why}"),
    )
    .with_field("notifications.port")
    .with_remedy("check host and port: RabbitMQ has 5671 for TLS, 5672 without")
}

/// Something that may be well again later.
pub(super) fn passing(code: &str, message: &str) -> Error {
    Error::new(ErrorKind::Unavailable, code, message)
}

pub(super) fn broken(e: std::io::Error) -> Error {
    passing("notifications.broken", "the connection to the message broker broke").with_source(e)
}

pub(super) fn silent() -> Error {
    passing("notifications.silent", "the message broker does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evt_13_refusals_as_rabbitmq_words_them() {
        use During::{Binding, Consuming, Listening, LogIn, Queue, Vhost};
        use ErrorKind::{Denied, Rejected, Unauthenticated, Unavailable};
        for (code, text, during, kind, named) in [
            (
                403,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
                LogIn,
                Unauthenticated,
                "notifications.credentials",
            ),
            (
                530,
                "NOT_ALLOWED - access to vhost 'v' refused for user 'u'",
                Vhost,
                Denied,
                "notifications.vhost",
            ),
            (
                530,
                "NOT_ALLOWED - vhost v not found",
                Vhost,
                Denied,
                "notifications.vhost",
            ),
            (
                530,
                "NOT_ALLOWED - vhost 'v' is down",
                Vhost,
                Unavailable,
                "notifications.closed",
            ),
            (
                530,
                "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (1) is reached",
                Vhost,
                Unavailable,
                "notifications.closed",
            ),
            (
                403,
                "ACCESS_REFUSED - configure access to queue 'q' in vhost 'v' refused for user 'u'",
                Queue,
                Denied,
                "notifications.denied",
            ),
            (
                403,
                "ACCESS_REFUSED - read access to exchange 'nova' in vhost 'v' refused for user 'u'",
                Binding,
                Denied,
                "notifications.denied",
            ),
            (
                403,
                "ACCESS_REFUSED - queue 'q' in vhost 'v' in exclusive use",
                Consuming,
                Unavailable,
                "notifications.in_use",
            ),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-expires' for queue 'q' in vhost 'v'",
                Queue,
                Rejected,
                "notifications.queue",
            ),
            (
                404,
                "NOT_FOUND - home node 'a' of durable queue 'q' in vhost 'v' is down or inaccessible",
                Queue,
                Unavailable,
                "notifications.closed",
            ),
            (
                320,
                "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
                Listening,
                Unavailable,
                "notifications.closed",
            ),
            (
                501,
                "FRAME_ERROR - type 1, all octets = <<>>: unknown_frame",
                Listening,
                Rejected,
                "notifications.protocol",
            ),
        ] {
            let reason = Reason {
                code,
                text: text.to_owned(),
            };
            let error = closed(&reason, during);
            assert_eq!((error.kind(), error.code()), (kind, named), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
