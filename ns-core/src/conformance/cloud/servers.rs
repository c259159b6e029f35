//! Servers on adopted volumes, and what limits them.

use super::bench::CloudBench;
use super::stage::{Stage, known};
use super::volumes::volume;
use crate::conformance::Outcome;
use crate::conformance::case::{ensure, expect_error};
use crate::conformance::fixture::broken;
use crate::model::{CloudId, Instance, PowerState, Resource, ResourceKind};
use crate::provider::{CreatedKind, Ref, Spec};
use crate::{ErrorKind, Result};

async fn instance(b: &CloudBench<'_>, id: &CloudId) -> Result<Instance> {
    match b.get(ResourceKind::Instance, id).await? {
        Resource::Instance(instance) => Ok(instance),
        other => Err(broken(format!("asked for a server, got {other:?}"))),
    }
}

fn skip(b: &CloudBench<'_>) -> Option<Outcome> {
    let skip = !b.cloud().capabilities().adopt;
    skip.then(|| Outcome::Skipped("the provider cannot adopt".to_owned()))
}

/// A server runs from adopted volumes, on the port given, and its console shows that its system is up (facts: `ACTIVE`
/// says little). Making it again gives the same server.
pub(super) async fn a_server_boots_from_adopted_volumes(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let stage = Stage::new(b).await?;
    let flavor = b.create("flavor", &stage.flavor_spec(b)).await?.id;
    let port = stage.port(b, "port", 20).await?;
    let (boot, data) = (
        stage.boot_volume(b, "boot").await?,
        stage.data_volume(b, "data", false).await?,
    );
    let mut spec = stage.server_spec(b, "server", &flavor, &port, &[&boot, &data]);
    let chosen = b
        .fixture()
        .compute_host()
        .filter(|_| b.cloud().capabilities().choose_host);
    if let Spec::Server { host, .. } = &mut spec {
        host.clone_from(&chosen);
    }
    let handle = b.create("server", &spec).await?;
    let seen = instance(b, &handle.id).await?;
    ensure!(
        seen.power == PowerState::Running,
        "the server is {:?} ({}): {:?}",
        seen.power,
        seen.status,
        seen.fault
    );
    ensure!(
        seen.name == b.name("server") && seen.tenant_id == stage.tenant,
        "the server is {seen:?}"
    );
    ensure!(
        seen.volume_ids == [boot.id.clone(), data.id.clone()],
        "its volumes are {:?}",
        seen.volume_ids
    );
    ensure!(seen.boots_from_volume, "it does not boot from its volume");
    ensure!(seen.port_ids == [port.clone()], "its ports are {:?}", seen.port_ids);
    ensure!(
        (seen.flavor.vcpus, seen.flavor.memory_mib) == (1, 256),
        "its flavour is {:?}",
        seen.flavor
    );
    ensure!(
        seen.metadata.get("conformance").map(String::as_str) == Some("yes"),
        "its metadata is {:?}",
        seen.metadata
    );
    ensure!(
        chosen.is_none() || seen.host == chosen,
        "asked for host {chosen:?}, it runs on {:?}",
        seen.host
    );
    for id in [&boot.id, &data.id] {
        let attached = volume(b, id).await?.attachments;
        ensure!(
            attached.iter().any(|(server, _)| *server == handle.id),
            "volume {id} is attached to {attached:?}"
        );
    }
    let again = b.create("server", &spec).await?;
    ensure!(again.id == handle.id, "making it again gave {again:?}");

    if b.cloud().capabilities().console
        && let Some(message) = b.fixture().boot_message()
    {
        b.until("the guest says that it is up", || async {
            Ok(b.cloud()
                .console(&handle.id, 50)
                .await?
                .contains(&message)
                .then_some(()))
        })
        .await?;
    }
    expect_error(
        b.cloud().release(&data.id).await,
        &[ErrorKind::Conflict],
        "releasing an attached volume",
    )?;
    Ok(Outcome::Passed)
}

/// Stopping and starting end when it is so, and are fine when it is so already.
pub(super) async fn stop_and_start(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let stage = Stage::new(b).await?;
    let server = stage.server(b).await?.handle.id;
    for _ in 0..2 {
        b.cloud().stop(&server).await?;
        let power = instance(b, &server).await?.power;
        ensure!(power == PowerState::Stopped, "after stopping it is {power:?}");
    }
    for _ in 0..2 {
        b.cloud().start(&server).await?;
        let power = instance(b, &server).await?.power;
        ensure!(power == PowerState::Running, "after starting it is {power:?}");
    }
    Ok(Outcome::Passed)
}

/// A removed server leaves its volumes and ports, free to be used again (INV-24).
pub(super) async fn removing_a_server_keeps_volumes_and_ports(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let stage = Stage::new(b).await?;
    let server = stage.server(b).await?;
    let refused = b.cloud().remove(&server.handle, &b.token("another")).await;
    expect_error(refused, &[ErrorKind::Refused], "removing a server with another token")?;
    ensure!(
        instance(b, &server.handle.id).await?.power == PowerState::Running,
        "a refused removal disturbed it"
    );
    for _ in 0..2 {
        b.cloud().remove(&server.handle, &b.token("server")).await?;
    }
    let got = b.cloud().get(ResourceKind::Instance, &server.handle.id).await?;
    ensure!(got.is_none(), "the removed server is there: {got:?}");
    let left = volume(b, &server.volume.id).await?;
    ensure!(
        left.status == "available" && left.attachments.is_empty(),
        "its volume is {left:?}"
    );
    let Resource::Port(port) = b.get(ResourceKind::Port, &server.port).await? else {
        return Err(broken("its port is gone"));
    };
    ensure!(port.device_id.is_empty(), "its port is in use by {}", port.device_id);
    let spec = stage.server_spec(b, "second", &server.flavor, &server.port, &[&server.volume]);
    b.create("second", &spec).await?;
    Ok(Outcome::Passed)
}

/// A volume of a shareable type is used by two servers at the same time.
pub(super) async fn two_servers_share_a_volume(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    if !b.cloud().capabilities().multiattach {
        return Ok(Outcome::Skipped("the provider cannot share volumes".to_owned()));
    }
    let stage = Stage::new(b).await?;
    let flavor = b.create("flavor", &stage.flavor_spec(b)).await?.id;
    let shared = stage.data_volume(b, "shared", true).await?;
    ensure!(
        volume(b, &shared.id).await?.multiattach,
        "the adopted volume cannot be shared"
    );
    let mut servers = vec![];
    for (index, what) in ["one", "two"].into_iter().enumerate() {
        let last = if index == 0 { 20 } else { 21 };
        let port = stage.port(b, &format!("port {what}"), last).await?;
        let boot = stage.boot_volume(b, &format!("boot {what}")).await?;
        let spec = stage.server_spec(b, what, &flavor, &port, &[&boot, &shared]);
        servers.push(b.create(what, &spec).await?.id);
    }
    let attached = volume(b, &shared.id).await?.attachments;
    ensure!(
        servers.iter().all(|id| attached.iter().any(|(s, _)| s == id)),
        "it is attached to {attached:?}"
    );
    Ok(Outcome::Passed)
}

/// What is in use is not used twice.
pub(super) async fn used_volumes_and_ports_are_not_used_again(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let stage = Stage::new(b).await?;
    let server = stage.server(b).await?;
    let kinds = &[ErrorKind::Conflict, ErrorKind::Rejected];
    let free_port = stage.port(b, "free port", 21).await?;
    let same_volume = stage.server_spec(b, "volume taken", &server.flavor, &free_port, &[&server.volume]);
    expect_error(
        b.create("volume taken", &same_volume).await,
        kinds,
        "booting from a volume in use",
    )?;
    let free_volume = stage.boot_volume(b, "free volume").await?;
    let same_port = stage.server_spec(b, "port taken", &server.flavor, &server.port, &[&free_volume]);
    expect_error(
        b.create("port taken", &same_port).await,
        kinds,
        "booting with a port in use",
    )?;
    ensure!(
        instance(b, &server.handle.id).await?.power == PowerState::Running,
        "the first server was disturbed"
    );
    Ok(Outcome::Passed)
}

/// An exhausted quota is `Quota`, leaves nothing that can be used, and does not stand in the way once it is raised.
pub(super) async fn an_exhausted_quota(b: &CloudBench<'_>) -> Result<Outcome> {
    let stage = Stage::new(b).await?;
    let network = Spec::Network {
        tenant: known(&stage.tenant),
        name: b.name("over quota"),
        mtu: None,
    };
    if !b.fixture().limit(&stage.tenant, CreatedKind::Network, 1).await? {
        return Ok(Outcome::Skipped("the fixture cannot set quotas".to_owned()));
    }
    expect_error(
        b.create("over quota", &network).await,
        &[ErrorKind::Quota],
        "a network over quota",
    )?;
    b.fixture().limit(&stage.tenant, CreatedKind::Network, 2).await?;
    b.create("over quota", &network).await?;
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    if b.fixture().limit(&stage.tenant, CreatedKind::Volume, 0).await? {
        let image = b.fixture().blank_image(1 << 30).await?;
        let spec = b.adoption(&stage.tenant, &image);
        expect_error(
            b.adopt("volume", &spec).await,
            &[ErrorKind::Quota],
            "a volume over quota",
        )?;
        ensure!(
            b.fixture().storage().image(&image).await?.is_some(),
            "the image has lost its name"
        );
        b.fixture().limit(&stage.tenant, CreatedKind::Volume, 9).await?;
        b.adopt("volume", &spec).await?;
    }
    if b.fixture().limit(&stage.tenant, CreatedKind::Server, 0).await? {
        let flavor = b.create("flavor", &stage.flavor_spec(b)).await?.id;
        let port = stage.port(b, "port", 20).await?;
        let boot = stage.boot_volume(b, "boot").await?;
        let spec = stage.server_spec(b, "server", &flavor, &port, &[&boot]);
        expect_error(
            b.create("server", &spec).await,
            &[ErrorKind::Quota],
            "a server over quota",
        )?;
        ensure!(
            volume(b, &boot.id).await?.attachments.is_empty(),
            "a refused server took its volume"
        );
        b.fixture().limit(&stage.tenant, CreatedKind::Server, 9).await?;
        b.create("server", &spec).await?;
    }
    Ok(Outcome::Passed)
}

/// A server that fits nowhere is `Quota`; the attempt is found by its token, removed, and its volume is free again.
pub(super) async fn a_server_that_fits_nowhere(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let stage = Stage::new(b).await?;
    let mut flavor = stage.flavor_spec(b);
    if let Spec::Flavor { vcpus, memory_mib, .. } = &mut flavor {
        (*vcpus, *memory_mib) = (60_000, 1 << 30);
    }
    let flavor = b.create("flavor", &flavor).await?.id;
    let port = stage.port(b, "port", 20).await?;
    let boot = stage.boot_volume(b, "boot").await?;
    let spec = stage.server_spec(b, "server", &flavor, &port, &[&boot]);
    expect_error(
        b.create("server", &spec).await,
        &[ErrorKind::Quota],
        "a server that fits nowhere",
    )?;
    let token = b.token("server");
    if let Some(handle) = b.cloud().find(CreatedKind::Server, Some(&stage.tenant), &token).await? {
        b.cloud().remove(&handle, &token).await?;
    }
    let left = volume(b, &boot.id).await?;
    ensure!(
        left.status == "available" && left.attachments.is_empty(),
        "its volume is {left:?}"
    );
    Ok(Outcome::Passed)
}

/// Servers of an anti-affinity group run on different hosts.
pub(super) async fn server_groups_keep_apart(b: &CloudBench<'_>) -> Result<Outcome> {
    if let Some(skip) = skip(b) {
        return Ok(skip);
    }
    let stage = Stage::new(b).await?;
    let flavor = b.create("flavor", &stage.flavor_spec(b)).await?.id;
    let group = Spec::ServerGroup {
        tenant: known(&stage.tenant),
        name: b.name("apart"),
        policy: "anti-affinity".to_owned(),
    };
    let group = b.create("apart", &group).await?.id;
    let mut hosts = vec![];
    for (what, last) in [("one", 20), ("two", 21)] {
        let port = stage.port(b, &format!("port {what}"), last).await?;
        let boot = stage.boot_volume(b, &format!("boot {what}")).await?;
        let mut spec = stage.server_spec(b, what, &flavor, &port, &[&boot]);
        if let Spec::Server { server_group, .. } = &mut spec {
            *server_group = Some(Ref::Known(group.clone()));
        }
        let id = b.create(what, &spec).await?.id;
        hosts.push(instance(b, &id).await?.host);
    }
    ensure!(hosts[0].is_some() && hosts[0] != hosts[1], "they run on {hosts:?}");
    let Resource::ServerGroup(shown) = b.get(ResourceKind::ServerGroup, &group).await? else {
        return Err(broken("the group is gone"));
    };
    ensure!(
        shown.members.len() == 2,
        "the group shows the members {:?}",
        shown.members
    );
    Ok(Outcome::Passed)
}
