//! The manifest of a recovery point: digests of its parts, made when the point is complete and compared before a job takes
//! it. What was changed since, in the store or by hand, is not recovered from.

use crate::journal::digest;
use crate::model::{Manifest, RecoveryPoint};
use crate::{Error, ErrorKind, Result};
use serde::Serialize;

/// The manifest of a point as it is now.
pub(super) fn of(point: &RecoveryPoint) -> Result<Manifest> {
    let mut parts = vec![
        ("plan".to_owned(), part(&point.plan)?),
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
    let now = of(point)?;
    if now == point.manifest {
        return Ok(());
    }
    let known = &point.manifest.parts;
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

fn part<T: Serialize>(value: &T) -> Result<String> {
    let text =
        serde_json::to_string(value).map_err(|e| Error::new(ErrorKind::Internal, "point.encode", e.to_string()))?;
    Ok(digest(text.as_bytes()))
}
