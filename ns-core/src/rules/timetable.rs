//! Which moments a timetable means (SCH-02 … SCH-05, OPEN-09). Days are counted in the calendar and only then become moments, so
//! that nothing drifts when clocks are changed.

use super::invalid;
use crate::model::{DayOfMonth, Recurrence, Timetable, WeekOfMonth, Weekday};
use crate::{Error, Result};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, civil};
use std::ops::RangeInclusive;

const DAYS: RangeInclusive<u16> = 1..=366;
const WEEKS: RangeInclusive<u16> = 1..=52;
const MONTHS: RangeInclusive<u16> = 1..=12;

/// How many months are looked at for one that has the day: a leap day comes after eight years at most, and one every twelve months
/// may meet none for that long.
const PATIENCE: i64 = 12 * 12;

/// The most moments that are told at once.
pub const MOST_RUNS: usize = 1000;

/// Checks a timetable.
///
/// # Errors
/// `Invalid`, naming the field: `timetable.range`, `timetable.zone`, or `timetable.never` for one that means no moment at all.
pub fn check_timetable(field: &str, timetable: &Timetable) -> Result<()> {
    let in_range = |name: &str, value: u16, range: RangeInclusive<u16>| {
        if range.contains(&value) {
            return Ok(());
        }
        let (least, most) = (range.start(), range.end());
        Err(invalid(
            "timetable.range",
            format!("{field}.{name}"),
            format!("{value} is out of range"),
        )
        .with_remedy(format!("give {least} to {most}")))
    };
    in_range("hour", timetable.hour.into(), 0..=23)?;
    in_range("minute", timetable.minute.into(), 0..=59)?;
    match timetable.recurrence {
        Recurrence::Daily { days } => in_range("recurrence.days", days, DAYS)?,
        Recurrence::Weekly { weeks, .. } => in_range("recurrence.weeks", weeks, WEEKS)?,
        Recurrence::MonthlyByDay {
            from_month,
            months,
            day,
        } => {
            in_range("recurrence.from_month", from_month.into(), MONTHS)?;
            in_range("recurrence.months", months, MONTHS)?;
            if let DayOfMonth::Day(day) = day {
                in_range("recurrence.day", day.into(), 1..=31)?;
            }
        }
        Recurrence::MonthlyByWeekday { from_month, months, .. } => {
            in_range("recurrence.from_month", from_month.into(), MONTHS)?;
            in_range("recurrence.months", months, MONTHS)?;
        }
    }
    zone(field, timetable)?;
    if next_run(timetable, Timestamp::MIN)?.is_none() {
        return Err(invalid(
            "timetable.never",
            format!("{field}.recurrence"),
            "there is no such day between the first and the last day",
        )
        .with_remedy("choose a day that these months have, the last day of the month, or a later end"));
    }
    Ok(())
}

/// The first run after a moment; none when there is none any more.
///
/// # Errors
/// `Invalid` for a timetable that [`check_timetable`] refuses.
///
/// ```
/// use ns_core::model::{Recurrence, Timetable};
/// use ns_core::rules::next_run;
///
/// let nightly = Timetable {
///     recurrence: Recurrence::Daily { days: 1 },
///     hour: 2,
///     minute: 30,
///     zone: "Europe/Berlin".to_owned(),
///     begins: jiff::civil::date(2026, 3, 1),
///     ends: None,
/// };
/// // The night in which 02:30 does not exist: clocks go from 02:00 to 03:00.
/// let next = next_run(&nightly, "2026-03-28T12:00:00Z".parse().unwrap())?;
/// assert_eq!(next, Some("2026-03-29T01:00:00Z".parse().unwrap()));
/// # Ok::<(), ns_core::Error>(())
/// ```
pub fn next_run(timetable: &Timetable, after: Timestamp) -> Result<Option<Timestamp>> {
    let zone = zone("timetable", timetable)?;
    let mut days = Days::from(timetable, after.to_zoned(zone.clone()).date());
    while let Some(day) = days.next() {
        let Ok(time) = civil::Time::new(
            i8::try_from(timetable.hour).unwrap_or(-1),
            i8::try_from(timetable.minute).unwrap_or(-1),
            0,
            0,
        ) else {
            return check_timetable("timetable", timetable).map(|()| None);
        };
        if let Some(run) = moment(&zone, day.to_datetime(time)).filter(|run| *run > after) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The next runs after a moment, as many as there are up to `count`, which is 1000 at most.
///
/// # Errors
/// As [`next_run`].
pub fn next_runs(timetable: &Timetable, after: Timestamp, count: usize) -> Result<Vec<Timestamp>> {
    let mut runs: Vec<Timestamp> = Vec::new();
    while runs.len() < count.min(MOST_RUNS) {
        let after = runs.last().copied().unwrap_or(after);
        let Some(run) = next_run(timetable, after)? else { break };
        runs.push(run);
    }
    Ok(runs)
}

fn zone(field: &str, timetable: &Timetable) -> Result<TimeZone> {
    TimeZone::get(&timetable.zone).map_err(|_| -> Error {
        invalid(
            "timetable.zone",
            format!("{field}.zone"),
            format!("there is no time zone {:?}", timetable.zone),
        )
        .with_remedy("give the IANA name of a zone, e.g. Asia/Seoul or Europe/Berlin")
    })
}

/// The moment at which clocks show this: the end of the gap when they skip it, the first time when they show it twice.
fn moment(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            // Before the gap, by the clock that holds after it.
            let earlier = after.to_timestamp(local).ok()?;
            zone.following(earlier).next().map(|change| change.timestamp())
        }
    }
}

/// The days of a timetable, from about a day on.
struct Days<'a> {
    timetable: &'a Timetable,
    /// How many steps of the recurrence were made since its first day.
    step: i64,
}

impl<'a> Days<'a> {
    /// From the last day on that is not after this one.
    fn from(timetable: &'a Timetable, day: Date) -> Self {
        let since = |first: Date| first.until(day).map_or(0, |span| i64::from(span.get_days()));
        let step = match timetable.recurrence {
            Recurrence::Daily { days } => since(timetable.begins) / i64::from(days.max(1)),
            Recurrence::Weekly { weeks, weekday } => {
                first_weekday(timetable.begins, weekday).map_or(0, since) / (7 * i64::from(weeks.max(1)))
            }
            Recurrence::MonthlyByDay { from_month, months, .. }
            | Recurrence::MonthlyByWeekday { from_month, months, .. } => {
                let (year, month) = first_month(timetable.begins, from_month);
                let years = i64::from(day.year()) - year;
                (years * 12 + i64::from(day.month()) - month) / i64::from(months.max(1))
            }
        };
        // A day earlier in the zone may still be later than the moment.
        let step = step.saturating_sub(1).max(0);
        Self { timetable, step }
    }

    fn next(&mut self) -> Option<Date> {
        let t = self.timetable;
        for _ in 0..PATIENCE {
            let step = self.step;
            self.step += 1;
            let day = match t.recurrence {
                Recurrence::Daily { days } => Some(later(t.begins, step.checked_mul(i64::from(days))?)?),
                Recurrence::Weekly { weeks, weekday } => {
                    let days = step.checked_mul(7 * i64::from(weeks))?;
                    Some(later(first_weekday(t.begins, weekday)?, days)?)
                }
                Recurrence::MonthlyByDay {
                    from_month,
                    months,
                    day,
                } => day_of_month(month(t.begins, from_month, months, step)?, day),
                Recurrence::MonthlyByWeekday {
                    from_month,
                    months,
                    week,
                    weekday,
                } => weekday_of_month(month(t.begins, from_month, months, step)?, week, weekday),
            };
            if day.is_some_and(|day| t.ends.is_some_and(|end| day > end)) {
                return None;
            }
            if let Some(day) = day.filter(|day| *day >= t.begins) {
                return Some(day);
            }
        }
        None
    }
}

fn later(from: Date, days: i64) -> Option<Date> {
    from.checked_add(Span::new().try_days(days).ok()?).ok()
}

fn first_weekday(from: Date, weekday: Weekday) -> Option<Date> {
    let days = from.weekday().until(weekday.into());
    later(from, days.into())
}

/// Year and month from which months are counted.
fn first_month(begins: Date, from_month: u8) -> (i64, i64) {
    let (year, month) = (i64::from(begins.year()), i64::from(from_month));
    (year + i64::from(month < i64::from(begins.month())), month)
}

/// The first day of the month after so many steps.
fn month(begins: Date, from_month: u8, months: u16, step: i64) -> Option<Date> {
    let (year, month) = first_month(begins, from_month);
    let all = (year * 12 + month - 1).checked_add(step.checked_mul(i64::from(months))?)?;
    let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()
}

fn day_of_month(month: Date, day: DayOfMonth) -> Option<Date> {
    match day {
        DayOfMonth::Last => Some(month.last_of_month()),
        DayOfMonth::Day(day) => Date::new(month.year(), month.month(), i8::try_from(day).ok()?).ok(),
    }
}

fn weekday_of_month(month: Date, week: WeekOfMonth, weekday: Weekday) -> Option<Date> {
    let nth = match week {
        WeekOfMonth::First => 1,
        WeekOfMonth::Second => 2,
        WeekOfMonth::Third => 3,
        WeekOfMonth::Fourth => 4,
        WeekOfMonth::Fifth => 5,
        WeekOfMonth::Last => -1,
    };
    month.nth_weekday_of_month(nth, weekday.into()).ok()
}

impl From<Weekday> for civil::Weekday {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }
}
