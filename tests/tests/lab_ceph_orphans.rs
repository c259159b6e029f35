//! An engine that dies leaves behind the command that it had begun. The next engine makes the same call while that one is still at
//! work, and comes to the same end as if it were alone.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_ceph_kit;

use futures::future::join_all;
use lab_ceph_kit::{Lab, MODES, clean, decision, eventually, token, write};
use ns_ceph::Ceph;
use ns_core::Result;
use ns_core::conformance::{Side, StorageFixture};
use ns_core::model::{ReplicationMode, StorageRef};
use ns_core::provider::{Mark, Role, StorageProvider};
use std::cell::RefCell;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(180);
const SIZE: u64 = 12 << 20;

/// How far the dead engine's call has come when the next one is made, in milliseconds: each command takes about 100 on an idle
/// machine.
const AHEAD: [u64; 3] = [0, 250, 500];

/// Calls beside the same call of an engine that is dead, and what came of them.
struct BesideOrphan {
    ahead: Duration,
    disturbed: RefCell<Vec<String>>,
}

impl BesideOrphan {
    async fn call<T>(&self, what: &str, call: impl AsyncFn() -> Result<T>) -> T {
        let next = async {
            tokio::time::sleep(self.ahead).await;
            call().await
        };
        // Nobody hears what the orphan says.
        let (_unheard, said) = tokio::join!(call(), next);
        match said {
            Ok(done) => done,
            // Alone, so that the rest of the life is looked at as well.
            Err(error) => {
                println!("{what}, {:?} behind: {error:?}", self.ahead);
                self.disturbed.borrow_mut().push(what.to_owned());
                call().await.unwrap()
            }
        }
    }
}

async fn arrival(side: &Ceph, image: &StorageRef, mark: &Mark) {
    let look = || async { side.arrived(image, mark).await.unwrap().then_some(()) };
    eventually("the mark arrives", LONG, look).await;
}

/// Everything that the engine asks of an image in its life, each call beside its orphan.
async fn life(mode: ReplicationMode, twice: &BesideOrphan) {
    let lab = Lab::new(mode);
    let (a, b) = (&lab.a, &lab.b);
    let image = lab.make_image(SIZE).await.unwrap();
    write(Side::Primary, &image, 4096, b"first").await.unwrap();
    twice
        .call("enable", async || a.enable_replication(&image, mode).await)
        .await;
    twice.call("snapshot", async || a.snapshot(&image, "p").await).await;
    let mark = twice.call("ship", async || a.ship(&image, Some("p")).await).await;
    arrival(b, &image, &mark).await;

    let token = token("clone");
    let clone = twice
        .call("clone", async || b.clone_snapshot(&image, "p", &token).await)
        .await;
    twice.call("flatten", async || b.flatten(&clone).await).await;
    twice
        .call("remove the clone", async || b.remove(&clone, &token).await)
        .await;
    twice
        .call("remove the snapshot", async || a.remove_snapshot(&image, "p").await)
        .await;
    let renamed = StorageRef::new(format!("{image}-renamed"));
    twice.call("rename", async || a.rename(&image, &renamed).await).await;
    twice
        .call("rename back", async || a.rename(&renamed, &image).await)
        .await;

    let mark = twice.call("demote", async || a.demote(&image).await).await;
    arrival(b, &image, &mark).await;
    twice.call("promote", async || b.promote(&image, &mark).await).await;
    assert_eq!(b.image(&image).await.unwrap().unwrap().role, Role::Primary);
    let mark = twice.call("demote back", async || b.demote(&image).await).await;
    arrival(a, &image, &mark).await;
    twice
        .call("promote back", async || a.promote(&image, &mark).await)
        .await;
    assert_eq!(a.image(&image).await.unwrap().unwrap().role, Role::Primary);

    let reason = decision("the source is lost");
    twice
        .call("force", async || b.force_promote(&image, &reason).await)
        .await;
    assert_eq!(b.image(&image).await.unwrap().unwrap().role, Role::Primary);
    twice.call("demote the loser", async || a.demote(&image).await).await;
    twice.call("resync", async || a.resync(&image, &reason).await).await;
    let mark = eventually("the winner ships", LONG, async || b.ship(&image, None).await.ok()).await;
    let copied = async || a.arrived(&image, &mark).await.unwrap().then_some(());
    eventually("the loser is a copy", LONG, copied).await;
    twice
        .call("disable", async || b.disable_replication(&image).await)
        .await;
    assert_eq!(b.image(&image).await.unwrap().unwrap().role, Role::Unreplicated);
    clean(&[&image]).await;
}

async fn lives(mode: ReplicationMode) {
    let lives = AHEAD.map(|ahead| async move {
        let orphans = BesideOrphan {
            ahead: Duration::from_millis(ahead),
            disturbed: RefCell::default(),
        };
        life(mode, &orphans).await;
        println!("{mode:?}: a life with orphans {ahead} ms ahead");
        orphans.disturbed.into_inner()
    });
    let disturbed = join_all(lives).await.concat();
    assert!(disturbed.is_empty(), "{mode:?}: {disturbed:?}");
}

#[tokio::test]
async fn orphans_do_not_disturb() {
    tokio::join!(lives(MODES[0]), lives(MODES[1]));
}
