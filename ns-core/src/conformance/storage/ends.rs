//! Names that travel, and the end of replication.

use super::bench::StorageBench;
use crate::Result;
use crate::conformance::case::ensure;
use crate::conformance::{Outcome, Side};
use crate::provider::Role;

const A: Side = Side::Primary;
const B: Side = Side::Secondary;

/// A primary may be renamed; both sides find their image by identity, whatever it is called by then (facts 13.1).
pub(super) async fn a_rename_is_survived(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    let name = b.fixture().sibling(&pair.image, "-renamed");
    b.note_image(&name);
    b.a().rename(&pair.image, &name).await?;
    ensure!(
        b.a().find_replica(&pair.id).await?.as_ref() == Some(&name),
        "the identity does not find the new name"
    );
    b.write(A, &name, "second").await?;
    b.a().snapshot(&name, "p1").await?;
    let mark = b.a().ship(&name, Some("p1")).await?;
    b.arrival(B, &pair.id, &mark).await?;
    let replica = b.replica(B, &pair.id).await?;
    b.expect_role(B, &replica, Role::Secondary).await?;
    b.expect_contents(B, &replica, Some("p1"), "second").await?;
    Ok(Outcome::Passed)
}

/// Ending replication keeps the primary with its bytes and removes the replica; again and on nothing it is fine (REP-05).
pub(super) async fn disable_removes_the_replica(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    for _ in 0..2 {
        b.a().disable_replication(&pair.image).await?;
    }
    b.expect_role(A, &pair.image, Role::Unreplicated).await?;
    b.replica_gone(B, &pair.id).await?;
    ensure!(
        b.a().find_replica(&pair.id).await?.is_none(),
        "the identity is still found on the primary's side"
    );
    b.expect_contents(A, &pair.image, None, "first").await?;
    b.write(A, &pair.image, "second").await?;

    // And it can begin anew.
    let id = b.enable(&pair.image).await?;
    b.a().snapshot(&pair.image, "p1").await?;
    let mark = b.a().ship(&pair.image, Some("p1")).await?;
    b.arrival(B, &id, &mark).await?;
    let replica = b.replica(B, &id).await?;
    b.expect_contents(B, &replica, Some("p1"), "second").await?;
    Ok(Outcome::Passed)
}

/// A snapshot that is removed on the primary disappears from the replica, and its clones there live on.
pub(super) async fn a_removed_snapshot_disappears(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.point(&pair, "p1").await?;
    let clone = match b.b().capabilities().clone_replica {
        true => Some(b.b().clone_snapshot(&pair.replica, "p1", &b.token("clone")).await?),
        false => None,
    };
    b.a().remove_snapshot(&pair.image, "p1").await?;
    b.write(A, &pair.image, "second").await?;
    b.point(&pair, "p2").await?;
    b.until("p1 disappears from the replica", || async {
        let names = b.b().snapshots(&pair.replica).await?;
        Ok((!names.iter().any(|s| s.name == "p1")).then_some(()))
    })
    .await?;
    b.expect_contents(B, &pair.replica, Some("p2"), "second").await?;
    if let Some(clone) = clone {
        b.expect_contents(B, &clone, None, "first").await?;
    }
    Ok(Outcome::Passed)
}
