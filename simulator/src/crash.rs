//! Every place once: reference stories in which exactly one thing goes wrong, at every commit and at every call in turn. A death
//! before, after and inside each commit and in the middle of each call makes the successor do every task again; a call that is
//! refused, lost or done twice makes every task fail at every place. The operator ends what failed; all invariants hold at all
//! times, and no death alone makes a job end otherwise than without it.

use crate::audit::Violation;
use crate::faults::FaultKind;
use crate::run::run;
use crate::story::{Again, Disaster, End, Order, Place, Scenario, Step};
use crate::world::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const fn ended(end: End) -> Order {
    Order { end, meddle: None }
}

/// The stories: protection and its end are part of each.
#[must_use]
pub fn references() -> Vec<(&'static str, Scenario)> {
    let story = |name, steps: &[Step]| {
        let scenario = Scenario {
            seed: 7,
            journal_mode: false,
            servers: 1,
            steps: steps.to_vec(),
            again: None,
            faults: vec![],
            exact: None,
            mutant: None,
            trace: false,
        };
        (name, scenario)
    };
    let planned = |end| Step::Planned(ended(end));
    let mut retried = story(
        "failover, another point and rollback",
        &[Step::Point, planned(End::Rollback)],
    );
    retried.1.again = Some(Again::OtherPoint(0));
    vec![
        story("drill and rollback", &[Step::Drill(ended(End::Rollback))]),
        story("failover and rollback", &[planned(End::Rollback)]),
        story(
            "failover, confirm and failback",
            &[planned(End::Confirm), Step::Reprotect, planned(End::Confirm)],
        ),
        story(
            "forced failover and rollback",
            &[Step::Forced(Disaster::Isolated, false, ended(End::Rollback))],
        ),
        story("recovery from a point", &[Step::ToPoint(ended(End::Confirm))]),
        retried,
    ]
}

/// What came of a sweep.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Places tried.
    pub points: usize,
    /// Violations, with what was tried.
    pub failed: Vec<(String, (Place, FaultKind), Outcome)>,
    /// Tasks of the reference runs, and what was seen of them.
    pub tasks: BTreeMap<(String, String), (bool, bool)>,
}

/// What ends a process and harms nothing else.
const DEATHS: [FaultKind; 4] = [
    FaultKind::DeathBeforeCommit,
    FaultKind::DeathAfterCommit,
    FaultKind::TornCommit,
    FaultKind::DeathAnywhere,
];

/// The places of a story and what goes wrong there; of each kind only every `stride`th.
fn places(reference: &Outcome, stride: usize) -> Vec<(Place, FaultKind)> {
    let mut all = Vec::new();
    let [commits @ .., _] = DEATHS;
    for kind in commits {
        all.extend(
            (1..=reference.commits)
                .step_by(stride)
                .map(|n| (Place::Commit(n), kind)),
        );
    }
    for (n, call) in (1..).zip(&reference.calls).step_by(stride) {
        all.push((Place::Call(n), FaultKind::Rejected));
        if call.changes {
            all.push((Place::Call(n), FaultKind::TimeoutDone));
            all.push((Place::Call(n), FaultKind::Twice));
            all.push((Place::Call(n), FaultKind::DeathAnywhere));
        }
    }
    all
}

/// A job that does not succeed, where all do when nobody dies.
fn otherwise(reference: &Outcome, outcome: &Outcome) -> Option<Violation> {
    let fails = |end: &&String| !end.contains(" success ");
    if reference.ends.keys().any(|end| fails(&end)) {
        return None;
    }
    let failed = outcome.ends.keys().find(fails)?;
    Some(Violation {
        invariant: "deaths change nothing",
        what: format!("a job ended as {failed:?}"),
    })
}

/// Sweeps over one story with so many threads.
///
/// # Panics
/// When the story breaks something although nothing goes wrong.
#[must_use]
pub fn sweep(name: &str, scenario: &Scenario, stride: usize, threads: usize) -> Sweep {
    let reference = run(scenario);
    assert!(reference.violations.is_empty(), "{name}: {:#?}", reference.violations);
    let places = places(&reference, stride);
    let result = Mutex::new(Sweep {
        tasks: reference.tasks.keys().map(|k| (k.clone(), (false, false))).collect(),
        ..Sweep::default()
    });
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((place, kind)) = places.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let mut outcome = run(&Scenario {
                        exact: Some((place, kind)),
                        ..scenario.clone()
                    });
                    if DEATHS.contains(&kind) {
                        outcome.violations.extend(otherwise(&reference, &outcome));
                    }
                    let mut sweep = result.lock().unwrap();
                    // A commit that holds no line of a journal cannot be torn.
                    sweep.points += usize::from(outcome.struck.contains_key(&kind));
                    for (key, (again, failed)) in &outcome.tasks {
                        if let Some(seen) = sweep.tasks.get_mut(key) {
                            seen.0 |= again;
                            seen.1 |= failed;
                        }
                    }
                    if !outcome.violations.is_empty() {
                        sweep.failed.push((name.to_owned(), (place, kind), outcome));
                    }
                }
            });
        }
    });
    let mut sweep = result.into_inner().unwrap();
    sweep.failed.sort_by_key(|(_, (place, _), _)| match place {
        Place::Commit(n) => (0, *n),
        Place::Call(n) => (1, *n),
    });
    sweep
}

/// Sweeps over all stories and prints the account; its last line is the one that others read. Gives the number of
/// violations.
#[must_use]
pub fn crash(only: Option<&str>) -> usize {
    let (mut points, mut violations) = (0, 0);
    for (name, scenario) in references() {
        if only.is_some_and(|only| !name.starts_with(only)) {
            continue;
        }
        let swept = sweep(name, &scenario, 1, 2);
        let untried: BTreeSet<String> = (swept.tasks.iter())
            .filter(|(_, (again, failed))| !again || !failed)
            .map(|((work, task), (again, failed))| format!("{work} {task} (again: {again}, failed: {failed})"))
            .collect();
        println!(
            "{name}: {} points, {} tasks, {} of them run again and failed, {} violations",
            swept.points,
            swept.tasks.len(),
            swept.tasks.len() - untried.len(),
            swept.failed.len()
        );
        for task in &untried {
            println!("  not both: {task}");
        }
        for (_, place, outcome) in swept.failed.iter().take(12) {
            let v = &outcome.violations[0];
            println!("  {place:?}: {}: {}", v.invariant, v.what);
        }
        points += swept.points;
        violations += swept.failed.len();
    }
    println!("crash: {points} points, {violations} violations");
    violations
}
