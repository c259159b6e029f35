//! The tables of a report for spreadsheets.

use super::{RecoveryReport, encode};
use crate::{ErrorRecord, Result};
use jiff::Timestamp;

/// A table of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportTable {
    /// Instances: id, name, state, id on the Target, boot, started, ended, cause.
    Instances,
    /// Volumes: id, name, size in GiB, instances, recovered, data until, seconds lost.
    Volumes,
    /// Tasks: key, phase, title, status, attempts, started, ended, error, message.
    Tasks,
    /// Decisions: what, who, when, why, what was known.
    Decisions,
    /// What is left behind: kind, id, cluster, cause, command.
    Leftovers,
}

impl ReportTable {
    /// Every table.
    pub const ALL: &'static [Self] = &[
        Self::Instances,
        Self::Volumes,
        Self::Tasks,
        Self::Decisions,
        Self::Leftovers,
    ];

    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Instances => &[
                "id",
                "name",
                "state",
                "target_id",
                "boot",
                "started_at",
                "ended_at",
                "error",
            ],
            Self::Volumes => &[
                "id",
                "name",
                "size_gib",
                "instances",
                "recovered",
                "data_point",
                "lost_seconds",
            ],
            Self::Tasks => &[
                "key",
                "phase",
                "title",
                "status",
                "attempts",
                "started_at",
                "ended_at",
                "error",
                "message",
            ],
            Self::Decisions => &["kind", "operator", "at", "reason", "facts"],
            Self::Leftovers => &["kind", "id", "cluster", "error", "command"],
        }
    }
}

impl RecoveryReport {
    /// One of its tables as CSV (RFC 4180), with a line of column names. Times are RFC 3339 in UTC; what is not known is empty. A
    /// text that a spreadsheet would take for a formula gets an apostrophe before it: names come from people.
    ///
    /// # Errors
    /// `Internal`, `report.encode`, which no report should cause.
    pub fn csv(&self, table: ReportTable) -> Result<String> {
        let mut out = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        let wrong = |e: csv::Error| encode("the table cannot be written").with_source(e);
        out.write_record(table.columns()).map_err(wrong)?;
        for row in self.rows(table) {
            out.write_record(row.iter().map(|cell| harmless(cell))).map_err(wrong)?;
        }
        let bytes = out
            .into_inner()
            .map_err(|e| encode("the table cannot be written").with_source(e.into_error()))?;
        String::from_utf8(bytes).map_err(|e| encode("the table is not text").with_source(e))
    }

    fn rows(&self, table: ReportTable) -> Vec<Vec<String>> {
        let facts = &self.facts;
        match table {
            ReportTable::Instances => (facts.instances.iter())
                .map(|i| {
                    vec![
                        i.id.to_string(),
                        i.name.clone(),
                        word(&i.state),
                        i.target_id.as_ref().map(ToString::to_string).unwrap_or_default(),
                        i.boot.to_string(),
                        time(i.started_at),
                        time(i.ended_at),
                        problem(i.error.as_ref()),
                    ]
                })
                .collect(),
            ReportTable::Volumes => (facts.volumes.iter())
                .map(|v| {
                    let lost = self.measured.lost_seconds.get(v.id.as_str());
                    vec![
                        v.id.to_string(),
                        v.name.clone(),
                        v.size_gib.to_string(),
                        v.instances.join(", "),
                        v.recovered.to_string(),
                        time(v.data_point),
                        lost.map(ToString::to_string).unwrap_or_default(),
                    ]
                })
                .collect(),
            ReportTable::Tasks => (facts.tasks.iter())
                .map(|t| {
                    vec![
                        t.key.clone(),
                        t.phase.clone(),
                        t.title.clone(),
                        t.status.clone(),
                        t.attempts.to_string(),
                        time(t.started_at),
                        time(t.ended_at),
                        problem(t.error.as_ref()),
                        t.message.clone().unwrap_or_default(),
                    ]
                })
                .collect(),
            ReportTable::Decisions => (facts.decisions.iter())
                .map(|d| {
                    vec![
                        d.kind.clone(),
                        d.operator.clone(),
                        time(d.at),
                        d.reason.clone(),
                        d.facts.join("; "),
                    ]
                })
                .collect(),
            ReportTable::Leftovers => (facts.leftovers.iter())
                .map(|l| {
                    vec![
                        l.kind.clone(),
                        l.id.clone(),
                        l.cluster.clone(),
                        problem(l.error.as_ref()),
                        l.command.clone().unwrap_or_default(),
                    ]
                })
                .collect(),
        }
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()).unwrap_or_default()
}

fn problem(error: Option<&ErrorRecord>) -> String {
    error.map(|e| format!("{}: {}", e.code, e.message)).unwrap_or_default()
}

/// The wire name of a value that serialises as text.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}
