//! Where a cloud is and how to log in. Values only: nothing here talks to the network. Reading `clouds.yaml` is next
//! door in `clouds_yaml`.

use crate::notices::NotificationConfig;
use ns_core::{Error, ErrorKind, Result};
use reqwest::Url;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

/// A user's or project's domain, by name or by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// By name, e.g. `Default`.
    Name(String),
    /// By id, e.g. `default`.
    Id(String),
}

impl Default for Domain {
    fn default() -> Self {
        Self::Id("default".to_owned())
    }
}

/// A project, by name within a domain or by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Project {
    /// By name.
    Name(String, Domain),
    /// By id.
    Id(String),
}

/// How to log in. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub enum Auth {
    /// User and password, working in a project of the user's.
    Password {
        /// User name.
        username: String,
        /// Domain of the user.
        user_domain: Domain,
        /// Project to work in when a call is not about a particular tenant.
        project: Project,
        /// The password.
        password: SecretString,
    },
    /// An application credential. It is bound to one project: recovery into other tenants needs a password.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
}

/// Which of a service's addresses in the catalogue to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// The one for everybody.
    #[default]
    Public,
    /// The one inside the data centre.
    Internal,
    /// The one for administration.
    Admin,
}

impl Interface {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// How long to wait for what. The engine has deadlines of its own above these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// To reach a service.
    pub connect: Duration,
    /// For the answer to a question.
    pub read: Duration,
    /// For the answer to a change; while its message broker is away a service answers half a minute late.
    pub change: Duration,
    /// First pause between two looks at something that is being made.
    pub poll_first: Duration,
    /// Longest such pause; pauses grow towards it.
    pub poll_max: Duration,
    /// How long a server that a compute node has taken may show `ERROR` before it is believed: a node that was away
    /// first sets `ERROR` and then carries out the build it had queued.
    pub error_patience: Duration,
    /// How long a volume may be on its way from or to a server before that counts as being in use.
    pub detach_patience: Duration,
    /// How long a volume may be reserved by a server that is not there before that counts as left over from a request that
    /// came to nothing.
    pub reservation_patience: Duration,
    /// Longest pause that a service may ask for with `Retry-After` and gets.
    pub retry_after_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(30),
            change: Duration::from_secs(75),
            poll_first: Duration::from_millis(200),
            poll_max: Duration::from_secs(3),
            error_patience: Duration::from_secs(45),
            detach_patience: Duration::from_secs(60),
            reservation_patience: Duration::from_secs(20),
            retry_after_max: Duration::from_secs(15),
        }
    }
}

/// Everything needed to work with one OpenStack cloud (CL-08).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenStackConfig {
    /// Address of the identity service, with or without `/v3`.
    pub auth_url: Url,
    /// Region of the catalogue; none takes the first address of each service.
    pub region: Option<String>,
    /// Which addresses of the catalogue to use.
    pub interface: Interface,
    /// Who we are.
    pub auth: Auth,
    /// Certificates (PEM) of authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Allows unencrypted `http` (SEC-08). Off: such an address is refused, in the catalogue too.
    pub allow_http: bool,
    /// How long to wait for what.
    pub timing: Timing,
    /// Calls to one service at a time. OpenStack services gain nothing from more than four.
    pub parallel: usize,
    /// Things per page of an inventory.
    pub page_size: usize,
    /// Asks for a config drive for every server: needed where the cloud has no metadata service.
    pub config_drive: bool,
    /// How to listen to what the cloud tells of itself (EVT-13); none relies on synchronisation alone.
    pub notifications: Option<NotificationConfig>,
}

impl OpenStackConfig {
    /// A configuration with the usual defaults.
    ///
    /// # Errors
    /// `Invalid` when the address is not one.
    ///
    /// ```
    /// use ns_openstack::{Auth, Domain, OpenStackConfig, Project};
    /// let config = OpenStackConfig::new(
    ///     "https://cloud.example:5000/v3",
    ///     Auth::Password {
    ///         username: "admin".into(),
    ///         user_domain: Domain::default(),
    ///         project: Project::Name("admin".into(), Domain::default()),
    ///         password: "not shown".to_owned().into(),
    ///     },
    /// )?;
    /// assert!(!format!("{config:?}").contains("not shown"));
    /// # Ok::<(), ns_core::Error>(())
    /// ```
    pub fn new(auth_url: &str, auth: Auth) -> Result<Self> {
        Ok(Self {
            auth_url: parse_auth_url(auth_url)?,
            region: None,
            interface: Interface::Public,
            auth,
            ca_file: None,
            allow_http: false,
            timing: Timing::default(),
            parallel: 4,
            page_size: 200,
            config_drive: false,
            notifications: None,
        })
    }

    /// Refuses what cannot work, before anything is sent.
    pub(crate) fn validate(&self) -> Result<()> {
        match self.auth_url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => {
                return Err(invalid("auth_url", "config.plain_http", "the address is plain http")
                    .with_remedy("use https, or allow http explicitly for a test cloud (allow_http)"));
            }
            other => {
                return Err(invalid(
                    "auth_url",
                    "config.auth_url",
                    &format!("the scheme {other} is neither https nor http"),
                )
                .with_remedy("give an address that begins with https://"));
            }
        }
        for (field, value) in [("parallel", self.parallel), ("page_size", self.page_size)] {
            if value == 0 {
                return Err(invalid(field, "config.zero", "must be at least 1").with_remedy("give 1 or more"));
            }
        }
        self.notifications.as_ref().map_or(Ok(()), NotificationConfig::validate)
    }
}

/// The address of the identity service, always ending in `/v3`. Credentials in an address are refused: addresses are shown
/// and logged.
fn parse_auth_url(text: &str) -> Result<Url> {
    let bad = |why: &str| {
        invalid("auth_url", "config.auth_url", why)
            .with_remedy("give the address of Keystone, e.g. https://cloud.example:5000/v3")
    };
    let mut url = Url::parse(text.trim()).map_err(|e| bad(&format!("not an address: {e}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("the address holds a user or password").with_remedy("give them in their own fields"));
    }
    if url.host_str().is_none() {
        return Err(bad("the address has no host"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    let path = match path.strip_suffix("/v2.0") {
        Some(base) => format!("{base}/v3"),
        None if path.ends_with("/v3") => path,
        None => format!("{path}/v3"),
    };
    url.set_path(&path);
    Ok(url)
}

pub(crate) fn invalid(field: &str, code: &str, message: &str) -> Error {
    Error::new(ErrorKind::Invalid, code, message).with_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Result<OpenStackConfig> {
        let secret = "s3cr3t-word".to_owned().into();
        OpenStackConfig::new(url, Auth::ApplicationCredential { id: "i".into(), secret })
    }

    #[test]
    fn cl_08_addresses() {
        for (given, kept) in [
            ("https://c:5000", "https://c:5000/v3"),
            ("https://c:5000/", "https://c:5000/v3"),
            ("https://c:5000/v3/", "https://c:5000/v3"),
            ("https://c/identity", "https://c/identity/v3"),
            ("https://c/identity/v2.0", "https://c/identity/v3"),
            ("http://127.0.0.21:5000/v3?x=1#y", "http://127.0.0.21:5000/v3"),
        ] {
            assert_eq!(config(given).unwrap().auth_url.as_str(), kept, "{given}");
        }
        for bad in ["", "cloud:5000", "https://u:p@c:5000/v3", "/v3"] {
            let error = config(bad).and_then(|c| c.validate().map(|()| c)).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
            assert_eq!(error.field(), Some("auth_url"), "{bad}");
        }
    }

    #[test]
    fn sec_08_plain_http_needs_a_yes() {
        let mut c = config("http://c:5000").unwrap();
        assert_eq!(c.validate().unwrap_err().code(), "config.plain_http");
        c.allow_http = true;
        c.validate().unwrap();
    }

    #[test]
    fn debug_hides_the_secret() {
        assert!(!format!("{:?}", config("https://c").unwrap()).contains("s3cr3t-word"));
    }
}
