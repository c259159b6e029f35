//! Accounts, groups of users, logins and what the audit trail keeps of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use ns_core::model::{AuditOutcome, OwnerGroupId, Query, User, UserGroup, UserId, UserRole};
use ns_core::ports::{Clock, SequentialIds};
use ns_core::session::{AccountUpdate, ClusterRequest, UserGroupRequest, UserGroupUpdate, UserRequest, UserUpdate};
use ns_core::sim::{SimClock, SimWorld};
use ns_core::store::{MemoryStore, Store};
use ns_core::{Actor, Engine, Error, ErrorKind, Providers, Session, Settings};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const HERE: &str = "203.0.113.7";
const GOOD: &str = "correct horse battery";

struct House {
    clock: SimClock,
    store: Arc<MemoryStore>,
    ids: Arc<SequentialIds>,
    engine: Engine,
}

fn cheap() -> Settings {
    let mut settings = Settings::default();
    settings.password_memory_kib = 1024;
    settings.password_passes = 1;
    settings
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

impl House {
    fn new() -> Self {
        let (clock, store, ids) = (SimClock::new(), Arc::default(), Arc::default());
        let engine = engine(&store, &clock, &ids, cheap());
        Self {
            clock,
            store,
            ids,
            engine,
        }
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = cheap();
        change(&mut settings);
        let engine = engine(&self.store, &self.clock, &self.ids, settings);
        Self { engine, ..self }
    }

    /// The Admin of the installation, logged in with a password of their own.
    async fn installed(&self) -> Session {
        let first = self.engine.install_admin("root", "root@example.org").await.unwrap();
        self.settled("root", &first).await
    }

    /// Somebody who has changed the password that they were given.
    async fn settled(&self, id: &str, first: &SecretString) -> Session {
        let session = self.session(id, first).await;
        session.account().change_password(first, &secret(GOOD)).await.unwrap();
        self.session(id, &secret(GOOD)).await
    }

    async fn session(&self, id: &str, password: &SecretString) -> Session {
        let login = self.engine.log_in(id, password, HERE).await.unwrap();
        self.engine.authenticate(&login.token).await.unwrap()
    }

    async fn log_in(&self, id: &str, password: &str, origin: &str) -> Result<SecretString, Error> {
        let login = self.engine.log_in(id, &secret(password), origin).await?;
        Ok(login.token)
    }

    /// Everything that is stored but the audit trail.
    async fn stored(&self) -> Vec<(String, String, u64, String)> {
        let mut all = Vec::new();
        for kind in ns_core::engine::DOCUMENTS.iter().filter(|k| **k != "audit") {
            for r in self.store.list(kind, None, 1000).await.unwrap() {
                all.push((r.kind, r.id, r.version, r.body));
            }
        }
        all
    }

    /// That a call is refused like this, and nothing is changed by it.
    async fn refused<T: std::fmt::Debug>(
        &self,
        expected: (ErrorKind, &str, Option<&str>),
        call: impl Future<Output = Result<T, Error>>,
    ) -> Error {
        let before = self.stored().await;
        let error = call.await.unwrap_err();
        assert_eq!((error.kind(), error.code(), error.field()), expected, "{error}");
        assert!(error.remedy().is_some(), "{error}");
        assert_eq!(self.stored().await, before, "{error}");
        error
    }
}

fn engine(store: &Arc<MemoryStore>, clock: &SimClock, ids: &Arc<SequentialIds>, settings: Settings) -> Engine {
    Engine::builder(store.clone())
        .clock(Arc::new(clock.clone()))
        .ids(ids.clone())
        .settings(settings)
        .build()
        .unwrap()
}

fn anna(groups: &[&OwnerGroupId]) -> UserRequest {
    UserRequest {
        id: "Anna".into(),
        name: "Anna Kim".into(),
        mail: "anna@example.org".into(),
        role: UserRole::Operator,
        groups: groups.iter().map(|g| (*g).clone()).collect(),
    }
}

fn someone(id: &str, role: UserRole, groups: &[&OwnerGroupId]) -> UserRequest {
    UserRequest {
        id: id.into(),
        name: id.into(),
        mail: format!("{id}@example.org"),
        role,
        ..anna(groups)
    }
}

async fn group(session: &Session, name: &str) -> UserGroup {
    let request = UserGroupRequest {
        name: name.into(),
        description: String::new(),
    };
    session.user_groups().create(request).await.unwrap()
}

fn ids(users: Vec<User>) -> Vec<String> {
    users.into_iter().map(|u| u.id.to_string()).collect()
}

/// USR-06, USR-09, USR-13, USR-26, SEC-05, SEC-11: the first Admin exists by installation, once; the password that was given opens
/// nothing but the account until it is changed.
#[tokio::test]
async fn usr_06_usr_09_usr_26_sec_05_from_installation_to_work() {
    let house = House::new();
    let first = house.engine.install_admin("Root", "root@example.org").await.unwrap();
    let done = (ErrorKind::Refused, "install.done", Some("id"));
    house
        .refused(done, house.engine.install_admin("again", "again@example.org"))
        .await;

    let login = house.engine.log_in("ROOT", &first, HERE).await.unwrap();
    assert!(login.must_change_password);
    assert_eq!(login.user, UserId::from("root"));
    let shut = house.engine.authenticate(&login.token).await.unwrap();
    assert_eq!(shut.account().get().await.unwrap().role, UserRole::Admin);
    let must = (ErrorKind::Denied, "password.must_change", Some("actor"));
    house.refused(must, shut.users().create(anna(&[]))).await;
    assert_eq!(
        shut.users().list(&Query::default()).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    assert_eq!(
        shut.audit().list(&Query::default()).await.unwrap_err().kind(),
        ErrorKind::Denied
    );

    shut.account().change_password(&first, &secret(GOOD)).await.unwrap();
    let open = house.engine.authenticate(&login.token).await.unwrap();
    assert_eq!(open.users().list(&Query::default()).await.unwrap().total, 1);
    let old = house.log_in("root", first.expose_secret(), HERE).await.unwrap_err();
    assert_eq!((old.kind(), old.code()), (ErrorKind::Unauthenticated, "login.failed"));
    assert!(house.log_in("root", GOOD, HERE).await.is_ok());
}

/// USR-05, USR-07 … USR-10, USR-15, USR-16: what is refused leaves everything as it was.
#[tokio::test]
async fn usr_05_usr_07_usr_08_usr_09_usr_10_usr_15_accounts_are_guarded() {
    use ErrorKind::{Conflict, Denied, Invalid, NotFound, Refused};
    let house = House::new();
    let root = house.installed().await;
    let (shop, bank) = (group(&root, "shop").await.id, group(&root, "bank").await.id);
    let (made, _) = root.users().create(anna(&[&shop])).await.unwrap();
    assert_eq!((made.id.as_str(), made.created_by.as_str()), ("anna", "root"));
    root.users()
        .create(someone("otto", UserRole::Viewer, &[&bank]))
        .await
        .unwrap();
    let (_, first) = root
        .users()
        .create(someone("mina", UserRole::Manager, &[&shop]))
        .await
        .unwrap();
    let mina = house.settled("mina", &first).await;

    // Uniqueness, the same for everybody and whatever the case.
    let again = UserRequest {
        id: "ANNA".into(),
        mail: "other@example.org".into(),
        ..anna(&[])
    };
    house
        .refused((Conflict, "user.id_taken", Some("id")), root.users().create(again))
        .await;
    let again = UserRequest {
        mail: "ANNA@example.org".into(),
        ..someone("new", UserRole::Viewer, &[])
    };
    house
        .refused((Conflict, "user.mail_taken", Some("mail")), root.users().create(again))
        .await;
    let mail = UserUpdate {
        mail: Some("otto@example.org".into()),
        ..Default::default()
    };
    house
        .refused(
            (Conflict, "user.mail_taken", Some("mail")),
            root.users().update(&made.id, mail),
        )
        .await;
    let admin = someone("new", UserRole::Admin, &[]);
    house
        .refused((Refused, "user.admin_role", Some("role")), root.users().create(admin))
        .await;
    let role = UserUpdate {
        role: Some(UserRole::Admin),
        ..Default::default()
    };
    house
        .refused(
            (Refused, "user.admin_role", Some("role")),
            root.users().update(&made.id, role.clone()),
        )
        .await;
    house
        .refused(
            (Refused, "user.admin_role", Some("role")),
            mina.users().update(&made.id, role),
        )
        .await;
    house
        .refused(
            (Refused, "user.admin_delete", Some("user_id")),
            root.users().delete(&"root".into()),
        )
        .await;

    // A Manager stays within the own groups.
    assert_eq!(
        ids(mina.users().list(&Query::default()).await.unwrap().items),
        ["anna", "mina"]
    );
    let foreign = (NotFound, "user.not_found", Some("user_id"));
    let otto = UserId::from("otto");
    house.refused(foreign, mina.users().get(&otto)).await;
    house
        .refused(foreign, mina.users().update(&otto, UserUpdate::default()))
        .await;
    house.refused(foreign, mina.users().delete(&otto)).await;
    house.refused(foreign, mina.users().reset_password(&otto)).await;
    house.refused(foreign, mina.users().unlock(&otto)).await;
    house.refused(foreign, mina.users().force_logout(&otto)).await;
    let groups = (Denied, "user.groups", Some("groups"));
    house
        .refused(groups, mina.users().create(someone("new", UserRole::Viewer, &[])))
        .await;
    house
        .refused(
            groups,
            mina.users().create(someone("new", UserRole::Viewer, &[&shop, &bank])),
        )
        .await;
    let wider = UserUpdate {
        groups: Some([shop.clone(), bank.clone()].into()),
        ..Default::default()
    };
    house.refused(groups, mina.users().update(&made.id, wider)).await;
    let unknown = someone("new", UserRole::Viewer, &[&"nowhere".into()]);
    house
        .refused(
            (Invalid, "user.group", Some("groups[nowhere]")),
            root.users().create(unknown),
        )
        .await;

    // An Admin's account in a Manager's group is seen, and stays an Admin's to touch.
    root.user_groups().add_member(&shop, &"root".into()).await.unwrap();
    let admins = (Denied, "user.admin", Some("user_id"));
    let id = UserId::from("root");
    house
        .refused(admins, mina.users().update(&id, UserUpdate::default()))
        .await;
    house.refused(admins, mina.users().delete(&id)).await;
    house.refused(admins, mina.users().reset_password(&id)).await;
    house.refused(admins, mina.users().unlock(&id)).await;
    house.refused(admins, mina.users().force_logout(&id)).await;
    house
        .refused(admins, mina.user_groups().remove_member(&shop, &id))
        .await;

    mina.users().delete(&made.id).await.unwrap();
    assert_eq!(house.store.get("credential", "anna").await.unwrap(), None);
}

/// USR-11, USR-13, CON-31: one's own account is open to every role, and nothing of others'.
#[tokio::test]
async fn usr_11_usr_13_what_is_ones_own() {
    let house = House::new();
    let root = house.installed().await;
    let shop = group(&root, "shop").await.id;
    let (_, first) = root.users().create(anna(&[&shop])).await.unwrap();
    let anna = house.settled("anna", &first).await;
    let renamed = AccountUpdate {
        name: Some("Anna K.".into()),
        ..Default::default()
    };
    assert_eq!(anna.account().update(renamed).await.unwrap().name, "Anna K.");
    let taken = AccountUpdate {
        mail: Some("root@example.org".into()),
        ..Default::default()
    };
    house
        .refused(
            (ErrorKind::Conflict, "user.mail_taken", Some("mail")),
            anna.account().update(taken),
        )
        .await;
    let role = (ErrorKind::Denied, "access.role", Some("actor"));
    house.refused(role, anna.users().get(&"anna".into())).await;
    house
        .refused(role, anna.users().update(&"anna".into(), UserUpdate::default()))
        .await;
    house.refused(role, anna.user_groups().list(&Query::default())).await;
    house.refused(role, anna.audit().list(&Query::default())).await;
    for (new, code) in [
        ("short", "password.length"),
        ("anna of the hills", "password.derived"),
        ("password1234", "password.common"),
        (GOOD, "password.same"),
    ] {
        let error = anna
            .account()
            .change_password(&secret(GOOD), &secret(new))
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.field()),
            (ErrorKind::Invalid, code, Some("password"))
        );
    }
    let wrong = anna
        .account()
        .change_password(&secret("wrong"), &secret("purple monkey dishes"))
        .await
        .unwrap_err();
    assert_eq!(
        (wrong.kind(), wrong.code(), wrong.field()),
        (ErrorKind::Unauthenticated, "password.current", Some("current"))
    );
    let other = house.engine.clone();
    let hosted = other.session(Actor::member("anna", UserRole::Operator, [shop]));
    let none = (ErrorKind::Refused, "account.none", Some("actor"));
    house.refused(none, hosted.account().get()).await;
    house.refused(none, hosted.account().log_out()).await;
}

/// USR-12: the old manual's rule, when the settings say so.
#[tokio::test]
async fn usr_12_the_classic_rule_can_be_chosen() {
    let house = House::new().with(|s| s.classic_passwords = true);
    let first = house.engine.install_admin("root", "root@example.org").await.unwrap();
    let root = house.session("root", &first).await;
    let long = root.account().change_password(&first, &secret(GOOD)).await.unwrap_err();
    assert_eq!(long.code(), "password.length");
    root.account().change_password(&first, &secret("aB3$ef")).await.unwrap();
}

/// USR-14, SEC-05: a reset gives another password, ends every login, and what was given expires.
#[tokio::test]
async fn usr_14_sec_05_a_reset() {
    let house = House::new().with(|s| s.one_login_per_account = false);
    let root = house.installed().await;
    let shop = group(&root, "shop").await.id;
    let (_, first) = root.users().create(anna(&[&shop])).await.unwrap();
    house.settled("anna", &first).await;
    let tokens = [
        house.log_in("anna", GOOD, HERE).await.unwrap(),
        house.log_in("anna", GOOD, "there").await.unwrap(),
    ];
    let second = root.users().reset_password(&"anna".into()).await.unwrap();
    for token in &tokens {
        let error = house.engine.authenticate(token).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Unauthenticated, "login.ended")
        );
    }
    assert_eq!(
        house.log_in("anna", GOOD, HERE).await.unwrap_err().code(),
        "login.failed"
    );
    assert!(
        house
            .engine
            .log_in("anna", &second, HERE)
            .await
            .unwrap()
            .must_change_password
    );
    house.clock.sleep(Duration::from_secs(72 * 3600)).await;
    let late = house.engine.log_in("anna", &second, HERE).await.unwrap_err();
    assert_eq!(
        (late.kind(), late.code(), late.field()),
        (ErrorKind::Unauthenticated, "login.password_expired", Some("password"))
    );
}

/// USR-18 … USR-25, OPEN-40, OPEN-41: groups of users and what becomes of their members.
#[tokio::test]
async fn usr_20_usr_21_usr_22_usr_23_usr_24_usr_25_open_40_open_41_groups_of_users() {
    let house = House::new();
    let root = house.installed().await;
    let (shop, bank) = (group(&root, "shop").await.id, group(&root, "bank").await.id);
    let request = UserGroupRequest {
        name: "shop".into(),
        description: String::new(),
    };
    house
        .refused(
            (ErrorKind::Conflict, "name.taken", Some("name")),
            root.user_groups().create(request),
        )
        .await;
    let (_, first) = root
        .users()
        .create(someone("mina", UserRole::Manager, &[&shop]))
        .await
        .unwrap();
    let mina = house.settled("mina", &first).await;

    // A Manager's new group has the Manager; the login lives on and sees it.
    let own = group(&mina, "pier").await.id;
    let token = house.log_in("mina", GOOD, HERE).await.unwrap();
    let mina = house.engine.authenticate(&token).await.unwrap();
    let seen: BTreeSet<_> = mina
        .user_groups()
        .list(&Query::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|g| g.id)
        .collect();
    assert_eq!(seen, BTreeSet::from([shop.clone(), own.clone()]));
    let foreign = (ErrorKind::NotFound, "user-group.not_found", Some("user-group_id"));
    house.refused(foreign, mina.user_groups().get(&bank)).await;
    house
        .refused(foreign, mina.user_groups().update(&bank, UserGroupUpdate::default()))
        .await;
    house
        .refused(foreign, mina.user_groups().add_member(&bank, &"mina".into()))
        .await;
    house.refused(foreign, mina.user_groups().delete(&bank)).await;
    let (user, first) = mina.users().create(anna(&[&own])).await.unwrap();
    let anna = house.engine.log_in("anna", &first, HERE).await.unwrap();
    mina.user_groups().add_member(&shop, &user.id).await.unwrap();
    assert_eq!(
        house.engine.authenticate(&anna.token).await.unwrap_err().code(),
        "login.ended"
    );
    mina.user_groups().remove_member(&shop, &user.id).await.unwrap();
    let text = UserGroupUpdate {
        description: Some("by the sea".into()),
        ..Default::default()
    };
    assert_eq!(
        mina.user_groups().update(&own, text).await.unwrap().description,
        "by the sea"
    );

    // What owns something stays.
    let sim = SimWorld::new(Arc::new(house.clock.clone()), 7);
    sim.sample_group(1).unwrap();
    let providers = Providers {
        cloud: sim.cloud("a"),
        storage: sim.storage("a"),
    };
    let request = ClusterRequest {
        name: "site-a".into(),
        owner_group_id: own.clone(),
        note: String::new(),
    };
    let cluster = mina.clusters().register(request, providers).await.unwrap();
    let owns = (ErrorKind::Refused, "user_group.owns", Some("user_group_id"));
    let error = house.refused(owns, mina.user_groups().delete(&own)).await;
    assert!(
        error.context().iter().any(|(k, v)| k == "clusters" && v == "site-a"),
        "{error}"
    );
    mina.clusters().delete(&cluster.id).await.unwrap();
    mina.user_groups().delete(&own).await.unwrap();
    let anna = root.users().get(&user.id).await.unwrap();
    assert!(anna.groups.is_empty());
    assert_eq!(
        mina.users().get(&user.id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let anna = house.settled("anna", &first).await;
    assert_eq!(anna.clusters().list(&Query::default()).await.unwrap().total, 0);
    assert_eq!(anna.account().get().await.unwrap().groups.len(), 0);
}

/// USR-27, USR-29, USR-30, USR-31, SEC-07: how logins end, and that nothing is let in with one that has ended.
#[tokio::test]
async fn usr_27_usr_29_usr_30_sec_07_logins_end() {
    let house = House::new();
    let root = house.installed().await;
    let shop = group(&root, "shop").await.id;
    let (user, first) = root.users().create(anna(&[&shop])).await.unwrap();
    house.settled("anna", &first).await;
    let log_in = || house.log_in("anna", GOOD, HERE);
    let ends = |token: SecretString| {
        let engine = &house.engine;
        async move { engine.authenticate(&token).await.err().map(|e| e.code().to_owned()) }
    };
    let ended = Some("login.ended".to_owned());

    let earlier = log_in().await.unwrap();
    let later = log_in().await.unwrap();
    assert_eq!(ends(earlier).await, ended, "a second login ends the first");
    assert_eq!(ends(later.clone()).await, None);
    house
        .engine
        .authenticate(&later)
        .await
        .unwrap()
        .account()
        .log_out()
        .await
        .unwrap();
    assert_eq!(ends(later).await, ended, "logged out");

    let forced = log_in().await.unwrap();
    root.users().force_logout(&user.id).await.unwrap();
    assert_eq!(ends(forced).await, ended, "forced out");
    let demoted = log_in().await.unwrap();
    root.users()
        .update(
            &user.id,
            UserUpdate {
                role: Some(UserRole::Viewer),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(ends(demoted).await, ended, "another role");
    let renamed = log_in().await.unwrap();
    root.users()
        .update(
            &user.id,
            UserUpdate {
                name: Some("A".into()),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(ends(renamed.clone()).await, None, "another name");

    // Used now and then it lasts; unused it ends; and it ends in any case.
    for _ in 0..4 {
        house.clock.sleep(Duration::from_secs(29 * 60)).await;
        assert_eq!(ends(renamed.clone()).await, None);
    }
    house.clock.sleep(Duration::from_secs(31 * 60)).await;
    assert_eq!(ends(renamed).await, ended, "idle");
    let long = log_in().await.unwrap();
    for _ in 0..24 {
        assert_eq!(ends(long.clone()).await, None);
        house.clock.sleep(Duration::from_secs(29 * 60 + 59)).await;
    }
    house.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(ends(long).await, ended, "twelve hours");
    assert_eq!(ends(secret("no token")).await, ended);
    let gone = log_in().await.unwrap();
    root.users().delete(&user.id).await.unwrap();
    assert_eq!(ends(gone).await, ended, "deleted");
}

/// USR-28, SEC-06: failures count by id and origin, the lockout grows, nobody learns which ids there are, an Admin unlocks.
#[tokio::test]
async fn usr_28_sec_06_lockout() {
    let house = House::new();
    let root = house.installed().await;
    let shop = group(&root, "shop").await.id;
    let (user, first) = root.users().create(anna(&[&shop])).await.unwrap();
    house.settled("anna", &first).await;
    let fail = |id: &'static str, origin: &'static str| {
        let house = &house;
        async move { house.log_in(id, "wrong", origin).await.unwrap_err() }
    };
    for id in ["anna", "nobody"] {
        for _ in 0..5 {
            let e = fail(id, HERE).await;
            let shown = "the id or the password is wrong";
            assert_eq!(
                (e.kind(), e.code(), e.message(), e.field()),
                (ErrorKind::Unauthenticated, "login.failed", shown, None)
            );
        }
        let e = fail(id, HERE).await;
        assert_eq!(
            (e.kind(), e.code(), e.field()),
            (ErrorKind::Unauthenticated, "login.locked", None),
            "{id}"
        );
        let until = (house.clock.now() + Duration::from_secs(300)).to_string();
        assert_eq!(e.context(), [("until".to_owned(), until)]);
    }
    assert_eq!(
        house.log_in("anna", GOOD, HERE).await.unwrap_err().code(),
        "login.locked",
        "also with the right one"
    );
    assert!(
        house.log_in("anna", GOOD, "198.51.100.1").await.is_ok(),
        "from elsewhere"
    );
    let locked = Query::default().equal("action", "users.lock_out");
    let told = root.audit().list(&locked).await.unwrap().items;
    let told: Vec<_> = told
        .iter()
        .map(|e| (e.actor.as_str(), e.object.as_str(), e.outcome.as_str()))
        .collect();
    assert_eq!(told, [("anna", HERE, "refused"), ("nobody", HERE, "refused")]);

    house.clock.sleep(Duration::from_secs(299)).await;
    assert_eq!(fail("anna", HERE).await.code(), "login.locked");
    house.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(fail("anna", HERE).await.code(), "login.failed");
    house.clock.sleep(Duration::from_secs(599)).await;
    assert_eq!(fail("anna", HERE).await.code(), "login.locked", "twice as long");
    let root = house.session("root", &secret(GOOD)).await;
    root.users().unlock(&user.id).await.unwrap();
    assert!(house.log_in("anna", GOOD, HERE).await.is_ok());
    // The count begins again after a good login.
    for _ in 0..4 {
        fail("anna", HERE).await;
    }
    assert!(house.log_in("anna", GOOD, HERE).await.is_ok());
    assert_eq!(fail("anna", HERE).await.code(), "login.failed");
}

/// SEC-06: many tries at once are counted one by one.
#[tokio::test]
async fn sec_06_tries_at_once_gain_nothing() {
    let house = House::new();
    house.installed().await;
    let tries = (0..40).map(|_| house.log_in("root", "wrong", "there"));
    let codes: Vec<_> = futures::future::join_all(tries)
        .await
        .into_iter()
        .map(|r| r.unwrap_err().code().to_owned())
        .collect();
    assert_eq!(codes.iter().filter(|c| *c == "login.failed").count(), 5, "{codes:?}");
}

/// SEC-01, SEC-07: what is stored of passwords and tokens opens nothing, and a hash follows the settings at the next login.
#[tokio::test]
async fn usr_17_sec_01_sec_07_what_is_stored() {
    let house = House::new();
    house.installed().await;
    let token = house.log_in("root", GOOD, HERE).await.unwrap();
    let all = format!("{:?}", house.stored().await);
    assert!(!all.contains(GOOD) && !all.contains(token.expose_secret()));
    let hash = |body: String| {
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["hash"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let stored = || async { hash(house.store.get("credential", "root").await.unwrap().unwrap().body) };
    assert!(stored().await.starts_with("$argon2id$v=19$m=1024,t=1,p=1$"));
    let first = stored().await;
    house.log_in("root", GOOD, HERE).await.unwrap();
    assert_eq!(stored().await, first, "a login of the same settings leaves it");
    let mut dearer = cheap();
    dearer.password_passes = 2;
    let other = engine(&house.store, &house.clock, &house.ids, dearer);
    other.log_in("root", &secret(GOOD), HERE).await.unwrap();
    assert!(stored().await.starts_with("$argon2id$v=19$m=1024,t=2,p=1$"));
    assert!(house.log_in("root", GOOD, HERE).await.is_ok());
}

/// What is left of logins and failures goes by itself.
#[tokio::test]
async fn sec_07_old_logins_are_taken_away() {
    let house = House::new();
    house.installed().await;
    house.log_in("nobody", "wrong", HERE).await.unwrap_err();
    house.engine.start().await.unwrap();
    let count = |kind: &'static str| {
        let store = house.store.clone();
        async move { store.list(kind, None, 100).await.unwrap().len() }
    };
    assert_eq!((count("login").await, count("login-attempts").await), (1, 1));
    house.clock.sleep(Duration::from_secs(3600)).await;
    assert_eq!((count("login").await, count("login-attempts").await), (0, 1));
    house.clock.sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(count("login-attempts").await, 0);
    house.engine.shutdown().await;
}

/// SEC-20: every change and every refusal has its entry, with what was changed, and no secret.
#[tokio::test]
async fn sec_20_people_are_audited() {
    let house = House::new();
    let root = house.installed().await;
    let shop = group(&root, "shop").await.id;
    let (user, first) = root.users().create(anna(&[&shop])).await.unwrap();
    let anna = house.settled("anna", &first).await;
    root.users()
        .update(
            &user.id,
            UserUpdate {
                name: Some("A. K.".into()),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    anna.users().delete(&"root".into()).await.unwrap_err();
    root.users().delete(&"root".into()).await.unwrap_err();
    let entries = root.audit().list(&Query::default()).await.unwrap().items;
    let told: Vec<_> = entries
        .iter()
        .map(|e| {
            (
                e.actor.as_str(),
                e.action.as_str(),
                e.object.as_str(),
                e.outcome.clone(),
            )
        })
        .filter(|(_, action, ..)| *action != "users.log_in" && *action != "users.log_in_again")
        .collect();
    let refused = |code: &str| AuditOutcome::Refused { code: code.into() };
    let done = AuditOutcome::Done;
    assert_eq!(
        told,
        [
            ("installation", "users.install", "root", done.clone()),
            ("root", "account.change_password", "root", done.clone()),
            ("root", "user_groups.create", "shop", done.clone()),
            ("root", "users.create", "Anna", done.clone()),
            ("anna", "account.change_password", "anna", done.clone()),
            ("root", "users.update", "anna", done),
            ("anna", "users.delete", "root", refused("access.role")),
            ("root", "users.delete", "root", refused("user.admin_delete")),
        ]
    );
    let update = entries.iter().find(|e| e.action == "users.update").unwrap();
    assert_eq!(update.changes.keys().collect::<Vec<_>>(), ["name"]);
    assert_eq!(
        (&update.changes["name"].before, &update.changes["name"].after),
        (&"Anna Kim".into(), &"A. K.".into())
    );
    let logins = entries.iter().filter(|e| e.action == "users.log_in_again").count();
    assert_eq!(logins, 2, "each who settled logged in twice");
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains(GOOD) && !text.contains(first.expose_secret()));
}

/// SEC-20: what cannot be written down before is not done.
#[tokio::test]
async fn sec_20_no_entry_no_change() {
    let house = House::new();
    let root = house.installed().await;
    house.store.fail_commit(1, ns_core::store::BreakWhen::Before);
    let before = house.stored().await;
    let error = root.users().create(anna(&[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(house.stored().await, before);
    // The second commit is the work, the third its outcome.
    house.store.fail_commit(3, ns_core::store::BreakWhen::Before);
    root.users().create(anna(&[])).await.unwrap();
    let begun = root
        .audit()
        .list(&Query::default().equal("outcome", "begun"))
        .await
        .unwrap();
    assert_eq!((begun.total, begun.items[0].action.as_str()), (1, "users.create"));
}
