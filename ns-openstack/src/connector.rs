//! Connecting to an OpenStack cloud by settings and secrets that the engine keeps (CL-08, CL-22). Names and meanings are those of
//! `clouds.yaml`, whose reader does the work; here the flat settings become a section of that form.

use crate::clouds_yaml;
use crate::config::{Auth, Domain, OpenStackConfig, Project};
use crate::provider::OpenStack;
use async_trait::async_trait;
use ns_core::model::{ALLOW_HTTP, ConnectionSettings, ConnectorField, FieldKind};
use ns_core::provider::{Cloud, CloudConnector};
use ns_core::sealing::Secrets;
use ns_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Makes [`OpenStack`] providers. Log-in is by `password`, or by an application credential (SEC-09), whose id is kept with its
/// secret: OpenStack gives a new secret only with a new id, and both are rotated together (CL-15).
///
/// ```
/// use ns_core::model::ConnectionSettings;
/// use ns_core::provider::CloudConnector;
/// use ns_core::sealing::Secrets;
/// use ns_openstack::OpenStackConnector;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ns_core::Result<()> {
/// let settings = ConnectionSettings::new()
///     .with("auth_url", "https://cloud.example:5000")
///     .with("username", "neverstop")
///     .with("project_name", "admin")
///     .with("notifications.hosts", "mq1,mq2")
///     .with("notifications.user", "neverstop");
/// let secrets = Secrets::new().with("password", "not shown").with("notifications.password", "nor this");
/// let cloud = OpenStackConnector.connect(&settings, &secrets).await?;
/// assert_eq!(cloud.platform(), "openstack");
/// assert!(!format!("{cloud:?}").contains("not shown"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenStackConnector;

const PASSWORD: &str = "password";
const CREDENTIAL_ID: &str = "application_credential_id";
const CREDENTIAL_SECRET: &str = "application_credential_secret";
const BROKER_PASSWORD: &str = "notifications.password";
const CONFIG_DRIVE: &str = "config_drive";

/// Stands in the section where a secret does; the secret itself is put into the configuration that came of it, so that it is
/// copied nowhere else.
const PLACEHOLDER: &str = "-";

#[async_trait]
impl CloudConnector for OpenStackConnector {
    fn platform(&self) -> &'static str {
        crate::provider::PLATFORM
    }

    fn fields(&self) -> Vec<ConnectorField> {
        use FieldKind::{Flag, List, Number, Secret, Text, Url};
        let field = ConnectorField::new;
        vec![
            field("auth_url", Url, "address of Keystone, e.g. https://cloud.example:5000").required(),
            field(ALLOW_HTTP, Flag, "whether plain http is allowed, for a test cloud"),
            field("username", Text, "user name; needed with a password"),
            field("user_domain_name", Text, "domain of the user, by name"),
            field(
                "user_domain_id",
                Text,
                "domain of the user, by id; default is the usual",
            ),
            field(
                "project_name",
                Text,
                "project to work in; it or its id is needed with a password",
            ),
            field("project_id", Text, "project to work in, by id"),
            field("project_domain_name", Text, "domain of the project, by name"),
            field(
                "project_domain_id",
                Text,
                "domain of the project, by id; default is the usual",
            ),
            field("region_name", Text, "region of the catalogue"),
            field(
                "interface",
                Text,
                "addresses of the catalogue to use: public, internal or admin",
            ),
            field(
                "cacert",
                Text,
                "file on this host with certificates of authorities to trust too",
            ),
            field(
                CONFIG_DRIVE,
                Flag,
                "whether servers need a config drive: the cloud has no metadata service",
            ),
            field(PASSWORD, Secret, "password of the user"),
            field(
                CREDENTIAL_ID,
                Secret,
                "id of an application credential, in place of user and password",
            ),
            field(CREDENTIAL_SECRET, Secret, "secret of the application credential"),
            field(
                "notifications.hosts",
                List,
                "nodes of the message broker; none relies on synchronisation",
            ),
            field("notifications.port", Number, "port of the message broker"),
            field("notifications.vhost", Text, "the cloud's part of the message broker"),
            field("notifications.user", Text, "user of the message broker"),
            field(BROKER_PASSWORD, Secret, "password of the message broker's user"),
            field(
                "notifications.tls",
                Flag,
                "whether the message broker is spoken to with TLS; it is unless false",
            ),
            field(
                "notifications.allow_plain",
                Flag,
                "whether it may be without, for a test cloud",
            ),
            field(
                "notifications.ca_file",
                Text,
                "file on this host with certificates for the message broker",
            ),
            field("notifications.exchanges", List, "exchanges of the services"),
            field("notifications.topics", List, "topics of the notifications"),
            field(
                "notifications.queue_prefix",
                Text,
                "what the name of our queue begins with",
            ),
        ]
    }

    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Cloud> {
        let config = self.config(settings, secrets).map_err(|e| self.in_our_words(e))?;
        let cloud = OpenStack::new(config).map_err(|e| self.in_our_words(e))?;
        Ok(Arc::new(cloud))
    }
}

impl OpenStackConnector {
    fn config(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<OpenStackConfig> {
        let mut config = clouds_yaml::section(self.section(settings, secrets))?;
        config.allow_http = settings.flag(ALLOW_HTTP);
        config.config_drive = settings.flag(CONFIG_DRIVE);
        let secret = |name: &str| secrets.get(name).cloned().unwrap_or_default();
        match &mut config.auth {
            Auth::Password { password, .. } => *password = secret(PASSWORD),
            Auth::ApplicationCredential { id, secret: shown } => {
                secret(CREDENTIAL_ID).expose_secret().clone_into(id);
                *shown = secret(CREDENTIAL_SECRET);
            }
        }
        if let Some(broker) = &mut config.notifications {
            broker.password = secret(BROKER_PASSWORD);
        }
        Ok(config)
    }

    /// The cloud's section of a `clouds.yaml`.
    fn section(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Value {
        let fields = self.fields();
        let given = fields.iter().filter_map(|field| {
            let value = match field.kind {
                FieldKind::Secret => secrets
                    .get(&field.name)
                    .filter(|secret: &&SecretString| !secret.expose_secret().is_empty())
                    .map(|_| Value::from(PLACEHOLDER)),
                kind => settings
                    .get(&field.name)
                    .map(|text| value(kind, text, settings, &field.name)),
            };
            Some((field.name.as_str(), value?))
        });
        let (mut section, mut auth, mut broker) = (Map::new(), Map::new(), Map::new());
        for (name, value) in given {
            match (name.strip_prefix("notifications."), name) {
                (Some(name), _) => broker.insert(name.to_owned(), value),
                (None, "region_name" | "interface" | "cacert") => section.insert(name.to_owned(), value),
                // Not of `clouds.yaml`.
                (None, ALLOW_HTTP | CONFIG_DRIVE) => None,
                (None, name) => auth.insert(name.to_owned(), value),
            };
        }
        section.insert("auth".to_owned(), auth.into());
        if !broker.is_empty() {
            let ours = Map::from_iter([("notifications".to_owned(), broker.into())]);
            section.insert("neverstop".to_owned(), ours.into());
        }
        section.into()
    }

    /// An error of the reader, in the names of the fields.
    fn in_our_words(&self, error: Error) -> Error {
        let Some(field) = error.field() else { return error };
        let name = field.strip_prefix("neverstop.").unwrap_or(field).to_owned();
        let known = self.fields().into_iter().find(|field| field.name == name);
        let part = match known.map(|field| field.kind) {
            Some(FieldKind::Secret) => "secrets",
            _ => "settings",
        };
        let named = format!("{part}.{name}");
        if error.code() == "clouds_yaml.field" {
            let message = format!("{name} is missing");
            return Error::new(ErrorKind::Invalid, "connection.required", message)
                .with_field(named)
                .with_remedy("give a value");
        }
        error.with_field(named)
    }
}

impl OpenStackConfig {
    /// The settings and secrets of a connection that leads to the same cloud in the same way (CL-08): what somebody has in
    /// `clouds.yaml` becomes a connection that the engine keeps. [`Timing`](crate::Timing), `parallel` and `page_size` are not among them.
    ///
    /// ```no_run
    /// use ns_openstack::OpenStackConfig;
    ///
    /// let (settings, secrets) = OpenStackConfig::from_clouds_yaml(None, "seoul")?.to_connection();
    /// assert!(settings.get("auth_url").is_some() && secrets.get("password").is_some());
    /// # Ok::<(), ns_core::Error>(())
    /// ```
    #[must_use]
    pub fn to_connection(&self) -> (ConnectionSettings, Secrets) {
        let mut settings = ConnectionSettings::new()
            .with("auth_url", self.auth_url.as_str())
            .with("interface", self.interface.as_str());
        let mut secrets = Secrets::new();
        let mut set = |name: &str, value: &str| settings = std::mem::take(&mut settings).with(name, value);
        let mut flag = |name: &str, on: bool| on.then(|| set(name, "true"));
        flag(ALLOW_HTTP, self.allow_http);
        flag(CONFIG_DRIVE, self.config_drive);
        if let Some(region) = &self.region {
            set("region_name", region);
        }
        if let Some(file) = &self.ca_file {
            set("cacert", &file.to_string_lossy());
        }
        match &self.auth {
            Auth::Password {
                username,
                user_domain,
                project,
                password,
            } => {
                set("username", username);
                let mut domain = |whose: &str, domain: &Domain| match domain {
                    Domain::Name(name) => set(&format!("{whose}_domain_name"), name),
                    Domain::Id(id) => set(&format!("{whose}_domain_id"), id),
                };
                domain("user", user_domain);
                match project {
                    Project::Name(name, of) => {
                        domain("project", of);
                        set("project_name", name);
                    }
                    Project::Id(id) => set("project_id", id),
                }
                secrets.insert(PASSWORD, password.clone());
            }
            Auth::ApplicationCredential { id, secret } => {
                secrets.insert(CREDENTIAL_ID, id.clone());
                secrets.insert(CREDENTIAL_SECRET, secret.clone());
            }
        }
        if let Some(broker) = &self.notifications {
            let mut set = |name: &str, value: &str| set(&format!("notifications.{name}"), value);
            set("hosts", &broker.hosts.join(","));
            set("vhost", &broker.vhost);
            set("user", &broker.user);
            set("tls", &broker.tls.to_string());
            set("allow_plain", &broker.allow_plain.to_string());
            set("exchanges", &broker.exchanges.join(","));
            set("topics", &broker.topics.join(","));
            set("queue_prefix", &broker.queue_prefix);
            if let Some(port) = broker.port {
                set("port", &port.to_string());
            }
            if let Some(file) = &broker.ca_file {
                set("ca_file", &file.to_string_lossy());
            }
            secrets.insert(BROKER_PASSWORD, broker.password.clone());
        }
        (settings, secrets)
    }
}

/// A setting as `clouds.yaml` has it. What has not the form of its kind stays a text, and the reader refuses it.
fn value(kind: FieldKind, text: &str, settings: &ConnectionSettings, name: &str) -> Value {
    match kind {
        FieldKind::Flag => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        FieldKind::Number => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        FieldKind::List => settings.list(name).into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Interface;
    use wiremock::matchers::{body_partial_json, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    fn settings() -> ConnectionSettings {
        ConnectionSettings::new()
            .with("auth_url", "https://c:5000")
            .with("username", "neverstop")
            .with("project_name", "admin")
    }

    fn secrets() -> Secrets {
        Secrets::new().with(PASSWORD, "horse-17")
    }

    #[test]
    fn cl_08_settings_become_a_configuration() {
        let all = settings()
            .with("user_domain_name", "Default")
            .with("project_domain_id", "d1")
            .with("region_name", "RegionOne")
            .with("interface", "internal")
            .with("cacert", "/ca.pem")
            .with(CONFIG_DRIVE, "true")
            .with("notifications.hosts", "mq1, mq2")
            .with("notifications.port", "5673")
            .with("notifications.user", "listener")
            .with("notifications.exchanges", "nova,neutron");
        let secrets = secrets().with(BROKER_PASSWORD, "cow-4");
        let config = OpenStackConnector.config(&all, &secrets).unwrap();
        assert_eq!(config.auth_url.as_str(), "https://c:5000/v3");
        assert_eq!(
            (config.region.as_deref(), config.interface),
            (Some("RegionOne"), Interface::Internal)
        );
        assert!(config.config_drive && !config.allow_http && config.ca_file.is_some());
        let Auth::Password {
            username,
            user_domain,
            project,
            password,
        } = &config.auth
        else {
            panic!("{config:?}")
        };
        assert_eq!((username.as_str(), password.expose_secret()), ("neverstop", "horse-17"));
        assert_eq!(*user_domain, Domain::Name("Default".into()));
        assert_eq!(*project, Project::Name("admin".into(), Domain::Id("d1".into())));
        let broker = config.notifications.as_ref().unwrap();
        assert_eq!((broker.port(), broker.password.expose_secret()), (5673, "cow-4"));
        assert_eq!((broker.hosts.len(), broker.exchanges.len()), (2, 2));
        assert!(!format!("{config:?}").contains("horse") && !format!("{config:?}").contains("cow"));
    }

    /// What a configuration gives as settings and secrets leads to the same configuration.
    #[test]
    fn cl_08_a_configuration_becomes_settings() {
        let plain = settings();
        let all = settings()
            .with("user_domain_name", "Users")
            .with("project_domain_id", "d1")
            .with("region_name", "RegionOne")
            .with("interface", "admin")
            .with("cacert", "/ca.pem")
            .with(ALLOW_HTTP, "true")
            .with(CONFIG_DRIVE, "true")
            .with("notifications.hosts", "mq1, mq2")
            .with("notifications.port", "5673")
            .with("notifications.user", "listener")
            .with("notifications.allow_plain", "true")
            .with("notifications.tls", "false")
            .with("notifications.ca_file", "/mq.pem")
            .with("notifications.exchanges", "nova,neutron");
        let by_id = ConnectionSettings::new()
            .with("auth_url", "https://c:5000")
            .with("username", "neverstop")
            .with("project_id", "p1");
        let credential = Secrets::new()
            .with(CREDENTIAL_ID, "ac-1")
            .with(CREDENTIAL_SECRET, "horse-17");
        let place = ConnectionSettings::new().with("auth_url", "https://c:5000");
        for (settings, secrets) in [
            (plain, secrets()),
            (all, secrets().with(BROKER_PASSWORD, "cow-4")),
            (by_id, secrets()),
            (place, credential),
        ] {
            let config = OpenStackConnector.config(&settings, &secrets).unwrap();
            let (told, kept) = config.to_connection();
            let again = OpenStackConnector.config(&told, &kept).unwrap();
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            assert!(kept.are_those_of(&secrets) && secrets.are_those_of(&kept));
            for (name, text) in secrets.iter() {
                assert_eq!(kept.get(name).map(|t| t.expose_secret()), Some(text.expose_secret()));
            }
        }
    }

    #[test]
    fn sec_09_an_application_credential_is_enough() {
        let settings = ConnectionSettings::new().with("auth_url", "https://c:5000");
        let secrets = Secrets::new()
            .with(CREDENTIAL_ID, "ac-1")
            .with(CREDENTIAL_SECRET, "horse-17");
        let config = OpenStackConnector.config(&settings, &secrets).unwrap();
        let Auth::ApplicationCredential { id, secret } = &config.auth else {
            panic!("{config:?}")
        };
        assert_eq!((id.as_str(), secret.expose_secret()), ("ac-1", "horse-17"));
        assert!(config.notifications.is_none());
    }

    #[tokio::test]
    async fn cl_08_sec_08_mistakes_name_their_field_and_no_secret() {
        let without = |name: &str| {
            settings()
                .iter()
                .filter(|(n, _)| *n != name)
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect::<ConnectionSettings>()
        };
        let listening = |name: &str, value: &str| {
            settings()
                .with("notifications.hosts", "mq")
                .with("notifications.user", "u")
                .with(name, value)
        };
        let broker = || secrets().with(BROKER_PASSWORD, "cow-4");
        for (settings, secrets, field) in [
            (without("username"), secrets(), "settings.username"),
            (without("project_name"), secrets(), "settings.project_name"),
            (without("auth_url"), secrets(), "settings.auth_url"),
            (settings(), Secrets::new(), "secrets.password"),
            (
                settings(),
                Secrets::new().with(CREDENTIAL_ID, "i"),
                "secrets.application_credential_secret",
            ),
            (
                settings().with("auth_url", "http://c:5000"),
                secrets(),
                "settings.auth_url",
            ),
            (
                settings().with("auth_url", "https://u:horse-17@c"),
                secrets(),
                "settings.auth_url",
            ),
            (settings().with("interface", "edge"), secrets(), "settings.interface"),
            (
                settings().with("cacert", "/nonexistent/ca.pem"),
                secrets(),
                "settings.ca_file",
            ),
            (
                listening("notifications.port", "5671"),
                secrets(),
                "secrets.notifications.password",
            ),
            (
                listening("notifications.hosts", "mq:1"),
                broker(),
                "settings.notifications.hosts",
            ),
            (
                listening("notifications.tls", "false"),
                broker(),
                "settings.notifications.tls",
            ),
            (
                listening("notifications.port", "99999"),
                broker(),
                "settings.notifications",
            ),
        ] {
            let connected = OpenStackConnector.connect(&settings, &secrets).await;
            let error = connected.expect_err(field);
            assert_eq!(
                (error.kind(), error.field()),
                (ErrorKind::Invalid, Some(field)),
                "{error}"
            );
            assert!(error.remedy().is_some(), "{error}");
            let told = format!("{error:?}");
            assert!(!told.contains("horse") && !told.contains("cow-4"), "{told}");
        }
    }

    #[tokio::test]
    async fn cl_02_the_secret_reaches_the_cloud() {
        let server = MockServer::start().await;
        let identity = serde_json::json!({"auth": {"identity": {"password": {"user": {"password": "horse-17"}}}}});
        Mock::given(method("POST"))
            .and(path("/v3/auth/tokens"))
            .and(body_partial_json(identity))
            .respond_with(ResponseTemplate::new(401))
            .expect(1..)
            .mount(&server)
            .await;
        let settings = settings().with("auth_url", server.uri()).with(ALLOW_HTTP, "true");
        let cloud = OpenStackConnector.connect(&settings, &secrets()).await.unwrap();
        let error = cloud.check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
        assert!(!format!("{error:?}").contains("horse"));
    }
}
