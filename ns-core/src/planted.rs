//! Bugs that a test plants here and there in the engine, to see whether those who guard it notice (the simulator's
//! `mutants`). They exist only with the feature `planted`, which nothing that is shipped turns on; without it every question
//! here is answered `false` at compile time. With it, a bug lives on the thread that planted it, and dies with its
//! [`Planted`].

#[cfg(feature = "planted")]
use crate::journal::{JobView, PhaseKind};
#[cfg(feature = "planted")]
use crate::planning::TaskGraph;

/// A bug, named after what the engine does when it is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Effects begin before their intents are durable.
    EffectBeforeIntent,
    /// A new attempt has the number of the first.
    AttemptsReset,
    /// The journal follows the machine's clock backwards.
    TimeRunsBack,
    /// A Source that does not answer is overridden although nobody asked for it.
    ForceUnasked,
    /// The decision for force is taken and not written down.
    ForceUnrecorded,
    /// A cancelled job does not wait for what is under way.
    CancelForgets,
    /// Whatever became of the tasks, the job succeeded.
    AlwaysSuccess,
    /// The timer of a drill never runs out.
    DrillForever,
    /// A failover waits behind a drill.
    NoPreempt,
    /// Rollback undoes only what is known to be done.
    UndoKnownOnly,
    /// `retry rollback` succeeds and does nothing.
    RetryDoesNothing,
    /// Every job of a group thinks that the group is free.
    TwoJobsAtOnce,
    /// Journals are read without being verified.
    BelieveJournal,
    /// A copy that has begun counts as complete.
    AnyStatusIsFine,
    /// A forced promotion fences nobody.
    NoFence,
    /// A source that came back is fenced by what was known before it was asked.
    FenceOnStale,
    /// A commit that fails is taken for done.
    WriteErrorsIgnored,
    /// A job ends without its report.
    ReportForgotten,
    /// The end of a plan does not know what its failed mirroring began.
    ProtectForgets,
    /// The end of a plan does not know what failed points left.
    PointsForgotten,
    /// After a crash, what was begun counts as done.
    IntentIsOutcome,
    /// A point exists although a volume of it is missing.
    PointHalf,
    /// A copy that diverged is thrown away although nobody said so.
    ResyncUnasked,
    /// The watch does not look.
    BlindWatch,
}

/// Rewrites a graph that planning made.
#[cfg(feature = "planted")]
pub type Rewrite = fn(&JobView, PhaseKind, &mut TaskGraph);

#[cfg(feature = "planted")]
thread_local! {
    static BUG: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
    static REWRITE: std::cell::Cell<Option<Rewrite>> = const { std::cell::Cell::new(None) };
}

/// As long as this lives, the bug does.
#[cfg(feature = "planted")]
#[derive(Debug)]
#[must_use]
pub struct Planted(());

/// Plants a bug on this thread, or a rewriting of graphs.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>, rewrite: Option<Rewrite>) -> Planted {
    BUG.set(bug);
    REWRITE.set(rewrite);
    Planted(())
}

#[cfg(feature = "planted")]
impl Drop for Planted {
    fn drop(&mut self) {
        BUG.set(None);
        REWRITE.set(None);
    }
}

/// Whether this bug is planted.
#[cfg(feature = "planted")]
pub(crate) fn is(bug: Bug) -> bool {
    BUG.get() == Some(bug)
}

/// Whether this bug is planted: never.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}

/// The graph as the planted bug wants it.
#[cfg(feature = "planted")]
pub(crate) fn rewrite(view: &JobView, kind: PhaseKind, graph: &mut TaskGraph) {
    if let Some(rewrite) = REWRITE.get() {
        rewrite(view, kind, graph);
    }
}
