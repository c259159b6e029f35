//! Testing the tester: bugs are planted one at a time, and seeds are run until one notices. Three ways to plant: a graph is
//! rewritten after planning made it (`graphs`), a port lies or forgets (`Wrap`, asked by `ports` and `store`), or a line of
//! the engine does the wrong thing (`ns_core::planted::Bug`). Among them are the logic bugs reported for other products and
//! the worst of the first implementation of this one; `like` says which.

mod graphs;
mod list;

pub use list::MUTANTS;

use crate::run::run;
use crate::story::{Scenario, Step};
use ns_core::planted::{Bug, Planted, Rewrite, plant};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A port that lies or forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrap {
    /// Every creation gets a token of its own.
    TokenIgnored,
    /// Nothing is ever found by its token.
    FindsNothing,
    /// Every engine gets every lease.
    LeaseForAll,
    /// The store says written, and has not.
    StoreLies,
    /// A promotion that is refused is repeated by force.
    RefusedIsForced,
    /// A report of a split brain is answered with a resync.
    SplitBrainResyncs,
    /// When an image is gone on one side, its copies on the other are removed.
    CopiesFollow,
    /// A name that is taken is taken for ours.
    AdoptsForeign,
}

/// How a bug is planted.
#[derive(Debug, Clone, Copy)]
pub enum Planting {
    /// In a graph.
    Graph(Rewrite),
    /// In a port.
    Port(Wrap),
    /// In a line of the engine.
    Line(Bug),
    /// In a line, and in graphs.
    Both(Bug, Rewrite),
}

/// A planted bug.
#[derive(Debug)]
pub struct Mutant {
    /// What the engine does wrong.
    pub name: &'static str,
    /// Who did it before us.
    pub like: &'static str,
    /// How.
    pub planting: Planting,
    /// Makes the drawn stories such that the place of the bug is reached.
    pub bias: fn(&mut Scenario),
}

impl PartialEq for Mutant {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Mutant {}

thread_local! {
    static WRAP: Cell<Option<Wrap>> = const { Cell::new(None) };
}

/// As long as this lives, the bug does.
#[derive(Debug)]
pub struct Growing(#[allow(dead_code, reason = "its end ends the bug")] Option<Planted>);

impl Drop for Growing {
    fn drop(&mut self) {
        WRAP.set(None);
    }
}

/// Whether a port has this bug.
#[must_use]
pub fn wrapped(wrap: Wrap) -> bool {
    WRAP.get() == Some(wrap)
}

impl Mutant {
    /// Plants it on this thread.
    #[must_use]
    pub fn plant(&self) -> Growing {
        Growing(match self.planting {
            Planting::Graph(rewrite) => Some(plant(None, Some(rewrite))),
            Planting::Line(bug) => Some(plant(Some(bug), None)),
            Planting::Both(bug, rewrite) => Some(plant(Some(bug), Some(rewrite))),
            Planting::Port(wrap) => {
                WRAP.set(Some(wrap));
                None
            }
        })
    }

    /// The scenario of a seed in which this bug is planted.
    #[must_use]
    pub fn scenario(&'static self, seed: u64) -> Scenario {
        let mut scenario = Scenario::of(seed);
        (self.bias)(&mut scenario);
        scenario.mutant = Some(self);
        scenario
    }

    /// The first seed that notices, and the invariant that breaks. The same story without the bug must break nothing: otherwise it
    /// does not count.
    #[must_use]
    pub fn caught(&'static self, seeds: u64) -> Option<(u64, &'static str)> {
        (1..=seeds).find_map(|seed| {
            let outcome = run(&self.scenario(seed));
            let broken = outcome.violations.first()?.invariant;
            let healthy = Scenario {
                mutant: None,
                ..self.scenario(seed)
            };
            run(&healthy).violations.is_empty().then_some((seed, broken))
        })
    }
}

/// Plants all bugs whose name contains `only`, and prints which seed caught each; the last line is the account. Gives the number
/// of those that were missed.
#[must_use]
pub fn mutants(only: Option<&str>, seeds: u64) -> usize {
    let chosen: Vec<_> = (MUTANTS.iter())
        .filter(|m| only.is_none_or(|only| m.name.contains(only)))
        .collect();
    let caught = Mutex::new(vec![None; chosen.len()]);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutant) = chosen.get(index) else { return };
                    let found = mutant.caught(seeds);
                    caught.lock().unwrap()[index] = found;
                }
            });
        }
    });
    let caught = caught.into_inner().unwrap();
    for (mutant, found) in chosen.iter().zip(&caught) {
        match found {
            Some((seed, invariant)) => println!(
                "{}: caught by seed {seed} ({invariant})  [{}]",
                mutant.name, mutant.like
            ),
            None => println!("{}: MISSED by {seeds} seeds  [{}]", mutant.name, mutant.like),
        }
    }
    let number = caught.iter().flatten().count();
    println!("mutants: {number} of {} caught", chosen.len());
    chosen.len() - number
}

/// Stories as they are drawn.
pub(crate) fn any(_: &mut Scenario) {}

/// Only these steps, and nothing that goes wrong.
pub(crate) fn quietly(scenario: &mut Scenario, steps: &[Step]) {
    scenario.steps = steps.to_vec();
    scenario.faults.clear();
}
