//! Drills that are made again and again (JOB-08, SCH-12).

use super::query::queryable;
use super::{CloudId, GroupId, JobId, OwnerGroupId, PlanId, ScheduleId, Timetable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What makes drills of a group by a timetable. Each run is a job of its own (OPEN-18).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillSchedule {
    /// Our id.
    pub id: ScheduleId,
    /// Its name.
    pub name: String,
    /// Of which group.
    pub group_id: GroupId,
    /// By which plan.
    pub plan_id: PlanId,
    /// Whose it is: the owner of the group.
    pub owner_group_id: OwnerGroupId,
    /// When.
    pub timetable: Timetable,
    /// Instances left out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exclude: BTreeSet<CloudId>,
    /// Whether it makes drills now.
    pub enabled: bool,
    /// Up to when its runs have been made, or left out because it was not enabled.
    pub served: Timestamp,
    /// The job of its last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_job: Option<JobId>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

queryable! { DrillSchedule, id;
    "id" Text = |s| s.id.as_str(),
    "name" Text = |s| &s.name,
    "group_id" Text = |s| s.group_id.as_str(),
    "plan_id" Text = |s| s.plan_id.as_str(),
    "owner_group_id" Text = |s| s.owner_group_id.as_str(),
    "enabled" Text = |s| if s.enabled { "true" } else { "false" },
    "created_at" Time = |s| s.created_at,
    "modified_at" Time = |s| s.modified_at,
}
