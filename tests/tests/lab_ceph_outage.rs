//! Lost clusters. These tests freeze site A's Ceph (and kill site B's mirror daemon) for up to two minutes: nobody else may
//! be using the lab, and they run one after another.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_ceph_kit;

use futures::future::join_all;
use lab_ceph_kit::{
    Lab, MODES, arg, ceph, clean, config, decision, eventually, image_ref, lab, rbd, read, token, write,
};
use ns_ceph::{Ceph, DaemonControl};
use ns_core::conformance::{Side, StorageFixture};
use ns_core::model::{ReplicationMode, StorageRef};
use ns_core::provider::{Mark, ReplicationPhase, Role, StorageProvider};
use ns_core::{Error, ErrorKind};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const LONG: Duration = Duration::from_secs(180);

/// Ids of the daemons of a site whose program's name is wanted. The shell that keeps one of them is none.
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
        let daemon = name.starts_with("ceph-") || name == "rbd-mirror";
        daemon && args.contains(&conf) && args.contains(&"-f") && wanted(name)
    });
    found.collect()
}

fn signal(name: &str, ids: &[u32]) {
    let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
    assert!(Command::new("kill").arg(name).args(&ids).status().unwrap().success());
}

/// Processes of a site that are stopped until this is dropped.
struct Frozen {
    side: Side,
    ids: Vec<u32>,
    storage: bool,
}

impl Frozen {
    fn new(side: Side, wanted: impl Fn(&str) -> bool) -> Self {
        let ids = processes(side, &wanted);
        assert!(!ids.is_empty(), "nothing to freeze");
        signal("-STOP", &ids);
        Self {
            side,
            ids,
            storage: wanted("ceph-osd"),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.ids);
        if !self.storage {
            return;
        }
        // Measured: a placement group whose read lease ran out meanwhile (16 s) can stay "laggy" and block for ever when it
        // has but one storage daemon. Having that declared down, which it denies, makes all of them begin anew.
        let began = Instant::now();
        let mut declared = false;
        while began.elapsed() < Duration::from_secs(60) {
            declared = declared || ceph_says(self.side, &["osd", "down", "0"]).is_some();
            if declared && ceph_says(self.side, &["osd", "stat"]).is_some_and(|s| s.contains("1 up")) {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        eprintln!("{:?} is not well after a thaw", self.side);
    }
}

/// What `ceph` prints; none when it fails.
fn ceph_says(side: Side, args: &[&str]) -> Option<String> {
    let config = config(side);
    let said = Command::new("ceph")
        .arg("--conf")
        .arg(&config.conf)
        .arg("--keyring")
        .arg(config.conf.with_file_name("ceph.client.admin.keyring"))
        .args(["--id", "admin", "--connect-timeout", "5"])
        .args(args)
        .output()
        .ok()?;
    let ok = said.status.success();
    ok.then(|| String::from_utf8_lossy(&said.stdout).into_owned())
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
    // Ceph wants a line break at the end of the last line.
    fs::write(&config.conf, moved.collect::<Vec<_>>().join("\n") + "\n").unwrap();
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
    let lab = Lab::new(ReplicationMode::Snapshot);
    let image = lab.make_image(4 << 20).await.unwrap();
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
    both_sides_are_well().await;
}

/// The tests leave the lab as they found it.
async fn both_sides_are_well() {
    for side in Side::BOTH {
        let began = Instant::now();
        let mut patience = Duration::from_secs(20);
        while !ceph(side).check().await.is_ok_and(|report| report.replication_healthy) {
            assert!(began.elapsed() < LONG, "{side:?} is not well");
            if began.elapsed() > patience {
                // Measured: a manager that missed a mirror daemon's beacons for 60 s forgets its health for good.
                println!("{side:?}: rbd-mirror is started again");
                MirrorDaemon::new(side).restart().await;
                patience = LONG;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(processes(side, |_| true).len(), 4, "the daemons of {side:?}");
    }
}

/// A site's mirror daemon, which runs again when this is dropped, and which the lab then knows as its own.
struct MirrorDaemon {
    side: Side,
    control: DaemonControl,
    id: u32,
}

impl MirrorDaemon {
    fn find(side: Side) -> Option<u32> {
        let ids = processes(side, |name| name == "rbd-mirror");
        assert!(ids.len() < 2, "one rbd-mirror, not {ids:?}");
        ids.first().copied()
    }

    /// The process that the lab started and keeps a record of: it starts the daemon again when that aborts.
    fn keeper(id: u32) -> u32 {
        // The sixth field, the session; the second one, a name in brackets, is left out.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap();
        session.parse().unwrap()
    }

    /// How to stop and start it, as a host would say it.
    fn new(side: Side) -> Self {
        let id = Self::find(side).unwrap();
        let keeper = Self::keeper(id);
        let read = |what: &str| fs::read_to_string(format!("/proc/{keeper}/{what}")).unwrap();
        let folder = fs::read_link(format!("/proc/{keeper}/cwd")).unwrap();
        let log = lab().join(format!("log/ceph-{}-rbd-mirror.log", lab_ceph_kit::letter(side)));
        let words = |text: &str| text.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>();
        let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
        let start = words(&read("environ"))
            .iter()
            .chain(&words(&read("cmdline")))
            .map(quote)
            .collect::<Vec<_>>()
            .join(" ");
        let sh = |line: String| vec!["/bin/sh".to_owned(), "-c".to_owned(), line];
        let control = DaemonControl {
            stop: sh(format!(
                "kill -KILL {id}; while kill -0 {id} 2>/dev/null; do sleep 0.1; done"
            )),
            start: sh(format!(
                "cd '{}'; setsid env -i {start} < /dev/null >> '{}' 2>&1 &",
                folder.display(),
                log.display()
            )),
        };
        Self { side, control, id }
    }

    async fn restart(self) {
        let [shell, args @ ..] = &self.control.stop[..] else {
            return;
        };
        assert!(Command::new(shell).args(args).status().unwrap().success());
        tokio::task::spawn_blocking(move || drop(self)).await.unwrap();
    }

    /// Puts another process into the record that the lab keeps of it.
    fn record(&self, id: u32) {
        let id = Self::keeper(id);
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        // Field 22 is the start time; field 2, a name in brackets, is left out.
        let start = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap();
        let path = lab().join(format!("run/ceph-{}-rbd-mirror.json", lab_ceph_kit::letter(self.side)));
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record["pid"] = id.into();
        record["start"] = start.parse::<u64>().unwrap().into();
        fs::write(&path, serde_json::to_vec_pretty(&record).unwrap()).unwrap();
    }
}

impl Drop for MirrorDaemon {
    fn drop(&mut self) {
        let began = Instant::now();
        let mut started = false;
        let now = loop {
            match Self::find(self.side) {
                Some(id) => break id,
                None if began.elapsed() > Duration::from_secs(10) => {
                    eprintln!("{:?} has no rbd-mirror", self.side);
                    return;
                }
                // The provider may be about to start it itself.
                None if !started && began.elapsed() > Duration::from_secs(2) => {
                    let [shell, args @ ..] = &self.control.start[..] else {
                        return;
                    };
                    started = true;
                    let _failed = Command::new(shell).args(args).status();
                }
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        if now != self.id {
            self.record(now);
        }
    }
}

/// Facts 0.4 for certain, and not only when the network is slow: while a side's mirror daemon stands still, nothing has
/// arrived there and no promotion is accepted; afterwards nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_arrived_is_not_promoted() {
    let _one = ONE_AT_A_TIME.lock().await;
    let labs = MODES.map(Lab::new);
    let began = Instant::now();
    let images = join_all(labs.iter().map(async |lab| lab.make_image(8 << 20).await.unwrap())).await;
    let pairs: Vec<_> = labs.iter().zip(&images).collect();
    let arrival = async |to: &Ceph, image: &StorageRef, mark: &Mark| {
        let look = || async { to.arrived(image, mark).await.unwrap().then_some(()) };
        eventually("the mark arrives", LONG, look).await;
    };
    join_all(pairs.iter().map(async |(lab, image)| {
        lab.a.enable_replication(image, lab.mode).await.unwrap();
        // Twice: in journal mode the second arrives only after B's daemon has noted that its first copy is complete, before
        // which a demotion is refused.
        for _ in 0..2 {
            let mark = lab.a.ship(image, None).await.unwrap();
            arrival(&lab.b, image, &mark).await;
        }
    }))
    .await;
    let frozen = Frozen::new(Side::Secondary, |name| name == "rbd-mirror");
    let marks = join_all(pairs.iter().map(async |(lab, image)| {
        write(Side::Primary, image, 0, b"written last").await.unwrap();
        lab.a.snapshot(image, "p1").await.unwrap();
        let shipped = lab.a.ship(image, Some("p1")).await.unwrap();
        assert!(!lab.b.arrived(image, &shipped).await.unwrap(), "{:?}", lab.mode);
        let mark = lab.a.demote(image).await.unwrap();
        assert!(!lab.b.arrived(image, &mark).await.unwrap(), "{:?}", lab.mode);
        let error = lab.b.promote(image, &mark).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Refused, "ceph.demotion_not_arrived"),
            "{error:?}"
        );
        mark
    }))
    .await;
    drop(frozen);
    println!(
        "refused while the daemon stood still: {:.1} s",
        began.elapsed().as_secs_f32()
    );
    join_all(pairs.iter().zip(&marks).map(async |((lab, image), mark)| {
        arrival(&lab.b, image, mark).await;
        lab.b.promote(image, mark).await.unwrap();
        assert_eq!(
            read(Side::Secondary, image, None, 0, 12).await.unwrap(),
            b"written last"
        );
    }))
    .await;
    println!("handed over: {:.1} s", began.elapsed().as_secs_f32());
    clean(&images.iter().collect::<Vec<_>>()).await;
    both_sides_are_well().await;
}

/// Facts 0.2, 0.3, 7: A is lost in the middle of a copy. B looks healthy; the report's age does not. The forced promotion
/// would hang behind B's mirror daemon: with no way to stop it, it is not begun and says what to do; with one, it comes to
/// its end and gives the last complete content. (Found here: begun, killed and begun again, Ceph promotes a torn image.) A comes back: both are primary, and it shows.
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
    let begun = jiff::Timestamp::now();
    lab.a.ship(&image, None).await.unwrap();
    eventually("B is in the middle of the copy", LONG, || async {
        copying(&image).await.then_some(())
    })
    .await;
    let frozen = Frozen::new(Side::Primary, |_| true);
    assert!(copying(&image).await, "too fast to catch");

    // It looks well, and what it says of its age is true.
    let status = lab.b.status(&image).await.unwrap();
    assert_eq!(
        (status.role, &status.phase),
        (Role::Secondary, &ReplicationPhase::Replicating),
        "{status:?}"
    );
    assert!(
        status.synced_to.is_some_and(|at| at >= synced && at < begun),
        "{status:?}, not between {synced} and {begun}"
    );

    let reason = decision("A is lost");
    let began = Instant::now();
    lab.b.force_promote(&idle, &reason).await.unwrap();
    println!(
        "forced promotion of an idle image: {:.1} s",
        began.elapsed().as_secs_f32()
    );

    let daemon = MirrorDaemon::new(Side::Secondary);
    let mut config = config(Side::Secondary);
    config.limits.release_wait_seconds = 5;
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
                "forced promotion in mid-copy: refused after {:.1} s",
                began.elapsed().as_secs_f32()
            );
            config.mirror_daemon = Some(daemon.control.clone());
            let began = Instant::now();
            Ceph::new(config).unwrap().force_promote(&image, &reason).await.unwrap();
            println!(
                "with the daemon stopped by it: {:.1} s in all",
                began.elapsed().as_secs_f32()
            );
            eventually("the daemon runs again", Duration::from_secs(10), || async {
                MirrorDaemon::find(Side::Secondary)
            })
            .await;
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

    drop(daemon);
    drop(frozen);
    let look = || async { lab.a.status(&image).await.ok() };
    let status = eventually("A answers again", LONG, look).await;
    assert_eq!(status.role, Role::Primary, "both sides are primary");
    lab.a.demote(&image).await.unwrap();
    let look = || async { (lab.a.status(&image).await.ok()?.phase == ReplicationPhase::SplitBrain).then_some(()) };
    eventually("split brain is seen", LONG, look).await;
    clean(&[&image, &idle]).await;
    both_sides_are_well().await;
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
