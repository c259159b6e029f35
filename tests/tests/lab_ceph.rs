//! The Ceph provider against two real clusters: the behaviour suite in both modes, pairing and the connection check.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_ceph_kit;

use lab_ceph_kit::{Lab, ceph, config, rbd, run_as_admin};
use ns_ceph::Ceph;
use ns_core::ErrorKind;
use ns_core::conformance::{self, Side};
use ns_core::model::ReplicationMode;
use ns_core::provider::StorageProvider;
use std::time::Instant;

/// The behaviour suite of all storage providers, in both modes at once: most of it is waiting for the mirror daemons.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conformance_in_both_modes() {
    // One case by name, while working on it.
    let only = std::env::var("NEVERSTOP_CASE").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|o| name.contains(o));
    let suite = async |mode| {
        let began = Instant::now();
        let report = conformance::storage_only(&Lab::new(mode), &wanted).await;
        println!("{mode:?} mode, {:.0} s\n{report}", began.elapsed().as_secs_f32());
        report
    };
    let (snapshot, journal) = tokio::join!(suite(ReplicationMode::Snapshot), suite(ReplicationMode::Journal));
    for report in [snapshot, journal] {
        assert!(
            report.is_ok() && !report.passed.is_empty(),
            "{} cases failed",
            report.failed.len()
        );
    }
}

/// CL-02, SEC-09, LIM-03: the engine's user has all it needs, the pools are paired, deletions are warned of.
#[tokio::test]
async fn check_of_a_paired_site() {
    let report = ceph(Side::Primary).check().await.unwrap();
    println!("{report:#?}");
    assert_eq!(
        (report.site_name.as_str(), &report.pools[..]),
        ("site-a", &["volumes".to_owned()][..])
    );
    assert_eq!(report.peers, ["site-b"]);
    assert!(
        report.missing_rights.is_empty() && report.replication_healthy,
        "{report:?}"
    );
    assert!(
        report.warnings.iter().any(|w| w.contains("rbd_mirroring_delete_delay")),
        "{report:?}"
    );
    // LIM-03: as `ceph df` tells the administrator. Others write meanwhile.
    let df = run_as_admin("ceph", Side::Primary, &["df", "--format", "json"], &[]).await;
    let df: serde_json::Value = serde_json::from_slice(&df.stdout).unwrap();
    let pools = df["pools"].as_array().unwrap();
    let told = pools.iter().find(|p| p["name"] == "volumes").unwrap()["stats"]["max_avail"]
        .as_u64()
        .unwrap();
    let (free, size) = (
        report.free_bytes["volumes"],
        df["stats"]["total_bytes"].as_u64().unwrap(),
    );
    assert!(
        told > 0 && free < size && free.abs_diff(told) < size / 20,
        "{free} of {size}, {told}"
    );
    let other = ceph(Side::Secondary).check().await.unwrap();
    assert_ne!(report.storage_id, other.storage_id);
}

/// SEC-09, facts 9: an OpenStack user works on images but lacks rights that the check names.
#[tokio::test]
async fn check_names_missing_rights() {
    let mut config = config(Side::Primary);
    config.user = "cinder".into();
    config.keyring = config.keyring.with_file_name("ceph.client.cinder.keyring");
    config.admin = None;
    let cinder = Ceph::new(config).unwrap();
    let report = cinder.check().await.unwrap();
    println!("{report:#?}");
    assert!(
        report.missing_rights.iter().any(|r| r.starts_with("mon ")),
        "{report:?}"
    );
    // Pairing needs a user that may create users.
    let error = cinder.offer_pairing().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
}

/// REP-01: pairing again is nothing, pairing with itself or with garbage is refused, and no word of the secret is told.
#[tokio::test]
async fn pairing() {
    let (a, b) = (ceph(Side::Primary), ceph(Side::Secondary));
    let offer = a.offer_pairing().await.unwrap();
    assert!(
        !format!("{offer:?}").contains("ey"),
        "an offer's Debug tells its secret"
    );
    b.accept_pairing(&offer).await.unwrap();
    b.accept_pairing(&offer).await.unwrap();
    let own = a.accept_pairing(&offer).await.unwrap_err();
    assert_eq!((own.kind(), own.code()), (ErrorKind::Rejected, "ceph.pairing_self"));
    let mut garbage = offer.clone();
    garbage.secret = "bm9uc2Vuc2U=".to_owned().into();
    assert_eq!(
        b.accept_pairing(&garbage).await.unwrap_err().kind(),
        ErrorKind::Rejected
    );
    let mut stranger = offer.clone();
    stranger.site_name = "site-c".into();
    let error = b.accept_pairing(&stranger).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "ceph.other_peer"));
    let info = rbd(
        Side::Secondary,
        &["mirror", "pool", "info", "volumes", "--format", "json"],
    )
    .await
    .unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!(info["peers"].as_array().unwrap().len(), 1);
}

/// Schedules are kept by the cluster, per image and pool; none is not an error.
#[tokio::test]
async fn schedules() {
    use ns_core::conformance::StorageFixture;
    let lab = Lab::new(ReplicationMode::Snapshot);
    let image = lab.make_image(4 << 20).await.unwrap();
    lab.a
        .enable_replication(&image, ReplicationMode::Snapshot)
        .await
        .unwrap();
    let of_image = || async {
        let all = lab.a.schedules().await.unwrap();
        all.into_iter()
            .filter(|s| s.image.as_ref() == Some(&image))
            .map(|s| s.minutes)
            .collect::<Vec<_>>()
    };
    assert!(of_image().await.is_empty());
    lab.a.add_schedule(&image, 90).await.unwrap();
    lab.a.add_schedule(&image, 90).await.unwrap();
    assert_eq!(of_image().await, [90]);
    assert_eq!(
        lab.a.add_schedule(&image, 0).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    lab.a.remove_schedules(&image).await.unwrap();
    lab.a.remove_schedules(&image).await.unwrap();
    assert!(of_image().await.is_empty());
    lab_ceph_kit::clean(&[&image]).await;
    lab.a.remove_schedules(&image).await.unwrap();
    let error = lab.a.add_schedule(&image, 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
