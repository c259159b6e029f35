//! Making a failing scenario small: faults, then steps, are left out one by one while it still breaks the same invariant.

use crate::run::run;
use crate::story::Scenario;

/// The parts that may be left out of a seed's scenario while the same invariant breaks, e.g. `f1`, `s0`.
#[must_use]
pub fn shrink(seed: u64, invariant: &str) -> Vec<String> {
    let whole = Scenario::of(seed);
    let faults = (0..whole.faults.len()).map(|n| format!("f{n}"));
    let steps = (0..whole.steps.len()).rev().map(|n| format!("s{n}"));
    let mut out: Vec<String> = Vec::new();
    let again = whole.again.map(|_| "again".to_owned());
    for part in faults.chain(again).chain(steps) {
        out.push(part);
        let outcome = run(&whole.clone().without(&out));
        if !outcome.violations.iter().any(|v| v.invariant == invariant) {
            out.pop();
        }
    }
    out
}
