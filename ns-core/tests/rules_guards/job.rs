use crate::world::{World, at, id, job, normal};
use crate::{exactly, fact};
use ns_core::ErrorKind::{self, Invalid, NotFound, Refused};
use ns_core::model::{
    Consistency, DataPoint, ExecutionType, ForceRight, JobDefinition, JobOperation, JobState, JobSummary, JobType,
    Manifest, PlanAssessment, PlanReason, PlanStatus, RecoveryPoint, Work,
};
use ns_core::rules::{DataPointKind, ExecutionKind, JobFacts, MATRIX, check_job, job_exists, job_violations};
use std::collections::BTreeMap;

struct Case {
    world: World,
    job: JobDefinition,
    assessment: PlanAssessment,
    jobs: Vec<JobSummary>,
    points: Vec<RecoveryPoint>,
    warnings_acknowledged: bool,
}

impl Case {
    fn new(job_type: JobType, data_point: DataPoint) -> Self {
        let world = World::new();
        let point = RecoveryPoint {
            id: "point-1".into(),
            group_id: "g1".into(),
            plan_id: "p1".into(),
            job_id: "j0".into(),
            taken_at: at(0),
            complete_at: at(1),
            consistency: Consistency::Crash,
            volumes: BTreeMap::new(),
            plan: world.plan.clone(),
            inventory: world.source_inventory.clone(),
            manifest: Manifest::default(),
            contents: BTreeMap::new(),
        };
        Self {
            world,
            job: job(job_type, data_point),
            assessment: normal(),
            jobs: vec![],
            points: vec![point],
            warnings_acknowledged: false,
        }
    }
    fn violations(&self) -> Vec<ns_core::Error> {
        job_violations(&self.job, &self.facts())
    }
    fn facts(&self) -> JobFacts<'_> {
        JobFacts {
            group: &self.world.group,
            plan: &self.world.plan,
            assessment: &self.assessment,
            jobs: &self.jobs,
            points: &self.points,
            warnings_acknowledged: self.warnings_acknowledged,
            now: at(100),
        }
    }
}

fn drill() -> Case {
    Case::new(JobType::Drill, DataPoint::LatestSnapshot)
}

fn failover() -> Case {
    Case::new(JobType::Failover, DataPoint::LatestData)
}

#[track_caller]
fn refuses(mut case: Case, kind: ErrorKind, code: &str, field: &str, spoil: impl FnOnce(&mut Case)) -> ns_core::Error {
    spoil(&mut case);
    exactly(&case.violations(), &[(kind, code, field)]);
    check_job(&case.job, &case.facts()).unwrap_err()
}

/// JOB-20 … JOB-37, SCH-12, as the rule book's table 13 has it, apart from the data in the code.
#[test]
fn job_20_to_37_the_matrix() {
    use DataPointKind::{LatestData as D, LatestSnapshot as L, SpecificSnapshot as S};
    use ExecutionKind::{AtDateTime, Immediate, Schedule};
    let allowed = [
        (JobType::Drill, Immediate, L),
        (JobType::Drill, Immediate, S),
        (JobType::Drill, AtDateTime, L),
        (JobType::Drill, Schedule, L),
        (JobType::Failover, Immediate, D),
        (JobType::Failover, Immediate, L),
        (JobType::Failover, Immediate, S),
        (JobType::Failover, AtDateTime, L),
        (JobType::Failover, AtDateTime, S),
    ];
    let mut number = 20;
    for job_type in [JobType::Drill, JobType::Failover] {
        for execution in [
            ExecutionType::Immediate,
            ExecutionType::AtDateTime { at: at(200) },
            ExecutionType::Schedule {
                schedule_id: "s".into(),
            },
        ] {
            for data_point in [
                DataPoint::LatestData,
                DataPoint::LatestSnapshot,
                DataPoint::SpecificSnapshot {
                    point_id: "point-1".into(),
                },
            ] {
                let key = (
                    job_type,
                    ExecutionKind::from(&execution),
                    DataPointKind::from(&data_point),
                );
                let mut case = Case::new(job_type, data_point);
                case.job.execution = execution.clone();
                let found = case.violations();
                let id = format!("JOB-{number}");
                assert_eq!(found.is_empty(), allowed.contains(&key), "{id} {found:?}");
                if let [error] = &found[..] {
                    assert_eq!(
                        (error.kind(), error.code(), fact(error, "rule")),
                        (Invalid, "job.combination", Some(&*id))
                    );
                    let scheduled = job_type == JobType::Failover && key.1 == Schedule;
                    assert_eq!(error.field(), Some(if scheduled { "execution" } else { "data_point" }));
                }
                assert_eq!(MATRIX[number - 20].id, id);
                number += 1;
            }
        }
    }
    assert_eq!(number, 38);
}

#[test]
fn job_04_the_plan_is_of_the_group() {
    for spoil in [
        (|c: &mut Case| c.job.plan_id = "p2".into()) as fn(&mut Case),
        |c| c.job.group_id = "g2".into(),
        |c| c.world.plan.group_id = "g2".into(),
    ] {
        refuses(drill(), Invalid, "job.plan", "plan_id", spoil);
    }
}

fn reason(status: PlanStatus, code: &str) -> PlanReason {
    PlanReason {
        status,
        code: code.into(),
        message: format!("because of {code}"),
        remedy: format!("mend {code}"),
    }
}

#[test]
fn job_40_job_44_plan_46_by_plan_status() {
    for status in [PlanStatus::Prepare, PlanStatus::Warning, PlanStatus::Critical] {
        for case in [drill(), failover()] {
            let error = refuses(case, Refused, "job.plan_status", "plan_id", |c| {
                c.assessment = PlanAssessment {
                    status,
                    reasons: vec![reason(status, "x"), reason(PlanStatus::Warning, "y")],
                };
            });
            assert!(fact(&error, "reasons").unwrap().contains("because of x"));
            assert_eq!(error.remedy(), Some("mend x"));
        }
    }
    for status in [PlanStatus::Normal, PlanStatus::Emergency] {
        for mut case in [drill(), failover()] {
            case.assessment.status = status;
            exactly(&case.violations(), &[]);
        }
    }
}

#[test]
fn open_05_open_25_emergency_with_warnings() {
    let emergency = |c: &mut Case| {
        let reasons = vec![reason(PlanStatus::Emergency, "x"), reason(PlanStatus::Warning, "y")];
        c.assessment = PlanAssessment {
            status: PlanStatus::Emergency,
            reasons,
        };
    };
    let error = refuses(failover(), Refused, "job.acknowledge", "plan_id", emergency);
    assert_eq!(fact(&error, "reasons"), Some("because of y"));
    let mut cases = [drill(), failover(), failover()];
    cases[1].warnings_acknowledged = true;
    cases[2].job.force = Some(force());
    for mut case in cases {
        emergency(&mut case);
        exactly(&case.violations(), &[]);
    }
}

fn other(job_type: JobType, state: JobState) -> JobSummary {
    JobSummary {
        id: "j9".into(),
        owner_group_id: None,
        work: Work::Recovery(job(job_type, DataPoint::LatestSnapshot)),
        state,
        operation: JobOperation::Run,
        failed_clear: None,
        result: None,
        created_at: at(0),
        deadline: None,
        position: 1,
    }
}

#[test]
fn job_41_a_failover_is_in_progress() {
    for &state in JobState::ALL {
        let blocks = !matches!(state, JobState::Waiting | JobState::Finished);
        for mut case in [drill(), failover()] {
            case.jobs = vec![other(JobType::Drill, state)];
            exactly(&case.violations(), &[]);
            case.jobs = vec![other(JobType::Failover, state)];
            if blocks {
                let error = refuses(case, Refused, "job.failover_in_progress", "group_id", |_| {});
                assert_eq!(fact(&error, "job"), Some("j9"));
            } else {
                exactly(&case.violations(), &[]);
            }
        }
        assert_eq!(job_exists(state), state != JobState::Finished, "JOB-52");
    }
    let mut case = failover();
    let work = Work::Protect {
        group_id: "g1".into(),
        plan_id: "p1".into(),
        give_up: None,
    };
    case.jobs = vec![JobSummary {
        work,
        ..other(JobType::Failover, JobState::Running)
    }];
    exactly(&case.violations(), &[]);
}

#[test]
fn job_42_job_43_recovery_points() {
    let specific = DataPoint::SpecificSnapshot {
        point_id: "point-1".into(),
    };
    for case in [
        drill(),
        Case::new(JobType::Drill, specific.clone()),
        Case::new(JobType::Failover, DataPoint::LatestSnapshot),
        Case::new(JobType::Failover, specific.clone()),
    ] {
        refuses(case, Refused, "job.no_snapshot", "data_point", |c| c.points.clear());
    }
    let mut latest = failover();
    latest.points.clear();
    exactly(&latest.violations(), &[]);
    refuses(
        Case::new(JobType::Failover, specific),
        NotFound,
        "job.point",
        "data_point.point_id",
        |c| {
            c.points[0].id = "point-2".into();
        },
    );
}

#[test]
fn job_07_a_planned_time_lies_ahead() {
    let planned = |second| {
        let mut case = drill();
        case.job.execution = ExecutionType::AtDateTime { at: at(second) };
        case
    };
    exactly(&planned(100).violations(), &[]);
    refuses(planned(99), Invalid, "job.time", "execution.at", |_| {});
}

fn force() -> ForceRight {
    ForceRight {
        operator: "kim".into(),
        reason: "fire in hall 2".into(),
        accepts_data_loss: true,
        without_fence: false,
    }
}

#[test]
fn a_force_right_is_whole_and_for_failovers() {
    let with = |change: fn(&mut ForceRight)| {
        let mut right = force();
        change(&mut right);
        move |c: &mut Case| c.job.force = Some(right)
    };
    let mut good = failover();
    with(|_| {})(&mut good);
    exactly(&good.violations(), &[]);
    refuses(
        failover(),
        Invalid,
        "job.force",
        "force.operator",
        with(|f| f.operator = " ".into()),
    );
    refuses(
        failover(),
        Invalid,
        "job.force",
        "force.reason",
        with(|f| f.reason = String::new()),
    );
    refuses(
        failover(),
        Invalid,
        "job.force",
        "force.accepts_data_loss",
        with(|f| f.accepts_data_loss = false),
    );
    refuses(drill(), Invalid, "job.force", "force", with(|_| {}));
}

#[test]
fn exclusions_are_members_and_leave_something() {
    let mut one = drill();
    one.job.exclude.insert(id("web"));
    exactly(&one.violations(), &[]);
    refuses(drill(), Invalid, "job.exclude", "exclude[batch]", |c| {
        c.job.exclude.insert(id("batch"));
    });
    refuses(drill(), Invalid, "job.nothing_left", "exclude", |c| {
        c.job.exclude.extend([id("web"), id("db")]);
    });
}
