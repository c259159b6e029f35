//! `cargo xtask fuzz`: the readers of what comes from outside, fed with bytes that libFuzzer makes up of the tests' own
//! fixtures. Whatever the bytes are, a reader may neither panic, nor take long, nor want much memory or stack.
//!
//! Lives here: which targets there are, what each begins with, how they are built and run. What a target does is in the
//! package `fuzz`, which is no member of the workspace: it is built with coverage, dependencies and all, which the stable
//! compiler does when asked in its own words instead of `-Zsanitizer`.

use crate::ci::{command, repository, target_dir};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What `cargo fuzz` has rustc do for coverage.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Longest input, in bytes: what is worse than linear shows well before.
const INPUT_MAX: usize = 64 << 10;
/// How long one input may take, in seconds; a thousand times what the slowest good one takes.
const INPUT_SECONDS: u32 = 10;
/// What a target and all it has learnt may take, in MiB. What one input may take is bounded in the target itself.
const MEMORY_MIB: u32 = 1024;
/// A thread of the engine's runtime has no more stack than this, in KiB; a main thread would have four times as much.
const STACK_KIB: u32 = 2048;

/// One target and what it begins with.
struct Target {
    name: &'static str,
    seeds: Option<Seeds>,
}

/// The files with an ending in the folders of a name anywhere in a package, and what of such a file is one input.
struct Seeds {
    package: &'static str,
    folder: &'static str,
    ending: &'static str,
    inputs: fn(&str) -> Vec<String>,
}

const TARGETS: [Target; 11] = [
    target("openstack", "ns-openstack", "testdata", "json", whole),
    target("oslo", "ns-openstack", "fixtures", "json", messages),
    // Frames are short, and the target makes whole ones of anything.
    Target {
        name: "amqp",
        seeds: None,
    },
    target("clouds_yaml", "ns-openstack", "testdata", "yaml", whole),
    target("rbd_json", "ns-ceph", "testdata", "json", whole),
    target("rbd_text", "ns-ceph", "testdata", "txt", whole),
    target("journal", "ns-core", "journals", "jsonl", entries),
    target("documents", "ns-core", "documents", "jsonl", bodies),
    target("license", "ns-core", "documents", "jsonl", license_keys),
    target("settings", "ns-core", "documents", "jsonl", changed_settings),
    target("schedule", "ns-core", "documents", "jsonl", timetables),
];

const fn target(
    name: &'static str,
    package: &'static str,
    folder: &'static str,
    ending: &'static str,
    inputs: fn(&str) -> Vec<String>,
) -> Target {
    let seeds = Some(Seeds {
        package,
        folder,
        ending,
        inputs,
    });
    Target { name, seeds }
}

/// A file as it is, as far as its last line that still fits.
fn whole(file: &str) -> Vec<String> {
    let fits = file.floor_char_boundary(INPUT_MAX);
    let end = if fits == file.len() {
        fits
    } else {
        file[..fits].rfind('\n').unwrap_or(fits)
    };
    vec![file[..end].to_owned()]
}

/// The beginning of a journal as it is stored, and its entries, a few at a time behind the job's creation: a whole journal is
/// so long that little could be tried with it.
fn entries(file: &str) -> Vec<String> {
    let lines: Vec<&str> = file.lines().collect();
    let entries: Vec<String> = lines
        .iter()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["body"].as_str()?.to_owned()))
        .collect();
    let Some((created, rest)) = entries.split_first() else {
        return Vec::new();
    };
    let few = rest.chunks(4).map(|few| format!("{created}\n{}", few.join("\n")));
    let begun = lines.iter().take(2).copied().collect::<Vec<_>>().join("\n");
    few.chain([begun]).collect()
}

/// The documents in the lines of a file of the corpus.
fn bodies(file: &str) -> Vec<String> {
    parsed(file).map(|body| body.to_string()).collect()
}

fn parsed(file: &str) -> impl Iterator<Item = Value> {
    let lines = file.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.map(|mut line| line["body"].take())
}

/// The licence keys in a file of the corpus.
fn license_keys(file: &str) -> Vec<String> {
    parsed(file)
        .filter_map(|body| Some(body["key"].as_str()?.to_owned()))
        .collect()
}

/// The settings that were changed, in a file of the corpus.
fn changed_settings(file: &str) -> Vec<String> {
    let changed = parsed(file).filter(|body| body["values"].is_object());
    changed.map(|body| body["values"].to_string()).collect()
}

/// The timetables in a file of the corpus.
fn timetables(file: &str) -> Vec<String> {
    let scheduled = parsed(file).filter(|body| body["timetable"].is_object());
    scheduled.map(|body| body["timetable"].to_string()).collect()
}

/// The messages that a file of notifications was abridged from: routing key, event and payload.
fn messages(file: &str) -> Vec<String> {
    let seen: Vec<Vec<Value>> = serde_json::from_str(file).unwrap_or_default();
    let message = |n: &Vec<Value>| match &n[..] {
        [key, event, payload, ..] => Some(json!({
            "message_id": "m-1", "timestamp": "2026-11-21 19:39:07.398668", "event_type": event, "payload": payload,
            "priority": key.as_str()?.rsplit('.').next()?.to_uppercase(),
        })),
        _ => None,
    };
    seen.iter()
        .filter_map(message)
        .map(|message| message.to_string())
        .collect()
}

/// What to run, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// One target alone
    #[arg(long)]
    only: Option<String>,
}

/// Builds the targets and runs each.
pub(crate) fn run(options: &Options) -> Result<()> {
    let chosen = TARGETS
        .iter()
        .filter(|t| options.only.as_deref().is_none_or(|only| only == t.name));
    let chosen: Vec<_> = chosen.collect();
    let names = TARGETS.map(|target| target.name).join(", ");
    ensure!(!chosen.is_empty(), "there is no such target; there are {names}");
    let folder = target_dir()?.join("fuzz");
    let programs = build(&folder)?;
    let (mut executions, mut crashes) = (0, Vec::new());
    for target in &chosen {
        let end = target.run(&programs.join(target.name), &folder, options.seconds)?;
        println!(
            "{:12} {:>10} executions{}",
            target.name,
            end.executions,
            if end.crash.is_some() { ", CRASHED" } else { "" }
        );
        executions += end.executions;
        crashes.extend(end.crash);
    }
    for crash in &crashes {
        println!("\n{crash}");
    }
    println!(
        "fuzz: {} targets, {executions} executions, {} crashes",
        chosen.len(),
        crashes.len()
    );
    ensure!(crashes.is_empty(), "a reader could not bear an input");
    Ok(())
}

/// Builds every target, and gives the folder they are in.
fn build(folder: &Path) -> Result<PathBuf> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let there = Command::new(&compiler)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        let compiler = compiler.display();
        bail!(
            "libFuzzer is built from its source and needs a C++ compiler, and there is no {compiler}: install g++, or name one in CXX"
        );
    }
    let rustc = Command::new("rustc").arg("-vV").output().context("start rustc")?;
    let rustc = String::from_utf8(rustc.stdout).context("read rustc -vV")?;
    let host = rustc
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names no host")?;
    command(Path::new("cargo"), |cargo| {
        let build = [
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--manifest-path",
            "fuzz/Cargo.toml",
        ];
        // With the target named, build scripts and macros are built without coverage, which they could not be linked with.
        cargo
            .args(build)
            .args(["--target", host, "--target-dir"])
            .arg(folder)
            .env("RUSTFLAGS", COVERAGE)
    })?;
    Ok(folder.join(host).join("release"))
}

/// How a target ended.
struct End {
    executions: u64,
    /// What happened, where the input is and how to run it again.
    crash: Option<String>,
}

impl Target {
    fn run(&self, program: &Path, folder: &Path, seconds: u32) -> Result<End> {
        let (corpus, found) = (
            folder.join("corpus").join(self.name),
            folder.join("found").join(self.name),
        );
        fs::create_dir_all(&found)?;
        self.plant(&corpus)?;
        let mut fuzzer = limited(program);
        fuzzer.arg(format!("-max_total_time={seconds}"));
        fuzzer.arg(format!("-max_len={INPUT_MAX}"));
        fuzzer.arg(format!("-artifact_prefix={}/", found.display()));
        fuzzer.arg("-print_final_stats=1").arg(&corpus);
        let log = found.join("log");
        let status = fuzzer.stdout(Stdio::null()).stderr(fs::File::create(&log)?).status();
        let status = status.with_context(|| format!("start {}", program.display()))?;
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let count = |line: &str| {
            line.strip_prefix("stat::number_of_executed_units:")?
                .trim()
                .parse()
                .ok()
        };
        let executions: Option<u64> = said.lines().rev().find_map(count);
        let crash = (!status.success()).then(|| self.tell(&said, program, &log));
        // Nothing run is nothing tested.
        ensure!(
            crash.is_some() || executions.is_some_and(|n| n > 0),
            "{} ran nothing, see {}",
            self.name,
            log.display()
        );
        Ok(End {
            executions: executions.unwrap_or(0),
            crash,
        })
    }

    /// Puts the first inputs into the corpus; what earlier runs found interesting stays there.
    fn plant(&self, corpus: &Path) -> Result<()> {
        fs::create_dir_all(corpus)?;
        let Some(seeds) = &self.seeds else { return Ok(()) };
        let mut count = 0;
        for file in files(&repository()?.join(seeds.package))? {
            let within = file.parent().and_then(Path::file_name) == Some(OsStr::new(seeds.folder));
            if !within || file.extension() != Some(OsStr::new(seeds.ending)) {
                continue;
            }
            let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            for input in (seeds.inputs)(&text) {
                fs::write(corpus.join(format!("seed-{count}")), input)?;
                count += 1;
            }
        }
        ensure!(count > 0, "{} has nothing to begin with", self.name);
        Ok(())
    }

    /// What happened, where the input is, and how to run it again.
    fn tell(&self, said: &str, program: &Path, log: &Path) -> String {
        let written = said
            .lines()
            .rev()
            .find_map(|line| Some(line.split_once("Test unit written to ")?.1));
        let why = |line: &&str| {
            line.contains("panicked at") || line.contains("memory allocation") || line.contains("ERROR: libFuzzer")
        };
        let why = said.lines().find(why).unwrap_or("it ended without a word");
        let replay = match written {
            Some(input) => format!("  input:  {input}\n  replay: {:?} {input}", limited(program)),
            None => "  the input was not kept: it is in the corpus, or the last mutation of one".to_owned(),
        };
        format!("{}: {why}\n{replay}\n  log:    {}", self.name, log.display())
    }
}

/// The program with its limits, which hold for a replay as well.
fn limited(program: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -s {STACK_KIB} && exec \"$0\" \"$@\"")])
        .arg(program);
    shell
        .arg(format!("-timeout={INPUT_SECONDS}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    shell
}

/// Every file below a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
