#![allow(missing_docs, missing_debug_implementations, unreachable_pub, dead_code, clippy::all)]
use crate::Result;
use crate::model::*;
pub fn check_name(_: &str, _: &str) -> Result<()> {
    Ok(())
}
pub fn check_group(_: &ProtectionGroup, _: &Cluster, _: &Inventory, _: &[ProtectionGroup]) -> Result<()> {
    Ok(())
}
pub fn check_plan(
    _: &RecoveryPlan,
    _: &ProtectionGroup,
    _: (&Cluster, &Inventory),
    _: (&Cluster, &Inventory),
) -> Result<()> {
    Ok(())
}
pub struct PlanFacts {
    pub source_active: bool,
    pub target_active: bool,
    pub unfinished: Vec<CloudId>,
    pub abnormal: Vec<(CloudId, String)>,
    pub added: Vec<CloudId>,
}
pub fn assess(_: &PlanFacts) -> PlanAssessment {
    PlanAssessment {
        status: PlanStatus::Normal,
        reasons: vec![],
    }
}
pub struct JobFacts<'a> {
    pub group: &'a ProtectionGroup,
    pub plan: &'a RecoveryPlan,
    pub assessment: &'a PlanAssessment,
    pub points: &'a [RecoveryPoint],
    pub jobs: &'a [JobSummary],
}
pub fn check_job(_: &JobDefinition, _: &JobFacts<'_>) -> Result<()> {
    Ok(())
}
