//! Many seeds on every core, and the account of them.

use crate::faults::FaultKind;
use crate::run::run;
use crate::shrink::shrink;
use crate::story::Scenario;
use crate::world::Outcome;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What came of many seeds.
#[derive(Debug, Default)]
pub struct Account {
    /// Seeds run.
    pub seeds: u64,
    /// Virtual seconds.
    pub seconds: u64,
    /// What struck, how often.
    pub struck: BTreeMap<FaultKind, u64>,
    /// How jobs ended.
    pub ends: BTreeMap<String, u64>,
    /// Seeds that broke something, and what.
    pub failed: Vec<(u64, Outcome)>,
}

/// Runs seeds `first .. first + count` on two threads, or fewer when the minutes are over. `without` is applied to every
/// scenario.
#[must_use]
pub fn campaign(first: u64, count: u64, minutes: Option<u64>, without: &[String]) -> Account {
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes.saturating_mul(60)));
    let next = AtomicU64::new(first);
    let account = Mutex::new(Account::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first.saturating_add(count) || end.is_some_and(|end| Instant::now() >= end) {
                        return;
                    }
                    let outcome = run(&Scenario::of(seed).without(without));
                    let mut account = account.lock().unwrap();
                    account.seeds += 1;
                    account.seconds += outcome.seconds;
                    for (kind, n) in &outcome.struck {
                        *account.struck.entry(*kind).or_default() += n;
                    }
                    for (end, n) in &outcome.ends {
                        *account.ends.entry(end.clone()).or_default() += n;
                    }
                    if !outcome.violations.is_empty() {
                        account.failed.push((seed, outcome));
                    }
                }
            });
        }
    });
    let mut account = account.into_inner().unwrap();
    account.failed.sort_by_key(|(seed, _)| *seed);
    account
}

impl Account {
    /// Prints everything; the last line is the one that others read. Gives the number of violations.
    pub fn print(&self, without: &[String]) -> usize {
        for (end, n) in &self.ends {
            println!("{n:9}  jobs: {end}");
        }
        for kind in FaultKind::ALL {
            let n = self.struck.get(kind).copied().unwrap_or_default();
            println!("{n:9}  {}", kind.text());
        }
        let mut by_kind: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (seed, outcome) in &self.failed {
            by_kind.entry(outcome.violations[0].invariant).or_default().push(*seed);
        }
        for (invariant, seeds) in &by_kind {
            println!(
                "{:9}  seeds broke {invariant}: {:?}",
                seeds.len(),
                &seeds[..seeds.len().min(8)]
            );
        }
        for (seed, outcome) in self.failed.iter().take(10) {
            for v in outcome.violations.iter().take(3) {
                println!("seed {seed}: {}: {}", v.invariant, v.what);
            }
        }
        if let Some((seed, outcome)) = self.failed.first() {
            let invariant = outcome.violations[0].invariant;
            let parts = if without.is_empty() {
                shrink(*seed, invariant)
            } else {
                without.to_vec()
            };
            let scenario = Scenario::of(*seed).without(&parts);
            println!(
                "smallest of seed {seed}: {:?} with {:?}",
                scenario.steps, scenario.faults
            );
            let left_out = if parts.is_empty() {
                String::new()
            } else {
                format!(" --without {}", parts.join(","))
            };
            println!("replay: cargo xtask sim --seeds 1 --seed {seed}{left_out}");
        }
        let violations: usize = self.failed.iter().map(|(_, o)| o.violations.len()).sum();
        let years = self.seconds as f64 / (365.25 * 24.0 * 3600.0);
        println!(
            "sim: {} seeds, {years:.2} simulated years, {} fault kinds, {violations} violations",
            self.seeds,
            self.struck.len()
        );
        violations
    }
}
