//! The manifest of a recovery point: digests of its parts, made when the point is complete and compared before a job takes
//! it. What was changed since, in the store or by hand, is not recovered from.

use crate::journal::digest;
use crate::model::{Manifest, RecoveryPoint};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;

/// The manifest of a point as it is now.
pub(super) fn of(point: &RecoveryPoint) -> Result<Manifest> {
    with_plan(point, &text(&point.plan)?)
}

fn with_plan(point: &RecoveryPoint, plan: &str) -> Result<Manifest> {
    let mut parts = vec![
        ("plan".to_owned(), digest(plan.as_bytes())),
        ("inventory".to_owned(), part(&point.inventory)?),
        (
            "times".to_owned(),
            part(&(point.taken_at, point.complete_at, point.consistency))?,
        ),
    ];
    for (id, volume) in &point.volumes {
        parts.push((format!("volume/{id}"), part(volume)?));
    }
    let parts = parts.into_iter().collect();
    Ok(Manifest {
        digest: part(&parts)?,
        parts,
    })
}

/// Compares a point with its manifest.
///
/// # Errors
/// `Corrupt`, naming the parts that differ.
pub(crate) fn check(point: &RecoveryPoint) -> Result<()> {
    let known = &point.manifest.parts;
    let mut plan = text(&point.plan)?;
    // Either form says the same.
    if let Some(earlier) = earlier(&plan).filter(|text| known.get("plan") == Some(&digest(text.as_bytes()))) {
        plan = earlier;
    }
    let now = with_plan(point, &plan)?;
    if now == point.manifest {
        return Ok(());
    }
    let keys = known.keys().chain(now.parts.keys());
    let mut differ: Vec<&str> = keys
        .filter(|k| known.get(*k) != now.parts.get(*k))
        .map(String::as_str)
        .collect();
    differ.sort_unstable();
    differ.dedup();
    let what = if differ.is_empty() {
        "digest".to_owned()
    } else {
        differ.join(", ")
    };
    Err(Error::new(
        ErrorKind::Corrupt,
        "point.manifest",
        format!("the recovery point is not as it was made: {what}"),
    )
    .with_field("data_point")
    .with("point", &point.id)
    .with_remedy("choose another recovery point, or restore the store from a copy"))
}

/// The text of a plan as it was written while groups had a number of minutes between two points (the group that a plan leads back
/// to is in it); none when it has an interval that was not possible then.
fn earlier(plan: &str) -> Option<String> {
    // In a value a quotation mark has a backslash before it: this is found as a key only.
    let mut parts = plan.split("\"snapshot_interval\":");
    let mut earlier = parts.next()?.to_owned();
    for part in parts {
        earlier.push_str("\"snapshot_interval_minutes\":");
        if part.starts_with("null") {
            earlier.push_str(part);
            continue;
        }
        let (minutes, rest) = part.strip_prefix("{\"every\":")?.split_once(',')?;
        earlier.push_str(minutes);
        earlier.push_str(rest.strip_prefix("\"unit\":\"minutes\"}")?);
    }
    Some(earlier)
}

fn part<T: Serialize>(value: &T) -> Result<String> {
    Ok(digest(text(value)?.as_bytes()))
}

fn text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorKind::Internal, "point.encode", e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProtectionGroup, SnapshotInterval};
    use std::path::Path;

    /// Every recovery point of the corpus: its folder, and the point.
    fn corpus() -> Vec<(String, RecoveryPoint)> {
        let folders = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")).unwrap();
        let mut points = Vec::new();
        for folder in folders {
            let folder = folder.unwrap().path();
            let Ok(lines) = std::fs::read_to_string(folder.join("documents/point.jsonl")) else {
                continue;
            };
            for line in lines.lines() {
                let mut document: serde_json::Value = serde_json::from_str(line).unwrap();
                let point = serde_json::from_value(document["body"].take()).unwrap();
                points.push((folder.display().to_string(), point));
            }
        }
        points
    }

    fn group(interval: Option<SnapshotInterval>) -> ProtectionGroup {
        ProtectionGroup {
            id: "g".into(),
            name: "\"snapshot_interval\":null".into(),
            description: "\"snapshot_interval\":{\"every\":30,\"unit\":\"minutes\"}".into(),
            owner_group_id: "ops".into(),
            source_cluster: "c".into(),
            instances: Vec::new(),
            rpo_minutes: 15,
            rto_minutes: 30,
            snapshot_interval: interval,
            registered_at: jiff::Timestamp::UNIX_EPOCH,
            modified_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// REP-09, CON-35: a point that an earlier version made is still as it was made; one that was changed is not, whichever version
    /// made it.
    #[test]
    fn rep_09_con_35_points_of_earlier_versions_hold() {
        let points = corpus();
        let led_back = points.iter().filter(|(_, point)| point.plan.home.is_some()).count();
        assert!(led_back >= 2, "{led_back} of {}", points.len());
        for (folder, point) in points {
            check(&point).unwrap_or_else(|error| panic!("{folder}: {error}"));
            let mut again: RecoveryPoint = serde_json::from_str(&text(&point).unwrap()).unwrap();
            check(&again).unwrap_or_else(|error| panic!("{folder}, written again: {error}"));
            let Some(home) = &mut again.plan.home else { continue };
            home.group.snapshot_interval = Some(SnapshotInterval::minutes(11));
            let error = check(&again).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "point.manifest"));
            assert!(error.message().ends_with(": plan"), "{error}");
        }
    }

    #[test]
    fn con_35_the_text_that_earlier_versions_wrote() {
        let of = |interval| text(&[group(interval), group(None)]).unwrap();
        let minutes = earlier(&of(Some(SnapshotInterval::minutes(30)))).unwrap();
        let now = of(Some(SnapshotInterval::minutes(30)));
        let expected = now
            .replace(
                ",\"snapshot_interval\":{\"every\":30,\"unit\":\"minutes\"},",
                ",\"snapshot_interval_minutes\":30,",
            )
            .replace(",\"snapshot_interval\":null,", ",\"snapshot_interval_minutes\":null,");
        assert_eq!(minutes, expected);
        assert_eq!(
            minutes.matches("\"snapshot_interval_minutes\":30,").count(),
            1,
            "{minutes}"
        );
        assert_eq!(
            serde_json::from_str::<Vec<ProtectionGroup>>(&minutes).unwrap()[0],
            group(Some(SnapshotInterval::minutes(30)))
        );
        assert_eq!(earlier(&of(Some(SnapshotInterval::hours(30)))), None);
        assert_eq!(earlier("{}").as_deref(), Some("{}"));
    }
}
