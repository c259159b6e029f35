//! Connections that the engine keeps itself (CL-08, CL-22, SEC-02): settings in the clear, secrets sealed, and how both become
//! providers again. When that happens is next door in `reconnect`.
//!
//! Secrets are sealed for one half of one cluster with the very settings beside them: somebody who can write to the store can
//! neither give them to another cluster nor have them sent to another address.

use super::{Inner, Providers};
use crate::model::{ClusterId, ConnectionInfo, ConnectionSettings, ConnectorField, ConnectorInfo, Half, HalfInfo};
use crate::ports::with_deadline;
use crate::provider::{Cloud, CloudConnector, Storage, StorageAccess, StorageConnector};
use crate::rules::{self, Warning};
use crate::sealing::{KeySource, Sealed, Secrets, looks_like_a_secret};
use crate::{Error, ErrorKind, Result};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the engine can connect with, and what it seals with.
#[derive(Debug, Default)]
pub(crate) struct Connectors {
    pub(super) clouds: BTreeMap<&'static str, Arc<dyn CloudConnector>>,
    pub(super) storages: BTreeMap<&'static str, Arc<dyn StorageConnector>>,
    pub(super) keys: Option<Arc<dyn KeySource>>,
}

impl Connectors {
    pub(crate) fn is_empty(&self) -> bool {
        self.clouds.is_empty() && self.storages.is_empty()
    }

    pub(crate) fn all(&self) -> Vec<ConnectorInfo> {
        let info = |half, kind: &str, fields| ConnectorInfo {
            half,
            kind: kind.to_owned(),
            fields,
        };
        let clouds = self
            .clouds
            .values()
            .map(|c| info(Half::Cloud, c.platform(), c.fields()));
        let storages = self
            .storages
            .values()
            .map(|c| info(Half::Storage, c.kind(), c.fields()));
        clouds.chain(storages).collect()
    }

    /// Where keys come from.
    ///
    /// # Errors
    /// `Refused` without a key source: nothing is kept that cannot be sealed.
    pub(crate) fn keys(&self) -> Result<&dyn KeySource> {
        self.keys.as_deref().ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                "connection.no_keys",
                "the engine has no key source to seal secrets with",
            )
            .with_field("key_source")
            .with_remedy(
                "give it one with EngineBuilder::key_source, or keep the secrets yourself and give providers with \
                 Clusters::register",
            )
        })
    }

    fn storage(&self, kind: &str) -> Result<&dyn StorageConnector> {
        let names = self.storages.keys();
        self.storages
            .get(kind)
            .map(|c| &**c)
            .ok_or_else(|| no_connector(Half::Storage, kind, names))
    }

    fn cloud(&self, kind: &str) -> Result<&dyn CloudConnector> {
        let names = self.clouds.keys();
        self.clouds
            .get(kind)
            .map(|c| &**c)
            .ok_or_else(|| no_connector(Half::Cloud, kind, names))
    }

    fn fields(&self, half: Half, kind: &str) -> Result<Vec<ConnectorField>> {
        Ok(match half {
            Half::Cloud => self.cloud(kind)?.fields(),
            Half::Storage => self.storage(kind)?.fields(),
        })
    }

    /// Refuses settings and secrets that the connector does not take (CL-08), and settings with what looks like a secret in
    /// them (SEC-15); what is left to say of those that it takes (SEC-08).
    pub(crate) fn check(
        &self,
        half: Half,
        kind: &str,
        settings: &ConnectionSettings,
        secrets: &Secrets,
    ) -> Result<Vec<Warning>> {
        let fields = self.fields(half, kind)?;
        let given = secrets.iter().filter(|(_, secret)| !secret.expose_secret().is_empty());
        rules::check_connection(&fields, settings, &given.map(|(name, _)| name).collect())
            .map_err(|e| of_half(e, half))?;
        if let Some((name, _)) = settings.iter().find(|(_, value)| looks_like_a_secret(value)) {
            let message = format!("the value of {name} looks as if a key or a password stood in it");
            return Err(Error::new(ErrorKind::Invalid, "connection.secret_in_setting", message)
                .with_field(format!("{half}.settings.{name}"))
                .with_remedy("give it with the secrets: settings are shown to readers"));
        }
        let warnings = rules::connection_warnings(&fields, settings).into_iter();
        let of_half = |warning: Warning| Warning {
            field: format!("{half}.{}", warning.field),
            ..warning
        };
        Ok(warnings.map(of_half).collect())
    }

    /// What the settings of a storage say of the access to it (CL-16); nothing when its connector is not here.
    pub(crate) fn access(&self, kept: &StoredHalf) -> StorageAccess {
        let connector = self.storage(&kept.kind).ok();
        connector.map_or_else(StorageAccess::default, |c| c.access(&kept.settings))
    }
}

/// An error about a field of one half, which both may have.
fn of_half(error: Error, half: Half) -> Error {
    match error.field().map(str::to_owned) {
        Some(field) if field.starts_with("settings") || field.starts_with("secrets") => {
            error.with_field(format!("{half}.{field}"))
        }
        _ => error.with("of", half),
    }
}

fn no_connector<'a>(half: Half, kind: &str, names: impl Iterator<Item = &'a &'static str>) -> Error {
    let names: Vec<_> = names.copied().collect();
    Error::new(
        ErrorKind::Invalid,
        "connection.kind",
        format!("there is no connector for the {half} {kind}"),
    )
    .with_field(format!("{half}.kind"))
    .with_remedy(if names.is_empty() {
        format!("give the engine one with EngineBuilder::{half}_connector")
    } else {
        format!("use one of {}", names.join(", "))
    })
}

/// One half of a connection as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredHalf {
    pub(crate) kind: String,
    pub(crate) settings: ConnectionSettings,
    pub(crate) secret_names: Vec<String>,
    pub(crate) sealed: Sealed,
    /// Counts the secrets that this half had, from 1. Sealing the same ones anew does not count.
    pub(crate) revision: u64,
    pub(crate) changed_at: Timestamp,
}

impl StoredHalf {
    pub(crate) fn info(&self) -> HalfInfo {
        HalfInfo {
            kind: self.kind.clone(),
            settings: self.settings.clone(),
            secrets: self.secret_names.clone(),
            key_id: self.sealed.key_id().clone(),
            changed_at: self.changed_at,
        }
    }

    /// What the secrets are sealed for.
    fn object(&self, cluster: &ClusterId, half: Half) -> Result<String> {
        object(cluster, half, &self.kind, &self.settings)
    }

    pub(crate) fn open(&self, keys: &dyn KeySource, cluster: &ClusterId, half: Half) -> Result<Secrets> {
        self.sealed.open(keys, &self.object(cluster, half)?)
    }

    /// The same with the secrets sealed anew with the current key (SEC-02).
    pub(crate) fn resealed(&self, keys: &dyn KeySource, cluster: &ClusterId, half: Half) -> Result<Self> {
        Ok(Self {
            sealed: self.sealed.reseal(keys, &self.object(cluster, half)?)?,
            ..self.clone()
        })
    }

    /// The same with other secrets (CL-15).
    pub(crate) fn rotated(
        &self,
        keys: &dyn KeySource,
        (cluster, half): (&ClusterId, Half),
        secrets: &Secrets,
        at: Timestamp,
    ) -> Result<Self> {
        Ok(Self {
            secret_names: secrets.names().map(str::to_owned).collect(),
            sealed: Sealed::seal(keys, &self.object(cluster, half)?, secrets)?,
            revision: self.revision + 1,
            changed_at: at,
            ..self.clone()
        })
    }
}

/// A connection as it is stored: the document beside the cluster's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredConnection {
    pub(crate) cloud: StoredHalf,
    pub(crate) storage: StoredHalf,
}

impl StoredConnection {
    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionInfo {
            cloud: self.cloud.info(),
            storage: self.storage.info(),
        }
    }

    pub(crate) const fn half(&self, half: Half) -> &StoredHalf {
        match half {
            Half::Cloud => &self.cloud,
            Half::Storage => &self.storage,
        }
    }

    pub(crate) fn with(&self, half: Half, kept: StoredHalf) -> Self {
        let (mut cloud, mut storage) = (self.cloud.clone(), self.storage.clone());
        match half {
            Half::Cloud => cloud = kept,
            Half::Storage => storage = kept,
        }
        Self { cloud, storage }
    }

    pub(crate) const fn revisions(&self) -> Revisions {
        Revisions {
            cloud: self.cloud.revision,
            storage: self.storage.revision,
        }
    }
}

/// Which secrets providers were made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Revisions {
    cloud: u64,
    storage: u64,
}

/// Cluster, half and settings, as one name. The settings are in it by their digest.
fn object(cluster: &ClusterId, half: Half, kind: &str, settings: &ConnectionSettings) -> Result<String> {
    let text = serde_json::to_string(&(kind, settings))
        .map_err(|e| Error::new(ErrorKind::Internal, "record.encode", e.to_string()))?;
    let digest: String = Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("cluster/{cluster}/{half}/{digest}"))
}

impl Inner {
    /// Seals one half of a new connection.
    pub(crate) fn seal(
        &self,
        (cluster, half): (&ClusterId, Half),
        kind: &str,
        settings: &ConnectionSettings,
        secrets: &Secrets,
    ) -> Result<StoredHalf> {
        let keys = self.connectors.keys()?;
        Ok(StoredHalf {
            kind: kind.to_owned(),
            settings: settings.clone(),
            secret_names: secrets.names().map(str::to_owned).collect(),
            sealed: Sealed::seal(keys, &object(cluster, half, kind, settings)?, secrets)?,
            revision: 1,
            changed_at: self.clock.now(),
        })
    }

    /// A cloud provider of settings and secrets, which were checked.
    pub(crate) async fn connect_cloud(
        &self,
        kind: &str,
        settings: &ConnectionSettings,
        secrets: &Secrets,
    ) -> Result<Cloud> {
        let connect = self.connectors.cloud(kind)?.connect(settings, secrets);
        with_deadline(
            &*self.clock,
            self.settings().reach_limit,
            "the cloud's connector",
            connect,
        )
        .await
        .map_err(|e| of_half(e, Half::Cloud))
    }

    /// A storage provider of settings and secrets, which were checked.
    pub(crate) async fn connect_storage(
        &self,
        kind: &str,
        settings: &ConnectionSettings,
        secrets: &Secrets,
    ) -> Result<Storage> {
        let connect = self.connectors.storage(kind)?.connect(settings, secrets);
        with_deadline(
            &*self.clock,
            self.settings().reach_limit,
            "the storage's connector",
            connect,
        )
        .await
        .map_err(|e| of_half(e, Half::Storage))
    }

    /// The providers of a stored connection. A half whose secrets are those that `before` was made with is kept: a provider may
    /// know more than its connection.
    pub(super) async fn connect_stored(
        &self,
        cluster: &ClusterId,
        stored: &StoredConnection,
        before: Option<&(Providers, Revisions)>,
    ) -> Result<Providers> {
        let unchanged = |half: Half| {
            before.filter(|(_, revisions)| match half {
                Half::Cloud => revisions.cloud == stored.cloud.revision,
                Half::Storage => revisions.storage == stored.storage.revision,
            })
        };
        let open = |half: Half| {
            let kept = stored.half(half);
            let secrets = kept.open(self.connectors.keys()?, cluster, half)?;
            self.connectors.check(half, &kept.kind, &kept.settings, &secrets)?;
            Ok::<_, Error>(secrets)
        };
        let cloud = match unchanged(Half::Cloud) {
            Some((providers, _)) => providers.cloud.clone(),
            None => {
                let secrets = open(Half::Cloud)?;
                self.connect_cloud(&stored.cloud.kind, &stored.cloud.settings, &secrets)
                    .await?
            }
        };
        let storage = match unchanged(Half::Storage) {
            Some((providers, _)) => providers.storage.clone(),
            None => {
                let secrets = open(Half::Storage)?;
                self.connect_storage(&stored.storage.kind, &stored.storage.settings, &secrets)
                    .await?
            }
        };
        Ok(Providers { cloud, storage })
    }
}
