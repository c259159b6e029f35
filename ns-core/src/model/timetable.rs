//! When something runs again and again, by the clock on somebody's wall (SCH-02 … SCH-05).

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// A day of a month. One that a month does not have is skipped in it (OPEN-09).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "day")]
pub enum DayOfMonth {
    /// 1 to 31.
    Day(u8),
    /// The last one, whichever it is.
    Last,
}

/// Which of the same weekdays of a month (CON-34). A fifth that a month does not have is skipped in it (OPEN-09).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum WeekOfMonth {
    First,
    Second,
    Third,
    Fourth,
    Fifth,
    /// The last one, whether it is the fourth or the fifth.
    Last,
}

/// The days on which something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "every")]
pub enum Recurrence {
    /// Every so many days, from the first day of the timetable on (SCH-02).
    Daily {
        /// 1 to 366.
        days: u16,
    },
    /// Every so many weeks on a weekday; the first is the first such day of the timetable (SCH-03).
    Weekly {
        /// 1 to 52.
        weeks: u16,
        /// On which day.
        weekday: Weekday,
    },
    /// Every so many months on a day of the month (SCH-04).
    MonthlyByDay {
        /// From this month on, 1 to 12: of the timetable's first year, or of the next when it is over by then.
        from_month: u8,
        /// 1 to 12.
        months: u16,
        /// On which day.
        day: DayOfMonth,
    },
    /// Every so many months on, say, the second Tuesday (SCH-05).
    MonthlyByWeekday {
        /// From this month on, 1 to 12: of the timetable's first year, or of the next when it is over by then.
        from_month: u8,
        /// 1 to 12.
        months: u16,
        /// Which of these weekdays.
        week: WeekOfMonth,
        /// On which day.
        weekday: Weekday,
    },
}

/// When something runs: on which days, and at which time of the day in which zone. A time that a day does not have, because clocks
/// are put forward, is the moment they are put forward; of one that a day has twice the first counts (OPEN-09).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    /// The days.
    pub recurrence: Recurrence,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
    /// The time zone by its IANA name, e.g. `Asia/Seoul`.
    pub zone: String,
    /// The first day, in that zone.
    pub begins: Date,
    /// The last day; none for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Date>,
}
