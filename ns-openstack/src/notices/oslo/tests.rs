use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

/// Every notification that the lab's clouds were seen to send, abridged: routing key, kind of event, payload, and what
/// comes out of it; nothing for those that are ignored.
const SEEN: [(&str, &str); 5] = [
    ("glance", include_str!("../fixtures/glance.json")),
    ("keystone", include_str!("../fixtures/keystone.json")),
    ("neutron", include_str!("../fixtures/neutron.json")),
    ("nova", include_str!("../fixtures/nova.json")),
    ("openstack", include_str!("../fixtures/cinder.json")),
];

struct Event {
    exchange: &'static str,
    key: String,
    event: String,
    payload: Value,
    gives: Vec<String>,
}

fn seen() -> Vec<Event> {
    let words = |value: &Value| value.as_str().unwrap().to_owned();
    let event = |exchange, line: Vec<Value>| Event {
        exchange,
        key: words(&line[0]),
        event: words(&line[1]),
        payload: line[2].clone(),
        gives: line[3..].iter().map(words).collect(),
    };
    let lines = |(exchange, file): (&'static str, &str)| {
        let lines: Vec<Vec<Value>> = serde_json::from_str(file).unwrap();
        lines.into_iter().map(move |line| event(exchange, line))
    };
    SEEN.into_iter().flat_map(lines).collect()
}

fn message(key: &str, event: &str, payload: &Value) -> Value {
    json!({
        "message_id": "m-1", "publisher_id": "test.host", "event_type": event, "timestamp": "2026-11-21 19:39:07.398668",
        "priority": key.rsplit('.').next().unwrap().to_uppercase(), "payload": payload, "_unique_id": "u", "_context_user": null,
    })
}

fn wrapped(message: &Value) -> Vec<u8> {
    json!({"oslo.version": "2.0", "oslo.message": message.to_string()})
        .to_string()
        .into_bytes()
}

fn shown(notices: &[Notice]) -> Vec<String> {
    let show = |n: &Notice| {
        let happened = json!(n.happened).as_str().unwrap().to_owned();
        let id = n.resource.as_ref().map_or("-", CloudId::as_str);
        format!("{} {happened} {id}", n.kind.as_str())
    };
    notices.iter().map(show).collect()
}

fn gives(key: &str, event: &str, payload: &Value) -> Vec<String> {
    shown(&read(&wrapped(&message(key, event, payload))).unwrap())
}

fn info(event: &str, payload: &Value) -> Vec<String> {
    gives("notifications.info", event, payload)
}

#[test]
fn evt_13_every_event_seen_is_decided() {
    let seen = seen();
    assert_eq!(seen.len(), 217, "as many as the lab's list");
    for e in &seen {
        assert_eq!(
            gives(&e.key, &e.event, &e.payload),
            e.gives,
            "{} {} {}",
            e.exchange,
            e.key,
            e.event
        );
    }
}

/// What the events seen say of one kind, without ids.
fn said_of(kind: ResourceKind) -> BTreeSet<String> {
    let of_kind = |text: String| {
        let (given, happened) = (text.split(' ').next()?, text.split(' ').nth(1)?);
        (given == kind.as_str()).then(|| happened.to_owned())
    };
    let given = |e: Event| gives(&e.key, &e.event, &e.payload);
    seen().into_iter().flat_map(given).filter_map(of_kind).collect()
}

fn words<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
    words.iter().map(|&w| w.to_owned()).collect()
}

const THREE: [&str; 3] = ["added", "changed", "removed"];

#[test]
fn evt_02_projects_in_both_formats() {
    assert_eq!(said_of(ResourceKind::Tenant), words(THREE));
    let cadf = json!({"action": "created.project", "outcome": "failure", "resource_info": "p"});
    assert!(info("identity.project.created", &cadf).is_empty(), "an attempt");
    let target = json!({"outcome": "success", "target": {"id": "p"}});
    assert_eq!(info("identity.project.deleted", &target), ["tenant removed p"]);
}

#[test]
fn evt_03_networks() {
    assert_eq!(said_of(ResourceKind::Network), words(THREE));
}

#[test]
fn evt_04_security_groups_and_their_rules() {
    assert_eq!(said_of(ResourceKind::SecurityGroup), words(THREE));
    let old = json!({"security_group_rule_id": "r"});
    assert_eq!(
        info("security_group_rule.delete.end", &old),
        ["security_group changed -"]
    );
}

#[test]
fn evt_05_instances_in_both_forms() {
    assert_eq!(said_of(ResourceKind::Instance), words(THREE));
    for word in [
        "rebuild.end",
        "live_migration._post.end",
        "live.migration.abort.end",
        "soft_delete.end",
    ] {
        let event = format!("compute.instance.{word}");
        assert_eq!(info(&event, &json!({"instance_id": "i"})), ["instance changed i"]);
    }
    let versioned = json!({"nova_object.data": {"uuid": "i"}});
    for word in [
        "live_migration_post_dest.end",
        "resize_revert.end",
        "interface_detach.end",
        "evacuate",
    ] {
        let key = "versioned_notifications.info";
        assert_eq!(
            gives(key, &format!("instance.{word}"), &versioned),
            ["instance changed i"]
        );
    }
}

#[test]
fn evt_06_volume_types_and_their_options() {
    assert_eq!(said_of(ResourceKind::VolumeType), words(THREE));
}

#[test]
fn evt_07_evt_08_evt_09_volumes() {
    let all = ["added", "changed", "managed", "removed", "resized", "unmanaged"];
    assert_eq!(said_of(ResourceKind::Volume), words(all));
    let accepted = json!({"volume_id": "v", "tenant_id": "t"});
    assert_eq!(info("volume.transfer.accept.end", &accepted), ["volume changed v"]);
    for books in ["volume.exists", "volume.usage"] {
        assert!(info(books, &accepted).is_empty());
    }
    let failed = json!({"volume_id": "v", "method": "manage_existing"});
    assert_eq!(
        gives("notifications.error", "scheduler.manage_existing", &failed),
        ["volume changed v"]
    );
}

#[test]
fn evt_10_evt_11_snapshots() {
    assert_eq!(said_of(ResourceKind::VolumeSnapshot), words(THREE));
    let payload = json!({"volume_id": "v", "snapshot_id": "s", "status": "error"});
    assert!(info("snapshot.reset_status.start", &payload).is_empty());
    assert_eq!(
        info("snapshot.reset_status.end", &payload),
        ["volume_snapshot status_reset s"]
    );
}

#[test]
fn evt_14_what_plans_need_besides() {
    for kind in [
        ResourceKind::Subnet,
        ResourceKind::Router,
        ResourceKind::FloatingIp,
        ResourceKind::Port,
        ResourceKind::Flavor,
        ResourceKind::ServerGroup,
    ] {
        assert_eq!(said_of(kind), words(THREE), "{kind:?}");
    }
    assert_eq!(said_of(ResourceKind::Keypair), words(["added", "removed"]));
    assert_eq!(said_of(ResourceKind::AvailabilityZone), words(["changed"]));
    assert_eq!(said_of(ResourceKind::Hypervisor), words(["added", "changed"]));
    let gone = json!({"nova_object.data": {"binary": "nova-compute", "host": "h"}});
    let gone = gives("versioned_notifications.info", "service.delete", &gone);
    assert_eq!(gone, ["hypervisor removed -", "availability_zone changed -"]);
    let other = json!({"nova_object.data": {"binary": "nova-scheduler"}});
    assert!(gives("versioned_notifications.info", "service.update", &other).is_empty());
}

#[test]
fn many_things_made_with_one_request() {
    let ports = |n: usize| json!({"ports": (0..n).map(|i| json!({"id": format!("p{i}")})).collect::<Vec<_>>()});
    assert_eq!(info("port.create.end", &ports(2)), ["port added p0", "port added p1"]);
    assert_eq!(info("port.create.end", &ports(EACH + 1)), ["port added -"]);
}

/// A message may have 4 MiB: as many attachments as that holds were compared each with each, and its id copied for each.
#[test]
fn no_message_gives_more_than_is_worth_it() {
    let attached = |n: usize| {
        let each = (0..n).map(|i| json!({"instance_uuid": format!("i{i}")}));
        json!({"volume_id": "v", "volume_attachment": each.collect::<Vec<_>>()})
    };
    let one = ["volume changed v", "instance changed i0"];
    assert_eq!(info("volume.attach.end", &attached(1)), one);
    assert_eq!(info("volume.attach.end", &attached(EACH)).len(), 1 + EACH);
    let all = ["volume changed v", "instance changed -"];
    assert_eq!(info("volume.attach.end", &attached(EACH + 1)), all);
    let mut long = message(
        "notifications.info",
        "network.update.end",
        &json!({"network": {"id": "n"}}),
    );
    long["message_id"] = json!("m".repeat(ID_MAX));
    assert!(read(&wrapped(&long)).is_ok());
    long["message_id"] = json!("m".repeat(ID_MAX + 1));
    assert_eq!(read(&wrapped(&long)), Err(Malformed::Form));
}

#[test]
fn each_notice_of_a_message_has_an_id_of_its_own() {
    let attach = seen().into_iter().find(|e| e.event == "volume.attach.end").unwrap();
    let body = wrapped(&message(&attach.key, &attach.event, &attach.payload));
    let notices = read(&body).unwrap();
    let ids: Vec<_> = notices.iter().map(|n| n.id.as_str()).collect();
    assert_eq!(ids, ["m-1", "m-1.1"]);
    assert_eq!(read(&body).unwrap(), notices, "the same when it is delivered twice");
}

#[test]
fn a_missing_or_impossible_id_means_the_whole_kind() {
    for id in [
        json!(null),
        json!(7),
        json!(""),
        json!(".."),
        json!("a\nb"),
        json!("x".repeat(256)),
    ] {
        assert_eq!(
            info("network.update.end", &json!({"network": {"id": id}})),
            ["network changed -"]
        );
    }
    assert_eq!(info("network.update.end", &json!("text")), ["network changed -"]);
}

#[test]
fn unknown_events_are_ignored() {
    for event in [
        "",
        "x",
        "network",
        "network.",
        "network.frob.end",
        "trunk.create.end",
        "compute.metrics.update",
    ] {
        assert!(info(event, &json!({"network": {"id": "n"}})).is_empty(), "{event}");
    }
}

#[test]
fn times_as_oslo_writes_them() {
    for text in [
        "2026-11-21 19:39:07.398668",
        "2026-11-21T19:39:07.398668",
        "2026-11-21 19:39:07.398668+00:00",
        "2026-11-21T20:39:07.398668+01:00",
        "2026-11-21T19:39:07.398668Z",
    ] {
        assert_eq!(
            time(text).map(|t| t.to_string()).as_deref(),
            Some("2026-11-21T19:39:07.398668Z"),
            "{text}"
        );
    }
    assert_eq!(
        time("2026-11-21 19:39:07").map(|t| t.to_string()).as_deref(),
        Some("2026-11-21T19:39:07Z")
    );
    for text in ["", "yesterday", "2026-13-01 00:00:00", "99999-01-01 00:00:00"] {
        assert_eq!(time(text), None, "{text}");
    }
}

#[test]
fn malformed_messages_are_told_apart_and_quoted_nowhere() {
    let good = message(
        "notifications.info",
        "network.update.end",
        &json!({"network": {"id": "n"}}),
    );
    let without = |key: &str| {
        let mut message = good.clone();
        message.as_object_mut().unwrap().remove(key);
        wrapped(&message)
    };
    for (body, why) in [
        (b"hush {".to_vec(), Malformed::Json),
        (
            br#"{"oslo.version": "2.0", "oslo.message": "hush {"}"#.to_vec(),
            Malformed::Json,
        ),
        (
            br#"{"oslo.version": "2.0", "oslo.message": "[1]"}"#.to_vec(),
            Malformed::Form,
        ),
        (b"[]".to_vec(), Malformed::Form),
        (without("message_id"), Malformed::Form),
        (without("event_type"), Malformed::Form),
        (without("timestamp"), Malformed::Form),
    ] {
        assert_eq!(read(&body), Err(why), "{}", String::from_utf8_lossy(&body));
    }
    let mut late = good.clone();
    late["timestamp"] = json!("hush");
    assert_eq!(read(&wrapped(&late)), Err(Malformed::Time));
    assert!(!format!("{} {:?}", Malformed::Time, Malformed::Time).contains("hush"));
    let bare = good.to_string().into_bytes();
    assert_eq!(shown(&read(&bare).unwrap()), ["network changed n"], "without envelope");
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop_oneof![
        Just("id".to_owned()),
        Just("nova_object.data".to_owned()),
        Just("port".to_owned()),
        Just("ports".to_owned()),
        Just("volume_attachment".to_owned()),
        Just("args".to_owned()),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(keys.clone(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_in_a_message_is_a_panic(outer in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(outer.to_string().as_bytes());
        let _ = read(json!({"oslo.message": outer.to_string()}).to_string().as_bytes());
        let _ = read(&bytes);
    }

    #[test]
    fn nothing_in_a_payload_is_a_panic(payload in any_json(), nth in 0_usize..217, error in any::<bool>()) {
        let event = &seen()[nth];
        let key = if error { "notifications.error" } else { event.key.as_str() };
        let _ = gives(key, &event.event, &payload);
        let _ = gives(key, &event.event, &json!({"port": payload, "ports": payload, "nova_object.data": payload}));
    }
}
