//! The job's halves, by number. They are few and dear to compute, the worlds many and cheap; so what a half comes to is computed
//! once for each input and looked up after that. A half and its mirror, which is the same with the two volumes in each other's
//! place, have one number.

use crate::effect::Effect;
use crate::inputs::{Layout, VOLUMES, id};
use crate::job::{Half, Input};
use ns_core::journal::{JobView, Phase, TaskStatus};
use ns_core::machine;
use ns_core::model::{CloudId, JobId, JobOperation, JobState, TaskKey};
use ns_core::planning::{Action, MarkRef, Task, TaskGraph};
use ns_core::provider::Spec;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

/// A half, with what is asked of it often.
pub struct Node {
    pub half: Half,
    pub tasks: Vec<(TaskKey, Effect)>,
    pub allowed: Vec<JobOperation>,
    /// Whether each guest was recovered.
    pub recovered: [bool; 2],
    /// Whether each volume was promoted by force.
    pub forced: [bool; 2],
    /// Its key is the lesser one of its own and its mirror's.
    lesser: bool,
    /// It is its own mirror.
    pub symmetric: bool,
}

/// A graph: its number, that of its mirror, and which task takes a mark from which.
struct Known {
    _kept: Arc<Phase>,
    own: u32,
    mirror: u32,
    marks: Arc<Vec<(TaskKey, TaskKey)>>,
}

/// See above.
pub struct Halves {
    layout: Layout,
    apart: bool,
    /// A half and its mirror have two numbers.
    unreduced: bool,
    pub nodes: Vec<Node>,
    index: HashMap<String, u32>,
    after: HashMap<(u32, Input), Option<(u32, bool)>>,
    /// The graphs of phases, and those of their mirrors, by number. The phases are kept, so that their addresses stay theirs.
    graphs: HashMap<String, u32>,
    /// The tasks that tokens stand for.
    tokens: BTreeMap<String, String>,
    phases: HashMap<usize, Known>,
}

/// The names of the two volumes, and of the guests that own them, in each other's place.
fn mirrored(text: &str, apart: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    for (n, c) in bytes.iter().enumerate() {
        let before = if n > 0 { bytes[n - 1] } else { b' ' };
        let first = n < 2 || !bytes[n - 2].is_ascii_alphanumeric();
        let is_name = first && (matches!(before, b'v' | b'w') || before == b'g' && apart);
        out.push(match c {
            b'0' if is_name => b'1',
            b'1' if is_name => b'0',
            c => *c,
        });
    }
    String::from_utf8(out).unwrap()
}

impl Halves {
    pub fn new(layout: Layout, unreduced: bool) -> Self {
        Self {
            layout,
            apart: layout.len() > 1,
            unreduced,
            nodes: Vec::new(),
            index: HashMap::new(),
            after: HashMap::new(),
            graphs: HashMap::new(),
            tokens: BTreeMap::new(),
            phases: HashMap::new(),
        }
    }

    /// What a half comes to; none when the input is refused.
    pub fn after(&mut self, job: u32, input: Input) -> Option<(u32, bool)> {
        if let Some(next) = self.after.get(&(job, input)) {
            return *next;
        }
        let node = &self.nodes[job as usize];
        let half = node.half.after(input, &node.tasks);
        let next = half.map(|half| self.number(half));
        self.after.insert((job, input), next);
        next
    }

    fn graph(&mut self, text: String) -> u32 {
        let new = u32::try_from(self.graphs.len()).unwrap();
        *self.graphs.entry(text).or_insert(new)
    }

    fn phase(&mut self, view: &JobView, phase: &Arc<Phase>) -> &Known {
        let at = Arc::as_ptr(phase) as usize;
        if !self.phases.contains_key(&at) {
            let known = self.known(view, phase);
            self.phases.insert(at, known);
        }
        &self.phases[&at]
    }

    /// Which tasks tokens stand for.
    pub fn learn_tokens(&mut self, job: &JobId, graph: &TaskGraph) {
        let makes = |t: &&Task| {
            matches!(
                t.action,
                Action::Create { .. } | Action::Adopt { .. } | Action::Clone { .. }
            )
        };
        for task in graph.tasks.values().filter(makes) {
            let token = task.token(job).as_str().to_owned();
            self.tokens.insert(token, task.key.to_string());
        }
    }

    fn known(&mut self, view: &JobView, phase: &Arc<Phase>) -> Known {
        self.learn_tokens(&view.id, &phase.graph);
        // By the names of their tasks, tokens have mirrors as well.
        let mut text = serde_json::to_string(&phase.graph).unwrap();
        for (token, name) in &self.tokens {
            text = text.replace(token, name);
        }
        let mut mirror: TaskGraph = serde_json::from_str(&mirrored(&text, self.apart)).unwrap();
        for task in mirror.tasks.values_mut() {
            // In which order a server has its volumes is of no matter here.
            if let Action::Create { spec, .. } = &mut task.action
                && let Spec::Server { volumes, .. } = spec
            {
                volumes.sort_by_key(|v| format!("{v:?}"));
            }
        }
        let own = self.graph(text);
        let mirror = self.graph(serde_json::to_string(&mirror).unwrap());
        let source = |task: &Task| match &task.action {
            Action::AwaitArrival { mark, .. } => Some(mark.clone()),
            Action::Promote { demotion, .. } => demotion.clone(),
            _ => None,
        };
        let of = |task: &Task| match source(task)? {
            MarkRef::OutputOf(source) => Some((task.key.clone(), source)),
            MarkRef::Known(_) => None,
        };
        Known {
            _kept: phase.clone(),
            own,
            mirror,
            marks: Arc::new(phase.graph.tasks.values().filter_map(of).collect()),
        }
    }

    /// What tells two halves apart, and the same of its mirror. How often something was tried, and in which order the journal
    /// tells it, does not, nor does a mark that nothing waits for any more; of a job that has finished, only its end does.
    fn keys(&mut self, half: &Half) -> (String, String) {
        let view = &half.view;
        let (mut own, mut mirror) = (String::new(), String::new());
        write!(
            own,
            "{:?} {:?} {:?} {:?}",
            view.state, view.operation, view.clear, view.result
        )
        .unwrap();
        mirror.push_str(&own);
        let apart = self.apart;
        if view.state == JobState::Finished {
            let mut facts: Vec<String> = view.recovered().iter().map(|g| format!(" {g}")).collect();
            facts.extend(
                VOLUMES
                    .iter()
                    .filter(|v| Self::forced(half, v))
                    .map(|v| format!(" {v}")),
            );
            let mut others: Vec<String> = facts.iter().map(|f| mirrored(f, apart)).collect();
            others.sort_unstable();
            return (own + &facts.concat(), mirror + &others.concat());
        }
        let mut last = None;
        let mut awaited: BTreeSet<TaskKey> = BTreeSet::new();
        for phase in &view.phases {
            let known = self.phase(view, phase);
            let numbers = (known.own, known.mirror);
            let waits = known
                .marks
                .iter()
                .filter(|(waits, _)| view.status(waits) != TaskStatus::Done);
            awaited.extend(waits.map(|(_, source)| source.clone()));
            // A clean-up that is tried again before anything has changed.
            if last.replace((phase.kind, numbers)) != Some((phase.kind, numbers)) {
                write!(own, " {:?}{}", phase.kind, numbers.0).unwrap();
                write!(mirror, " {:?}{}", phase.kind, numbers.1).unwrap();
            }
        }
        let mut tasks: Vec<String> = Vec::with_capacity(view.tasks.len());
        for (key, t) in &view.tasks {
            let mark = t
                .output
                .mark
                .as_ref()
                .filter(|_| awaited.contains(key))
                .map_or("", |m| m.as_str());
            let runs = half.running.contains(key);
            let tried = t.attempts > 0;
            tasks.push(format!(
                "{key} {}{}{}{mark}",
                t.status as u8,
                u8::from(tried),
                u8::from(runs)
            ));
        }
        let mut others: Vec<String> = tasks.iter().map(|t| mirrored(t, apart)).collect();
        tasks.sort_unstable();
        others.sort_unstable();
        own.push_str(&tasks.join("|"));
        mirror.push_str(&others.join("|"));
        (own, mirror)
    }

    /// Whether a volume was promoted by force.
    fn forced(half: &Half, volume: &str) -> bool {
        let promote = TaskKey::new(format!("promote/{volume}"));
        half.data.by_force() && half.view.status(&promote) == TaskStatus::Done
    }

    /// The number of a half, or of its mirror: then true.
    pub fn number(&mut self, half: Half) -> (u32, bool) {
        let (own, mirror) = self.keys(&half);
        let (lesser, symmetric) = match self.unreduced {
            true => (true, false),
            false => (own <= mirror, own == mirror),
        };
        let key = if lesser { own } else { mirror };
        if let Some(found) = self.index.get(&key) {
            return (*found, self.nodes[*found as usize].lesser != lesser);
        }
        let new = u32::try_from(self.nodes.len()).unwrap();
        self.index.insert(key, new);
        let view = &half.view;
        let names: Vec<CloudId> = self.layout.iter().map(|(name, _)| id(name)).collect();
        let recovered = view.recovered();
        let was = |n: usize| names.get(n).is_some_and(|name| recovered.contains(name));
        let forced = VOLUMES.map(|v| Self::forced(&half, v));
        self.nodes.push(Node {
            tasks: half.tasks(),
            allowed: machine::allowed(view.state, &half.facts()),
            recovered: [was(0), was(1)],
            forced,
            lesser,
            symmetric,
            half,
        });
        (new, false)
    }
}
