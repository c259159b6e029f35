//! What an operator may tune. Every setting is one row of the table below, which gives it its default, its range and its words:
//! what is checked, described and stored follows from the row.

use crate::{Error, ErrorKind, Result, machine};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How much the engine says (SET-02), from nothing to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong.
    Error,
    /// What may go wrong.
    Warn,
    /// What was done.
    Info,
    /// How it was done.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const ALL: [Self; 6] = [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Its name, which `tracing` reads as well.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What a setting is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SettingUnit {
    /// Whole seconds.
    Seconds,
    /// Whole milliseconds.
    Milliseconds,
    /// A number of things.
    Count,
    /// Yes or no.
    Flag,
    /// The name of a [`LogLevel`].
    Level,
}

impl SettingUnit {
    /// What is said to somebody who gave something else.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "whole seconds",
            Self::Milliseconds => "whole milliseconds",
            Self::Count => "a whole number",
            Self::Flag => "true or false",
            Self::Level => "off, error, warn, info, debug or trace",
        }
    }
}

/// A setting as it is stored and shown: durations are whole numbers of their unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Yes or no.
    Flag(bool),
    /// A number of the setting's unit.
    Number(u64),
    /// A name.
    Text(String),
}

impl From<bool> for SettingValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
impl From<u64> for SettingValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}
impl From<LogLevel> for SettingValue {
    fn from(level: LogLevel) -> Self {
        Self::Text(level.as_str().to_owned())
    }
}
impl std::fmt::Display for SettingValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Everything there is to know of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingInfo {
    /// Its name.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: SettingUnit,
    /// What it is now.
    pub value: SettingValue,
    /// What it is when nobody has changed it.
    pub default: SettingValue,
    /// Whether somebody has changed it.
    pub changed: bool,
    /// The least and the most it may be; none where it is no number.
    pub range: Option<(u64, u64)>,
    /// Whether a change is felt only by an engine that is started after it.
    pub at_start: bool,
    /// What it does.
    pub meaning: &'static str,
    /// The requirements it serves.
    pub serves: &'static str,
}

/// Changes of settings by name. What it does not name stays as it is.
///
/// ```
/// use ns_core::engine::{Settings, SettingsUpdate};
///
/// let update = SettingsUpdate::new().with("pause_limit", 1800).with("four_eyes", true);
/// let settings = Settings::default().with(&update)?;
/// assert_eq!(settings.pause_limit.as_secs(), 1800);
/// let error = settings.with(&SettingsUpdate::new().with("parallel", 0)).unwrap_err();
/// assert_eq!((error.code(), error.field()), ("settings.range", Some("parallel")));
/// # Ok::<(), ns_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SettingsUpdate(pub(crate) BTreeMap<String, SettingValue>);

impl SettingsUpdate {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// And this one, in its unit.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<SettingValue>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }
}

/// What can be in a row.
trait Tunable: Sized {
    /// None when it is not a whole number of the unit.
    fn show(&self, unit: SettingUnit) -> Option<SettingValue>;
    /// None when the value is not of this form.
    fn read(value: &SettingValue, unit: SettingUnit) -> Option<Self>;
}

macro_rules! whole {
    ($($type:ty),*) => {$(
        impl Tunable for $type {
            fn show(&self, _: SettingUnit) -> Option<SettingValue> {
                u64::try_from(*self).ok().map(SettingValue::Number)
            }
            fn read(value: &SettingValue, _: SettingUnit) -> Option<Self> {
                match value {
                    // What does not fit is out of any range: it is judged as the most there is.
                    SettingValue::Number(number) => Some(Self::try_from(*number).unwrap_or(Self::MAX)),
                    _ => None,
                }
            }
        }
    )*};
}
whole!(usize, u32);

impl Tunable for Duration {
    fn show(&self, unit: SettingUnit) -> Option<SettingValue> {
        let number = match unit {
            SettingUnit::Milliseconds => u64::try_from(self.as_millis()).ok()?,
            _ => self.as_secs(),
        };
        let value = SettingValue::Number(number);
        (Self::read(&value, unit) == Some(*self)).then_some(value)
    }
    fn read(value: &SettingValue, unit: SettingUnit) -> Option<Self> {
        match (value, unit) {
            (SettingValue::Number(number), SettingUnit::Milliseconds) => Some(Self::from_millis(*number)),
            (SettingValue::Number(number), _) => Some(Self::from_secs(*number)),
            _ => None,
        }
    }
}

impl Tunable for bool {
    fn show(&self, _: SettingUnit) -> Option<SettingValue> {
        Some((*self).into())
    }
    fn read(value: &SettingValue, _: SettingUnit) -> Option<Self> {
        match value {
            SettingValue::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

impl Tunable for LogLevel {
    fn show(&self, _: SettingUnit) -> Option<SettingValue> {
        Some((*self).into())
    }
    fn read(value: &SettingValue, _: SettingUnit) -> Option<Self> {
        match value {
            SettingValue::Text(text) => Self::ALL.into_iter().find(|level| level.as_str() == text),
            _ => None,
        }
    }
}

/// One setting.
struct Row {
    name: &'static str,
    unit: SettingUnit,
    range: Option<RangeInclusive<u64>>,
    at_start: bool,
    meaning: &'static str,
    serves: &'static str,
    show: fn(&Settings) -> Option<SettingValue>,
    /// Whether the value is of the setting's form.
    read: fn(&mut Settings, &SettingValue) -> bool,
}

/// Each setting: what it does, its name, type, default, unit with range, and whom it serves.
macro_rules! settings {
    ($($(#[doc = $meaning:literal])+ $name:ident: $type:ty = $default:expr, $unit:ident $(($range:expr))?, $serves:literal $(, $at_start:ident)?;)*) => {
        /// Limits and waits. The defaults are those of the rule book where it gives any (OPEN-02, OPEN-20).
        ///
        /// As JSON it is an object of the settings' names and values, durations in whole units; what is left out has its default.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "SettingsUpdate", into = "SettingsUpdate")]
        #[non_exhaustive]
        pub struct Settings {
            $($(#[doc = $meaning])+ pub $name: $type,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        const TABLE: &[Row] = &[$(Row {
            name: stringify!($name),
            unit: SettingUnit::$unit,
            range: settings!(@range $($range)?),
            at_start: settings!(@at_start $($at_start)?),
            meaning: concat!($($meaning),+),
            serves: $serves,
            show: |settings| settings.$name.show(SettingUnit::$unit),
            read: |settings, value| <$type>::read(value, SettingUnit::$unit)
                .map(|value| settings.$name = value)
                .is_some(),
        }),*];
    };
    (@range) => { None };
    (@range $range:expr) => { Some($range) };
    (@at_start) => { false };
    (@at_start at_start) => { true };
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

settings! {
    /// Effects under way at once on each side of a job. Clouds and storage get slower, not faster, beyond a few.
    parallel: usize = 4, Count(1..=64), "OPEN-20";
    /// How long a job stays paused before it goes on by itself.
    pause_limit: Duration = machine::DEFAULT_PAUSE, Seconds(1..=7 * DAY), "SET-07, SM-37, OPEN-02";
    /// How long a drill waits before it is rolled back by itself.
    rollback_wait: Duration = machine::DEFAULT_ROLLBACK_WAIT, Seconds(1..=7 * DAY), "SET-08, SM-46, OPEN-02";
    /// How long after its planned time a drill may still begin; after that it is cancelled.
    drill_start_window: Duration = machine::DRILL_LATEST_START, Seconds(1..=DAY), "SET-06, JOB-54, SM-34";
    /// How long after its planned time a failover may still begin. One that no engine could begin until then is held in
    /// `waiting` until somebody plans it anew or deletes it.
    failover_start_window: Duration = Duration::from_secs(10 * MINUTE), Seconds(1..=DAY), "OPEN-10";
    /// How many groups are recovered at once; others wait in `pending`. Drills wait for failovers and drills, failovers for
    /// failovers only. Shared by all engines on the store.
    groups_at_once: usize = 4, Count(1..=1000), "OPEN-20, JOB-53";
    /// How long a failing effect is tried again before its task fails.
    retry_limit: Duration = Duration::from_secs(5 * MINUTE), Seconds(0..=DAY), "JOB-53";
    /// How long one call to a provider may take.
    call_limit: Duration = Duration::from_secs(2 * MINUTE), Seconds(1..=HOUR), "JOB-53";
    /// How long a side may take to show that it answers, before it counts as out of reach.
    reach_limit: Duration = Duration::from_secs(30), Seconds(1..=10 * MINUTE), "OPEN-35";
    /// How long a server may take to come up.
    boot_limit: Duration = Duration::from_secs(10 * MINUTE), Seconds(1..=DAY), "PLAN-07";
    /// How long to wait for writes to arrive on the other side.
    arrival_limit: Duration = Duration::from_secs(30 * MINUTE), Seconds(1..=7 * DAY), "REP-12";
    /// How long a full copy of a volume may take.
    copy_limit: Duration = Duration::from_secs(DAY), Seconds(1..=30 * DAY), "PLAN-15";
    /// How long an engine owns a job without a sign of life. After that another engine on the same store takes the job over; a
    /// shorter one is taken over sooner and asks the store more often. The same on all engines.
    lease: Duration = Duration::from_secs(30), Seconds(1..=10 * MINUTE), "OPEN-24";
    /// How often a wait looks again.
    poll: Duration = Duration::from_secs(1), Milliseconds(10..=60_000), "OPEN-24";
    /// How often the engine looks whether a fenced source came back, and whether a volume has two writers; what is due; and what
    /// other engines changed of the settings.
    watch_interval: Duration = Duration::from_secs(MINUTE), Seconds(1..=DAY), "OPEN-35, JOB-08";
    /// Whether a started engine looks after clusters by itself: probes them, listens to them, synchronises them. Off, the
    /// inventory is as it was when somebody synchronised it.
    monitor: bool = true, Flag, "EVT-12", at_start;
    /// How long to wait between two probes of a cluster.
    probe_interval: Duration = Duration::from_secs(30), Seconds(1..=DAY), "OPEN-12";
    /// After how many failed probes in a row a cluster is `Inactive`.
    probes_to_inactive: u32 = 3, Count(1..=1000), "OPEN-12";
    /// After how many good probes in a row it is `Active` again.
    probes_to_active: u32 = 2, Count(1..=1000), "OPEN-12";
    /// How long after a synchronisation a cluster is synchronised again although nothing was told. A cluster that should tell of
    /// changes and is not heard is synchronised every `watch_interval`.
    sync_interval: Duration = Duration::from_secs(HOUR), Seconds(1..=7 * DAY), "SET-09, OPEN-03";
    /// By how much the clocks of engine and cloud may differ at registration.
    clock_skew_limit_seconds: u32 = 60, Seconds(0..=DAY), "CL-02";
    /// After how many failed logins in a row an id may not log in from where it failed.
    login_attempts: u32 = 5, Count(1..=100), "SET-03, SEC-06";
    /// For how long.
    lockout: Duration = Duration::from_secs(5 * MINUTE), Seconds(1..=7 * DAY), "SET-04, SEC-06";
    /// How long a login lasts without being used.
    login_idle_limit: Duration = Duration::from_secs(30 * MINUTE), Seconds(1..=7 * DAY), "SEC-07";
    /// How long a login lasts at most.
    login_limit: Duration = Duration::from_secs(12 * HOUR), Seconds(1..=30 * DAY), "SEC-07";
    /// Whether a new login of an account ends the one before.
    one_login_per_account: bool = true, Flag, "USR-27, SEC-07";
    /// Whether passwords follow the old manual's rule, 6 to 16 characters of four classes, instead of length and a list of
    /// passwords that are known.
    classic_passwords: bool = false, Flag, "USR-12, SEC-04";
    /// How much memory hashing a password takes, in KiB. A password that was hashed otherwise is hashed anew when its user logs in.
    password_memory_kib: u32 = 19 * 1024, Count(1024..=1_048_576), "SEC-01";
    /// How many passes hashing a password makes over that memory.
    password_passes: u32 = 2, Count(1..=16), "SEC-01";
    /// Whether failover, confirm, forced promotion and the end of a protection need a second person.
    four_eyes: bool = false, Flag, "SEC-25";
    /// How long events are kept.
    event_retention: Duration = Duration::from_secs(YEAR), Seconds(DAY..=100 * YEAR), "SET-05";
    /// How much the engine says. The host program sees to it: see `EngineBuilder::on_log_level`.
    log_level: LogLevel = LogLevel::Info, Level, "SET-02";
}

impl Row {
    fn check(&self, settings: &Settings) -> Result<()> {
        let Some(value) = (self.show)(settings) else {
            let message = format!("{} must be {}", self.name, self.unit.as_str());
            return Err(wrong("settings.range", self.name, message));
        };
        match (&self.range, value) {
            (Some(range), SettingValue::Number(number)) if !range.contains(&number) => {
                let (least, most) = (range.start(), range.end());
                let message = format!("{} must be {least} to {most} ({})", self.name, self.unit.as_str());
                Err(wrong("settings.range", self.name, message).with("given", number))
            }
            _ => Ok(()),
        }
    }
}

fn wrong(code: &str, field: &str, message: String) -> Error {
    Error::new(ErrorKind::Invalid, code, message)
        .with_field(field)
        .with_remedy("ask for the description of the settings, which tells names, units and ranges")
}

impl Settings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// `Invalid`, `settings.range`, naming the field.
    pub fn check(&self) -> Result<()> {
        TABLE.iter().try_for_each(|row| row.check(self))
    }

    /// These settings with changes.
    ///
    /// # Errors
    /// `Invalid`, naming the field: `settings.unknown`, `settings.form` for a value that is no such thing, `settings.range`.
    pub fn with(&self, update: &SettingsUpdate) -> Result<Self> {
        let mut changed = self.clone();
        for (name, value) in &update.0 {
            let row = row(name)?;
            if !(row.read)(&mut changed, value) {
                let message = format!("{name} must be {}", row.unit.as_str());
                return Err(wrong("settings.form", name, message));
            }
            row.check(&changed)?;
        }
        Ok(changed)
    }

    /// Every setting, as it is here beside what it is in `defaults`.
    pub(crate) fn describe(&self, defaults: &Self, changed: impl Fn(&str) -> bool) -> Vec<SettingInfo> {
        let info = |row: &Row| {
            Some(SettingInfo {
                name: row.name,
                unit: row.unit,
                value: (row.show)(self)?,
                default: (row.show)(defaults)?,
                changed: changed(row.name),
                range: row.range.as_ref().map(|range| (*range.start(), *range.end())),
                at_start: row.at_start,
                meaning: row.meaning.trim(),
                serves: row.serves,
            })
        };
        TABLE.iter().filter_map(info).collect()
    }

    /// Every setting that there is, with the product's defaults: what a manual or a form says of them.
    #[must_use]
    pub fn all() -> Vec<SettingInfo> {
        Self::default().describe(&Self::default(), |_| false)
    }
}

fn row(name: &str) -> Result<&'static Row> {
    TABLE.iter().find(|row| row.name == name).ok_or_else(|| {
        let near = name.chars().take(64).collect::<String>();
        wrong("settings.unknown", &near, format!("there is no setting {near}"))
    })
}

/// Refuses names that no setting has.
pub(crate) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    names.into_iter().try_for_each(|name| row(name).map(drop))
}

impl TryFrom<SettingsUpdate> for Settings {
    type Error = Error;
    fn try_from(values: SettingsUpdate) -> Result<Self> {
        Self::default().with(&values)
    }
}

impl From<Settings> for SettingsUpdate {
    fn from(settings: Settings) -> Self {
        // A duration that is finer than its unit is left out: no engine is built with one.
        let value = |row: &Row| Some((row.name.to_owned(), (row.show)(&settings)?));
        Self(TABLE.iter().filter_map(value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SET-01 … SET-09: each setting and its default are those of the book.
    #[test]
    fn set_01_set_02_set_03_set_04_set_05_set_06_set_07_set_08_set_09_defaults() {
        let all = Settings::all();
        assert_eq!(all.len(), TABLE.len());
        let default = |name: &str| all.iter().find(|i| i.name == name).unwrap().default.to_string();
        for (name, value) in [
            ("log_level", "info"),
            ("login_attempts", "5"),
            ("lockout", "300"),
            ("event_retention", "31536000"),
            ("drill_start_window", "600"),
            ("pause_limit", "3600"),
            ("rollback_wait", "3600"),
            ("sync_interval", "3600"),
            ("poll", "1000"),
            ("monitor", "true"),
        ] {
            assert_eq!(default(name), value, "{name}");
        }
        for info in all {
            assert!(
                info.meaning.ends_with('.') && !info.meaning.contains("  "),
                "{}",
                info.meaning
            );
            assert!(!info.serves.is_empty());
            let number = matches!(info.value, SettingValue::Number(_));
            assert_eq!(info.range.is_some(), number, "{}", info.name);
        }
        Settings::default().check().unwrap();
    }

    /// SET-01: the page for operators has every setting as it is.
    #[test]
    fn set_01_the_page_tells_every_setting() {
        let page = include_str!("../../../docs/settings.md");
        let rows = Settings::all().into_iter().map(|info| {
            let range = info
                .range
                .map(|(least, most)| format!("{least} to {most}"))
                .unwrap_or_default();
            let unit = match info.unit {
                SettingUnit::Seconds => "seconds",
                SettingUnit::Milliseconds => "milliseconds",
                _ => "",
            };
            let (name, default, meaning, serves) = (info.name, info.default, info.meaning, info.serves);
            format!("| `{name}` | {default} | {range} | {unit} | {meaning} | {serves} |\n")
        });
        let rows = rows.collect::<String>();
        assert!(page.ends_with(&rows), "docs/settings.md should end with\n{rows}");
    }

    #[test]
    fn set_01_bad_settings_are_refused() {
        let rows: [(&str, SettingValue, &str); 8] = [
            ("speed", 1.into(), "settings.unknown"),
            ("", true.into(), "settings.unknown"),
            ("parallel", true.into(), "settings.form"),
            ("monitor", 1.into(), "settings.form"),
            ("lease", SettingValue::Text("30".into()), "settings.form"),
            ("log_level", SettingValue::Text("INFO".into()), "settings.form"),
            ("login_attempts", (1 << 32).into(), "settings.range"),
            ("poll", u64::MAX.into(), "settings.range"),
        ];
        for (name, value, code) in rows {
            let error = Settings::default()
                .with(&SettingsUpdate::new().with(name, value))
                .unwrap_err();
            let found = (error.kind(), error.code(), error.field());
            assert_eq!(found, (ErrorKind::Invalid, code, Some(name)));
            assert!(error.remedy().is_some());
        }
        let fine = Settings {
            lease: Duration::from_millis(1500),
            ..Settings::default()
        };
        assert_eq!(fine.check().unwrap_err().field(), Some("lease"));
    }

    #[test]
    fn set_02_levels_are_those_of_tracing() {
        for level in LogLevel::ALL {
            assert!(level.as_str().parse::<tracing::level_filters::LevelFilter>().is_ok());
            let update = SettingsUpdate::new().with("log_level", level);
            assert_eq!(Settings::default().with(&update).unwrap().log_level, level);
        }
    }

    proptest! {
        /// Inside its range a setting is taken, kept and told as it was given; outside it is refused by name.
        #[test]
        fn set_01_ranges_are_kept(row in 0..TABLE.len(), number in prop_oneof![any::<u64>(), 0_u64..10_000], edge in 0..4) {
            let row = &TABLE[row];
            let Some(range) = &row.range else { return Ok(()) };
            let number = match edge {
                0 => *range.start(),
                1 => *range.end(),
                2 => range.end() + 1,
                _ => number,
            };
            let update = SettingsUpdate::new().with(row.name, number);
            match Settings::default().with(&update) {
                Ok(settings) => {
                    prop_assert!(range.contains(&number));
                    prop_assert_eq!((row.show)(&settings), Some(SettingValue::Number(number)));
                    let json = serde_json::to_string(&settings).unwrap();
                    prop_assert!(!json.contains("nanos"));
                    prop_assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
                }
                Err(error) => {
                    prop_assert!(!range.contains(&number));
                    prop_assert_eq!((error.code(), error.field()), ("settings.range", Some(row.name)));
                }
            }
        }
    }
}
