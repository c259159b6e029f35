//! Servers: made and waited for, stopped, started, removed. The states that Nova shows on the way are not always what
//! they seem (lab facts §5); the rules for that are here.

use super::{Found, or_gone, tenant_scope};
use crate::error::Service::{self, Compute};
use crate::inventory::servers::{VERSION, power};
use crate::mark::not_ours;
use crate::paging::{Item, List};
use crate::poll::Poll;
use crate::session::Session;
use crate::volume;
use ns_core::model::PowerState;
use ns_core::provider::{CreatedKind, Ref, Spec, Token};
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Instant;

/// First microversion in which a host can be asked for and still goes through the scheduler's filters.
const CREATE: &str = "2.74";

#[derive(Debug, Deserialize)]
struct Server {
    id: String,
    status: String,
    #[serde(default)]
    tenant_id: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    created: String,
    fault: Option<Fault>,
    #[serde(rename = "OS-EXT-STS:task_state", default)]
    task: Option<String>,
    #[serde(rename = "OS-EXT-STS:power_state", default)]
    power: Option<u8>,
    #[serde(rename = "OS-EXT-SRV-ATTR:host", default)]
    host: Option<String>,
    /// Administrators see whether the node answers.
    #[serde(default)]
    host_status: Option<String>,
    #[serde(rename = "os-extended-volumes:volumes_attached", default)]
    volumes: Vec<Attached>,
}

#[derive(Debug, Deserialize)]
struct Attached {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
}

impl Item for Server {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Server {
    fn power(&self) -> PowerState {
        power(&self.status, self.task.as_deref(), self.power)
    }
    fn has(&self, token: &Token) -> bool {
        self.tags.iter().any(|tag| tag == token.as_str())
    }
    fn fault(&self) -> &str {
        self.fault.as_ref().map_or("", |fault| fault.message.as_str())
    }
    fn host_is_down(&self) -> bool {
        matches!(self.host_status.as_deref(), Some("DOWN" | "UNKNOWN"))
    }

    /// No node will build this any more: the scheduler found none, or gave up. While a node has the server, `ERROR` may
    /// pass: a node that comes back clears up with `ERROR` and then carries out the build it had queued.
    fn is_lost(&self) -> bool {
        let fault = self.fault().to_lowercase();
        let scheduler = [
            "no valid host",
            "exhausted all hosts",
            "exceeded maximum number of retries",
            "quota exceeded",
        ];
        self.host.as_deref().is_none_or(str::is_empty) || scheduler.iter().any(|words| fault.contains(words))
    }

    fn failed(&self) -> Error {
        let fault = self.fault();
        let words = fault.to_lowercase();
        let (kind, code) = if words.contains("no valid host") {
            (ErrorKind::Quota, "compute.no_valid_host")
        } else if words.contains("quota") {
            (ErrorKind::Quota, "compute.quota")
        } else {
            (ErrorKind::Rejected, "compute.server_error")
        };
        let message = if fault.is_empty() {
            "the server ended in error"
        } else {
            fault
        };
        Error::new(kind, code, message)
            .with("server", &self.id)
            .with("host", self.host.as_deref().unwrap_or("-"))
    }
}

async fn show(session: &Session, id: &str) -> Result<Option<Server>> {
    #[derive(Deserialize)]
    struct One {
        server: Server,
    }
    let found: Option<One> = session.get(Compute, &["servers", id]).version(VERSION).found().await?;
    Ok(found.map(|found| found.server))
}

async fn existing(session: &Session, id: &str) -> Result<Server> {
    show(session, id)
        .await?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "compute.server", "there is no such server").with("server", id))
}

/// All servers with this token, oldest first.
async fn marked(session: &Session, token: &Token) -> Result<Vec<Server>> {
    let list = List::new(Compute, &["servers", "detail"], "servers")
        .version(VERSION)
        .with("all_tenants", "True")
        .with("tags", token.as_str());
    let mut found: Vec<Server> = list.all(session).await?;
    found.retain(|server| server.has(token));
    found.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    Ok(found)
}

pub(super) async fn find(session: &Session, token: &Token) -> Result<Vec<Found>> {
    Ok(marked(session, token)
        .await?
        .into_iter()
        .map(|server| (server.id, server.tenant_id))
        .collect())
}

pub(super) async fn create(session: &Session, spec: &Spec, token: &Token) -> Result<String> {
    if let Some(server) = marked(session, token).await?.into_iter().next() {
        match settle(session, &server.id).await? {
            Ok(()) => return Ok(server.id),
            // A failed build is not mended by waiting: make room for a new one.
            Err(_) => erase(session, &server.id).await?,
        }
    }
    let (tenant, body) = body(session, spec, token)?;
    let call = session
        .post(Compute, &["servers"], body)
        .version(CREATE)
        .scope(&tenant_scope(tenant));
    let answer: Value = match call.json().await {
        // In the way may be an earlier request for the same server that nobody waited for: the volumes become free, or
        // the next look finds the server.
        Err(conflict) if conflict.kind() == ErrorKind::Conflict => {
            for volume in volumes(spec)? {
                volume::settle(session, volume).await?;
            }
            return Err(conflict);
        }
        answer => answer?,
    };
    let id = answer.pointer("/server/id").and_then(Value::as_str).ok_or_else(|| {
        Error::new(
            ErrorKind::Rejected,
            "compute.malformed",
            "the service does not tell the id of the server it makes",
        )
    })?;
    settle(session, id).await??;
    Ok(id.to_owned())
}

/// The volumes a server is to have.
fn volumes(spec: &Spec) -> Result<Vec<&str>> {
    match spec {
        Spec::Server { volumes, .. } => volumes.iter().map(Ref::id).collect(),
        _ => Err(super::unsupported(spec.kind())),
    }
}

fn body<'a>(session: &Session, spec: &'a Spec, token: &Token) -> Result<(&'a str, Value)> {
    let Spec::Server {
        tenant,
        name,
        flavor,
        keypair,
        ports,
        volumes,
        availability_zone,
        host,
        server_group,
        metadata,
        user_data,
    } = spec
    else {
        return Err(super::unsupported(spec.kind()));
    };
    if volumes.is_empty() {
        let message = "a server needs a volume to boot from";
        return Err(Error::new(ErrorKind::Invalid, "server.volumes", message).with_field("volumes"));
    }
    let mut disks = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        disks.push(json!({
            "uuid": volume.id()?, "source_type": "volume", "destination_type": "volume",
            "boot_index": if index == 0 { 0 } else { -1 }, "delete_on_termination": false}));
    }
    let mut cards = Vec::new();
    for port in ports {
        cards.push(json!({"port": port.id()?}));
    }
    let mut server = json!({
        "name": name, "flavorRef": flavor.id()?, "block_device_mapping_v2": disks, "metadata": metadata, "tags": [token.as_str()],
        "networks": if cards.is_empty() { json!("none") } else { json!(cards) },
    });
    let options = [
        ("key_name", keypair.as_ref().map(Ref::id).transpose()?),
        ("availability_zone", availability_zone.as_deref()),
        ("host", host.as_deref()),
        ("user_data", user_data.as_deref()),
    ];
    for (key, value) in options {
        if let Some(value) = value {
            server[key] = json!(value);
        }
    }
    if session.config.config_drive {
        server["config_drive"] = json!(true);
    }
    let mut body = json!({"server": server});
    if let Some(group) = server_group {
        body["os:scheduler_hints"] = json!({"group": group.id()?});
    }
    Ok((tenant.id()?, body))
}

/// Waits until a server runs; the inner error says that it never will.
async fn settle(session: &Session, id: &str) -> Result<Result<()>> {
    let timing = &session.config.timing;
    let mut poll = Poll::new(timing);
    let mut in_error: Option<Instant> = None;
    loop {
        let Some(server) = show(session, id).await? else {
            let message = "the server was removed while it was made";
            return Ok(Err(
                Error::new(ErrorKind::Conflict, "compute.server_vanished", message).with("server", id)
            ));
        };
        match server.power() {
            PowerState::Running => return Ok(Ok(())),
            PowerState::Stopped => {
                start(session, &id.into()).await?;
                return Ok(Ok(()));
            }
            PowerState::Changing => in_error = None,
            PowerState::Error => {
                let since = *in_error.get_or_insert_with(Instant::now);
                // The reason follows a moment after the state.
                let told = server.fault.is_some() || since.elapsed() >= timing.poll_max;
                let lost = server.is_lost() && told;
                if lost || (since.elapsed() >= timing.error_patience && !server.host_is_down()) {
                    return Ok(Err(server.failed()));
                }
            }
        }
        poll.pause().await;
    }
}

pub(super) async fn remove(session: &Session, id: &str, token: &Token) -> Result<()> {
    if let Some(server) = show(session, id).await? {
        if !server.has(token) {
            return Err(not_ours(CreatedKind::Server, id));
        }
        erase(session, id).await?;
    }
    // Twins, should an answer have been lost once.
    for server in marked(session, token).await? {
        erase(session, &server.id).await?;
    }
    Ok(())
}

/// Deletes a server and returns when it is gone. Its volumes and ports stay.
async fn erase(session: &Session, id: &str) -> Result<()> {
    let timing = &session.config.timing;
    let mut poll = Poll::new(timing);
    let volumes = show(session, id)
        .await?
        .map(|server| server.volumes)
        .unwrap_or_default();
    or_gone(session.delete(Compute, &["servers", id]).done().await)?;
    while let Some(server) = show(session, id).await? {
        if server.status == "SOFT_DELETED" {
            // A cloud with a recycle bin: there, disks and cards would stay in use.
            let body = json!({"forceDelete": null});
            or_gone(session.post(Compute, &["servers", id, "action"], body).done().await)?;
        } else if server.task.is_none() && poll.elapsed() >= timing.error_patience {
            let message = "the server was not removed";
            return Err(Error::new(ErrorKind::Unavailable, "compute.delete_failed", message)
                .with("server", id)
                .with("status", &server.status)
                .with("fault", server.fault()));
        }
        poll.pause().await;
    }
    freed(session, id, &volumes).await
}

/// Waits until volumes are free: Cinder may hear of the server's end after Nova's answer. What stays in use nonetheless is
/// told when the volume is released.
async fn freed(session: &Session, server: &str, volumes: &[Attached]) -> Result<()> {
    #[derive(Deserialize)]
    struct One {
        volume: Volume,
    }
    #[derive(Deserialize)]
    struct Volume {
        status: String,
        #[serde(default)]
        attachments: Vec<Attachment>,
    }
    #[derive(Deserialize)]
    struct Attachment {
        server_id: Option<String>,
    }
    for volume in volumes {
        let mut poll = Poll::new(&session.config.timing);
        while poll.elapsed() < session.config.timing.detach_patience {
            let found: Option<One> = session.get(Service::Volume, &["volumes", &volume.id]).found().await?;
            let busy = found.is_some_and(|One { volume }| {
                let held = volume
                    .attachments
                    .iter()
                    .any(|a| a.server_id.as_deref() == Some(server));
                held || matches!(volume.status.as_str(), "detaching" | "reserved" | "attaching")
            });
            if !busy {
                break;
            }
            poll.pause().await;
        }
    }
    Ok(())
}

/// Stops a server, politely first, and returns when it is off.
pub(crate) async fn stop(session: &Session, id: &ns_core::model::CloudId) -> Result<()> {
    change_power(session, id.as_str(), PowerState::Stopped).await
}

/// Starts a server and returns when it runs.
pub(crate) async fn start(session: &Session, id: &ns_core::model::CloudId) -> Result<()> {
    change_power(session, id.as_str(), PowerState::Running).await
}

/// Asks for a state until it is there. What somebody else does to the server meanwhile is waited for.
async fn change_power(session: &Session, id: &str, wanted: PowerState) -> Result<()> {
    let timing = &session.config.timing;
    let mut poll = Poll::new(timing);
    let mut asked = false;
    loop {
        let server = existing(session, id).await?;
        let now = server.power();
        if now == wanted
            && server.status != "PAUSED"
            && !(wanted == PowerState::Running && server.status == "SUSPENDED")
        {
            return Ok(());
        }
        let late = poll.elapsed() >= timing.error_patience;
        if late && server.host_is_down() {
            let message = "the compute node does not answer; the state of the server is not known";
            return Err(Error::new(ErrorKind::Unavailable, "compute.host_down", message)
                .with("server", id)
                .with("host", server.host.as_deref().unwrap_or("-")));
        }
        if now == PowerState::Error && asked && late {
            return Err(server.failed());
        }
        if now != PowerState::Changing {
            let action = match (wanted, server.status.as_str()) {
                (_, "PAUSED") => "unpause",
                (PowerState::Running, "SUSPENDED") => "resume",
                (PowerState::Running, "SHELVED" | "SHELVED_OFFLOADED") => "unshelve",
                (PowerState::Running, _) => "os-start",
                _ => "os-stop",
            };
            match session
                .post(Compute, &["servers", id, "action"], json!({action: null}))
                .done()
                .await
            {
                Ok(()) => asked = true,
                // In between, its state changed; if it does not for long, the refusal stands.
                Err(e) if e.kind() == ErrorKind::Conflict && !late => {}
                Err(e) => return Err(e.with("server", id).with("state", &server.status)),
            }
        }
        poll.pause().await;
    }
}

/// The last lines of a server's console.
pub(crate) async fn console(session: &Session, id: &ns_core::model::CloudId, lines: u32) -> Result<String> {
    #[derive(Deserialize)]
    struct Console {
        output: Option<String>,
    }
    let body = json!({"os-getConsoleOutput": {"length": lines}});
    let answer: Console = session
        .post(Compute, &["servers", id.as_str(), "action"], body)
        .json()
        .await?;
    Ok(answer.output.unwrap_or_default())
}
