//! The behaviour suite on the simulated world.

use ns_core::conformance;
use ns_core::model::ReplicationMode;
use ns_core::sim::{SimClock, SimCloudFixture, SimStorageFixture, SimWorld};
use std::sync::Arc;

fn world() -> SimWorld {
    SimWorld::new(Arc::new(SimClock::new()), 1)
}

#[tokio::test]
async fn storage_in_snapshot_mode() {
    let report = conformance::storage(&SimStorageFixture::new(world(), ReplicationMode::Snapshot)).await;
    println!("{report}");
    assert!(report.is_ok() && report.skipped.is_empty(), "{report}");
}

#[tokio::test]
async fn storage_in_journal_mode() {
    let report = conformance::storage(&SimStorageFixture::new(world(), ReplicationMode::Journal)).await;
    println!("{report}");
    assert!(report.is_ok() && report.skipped.is_empty(), "{report}");
}

#[tokio::test]
async fn cloud() {
    let report = conformance::cloud(&SimCloudFixture::new(world())).await;
    println!("{report}");
    assert!(report.is_ok() && report.skipped.is_empty(), "{report}");
}
