//! What the engine knows of clusters: synchronised thing by thing, every change told, kept through failures, followed from
//! engine to engine, seen only by whom it concerns.

use futures::StreamExt;
use ns_core::model::{
    Actor, AvailabilityZone, CloudId, ClusterChange, ClusterEvent, ClusterId, ConnectionState, Flavor, FloatingIp,
    Happened, Hypervisor, Instance, InventoryKind, Is, Keypair, Network, Port, Query, ResourceKind, Router,
    SecurityGroup, ServerGroup, Subnet, SyncState, Tenant, UserRole, Volume, VolumeGroup, VolumeSnapshot, VolumeType,
};
use ns_core::ports::Clock;
use ns_core::session::ClusterRequest;
use ns_core::sim::{Effect, Fault, Part, SimClock, SimWorld};
use ns_core::store::{MemoryStore, Store, Write};
use ns_core::{Engine, ErrorKind, Providers, Session, Settings};
use std::sync::Arc;
use std::time::Duration;

struct World {
    sim: SimWorld,
    clock: SimClock,
    store: Arc<MemoryStore>,
    engine: Engine,
}

impl World {
    fn new() -> Self {
        let clock = SimClock::new();
        let sim = SimWorld::new(Arc::new(clock.clone()), 7);
        sim.sample_group(3).unwrap();
        let store = Arc::<MemoryStore>::default();
        let engine = engine(&store, &clock, |_| {});
        Self {
            sim,
            clock,
            store,
            engine,
        }
    }

    fn session(&self) -> Session {
        self.engine.session(Actor::admin("anna"))
    }

    fn providers(&self, site: &str) -> Providers {
        Providers {
            cloud: self.sim.cloud(site),
            storage: self.sim.storage(site),
        }
    }

    async fn register(&self, site: &str, owner: &str) -> ClusterId {
        let request = ClusterRequest {
            name: format!("site-{site}"),
            owner_group_id: owner.into(),
            note: String::new(),
        };
        let clusters = self.session();
        clusters
            .clusters()
            .register(request, self.providers(site))
            .await
            .unwrap()
            .id
    }

    async fn events(&self, id: &ClusterId, after: u64) -> Vec<ClusterEvent> {
        self.session().inventory().events(id, after, 1000).await.unwrap()
    }
}

fn engine(store: &Arc<MemoryStore>, clock: &SimClock, set: impl FnOnce(&mut Settings)) -> Engine {
    let mut settings = Settings::default();
    set(&mut settings);
    Engine::builder(store.clone())
        .clock(Arc::new(clock.clone()))
        .settings(settings)
        .build()
        .unwrap()
}

/// Kind, what happened, name and changed fields of each event.
fn told(events: &[ClusterEvent]) -> Vec<String> {
    let one = |event: &ClusterEvent| match &event.change {
        ClusterChange::Resource {
            kind,
            name,
            happened,
            fields,
            ..
        } => format!("{} {happened:?} {name} {}", kind.as_str(), fields.join(","))
            .trim_end()
            .to_owned(),
        other => format!("{other:?}"),
    };
    events.iter().map(one).collect()
}

/// Changes one volume, one instance and one tenant of site `a`, and adds and removes a tenant.
fn change_things(sim: &SimWorld) {
    sim.edit("a", |all| {
        all.volumes.values_mut().next().unwrap().size_gib += 1;
        all.instances.values_mut().next().unwrap().host = Some("other".into());
        let mut tenant = all.tenants.values().next().unwrap().clone();
        all.tenants.values_mut().next().unwrap().name = "renamed".into();
        tenant.id = "new".into();
        tenant.name = "new".into();
        all.tenants.insert(tenant.id.clone(), tenant);
    });
}

#[tokio::test]
async fn cl_09_cl_12_cl_18_inv_13_to_21_a_synchronisation_finds_every_kind_and_tells_each_change() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    let session = world.session();
    assert_eq!(*session.inventory().whole(&id).await.unwrap(), world.sim.inventory("a"));
    assert_eq!(
        told(&world.events(&id, 0).await),
        ["Reread"],
        "the first is not told thing by thing"
    );
    assert!(matches!(
        session.clusters().get(&id).await.unwrap().sync,
        SyncState::Done { .. }
    ));

    session.clusters().sync(&id).await.unwrap();
    assert_eq!(world.events(&id, 1).await.len(), 0, "nothing changed, nothing is told");

    change_things(&world.sim);
    let now = session.clusters().sync(&id).await.unwrap();
    assert_eq!(*now, world.sim.inventory("a"));
    let events = world.events(&id, 1).await;
    let mut found = told(&events);
    found.sort();
    let first = |kind: ResourceKind| now.ids(kind).next().unwrap().clone();
    let (volume, instance) = (first(ResourceKind::Volume), first(ResourceKind::Instance));
    assert_eq!(
        found,
        [
            format!("instance Changed {} host", now.instances[&instance].name),
            "tenant Added new".to_owned(),
            "tenant Changed renamed name".to_owned(),
            format!("volume Resized {} size_gib", now.volumes[&volume].name),
        ]
    );
    assert_eq!(events.iter().map(|e| e.position).collect::<Vec<_>>(), [2, 3, 4, 5]);

    world.sim.edit("a", |all| all.tenants.remove(&"new".into()));
    session.clusters().sync(&id).await.unwrap();
    assert_eq!(told(&world.events(&id, 5).await), ["tenant Removed new"]);
    let gone = session.inventory().get::<Tenant>(&id, &"new".into()).await.unwrap_err();
    assert_eq!((gone.kind(), gone.code()), (ErrorKind::NotFound, "tenant.not_found"));
}

#[tokio::test]
async fn open_12_the_last_good_inventory_is_kept_when_the_cloud_breaks_off() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    let before = world.session().inventory().whole(&id).await.unwrap();
    change_things(&world.sim);
    world.sim.faults().inject(
        Fault::new("a", Part::Cloud, Effect::Error(ErrorKind::Unavailable))
            .verb("inventory")
            .times(1),
    );
    let error = world.session().clusters().sync(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(world.session().inventory().whole(&id).await.unwrap(), before);
    assert_eq!(world.events(&id, 1).await.len(), 0);
    let SyncState::Failed { reason, complete_at } = world.session().clusters().get(&id).await.unwrap().sync else {
        panic!("it failed")
    };
    assert!(!reason.is_empty() && complete_at.is_some());
    world.session().clusters().sync(&id).await.unwrap();
    assert_eq!(
        *world.session().inventory().whole(&id).await.unwrap(),
        world.sim.inventory("a")
    );
}

/// Two engines on one store: what one learns the other knows, by what was told and, after very much, by reading anew.
#[tokio::test]
async fn inv_01_what_one_engine_learns_all_engines_know() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    let other = engine(&world.store, &world.clock, |_| {});
    let (here, there) = (world.session(), other.session(Actor::admin("bert")));
    assert_eq!(
        there.inventory().whole(&id).await.unwrap(),
        here.inventory().whole(&id).await.unwrap()
    );

    change_things(&world.sim);
    here.clusters().sync(&id).await.unwrap();
    assert_eq!(*there.inventory().whole(&id).await.unwrap(), world.sim.inventory("a"));

    world.sim.edit("a", |all| {
        let tenant = all.tenants.values().next().unwrap().clone();
        for n in 0..1500 {
            let id = format!("many-{n:04}").into();
            all.tenants
                .insert(ns_core::model::CloudId::clone(&id), Tenant { id, ..tenant.clone() });
        }
    });
    here.clusters().sync(&id).await.unwrap();
    assert_eq!(told(&world.events(&id, 5).await), ["Reread"]);
    assert_eq!(*there.inventory().whole(&id).await.unwrap(), world.sim.inventory("a"));

    other.attach(&id, world.providers("a"));
    world
        .sim
        .edit("a", |all| all.tenants.retain(|id, _| !id.as_str().starts_with("many-")));
    let (one, two) = (async { here.clusters().sync(&id).await }, async {
        there.clusters().sync(&id).await
    });
    let (one, two) = futures::join!(one, two);
    assert_eq!(*one.unwrap(), world.sim.inventory("a"));
    assert_eq!(
        *two.unwrap(),
        world.sim.inventory("a"),
        "both synchronise at once, and neither undoes the other's"
    );
}

#[tokio::test]
async fn cl_19_an_unregistered_cluster_leaves_nothing_behind() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    let other = world.register("b", "shop").await;
    world.session().clusters().delete(&id).await.unwrap();
    for kind in ["cluster", "resource", "inventory-head", "cluster-event"] {
        let left = world.store.list(kind, None, 1000).await.unwrap();
        assert!(!left.is_empty(), "the other cluster's are there");
        assert!(left.iter().all(|r| r.id.starts_with(other.as_str())), "{kind}");
    }
}

/// Every kind of thing is listed whole, found by its id, and ordered by its name.
#[tokio::test]
async fn inv_02_to_12_every_kind_is_listed_and_read() {
    let world = World::new();
    let site = world.sim.inventory("a");
    let volume = site.volumes.keys().next().unwrap().clone();
    world.sim.snapshot_volume("a", &volume).unwrap();
    world.sim.edit("a", |all| {
        let id: CloudId = "volumes-together".into();
        let group = VolumeGroup {
            id: id.clone(),
            name: "together".into(),
            tenant_id: all.tenants.keys().next().unwrap().clone(),
            status: "available".into(),
            volume_type_ids: all.volume_types.keys().cloned().collect(),
        };
        all.volume_groups.insert(id, group);
        let id: CloudId = "apart".into();
        let group = ServerGroup {
            id: id.clone(),
            name: "apart".into(),
            policy: "anti-affinity".into(),
            members: all.instances.keys().cloned().collect(),
        };
        all.server_groups.insert(id, group);
    });
    let id = world.register("a", "shop").await;
    let session = world.session();
    let (site, mut kinds) = (world.sim.inventory("a"), 0);
    macro_rules! kind {
        ($($ty:ty),*) => {$({
            let there = <$ty as InventoryKind>::all_in(&site);
            let query = Query::default().sort("name");
            let listed = session.inventory().list::<$ty>(&id, &query).await.unwrap();
            assert_eq!((listed.total, listed.items.len()), (there.len(), there.len()));
            assert!(listed.items.iter().is_sorted_by_key(|thing| &thing.name));
            for thing in &listed.items {
                assert_eq!(&session.inventory().get::<$ty>(&id, &thing.id).await.unwrap(), thing);
                let same = Query::default().equal("id", thing.id.as_str());
                assert_eq!(session.inventory().list::<$ty>(&id, &same).await.unwrap().items.first(), Some(thing));
            }
            kinds += usize::from(!there.is_empty());
        })*};
    }
    kind!(
        Tenant,
        AvailabilityZone,
        Hypervisor,
        Network,
        Subnet,
        Router,
        FloatingIp,
        Port,
        SecurityGroup,
        Flavor,
        Keypair,
        VolumeType,
        Volume,
        VolumeGroup,
        VolumeSnapshot,
        ServerGroup,
        Instance
    );
    let empty: Vec<_> = ResourceKind::ALL
        .iter()
        .filter(|k| site.ids(**k).next().is_none())
        .collect();
    assert_eq!(kinds, ResourceKind::ALL.len(), "nothing to look at of {empty:?}");
}

#[tokio::test]
async fn inv_01_usr_03_queries_answer_to_whom_it_concerns() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    let as_of = |role, group: &str| world.engine.session(Actor::member("mina", role, [group.into()]));
    let viewer = as_of(UserRole::Viewer, "shop");
    let query = Query::default()
        .with("name", Is::Containing("-".into()))
        .sort_descending("name")
        .limit(2);
    let part = viewer.inventory().list::<Instance>(&id, &query).await.unwrap();
    assert_eq!((part.items.len(), part.total), (2, 3));
    assert!(part.items[0].name > part.items[1].name);
    let rest = query.after(part.next.unwrap());
    let rest = viewer.inventory().list::<Instance>(&id, &rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
    let boot = &part.items[0].volume_ids[0];
    let of_it = Query::default().equal("instance_ids", part.items[0].id.as_str());
    let volumes = viewer.inventory().list::<Volume>(&id, &of_it).await.unwrap();
    assert!(volumes.items.iter().any(|v| &v.id == boot));

    let stranger = as_of(UserRole::Manager, "bank");
    let unknown = world.session().clusters().get(&"none".into()).await.unwrap_err();
    for error in [
        stranger.clusters().get(&id).await.unwrap_err(),
        stranger.clusters().delete(&id).await.unwrap_err(),
        stranger.clusters().sync(&id).await.unwrap_err(),
        stranger.inventory().whole(&id).await.unwrap_err(),
        stranger
            .inventory()
            .list::<Volume>(&id, &Query::default())
            .await
            .unwrap_err(),
        stranger.inventory().events(&id, 0, 1).await.unwrap_err(),
        stranger.inventory().watch(&id, 0).next().await.unwrap().unwrap_err(),
        stranger
            .protection_groups()
            .unprotected(&id, &Query::default())
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), unknown.code(), "as if it were not there");
        assert_eq!(error.message().replace(id.as_str(), "none"), unknown.message());
    }
    assert_eq!(stranger.clusters().list(&Query::default()).await.unwrap().total, 0);
    assert_eq!(viewer.clusters().list(&Query::default()).await.unwrap().total, 1);

    for error in [
        viewer.clusters().sync(&id).await.unwrap_err(),
        viewer.clusters().delete(&id).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Denied, "access.role"),
            "CL-25"
        );
    }
    assert!(world.session().clusters().get(&id).await.is_ok());
}

#[tokio::test]
async fn evt_12_evt_14_a_started_engine_finds_by_itself_what_changed() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    let looking = engine(&world.store, &world.clock, |s| {
        s.sync_interval = Duration::from_secs(120)
    });
    looking.attach(&id, world.providers("a"));
    looking.start().await.unwrap();
    change_things(&world.sim);
    let mut events = looking.session(Actor::admin("bert")).inventory().watch(&id, 1);
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(events.next().await.unwrap().unwrap());
    }
    assert!(told(&seen).contains(&"tenant Added new".to_owned()));
    world.sim.edit("a", |all| all.tenants.remove(&"new".into()));
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(told(&[event]), ["tenant Removed new"], "and again, after the interval");
    looking.shutdown().await;
}

/// CL-11, OPEN-12: three failed probes in a row, and two good ones.
#[tokio::test]
async fn evt_01_cl_11_open_12_a_lost_connection_is_noticed_and_a_regained_one() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    world.engine.start().await.unwrap();
    let session = world.session();
    let mut events = session.inventory().watch(&id, 1);
    let begun = world.clock.now();
    world.sim.kill("a");
    assert_eq!(told(&[events.next().await.unwrap().unwrap()]), ["Disconnected"]);
    let took = world.clock.now().duration_since(begun).as_secs();
    assert!((60..=240).contains(&took), "three probes, 30 s apart, took {took} s");
    assert_eq!(
        session.clusters().get(&id).await.unwrap().connection,
        ConnectionState::Inactive
    );
    world.sim.revive("a");
    loop {
        // What the site holds after its return may differ; that is told as well.
        let event = events.next().await.unwrap().unwrap();
        if event.change == ClusterChange::Connected {
            break;
        }
        assert!(matches!(
            event.change,
            ClusterChange::Resource {
                happened: Happened::Changed,
                ..
            }
        ));
    }
    assert_eq!(
        session.clusters().get(&id).await.unwrap().connection,
        ConnectionState::Active
    );
    world.engine.shutdown().await;
}

/// Earlier versions kept a whole inventory as one document: with the Source lost it is all there is.
#[tokio::test]
async fn inv_01_what_an_earlier_version_kept_is_read_until_it_is_synchronised() {
    let world = World::new();
    let id = world.register("a", "shop").await;
    let was = world.session().inventory().whole(&id).await.unwrap();
    let mut writes = vec![Write::Put {
        kind: "inventory".into(),
        id: id.to_string(),
        expected: Some(0),
        body: serde_json::to_string(&*was).unwrap(),
    }];
    for kind in ["resource", "inventory-head", "cluster-event"] {
        let all = world.store.list(kind, None, 10_000).await.unwrap();
        writes.extend(all.into_iter().map(|r| Write::Remove { kind: r.kind, id: r.id }));
    }
    world.store.commit(writes).await.unwrap();
    let later = engine(&world.store, &world.clock, |_| {});
    later.attach(&id, world.providers("a"));
    let session = later.session(Actor::admin("anna"));
    assert_eq!(session.inventory().whole(&id).await.unwrap(), was);
    change_things(&world.sim);
    assert_eq!(*session.clusters().sync(&id).await.unwrap(), world.sim.inventory("a"));
    assert!(world.store.list("inventory", None, 10).await.unwrap().is_empty());
}
