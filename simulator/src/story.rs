//! What people do, drawn from the seed: a [`Scenario`] is a list of steps and of faults, and nothing else decides what
//! happens in a world. Taking a step or a fault out gives another scenario: that is how a failing one shrinks.

use crate::dice::Dice;
use crate::faults::{Fault, FaultKind};
use crate::mutants::Mutant;

/// How a site is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disaster {
    /// Every process dies.
    Dead,
    /// Every process stands still.
    Frozen,
    /// It is cut off and its guests write on.
    Isolated,
}

/// How an operator ends a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Rolls back.
    Rollback,
    /// Confirms, if it may be.
    Confirm,
    /// Does nothing: a drill is rolled back by its timer, everything else when the story ends.
    Timer,
    /// Leaves it as it is and does the next thing: a failover must not wait behind a drill.
    Leave,
}

/// What an operator does while a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddle {
    /// Cancels it.
    Cancel,
    /// Pauses it, and lets it go on some time later.
    Pause,
}

/// What an operator tries again of the first job that waits for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// What failed of it.
    Failed,
    /// All its instances, or one, from another recovery point; the number says which.
    OtherPoint(u64),
}

/// A job that an operator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// How it is ended.
    pub end: End,
    /// What is done to it so many seconds after it was made.
    pub meddle: Option<(u64, Meddle)>,
}

/// One step of a story. They are about whichever side runs the group: after a confirmed failover that is protected in the other
/// direction, a planned failover is the failback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing but guests that write, for so many seconds.
    Wait(u64),
    /// A recovery point.
    Point,
    /// A drill.
    Drill(Order),
    /// A planned failover of the latest data.
    Planned(Order),
    /// The Source is lost, and an operator forces the failover; it returns before the end of the job, or after.
    Forced(Disaster, bool, Order),
    /// A failover to a recovery point.
    ToPoint(Order),
    /// Protection in the other direction, after a confirmed failover.
    Reprotect,
}

/// Where exactly something goes wrong: the nth commit or the nth call of a provider since both sites were registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A commit.
    Commit(u64),
    /// A call.
    Call(u64),
}

/// Everything that makes a run what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The seed it was drawn from; the dice of the run.
    pub seed: u64,
    /// Replication by journal instead of by snapshot.
    pub journal_mode: bool,
    /// Servers in the group.
    pub servers: usize,
    /// What is done.
    pub steps: Vec<Step>,
    /// What is tried again.
    pub again: Option<Again>,
    /// What goes wrong. Step 0 is the protection, step 1 the first of `steps`.
    pub faults: Vec<Fault>,
    /// What goes wrong at an exact place.
    pub exact: Option<(Place, FaultKind)>,
    /// The bug that is planted.
    pub mutant: Option<&'static Mutant>,
    /// Whether everything that happens is printed.
    pub trace: bool,
}

fn order(dice: &mut Dice, drill: bool, last: bool) -> Order {
    let end = match dice.below(10) {
        0 if drill => End::Timer,
        1 if drill && !last => End::Leave,
        0..=4 if last && !drill => End::Confirm,
        _ => End::Rollback,
    };
    let meddle = dice
        .percent(20)
        .then(|| (dice.below(60), dice.pick(&[Meddle::Cancel, Meddle::Pause])));
    Order { end, meddle }
}

/// Whether a step ends with a confirmed failover of replicated data, if all goes well.
const fn confirmed(step: Option<&Step>) -> bool {
    matches!(
        step,
        Some(Step::Planned(o) | Step::Forced(_, _, o)) if matches!(o.end, End::Confirm)
    )
}

impl Scenario {
    /// Whether nothing goes wrong and nobody changes his mind: then everything must succeed.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let calm = |o: &Order| o.meddle.is_none_or(|(_, what)| what == Meddle::Pause);
        let steps = self.steps.iter().all(|s| match s {
            Step::Drill(o) => calm(o) && o.end != End::Leave,
            Step::Planned(o) | Step::ToPoint(o) => calm(o),
            Step::Wait(_) | Step::Point | Step::Reprotect => true,
            Step::Forced(..) => false,
        });
        steps && self.faults.is_empty() && self.exact.is_none()
    }

    /// The scenario of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let count = 1 + dice.below(3);
        let mut steps = Vec::new();
        for n in 0..count {
            let last = n + 1 == count;
            let dice = &mut dice;
            steps.push(match dice.below(12) {
                0 => Step::Wait(10 + dice.below(300)),
                1 | 2 => Step::Point,
                3..=5 => Step::Drill(order(dice, true, last)),
                6..=8 => Step::Planned(order(dice, false, last)),
                9 | 10 => {
                    let disaster = dice.pick(&[Disaster::Dead, Disaster::Frozen, Disaster::Isolated]);
                    Step::Forced(disaster, dice.percent(50), order(dice, false, last))
                }
                _ => Step::ToPoint(order(dice, false, last)),
            });
        }
        if confirmed(steps.last()) && dice.percent(60) {
            steps.push(Step::Reprotect);
            if dice.percent(30) {
                steps.push(match dice.below(3) {
                    0 => Step::Point,
                    1 => Step::Drill(order(&mut dice, true, false)),
                    _ => Step::Planned(order(&mut dice, false, false)),
                });
            }
            steps.push(Step::Planned(order(&mut dice, false, true)));
        }
        let faults = match dice.below(10) {
            0 => 0,
            1..=6 => 1,
            7 | 8 => 2,
            _ => 3,
        };
        let faults = (0..faults)
            .map(|_| dice.pick(FaultKind::ALL).draw(&mut dice, steps.len()))
            .collect();
        // Dice of its own: a seed's story is what it was before there was this.
        let mut more = Dice::new(seed.rotate_left(32));
        let again = more.percent(20).then(|| match more.below(2) {
            0 => Again::Failed,
            _ => Again::OtherPoint(more.roll()),
        });
        Self {
            seed,
            again,
            journal_mode: dice.percent(30),
            servers: if dice.percent(75) { 1 } else { 2 },
            steps,
            faults,
            exact: None,
            mutant: None,
            trace: false,
        }
    }

    /// The same without some of its parts: `f0` is the first fault, `s0` the first step, `again` what is tried again; with `trace` all is printed. A step that is left out becomes a
    /// short wait, so that faults keep their places.
    #[must_use]
    pub fn without(mut self, parts: &[String]) -> Self {
        let gone = |kind: char, index: usize| parts.iter().any(|p| *p == format!("{kind}{index}"));
        for (index, step) in self.steps.iter_mut().enumerate() {
            if gone('s', index) {
                *step = Step::Wait(1);
            }
        }
        let faults = self.faults.into_iter().enumerate();
        self.faults = faults
            .filter(|(index, _)| !gone('f', *index))
            .map(|(_, fault)| fault)
            .collect();
        if parts.iter().any(|p| p == "again") {
            self.again = None;
        }
        self.trace |= parts.iter().any(|p| p == "trace");
        self
    }
}
