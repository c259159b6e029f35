//! The ports that make a provider of settings and secrets, so that the engine can connect to a cluster by itself.

use super::{Cloud, Storage};
use crate::Result;
use crate::model::{ConnectionSettings, ConnectorField};
use crate::sealing::Secrets;
use async_trait::async_trait;
use std::fmt::Debug;

/// Makes providers of one platform (CL-08). The engine has checked settings and secrets against
/// [`fields`](CloudConnector::fields) when it calls [`connect`](CloudConnector::connect): nothing is there that is not among
/// them, and nothing required is missing.
///
/// Settings are entered by people and need not be well meant: a connector takes no program to run from them, and no error of
/// its own quotes a secret.
///
/// ```
/// use async_trait::async_trait;
/// use ns_core::model::{ConnectionSettings, ConnectorField, FieldKind};
/// use ns_core::provider::{Cloud, CloudConnector};
/// use ns_core::sealing::Secrets;
///
/// #[derive(Debug)]
/// struct Nimbus;
///
/// #[async_trait]
/// impl CloudConnector for Nimbus {
///     fn platform(&self) -> &'static str {
///         "nimbus"
///     }
///     fn fields(&self) -> Vec<ConnectorField> {
///         vec![
///             ConnectorField::new("address", FieldKind::Url, "where Nimbus answers").required(),
///             ConnectorField::new("token", FieldKind::Secret, "an access token").required(),
///         ]
///     }
///     async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> ns_core::Result<Cloud> {
///         // a provider of settings.get("address") and secrets.get("token")
/// #       Err(ns_core::Error::new(ns_core::ErrorKind::Unsupported, "nimbus", format!("{settings:?} {secrets:?}")))
///     }
/// }
/// assert_eq!(Nimbus.fields().len(), 2);
/// ```
#[async_trait]
pub trait CloudConnector: Debug + Send + Sync {
    /// The platform's name: that of its providers, e.g. `openstack`.
    fn platform(&self) -> &'static str;

    /// What it asks for.
    fn fields(&self) -> Vec<ConnectorField>;

    /// Makes a provider. Whether the cloud answers is found out by its check; this needs not send anything.
    ///
    /// # Errors
    /// `Invalid`, naming the field, for settings that cannot work.
    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Cloud>;
}

/// The same for one kind of storage.
#[async_trait]
pub trait StorageConnector: Debug + Send + Sync {
    /// The kind of storage: that of its providers, e.g. `ceph-rbd`.
    fn kind(&self) -> &'static str;

    /// What it asks for.
    fn fields(&self) -> Vec<ConnectorField>;

    /// Makes a provider, as [`CloudConnector::connect`].
    ///
    /// # Errors
    /// As there.
    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Storage>;

    /// What the settings say of the access to the storage, for the metadata of its volumes (CL-16); nothing by default.
    fn access(&self, settings: &ConnectionSettings) -> StorageAccess {
        let _ = settings;
        StorageAccess::default()
    }
}

/// How a storage is reached, as far as its connector tells (CL-16, OPEN-14).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageAccess {
    /// Where its monitors answer.
    pub mon_hosts: Option<Vec<String>>,
    /// As whom it is used.
    pub client: Option<String>,
    /// The name of the secret that is this user's key.
    pub key: Option<String>,
}
