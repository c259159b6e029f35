//! Mirror snapshot schedules: the cluster's own timer, which ships even when no engine runs.
//!
//! Not part of the port (journal mode has none). A schedule on a replica is accepted and idle; define it on both sides
//! beforehand. A `-` in listings means the level as a whole.

use crate::config::PoolRef;
use crate::facts::parse;
use crate::outcome::NOT_FOUND;
use crate::provider::Ceph;
use crate::rbd::args;
use crate::spec::ImageSpec;
use futures::future::try_join_all;
use ns_core::model::StorageRef;
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;

/// A mirror snapshot every so many minutes, on whole multiples of the interval on the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The pool it is defined in.
    pub pool: PoolRef,
    /// The image; none for all mirrored images of the pool.
    pub image: Option<StorageRef>,
    /// The interval.
    pub minutes: u32,
    /// The start time as the cluster keeps it; none is midnight.
    pub start: Option<String>,
}

#[derive(Deserialize)]
struct Level {
    pool: String,
    namespace: String,
    image: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    interval: String,
    start_time: Option<String>,
}

impl Ceph {
    /// The schedules of the configured pools.
    ///
    /// # Errors
    /// `Denied` without `mgr 'profile rbd'`.
    pub async fn schedules(&self) -> Result<Vec<Schedule>> {
        let lists = self.config().pools.iter().map(|pool| async move {
            let mut call = args![
                "mirror",
                "snapshot",
                "schedule",
                "ls",
                "--recursive",
                "--format",
                "json"
            ];
            call.extend(level(pool, None));
            // Exit 2 without a word: there is none.
            let Some(json) = self.rbd.read(call).await?.ok_or_none(&[NOT_FOUND])? else {
                return Ok(vec![]);
            };
            schedules(&json)
        });
        let found = try_join_all(lists).await?.into_iter().flatten();
        // A pool's list holds its namespaces too.
        let mut found: Vec<Schedule> = found.filter(|s| self.config().pools.contains(&s.pool)).collect();
        found.sort_by(|a, b| (&a.pool, &a.image, a.minutes).cmp(&(&b.pool, &b.image, b.minutes)));
        found.dedup();
        Ok(found)
    }

    /// Adds a schedule to an image. `Ok` when it has it.
    ///
    /// # Errors
    /// `Invalid` for less than a minute; `NotFound` when there is no such image.
    pub async fn add_schedule(&self, image: &StorageRef, minutes: u32) -> Result<()> {
        if minutes == 0 {
            return Err(Error::new(
                ErrorKind::Invalid,
                "ceph.interval",
                "the shortest interval is one minute",
            )
            .with_field("minutes"));
        }
        let spec = self.ours(image)?;
        self.rbd.must_info(&spec).await?;
        let mut call = args!["mirror", "snapshot", "schedule", "add"];
        call.extend(level(&spec.pool, Some(&spec.image)));
        call.push(format!("{minutes}m"));
        self.rbd.change(call).await?.ok().map(drop)
    }

    /// Removes all schedules of an image. `Ok` when it has none or is gone.
    ///
    /// # Errors
    /// Those of the cluster.
    pub async fn remove_schedules(&self, image: &StorageRef) -> Result<()> {
        let spec = self.ours(image)?;
        if self.rbd.info(&spec).await?.is_none() {
            return Ok(());
        }
        let mut call = args!["mirror", "snapshot", "schedule", "remove"];
        call.extend(level(&spec.pool, Some(&spec.image)));
        self.rbd.change(call).await?.ok_or_none(&[NOT_FOUND]).map(drop)
    }
}

fn level(pool: &PoolRef, image: Option<&str>) -> Vec<String> {
    let mut args = args!["--pool", &pool.pool];
    if let Some(namespace) = &pool.namespace {
        args.extend(args!["--namespace", namespace]);
    }
    if let Some(image) = image {
        args.extend(args!["--image", image]);
    }
    args
}

pub(crate) fn schedules(json: &[u8]) -> Result<Vec<Schedule>> {
    let named = |text: String| (!text.is_empty() && text != "-").then_some(text);
    let mut found = Vec::new();
    for level in parse::<Vec<Level>>("schedule ls", json)? {
        let pool = PoolRef {
            pool: level.pool,
            namespace: named(level.namespace),
        };
        let image = named(level.image)
            .map(|i| ImageSpec::new(pool.clone(), i))
            .transpose()?
            .map(|i| i.to_ref());
        for item in level.items {
            let minutes = minutes(&item.interval).ok_or_else(|| {
                Error::new(ErrorKind::Internal, "ceph.unreadable", "an interval cannot be read")
                    .with("interval", &item.interval)
            })?;
            let start = item.start_time.filter(|s| !s.is_empty());
            found.push(Schedule {
                pool: pool.clone(),
                image: image.clone(),
                minutes,
                start,
            });
        }
    }
    Ok(found)
}

fn minutes(interval: &str) -> Option<u32> {
    let (number, unit) = interval.split_at_checked(interval.len().checked_sub(1)?)?;
    let factor = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_listing() {
        let found = schedules(include_bytes!("../testdata/schedule-ls.json")).unwrap();
        let pool = PoolRef::new("P");
        assert_eq!(
            found,
            [
                Schedule {
                    pool: pool.clone(),
                    image: None,
                    minutes: 60,
                    start: Some("14:00:00-05:00".into())
                },
                Schedule {
                    pool,
                    image: Some(StorageRef::new("rbd:P/s1")),
                    minutes: 1,
                    start: None
                },
            ]
        );
        assert_eq!(
            (minutes("2d"), minutes("30s"), minutes(""), minutes("9999999999d")),
            (Some(2880), None, None, None)
        );
    }
}
