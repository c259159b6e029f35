use super::*;
use crate::testing::{HOME, cloud, on, recorded};
use ns_core::ErrorKind;
use ns_core::model::{Instance, PowerState, ResourceKind as Kind};
use serde_json::{Value, json};
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

async fn list(session: &Session, kind: Kind) -> Vec<Resource> {
    stream(session, &[kind]).try_collect().await.unwrap()
}

/// A list of one recorded thing.
async fn lists(server: &MockServer, at: &str, many: &str, items: &[Value]) {
    on(server, "GET", at, 200, json!({many: items})).await;
}

fn json_of(resource: &Resource) -> Value {
    serde_json::to_value(resource).unwrap()
}

#[tokio::test]
async fn inv_04_projects() {
    let (server, session) = cloud().await;
    lists(
        &server,
        "/identity/v3/projects",
        "projects",
        &[recorded("project-create")["project"].clone()],
    )
    .await;
    let found = list(&session, Kind::Tenant).await;
    assert_eq!(
        json_of(&found[0]),
        json!({"kind": "tenant", "id": "3217389567b648db979a1b5814b77c84", "name": "demo", "enabled": true, "tags": []})
    );
}

#[tokio::test]
async fn a_list_that_keystone_cut_is_an_error() {
    let (server, session) = cloud().await;
    let cut = json!({"projects": [{"id": "p", "name": "n"}], "truncated": true, "links": {"next": null}});
    on(&server, "GET", "/identity/v3/projects", 200, cut).await;
    let error = stream(&session, &[Kind::Tenant])
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err();
    assert_eq!(error.code(), "identity.truncated");
}

#[tokio::test]
async fn inv_03_zones_without_the_internal_one() {
    let (server, session) = cloud().await;
    on(
        &server,
        "GET",
        "/compute/v2.1/os-availability-zone/detail",
        200,
        recorded("az-detail"),
    )
    .await;
    let zones = list(&session, Kind::AvailabilityZone).await;
    assert_eq!(json_of(&zones[0])["hosts"], json!(["a-comp-1", "a-comp-2", "a-kvm-1"]));
    assert_eq!((zones.len(), zones[0].name()), (1, "nova"));
    let get = async |id: &str| {
        one(&session, Kind::AvailabilityZone, &id.into())
            .await
            .map(|zone| zone.is_some())
    };
    assert!(get("nova").await.unwrap());
    assert!(!get("mars").await.unwrap());
}

/// Lab facts §2: capacity is Placement's, with overcommit; the name is the service host, not the node's.
#[tokio::test]
async fn inv_02_hypervisors_with_placement_and_without() {
    let (server, session) = cloud().await;
    on(
        &server,
        "GET",
        "/compute/v2.1/os-hypervisors/detail",
        200,
        recorded("os-hypervisors-detail-2.53"),
    )
    .await;
    let mut aggregates = recorded("aggregates-list");
    aggregates["aggregates"][0]["hosts"] = json!(["a-kvm-1"]);
    aggregates["aggregates"][0]["metadata"] = json!({"trait:CUSTOM_LIBVIRT": "required", "x": "y"});
    on(&server, "GET", "/compute/v2.1/os-aggregates", 200, aggregates).await;
    let first = "/placement/resource_providers/f675bc9a-1d71-4821-bcef-017e786c29e2";
    on(
        &server,
        "GET",
        &format!("{first}/inventories"),
        200,
        recorded("placement-inventories"),
    )
    .await;
    on(
        &server,
        "GET",
        &format!("{first}/usages"),
        200,
        recorded("placement-usages"),
    )
    .await;
    // Placement does not know the others: 404 by default.
    let nodes: Vec<_> = list(&session, Kind::Hypervisor).await.iter().map(json_of).collect();
    assert_eq!(nodes[0]["vcpus"], json!(16000));
    assert_eq!(nodes[0]["memory_mib"], json!(1_199_232), "(800000 - 512) x 1.5");
    let usages = &recorded("placement-usages")["usages"];
    assert_eq!(
        (&nodes[0]["vcpus_used"], &nodes[0]["memory_mib_used"]),
        (&usages["VCPU"], &usages["MEMORY_MB"])
    );
    assert_eq!(
        (&nodes[1]["vcpus"], &nodes[1]["memory_mib_used"]),
        (&json!(1000), &json!(640))
    );
    assert_eq!(
        (&nodes[2]["name"], &nodes[2]["traits"]),
        (&json!("a-kvm-1"), &json!(["CUSTOM_LIBVIRT"]))
    );
    assert_eq!(nodes[0]["traits"], json!([]));
    assert!(nodes.iter().all(|node| node["available"] == json!(true)));
}

#[tokio::test]
async fn inv_05_networks_subnets_routers_floating_ips_ports() {
    let (server, session) = cloud().await;
    let n = "/network/v2.0";
    lists(
        &server,
        &format!("{n}/networks"),
        "networks",
        &[recorded("network-external-create")["network"].clone()],
    )
    .await;
    lists(
        &server,
        &format!("{n}/subnets"),
        "subnets",
        &[recorded("subnet-create")["subnet"].clone()],
    )
    .await;
    lists(
        &server,
        &format!("{n}/floatingips"),
        "floatingips",
        &[recorded("floatingip-show")["floatingip"].clone()],
    )
    .await;
    let router = recorded("router-create")["router"].clone();
    let interface = |owner: &str, subnet: &str| json!({"id": "x", "device_id": router["id"], "device_owner": owner, "mac_address": "m", "fixed_ips": [{"subnet_id": subnet, "ip_address": "10.20.1.1"}]});
    Mock::given(path(format!("{n}/ports")))
        .and(query_param("device_id", router["id"].as_str().unwrap()))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"ports": [
            interface("network:router_interface", "s1"), interface("network:ha_router_replicated_interface", "s2"),
            interface("network:router_gateway", "s3"), interface("network:router_interface_distributed", "s1"),
        ]})))
        .mount(&server)
        .await;
    lists(
        &server,
        &format!("{n}/ports"),
        "ports",
        &[recorded("port-show-bound")["port"].clone()],
    )
    .await;
    lists(
        &server,
        &format!("{n}/routers"),
        "routers",
        std::slice::from_ref(&router),
    )
    .await;
    let kinds = [Kind::Network, Kind::Subnet, Kind::Router, Kind::FloatingIp, Kind::Port];
    let all: Vec<Resource> = stream(&session, &kinds).try_collect().await.unwrap();
    assert_eq!(all.iter().map(Resource::kind).collect::<Vec<_>>(), kinds);
    let all: Vec<_> = all.iter().map(json_of).collect();
    assert_eq!((&all[0]["external"], &all[0]["mtu"]), (&json!(true), &json!(1500)));
    assert_eq!(all[1]["allocation_pools"], json!([["10.20.1.50", "10.20.1.250"]]));
    assert_eq!(
        (&all[1]["gateway_ip"], &all[1]["dhcp"]),
        (&json!("10.20.1.1"), &json!(true))
    );
    assert_eq!(all[2]["subnet_ids"], json!(["s1", "s2"]));
    assert_eq!(
        all[2]["external_network_id"],
        json!("5e48fd77-eb5c-4705-827a-efd30a27ad39")
    );
    assert_eq!(all[3]["address"], json!("172.30.2.111"));
    assert_eq!(
        all[4]["fixed_ips"],
        json!([["ccb672ea-9397-4e0d-addf-59e542ee49a6", "10.20.1.77"]])
    );
    assert_eq!(
        (&all[4]["mac"], &all[4]["device_owner"]),
        (&json!("fa:16:3e:00:02:77"), &json!("compute:nova"))
    );
}

#[tokio::test]
async fn inv_07_security_groups_with_rules() {
    let (server, session) = cloud().await;
    let group = recorded("security-group-create")["security_group"].clone();
    lists(&server, "/network/v2.0/security-groups", "security_groups", &[group]).await;
    let found = list(&session, Kind::SecurityGroup).await;
    let rules = &json_of(&found[0])["rules"];
    assert_eq!(
        rules[0],
        json!({"ingress": false, "ip_version": 6, "protocol": null, "port_min": null, "port_max": null, "remote_cidr": null, "remote_group_id": null})
    );
    assert_eq!(rules.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn flavors_keypairs_server_groups() {
    let (server, session) = cloud().await;
    let c = "/compute/v2.1";
    lists(
        &server,
        &format!("{c}/flavors/detail"),
        "flavors",
        &[recorded("flavor-create")["flavor"].clone()],
    )
    .await;
    lists(
        &server,
        &format!("{c}/os-keypairs"),
        "keypairs",
        &[recorded("keypair-create")],
    )
    .await;
    on(
        &server,
        "GET",
        &format!("{c}/os-keypairs/k1"),
        200,
        recorded("keypair-create"),
    )
    .await;
    let group = recorded("server-group-show")["server_group"].clone();
    Mock::given(path(format!("{c}/os-server-groups")))
        .and(query_param_is_missing("offset"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"server_groups": [group]})))
        .mount(&server)
        .await;
    Mock::given(path(format!("{c}/os-server-groups")))
        .and(query_param("offset", "1"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"server_groups": []})))
        .mount(&server)
        .await;
    let flavor = json_of(&list(&session, Kind::Flavor).await[0]);
    assert_eq!(
        (&flavor["memory_mib"], &flavor["swap_mib"], &flavor["public"]),
        (&json!(128), &json!(0), &json!(true))
    );
    let keypair = &list(&session, Kind::Keypair).await[0];
    assert_eq!(keypair.id().as_str(), "k1");
    assert_eq!(
        one(&session, Kind::Keypair, &"k1".into()).await.unwrap().as_ref(),
        Some(keypair)
    );
    let group = json_of(&list(&session, Kind::ServerGroup).await[0]);
    assert_eq!(
        (&group["policy"], group["members"].as_array().unwrap().len()),
        (&json!("anti-affinity"), 2)
    );
}

#[tokio::test]
async fn inv_08_volumes_with_their_storage() {
    let (server, session) = cloud().await;
    let v = format!("/volume/v3/{HOME}");
    on(
        &server,
        "GET",
        &format!("{v}/scheduler-stats/get_pools"),
        200,
        recorded("volume-pools"),
    )
    .await;
    let shared = recorded("volume-show-multiattach")["volume"].clone();
    let managed = recorded("volume-show-managed-image-metadata")["volume"].clone();
    let mut migrated = managed.clone();
    migrated["os-vol-mig-status-attr:name_id"] = json!("other");
    migrated["group_id"] = json!("g1");
    migrated["snapshot_id"] = json!("s1");
    let mut elsewhere = managed.clone();
    elsewhere["os-vol-host-attr:host"] = json!("b-cinder-1@lvm#lvm");
    lists(
        &server,
        &format!("{v}/volumes/detail"),
        "volumes",
        &[shared, managed, migrated, elsewhere],
    )
    .await;
    let all: Vec<_> = list(&session, Kind::Volume).await.iter().map(json_of).collect();
    assert_eq!(
        all[0]["storage"],
        json!("rbd:volumes/volume-2c54dcb8-076d-49d4-9e8a-c544fe7e301e")
    );
    assert_eq!(
        all[0]["attachments"],
        json!([
            ["7bdd0f9c-e6ac-4b80-91d8-9db97e177ec3", "/dev/sdc"],
            ["9a9cf905-83ab-4b2b-abef-d87443dd1a03", "/dev/sdb"]
        ])
    );
    assert_eq!(
        (&all[0]["multiattach"], &all[0]["status"]),
        (&json!(true), &json!("in-use"))
    );
    assert_eq!(all[0]["volume_group_id"], Value::Null);
    assert_eq!(all[1]["image_metadata"]["hw_disk_bus"], json!("virtio"));
    assert_eq!(all[2]["storage"], json!("rbd:volumes/volume-other"));
    assert_eq!(
        (&all[2]["volume_group_id"], &all[2]["source_snapshot_id"]),
        (&json!("g1"), &json!("s1"))
    );
    assert_eq!(all[3]["storage"], Value::Null);
}

/// EVT-14, lab facts §5: without its message broker Cinder lists its volumes and cannot say what its pools are.
#[tokio::test]
async fn evt_14_pools_are_asked_for_when_one_is_not_known() {
    let (server, session) = cloud().await;
    let v = format!("/volume/v3/{HOME}");
    let pools = format!("{v}/scheduler-stats/get_pools");
    let answers = ResponseTemplate::new(200).set_body_json(recorded("volume-pools"));
    let asked = Mock::given(method("GET")).and(path(pools));
    asked.respond_with(answers).expect(2).mount(&server).await;
    let managed = recorded("volume-show-managed-image-metadata")["volume"].clone();
    let mut elsewhere = managed.clone();
    elsewhere["id"] = json!("elsewhere");
    elsewhere["os-vol-host-attr:host"] = json!("b-cinder-2@ceph#ceph");
    for (id, volume) in [("one", &managed), ("two", &elsewhere)] {
        let answer = json!({"volume": volume});
        on(&server, "GET", &format!("{v}/volumes/{id}"), 200, answer).await;
    }
    let storage = async |id: &str| {
        let found = one(&session, Kind::Volume, &id.into()).await.unwrap();
        json_of(&found.unwrap())["storage"].clone()
    };
    let first = storage("one").await;
    assert!(first.is_string(), "{first}");
    assert_eq!(storage("one").await, first, "not asked for again");
    assert_eq!(storage("two").await, Value::Null, "asked for, and not among them");
}

#[tokio::test]
async fn inv_09_inv_11_types_and_snapshots() {
    let (server, session) = cloud().await;
    let v = format!("/volume/v3/{HOME}");
    on(
        &server,
        "GET",
        &format!("{v}/types"),
        200,
        recorded("volume-types-list"),
    )
    .await;
    lists(
        &server,
        &format!("{v}/snapshots/detail"),
        "snapshots",
        &[recorded("snapshot-show")["snapshot"].clone()],
    )
    .await;
    let types: Vec<_> = list(&session, Kind::VolumeType).await.iter().map(json_of).collect();
    let multi: Vec<_> = types
        .iter()
        .map(|t| (t["name"].as_str().unwrap(), t["multiattach"].as_bool().unwrap()))
        .collect();
    assert_eq!(
        multi,
        [
            ("ceph-repl", false),
            ("ceph", false),
            ("ceph-multi", true),
            ("__DEFAULT__", false)
        ]
    );
    let snapshot = json_of(&list(&session, Kind::VolumeSnapshot).await[0]);
    assert_eq!(snapshot["created_at"], json!("2026-11-21T19:42:50Z"));
}

/// As Cinder answers from microversion 3.58 on.
#[tokio::test]
async fn inv_10_volume_groups() {
    let (server, session) = cloud().await;
    let group = json!({
        "id": "5aac9e18-bd61-457c-9765-98de0fc6fc86", "status": "available", "availability_zone": "nova",
        "created_at": "2026-11-21T19:43:14.000000", "name": "g1", "description": null,
        "group_type": "8494956e-7e1e-47b3-92ad-54a1557c1256", "project_id": HOME,
        "volume_types": ["dc103ad7-a95e-48f1-bd75-b61dc8caacdc"],
        "group_snapshot_id": null, "source_group_id": null,
    });
    lists(&server, &format!("/volume/v3/{HOME}/groups/detail"), "groups", &[group]).await;
    let groups: Vec<_> = list(&session, Kind::VolumeGroup).await.iter().map(json_of).collect();
    assert_eq!(
        groups,
        [json!({
            "kind": "volume_group", "id": "5aac9e18-bd61-457c-9765-98de0fc6fc86", "name": "g1", "tenant_id": HOME,
            "status": "available", "volume_type_ids": ["dc103ad7-a95e-48f1-bd75-b61dc8caacdc"],
        })]
    );
}

#[tokio::test]
async fn inv_06_instances_with_cards_and_disks_in_order() {
    let (server, session) = cloud().await;
    let c = "/compute/v2.1";
    let server_id = "7bdd0f9c-e6ac-4b80-91d8-9db97e177ec3";
    let mut body = recorded("server-show")["server"].clone();
    body["OS-EXT-SRV-ATTR:root_device_name"] = json!("/dev/sdb");
    // In the answer, network `net1` comes after `a-net`; sorting the names would turn the cards round.
    let text = json!({"servers": [body]}).to_string();
    let recorded_cards = body["addresses"].to_string();
    let cards = r#"{"net1": [{"addr": "10.20.1.77", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:02:77"}], "a-net": [{"addr": "10.9.0.2", "OS-EXT-IPS-MAC:mac_addr": "fa:16:3e:00:00:02"}]}"#;
    let text = text.replace(&recorded_cards, cards);
    assert!(text.contains("a-net"));
    let answer = ResponseTemplate::new(200).set_body_raw(text, "application/json");
    Mock::given(path(format!("{c}/servers/detail")))
        .respond_with(answer)
        .mount(&server)
        .await;
    on(
        &server,
        "GET",
        &format!("{c}/servers/{server_id}/os-volume_attachments"),
        200,
        recorded("server-volume-attachments"),
    )
    .await;
    let port = |id: &str, mac: &str| json!({"id": id, "device_id": server_id, "device_owner": "compute:nova", "mac_address": mac});
    lists(
        &server,
        "/network/v2.0/ports",
        "ports",
        &[port("p-a", "FA:16:3E:00:00:02"), port("p-1", "fa:16:3e:00:02:77")],
    )
    .await;
    let Resource::Instance(found) = list(&session, Kind::Instance).await.remove(0) else {
        panic!()
    };
    assert_eq!(found.port_ids, ["p-1".into(), "p-a".into()]);
    assert_eq!(
        found.volume_ids[0].as_str(),
        "2c9c257d-a3da-4a2d-a6fe-150832f8f1dd",
        "the boot disk is /dev/sdb here"
    );
    assert!(found.boots_from_volume);
    assert_eq!(
        (found.power, found.host.as_deref(), found.availability_zone.as_str()),
        (PowerState::Running, Some("b-comp-1"), "nova")
    );
    assert_eq!(
        (
            found.flavor.name.as_str(),
            found.flavor.memory_mib,
            found.keypair.as_deref()
        ),
        ("m1.lab", 128, Some("k1"))
    );
    assert_eq!(found.metadata["m"], "1");
}

/// Nova tells little more than the id of a server whose cell is down; leaving it out would hide it.
#[tokio::test]
async fn a_server_of_a_dead_cell_is_listed() {
    let (server, session) = cloud().await;
    lists(
        &server,
        "/compute/v2.1/servers/detail",
        "servers",
        &[json!({"id": "s1", "status": "UNKNOWN", "tenant_id": "t", "created": "x"})],
    )
    .await;
    lists(&server, "/network/v2.0/ports", "ports", &[]).await;
    let Resource::Instance(Instance {
        power,
        boots_from_volume,
        ..
    }) = list(&session, Kind::Instance).await.remove(0)
    else {
        panic!()
    };
    assert_eq!((power, boots_from_volume), (PowerState::Error, false));
}

#[test]
fn only_what_is_off_counts_as_stopped() {
    use servers::power;
    for (status, task, state, wanted) in [
        ("ACTIVE", None, Some(1), PowerState::Running),
        ("PAUSED", None, Some(3), PowerState::Running),
        ("ACTIVE", Some("powering-off"), Some(1), PowerState::Changing),
        ("SHUTOFF", None, Some(4), PowerState::Stopped),
        ("SHUTOFF", Some("powering-on"), Some(4), PowerState::Changing),
        ("SHUTOFF", None, Some(1), PowerState::Changing),
        ("SUSPENDED", None, Some(4), PowerState::Stopped),
        ("BUILD", Some("spawning"), Some(0), PowerState::Changing),
        ("MIGRATING", Some("migrating"), Some(1), PowerState::Changing),
        ("ERROR", None, Some(1), PowerState::Error),
        ("NEWWORD", None, None, PowerState::Changing),
    ] {
        assert_eq!(power(status, task, state), wanted, "{status} {task:?} {state:?}");
    }
}

/// Pages are followed by marker as long as the answer links on, whatever its page size; a page is asked for only when
/// the one before was taken.
#[tokio::test]
async fn paging_is_lazy_and_complete() {
    let (server, session) = cloud().await;
    let page = |ids: &[&str], more: bool| {
        let networks: Vec<_> = ids.iter().map(|id| json!({"id": id, "name": id})).collect();
        let links = if more {
            json!([{"rel": "next", "href": "http://elsewhere/"}, {"rel": "previous", "href": "x"}])
        } else {
            json!([{"rel": "previous", "href": "x"}])
        };
        ResponseTemplate::new(200).set_body_json(json!({"networks": networks, "networks_links": links}))
    };
    let at = || {
        Mock::given(method("GET"))
            .and(path("/network/v2.0/networks"))
            .and(query_param("limit", "2"))
    };
    at().and(query_param_is_missing("marker"))
        .respond_with(page(&["a", "b"], true))
        .mount(&server)
        .await;
    at().and(query_param("marker", "b"))
        .respond_with(page(&["c"], true))
        .mount(&server)
        .await;
    at().and(query_param("marker", "c"))
        .respond_with(page(&["d"], false))
        .mount(&server)
        .await;
    let asked = || async {
        server
            .received_requests()
            .await
            .unwrap()
            .iter()
            .filter(|r| r.method.as_str() == "GET")
            .count()
    };
    let mut networks = stream(&session, &[Kind::Network]);
    for _ in 0..2 {
        networks.try_next().await.unwrap();
    }
    assert_eq!(asked().await, 1);
    let rest: Vec<_> = networks.try_collect().await.unwrap();
    assert_eq!(rest.iter().map(Resource::name).collect::<Vec<_>>(), ["c", "d"]);
    assert_eq!(asked().await, 3);
}

#[tokio::test]
async fn a_page_that_comes_again_is_an_error() {
    let (server, session) = cloud().await;
    let same = json!({"networks": [{"id": "a"}], "networks_links": [{"rel": "next", "href": "x"}]});
    on(&server, "GET", "/network/v2.0/networks", 200, same).await;
    let error = stream(&session, &[Kind::Network])
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err();
    assert_eq!(error.code(), "network.paging");
}

#[tokio::test]
async fn the_stream_ends_with_its_first_error() {
    let (server, session) = cloud().await;
    let denied = json!({"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:os-hypervisors:list-detail to be performed."}});
    on(&server, "GET", "/compute/v2.1/os-hypervisors/detail", 403, denied).await;
    let all: Vec<_> = stream(&session, &[Kind::Hypervisor]).collect().await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].as_ref().unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn one_that_is_not_there_is_none() {
    let (_server, session) = cloud().await;
    for kind in Kind::ALL.iter().filter(|k| **k != Kind::AvailabilityZone) {
        assert_eq!(one(&session, *kind, &"gone".into()).await.unwrap(), None, "{kind:?}");
    }
}
