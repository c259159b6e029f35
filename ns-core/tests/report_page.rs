//! The report: what it measures, that it survives being stored, and that its page stands alone.
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use ns_core::model::{DataPoint, ExecutionType, InstanceRecoveryState, JobOperation, ResultCode};
use ns_core::report::{
    CriticalStep, DecisionPart, InstancePart, JobPart, JournalPart, LeftoverPart, RecoveryReport, ReportInput,
    ReportTable, TaskPart, VolumePart,
};
use ns_core::{Error, ErrorKind, ErrorRecord};

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + millisecond).unwrap()
}

fn error() -> ErrorRecord {
    Error::new(ErrorKind::Quota, "cloud.quota", "no <b>cores</b> left")
        .with_remedy("raise the quota of project \"shop\"")
        .to_record()
}

fn instance(name: &str, state: InstanceRecoveryState) -> InstancePart {
    InstancePart {
        id: name.into(),
        name: name.into(),
        target_id: None,
        state,
        boot: true,
        started_at: Some(at(1_000)),
        ended_at: Some(at(66_000)),
        error: (state == InstanceRecoveryState::Failed).then(error),
    }
}

fn volume(name: &str, holds: Option<i64>, wrote: Option<i64>) -> VolumePart {
    VolumePart {
        id: name.into(),
        name: name.into(),
        size_gib: 10,
        instances: vec!["web".into()],
        recovered: true,
        data_point: holds.map(at),
        source_wrote_until: wrote.map(at),
    }
}

fn facts() -> ReportInput {
    ReportInput {
        job: JobPart {
            id: "job-1".into(),
            kind: "failover".into(),
            group: "<script>alert(1)</script>".into(),
            owner_group_id: Some("shop".into()),
            group_id: Some("group-1".into()),
            plan: "plan".into(),
            source_cluster: "seoul".into(),
            target_cluster: "busan".into(),
            execution: Some(ExecutionType::AtDateTime { at: at(0) }),
            data_point: Some(DataPoint::SpecificSnapshot {
                point_id: "point-7".into(),
            }),
            actor: "kim".into(),
            last_operation: JobOperation::IgnoreRollback,
            result: Some(ResultCode::PartialSuccess),
            created_at: at(0),
            started_at: Some(at(0)),
            completed_at: Some(at(3_600_001)),
            ended_at: at(4_000_000),
            rpo_minutes: 10,
            rto_minutes: 60,
        },
        instances: vec![
            instance("web", InstanceRecoveryState::Success),
            instance("db", InstanceRecoveryState::Failed),
            instance("batch", InstanceRecoveryState::Excluded),
        ],
        volumes: vec![
            volume("root", Some(0), Some(90_500)),
            volume("data", Some(5_000), Some(1_000)),
        ],
        tasks: vec![
            TaskPart {
                key: "server/web".into(),
                phase: "run".into(),
                title: "make server web".into(),
                status: "done".into(),
                attempts: 3,
                started_at: Some(at(1_000)),
                ended_at: Some(at(66_000)),
                error: Some(error()),
                message: Some("it runs".into()),
                after: vec!["network/front".into()],
                instances: vec!["web".into()],
            },
            TaskPart {
                key: "server/db".into(),
                phase: "run".into(),
                title: "make server db".into(),
                status: "failed".into(),
                attempts: 1,
                started_at: None,
                ended_at: None,
                error: None,
                message: None,
                after: Vec::new(),
                instances: vec!["db".into()],
            },
        ],
        decisions: vec![DecisionPart {
            kind: "force_promote".into(),
            operator: "kim & lee".into(),
            reason: "fire in hall 2".into(),
            at: Some(at(10)),
            facts: vec!["the Source does not answer".into(), "last report 40 s old".into()],
        }],
        leftovers: vec![
            LeftoverPart {
                kind: "floating_ip".into(),
                id: "ip-1".into(),
                cluster: "busan".into(),
                error: Some(error()),
                command: Some("openstack floating ip delete ip-1".into()),
            },
            LeftoverPart {
                kind: "port".into(),
                id: "p".into(),
                cluster: "busan".into(),
                error: None,
                command: None,
            },
        ],
        journal: JournalPart {
            position: 812,
            hash: "ab".repeat(32),
        },
    }
}

#[test]
fn what_is_measured() {
    let m = RecoveryReport::new(facts()).measured;
    // One millisecond over the hour is over it; what is newer than the last write lost nothing.
    assert_eq!((m.rto_seconds, m.rto_met), (Some(3_601), Some(false)));
    assert_eq!((m.rpo_seconds, m.rpo_met, m.rpo_unknown), (Some(91), Some(true), 0));
    assert_eq!((m.lost_seconds["root"], m.lost_seconds["data"]), (91, 0));
    assert_eq!(m.instances[&InstanceRecoveryState::Failed], 1);
    assert_eq!(
        (m.volumes, m.volumes_gib, m.tasks, m.tasks_failed, m.retries),
        (2, 20, 2, 1, 2)
    );
}

#[test]
fn what_is_not_known_is_not_called_met() {
    let mut facts = facts();
    facts.volumes.push(volume("unknown", None, Some(0)));
    facts.job.completed_at = None;
    let m = RecoveryReport::new(facts.clone()).measured;
    assert_eq!((m.rpo_seconds, m.rpo_met, m.rpo_unknown), (Some(91), None, 1));
    assert_eq!((m.rto_seconds, m.rto_met), (None, None));
    // A known breach stays one, whatever else is unknown.
    facts.job.rpo_minutes = 1;
    assert_eq!(RecoveryReport::new(facts.clone()).measured.rpo_met, Some(false));
    // A volume that was not recovered lost nothing of its own: it is not there.
    facts.volumes.iter_mut().for_each(|v| v.recovered = false);
    let m = RecoveryReport::new(facts).measured;
    assert_eq!((m.rpo_seconds, m.rpo_met, m.rpo_unknown), (None, None, 0));
}

#[test]
fn json_there_and_back() {
    let report = RecoveryReport::new(facts());
    let text = report.json().unwrap();
    assert_eq!(RecoveryReport::from_json(&text).unwrap(), report);
    assert_eq!(
        text,
        RecoveryReport::new(facts()).json().unwrap(),
        "the same facts give the same bytes"
    );
    let other = text.replacen("\"format\": 1", "\"format\": 2", 1);
    for wrong in [other.as_str(), "{}", "nonsense"] {
        let error = RecoveryReport::from_json(wrong).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "report.decode"));
    }
}

#[test]
fn the_page_says_it_all() {
    let page = RecoveryReport::new(facts()).html().unwrap();
    for text in [
        "partial success",
        "ignore-rollback",
        "1 h 0 min 1 s; objective 60 min: <span class=\"bad\">missed</span>",
        "1 min 31 s at most; objective 10 min: <span class=\"good\">met</span>",
        "1 excluded, 1 failed, 1 success",
        "specific snapshot",
        "point-7",
        "at date time, 2023-11-14 22:13:20 UTC",
        "force promote",
        "the Source does not answer<br>last report 40 s old",
        "fire in hall 2",
        "1 min 5 s",
        "raise the quota of project",
        "floating ip <code>ip-1</code>",
        "<pre>openstack floating ip delete ip-1</pre>",
        "make server web",
        "it runs",
        &"ab".repeat(32),
    ] {
        assert!(page.contains(text), "{text} is not in\n{page}");
    }
}

#[test]
fn the_page_stands_alone_and_escapes_what_people_wrote() {
    let page = RecoveryReport::new(facts()).html().unwrap();
    assert!(
        page.matches("<script").count() == 1
            && page.contains("<script type=\"application/json\"")
            && !page.contains("<b>cores"),
        "markup came through"
    );
    assert!(
        page.contains("&lt;script&gt;alert(1)") && page.contains("kim &amp; lee") && page.contains("&lt;b&gt;cores")
    );
    for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn an_empty_job_has_a_page() {
    let mut facts = facts();
    (facts.instances, facts.volumes, facts.tasks) = (vec![], vec![], vec![]);
    (facts.decisions, facts.leftovers) = (vec![], vec![]);
    let job = &mut facts.job;
    (
        job.execution,
        job.data_point,
        job.result,
        job.started_at,
        job.completed_at,
    ) = (None, None, None, None, None);
    let page = RecoveryReport::new(facts).html().unwrap();
    assert!(page.contains("not known") && !page.contains("Left behind") && !page.contains("Decisions"));
}

fn task(key: &str, after: &[&str], began: i64, ended: i64) -> TaskPart {
    TaskPart {
        key: key.into(),
        phase: "run".into(),
        title: key.into(),
        status: "done".into(),
        attempts: 1,
        started_at: Some(at(began)),
        ended_at: Some(at(ended)),
        error: None,
        message: None,
        after: after.iter().map(|key| (*key).to_owned()).collect(),
        instances: vec!["web".into()],
    }
}

/// The longest chain is not the one of the longest tasks: what counts is who was waited for.
#[test]
fn ui_26_the_critical_path_is_what_the_recovery_time_is_made_of() {
    let mut facts = facts();
    facts.tasks = vec![
        task("network", &[], 100, 1_000),
        task("volume", &[], 0, 4_000),
        task("port", &["network"], 1_000, 1_200),
        task("server", &["port", "volume"], 4_500, 9_000),
        task("batch", &[], 0, 8_000),
    ];
    facts.tasks.push(TaskPart {
        phase: "rollback".into(),
        ..task("undo/server", &["server"], 9_000, 20_000)
    });
    let step = |key: &str, waited_ms, took_ms| CriticalStep {
        key: key.into(),
        waited_ms,
        took_ms,
    };
    let path = RecoveryReport::new(facts.clone()).measured.critical_path;
    assert_eq!(path, [step("volume", 0, 4_000), step("server", 500, 4_500)]);
    // Tasks that took no time and name each other are no endless chain.
    facts.tasks = vec![task("a", &["b"], 5, 5), task("b", &["a"], 5, 5)];
    assert!(RecoveryReport::new(facts.clone()).measured.critical_path.len() <= 2);
    facts.tasks.clear();
    assert!(RecoveryReport::new(facts).measured.critical_path.is_empty());
}

/// OPEN-27: what a page or a document says is its data, to the byte.
#[test]
fn res_03_open_27_any_changed_byte_is_found() {
    let report = RecoveryReport::new(facts());
    for document in [report.json().unwrap(), report.html().unwrap()] {
        assert_eq!(RecoveryReport::from_document(&document).unwrap(), report);
        let mut places: Vec<usize> = (0..document.len()).step_by(97).collect();
        places.extend(document.len().saturating_sub(20)..document.len());
        for place in places.into_iter().filter(|p| document.is_char_boundary(*p)) {
            let next = document[place..].chars().next().unwrap();
            let other = if next == 'x' { 'y' } else { 'x' };
            let changed = format!("{}{other}{}", &document[..place], &document[place + next.len_utf8()..]);
            match RecoveryReport::from_document(&changed) {
                Err(e) => assert_eq!(e.kind(), ErrorKind::Corrupt, "byte {place}: {e}"),
                // Data that was changed in a way that is a report too: the journal's digest tells.
                Ok(read) => assert_ne!(
                    read.json().unwrap(),
                    report.json().unwrap(),
                    "byte {place} of\n{changed}"
                ),
            }
        }
        let cut = &document[..document.len() / 2];
        assert!(RecoveryReport::from_document(cut).is_err());
        assert!(RecoveryReport::from_document(&format!("{document} ")).is_err());
    }
}

#[test]
fn res_03_tables_for_spreadsheets() {
    let mut facts = facts();
    facts.instances[0].name = "=HYPERLINK(\"http://evil\")".into();
    let report = RecoveryReport::new(facts);
    for table in ReportTable::ALL {
        let text = report.csv(*table).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns = reader.headers().unwrap().len();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert!(
            !rows.is_empty() && rows.iter().all(|row| row.len() == columns),
            "{table:?}: {text}"
        );
    }
    let instances = report.csv(ReportTable::Instances).unwrap();
    assert!(
        instances.contains("\"'=HYPERLINK(\"\"http://evil\"\")\""),
        "{instances}"
    );
    assert!(
        report
            .csv(ReportTable::Leftovers)
            .unwrap()
            .contains("openstack floating ip delete ip-1")
    );
    assert_eq!(report.removal_script(), "openstack floating ip delete ip-1\n");
}
