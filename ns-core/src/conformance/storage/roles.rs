//! Who may write: hand-over, its guards, promotion by force, and what follows from that.

use super::bench::{Pair, StorageBench};
use crate::conformance::case::{ensure, expect_error};
use crate::conformance::{Outcome, Side};
use crate::provider::{Mark, ReplicationPhase, Role};
use crate::{ErrorKind, Result};

const A: Side = Side::Primary;
const B: Side = Side::Secondary;
const REFUSED: &[ErrorKind] = &[ErrorKind::Refused];

/// Hands an image over, as the engine does: demote, proof of arrival, promote.
async fn hand_over(b: &StorageBench<'_>, pair: &Pair, from: Side, to: Side) -> Result<Mark> {
    let source = b.replica(from, &pair.id).await?;
    let mark = b.fixture().storage(from).demote(&source).await?;
    b.expect_role(from, &source, Role::Secondary).await?;
    b.arrival(to, &pair.id, &mark).await?;
    let target = b.replica(to, &pair.id).await?;
    b.fixture().storage(to).promote(&target, &mark).await?;
    b.expect_role(to, &target, Role::Primary).await?;
    Ok(mark)
}

/// Waits until a side replicates from its peer and has everything the peer wrote.
async fn caught_up(b: &StorageBench<'_>, pair: &Pair, from: Side, to: Side) -> Result<()> {
    let source = b.replica(from, &pair.id).await?;
    let mark = b.fixture().storage(from).ship(&source, None).await?;
    b.arrival(to, &pair.id, &mark).await?;
    Ok(())
}

/// A planned hand-over loses nothing, there and back again.
pub(super) async fn hand_over_and_back_loses_nothing(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.write(A, &pair.image, "written last").await?;
    hand_over(b, &pair, A, B).await?;
    b.expect_contents(B, &pair.replica, None, "written last").await?;
    ensure!(
        b.fixture().write(A, &pair.image, 0, b"late").await.is_err(),
        "a demoted image was written"
    );

    b.write(B, &pair.replica, "written at B").await?;
    caught_up(b, &pair, B, A).await?;
    b.write(B, &pair.replica, "written last at B").await?;
    hand_over(b, &pair, B, A).await?;
    b.expect_contents(A, &pair.image, None, "written last at B").await?;
    b.write(A, &pair.image, "again at A").await?;
    b.point(&pair, "end").await?;
    let replica = b.replica(B, &pair.id).await?;
    b.expect_contents(B, &replica, Some("end"), "again at A").await?;
    Ok(Outcome::Passed)
}

/// Demoting and promoting again answer as the first time.
pub(super) async fn roles_are_idempotent(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    let first = b.a().demote(&pair.image).await?;
    let second = b.a().demote(&pair.image).await?;
    b.arrival(B, &pair.id, &first).await?;
    b.arrival(B, &pair.id, &second).await?;
    for mark in [&first, &second, &first] {
        b.b().promote(&pair.replica, mark).await?;
    }
    b.b()
        .force_promote(&pair.replica, &b.decision("already primary"))
        .await?;
    b.expect_role(B, &pair.replica, Role::Primary).await?;
    b.expect_role(A, &pair.image, Role::Secondary).await?;
    b.expect_contents(B, &pair.replica, None, "first").await?;
    Ok(Outcome::Passed)
}

/// The replica of a living primary is not promoted, whatever mark is shown.
pub(super) async fn promote_needs_a_demotion(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    let ship = b.a().ship(&pair.image, None).await?;
    b.arrival(B, &pair.id, &ship).await?;
    expect_error(
        b.b().promote(&pair.replica, &ship).await,
        REFUSED,
        "promoting with a mark that is no demotion",
    )?;
    b.expect_role(B, &pair.replica, Role::Secondary).await?;

    // A demotion of long ago is none of today.
    let old = hand_over(b, &pair, A, B).await?;
    caught_up(b, &pair, B, A).await?;
    hand_over(b, &pair, B, A).await?;
    caught_up(b, &pair, A, B).await?;
    let replica = b.replica(B, &pair.id).await?;
    expect_error(
        b.b().promote(&replica, &old).await,
        REFUSED,
        "promoting with the demotion of an earlier hand-over",
    )?;
    b.expect_role(B, &replica, Role::Secondary).await?;
    b.expect_role(A, &pair.image, Role::Primary).await?;
    Ok(Outcome::Passed)
}

/// A promotion that comes before the demotion has arrived is refused; one that is accepted has lost nothing.
pub(super) async fn promote_before_arrival_is_refused(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.write(A, &pair.image, "written last").await?;
    let mark = b.a().demote(&pair.image).await?;
    let early = b.b().promote(&pair.replica, &mark).await;
    let refused = early.is_err();
    if refused {
        expect_error(early, REFUSED, "promoting before the demotion arrived")?;
        b.expect_role(B, &pair.replica, Role::Secondary).await?;
        b.arrival(B, &pair.id, &mark).await?;
        b.b().promote(&pair.replica, &mark).await?;
    }
    b.expect_contents(B, &pair.replica, None, "written last").await?;
    if !refused {
        return Ok(Outcome::Skipped(
            "the demotion arrived before anybody could be early".to_owned(),
        ));
    }
    Ok(Outcome::Passed)
}

/// A fail-back right after a failover is refused until the other side's writes and demotion have arrived, although this
/// side's own last act was a demotion: the service itself would promote and lose them (facts 0.4). The mark must be the
/// peer's latest: this side cannot tell its own old demotion from one that the peer still stands by.
pub(super) async fn fail_back_too_early_is_refused(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    hand_over(b, &pair, A, B).await?;
    b.write(B, &pair.replica, "written at B").await?;
    let mark = b.b().demote(&pair.replica).await?;
    let early = b.a().promote(&pair.image, &mark).await;
    let refused = early.is_err();
    if refused {
        expect_error(early, REFUSED, "promoting before the peer's demotion arrived")?;
        b.arrival(A, &pair.id, &mark).await?;
        b.a().promote(&pair.image, &mark).await?;
    }
    b.expect_contents(A, &pair.image, None, "written at B").await?;
    b.until("the sides agree again", || async {
        let status = b.b().status(&pair.replica).await?;
        ensure!(
            status.phase != ReplicationPhase::SplitBrain,
            "the fail-back split the image"
        );
        Ok((status.phase == ReplicationPhase::Replicating).then_some(()))
    })
    .await?;
    if !refused {
        return Ok(Outcome::Skipped(
            "the demotion arrived before anybody could be early".to_owned(),
        ));
    }
    Ok(Outcome::Passed)
}

/// Forced promotion of an arrived point gives a writable image with exactly that data, and both sides say that they are
/// primary: nothing hides it (facts 0.5).
pub(super) async fn forced_promotion_shows_on_both_sides(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.point(&pair, "p1").await?;
    b.b()
        .force_promote(&pair.replica, &b.decision("the source is lost"))
        .await?;
    b.expect_role(B, &pair.replica, Role::Primary).await?;
    b.expect_role(A, &pair.image, Role::Primary).await?;
    b.expect_contents(B, &pair.replica, None, "first").await?;
    b.write(B, &pair.replica, "B goes on").await?;
    b.write(A, &pair.image, "A goes on").await?;
    b.expect_contents(B, &pair.replica, None, "B goes on").await?;
    b.expect_contents(A, &pair.image, None, "A goes on").await?;
    expect_error(
        b.a().resync(&pair.image, &b.decision("on a primary")).await,
        REFUSED,
        "resync of a primary",
    )?;
    b.expect_contents(A, &pair.image, None, "A goes on").await?;
    Ok(Outcome::Passed)
}

/// After both sides wrote, the loser is demoted and copied again, and then holds what the winner holds (facts 7).
pub(super) async fn resync_takes_the_winners_data(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    b.b()
        .force_promote(&pair.replica, &b.decision("the source is lost"))
        .await?;
    b.write(B, &pair.replica, "the winner").await?;
    b.write(A, &pair.image, "the loser").await?;
    b.a().demote(&pair.image).await?;
    b.until("the split is reported", || async {
        // Judged by the side that lost: its own report, not the health of the pool.
        let status = b.a().status(&pair.image).await?;
        Ok((status.phase == ReplicationPhase::SplitBrain).then_some(()))
    })
    .await?;
    b.a().resync(&pair.image, &b.decision("B wins")).await?;
    b.b().snapshot(&pair.replica, "after").await?;
    let mark = b.b().ship(&pair.replica, Some("after")).await?;
    b.arrival(A, &pair.id, &mark).await?;
    let image = b.replica(A, &pair.id).await?;
    b.expect_role(A, &image, Role::Secondary).await?;
    b.expect_contents(A, &image, Some("after"), "the winner").await?;
    hand_over(b, &pair, B, A).await?;
    b.expect_contents(A, &image, None, "the winner").await?;
    Ok(Outcome::Passed)
}

/// The status of a replica tells how old its data is, and when it was reported.
pub(super) async fn status_tells_the_age_of_the_data(b: &StorageBench<'_>) -> Result<Outcome> {
    let pair = b.pair("first").await?;
    let taken = b.a().snapshot(&pair.image, "p1").await?.taken_at;
    let mark = b.a().ship(&pair.image, Some("p1")).await?;
    b.arrival(B, &pair.id, &mark).await?;
    let clock = b.fixture().clock();
    let synced = b
        .until("the replica says how old its data is", || async {
            let status = b.b().status(&pair.replica).await?;
            ensure!(
                status.role == Role::Secondary,
                "the replica's status says {:?}",
                status.role
            );
            let fresh = status.synced_to.filter(|at| at.as_second() >= taken.as_second());
            Ok(fresh.filter(|_| {
                status
                    .reported_at
                    .is_some_and(|at| at.as_second() >= taken.as_second() - 1)
            }))
        })
        .await?;
    // A second of slack: services tell time to the second.
    let now = clock.now().as_second() + 1;
    ensure!(
        synced.as_second() <= now,
        "the replica says it is synced to {synced}, which is in the future"
    );
    Ok(Outcome::Passed)
}
