//! What an operator may tune.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Limits and waits. The defaults are those of the rule book where it gives any (OPEN-02, OPEN-20).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Settings {
    /// Effects under way at once on each side of a job. Clouds and storage get slower, not faster, beyond a few.
    pub parallel: usize,
    /// How long a job stays paused before it goes on by itself (SM-37).
    pub pause_limit: Duration,
    /// How long a drill waits before it is rolled back by itself (SM-46).
    pub rollback_wait: Duration,
    /// How long a failing effect is tried again before its task fails.
    pub retry_limit: Duration,
    /// How long one call to a provider may take.
    pub call_limit: Duration,
    /// How long a side may take to show that it answers, before it counts as out of reach.
    pub reach_limit: Duration,
    /// How long a server may take to come up.
    pub boot_limit: Duration,
    /// How long to wait for writes to arrive on the other side.
    pub arrival_limit: Duration,
    /// How long a full copy of a volume may take.
    pub copy_limit: Duration,
    /// How long an engine owns a job without a sign of life. After that another engine on the same store takes the job over; a
    /// shorter one is taken over sooner and asks the store more often. 1 second to 10 minutes; the same on all engines (OPEN-24).
    pub lease: Duration,
    /// How often a wait looks again.
    pub poll: Duration,
    /// How often the engine looks whether a fenced source came back, and whether a volume has two writers.
    pub watch_interval: Duration,
    /// Whether a started engine looks after clusters by itself: probes them, listens to them, synchronises them (EVT-12). Off, the
    /// inventory is as it was when somebody synchronised it.
    pub monitor: bool,
    /// How long to wait between two probes of a cluster (OPEN-12).
    pub probe_interval: Duration,
    /// After how many failed probes in a row a cluster is `Inactive` (OPEN-12).
    pub probes_to_inactive: u32,
    /// After how many good probes in a row it is `Active` again (OPEN-12).
    pub probes_to_active: u32,
    /// How long after a synchronisation a cluster is synchronised again although nothing was told (OPEN-03). A cluster that should
    /// tell of changes and is not heard is synchronised every [`watch_interval`](Self::watch_interval).
    pub sync_interval: Duration,
    /// By how many seconds the clocks of engine and cloud may differ at registration.
    pub clock_skew_limit_seconds: u32,
    /// After how many failed logins in a row an id may not log in from where it failed (SET-03, SEC-06).
    pub login_attempts: u32,
    /// For how long (SET-04).
    pub lockout: Duration,
    /// How long a login lasts without being used (SEC-07).
    pub login_idle_limit: Duration,
    /// How long a login lasts at most (SEC-07).
    pub login_limit: Duration,
    /// Whether a new login of an account ends the one before (USR-27, SEC-07).
    pub one_login_per_account: bool,
    /// Whether passwords follow the old manual's rule, 6 to 16 characters of four classes (USR-12), instead of SEC-04's.
    pub classic_passwords: bool,
    /// How much memory hashing a password takes, in KiB (SEC-01): 1024 to 1048576. A password that was hashed otherwise is hashed anew
    /// when its user logs in.
    pub password_memory_kib: u32,
    /// How many passes hashing a password makes over that memory (SEC-01): 1 to 16.
    pub password_passes: u32,
    /// Whether failover, confirm, forced promotion and the end of a protection need a second person (SEC-25).
    pub four_eyes: bool,
    /// How long events are kept (SET-05).
    pub event_retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parallel: 4,
            pause_limit: Duration::from_secs(3600),
            rollback_wait: Duration::from_secs(3600),
            retry_limit: Duration::from_secs(300),
            call_limit: Duration::from_secs(120),
            reach_limit: Duration::from_secs(30),
            boot_limit: Duration::from_secs(600),
            arrival_limit: Duration::from_secs(1800),
            copy_limit: Duration::from_secs(24 * 3600),
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            watch_interval: Duration::from_secs(60),
            monitor: true,
            probe_interval: Duration::from_secs(30),
            probes_to_inactive: 3,
            probes_to_active: 2,
            sync_interval: Duration::from_secs(3600),
            clock_skew_limit_seconds: 60,
            login_attempts: 5,
            lockout: Duration::from_secs(300),
            login_idle_limit: Duration::from_secs(30 * 60),
            login_limit: Duration::from_secs(12 * 3600),
            one_login_per_account: true,
            classic_passwords: false,
            password_memory_kib: 19 * 1024,
            password_passes: 2,
            four_eyes: false,
            event_retention: Duration::from_secs(365 * 24 * 3600),
        }
    }
}

impl Settings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(&self) -> Result<()> {
        let invalid = |field: &str, rule: &str| {
            Err(Error::new(ErrorKind::Invalid, "settings.range", format!("{field} {rule}")).with_field(field))
        };
        if !(1..=64).contains(&self.parallel) {
            return invalid("parallel", "must be 1 to 64");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.lease) {
            return invalid("lease", "must be 1 second to 10 minutes");
        }
        if self.poll.is_zero() {
            return invalid("poll", "must not be zero");
        }
        if self.watch_interval < Duration::from_secs(1) {
            return invalid("watch_interval", "must be a second or more");
        }
        for (field, interval) in [
            ("probe_interval", self.probe_interval),
            ("sync_interval", self.sync_interval),
        ] {
            if interval < Duration::from_secs(1) {
                return invalid(field, "must be a second or more");
            }
        }
        for (field, count) in [
            ("probes_to_inactive", self.probes_to_inactive),
            ("probes_to_active", self.probes_to_active),
        ] {
            if count == 0 {
                return invalid(field, "must be 1 or more");
            }
        }
        for (field, limit) in [("call_limit", self.call_limit), ("reach_limit", self.reach_limit)] {
            if limit.is_zero() {
                return invalid(field, "must not be zero");
            }
        }
        if self.login_attempts == 0 {
            return invalid("login_attempts", "must be 1 or more");
        }
        for (field, limit) in [
            ("lockout", self.lockout),
            ("login_idle_limit", self.login_idle_limit),
            ("login_limit", self.login_limit),
        ] {
            if limit < Duration::from_secs(1) {
                return invalid(field, "must be a second or more");
            }
        }
        if !(1024..=1024 * 1024).contains(&self.password_memory_kib) {
            return invalid("password_memory_kib", "must be 1024 to 1048576");
        }
        if !(1..=16).contains(&self.password_passes) {
            return invalid("password_passes", "must be 1 to 16");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_03_set_04_sec_01_sec_07_settings_of_logins_have_ranges() {
        assert!(Settings::default().check().is_ok());
        type Spoil = fn(&mut Settings);
        let rows: [(&str, Spoil); 8] = [
            ("login_attempts", |s| s.login_attempts = 0),
            ("lockout", |s| s.lockout = Duration::ZERO),
            ("login_idle_limit", |s| s.login_idle_limit = Duration::from_millis(999)),
            ("login_limit", |s| s.login_limit = Duration::ZERO),
            ("password_memory_kib", |s| s.password_memory_kib = 1023),
            ("password_memory_kib", |s| s.password_memory_kib = 1024 * 1024 + 1),
            ("password_passes", |s| s.password_passes = 0),
            ("password_passes", |s| s.password_passes = 17),
        ];
        for (field, spoil) in rows {
            let mut settings = Settings::default();
            spoil(&mut settings);
            let error = settings.check().unwrap_err();
            assert_eq!((error.code(), error.field()), ("settings.range", Some(field)));
        }
    }
}
