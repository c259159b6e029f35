//! The surprises of the real services, on the simulated world: first those that the lab runs too, then those that take a
//! disaster or a cloud. Each is named after the section of the measured facts.
#![allow(clippy::unwrap_used)]

use ns_core::model::{CloudId, JobId, PowerState, ReplicationId, ReplicationMode, StorageRef, TaskKey};
use ns_core::ports::Clock;
use ns_core::provider::{AdoptSpec, CreatedKind, Decision, Ref, ReplicationPhase, Role, Spec, Token};
use ns_core::sim::{Sample, SimClock, SimStorageFixture, SimWorld};
use ns_core::{ErrorKind, conformance};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn shared_with_the_lab() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let world = SimWorld::new(Arc::new(SimClock::new()), 1);
        let report = conformance::surprises(&SimStorageFixture::new(world, mode), &|_| true).await;
        println!("{mode:?}\n{report}");
        assert!(report.is_ok() && report.skipped.is_empty(), "{report}");
    }
}

const SECOND: Duration = Duration::from_secs(1);

struct Lab {
    world: SimWorld,
    clock: SimClock,
    sample: Sample,
}

/// A sample group on `a` whose volumes replicate to `b`, all arrived.
struct Protected {
    lab: Lab,
    /// Source volume, source image, identity, replica.
    volumes: Vec<(CloudId, StorageRef, ReplicationId, StorageRef)>,
}

fn lab() -> Lab {
    let clock = SimClock::new();
    let world = SimWorld::new(Arc::new(clock.clone()), 7);
    let sample = world.sample_group(2).unwrap();
    Lab { world, clock, sample }
}

impl Lab {
    fn image_of(&self, site: &str, volume: &CloudId) -> StorageRef {
        self.world.inventory(site).volumes[volume].storage.clone().unwrap()
    }

    async fn protect(self, mode: ReplicationMode) -> Protected {
        let (a, b) = (self.world.storage("a"), self.world.storage("b"));
        let mut volumes = vec![];
        for volume in self.sample.volume_ids() {
            let image = self.image_of("a", &volume);
            a.flatten(&image).await.unwrap();
            let id = a.enable_replication(&image, mode).await.unwrap();
            let mark = a.ship(&image, None).await.unwrap();
            let replica = loop {
                match b.find_replica(&id).await.unwrap() {
                    Some(replica) if b.arrived(&replica, &mark).await.unwrap() => break replica,
                    _ => self.clock.sleep(SECOND).await,
                }
            };
            volumes.push((volume, image, id, replica));
        }
        Protected { lab: self, volumes }
    }
}

impl Protected {
    async fn hand_over(&self, from: &str, to: &str, image: &StorageRef, replica: &StorageRef) {
        let (source, target) = (self.lab.world.storage(from), self.lab.world.storage(to));
        let mark = source.demote(image).await.unwrap();
        while !target.arrived(replica, &mark).await.unwrap() {
            self.lab.clock.sleep(SECOND).await;
        }
        target.promote(replica, &mark).await.unwrap();
    }
}

fn decision() -> Decision {
    Decision {
        id: "test".to_owned(),
        operator: "test".to_owned(),
        reason: "site a is lost".to_owned(),
    }
}

#[tokio::test]
async fn ceph_facts_0_2_a_dead_primary_leaves_the_replica_looking_healthy() {
    let p = lab().protect(ReplicationMode::Snapshot).await;
    let (world, clock) = (&p.lab.world, &p.lab.clock);
    let (b, replica) = (world.storage("b"), &p.volumes[0].3);
    clock.sleep(SECOND * 60).await;
    world.kill("a");
    let died = clock.now();
    assert_eq!(b.status(replica).await.unwrap().phase, ReplicationPhase::Replicating);
    assert_eq!(world.rbd("b", |rbd| rbd.health()).unwrap(), "OK");
    clock.sleep(SECOND * 300).await;
    let status = b.status(replica).await.unwrap();
    assert_eq!(
        status.phase,
        ReplicationPhase::Replicating,
        "only the age of the report tells: {status:?}"
    );
    assert!(status.reported_at.unwrap() <= died);
    assert_eq!(world.rbd("b", |rbd| rbd.health()).unwrap(), "WARNING");
    assert_eq!(
        world.storage("a").check().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn ceph_facts_0_3_a_forced_promote_in_mid_copy_hangs_until_the_daemon_is_stopped() {
    let p = lab().protect(ReplicationMode::Snapshot).await;
    let (world, clock) = (&p.lab.world, &p.lab.clock);
    let (a, b) = (world.storage("a"), world.storage("b"));
    let (_, image, _, replica) = &p.volumes[0];
    world.tune(|t| t.bytes_per_second = 1000);
    world.rbd("a", |rbd| rbd.write(image, 1 << 20, &[1; 100_000])).unwrap();
    let mark = a.ship(image, None).await.unwrap();
    clock.sleep(SECOND * 20).await;
    assert!(!b.arrived(replica, &mark).await.unwrap());
    world.kill("a");
    let stuck = b.force_promote(replica, &decision()).await.unwrap_err();
    assert_eq!(stuck.kind(), ErrorKind::Unavailable);
    assert!(stuck.remedy().unwrap().contains("mirror daemon"));
    world.mirror_daemon("b", false);
    let before = clock.now();
    b.force_promote(replica, &decision()).await.unwrap();
    assert!(clock.now().duration_since(before).as_secs() >= 37);
    assert_eq!(
        world.rbd("b", |rbd| rbd.read(replica, None, 1 << 20, 4)).unwrap(),
        [0; 4],
        "rolled back, not torn"
    );
    // An image that was not in the middle of a copy is promoted at once, daemon or not.
    world.mirror_daemon("b", true);
    b.force_promote(&p.volumes[1].3, &decision()).await.unwrap();
}

#[tokio::test]
async fn ceph_facts_0_6_the_head_of_a_replica_in_mid_copy_is_no_moment_that_ever_was() {
    let p = lab().protect(ReplicationMode::Snapshot).await;
    let (_, image, _, replica) = &p.volumes[0];
    let world = &p.lab.world;
    world.tune(|t| t.bytes_per_second = 20_000);
    for at in [0, 700 << 20, 1000 << 20] {
        world
            .rbd("a", |rbd| rbd.write(image, at + 4096, &[7; 100_000]))
            .unwrap();
    }
    world.storage("a").ship(image, None).await.unwrap();
    p.lab.clock.sleep(SECOND * 10).await;
    let head = |at: u64| world.rbd("b", |rbd| rbd.read(replica, None, at + 4096, 1)).unwrap()[0];
    assert_eq!([head(0), head(700 << 20), head(1000 << 20)], [7, 0, 0]);
}

#[tokio::test]
async fn ceph_facts_7_a_source_that_comes_back_runs_its_guests_and_both_sides_are_primary() {
    let p = lab().protect(ReplicationMode::Journal).await;
    let world = &p.lab.world;
    let server = &p.lab.sample.servers[0];
    world.heartbeat("a", &server.id).unwrap();
    world.kill("a");
    assert!(world.heartbeat("a", &server.id).is_err(), "a dead guest writes");
    for (.., replica) in &p.volumes {
        world.storage("b").force_promote(replica, &decision()).await.unwrap();
    }
    world.revive("a");
    p.lab.clock.sleep(SECOND * 300).await;
    let beat = world.heartbeat("a", &server.id).unwrap();
    assert_eq!(
        beat.boot, 2,
        "the guest of the lost side boots again by itself and writes"
    );
    let (boot, image, _, replica) = p.volumes.iter().find(|v| v.0 == server.boot_volume).unwrap();
    assert_eq!(world.volume_disk("a", boot).unwrap().beat, Some(beat));
    for (site, image) in [("a", image), ("b", replica)] {
        let status = world.storage(site).status(image).await.unwrap();
        assert_eq!((status.role, status.phase), (Role::Primary, ReplicationPhase::Primary));
        assert_eq!(world.rbd(site, |rbd| rbd.health()).unwrap(), "OK");
    }
    assert_ne!(world.guest_disk("b", replica, None).unwrap().beat, Some(beat));
}

#[tokio::test]
async fn ceph_facts_13_1_after_adoption_the_sources_cloud_points_at_nothing() {
    let p = lab().protect(ReplicationMode::Snapshot).await;
    let (world, clock) = (&p.lab.world, &p.lab.clock);
    let server = &p.lab.sample.servers[0];
    world.user_stop("a", &server.id);
    let (volume, image, id, replica) = p.volumes.iter().find(|v| v.0 == server.boot_volume).unwrap();
    p.hand_over("a", "b", image, replica).await;
    let tenant = Spec::Tenant {
        name: "recovered".to_owned(),
        description: String::new(),
    };
    let tenant = Ref::Known(world.make("b", &tenant).unwrap());
    let token = Token::of(&JobId::new("j"), &TaskKey::new("volume"));
    let access = Spec::TenantAccess { tenant: tenant.clone() };
    world
        .cloud("b")
        .create(&access, &Token::of(&JobId::new("j"), &TaskKey::new("access")))
        .await
        .unwrap();
    let adopt = AdoptSpec {
        tenant,
        storage: replica.clone(),
        name: "web-1-boot".to_owned(),
        volume_type: "ceph".to_owned(),
        bootable: true,
        availability_zone: None,
        metadata: BTreeMap::new(),
        image_metadata: BTreeMap::new(),
    };
    let adopted = world.cloud("b").adopt(&adopt, &token).await.unwrap();
    let renamed = adopted.storage.clone().unwrap();
    assert_ne!(renamed, *replica);
    assert!(!world.inventory("a").volumes[volume].image_metadata.is_empty());
    assert!(
        world.inventory("b").volumes[&adopted.id].image_metadata.is_empty(),
        "adoption forgets image metadata"
    );

    let mark = world.storage("b").ship(&renamed, None).await.unwrap();
    while world
        .storage("a")
        .find_replica(id)
        .await
        .unwrap()
        .is_none_or(|now| now == *image)
    {
        clock.sleep(SECOND).await;
    }
    let now = world.storage("a").find_replica(id).await.unwrap().unwrap();
    assert!(world.storage("a").arrived(&now, &mark).await.unwrap());
    assert_eq!(world.volume_disk("a", volume).unwrap_err().code, 2);
    assert_eq!(
        world.inventory("a").volumes[volume].status,
        "in-use",
        "and the cloud does not know"
    );
    // A start there fails although every record looks right.
    let failed = world.cloud("a").start(&server.id).await.unwrap_err();
    assert!(failed.message().contains("No such file"), "{failed}");
}

#[tokio::test]
async fn openstack_facts_2_deleting_a_volume_follows_the_primary_or_fails_on_the_replica() {
    let p = lab().protect(ReplicationMode::Snapshot).await;
    let (world, clock) = (&p.lab.world, &p.lab.clock);
    for server in p.lab.sample.server_ids() {
        world.user_stop("a", &server);
        world.edit("a", |all| all.volumes.values_mut().for_each(|v| v.attachments.clear()));
    }
    // A demoted source: the record ends in error, the image stays.
    let (volume, image, id, replica) = &p.volumes[0];
    p.hand_over("a", "b", image, replica).await;
    world.delete_volume("a", volume).unwrap();
    assert_eq!(world.inventory("a").volumes[volume].status, "error_deleting");
    assert!(world.storage("a").image(image).await.unwrap().is_some());
    assert!(world.storage("b").find_replica(id).await.unwrap().is_some());
    // A primary source: image and replica go.
    let (volume, _, id, _) = &p.volumes[1];
    world.delete_volume("a", volume).unwrap();
    clock.sleep(SECOND * 5).await;
    assert!(!world.inventory("a").volumes.contains_key(volume));
    assert!(world.storage("b").find_replica(id).await.unwrap().is_none());
}

#[tokio::test]
async fn openstack_facts_2_volumes_cloned_from_images_do_not_replicate_until_flattened() {
    let lab = lab();
    let image = lab.image_of("a", &lab.sample.servers[0].boot_volume);
    let a = lab.world.storage("a");
    assert!(a.image(&image).await.unwrap().unwrap().parent.is_some());
    let refused = a
        .enable_replication(&image, ReplicationMode::Snapshot)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.message().contains("parent"), "{refused}");
    a.flatten(&image).await.unwrap();
    a.enable_replication(&image, ReplicationMode::Snapshot).await.unwrap();
}

#[tokio::test]
async fn openstack_facts_5_a_server_shows_error_and_then_becomes_active() {
    let lab = lab();
    let world = &lab.world;
    world.tune(|t| t.error_before_active = true);
    let (sample, server) = (&lab.sample, &lab.sample.servers[1]);
    world.user_stop("a", &server.id);
    let cloud = world.cloud("a");
    let token = |what: &str| Token::of(&JobId::new("j"), &TaskKey::new(what));
    let tenant = Ref::Known(sample.tenant.clone());
    cloud
        .create(&Spec::TenantAccess { tenant: tenant.clone() }, &token("access"))
        .await
        .unwrap();
    let image = StorageRef::new("rbd:volumes/system");
    let copy = lab.image_of("a", &server.boot_volume);
    let system = world.rbd("a", |rbd| {
        let system = rbd.read(&copy, None, 0, 4096)?;
        rbd.create(&image, 1 << 30)?;
        rbd.write(&image, 0, &system)
    });
    system.unwrap();
    let adopt = AdoptSpec {
        tenant: tenant.clone(),
        storage: image,
        name: "system".to_owned(),
        volume_type: "ceph".to_owned(),
        bootable: true,
        availability_zone: None,
        metadata: BTreeMap::new(),
        image_metadata: BTreeMap::new(),
    };
    let volume = cloud.adopt(&adopt, &token("volume")).await.unwrap();
    let spec = Spec::Server {
        tenant,
        name: "flaps".to_owned(),
        flavor: Ref::Known(sample.flavor.clone()),
        keypair: None,
        ports: vec![],
        volumes: vec![Ref::Known(volume.id)],
        availability_zone: None,
        host: None,
        server_group: None,
        metadata: BTreeMap::new(),
        user_data: None,
    };
    let making = tokio::spawn({
        let (cloud, spec, token) = (cloud.clone(), spec.clone(), token("server"));
        async move { cloud.create(&spec, &token).await }
    });
    let seen = loop {
        if let Some(handle) = cloud.find(CreatedKind::Server, None, &token("server")).await.unwrap() {
            break world.inventory("a").instances[&handle.id].power;
        }
    };
    assert_eq!(seen, PowerState::Error);
    let handle = making.await.unwrap().unwrap();
    assert_eq!(world.inventory("a").instances[&handle.id].power, PowerState::Running);
}

#[tokio::test]
async fn a_cut_off_site_goes_on_writing_and_nobody_sees_it() {
    let p = lab().protect(ReplicationMode::Journal).await;
    let (world, server) = (&p.lab.world, &p.lab.sample.servers[0]);
    world.isolate("a");
    let beat = world.heartbeat("a", &server.id).unwrap();
    p.lab.clock.sleep(SECOND * 600).await;
    let (.., replica) = p.volumes.iter().find(|v| v.0 == server.boot_volume).unwrap();
    assert_ne!(world.guest_disk("b", replica, None).unwrap().beat, Some(beat));
    assert_eq!(
        world.cloud("a").check().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    world.revive("a");
    p.lab.clock.sleep(SECOND * 60).await;
    assert_eq!(
        world.guest_disk("b", replica, None).unwrap().beat,
        Some(beat),
        "it catches up afterwards"
    );
}
