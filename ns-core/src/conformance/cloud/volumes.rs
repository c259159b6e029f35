//! Storage images as volumes: adopted, shown, released.

use super::basics::holds;
use super::bench::CloudBench;
use super::stage::{Stage, tenant};
use crate::conformance::Outcome;
use crate::conformance::case::{cancel_half_way, ensure, expect_error};
use crate::conformance::fixture::broken;
use crate::model::{CloudId, Resource, ResourceKind, Volume};
use crate::provider::{CreatedKind, Handle};
use crate::{ErrorKind, Result};

pub(super) async fn volume(b: &CloudBench<'_>, id: &CloudId) -> Result<Volume> {
    match b.get(ResourceKind::Volume, id).await? {
        Resource::Volume(volume) => Ok(volume),
        other => Err(broken(format!("asked for a volume, got {other:?}"))),
    }
}

fn image_of(handle: &Handle) -> Result<&crate::model::StorageRef> {
    let storage = handle.storage.as_ref();
    storage.ok_or_else(|| broken(format!("the handle {handle:?} does not say where the bytes are")))
}

fn skip(b: &CloudBench<'_>) -> Option<Outcome> {
    let skip = !b.cloud().capabilities().adopt;
    skip.then(|| Outcome::Skipped("the provider cannot adopt".to_owned()))
}

/// An adopted image is an available volume with everything asked for, also what clouds forget; its bytes are where the
/// handle says; adopting again gives the same volume (OpenStack facts 2).
pub(super) async fn adopt_makes_a_volume(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let tenant = tenant(b).await?;
    let image = b.fixture().bootable_image().await?;
    b.fixture().write(&image, 5 << 20, b"recognised").await?;
    let mut spec = b.adoption(&tenant, &image);
    spec.bootable = true;
    spec.image_metadata = b.fixture().image_metadata();
    spec.metadata.insert("from".to_owned(), "elsewhere".to_owned());
    let handle = b.adopt("volume", &spec).await?;
    ensure!(
        handle.kind == CreatedKind::Volume && handle.tenant.as_ref() == Some(&tenant),
        "the handle is {handle:?}"
    );
    let again = b.adopt("volume", &spec).await?;
    ensure!(again == handle, "adopting again gave {again:?} after {handle:?}");
    let found = b
        .cloud()
        .find(CreatedKind::Volume, Some(&tenant), &b.token("volume"))
        .await?;
    ensure!(found.as_ref() == Some(&handle), "the token finds {found:?}");

    let storage = image_of(&handle)?;
    ensure!(
        b.fixture().read(storage, 5 << 20, 10).await? == b"recognised",
        "the bytes changed"
    );
    ensure!(
        b.fixture().storage().image(storage).await?.is_some(),
        "the storage does not know {storage}"
    );
    let made = volume(b, &handle.id).await?;
    ensure!(made.status == "available", "its status is {}", made.status);
    ensure!(made.name == spec.name && made.tenant_id == tenant, "it is {made:?}");
    ensure!(made.volume_type == spec.volume_type, "its type is {}", made.volume_type);
    ensure!(made.bootable, "it is not bootable");
    ensure!(made.size_gib >= 1, "its size is {} GiB", made.size_gib);
    ensure!(
        holds(&made.metadata, &spec.metadata),
        "its metadata is {:?}",
        made.metadata
    );
    ensure!(
        holds(&made.image_metadata, &spec.image_metadata),
        "its image metadata is {:?}",
        made.image_metadata
    );
    ensure!(
        made.storage.as_ref() == Some(storage),
        "the inventory says its bytes are at {:?}",
        made.storage
    );

    // What is a volume already is not made another.
    let mut other = spec.clone();
    other.storage = storage.clone();
    expect_error(
        b.adopt("other", &other).await,
        &[ErrorKind::Conflict, ErrorKind::Rejected],
        "adopting a volume's image",
    )?;
    ensure!(
        volume(b, &handle.id).await?.status == "available",
        "a refused adoption disturbed the volume"
    );
    Ok(Outcome::Passed)
}

/// The size of a volume is the image's, rounded up; the image is not changed.
pub(super) async fn sizes_are_rounded_up(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let tenant = tenant(b).await?;
    let size = (1 << 30) + (512 << 20);
    let image = b.fixture().blank_image(size).await?;
    let handle = b.adopt("volume", &b.adoption(&tenant, &image)).await?;
    let made = volume(b, &handle.id).await?;
    ensure!(made.size_gib == 2 && !made.bootable, "1.5 GiB became {made:?}");
    let storage = image_of(&handle)?;
    let state = b.fixture().storage().image(storage).await?;
    ensure!(state.is_some_and(|s| s.size_bytes == size), "the image was resized");
    Ok(Outcome::Passed)
}

/// Adopting what does not exist says so and leaves no record behind (OpenStack facts 2: the cloud itself answers 202).
pub(super) async fn adopting_nothing_leaves_nothing(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let tenant = tenant(b).await?;
    let spec = b.adoption(&tenant, &b.fixture().missing_image());
    expect_error(
        b.adopt("volume", &spec).await,
        &[ErrorKind::NotFound],
        "adopting a missing image",
    )?;
    nothing_left(b, &tenant, "volume").await?;
    Ok(Outcome::Passed)
}

/// A replica is not adopted, and keeps its name and its bytes.
pub(super) async fn a_replica_is_not_adopted(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let Some(image) = b.fixture().replica_image().await? else {
        return Ok(Outcome::Skipped("the fixture has no replica".to_owned()));
    };
    let tenant = tenant(b).await?;
    let spec = b.adoption(&tenant, &image);
    expect_error(
        b.adopt("volume", &spec).await,
        &[ErrorKind::Rejected],
        "adopting a replica",
    )?;
    nothing_left(b, &tenant, "volume").await?;
    ensure!(
        b.fixture().storage().image(&image).await?.is_some(),
        "the replica has lost its name"
    );
    Ok(Outcome::Passed)
}

async fn nothing_left(b: &CloudBench<'_>, tenant: &CloudId, what: &str) -> Result<()> {
    let found = b
        .cloud()
        .find(CreatedKind::Volume, Some(tenant), &b.token(what))
        .await?;
    ensure!(found.is_none(), "a failed adoption is found: {found:?}");
    let all = b.list(ResourceKind::Volume).await?;
    let left = all
        .iter()
        .find(|r| matches!(r, Resource::Volume(v) if v.tenant_id == *tenant));
    ensure!(left.is_none(), "a failed adoption left {left:?}");
    Ok(())
}

/// A released volume is forgotten; its image keeps its bytes, and can be adopted again.
pub(super) async fn release_keeps_the_bytes(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let tenant = tenant(b).await?;
    let image = b.fixture().blank_image(1 << 30).await?;
    b.fixture().write(&image, 4096, b"kept").await?;
    let first = b.adopt("first", &b.adoption(&tenant, &image)).await?;
    for _ in 0..2 {
        b.cloud().release(&first.id).await?;
    }
    let got = b.cloud().get(ResourceKind::Volume, &first.id).await?;
    ensure!(got.is_none(), "the released volume is there: {got:?}");
    let storage = image_of(&first)?;
    b.note_image(storage);
    ensure!(
        b.fixture().read(storage, 4096, 4).await? == b"kept",
        "the bytes changed"
    );
    let second = b.adopt("second", &b.adoption(&tenant, storage)).await?;
    ensure!(second.id != first.id, "a new volume has the id of the released one");
    ensure!(
        b.fixture().read(image_of(&second)?, 4096, 4).await? == b"kept",
        "the bytes changed"
    );
    Ok(Outcome::Passed)
}

/// A volume with snapshots of the cloud's own is not released.
pub(super) async fn a_volume_with_snapshots_is_not_released(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let stage = Stage::new(b).await?;
    let handle = stage.data_volume(b, "volume", false).await?;
    let Some(snapshot) = b.fixture().volume_snapshot(&stage.tenant, &handle.id).await? else {
        return Ok(Outcome::Skipped("the fixture cannot take snapshots".to_owned()));
    };
    let result = b.cloud().release(&handle.id).await;
    let shown = b.cloud().get(ResourceKind::VolumeSnapshot, &snapshot).await;
    b.fixture().remove_volume_snapshot(&stage.tenant, &snapshot).await?;
    expect_error(result, &[ErrorKind::Conflict], "releasing a volume with snapshots")?;
    let shown = shown?;
    let of = matches!(&shown, Some(Resource::VolumeSnapshot(s)) if s.volume_id == handle.id);
    ensure!(of, "the inventory shows the snapshot as {shown:?}");
    ensure!(
        volume(b, &handle.id).await?.status == "available",
        "the volume is disturbed"
    );
    Ok(Outcome::Passed)
}

/// An adoption that is dropped half way can be made again and has made one volume.
pub(super) async fn a_dropped_adoption_is_made_again(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let tenant = tenant(b).await?;
    for polls in [1, 3, 8] {
        let what = format!("dropped{polls}");
        let image = b.fixture().blank_image(1 << 30).await?;
        let mut spec = b.adoption(&tenant, &image);
        spec.name = b.name(&what);
        let token = b.token(&what);
        b.note_thing(CreatedKind::Volume, Some(&tenant), &token);
        let cloud = b.cloud();
        cancel_half_way(cloud.adopt(&spec, &token), polls).await;
        let handle = b.adopt(&what, &spec).await?;
        let all = b.list(ResourceKind::Volume).await?;
        let named: Vec<_> = all.iter().filter(|r| r.name() == spec.name).collect();
        ensure!(
            named.len() == 1,
            "after a dropped adoption and another there are {named:?}"
        );
        ensure!(
            volume(b, &handle.id).await?.status == "available",
            "the volume cannot be used"
        );
    }
    Ok(Outcome::Passed)
}
