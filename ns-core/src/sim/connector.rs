//! Connecting to simulated sites by settings and secrets, as to real ones.

use super::faults::Part;
use super::world::SimWorld;
use crate::model::{ALLOW_HTTP, ConnectionSettings, ConnectorField, FieldKind};
use crate::provider::{Cloud, CloudConnector, Storage, StorageAccess, StorageConnector};
use crate::sealing::Secrets;
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;

/// Connects to both halves of the sites of a world, named by the setting `site`. A site takes whatever `password` is given until
/// one was [set](SimWorld::set_password).
///
/// ```
/// use ns_core::model::ConnectionSettings;
/// use ns_core::provider::CloudConnector;
/// use ns_core::sealing::Secrets;
/// use ns_core::sim::{Part, SimClock, SimWorld};
/// # use std::sync::Arc;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ns_core::Result<()> {
/// let world = SimWorld::new(Arc::new(SimClock::new()), 7);
/// world.set_password("a", Part::Cloud, "horse-17");
/// let settings = ConnectionSettings::new().with("site", "a");
/// let cloud = world.connector();
/// let connected = CloudConnector::connect(&cloud, &settings, &Secrets::new().with("password", "cow-4")).await?;
/// assert_eq!(connected.check().await.unwrap_err().kind(), ns_core::ErrorKind::Unauthenticated);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct SimConnector {
    world: SimWorld,
}

impl SimWorld {
    /// The connector of this world.
    #[must_use]
    pub fn connector(&self) -> SimConnector {
        SimConnector { world: self.clone() }
    }

    fn named<'a>(&self, settings: &'a ConnectionSettings) -> Result<&'a str> {
        let site = settings.get("site").unwrap_or_default();
        if self.lock().sites.iter().any(|s| s.name == site) {
            return Ok(site);
        }
        Err(
            Error::new(ErrorKind::Invalid, "sim.site", format!("there is no site {site}"))
                .with_field("settings.site")
                .with_remedy("name a site of the simulated world"),
        )
    }
}

fn fields() -> Vec<ConnectorField> {
    vec![
        ConnectorField::new("site", FieldKind::Text, "the site of the simulated world").required(),
        ConnectorField::new("address", FieldKind::Url, "an address, which nothing is sent to"),
        ConnectorField::new(ALLOW_HTTP, FieldKind::Flag, "whether the address may be plain http"),
        ConnectorField::new("password", FieldKind::Secret, "the password of the site").required(),
        ConnectorField::new("spare", FieldKind::Secret, "a secret that nothing asks for"),
    ]
}

#[async_trait]
impl CloudConnector for SimConnector {
    fn platform(&self) -> &'static str {
        "simulated"
    }

    fn fields(&self) -> Vec<ConnectorField> {
        fields()
    }

    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Cloud> {
        let site = self.world.named(settings)?;
        Ok(self.world.cloud_with(site, secrets.get("password").cloned()))
    }
}

#[async_trait]
impl StorageConnector for SimConnector {
    fn kind(&self) -> &'static str {
        "sim-rbd"
    }

    fn fields(&self) -> Vec<ConnectorField> {
        fields()
    }

    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Storage> {
        let site = self.world.named(settings)?;
        Ok(self.world.storage_with(site, secrets.get("password").cloned()))
    }

    fn access(&self, settings: &ConnectionSettings) -> StorageAccess {
        StorageAccess {
            mon_hosts: settings.get("site").map(|site| vec![format!("mon.{site}.example")]),
            client: Some("sim".to_owned()),
            key: Some("password".to_owned()),
        }
    }
}

impl SimWorld {
    /// Sets the password that one half of a site takes from now on; providers made with another one are not let in. Those that were
    /// made without one always are.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn set_password(&self, site: &str, part: Part, password: &str) {
        self.access(site, |access| {
            access.passwords.retain(|(p, _)| *p != part);
            access.passwords.push((part, password.to_owned()));
        });
    }
}
