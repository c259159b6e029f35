//! Providers of the engine's own as Python sees them, so that one that is written in Python can stand around them.

use crate::error;
use crate::face::{Args, Verb, table};
use crate::provider::Offer;
use crate::runtime::{Alone, Owned};
use crate::stream::{Items, Stream};
use crate::time::WorldTime;
use crate::work::{self, Answer, Left, Pending, Place, Work};
use futures::{StreamExt, TryStreamExt, stream};
use ns_core::model::{CloudId, ResourceKind};
use ns_core::provider::{Cloud, Storage};
use ns_core::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use std::sync::Arc;

static CLOUD: &[Verb<Cloud>] = table! {
    "check"() => |c| c.check();
    "probe"() => |c| c.probe();
    "get"(kind, id) => |c| c.get(kind, &id);
    "create"(spec, token) => |c| c.create(&spec, &token);
    "find"(kind, tenant: Option<CloudId>, token) => |c| c.find(kind, tenant.as_ref(), &token);
    "remove"(handle, token) => |c| c.remove(&handle, &token);
    "adopt"(spec, token) => |c| c.adopt(&spec, &token);
    "release"(volume) => |c| c.release(&volume);
    "start"(server) => |c| c.start(&server);
    "stop"(server) => |c| c.stop(&server);
    "console"(server, lines) => |c| c.console(&server, lines);
};

static STORAGE: &[Verb<Storage>] = table! {
    "check"() => |s| s.check();
    "offer_pairing"() => |s| async { s.offer_pairing().await.map(Offer::from) };
    "accept_pairing"(offer: Offer) => |s| s.accept_pairing(&offer.into());
    "image"(image) => |s| s.image(&image);
    "find_replica"(id) => |s| s.find_replica(&id);
    "enable_replication"(image, mode) => |s| s.enable_replication(&image, mode);
    "disable_replication"(image) => |s| s.disable_replication(&image);
    "status"(image) => |s| s.status(&image);
    "snapshot"(image, name: String) => |s| s.snapshot(&image, &name);
    "snapshots"(image) => |s| s.snapshots(&image);
    "content"(image, snapshot: String) => |s| s.content(&image, &snapshot);
    "remove_snapshot"(image, name: String) => |s| s.remove_snapshot(&image, &name);
    "ship"(image, snapshot: Option<String>) => |s| s.ship(&image, snapshot.as_deref());
    "arrived"(replica, mark) => |s| s.arrived(&replica, &mark);
    "demote"(image) => |s| s.demote(&image);
    "promote"(image, demotion) => |s| s.promote(&image, &demotion);
    "force_promote"(image, decision) => |s| s.force_promote(&image, &decision);
    "resync"(image, decision) => |s| s.resync(&image, &decision);
    "clone_snapshot"(image, snapshot: String, token) => |s| s.clone_snapshot(&image, &snapshot, &token);
    "find"(token) => |s| s.find(&token);
    "flatten"(image) => |s| s.flatten(&image);
    "remove"(image, token) => |s| s.remove(&image, &token);
    "rename"(image, name) => |s| s.rename(&image, &name);
    "set_metadata"(image, key: String, value: Option<String>) => |s| s.set_metadata(&image, &key, value.as_deref());
};

#[derive(Debug, Clone)]
enum Port {
    Cloud(Cloud),
    Storage(Storage),
}

/// A provider.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct Provider {
    port: Owned<(Port, Place)>,
    time: WorldTime,
}

fn begin<S>(table: &'static [Verb<S>], name: &str, provider: S, args: Args) -> Result<Work> {
    let verb = table.iter().find(|v| v.name == name);
    let unknown = || {
        Error::new(
            ErrorKind::Unsupported,
            "python.verb",
            format!("there is no verb {name}"),
        )
    };
    (verb.ok_or_else(unknown)?.begin)(provider, args)
}

impl Provider {
    pub(crate) fn cloud(cloud: Cloud, time: WorldTime, place: Arc<Alone>) -> Self {
        Self {
            port: Owned::new((Port::Cloud(cloud), Some(place))),
            time,
        }
    }

    pub(crate) fn storage(storage: Storage, time: WorldTime, place: Arc<Alone>) -> Self {
        Self {
            port: Owned::new((Port::Storage(storage), Some(place))),
            time,
        }
    }

    fn timed(&self, items: Items) -> Items {
        let time = self.time.clone();
        let next = move |mut items: Items| {
            let time = time.clone();
            async move {
                let _turn = time.world();
                items.next().await.map(|item| (item, items))
            }
        };
        stream::unfold(items, next).boxed()
    }

    fn work(&self, port: Port, verb: &str, args: Args) -> Result<Work> {
        let work = match port {
            Port::Cloud(cloud) => begin(CLOUD, verb, cloud, args),
            Port::Storage(storage) => begin(STORAGE, verb, storage, args),
        }?;
        let time = self.time.clone();
        Ok(Box::pin(async move {
            let _turn = time.world();
            work.await
        }))
    }
}

#[pymethods]
impl Provider {
    /// Does a verb, from an event loop. What nobody waits for any more is given up.
    fn call_soon(
        &self,
        py: Python<'_>,
        verb: &str,
        args: &[u8],
        event_loop: Py<PyAny>,
        deliver: Py<PyAny>,
    ) -> PyResult<Pending> {
        let (port, place) = self.port.get()?.clone();
        let work = Args::read(args, None).and_then(|args| self.work(port, verb, args));
        let work = work.map_err(|e| error::exception(py, &e))?;
        work::spawn(work::placed(work, Left::Ends, &place), Left::Ends, event_loop, deliver)
    }

    /// Begins to list a cloud's things.
    fn inventory(&self, py: Python<'_>, kinds: &[u8]) -> PyResult<Stream> {
        let (Port::Cloud(cloud), place) = self.port.get()?.clone() else {
            let wrong = Error::new(ErrorKind::Unsupported, "python.verb", "a storage has no inventory");
            return Err(error::exception(py, &wrong));
        };
        let kinds: Vec<ResourceKind> = serde_json::from_slice(kinds).map_err(|e| {
            let wrong = Error::new(ErrorKind::Invalid, "python.argument", e.to_string()).with_field("kinds");
            error::exception(py, &wrong)
        })?;
        // The stream borrows the cloud and the kinds, so that both have to live in it.
        let (to, from) = futures::channel::mpsc::channel(0);
        let list = async move {
            let items = cloud
                .inventory(&kinds)
                .and_then(|item| async move { Answer::json(&item) });
            // Nobody listens any more: that ends it.
            let _ = items.map(Ok).forward(to).await;
        };
        let pump = stream::once(list).filter_map(|()| async { None });
        Ok(Stream::new(self.timed(stream::select(from, pump).boxed()), place))
    }

    /// The cloud's platform, the storage's kind.
    fn name(&self) -> PyResult<&'static str> {
        Ok(match &self.port.get()?.0 {
            Port::Cloud(cloud) => cloud.platform(),
            Port::Storage(storage) => storage.kind(),
        })
    }

    /// What it can do.
    fn capabilities(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let told = match &self.port.get()?.0 {
            Port::Cloud(cloud) => serde_json::to_vec(&cloud.capabilities()),
            Port::Storage(storage) => serde_json::to_vec(&storage.capabilities()),
        };
        told.map_err(|e| error::exception(py, &Error::new(ErrorKind::Internal, "python.encode", e.to_string())))
    }
}
