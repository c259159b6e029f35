//! Lost clusters. These tests freeze site A's Ceph (and kill site B's mirror daemon) for up to two minutes: nobody else may
//! be using the lab, and they run one after another.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_ceph_kit;

use lab_ceph_kit::{Lab, arg, ceph, clean, config, decision, eventually, image_ref, lab, rbd, read, token, write};
use ns_ceph::{Ceph, DaemonControl};
use ns_core::conformance::{Side, StorageFixture};
use ns_core::model::{ReplicationMode, StorageRef};
use ns_core::provider::{ReplicationPhase, Role, StorageProvider};
use ns_core::{Error, ErrorKind};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const LONG: Duration = Duration::from_secs(180);

/// Ids of the processes of a site whose program's name is wanted.
fn processes(side: Side, wanted: impl Fn(&str) -> bool) -> Vec<u32> {
    let conf = lab()
        .canonicalize()
        .unwrap()
        .join(format!("ceph/site-{}/ceph.conf", lab_ceph_kit::letter(side)));
    let conf = conf.to_str().unwrap();
    let ids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let found = ids.filter(|id| {
        let Ok(line) = fs::read_to_string(format!("/proc/{id}/cmdline")) else {
            return false;
        };
        let args: Vec<_> = line.split('\0').collect();
        let name = args[0].rsplit('/').next().unwrap_or_default();
        args.contains(&conf) && args.contains(&"-f") && wanted(name)
    });
    found.collect()
}

fn signal(name: &str, ids: &[u32]) {
    let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
    assert!(Command::new("kill").arg(name).args(&ids).status().unwrap().success());
}

/// Processes that are stopped until this is dropped.
struct Frozen(Vec<u32>);

impl Frozen {
    fn new(side: Side, wanted: impl Fn(&str) -> bool) -> Self {
        let ids = processes(side, wanted);
        assert!(!ids.is_empty(), "nothing to freeze");
        signal("-STOP", &ids);
        Self(ids)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

/// Calls every kind of verb on a side that cannot answer; each must say so, and how long it took is printed.
async fn every_verb_is_unavailable(side: &Ceph, limit: Duration) {
    let (image, other, token, id) = (image_ref("none"), image_ref("other"), token("outage"), "none".into());
    let began = Instant::now();
    let timed = |name: &'static str, result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error:?}");
        println!("{name}: unavailable after {:.1} s", began.elapsed().as_secs_f32());
    };
    let (check, state, found, made, status) = tokio::join!(
        side.check(),
        side.image(&image),
        side.find_replica(&id),
        side.find(&token),
        side.status(&image)
    );
    timed("check", check.map(drop));
    timed("image", state.map(drop));
    timed("find_replica", found.map(drop));
    timed("find", made.map(drop));
    timed("status", status.map(drop));
    let reason = decision("outage");
    let (enabled, shipped, demoted, forced, resynced, cloned, renamed) = tokio::join!(
        side.enable_replication(&image, ReplicationMode::Snapshot),
        side.ship(&image, None),
        side.demote(&image),
        side.force_promote(&image, &reason),
        side.resync(&image, &reason),
        side.clone_snapshot(&image, "p", &token),
        side.rename(&image, &other)
    );
    timed("enable_replication", enabled.map(drop));
    timed("ship", shipped.map(drop));
    timed("demote", demoted.map(drop));
    timed("force_promote", forced);
    timed("resync", resynced);
    timed("clone_snapshot", cloned.map(drop));
    timed("rename", renamed);
    assert!(began.elapsed() < limit, "too slow: {:?}", began.elapsed());
}

/// Nobody listens where the cluster should be.
#[tokio::test]
async fn a_dead_cluster_is_unavailable_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(Side::Primary);
    let conf = fs::read_to_string(&config.conf).unwrap();
    let moved = conf.lines().map(|l| match l.split_once('=') {
        Some((key, _)) if key.trim() == "mon_host" => "mon_host = [v2:127.0.0.99:3300/0,v1:127.0.0.99:6789/0]",
        _ => l,
    });
    config.conf = dir.path().join("ceph.conf");
    fs::write(&config.conf, moved.collect::<Vec<_>>().join("\n")).unwrap();
    every_verb_is_unavailable(&Ceph::new(config).unwrap(), Duration::from_secs(25)).await;
}

/// Facts 7: a frozen site accepts connections and says nothing; one without storage daemons answers half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_cluster_is_unavailable_in_seconds() {
    let _one = ONE_AT_A_TIME.lock().await;
    let side = ceph(Side::Primary);
    {
        let _frozen = Frozen::new(Side::Primary, |name| name != "rbd-mirror");
        every_verb_is_unavailable(&side, Duration::from_secs(25)).await;
    }
    let look = || async { side.check().await.ok() };
    eventually("the thawed site answers", LONG, look).await;
    let image = Lab::new(ReplicationMode::Snapshot).make_image(4 << 20).await.unwrap();
    {
        let _frozen = Frozen::new(Side::Primary, |name| name == "ceph-osd");
        let began = Instant::now();
        let (state, shipped) = tokio::join!(side.image(&image), side.ship(&image, None));
        assert_eq!(state.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(shipped.unwrap_err().kind(), ErrorKind::Unavailable);
        println!(
            "only the OSD frozen: unavailable after {:.1} s",
            began.elapsed().as_secs_f32()
        );
        assert!(began.elapsed() < Duration::from_secs(12));
    }
    clean(&[&image]).await;
}

/// How to stop and start site B's mirror daemon, as a host would say it.
fn daemon_control() -> DaemonControl {
    let ids = processes(Side::Secondary, |name| name == "rbd-mirror");
    let [id] = ids[..] else {
        panic!("one rbd-mirror, not {ids:?}")
    };
    let read = |what: &str| fs::read_to_string(format!("/proc/{id}/{what}")).unwrap();
    let folder = fs::read_link(format!("/proc/{id}/cwd")).unwrap();
    let log = lab().join("log/ceph-b-rbd-mirror.log");
    let words = |text: &str| text.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>();
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    let start = words(&read("environ"))
        .iter()
        .chain(&words(&read("cmdline")))
        .map(quote)
        .collect::<Vec<_>>()
        .join(" ");
    let sh = |line: String| vec!["/bin/sh".to_owned(), "-c".to_owned(), line];
    DaemonControl {
        stop: sh(format!(
            "kill -KILL {id}; while kill -0 {id} 2>/dev/null; do sleep 0.1; done"
        )),
        start: sh(format!(
            "cd '{}'; setsid env -i {start} < /dev/null >> '{}' 2>&1 &",
            folder.display(),
            log.display()
        )),
    }
}

/// Facts 0.2, 0.3, 7: A is lost in the middle of a copy. B looks healthy; the report's age does not. The forced promotion
/// hangs behind B's mirror daemon: with no way to stop it, it ends in time and says what to do; with one, it comes to its
/// end and gives the last complete content. A comes back: both are primary, and it shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_lost_in_the_middle_of_a_copy() {
    let _one = ONE_AT_A_TIME.lock().await;
    let lab = Lab::new(ReplicationMode::Snapshot);
    let image = lab.make_image(3 << 30).await.unwrap();
    let idle = lab.make_image(8 << 20).await.unwrap();
    for i in [&image, &idle] {
        write(Side::Primary, i, 0, b"complete").await.unwrap();
        lab.a.enable_replication(i, lab.mode).await.unwrap();
        let mark = lab.a.ship(i, None).await.unwrap();
        eventually("the first copy", LONG, || async {
            lab.b.arrived(i, &mark).await.unwrap().then_some(())
        })
        .await;
    }
    let synced = lab.b.status(&image).await.unwrap().synced_to.unwrap();
    let bench = [
        "bench",
        "--io-type",
        "write",
        "--io-size",
        "4M",
        "--io-threads",
        "8",
        "--io-total",
        "2500M",
    ];
    rbd(Side::Primary, &[&bench[..], &[&arg(&image)]].concat())
        .await
        .unwrap();
    write(Side::Primary, &image, 0, b"too late").await.unwrap();
    lab.a.ship(&image, None).await.unwrap();
    eventually("B is in the middle of the copy", LONG, || async {
        copying(&image).await.then_some(())
    })
    .await;
    let frozen = Frozen::new(Side::Primary, |_| true);
    assert!(copying(&image).await, "too fast to catch");
    let lost_at = jiff::Timestamp::now();

    // It looks well, and what it says of its age is true.
    let status = lab.b.status(&image).await.unwrap();
    assert_eq!(
        (status.role, &status.phase),
        (Role::Secondary, &ReplicationPhase::Replicating),
        "{status:?}"
    );
    assert!(status.synced_to.unwrap() >= synced && status.synced_to.unwrap() < lost_at);

    let reason = decision("A is lost");
    let began = Instant::now();
    lab.b.force_promote(&idle, &reason).await.unwrap();
    println!(
        "forced promotion of an idle image: {:.1} s",
        began.elapsed().as_secs_f32()
    );

    let mut config = config(Side::Secondary);
    config.limits.force_promote_seconds = 15;
    let began = Instant::now();
    let hung = Ceph::new(config.clone()).unwrap().force_promote(&image, &reason).await;
    match hung {
        Err(error) => {
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::Timeout, "ceph.promote_hangs"),
                "{error:?}"
            );
            println!(
                "forced promotion in mid-copy: gave up after {:.1} s",
                began.elapsed().as_secs_f32()
            );
            config.mirror_daemon = Some(daemon_control());
            let began = Instant::now();
            Ceph::new(config).unwrap().force_promote(&image, &reason).await.unwrap();
            println!(
                "with the daemon stopped by it: {:.1} s in all",
                began.elapsed().as_secs_f32()
            );
            assert_eq!(
                processes(Side::Secondary, |name| name == "rbd-mirror").len(),
                1,
                "the daemon runs again"
            );
        }
        Ok(()) => println!(
            "forced promotion in mid-copy: did not hang, {:.1} s",
            began.elapsed().as_secs_f32()
        ),
    }
    assert_eq!(lab.b.image(&image).await.unwrap().unwrap().role, Role::Primary);
    assert_eq!(
        read(Side::Secondary, &image, None, 0, 8).await.unwrap(),
        b"complete",
        "the last complete content"
    );

    drop(frozen);
    let look = || async { lab.a.status(&image).await.ok() };
    let status = eventually("A answers again", LONG, look).await;
    assert_eq!(status.role, Role::Primary, "both sides are primary");
    lab.a.demote(&image).await.unwrap();
    let look = || async { (lab.a.status(&image).await.ok()?.phase == ReplicationPhase::SplitBrain).then_some(()) };
    eventually("split brain is seen", LONG, look).await;
    clean(&[&image, &idle]).await;
}

/// Whether B's newest mirror snapshot of the image is incomplete and has begun.
async fn copying(image: &StorageRef) -> bool {
    let Ok(snaps) = rbd(
        Side::Secondary,
        &["snap", "ls", "--all", &arg(image), "--format", "json"],
    )
    .await
    else {
        return false;
    };
    let snaps: Vec<serde_json::Value> = serde_json::from_slice(&snaps).unwrap();
    let newest = snaps
        .iter()
        .filter(|s| s["namespace"]["type"] == "mirror")
        .max_by_key(|s| s["id"].as_u64());
    newest.is_some_and(|s| s["namespace"]["complete"] == false && s["namespace"]["last_copied_object_number"] != 0)
}
