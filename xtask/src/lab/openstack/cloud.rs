//! One cloud's names: its addresses, folders, hosts and logins. Knows no process.
use crate::lab::{Site, state::State};
use std::path::PathBuf;

/// Password of every user of the lab. Not a secret: everything that takes it listens on loopback only.
pub(crate) const PASSWORD: &str = "lab-pass";
/// The one region of each cloud.
pub(crate) const REGION: &str = "RegionOne";
/// Where MariaDB and the RabbitMQ of the services listen.
pub(crate) const SHARED_ADDRESS: &str = "127.0.0.23";

/// One of the two clouds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cloud<'a> {
    /// The state folder.
    pub(crate) state: &'a State,
    /// Which one.
    pub(crate) site: Site,
}

/// An API of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Api {
    /// Keystone
    Identity,
    /// Glance
    Image,
    /// Placement
    Placement,
    /// Nova
    Compute,
    /// Neutron
    Network,
    /// Cinder
    Volume,
}

impl Api {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Identity,
        Self::Image,
        Self::Placement,
        Self::Compute,
        Self::Network,
        Self::Volume,
    ];

    /// Name of the service, which is also its user's.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Identity => "keystone",
            Self::Image => "glance",
            Self::Placement => "placement",
            Self::Compute => "nova",
            Self::Network => "neutron",
            Self::Volume => "cinder",
        }
    }

    /// Its types in the catalogue.
    pub(crate) fn types(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Image => &["image"],
            Self::Placement => &["placement"],
            Self::Compute => &["compute"],
            Self::Network => &["network"],
            Self::Volume => &["volumev3", "block-storage"],
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Identity => 5000,
            Self::Image => 9292,
            Self::Placement => 8778,
            Self::Compute => 8774,
            Self::Network => 9696,
            Self::Volume => 8776,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Identity => "/v3",
            Self::Compute => "/v2.1",
            Self::Volume => "/v3/%(project_id)s",
            Self::Image | Self::Placement | Self::Network => "",
        }
    }
}

impl<'a> Cloud<'a> {
    /// Cloud A and cloud B.
    pub(crate) fn both(state: &'a State) -> [Self; 2] {
        Site::BOTH.map(|site| Self { state, site })
    }

    /// `cloud-a` or `cloud-b`: in `clouds.yaml`, and the RabbitMQ vhost.
    pub(crate) fn name(self) -> String {
        format!("cloud-{}", self.site.letter())
    }

    /// What its APIs listen on.
    pub(crate) fn address(self) -> &'static str {
        match self.site {
            Site::A => "127.0.0.21",
            Site::B => "127.0.0.22",
        }
    }

    /// Its folder.
    pub(crate) fn dir(self) -> PathBuf {
        self.state.openstack_dir().join(self.site.letter())
    }

    /// A configuration file of it.
    pub(crate) fn config(self, name: &str) -> PathBuf {
        self.dir().join("conf").join(name)
    }

    /// A name of a process or host of it: `a-NAME`.
    pub(crate) fn named(self, name: &str) -> String {
        format!("{}-{name}", self.site.letter())
    }

    /// Compute hosts with the fake driver.
    pub(crate) fn fake_hosts(self) -> [String; 2] {
        [self.named("comp-1"), self.named("comp-2")]
    }

    /// The compute host with libvirt.
    pub(crate) fn libvirt_host(self) -> String {
        self.named("kvm-1")
    }

    /// Every compute host.
    pub(crate) fn hosts(self) -> [String; 3] {
        let [one, two] = self.fake_hosts();
        [one, two, self.libvirt_host()]
    }

    /// Address and port of an API.
    pub(crate) fn root_url(self, api: Api) -> String {
        format!("http://{}:{}", self.address(), api.port())
    }

    /// An API's URL as it stands in the catalogue.
    pub(crate) fn endpoint(self, api: Api) -> String {
        format!("{}{}", self.root_url(api), api.path())
    }

    /// Database and message broker user.
    pub(crate) fn user(self) -> String {
        format!("os_{}", self.site.letter())
    }

    /// A schema's name.
    pub(crate) fn schema(self, service: &str) -> String {
        format!("{service}_{}", self.site.letter())
    }

    /// The id under which libvirt holds cinder's Ceph key.
    pub(crate) fn secret_id(self) -> &'static str {
        match self.site {
            Site::A => "a466ec3d-2efd-444c-858a-257aabba0374",
            Site::B => "b466ec3d-2efd-444c-858a-257aabba0374",
        }
    }

    /// Folder of its libvirt.
    pub(crate) fn libvirt_dir(self) -> PathBuf {
        self.dir().join("libvirt")
    }

    /// How clients reach its libvirt.
    pub(crate) fn libvirt_uri(self) -> String {
        format!(
            "qemu+unix:///system?socket={}/sock/libvirt-sock",
            self.libvirt_dir().display()
        )
    }
}
