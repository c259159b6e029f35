//! Parsers against what real clusters printed (Ceph 16.2.15).

use super::*;

fn snap(id: u64, namespace: &str) -> Snap {
    let json = format!(
        r#"{{"id":{id},"name":"s{id}","size":268435456,"protected":"false",
            "timestamp":"Sat Nov  7 19:30:02 2026","namespace":{namespace}}}"#
    );
    parse("snap ls", json.as_bytes()).unwrap()
}

fn own(state: &str) -> String {
    format!(r#"{{"type":"mirror","state":"{state}","mirror_peer_uuids":["737e"],"complete":true}}"#)
}

fn copy(of: u64, state: &str, complete: bool) -> String {
    format!(
        r#"{{"type":"mirror","state":"{state}","mirror_peer_uuids":[],"complete":{complete},
            "primary_mirror_uuid":"4bed482b","primary_snap_id":{of},"last_copied_object_number":64}}"#
    )
}

#[test]
fn info_tells_role_mode_and_identity() {
    let text = include_str!("../../testdata/info-secondary.json");
    let info: Info = parse("info", text.as_bytes()).unwrap();
    assert_eq!(
        (info.role(), info.mode()),
        (Role::Secondary, Some(ReplicationMode::Snapshot))
    );
    assert_eq!(info.global_id(), Some("55178ca8"));
    let primary: Info = parse("info", text.replace("false}", "true}").as_bytes()).unwrap();
    assert_eq!(primary.role(), Role::Primary);

    let clone: Info = parse("info", include_bytes!("../../testdata/info-clone.json")).unwrap();
    assert_eq!((clone.role(), clone.mode()), (Role::Unreplicated, None));
    let parent = clone.parent.unwrap();
    assert_eq!(
        (parent.spec().unwrap().to_string().as_str(), parent.trash),
        ("rbd:volumes/ns/exp-p", true)
    );
}

#[test]
fn mirror_snapshots_tell_what_is_here() {
    let snaps: Vec<Snap> = parse("snap ls", include_bytes!("../../testdata/snap-ls.json")).unwrap();
    let points = mirror_points(&snaps);
    assert_eq!(points.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [11, 12]);
    assert_eq!(covering_copy(&points, 10), Some(11));
    assert_eq!(covering_copy(&points, 11), None, "an incomplete copy covers nothing");
    assert_eq!(newest_copy(&points), Some(11));
    assert_eq!(snaps.iter().filter(|s| s.is_shown()).count(), 1);
    assert_eq!(snaps[1].time().unwrap().to_string(), "2026-11-07T19:30:02Z");
}

#[test]
fn a_demotion_counts_only_as_the_last_word() {
    let list = |namespaces: &[String]| {
        let snaps: Vec<_> = namespaces
            .iter()
            .enumerate()
            .map(|(i, n)| snap(i as u64 + 1, n))
            .collect();
        mirror_points(&snaps)
    };
    let replicated = [copy(7, "non-primary", true), copy(8, "demoted", true)];
    assert_eq!(last_demotion(&list(&replicated), Role::Secondary), Some((8, false)));
    let half = [copy(7, "non-primary", true), copy(8, "demoted", false)];
    assert_eq!(last_demotion(&list(&half), Role::Secondary), None);
    let ours = [copy(7, "non-primary", true), own("primary"), own("demoted")];
    assert_eq!(last_demotion(&list(&ours), Role::Secondary), Some((3, true)));
    // The peer promoted and ships again: our old demotion is history.
    let over = [own("demoted"), copy(9, "non-primary", true)];
    assert_eq!(last_demotion(&list(&over), Role::Secondary), None);
    // Promoted since: what it was promoted from is still told.
    let promoted = [copy(8, "demoted", true), own("primary"), own("primary")];
    assert_eq!(last_demotion(&list(&promoted), Role::Primary), Some((8, false)));
    assert_eq!(last_demotion(&list(&promoted), Role::Secondary), None);
    // What a forced promote leaves until it is finished is nobody's copy.
    let orphan = r#"{"type":"mirror","state":"non-primary","mirror_peer_uuids":[],"complete":true,
        "primary_mirror_uuid":"","primary_snap_id":18446744073709551614,"last_copied_object_number":0}"#;
    let forced = list(&[copy(8, "non-primary", true), orphan.to_owned()]);
    assert_eq!(
        (covering_copy(&forced, 9), last_demotion(&forced, Role::Secondary)),
        (None, None)
    );
    assert_eq!(forced[1].1, Point::Orphan);
    // Which the mirror daemon soon leaves alone, once the copies before it are complete.
    let orphan = orphan.to_owned();
    for (points, copied) in [
        (vec![], false),
        (vec![copy(8, "non-primary", false)], false),
        (vec![copy(8, "non-primary", false), orphan.clone()], false),
        (vec![copy(8, "non-primary", true), orphan.clone()], true),
        (vec![orphan], true),
        (vec![own("primary")], true),
    ] {
        assert_eq!(has_a_copy(&list(&points)), copied, "{points:?}");
    }
}

#[test]
fn a_side_is_followed_once_its_hand_over_is_read() {
    let offered = |unread: bool| {
        let peers = if unread { r#""737e""# } else { "" };
        let json = copy(223, "demoted", true).replace(
            r#""mirror_peer_uuids":[]"#,
            &format!(r#""mirror_peer_uuids":[{peers}]"#),
        );
        snap(205, &json)
    };
    let later = |state: &str| snap(207, &own(state));
    assert!(is_unfollowed(&mirror_points(&[offered(true), later("primary")])));
    assert!(!is_unfollowed(&mirror_points(&[offered(false), later("primary")])));
    assert!(!is_unfollowed(&mirror_points(&[offered(true)])), "a replica");
    assert!(
        !is_unfollowed(&mirror_points(&[later("primary")])),
        "primary from the beginning"
    );
}

fn status(state: &str, description: &str, last_update: &str) -> MirrorStatus {
    let json = serde_json::json!({"name": "s1", "global_id": "55178ca8", "state": state, "description": description,
        "daemon_service": {"service_id": "5427"}, "last_update": last_update, "peer_sites": []});
    parse("status", json.to_string().as_bytes()).unwrap()
}

#[test]
fn status_descriptions() {
    let replaying: MirrorStatus = parse("status", include_bytes!("../../testdata/mirror-status.json")).unwrap();
    assert_eq!(replaying.replaying().local_snapshot_timestamp, Some(1_795_289_359));
    assert_eq!(replaying.copy_percent(), Some(47));
    assert_eq!(replaying.reported_at().unwrap().to_string(), "2026-11-21T19:29:33Z");
    let first = status(
        "up+syncing",
        "bootstrapping, IMAGE_SYNC/COPY_IMAGE 93%",
        "2026-11-21 19:29:33",
    );
    assert_eq!(first.copy_percent(), Some(93));
    let absurd = status("up+syncing", "bootstrapping, IMAGE_SYNC/COPY_IMAGE 255%", "");
    assert_eq!(absurd.copy_percent(), None, "no part of a whole");
    let never = status("down+unknown", "status not found", "");
    assert_eq!((never.reported_at(), never.copy_percent()), (None, None));
    for words in ["split-brain", "split-brain detected"] {
        assert!(status("up+error", words, "").is_split_brain());
    }
    assert!(!status("up+error", "failed to apply remote image state", "").is_split_brain());
    assert!(!status("up+replaying", "split-brain", "").is_split_brain());
}

#[test]
fn pools() {
    let info: PoolInfo = parse("pool info", include_bytes!("../../testdata/pool-info.json")).unwrap();
    assert_eq!((info.peers.len(), info.site_name.as_str()), (1, "site-b"));
    let namespace: PoolInfo = parse("pool info", br#"{"mode":"image"}"#).unwrap();
    assert!(namespace.peers.is_empty());
    let status: PoolStatus = parse("pool status", include_bytes!("../../testdata/pool-status.json")).unwrap();
    assert_eq!((status.daemons.len(), status.summary.daemon_health.as_str()), (1, "OK"));
    assert!(parse::<PoolInfo>("pool info", b"rbd: oops").is_err());
}

/// What is not replayed is counted in journal mode only, in entries; their length is that of the last ones.
#[test]
fn bytes_behind_are_told_where_they_are_known() {
    let behind = |rest: &str| {
        let json = format!("{{{rest}}}");
        parse::<Replaying>("description", json.as_bytes())
            .unwrap()
            .bytes_behind()
    };
    let journal = |entries: u64, bytes: f64, rate: f64| {
        behind(&format!(
            r#""bytes_per_second":{bytes:.1},"entries_behind_primary":{entries},"entries_per_second":{rate:.1}"#
        ))
    };
    assert_eq!(journal(0, 35.0, 0.4), Some(0));
    assert_eq!(journal(10, 8192.0, 2.0), Some(40_960));
    assert_eq!(journal(10, 0.0, 0.0), None, "nothing was replayed lately");
    let snapshot = r#""bytes_per_second":10485760.0,"bytes_per_snapshot":104857600.0,"last_snapshot_bytes":104857600,
        "local_snapshot_timestamp":1795289359,"remote_snapshot_timestamp":1795289359,"replay_state":"idle""#;
    assert_eq!(behind(snapshot), None);
}

/// LIM-03: what a pool takes is what its devices leave, and its quota.
#[test]
fn lim_03_room_of_a_pool() {
    let text = include_str!("../../testdata/df.json");
    let usage: Usage = parse("df", text.as_bytes()).unwrap();
    assert_eq!(
        (usage.free("volumes"), usage.free("nowhere")),
        (Some(24_116_871_168), None)
    );
    let with = |quota: &str| text.replacen("\"quota_bytes\":0", &format!("\"quota_bytes\":{quota}"), 1);
    for (quota, free) in [("36744", 100), ("1", 0), ("99999999999999", 24_116_871_168)] {
        let usage: Usage = parse("df", with(quota).as_bytes()).unwrap();
        assert_eq!(usage.free("volumes"), Some(free), "a quota of {quota}");
    }
}
