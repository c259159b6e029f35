//! Events of the product: what it tells its users of by itself (NTF-01). Not what happened on a cluster
//! ([`ClusterEvent`](super::ClusterEvent)), and not what is done to a job (its journal).
//!
//! [`EventCode`] is the catalogue (NTF-08, OPEN-30): every event that there is, with severity, area, named parameters and a text in
//! each language. What the engine tells is made from the same table, so that no event lacks a parameter of its text.

use super::job::wire_enum;
use super::query::queryable;
use super::{ClusterId, GroupId, JobId, OwnerGroupId, PlanId, PointId, ScheduleId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

wire_enum! {
    /// How much an event matters, least first.
    Severity {
        /// To know.
        Info = "info",
        /// To look at when there is time.
        Warning = "warning",
        /// Something that was to be done was not.
        Error = "error",
        /// Data or its protection is at risk now.
        Critical = "critical",
    }
}

wire_enum! {
    /// The part of the product that an event is about.
    EventArea {
        /// Recovery jobs and their schedules.
        Jobs = "jobs",
        /// Recovery plans.
        Plans = "plans",
        /// Recovery points, and the objective they serve.
        Points = "points",
        /// Clusters, and what they hold of protected volumes.
        Clusters = "clusters",
        /// The notification centre itself.
        Notifications = "notifications",
    }
}

wire_enum! {
    /// A language that texts are there in.
    Language {
        /// English.
        English = "en",
        /// Korean.
        Korean = "ko",
    }
}

/// The catalogue: code, area, severity, parameters, and the texts in English and Korean with a place for each parameter.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $area:ident, $severity:ident, { $($parameter:ident),* }
        $english:literal, $korean:literal;)*) => {
        wire_enum! {
            /// What an event tells. Codes are stable: none is given another meaning.
            EventCode { $($(#[$doc])* $name = $code),* }
        }

        impl EventCode {
            /// What it is about.
            #[must_use]
            pub const fn area(self) -> EventArea {
                match self { $(Self::$name => EventArea::$area),* }
            }

            /// How much it matters.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),* }
            }

            /// The names of its parameters: an event of this code has just these.
            #[must_use]
            pub const fn parameters(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$(stringify!($parameter)),*]),* }
            }

            /// Its text, with a place like `{group}` for each parameter.
            #[must_use]
            pub const fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::English) => $english,
                      (Self::$name, Language::Korean) => $korean),*
                }
            }
        }

        /// What is to be told: a code with its parameters. One that nobody tells is a warning of the compiler.
        #[derive(Debug)]
        pub(crate) enum Told {
            $($name { $($parameter: String),* }),*
        }

        impl Told {
            pub(crate) const fn code(&self) -> EventCode {
                match self { $(Self::$name { .. } => EventCode::$name),* }
            }

            pub(crate) fn into_parameters(self) -> BTreeMap<String, String> {
                match self {
                    $(Self::$name { $($parameter),* } => {
                        BTreeMap::from([$((stringify!($parameter).to_owned(), $parameter)),*])
                    })*
                }
            }
        }
    };
}

catalogue! {
    /// A recovery job began to run.
    JobStarted = "job.started", Jobs, Info, { work, job, group }
        "The {work} {job} of group {group} has started.",
        "그룹 {group}의 {work} 작업 {job}: 시작되었습니다.";
    /// All of a recovery job's tasks succeeded.
    JobSucceeded = "job.succeeded", Jobs, Info, { work, job, group }
        "The {work} {job} of group {group} has succeeded.",
        "그룹 {group}의 {work} 작업 {job}: 성공했습니다.";
    /// Some instances were recovered, some were not.
    JobPartial = "job.partial", Jobs, Error, { work, job, group }
        "The {work} {job} of group {group} has recovered only a part of the instances.",
        "그룹 {group}의 {work} 작업 {job}: 일부 인스턴스만 복구되었습니다.";
    /// A recovered instance was not ready in time (OPEN-16).
    InstanceNotReady = "job.instance_not_ready", Jobs, Warning, { work, job, group, instance }
        "The {work} {job} of group {group} has recovered the instance {instance}, and its check of readiness has failed.",
        "그룹 {group}의 {work} 작업 {job}: 인스턴스 {instance}을(를) 복구했지만 준비 상태 확인에 실패했습니다.";
    /// Nothing was recovered.
    JobFailed = "job.failed", Jobs, Error, { work, job, group }
        "The {work} {job} of group {group} has failed.",
        "그룹 {group}의 {work} 작업 {job}: 실패했습니다.";
    /// A recovery job was cancelled.
    JobCanceled = "job.canceled", Jobs, Warning, { work, job, group }
        "The {work} {job} of group {group} was cancelled.",
        "그룹 {group}의 {work} 작업 {job}: 취소되었습니다.";
    /// A failover waits for somebody to confirm it or roll it back.
    DecisionAwaited = "job.decision_awaited", Jobs, Warning, { work, job, group }
        "The {work} {job} of group {group} waits for a decision: confirm, retry or roll back.",
        "그룹 {group}의 {work} 작업 {job}: 확정, 재시도 또는 롤백 결정을 기다리고 있습니다.";
    /// A rollback or a confirm could not remove everything.
    CleanUpFailed = "job.clean_up_failed", Jobs, Error, { work, job, group }
        "The clean-up after the {work} {job} of group {group} has failed.",
        "그룹 {group}의 {work} 작업 {job}: 정리에 실패했습니다.";
    /// A recovery job has ended for good, its report is there.
    JobFinished = "job.finished", Jobs, Info, { work, job, group }
        "The {work} {job} of group {group} has finished; its report is ready.",
        "그룹 {group}의 {work} 작업 {job}: 종료되었으며 보고서가 준비되었습니다.";
    /// A drill could not begin in time (JOB-54).
    WindowMissed = "job.window_missed", Jobs, Warning, { job, group }
        "The drill {job} of group {group} was cancelled: it could not begin within ten minutes of its time.",
        "그룹 {group}의 모의 훈련 {job}: 예정 시각부터 10분 안에 시작하지 못해 취소되었습니다.";
    /// A failover does not wait for a drill.
    DrillPreempted = "job.drill_preempted", Jobs, Warning, { job, group }
        "The failover {job} of group {group} does not wait for a drill of the group: the drill is ended.",
        "그룹 {group}의 장애 조치 {job}: 같은 그룹의 모의 훈련을 기다리지 않고 종료시킵니다.";
    /// Drills of a schedule fell into a time in which no engine ran (OPEN-10).
    RunsMissed = "schedule.runs_missed", Jobs, Warning, { schedule, count }
        "No engine ran when {count} drills of the schedule {schedule} were due; only the latest is made up for.",
        "엔진이 실행되지 않아 일정 {schedule}의 모의 훈련 {count}건을 놓쳤습니다. 가장 최근 것만 다시 시도합니다.";

    /// A plan is ready again.
    PlanNormal = "plan.normal", Plans, Info, { plan, group }
        "The plan {plan} of group {group} is normal again.",
        "그룹 {group}의 계획 {plan}: 정상 상태로 돌아왔습니다.";
    /// A plan's replication is not normal (PLAN-41).
    PlanPrepare = "plan.prepare", Plans, Error, { plan, group, reasons }
        "The plan {plan} of group {group} is not ready ({reasons}).",
        "그룹 {group}의 계획 {plan}: 준비되지 않은 상태입니다({reasons}).";
    /// A plan has to be looked at (PLAN-42).
    PlanWarning = "plan.warning", Plans, Warning, { plan, group, reasons }
        "The plan {plan} of group {group} has to be updated ({reasons}).",
        "그룹 {group}의 계획 {plan}: 수정이 필요합니다({reasons}).";
    /// The Target of a plan does not answer (PLAN-43).
    PlanCritical = "plan.critical", Plans, Critical, { plan, group, reasons }
        "The plan {plan} of group {group} cannot recover anything now ({reasons}).",
        "그룹 {group}의 계획 {plan}: 지금은 복구할 수 없습니다({reasons}).";
    /// The Source of a plan does not answer (PLAN-44).
    PlanEmergency = "plan.emergency", Plans, Critical, { plan, group, reasons }
        "The plan {plan} of group {group} is in an emergency ({reasons}).",
        "그룹 {group}의 계획 {plan}: 비상 상태입니다({reasons}).";
    /// The first copy of a plan's volumes is complete.
    Protected = "plan.protected", Plans, Info, { job, group }
        "All volumes of group {group} are replicated (job {job}).",
        "그룹 {group}의 모든 볼륨이 복제되고 있습니다(작업 {job}).";
    /// The first copy of a plan's volumes was not completed.
    ProtectionFailed = "plan.protection_failed", Plans, Error, { job, group }
        "Not all volumes of group {group} could be replicated (job {job}).",
        "그룹 {group}의 일부 볼륨을 복제하지 못했습니다(작업 {job}).";
    /// A plan was deleted with its replicas and points.
    ProtectionEnded = "plan.protection_ended", Plans, Info, { job, group }
        "The protection of group {group} has ended (job {job}).",
        "그룹 {group}의 보호가 종료되었습니다(작업 {job}).";
    /// A plan could not be deleted with all that belongs to it.
    EndFailed = "plan.end_failed", Plans, Error, { job, group }
        "The protection of group {group} could not be ended completely (job {job}).",
        "그룹 {group}의 보호를 완전히 종료하지 못했습니다(작업 {job}).";

    /// A recovery point can be chosen from now on (OPEN-08).
    PointMade = "point.made", Points, Info, { point, group }
        "The recovery point {point} of group {group} is complete.",
        "그룹 {group}의 복구 지점 {point}: 완료되었습니다.";
    /// A recovery point did not come to be (OPEN-08).
    PointFailed = "point.failed", Points, Error, { point, group }
        "The recovery point {point} of group {group} could not be made.",
        "그룹 {group}의 복구 지점 {point}: 만들지 못했습니다.";
    /// A recovery point is due, and is not begun as long as something is in its way (OPEN-08). Told once until it is begun.
    PointSkipped = "point.skipped", Points, Warning, { group, work, job }
        "A recovery point of group {group} that is due is not begun: {work} job {job} has not finished.",
        "그룹 {group}의 예정된 복구 지점을 시작하지 못했습니다. {work} 작업 {job}: 아직 진행 중입니다.";
    /// Recovery points that are not kept any more could not be removed.
    RemovalFailed = "point.removal_failed", Points, Warning, { job, group }
        "Recovery points of group {group} that are not kept any more could not be removed (job {job}).",
        "그룹 {group}에서 더 이상 보관하지 않는 복구 지점을 제거하지 못했습니다(작업 {job}).";
    /// More would be lost now than the group's recovery point objective allows (OPEN-07).
    RpoBreached = "rpo.breached", Points, Error, { group, minutes, since }
        "Group {group} misses its RPO of {minutes} minutes: what was written since {since} is not on the Target.",
        "그룹 {group}: RPO {minutes}분을 지키지 못하고 있습니다. {since} 이후의 쓰기가 대상에 없습니다.";
    /// The recovery point objective is met again (OPEN-07).
    RpoMet = "rpo.met", Points, Info, { group, minutes }
        "Group {group} meets its RPO of {minutes} minutes again.",
        "그룹 {group}: RPO {minutes}분을 다시 지키고 있습니다.";

    /// A cluster does not answer (CL-11).
    ClusterInactive = "cluster.inactive", Clusters, Critical, { cluster, because }
        "The cluster {cluster} does not answer ({because}).",
        "클러스터 {cluster}: 응답하지 않습니다({because}).";
    /// A cluster answers again (CL-11).
    ClusterActive = "cluster.active", Clusters, Info, { cluster }
        "The cluster {cluster} answers again.",
        "클러스터 {cluster}: 다시 응답합니다.";
    /// A cluster could not be read (CL-12). Told once until it can be.
    SyncFailed = "cluster.sync_failed", Clusters, Error, { cluster, because }
        "The cluster {cluster} could not be synchronised ({because}).",
        "클러스터 {cluster}: 동기화하지 못했습니다({because}).";
    /// A cluster that could not be read was read.
    Synchronised = "cluster.synchronised", Clusters, Info, { cluster }
        "The cluster {cluster} is synchronised again.",
        "클러스터 {cluster}: 다시 동기화되었습니다.";
    /// A source came back that a failover has taken over from, and may write.
    SourceReturned = "source.returned", Clusters, Critical, { failover, group }
        "The source of group {group} came back after failover {failover} and may write; it is made read only.",
        "장애 조치 {failover} 이후 그룹 {group}의 원본이 돌아와 쓰기가 가능한 상태입니다. 읽기 전용으로 전환합니다.";
    /// The source that came back cannot write any more.
    SourceFenced = "source.fenced", Clusters, Warning, { failover, group }
        "The source of group {group} that came back after failover {failover} is read only now.",
        "장애 조치 {failover} 이후 돌아온 그룹 {group}의 원본을 읽기 전용으로 전환했습니다.";
    /// The source that came back may still write.
    FenceFailed = "source.fence_failed", Clusters, Critical, { failover, group }
        "The source of group {group} that came back after failover {failover} could not be made read only.",
        "장애 조치 {failover} 이후 돌아온 그룹 {group}의 원본을 읽기 전용으로 전환하지 못했습니다.";
    /// A volume is primary on both sides.
    TwoWriters = "volume.two_writers", Clusters, Critical, { volume, group }
        "The volume {volume} of group {group} is primary on both sides: both may write.",
        "그룹 {group}의 볼륨 {volume}: 양쪽 모두 primary 상태여서 양쪽에서 쓸 수 있습니다.";
    /// A volume that was primary on both sides is not any more.
    OneWriter = "volume.one_writer", Clusters, Info, { volume, group }
        "The volume {volume} of group {group} is primary on one side only again.",
        "그룹 {group}의 볼륨 {volume}: 다시 한쪽에서만 primary 상태입니다.";

    /// A message could not be delivered, and is not tried again (OPEN-43).
    DeliveryGivenUp = "notification.given_up", Notifications, Warning, { sink, event, because }
        "The event {event} could not be delivered through {sink} ({because}).",
        "이벤트 {event}: {sink} 경로로 전달하지 못했습니다({because}).";
}

/// Names an event: its place in the order of all events, as text of a fixed length. Events follow one another without gap, in the
/// order in which they became readable, so that reading can go on where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(String);

impl EventId {
    /// The id at a place, from 1; 0 stands before all events.
    ///
    /// ```
    /// use ns_core::model::EventId;
    /// assert_eq!(EventId::at(7).as_str(), "00000000000000000007");
    /// ```
    #[must_use]
    pub fn at(place: u64) -> Self {
        Self(format!("{place:020}"))
    }

    /// Wraps an id that came from a caller.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The things that an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// A cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// A protection group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// A recovery plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// A job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// A recovery point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<PointId>,
    /// A schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleId>,
    /// A user, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl About {
    /// A cluster.
    pub(crate) fn of_cluster(id: &ClusterId) -> Self {
        Self {
            cluster: Some(id.clone()),
            ..Self::default()
        }
    }

    /// A plan and its group.
    pub(crate) fn of_plan(plan: &super::RecoveryPlan) -> Self {
        Self {
            group: Some(plan.group_id.clone()),
            plan: Some(plan.id.clone()),
            ..Self::default()
        }
    }
}

/// An event of the product (NTF-02, NTF-04).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductEvent {
    /// Names it, and orders it among the others.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// What it tells.
    pub code: EventCode,
    /// How much it matters.
    pub severity: Severity,
    /// The part of the product it is about.
    pub area: EventArea,
    /// Who may see it besides Admins; none: nobody (NTF-03, NTF-05).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_group_id: Option<OwnerGroupId>,
    /// The things it is about.
    #[serde(default)]
    pub about: About,
    /// What stands in the places of its text: names, ids, codes. Never a secret.
    pub parameters: BTreeMap<String, String>,
}

impl ProductEvent {
    /// Its text.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        fill(self.code.template(language), &self.parameters)
    }
}

/// Puts parameters into their places. What stands in a parameter is never taken for a place.
fn fill(template: &str, parameters: &BTreeMap<String, String>) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, (name, after))) = place(rest) {
        text.push_str(before);
        text.push_str(parameters.get(name).map_or("?", String::as_str));
        rest = after;
    }
    text + rest
}

/// What stands before the first place of a text, the name of the place, and what follows it.
fn place(text: &str) -> Option<(&str, (&str, &str))> {
    let (before, rest) = text.split_once('{')?;
    Some((before, rest.split_once('}')?))
}

queryable! { ProductEvent, id;
    "id" Text = |e| e.id.as_str(),
    "name" Text = |e| e.code.as_str(),
    "at" Time = |e| e.at,
    "code" Text = |e| e.code.as_str(),
    "severity" Text = |e| e.severity.as_str(),
    "area" Text = |e| e.area.as_str(),
    "owner_group_id" Text = |e| e.owner_group_id.as_ref().map(OwnerGroupId::as_str),
    "cluster_id" Text = |e| e.about.cluster.as_ref().map(ClusterId::as_str),
    "group_id" Text = |e| e.about.group.as_ref().map(GroupId::as_str),
    "plan_id" Text = |e| e.about.plan.as_ref().map(PlanId::as_str),
    "job_id" Text = |e| e.about.job.as_ref().map(JobId::as_str),
    "point_id" Text = |e| e.about.point.as_ref().map(PointId::as_str),
    "schedule_id" Text = |e| e.about.schedule.as_ref().map(ScheduleId::as_str),
    "user" Text = |e| e.about.user.as_ref(),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn places(template: &str) -> Vec<&str> {
        let (mut found, mut rest) = (Vec::new(), template);
        while let Some((_, (name, after))) = place(rest) {
            found.push(name);
            rest = after;
        }
        found
    }

    /// NTF-08, OPEN-30: codes are unique and well formed, and each text uses just the parameters of its event.
    #[test]
    fn ntf_08_open_30_every_text_uses_the_parameters_of_its_event() {
        let codes: BTreeSet<_> = EventCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(codes.len(), EventCode::ALL.len());
        for code in EventCode::ALL {
            let (head, tail) = code.as_str().split_once('.').unwrap();
            let plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(plain(head) && plain(tail), "{code}");
            let declared: BTreeSet<_> = code.parameters().iter().copied().collect();
            assert_eq!(declared.len(), code.parameters().len(), "{code}");
            for language in Language::ALL {
                let text = code.template(*language);
                let used: BTreeSet<_> = places(text).into_iter().collect();
                assert_eq!(used, declared, "{code} {language}");
                assert_eq!(
                    text.matches('{').count(),
                    text.matches('}').count(),
                    "{code} {language}"
                );
            }
            assert!(code.template(Language::English).is_ascii(), "{code}");
            let hangul = |c: char| ('\u{ac00}'..='\u{d7a3}').contains(&c);
            assert!(code.template(Language::Korean).chars().any(hangul), "{code}");
        }
    }

    #[test]
    fn ntf_08_severities_are_in_order() {
        assert!(Severity::ALL.is_sorted());
        assert!(Severity::Info < Severity::Warning && Severity::Error < Severity::Critical);
    }

    proptest! {
        /// Whatever a name holds, it stands in the text as it is, and nothing of it is taken for a place.
        #[test]
        fn ntf_08_what_stands_in_a_parameter_is_no_place(name in "\\PC{0,20}", job in "[a-z{}]{0,10}") {
            let told = Told::JobStarted { work: "drill".into(), job: job.clone(), group: name.clone() };
            let text = fill(told.code().template(Language::English), &told.into_parameters());
            prop_assert_eq!(text, format!("The drill {job} of group {name} has started."));
        }
    }
}
