//! What the end of a child process means: exit codes to error kinds, and its words made safe to keep.
//!
//! Ceph's `rbd` exits with the errno of the failure; its text is kept for people and never decided by. `rados` and
//! `ceph` exit with 1 for almost everything.

use crate::command::Effect;
use ns_core::{Error, ErrorKind};

/// "No such file or directory": the image, snapshot, key or pool is not there.
pub(crate) const NOT_FOUND: i32 = 2;
/// Busy; for promote "the demotion is not here yet".
pub(crate) const BUSY: i32 = 16;
/// It exists.
pub(crate) const EXISTS: i32 = 17;
/// Declined: wrong role, feature not there, unreadable input.
pub(crate) const INVALID: i32 = 22;
/// Read only: this side is not the primary.
pub(crate) const READ_ONLY: i32 = 30;
/// Has snapshots or clones.
pub(crate) const NOT_EMPTY: i32 = 39;
/// The cluster, or one of its daemons, did not answer in time.
pub(crate) const TIMED_OUT: i32 = 110;

/// A finished child process.
#[derive(Debug)]
pub(crate) struct Done {
    /// What was asked, in a few words without secrets, e.g. `mirror image promote`.
    pub(crate) what: String,
    pub(crate) effect: Effect,
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    /// The last lines, scrubbed.
    pub(crate) stderr: String,
    /// `rados` and `ceph` do not tell errno.
    pub(crate) plain_exit: bool,
}

impl Done {
    /// The standard output of a call that succeeded.
    pub(crate) fn ok(self) -> Result<Vec<u8>, Error> {
        if self.code == Some(0) {
            Ok(self.stdout)
        } else {
            Err(self.error())
        }
    }

    /// `Ok(None)` for these exit codes.
    pub(crate) fn ok_or_none(self, codes: &[i32]) -> Result<Option<Vec<u8>>, Error> {
        if self.code.is_some_and(|c| codes.contains(&c)) {
            Ok(None)
        } else {
            self.ok().map(Some)
        }
    }

    /// The error that this end means.
    pub(crate) fn error(&self) -> Error {
        let (kind, code, message) = match self.code {
            None => (lost(self.effect), "ceph.crashed", "the command was ended by a signal"),
            Some(1) if self.plain_exit => (ErrorKind::Unavailable, "ceph.failed", "the command failed"),
            Some(code) => meaning(code, self.effect),
        };
        let error = Error::new(kind, code, format!("{}: {message}", self.what));
        let error = match self.code {
            Some(code) => error.with("exit", code),
            None => error,
        };
        if self.stderr.is_empty() {
            error
        } else {
            error.with("said", &self.stderr)
        }
    }
}

/// What is known when a call ends without an answer.
pub(crate) const fn lost(effect: Effect) -> ErrorKind {
    match effect {
        Effect::Read => ErrorKind::Unavailable,
        Effect::Change | Effect::Copy => ErrorKind::Timeout,
    }
}

const fn meaning(code: i32, effect: Effect) -> (ErrorKind, &'static str, &'static str) {
    match code {
        NOT_FOUND => (ErrorKind::NotFound, "ceph.not_found", "not found"),
        13 => (ErrorKind::Denied, "ceph.denied", "the Ceph user lacks a right"),
        BUSY => (ErrorKind::Conflict, "ceph.busy", "busy"),
        EXISTS => (ErrorKind::Conflict, "ceph.exists", "exists already"),
        INVALID => (ErrorKind::Rejected, "ceph.rejected", "declined"),
        28 | 122 => (ErrorKind::Quota, "ceph.full", "the cluster or the pool is full"),
        READ_ONLY => (ErrorKind::Refused, "ceph.read_only", "this side is not the primary"),
        NOT_EMPTY => (ErrorKind::Conflict, "ceph.has_dependents", "has snapshots or clones"),
        95 => (
            ErrorKind::Unsupported,
            "ceph.unsupported",
            "not supported by this cluster",
        ),
        // A write that timed out may have been done; a read that did was not.
        TIMED_OUT => (lost(effect), "ceph.no_answer", "the cluster did not answer in time"),
        5 | 11 | 107 | 108 => (lost(effect), "ceph.no_answer", "the cluster failed to serve the call"),
        _ => (ErrorKind::Rejected, "ceph.failed", "failed"),
    }
}

/// How much of a command's words is kept.
const KEPT_LINES: usize = 4;
const KEPT_BYTES: usize = 600;

/// The last lines of what a command said, without anything that looks like a key or a token.
pub(crate) fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let kept = lines[lines.len().saturating_sub(KEPT_LINES)..].join("; ");
    let mut safe = scrub(&kept);
    if safe.len() > KEPT_BYTES {
        let from = safe.ceil_char_boundary(safe.len() - KEPT_BYTES);
        safe = format!("...{}", &safe[from..]);
    }
    safe
}

/// Masks runs that look like base64 of a secret: long, mixed, and of a key's or token's alphabet.
pub(crate) fn scrub(text: &str) -> String {
    let in_alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !in_alphabet(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(run);
        out.push_str(if looks_secret(word) { "***" } else { word });
        let other = tail.find(in_alphabet).unwrap_or(tail.len());
        let (between, tail) = tail.split_at(other);
        out.push_str(between);
        rest = tail;
    }
    out
}

fn looks_secret(word: &str) -> bool {
    let has = |f: fn(&char) -> bool| word.chars().any(|c| f(&c));
    let mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    (word.len() >= 36 && mixed) || (word.len() >= 20 && word.ends_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(code: i32, effect: Effect) -> Done {
        Done {
            what: "mirror image x".into(),
            effect,
            code: Some(code),
            stdout: vec![],
            stderr: String::new(),
            plain_exit: false,
        }
    }

    #[test]
    fn exit_codes() {
        use ErrorKind as K;
        let table = [
            (2, K::NotFound, K::NotFound),
            (13, K::Denied, K::Denied),
            (16, K::Conflict, K::Conflict),
            (17, K::Conflict, K::Conflict),
            (22, K::Rejected, K::Rejected),
            (28, K::Quota, K::Quota),
            (30, K::Refused, K::Refused),
            (39, K::Conflict, K::Conflict),
            (110, K::Unavailable, K::Timeout),
            (108, K::Unavailable, K::Timeout),
            (1, K::Rejected, K::Rejected),
            (77, K::Rejected, K::Rejected),
        ];
        for (code, read, change) in table {
            assert_eq!(done(code, Effect::Read).error().kind(), read, "{code}");
            assert_eq!(done(code, Effect::Change).error().kind(), change, "{code}");
        }
        let mut crashed = done(0, Effect::Change);
        crashed.code = None;
        assert_eq!(crashed.error().kind(), K::Timeout);
        assert!(done(0, Effect::Read).ok().is_ok());
        assert!(done(2, Effect::Read).ok_or_none(&[2]).unwrap().is_none());
    }

    #[test]
    fn words_hold_no_secret_and_are_bounded() {
        let key = "AQBsX8xnAAAAABAAlFq2s8o5XkqmFyB1Zp3oHA==";
        let token = "eyJmc2lkIjoiYTAyOTNjYmMtZjBhZi00MjZhLTk2Y2QiLCJjbGllbnRfaWQiOiJyYmQtbWlycm9yLXBlZXIifQ";
        for secret in [key, token] {
            let said = words(format!("rbd: bad key = {secret}\nin token {secret}, sorry").as_bytes());
            assert!(!said.contains(&secret[..12]), "{said}");
            assert!(said.contains("rbd: bad key = ***") && said.ends_with("sorry"), "{said}");
        }
        let id = "rbd: error opening image volume-0f8fad5b-d9cb-469f-a165-70867728950e: (2) No such file or directory";
        assert_eq!(words(id.as_bytes()), id);
        assert!(words("ü\n".repeat(9000).as_bytes()).len() < 100);
        assert!(words(&"ü".repeat(9000).into_bytes()).len() <= KEPT_BYTES + 3);
    }
}
