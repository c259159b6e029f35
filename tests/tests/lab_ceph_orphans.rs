//! An engine that dies leaves behind the command that it had begun. The next engine makes the same call while that one is still at
//! work, and comes to the same end as if it were alone.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_ceph_kit;

use futures::future::join_all;
use lab_ceph_kit::{Lab, MODES, clean, config, decision, eventually, token, write};
use ns_ceph::Ceph;
use ns_core::conformance::{Side, StorageFixture};
use ns_core::model::{ReplicationMode, StorageRef};
use ns_core::provider::{Mark, Role, StorageProvider};
use ns_core::{ErrorKind, Result};
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(180);
const SIZE: u64 = 12 << 20;

/// How far the dead engine's call had come, in milliseconds: each command takes about 100 on an idle machine.
const AHEAD: [u64; 4] = [80, 200, 350, 600];

/// Runs `rbd`, which goes on when this is killed, as it does when an engine is.
const GOES_ON: &str = "#!/bin/sh\nrbd \"$@\" &\nwait $!\n";

/// One side of the lab, as an engine that dies and the one after it see it.
struct Engines {
    dead: Ceph,
    next: Arc<Ceph>,
}

impl Engines {
    fn new(side: Side, next: &Arc<Ceph>, rbd: PathBuf) -> Self {
        let mut config = config(side);
        config.programs.rbd = rbd;
        Self {
            dead: Ceph::new(config).unwrap(),
            next: next.clone(),
        }
    }
}

/// Calls that an engine died in, made again, and what came of them.
struct AfterDeath {
    ahead: Duration,
    disturbed: RefCell<Vec<String>>,
}

impl AfterDeath {
    async fn call<T>(&self, what: &str, side: &Engines, call: impl AsyncFn(&Ceph) -> Result<T>) -> T {
        // Nobody hears what it says, if it comes so far.
        let _unheard = tokio::time::timeout(self.ahead, call(&side.dead)).await;
        match call(&side.next).await {
            Ok(done) => done,
            // Alone, so that the rest of the life is looked at as well.
            Err(error) => {
                println!("{what}, after a death at {:?}: {error:?}", self.ahead);
                self.disturbed.borrow_mut().push(what.to_owned());
                call(&side.next).await.unwrap()
            }
        }
    }
}

async fn arrival(side: &Ceph, image: &StorageRef, mark: &Mark) {
    let look = || async { side.arrived(image, mark).await.unwrap().then_some(()) };
    eventually("the mark arrives", LONG, look).await;
}

/// Everything that the engine asks of an image in its life, each call after a death in the middle of it.
async fn life(mode: ReplicationMode, twice: &AfterDeath, rbd: &Path) {
    let lab = Lab::new(mode);
    let a = &Engines::new(Side::Primary, &lab.a, rbd.to_owned());
    let b = &Engines::new(Side::Secondary, &lab.b, rbd.to_owned());
    let image = &lab.make_image(SIZE).await.unwrap();
    write(Side::Primary, image, 4096, b"first").await.unwrap();
    twice
        .call("enable", a, async |a| a.enable_replication(image, mode).await)
        .await;
    twice.call("snapshot", a, async |a| a.snapshot(image, "p").await).await;
    let mark = twice.call("ship", a, async |a| a.ship(image, Some("p")).await).await;
    arrival(&lab.b, image, &mark).await;

    let token = &token("clone");
    let clone = &twice
        .call("clone", b, async |b| b.clone_snapshot(image, "p", token).await)
        .await;
    twice.call("flatten", b, async |b| b.flatten(clone).await).await;
    twice
        .call("remove the clone", b, async |b| b.remove(clone, token).await)
        .await;
    twice
        .call("remove the snapshot", a, async |a| a.remove_snapshot(image, "p").await)
        .await;
    let renamed = &StorageRef::new(format!("{image}-renamed"));
    twice.call("rename", a, async |a| a.rename(image, renamed).await).await;
    twice
        .call("rename back", a, async |a| a.rename(renamed, image).await)
        .await;

    let mark = &twice.call("demote", a, async |a| a.demote(image).await).await;
    arrival(&lab.b, image, mark).await;
    twice.call("promote", b, async |b| b.promote(image, mark).await).await;
    assert_eq!(lab.b.image(image).await.unwrap().unwrap().role, Role::Primary);
    let mark = &twice.call("demote back", b, async |b| b.demote(image).await).await;
    arrival(&lab.a, image, mark).await;
    twice
        .call("promote back", a, async |a| a.promote(image, mark).await)
        .await;
    assert_eq!(lab.a.image(image).await.unwrap().unwrap().role, Role::Primary);

    let reason = &decision("the source is lost");
    twice
        .call("force", b, async |b| b.force_promote(image, reason).await)
        .await;
    assert_eq!(lab.b.image(image).await.unwrap().unwrap().role, Role::Primary);
    twice.call("demote the loser", a, async |a| a.demote(image).await).await;
    // The copy is gone for as long as it takes to begin it again, and then there is nothing to ask for: the engine goes on.
    let resync = async |a: &Ceph| match a.resync(image, reason).await {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        asked => asked,
    };
    twice.call("resync", a, resync).await;
    let mark = eventually("the winner ships", LONG, async || lab.b.ship(image, None).await.ok()).await;
    let copied = async || lab.a.arrived(image, &mark).await.unwrap().then_some(());
    eventually("the loser is a copy", LONG, copied).await;
    twice
        .call("disable", b, async |b| b.disable_replication(image).await)
        .await;
    assert_eq!(lab.b.image(image).await.unwrap().unwrap().role, Role::Unreplicated);
    clean(&[image]).await;
}

async fn lives(mode: ReplicationMode, rbd: &Path) {
    let lives = AHEAD.map(|ahead| async move {
        let deaths = AfterDeath {
            ahead: Duration::from_millis(ahead),
            disturbed: RefCell::default(),
        };
        life(mode, &deaths, rbd).await;
        println!("{mode:?}: a life with deaths after {ahead} ms");
        deaths.disturbed.into_inner()
    });
    let disturbed = join_all(lives).await.concat();
    assert!(disturbed.is_empty(), "{mode:?}: {disturbed:?}");
}

#[tokio::test]
async fn orphans_do_not_disturb() {
    let folder = tempfile::tempdir().unwrap();
    let rbd = folder.path().join("rbd");
    std::fs::write(&rbd, GOES_ON).unwrap();
    std::fs::set_permissions(&rbd, std::fs::Permissions::from_mode(0o755)).unwrap();
    tokio::join!(lives(MODES[0], &rbd), lives(MODES[1], &rbd));
}
