//! What the lab changes about installed programs, in folders of its own that stand before the distribution's.
use super::config::shared_dir;
use crate::lab::state::{State, write_file};
use anyhow::{Context, Result};
use std::{ffi::OsString, fs, path::PathBuf};

/// Where the distribution's Python packages lie.
const DIST_PACKAGES: &str = "/usr/lib/python3/dist-packages";

/// Writes both folders.
///
/// # Errors
/// Cinder is not installed, or the folders cannot be written.
pub(crate) fn write(state: &State) -> Result<()> {
    patch_cinder(state)?;
    let programs = shared_dir(state).join("bin");
    fs::create_dir_all(&programs)?;
    // Every bridge agent removes the ARP rules of ports it does not know, in the one table all six share here, and ends
    // when another one was faster. The lab filters no packets (see the agents' `firewall_driver`), ARP neither.
    write_file(&programs.join("ebtables"), b"#!/bin/sh\nexit 0\n", 0o755)
}

/// `PATH` with the lab's programs before the distribution's.
pub(crate) fn program_path(state: &State) -> OsString {
    let mut path = shared_dir(state).join("bin").into_os_string();
    path.push(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    path
}

/// `PYTHONPATH` with the lab's `cinder` before the distribution's.
pub(crate) fn python_path(state: &State) -> PathBuf {
    shared_dir(state).join("python")
}

/// Lays a `cinder` package of links over the distribution's, with one file of its own: `context.py` of cinder 21.3.1
/// cannot read the contexts that the security update of oslo.messaging 14.0.3 sends with notifications, and then every
/// volume ends in `error`.
fn patch_cinder(state: &State) -> Result<()> {
    let (from, to) = (
        PathBuf::from(DIST_PACKAGES).join("cinder"),
        python_path(state).join("cinder"),
    );
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(&from).with_context(|| format!("read {}", from.display()))? {
        let name = entry?.file_name();
        let link = to.join(&name);
        if name != "__pycache__" && name != "context.py" && !link.exists() {
            std::os::unix::fs::symlink(from.join(&name), link)?;
        }
    }
    let original = fs::read_to_string(from.join("context.py"))?;
    let patched = original.replace("values.get('read_deleted')", "values.get('read_deleted', 'no')");
    let target = to.join("context.py");
    if fs::read_to_string(&target).is_ok_and(|text| text == patched) {
        return Ok(());
    }
    write_file(&target, patched.as_bytes(), 0o644)
}
