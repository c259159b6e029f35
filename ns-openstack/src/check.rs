//! The connection check (CL-02): log in afresh, look for the services, try the rights that recovery needs. Changes
//! nothing.

use crate::auth::{Grant, Scope};
use crate::config::Auth;
use crate::error::Service;
use crate::session::Session;
use ns_core::provider::{CloudReport, TenantQuota};
use ns_core::{ErrorKind, Result};
use serde_json::{Value, json};

/// What this crate asks of the services at least.
const NEEDED: [(Service, &str, (u32, u32)); 2] = [
    (Service::Compute, "a chosen host", (2, 74)),
    (Service::Volume, "volume groups", (3, 58)),
];
/// Roles that are needed, or come with the needed one.
const KNOWN_ROLES: [&str; 4] = ["admin", "manager", "member", "reader"];
/// From this many seconds on a clock is worth a word: token times and log entries stop fitting together.
const SKEW_SECONDS: i64 = 30;

pub(crate) async fn check(session: &Session) -> Result<CloudReport> {
    // Not from the cache: that could be a token of a password that is valid no more.
    let (grant, clock_skew_seconds) = session.log_in(&Scope::Home).await?;
    session.forget(&Scope::Home).await;
    let mut report = CloudReport {
        cloud_id: session.config.auth_url.to_string(),
        user: format!("{} in project {}", grant.user.name, grant.project.name),
        missing_rights: Vec::new(),
        excess_rights: excess(&grant),
        clock_skew_seconds,
        services: Vec::new(),
        new_tenant: TenantQuota::default(),
        warnings: Vec::new(),
    };
    for service in Service::ALL {
        match grant.endpoint(service, &session.config) {
            Ok(_) => {
                let version = version(session, service).await?;
                let shown = version.map_or_else(|| "unknown".to_owned(), |(major, minor)| format!("{major}.{minor}"));
                for (_, what, (major, minor)) in NEEDED.iter().filter(|(s, ..)| *s == service) {
                    if version.is_some_and(|version| version < (*major, *minor)) {
                        let older = format!("{} {shown} is older than {major}.{minor}: no {what}", service.as_str());
                        report.warnings.push(older);
                    }
                }
                report.services.push((service.as_str().to_owned(), shown));
            }
            // Capacity is then taken from the compute service.
            Err(_) if service == Service::Placement => {
                report
                    .warnings
                    .push("no placement service: capacity is told without overcommit".to_owned());
            }
            Err(e) => return Err(e),
        }
    }
    report.missing_rights = missing(session).await?;
    report.new_tenant = new_tenant(session, &grant.project.id).await?;
    report.warnings.extend(warnings(session, clock_skew_seconds));
    report.warnings.extend(telling(session).await);
    Ok(report)
}

/// Whether the services answer (CL-11): a log-in, and what each service says of itself.
pub(crate) async fn probe(session: &Session) -> Result<()> {
    let (grant, _) = session.log_in(&Scope::Home).await?;
    for service in Service::ALL {
        if service == Service::Identity || grant.endpoint(service, &session.config).is_err() {
            continue;
        }
        match session.root(service).await {
            // Not every cloud lets its version page through; the service answered.
            Err(e) if e.kind().is_transient() => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

fn excess(grant: &Grant) -> Vec<String> {
    let known = |name: &str| KNOWN_ROLES.iter().any(|role| role.eq_ignore_ascii_case(name));
    let roles = grant.roles.iter().filter(|role| !known(&role.name));
    roles.map(|role| format!("role {}", role.name)).collect()
}

fn warnings(session: &Session, skew: i64) -> Vec<String> {
    let mut warnings = Vec::new();
    if session.config.auth_url.scheme() == "http" {
        warnings.push("plain http: password and tokens can be read on the way (SEC-08)".to_owned());
    }
    if matches!(session.config.auth, Auth::ApplicationCredential { .. }) {
        warnings.push("an application credential recovers into its own project only".to_owned());
    }
    if skew.abs() >= SKEW_SECONDS {
        warnings.push(format!("the cloud's clock differs by {skew} s"));
    }
    warnings
}

/// What each service gives a project that nobody has said anything about.
async fn new_tenant(session: &Session, project: &str) -> Result<TenantQuota> {
    let told = async |service, path: &[&str], of: &str| match session.get(service, path).json::<Value>().await {
        Ok(mut answer) => Ok(answer.get_mut(of).map(Value::take).unwrap_or_default()),
        // Whoever may not ask is not told; nor is it where the service knows no such question.
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Unsupported
            ) =>
        {
            Ok(Value::Null)
        }
        Err(e) => Err(e),
    };
    let defaults = ["os-quota-sets", project, "defaults"];
    let compute = told(Service::Compute, &defaults, "quota_set").await?;
    let volume = told(Service::Volume, &defaults, "quota_set").await?;
    let network = told(Service::Network, &["quotas", project, "default"], "quota").await?;
    // Without limit is -1.
    let limit = |of: &Value, name: &str| of.get(name).and_then(Value::as_u64);
    Ok(TenantQuota {
        instances: limit(&compute, "instances"),
        vcpus: limit(&compute, "cores"),
        memory_mib: limit(&compute, "ram"),
        volumes: limit(&volume, "volumes"),
        volume_gib: limit(&volume, "gigabytes"),
        networks: limit(&network, "network"),
        ports: limit(&network, "port"),
        floating_ips: limit(&network, "floatingip"),
        security_groups: limit(&network, "security_group"),
    })
}

/// What is amiss with listening to the cloud's notifications: the cloud can be used without them.
async fn telling(session: &Session) -> Vec<String> {
    let Some(broker) = &session.broker else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if session.config.notifications.as_ref().is_some_and(|config| !config.tls) {
        warnings.push("plain AMQP: the message broker's password can be read on the way (SEC-10)".to_owned());
    }
    match broker.check().await {
        Ok(missing) => warnings.extend(missing.iter().map(|exchange| {
            format!("no exchange {exchange} at the message broker yet: its service has notifications off, or told nothing so far")
        })),
        Err(e) => warnings.push(format!("notifications cannot be listened to: {e}")),
    }
    warnings
}

/// The rights that are not there, each tried by a call that changes nothing.
async fn missing(session: &Session) -> Result<Vec<String>> {
    use Service::{Compute, Identity, Volume};
    const READS: [(Service, &[&str], &str); 7] = [
        (Identity, &["projects"], "identity: list projects"),
        (Compute, &["os-hypervisors"], "compute: list hypervisors"),
        (
            Compute,
            &["os-availability-zone", "detail"],
            "compute: list hosts of zones",
        ),
        (Compute, &["servers"], "compute: list servers of all projects"),
        (Volume, &["scheduler-stats", "get_pools"], "volume: list pools"),
        (Volume, &["os-services"], "volume: list services"),
        (Compute, &["os-services"], "compute: list services"),
    ];
    let mut missing = Vec::new();
    for (service, path, right) in READS {
        let mut call = session.get(service, path);
        if right.ends_with("of all projects") {
            call = call.query("all_tenants", "True").query("limit", "1");
        }
        match call.done().await {
            Err(e) if e.kind() == ErrorKind::Denied => missing.push(right.to_owned()),
            answer => answer?,
        }
    }
    // No such host: with the right it is refused for that (400), without it for the right (403).
    let nowhere = json!({"volume": {"host": "neverstop-check@none#none", "ref": {"source-name": "neverstop-check"}}});
    match session.post(Volume, &["os-volume-manage"], nowhere).done().await {
        Err(e) if e.kind() == ErrorKind::Denied => missing.push("volume: manage and unmanage".to_owned()),
        Err(e) if e.kind().is_transient() || e.kind() == ErrorKind::Unauthenticated => return Err(e),
        _ => {}
    }
    Ok(missing)
}

/// The highest microversion of a service, where it has them.
async fn version(session: &Session, service: Service) -> Result<Option<(u32, u32)>> {
    if service == Service::Network || service == Service::Identity {
        return Ok(Some(if service == Service::Network { (2, 0) } else { (3, 0) }));
    }
    let body: Value = match session.root(service).await {
        Ok(body) => body,
        // Not every cloud lets its version page through.
        Err(e) if !e.kind().is_transient() => return Ok(None),
        Err(e) => return Err(e),
    };
    let all = body
        .get("version")
        .into_iter()
        .chain(body.get("versions").and_then(Value::as_array).into_iter().flatten());
    let highest = |version: &Value| {
        let text = ["max_version", "version"]
            .iter()
            .find_map(|key| version.get(*key)?.as_str().filter(|t| !t.is_empty()))?;
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    Ok(all.filter_map(highest).max())
}

#[cfg(test)]
mod tests;
