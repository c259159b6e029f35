//! The notification centre: what is told, to whom, and how it leaves the product.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use life_kit::World;
use ns_core::model::{
    EventArea, EventCode, EventId, ForceRight, GroupId, Is, JobId, JobOperation, JobState, Language, PlanId,
    ProductEvent, Query, Recurrence, ReplicationMode, Severity, SnapshotInterval, Subscription, Timetable, UserRole,
};
use ns_core::ports::{Clock, Message, Sink};
use ns_core::session::{
    GroupUpdate, JobRequest, OperationRequest, ScheduleRequest, Session, SubscriptionRequest, SubscriptionUpdate,
};
use ns_core::store::{Store, Write};
use ns_core::{Actor, Engine, Error, ErrorKind, Settings};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// All events, oldest first.
async fn all(session: &Session) -> Vec<ProductEvent> {
    session.events().after(&EventId::at(0), 1000).await.unwrap().events
}

/// The codes of what was told after a place, in order.
async fn codes(world: &World, after: &EventId) -> Vec<EventCode> {
    let part = world.session().events().after(after, 1000).await.unwrap();
    part.events.iter().map(|e| e.code).collect()
}

async fn now(world: &World) -> EventId {
    let all = world.session().events().after(&EventId::at(0), 1000).await.unwrap();
    all.position
}

fn count(codes: &[EventCode], code: EventCode) -> usize {
    codes.iter().filter(|c| **c == code).count()
}

fn force() -> ForceRight {
    ForceRight {
        operator: "anna".into(),
        reason: "cut off".into(),
        accepts_data_loss: true,
        without_fence: false,
    }
}

async fn end(world: &World, job: &JobId, operation: JobOperation) -> JobState {
    let request = OperationRequest {
        reason: "decided on the phone".into(),
        ..Default::default()
    };
    world.session().jobs().operate(job, operation, request).await.unwrap();
    world.session().jobs().wait(job).await.unwrap().state
}

/// NTF-01, NTF-02, NTF-04, NTF-06, NTF-08: a protection, a drill and a failover tell what users wait for, each in the transaction that does it,
/// with just the parameters of its text.
#[tokio::test]
async fn ntf_01_ntf_02_ntf_06_ntf_08_a_job_tells_what_becomes_of_it() {
    use EventCode as C;
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let drill = JobRequest::drill(group.clone(), plan.clone());
    let drill = session.jobs().create(drill).await.unwrap();
    world.succeeded(&drill).await;
    world.operate(&drill, JobOperation::Rollback).await;
    let failover = JobRequest::failover(group.clone(), plan.clone());
    let failover = session.jobs().create(failover).await.unwrap();
    world.succeeded(&failover).await;
    world.operate(&failover, JobOperation::Rollback).await;

    let told = all(&session).await;
    let found: Vec<_> = told.iter().map(|e| e.code).collect();
    let of_drill = [C::JobStarted, C::JobSucceeded, C::JobFinished];
    let of_failover = [C::JobStarted, C::JobSucceeded, C::DecisionAwaited, C::JobFinished];
    let expected: Vec<_> = [C::Protected, C::PointMade]
        .into_iter()
        .chain(of_drill)
        .chain(of_failover)
        .collect();
    assert_eq!(found, expected);
    for (n, event) in told.iter().enumerate() {
        assert_eq!(event.id, EventId::at(n as u64 + 1));
        let names: Vec<_> = event.parameters.keys().map(String::as_str).collect();
        let mut declared = event.code.parameters().to_vec();
        declared.sort_unstable();
        assert_eq!(names, declared, "{}", event.code);
        assert_eq!((event.severity, event.area), (event.code.severity(), event.code.area()));
        assert_eq!(event.owner_group_id, Some("ops".into()));
        assert_eq!(
            (&event.about.group, &event.about.plan),
            (&Some(group.clone()), &Some(plan.clone()))
        );
        assert_eq!(&session.events().get(&event.id).await.unwrap(), event);
    }
    assert_eq!(
        told[2].text(Language::English),
        format!("The drill {drill} of group shop has started.")
    );
    assert!(told[2].text(Language::Korean).contains("시작되었습니다"));

    // An event stands beside the entry that it tells of.
    for writes in world.store.transactions() {
        let tells = |w: &Write| matches!(w, Write::Put { kind, .. } if kind == "event-new");
        let appends = |w: &Write| matches!(w, Write::Append { .. });
        assert!(!writes.iter().any(tells) || writes.iter().any(appends), "{writes:?}");
    }
    // Nothing waits for its place, and reading again tells nothing twice.
    assert!(world.store.list("event-new", None, 10).await.unwrap().is_empty());
    assert_eq!(all(&session).await, told);
}

/// NTF-08, OPEN-30: what users read of the catalogue is the catalogue.
#[test]
fn ntf_08_open_30_the_catalogue_is_in_the_documentation() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/notifications.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = EventCode::ALL.iter().map(|code| {
        let (english, korean) = (code.template(Language::English), code.template(Language::Korean));
        format!(
            "| `{code}` | {} | {} | {english} | {korean} |\n",
            code.area(),
            code.severity()
        )
    });
    let table: String = rows.collect();
    assert!(page.ends_with(&table), "docs/notifications.md is to end with\n{table}");
}

/// NTF-02, UI rows on events: filters, pages, newest first.
#[tokio::test]
async fn ntf_02_events_are_listed_newest_first_and_filtered() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let drill = session.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    world.succeeded(&drill).await;
    let events = session.events();
    let listed = events.list(&Query::default()).await.unwrap();
    let mut whole = all(&session).await;
    whole.reverse();
    assert_eq!(listed.items, whole);
    let first = events.list(&Query::default().limit(2)).await.unwrap();
    assert_eq!((first.items.as_slice(), first.total), (&whole[..2], whole.len()));
    let later = world.clock.now() + Duration::from_secs(1);
    let rest = Query::default().limit(1000).after(first.next.unwrap());
    assert_eq!(events.list(&rest).await.unwrap().items, &whole[2..]);
    for (query, expected) in [
        (Query::default().equal("job_id", drill.as_str()), 2),
        (Query::default().equal("code", "job.started"), 1),
        (Query::default().equal("area", "points"), 1),
        (Query::default().equal("severity", "critical"), 0),
        (Query::default().with("at", Is::AtLeast(later.to_string())), 0),
        (Query::default().search("JOB."), 2),
    ] {
        assert_eq!(events.list(&query).await.unwrap().total, expected, "{query:?}");
    }
    let error = events.list(&Query::default().equal("colour", "red")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let texts: Vec<_> = events.texts(Language::Korean).collect();
    assert_eq!(texts.len(), EventCode::ALL.len());
}

/// NTF-03, NTF-05: others see nothing of it, with the words of what does not exist.
#[tokio::test]
async fn ntf_03_ntf_05_only_the_own_groups_events_are_seen() {
    let (world, ..) = World::of(ReplicationMode::Snapshot, 1).await;
    let whole = all(&world.session()).await;
    assert!(!whole.is_empty());
    let see = |role, groups: &[&str]| {
        let groups: Vec<_> = groups.iter().map(|g| (*g).into()).collect();
        world.engine.session(Actor::member("mina", role, groups))
    };
    let theirs = see(UserRole::Viewer, &["ops"]);
    assert_eq!(all(&theirs).await, whole);
    let others = see(UserRole::Manager, &["bank"]);
    let part = others.events().after(&EventId::at(0), 1).await.unwrap();
    assert_eq!(
        (part.events.len(), &part.position),
        (0, &whole.last().unwrap().id),
        "passed over"
    );
    assert_eq!(others.events().list(&Query::default()).await.unwrap().total, 0);
    let hidden = others.events().get(&whole[0].id).await.unwrap_err();
    let missing = others.events().get(&EventId::at(999_999)).await.unwrap_err();
    assert_eq!((hidden.kind(), hidden.code()), (ErrorKind::NotFound, "event.not_found"));
    assert_eq!(
        hidden.to_string().replace(whole[0].id.as_str(), "X"),
        missing.to_string().replace(EventId::at(999_999).as_str(), "X")
    );
}

/// NTF-02: whoever goes on where they stopped misses nothing, whichever engine they ask and however many give places at once.
#[tokio::test]
async fn ntf_02_reading_goes_on_where_it_stopped() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let other = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .node("other")
        .build()
        .unwrap();
    let (here, there) = (world.session(), other.session(Actor::admin("bert")));
    let mut live = here.events().watch(&EventId::at(0));
    let drill = here.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    world.succeeded(&drill).await;
    let both = futures::future::join_all((0..10).map(|n| all(if n % 2 == 0 { &here } else { &there })));
    let answers = both.await;
    assert!(answers.iter().all(|a| a == &answers[0]));
    let (mut place, mut seen) = (EventId::at(0), Vec::new());
    loop {
        let session = if seen.len() % 2 == 0 { &here } else { &there };
        let part = session.events().after(&place, 1).await.unwrap();
        place = part.position;
        match part.events.is_empty() {
            true => break,
            false => seen.extend(part.events),
        }
    }
    assert_eq!(seen, answers[0]);
    let heard: Vec<_> = live.by_ref().take(seen.len()).map(Result::unwrap).collect().await;
    assert_eq!(heard, seen);

    for bad in ["", "7", "id000001", "-0000000000000000001"] {
        let error = here.events().after(&EventId::new(bad), 1).await.unwrap_err();
        let found = (error.kind(), error.code(), error.field());
        assert_eq!(found, (ErrorKind::Invalid, "event.place", Some("after")));
    }
    for limit in [0, 1001] {
        let error = here.events().after(&EventId::at(0), limit).await.unwrap_err();
        let found = (error.kind(), error.code(), error.field());
        assert_eq!(found, (ErrorKind::Invalid, "page.limit", Some("limit")));
    }
}

/// An engine of this world with other settings and sinks, in the place of the one it has.
async fn replace(world: &mut World, settings: Settings, sinks: &[(&str, Arc<Post>)]) {
    world.engine.shutdown().await;
    world.replace_by(engine(world, "local", settings, sinks)).await;
}

fn engine(world: &World, node: &str, settings: Settings, sinks: &[(&str, Arc<Post>)]) -> Engine {
    let mut builder = Engine::builder(world.store.clone())
        .clock(Arc::new(world.clock.clone()))
        .ids(world.ids.clone())
        .node(node)
        .settings(settings);
    for (name, sink) in sinks {
        builder = builder.sink(*name, sink.clone());
    }
    builder.build().unwrap()
}

fn quiet() -> Settings {
    let mut settings = Settings::default();
    settings.monitor = false;
    settings
}

/// NTF-07: what is older than it is kept is forgotten by the engine, and nothing else.
#[tokio::test]
async fn ntf_07_events_are_kept_for_their_time() {
    const DAY: u64 = 24 * 3600;
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let mut settings = quiet();
    settings.event_retention = Duration::from_secs(DAY);
    settings.watch_interval = Duration::from_secs(300);
    replace(&mut world, settings, &[]).await;
    let session = world.session();
    let before = all(&session).await;
    world.engine.start().await.unwrap();
    world.clock.sleep(Duration::from_secs(DAY - 900)).await;
    let drill = session.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    world.succeeded(&drill).await;
    assert_eq!(&all(&session).await[..before.len()], before, "all are kept yet");
    world.clock.sleep(Duration::from_secs(1500)).await;
    let kept = all(&session).await;
    assert!(kept.iter().all(|e| !before.contains(e)), "{kept:?}");
    assert!(kept.iter().any(|e| e.code == EventCode::JobStarted), "{kept:?}");
    assert_eq!(
        session
            .points()
            .list(&kept[0].about.group.clone().unwrap(), &Query::default())
            .await
            .unwrap()
            .total,
        1
    );
}

/// CL-11, CL-12: once when it begins and once when it ends, however often it is looked at.
#[tokio::test]
async fn ntf_01_cl_11_cl_12_a_cluster_that_is_away() {
    use EventCode as C;
    let (world, _, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    let start = now(&world).await;
    let source = session.clusters().by_name("site-a").await.unwrap().unwrap();
    world.sim.isolate("a");
    for _ in 0..3 {
        session.plans().assess(&plan).await.unwrap();
        session.clusters().sync(&source.id).await.unwrap_err();
    }
    let told = session.events().after(&start, 100).await.unwrap().events;
    let found: Vec<_> = told.iter().map(|e| e.code).collect();
    assert_eq!(found, [C::ClusterInactive, C::SyncFailed]);
    assert!(told.iter().all(|e| e.about.cluster == Some(source.id.clone())));
    assert_eq!(told[0].parameters["cluster"], "site-a");
    world.sim.revive("a");
    for _ in 0..2 {
        session.plans().assess(&plan).await.unwrap();
        session.clusters().sync(&source.id).await.unwrap();
    }
    assert_eq!(codes(&world, &start).await[2..], [C::ClusterActive, C::Synchronised]);
}

/// OPEN-07, PLAN-44: a Source that is lost makes an emergency, and after a while costs more than the objective allows; both are told
/// once, and once when they are over. It is no warning of the plan.
#[tokio::test]
async fn open_07_plan_44_rpo_breach_and_its_end() {
    use EventCode as C;
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let session = world.session();
    session.points().create(&group).await.unwrap();
    world.finish_all().await;
    world.clock.sleep(Duration::from_secs(120)).await;
    let start = now(&world).await;
    world.sim.isolate("a");
    session.plans().assess(&plan).await.unwrap();
    world.clock.sleep(Duration::from_secs(600)).await;
    let early = codes(&world, &start).await;
    assert_eq!(
        (count(&early, C::PlanEmergency), count(&early, C::RpoBreached)),
        (1, 0),
        "{early:?}"
    );
    world.clock.sleep(Duration::from_secs(3600)).await;
    let late = codes(&world, &start).await;
    assert_eq!(
        (count(&late, C::PlanEmergency), count(&late, C::RpoBreached)),
        (1, 1),
        "{late:?}"
    );
    assert_eq!(
        (count(&late, C::PlanWarning), count(&late, C::RpoMet)),
        (0, 0),
        "{late:?}"
    );
    let query = Query::default().equal("code", "rpo.breached");
    let breach = session.events().list(&query).await.unwrap().items.remove(0);
    assert_eq!(
        (breach.about.group, breach.severity),
        (Some(group.clone()), Severity::Error)
    );
    let since: Timestamp = breach.parameters["since"].parse().unwrap();
    assert!(breach.at.duration_since(since).as_secs() > 15 * 60);
    let now = session.protection_groups().rpo_breach(&group).await.unwrap().unwrap();
    assert_eq!((now.kept_to, now.seen_at), (since, breach.at));

    world.sim.revive("a");
    session.plans().assess(&plan).await.unwrap();
    session.points().create(&group).await.unwrap();
    world.finish_all().await;
    world.clock.sleep(Duration::from_secs(120)).await;
    let after = codes(&world, &start).await;
    assert_eq!(
        (count(&after, C::PlanNormal), count(&after, C::RpoMet)),
        (1, 1),
        "{after:?}"
    );
    assert_eq!(session.protection_groups().rpo_breach(&group).await.unwrap(), None);
    let standing = world.store.list("condition", None, 10).await.unwrap();
    assert!(standing.is_empty(), "{standing:?}");
}

/// OPEN-08: a point that is due and cannot be begun is told of once, not with every look.
#[tokio::test]
async fn open_08_a_point_that_is_skipped() {
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let session = world.session();
    let often = GroupUpdate {
        snapshot_interval: Some(Some(SnapshotInterval::minutes(10))),
        ..Default::default()
    };
    session.protection_groups().update(&group, often).await.unwrap();
    let failover = session.jobs().create(JobRequest::failover(group, plan)).await.unwrap();
    world.succeeded(&failover).await;
    let start = now(&world).await;
    world.clock.sleep(Duration::from_secs(3600)).await;
    // While the failover waits, its own events say how the plan stands.
    assert_eq!(codes(&world, &start).await, [EventCode::PointSkipped]);
    world.operate(&failover, JobOperation::Rollback).await;
    let start = now(&world).await;
    world.clock.sleep(Duration::from_secs(1800)).await;
    let found = codes(&world, &start).await;
    assert_eq!(count(&found, EventCode::PointSkipped), 0, "{found:?}");
    assert!(count(&found, EventCode::PointMade) >= 2, "{found:?}");
}

/// JOB-54, OPEN-10: what a schedule missed is told.
#[tokio::test]
async fn job_54_open_10_drills_that_were_missed() {
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    world.engine.start().await.unwrap();
    let request = ScheduleRequest {
        name: "nightly".into(),
        group_id: group,
        plan_id: plan,
        timetable: Timetable {
            recurrence: Recurrence::Daily { days: 1 },
            hour: 2,
            minute: 30,
            zone: "UTC".into(),
            begins: world.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date(),
            ends: None,
        },
        exclude: BTreeSet::new(),
    };
    let schedule = world.session().schedules().create(request).await.unwrap();
    let runs = world.session().schedules().next_runs(&schedule.id, 3).await.unwrap();
    world.engine.shutdown().await;
    let away = runs[2].duration_since(world.clock.now()).unsigned_abs() + Duration::from_secs(3600);
    world.clock.sleep(away).await;
    let start = now(&world).await;
    world.restart().await;
    world.clock.sleep(Duration::from_secs(300)).await;
    let told = world.session().events().after(&start, 100).await.unwrap().events;
    let missed = told.iter().find(|e| e.code == EventCode::RunsMissed).unwrap();
    assert_eq!(missed.parameters["count"], "2");
    assert_eq!(missed.about.schedule, Some(schedule.id));
    assert_eq!(
        told.iter().filter(|e| e.code == EventCode::WindowMissed).count(),
        1,
        "{told:?}"
    );
}

/// Both sides primary, and a source that comes back after a forced failover.
#[tokio::test]
async fn ntf_01_two_writers_and_a_source_that_returns() {
    use EventCode as C;
    let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    let session = world.session();
    world.engine.start().await.unwrap();
    let volumes = session.plans().get(&plan).await.unwrap().volumes;
    let image = volumes.values().next().unwrap().target.clone();
    world.sim.rbd("b", |rbd| rbd.promote(&image, true)).unwrap();
    world.clock.sleep(Duration::from_secs(200)).await;
    world.sim.rbd("b", |rbd| rbd.demote(&image)).unwrap();
    world.sim.rbd("b", |rbd| rbd.resync(&image)).unwrap();
    world.clock.sleep(Duration::from_secs(600)).await;
    let found = codes(&world, &EventId::at(0)).await;
    assert_eq!(
        (count(&found, C::TwoWriters), count(&found, C::OneWriter)),
        (1, 1),
        "{found:?}"
    );

    world.sim.isolate("a");
    let request = JobRequest {
        force: Some(force()),
        ..JobRequest::failover(group, plan)
    };
    let failover = session.jobs().create(request).await.unwrap();
    world.succeeded(&failover).await;
    let start = now(&world).await;
    for server in &world.sample.servers {
        world.sim.heartbeat("a", &server.id).unwrap();
    }
    world.sim.revive("a");
    world.clock.sleep(Duration::from_secs(180)).await;
    world.finish_all().await;
    let found = codes(&world, &start).await;
    assert_eq!(
        (count(&found, C::SourceReturned), count(&found, C::SourceFenced)),
        (1, 1),
        "{found:?}"
    );
    assert_eq!(end(&world, &failover, JobOperation::Rollback).await, JobState::Finished);
}

/// A sink that keeps what it delivers, and fails as long as it is told to.
#[derive(Debug, Default)]
struct Post {
    delivered: Mutex<Vec<Message>>,
    tries: Mutex<usize>,
    fails: Mutex<Option<ErrorKind>>,
}

#[async_trait]
impl Sink for Post {
    fn kind(&self) -> &'static str {
        "post"
    }
    fn check_address(&self, address: &str) -> ns_core::Result<()> {
        match address.contains('@') {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Invalid, "post.address", "there is no @ in it")
                .with_field("address")
                .with_remedy("give a mail address")),
        }
    }
    async fn deliver(&self, message: &Message) -> ns_core::Result<()> {
        *self.tries.lock().unwrap() += 1;
        if let Some(kind) = *self.fails.lock().unwrap() {
            return Err(Error::new(kind, "post.away", "nobody takes it"));
        }
        self.delivered.lock().unwrap().push(message.clone());
        Ok(())
    }
}

impl Post {
    fn delivered(&self) -> Vec<Message> {
        self.delivered.lock().unwrap().clone()
    }
    fn fail(&self, kind: Option<ErrorKind>) {
        *self.fails.lock().unwrap() = kind;
    }
}

fn request(sink: &str, minimum: Severity) -> SubscriptionRequest {
    SubscriptionRequest {
        minimum,
        areas: BTreeSet::new(),
        codes: BTreeSet::new(),
        language: Language::Korean,
        sink: sink.into(),
        address: "mina@example.org".into(),
    }
}

async fn stored(world: &World, kind: &str) -> Vec<String> {
    let records = world.store.list(kind, None, 1000).await.unwrap();
    records.into_iter().map(|r| r.body).collect()
}

async fn world_with(sinks: &[(&str, Arc<Post>)]) -> (World, GroupId, PlanId) {
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
    replace(&mut world, quiet(), sinks).await;
    (world, group, plan)
}

async fn drilled(world: &World, group: &GroupId, plan: &PlanId) -> JobId {
    let request = JobRequest::drill(group.clone(), plan.clone());
    let drill = world.session().jobs().create(request).await.unwrap();
    world.succeeded(&drill).await;
    world.operate(&drill, JobOperation::Rollback).await;
    drill
}

/// OPEN-43: subscriptions are one's own; what is refused names its field, and nothing is kept of it.
#[tokio::test]
async fn open_43_subscriptions_are_made_changed_and_refused() {
    let post = Arc::<Post>::default();
    let (world, ..) = world_with(&[("mail", post)]).await;
    let see = |name: &str, groups: &[&str]| {
        let groups: Vec<_> = groups.iter().map(|g| (*g).into()).collect();
        world.engine.session(Actor::member(name, UserRole::Viewer, groups))
    };
    let (mina, jun) = (see("mina", &["ops"]), see("jun", &["ops"]));
    for (bad, code, field) in [
        (request("pigeon", Severity::Info), "subscription.sink", "sink"),
        (
            SubscriptionRequest {
                address: "mina".into(),
                ..request("mail", Severity::Info)
            },
            "post.address",
            "address",
        ),
    ] {
        let error = mina.subscriptions().create(bad).await.unwrap_err();
        let found = (error.kind(), error.code(), error.field());
        assert_eq!(found, (ErrorKind::Invalid, code, Some(field)));
        assert!(error.remedy().is_some());
    }
    assert!(stored(&world, "subscription").await.is_empty());

    let made = mina
        .subscriptions()
        .create(request("mail", Severity::Error))
        .await
        .unwrap();
    assert_eq!(mina.subscriptions().get(&made.id).await.unwrap(), made);
    assert_eq!(jun.subscriptions().list(&Query::default()).await.unwrap().total, 0);
    let before = stored(&world, "subscription").await;
    let change = || SubscriptionUpdate {
        minimum: Some(Severity::Info),
        ..Default::default()
    };
    for error in [
        jun.subscriptions().get(&made.id).await.unwrap_err(),
        jun.subscriptions().update(&made.id, change()).await.unwrap_err(),
        jun.subscriptions().delete(&made.id).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::NotFound, "subscription.not_found")
        );
    }
    let bad = SubscriptionUpdate {
        address: Some("nowhere".into()),
        ..change()
    };
    let error = mina.subscriptions().update(&made.id, bad).await.unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("address")));
    assert_eq!(stored(&world, "subscription").await, before);

    // Their groups have changed since: their own update takes note of it, an Admin's does not.
    let moved = see("mina", &["bank"]);
    let by_admin = world
        .session()
        .subscriptions()
        .update(&made.id, change())
        .await
        .unwrap();
    assert_eq!((by_admin.minimum, &by_admin.groups), (Severity::Info, &made.groups));
    let by_mina = moved
        .subscriptions()
        .update(&made.id, SubscriptionUpdate::default())
        .await
        .unwrap();
    assert_eq!(by_mina.groups, BTreeSet::from(["bank".into()]));

    for _ in 1..20 {
        mina.subscriptions()
            .create(request("mail", Severity::Error))
            .await
            .unwrap();
    }
    let error = mina
        .subscriptions()
        .create(request("mail", Severity::Error))
        .await
        .unwrap_err();
    let found = (error.kind(), error.code(), error.field());
    assert_eq!(found, (ErrorKind::Refused, "subscription.count", Some("actor")));
    assert_eq!(stored(&world, "subscription").await.len(), 20);
    mina.subscriptions().delete(&made.id).await.unwrap();
    assert_eq!(
        world
            .session()
            .subscriptions()
            .list(&Query::default())
            .await
            .unwrap()
            .total,
        19
    );

    let bad = Engine::builder(world.store.clone())
        .sink("a/b", Arc::<Post>::default())
        .build()
        .unwrap_err();
    let found = (bad.kind(), bad.code(), bad.field());
    assert_eq!(found, (ErrorKind::Invalid, "name.characters", Some("sink")));
}

/// OPEN-43, NTF-05, NTF-09 (a sink of the host's own, as one for short messages is): everybody is told what they asked for and may
/// see, in their language, once.
#[tokio::test]
async fn open_43_ntf_05_messages_are_delivered() {
    let post = Arc::<Post>::default();
    let (world, group, plan) = world_with(&[("mail", post.clone())]).await;
    let see = |name: &str, of: &str| world.engine.session(Actor::member(name, UserRole::Viewer, [of.into()]));
    let jobs_only = SubscriptionRequest {
        areas: [EventArea::Jobs].into(),
        ..request("mail", Severity::Info)
    };
    let mina: Subscription = see("mina", "ops").subscriptions().create(jobs_only).await.unwrap();
    see("jun", "bank")
        .subscriptions()
        .create(request("mail", Severity::Info))
        .await
        .unwrap();
    world.engine.start().await.unwrap();
    let drill = drilled(&world, &group, &plan).await;
    world.clock.sleep(Duration::from_secs(60)).await;
    let messages = post.delivered();
    let found: Vec<_> = messages.iter().map(|m| m.code).collect();
    assert_eq!(
        found,
        [EventCode::JobStarted, EventCode::JobSucceeded, EventCode::JobFinished]
    );
    for message in &messages {
        assert_eq!(
            (&message.subscription_id, message.address.as_str()),
            (&mina.id, "mina@example.org")
        );
        let event = world.session().events().get(&message.event_id).await.unwrap();
        assert_eq!(message.text, event.text(Language::Korean));
        assert_eq!(message.about.job, Some(drill.clone()));
    }
    assert!(stored(&world, "delivery").await.is_empty());
}

/// OPEN-43: a message that is not taken is tried again with growing pauses, survives the engine, and is given up after a day, which is
/// told; one that will never be taken is given up at once.
#[tokio::test]
async fn open_43_messages_are_tried_again_and_given_up() {
    let post = Arc::<Post>::default();
    let sinks = [("mail", post.clone())];
    let (mut world, group, plan) = world_with(&sinks).await;
    let only = SubscriptionRequest {
        codes: [EventCode::JobStarted, EventCode::DeliveryGivenUp].into(),
        ..request("mail", Severity::Info)
    };
    world.session().subscriptions().create(only).await.unwrap();
    world.engine.start().await.unwrap();
    post.fail(Some(ErrorKind::Unavailable));
    drilled(&world, &group, &plan).await;
    world.clock.sleep(Duration::from_secs(3600)).await;
    let tries = *post.tries.lock().unwrap();
    assert!((5..=12).contains(&tries), "{tries} tries in an hour");
    assert_eq!(stored(&world, "delivery").await.len(), 1);
    // The engine dies, and the next one delivers it.
    replace(&mut world, quiet(), &sinks).await;
    post.fail(None);
    world.engine.start().await.unwrap();
    world.clock.sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(post.delivered().len(), 1);
    assert!(stored(&world, "delivery").await.is_empty());

    let given_up = async |world: &World| {
        let query = Query::default().equal("code", "notification.given_up");
        world.session().events().list(&query).await.unwrap().items
    };
    post.fail(Some(ErrorKind::Rejected));
    drilled(&world, &group, &plan).await;
    world.clock.sleep(Duration::from_secs(60)).await;
    let told = given_up(&world).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (
            told[0].parameters["sink"].as_str(),
            told[0].parameters["because"].as_str()
        ),
        ("mail", "post.away")
    );

    post.fail(Some(ErrorKind::Unavailable));
    drilled(&world, &group, &plan).await;
    world.clock.sleep(Duration::from_secs(23 * 3600)).await;
    assert_eq!(
        (given_up(&world).await.len(), stored(&world, "delivery").await.len()),
        (1, 1)
    );
    world.clock.sleep(Duration::from_secs(3 * 3600)).await;
    assert_eq!(given_up(&world).await.len(), 2);
    assert!(stored(&world, "delivery").await.is_empty());
    assert_eq!(post.delivered().len(), 1);
}

/// OPEN-43: of two engines on one store one delivers; the other takes its place.
#[tokio::test]
async fn open_43_two_engines_deliver_once() {
    let post = Arc::<Post>::default();
    let sinks = [("mail", post.clone())];
    let (world, group, plan) = world_with(&sinks).await;
    let only = SubscriptionRequest {
        codes: [EventCode::JobStarted].into(),
        ..request("mail", Severity::Info)
    };
    world.session().subscriptions().create(only).await.unwrap();
    let other = engine(&world, "other", quiet(), &sinks);
    world.engine.start().await.unwrap();
    other.start().await.unwrap();
    for n in 1..=3 {
        drilled(&world, &group, &plan).await;
        world.clock.sleep(Duration::from_secs(120)).await;
        assert_eq!(post.delivered().len(), n);
    }
    drilled(&world, &group, &plan).await;
    world.engine.shutdown().await;
    world.clock.sleep(Duration::from_secs(300)).await;
    let ids: BTreeSet<_> = post.delivered().into_iter().map(|m| m.event_id).collect();
    assert_eq!(ids.len(), 4);
    other.shutdown().await;
}

/// OPEN-43: a sink that no engine has any more holds nothing for ever, and that is told.
#[tokio::test]
async fn open_43_messages_that_nobody_delivers_are_given_up() {
    let post = Arc::<Post>::default();
    let (mut world, group, plan) = world_with(&[("mail", post.clone())]).await;
    let only = SubscriptionRequest {
        codes: [EventCode::JobStarted].into(),
        ..request("mail", Severity::Info)
    };
    world.session().subscriptions().create(only).await.unwrap();
    replace(&mut world, quiet(), &[]).await;
    world.engine.start().await.unwrap();
    drilled(&world, &group, &plan).await;
    world.clock.sleep(Duration::from_secs(47 * 3600)).await;
    assert_eq!(stored(&world, "delivery").await.len(), 1);
    world.clock.sleep(Duration::from_secs(3 * 3600)).await;
    assert!(stored(&world, "delivery").await.is_empty());
    let query = Query::default().equal("code", "notification.given_up");
    let told = world.session().events().list(&query).await.unwrap().items;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].parameters["because"], "sink.missing");
    assert!(post.delivered().is_empty());
}
