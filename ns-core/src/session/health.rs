//! How well the product is, by asking it now (OPS-30).

use super::Session;
use crate::engine::{TwoWriters, holder, kinds, newest_points};
use crate::model::{
    Cluster, ClusterHealth, ClusterId, GroupHealth, HealthReport, JobState, JobSummary, LicenseState, ProtectionGroup,
    RecoveryPlan,
};
use crate::ports::with_deadline;
use crate::rules::{self, Area, ClusterFacts, HealthFacts, ProtectionFacts, UnfinishedJob, Verb};
use crate::{Error, Result};
use futures::stream::{self, StreamExt};
use std::collections::{BTreeMap, BTreeSet};

/// See [`Session::health`].
#[derive(Debug, Clone, Copy)]
pub struct Health<'a> {
    pub(super) session: &'a Session,
}

/// Everything that was looked at.
struct Looked {
    clusters: Vec<ClusterFacts>,
    groups: Vec<ProtectionFacts>,
    findings: Vec<crate::model::Finding>,
}

impl Health<'_> {
    /// Looks at the store, at the clusters, groups and jobs that the actor sees, and at the licence, and tells what is not as it
    /// should be, each with what to do (OPS-30 … OPS-37). Clouds and storages are asked now, each for
    /// [`reach_limit`](crate::Settings::reach_limit) at most; nothing is changed. A store that does not answer is a finding and no error.
    ///
    /// ```no_run
    /// # async fn example(session: ns_core::Session) -> ns_core::Result<()> {
    /// let health = session.health().report().await?;
    /// for finding in &health.findings {
    ///     println!("{:?} {} {}: {}; {}", finding.severity, finding.about, finding.id, finding.message, finding.remedy);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Corrupt` for a store that answers and cannot be read.
    pub async fn report(&self) -> Result<HealthReport> {
        let inner = &self.session.inner;
        let now = inner.clock.now();
        let license = match inner.license_info().await {
            Ok(license) => license,
            Err(error) if error.kind().is_transient() => return Ok(self.of(None, vec![rules::store_finding(&error)])),
            Err(error) => return Err(error),
        };
        let looked = match self.look(license.state).await {
            Ok(looked) => looked,
            Err(error) if error.kind().is_transient() => return Ok(self.of(None, vec![rules::store_finding(&error)])),
            Err(error) => return Err(error),
        };
        let license = Some(license).filter(|_| rules::may(self.session.actor.role, Area::License, Verb::Read));
        let age = |at: Option<jiff::Timestamp>| at.map(|at| now.duration_since(at).as_secs());
        let clusters = looked.clusters.iter().map(|facts| ClusterHealth {
            id: facts.cluster.id.clone(),
            name: facts.cluster.name.clone(),
            cloud_answers: facts.cloud.is_ok(),
            storage_answers: facts.storage.is_ok(),
            sync_age_seconds: age(facts.cluster.sync.complete_at()),
            clock_skew_seconds: facts.cloud.as_ref().ok().map(|r| r.clock_skew_seconds),
            replication_healthy: facts.storage.as_ref().ok().map(|r| r.replication_healthy),
            peers: facts.storage.as_ref().map(|r| r.peers.clone()).unwrap_or_default(),
        });
        let groups = looked.groups.iter().map(|facts| GroupHealth {
            id: facts.group.id.clone(),
            name: facts.group.name.clone(),
            plan_status: facts.assessment.as_ref().map(|a| a.status),
            point_age_seconds: age(facts.newest_point),
            rpo_seconds: u64::from(facts.group.rpo_minutes) * 60,
        });
        Ok(HealthReport {
            clusters: clusters.collect(),
            groups: groups.collect(),
            ..self.of(license, looked.findings)
        })
    }

    fn of(&self, license: Option<crate::model::LicenseInfo>, findings: Vec<crate::model::Finding>) -> HealthReport {
        let inner = &self.session.inner;
        HealthReport {
            at: inner.clock.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: inner.node.clone(),
            support_contact: inner.support_contact.clone(),
            worst: findings.iter().map(|f| f.severity).max(),
            findings,
            clusters: Vec::new(),
            groups: Vec::new(),
            license,
        }
    }

    async fn look(&self, license: LicenseState) -> Result<Looked> {
        let (session, inner) = (self.session, &self.session.inner);
        let records = inner.records();
        let mine = |c: &Cluster| session.sees(Some(&c.owner_group_id));
        let stored = records.all(kinds::CLUSTER, mine).await?;
        let mine = |g: &ProtectionGroup| session.sees(Some(&g.owner_group_id));
        let protected = records.all(kinds::GROUP, mine).await?;
        let ids: BTreeSet<_> = protected.iter().map(|g| &g.id).collect();
        let plans = records
            .all::<RecoveryPlan>(kinds::PLAN, |p| ids.contains(&p.group_id))
            .await?;
        let unfinished = |j: &JobSummary| {
            let owner = j.owner_group_id.as_ref();
            j.state != JobState::Finished && (ids.contains(j.work.group_id()) || session.sees(owner))
        };
        let unfinished = records.all::<JobSummary>(kinds::JOB, unfinished).await?;

        let sources: BTreeMap<_, _> = protected.iter().map(|g| (&g.id, &g.source_cluster)).collect();
        let of_plan = |p: &RecoveryPlan| {
            [
                sources.get(&p.group_id).copied().cloned(),
                Some(p.target_cluster.clone()),
            ]
        };
        let in_plan: BTreeSet<ClusterId> = plans.iter().flat_map(of_plan).flatten().collect();
        let at_once = inner.settings().parallel;
        let clusters: Vec<_> = stream::iter(stored)
            .map(|cluster| self.ask(cluster, &in_plan))
            .buffer_unordered(at_once)
            .collect()
            .await;
        // What is said of a cluster that does not answer is not said again of each plan.
        let answers = |id: &ClusterId| {
            let well = |c: &&ClusterFacts| c.cloud.is_ok() && c.storage.is_ok();
            clusters.iter().filter(well).any(|c| &c.cluster.id == id)
        };
        let newest = newest_points(inner).await?;
        let groups = protected.iter().map(|group| {
            let plan = plans.iter().find(|p| p.group_id == group.id);
            let ask = plan.filter(|p| answers(&group.source_cluster) && answers(&p.target_cluster));
            let newest_point = newest.get(&group.id).copied();
            async move {
                let assessment = match ask {
                    Some(plan) => Some(session.plans().assessed(&plan.id, true).await?),
                    None => None,
                };
                Ok::<_, Error>(ProtectionFacts {
                    group: group.clone(),
                    has_plan: plan.is_some(),
                    assessment,
                    newest_point,
                })
            }
        });
        // Collected: a closure that is kept over an await lets no host spawn the call.
        let groups: Vec<_> = groups.collect();
        let groups: Vec<_> = stream::iter(groups).buffer_unordered(at_once).collect().await;
        let groups = groups.into_iter().collect::<Result<Vec<_>>>()?;
        let mut jobs = Vec::new();
        for job in unfinished {
            let held_until = holder(inner, &job.id).await?.map(|lease| lease.until);
            jobs.push(UnfinishedJob { job, held_until });
        }
        let volumes: BTreeSet<_> = plans
            .iter()
            .flat_map(|p| p.volumes.values().map(|v| &v.replication_id))
            .collect();
        let seen = |t: &TwoWriters| session.sees_everything() || volumes.contains(&t.replication_id);
        let two_writers = records.all(kinds::TWO_WRITERS, seen).await?;
        let two_writers: Vec<_> = two_writers.into_iter().map(|t| t.replication_id).collect();
        let findings = rules::health_findings(&HealthFacts {
            now: inner.clock.now(),
            settings: &inner.settings(),
            clusters: &clusters,
            groups: &groups,
            jobs: &jobs,
            two_writers: &two_writers,
            license,
        });
        Ok(Looked {
            clusters,
            groups,
            findings,
        })
    }

    async fn ask(&self, cluster: Cluster, in_plan: &BTreeSet<ClusterId>) -> ClusterFacts {
        let inner = &self.session.inner;
        let limit = inner.settings().reach_limit;
        let (cloud, storage) = match inner.providers(&cluster.id) {
            Ok(providers) => {
                futures::future::join(
                    with_deadline(&*inner.clock, limit, "the cloud", providers.cloud.check()),
                    with_deadline(&*inner.clock, limit, "the storage", providers.storage.check()),
                )
                .await
            }
            Err(error) => (Err(Error::from(error.to_record())), Err(error)),
        };
        ClusterFacts {
            in_plan: in_plan.contains(&cluster.id),
            cluster,
            cloud,
            storage,
        }
    }
}
