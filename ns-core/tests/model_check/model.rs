//! A recovery job in the world: what can happen at each moment, and what must hold at each.
//!
//! The two volumes are interchangeable: of two moments that differ only in their names, one is looked at.

use crate::effect::{Effect, Found};
use crate::explore::System;
use crate::halves::{Halves, Node};
use crate::inputs::{Layout, VOLUMES};
use crate::job::{Data, Half, Input, Rewrite};
use crate::world::{World, made};
use ns_core::model::{CloudId, JobOperation, JobState, ResultCode};
use ns_core::planning::{Action, plan_fence};
use std::collections::BTreeSet;

/// What is explored, and how often each thing may go wrong or be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub layout: Layout,
    pub data: Data,
    pub crashes: u8,
    /// Tasks that fail for good, with or without their effect.
    pub failures: u8,
    pub cancels: u8,
    pub pauses: u8,
    pub retries: u8,
    /// Storage checks nothing when it promotes.
    pub naive: bool,
    /// Looks at a moment and at its mirror as at two.
    pub unreduced: bool,
    /// A defect that is planted.
    pub rewrite: Option<Rewrite>,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Left {
    pub crashes: u8,
    pub failures: u8,
    pub cancels: u8,
    pub pauses: u8,
    pub retries: u8,
    pub timers: u8,
}

/// Everything there is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Moment {
    job: u32,
    world: World,
    left: Left,
}

/// What can happen.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Write {
        volume: usize,
        site: usize,
    },
    Sync {
        volume: usize,
    },
    /// The source can be reached again.
    Heal,
    /// The watch makes the source read only that came back.
    Fence,
    /// A task takes effect and its outcome is written.
    Finish(u8),
    /// A task fails for good, and its effect took place all the same or did not.
    Fail {
        task: u8,
        took: bool,
    },
    /// The engine dies after these tasks, by bits, took effect, before any outcome is written.
    Die {
        took: u8,
    },
    Operate(JobOperation),
    /// Nobody has decided what becomes of a drill.
    Timer,
}

/// The model.
pub struct Model {
    pub scenario: Scenario,
    halves: Halves,
    /// How jobs ended, and other things that must have been seen, so that nothing holds for want of a case.
    pub ends: BTreeSet<(JobOperation, Option<ResultCode>)>,
    pub seen: BTreeSet<&'static str>,
}

/// What the failover of both volumes had made.
const MADE_BEFORE: u16 = made::TENANT | made::ACCESS | made::volume(0) | made::volume(1) | made::server(0);

impl Model {
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            halves: Halves::new(scenario.layout, scenario.unreduced),
            ends: BTreeSet::new(),
            seen: BTreeSet::new(),
        }
    }

    /// How many halves there are.
    pub fn halves(&self) -> usize {
        self.halves.nodes.len()
    }

    /// One moment for it and its mirror.
    fn moment(&self, (job, flipped): (u32, bool), world: World, left: Left) -> Moment {
        let mut world = if flipped { world.mirrored() } else { world };
        if self.halves.nodes[job as usize].symmetric {
            world = world.min(world.mirrored());
        }
        Moment { job, world, left }
    }

    fn input(&mut self, m: &Moment, input: Input, world: World, left: Left) -> Option<Moment> {
        let next = self.halves.after(m.job, input);
        Some(self.moment(next?, world, left))
    }

    fn node(&self, m: &Moment) -> &Node {
        &self.halves.nodes[m.job as usize]
    }

    /// Whether what a task does is out of reach.
    const fn is_away(world: &World, effect: Effect) -> bool {
        world.cut_off && effect.touches(0)
    }

    fn found(world: &World, effect: Effect) -> (Found, World) {
        let mut after = *world;
        if Self::is_away(world, effect) {
            return (Found::NotYet, after);
        }
        let found = after.take(effect);
        (found, after)
    }

    /// As the watch does it: the job that `plan_fence` plans, in one go.
    fn fence(&self, m: &Moment) -> Option<World> {
        let node = self.node(m);
        let view = &node.half.view;
        let state = view.state;
        let now = matches!(state, JobState::Running | JobState::Paused | JobState::Completed)
            || state == JobState::Finished && view.operation == JobOperation::Confirm;
        let back = |v: usize| node.forced[v] && m.world.volumes[v].copies[0].primary;
        if !now || m.world.cut_off || !(back(0) || back(1)) {
            return None;
        }
        let frozen = view.frozen.as_deref()?;
        let mut plan = frozen.plan.clone();
        let keep = |v: &CloudId| {
            VOLUMES
                .iter()
                .position(|name| *name == v.as_str())
                .is_some_and(|v| node.forced[v])
        };
        plan.volumes.retain(|v, _| keep(v));
        let mut graph = plan_fence(&plan, &frozen.inventory).unwrap();
        let mut world = m.world;
        if world.dark {
            graph
                .tasks
                .retain(|_, t| !matches!(t.action, Action::StopServer { .. }));
        }
        for task in graph.in_order().unwrap() {
            world.take(Effect::of(view, None, task));
        }
        world.fenced = true;
        Some(world)
    }

    fn ended(&self, m: &Moment, operation: JobOperation) -> bool {
        let view = &self.node(m).half.view;
        view.state == JobState::Finished && view.operation == operation
    }

    /// The side that was chosen for a guest: the target for what was recovered and confirmed, else the source.
    fn chosen(&self, m: &Moment, guest: usize) -> usize {
        usize::from(self.ended(m, JobOperation::Confirm) && self.node(m).recovered[guest])
    }

    /// What must hold of a job that has finished by confirm or rollback.
    fn wrong_at_the_end(&self, m: &Moment) -> Option<&'static str> {
        let (w, data) = (&m.world, self.scenario.data);
        let mut things = 0;
        for (v, volume) in w.volumes.iter().enumerate() {
            let guest = usize::from(w.owner[v]);
            let side = self.chosen(m, guest);
            // What was recovered from a point runs on clones, and replication is as it was.
            let on_clones = matches!(data, Data::Drill | Data::Point);
            let writes = if on_clones { 0 } else { side };
            let promised = match data {
                // The decision gave up the other side's.
                Data::Forced | Data::Fenced => volume.acked & (1 << side),
                _ => volume.acked,
            };
            if promised & !volume.copies[writes].writes != 0 {
                return Some("a write that was said to be safe is not on the side that was chosen");
            }
            let given_up = data.by_force() && side == 1;
            if !volume.copies[writes].primary {
                return Some("the side that was chosen cannot write");
            }
            if !given_up && (volume.copies[1 - writes].primary || volume.split) {
                return Some("the side that was not chosen can write, or does not follow");
            }
            if side == 0 && w.dark {
                return Some("the source has no power");
            }
            let runs = w.guests[guest];
            let leaves_source_guest = given_up || data == Data::CutOffGuests;
            if !runs[side] || runs[1 - side] && !(leaves_source_guest && side == 1) {
                return Some("the guest does not run where it should, or runs twice");
            }
            if side == 1 {
                things |= made::volume(v) | made::server(guest);
                if on_clones {
                    things |= made::clone(v);
                }
            } else if !volume.copies[0].named {
                return Some("the source's image has another name");
            }
        }
        if things != 0 {
            things |= made::TENANT | made::ACCESS;
        }
        if data == Data::Failback {
            things = if things == 0 { MADE_BEFORE } else { 0 };
        }
        (w.things != things).then_some("something is left behind, or something is missing")
    }
}

impl System for Model {
    type State = Moment;
    type Step = Step;
    type Key = u128;

    fn key(&self, m: &Moment) -> u128 {
        let left = &m.left;
        let budget = [
            left.crashes,
            left.failures,
            left.cancels,
            left.pauses,
            left.retries,
            left.timers,
        ];
        let low = budget
            .iter()
            .fold(u128::from(m.job), |key, n| key << 2 | u128::from(*n));
        low << World::BITS | m.world.packed()
    }

    fn describe(&self, m: &Moment, step: &Step) -> String {
        let tasks = &self.node(m).tasks;
        let name = |n: u8| tasks[usize::from(n)].0.as_str();
        match step {
            Step::Finish(task) => format!("{} takes effect and ends", name(*task)),
            Step::Fail { task, took: false } => format!("{} fails", name(*task)),
            Step::Fail { task, took: true } => format!("{} takes effect and is said to have failed", name(*task)),
            Step::Die { took } => {
                let took: Vec<&str> = (0..8).filter(|n| took & (1 << n) != 0).map(name).collect();
                format!("the engine dies after {took:?} took effect")
            }
            other => format!("{other:?}"),
        }
    }

    fn start(&mut self) -> Vec<Moment> {
        let s = self.scenario;
        let half = Half::new(s.layout, s.data, s.rewrite);
        if let Some(away) = half.away.clone() {
            let graphs = away.phases.iter().map(|p| &p.graph);
            graphs.for_each(|graph| self.halves.learn_tokens(&away.id, graph));
        }
        let job = self.halves.number(half);
        let left = Left {
            crashes: s.crashes,
            failures: s.failures,
            cancels: s.cancels,
            pauses: s.pauses,
            retries: s.retries,
            timers: u8::from(s.data == Data::Drill) * 2,
        };
        let owner = [0, u8::from(s.layout.len() > 1)];
        let mut world = World::new(owner, s.data.by_force());
        world.naive = s.naive;
        if s.data == Data::Failback {
            world.things = MADE_BEFORE;
            world.came_back = true;
        }
        let mut first = vec![self.moment(job, world, left)];
        if s.data.by_force() {
            // Some of what was written had been replicated before the source was lost.
            for synced in [[true, false], [true, true]] {
                let mut world = world;
                for (volume, synced) in world.volumes.iter_mut().zip(synced) {
                    volume.acked = 1;
                    volume.copies[0].writes = 1;
                    volume.copies[1].writes = u8::from(synced);
                }
                first.push(self.moment(job, world, left));
            }
        }
        first
    }

    fn steps(&mut self, m: &Moment) -> Vec<Step> {
        let (node, w, left) = (self.node(m), &m.world, &m.left);
        let mut steps = Vec::new();
        for volume in 0..2 {
            for site in 0..2 {
                if w.may_write(volume, site) {
                    steps.push(Step::Write { volume, site });
                }
            }
            if w.may_sync(volume) {
                steps.push(Step::Sync { volume });
            }
        }
        if w.cut_off {
            steps.push(Step::Heal);
        }
        if self.scenario.data.by_force() && self.fence(m).is_some() {
            steps.push(Step::Fence);
        }
        let mut ready = 0u8;
        for (n, (_, effect)) in node.tasks.iter().enumerate() {
            let task = u8::try_from(n).unwrap();
            let (found, after) = Self::found(w, *effect);
            let changes = after != *w;
            if found != Found::NotYet {
                steps.push(Step::Finish(task));
                ready |= u8::from(changes) << n;
            }
            if left.failures > 0 || Self::is_away(w, *effect) {
                steps.push(Step::Fail { task, took: false });
            }
            if left.failures > 0 && changes {
                steps.push(Step::Fail { task, took: true });
            }
        }
        if left.crashes > 0 && !node.tasks.is_empty() {
            steps.extend(
                (0..=ready)
                    .filter(|took| took & !ready == 0)
                    .map(|took| Step::Die { took }),
            );
        }
        for operation in &node.allowed {
            let wanted = match operation {
                JobOperation::Cancel => left.cancels > 0,
                JobOperation::Pause => left.pauses > 0,
                JobOperation::Retry => left.retries > 0,
                _ => true,
            };
            if wanted {
                steps.push(Step::Operate(*operation));
            }
        }
        let waits = matches!(node.half.view.state, JobState::Completed | JobState::ClearFailed);
        if waits && left.timers > 0 {
            steps.push(Step::Timer);
        }
        steps
    }

    fn next(&mut self, m: &Moment, step: &Step) -> Option<Moment> {
        let (mut w, mut left) = (m.world, m.left);
        let same = (m.job, false);
        let effect = |model: &Self, task: u8| model.node(m).tasks[usize::from(task)].1;
        match step {
            Step::Write { volume, site } => w.write(*volume, *site, self.scenario.data.by_force()),
            Step::Sync { volume } => w.sync(*volume),
            Step::Heal => w.cut_off = false,
            Step::Fence => w = self.fence(m)?,
            Step::Finish(task) => {
                let (found, after) = Self::found(&w, effect(self, *task));
                let input = match found {
                    Found::Done(mark) => Input::Done(*task, mark),
                    Found::Never => Input::Failed(*task),
                    Found::NotYet => return None,
                };
                return self.input(m, input, after, left);
            }
            Step::Fail { task, took } => {
                let effect = effect(self, *task);
                if !Self::is_away(&w, effect) {
                    left.failures -= 1;
                }
                if *took {
                    w = Self::found(&w, effect).1;
                }
                return self.input(m, Input::Failed(*task), w, left);
            }
            Step::Die { took } => {
                left.crashes -= 1;
                for n in 0..8 {
                    if took & (1 << n) != 0 {
                        w = Self::found(&w, effect(self, n)).1;
                    }
                }
                return self.input(m, Input::Death, w, left);
            }
            Step::Operate(operation) => {
                match operation {
                    JobOperation::Cancel => left.cancels -= 1,
                    JobOperation::Pause => left.pauses -= 1,
                    JobOperation::Retry => left.retries -= 1,
                    _ => {}
                }
                return self.input(m, Input::Operation(*operation, w.fenced), w, left);
            }
            Step::Timer => {
                left.timers -= 1;
                return self.input(m, Input::Timer, w, left);
            }
        }
        Some(self.moment(same, w, left))
    }

    fn wrong(&mut self, m: &Moment) -> Option<String> {
        let w = &m.world;
        let data = self.scenario.data;
        let view = &self.halves.nodes[m.job as usize].half.view;
        if view.state == JobState::Finished {
            self.ends.insert((view.operation, view.result));
            let s = &self.scenario;
            if m.left.crashes < s.crashes {
                self.seen.insert(match view.operation {
                    JobOperation::Confirm => "confirmed after a death",
                    _ => "cleaned up after a death",
                });
            }
            if m.left.failures < s.failures {
                self.seen.insert("finished after a failure");
            }
            let both = w.volumes.iter().all(|v| v.acked == 3);
            if both {
                self.seen.insert(match view.operation {
                    JobOperation::Confirm => "confirmed with a write of each side",
                    _ => "rolled back with a write of each side",
                });
            }
            if w.fenced {
                self.seen.insert("fenced");
            }
        }
        let primaries = w.volumes.iter().any(|v| v.copies[0].primary && v.copies[1].primary);
        // By force the target may be made a second writer; the source never is.
        let again = w.volumes.iter().map(|v| v.copies);
        let again = again
            .into_iter()
            .any(|[a, b]| a.primary && b.primary && a.role.0 > b.role.0);
        let untouched = w.volumes.iter().all(|v| v.turns == 0) && w.guests.iter().all(|g| g[0] || !g[1]);
        let checks = [
            (!data.by_force() && primaries, "two writers"),
            (
                data == Data::Fenced && primaries && !w.dark,
                "two writers: the source has power",
            ),
            (again, "two writers, and it was no force that made the second"),
            (w.lost_update, "a guest was told that a write is safe on an older copy"),
            (w.broken, "a task refers to what no task has made"),
            (
                w.read_only_start,
                "a guest was started on a volume that it cannot write",
            ),
            (data == Data::Drill && !untouched, "a drill touched the source"),
        ];
        let mut wrong = checks.iter().find(|(is, _)| *is).map(|(_, what)| *what);
        let finished = view.state == JobState::Finished;
        if wrong.is_none() && finished && view.operation != JobOperation::IgnoreRollback {
            wrong = self.wrong_at_the_end(m);
        }
        let why = wrong?;
        Some(format!("{why}: {:?} {:#?}", self.node(m).half.view.state, w))
    }

    fn is_end(&mut self, m: &Moment) -> bool {
        self.node(m).half.view.state == JobState::Finished
    }

    fn is_way_out(&self, step: &Step) -> bool {
        // What is left behind with a word is no way out, nor is luck.
        !matches!(
            step,
            Step::Die { .. } | Step::Fail { .. } | Step::Operate(JobOperation::IgnoreRollback)
        )
    }
}
