//! How long a graph will take, from how long its kinds of tasks took before.
//!
//! Pure: the executor's own rules (what waits for what, how many at a time on one side) are run through with durations instead
//! of effects. Nothing is guessed: where a kind of task was never seen to succeed it is named, and there is no total.

use super::graph::{Action, Side, Task, TaskGraph};
use crate::model::TaskKey;
use crate::provider::CreatedKind;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;

/// Tasks of one kind are expected to take equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionKind {
    action: &'static str,
    thing: Option<CreatedKind>,
}

impl fmt::Display for ActionKind {
    /// The stable name: that of the action in journals, and what is made or removed, e.g. `create server`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action)?;
        self.thing.map_or(Ok(()), |thing| write!(f, " {}", thing.as_str()))
    }
}

impl Action {
    /// What its duration is compared by.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        let (action, thing) = match self {
            Self::Create { spec, .. } => ("create", Some(spec.kind())),
            Self::Adopt { .. } => ("adopt", None),
            Self::Remove { kind, .. } => ("remove", Some(*kind)),
            Self::Release { .. } => ("release", None),
            Self::StopServer { .. } => ("stop_server", None),
            Self::StartServer { .. } => ("start_server", None),
            Self::Flatten { .. } => ("flatten", None),
            Self::EnableReplication { .. } => ("enable_replication", None),
            Self::AwaitReplica { .. } => ("await_replica", None),
            Self::DisableReplication { .. } => ("disable_replication", None),
            Self::Snapshot { .. } => ("snapshot", None),
            Self::RemoveSnapshot { .. } => ("remove_snapshot", None),
            Self::Ship { .. } => ("ship", None),
            Self::AwaitArrival { .. } => ("await_arrival", None),
            Self::Clone { .. } => ("clone", None),
            Self::RemoveImage { .. } => ("remove_image", None),
            Self::Demote { .. } => ("demote", None),
            Self::Promote { .. } => ("promote", None),
            Self::ForcePromote { .. } => ("force_promote", None),
            Self::Resync { .. } => ("resync", None),
            Self::Rejoin { .. } => ("rejoin", None),
            Self::Fence { .. } => ("fence", None),
            Self::Unfence { .. } => ("unfence", None),
            Self::Rename { .. } => ("rename", None),
            Self::AwaitReady { .. } => ("await_ready", None),
            Self::Delay { .. } => ("delay", None),
        };
        ActionKind { action, thing }
    }
}

/// A duration that is not known exactly, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The shortest that was seen.
    pub low_ms: u64,
    /// The middle of what was seen.
    pub expected_ms: u64,
    /// The longest that was seen.
    pub high_ms: u64,
}

impl Span {
    /// A duration that is known.
    #[must_use]
    pub const fn exactly(ms: u64) -> Self {
        Self {
            low_ms: ms,
            expected_ms: ms,
            high_ms: ms,
        }
    }
}

impl fmt::Display for Span {
    /// In seconds: `42 s (40 to 61 s)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| ms.div_ceil(1000);
        let (low, high) = (self.low_ms / 1000, seconds(self.high_ms));
        write!(f, "{} s ({low} to {high} s)", seconds(self.expected_ms))
    }
}

/// How long tasks took, by their kind.
///
/// ```
/// use ns_core::planning::{Action, History, Span};
/// let wait = Action::Delay { seconds: 5 };
/// let history = History::of([(wait.kind(), 7), (wait.kind(), 3), (wait.kind(), 4)]);
/// assert_eq!(history.seen(wait.kind()), Some((3, Span { low_ms: 3, expected_ms: 4, high_ms: 7 })));
/// assert_eq!(history.expects(&wait), Some(Span::exactly(5000)), "a delay is not learned");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    kinds: BTreeMap<ActionKind, (usize, Span)>,
}

impl History {
    /// From how many milliseconds tasks took; of each kind the shortest, the median and the longest are kept.
    pub fn of(samples: impl IntoIterator<Item = (ActionKind, u64)>) -> Self {
        let mut all: BTreeMap<ActionKind, Vec<u64>> = BTreeMap::new();
        for (kind, ms) in samples {
            all.entry(kind).or_default().push(ms);
        }
        let summary = |(kind, mut ms): (ActionKind, Vec<u64>)| {
            ms.sort_unstable();
            let span = Span {
                low_ms: *ms.first()?,
                expected_ms: *ms.get(ms.len() / 2)?,
                high_ms: *ms.last()?,
            };
            Some((kind, (ms.len(), span)))
        };
        Self {
            kinds: all.into_iter().filter_map(summary).collect(),
        }
    }

    /// How many tasks of a kind were seen, and how long they took.
    #[must_use]
    pub fn seen(&self, kind: ActionKind) -> Option<(usize, Span)> {
        self.kinds.get(&kind).copied()
    }

    /// How long an action is expected to take.
    #[must_use]
    pub fn expects(&self, action: &Action) -> Option<Span> {
        match action {
            Action::Delay { seconds } => Some(Span::exactly(u64::from(*seconds) * 1000)),
            _ => self.seen(action.kind()).map(|(_, span)| span),
        }
    }
}

/// How long a graph will take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// From the first task's beginning to the last one's end. Expected is what it takes when every task takes as long as the
    /// middle of its kind. The interval holds whatever happens as long as no task is faster or slower than its kind ever was,
    /// also when tasks then wait for a place in another order; it is wider than what is likely. None while a kind is unknown.
    pub total: Option<Span>,
    /// The tasks that make it take so long, first to last: to be faster, shorten one of these. Each begins when the one before
    /// it ends, because it needs it or because there is no place on its side before.
    pub critical_path: Vec<TaskKey>,
    /// Kinds of tasks that never succeeded before, e.g. `force_promote`: how long these take is not known.
    pub unknown: Vec<String>,
}

/// How long a graph will take when at most `parallel` tasks run on one side at a time. `side` tells the side whose load a task
/// counts for.
pub fn forecast(
    graph: &TaskGraph,
    history: &History,
    parallel: usize,
    side: impl Fn(&Action) -> Option<Side>,
) -> Forecast {
    let unknown: BTreeSet<ActionKind> = (graph.tasks.values().map(|t| &t.action))
        .filter(|a| history.expects(a).is_none())
        .map(Action::kind)
        .collect();
    if !unknown.is_empty() {
        return Forecast {
            unknown: unknown.iter().map(ToString::to_string).collect(),
            ..Forecast::default()
        };
    }
    let parallel = parallel.max(1);
    let takes = |t: &Task, end: fn(&Span) -> u64| history.expects(&t.action).as_ref().map_or(0, end);
    let (expected, path) = run_through(graph, parallel, &side, &|t| takes(t, |s| s.expected_ms));
    // Sides with more tasks than places: only there a task may have to wait for one.
    let mut work: BTreeMap<Side, (usize, u64, u64)> = BTreeMap::new();
    for task in graph.tasks.values() {
        if let Some(side) = side(&task.action) {
            let (count, low, high) = work.entry(side).or_default();
            *count += 1;
            *low += takes(task, |s| s.low_ms);
            *high += takes(task, |s| s.high_ms);
        }
    }
    work.retain(|_, (count, ..)| *count > parallel);
    let places = parallel as u64;
    let longest = |weight: &dyn Fn(&Task) -> u64| run_through(graph, usize::MAX, &side, &weight).0;
    // Not less than the longest path, nor than all the work of a side shared among its places.
    let low = longest(&|t| takes(t, |s| s.low_ms));
    let low = work
        .values()
        .map(|(_, low, _)| low.div_ceil(places))
        .fold(low, u64::max);
    // Some path is under way all the time, except while its next task waits for a place: then all places of that side work on
    // other tasks. Hence not more than the path and the share of all others (Graham's bound for list scheduling).
    let high = longest(&|t| {
        let ms = takes(t, |s| s.high_ms);
        match side(&t.action).is_some_and(|s| work.contains_key(&s)) {
            true => ms - ms / places,
            false => ms,
        }
    });
    let high = work
        .values()
        .fold(high, |sum, (_, _, high)| sum + high.div_ceil(places));
    Forecast {
        total: Some(Span {
            low_ms: low,
            expected_ms: expected,
            high_ms: high,
        }),
        critical_path: path.into_iter().cloned().collect(),
        unknown: Vec::new(),
    }
}

/// Runs a graph through as the executor does: whatever is ready begins, in the order of the keys, as long as there is a place.
/// Gives how long it takes, and the tasks that one after the other take as long.
fn run_through<'a>(
    graph: &'a TaskGraph,
    parallel: usize,
    side: &impl Fn(&Action) -> Option<Side>,
    takes: &impl Fn(&Task) -> u64,
) -> (u64, Vec<&'a TaskKey>) {
    let mut waits: BTreeMap<&TaskKey, usize> = BTreeMap::new();
    let mut followers: BTreeMap<&TaskKey, Vec<&Task>> = BTreeMap::new();
    for task in graph.tasks.values() {
        let before: BTreeSet<_> = task.after.union(&task.order).collect();
        for key in &before {
            followers.entry(key).or_default().push(task);
        }
        waits.insert(&task.key, before.len());
    }
    let mut ready: BTreeMap<&TaskKey, &Task> = (graph.tasks.values())
        .filter(|t| t.after.is_empty() && t.order.is_empty())
        .map(|t| (&t.key, t))
        .collect();
    let mut running: BinaryHeap<Reverse<(u64, &TaskKey)>> = BinaryHeap::new();
    let mut load: BTreeMap<Side, usize> = BTreeMap::new();
    // The task whose end let another one begin.
    let mut cause: BTreeMap<&TaskKey, &TaskKey> = BTreeMap::new();
    let (mut now, mut ended) = (0, None);
    loop {
        let mut begun = Vec::new();
        for (key, task) in &ready {
            if let Some(side) = side(&task.action) {
                let places = load.entry(side).or_default();
                if *places >= parallel {
                    continue;
                }
                *places += 1;
            }
            cause.extend(ended.map(|ended| (*key, ended)));
            running.push(Reverse((now + takes(task), key)));
            begun.push(*key);
        }
        for key in begun {
            ready.remove(key);
        }
        let Some(Reverse((at, key))) = running.pop() else { break };
        (now, ended) = (at, Some(key));
        if let Some(places) = (graph.tasks.get(key))
            .and_then(|t| side(&t.action))
            .and_then(|s| load.get_mut(&s))
        {
            *places -= 1;
        }
        for follower in followers.get(key).into_iter().flatten() {
            if let Some(n) = waits.get_mut(&follower.key) {
                *n -= 1;
                if *n == 0 {
                    ready.insert(&follower.key, follower);
                }
            }
        }
    }
    let mut path: Vec<&TaskKey> = std::iter::successors(ended, |key| cause.get(key).copied()).collect();
    path.reverse();
    (now, path)
}

#[cfg(test)]
mod tests {
    use super::super::ImageRef;
    use super::*;
    use crate::provider::Ref;
    use proptest::prelude::*;

    /// A graph of delays: task `j` waits for `i < j` where the bit of the pair is set, by `after` or by `order`.
    fn graph(seconds: &[u32], edges: u64, orders: u64) -> TaskGraph {
        let mut graph = TaskGraph::default();
        let mut bit = 0;
        for (j, seconds) in seconds.iter().enumerate() {
            let key = graph.add(format!("{j}"), Action::Delay { seconds: *seconds }, []);
            for i in 0..j {
                let task = graph.tasks.get_mut(&key).unwrap();
                let earlier = TaskKey::new(format!("{i}"));
                match (edges >> bit & 1, orders >> bit & 1) {
                    (0, _) => false,
                    (_, 0) => task.after.insert(earlier),
                    _ => task.order.insert(earlier),
                };
                bit += 1;
            }
        }
        graph
    }

    fn ms(graph: &TaskGraph, key: &TaskKey) -> u64 {
        History::default()
            .expects(&graph.tasks[key].action)
            .unwrap()
            .expected_ms
    }

    /// The longest path that ends in a task, by trying all of them.
    fn longest(graph: &TaskGraph, key: &TaskKey) -> u64 {
        let task = &graph.tasks[key];
        let before = task.after.iter().chain(&task.order);
        ms(graph, key) + before.map(|k| longest(graph, k)).max().unwrap_or(0)
    }

    proptest! {
        /// With places for all, the forecast is the longest path, and the critical path is one of that length.
        #[test]
        fn the_critical_path_is_the_longest(
            seconds in prop::collection::vec(0..9u32, 0..9), edges: u64, orders: u64, parallel in 1..4usize,
        ) {
            let graph = graph(&seconds, edges, orders);
            let path_of = |f: &Forecast| f.critical_path.iter().map(|k| ms(&graph, k)).sum::<u64>();
            let wide = forecast(&graph, &History::default(), usize::MAX, |_| Some(Side::Target));
            let brute = graph.tasks.keys().map(|k| longest(&graph, k)).max().unwrap_or(0);
            prop_assert_eq!(wide.total, Some(Span::exactly(brute)));
            prop_assert_eq!(path_of(&wide), brute);
            for pair in wide.critical_path.windows(2) {
                let task = &graph.tasks[&pair[1]];
                prop_assert!(task.after.contains(&pair[0]) || task.order.contains(&pair[0]));
            }
            // With few places it takes longer, but never longer than one by one, and the path still tells why.
            let narrow = forecast(&graph, &History::default(), parallel, |_| Some(Side::Target));
            let total = narrow.total.unwrap().expected_ms;
            let sum: u64 = graph.tasks.keys().map(|k| ms(&graph, k)).sum();
            prop_assert!(brute <= total && total <= sum && sum <= total * parallel as u64, "{brute} {total} {sum}");
            prop_assert_eq!(path_of(&narrow), total);
            prop_assert_eq!(forecast(&graph, &History::default(), 1, |_| None).total, wide.total, "waits need no place");
        }
    }

    /// Four kinds of tasks.
    fn action(kind: usize) -> Action {
        let (side, image) = (Side::Target, ImageRef::OutputOf(TaskKey::new("t")));
        let name = "s".to_owned();
        match kind {
            0 => Action::Snapshot { side, image, name },
            1 => Action::RemoveSnapshot { side, image, name },
            2 => Action::Flatten { side, image },
            _ => Action::StartServer {
                side,
                server: Ref::Known("i".into()),
            },
        }
    }

    proptest! {
        /// Whatever tasks take between the shortest and the longest that was seen: the interval holds.
        #[test]
        fn the_interval_holds(
            tasks in prop::collection::vec((0..4usize, 0.0..=1.0f64), 0..9),
            seen in prop::array::uniform4((0..50u64, 0..50u64)),
            edges: u64,
            parallel in 1..4usize,
            waits in 0..4usize,
        ) {
            let mut graph = graph(&vec![0; tasks.len()], edges & edges.rotate_left(9), 0);
            for (task, (kind, _)) in graph.tasks.values_mut().zip(&tasks) {
                task.action = action(*kind);
            }
            let history = History::of((0..4).flat_map(|k| {
                let (a, b) = seen[k];
                [(action(k).kind(), a), (action(k).kind(), b)]
            }));
            let side = |a: &Action| (a.kind() != action(waits).kind()).then_some(Side::Target);
            let takes = |t: &Task| {
                let (span, (_, x)) = (history.expects(&t.action).unwrap(), tasks[t.key.as_str().parse::<usize>().unwrap()]);
                span.low_ms + ((span.high_ms - span.low_ms) as f64 * x) as u64
            };
            let real = run_through(&graph, parallel, &side, &takes).0;
            let total = forecast(&graph, &history, parallel, side).total.unwrap();
            prop_assert!(total.low_ms <= real && real <= total.high_ms, "{real} {total:?}");
            prop_assert!(total.low_ms <= total.expected_ms && total.expected_ms <= total.high_ms, "{total:?}");
        }
    }

    #[test]
    fn what_was_never_seen_is_named_and_nothing_is_invented() {
        let mut graph = TaskGraph::default();
        let wait = graph.add("wait", Action::Delay { seconds: 4 }, []);
        let rename = |side| Action::Rename {
            side,
            image: ImageRef::OutputOf(wait.clone()),
            name: crate::model::StorageRef::new("rbd:p/i"),
        };
        graph.add("name", rename(Side::Target), [&wait]);
        let blind = forecast(&graph, &History::default(), 8, |_| None);
        assert_eq!(
            (blind.total, blind.unknown.as_slice()),
            (None, &["rename".to_owned()][..])
        );
        assert!(blind.critical_path.is_empty());

        let samples = (1..=100).map(|ms| (rename(Side::Source).kind(), ms * 10));
        let told = forecast(&graph, &History::of(samples), 8, |_| None);
        let total = told.total.unwrap();
        assert_eq!((total.low_ms, total.expected_ms, total.high_ms), (4010, 4510, 5000));
        assert_eq!(told.critical_path, [wait, TaskKey::new("name")]);
        assert_eq!(total.to_string(), "5 s (4 to 5 s)");
    }
}
