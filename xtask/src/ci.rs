//! `cargo xtask ci`: the checks, in order.
use anyhow::{Result, bail};
use std::process::Command;

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Step {
    /// Formatting
    Fmt,
}

/// Runs the named steps, or all of them.
pub(crate) fn run(_steps: &[Step]) -> Result<()> {
    cargo(&["fmt", "--all", "--check"])
}

/// Runs the end-to-end scenarios against the running lab.
pub(crate) fn e2e() -> Result<()> {
    cargo(&["test", "-p", "ns-tests", "--test", "e2e"])
}

fn cargo(args: &[&str]) -> Result<()> {
    let status = Command::new("cargo").args(args).status()?;
    if !status.success() {
        bail!("cargo {} failed: {status}", args.join(" "));
    }
    Ok(())
}
