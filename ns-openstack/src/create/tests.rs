use super::*;
use crate::testing::{HOME, cloud, deleted, gone, in_turn, on, once, recorded, sent, token};
use ns_core::model::SecurityGroupRule;
use ns_core::provider::RuleSpec;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wiremock::MockServer;

const SERVERS: &str = "/compute/v2.1/servers";
const ONE: &str = "/compute/v2.1/servers/s1";
const ACT: &str = "/compute/v2.1/servers/s1/action";
const N: &str = "/network/v2.0";

fn known(id: &str) -> Ref {
    Ref::Known(id.into())
}

fn handle(kind: CreatedKind, id: &str) -> Handle {
    Handle {
        kind,
        id: id.into(),
        tenant: None,
        storage: None,
    }
}

fn server_spec() -> Spec {
    Spec::Server {
        tenant: known("t1"),
        name: "web".into(),
        flavor: known("f1"),
        keypair: Some(known("key")),
        ports: vec![known("p1"), known("p2")],
        volumes: vec![known("v1"), known("v2")],
        availability_zone: Some("nova".into()),
        host: Some("b-comp-1".into()),
        server_group: Some(known("g1")),
        metadata: BTreeMap::from([("m".to_owned(), "1".to_owned())]),
        user_data: Some("dQ==".into()),
    }
}

/// A server in a state, with a node that has it.
fn state(status: &str, task: Option<&str>, power: u8) -> Value {
    let mut body = recorded("server-show");
    let server = &mut body["server"];
    server["id"] = json!("s1");
    server["status"] = json!(status);
    server["OS-EXT-STS:task_state"] = json!(task);
    server["OS-EXT-STS:power_state"] = json!(power);
    server["tags"] = json!([token("s").as_str()]);
    body
}

fn fault(mut body: Value, message: &str, host: Option<&str>) -> Value {
    body["server"]["fault"] = json!({"code": 500, "message": message, "created": "x"});
    body["server"]["OS-EXT-SRV-ATTR:host"] = json!(host);
    body
}

/// A cloud whose Nova takes a server and shows these states, the last one for good; `there` are servers with the token.
async fn nova(there: &[Value], states: &[Value]) -> (MockServer, Session) {
    let (server, session) = cloud().await;
    let there: Vec<_> = there.iter().map(|body| body["server"].clone()).collect();
    on(
        &server,
        "GET",
        "/compute/v2.1/servers/detail",
        200,
        json!({"servers": there}),
    )
    .await;
    on(
        &server,
        "POST",
        SERVERS,
        202,
        json!({"server": {"id": "s1", "adminPass": "fL8pKd9MSkqV"}}),
    )
    .await;
    on(&server, "POST", ACT, 202, json!({})).await;
    if !states.is_empty() {
        in_turn(&server, "GET", ONE, states).await;
    }
    (server, session)
}

async fn actions(server: &MockServer) -> Vec<String> {
    let all = sent(server, "POST", ACT).await;
    all.iter()
        .filter_map(|body| Some(body.as_object()?.keys().next()?.clone()))
        .collect()
}

#[tokio::test]
async fn inv_24_a_server_as_asked_for() {
    let (server, session) = nova(&[], &[state("BUILD", Some("spawning"), 0), state("ACTIVE", None, 1)]).await;
    let made = create(&session, &server_spec(), &token("s")).await.unwrap();
    assert_eq!((made.id.as_str(), made.tenant.unwrap().as_str()), ("s1", "t1"));
    let body = &sent(&server, "POST", SERVERS).await[0];
    let asked = &body["server"];
    let disks = asked["block_device_mapping_v2"].as_array().unwrap();
    let disks: Vec<_> = disks
        .iter()
        .map(|d| {
            (
                d["uuid"].as_str().unwrap(),
                d["boot_index"].as_i64().unwrap(),
                d["delete_on_termination"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(disks, [("v1", 0, false), ("v2", -1, false)]);
    assert_eq!(asked["networks"], json!([{"port": "p1"}, {"port": "p2"}]));
    assert_eq!(
        (
            &asked["host"],
            &asked["availability_zone"],
            &asked["key_name"],
            &asked["user_data"]
        ),
        (&json!("b-comp-1"), &json!("nova"), &json!("key"), &json!("dQ=="))
    );
    assert_eq!(
        (&asked["metadata"], &asked["tags"]),
        (&json!({"m": "1"}), &json!([token("s").as_str()]))
    );
    assert_eq!(body["os:scheduler_hints"], json!({"group": "g1"}));
    assert!(asked.get("config_drive").is_none());
}

/// A node that comes back sets `ERROR`, then carries out the build it had queued (lab facts §5).
#[tokio::test]
async fn error_then_active_is_active() {
    let error = || state("ERROR", None, 0);
    let (_server, session) = nova(
        &[],
        &[
            state("BUILD", Some("spawning"), 0),
            error(),
            error(),
            state("ACTIVE", None, 1),
        ],
    )
    .await;
    create(&session, &server_spec(), &token("s")).await.unwrap();
}

#[tokio::test]
async fn an_error_that_stays_is_believed() {
    let failed = fault(
        state("ERROR", None, 0),
        "Build of instance s1 aborted: no disk",
        Some("b-comp-1"),
    );
    let (_server, session) = nova(&[], &[failed]).await;
    let begun = Instant::now();
    let error = create(&session, &server_spec(), &token("s")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, "compute.server_error")
    );
    assert!(error.message().contains("aborted: no disk"));
    assert!(begun.elapsed() >= session.config.timing.error_patience);
}

/// No node has it: nobody will build it (lab facts §5: nodes down, placement down).
#[tokio::test]
async fn no_valid_host_is_final_at_once() {
    for (message, host, code) in [
        (
            "No valid host was found. There are not enough hosts available.",
            None,
            "compute.no_valid_host",
        ),
        ("No valid host was found. ", Some(""), "compute.no_valid_host"),
        (
            "Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures",
            Some("h"),
            "compute.server_error",
        ),
    ] {
        let (_server, session) = nova(&[], &[fault(state("ERROR", None, 0), message, host)]).await;
        let begun = Instant::now();
        let error = create(&session, &server_spec(), &token("s")).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(begun.elapsed() < session.config.timing.error_patience, "{message}");
    }
}

/// While the node is known to be away, `ERROR` says nothing: wait for the node, or for the engine's deadline.
#[tokio::test]
async fn an_error_under_a_dead_node_is_waited_for() {
    let mut dead = state("ERROR", None, 0);
    dead["server"]["host_status"] = json!("DOWN");
    let (_server, session) = nova(&[], &[dead]).await;
    let waited = session.config.timing.error_patience * 2;
    let outcome = tokio::time::timeout(waited, create(&session, &server_spec(), &token("s"))).await;
    assert!(outcome.is_err(), "{outcome:?}");
}

/// 202 and then nothing, as with a node that was just killed: the caller gives up, and a later call goes on.
#[tokio::test]
async fn a_hanging_build_is_taken_up_again() {
    let building = state("BUILD", Some("spawning"), 0);
    let (server, session) = nova(&[], std::slice::from_ref(&building)).await;
    let hanging = tokio::time::timeout(
        Duration::from_millis(150),
        create(&session, &server_spec(), &token("s")),
    )
    .await;
    assert!(hanging.is_err());
    assert_eq!(sent(&server, "POST", SERVERS).await.len(), 1);
    let (server, session) = nova(
        std::slice::from_ref(&building),
        &[building.clone(), state("ACTIVE", None, 1)],
    )
    .await;
    let made = create(&session, &server_spec(), &token("s")).await.unwrap();
    assert_eq!(made.id.as_str(), "s1");
    assert!(sent(&server, "POST", SERVERS).await.is_empty(), "no second server");
}

#[tokio::test]
async fn a_failed_build_makes_room_for_the_next() {
    let dead = fault(state("ERROR", None, 0), "No valid host was found.", None);
    let (server, session) = nova(std::slice::from_ref(&dead), &[]).await;
    for _ in 0..2 {
        once(&server, "GET", ONE, 200, dead.clone()).await;
    }
    once(&server, "GET", ONE, 404, json!({})).await;
    on(&server, "DELETE", ONE, 204, json!({})).await;
    on(&server, "GET", ONE, 200, state("ACTIVE", None, 1)).await;
    create(&session, &server_spec(), &token("s")).await.unwrap();
    assert_eq!(
        (deleted(&server).await, sent(&server, "POST", SERVERS).await.len()),
        (vec![ONE.to_owned()], 1)
    );
}

/// Neutron away: Nova answers 500 to the question about a server (lab facts §5).
#[tokio::test]
async fn a_service_that_fails_while_waiting_is_unavailable() {
    let (server, session) = nova(&[], &[]).await;
    let body = json!({"computeFault": {"code": 500, "message": "Unexpected API Error. <class 'keystoneauth1.exceptions.connection.ConnectFailure'>"}});
    on(&server, "GET", ONE, 500, body).await;
    let error = create(&session, &server_spec(), &token("s")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Seen in the lab: the request of an engine that was killed made the subnet after its successor had looked for it.
#[tokio::test]
async fn in_the_way_of_itself() {
    let subnet = Spec::Subnet {
        tenant: known("t1"),
        network: known("n1"),
        name: "s".into(),
        cidr: "10.77.1.0/24".into(),
        ip_version: 4,
        gateway_ip: None,
        dhcp: true,
        allocation_pools: vec![],
        dns_nameservers: vec![],
        host_routes: vec![],
    };
    let at = format!("{N}/subnets");
    let late = json!({"subnets": [{"id": "s1", "project_id": "t1", "description": token("s").as_str()}]});
    let message = "Invalid input for operation: Requested subnet with cidr: 10.77.1.0/24 overlaps with another subnet.";
    let overlap = json!({"NeutronError": {"type": "InvalidInput", "message": message, "detail": ""}});
    for (then, made) in [(late, Some("s1")), (json!({"subnets": []}), None)] {
        let (server, session) = cloud().await;
        in_turn(&server, "GET", &at, &[json!({"subnets": []}), then]).await;
        on(&server, "POST", &at, 400, overlap.clone()).await;
        let result = create(&session, &subnet, &token("s")).await;
        match made {
            Some(id) => assert_eq!(result.unwrap().id.as_str(), id),
            None => assert_eq!(result.unwrap_err().kind(), ErrorKind::Rejected),
        }
        assert_eq!(sent(&server, "POST", &at).await.len(), 1);
    }
}

/// A server that no node takes is in error a moment before it tells why.
#[tokio::test]
async fn the_reason_is_waited_for() {
    let mut silent = fault(state("ERROR", None, 0), "", None);
    silent["server"]["fault"] = Value::Null;
    let told = fault(state("ERROR", None, 0), "No valid host was found.", None);
    let (server, session) = nova(&[], &[silent, told]).await;
    on(&server, "DELETE", ONE, 204, json!({})).await;
    let error = create(&session, &server_spec(), &token("s")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Quota, "compute.no_valid_host"),
        "{error}"
    );
}

/// The answer of an earlier request was lost; what it reserved is in the way of the next one until it is lifted.
#[tokio::test]
async fn a_refused_server_frees_its_volumes() {
    let (server, session) = cloud().await;
    on(
        &server,
        "GET",
        "/compute/v2.1/servers/detail",
        200,
        json!({"servers": []}),
    )
    .await;
    let refusal = "Invalid volume: Volume v1 status must be available or in-use or downloading to reserve, but the current status is reserved.";
    on(
        &server,
        "POST",
        SERVERS,
        400,
        json!({"badRequest": {"code": 400, "message": refusal}}),
    )
    .await;
    let at = |path: &str| format!("/volume/v3/{HOME}/{path}");
    let volume = |id: &str, status: &str| {
        let mut body = recorded("volume-show-managed-nonprimary");
        body["volume"]["id"] = json!(id);
        body["volume"]["status"] = json!(status);
        body["volume"]["metadata"] = json!({ns_core::provider::TOKEN_KEY: "any"});
        body
    };
    on(&server, "GET", &at("volumes/v1"), 200, volume("v1", "reserved")).await;
    on(&server, "GET", &at("volumes/v2"), 200, volume("v2", "available")).await;
    let attachments = json!({"attachments": [{"id": "a1", "status": "reserved", "instance": "s9"}]});
    on(&server, "GET", &at("attachments"), 200, attachments).await;
    gone(&server, "/compute/v2.1/servers/s9").await;
    on(&server, "DELETE", &at("attachments/a1"), 200, json!({})).await;
    let error = create(&session, &server_spec(), &token("s")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(deleted(&server).await, [at("attachments/a1")]);
}

#[tokio::test]
async fn inv_30_only_our_server_is_removed() {
    let (server, session) = nova(&[], &[state("ACTIVE", None, 1)]).await;
    let error = remove(&session, &handle(CreatedKind::Server, "s1"), &token("another"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(deleted(&server).await.is_empty());
    // With the token; a recycle bin is emptied.
    let (server, session) = nova(&[], &[]).await;
    on(&server, "DELETE", ONE, 204, json!({})).await;
    for states in [
        state("ACTIVE", None, 1),
        state("ACTIVE", Some("deleting"), 1),
        state("SOFT_DELETED", None, 4),
    ] {
        once(&server, "GET", ONE, 200, states).await;
    }
    gone(&server, ONE).await;
    remove(&session, &handle(CreatedKind::Server, "s1"), &token("s"))
        .await
        .unwrap();
    assert_eq!(actions(&server).await, ["forceDelete"]);
    remove(&session, &handle(CreatedKind::Server, "s1"), &token("s"))
        .await
        .unwrap();
}

#[tokio::test]
async fn stop_and_start_end_in_the_state() {
    let s1 = CloudId::from("s1");
    let (off, on_) = (|| state("SHUTOFF", None, 4), || state("ACTIVE", None, 1));
    let (server, session) = nova(&[], &[off()]).await;
    stop(&session, &s1).await.unwrap();
    assert!(actions(&server).await.is_empty(), "off already");
    let (server, session) = nova(&[], &[on_(), state("ACTIVE", Some("powering-off"), 1), off()]).await;
    stop(&session, &s1).await.unwrap();
    assert_eq!(actions(&server).await, ["os-stop"]);
    let (server, session) = nova(&[], &[state("PAUSED", None, 3), on_(), off()]).await;
    stop(&session, &s1).await.unwrap();
    assert_eq!(actions(&server).await, ["unpause", "os-stop"]);
    let (server, session) = nova(&[], &[off(), state("SHUTOFF", Some("powering-on"), 4), on_()]).await;
    start(&session, &s1).await.unwrap();
    assert_eq!(actions(&server).await, ["os-start"]);
    let (server, session) = nova(&[], &[state("SUSPENDED", None, 4), on_()]).await;
    start(&session, &s1).await.unwrap();
    assert_eq!(actions(&server).await, ["resume"]);
}

/// Somebody else is at it: 409 while the state changes, no error.
#[tokio::test]
async fn a_conflict_that_passes() {
    let (server, session) = nova(&[], &[state("SHUTOFF", None, 4), state("ACTIVE", None, 1)]).await;
    let body = json!({"conflictingRequest": {"code": 409, "message": "Cannot 'start' instance s1 while it is in vm_state active"}});
    once(&server, "POST", ACT, 409, body).await;
    start(&session, &"s1".into()).await.unwrap();
}

/// The node is away: the stop is accepted and nothing happens (lab facts §5). The server may still write, so this is no
/// success, and it does not hang either.
#[tokio::test]
async fn stop_under_a_dead_node_is_unavailable() {
    let mut stuck = state("ACTIVE", Some("powering-off"), 1);
    stuck["server"]["host_status"] = json!("DOWN");
    let (_server, session) = nova(&[], &[state("ACTIVE", None, 1), stuck]).await;
    let error = stop(&session, &"s1".into()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unavailable, "compute.host_down")
    );
    let (server, session) = nova(&[], &[]).await;
    gone(&server, ONE).await;
    assert_eq!(
        stop(&session, &"s1".into()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

fn network_spec() -> Spec {
    Spec::Network {
        tenant: known("t1"),
        name: "net".into(),
        mtu: Some(1400),
    }
}

#[tokio::test]
async fn inv_23_a_network_carries_its_token_from_the_start() {
    let (server, session) = cloud().await;
    let ours = json!({"id": "n1", "project_id": "t1", "description": token("n").as_str()});
    once(&server, "GET", &format!("{N}/networks"), 200, json!({"networks": []})).await;
    on(
        &server,
        "GET",
        &format!("{N}/networks"),
        200,
        json!({"networks": [ours, {"id": "n0", "description": "ns-other"}]}),
    )
    .await;
    on(&server, "POST", &format!("{N}/networks"), 201, json!({"network": ours})).await;
    let first = create(&session, &network_spec(), &token("n")).await.unwrap();
    let again = create(&session, &network_spec(), &token("n")).await.unwrap();
    assert_eq!(first, again);
    let asked = sent(&server, "POST", &format!("{N}/networks")).await;
    assert_eq!(
        asked,
        [
            json!({"network": {"name": "net", "mtu": 1400, "admin_state_up": true, "project_id": "t1", "description": token("n").as_str()}})
        ]
    );
    let tenant = CloudId::from("t1");
    assert_eq!(
        find(&session, CreatedKind::Network, Some(&tenant), &token("n"))
            .await
            .unwrap(),
        Some(first)
    );
    assert_eq!(
        find(&session, CreatedKind::Network, None, &token("x")).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_port_without_addresses_gets_one() {
    let (server, session) = cloud().await;
    on(&server, "GET", &format!("{N}/ports"), 200, json!({"ports": []})).await;
    on(
        &server,
        "POST",
        &format!("{N}/ports"),
        201,
        json!({"port": {"id": "p1"}}),
    )
    .await;
    for (fixed_ips, asked) in [
        (vec![], None),
        (
            vec![(known("s1"), "10.0.0.7".to_owned())],
            Some(json!([{"subnet_id": "s1", "ip_address": "10.0.0.7"}])),
        ),
    ] {
        let spec = Spec::Port {
            tenant: known("t1"),
            network: known("n1"),
            name: "p".into(),
            fixed_ips,
            mac: None,
            security_groups: vec![],
        };
        create(&session, &spec, &token("p")).await.unwrap();
        let sent = sent(&server, "POST", &format!("{N}/ports")).await;
        let body = &sent.last().unwrap()["port"];
        assert_eq!(
            (body.get("fixed_ips"), &body["security_groups"]),
            (asked.as_ref(), &json!([]))
        );
    }
}

/// An answer was lost once and the thing made twice: both go. What is not ours stays (INV-30).
#[tokio::test]
async fn inv_32_twins_are_removed_and_strangers_are_not() {
    let (server, session) = cloud().await;
    let one = |id: &str| json!({"id": id, "project_id": "t1", "description": token("n").as_str()});
    on(
        &server,
        "GET",
        &format!("{N}/networks"),
        200,
        json!({"networks": [one("n1"), one("n2")]}),
    )
    .await;
    for id in ["n1", "n2"] {
        let at = format!("{N}/networks/{id}");
        if id == "n1" {
            once(&server, "GET", &at, 200, json!({"network": one(id)})).await;
        }
        on(&server, "DELETE", &at, 204, json!({})).await;
        gone(&server, &at).await;
    }
    remove(&session, &handle(CreatedKind::Network, "n1"), &token("n"))
        .await
        .unwrap();
    assert_eq!(
        deleted(&server).await,
        [format!("{N}/networks/n1"), format!("{N}/networks/n2")]
    );
    on(
        &server,
        "GET",
        &format!("{N}/networks/n3"),
        200,
        json!({"network": {"id": "n3", "description": "mine"}}),
    )
    .await;
    let error = remove(&session, &handle(CreatedKind::Network, "n3"), &token("n"))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "token.mismatch"));
    assert_eq!(deleted(&server).await.len(), 2);
}

#[tokio::test]
async fn networks_in_use_are_a_conflict() {
    let (server, session) = cloud().await;
    let ours = json!({"id": "n1", "description": token("n").as_str()});
    on(
        &server,
        "GET",
        &format!("{N}/networks"),
        200,
        json!({"networks": [ours]}),
    )
    .await;
    on(
        &server,
        "GET",
        &format!("{N}/networks/n1"),
        200,
        json!({"network": ours}),
    )
    .await;
    let body = json!({"NeutronError": {"type": "NetworkInUse", "message": "There are one or more ports still in use on the network", "detail": ""}});
    on(&server, "DELETE", &format!("{N}/networks/n1"), 409, body).await;
    let error = remove(&session, &handle(CreatedKind::Network, "n1"), &token("n"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Conflict, "network.NetworkInUse")
    );
}

#[tokio::test]
async fn a_floating_ip_is_made_when_it_leads_to_its_port() {
    let ip = |status: &str, port: &str| json!({"floatingip": {"id": "i1", "status": status, "port_id": port, "project_id": "t1", "description": token("i").as_str()}});
    let spec = Spec::FloatingIp {
        tenant: known("t1"),
        external_network: known("ext"),
        address: Some("198.18.22.9".into()),
        port: known("p1"),
    };
    let at = format!("{N}/floatingips/i1");
    for (states, outcome) in [
        (vec![ip("DOWN", "p1"), ip("ACTIVE", "p1")], None),
        (vec![ip("ERROR", "p1")], Some(ErrorKind::Rejected)),
        (vec![ip("DOWN", "p0"), ip("ACTIVE", "p1")], None),
        (vec![ip("DOWN", "p0"), ip("DOWN", "p0")], Some(ErrorKind::Conflict)),
    ] {
        let (server, session) = cloud().await;
        on(
            &server,
            "GET",
            &format!("{N}/floatingips"),
            200,
            json!({"floatingips": []}),
        )
        .await;
        on(&server, "POST", &format!("{N}/floatingips"), 201, ip("DOWN", "p1")).await;
        on(&server, "PUT", &at, 200, ip("DOWN", "p1")).await;
        in_turn(&server, "GET", &at, &states).await;
        let made = create(&session, &spec, &token("i")).await;
        assert_eq!(made.as_ref().err().map(Error::kind), outcome, "{states:?} {made:?}");
        let asked = &sent(&server, "POST", &format!("{N}/floatingips")).await[0]["floatingip"];
        assert_eq!(
            (&asked["floating_ip_address"], &asked["port_id"]),
            (&json!("198.18.22.9"), &json!("p1"))
        );
    }
}

/// The crash comes between the port and its router: the port is found and the work goes on.
#[tokio::test]
async fn a_router_interface_is_finished_and_taken_away() {
    let (server, session) = cloud().await;
    let port = |device: &str| json!({"ports": [{"id": "p1", "name": "router r1", "project_id": "t1", "description": token("i").as_str(), "device_id": device, "fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.1"}]}]});
    let ports = format!("{N}/ports");
    on(
        &server,
        "PUT",
        &format!("{N}/routers/r1/add_router_interface"),
        200,
        json!({}),
    )
    .await;
    on(
        &server,
        "PUT",
        &format!("{N}/routers/r1/remove_router_interface"),
        200,
        json!({}),
    )
    .await;
    in_turn(&server, "GET", &ports, &[port(""), port(""), port("r1")]).await;
    gone(&server, &format!("{ports}/p1")).await;
    let spec = Spec::RouterInterface {
        tenant: known("t1"),
        router: known("r1"),
        subnet: known("s1"),
    };
    let found = find(&session, CreatedKind::RouterInterface, None, &token("i"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id.as_str(), "r1/s1", "half made, and found as what it will be");
    let made = create(&session, &spec, &token("i")).await.unwrap();
    assert_eq!(
        (
            made.id.as_str(),
            create(&session, &spec, &token("i")).await.unwrap() == made
        ),
        ("r1/s1", true)
    );
    assert_eq!(
        sent(&server, "PUT", &format!("{N}/routers/r1/add_router_interface")).await,
        [json!({"port_id": "p1"})]
    );
    let error = remove(&session, &made, &token("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    remove(&session, &made, &token("i")).await.unwrap();
    assert_eq!(
        sent(&server, "PUT", &format!("{N}/routers/r1/remove_router_interface")).await,
        [json!({"port_id": "p1"})]
    );
    assert!(sent(&server, "POST", &ports).await.is_empty());
}

fn rule(id: &str, direction: &str, protocol: Option<&str>, cidr: Option<&str>, description: &str) -> Value {
    json!({"id": id, "direction": direction, "ethertype": "IPv4", "protocol": protocol, "port_range_min": null, "port_range_max": null,
        "remote_ip_prefix": cidr, "remote_group_id": null, "description": description})
}

fn group(description: &str, rules: &[Value]) -> Value {
    json!({"security_group": {"id": "g1", "name": "web", "description": description, "project_id": "t1", "security_group_rules": rules}})
}

#[tokio::test]
async fn a_security_group_is_made_without_rules() {
    let (server, session) = cloud().await;
    let spec = |name: &str| Spec::SecurityGroup {
        tenant: known("t1"),
        name: name.into(),
        description: "for the web".into(),
    };
    let error = create(&session, &spec("default"), &token("g")).await.unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Rejected, Some("name")));
    let text = format!("for the web [{}]", token("g"));
    let at = format!("{N}/security-groups");
    once(&server, "GET", &at, 200, json!({"security_groups": []})).await;
    on(&server, "POST", &at, 201, group(&text, &[])).await;
    let own = rule("r3", "egress", None, None, "by hand");
    let both = [
        rule("r1", "egress", None, None, ""),
        rule("r2", "egress", None, None, ""),
        own.clone(),
    ];
    in_turn(
        &server,
        "GET",
        &format!("{at}/g1"),
        &[group(&text, &both), group(&text, &[own])],
    )
    .await;
    for id in ["r1", "r2"] {
        on(
            &server,
            "DELETE",
            &format!("{N}/security-group-rules/{id}"),
            204,
            json!({}),
        )
        .await;
    }
    create(&session, &spec("web"), &token("g")).await.unwrap();
    assert_eq!(
        sent(&server, "POST", &at).await[0]["security_group"]["description"],
        json!(text)
    );
    assert_eq!(
        deleted(&server).await.len(),
        2,
        "a rule made by hand is no automatic one"
    );
}

#[tokio::test]
async fn a_group_gets_exactly_its_rules() {
    let (server, session) = cloud().await;
    let at = format!("{N}/security-groups/g1");
    let rules = format!("{N}/security-group-rules");
    let wanted = |protocol: Option<&str>, cidr: Option<&str>| RuleSpec {
        rule: SecurityGroupRule {
            ingress: true,
            ip_version: 4,
            protocol: protocol.map(Into::into),
            port_min: None,
            port_max: None,
            remote_cidr: cidr.map(Into::into),
            remote_group_id: None,
        },
        remote_group: None,
    };
    let spec = Spec::SecurityGroupRules {
        tenant: known("t1"),
        group: known("g1"),
        rules: vec![
            wanted(Some("tcp"), None),
            wanted(Some("17"), Some("0.0.0.0/0")),
            wanted(Some("icmp"), None),
        ],
    };
    let text = format!("[{}]", token("g"));
    let mine = token("r");
    let (tcp, udp, icmp) = (
        rule("r1", "ingress", Some("6"), Some("0.0.0.0/0"), ""),
        rule("r2", "ingress", Some("udp"), None, ""),
        rule("r3", "ingress", Some("icmp"), None, mine.as_str()),
    );
    let extra = rule("r9", "ingress", Some("sctp"), None, "");
    in_turn(
        &server,
        "GET",
        &at,
        &[
            group(&text, &[tcp.clone(), extra]),
            group(&format!("{text} [{mine}]"), &[tcp, udp, icmp]),
        ],
    )
    .await;
    on(&server, "PUT", &at, 200, group(&text, &[])).await;
    once(&server, "POST", &rules, 409, json!({"NeutronError": {"type": "SecurityGroupRuleExists", "message": "Security group rule already exists.", "detail": ""}})).await;
    on(&server, "POST", &rules, 201, json!({"security_group_rule": {}})).await;
    on(&server, "DELETE", &format!("{rules}/r9"), 204, json!({})).await;
    create(&session, &spec, &mine).await.unwrap();
    assert_eq!(
        sent(&server, "POST", &rules).await.len(),
        2,
        "tcp is there already, as 6 from 0.0.0.0/0"
    );
    assert_eq!(deleted(&server).await, [format!("{rules}/r9")]);
    assert_eq!(
        sent(&server, "PUT", &at).await,
        [json!({"security_group": {"description": format!("{text} [{mine}]")}})]
    );
    // A group of somebody else's is left alone.
    let (server, session) = cloud().await;
    on(&server, "GET", &at, 200, group("theirs", &[])).await;
    let error = create(&session, &spec, &mine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

const PROJECT: &str = "/identity/v3/projects/t1";

async fn empty_project(server: &MockServer) {
    for (path, many) in [
        ("networks", "networks"),
        ("routers", "routers"),
        ("ports", "ports"),
        ("floatingips", "floatingips"),
    ] {
        on(server, "GET", &format!("{N}/{path}"), 200, json!({many: []})).await;
    }
    on(
        server,
        "GET",
        &format!("/volume/v3/{HOME}/volumes"),
        200,
        json!({"volumes": []}),
    )
    .await;
    on(
        server,
        "GET",
        &format!("/volume/v3/{HOME}/snapshots"),
        200,
        json!({"snapshots": []}),
    )
    .await;
    on(
        server,
        "GET",
        &format!("{N}/security-groups"),
        200,
        json!({"security_groups": [{"id": "sg0", "name": "default"}]}),
    )
    .await;
}

#[tokio::test]
async fn inv_31_a_project_is_removed_when_it_is_empty() {
    let (server, session) = cloud().await;
    let project = json!({"project": {"id": "t1", "name": "n", "tags": [token("t").as_str()]}});
    empty_project(&server).await;
    once(&server, "GET", SERVERS, 200, json!({"servers": [{"id": "x"}]})).await;
    on(&server, "GET", SERVERS, 200, json!({"servers": []})).await;
    for _ in 0..3 {
        once(&server, "GET", PROJECT, 200, project.clone()).await;
    }
    gone(&server, PROJECT).await;
    on(&server, "DELETE", PROJECT, 204, json!({})).await;
    on(&server, "DELETE", &format!("{N}/security-groups/sg0"), 204, json!({})).await;
    let tenant = handle(CreatedKind::Tenant, "t1");
    let error = remove(&session, &tenant, &token("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let error = remove(&session, &tenant, &token("t")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("holds=servers"), "{error}");
    assert!(deleted(&server).await.is_empty());
    remove(&session, &tenant, &token("t")).await.unwrap();
    assert_eq!(
        deleted(&server).await,
        [format!("{N}/security-groups/sg0"), PROJECT.to_owned()]
    );
    remove(&session, &tenant, &token("t")).await.unwrap();
}

#[tokio::test]
async fn inv_22_a_project_is_found_by_its_tag() {
    let (server, session) = cloud().await;
    let project = json!({"id": "t1", "name": "n", "tags": [token("t").as_str()]});
    once(&server, "GET", "/identity/v3/projects", 200, json!({"projects": []})).await;
    on(
        &server,
        "GET",
        "/identity/v3/projects",
        200,
        json!({"projects": [project]}),
    )
    .await;
    on(
        &server,
        "POST",
        "/identity/v3/projects",
        201,
        json!({"project": project}),
    )
    .await;
    let spec = Spec::Tenant {
        name: "n".into(),
        description: "d".into(),
    };
    let made = create(&session, &spec, &token("t")).await.unwrap();
    assert_eq!(made, create(&session, &spec, &token("t")).await.unwrap());
    let asked = sent(&server, "POST", "/identity/v3/projects").await;
    assert_eq!(
        asked,
        [
            json!({"project": {"name": "n", "description": "d", "domain_id": "default", "enabled": true, "tags": [token("t").as_str()]}})
        ]
    );
    assert_eq!(
        find(&session, CreatedKind::Tenant, None, &token("x")).await.unwrap(),
        None
    );
}

/// LIM-06: nobody has to see to it that a project has an administrator among its members: the engine's user becomes one for the
/// time of a recovery. A right that it had before is neither marked nor ever taken away.
#[tokio::test]
async fn access_is_given_back_only_if_it_was_given() {
    let roles = format!("{PROJECT}/users/u1/roles");
    let grant = format!("{roles}/r-admin");
    let tag = format!("{PROJECT}/tags/access-{}", token("a"));
    let spec = Spec::TenantAccess { tenant: known("t1") };
    let project = |tags: Value| json!({"project": {"id": "t1", "name": "n", "tags": tags}});
    for had in [true, false] {
        let (server, session) = cloud().await;
        let before = if had {
            json!([{"id": "r-admin", "name": "admin"}])
        } else {
            json!([])
        };
        on(&server, "GET", &roles, 200, json!({"roles": before})).await;
        let tags = if had {
            json!([])
        } else {
            json!([format!("access-{}", token("a"))])
        };
        in_turn(&server, "GET", PROJECT, &[project(json!([])), project(tags)]).await;
        for at in [&grant, &tag] {
            on(&server, "PUT", at, 204, json!({})).await;
            on(&server, "DELETE", at, 204, json!({})).await;
        }
        let made = create(&session, &spec, &token("a")).await.unwrap();
        assert_eq!(made.id.as_str(), "t1/u1/r-admin");
        let given = sent(&server, "PUT", &grant).await.len();
        assert_eq!(
            (given, sent(&server, "PUT", &tag).await.len()),
            if had { (0, 0) } else { (1, 1) }
        );
        let stranger = remove(&session, &made, &token("x")).await;
        assert_eq!(stranger.is_err(), !had, "{stranger:?}");
        remove(&session, &made, &token("a")).await.unwrap();
        assert_eq!(deleted(&server).await.contains(&grant), !had);
    }
}

#[tokio::test]
async fn inv_25_keypairs_and_flavors_cannot_be_made_twice() {
    let (server, session) = cloud().await;
    let name = format!("key-{}", token("k"));
    let at = format!("/compute/v2.1/os-keypairs/{name}");
    let key = json!({"keypair": {"name": name, "public_key": "ssh-ed25519 AAAA x", "fingerprint": "f"}});
    once(&server, "GET", &at, 404, json!({})).await;
    on(&server, "GET", &at, 200, key.clone()).await;
    on(&server, "POST", "/compute/v2.1/os-keypairs", 201, key).await;
    let spec = |text: &str| Spec::Keypair {
        name: "key".into(),
        public_key: text.into(),
    };
    for _ in 0..2 {
        assert_eq!(
            create(&session, &spec("ssh-ed25519 AAAA x"), &token("k"))
                .await
                .unwrap()
                .id
                .as_str(),
            name
        );
    }
    assert_eq!(sent(&server, "POST", "/compute/v2.1/os-keypairs").await.len(), 1);
    let error = create(&session, &spec("ssh-ed25519 BBBB x"), &token("k"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = remove(&session, &handle(CreatedKind::Keypair, &name), &token("x"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);

    let id = token("f").as_str().to_owned();
    let at = format!("/compute/v2.1/flavors/{id}");
    let flavor = |specs: Value| json!({"flavor": {"id": id, "extra_specs": specs}});
    once(&server, "GET", &at, 404, json!({})).await;
    once(&server, "GET", &at, 200, flavor(json!({"a": "b"}))).await;
    on(&server, "GET", &at, 200, flavor(json!({}))).await;
    on(&server, "POST", "/compute/v2.1/flavors", 200, flavor(json!({}))).await;
    on(&server, "POST", &format!("{at}/os-extra_specs"), 200, json!({})).await;
    on(
        &server,
        "POST",
        &format!("{at}/action"),
        409,
        json!({"conflictingRequest": {"code": 409, "message": "Flavor access already exists"}}),
    )
    .await;
    let spec = Spec::Flavor {
        tenant: known("t1"),
        name: "small".into(),
        vcpus: 1,
        memory_mib: 128,
        disk_gib: 0,
        ephemeral_gib: 0,
        swap_mib: 0,
        extra_specs: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    };
    assert_eq!(create(&session, &spec, &token("f")).await.unwrap().id.as_str(), id);
    let asked = &sent(&server, "POST", "/compute/v2.1/flavors").await[0]["flavor"];
    assert_eq!(
        (&asked["id"], &asked["os-flavor-access:is_public"]),
        (&json!(id), &json!(false))
    );
    let error = create(&session, &spec, &token("f")).await.unwrap_err();
    assert_eq!(
        error.code(),
        "compute.flavor",
        "the second time it does not keep its extra specs"
    );
}

#[tokio::test]
async fn volumes_are_not_removed() {
    let (_server, session) = cloud().await;
    let error = remove(&session, &handle(CreatedKind::Volume, "v1"), &token("v"))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "volume.remove"));
}

/// SM-68, SEC-17: only ids that the product made, each one word for a shell.
#[test]
fn sm_68_commands_that_a_person_removes_things_with() {
    let of = |kind, id: &str| removal_command(&handle(kind, id));
    let rows = [
        (CreatedKind::Server, "4f-1", "openstack server delete 4f-1"),
        (
            CreatedKind::RouterInterface,
            "r1/s1",
            "openstack router remove subnet r1 s1",
        ),
        (CreatedKind::Volume, "v1", "cinder unmanage v1"),
        (
            CreatedKind::Keypair,
            "it's; rm -rf /",
            r"openstack keypair delete 'it'\''s; rm -rf /'",
        ),
    ];
    for (kind, id, expected) in rows {
        assert_eq!(of(kind, id).as_deref(), Some(expected));
    }
    assert_eq!(of(CreatedKind::TenantAccess, "x"), None);
    assert_eq!(of(CreatedKind::Keypair, "--all"), None);
}
