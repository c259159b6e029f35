use super::*;
use crate::testing::{HOME, cloud, deleted, gone, in_turn, on, once, recorded, sent, token};
use ns_core::ErrorKind;
use ns_core::model::StorageRef;
use ns_core::provider::{AdoptSpec, Ref, TOKEN_KEY};
use serde_json::json;
use std::time::Duration;
use wiremock::MockServer;

const ID: &str = "d1263f42-8e04-440c-96ab-9c162b6d48fb";

/// Where Cinder is at home.
fn at(path: &str) -> String {
    format!("/volume/v3/{HOME}/{path}")
}

fn spec() -> AdoptSpec {
    AdoptSpec {
        tenant: Ref::Known("t1".into()),
        storage: StorageRef::new("rbd:volumes/volume-26891773"),
        name: "web".into(),
        volume_type: "ceph".into(),
        bootable: true,
        availability_zone: None,
        metadata: BTreeMap::from([("tier".to_owned(), "web".to_owned())]),
        image_metadata: BTreeMap::from([("hw_disk_bus".to_owned(), "virtio".to_owned())]),
    }
}

fn volume(status: &str) -> Value {
    let mut body = recorded("volume-show-managed-nonprimary");
    body["volume"]["status"] = json!(status);
    body["volume"]["metadata"] = json!({TOKEN_KEY: token("v").as_str(), "tier": "web"});
    body["volume"]["os-vol-tenant-attr:tenant_id"] = json!("t1");
    body
}

/// As it is when everything has been put back.
fn whole(status: &str) -> Value {
    let mut body = volume(status);
    body["volume"]["volume_image_metadata"] = json!({"hw_disk_bus": "virtio", "signature_verified": "False"});
    body
}

/// A cloud with one Ceph back end, whose answer to `manage` is the recorded 202; `known` are the volumes with the token.
async fn cinder(known: &[Value]) -> (MockServer, Session) {
    let (server, session) = cloud().await;
    on(
        &server,
        "GET",
        &at("scheduler-stats/get_pools"),
        200,
        recorded("volume-pools"),
    )
    .await;
    on(&server, "GET", &at("types"), 200, recorded("volume-types-list")).await;
    let known: Vec<_> = known.iter().map(|body| body["volume"].clone()).collect();
    on(&server, "GET", &at("volumes/detail"), 200, json!({"volumes": known})).await;
    on(&server, "GET", &at("snapshots"), 200, json!({"snapshots": []})).await;
    on(
        &server,
        "POST",
        "/volume/v3/t1/os-volume-manage",
        202,
        recorded("volume-manage-nonprimary"),
    )
    .await;
    on(&server, "POST", &at(&format!("volumes/{ID}/action")), 202, json!({})).await;
    (server, session)
}

async fn actions(server: &MockServer) -> Vec<String> {
    let all = sent(server, "POST", &at(&format!("volumes/{ID}/action"))).await;
    all.iter()
        .filter_map(|body| Some(body.as_object()?.keys().next()?.clone()))
        .collect()
}

async fn shows(server: &MockServer, bodies: &[Value]) {
    in_turn(server, "GET", &at(&format!("volumes/{ID}")), bodies).await;
}

#[tokio::test]
async fn an_image_becomes_a_volume_with_everything_put_back() {
    let (server, session) = cinder(&[]).await;
    let bare = {
        let mut bare = volume("available");
        bare["volume"]["bootable"] = json!("false");
        bare
    };
    shows(&server, &[volume("creating"), bare.clone(), bare, whole("available")]).await;
    let handle = adopt(&session, &spec(), &token("v")).await.unwrap();
    assert_eq!(handle.id.as_str(), ID);
    assert_eq!(handle.tenant.as_ref().unwrap().as_str(), "t1");
    assert_eq!(handle.storage.unwrap().as_str(), format!("rbd:volumes/volume-{ID}"));
    assert_eq!(actions(&server).await, ["os-set_image_metadata", "os-set_bootable"]);
    let asked = &sent(&server, "POST", "/volume/v3/t1/os-volume-manage").await[0]["volume"];
    assert_eq!(asked["host"], json!("b-cinder-1@ceph#ceph"));
    assert_eq!(asked["ref"], json!({"source-name": "volume-26891773"}));
    assert_eq!(
        asked["metadata"],
        json!({"tier": "web", TOKEN_KEY: token("v").as_str()})
    );
}

#[tokio::test]
async fn adopting_again_gives_the_same() {
    let (server, session) = cinder(&[whole("available")]).await;
    shows(&server, &[whole("available")]).await;
    let first = adopt(&session, &spec(), &token("v")).await.unwrap();
    assert_eq!(first, adopt(&session, &spec(), &token("v")).await.unwrap());
    assert_eq!(Some(first), find(&session, &token("v")).await.unwrap());
    assert_eq!(find(&session, &token("other")).await.unwrap(), None);
    assert!(sent(&server, "POST", "/volume/v3/t1/os-volume-manage").await.is_empty());
    assert!(actions(&server).await.is_empty());
}

/// The volume service was killed less than a minute ago: accepted, and `creating` until it is back (lab facts §5).
#[tokio::test]
async fn a_hanging_adoption_is_taken_up_again() {
    let (server, session) = cinder(&[volume("creating")]).await;
    shows(&server, &[volume("creating")]).await;
    let hanging = tokio::time::timeout(Duration::from_millis(120), adopt(&session, &spec(), &token("v"))).await;
    assert!(hanging.is_err(), "{hanging:?}");
    server.reset().await;
    let (server, session) = cinder(&[volume("creating")]).await;
    shows(&server, &[volume("creating"), whole("available")]).await;
    adopt(&session, &spec(), &token("v")).await.unwrap();
    assert!(sent(&server, "POST", "/volume/v3/t1/os-volume-manage").await.is_empty());
}

/// 202 and then `error`, with nothing said of why (lab facts §2): found out, and the record let go of.
#[tokio::test]
async fn adoptions_that_end_in_error() {
    let image = |safe: bool, reason: Value, gib: u64| {
        json!({"manageable-volumes": [{"reference": {"source-name": "volume-26891773"}, "size": gib, "safe_to_manage": safe,
            "reason_not_safe": reason, "cinder_id": null, "extra_info": null}]})
    };
    let quota = |key: &str, limit: i64| {
        let mut body = recorded("quota-volume-show");
        body["quota_set"]["volumes"]["limit"] = json!(-1);
        body["quota_set"][key]["limit"] = json!(limit);
        body
    };
    let roomy = || quota("gigabytes", 1000);
    let replica = image(false, json!("volume in use"), 1);
    let cases = [
        (
            recorded("manageable-volumes-list"),
            roomy(),
            ErrorKind::NotFound,
            "volume.image",
        ),
        (replica.clone(), roomy(), ErrorKind::Rejected, "volume.image_read_only"),
        (
            image(false, json!("already managed"), 1),
            roomy(),
            ErrorKind::Conflict,
            "volume.already_managed",
        ),
        (
            image(true, Value::Null, 2),
            quota("gigabytes", 14),
            ErrorKind::Quota,
            "volume.quota",
        ),
        (
            image(true, Value::Null, 2),
            quota("gigabytes_ceph", 10),
            ErrorKind::Quota,
            "volume.quota",
        ),
        (
            image(true, Value::Null, 1),
            quota("gigabytes", 14),
            ErrorKind::Rejected,
            "volume.manage",
        ),
        (
            image(true, Value::Null, 1),
            quota("gigabytes", -1),
            ErrorKind::Rejected,
            "volume.manage",
        ),
    ];
    for (manageable, quota, kind, code) in cases {
        let (server, session) = cinder(&[]).await;
        once(&server, "GET", &at(&format!("volumes/{ID}")), 200, volume("creating")).await;
        for _ in 0..2 {
            once(&server, "GET", &at(&format!("volumes/{ID}")), 200, volume("error")).await;
        }
        gone(&server, &at(&format!("volumes/{ID}"))).await;
        on(&server, "GET", &at("manageable_volumes/detail"), 200, manageable).await;
        on(&server, "GET", &at("os-quota-sets/t1"), 200, quota).await;
        let error = adopt(&session, &spec(), &token("v")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{error}");
        assert_eq!(actions(&server).await, ["os-unmanage"]);
        assert!(
            deleted(&server).await.is_empty(),
            "a deletion could take the image with it"
        );
    }
}

#[tokio::test]
async fn refusals_of_manage() {
    let bad = |message: &str| json!({"badRequest": {"code": 400, "message": message}});
    for (status, body, kind) in [
        (
            400,
            bad("Unable to manage existing volume. The volume is already managed"),
            ErrorKind::Conflict,
        ),
        (400, bad("Service is unavailable at this time."), ErrorKind::Unavailable),
        (400, bad("Host 'b-cinder-1@ceph#ceph' not found"), ErrorKind::Rejected),
        (
            403,
            json!({"forbidden": {"code": 403, "message": "Policy doesn't allow volume_extension:volume_manage to be performed."}}),
            ErrorKind::Denied,
        ),
        (
            413,
            json!({"overLimit": {"code": 413, "message": "VolumeLimitExceeded: Maximum number of volumes allowed (18) exceeded for quota 'volumes'."}}),
            ErrorKind::Quota,
        ),
    ] {
        let (server, session) = cinder(&[]).await;
        once(&server, "POST", "/volume/v3/t1/os-volume-manage", status, body).await;
        let error = adopt(&session, &spec(), &token("v")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error.to_string().contains("image=rbd:volumes/volume-26891773"),
            "{error}"
        );
    }
}

/// A record that an earlier call left in error does not stand in the way of the next.
#[tokio::test]
async fn a_failed_adoption_can_be_repeated() {
    let (server, session) = cinder(&[volume("error_managing")]).await;
    for _ in 0..2 {
        once(
            &server,
            "GET",
            &at(&format!("volumes/{ID}")),
            200,
            volume("error_managing"),
        )
        .await;
    }
    let missing = json!({"itemNotFound": {"code": 404, "message": "gone"}});
    once(&server, "GET", &at(&format!("volumes/{ID}")), 404, missing).await;
    shows(&server, &[whole("available")]).await;
    // Another image of the pool went while Cinder looked through it.
    let broken = json!({"computeFault": {"code": 500, "message": "The server has either erred or is incapable of performing the requested operation."}});
    once(&server, "GET", &at("manageable_volumes/detail"), 500, broken).await;
    on(
        &server,
        "GET",
        &at("manageable_volumes/detail"),
        200,
        recorded("manageable-volumes-list"),
    )
    .await;
    adopt(&session, &spec(), &token("v")).await.unwrap();
    assert_eq!(actions(&server).await, ["os-unmanage"]);
    assert_eq!(sources(&server).await, ["volume-26891773"]);
}

async fn sources(server: &MockServer) -> Vec<String> {
    let asked = sent(server, "POST", "/volume/v3/t1/os-volume-manage").await;
    asked
        .iter()
        .map(|body| body["volume"]["ref"]["source-name"].as_str().unwrap().to_owned())
        .collect()
}

/// The volume service died after it had renamed the image: the image is found under its new name, in the same call and in
/// a later one.
#[tokio::test]
async fn an_image_that_was_renamed_before_the_failure_is_not_lost() {
    let renamed = json!({"manageable-volumes": [{"reference": {"source-name": format!("volume-{ID}")}, "size": 1,
        "safe_to_manage": true, "reason_not_safe": null}]});
    let missing = json!({"itemNotFound": {"code": 404, "message": "gone"}});
    for (known, wanted) in [
        (vec![], vec!["volume-26891773".to_owned(), format!("volume-{ID}")]),
        (vec![volume("error")], vec![format!("volume-{ID}")]),
    ] {
        let (server, session) = cinder(&known).await;
        on(&server, "GET", &at("manageable_volumes/detail"), 200, renamed.clone()).await;
        for _ in 0..2 {
            once(&server, "GET", &at(&format!("volumes/{ID}")), 200, volume("error")).await;
        }
        once(&server, "GET", &at(&format!("volumes/{ID}")), 404, missing.clone()).await;
        shows(&server, &[whole("available")]).await;
        adopt(&session, &spec(), &token("v")).await.unwrap();
        assert_eq!(sources(&server).await, wanted);
    }
}

#[tokio::test]
async fn what_is_not_kept_is_told() {
    let (server, session) = cinder(&[]).await;
    shows(&server, &[volume("available")]).await;
    let error = adopt(&session, &spec(), &token("v")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Rejected, "volume.read_back"));
}

#[tokio::test]
async fn the_pool_is_chosen_by_image_and_type() {
    let (server, session) = cinder(&[]).await;
    for (storage, volume_type, kind, code) in [
        ("rbd:other/x", "ceph", ErrorKind::Rejected, "volume.no_backend"),
        ("rbd:volumes/x", "nfs", ErrorKind::Rejected, "volume.type"),
        ("rbd:volumes/ns/x", "ceph", ErrorKind::Unsupported, "volume.namespace"),
        ("rbd:volumes", "ceph", ErrorKind::Invalid, "volume.storage"),
        ("rbd:volumes/", "ceph", ErrorKind::Invalid, "volume.storage"),
        ("nfs:a/b", "ceph", ErrorKind::Invalid, "volume.storage"),
    ] {
        let spec = AdoptSpec {
            storage: StorageRef::new(storage),
            volume_type: volume_type.into(),
            ..spec()
        };
        let error = adopt(&session, &spec, &token("v")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (kind, code),
            "{storage} {volume_type}: {error}"
        );
    }
    // The scheduler of a service that has just begun knows no pools, or nothing of them.
    let name = json!({"name": "a@ceph#ceph", "capabilities": {}});
    for pools in [json!([]), json!([name])] {
        let (server, session) = cinder(&[]).await;
        once(
            &server,
            "GET",
            &at("scheduler-stats/get_pools"),
            200,
            json!({"pools": pools}),
        )
        .await;
        let error = adopt(&session, &spec(), &token("v")).await.unwrap_err();
        let found = (error.kind(), error.code());
        assert_eq!(found, (ErrorKind::Unavailable, "volume.pools_unknown"), "{error}");
    }
    let mut types = recorded("volume-types-list");
    types["volume_types"][1]["extra_specs"]["volume_backend_name"] = json!("ssd");
    once(&server, "GET", &at("types"), 200, types).await;
    let error = adopt(&session, &spec(), &token("v")).await.unwrap_err();
    assert_eq!(error.code(), "volume.type_elsewhere");
    assert!(sent(&server, "POST", "/volume/v3/t1/os-volume-manage").await.is_empty());
}

#[tokio::test]
async fn released_volumes_are_forgotten_and_their_images_stay() {
    let (server, session) = cinder(&[]).await;
    once(&server, "GET", &at(&format!("volumes/{ID}")), 200, volume("detaching")).await;
    once(&server, "GET", &at(&format!("volumes/{ID}")), 200, volume("available")).await;
    once(&server, "GET", &at(&format!("volumes/{ID}")), 200, volume("unmanaging")).await;
    gone(&server, &at(&format!("volumes/{ID}"))).await;
    release(&session, &ID.into()).await.unwrap();
    assert_eq!(actions(&server).await, ["os-unmanage"]);
    release(&session, &ID.into()).await.unwrap();
    assert!(deleted(&server).await.is_empty());
}

/// What a deletion of a volume whose image is a replica now leaves behind (lab facts §2, 5).
#[tokio::test]
async fn error_deleting_is_reset_first() {
    let (server, session) = cinder(&[]).await;
    once(
        &server,
        "GET",
        &at(&format!("volumes/{ID}")),
        200,
        volume("error_deleting"),
    )
    .await;
    once(&server, "GET", &at(&format!("volumes/{ID}")), 200, volume("available")).await;
    gone(&server, &at(&format!("volumes/{ID}"))).await;
    release(&session, &ID.into()).await.unwrap();
    assert_eq!(actions(&server).await, ["os-reset_status", "os-unmanage"]);
}

#[tokio::test]
async fn volumes_in_use_are_not_released() {
    let mut attached = volume("in-use");
    attached["volume"]["attachments"] = recorded("volume-show-in-use")["volume"]["attachments"].clone();
    for (body, snapshots, code) in [
        (attached, json!([]), "volume.attached"),
        (volume("in-use"), json!([]), "volume.in_use"),
        (volume("reserved"), json!([]), "volume.in_use"),
        (volume("available"), json!([{"id": "s1"}]), "volume.snapshots"),
    ] {
        let (server, session) = cloud().await;
        shows(&server, &[body]).await;
        on(&server, "GET", &at("snapshots"), 200, json!({"snapshots": snapshots})).await;
        on(&server, "GET", &at("attachments"), 200, json!({"attachments": []})).await;
        let error = release(&session, &ID.into()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, code), "{error}");
        assert!(actions(&server).await.is_empty());
    }
}

/// Seen in the lab: two requests for one server raced for its volumes, and one that came to nothing left its reservation.
#[tokio::test]
async fn only_reservations_without_a_server_are_lifted() {
    let attachment =
        |status: &str| json!({"attachments": [{"id": "a1", "status": status, "instance": "s9", "volume_id": ID}]});
    let mut theirs = volume("reserved");
    theirs["volume"]["metadata"] = json!({});
    for (record, status, server_is_there, lifted) in [
        (volume("reserved"), "reserved", false, true),
        (volume("reserved"), "reserved", true, false),
        (volume("reserved"), "attached", false, false),
        (theirs, "reserved", false, false),
    ] {
        let (server, session) = cloud().await;
        shows(&server, &[record]).await;
        on(&server, "GET", &at("attachments"), 200, attachment(status)).await;
        on(&server, "DELETE", &at("attachments/a1"), 200, json!({})).await;
        if server_is_there {
            on(&server, "GET", "/compute/v2.1/servers/s9", 200, recorded("server-show")).await;
        } else {
            gone(&server, "/compute/v2.1/servers/s9").await;
        }
        settle(&session, ID).await.unwrap();
        let deleted = deleted(&server).await;
        assert_eq!(
            deleted.len(),
            usize::from(lifted),
            "{status} {server_is_there}: {deleted:?}"
        );
    }
}

/// In a group, 400 (lab facts §2).
#[tokio::test]
async fn a_refused_release_is_a_conflict() {
    let (server, session) = cinder(&[]).await;
    shows(&server, &[volume("available")]).await;
    let body = json!({"badRequest": {"code": 400, "message": "Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing and must not be migrating, attached, belong to a group, have snapshots"}});
    once(&server, "POST", &at(&format!("volumes/{ID}/action")), 400, body).await;
    let error = release(&session, &ID.into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

/// There is no call in this module that deletes a volume.
#[test]
fn nothing_is_ever_deleted() {
    for file in ["adopt.rs", "release.rs", "why.rs", "mod.rs"] {
        let source = std::fs::read_to_string(format!("{}/src/volume/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(!source.contains(".delete("), "{file}");
    }
}
