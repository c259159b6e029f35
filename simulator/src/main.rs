//! `cargo xtask sim | crash | mutants`: the commands.

use clap::{Parser, Subcommand};
use ns_simulator::campaign::campaign;
use ns_simulator::crash::{crash, references};
use ns_simulator::faults::FaultKind;
use ns_simulator::mutants::{MUTANTS, mutants};
use ns_simulator::run::run;
use ns_simulator::story::{Place, Scenario};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "ns-simulator", disable_version_flag = true)]
struct Menu {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs seeds
    Sim {
        /// How many
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        /// The first
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Begin no further seed after so many minutes
        #[arg(long)]
        minutes: Option<u64>,
        /// Parts to leave out of every scenario: f0 is the first fault, s0 the first step
        #[arg(long, value_delimiter = ',')]
        without: Vec<String>,
        /// Print everything that happens; for one seed
        #[arg(long)]
        trace: bool,
    },
    /// Bugs are planted, one at a time, and seeds run until one notices
    Mutants {
        /// Only those whose name contains this
        #[arg(long)]
        only: Option<String>,
        /// How many seeds each gets
        #[arg(long, default_value_t = 400)]
        seeds: u64,
        /// Print everything that happens with this seed; with --only
        #[arg(long)]
        trace: Option<u64>,
    },
    /// Something goes wrong at every commit and every call of the reference stories, one at a time
    Crash {
        /// Only stories whose name begins so
        #[arg(long)]
        only: Option<String>,
        /// Print everything that happens when this goes wrong, e.g. `call:17:Rejected`; with --only
        #[arg(long)]
        trace: Option<String>,
    },
}

fn main() -> ExitCode {
    let violations = match Menu::parse().verb {
        Verb::Mutants {
            only,
            trace: Some(seed),
            ..
        } => trace_mutant(only.as_deref(), seed),
        Verb::Mutants {
            only,
            seeds,
            trace: None,
        } => mutants(only.as_deref(), seeds),
        Verb::Crash { only, trace: Some(at) } => trace_crash(only.as_deref(), &at),
        Verb::Crash { only, trace: None } => crash(only.as_deref()),
        Verb::Sim {
            seeds,
            seed,
            minutes,
            without,
            trace,
        } => {
            if trace {
                let parts = [without.clone(), vec!["trace".to_owned()]].concat();
                let scenario = Scenario::of(seed).without(&parts);
                println!("{scenario:#?}");
                let outcome = run(&scenario);
                println!("{:#?}", outcome.violations);
                outcome.violations.len()
            } else {
                campaign(seed, seeds, minutes, &without).print(&without)
            }
        }
    };
    if violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One seed with a planted bug, with everything that happens.
fn trace_mutant(only: Option<&str>, seed: u64) -> usize {
    let chosen = MUTANTS.iter().find(|m| only.is_none_or(|only| m.name.contains(only)));
    let Some(mutant) = chosen else {
        eprintln!("no such bug");
        return 1;
    };
    let scenario = Scenario {
        trace: true,
        ..mutant.scenario(seed)
    };
    println!("{}: {scenario:#?}", mutant.name);
    let outcome = run(&scenario);
    println!("{:#?}", outcome.violations);
    outcome.violations.len()
}

/// One place of a sweep, with everything that happens.
fn trace_crash(only: Option<&str>, at: &str) -> usize {
    let mut parts = at.split(':');
    let (place, number, kind) = (parts.next(), parts.next(), parts.next());
    let number = number.and_then(|n| n.parse().ok()).unwrap_or(1);
    let place = if place == Some("commit") {
        Place::Commit(number)
    } else {
        Place::Call(number)
    };
    let kind = FaultKind::ALL.iter().find(|k| Some(format!("{k:?}").as_str()) == kind);
    let story = references()
        .into_iter()
        .find(|(name, _)| only.is_none_or(|only| name.starts_with(only)));
    let (Some(kind), Some((_, scenario))) = (kind, story) else {
        eprintln!("no such place or story");
        return 1;
    };
    let outcome = run(&Scenario {
        exact: Some((place, *kind)),
        trace: true,
        ..scenario
    });
    println!("{:#?}", outcome.violations);
    outcome.violations.len()
}
