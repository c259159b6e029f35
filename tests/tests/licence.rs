//! The licence an engine asks for, from the vendor's signature to what is refused without it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use life_kit::World;
use ns_core::license::{LicensePolicy, LicensePublicKey, PRODUCT, payload, sealed};
use ns_core::model::{
    GroupId, JobOperation, LicenseClaims, LicenseInfo, LicenseState, OwnerGroupId, ReplicationMode, UserRole,
};
use ns_core::ports::{Clock, SequentialIds};
use ns_core::session::{ClusterRequest, GroupRequest, JobRequest};
use ns_core::sim::{Sample, SimClock, SimWorld};
use ns_core::store::{MemoryStore, Record, Store, Write};
use ns_core::{Actor, Engine, Error, ErrorKind, Providers, Session, Settings};
use std::sync::Arc;
use std::time::Duration;

const UUID: &str = "0f8fad5bd9cb469fa16570867728950e";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A vendor that signs.
fn vendor(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn key(by: &Ed25519KeyPair, claims: &LicenseClaims) -> String {
    let payload = payload(claims).unwrap();
    sealed(&payload, by.sign(payload.as_bytes()).as_ref())
}

fn required(vendors: &[u8]) -> LicensePolicy {
    let public = |seed: &u8| LicensePublicKey::from_bytes(vendor(*seed).public_key().as_ref()).unwrap();
    LicensePolicy::Required {
        public_keys: vendors.iter().map(public).collect(),
        product_uuid: UUID.parse().unwrap(),
    }
}

fn engine(store: Arc<dyn Store>, clock: &SimClock, ids: &Arc<SequentialIds>, policy: LicensePolicy) -> Engine {
    let mut settings = Settings::default();
    settings.monitor = false;
    Engine::builder(store)
        .clock(Arc::new(clock.clone()))
        .ids(ids.clone())
        .settings(settings)
        .license_policy(policy)
        .build()
        .unwrap()
}

struct Shop {
    clock: SimClock,
    sim: SimWorld,
    sample: Sample,
    store: Arc<MemoryStore>,
    ids: Arc<SequentialIds>,
    engine: Engine,
}

impl Shop {
    fn new(policy: LicensePolicy) -> Self {
        let clock = SimClock::new();
        let sim = SimWorld::new(Arc::new(clock.clone()), 7);
        let sample = sim.sample_group(3).unwrap();
        let (store, ids) = (Arc::<MemoryStore>::default(), Arc::<SequentialIds>::default());
        let engine = engine(store.clone(), &clock, &ids, policy);
        Self {
            clock,
            sim,
            sample,
            store,
            ids,
            engine,
        }
    }

    fn session(&self) -> Session {
        self.engine.session(Actor::admin("anna"))
    }

    /// For three instances on the simulated platform, for 90 days.
    fn claims(&self) -> LicenseClaims {
        LicenseClaims {
            version: 1,
            license_id: "2026-0017".into(),
            product_uuid: UUID.parse().unwrap(),
            customer: "Example Bank".into(),
            products: [PRODUCT.to_owned()].into(),
            platforms: [self.sim.cloud("a").platform().to_owned()].into(),
            instances: 3,
            issued_at: self.clock.now(),
            expires_at: self.clock.now() + 90 * DAY,
        }
    }

    async fn protect(&self, name: &str, instances: &[usize]) -> ns_core::Result<GroupId> {
        let clusters = self.session();
        let clusters = clusters.clusters();
        let cluster = match clusters.by_name("seoul").await? {
            Some(cluster) => cluster.id,
            None => {
                let request = ClusterRequest {
                    name: "seoul".into(),
                    owner_group_id: OwnerGroupId::new("ops"),
                    note: String::new(),
                };
                let providers = Providers {
                    cloud: self.sim.cloud("a"),
                    storage: self.sim.storage("a"),
                };
                clusters.register(request, providers).await?.id
            }
        };
        let ids = self.sample.server_ids();
        let request = GroupRequest {
            name: name.into(),
            description: String::new(),
            owner_group_id: OwnerGroupId::new("ops"),
            source_cluster: cluster,
            instances: instances.iter().map(|n| ids[*n].clone()).collect(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        };
        Ok(self.session().protection_groups().create(request).await?.id)
    }

    async fn stored(&self, kind: &str) -> Vec<Record> {
        self.store.list(kind, None, 10).await.unwrap()
    }

    /// Puts another body in the place of the stored licence.
    async fn tamper(&self, change: impl Fn(String) -> String) {
        let record = self.stored("license").await.pop().unwrap();
        let body = change(record.body);
        let write = Write::Put {
            kind: record.kind,
            id: record.id,
            expected: None,
            body,
        };
        self.store.commit(vec![write]).await.unwrap();
    }
}

fn told<T: std::fmt::Debug>(result: ns_core::Result<T>) -> (ErrorKind, String, Option<String>) {
    let error: Error = result.unwrap_err();
    assert!(error.remedy().is_some(), "{error}");
    (error.kind(), error.code().to_owned(), error.field().map(str::to_owned))
}

fn refused(code: &str, field: &str) -> (ErrorKind, String, Option<String>) {
    (ErrorKind::Refused, code.to_owned(), Some(field.to_owned()))
}

fn invalid(code: &str) -> (ErrorKind, String, Option<String>) {
    (ErrorKind::Invalid, code.to_owned(), Some("key".to_owned()))
}

/// LIC-02, LIC-03, LIC-08, LIC-09, LIC-10, CL-06, PG-10, PG-11: nothing is registered or protected without it, as much as it says with it.
#[tokio::test]
async fn lic_02_lic_10_a_licence_is_registered_and_bounds() {
    let shop = Shop::new(required(&[1]));
    let session = shop.session();
    let licence = session.licence();
    assert_eq!(
        told(shop.protect("one", &[2]).await),
        refused("license.missing", "license")
    );
    assert!(shop.stored("cluster").await.is_empty());
    assert_eq!(licence.get().await.unwrap().state, LicenseState::Missing);

    let key = key(&vendor(1), &shop.claims());
    let found = licence.register(&key).await.unwrap();
    let expected = LicenseInfo {
        state: LicenseState::Valid,
        claims: Some(shop.claims()),
        allows: Some(shop.claims().allows()),
        instances_used: 0,
    };
    assert_eq!(found, expected);
    shop.protect("one", &[2]).await.unwrap();
    shop.protect("two", &[0, 1]).await.unwrap();
    assert_eq!(licence.get().await.unwrap().instances_used, 3);
    // Another engine on the store goes by it as well, and one that asks for none does not.
    let other = engine(shop.store.clone(), &shop.clock, &shop.ids, required(&[1]));
    let other = other.session(Actor::admin("otto"));
    assert_eq!(other.licence().get().await.unwrap().state, LicenseState::Valid);
    let free = engine(shop.store.clone(), &shop.clock, &shop.ids, LicensePolicy::Community);
    let free = free.session(Actor::admin("otto"));
    assert_eq!(free.licence().get().await.unwrap().state, LicenseState::NotRequired);
    assert_eq!(
        told(free.licence().register(&key).await),
        refused("license.not_required", "key")
    );

    // LIC-06: it ends, and what is there stays.
    shop.clock.sleep(90 * DAY).await;
    let ended = licence.get().await.unwrap();
    assert_eq!((ended.state, ended.instances_used), (LicenseState::Expired, 3));
    for group in (session.protection_groups().list(&Default::default()).await.unwrap()).items {
        session.protection_groups().delete(&group.id).await.unwrap();
    }
    let again = shop.protect("three", &[2]).await;
    assert_eq!(told(again), refused("license.expired", "instances"));
}

/// LIC-02, LIC-04, LIC-05, LIC-12, SEC-03: what is refused leaves the store as it was.
#[tokio::test]
async fn lic_04_lic_05_bad_keys_are_refused() {
    let shop = Shop::new(required(&[1, 2]));
    let session = shop.session();
    let licence = session.licence();
    shop.clock.sleep(10 * DAY).await;
    let good = shop.claims();
    let with = |change: &dyn Fn(&mut LicenseClaims)| {
        let mut claims = good.clone();
        change(&mut claims);
        key(&vendor(1), &claims)
    };
    let rows = [
        ("hello".to_owned(), "license.malformed"),
        (key(&vendor(3), &good), "license.signature"),
        (
            with(&|c| c.product_uuid = "1".repeat(32).parse().unwrap()),
            "license.product",
        ),
        (
            with(&|c| c.products = ["CDM-Replicator".to_owned()].into()),
            "license.product",
        ),
        (
            with(&|c| {
                c.issued_at = good.issued_at - 2 * DAY;
                c.expires_at = good.issued_at;
            }),
            "license.expired",
        ),
        (with(&|c| c.issued_at = good.issued_at + DAY), "license.issued"),
    ];
    for (key, code) in &rows {
        assert_eq!(told(licence.register(key).await), invalid(code));
    }
    let first = key(&vendor(1), &good);
    assert_eq!(told(licence.renew(&first).await), refused("license.missing", "key"));
    assert!(shop.stored("license").await.is_empty());

    licence.register(&first).await.unwrap();
    let kept = shop.stored("license").await;
    assert_eq!(
        told(licence.register(&first).await),
        refused("license.registered", "key")
    );
    for (key, code) in &rows {
        assert_eq!(told(licence.renew(key).await), invalid(code));
    }
    let older = with(&|c| c.issued_at = good.issued_at - DAY);
    assert_eq!(told(licence.renew(&older).await), invalid("license.older"));
    licence.renew(&first).await.unwrap();
    assert_eq!(shop.stored("license").await, kept);

    // By the vendor's next key, for fewer instances than are protected.
    shop.protect("one", &[0, 1]).await.unwrap();
    let mut fewer = shop.claims();
    fewer.instances = 1;
    let renewed = licence.renew(&key(&vendor(2), &fewer)).await.unwrap();
    assert_eq!((renewed.state, renewed.instances_used), (LicenseState::Valid, 2));
    assert_eq!(renewed.allows.unwrap().instances, 1);
    assert_eq!(
        told(shop.protect("two", &[2]).await),
        refused("license.instances", "instances")
    );
}

/// LIC-11, USR-02: an Admin registers and renews, a Manager looks, nobody else does anything.
#[tokio::test]
async fn lic_11_who_may_do_what() {
    let shop = Shop::new(required(&[1]));
    let first = key(&vendor(1), &shop.claims());
    for (role, reads) in [
        (UserRole::Manager, true),
        (UserRole::Operator, false),
        (UserRole::Viewer, false),
    ] {
        let session = shop.engine.session(Actor::member("mina", role, ["ops".into()]));
        assert_eq!(session.licence().get().await.is_ok(), reads);
        for denied in [
            session.licence().register(&first).await,
            session.licence().renew(&first).await,
        ] {
            let expected = (ErrorKind::Denied, "access.role".to_owned(), Some("actor".to_owned()));
            assert_eq!(told(denied), expected);
        }
    }
    assert!(shop.stored("license").await.is_empty());
}

/// SEC-03: a licence is verified whenever it is read. One that somebody wrote into the store is none, and one may be registered
/// in its place.
#[tokio::test]
async fn sec_03_a_store_that_was_tampered_with_makes_no_licence() {
    let shop = Shop::new(required(&[1]));
    let session = shop.session();
    let first = key(&vendor(1), &shop.claims());
    session.licence().register(&first).await.unwrap();
    let mut more = shop.claims();
    more.instances = 1000;
    let forged = payload(&more).unwrap();
    let signature = first.split_once('.').unwrap().1;
    shop.tamper(|body| body.replace(&first, &format!("{forged}.{signature}")))
        .await;
    let found = session.licence().get().await.unwrap();
    assert_eq!(
        (found.state, found.claims, found.allows),
        (LicenseState::NotVerified, None, None)
    );
    assert_eq!(
        told(shop.protect("one", &[2]).await),
        refused("license.signature", "license")
    );
    session.licence().register(&first).await.unwrap();

    // A key of another installation.
    more.product_uuid = "1".repeat(32).parse().unwrap();
    shop.tamper(|body| body.replace(&first, &key(&vendor(1), &more))).await;
    let found = session.licence().get().await.unwrap();
    assert_eq!((found.state, found.allows), (LicenseState::NotForThisProduct, None));
    assert_eq!(
        told(shop.protect("one", &[2]).await),
        refused("license.product", "license")
    );
    session.licence().register(&first).await.unwrap();
    shop.protect("one", &[2]).await.unwrap();
}

/// OPEN-11, LIC-06: with no licence at all what is protected is drilled, recovered, confirmed and rolled back.
#[tokio::test]
async fn open_11_lic_06_recovery_is_never_refused() {
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.shutdown().await;
    world.engine = engine(world.store.clone(), &world.clock, &world.ids, required(&[1]));
    for site in ["a", "b"] {
        let clusters = world.session();
        let cluster = clusters
            .clusters()
            .by_name(&format!("site-{site}"))
            .await
            .unwrap()
            .unwrap();
        world.engine.attach(&cluster.id, world.providers(site));
    }
    let session = world.session();
    assert_eq!(session.licence().get().await.unwrap().state, LicenseState::Missing);
    let drill = session
        .jobs()
        .create(JobRequest::drill(group.clone(), plan.clone()))
        .await
        .unwrap();
    world.succeeded(&drill).await;
    world.operate(&drill, JobOperation::Rollback).await;
    for end in [JobOperation::Rollback, JobOperation::Confirm] {
        let failover = JobRequest::failover(group.clone(), plan.clone());
        let failover = session.jobs().create(failover).await.unwrap();
        world.succeeded(&failover).await;
        world.operate(&failover, end).await;
    }
}
