//! Keystone's events (EVT-02). Both of its formats, CADF and the plain one, name the project in `resource_info`; neither
//! tells its name or what changed.

use super::{Hint, change, id, text};
use ns_core::model::ResourceKind;
use serde_json::Value;

/// What happened to projects; users, roles and log-ins are of no interest.
pub(super) fn hints(what: &str, payload: &Value) -> Vec<Hint> {
    let Some(word) = what.strip_prefix("project.") else {
        return Vec::new();
    };
    // CADF tells of attempts too.
    if text(payload, &["outcome"]).is_some_and(|outcome| outcome != "success") {
        return Vec::new();
    }
    let project = || id(payload, &["resource_info"]).or_else(|| id(payload, &["target", "id"]));
    let hint = change(word).map(|happened| (happened, ResourceKind::Tenant, project()));
    hint.into_iter().collect()
}
