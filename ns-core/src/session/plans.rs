//! Recovery plans: create with initial mirroring, suggest a mapping, assess, delete.

use super::Session;
use super::approvals::{Approved, Asked};
use super::audit::{Act, Notes};
use crate::engine::kinds;
use crate::engine::{Evidence, TwoWriters, VolumeEpoch, blocking, change, put, role_of};
use crate::model::{
    CloudId, Cluster, ClusterId, ConnectionState, GroupId, InstanceMapping, Inventory, JobId, JobState, JobSummary,
    Listing, OwnerGroupId, ParentPolicy, PlanAssessment, PlanChange, PlanChangePart, PlanId, ProtectionGroup, Query,
    RecoveryPlan, ReplicatedVolume, ReplicationMode, ResourceMapping, TaskKey, Work,
};
use crate::ports::with_deadline;
use crate::provider::{ReplicationPhase, ReplicationStatus, Role, StorageReport, Token};
use crate::rules::{Area, Verb};
use crate::{Error, ErrorKind, Result, rules};
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a plan is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Name (PLAN-04).
    pub name: String,
    /// The group it recovers.
    pub group_id: GroupId,
    /// Where to.
    pub target_cluster: ClusterId,
    /// How many recovery points are kept: 1 to 48 (PLAN-05).
    pub snapshot_retention: u32,
    /// How volumes are replicated.
    pub replication_mode: ReplicationMode,
    /// What to do with cloned volumes.
    pub parent_policy: ParentPolicy,
    /// The mapping; [`Plans::suggest`] proposes one.
    pub mapping: ResourceMapping,
}

/// What is to be changed of a plan (PLAN-22). Its group and its Target cannot be: make another plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanUpdate {
    /// Another name; none leaves it.
    pub name: Option<String>,
    /// Another count of recovery points; none leaves it. What is over it goes when the next point is made.
    pub snapshot_retention: Option<u32>,
    /// What to do with cloned volumes that are added; none leaves it.
    pub parent_policy: Option<ParentPolicy>,
    /// Another mapping, with boot plan and compute nodes; none leaves it.
    pub mapping: Option<ResourceMapping>,
    /// Only the Target's side of the mapping is changed, while the Source is down (PLAN-25).
    pub source_may_be_down: bool,
}

/// See [`Session::plans`].
#[derive(Debug, Clone, Copy)]
pub struct Plans<'a> {
    pub(super) session: &'a Session,
}

impl Plans<'_> {
    /// Proposes a plan: things map to those of the same name on the Target, or to the only one there is. What could not be
    /// guessed is left out, and [`Plans::create`] names it.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, group: ns_core::model::GroupId, target: ns_core::model::ClusterId) -> ns_core::Result<()> {
    /// let mut request = session.plans().suggest(&group, &target).await?;
    /// request.snapshot_retention = 12;
    /// let (plan, job) = session.plans().create(request).await?;
    /// session.jobs().wait(&job).await?;
    /// println!("{} protects {} volumes", plan.name, session.plans().get(&plan.id).await?.volumes.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown group or a cluster without inventory.
    pub async fn suggest(&self, group: &GroupId, target: &ClusterId) -> Result<PlanRequest> {
        let inner = &self.session.inner;
        let group = self.session.group(group).await?;
        self.session.cluster(target).await?;
        let all_source = inner.inventory(&group.source_cluster).await?;
        let source = crate::engine::group_inventory(&all_source, &group.instances);
        let there = inner.inventory(target).await?;
        let zones: Vec<&str> = there
            .availability_zones
            .values()
            .filter(|z| z.available)
            .map(|z| z.name.as_str())
            .collect();
        let types: Vec<&str> = there.volume_types.values().map(|t| t.name.as_str()).collect();
        let externals: Vec<(&str, &crate::model::CloudId)> = there
            .networks
            .values()
            .filter(|n| n.external)
            .map(|n| (n.name.as_str(), &n.id))
            .collect();
        let pick = |wanted: &str, all: &[&str]| {
            all.iter()
                .find(|n| **n == wanted)
                .or(if let [only] = all { Some(only) } else { None })
                .map(|n| (*n).to_owned())
        };
        let used_externals = source
            .routers
            .values()
            .filter_map(|r| r.external_network_id.clone())
            .chain(source.floating_ips.values().map(|f| f.network_id.clone()));
        let mapping = ResourceMapping {
            tenant_name: source
                .tenants
                .values()
                .next()
                .map_or_else(|| group.name.clone(), |t| format!("{}-recovered", t.name)),
            availability_zones: source
                .instances
                .values()
                .filter_map(|i| Some((i.availability_zone.clone(), pick(&i.availability_zone, &zones)?)))
                .collect(),
            volume_types: source
                .volumes
                .values()
                .filter_map(|v| Some((v.volume_type.clone(), pick(&v.volume_type, &types)?)))
                .collect(),
            external_networks: used_externals
                .filter_map(|id| {
                    let name = all_source.networks.get(&id).map_or("", |n| n.name.as_str());
                    let same = externals.iter().find(|(n, _)| *n == name);
                    let found = same.or(if let [only] = &externals[..] { Some(only) } else { None })?;
                    Some((id, found.1.clone()))
                })
                .collect(),
            floating_ips: BTreeMap::new(),
            instances: group
                .instances
                .iter()
                .map(|id| (id.clone(), InstanceMapping::default()))
                .collect(),
        };
        Ok(PlanRequest {
            name: format!("{}-plan", group.name),
            group_id: group.id,
            target_cluster: target.clone(),
            snapshot_retention: 3,
            replication_mode: ReplicationMode::Snapshot,
            parent_policy: ParentPolicy::Flatten,
            mapping,
        })
    }

    /// Makes a plan and starts its initial mirroring (PLAN-13, PLAN-14); a first recovery point follows by itself (PLAN-15).
    /// Gives the plan and the job that mirrors.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, request: ns_core::session::PlanRequest) -> ns_core::Result<()> {
    /// let (plan, job) = session.plans().create(request).await?;
    /// session.jobs().wait(&job).await?;
    /// println!("{}", plan.id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` or `Refused` with the field and the rule, before anything is touched: a hole in the mapping, an unknown zone,
    /// host, volume type or network of the Target, another kind of storage (PLAN-20), the same cluster (OPEN-29), no capacity,
    /// a second plan (PLAN-21), a cluster that does not answer now (PLAN-18), storages that are not paired, a volume whose pool
    /// does not mirror or that is a replica itself.
    pub async fn create(&self, request: PlanRequest) -> Result<(RecoveryPlan, JobId)> {
        let act = Act::new(Area::Plans, Verb::Create, "plans.create", &request.name);
        self.session
            .change(act, async {
                let inner = &self.session.inner;
                let group = self.session.group(&request.group_id).await?;
                self.session.cluster(&request.target_cluster).await?;
                let now = inner.clock.now();
                let plan = RecoveryPlan {
                    id: PlanId::new(inner.ids.next()),
                    name: rules::normal_name(&request.name),
                    group_id: request.group_id,
                    target_cluster: request.target_cluster,
                    snapshot_retention: request.snapshot_retention,
                    replication_mode: request.replication_mode,
                    parent_policy: request.parent_policy,
                    mapping: request.mapping,
                    volumes: BTreeMap::new(),
                    leaving: BTreeMap::new(),
                    home: None,
                    version: 1,
                    created_at: now,
                    modified_at: now,
                };
                self.judge(&plan, &group, &[], false).await?;
                let work = Work::Protect {
                    group_id: group.id,
                    plan_id: plan.id.clone(),
                    give_up: None,
                };
                let record = put(kinds::PLAN, plan.id.as_str(), Some(0), &plan)?;
                let job = self
                    .session
                    .jobs()
                    .launch(work, &group.owner_group_id, vec![record])
                    .await?;
                Ok((plan, job))
            })
            .await
    }

    /// Judges a plan as it is to be, by what both sides say now. Gives what is known of the Source.
    async fn judge(
        &self,
        plan: &RecoveryPlan,
        group: &ProtectionGroup,
        jobs: &[JobId],
        source_may_be_down: bool,
    ) -> Result<Arc<Inventory>> {
        let inner = &self.session.inner;
        let records = inner.records();
        let mut source: Cluster = records.get(kinds::CLUSTER, group.source_cluster.as_str()).await?;
        let mut target: Cluster = records.get(kinds::CLUSTER, plan.target_cluster.as_str()).await?;
        // Both are asked now: what is known of them may be as old as their registration.
        let (at_source, at_target) = futures::future::join(self.look(&mut source), self.look(&mut target)).await;
        let source_inventory = inner.inventory(&source.id).await?;
        let target_inventory = inner.inventory(&target.id).await?;
        let owned: Vec<_> = records
            .all::<ProtectionGroup>(kinds::GROUP, |g| g.owner_group_id == group.owner_group_id)
            .await?;
        let existing = records
            .all::<RecoveryPlan>(kinds::PLAN, |p| owned.iter().any(|g| g.id == p.group_id))
            .await?;
        let world = rules::PlanWorld {
            group,
            source: rules::Site {
                cluster: &source,
                inventory: &source_inventory,
            },
            target: rules::Site {
                cluster: &target,
                inventory: &target_inventory,
            },
            // A cluster without providers is inactive, and that is said.
            capabilities: &self
                .capabilities(&source.id, &target.id)
                .unwrap_or_else(|_| rules::PlanCapabilities::all()),
            job_tenants: &BTreeSet::new(),
        };
        let told = at_target.as_ref().ok();
        let free_bytes = told.map(|at| at.storage.free_bytes.clone()).unwrap_or_default();
        let quota = told.map(|at| at.cloud.new_tenant).unwrap_or_default();
        let pools: Vec<String>;
        let replication = match (&at_source, &at_target) {
            (Ok(here), Ok(there)) => {
                let (here, there) = (&here.storage, &there.storage);
                let both = here.pools.iter().filter(|pool| there.pools.contains(pool));
                pools = both.cloned().collect();
                Some(rules::Replication {
                    paired: is_peer(here, there) || is_peer(there, here),
                    pools: &pools,
                })
            }
            _ => None,
        };
        let inputs = rules::PlanInputs {
            world,
            plans: &existing,
            jobs,
            source_may_be_down,
            target_free_bytes: &free_bytes,
            target_quota: &quota,
            replication,
        };
        if let Err(refusal) = rules::check_plan(plan, &inputs) {
            let causes = [at_source.err(), at_target.err()];
            let known = refusal.code() == "plan.cluster_inactive";
            let cause = causes.into_iter().flatten().next().filter(|_| known);
            return Err(match cause {
                Some(cause) => refusal.with("because", &cause).with_source(cause),
                None => refusal,
            });
        }
        // One that may be down and is cannot be looked at.
        if at_source.is_ok() {
            let storage = inner.providers(&source.id)?.storage;
            // What replicates under this plan does so whatever its role is now, as after a rollback that was given up.
            let mut added = crate::engine::group_inventory(&source_inventory, &group.instances);
            added.volumes.retain(|id, _| !plan.volumes.contains_key(id));
            crate::engine::cloned_images(inner, &storage, &added, plan.replication_mode).await?;
        }
        Ok(source_inventory)
    }

    /// Changes a plan (PLAN-22). Whoever looks at a plan and updates it, even unchanged, says that it is right as it is (PLAN-24):
    /// what vanished from the Source by itself is then given up with the recovery points that hold it. Instances and volumes that
    /// were added to the group are replicated from now on (PLAN-23): the job that mirrors them is given, and a recovery point
    /// follows it.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// use ns_core::session::PlanUpdate;
    ///
    /// let update = PlanUpdate { snapshot_retention: Some(24), ..Default::default() };
    /// let (plan, _) = session.plans().update(&id, update).await?;
    /// println!("version {}", plan.version);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Plans::create`] for the plan as it is to be (PLAN-25 … PLAN-27); `Refused`, `plan.jobs`, while a job of the
    /// group exists, naming it (PLAN-28). Nothing is changed then.
    pub async fn update(&self, id: &PlanId, update: PlanUpdate) -> Result<(RecoveryPlan, Option<JobId>)> {
        let notes = Notes::default();
        let act = Act::new(Area::Plans, Verb::Update, "plans.update", id);
        self.session
            .change_noted(act, &notes, async {
                let inner = &self.session.inner;
                let records = inner.records();
                self.get(id).await?;
                let (was, version) = records.existing::<RecoveryPlan>(kinds::PLAN, id.as_str()).await?;
                let group: ProtectionGroup = records.get(kinds::GROUP, was.group_id.as_str()).await?;
                let mut plan = was.clone();
                let mut fields = Vec::new();
                let mut set = |name: &str, different: bool| {
                    if different {
                        fields.push(name.to_owned());
                    }
                };
                if let Some(name) = update.name {
                    plan.name = rules::normal_name(&name);
                    set("name", plan.name != was.name);
                }
                if let Some(count) = update.snapshot_retention {
                    plan.snapshot_retention = count;
                    set("snapshot_retention", count != was.snapshot_retention);
                }
                if let Some(policy) = update.parent_policy {
                    plan.parent_policy = policy;
                    set("parent_policy", policy != was.parent_policy);
                }
                if let Some(mapping) = update.mapping {
                    plan.mapping = mapping;
                    set("mapping", plan.mapping != was.mapping);
                }
                let jobs = blocking(&records, &group.id, |_| false).await?;
                let inventory = self.judge(&plan, &group, &jobs, update.source_may_be_down).await?;
                let mut parts = vec![PlanChangePart::Updated { fields }];
                parts.extend(rules::follow(&mut plan, &group, &inventory, true));
                for leaving in plan.leaving.values_mut() {
                    leaving.vanished = false;
                }
                let instances = group.instances.iter().filter_map(|id| inventory.instances.get(id));
                let mut wanted = instances.flat_map(|i| &i.volume_ids);
                let added = wanted.any(|id| !plan.volumes.contains_key(id));
                let writes = change(inner, &mut plan, Some(version), &self.session.actor.name, parts)?;
                notes.fields(&was, &plan)?;
                let source: Cluster = records.get(kinds::CLUSTER, group.source_cluster.as_str()).await?;
                if !added || source.connection == ConnectionState::Inactive {
                    records.commit(writes).await?;
                    return Ok((plan, None));
                }
                let work = Work::Protect {
                    group_id: group.id,
                    plan_id: plan.id.clone(),
                    give_up: None,
                };
                let job = (self.session.jobs())
                    .launch(work, &group.owner_group_id, writes)
                    .await?;
                Ok((plan, Some(job)))
            })
            .await
    }

    /// What became of a plan, version by version: what operators changed, and how it followed its Source by itself (PLAN-60).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for change in session.plans().changes(&id, &Query::default()).await?.items {
    ///     println!("version {} by {}", change.version, change.actor);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound` for an unknown plan; `Invalid` for a query that cannot be answered, naming its field.
    pub async fn changes(&self, id: &PlanId, query: &Query) -> Result<Listing<PlanChange>> {
        self.get(id).await?;
        let of_plan = |c: &PlanChange| &c.plan_id == id;
        self.session.listed(kinds::PLAN_CHANGE, query, of_plan).await
    }

    /// Asks a cluster how it is now; what is stored stays as it is.
    async fn look(&self, cluster: &mut Cluster) -> Result<super::ConnectionReport> {
        let found = match self.session.inner.providers(&cluster.id) {
            Ok(providers) => self.session.clusters().check(&providers).await,
            Err(error) => Err(error),
        };
        cluster.connection = match &found {
            Ok(_) => ConnectionState::Active,
            Err(_) => ConnectionState::Inactive,
        };
        found
    }

    /// One plan.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// println!("{}", session.plans().get(&id).await?.name);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, id: &PlanId) -> Result<RecoveryPlan> {
        self.session.plan(id).await
    }

    /// A part of the plans that the actor sees (UI-15); those of one group with the condition `group_id` (PLAN-02).
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// use ns_core::model::Query;
    ///
    /// for plan in session.plans().list(&Query::default().sort("name")).await?.items {
    ///     println!("{}", plan.name);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a query that cannot be answered, naming its field.
    pub async fn list(&self, query: &Query) -> Result<Listing<RecoveryPlan>> {
        let groups = self.session.own_groups().await?;
        let mine = |p: &RecoveryPlan| groups.contains(&p.group_id);
        self.session.listed(kinds::PLAN, query, mine).await
    }

    /// A plan's status with every reason and its remedy (PLAN-40 … PLAN-45): the answer to "why is it not ready". Both clusters
    /// and the replicas are asked now, and whether the clusters answer is kept with them.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// let assessment = session.plans().assess(&id).await?;
    /// for reason in &assessment.reasons {
    ///     println!("{}: {}; {}", reason.code, reason.message, reason.remedy);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of the store.
    pub async fn assess(&self, id: &PlanId) -> Result<PlanAssessment> {
        self.assessed(id, false).await
    }

    pub(super) async fn assessed(&self, id: &PlanId, dry_run: bool) -> Result<PlanAssessment> {
        let inner = &self.session.inner;
        let records = inner.records();
        let plan = self.get(id).await?;
        let group: ProtectionGroup = records.get(kinds::GROUP, plan.group_id.as_str()).await?;
        let clusters = self.session.clusters();
        let source = clusters.seen(&group.source_cluster, dry_run).await?;
        let target = clusters.seen(&plan.target_cluster, dry_run).await?;
        let jobs = records
            .all::<JobSummary>(kinds::JOB, |j| j.work.plan_id() == id && rules::job_exists(j.state))
            .await?;
        Ok(self.judged(&plan, &group, (&source, &target), &jobs).await?.0)
    }

    /// A plan's status by what is known of its clusters, and up to when all writes to its volumes are on the Target, where that
    /// can be told; only the replicas are asked now. `jobs` are those of the plan that exist.
    pub(crate) async fn known(
        &self,
        plan: &RecoveryPlan,
        group: &ProtectionGroup,
        jobs: &[JobSummary],
    ) -> Result<(PlanAssessment, Option<Timestamp>)> {
        let records = self.session.inner.records();
        let source: Cluster = records.get(kinds::CLUSTER, group.source_cluster.as_str()).await?;
        let target: Cluster = records.get(kinds::CLUSTER, plan.target_cluster.as_str()).await?;
        self.judged(plan, group, (&source, &target), jobs).await
    }

    async fn judged(
        &self,
        plan: &RecoveryPlan,
        group: &ProtectionGroup,
        (source, target): (&Cluster, &Cluster),
        jobs: &[JobSummary],
    ) -> Result<(PlanAssessment, Option<Timestamp>)> {
        let inner = &self.session.inner;
        let target_active = target.connection == ConnectionState::Active;
        let source_inventory = inner.inventory(&source.id).await?;
        let target_inventory = inner.inventory(&target.id).await?;
        let at = &plan.target_cluster;
        let volumes = plan.volumes.values().filter(|_| target_active);
        let ask = volumes.map(|v| async move { Ok::<_, Error>((v.volume_id.clone(), self.mirroring(at, v).await?)) });
        // Collected, so that the whole can be spawned.
        let asked = stream::iter(ask.collect::<Vec<_>>()).buffer_unordered(inner.settings().parallel);
        let asked: BTreeMap<_, _> = asked.try_collect().await?;
        // As old as the oldest volume, and not known when that of one is not.
        let synced_to = asked.values().map(|(_, at)| *at).min().flatten();
        let mirroring = asked.into_iter().map(|(id, (mirroring, _))| (id, mirroring)).collect();
        let world = rules::PlanWorld {
            group,
            source: rules::Site {
                cluster: source,
                inventory: &source_inventory,
            },
            target: rules::Site {
                cluster: target,
                inventory: &target_inventory,
            },
            // Without providers the Target is inactive, and that is said.
            capabilities: &self
                .capabilities(&source.id, &target.id)
                .unwrap_or_else(|_| rules::PlanCapabilities::all()),
            job_tenants: &job_tenants(jobs, &target_inventory),
        };
        let facts = rules::PlanFacts {
            plan,
            world,
            preparing: jobs.iter().any(|j| matches!(j.work, Work::Protect { .. })),
            mirroring: &mirroring,
        };
        Ok((rules::assess(&facts), synced_to))
    }

    /// How the replication of a volume stands, as its replica says now (REP-17), and up to when its writes have arrived.
    async fn mirroring(
        &self,
        target: &ClusterId,
        v: &ReplicatedVolume,
    ) -> Result<(rules::Mirroring, Option<Timestamp>)> {
        let inner = &self.session.inner;
        let (records, id) = (inner.records(), v.replication_id.as_str());
        if let Some((found, _)) = records.find::<TwoWriters>(kinds::TWO_WRITERS, id).await? {
            let reason = format!("both sides are primary since {}: decide which side wins", found.since);
            return Ok((rules::Mirroring::Abnormal { reason }, None));
        }
        let epoch = records.find::<VolumeEpoch>(kinds::EPOCH, id).await?;
        let storage = inner.providers(target)?.storage;
        let (phase, synced_to) = match storage.find_replica(&v.replication_id).await? {
            Some(image) => {
                let status = storage.status(&image).await?;
                let synced_to = status.synced_to;
                match epoch {
                    Some((epoch, _)) if is_before(&status, &epoch) => (ReplicationPhase::Replicating, synced_to),
                    _ => (status.phase, synced_to),
                }
            }
            None => (ReplicationPhase::Unknown, None),
        };
        let mirroring = match phase {
            ReplicationPhase::Replicating => rules::Mirroring::Normal,
            ReplicationPhase::InitialCopy { percent } => rules::Mirroring::InitialCopy { percent },
            other => rules::Mirroring::Abnormal {
                reason: format!("{other:?}"),
            },
        };
        Ok((mirroring, synced_to))
    }

    /// What the providers can do for a plan. A Source that is not attached, since it is lost, is not asked.
    fn capabilities(&self, source: &ClusterId, target: &ClusterId) -> Result<rules::PlanCapabilities> {
        let inner = &self.session.inner;
        let target = inner.providers(target)?;
        let (cloud, storage) = (target.cloud.capabilities(), target.storage.capabilities());
        let mut modes = storage.modes;
        if let Ok(source) = inner.providers(source) {
            let theirs = source.storage.capabilities().modes;
            modes.retain(|mode| theirs.contains(mode));
        }
        Ok(rules::PlanCapabilities {
            modes,
            clone_replica: storage.clone_replica,
            adopt: cloud.adopt,
            choose_host: cloud.choose_host,
            choose_floating_ip: cloud.choose_floating_ip,
            multiattach: cloud.multiattach,
            probe_readiness: inner.readiness.is_some(),
        })
    }

    /// Ends a plan (PLAN-29): its points, snapshots, vault and mirroring go; the Source's volumes stay as they are. Gives the
    /// job that does it.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session, id: ns_core::model::PlanId) -> ns_core::Result<()> {
    /// let job = session.plans().delete(&id).await?;
    /// session.jobs().wait(&job).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Refused` while jobs of the group exist (PLAN-30); they are named. `Refused`, `plan.source_not_primary`, when the
    /// Source cannot write a volume, as after a rollback that was given up half way; `approval.required` or `approval.rejected` where a
    /// second person has to approve it (SEC-25).
    pub async fn delete(&self, id: &PlanId) -> Result<JobId> {
        let notes = Notes::default();
        let act = Act::new(Area::Plans, Verb::Delete, "plans.delete", id);
        self.session
            .change_noted(act, &notes, async {
                let plan = self.get(id).await?;
                self.check_delete(&plan).await?;
                let group = self.session.group(&plan.group_id).await?;
                let owner = &group.owner_group_id;
                let approved = self.end_approved(&notes, &plan, owner).await?;
                let work = Work::Unprotect {
                    group_id: plan.group_id,
                    plan_id: plan.id,
                };
                self.session.jobs().launch_approved(work, owner, vec![], approved).await
            })
            .await
    }

    /// Who approved the end of a protection, where a second person has to (SEC-25).
    pub(super) async fn end_approved(
        &self,
        notes: &Notes,
        plan: &RecoveryPlan,
        owner: &OwnerGroupId,
    ) -> Result<Option<Approved>> {
        let asked = Asked {
            area: Area::Plans,
            verb: Verb::Delete,
            action: "plans.delete",
            object: plan.id.as_str(),
            owner,
        };
        self.session.second_person(notes, asked, &()).await
    }

    pub(super) async fn check_delete(&self, plan: &RecoveryPlan) -> Result<()> {
        let jobs = self
            .session
            .inner
            .records()
            .all::<JobSummary>(kinds::JOB, |j| {
                j.work.group_id() == &plan.group_id && j.state != JobState::Finished
            })
            .await?;
        let jobs: Vec<_> = jobs.into_iter().map(|j| j.id).collect();
        rules::check_plan_delete(&jobs)?;
        self.check_source_writes(plan).await
    }

    /// A volume that its Source cannot write would be left with no side that can: refused before the points go. What cannot
    /// be seen now is no reason against it.
    async fn check_source_writes(&self, plan: &RecoveryPlan) -> Result<()> {
        let inner = &self.session.inner;
        let group: ProtectionGroup = inner.records().get(kinds::GROUP, plan.group_id.as_str()).await?;
        let Ok(source) = inner.providers(&group.source_cluster) else {
            return Ok(());
        };
        for v in plan.volumes.values() {
            let look = role_of(&source.storage, &v.replication_id);
            let role = with_deadline(&*inner.clock, inner.settings().reach_limit, "the Source storage", look).await;
            match role {
                Ok(Some(Role::Secondary)) => {
                    return Err(Error::new(
                        ErrorKind::Refused,
                        "plan.source_not_primary",
                        "the Source cannot write this volume: with its protection it would lose the only way back",
                    )
                    .with_field("id")
                    .with("volume", &v.volume_id)
                    .with_remedy(
                        "fail over with a force right; then confirm to keep the Target's data, or roll back to make the \
                         Source primary again and end the plan after that",
                    ));
                }
                Ok(_) => {}
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Whether the storage `here` has the storage `there` as its peer.
pub(super) fn is_peer(here: &StorageReport, there: &StorageReport) -> bool {
    here.peers
        .iter()
        .any(|peer| *peer == there.site_name || *peer == there.storage_id)
}

/// The tenants that these jobs made on the Target: their names are taken by the plan itself.
fn job_tenants(jobs: &[JobSummary], target: &Inventory) -> BTreeSet<CloudId> {
    let tokens: Vec<_> = jobs.iter().map(|j| Token::of(&j.id, &TaskKey::new("tenant"))).collect();
    let ours = |tags: &[String]| tags.iter().any(|tag| tokens.iter().any(|t| t.as_str() == tag));
    target
        .tenants
        .values()
        .filter(|t| ours(&t.tags))
        .map(|t| t.id.clone())
        .collect()
}

/// Whether a report on a replica was made before the other side became the writer: it tells of a time that is over. The job
/// that handed the volume over has proved that the replica follows.
fn is_before(status: &ReplicationStatus, epoch: &VolumeEpoch) -> bool {
    status.role == Role::Secondary
        && matches!(epoch.evidence, Evidence::Began | Evidence::HandedOver)
        && status.reported_at.is_some_and(|at| at < epoch.since)
}
