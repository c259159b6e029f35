//! Every verb of the engine's face by its name, with the names of what it takes: arguments come as one JSON object, the answer goes as
//! JSON. What a verb means is told where it is, in `ns_core::session`; the Python layer is made from the same source.

use crate::work::{Answer, Left, Place, Work};
use futures::{StreamExt, TryStreamExt};
use ns_core::model::{
    AvailabilityZone, ClusterId, EventId, Flavor, FloatingIp, Hypervisor, Instance, Keypair, Network, Port, Query,
    ResourceKind, Router, SecurityGroup, ServerGroup, Subnet, Tenant, Volume, VolumeGroup, VolumeSnapshot, VolumeType,
};
use ns_core::model::{CloudId, JobId};
use ns_core::{Actor, Engine, Error, ErrorKind, Providers, Result, Session};
use pyo3::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::stream::Items;

/// What a verb is given.
#[derive(Debug)]
pub(crate) struct Args {
    named: Map<String, Value>,
    providers: Option<Providers>,
}

impl Args {
    pub(crate) fn read(json: &[u8], providers: Option<Providers>) -> Result<Self> {
        let named = serde_json::from_slice(json)
            .map_err(|_| Error::new(ErrorKind::Invalid, "python.arguments", "arguments are a JSON object"))?;
        Ok(Self { named, providers })
    }

    /// One argument. What is left out is null.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let value = self.named.remove(name).unwrap_or_default();
        serde_json::from_value(value).map_err(|e| {
            Error::new(ErrorKind::Invalid, "python.argument", e.to_string())
                .with_field(name)
                .with_remedy("see what the call takes with help()")
        })
    }

    pub(crate) fn providers(&mut self) -> Result<Providers> {
        self.providers.take().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "python.providers", "providers are needed").with_field("providers")
        })
    }

    /// Nothing may be left over.
    pub(crate) fn end(self) -> Result<()> {
        match self.named.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::new(
                ErrorKind::Invalid,
                "python.argument",
                "the call takes nothing of this name",
            )
            .with_field(name)),
        }
    }
}

/// A verb: what it is called and what it does with what it is given.
pub(crate) struct Verb<S> {
    pub(crate) name: &'static str,
    pub(crate) takes: &'static [&'static str],
    pub(crate) begin: fn(S, Args) -> Result<Work>,
}

/// `"area.verb"(arguments) => |session| call`: an argument's type is that of the call, or is said.
macro_rules! table {
    ($($name:literal ($($arg:ident $(: $type:ty)?),* $(; $providers:ident)?) => |$s:ident| $call:expr;)*) => {
        &[$($crate::face::Verb {
            name: $name,
            takes: &[$(stringify!($arg),)* $(stringify!($providers))?],
            begin: |$s, args| {
                #[allow(unused_mut, reason = "not every verb takes something")]
                let mut args = args;
                $(let $arg $(: $type)? = args.take(stringify!($arg))?;)*
                $(let $providers = args.providers()?;)?
                args.end()?;
                Ok(Box::pin(async move { $crate::work::Answer::json(&$call.await?) }))
            },
        }),*]
    };
}

pub(crate) use table;

static SESSION: &[Verb<Session>] = table! {
    "clusters.connectors"() => |s| async { Ok::<_, Error>(s.clusters().connectors()) };
    "clusters.check"(; providers) => |s| s.clusters().check(&providers);
    "clusters.register"(request; providers) => |s| s.clusters().register(request, providers);
    "clusters.connect_and_check"(connection) => |s| s.clusters().connect_and_check(&connection);
    "clusters.add"(request, connection) => |s| s.clusters().add(request, connection);
    "clusters.connection"(id) => |s| s.clusters().connection(&id);
    "clusters.rotate_credential"(id, half, previous, new) => |s| s.clusters().rotate_credential(&id, half, &previous, &new);
    "clusters.replace_credential"(id, half, secrets) => |s| s.clusters().replace_credential(&id, half, &secrets);
    "clusters.reseal_connections"() => |s| s.clusters().reseal_connections();
    "clusters.update"(id, update) => |s| s.clusters().update(&id, update);
    "clusters.recovery"(id) => |s| s.clusters().recovery(&id);
    "clusters.sync"(id) => |s| s.clusters().sync(&id);
    "clusters.probe"(id) => |s| s.clusters().probe(&id);
    "clusters.get"(id) => |s| s.clusters().get(&id);
    "clusters.by_name"(name: String) => |s| s.clusters().by_name(&name);
    "clusters.list"(query) => |s| s.clusters().list(&query);
    "clusters.delete"(id) => |s| s.clusters().delete(&id);
    "clusters.propose_volume_metadata"(id) => |s| s.clusters().propose_volume_metadata(&id);
    "clusters.enter_volume_metadata"(id, request) => |s| s.clusters().enter_volume_metadata(&id, request);
    "clusters.volume_metadata"(id) => |s| s.clusters().volume_metadata(&id);
    "clusters.remove_volume_metadata"(id, volume_type: String) => |s| s.clusters().remove_volume_metadata(&id, &volume_type);

    "inventory.list"(kind: ResourceKind, cluster: ClusterId, query: Query) => |s| list_kind(&s, kind, &cluster, &query);
    "inventory.get"(kind: ResourceKind, cluster: ClusterId, id: CloudId) => |s| get_kind(&s, kind, &cluster, &id);
    "inventory.whole"(cluster) => |s| s.inventory().whole(&cluster);
    "inventory.events"(cluster, after, limit) => |s| s.inventory().events(&cluster, after, limit);

    "protection_groups.create"(request) => |s| s.protection_groups().create(request);
    "protection_groups.update"(id, update) => |s| s.protection_groups().update(&id, update);
    "protection_groups.get"(id) => |s| s.protection_groups().get(&id);
    "protection_groups.rpo_breach"(id) => |s| s.protection_groups().rpo_breach(&id);
    "protection_groups.list"(query) => |s| s.protection_groups().list(&query);
    "protection_groups.unprotected"(cluster, query) => |s| s.protection_groups().unprotected(&cluster, &query);
    "protection_groups.delete"(id) => |s| s.protection_groups().delete(&id);

    "plans.suggest"(group, target) => |s| s.plans().suggest(&group, &target);
    "plans.create"(request) => |s| s.plans().create(request);
    "plans.update"(id, update) => |s| s.plans().update(&id, update);
    "plans.changes"(id, query) => |s| s.plans().changes(&id, &query);
    "plans.get"(id) => |s| s.plans().get(&id);
    "plans.list"(query) => |s| s.plans().list(&query);
    "plans.assess"(id) => |s| s.plans().assess(&id);
    "plans.explain_delete"(id) => |s| s.plans().explain_delete(&id);
    "plans.delete"(id) => |s| s.plans().delete(&id);

    "points.create"(group) => |s| s.points().create(&group);
    "points.list"(group, query) => |s| s.points().list(&group, &query);
    "points.get"(id) => |s| s.points().get(&id);
    "points.verify"(id, scope) => |s| s.points().verify(&id, scope);

    "jobs.explain"(request) => |s| s.jobs().explain(&request);
    "jobs.explain_operation"(id, operation, request) => |s| s.jobs().explain_operation(&id, operation, &request);
    "jobs.create"(request) => |s| s.jobs().create(request);
    "jobs.get"(id) => |s| s.jobs().get(&id);
    "jobs.list"(query) => |s| s.jobs().list(&query);
    "jobs.view"(id) => |s| s.jobs().view(&id);
    "jobs.journal"(id) => |s| s.jobs().journal(&id);
    "jobs.wait"(id) => |s| s.jobs().wait(&id);
    "jobs.allowed"(id) => |s| s.jobs().allowed(&id);
    "jobs.operate"(id, operation, request) => |s| s.jobs().operate(&id, operation, request);
    "jobs.extend"(id, minutes) => |s| s.jobs().extend(&id, minutes);
    "jobs.reschedule"(id, at) => |s| s.jobs().reschedule(&id, at);
    "jobs.delete"(id, leave_resources) => |s| s.jobs().delete(&id, leave_resources);

    "failback.offer"(failover) => |s| s.failback().offer(&failover);
    "failback.offers"(query) => |s| s.failback().offers(&query);
    "failback.explain_reprotect"(failover, request) => |s| s.failback().explain_reprotect(&failover, &request);
    "failback.reprotect"(failover, request) => |s| s.failback().reprotect(&failover, request);

    "schedules.create"(request) => |s| s.schedules().create(request);
    "schedules.get"(id) => |s| s.schedules().get(&id);
    "schedules.list"(query) => |s| s.schedules().list(&query);
    "schedules.update"(id, update) => |s| s.schedules().update(&id, update);
    "schedules.next_runs"(id, count) => |s| s.schedules().next_runs(&id, count);
    "schedules.delete"(id) => |s| s.schedules().delete(&id);

    "reports.get"(job) => |s| s.reports().get(&job);
    "reports.list"(query) => |s| s.reports().list(&query);
    "reports.verify"(document: String) => |s| s.reports().verify(&document);
    "reports.html"(job) => |s| async { s.reports().get(&job).await?.html() };
    "reports.json"(job) => |s| async { s.reports().get(&job).await?.json() };
    "reports.removal_script"(job) => |s| async { s.reports().get(&job).await.map(|report| report.removal_script()) };
    "reports.delete"(job) => |s| s.reports().delete(&job);

    "licence.register"(key: String) => |s| s.licence().register(&key);
    "licence.get"() => |s| s.licence().get();
    "licence.renew"(key: String) => |s| s.licence().renew(&key);

    "settings.get"() => |s| s.settings().get();
    "settings.describe"() => |s| s.settings().describe();
    "settings.update"(update) => |s| s.settings().update(&update);
    "settings.reset"(names: Vec<String>) => |s| async {
        s.settings().reset(&names.iter().map(String::as_str).collect::<Vec<_>>()).await
    };

    "health.report"() => |s| s.health().report();

    "support.bundle"() => |s| async {
        let bundle = s.support().bundle().await?;
        let (name, manifest, bytes) = (bundle.file_name, bundle.manifest, base64(&bundle.bytes));
        Ok::<_, Error>(json!({"file_name": name, "manifest": manifest, "bytes": bytes}))
    };

    "events.list"(query) => |s| s.events().list(&query);
    "events.get"(id) => |s| s.events().get(&id);
    "events.after"(place, limit) => |s| s.events().after(&place, limit);
    "events.texts"(language) => |s| async { Ok::<_, Error>(s.events().texts(language).collect::<Vec<_>>()) };

    "subscriptions.create"(request) => |s| s.subscriptions().create(request);
    "subscriptions.get"(id) => |s| s.subscriptions().get(&id);
    "subscriptions.list"(query) => |s| s.subscriptions().list(&query);
    "subscriptions.update"(id, update) => |s| s.subscriptions().update(&id, update);
    "subscriptions.delete"(id) => |s| s.subscriptions().delete(&id);

    "users.create"(request) => |s| async {
        s.users().create(request).await.map(|(user, password)| (user, password.expose_secret().to_owned()))
    };
    "users.get"(id) => |s| s.users().get(&id);
    "users.list"(query) => |s| s.users().list(&query);
    "users.update"(id, update) => |s| s.users().update(&id, update);
    "users.delete"(id) => |s| s.users().delete(&id);
    "users.reset_password"(id) => |s| async {
        s.users().reset_password(&id).await.map(|password| password.expose_secret().to_owned())
    };
    "users.unlock"(id) => |s| s.users().unlock(&id);
    "users.force_logout"(id) => |s| s.users().force_logout(&id);

    "user_groups.create"(request) => |s| s.user_groups().create(request);
    "user_groups.get"(id) => |s| s.user_groups().get(&id);
    "user_groups.list"(query) => |s| s.user_groups().list(&query);
    "user_groups.update"(id, update) => |s| s.user_groups().update(&id, update);
    "user_groups.add_member"(id, user) => |s| s.user_groups().add_member(&id, &user);
    "user_groups.remove_member"(id, user) => |s| s.user_groups().remove_member(&id, &user);
    "user_groups.delete"(id) => |s| s.user_groups().delete(&id);

    "account.get"() => |s| s.account().get();
    "account.update"(update) => |s| s.account().update(update);
    "account.change_password"(current: Secret, new: Secret) => |s| s.account().change_password(&current.0, &new.0);
    "account.log_out"() => |s| s.account().log_out();

    "approvals.get"(id) => |s| s.approvals().get(&id);
    "approvals.list"(query) => |s| s.approvals().list(&query);
    "approvals.approve"(id) => |s| s.approvals().approve(&id);
    "approvals.reject"(id) => |s| s.approvals().reject(&id);

    "audit.list"(query) => |s| s.audit().list(&query);
};

static ENGINE: &[Verb<Engine>] = table! {
    "engine.start"() => |e| e.start();
    "engine.shutdown"() => |e| async {
        e.shutdown().await;
        Ok::<_, Error>(())
    };
    "engine.reconnect"() => |e| e.reconnect();
    "engine.install_admin"(id: String, mail: String) => |e| async {
        e.install_admin(&id, &mail).await.map(|password| password.expose_secret().to_owned())
    };
    "engine.log_in"(id: String, password: Secret, origin: String) => |e| async {
        e.log_in(&id, &password.0, &origin).await.map(|login| json!({
            "id": login.id,
            "user": login.user,
            "token": login.token.expose_secret(),
            "expires_at": login.expires_at,
            "must_change_password": login.must_change_password,
        }))
    };
};

/// A verb that answers with one thing after the other.
struct Flow {
    name: &'static str,
    takes: &'static [&'static str],
    begin: fn(Session, Args) -> Result<Items>,
}

macro_rules! flows {
    ($($name:literal ($($arg:ident : $type:ty),*) => |$s:ident| $call:expr;)*) => {
        &[$(Flow {
            name: $name,
            takes: &[$(stringify!($arg)),*],
            begin: |$s, mut args| {
                $(let $arg: $type = args.take(stringify!($arg))?;)*
                args.end()?;
                Ok($call.and_then(|item| async move { Answer::json(&item) }).boxed())
            },
        }),*]
    };
}

static FLOWS: &[Flow] = flows! {
    "inventory.watch"(cluster: ClusterId, after: u64) => |s| s.inventory().watch(&cluster, after);
    "jobs.watch"(id: JobId, from: u64) => |s| s.jobs().watch(&id, from);
    "jobs.monitor"(id: JobId, since: Option<u64>) => |s| s.jobs().monitor(&id, since);
    "events.watch"(place: EventId) => |s| s.events().watch(&place);
};

/// A secret that comes in; it never goes out again.
struct Secret(SecretString);

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(secret: D) -> Result<Self, D::Error> {
        // What is no text is not quoted.
        let text = String::deserialize(secret).map_err(|_| serde::de::Error::custom("a secret is a text"))?;
        Ok(Self(text.into()))
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

macro_rules! kinds {
    ($($kind:ident),*) => {
        async fn list_kind(s: &Session, kind: ResourceKind, cluster: &ClusterId, query: &Query) -> Result<Box<RawValue>> {
            match kind {
                $(ResourceKind::$kind => s.inventory().list_with::<$kind, _>(cluster, query, |part| written(&part)).await?,)*
                other => Err(unknown_kind(other)),
            }
        }

        async fn get_kind(s: &Session, kind: ResourceKind, cluster: &ClusterId, id: &CloudId) -> Result<Box<RawValue>> {
            match kind {
                $(ResourceKind::$kind => written(&s.inventory().get::<$kind>(cluster, id).await?),)*
                other => Err(unknown_kind(other)),
            }
        }
    };
}

kinds!(
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

fn written(value: &impl serde::Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value)
        .map_err(|e| Error::new(ErrorKind::Internal, "python.encode", "the answer has no JSON form").with_source(e))
}

fn unknown_kind(kind: ResourceKind) -> Error {
    Error::new(
        ErrorKind::Internal,
        "python.kind",
        format!("{} cannot be listed", kind.as_str()),
    )
    .with_field("kind")
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::Invalid, "python.verb", format!("there is no verb {name}")).with_field("verb")
}

/// Begins what a session is asked for, and says what becomes of it when nobody waits any more.
pub(crate) fn begin(session: Session, name: &str, args: Args) -> Result<(Work, Left)> {
    let verb = SESSION.iter().find(|v| v.name == name).ok_or_else(|| unknown(name))?;
    let left = if name == "jobs.wait" { Left::Ends } else { Left::GoesOn };
    Ok(((verb.begin)(session, args)?, left))
}

/// The same of an engine.
pub(crate) fn begin_engine(engine: Engine, name: &str, mut args: Args, place: &Place) -> Result<(Work, Left)> {
    if name == "engine.authenticate" {
        let token: Secret = args.take("token")?;
        args.end()?;
        let place = place.clone();
        let work: Work = Box::pin(async move {
            let session = engine.authenticate(&token.0).await?;
            Ok(Answer::Session(session, place))
        });
        return Ok((work, Left::GoesOn));
    }
    let verb = ENGINE.iter().find(|v| v.name == name).ok_or_else(|| unknown(name))?;
    Ok(((verb.begin)(engine, args)?, Left::GoesOn))
}

/// Begins a stream.
pub(crate) fn flow(session: Session, name: &str, args: Args) -> Result<Items> {
    let flow = FLOWS.iter().find(|f| f.name == name).ok_or_else(|| unknown(name))?;
    (flow.begin)(session, args)
}

/// An actor from its JSON form.
pub(crate) fn actor(json: &[u8]) -> Result<Actor> {
    serde_json::from_slice(json)
        .map_err(|e| Error::new(ErrorKind::Invalid, "python.argument", e.to_string()).with_field("actor"))
}

/// The names of all verbs of a session, with the names of what they take.
#[pyfunction]
pub(crate) fn verbs() -> Vec<(&'static str, Vec<&'static str>)> {
    let flows = FLOWS.iter().map(|f| (f.name, f.takes.to_vec()));
    SESSION
        .iter()
        .map(|v| (v.name, v.takes.to_vec()))
        .chain(flows)
        .collect()
}
