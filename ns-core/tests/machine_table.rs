//! The job state machine against the rule book: every cell of §8.6, every row of §8.4, and what must hold for all of it.
#![allow(clippy::unwrap_used)]

use ns_core::ErrorKind;
use ns_core::machine::{
    Facts, On, Removal, Row, TABLE, TimerKind, Transition, Trigger, allowed, created, diagram, holds_group, may_delete,
    may_extend, may_update, removal, step,
};
use ns_core::model::ClearOperation as C;
use ns_core::model::JobOperation as Op;
use ns_core::model::JobState as S;
use ns_core::model::JobType as T;
use ns_core::model::ResultCode as R;
use ns_core::model::{ExecutionType, JobOperation, JobState, JobType, ResultCode};
use proptest::prelude::*;

const RESULTS: [Option<R>; 5] = [
    None,
    Some(R::Success),
    Some(R::PartialSuccess),
    Some(R::Failed),
    Some(R::Canceled),
];
const CLEARS: [Option<C>; 3] = [None, Some(C::Rollback), Some(C::Confirm)];

fn facts(job_type: T) -> Facts {
    Facts {
        job_type,
        result: Some(R::Success),
        failed_clear: None,
        group_is_free: true,
        first_in_group: true,
        source_cleared: false,
    }
}

fn triggers() -> Vec<Trigger> {
    let operations = Op::ALL.iter().copied().map(Trigger::Operation);
    let timers = TimerKind::ALL.iter().copied().map(Trigger::Timer);
    let ends = R::ALL.iter().copied().map(Trigger::TasksEnded);
    let cleared = [true, false].map(|all_succeeded| Trigger::ClearEnded { all_succeeded });
    operations
        .chain(timers)
        .chain(ends)
        .chain(cleared)
        .chain([Trigger::ReportMade])
        .collect()
}

fn all_facts() -> Vec<Facts> {
    let mut all = Vec::new();
    for &job_type in T::ALL {
        for result in RESULTS {
            for failed_clear in CLEARS {
                for bits in 0..8 {
                    let (group_is_free, first_in_group, source_cleared) = (bits & 1 == 1, bits & 2 == 2, bits & 4 == 4);
                    all.push(Facts {
                        job_type,
                        result,
                        failed_clear,
                        group_is_free,
                        first_in_group,
                        source_cleared,
                    });
                }
            }
        }
    }
    all
}

fn take(state: S, operation: Op, trigger: Trigger, facts: &Facts) -> Transition {
    step(state, operation, &trigger, facts).unwrap()
}

/// §8.6, column by column: run, pause, cancel, retry, rollback, retry-rollback, ignore-rollback, confirm, retry-confirm,
/// cancel-confirm, extend, update, delete. `|` parts the drill's row from the failover's, `-` is a refusal.
const CELLS: &[(S, [&str; 13])] = &[
    (
        S::Waiting,
        ["", "", "", "", "", "", "", "", "", "", "", "JOB-45/46", "JOB-49"],
    ),
    (
        S::Pending,
        ["SM-33", "", "", "", "", "", "", "", "", "", "", "", "JOB-49"],
    ),
    (
        S::Running,
        ["", "SM-35", "SM-39", "", "", "", "", "", "", "", "", "", ""],
    ),
    (
        S::Paused,
        ["SM-36", "", "SM-38", "", "", "", "", "", "", "", "", "", ""],
    ),
    (S::Canceling, ["", "", "", "", "", "", "", "", "", "", "", "", ""]),
    (
        S::Completed,
        [
            "",
            "",
            "",
            "-|SM-47",
            "SM-44|SM-57",
            "",
            "",
            "-|SM-45",
            "",
            "",
            "SM-61|-",
            "",
            "JOB-49",
        ],
    ),
    (S::Clearing, ["", "", "", "", "", "", "", "", "", "", "", "", ""]),
    (
        S::ClearFailed,
        [
            "",
            "",
            "",
            "",
            "",
            "SM-50",
            "SM-51",
            "",
            "-|SM-52",
            "-|SM-53",
            "SM-62|SM-63",
            "",
            "JOB-49",
        ],
    ),
    (S::Reporting, ["", "", "", "", "", "", "", "", "", "", "", "", ""]),
    (S::Finished, ["", "", "", "", "", "", "", "", "", "", "", "", ""]),
];

#[test]
fn table_8_6_cell_by_cell() {
    assert_eq!(CELLS.len(), S::ALL.len());
    let at = ExecutionType::AtDateTime {
        at: jiff::Timestamp::UNIX_EPOCH,
    };
    let schedule = ExecutionType::Schedule {
        schedule_id: "s".into(),
    };
    for (state, cells) in CELLS {
        for &job_type in T::ALL {
            let expected = |cell: &'static str| {
                let side = match cell.split_once('|') {
                    Some((drill, failover)) => {
                        if job_type == T::Drill {
                            drill
                        } else {
                            failover
                        }
                    }
                    None => cell,
                };
                (!matches!(side, "" | "-")).then_some(side)
            };
            for (column, operation) in COLUMNS.into_iter().enumerate() {
                let failed_clear = match operation {
                    Op::RetryConfirm | Op::CancelConfirm => Some(C::Confirm),
                    _ => Some(C::Rollback),
                };
                let facts = Facts {
                    failed_clear,
                    ..facts(job_type)
                };
                let got = step(*state, Op::Run, &Trigger::Operation(operation), &facts);
                assert_eq!(
                    got.as_ref().ok().map(|t| t.row),
                    expected(cells[column]),
                    "{state} {operation} {job_type}"
                );
                assert_eq!(got.is_ok(), allowed(*state, &facts).contains(&operation));
                if let Err(error) = got {
                    // SM-64: it names state and operation.
                    assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "job.operation"));
                    let text = error.to_string();
                    assert!(
                        text.contains(state.as_str()) && text.contains(operation.as_str()),
                        "{text}"
                    );
                }
            }
            assert_eq!(may_extend(*state, job_type), expected(cells[10]), "{state} extend");
            let update = expected(cells[11]).is_some();
            assert_eq!(may_update(*state, &at), update.then_some("JOB-45"));
            assert_eq!(may_update(*state, &schedule), update.then_some("JOB-46"));
            assert_eq!(may_update(*state, &ExecutionType::Immediate), None);
            assert_eq!(may_delete(*state, true), expected(cells[12]));
            let unclean = matches!(state, S::Completed | S::ClearFailed);
            assert_eq!(
                may_delete(*state, false),
                expected(cells[12]).filter(|_| !unclean),
                "LIM-07"
            );
        }
    }
}

/// The columns of §8.6 stand in another order than §8.2.
const COLUMNS: [Op; 10] = [
    Op::Run,
    Op::Pause,
    Op::Cancel,
    Op::Retry,
    Op::Rollback,
    Op::RetryRollback,
    Op::IgnoreRollback,
    Op::Confirm,
    Op::RetryConfirm,
    Op::CancelConfirm,
];

/// §8.4: state, trigger, type, then row, next state, operation, result, clean-up, timer of what follows.
type Line = (
    S,
    Trigger,
    T,
    &'static str,
    S,
    Op,
    Option<R>,
    Option<C>,
    Option<TimerKind>,
);

#[test]
fn table_8_4_row_by_row() {
    use Trigger::{ClearEnded, Operation, TasksEnded, Timer};
    let (d, f, ok) = (T::Drill, T::Failover, Some(R::Success));
    let wait = Some(TimerKind::RollbackWait);
    let (rolls, confirms) = (Some(C::Rollback), Some(C::Confirm));
    let not_cleared = ClearEnded { all_succeeded: false };
    let cleared = ClearEnded { all_succeeded: true };
    let part = Some(R::PartialSuccess);
    // The job handles `rollback` before each of these, and its result is success.
    let lines: Vec<Line> = vec![
        (
            S::Waiting,
            Timer(TimerKind::PlannedTime),
            d,
            "SM-32",
            S::Pending,
            Op::Run,
            ok,
            None,
            Some(TimerKind::DrillTooLate),
        ),
        (
            S::Waiting,
            Timer(TimerKind::PlannedTime),
            f,
            "SM-32",
            S::Pending,
            Op::Run,
            ok,
            None,
            None,
        ),
        (
            S::Pending,
            Operation(Op::Run),
            d,
            "SM-33",
            S::Running,
            Op::Run,
            ok,
            None,
            None,
        ),
        (
            S::Pending,
            Timer(TimerKind::DrillTooLate),
            d,
            "SM-34",
            S::Reporting,
            Op::Cancel,
            Some(R::Canceled),
            None,
            None,
        ),
        (
            S::Running,
            Operation(Op::Pause),
            f,
            "SM-35",
            S::Paused,
            Op::Pause,
            ok,
            None,
            Some(TimerKind::PauseTimeout),
        ),
        (
            S::Paused,
            Operation(Op::Run),
            d,
            "SM-36",
            S::Running,
            Op::Run,
            ok,
            None,
            None,
        ),
        (
            S::Paused,
            Timer(TimerKind::PauseTimeout),
            f,
            "SM-37",
            S::Running,
            Op::Run,
            ok,
            None,
            None,
        ),
        (
            S::Paused,
            Operation(Op::Cancel),
            d,
            "SM-38",
            S::Canceling,
            Op::Cancel,
            ok,
            None,
            None,
        ),
        (
            S::Running,
            Operation(Op::Cancel),
            d,
            "SM-39",
            S::Canceling,
            Op::Cancel,
            ok,
            None,
            None,
        ),
        (
            S::Running,
            TasksEnded(R::Success),
            d,
            "SM-40",
            S::Completed,
            Op::Rollback,
            ok,
            None,
            wait,
        ),
        (
            S::Running,
            TasksEnded(R::Success),
            f,
            "SM-40",
            S::Completed,
            Op::Rollback,
            ok,
            None,
            None,
        ),
        (
            S::Running,
            TasksEnded(R::PartialSuccess),
            d,
            "SM-41",
            S::Completed,
            Op::Rollback,
            part,
            None,
            wait,
        ),
        (
            S::Running,
            TasksEnded(R::Failed),
            d,
            "SM-42",
            S::Completed,
            Op::Rollback,
            Some(R::Failed),
            None,
            wait,
        ),
        (
            S::Canceling,
            TasksEnded(R::Success),
            d,
            "SM-43",
            S::Completed,
            Op::Rollback,
            Some(R::Canceled),
            None,
            wait,
        ),
        (
            S::Canceling,
            TasksEnded(R::Failed),
            f,
            "SM-43",
            S::Completed,
            Op::Rollback,
            Some(R::Canceled),
            None,
            None,
        ),
        (
            S::Completed,
            Operation(Op::Rollback),
            d,
            "SM-44",
            S::Clearing,
            Op::Rollback,
            ok,
            rolls,
            None,
        ),
        (
            S::Completed,
            Operation(Op::Rollback),
            f,
            "SM-57",
            S::Clearing,
            Op::Rollback,
            ok,
            rolls,
            None,
        ),
        (
            S::Completed,
            Operation(Op::Confirm),
            f,
            "SM-45",
            S::Clearing,
            Op::Confirm,
            ok,
            confirms,
            None,
        ),
        (
            S::Completed,
            Timer(TimerKind::RollbackWait),
            d,
            "SM-46",
            S::Clearing,
            Op::Rollback,
            ok,
            rolls,
            None,
        ),
        (
            S::Completed,
            Operation(Op::Retry),
            f,
            "SM-47",
            S::Running,
            Op::Retry,
            None,
            None,
            None,
        ),
        (
            S::Clearing,
            not_cleared,
            d,
            "SM-48",
            S::ClearFailed,
            Op::Rollback,
            ok,
            rolls,
            wait,
        ),
        (
            S::Clearing,
            not_cleared,
            f,
            "SM-48",
            S::ClearFailed,
            Op::Rollback,
            ok,
            rolls,
            None,
        ),
        (
            S::Clearing,
            cleared,
            d,
            "SM-49",
            S::Reporting,
            Op::Rollback,
            ok,
            None,
            None,
        ),
        (
            S::ClearFailed,
            Operation(Op::RetryRollback),
            d,
            "SM-50",
            S::Clearing,
            Op::Rollback,
            ok,
            rolls,
            None,
        ),
        (
            S::ClearFailed,
            Operation(Op::IgnoreRollback),
            f,
            "SM-51",
            S::Reporting,
            Op::IgnoreRollback,
            ok,
            None,
            None,
        ),
        (
            S::ClearFailed,
            Operation(Op::RetryConfirm),
            f,
            "SM-52",
            S::Clearing,
            Op::Confirm,
            ok,
            confirms,
            None,
        ),
        (
            S::ClearFailed,
            Operation(Op::CancelConfirm),
            f,
            "SM-53",
            S::Clearing,
            Op::Rollback,
            ok,
            rolls,
            None,
        ),
        (
            S::ClearFailed,
            Timer(TimerKind::RollbackWait),
            d,
            "SM-54",
            S::Clearing,
            Op::Rollback,
            ok,
            rolls,
            None,
        ),
        (
            S::Reporting,
            Trigger::ReportMade,
            f,
            "SM-55",
            S::Finished,
            Op::Rollback,
            ok,
            None,
            None,
        ),
    ];
    for (state, trigger, job_type, row, next, operation, result, clear, timer) in &lines {
        let confirm_failed = matches!(trigger, Operation(Op::RetryConfirm | Op::CancelConfirm));
        let failed_clear = Some(if confirm_failed { C::Confirm } else { C::Rollback });
        let got = take(
            *state,
            Op::Rollback,
            *trigger,
            &Facts {
                failed_clear,
                ..facts(*job_type)
            },
        );
        let (next, operation, result, clear, timer) = (*next, *operation, *result, *clear, *timer);
        assert_eq!(
            got,
            Transition {
                row,
                next,
                operation,
                result,
                clear,
                timer
            }
        );
    }
    for row in TABLE {
        assert!(
            lines.iter().any(|line| line.3 == row.id),
            "{} is not proven here",
            row.id
        );
    }
    assert_eq!(
        (created().row, created().next, created().timer),
        ("SM-31", S::Waiting, Some(TimerKind::PlannedTime))
    );
}

/// The rows that answer, read from the table without its own lookup.
fn rows_for(state: S, trigger: &Trigger, facts: &Facts) -> Vec<&'static Row> {
    let answers = |row: &&Row| match (row.on, trigger) {
        (On::Operation(a), Trigger::Operation(b)) => a == *b,
        (On::Timer(a), Trigger::Timer(b)) => a == *b,
        (On::TasksEnded(a), Trigger::TasksEnded(b)) => a.is_none() || a == Some(*b),
        (On::ClearEnded(a), Trigger::ClearEnded { all_succeeded }) => a == *all_succeeded,
        (On::ReportMade, Trigger::ReportMade) => true,
        _ => false,
    };
    let of_state = TABLE.iter().filter(|row| row.state == state);
    of_state
        .filter(answers)
        .filter(|row| row.guards.iter().all(|g| g.holds(facts)))
        .collect()
}

#[test]
fn every_state_trigger_and_facts_has_its_row_or_is_refused() {
    let (mut legal, mut refused) = (0, 0);
    for &state in S::ALL {
        for facts in all_facts() {
            for trigger in triggers() {
                for &operation in Op::ALL {
                    match step(state, operation, &trigger, &facts) {
                        Ok(t) => {
                            legal += 1;
                            let rows = rows_for(state, &trigger, &facts);
                            assert_eq!(rows.len(), 1, "the order of the table means nothing");
                            assert_eq!((rows[0].id, rows[0].next), (t.row, t.next));
                            assert_eq!(t.clear.is_some(), matches!(t.next, S::Clearing | S::ClearFailed));
                        }
                        Err(e) => {
                            refused += 1;
                            // No row would have taken it, unless the job claims to clean up by what is no clean-up.
                            let answers = rows_for(state, &trigger, &facts);
                            let clean_up = matches!(operation, Op::Rollback | Op::Confirm);
                            assert!(
                                answers.is_empty() || (state == S::Clearing && !clean_up),
                                "{state} {trigger}"
                            );
                            assert_eq!((e.kind(), e.code()), (ErrorKind::Refused, "job.operation"));
                            let named: Vec<_> = e.context().iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                            assert_eq!(
                                named,
                                [("state", state.as_str()), ("operation", trigger.to_string().as_str())]
                            );
                        }
                    }
                }
            }
        }
    }
    println!("{} cases: {legal} legal, {refused} refused", legal + refused);
    let cases = S::ALL.len() * all_facts().len() * triggers().len() * Op::ALL.len();
    assert_eq!(legal + refused, cases);
    // Of 10 states, 240 facts, 21 triggers and 10 operations, when this was written.
    assert!(cases >= 504_000, "only {cases} cases");
    assert!(legal > 0 && refused > legal, "{legal} legal, {refused} refused");
}

#[test]
fn sm_33_waits_for_the_group_and_its_turn() {
    for (group_is_free, first_in_group) in [(false, true), (true, false), (false, false)] {
        let facts = Facts {
            group_is_free,
            first_in_group,
            ..facts(T::Failover)
        };
        assert!(step(S::Pending, Op::Run, &Trigger::Operation(Op::Run), &facts).is_err());
    }
    let holding: Vec<_> = S::ALL.iter().copied().filter(|s| holds_group(*s)).collect();
    assert_eq!(
        holding,
        [
            S::Running,
            S::Canceling,
            S::Paused,
            S::Completed,
            S::Clearing,
            S::ClearFailed
        ],
        "CON-20"
    );
}

#[test]
fn sm_45_only_what_was_recovered_can_be_confirmed() {
    for result in RESULTS {
        let facts = Facts {
            result,
            ..facts(T::Failover)
        };
        let ok = step(S::Completed, Op::Run, &Trigger::Operation(Op::Confirm), &facts).is_ok();
        assert_eq!(
            ok,
            matches!(result, Some(R::Success | R::PartialSuccess)),
            "CON-29 {result:?}"
        );
    }
}

#[test]
fn clear_failed_acts_on_the_clean_up_that_failed() {
    // CON-27: confirm's ways out are closed after a failed rollback, and the other way round.
    for (failed, open) in [
        (C::Rollback, [Op::RetryRollback, Op::IgnoreRollback]),
        (C::Confirm, [Op::RetryConfirm, Op::CancelConfirm]),
    ] {
        let facts = Facts {
            failed_clear: Some(failed),
            ..facts(T::Failover)
        };
        assert_eq!(allowed(S::ClearFailed, &facts), open);
    }
    // Which one failed is what the job handled while clearing.
    for (operation, clear) in [(Op::Rollback, C::Rollback), (Op::Confirm, C::Confirm)] {
        let failed = take(
            S::Clearing,
            operation,
            Trigger::ClearEnded { all_succeeded: false },
            &facts(T::Failover),
        );
        assert_eq!((failed.clear, failed.timer), (Some(clear), None));
    }
    let lost = step(
        S::Clearing,
        Op::Run,
        &Trigger::ClearEnded { all_succeeded: false },
        &facts(T::Failover),
    );
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Refused, "no clean-up is under way");
}

#[test]
fn con_24_no_timer_ever_moves_a_failover_but_the_pause() {
    for &state in S::ALL {
        for mut facts in all_facts() {
            facts.job_type = T::Failover;
            for timer in [TimerKind::DrillTooLate, TimerKind::RollbackWait] {
                assert!(step(state, Op::Rollback, &Trigger::Timer(timer), &facts).is_err());
            }
        }
    }
}

#[test]
fn con_25_plan_and_group_go_only_with_a_confirmed_failover() {
    for &job_type in T::ALL {
        for &operation in Op::ALL {
            for result in RESULTS {
                let both = removal(job_type, operation, result) == Removal::JobPlanAndGroup;
                let confirmed = job_type == T::Failover
                    && operation == Op::Confirm
                    && matches!(result, Some(R::Success | R::PartialSuccess));
                assert_eq!(both, confirmed);
            }
        }
    }
}

#[test]
fn the_diagram_says_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/machine/diagram.mmd");
    if std::env::var_os("UPDATE_DIAGRAM").is_some() {
        std::fs::write(path, diagram()).unwrap();
    }
    assert_eq!(
        diagram(),
        std::fs::read_to_string(path).unwrap(),
        "run again with UPDATE_DIAGRAM=1 and look at the difference"
    );
}

/// A job as the engine would carry it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Job {
    job_type: JobType,
    state: JobState,
    operation: JobOperation,
    result: Option<ResultCode>,
    clear: Option<C>,
    timer: Option<TimerKind>,
}

impl Job {
    fn new(job_type: JobType) -> Self {
        let Transition {
            next: state,
            operation,
            result,
            clear,
            timer,
            ..
        } = created();
        Self {
            job_type,
            state,
            operation,
            result,
            clear,
            timer,
        }
    }
    fn take(&mut self, trigger: &Trigger) -> Option<&'static str> {
        // A timer that does not run cannot run out.
        if let Trigger::Timer(kind) = trigger
            && self.timer != Some(*kind)
        {
            return None;
        }
        let facts = Facts {
            job_type: self.job_type,
            result: self.result,
            failed_clear: self.clear.filter(|_| self.state == S::ClearFailed),
            group_is_free: true,
            first_in_group: true,
            source_cleared: false,
        };
        let t = step(self.state, self.operation, trigger, &facts).ok()?;
        *self = Self {
            job_type: self.job_type,
            state: t.next,
            operation: t.operation,
            result: t.result,
            clear: t.clear,
            timer: t.timer,
        };
        Some(t.row)
    }
}

/// What holds of every step of every life.
fn keeps_the_rules(before: Job, trigger: &Trigger, row: Option<&'static str>, job: Job) {
    let drill = job.job_type == T::Drill;
    let context = format!("{before:?} {trigger}: {row:?} {job:?}");
    if row.is_none() {
        assert_eq!(before, job, "a refusal changes nothing");
    }
    // What is cleaned up is known whenever something is.
    assert_eq!(
        job.clear.is_some(),
        matches!(job.state, S::Clearing | S::ClearFailed),
        "{context}"
    );
    // A drill is never confirmed.
    assert!(!(drill && job.operation == Op::Confirm), "{context}");
    // A result is known from `completed` on.
    if matches!(
        job.state,
        S::Completed | S::Clearing | S::ClearFailed | S::Reporting | S::Finished
    ) {
        assert!(job.result.is_some(), "{context}");
    }
    // A paused job always comes back by itself; a drill always gets cleaned up by itself.
    if job.state == S::Paused {
        assert_eq!(job.timer, Some(TimerKind::PauseTimeout), "{context}");
    }
    if drill && matches!(job.state, S::Completed | S::ClearFailed) {
        assert_eq!(job.timer, Some(TimerKind::RollbackWait), "{context}");
    }
    // A canceled failover is not confirmed.
    if before.result == Some(R::Canceled) && job.state == S::Clearing && before.state == S::Completed {
        assert_eq!(job.operation, Op::Rollback, "{context}");
    }
    // Finished is the end.
    if before.state == S::Finished {
        assert!(row.is_none(), "{context}");
    }
}

/// All lives there are: from creation, everything that can happen in everything that it can lead to. Every state is
/// reached and every row is taken, so nothing holds for want of a case.
#[test]
fn all_lives_keep_the_rules() {
    let all = triggers();
    let mut open: Vec<Job> = T::ALL.iter().map(|t| Job::new(*t)).collect();
    let mut seen: Vec<Job> = open.clone();
    let mut taken = std::collections::BTreeSet::new();
    while let Some(before) = open.pop() {
        for trigger in &all {
            let mut job = before;
            let row = job.take(trigger);
            keeps_the_rules(before, trigger, row, job);
            taken.extend(row);
            if !seen.contains(&job) {
                seen.push(job);
                open.push(job);
            }
        }
    }
    for state in S::ALL {
        assert!(seen.iter().any(|job| job.state == *state), "{state} is never reached");
    }
    for row in TABLE {
        assert!(taken.contains(row.id), "{} is never taken", row.id);
    }
    // From each of them a job can still be ended.
    for start in &seen {
        let mut job = *start;
        for _ in 0..10 {
            for trigger in &WAY_ON {
                job.take(trigger);
            }
        }
        assert_eq!(job.state, S::Finished, "{start:?} is stuck");
    }
    println!("{} situations, {} rows", seen.len(), taken.len());
    assert!(seen.len() >= FLOOR, "only {} situations", seen.len());
}

/// How many situations there are, at least.
const FLOOR: usize = 80;

const WAY_ON: [Trigger; 8] = [
    Trigger::Timer(TimerKind::PlannedTime),
    Trigger::Operation(Op::Run),
    Trigger::TasksEnded(R::Success),
    Trigger::Operation(Op::Rollback),
    Trigger::Operation(Op::RetryRollback),
    Trigger::Operation(Op::RetryConfirm),
    Trigger::ClearEnded { all_succeeded: true },
    Trigger::ReportMade,
];

proptest! {
    /// Any long life in any order.
    #[test]
    fn any_life_keeps_the_rules(drill in any::<bool>(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..300)) {
        let all = triggers();
        let mut job = Job::new(if drill { T::Drill } else { T::Failover });
        for pick in picks {
            let trigger = pick.get(&all);
            let before = job;
            let row = job.take(trigger);
            keeps_the_rules(before, trigger, row, job);
        }
    }
}

#[test]
fn sm_53_there_is_a_way_back_only_while_nothing_is_cleared_away() {
    let failed = Facts {
        failed_clear: Some(C::Confirm),
        ..facts(T::Failover)
    };
    let cleared = Facts {
        source_cleared: true,
        ..failed
    };
    let cancel = Trigger::Operation(Op::CancelConfirm);
    assert_eq!(take(S::ClearFailed, Op::Confirm, cancel, &failed).next, S::Clearing);
    let error = step(S::ClearFailed, Op::Confirm, &cancel, &cleared).unwrap_err();
    assert!(error.remedy().is_some(), "{error:?}");
    let retry = Trigger::Operation(Op::RetryConfirm);
    assert_eq!(take(S::ClearFailed, Op::Confirm, retry, &cleared).next, S::Clearing);
}

#[test]
fn sm_71_states_have_phases_in_the_order_of_the_book() {
    let phases: Vec<_> = S::ALL.iter().map(|s| s.phase()).collect();
    use ns_core::model::JobPhase as P;
    let expected = [
        (S::Waiting, P::Preparing),
        (S::Pending, P::Preparing),
        (S::Running, P::Running),
        (S::Canceling, P::Running),
        (S::Paused, P::Running),
        (S::Completed, P::RunComplete),
        (S::Clearing, P::CleaningUp),
        (S::ClearFailed, P::CleaningUp),
        (S::Reporting, P::MakingReport),
        (S::Finished, P::JobComplete),
    ];
    for (state, phase) in expected {
        assert_eq!(state.phase(), phase, "{state}");
    }
    assert_eq!(phases.len(), expected.len());
}
