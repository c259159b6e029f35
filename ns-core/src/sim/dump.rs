//! Everything in a site as one comparable value, for tests that say "nothing is left behind" or "nothing was touched".

use super::world::SimWorld;
use crate::model::{Inventory, ReplicationMode, StorageRef};
use std::collections::{BTreeMap, BTreeSet};

/// Everything in a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteDump {
    /// What the cloud holds.
    pub inventory: Inventory,
    /// The images of the storage.
    pub images: BTreeMap<StorageRef, ImageDump>,
    /// Names of deleted images that live on in the trash.
    pub trash: BTreeSet<StorageRef>,
}

/// An image of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDump {
    /// Bytes.
    pub size: u64,
    /// A digest of its bytes.
    pub contents: String,
    /// Its user snapshots, with digests of theirs.
    pub snapshots: BTreeMap<String, String>,
    /// Replication: identity, mode, primary.
    pub replication: Option<(String, ReplicationMode, bool)>,
    /// What it is a clone of.
    pub parent: Option<StorageRef>,
    /// Key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Running servers that have it open.
    pub watchers: u32,
}

impl SimWorld {
    /// Everything in a site, whatever its condition is.
    ///
    /// # Panics
    /// When there is no such site.
    #[must_use]
    pub fn dump(&self, site: &str) -> SiteDump {
        let site = self.site(site);
        self.with(|world, _| {
            let here = &world.sites[site];
            let mut dump = SiteDump {
                inventory: here.cloud.inventory.clone(),
                ..SiteDump::default()
            };
            for image in here.images.by_key.values() {
                let storage = image.place.storage();
                if image.trashed {
                    dump.trash.insert(storage);
                    continue;
                }
                let log = &image.log;
                let snapshots = log.snapshots().into_iter().map(|s| (s.name, log.digest(s.position)));
                let entry = ImageDump {
                    size: log.size(log.len()),
                    contents: log.digest(log.len()),
                    snapshots: snapshots.collect(),
                    replication: image.mirror.as_ref().map(|m| (m.global_id.clone(), m.mode, m.primary)),
                    parent: here.images.parent(image),
                    metadata: log.metadata(),
                    watchers: image.watchers,
                };
                dump.images.insert(storage, entry);
            }
            dump
        })
    }
}

impl SiteDump {
    /// What differs from an earlier dump, one line per thing: `+` it is new, `-` it is gone, `~` it changed. Empty when
    /// nothing differs.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let things = |dump: &Self| {
            let resources = dump.inventory.resources().map(|r| {
                let key = format!("{} {} ({})", r.kind().as_str(), r.id(), r.name());
                (key, format!("{r:?}"))
            });
            let images = dump
                .images
                .iter()
                .map(|(storage, image)| (format!("image {storage}"), format!("{image:?}")));
            let trash = dump
                .trash
                .iter()
                .map(|storage| (format!("trash {storage}"), String::new()));
            resources.chain(images).chain(trash).collect::<BTreeMap<_, _>>()
        };
        let (old, new) = (things(before), things(self));
        let gone = old.keys().filter(|k| !new.contains_key(*k)).map(|k| format!("- {k}"));
        let changed = new.iter().filter_map(|(key, value)| match old.get(key) {
            None => Some(format!("+ {key}")),
            Some(was) if was != value => Some(format!("~ {key}: {was} -> {value}")),
            Some(_) => None,
        });
        gone.chain(changed).collect()
    }
}
