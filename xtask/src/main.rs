//! The one menu of the repository: `cargo xtask ci | lab | e2e | cycle | sim | crash | mutants | fuzz | takeover | trace`.
//!
//! Lives here: what a developer or CI runs, and the lab the tests run against. Not here: anything the product
//! ships; nothing in the workspace depends on this package.
mod ci;
mod fuzz;
mod lab;
mod takeover;
mod trace;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Build, test and lab menu of NeverStop",
    disable_version_flag = true
)]
struct Menu {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run every check in order (or only the named steps)
    Ci {
        /// Steps to run alone, for example `fmt clippy`; all of them when none is named
        #[arg(value_enum)]
        steps: Vec<ci::Step>,
    },
    /// The lab: two Ceph clusters mirroring to each other under two OpenStack clouds, on this machine
    #[command(subcommand)]
    Lab(lab::Verb),
    /// Run an end-to-end scenario against the running lab; wants a fresh one
    E2e {
        /// Which
        #[arg(value_enum, default_value_t)]
        scenario: ci::Scenario,
    },
    /// Fail the lab's real guest over and back, again and again; wants a fresh lab
    Cycle {
        /// How often
        #[arg(long, default_value_t = 5)]
        count: u32,
        /// How often the engine's process is killed on the way
        #[arg(long, default_value_t = 20)]
        kills: u32,
        /// Which to begin with: 1 is planned, 2 loses site A by a kill, 3 by a freeze, 4 by a cut; then from the start
        #[arg(long, default_value_t = 1)]
        first: u32,
    },
    /// Run seeds of the simulator; the last line is the account. The same seed always gives the same run
    Sim {
        /// Arguments of the simulator: --seeds N [--seed S] [--minutes M] [--without PARTS] [--trace]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Let something go wrong at every commit and every call of reference stories; the last line is the account
    Crash {
        /// Arguments of the simulator: [--only STORY]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Plant bugs in the engine and see whether the simulator notices; the last line is the account
    Mutants {
        /// Arguments of the simulator: [--only NAME] [--seeds N]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Feed the readers of what comes from outside with made-up bytes; the last line is the account
    Fuzz(fuzz::Options),
    /// Several engines on one PostgreSQL: the owner of a job is killed or stopped again and again
    Takeover {
        /// How many takeovers
        #[arg(long, default_value_t = 200)]
        count: u32,
        /// What the choices follow from; the moments depend on the machine, too
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The requirements of the rule book, and which tests carry each; the last line is the account
    Trace(trace::Options),
}

fn main() -> ExitCode {
    let done: Result<()> = match Menu::parse().verb {
        Verb::Ci { steps } => ci::run(&steps),
        Verb::Lab(verb) => lab::run(&verb),
        Verb::E2e { scenario } => ci::e2e(scenario),
        Verb::Cycle { count, kills, first } => ci::cycle(count, kills, first),
        Verb::Sim { args } => ci::simulator("sim", &args),
        Verb::Crash { args } => ci::simulator("crash", &args),
        Verb::Mutants { args } => ci::simulator("mutants", &args),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Takeover { count, seed } => takeover::run(count, seed),
        Verb::Trace(options) => trace::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
