//! What somebody does to two real clouds changes a plan of the engine that looks after them: told by the clouds'
//! notifications, and found by reconciliation while RabbitMQ is stopped. And recovery points by schedule and by hand, with what
//! they would lose against a reading of the snapshots by Ceph's own tool.
//!
//! Every change is made with OpenStack's own client, and seen by a second connection before the engine's is asked.
#![cfg(feature = "lab")]

mod lab_openstack_kit;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use jiff::Timestamp;
use lab_openstack_kit::{Scene, fact, known, openstack, until};
use ns_core::model::{
    CloudId, ClusterChange, ClusterId, DataPoint, GroupId, Instance, InstanceMapping, JobId, Learned, PlanChangePart,
    PlanId, PlanStatus, Query, RecoveryPlan, RecoveryPoint, Resource, ResourceKind, ResultCode, SnapshotInterval,
    SyncState,
};
use ns_core::provider::{CloudProvider, Spec};
use ns_core::session::{ClusterRequest, GroupRequest, JobRequest};
use ns_core::store::MemoryStore;
use ns_core::{Actor, Engine, Providers, Session, Settings};
use ns_tests::{Lab, Site, SiteName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How often the engine looks by itself: within so long everything has to be known.
const INTERVAL: Duration = Duration::from_secs(10);
/// What a reading on a busy machine may take longer than the one before it, by which the engine reckons.
const SLACK: Duration = Duration::from_secs(3);
/// How long a cloud may take for a change, in seconds. A service that cannot tell of what it does tries for five seconds each
/// time, and tells a dozen times of a migration.
const PATIENCE: u64 = 180;
/// More virtual processors than the compute node on the Target has room for.
const LARGE: u32 = 512;
/// The shortest interval of recovery points (OPEN-08).
const POINTS_EVERY_MINUTES: u32 = 10;

/// Both clouds, the engine that looks after them, and what is protected.
struct World {
    lab: Lab,
    source: Scene,
    target: Scene,
    engine: Engine,
    session: Session,
    clusters: [ClusterId; 2],
    begun: Instant,
}

/// The protected instances and what they use.
struct Protected {
    /// The first is resized, the second gets and loses volumes, the third moves to another node, the others are deleted.
    servers: Vec<CloudId>,
    /// The second one's second volume.
    data: CloudId,
    /// A volume of nobody.
    extra: CloudId,
    /// The first one's floating address.
    address: String,
    /// A flavour that the compute node on the Target has no room for.
    large: String,
}

/// What the plan needs of the Target.
struct Prepared {
    zone: String,
    external: CloudId,
    /// A project, and its name.
    project: (CloudId, String),
    /// An address that the plan wants.
    address: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

/// A command of OpenStack's own client, on its way.
type Asked = JoinHandle<Result<String>>;

/// Asks a cloud for something.
fn ask(site: &'static str, line: &str) -> Asked {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    tokio::spawn(async move {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        openstack(&format!("cloud-{site}"), &words).await
    })
}

/// Asks, and gives what was answered.
async fn asked(site: &'static str, line: &str) -> Result<String> {
    Ok(ask(site, line).await??.trim().to_owned())
}

impl World {
    fn say(&self, what: &str) {
        println!("[{:6.1} s] {what}", self.begun.elapsed().as_secs_f64());
    }

    fn scene(&self, side: Side) -> &Scene {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    fn cluster(&self, side: Side) -> &ClusterId {
        match side {
            Side::Source => &self.clusters[0],
            Side::Target => &self.clusters[1],
        }
    }

    /// The newest position of a cluster's events.
    async fn position(&self, side: Side) -> Result<u64> {
        let mut after = 0;
        loop {
            let events = self.session.inventory().events(self.cluster(side), after, 1000).await?;
            let Some(last) = events.last() else { return Ok(after) };
            after = last.position;
        }
    }

    /// A change is there as its cloud says, and then as the engine says, which came to know of it in this way and in time.
    async fn known(&self, change: &Change<'_>, learned: Learned) -> Result<()> {
        let cloud = &self.scene(change.side).cloud;
        until(change.what, PATIENCE, async || {
            let done = match &change.id {
                Some(id) => (change.shows)(cloud.get(change.kind, id).await?.as_ref()),
                None => {
                    let all: Vec<_> = cloud.inventory(&[change.kind]).try_collect().await?;
                    all.iter().any(|found| (change.shows)(Some(found)))
                }
            };
            Ok(done.then_some(()))
        })
        .await?;
        self.learned(change, learned, Timestamp::now()).await
    }

    /// The engine knows of a change that there was at `there`.
    async fn learned(&self, change: &Change<'_>, learned: Learned, there: Timestamp) -> Result<()> {
        let cluster = self.cluster(change.side);
        let (at, how) = until(change.what, 2 * INTERVAL.as_secs(), async || {
            let events = self.session.inventory().events(cluster, change.after, 1000).await?;
            Ok(events.into_iter().find_map(|event| match event.change {
                ClusterChange::Resource {
                    kind,
                    id,
                    learned,
                    resource,
                    ..
                } => {
                    let ours = kind == change.kind && change.id.as_ref().is_none_or(|wanted| *wanted == id);
                    (ours && (change.shows)(resource.as_deref())).then_some((event.at, learned))
                }
                _ => None,
            }))
        })
        .await?;
        let took = at.duration_since(there).as_secs_f64().max(0.0);
        self.say(&format!("{}: {how:?} after {took:.1} s", change.what));
        ensure!(how == learned, "{}: {how:?}, and not {learned:?}", change.what);
        ensure!(
            took <= (INTERVAL + SLACK).as_secs_f64(),
            "{}: known only after {took:.1} s",
            change.what
        );
        Ok(())
    }

    /// The plan is a warning for just these reasons, each with a message and what to do about it; normal when there is none.
    async fn warns(&self, plan: &PlanId, codes: &[&str]) -> Result<()> {
        let told = self.session.plans().assess(plan).await?;
        for reason in &told.reasons {
            self.say(&format!("  {}: {}; {}", reason.code, reason.message, reason.remedy));
            ensure!(!reason.message.is_empty() && !reason.remedy.is_empty(), "{reason:?}");
        }
        let found: BTreeSet<_> = told.reasons.iter().map(|r| r.code.as_str()).collect();
        ensure!(
            found == codes.iter().copied().collect(),
            "{codes:?} is wanted of {told:?}"
        );
        let status = if codes.is_empty() {
            PlanStatus::Normal
        } else {
            PlanStatus::Warning
        };
        ensure!(told.status == status, "{told:?}");
        Ok(())
    }

    async fn plan(&self, plan: &PlanId) -> Result<RecoveryPlan> {
        Ok(self.session.plans().get(plan).await?)
    }

    async fn succeeded(&self, job: &JobId) -> Result<()> {
        let ended = self.session.jobs().wait(job).await?;
        ensure!(ended.result == Some(ResultCode::Success), "{ended:?}");
        Ok(())
    }

    async fn points(&self, group: &GroupId) -> Result<Vec<RecoveryPoint>> {
        Ok(self.session.points().list(group, &Query::default()).await?.items)
    }
}

/// Whether a thing is as it is to be; none when there is no such thing.
type Shows<'a> = Box<dyn Fn(Option<&Resource>) -> bool + 'a>;

/// Something that is done to a thing of a cloud.
struct Change<'a> {
    what: &'a str,
    side: Side,
    kind: ResourceKind,
    /// Its id; none when it is yet to be made.
    id: Option<CloudId>,
    /// Events up to this were there before.
    after: u64,
    /// How the thing is afterwards.
    shows: Shows<'a>,
}

/// A change of the Target that the plan depends on.
struct Step<'a> {
    change: Change<'a>,
    /// What makes it, and what takes it back.
    commands: [String; 2],
    /// The reason that it gives the plan.
    code: &'static str,
}

fn instance(is: impl Fn(&Instance) -> bool) -> impl Fn(Option<&Resource>) -> bool {
    move |found| matches!(found, Some(Resource::Instance(found)) if is(found))
}

/// Servers on the fake driver, each with a boot volume, the second with one more, the first with a floating address.
async fn make_source(s: &Scene) -> Result<Protected> {
    let external = CloudId::from(fact(s.site, "/networks/public"));
    let tenant = s.tenant().await?;
    asked(s.site, &format!("quota set --cores {} {tenant}", 2 * LARGE)).await?;
    let network = Spec::Network {
        tenant: known(&tenant),
        name: s.name("net"),
        mtu: None,
    };
    let network = s.create("network", network).await?;
    let subnet = Spec::Subnet {
        tenant: known(&tenant),
        network: known(&network),
        name: "sub".into(),
        cidr: "10.80.0.0/24".into(),
        ip_version: 4,
        gateway_ip: Some("10.80.0.1".into()),
        dhcp: false,
        allocation_pools: Vec::new(),
        dns_nameservers: Vec::new(),
        host_routes: Vec::new(),
    };
    let subnet = s.create("subnet", subnet).await?;
    let router = Spec::Router {
        tenant: known(&tenant),
        name: s.name("router"),
        external_network: Some(known(&external)),
    };
    let router = s.create("router", router).await?;
    let interface = Spec::RouterInterface {
        tenant: known(&tenant),
        router: known(&router),
        subnet: known(&subnet),
    };
    s.create("interface", interface).await?;
    let volume = async |what: &str, bootable: bool| {
        let image = s.image(what, 64).await?;
        let mut spec = s.adoption(what, &tenant, &image);
        spec.bootable = bootable;
        Ok::<_, anyhow::Error>(s.adopt(what, &spec).await?.id)
    };
    let (data, extra) = futures::try_join!(volume("data", false), volume("extra", false))?;
    let flavor = CloudId::from(fact(s.site, "/flavors/m1.lab"));
    let server = async |nth: u32| {
        let port = Spec::Port {
            tenant: known(&tenant),
            network: known(&network),
            name: format!("card-{nth}"),
            fixed_ips: vec![(known(&subnet), format!("10.80.0.1{nth}"))],
            mac: None,
            security_groups: Vec::new(),
        };
        let port = s.create(&format!("port-{nth}"), port).await?;
        let boot = volume(&format!("boot-{nth}"), true).await?;
        let mut volumes = vec![known(&boot)];
        volumes.extend((nth == 1).then(|| known(&data)));
        let server = Spec::Server {
            tenant: known(&tenant),
            name: s.name(&format!("web-{nth}")),
            flavor: known(&flavor),
            keypair: None,
            ports: vec![known(&port)],
            volumes,
            availability_zone: None,
            host: Some(format!("{}-comp-1", s.site)),
            server_group: None,
            metadata: BTreeMap::new(),
            user_data: None,
        };
        let server = s.create(&format!("server-{nth}"), server).await?;
        Ok::<_, anyhow::Error>((server, port))
    };
    let made = futures::future::try_join_all((0..5).map(server)).await?;
    let floating = Spec::FloatingIp {
        tenant: known(&tenant),
        external_network: known(&external),
        address: None,
        port: known(&made[0].1),
    };
    let floating = s.create("floating ip", floating).await?;
    let Some(Resource::FloatingIp(floating)) = s.cloud.get(ResourceKind::FloatingIp, &floating).await? else {
        anyhow::bail!("no floating ip")
    };
    let large = s.name("large");
    let line = format!("flavor create -f value -c id --vcpus {LARGE} --ram 512 --disk 1 {large}");
    asked(s.site, &line).await?;
    Ok(Protected {
        servers: made.into_iter().map(|(server, _)| server).collect(),
        data,
        extra,
        address: floating.address,
        large,
    })
}

/// A zone with one compute node, an external network of no use to anybody else, a project, and an address that is free.
async fn prepare_target(s: &Scene) -> Result<Prepared> {
    let (zone, external, project) = (s.name("zone"), s.name("outside"), s.name("other"));
    let network = async {
        let line = format!("network create -f value -c id --external {external}");
        let id = asked(s.site, &line).await?;
        let line = format!("subnet create --no-dhcp --subnet-range 10.81.0.0/24 --network {external} {external}");
        asked(s.site, &line).await?;
        Ok(CloudId::from(id))
    };
    let aggregate = async {
        asked(s.site, &format!("aggregate create --zone {zone} {zone}")).await?;
        asked(s.site, &format!("aggregate add host {zone} {}-comp-2", s.site)).await
    };
    let line = format!("project create -f value -c id {project}");
    let (external, _, id) = futures::try_join!(network, aggregate, asked(s.site, &line))?;
    Ok(Prepared {
        zone,
        external,
        project: (id.into(), project),
        address: fact(s.site, "/external/last"),
    })
}

/// Takes away what [`prepare_target`] made and the story left, as far as it is there.
async fn clear(s: &Scene, source: &Scene) {
    let (zone, external, project) = (s.name("zone"), s.name("outside"), s.name("other"));
    let address = fact(s.site, "/external/last");
    let aggregate = async {
        asked(s.site, &format!("aggregate remove host {zone} {}-comp-2", s.site))
            .await
            .ok();
        asked(s.site, &format!("aggregate delete {zone}")).await
    };
    let network = async {
        asked(s.site, &format!("floating ip delete {address}")).await.ok();
        asked(s.site, &format!("network delete {external}")).await
    };
    let projects = async {
        asked(s.site, &format!("project delete {project}")).await.ok();
        asked(s.site, &format!("project delete {}", recovered(&project))).await
    };
    let service = format!("compute service set --enable {}-kvm-1 nova-compute", s.site);
    let flavor = format!("flavor delete {}", source.name("large"));
    let (service, flavor) = (asked(s.site, &service), asked(source.site, &flavor));
    // What is not there any more, or never was, is as it should be.
    drop(futures::join!(aggregate, network, projects, service, flavor));
}

/// The changes of the Target that §5.3 has rules for, and what each makes of the plan.
fn target_steps<'a>(site: &str, prepared: &'a Prepared, node: &CloudId) -> Vec<Step<'a>> {
    let Prepared {
        zone,
        external,
        project: (project, name),
        address,
    } = prepared;
    let step = |what, kind, id: Option<&CloudId>, shows: Shows<'a>, commands, code| Step {
        change: Change {
            what,
            side: Side::Target,
            kind,
            id: id.cloned(),
            after: 0,
            shows,
        },
        commands,
        code,
    };
    let zone_id = CloudId::from(zone.as_str());
    let wanted = recovered(name);
    let service = |flag| format!("compute service set --{flag} {site}-kvm-1 nova-compute");
    let member = |verb| format!("aggregate {verb} host {zone} {site}-comp-2");
    vec![
        step(
            "a host is disabled",
            ResourceKind::Hypervisor,
            Some(node),
            Box::new(|found| matches!(found, Some(Resource::Hypervisor(h)) if !h.available)),
            [service("disable"), service("enable")],
            "plan.node",
        ),
        step(
            "a zone is emptied",
            ResourceKind::AvailabilityZone,
            Some(&zone_id),
            Box::new(|found| found.is_none()),
            [member("remove"), member("add")],
            "plan.availability_zone",
        ),
        step(
            "an external network is none any more",
            ResourceKind::Network,
            Some(external),
            Box::new(|found| matches!(found, Some(Resource::Network(n)) if !n.external)),
            ["internal", "external"].map(|flag| format!("network set --{flag} {external}")),
            "plan.external_network",
        ),
        step(
            "a floating IP is taken",
            ResourceKind::FloatingIp,
            None,
            Box::new(move |found| matches!(found, Some(Resource::FloatingIp(f)) if &f.address == address)),
            [
                format!("floating ip create --floating-ip-address {address} public"),
                format!("floating ip delete {address}"),
            ],
            "plan.floating_ip",
        ),
        step(
            "a project is renamed",
            ResourceKind::Tenant,
            Some(project),
            Box::new({
                let wanted = wanted.clone();
                move |found| matches!(found, Some(Resource::Tenant(t)) if t.name == wanted)
            }),
            [&wanted, name].map(|to| format!("project set --name {to} {project}")),
            "plan.tenant_name",
        ),
    ]
}

/// The name that the plan has for the project to be made.
fn recovered(other: &str) -> String {
    format!("{other}-recovered")
}

/// What is done to the protected instances, and what becomes of the plan.
async fn change_source(
    w: &World,
    protected: &Protected,
    group: &GroupId,
    plan: &PlanId,
    learned: Learned,
) -> Result<()> {
    let was = w.plan(plan).await?;
    let members = w.session.protection_groups().get(group).await?.instances;
    let [resized, attached, moved, others @ ..] = &protected.servers[..] else {
        anyhow::bail!("no servers")
    };
    let deleted = (others.iter())
        .find(|id| members.contains(id))
        .context("all are deleted")?;
    let node = (w
        .session
        .inventory()
        .get::<Instance>(w.cluster(Side::Source), moved)
        .await?)
        .host;
    let Protected { data, extra, large, .. } = protected;
    let of = |what, id: &CloudId, after, shows: Shows<'static>| Change {
        what,
        side: Side::Source,
        kind: ResourceKind::Instance,
        id: Some(id.clone()),
        after,
        shows,
    };
    let has = |volume: &CloudId, wanted: bool| {
        let volume = volume.clone();
        Box::new(instance(move |i| i.volume_ids.contains(&volume) == wanted))
    };
    let elsewhere = instance(move |i| i.host.is_some() && i.host != node);
    let after = w.position(Side::Source).await?;
    let changes = [
        (
            of("a volume is attached", attached, after, has(extra, true)),
            format!("server add volume {attached} {extra}"),
        ),
        (
            of(
                "an instance is resized",
                resized,
                after,
                Box::new(instance(|i| i.flavor.vcpus == LARGE)),
            ),
            format!("server resize --flavor {large} {resized}"),
        ),
        (
            of("an instance is migrated", moved, after, Box::new(elsewhere)),
            format!("server migrate {moved}"),
        ),
        (
            of(
                "an instance is deleted",
                deleted,
                after,
                Box::new(|found| found.is_none()),
            ),
            format!("server delete {deleted}"),
        ),
    ];
    change(w, changes, learned).await?;
    w.warns(plan, &["plan.resource_added", "plan.capacity"]).await?;
    ensure!(
        w.plan(plan).await?.mapping.instances.contains_key(moved),
        "PLAN-94: it is recovered as before"
    );
    let detached = of(
        "a volume is detached",
        attached,
        w.position(Side::Source).await?,
        has(data, false),
    );
    change(
        w,
        [(detached, format!("server remove volume {attached} {data}"))],
        learned,
    )
    .await?;
    // The plan follows with what the engine learned, not with its next look: a moment is enough.
    let parts = until("the plan follows", 2, async || {
        let changes = w.session.plans().changes(plan, &Query::default()).await?.items;
        let ours = (changes.into_iter()).filter(|c| c.version > was.version && c.actor == "engine");
        let parts: Vec<_> = ours.flat_map(|c| c.parts).collect();
        let volume = PlanChangePart::VolumeLeft { volume: data.clone() };
        let instance = PlanChangePart::InstanceLeft {
            instance: deleted.clone(),
        };
        Ok((parts.contains(&volume) && parts.contains(&instance)).then_some(parts))
    })
    .await?;
    w.say(&format!("the plan followed: {parts:?}"));
    let now = w.plan(plan).await?;
    ensure!(
        now.leaving.contains_key(data) && !now.mapping.instances.contains_key(deleted),
        "{now:?}"
    );
    let left = w.session.protection_groups().get(group).await?.instances;
    ensure!(left.len() == members.len() - 1 && !left.contains(deleted), "{left:?}");
    w.warns(plan, &["plan.resource_added", "plan.capacity"]).await
}

/// Asks for all these at once, and waits until each is known.
async fn change<const N: usize>(w: &World, changes: [(Change<'_>, String); N], learned: Learned) -> Result<()> {
    let asked = changes
        .each_ref()
        .map(|(change, line)| ask(w.scene(change.side).site, line));
    futures::future::try_join_all(changes.iter().map(|(change, _)| w.known(change, learned))).await?;
    for asked in asked {
        asked.await??;
    }
    Ok(())
}

/// Waits for a server's state.
async fn settled(s: &Scene, server: &CloudId, status: &str) -> Result<()> {
    until(&format!("{server} is {status}"), PATIENCE, async || {
        let found = s.cloud.get(ResourceKind::Instance, server).await?;
        Ok(matches!(found, Some(Resource::Instance(i)) if i.status == status).then_some(()))
    })
    .await
}

/// Takes back what [`change_source`] did to those that are left.
async fn restore_source(w: &World, protected: &Protected, plan: &PlanId) -> Result<()> {
    let [resized, attached, moved, ..] = &protected.servers[..] else {
        anyhow::bail!("no servers")
    };
    let Protected { data, extra, .. } = protected;
    let site = w.source.site;
    let volumes = async {
        asked(site, &format!("server remove volume {attached} {extra}")).await?;
        asked(site, &format!("server add volume {attached} {data}")).await
    };
    // Nova takes no other order for one that is on its way.
    let end = async |server: &CloudId, how: &str| {
        settled(&w.source, server, "VERIFY_RESIZE").await?;
        asked(site, &format!("server resize {how} {server}")).await?;
        settled(&w.source, server, "ACTIVE").await
    };
    futures::try_join!(volumes, end(resized, "revert"), end(moved, "confirm"))?;
    normal(w, plan).await?;
    ensure!(
        w.plan(plan).await?.volumes.contains_key(data),
        "PLAN-93: the volume is back"
    );
    Ok(())
}

/// Waits until nothing speaks against the plan any more.
async fn normal(w: &World, plan: &PlanId) -> Result<()> {
    let mut last = None;
    // Up to one interval until the engine knows, and then its assessments, which ask the clouds and take seconds themselves.
    let outcome = until("the plan is normal again", 2 * INTERVAL.as_secs(), async || {
        let told = w.session.plans().assess(plan).await?;
        let normal = told.status == PlanStatus::Normal;
        last = Some(told);
        Ok(normal.then_some(()))
    })
    .await;
    outcome.with_context(|| format!("{last:?}"))?;
    w.say("the plan is normal");
    Ok(())
}

/// Makes all these changes of the Target at once; the plan warns of each, and of what there was before.
async fn change_target(
    w: &World,
    mut steps: Vec<Step<'_>>,
    plan: &PlanId,
    before: &[&str],
    learned: Learned,
) -> Result<()> {
    let site = w.target.site;
    let after = w.position(Side::Target).await?;
    for step in &mut steps {
        step.change.after = after;
    }
    let asked: Vec<_> = steps.iter().map(|step| ask(site, &step.commands[0])).collect();
    let known = steps.iter().map(|step| w.known(&step.change, learned));
    futures::future::try_join_all(known).await?;
    let codes: Vec<_> = steps
        .iter()
        .map(|step| step.code)
        .chain(before.iter().copied())
        .collect();
    w.warns(plan, &codes).await?;
    for asked in asked {
        asked.await??;
    }
    Ok(())
}

/// All changes of the Target, each told, and taken back.
async fn told_target<'a>(w: &World, steps: impl Fn() -> Vec<Step<'a>>, plan: &PlanId) -> Result<()> {
    change_target(w, steps(), plan, &[], Learned::Told).await?;
    let steps = steps();
    let back = steps.iter().map(|step| asked(w.target.site, &step.commands[1]));
    futures::future::try_join_all(back).await?;
    normal(w, plan).await
}

/// The first point, one by schedule and one by hand arrive; what it would lose is right to the second.
async fn points(w: &World, group: &GroupId, plan: &PlanId) -> Result<()> {
    // One follows the initial mirroring, and the group's interval begins with one: nobody asked for either.
    until("the first point and one by schedule", 150, async || {
        Ok((w.points(group).await?.len() >= 2).then_some(()))
    })
    .await?;
    w.say("the first point and one by schedule are there");
    let (by_hand, job) = w.session.points().create(group).await?;
    w.succeeded(&job).await?;
    let point = w.session.points().get(&by_hand).await?;
    w.say("one by hand is there");
    let mut taken = Vec::new();
    let volumes = w.plan(plan).await?.volumes;
    for (id, part) in &point.volumes {
        let volume = &volumes[id];
        let there = w.lab.snapshots(SiteName::B, lab_openstack_kit::image(&volume.target))?;
        ensure!(
            there.contains_key(&part.snapshot),
            "{id}: the Target has not {}",
            part.snapshot
        );
        let here = w.lab.snapshots(SiteName::A, lab_openstack_kit::image(&volume.source))?;
        taken.push(*here.get(&part.snapshot).context("the Source has it not")?);
    }
    if let Some(volume) = volumes.values().next() {
        behind(w, lab_openstack_kit::image(&volume.target), &volume.target).await?;
    }
    ensure!(taken.len() == volumes.len(), "every volume has its part: {point:?}");
    let first = *taken.iter().min().context("no volumes")?;
    let before = Timestamp::now();
    let request = JobRequest {
        data_point: DataPoint::SpecificSnapshot { point_id: by_hand },
        ..JobRequest::drill(group.clone(), plan.clone())
    };
    let told = w.session.jobs().explain(&request).await?;
    let after = Timestamp::now();
    ensure!(told.loss.len() == volumes.len(), "{:?}", told.loss);
    for loss in &told.loss {
        let lost = loss.lost_seconds.context("the loss is not known")?;
        let read = [before, after].map(|at| at.duration_since(first).as_secs());
        w.say(&format!(
            "the point lacks {lost} s of writes; read from the snapshots {} to {} s",
            read[0], read[1]
        ));
        let right = loss.synced_to == Some(first) && (read[0]..=read[1]).contains(&lost);
        ensure!(right, "{loss:?}, and the snapshots say {first} and {read:?}");
    }
    Ok(())
}

/// Up to when a replica holds all writes, as the provider says and as Ceph's own tool does.
async fn behind(w: &World, image: &str, replica: &ns_core::model::StorageRef) -> Result<()> {
    let tool = async || {
        let text =
            lab_openstack_kit::rbd(w.target.site, &["mirror", "image", "status", image, "--format", "json"]).await?;
        let status: serde_json::Value = serde_json::from_str(&text)?;
        let words = status["description"].as_str().context("no description")?;
        let (_, facts) = words.split_once(", ").context("no facts")?;
        let facts: serde_json::Value = serde_json::from_str(facts)?;
        facts["local_snapshot_timestamp"].as_i64().context("no time")
    };
    let site = Site::connect(&w.lab, SiteName::B)?;
    // Another snapshot may arrive between the readings.
    until("both readings agree", 60, async || {
        let before = tool().await?;
        let said = site.storage.status(replica).await?.synced_to.map(Timestamp::as_second);
        Ok((tool().await? == before && said == Some(before)).then_some(()))
    })
    .await
}

/// Registers both clouds, and protects the instances once the engine listens to them.
async fn protect(w: &mut World, protected: &Protected, prepared: &Prepared) -> Result<(GroupId, PlanId)> {
    let begun = Timestamp::now();
    for (nth, name) in [SiteName::A, SiteName::B].into_iter().enumerate() {
        let site = Site::listening(&w.lab, name)?;
        let request = ClusterRequest {
            name: w.lab.cloud_name(name),
            owner_group_id: "ops".into(),
            note: String::new(),
        };
        let providers = Providers {
            cloud: site.cloud,
            storage: site.storage,
        };
        w.clusters[nth] = w.session.clusters().register(request, providers).await?.id;
    }
    let registered = Timestamp::now();
    w.engine.start().await?;
    // A cluster is read anew as soon as it is listened to.
    for cluster in &w.clusters {
        until("the engine listens", 30, async || {
            let sync = w.session.clusters().get(cluster).await?.sync;
            Ok(matches!(sync, SyncState::Done { at } if at > registered).then_some(()))
        })
        .await?;
    }
    w.say(&format!(
        "registered and listened to within {} s",
        begun.duration_until(Timestamp::now()).as_secs()
    ));
    let request = GroupRequest {
        name: "web".into(),
        description: String::new(),
        owner_group_id: "ops".into(),
        source_cluster: w.clusters[0].clone(),
        instances: protected.servers.clone(),
        rpo_minutes: 15,
        rto_minutes: 30,
        snapshot_interval: Some(SnapshotInterval::minutes(POINTS_EVERY_MINUTES)),
    };
    let group = w.session.protection_groups().create(request).await?.id;
    let mut request = w.session.plans().suggest(&group, &w.clusters[1]).await?;
    let mapping = &mut request.mapping;
    mapping.tenant_name = recovered(&prepared.project.1);
    mapping
        .availability_zones
        .values_mut()
        .for_each(|zone| zone.clone_from(&prepared.zone));
    mapping
        .external_networks
        .values_mut()
        .for_each(|network| network.clone_from(&prepared.external));
    mapping.floating_ips = BTreeMap::from([(protected.address.clone(), prepared.address.clone())]);
    let pinned = InstanceMapping {
        host: Some(format!("{}-kvm-1", w.target.site)),
        availability_zone: Some("nova".into()),
        ..InstanceMapping::default()
    };
    mapping.instances.insert(protected.servers[0].clone(), pinned);
    let (plan, job) = w.session.plans().create(request).await?;
    w.succeeded(&job).await?;
    w.say("protected");
    Ok((group, plan.id))
}

async fn story(w: &mut World) -> Result<()> {
    let (protected, prepared) = futures::try_join!(make_source(&w.source), prepare_target(&w.target))?;
    w.say("both clouds are prepared");
    let (group, plan) = protect(w, &protected, &prepared).await?;
    let inventory = w.session.inventory().whole(&w.clusters[1]).await?;
    let name = format!("{}-kvm-1", w.target.site);
    let node = inventory
        .hypervisors
        .values()
        .find(|h| h.name == name)
        .context("no such node")?;
    let steps = || target_steps(w.target.site, &prepared, &node.id);

    futures::try_join!(told_target(w, steps, &plan), points(w, &group, &plan))?;
    change_source(w, &protected, &group, &plan, Learned::Told).await?;
    restore_source(w, &protected, &plan).await?;

    // The services go on working; nobody tells.
    w.lab.broker("stop", Some(SiteName::A))?;
    w.say("the Source's broker of notifications is stopped");
    change_source(w, &protected, &group, &plan, Learned::Synchronised).await?;
    // The services' own broker goes on: without it Neutron would take no floating address at all.
    w.lab.broker("stop", Some(SiteName::B))?;
    w.say("both brokers of notifications are stopped");
    // Nobody reckons what room there is on a node that is disabled.
    let before = ["plan.resource_added"];
    change_target(w, steps(), &plan, &before, Learned::Synchronised).await?;
    w.lab.broker("start", None)?;
    w.say("the brokers are there again");

    let job = w.session.plans().delete(&plan).await?;
    w.succeeded(&job).await?;
    w.session.protection_groups().delete(&group).await?;
    w.say("the protection is ended");
    Ok(())
}

/// EVT-02, EVT-03, EVT-05, EVT-07, EVT-12, EVT-13, EVT-14, PLAN-42, PLAN-60 and its rules PLAN-62, PLAN-64, PLAN-68, PLAN-69,
/// PLAN-73, PLAN-75, PLAN-83, PLAN-85, PLAN-86, PLAN-92, PLAN-93, PLAN-94; PG-23, PLAN-15, REP-04, REP-06, REP-07, REP-12, REP-15
/// of recovery points; SEC-10 of the way to the broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan_60_evt_14_plans_follow_two_real_clouds() {
    let mut settings = Settings::default();
    settings.watch_interval = INTERVAL;
    let engine = Engine::builder(Arc::<MemoryStore>::default())
        .settings(settings)
        .build()
        .unwrap();
    let mut world = World {
        lab: Lab::open().unwrap(),
        source: Scene::new("a"),
        target: Scene::new("b"),
        session: engine.session(Actor::admin("anna")),
        engine,
        clusters: ["a", "b"].map(ClusterId::from),
        begun: Instant::now(),
    };
    let outcome = story(&mut world).await;
    // Whatever went wrong, others want a whole lab.
    let outcome = outcome.and(world.lab.broker("start", None));
    world.engine.shutdown().await;
    clear(&world.target, &world.source).await;
    world.say("the Target is cleared");
    world.source.finish(outcome).await;
}
