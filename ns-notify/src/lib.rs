//! Sinks of the notification centre: mail by SMTP (NTF-10) and signed webhooks (OPEN-43).
//!
//! A sink delivers one message once. What is to be delivered to whom, trying again and giving up is the engine's business, which
//! keeps it in its store (`ns_core::ports::Sink`). A gateway for short messages (NTF-09) is a sink of the host's own, or a webhook
//! that the gateway listens to.
//!
//! ```no_run
//! use ns_core::Engine;
//! use ns_notify::{Security, Smtp, SmtpConfig, Webhook, WebhookConfig};
//! use std::sync::Arc;
//!
//! # fn example(store: Arc<dyn ns_core::store::Store>, password: secrecy::SecretString, key: secrecy::SecretString) -> ns_core::Result<Engine> {
//! let mail = SmtpConfig::new("mail.example.org", Security::StartTls, "neverstop@example.org").login("neverstop", password);
//! let hook = WebhookConfig::new(key, ["alerts.example.org"]);
//! Engine::builder(store)
//!     .sink("mail", Arc::new(Smtp::new(mail)?))
//!     .sink("alerts", Arc::new(Webhook::new(hook)?))
//!     .build()
//! # }
//! ```

mod smtp;
mod webhook;

pub use smtp::{Security, Smtp, SmtpConfig};
pub use webhook::{EVENT_HEADER, SIGNATURE_HEADER, Webhook, WebhookConfig, verify};

use ns_core::{Error, ErrorKind, Result};
use std::path::Path;

/// The certificates of a file in PEM form, of which there is one at least; also as the HTTP client wants them.
fn read_ca(path: &Path) -> Result<(Vec<u8>, Vec<reqwest::Certificate>)> {
    let pem = std::fs::read(path).map_err(|e| bad_ca(path, format!("the certificates cannot be read: {e}")))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|e| bad_ca(path, format!("the file holds no usable certificates: {e}")))?;
    match certificates.is_empty() {
        true => Err(bad_ca(path, "the file holds no certificate".to_owned())),
        false => Ok((pem, certificates)),
    }
}

fn bad_ca(path: &Path, why: String) -> Error {
    Error::new(ErrorKind::Invalid, "sink.ca_file", why)
        .with_field("ca_file")
        .with("file", path.display())
        .with_remedy("give a readable file with the authority's certificate in PEM form")
}

fn bad_address(code: &str, why: impl Into<String>, remedy: &str) -> Error {
    Error::new(ErrorKind::Invalid, code, why)
        .with_field("address")
        .with_remedy(remedy)
}
