//! Copy-on-write clones of user snapshots: the vault's points and the images of drills and recoveries.
//!
//! Always clone format 2, asked for by each call: a fresh cluster would make format 1, which needs the parent snapshot
//! protected and breaks replication when the source removes it. A format 2 clone of a replicated snapshot survives the
//! deletion of the source. Clones carry their token as metadata and, until the cloud renames them, as name.

use crate::config::PoolRef;
use crate::outcome::{EXISTS, INVALID, NOT_FOUND};
use crate::points::no_snapshot;
use crate::provider::{Ceph, refuse_secondary};
use crate::rbd::args;
use crate::spec::{ImageSpec, check_snapshot_name};
use futures::future::{join_all, try_join, try_join_all};
use ns_core::provider::{Role, TOKEN_KEY, Token};
use ns_core::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

/// Features that a clone takes over from its parent. A journal is not among them: nothing replays it.
const FEATURES: [&str; 5] = ["layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"];

impl Ceph {
    pub(crate) async fn make_clone(&self, image: &ImageSpec, snapshot: &str, token: &Token) -> Result<ImageSpec> {
        check_snapshot_name(snapshot)?;
        let name = ImageSpec::new(image.pool.clone(), token.as_str())?;
        if let Some(made) = self.find_made(token).await? {
            return self.finish(made, token).await;
        }
        let info = self.rbd.must_info(image).await?;
        let snaps = self.must_snaps(image).await?;
        let snap = snaps.iter().find(|s| s.is_user() && s.name == snapshot);
        let snap = snap.ok_or_else(|| no_snapshot(image, snapshot))?;
        if !self.is_exact(image, &info, &snaps, snap).await? {
            return Err(Error::new(
                ErrorKind::Refused,
                "ceph.snapshot_incomplete",
                "the snapshot is on this side but its data is still being copied",
            )
            .with("image", image)
            .with("snapshot", snapshot));
        }
        let features: Vec<&str> = FEATURES
            .into_iter()
            .filter(|f| info.features.iter().any(|i| i == f))
            .collect();
        let call = args![
            "clone",
            "--rbd-default-clone-format",
            "2",
            "--image-feature",
            features.join(","),
            image.snapshot_arg(snapshot),
            name.arg(),
        ];
        // Exists: made by a call with the same token that runs at the same time.
        self.rbd.change(call).await?.ok_or_none(&[EXISTS])?;
        self.finish(name, token).await
    }

    /// Puts the token on a clone that may lack it, and reads it back.
    async fn finish(&self, made: ImageSpec, token: &Token) -> Result<ImageSpec> {
        let carries = |m: &BTreeMap<String, String>| m.get(TOKEN_KEY).is_some_and(|t| t == token.as_str());
        if !self.rbd.metadata(&made).await?.as_ref().is_some_and(carries) {
            self.rbd.set_metadata(&made, TOKEN_KEY, token.as_str()).await?;
            if !self.rbd.metadata(&made).await?.as_ref().is_some_and(carries) {
                return Err(
                    Error::new(ErrorKind::Conflict, "ceph.token", "the clone does not keep its token")
                        .with("image", &made),
                );
            }
        }
        Ok(made)
    }

    /// The image made with a token, by its name at first and by its metadata ever after.
    pub(crate) async fn find_made(&self, token: &Token) -> Result<Option<ImageSpec>> {
        let pools = &self.config().pools;
        let named = pools
            .iter()
            .map(|pool| ImageSpec::new(pool.clone(), token.as_str()))
            .collect::<Result<Vec<_>>>()?;
        let infos = try_join_all(named.iter().map(|spec| self.rbd.metadata(spec))).await?;
        for (spec, metadata) in named.into_iter().zip(infos) {
            // Without a token it was interrupted right after it was made.
            if metadata.is_some_and(|m| m.get(TOKEN_KEY).is_none_or(|t| t == token.as_str())) {
                return Ok(Some(spec));
            }
        }
        let found = try_join_all(pools.iter().map(|pool| self.find_renamed(pool, token))).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// Looks at the token of every image of a pool, once per image in the life of this provider.
    async fn find_renamed(&self, pool: &PoolRef, token: &Token) -> Result<Option<ImageSpec>> {
        for _ in 0..5 {
            let directory = self.rbd.directory(pool).await?;
            let unknown = self.unknown_tokens(pool, &directory);
            let looked = join_all(
                unknown
                    .iter()
                    .map(|(id, spec)| async move { self.rbd.metadata(spec).await.map(|m| (id.clone(), spec, m)) }),
            )
            .await;
            let mut renamed_meanwhile = false;
            for look in looked {
                let (id, spec, metadata) = look?;
                match metadata {
                    Some(metadata) => self.remember(pool, id, spec, metadata.get(TOKEN_KEY)),
                    None => renamed_meanwhile = true,
                }
            }
            if let Some(spec) = self.known(pool, &directory, token)? {
                return Ok(Some(spec));
            }
            if !renamed_meanwhile {
                return Ok(None);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "ceph.pool_in_motion",
            "the pool's images change faster than they are read",
        )
        .with("pool", pool))
    }

    fn unknown_tokens(&self, pool: &PoolRef, directory: &BTreeMap<String, String>) -> Vec<(String, ImageSpec)> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|(p, id), _| p != pool || directory.contains_key(id));
        let unknown = directory
            .iter()
            .filter(|(id, _)| !tokens.contains_key(&(pool.clone(), (*id).clone())));
        // A name that cannot be handed to a command is not one that we gave, nor one that a cloud gives.
        unknown
            .filter_map(|(id, name)| Some((id.clone(), ImageSpec::new(pool.clone(), name).ok()?)))
            .collect()
    }

    fn remember(&self, pool: &PoolRef, id: String, spec: &ImageSpec, token: Option<&String>) {
        // A clone that still has its token's name may be about to get the token.
        if token.is_none() && spec.image.starts_with("ns-") {
            return;
        }
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert((pool.clone(), id), token.cloned());
    }

    fn known(&self, pool: &PoolRef, directory: &BTreeMap<String, String>, token: &Token) -> Result<Option<ImageSpec>> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let id = tokens
            .iter()
            .find(|((p, _), t)| p == pool && t.as_deref() == Some(token.as_str()))
            .map(|((_, id), _)| id);
        id.and_then(|id| directory.get(id))
            .map(|name| ImageSpec::new(pool.clone(), name))
            .transpose()
    }

    pub(crate) async fn flatten_image(&self, image: &ImageSpec) -> Result<()> {
        let info = self.rbd.must_info(image).await?;
        if info.parent.is_none() {
            return Ok(());
        }
        refuse_secondary(image, info.role())?;
        // 22: has no parent, any more.
        self.rbd
            .copy(args!["flatten", "--no-progress", image.arg()])
            .await?
            .ok_or_none(&[INVALID])?;
        if self.rbd.must_info(image).await?.parent.is_none() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "ceph.not_flattened",
            "the image still has a parent",
        )
        .with("image", image))
    }

    pub(crate) async fn remove_made(&self, image: &ImageSpec, token: &Token) -> Result<()> {
        let (Some(info), Some(metadata)) = try_join(self.rbd.info(image), self.rbd.metadata(image)).await? else {
            return Ok(());
        };
        let ours = match metadata.get(TOKEN_KEY) {
            Some(carried) => carried == token.as_str(),
            None => image.image == token.as_str(),
        };
        let refused = |code: &str, message: &str| Error::new(ErrorKind::Refused, code, message).with("image", image);
        if !ours {
            return Err(refused(
                "ceph.not_ours",
                "the image does not carry the token: it is not removed",
            ));
        }
        if info.role() != Role::Unreplicated {
            return Err(refused("ceph.replicated", "the image replicates: it is not removed"));
        }
        let conflict = |code: &str, message: &str| Error::new(ErrorKind::Conflict, code, message).with("image", image);
        if let Some(child) = self.rbd.children(image).await?.first() {
            return Err(conflict("ceph.has_dependents", "the image has clones").with("clone", &child.image));
        }
        let limit = self.config().limits.release_wait();
        let closed = || async { Ok(!self.rbd.in_use(image).await?) };
        if !self.wait_until(limit, Duration::from_secs(1), closed).await? {
            return Err(conflict("ceph.in_use", "somebody has the image open"));
        }
        let snaps = self.must_snaps(image).await?;
        for snap in snaps.iter().filter(|s| s.is_user() && s.is_protected()) {
            self.rbd
                .change(args!["snap", "unprotect", image.snapshot_arg(&snap.name)])
                .await?
                .ok()?;
        }
        if snaps.iter().any(|s| s.is_user()) {
            self.rbd
                .copy(args!["snap", "purge", "--no-progress", image.arg()])
                .await?
                .ok_or_none(&[NOT_FOUND])?;
        }
        self.rbd
            .copy(args!["rm", "--no-progress", image.arg()])
            .await?
            .ok_or_none(&[NOT_FOUND])?;
        match self.rbd.info(image).await? {
            None => Ok(()),
            Some(_) => Err(conflict("ceph.not_removed", "the image is still there")),
        }
    }
}
