//! The table as a picture. Generated, so that it cannot say anything else than the table does.

use super::{Guard, On, Row, TABLE, TimerKind};
use crate::model::{JobState, ResultCode};

/// The legality table as a Mermaid state diagram.
#[must_use]
pub fn diagram() -> String {
    let mut lines = vec![
        "stateDiagram-v2".to_owned(),
        format!("    [*] --> {}: SM-31 created", node(JobState::Waiting)),
    ];
    lines.extend(
        TABLE
            .iter()
            .map(|row| format!("    {} --> {}: {}", node(row.state), node(row.next), label(row))),
    );
    lines.push(format!("    {} --> [*]: SM-56 removed", node(JobState::Finished)));
    lines.join("\n") + "\n"
}

fn node(state: JobState) -> String {
    short(state.as_str()).replace('-', "_")
}

fn short(wire: &str) -> &str {
    wire.rsplit('.').next().unwrap_or(wire)
}

fn label(row: &Row) -> String {
    let on = match row.on {
        On::Operation(operation) => operation.as_str().to_owned(),
        On::Timer(TimerKind::PlannedTime) => "planned time".to_owned(),
        On::Timer(TimerKind::DrillTooLate) => "10 minutes late".to_owned(),
        On::Timer(TimerKind::PauseTimeout) => "pause timeout".to_owned(),
        On::Timer(TimerKind::RollbackWait) => "rollback timeout".to_owned(),
        On::TasksEnded(code) => format!("tasks ended, {}", code.map_or("any", |c: ResultCode| short(c.as_str()))),
        On::ClearEnded(true) => "all cleared".to_owned(),
        On::ClearEnded(false) => "not all cleared".to_owned(),
        On::ReportMade => "report made".to_owned(),
    };
    let guards: Vec<_> = row.guards.iter().copied().map(Guard::text).collect();
    if guards.is_empty() {
        format!("{} {on}", row.id)
    } else {
        format!("{} {on} ({})", row.id, guards.join(", "))
    }
}
