//! One child process: bounded in number, in time and in output, killed when its caller goes away.
//!
//! Arguments are a list and never pass through a shell; secrets reach a command by file or standard input, never by
//! argument or environment. Nothing here knows what the commands mean.

use crate::outcome::{Done, lost, words};
use ns_core::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// What a call may do to the cluster: decides what its silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Looks.
    Read,
    /// Changes something and is over in seconds.
    Change,
    /// Moves data, for as long as it takes.
    Copy,
}

/// One call of a program.
#[derive(Debug)]
pub(crate) struct Call {
    /// In a few words, for errors and traces.
    pub(crate) what: String,
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) effect: Effect,
    pub(crate) deadline: Duration,
    /// Written to its standard input.
    pub(crate) input: Option<Input>,
    pub(crate) plain_exit: bool,
    pub(crate) output: Output,
}

/// What becomes of what a command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// It is kept.
    Whole,
    /// Nobody reads it: the command may leave a daemon behind that keeps its output open for ever.
    Unheard,
    /// However much it is, only its length and its digest (SHA-256) are kept: `LENGTH DIGEST`.
    Digest,
}

/// Bytes for standard input; may be secret.
pub(crate) struct Input(pub(crate) Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// More than any listing needs; what is beyond it is an error, not memory.
const MOST_OUTPUT: u64 = 256 << 20;
/// The words of a command; only the last lines are kept.
const MOST_WORDS: usize = 64 << 10;

/// Runs calls, a bounded number at a time.
#[derive(Debug)]
pub(crate) struct Runner {
    slots: Semaphore,
}

impl Runner {
    pub(crate) fn new(parallel: usize) -> Self {
        Self {
            slots: Semaphore::new(parallel),
        }
    }

    /// Runs a call to its end. A failed command is a [`Done`]; an error is a command that could not be run, did not end in
    /// time (killed: `Timeout` for a change, whose outcome is unknown, `Unavailable` for a read) or said too much.
    ///
    /// **Cancellation**: dropping the future kills the child.
    pub(crate) async fn run(&self, call: Call) -> Result<Done> {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|_| internal("the runner is closed"))?;
        let started = Instant::now();
        let result = match tokio::time::timeout(call.deadline, spawn(&call)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                lost(call.effect),
                "ceph.deadline",
                format!(
                    "{}: not finished after {} s; the command was killed",
                    call.what,
                    call.deadline.as_secs()
                ),
            )),
        };
        let code = result.as_ref().ok().and_then(|d| d.code);
        tracing::debug!(
            what = call.what,
            code,
            ms = started.elapsed().as_millis(),
            "ceph command"
        );
        result
    }
}

async fn spawn(call: &Call) -> Result<Done> {
    let pipe = || match call.output {
        Output::Unheard => Stdio::null(),
        Output::Whole | Output::Digest => Stdio::piped(),
    };
    let mut child = Command::new(&call.program)
        .args(&call.args)
        // Times come in local time without a zone; options could come from outside.
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .env_remove("CEPH_ARGS")
        .env_remove("CEPH_CONF")
        .env_remove("CEPH_KEYRING")
        .stdin(if call.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(pipe())
        .stderr(pipe())
        // A terminal's Ctrl-C is for the engine, which ends its calls in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| cannot_run(&call.program, e))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut pipe), Some(input)) = (stdin, &call.input) {
            // A command that ends without reading closes the pipe; its exit code says why.
            let _closed_early = pipe.write_all(&input.0).await;
        }
    };
    let said = async {
        match call.output {
            Output::Digest => read_digest(stdout).await,
            Output::Whole | Output::Unheard => read_whole(stdout).await,
        }
    };
    let (_, stdout, stderr, status) = tokio::join!(feed, said, read_tail(stderr), async { child.wait().await });
    let broken = |e: std::io::Error| internal("the command's pipes broke").with_source(e);
    Ok(Done {
        what: call.what.clone(),
        effect: call.effect,
        code: status.map_err(broken)?.code(),
        stdout: stdout.map_err(broken)?,
        stderr: words(&stderr.map_err(broken)?),
        plain_exit: call.plain_exit,
    })
}

async fn read_whole(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MOST_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > MOST_OUTPUT {
        return Err(std::io::Error::other("more output than expected"));
    }
    Ok(bytes)
}

async fn read_digest(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let (mut hash, mut length, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 20]);
    if let Some(mut pipe) = pipe {
        loop {
            let n = pipe.read(&mut buffer).await?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            length += n as u64;
        }
    }
    let digest: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("{length} {digest}").into_bytes())
}

async fn read_tail(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let (mut tail, mut buffer) = (Vec::new(), vec![0; 8192]);
    let Some(mut pipe) = pipe else { return Ok(tail) };
    loop {
        let n = pipe.read(&mut buffer).await?;
        if n == 0 {
            return Ok(tail);
        }
        tail.extend_from_slice(&buffer[..n]);
        if tail.len() > MOST_WORDS {
            tail.drain(..tail.len() - MOST_WORDS / 2);
        }
    }
}

fn cannot_run(program: &OsStr, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Internal, "ceph.no_command", "the command cannot be run")
        .with("program", program.display())
        .with_remedy("install Ceph's client programs (package ceph-common)")
        .with_source(error)
}

fn internal(message: &str) -> Error {
    Error::new(ErrorKind::Internal, "ceph.internal", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Arc;

    fn call(script: &str, effect: Effect, deadline: u64) -> Call {
        Call {
            what: "test".into(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            effect,
            deadline: Duration::from_millis(deadline),
            input: None,
            plain_exit: false,
            output: Output::Whole,
        }
    }

    /// The process with the id in this file is gone (or a zombie that is being reaped).
    async fn gone(pid_file: &Path) -> bool {
        let pid = std::fs::read_to_string(pid_file).unwrap();
        for _ in 0..200 {
            match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
                Ok(stat) if !stat.contains(") Z") => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => return true,
            }
        }
        false
    }

    #[tokio::test]
    async fn output_code_words_and_input() {
        let runner = Runner::new(2);
        let mut c = call("cat; echo said >&2; exit 16", Effect::Change, 5000);
        c.input = Some(Input(b"secret".to_vec()));
        assert!(!format!("{c:?}").contains("secret"));
        let done = runner.run(c).await.unwrap();
        assert_eq!(
            (done.code, &done.stdout[..], done.stderr.as_str()),
            (Some(16), &b"secret"[..], "said")
        );
        assert_eq!(done.error().kind(), ErrorKind::Conflict);
    }

    #[tokio::test]
    async fn a_deadline_kills_and_says_what_is_known() {
        let dir = tempfile::tempdir().unwrap();
        for (effect, kind) in [
            (Effect::Read, ErrorKind::Unavailable),
            (Effect::Change, ErrorKind::Timeout),
        ] {
            let pid = dir.path().join(format!("{effect:?}"));
            let script = format!("echo $$ > {}; exec sleep 60", pid.display());
            let begun = Instant::now();
            let error = Runner::new(1).run(call(&script, effect, 1500)).await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (kind, "ceph.deadline"));
            assert!(begun.elapsed() < Duration::from_secs(5));
            assert!(gone(&pid).await, "the child lives on");
        }
    }

    #[tokio::test]
    async fn dropping_kills() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let script = format!("echo $$ > {0}.tmp; mv {0}.tmp {0}; exec sleep 60", pid.display());
        let runner = Arc::new(Runner::new(1));
        let work = tokio::spawn({
            let runner = runner.clone();
            async move { runner.run(call(&script, Effect::Change, 60_000)).await }
        });
        while !pid.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        work.abort();
        assert!(gone(&pid).await, "the child lives on");
        assert!(
            runner.run(call("true", Effect::Read, 5000)).await.is_ok(),
            "its slot is free again"
        );
    }

    #[tokio::test]
    async fn no_more_than_allowed_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new(3);
        let script = format!(
            "cd {}; touch r.$$; n=$(ls r.* | wc -l); sleep 0.1; rm r.$$; echo $n",
            dir.path().display()
        );
        let runs = (0..12).map(|_| runner.run(call(&script, Effect::Read, 20_000)));
        let seen: Vec<usize> = futures::future::join_all(runs)
            .await
            .into_iter()
            .map(|d| String::from_utf8(d.unwrap().stdout).unwrap().trim().parse().unwrap())
            .collect();
        assert_eq!(seen.iter().max(), Some(&3), "{seen:?}");
    }

    #[tokio::test]
    async fn the_environment_cannot_steer_and_signals_are_no_answer() {
        let runner = Runner::new(1);
        let done = runner
            .run(call("echo $TZ $LC_ALL ${CEPH_ARGS-none}", Effect::Read, 5000))
            .await
            .unwrap();
        assert_eq!(done.stdout, b"UTC C none\n");
        let done = runner.run(call("kill -ABRT $$", Effect::Read, 5000)).await.unwrap();
        assert_eq!((done.code, done.error().kind()), (None, ErrorKind::Unavailable));
        // A daemon that is left behind does not keep the call.
        let mut c = call("sleep 3 & exit 0", Effect::Change, 2000);
        c.output = Output::Unheard;
        assert_eq!(runner.run(c).await.unwrap().code, Some(0));
        let mut c = call("printf abc", Effect::Copy, 5000);
        c.output = Output::Digest;
        // The digest of "abc" in FIPS 180-4.
        assert_eq!(
            runner.run(c).await.unwrap().stdout,
            b"3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let mut c = call("", Effect::Read, 5000);
        c.program = "/nonexistent/rbd".into();
        assert_eq!(runner.run(c).await.unwrap_err().code(), "ceph.no_command");
    }
}
