//! The whole life on simulated clouds, and the same life with the engine dying at each of its commits.

mod life_kit;

use life_kit::World;
use ns_core::ErrorKind;
use ns_core::journal::DecisionKind;
use ns_core::model::{ForceRight, JobOperation, JobState, ReplicationMode, Resource, ResultCode};
use ns_core::ports::Clock;
use ns_core::provider::Role;
use ns_core::session::{JobRequest, OperationRequest};
use ns_core::sim::{Effect, Fault, Part, SimClock};
use ns_core::store::BreakWhen;
use std::collections::BTreeSet;
use std::time::Duration;

/// Data safety 2, UI-20, OPEN-17, SM-65: a drill boots what the point holds, replication is not touched, and nothing is left.
#[tokio::test]
async fn drill_boots_the_point_and_leaves_nothing() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, group, plan) = World::new(mode).await;
        let before = world.dumps();
        let job = world
            .session()
            .jobs()
            .create(JobRequest::drill(group, plan.clone()))
            .await
            .unwrap();
        world.succeeded(&job).await;
        assert_eq!(world.recovered_markers(&job).await, ["a-web-1", "a-web-2", "a-web-3"]);
        for v in world.session().plans().get(&plan).await.unwrap().volumes.values() {
            for (site, role) in [("a", Role::Primary), ("b", Role::Secondary)] {
                let storage = world.sim.storage(site);
                let image = storage.find_replica(&v.replication_id).await.unwrap().unwrap();
                assert_eq!(storage.image(&image).await.unwrap().unwrap().role, role);
            }
        }
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        world.same(&before, "the drill");
        assert!(
            world.session().reports().get(&job).await.is_ok(),
            "RES-04: a finished job has a report"
        );
    }
}

/// A planned failover loses nothing, and its rollback puts everything back (SM-57).
#[tokio::test]
async fn planned_failover_brings_the_last_write_and_rolls_back() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (world, group, plan) = World::new(mode).await;
        let server = &world.sample.servers[0];
        for _ in 0..5 {
            world.sim.heartbeat("a", &server.id).unwrap();
        }
        let before = world.dumps();
        let written = world.sim.volume_disk("a", &server.boot_volume).unwrap();
        let job = world
            .session()
            .jobs()
            .create(JobRequest::failover(group, plan))
            .await
            .unwrap();
        world.succeeded(&job).await;
        let view = world.session().jobs().view(&job).await.unwrap();
        let volume = view
            .output(&format!("volume/{}", server.boot_volume).into())
            .unwrap()
            .handle
            .clone()
            .unwrap();
        let arrived = world.sim.volume_disk("b", &volume.id).unwrap();
        assert_eq!(
            arrived.beat, written.beat,
            "the last write before the failover is on the Target"
        );
        assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
        world.same_but_for_writes(&before, "failover and rollback");
        let back = world.sim.volume_disk("a", &server.boot_volume).unwrap();
        assert!(
            back.boots > arrived.boots,
            "the Source's guest runs again, on what the Target's guest left"
        );
    }
}

/// Data safety 1: without the Source nothing is promoted unless an operator says so; then the Source is fenced, and the
/// decision and the possible loss are in the journal (OPEN-35).
#[tokio::test]
async fn disaster_needs_an_operators_right_and_fences_the_source() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    world.sim.kill("a");
    let jobs = world.session();
    let refused = jobs
        .jobs()
        .create(JobRequest::failover(group.clone(), plan.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code(), refused.field()),
        (ErrorKind::Refused, "failover.source_unreachable", Some("force"))
    );
    let mut request = JobRequest::failover(group, plan);
    request.force = Some(ForceRight {
        operator: "anna".into(),
        reason: "flood".into(),
        accepts_data_loss: true,
        without_fence: false,
    });
    let explained = jobs.jobs().explain(&request).await.unwrap();
    assert_eq!(explained.kind, "forced failover");
    assert!(
        explained.loss.iter().all(|l| l.lost_seconds.is_some()),
        "the loss per volume is known before anybody says yes"
    );
    let job = jobs.jobs().create(request).await.unwrap();
    world.succeeded(&job).await;
    assert_eq!(world.recovered_markers(&job).await, ["a-web-1", "a-web-2", "a-web-3"]);
    let view = jobs.jobs().view(&job).await.unwrap();
    let decision = view
        .decisions
        .iter()
        .find(|d| d.kind == DecisionKind::ForcePromote)
        .expect("the decision is journalled");
    assert_eq!(
        (decision.operator.as_str(), decision.reason.as_str()),
        ("anna", "flood")
    );
    assert_eq!(world.operate(&job, JobOperation::Confirm).await, JobState::Finished);
    let offer = jobs.failback().offer(&job).await.unwrap();
    assert_eq!(
        offer.home.instances.len(),
        3,
        "OPEN-01: failback is offered for every recovered instance"
    );
    assert!(
        jobs.plans().list(&Default::default()).await.unwrap().items.is_empty(),
        "SM-56: the plan goes with a confirmed failover"
    );
}

/// SM-57: an engine dies with its rollback's copies asked for anew. The next one finds them thrown away already, and that is well.
#[tokio::test]
async fn a_rollback_goes_on_while_its_copies_are_made_again() {
    for mode in [ReplicationMode::Snapshot, ReplicationMode::Journal] {
        let (mut world, group, plan) = World::of(mode, 1).await;
        world.engine.start().await.unwrap();
        world.sim.isolate("a");
        let mut request = JobRequest::failover(group, plan);
        request.force = Some(ForceRight {
            operator: "anna".into(),
            reason: "cut off".into(),
            accepts_data_loss: true,
            without_fence: false,
        });
        let job = world.session().jobs().create(request).await.unwrap();
        world.succeeded(&job).await;
        world.sim.revive("a");
        let images = |world: &World| world.sim.dump("b").images.len();
        let before = images(&world);
        let hang = Fault::new("b", Part::Storage, Effect::DoneThenHang).verb("resync");
        world.sim.faults().inject(hang.times(9));
        let rollback = OperationRequest {
            reason: "it is back".into(),
            ..OperationRequest::default()
        };
        let session = world.session();
        let asked = session.jobs().operate(&job, JobOperation::Rollback, rollback).await;
        asked.unwrap();
        for _ in 0..900 {
            if images(&world) < before {
                break;
            }
            world.clock.sleep(Duration::from_secs(1)).await;
        }
        assert!(images(&world) < before, "{mode:?}: no copy was thrown away");
        world.sim.faults().clear();
        world.restart().await;
        let ended = world.session().jobs().wait(&job).await.unwrap();
        let view = world.session().jobs().view(&job).await.unwrap();
        assert_eq!(
            ended.state,
            JobState::Finished,
            "{mode:?}: {:#?}",
            life_kit::failures(&view)
        );
        world.clock.sleep(Duration::from_secs(300)).await;
        assert_eq!(images(&world), before, "{mode:?}: the copies are there again");
        world
            .sim
            .heartbeat("a", &world.sample.servers[0].id)
            .expect("the Source runs");
    }
}

/// LIM-07, SM-50, SM-51, SM-68: what a rollback could not remove is told when it is ignored, and listed in the report: all of it.
#[tokio::test]
async fn what_a_rollback_leaves_is_listed() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let before = world.dumps();
    let jobs = world.session();
    let job = jobs.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    world.succeeded(&job).await;
    let nothing_goes = Fault::new("b", Part::Cloud, Effect::Error(ErrorKind::Rejected)).verb("remove");
    world.sim.faults().inject(nothing_goes);
    for operation in [JobOperation::Rollback, JobOperation::RetryRollback] {
        jobs.jobs().operate(&job, operation, Default::default()).await.unwrap();
        let summary = jobs.jobs().wait(&job).await.unwrap();
        assert_eq!(summary.state, JobState::ClearFailed, "{operation}");
    }
    assert_eq!(
        world.operate(&job, JobOperation::IgnoreRollback).await,
        JobState::Finished
    );
    let report = jobs.reports().get(&job).await.unwrap();
    let left = report.facts.leftovers;
    assert!(left.iter().all(|l| l.cluster == "site-b"), "{left:#?}");
    assert!(left.iter().any(|l| l.error.is_some()), "{left:#?}");
    let ids: BTreeSet<_> = left.iter().map(|l| (l.kind.as_str(), l.id.as_str())).collect();
    assert_eq!(
        ids.len(),
        left.len(),
        "each once, although it was tried twice: {left:#?}"
    );
    let view = jobs.jobs().view(&job).await.unwrap();
    let decision = view.decisions.iter().find(|d| d.kind == DecisionKind::IgnoreLeftovers);
    let told = &decision.expect("ignoring is a decision").facts;
    assert_eq!(told.len(), left.len(), "{told:#?}");
    for l in &left {
        assert!(
            told.iter().any(|line| line.contains(&l.id)),
            "{} is told: {told:#?}",
            l.id
        );
    }
    // Everything that is new is in the list: things of the cloud by their ids, images by the volumes on them or by tokens.
    let (a, b) = world.dumps();
    assert_eq!(a.changes_since(&before.0), Vec::<String>::new(), "the Source");
    let known = |r: &Resource| before.1.inventory.resources().any(|old| old.id() == r.id());
    for new in b.inventory.resources().filter(|r| !known(r)) {
        let id = new.id().as_str();
        assert!(
            ids.iter().any(|(_, i)| *i == id),
            "{} {id} is not listed: {left:#?}",
            new.kind().as_str()
        );
    }
    for (image, dump) in b
        .images
        .iter()
        .filter(|(image, _)| !before.1.images.contains_key(*image))
    {
        let token = dump
            .metadata
            .get(ns_core::provider::TOKEN_KEY)
            .expect("our images carry a token");
        assert!(
            ids.contains(&("image", token.as_str())),
            "{image} is not listed: {left:#?}"
        );
    }
    assert!(
        b.images.len() > before.1.images.len(),
        "something was left to be listed"
    );
}

/// Both sides writable looks healthy to the storage; the engine sees it by the roles and refuses.
#[tokio::test]
async fn both_primary_is_refused() {
    let (world, group, plan) = World::new(ReplicationMode::Journal).await;
    let volume = world
        .session()
        .plans()
        .get(&plan)
        .await
        .unwrap()
        .volumes
        .into_values()
        .next()
        .unwrap();
    let storage = world.sim.storage("b");
    let image = storage.find_replica(&volume.replication_id).await.unwrap().unwrap();
    let decision = ns_core::provider::Decision {
        id: "d".into(),
        operator: "o".into(),
        reason: "r".into(),
    };
    storage.force_promote(&image, &decision).await.unwrap();
    let error = world
        .session()
        .jobs()
        .create(JobRequest::failover(group, plan))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

/// JOB-57, SM-35 … SM-43: a job is watched from any position, paused, continued and cancelled; rollback of the cancelled job
/// leaves nothing.
#[tokio::test]
async fn pause_cancel_and_watch() {
    let (world, group, plan) = World::new(ReplicationMode::Snapshot).await;
    let before = world.dumps();
    let session = world.session();
    let job = session.jobs().create(JobRequest::drill(group, plan)).await.unwrap();
    while session.jobs().get(&job).await.unwrap().state != JobState::Running {
        tokio::task::yield_now().await;
    }
    let paused = session
        .jobs()
        .operate(&job, JobOperation::Pause, Default::default())
        .await
        .unwrap();
    assert_eq!(paused.state, JobState::Paused);
    let refused = session
        .jobs()
        .operate(&job, JobOperation::Confirm, Default::default())
        .await
        .unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Refused, "job.operation"));
    session
        .jobs()
        .operate(&job, JobOperation::Run, Default::default())
        .await
        .unwrap();
    session
        .jobs()
        .operate(&job, JobOperation::Cancel, Default::default())
        .await
        .unwrap();
    let ended = session.jobs().wait(&job).await.unwrap();
    assert_eq!(
        (ended.state, ended.result),
        (JobState::Completed, Some(ResultCode::Canceled))
    );
    let all = session.jobs().journal(&job).await.unwrap();
    let middle = all.len() as u64 / 2;
    let mut watch = session.jobs().watch(&job, middle);
    let next = futures::StreamExt::next(&mut watch).await.unwrap().unwrap();
    assert_eq!(
        next, all[middle as usize],
        "a stream resumes exactly after the position it is given"
    );
    drop(watch);
    let mut unknown = session.jobs().watch(&"nothing".into(), 0);
    let error = futures::StreamExt::next(&mut unknown).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(world.operate(&job, JobOperation::Rollback).await, JobState::Finished);
    world.same(&before, "the cancelled drill");
}

/// What a sweep over crash points does.
#[derive(Debug, Clone, Copy)]
enum Story {
    DrillAndRollback,
    FailoverAndRollback,
    FailoverAndConfirm,
    /// Both servers are recovered again from an older point before (SM-67).
    OtherPointAndRollback,
    OtherPointAndConfirm,
}

/// Plays a story, with the engine dying at its `n`th commit; how many commits were made, or none if it died. Two servers:
/// they share a volume, and have more volumes than a job handles at once.
async fn play(story: Story, death: Option<(u64, BreakWhen)>) -> Option<u64> {
    let (mut world, group, plan) = World::of(ReplicationMode::Snapshot, 2).await;
    let before = world.dumps();
    let boots = |world: &World| -> Vec<_> {
        let disk = |v| world.sim.volume_disk("a", v).unwrap().boots;
        world.sample.servers.iter().map(|s| disk(&s.boot_volume)).collect()
    };
    let booted = boots(&world);
    let handed_back = matches!(story, Story::FailoverAndRollback);
    let mut other = None;
    if matches!(story, Story::OtherPointAndRollback | Story::OtherPointAndConfirm) {
        let points = world
            .session()
            .points()
            .list(&group, &Default::default())
            .await
            .unwrap()
            .items;
        other = Some(OperationRequest {
            reason: "the newest data is damaged".into(),
            instances: world.sample.server_ids().into_iter().collect(),
            point: Some(points[0].id.clone()),
        });
    }
    let twice = 1 + usize::from(other.is_some());
    let request = match story {
        Story::DrillAndRollback => JobRequest::drill(group, plan),
        _ => JobRequest::failover(group, plan),
    };
    let job = world.session().jobs().create(request).await.unwrap();
    let begun = world.store.commits();
    if let Some((n, when)) = death {
        world.store.die_at_commit(n, when);
    }
    let mut died = false;
    let end = match story {
        Story::FailoverAndConfirm | Story::OtherPointAndConfirm => JobOperation::Confirm,
        _ => JobOperation::Rollback,
    };
    let story = format!("{story:?} with death at {death:?}");
    for _ in 0..8 {
        let settled = world.session().jobs().wait(&job).await;
        if world.store.is_dead() {
            died = true;
            world.restart().await;
            continue;
        }
        let summary = settled.unwrap();
        assert_eq!(summary.result, Some(ResultCode::Success), "{story}");
        if handed_back && summary.state == JobState::Completed {
            // What is written on B from now on takes its time to A.
            world.sim.tune(|t| t.mirror_poll = Duration::from_secs(300));
        }
        match summary.state {
            JobState::Finished => break,
            JobState::Completed if other.is_some() => {
                let asked = world.session().jobs().view(&job).await.unwrap();
                let request = other.take().filter(|_| asked.from_other_points().is_empty());
                if let Some(request) = request {
                    let retry = JobOperation::Retry;
                    if world
                        .session()
                        .jobs()
                        .operate(&job, retry, request.clone())
                        .await
                        .is_err()
                    {
                        other = Some(request);
                    }
                }
            }
            // The answer may be lost with the engine; what was asked is in the journal, or is asked again.
            _ => drop(world.session().jobs().operate(&job, end, Default::default()).await),
        }
    }
    let state = world.session().jobs().get(&job).await.unwrap().state;
    assert_eq!(state, JobState::Finished, "{story}");
    if end == JobOperation::Confirm {
        let servers = world.sim.inventory("b").instances.len();
        assert_eq!(servers, twice * world.sample.servers.len(), "{story}: each server once");
    } else {
        world.same_but_for_writes(&before, &story);
    }
    if handed_back {
        // Each guest booted on B and then on A, and knows of both: what it wrote on B came back.
        for (was, is) in booted.iter().zip(boots(&world)) {
            assert!(
                is >= was + 2,
                "{story}: writes of B are lost: {was} boots before, {is} now"
            );
        }
    }
    // An engine that goes on would let its world's time run on as fast as it can, beside the plays that follow.
    world.engine.shutdown().await;
    (!died).then(|| world.store.commits() - begun)
}

/// The story with a death at each of its commits: every entry of the journal was once the last one, and once one that was
/// lost.
async fn sweep(story: Story, when: BreakWhen) {
    let commits = play(story, None).await.expect("nobody dies");
    for n in 1..=commits {
        let survived = play(story, Some((n, when))).await;
        assert_eq!(survived, None, "{story:?}: commit {n} of {commits} is reached");
    }
    println!("{story:?}: {commits} deaths {when:?} a commit survived");
    assert!(commits >= 40, "{story:?}: only {commits} commits");
}

#[tokio::test]
async fn a_drill_survives_death_before_each_commit() {
    sweep(Story::DrillAndRollback, BreakWhen::Before).await;
}

#[tokio::test]
async fn a_drill_survives_death_after_each_commit() {
    sweep(Story::DrillAndRollback, BreakWhen::After).await;
}

#[tokio::test]
async fn a_failover_and_its_rollback_survive_death_before_each_commit() {
    sweep(Story::FailoverAndRollback, BreakWhen::Before).await;
}

#[tokio::test]
async fn a_failover_and_its_rollback_survive_death_after_each_commit() {
    sweep(Story::FailoverAndRollback, BreakWhen::After).await;
}

#[tokio::test]
async fn a_confirmed_failover_survives_death_before_each_commit() {
    sweep(Story::FailoverAndConfirm, BreakWhen::Before).await;
}

#[tokio::test]
async fn a_confirmed_failover_survives_death_after_each_commit() {
    sweep(Story::FailoverAndConfirm, BreakWhen::After).await;
}

/// Time moves only when everybody sleeps: the tests above take as long as they compute.
#[tokio::test]
async fn virtual_time_passes() {
    let clock = SimClock::new();
    let begin = clock.now();
    clock.sleep(std::time::Duration::from_secs(3600)).await;
    assert!(clock.now().duration_since(begin).as_secs() >= 3600);
}

/// SM-67 under deaths.
#[tokio::test]
async fn sm_67_every_commit_of_a_retry_from_another_point_and_its_rollback_may_be_lost() {
    sweep(Story::OtherPointAndRollback, BreakWhen::Before).await;
}

/// SM-67 under deaths.
#[tokio::test]
async fn sm_67_every_commit_of_a_retry_from_another_point_and_its_confirm_may_be_the_last() {
    sweep(Story::OtherPointAndConfirm, BreakWhen::After).await;
}
