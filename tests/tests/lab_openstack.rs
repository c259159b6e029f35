//! The OpenStack provider against the lab's two real clouds: inventory, creation and removal of every kind, adoption of
//! RBD images, a server on a chosen host, and what the real services refuse.
#![cfg(feature = "lab")]

mod lab_openstack_kit;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use lab_openstack_kit::{Scene, Site, cloud, config, fact, image, known, openstack, rbd, until};
use ns_core::ErrorKind;
use ns_core::conformance;
use ns_core::model::{CloudId, Inventory, PowerState, Resource, ResourceKind, SecurityGroupRule, StorageRef};
use ns_core::provider::{CloudProvider, CreatedKind, Handle, RuleSpec, Spec};
use ns_openstack::{Auth, OpenStack};
use std::collections::BTreeMap;
use std::time::Instant;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1mHWXcFZLbBgUNAbRBlEzMKzDrMbDL1ZyJLeMYM7lZ test";

async fn inventory(cloud: &OpenStack) -> Inventory {
    let mut all = Inventory::default();
    let things: Vec<Resource> = cloud.inventory(ResourceKind::ALL).try_collect().await.unwrap();
    things.into_iter().for_each(|thing| all.insert(thing));
    all
}

/// The behaviour suite of all cloud providers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conformance_suite() {
    let began = Instant::now();
    // One case by name, while working on it.
    let only = std::env::var("NEVERSTOP_CASE").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|o| name.contains(o));
    let report = conformance::cloud_only(&Site::new(), &wanted).await;
    println!("{:.0} s\n{report}", began.elapsed().as_secs_f32());
    assert!(
        report.is_ok() && !report.passed.is_empty(),
        "{} cases failed",
        report.failed.len()
    );
}

/// CL-02: connection, rights and clock of both clouds; what the lab lacks is said (TLS).
#[tokio::test]
async fn cl_02_check_of_both_clouds() {
    for name in ["cloud-a", "cloud-b"] {
        let report = cloud(name).check().await.unwrap();
        println!("{name}: {report:#?}");
        assert!(report.missing_rights.is_empty(), "{report:?}");
        assert!(report.clock_skew_seconds.abs() <= 1, "{report:?}");
        assert!(report.warnings.iter().any(|w| w.contains("plain http")), "{report:?}");
        let versions: BTreeMap<_, _> = report.services.iter().cloned().collect();
        assert_eq!(
            (versions["compute"].as_str(), versions["volume"].as_str()),
            ("2.93", "3.70")
        );
        let quota: serde_json::Value = serde_json::from_str(
            &openstack(name, &["quota", "show", "--default", "-f", "json"])
                .await
                .unwrap(),
        )
        .unwrap();
        let (told, limit) = (report.new_tenant, |name: &str| quota[name].as_u64());
        assert_eq!(
            [
                told.instances,
                told.vcpus,
                told.memory_mib,
                told.volumes,
                told.volume_gib
            ],
            ["instances", "cores", "ram", "volumes", "gigabytes"].map(limit)
        );
        assert_eq!(
            [told.networks, told.ports, told.floating_ips, told.security_groups],
            ["networks", "ports", "floating-ips", "secgroups"].map(limit)
        );
        assert!(told.volumes.is_some() && told.ports.is_some(), "{told:?}");
    }
}

/// CL-02: a user without rights connects, and the report names what is missing.
#[tokio::test]
async fn cl_02_member_lacks_rights() {
    let report = cloud("cloud-b-member").check().await.unwrap();
    println!("{:#?}", report.missing_rights);
    for right in [
        "volume: manage and unmanage",
        "compute: list hypervisors",
        "volume: list pools",
    ] {
        assert!(report.missing_rights.iter().any(|r| r == right), "{right}: {report:?}");
    }
}

/// INV-02 to INV-12: both clouds, every kind; one by one the same as in the list.
#[tokio::test]
async fn inv_inventory_of_both_clouds() {
    for site in ["a", "b"] {
        let cloud = cloud(&format!("cloud-{site}"));
        let began = Instant::now();
        let all = inventory(&cloud).await;
        println!(
            "cloud-{site}: {} things in {} ms",
            all.resources().count(),
            began.elapsed().as_millis()
        );
        let external = CloudId::from(fact(site, "/networks/public"));
        assert!(all.networks[&external].external);
        let admin = CloudId::from(fact(site, "/projects/admin"));
        assert_eq!(all.tenants[&admin].name, "admin");
        let flavor = CloudId::from(fact(site, "/flavors/m1.lab"));
        assert_eq!(all.flavors[&flavor].memory_mib, 512);
        let shared = CloudId::from(fact(site, "/volume_types/ceph-multi"));
        assert!(all.volume_types[&shared].multiattach);
        let hosts: BTreeMap<_, _> = all.hypervisors.values().map(|h| (h.name.clone(), h)).collect();
        let fake = hosts[&format!("{site}-comp-1")];
        assert!(
            fake.available && fake.vcpus >= 1000 && fake.memory_mib > 100_000,
            "{fake:?}"
        );
        let real = hosts[&format!("{site}-kvm-1")];
        assert!(
            real.available && real.vcpus > 0 && real.traits == ["CUSTOM_LIBVIRT"],
            "{real:?}"
        );
        assert!(
            all.availability_zones
                .values()
                .any(|z| z.name == "nova" && z.hosts.len() == 3),
            "{:?}",
            all.availability_zones
        );
        for thing in all.resources() {
            let kind = thing.kind();
            let one = cloud.get(kind, thing.id()).await.unwrap();
            // Others work in the lab at the same time: what is there must be the same but for its state.
            if !matches!(
                kind,
                ResourceKind::Instance | ResourceKind::Volume | ResourceKind::Port | ResourceKind::Hypervisor
            ) {
                let same = one
                    .as_ref()
                    .is_none_or(|one| one.id() == thing.id() && one.name() == thing.name());
                assert!(same, "{thing:?} but {one:?}");
            }
        }
        let gone = CloudId::from("00000000-0000-0000-0000-000000000000");
        for kind in ResourceKind::ALL {
            assert!(cloud.get(*kind, &gone).await.unwrap().is_none(), "{kind:?}");
        }
    }
}

fn rule(ingress: bool, protocol: Option<&str>, ports: Option<(u32, u32)>, cidr: Option<&str>) -> RuleSpec {
    RuleSpec {
        rule: SecurityGroupRule {
            ingress,
            ip_version: 4,
            protocol: protocol.map(Into::into),
            port_min: ports.map(|p| p.0),
            port_max: ports.map(|p| p.1),
            remote_cidr: cidr.map(Into::into),
            remote_group_id: None,
        },
        remote_group: None,
    }
}

struct Net {
    port: CloudId,
}

/// Network, subnet, router to the outside, group with rules, port with chosen addresses, floating IP.
async fn network(s: &Scene, tenant: &CloudId) -> Result<Net> {
    let external = CloudId::from(fact(s.site, "/networks/public"));
    let network = s
        .create(
            "network",
            Spec::Network {
                tenant: known(tenant),
                name: s.name("net"),
                mtu: Some(1400),
            },
        )
        .await?;
    let subnet = Spec::Subnet {
        tenant: known(tenant),
        network: known(&network),
        name: "sub".into(),
        cidr: "10.77.0.0/24".into(),
        ip_version: 4,
        gateway_ip: Some("10.77.0.1".into()),
        dhcp: true,
        allocation_pools: vec![("10.77.0.50".into(), "10.77.0.99".into())],
        dns_nameservers: vec!["9.9.9.9".into()],
        host_routes: vec![("10.78.0.0/16".into(), "10.77.0.9".into())],
    };
    let subnet = s.create("subnet", subnet).await?;
    let Some(Resource::Subnet(found)) = s.cloud.get(ResourceKind::Subnet, &subnet).await? else {
        anyhow::bail!("no subnet")
    };
    ensure!(
        found.allocation_pools == [("10.77.0.50".into(), "10.77.0.99".into())] && found.dhcp,
        "{found:?}"
    );
    ensure!(
        found.host_routes == [("10.78.0.0/16".into(), "10.77.0.9".into())],
        "{found:?}"
    );
    let router = Spec::Router {
        tenant: known(tenant),
        name: s.name("router"),
        external_network: Some(known(&external)),
    };
    let router = s.create("router", router).await?;
    let interface = Spec::RouterInterface {
        tenant: known(tenant),
        router: known(&router),
        subnet: known(&subnet),
    };
    let id = s.create("interface", interface).await?;
    ensure!(id.as_str() == format!("{router}/{subnet}"), "{id}");
    let Some(Resource::Router(found)) = s.cloud.get(ResourceKind::Router, &router).await? else {
        anyhow::bail!("no router")
    };
    ensure!(
        found.subnet_ids == [subnet.clone()] && found.external_network_id.as_ref() == Some(&external),
        "{found:?}"
    );

    let group = Spec::SecurityGroup {
        tenant: known(tenant),
        name: "web".into(),
        description: "for the web".into(),
    };
    let group = s.create("group", group).await?;
    let mut own = rule(true, None, None, None);
    own.remote_group = Some(known(&group));
    let rules = vec![
        rule(true, Some("tcp"), Some((22, 22)), Some("0.0.0.0/0")),
        rule(true, Some("6"), Some((80, 443)), Some("10.0.0.0/8")),
        rule(true, Some("icmp"), None, None),
        rule(false, None, None, Some("0.0.0.0/0")),
        own,
    ];
    let rules = Spec::SecurityGroupRules {
        tenant: known(tenant),
        group: known(&group),
        rules,
    };
    s.create("rules", rules).await?;
    let Some(Resource::SecurityGroup(found)) = s.cloud.get(ResourceKind::SecurityGroup, &group).await? else {
        anyhow::bail!("no group")
    };
    ensure!(found.rules.len() == 5, "{found:#?}");
    ensure!(
        found
            .rules
            .iter()
            .filter(|r| r.remote_group_id.as_ref() == Some(&group))
            .count()
            == 1,
        "{found:#?}"
    );

    let port = Spec::Port {
        tenant: known(tenant),
        network: known(&network),
        name: "card".into(),
        fixed_ips: vec![(known(&subnet), "10.77.0.7".into())],
        mac: Some("fa:16:3e:77:00:07".into()),
        security_groups: vec![known(&group)],
    };
    let port = s.create("port", port).await?;
    let Some(Resource::Port(found)) = s.cloud.get(ResourceKind::Port, &port).await? else {
        anyhow::bail!("no port")
    };
    ensure!(
        found.mac == "fa:16:3e:77:00:07" && found.fixed_ips == [(subnet, "10.77.0.7".to_owned())],
        "{found:?}"
    );
    ensure!(
        found.security_group_ids == [group] && &found.tenant_id == tenant,
        "{found:?}"
    );
    let address = fact(s.site, "/external/first").replace(".10", ".240");
    let floating = Spec::FloatingIp {
        tenant: known(tenant),
        external_network: known(&external),
        address: Some(address.clone()),
        port: known(&port),
    };
    let floating = s.create("floating ip", floating).await?;
    let Some(Resource::FloatingIp(found)) = s.cloud.get(ResourceKind::FloatingIp, &floating).await? else {
        anyhow::bail!("no floating ip")
    };
    ensure!(
        found.address == address && found.port_id.as_ref() == Some(&port),
        "{found:?}"
    );
    Ok(Net { port })
}

/// INV-22 to INV-25, INV-30 to INV-34: everything that a recovery makes, in a tenant of its own: made, made again without a
/// second one, found, refused to others, used, removed.
#[tokio::test]
async fn everything_in_a_fresh_tenant() {
    for site in ["b", "a"] {
        let scene = Scene::new(site);
        let outcome = everything(&scene).await;
        scene.finish(outcome).await;
    }
}

async fn everything(s: &Scene) -> Result<()> {
    let tenant = s.tenant().await?;
    let net = network(s, &tenant).await?;
    let keypair = s
        .create(
            "keypair",
            Spec::Keypair {
                name: s.name("key"),
                public_key: KEY.into(),
            },
        )
        .await?;
    let flavor = Spec::Flavor {
        tenant: known(&tenant),
        name: s.name("flavor"),
        vcpus: 1,
        memory_mib: 128,
        disk_gib: 0,
        ephemeral_gib: 0,
        swap_mib: 0,
        extra_specs: BTreeMap::from([("hw:cpu_policy".to_owned(), "shared".to_owned())]),
    };
    let flavor = s.create("flavor", flavor).await?;
    let Some(Resource::Flavor(found)) = s.cloud.get(ResourceKind::Flavor, &flavor).await? else {
        anyhow::bail!("no flavor")
    };
    ensure!(
        !found.public && found.extra_specs["hw:cpu_policy"] == "shared",
        "{found:?}"
    );
    let group = Spec::ServerGroup {
        tenant: known(&tenant),
        name: "apart".into(),
        policy: "anti-affinity".into(),
    };
    let group = s.create("server group", group).await?;

    let (boot, data) = (s.image("boot", 1024).await?, s.image("data", 1500).await?);
    let mut spec = s.adoption("boot", &tenant, &boot);
    spec.bootable = true;
    spec.metadata.insert("tier".into(), "web".into());
    spec.image_metadata = BTreeMap::from([
        ("hw_disk_bus".to_owned(), "virtio".to_owned()),
        ("os_distro".into(), "debian".into()),
    ]);
    let boot = s.adopt("boot", &spec).await?;
    ensure!(
        boot == s.cloud.adopt(&spec, &s.token("boot")).await?,
        "adopting again gives the same"
    );
    let data = s.adopt("data", &s.adoption("data", &tenant, &data)).await?;
    let Some(Resource::Volume(found)) = s.cloud.get(ResourceKind::Volume, &boot.id).await? else {
        anyhow::bail!("no volume")
    };
    ensure!(
        found.bootable && found.image_metadata["hw_disk_bus"] == "virtio" && found.metadata["tier"] == "web",
        "{found:?}"
    );
    ensure!(
        found.storage == boot.storage && found.tenant_id == tenant && found.size_gib == 1,
        "{found:?}"
    );
    rbd(s.site, &["info", image(boot.storage.as_ref().unwrap())]).await?;

    let host = format!("{}-comp-2", s.site);
    let server = Spec::Server {
        tenant: known(&tenant),
        name: s.name("server"),
        flavor: known(&flavor),
        keypair: Some(known(&keypair)),
        ports: vec![known(&net.port)],
        volumes: vec![known(&boot.id), known(&data.id)],
        availability_zone: Some("nova".into()),
        host: Some(host.clone()),
        server_group: Some(known(&group)),
        metadata: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
        user_data: Some("I2Nsb3VkLWNvbmZpZwo=".into()),
    };
    let server = s.create("server", server).await?;
    let instance = || async {
        let found = s.cloud.get(ResourceKind::Instance, &server).await?;
        let Some(Resource::Instance(found)) = found else {
            anyhow::bail!("no instance")
        };
        Ok(found)
    };
    let found = instance().await?;
    ensure!(
        found.power == PowerState::Running && found.host.as_ref() == Some(&host),
        "{found:?}"
    );
    ensure!(
        found.volume_ids == [boot.id.clone(), data.id.clone()] && found.boots_from_volume,
        "{found:?}"
    );
    ensure!(
        found.port_ids == [net.port.clone()] && found.keypair.as_deref() == Some(keypair.as_str()),
        "{found:?}"
    );
    ensure!(
        found.metadata["role"] == "web" && found.metadata.len() == 1,
        "{found:?}"
    );
    ensure!(
        found.user_data.as_deref() == Some("I2Nsb3VkLWNvbmZpZwo=") && found.tenant_id == tenant,
        "{found:?}"
    );
    let Some(Resource::ServerGroup(members)) = s.cloud.get(ResourceKind::ServerGroup, &group).await? else {
        anyhow::bail!("no group")
    };
    ensure!(members.members == [server.clone()], "{members:?}");

    for _ in 0..2 {
        s.cloud.stop(&server).await.context("stop")?;
        ensure!(instance().await?.power == PowerState::Stopped, "stopped");
    }
    for _ in 0..2 {
        s.cloud.start(&server).await.context("start")?;
        ensure!(instance().await?.power == PowerState::Running, "started");
    }
    ensure!(
        !s.cloud.console(&server, 10).await?.is_empty(),
        "the console says something"
    );

    // What is in use stays, whoever asks.
    let in_use = s.cloud.release(&boot.id).await.expect_err("attached");
    ensure!(in_use.kind() == ErrorKind::Conflict, "{in_use:?}");
    let tenant_handle = Handle {
        kind: CreatedKind::Tenant,
        id: tenant.clone(),
        tenant: None,
        storage: None,
    };
    let held = s
        .cloud
        .remove(&tenant_handle, &s.token("tenant"))
        .await
        .expect_err("tenant in use");
    ensure!(
        held.kind() == ErrorKind::Conflict && held.to_string().contains("servers"),
        "{held:?}"
    );
    let volume_handle = Handle {
        kind: CreatedKind::Volume,
        ..boot.clone()
    };
    let never = s
        .cloud
        .remove(&volume_handle, &s.token("boot"))
        .await
        .expect_err("volumes are released");
    ensure!(never.kind() == ErrorKind::Refused, "{never:?}");
    Ok(())
}

/// Adoption and release of RBD images, with everything that Cinder accepts first and cannot do then (lab facts §2).
#[tokio::test]
async fn adoption_and_its_failures() {
    let scene = Scene::new("b");
    let outcome = adoption(&scene).await;
    scene.finish(outcome).await;
}

async fn adoption(s: &Scene) -> Result<()> {
    let tenant = s.tenant().await?;
    let storage = s.image("image", 100).await?;
    let spec = s.adoption("image", &tenant, &storage);
    let volume = s.adopt("image", &spec).await?;
    ensure!(
        rbd("b", &["info", image(&storage)]).await.is_err(),
        "the image has a new name"
    );

    // A snapshot made in the cloud holds the volume.
    let snapshot = s.name("snapshot");
    openstack(
        "cloud-b",
        &[
            "volume",
            "snapshot",
            "create",
            "--volume",
            volume.id.as_str(),
            &snapshot,
        ],
    )
    .await
    .ok();
    let made = until("snapshot", 60, async || {
        let all: Vec<Resource> = s.cloud.inventory(&[ResourceKind::VolumeSnapshot]).try_collect().await?;
        let ours = |r: &Resource| matches!(r, Resource::VolumeSnapshot(x) if x.volume_id == volume.id && x.status == "available");
        Ok(all.into_iter().find(ours))
    })
    .await?;
    let held = s.cloud.release(&volume.id).await.expect_err("snapshots");
    ensure!(
        (held.kind(), held.code()) == (ErrorKind::Conflict, "volume.snapshots"),
        "{held:?}"
    );
    openstack("cloud-b", &["volume", "snapshot", "delete", made.id().as_str()]).await?;
    until("snapshot gone", 60, async || {
        Ok(s.cloud
            .get(ResourceKind::VolumeSnapshot, made.id())
            .await?
            .is_none()
            .then_some(()))
    })
    .await?;

    // Release, and what is left of an attempt to delete: error_deleting.
    openstack(
        "cloud-b",
        &["volume", "set", "--state", "error_deleting", volume.id.as_str()],
    )
    .await?;
    s.cloud.release(&volume.id).await?;
    s.cloud.release(&volume.id).await.context("again")?;
    ensure!(
        s.cloud.get(ResourceKind::Volume, &volume.id).await?.is_none(),
        "the record is gone"
    );
    let kept = volume.storage.clone().unwrap();
    rbd("b", &["info", image(&kept)]).await.context("the image stays")?;

    // Again, from its new name, into the same tenant.
    let again = s.adopt("again", &s.adoption("again", &tenant, &kept)).await?;
    ensure!(again.id != volume.id && again.storage != volume.storage, "{again:?}");
    let managed = s
        .cloud
        .adopt(
            &s.adoption("twice", &tenant, again.storage.as_ref().unwrap()),
            &s.token("twice"),
        )
        .await;
    let managed = managed.expect_err("already managed");
    ensure!(managed.kind() == ErrorKind::Conflict, "{managed:?}");

    for (what, storage, kind, code) in [
        (
            "missing",
            "rbd:volumes/no-such-image",
            ErrorKind::NotFound,
            "volume.image",
        ),
        ("pool", "rbd:no-such-pool/x", ErrorKind::Rejected, "volume.no_backend"),
        (
            "namespace",
            "rbd:volumes/ns/x",
            ErrorKind::Unsupported,
            "volume.namespace",
        ),
    ] {
        let spec = s.adoption(what, &tenant, &StorageRef::new(storage));
        let began = Instant::now();
        let error = s.cloud.adopt(&spec, &s.token(what)).await.expect_err(what);
        println!("{what}: {error} in {} ms", began.elapsed().as_millis());
        ensure!((error.kind(), error.code()) == (kind, code), "{what}: {error:?}");
        ensure!(
            s.cloud
                .find(CreatedKind::Volume, Some(&tenant), &s.token(what))
                .await?
                .is_none(),
            "{what}: a record stays"
        );
    }
    let mut unknown = s.adoption("type", &tenant, &kept);
    unknown.volume_type = "no-such-type".into();
    let error = s.cloud.adopt(&unknown, &s.token("type")).await.expect_err("type");
    ensure!(
        (error.kind(), error.code()) == (ErrorKind::Rejected, "volume.type"),
        "{error:?}"
    );

    // gigabytes: 202, then error. volumes: 413 at once. Both are the quota, and the image keeps its name.
    for (limit, what) in [(["--gigabytes", "2"], "gigabytes"), (["--volumes", "1"], "volumes")] {
        let big = s.image(what, 3000).await?;
        openstack("cloud-b", &["quota", "set", limit[0], limit[1], tenant.as_str()]).await?;
        let error = s
            .cloud
            .adopt(&s.adoption(what, &tenant, &big), &s.token(what))
            .await
            .expect_err(what);
        println!("{what}: {error}");
        ensure!(error.kind() == ErrorKind::Quota, "{what}: {error:?}");
        rbd("b", &["info", image(&big)]).await.context("keeps its name")?;
        ensure!(
            s.cloud
                .find(CreatedKind::Volume, Some(&tenant), &s.token(what))
                .await?
                .is_none(),
            "{what}: a record stays"
        );
        openstack("cloud-b", &["quota", "set", limit[0], "100", tenant.as_str()]).await?;
        // After the cause is gone the same call succeeds.
        s.adopt(what, &s.adoption(what, &tenant, &big)).await?;
    }
    Ok(())
}

/// A mirrored image on its secondary side: 202, then error (lab facts §2); told as what it is, image untouched.
#[tokio::test]
async fn a_replica_cannot_be_adopted() {
    let (source, target) = (Scene::new("a"), Scene::new("b"));
    let outcome = replica(&source, &target).await;
    target.finish(Ok(())).await;
    source.finish(outcome).await;
}

async fn replica(a: &Scene, b: &Scene) -> Result<()> {
    let tenant = b.tenant().await?;
    let storage = a.image("mirrored", 64).await?;
    rbd("a", &["mirror", "image", "enable", image(&storage), "snapshot"]).await?;
    until("replica", 120, async || {
        let info = rbd("b", &["info", image(&storage)]).await;
        Ok(info
            .is_ok_and(|text| text.contains("mirroring primary: false"))
            .then_some(()))
    })
    .await?;
    let error = b
        .cloud
        .adopt(&b.adoption("replica", &tenant, &storage), &b.token("replica"))
        .await
        .expect_err("a replica");
    println!("{error}");
    ensure!(
        (error.kind(), error.code()) == (ErrorKind::Rejected, "volume.image_read_only"),
        "{error:?}"
    );
    ensure!(
        b.cloud
            .find(CreatedKind::Volume, None, &b.token("replica"))
            .await?
            .is_none(),
        "a record stays"
    );
    let info = rbd("b", &["info", image(&storage)]).await?;
    ensure!(
        info.contains("mirroring primary: false"),
        "the replica is as it was: {info}"
    );
    rbd("a", &["mirror", "image", "disable", image(&storage)]).await?;
    until("replica gone", 120, async || {
        Ok(rbd("b", &["info", image(&storage)]).await.is_err().then_some(()))
    })
    .await
}

/// What the real services refuse, each as the kind that the engine acts on (lab facts §5).
#[tokio::test]
async fn refusals() {
    let mut wrong = config("cloud-b");
    if let Auth::Password { password, .. } = &mut wrong.auth {
        *password = "not-the-password".to_owned().into();
    }
    let error = OpenStack::new(wrong).unwrap().check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert!(!format!("{error:?}").contains("not-the-password"));

    let mut nowhere = config("cloud-b");
    nowhere.auth_url = "http://127.0.0.22:5999/v3".parse().unwrap();
    let began = Instant::now();
    let error = OpenStack::new(nowhere).unwrap().check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(began.elapsed().as_secs() < 10);

    let member = cloud("cloud-b-member");
    let spec = Spec::Tenant {
        name: "ns-test-refused".into(),
        description: String::new(),
    };
    let scene = Scene::new("b");
    let error = member.create(&spec, &scene.token("refused")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    let error = member
        .inventory(&[ResourceKind::Hypervisor])
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");

    let outcome = refused_in_a_tenant(&scene).await;
    scene.finish(outcome).await;
}

async fn refused_in_a_tenant(s: &Scene) -> Result<()> {
    let tenant = s
        .create(
            "tenant",
            Spec::Tenant {
                name: s.name("tenant"),
                description: String::new(),
            },
        )
        .await?;
    // A project in which the engine's user has no role: Nova and Cinder would work in the wrong one.
    let group = Spec::ServerGroup {
        tenant: known(&tenant),
        name: "g".into(),
        policy: "affinity".into(),
    };
    let error = s.cloud.create(&group, &s.token("group")).await.expect_err("no role");
    ensure!(
        (error.kind(), error.code()) == (ErrorKind::Denied, "identity.no_role"),
        "{error:?}"
    );
    s.create("access", Spec::TenantAccess { tenant: known(&tenant) })
        .await?;
    s.create("group", group).await?;

    let default = Spec::SecurityGroup {
        tenant: known(&tenant),
        name: "default".into(),
        description: String::new(),
    };
    let error = s
        .cloud
        .create(&default, &s.token("default"))
        .await
        .expect_err("default");
    ensure!(
        error.kind() == ErrorKind::Rejected && error.remedy().is_some(),
        "{error:?}"
    );

    let network = s
        .create(
            "network",
            Spec::Network {
                tenant: known(&tenant),
                name: "n".into(),
                mtu: None,
            },
        )
        .await?;
    let subnet = |name: &str, cidr: &str| Spec::Subnet {
        tenant: known(&tenant),
        network: known(&network),
        name: name.into(),
        cidr: cidr.into(),
        ip_version: 4,
        gateway_ip: None,
        dhcp: false,
        allocation_pools: Vec::new(),
        dns_nameservers: Vec::new(),
        host_routes: Vec::new(),
    };
    let subnet_id = s.create("subnet", subnet("s", "10.79.0.0/24")).await?;
    let error = s
        .cloud
        .create(&subnet("s2", "10.79.0.0/16"), &s.token("overlap"))
        .await
        .expect_err("overlap");
    ensure!(
        (error.kind(), error.code()) == (ErrorKind::Rejected, "network.InvalidInput"),
        "{error:?}"
    );

    let port = |mac: &str, address: &str| Spec::Port {
        tenant: known(&tenant),
        network: known(&network),
        name: "p".into(),
        fixed_ips: vec![(known(&subnet_id), address.into())],
        mac: Some(mac.into()),
        security_groups: Vec::new(),
    };
    let card = s.create("port", port("fa:16:3e:79:00:01", "10.79.0.5")).await?;
    for (what, spec, code) in [
        (
            "address",
            port("fa:16:3e:79:00:02", "10.79.0.5"),
            "network.IpAddressAlreadyAllocated",
        ),
        ("mac", port("fa:16:3e:79:00:01", "10.79.0.6"), "network.MacAddressInUse"),
    ] {
        let error = s.cloud.create(&spec, &s.token(what)).await.expect_err(what);
        ensure!((error.kind(), error.code()) == (ErrorKind::Conflict, code), "{error:?}");
    }
    openstack("cloud-b", &["quota", "set", "--ports", "1", tenant.as_str()]).await?;
    let error = s
        .cloud
        .create(&port("fa:16:3e:79:00:03", "10.79.0.7"), &s.token("quota"))
        .await
        .expect_err("quota");
    ensure!(
        (error.kind(), error.code()) == (ErrorKind::Quota, "network.OverQuota"),
        "{error:?}"
    );
    let error = s
        .cloud
        .remove(
            &Handle {
                kind: CreatedKind::Network,
                id: network.clone(),
                tenant: None,
                storage: None,
            },
            &s.token("network"),
        )
        .await;
    ensure!(
        error.as_ref().is_err_and(|e| e.kind() == ErrorKind::Conflict),
        "{error:?}"
    );

    let storage = s.image("boot", 1024).await?;
    let mut adoption = s.adoption("boot", &tenant, &storage);
    adoption.bootable = true;
    let boot = s.adopt("boot", &adoption).await?;
    let flavor = CloudId::from(fact(s.site, "/flavors/m1.lab"));
    let server = |host: Option<&str>, zone: Option<&str>| Spec::Server {
        tenant: known(&tenant),
        name: "refused".into(),
        flavor: known(&flavor),
        keypair: None,
        ports: vec![known(&card)],
        volumes: vec![known(&boot.id)],
        availability_zone: zone.map(Into::into),
        host: host.map(Into::into),
        server_group: None,
        metadata: BTreeMap::new(),
        user_data: None,
    };
    for (what, spec) in [
        ("host", server(Some("no-such-host"), None)),
        ("zone", server(None, Some("no-such-zone"))),
    ] {
        let error = s.cloud.create(&spec, &s.token(what)).await.expect_err(what);
        println!("{what}: {error}");
        ensure!(error.kind() == ErrorKind::Rejected, "{error:?}");
        ensure!(
            s.cloud
                .find(CreatedKind::Server, Some(&tenant), &s.token(what))
                .await?
                .is_none(),
            "{what}: something stays"
        );
    }
    openstack("cloud-b", &["quota", "set", "--instances", "0", tenant.as_str()]).await?;
    let error = s
        .cloud
        .create(&server(None, None), &s.token("instances"))
        .await
        .expect_err("quota");
    ensure!(error.kind() == ErrorKind::Quota, "{error:?}");
    openstack("cloud-b", &["quota", "set", "--instances", "10", tenant.as_str()]).await?;
    // No host fits: 202 first, then ERROR; the server is found by its token and goes away with it.
    let mut huge = server(Some(&format!("{}-comp-1", s.site)), None);
    if let Spec::Server { flavor, .. } = &mut huge {
        *flavor = known(&CloudId::from(fact(s.site, "/flavors/libvirt.lab")));
    }
    let error = s
        .cloud
        .create(&huge, &s.token("nowhere"))
        .await
        .expect_err("no valid host");
    println!("nowhere: {error}");
    ensure!(
        (error.kind(), error.code()) == (ErrorKind::Quota, "compute.no_valid_host"),
        "{error:?}"
    );
    let left = s
        .cloud
        .find(CreatedKind::Server, Some(&tenant), &s.token("nowhere"))
        .await?
        .context("found by its token")?;
    s.cloud.remove(&left, &s.token("nowhere")).await?;
    // Volume and card are free again.
    s.create("server", server(None, None)).await?;
    Ok(())
}
