//! A small client for the clouds' APIs: a token, JSON in, JSON out. Knows where the APIs are, not what is asked of them.
use super::cloud::{Api, Cloud, PASSWORD};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{fs::File, path::Path, time::Duration};
use ureq::http::Request;

/// Longer than any call of the lab takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A client with a token.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    cloud: Cloud<'a>,
    agent: ureq::Agent,
    token: String,
    /// The project the token is for.
    pub(crate) project: String,
}

/// Status and body of an answer; the body is null when there is none.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// JSON, or the text as a JSON string.
    pub(crate) body: Value,
}

/// Whether an API answers at all, and how long it takes to.
///
/// # Errors
/// No connection, or a status of 500 and more.
pub(crate) fn probe(cloud: Cloud<'_>, api: Api) -> Result<Duration> {
    let begun = std::time::Instant::now();
    let path = if api == Api::Identity { "/v3" } else { "/" };
    let answer = agent(Duration::from_secs(10))
        .get(format!("{}{path}", cloud.root_url(api)))
        .call()?;
    if answer.status().as_u16() >= 500 {
        bail!("{} answers {}", api.service(), answer.status());
    }
    Ok(begun.elapsed())
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        // the servers here close behind some answers without saying so
        .max_idle_connections(0)
        // glance lists its versions with status 300 and no place to go on to
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into()
}

impl<'a> Client<'a> {
    /// Logs in.
    ///
    /// # Errors
    /// Keystone does not answer, or refuses.
    pub(crate) fn login(cloud: Cloud<'a>, user: &str, project: &str) -> Result<Self> {
        let domain = json!({"name": "Default"});
        let body = json!({"auth": {
            "identity": {"methods": ["password"],
                "password": {"user": {"name": user, "domain": domain, "password": PASSWORD}}},
            "scope": {"project": {"name": project, "domain": domain}},
        }});
        let agent = agent(TIMEOUT);
        let url = format!("{}/v3/auth/tokens", cloud.root_url(Api::Identity));
        let mut answer = agent.post(url).send_json(&body).context("ask for a token")?;
        let token = answer
            .headers()
            .get("X-Subject-Token")
            .and_then(|token| token.to_str().ok())
            .map(str::to_owned);
        let body: Value = answer.body_mut().read_json().context("read the token")?;
        let project = body["token"]["project"]["id"].as_str().map(str::to_owned);
        match (token, project) {
            (Some(token), Some(project)) => Ok(Self {
                cloud,
                agent,
                token,
                project,
            }),
            _ => bail!("{}: {user} gets no token: {}", cloud.name(), body["error"]["message"]),
        }
    }

    /// One call; any status is an answer.
    pub(crate) fn call(&self, method: &str, api: Api, path: &str, body: Option<&Value>) -> Result<Answer> {
        let request = self.request(method, api, path);
        let sent = match body {
            Some(body) => {
                let request = request
                    .header("Content-Type", "application/json")
                    .body(serde_json::to_vec(body)?)?;
                self.agent.run(request)
            }
            None if matches!(method, "POST" | "PUT" | "PATCH") => self.agent.run(request.body(Vec::new())?),
            None => self.agent.run(request.body(())?),
        };
        let mut answer = sent.with_context(|| format!("{}: {method} {path}", self.cloud.name()))?;
        let text = answer.body_mut().read_to_string()?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        };
        Ok(Answer {
            status: answer.status().as_u16(),
            body,
        })
    }

    /// One call that has to succeed.
    pub(crate) fn ask(&self, method: &str, api: Api, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.call(method, api, path, body)?;
        if !(200..300).contains(&answer.status) {
            bail!(
                "{}: {method} {path}: {} {}",
                self.cloud.name(),
                answer.status,
                answer.body
            );
        }
        Ok(answer.body)
    }

    /// Reads.
    pub(crate) fn get(&self, api: Api, path: &str) -> Result<Value> {
        self.ask("GET", api, path, None)
    }

    /// The first item of a list that fits.
    pub(crate) fn find(&self, api: Api, path: &str, key: &str, fits: impl Fn(&Value) -> bool) -> Result<Option<Value>> {
        let list = self.get(api, path)?;
        let items = list[key]
            .as_array()
            .with_context(|| format!("{path}: no {key} in the answer"))?;
        Ok(items.iter().find(|item| fits(item)).cloned())
    }

    /// The item of this kind and name; created with `body` when there is none. `kind` is the singular of the API.
    pub(crate) fn ensure(&self, api: Api, path: &str, kind: &str, body: &Value) -> Result<Value> {
        let found = self.find(api, path, &format!("{kind}s"), |item| item["name"] == body["name"])?;
        match found {
            Some(item) => Ok(item),
            None => self.create(api, path, kind, body),
        }
    }

    /// Creates an item.
    pub(crate) fn create(&self, api: Api, path: &str, kind: &str, body: &Value) -> Result<Value> {
        let mut answer = self.ask("POST", api, path, Some(&json!({ kind: body })))?;
        Ok(answer[kind].take())
    }

    /// Sends a file as the data of an image.
    pub(crate) fn upload(&self, image: &str, file: &Path) -> Result<()> {
        let path = format!("/v2/images/{image}/file");
        let content = File::open(file).with_context(|| format!("open {}", file.display()))?;
        let request = self
            .request("PUT", Api::Image, &path)
            .header("Content-Type", "application/octet-stream");
        let mut answer = self.agent.run(request.body(content)?).context("upload the image")?;
        if !answer.status().is_success() {
            bail!(
                "upload the image: {} {}",
                answer.status(),
                answer.body_mut().read_to_string()?
            );
        }
        Ok(())
    }

    /// Gives an image another name.
    pub(crate) fn rename_image(&self, image: &str, name: &str) -> Result<()> {
        let body = json!([{"op": "replace", "path": "/name", "value": name}]);
        let request = self
            .request("PATCH", Api::Image, &format!("/v2/images/{image}"))
            .header("Content-Type", "application/openstack-images-v2.1-json-patch");
        let mut answer = self.agent.run(request.body(serde_json::to_vec(&body)?)?)?;
        if !answer.status().is_success() {
            bail!(
                "rename the image: {} {}",
                answer.status(),
                answer.body_mut().read_to_string()?
            );
        }
        Ok(())
    }

    fn request(&self, method: &str, api: Api, path: &str) -> ureq::http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.cloud.root_url(api)))
            .header("X-Auth-Token", &self.token)
            .header("Accept", "application/json");
        match api {
            Api::Compute => request.header("OpenStack-API-Version", "compute 2.74"),
            Api::Placement => request.header("OpenStack-API-Version", "placement 1.36"),
            Api::Volume => request.header("OpenStack-API-Version", "volume 3.60"),
            _ => request,
        }
    }
}

/// The `id` of an item as text; nova's aggregates have numbers.
pub(crate) fn id(item: &Value) -> Result<String> {
    match &item["id"] {
        Value::String(id) => Ok(id.clone()),
        Value::Number(id) => Ok(id.to_string()),
        _ => bail!("no id in {item}"),
    }
}
