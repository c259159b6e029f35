//! Reading on request what a recovery point holds: is every volume still there, is it what the source had at that moment, is it
//! what it was when it was read before?

use super::Points;
use super::audit::Act;
use crate::engine::{check_manifest, kinds, put};
use crate::journal::digest;
use crate::model::{CloudId, PointContent, PointId, PointVolume, ProtectionGroup, RecoveryPoint};
use crate::planning::VAULT_BASE;
use crate::ports::with_deadline;
use crate::provider::{Content, Storage};
use crate::rules::{Area, Verb};
use crate::{Error, ErrorKind, ErrorRecord, Result};
use serde::{Deserialize, Serialize};

/// How much of a recovery point is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "scope")]
pub enum VerifyScope {
    /// Every volume.
    Whole,
    /// So many volumes, chosen by chance; each from its first byte to its last.
    Sample {
        /// At least 1.
        volumes: usize,
    },
}

/// How the vault's content compares with the source's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "comparison")]
pub enum Comparison {
    /// Byte for byte the same.
    Same,
    /// Not the same: the point must not be relied on.
    Differs,
    /// The source has the snapshot no more, or never answered for it; the vault is all there is.
    Unknown {
        /// Why.
        error: ErrorRecord,
    },
}

/// What was read of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeVerification {
    /// The Source volume.
    pub volume_id: CloudId,
    /// What the vault holds.
    pub content: PointContent,
    /// How that compares with the source's snapshot.
    pub source: Comparison,
    /// Whether it is what was read before; none when it was read for the first time.
    pub as_before: Option<bool>,
}

impl VolumeVerification {
    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.source != Comparison::Differs && self.as_before != Some(false)
    }
}

impl Points<'_> {
    /// Reads what a recovery point holds and compares it with the source's snapshot, where that is still there, and with what
    /// was read before. It moves all the data of the volumes that are read, on both sides; nothing is locked meanwhile, and
    /// dropping the future ends it. What was read is kept with the point, for the next time; the first word stands.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, point: ns_core::model::PointId) -> ns_core::Result<()> {
    /// use ns_core::session::VerifyScope;
    ///
    /// for volume in session.points().verify(&point, VerifyScope::Sample { volumes: 2 }).await? {
    ///     println!("{}: {} bytes, intact: {}", volume.volume_id, volume.content.bytes, volume.is_intact());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown point; `Invalid` for a sample of nothing; `Corrupt` when the point's definitions are not as they
    /// were made (`point.manifest`) or a volume is not in the vault any more (`point.vault`); those of the Target's storage.
    pub async fn verify(&self, id: &PointId, scope: VerifyScope) -> Result<Vec<VolumeVerification>> {
        let act = Act::new(Area::Jobs, Verb::Update, "points.verify", id);
        self.session
            .change(act, async {
                let inner = &self.session.inner;
                let point = self.get(id).await?;
                check_manifest(&point)?;
                let target = inner.providers(&point.plan.target_cluster)?.storage;
                let group = inner
                    .records()
                    .find::<ProtectionGroup>(kinds::GROUP, point.group_id.as_str())
                    .await?;
                let source = group.and_then(|(group, _)| inner.providers(&group.source_cluster).ok());
                let mut found = Vec::new();
                for part in self.chosen(&point, scope)? {
                    let vault = self.read(&target, &part.vault, VAULT_BASE);
                    let original = async {
                        let Some(source) = &source else {
                            return Err(unknown("the Source has no providers"));
                        };
                        let image = source.storage.find_replica(&part.replication_id).await?;
                        let image = image.ok_or_else(|| unknown("the Source has the volume no more"))?;
                        self.read(&source.storage, &image, &part.snapshot).await
                    };
                    let (vault, original) = futures::future::join(vault, original).await;
                    let vault = vault.map_err(|e| match e.kind() {
                        ErrorKind::NotFound => Error::new(
                            ErrorKind::Corrupt,
                            "point.vault",
                            format!("volume {} is not in the vault any more", part.volume_id),
                        )
                        .with("point", id)
                        .with_remedy("choose another recovery point, and see who removed it there")
                        .with_source(e),
                        _ => e,
                    })?;
                    let before = point.contents.get(&part.volume_id);
                    found.push(VolumeVerification {
                        volume_id: part.volume_id.clone(),
                        source: match original {
                            Ok(original) if original == vault => Comparison::Same,
                            Ok(_) => Comparison::Differs,
                            Err(e) => Comparison::Unknown { error: e.to_record() },
                        },
                        as_before: before.map(|b| (b.bytes, &b.sha256) == (vault.bytes, &vault.sha256)),
                        content: PointContent {
                            bytes: vault.bytes,
                            sha256: vault.sha256,
                            read_at: inner.clock.now(),
                        },
                    });
                }
                self.keep(id, &found).await?;
                Ok(found)
            })
            .await
    }

    async fn read(&self, storage: &Storage, image: &crate::model::StorageRef, snapshot: &str) -> Result<Content> {
        let inner = &self.session.inner;
        with_deadline(
            &*inner.clock,
            inner.settings().copy_limit,
            "reading the volume",
            storage.content(image, snapshot),
        )
        .await
    }

    fn chosen<'p>(&self, point: &'p RecoveryPoint, scope: VerifyScope) -> Result<Vec<&'p PointVolume>> {
        let mut parts: Vec<&PointVolume> = point.volumes.values().collect();
        if let VerifyScope::Sample { volumes } = scope {
            if volumes == 0 {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "point.sample",
                    "a sample of no volume shows nothing",
                )
                .with_field("scope.volumes")
                .with_remedy("read at least one volume"));
            }
            let chance = self.session.inner.ids.next();
            parts.sort_by_key(|part| digest(format!("{chance}/{}", part.volume_id).as_bytes()));
            parts.truncate(volumes);
        }
        Ok(parts)
    }

    /// Keeps what was read for the first time.
    async fn keep(&self, id: &PointId, found: &[VolumeVerification]) -> Result<()> {
        let records = self.session.inner.records();
        loop {
            // It may have expired while it was read.
            let Some((mut point, version)) = records.find::<RecoveryPoint>(kinds::POINT, id.as_str()).await? else {
                return Ok(());
            };
            for volume in found {
                let content = || volume.content.clone();
                point.contents.entry(volume.volume_id.clone()).or_insert_with(content);
            }
            let write = put(kinds::POINT, id.as_str(), Some(version), &point)?;
            match records.commit(vec![write]).await {
                Err(e) if e.code() == "store.version" => {}
                result => return result,
            }
        }
    }
}

fn unknown(why: &str) -> Error {
    Error::new(ErrorKind::NotFound, "point.source", why)
}
