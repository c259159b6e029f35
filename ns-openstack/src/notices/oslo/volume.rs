//! Cinder's events (EVT-06 … EVT-11, PLAN-92, PLAN-93, PLAN-96, PLAN-97). Groups of volumes are no kind of the inventory; when
//! one changes, its volumes say so themselves.

use super::{EACH, Hint, change, id, text};
use ns_core::model::ResourceKind;
use ns_core::provider::Happened;
use serde_json::Value;

/// Stands when an adoption fails: then a broken volume is left, and no further word.
pub(super) const MANAGE_START: &str = "volume.manage_existing.start";

pub(super) fn hints(family: &str, what: &str, payload: &Value) -> Vec<Hint> {
    match family {
        "volume" => volume(what, payload),
        "snapshot" => snapshot(what, payload),
        // Cinder tells of what it refused by the same name.
        "volume_type" if text(payload, &["error_message"]).is_some() => Vec::new(),
        "volume_type" => {
            let hint = |happened| (happened, ResourceKind::VolumeType, id(payload, &["volume_types", "id"]));
            change(what).map(hint).into_iter().collect()
        }
        _ => vec![(Happened::Changed, ResourceKind::VolumeType, id(payload, &["type_id"]))],
    }
}

fn volume(what: &str, payload: &Value) -> Vec<Hint> {
    let happened = match what {
        "create" => Happened::Added,
        "delete" => Happened::Removed,
        "manage_existing" => Happened::Managed,
        "unmanage" => Happened::Unmanaged,
        "resize" => Happened::Resized,
        // For the books; `usage` is Nova's.
        "exists" | "usage" => return Vec::new(),
        _ => Happened::Changed,
    };
    let mut hints = vec![(happened, ResourceKind::Volume, id(payload, &["volume_id"]))];
    if matches!(what, "attach" | "detach") {
        let instance = |instance| (Happened::Changed, ResourceKind::Instance, instance);
        let attachments = payload.get("volume_attachment").and_then(Value::as_array);
        match attachments {
            Some(many) if many.len() > EACH => hints.push(instance(None)),
            few => {
                let ids = few.into_iter().flatten().filter_map(|a| id(a, &["instance_uuid"]));
                hints.extend(ids.map(|id| instance(Some(id))));
            }
        }
    }
    hints
}

fn snapshot(what: &str, payload: &Value) -> Vec<Hint> {
    let happened = match what {
        "create" | "manage_existing_snapshot" => Happened::Added,
        "delete" | "unmanage" => Happened::Removed,
        "reset_status" => Happened::StatusReset,
        "exists" => return Vec::new(),
        _ => Happened::Changed,
    };
    vec![(happened, ResourceKind::VolumeSnapshot, id(payload, &["snapshot_id"]))]
}
