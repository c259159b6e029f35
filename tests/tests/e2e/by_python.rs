//! What somebody does who comes from Python: installs the wheel into an empty environment, and runs the first page's script with two names of
//! `clouds.yaml`.

use super::Run;
use anyhow::{Context, Result, ensure};
use ns_tests::{Everything, SiteName};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What the first page leaves: a protected group. Its end takes the copies away.
const END: &str = r#"
import neverstop

with neverstop.connect("sqlite:///dr.db") as dr:
    for plan in dr.plans.list():
        dr.plans.delete(plan).wait(check=True)
    for group in dr.protection_groups.list():
        dr.protection_groups.delete(group)
"#;

/// JOB-05, CL-08: a drill of everything that runs on A, of which nothing stays.
pub(super) async fn drill(run: &Run, instances: &[String]) -> Result<()> {
    let before = run.everything().await?;
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("ns-py");
    let folder = run.program.folder().join("python");
    std::fs::create_dir(&folder)?;
    let environment = folder.join("environment");
    said(Command::new(package.join("install.sh")).arg(&environment)).await?;
    run.say("the wheel is installed");
    let of = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(environment.join("bin").join(program));
        command
            .args(arguments)
            .current_dir(&folder)
            .env("OS_CLIENT_CONFIG_FILE", run.lab.clouds_yaml())
            .env("NEVERSTOP_STORE", "sqlite:///dr.db");
        command
    };
    let example = package.join("examples/drill.py");
    let example = example.to_str().context("a path of no text")?;
    let (source, target) = (run.lab.cloud_name(SiteName::A), run.lab.cloud_name(SiteName::B));
    let told = said(&mut of("python", &[example, &source, &target])).await?;
    run.say(&format!("the first page's script:\n{told}"));
    for instance in instances {
        let line = format!("instance {instance}: success");
        ensure!(told.contains(&line), "the report does not say {line}");
    }
    let told = said(&mut of("neverstop", &["plan", "check", "shop"])).await?;
    run.say(&format!("the command line: {told}"));
    ensure!(told.contains("plan is normal"), "the plan is not normal");
    said(&mut of("python", &["-c", END])).await?;
    // It is as large as all the rest.
    std::fs::remove_dir_all(&environment)?;
    run.as_before_but(&before, "a drill by Python", Everything::flattened)
        .await
}

/// Runs it to its end; what it printed.
async fn said(command: &mut Command) -> Result<String> {
    let limit = Duration::from_secs(1200);
    let running = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, running.output()).await??;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?}: {}\n{told}", output.status);
    Ok(told)
}
