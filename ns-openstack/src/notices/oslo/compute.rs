//! Nova's events, in the old form (`compute.instance.…`, flat) and in the versioned one (`instance.…`, nested objects);
//! a cloud sends either or both (EVT-05, and those of PLAN-64 … PLAN-68 and PLAN-80 … PLAN-95). What a compute node has left
//! is not told by anybody: an instance that comes, goes, grows or moves says it.

use super::{Hint, change, id, text};
use ns_core::model::ResourceKind;
use ns_core::provider::Happened;
use serde_json::Value;

pub(super) fn hints(family: &str, what: &str, payload: &Value) -> Vec<Hint> {
    let data = payload.get("nova_object.data").unwrap_or(payload);
    match family {
        "compute" => match what.strip_prefix("instance.") {
            Some(what) => instance(what, data),
            None => Vec::new(),
        },
        "instance" => instance(what, data),
        "aggregate" => aggregate(what),
        "service" => service(what, data),
        "flavor" => one(change(what), ResourceKind::Flavor, data, &["flavorid"]),
        "keypair" => one(change(what), ResourceKind::Keypair, data, &["key_name", "name"]),
        // Besides being made and removed it gets members.
        _ => {
            let happened = change(what).unwrap_or(Happened::Changed);
            one(
                Some(happened),
                ResourceKind::ServerGroup,
                data,
                &["server_group_id", "uuid"],
            )
        }
    }
}

fn one(happened: Option<Happened>, kind: ResourceKind, data: &Value, keys: &[&str]) -> Vec<Hint> {
    let id = || keys.iter().find_map(|key| id(data, &[key]));
    happened.into_iter().map(|happened| (happened, kind, id())).collect()
}

/// Whatever is done to an instance changes something that the inventory holds: its state, size, node, cards or volumes.
fn instance(what: &str, data: &Value) -> Vec<Hint> {
    let happened = match what {
        "create" => Happened::Added,
        "delete" => Happened::Removed,
        // Told for the books, every hour or so, of every instance.
        "exists" => return Vec::new(),
        _ => Happened::Changed,
    };
    let mut hints = one(Some(happened), ResourceKind::Instance, data, &["instance_id", "uuid"]);
    let volume = id(data, &["volume_id"]);
    hints.extend(volume.map(|volume| (Happened::Changed, ResourceKind::Volume, Some(volume))));
    hints
}

/// Aggregates make zones, and say which flavours reach a node. One without hosts does neither, and only such a one can be
/// made or removed. Which zone a host left, and the id of the node, are not told.
fn aggregate(what: &str) -> Vec<Hint> {
    if change(what).is_some() {
        return Vec::new();
    }
    vec![
        (Happened::Changed, ResourceKind::AvailabilityZone, None),
        (Happened::Changed, ResourceKind::Hypervisor, None),
    ]
}

/// A compute service is a compute node to us; it makes its zone available or not.
fn service(what: &str, data: &Value) -> Vec<Hint> {
    if text(data, &["binary"]).is_some_and(|binary| binary != "nova-compute") {
        return Vec::new();
    }
    let Some(happened) = change(what) else {
        return Vec::new();
    };
    vec![
        (happened, ResourceKind::Hypervisor, None),
        (Happened::Changed, ResourceKind::AvailabilityZone, None),
    ]
}
