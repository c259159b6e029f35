//! The simulated world itself: data that can be told apart, faults and lies, disasters, dumps, determinism.
#![allow(clippy::unwrap_used)]

use ns_core::ErrorKind;
use ns_core::model::{JobId, PowerState, ReplicationMode, ResourceKind, StorageRef, TaskKey};
use ns_core::ports::{Clock, with_deadline};
use ns_core::provider::{CloudProvider, CreatedKind, Ref, Role, Spec, Token};
use ns_core::sim::{Effect, Fault, Part, SimClock, SimWorld};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn world(seed: u64) -> (SimWorld, SimClock) {
    let clock = SimClock::new();
    (SimWorld::new(Arc::new(clock.clone()), seed), clock)
}

fn token(what: &str) -> Token {
    Token::of(&JobId::new("test"), &TaskKey::new(what))
}

fn image(world: &SimWorld, name: &str) -> StorageRef {
    let image = StorageRef::new(format!("rbd:volumes/{name}"));
    world.rbd("a", |rbd| rbd.create(&image, 64 << 20)).unwrap();
    image
}

#[tokio::test]
async fn a_sample_group_runs_and_its_data_can_be_told_apart() {
    let (world, _) = world(1);
    let sample = world.sample_group(3).unwrap();
    let all = world.inventory("a");
    assert_eq!((all.instances.len(), all.volumes.len()), (3, 7));
    assert!(
        all.instances
            .values()
            .all(|i| i.power == PowerState::Running && i.boots_from_volume)
    );
    let first = &sample.servers[0];
    let console = world.cloud("a").console(&first.id, 100).await.unwrap();
    assert!(console.contains("marker=[a-web-1] boots=1"), "{console}");

    let shared = sample.shared_volume.as_ref().unwrap();
    assert_eq!(all.volumes[shared].attachments.len(), 2);
    let beats: Vec<_> = (0..3).map(|_| world.heartbeat("a", &first.id).unwrap()).collect();
    assert!(beats.is_sorted());
    for volume in [&first.boot_volume, &first.data_volume, shared] {
        assert_eq!(world.volume_disk("a", volume).unwrap().beat, beats.last().copied());
    }
    world.user_stop("a", &first.id);
    assert!(world.heartbeat("a", &first.id).is_err(), "a server that is off writes");
    world.user_start("a", &first.id);
    assert_eq!(world.heartbeat("a", &first.id).unwrap().boot, 2);
}

#[tokio::test]
async fn writes_arrive_in_order_and_a_replica_is_always_a_prefix() {
    let (world, clock) = world(1);
    let sample = world.sample_group(1).unwrap();
    let server = &sample.servers[0];
    let (a, b) = (world.storage("a"), world.storage("b"));
    let boot = world.inventory("a").volumes[&server.boot_volume]
        .storage
        .clone()
        .unwrap();
    a.flatten(&boot).await.unwrap();
    let id = a.enable_replication(&boot, ReplicationMode::Journal).await.unwrap();
    clock.sleep(SECOND * 30).await;
    let replica = b.find_replica(&id).await.unwrap().unwrap();
    let mut last = 0;
    for _ in 0..60 {
        let written = world.heartbeat("a", &server.id).unwrap();
        clock.sleep(SECOND).await;
        let arrived = world.guest_disk("b", &replica, None).unwrap().beat.map_or(0, |b| b.seq);
        assert!(
            arrived >= last && arrived <= written.seq,
            "{arrived} after {last}, written {written:?}"
        );
        last = arrived;
    }
    assert!(last >= 50, "with a lag of 5 s the replica has {last} of 60");
    // What force loses is exactly what had not arrived.
    world.kill("a");
    let decision = ns_core::provider::Decision {
        id: "d".to_owned(),
        operator: "o".to_owned(),
        reason: "lost".to_owned(),
    };
    b.force_promote(&replica, &decision).await.unwrap();
    assert_eq!(world.guest_disk("b", &replica, None).unwrap().beat.unwrap().seq, last);
}

#[tokio::test]
async fn injected_errors_come_when_and_as_often_as_asked() {
    let (world, _) = world(1);
    let storage = world.storage("a");
    let image = image(&world, "one");
    let fault = Fault::new("a", Part::Storage, Effect::Error(ErrorKind::Unavailable)).verb("snapshot");
    world.faults().inject(fault.after(1).times(2));
    let mut seen = vec![];
    for n in 0..5 {
        seen.push(
            storage
                .snapshot(&image, &format!("s{n}"))
                .await
                .map(|_| ())
                .map_err(|e| e.kind()),
        );
    }
    let failed = Err(ErrorKind::Unavailable);
    assert_eq!(seen, [Ok(()), failed, failed, Ok(()), Ok(())]);
    let names: Vec<_> = storage
        .snapshots(&image)
        .await
        .unwrap()
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names, ["s0", "s3", "s4"], "a failed call did something");
    let calls = world.calls();
    let snapshots: Vec<_> = calls
        .iter()
        .filter(|c| c.verb == "snapshot")
        .map(|c| c.outcome)
        .collect();
    assert_eq!(snapshots[1], Some(Err(ErrorKind::Unavailable)));
}

#[tokio::test]
async fn lies_are_told_as_promised() {
    let (world, clock) = world(1);
    let storage = world.storage("a");
    let image = image(&world, "one");
    let inject = |effect| {
        world
            .faults()
            .inject(Fault::new("a", Part::Storage, effect).verb("snapshot").times(1))
    };
    let has = async |name: &str| storage.snapshots(&image).await.unwrap().iter().any(|s| s.name == name);

    inject(Effect::TimeoutButDone);
    assert_eq!(
        storage.snapshot(&image, "done").await.unwrap_err().kind(),
        ErrorKind::Timeout
    );
    assert!(has("done").await);
    inject(Effect::AcceptedNeverDone);
    assert_eq!(
        storage.snapshot(&image, "never").await.unwrap_err().kind(),
        ErrorKind::Timeout
    );
    assert!(!has("never").await);
    for (effect, name, done) in [(Effect::Hang, "hung", false), (Effect::DoneThenHang, "hung-done", true)] {
        inject(effect);
        let hung = with_deadline(&clock, SECOND * 3600, "snapshot", storage.snapshot(&image, name)).await;
        assert_eq!(hung.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(has(name).await, done);
    }
    let before = clock.now();
    inject(Effect::Delay(SECOND * 50));
    storage.snapshot(&image, "late").await.unwrap();
    assert!(clock.now().duration_since(before).as_secs() >= 50);
    let never_ended = world
        .calls()
        .iter()
        .filter(|c| c.verb == "snapshot" && c.outcome.is_none())
        .count();
    assert_eq!(never_ended, 2, "dropped calls stay without an outcome");
}

#[tokio::test]
async fn stale_answers_are_those_of_the_time_of_injection() {
    let (world, clock) = world(1);
    let sample = world.sample_group(1).unwrap();
    let cloud = world.cloud("a");
    let id = &sample.servers[0].id;
    world.faults().inject(Fault::new("a", Part::Cloud, Effect::StaleStatus));
    cloud.stop(id).await.unwrap();
    let shown = async || match cloud.get(ResourceKind::Instance, id).await.unwrap().unwrap() {
        ns_core::model::Resource::Instance(i) => i.power,
        other => panic!("{other:?}"),
    };
    assert_eq!(shown().await, PowerState::Running);
    assert_eq!(world.inventory("a").instances[id].power, PowerState::Stopped);
    world.faults().clear();
    assert_eq!(shown().await, PowerState::Stopped);

    let image = image(&world, "one");
    let storage = world.storage("a");
    storage
        .enable_replication(&image, ReplicationMode::Journal)
        .await
        .unwrap();
    clock.sleep(SECOND * 40).await;
    world
        .faults()
        .inject(Fault::new("a", Part::Storage, Effect::StaleStatus));
    storage.demote(&image).await.unwrap();
    clock.sleep(SECOND * 40).await;
    assert_eq!(storage.status(&image).await.unwrap().role, Role::Primary);
    assert_eq!(
        storage.image(&image).await.unwrap().unwrap().role,
        Role::Secondary,
        "only status is stale"
    );
}

#[tokio::test]
async fn a_site_that_dies_in_mid_call_leaves_the_outcome_open() {
    let (world, clock) = world(1);
    let image = image(&world, "one");
    let storage = world.storage("a");
    world.tune(|t| t.storage_write = SECOND * 10);
    for (dies_after, done, kind) in [(2, false, ErrorKind::Unavailable), (7, true, ErrorKind::Timeout)] {
        let name = format!("s{dies_after}");
        let call = tokio::spawn({
            let (storage, image, name) = (storage.clone(), image.clone(), name.clone());
            async move { storage.snapshot(&image, &name).await }
        });
        clock.sleep(SECOND * dies_after).await;
        world.kill("a");
        assert_eq!(call.await.unwrap().unwrap_err().kind(), kind);
        world.revive("a");
        let there = storage.snapshots(&image).await.unwrap().iter().any(|s| s.name == name);
        assert_eq!(there, done);
    }
}

#[tokio::test]
async fn half_a_site_can_fall_silent() {
    let (world, _) = world(1);
    let sample = world.sample_group(1).unwrap();
    world.silence("a", Part::Cloud, true);
    assert_eq!(
        world.cloud("a").check().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    world.storage("a").check().await.unwrap();
    world.heartbeat("a", &sample.servers[0].id).unwrap();
    world.silence("a", Part::Cloud, false);
    world.cloud("a").check().await.unwrap();
}

#[tokio::test]
async fn servers_need_room() {
    let (world, _) = world(1);
    world.edit("a", |all| all.hypervisors.values_mut().for_each(|h| h.vcpus = 2));
    world.sample_group(3).unwrap();
    let used: Vec<_> = world
        .inventory("a")
        .hypervisors
        .values()
        .map(|h| h.vcpus_used)
        .collect();
    assert_eq!(used, [2, 2, 2]);
    let (other, _) = self::world(1);
    other.edit("a", |all| {
        all.hypervisors.values_mut().for_each(|h| h.available = false)
    });
    assert_eq!(other.sample_group(1).unwrap_err().kind(), ErrorKind::Quota);
}

async fn make_and_remove(cloud: &dyn CloudProvider) {
    let tenant = Spec::Tenant {
        name: "drill".to_owned(),
        description: String::new(),
    };
    let tenant = cloud.create(&tenant, &token("tenant")).await.unwrap();
    let access = Spec::TenantAccess {
        tenant: Ref::Known(tenant.id.clone()),
    };
    let access = cloud.create(&access, &token("access")).await.unwrap();
    cloud.remove(&access, &token("access")).await.unwrap();
    cloud.remove(&tenant, &token("tenant")).await.unwrap();
}

#[tokio::test]
async fn dumps_show_every_difference_and_nothing_else() {
    let (world, clock) = world(1);
    let sample = world.sample_group(1).unwrap();
    let before = world.dump("a");
    make_and_remove(&*world.cloud("a")).await;
    clock.sleep(SECOND * 100).await;
    assert_eq!(world.dump("a").changes_since(&before), Vec::<String>::new());
    assert_eq!(world.dump("a"), before);

    let volume = &sample.servers[0].data_volume;
    let storage = world.inventory("a").volumes[volume].storage.clone().unwrap();
    world.server_write("a", &sample.servers[0].id, 1, 4096, b"x").unwrap();
    let changes = world.dump("a").changes_since(&before);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].starts_with(&format!("~ image {storage}")), "{changes:?}");
    world.server_write("a", &sample.servers[0].id, 1, 4096, &[0]).unwrap();
    assert_eq!(world.dump("a"), before, "the same bytes are the same contents");

    world.rbd("a", |rbd| rbd.snap_create(&storage, "s")).unwrap();
    let clone = world
        .storage("a")
        .clone_snapshot(&storage, "s", &token("clone"))
        .await
        .unwrap();
    let changes = world.dump("a").changes_since(&before);
    assert!(changes.contains(&format!("+ image {clone}")), "{changes:?}");
}

/// Some minutes of work under chaos.
async fn busy(seed: u64) -> (Vec<ns_core::sim::Call>, ns_core::sim::SiteDump) {
    let (world, clock) = world(seed);
    world.sample_group(2).unwrap();
    world.faults().chaos(
        300,
        vec![
            Effect::Error(ErrorKind::Unavailable),
            Effect::TimeoutButDone,
            Effect::Delay(SECOND),
        ],
    );
    let tasks = (0..8).map(|n| {
        let (world, clock) = (world.clone(), clock.clone());
        tokio::spawn(async move {
            let (cloud, storage) = (world.cloud("a"), world.storage("a"));
            let image = image(&world, &format!("busy-{n}"));
            for round in 0..5 {
                let tenant = Spec::Tenant {
                    name: format!("t{n}-{round}"),
                    description: String::new(),
                };
                let _ = cloud.create(&tenant, &token(&format!("{n}-{round}"))).await;
                let _ = storage.enable_replication(&image, ReplicationMode::Snapshot).await;
                let _ = storage.snapshot(&image, &format!("s{round}")).await;
                let _ = storage.ship(&image, None).await;
                clock.sleep(SECOND * n).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    (world.calls(), world.dump("b"))
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world() {
    let (first, second, other) = (busy(42).await, busy(42).await, busy(43).await);
    assert_eq!(first.0, second.0);
    assert_eq!(first.1, second.1);
    assert_ne!(first.0, other.0);
    let hit = first.0.iter().filter(|c| matches!(c.outcome, Some(Err(_)))).count();
    assert!(
        hit > 10 && hit < first.0.len() / 2,
        "chaos hit {hit} of {}",
        first.0.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_on_several_threads() {
    let (calls, dump) = busy(1).await;
    assert_eq!(calls.len(), 8 * 5 * 4);
    assert!(!dump.images.is_empty());
}

#[tokio::test]
async fn a_third_site_stands_alone_until_it_is_paired() {
    let clock = SimClock::new();
    let world = SimWorld::with_sites(Arc::new(clock), 1, &["a", "b", "c", "d"]);
    let (c, d) = (world.storage("c"), world.storage("d"));
    assert!(c.check().await.unwrap().peers.is_empty());
    let offer = world.storage("a").offer_pairing().await.unwrap();
    assert_eq!(
        c.accept_pairing(&offer).await.unwrap_err().kind(),
        ErrorKind::Conflict,
        "a has a peer"
    );
    c.accept_pairing(&d.offer_pairing().await.unwrap()).await.unwrap();
    assert_eq!(c.check().await.unwrap().peers, ["d"]);
    assert_eq!(d.check().await.unwrap().peers, ["c"]);
    assert!(
        !format!("{:?}", d.offer_pairing().await.unwrap()).contains("sim-pairing"),
        "the secret is printed"
    );
}

#[tokio::test]
async fn quotas_hold_per_tenant() {
    let (world, _) = world(1);
    let sample = world.sample_group(1).unwrap();
    world.limit("a", &sample.tenant, CreatedKind::Network, 1);
    let network = Spec::Network {
        tenant: Ref::Known(sample.tenant.clone()),
        name: "second".to_owned(),
        mtu: None,
    };
    assert_eq!(world.make("a", &network).unwrap_err().kind(), ErrorKind::Quota);
}
