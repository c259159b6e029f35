//! A run: the story of a scenario is told in its world, then everything works again, and it is seen whether all comes to
//! its end: every job in bounded time (I9), every volume protected or at home, nothing left behind (I7), no write lost
//! (data).

use crate::story::{End, Order, Scenario};
use crate::teller::Teller;
use crate::world::Outcome;
use ns_core::model::{JobOperation, JobState, PointId, RecoveryPlan, RecoveryPoint, ResultCode};
use ns_core::session::JobRequest;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

/// Runs a scenario to its end.
#[must_use]
pub fn run(scenario: &Scenario) -> Outcome {
    let _planted = scenario.mutant.map(crate::mutants::Mutant::plant);
    let told = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(tell(scenario))
    }));
    told.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        let mut outcome = Outcome::default();
        outcome.violations.push(crate::audit::Violation {
            invariant: "panic",
            what: text,
        });
        outcome
    })
}

async fn tell(scenario: &Scenario) -> Outcome {
    let mut teller = Teller::begin(scenario).await;
    for (index, step) in scenario.steps.iter().enumerate() {
        if teller.world.failed() {
            break;
        }
        teller.world.arm(scenario, index + 1);
        teller.step(*step).await;
    }
    if !teller.world.failed() {
        finish(&mut teller).await;
    }
    teller.world.outcome()
}

/// Everything works again, and everything comes to its end.
async fn finish(teller: &mut Teller) {
    teller.world.heal().await;
    end_all(teller).await;
    if teller.world.failed() {
        return;
    }
    // Sources that came back are seen by the watch, and made read only.
    teller.world.pass(200).await;
    teller.settle(3600).await;
    teller.world.audit(crate::audit::Audit::look);
    teller.world.audit(crate::audit::Audit::at_rest);
    succeeded(teller);
    if teller.world.failed() {
        return;
    }
    teller.orient().await;
    go_home(teller).await;
    protected(teller).await;
    teller.world.audit(crate::audit::Audit::at_rest);
    unprotect(teller).await;
}

/// Whatever is open is ended; what does not end in bounded time breaks I9.
async fn end_all(teller: &mut Teller) {
    for round in 0..30 {
        teller.settle(24 * 3600).await;
        let open = teller.recoveries();
        if open.is_empty() {
            break;
        }
        for (job, state) in open {
            if state == JobState::Paused {
                teller.operate(&job, JobOperation::Run).await;
            } else {
                teller.end(&job, End::Rollback, round).await;
            }
        }
        teller.world.pass(60).await;
    }
    teller.settle(24 * 3600).await;
    for job in teller.world.unfinished() {
        let Some(view) = teller.world.view(&job) else { continue };
        let failed = view
            .tasks
            .iter()
            .filter_map(|(k, t)| Some(format!("{k}: {}", t.error.as_ref()?.message)));
        let what = format!("{job} in {} {:?}", view.state, failed.take(3).collect::<Vec<_>>());
        teller.world.violation("I9", what);
    }
}

/// Where nothing went wrong, everything succeeded.
fn succeeded(teller: &Teller) {
    if !teller.quiet {
        return;
    }
    let views: Vec<_> = teller.world.audit(|a| a.jobs().cloned().collect());
    for view in views {
        if view.result != Some(ResultCode::Success) {
            let failed = view
                .tasks
                .iter()
                .filter_map(|(k, t)| Some(format!("{k}: {}", t.error.as_ref()?.message)));
            let what = format!(
                "nothing went wrong, and {} ended with {:?}: {:?}",
                view.id,
                view.result,
                failed.take(3).collect::<Vec<_>>()
            );
            teller.world.violation("I9", what);
        }
    }
}

/// What was confirmed comes home: protection in the other direction, and the failback.
async fn go_home(teller: &mut Teller) {
    if !teller.world.is_away().await {
        return;
    }
    for _ in 0..3 {
        teller.reprotect().await;
        teller.orient().await;
        if teller.world.failed() {
            return;
        }
        let order = Order {
            end: End::Confirm,
            meddle: None,
        };
        teller.job(order, false, JobRequest::failover).await;
        if !teller.world.is_away().await {
            teller.orient().await;
            return;
        }
        // What the watch saw last may be a minute old.
        teller.world.pass(120).await;
    }
    // What shares a volume that has gone home is recovered from a point, or not at all.
    if !teller.world.somebody_destroyed() && !teller.has_split() {
        teller
            .world
            .violation("home", "the failback does not come home although everything works");
    }
}

/// Protected means: a recovery point made now arrives (R21).
async fn protected(teller: &mut Teller) {
    if teller.world.failed() || teller.world.somebody_destroyed() {
        return;
    }
    for plan in teller.world.records::<RecoveryPlan>("plan").await {
        let before: BTreeSet<PointId> = teller.world.points().await.into_iter().map(|p| p.id).collect();
        // Retention may take an old one away in the same moment.
        let is_new = |points: Vec<RecoveryPoint>| points.iter().any(|p| !before.contains(&p.id));
        // Replication that was away needs its time to come back, and the first try may tell so.
        for _ in 0..4 {
            if let Some(session) = teller.world.session() {
                let made = teller.world.limited(120, session.points().create(&plan.group_id)).await;
                teller.refusal("point", made.err().as_ref());
            }
            teller.settle(4 * 3600).await;
            if is_new(teller.world.points().await) {
                break;
            }
            teller.world.pass(300).await;
        }
        if !is_new(teller.world.points().await) {
            teller.world.violation(
                "protected",
                format!("{} holds no new point although everything works", plan.id),
            );
        }
    }
}

/// Ends the protection: both sites are as they were before it.
async fn unprotect(teller: &mut Teller) {
    if teller.world.failed() {
        return;
    }
    teller.world.remove_listed();
    let stays = teller.world.is_away().await;
    for _ in 0..3 {
        for plan in teller.world.records::<RecoveryPlan>("plan").await {
            let Some(session) = teller.world.session() else { return };
            let made = teller.world.limited(300, session.plans().delete(&plan.id)).await;
            teller.refusal("unprotect", made.as_ref().err());
            if made.is_err_and(|e| e.code() == "plan.source_not_primary") {
                teller.reclaim(&plan).await;
            }
            teller.settle(3600).await;
        }
    }
    teller.world.pass(60).await;
    for plan in teller.world.records::<RecoveryPlan>("plan").await {
        teller.world.violation("I9", format!("{} cannot be ended", plan.id));
    }
    for id in teller.world.foreign_gone() {
        teller
            .world
            .violation("foreign", format!("{id} was somebody else's, and is gone"));
    }
    if stays || teller.for_good().await {
        return;
    }
    let changes = teller.world.changes();
    if !changes.is_empty() {
        teller.world.violation("leak", changes.join("; "));
    }
    let running = teller.world.shared.sim.running("a");
    for server in &teller.world.sample.servers {
        if !running.contains(&server.id) && !teller.world.somebody_destroyed() {
            teller
                .world
                .violation("I9", format!("server {} does not run again on the Source", server.id));
        }
    }
}
