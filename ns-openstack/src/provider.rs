//! [`OpenStack`]: the port's methods, each handed to the module that knows.

use crate::config::OpenStackConfig;
use crate::session::Session;
use crate::{check, create, inventory, volume};
use async_trait::async_trait;
use futures::stream::BoxStream;
use ns_core::model::{CloudId, Resource, ResourceKind};
use ns_core::provider::{
    AdoptSpec, CloudCapabilities, CloudProvider, CloudReport, CreatedKind, Handle, Notice, Spec, Token,
};
use ns_core::{Error, ErrorKind, Result};

/// What this platform is called.
pub(crate) const PLATFORM: &str = "openstack";

/// An OpenStack cloud.
///
/// ```no_run
/// use ns_core::provider::CloudProvider;
/// use ns_openstack::{OpenStack, OpenStackConfig};
/// # async fn example() -> ns_core::Result<()> {
/// let mut config = OpenStackConfig::from_clouds_yaml(None, "cloud-a")?;
/// config.allow_http = true; // a test cloud
/// let report = OpenStack::new(config)?.check().await?;
/// assert!(report.missing_rights.is_empty(), "{report:?}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OpenStack {
    session: Session,
}

impl OpenStack {
    /// A provider for this cloud. Nothing is sent yet.
    ///
    /// # Errors
    /// `Invalid` for a configuration that cannot work: plain http that is not allowed, an unreadable `ca_file`.
    pub fn new(config: OpenStackConfig) -> Result<Self> {
        Ok(Self {
            session: Session::new(config)?,
        })
    }
}

#[async_trait]
impl CloudProvider for OpenStack {
    fn platform(&self) -> &'static str {
        PLATFORM
    }

    fn capabilities(&self) -> CloudCapabilities {
        CloudCapabilities::all()
    }

    async fn check(&self) -> Result<CloudReport> {
        check::check(&self.session).await
    }

    async fn probe(&self) -> Result<()> {
        check::probe(&self.session).await
    }

    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        inventory::stream(&self.session, kinds)
    }

    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        inventory::one(&self.session, kind, id).await
    }

    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        create::create(&self.session, spec, token).await
    }

    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        match kind {
            CreatedKind::Volume => volume::find(&self.session, token).await,
            kind => create::find(&self.session, kind, tenant, token).await,
        }
    }

    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        create::remove(&self.session, handle, token).await
    }

    fn removal_command(&self, handle: &Handle) -> Option<String> {
        create::removal_command(handle)
    }

    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        volume::adopt(&self.session, spec, token).await
    }

    async fn release(&self, volume: &CloudId) -> Result<()> {
        volume::release(&self.session, volume).await
    }

    async fn start(&self, server: &CloudId) -> Result<()> {
        create::start(&self.session, server).await
    }

    async fn stop(&self, server: &CloudId) -> Result<()> {
        create::stop(&self.session, server).await
    }

    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        create::console(&self.session, server, lines).await
    }

    async fn notices(&self) -> Result<BoxStream<'static, Result<Notice>>> {
        let Some(broker) = &self.session.broker else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "cloud.notices",
                "the provider was not told where the cloud's message broker is",
            )
            .with_field("notifications")
            .with_remedy("give notifications in its configuration, or rely on synchronisation"));
        };
        broker.notices().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn evt_12_whoever_was_not_told_where_to_listen_says_so() {
        let auth = crate::Auth::ApplicationCredential {
            id: "i".into(),
            secret: "s".to_owned().into(),
        };
        let mut config = OpenStackConfig::new("https://cloud.example", auth).unwrap();
        let cloud = OpenStack::new(config.clone()).unwrap();
        let error = cloud.notices().await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, "cloud.notices"));
        config.notifications = Some(crate::NotificationConfig::new("mq:1", "u", "p".to_owned().into()));
        let error = OpenStack::new(config).unwrap_err();
        assert_eq!(error.field(), Some("notifications.hosts"));
    }
}
