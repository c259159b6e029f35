//! Reading what a cloud holds. Here: how a kind is listed and read one by one; per service next door: the form of its
//! answers and what they mean. Changes nothing.

pub(crate) mod compute;
mod identity;
pub(crate) mod network;
pub(crate) mod servers;
pub(crate) mod volume;

use crate::error::Service;
use crate::paging::{Item, List};
use crate::session::Session;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use ns_core::Result;
use ns_core::model::{CloudId, Resource, ResourceKind};
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;

/// One kind of thing as its service gives it.
trait Kind: Item {
    const SERVICE: Service;
    /// Path of the list; one thing is at the first segment and its id.
    const PATH: &'static [&'static str];
    /// The member that holds the list.
    const MANY: &'static str;
    /// The member that holds one.
    const ONE: &'static str;
    const VERSION: Option<&'static str> = None;

    /// The list, over all tenants.
    fn list() -> List {
        List {
            version: Self::VERSION,
            ..List::new(Self::SERVICE, Self::PATH, Self::MANY)
        }
    }

    /// What a page of these means; may ask the services for what the answer lacks.
    fn resources(session: &Session, page: Vec<Self>) -> impl Future<Output = Result<Vec<Resource>>> + Send;
}

/// All things of these kinds, kind by kind.
pub(crate) fn stream<'a>(session: &'a Session, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
    stream::iter(kinds)
        .flat_map(move |kind| of_kind(session, *kind))
        .boxed()
}

macro_rules! kinds {
    ($($kind:ident => $wire:ty),* $(,)?) => {
        fn of_kind(session: &Session, kind: ResourceKind) -> BoxStream<'_, Result<Resource>> {
            match kind {
                ResourceKind::AvailabilityZone => many::<compute::Zone>(session),
                $(ResourceKind::$kind => many::<$wire>(session),)*
                _ => stream::empty().boxed(),
            }
        }

        /// One thing; none when it does not exist.
        pub(crate) async fn one(session: &Session, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
            match kind {
                // Zones have no address of their own.
                ResourceKind::AvailabilityZone => {
                    let zones = stream(session, &[ResourceKind::AvailabilityZone]).try_collect::<Vec<_>>().await?;
                    Ok(zones.into_iter().find(|zone| zone.id() == id))
                }
                $(ResourceKind::$kind => single::<$wire>(session, id).await,)*
                _ => Ok(None),
            }
        }

        /// Reads an answer as a page of every kind, and as one of it.
        #[cfg(feature = "fuzzing")]
        pub(crate) fn read_as_each(session: &Session, body: &[u8]) {
            read_as::<compute::Zone>(session, body);
            $(read_as::<$wire>(session, body);)*
            servers::read(body);
            volume::read(body);
            compute::read(body);
        }
    };
}

kinds! {
    Tenant => identity::Project,
    Hypervisor => compute::Hypervisor,
    Network => network::Network,
    Subnet => network::Subnet,
    Router => network::Router,
    FloatingIp => network::FloatingIp,
    Port => network::Port,
    SecurityGroup => network::SecurityGroup,
    Flavor => compute::Flavor,
    Keypair => compute::Keypair,
    VolumeType => volume::VolumeType,
    Volume => volume::Volume,
    VolumeGroup => volume::Group,
    VolumeSnapshot => volume::Snapshot,
    ServerGroup => compute::ServerGroup,
    Instance => servers::Server,
}

fn many<K: Kind + 'static>(session: &Session) -> BoxStream<'_, Result<Resource>> {
    K::list()
        .pages::<K>(session)
        .and_then(move |page| K::resources(session, page))
        .map_ok(|page| stream::iter(page).map(Ok))
        .try_flatten()
        .boxed()
}

async fn single<K: Kind>(session: &Session, id: &CloudId) -> Result<Option<Resource>> {
    let mut call = session.get(K::SERVICE, &[K::PATH[0], id.as_str()]);
    if let Some(version) = K::VERSION {
        call = call.version(version);
    }
    let Some(mut answer) = call.found::<Envelope<K>>().await? else {
        return Ok(None);
    };
    let Some(found) = answer.0.remove(K::ONE) else {
        return Ok(None);
    };
    Ok(K::resources(session, vec![found]).await?.pop())
}

/// What is read goes no further than the first question to a service: nobody answers that here.
#[cfg(feature = "fuzzing")]
fn read_as<K: Kind>(session: &Session, body: &[u8]) {
    use futures::FutureExt;
    let page = K::list().read::<K>(body).map(|page| page.items);
    let one = serde_json::from_slice::<Envelope<K>>(body).map(|answer| answer.0.into_values().collect());
    for items in page.into_iter().chain(one) {
        let _ = K::resources(session, items).now_or_never();
    }
}

/// `{"server": {..}}`; members of other forms beside it do not occur where this is used.
#[derive(Deserialize)]
#[serde(bound = "K: serde::de::DeserializeOwned")]
struct Envelope<K>(HashMap<String, K>);

/// `null` as the default: services send it for texts that were never set.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
