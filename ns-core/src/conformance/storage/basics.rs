//! Identity, pairing, beginning replication, and what is said of things that do not exist.

use super::bench::StorageBench;
use crate::conformance::case::{ensure, expect_error};
use crate::conformance::{Outcome, Side};
use crate::model::ReplicationMode;
use crate::provider::{PairingOffer, ReplicationPhase, Role};
use crate::{ErrorKind, Result};

const NOT_FOUND: &[ErrorKind] = &[ErrorKind::NotFound];

/// Both sides are of one kind, are not the same storage, know each other, and lack no right.
pub(super) async fn identity(b: &StorageBench<'_>) -> Result<Outcome> {
    let (one, two) = (b.a().check().await?, b.b().check().await?);
    ensure!(!b.a().kind().is_empty(), "a provider names its kind");
    ensure!(b.a().kind() == b.b().kind(), "both sides are of one kind");
    ensure!(!one.storage_id.is_empty(), "a storage has an identity");
    ensure!(
        one.storage_id != two.storage_id,
        "both sides say they are {}",
        one.storage_id
    );
    ensure!(
        one.storage_id == b.a().check().await?.storage_id,
        "the identity of a storage does not change"
    );
    for (side, report) in [("A", &one), ("B", &two)] {
        ensure!(
            report.missing_rights.is_empty(),
            "{side} lacks rights: {:?}",
            report.missing_rights
        );
        ensure!(!report.pools.is_empty(), "{side} has no pool that can replicate");
        ensure!(!report.peers.is_empty(), "{side} is paired but names no peer");
    }
    let mode = b.fixture().mode();
    ensure!(
        b.a().capabilities().modes.contains(&mode),
        "the capabilities lack {mode:?}"
    );
    Ok(Outcome::Passed)
}

/// Pairing again changes nothing; a side does not pair with itself; rubbish is no offer.
pub(super) async fn pairing_is_idempotent(b: &StorageBench<'_>) -> Result<Outcome> {
    let before = b.a().check().await?.peers;
    for _ in 0..2 {
        let offer = b.b().offer_pairing().await?;
        b.a().accept_pairing(&offer).await?;
    }
    let after = b.a().check().await?.peers;
    ensure!(
        before == after,
        "pairing again changed the peers from {before:?} to {after:?}"
    );

    let own = b.a().offer_pairing().await?;
    expect_error(
        b.a().accept_pairing(&own).await,
        &[ErrorKind::Rejected],
        "accepting one's own offer",
    )?;
    let rubbish = PairingOffer {
        site_name: "nowhere".to_owned(),
        secret: "rubbish".to_owned().into(),
    };
    expect_error(
        b.a().accept_pairing(&rubbish).await,
        &[ErrorKind::Rejected],
        "accepting rubbish",
    )?;
    Ok(Outcome::Passed)
}

/// Enabling again gives the same identity; the other mode is a conflict and changes nothing.
pub(super) async fn enable_is_idempotent(b: &StorageBench<'_>) -> Result<Outcome> {
    let image = b.image().await?;
    b.expect_role(Side::Primary, &image, Role::Unreplicated).await?;
    let id = b.enable(&image).await?;
    ensure!(id == b.enable(&image).await?, "enabling again gave another identity");
    let mode = b.fixture().mode();
    let state = b.state(Side::Primary, &image).await?;
    ensure!(state.role == Role::Primary, "the enabled image is {:?}", state.role);
    ensure!(
        state.replication == Some((id.clone(), mode)),
        "the image says {:?}",
        state.replication
    );
    ensure!(
        b.a().find_replica(&id).await?.as_ref() == Some(&image),
        "the primary is not found by its identity"
    );

    let other = match mode {
        ReplicationMode::Journal => ReplicationMode::Snapshot,
        _ => ReplicationMode::Journal,
    };
    if !b.a().capabilities().modes.contains(&other) {
        return Ok(Outcome::Skipped(format!(
            "the provider has no other mode than {mode:?}"
        )));
    }
    let result = b.a().enable_replication(&image, other).await;
    expect_error(result, &[ErrorKind::Conflict], "enabling in the other mode")?;
    let state = b.state(Side::Primary, &image).await?;
    ensure!(
        state.replication == Some((id, mode)),
        "a refused enable changed it to {:?}",
        state.replication
    );
    Ok(Outcome::Passed)
}

/// The replica is found by identity, is secondary, of the same size, and holds the same bytes once the mark has arrived.
pub(super) async fn initial_copy_is_equal(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.expect_role(Side::Secondary, &pair.replica, Role::Secondary).await?;
    let (image, replica) = (
        b.state(Side::Primary, &pair.image).await?,
        b.state(Side::Secondary, &pair.replica).await?,
    );
    ensure!(
        image.size_bytes == replica.size_bytes,
        "sizes differ: {image:?}, {replica:?}"
    );
    ensure!(
        image.replication == replica.replication,
        "identities differ: {image:?}, {replica:?}"
    );

    // The replica's head may be in the middle of a copy; a snapshot of it is exact.
    b.point(&pair, "equal").await?;
    b.expect_contents(Side::Secondary, &pair.replica, Some("equal"), "first")
        .await?;
    b.until("the replica reports that it replicates", || async {
        let status = b.b().status(&pair.replica).await?;
        Ok((status.phase == ReplicationPhase::Replicating).then_some(()))
    })
    .await?;
    let status = b.a().status(&pair.image).await?;
    ensure!(
        status.role == Role::Primary,
        "the primary's status says {:?}",
        status.role
    );
    ensure!(
        status.phase == ReplicationPhase::Primary,
        "the primary's phase is {:?}",
        status.phase
    );
    Ok(Outcome::Passed)
}

/// What does not exist is none, `NotFound` or done already, never something else.
pub(super) async fn unknown_image(b: &StorageBench<'_>) -> Result<Outcome> {
    let image = b.image().await?;
    b.fixture().remove_image(Side::Primary, &image).await?;
    let a = b.a();
    ensure!(a.image(&image).await?.is_none(), "a removed image is still there");
    let never = b.token("never-made");
    ensure!(a.find(&never).await?.is_none(), "a token that was never used is found");
    ensure!(
        a.find_replica(&"00000000-0000-4000-8000-000000000000".into())
            .await?
            .is_none(),
        "an unknown identity is found"
    );
    expect_error(a.status(&image).await, NOT_FOUND, "status")?;
    expect_error(a.snapshots(&image).await, NOT_FOUND, "snapshots")?;
    expect_error(a.snapshot(&image, "s").await, NOT_FOUND, "snapshot")?;
    expect_error(
        a.enable_replication(&image, b.fixture().mode()).await,
        NOT_FOUND,
        "enable",
    )?;
    expect_error(a.ship(&image, None).await, NOT_FOUND, "ship")?;
    expect_error(a.demote(&image).await, NOT_FOUND, "demote")?;
    expect_error(
        a.force_promote(&image, &b.decision("missing")).await,
        NOT_FOUND,
        "force promote",
    )?;
    expect_error(a.resync(&image, &b.decision("missing")).await, NOT_FOUND, "resync")?;
    expect_error(a.flatten(&image).await, NOT_FOUND, "flatten")?;
    expect_error(
        a.rename(&image, &b.fixture().sibling(&image, "-x")).await,
        NOT_FOUND,
        "rename",
    )?;
    expect_error(
        a.set_metadata(&image, "key", Some("value")).await,
        NOT_FOUND,
        "set metadata",
    )?;
    expect_error(a.clone_snapshot(&image, "s", &never).await, NOT_FOUND, "clone")?;
    a.disable_replication(&image).await?;
    a.remove_snapshot(&image, "s").await?;
    a.remove(&image, &never).await?;
    Ok(Outcome::Passed)
}
