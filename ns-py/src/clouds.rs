//! `clouds.yaml` as settings and secrets of a connection.

use crate::error;
use ns_openstack::{OpenStackConfig, storage_below};
use pyo3::prelude::*;
use secrecy::ExposeSecret;
use std::path::Path;

type Named = Vec<(String, String)>;

/// What `clouds.yaml` (that of `path`, else the first that OpenStack's own tools would find) says of a cloud: settings and secrets.
#[pyfunction]
#[pyo3(signature = (cloud, path=None))]
pub(crate) fn clouds_yaml(py: Python<'_>, cloud: &str, path: Option<&str>) -> PyResult<(Named, Named)> {
    let config = py.detach(|| OpenStackConfig::from_clouds_yaml(path.map(Path::new), cloud));
    let (settings, secrets) = config.map_err(|e| error::exception(py, &e))?.to_connection();
    let secrets = secrets
        .iter()
        .map(|(name, secret)| (name.to_owned(), secret.expose_secret().to_owned()));
    let settings = settings.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok((settings.collect(), secrets.collect()))
}

/// What it says of the storage below a cloud, as JSON.
#[pyfunction]
#[pyo3(signature = (cloud, path=None))]
pub(crate) fn storage_yaml(py: Python<'_>, cloud: &str, path: Option<&str>) -> PyResult<String> {
    let told = py.detach(|| storage_below(path.map(Path::new), cloud));
    let told = told.map_err(|e| error::exception(py, &e))?;
    Ok(told.unwrap_or_default().to_string())
}
