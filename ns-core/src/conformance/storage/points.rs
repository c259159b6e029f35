//! User snapshots, their way to the replica, and what is done with them there: drills and vaults.

use super::bench::StorageBench;
use crate::conformance::case::{cancel_half_way, ensure, expect_error};
use crate::conformance::{Outcome, Side};
use crate::model::StorageRef;
use crate::provider::{Role, Token};
use crate::{ErrorKind, Result};

const A: Side = Side::Primary;
const B: Side = Side::Secondary;

/// A snapshot keeps what was there; taking it again under the same name changes nothing; removing it twice is fine.
pub(super) async fn snapshot_is_idempotent(b: &StorageBench<'_>) -> Result<Outcome> {
    let image = b.image().await?;
    b.write(A, &image, "old").await?;
    let first = b.a().snapshot(&image, "s1").await?;
    b.write(A, &image, "new").await?;
    let again = b.a().snapshot(&image, "s1").await?;
    ensure!(first == again, "taking {first:?} again gave {again:?}");
    ensure!(
        first.name == "s1" && first.size_bytes == b.state(A, &image).await?.size_bytes,
        "got {first:?}"
    );
    b.expect_contents(A, &image, Some("s1"), "old").await?;
    b.a().snapshot(&image, "s2").await?;
    let names = |list: Vec<crate::provider::SnapshotInfo>| list.into_iter().map(|s| s.name).collect::<Vec<_>>();
    let listed = names(b.a().snapshots(&image).await?);
    ensure!(listed == ["s1", "s2"], "the snapshots are {listed:?}");
    for _ in 0..2 {
        b.a().remove_snapshot(&image, "s1").await?;
    }
    let listed = names(b.a().snapshots(&image).await?);
    ensure!(listed == ["s2"], "after removing s1 the snapshots are {listed:?}");
    b.expect_contents(A, &image, None, "new").await?;
    Ok(Outcome::Passed)
}

/// What `arrived` says is there is there, exactly as it was at the snapshot, although the primary was written since.
pub(super) async fn arrived_means_the_snapshot_is_there(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.write(A, &pair.image, "second").await?;
    b.a().snapshot(&pair.image, "p1").await?;
    b.write(A, &pair.image, "third").await?;
    let mark = b.a().ship(&pair.image, Some("p1")).await?;
    let not_yet = b.arrival(B, &pair.id, &mark).await?;
    // Looked at without waiting any longer.
    let replica = b.replica(B, &pair.id).await?;
    let clone = b.b().clone_snapshot(&replica, "p1", &b.token("look")).await?;
    b.expect_contents(B, &clone, None, "second").await?;
    // The mark covers everything that was written before it, not the snapshot alone.
    b.point(&pair, "p2").await?;
    b.expect_contents(B, &replica, Some("p2"), "third").await?;
    // The same bytes have the same digest, on whichever side and in whichever image they are.
    let content = b.a().content(&pair.image, "p2").await?;
    ensure!(
        content.bytes == b.a().image(&pair.image).await?.map_or(0, |i| i.size_bytes),
        "{content:?}"
    );
    ensure!(
        b.b().content(&replica, "p2").await? == content,
        "the replica's content has another digest"
    );
    ensure!(
        b.a().content(&pair.image, "p1").await? != content,
        "other content has the same digest"
    );
    expect_error(
        b.a().content(&pair.image, "none").await,
        &[ErrorKind::NotFound],
        "content",
    )?;
    ensure!(
        b.b().arrived(&replica, &mark).await?,
        "a mark that had arrived has not any more"
    );
    if not_yet == 0 {
        return Ok(Outcome::Skipped("it arrived before anybody could look".to_owned()));
    }
    Ok(Outcome::Passed)
}

/// A snapshot that does not exist is neither shipped nor cloned.
pub(super) async fn missing_snapshot(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    let none = &[ErrorKind::NotFound];
    expect_error(
        b.a().ship(&pair.image, Some("none")).await,
        none,
        "shipping a missing snapshot",
    )?;
    expect_error(
        b.a().clone_snapshot(&pair.image, "none", &b.token("c1")).await,
        none,
        "cloning a missing snapshot",
    )?;
    expect_error(
        b.b().clone_snapshot(&pair.replica, "none", &b.token("c2")).await,
        none,
        "cloning it on the replica",
    )?;
    ensure!(
        b.b().find(&b.token("c2")).await?.is_none(),
        "a refused clone left something behind"
    );
    Ok(Outcome::Passed)
}

/// A replica is not written, by nobody and in no way.
pub(super) async fn replica_is_read_only(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.point(&pair, "p1").await?;
    let (storage, replica) = (b.b(), &pair.replica);
    ensure!(
        b.fixture().write(B, replica, 0, b"written").await.is_err(),
        "a replica was written"
    );
    let wrong = &[ErrorKind::Refused];
    expect_error(storage.snapshot(replica, "own").await, wrong, "a snapshot of a replica")?;
    expect_error(
        storage.remove_snapshot(replica, "p1").await,
        wrong,
        "removing a snapshot of a replica",
    )?;
    expect_error(storage.ship(replica, None).await, wrong, "shipping from a replica")?;
    expect_error(
        storage.demote(replica).await,
        wrong,
        "demoting the replica of a living primary",
    )?;
    expect_error(
        storage.disable_replication(replica).await,
        wrong,
        "disabling on a replica",
    )?;
    let other = b.fixture().sibling(replica, "-x");
    expect_error(storage.rename(replica, &other).await, wrong, "renaming a replica")?;
    expect_error(
        storage.set_metadata(replica, "key", Some("value")).await,
        wrong,
        "metadata of a replica",
    )?;
    b.expect_role(B, replica, Role::Secondary).await?;
    b.expect_contents(B, replica, Some("p1"), "first").await?;
    Ok(Outcome::Passed)
}

/// A clone of a replica's snapshot is an image of its own: written without the replica or its parent noticing (the
/// drill).
pub(super) async fn drill_on_a_clone(b: &StorageBench<'_>) -> Result<Outcome> {
    if !b.b().capabilities().clone_replica {
        return Ok(Outcome::Skipped("the provider cannot clone a replica".to_owned()));
    }
    let pair = b.pair("first").await?;
    b.point(&pair, "p1").await?;
    let token = b.token("drill");
    let clone = b.b().clone_snapshot(&pair.replica, "p1", &token).await?;
    ensure!(
        clone == b.b().clone_snapshot(&pair.replica, "p1", &token).await?,
        "cloning again gave another image"
    );
    ensure!(
        b.b().find(&token).await?.as_ref() == Some(&clone),
        "the clone is not found by its token"
    );
    let state = b.state(B, &clone).await?;
    ensure!(state.role == Role::Unreplicated, "the clone is {:?}", state.role);
    ensure!(
        state.parent.as_ref() == Some(&pair.replica),
        "the clone's parent is {:?}",
        state.parent
    );
    b.write(B, &clone, "drilled").await?;
    b.expect_contents(B, &clone, None, "drilled").await?;
    b.expect_contents(B, &pair.replica, Some("p1"), "first").await?;
    b.expect_role(B, &pair.replica, Role::Secondary).await?;
    b.expect_role(A, &pair.image, Role::Primary).await?;

    // Replication goes on beneath it.
    b.write(A, &pair.image, "second").await?;
    b.point(&pair, "p2").await?;
    b.expect_contents(B, &pair.replica, Some("p2"), "second").await?;
    b.expect_contents(B, &clone, None, "drilled").await?;
    for _ in 0..2 {
        b.b().remove(&clone, &token).await?;
    }
    ensure!(b.b().image(&clone).await?.is_none(), "the removed clone is still there");
    Ok(Outcome::Passed)
}

/// The token stays with the image when its name changes (adoption renames).
pub(super) async fn found_by_token_after_rename(b: &StorageBench<'_>) -> Result<Outcome> {
    let (clone, token) = own_clone(b, "renamed").await?;
    let name = b.fixture().sibling(&clone, "-renamed");
    for _ in 0..2 {
        b.a().rename(&clone, &name).await?;
    }
    ensure!(b.a().image(&clone).await?.is_none(), "the old name is still there");
    let found = b.a().find(&token).await?;
    ensure!(
        found.as_ref() == Some(&name),
        "after the rename the token finds {found:?}"
    );
    b.expect_contents(A, &name, None, "first").await?;
    let other = b.image().await?;
    expect_error(
        b.a().rename(&name, &other).await,
        &[ErrorKind::Conflict],
        "renaming onto another image",
    )?;
    b.a().remove(&name, &token).await?;
    ensure!(b.a().find(&token).await?.is_none(), "the removed image is still found");
    Ok(Outcome::Passed)
}

/// Nothing is removed that was not made with this token, that replicates, or that others depend on (INV-30).
pub(super) async fn remove_is_guarded(b: &StorageBench<'_>) -> Result<Outcome> {
    let refused = &[ErrorKind::Refused];
    let foreign = b.image().await?;
    b.write(A, &foreign, "foreign").await?;
    expect_error(
        b.a().remove(&foreign, &b.token("any")).await,
        refused,
        "removing a foreign image",
    )?;
    b.expect_contents(A, &foreign, None, "foreign").await?;

    let (clone, token) = own_clone(b, "guarded").await?;
    expect_error(
        b.a().remove(&clone, &b.token("another")).await,
        refused,
        "removing with another token",
    )?;
    b.a().snapshot(&clone, "s").await?;
    let second = b.token("second");
    let child = b.a().clone_snapshot(&clone, "s", &second).await?;
    expect_error(
        b.a().remove(&clone, &token).await,
        &[ErrorKind::Conflict],
        "removing an image with clones",
    )?;
    b.expect_contents(A, &child, None, "first").await?;
    b.a().flatten(&child).await?;

    b.a().flatten(&clone).await?;
    b.enable(&clone).await?;
    expect_error(
        b.a().remove(&clone, &token).await,
        refused,
        "removing an image that replicates",
    )?;
    b.a().disable_replication(&clone).await?;
    // It takes its user snapshots with it.
    for _ in 0..2 {
        b.a().remove(&clone, &token).await?;
    }
    ensure!(b.a().image(&clone).await?.is_none(), "the image is still there");
    b.expect_contents(A, &child, None, "first").await?;
    Ok(Outcome::Passed)
}

/// A flattened image has no parent and keeps its bytes; flattening what has no parent is fine (REP-14).
pub(super) async fn flatten_makes_independent(b: &StorageBench<'_>) -> Result<Outcome> {
    let (clone, _) = own_clone(b, "flat").await?;
    ensure!(b.state(A, &clone).await?.parent.is_some(), "a clone names its parent");
    for _ in 0..2 {
        b.a().flatten(&clone).await?;
    }
    let state = b.state(A, &clone).await?;
    ensure!(
        state.parent.is_none(),
        "after flattening the parent is {:?}",
        state.parent
    );
    b.expect_contents(A, &clone, None, "first").await?;
    Ok(Outcome::Passed)
}

/// A clone of an image that does not replicate is refused until it is flattened (PLAN-14, REP-14).
pub(super) async fn a_clone_is_flattened_before_it_replicates(b: &StorageBench<'_>) -> Result<Outcome> {
    let (clone, _) = own_clone(b, "child").await?;
    let result = b.enable(&clone).await;
    expect_error(
        result,
        &[ErrorKind::Refused],
        "replicating the clone of an unreplicated image",
    )?;
    b.expect_role(A, &clone, Role::Unreplicated).await?;
    b.a().flatten(&clone).await?;
    let id = b.enable(&clone).await?;
    b.a().snapshot(&clone, "p1").await?;
    let mark = b.a().ship(&clone, Some("p1")).await?;
    b.arrival(B, &id, &mark).await?;
    let replica = b.replica(B, &id).await?;
    b.expect_contents(B, &replica, Some("p1"), "first").await?;
    Ok(Outcome::Passed)
}

/// A clone of a replicated snapshot survives the deletion of the source image, which takes the replica with it (facts
/// 0.9 and 12: the vault).
pub(super) async fn vault_survives_deletion_at_the_source(b: &StorageBench<'_>) -> Result<Outcome> {
    if !b.b().capabilities().clone_replica {
        return Ok(Outcome::Skipped("the provider cannot clone a replica".to_owned()));
    }
    let pair = b.pair("precious").await?;
    b.point(&pair, "p1").await?;
    let token = b.token("vault");
    let vault = b.b().clone_snapshot(&pair.replica, "p1", &token).await?;
    b.fixture().remove_image(A, &pair.image).await?;
    b.replica_gone(B, &pair.id).await?;
    b.expect_contents(B, &vault, None, "precious").await?;
    b.b().flatten(&vault).await?;
    b.expect_contents(B, &vault, None, "precious").await?;
    b.b().remove(&vault, &token).await?;
    ensure!(b.b().find(&token).await?.is_none(), "the removed vault is still found");
    Ok(Outcome::Passed)
}

/// Key-value pairs are kept with an image, replaced and removed.
pub(super) async fn metadata_is_kept(b: &StorageBench<'_>) -> Result<Outcome> {
    let image = b.image().await?;
    for value in ["one", "two"] {
        b.a().set_metadata(&image, "conformance", Some(value)).await?;
        let kept = b.state(A, &image).await?.metadata.remove("conformance");
        ensure!(kept.as_deref() == Some(value), "set to {value} it is {kept:?}");
    }
    for _ in 0..2 {
        b.a().set_metadata(&image, "conformance", None).await?;
    }
    let kept = b.state(A, &image).await?.metadata.remove("conformance");
    ensure!(kept.is_none(), "removed it is {kept:?}");
    Ok(Outcome::Passed)
}

/// A call that is dropped half way can be made again and has made one thing, not two (provider: cancellation).
pub(super) async fn a_dropped_call_is_made_again(b: &StorageBench<'_>) -> Result<Outcome> {
    let image = b.image().await?;
    b.write(A, &image, "first").await?;
    for polls in 0..4 {
        let (storage, name, token) = (b.a(), format!("s{polls}"), b.token(&format!("dropped {polls}")));
        cancel_half_way(storage.snapshot(&image, &name), polls).await;
        storage.snapshot(&image, &name).await?;
        cancel_half_way(storage.clone_snapshot(&image, &name, &token), polls).await;
        let clone = storage.clone_snapshot(&image, &name, &token).await?;
        b.expect_contents(A, &clone, None, "first").await?;
        cancel_half_way(storage.remove(&clone, &token), polls).await;
        storage.remove(&clone, &token).await?;
        ensure!(
            storage.find(&token).await?.is_none(),
            "the removed clone is still found"
        );
    }
    let count = b.a().snapshots(&image).await?.len();
    ensure!(count == 4, "4 snapshots were made, {count} are there");
    Ok(Outcome::Passed)
}

/// A clone on A with contents `first`, and its token.
async fn own_clone(b: &StorageBench<'_>, what: &str) -> Result<(StorageRef, Token)> {
    let image = b.image().await?;
    b.write(A, &image, "first").await?;
    b.a().snapshot(&image, "base").await?;
    let token = b.token(what);
    let clone = b.a().clone_snapshot(&image, "base", &token).await?;
    Ok((clone, token))
}
