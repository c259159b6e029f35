//! Running a command to its end, and waiting for a condition: both with a deadline, both with an error that says what
//! happened.
use anyhow::{Context, Result, anyhow, bail};
use std::{
    fmt,
    io::{Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained about.
    pub(crate) stderr: String,
}

/// Runs `command`; anything but exit code 0 within `deadline` is an error with the end of what it printed.
pub(crate) fn run(command: &mut Command, deadline: Duration) -> Result<Output> {
    run_with_input(command, &[], deadline)
}

/// As [`run`], with `input` on the command's standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &[u8], deadline: Duration) -> Result<Output> {
    let output = output(command, input, deadline)?;
    if !output.status.success() {
        let said = if output.stderr.trim().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        bail!("{}: {}: {}", line(command), ended(output.status), tail(said));
    }
    Ok(output)
}

/// As [`run_with_input`], but every exit code is an answer; only not starting and not ending are errors.
pub(crate) fn output(command: &mut Command, input: &[u8], deadline: Duration) -> Result<Output> {
    let begun = Instant::now();
    // a group of its own, so that at the deadline its children go too
    let mut child = command
        .process_group(0)
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", line(command)))?;
    let stdin = child.stdin.take();
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("{}: no pipes", line(command));
    };
    let ended = thread::scope(|scope| {
        let out = scope.spawn(move || read_all(stdout));
        let err = scope.spawn(move || read_all(stderr));
        if let Some(mut pipe) = stdin {
            // a command that ends without reading all of its input is not an error: its exit code tells
            scope.spawn(move || drop(pipe.write_all(input)));
        }
        let mut pause = Duration::from_millis(2);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(Some(status)),
                Ok(None) if begun.elapsed() >= deadline => {
                    super::procfs::signal_group(child.id(), libc::SIGKILL);
                    break child.wait().map(|_| None);
                }
                Ok(None) => thread::sleep(pause),
                Err(error) => break Err(error),
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        };
        let joined = |handle: thread::ScopedJoinHandle<'_, String>| handle.join().unwrap_or_default();
        (status, joined(out), joined(err))
    });
    match ended {
        (Ok(Some(status)), stdout, stderr) => Ok(Output { status, stdout, stderr }),
        (Ok(None), _, stderr) => {
            bail!(
                "{}: not done after {} s: {}",
                line(command),
                deadline.as_secs(),
                tail(&stderr)
            )
        }
        (Err(error), ..) => Err(error).with_context(|| line(command)),
    }
}

/// There is nothing to wait for any more: the error that ends [`wait_until`] before its deadline.
#[derive(Debug)]
pub(crate) struct Hopeless(pub(crate) String);

impl fmt::Display for Hopeless {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Hopeless {}

/// Asks `done` until it says `Some`, at first often, then twice a second. An error only means "not yet", unless it is
/// [`Hopeless`]; at the deadline the error names `what` and the last reason.
pub(crate) fn wait_until<T>(what: &str, deadline: Duration, mut done: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(20);
    loop {
        let last = match done() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) if error.is::<Hopeless>() => return Err(error.context(format!("wait for {what}"))),
            Err(error) => Some(error),
        };
        if begun.elapsed() >= deadline {
            let late = anyhow!("waited {} s for {what}", deadline.as_secs());
            return Err(last.map_or(late, |error| {
                error.context(format!("waited {} s for {what}", deadline.as_secs()))
            }));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

fn read_all(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // a broken pipe ends the text, nothing more
    drop(from.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Program and arguments, for messages. Secrets do not travel in arguments here: they go in files or on stdin.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_says_how_a_command_failed() {
        let error = run(
            Command::new("sh").args(["-c", "echo no space >&2; exit 3"]),
            Duration::from_secs(5),
        );
        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains("exit 3") && text.contains("no space"), "{text}");
    }

    #[test]
    fn run_ends_at_its_deadline_with_its_children() {
        let begun = Instant::now();
        let error = run(
            Command::new("sh").args(["-c", "sleep 60 & sleep 60"]),
            Duration::from_millis(200),
        );
        assert!(format!("{:#}", error.unwrap_err()).contains("not done"));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn wait_until_names_what_it_waited_for_and_why() {
        let error = wait_until::<()>("rain", Duration::from_millis(50), || bail!("dry"));
        let text = format!("{:#}", error.unwrap_err());
        assert!(text.contains("rain") && text.contains("dry"), "{text}");
    }

    #[test]
    fn a_hopeless_wait_ends_at_once() {
        let begun = Instant::now();
        let error = wait_until::<()>("it", Duration::from_secs(60), || bail!(Hopeless("it died".into())));
        assert!(format!("{:#}", error.unwrap_err()).contains("it died"));
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn input_reaches_the_command() {
        let output = run_with_input(&mut Command::new("cat"), b"over here", Duration::from_secs(5)).unwrap();
        assert_eq!(output.stdout, "over here");
    }
}
