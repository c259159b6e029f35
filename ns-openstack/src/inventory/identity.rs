//! Projects, as Keystone gives them.

use super::{Kind, nullable};
use crate::error::Service;
use crate::paging::{Item, List, Paging};
use crate::session::Session;
use ns_core::Result;
use ns_core::model::{Resource, Tenant};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Project {
    id: String,
    name: String,
    #[serde(default)]
    enabled: bool,
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<String>,
}

impl Item for Project {
    fn marker(&self) -> &str {
        &self.id
    }
}

impl Kind for Project {
    const SERVICE: Service = Service::Identity;
    const PATH: &'static [&'static str] = &["projects"];
    const MANY: &'static str = "projects";
    const ONE: &'static str = "project";

    fn list() -> List {
        // Keystone has no pages by default and says so (`truncated`) when it cuts a list.
        List::new(Self::SERVICE, Self::PATH, Self::MANY).paging(Paging::Whole)
    }

    async fn resources(_: &Session, page: Vec<Self>) -> Result<Vec<Resource>> {
        let tenant = |p: Self| Tenant {
            id: p.id.into(),
            name: p.name,
            enabled: p.enabled,
            tags: p.tags,
        };
        Ok(page.into_iter().map(|p| Resource::Tenant(tenant(p))).collect())
    }
}
