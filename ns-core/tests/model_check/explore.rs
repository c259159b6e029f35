//! The model checker: every state that can be reached, once each, breadth first, so that the first bad one comes with a shortest
//! way to it. It knows nothing of recovery. Unlike `stateright`, it also goes backwards over all steps, and so can tell whether
//! an end stays within reach from everywhere.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What is explored.
pub trait System {
    type State: Clone;
    /// What tells states apart.
    type Key: Eq + Hash;
    type Step;

    fn key(&self, state: &Self::State) -> Self::Key;
    fn describe(&self, state: &Self::State, step: &Self::Step) -> String;

    fn start(&mut self) -> Vec<Self::State>;
    /// Everything that can happen now.
    fn steps(&mut self, state: &Self::State) -> Vec<Self::Step>;
    /// What comes of it; none when it turns out that nothing does.
    fn next(&mut self, state: &Self::State, step: &Self::Step) -> Option<Self::State>;
    /// What is wrong with a state.
    fn wrong(&mut self, state: &Self::State) -> Option<String>;
    /// Whether a state is an end that must always stay within reach.
    fn is_end(&mut self, state: &Self::State) -> bool;
    /// Whether a step may be counted on to get there: a crash may not.
    fn is_way_out(&self, step: &Self::Step) -> bool;
}

/// Keys are numbers: they need no protection from each other, only to be spread.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }
    fn write_u128(&mut self, n: u128) {
        let bytes = n.to_le_bytes();
        self.write(&bytes);
    }
}

impl Spread {
    const fn add(&mut self, word: u64) {
        let n = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = n ^ (n >> 32);
    }
}

type Index<K> = HashMap<K, u32, BuildHasherDefault<Spread>>;

/// What was found.
#[derive(Debug, Default)]
pub struct Explored {
    pub states: usize,
    pub steps: usize,
    pub deep: usize,
    /// What is wrong, with the shortest way to it.
    pub wrong: Option<(String, Vec<String>)>,
}

/// Explores everything; stops at the first thing that is wrong. `limit` is a bound on the states.
pub fn explore<S: System>(system: &mut S, limit: usize) -> Explored {
    let mut states = system.start();
    let mut index: Index<S::Key> = states.iter().map(|s| system.key(s)).zip(0..).collect();
    // From which state, by which step, how deep.
    let mut came: Vec<(u32, u16, u16)> = vec![(0, 0, 0); states.len()];
    // Only the steps that lead out, from where to where.
    let mut ways: Vec<(u32, u32)> = Vec::new();
    let mut ends: Vec<u32> = Vec::new();
    let mut found = Explored::default();
    let mut at = 0;
    while at < states.len() {
        let state = states[at].clone();
        found.deep = found.deep.max(usize::from(came[at].2));
        if let Some(wrong) = system.wrong(&state) {
            found.states = states.len();
            found.wrong = Some((wrong, way(system, &states, &came, at)));
            return found;
        }
        if system.is_end(&state) {
            ends.push(number(at));
        }
        for (n, step) in system.steps(&state).iter().enumerate() {
            let Some(next) = system.next(&state, step) else {
                continue;
            };
            found.steps += 1;
            let new = number(states.len());
            let to = *index.entry(system.key(&next)).or_insert(new);
            if to == new {
                states.push(next);
                came.push((number(at), u16::try_from(n).unwrap(), came[at].2 + 1));
                assert!(states.len() <= limit, "more than {limit} states");
            }
            if system.is_way_out(step) {
                ways.push((number(at), to));
            }
        }
        at += 1;
    }
    found.states = states.len();
    if let Some(stuck) = first_stuck(states.len(), &ways, ends) {
        let why = "stuck: from here nothing that may be counted on leads to an end".to_owned();
        found.wrong = Some((why, way(system, &states, &came, stuck)));
    }
    found
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

/// The first state from which no end can be reached.
fn first_stuck(states: usize, ways: &[(u32, u32)], ends: Vec<u32>) -> Option<usize> {
    // The ways by where they lead to: a bucket for each state.
    let mut place = vec![0u32; states + 1];
    for (_, to) in ways {
        place[*to as usize + 1] += 1;
    }
    for n in 0..states {
        place[n + 1] += place[n];
    }
    let mut next = place.clone();
    let mut from = vec![0u32; ways.len()];
    for (f, to) in ways {
        from[next[*to as usize] as usize] = *f;
        next[*to as usize] += 1;
    }
    let mut reaches = vec![false; states];
    let mut open = ends;
    while let Some(n) = open.pop() {
        let n = n as usize;
        if !std::mem::replace(&mut reaches[n], true) {
            open.extend(&from[place[n] as usize..place[n + 1] as usize]);
        }
    }
    reaches.iter().position(|r| !r)
}

/// The steps that led to a state.
fn way<S: System>(system: &mut S, states: &[S::State], came: &[(u32, u16, u16)], to: usize) -> Vec<String> {
    let mut way = Vec::new();
    let mut at = to;
    while came[at].2 > 0 {
        let (from, step, _) = came[at];
        at = from as usize;
        let step = &system.steps(&states[at])[usize::from(step)];
        way.push(system.describe(&states[at], step));
    }
    way.reverse();
    way
}
