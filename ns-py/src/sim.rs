//! A simulated world for scripts to practise on.

use crate::error;
use crate::ports::Provider;
use crate::runtime::{self, Alone, Owned};
use crate::time::WorldTime;
use ns_core::ErrorKind;
use ns_core::model::StorageRef;
use ns_core::ports::Clock;
use ns_core::sim::{SimClock, SimWorld as World};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const PACE: Duration = Duration::from_millis(1);

/// Two simulated clouds, `a` and `b`, in a time of their own.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct SimWorld {
    inner: Owned<(World, SimClock)>,
    place: Owned<Arc<Alone>>,
    time: WorldTime,
    still: bool,
}

impl SimWorld {
    /// The world and its clock.
    pub(crate) fn parts(&self) -> PyResult<(World, SimClock)> {
        self.inner.get().cloned()
    }

    /// Its time beside Python's.
    pub(crate) fn time(&self) -> WorldTime {
        self.time.clone()
    }

    /// Whether all that happens in it is to be the same each time.
    pub(crate) const fn is_still(&self) -> bool {
        self.still
    }

    /// Where what belongs to it runs.
    pub(crate) fn place(&self) -> PyResult<Arc<Alone>> {
        self.place.get().cloned()
    }

    /// The world, which has this site.
    fn at(&self, site: &str) -> PyResult<&World> {
        let (world, _) = self.inner.get()?;
        if matches!(site, "a" | "b") {
            return Ok(world);
        }
        Err(PyValueError::new_err(format!(
            "there is no site {site:?}, but \"a\" and \"b\""
        )))
    }
}

#[pymethods]
impl SimWorld {
    #[new]
    #[pyo3(signature = (seed, still=false))]
    fn new(seed: u64, still: bool) -> PyResult<Self> {
        // A pause before each jump, so that hours do not pass while a script thinks.
        let clock = SimClock::new();
        let clock = if still { clock } else { clock.with_grace(PACE) };
        let time = WorldTime::new(clock.clone(), still);
        let world = World::new(Arc::new(clock.clone()), seed);
        Ok(Self {
            place: Owned::new(Alone::start(time.clone())?),
            time,
            still,
            inner: Owned::new((world, clock)),
        })
    }

    /// Makes running servers with networks and volumes on site `a`; gives the ids of the servers.
    fn sample_group(&self, py: Python<'_>, servers: usize) -> PyResult<Vec<String>> {
        let (world, _) = self.inner.get()?;
        let made = py.detach(|| world.sample_group(servers));
        let made = made.map_err(|e| error::exception(py, &e))?;
        Ok(made.server_ids().iter().map(ToString::to_string).collect())
    }

    /// The provider of a site's cloud.
    fn cloud(&self, site: &str) -> PyResult<Provider> {
        Ok(Provider::cloud(self.at(site)?.cloud(site), self.time(), self.place()?))
    }

    /// The provider of a site's storage.
    fn storage(&self, site: &str) -> PyResult<Provider> {
        Ok(Provider::storage(
            self.at(site)?.storage(site),
            self.time(),
            self.place()?,
        ))
    }

    /// Makes an empty image on a site's storage, as its operator would.
    fn make_image(&self, py: Python<'_>, site: &str, image: &str, size_bytes: u64) -> PyResult<()> {
        let made = self
            .at(site)?
            .rbd(site, |rbd| rbd.create(&StorageRef::new(image), size_bytes));
        made.map_err(|e| refused(py, &e))
    }

    /// Writes to an image as a guest would.
    fn write_image(&self, py: Python<'_>, site: &str, image: &str, offset: u64, data: &[u8]) -> PyResult<()> {
        let written = self
            .at(site)?
            .rbd(site, |rbd| rbd.write(&StorageRef::new(image), offset, data));
        written.map_err(|e| refused(py, &e))
    }

    /// Reads an image, or a snapshot of it.
    #[pyo3(signature = (site, image, offset, length, snapshot=None))]
    fn read_image(
        &self,
        py: Python<'_>,
        site: &str,
        image: &str,
        offset: u64,
        length: usize,
        snapshot: Option<&str>,
    ) -> PyResult<Vec<u8>> {
        let read = self
            .at(site)?
            .rbd(site, |rbd| rbd.read(&StorageRef::new(image), snapshot, offset, length));
        read.map_err(|e| refused(py, &e))
    }

    /// Removes an image, whatever its state is.
    fn remove_image(&self, py: Python<'_>, site: &str, image: &str) -> PyResult<()> {
        let removed = self.at(site)?.rbd(site, |rbd| rbd.purge(&StorageRef::new(image)));
        removed.map_err(|e| refused(py, &e))
    }

    /// The last lines that a server printed.
    fn console(&self, py: Python<'_>, site: &str, server: &str, lines: u32) -> PyResult<String> {
        let (cloud, runtime) = (self.at(site)?.cloud(site), runtime::handle()?);
        let server = server.into();
        let place = self.place()?;
        let reading = place.handle().spawn(async move { cloud.console(&server, lines).await });
        let text = py.detach(|| runtime.block_on(reading));
        let text = text.map_err(|e| PyRuntimeError::new_err(e.to_string()))?;
        text.map_err(|e| error::exception(py, &e))
    }

    /// Nothing of the site answers any more, and its servers stop.
    fn kill(&self, site: &str) -> PyResult<()> {
        self.at(site)?.kill(site);
        Ok(())
    }

    /// Nobody reaches the site any more, while its servers go on.
    fn isolate(&self, site: &str) -> PyResult<()> {
        self.at(site)?.isolate(site);
        Ok(())
    }

    /// The site is back.
    fn revive(&self, site: &str) -> PyResult<()> {
        self.at(site)?.revive(site);
        Ok(())
    }

    /// What time it is, in seconds since 1970.
    fn now(&self) -> PyResult<f64> {
        Ok(self.inner.get()?.1.now().as_duration().as_secs_f64())
    }

    /// Moves the time on.
    fn advance(&self, seconds: u64) -> PyResult<()> {
        self.inner.get()?.1.advance(Duration::from_secs(seconds));
        Ok(())
    }
}

/// What the storage service itself refuses.
fn refused(py: Python<'_>, errno: &ns_core::sim::Errno) -> PyErr {
    let kind = if errno.code == 2 {
        ErrorKind::NotFound
    } else {
        ErrorKind::Rejected
    };
    let refused = ns_core::Error::new(kind, format!("sim.rbd.{}", errno.code), errno.text.clone());
    error::exception(py, &refused)
}
