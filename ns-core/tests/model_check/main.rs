//! Every way that a recovery of two volumes between two sites can go: guests write, replication brings writes over, effects end
//! in any order, one of them fails, the operator pauses, cancels, retries, confirms or rolls back, the engine dies before or
//! after any effect. What decides is the real thing (`planning`, `machine`, the fold of `journal` and what it comes to next);
//! what is a model is the outside (`world`). The journal writer, leases and provider calls are not in here: the crash tests and
//! the simulator run those. Issue "Right under every fault", done when 5.
//!
//! Each scenario prints how much was looked at and has a floor under it, so that it cannot shrink unseen; that a defect would
//! be found is shown by planting some (`defects`).
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod defects;
mod effect;
mod explore;
mod halves;
mod inputs;
mod job;
mod model;
mod world;

use explore::{Explored, explore};
use inputs::{APART, TOGETHER};
use job::Data;
use model::{Model, Scenario};
use ns_core::model::JobOperation::{Confirm, IgnoreRollback, Rollback};
use ns_core::model::ResultCode::{Canceled, Failed, PartialSuccess, Success};
use ns_core::model::{JobOperation, ResultCode};

/// A planned failover in which nothing goes wrong.
const QUIET: Scenario = Scenario {
    name: "planned failover, all goes well",
    layout: TOGETHER,
    data: Data::HandOver,
    crashes: 0,
    failures: 0,
    cancels: 0,
    pauses: 0,
    retries: 0,
    naive: false,
    unreduced: false,
    rewrite: None,
};

const DRILL: Scenario = Scenario {
    name: "drill, a death, a failure, a cancel and a pause",
    data: Data::Drill,
    crashes: 1,
    failures: 1,
    cancels: 1,
    pauses: 1,
    ..QUIET
};

fn run(scenario: Scenario) -> (Model, Explored) {
    let began = std::time::Instant::now();
    let mut model = Model::new(scenario);
    let found = explore(&mut model, 50_000_000);
    println!(
        "{}: {} states, {} steps, {} deep, {} states of the job, {:.1} s",
        scenario.name,
        found.states,
        found.steps,
        found.deep,
        model.halves(),
        began.elapsed().as_secs_f64()
    );
    (model, found)
}

/// Explores a scenario. Nothing may be wrong, it must not be small, each of these ends must be reached and each of these
/// things seen.
fn check(scenario: Scenario, floor: usize, ends: &[(JobOperation, ResultCode)], seen: &[&str]) -> Explored {
    let (model, found) = run(scenario);
    let name = scenario.name;
    if let Some((wrong, way)) = &found.wrong {
        let way = way.join("\n  ");
        panic!("{name}: {wrong}\nafter these steps (the two volumes may change names on the way):\n  {way}");
    }
    assert!(found.states >= floor, "{name}: only {} states", found.states);
    for (operation, result) in ends {
        let is = model.ends.contains(&(*operation, Some(*result)));
        assert!(is, "{name}: never {operation} with {result:?}, only {:?}", model.ends);
    }
    for what in seen {
        assert!(model.seen.contains(what), "{name}: never {what}, only {:?}", model.seen);
    }
    found
}

const BOTH_WAYS: [(JobOperation, ResultCode); 2] = [(Confirm, Success), (Rollback, Success)];
const WITH_CANCEL: [(JobOperation, ResultCode); 3] = [(Confirm, Success), (Rollback, Success), (Rollback, Canceled)];
const WITH_FAILURE: [(JobOperation, ResultCode); 4] = [
    (Confirm, Success),
    (Rollback, Success),
    (Rollback, Failed),
    (IgnoreRollback, Success),
];
const AFTER_A_DEATH: [&str; 2] = ["confirmed after a death", "cleaned up after a death"];
const WRITES: [&str; 4] = [
    "confirmed after a death",
    "cleaned up after a death",
    "confirmed with a write of each side",
    "rolled back with a write of each side",
];

#[test]
fn drill() {
    let ends = [
        (Rollback, Success),
        (Rollback, Failed),
        (Rollback, Canceled),
        (IgnoreRollback, Success),
        (IgnoreRollback, Canceled),
    ];
    check(
        DRILL,
        70_000,
        &ends,
        &["cleaned up after a death", "finished after a failure"],
    );
}

/// Of two moments that are each other's mirror one is looked at: that loses nothing.
#[test]
fn the_mirror_loses_nothing() {
    let ends = [(Rollback, Success), (Rollback, Canceled)];
    let scenario = Scenario {
        name: "drill, a death, a cancel and a pause",
        failures: 0,
        ..DRILL
    };
    let one = check(scenario, 8_500, &ends, &[]);
    let both = Scenario {
        name: "the same, with its mirror",
        unreduced: true,
        ..scenario
    };
    let both = check(both, 16_000, &ends, &[]);
    assert!(one.states < both.states && both.states <= 2 * one.states);
}

#[test]
fn failover_to_a_point() {
    let scenario = Scenario {
        name: "failover to a recovery point, a death, a failure, a cancel and a pause",
        data: Data::Point,
        ..DRILL
    };
    check(scenario, 100_000, &WITH_CANCEL, &AFTER_A_DEATH);
}

#[test]
fn planned_failover() {
    let scenario = Scenario {
        name: "planned failover, a death, a cancel and a pause",
        crashes: 1,
        cancels: 1,
        pauses: 1,
        ..QUIET
    };
    check(scenario, 450_000, &WITH_CANCEL, &WRITES);
}

#[test]
fn planned_failover_with_a_failure() {
    let scenario = Scenario {
        name: "planned failover, a failure and a retry",
        failures: 1,
        retries: 1,
        ..QUIET
    };
    check(scenario, 160_000, &WITH_FAILURE, &["finished after a failure"]);
}

#[test]
fn planned_failover_of_two_guests() {
    let scenario = Scenario {
        name: "planned failover of two guests, a failure",
        layout: APART,
        failures: 1,
        ..QUIET
    };
    let ends = [
        (Confirm, Success),
        (Confirm, PartialSuccess),
        (Rollback, PartialSuccess),
        (Rollback, Failed),
    ];
    check(scenario, 170_000, &ends, &["finished after a failure"]);
}

/// The graph alone keeps data safe: it needs no help of a storage that checks what it is asked for.
#[test]
fn planned_failover_on_storage_that_checks_nothing() {
    let scenario = Scenario {
        name: "planned failover, a death, on storage that checks nothing",
        crashes: 1,
        naive: true,
        ..QUIET
    };
    check(scenario, 28_000, &BOTH_WAYS, &WRITES);
}

#[test]
fn failover_away_from_a_cloud_that_does_not_answer() {
    let scenario = Scenario {
        name: "planned failover without the source's cloud, a death",
        data: Data::CutOffGuests,
        crashes: 1,
        ..QUIET
    };
    check(scenario, 35_000, &BOTH_WAYS, &WRITES);
}

#[test]
fn forced_failover() {
    let scenario = Scenario {
        name: "forced failover, a death and a cancel",
        data: Data::Forced,
        crashes: 1,
        cancels: 1,
        ..QUIET
    };
    check(scenario, 80_000, &WITH_CANCEL, &[&WRITES[..], &["fenced"]].concat());
}

/// Where something can cut the source off for certain, there are never two writers, by force either.
#[test]
fn forced_failover_behind_a_fence() {
    let scenario = Scenario {
        name: "forced failover behind a fence, a death and a cancel",
        data: Data::Fenced,
        crashes: 1,
        cancels: 1,
        ..QUIET
    };
    check(scenario, 72_000, &WITH_CANCEL, &AFTER_A_DEATH);
}

#[test]
fn forced_failover_behind_a_fence_with_a_failure() {
    let scenario = Scenario {
        name: "forced failover behind a fence, a failure and a retry",
        data: Data::Fenced,
        failures: 1,
        retries: 1,
        ..QUIET
    };
    check(scenario, 95_000, &WITH_FAILURE, &["finished after a failure"]);
}

#[test]
fn forced_failover_with_a_failure() {
    let scenario = Scenario {
        name: "forced failover, a failure and a retry",
        data: Data::Forced,
        failures: 1,
        retries: 1,
        ..QUIET
    };
    check(scenario, 95_000, &WITH_FAILURE, &["finished after a failure", "fenced"]);
}

#[test]
fn failback() {
    let scenario = Scenario {
        name: "failback, a death and a cancel",
        data: Data::Failback,
        crashes: 1,
        cancels: 1,
        ..QUIET
    };
    check(scenario, 48_000, &WITH_CANCEL, &WRITES);
}

const FAILBACK_FAILS: Scenario = Scenario {
    name: "failback, a failure and a retry",
    data: Data::Failback,
    failures: 1,
    retries: 1,
    ..QUIET
};

#[test]
fn failback_with_a_failure() {
    check(FAILBACK_FAILS, 76_000, &BOTH_WAYS, &["finished after a failure"]);
}

/// More than a test of every day has time for.
#[test]
#[ignore = "minutes"]
fn a_death_and_a_failure() {
    for data in [
        Data::HandOver,
        Data::CutOffGuests,
        Data::Forced,
        Data::Fenced,
        Data::Failback,
    ] {
        println!("{data:?}");
        let scenario = Scenario {
            name: "a death, a failure and a retry",
            data,
            crashes: 1,
            failures: 1,
            retries: 1,
            ..QUIET
        };
        check(scenario, 200_000, &BOTH_WAYS, &AFTER_A_DEATH);
    }
}
