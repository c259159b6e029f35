//! What can be asked of the product's own records.

use super::query::queryable;
use super::{
    Cluster, ConnectionState, FieldValue, JobSummary, PlanChange, PointId, ProtectionGroup, RecoveryPlan,
    RecoveryPoint, SyncState,
};

impl ConnectionState {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

impl SyncState {
    /// The stable name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Running { .. } => "running",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
        }
    }
}

queryable! { Cluster, id;
    "id" Text = |c| c.id.as_str(),
    "name" Text = |c| &c.name,
    "owner_group_id" Text = |c| c.owner_group_id.as_str(),
    "platform" Text = |c| &c.platform,
    "storage_kind" Text = |c| &c.storage_kind,
    "connection" Text = |c| c.connection.as_str(),
    "sync" Text = |c| c.sync.as_str(),
    "registered_at" Time = |c| c.registered_at,
}

queryable! { ProtectionGroup, id;
    "id" Text = |g| g.id.as_str(),
    "name" Text = |g| &g.name,
    "owner_group_id" Text = |g| g.owner_group_id.as_str(),
    "source_cluster" Text = |g| g.source_cluster.as_str(),
    "instances" Text = |g| g.instances.iter().map(super::CloudId::as_str).collect::<FieldValue<'_>>(),
    "rpo_minutes" Number = |g| g.rpo_minutes,
    "rto_minutes" Number = |g| g.rto_minutes,
    "registered_at" Time = |g| g.registered_at,
    "modified_at" Time = |g| g.modified_at,
}

queryable! { RecoveryPlan, id;
    "id" Text = |p| p.id.as_str(),
    "name" Text = |p| &p.name,
    "group_id" Text = |p| p.group_id.as_str(),
    "target_cluster" Text = |p| p.target_cluster.as_str(),
    "snapshot_retention" Number = |p| p.snapshot_retention,
    "created_at" Time = |p| p.created_at,
    "modified_at" Time = |p| p.modified_at,
}

queryable! { RecoveryPoint, id;
    "id" Text = |p| p.id.as_str(),
    "name" Text = |p| PointId::as_str(&p.id),
    "group_id" Text = |p| p.group_id.as_str(),
    "plan_id" Text = |p| p.plan_id.as_str(),
    "taken_at" Time = |p| p.taken_at,
    "complete_at" Time = |p| p.complete_at,
}

queryable! { JobSummary, id;
    "id" Text = |j| j.id.as_str(),
    "name" Text = |j| j.id.as_str(),
    "kind" Text = |j| j.work.kind(),
    "group_id" Text = |j| j.work.group_id().as_str(),
    "plan_id" Text = |j| j.work.plan_id().as_str(),
    "state" Text = |j| j.state.as_str(),
    "operation" Text = |j| j.operation.as_str(),
    "result" Text = |j| j.result.map(super::ResultCode::as_str),
    "owner_group_id" Text = |j| j.owner_group_id.as_ref().map(super::OwnerGroupId::as_str),
    "created_at" Time = |j| j.created_at,
}

queryable! { PlanChange, id;
    "plan_id" Text = |c| c.plan_id.as_str(),
    "version" Number = |c| c.version,
    "at" Time = |c| c.at,
    "actor" Text = |c| &c.actor,
}
