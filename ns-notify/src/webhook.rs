//! Webhooks (OPEN-43): an event is posted as JSON, signed, so that the receiver knows who sent it, when, and that nobody changed it.

use crate::{bad_address, bad_ca, read_ca};
use async_trait::async_trait;
use aws_lc_rs::hmac;
use jiff::Timestamp;
use ns_core::ports::{Message, Sink};
use ns_core::{Error, ErrorKind, Result};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The header with time and signature: `t=SECONDS,v1=HEX`. See [`verify`].
pub const SIGNATURE_HEADER: &str = "neverstop-signature";

/// The header with the event's id, by which a message that comes twice is known.
pub const EVENT_HEADER: &str = "neverstop-event";

/// How short a key may be, in bytes: as long as what SHA-256 gives.
const KEY_LENGTH: usize = 32;

/// Where messages may go, and what they are signed with.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    key: SecretString,
    hosts: BTreeSet<String>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    allow_http: bool,
}

impl WebhookConfig {
    /// The key, 32 bytes or more, which sender and receivers share; and the hosts that addresses may name. Users choose
    /// addresses: without this list they could make the engine post to whatever it reaches. Receivers that do not trust one
    /// another need sinks of their own.
    pub fn new<H: Into<String>>(key: SecretString, hosts: impl IntoIterator<Item = H>) -> Self {
        Self {
            key,
            hosts: hosts.into_iter().map(|h| h.into().to_ascii_lowercase()).collect(),
            ca_file: None,
            timeout: Duration::from_secs(30),
            allow_http: false,
        }
    }

    /// Certificates (PEM) of authorities to trust besides the system's.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// How long a receiver may take to answer; default 30 seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets addresses begin with `http`, e.g. for a receiver on the same machine. Messages are signed, not hidden.
    #[must_use]
    pub const fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }
}

/// Posts messages. See [`WebhookConfig`].
#[derive(Debug)]
pub struct Webhook {
    config: WebhookConfig,
    http: Client,
}

impl Webhook {
    /// Makes the sink. Nothing is connected to yet.
    ///
    /// # Errors
    /// `Invalid` with the field: a `key` that is too short, no `hosts`, `ca_file` without certificates.
    pub fn new(config: WebhookConfig) -> Result<Self> {
        if config.key.expose_secret().len() < KEY_LENGTH {
            return Err(Error::new(ErrorKind::Invalid, "webhook.key", "the key is too short")
                .with_field("key")
                .with_remedy("give 32 random bytes or more, as text"));
        }
        if config.hosts.is_empty() {
            return Err(
                Error::new(ErrorKind::Invalid, "webhook.hosts", "no host may be posted to")
                    .with_field("hosts")
                    .with_remedy("name the hosts that receive messages"),
            );
        }
        let mut builder = Client::builder()
            .timeout(config.timeout)
            // Another place than was allowed gets nothing.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("neverstop/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.ca_file {
            builder = builder.tls_certs_merge(read_ca(path)?.1);
        }
        let http = builder.build().map_err(|e| match &config.ca_file {
            Some(path) => bad_ca(path, "the certificates cannot be used".to_owned()).with_source(e),
            None => Error::new(ErrorKind::Internal, "webhook.http", "the HTTP client cannot be made").with_source(e),
        })?;
        Ok(Self { config, http })
    }

    fn url(&self, address: &str) -> Result<Url> {
        let url = Url::parse(address).map_err(|e| {
            let remedy = "give a URL such as https://alerts.example.org/neverstop";
            bad_address("webhook.url", format!("this is no URL: {e}"), remedy)
        })?;
        if url.scheme() != "https" && !(self.config.allow_http && url.scheme() == "http") {
            return Err(bad_address("webhook.scheme", "the URL is not https", "use https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let remedy = "leave it out: the receiver knows the sender by the signature";
            return Err(bad_address(
                "webhook.user",
                "the URL holds a user or a password",
                remedy,
            ));
        }
        let host = url.host_str().unwrap_or_default();
        if !self.config.hosts.contains(host) {
            return Err(
                Error::new(ErrorKind::Denied, "webhook.host", "this host may not be posted to")
                    .with_field("address")
                    .with("host", host)
                    .with_remedy("choose another, or let the administrator add it to the sink's hosts"),
            );
        }
        Ok(url)
    }
}

fn sign(key: &SecretString, seconds: i64, body: &[u8]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{seconds}.").as_bytes());
    context.update(body);
    context.sign()
}

/// Whether a message comes from a sink with this key, is as it was sent, and is no older than `tolerance`: `header` is what
/// [`SIGNATURE_HEADER`] says, `body` the bytes as they came. The signature is HMAC-SHA256 over the seconds, a dot and the body; a
/// receiver in another language does the same.
///
/// ```
/// use ns_notify::verify;
/// use std::time::Duration;
///
/// # let key = "0123456789abcdef0123456789abcdef".to_owned().into();
/// let now = "2026-01-31T08:00:00Z".parse().unwrap();
/// assert!(!verify(&key, "t=1769846400,v1=00", b"{}", now, Duration::from_secs(300)));
/// ```
#[must_use]
pub fn verify(key: &SecretString, header: &str, body: &[u8], now: Timestamp, tolerance: Duration) -> bool {
    let Some((seconds, signature)) = header.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")) else {
        return false;
    };
    let Ok(sent) = seconds.parse::<i64>() else { return false };
    let Some(age) = now.as_second().checked_sub(sent) else {
        return false;
    };
    let expected = hex(sign(key, sent, body).as_ref());
    let equal = aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_ok();
    equal && age.unsigned_abs() <= tolerance.as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[async_trait]
impl Sink for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn check_address(&self, address: &str) -> Result<()> {
        self.url(address).map(drop)
    }

    async fn deliver(&self, message: &Message) -> Result<()> {
        let url = self.url(&message.address)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let body = serde_json::to_vec(message).map_err(|e| {
            Error::new(ErrorKind::Internal, "webhook.message", "the message cannot be written").with_source(e)
        })?;
        let seconds = Timestamp::now().as_second();
        let signature = hex(sign(&self.config.key, seconds, &body).as_ref());
        let post = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(EVENT_HEADER, message.event_id.as_str())
            .header(SIGNATURE_HEADER, format!("t={seconds},v1={signature}"))
            .body(body);
        // The address may hold what its receiver knows it by: it is not repeated.
        let answer = post.send().await.map_err(|e| unreachable(e.without_url(), &host))?;
        answered(answer.status(), &host)
    }
}

fn unreachable(error: reqwest::Error, host: &str) -> Error {
    let (kind, code) = match error.is_timeout() {
        true => (ErrorKind::Timeout, "webhook.timeout"),
        false => (ErrorKind::Unavailable, "webhook.unavailable"),
    };
    Error::new(kind, code, "the receiver cannot be reached")
        .with("host", host)
        .with_source(error)
        .with_remedy("check that the receiver runs, its certificate, and ca_file")
}

fn answered(status: StatusCode, host: &str) -> Result<()> {
    let (kind, code) = match status.as_u16() {
        200..=299 => return Ok(()),
        300..=399 => (ErrorKind::Rejected, "webhook.redirect"),
        401 | 403 => (ErrorKind::Denied, "webhook.denied"),
        400 | 405 | 410 | 413 | 415 | 422 => (ErrorKind::Rejected, "webhook.rejected"),
        _ => (ErrorKind::Unavailable, "webhook.status"),
    };
    Err(Error::new(kind, code, "the receiver did not take the message")
        .with("host", host)
        .with("status", status.as_u16())
        .with_remedy("look at the receiver's log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> SecretString {
        "0123456789abcdef0123456789abcdef".to_owned().into()
    }

    fn hook() -> Webhook {
        Webhook::new(WebhookConfig::new(key(), ["alerts.example.org"])).unwrap()
    }

    #[test]
    fn open_43_only_hosts_that_were_named_are_posted_to() {
        use ErrorKind::{Denied, Invalid};
        assert!(hook().check_address("https://ALERTS.example.org:8443/in?x=1").is_ok());
        for (address, kind, code) in [
            ("alerts", Invalid, "webhook.url"),
            ("http://alerts.example.org/", Invalid, "webhook.scheme"),
            ("file:///etc/passwd", Invalid, "webhook.scheme"),
            ("https://mina:secret@alerts.example.org/", Invalid, "webhook.user"),
            ("https://169.254.169.254/latest", Denied, "webhook.host"),
            ("https://alerts.example.org.evil.org/", Denied, "webhook.host"),
            ("https://evil.org/#@alerts.example.org", Denied, "webhook.host"),
        ] {
            let error = hook().check_address(address).unwrap_err();
            assert_eq!(
                (error.kind(), error.code(), error.field()),
                (kind, code, Some("address")),
                "{address}"
            );
            assert!(error.remedy().is_some() && !format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn open_43_what_cannot_work_is_refused() {
        let short = WebhookConfig::new("short".to_owned().into(), ["h"]);
        let nowhere = WebhookConfig::new(key(), [""; 0]);
        let no_ca = WebhookConfig::new(key(), ["h"]).ca_file("/does/not/exist");
        for (config, code, field) in [
            (short, "webhook.key", "key"),
            (nowhere, "webhook.hosts", "hosts"),
            (no_ca, "sink.ca_file", "ca_file"),
        ] {
            let error = Webhook::new(config).unwrap_err();
            assert_eq!(
                (error.kind(), error.code(), error.field()),
                (ErrorKind::Invalid, code, Some(field))
            );
        }
        assert!(!format!("{:?}", hook()).contains("0123456789abcdef"));
    }

    #[test]
    fn open_43_answers() {
        use ErrorKind::{Denied, Rejected, Unavailable};
        for (status, kind) in [
            (200, None),
            (204, None),
            (302, Some(Rejected)),
            (401, Some(Denied)),
            (404, Some(Unavailable)),
            (410, Some(Rejected)),
            (429, Some(Unavailable)),
            (503, Some(Unavailable)),
        ] {
            let found = answered(StatusCode::from_u16(status).unwrap(), "h")
                .err()
                .map(|e| e.kind());
            assert_eq!(found, kind, "{status}");
        }
    }

    /// RFC 4231, test case 2, through this module's hexadecimal form.
    #[test]
    fn open_43_the_signature_is_hmac_sha256() {
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, b"Jefe"),
            b"what do ya want for nothing?",
        );
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(tag.as_ref()), known);
    }

    proptest! {
        #[test]
        fn open_43_a_signature_holds_for_one_message_for_a_while(
            body in proptest::collection::vec(any::<u8>(), 0..100), late in -400_i64..400, flip in any::<usize>(),
        ) {
            let sent = 1_800_000_000;
            let header = format!("t={sent},v1={}", hex(sign(&key(), sent, &body).as_ref()));
            let now = Timestamp::from_second(sent + late).unwrap();
            let tolerance = Duration::from_secs(300);
            prop_assert_eq!(verify(&key(), &header, &body, now, tolerance), late.abs() <= 300);
            let at = Timestamp::from_second(sent).unwrap();
            let other: SecretString = "fedcba9876543210fedcba9876543210".to_owned().into();
            prop_assert!(!verify(&other, &header, &body, at, tolerance));
            let mut spoilt = body.clone();
            match spoilt.is_empty() {
                true => spoilt.push(0),
                false => { let n = flip % spoilt.len(); spoilt[n] ^= 1; }
            }
            prop_assert!(!verify(&key(), &header, &spoilt, at, tolerance));
            let moved = header.replace("t=18", "t=19");
            let then = Timestamp::from_second(1_900_000_000).unwrap();
            prop_assert!(!verify(&key(), &moved, &body, then, tolerance));
        }

        #[test]
        fn open_43_no_header_breaks_the_check(header in "\\PC*") {
            let taken = verify(&key(), &header, b"x", Timestamp::UNIX_EPOCH, Duration::from_secs(1));
            prop_assert!(!taken);
        }
    }
}
