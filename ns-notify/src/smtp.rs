//! Mail by SMTP (NTF-10): plain text, one recipient a message, over TLS.

use crate::{bad_address, bad_ca, read_ca};
use async_trait::async_trait;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use ns_core::model::Language;
use ns_core::ports::{Message, Sink};
use ns_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use std::error::Error as StdError;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Begun in clear and made TLS before anything is said; refused when the server cannot. Port 587 unless said otherwise.
    StartTls,
    /// TLS from the first byte. Port 465 unless said otherwise.
    Tls,
    /// None: for a relay on the same machine. Everybody on the way reads the messages, so there is no login over it. Port 25 unless
    /// said otherwise.
    PlainText,
}

/// How to reach a mail server.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    host: String,
    port: u16,
    security: Security,
    from: String,
    login: Option<(String, SecretString)>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
}

impl SmtpConfig {
    /// A server, and the address that messages are sent from.
    pub fn new(host: impl Into<String>, security: Security, from: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: match security {
                Security::StartTls => 587,
                Security::Tls => 465,
                Security::PlainText => 25,
            },
            security,
            from: from.into(),
            login: None,
            ca_file: None,
            timeout: Duration::from_secs(30),
        }
    }

    /// Another port.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Who logs in, and with what.
    #[must_use]
    pub fn login(mut self, user: impl Into<String>, password: SecretString) -> Self {
        self.login = Some((user.into(), password));
        self
    }

    /// Certificates (PEM) of authorities to trust besides the system's.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// How long a message may take to be sent; default 30 seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// Sends mail through a server. See [`SmtpConfig`].
///
/// ```
/// use ns_notify::{Security, Smtp, SmtpConfig};
///
/// let config = SmtpConfig::new("mail.example.org", Security::StartTls, "neverstop@example.org");
/// let mail = Smtp::new(config.login("neverstop", "not shown".to_owned().into()))?;
/// assert!(!format!("{mail:?}").contains("not shown"));
/// # Ok::<(), ns_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Smtp {
    from: Address,
    server: String,
    timeout: Duration,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Smtp {
    /// Makes the sink. Nothing is connected to yet.
    ///
    /// # Errors
    /// `Invalid` with the field: `from` is no mail address, `ca_file` holds no certificates, a `login` over an unsecured connection.
    pub fn new(config: SmtpConfig) -> Result<Self> {
        let from = parse(&config.from).map_err(|e| e.with_field("from"))?;
        if config.login.is_some() && config.security == Security::PlainText {
            let message = "the password would be sent where everybody on the way can read it";
            return Err(Error::new(ErrorKind::Invalid, "smtp.login", message)
                .with_field("login")
                .with_remedy("use StartTls or Tls, or no login"));
        }
        let mut tls = TlsParameters::builder(config.host.clone());
        let unusable = |e: lettre::transport::smtp::Error| match &config.ca_file {
            Some(path) => bad_ca(path, format!("the certificates cannot be used: {e}")).with_source(e),
            None => Error::new(ErrorKind::Internal, "smtp.tls", "TLS cannot be set up").with_source(e),
        };
        if let Some(path) = &config.ca_file {
            tls = tls.add_root_certificate(Certificate::from_pem(&read_ca(path)?.0).map_err(unusable)?);
        }
        let tls = tls.build_rustls().map_err(unusable)?;
        let server = format!("{}:{}", config.host, config.port);
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host)
            .port(config.port)
            .tls(match config.security {
                Security::StartTls => Tls::Required(tls),
                Security::Tls => Tls::Wrapper(tls),
                Security::PlainText => Tls::None,
            });
        if let Some((user, password)) = config.login {
            builder = builder.credentials(Credentials::new(user, password.expose_secret().to_owned()));
        }
        Ok(Self {
            from,
            server,
            timeout: config.timeout,
            transport: builder.build(),
        })
    }

    fn mail(&self, message: &Message) -> Result<Mail> {
        let unusable = |e: lettre::error::Error| {
            Error::new(ErrorKind::Internal, "smtp.message", "the mail cannot be put together").with_source(e)
        };
        let (id, to) = (&message.event_id, parse(&message.address)?);
        let sent: SystemTime = message.at.into();
        Mail::builder()
            .from(Mailbox::new(Some("NeverStop".to_owned()), self.from.clone()))
            .to(Mailbox::new(None, to))
            .date(sent)
            // The same for every try: who gets it twice can tell.
            .message_id(Some(format!(
                "<{id}.{}@{}>",
                message.subscription_id,
                self.from.domain()
            )))
            .subject(format!("[NeverStop {}] {}", message.severity, message.text))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(body(message))
            .map_err(unusable)
    }

    fn not_taken(&self, kind: ErrorKind, code: &str, remedy: &str) -> Error {
        Error::new(kind, code, "the mail server did not take the message")
            .with("server", &self.server)
            .with_remedy(remedy)
    }

    fn failed(&self, error: &lettre::transport::smtp::Error) -> Error {
        let status = error.status().map(u16::from);
        let (kind, code, remedy) = match status {
            // A mistake in the sink's own configuration is no fault of the message.
            Some(530 | 534 | 535 | 538) => (ErrorKind::Unauthenticated, "smtp.login", "check user and password"),
            _ if error.is_permanent() => (ErrorKind::Rejected, "smtp.rejected", "check the address"),
            _ if error.is_tls() => (
                ErrorKind::Unavailable,
                "smtp.tls",
                "check that the server offers TLS, its certificate, and ca_file",
            ),
            _ => (
                ErrorKind::Unavailable,
                "smtp.unavailable",
                "check that the mail server runs and can be reached",
            ),
        };
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(e) = cause {
            let _ = write!(why, ": {e}");
            cause = e.source();
        }
        let error = self.not_taken(kind, code, remedy).with("answer", why);
        match status {
            Some(status) => error.with("status", status),
            None => error,
        }
    }
}

fn parse(address: &str) -> Result<Address> {
    let remedy = "give an address such as mina@example.org";
    address
        .parse()
        .map_err(|e| bad_address("smtp.address", format!("{address:?} is no mail address: {e}"), remedy))
}

fn body(message: &Message) -> String {
    let (when, what, area, which) = match message.language {
        Language::English => ("Time", "Severity", "Area", "Event"),
        Language::Korean => ("시각", "심각도", "분야", "이벤트"),
    };
    format!(
        "{}\n\n{when}: {}\n{what}: {}\n{area}: {}\n{which}: {} ({})\n",
        message.text, message.at, message.severity, message.area, message.code, message.event_id
    )
}

/// RFC 3834: no automatic answers to this.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(_: &str) -> std::result::Result<Self, Box<dyn StdError + Send + Sync>> {
        Ok(Self)
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[async_trait]
impl Sink for Smtp {
    fn kind(&self) -> &'static str {
        "smtp"
    }

    fn check_address(&self, address: &str) -> Result<()> {
        parse(address).map(drop)
    }

    async fn deliver(&self, message: &Message) -> Result<()> {
        let mail = self.mail(message)?;
        // The transport itself waits for ever for a server that takes the connection and says nothing.
        match tokio::time::timeout(self.timeout, self.transport.send(mail)).await {
            Ok(sent) => sent.map(drop).map_err(|e| self.failed(&e)),
            Err(_) => Err(self.not_taken(ErrorKind::Timeout, "smtp.timeout", "check that the mail server answers")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn ntf_10_no_password_goes_over_an_unsecured_connection() {
        let config = SmtpConfig::new("localhost", Security::PlainText, "neverstop@example.org");
        let error = Smtp::new(config.login("neverstop", "horse-17".to_owned().into())).unwrap_err();
        let found = (error.kind(), error.code(), error.field());
        assert_eq!(found, (ErrorKind::Invalid, "smtp.login", Some("login")));
        assert!(!format!("{error:?}").contains("horse"));
    }

    #[test]
    fn ntf_10_addresses_are_checked() {
        let smtp = Smtp::new(SmtpConfig::new(
            "localhost",
            Security::StartTls,
            "neverstop@example.org",
        ))
        .unwrap();
        assert!(smtp.check_address("mina@example.org").is_ok());
        for bad in [
            "",
            "mina",
            "mina@",
            "@example.org",
            "a b@example.org",
            "a@b.org\r\nBcc: c@d.org",
            "a@b.org, c@d.org",
        ] {
            let error = smtp.check_address(bad).unwrap_err();
            let found = (error.kind(), error.code(), error.field());
            assert_eq!(found, (ErrorKind::Invalid, "smtp.address", Some("address")), "{bad:?}");
        }
        let from = Smtp::new(SmtpConfig::new("localhost", Security::StartTls, "nobody")).unwrap_err();
        assert_eq!((from.kind(), from.field()), (ErrorKind::Invalid, Some("from")));
    }

    #[test]
    fn ntf_10_an_authority_that_cannot_be_read_is_refused() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let broken = tempfile::NamedTempFile::new().unwrap();
        let text = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
        std::fs::write(broken.path(), text).unwrap();
        for path in [Path::new("/does/not/exist"), empty.path(), broken.path()] {
            let config = SmtpConfig::new("localhost", Security::Tls, "neverstop@example.org").ca_file(path);
            let error = Smtp::new(config).unwrap_err();
            let found = (error.kind(), error.code(), error.field());
            assert_eq!(found, (ErrorKind::Invalid, "sink.ca_file", Some("ca_file")));
        }
    }
}
