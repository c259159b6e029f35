//! Adoption: a storage image becomes a volume. Cinder accepts first and finds out later; what comes of it is waited for,
//! and where it fails, nothing of it stays.

use super::why::{self, Why};
use super::{Record, act, release, show};
use crate::auth::Scope;
use crate::error::Service::Volume;
use crate::inventory::volume::{Pool, pools, rbd};
use crate::paging::{Item, List};
use crate::poll::Poll;
use crate::session::Session;
use ns_core::model::StorageRef;
use ns_core::provider::{AdoptSpec, CreatedKind, Handle, TOKEN_KEY, Token};
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// All volumes with this token.
async fn marked(session: &Session, token: &Token) -> Result<Vec<Record>> {
    let filter = json!({TOKEN_KEY: token.as_str()}).to_string();
    let list = List::new(Volume, &["volumes", "detail"], "volumes")
        .with("all_tenants", "True")
        .with("metadata", filter);
    let mut found: Vec<Record> = list.all(session).await?;
    found.retain(|record| {
        record
            .metadata
            .get(TOKEN_KEY)
            .is_some_and(|value| value == token.as_str())
    });
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// Finds the volume made with this token, in whatever state it is.
pub(crate) async fn find(session: &Session, token: &Token) -> Result<Option<Handle>> {
    let Some(record) = marked(session, token).await?.into_iter().next() else {
        return Ok(None);
    };
    let pools = pools(session).await?;
    Ok(Some(handle(&record, &pools)))
}

fn handle(record: &Record, all: &[Pool]) -> Handle {
    // The image gets its new name before the volume is `available`; before that, and in error, it has the old one.
    let named = matches!(
        record.status.as_str(),
        "available" | "in-use" | "reserved" | "attaching" | "detaching"
    );
    let pool = all
        .iter()
        .find(|pool| Some(pool.name.as_str()) == record.host.as_deref());
    let storage = pool
        .and_then(Pool::rbd_pool)
        .filter(|_| named)
        .map(|pool| rbd(pool, &record.id));
    Handle {
        kind: CreatedKind::Volume,
        id: record.id.as_str().into(),
        tenant: record.tenant.as_deref().map(Into::into),
        storage,
    }
}

/// Makes a volume of a storage image.
pub(crate) async fn adopt(session: &Session, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
    let (rbd_pool, image) = image_of(&spec.storage)?;
    let known = marked(session, token).await?.into_iter().next();
    let all = pools(session).await?;
    let mut failed = None;
    let (record, pool) = match known {
        Some(record) => {
            let host = record.host.clone();
            let pool = all.iter().find(|pool| Some(&pool.name) == host.as_ref());
            failed = Some(record.id.clone());
            (settle(session, &record.id).await?, pool)
        }
        None => (None, None),
    };
    let (record, pool) = match (record, pool) {
        (Some(record), Some(pool)) => (record, pool),
        // None yet, or one whose adoption failed and that has been let go of.
        _ => {
            let pool = choose_pool(session, &all, rbd_pool, &spec.volume_type).await?;
            (manage(session, spec, token, pool, image, failed).await?, pool)
        }
    };
    complete(session, spec, &record.id).await?;
    let record = show(session, &record.id).await?.ok_or_else(|| vanished(&record.id))?;
    let handle = handle(&record, &all);
    if handle.storage.is_none() {
        let message = "the volume left its state while it was adopted";
        return Err(Error::new(ErrorKind::Conflict, "volume.state", message)
            .with("volume", &record.id)
            .with("status", &record.status)
            .with("pool", &pool.name));
    }
    Ok(handle)
}

/// Pool and image of `rbd:pool/image`.
fn image_of(storage: &StorageRef) -> Result<(&str, &str)> {
    let invalid = || {
        Error::new(
            ErrorKind::Invalid,
            "volume.storage",
            "not a reference to an RBD image (rbd:pool/image)",
        )
        .with_field("storage")
        .with("storage", storage)
    };
    let path = storage.as_str().strip_prefix("rbd:").ok_or_else(invalid)?;
    match path.split('/').collect::<Vec<_>>()[..] {
        [pool, image] if !pool.is_empty() && !image.is_empty() => Ok((pool, image)),
        [_, _, _] => Err(Error::new(
            ErrorKind::Unsupported,
            "volume.namespace",
            "Cinder does not reach into namespaces of a pool",
        )
        .with("storage", storage)),
        _ => Err(invalid()),
    }
}

async fn choose_pool<'a>(session: &Session, all: &'a [Pool], rbd_pool: &str, volume_type: &str) -> Result<&'a Pool> {
    let backend = backend_of(session, volume_type).await?;
    let here = || all.iter().filter(|pool| pool.rbd_pool() == Some(rbd_pool));
    let fitting = here().filter(|pool| pool.is_backend(backend.as_deref()));
    fitting.max_by_key(|pool| pool.is_up()).ok_or_else(|| {
        if here().next().is_none() && !(all.iter().any(Pool::is_told) && all.iter().all(Pool::is_told)) {
            let message = "the volume service does not say yet which pools it keeps volumes in";
            return Error::new(ErrorKind::Unavailable, "volume.pools_unknown", message)
                .with("pool", rbd_pool)
                .with_remedy("see that its back ends run and have reported to its scheduler");
        }
        let (code, message, remedy) = if here().next().is_some() {
            (
                "volume.type_elsewhere",
                "volumes of this type are not kept in this pool",
                "choose a type of this pool's back end",
            )
        } else {
            (
                "volume.no_backend",
                "no volume service of the cloud keeps its volumes in this pool",
                "give the cloud a back end for the pool",
            )
        };
        Error::new(ErrorKind::Rejected, code, message)
            .with("pool", rbd_pool)
            .with("volume_type", volume_type)
            .with_remedy(remedy)
    })
}

/// The back end that a volume type names, if it names one.
async fn backend_of(session: &Session, volume_type: &str) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Type {
        id: String,
        name: String,
        #[serde(default)]
        extra_specs: Option<BTreeMap<String, String>>,
    }
    impl Item for Type {
        fn marker(&self) -> &str {
            &self.id
        }
    }
    let list = List::new(Volume, &["types"], "volume_types").with("is_public", "None");
    let types: Vec<Type> = list.all(session).await?;
    let found = types.into_iter().find(|t| t.name == volume_type || t.id == volume_type);
    let found = found.ok_or_else(|| {
        Error::new(ErrorKind::Rejected, "volume.type", "the cloud has no such volume type")
            .with_field("volume_type")
            .with("volume_type", volume_type)
    })?;
    Ok(found
        .extra_specs
        .and_then(|mut specs| specs.remove("volume_backend_name")))
}

/// Has Cinder take the image, also when an attempt got no further than giving it its new name: `failed` is the volume
/// of such an attempt.
async fn manage(
    session: &Session,
    spec: &AdoptSpec,
    token: &Token,
    pool: &Pool,
    image: &str,
    failed: Option<String>,
) -> Result<Record> {
    let source = match failed {
        Some(id) => why::renamed(session, pool, &id).await?,
        None => None,
    };
    let mut source = source.unwrap_or_else(|| image.to_owned());
    let mut again = false;
    loop {
        let id = request(session, spec, token, pool, &source).await?;
        if let Some(record) = settle(session, &id).await? {
            return Ok(record);
        }
        match why::not(session, spec, pool, &source, &id).await? {
            Why::Renamed(name) if !again => source = name,
            Why::Renamed(_) => return Err(why::unknown(spec, pool)),
            Why::Because(e) => return Err(e),
        }
        again = true;
    }
}

/// Asks Cinder to take the image, and gives the volume's id. The accepted call means nothing yet.
async fn request(session: &Session, spec: &AdoptSpec, token: &Token, pool: &Pool, source: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Made {
        volume: MadeVolume,
    }
    #[derive(Deserialize)]
    struct MadeVolume {
        id: String,
    }
    let mut metadata = spec.metadata.clone();
    metadata.insert(TOKEN_KEY.to_owned(), token.as_str().to_owned());
    let mut volume = json!({
        "host": pool.name, "ref": {"source-name": source}, "name": spec.name, "volume_type": spec.volume_type,
        "bootable": spec.bootable, "metadata": metadata,
    });
    if let Some(zone) = &spec.availability_zone {
        volume["availability_zone"] = json!(zone);
    }
    let tenant = Scope::Tenant(spec.tenant.id()?.to_owned());
    let call = session.post(Volume, &["os-volume-manage"], json!({"volume": volume}));
    let made: Made = call
        .scope(&tenant)
        .json()
        .await
        .map_err(|e| e.with("image", &spec.storage))?;
    Ok(made.volume.id)
}

/// Waits until an adoption is over. A failed one is let go of, and none is given.
async fn settle(session: &Session, id: &str) -> Result<Option<Record>> {
    let mut poll = Poll::new(&session.config.timing);
    loop {
        let Some(record) = show(session, id).await? else {
            return Ok(None);
        };
        match record.status.as_str() {
            "available" | "in-use" | "reserved" | "attaching" | "detaching" => return Ok(Some(record)),
            status if status.starts_with("error") => {
                release(session, &id.into()).await?;
                return Ok(None);
            }
            _ => poll.pause().await,
        }
    }
}

/// Puts back what Cinder does not take from the image, and reads it back.
async fn complete(session: &Session, spec: &AdoptSpec, id: &str) -> Result<()> {
    let lacks = |record: &Record| {
        let image = &spec.image_metadata;
        let properties = !image
            .iter()
            .all(|(key, value)| record.volume_image_metadata.get(key) == Some(value));
        (properties, (record.bootable == "true") != spec.bootable)
    };
    let now = show(session, id).await?.ok_or_else(|| vanished(id))?;
    let (properties, bootable) = lacks(&now);
    if properties {
        act(
            session,
            id,
            json!({"os-set_image_metadata": {"metadata": spec.image_metadata}}),
        )
        .await?;
    }
    if bootable {
        act(session, id, json!({"os-set_bootable": {"bootable": spec.bootable}})).await?;
    }
    let now = show(session, id).await?.ok_or_else(|| vanished(id))?;
    match lacks(&now) {
        (false, false) => Ok(()),
        (properties, _) => {
            let what = if properties { "image metadata" } else { "bootable flag" };
            Err(Error::new(
                ErrorKind::Rejected,
                "volume.read_back",
                format!("the volume did not keep its {what}"),
            )
            .with("volume", id))
        }
    }
}

fn vanished(id: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "volume.vanished",
        "the volume was let go of while it was adopted",
    )
    .with("volume", id)
}
