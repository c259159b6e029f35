//! Servers with their cards and disks in order. Nova's list alone has neither: ports come from Neutron, the order of
//! disks from the attachments.

use super::network::ports_of;
use super::{Kind, nullable};
use crate::error::Service;
use crate::paging::{Item, List};
use crate::session::Session;
use futures::stream::{self, StreamExt, TryStreamExt};
use ns_core::Result;
use ns_core::model::{self, CloudId, PowerState, Resource};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// First microversion that lists servers of a cell that is down (with little more than their id) instead of leaving
/// them out.
pub(crate) const VERSION: &str = "2.69";

/// A server. Almost everything may be missing: of a cell that is down Nova tells the id only.
#[derive(Deserialize)]
pub(super) struct Server {
    id: String,
    #[serde(default)]
    name: String,
    status: String,
    #[serde(default)]
    tenant_id: String,
    image: Option<Value>,
    flavor: Option<ServerFlavor>,
    #[serde(default)]
    addresses: Addresses,
    key_name: Option<String>,
    fault: Option<Fault>,
    #[serde(default, deserialize_with = "nullable")]
    metadata: BTreeMap<String, String>,
    #[serde(rename = "OS-EXT-AZ:availability_zone", default, deserialize_with = "nullable")]
    zone: String,
    #[serde(rename = "OS-EXT-SRV-ATTR:host")]
    host: Option<String>,
    #[serde(rename = "OS-EXT-SRV-ATTR:root_device_name")]
    root_device: Option<String>,
    #[serde(rename = "OS-EXT-SRV-ATTR:user_data")]
    user_data: Option<String>,
    #[serde(rename = "OS-EXT-STS:task_state")]
    task: Option<String>,
    #[serde(rename = "OS-EXT-STS:power_state")]
    power: Option<u8>,
    #[serde(rename = "os-extended-volumes:volumes_attached", default)]
    volumes: Vec<Attached>,
}

#[derive(Deserialize)]
struct Attached {
    id: String,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct ServerFlavor {
    #[serde(default)]
    original_name: String,
    #[serde(default)]
    vcpus: u32,
    #[serde(default)]
    ram: u64,
    #[serde(default)]
    disk: u64,
    #[serde(default)]
    ephemeral: u64,
    #[serde(default)]
    swap: u64,
    #[serde(default, deserialize_with = "nullable")]
    extra_specs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(rename = "volumeId")]
    volume: String,
    #[serde(default, deserialize_with = "nullable")]
    device: String,
}

#[derive(Deserialize)]
struct Attachments {
    #[serde(rename = "volumeAttachments")]
    attachments: Vec<Attachment>,
}

impl Attachments {
    /// /dev/vdb before /dev/vdaa; the boot disk before all.
    fn in_order(self, root: Option<&str>) -> Vec<CloudId> {
        let mut disks = self.attachments;
        disks.sort_by(|a, b| {
            let key = |d: &Attachment| (root != Some(d.device.as_str()), d.device.len());
            key(a).cmp(&key(b)).then_with(|| a.device.cmp(&b.device))
        });
        disks.into_iter().map(|d| d.volume.into()).collect()
    }
}

/// Hardware addresses in the order of the answer, which is the order of the cards within each network. A map would
/// sort the networks by name.
#[derive(Default)]
struct Addresses(Vec<String>);

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Address {
            #[serde(rename = "OS-EXT-IPS-MAC:mac_addr", default)]
            mac: String,
        }
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Addresses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("addresses by network")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Addresses, A::Error> {
                let mut macs = Vec::new();
                while let Some((_, addresses)) = map.next_entry::<String, Vec<Address>>()? {
                    macs.extend(addresses.into_iter().map(|a| a.mac));
                }
                Ok(Addresses(macs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Item for Server {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Server {
    const SERVICE: Service = Service::Compute;
    const PATH: &'static [&'static str] = &["servers", "detail"];
    const MANY: &'static str = "servers";
    const ONE: &'static str = "server";
    const VERSION: Option<&'static str> = Some(VERSION);

    fn list() -> List {
        List::new(Self::SERVICE, Self::PATH, Self::MANY)
            .version(VERSION)
            .with("all_tenants", "True")
    }

    async fn resources(session: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let ids: Vec<_> = page.iter().map(|w| w.id.clone()).collect();
        let mut ports: HashMap<String, Vec<(String, String)>> = HashMap::new();
        for port in ports_of(session, &ids).await? {
            ports
                .entry(port.device_id)
                .or_default()
                .push((port.mac_address, port.id));
        }
        let page = page.into_iter().map(|w| {
            let ports = ports.remove(&w.id).unwrap_or_default();
            (w, ports)
        });
        stream::iter(page)
            .map(|(w, ports)| async move {
                let volumes = w.volumes_in_order(session).await?;
                Ok(Resource::Instance(w.into_model(ports, volumes)))
            })
            .buffered(session.config.parallel)
            .try_collect()
            .await
    }
}

impl Server {
    /// Whether the boot disk is a volume: Nova then shows an empty image.
    fn boots_from_volume(&self) -> bool {
        self.image.as_ref().is_some_and(|image| image.as_str() == Some("")) && !self.volumes.is_empty()
    }

    async fn volumes_in_order(&self, session: &Session) -> Result<Vec<CloudId>> {
        if self.volumes.len() < 2 {
            return Ok(self.volumes.iter().map(|v| v.id.as_str().into()).collect());
        }
        let call = session.get(Service::Compute, &["servers", &self.id, "os-volume_attachments"]);
        // A server that went away meanwhile has no disks any more.
        let Some(answer) = call.found::<Attachments>().await? else {
            return Ok(Vec::new());
        };
        Ok(answer.in_order(self.root_device.as_deref().filter(|_| self.boots_from_volume())))
    }

    fn into_model(self, mut ports: Vec<(String, String)>, volume_ids: Vec<CloudId>) -> model::Instance {
        let card = |mac: &str| {
            self.addresses
                .0
                .iter()
                .position(|m| m.eq_ignore_ascii_case(mac))
                .unwrap_or(usize::MAX)
        };
        ports.sort_by_key(|(mac, _)| card(mac));
        model::Instance {
            power: power(&self.status, self.task.as_deref(), self.power),
            boots_from_volume: self.boots_from_volume(),
            flavor: self.flavor.map_or_else(ServerFlavor::unknown, ServerFlavor::into_model),
            id: self.id.into(),
            name: self.name,
            tenant_id: self.tenant_id.into(),
            status: self.status,
            availability_zone: self.zone,
            host: self.host.filter(|host| !host.is_empty()),
            keypair: self.key_name,
            volume_ids,
            port_ids: ports.into_iter().map(|(_, id)| id.into()).collect(),
            metadata: self.metadata,
            user_data: self.user_data,
            fault: self.fault.map(|fault| fault.message),
        }
    }
}

impl ServerFlavor {
    /// Nova keeps a flavour's contents with the server, not its id; the name stands in for it.
    fn into_model(self) -> model::Flavor {
        model::Flavor {
            id: self.original_name.as_str().into(),
            name: self.original_name,
            vcpus: self.vcpus,
            memory_mib: self.ram,
            disk_gib: self.disk,
            ephemeral_gib: self.ephemeral,
            swap_mib: self.swap,
            public: false,
            extra_specs: self.extra_specs,
        }
    }

    fn unknown() -> model::Flavor {
        let nothing = Self {
            original_name: String::new(),
            vcpus: 0,
            ram: 0,
            disk: 0,
            ephemeral: 0,
            swap: 0,
            extra_specs: BTreeMap::new(),
        };
        nothing.into_model()
    }
}

/// Reads servers, with a card for each address.
#[cfg(feature = "fuzzing")]
pub(super) fn read(body: &[u8]) {
    let one = serde_json::from_slice::<super::Envelope<Server>>(body);
    for server in one.into_iter().flat_map(|answer| answer.0.into_values()) {
        let ports = server
            .addresses
            .0
            .iter()
            .map(|mac| (mac.clone(), mac.clone()))
            .collect();
        let _ = server.into_model(ports, Vec::new());
    }
    let _ = serde_json::from_slice::<Attachments>(body).map(|answer| answer.in_order(Some("/dev/vda")));
}

/// Whether a server in this state may write. In doubt it does: only what is known to be off is `Stopped`.
pub(crate) fn power(status: &str, task: Option<&str>, power: Option<u8>) -> PowerState {
    /// Nova's number for "shut down".
    const SHUTDOWN: u8 = 4;
    match status {
        "SHUTOFF" if task.is_none() && power.is_none_or(|p| p == SHUTDOWN || p == 0) => PowerState::Stopped,
        // Memory is on disk and the process is gone; it writes nothing until it is resumed.
        "SUSPENDED" | "SHELVED" | "SHELVED_OFFLOADED" | "SOFT_DELETED" | "DELETED" if task.is_none() => {
            PowerState::Stopped
        }
        "ACTIVE" | "PAUSED" | "RESCUE" | "PASSWORD" | "VERIFY_RESIZE" if task.is_none() => PowerState::Running,
        "ERROR" | "UNKNOWN" => PowerState::Error,
        _ => PowerState::Changing,
    }
}
