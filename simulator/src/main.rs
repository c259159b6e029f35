//! `cargo xtask sim | crash | mutants`: the commands.

use clap::{Parser, Subcommand};
use ns_simulator::campaign::campaign;
use ns_simulator::run::run;
use ns_simulator::story::Scenario;
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
        /// Parts to leave out of every scenario: f0 is the first fault, s0 the first step
        #[arg(long, value_delimiter = ',')]
        without: Vec<String>,
        /// Print everything that happens; for one seed
        #[arg(long)]
        trace: bool,
    },
}

fn main() -> ExitCode {
    let violations = match Menu::parse().verb {
        Verb::Sim {
            seeds,
            seed,
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
                campaign(seed, seeds, &without).print(&without)
            }
        }
    };
    if violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
