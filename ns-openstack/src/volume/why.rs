//! Why an accepted adoption ended in error. Cinder does not say; what it shows of images and quotas does.

use crate::error::Service::Volume;
use crate::inventory::volume::Pool;
use crate::poll::Poll;
use crate::session::Session;
use ns_core::provider::AdoptSpec;
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Microversion of the list of images that could be managed.
const MANAGEABLE: &str = "3.8";
/// That list opens every image of the pool.
const MANAGEABLE_TIMEOUT: Duration = Duration::from_secs(180);

/// What is known of a failure.
pub(super) enum Why {
    Because(Error),
    /// It failed after the image had got this new name: under that, it can be adopted.
    Renamed(String),
}

#[derive(Debug, Deserialize)]
struct Manageable {
    reference: Reference,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    safe_to_manage: bool,
    #[serde(default)]
    reason_not_safe: Option<String>,
}

/// How often the pool is looked through before an error counts.
const LOOKS: u32 = 4;

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(rename = "source-name", default)]
    source: String,
}

/// Why an accepted adoption ended in error. Cinder does not say; what it shows of image and quota does.
pub(super) async fn not(session: &Session, spec: &AdoptSpec, pool: &Pool, source: &str, volume: &str) -> Result<Why> {
    let failed = |kind, code, message| failed(spec, pool, kind, code, message);
    let images = manageable(session, pool).await?;
    let Some(found) = images.iter().find(|image| image.reference.source == source) else {
        let name = image_name(volume);
        return Ok(match images.iter().any(|image| image.reference.source == name) {
            true => Why::Renamed(name),
            false => because(failed(
                ErrorKind::NotFound,
                "image",
                "there is no such image in the pool",
            )),
        });
    };
    if let Some(full) = full_quota(session, spec.tenant.id()?, &spec.volume_type, found.size).await? {
        let message = format!("the project's quota of {full} is exhausted");
        return Ok(because(
            failed(ErrorKind::Quota, "quota", &message)
                .with("needs_gib", found.size)
                .with_remedy("raise the project's quota or free what it does not need"),
        ));
    }
    let reason = found.reason_not_safe.as_deref().unwrap_or_default();
    Ok(because(match reason {
        "already managed" => failed(
            ErrorKind::Conflict,
            "already_managed",
            "the image belongs to another volume",
        ),
        _ if !found.safe_to_manage => failed(
            ErrorKind::Rejected,
            "image_read_only",
            "the image is a replica or in use: the cloud cannot rename it",
        )
        .with("reason", reason)
        .with_remedy("promote the image and let nobody have it open"),
        _ => unknown(spec, pool),
    }))
}

const fn because(e: Error) -> Why {
    Why::Because(e)
}

fn failed(spec: &AdoptSpec, pool: &Pool, kind: ErrorKind, code: &str, message: &str) -> Error {
    Error::new(kind, format!("volume.{code}"), message)
        .with("image", &spec.storage)
        .with("pool", &pool.name)
}

/// The error when nothing shows why.
pub(super) fn unknown(spec: &AdoptSpec, pool: &Pool) -> Error {
    let message = "the volume service could not take the image";
    failed(spec, pool, ErrorKind::Rejected, "manage", message).with_remedy("its log tells why")
}

/// The name that an adoption gave an image before it failed, if it did.
pub(super) async fn renamed(session: &Session, pool: &Pool, volume: &str) -> Result<Option<String>> {
    let name = image_name(volume);
    let images = manageable(session, pool).await?;
    Ok(images
        .iter()
        .any(|image| image.reference.source == name)
        .then_some(name))
}

fn image_name(volume: &str) -> String {
    format!("volume-{volume}")
}

/// All images of the pool, as Cinder sees them.
async fn manageable(session: &Session, pool: &Pool) -> Result<Vec<Manageable>> {
    #[derive(Deserialize)]
    struct List {
        #[serde(rename = "manageable-volumes")]
        images: Vec<Manageable>,
    }
    let mut poll = Poll::new(&session.config.timing);
    let mut looks = 0;
    loop {
        looks += 1;
        let call = session
            .get(Volume, &["manageable_volumes", "detail"])
            .query("host", &pool.name);
        let list: Result<List> = call.version(MANAGEABLE).timeout(MANAGEABLE_TIMEOUT).json().await;
        match list {
            // Any image of the pool that goes while Cinder looks through it makes the whole answer a 500 (seen in the lab).
            Err(error) if error.kind() == ErrorKind::Unavailable && looks < LOOKS => poll.pause().await,
            list => return Ok(list?.images),
        }
    }
}

/// The quota that a volume of this size goes beyond, if one.
async fn full_quota(session: &Session, tenant: &str, volume_type: &str, gib: u64) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Quota {
        limit: i64,
        in_use: i64,
        #[serde(default)]
        reserved: i64,
    }
    let answer: Value = session
        .get(Volume, &["os-quota-sets", tenant])
        .query("usage", "True")
        .json()
        .await?;
    let gib = i64::try_from(gib).unwrap_or(i64::MAX);
    let needed = [
        ("gigabytes".to_owned(), gib),
        (format!("gigabytes_{volume_type}"), gib),
        ("volumes".to_owned(), 1),
        (format!("volumes_{volume_type}"), 1),
    ];
    let is_full = |(name, amount): &(String, i64)| {
        let quota = answer.get("quota_set").and_then(|all| all.get(name)).cloned()?;
        let quota: Quota = serde_json::from_value(quota).ok()?;
        let used = quota.in_use.saturating_add(quota.reserved).saturating_add(*amount);
        (quota.limit >= 0 && used > quota.limit).then(|| name.clone())
    };
    Ok(needed.iter().find_map(is_full))
}
