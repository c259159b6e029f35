//! Zones, compute nodes, flavours, keypairs and server groups, as Nova (and Placement) give them.

use super::{Kind, nullable};
use crate::error::Service;
use crate::paging::{Item, List, Paging};
use crate::session::Session;
use futures::stream::{self, StreamExt, TryStreamExt};
use ns_core::model::{self, Resource};
use ns_core::{ErrorKind, Result};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes and keypairs: the first microversion with ids that Placement knows, and the last wave before capacity went
/// (2.88): a cloud that has Placement is asked there, one that has not still answers here.
const NODES: &str = "2.53";
/// Flavours with their extra specs in one answer.
pub(crate) const FLAVORS: &str = "2.61";
/// Server groups with one policy instead of a list.
pub(crate) const SERVER_GROUPS: &str = "2.64";

#[derive(Deserialize)]
pub(super) struct Zone {
    #[serde(rename = "zoneName")]
    name: String,
    #[serde(rename = "zoneState")]
    state: ZoneState,
    /// Host to its services; the states of services are not needed.
    #[serde(default, deserialize_with = "nullable")]
    hosts: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct ZoneState {
    available: bool,
}

impl Item for Zone {
    fn marker(&self) -> &str {
        &self.name
    }
}

impl Kind for Zone {
    const SERVICE: Service = Service::Compute;
    const PATH: &'static [&'static str] = &["os-availability-zone", "detail"];
    const MANY: &'static str = "availabilityZoneInfo";
    const ONE: &'static str = "";

    fn list() -> List {
        List::new(Self::SERVICE, Self::PATH, Self::MANY).paging(Paging::Whole)
    }

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        // `internal` holds the control services; no server can be put there.
        let zones = page
            .into_iter()
            .filter(|w| w.name != "internal")
            .map(|w| model::AvailabilityZone {
                id: w.name.as_str().into(),
                available: w.state.available,
                hosts: w
                    .hosts
                    .into_iter()
                    .filter(|(_, s)| s.contains_key("nova-compute"))
                    .map(|(host, _)| host)
                    .collect(),
                name: w.name,
            });
        Ok(zones.map(Resource::AvailabilityZone).collect())
    }
}

#[derive(Deserialize)]
struct NodeService {
    host: String,
}

#[derive(Deserialize)]
pub(super) struct Hypervisor {
    id: String,
    state: String,
    status: String,
    service: NodeService,
    #[serde(default)]
    vcpus: u64,
    #[serde(default)]
    vcpus_used: u64,
    #[serde(default)]
    memory_mb: u64,
    #[serde(default)]
    memory_mb_used: u64,
}

impl Item for Hypervisor {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Hypervisor {
    const SERVICE: Service = Service::Compute;
    const PATH: &'static [&'static str] = &["os-hypervisors", "detail"];
    const MANY: &'static str = "hypervisors";
    const ONE: &'static str = "hypervisor";
    const VERSION: Option<&'static str> = Some(NODES);

    async fn resources(session: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let traits = &required_traits(session).await?;
        stream::iter(page)
            .map(|w| async move {
                let own = Capacity {
                    vcpus: (w.vcpus, w.vcpus_used),
                    memory_mib: (w.memory_mb, w.memory_mb_used),
                };
                let capacity = capacity(session, &w.id).await?.unwrap_or(own);
                Ok(Resource::Hypervisor(model::Hypervisor {
                    available: w.state == "up" && w.status == "enabled",
                    vcpus: capacity.vcpus.0,
                    vcpus_used: capacity.vcpus.1,
                    memory_mib: capacity.memory_mib.0,
                    memory_mib_used: capacity.memory_mib.1,
                    traits: traits.get(&w.service.host).into_iter().flatten().cloned().collect(),
                    // Servers are put on a service host; the name of the node may differ from it.
                    name: w.service.host,
                    id: w.id.into(),
                }))
            })
            .buffered(session.config.parallel)
            .try_collect()
            .await
    }
}

#[derive(Deserialize)]
struct Aggregate {
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Aggregates {
    aggregates: Vec<Aggregate>,
}

/// Per host the traits that the aggregates it is in ask of a flavour.
async fn required_traits(session: &Session) -> Result<BTreeMap<String, BTreeSet<String>>> {
    match session.get(Service::Compute, &["os-aggregates"]).json().await {
        Err(e) if e.kind() == ErrorKind::Denied => Ok(BTreeMap::new()),
        answer => Ok(traits_by_host(answer?)),
    }
}

fn traits_by_host(answer: Aggregates) -> BTreeMap<String, BTreeSet<String>> {
    let mut traits: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for aggregate in answer.aggregates {
        let required = aggregate.metadata.iter().filter(|(_, value)| *value == "required");
        let required: Vec<_> = required.filter_map(|(key, _)| key.strip_prefix("trait:")).collect();
        for host in aggregate.hosts {
            traits
                .entry(host)
                .or_default()
                .extend(required.iter().map(|&name| name.to_owned()));
        }
    }
    traits
}

/// Total and used.
struct Capacity {
    vcpus: (u64, u64),
    memory_mib: (u64, u64),
}

#[derive(Deserialize)]
struct Stock {
    total: u64,
    #[serde(default)]
    reserved: u64,
    allocation_ratio: f64,
}

#[derive(Deserialize)]
struct Stocks {
    inventories: BTreeMap<String, Stock>,
}

#[derive(Deserialize)]
struct Usages {
    usages: BTreeMap<String, u64>,
}

/// What the scheduler reckons with, with overcommit; none where Placement is not there, not for us, or does not know
/// the node.
async fn capacity(session: &Session, node: &str) -> Result<Option<Capacity>> {
    let path = |what| ["resource_providers", node, what];
    let stocks = match session
        .get(Service::Placement, &path("inventories"))
        .found::<Stocks>()
        .await
    {
        Err(e) if e.kind() == ErrorKind::Denied || e.code() == "catalog.missing" => return Ok(None),
        stocks => stocks?,
    };
    let usages = session
        .get(Service::Placement, &path("usages"))
        .found::<Usages>()
        .await?;
    let (Some(stocks), Some(usages)) = (stocks, usages) else {
        return Ok(None);
    };
    Ok(Some(reckon(&stocks, &usages)))
}

fn reckon(stocks: &Stocks, usages: &Usages) -> Capacity {
    let of = |class: &str| {
        let total = stocks.inventories.get(class).map_or(0, |stock| {
            let real = stock.total.saturating_sub(stock.reserved);
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let with_overcommit = (real as f64 * stock.allocation_ratio.max(0.0)) as u64;
            with_overcommit
        });
        (total, usages.usages.get(class).copied().unwrap_or(0))
    };
    let (vcpus, dedicated) = (of("VCPU"), of("PCPU"));
    Capacity {
        vcpus: (vcpus.0.saturating_add(dedicated.0), vcpus.1.saturating_add(dedicated.1)),
        memory_mib: of("MEMORY_MB"),
    }
}

/// Reads what Nova and Placement say of nodes beside the nodes themselves. Both of Placement's answers are read from one.
#[cfg(feature = "fuzzing")]
pub(super) fn read(body: &[u8]) {
    let _ = serde_json::from_slice(body).map(traits_by_host);
    let stocks = serde_json::from_slice(body).unwrap_or_else(|_| Stocks {
        inventories: BTreeMap::new(),
    });
    let usages = serde_json::from_slice(body).unwrap_or_else(|_| Usages {
        usages: BTreeMap::new(),
    });
    let _ = reckon(&stocks, &usages);
}

#[derive(Deserialize)]
pub(crate) struct Flavor {
    id: String,
    name: String,
    vcpus: u32,
    ram: u64,
    disk: u64,
    #[serde(rename = "OS-FLV-EXT-DATA:ephemeral", default)]
    ephemeral: u64,
    /// A number, or `""` for none.
    #[serde(default, deserialize_with = "swap")]
    swap: u64,
    #[serde(rename = "os-flavor-access:is_public", default)]
    public: bool,
    #[serde(default, deserialize_with = "nullable")]
    extra_specs: BTreeMap<String, String>,
}

fn swap<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_u64().unwrap_or(0))
}

impl Item for Flavor {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Flavor {
    const SERVICE: Service = Service::Compute;
    const PATH: &'static [&'static str] = &["flavors", "detail"];
    const MANY: &'static str = "flavors";
    const ONE: &'static str = "flavor";
    const VERSION: Option<&'static str> = Some(FLAVORS);

    fn list() -> List {
        List::new(Self::SERVICE, Self::PATH, Self::MANY)
            .version(FLAVORS)
            .with("is_public", "None")
    }

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let flavor = |w: Self| model::Flavor {
            id: w.id.into(),
            name: w.name,
            vcpus: w.vcpus,
            memory_mib: w.ram,
            disk_gib: w.disk,
            ephemeral_gib: w.ephemeral,
            swap_mib: w.swap,
            public: w.public,
            extra_specs: w.extra_specs,
        };
        Ok(page.into_iter().map(flavor).map(Resource::Flavor).collect())
    }
}

/// Nova wraps each keypair of a list once more; both forms are read.
#[derive(Deserialize)]
#[serde(from = "KeypairForm")]
pub(crate) struct Keypair {
    pub(crate) name: String,
    pub(crate) public_key: String,
    fingerprint: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum KeypairForm {
    Wrapped { keypair: KeypairBody },
    Plain(KeypairBody),
}

#[derive(Deserialize)]
struct KeypairBody {
    name: String,
    public_key: String,
    #[serde(default)]
    fingerprint: String,
}

impl From<KeypairForm> for Keypair {
    fn from(form: KeypairForm) -> Self {
        let (KeypairForm::Wrapped { keypair: body } | KeypairForm::Plain(body)) = form;
        Self {
            name: body.name,
            public_key: body.public_key,
            fingerprint: body.fingerprint,
        }
    }
}

impl Item for Keypair {
    fn marker(&self) -> &str {
        &self.name
    }
}

impl Kind for Keypair {
    const SERVICE: Service = Service::Compute;
    const PATH: &'static [&'static str] = &["os-keypairs"];
    const MANY: &'static str = "keypairs";
    const ONE: &'static str = "keypair";
    const VERSION: Option<&'static str> = Some(NODES);

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let keypair = |w: Self| model::Keypair {
            id: w.name.as_str().into(),
            name: w.name,
            public_key: w.public_key,
            fingerprint: w.fingerprint,
        };
        Ok(page.into_iter().map(keypair).map(Resource::Keypair).collect())
    }
}

#[derive(Deserialize)]
pub(crate) struct ServerGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    policy: String,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    pub(crate) project_id: Option<String>,
}

impl Item for ServerGroup {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for ServerGroup {
    const SERVICE: Service = Service::Compute;
    const PATH: &'static [&'static str] = &["os-server-groups"];
    const MANY: &'static str = "server_groups";
    const ONE: &'static str = "server_group";
    const VERSION: Option<&'static str> = Some(SERVER_GROUPS);

    fn list() -> List {
        server_groups()
    }

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let group = |w: Self| model::ServerGroup {
            id: w.id.into(),
            name: w.name,
            policy: w.policy,
            members: w.members.into_iter().map(Into::into).collect(),
        };
        Ok(page.into_iter().map(group).map(Resource::ServerGroup).collect())
    }
}

/// All server groups. Nova knows no marker here.
pub(crate) fn server_groups() -> List {
    List::new(Service::Compute, &["os-server-groups"], "server_groups")
        .version(SERVER_GROUPS)
        .with("all_projects", "True")
        .paging(Paging::Offset)
}

/// All keypairs of the user.
pub(crate) fn keypairs() -> List {
    Keypair::list()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The sums went beyond what a number holds, and became small.
    #[test]
    fn a_capacity_beyond_all_numbers_is_the_largest() {
        let most = json!({"total": u64::MAX, "allocation_ratio": 1e300});
        let stocks = serde_json::from_value(json!({"inventories": {"VCPU": most, "PCPU": most}})).unwrap();
        let usages = serde_json::from_value(json!({"usages": {"VCPU": u64::MAX, "PCPU": 1}})).unwrap();
        assert_eq!(reckon(&stocks, &usages).vcpus, (u64::MAX, u64::MAX));
    }
}
