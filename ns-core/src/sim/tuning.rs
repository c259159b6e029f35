//! How long things take in a simulated world. The defaults are what was measured on the real services; since time is
//! virtual, long ones cost nothing.

use std::time::Duration;

/// Times and rates of a simulated world.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// A look at storage.
    pub storage_read: Duration,
    /// A change of storage.
    pub storage_write: Duration,
    /// A change that needs a round of the monitors: promote, demote, enable and mirror snapshot in snapshot mode.
    pub storage_round: Duration,
    /// How long a storage call to a dead site takes to fail.
    pub storage_timeout: Duration,
    /// A look at a cloud, per page.
    pub cloud_read: Duration,
    /// A change in a cloud.
    pub cloud_write: Duration,
    /// Making a server until it is active.
    pub server_create: Duration,
    /// Stopping a server politely.
    pub server_stop: Duration,
    /// How long a call waits for a service that accepts but does not answer, or answered but does not act.
    pub request_limit: Duration,
    /// From a mirror snapshot to the beginning of its copy.
    pub mirror_poll: Duration,
    /// The shortest copy.
    pub copy_base: Duration,
    /// Rate of copies.
    pub bytes_per_second: u64,
    /// How far a replica lags behind in journal mode.
    pub journal_lag: Duration,
    /// From enabling replication to the existence of the replica.
    pub discover: Duration,
    /// From the removal of a primary to the removal of its replica.
    pub delete_lag: Duration,
    /// From the wish for a resync to the disappearance of the image.
    pub resync_removes: Duration,
    /// From there to its return.
    pub resync_remakes: Duration,
    /// How often mirror daemons post status.
    pub heartbeat: Duration,
    /// From the return of a site to the resumption of replication.
    pub daemon_return: Duration,
    /// What a forced promotion takes that rolls back an unfinished copy.
    pub rollback: Duration,
    /// Things per page of an inventory.
    pub page: usize,
    /// Whether a server that is being made shows `ERROR` before it becomes active (OpenStack facts 5).
    pub error_before_active: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            storage_read: ms(50),
            storage_write: ms(100),
            storage_round: ms(1000),
            storage_timeout: ms(3000),
            cloud_read: ms(50),
            cloud_write: ms(250),
            server_create: ms(6000),
            server_stop: ms(3000),
            request_limit: ms(60_000),
            mirror_poll: ms(2000),
            copy_base: ms(300),
            bytes_per_second: 100 << 20,
            journal_lag: ms(5000),
            discover: ms(3000),
            delete_lag: ms(2000),
            resync_removes: ms(29_000),
            resync_remakes: ms(30_000),
            heartbeat: ms(30_000),
            daemon_return: ms(30_000),
            rollback: ms(37_000),
            page: 100,
            error_before_active: false,
        }
    }
}
