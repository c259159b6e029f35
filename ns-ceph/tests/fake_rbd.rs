//! The provider against scripts in place of Ceph's commands: what it runs, in which order, with which arguments, and
//! what it makes of silence. What real clusters answer is tested in the lab.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ns_ceph::{AdminUser, Ceph, CephConfig, CephConnector, DaemonControl, Limits, PoolRef, Programs};
use ns_core::ErrorKind;
use ns_core::model::{ConnectionSettings, ReplicationMode, StorageRef};
use ns_core::provider::{Decision, PairingOffer, StorageConnector, StorageProvider, Token};
use ns_core::sealing::Secrets;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with `rbd`, `rados` and `ceph` that run the given shell lines. `$ARGS` are the arguments after the global
/// options; each call is noted in `log`.
struct Fake {
    dir: TempDir,
}

impl Fake {
    fn new(rbd: &str) -> Self {
        let fake = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fake.script("rbd", rbd);
        fake.script("rados", "exit 0");
        fake.script("ceph", "echo 11111111-fsid");
        fake
    }

    fn script(&self, name: &str, body: &str) {
        let path = self.path(name);
        let text = format!(
            r#"#!/bin/sh
cd "{}"
echo "{name} $*" >> full
while [ $# -gt 0 ]; do case "$1" in
  --conf) CONF="$2"; shift 2;; --keyring) KEYRING="$2"; shift 2;; --id|--*timeout) shift 2;; *) break;;
esac; done
ARGS="$*"
echo "{name} $ARGS" >> log
{body}
"#,
            self.dir.path().display()
        );
        // Written beside and renamed: a script that is open for writing cannot be run.
        let draft = self.path("draft");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(draft, path).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> Vec<String> {
        fs::read_to_string(self.path("log"))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn config(&self) -> CephConfig {
        CephConfig {
            conf: "/etc/ceph/a.conf".into(),
            user: "neverstop".into(),
            keyring: "/etc/ceph/a.keyring".into(),
            admin: Some(AdminUser {
                user: "admin".into(),
                keyring: "/etc/ceph/admin.keyring".into(),
            }),
            pools: vec![PoolRef::new("volumes")],
            site_name: "site-b".into(),
            limits: Limits {
                read_seconds: 2,
                change_seconds: 2,
                force_promote_seconds: 1,
                force_promote_stopped_seconds: 5,
                ..Limits::default()
            },
            programs: Programs {
                rbd: self.path("rbd"),
                rados: self.path("rados"),
                ceph: self.path("ceph"),
            },
            mirror_daemon: None,
        }
    }

    fn ceph(&self) -> Ceph {
        Ceph::new(self.config()).unwrap()
    }
}

fn image() -> StorageRef {
    StorageRef::new("rbd:volumes/v1")
}

fn decision() -> Decision {
    Decision {
        id: "d1".into(),
        operator: "o".into(),
        reason: "r".into(),
    }
}

/// A replica in snapshot mode that holds one complete copy; primary once the file `promoted` is there.
const REPLICA: &str = r#"
case "$ARGS" in
"info volumes/v1 "*) p=false; [ -e promoted ] && p=true
  echo '{"id":"1a","size":4194304,"objects":1,"features":[],"mirroring":{"mode":"snapshot","state":"enabled","global_id":"g1","primary":'$p'}}';;
"snap ls --all volumes/v1 "*)
  echo '[{"id":5,"name":".mirror.x","size":1,"protected":"false","timestamp":"","namespace":{"type":"mirror","state":"non-primary","complete":true,"primary_mirror_uuid":"u","primary_snap_id":9,"mirror_peer_uuids":[]}}]';;
"mirror image promote --force volumes/v1") [ -e stopped ] || exec sleep 60; touch promoted;;
*) exit 2;;
esac"#;

/// A forced promote that hangs behind the local mirror daemon (Ceph facts 0.3) ends with a way on.
#[tokio::test]
async fn a_hanging_promote_without_daemon_control() {
    let fake = Fake::new(REPLICA);
    let began = Instant::now();
    let error = fake.ceph().force_promote(&image(), &decision()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "ceph.promote_hangs"));
    assert!(error.remedy().is_some_and(|r| r.contains("rbd-mirror")));
    assert!(began.elapsed() < Duration::from_secs(4));
}

fn with_daemon(fake: &Fake) -> Ceph {
    let script = |line: &str| {
        vec![
            "/bin/sh".to_owned(),
            "-c".to_owned(),
            format!("cd {}; {line}", fake.dir.path().display()),
        ]
    };
    let mut config = fake.config();
    config.mirror_daemon = Some(DaemonControl {
        stop: script("echo stop >> log; touch stopped"),
        start: script("echo start >> log; rm -f stopped"),
    });
    Ceph::new(config).unwrap()
}

/// With the commands for the daemon: stop it, promote, start it.
#[tokio::test]
async fn a_hanging_promote_with_daemon_control() {
    let fake = Fake::new(REPLICA);
    with_daemon(&fake).force_promote(&image(), &decision()).await.unwrap();
    let log = fake.log();
    let steps: Vec<_> = log
        .iter()
        .filter(|l| l.contains("promote") || !l.starts_with("rbd"))
        .map(String::as_str)
        .collect();
    let promote = "rbd mirror image promote --force volumes/v1";
    assert_eq!(steps, [promote, "stop", promote, "start"]);
    assert!(!fake.path("stopped").exists());
}

/// [`REPLICA`] in the middle of a second copy, and with these snapshots on top.
fn mid_copy(more: &str) -> String {
    let second = r#","primary_snap_id":9,"mirror_peer_uuids":[]}},{"id":6,"name":".mirror.y","size":1,"protected":"false","timestamp":"",
        "namespace":{"type":"mirror","state":"non-primary","complete":false,"primary_mirror_uuid":"u","primary_snap_id":10,
        "mirror_peer_uuids":[]}}"#;
    let first = r#","primary_snap_id":9,"mirror_peer_uuids":[]}}"#;
    let cases = REPLICA.replace(first, &format!("{second}{more}"));
    cases.replace(
        "*) exit 2;;",
        r#""status volumes/v1 "*) [ -e released ] || w='{"client":1}'; echo '{"watchers":['$w']}';; *) exit 2;;"#,
    )
}

/// In the middle of a copy a promotion is not even tried while the daemon may hold the image: killed, it would leave the
/// image so that Ceph promotes it torn.
#[tokio::test]
async fn a_promote_in_mid_copy_is_not_begun_to_be_killed() {
    let fake = Fake::new(&mid_copy(""));
    with_daemon(&fake).force_promote(&image(), &decision()).await.unwrap();
    let promoted = |l: &&String| l.contains("promote") || !l.starts_with("rbd");
    let log = fake.log();
    let steps: Vec<_> = log.iter().filter(promoted).map(String::as_str).collect();
    assert_eq!(steps, ["stop", "rbd mirror image promote --force volumes/v1", "start"]);

    let fake = Fake::new(&mid_copy("").replace("[ -e stopped ] || exec sleep 60;", ""));
    let mut config = fake.config();
    config.limits.release_wait_seconds = 1;
    let ceph = Ceph::new(config).unwrap();
    let error = ceph.force_promote(&image(), &decision()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Timeout, "ceph.promote_hangs"));
    assert_eq!(fake.log().iter().filter(promoted).count(), 0, "{:?}", fake.log());
    // The operator has stopped the daemon.
    fs::write(fake.path("released"), "").unwrap();
    ceph.force_promote(&image(), &decision()).await.unwrap();
}

/// What an interrupted promotion in mid-copy left behind is not promoted.
#[tokio::test]
async fn a_torn_image_is_not_promoted() {
    let orphan = r#",{"id":7,"name":".mirror.z","size":1,"protected":"false","timestamp":"","namespace":{"type":"mirror",
        "state":"non-primary","complete":true,"primary_mirror_uuid":"","primary_snap_id":18446744073709551614,
        "mirror_peer_uuids":[]}}"#;
    let fake = Fake::new(&mid_copy(orphan));
    let error = with_daemon(&fake)
        .force_promote(&image(), &decision())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Refused, "ceph.promote_interrupted"),
        "{error:?}"
    );
    assert!(
        !fake.log().iter().any(|l| l.contains("promote") || l == "stop"),
        "{:?}",
        fake.log()
    );
}

/// Several promotions need the daemon stopped: it starts after the last.
#[tokio::test]
async fn promotions_share_one_stop_of_the_daemon() {
    let fake = Fake::new(&mid_copy("").replace("touch promoted", "sleep 0.5; touch promoted"));
    let ceph = with_daemon(&fake);
    let (image, decision) = (image(), decision());
    let (one, two) = tokio::join!(ceph.force_promote(&image, &decision), async {
        wait(|| fake.log().iter().any(|l| l.contains("promote"))).await;
        ceph.force_promote(&image, &decision).await
    });
    one.unwrap();
    two.unwrap();
    let log = fake.log();
    let steps: Vec<_> = log
        .iter()
        .filter(|l| !l.starts_with("rbd"))
        .map(String::as_str)
        .collect();
    assert_eq!(steps, ["stop", "start"]);
    let last = log.iter().rposition(|l| l.contains("promote")).unwrap();
    assert!(log.iter().position(|l| l == "start").unwrap() > last, "{log:?}");
}

/// Dropped while the daemon is stopped: it is started again, for all other images depend on it.
#[tokio::test]
async fn a_dropped_promote_starts_the_daemon_again() {
    let fake = Fake::new(&REPLICA.replace("[ -e stopped ] || exec sleep 60; touch promoted", "exec sleep 60"));
    let ceph = with_daemon(&fake);
    let work = tokio::spawn(async move { ceph.force_promote(&image(), &decision()).await });
    wait(|| fake.path("stopped").exists()).await;
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    wait(|| fake.log().last().is_some_and(|l| l == "start") && !fake.path("stopped").exists()).await;
}

async fn wait(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A cluster that does not answer is `Unavailable` in seconds, whether the command gives up or hangs.
#[tokio::test]
async fn a_silent_cluster() {
    for body in ["exit 110", "exec sleep 60"] {
        let fake = Fake::new(body);
        fake.script(
            "ceph",
            if body == "exit 110" {
                "echo timed out >&2; exit 1"
            } else {
                body
            },
        );
        let ceph = fake.ceph();
        let began = Instant::now();
        let (image, token) = (image(), Token::of(&"j".into(), &"t".into()));
        let (check, state, enabled, status, ship, demote, found) = futures::join!(
            ceph.check(),
            ceph.image(&image),
            ceph.enable_replication(&image, ReplicationMode::Snapshot),
            ceph.status(&image),
            ceph.ship(&image, None),
            ceph.demote(&image),
            ceph.find(&token),
        );
        let errors = [
            check.unwrap_err(),
            state.unwrap_err(),
            enabled.unwrap_err(),
            status.unwrap_err(),
            ship.unwrap_err(),
            demote.unwrap_err(),
            found.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{body}: {error:?}");
        }
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{body}: {:?}",
            began.elapsed()
        );
    }
}

const PAIR: &str = r#"
case "$ARGS" in
"mirror pool peer bootstrap import "*) cat > imported; echo "rbd: bad token $(cat imported)" >&2; [ ! -e refuse ] || exit 22;;
"mirror pool info "*) peers='[]'; [ -e imported ] && peers='[{"site_name":"site-a","mirror_uuid":"u"}]'
  echo '{"mode":"image","site_name":"site-b","peers":'$peers'}';;
esac"#;

/// REP-01: the secret goes through standard input, as the administrator, and is in no argument and no error.
#[tokio::test]
async fn a_pairing_secret_is_in_no_argument_and_no_error() {
    // {"fsid":"f","client_id":"c","key":"AQBsX8xnAAAAABAAlFq2s8o5XkqmFyB1Zp3oHA==","mon_host":"m"}
    let secret = "eyJmc2lkIjoiZiIsImNsaWVudF9pZCI6ImMiLCJrZXkiOiJBUUJzWDh4bkFBQUFBQkFBbEZxMnM4bzVYa3FtRnlCMVpwM29IQT09\
                  IiwibW9uX2hvc3QiOiJtIn0=";
    let fake = Fake::new(PAIR);
    let offer = PairingOffer {
        site_name: "site-a".into(),
        secret: secret.to_owned().into(),
    };
    fake.ceph().accept_pairing(&offer).await.unwrap();
    assert_eq!(fs::read_to_string(fake.path("imported")).unwrap(), secret);
    let full = fs::read_to_string(fake.path("full")).unwrap();
    assert!(!full.contains(&secret[..16]) && full.contains("import --site-name site-b --direction rx-tx volumes -"));
    let import = full.lines().find(|l| l.contains("import")).unwrap();
    assert!(
        import.contains("--id admin --keyring /etc/ceph/admin.keyring"),
        "{import}"
    );
    fs::write(fake.path("refuse"), "").unwrap();
    let error = fake.ceph().accept_pairing(&offer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(
        format!("{error:?}").contains("bad token ***") && !format!("{error:?}").contains(&secret[..16]),
        "{error:?}"
    );
    assert!(!format!("{:?}", fake.ceph()).contains("AQB"));
}

/// A rename that travels comes between the list and the look: the list still has the old name.
#[tokio::test]
async fn rep_01_an_image_that_is_renamed_meanwhile_is_found() {
    let fake = Fake::new(
        r#"case "$ARGS" in
  "mirror pool status volumes"*)
    n=$(cat looks 2>/dev/null || echo 0); echo $((n+1)) > looks
    name=old; [ "$n" -ge "$(cat renamed_at)" ] && name=new
    echo '{"summary":{},"images":[{"name":"'$name'","global_id":"g-1","state":"up+replaying","description":"","last_update":""}]}';;
  *"volumes/new"*) echo '{"name":"new","id":"1","size":1,"objects":1,"features":[],"mirroring":{"mode":"snapshot","global_id":"g-1","state":"enabled","primary":false}}';;
  *) echo "rbd: error opening image" >&2; exit 2;;
esac"#,
    );
    for (renamed_at, found) in [("2", Some("rbd:volumes/new")), ("1000", None)] {
        fs::write(fake.path("renamed_at"), renamed_at).unwrap();
        fs::remove_file(fake.path("looks")).ok();
        let replica = fake.ceph().find_replica(&"g-1".into()).await.unwrap();
        assert_eq!(replica.as_ref().map(StorageRef::as_str), found);
    }
}

/// Looking for a token reads each image's metadata once, however often it is looked for; a new image is looked at.
#[tokio::test]
async fn finding_is_cheap_the_second_time() {
    let fake = Fake::new(
        r#"case "$ARGS" in
"ls "*) echo '["volume-1","volume-2"]';;
"image-meta list volumes/volume-2 "*) echo '{"neverstop-token":"'$(cat token)'"}';;
"image-meta list volumes/volume-"*) ;;
*) exit 2;;
esac"#,
    );
    fake.script("rados", "cat directory");
    let entry = |n: usize| {
        format!(
            "name_volume-{n}\nvalue (6 bytes) :\n00000000  02 00 00 00 61 3{n}                                 |....a{n}|\n00000006\n\n"
        )
    };
    fs::write(fake.path("directory"), entry(1) + &entry(2)).unwrap();
    let token = Token::of(&"job".into(), &"clone".into());
    fs::write(fake.path("token"), token.as_str()).unwrap();
    let ceph = fake.ceph();
    for _ in 0..3 {
        assert_eq!(
            ceph.find(&token).await.unwrap(),
            Some(StorageRef::new("rbd:volumes/volume-2"))
        );
    }
    let reads = |fake: &Fake, n: usize| {
        fake.log()
            .iter()
            .filter(|l| l.starts_with(&format!("rbd image-meta list volumes/volume-{n} ")))
            .count()
    };
    assert_eq!((reads(&fake, 1), reads(&fake, 2)), (1, 1));
    fs::write(fake.path("directory"), entry(1) + &entry(2) + &entry(3)).unwrap();
    assert_eq!(
        ceph.find(&Token::of(&"job".into(), &"other".into())).await.unwrap(),
        None
    );
    assert_eq!((reads(&fake, 1), reads(&fake, 2), reads(&fake, 3)), (1, 1, 1));
}

/// Names that a command could misread, and pools that nobody configured, do not reach a command.
#[tokio::test]
async fn what_must_not_reach_a_command() {
    let fake = Fake::new("exit 2");
    let ceph = fake.ceph();
    for name in ["rbd:volumes/--force", "rbd:volumes/a@b", "volumes/a", "rbd:-p/a"] {
        let error = ceph.resync(&StorageRef::new(name), &decision()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
    }
    let error = ceph
        .resync(&StorageRef::new("rbd:images/a"), &decision())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Refused, "ceph.pool_not_configured")
    );
    assert_eq!(
        ceph.snapshot(&image(), "-x").await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert!(
        fake.log().is_empty() && Path::new(&fake.path("rbd")).exists(),
        "{:?}",
        fake.log()
    );
}

/// The commands of a provider that was made of settings and secrets read the key, which no argument, environment or file on
/// disk has.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn cl_22_sec_02_a_key_of_a_connection_reaches_the_commands_and_nothing_else() {
    const SOME_KEY: &str = "AQAJCQkJCQkJCRAAKCkqKywtLi8wMTIzNDU2Nw==";
    let fake = Fake::new("exit 2");
    // Whether it was there is noted, not what it was.
    let expected = format!("[client.neverstop]\n\tkey = {SOME_KEY}\n");
    let digest = |text: &str| {
        format!(
            "{} {}",
            text.len(),
            text.bytes().fold(0_u32, |sum, b| sum + u32::from(b))
        )
    };
    let look = r#"
sum() { od -An -v -tu1 "$1" | tr -s ' ' '\n' | awk 'NF { n++; s += $1 } END { print n, s }'; }
sum "$KEYRING" >> seen; sum "$CONF" >> seen; env >> environment
echo 11111111-fsid"#;
    fake.script("ceph", look);
    let programs = Programs {
        rbd: fake.path("rbd"),
        rados: fake.path("rados"),
        ceph: fake.path("ceph"),
    };
    let settings = ConnectionSettings::new()
        .with("mon_host", "10.0.0.1,10.0.0.2")
        .with("user", "neverstop")
        .with("pools", "volumes")
        .with("site_name", "site-a");
    let connector = CephConnector::new().with_programs(programs);
    let storage = connector
        .connect(&settings, &Secrets::new().with("key", SOME_KEY))
        .await
        .unwrap();
    let _ = storage.check().await;
    let seen = fs::read_to_string(fake.path("seen")).unwrap();
    let conf = "[global]\nmon_host = 10.0.0.1,10.0.0.2\n";
    assert_eq!(
        seen.lines().take(2).collect::<Vec<_>>(),
        [digest(&expected), digest(conf)]
    );
    for entry in fs::read_dir(fake.dir.path()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(SOME_KEY), "{text}");
    }
}
