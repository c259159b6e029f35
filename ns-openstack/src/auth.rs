//! Logging in: what is sent to the identity service and what comes back. Builds and reads bodies; the sending is
//! `session`'s.

use crate::config::{Auth, Domain, OpenStackConfig, Project};
use crate::error::Service;
use jiff::Timestamp;
use ns_core::{Error, ErrorKind, Result};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a call works as: the configured project, or another tenant. The project of the token owns what is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) enum Scope {
    /// The configured project.
    #[default]
    Home,
    /// The project with this id.
    Tenant(String),
}

/// A token with what it allows. `Debug` shows no token.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) token: SecretString,
    pub(crate) expires: Timestamp,
    pub(crate) user: Named,
    pub(crate) project: Named,
    pub(crate) domain_id: String,
    pub(crate) roles: Vec<Named>,
    catalog: Vec<CatalogEntry>,
}

/// An id with its name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
struct CatalogEntry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    interface: String,
    url: String,
    region: Option<String>,
    region_id: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    token: TokenBody,
}

#[derive(Deserialize)]
struct TokenBody {
    expires_at: Timestamp,
    user: Named,
    project: Option<ProjectBody>,
    #[serde(default)]
    roles: Vec<Named>,
    #[serde(default)]
    catalog: Vec<CatalogEntry>,
}

#[derive(Deserialize)]
struct ProjectBody {
    id: String,
    name: String,
    domain: Named,
}

/// The body of a log-in.
///
/// # Errors
/// `Unsupported` for a tenant other than the one an application credential is bound to; `home` is that project.
pub(crate) fn request(auth: &Auth, scope: &Scope, home: Option<&str>) -> Result<Value> {
    match auth {
        Auth::Password {
            username,
            user_domain,
            project,
            password,
        } => {
            let scope = match (scope, project) {
                (Scope::Tenant(id), _) | (Scope::Home, Project::Id(id)) => json!({"project": {"id": id}}),
                (Scope::Home, Project::Name(name, within)) => {
                    json!({"project": {"name": name, "domain": domain(within)}})
                }
            };
            let user = json!({"name": username, "domain": domain(user_domain), "password": password.expose_secret()});
            Ok(json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}))
        }
        Auth::ApplicationCredential { id, secret } => {
            if let Scope::Tenant(tenant) = scope
                && home != Some(tenant)
            {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "identity.application_credential",
                    "an application credential works in its own project only",
                )
                .with("tenant", tenant)
                .with_remedy("log in with user and password to recover into other projects"));
            }
            let credential = json!({"id": id, "secret": secret.expose_secret()});
            Ok(json!({"auth": {"identity": {
                "methods": ["application_credential"], "application_credential": credential}}}))
        }
    }
}

fn domain(domain: &Domain) -> Value {
    match domain {
        Domain::Name(name) => json!({"name": name}),
        Domain::Id(id) => json!({"id": id}),
    }
}

impl Grant {
    /// Reads the answer to a log-in.
    pub(crate) fn read(token: SecretString, body: &[u8]) -> Result<Self> {
        let body: Body = serde_json::from_slice(body).map_err(|e| {
            // The body holds no token, but line and column say enough.
            let place = format!("line {} column {}", e.line(), e.column());
            Error::new(
                ErrorKind::Rejected,
                "identity.malformed",
                "the answer to the log-in cannot be read",
            )
            .with("at", place)
        })?;
        let token_body = body.token;
        let Some(project) = token_body.project else {
            return Err(Error::new(
                ErrorKind::Rejected,
                "identity.unscoped",
                "the token is not scoped to a project",
            ));
        };
        Ok(Self {
            token,
            expires: token_body.expires_at,
            user: token_body.user,
            project: Named {
                id: project.id,
                name: project.name,
            },
            domain_id: project.domain.id,
            roles: token_body.roles,
            catalog: token_body.catalog,
        })
    }

    /// The address of a service as the catalogue and the configuration have it, brought to the form this crate
    /// appends paths to: with version, without a slash at the end.
    ///
    /// # Errors
    /// `Rejected` when the catalogue has none, or one in plain http that is not allowed.
    pub(crate) fn endpoint(&self, service: Service, config: &OpenStackConfig) -> Result<Url> {
        if service == Service::Identity {
            return Ok(config.auth_url.clone());
        }
        let in_region = |e: &&Endpoint| {
            let wanted = config.region.as_deref();
            wanted.is_none() || wanted == e.region_id.as_deref() || wanted == e.region.as_deref()
        };
        let found = service.catalog_types().iter().find_map(|kind| {
            let entries = self.catalog.iter().filter(|entry| entry.kind == *kind);
            let mut endpoints = entries.flat_map(|entry| &entry.endpoints).filter(in_region);
            endpoints.find(|e| e.interface == config.interface.as_str())
        });
        let missing = |message: String| {
            Error::new(ErrorKind::Rejected, "catalog.missing", message)
                .with("service", service.as_str())
                .with("interface", config.interface.as_str())
                .with("region", config.region.as_deref().unwrap_or("any"))
                .with_field("region")
                .with_remedy("check region and interface against the cloud's catalogue")
        };
        let found = found.ok_or_else(|| missing(format!("the catalogue has no {} service", service.as_str())))?;
        let mut url = Url::parse(&found.url)
            .ok()
            .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| missing("the catalogue's address of the service is not one".to_owned()))?;
        if url.scheme() == "http" && !config.allow_http {
            return Err(Error::new(
                ErrorKind::Rejected,
                "catalog.plain_http",
                "the catalogue gives a plain http address",
            )
            .with_field("allow_http")
            .with("service", service.as_str())
            .with_remedy("let the cloud serve https, or allow http explicitly for a test cloud"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let version = match service {
            Service::Network if !path.ends_with("/v2.0") => "/v2.0",
            _ => "",
        };
        url.set_path(&format!("{path}{version}"));
        url.set_query(None);
        Ok(url)
    }

    /// Whether the token is good for a while yet.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires.as_second() - now.as_second() > 60
    }

    /// Whether the user has a role here.
    pub(crate) fn has_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn config(region: Option<&str>) -> OpenStackConfig {
        let auth = Auth::ApplicationCredential {
            id: "i".into(),
            secret: "s".to_owned().into(),
        };
        let mut config = OpenStackConfig::new("http://k:5000", auth).unwrap();
        config.region = region.map(Into::into);
        config.allow_http = true;
        config
    }

    /// The answer to a log-in, in the form of the real service; `at` is the root of every service's address.
    pub(crate) fn token_body(at: &str, project: &str) -> Value {
        let body = include_str!("../testdata/token.json");
        let body = body.replace("http://cloud.example", at).replace("PROJECT", project);
        serde_json::from_str(&body).unwrap()
    }

    fn grant() -> Grant {
        Grant::read(
            "tok-en".to_owned().into(),
            token_body("http://c", "p1").to_string().as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn catalogue_by_region_and_interface() {
        let grant = grant();
        let url = |service, config: &OpenStackConfig| grant.endpoint(service, config).map(String::from);
        let mut one = config(Some("RegionOne"));
        assert_eq!(url(Service::Compute, &one).unwrap(), "http://c/compute/v2.1");
        assert_eq!(url(Service::Network, &one).unwrap(), "http://c/network/v2.0");
        assert_eq!(url(Service::Volume, &one).unwrap(), "http://c/volume/v3/p1");
        assert_eq!(url(Service::Identity, &one).unwrap(), "http://k:5000/v3");
        one.interface = crate::Interface::Internal;
        assert_eq!(url(Service::Compute, &one).unwrap(), "http://c/internal/compute/v2.1");
        assert_eq!(
            url(Service::Compute, &config(None)).unwrap(),
            "http://c/two/compute/v2.1"
        );
        let error = url(Service::Compute, &config(Some("Mars"))).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, "catalog.missing"));
    }

    #[test]
    fn sec_08_the_catalogue_may_not_lead_to_http() {
        let mut config = config(None);
        config.allow_http = false;
        let error = grant().endpoint(Service::Compute, &config).unwrap_err();
        assert_eq!(error.code(), "catalog.plain_http");
    }

    #[test]
    fn application_credential_is_bound_to_its_project() {
        let auth = config(None).auth;
        request(&auth, &Scope::Home, None).unwrap();
        request(&auth, &Scope::Tenant("p1".into()), Some("p1")).unwrap();
        let error = request(&auth, &Scope::Tenant("p2".into()), Some("p1")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn secrets_stay_out_of_debug() {
        assert!(!format!("{:?}", grant()).contains("tok-en"));
    }

    #[test]
    fn answers_that_are_none() {
        for body in ["", "{}", "[]", r#"{"token": {"expires_at": "soon"}}"#] {
            let error = Grant::read("t".to_owned().into(), body.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "identity.malformed", "{body}");
        }
    }
}
