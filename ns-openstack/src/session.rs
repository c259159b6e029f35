//! One connection to a cloud: its tokens, one per scope, logged in for when first needed, and the bounds that its calls
//! share. How a call is sent is `call`'s.

use crate::auth::{self, Grant, Scope};
use crate::call::{Call, Failure};
use crate::config::OpenStackConfig;
use crate::error::Service;
use crate::inventory::volume::Pool;
use crate::notices::Broker;
use jiff::{SignedDuration, Timestamp};
use ns_core::{Error, ErrorKind, Result};
use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

type Slot = Arc<AsyncMutex<Option<Arc<Grant>>>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: OpenStackConfig,
    pub(crate) http: reqwest::Client,
    /// Where the cloud tells of changes, if we listen.
    pub(crate) broker: Option<Broker>,
    /// The pools of the volume service as they were read last.
    pub(crate) pools: Mutex<Arc<Vec<Pool>>>,
    slots: Mutex<HashMap<Scope, Slot>>,
    gates: [Semaphore; Service::ALL.len()],
}

impl Session {
    pub(crate) fn new(config: OpenStackConfig) -> Result<Self> {
        config.validate()?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(config.timing.connect)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("neverstop/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &config.ca_file {
            let bad = |why: String| {
                Error::new(ErrorKind::Invalid, "config.ca_file", why)
                    .with_field("ca_file")
                    .with("file", path.display())
                    .with_remedy("give a readable file with the authority's certificate in PEM form")
            };
            let pem = std::fs::read(path).map_err(|e| bad(format!("the certificates cannot be read: {e}")))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|e| bad(format!("the file holds no usable certificates: {e}")))?;
            if certificates.is_empty() {
                return Err(bad("the file holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|e| {
            Error::new(ErrorKind::Internal, "config.http", "the HTTP client cannot be made").with_source(e)
        })?;
        Ok(Self {
            gates: std::array::from_fn(|_| Semaphore::new(config.parallel)),
            broker: Broker::new(&config)?,
            config,
            http,
            pools: Mutex::default(),
            slots: Mutex::default(),
        })
    }

    /// One whose calls all end before they reach the network.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn closed(config: OpenStackConfig) -> Result<Self> {
        let session = Self::new(config)?;
        session.gates.iter().for_each(Semaphore::close);
        Ok(session)
    }

    pub(crate) fn get<'a>(&'a self, service: Service, path: &[&str]) -> Call<'a> {
        Call::new(self, Method::GET, service, path)
    }
    pub(crate) fn post<'a>(&'a self, service: Service, path: &[&str], body: Value) -> Call<'a> {
        Call::new(self, Method::POST, service, path).body(body)
    }
    pub(crate) fn put<'a>(&'a self, service: Service, path: &[&str]) -> Call<'a> {
        Call::new(self, Method::PUT, service, path)
    }
    pub(crate) fn delete<'a>(&'a self, service: Service, path: &[&str]) -> Call<'a> {
        Call::new(self, Method::DELETE, service, path)
    }

    /// A service's page about its versions: its address without version-bound parts.
    pub(crate) async fn root(&self, service: Service) -> Result<Value> {
        let grant = self.grant(&Scope::Home).await?;
        let mut url = grant.endpoint(service, &self.config)?;
        // Old catalogues end addresses in the project's id; the page is before that.
        let path = url
            .path()
            .trim_end_matches('/')
            .trim_end_matches(grant.project.id.as_str())
            .to_owned();
        url.set_path(&format!("{}/", path.trim_end_matches('/')));
        let call = Call::new(self, Method::GET, service, &[]);
        match call.once(&url, Some(&grant)).await {
            Ok(reply) => reply.json(),
            Err(Failure::Later(_, e) | Failure::Broken(e) | Failure::Final(e)) => Err(e),
        }
    }

    /// The token of a scope, logging in when there is none or it ends soon. Callers at the same time log in once.
    pub(crate) async fn grant(&self, scope: &Scope) -> Result<Arc<Grant>> {
        let slot = self.slot(scope);
        let mut slot = slot.lock().await;
        if let Some(grant) = slot.as_ref()
            && grant.is_fresh(Timestamp::now())
        {
            return Ok(Arc::clone(grant));
        }
        let grant = Arc::new(self.log_in(scope).await?.0);
        *slot = Some(Arc::clone(&grant));
        Ok(grant)
    }

    /// Replaces a token that a service no longer takes, unless somebody did already.
    pub(crate) async fn renew(&self, scope: &Scope, stale: &Arc<Grant>) -> Result<Arc<Grant>> {
        let slot = self.slot(scope);
        let mut slot = slot.lock().await;
        if let Some(grant) = slot.as_ref()
            && !Arc::ptr_eq(grant, stale)
        {
            return Ok(Arc::clone(grant));
        }
        *slot = None;
        let grant = Arc::new(self.log_in(scope).await?.0);
        *slot = Some(Arc::clone(&grant));
        Ok(grant)
    }

    /// Drops the token of a scope, e.g. when its roles changed.
    pub(crate) async fn forget(&self, scope: &Scope) {
        *self.slot(scope).lock().await = None;
    }

    fn slot(&self, scope: &Scope) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(scope.clone()).or_default())
    }

    /// Logs in afresh and tells by how many seconds the cloud's clock is ahead. Never answered from a cache: a revoked
    /// token may work for minutes elsewhere, the identity service itself knows at once.
    pub(crate) async fn log_in(&self, scope: &Scope) -> Result<(Grant, i64)> {
        let home = match (scope, &self.config.auth) {
            (Scope::Tenant(_), crate::Auth::ApplicationCredential { .. }) => {
                let grant = Box::pin(self.grant(&Scope::Home)).await?;
                Some(grant.project.id.clone())
            }
            _ => None,
        };
        let body = auth::request(&self.config.auth, scope, home.as_deref())?;
        let before = Timestamp::now();
        let call = Call::new(self, Method::POST, Service::Identity, &["auth", "tokens"]).body(body);
        let reply = call.question().timeout(self.config.timing.read).exchange(None).await;
        let after = Timestamp::now();
        let reply = match (reply, scope) {
            (Err(e), Scope::Tenant(tenant)) if e.kind() == ErrorKind::Unauthenticated => {
                // Keystone answers a missing role like a wrong password. If we can log in at home, it is the role.
                Box::pin(self.log_in(&Scope::Home)).await?;
                return Err(Error::new(
                    ErrorKind::Denied,
                    "identity.no_role",
                    "the user has no role in the project",
                )
                .with_field("credentials")
                .with("tenant", tenant)
                .with_remedy("give the user the role admin in the project"));
            }
            (Err(e), _) if e.kind() == ErrorKind::NotFound => {
                return Err(self.no_identity_service().with_source(e));
            }
            (reply, _) => reply?,
        };
        let token = reply.headers.get("x-subject-token").and_then(|v| v.to_str().ok());
        let token = token.ok_or_else(|| {
            Error::new(
                ErrorKind::Rejected,
                "identity.malformed",
                "the answer to the log-in holds no token",
            )
        })?;
        let grant = Grant::read(SecretString::from(token.to_owned()), &reply.body)?;
        Ok((grant, skew(&reply.headers, before, after)))
    }

    fn no_identity_service(&self) -> Error {
        Error::new(
            ErrorKind::Rejected,
            "identity.address",
            "there is no identity service (v3) at the address",
        )
        .with_field("auth_url")
        .with("auth_url", &self.config.auth_url)
        .with_remedy("give the address of Keystone, e.g. https://cloud.example:5000/v3")
    }

    pub(crate) fn gate(&self, service: Service) -> &Semaphore {
        &self.gates[service as usize]
    }
}

/// Seconds by which the service's clock is ahead. Its `Date` has whole seconds and was written somewhere between
/// `before` and `after`: what this explains is no skew.
fn skew(headers: &HeaderMap, before: Timestamp, after: Timestamp) -> i64 {
    let date = headers.get("date").and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
        return 0;
    };
    let (earliest, latest) = (date.timestamp(), date.timestamp() + SignedDuration::from_secs(1));
    if earliest > after {
        earliest.as_second() - after.as_second()
    } else if latest < before {
        latest.as_second() - before.as_second()
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
