//! Failback: what a confirmed failover offers, and protection in the other direction. The failback itself is a failover job
//! of the reversed plan.

use super::Session;
use super::approvals::Asked;
use super::audit::{Act, Notes};
use crate::engine::{FailbackOffer, group_inventory, kinds, put, read_cluster};
use crate::model::{
    CloudId, ForceRight, GroupId, Home, Inventory, JobId, JobState, JobSummary, Listing, PlanId, ProtectionGroup,
    Query, RecoveryPlan, ResourceMapping, Work,
};
use crate::rules::{Area, Verb};
use crate::store::Write;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How to protect in the other direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReprotectRequest {
    /// After a forced failover both sides may have been written to. This is the operator's word that the copies on the old
    /// side are then thrown away and copied again, whole. Without it a copy that diverged stays as it is, and the job says
    /// so. Copies that did not diverge follow by what changed.
    pub give_up: Option<ForceRight>,
}

/// See [`Session::failback`].
#[derive(Debug, Clone, Copy)]
pub struct Failback<'a> {
    pub(super) session: &'a Session,
}

impl Failback<'_> {
    /// What a confirmed failover offers (OPEN-01).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, failover: ns_core::model::JobId) -> ns_core::Result<()> {
    /// let offer = session.failback().offer(&failover).await?;
    /// println!("{} instances run on {}", offer.home.instances.len(), offer.source_cluster);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` when the job offers nothing: it is no confirmed failover, or its instances have come home.
    pub async fn offer(&self, failover: &JobId) -> Result<FailbackOffer> {
        let offer: FailbackOffer = self
            .session
            .inner
            .records()
            .get(kinds::FAILBACK, failover.as_str())
            .await?;
        let owner = offer.home.group.owner_group_id.clone();
        self.session
            .seen(Some(&owner), kinds::FAILBACK, failover.as_str(), offer)
    }

    /// A part of the offers that the actor sees.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for offer in session.failback().offers(&Query::default()).await?.items {
    ///     println!("failover {} can be led back", offer.job_id);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn offers(&self, query: &Query) -> Result<Listing<FailbackOffer>> {
        let mine = |o: &FailbackOffer| self.session.actor.sees(&o.home.group.owner_group_id);
        self.session.listed(kinds::FAILBACK, query, mine).await
    }

    /// Protects the recovered instances in the other direction: a group of them, a plan that is the first one reversed, and a
    /// job that lets the old copies follow. When the job has succeeded, a failover by that plan is the failback: where the
    /// original instances are still there they are started on their own volumes, and its confirm puts everything back as it
    /// was before the failover. Both clusters must answer.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, failover: ns_core::model::JobId) -> ns_core::Result<()> {
    /// use ns_core::session::ReprotectRequest;
    ///
    /// let (group, plan, job) = session.failback().reprotect(&failover, ReprotectRequest::default()).await?;
    /// session.jobs().wait(&job).await?;
    /// println!("{} is protected by {} in the other direction", group.name, plan.name);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` without an offer; `Refused` when it was taken already (after a job that failed it may be asked for again), or the recovered instances are not there any more;
    /// `approval.required` or `approval.rejected` for a `give_up` that a second person has to approve (SEC-25);
    /// `Invalid` for a `give_up` without operator or reason; `Unavailable` when the side that runs now does not answer.
    pub async fn reprotect(
        &self,
        failover: &JobId,
        request: ReprotectRequest,
    ) -> Result<(ProtectionGroup, RecoveryPlan, JobId)> {
        let notes = Notes::default();
        let act = Act::new(Area::Plans, Verb::Create, "failback.reprotect", failover);
        self.session
            .change_noted(act, &notes, async {
                check(request.give_up.as_ref())?;
                self.offer(failover).await?;
                let (group, plan, writes) = self.way_back(failover, false).await?;
                let owner = &group.owner_group_id;
                let mut approved = None;
                if let Some(give_up) = &request.give_up {
                    let asked = Asked {
                        area: Area::Plans,
                        verb: Verb::Create,
                        action: "failback.give_up",
                        object: failover.as_str(),
                        owner,
                    };
                    approved = self.session.second_person(&notes, asked, give_up).await?;
                }
                let work = Work::Protect {
                    group_id: group.id.clone(),
                    plan_id: plan.id.clone(),
                    give_up: request.give_up,
                };
                let jobs = self.session.jobs();
                let job = jobs.launch_approved(work, owner, writes, approved).await?;
                Ok((group, plan, job))
            })
            .await
    }

    /// Group and plan that lead back, and the writes that make them. After an attempt that failed they are there already, and
    /// its protection is run once more.
    pub(super) async fn way_back(
        &self,
        failover: &JobId,
        dry_run: bool,
    ) -> Result<(ProtectionGroup, RecoveryPlan, Vec<Write>)> {
        let inner = &self.session.inner;
        let records = inner.records();
        let found = records
            .find::<FailbackOffer>(kinds::FAILBACK, failover.as_str())
            .await?;
        let (offer, version) = found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "failback.not_found",
                format!("job {failover} offers no failback"),
            )
            .with_field("failover")
            .with_remedy("confirm the failover first")
        })?;
        if let Some(plan) = &offer.plan_id
            && let Some((plan, _)) = records.find::<RecoveryPlan>(kinds::PLAN, plan.as_str()).await?
        {
            let group = self.again(&plan).await?;
            return Ok((group, plan, Vec::new()));
        }
        let inventory = read_cluster(inner, &offer.source_cluster, dry_run).await?;
        let there = inner.inventory(&offer.target_cluster).await?;
        let (group, plan) = self.reversed(&offer, &inventory, &there)?;
        let taken = FailbackOffer {
            plan_id: Some(plan.id.clone()),
            ..offer
        };
        let writes = vec![
            put(kinds::GROUP, group.id.as_str(), Some(0), &group)?,
            put(kinds::PLAN, plan.id.as_str(), Some(0), &plan)?,
            put(kinds::FAILBACK, failover.as_str(), Some(version), &taken)?,
        ];
        Ok((group, plan, writes))
    }

    /// The group of a reversed plan whose protection may be run once more.
    async fn again(&self, plan: &RecoveryPlan) -> Result<ProtectionGroup> {
        let records = self.session.inner.records();
        let group: ProtectionGroup = records.get(kinds::GROUP, plan.group_id.as_str()).await?;
        let running = records
            .all::<JobSummary>(kinds::JOB, |j| {
                j.work.group_id() == &group.id && j.state != JobState::Finished
            })
            .await?;
        if !plan.volumes.is_empty() || !running.is_empty() {
            return Err(Error::new(
                ErrorKind::Refused,
                "failback.reprotected",
                "the instances are protected in the other direction already, or are about to be",
            )
            .with_field("failover")
            .with("plan", &plan.id)
            .with_remedy("use that plan; delete it first if it shall be made anew"));
        }
        Ok(group)
    }

    /// Group and plan of an offer: the first ones with Source and Target exchanged.
    fn reversed(
        &self,
        offer: &FailbackOffer,
        here: &Inventory,
        there: &Inventory,
    ) -> Result<(ProtectionGroup, RecoveryPlan)> {
        let inner = &self.session.inner;
        let (home, now) = (&offer.home, inner.clock.now());
        let ids: Vec<CloudId> = home.instances.keys().cloned().collect();
        if let Some(gone) = ids.iter().find(|id| !here.instances.contains_key(*id)) {
            return Err(Error::new(
                ErrorKind::Refused,
                "failback.instance_gone",
                format!("the recovered instance {gone} is not there any more"),
            )
            .with_field("failover")
            .with_remedy("make a new group of the instances that run, and a plan for it"));
        }
        let group = ProtectionGroup {
            id: GroupId::new(inner.ids.next()),
            name: format!("{}-failback", home.group.name),
            source_cluster: offer.source_cluster.clone(),
            instances: ids,
            registered_at: now,
            modified_at: now,
            ..home.group.clone()
        };
        let plan = RecoveryPlan {
            id: PlanId::new(inner.ids.next()),
            name: format!("{}-failback", home.plan.name),
            group_id: group.id.clone(),
            target_cluster: offer.target_cluster.clone(),
            mapping: reversed_mapping(home, &group_inventory(here, &group.instances), there),
            volumes: BTreeMap::new(),
            leaving: BTreeMap::new(),
            home: Some(home.clone()),
            version: 1,
            created_at: now,
            modified_at: now,
            ..(*home.plan).clone()
        };
        Ok((group, plan))
    }
}

pub(super) fn check(give_up: Option<&ForceRight>) -> Result<()> {
    let Some(right) = give_up else { return Ok(()) };
    for (field, text) in [("give_up.operator", &right.operator), ("give_up.reason", &right.reason)] {
        if text.trim().is_empty() {
            let message = "copies are thrown away only by somebody who answers for it";
            return Err(Error::new(ErrorKind::Invalid, "failback.give_up", message)
                .with_field(field)
                .with_remedy("say who gives the old side's writes up, and why"));
        }
    }
    if !right.accepts_data_loss {
        let message = "what was written on the old side only is lost when its copies are thrown away";
        return Err(Error::new(ErrorKind::Invalid, "failback.give_up", message)
            .with_field("give_up.accepts_data_loss")
            .with_remedy("accept the loss, or leave `give_up` out"));
    }
    Ok(())
}

/// The mapping read backwards. What only counts where instances are made anew, because the originals are gone, is taken from
/// what the Target shows.
fn reversed_mapping(home: &Home, here: &Inventory, there: &Inventory) -> ResourceMapping {
    let now: BTreeMap<&CloudId, &CloudId> = home.instances.iter().map(|(now, was)| (was, now)).collect();
    let was = &home.plan.mapping;
    let instances = home
        .instances
        .iter()
        .map(|(id, original)| {
            let mut mapping = was.instances.get(original).cloned().unwrap_or_default();
            let others = mapping.boot_after.iter().filter_map(|id| now.get(id));
            mapping.boot_after = others.map(|id| (*id).clone()).collect();
            (mapping.host, mapping.availability_zone, mapping.flavor) = (None, None, None);
            (id.clone(), mapping)
        })
        .collect();
    let zone_of = |id: &CloudId| Some(&there.instances.get(home.instances.get(id)?)?.availability_zone);
    let type_of = |id: &CloudId| Some(&there.volumes.get(home.volumes.get(id)?)?.volume_type);
    let inverted = |map: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        map.iter().map(|(a, b)| (b.clone(), a.clone())).collect()
    };
    let mut availability_zones = inverted(&was.availability_zones);
    let zones = here.instances.values().filter_map(|i| Some((i, zone_of(&i.id)?)));
    availability_zones.extend(zones.map(|(i, zone)| (i.availability_zone.clone(), zone.clone())));
    let mut volume_types = inverted(&was.volume_types);
    let types = here.volumes.values().filter_map(|v| Some((v, type_of(&v.id)?)));
    volume_types.extend(types.map(|(v, kind)| (v.volume_type.clone(), kind.clone())));
    ResourceMapping {
        tenant_name: format!("{}-failback", was.tenant_name),
        availability_zones,
        volume_types,
        external_networks: was
            .external_networks
            .iter()
            .map(|(a, b)| (b.clone(), a.clone()))
            .collect(),
        floating_ips: inverted(&was.floating_ips),
        instances,
    }
}
