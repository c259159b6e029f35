//! The page. The template says how it looks; every value in it is escaped, for names and reasons come from people.

use super::{RecoveryReport, encode};
use crate::Result;
use crate::model::CloudId;
use jiff::Timestamp;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn render(report: &RecoveryReport) -> Result<String> {
    let wrong = |e: minijinja::Error| encode("the report cannot be written as a page").with_source(e);
    let mut page = Environment::new();
    page.set_undefined_behavior(UndefinedBehavior::Strict);
    page.add_filter("time", time);
    page.add_filter("duration", duration);
    page.add_filter("word", word);
    page.add_filter("milliseconds", milliseconds);
    // The name's ending switches escaping on.
    page.add_template("report.html", include_str!("report.html"))
        .map_err(wrong)?;
    // In a string of JSON a sign and its number are the same; in a page the sign could end the document.
    let document = report.json()?.replace('<', "\\u003c");
    let context = minijinja::context! {
        document => Value::from_safe_string(document),
        lanes => Value::from(Serde(lanes(report))),
        titles => Value::from(Serde(titles(report))),
        ..Value::from(Serde(report))
    };
    page.get_template("report.html")
        .and_then(|t| t.render(context))
        .map_err(wrong)
}

/// The document that is in a page; none when there is none.
pub(super) fn document(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once(BEGIN)?;
    rest.split_once(END).map(|(json, _)| json)
}

const BEGIN: &str = r#"<script type="application/json" id="report">"#;
const END: &str = "</script>";

/// An instance on the time line.
#[derive(Serialize)]
struct Lane<'a> {
    name: &'a str,
    bars: Vec<Bar<'a>>,
}

/// A task on the time line.
#[derive(Serialize)]
struct Bar<'a> {
    class: &'static str,
    place: String,
    title: &'a str,
}

/// The recovery tasks of each instance, from the start of the job until the end of its recovery.
fn lanes(report: &RecoveryReport) -> Vec<Lane<'_>> {
    let facts = &report.facts;
    let Some((from, to)) = facts.job.started_at.zip(facts.job.completed_at) else {
        return Vec::new();
    };
    let critical: BTreeSet<&str> = (report.measured.critical_path.iter()).map(|s| s.key.as_str()).collect();
    let mut bars: BTreeMap<&CloudId, Vec<Bar<'_>>> = BTreeMap::new();
    for task in (facts.tasks.iter()).filter(|t| matches!(t.phase.as_str(), "run" | "retry")) {
        let Some((began, ended)) = task.started_at.zip(task.ended_at) else {
            continue;
        };
        let class = match task.status.as_str() {
            "failed" => "failed",
            _ if critical.contains(task.key.as_str()) => "critical",
            _ => "",
        };
        for instance in &task.instances {
            bars.entry(instance).or_default().push(Bar {
                class,
                place: place((began, ended), (from, to)),
                title: &task.title,
            });
        }
    }
    (facts.instances.iter())
        .map(|i| Lane {
            name: &i.name,
            bars: bars.remove(&i.id).unwrap_or_default(),
        })
        .collect()
}

/// What the steps of the critical path are called.
fn titles(report: &RecoveryReport) -> BTreeMap<&str, &str> {
    let critical: BTreeSet<&str> = (report.measured.critical_path.iter()).map(|s| s.key.as_str()).collect();
    let tasks = report.facts.tasks.iter().map(|t| (t.key.as_str(), t.title.as_str()));
    tasks.filter(|(key, _)| critical.contains(key)).collect()
}

/// Where on the line something lies, as a style. In tenths of a percent: whole numbers give the same page everywhere.
fn place((began, ended): (Timestamp, Timestamp), (from, to): (Timestamp, Timestamp)) -> String {
    let all = (to.as_millisecond() - from.as_millisecond()).max(1);
    let share = |at: Timestamp| {
        (at.as_millisecond() - from.as_millisecond())
            .clamp(0, all)
            .saturating_mul(1000)
            / all
    };
    let (left, width) = (share(began), (share(ended) - share(began)).max(0));
    format!("left:{}.{}%;width:{}.{}%", left / 10, left % 10, width / 10, width % 10)
}

/// Milliseconds as people read them.
fn milliseconds(value: u64) -> String {
    format!("{}.{} s", value / 1000, value % 1000 / 100)
}

/// A time as people read it; a dash when there is none.
fn time(value: &Value) -> String {
    match value.as_str().map(str::parse::<Timestamp>) {
        Some(Ok(time)) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        _ => "–".to_owned(),
    }
}

/// Seconds as people read them; `unknown` when there are none. With `to`, the seconds between two times.
#[expect(clippy::needless_pass_by_value, reason = "filters get their arguments by value")]
fn duration(value: &Value, kwargs: Kwargs) -> Result<String, minijinja::Error> {
    let end: Option<Value> = kwargs.get("to")?;
    kwargs.assert_all_used()?;
    let seconds = match end {
        None => value.as_i64(),
        Some(end) => {
            let parsed = |v: &Value| v.as_str().and_then(|text| text.parse::<Timestamp>().ok());
            parsed(value)
                .zip(parsed(&end))
                .map(|(from, to)| to.duration_since(from).as_millis())
                // As what is measured: a second that has begun counts.
                .and_then(|ms| i64::try_from((ms.max(0) + 999) / 1000).ok())
        }
    };
    Ok(seconds.map_or_else(|| "unknown".to_owned(), spelled))
}

fn spelled(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min {seconds} s"),
    }
}

/// The last part of a wire name: `dr.recovery.result.partial_success` is `partial success`.
fn word(value: &Value) -> String {
    match value.as_str() {
        Some(wire) => wire.rsplit('.').next().unwrap_or(wire).replace('_', " "),
        None => "–".to_owned(),
    }
}
