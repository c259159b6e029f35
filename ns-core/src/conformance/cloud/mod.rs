//! Cases for cloud providers.

mod basics;
mod bench;
mod networks;
mod servers;
mod stage;
mod volumes;

pub use bench::CloudBench;

use super::case::{Case, cases};

/// Every cloud case, with where its rule comes from.
#[must_use]
pub fn cloud_cases<'f>() -> Vec<Case<CloudBench<'f>>> {
    cases![CloudBench<'f>:
        basics::check, "CL-02";
        basics::create_is_idempotent, "provider: tokens";
        basics::inventory_shows_what_was_made, "CL-01, INV-02 to INV-12";
        basics::remove_checks_the_token, "INV-30";
        basics::unknown_things, "the port's documentation";
        basics::a_dropped_call_is_made_again, "provider: cancellation";
        networks::in_use_is_a_conflict, "OpenStack facts 5";
        networks::a_port_keeps_its_addresses, "INV-23, OpenStack facts 2";
        networks::a_security_group_has_exactly_its_rules, "INV-07, INV-23";
        networks::a_floating_ip_leads_to_its_port, "INV-23, OpenStack facts 2";
        networks::nonsense_is_declined, "OpenStack facts 5";
        volumes::adopt_makes_a_volume, "INV-26, OpenStack facts 2 (manage)";
        volumes::sizes_are_rounded_up, "OpenStack facts 2 (manage)";
        volumes::adopting_nothing_leaves_nothing, "OpenStack facts 2 (manage)";
        volumes::a_replica_is_not_adopted, "OpenStack facts 2 (manage)";
        volumes::release_keeps_the_bytes, "OpenStack facts 2 (unmanage)";
        volumes::a_volume_with_snapshots_is_not_released, "OpenStack facts 2 (unmanage)";
        volumes::a_dropped_adoption_is_made_again, "provider: cancellation";
        servers::a_server_boots_from_adopted_volumes, "INV-24, OpenStack facts 4";
        servers::stop_and_start, "the port's documentation";
        servers::removing_a_server_keeps_volumes_and_ports, "INV-24";
        servers::two_servers_share_a_volume, "OpenStack facts 2 (multiattach)";
        servers::used_volumes_and_ports_are_not_used_again, "OpenStack facts 5";
        servers::an_exhausted_quota, "OpenStack facts 5";
        servers::a_server_that_fits_nowhere, "OpenStack facts 5";
        servers::server_groups_keep_apart, "OpenStack facts 2 (server group)";
    ]
}
