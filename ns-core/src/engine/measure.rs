//! What can be measured of an engine, through the facade of the crate `metrics`: a host that installs a recorder of its own gets
//! them all, and without one nothing is kept. Names, labels and meaning are the table below, which `docs/observability.md` shows.

use super::Inner;
use super::records::kinds;
use crate::journal::JobView;
use crate::model::{Cluster, ConnectionState, GroupId, JobSummary, ProtectionGroup, ResultCode, TaskKey, Work};
use crate::{Error, Result};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How a metric is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricForm {
    /// It only counts up.
    Counter,
    /// What is now.
    Gauge,
    /// How often, and how long each time.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, which ends with its unit.
    pub name: &'static str,
    /// How it is to be read.
    pub form: MetricForm,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub meaning: &'static str,
}

const fn metric(
    name: &'static str,
    form: MetricForm,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Metric {
    Metric {
        name,
        form,
        labels,
        meaning,
    }
}

/// Every metric of the engine. Gauges of clusters and groups are told every [`watch_interval`](crate::Settings::watch_interval) by
/// each engine that is started. `result` is `ok` or a kind of [`crate::ErrorKind`] where nothing else is said.
#[rustfmt::skip] // read as the table it is
pub const METRICS: &[Metric] = &[
    metric("neverstop_job_seconds", MetricForm::Histogram, &["type", "result"],
        "jobs whose work has ended, from its beginning; result is that of the job"),
    metric("neverstop_task_seconds", MetricForm::Histogram, &["kind", "result"],
        "attempts at tasks; kind is what the task does"),
    metric("neverstop_provider_call_seconds", MetricForm::Histogram, &["cluster", "half", "verb", "result"],
        "calls to providers; half is cloud or storage"),
    metric("neverstop_store_commit_seconds", MetricForm::Histogram, &["result"],
        "transactions of the store"),
    metric("neverstop_jobs_running", MetricForm::Gauge, &[],
        "jobs that this engine runs"),
    metric("neverstop_leases_lost_total", MetricForm::Counter, &[],
        "jobs that this engine gave up because another one has them"),
    metric("neverstop_cluster_active", MetricForm::Gauge, &["cluster"],
        "1 while the cluster answers, else 0"),
    metric("neverstop_cluster_sync_age_seconds", MetricForm::Gauge, &["cluster"],
        "how long ago the cluster's inventory was complete"),
    metric("neverstop_group_point_age_seconds", MetricForm::Gauge, &["group"],
        "how old the group's newest recovery point is"),
    metric("neverstop_group_rpo_seconds", MetricForm::Gauge, &["group"],
        "the group's recovery point objective"),
];

/// Tells the recorder of the host what the metrics mean.
pub(super) fn describe() {
    for Metric {
        name, form, meaning, ..
    } in METRICS
    {
        match form {
            MetricForm::Counter => metrics::describe_counter!(*name, *meaning),
            MetricForm::Gauge => metrics::describe_gauge!(*name, *meaning),
            MetricForm::Histogram => metrics::describe_histogram!(*name, metrics::Unit::Seconds, *meaning),
        }
    }
}

/// An attempt at a task has ended.
pub(super) fn task(task: &TaskKey, error: Option<&Error>, took: SignedDuration) {
    // `server/4f…`: what is done, and to what.
    let kind = task.as_str().split('/').next().unwrap_or_default().to_owned();
    let result = error.map_or("ok", |e| e.kind().as_str());
    metrics::histogram!("neverstop_task_seconds", "kind" => kind, "result" => result).record(took.as_secs_f64());
}

/// The work of a job has ended.
pub(super) fn job(view: &JobView, now: Timestamp) {
    let took = now.duration_since(view.started_at.unwrap_or(view.created_at));
    let result = view.result.map_or("none", ResultCode::as_str);
    metrics::histogram!("neverstop_job_seconds", "type" => view.work.kind(), "result" => result)
        .record(took.as_secs_f64());
}

/// What is now.
pub(super) async fn tell(inner: &Inner) -> Result<()> {
    let (records, now) = (inner.records(), inner.clock.now());
    let age = |since: Timestamp| now.duration_since(since).as_secs_f64();
    metrics::gauge!("neverstop_jobs_running").set(inner.jobs().len() as f64);
    for cluster in records.all::<Cluster>(kinds::CLUSTER, |_| true).await? {
        let label = [("cluster", cluster.id.to_string())];
        let active = f64::from(u8::from(cluster.connection == ConnectionState::Active));
        metrics::gauge!("neverstop_cluster_active", &label).set(active);
        if let Some(at) = cluster.sync.complete_at() {
            metrics::gauge!("neverstop_cluster_sync_age_seconds", &label).set(age(at));
        }
    }
    let newest = newest_points(inner).await?;
    for group in records.all::<ProtectionGroup>(kinds::GROUP, |_| true).await? {
        let label = [("group", group.id.to_string())];
        metrics::gauge!("neverstop_group_rpo_seconds", &label).set(f64::from(group.rpo_minutes) * 60.0);
        if let Some(at) = newest.get(&group.id) {
            metrics::gauge!("neverstop_group_point_age_seconds", &label).set(age(*at));
        }
    }
    Ok(())
}

/// When the making of each group's newest recovery point began. Of the jobs that made them: a point itself holds whole
/// definitions, too much to read this often.
pub(crate) async fn newest_points(inner: &Inner) -> Result<BTreeMap<GroupId, Timestamp>> {
    let made = |j: &JobSummary| matches!(j.work, Work::Point { .. }) && j.result == Some(ResultCode::Success);
    let mut newest = BTreeMap::new();
    for job in inner.records().all::<JobSummary>(kinds::JOB, made).await? {
        let at = newest.entry(job.work.group_id().clone()).or_insert(job.created_at);
        *at = job.created_at.max(*at);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OPS-30: the page for operators has every metric.
    #[test]
    fn ops_30_the_page_tells_every_metric() {
        let page = include_str!("../../../docs/observability.md");
        for metric in METRICS {
            let form = format!("{:?}", metric.form).to_lowercase();
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!(
                "| `{}` | {form} | {} | {} |\n",
                metric.name,
                labels.join(", "),
                metric.meaning
            );
            assert!(page.contains(&row), "docs/observability.md should have\n{row}");
        }
    }
}
