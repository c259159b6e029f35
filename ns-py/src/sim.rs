//! A simulated world for scripts to practise on.

use crate::error;
use crate::runtime::{self, Owned};
use ns_core::sim::{SimClock, SimWorld as World};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

/// Two simulated clouds, `a` and `b`, in a time of their own.
#[pyclass(frozen, module = "neverstop._native")]
pub(crate) struct SimWorld {
    inner: Owned<(World, SimClock)>,
}

impl SimWorld {
    /// The world and its clock.
    pub(crate) fn parts(&self) -> PyResult<(World, SimClock)> {
        self.inner.get().cloned()
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
    fn new(seed: u64) -> Self {
        let clock = SimClock::new();
        let world = World::new(Arc::new(clock.clone()), seed);
        Self {
            inner: Owned::new((world, clock)),
        }
    }

    /// Makes running servers with networks and volumes on site `a`; gives the ids of the servers.
    fn sample_group(&self, py: Python<'_>, servers: usize) -> PyResult<Vec<String>> {
        let (world, _) = self.inner.get()?;
        let made = py.detach(|| world.sample_group(servers));
        let made = made.map_err(|e| error::exception(py, &e))?;
        Ok(made.server_ids().iter().map(ToString::to_string).collect())
    }

    /// The last lines that a server printed.
    fn console(&self, py: Python<'_>, site: &str, server: &str, lines: u32) -> PyResult<String> {
        let (cloud, runtime) = (self.at(site)?.cloud(site), runtime::handle()?);
        let text = py.detach(|| runtime.block_on(cloud.console(&server.into(), lines)));
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

    /// Moves the time on.
    fn advance(&self, seconds: u64) -> PyResult<()> {
        self.inner.get()?.1.advance(std::time::Duration::from_secs(seconds));
        Ok(())
    }
}
