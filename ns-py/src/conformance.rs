//! The behaviour suite of providers, run for providers and fixtures that are written in Python.

use crate::error;
use crate::provider::{PyCloud, PyStorage, Remote};
use crate::runtime::Owned;
use crate::sim::SimWorld;
use crate::time::WorldTime;
use crate::work::{self, Answer, Left, Place, Work};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ns_core::conformance::{self, CloudFixture, Report, Side, StorageFixture, cloud_cases, storage_cases};
use ns_core::model::{CloudId, ReplicationMode, StorageRef};
use ns_core::ports::{Clock, SystemClock};
use ns_core::provider::{Cloud, CreatedKind, Storage};
use ns_core::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a fixture says once.
#[derive(Debug, Clone, Deserialize)]
struct Common {
    patience_seconds: f64,
    run_id: String,
    /// Whether it lets time pass in its own way.
    settles: bool,
}

#[derive(Debug, Clone, Deserialize)]
struct StorageFacts {
    #[serde(flatten)]
    common: Common,
    mode: ReplicationMode,
}

#[derive(Debug, Clone, Deserialize)]
struct CloudFacts {
    #[serde(flatten)]
    common: Common,
    external_network: CloudId,
    volume_type: String,
    shared_volume_type: String,
    compute_host: Option<String>,
    image_metadata: BTreeMap<String, String>,
    missing_image: StorageRef,
    boot_message: Option<String>,
}

impl Common {
    fn patience(&self) -> Duration {
        Duration::try_from_secs_f64(self.patience_seconds).unwrap_or(Duration::from_secs(180))
    }
}

async fn bytes(remote: &Remote, args: serde_json::Value) -> Result<Vec<u8>> {
    let text: String = remote.call("read", args).await?;
    STANDARD
        .decode(text)
        .map_err(|e| Error::new(ErrorKind::Internal, "python.fixture", "what was read is not in base64").with_source(e))
}

struct PyStorageFixture {
    remote: Remote,
    primary: Storage,
    secondary: Storage,
    facts: StorageFacts,
    clock: Arc<dyn Clock>,
}

const fn named(side: Side) -> &'static str {
    match side {
        Side::Primary => "primary",
        Side::Secondary => "secondary",
    }
}

#[async_trait]
impl StorageFixture for PyStorageFixture {
    fn primary(&self) -> Storage {
        self.primary.clone()
    }
    fn secondary(&self) -> Storage {
        self.secondary.clone()
    }
    fn mode(&self) -> ReplicationMode {
        self.facts.mode
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
    async fn make_image(&self, size_bytes: u64) -> Result<StorageRef> {
        self.remote.call("make_image", json!({"size_bytes": size_bytes})).await
    }
    async fn write(&self, side: Side, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()> {
        let args = json!({"side": named(side), "image": image, "offset": offset, "data": STANDARD.encode(data)});
        self.remote.call("write", args).await
    }
    async fn read(
        &self,
        side: Side,
        image: &StorageRef,
        snapshot: Option<&str>,
        offset: u64,
        len: usize,
    ) -> Result<Vec<u8>> {
        let args = json!({"side": named(side), "image": image, "snapshot": snapshot, "offset": offset, "length": len});
        bytes(&self.remote, args).await
    }
    async fn remove_image(&self, side: Side, image: &StorageRef) -> Result<()> {
        self.remote
            .call("remove_image", json!({"side": named(side), "image": image}))
            .await
    }
    async fn settle(&self) -> Result<()> {
        if self.facts.common.settles {
            return self.remote.call("settle", json!({})).await;
        }
        self.clock.sleep(Duration::from_secs(1)).await;
        Ok(())
    }
    fn patience(&self) -> Duration {
        self.facts.common.patience()
    }
    fn run_id(&self) -> String {
        self.facts.common.run_id.clone()
    }
}

struct PyCloudFixture {
    remote: Remote,
    cloud: Cloud,
    storage: Storage,
    facts: CloudFacts,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl CloudFixture for PyCloudFixture {
    fn cloud(&self) -> Cloud {
        self.cloud.clone()
    }
    fn storage(&self) -> Storage {
        self.storage.clone()
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }
    fn external_network(&self) -> CloudId {
        self.facts.external_network.clone()
    }
    fn volume_type(&self, shared: bool) -> String {
        let facts = &self.facts;
        (if shared {
            &facts.shared_volume_type
        } else {
            &facts.volume_type
        })
        .clone()
    }
    fn compute_host(&self) -> Option<String> {
        self.facts.compute_host.clone()
    }
    fn image_metadata(&self) -> BTreeMap<String, String> {
        self.facts.image_metadata.clone()
    }
    async fn bootable_image(&self) -> Result<StorageRef> {
        self.remote.call("bootable_image", json!({})).await
    }
    async fn blank_image(&self, size_bytes: u64) -> Result<StorageRef> {
        self.remote.call("blank_image", json!({"size_bytes": size_bytes})).await
    }
    async fn replica_image(&self) -> Result<Option<StorageRef>> {
        self.remote.call("replica_image", json!({})).await
    }
    async fn read(&self, image: &StorageRef, offset: u64, len: usize) -> Result<Vec<u8>> {
        bytes(&self.remote, json!({"image": image, "offset": offset, "length": len})).await
    }
    async fn write(&self, image: &StorageRef, offset: u64, data: &[u8]) -> Result<()> {
        let args = json!({"image": image, "offset": offset, "data": STANDARD.encode(data)});
        self.remote.call("write", args).await
    }
    async fn remove_image(&self, image: &StorageRef) -> Result<()> {
        self.remote.call("remove_image", json!({"image": image})).await
    }
    fn missing_image(&self) -> StorageRef {
        self.facts.missing_image.clone()
    }
    async fn limit(&self, tenant: &CloudId, kind: CreatedKind, max: u32) -> Result<bool> {
        let args = json!({"tenant": tenant, "kind": kind, "most": max});
        self.remote.call("limit", args).await
    }
    async fn volume_snapshot(&self, tenant: &CloudId, volume: &CloudId) -> Result<Option<CloudId>> {
        self.remote
            .call("volume_snapshot", json!({"tenant": tenant, "volume": volume}))
            .await
    }
    async fn remove_volume_snapshot(&self, tenant: &CloudId, snapshot: &CloudId) -> Result<()> {
        let args = json!({"tenant": tenant, "snapshot": snapshot});
        self.remote.call("remove_volume_snapshot", args).await
    }
    fn boot_message(&self) -> Option<String> {
        self.facts.boot_message.clone()
    }
    fn patience(&self) -> Duration {
        self.facts.common.patience()
    }
    fn run_id(&self) -> String {
        self.facts.common.run_id.clone()
    }
}

#[derive(Clone)]
enum Fixture {
    Storage(Arc<PyStorageFixture>),
    Cloud(Arc<PyCloudFixture>),
}

/// The suite for one fixture.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct Suite {
    fixture: Owned<Fixture>,
    place: Owned<Place>,
}

fn facts<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|e| {
        Error::new(ErrorKind::Invalid, "python.fixture", e.to_string()).with_remedy("see help(neverstop.conformance)")
    })
}

fn time(world: Option<&SimWorld>) -> PyResult<(Arc<dyn Clock>, Option<WorldTime>)> {
    Ok(match world {
        Some(world) => (Arc::new(world.parts()?.1), Some(world.time())),
        None => (Arc::new(SystemClock), None),
    })
}

#[pymethods]
impl Suite {
    /// For two paired storages: the fixture, what it says once, and the providers of both sides.
    #[staticmethod]
    #[pyo3(signature = (fixture, facts, primary, secondary, world=None))]
    fn storage(
        py: Python<'_>,
        fixture: Py<PyAny>,
        facts: &[u8],
        primary: Py<PyAny>,
        secondary: Py<PyAny>,
        world: Option<&SimWorld>,
    ) -> PyResult<Self> {
        let (clock, time) = time(world)?;
        let place = world.map(SimWorld::place).transpose()?;
        let side = |object| PyStorage::named(Remote::new(object, time.clone())).map(|s| Arc::new(s) as Storage);
        let made = || {
            Ok(PyStorageFixture {
                primary: side(primary)?,
                secondary: side(secondary)?,
                facts: self::facts(facts)?,
                remote: Remote::new(fixture, time.clone()),
                clock,
            })
        };
        let made = made().map_err(|e: Error| error::exception(py, &e))?;
        Ok(Self {
            fixture: Owned::new(Fixture::Storage(Arc::new(made))),
            place: Owned::new(place),
        })
    }

    /// For a cloud and the storage under it.
    #[staticmethod]
    #[pyo3(signature = (fixture, facts, cloud, storage, world=None))]
    fn cloud(
        py: Python<'_>,
        fixture: Py<PyAny>,
        facts: &[u8],
        cloud: Py<PyAny>,
        storage: Py<PyAny>,
        world: Option<&SimWorld>,
    ) -> PyResult<Self> {
        let (clock, time) = time(world)?;
        let place = world.map(SimWorld::place).transpose()?;
        let remote = |object| Remote::new(object, time.clone());
        let made = || {
            Ok(PyCloudFixture {
                cloud: Arc::new(PyCloud::named(remote(cloud))?),
                storage: Arc::new(PyStorage::named(remote(storage))?),
                facts: self::facts(facts)?,
                remote: remote(fixture),
                clock,
            })
        };
        let made = made().map_err(|e: Error| error::exception(py, &e))?;
        Ok(Self {
            fixture: Owned::new(Fixture::Cloud(Arc::new(made))),
            place: Owned::new(place),
        })
    }

    /// The cases by name, each with where its rule comes from.
    fn cases(&self) -> PyResult<Vec<(&'static str, &'static str)>> {
        Ok(match self.fixture.get()? {
            Fixture::Storage(_) => storage_cases().iter().map(|c| (c.name, c.source)).collect(),
            Fixture::Cloud(_) => cloud_cases().iter().map(|c| (c.name, c.source)).collect(),
        })
    }

    /// Runs one case: how it ended, and why. When the time is over it is given up.
    #[pyo3(signature = (name, timeout=None))]
    fn run(&self, py: Python<'_>, name: String, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let fixture = self.fixture.get()?.clone();
        let work: Work = Box::pin(async move {
            let wanted = move |case: &str| case == name;
            let report = match fixture {
                Fixture::Storage(fixture) => conformance::storage_only(&*fixture, &wanted).await,
                Fixture::Cloud(fixture) => conformance::cloud_only(&*fixture, &wanted).await,
            };
            Answer::json(&ended(&report))
        });
        work::wait(
            py,
            work::placed(work, Left::Ends, self.place.get()?),
            Left::Ends,
            timeout,
        )
    }
}

fn ended(report: &Report) -> (&'static str, Option<String>) {
    match (report.failed.first(), report.skipped.first(), report.passed.first()) {
        (Some((_, error)), ..) => ("failed", Some(format!("{error:?}"))),
        (None, Some((_, why)), _) => ("skipped", Some(why.clone())),
        (None, None, Some(_)) => ("passed", None),
        (None, None, None) => ("failed", Some("there is no such case".to_owned())),
    }
}
