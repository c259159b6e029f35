//! What the fuzz targets call (`cargo xtask fuzz`): what a cloud, its broker or its file says is read, and made into what the
//! engine sees of it. Whatever the bytes are, nothing here may panic.

use crate::auth::Grant;
use crate::error::{Service, refusal};
use crate::session::Session;
use crate::{Auth, OpenStackConfig, clouds_yaml, inventory, notices};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// Makes what is no part of the question: a session that reaches nobody.
static SESSION: LazyLock<Option<Session>> = LazyLock::new(|| {
    let (id, secret) = ("id".to_owned(), "secret".to_owned().into());
    let config = OpenStackConfig::new("https://cloud.example:5000", Auth::ApplicationCredential { id, secret });
    let open = |config| OpenStackConfig {
        allow_http: true,
        ..config
    };
    config.map(open).and_then(Session::closed).ok()
});

/// Answers of the services: log-in and catalogue, pages and single things, refusals.
pub fn answers(bytes: &[u8]) {
    let Some(session) = SESSION.as_ref() else {
        unreachable!("the configuration is a good one");
    };
    if let Ok(grant) = Grant::read("token".to_owned().into(), bytes) {
        let _ = (grant.is_fresh(Timestamp::UNIX_EPOCH), grant.has_role("admin"));
        for service in Service::ALL {
            let _ = grant.endpoint(service, &session.config);
        }
    }
    inventory::read_as_each(session, bytes);
    for (service, status) in Service::ALL.into_iter().zip([401, 403, 500, 409, 413]) {
        let error = refusal(service, status, bytes);
        assert!(!error.message().is_empty(), "a refusal says something");
    }
}

/// The body of a message, bare and in oslo's envelope.
pub fn notification(bytes: &[u8]) {
    let envelope = json!({"oslo.version": "2.0", "oslo.message": String::from_utf8_lossy(bytes)});
    for body in [bytes, envelope.to_string().as_bytes()] {
        let notices = notices::read_notification(body).unwrap_or_default();
        let size: usize = notices.iter().map(|notice| notice.id.len()).sum();
        assert!(
            notices.len() <= 200 && size <= 200 * 300,
            "a message gives a bounded number of notices"
        );
    }
}

/// What a broker sends.
pub fn frames(bytes: &[u8]) {
    notices::read_frames(bytes);
}

/// `clouds.yaml`, laid over itself as `secure.yaml` is over it.
pub fn clouds_yaml(bytes: &[u8]) {
    let Ok(mut clouds) = clouds_yaml::tree(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let secure = clouds.clone();
    clouds_yaml::overlay(&mut clouds, secure);
    let named = clouds.get("clouds").and_then(Value::as_object);
    for name in named.into_iter().flat_map(|clouds| clouds.keys()) {
        let _ = clouds_yaml::parse(clouds.clone(), name);
    }
}
