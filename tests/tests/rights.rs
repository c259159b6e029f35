//! Every cell of the matrix of rights (USR-02, tables 1 and 17): role, part of the product, what is done, and whose it is, through the
//! face that users of the library call. What a role may do is let through to the rules, or done; what it may not do is refused before
//! anything is touched, and written down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod life_kit;

use life_kit::World;
use ns_core::engine::SettingsUpdate;
use ns_core::model::{
    Area, AuditOutcome, ClusterId, GroupId, JobId, JobOperation, OwnerGroupId, PlanId, Query, ReplicationMode, User,
    UserGroup, UserId, UserRole, Verb,
};
use ns_core::session::{
    ClusterRequest, ClusterUpdate, GroupRequest, GroupUpdate, JobRequest, OperationRequest, PlanUpdate,
    UserGroupRequest, UserGroupUpdate, UserRequest, UserUpdate,
};
use ns_core::store::Store;
use ns_core::{Actor, Error, ErrorKind, Session, rules};

/// One of everything that belongs to the group `ops`; nothing of it can be removed as it is used, so that one world serves every cell.
struct Things {
    world: World,
    cluster: ClusterId,
    group: GroupId,
    plan: PlanId,
    job: JobId,
    users: OwnerGroupId,
    user: UserId,
}

impl Things {
    async fn new() -> Self {
        let (world, group, plan) = World::of(ReplicationMode::Snapshot, 1).await;
        let session = world.session();
        let cluster = session.clusters().by_name("site-a").await.unwrap().unwrap().id;
        let job = session
            .jobs()
            .create(JobRequest::drill(group.clone(), plan.clone()))
            .await
            .unwrap();
        world.succeeded(&job).await;
        session
            .jobs()
            .operate(&job, JobOperation::Rollback, OperationRequest::default())
            .await
            .unwrap();
        session.jobs().wait(&job).await.unwrap();
        // The owner of clusters and groups, as a group of users.
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let group_of_users = UserGroup {
            id: "ops".into(),
            name: "ops".into(),
            description: String::new(),
            created_by: "anna".into(),
            created_at: now,
            modified_at: now,
        };
        let body = serde_json::to_string(&group_of_users).unwrap();
        let write = ns_core::store::Write::Put {
            kind: "user-group".into(),
            id: "ops".into(),
            expected: None,
            body,
        };
        world.store.commit(vec![write]).await.unwrap();
        // One that no role deletes.
        let mut kept = session.reports().get(&job).await.unwrap();
        (kept.facts.job.id, kept.facts.job.kind) = ("kept".into(), "failover".into());
        let write = ns_core::store::Write::Put {
            kind: "report".into(),
            id: "kept".into(),
            expected: None,
            body: serde_json::to_string(&kept).unwrap(),
        };
        world.store.commit(vec![write]).await.unwrap();
        let request = request("uwe", &group_of_users.id);
        let (User { id: user, .. }, _) = session.users().create(request).await.unwrap();
        Self {
            world,
            cluster,
            group,
            plan,
            job,
            users: group_of_users.id,
            user,
        }
    }

    /// Everything that is stored but the audit trail.
    async fn stored(&self) -> Vec<(String, String, u64)> {
        let mut all = Vec::new();
        for kind in ns_core::engine::DOCUMENTS.iter().filter(|k| **k != "audit") {
            let records = self.world.store.list(kind, None, 1000).await.unwrap();
            all.extend(records.into_iter().map(|r| (r.kind, r.id, r.version)));
        }
        all
    }

    /// Calls with all verbs of a cell. Those that are allowed change nothing, or are refused by a rule.
    async fn calls(&self, s: &Session, area: Area, verb: Verb) -> Vec<(&'static str, Result<(), Error>)> {
        let (cluster, group, plan, job) = (&self.cluster, &self.group, &self.plan, &self.job);
        let reason = OperationRequest::default;
        match (area, verb) {
            (Area::Clusters, Verb::Create) => {
                // The name is taken: the first rule behind the right and the owner.
                let request = ClusterRequest {
                    name: "site-a".into(),
                    owner_group_id: "ops".into(),
                    note: String::new(),
                };
                vec![(
                    "register",
                    s.clusters()
                        .register(request, self.world.providers("a"))
                        .await
                        .map(drop),
                )]
            }
            (Area::Clusters, Verb::Update) => vec![
                (
                    "update",
                    s.clusters().update(cluster, ClusterUpdate::default()).await.map(drop),
                ),
                (
                    "remove_volume_metadata",
                    s.clusters().remove_volume_metadata(cluster, "none").await,
                ),
            ],
            (Area::Clusters, Verb::Delete) => vec![("delete", s.clusters().delete(cluster).await)],
            (Area::Clusters, Verb::Read) => vec![
                ("get", s.clusters().get(cluster).await.map(drop)),
                ("inventory", s.inventory().whole(cluster).await.map(drop)),
                ("list", some(s.clusters().list(&Query::default()).await.unwrap().total)),
            ],
            (Area::ProtectionGroups, Verb::Create) => {
                let request = GroupRequest {
                    name: "shop".into(),
                    description: String::new(),
                    owner_group_id: "ops".into(),
                    source_cluster: cluster.clone(),
                    instances: self.world.sample.server_ids(),
                    rpo_minutes: 15,
                    rto_minutes: 30,
                    snapshot_interval: None,
                };
                vec![("create", s.protection_groups().create(request).await.map(drop))]
            }
            (Area::ProtectionGroups, Verb::Update) => {
                let bad = GroupUpdate {
                    name: Some("no name".into()),
                    ..Default::default()
                };
                vec![("update", s.protection_groups().update(group, bad).await.map(drop))]
            }
            (Area::ProtectionGroups, Verb::Delete) => vec![("delete", s.protection_groups().delete(group).await)],
            (Area::ProtectionGroups, Verb::Read) => vec![
                ("get", s.protection_groups().get(group).await.map(drop)),
                ("points", s.points().list(group, &Query::default()).await.map(drop)),
                (
                    "list",
                    some(s.protection_groups().list(&Query::default()).await.unwrap().total),
                ),
            ],
            (Area::Plans, Verb::Create) => {
                let suggested = self
                    .world
                    .session()
                    .plans()
                    .suggest(group, &self.target().await)
                    .await
                    .unwrap();
                vec![("create", s.plans().create(suggested).await.map(drop))]
            }
            (Area::Plans, Verb::Update) => {
                let bad = PlanUpdate {
                    name: Some("no name".into()),
                    ..Default::default()
                };
                vec![("update", s.plans().update(plan, bad).await.map(drop))]
            }
            (Area::Plans, Verb::Delete) => {
                // A job of the group is in the way, for as long as it waits for its time.
                let later = ns_core::model::ExecutionType::AtDateTime {
                    at: "2199-01-01T00:00:00Z".parse().unwrap(),
                };
                let request = JobRequest {
                    execution: later,
                    ..JobRequest::drill(group.clone(), plan.clone())
                };
                let waiting = self.world.session().jobs().create(request).await.unwrap();
                let before = self.stored().await;
                let result = s.plans().delete(plan).await.map(drop);
                assert_eq!(self.stored().await, before);
                self.world.session().jobs().delete(&waiting, false).await.unwrap();
                vec![("delete", result)]
            }
            (Area::Plans, Verb::Read) => vec![
                ("get", s.plans().get(plan).await.map(drop)),
                ("changes", s.plans().changes(plan, &Query::default()).await.map(drop)),
                ("list", some(s.plans().list(&Query::default()).await.unwrap().total)),
            ],
            (Area::Jobs, Verb::Create) => {
                let nothing = JobRequest {
                    exclude: self.world.sample.server_ids().into_iter().collect(),
                    ..JobRequest::drill(group.clone(), plan.clone())
                };
                vec![("create", s.jobs().create(nothing).await.map(drop))]
            }
            (Area::Jobs, Verb::Update) => vec![
                (
                    "operate",
                    s.jobs().operate(job, JobOperation::Rollback, reason()).await.map(drop),
                ),
                ("extend", s.jobs().extend(job, 5).await.map(drop)),
                (
                    "reschedule",
                    s.jobs().reschedule(job, jiff::Timestamp::MAX).await.map(drop),
                ),
            ],
            (Area::Jobs, Verb::Delete) => vec![("delete", s.jobs().delete(job, false).await)],
            (Area::Jobs, Verb::Read) => vec![
                ("get", s.jobs().get(job).await.map(drop)),
                ("journal", s.jobs().journal(job).await.map(drop)),
                ("list", some(s.jobs().list(&Query::default()).await.unwrap().total)),
            ],
            (Area::Results, Verb::Read) => vec![
                ("get", s.reports().get(job).await.map(drop)),
                ("list", some(s.reports().list(&Query::default()).await.unwrap().total)),
            ],
            (Area::Users, Verb::Create) => {
                vec![("create", s.users().create(request("uwe", &self.users)).await.map(drop))]
            }
            (Area::Users, Verb::Update) => {
                let mail = UserUpdate {
                    mail: Some("none".into()),
                    ..Default::default()
                };
                let bad = UserGroupUpdate {
                    name: Some("no name".into()),
                    ..Default::default()
                };
                vec![
                    ("update", s.users().update(&self.user, mail).await.map(drop)),
                    ("unlock", s.users().unlock(&self.user).await),
                    ("force_logout", s.users().force_logout(&self.user).await),
                    ("group", s.user_groups().update(&self.users, bad).await.map(drop)),
                    (
                        "add_member",
                        s.user_groups().add_member(&self.users, &self.user).await.map(drop),
                    ),
                ]
            }
            (Area::Users, Verb::Delete) => {
                vec![("group", s.user_groups().delete(&self.users).await)]
            }
            (Area::Users, Verb::Read) => vec![
                ("get", s.users().get(&self.user).await.map(drop)),
                ("group", s.user_groups().get(&self.users).await.map(drop)),
                (
                    "list",
                    some(s.users().list(&Query::default()).await.map_or(0, |l| l.total)),
                ),
            ],
            (Area::Results, Verb::Delete) => vec![("delete", s.reports().delete(&"kept".into()).await)],
            (Area::License, Verb::Create) => vec![("register", s.licence().register("none").await.map(drop))],
            (Area::License, Verb::Update) => vec![("renew", s.licence().renew("none").await.map(drop))],
            (Area::License, Verb::Read) => vec![("get", s.licence().get().await.map(drop))],
            (Area::Settings, Verb::Update) => vec![
                ("update", s.settings().update(&SettingsUpdate::new()).await.map(drop)),
                ("reset", s.settings().reset(&[]).await.map(drop)),
            ],
            (Area::Settings, Verb::Read) => vec![
                ("get", s.settings().get().await.map(drop)),
                ("bundle", s.support().bundle().await.map(drop)),
            ],
            // No verb of a session: nobody makes or changes results, deletes a licence, makes or deletes settings.
            (Area::Results | Area::License | Area::Settings, _) => Vec::new(),
        }
    }

    async fn target(&self) -> ClusterId {
        self.world
            .session()
            .clusters()
            .by_name("site-b")
            .await
            .unwrap()
            .unwrap()
            .id
    }
}

fn request(id: &str, group: &OwnerGroupId) -> UserRequest {
    UserRequest {
        id: id.into(),
        name: id.into(),
        mail: format!("{id}@example.org"),
        role: UserRole::Viewer,
        groups: [group.clone()].into(),
    }
}

/// A list that shows nothing shows that one may not see it.
fn some(total: usize) -> Result<(), Error> {
    match total {
        0 => Err(Error::new(ErrorKind::NotFound, "list.empty", "nothing is to be seen")),
        _ => Ok(()),
    }
}

/// Whether a call came past rights and ownership: it was done, or a rule of the product refused it.
fn let_through(result: &Result<(), Error>) -> bool {
    result
        .as_ref()
        .err()
        .is_none_or(|e| !matches!(e.kind(), ErrorKind::Denied | ErrorKind::NotFound))
}

/// All cells, each in turn: 4 roles, 8 parts of the product, 4 verbs, own and other group.
#[tokio::test]
async fn usr_01_usr_02_usr_03_cl_25_pg_27_plan_34_job_60_res_08_every_cell() {
    use UserRole::{Admin, Manager, Operator, Viewer};
    let things = Things::new().await;
    let areas = rules::RIGHTS.iter().map(|(area, _)| *area);
    let verbs = [Verb::Read, Verb::Create, Verb::Update, Verb::Delete];
    let (mut cells, mut calls, mut wrong) = (0, 0, Vec::new());
    for area in areas {
        for (role, verb, own) in [Admin, Manager, Operator, Viewer]
            .into_iter()
            .flat_map(|r| verbs.map(|v| (r, v)))
            .flat_map(|(r, v)| [(r, v, true), (r, v, false)])
        {
            let name = format!("{}-{}", role.as_str(), if own { "own" } else { "other" });
            let group = if own { "ops" } else { "elsewhere" };
            let session = things.world.engine.session(Actor::member(&name, role, [group.into()]));
            let right = rules::may(role, area, verb);
            // Licence and settings are nobody's own.
            let owned = !matches!(area, Area::License | Area::Settings);
            let expected = right && (own || role == Admin || !owned);
            cells += 1;
            let before = things.stored().await;
            for (call, result) in things.calls(&session, area, verb).await {
                calls += 1;
                let cell = format!("{name} {area:?} {verb:?} {call}: {result:?}");
                if let_through(&result) != expected {
                    wrong.push(cell.clone());
                }
                if !right && verb != Verb::Read && result.err().is_none_or(|e| e.code() != "access.role") {
                    wrong.push(format!("{cell}, not by role"));
                }
            }
            // A job that waits for its time was made and deleted around the call; everything else is as it was.
            let same = |s: &[(String, String, u64)]| -> Vec<_> {
                s.iter()
                    .filter(|(kind, ..)| !matches!(kind.as_str(), "job" | "report"))
                    .cloned()
                    .collect()
            };
            if same(&things.stored().await) != same(&before) {
                wrong.push(format!("{name} {area:?} {verb:?} changed something"));
            }
        }
    }
    println!("{cells} cells, {calls} calls");
    assert_eq!((cells, wrong.join("\n")), (4 * 8 * 4 * 2, String::new()));
    assert!(calls > 250, "{calls}");
}

/// SEC-20: what a role may not do is in the audit trail, once for each attempt; reading is not.
#[tokio::test]
async fn sec_20_refused_attempts_are_written_down() {
    let things = Things::new().await;
    let viewer = things
        .world
        .engine
        .session(Actor::member("vera", UserRole::Viewer, ["ops".into()]));
    let mut attempts = 0;
    for (area, _) in rules::RIGHTS {
        for verb in [Verb::Read, Verb::Create, Verb::Update, Verb::Delete] {
            let calls = things.calls(&viewer, *area, verb).await.len();
            attempts += if verb == Verb::Read { 0 } else { calls };
        }
    }
    let told = things
        .world
        .session()
        .audit()
        .list(&Query::default().equal("actor", "vera").limit(1000))
        .await
        .unwrap();
    assert_eq!(told.total, attempts);
    let refused = AuditOutcome::Refused {
        code: "access.role".into(),
    };
    assert!(
        told.items
            .iter()
            .all(|e| e.outcome == refused && e.ended_at.is_some() && e.role == Some(UserRole::Viewer))
    );
}

/// SEC-20: every kind of change that a session made shows in the audit trail, with what was changed.
#[tokio::test]
async fn sec_20_changes_are_written_down() {
    let things = Things::new().await;
    let session = things.world.session();
    let note = ClusterUpdate {
        note: Some("in the old hall".into()),
        ..Default::default()
    };
    session.clusters().update(&things.cluster, note).await.unwrap();
    let rpo = GroupUpdate {
        rpo_minutes: Some(20),
        ..Default::default()
    };
    session.protection_groups().update(&things.group, rpo).await.unwrap();
    let kept = PlanUpdate {
        snapshot_retention: Some(9),
        ..Default::default()
    };
    session.plans().update(&things.plan, kept).await.unwrap();
    session
        .user_groups()
        .create(UserGroupRequest {
            name: "new".into(),
            description: String::new(),
        })
        .await
        .unwrap();
    let entries = session.audit().list(&Query::default().limit(1000)).await.unwrap().items;
    let actions: Vec<_> = entries
        .iter()
        .map(|e| (e.action.as_str(), e.outcome.as_str()))
        .collect();
    let expected = [
        "clusters.register",
        "clusters.register",
        "protection_groups.create",
        "plans.create",
        "jobs.create",
        "jobs.rollback",
        "users.create",
        "clusters.update",
        "protection_groups.update",
        "plans.update",
        "user_groups.create",
    ];
    assert_eq!(actions, expected.map(|action| (action, "done")));
    let change = |action: &str| {
        let entry = entries.iter().find(|e| e.action == action).unwrap();
        entry
            .changes
            .iter()
            .map(|(k, c)| (k.clone(), c.before.clone(), c.after.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        change("clusters.update"),
        [("note".into(), "".into(), "in the old hall".into())]
    );
    assert_eq!(
        change("protection_groups.update"),
        [("rpo_minutes".into(), 15.into(), 20.into())]
    );
    let plan = change("plans.update");
    assert!(
        plan.iter()
            .any(|(k, _, after)| k == "snapshot_retention" && *after == 9),
        "{plan:?}"
    );
}
