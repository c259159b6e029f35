//! The bootable test guest: a 48 MiB raw disk with SYSLINUX, the distribution's cloud kernel and a busybox that runs
//! `init.sh`, which says on its console and on its disks what it is and that it lives.
//!
//! Built once, proved by booting it, and kept until one of its inputs changes. Knows no cloud and no storage.
mod cpio;
mod image;
mod prove;

use super::{packages, state::State, state::write_file};
use anyhow::Result;
use serde_json::json;
use std::fs;

/// Where on each virtio disk the guest keeps the text that `MARK` sets, in bytes from the disk's beginning. Behind the
/// file system and within the first 48 MiB, so that it exists on a blank data disk of any useful size as well.
const MARKER_OFFSET: u64 = 46 << 20;
/// Where the boot disk counts its boots.
const BOOTS_OFFSET: u64 = MARKER_OFFSET + 4096;
/// Where each virtio disk has the newest heartbeat.
const BEAT_OFFSET: u64 = MARKER_OFFSET + 2 * 4096;
/// The port the guest takes commands on.
const PORT: u16 = 7;

/// Builds and proves the image when it is missing or its inputs changed.
pub(crate) fn up(state: &State) -> Result<()> {
    packages::install("guest", packages::GUEST)?;
    let (image, recipe) = (state.guest_image(), state.guest_dir().join("recipe"));
    let wanted = image::recipe();
    if !image.exists() || fs::read_to_string(&recipe).ok() != Some(wanted.clone()) {
        fs::create_dir_all(state.guest_dir())?;
        let candidate = state.guest_dir().join("guest.new");
        image::build(&state.guest_dir(), &candidate)?;
        prove::boots_and_obeys(&state.guest_dir(), &candidate)?;
        fs::rename(&candidate, &image)?;
        write_file(&recipe, wanted.as_bytes(), 0o644)?;
    }
    state.publish(
        "guest",
        json!({
            "image": image,
            "marker_offset": MARKER_OFFSET,
            "boots_offset": BOOTS_OFFSET,
            "beat_offset": BEAT_OFFSET,
            "port": PORT,
        }),
    )
}
