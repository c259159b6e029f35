//! Cases for storage providers.

mod basics;
mod bench;
mod ends;
mod points;
mod roles;

pub(super) use bench::Pair;
pub use bench::StorageBench;

use super::case::{Case, cases};

/// Every storage case, with where its rule comes from.
#[must_use]
pub fn storage_cases<'f>() -> Vec<Case<StorageBench<'f>>> {
    cases![StorageBench<'f>:
        basics::identity, "CL-02";
        basics::pairing_is_idempotent, "REP-01";
        basics::enable_is_idempotent, "REP-03";
        basics::initial_copy_is_equal, "REP-03, PLAN-14";
        basics::unknown_image, "the port's documentation";
        points::snapshot_is_idempotent, "the port's documentation";
        points::arrived_means_the_snapshot_is_there, "REP-04, REP-15";
        points::missing_snapshot, "the port's documentation";
        points::replica_is_read_only, "Ceph facts 2";
        points::drill_on_a_clone, "Ceph facts 0.7";
        points::found_by_token_after_rename, "OpenStack facts 2 (manage)";
        points::remove_is_guarded, "INV-30, INV-35";
        points::flatten_makes_independent, "REP-14";
        points::a_clone_is_flattened_before_it_replicates, "PLAN-14, OpenStack facts 2";
        points::vault_survives_deletion_at_the_source, "Ceph facts 0.9 and 12";
        points::metadata_is_kept, "the port's documentation";
        points::a_dropped_call_is_made_again, "provider: cancellation";
        roles::hand_over_and_back_loses_nothing, "Ceph facts 6";
        roles::roles_are_idempotent, "provider: idempotence";
        roles::promote_needs_a_demotion, "Ceph facts 0.4";
        roles::promote_before_arrival_is_refused, "Ceph facts 0.4";
        roles::fail_back_too_early_is_refused, "Ceph facts 0.4";
        roles::forced_promotion_shows_on_both_sides, "Ceph facts 0.5";
        roles::resync_takes_the_winners_data, "Ceph facts 7";
        roles::status_tells_the_age_of_the_data, "Ceph facts 0.1, 3";
        ends::a_rename_is_survived, "Ceph facts 13.1";
        ends::disable_removes_the_replica, "REP-05";
        ends::a_removed_snapshot_disappears, "REP-04, INV-37, Ceph facts 4, 5";
    ]
}
