//! What is printed: who did what, when and with which outcome.

use anyhow::{Result, bail};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil::Date};
use ns_core::Error;
use ns_core::ports::Clock;
use ns_core::sim::SimClock;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

/// Lines with the time of the clock on the wall of those who work here. Ids are replaced by names, so that what is printed says
/// what a person would say, and stays the same when the engine needs an id more.
pub(super) struct Diary<'o> {
    out: &'o mut dyn Write,
    clock: SimClock,
    zone: TimeZone,
    day: Option<Date>,
    names: BTreeMap<String, String>,
}

impl fmt::Debug for Diary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Diary({:?})", self.day)
    }
}

impl<'o> Diary<'o> {
    pub(super) const fn new(out: &'o mut dyn Write, clock: SimClock, zone: TimeZone) -> Self {
        Self {
            out,
            clock,
            zone,
            day: None,
            names: BTreeMap::new(),
        }
    }

    /// The name of an id from now on.
    pub(super) fn name(&mut self, id: &dyn fmt::Display, name: &str) {
        self.names.insert(id.to_string(), name.to_owned());
    }

    /// Numbers a job, if it has no name yet.
    pub(super) fn number(&mut self, id: &dyn fmt::Display) {
        let next = format!("#{}", self.names.values().filter(|n| n.starts_with('#')).count() + 1);
        self.names.entry(id.to_string()).or_insert(next);
    }

    /// That somebody did something, or that something happened to a cloud.
    pub(super) fn says(&mut self, who: &str, what: impl fmt::Display) -> io::Result<()> {
        self.line(self.clock.now(), who, &what.to_string())
    }

    /// That somebody was refused, as they should be.
    pub(super) fn refused<T>(&mut self, who: &str, what: &str, result: Result<T, Error>) -> Result<()> {
        match result {
            Err(error) => Ok(self.says(who, format!("{what}: refused, {}: {}", error.code(), error.message()))?),
            Ok(_) => bail!("{who} {what}, and is not refused"),
        }
    }

    /// A part of its own; days begin anew in it.
    pub(super) fn part(&mut self, title: &str) -> io::Result<()> {
        self.day = None;
        writeln!(self.out, "\n=== {title} ===")
    }

    /// A line of a time of its own.
    pub(super) fn line(&mut self, at: Timestamp, who: &str, what: &str) -> io::Result<()> {
        let at = self.local(at);
        self.begin(at.date())?;
        let what = self.plain(what);
        writeln!(self.out, "  {}  {who:<18} {what}", at.strftime("%H:%M:%S"))
    }

    /// A line that belongs to the whole day of a time.
    pub(super) fn of_day(&mut self, at: Timestamp, what: &str) -> io::Result<()> {
        let at = self.local(at);
        self.begin(at.date())?;
        self.aside(what)
    }

    /// A line without a time.
    pub(super) fn aside(&mut self, what: &str) -> io::Result<()> {
        let what = self.plain(what);
        writeln!(self.out, "            {what}")
    }

    /// A time on the wall.
    pub(super) fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    fn begin(&mut self, day: Date) -> io::Result<()> {
        if self.day.replace(day) == Some(day) {
            return Ok(());
        }
        writeln!(self.out, "\n{}", day.strftime("%A, %-d %B %Y"))
    }

    /// Names in the place of ids.
    fn plain(&mut self, text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("id0") {
            let (before, id) = rest.split_at(at);
            let digits = id[2..].bytes().take_while(u8::is_ascii_digit).count();
            let (id, after) = id.split_at(2 + digits);
            self.number(&id);
            plain.push_str(before);
            plain.push_str(self.names.get(id).map_or(id, String::as_str));
            rest = after;
        }
        plain + rest
    }
}
