//! A week of simulated operation in seconds: two clouds, five protection groups of 40 instances, people of all four roles, drills,
//! changes of both clouds, a disaster and the way home. Prints what people did, the events and what was measured, and writes the
//! reports into the folder that is named, or one of the machine's.

use anyhow::{Context, Result};
use std::path::PathBuf;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("neverstop-week"));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // A thread of its own for simulated time; what waits for the network is not there, which makes each of its steps cheap.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(ns_examples::week::week(&folder, &mut std::io::stdout()))?;
    println!("\nThe reports are in {}", folder.display());
    Ok(())
}
