//! How often recovery points are made (SCH-06 … SCH-09).

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What an interval is counted in. Minutes, hours, days and weeks are lengths of time, whatever a clock on the wall shows: an hour
/// is 3600 s, a day 24 h, also when clocks are changed. Months are those of the calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalUnit {
    /// Minutes (SCH-06): what the screen of a protection group gives (CON-35).
    Minutes,
    /// Hours (SCH-07).
    Hours,
    /// Days (CON-35).
    Days,
    /// Weeks (SCH-08).
    Weeks,
    /// Months (SCH-09).
    Months,
}

impl IntervalUnit {
    /// All of them, the shortest first.
    pub const ALL: [Self; 5] = [Self::Minutes, Self::Hours, Self::Days, Self::Weeks, Self::Months];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
            Self::Weeks => "weeks",
            Self::Months => "months",
        }
    }

    /// How many minutes one is; none for months, which differ.
    pub(crate) const fn fixed_minutes(self) -> Option<u32> {
        match self {
            Self::Minutes => Some(1),
            Self::Hours => Some(60),
            Self::Days => Some(24 * 60),
            Self::Weeks => Some(7 * 24 * 60),
            Self::Months => None,
        }
    }
}

impl fmt::Display for IntervalUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often recovery points of a protection group are made (REP-12, SCH-06 … SCH-09). Number and unit are apart, so that no `m` has
/// to say whether it stands for minutes or months (SCH-11, CON-36). Which numbers are allowed is told by
/// [`rules::interval_range`](crate::rules::interval_range) (OPEN-08).
///
/// ```
/// use ns_core::model::SnapshotInterval;
///
/// assert_eq!(SnapshotInterval::minutes(10).to_string(), "every 10 minutes");
/// assert_eq!(SnapshotInterval::months(1).to_string(), "every month");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotInterval {
    /// How many of the unit lie between two points.
    pub every: u32,
    /// What they are.
    pub unit: IntervalUnit,
}

impl SnapshotInterval {
    const fn new(every: u32, unit: IntervalUnit) -> Self {
        Self { every, unit }
    }

    /// Every so many minutes (SCH-06).
    #[must_use]
    pub const fn minutes(every: u32) -> Self {
        Self::new(every, IntervalUnit::Minutes)
    }

    /// Every so many hours (SCH-07).
    #[must_use]
    pub const fn hours(every: u32) -> Self {
        Self::new(every, IntervalUnit::Hours)
    }

    /// Every so many days (CON-35).
    #[must_use]
    pub const fn days(every: u32) -> Self {
        Self::new(every, IntervalUnit::Days)
    }

    /// Every so many weeks (SCH-08).
    #[must_use]
    pub const fn weeks(every: u32) -> Self {
        Self::new(every, IntervalUnit::Weeks)
    }

    /// Every so many months (SCH-09).
    #[must_use]
    pub const fn months(every: u32) -> Self {
        Self::new(every, IntervalUnit::Months)
    }

    /// The most minutes there can be between two points: a month may have 31 days.
    #[must_use]
    pub fn longest_minutes(self) -> u64 {
        let one = self.unit.fixed_minutes().unwrap_or(31 * 24 * 60);
        u64::from(self.every) * u64::from(one)
    }

    /// Reads an interval as it is stored, also one of earlier versions, which knew minutes only and stored their number.
    pub(super) fn stored<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "an interval has a number `every` and a `unit`: minutes, hours, days, weeks or months"
        )]
        enum Stored {
            Interval(SnapshotInterval),
            Minutes(u32),
        }
        let stored = Option::<Stored>::deserialize(from)?;
        Ok(stored.map(|stored| match stored {
            Stored::Interval(interval) => interval,
            Stored::Minutes(every) => Self::minutes(every),
        }))
    }
}

impl fmt::Display for SnapshotInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit.as_str();
        match self.every {
            1 => write!(f, "every {}", unit.trim_end_matches('s')),
            every => write!(f, "every {every} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProtectionGroup;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn any_interval() -> impl Strategy<Value = SnapshotInterval> {
        (any::<u32>(), prop::sample::select(&IntervalUnit::ALL[..]))
            .prop_map(|(n, unit)| SnapshotInterval::new(n, unit))
    }

    fn group() -> Value {
        json!({
            "id": "g", "name": "shop", "description": "", "owner_group_id": "ops", "source_cluster": "c", "instances": ["i"],
            "rpo_minutes": 15, "rto_minutes": 30,
            "registered_at": "2026-01-01T00:00:00Z", "modified_at": "2026-01-01T00:00:00Z",
        })
    }

    fn read(field: &str, value: Value) -> Result<Option<SnapshotInterval>, serde_json::Error> {
        let mut group = group();
        group[field] = value;
        serde_json::from_str::<ProtectionGroup>(&group.to_string()).map(|g| g.snapshot_interval)
    }

    #[test]
    fn sch_06_sch_07_sch_08_sch_09_con_35_what_it_says() {
        for (interval, text, longest) in [
            (SnapshotInterval::minutes(10), "every 10 minutes", 10),
            (SnapshotInterval::hours(1), "every hour", 60),
            (SnapshotInterval::days(2), "every 2 days", 2 * 24 * 60),
            (SnapshotInterval::weeks(1), "every week", 7 * 24 * 60),
            (SnapshotInterval::months(3), "every 3 months", 3 * 31 * 24 * 60),
        ] {
            assert_eq!(
                (interval.to_string().as_str(), interval.longest_minutes()),
                (text, longest)
            );
        }
    }

    /// SCH-11, CON-36: a letter is no unit, so none can be taken for minutes here and for months there.
    #[test]
    fn sch_11_con_36_minutes_and_months_cannot_be_mistaken() {
        let minutes = serde_json::to_value(SnapshotInterval::minutes(2)).unwrap();
        let months = serde_json::to_value(SnapshotInterval::months(2)).unwrap();
        assert_eq!(minutes, json!({"every": 2, "unit": "minutes"}));
        assert_eq!(months, json!({"every": 2, "unit": "months"}));
        for letter in ["m", "mm", "M", "h", "d", "minute", "month", ""] {
            let wrong = json!({"every": 2, "unit": letter});
            let error = serde_json::from_str::<SnapshotInterval>(&wrong.to_string())
                .unwrap_err()
                .to_string();
            for unit in IntervalUnit::ALL {
                assert!(error.contains(&format!("`{unit}`")), "{letter}: {error}");
            }
            let error = read("snapshot_interval", wrong).unwrap_err().to_string();
            assert!(error.contains("minutes, hours, days, weeks or months"), "{error}");
        }
        // Nor is the short text of another product read anywhere.
        for text in ["5m", "1h", "2d", "30"] {
            assert!(serde_json::from_value::<SnapshotInterval>(json!(text)).is_err());
            assert!(read("snapshot_interval", json!(text)).is_err());
        }
        assert!(serde_json::from_value::<SnapshotInterval>(json!({"every": 2})).is_err());
    }

    /// What earlier versions stored of a group: a number of minutes, by another name, or nothing.
    #[test]
    fn con_35_what_earlier_versions_stored_is_read() {
        let earlier = |value| read("snapshot_interval_minutes", value).unwrap();
        assert_eq!(earlier(json!(30)), Some(SnapshotInterval::minutes(30)));
        assert_eq!(earlier(Value::Null), None);
        assert_eq!(read("description", json!("of a version without one")).unwrap(), None);
    }

    proptest! {
        #[test]
        fn con_35_what_is_stored_is_read(interval in prop::option::of(any_interval())) {
            let mut group: ProtectionGroup = serde_json::from_value(group()).unwrap();
            group.snapshot_interval = interval;
            let text = serde_json::to_string(&group).unwrap();
            prop_assert_eq!(serde_json::from_str::<ProtectionGroup>(&text).unwrap(), group);
        }
    }
}
