//! What an image is, and beginning and ending its replication.

use crate::facts::{Info, mode_word};
use crate::mark::STAMP_KEY;
use crate::provider::{Ceph, refuse_secondary};
use crate::rbd::args;
use crate::spec::ImageSpec;
use futures::future::{try_join, try_join_all};
use ns_core::model::{ReplicationId, ReplicationMode};
use ns_core::provider::{ImageState, Role, TOKEN_KEY};
use ns_core::{Error, ErrorKind, Result};
use std::time::Duration;

/// How often an image is looked for that a list names and that is not there.
const LOOKS: u32 = 6;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What came of looking for an image by its global id.
enum Look {
    Found(ImageSpec),
    Nowhere,
    /// A list names an image that is not there: it was renamed, or removed, between the two readings.
    Moved,
}

impl Ceph {
    pub(crate) async fn image_state(&self, image: &ImageSpec) -> Result<Option<ImageState>> {
        let (info, metadata) = try_join(self.rbd.info(image), self.rbd.metadata(image)).await?;
        let (Some(info), Some(mut metadata)) = (info, metadata) else {
            return Ok(None);
        };
        metadata.retain(|key, _| key != STAMP_KEY);
        let replication = info
            .global_id()
            .zip(info.mode())
            .map(|(id, mode)| (ReplicationId::new(id), mode));
        Ok(Some(ImageState {
            storage: image.to_ref(),
            size_bytes: info.size,
            role: info.role(),
            replication,
            parent: info.parent.as_ref().map(|p| p.spec()).transpose()?.map(|p| p.to_ref()),
            metadata,
        }))
    }

    /// The image with this global id. Names are no proof: adoption renames images, the rename travels, and a replica may
    /// outlive its primary under any name.
    pub(crate) async fn replica_named(&self, global_id: &str) -> Result<Option<ImageSpec>> {
        for _ in 0..LOOKS {
            match self.look_for(global_id).await? {
                Look::Found(spec) => return Ok(Some(spec)),
                Look::Nowhere => return Ok(None),
                Look::Moved => self.clock.sleep(BETWEEN_LOOKS).await,
            }
        }
        Ok(None)
    }

    async fn look_for(&self, global_id: &str) -> Result<Look> {
        let mut listed = Look::Nowhere;
        let pools = &self.config().pools;
        let lists = try_join_all(pools.iter().map(|pool| self.rbd.pool_status(pool))).await?;
        for (pool, list) in pools.iter().zip(lists) {
            for image in list
                .into_iter()
                .flat_map(|l| l.images)
                .filter(|i| i.global_id == global_id)
            {
                let spec = ImageSpec::new(pool.clone(), image.name)?;
                if self
                    .rbd
                    .info(&spec)
                    .await?
                    .is_some_and(|i| i.global_id() == Some(global_id))
                {
                    return Ok(Look::Found(spec));
                }
                listed = Look::Moved;
            }
        }
        Ok(listed)
    }

    pub(crate) async fn enable(&self, image: &ImageSpec, mode: ReplicationMode) -> Result<ReplicationId> {
        let info = self.rbd.must_info(image).await?;
        if let Some(id) = enabled(image, &info, mode)? {
            return Ok(id);
        }
        self.check_parent(image, &info, mode).await?;
        self.rbd
            .change(args!["mirror", "image", "enable", image.arg(), mode_word(mode)])
            .await?
            .ok()?;
        let info = self.rbd.must_info(image).await?;
        enabled(image, &info, mode)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "ceph.not_enabled",
                "replication was enabled but is not on",
            )
            .with("image", image)
        })
    }

    /// Ceph replicates a clone only together with its parent; what it says of one without is "invalid argument".
    async fn check_parent(&self, image: &ImageSpec, info: &Info, mode: ReplicationMode) -> Result<()> {
        let Some(parent) = &info.parent else { return Ok(()) };
        let refused = |message: &str| {
            Error::new(ErrorKind::Refused, "ceph.parent_not_replicated", message)
                .with("image", image)
                .with_remedy("flatten the image first")
        };
        if parent.trash {
            return Err(refused("the image is a clone of an image in the trash"));
        }
        let parent = parent.spec()?;
        match self.rbd.must_info(&parent).await?.mode() {
            Some(m) if m == mode => Ok(()),
            Some(_) => Err(
                refused("the image is a clone of an image that is replicated in the other mode")
                    .with("parent", &parent),
            ),
            None => Err(refused("the image is a clone of an image that is not replicated").with("parent", &parent)),
        }
    }

    pub(crate) async fn disable(&self, image: &ImageSpec) -> Result<()> {
        let Some(info) = self.rbd.info(image).await? else {
            return Ok(());
        };
        if info.role() == Role::Unreplicated {
            return Ok(());
        }
        refuse_secondary(image, info.role())?;
        match self.wait_followed(image, &info).await {
            // Whoever waits for the replica to go finds it by identity.
            Err(error) if error.code() == "ceph.peer_not_following" => {
                tracing::warn!(%image, "replication ends although the peer does not follow: it will keep its copy");
            }
            result => result?,
        }
        if info.mode() == Some(ReplicationMode::Journal) {
            self.remove_markers(image, u64::MAX).await?;
        }
        self.rbd
            .change(args!["mirror", "image", "disable", image.arg()])
            .await?
            .ok()?;
        match self.rbd.info(image).await? {
            Some(info) if info.role() != Role::Unreplicated => Err(Error::new(
                ErrorKind::Unavailable,
                "ceph.still_enabled",
                "replication is still being ended",
            )
            .with("image", image)),
            Some(_) => self.rbd.remove_metadata(image, STAMP_KEY).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn rename_image(&self, image: &ImageSpec, name: &ImageSpec) -> Result<()> {
        if image.pool != name.pool {
            return Err(Error::new(
                ErrorKind::Invalid,
                "ceph.rename",
                "an image cannot be renamed into another pool",
            )
            .with_field("name"));
        }
        let (from, to) = try_join(self.rbd.info(image), self.rbd.info(name)).await?;
        match (from, to) {
            (_, Some(_)) if image == name => Ok(()),
            // Renamed by an earlier call.
            (None, Some(_)) => Ok(()),
            (None, None) => Err(crate::rbd::not_found(image)),
            (Some(_), Some(_)) => {
                Err(Error::new(ErrorKind::Conflict, "ceph.exists", "another image has the name").with("image", name))
            }
            (Some(info), None) => {
                refuse_secondary(image, info.role())?;
                self.rbd.change(args!["rename", image.arg(), name.arg()]).await?.ok()?;
                self.rbd.must_info(name).await.map(drop)
            }
        }
    }

    pub(crate) async fn keep_metadata(&self, image: &ImageSpec, key: &str, value: Option<&str>) -> Result<()> {
        let usable = !key.is_empty() && key.len() <= 255 && !key.contains(char::is_control);
        if !usable || value.is_some_and(|v| v.contains('\0') || v.len() > 64 << 10) {
            return Err(Error::new(ErrorKind::Invalid, "ceph.metadata", "not a usable key or value").with_field("key"));
        }
        if [TOKEN_KEY, STAMP_KEY].contains(&key) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "ceph.metadata_reserved",
                "the key belongs to the provider",
            )
            .with_field("key"));
        }
        let info = self.rbd.must_info(image).await?;
        refuse_secondary(image, info.role())?;
        // Whoever finds the image promoted goes on with this: it may have been an engine that died in the middle.
        self.finish_promotion(image, &info).await?;
        match value {
            Some(value) => self.rbd.set_metadata(image, key, value).await,
            None => self.rbd.remove_metadata(image, key).await,
        }
    }
}

/// The identity of an image that replicates in this mode from here; none when it does not replicate.
fn enabled(image: &ImageSpec, info: &Info, mode: ReplicationMode) -> Result<Option<ReplicationId>> {
    let Some(id) = info.global_id() else { return Ok(None) };
    refuse_secondary(image, info.role())?;
    if info.mode() == Some(mode) {
        return Ok(Some(ReplicationId::new(id)));
    }
    Err(Error::new(
        ErrorKind::Conflict,
        "ceph.other_mode",
        "the image replicates in the other mode",
    )
    .with("image", image)
    .with_remedy("end its replication first"))
}
