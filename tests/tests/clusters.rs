//! Clusters as records: changed, linked to what is protected on them, bounded by a licence, shown to whom they concern.

use ns_core::model::{Actor, ClusterId, GroupId, License, Query, UserRole};
use ns_core::session::{ClusterRequest, ClusterUpdate, GroupRequest};
use ns_core::sim::{Sample, SimClock, SimWorld};
use ns_core::store::{MemoryStore, Store};
use ns_core::{Engine, Error, ErrorKind, Providers, Session};
use std::sync::Arc;

struct World {
    sim: SimWorld,
    sample: Sample,
    store: Arc<MemoryStore>,
    engine: Engine,
}

impl World {
    fn new(license: Option<License>) -> Self {
        let clock = SimClock::new();
        let sim = SimWorld::new(Arc::new(clock.clone()), 7);
        let sample = sim.sample_group(3).unwrap();
        let store = Arc::<MemoryStore>::default();
        let mut builder = Engine::builder(store.clone()).clock(Arc::new(clock));
        if let Some(license) = license {
            builder = builder.license(license);
        }
        Self {
            sim,
            sample,
            store,
            engine: builder.build().unwrap(),
        }
    }

    fn session(&self) -> Session {
        self.engine.session(Actor::admin("anna"))
    }

    async fn register(&self, session: &Session, request: ClusterRequest) -> ns_core::Result<ClusterId> {
        let providers = Providers {
            cloud: self.sim.cloud("a"),
            storage: self.sim.storage("a"),
        };
        Ok(session.clusters().register(request, providers).await?.id)
    }

    async fn protect(&self, cluster: &ClusterId, name: &str, instances: &[usize]) -> ns_core::Result<GroupId> {
        let ids = self.sample.server_ids();
        let request = GroupRequest {
            name: name.into(),
            description: String::new(),
            owner_group_id: "shop".into(),
            source_cluster: cluster.clone(),
            instances: instances.iter().map(|n| ids[*n].clone()).collect(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: None,
        };
        Ok(self.session().protection_groups().create(request).await?.id)
    }

    async fn documents(&self, kind: &str) -> usize {
        self.store.list(kind, None, 1000).await.unwrap().len()
    }
}

fn request(name: &str) -> ClusterRequest {
    ClusterRequest {
        name: name.into(),
        owner_group_id: "shop".into(),
        note: String::new(),
    }
}

fn refusal(error: &Error) -> (ErrorKind, &str, Option<&str>) {
    assert!(error.remedy().is_some(), "{error}");
    (error.kind(), error.code(), error.field())
}

/// A key in the form that Ceph gives its keys, of no cluster.
const SOME_KEY: &str = "AQAJCQkJCQkJCRAAKCkqKywtLi8wMTIzNDU2Nw==";

#[tokio::test]
async fn cl_13_cl_14_cl_24_name_and_note_are_changed_also_of_a_cluster_that_is_away() {
    let world = World::new(None);
    let session = world.session();
    let id = world.register(&session, request("seoul")).await.unwrap();
    world.register(&session, request("busan")).await.unwrap();
    let before = session.clusters().get(&id).await.unwrap();
    assert_eq!(before.modified_at, None);
    world.sim.kill("a");
    let update = ClusterUpdate {
        name: Some("서울".into()),
        note: Some("new hall".into()),
    };
    let after = session.clusters().update(&id, update).await.unwrap();
    assert_eq!((after.name.as_str(), after.note.as_str()), ("서울", "new hall"));
    assert!(after.modified_at.is_some());
    let unchanged = session.clusters().update(&id, ClusterUpdate::default()).await.unwrap();
    assert_eq!(unchanged, after, "nothing to change changes nothing");
    assert_eq!(
        (&after.owner_group_id, &after.platform),
        (&before.owner_group_id, &before.platform)
    );

    let named = |name: &str| ClusterUpdate {
        name: Some(name.into()),
        ..ClusterUpdate::default()
    };
    for (name, kind, code) in [
        ("busan", ErrorKind::Conflict, "name.taken"),
        ("", ErrorKind::Invalid, "name.length"),
        ("a b", ErrorKind::Invalid, "name.characters"),
        ("a:b", ErrorKind::Invalid, "name.characters"),
    ] {
        let error = session.clusters().update(&id, named(name)).await.unwrap_err();
        assert_eq!(refusal(&error), (kind, code, Some("name")));
    }
    assert_eq!(session.clusters().get(&id).await.unwrap(), after);
}

#[tokio::test]
async fn sec_15_cl_08_a_note_with_a_key_in_it_is_refused() {
    let world = World::new(None);
    let session = world.session();
    let note = format!("client.cinder {SOME_KEY}");
    let secret = ClusterRequest {
        note: note.clone(),
        ..request("seoul")
    };
    let error = world.register(&session, secret).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Invalid, "cluster.note_secret", Some("note"))
    );
    assert!(!format!("{error:?}").contains(SOME_KEY));
    assert_eq!(world.documents("cluster").await, 0);
    let id = world.register(&session, request("seoul")).await.unwrap();
    let update = ClusterUpdate {
        note: Some(note),
        ..ClusterUpdate::default()
    };
    let error = session.clusters().update(&id, update).await.unwrap_err();
    assert_eq!(error.code(), "cluster.note_secret");
    assert_eq!(session.clusters().get(&id).await.unwrap().note, "");
}

#[tokio::test]
async fn cl_17_a_cluster_shows_what_is_protected_on_it() {
    let world = World::new(None);
    let session = world.session();
    let id = world.register(&session, request("seoul")).await.unwrap();
    assert_eq!(session.clusters().recovery(&id).await.unwrap(), []);
    let group = world.protect(&id, "shop", &[0, 1]).await.unwrap();
    let linked = session.clusters().recovery(&id).await.unwrap();
    assert_eq!(linked.len(), 1);
    assert_eq!((&linked[0].group.id, linked[0].plans.len()), (&group, 0));
    let error = session.clusters().delete(&id).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Refused, "cluster.in_use", Some("cluster_id")),
        "CL-20, OPEN-13"
    );
    assert!(error.message().contains("shop"), "it names the group: {error}");
}

#[tokio::test]
async fn cl_07_cl_10_cl_25_pg_03_pg_04_pg_14_pg_27_owners_and_roles() {
    let world = World::new(None);
    let as_of = |role, group: &str| world.engine.session(Actor::member("mina", role, [group.into()]));
    let manager = as_of(UserRole::Manager, "shop");
    let foreign = ClusterRequest {
        owner_group_id: "bank".into(),
        ..request("seoul")
    };
    let error = world.register(&manager, foreign).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Denied, "access.owner", Some("owner_group_id"))
    );
    for role in [UserRole::Operator, UserRole::Viewer] {
        let error = world
            .register(&as_of(role, "shop"), request("seoul"))
            .await
            .unwrap_err();
        assert_eq!(refusal(&error), (ErrorKind::Denied, "access.role", Some("actor")));
    }
    assert_eq!(world.documents("cluster").await, 0);
    let id = world.register(&manager, request("seoul")).await.unwrap();
    let group = world.protect(&id, "shop", &[2]).await.unwrap();

    let (viewer, stranger) = (as_of(UserRole::Viewer, "shop"), as_of(UserRole::Manager, "bank"));
    assert_eq!(viewer.protection_groups().get(&group).await.unwrap().name, "shop");
    assert_eq!(
        viewer.protection_groups().list(&Query::default()).await.unwrap().total,
        1
    );
    let error = viewer.protection_groups().delete(&group).await.unwrap_err();
    assert_eq!(error.code(), "access.role");
    let error = stranger.protection_groups().get(&group).await.unwrap_err();
    assert_eq!(error.code(), "group.not_found");
    assert_eq!(
        stranger
            .protection_groups()
            .list(&Query::default())
            .await
            .unwrap()
            .total,
        0
    );
    assert_eq!(
        stranger.protection_groups().delete(&group).await.unwrap_err().code(),
        "group.not_found"
    );
    manager.protection_groups().delete(&group).await.unwrap();
}

#[tokio::test]
async fn cl_06_pg_10_pg_11_a_licence_bounds_what_is_new() {
    let license = |platform: &str, instances, until: &str| License {
        platforms: [platform.to_owned()].into(),
        instances,
        expires_at: until.parse().unwrap(),
    };
    let later = "2999-01-01T00:00:00Z";
    let world = World::new(Some(license("other", 9, later)));
    let error = world.register(&world.session(), request("seoul")).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Refused, "license.platform", Some("platform"))
    );
    assert_eq!(world.documents("cluster").await, 0);

    let platform = world.sim.cloud("a").platform();
    let world = World::new(Some(license(platform, 2, later)));
    let id = world.register(&world.session(), request("seoul")).await.unwrap();
    let one = world.protect(&id, "one", &[2]).await.unwrap();
    let error = world.protect(&id, "two", &[0, 1]).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Refused, "license.instances", Some("instances"))
    );
    assert_eq!(world.documents("group").await, 1);
    world.session().protection_groups().delete(&one).await.unwrap();
    world.protect(&id, "two", &[0, 1]).await.unwrap();

    let world = World::new(Some(license(platform, 9, "1970-01-02T00:00:00Z")));
    let id = world.register(&world.session(), request("seoul")).await.unwrap();
    let error = world.protect(&id, "one", &[2]).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        (ErrorKind::Refused, "license.expired", Some("instances"))
    );
}
