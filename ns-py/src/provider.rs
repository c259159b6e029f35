//! Providers that are written in Python, as the engine calls them. What is called runs on an event loop in a thread of its own
//! (`neverstop._providers`); while Rust waits for it nobody holds the interpreter's lock, and what Rust gives up is cancelled there.

use crate::runtime::{self, Waiting};
use crate::time::WorldTime;
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use ns_core::model::{
    CloudId, ConnectionSettings, ConnectorField, ReplicationId, ReplicationMode, Resource, ResourceKind, StorageRef,
};
use ns_core::provider::{
    AdoptSpec, Cloud, CloudCapabilities, CloudConnector, CloudProvider, CloudReport, Content, CreatedKind, Decision,
    Handle, ImageState, Mark, Notice, PairingOffer, ReplicationStatus, SnapshotInfo, Spec, Storage,
    StorageCapabilities, StorageConnector, StorageProvider, StorageReport, Token,
};
use ns_core::sealing::Secrets;
use ns_core::{Error, ErrorKind, ErrorRecord, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// How many things of an inventory cross at a time.
const PART: usize = 100;

fn fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Internal, "python.provider", message)
}

/// Does something with the interpreter's lock held; none when the interpreter goes.
fn attached<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    // Counted, so that the interpreter waits for it when it goes.
    let _waiting = Waiting::begin();
    if runtime::is_stopping() {
        return None;
    }
    Python::try_attach(work)
}

fn going() -> Error {
    Error::new(ErrorKind::Canceled, "python.stopping", "the interpreter is exiting")
}

/// What a call gave.
enum Told {
    Json(Vec<u8>),
    Object(Py<PyAny>),
}

/// Takes what a call gave, once.
#[pyclass(frozen, module = "neverstop._native")]
struct Deliver {
    to: Mutex<Option<oneshot::Sender<Result<Told>>>>,
}

#[pymethods]
impl Deliver {
    fn __call__(&self, answer: Option<Bound<'_, PyAny>>, error: Option<&[u8]>) {
        let told = match (answer, error) {
            (Some(answer), None) => Ok(match answer.cast::<PyBytes>() {
                Ok(json) => Told::Json(json.as_bytes().to_vec()),
                Err(_) => Told::Object(answer.unbind()),
            }),
            (_, Some(record)) => Err(serde_json::from_slice::<ErrorRecord>(record)
                .map_or_else(|_| fault("the provider's error has no known form"), Error::from)),
            (None, None) => Err(fault("the provider gave nothing")),
        };
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody waits any more: the call was given up.
        let _ = to.map(|to| to.send(told));
    }
}

/// Cancels a call when it is dropped, unless it ended.
struct Running(Option<Py<PyAny>>);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(cancel) = self.0.take() else { return };
        let mut kept = Some(cancel);
        attached(|py| {
            if let Some(cancel) = kept.take() {
                // What cannot be cancelled goes on; whoever calls again finds what it did.
                let _ = cancel.call0(py);
            }
        });
        // It belongs to an interpreter that is going.
        std::mem::forget(kept);
    }
}

/// An object of Python's that is called by the names of its methods.
#[derive(Clone)]
pub(crate) struct Remote {
    object: Arc<Py<PyAny>>,
    time: Option<WorldTime>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl Remote {
    pub(crate) fn new(object: Py<PyAny>, time: Option<WorldTime>) -> Self {
        Self {
            object: Arc::new(object),
            time,
        }
    }

    /// Begins a call and waits for what it gives.
    async fn ask(&self, what: &str, args: Vec<u8>) -> Result<Told> {
        let _turn = self.time.as_ref().map(WorldTime::python);
        let (to, told) = oneshot::channel();
        let begun = attached(|py| {
            let deliver = Deliver {
                to: Mutex::new(Some(to)),
            };
            self.object
                .call_method1(py, "begin", (what, PyBytes::new(py, &args), Py::new(py, deliver)?))
        });
        let begun = begun
            .ok_or_else(going)?
            .map_err(|e| fault("the call could not be begun").with_source(e))?;
        let mut running = Running(Some(begun));
        let told = told.await;
        if let Some(cancel) = running.0.take() {
            let mut kept = Some(cancel);
            attached(|_| drop(kept.take()));
            std::mem::forget(kept);
        }
        told.unwrap_or_else(|_| Err(fault("the call was given up")))
    }

    /// Calls a method; what it gives is of this form.
    pub(crate) async fn call<T: DeserializeOwned>(&self, verb: &str, args: Value) -> Result<T> {
        let args = serde_json::to_vec(&args).map_err(|e| fault("what is given has no JSON form").with_source(e))?;
        match self.ask(verb, args).await? {
            Told::Json(json) => read(verb, &json),
            Told::Object(_) => Err(fault(format!("{verb} gave an object"))),
        }
    }

    /// Another object, that a method made.
    async fn object(&self, verb: &str, args: Value) -> Result<Self> {
        let args = serde_json::to_vec(&args).map_err(|e| fault("what is given has no JSON form").with_source(e))?;
        match self.ask(verb, args).await? {
            Told::Object(object) => Ok(Self::new(object, self.time.clone())),
            Told::Json(_) => Err(fault(format!("{verb} gave no object"))),
        }
    }

    /// A method that composes its answer without waiting for anything.
    fn at_once<T: DeserializeOwned>(&self, what: &str, args: &Value) -> Result<T> {
        let told = attached(|py| -> PyResult<Vec<u8>> {
            let told = self
                .object
                .call_method1(py, "at_once", (what, args.to_string().into_bytes()))?;
            Ok(told.extract::<&[u8]>(py)?.to_vec())
        });
        let told = told.ok_or_else(going)?.map_err(|e| fault(e.to_string()))?;
        read(what, &told)
    }

    /// A stream, so many things at a time.
    async fn stream<T: DeserializeOwned + Send + 'static>(
        &self,
        verb: &'static str,
        args: Value,
        most: usize,
    ) -> Result<BoxStream<'static, Result<T>>> {
        let flow = self.object("flow", json!({"verb": verb, "given": args})).await?;
        let parts = stream::try_unfold(Some(flow), move |flow| async move {
            let Some(flow) = flow else { return Ok(None) };
            let part: Part = flow.call("part", json!({"most": most})).await?;
            let items = part
                .items
                .into_iter()
                .map(move |item| serde_json::from_value::<T>(item).map_err(|e| fault(format!("{verb}: {e}"))));
            Ok::<_, Error>(Some((stream::iter(items), (!part.end).then_some(flow))))
        });
        Ok(parts.try_flatten().boxed())
    }
}

#[derive(Deserialize)]
struct Part {
    items: Vec<Value>,
    end: bool,
}

fn read<T: DeserializeOwned>(verb: &str, json: &[u8]) -> Result<T> {
    // What is wrong is told by its place, not by what it holds: that may be secret.
    serde_json::from_slice(json)
        .map_err(|e| fault(format!("the answer of {verb} has not the form it should have")).with("column", e.column()))
}

/// Names live as long as the process: there are as many as kinds of providers.
fn name(text: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(text.as_str()) {
        return known;
    }
    let text: &'static str = text.leak();
    names.insert(text);
    text
}

/// One half of clusters that Python connects.
#[derive(Debug)]
pub(crate) struct Connector {
    kind: &'static str,
    fields: Vec<ConnectorField>,
    remote: Remote,
}

/// How Python gives a connector: its name, its fields as JSON, what connects.
#[derive(FromPyObject)]
pub(crate) struct Given(String, Vec<u8>, Py<PyAny>);

impl Connector {
    pub(crate) fn new(given: Given, time: Option<WorldTime>) -> Result<Self> {
        let Given(kind, fields, object) = given;
        let fields = serde_json::from_slice(&fields).map_err(|e| {
            Error::new(
                ErrorKind::Invalid,
                "python.connect",
                format!("the fields of {kind}: {e}"),
            )
            .with_field("fields")
        })?;
        Ok(Self {
            kind: name(kind),
            fields,
            remote: Remote::new(object, time),
        })
    }

    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Remote> {
        let secrets: serde_json::Map<String, Value> = secrets
            .iter()
            .map(|(name, secret)| (name.to_owned(), secret.expose_secret().into()))
            .collect();
        let args = json!({"settings": settings, "secrets": secrets});
        self.remote.object("connect", args).await
    }
}

#[async_trait]
impl CloudConnector for Connector {
    fn platform(&self) -> &'static str {
        self.kind
    }
    fn fields(&self) -> Vec<ConnectorField> {
        self.fields.clone()
    }
    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Cloud> {
        Ok(Arc::new(PyCloud::new(
            Self::connect(self, settings, secrets).await?,
            self.kind,
        )?))
    }
}

#[async_trait]
impl StorageConnector for Connector {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn fields(&self) -> Vec<ConnectorField> {
        self.fields.clone()
    }
    async fn connect(&self, settings: &ConnectionSettings, secrets: &Secrets) -> Result<Storage> {
        Ok(Arc::new(PyStorage::new(
            Self::connect(self, settings, secrets).await?,
            self.kind,
        )?))
    }
}

/// A cloud that Python reaches.
#[derive(Debug)]
pub(crate) struct PyCloud {
    remote: Remote,
    platform: &'static str,
    capabilities: CloudCapabilities,
}

impl PyCloud {
    fn new(remote: Remote, platform: &'static str) -> Result<Self> {
        Ok(Self {
            capabilities: remote.at_once("capabilities", &json!({}))?,
            remote,
            platform,
        })
    }

    /// One that no connector made.
    pub(crate) fn named(remote: Remote) -> Result<Self> {
        let platform = remote.at_once("platform", &json!({}))?;
        Self::new(remote, name(platform))
    }
}

#[async_trait]
impl CloudProvider for PyCloud {
    fn platform(&self) -> &'static str {
        self.platform
    }
    fn capabilities(&self) -> CloudCapabilities {
        self.capabilities
    }
    async fn check(&self) -> Result<CloudReport> {
        self.remote.call("check", json!({})).await
    }
    async fn probe(&self) -> Result<()> {
        self.remote.call("probe", json!({})).await
    }
    fn inventory<'a>(&'a self, kinds: &'a [ResourceKind]) -> BoxStream<'a, Result<Resource>> {
        let begin = self.remote.stream("inventory", json!({"kinds": kinds}), PART);
        stream::once(begin).try_flatten().boxed()
    }
    async fn get(&self, kind: ResourceKind, id: &CloudId) -> Result<Option<Resource>> {
        self.remote.call("get", json!({"kind": kind, "id": id})).await
    }
    async fn create(&self, spec: &Spec, token: &Token) -> Result<Handle> {
        self.remote.call("create", json!({"spec": spec, "token": token})).await
    }
    async fn find(&self, kind: CreatedKind, tenant: Option<&CloudId>, token: &Token) -> Result<Option<Handle>> {
        let args = json!({"kind": kind, "tenant": tenant, "token": token});
        self.remote.call("find", args).await
    }
    async fn remove(&self, handle: &Handle, token: &Token) -> Result<()> {
        self.remote
            .call("remove", json!({"handle": handle, "token": token}))
            .await
    }
    fn removal_command(&self, handle: &Handle) -> Option<String> {
        // Only advice: without an answer there is none.
        self.remote
            .at_once("removal_command", &json!({"handle": handle}))
            .ok()
            .flatten()
    }
    async fn adopt(&self, spec: &AdoptSpec, token: &Token) -> Result<Handle> {
        self.remote.call("adopt", json!({"spec": spec, "token": token})).await
    }
    async fn release(&self, volume: &CloudId) -> Result<()> {
        self.remote.call("release", json!({"volume": volume})).await
    }
    async fn start(&self, server: &CloudId) -> Result<()> {
        self.remote.call("start", json!({"server": server})).await
    }
    async fn stop(&self, server: &CloudId) -> Result<()> {
        self.remote.call("stop", json!({"server": server})).await
    }
    async fn console(&self, server: &CloudId, lines: u32) -> Result<String> {
        self.remote
            .call("console", json!({"server": server, "lines": lines}))
            .await
    }
    async fn notices(&self) -> Result<BoxStream<'static, Result<Notice>>> {
        // One at a time: to ask for the next acknowledges the last.
        self.remote.stream("notices", json!({}), 1).await
    }
}

/// A storage that Python reaches.
#[derive(Debug)]
pub(crate) struct PyStorage {
    remote: Remote,
    kind: &'static str,
    capabilities: StorageCapabilities,
}

impl PyStorage {
    fn new(remote: Remote, kind: &'static str) -> Result<Self> {
        Ok(Self {
            capabilities: remote.at_once("capabilities", &json!({}))?,
            remote,
            kind,
        })
    }

    /// One that no connector made.
    pub(crate) fn named(remote: Remote) -> Result<Self> {
        let kind = remote.at_once("kind", &json!({}))?;
        Self::new(remote, name(kind))
    }
}

/// A pairing offer on its way, secret and all.
#[derive(Serialize, Deserialize)]
pub(crate) struct Offer {
    site_name: String,
    secret: String,
}

impl From<PairingOffer> for Offer {
    fn from(offer: PairingOffer) -> Self {
        Self {
            secret: offer.secret.expose_secret().to_owned(),
            site_name: offer.site_name,
        }
    }
}

impl From<Offer> for PairingOffer {
    fn from(offer: Offer) -> Self {
        Self {
            site_name: offer.site_name,
            secret: SecretString::from(offer.secret),
        }
    }
}

#[async_trait]
impl StorageProvider for PyStorage {
    fn kind(&self) -> &'static str {
        self.kind
    }
    fn capabilities(&self) -> StorageCapabilities {
        self.capabilities.clone()
    }
    async fn check(&self) -> Result<StorageReport> {
        self.remote.call("check", json!({})).await
    }
    async fn offer_pairing(&self) -> Result<PairingOffer> {
        Ok(self.remote.call::<Offer>("offer_pairing", json!({})).await?.into())
    }
    async fn accept_pairing(&self, offer: &PairingOffer) -> Result<()> {
        let args = json!({"offer": Offer::from(offer.clone())});
        self.remote.call("accept_pairing", args).await
    }
    async fn image(&self, image: &StorageRef) -> Result<Option<ImageState>> {
        self.remote.call("image", json!({"image": image})).await
    }
    async fn find_replica(&self, id: &ReplicationId) -> Result<Option<StorageRef>> {
        self.remote.call("find_replica", json!({"id": id})).await
    }
    async fn enable_replication(&self, image: &StorageRef, mode: ReplicationMode) -> Result<ReplicationId> {
        let args = json!({"image": image, "mode": mode});
        self.remote.call("enable_replication", args).await
    }
    async fn disable_replication(&self, image: &StorageRef) -> Result<()> {
        self.remote.call("disable_replication", json!({"image": image})).await
    }
    async fn status(&self, image: &StorageRef) -> Result<ReplicationStatus> {
        self.remote.call("status", json!({"image": image})).await
    }
    async fn snapshot(&self, image: &StorageRef, name: &str) -> Result<SnapshotInfo> {
        self.remote
            .call("snapshot", json!({"image": image, "name": name}))
            .await
    }
    async fn snapshots(&self, image: &StorageRef) -> Result<Vec<SnapshotInfo>> {
        self.remote.call("snapshots", json!({"image": image})).await
    }
    async fn content(&self, image: &StorageRef, snapshot: &str) -> Result<Content> {
        self.remote
            .call("content", json!({"image": image, "snapshot": snapshot}))
            .await
    }
    async fn remove_snapshot(&self, image: &StorageRef, name: &str) -> Result<()> {
        self.remote
            .call("remove_snapshot", json!({"image": image, "name": name}))
            .await
    }
    async fn ship(&self, image: &StorageRef, snapshot: Option<&str>) -> Result<Mark> {
        self.remote
            .call("ship", json!({"image": image, "snapshot": snapshot}))
            .await
    }
    async fn arrived(&self, replica: &StorageRef, mark: &Mark) -> Result<bool> {
        self.remote
            .call("arrived", json!({"replica": replica, "mark": mark}))
            .await
    }
    async fn demote(&self, image: &StorageRef) -> Result<Mark> {
        self.remote.call("demote", json!({"image": image})).await
    }
    async fn promote(&self, image: &StorageRef, demotion: &Mark) -> Result<()> {
        self.remote
            .call("promote", json!({"image": image, "demotion": demotion}))
            .await
    }
    async fn force_promote(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        let args = json!({"image": image, "decision": decision});
        self.remote.call("force_promote", args).await
    }
    async fn resync(&self, image: &StorageRef, decision: &Decision) -> Result<()> {
        self.remote
            .call("resync", json!({"image": image, "decision": decision}))
            .await
    }
    async fn clone_snapshot(&self, image: &StorageRef, snapshot: &str, token: &Token) -> Result<StorageRef> {
        let args = json!({"image": image, "snapshot": snapshot, "token": token});
        self.remote.call("clone_snapshot", args).await
    }
    async fn find(&self, token: &Token) -> Result<Option<StorageRef>> {
        self.remote.call("find", json!({"token": token})).await
    }
    async fn flatten(&self, image: &StorageRef) -> Result<()> {
        self.remote.call("flatten", json!({"image": image})).await
    }
    async fn remove(&self, image: &StorageRef, token: &Token) -> Result<()> {
        self.remote
            .call("remove", json!({"image": image, "token": token}))
            .await
    }
    async fn rename(&self, image: &StorageRef, name: &StorageRef) -> Result<()> {
        self.remote.call("rename", json!({"image": image, "name": name})).await
    }
    async fn set_metadata(&self, image: &StorageRef, key: &str, value: Option<&str>) -> Result<()> {
        let args = json!({"image": image, "key": key, "value": value});
        self.remote.call("set_metadata", args).await
    }
}
