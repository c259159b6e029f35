use crate::exactly;
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use ns_core::ErrorKind::Invalid;
use ns_core::model::{DayOfMonth, Recurrence, Timetable, WeekOfMonth, Weekday};
use ns_core::rules::{check_timetable, next_run, next_runs};
use proptest::prelude::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn table(recurrence: Recurrence, zone: &str, time: (u8, u8), begins: civil::Date) -> Timetable {
    Timetable {
        recurrence,
        hour: time.0,
        minute: time.1,
        zone: zone.to_owned(),
        begins,
        ends: None,
    }
}

/// The next runs after the beginning of the first day, as clocks in the zone show them.
#[track_caller]
fn runs(timetable: &Timetable, expected: &[&str]) {
    check_timetable("t", timetable).unwrap();
    let zone = TimeZone::get(&timetable.zone).unwrap();
    let begin = timetable.begins.to_zoned(zone.clone()).unwrap().timestamp();
    let found: Vec<String> = next_runs(timetable, begin, expected.len())
        .unwrap()
        .into_iter()
        .map(|run| run.to_zoned(zone.clone()).strftime("%Y-%m-%d %a %H:%M").to_string())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn sch_02_every_so_many_days() {
    let daily = |days| table(Recurrence::Daily { days }, "Asia/Seoul", (2, 30), date(2026, 2, 26));
    runs(
        &daily(1),
        &[
            "2026-02-26 Thu 02:30",
            "2026-02-27 Fri 02:30",
            "2026-02-28 Sat 02:30",
            "2026-03-01 Sun 02:30",
        ],
    );
    runs(
        &daily(3),
        &["2026-02-26 Thu 02:30", "2026-03-01 Sun 02:30", "2026-03-04 Wed 02:30"],
    );
    // Counted from the first day, whenever it is asked.
    let later = next_run(&daily(3), at("2027-01-01T00:00:00Z")).unwrap().unwrap();
    let since = later.as_second() - at("2026-02-25T17:30:00Z").as_second();
    assert_eq!(since % (3 * 86_400), 0);
}

#[test]
fn sch_03_every_so_many_weeks() {
    let weekly = |weeks, weekday| {
        table(
            Recurrence::Weekly { weeks, weekday },
            "UTC",
            (23, 59),
            date(2026, 11, 23),
        ) // a Monday
    };
    runs(
        &weekly(1, Weekday::Monday),
        &["2026-11-23 Mon 23:59", "2026-11-30 Mon 23:59"],
    );
    runs(
        &weekly(2, Weekday::Sunday),
        &["2026-11-29 Sun 23:59", "2026-12-13 Sun 23:59", "2026-12-27 Sun 23:59"],
    );
}

#[test]
fn sch_04_open_09_every_so_many_months_on_a_day() {
    let monthly = |from_month, months, day| {
        let every = Recurrence::MonthlyByDay {
            from_month,
            months,
            day,
        };
        table(every, "Europe/Berlin", (6, 0), date(2026, 11, 23))
    };
    // A month without that day is left out; the last day is always there.
    runs(
        &monthly(12, 1, DayOfMonth::Day(31)),
        &[
            "2026-12-31 Thu 06:00",
            "2027-01-31 Sun 06:00",
            "2027-03-31 Wed 06:00",
            "2027-05-31 Mon 06:00",
        ],
    );
    runs(
        &monthly(11, 1, DayOfMonth::Last),
        &[
            "2026-11-30 Mon 06:00",
            "2026-12-31 Thu 06:00",
            "2027-01-31 Sun 06:00",
            "2027-02-28 Sun 06:00",
        ],
    );
    // What is over in the first month, or the first year, begins with the next.
    runs(
        &monthly(11, 6, DayOfMonth::Day(1)),
        &["2027-05-01 Sat 06:00", "2027-11-01 Mon 06:00"],
    );
    runs(
        &monthly(3, 12, DayOfMonth::Day(5)),
        &["2027-03-05 Fri 06:00", "2028-03-05 Sun 06:00"],
    );
    runs(
        &monthly(2, 12, DayOfMonth::Day(29)),
        &["2028-02-29 Tue 06:00", "2032-02-29 Sun 06:00"],
    );
}

#[test]
fn sch_05_open_09_every_so_many_months_on_a_weekday() {
    let monthly = |months, week, weekday| {
        let every = Recurrence::MonthlyByWeekday {
            from_month: 1,
            months,
            week,
            weekday,
        };
        table(every, "America/New_York", (1, 15), date(2026, 1, 1))
    };
    runs(
        &monthly(1, WeekOfMonth::Second, Weekday::Tuesday),
        &["2026-01-13 Tue 01:15", "2026-02-10 Tue 01:15"],
    );
    runs(
        &monthly(3, WeekOfMonth::Last, Weekday::Friday),
        &["2026-01-30 Fri 01:15", "2026-04-24 Fri 01:15"],
    );
    // A fifth that a month does not have is left out.
    runs(
        &monthly(1, WeekOfMonth::Fifth, Weekday::Saturday),
        &["2026-01-31 Sat 01:15", "2026-05-30 Sat 01:15", "2026-08-29 Sat 01:15"],
    );
}

#[test]
fn open_09_clocks_that_are_changed() {
    let nightly = table(
        Recurrence::Daily { days: 1 },
        "Europe/Berlin",
        (2, 30),
        date(2026, 3, 1),
    );
    let after = |text| next_run(&nightly, at(text)).unwrap().unwrap();
    // 02:00 becomes 03:00: it runs then. The night after is as always.
    assert_eq!(after("2026-03-28T12:00:00Z"), at("2026-03-29T01:00:00Z"));
    assert_eq!(after("2026-03-29T01:00:00Z"), at("2026-03-30T00:30:00Z"));
    // 03:00 becomes 02:00: of two times 02:30 the first counts.
    assert_eq!(after("2026-10-24T12:00:00Z"), at("2026-10-25T00:30:00Z"));
    assert_eq!(after("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z"));
}

#[test]
fn sch_02_to_05_what_is_refused() {
    let good = table(Recurrence::Daily { days: 1 }, "UTC", (0, 0), date(2026, 1, 1));
    let refuses = |code: &'static str, field: &'static str, spoil: &dyn Fn(&mut Timetable)| {
        let mut bad = good.clone();
        spoil(&mut bad);
        exactly(
            &[check_timetable("timetable", &bad).unwrap_err()],
            &[(Invalid, code, field)],
        );
    };
    refuses("timetable.range", "timetable.hour", &|t| t.hour = 24);
    refuses("timetable.range", "timetable.minute", &|t| t.minute = 60);
    for days in [0, 367] {
        refuses("timetable.range", "timetable.recurrence.days", &|t| {
            t.recurrence = Recurrence::Daily { days }
        });
    }
    for weeks in [0, 53] {
        let weekday = Weekday::Monday;
        refuses("timetable.range", "timetable.recurrence.weeks", &|t| {
            t.recurrence = Recurrence::Weekly { weeks, weekday }
        });
    }
    let by_day = |from_month, months, day| Recurrence::MonthlyByDay {
        from_month,
        months,
        day: DayOfMonth::Day(day),
    };
    refuses("timetable.range", "timetable.recurrence.from_month", &|t| {
        t.recurrence = by_day(13, 1, 1)
    });
    refuses("timetable.range", "timetable.recurrence.months", &|t| {
        t.recurrence = by_day(1, 0, 1)
    });
    refuses("timetable.range", "timetable.recurrence.day", &|t| {
        t.recurrence = by_day(1, 1, 32)
    });
    refuses("timetable.never", "timetable.recurrence", &|t| {
        t.recurrence = by_day(2, 12, 30)
    });
    refuses("timetable.never", "timetable.recurrence", &|t| {
        t.ends = Some(date(2025, 12, 31))
    });
    for zone in ["", "Mars/Olympus", "+09:00"] {
        refuses("timetable.zone", "timetable.zone", &|t| t.zone = zone.to_owned());
    }
}

fn recurrences() -> impl Strategy<Value = Recurrence> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let weekday = || prop::sample::select(vec![Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]);
    let week = prop::sample::select(vec![
        WeekOfMonth::First,
        WeekOfMonth::Third,
        WeekOfMonth::Fifth,
        WeekOfMonth::Last,
    ]);
    let day = prop_oneof![(1_u8..=31).prop_map(DayOfMonth::Day), Just(DayOfMonth::Last)];
    prop_oneof![
        (1_u16..40).prop_map(|days| Recurrence::Daily { days }),
        (1_u16..9, weekday()).prop_map(|(weeks, weekday)| Recurrence::Weekly { weeks, weekday }),
        (1_u8..=12, 1_u16..=12, day).prop_map(|(from_month, months, day)| Recurrence::MonthlyByDay {
            from_month,
            months,
            day
        }),
        (1_u8..=12, 1_u16..=12, week, weekday()).prop_map(|(from_month, months, week, weekday)| {
            Recurrence::MonthlyByWeekday {
                from_month,
                months,
                week,
                weekday,
            }
        }),
    ]
}

proptest! {
    /// OPEN-09: whatever the zone: runs follow one another, each on a day of its own that is within the bounds, at the time of the
    /// timetable unless that day does not have it; and asked from any moment between two runs, the next is the later one.
    #[test]
    fn open_09_runs_are_one_sequence(
        recurrence in recurrences(),
        zone in prop::sample::select(vec!["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu"]),
        time in (0_u8..24, 0_u8..60),
        begins in (2005_i16..2030, 1_i8..=12, 1_i8..=28),
        skip in 0_i64..2_000_000_000,
        share in 0.0_f64..1.0,
    ) {
        let begins = date(begins.0, begins.1, begins.2);
        let timetable = table(recurrence, zone, time, begins);
        if check_timetable("t", &timetable).is_err() {
            return Ok(());
        }
        let tz = TimeZone::get(zone).unwrap();
        let from = Timestamp::from_second(1_000_000_000 + skip).unwrap();
        let found = next_runs(&timetable, from, 12).unwrap();
        prop_assert_eq!(found.len(), 12);
        for pair in found.windows(2) {
            prop_assert!(pair[0] < pair[1]);
            let between = pair[0].as_second() as f64 + share * (pair[1].as_second() - pair[0].as_second()) as f64;
            let between = Timestamp::from_second(between as i64).unwrap();
            prop_assert_eq!(next_run(&timetable, between.min(pair[1] - jiff::SignedDuration::from_secs(1))).unwrap(), Some(pair[1]));
            prop_assert!(pair[0].to_zoned(tz.clone()).date() < pair[1].to_zoned(tz.clone()).date());
        }
        for run in &found {
            prop_assert!(*run > from);
            let local = run.to_zoned(tz.clone());
            prop_assert!(local.date() >= begins);
            let wanted = civil::time(time.0 as i8, time.1 as i8, 0, 0);
            if local.time() != wanted {
                // Only when that day has no such time.
                let there = tz.to_ambiguous_timestamp(local.date().to_datetime(wanted));
                prop_assert!(there.is_ambiguous() || local.date().to_datetime(wanted) != local.datetime());
                prop_assert!(matches!(there.offset(), jiff::tz::AmbiguousOffset::Gap { .. }), "{} is not at {}", local, wanted);
            }
        }
    }
}
