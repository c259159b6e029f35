//! `cargo xtask ci`: every check in order, each with a heading and its time, a table in the end. The same list runs on a
//! developer's machine and in CI; a step can be run alone by its name.
use crate::{
    lab::{self, state::State},
    takeover, trace,
};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The fuzz targets' own package.
const FUZZ: &str = "fuzz/Cargo.toml";
/// Pinned: another version may know other rules.
const CARGO_DENY: &str = "0.20.2";

/// How many takeovers a whole run does; `cargo xtask takeover` does as many as it is told.
const TAKEOVERS: u32 = 20;

/// One check; the order here is the order they run in, the quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Formatting
    Fmt,
    /// No test names a requirement that is not there
    Trace,
    /// Lints, warnings are errors
    Clippy,
    /// Tests of every package, without the lab
    Test,
    /// Documentation, warnings are errors
    Doc,
    /// Forbidden crates, licences, sources
    Deny,
    /// The quickstart runs
    Examples,
    /// The Python package: wheel, tests, types
    Python,
    /// Bring the lab up
    LabUp,
    /// Tests against the lab
    LabTests,
    /// Take the lab down
    LabDown,
}

impl Step {
    /// Runs it.
    fn run(self) -> Result<()> {
        match self {
            Self::Fmt => {
                cargo(&["fmt", "--all", "--check"], &[])?;
                // The fuzz targets are no members of the workspace, and would be forgotten.
                cargo(&["fmt", "--manifest-path", FUZZ, "--check"], &[])?;
                command(Path::new("cargo"), |cargo| {
                    let locked = [
                        "metadata",
                        "--quiet",
                        "--locked",
                        "--format-version",
                        "1",
                        "--manifest-path",
                        FUZZ,
                    ];
                    cargo.args(locked).stdout(Stdio::null())
                })
            }
            Self::Trace => trace::check(),
            Self::Clippy => {
                let args = [
                    "--workspace",
                    "--all-targets",
                    "--all-features",
                    "--locked",
                    "--",
                    "-D",
                    "warnings",
                ];
                cargo(&[&["clippy"], &args[..]].concat(), &[])
            }
            // Without the feature `lab`: those tests have a step of their own, when the lab is up.
            Self::Test => cargo(&["test", "--workspace", "--locked"], &[no_frames()]),
            Self::Doc => {
                let args = ["doc", "--no-deps", "--workspace", "--all-features", "--locked"];
                cargo(&args, &[("RUSTDOCFLAGS", OsStr::new("-D warnings"))])
            }
            Self::Deny => deny(),
            // As the README says; with `-p` the packages would be built anew with fewer features.
            Self::Examples => cargo(&["run", "--locked", "--example", "quickstart"], &[]),
            Self::Python => python(),
            // The end-to-end test loses site A for good and so wants a lab that nobody has used.
            Self::LabUp => lab::run(&lab::Verb::Purge).and_then(|()| lab::run(&lab::Verb::Up { only: None })),
            Self::LabTests => {
                let alone = ["lab_ceph", "lab_openstack", "lab_sync", "notices", "lab_ceph_outage"];
                let alone = alone.map(|test| ["--test", test]).concat();
                let others = [
                    lab_tests(&[&["--no-fail-fast"], &alone[..]].concat(), 1),
                    // These mostly wait for mirror daemons, each for images of its own.
                    lab_tests(
                        &[
                            "--no-fail-fast",
                            "--test",
                            "lab_ceph_surprises",
                            "--test",
                            "lab_ceph_orphans",
                        ],
                        2,
                    ),
                ];
                let others: Result<()> = others.into_iter().collect();
                // What a failed test left is no fault of the life's, which wants both sites as they were.
                if others.is_err() {
                    Self::LabUp.run()?;
                }
                // Needs no cloud, but a database server from the packages, as the lab does.
                others
                    .and(e2e(Scenario::Life))
                    .and_then(|()| takeover::run(TAKEOVERS, 1))
            }
            Self::LabDown => lab::run(&lab::Verb::Down),
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// How a step ended.
enum End {
    Passed(Duration),
    Failed(Duration, anyhow::Error),
    Skipped,
}

/// Runs the named steps, or all of them. Stops at the first failure, but takes down a lab that it brought up.
pub(crate) fn run(named: &[Step]) -> Result<()> {
    let begun = Instant::now();
    let steps = if named.is_empty() {
        Step::value_variants()
    } else {
        named
    };
    let mut ends: Vec<(Step, End)> = Vec::new();
    for &step in steps {
        let failed = ends.iter().any(|(_, end)| matches!(end, End::Failed(..)));
        let lab_was_up = ends
            .iter()
            .any(|(done, end)| *done == Step::LabUp && !matches!(end, End::Skipped));
        if failed && !(step == Step::LabDown && lab_was_up) {
            ends.push((step, End::Skipped));
            continue;
        }
        println!("\n=== {}", step.name());
        let started = Instant::now();
        let result = step.run();
        let took = started.elapsed();
        if let Err(error) = &result {
            println!("--- {}: {error:#}", step.name());
        }
        ends.push((
            step,
            result.map_or_else(|error| End::Failed(took, error), |()| End::Passed(took)),
        ));
    }
    println!("\n{:12} {:>8}", "step", "seconds");
    for (step, end) in &ends {
        let (word, took) = match end {
            End::Passed(took) => ("passed", Some(took)),
            End::Failed(took, _) => ("FAILED", Some(took)),
            End::Skipped => ("skipped", None),
        };
        let seconds = took.map_or_else(|| "-".to_owned(), |took| format!("{:.1}", took.as_secs_f64()));
        println!("{:12} {seconds:>8}  {word}", step.name());
    }
    println!("{:12} {:>8.1}", "all", begun.elapsed().as_secs_f64());
    let failed = ends.into_iter().find_map(|(step, end)| match end {
        End::Failed(_, error) => Some(error.context(step.name())),
        End::Passed(_) | End::Skipped => None,
    });
    failed.map_or(Ok(()), Err)
}

/// What can be played from end to end in the lab.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// The whole life: drill, planned failover, rollback, disaster, confirm; with kills
    #[default]
    Life,
    /// Everything at the source is deleted, and two recovery points are recovered
    Ransom,
}

/// Plays a scenario against the running lab.
pub(crate) fn e2e(scenario: Scenario) -> Result<()> {
    let test = match scenario {
        Scenario::Life => "e2e",
        Scenario::Ransom => "e2e_ransom",
    };
    lab_tests(&["--test", test], 1)
}

/// Fails over and back against the running lab.
pub(crate) fn cycle(count: u32, kills: u32, first: u32) -> Result<()> {
    lab_tests_with(
        &["--test", "cycle"],
        1,
        &[
            ("NEVERSTOP_CYCLES", count.to_string()),
            ("NEVERSTOP_KILLS", kills.to_string()),
            ("NEVERSTOP_FIRST", first.to_string()),
        ],
    )
}

/// Runs the simulator; optimised, because the number of seeds is what counts.
pub(crate) fn simulator(verb: &str, args: &[String]) -> Result<()> {
    let run = [
        "run",
        "--release",
        "--locked",
        "--quiet",
        "-p",
        "ns-simulator",
        "--",
        verb,
    ];
    let args = run.into_iter().chain(args.iter().map(String::as_str));
    cargo(&args.collect::<Vec<_>>(), &[])
}

/// Of a failed test the last thing said is what failed: a page of frames after it would be all that the end of a log shows.
fn no_frames() -> (&'static str, &'static OsStr) {
    ("RUST_BACKTRACE", OsStr::new("0"))
}

/// Tests against the lab, so many at a time: they share the lab's two clouds.
fn lab_tests(which: &[&str], at_a_time: usize) -> Result<()> {
    lab_tests_with(which, at_a_time, &[])
}

fn lab_tests_with(which: &[&str], at_a_time: usize, settings: &[(&str, String)]) -> Result<()> {
    let state = State::from_env()?;
    // The whole workspace, as the other tests: with one package its dependencies are built anew with fewer features.
    let args = ["test", "--locked", "--workspace", "--features", "ns-tests/lab"];
    // What they say on their way is their account of what happened: times, case counts, kill points.
    let threads = format!("--test-threads={at_a_time}");
    let how = ["--", &threads, "--nocapture"];
    let mut env = vec![no_frames(), ("NEVERSTOP_LAB", state.root().as_os_str())];
    env.extend(settings.iter().map(|(name, value)| (*name, OsStr::new(value))));
    cargo(&[&args[..], which, &how].concat(), &env)
}

/// Advisories are not asked for: they change without a change here, and need the network.
fn deny() -> Result<()> {
    let root = target_dir()?.join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin").join("cargo-deny");
    if !program.exists() {
        let install = [
            "install",
            "--quiet",
            "--locked",
            "cargo-deny",
            "--version",
            CARGO_DENY,
            "--root",
        ];
        command(Path::new("cargo"), |cargo| cargo.args(install).arg(&root))?;
    }
    let check = [
        "--workspace",
        "--all-features",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ];
    command(&program, |deny| deny.args(check))
}

/// The package is checked from outside, in an environment of its own.
fn python() -> Result<()> {
    command(&repository()?.join("ns-py").join("check.sh"), |check| check)
}

pub(crate) fn target_dir() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    Ok(metadata["target_directory"]
        .as_str()
        .context("no target directory in cargo metadata")?
        .into())
}

pub(crate) fn cargo(args: &[&str], env: &[(&str, &OsStr)]) -> Result<()> {
    command(Path::new("cargo"), |cargo| cargo.args(args).envs(env.iter().copied()))
}

/// Runs a program with our own output, in the repository's root.
pub(crate) fn command(program: &Path, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<()> {
    let mut command = Command::new(program);
    // a step alone must behave as in the whole run, whatever the caller's shell has set
    arguments(command.env_remove("NEVERSTOP_LAB").current_dir(repository()?));
    let status = command
        .status()
        .with_context(|| format!("start {}", program.display()))?;
    if !status.success() {
        bail!("{} {status}", program.display());
    }
    Ok(())
}

/// Cargo tells a program it runs where its package is; ours lies in the repository's root.
pub(crate) fn repository() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    Ok(Path::new(&package)
        .parent()
        .context("the package has no parent folder")?
        .to_owned())
}
