//! Where a cloud's message broker is and what to listen to. Values only: nothing here talks to the network.

use crate::config::invalid;
use ns_core::{Error, Result};
use secrecy::SecretString;
use std::path::PathBuf;

/// Longest name that the protocol carries, in bytes.
const NAME_MAX: usize = 255;
/// Longest prefix of a queue's name: room is left for what follows it.
const PREFIX_MAX: usize = 100;

/// How to listen to a cloud's notifications (EVT-13). `Debug` shows no secret.
///
/// The broker is RabbitMQ, spoken to with AMQP 0-9-1 over TLS (SEC-10). The user needs no rights but these, on the cloud's
/// vhost: to configure and write `^neverstop\.` (its own queue), to read that and the exchanges.
///
/// ```
/// use ns_openstack::NotificationConfig;
/// let config = NotificationConfig::new("mq.cloud.example", "neverstop", "not shown".to_owned().into());
/// assert_eq!(config.port(), 5671);
/// assert!(!format!("{config:?}").contains("not shown"));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NotificationConfig {
    /// Names or addresses of the nodes of the broker; one after the other is tried.
    pub hosts: Vec<String>,
    /// Port; none takes 5671, or 5672 without TLS.
    pub port: Option<u16>,
    /// The cloud's part of the broker.
    pub vhost: String,
    /// A user of our own, who only listens.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// Encrypts, and checks who the broker is. On.
    pub tls: bool,
    /// Allows a connection without TLS. Off: `tls` switched off is refused.
    pub allow_plain: bool,
    /// Certificates (PEM) of authorities to trust besides the system's; none takes the cloud's
    /// [`ca_file`](crate::OpenStackConfig::ca_file).
    pub ca_file: Option<PathBuf>,
    /// Exchanges of the services; Cinder's is `openstack` where nobody renamed it. One that does not exist yet is waited for.
    pub exchanges: Vec<String>,
    /// Topics of the notifications: the first part of their routing keys.
    pub topics: Vec<String>,
    /// What the name of our queue begins with. Installations that listen to the same vhost need different ones.
    pub queue_prefix: String,
}

impl NotificationConfig {
    /// A configuration with the usual defaults.
    #[must_use]
    pub fn new(host: impl Into<String>, user: impl Into<String>, password: SecretString) -> Self {
        let all = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            hosts: vec![host.into()],
            port: None,
            vhost: "/".to_owned(),
            user: user.into(),
            password,
            tls: true,
            allow_plain: false,
            ca_file: None,
            exchanges: all(&["nova", "neutron", "openstack", "keystone"]),
            topics: all(&["notifications", "versioned_notifications"]),
            queue_prefix: "neverstop".to_owned(),
        }
    }

    /// The port that is used.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 5671 } else { 5672 })
    }

    /// The name of our queue.
    pub(crate) fn queue(&self) -> String {
        format!("{}.notices", self.queue_prefix)
    }

    /// What our queue is bound with: successes and failures of every topic.
    pub(crate) fn routing_keys(&self) -> Vec<String> {
        let of = |topic: &String| ["info", "error"].map(|priority| format!("{topic}.{priority}"));
        self.topics.iter().flat_map(of).collect()
    }

    /// Refuses what cannot work, before anything is sent.
    pub(crate) fn validate(&self) -> Result<()> {
        if !self.tls && !self.allow_plain {
            return Err(bad("tls", "config.plain_amqp", "the connection would not be encrypted")
                .with_remedy("use TLS, or allow plain AMQP explicitly for a test cloud (allow_plain)"));
        }
        if self.port == Some(0) {
            return Err(bad("port", "config.port", "0 is no port").with_remedy("leave it out, or give 1 to 65535"));
        }
        some("hosts", &self.hosts)?;
        // Which one is not told: it may be an address with a password in it.
        if !self.hosts.iter().all(|host| is_host(host)) {
            return Err(bad("hosts", "config.host", "one is neither a name nor an address")
                .with_remedy("give names or addresses only; port, user and password have their own fields"));
        }
        name("vhost", &self.vhost)?;
        name("user", &self.user)?;
        some("exchanges", &self.exchanges)?;
        some("topics", &self.topics)?;
        for (field, names) in [("exchanges", &self.exchanges), ("topics", &self.topics)] {
            for text in names {
                name(field, text)?;
                if text.len() > PREFIX_MAX || text.contains(['*', '#']) {
                    return Err(bad(field, "config.name", "too long, or with * or # in it")
                        .with("name", text)
                        .with_remedy("give the names as the services' configuration has them"));
                }
            }
        }
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let prefix = &self.queue_prefix;
        if prefix.is_empty() || prefix.len() > PREFIX_MAX || !prefix.chars().all(good) || prefix.starts_with("amq.") {
            return Err(bad(
                "queue_prefix",
                "config.queue_prefix",
                "not the beginning of a queue's name",
            )
            .with_remedy("use letters, digits, '_', '-' or '.', and not amq. at the beginning"));
        }
        Ok(())
    }
}

fn some(field: &str, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Err(bad(field, "config.empty", "there is none").with_remedy("give at least one"));
    }
    Ok(())
}

fn name(field: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > NAME_MAX || text.chars().any(char::is_control) {
        return Err(bad(field, "config.name", "empty, too long, or with control characters")
            .with_remedy("give a name of 1 to 255 bytes"));
    }
    Ok(())
}

fn is_host(text: &str) -> bool {
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    is_name || text.parse::<std::net::IpAddr>().is_ok()
}

fn bad(field: &str, code: &str, message: &str) -> Error {
    invalid(&format!("notifications.{field}"), code, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ns_core::ErrorKind;

    fn config() -> NotificationConfig {
        NotificationConfig::new("mq", "u", "s3cr3t-word".to_owned().into())
    }

    #[test]
    fn sec_10_tls_unless_plain_is_allowed() {
        let mut c = config();
        c.validate().unwrap();
        assert_eq!(c.port(), 5671);
        c.tls = false;
        assert_eq!(c.port(), 5672);
        let error = c.validate().unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.field()),
            (ErrorKind::Invalid, "config.plain_amqp", Some("notifications.tls"))
        );
        c.allow_plain = true;
        c.validate().unwrap();
        c.port = Some(15672);
        assert_eq!(c.port(), 15672);
    }

    #[test]
    fn evt_13_what_is_listened_to() {
        assert_eq!(config().queue(), "neverstop.notices");
        assert_eq!(
            config().routing_keys(),
            [
                "notifications.info",
                "notifications.error",
                "versioned_notifications.info",
                "versioned_notifications.error"
            ]
        );
    }

    #[test]
    fn mistakes_name_their_field() {
        type Change = fn(&mut NotificationConfig);
        let mistakes: [(&str, Change); 16] = [
            ("hosts", |c| c.hosts.clear()),
            ("hosts", |c| c.hosts.push("mq:5671".into())),
            ("hosts", |c| c.hosts = vec!["amqps://u:hush@mq".into()]),
            ("hosts", |c| c.hosts = vec![String::new()]),
            ("port", |c| c.port = Some(0)),
            ("vhost", |c| c.vhost.clear()),
            ("vhost", |c| c.vhost = "v".repeat(256)),
            ("user", |c| c.user.clear()),
            ("exchanges", |c| c.exchanges.clear()),
            ("exchanges", |c| c.exchanges.push(String::new())),
            ("topics", |c| c.topics.clear()),
            ("topics", |c| c.topics = vec!["#".into()]),
            ("topics", |c| c.topics = vec!["t".repeat(200)]),
            ("queue_prefix", |c| c.queue_prefix.clear()),
            ("queue_prefix", |c| c.queue_prefix = "amq.x".into()),
            ("queue_prefix", |c| c.queue_prefix = "a b".into()),
        ];
        for (field, change) in mistakes {
            let mut c = config();
            change(&mut c);
            let error = c.validate().expect_err(field);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert_eq!(
                error.field(),
                Some(format!("notifications.{field}").as_str()),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
        for host in ["10.0.0.1", "::1", "mq-1.cloud_a.example"] {
            let mut c = config();
            c.hosts = vec![host.into()];
            c.validate().unwrap();
        }
        assert!(!format!("{:?}", config()).contains("s3cr3t-word"));
    }
}
