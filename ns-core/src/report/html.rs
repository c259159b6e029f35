//! The page. The template says how it looks; every value in it is escaped, for names and reasons come from people.

use super::{RecoveryReport, encode};
use crate::Result;
use jiff::Timestamp;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, UndefinedBehavior};

pub(super) fn render(report: &RecoveryReport) -> Result<String> {
    let wrong = |e: minijinja::Error| encode("the report cannot be written as a page").with_source(e);
    let mut page = Environment::new();
    page.set_undefined_behavior(UndefinedBehavior::Strict);
    page.add_filter("time", time);
    page.add_filter("duration", duration);
    page.add_filter("word", word);
    // The name's ending switches escaping on.
    page.add_template("report.html", include_str!("report.html"))
        .map_err(wrong)?;
    page.get_template("report.html")
        .and_then(|t| t.render(Serde(report)))
        .map_err(wrong)
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
                .map(|(from, to)| to.duration_since(from).as_secs())
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
