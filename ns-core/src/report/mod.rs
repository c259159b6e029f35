//! The report of a job: what was asked, what happened, how long it took, what was lost, who decided what, what is left
//! (RES-03, RES-04, OPEN-27).
//!
//! Here facts are counted, measured and rendered; where they come from is not known here: the engine fills a
//! [`ReportInput`] from the job's journal. A report stands alone: it names things as well as numbering them, because it
//! outlives plan, group and clusters, and its page needs nothing from elsewhere.

mod csv;
mod html;
mod measure;

pub use csv::ReportTable;
pub use measure::{CriticalStep, Measured, instance_counts};

use crate::model::{
    CloudId, DataPoint, ExecutionType, GroupId, InstanceRecoveryState, JobId, JobOperation, OwnerGroupId, ResultCode,
    queryable,
};
use crate::{Error, ErrorKind, ErrorRecord, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The shape of [`RecoveryReport`], counted up when it changes in a way that readers notice.
pub const REPORT_FORMAT: u32 = 1;

/// The job as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPart {
    /// Which.
    pub id: JobId,
    /// What kind of work: `drill`, `failover`, `protect`, …
    pub kind: String,
    /// Name of the group.
    pub group: String,
    /// Which group. None in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// Who owned it. None in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_group_id: Option<OwnerGroupId>,
    /// Name of the plan.
    pub plan: String,
    /// Name of the Source cluster.
    pub source_cluster: String,
    /// Name of the Target cluster.
    pub target_cluster: String,
    /// When it was to run, for a drill or failover.
    pub execution: Option<ExecutionType>,
    /// Which data it was to recover, for a drill or failover.
    pub data_point: Option<DataPoint>,
    /// Who made it.
    pub actor: String,
    /// What was done last: `run`, `rollback`, `confirm`, `ignore-rollback`, …
    pub last_operation: JobOperation,
    /// How it ended.
    pub result: Option<ResultCode>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it first ran; none when it never did.
    pub started_at: Option<Timestamp>,
    /// When its recovery tasks had ended.
    pub completed_at: Option<Timestamp>,
    /// When its clean-up had ended and this report was made.
    pub ended_at: Timestamp,
    /// The group's recovery point objective in minutes.
    pub rpo_minutes: u32,
    /// The group's recovery time objective in minutes.
    pub rto_minutes: u32,
}

queryable! { RecoveryReport, facts.job.id;
    "id" Text = |r| r.facts.job.id.as_str(),
    "name" Text = |r| r.facts.job.id.as_str(),
    "kind" Text = |r| &r.facts.job.kind,
    "group" Text = |r| &r.facts.job.group,
    "group_id" Text = |r| r.facts.job.group_id.as_ref().map(GroupId::as_str),
    "plan" Text = |r| &r.facts.job.plan,
    "actor" Text = |r| &r.facts.job.actor,
    "result" Text = |r| r.facts.job.result.map(ResultCode::as_str),
    "created_at" Time = |r| r.facts.job.created_at,
    "ended_at" Time = |r| r.facts.job.ended_at,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstancePart {
    /// Its id on the Source.
    pub id: CloudId,
    /// Its name.
    pub name: String,
    /// Its id on the Target, where it was made.
    pub target_id: Option<CloudId>,
    /// How far it came.
    pub state: InstanceRecoveryState,
    /// Whether the plan starts it.
    pub boot: bool,
    /// When the first of its tasks began.
    pub started_at: Option<Timestamp>,
    /// When the last of its tasks ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePart {
    /// Its id on the Source.
    pub id: CloudId,
    /// Its name.
    pub name: String,
    /// Size in GiB.
    pub size_gib: u64,
    /// Names of the instances that use it.
    pub instances: Vec<String>,
    /// Whether it was recovered.
    pub recovered: bool,
    /// The recovered volume holds every write up to this time, where that is known.
    pub data_point: Option<Timestamp>,
    /// The last time at which the Source could have written: when it stopped, was lost, or the job began. What lies
    /// between the two is what was lost.
    pub source_wrote_until: Option<Timestamp>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPart {
    /// Its key, e.g. `server/web-1`.
    pub key: String,
    /// Which part of the job it belongs to: `run`, `retry`, `rollback`, `confirm`.
    pub phase: String,
    /// What it did, for people.
    pub title: String,
    /// Where it ended: `done`, `failed`, `skipped`, …
    pub status: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When the first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The last error, also when a later attempt succeeded.
    pub error: Option<ErrorRecord>,
    /// What it last said, or why it was skipped.
    pub message: Option<String>,
    /// The keys of the tasks that it waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// The instances that needed it, by their ids on the Source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<CloudId>,
}

/// One decision of an operator that could lose data or leave things behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionPart {
    /// What was decided, e.g. `force_promote`.
    pub kind: String,
    /// Who.
    pub operator: String,
    /// Why, in the operator's words.
    pub reason: String,
    /// When.
    pub at: Option<Timestamp>,
    /// What the engine knew and showed.
    pub facts: Vec<String>,
}

/// One thing that the job made and could not remove (SM-68).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftoverPart {
    /// What kind of thing, e.g. `network`.
    pub kind: String,
    /// Its id, or the token it is found by.
    pub id: String,
    /// Name of the cluster that holds it.
    pub cluster: String,
    /// Why it is still there.
    pub error: Option<ErrorRecord>,
    /// The command that removes it.
    pub command: Option<String>,
}

/// The journal that the report was made from, so that both can be held against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalPart {
    /// The last entry that is in the report.
    pub position: u64,
    /// The hash of that entry and all before it, hexadecimal.
    pub hash: String,
}

/// The facts of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportInput {
    /// The job as a whole.
    pub job: JobPart,
    /// The group's instances, those left out too.
    pub instances: Vec<InstancePart>,
    /// Their volumes.
    pub volumes: Vec<VolumePart>,
    /// Every task of every phase, in order.
    pub tasks: Vec<TaskPart>,
    /// What operators decided.
    pub decisions: Vec<DecisionPart>,
    /// What is left behind.
    pub leftovers: Vec<LeftoverPart>,
    /// What it was made from.
    pub journal: JournalPart,
}

/// A report: the facts, and what was measured from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// The shape of this document; [`REPORT_FORMAT`] when it was written by this version.
    pub format: u32,
    /// What was measured.
    pub measured: Measured,
    /// The facts.
    #[serde(flatten)]
    pub facts: ReportInput,
}

impl RecoveryReport {
    /// Measures the facts. The same facts always give the same report.
    #[must_use]
    pub fn new(facts: ReportInput) -> Self {
        Self {
            format: REPORT_FORMAT,
            measured: Measured::of(&facts),
            facts,
        }
    }

    /// The report as a JSON document.
    ///
    /// # Errors
    /// `Internal`, `report.encode`, which no report should cause.
    pub fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| encode("the report cannot be written as JSON").with_source(e))
    }

    /// Reads a JSON document.
    ///
    /// # Errors
    /// `Corrupt`, `report.decode`, when it is not a report of this format.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |message| Error::new(ErrorKind::Corrupt, "report.decode", message);
        let report: Self = serde_json::from_str(text).map_err(|e| wrong("this is no report").with_source(e))?;
        if report.format == REPORT_FORMAT {
            return Ok(report);
        }
        Err(wrong("the report is of another format")
            .with("format", report.format)
            .with("known", REPORT_FORMAT)
            .with_remedy("read it with the version that wrote it"))
    }

    /// Reads a report from a document that [`json`](Self::json) or [`html`](Self::html) gave, and looks whether the document is
    /// what that report gives: a page whose words were changed around the data is found here. Whether the data is what the engine
    /// wrote is another question: see [`Reports::verify`](crate::session::Reports::verify).
    ///
    /// # Errors
    /// `Corrupt`: `report.decode` when it is no report of this format, `report.changed` when the document is not what its data
    /// gives, or was given by a version that wrote it in another way.
    pub fn from_document(text: &str) -> Result<Self> {
        let (report, again) = match html::document(text) {
            Some(document) => {
                let report = Self::from_json(document)?;
                let again = report.html()?;
                (report, again)
            }
            None => {
                let report = Self::from_json(text)?;
                let again = report.json()?;
                (report, again)
            }
        };
        if again == text {
            return Ok(report);
        }
        let differs = again.bytes().zip(text.bytes()).position(|(a, b)| a != b);
        let message = "the document is not what its data gives";
        Err(Error::new(ErrorKind::Corrupt, "report.changed", message)
            .with("byte", differs.unwrap_or(again.len().min(text.len())))
            .with_remedy("get the report anew from the engine"))
    }

    /// The commands that remove what is left behind, a line each, as far as they are known (SM-68). They hold no credentials:
    /// whoever runs them has their own.
    #[must_use]
    pub fn removal_script(&self) -> String {
        let commands = self.facts.leftovers.iter().filter_map(|l| l.command.as_deref());
        commands.flat_map(|line| [line, "\n"]).collect()
    }

    /// The report as one HTML page that needs nothing else: no style sheet, no picture from elsewhere, and nothing that runs. The
    /// JSON document is in it, for programs.
    ///
    /// # Errors
    /// `Internal`, `report.encode`, which no report should cause.
    pub fn html(&self) -> Result<String> {
        html::render(self)
    }
}

fn encode(message: &str) -> Error {
    Error::new(ErrorKind::Internal, "report.encode", message)
}
