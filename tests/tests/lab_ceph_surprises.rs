//! What real Ceph clusters do that nobody would guess, and that the provider holds against it. Each test names the
//! section of the measured facts that it comes from.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_ceph_kit;

use lab_ceph_kit::{
    Lab, MODES, POOL, arg, clean, config, decision, eventually, image_ref, rados, rbd, read, token, write,
};
use ns_ceph::{Ceph, PoolRef};
use ns_core::ErrorKind;
use ns_core::conformance::{Side, StorageFixture};
use ns_core::model::{ReplicationId, ReplicationMode, StorageRef};
use ns_core::provider::{Mark, ReplicationPhase, Role, StorageProvider};
use std::future::Future;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(180);
const SIZE: u64 = 12 << 20;

/// An image on A with a complete replica of the same name on B.
async fn pair(lab: &Lab) -> (StorageRef, ReplicationId) {
    let image = lab.make_image(SIZE).await.unwrap();
    write(Side::Primary, &image, 4096, b"first").await.unwrap();
    let id = lab.a.enable_replication(&image, lab.mode).await.unwrap();
    let mark = lab.a.ship(&image, None).await.unwrap();
    arrival(&lab.b, &image, &mark).await;
    (image, id)
}

async fn arrival(side: &Ceph, image: &StorageRef, mark: &Mark) {
    let look = || async { side.arrived(image, mark).await.unwrap().then_some(()) };
    eventually("the mark arrives", LONG, look).await;
}

/// Planned: demoted on one side, promoted on the other.
async fn hand_over(from: &Ceph, to: &Ceph, image: &StorageRef) {
    let mark = from.demote(image).await.unwrap();
    arrival(to, image, &mark).await;
    to.promote(image, &mark).await.unwrap();
}

/// Runs a scenario in both modes and says which of them held.
/// Most of a scenario is waiting for the mirror daemons: both modes wait at once.
async fn in_both_modes<F: Future<Output = ()>>(scenario: impl Fn(Lab) -> F) {
    let timed = async |mode| {
        let began = Instant::now();
        scenario(Lab::new(mode)).await;
        println!("{mode:?}: passed in {:.0} s", began.elapsed().as_secs_f32());
    };
    tokio::join!(timed(ReplicationMode::Snapshot), timed(ReplicationMode::Journal));
}

async fn json(side: Side, args: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&rbd(side, args).await.unwrap()).unwrap()
}

/// 0.1: the daemon's report is up to 30 s old; role and phase are not.
#[tokio::test]
async fn s01_role_and_phase_do_not_wait_for_the_report() {
    in_both_modes(|lab| async move {
        let (image, _) = pair(&lab).await;
        let mark = lab.a.demote(&image).await.unwrap();
        assert_eq!(lab.a.status(&image).await.unwrap().phase, ReplicationPhase::Demoted);
        arrival(&lab.b, &image, &mark).await;
        assert_eq!(lab.b.status(&image).await.unwrap().phase, ReplicationPhase::Demoted);
        lab.b.promote(&image, &mark).await.unwrap();
        let status = lab.b.status(&image).await.unwrap();
        assert_eq!((status.role, status.phase), (Role::Primary, ReplicationPhase::Primary));
        clean(&[&image]).await;
    })
    .await;
}

/// 0.4: Ceph's unforced promote would be accepted on a side that demoted last itself although its peer wrote since (and
/// lose those writes); ours is refused until they are there.
#[tokio::test]
async fn s04_promote_is_an_interlock_here() {
    in_both_modes(|lab| async move {
        let (image, _) = pair(&lab).await;
        hand_over(&lab.a, &lab.b, &image).await;
        write(Side::Secondary, &image, 0, b"written at B").await.unwrap();
        let mark = lab.b.demote(&image).await.unwrap();
        let mut refusals = 0;
        let look = || {
            let early = lab.a.promote(&image, &mark);
            async {
                match early.await {
                    Ok(()) => Some(()),
                    Err(error) => {
                        assert_eq!(
                            (error.kind(), error.code()),
                            (ErrorKind::Refused, "ceph.demotion_not_arrived")
                        );
                        None
                    }
                }
            }
        };
        eventually("A may be promoted", LONG, || {
            refusals += 1;
            look()
        })
        .await;
        println!("{:?}: refused {} times before it was safe", lab.mode, refusals - 1);
        assert_eq!(read(Side::Primary, &image, None, 0, 12).await.unwrap(), b"written at B");
        // The mark of the first hand-over is no key to a later one.
        let old = lab.a.demote(&image).await.unwrap();
        arrival(&lab.b, &image, &old).await;
        lab.b.promote(&image, &old).await.unwrap();
        let newer = lab.b.demote(&image).await.unwrap();
        arrival(&lab.a, &image, &newer).await;
        let error = lab.a.promote(&image, &mark).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "an older demotion of the peer");
        lab.a.promote(&image, &newer).await.unwrap();
        clean(&[&image]).await;
    })
    .await;
}

/// Found here: demoted before the peer's first look after a hand-over, both sides wait for each other for ever; ended then,
/// the peer keeps a stale copy (13.3). Both wait until the peer follows.
#[tokio::test]
async fn demotion_waits_for_the_peer_to_follow() {
    in_both_modes(|lab| async move {
        let (image, _) = pair(&lab).await;
        hand_over(&lab.a, &lab.b, &image).await;
        let began = Instant::now();
        let mut impatient = config(Side::Secondary);
        impatient.limits.follow_wait_seconds = 1;
        let early = Ceph::new(impatient).unwrap().demote(&image).await;
        if let Err(error) = &early {
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::Unavailable, "ceph.peer_not_following")
            );
            assert_eq!(
                lab.b.image(&image).await.unwrap().unwrap().role,
                Role::Primary,
                "nothing was done"
            );
        }
        let mark = lab.b.demote(&image).await.unwrap();
        let took = began.elapsed().as_secs_f32();
        println!(
            "{:?}: early demotion refused: {}; accepted after {took:.1} s",
            lab.mode,
            early.is_err()
        );
        arrival(&lab.a, &image, &mark).await;
        lab.a.promote(&image, &mark).await.unwrap();
        clean(&[&image]).await;
    })
    .await;
}

/// A peer that was promoted by force right after a hand-over will never follow: the other side can be demoted all the same,
/// and takes the winner's data.
#[tokio::test]
async fn a_peer_promoted_by_force_is_not_waited_for() {
    in_both_modes(|lab| async move {
        let (image, _) = pair(&lab).await;
        let mark = lab.a.demote(&image).await.unwrap();
        arrival(&lab.b, &image, &mark).await;
        // One after the other: should B see A's promotion before its own, it rightly refuses to be promoted.
        lab.b.promote(&image, &mark).await.unwrap();
        let reason = decision("B is lost at once");
        lab.a.force_promote(&image, &reason).await.unwrap();
        write(Side::Primary, &image, 0, b"A wins").await.unwrap();
        lab.b.demote(&image).await.unwrap();
        lab.b.resync(&image, &decision("A wins")).await.unwrap();
        let look = || async {
            let phase = lab.b.status(&image).await.ok()?.phase;
            (phase == ReplicationPhase::Replicating).then_some(())
        };
        eventually("B replicates again", LONG, look).await;
        let mark = lab.a.ship(&image, None).await.unwrap();
        arrival(&lab.b, &image, &mark).await;
        clean(&[&image]).await;
    })
    .await;
}

/// A peer that was promoted by force right after its first copy (journal mode), before its daemon had noted that the copy
/// was complete, will never note it: the other side can be demoted all the same, and takes the winner's data.
#[tokio::test]
async fn a_first_copy_that_ended_in_a_forced_promotion_is_not_waited_for() {
    let lab = Lab::new(ReplicationMode::Journal);
    let (image, _) = pair(&lab).await;
    // A's journal as it is in that moment: `1` is "replaying", `0` "syncing".
    let id = json(Side::Primary, &["info", &arg(&image), "--format", "json"]).await["id"].clone();
    let object = format!("journal.{}", id.as_str().unwrap());
    let keys = rados(Side::Primary, &["listomapkeys", &object], &[]).await;
    let keys = String::from_utf8(keys).unwrap();
    let peer = keys.lines().find(|k| k.starts_with("client_") && k.len() > 7).unwrap();
    lab.b
        .force_promote(&image, &decision("the source is lost"))
        .await
        .unwrap();
    let kept = tempfile::NamedTempFile::new().unwrap();
    let path = kept.path().to_str().unwrap();
    rados(Side::Primary, &["getomapval", &object, peer, path], &[]).await;
    let mut record = std::fs::read(path).unwrap();
    // Versions and length, the client's name, length, versions and length, kind, the image's id.
    let number = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap()) as usize;
    let image_id = 6 + 4 + number(6) + 4 + 6 + 4;
    let state = image_id + 4 + number(image_id);
    assert_eq!(number(state), 1);
    record[state] = 0;
    rados(Side::Primary, &["setomapval", &object, peer], &record).await;

    write(Side::Secondary, &image, 0, b"B wins").await.unwrap();
    lab.a.demote(&image).await.unwrap();
    lab.a.resync(&image, &decision("B wins")).await.unwrap();
    let look = || async {
        let phase = lab.a.status(&image).await.ok()?.phase;
        (phase == ReplicationPhase::Replicating).then_some(())
    };
    eventually("A replicates", LONG, look).await;
    let mark = lab.b.ship(&image, None).await.unwrap();
    arrival(&lab.a, &image, &mark).await;
    assert_eq!(read(Side::Primary, &image, None, 0, 6).await.unwrap(), b"B wins");
    clean(&[&image]).await;
}

/// A forced promotion that was begun by an engine that died with its machine, in the moments when Ceph's state misleads: the
/// mirror daemon has taken away the copies that it began with, or the image is called primary and cannot be written. The next
/// engine promotes all the same.
#[tokio::test]
async fn a_forced_promotion_that_another_began_is_finished() {
    async fn copies_are_gone(spec: &str) -> Option<()> {
        let snaps = json(Side::Secondary, &["snap", "ls", "--all", spec, "--format", "json"]).await;
        let mirror = |s: &&serde_json::Value| s["namespace"]["type"] == "mirror";
        let owner = |s: &serde_json::Value| s["namespace"]["primary_mirror_uuid"].as_str().unwrap_or("-").to_owned();
        let owners: Vec<_> = snaps.as_array().unwrap().iter().filter(mirror).map(owner).collect();
        (owners == [""]).then_some(())
    }
    async fn is_called_primary(spec: &str) -> Option<()> {
        let info = json(Side::Secondary, &["info", spec, "--format", "json"]).await;
        (info["mirroring"]["primary"] == true).then_some(())
    }
    /// An image whose promotion was killed in such a moment; none when that was over too quickly.
    async fn interrupted(lab: &Lab, late: bool) -> Option<StorageRef> {
        let (image, _) = pair(lab).await;
        let spec = arg(&image);
        let reached = async || match late {
            true => is_called_primary(&spec).await,
            false => copies_are_gone(&spec).await,
        };
        let promote = ["mirror", "image", "promote", "--force", &spec];
        tokio::select! {
            () = async { while reached().await.is_none() {} } => Some(image),
            ended = rbd(Side::Secondary, &promote) => {
                ended.unwrap();
                clean(&[&image]).await;
                None
            }
        }
    }
    let scenario = async |late: bool| {
        let lab = Lab::new(ReplicationMode::Snapshot);
        let image = eventually("a promotion is interrupted", LONG, || interrupted(&lab, late)).await;
        // One that is called primary is not promoted again: the engine notes its epoch.
        if late {
            lab.b.set_metadata(&image, "neverstop-test", Some("1")).await.unwrap();
        }
        let reason = decision("the source is lost");
        lab.b.force_promote(&image, &reason).await.unwrap();
        assert_eq!(lab.b.image(&image).await.unwrap().unwrap().role, Role::Primary);
        assert_eq!(read(Side::Secondary, &image, None, 4096, 5).await.unwrap(), b"first");
        write(Side::Secondary, &image, 0, b"B wins").await.unwrap();
        clean(&[&image]).await;
    };
    tokio::join!(scenario(false), scenario(true));
}

/// 0.5: both sides primary is "healthy" for Ceph; the roles tell, and after a demotion the status does.
#[tokio::test]
async fn s05_split_brain_is_seen() {
    in_both_modes(|lab| async move {
        let (image, _) = pair(&lab).await;
        lab.b
            .force_promote(&image, &decision("the source is lost"))
            .await
            .unwrap();
        write(Side::Secondary, &image, 0, b"B").await.unwrap();
        write(Side::Primary, &image, 0, b"A").await.unwrap();
        for side in [&lab.a, &lab.b] {
            let status = side.status(&image).await.unwrap();
            assert_eq!((status.role, status.phase), (Role::Primary, ReplicationPhase::Primary));
        }
        lab.a.demote(&image).await.unwrap();
        let look =
            || async { (lab.a.status(&image).await.unwrap().phase == ReplicationPhase::SplitBrain).then_some(()) };
        eventually("A's status says split brain", LONG, look).await;
        // The winner's data is copied over the loser's; in between the image may not exist.
        lab.a.resync(&image, &decision("B wins")).await.unwrap();
        let look = || async {
            let phase = lab.a.status(&image).await.ok()?.phase;
            (phase == ReplicationPhase::Replicating).then_some(())
        };
        eventually("A replicates again", LONG, look).await;
        let mark = lab.b.ship(&image, None).await.unwrap();
        arrival(&lab.a, &image, &mark).await;
        assert_eq!(read(Side::Primary, &image, None, 0, 1).await.unwrap(), b"B");
        clean(&[&image]).await;
    })
    .await;
}

/// 0.6: only user snapshots are shown and cloned; what is cloned from a replica is exact although writes go on.
#[tokio::test]
async fn s06_points_are_user_snapshots_and_exact() {
    in_both_modes(|lab| async move {
        let (image, _) = pair(&lab).await;
        write(Side::Primary, &image, 0, b"before").await.unwrap();
        lab.a.snapshot(&image, "p1").await.unwrap();
        write(Side::Primary, &image, 0, b"after!").await.unwrap();
        let mark = lab.a.ship(&image, Some("p1")).await.unwrap();
        arrival(&lab.b, &image, &mark).await;
        for side in [&lab.a, &lab.b] {
            let names: Vec<_> = side
                .snapshots(&image)
                .await
                .unwrap()
                .into_iter()
                .map(|s| s.name)
                .collect();
            assert_eq!(names, ["p1"]);
        }
        let token = token("s06");
        let clone = lab.b.clone_snapshot(&image, "p1", &token).await.unwrap();
        assert_eq!(read(Side::Secondary, &clone, None, 0, 6).await.unwrap(), b"before");
        lab.b.remove(&clone, &token).await.unwrap();
        clean(&[&image]).await;
    })
    .await;
}

/// 0.7, 0.8: a drill's clone is of format 2 and without a journal, is written, and neither it nor the removal of its
/// parent snapshot at the source disturbs replication.
#[tokio::test]
async fn s08_clones_do_not_disturb_replication() {
    in_both_modes(|lab| async move {
        let (image, _) = pair(&lab).await;
        lab.a.snapshot(&image, "p1").await.unwrap();
        let mark = lab.a.ship(&image, Some("p1")).await.unwrap();
        arrival(&lab.b, &image, &mark).await;
        let token = token("s08");
        let clone = lab.b.clone_snapshot(&image, "p1", &token).await.unwrap();
        let info = json(Side::Secondary, &["info", &arg(&clone), "--format", "json"]).await;
        assert_eq!(
            info["op_features"],
            serde_json::json!(["clone-child"]),
            "format 1 has no such mark"
        );
        let features = info["features"].as_array().unwrap();
        assert!(!features.iter().any(|f| f == "journaling") && features.iter().any(|f| f == "exclusive-lock"));
        write(Side::Secondary, &clone, 0, b"drill").await.unwrap();
        lab.a.remove_snapshot(&image, "p1").await.unwrap();
        write(Side::Primary, &image, 0, b"later").await.unwrap();
        let mark = lab.a.ship(&image, None).await.unwrap();
        arrival(&lab.b, &image, &mark).await;
        assert_eq!(lab.b.status(&image).await.unwrap().phase, ReplicationPhase::Replicating);
        assert_eq!(read(Side::Secondary, &clone, None, 4096, 5).await.unwrap(), b"first");
        // In use, it is not removed.
        lab.b.remove(&clone, &token).await.unwrap();
        assert!(lab.b.image(&clone).await.unwrap().is_none());
        clean(&[&image]).await;
    })
    .await;
}

/// 0.9, 12: the vault. A clone of a replicated snapshot survives the deletion of the source, can be made independent, and
/// leaves nothing behind. (Flattening it in snapshot mode had not been measured.)
#[tokio::test]
async fn s09_a_vault_point_survives_the_source() {
    in_both_modes(|lab| async move {
        let (image, id) = pair(&lab).await;
        write(Side::Primary, &image, 0, b"precious").await.unwrap();
        lab.a.snapshot(&image, "p1").await.unwrap();
        let mark = lab.a.ship(&image, Some("p1")).await.unwrap();
        arrival(&lab.b, &image, &mark).await;
        let token = token("s09");
        let vault = lab.b.clone_snapshot(&image, "p1", &token).await.unwrap();
        rbd(Side::Primary, &["snap", "purge", "--no-progress", &arg(&image)])
            .await
            .unwrap();
        rbd(Side::Primary, &["rm", "--no-progress", &arg(&image)])
            .await
            .unwrap();
        let look = || async { lab.b.find_replica(&id).await.unwrap().is_none().then_some(()) };
        eventually("the replica is gone", LONG, look).await;
        let look = || async { lab.b.image(&image).await.unwrap().is_none().then_some(()) };
        eventually("its name is gone", LONG, look).await;
        assert_eq!(read(Side::Secondary, &vault, None, 0, 8).await.unwrap(), b"precious");
        assert_eq!(lab.b.find(&token).await.unwrap().as_ref(), Some(&vault));
        assert!(
            lab.b.image(&vault).await.unwrap().unwrap().parent.is_some(),
            "it still stands on the trashed parent"
        );
        // A clone of a clone whose parent is in the trash, as a drill from the vault makes.
        lab.b.snapshot(&vault, "base").await.unwrap();
        let drill_token = lab_ceph_kit::token("s09-drill");
        let drill = lab.b.clone_snapshot(&vault, "base", &drill_token).await.unwrap();
        assert_eq!(read(Side::Secondary, &drill, None, 0, 8).await.unwrap(), b"precious");
        let error = lab.b.remove(&vault, &token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "it has a clone: {error:?}");
        let error = lab.b.enable_replication(&drill, lab.mode).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Refused,
            "its parent is not replicated: {error:?}"
        );
        lab.b.flatten(&vault).await.unwrap();
        assert_eq!(read(Side::Secondary, &vault, None, 0, 8).await.unwrap(), b"precious");
        lab.b.remove(&drill, &drill_token).await.unwrap();
        lab.b.remove(&vault, &token).await.unwrap();
        let look = || async {
            let trash = json(Side::Secondary, &["trash", "ls", "--all", POOL, "--format", "json"]).await;
            let name = arg(&image);
            let name = name.rsplit('/').next().unwrap();
            (!trash.as_array().unwrap().iter().any(|t| t["name"] == name)).then_some(())
        };
        eventually("the trash is empty again", LONG, look).await;
    })
    .await;
}

/// Parents of cloned volumes: a clone of an image that is not replicated is refused; with its parent it replicates.
#[tokio::test]
async fn a_clone_replicates_with_its_parent() {
    in_both_modes(|lab| async move {
        let parent = lab.make_image(SIZE).await.unwrap();
        write(Side::Primary, &parent, 0, b"base").await.unwrap();
        lab.a.snapshot(&parent, "base").await.unwrap();
        let token = token("child");
        let child = lab.a.clone_snapshot(&parent, "base", &token).await.unwrap();
        let error = lab.a.enable_replication(&child, lab.mode).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Refused, "ceph.parent_not_replicated")
        );
        let other = if lab.mode == MODES[0] { MODES[1] } else { MODES[0] };
        lab.a.enable_replication(&parent, lab.mode).await.unwrap();
        let error = lab.a.enable_replication(&child, other).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Refused, "ceph.parent_not_replicated")
        );
        let mark = lab.a.ship(&parent, Some("base")).await.unwrap();
        arrival(&lab.b, &parent, &mark).await;
        write(Side::Primary, &child, 4 << 20, b"child").await.unwrap();
        lab.a.enable_replication(&child, lab.mode).await.unwrap();
        let mark = lab.a.ship(&child, None).await.unwrap();
        arrival(&lab.b, &child, &mark).await;
        lab.a.snapshot(&child, "p").await.unwrap();
        let mark = lab.a.ship(&child, Some("p")).await.unwrap();
        arrival(&lab.b, &child, &mark).await;
        assert_eq!(read(Side::Secondary, &child, Some("p"), 0, 4).await.unwrap(), b"base");
        assert_eq!(
            read(Side::Secondary, &child, Some("p"), 4 << 20, 5).await.unwrap(),
            b"child"
        );
        assert_eq!(lab.b.image(&child).await.unwrap().unwrap().parent, Some(parent.clone()));
        clean(&[&child]).await;
        clean(&[&parent]).await;
    })
    .await;
}

/// 13.2, 13.4: many images handed over at once: every promotion is accepted within its own patience.
#[tokio::test]
async fn s13_many_hand_overs_at_once() {
    in_both_modes(|lab| async move {
        let pairs = futures::future::join_all((0..6).map(|_| pair(&lab))).await;
        let began = Instant::now();
        futures::future::join_all(pairs.iter().map(|(image, _)| hand_over(&lab.a, &lab.b, image))).await;
        println!(
            "{:?}: 6 images handed over in {:.1} s",
            lab.mode,
            began.elapsed().as_secs_f32()
        );
        for (image, _) in &pairs {
            assert_eq!(lab.b.image(image).await.unwrap().unwrap().role, Role::Primary);
            assert_eq!(lab.a.image(image).await.unwrap().unwrap().role, Role::Secondary);
        }
        // 13.3: ended at once, which once left stale copies: they are proved gone by identity, not by name.
        futures::future::join_all(pairs.iter().map(|(image, _)| async {
            lab.b.disable_replication(image).await.unwrap();
        }))
        .await;
        for (image, id) in &pairs {
            let look = || async { lab.a.find_replica(id).await.unwrap().is_none().then_some(()) };
            eventually("the replica is gone", LONG, look).await;
            assert!(lab.a.image(image).await.unwrap().is_none());
            assert_eq!(lab.b.image(image).await.unwrap().unwrap().role, Role::Unreplicated);
        }
        clean(&pairs.iter().map(|(image, _)| image).collect::<Vec<_>>()).await;
    })
    .await;
}

/// 13.1: a rename travels: in snapshot mode with the next mirror snapshot, in journal mode by itself. The replica is found
/// by identity under any name, and the rename back is made on the side that writes.
#[tokio::test]
async fn s13_a_rename_travels() {
    in_both_modes(|lab| async move {
        let (image, id) = pair(&lab).await;
        let renamed = StorageRef::new(format!("{image}-renamed"));
        lab.a.rename(&image, &renamed).await.unwrap();
        lab.a.rename(&image, &renamed).await.unwrap();
        let mark = lab.a.ship(&renamed, None).await.unwrap();
        let look = || async {
            let replica = lab.b.find_replica(&id).await.unwrap()?;
            lab.b.arrived(&replica, &mark).await.unwrap().then_some(replica)
        };
        let replica = eventually("the shipment arrives", LONG, look).await;
        println!(
            "{:?}: after the shipment the replica is called by the {} name",
            lab.mode,
            if replica == renamed { "new" } else { "old" }
        );
        let error = lab.b.rename(&replica, &image_ref("not-here")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        clean(&[&image, &renamed, &replica]).await;
    })
    .await;
}

/// A shipment leaves nothing on the image that would keep its user from deleting it, except while the first copy runs.
#[tokio::test]
async fn shipments_leave_no_snapshot_behind() {
    let lab = Lab::new(ReplicationMode::Journal);
    let (image, _) = pair(&lab).await;
    for _ in 0..2 {
        let mark = lab.a.ship(&image, None).await.unwrap();
        arrival(&lab.b, &image, &mark).await;
    }
    let left = json(Side::Primary, &["snap", "ls", &arg(&image), "--format", "json"]).await;
    assert_eq!(left, serde_json::json!([]));
    assert!(
        lab.a.image(&image).await.unwrap().unwrap().metadata.is_empty(),
        "the stamp is nobody's business"
    );
    let status = lab.b.status(&image).await.unwrap();
    let age = jiff::Timestamp::now().duration_since(status.synced_to.unwrap());
    assert!(age.as_secs() < 120, "synced_to is {age:?} old right after a shipment");
    clean(&[&image]).await;
}

/// Namespaces: the same verbs on `rbd:pool/namespace/image`. Mirroring of a namespace is on or off on both sides.
#[tokio::test]
async fn images_in_a_namespace() {
    let namespace = format!("lab-{}", std::process::id());
    let spec = format!("{POOL}/{namespace}");
    let mut sides = Vec::new();
    for side in Side::BOTH {
        rbd(side, &["namespace", "create", &spec]).await.unwrap();
        rbd(side, &["mirror", "pool", "enable", &spec, "image"]).await.unwrap();
        let mut config = config(side);
        config.pools = vec![PoolRef {
            pool: POOL.into(),
            namespace: Some(namespace.clone()),
        }];
        sides.push(Ceph::new(config).unwrap());
    }
    let (a, b) = (&sides[0], &sides[1]);
    let report = a.check().await.unwrap();
    assert_eq!(
        (&report.pools[..], &report.peers[..]),
        (&[spec.clone()][..], &["site-b".to_owned()][..])
    );
    for (index, mode) in MODES.into_iter().enumerate() {
        let image = StorageRef::new(format!("rbd:{spec}/image-{index}"));
        rbd(Side::Primary, &["create", "--size", "8M", &arg(&image)])
            .await
            .unwrap();
        let id = a.enable_replication(&image, mode).await.unwrap();
        a.snapshot(&image, "p").await.unwrap();
        let mark = a.ship(&image, Some("p")).await.unwrap();
        let look = || async { b.find_replica(&id).await.unwrap() };
        assert_eq!(eventually("a replica", LONG, look).await, image);
        arrival(b, &image, &mark).await;
        let token = token("namespace");
        let clone = b.clone_snapshot(&image, "p", &token).await.unwrap();
        rbd(
            Side::Secondary,
            &["rename", &arg(&clone), &format!("{spec}/volume-{index}")],
        )
        .await
        .unwrap();
        let found = b.find(&token).await.unwrap().unwrap();
        assert_eq!(found.as_str(), format!("rbd:{spec}/volume-{index}"));
        b.remove(&found, &token).await.unwrap();
        let demotion = a.demote(&image).await.unwrap();
        arrival(b, &image, &demotion).await;
        b.promote(&image, &demotion).await.unwrap();
        rbd(Side::Secondary, &["snap", "purge", "--no-progress", &arg(&image)])
            .await
            .unwrap();
        b.disable_replication(&image).await.unwrap();
        let look = || async { a.image(&image).await.unwrap().is_none().then_some(()) };
        eventually("the replica is gone", LONG, look).await;
        rbd(Side::Secondary, &["rm", "--no-progress", &arg(&image)])
            .await
            .unwrap();
    }
    for side in Side::BOTH {
        rbd(side, &["mirror", "pool", "disable", &spec]).await.unwrap();
        let look = || async { rbd(side, &["namespace", "remove", &spec]).await.ok() };
        eventually("the namespace is removed", LONG, look).await;
    }
}
