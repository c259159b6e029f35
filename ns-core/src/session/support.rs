//! What support needs to help (OPS-38, SEC-23): one file without secrets.

use super::Session;
use crate::engine::{Scrubber, Settings, kinds};
use crate::model::{Cluster, JobSummary, ResourceKind};
use crate::rules::{Area, Verb};
use crate::{Error, ErrorKind, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The newest jobs whose journals are in a bundle.
const JOBS: usize = 50;
/// The last entries of each.
const ENTRIES: u64 = 2000;
/// The last events of each cluster.
const EVENTS: u64 = 500;

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundledFile {
    /// Its name in the bundle.
    pub name: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// Its digest (SHA-256, hexadecimal).
    pub sha256: String,
}

/// What is in a bundle: its first file, `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleManifest {
    /// The form of bundles, 1.
    pub format: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// By whom.
    pub made_by: String,
    /// The engine that made it.
    pub node: String,
    /// The version of this library.
    pub version: String,
    /// For whom (OPS-39); what the host gave.
    pub support_contact: Option<String>,
    /// How often a secret was taken out of a text. A journal of which something was taken out does not verify.
    pub secrets_removed: u64,
    /// All other files.
    pub files: Vec<BundledFile>,
}

/// A bundle.
#[derive(Clone, PartialEq, Eq)]
pub struct SupportBundle {
    /// What to call the file: `neverstop_2026-11-23.tar.gz`.
    pub file_name: String,
    /// What is in it.
    pub manifest: BundleManifest,
    /// The file: a tar archive, compressed with gzip.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for SupportBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupportBundle")
            .field("file_name", &self.file_name)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// See [`Session::support`].
#[derive(Debug, Clone, Copy)]
pub struct Support<'a> {
    pub(super) session: &'a Session,
}

impl Support<'_> {
    /// Makes a file for support (OPS-38): settings, versions, health, what the licence is worth, how many things each cluster holds,
    /// its last 500 events, all jobs, and the journals of the newest 50. Connections and licence keys are not in it. Secrets are
    /// taken out of all texts (SEC-23): those of stored connections by their value, others by how they look, which is no proof. Names,
    /// addresses and ids stay in it: encrypt it for its receiver.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let bundle = session.support().bundle().await?;
    /// std::fs::write(&bundle.file_name, &bundle.bytes)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Denied` for all but an Admin; those of the store.
    pub async fn bundle(&self) -> Result<SupportBundle> {
        self.session.may(Area::Settings, Verb::Read)?;
        let inner = &self.session.inner;
        let made_at = inner.clock.now();
        let mut scrubber = Scrubber::new(inner).await?;
        let mut files = BTreeMap::new();
        let mut add = |name: String, lines: Vec<Value>| {
            let clean = lines.into_iter().map(|line| scrubber.value(line).to_string() + "\n");
            files.insert(name, clean.collect::<String>());
        };
        add(
            "settings.json".into(),
            vec![value(&Settings::clone(&inner.settings()))?],
        );
        add(
            "changed-settings.json".into(),
            vec![value(&inner.changed_settings().1)?],
        );
        let health = self.session.health().report().await?;
        add("health.json".into(), vec![value(&health)?]);

        let records = inner.records();
        let mut inventories = Vec::new();
        for cluster in records.all::<Cluster>(kinds::CLUSTER, |_| true).await? {
            inventories.push(json!({"cluster": value(&cluster)?, "holds": self.counts(&cluster).await?}));
            let last = inner.head(&cluster.id).await?.0.position;
            let events = inner
                .events_after(&cluster.id, last.saturating_sub(EVENTS), EVENTS as usize)
                .await?;
            let events = events.iter().map(value).collect::<Result<_>>()?;
            add(format!("events/{}.jsonl", safe(cluster.id.as_str())), events);
        }
        add("clusters.jsonl".into(), inventories);
        let mut jobs: Vec<JobSummary> = records.all(kinds::JOB, |_| true).await?;
        jobs.sort_by_key(|job| std::cmp::Reverse(job.created_at));
        add("jobs.jsonl".into(), jobs.iter().map(value).collect::<Result<_>>()?);
        for job in jobs.iter().take(JOBS) {
            let from = job.position.saturating_sub(ENTRIES) + 1;
            let lines = inner.store.journal(&job.id, from, ENTRIES as usize).await?;
            let entries = lines.iter().map(|line| {
                // One that is damaged is shown as it is.
                let body = serde_json::from_str(&line.body).unwrap_or_else(|_| Value::from(line.body.as_str()));
                json!({"position": line.position, "hash": line.hash, "entry": body})
            });
            add(format!("journals/{}.jsonl", safe(job.id.as_str())), entries.collect());
        }

        let listed = files.iter().map(|(name, text)| BundledFile {
            name: name.clone(),
            bytes: text.len() as u64,
            sha256: Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect(),
        });
        let manifest = BundleManifest {
            format: 1,
            made_at,
            made_by: self.session.actor.name.clone(),
            node: inner.node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            support_contact: inner.support_contact.clone(),
            files: listed.collect(),
            secrets_removed: scrubber.removed,
        };
        let bytes = pack(&manifest, &files).map_err(|e| {
            Error::new(ErrorKind::Internal, "support.pack", "the bundle could not be packed").with_source(e)
        })?;
        let day = made_at.to_zoned(TimeZone::UTC).date();
        Ok(SupportBundle {
            file_name: format!("neverstop_{day}.tar.gz"),
            manifest,
            bytes,
        })
    }

    /// How many things of each kind a cluster holds; none when its inventory was never complete.
    async fn counts(&self, cluster: &Cluster) -> Result<Option<BTreeMap<&'static str, usize>>> {
        match self.session.inner.inventory(&cluster.id).await {
            Ok(inventory) => {
                let counts = ResourceKind::ALL
                    .iter()
                    .map(|kind| (kind.as_str(), inventory.ids(*kind).count()));
                Ok(Some(counts.collect()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn value<T: Serialize + ?Sized>(of: &T) -> Result<Value> {
    serde_json::to_value(of).map_err(|e| Error::new(ErrorKind::Internal, "support.encode", e.to_string()))
}

/// An id as part of a file name.
fn safe(id: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    id.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

fn pack(manifest: &BundleManifest, files: &BTreeMap<String, String>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let first = serde_json::to_string_pretty(manifest)?;
    let all = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    for (name, text) in std::iter::once(("manifest.json", first.as_str())).chain(all) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(manifest.made_at.as_second()).unwrap_or_default());
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}
