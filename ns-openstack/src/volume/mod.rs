//! Volumes: made of storage images (Cinder: manage) and let go of again (unmanage). A volume is never deleted here: Cinder
//! would delete the image, and mirroring its replica.

mod adopt;
mod release;
mod reservation;
mod why;

use crate::error::Service::Volume;
use crate::paging::Item;
use crate::session::Session;
use ns_core::Result;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) use adopt::{adopt, find};
pub(crate) use release::release;
pub(crate) use reservation::settle;

/// A volume as Cinder shows it.
#[derive(Debug, Deserialize)]
struct Record {
    id: String,
    status: String,
    #[serde(default)]
    bootable: String,
    #[serde(default)]
    attachments: Vec<Value>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    volume_image_metadata: BTreeMap<String, String>,
    #[serde(rename = "os-vol-tenant-attr:tenant_id", default)]
    tenant: Option<String>,
    #[serde(rename = "os-vol-host-attr:host", default)]
    host: Option<String>,
}

impl Item for Record {
    fn marker(&self) -> &str {
        &self.id
    }
}

async fn show(session: &Session, id: &str) -> Result<Option<Record>> {
    #[derive(Deserialize)]
    struct One {
        volume: Record,
    }
    let found: Option<One> = session.get(Volume, &["volumes", id]).found().await?;
    Ok(found.map(|found| found.volume))
}

async fn act(session: &Session, id: &str, action: Value) -> Result<()> {
    session.post(Volume, &["volumes", id, "action"], action).done().await
}

#[cfg(test)]
mod tests;
