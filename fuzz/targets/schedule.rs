//! Timetables of schedules, as JSON: what is taken has next runs, in order and within its days, from any moment on.
#![no_main]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ns_core::model::Timetable;
use ns_core::rules::{check_timetable, next_runs};

fn read(bytes: &[u8]) {
    let Ok(timetable) = serde_json::from_slice::<Timetable>(bytes) else {
        return;
    };
    if check_timetable("timetable", &timetable).is_err() {
        return;
    }
    let Ok(zone) = TimeZone::get(&timetable.zone) else {
        panic!("a zone that is not known was taken: {}", timetable.zone)
    };
    for after in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        // A time that no calendar has is refused; whatever is given has to be right.
        let Ok(runs) = next_runs(&timetable, after, 8) else {
            continue;
        };
        let mut last = after;
        for run in runs {
            assert!(run > last, "{run} after {last}");
            let day = run.to_zoned(zone.clone()).date();
            assert!(day >= timetable.begins, "{day} is before the first day");
            assert!(
                timetable.ends.is_none_or(|ends| day <= ends),
                "{day} is after the last day"
            );
            last = run;
        }
    }
}

ns_fuzz::target!(read);
