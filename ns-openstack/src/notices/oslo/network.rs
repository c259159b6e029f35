//! Neutron's events (EVT-03, EVT-04, and those of PLAN-71 … PLAN-79). An event holds the whole object below its kind's name,
//! or, when many were made with one request, a list below the name in the plural; a removal at least the id.

use super::{EACH, Hint, change, id, text};
use ns_core::model::{CloudId, ResourceKind};
use ns_core::provider::Happened;
use serde_json::Value;

pub(super) fn hints(family: &str, what: &str, payload: &Value) -> Vec<Hint> {
    let kind = match family {
        "network" => ResourceKind::Network,
        "subnet" => ResourceKind::Subnet,
        "router" => ResourceKind::Router,
        "floatingip" => ResourceKind::FloatingIp,
        "port" => ResourceKind::Port,
        // Rules are part of their group.
        _ => ResourceKind::SecurityGroup,
    };
    if let ("router", Some(word)) = (family, what.strip_prefix("interface.")) {
        return interface(word, payload);
    }
    let Some(happened) = change(what) else {
        return Vec::new();
    };
    let many = payload.get(format!("{family}s")).and_then(Value::as_array);
    let things: Vec<&Value> = match many {
        Some(many) if many.len() > EACH => return vec![(happened, kind, None)],
        Some(many) => many.iter().collect(),
        None => payload.get(family).into_iter().collect(),
    };
    if family == "security_group_rule" {
        return of_rules(&things);
    }
    let mut hints: Vec<Hint> = things
        .iter()
        .map(|thing| (happened, kind, id(thing, &["id"])))
        .collect();
    if hints.is_empty() {
        hints.push((happened, kind, id(payload, &[&format!("{family}_id")])));
    }
    if family == "port" {
        hints.extend(things.iter().filter_map(|port| user(port)));
    }
    hints
}

/// An interface of a router is a port that Neutron makes and removes by itself, without a word about it as a port.
fn interface(word: &str, payload: &Value) -> Vec<Hint> {
    let Some(happened) = change(word) else {
        return Vec::new();
    };
    let of = |key| id(payload, &["router_interface", key]);
    let mut hints = vec![(Happened::Changed, ResourceKind::Router, of("id"))];
    hints.extend(of("port_id").map(|port| (happened, ResourceKind::Port, Some(port))));
    hints
}

fn of_rules(rules: &[&Value]) -> Vec<Hint> {
    let changed = |group: Option<CloudId>| (Happened::Changed, ResourceKind::SecurityGroup, group);
    if rules.is_empty() {
        return vec![changed(None)];
    }
    let group = |rule: &&Value| changed(id(rule, &["security_group_id"]));
    rules.iter().map(group).collect()
}

/// The instance that a port serves: Nova tells of a card that comes or goes only in its versioned form (PLAN-87, PLAN-95).
fn user(port: &Value) -> Option<Hint> {
    text(port, &["device_owner"])?.strip_prefix("compute:")?;
    Some((
        Happened::Changed,
        ResourceKind::Instance,
        Some(id(port, &["device_id"])?),
    ))
}
