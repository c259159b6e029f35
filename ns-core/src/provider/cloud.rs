//! The port of a cloud: inventory, and making and removing what recovery needs.

use super::{AdoptSpec, CreatedKind, Handle, Notice, Spec, Token};
use crate::model::{CloudId, Resource, ResourceKind};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;

/// What a cloud provider can do. Planning refuses early what is missing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CloudCapabilities {
    /// Storage images can be adopted as volumes and released again.
    pub adopt: bool,
    /// A server can be put on a chosen compute node.
    pub choose_host: bool,
    /// A port can be given its hardware address.
    pub choose_mac: bool,
    /// A floating IP can be given its address.
    pub choose_floating_ip: bool,
    /// A volume can be attached to several servers.
    pub multiattach: bool,
    /// The console of a server can be read.
    pub console: bool,
}

impl CloudCapabilities {
    /// Nothing; providers switch on what they have.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            adopt: false,
            choose_host: false,
            choose_mac: false,
            choose_floating_ip: false,
            multiattach: false,
            console: false,
        }
    }

    /// Everything.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            adopt: true,
            choose_host: true,
            choose_mac: true,
            choose_floating_ip: true,
            multiattach: true,
            console: true,
        }
    }
}

/// How much a tenant may hold that is made now. None: without limit, or not told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantQuota {
    /// Servers.
    pub instances: Option<u64>,
    /// Their virtual processors together.
    pub vcpus: Option<u64>,
    /// Their memory together, in MiB.
    pub memory_mib: Option<u64>,
    /// Volumes.
    pub volumes: Option<u64>,
    /// Their sizes together, in GiB.
    pub volume_gib: Option<u64>,
    /// Networks.
    pub networks: Option<u64>,
    /// Ports.
    pub ports: Option<u64>,
    /// Floating IPs.
    pub floating_ips: Option<u64>,
    /// Security groups.
    pub security_groups: Option<u64>,
}

/// What a connection check found (CL-02).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudReport {
    /// The cloud's own identity, as far as it has one (its identity endpoint, without credentials).
    pub cloud_id: String,
    /// The user the provider works as.
    pub user: String,
    /// Rights that recovery needs and the user lacks; empty is good.
    pub missing_rights: Vec<String>,
    /// Rights that recovery does not need (SEC-09).
    pub excess_rights: Vec<String>,
    /// Seconds by which the cloud's clock is ahead of ours; negative when behind.
    pub clock_skew_seconds: i64,
    /// Services found, with their versions.
    pub services: Vec<(String, String)>,
    /// What a tenant may hold that a recovery makes.
    #[serde(default)]
    pub new_tenant: TenantQuota,
    /// Things to tell the operator that do not forbid registration, e.g. plain http.
    pub warnings: Vec<String>,
}

/// A cloud. See the module's opening lines for what holds for every method.
#[async_trait]
pub trait CloudProvider: Debug + Send + Sync {
    /// The platform's name, e.g. `openstack`.
    fn platform(&self) -> &'static str;

    /// What this provider can do.
    fn capabilities(&self) -> CloudCapabilities;

    /// Checks connection, credentials, rights and clock (CL-02).
    ///
    /// # Errors
    /// `Unauthenticated` for wrong credentials, `Unavailable` for an endpoint that does not answer. Missing rights are not
    /// an error: they are in the report.
    async fn check(&self) -> Result<CloudReport>;

    /// Whether the cloud answers: what is asked again and again (CL-11), so as little as tells it. What recovery can do without,
    /// such as notices, does not count.
    ///
    /// # Errors
    /// As [`CloudProvider::check`].
    async fn probe(&self) -> Result<()> {
        self.check().await.map(drop)
    }

    /// Lists all things of the given kinds, of all tenants, page by page; memory stays bounded by a page.
    ///
    /// # Errors
    /// The stream ends with the first error.
    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>>;

    /// Reads one thing; none when it does not exist.
    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>>;

    /// Makes a thing, or takes up the one with this token, and returns when it can be used: a server runs, a floating IP
    /// is bound.
    ///
    /// # Errors
    /// `Quota`, `Denied`, `Rejected` or `Conflict` as the cloud says; nothing usable is left behind then except what
    /// [`CloudProvider::find`] finds by the token.
    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle>;

    /// Finds what was made with this token, in whatever state it is. `tenant` is where to look; providers may look
    /// elsewhere too.
    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>>;

    /// Removes a thing and returns when it is gone; `Ok` when it was gone already. Volumes are never removed but
    /// [released](CloudProvider::release).
    ///
    /// # Errors
    /// `Refused` when the thing does not carry the token: it is not ours. `Conflict` while it is in use.
    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()>;

    /// The command that removes something which was made here, for a person to run with the platform's own tool and their own
    /// credentials (SM-68, SEC-17): what could not be removed is reported with it. None when there is no such command.
    fn removal_command(&self, handle: &Handle) -> Option<String> {
        let _ = handle;
        None
    }

    /// Makes a volume of a storage image. The image keeps its bytes; its name may change (see [`Handle::storage`]).
    ///
    /// # Errors
    /// `Quota`; `NotFound` when there is no such image; `Rejected` when the image is a replica. A failed adoption leaves no
    /// volume record and the image with its old name.
    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle>;

    /// Lets go of a volume: the cloud forgets it, the image stays as it is. `Ok` when the cloud does not know the volume.
    ///
    /// # Errors
    /// `Conflict` while the volume is attached or has snapshots.
    async fn release(&self, volume: &CloudId) -> Result<()>;

    /// Starts a server and returns when it runs.
    async fn start(&self, server: &CloudId) -> Result<()>;

    /// Stops a server, politely first, and returns when it is off, so that it can no longer write.
    async fn stop(&self, server: &CloudId) -> Result<()>;

    /// The last lines of a server's console.
    ///
    /// # Errors
    /// `Unsupported` without the capability.
    async fn console(&self, server: &CloudId, lines: u32) -> Result<String>;

    /// Listens to what the cloud tells of itself (EVT-12, EVT-13). `Ok` means that from now on nothing is missed: a caller that
    /// synchronises after that has everything. A message is acknowledged once the stream's next item is asked for, so that
    /// it is delivered again when the engine dies over it. The stream ends with the error that broke the connection; connecting
    /// again is the engine's.
    ///
    /// # Errors
    /// `Unsupported` when the cloud does not tell, or its provider was not set up to listen; `Unauthenticated` or `Denied` for wrong credentials of the message broker,
    /// `Unavailable` when it does not answer.
    async fn notices(&self) -> Result<BoxStream<'static, Result<Notice>>> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "cloud.notices",
            format!("{} does not tell of changes by itself", self.platform()),
        )
        .with_remedy("rely on synchronisation"))
    }
}

/// A shared cloud provider.
pub type Cloud = Arc<dyn CloudProvider>;
