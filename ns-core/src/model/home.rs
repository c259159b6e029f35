//! The way home: what a reversed plan knows of the side it was failed over from.

use super::{CloudId, JobId, ProtectionGroup, RecoveryPlan, ReplicationId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a plan that leads back (OPEN-01) was before the failover. A failback to a side where the instances still are
/// starts them there on their own volumes; its confirm removes what the failover had made on the other side and puts group
/// and plan back, so that everything is as before the failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The confirmed failover that led away.
    pub failover_job: JobId,
    /// The group as it was.
    pub group: ProtectionGroup,
    /// The plan as it was; of its volumes, those that were handed over.
    pub plan: Box<RecoveryPlan>,
    /// The instance it was, by the instance it is now.
    pub instances: BTreeMap<CloudId, CloudId>,
    /// The volume it was, by the volume it is now.
    pub volumes: BTreeMap<CloudId, CloudId>,
}

impl Home {
    /// The replication of a volume as it is called now.
    #[must_use]
    pub fn replication(&self, volume: &CloudId) -> Option<&ReplicationId> {
        let volume = self.plan.volumes.get(self.volumes.get(volume)?)?;
        Some(&volume.replication_id)
    }

    /// The replications of all volumes.
    pub fn replications(&self) -> impl Iterator<Item = &ReplicationId> {
        self.plan.volumes.values().map(|v| &v.replication_id)
    }
}
