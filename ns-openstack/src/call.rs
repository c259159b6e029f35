//! One call: put together, sent with patience, read whole. Knows how OpenStack speaks HTTP (microversions, request ids,
//! `Retry-After`), not what is being said; the tokens are `session`'s.

use crate::auth::{Grant, Scope};
use crate::error::{Service, refusal};
use crate::poll::Poll;
use crate::session::Session;
use ns_core::{Error, ErrorKind, Result};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Largest answer that is read, in bytes; far above a page of anything.
const ANSWER_MAX: usize = 64 << 20;
/// How often a call is repeated because the service asked for patience.
const PATIENCE_ROUNDS: u32 = 3;

/// An answer that was read whole.
pub(crate) struct Reply {
    pub(crate) body: Vec<u8>,
    pub(crate) headers: HeaderMap,
    service: Service,
}

/// One call being put together.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    session: &'a Session,
    method: Method,
    service: Service,
    path: Vec<String>,
    query: Vec<(String, String)>,
    scope: Scope,
    version: Option<&'static str>,
    body: Option<Value>,
    timeout: Option<Duration>,
    question: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(session: &'a Session, method: Method, service: Service, path: &[&str]) -> Self {
        Self {
            session,
            method,
            service,
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            query: Vec::new(),
            scope: Scope::Home,
            version: None,
            body: None,
            timeout: None,
            question: false,
        }
    }

    /// Works as another tenant.
    pub(crate) fn scope(mut self, scope: &Scope) -> Self {
        self.scope = scope.clone();
        self
    }
    pub(crate) fn query(mut self, key: &str, value: impl Into<String>) -> Self {
        self.query.push((key.to_owned(), value.into()));
        self
    }
    /// Asks for this microversion.
    pub(crate) const fn version(mut self, version: &'static str) -> Self {
        self.version = Some(version);
        self
    }
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
    /// Another bound than the usual one for this method.
    pub(crate) const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Changes nothing although it is a `POST`: logging in.
    pub(crate) const fn question(mut self) -> Self {
        self.question = true;
        self
    }

    fn is_question(&self) -> bool {
        self.question || self.method == Method::GET
    }

    /// Sends, and wants success.
    pub(crate) async fn done(self) -> Result<()> {
        self.send().await.map(drop)
    }

    /// Sends, and reads the answer.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T> {
        self.send().await?.json()
    }

    /// Sends, and reads the answer; none when there is no such thing.
    pub(crate) async fn found<T: DeserializeOwned>(self) -> Result<Option<T>> {
        match self.send().await {
            Ok(reply) => reply.json().map(Some),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Asks again and again until there is no such thing.
    pub(crate) async fn gone(self) -> Result<()> {
        let mut poll = Poll::new(&self.session.config.timing);
        loop {
            match self.clone().send().await {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                answer => drop(answer?),
            }
            poll.pause().await;
        }
    }

    /// Sends with the scope's token; once more with a new one if it was refused.
    pub(crate) async fn send(self) -> Result<Reply> {
        let grant = self.session.grant(&self.scope).await?;
        match self.exchange(Some(&grant)).await {
            Err(e) if e.kind() == ErrorKind::Unauthenticated => {
                let grant = self.session.renew(&self.scope, &grant).await?;
                self.exchange(Some(&grant)).await
            }
            answer => answer,
        }
    }

    /// Sends, with patience for a service that asks for it and for connections that broke before an answer.
    pub(crate) async fn exchange(&self, grant: Option<&Grant>) -> Result<Reply> {
        let url = self.url(grant)?;
        let mut broken = false;
        let mut round = 0;
        loop {
            let answer = {
                let _permit = self
                    .session
                    .gate(self.service)
                    .acquire()
                    .await
                    .map_err(|_| Error::new(ErrorKind::Internal, "session.closed", "the session is closed"))?;
                self.once(&url, grant).await
            };
            match answer {
                Ok(reply) => return Ok(reply),
                Err(Failure::Broken(_)) if !broken && (self.is_question() || self.method != Method::POST) => {
                    broken = true
                }
                Err(Failure::Later(pause, _)) if round < PATIENCE_ROUNDS => {
                    round += 1;
                    tokio::time::sleep(pause).await;
                }
                Err(Failure::Later(_, e) | Failure::Broken(e) | Failure::Final(e)) => return Err(e),
            }
        }
    }

    pub(crate) async fn once(&self, url: &Url, grant: Option<&Grant>) -> Result<Reply, Failure> {
        let timing = &self.session.config.timing;
        let usual = if self.method == Method::GET {
            timing.read
        } else {
            timing.change
        };
        let mut request = self
            .session
            .http
            .request(self.method.clone(), url.clone())
            .header("accept", "application/json")
            .timeout(self.timeout.unwrap_or(usual));
        if let Some(grant) = grant {
            let mut token = HeaderValue::from_str(grant.token.expose_secret()).map_err(|_| {
                self.error(
                    ErrorKind::Rejected,
                    "identity.malformed",
                    "the token is not a header value",
                )
            })?;
            token.set_sensitive(true);
            request = request.header("x-auth-token", token);
        }
        if let Some(version) = self.version {
            request = request.header("openstack-api-version", format!("{} {version}", self.service.as_str()));
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        } else if self.method != Method::GET {
            // Keystone under uwsgi resets a kept connection after a change without body.
            request = request.header("connection", "close");
        }
        let response = request.send().await.map_err(|e| self.unanswered(e))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(response).await?;
        tracing::debug!(
            service = self.service.as_str(), method = %self.method, path = %self.path.join("/"), status = status.as_u16(),
            request = request_id(&headers).unwrap_or("-"), "openstack"
        );
        if status.is_success() {
            return Ok(Reply {
                body,
                headers,
                service: self.service,
            });
        }
        let mut error = refusal(self.service, status.as_u16(), &body).with("call", self.name());
        if let Some(id) = request_id(&headers) {
            error = error.with("request_id", id);
        }
        let pause = headers
            .get("retry-after")
            .and_then(|v| v.to_str().ok()?.trim().parse::<u64>().ok());
        match (error.kind(), pause) {
            // A full quota comes with `Retry-After: 0` from Cinder and does not pass: only `Unavailable` is waited for.
            (ErrorKind::Unavailable, Some(seconds)) if Duration::from_secs(seconds) <= timing.retry_after_max => Err(
                Failure::Later(Duration::from_secs(seconds).max(timing.poll_first), error),
            ),
            (ErrorKind::Unavailable, Some(seconds)) => Err(Failure::Final(error.with("retry_after_seconds", seconds))),
            _ if status == StatusCode::BAD_GATEWAY && self.method == Method::GET => Err(Failure::Broken(error)),
            _ => Err(Failure::Final(error)),
        }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unanswered(e))? {
            if body.len() + chunk.len() > ANSWER_MAX {
                let error = self.error(
                    ErrorKind::Rejected,
                    "answer.too_large",
                    "the service's answer is too large",
                );
                return Err(Failure::Final(error));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What it means that no answer came.
    fn unanswered(&self, e: reqwest::Error) -> Failure {
        // The address is in our own context; reqwest's message would repeat it.
        let e = e.without_url();
        if e.is_connect() && is_certificate(&e) {
            let error = self.error(
                ErrorKind::Rejected,
                "certificate",
                "the service's certificate is not trusted",
            );
            return Failure::Final(
                error
                    .with_field("ca_file")
                    .with_remedy("give the authority's certificate in ca_file")
                    .with_source(e),
            );
        }
        if e.is_connect() {
            let error = self.error(ErrorKind::Unavailable, "unreachable", "the service cannot be reached");
            return Failure::Final(self.unreached(error).with_source(e));
        }
        // A question may simply be asked again; of a change nobody knows whether it will be carried out.
        let kind = if self.is_question() {
            ErrorKind::Unavailable
        } else {
            ErrorKind::Timeout
        };
        if e.is_timeout() {
            let error = self.error(kind, "no_answer", "the service does not answer");
            return Failure::Final(self.unreached(error).with_source(e));
        }
        let error = self.error(kind, "broken", "the connection to the service broke");
        Failure::Broken(self.unreached(error).with_source(e))
    }

    /// What to do about a service that is not there: only the identity service's address is ours to give.
    fn unreached(&self, error: Error) -> Error {
        match self.service {
            Service::Identity => error
                .with_field("auth_url")
                .with("auth_url", &self.session.config.auth_url)
                .with_remedy("check the address, and that the identity service runs and can be reached from here"),
            _ => error.with_field("region").with_remedy(
                "check that the service runs and that its address in the catalogue can be reached from here",
            ),
        }
    }

    fn error(&self, kind: ErrorKind, code: &str, message: &str) -> Error {
        Error::new(kind, format!("{}.{code}", self.service.as_str()), message)
            .with("service", self.service.as_str())
            .with("call", self.name())
    }

    fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }

    fn url(&self, grant: Option<&Grant>) -> Result<Url> {
        let config = &self.session.config;
        let mut url = match grant {
            Some(grant) => grant.endpoint(self.service, config)?,
            None => config.auth_url.clone(),
        };
        // A segment of this kind would make the call mean another thing, e.g. the list instead of the one.
        if let Some(bad) = self.path.iter().find(|s| s.is_empty() || *s == "." || *s == "..") {
            let error = self.error(
                ErrorKind::Invalid,
                "id",
                "an id in the call is empty or a path of its own",
            );
            return Err(error.with("id", format!("{bad:?}")));
        }
        url.path_segments_mut()
            .map_err(|()| self.error(ErrorKind::Rejected, "endpoint", "the service's address takes no path"))?
            .pop_if_empty()
            .extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

/// Why a call was not answered as wished.
pub(crate) enum Failure {
    /// The service asked to come back after a pause.
    Later(Duration, Error),
    /// No answer; whether the call arrived is open.
    Broken(Error),
    /// Anything else.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Final(e)
    }
}

/// Whether a connection failed for the other side's certificate, which no repetition mends. The TLS library's error type
/// is hidden below several others; its words are stable.
fn is_certificate(e: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(e), |e| e.source()).any(|e| e.to_string().contains("invalid peer certificate"))
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    let names = ["x-openstack-request-id", "x-compute-request-id"];
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok())
}

impl Reply {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|e| malformed(self.service, &e))
    }
}

/// An answer that is not what the API says. Only the place is told: answers may hold secrets (`adminPass`).
pub(crate) fn malformed(service: Service, e: &serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Rejected,
        format!("{}.malformed", service.as_str()),
        "the service's answer has not the form its API describes",
    )
    .with("at", format!("line {} column {}", e.line(), e.column()))
    .with("why", form(e))
}

/// Serde's reason without the values it quotes: missing fields and types, which are ours.
fn form(e: &serde_json::Error) -> String {
    let text = e.to_string();
    if text.starts_with("missing field") {
        text
    } else {
        format!("{:?} error", e.classify())
    }
}
