//! The surprises of mirrored storage, as measured on the real one: not rules for providers but facts about the service
//! behind them, that the design leans on. They run on the simulation and in the lab; where one stops being true, either the
//! simulation lies or the service has changed.

use super::case::{Case, cases, ensure, expect_error};
use super::storage::{Pair, StorageBench};
use super::{Outcome, Report, Side, StorageFixture};
use crate::model::{ReplicationMode, StorageRef};
use crate::provider::{ReplicationPhase, Role};
use crate::{Error, ErrorKind, Result};
use async_trait::async_trait;

const A: Side = Side::Primary;
const B: Side = Side::Secondary;

/// A verb of the storage service itself, past the provider and its guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'a> {
    /// `rbd mirror image promote`.
    Promote {
        /// `--force`.
        force: bool,
    },
    /// `rbd mirror image demote`.
    Demote,
    /// `rbd mirror image snapshot`.
    MirrorSnapshot,
    /// `rbd snap create`.
    SnapCreate(&'a str),
    /// `rbd snap purge` and `rbd rm`.
    Remove,
    /// The health word of `rbd mirror pool status`, of the image's pool.
    Health,
}

/// A [`StorageFixture`] that can also use the service as an operator with a command line does.
#[async_trait]
pub trait RawFixture: StorageFixture {
    /// Does one verb and gives what it prints, if that matters.
    ///
    /// # Errors
    /// The service's refusal, with its error number under `errno` in the context.
    async fn raw(&self, side: Side, image: &StorageRef, verb: Raw<'_>) -> Result<String>;
}

/// The bench of one surprise.
#[derive(Debug)]
pub struct SurpriseBench<'f> {
    storage: StorageBench<'f>,
    fixture: FixtureRef<'f>,
}

#[derive(Clone, Copy)]
struct FixtureRef<'f>(&'f dyn RawFixture);

impl std::fmt::Debug for FixtureRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RawFixture")
    }
}

impl super::case::CleanUp for SurpriseBench<'_> {
    async fn clean_up(&self) -> Result<()> {
        self.storage.clean_up().await
    }
}

impl SurpriseBench<'_> {
    async fn raw(&self, side: Side, image: &StorageRef, verb: Raw<'_>) -> Result<String> {
        self.fixture.0.raw(side, image, verb).await
    }

    async fn refused(&self, side: Side, image: &StorageRef, verb: Raw<'_>, errno: &[&str]) -> Result<()> {
        match self.raw(side, image, verb).await {
            Ok(text) => Err(super::fixture::broken(format!(
                "{verb:?} on {side:?} must be refused, it gave {text:?}"
            ))),
            Err(error)
                if error
                    .context()
                    .iter()
                    .any(|(k, v)| k == "errno" && errno.contains(&v.as_str())) =>
            {
                Ok(())
            }
            Err(error) => {
                let message = format!("{verb:?} on {side:?} must be refused with {errno:?}");
                Err(super::fixture::broken(message).with_source(error))
            }
        }
    }

    /// Hands over from A to B with every precaution.
    async fn fail_over(&self, pair: &Pair) -> Result<()> {
        let b = &self.storage;
        let mark = b.a().demote(&pair.image).await?;
        b.arrival(B, &pair.id, &mark).await?;
        b.b().promote(&pair.replica, &mark).await
    }
}

/// Every surprise, with the section of the facts it is measured in.
#[must_use]
pub fn surprise_cases<'f>() -> Vec<Case<SurpriseBench<'f>>> {
    cases![SurpriseBench<'f>:
        facts_0_1_status_is_a_heartbeat_old, "Ceph facts 0.1";
        facts_0_4_unforced_promote_loses_writes, "Ceph facts 0.4";
        facts_0_4_both_sides_promote_unforced, "Ceph facts 0.4";
        facts_0_5_both_primary_reads_healthy, "Ceph facts 0.5";
        facts_0_9_deletion_follows_the_primary, "Ceph facts 0.9";
        facts_2_demotion_under_a_writer_succeeds, "Ceph facts 2";
        facts_2_refusals, "Ceph facts 2";
        facts_4_when_user_snapshots_travel, "Ceph facts 4";
        facts_7_a_resync_makes_the_image_disappear, "Ceph facts 7";
        facts_13_1_a_rename_travels, "Ceph facts 13.1";
    ]
}

/// Runs every surprise whose name is wanted.
pub async fn surprises(fixture: &dyn RawFixture, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Report {
    let run_id = fixture.run_id();
    let clock = fixture.clock();
    let limit = fixture.patience() * 8;
    super::case::run(
        surprise_cases(),
        wanted,
        &*clock,
        limit,
        fixture.concurrency(),
        |name| SurpriseBench {
            storage: StorageBench::new(fixture, &run_id, name),
            fixture: FixtureRef(fixture),
        },
    )
    .await
}

/// Right after a role has changed, the report is still the old one, and says so by its age.
async fn facts_0_1_status_is_a_heartbeat_old(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    b.until("B reports that it replicates", || async {
        Ok((b.b().status(&pair.replica).await?.phase == ReplicationPhase::Replicating).then_some(()))
    })
    .await?;
    let before = b.fixture().clock().now();
    s.fail_over(&pair).await?;
    let status = b.b().status(&pair.replica).await?;
    ensure!(status.role == Role::Primary, "the role is not read now: {status:?}");
    let old = status.reported_at.is_some_and(|at| at <= before);
    if !old {
        return Ok(Outcome::Skipped("a heartbeat came in between".to_owned()));
    }
    ensure!(
        status.phase != ReplicationPhase::Primary,
        "an old report knows the new role: {status:?}"
    );
    b.until("the report catches up", || async {
        Ok((b.b().status(&pair.replica).await?.phase == ReplicationPhase::Primary).then_some(()))
    })
    .await?;
    Ok(Outcome::Passed)
}

/// On a side whose last own act was a demotion, an unforced promote succeeds although the peer wrote and demoted since: the
/// writes are lost, and a split is reported later.
async fn facts_0_4_unforced_promote_loses_writes(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    s.fail_over(&pair).await?;
    b.write(B, &pair.replica, "written at B").await?;
    s.raw(B, &pair.replica, Raw::Demote).await?;
    s.raw(A, &pair.image, Raw::Promote { force: false }).await?;
    if b.holds(A, &pair.image, None, "written at B").await? {
        return Ok(Outcome::Skipped(
            "the writes arrived before anybody could be early".to_owned(),
        ));
    }
    b.expect_contents(A, &pair.image, None, "first").await?;
    b.until("the split is reported", || async {
        Ok((b.b().status(&pair.replica).await?.phase == ReplicationPhase::SplitBrain).then_some(()))
    })
    .await?;
    Ok(Outcome::Passed)
}

/// When both sides are demoted, both may be promoted, unforced.
async fn facts_0_4_both_sides_promote_unforced(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    let mark = b.a().demote(&pair.image).await?;
    b.arrival(B, &pair.id, &mark).await?;
    s.raw(B, &pair.replica, Raw::Promote { force: false }).await?;
    match s.raw(A, &pair.image, Raw::Promote { force: false }).await {
        Ok(_) => {}
        Err(_) if b.fixture().mode() == ReplicationMode::Snapshot => {
            return Ok(Outcome::Skipped("B's promotion arrived before A's".to_owned()));
        }
        Err(error) => return Err(error),
    }
    b.expect_role(A, &pair.image, Role::Primary).await?;
    b.expect_role(B, &pair.replica, Role::Primary).await?;
    Ok(Outcome::Passed)
}

/// Both sides primary is no alarm for the service; only the roles on both sides tell.
async fn facts_0_5_both_primary_reads_healthy(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    s.raw(B, &pair.replica, Raw::Promote { force: true }).await?;
    let since = b.fixture().clock().now();
    b.until("both sides have reported since", || async {
        let (one, two) = (b.a().status(&pair.image).await?, b.b().status(&pair.replica).await?);
        let fresh = |at: Option<jiff::Timestamp>| at.is_some_and(|at| at > since);
        Ok((fresh(one.reported_at) && fresh(two.reported_at)).then_some(()))
    })
    .await?;
    for (side, image) in [(A, &pair.image), (B, &pair.replica)] {
        let status = b.fixture().storage(side).status(image).await?;
        ensure!(status.phase == ReplicationPhase::Primary, "{side:?} says {status:?}");
        let health = s.raw(side, image, Raw::Health).await?;
        ensure!(health == "OK", "{side:?} is {health}");
    }
    Ok(Outcome::Passed)
}

/// Removing the primary removes the replica within seconds, snapshots and all.
async fn facts_0_9_deletion_follows_the_primary(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    b.point(&pair, "p1").await?;
    s.raw(A, &pair.image, Raw::Remove).await?;
    b.replica_gone(B, &pair.id).await?;
    ensure!(
        b.b().image(&pair.replica).await?.is_none(),
        "the replica lives on under its name"
    );
    Ok(Outcome::Passed)
}

/// A demotion does not ask who writes; the writer's next write fails.
async fn facts_2_demotion_under_a_writer_succeeds(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    b.write(A, &pair.image, "second").await?;
    s.raw(A, &pair.image, Raw::Demote).await?;
    ensure!(
        b.write(A, &pair.image, "third").await.is_err(),
        "a demoted image was written"
    );
    b.expect_contents(A, &pair.image, None, "second").await?;
    Ok(Outcome::Passed)
}

/// What the service does refuse, and with which numbers.
async fn facts_2_refusals(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    s.refused(B, &pair.replica, Raw::Promote { force: false }, &["16", "30"])
        .await?;
    s.refused(A, &pair.image, Raw::Promote { force: false }, &["22"])
        .await?;
    s.refused(A, &pair.image, Raw::Promote { force: true }, &["22"]).await?;
    s.refused(B, &pair.replica, Raw::Demote, &["22"]).await?;
    s.refused(B, &pair.replica, Raw::SnapCreate("s"), &["30"]).await?;
    s.refused(B, &pair.replica, Raw::Remove, &["16", "30"]).await?;
    let plain = b.image().await?;
    s.refused(A, &plain, Raw::Demote, &["22"]).await?;
    s.refused(A, &plain, Raw::MirrorSnapshot, &["22"]).await?;
    Ok(Outcome::Passed)
}

/// In snapshot mode a user snapshot waits for the next mirror snapshot; in journal mode it travels by itself.
async fn facts_4_when_user_snapshots_travel(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    s.raw(A, &pair.image, Raw::SnapCreate("own")).await?;
    let there = || async {
        let names = b.b().snapshots(&pair.replica).await?;
        Ok::<_, Error>(names.iter().any(|s| s.name == "own").then_some(()))
    };
    if b.fixture().mode() == ReplicationMode::Snapshot {
        b.fixture().clock().sleep(std::time::Duration::from_secs(15)).await;
        ensure!(there().await?.is_none(), "it travelled without a mirror snapshot");
        s.raw(A, &pair.image, Raw::MirrorSnapshot).await?;
    }
    b.until("the user snapshot is on B", there).await?;
    b.expect_contents(B, &pair.replica, Some("own"), "first").await?;
    Ok(Outcome::Passed)
}

/// While a resync runs, the image does not exist for a while; it comes back with the same identity.
async fn facts_7_a_resync_makes_the_image_disappear(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    b.b().resync(&pair.replica, &b.decision("to see it disappear")).await?;
    b.replica_gone(B, &pair.id).await?;
    let gone = b.b().status(&pair.replica).await;
    expect_error(
        gone,
        &[ErrorKind::NotFound],
        "the status of an image that is being made again",
    )?;
    let replica = b.replica(B, &pair.id).await?;
    b.expect_role(B, &replica, Role::Secondary).await?;
    Ok(Outcome::Passed)
}

/// A primary's new name reaches the replica, whose old name then is nobody's.
async fn facts_13_1_a_rename_travels(s: &SurpriseBench<'_>) -> Result<Outcome> {
    let b = &s.storage;
    let pair = b.pair("first").await?;
    let name = b.fixture().sibling(&pair.image, "-renamed");
    b.note_image(&name);
    b.a().rename(&pair.image, &name).await?;
    let mark = b.a().ship(&name, None).await?;
    b.arrival(B, &pair.id, &mark).await?;
    b.until("the name follows", || async {
        let now = b.replica(B, &pair.id).await?;
        Ok((now != pair.replica).then_some(()))
    })
    .await?;
    ensure!(
        b.b().image(&pair.replica).await?.is_none(),
        "the replica is still there under its old name"
    );
    Ok(Outcome::Passed)
}
