//! What a service's refusal means. One table from (service, status, body) to an [`ErrorKind`], learnt on the real
//! services: a full quota alone is 403 in Nova, 409 in Neutron and 413 in Cinder. Pure; no I/O.

use ns_core::{Error, ErrorKind};
use serde_json::Value;

/// The services this crate talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Service {
    /// Keystone.
    Identity,
    /// Nova.
    Compute,
    /// Placement.
    Placement,
    /// Neutron.
    Network,
    /// Cinder.
    Volume,
}

impl Service {
    pub(crate) const ALL: [Self; 5] = [
        Self::Identity,
        Self::Compute,
        Self::Placement,
        Self::Network,
        Self::Volume,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Compute => "compute",
            Self::Placement => "placement",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }

    /// Its names in the catalogue, best first.
    pub(crate) const fn catalog_types(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Compute => &["compute"],
            Self::Placement => &["placement"],
            Self::Network => &["network"],
            Self::Volume => &["volumev3", "block-storage", "block-store"],
        }
    }
}

/// The service's own message, and its own name of the failure where it gives one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    message: String,
    name: Option<String>,
}

/// Longest part of a service's message that is kept, in characters.
const MESSAGE_MAX: usize = 500;

/// Turns a refusal into an error. The body is the service's; only its message is kept.
pub(crate) fn refusal(service: Service, status: u16, body: &[u8]) -> Error {
    let said = said(body);
    let kind = kind(service, status, &said);
    let code = match &said.name {
        Some(name) => format!("{}.{name}", service.as_str()),
        None => format!("{}.{kind}", service.as_str()),
    };
    let message = if said.message.is_empty() {
        format!("the service answered {status}")
    } else {
        said.message
    };
    let error = Error::new(kind, code, message)
        .with("service", service.as_str())
        .with("status", status);
    match kind {
        ErrorKind::Unauthenticated => error
            .with_field("credentials")
            .with_remedy("check the user, the password, the project, and that the user has a role in it"),
        ErrorKind::Denied => error
            .with_field("credentials")
            .with_remedy("give the user the role admin in the project"),
        ErrorKind::Quota => error.with_remedy("raise the project's quota or free what it does not need"),
        _ => error,
    }
}

fn kind(service: Service, status: u16, said: &Said) -> ErrorKind {
    let text = said.message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match (service, status) {
        (_, 401) => ErrorKind::Unauthenticated,
        // Nova answers a full quota like a missing right; the words tell.
        (Service::Compute, 403) if says(&["quota exceeded", "exceeds quota"]) => ErrorKind::Quota,
        (_, 403) => ErrorKind::Denied,
        (_, 404) => ErrorKind::NotFound,
        (_, 405 | 406 | 501) => ErrorKind::Unsupported,
        (_, 408 | 425 | 429) => ErrorKind::Unavailable,
        (Service::Network, 409) if matches!(said.name.as_deref(), Some("OverQuota" | "IpAddressGenerationFailure")) => {
            ErrorKind::Quota
        }
        (_, 409) => ErrorKind::Conflict,
        (_, 413) if says(&["rate"]) && !says(&["quota", "exceeded"]) => ErrorKind::Unavailable,
        (_, 413) => ErrorKind::Quota,
        // Cinder answers much with 400 that others answer with 409 or 503.
        (Service::Volume, 400) if says(&["service is unavailable at this time"]) => ErrorKind::Unavailable,
        (Service::Volume | Service::Compute, 400)
            if says(&[
                "already managed",
                "volume status must be",
                "already attached",
                "status must be available",
                "still in use",
            ]) =>
        {
            ErrorKind::Conflict
        }
        (_, 500..) => ErrorKind::Unavailable,
        _ => ErrorKind::Rejected,
    }
}

fn said(body: &[u8]) -> Said {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Said {
            message: plain(&String::from_utf8_lossy(body)),
            name: None,
        };
    };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(plain);
    // Neutron: {"NeutronError": {"type", "message"}}, or a plain text there.
    if let Some(error) = value.get("NeutronError") {
        return Said {
            message: text(error, "message").unwrap_or_else(|| plain(error.as_str().unwrap_or_default())),
            name: text(error, "type").filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric())),
        };
    }
    // Placement: {"errors": [{"title", "detail"}]}.
    if let Some(error) = value.get("errors").and_then(|errors| errors.get(0)) {
        let message = text(error, "detail")
            .or_else(|| text(error, "title"))
            .unwrap_or_default();
        return Said { message, name: None };
    }
    // Keystone {"error": {..}}, Nova and Cinder {"<fault>": {..}}, Glance at the top.
    let inner = value
        .as_object()
        .and_then(|o| o.values().find(|v| v.get("message").is_some()));
    Said {
        message: text(inner.unwrap_or(&value), "message").unwrap_or_default(),
        name: None,
    }
}

/// Markup and control characters out, length bounded.
fn plain(text: &str) -> String {
    let mut depth = 0_usize;
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => {
                depth += 1;
                out.push(' ');
            }
            '>' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            c if c.is_control() || c.is_whitespace() => out.push(' '),
            c => out.push(c),
        }
    }
    let words: Vec<_> = out.split_whitespace().collect();
    let joined = words.join(" ");
    match joined.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorKind::*;

    /// Bodies as the real services sent them (lab facts §2, §5).
    #[test]
    fn real_refusals_have_their_kind() {
        let cinder_quota = r#"{"overLimit": {"code": 413, "message": "VolumeLimitExceeded: Maximum number of volumes allowed (18) exceeded for quota 'volumes'.", "retryAfter": "0"}}"#;
        let nova_quota = r#"{"forbidden": {"code": 403, "message": "Quota exceeded for instances: Requested 1, but already used 4 of 4 instances"}}"#;
        let nova_policy = r#"{"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:os-hypervisors:list-detail to be performed."}}"#;
        let neutron_policy = r#"{"NeutronError": {"type": "PolicyNotAuthorized", "message": "(rule:create_network and rule:create_network:router:external) is disallowed by policy", "detail": ""}}"#;
        let neutron_quota = r#"{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}}"#;
        let neutron = |name: &str| format!(r#"{{"NeutronError": {{"type": "{name}", "message": "m", "detail": ""}}}}"#);
        let keystone = r#"{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}"#;
        let bad = |message: &str| format!(r#"{{"badRequest": {{"code": 400, "message": "{message}"}}}}"#);
        let computefault =
            |code: u16, message: &str| format!(r#"{{"computeFault": {{"code": {code}, "message": "{message}"}}}}"#);
        let cases = [
            (Service::Identity, 401, keystone.to_owned(), Unauthenticated, "identity.unauthenticated"),
            (Service::Compute, 403, nova_quota.into(), Quota, "compute.quota"),
            (Service::Compute, 403, nova_policy.into(), Denied, "compute.denied"),
            (Service::Network, 403, neutron_policy.into(), Denied, "network.PolicyNotAuthorized"),
            (Service::Network, 409, neutron_quota.into(), Quota, "network.OverQuota"),
            (Service::Network, 409, neutron("IpAddressGenerationFailure"), Quota, "network.IpAddressGenerationFailure"),
            (Service::Network, 409, neutron("IpAddressAlreadyAllocated"), Conflict, "network.IpAddressAlreadyAllocated"),
            (Service::Network, 409, neutron("MacAddressInUse"), Conflict, "network.MacAddressInUse"),
            (Service::Network, 409, neutron("SecurityGroupDefaultAlreadyExists"), Conflict, "network.SecurityGroupDefaultAlreadyExists"),
            (Service::Network, 409, neutron("NetworkInUse"), Conflict, "network.NetworkInUse"),
            (Service::Network, 400, neutron("InvalidInput"), Rejected, "network.InvalidInput"),
            (Service::Network, 404, neutron("PortNotFound"), NotFound, "network.PortNotFound"),
            (Service::Volume, 413, cinder_quota.into(), Quota, "volume.quota"),
            (Service::Compute, 413, r#"{"overLimit": {"code": 413, "message": "This request was rate-limited.", "retryAfter": "9"}}"#.into(), Unavailable, "compute.unavailable"),
            (Service::Volume, 400, bad("Unable to manage existing volume. The volume is already managed"), Conflict, "volume.conflict"),
            (Service::Volume, 400, bad("Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots"), Conflict, "volume.conflict"),
            (Service::Compute, 400, bad("Invalid volume: volume x is already attached to instances: y"), Conflict, "compute.conflict"),
            (Service::Compute, 400, bad("Invalid volume: Volume x status must be available or downloading to reserve, but the current status is in-use. (HTTP 400)"), Conflict, "compute.conflict"),
            (Service::Volume, 400, bad("Service is unavailable at this time."), Unavailable, "volume.unavailable"),
            (Service::Volume, 400, bad("Host 'x@y#z' not found"), Rejected, "volume.rejected"),
            (Service::Volume, 400, bad("Malformed request url"), Rejected, "volume.rejected"),
            (Service::Compute, 400, bad("Compute host no-such-host could not be found."), Rejected, "compute.rejected"),
            (Service::Compute, 400, bad("The requested availability zone is not available"), Rejected, "compute.rejected"),
            (Service::Compute, 409, r#"{"conflictingRequest": {"code": 409, "message": "Port p is still in use."}}"#.into(), Conflict, "compute.conflict"),
            (Service::Compute, 409, r#"{"conflictingRequest": {"code": 409, "message": "Cannot 'start' instance i while it is in vm_state active"}}"#.into(), Conflict, "compute.conflict"),
            (Service::Compute, 406, computefault(406, "Version 2.999 is not supported by the API."), Unsupported, "compute.unsupported"),
            (Service::Compute, 500, computefault(500, "Unexpected API Error. <class 'nova.exception.CinderConnectionFailed'>"), Unavailable, "compute.unavailable"),
            (Service::Network, 503, "The Keystone service is temporarily unavailable.".into(), Unavailable, "network.unavailable"),
            (Service::Placement, 404, r#"{"errors": [{"status": 404, "title": "Not Found", "detail": "No resource provider"}]}"#.into(), NotFound, "placement.not_found"),
            (Service::Volume, 404, r#"{"itemNotFound": {"code": 404, "message": "Volume x could not be found."}}"#.into(), NotFound, "volume.not_found"),
            (Service::Compute, 429, "slow down".into(), Unavailable, "compute.unavailable"),
            (Service::Compute, 302, String::new(), Rejected, "compute.rejected"),
        ];
        for (service, status, body, kind, code) in cases {
            let error = refusal(service, status, body.as_bytes());
            assert_eq!((error.kind(), error.code()), (kind, code), "{status} {body}");
            assert!(!error.message().is_empty());
        }
    }

    #[test]
    fn messages_are_plain_and_bounded() {
        let glance = br#"{"message": "No image found with ID x<br /><br />\n\n", "code": "404 Not Found", "title": "Not Found"}"#;
        assert_eq!(said(glance).message, "No image found with ID x");
        assert_eq!(
            said(b"<html><h1>502 Bad Gateway</h1></html>").message,
            "502 Bad Gateway"
        );
        assert_eq!(said(&[b'x'; 9000]).message.chars().count(), MESSAGE_MAX + 1);
        assert_eq!(
            said("é".repeat(600).as_bytes()).message.chars().count(),
            MESSAGE_MAX + 1
        );
        assert_eq!(said(br#"{"NeutronError": "text only"}"#).message, "text only");
        assert_eq!(
            refusal(Service::Compute, 500, b"[1]").message(),
            "the service answered 500"
        );
    }
}
