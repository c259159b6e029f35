//! What is not as it should be, and what to do about it (OPS-30 … OPS-37): a pure function of what was looked at.

use crate::Error;
use crate::model::{
    Cluster, Finding, FindingSeverity, JobState, JobSummary, JobType, LicenseState, PlanAssessment, PlanStatus,
    ProtectionGroup, ReplicationId, SyncState,
};
use crate::provider::{CloudReport, StorageReport};
use FindingSeverity::{Critical, Info, Warning};
use jiff::Timestamp;
use std::time::Duration;

/// What the last line of every remedy of something outside is (OPS-35 … OPS-38).
const ELSE: &str = "; if that does not cure it, make a support bundle and ask for support";

/// A cluster that was looked at.
#[derive(Debug)]
pub struct ClusterFacts {
    /// As it is stored.
    pub cluster: Cluster,
    /// What its cloud said.
    pub cloud: Result<CloudReport, Error>,
    /// What its storage said.
    pub storage: Result<StorageReport, Error>,
    /// Whether a plan needs it.
    pub in_plan: bool,
}

/// A group with its plan.
#[derive(Debug)]
pub struct ProtectionFacts {
    /// The group.
    pub group: ProtectionGroup,
    /// Whether it has a plan.
    pub has_plan: bool,
    /// What was found of the plan; none when it was not looked at.
    pub assessment: Option<PlanAssessment>,
    /// When its newest recovery point was begun.
    pub newest_point: Option<Timestamp>,
}

/// A job that has not finished.
#[derive(Debug)]
pub struct UnfinishedJob {
    /// The job.
    pub job: JobSummary,
    /// Until when an engine has it; none when none ever had.
    pub held_until: Option<Timestamp>,
}

/// Everything that is judged.
#[derive(Debug)]
pub struct HealthFacts<'a> {
    /// Now.
    pub now: Timestamp,
    /// The limits that are gone by.
    pub settings: &'a crate::Settings,
    /// The clusters.
    pub clusters: &'a [ClusterFacts],
    /// The groups.
    pub groups: &'a [ProtectionFacts],
    /// The jobs that have not finished.
    pub jobs: &'a [UnfinishedJob],
    /// Volumes that both sides may write to.
    pub two_writers: &'a [ReplicationId],
    /// The licence.
    pub license: LicenseState,
}

/// The store does not answer, and nothing else can be told.
#[must_use]
pub fn store_finding(error: &Error) -> Finding {
    let message = format!("the store does not answer: {}", error.message());
    let remedy = format!("bring the store back; jobs go on by themselves then{ELSE}");
    finding(("store.unreachable", Critical), ("store", ""), message, &remedy)
}

/// Everything that is not as it should be, worst first.
#[must_use]
pub fn health_findings(facts: &HealthFacts<'_>) -> Vec<Finding> {
    let mut found: Vec<_> = facts.clusters.iter().flat_map(|c| of_cluster(c, facts)).collect();
    found.extend(facts.groups.iter().flat_map(|g| of_group(g, facts)));
    found.extend(facts.jobs.iter().filter_map(|j| of_job(j, facts)));
    found.extend(facts.two_writers.iter().map(|id| {
        finding(
            ("volume.two_writers", Critical),
            ("volume", id.as_str()),
            "both sides may write to this volume".to_owned(),
            "stop the instances of one side now; then say which side wins: confirm or rollback of the job, or reprotect",
        )
    }));
    found.extend(of_license(facts.license));
    found.sort_by(|a, b| (b.severity, &a.code, &a.id).cmp(&(a.severity, &b.code, &b.id)));
    found
}

fn finding(
    (code, severity): (&str, FindingSeverity),
    (about, id): (&str, &str),
    message: String,
    remedy: &str,
) -> Finding {
    Finding {
        code: code.to_owned(),
        severity,
        about: about.to_owned(),
        id: id.to_owned(),
        message,
        remedy: remedy.to_owned(),
    }
}

fn of_cluster(facts: &ClusterFacts, all: &HealthFacts<'_>) -> Vec<Finding> {
    let cluster = &facts.cluster;
    let (name, about) = (&cluster.name, ("cluster", cluster.id.as_str()));
    let mut found = Vec::new();
    let mut say = |what, message, remedy: &str| found.push(finding(what, about, message, remedy));
    let away = |error: &Error, half: &str| {
        let remedy = error.remedy().map_or_else(
            || format!("look whether the {half} works and can be reached from here{ELSE}"),
            |remedy| format!("{remedy}{ELSE}"),
        );
        (
            format!("the {half} of {name} does not answer: {}", error.message()),
            remedy,
        )
    };
    match &facts.cloud {
        Err(error) => {
            let (message, remedy) = away(error, "cloud");
            say(("cluster.cloud_unreachable", Critical), message, &remedy);
        }
        Ok(report) => {
            let skew = report.clock_skew_seconds;
            if skew.unsigned_abs() > u64::from(all.settings.clock_skew_limit_seconds) {
                say(
                    ("cluster.clock_skew", Warning),
                    format!("the clock of {name} is {skew} seconds ahead"),
                    "synchronise the clocks of both, e.g. by NTP",
                );
            }
            if !report.missing_rights.is_empty() {
                say(
                    ("cluster.rights_missing", Warning),
                    format!("the user of {name} lacks {}", report.missing_rights.join(", ")),
                    "give the user these rights",
                );
            }
        }
    }
    match &facts.storage {
        Err(error) => {
            let (message, remedy) = away(error, "storage");
            say(("cluster.storage_unreachable", Critical), message, &remedy);
        }
        Ok(report) => {
            if !report.replication_healthy {
                say(
                    ("cluster.replication_unhealthy", Critical),
                    format!("the replication service of {name} does not work"),
                    &format!("restart the replication service on the nodes where it runs{ELSE}"),
                );
            }
            if facts.in_plan && report.peers.is_empty() {
                say(
                    ("cluster.no_peer", Critical),
                    format!("the storage of {name} has no peer, and plans replicate with it"),
                    "pair the storages again",
                );
            }
            if !report.missing_rights.is_empty() {
                say(
                    ("cluster.storage_rights_missing", Warning),
                    format!("the storage user of {name} lacks {}", report.missing_rights.join(", ")),
                    "give the user these rights",
                );
            }
        }
    }
    let latest = |at: Timestamp| at.saturating_add(all.settings.sync_interval.saturating_mul(2)).ok();
    match (&cluster.sync, cluster.sync.complete_at().and_then(latest)) {
        (SyncState::Failed { reason, .. }, _) => say(
            ("cluster.sync_failed", Warning),
            format!("the inventory of {name} could not be read: {reason}"),
            "do what the message asks for, then synchronise the cluster",
        ),
        (_, Some(latest)) if latest >= all.now => {}
        _ => say(
            ("cluster.sync_stale", Warning),
            format!("the inventory of {name} was not complete for long"),
            "synchronise the cluster, and see that a started engine looks after it",
        ),
    }
    found
}

fn of_group(facts: &ProtectionFacts, all: &HealthFacts<'_>) -> Vec<Finding> {
    let group = &facts.group;
    let about = ("group", group.id.as_str());
    if !facts.has_plan {
        let message = format!("the group {} has no plan: nothing of it is replicated", group.name);
        return vec![finding(
            ("group.no_plan", Warning),
            about,
            message,
            "make a recovery plan",
        )];
    }
    let mut found = Vec::new();
    let rpo = Duration::from_secs(u64::from(group.rpo_minutes) * 60);
    match facts.newest_point {
        None => found.push(finding(
            ("group.no_point", Warning),
            about,
            format!("the group {} has no recovery point yet", group.name),
            "wait for the first copy to end, or make a recovery point",
        )),
        // Without an interval points are made by hand, when somebody wants one.
        Some(at) if group.snapshot_interval.is_some() && at.saturating_add(rpo).is_ok_and(|l| l < all.now) => {
            found.push(finding(
                ("group.rpo_breach", Critical),
                about,
                format!(
                    "the newest recovery point of {} is {} minutes old, its objective is {} minutes",
                    group.name,
                    all.now.duration_since(at).as_mins(),
                    group.rpo_minutes
                ),
                "look at the plan's reasons and at the jobs that make points, or give the group an interval that suits it",
            ));
        }
        Some(_) => {}
    }
    let reasons = facts.assessment.iter().flat_map(|a| &a.reasons);
    found.extend(reasons.map(|reason| {
        let severity = match reason.status {
            PlanStatus::Normal => Info,
            PlanStatus::Prepare | PlanStatus::Warning => Warning,
            PlanStatus::Critical | PlanStatus::Emergency => Critical,
        };
        finding((&reason.code, severity), about, reason.message.clone(), &reason.remedy)
    }));
    found
}

fn of_job(facts: &UnfinishedJob, all: &HealthFacts<'_>) -> Option<Finding> {
    let job = &facts.job;
    let about = ("job", job.id.as_str());
    let failover = (job.work.recovery()).is_some_and(|d| d.job_type == JobType::Failover);
    if facts.held_until.is_none_or(|until| until < all.now) {
        let message = "no engine runs this job".to_owned();
        let remedy = format!("start an engine on the store{ELSE}");
        return Some(finding(("job.nobody_runs_it", Critical), about, message, &remedy));
    }
    match job.state {
        JobState::ClearFailed => Some(finding(
            ("job.clear_failed", Warning),
            about,
            "what the job made could not be cleaned up".to_owned(),
            "do what its failed tasks ask for and retry, or ignore what is left",
        )),
        JobState::Waiting if failover && job.deadline.is_some_and(|d| d < all.now) => Some(finding(
            ("job.held", Warning),
            about,
            "the failover was due while no engine ran, and is held".to_owned(),
            "plan it anew, or delete it",
        )),
        JobState::Completed if failover => Some(finding(
            ("job.awaits_decision", Info),
            about,
            "the failover waits to be confirmed or rolled back".to_owned(),
            "confirm it or roll it back; until then its group is not protected",
        )),
        _ => None,
    }
}

fn of_license(state: LicenseState) -> Option<Finding> {
    let (code, message) = match state {
        LicenseState::NotRequired | LicenseState::Valid => return None,
        LicenseState::Expired => ("license.expired", "the licence has ended"),
        LicenseState::Missing => ("license.missing", "no licence is registered"),
        LicenseState::NotForThisProduct => ("license.product", "the licence is for another installation or product"),
        LicenseState::NotVerified => ("license.signature", "the licence was not signed by the vendor"),
    };
    let remedy = "register or renew a licence key; until then nothing is newly protected, and everything is recovered";
    Some(finding((code, Warning), ("license", ""), message.to_owned(), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConnectionState, JobDefinition, JobOperation, SnapshotInterval, Work};
    use crate::{ErrorKind, Settings};

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn before(seconds: u64) -> Timestamp {
        now() - Duration::from_secs(seconds)
    }

    fn cluster() -> ClusterFacts {
        ClusterFacts {
            cluster: Cluster {
                id: "c-1".into(),
                name: "seoul".into(),
                owner_group_id: "ops".into(),
                note: String::new(),
                platform: "openstack".into(),
                storage_kind: "ceph-rbd".into(),
                storage_id: "fsid".into(),
                connection: ConnectionState::Active,
                inactive_because: None,
                sync: SyncState::Done { at: before(60) },
                registered_at: before(1000),
                modified_at: None,
            },
            cloud: Ok(CloudReport {
                cloud_id: "https://c".into(),
                user: "dr".into(),
                missing_rights: Vec::new(),
                excess_rights: Vec::new(),
                clock_skew_seconds: 60,
                services: Vec::new(),
                new_tenant: crate::provider::TenantQuota::default(),
                warnings: Vec::new(),
            }),
            storage: Ok(StorageReport {
                storage_id: "fsid".into(),
                site_name: "a".into(),
                pools: vec!["volumes".into()],
                free_bytes: std::collections::BTreeMap::new(),
                peers: vec!["b".into()],
                replication_healthy: true,
                missing_rights: Vec::new(),
                warnings: Vec::new(),
            }),
            in_plan: true,
        }
    }

    fn group() -> ProtectionFacts {
        ProtectionFacts {
            group: ProtectionGroup {
                id: "g-1".into(),
                name: "shop".into(),
                description: String::new(),
                owner_group_id: "ops".into(),
                source_cluster: "c-1".into(),
                instances: Vec::new(),
                rpo_minutes: 15,
                rto_minutes: 30,
                snapshot_interval: Some(SnapshotInterval::minutes(10)),
                registered_at: before(1000),
                modified_at: before(1000),
            },
            has_plan: true,
            assessment: None,
            newest_point: Some(before(15 * 60)),
        }
    }

    fn job(state: JobState) -> UnfinishedJob {
        let definition = JobDefinition {
            job_type: JobType::Failover,
            execution: crate::model::ExecutionType::Immediate,
            data_point: crate::model::DataPoint::LatestData,
            group_id: "g-1".into(),
            plan_id: "p-1".into(),
            force: None,
            exclude: Default::default(),
        };
        UnfinishedJob {
            job: JobSummary {
                id: "j-1".into(),
                work: Work::Recovery(definition),
                owner_group_id: None,
                state,
                operation: JobOperation::Run,
                failed_clear: None,
                result: None,
                created_at: before(100),
                deadline: Some(before(1)),
                position: 1,
            },
            held_until: Some(now() + Duration::from_secs(10)),
        }
    }

    /// What is found of this world, as codes with severity and id.
    fn found(
        clusters: &[ClusterFacts],
        groups: &[ProtectionFacts],
        jobs: &[UnfinishedJob],
    ) -> Vec<(String, FindingSeverity, String)> {
        let findings = health_findings(&HealthFacts {
            now: now(),
            settings: &Settings::default(),
            clusters,
            groups,
            jobs,
            two_writers: &[],
            license: LicenseState::Valid,
        });
        for finding in &findings {
            assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
        }
        findings.into_iter().map(|f| (f.code, f.severity, f.id)).collect()
    }

    #[test]
    fn ops_30_all_is_well() {
        assert_eq!(found(&[cluster()], &[group()], &[job(JobState::Running)]), []);
    }

    /// Each thing that can be wrong with a cluster, alone.
    #[test]
    fn ops_30_ops_31_ops_32_ops_35_ops_36_clusters() {
        type Spoil = fn(&mut ClusterFacts);
        let rows: [(&str, FindingSeverity, Spoil); 9] = [
            ("cluster.cloud_unreachable", Critical, |c| {
                c.cloud = Err(Error::new(ErrorKind::Unavailable, "http.connect", "connection refused"));
            }),
            ("cluster.storage_unreachable", Critical, |c| {
                c.storage = Err(Error::new(ErrorKind::Timeout, "deadline", "no answer"));
            }),
            ("cluster.clock_skew", Warning, |c| {
                c.cloud.as_mut().unwrap().clock_skew_seconds = -61
            }),
            ("cluster.rights_missing", Warning, |c| {
                c.cloud.as_mut().unwrap().missing_rights = vec!["volume:manage".into()];
            }),
            ("cluster.storage_rights_missing", Warning, |c| {
                c.storage.as_mut().unwrap().missing_rights = vec!["rbd".into()];
            }),
            ("cluster.replication_unhealthy", Critical, |c| {
                c.storage.as_mut().unwrap().replication_healthy = false;
            }),
            ("cluster.no_peer", Critical, |c| {
                c.storage.as_mut().unwrap().peers.clear()
            }),
            ("cluster.sync_failed", Warning, |c| {
                c.cluster.sync = SyncState::Failed {
                    reason: "denied".into(),
                    complete_at: None,
                };
            }),
            ("cluster.sync_stale", Warning, |c| {
                c.cluster.sync = SyncState::Done { at: before(7201) }
            }),
        ];
        for (code, severity, spoil) in rows {
            let mut cluster = cluster();
            spoil(&mut cluster);
            assert_eq!(
                found(&[cluster], &[], &[]),
                [(code.to_owned(), severity, "c-1".to_owned())]
            );
        }
        let mut alone = cluster();
        alone.in_plan = false;
        alone.storage.as_mut().unwrap().peers.clear();
        assert_eq!(found(&[alone], &[], &[]), []);
    }

    #[test]
    fn open_07_groups_and_their_objectives() {
        let one = |change: fn(&mut ProtectionFacts)| {
            let mut group = group();
            change(&mut group);
            let found = found(&[], &[group], &[]);
            found
                .into_iter()
                .map(|(code, severity, _)| (code, severity))
                .collect::<Vec<_>>()
        };
        let is = |code: &str, severity| vec![(code.to_owned(), severity)];
        assert_eq!(
            one(|g| g.newest_point = Some(before(15 * 60 + 1))),
            is("group.rpo_breach", Critical)
        );
        assert_eq!(one(|g| g.newest_point = None), is("group.no_point", Warning));
        assert_eq!(one(|g| g.has_plan = false), is("group.no_plan", Warning));
        // By hand: as old as somebody lets it be.
        let by_hand = one(|g| {
            g.newest_point = Some(before(86_400));
            g.group.snapshot_interval = None;
        });
        assert_eq!(by_hand, []);
        let reason = one(|g| {
            g.assessment = Some(PlanAssessment {
                status: PlanStatus::Prepare,
                reasons: vec![crate::model::PlanReason {
                    status: PlanStatus::Prepare,
                    code: "plan.mirroring".into(),
                    message: "m".into(),
                    remedy: "r".into(),
                }],
            });
        });
        assert_eq!(reason, is("plan.mirroring", Warning));
    }

    #[test]
    fn ops_30_jobs_that_wait_for_somebody() {
        let rows = [
            (JobState::Running, None),
            (JobState::Waiting, Some(("job.held", Warning))),
            (JobState::Completed, Some(("job.awaits_decision", Info))),
            (JobState::ClearFailed, Some(("job.clear_failed", Warning))),
        ];
        for (state, expected) in rows {
            let found = found(&[], &[], &[job(state)]);
            let found = found.first().map(|(code, severity, _)| (code.as_str(), *severity));
            assert_eq!(found, expected, "{state:?}");
        }
        for held_until in [None, Some(before(1))] {
            let left = UnfinishedJob {
                held_until,
                ..job(JobState::Running)
            };
            assert_eq!(found(&[], &[], &[left])[0].0, "job.nobody_runs_it");
        }
    }

    #[test]
    fn ops_30_the_worst_comes_first() {
        let mut bad = cluster();
        bad.cloud.as_mut().unwrap().clock_skew_seconds = 3600;
        bad.storage.as_mut().unwrap().replication_healthy = false;
        let found = found(&[bad], &[], &[job(JobState::Completed)]);
        let severities: Vec<_> = found.iter().map(|(_, severity, _)| *severity).collect();
        assert_eq!(severities, [Critical, Warning, Info]);
    }
}
