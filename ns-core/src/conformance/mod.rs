//! The behaviour suite: what every provider must do, as named cases that run against any of them.
//!
//! The simulated clouds run it on every test run; the real ones run it in the lab; a third party runs it against its own
//! provider. Whoever runs it implements [`StorageFixture`] or [`CloudFixture`]: the provider under test plus direct access
//! to bytes and clouds, so that nothing is believed because the provider says so. The suite knows the ports and the model
//! and nothing else: no provider by name, no engine.
//!
//! A case whose capability is missing, or whose moment could not be caught, is skipped with its reason; it never passes
//! silently. Each case makes what it needs, removes it again, and fails if it cannot.

mod case;
mod cloud;
mod fixture;
mod report;
mod storage;
mod surprises;

pub use case::Case;
pub use cloud::{CloudBench, cloud_cases};
pub use fixture::{CloudFixture, Side, StorageFixture};
pub use report::{Outcome, Report};
pub use storage::{StorageBench, storage_cases};
pub use surprises::{Raw, RawFixture, SurpriseBench, surprise_cases, surprises};

/// Runs every storage case.
pub async fn storage(fixture: &dyn StorageFixture) -> Report {
    storage_only(fixture, &|_| true).await
}

/// Runs the storage cases whose names are wanted.
pub async fn storage_only(fixture: &dyn StorageFixture, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Report {
    let run_id = fixture.run_id();
    let clock = fixture.clock();
    let limit = fixture.patience() * 8;
    case::run(storage_cases(), wanted, &*clock, limit, fixture.concurrency(), |name| {
        StorageBench::new(fixture, &run_id, name)
    })
    .await
}

/// Runs every cloud case.
pub async fn cloud(fixture: &dyn CloudFixture) -> Report {
    cloud_only(fixture, &|_| true).await
}

/// Runs the cloud cases whose names are wanted.
pub async fn cloud_only(fixture: &dyn CloudFixture, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Report {
    let run_id = fixture.run_id();
    let clock = fixture.clock();
    let limit = fixture.patience() * 8;
    case::run(cloud_cases(), wanted, &*clock, limit, fixture.concurrency(), |name| {
        CloudBench::new(fixture, &run_id, name)
    })
    .await
}
